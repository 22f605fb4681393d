//! What the sessions of one open engine share: its query memory, its settings, who is connected.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use chronolith_engine::{Engine, Exported};
use chronolith_types::{DatabaseId, JobId, SqlState};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use parking_lot::{Mutex, RwLock};

use crate::cancel::{Cancel, Watchdog};
use crate::error::Error;
use crate::hosts::Hosts;
use crate::insert::KnownKeys;
use crate::notify::{Channels, Mailbox};
use crate::outside::Outside;
use crate::rollups::{Filler, Maintainer, Registry};
use crate::session::drop_left_behind;
use crate::settings::Conf;
use crate::statistics::Statistics;

/// How queries may use the machine.
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Bytes that sorts, joins and groupings of all sessions may hold before they spill or fail.
    pub memory_bytes_max: usize,
    /// How many threads one query uses.
    pub threads: usize,
}

/// One connected session, as `pg_stat_activity` shows it.
#[derive(Debug, Clone)]
pub struct Activity {
    /// The session's number, unique while the engine is open.
    pub pid: i32,
    /// The database it is connected to.
    pub database: String,
    /// Its role.
    pub user: String,
    /// What the client calls itself.
    pub application_name: String,
    /// The client's address, where there is one.
    pub client: Option<String>,
    /// The address that it came to.
    pub server: Option<String>,
    /// When it connected, µs since 1970.
    pub started_us: i64,
    /// When its transaction began.
    pub transaction_us: Option<i64>,
    /// When its last statement began.
    pub statement_us: Option<i64>,
    /// `active`, `idle`, `idle in transaction` …
    pub state: &'static str,
    /// The last statement's text.
    pub query: String,
    /// When its state last changed.
    pub changed_us: i64,
    /// Nobody is connected: a job runs.
    pub background: bool,
    /// Stops what it runs.
    pub cancel: Arc<Cancel>,
    /// What others want it to know.
    pub mailbox: Arc<Mailbox>,
}

/// An open engine with everything its sessions share.
pub struct Instance {
    /// The storage below.
    pub engine: Arc<Engine>,
    /// DataFusion's memory pool and spill files.
    pub runtime: Arc<RuntimeEnv>,
    /// How queries may use the machine.
    pub options: QueryOptions,
    /// Settings that every session starts with, by lower-case name.
    pub settings: RwLock<Arc<BTreeMap<String, String>>>,
    /// Who may come in from where.
    pub hosts: Hosts,
    /// What the files of settings say, and what they said at the start.
    conf: RwLock<(Arc<Conf>, Arc<Conf>)>,
    /// Another number after each time they were read.
    conf_revision: AtomicU64,
    /// The number of the last transaction that was asked for one.
    transactions: AtomicU64,
    /// The way to the files of an administrator.
    outside: RwLock<Option<Arc<dyn Outside>>>,
    /// Definitions of continuous aggregates.
    pub(crate) registry: Arc<Registry>,
    /// Writes their invalid ranges anew.
    pub(crate) filler: Arc<Filler>,
    /// Who listens to what.
    pub(crate) channels: Channels,
    /// Hashes of keys that no chunk keeps.
    pub(crate) known_keys: Arc<KnownKeys>,
    /// What was done since the start.
    pub(crate) statistics: Arc<Statistics>,
    /// Ends statements whose time is over.
    pub(crate) watchdog: Arc<Watchdog>,
    sessions: Mutex<BTreeMap<i32, Activity>>,
    next_pid: AtomicI32,
    next_snapshot: AtomicI32,
    /// The numbers that the next jobs get, by database: never one twice, though the transaction that
    /// asked for it may not come to pass.
    next_jobs: Mutex<BTreeMap<DatabaseId, JobId>>,
    /// Snapshots that transactions lend to others, by name.
    snapshots: Mutex<BTreeMap<String, Weak<Exported>>>,
    /// When the engine was opened, µs since 1970.
    pub started_us: i64,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.filler.stop();
        self.watchdog.stop();
    }
}

impl Instance {
    /// A number for a transaction, greater than those before it: the log has gone on further after
    /// the next start.
    pub(crate) fn number_transaction(&self) -> i64 {
        let logged = self.engine.durable_lsn().0;
        self.transactions.fetch_max(logged, Ordering::Relaxed);
        let last = self.transactions.fetch_add(1, Ordering::Relaxed);
        i64::try_from(last.saturating_add(1)).unwrap_or(i64::MAX)
    }

    /// Over an open engine.
    ///
    /// # Errors
    /// When DataFusion's runtime cannot be made.
    pub fn new(
        engine: Arc<Engine>,
        options: QueryOptions,
        settings: BTreeMap<String, String>,
    ) -> Result<Arc<Self>, Error> {
        let pool = TrackConsumersPool::new(
            FairSpillPool::new(options.memory_bytes_max),
            std::num::NonZeroUsize::MIN.saturating_add(4),
        );
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .build()?;
        let runtime = Arc::new(runtime);
        let registry = Arc::new(Registry::new(&runtime));
        let maintainer = Maintainer::new(Arc::clone(&registry), &runtime);
        engine.set_rollups(Arc::new(maintainer));
        let started_us = engine.clock().wall_us();
        let instance = Arc::new(Self {
            channels: Channels::default(),
            known_keys: Arc::default(),
            statistics: Arc::new(Statistics::taken(&engine)),
            watchdog: Watchdog::new(engine.clock()),
            engine,
            runtime,
            registry,
            filler: Arc::default(),
            options,
            settings: RwLock::new(Arc::new(settings)),
            hosts: Hosts::default(),
            outside: RwLock::default(),
            conf: RwLock::default(),
            conf_revision: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            sessions: Mutex::default(),
            next_pid: AtomicI32::new(1),
            next_jobs: Mutex::default(),
            snapshots: Mutex::default(),
            next_snapshot: AtomicI32::new(1),
            started_us,
        });
        drop_left_behind(&instance.engine)?;
        if instance.engine.works_behind() {
            Filler::start(&instance)?;
        }
        Ok(instance)
    }

    /// Gives it the files of an administrator, and reads them.
    ///
    /// # Errors
    /// F0000 when one of them is wrong.
    pub fn set_outside(&self, outside: Arc<dyn Outside>) -> Result<(), Error> {
        let conf = Arc::new(Conf::read(&*outside));
        if let Some(line) = conf.problem() {
            let error = line.error.clone().unwrap_or_default();
            let place = format!("line {} of file \"{}\"", line.number, line.file);
            let mut problem = Error::new(
                SqlState::CONFIG_FILE_ERROR,
                format!("configuration file \"{}\" contains errors", line.file),
            );
            problem.detail = Some(format!("{error}: {place}"));
            return Err(problem);
        }
        *self.conf.write() = (Arc::clone(&conf), conf);
        *self.outside.write() = Some(outside);
        self.load_hosts()
    }

    /// The files of an administrator, where there are any.
    pub(crate) fn outside(&self) -> Option<Arc<dyn Outside>> {
        self.outside.read().clone()
    }

    /// Reads the files of an administrator again. What is wrong in one is logged, and what it said
    /// before stays in force.
    pub fn reload(&self) {
        tracing::info!("received SIGHUP, reloading configuration files");
        self.load_conf();
        if let Err(error) = self.load_hosts() {
            let detail = error.detail.unwrap_or_default();
            tracing::error!("{}: {detail}", error.message);
            tracing::error!("pg_hba.conf was not reloaded");
        }
    }

    /// What the files of settings say.
    pub(crate) fn conf(&self) -> Arc<Conf> {
        Arc::clone(&self.conf.read().0)
    }

    /// Another number after each time they were read.
    pub(crate) fn conf_revision(&self) -> u64 {
        self.conf_revision.load(Ordering::Acquire)
    }

    fn load_conf(&self) {
        let Some(outside) = self.outside() else {
            return;
        };
        let mut conf = Conf::read(&*outside);
        for line in conf.lines.iter().filter(|line| line.error.is_some()) {
            let error = line.error.as_deref().unwrap_or_default();
            tracing::error!("{error}: line {} of file \"{}\"", line.number, line.file);
        }
        if conf.problem().is_some() {
            tracing::error!("settings were not reloaded");
            return;
        }
        let mut held = self.conf.write();
        conf.keep_started(&held.1);
        for name in &conf.pending {
            tracing::info!("parameter \"{name}\" cannot be changed without restarting the server");
        }
        held.0 = Arc::new(conf);
        drop(held);
        self.conf_revision.fetch_add(1, Ordering::AcqRel);
    }

    fn load_hosts(&self) -> Result<(), Error> {
        let Some(outside) = self.outside() else {
            return Ok(());
        };
        let (named, ssl) = self.hosts_settings();
        let ident_file = self.ident_file();
        self.hosts.load(&*outside, (&named, &ident_file), ssl)
    }

    /// `hba_file`, and whether clients can come in encrypted.
    pub(crate) fn hosts_settings(&self) -> (String, bool) {
        (
            self.file_setting("hba_file"),
            self.file_setting("ssl") == "on",
        )
    }

    /// `ident_file`.
    pub(crate) fn ident_file(&self) -> String {
        self.file_setting("ident_file")
    }

    fn file_setting(&self, name: &str) -> String {
        let (settings, conf) = (self.settings.read(), self.conf());
        let given = settings.get(name).map(String::as_str);
        given
            .or_else(|| conf.value(name))
            .unwrap_or_default()
            .to_owned()
    }

    /// Ends what works behind the sessions; whoever closes the engine does so first.
    pub fn stop(&self) {
        self.filler.stop();
        self.engine.rest();
    }

    /// What a setting holds for who connects: by the command line, or by the files.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        let (settings, conf) = (self.settings.read(), self.conf());
        let given = settings.get(name).map(String::as_str);
        given.or_else(|| conf.value(name)).map(str::to_owned)
    }

    /// What a session's client calls itself, and its address.
    pub(crate) fn session(&self, pid: i32) -> Option<(String, Option<String>)> {
        let sessions = self.sessions.lock();
        let found = sessions.get(&pid)?;
        Some((found.application_name.clone(), found.client.clone()))
    }

    /// Closes the engine, and leaves what was counted for the next start.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn close(&self) -> Result<(), Error> {
        self.stop();
        self.engine.close()?;
        self.statistics.leave(&self.engine, self.started_us);
        Ok(())
    }

    /// A session begins; its number.
    pub fn enter(&self, mut activity: Activity) -> i32 {
        let pid = self.next_pid.fetch_add(1, Ordering::Relaxed);
        activity.pid = pid;
        self.sessions.lock().insert(pid, activity);
        pid
    }

    /// The number of a new job, not below the one that the catalog would give.
    pub(crate) fn job_number(&self, database: DatabaseId, least: JobId) -> JobId {
        let mut next = self.next_jobs.lock();
        let next = next.entry(database).or_default();
        let given = least.max(*next);
        *next = JobId(given.0.saturating_add(1));
        given
    }

    /// Keeps a snapshot for as long as its transaction does; its name.
    pub(crate) fn keep_snapshot(&self, exported: &Arc<Exported>) -> String {
        let number = self.next_snapshot.fetch_add(1, Ordering::Relaxed);
        let name = format!("00000003-{number:08X}-1");
        let mut all = self.snapshots.lock();
        all.retain(|_, known| known.strong_count() > 0);
        all.insert(name.clone(), Arc::downgrade(exported));
        name
    }

    /// A snapshot that a transaction still lends.
    pub(crate) fn snapshot(&self, name: &str) -> Option<Arc<Exported>> {
        self.snapshots.lock().get(name)?.upgrade()
    }

    /// A session ends.
    pub fn leave(&self, pid: i32) {
        self.sessions.lock().remove(&pid);
    }

    /// The addresses of a session's client, and of where it came to.
    pub(crate) fn ends_of(&self, pid: i32) -> (Option<String>, Option<String>) {
        match self.sessions.lock().get(&pid) {
            Some(activity) => (activity.client.clone(), activity.server.clone()),
            None => (None, None),
        }
    }

    /// Change what is shown of a session.
    pub fn update(&self, pid: i32, change: impl FnOnce(&mut Activity)) {
        if let Some(activity) = self.sessions.lock().get_mut(&pid) {
            change(activity);
        }
    }

    /// Who is connected.
    #[must_use]
    pub fn activity(&self) -> Vec<Activity> {
        self.sessions.lock().values().cloned().collect()
    }

    /// End a session; false when there is none of the number.
    #[must_use]
    pub fn terminate(&self, pid: i32) -> bool {
        match self.sessions.lock().get(&pid) {
            Some(activity) => {
                activity.mailbox.terminate();
                activity.cancel.terminate();
                true
            }
            None => false,
        }
    }

    /// Stop what a session runs; false when there is no such session.
    #[must_use]
    pub fn cancel(&self, pid: i32) -> bool {
        match self.sessions.lock().get(&pid) {
            Some(activity) => {
                activity.cancel.cancel();
                true
            }
            None => false,
        }
    }
}
