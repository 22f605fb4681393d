//! An authenticated connection: messages in, replies out, until the client leaves.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use chronolith_types::{SqlState, SqlType};
use futures::StreamExt;
use pgwire::messages::PgWireFrontendMessage as Message;
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse};

use crate::backend::{Column, Described, Outcome, Parameter, RowStream, Session};
use crate::encode;
use crate::failure::{Failure, Severity};
use crate::out;
use crate::wire::{End, Wire};

/// Rows encoded between two looks at the client.
const ROWS_STEP: usize = 8 * 1024;

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

/// A prepared statement; none inside for the empty one.
type Prepared = Option<Arc<Described>>;

struct Portal {
    statement: Prepared,
    params: Vec<Parameter>,
    formats: Vec<bool>,
    state: PortalState,
}

enum PortalState {
    Ready,
    Running(Rows),
    Done(String),
}

/// Rows on their way.
struct Rows {
    columns: Vec<Column>,
    formats: Vec<bool>,
    stream: RowStream,
    /// The batch being sent, and how many of its rows are.
    batch: Option<(RecordBatch, usize)>,
    verb: String,
    counted: bool,
    sent: u64,
}

impl Rows {
    fn tag(&self) -> String {
        if self.counted {
            format!("{} {}", self.verb, self.sent)
        } else {
            self.verb.clone()
        }
    }
}

pub(crate) struct Connection {
    wire: Wire,
    session: Box<dyn Session>,
    statements: HashMap<String, Prepared>,
    portals: HashMap<String, Portal>,
    /// An error of the extended protocol: everything up to Sync is skipped.
    skipping: bool,
    reported: Vec<(&'static str, String)>,
}

impl Connection {
    pub(crate) fn new(
        wire: Wire,
        session: Box<dyn Session>,
        reported: Vec<(&'static str, String)>,
    ) -> Self {
        wire.slot.attach(session.canceller());
        Self {
            wire,
            session,
            statements: HashMap::new(),
            portals: HashMap::new(),
            skipping: false,
            reported,
        }
    }

    /// Serves the client until it leaves; a failure that ends it is told.
    pub(crate) async fn run(mut self) {
        if let End::Fatal(failure) = self.serve().await {
            if failure.code != SqlState::ADMIN_SHUTDOWN {
                tracing::info!("FATAL: {}", failure.message);
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
        let message = self.wire.next().await?;
        self.wire.slot.arm();
        match message {
            Message::Query(query) => {
                self.portals.remove("");
                let failed = self.simple(&query.query).await;
                self.settle(failed)?;
                self.ready().await?;
            }
            Message::Sync(_) => {
                let ok = !std::mem::take(&mut self.skipping);
                let ended = self.wire.watched(self.session.sync(ok)).await?;
                if let Err(failure) = ended {
                    out::failure(&mut self.wire.out, Severity::Error, &failure);
                }
                if self.session.status() == crate::backend::Status::Idle {
                    self.portals.clear();
                }
                self.ready().await?;
            }
            Message::Flush(_) => self.wire.flush().await?,
            Message::Terminate(_) => return Ok(false),
            // Left over from a COPY that failed.
            Message::CopyData(_) | Message::CopyDone(_) | Message::CopyFail(_) => {}
            message if self.skipping && message.is_extended_query() => {}
            message => {
                let done = match message {
                    Message::Parse(m) => self.parse(m).await,
                    Message::Bind(m) => self.bind(m),
                    Message::Describe(m) => self.describe(&m),
                    Message::Execute(m) => self.execute(m).await,
                    Message::Close(m) => {
                        self.close(&m);
                        Ok(())
                    }
                    _ => {
                        return Err(End::Fatal(Failure::protocol(
                            "unexpected message from the client",
                        )));
                    }
                };
                if done.is_err() {
                    self.skipping = true;
                }
                if matches!(done, Err(Stop::Failed(_))) {
                    self.session.fail().await;
                }
                self.settle(done)?;
                self.wire.relieve().await?;
            }
        }
        Ok(true)
    }

    /// Tells of a statement's failure; passes on the connection's end.
    fn settle(&mut self, done: Result<(), Stop>) -> Result<(), End> {
        self.notices();
        match done {
            Ok(()) => Ok(()),
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
        self.notices();
        let now = self.session.reported();
        for pair in &now {
            if !self.reported.contains(pair) {
                out::parameter_status(&mut self.wire.out, pair.0, &pair.1);
            }
        }
        self.reported = now;
        out::ready(&mut self.wire.out, self.session.status().byte());
        self.wire.flush().await
    }

    // ---- simple protocol

    async fn simple(&mut self, sql: &str) -> Result<(), Stop> {
        let statements = self.session.parse(sql)?;
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

    async fn simple_one(&mut self, statement: &crate::backend::Plan) -> Result<String, Stop> {
        let session = &mut self.session;
        let outcome = self
            .wire
            .watched(async {
                let described = session.prepare(statement, &[]).await?;
                session.execute(&described, &[]).await
            })
            .await??;
        match outcome {
            Outcome::Rows {
                columns,
                stream,
                verb,
                counted,
            } => {
                out::row_description(&mut self.wire.out, &columns, |_| false);
                let mut rows = Rows {
                    formats: vec![false; columns.len()],
                    columns,
                    stream,
                    batch: None,
                    verb,
                    counted,
                    sent: 0,
                };
                self.send(&mut rows, None).await?;
                Ok(rows.tag())
            }
            other => self.other(other).await,
        }
    }

    /// What both protocols do alike.
    async fn other(&mut self, outcome: Outcome) -> Result<String, Stop> {
        match outcome {
            Outcome::Command { tag } => Ok(tag),
            Outcome::Empty | Outcome::Rows { .. } => Ok(String::new()),
            Outcome::CopyIn { binary, columns } => {
                out::copy_response(&mut self.wire.out, b'G', binary, columns);
                self.wire.flush().await?;
                self.copy_in().await
            }
            Outcome::CopyOut {
                binary,
                columns,
                mut stream,
                rows,
            } => {
                out::copy_response(&mut self.wire.out, b'H', binary, columns);
                while let Some(piece) = self
                    .wire
                    .droppable(stream.next())
                    .await?
                    .ok_or_else(Failure::cancelled)?
                {
                    let piece = piece?;
                    out::message(&mut self.wire.out, b'd', |out| {
                        out.extend_from_slice(&piece)
                    });
                    self.relieve().await?;
                }
                out::bare(&mut self.wire.out, b'c');
                Ok(format!("COPY {}", rows.load(Ordering::Acquire)))
            }
        }
    }

    async fn copy_in(&mut self) -> Result<String, Stop> {
        loop {
            let slot = Arc::clone(&self.wire.slot);
            let message = self.wire.next().await;
            if self.wire.cancelled() {
                slot.arm();
                self.session.copy_fail("canceled").await;
                return Err(Failure::cancelled().into());
            }
            match message {
                Ok(Message::CopyData(data)) => {
                    self.wire
                        .watched(self.session.copy_data(data.data))
                        .await??;
                }
                Ok(Message::CopyDone(_)) => {
                    return Ok(self.wire.watched(self.session.copy_done()).await??);
                }
                Ok(Message::CopyFail(fail)) => {
                    return Err(self.session.copy_fail(&fail.message).await.into());
                }
                // Clients send these behind the Execute before they see that it is a COPY.
                Ok(Message::Flush(_) | Message::Sync(_)) => {}
                Ok(Message::Terminate(_)) => {
                    self.session.copy_fail("the client left").await;
                    return Err(End::Closed.into());
                }
                Ok(_) => {
                    self.session.copy_fail("unexpected message").await;
                    return Err(End::Fatal(Failure::protocol(
                        "unexpected message type during COPY from stdin",
                    ))
                    .into());
                }
                Err(end) => {
                    self.session.copy_fail("the client left").await;
                    return Err(end.into());
                }
            }
        }
    }

    /// Sends rows, at most `limit`; true when there are no more.
    async fn send(&mut self, rows: &mut Rows, limit: Option<usize>) -> Result<bool, Stop> {
        let style = self.session.style();
        let mut left = limit.unwrap_or(usize::MAX);
        loop {
            let (batch, offset) = match rows.batch.take() {
                Some(batch) => batch,
                None => {
                    let next = self.wire.droppable(rows.stream.next()).await?;
                    match next.ok_or_else(Failure::cancelled)? {
                        Some(batch) => (batch?, 0),
                        None => return Ok(true),
                    }
                }
            };
            if left == 0 {
                // Only now it is known that there are more.
                rows.batch = Some((batch, offset));
                return Ok(false);
            }
            let end = batch
                .num_rows()
                .min(offset.saturating_add(left.min(ROWS_STEP)));
            encode::rows(
                &mut self.wire.out,
                &batch,
                offset..end,
                &rows.columns,
                &rows.formats,
                &style,
            )?;
            left -= end - offset;
            rows.sent += u64::try_from(end - offset).unwrap_or(0);
            if end < batch.num_rows() {
                rows.batch = Some((batch, end));
            }
            self.relieve().await?;
            if self.wire.cancelled() {
                return Err(Failure::cancelled().into());
            }
            if limit.is_some() && left == 0 {
                // As in PostgreSQL, exactly the limit suspends even when it was the last row.
                return Ok(false);
            }
        }
    }

    async fn relieve(&mut self) -> Result<(), Stop> {
        self.wire.relieve().await?;
        if self.wire.cancelled() {
            return Err(Failure::cancelled().into());
        }
        Ok(())
    }

    // ---- extended protocol

    async fn parse(&mut self, message: Parse) -> Result<(), Stop> {
        let name = message.name.unwrap_or_default();
        if name.is_empty() {
            self.statements.remove("");
        } else if self.statements.contains_key(&name) {
            return Err(Failure::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let types = message
            .type_oids
            .iter()
            .map(|oid| match *oid {
                0 => Ok(None),
                oid => SqlType::from_oid(oid)
                    .map(|ty| (ty != SqlType::Unknown).then_some(ty))
                    .ok_or_else(|| {
                        Failure::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!("type with OID {oid} does not exist"),
                        )
                    }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let statements = self.session.parse(&message.query)?;
        let prepared = match statements.as_slice() {
            [] => None,
            [one] => {
                let work = self.session.prepare(one, &types);
                Some(Arc::new(self.wire.watched(work).await??))
            }
            _ => {
                return Err(Failure::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
        };
        self.statements.insert(name, prepared);
        out::bare(&mut self.wire.out, b'1');
        Ok(())
    }

    fn statement(&self, name: &str) -> Result<Prepared, Failure> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Failure::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    fn no_portal(name: &str) -> Failure {
        Failure::new(
            SqlState::INVALID_CURSOR_NAME,
            format!("portal \"{name}\" does not exist"),
        )
    }

    fn bind(&mut self, message: Bind) -> Result<(), Stop> {
        let portal = message.portal_name.unwrap_or_default();
        let name = message.statement_name.unwrap_or_default();
        let statement = self.statement(&name)?;
        let wanted = statement.as_ref().map_or(0, |s| s.params.len());
        let given = message.parameters.len();
        if given != wanted {
            return Err(Failure::protocol(format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            ))
            .into());
        }
        let codes = formats(&message.parameter_format_codes, given).ok_or_else(|| {
            Failure::protocol(format!(
                "bind message has {} parameter formats but {given} parameters",
                message.parameter_format_codes.len()
            ))
        })??;
        let width = statement.as_ref().map_or(0, |s| s.columns.len());
        let results = if width == 0 {
            Vec::new()
        } else {
            formats(&message.result_column_format_codes, width).ok_or_else(|| {
                Failure::protocol(format!(
                    "bind message has {} result formats but query has {width} columns",
                    message.result_column_format_codes.len()
                ))
            })??
        };
        if portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&portal) {
            return Err(Failure::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal}\" already exists"),
            )
            .into());
        }
        let params = message
            .parameters
            .into_iter()
            .zip(codes)
            .map(|(value, binary)| Parameter { binary, value })
            .collect();
        self.portals.insert(
            portal,
            Portal {
                statement,
                params,
                formats: results,
                state: PortalState::Ready,
            },
        );
        out::bare(&mut self.wire.out, b'2');
        Ok(())
    }

    fn describe(&mut self, message: &Describe) -> Result<(), Stop> {
        let name = message.name.as_deref().unwrap_or_default();
        let (statement, formats) = if message.target_type == b'S' {
            let statement = self.statement(name)?;
            let params = statement.as_ref().map_or(&[][..], |s| &s.params);
            out::parameters(&mut self.wire.out, params.iter().map(SqlType::oid));
            (statement, &[][..])
        } else {
            let portal = self
                .portals
                .get(name)
                .ok_or_else(|| Self::no_portal(name))?;
            (portal.statement.clone(), portal.formats.as_slice())
        };
        match statement {
            Some(statement) if !statement.columns.is_empty() => {
                out::row_description(&mut self.wire.out, &statement.columns, |index| {
                    formats.get(index).copied().unwrap_or(false)
                });
            }
            _ => out::bare(&mut self.wire.out, b'n'),
        }
        Ok(())
    }

    async fn execute(&mut self, message: Execute) -> Result<(), Stop> {
        let name = message.name.unwrap_or_default();
        let limit = usize::try_from(message.max_rows).ok().filter(|n| *n > 0);
        // Taken out while it runs: a portal that fails is gone.
        let mut portal = self
            .portals
            .remove(&name)
            .ok_or_else(|| Self::no_portal(&name))?;
        let Some(statement) = portal.statement.clone() else {
            out::bare(&mut self.wire.out, b'I');
            self.portals.insert(name, portal);
            return Ok(());
        };
        if matches!(portal.state, PortalState::Ready) {
            let work = self.session.execute(&statement, &portal.params);
            let outcome = self.wire.watched(work).await??;
            portal.state = match outcome {
                Outcome::Rows {
                    columns,
                    stream,
                    verb,
                    counted,
                } => {
                    let mut formats = portal.formats.clone();
                    formats.resize(columns.len(), false);
                    PortalState::Running(Rows {
                        formats,
                        columns,
                        stream,
                        batch: None,
                        verb,
                        counted,
                        sent: 0,
                    })
                }
                Outcome::Empty => {
                    out::bare(&mut self.wire.out, b'I');
                    self.portals.insert(name, portal);
                    return Ok(());
                }
                other => {
                    let tag = self.other(other).await?;
                    self.notices();
                    out::complete(&mut self.wire.out, &tag);
                    portal.state = PortalState::Done(tag);
                    self.portals.insert(name, portal);
                    return Ok(());
                }
            };
        }
        match &mut portal.state {
            PortalState::Running(rows) => {
                let before = rows.sent;
                if self.send(rows, limit).await? {
                    let shown = rows.sent - before;
                    // The tag counts what this Execute gave, as in PostgreSQL.
                    rows.sent = shown;
                    let tag = rows.tag();
                    self.notices();
                    out::complete(&mut self.wire.out, &tag);
                    rows.sent = 0;
                    portal.state = PortalState::Done(rows.tag());
                } else {
                    out::bare(&mut self.wire.out, b's');
                }
            }
            // A finished query gives no more rows; a finished command may not run again.
            PortalState::Done(tag) if !statement.columns.is_empty() => {
                out::complete(&mut self.wire.out, tag);
            }
            PortalState::Done(_) | PortalState::Ready => {
                return Err(Failure::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("portal \"{name}\" cannot be run"),
                )
                .into());
            }
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    fn close(&mut self, message: &Close) {
        let name = message.name.as_deref().unwrap_or_default();
        if message.target_type == b'S' {
            self.statements.remove(name);
        } else {
            self.portals.remove(name);
        }
        out::bare(&mut self.wire.out, b'3');
    }
}

/// Format codes for `count` values: none means text, one is for all; None when they do not fit.
fn formats(codes: &[i16], count: usize) -> Option<Result<Vec<bool>, Failure>> {
    let binary = |code: &i16| match code {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Failure::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unsupported format code: {other}"),
        )),
    };
    match codes {
        [] => Some(Ok(vec![false; count])),
        [one] => Some(binary(one).map(|b| vec![b; count])),
        many if many.len() == count => Some(many.iter().map(binary).collect()),
        _ => None,
    }
}
