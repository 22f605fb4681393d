//! Who is connected and what goes on: sessions, prepared statements.

use chronolith_engine::{LockTarget, LockedThing};

use super::context::Context;
use super::relation::Fill;
use super::rows::{NULL, Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_stat_activity" => sessions,
        "pg_stat_gssapi" => gssapi,
        "pg_prepared_statements" => prepared,
        _ => return None,
    })
}

fn sessions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let catalog = &context.catalog;
    for session in context.sessions.iter() {
        let waits = context
            .locks
            .iter()
            .find(|lock| lock.pid == session.pid && !lock.granted);
        // As PostgreSQL names what a backend waits for: a lock, or its client.
        let (kind, event) = match waits.map(|lock| lock.thing) {
            Some(LockedThing::Transaction(_)) => (Some("Lock"), Some("transactionid")),
            Some(LockedThing::Target(LockTarget::Advisory { .. })) => {
                (Some("Lock"), Some("advisory"))
            }
            Some(LockedThing::Target(LockTarget::Table { .. })) => (Some("Lock"), Some("relation")),
            Some(LockedThing::Target(LockTarget::Object { .. })) => (Some("Lock"), Some("object")),
            None if session.state.starts_with("idle") => (Some("Client"), Some("ClientRead")),
            None => (None, None),
        };
        let database = catalog.database_named(&session.database);
        let user = catalog.role_named(&session.user);
        let shown = context.may_watch(user.map(|user| user.id));
        // An address may carry its port.
        let address = session.client.as_deref();
        let socket = address.and_then(|text| text.parse::<std::net::SocketAddr>().ok());
        let host = socket.map(|socket| socket.ip());
        let host = host.or_else(|| address.and_then(|text| text.parse().ok()));
        rows.push(row![
            database.map(|database| database.id.0),
            &session.database,
            session.pid,
            NULL,
            user.map(|user| user.id.0),
            &session.user,
            &session.application_name,
            host,
            NULL,
            socket.map(|socket| i64::from(socket.port())),
            session.started_us,
            session.transaction_us,
            session.statement_us,
            session.changed_us,
            kind.filter(|_| shown),
            event.filter(|_| shown),
            session.state,
            NULL,
            NULL,
            NULL,
            if shown {
                session.query.as_str()
            } else {
                "<insufficient privilege>"
            },
            if session.background {
                "background worker"
            } else {
                "client backend"
            },
        ]);
    }
    Ok(())
}

/// No session is by GSSAPI.
fn gssapi<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for session in context.sessions.iter() {
        rows.push(row![session.pid, false, NULL, false]);
    }
    Ok(())
}

fn prepared<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for statement in context.prepared.iter() {
        let types: Vec<u32> = statement.params.iter().map(|ty| ty.oid()).collect();
        rows.push(row![
            &statement.name,
            &statement.text,
            statement.prepared_us,
            types,
            statement.from_sql,
            NULL,
            NULL,
        ]);
    }
    Ok(())
}
