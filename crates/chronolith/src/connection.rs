//! SQL on an open database.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use arrow::record_batch::RecordBatch;
use chronolith_query::{
    Mailbox, Notification, Outcome, OutputColumn, Prepared, RowStream, Session,
};
use chronolith_types::{SqlState, SqlType, TimeZone};
use futures::StreamExt;

use crate::database::Database;
use crate::error::Error;
use crate::params::ToParam;
use crate::row::Rows;

/// One session on a database: its settings, its transaction. Statements run one after the other.
///
/// ```
/// # let dir = tempfile::tempdir().expect("a temporary directory");
/// # let db = chronolith::Database::open(dir.path())?;
/// let mut connection = db.connect()?;
/// connection.execute("CREATE TABLE t (a int)")?;
/// assert_eq!(connection.execute("INSERT INTO t VALUES (1), (2)")?, 2);
/// assert_eq!(connection.query("SELECT max(a) FROM t")?.single::<i32>()?, 2);
/// # Ok::<(), chronolith::Error>(())
/// ```
#[derive(Debug)]
pub struct Connection {
    db: Database,
    session: Session,
}

/// A statement that was read and bound once, to run many times.
#[derive(Debug, Clone)]
pub struct Statement {
    prepared: Arc<Prepared>,
}

impl Statement {
    /// The parameters' types, `$1` first.
    #[must_use]
    pub fn params(&self) -> &[SqlType] {
        &self.prepared.params
    }

    /// The result's columns; none for a statement that gives no rows.
    #[must_use]
    pub fn columns(&self) -> &[OutputColumn] {
        &self.prepared.columns
    }
}

impl Connection {
    pub(crate) fn new(db: Database, session: Session) -> Self {
        Self { db, session }
    }

    /// Runs statements, separated by semicolons; how many rows the last of them wrote, or gave.
    ///
    /// Several statements at once are one transaction, as in PostgreSQL, unless they say
    /// otherwise.
    ///
    /// # Errors
    /// Whatever a statement meets.
    pub fn execute(&mut self, sql: &str) -> Result<u64, Error> {
        let mut count = 0;
        for rows in self.run(sql)? {
            count = rows_of_tag(rows.tag());
        }
        Ok(count)
    }

    /// Runs a statement and gathers its rows.
    ///
    /// # Errors
    /// Whatever the statement meets.
    pub fn query(&mut self, sql: &str) -> Result<Rows, Error> {
        let results = self.run(sql)?;
        results
            .into_iter()
            .next_back()
            .ok_or_else(|| Error::new(SqlState::NO_DATA, "the query is empty"))
    }

    /// Runs statements, separated by semicolons, and gathers what each gives.
    ///
    /// # Errors
    /// Of the first that fails; what stood before it in the same text is undone with it.
    pub fn run(&mut self, sql: &str) -> Result<Vec<Rows>, Error> {
        let session = &mut self.session;
        self.db.wait(async move {
            let statements = session.parse_message(sql)?;
            let mut results = Vec::with_capacity(statements.len());
            session.simple_begin(statements.len()).await?;
            for statement in &statements {
                let one = async {
                    let prepared = session.prepare(statement, &[]).await?;
                    let outcome = session.execute(&prepared, &[]).await?;
                    gather(outcome, session.time_zone()).await
                };
                match one.await {
                    Ok(rows) => results.extend(rows),
                    Err(error) => {
                        session.simple_end(false).await?;
                        return Err(error);
                    }
                }
            }
            session.simple_end(true).await?;
            Ok(results)
        })
    }

    /// Reads and binds a statement with parameters `$1`, `$2`, …
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// # let mut connection = db.connect()?;
    /// connection.execute("CREATE TABLE t (a int, b text)")?;
    /// let insert = connection.prepare("INSERT INTO t VALUES ($1, $2)")?;
    /// for a in 0..3 {
    ///     connection.execute_prepared(&insert, &[&a, &None::<&str>])?;
    /// }
    /// assert_eq!(connection.query("SELECT count(*) FROM t")?.single::<i64>()?, 3);
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever reading and binding meet; 42601 for more than one statement.
    pub fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        let session = &mut self.session;
        let prepared = self.db.wait(async move {
            let statements = session.parse(sql)?;
            match statements.as_slice() {
                [statement] => session.prepare(statement, &[]).await,
                [] => Err(Error::new(SqlState::SYNTAX_ERROR, "the query is empty")),
                _ => Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                )),
            }
        })?;
        Ok(Statement { prepared })
    }

    /// Runs a prepared statement and gathers its rows.
    ///
    /// # Errors
    /// Whatever the statement meets; 08P01 for too many or too few parameters.
    pub fn query_prepared(
        &mut self,
        statement: &Statement,
        params: &[&dyn ToParam],
    ) -> Result<Rows, Error> {
        let types = statement.params();
        if types.len() != params.len() {
            return Err(Error::new(
                SqlState::PROTOCOL_VIOLATION,
                format!(
                    "the statement has {} parameters, but {} were given",
                    types.len(),
                    params.len()
                ),
            ));
        }
        let values = params
            .iter()
            .zip(types)
            .map(|(param, ty)| param.to_param(ty))
            .collect::<Result<Vec<_>, _>>()?;
        let session = &mut self.session;
        let rows = self.db.wait(async move {
            let one = async {
                let outcome = session.execute_last(&statement.prepared, &values).await?;
                gather(outcome, session.time_zone()).await
            };
            let done = one.await;
            // Outside a block it is a transaction of its own.
            let ended = session.sync(done.is_ok()).await;
            let rows = done?;
            ended?;
            Ok(rows)
        })?;
        Ok(rows.unwrap_or_else(|| Rows::new(Vec::new(), Vec::new(), String::new(), TimeZone::Utc)))
    }

    /// Runs a prepared statement; how many rows it wrote.
    ///
    /// # Errors
    /// As [`Connection::query_prepared`].
    pub fn execute_prepared(
        &mut self,
        statement: &Statement,
        params: &[&dyn ToParam],
    ) -> Result<u64, Error> {
        let rows = self.query_prepared(statement, params)?;
        Ok(rows_of_tag(rows.tag()))
    }

    /// Prepares and runs a statement with parameters, and gathers its rows.
    ///
    /// # Errors
    /// As [`Connection::prepare`] and [`Connection::query_prepared`].
    pub fn query_with(&mut self, sql: &str, params: &[&dyn ToParam]) -> Result<Rows, Error> {
        let statement = self.prepare(sql)?;
        self.query_prepared(&statement, params)
    }

    /// Prepares and runs a statement with parameters; how many rows it wrote.
    ///
    /// # Errors
    /// As [`Connection::prepare`] and [`Connection::query_prepared`].
    pub fn execute_with(&mut self, sql: &str, params: &[&dyn ToParam]) -> Result<u64, Error> {
        let rows = self.query_with(sql, params)?;
        Ok(rows_of_tag(rows.tag()))
    }

    /// Runs a query whose rows are read as they come, never all in memory.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// # let mut connection = db.connect()?;
    /// let mut rows = 0;
    /// for batch in connection.stream("SELECT * FROM generate_series(1, 100000)")? {
    ///     rows += batch?.num_rows();
    /// }
    /// assert_eq!(rows, 100_000);
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    ///
    /// # Errors
    /// Whatever the statement meets; later ones come among the batches.
    pub fn stream(&mut self, sql: &str) -> Result<Batches<'_>, Error> {
        let statement = self.prepare(sql)?;
        let session = &mut self.session;
        let outcome = self
            .db
            .wait(async move { session.execute(&statement.prepared, &[]).await })?;
        match outcome {
            Outcome::Rows {
                columns, stream, ..
            } => Ok(Batches {
                connection: self,
                columns,
                stream,
                ok: true,
            }),
            _ => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "the statement gives no rows",
            )),
        }
    }

    /// Begins a transaction, which is undone unless it is committed.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// # let mut connection = db.connect()?;
    /// connection.execute("CREATE TABLE t (a int)")?;
    /// let mut transaction = connection.transaction()?;
    /// transaction.execute("INSERT INTO t VALUES (1)")?;
    /// transaction.commit()?;
    ///
    /// let mut transaction = connection.transaction()?;
    /// transaction.execute("INSERT INTO t VALUES (2)")?;
    /// drop(transaction);
    /// assert_eq!(connection.query("SELECT a FROM t")?.single::<i32>()?, 1);
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    ///
    /// # Errors
    /// 25001 when one is open already.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.execute("BEGIN")?;
        Ok(Transaction {
            connection: self,
            open: true,
        })
    }

    /// Listens to a channel; what the connection's channels bring is received without a query.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// use std::time::Duration;
    ///
    /// let mut connection = db.connect()?;
    /// let news = connection.listen("ticks")?;
    /// db.connect()?.execute("NOTIFY ticks, 'BTCUSD'")?;
    /// let first = news.recv(Duration::from_secs(5)).expect("a notification");
    /// assert_eq!(first.payload, "BTCUSD");
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    ///
    /// # Errors
    /// 25P02 in a transaction that has failed.
    pub fn listen(&mut self, channel: &str) -> Result<Notifications, Error> {
        let name = channel.replace('"', "\"\"");
        self.execute(&format!("LISTEN \"{name}\""))?;
        Ok(Notifications {
            mailbox: self.session.mailbox(),
        })
    }

    /// The database it is a connection to.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.db
    }
}

/// Receives what comes by the channels that a connection listens to, on any thread.
#[derive(Debug, Clone)]
pub struct Notifications {
    mailbox: Arc<Mailbox>,
}

impl Notifications {
    /// The next notification, waited for at most so long.
    #[must_use]
    pub fn recv(&self, longest: Duration) -> Option<Notification> {
        self.mailbox.wait_one(longest)
    }

    /// The next notification, if one has come.
    #[must_use]
    pub fn try_recv(&self) -> Option<Notification> {
        self.mailbox.wait_one(Duration::ZERO)
    }
}

/// A transaction: a [`Connection`] whose work is kept only by [`Transaction::commit`].
#[derive(Debug)]
pub struct Transaction<'a> {
    connection: &'a mut Connection,
    open: bool,
}

impl Transaction<'_> {
    /// Keeps what was done, durably.
    ///
    /// # Errors
    /// 40001 when another transaction was in the way, 25P02 when a statement had failed, 58030
    /// when the disk fails; nothing is kept then.
    pub fn commit(mut self) -> Result<(), Error> {
        self.open = false;
        let rows = self.connection.query("COMMIT")?;
        if rows.tag() == "ROLLBACK" {
            return Err(Error::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "the transaction was rolled back, because one of its statements had failed",
            ));
        }
        Ok(())
    }

    /// Undoes what was done.
    ///
    /// # Errors
    /// None that the caller could mend.
    pub fn rollback(mut self) -> Result<(), Error> {
        self.open = false;
        self.connection.execute("ROLLBACK").map(|_| ())
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.connection
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if self.open
            && let Err(error) = self.connection.execute("ROLLBACK")
        {
            tracing::warn!(%error, "could not roll back a dropped transaction");
        }
    }
}

/// A result's batches, as they come.
pub struct Batches<'a> {
    connection: &'a mut Connection,
    columns: Vec<OutputColumn>,
    stream: RowStream,
    ok: bool,
}

impl Drop for Batches<'_> {
    fn drop(&mut self) {
        self.stream = Box::pin(futures::stream::empty());
        let (session, ok) = (&mut self.connection.session, self.ok);
        // Outside a block it is a transaction of its own.
        let ended = self.connection.db.wait(session.sync(ok));
        if let Err(error) = ended {
            tracing::warn!(%error, "could not end the transaction of a query");
        }
    }
}

impl Batches<'_> {
    /// The result's columns.
    #[must_use]
    pub fn columns(&self) -> &[OutputColumn] {
        &self.columns
    }
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let stream = &mut self.stream;
        let next = self
            .connection
            .db
            .wait(async move { stream.next().await.transpose() })
            .transpose();
        self.ok &= !matches!(next, Some(Err(_)));
        next
    }
}

impl std::fmt::Debug for Batches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batches")
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// Reads an outcome to its end; None for an empty statement.
async fn gather(outcome: Outcome, zone: TimeZone) -> Result<Option<Rows>, Error> {
    match outcome {
        Outcome::Rows {
            columns,
            mut stream,
            verb,
            counted,
        } => {
            let mut batches = Vec::new();
            let mut count = 0;
            while let Some(batch) = stream.next().await.transpose()? {
                count += batch.num_rows();
                batches.push(batch);
            }
            let tag = if counted {
                format!("{verb} {count}")
            } else {
                verb
            };
            Ok(Some(Rows::new(columns, batches, tag, zone)))
        }
        Outcome::Command { tag } => Ok(Some(Rows::new(Vec::new(), Vec::new(), tag, zone))),
        Outcome::Empty => Ok(None),
        Outcome::CopyIn { .. } | Outcome::CopyOut { .. } => {
            Err(Error::unsupported("COPY without a client")
                .hint("Name a file, or use an Appender to write and Connection::stream to read."))
        }
    }
}

/// The count of rows at a command tag's end.
fn rows_of_tag(tag: &str) -> u64 {
    tag.rsplit(' ')
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}
