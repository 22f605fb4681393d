//! Dumps of TimescaleDB's databases: what PostgreSQL's own programs bring in is what was there.
//!
//! `fixtures/dumps` has the same dump as a script and as an archive of pg_dump's own format. Both were
//! made by pg_dump 15 of a PostgreSQL with stand-ins for TimescaleDB's tables.

use std::path::Path;
use std::process::Command;

use crate::dump::{call, tool};
use crate::program::Serving;

fn fixture(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/dumps");
    root.join(name).to_str().unwrap().to_owned()
}

/// What is asked of a database that the dump was restored to, and what it says.
const ASKED: [(&str, &str); 13] = [
    (
        "SELECT string_agg(t::text, ' ' ORDER BY time, symbol) FROM ticks t",
        "(\"2030-01-04 10:00:00+00\",A,1,10.00000000,1) (\"2030-01-04 10:30:00+00\",A,1,12.00000000,2) \
         (\"2030-01-04 10:40:00+00\",B,2,20.00000000,1) (\"2030-01-05 01:15:00+00\",A,1,13.50000000,4) \
         (\"2030-01-05 01:45:00+00\",A,1,13.00000000,1)",
    ),
    // Those of the 2nd have no raw rows any more.
    (
        "SELECT string_agg(concat_ws(',', to_char(bucket, 'DD-HH24'), symbol, open, high, close, mean, volume, n), ' '
            ORDER BY bucket, symbol) FROM hourly",
        "02-10,A,7.00000000,9.00000000,8.00000000,7.9333333333333333,30,3 \
         02-11,A,8.00000000,8.50000000,8.50000000,8.2500000000000000,20,2 \
         02-11,B,18.00000000,18.00000000,18.00000000,18.0000000000000000,5,1 \
         04-10,A,10.00000000,12.00000000,12.00000000,11.0000000000000000,3,2 \
         04-10,B,20.00000000,20.00000000,20.00000000,20.0000000000000000,1,1 \
         05-01,A,13.50000000,13.50000000,13.00000000,13.2500000000000000,5,2",
    ),
    // That of December has no hours any more.
    (
        "SELECT string_agg(concat_ws(',', day::date, symbol, high, n), ' ' ORDER BY day, symbol) FROM daily",
        "2029-12-28,A,6.00000000,41 2030-01-02,A,9.00000000,5 2030-01-02,B,18.00000000,1 \
         2030-01-04,A,12.00000000,2 2030-01-04,B,20.00000000,1 2030-01-05,A,13.50000000,2",
    ),
    ("SELECT sum(n)::text FROM traded", "11"),
    (
        "SELECT string_agg(concat_ws(',', at, device, value), ' ' ORDER BY at, device) FROM sensors",
        "2030-01-04 00:00:00,1,1.5 2030-01-04 00:00:00,2,3.5 2030-01-05 00:00:00,1,2.5",
    ),
    (
        "SELECT string_agg(concat_ws(',', hypertable_name, num_dimensions, num_chunks, compression_enabled), ' '
            ORDER BY hypertable_name) FROM timescaledb_information.hypertables",
        "counts,1,1,f empty,1,0,f sensors,2,1,f ticks,1,2,t",
    ),
    (
        "SELECT string_agg(concat_ws(',', hypertable_name, column_name, time_interval, integer_interval,
            integer_now_func, num_partitions), ' ' ORDER BY hypertable_name, dimension_number)
            FROM timescaledb_information.dimensions WHERE hypertable_schema = 'public'",
        "counts,at,1000,counted empty,day,30 days sensors,at,7 days sensors,device,2 ticks,time,1 day",
    ),
    (
        "SELECT string_agg(concat_ws(',', attname, segmentby_column_index, orderby_column_index, orderby_asc), ' '
            ORDER BY attname) FROM timescaledb_information.compression_settings",
        "symbol,1 time,1,f",
    ),
    (
        "SELECT string_agg(concat_ws(',', job_id, proc_name, hypertable_name, schedule_interval, config::jsonb -
            'mat_hypertable_id'), ' ' ORDER BY job_id) FROM timescaledb_information.jobs WHERE job_id >= 1000",
        "1000,policy_compression,ticks,12:00:00,{\"hypertable_id\": 1, \"compress_after\": \"7 days\"} \
         1001,policy_retention,ticks,1 day,{\"drop_after\": \"10000 days\", \"hypertable_id\": 1} \
         1002,policy_refresh_continuous_aggregate,hourly,01:00:00,{\"end_offset\": \"01:00:00\", \
         \"start_offset\": \"3 days\"} 1003,tidy,01:00:00,{\"a\": 1}",
    ),
    (
        "SELECT string_agg(concat_ws(',', view_name, materialized_only), ' ' ORDER BY view_name)
            FROM timescaledb_information.continuous_aggregates",
        "daily,f hourly,t weekly,t",
    ),
    (
        "SELECT string_agg(conname, ' ' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'ticks'::regclass",
        "ticks_instrument_fkey ticks_pkey ticks_size_check",
    ),
    // Nothing is left of what candles came in.
    (
        "SELECT coalesce(string_agg(relname, ' '), 'none') FROM pg_class
            WHERE relname ~ '^_(direct|partial)_view_|^_materialized_hypertable_[0-9]+$' AND relname NOT IN
            (SELECT materialization_hypertable_name FROM timescaledb_information.continuous_aggregates)",
        "none",
    ),
    ("SELECT obj_description('hourly'::regclass)", "by the hour"),
];

async fn assert_restored(server: &Serving, database: &str) {
    let client = server.connect_to(database).await;
    for (asked, want) in ASKED {
        let row = client.query_one(asked, &[]).await.unwrap();
        let got: Option<String> = row.get(0);
        assert_eq!(got.as_deref(), Some(want), "{database}: {asked}");
    }
    // What comes later is counted as ever, also in buckets that were taken over.
    let later = "INSERT INTO ticks VALUES ('2030-01-05 01:50+00', 'A', 1, 14, 1), ('2030-01-02 11:59+00', 'B', 2, 30, 1);
        INSERT INTO empty VALUES ('2030-02-01', 4)";
    client.batch_execute(later).await.unwrap();
    let asked =
        "SELECT string_agg(concat_ws(',', bucket, symbol, high, close, n), ' ' ORDER BY bucket)
        FROM hourly WHERE bucket IN ('2030-01-05 01:00+00', '2030-01-02 11:00+00') AND volume > 5";
    let got: String = client.query_one(asked, &[]).await.unwrap().get(0);
    assert_eq!(
        got,
        "2030-01-02 11:00:00+00,A,8.50000000,8.50000000,2 2030-01-02 11:00:00+00,B,30.00000000,30.00000000,2 \
         2030-01-05 01:00:00+00,A,14.00000000,14.00000000,3"
    );
    let asked = "SELECT v FROM weekly";
    let got: i64 = client.query_one(asked, &[]).await.unwrap().get(0);
    assert_eq!(got, 4);
    // What a dump says of a chunk has no effect, until all of it is said to have come.
    let of_chunk = "GRANT SELECT ON _timescaledb_internal._hyper_1_11_chunk TO PUBLIC";
    if !["bracket", "again"].contains(&database) {
        client.batch_execute(of_chunk).await.unwrap();
    }
    let ended = "SELECT timescaledb_post_restore()";
    let ended: bool = client.query_one(ended, &[]).await.unwrap().get(0);
    assert!(ended, "{database}");
    let refused = client.batch_execute(of_chunk).await.unwrap_err();
    let code = refused.code().map(tokio_postgres::error::SqlState::code);
    assert!(
        matches!(code, Some("0A000" | "42P01")),
        "{database}: {refused:?}"
    );
    let row = client.query_one(ASKED[6].0, &[]).await.unwrap();
    let got: Option<String> = row.get(0);
    assert_eq!(got.as_deref(), Some(ASKED[6].1), "{database}");
}

#[tokio::test]
async fn a_dump_of_timescaledb_comes_back_by_psql_and_pg_restore() {
    let (Some(restore), Some(psql)) = (tool("pg_restore"), tool("psql")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Serving::start(&data, &[]);
    let admin = server.connect().await;
    let names = ["plain", "bracket", "one", "custom", "parallel", "halves"];
    for name in names {
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
    }
    let script = fixture("timescaledb.sql");
    let archive = fixture("timescaledb.dump");
    let quiet = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"];
    let run = |database: &str, args: &[&str]| {
        let args: Vec<&str> = quiet.iter().copied().chain(args.iter().copied()).collect();
        call(&psql, &server, database, &args);
    };
    run("plain", &[&script]);
    let bracket = dir.path().join("bracket.sql");
    let text = format!(
        "SELECT timescaledb_pre_restore();\n\\i {script}\nRESET search_path;\nSELECT timescaledb_post_restore();\n"
    );
    std::fs::write(&bracket, text).unwrap();
    run("bracket", &[bracket.to_str().unwrap()]);
    run("one", &[&script, "-1"]);
    call(&restore, &server, "custom", &[&archive]);
    call(&restore, &server, "parallel", &["-j", "3", &archive]);
    call(&restore, &server, "halves", &["--schema-only", &archive]);
    let halves = server.connect_to("halves").await;
    // There is a hypertable of each table that has chunks, and a continuous aggregate over these.
    let asked = "SELECT (SELECT count(*) FROM timescaledb_information.hypertables),
        (SELECT count(*) FROM timescaledb_information.continuous_aggregates)";
    let made = halves.query_one(asked, &[]).await.unwrap();
    assert_eq!((made.get::<_, i64>(0), made.get::<_, i64>(1)), (3, 2));
    for name in names.into_iter().filter(|name| *name != "halves") {
        assert_restored(&server, name).await;
    }
}

#[tokio::test]
async fn what_was_restored_is_dumped_and_restored_again() {
    let (Some(dump), Some(psql)) = (tool("pg_dump"), tool("psql")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Serving::start(&data, &[]);
    let admin = server.connect().await;
    for name in ["origin", "again"] {
        admin
            .batch_execute(&format!("CREATE DATABASE {name}"))
            .await
            .unwrap();
    }
    let quiet = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"];
    let run = |server: &Serving, database: &str, script: &str| {
        let args: Vec<&str> = quiet.iter().copied().chain([script]).collect();
        call(&psql, server, database, &args);
    };
    run(&server, "origin", &fixture("timescaledb.sql"));
    drop(admin);
    assert_eq!(server.terminate(), Some(0));
    let server = Serving::start(&data, &[]);
    let own = call(&dump, &server, "origin", &[]);
    let place = dir.path().join("own.sql");
    std::fs::write(&place, own).unwrap();
    run(&server, "again", place.to_str().unwrap());
    assert_restored(&server, "origin").await;
    assert_restored(&server, "again").await;
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused() {
    let Some(psql) = tool("psql") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("data"), &[]);
    let client = server.connect().await;
    let refused = |error: tokio_postgres::Error| {
        let error = error.as_db_error().unwrap().clone();
        assert_eq!(error.code().code(), "0A000", "{error:?}");
        assert!(
            error.hint().unwrap().contains("decompress_chunk"),
            "{error:?}"
        );
    };
    let table =
        "CREATE TABLE _timescaledb_internal.compress_hyper_4_18_chunk (_ts_meta_count integer,
        \"time\" _timescaledb_internal.compressed_data) WITH (toast_tuple_target='128')";
    refused(client.batch_execute(table).await.unwrap_err());

    // A script without a chunk's compressed rows would lose them without a word.
    let script = std::fs::read_to_string(fixture("timescaledb.sql")).unwrap();
    let row = "11\t1\t_timescaledb_internal\t_hyper_1_11_chunk\t";
    let packed = script.replace(&format!("{row}\\N"), &format!("{row}18"));
    assert_ne!(packed, script);
    let place = dir.path().join("packed.sql");
    std::fs::write(&place, packed).unwrap();
    let output = Command::new(psql)
        .args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-X",
            "-q",
            "-1",
            "-v",
            "ON_ERROR_STOP=1",
        ])
        .args([
            "-d",
            "postgres",
            "-p",
            &server.port.to_string(),
            "-f",
            place.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        said.contains("compressed chunks of TimescaleDB (1, the first one of \"ticks\")"),
        "{said}"
    );
    let count = "SELECT count(*) FROM pg_class WHERE relname = 'ticks'";
    let left: i64 = client.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
}

/// Candles of which finished values say too little stay where they are, and the restore says so.
#[tokio::test]
async fn candles_that_cannot_be_taken_over_are_kept_and_told_of() {
    let Some(psql) = tool("psql") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("data"), &[]);
    let client = server.connect().await;
    let script = std::fs::read_to_string(fixture("timescaledb.sql")).unwrap();
    let script = script.replace("avg(ticks.price) AS mean", "stddev(ticks.price) AS mean");
    let place = dir.path().join("stddev.sql");
    std::fs::write(&place, script).unwrap();
    let output = Command::new(psql)
        .args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
        ])
        .args([
            "-d",
            "postgres",
            "-p",
            &server.port.to_string(),
            "-f",
            place.to_str().unwrap(),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains(
            "rows of continuous aggregate \"hourly\" whose raw rows are gone are not in it"
        ),
        "{said}"
    );
    let kept = "SELECT count(*) FROM _timescaledb_internal._materialized_hypertable_2";
    let kept: i64 = client.query_one(kept, &[]).await.unwrap().get(0);
    assert_eq!(kept, 5);
    let fresh: i64 = client
        .query_one("SELECT count(*) FROM hourly", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(fresh, 3);
}
