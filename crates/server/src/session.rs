//! The door below the wire, opened on the embedding facade: nothing is decided here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use async_trait::async_trait;
use bytes::Bytes;
use chronolith::hosts::Rules;
use chronolith::{
    Cancel, CopyFormat, Database, Error, Mailbox, Prepared, SessionOptions, TransactionStatus,
    session::Statement,
};
use chronolith_types::SqlType;
use futures::StreamExt;

use crate::backend::{
    Backend, Canceller, Column, Described, Failed, News, Notice, Notification, Outcome, Parameter,
    Plan, Reported, RoleAuth, Session, Startup, Status,
};
use crate::encode::OutputStyle;
use crate::failure::{Failure, Severity};

/// An open database as the server's backend.
#[must_use]
pub fn backend(db: Database) -> Arc<dyn Backend> {
    Arc::new(Facade { db })
}

struct Facade {
    db: Database,
}

impl Facade {
    fn is_on(&self, name: &str) -> bool {
        let value = self.db.instance().setting(name);
        value.is_some_and(|value| matches!(value.as_str(), "on" | "true" | "yes" | "1"))
    }
}

#[async_trait]
impl Backend for Facade {
    fn role(&self, user: &str) -> Option<RoleAuth> {
        self.db.role(user).map(|role| RoleAuth {
            verifier: role.verifier,
            superuser: role.superuser,
            login: role.login,
            expired: role.expired,
            member_of: role.member_of,
        })
    }

    fn rules(&self) -> Option<Arc<Rules>> {
        self.db.instance().hosts.rules()
    }

    fn tell(&self, startup: &Startup, refused: Option<&Failure>) {
        let refused = refused.map(|failure| (failure.code, failure.message.as_str()));
        let (user, database) = (&startup.user, &startup.database);
        let client = startup.client.as_deref();
        self.db
            .instance()
            .audit_login(user, database, client, refused);
    }

    fn logs_connections(&self) -> bool {
        self.is_on("log_connections")
    }

    fn logs_disconnections(&self) -> bool {
        self.is_on("log_disconnections")
    }

    fn has_password(&self) -> bool {
        let roles = self.db.roles();
        roles
            .iter()
            .any(|role| role.login && role.verifier.is_some())
    }

    async fn connect(&self, startup: &Startup) -> Result<Box<dyn Session>, Failure> {
        let mut settings = Vec::new();
        let mut application_name = String::new();
        for (name, value) in &startup.settings {
            match name.as_str() {
                "application_name" => application_name.clone_from(value),
                // `-c name=value`, as PGOPTIONS has it.
                "options" => settings.extend(options(value)?),
                _ => settings.push((name.clone(), value.clone())),
            }
        }
        let session = self.db.session(SessionOptions {
            database: startup.database.clone(),
            user: startup.user.clone(),
            application_name,
            client: startup.client.clone(),
            server: startup.server.clone(),
            settings,
            ..SessionOptions::default()
        })?;
        Ok(Box::new(Open {
            session,
            kept: HashMap::new(),
        }))
    }
}

/// The settings of a startup packet's `options`: `-c name=value` and `--name=value`, a backslash
/// before a blank that belongs to a value.
fn options(text: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut words = vec![String::new()];
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character.is_whitespace() {
            words.push(String::new());
            continue;
        }
        let kept = if character == '\\' {
            characters.next().unwrap_or('\\')
        } else {
            character
        };
        if let Some(word) = words.last_mut() {
            word.push(kept);
        }
    }
    let mut words = words.into_iter().filter(|word| !word.is_empty());
    let mut settings = Vec::new();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("-c"), word.strip_prefix("--")) {
            (Some(""), _) => words.next().unwrap_or_default(),
            (Some(setting), _) => setting.to_owned(),
            (_, Some(setting)) => setting.to_owned(),
            _ => String::new(),
        };
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            Failure::new(
                chronolith_types::SqlState::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            )
            .hint("Write each setting as -c name=value.")
        })?;
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

struct Open {
    session: chronolith::Session,
    /// Statements by their names, as they were told of last.
    kept: HashMap<String, (Bound, Arc<Described>)>,
}

/// What a [`Plan`] holds after it was bound.
type Bound = Arc<Prepared>;

fn foreign() -> Failure {
    Failure::new(
        chronolith_types::SqlState::INTERNAL_ERROR,
        "a statement came back to another session than its own",
    )
}

#[async_trait]
impl Session for Open {
    fn parse(&mut self, sql: &str) -> Result<Vec<Plan>, Failure> {
        Ok(plans(self.session.parse(sql)?))
    }

    fn parse_message(&mut self, sql: &str) -> Result<Vec<Plan>, Failure> {
        Ok(plans(self.session.parse_message(sql)?))
    }

    fn type_of_oid(&self, oid: u32) -> Option<SqlType> {
        self.session.type_of_oid(oid)
    }

    async fn prepare(
        &mut self,
        statement: &Plan,
        types: &[Option<SqlType>],
    ) -> Result<Described, Failure> {
        let statement: &Statement = statement.0.downcast_ref().ok_or_else(foreign)?;
        let prepared = self.session.prepare(statement, types).await?;
        Ok(described(prepared))
    }

    fn keep(&mut self, name: &str, statement: Option<&Arc<Described>>) -> Result<(), Failure> {
        let Some(statement) = statement else {
            return Ok(self.session.keep(name, None)?);
        };
        let bound: &Bound = statement.plan.0.downcast_ref().ok_or_else(foreign)?;
        self.session.keep(name, Some(bound))?;
        let told = (Arc::clone(bound), Arc::clone(statement));
        self.kept.insert(name.to_owned(), told);
        Ok(())
    }

    fn kept(&mut self, name: &str) -> Option<Option<Arc<Described>>> {
        let Some(found) = self.session.kept(name) else {
            self.kept.remove(name);
            return None;
        };
        let Some(bound) = found else {
            return Some(None);
        };
        let told = self
            .kept
            .get(name)
            .filter(|told| Arc::ptr_eq(&told.0, bound));
        if let Some((_, told)) = told {
            return Some(Some(Arc::clone(told)));
        }
        // SQL's PREPARE made it.
        let bound = Arc::clone(bound);
        let told = Arc::new(described(Arc::clone(&bound)));
        let kept = (bound, Arc::clone(&told));
        self.kept.insert(name.to_owned(), kept);
        Some(Some(told))
    }

    fn forget(&mut self, name: &str) {
        self.session.forget(name);
        self.kept.remove(name);
    }

    fn portal(
        &mut self,
        name: &str,
        statement: &Described,
        params: &[ArrayRef],
    ) -> Result<bool, Failure> {
        let bound: &Bound = statement.plan.0.downcast_ref().ok_or_else(foreign)?;
        Ok(self.session.portal(name, bound, params))
    }

    fn cursor(&self, name: &str) -> Option<Vec<Column>> {
        let columns = self.session.cursor_columns(name)?;
        Some(columns.iter().map(Column::from).collect())
    }

    async fn cursor_rows(&mut self, name: &str, count: u64) -> Result<Outcome, Failure> {
        let outcome = self.session.cursor_rows(name, count).await?;
        Ok(Outcome::from(outcome))
    }

    fn cursor_close(&mut self, name: &str) -> bool {
        self.session.cursor_close(name)
    }

    fn binary_rows(&self) -> bool {
        self.session.rows_are_binary()
    }

    fn resume(&mut self) -> Result<(), Failure> {
        Ok(self.session.resume()?)
    }

    fn news(&self) -> Option<Arc<dyn News>> {
        Some(Arc::new(Letters(self.session.mailbox())))
    }

    fn take_notifications(&mut self) -> Vec<Notification> {
        let all = self.session.take_notifications().into_iter();
        all.map(|note| Notification {
            pid: note.pid,
            channel: note.channel,
            payload: note.payload,
        })
        .collect()
    }

    fn idle_limit(&self) -> Option<(Duration, Failure)> {
        let (longest, error) = self.session.idle_limit()?;
        Some((longest, Failure::from(error)))
    }

    fn parameters(
        &mut self,
        statement: &Described,
        given: &[Parameter],
    ) -> Result<Vec<ArrayRef>, Failure> {
        let bound: &Bound = statement.plan.0.downcast_ref().ok_or_else(foreign)?;
        let given = given
            .iter()
            .map(|parameter| (parameter.binary, parameter.value.as_deref()));
        Ok(self.session.parameters(bound, given)?)
    }

    async fn execute(
        &mut self,
        statement: &Described,
        params: &[ArrayRef],
        last: bool,
    ) -> Result<Outcome, Failure> {
        let bound: &Bound = statement.plan.0.downcast_ref().ok_or_else(foreign)?;
        let outcome = match last {
            true => self.session.execute_last(bound, params).await?,
            false => self.session.execute(bound, params).await?,
        };
        Ok(Outcome::from(outcome))
    }

    fn repeats(&self, statement: &Described) -> bool {
        let bound: Option<&Bound> = statement.plan.0.downcast_ref();
        bound.is_some_and(|bound| bound.repeats())
    }

    async fn execute_many(&mut self, statement: &Described, runs: &[&[Parameter]]) -> bool {
        let Some(bound) = statement.plan.0.downcast_ref::<Bound>() else {
            return false;
        };
        let values = runs.iter().map(|given| {
            let given = given.iter();
            given.map(|parameter| (parameter.binary, parameter.value.as_deref()))
        });
        match self.session.parameters_of_many(bound, values) {
            Some(params) => self.session.execute_many(bound, &params, runs.len()).await,
            None => false,
        }
    }

    fn log_failure(&self, failure: &Failure, failed: Failed<'_>) {
        let error = chronolith::Error {
            code: failure.code,
            message: failure.message.clone(),
            detail: failure.detail.clone(),
            hint: failure.hint.clone(),
            position: failure.position,
            context: failure.context.clone(),
            ..chronolith::Error::default()
        };
        let failed = match failed {
            Failed::Nothing => chronolith::Failed::Nothing,
            Failed::Text(text) => chronolith::Failed::Text(text),
            Failed::Statement {
                portal,
                statement,
                params,
            } => match statement.plan.0.downcast_ref::<Bound>() {
                Some(bound) => chronolith::Failed::Statement {
                    portal,
                    statement: bound,
                    params,
                },
                None => chronolith::Failed::Nothing,
            },
        };
        self.session.log_failure(&error, failed);
    }

    async fn begin_simple(&mut self, statements: usize) -> Result<(), Failure> {
        Ok(self.session.simple_begin(statements).await?)
    }

    async fn end_simple(&mut self, ok: bool) -> Result<(), Failure> {
        Ok(self.session.simple_end(ok).await?)
    }

    async fn sync(&mut self, ok: bool) -> Result<(), Failure> {
        Ok(self.session.sync(ok).await?)
    }

    async fn fail(&mut self) {
        self.session.fail();
    }

    async fn copy_data(&mut self, data: Bytes) -> Result<(), Failure> {
        Ok(self.session.copy_data(data).await?)
    }

    async fn copy_done(&mut self) -> Result<String, Failure> {
        Ok(self.session.copy_done().await?)
    }

    async fn copy_fail(&mut self, reason: &str) -> Failure {
        self.session.copy_fail(reason).into()
    }

    fn status(&self) -> Status {
        match self.session.status() {
            TransactionStatus::Idle => Status::Idle,
            TransactionStatus::InBlock => Status::InBlock,
            TransactionStatus::Failed => Status::Failed,
        }
    }

    fn style(&self) -> OutputStyle {
        let setting = |name| self.session.setting(name);
        OutputStyle {
            zone: self.session.time_zone(),
            bytea_escape: setting("bytea_output").is_some_and(|value| value == "escape"),
            extra_float_digits: setting("extra_float_digits")
                .and_then(|value| value.parse().ok())
                .unwrap_or(1),
        }
    }

    fn reported(&self) -> Reported {
        self.session.reported()
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        let notices = self.session.take_notices().into_iter();
        notices
            .map(|notice| Notice {
                severity: Severity::Notice(match notice.severity {
                    chronolith::Severity::Debug => "DEBUG",
                    chronolith::Severity::Info => "INFO",
                    chronolith::Severity::Notice => "NOTICE",
                    chronolith::Severity::Warning => "WARNING",
                }),
                body: Failure::from(notice.body.copied()),
            })
            .collect()
    }

    fn canceller(&self) -> Arc<dyn Canceller> {
        Arc::new(Off(self.session.cancel()))
    }

    fn pid(&self) -> i32 {
        self.session.pid()
    }
}

struct Off(Arc<Cancel>);

impl Canceller for Off {
    fn cancel(&self) {
        self.0.cancel();
    }

    fn leave(&self) {
        self.0.leave();
    }

    fn end(&self) {
        self.0.terminate();
    }
}

struct Letters(Arc<Mailbox>);

#[async_trait]
impl News for Letters {
    async fn wait(&self) {
        self.0.wait().await;
    }

    fn end(&self) -> Option<Failure> {
        self.0.check().err().map(Failure::from)
    }
}

fn plans(statements: Vec<Statement>) -> Vec<Plan> {
    let plans = statements.into_iter();
    plans.map(|statement| Plan(Arc::new(statement))).collect()
}

fn described(prepared: Bound) -> Described {
    Described {
        params: prepared.params.clone(),
        columns: prepared.columns.iter().map(Column::from).collect(),
        plan: Plan(Arc::new(prepared)),
    }
}

impl From<&chronolith::OutputColumn> for Column {
    fn from(column: &chronolith::OutputColumn) -> Self {
        Self {
            name: column.name.clone(),
            ty: column.ty.clone(),
            table_oid: column.table_oid,
            attribute: column.attribute,
        }
    }
}

impl From<chronolith::Outcome> for Outcome {
    fn from(outcome: chronolith::Outcome) -> Self {
        use chronolith::Outcome as From;
        match outcome {
            From::Rows {
                columns,
                stream,
                verb,
                counted,
            } => Self::Rows {
                columns: columns.iter().map(Column::from).collect(),
                stream: stream.map(|batch| batch.map_err(Failure::from)).boxed(),
                verb,
                counted,
            },
            From::Command { tag } => Self::Command { tag },
            From::Empty => Self::Empty,
            From::CopyIn { format, columns } => Self::CopyIn {
                binary: format == CopyFormat::Binary,
                columns,
            },
            From::CopyOut {
                format,
                columns,
                stream,
                rows,
            } => Self::CopyOut {
                binary: format == CopyFormat::Binary,
                columns,
                stream: stream.map(|piece| piece.map_err(Failure::from)).boxed(),
                rows,
            },
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if error.code == chronolith_types::SqlState::INTERNAL_ERROR {
            // The client learns that it was our fault, the log why.
            tracing::error!(source = ?error.source, "{}", error.message);
        }
        Self {
            code: error.code,
            message: error.message,
            detail: error.detail,
            hint: error.hint,
            position: error.position,
            context: error.context,
            schema: error.schema,
            table: error.table,
            column: error.column,
            constraint: error.constraint,
            datatype: error.datatype,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

    use super::*;

    #[test]
    fn options_are_settings_in_either_spelling() {
        let read = options(r"-c statement_timeout=5s -csearch_path=a,b --work-mem=64\ MB").unwrap();
        let pairs: Vec<(&str, &str)> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("statement_timeout", "5s"),
                ("search_path", "a,b"),
                ("work_mem", "64 MB")
            ]
        );
        assert!(options("-B 100").is_err());
    }
}
