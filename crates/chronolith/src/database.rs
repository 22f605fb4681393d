//! An open data directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chronolith_engine::{Engine, EngineConfig};
use chronolith_platform::Platform;
use chronolith_query::{Instance, QueryOptions, Scheduler, Session, SessionOptions};
use chronolith_types::SqlState;
use tokio::runtime::{Handle, Runtime};

use crate::appender::Appender;
use crate::config::Config;
use crate::connection::Connection;
use crate::error::Error;
use crate::outside::Files;

/// The database every data directory is born with.
pub(crate) const DATABASE_DEFAULT: &str = "postgres";
/// The superuser every data directory is born with.
pub(crate) const USER_DEFAULT: &str = "postgres";

/// An open data directory. Cloning it is cheap; the directory is released when the last clone, and
/// every connection and session of it, is gone.
///
/// ```
/// use chronolith::Database;
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let db = Database::open(dir.path())?;
/// db.connect()?.execute("CREATE TABLE notes (id int PRIMARY KEY, body text)")?;
/// db.close()?;
///
/// let db = Database::open(dir.path())?;
/// let count: i64 = db.connect()?.query("SELECT count(*) FROM notes")?.single()?;
/// assert_eq!(count, 0);
/// # Ok::<(), chronolith::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    config: Config,
    /// What runs jobs; it ends before the instance that it runs them in.
    scheduler: Option<Scheduler>,
    instance: Arc<Instance>,
    runtime: Runner,
}

/// Where the asynchronous half of a query runs.
#[derive(Debug)]
enum Runner {
    /// Our own threads; None only while dropping.
    Own(Option<Runtime>),
    /// The caller's.
    Given(Handle),
}

impl Drop for Inner {
    fn drop(&mut self) {
        // What works behind holds the engine, and with it the lock of the directory. A caller's threads
        // may be this one: jobs there are told to stop, and not waited for.
        if let (Some(scheduler), Runner::Own(_)) = (&self.scheduler, &self.runtime) {
            scheduler.stop();
        }
        self.instance.stop();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Self::Own(runtime) = self
            && let Some(runtime) = runtime.take()
        {
            // Waiting for its threads would panic when the last clone goes inside a task.
            runtime.shutdown_background();
        }
    }
}

/// Opens a [`Database`] with other than the default configuration.
///
/// ```
/// use chronolith::{Config, Database};
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let mut config = Config::default();
/// config.set("timezone", "Europe/Zurich")?;
/// let db = Database::builder().config(config).open(dir.path())?;
/// let zone: String = db.connect()?.query("SHOW timezone")?.single()?;
/// assert_eq!(zone, "Europe/Zurich");
/// # Ok::<(), chronolith::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    config: Config,
    runtime: Option<Handle>,
    jobs: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            config: Config::default(),
            runtime: None,
            jobs: true,
        }
    }
}

impl Builder {
    /// The configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Runs queries on the threads of this tokio runtime, which must be a multi-threaded one,
    /// instead of starting one of the database's own.
    #[must_use]
    pub fn runtime(mut self, handle: Handle) -> Self {
        self.runtime = Some(handle);
        self
    }

    /// Whether policies and other jobs run by themselves while the database is open, which they do
    /// unless this says false. `CALL run_job` runs one in any case.
    #[must_use]
    pub fn jobs(mut self, run: bool) -> Self {
        self.jobs = run;
        self
    }

    /// Opens the data directory at `path`; makes it when there is none.
    ///
    /// # Errors
    /// F0001 when another process holds the directory, XX001 when its files are damaged, 58030
    /// when they cannot be read or written.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Database, Error> {
        let path = path.as_ref().to_owned();
        let runtime = match self.runtime {
            Some(handle) => Runner::Given(handle),
            None => Runner::Own(Some(own_runtime(self.config.threads)?)),
        };
        let platform = Platform::real(&path).map_err(|source| Error {
            source: Some(Box::new(source)),
            ..Error::new(
                SqlState::IO_ERROR,
                format!("could not open data directory \"{}\"", path.display()),
            )
        })?;
        let files = Files::new(&path, platform.clone());
        let engine = Engine::open(platform, engine_config(&self.config))?;
        let options = QueryOptions {
            memory_bytes_max: usize::try_from(self.config.query_bytes_max).unwrap_or(usize::MAX),
            threads: self.config.threads,
        };
        let instance = Instance::new(engine, options, self.config.settings.clone())?;
        instance.set_outside(Arc::new(files))?;
        let threads = match &runtime {
            Runner::Given(handle) => Some(handle),
            Runner::Own(runtime) => runtime.as_ref().map(Runtime::handle),
        };
        let scheduler = threads
            .filter(|_| self.jobs)
            .map(|threads| Scheduler::start(&instance, threads));
        let inner = Inner {
            path,
            config: self.config,
            scheduler,
            instance,
            runtime,
        };
        Ok(Database {
            inner: Arc::new(inner),
        })
    }
}

fn own_runtime(threads: usize) -> Result<Runtime, Error> {
    // Binding and planning recurse with the statement, so that these threads want a deep stack.
    const STACK_BYTES: usize = 8 * 1024 * 1024;
    // Who waits for a lock keeps its thread, and another takes up the work: with fewer than there are
    // sessions, those who wait could keep the one for whom they wait from ending. Made when needed.
    const WAITING_MAX: usize = 1 << 16;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(WAITING_MAX)
        .thread_name("chronolith")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|source| Error {
            source: Some(Box::new(source)),
            ..Error::new(SqlState::SYSTEM_ERROR, "could not start threads")
        })
}

fn engine_config(config: &Config) -> EngineConfig {
    EngineConfig {
        hot_bytes_max: usize::try_from(config.hot_bytes_max).unwrap_or(usize::MAX),
        ..EngineConfig::default()
    }
}

impl Database {
    /// Opens the data directory at `path` with the default configuration; makes it when there is
    /// none.
    ///
    /// # Errors
    /// As [`Builder::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder().open(path)
    }

    /// Opens with other than the default configuration.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A connection to database `postgres` as its superuser.
    ///
    /// # Errors
    /// As [`Database::connect_to`].
    pub fn connect(&self) -> Result<Connection, Error> {
        self.connect_to(DATABASE_DEFAULT, USER_DEFAULT)
    }

    /// A connection to one of the databases as one of the roles. No password is asked: who can
    /// open the directory can read it.
    ///
    /// # Errors
    /// 3D000 for a database and 28000 for a role that does not exist.
    pub fn connect_to(&self, database: &str, user: &str) -> Result<Connection, Error> {
        let session = self.session(SessionOptions {
            database: database.to_owned(),
            user: user.to_owned(),
            ..SessionOptions::default()
        })?;
        Ok(Connection::new(self.clone(), session))
    }

    /// The asynchronous half of a connection, for servers and asynchronous programs.
    ///
    /// # Errors
    /// As [`Database::connect_to`].
    pub fn session(&self, options: SessionOptions) -> Result<Session, Error> {
        Session::new(Arc::clone(&self.inner.instance), options)
    }

    /// An appender to `table` (`name` or `schema.name`) of database `postgres`.
    ///
    /// # Errors
    /// 42P01 for a table that does not exist, 0A000 for one whose constraints need SQL.
    pub fn appender(&self, table: &str) -> Result<Appender, Error> {
        Appender::new(self.clone(), DATABASE_DEFAULT, table)
    }

    /// Writes every hot row to cold parts and a checkpoint, so that the log is short and the next
    /// opening quick. Nothing is lost without it.
    ///
    /// # Errors
    /// 53100 for a full disk, 58030 for one that fails.
    pub fn flush(&self) -> Result<(), Error> {
        self.engine().flush()?;
        self.engine().checkpoint()?;
        Ok(())
    }

    /// Ends this database: stops its jobs, flushes what is committed, refuses further writes, and keeps
    /// what the `pg_stat_…` views have counted for the next opening.
    ///
    /// # Errors
    /// As [`Database::flush`].
    pub fn close(self) -> Result<(), Error> {
        if let Some(scheduler) = &self.inner.scheduler {
            scheduler.stop();
        }
        self.inner.instance.close()
    }

    /// Reads the files of an administrator again, as `pg_reload_conf()` does. What is wrong in one
    /// is logged, and what it said before stays in force.
    pub fn reload(&self) {
        self.inner.instance.reload();
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How it was opened.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// What all sessions share: who is connected, and how to cancel them.
    #[must_use]
    pub fn instance(&self) -> &Arc<Instance> {
        &self.inner.instance
    }

    /// The storage below.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.inner.instance.engine
    }

    /// Waits for `future` on the database's threads.
    pub(crate) fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if Handle::try_current().is_ok() {
            // Blocking here would panic, or stall the caller's other tasks.
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "a blocking call was made on an asynchronous thread",
            )
            .hint(
                "Call it on a thread of its own, std::thread::spawn, or use Database::session.",
            ));
        }
        self.handle()?.block_on(future)
    }

    fn handle(&self) -> Result<Handle, Error> {
        match &self.inner.runtime {
            Runner::Given(handle) => Ok(handle.clone()),
            Runner::Own(Some(runtime)) => Ok(runtime.handle().clone()),
            Runner::Own(None) => Err(Error::internal("the database is closing")),
        }
    }
}
