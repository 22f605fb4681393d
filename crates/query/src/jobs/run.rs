//! One run of one job, with its books.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use chronolith_catalog::{Change, Database, Job, JobChange, JobEnd, JobRun};
use chronolith_engine::Isolation;
use chronolith_types::{DatabaseId, JobId, SqlState};
use futures::FutureExt;

use super::config::span_text;
use super::schedule;
use crate::cancel::Cancel;
use crate::error::Error;
use crate::instance::Instance;
use crate::session::{Session, SessionOptions};

/// Why a run was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It took longer than it may.
    Timeout,
    /// The process ends.
    Shutdown,
}

/// Runs a job and notes how it went. `begin` gets the off switch of its session; `stopped` says
/// afterwards whether somebody used it.
///
/// # Errors
/// When nothing can be written down; then it did not run, or ran and is not noted.
pub(super) async fn run(
    instance: &Arc<Instance>,
    database: DatabaseId,
    job: JobId,
    begin: impl FnOnce(Arc<Cancel>),
    stopped: impl FnOnce() -> Option<Stop>,
) -> Result<(), Error> {
    let catalog = instance.engine.catalog();
    let Some(home) = catalog.databases.get(&database) else {
        return Ok(());
    };
    let Some(job) = home.jobs.all.get(&job).cloned() else {
        return Ok(());
    };
    let start_us = instance.engine.clock().wall_us();
    let started = JobChange::Started {
        job: job.id,
        at_us: start_us,
    };
    write(instance, database, vec![started])?;
    let (pid, done) = in_session(instance, home, &job, begin).await;
    let finish_us = instance.engine.clock().wall_us();
    let stop = stopped();
    let end = match (done, stop) {
        (Ok(()), _) => JobEnd::Success,
        (Err(_), Some(Stop::Timeout)) => failure(&Error::new(
            SqlState::QUERY_CANCELED,
            format!(
                "job {} was canceled because it ran longer than its max_runtime of {}",
                job.id,
                span_text(job.max_runtime)
            ),
        )),
        (Err(_), Some(Stop::Shutdown)) => failure(&Error::new(
            SqlState::new(b"57P01"),
            "terminating background worker due to administrator command",
        )),
        (Err(error), None) => failure(&error),
    };
    let mut changes = ended(
        instance,
        database,
        &job,
        end,
        pid,
        (start_us, finish_us),
        stop,
    );
    changes
        .retain(|change| !matches!(change, JobChange::Set(_)) || exists(instance, database, &job));
    write(instance, database, changes)
}

fn exists(instance: &Instance, database: DatabaseId, job: &Job) -> bool {
    let catalog = instance.engine.catalog();
    let home = catalog.databases.get(&database);
    home.is_some_and(|home| home.jobs.all.contains_key(&job.id))
}

async fn in_session(
    instance: &Arc<Instance>,
    home: &Database,
    job: &Job,
    begin: impl FnOnce(Arc<Cancel>),
) -> (i32, Result<(), Error>) {
    let catalog = instance.engine.catalog();
    let Some(owner) = catalog.roles.get(&job.owner) else {
        let missing = format!("role with OID {} does not exist", job.owner);
        return (0, Err(Error::new(SqlState::UNDEFINED_OBJECT, missing)));
    };
    let options = SessionOptions {
        database: home.name.clone(),
        user: owner.name.clone(),
        application_name: job.application_name.clone(),
        background: true,
        ..SessionOptions::default()
    };
    let mut session = match Session::new(Arc::clone(instance), options) {
        Ok(session) => session,
        Err(error) => return (0, Err(error)),
    };
    begin(session.cancel());
    let done = AssertUnwindSafe(session.run_background(job)).catch_unwind();
    let done = done
        .await
        .unwrap_or_else(|_| Err(Error::internal(format!("job {} panicked", job.id))));
    (session.pid(), done)
}

fn failure(error: &Error) -> JobEnd {
    JobEnd::Failure {
        code: error.code.as_str().to_owned(),
        message: error.message.clone(),
    }
}

/// What a run's end changes.
fn ended(
    instance: &Instance,
    database: DatabaseId,
    job: &Job,
    end: JobEnd,
    pid: i32,
    (start_us, finish_us): (i64, i64),
    stop: Option<Stop>,
) -> Vec<JobChange> {
    // It may have been altered while it ran.
    let catalog = instance.engine.catalog();
    let home = catalog.databases.get(&database);
    let now = home.and_then(|home| home.jobs.all.get(&job.id).cloned());
    let now = now.unwrap_or_else(|| Arc::new(job.clone()));
    let failures = now.stats.failures_in_a_row.saturating_add(1);
    let failed = end != JobEnd::Success;
    // Somebody said when it is to run next while it ran.
    let told = (now.stats.next_start != job.stats.next_start)
        .then_some(now.stats.next_start)
        .flatten();
    let next_start = match (told, stop) {
        (Some(told), _) => told,
        // What the end of the process broke off goes on with the next.
        (None, Some(Stop::Shutdown)) if failed => finish_us,
        _ if failed => schedule::after_failure(&now, failures, finish_us),
        _ => schedule::after_success(&now, finish_us),
    };
    if let JobEnd::Failure { code, message } = &end {
        tracing::warn!(job = job.id.0, code, message, "a job failed");
    }
    let remember = failed || logs_successes(instance);
    let run = JobRun {
        job: job.id,
        owner: job.owner,
        proc_schema: job.proc_schema.clone(),
        proc_name: job.proc_name.clone(),
        pid,
        start_us,
        finish_us: Some(finish_us),
        config: job.config.clone(),
        end,
    };
    let mut changes = vec![JobChange::Finished {
        run: Box::new(run),
        next_start: Some(next_start),
        remember,
    }];
    if failed && stop != Some(Stop::Shutdown) && schedule::gives_up(&now, failures) {
        tracing::warn!(
            job = job.id.0,
            failures,
            "a job reached max_retries and is no longer scheduled"
        );
        let mut job = Job::clone(&now);
        job.scheduled = false;
        changes.push(JobChange::Set(Box::new(job)));
    }
    changes
}

/// A run that the process went down with.
pub(super) fn crashed(job: &Job, now_us: i64) -> JobChange {
    let failures = job.stats.failures_in_a_row.saturating_add(1);
    JobChange::Finished {
        run: Box::new(JobRun {
            job: job.id,
            owner: job.owner,
            proc_schema: job.proc_schema.clone(),
            proc_name: job.proc_name.clone(),
            pid: 0,
            start_us: job.stats.last_start.unwrap_or(now_us),
            finish_us: None,
            config: job.config.clone(),
            end: JobEnd::Crash,
        }),
        next_start: Some(schedule::after_crash(job, failures, now_us)),
        remember: true,
    }
}

fn logs_successes(instance: &Instance) -> bool {
    is_on(instance, None, "timescaledb.enable_job_execution_logging")
}

/// A setting of the server, or of one database.
pub(super) fn is_on(instance: &Instance, home: Option<&Database>, name: &str) -> bool {
    let catalog = instance.engine.catalog();
    let of_home = home.and_then(|home| home.settings.get(name).cloned());
    let value = of_home
        .or_else(|| catalog.settings.get(name).cloned())
        .or_else(|| instance.settings.read().get(name).cloned())
        .or_else(|| instance.conf().value(name).map(str::to_owned));
    value.is_some_and(|value| ["on", "true", "1", "yes"].contains(&value.to_lowercase().as_str()))
}

/// Writes changes of jobs down, in a transaction of their own.
pub(super) fn write(
    instance: &Instance,
    database: DatabaseId,
    changes: Vec<JobChange>,
) -> Result<(), Error> {
    let mut transaction = instance.engine.begin(database, Isolation::ReadCommitted);
    for change in changes {
        transaction.change(Change::Job { database, change })?;
    }
    crate::session::blocking(|| transaction.commit())?;
    Ok(())
}
