//! Jobs and how their runs went, as TimescaleDB's views show them.

use chronolith_catalog::{Database, Job, JobEnd, JobRun, Privilege, Role, Table};
use chronolith_types::text::write_json_string;
use chronolith_types::{Interval, RoleId, TableId};

use super::context::Context;
use super::objects::Relation;
use super::relation::Fill;
use super::rows::{Cell, Rows, count, row};
use crate::error::Error;

/// Before all times.
const NEVER: i64 = i64::MIN;

pub(super) fn fill(schema: &str, name: &str) -> Option<Fill> {
    Some(match (schema, name) {
        ("timescaledb_experimental", "policies") => policies,
        ("timescaledb_information", "jobs") => jobs,
        ("timescaledb_information", "job_stats") => stats,
        ("timescaledb_information", "job_errors") => errors,
        ("timescaledb_information", "job_history") => history,
        ("_timescaledb_catalog", "bgw_job") => catalog_jobs,
        ("_timescaledb_internal", "bgw_job_stat") => catalog_stats,
        ("_timescaledb_internal", "bgw_job_stat_history") => catalog_history,
        _ => return None,
    })
}

fn all(context: &Context) -> Result<impl Iterator<Item = &Job>, Error> {
    Ok(context.home()?.jobs.all.values().map(AsRef::as_ref))
}

fn table_of(home: &Database, id: Option<TableId>) -> Option<&Table> {
    home.tables.get(&id?).map(AsRef::as_ref)
}

/// Schema and name of what a job looks after.
fn names<'a>(home: &'a Database, relation: Option<Relation<'a>>) -> (Cell<'a>, Cell<'a>) {
    match relation {
        Some(relation) => (relation.schema(home).1.into(), relation.name().into()),
        None => (Cell::Null, Cell::Null),
    }
}

fn hypertable<'a>(home: &'a Database, job: &Job) -> Option<Relation<'a>> {
    let table = table_of(home, job.relation)?;
    // The store of a continuous aggregate goes by its view's name.
    let view = table.rollup.as_ref().map(|rollup| rollup.view);
    let view = view.and_then(|view| home.views.get(&view));
    Some(view.map_or(Relation::Table(table), |view| Relation::View(view)))
}

fn jobs<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for job in all(context)? {
        let (schema, name) = names(home, hypertable(home, job));
        let check_schema = job.check.as_ref().map(|check| &check.0);
        let check_name = job.check.as_ref().map(|check| &check.1);
        rows.push(vec![
            job.id.0.into(),
            (&job.application_name).into(),
            job.schedule_interval.into(),
            job.max_runtime.into(),
            job.max_retries.into(),
            job.retry_period.into(),
            (&job.proc_schema).into(),
            (&job.proc_name).into(),
            job.owner.0.into(),
            job.scheduled.into(),
            job.fixed_schedule.into(),
            job.config.as_ref().into(),
            job.stats.next_start.into(),
            job.initial_start.into(),
            schema,
            name,
            check_schema.into(),
            check_name.into(),
        ]);
    }
    Ok(())
}

/// The policies of continuous aggregates.
fn policies<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for job in all(context)? {
        let Some(Relation::View(view)) = hypertable(home, job) else {
            continue;
        };
        let store = table_of(home, job.relation).map(Relation::Table);
        let (schema, name) = names(home, store);
        rows.push(vec![
            (&view.name).into(),
            Relation::View(view).schema(home).1.into(),
            job.schedule_interval.into(),
            (&job.proc_schema).into(),
            (&job.proc_name).into(),
            job.config.as_ref().into(),
            schema,
            name,
        ]);
    }
    Ok(())
}

fn stats<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for job in all(context)? {
        let (schema, name) = names(home, table_of(home, job.relation).map(Relation::Table));
        let running = context.sessions.iter().any(|session| {
            session.database == home.name
                && session.application_name == job.application_name
                && session.state == "active"
        });
        let status = match (running, job.scheduled) {
            (true, _) => "Running",
            (false, false) => "Paused",
            (false, true) => "Scheduled",
        };
        let run = &job.stats;
        let ran = run.runs > 0;
        let last = match (run.last_finish, run.succeeded) {
            (Some(_), Some(true)) => Some("Success"),
            (Some(_), Some(false)) => Some("Failed"),
            _ => None,
        };
        let duration = match (run.last_start, run.last_finish) {
            (Some(start), Some(finish)) if finish > start => {
                Cell::Interval(Interval::from_us(finish - start))
            }
            _ => Cell::Null,
        };
        rows.push(vec![
            schema,
            name,
            job.id.0.into(),
            run.last_start.into(),
            run.last_success.or(ran.then_some(NEVER)).into(),
            last.into(),
            status.into(),
            duration,
            run.next_start.filter(|_| job.scheduled).into(),
            ran.then(|| count(run.runs)).into(),
            ran.then(|| count(run.successes)).into(),
            ran.then(|| count(run.failures + run.crashes)).into(),
        ]);
    }
    Ok(())
}

/// Runs that the role may see: its own, those of roles it is a member of, and all of a database
/// that it owns.
fn runs(context: &Context) -> Result<impl Iterator<Item = (u64, &JobRun)>, Error> {
    let home = context.home()?;
    let me = context.catalog.role_named(&context.user);
    let sees = move |owner: RoleId| me.is_some_and(|me| belongs(me, owner));
    let all = sees(home.owner);
    Ok(home
        .jobs
        .runs
        .iter()
        .filter(move |(_, run)| all || sees(run.owner))
        .map(|(number, run)| (*number, run.as_ref())))
}

fn belongs(role: &Role, to: RoleId) -> bool {
    role.may(Privilege::Superuser) || role.id == to || role.member_of.contains(&to)
}

/// SQLSTATE and message of a run that did not go well.
fn failure(run: &JobRun) -> (Cell<'_>, Cell<'_>) {
    match &run.end {
        JobEnd::Success => (Cell::Null, Cell::Null),
        JobEnd::Failure { code, message } => (code.into(), message.into()),
        JobEnd::Crash => (Cell::Null, "job crash detected, see server logs".into()),
    }
}

fn errors<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (_, run) in runs(context)? {
        if run.end == JobEnd::Success {
            continue;
        }
        let (code, message) = failure(run);
        rows.push(vec![
            run.job.0.into(),
            (&run.proc_schema).into(),
            (&run.proc_name).into(),
            run.pid.into(),
            run.start_us.into(),
            run.finish_us.into(),
            code,
            message,
        ]);
    }
    Ok(())
}

fn history<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (number, run) in runs(context)? {
        let (code, message) = failure(run);
        rows.push(vec![
            count(number).into(),
            run.job.0.into(),
            (run.end == JobEnd::Success).into(),
            (&run.proc_schema).into(),
            (&run.proc_name).into(),
            run.pid.into(),
            run.start_us.into(),
            run.finish_us.into(),
            run.config.as_ref().into(),
            code,
            message,
        ]);
    }
    Ok(())
}

fn catalog_jobs<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for job in all(context)? {
        let hypertable = table_of(home, job.relation).and_then(|table| table.hypertable.as_ref());
        let check_schema = job.check.as_ref().map(|check| &check.0);
        let check_name = job.check.as_ref().map(|check| &check.1);
        rows.push(row![
            job.id.0,
            &job.application_name,
            job.schedule_interval,
            job.max_runtime,
            job.max_retries,
            job.retry_period,
            &job.proc_schema,
            &job.proc_name,
            job.owner.0,
            job.scheduled,
            job.fixed_schedule,
            job.initial_start,
            hypertable.map(|hypertable| hypertable.id.0),
            job.config.as_ref(),
            check_schema,
            check_name,
            job.timezone.as_ref(),
        ]);
    }
    Ok(())
}

/// Of jobs that have begun to run.
fn catalog_stats<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for job in all(context)? {
        let run = &job.stats;
        let Some(start) = run.last_start else {
            continue;
        };
        rows.push(row![
            job.id.0,
            start,
            run.last_finish.unwrap_or(NEVER),
            run.next_start.unwrap_or(NEVER),
            run.last_success.unwrap_or(NEVER),
            run.succeeded.unwrap_or(false),
            count(run.runs),
            Interval::from_us(run.success_us),
            Interval::from_us(run.failure_us),
            count(run.successes),
            count(run.failures),
            count(run.crashes),
            count(u64::from(run.failures_in_a_row)),
            count(u64::from(run.crashes_in_a_row)),
            0,
        ]);
    }
    Ok(())
}

/// Runs, with what was run and how it failed as one document.
fn catalog_history<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (number, run) in runs(context)? {
        rows.push(row![
            count(number),
            run.job.0,
            run.pid,
            run.start_us,
            run.finish_us,
            run.end == JobEnd::Success,
            run_document(run),
        ]);
    }
    Ok(())
}

/// Keys stand in the order that jsonb has them in.
fn run_document(run: &JobRun) -> String {
    let mut text = String::from("{\"job\": {");
    let put = |text: &mut String, key: &str, value: &str| {
        text.push_str(key);
        write_json_string(value, text);
    };
    if let Some(config) = &run.config {
        text.push_str("\"config\": ");
        text.push_str(config);
        text.push_str(", ");
    }
    put(&mut text, "\"proc_name\": ", &run.proc_name);
    put(&mut text, ", \"proc_schema\": ", &run.proc_schema);
    text.push('}');
    if let JobEnd::Failure { code, message } = &run.end {
        put(&mut text, ", \"error_data\": {\"message\": ", message);
        put(&mut text, ", \"sqlerrcode\": ", code);
        text.push('}');
    }
    text.push('}');
    text
}
