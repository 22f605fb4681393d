//! Jobs: what is to run, when, and how it went.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_types::{Interval, JobId, RoleId, TableId};
use serde::{Deserialize, Serialize};

use crate::error::CatalogError;

/// Runs that are remembered of one job, failed and successful ones counted apart.
const RUNS_PER_JOB_MAX: usize = 1000;
/// Runs that are remembered of all jobs together.
const RUNS_MAX: usize = 10_000;
/// How long a run is remembered.
const RUNS_AGE_US_MAX: i64 = 31 * 86_400_000_000;

/// The jobs of a database, and what their runs left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jobs {
    /// By number.
    #[serde(default)]
    pub all: BTreeMap<JobId, Arc<Job>>,
    /// The number the next job gets.
    pub next: JobId,
    /// Runs that ended, by their number, the oldest first.
    #[serde(default)]
    pub runs: BTreeMap<u64, Arc<JobRun>>,
    /// The number the next run gets.
    pub next_run: u64,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            all: BTreeMap::new(),
            next: Self::FIRST,
            runs: BTreeMap::new(),
            next_run: 1,
        }
    }
}

/// Something that runs by itself, again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What it is called, its number in brackets at the end.
    pub application_name: String,
    /// From start to start, or with a drifting schedule from end to start.
    pub schedule_interval: Interval,
    /// After which it is stopped; zero for never.
    pub max_runtime: Interval,
    /// How often a failed run is tried again before the next regular one; -1 for ever.
    pub max_retries: i32,
    /// How long after a failure.
    pub retry_period: Interval,
    /// The schema of what it runs.
    pub proc_schema: String,
    /// What it runs.
    pub proc_name: String,
    /// As whom it runs.
    pub owner: RoleId,
    /// Whether it runs by itself.
    pub scheduled: bool,
    /// Starts lie on a grid from `initial_start`, however long a run takes.
    pub fixed_schedule: bool,
    /// The grid's origin, µs since 1970.
    #[serde(default)]
    pub initial_start: Option<i64>,
    /// In which days and months of the schedule count.
    #[serde(default)]
    pub timezone: Option<String>,
    /// What it is given, as jsonb in its canonical text.
    #[serde(default)]
    pub config: Option<String>,
    /// Schema and name of what checks its config.
    #[serde(default)]
    pub check: Option<(String, String)>,
    /// The hypertable that a policy looks after.
    #[serde(default)]
    pub relation: Option<TableId>,
    /// How it went.
    #[serde(default)]
    pub stats: JobStats,
}

/// What a job's runs add up to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct JobStats {
    /// When the last run began, µs since 1970.
    #[serde(default)]
    pub last_start: Option<i64>,
    /// When it ended; None while it runs, and after a crash.
    #[serde(default)]
    pub last_finish: Option<i64>,
    /// When the last successful one ended.
    #[serde(default)]
    pub last_success: Option<i64>,
    /// How the last one ended.
    #[serde(default)]
    pub succeeded: Option<bool>,
    /// When the next one is due; None for at once.
    #[serde(default)]
    pub next_start: Option<i64>,
    /// Runs begun.
    #[serde(default)]
    pub runs: u64,
    /// Runs that went well.
    #[serde(default)]
    pub successes: u64,
    /// Runs that failed.
    #[serde(default)]
    pub failures: u64,
    /// Runs of which nobody saw the end.
    #[serde(default)]
    pub crashes: u64,
    /// Failures since the last success.
    #[serde(default)]
    pub failures_in_a_row: u32,
    /// Runs since the last other one of which nobody saw the end.
    #[serde(default)]
    pub crashes_in_a_row: u32,
    /// How long runs took that went well, µs in all.
    #[serde(default)]
    pub success_us: i64,
    /// How long runs took that failed, µs in all.
    #[serde(default)]
    pub failure_us: i64,
}

impl JobStats {
    /// Whether a run began whose end is not known.
    #[must_use]
    pub fn open(&self) -> bool {
        self.last_start.is_some() && self.last_finish.is_none()
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobEnd {
    /// Well.
    Success,
    /// With an error.
    Failure {
        /// Its SQLSTATE.
        code: String,
        /// Its words.
        message: String,
    },
    /// With the process.
    Crash,
}

/// A run that ended, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRun {
    /// Of which job.
    pub job: JobId,
    /// Who owned it.
    pub owner: RoleId,
    /// The schema of what ran.
    pub proc_schema: String,
    /// What ran.
    pub proc_name: String,
    /// The session that it ran in.
    pub pid: i32,
    /// When it began, µs since 1970.
    pub start_us: i64,
    /// When it ended; None when nobody saw it.
    pub finish_us: Option<i64>,
    /// What it was given.
    #[serde(default)]
    pub config: Option<String>,
    /// How it ended.
    pub end: JobEnd,
}

/// One change of a database's jobs.
///
/// Variants and fields are only ever added: a log written by any release replays for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobChange {
    /// A new job, or another definition of one: what its runs left stays.
    Set(Box<Job>),
    /// It is gone; its runs are remembered.
    Drop(JobId),
    /// When it is due next.
    SetNextStart {
        /// The job.
        job: JobId,
        /// µs since 1970; None for at once.
        next_start: Option<i64>,
    },
    /// A run begins.
    Started {
        /// The job.
        job: JobId,
        /// µs since 1970.
        at_us: i64,
    },
    /// A run has ended.
    Finished {
        /// The run.
        run: Box<JobRun>,
        /// When the next one is due.
        next_start: Option<i64>,
        /// Whether the run is remembered on its own.
        remember: bool,
    },
}

impl Jobs {
    /// Jobs of users count from here.
    pub const FIRST: JobId = JobId(1000);

    pub(crate) fn change(&mut self, change: &JobChange) -> Result<(), CatalogError> {
        match change {
            JobChange::Set(job) => {
                let mut job = Job::clone(job);
                if let Some(known) = self.all.get(&job.id) {
                    job.stats = known.stats.clone();
                }
                self.next.0 = self.next.0.max(job.id.0.saturating_add(1));
                self.all.insert(job.id, Arc::new(job));
            }
            JobChange::Drop(id) => {
                self.all.remove(id).ok_or(CatalogError::NoJob(*id))?;
            }
            JobChange::SetNextStart { job, next_start } => {
                self.job(*job)?.stats.next_start = *next_start;
            }
            JobChange::Started { job, at_us } => {
                let stats = &mut self.job(*job)?.stats;
                stats.last_start = Some(*at_us);
                stats.last_finish = None;
                stats.runs += 1;
            }
            JobChange::Finished {
                run,
                next_start,
                remember,
            } => {
                // One that was dropped while it ran has nothing left to be told.
                if let Ok(job) = self.job(run.job) {
                    job.stats.ended(run, *next_start);
                }
                if *remember {
                    self.remember(JobRun::clone(run));
                }
            }
        }
        Ok(())
    }

    fn job(&mut self, id: JobId) -> Result<&mut Job, CatalogError> {
        let job = self.all.get_mut(&id).ok_or(CatalogError::NoJob(id))?;
        Ok(Arc::make_mut(job))
    }

    fn remember(&mut self, run: JobRun) {
        let now = run.finish_us.unwrap_or(run.start_us);
        let alike = |other: &JobRun| {
            other.job == run.job && (other.end == JobEnd::Success) == (run.end == JobEnd::Success)
        };
        let of_kind = self.runs.values().filter(|other| alike(other)).count();
        let oldest_of_kind = self
            .runs
            .iter()
            .find(|(_, other)| of_kind >= RUNS_PER_JOB_MAX && alike(other))
            .map(|(number, _)| *number);
        if let Some(number) = oldest_of_kind {
            self.runs.remove(&number);
        }
        if self.runs.len() >= RUNS_MAX {
            self.runs.pop_first();
        }
        self.runs
            .retain(|_, other| other.start_us > now.saturating_sub(RUNS_AGE_US_MAX));
        self.runs.insert(self.next_run, Arc::new(run));
        self.next_run += 1;
    }
}

impl JobStats {
    fn ended(&mut self, run: &JobRun, next_start: Option<i64>) {
        self.last_finish = run.finish_us;
        self.next_start = next_start;
        self.succeeded = Some(run.end == JobEnd::Success);
        let finish_us = run.finish_us.unwrap_or(run.start_us);
        let took_us = finish_us.saturating_sub(run.start_us).max(0);
        self.crashes_in_a_row = match run.end {
            JobEnd::Crash => self.crashes_in_a_row.saturating_add(1),
            _ => 0,
        };
        match run.end {
            JobEnd::Success => {
                self.successes += 1;
                self.success_us = self.success_us.saturating_add(took_us);
                self.failures_in_a_row = 0;
                self.last_success = run.finish_us;
            }
            JobEnd::Failure { .. } => {
                self.failures += 1;
                self.failure_us = self.failure_us.saturating_add(took_us);
                self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            }
            JobEnd::Crash => {
                self.crashes += 1;
                // It is over, though nobody saw when.
                self.last_finish = Some(run.start_us);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn job(id: i32) -> Job {
        Job {
            id: JobId(id),
            application_name: format!("User-Defined Action [{id}]"),
            schedule_interval: Interval {
                us: 3_600_000_000,
                ..Interval::default()
            },
            max_runtime: Interval::default(),
            max_retries: -1,
            retry_period: Interval::default(),
            proc_schema: "public".to_owned(),
            proc_name: "tidy".to_owned(),
            owner: RoleId(10),
            scheduled: true,
            fixed_schedule: true,
            initial_start: None,
            timezone: None,
            config: None,
            check: None,
            relation: None,
            stats: JobStats::default(),
        }
    }

    fn run(id: i32, at: i64, end: JobEnd) -> JobChange {
        JobChange::Finished {
            run: Box::new(JobRun {
                job: JobId(id),
                owner: RoleId(10),
                proc_schema: "public".to_owned(),
                proc_name: "tidy".to_owned(),
                pid: 7,
                start_us: at,
                finish_us: Some(at + 5),
                config: None,
                end,
            }),
            next_start: Some(at + 100),
            remember: true,
        }
    }

    fn failure() -> JobEnd {
        JobEnd::Failure {
            code: "22012".to_owned(),
            message: "division by zero".to_owned(),
        }
    }

    #[test]
    fn a_new_definition_keeps_what_the_runs_left() {
        let mut jobs = Jobs::default();
        jobs.change(&JobChange::Set(Box::new(job(1000)))).unwrap();
        let started = JobChange::Started {
            job: JobId(1000),
            at_us: 10,
        };
        jobs.change(&started).unwrap();
        assert!(jobs.all[&JobId(1000)].stats.open());
        jobs.change(&run(1000, 10, failure())).unwrap();
        jobs.change(&JobChange::Set(Box::new(job(1000)))).unwrap();
        let stats = &jobs.all[&JobId(1000)].stats;
        assert_eq!(
            (stats.runs, stats.failures, stats.failures_in_a_row),
            (1, 1, 1)
        );
        assert_eq!(stats.next_start, Some(110));
        assert!(!stats.open());
    }

    #[test]
    fn a_success_ends_the_row_of_failures() {
        let mut jobs = Jobs::default();
        jobs.change(&JobChange::Set(Box::new(job(1000)))).unwrap();
        jobs.change(&run(1000, 10, failure())).unwrap();
        jobs.change(&run(1000, 20, failure())).unwrap();
        jobs.change(&run(1000, 30, JobEnd::Success)).unwrap();
        let stats = &jobs.all[&JobId(1000)].stats;
        assert_eq!((stats.failures, stats.failures_in_a_row), (2, 0));
        assert_eq!(stats.last_success, Some(35));
        assert_eq!(jobs.runs.len(), 3);
    }

    #[test]
    fn numbers_are_not_given_again() {
        let mut jobs = Jobs::default();
        jobs.change(&JobChange::Set(Box::new(job(1000)))).unwrap();
        jobs.change(&JobChange::Drop(JobId(1000))).unwrap();
        assert_eq!(jobs.next, JobId(1001));
        let again = jobs.change(&JobChange::Drop(JobId(1000)));
        assert_eq!(again, Err(CatalogError::NoJob(JobId(1000))));
    }

    #[test]
    fn a_run_of_a_dropped_job_is_remembered() {
        let mut jobs = Jobs::default();
        jobs.change(&run(1000, 10, failure())).unwrap();
        assert_eq!(jobs.runs.len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut jobs = Jobs::default();
        for at in 0..2 * i64::try_from(RUNS_PER_JOB_MAX).unwrap() {
            jobs.change(&run(1000, at, failure())).unwrap();
        }
        jobs.change(&run(1000, 5, JobEnd::Success)).unwrap();
        assert_eq!(jobs.runs.len(), RUNS_PER_JOB_MAX + 1);
        jobs.change(&run(1001, 2 * RUNS_AGE_US_MAX, JobEnd::Success))
            .unwrap();
        assert_eq!(jobs.runs.len(), 1);
        assert_eq!(jobs.next_run, 2 * RUNS_PER_JOB_MAX as u64 + 3);
    }

    #[test]
    fn a_job_of_an_older_release_is_read() {
        let text = r#"{"id":1000,"application_name":"a","schedule_interval":{"months":0,"days":1,"us":0},
            "max_runtime":{"months":0,"days":0,"us":0},"max_retries":-1,
            "retry_period":{"months":0,"days":0,"us":0},"proc_schema":"public","proc_name":"p",
            "owner":10,"scheduled":true,"fixed_schedule":false}"#;
        let read: Job = serde_json::from_str(text).unwrap();
        assert_eq!(read.stats, JobStats::default());
        assert_eq!(read.schedule_interval.days, 1);
    }
}
