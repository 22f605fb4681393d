//! What the wire needs of a database: sessions, statements, results. The only door to what is
//! below; `session.rs` opens it on the embedding facade, tests on a small fake.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use chronolith::CopyRows;
use chronolith::hosts::Rules;
use chronolith_types::{SqlState, SqlType};
use futures::Stream;

use crate::encode::OutputStyle;
use crate::failure::{Failure, Severity};

/// Settings that clients are told of, with their values.
pub type Reported = Arc<[(&'static str, String)]>;

/// What a client said of itself when it connected.
#[derive(Debug, Clone, Default)]
pub struct Startup {
    /// The role.
    pub user: String,
    /// The database; the role's name when it named none.
    pub database: String,
    /// Settings, `application_name` among them, by the names the client gave.
    pub settings: BTreeMap<String, String>,
    /// The client's address.
    pub client: Option<String>,
    /// The address that it came to.
    pub server: Option<String>,
}

/// What authentication must know of a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleAuth {
    /// `SCRAM-SHA-256$…`; none when no password was set.
    pub verifier: Option<String>,
    /// May use the connections kept for superusers.
    pub superuser: bool,
    /// May log in at all.
    pub login: bool,
    /// Its password is past its end.
    pub expired: bool,
    /// The roles that it is a member of, also by way of others, and itself.
    pub member_of: Vec<String>,
}

/// A database server below the wire.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The role's means of proving itself; none for a role that does not exist.
    fn role(&self, user: &str) -> Option<RoleAuth>;
    /// Whether any role that may log in has a password.
    fn has_password(&self) -> bool;
    /// The rules of who may come in from where; none when the server's own hold.
    fn rules(&self) -> Option<Arc<Rules>> {
        None
    }
    /// A client came in, or was refused. Returns when that is written down.
    fn tell(&self, _startup: &Startup, _refused: Option<&Failure>) {}
    /// Whether it is logged who connects: `log_connections`.
    fn logs_connections(&self) -> bool {
        false
    }
    /// Whether it is logged who leaves: `log_disconnections`.
    fn logs_disconnections(&self) -> bool {
        false
    }
    /// Begins a session of an authenticated client.
    async fn connect(&self, startup: &Startup) -> Result<Box<dyn Session>, Failure>;
}

/// One column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// The table it is a plain column of, or 0.
    pub table_oid: u32,
    /// Its number there, or 0.
    pub attribute: i16,
}

/// A statement that was read and bound.
#[derive(Debug, Clone)]
pub struct Described {
    /// The parameters' types.
    pub params: Vec<SqlType>,
    /// The result's columns; none for a statement that gives no rows.
    pub columns: Vec<Column>,
    /// The session's own form of it.
    pub plan: Plan,
}

/// Something only the session understands.
#[derive(Clone)]
pub struct Plan(pub Arc<dyn std::any::Any + Send + Sync>);

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plan")
    }
}

/// One parameter as it arrived.
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Whether in binary form.
    pub binary: bool,
    /// None for NULL.
    pub value: Option<Bytes>,
}

/// Rows, batch by batch.
pub type RowStream = Pin<Box<dyn Stream<Item = Result<RecordBatch, Failure>> + Send>>;
/// COPY's output, piece by piece.
pub type CopyStream = Pin<Box<dyn Stream<Item = Result<CopyRows, Failure>> + Send>>;

/// What executing gives.
pub enum Outcome {
    /// Rows to send.
    Rows {
        /// Their columns.
        columns: Vec<Column>,
        /// They themselves.
        stream: RowStream,
        /// The command tag's verb.
        verb: String,
        /// Whether the tag ends with their number.
        counted: bool,
    },
    /// Done.
    Command {
        /// The whole tag.
        tag: String,
    },
    /// The statement was empty.
    Empty,
    /// COPY FROM STDIN began.
    CopyIn {
        /// Whether its data is binary.
        binary: bool,
        /// The number of columns.
        columns: usize,
    },
    /// COPY TO STDOUT.
    CopyOut {
        /// Whether its data is binary.
        binary: bool,
        /// The number of columns.
        columns: usize,
        /// The data.
        stream: CopyStream,
        /// The rows written when the stream has ended.
        rows: Arc<std::sync::atomic::AtomicU64>,
    },
}

/// A message beside results.
#[derive(Debug, Clone)]
pub struct Notice {
    /// NOTICE, WARNING, INFO …
    pub severity: Severity,
    /// Its fields.
    pub body: Failure,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rows { .. } => "Rows",
            Self::Command { .. } => "Command",
            Self::Empty => "Empty",
            Self::CopyIn { .. } => "CopyIn",
            Self::CopyOut { .. } => "CopyOut",
        })
    }
}

/// Stops what a session runs; usable from anywhere.
pub trait Canceller: Send + Sync {
    /// Asks the running statement to stop.
    fn cancel(&self);
    /// The client is gone: nothing of its session need run any longer.
    fn leave(&self) {
        self.cancel();
    }
    /// The session is to end: its statement stops, and none comes after.
    fn end(&self) {
        self.cancel();
    }
}

/// A message that another session sent, or this one itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The sender's number.
    pub pid: i32,
    /// The channel.
    pub channel: String,
    /// What was said.
    pub payload: String,
}

/// What happens to a session while its client is idle; usable beside it.
#[async_trait]
pub trait News: Send + Sync {
    /// Returns when there is something to look at.
    async fn wait(&self);
    /// Why the session is to end, if it is.
    fn end(&self) -> Option<Failure>;
}

/// Where the transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// None is open.
    Idle,
    /// One is open.
    InBlock,
    /// One is open and has failed.
    Failed,
}

impl Status {
    /// ReadyForQuery's byte.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::Idle => b'I',
            Self::InBlock => b'T',
            Self::Failed => b'E',
        }
    }
}

/// What failed, as the log shows it.
#[derive(Debug, Clone, Copy)]
pub enum Failed<'a> {
    /// Nothing that has a text.
    Nothing,
    /// A text.
    Text(&'a str),
    /// A statement in a portal.
    Statement {
        /// The portal's name.
        portal: &'a str,
        /// The statement.
        statement: &'a Described,
        /// Its parameters.
        params: &'a [ArrayRef],
    },
}

/// One connected session. Dropping it rolls back what is open.
#[async_trait]
pub trait Session: Send {
    /// Splits a text into its statements, each still to be prepared.
    fn parse(&mut self, sql: &str) -> Result<Vec<Plan>, Failure>;
    /// The same of a message of the simple protocol.
    fn parse_message(&mut self, sql: &str) -> Result<Vec<Plan>, Failure> {
        self.parse(sql)
    }
    /// The type of an oid that a client names; none when there is none.
    fn type_of_oid(&self, oid: u32) -> Option<SqlType> {
        SqlType::from_oid(oid)
    }
    /// Binds one of them; types the client left open are `None`.
    async fn prepare(
        &mut self,
        statement: &Plan,
        types: &[Option<SqlType>],
    ) -> Result<Described, Failure>;
    /// Reads values for its parameters: what is none of its parameter's type is refused here.
    fn parameters(
        &mut self,
        statement: &Described,
        given: &[Parameter],
    ) -> Result<Vec<ArrayRef>, Failure>;
    /// Runs it. Rows and COPY go on after this returns, until `finish` is called. Behind the `last`
    /// nothing else comes in its transaction, unless a block is open.
    async fn execute(
        &mut self,
        statement: &Described,
        params: &[ArrayRef],
        last: bool,
    ) -> Result<Outcome, Failure>;
    /// Whether several runs of a statement, one after the other, may be made in one go.
    fn repeats(&self, _statement: &Described) -> bool {
        false
    }
    /// Runs a statement that repeats once for each of the values given, in one go: each inserted one
    /// row. False when nothing was done, and the runs are to be made one by one.
    async fn execute_many(&mut self, _statement: &Described, _runs: &[&[Parameter]]) -> bool {
        false
    }
    /// A simple-query message of so many statements begins.
    async fn begin_simple(&mut self, statements: usize) -> Result<(), Failure>;
    /// It ends; its implicit transaction commits, or rolls back when something failed.
    async fn end_simple(&mut self, ok: bool) -> Result<(), Failure>;
    /// Sync of the extended protocol: the implicit transaction ends.
    async fn sync(&mut self, ok: bool) -> Result<(), Failure>;
    /// What was executed failed while its rows were sent, or its portal was given up.
    async fn fail(&mut self);
    /// Data of the COPY FROM STDIN that is running.
    async fn copy_data(&mut self, data: Bytes) -> Result<(), Failure>;
    /// Its end; the command tag.
    async fn copy_done(&mut self) -> Result<String, Failure>;
    /// The client gives it up, or failed.
    async fn copy_fail(&mut self, reason: &str) -> Failure;
    /// Where the transaction stands.
    fn status(&self) -> Status;
    /// How values are written as text now.
    fn style(&self) -> OutputStyle;
    /// The settings that clients are told of, as they are now: the same list until one changes.
    fn reported(&self) -> Reported;
    /// Keeps a statement under a name; none inside for the empty one.
    fn keep(&mut self, name: &str, statement: Option<&Arc<Described>>) -> Result<(), Failure>;
    /// The statement of a name, whoever gave it that; none without one, none inside for the empty
    /// one.
    fn kept(&mut self, name: &str) -> Option<Option<Arc<Described>>>;
    /// Forgets the statement of a name.
    fn forget(&mut self, name: &str);
    /// Makes a cursor of a portal that has a name; false for a statement that is no query.
    fn portal(
        &mut self,
        _name: &str,
        _statement: &Described,
        _params: &[ArrayRef],
    ) -> Result<bool, Failure> {
        Ok(false)
    }
    /// The columns of a cursor that a statement declared.
    fn cursor(&self, _name: &str) -> Option<Vec<Column>> {
        None
    }
    /// Its next rows, at most so many; 0 for all.
    async fn cursor_rows(&mut self, name: &str, _count: u64) -> Result<Outcome, Failure> {
        Err(Failure::new(
            SqlState::INVALID_CURSOR_NAME,
            format!("portal \"{name}\" does not exist"),
        ))
    }
    /// Closes it; false where there is none.
    fn cursor_close(&mut self, _name: &str) -> bool {
        false
    }
    /// Whether the simple protocol sends the last statement's rows in binary form.
    fn binary_rows(&self) -> bool {
        false
    }
    /// A portal that ran before runs on.
    fn resume(&mut self) -> Result<(), Failure> {
        Ok(())
    }
    /// What happens to it while its client is idle.
    fn news(&self) -> Option<Arc<dyn News>> {
        None
    }
    /// Takes the notifications that may be told now.
    fn take_notifications(&mut self) -> Vec<Notification> {
        Vec::new()
    }
    /// How long the client may be idle now, and what it is told then.
    fn idle_limit(&self) -> Option<(Duration, Failure)> {
        None
    }
    /// Writes into the log that a client is told of a failure.
    fn log_failure(&self, _failure: &Failure, _failed: Failed<'_>) {}
    /// Takes the messages that came up since the last call.
    fn take_notices(&mut self) -> Vec<Notice>;
    /// Its off switch.
    fn canceller(&self) -> Arc<dyn Canceller>;
    /// Its number, by which a cancel request finds it; no other session has it.
    fn pid(&self) -> i32;
}
