//! Policies of row-level security.

use chronolith_catalog::{Database, Policy, Table};

use super::context::Context;
use super::relation::Fill;
use super::rows::{Cell, Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_policy" => policy as Fill,
        "pg_policies" => policies,
        _ => return None,
    })
}

fn all(home: &Database) -> impl Iterator<Item = (&Table, &Policy)> {
    home.row_security.iter().flat_map(|(table, security)| {
        let table = home.tables.get(table);
        let of = move |policy| Some((table?.as_ref(), policy));
        security.policies.iter().filter_map(of)
    })
}

/// What is shown of a condition.
fn shown(context: &Context, table: &Table, text: Option<&String>) -> Option<String> {
    text.map(|text| (context.expression)(table, text, None, false))
}

fn policy<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (table, policy) in all(context.home()?) {
        let roles = policy.roles.iter();
        let roles: Vec<Cell<'a>> = roles
            .map(|role| Cell::from(role.map_or(0, |role| role.0)))
            .collect();
        rows.push(row![
            policy.id,
            &policy.name,
            table.id.0,
            policy.command.letter(),
            policy.permissive,
            Cell::List(roles),
            shown(context, table, policy.using.as_ref()),
            shown(context, table, policy.check.as_ref()),
        ]);
    }
    Ok(())
}

fn policies<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for (table, policy) in all(home) {
        let schema = home.schemas.get(&table.schema);
        let roles: Vec<String> = policy
            .roles
            .iter()
            .map(|role| match role {
                Some(role) => context.role_name(*role),
                None => "public".to_owned(),
            })
            .collect();
        rows.push(row![
            schema.map_or("", |schema| schema.name.as_str()),
            &table.name,
            &policy.name,
            if policy.permissive {
                "PERMISSIVE"
            } else {
                "RESTRICTIVE"
            },
            roles,
            policy.command.word(),
            shown(context, table, policy.using.as_ref()),
            shown(context, table, policy.check.as_ref()),
        ]);
    }
    Ok(())
}
