//! Runs jobs when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chronolith_types::{DatabaseId, JobId};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::run::{self, Stop, is_on};
use super::schedule;
use crate::cancel::Cancel;
use crate::instance::Instance;

/// How long nobody looks whether a job is due: what sessions change counts after so long.
const LOOK_MS: u64 = 500;
/// How long a job is left alone whose run could not be written down.
const REST_MS: u64 = 5_000;
/// How long an end waits for jobs that were told to stop.
const STOP_MS_MAX: u64 = 10_000;

/// Starts jobs that are due, as many at a time as there are. Dropped, it stops.
pub struct Scheduler {
    board: Arc<Board>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler")
            .field("running", &self.board.running.lock().len())
            .finish_non_exhaustive()
    }
}

/// What the scheduler and the runs share. It does not keep the instance open.
struct Board {
    instance: Weak<Instance>,
    running: Mutex<BTreeMap<(DatabaseId, JobId), Running>>,
    /// A run has ended.
    ended: Condvar,
    /// As `ended`, for the one who looks for what is due.
    wake: Notify,
    stop: AtomicBool,
    /// Held while the instance is: who ends the scheduler waits for it, so that nothing here is the
    /// last to let the data directory go.
    looking: Mutex<()>,
    recovered: AtomicBool,
}

struct Running {
    /// None until its session is there.
    cancel: Option<Arc<Cancel>>,
    /// When it is stopped, µs since 1970.
    deadline_us: Option<i64>,
    stop: Option<Stop>,
}

impl Running {
    fn stop(&mut self, why: Stop) {
        self.stop.get_or_insert(why);
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }
}

impl Scheduler {
    /// A scheduler that nobody drives yet.
    #[must_use]
    pub fn new(instance: &Arc<Instance>) -> Self {
        Self {
            board: Arc::new(Board {
                instance: Arc::downgrade(instance),
                running: Mutex::default(),
                ended: Condvar::new(),
                wake: Notify::new(),
                stop: AtomicBool::new(false),
                looking: Mutex::new(()),
                recovered: AtomicBool::new(false),
            }),
        }
    }

    /// Runs jobs on a runtime's threads from now on.
    #[must_use]
    pub fn start(instance: &Arc<Instance>, runtime: &Handle) -> Self {
        let scheduler = Self::new(instance);
        let board = Arc::clone(&scheduler.board);
        runtime.spawn(async move {
            while !board.stop.load(Ordering::Acquire) {
                let sleep = board.look();
                tokio::select! {
                    () = tokio::time::sleep(sleep) => {}
                    () = board.wake.notified() => {}
                }
            }
        });
        scheduler
    }

    /// Runs what is due at this moment of the platform's clock, one job after the other, and waits
    /// for it; which jobs ran. For those who drive it by hand.
    pub async fn run_due(&self) -> Vec<(DatabaseId, JobId)> {
        let Some(instance) = self.board.instance.upgrade() else {
            return Vec::new();
        };
        self.board.recover_once(&instance);
        let (due, _) = self.board.due(&instance);
        for (database, job) in &due {
            self.board.begin(&instance, *database, *job);
            Board::run(&self.board, &instance, *database, *job).await;
        }
        due
    }

    /// Ends it: nothing starts any more, and what runs is told to stop and waited for.
    pub fn stop(&self) {
        self.board.tell_all_to_stop();
        let mut running = self.board.running.lock();
        let most = Duration::from_millis(STOP_MS_MAX);
        self.board
            .ended
            .wait_while_for(&mut running, |running| !running.is_empty(), most);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.board.tell_all_to_stop();
        // Whoever looks has the instance for a moment only.
        drop(self.board.looking.lock());
    }
}

impl Board {
    fn tell_all_to_stop(&self) {
        self.stop.store(true, Ordering::Release);
        for running in self.running.lock().values_mut() {
            running.stop(Stop::Shutdown);
        }
        self.wake.notify_one();
    }

    /// Starts what is due; how long until somebody should look again.
    fn look(self: &Arc<Self>) -> Duration {
        let _looking = self.looking.lock();
        let Some(instance) = self.instance.upgrade() else {
            self.stop.store(true, Ordering::Release);
            return Duration::ZERO;
        };
        if self.stop.load(Ordering::Acquire) {
            return Duration::ZERO;
        }
        self.recover_once(&instance);
        let now_us = instance.engine.clock().wall_us();
        self.stop_late(now_us);
        let (due, wake_us) = self.due(&instance);
        for (database, job) in due {
            if !self.begin(&instance, database, job) {
                continue;
            }
            let board = Arc::clone(self);
            let instance = Arc::clone(&instance);
            tokio::spawn(async move {
                Self::run(&board, &instance, database, job).await;
            });
        }
        let most = Duration::from_millis(LOOK_MS);
        match wake_us.and_then(|wake| u64::try_from(wake.saturating_sub(now_us)).ok()) {
            Some(us) => Duration::from_micros(us).clamp(Duration::from_millis(1), most),
            None => most,
        }
    }

    /// The jobs of all databases that start now, and when the next is due.
    fn due(&self, instance: &Instance) -> (Vec<(DatabaseId, JobId)>, Option<i64>) {
        let catalog = instance.engine.catalog();
        let now_us = instance.engine.clock().wall_us();
        let running = self.running.lock();
        let (mut start, mut wake) = (Vec::new(), None::<i64>);
        for (id, home) in &catalog.databases {
            if home.jobs.all.is_empty() || is_on(instance, Some(home), "timescaledb.restoring") {
                continue;
            }
            let here: BTreeSet<JobId> = running
                .keys()
                .filter(|(database, _)| database == id)
                .map(|(_, job)| *job)
                .collect();
            let due = schedule::due(&home.jobs, &here, now_us);
            start.extend(due.start.into_iter().map(|job| (*id, job)));
            wake = wake.into_iter().chain(due.wake_us).min();
        }
        (start, wake)
    }

    /// Notes that a job is about to run; false when none may.
    fn begin(&self, instance: &Instance, database: DatabaseId, job: JobId) -> bool {
        let catalog = instance.engine.catalog();
        let home = catalog.databases.get(&database);
        let known = home.and_then(|home| home.jobs.all.get(&job));
        let most = known.map(|job| job.max_runtime.span_us());
        let most = most
            .and_then(|us| i64::try_from(us).ok())
            .filter(|us| *us > 0);
        let now_us = instance.engine.clock().wall_us();
        let mut running = self.running.lock();
        if self.stop.load(Ordering::Acquire) {
            return false;
        }
        running.insert(
            (database, job),
            Running {
                cancel: None,
                deadline_us: most.map(|most| now_us.saturating_add(most)),
                stop: None,
            },
        );
        true
    }

    async fn run(self: &Arc<Self>, instance: &Arc<Instance>, database: DatabaseId, job: JobId) {
        let key = (database, job);
        let begin = |cancel: Arc<Cancel>| {
            if let Some(running) = self.running.lock().get_mut(&key) {
                // Told to stop before there was anything to stop.
                if running.stop.is_some() {
                    cancel.cancel();
                }
                running.cancel = Some(cancel);
            }
        };
        let stopped = || {
            self.running
                .lock()
                .get(&key)
                .and_then(|running| running.stop)
        };
        let done = run::run(instance, database, job, begin, stopped).await;
        if let Err(error) = done {
            tracing::error!(job = job.0, %error, "could not write down how a job went");
            self.rest().await;
        }
        self.running.lock().remove(&key);
        self.ended.notify_all();
        self.wake.notify_one();
    }

    /// Where nothing can be written, the same would fail again at once, and fill the log.
    async fn rest(&self) {
        let mut left = REST_MS;
        while left > 0 && !self.stop.load(Ordering::Acquire) {
            tokio::time::sleep(Duration::from_millis(100)).await;
            left = left.saturating_sub(100);
        }
    }

    /// Stops runs that take longer than they may.
    fn stop_late(&self, now_us: i64) {
        for running in self.running.lock().values_mut() {
            if running.deadline_us.is_some_and(|end| end <= now_us) {
                running.stop(Stop::Timeout);
            }
        }
    }

    /// Runs whose end nobody saw, since the process ended before them.
    fn recover_once(&self, instance: &Instance) {
        if self.recovered.swap(true, Ordering::AcqRel) {
            return;
        }
        let catalog = instance.engine.catalog();
        let now_us = instance.engine.clock().wall_us();
        for (id, home) in &catalog.databases {
            let open = home.jobs.all.values().filter(|job| job.stats.open());
            let changes: Vec<_> = open.map(|job| run::crashed(job, now_us)).collect();
            if changes.is_empty() {
                continue;
            }
            if let Err(error) = run::write(instance, *id, changes) {
                tracing::error!(%error, "could not write down which jobs crashed");
            }
        }
    }
}
