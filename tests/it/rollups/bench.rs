//! A database to run a history in: on the real disk, or on the simulated one.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use bytes::Bytes;
use chronolith::{Config, Database};
use chronolith_engine::{Engine, EngineConfig};
use chronolith_platform::Platform;
use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_query::value::{is_null, write_text};
use chronolith_query::{Error, Instance, Outcome, QueryOptions, Session, SessionOptions};
use chronolith_types::SqlType;
use futures::StreamExt;
use tokio::runtime::Runtime;

/// Memory so small that a few hundred rows at once become cold parts.
const HOT_BYTES_MAX: usize = 1 << 18;

/// What a statement gave.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<Shown>,
    pub(crate) rows: Vec<Vec<Option<String>>>,
}

/// A column of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) name: String,
    /// Of the order of summation depend the last digits.
    pub(crate) float: bool,
}

enum Below {
    Real {
        dir: tempfile::TempDir,
        db: Option<Database>,
    },
    Simulated {
        disk: SimDisk,
        seed: u64,
        instance: Option<Arc<Instance>>,
    },
}

pub(crate) struct Bench {
    runtime: Runtime,
    session: Option<Session>,
    below: Below,
    /// All that was run.
    pub(crate) log: Vec<String>,
}

fn engine_config() -> EngineConfig {
    EngineConfig {
        hot_bytes_max: HOT_BYTES_MAX,
        log_bytes_max: 1 << 18,
        partial_rows_max: 200,
        background: false,
        ..EngineConfig::default()
    }
}

impl Bench {
    pub(crate) fn real() -> Self {
        Self::over(Below::Real {
            dir: tempfile::tempdir().unwrap(),
            db: None,
        })
    }

    pub(crate) fn simulated(seed: u64) -> Self {
        Self::over(Below::Simulated {
            disk: SimDisk::new(seed),
            seed,
            instance: None,
        })
    }

    fn over(below: Below) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_stack_size(16 << 20)
            .enable_all()
            .build()
            .unwrap();
        let mut bench = Self {
            runtime,
            session: None,
            below,
            log: Vec::new(),
        };
        bench.open().unwrap();
        bench
    }

    fn open(&mut self) -> Result<(), Error> {
        let instance = match &mut self.below {
            Below::Real { dir, db } => {
                let config = Config {
                    hot_bytes_max: HOT_BYTES_MAX as u64,
                    threads: 2,
                    ..Config::default()
                };
                let opened = Database::builder()
                    .config(config)
                    .runtime(self.runtime.handle().clone())
                    .open(dir.path())
                    .unwrap();
                Arc::clone(db.insert(opened).instance())
            }
            Below::Simulated {
                disk,
                seed,
                instance,
            } => {
                *seed += 1;
                let platform = Platform::simulated(disk.clone(), *seed);
                let engine = Engine::open(platform, engine_config())?;
                let options = QueryOptions {
                    memory_bytes_max: 1 << 28,
                    threads: 2,
                };
                let opened = Instance::new(engine, options, BTreeMap::new())?;
                Arc::clone(instance.insert(opened))
            }
        };
        let options = SessionOptions {
            database: "postgres".into(),
            user: "postgres".into(),
            settings: vec![("timezone".into(), "UTC".into())],
            ..SessionOptions::default()
        };
        self.session = Some(Session::new(instance, options)?);
        Ok(())
    }

    pub(crate) fn reopen(&mut self) {
        self.log.push("-- close and open".to_owned());
        self.session = None;
        match &mut self.below {
            Below::Real { db, .. } => db.take().unwrap().close().unwrap(),
            Below::Simulated { disk, instance, .. } => {
                instance.take().unwrap().engine.close().unwrap();
                *disk = disk.restart();
            }
        }
        self.open().unwrap();
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.log.push("-- flush".to_owned());
        match &mut self.below {
            Below::Real { db, .. } => {
                let db = db.as_ref().unwrap();
                Ok(db
                    .flush()
                    .map_err(|error| Error::new(error.code, error.message))?)
            }
            Below::Simulated { instance, .. } => {
                let engine = &instance.as_ref().unwrap().engine;
                engine.flush()?;
                engine.checkpoint()?;
                Ok(())
            }
        }
    }

    /// The power goes after so many operations of the disk.
    pub(crate) fn plan_crash(&mut self, after: u64) {
        if let Below::Simulated { disk, .. } = &self.below {
            self.log
                .push(format!("-- the power goes after {after} operations"));
            disk.plan(disk.operations() + after, Fault::PowerCut);
        }
    }

    /// The power is gone; it may go again during recovery.
    pub(crate) fn crash(&mut self, again: Option<u64>) {
        self.log.push(format!("-- power is back, {again:?}"));
        self.session = None;
        let mut attempt = again;
        loop {
            if let Below::Simulated { disk, instance, .. } = &mut self.below {
                *instance = None;
                *disk = disk.crash();
                if let Some(after) = attempt {
                    disk.plan(after, Fault::PowerCut);
                }
            }
            match self.open() {
                Ok(()) if attempt.is_none() => return,
                // It came up before the power went: it goes now.
                Ok(()) => self.session = None,
                Err(error) => assert!(attempt.is_some(), "recovery: {error:?}"),
            }
            attempt = None;
        }
    }

    /// Runs a text as one message; what its last statement with rows gave.
    pub(crate) fn run(&mut self, sql: &str) -> Result<Answer, Error> {
        self.log.push(format!("{sql};"));
        self.quietly(sql, None)
    }

    /// The same, of what is not worth telling.
    pub(crate) fn ask(&mut self, sql: &str) -> Result<Answer, Error> {
        self.quietly(sql, None)
    }

    pub(crate) fn copy(&mut self, table: &str, data: String) -> Result<Answer, Error> {
        let sql = format!("COPY {table} FROM STDIN");
        self.log.push(format!("{sql};\n{data}\\."));
        self.quietly(&sql, Some(Bytes::from(data)))
    }

    fn quietly(&mut self, sql: &str, data: Option<Bytes>) -> Result<Answer, Error> {
        let Some(session) = &mut self.session else {
            panic!("no session");
        };
        self.runtime.block_on(message(session, sql, data))
    }
}

async fn message(session: &mut Session, sql: &str, data: Option<Bytes>) -> Result<Answer, Error> {
    let mut answer = Answer::default();
    let statements = session.parse(sql)?;
    session.simple_begin(statements.len()).await?;
    for statement in &statements {
        let one = async {
            let prepared = session.prepare(statement, &[]).await?;
            let outcome = session.execute(&prepared, &[]).await?;
            take(session, outcome, data.clone(), &mut answer).await
        };
        if let Err(error) = one.await {
            session.simple_end(false).await?;
            return Err(error);
        }
    }
    session.simple_end(true).await?;
    Ok(answer)
}

async fn take(
    session: &mut Session,
    outcome: Outcome,
    data: Option<Bytes>,
    answer: &mut Answer,
) -> Result<(), Error> {
    match outcome {
        Outcome::Rows {
            columns,
            mut stream,
            ..
        } => {
            answer.columns = columns
                .iter()
                .map(|column| Shown {
                    name: column.name.clone(),
                    float: matches!(column.ty, SqlType::Float4 | SqlType::Float8),
                })
                .collect();
            answer.rows.clear();
            let zone = session.time_zone();
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                for row in 0..batch.num_rows() {
                    let mut cells = Vec::new();
                    for (array, column) in batch.columns().iter().zip(&columns) {
                        let array: &dyn Array = array;
                        let mut text = Vec::new();
                        cells.push(match is_null(array, row) {
                            true => None,
                            false => {
                                write_text(array, row, &column.ty, &zone, &mut text)?;
                                Some(String::from_utf8(text).unwrap())
                            }
                        });
                    }
                    answer.rows.push(cells);
                }
            }
        }
        Outcome::CopyIn { .. } => {
            session.copy_data(data.unwrap()).await?;
            session.copy_done().await?;
        }
        Outcome::Command { .. } | Outcome::Empty | Outcome::CopyOut { .. } => {}
    }
    Ok(())
}

impl Answer {
    /// The rows in an order of their own, lists likewise.
    fn sorted(&self) -> Vec<Vec<Option<String>>> {
        let mut rows = self.rows.clone();
        for row in &mut rows {
            for (cell, column) in row.iter_mut().zip(&self.columns) {
                if let (true, Some(text)) = (column.name.starts_with("list"), cell) {
                    let inner = text.trim_matches(['{', '}']);
                    let mut items: Vec<&str> = inner.split(',').collect();
                    items.sort_unstable();
                    *text = items.join(",");
                }
            }
        }
        let exact = |row: &Vec<Option<String>>| -> Vec<Option<String>> {
            let cells = row.iter().zip(&self.columns);
            let cells = cells.filter(|(_, column)| !column.float);
            cells.map(|(cell, _)| cell.clone()).collect()
        };
        let floats = |row: &Vec<Option<String>>| -> Vec<f64> {
            let cells = row.iter().zip(&self.columns);
            let cells = cells.filter(|(_, column)| column.float);
            let cells =
                cells.map(|(cell, _)| cell.as_ref().map_or(f64::NAN, |c| c.parse().unwrap()));
            cells.collect()
        };
        rows.sort_by(|a, b| {
            exact(a).cmp(&exact(b)).then_with(|| {
                let (a, b) = (floats(a), floats(b));
                let mut pairs = a.iter().zip(&b).map(|(a, b)| a.total_cmp(b));
                pairs
                    .find(|order| order.is_ne())
                    .unwrap_or(std::cmp::Ordering::Equal)
            })
        });
        rows
    }

    /// How another answer differs.
    pub(crate) fn differs(&self, other: &Self) -> Option<String> {
        let (ours, theirs) = (self.sorted(), other.sorted());
        let alike = |a: &Vec<Option<String>>, b: &Vec<Option<String>>| {
            let cells = a.iter().zip(b).zip(&self.columns);
            a.len() == b.len()
                && cells.into_iter().all(|((a, b), column)| match (a, b) {
                    (Some(a), Some(b)) if column.float => {
                        near(a.parse().unwrap(), b.parse().unwrap())
                    }
                    (a, b) => a == b,
                })
        };
        if ours.len() == theirs.len() && ours.iter().zip(&theirs).all(|(a, b)| alike(a, b)) {
            return None;
        }
        let missing = |rows: &[Vec<Option<String>>], of: &[Vec<Option<String>>]| {
            let rows = rows
                .iter()
                .filter(|row| !of.iter().any(|other| alike(row, other)));
            let rows = rows.take(5).map(|row| format!("  {}", shown(row)));
            rows.collect::<Vec<_>>().join("\n")
        };
        Some(format!(
            "{:?}\n{} rows, {} expected\nonly there:\n{}\nonly expected:\n{}",
            self.columns
                .iter()
                .map(|c| c.name.as_str())
                .collect::<Vec<_>>(),
            ours.len(),
            theirs.len(),
            missing(&ours, &theirs),
            missing(&theirs, &ours)
        ))
    }
}

fn shown(row: &[Option<String>]) -> String {
    let cells = row.iter().map(|cell| cell.as_deref().unwrap_or("NULL"));
    cells.collect::<Vec<_>>().join(" | ")
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(100.0)
}
