//! An authenticated connection: messages in, replies out, until the client leaves.

mod extended;
mod idle;
mod many;
mod results;

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::ArrayRef;
use chronolith_types::SqlState;
use futures::FutureExt;
use pgwire::messages::PgWireFrontendMessage as Message;

use crate::backend::{Described, Failed, News, Outcome, Plan, Reported, Session, Status};
use crate::failure::{Failure, Severity};
use crate::guard::Incoming;
use crate::out;
use crate::wire::{self, AbortOnDrop, End, Wire};
use extended::{Portal, Prepared};
use results::Rows;

impl Running {
    fn failed(&self) -> Failed<'_> {
        match self {
            Self::Nothing => Failed::Nothing,
            Self::Text(text) => Failed::Text(text),
            Self::Statement {
                portal,
                statement,
                params,
            } => Failed::Statement {
                portal,
                statement,
                params,
            },
        }
    }
}

/// A failure of the statement, or the end of the connection.
enum Stop {
    Failed(Failure),
    End(End),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<End> for Stop {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

pub(crate) struct Connection {
    wire: Wire,
    session: Box<dyn Session>,
    /// The statement without a name, if there is one; the session keeps those that have one.
    unnamed: Option<Prepared>,
    portals: HashMap<String, Portal>,
    /// What may be told while the client asks nothing.
    news: Option<Arc<dyn News>>,
    /// The client was told that it is its turn.
    resting: bool,
    /// An error of the extended protocol: everything up to Sync is skipped.
    skipping: bool,
    /// So many Binds that are here already are each to be run alone.
    one_by_one: usize,
    reported: Reported,
    /// What the message at hand runs, for the log.
    running: Running,
}

/// What a message of the extended protocol runs.
enum Running {
    Nothing,
    Text(String),
    Statement {
        portal: String,
        statement: Arc<Described>,
        params: Vec<ArrayRef>,
    },
}

impl Connection {
    pub(crate) fn new(wire: Wire, session: Box<dyn Session>, reported: Reported) -> Self {
        wire.slot.attach(session.canceller());
        Self {
            news: session.news(),
            resting: true,
            wire,
            session,
            unnamed: None,
            portals: HashMap::new(),
            skipping: false,
            one_by_one: 0,
            reported,
            running: Running::Nothing,
        }
    }

    /// Notices beside the session that it is to end; `fd` is the client's socket.
    pub(crate) fn notice_end(&self, fd: Option<std::os::fd::OwnedFd>) -> AbortOnDrop {
        wire::notice_end(fd, &self.wire.slot, self.wire.shutdown.clone())
    }

    /// Serves the client until it leaves; a failure that ends it is told.
    pub(crate) async fn run(mut self) {
        if let End::Fatal(failure) = self.serve().await {
            if failure.code != SqlState::ADMIN_SHUTDOWN {
                tracing::error!(
                    severity = "FATAL",
                    pid = self.session.pid(),
                    state_code = failure.code.as_str(),
                    "{}",
                    failure.message
                );
            }
            out::failure(&mut self.wire.out, Severity::Fatal, &failure);
            let farewell = self.wire.flush();
            let _told = tokio::time::timeout(std::time::Duration::from_secs(2), farewell).await;
        }
    }

    async fn serve(&mut self) -> End {
        loop {
            match self.step().await {
                Ok(true) => {}
                Ok(false) => return End::Closed,
                Err(end) => return end,
            }
        }
    }

    /// Takes one message; false when it was the last.
    async fn step(&mut self) -> Result<bool, End> {
        let Some(message) = self.wait().await? else {
            return Ok(true);
        };
        self.resting = false;
        self.wire.mark();
        self.wire.slot.arm();
        let message = match message {
            Incoming::Message(message) => message,
            Incoming::NoText(kind, failure) => {
                self.no_text(kind, failure).await?;
                return Ok(true);
            }
        };
        match message {
            Message::Query(query) => {
                self.portals.remove("");
                let work = AssertUnwindSafe(self.simple(&query.query))
                    .catch_unwind()
                    .await;
                let done = self.survive(work).await;
                if let Err(Stop::Failed(failure)) = &done {
                    self.session
                        .log_failure(failure, Failed::Text(&query.query));
                }
                self.settle(done)?;
                self.ready().await?;
            }
            Message::Sync(_) => {
                let ok = !std::mem::take(&mut self.skipping);
                // Runs behind one that failed were skipped, and are not to be made any more.
                self.one_by_one = 0;
                let ended = self.wire.watched(self.session.sync(ok)).await?;
                if let Err(failure) = ended {
                    self.session.log_failure(&failure, Failed::Nothing);
                    out::failure(&mut self.wire.out, Severity::Error, &failure);
                }
                self.ready().await?;
            }
            Message::Flush(_) => self.wire.flush().await?,
            Message::Terminate(_) => return Ok(false),
            // Left over from a COPY that failed.
            Message::CopyData(_) | Message::CopyDone(_) | Message::CopyFail(_) => {}
            message if self.skipping && message.is_extended_query() => {}
            message => {
                let work = AssertUnwindSafe(self.extended(message))
                    .catch_unwind()
                    .await;
                let done = self.survive(work).await;
                if done.is_err() {
                    self.skipping = true;
                }
                let running = std::mem::replace(&mut self.running, Running::Nothing);
                if let Err(Stop::Failed(failure)) = &done {
                    self.session.log_failure(failure, running.failed());
                    self.session.fail().await;
                }
                self.settle(done)?;
                self.wire.relieve().await?;
            }
        }
        Ok(true)
    }

    /// A message whose text is not UTF-8 fails as its statement would.
    async fn no_text(&mut self, kind: u8, failure: Failure) -> Result<(), End> {
        match kind {
            b'Q' => {
                self.portals.remove("");
                if let Err(second) = self.session.end_simple(false).await {
                    tracing::warn!("rollback failed: {}", second.message);
                }
                self.settle(Err(Stop::Failed(failure)))?;
                self.ready().await
            }
            // Left over from a COPY that failed.
            b'f' => Ok(()),
            _ if self.skipping => Ok(()),
            _ => {
                self.skipping = true;
                self.session.fail().await;
                self.settle(Err(Stop::Failed(failure)))
            }
        }
    }

    async fn extended(&mut self, message: Message) -> Result<(), Stop> {
        match message {
            Message::Parse(m) => self.parse(m).await,
            Message::Bind(m) => self.bind_or_run(m).await,
            Message::Describe(m) => self.describe(&m),
            Message::Execute(m) => self.execute(m).await,
            Message::Close(m) => {
                self.close(&m);
                Ok(())
            }
            _ => Err(Stop::End(End::Fatal(Failure::protocol(
                "unexpected message from the client",
            )))),
        }
    }

    /// A statement that panicked has failed, and its transaction with it; the session goes on.
    async fn survive(
        &mut self,
        work: Result<Result<(), Stop>, Box<dyn Any + Send>>,
    ) -> Result<(), Stop> {
        let panic = match work {
            Ok(done) => return done,
            Err(panic) => panic,
        };
        let said = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        tracing::error!("a statement panicked: {said}");
        // Half a message may have been written.
        self.wire.back_to_mark();
        self.portals.clear();
        if let Err(failure) = self.session.end_simple(false).await {
            tracing::warn!("rollback failed: {}", failure.message);
        }
        Err(Stop::Failed(
            Failure::new(
                SqlState::INTERNAL_ERROR,
                "the statement failed unexpectedly",
            )
            .hint("This is a fault of the server's, whose log says more."),
        ))
    }

    /// Tells of a statement's failure; passes on the connection's end.
    fn settle(&mut self, done: Result<(), Stop>) -> Result<(), End> {
        self.notices();
        match done {
            Ok(()) => Ok(()),
            // Somebody ended the session; the statement was stopped for it.
            Err(Stop::Failed(failure)) if failure.code == SqlState::ADMIN_SHUTDOWN => {
                Err(End::Fatal(failure))
            }
            Err(Stop::Failed(failure)) => {
                out::failure(&mut self.wire.out, Severity::Error, &failure);
                Ok(())
            }
            Err(Stop::End(end)) => Err(end),
        }
    }

    fn notices(&mut self) {
        for notice in self.session.take_notices() {
            out::failure(&mut self.wire.out, notice.severity, &notice.body);
        }
    }

    /// ReadyForQuery with what changed before it.
    async fn ready(&mut self) -> Result<(), End> {
        // No portal outlives its transaction.
        if self.session.status() == Status::Idle {
            self.portals.clear();
        }
        self.notices();
        self.notifications();
        let now = self.session.reported();
        if !Arc::ptr_eq(&now, &self.reported) {
            for pair in now.iter() {
                if !self.reported.contains(pair) {
                    out::parameter_status(&mut self.wire.out, pair.0, &pair.1);
                }
            }
            self.reported = now;
        }
        self.resting = true;
        self.wire.slot.rest();
        out::ready(&mut self.wire.out, self.session.status().byte());
        self.wire.flush().await
    }

    async fn simple(&mut self, sql: &str) -> Result<(), Stop> {
        let statements = self.session.parse_message(sql)?;
        if statements.is_empty() {
            out::bare(&mut self.wire.out, b'I');
            return Ok(());
        }
        self.session.begin_simple(statements.len()).await?;
        let mut tag: Option<String> = None;
        for statement in &statements {
            if let Some(tag) = tag.take() {
                self.notices();
                out::complete(&mut self.wire.out, &tag);
            }
            match self.simple_one(statement).await {
                Ok(done) => tag = Some(done),
                Err(stop) => {
                    // The statement's own failure says more than that of the rollback.
                    if let Err(second) = self.session.end_simple(false).await {
                        tracing::warn!("rollback failed: {}", second.message);
                    }
                    return Err(stop);
                }
            }
        }
        // The commit comes before the last statement is called complete.
        self.wire.watched(self.session.end_simple(true)).await??;
        self.notices();
        if let Some(tag) = tag {
            out::complete(&mut self.wire.out, &tag);
        }
        Ok(())
    }

    async fn simple_one(&mut self, statement: &Plan) -> Result<String, Stop> {
        let session = &mut self.session;
        let outcome = self
            .wire
            .watched(async {
                let described = session.prepare(statement, &[]).await?;
                session.execute(&described, &[], false).await
            })
            .await??;
        match outcome {
            Outcome::Rows {
                columns,
                stream,
                verb,
                counted,
            } => {
                let binary = self.session.binary_rows();
                out::row_description(&mut self.wire.out, &columns, |_| binary);
                let formats = vec![self.session.binary_rows(); columns.len()];
                let mut rows = Rows::new(columns, formats, stream, verb, counted);
                self.send(&mut rows, None).await?;
                Ok(rows.tag())
            }
            other => self.other(other).await,
        }
    }
}
