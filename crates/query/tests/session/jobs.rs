//! Jobs on a clock that the test sets.

use std::sync::Arc;

use chronolith_catalog::{Change, JobChange};
use chronolith_engine::{EngineConfig, Isolation};
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Platform, SimClock};
use chronolith_query::Scheduler;
use chronolith_types::{DatabaseId, JobId, TimeZone};

use super::{Db, connect};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// A database with a clock and a scheduler that run only when they are told to.
struct Bench {
    db: Db,
    clock: Arc<SimClock>,
    scheduler: Scheduler,
    now_us: i64,
}

impl Bench {
    fn new() -> Self {
        Self::over(&SimDisk::new(7), at("2026-03-01 00:00:00Z"))
    }

    fn over(disk: &SimDisk, now_us: i64) -> Self {
        let clock = Arc::new(SimClock::at(now_us));
        let mut platform = Platform::simulated(disk.clone(), 7);
        platform.clock = clock.clone();
        let mut db = Db::on(platform, EngineConfig::default());
        db.run("SET timezone = 'UTC'");
        let scheduler = Scheduler::new(&db.instance);
        Self {
            db,
            clock,
            scheduler,
            now_us,
        }
    }

    /// Time goes on, and whatever is due runs; the numbers of the jobs that ran.
    fn pass(&mut self, us: i64) -> Vec<i32> {
        self.now_us += us;
        self.clock.set_wall_us(self.now_us);
        let ran = self.db.wait(self.scheduler.run_due());
        let mut ran: Vec<i32> = ran.into_iter().map(|(_, job)| job.0).collect();
        ran.sort_unstable();
        ran
    }

    fn run(&mut self, sql: &str) -> Vec<String> {
        self.db.run(sql)
    }

    fn query(&mut self, sql: &str) -> Vec<String> {
        self.db.query(sql)
    }
}

fn at(text: &str) -> i64 {
    chronolith_types::datetime::parse_timestamptz(text.as_bytes(), &TimeZone::default()).unwrap()
}

const NOTE: &str = "CREATE TABLE runs (job int, at timestamptz, who text); \
    CREATE PROCEDURE note(job_id int, config jsonb) LANGUAGE SQL AS \
    $$ INSERT INTO runs SELECT job_id, now(), current_user $$";

const BROKEN: &str = "CREATE PROCEDURE broken(job_id int, config jsonb) LANGUAGE SQL AS \
    $$ SELECT 1 / (config->>'zero')::int $$";

#[test]
fn a_job_runs_on_its_grid() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run("SELECT add_job('note', '1 hour', initial_start => '2026-03-01 00:30:00+00')");
    assert!(bench.pass(29 * MINUTE_US).is_empty());
    assert_eq!(bench.pass(MINUTE_US), [1000]);
    assert!(bench.pass(59 * MINUTE_US).is_empty());
    // Three slots were missed; the job makes up for them once.
    assert_eq!(bench.pass(3 * HOUR_US), [1000]);
    assert!(bench.pass(0).is_empty());
    assert_eq!(bench.pass(MINUTE_US), [1000]);
    assert_eq!(
        bench.query("SELECT at FROM runs ORDER BY at"),
        [
            "2026-03-01 00:30:00+00",
            "2026-03-01 04:29:00+00",
            "2026-03-01 04:30:00+00"
        ]
    );
    assert_eq!(
        bench.query(
            "SELECT last_run_started_at, last_successful_finish, last_run_status, job_status, \
             next_start, total_runs, total_successes, total_failures \
             FROM timescaledb_information.job_stats"
        ),
        [
            "2026-03-01 04:30:00+00|2026-03-01 04:30:00+00|Success|Scheduled|\
          2026-03-01 05:30:00+00|3|3|0"
        ]
    );
    assert!(
        bench
            .query("SELECT * FROM timescaledb_information.job_history")
            .is_empty(),
        "successes are noted one by one only when somebody asks for it"
    );
}

#[test]
fn a_drifting_job_starts_at_once_and_then_after_each_end() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run("SELECT add_job('note', '1 hour', fixed_schedule => false)");
    assert_eq!(bench.pass(7 * MINUTE_US), [1000]);
    assert!(bench.pass(59 * MINUTE_US).is_empty());
    assert_eq!(bench.pass(MINUTE_US), [1000]);
}

#[test]
fn a_failing_job_is_recorded_and_tried_again_at_growing_distances() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run(BROKEN);
    bench.run(
        "SELECT add_job('broken', '1 hour', config => '{\"zero\": 0}', fixed_schedule => false)",
    );
    bench.run("SELECT add_job('note', '1 minute', fixed_schedule => false)");
    assert_eq!(bench.pass(0), [1000, 1001]);
    // Five minutes, ten, twenty; what fails stops nothing else.
    for minutes in [5, 10, 20] {
        assert_eq!(bench.pass((minutes - 1) * MINUTE_US), [1001]);
        assert_eq!(bench.pass(MINUTE_US), [1000, 1001]);
    }
    assert_eq!(
        bench.query(
            "SELECT job_id, proc_schema, proc_name, pid > 0, start_time, finish_time, sqlerrcode, \
             err_message FROM timescaledb_information.job_errors ORDER BY start_time LIMIT 2"
        ),
        [
            "1000|public|broken|t|2026-03-01 00:00:00+00|2026-03-01 00:00:00+00|22012|division by zero",
            "1000|public|broken|t|2026-03-01 00:05:00+00|2026-03-01 00:05:00+00|22012|division by zero",
        ]
    );
    assert_eq!(
        bench.query(
            "SELECT id, job_id, succeeded, config, sqlerrcode \
             FROM timescaledb_information.job_history ORDER BY id LIMIT 1"
        ),
        ["1|1000|f|{\"zero\": 0}|22012"]
    );
    assert_eq!(
        bench.query(
            "SELECT last_successful_finish, last_run_status, total_runs, total_successes, \
             total_failures, next_start FROM timescaledb_information.job_stats WHERE job_id = 1000"
        ),
        ["-infinity|Failed|4|0|4|2026-03-01 01:15:00+00"]
    );
    bench.run("SELECT alter_job(1000, config => '{\"zero\": 1}')");
    assert_eq!(bench.pass(40 * MINUTE_US), [1000, 1001]);
    assert_eq!(
        bench.query(
            "SELECT last_run_status, total_successes, total_failures, next_start \
             FROM timescaledb_information.job_stats WHERE job_id = 1000"
        ),
        ["Success|1|4|2026-03-01 02:15:00+00"]
    );
}

#[test]
fn a_job_that_reached_max_retries_is_no_longer_scheduled() {
    let mut bench = Bench::new();
    bench.run(BROKEN);
    bench.run(
        "SELECT add_job('broken', '1 hour', config => '{\"zero\": 0}', fixed_schedule => false)",
    );
    bench.run("SELECT alter_job(1000, max_retries => 2)");
    assert_eq!(bench.pass(0), [1000]);
    assert_eq!(bench.pass(HOUR_US), [1000]);
    assert!(bench.pass(100 * DAY_US).is_empty());
    assert_eq!(
        bench.query("SELECT scheduled FROM timescaledb_information.jobs"),
        ["f"]
    );
    bench.run("SELECT alter_job(1000, scheduled => true, config => '{\"zero\": 1}')");
    assert_eq!(bench.pass(0), [1000]);
}

#[test]
fn a_job_runs_as_its_owner_and_is_paused_and_moved_by_alter_job() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run("CREATE ROLE bob LOGIN");
    bench.run("GRANT INSERT ON runs TO bob");
    bench.run("SET ROLE bob");
    bench.run("SELECT add_job('note', '1 day', initial_start => '2030-01-01 00:00:00+00')");
    bench.run("RESET ROLE");
    assert!(bench.pass(DAY_US).is_empty());
    bench.run("SELECT alter_job(1000, next_start => now())");
    bench.run("SELECT alter_job(1000, scheduled => false)");
    assert!(bench.pass(0).is_empty());
    bench.run("SELECT alter_job(1000, scheduled => true)");
    assert_eq!(bench.pass(0), [1000]);
    assert_eq!(bench.query("SELECT who FROM runs"), ["bob"]);
    bench.run("CREATE ROLE eve LOGIN");
    bench.run("SET ROLE eve");
    for sql in [
        "SELECT alter_job(1000, scheduled => false)",
        "SELECT delete_job(1000)",
        "CALL run_job(1000)",
    ] {
        assert_eq!(bench.db.fails(sql).0, "42501", "{sql}");
    }
    bench.run("RESET ROLE");
    let (code, _) = bench.db.fails("DROP ROLE bob");
    assert_eq!(code, "2BP01");
}

#[test]
fn nothing_runs_while_a_database_is_restored() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run("SELECT add_job('note', '1 hour')");
    bench.run("ALTER DATABASE postgres SET timescaledb.restoring = 'on'");
    assert!(bench.pass(HOUR_US).is_empty());
    bench.run("ALTER DATABASE postgres SET timescaledb.restoring = 'off'");
    assert_eq!(bench.pass(0), [1000]);
}

#[test]
fn successes_are_noted_when_the_server_says_so() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run("ALTER SYSTEM SET timescaledb.enable_job_execution_logging = 'on'");
    bench.run("SELECT add_job('note', '1 hour')");
    assert_eq!(bench.pass(0), [1000]);
    assert_eq!(
        bench.query(
            "SELECT id, job_id, succeeded, proc_name, start_time, sqlerrcode \
             FROM timescaledb_information.job_history"
        ),
        ["1|1000|t|note|2026-03-01 00:00:00+00|NULL"]
    );
    assert!(
        bench
            .query("SELECT * FROM timescaledb_information.job_errors")
            .is_empty()
    );
}

#[test]
fn jobs_and_their_books_survive_a_restart_and_a_crash_is_noted() {
    let disk = SimDisk::new(7);
    let start = at("2026-03-01 00:00:00Z");
    let mut bench = Bench::over(&disk, start);
    bench.run(NOTE);
    bench.run(BROKEN);
    bench.run("SELECT add_job('note', '1 hour')");
    bench.run("SELECT add_job('broken', '1 hour', config => '{\"zero\": 0}')");
    assert_eq!(bench.pass(0), [1000, 1001]);
    // The process goes down while the job runs again.
    let engine = &bench.db.instance.engine;
    let mut transaction = engine.begin(DatabaseId(5), Isolation::ReadCommitted);
    let change = JobChange::Started {
        job: JobId(1000),
        at_us: start + HOUR_US,
    };
    transaction
        .change(Change::Job {
            database: DatabaseId(5),
            change,
        })
        .unwrap();
    transaction.commit().unwrap();
    drop(bench);

    let mut bench = Bench::over(&disk, start + HOUR_US + MINUTE_US);
    assert_eq!(bench.pass(0), [1001], "the crashed one waits a little");
    assert_eq!(
        bench.query(
            "SELECT job_id, start_time, finish_time, sqlerrcode, err_message \
             FROM timescaledb_information.job_errors ORDER BY start_time, job_id"
        ),
        [
            "1001|2026-03-01 00:00:00+00|2026-03-01 00:00:00+00|22012|division by zero",
            "1000|2026-03-01 01:00:00+00|NULL|NULL|job crash detected, see server logs",
            "1001|2026-03-01 01:01:00+00|2026-03-01 01:01:00+00|22012|division by zero",
        ]
    );
    assert_eq!(
        bench.query(
            "SELECT job_id, total_runs, total_successes, total_failures, next_start \
             FROM timescaledb_information.job_stats ORDER BY 1"
        ),
        [
            "1000|2|1|1|2026-03-01 01:06:00+00",
            "1001|2|0|2|2026-03-01 01:11:00+00"
        ]
    );
    assert_eq!(bench.pass(5 * MINUTE_US), [1000]);
    assert_eq!(bench.query("SELECT count(*) FROM runs"), ["2"]);
}

#[test]
fn a_compression_policy_compresses_what_is_old_enough() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE ticks (time timestamptz NOT NULL, symbol text, price int)");
    bench.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => INTERVAL '1 day')");
    let refused = bench
        .db
        .fails("SELECT add_compression_policy('ticks', INTERVAL '7 days')");
    assert_eq!(
        refused,
        (
            "55000".to_owned(),
            "columnstore not enabled on hypertable \"ticks\"".to_owned()
        )
    );
    bench.run(
        "ALTER TABLE ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol')",
    );
    bench.run("INSERT INTO ticks SELECT timestamptz '2026-02-28 12:00+00' - d * INTERVAL '1 day', 'A', d FROM generate_series(0, 19) d");
    bench.run("SELECT add_compression_policy('ticks', INTERVAL '7 days')");
    assert_eq!(bench.pass(0), [1000]);
    let chunks = "SELECT is_compressed, count(*), min(range_start), max(range_end) \
        FROM timescaledb_information.chunks GROUP BY 1 ORDER BY 1";
    assert_eq!(
        bench.query(chunks),
        [
            "f|7|2026-02-22 00:00:00+00|2026-03-01 00:00:00+00",
            "t|13|2026-02-09 00:00:00+00|2026-02-22 00:00:00+00",
        ]
    );
    assert_eq!(
        bench.query("SELECT count(*), sum(price) FROM ticks"),
        ["20|190"]
    );
    assert_eq!(
        bench.query("SELECT next_start FROM timescaledb_information.jobs"),
        ["2026-03-01 12:00:00+00"]
    );
    assert!(bench.pass(11 * HOUR_US).is_empty());
    assert_eq!(bench.pass(13 * HOUR_US), [1000]);
    assert_eq!(
        bench.query(chunks).first().unwrap(),
        "f|6|2026-02-23 00:00:00+00|2026-03-01 00:00:00+00"
    );
}

#[test]
fn a_retention_policy_drops_whole_chunks_that_are_old_enough() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE ticks (time timestamptz NOT NULL, symbol text, price int)");
    bench.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => INTERVAL '1 day')");
    bench.run("INSERT INTO ticks SELECT timestamptz '2026-02-28 12:00+00' - d * INTERVAL '1 day', 'A', d FROM generate_series(0, 19) d");
    bench.run("SELECT add_retention_policy('ticks', INTERVAL '36 hours')");
    assert_eq!(bench.pass(0), [1000]);
    assert_eq!(
        bench.query("SELECT min(time), count(*) FROM ticks"),
        ["2026-02-27 12:00:00+00|2"]
    );
    assert_eq!(bench.pass(DAY_US), [1000]);
    assert_eq!(
        bench.query("SELECT min(time), count(*) FROM ticks"),
        ["2026-02-28 12:00:00+00|1"]
    );
}

#[test]
fn a_reorder_policy_leaves_finished_chunks_in_one_part() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE ticks (time timestamptz NOT NULL, symbol text, price int)");
    bench.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => INTERVAL '1 day')");
    bench.run("INSERT INTO ticks SELECT timestamptz '2026-02-28 12:00+00' - d * INTERVAL '1 day', 'A', d FROM generate_series(0, 4) d");
    bench.run("SELECT add_reorder_policy('ticks', 'ticks_time_idx')");
    for _ in 0..4 {
        assert_eq!(bench.pass(12 * HOUR_US), [1000]);
    }
    let catalog = bench.db.instance.engine.catalog();
    let home = &catalog.databases[&DatabaseId(5)];
    let table = home.tables.values().find(|table| table.name == "ticks");
    let parts: Vec<_> = table
        .unwrap()
        .chunks
        .values()
        .map(|chunk| (chunk.parts.len(), chunk.compressed))
        .collect();
    // The three newest may still grow.
    let mut sorted = parts.clone();
    sorted.sort_unstable();
    assert_eq!(
        sorted,
        [(0, false), (0, false), (0, false), (1, false), (1, false)]
    );
    assert_eq!(bench.query("SELECT count(*) FROM ticks"), ["5"]);
}

#[test]
fn two_sessions_never_give_one_number_to_two_jobs() {
    let mut bench = Bench::new();
    bench.run(NOTE);
    bench.run("BEGIN");
    assert_eq!(bench.query("SELECT add_job('note', '1 hour')"), ["1000"]);
    let mut other = connect(&bench.db.instance);
    std::mem::swap(&mut other, &mut bench.db.session);
    assert_eq!(bench.query("SELECT add_job('note', '1 hour')"), ["1001"]);
    std::mem::swap(&mut other, &mut bench.db.session);
    bench.run("COMMIT");
    assert_eq!(
        bench.query("SELECT job_id FROM timescaledb_information.jobs ORDER BY 1"),
        ["1000", "1001"]
    );
}

#[test]
fn a_chunk_that_retention_drops_meanwhile_is_no_failure_of_compression() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE ticks (time timestamptz NOT NULL, symbol text, price int)");
    bench.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => INTERVAL '1 day')");
    bench.run(
        "ALTER TABLE ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol')",
    );
    bench.run("INSERT INTO ticks SELECT timestamptz '2026-02-28 12:00+00' - d * INTERVAL '1 day', 'A', d FROM generate_series(0, 9) d");
    bench.run("SELECT add_compression_policy('ticks', INTERVAL '3 days')");
    bench.run("BEGIN ISOLATION LEVEL REPEATABLE READ");
    bench.run("SELECT count(*) FROM ticks");
    let mut other = connect(&bench.db.instance);
    std::mem::swap(&mut other, &mut bench.db.session);
    bench.run("SELECT drop_chunks('ticks', older_than => timestamptz '2026-02-22 00:00+00')");
    std::mem::swap(&mut other, &mut bench.db.session);
    // This transaction still sees the chunks that are gone.
    bench.run("CALL run_job(1000)");
    bench.run("COMMIT");
    assert_eq!(
        bench.query("SELECT is_compressed, count(*) FROM timescaledb_information.chunks GROUP BY 1 ORDER BY 1"),
        ["f|3", "t|4"]
    );
}
