//! `add_job`, `alter_job` and `delete_job`; and what all policies are made by.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use chronolith_catalog::{Change, Job, JobChange, JobStats, Privilege};
use chronolith_types::{Interval, JobId, RoleId, SqlState, SqlType, TableId, TimeZone};
use datafusion::common::ScalarValue;

use super::config::Config;
use super::schedule;
use super::target::{POLICY_SCHEMA, belongs};
use crate::effects::{Args, procedure_of, records, text};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Session, Shared, wait_for};

/// A job that is to be.
#[derive(Debug)]
pub(super) struct New {
    /// What it is called; its number comes behind.
    pub(super) name: String,
    pub(super) schedule_interval: Interval,
    pub(super) max_runtime: Interval,
    pub(super) retry_period: Interval,
    /// Schema and name of what it runs.
    pub(super) proc: (String, String),
    pub(super) owner: RoleId,
    pub(super) scheduled: bool,
    pub(super) fixed_schedule: bool,
    pub(super) initial_start: Option<i64>,
    pub(super) timezone: Option<String>,
    pub(super) config: Option<String>,
    pub(super) check: Option<(String, String)>,
    pub(super) relation: Option<TableId>,
}

/// What the arguments of all policies say of when they run.
#[derive(Debug)]
pub(super) struct When {
    pub(super) schedule_interval: Option<Interval>,
    pub(super) initial_start: Option<i64>,
    pub(super) timezone: Option<String>,
}

impl When {
    /// From the arguments schedule_interval, initial_start and timezone.
    pub(super) fn read(
        args: Args<'_>,
        interval: Option<usize>,
        start: usize,
        zone: usize,
    ) -> Result<Self, Error> {
        let timezone = args.text(zone).map(str::to_owned);
        check_zone(timezone.as_deref())?;
        Ok(Self {
            schedule_interval: interval.and_then(|place| span(args, place)),
            initial_start: instant(args, start),
            timezone,
        })
    }
}

/// A policy's job.
pub(super) struct Policy<'a> {
    pub(super) name: &'a str,
    pub(super) proc: &'static str,
    pub(super) schedule_interval: Interval,
    pub(super) max_runtime: Interval,
    pub(super) retry_period: Interval,
    pub(super) config: Config,
}

/// Makes a policy's job. Its schedule drifts unless it was told when to start.
pub(super) fn add_policy(
    shared: &Arc<Shared>,
    target: &super::target::Target,
    when: When,
    policy: Policy<'_>,
) -> Result<JobId, Error> {
    let fixed = when.initial_start.is_some();
    check_schedule(policy.schedule_interval, fixed)?;
    let owner = target.owner();
    may_log_in(shared, owner)?;
    add(
        shared,
        New {
            name: policy.name.to_owned(),
            schedule_interval: policy.schedule_interval,
            max_runtime: policy.max_runtime,
            retry_period: policy.retry_period,
            proc: (POLICY_SCHEMA.to_owned(), policy.proc.to_owned()),
            owner,
            scheduled: true,
            fixed_schedule: fixed,
            initial_start: when.initial_start,
            timezone: when.timezone,
            config: Some(policy.config.text()?),
            check: Some((POLICY_SCHEMA.to_owned(), format!("{}_check", policy.proc))),
            relation: Some(target.table.id),
        },
    )
}

/// Makes a job.
pub(super) fn add(shared: &Arc<Shared>, new: New) -> Result<JobId, Error> {
    let id = shared
        .instance
        .job_number(shared.database, shared.home()?.jobs.next);
    let job = Job {
        id,
        application_name: format!("{} [{id}]", new.name),
        schedule_interval: new.schedule_interval,
        max_runtime: new.max_runtime,
        max_retries: -1,
        retry_period: new.retry_period,
        proc_schema: new.proc.0,
        proc_name: new.proc.1,
        owner: new.owner,
        scheduled: new.scheduled,
        fixed_schedule: new.fixed_schedule,
        initial_start: new.initial_start,
        timezone: new.timezone,
        config: new.config,
        check: new.check,
        relation: new.relation,
        stats: JobStats {
            next_start: new.initial_start,
            ..JobStats::default()
        },
    };
    change(shared, JobChange::Set(Box::new(job)))?;
    Ok(id)
}

pub(super) fn change(shared: &Shared, change: JobChange) -> Result<(), Error> {
    shared.change(Change::Job {
        database: shared.database,
        change,
    })
}

pub(super) fn add_job(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let proc = args.need(args.oid(0), "function or procedure")?;
    let schedule_interval = args.need(span(args, 1), "schedule interval")?;
    let config = args.text(2).map(str::to_owned);
    let initial_start = instant(args, 3);
    let fixed_schedule = args.bool(6).unwrap_or(true);
    let timezone = args.text(7).map(str::to_owned);
    check_zone(timezone.as_deref())?;
    check_schedule(schedule_interval, fixed_schedule)?;
    let proc = procedure_of(shared, proc)?;
    let check = match args.oid(5) {
        Some(oid) => Some(procedure_of(shared, oid)?),
        None => None,
    };
    if let Some(check) = &check {
        check_config(shared, check, config.as_deref())?;
    }
    let owner = role_of(shared)?;
    may_log_in(shared, owner)?;
    let now = shared.with(|state| state.transaction_us);
    let id = add(
        shared,
        New {
            name: args.text(8).unwrap_or("User-Defined Action").to_owned(),
            schedule_interval,
            max_runtime: Interval::default(),
            retry_period: Interval::from_us(5 * 60 * 1_000_000),
            proc,
            owner,
            scheduled: args.bool(4).unwrap_or(true),
            fixed_schedule,
            initial_start: initial_start.or(fixed_schedule.then_some(now)),
            timezone,
            config,
            check,
            relation: None,
        },
    )?;
    Ok(ScalarValue::Int32(Some(id.0)))
}

pub(super) fn alter_job(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let Some(known) = find(shared, args)? else {
        let id = args.integer(0).unwrap_or_default();
        if args.bool(8) != Some(true) {
            return Err(no_job(id));
        }
        shared.notice(
            Severity::Notice,
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("job {id} not found, skipping"),
            ),
        );
        return records(&altered_columns(), &[]);
    };
    if !belongs(shared, known.owner) {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("insufficient permissions to alter job {}", known.id),
        ));
    }
    let mut job = Job::clone(&known);
    if let Some(interval) = span(args, 1) {
        job.schedule_interval = interval;
    }
    if let Some(most) = span(args, 2) {
        job.max_runtime = most;
    }
    if let Some(most) = args.integer(3) {
        job.max_retries = i32::try_from(most).unwrap_or(-1);
    }
    if let Some(period) = span(args, 4) {
        job.retry_period = period;
    }
    if let Some(scheduled) = args.bool(5) {
        job.scheduled = scheduled;
    }
    if let Some(config) = args.text(6) {
        job.config = Some(config.to_owned());
    }
    if let Some(more) = args.text(14) {
        let old = Config::read(job.config.as_deref())?;
        job.config = Some(old.merged(Config::read(Some(more))?).text()?);
    }
    if let Some(check) = args.oid(9) {
        job.check = match check {
            // `check_config => 0` takes the check away.
            0 => None,
            oid => Some(procedure_of(shared, oid)?),
        };
    }
    if let Some(fixed) = args.bool(10) {
        job.fixed_schedule = fixed;
    }
    if let Some(start) = instant(args, 11) {
        job.initial_start = Some(start);
    }
    if let Some(zone) = args.text(12) {
        check_zone(Some(zone))?;
        job.timezone = Some(zone.to_owned());
    }
    if let Some(name) = args.text(13) {
        job.application_name = format!("{name} [{}]", job.id);
    }
    check_schedule(job.schedule_interval, job.fixed_schedule)?;
    if job.fixed_schedule && job.initial_start.is_none() {
        job.initial_start = Some(shared.with(|state| state.transaction_us));
    }
    let changed = job.config != known.config || job.check != known.check;
    if let Some(check) = job.check.as_ref().filter(|_| changed) {
        check_config(shared, check, job.config.as_deref())?;
    }
    let next_start = match (instant(args, 7), known.stats.last_finish) {
        (Some(next), _) => Some(next),
        // Another rhythm counts at once.
        (None, Some(finish)) if job.schedule_interval != known.schedule_interval => {
            Some(schedule::regular(&job, finish))
        }
        _ => known.stats.next_start,
    };
    change(shared, JobChange::Set(Box::new(job.clone())))?;
    if next_start != known.stats.next_start {
        let job = job.id;
        change(shared, JobChange::SetNextStart { job, next_start })?;
    }
    altered(&job, next_start)
}

/// What `alter_job` answers.
fn altered_columns() -> [(&'static str, DataType); 13] {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    [
        ("job_id", DataType::Int32),
        ("schedule_interval", interval.clone()),
        ("max_runtime", interval.clone()),
        ("max_retries", DataType::Int32),
        ("retry_period", interval),
        ("scheduled", DataType::Boolean),
        ("config", DataType::Utf8View),
        ("next_start", instant.clone()),
        ("check_config", DataType::Utf8View),
        ("fixed_schedule", DataType::Boolean),
        ("initial_start", instant),
        ("timezone", DataType::Utf8View),
        ("application_name", DataType::Utf8View),
    ]
}

fn altered(job: &Job, next_start: Option<i64>) -> Result<ScalarValue, Error> {
    let optional = |value: Option<&String>| ScalarValue::Utf8View(value.cloned());
    let instant = |us: Option<i64>| ScalarValue::TimestampMicrosecond(us, Some("UTC".into()));
    let check = job
        .check
        .as_ref()
        .map(|(schema, name)| format!("{schema}.{name}"));
    let row = vec![
        ScalarValue::Int32(Some(job.id.0)),
        span_value(job.schedule_interval),
        span_value(job.max_runtime),
        ScalarValue::Int32(Some(job.max_retries)),
        span_value(job.retry_period),
        ScalarValue::Boolean(Some(job.scheduled)),
        optional(job.config.as_ref()),
        // One that never ran and was not told when starts at once.
        instant(Some(next_start.unwrap_or(i64::MIN))),
        optional(check.as_ref()),
        ScalarValue::Boolean(Some(job.fixed_schedule)),
        instant(job.initial_start),
        optional(job.timezone.as_ref()),
        text(&job.application_name),
    ];
    records(&altered_columns(), &[row])
}

pub(super) fn delete_job(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let Some(id) = args.integer(0) else {
        return Ok(ScalarValue::Null);
    };
    let job = find(shared, args)?.ok_or_else(|| no_job(id))?;
    if !belongs(shared, job.owner) {
        let user = shared.with(|state| state.user.clone());
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("insufficient permissions to delete job for user \"{user}\""),
        ));
    }
    change(shared, JobChange::Drop(job.id))?;
    Ok(ScalarValue::Null)
}

/// Removes the policy of a kind; whether there was one.
pub(super) fn remove_policy(
    shared: &Arc<Shared>,
    target: &super::target::Target,
    proc: &str,
    if_exists: bool,
    missing: &str,
) -> Result<bool, Error> {
    match target.policy(shared, proc)? {
        Some(job) => {
            change(shared, JobChange::Drop(job.id))?;
            Ok(true)
        }
        None if if_exists => {
            shared.notice(
                Severity::Notice,
                Error::new(SqlState::UNDEFINED_OBJECT, format!("{missing}, skipping")),
            );
            Ok(false)
        }
        None => Err(Error::new(SqlState::UNDEFINED_OBJECT, missing)),
    }
}

/// There is a policy of the kind already: an error, or what `if_not_exists` makes of it. The answer
/// is the number that says so.
pub(super) fn exists_already(
    shared: &Shared,
    message: String,
    if_not_exists: bool,
    same: bool,
) -> Result<JobId, Error> {
    let code = SqlState::DUPLICATE_OBJECT;
    if !if_not_exists {
        return Err(Error::new(code, message));
    }
    if same {
        shared.notice(
            Severity::Notice,
            Error::new(code, format!("{message}, skipping")),
        );
    } else {
        shared.notice(
            Severity::Warning,
            Error::new(code, message)
                .detail("A policy already exists with different arguments.")
                .hint("Remove the existing policy before adding a new one."),
        );
    }
    Ok(JobId(-1))
}

fn find(shared: &Shared, args: Args<'_>) -> Result<Option<Arc<Job>>, Error> {
    let id = args.integer(0).and_then(|id| i32::try_from(id).ok());
    let home = shared.home()?;
    Ok(id.and_then(|id| home.jobs.all.get(&JobId(id)).cloned()))
}

pub(crate) fn no_job(id: impl std::fmt::Display) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("job {id} not found"))
}

fn check_config(
    shared: &Arc<Shared>,
    check: &(String, String),
    config: Option<&str>,
) -> Result<(), Error> {
    if check.0 == POLICY_SCHEMA {
        return super::policy::check(shared, &check.1, config);
    }
    run_check(shared, check, config)
}

/// What a user's own function says of a config: an error, or nothing.
fn run_check(
    shared: &Arc<Shared>,
    (schema, name): &(String, String),
    config: Option<&str>,
) -> Result<(), Error> {
    let home = shared.home()?;
    let found = home.schema_named(schema).and_then(|schema| {
        let mut own = home.routines_named(schema.id, name);
        own.find(|routine| routine.types().eq(&[SqlType::Jsonb]))
    });
    let routine = found.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function or procedure {schema}.{name}(config jsonb) not found"),
        )
        .hint("The check function's signature must be (config jsonb).")
    })?;
    let config = ScalarValue::Utf8View(config.map(str::to_owned)).to_array()?;
    let mut session = Session::beside(shared);
    wait_for(async { session.run_routine(routine, &[config]).await.map(|_| ()) })
}

/// 42501 for a role that could not run what it owns.
fn may_log_in(shared: &Shared, owner: RoleId) -> Result<(), Error> {
    let catalog = shared.catalog();
    match catalog.roles.get(&owner) {
        Some(role) if !role.privileges.contains(&Privilege::Login) => Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!(
                "permission denied to start background process as role \"{}\"",
                role.name
            ),
        )
        .hint("Hypertable owner must have LOGIN permission to run background tasks.")),
        _ => Ok(()),
    }
}

fn role_of(shared: &Shared) -> Result<RoleId, Error> {
    let user = shared.with(|state| state.user.clone());
    let catalog = shared.catalog();
    catalog
        .role_named(&user)
        .map(|role| role.id)
        .ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("role \"{user}\" does not exist"),
            )
        })
}

fn check_zone(zone: Option<&str>) -> Result<(), Error> {
    match zone {
        Some(name) if TimeZone::parse(name).is_none() => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("time zone \"{name}\" not recognized"),
        )),
        _ => Ok(()),
    }
}

/// A grid of months and days at once has no slots.
/// A job that never waits would do nothing but run.
fn check_schedule(interval: Interval, fixed: bool) -> Result<(), Error> {
    if interval.span_us() <= 0 {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "schedule interval must be greater than zero",
        ));
    }
    if fixed && interval.months != 0 && (interval.days != 0 || interval.us != 0) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "month intervals cannot have day or time component",
        )
        .detail("Fixed schedule jobs do not support such schedule intervals.")
        .hint("Express the interval in terms of days or time instead."));
    }
    Ok(())
}

pub(super) fn span(args: Args<'_>, place: usize) -> Option<Interval> {
    match args.get(place)? {
        ScalarValue::IntervalMonthDayNano(Some(span)) => Some(Interval {
            months: span.months,
            days: span.days,
            us: span.nanoseconds / 1000,
        }),
        _ => None,
    }
}

fn span_value(span: Interval) -> ScalarValue {
    let ns = span.us.saturating_mul(1000);
    ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(
        span.months,
        span.days,
        ns,
    )))
}

fn instant(args: Args<'_>, place: usize) -> Option<i64> {
    match args.get(place)? {
        ScalarValue::TimestampMicrosecond(us, _) => *us,
        _ => None,
    }
}
