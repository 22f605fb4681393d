#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use bytes::Bytes;
use chronolith_engine::{Engine, EngineConfig};
use chronolith_platform::Platform;
use chronolith_platform::sim::SimDisk;
use chronolith_query::value::{is_null, write_text};
use chronolith_query::{Error, Instance, Outcome, QueryOptions, Session, SessionOptions};
use futures::StreamExt;

mod catalogs;
mod dependents;
mod expressions;
mod fast;
mod first;
mod gapfill;
mod hypertables;
mod insert;
mod jobs;
mod portals;
mod references;
mod rollups;
mod sets;
mod storage;
mod subqueries;
mod tables;
mod viewdefs;

/// A database in memory, with one session.
pub(crate) struct Db {
    runtime: tokio::runtime::Runtime,
    pub(crate) session: Session,
    pub(crate) instance: Arc<Instance>,
}

impl Db {
    pub(crate) fn new() -> Self {
        Self::over(&SimDisk::new(7), EngineConfig::default())
    }

    /// A session with what is on a disk.
    pub(crate) fn over(disk: &SimDisk, config: EngineConfig) -> Self {
        Self::on(Platform::simulated(disk.clone(), 7), config)
    }

    pub(crate) fn on(platform: Platform, config: EngineConfig) -> Self {
        let engine = Engine::open(platform, config).unwrap();
        let options = QueryOptions {
            memory_bytes_max: 1 << 28,
            threads: 2,
        };
        let instance = Instance::new(engine, options, BTreeMap::new()).unwrap();
        let session = connect(&instance);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(8 << 20)
            .build()
            .unwrap();
        Self {
            runtime,
            session,
            instance,
        }
    }

    /// Waits for what is not a statement.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Runs a text as one message; rows as text joined by `|`, tags as they are.
    pub(crate) fn try_run(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        self.runtime.block_on(message(&mut self.session, sql, None))
    }

    pub(crate) fn run(&mut self, sql: &str) -> Vec<String> {
        self.try_run(sql)
            .unwrap_or_else(|error| panic!("{sql}: {} {error:?}", error.code.as_str()))
    }

    /// Rows of one query.
    pub(crate) fn query(&mut self, sql: &str) -> Vec<String> {
        let mut lines = self.run(sql);
        lines.pop();
        lines
    }

    /// The SQLSTATE and message that a text fails with.
    pub(crate) fn fails(&mut self, sql: &str) -> (String, String) {
        let error = self.try_run(sql).expect_err(sql);
        (error.code.as_str().to_owned(), error.message)
    }

    /// What a text gives, or the SQLSTATE and message that it fails with.
    pub(crate) fn outcome(&mut self, sql: &str) -> Result<Vec<String>, (String, String)> {
        self.try_run(sql)
            .map_err(|error| (error.code.as_str().to_owned(), error.message))
    }

    pub(crate) fn copy(&mut self, sql: &str, data: &str) -> Result<Vec<String>, Error> {
        let data = Bytes::copy_from_slice(data.as_bytes());
        self.runtime
            .block_on(message(&mut self.session, sql, Some(data)))
    }
}

pub(crate) fn connect(instance: &Arc<Instance>) -> Session {
    let options = SessionOptions {
        database: "postgres".into(),
        user: "postgres".into(),
        ..SessionOptions::default()
    };
    Session::new(Arc::clone(instance), options).unwrap()
}

pub(crate) async fn message(
    session: &mut Session,
    sql: &str,
    data: Option<Bytes>,
) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let statements = session.parse(sql)?;
    session.simple_begin(statements.len()).await?;
    for statement in &statements {
        let one = async {
            let prepared = session.prepare(statement, &[]).await?;
            let outcome = session.execute(&prepared, &[]).await?;
            shown(session, outcome, data.clone(), &mut lines).await
        };
        if let Err(error) = one.await {
            session.simple_end(false).await.unwrap();
            return Err(error);
        }
    }
    session.simple_end(true).await?;
    Ok(lines)
}

async fn shown(
    session: &mut Session,
    outcome: Outcome,
    data: Option<Bytes>,
    lines: &mut Vec<String>,
) -> Result<(), Error> {
    match outcome {
        Outcome::Rows {
            columns,
            mut stream,
            verb,
            counted,
        } => {
            let mut count = 0;
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                count += batch.num_rows();
                for row in 0..batch.num_rows() {
                    let mut cells = Vec::new();
                    for (array, column) in batch.columns().iter().zip(&columns) {
                        let array: &dyn Array = array;
                        let mut text = Vec::new();
                        if is_null(array, row) {
                            text.extend_from_slice(b"NULL");
                        } else {
                            let zone = session.time_zone();
                            write_text(array, row, &column.ty, &zone, &mut text)?;
                        }
                        cells.push(String::from_utf8(text).unwrap());
                    }
                    lines.push(cells.join("|"));
                }
            }
            lines.push(if counted {
                format!("{verb} {count}")
            } else {
                verb
            });
        }
        Outcome::Command { tag } => lines.push(tag),
        Outcome::Empty => {}
        Outcome::CopyIn { .. } => {
            let data = data.unwrap();
            // Cut in the middle of lines, as a socket would.
            let size = if data.len() < 10_000 { 7 } else { 9973 };
            for piece in data.chunks(size) {
                session.copy_data(Bytes::copy_from_slice(piece)).await?;
            }
            lines.push(session.copy_done().await?);
        }
        Outcome::CopyOut {
            mut stream, rows, ..
        } => {
            while let Some(piece) = stream.next().await {
                let piece = piece?;
                let mut from = 0;
                for end in piece.ends {
                    lines.push(String::from_utf8_lossy(&piece.data[from..end]).into_owned());
                    from = end;
                }
            }
            let rows = rows.load(std::sync::atomic::Ordering::Relaxed);
            lines.push(format!("COPY {rows}"));
        }
    }
    Ok(())
}
