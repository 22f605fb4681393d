//! A database of a few canned statements.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use bytes::Bytes;
use chronolith::CopyRows;
use chronolith::hosts::{Rules, read};
use chronolith_types::{SqlState, SqlType};
use futures::StreamExt;
use tokio::sync::Notify;

use crate::*;

#[derive(Default)]
pub(super) struct Fake {
    pub(super) verifier: Option<String>,
    /// The text of a `pg_hba.conf`.
    pub(super) rules: Option<&'static str>,
    /// How many runs it was asked to make in one go.
    pub(super) at_once: Arc<AtomicUsize>,
}

#[async_trait]
impl Backend for Fake {
    fn role(&self, user: &str) -> Option<RoleAuth> {
        (user == "postgres").then(|| RoleAuth {
            verifier: self.verifier.clone(),
            superuser: true,
            login: true,
            expired: false,
            member_of: vec!["postgres".to_owned(), "desk".to_owned()],
        })
    }

    fn rules(&self) -> Option<Arc<Rules>> {
        let entries = read(self.rules?, true, &|_| Err(String::new()));
        Some(Arc::new(Rules::of(entries).unwrap()))
    }

    fn has_password(&self) -> bool {
        self.verifier.is_some()
    }

    async fn connect(&self, startup: &Startup) -> Result<Box<dyn Session>, Failure> {
        if startup.database != "postgres" {
            return Err(Failure::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", startup.database),
            ));
        }
        Ok(Box::new(FakeSession {
            status: Status::Idle,
            copied: Vec::new(),
            off: Arc::default(),
            pid: NEXT_PID.fetch_add(1, Ordering::Relaxed),
            kept: HashMap::new(),
            at_once: Arc::clone(&self.at_once),
        }))
    }
}

static NEXT_PID: AtomicI32 = AtomicI32::new(1);

struct FakeSession {
    status: Status,
    copied: Vec<u8>,
    off: Arc<Off>,
    pid: i32,
    kept: HashMap<String, Option<Arc<Described>>>,
    at_once: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Off(Notify, AtomicBool);

impl Canceller for Off {
    fn cancel(&self) {
        self.0.notify_waiters();
    }

    fn end(&self) {
        self.1.store(true, Ordering::Relaxed);
        self.cancel();
    }
}

fn column(name: &str, ty: SqlType) -> Column {
    Column {
        name: name.to_owned(),
        ty,
        table_oid: 0,
        attribute: 0,
    }
}

fn batch(columns: &[Column], arrays: Vec<ArrayRef>) -> RecordBatch {
    let fields: Vec<Field> = columns
        .iter()
        .map(|c| Field::new(&c.name, c.ty.arrow(), true))
        .collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn rows(columns: Vec<Column>, batches: Vec<RecordBatch>) -> Outcome {
    Outcome::Rows {
        columns,
        stream: Box::pin(futures::stream::iter(batches.into_iter().map(Ok))),
        verb: "SELECT".to_owned(),
        counted: true,
    }
}

#[async_trait]
impl Session for FakeSession {
    fn parse(&mut self, sql: &str) -> Result<Vec<Plan>, Failure> {
        Ok(sql
            .split(';')
            .map(str::trim)
            .filter(|s| !s.is_empty())
            .map(|s| Plan(Arc::new(s.to_lowercase())))
            .collect())
    }

    async fn prepare(
        &mut self,
        statement: &Plan,
        _: &[Option<SqlType>],
    ) -> Result<Described, Failure> {
        let sql = statement.0.downcast_ref::<String>().unwrap();
        let (params, columns) = match sql.as_str() {
            "echo" => (vec![SqlType::Int8], vec![column("n", SqlType::Int8)]),
            "insert" => (vec![SqlType::Int8], vec![]),
            "many" | "forever" => (vec![], vec![column("n", SqlType::Int8)]),
            "ticks" => (
                vec![],
                vec![
                    column("ts", SqlType::Timestamptz(None)),
                    column("s", SqlType::Text),
                ],
            ),
            "begin" | "start transaction" | "commit" | "sleep" | "panic" | "copy in"
            | "copy out" => (vec![], vec![]),
            other => {
                return Err(Failure::new(
                    SqlState::SYNTAX_ERROR,
                    format!("syntax error at or near \"{other}\""),
                ));
            }
        };
        Ok(Described {
            params,
            columns,
            plan: statement.clone(),
        })
    }

    fn keep(&mut self, name: &str, statement: Option<&Arc<Described>>) -> Result<(), Failure> {
        self.kept.insert(name.to_owned(), statement.cloned());
        Ok(())
    }

    fn kept(&mut self, name: &str) -> Option<Option<Arc<Described>>> {
        self.kept.get(name).cloned()
    }

    fn forget(&mut self, name: &str) {
        self.kept.remove(name);
    }

    fn parameters(&mut self, _: &Described, given: &[Parameter]) -> Result<Vec<ArrayRef>, Failure> {
        let read = |parameter: &Parameter| {
            let bytes = parameter.value.clone().unwrap();
            match <[u8; 8]>::try_from(bytes.as_ref()) {
                Ok(bytes) => {
                    let n = i64::from_be_bytes(bytes);
                    Ok(Arc::new(Int64Array::from(vec![n])) as ArrayRef)
                }
                Err(_) => Err(Failure::new(
                    SqlState::INVALID_BINARY_REPRESENTATION,
                    "incorrect binary data format",
                )),
            }
        };
        given.iter().map(read).collect()
    }

    async fn execute(
        &mut self,
        statement: &Described,
        params: &[ArrayRef],
        _last: bool,
    ) -> Result<Outcome, Failure> {
        let sql = statement.plan.0.downcast_ref::<String>().unwrap().clone();
        let columns = statement.columns.clone();
        let command = |tag: &str| {
            Ok(Outcome::Command {
                tag: tag.to_owned(),
            })
        };
        match sql.as_str() {
            "begin" | "start transaction" => {
                self.status = Status::InBlock;
                command("BEGIN")
            }
            "commit" => {
                self.status = Status::Idle;
                command("COMMIT")
            }
            // It takes any number but zero.
            "insert" => match params[0].as_primitive::<Int64Type>().value(0) {
                0 => Err(Failure::new(SqlState::CHECK_VIOLATION, "zero")),
                _ => command("INSERT 0 1"),
            },
            "echo" => {
                let array = Arc::clone(&params[0]);
                Ok(rows(columns.clone(), vec![batch(&columns, vec![array])]))
            }
            "many" => {
                let array: ArrayRef = Arc::new((0..1000).collect::<Int64Array>());
                Ok(rows(columns.clone(), vec![batch(&columns, vec![array])]))
            }
            "forever" => {
                let array: ArrayRef = Arc::new((0..1000).collect::<Int64Array>());
                let one = batch(&columns, vec![array]);
                Ok(Outcome::Rows {
                    columns,
                    stream: Box::pin(futures::stream::repeat_with(move || Ok(one.clone()))),
                    verb: "SELECT".to_owned(),
                    counted: true,
                })
            }
            "ticks" => {
                let ts = TimestampMicrosecondArray::from(vec![Some(0), None]).with_timezone("UTC");
                let s = StringViewArray::from(vec!["a", "b"]);
                let one = batch(&columns, vec![Arc::new(ts), Arc::new(s)]);
                Ok(rows(columns, vec![one]))
            }
            "sleep" => {
                self.off.0.notified().await;
                Err(match self.off.1.load(Ordering::Relaxed) {
                    true => Failure::new(SqlState::ADMIN_SHUTDOWN, "the session ends"),
                    false => Failure::cancelled(),
                })
            }
            "panic" => panic!("as asked"),
            "copy in" => Ok(Outcome::CopyIn {
                binary: false,
                columns: 1,
            }),
            _ => Ok(Outcome::CopyOut {
                binary: false,
                columns: 1,
                stream: futures::stream::iter([Ok(CopyRows {
                    data: Bytes::from("1\n2\n"),
                    ends: vec![2, 4],
                })])
                .boxed(),
                rows: Arc::new(AtomicU64::new(2)),
            }),
        }
    }

    fn repeats(&self, statement: &Described) -> bool {
        statement.plan.0.downcast_ref::<String>().unwrap() == "insert"
    }

    async fn execute_many(&mut self, _: &Described, runs: &[&[Parameter]]) -> bool {
        self.at_once.fetch_add(runs.len(), Ordering::Relaxed);
        let value = |run: &&[Parameter]| run[0].value.as_deref()?.try_into().ok();
        let mut values = runs.iter().map(|run| value(run).map(i64::from_be_bytes));
        values.all(|value| value.is_some_and(|value| value != 0))
    }

    async fn begin_simple(&mut self, _: usize) -> Result<(), Failure> {
        Ok(())
    }
    async fn end_simple(&mut self, ok: bool) -> Result<(), Failure> {
        if !ok {
            self.fail().await;
        }
        Ok(())
    }
    async fn sync(&mut self, _: bool) -> Result<(), Failure> {
        Ok(())
    }
    async fn fail(&mut self) {
        if self.status == Status::InBlock {
            self.status = Status::Failed;
        }
    }
    async fn copy_data(&mut self, data: Bytes) -> Result<(), Failure> {
        self.copied.extend_from_slice(&data);
        if data.as_ref() == b"bad\n" {
            return Err(Failure::new(SqlState::BAD_COPY_FILE_FORMAT, "bad row"));
        }
        Ok(())
    }
    async fn copy_done(&mut self) -> Result<String, Failure> {
        let rows = self.copied.iter().filter(|b| **b == b'\n').count();
        Ok(format!("COPY {rows}"))
    }
    async fn copy_fail(&mut self, reason: &str) -> Failure {
        Failure::new(
            SqlState::QUERY_CANCELED,
            format!("COPY from stdin failed: {reason}"),
        )
    }
    fn status(&self) -> Status {
        self.status
    }
    fn style(&self) -> OutputStyle {
        OutputStyle::default()
    }
    fn reported(&self) -> Reported {
        [
            ("server_version", "15.13".to_owned()),
            ("client_encoding", "UTF8".to_owned()),
        ]
        .into()
    }
    fn take_notices(&mut self) -> Vec<Notice> {
        Vec::new()
    }
    fn pid(&self) -> i32 {
        self.pid
    }
    fn canceller(&self) -> Arc<dyn Canceller> {
        Arc::clone(&self.off) as Arc<dyn Canceller>
    }
}

/// Starts a server on a free port; it stops when the test's runtime does.
pub(super) async fn serve(fake: Fake, config: ServerConfig) -> std::net::SocketAddr {
    serve_until(fake, config, std::future::pending()).await.0
}

/// Likewise until `shutdown` is done; the task ends when the server has.
pub(super) async fn serve_until(
    fake: Fake,
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let config = ServerConfig {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..config
    };
    let server = Server::bind(Arc::new(fake), config).await.unwrap();
    let address = server.addresses()[0];
    let running = tokio::spawn(async move { server.run(shutdown).await.unwrap() });
    (address, running)
}
