//! What storage does that a client sees: loads, sizes, full disks, damaged files.

use std::fmt::Write;
use std::sync::Arc;

use chronolith_engine::EngineConfig;
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Disk, Platform, RealClock, RelPath};
use chronolith_types::SqlState;

use super::{Db, connect, message};

/// A COPY of more than 32 KiB of rows is a load.
fn small() -> EngineConfig {
    EngineConfig {
        hot_bytes_max: 512 << 10,
        background: false,
        ..EngineConfig::default()
    }
}

const COPY: &str = "COPY ticks FROM STDIN WITH (FORMAT csv, HEADER)";

fn create(db: &mut Db) {
    db.run(
        "CREATE TABLE ticks (time timestamptz NOT NULL, symbol text NOT NULL, price numeric(20,8) \
         CHECK (price > 0), id bigint, PRIMARY KEY (time, symbol, id))",
    );
    db.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => INTERVAL '1 day')");
}

/// CSV of rows of three days and four symbols; row `bad` has another end.
fn rows(from: u64, count: u64, bad: Option<(u64, &str)>) -> String {
    let mut data = String::from("time,symbol,price,id\n");
    for row in from..from + count {
        let (day, second) = (1 + row * 3 / (from + count), row % 86_400);
        let end = match bad {
            Some((at, end)) if at == row => end.to_owned(),
            _ => format!("{}.5,{row}", 1 + row % 100),
        };
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let symbol = row % 4;
        let time = format!("2026-01-{day:02} {hour:02}:{minute:02}:{second:02}+00");
        writeln!(data, "{time},S{symbol},{end}").unwrap();
    }
    data
}

fn files(disk: &SimDisk) -> usize {
    disk.list(&RelPath::new("parts").unwrap()).unwrap().len()
}

#[test]
fn a_copy_that_outgrows_its_share_of_memory_becomes_cold_parts() {
    let disk = SimDisk::new(1);
    let mut db = Db::over(&disk, small());
    create(&mut db);
    assert_eq!(db.copy(COPY, &rows(0, 100, None)).unwrap(), ["COPY 100"]);
    assert_eq!(files(&disk), 0, "few rows stay in memory");
    let tag = db.copy(COPY, &rows(1000, 50_000, None)).unwrap();
    assert_eq!(tag, ["COPY 50000"]);
    assert!(files(&disk) >= 6);
    assert!(db.instance.engine.hot_bytes() < 64 << 10);
    let look = "SELECT count(*), min(id), max(id), sum(price), count(DISTINCT symbol) FROM ticks";
    let all = db.query(look);
    assert!(all[0].starts_with("50100|0|50999|"), "{all:?}");
    // In a block, and taken back with it.
    db.run("BEGIN");
    db.copy(COPY, &rows(100_000, 20_000, None)).unwrap();
    assert_eq!(db.query("SELECT count(*) FROM ticks"), ["70100"]);
    let with_block = files(&disk);
    db.run("ROLLBACK");
    assert!(files(&disk) < with_block);
    assert_eq!(db.query(look), all);
    drop(db);
    let mut db = Db::over(&disk.crash(), small());
    assert_eq!(db.query(look), all);
}

#[test]
fn a_copy_that_fails_leaves_nothing_however_much_it_had_written() {
    let disk = SimDisk::new(2);
    let mut db = Db::over(&disk, small());
    create(&mut db);
    db.copy(COPY, &rows(0, 20_000, None)).unwrap();
    let before = files(&disk);
    let cases = [
        (
            "1.5,oops",
            "22P02",
            "COPY ticks, line 39002, column id: \"oops\"",
        ),
        ("-1,40000", "23514", "COPY ticks, line 39002"),
        ("1,", "23502", "COPY ticks, line 39002"),
        (
            "1",
            "22P04",
            "COPY ticks, line 39002: \"2026-01-03 16:23:20+00,S0,1\"",
        ),
    ];
    for (end, code, context) in cases {
        let error = db
            .copy(COPY, &rows(20_000, 40_000, Some((59_000, end))))
            .unwrap_err();
        assert_eq!(error.code.as_str(), code, "{error:?}");
        assert_eq!(error.context.as_deref(), Some(context));
        assert_eq!(files(&disk), before);
        assert_eq!(db.query("SELECT count(*) FROM ticks"), ["20000"]);
    }
    // One row of the many is there already.
    let twice = rows(0, 20_000, None);
    let twice = twice.lines().nth(1 + 7).unwrap();
    let data = rows(100_000, 30_000, None) + twice + "\n";
    let error = db.copy(COPY, &data).unwrap_err();
    assert_eq!(error.code, SqlState::UNIQUE_VIOLATION, "{error:?}");
    assert_eq!(error.constraint.as_deref(), Some("ticks_pkey"));
    let detail = error.detail.unwrap_or_default();
    assert!(
        detail.starts_with("Key (\"time\", symbol, id)=(")
            || detail.starts_with("Key (time, symbol, id)=("),
        "{detail}"
    );
    assert!(detail.ends_with(", S3, 7) already exists."), "{detail}");
    assert_eq!(files(&disk), before);
    assert_eq!(db.query("SELECT count(*) FROM ticks"), ["20000"]);
}

#[test]
fn a_full_disk_refuses_writes_with_53100_and_reads_go_on() {
    let disk = SimDisk::new(3);
    let mut db = Db::over(&disk, small());
    create(&mut db);
    db.copy(COPY, &rows(0, 20_000, None)).unwrap();
    let look = "SELECT count(*), sum(price) FROM ticks";
    let all = db.query(look);
    disk.set_capacity(1);
    for _ in 0..3 {
        let (code, message) = db.fails("INSERT INTO ticks VALUES (now(), 'X', 1, 1)");
        assert_eq!(code, "53100", "{message}");
        let (code, message) = db.fails("CREATE TABLE other (a int)");
        assert_eq!(code, "53100", "{message}");
        let error = db.copy(COPY, &rows(100_000, 20_000, None)).unwrap_err();
        assert_eq!(error.code.as_str(), "53100", "{error:?}");
        assert_eq!(db.query(look), all);
    }
    let before = files(&disk);
    disk.set_capacity(u64::MAX);
    assert_eq!(
        db.run("INSERT INTO ticks VALUES (now(), 'X', 1, 1)"),
        ["INSERT 0 1"]
    );
    db.copy(COPY, &rows(100_000, 20_000, None)).unwrap();
    assert!(files(&disk) > before);
    assert_eq!(db.query("SELECT count(*) FROM ticks"), ["40001"]);
}

#[test]
fn a_damaged_file_is_xx001_with_its_name_and_place_and_others_are_read() {
    let disk = SimDisk::new(4);
    let mut db = Db::over(&disk, small());
    create(&mut db);
    db.copy(COPY, &rows(0, 20_000, None)).unwrap();
    db.run("CREATE TABLE other AS SELECT 1 AS a");
    drop(db);
    let disk = disk.restart();
    let dir = RelPath::new("parts").unwrap();
    let names = disk.list(&dir).unwrap();
    let name = names
        .iter()
        .find(|name| name.ends_with(".parquet"))
        .unwrap();
    disk.flip_bit(&dir.join(name).unwrap(), 100, 3).unwrap();
    let mut db = Db::over(&disk, small());
    for _ in 0..2 {
        let (code, message) =
            db.fails("SELECT sum(price), min(time), max(symbol), sum(id) FROM ticks");
        assert_eq!(code, "XX001", "{message}");
        assert!(message.contains(&format!("parts/{name}")), "{message}");
        assert!(message.contains("at byte 4:"), "{message}");
        assert_eq!(db.query("SELECT a FROM other"), ["1"]);
        let last = "SELECT count(price) FROM ticks WHERE time >= '2026-01-03'";
        assert!(db.query(last)[0].parse::<u32>().unwrap() > 1000);
    }
}

#[test]
fn sizes_before_and_after_compression_are_told() {
    let disk = SimDisk::new(5);
    let mut db = Db::over(&disk, EngineConfig::default());
    create(&mut db);
    db.copy(COPY, &rows(0, 30_000, None)).unwrap();
    let chunks = "SELECT chunk_schema, chunk_name, compression_status, \
         before_compression_total_bytes > 8 * after_compression_total_bytes, \
         before_compression_table_bytes = before_compression_total_bytes, \
         before_compression_index_bytes + after_compression_toast_bytes, node_name \
         FROM chunk_compression_stats('ticks') ORDER BY chunk_name";
    let of_table = "SELECT total_chunks, number_compressed_chunks, \
         before_compression_total_bytes > 8 * after_compression_total_bytes, \
         after_compression_total_bytes \
         FROM hypertable_columnstore_stats('ticks')";
    let none = |n: u8| {
        format!("_timescaledb_internal|_hyper_1_{n}_chunk|Uncompressed|NULL|NULL|NULL|NULL")
    };
    assert_eq!(db.query(chunks), [none(1), none(2), none(3)]);
    assert_eq!(db.query(of_table), ["3|0|NULL|NULL"]);
    db.run("SELECT compress_chunk('_timescaledb_internal._hyper_1_2_chunk')");
    let packed = "_timescaledb_internal|_hyper_1_2_chunk|Compressed|t|t|0|NULL".to_owned();
    assert_eq!(db.query(chunks), [none(1), packed, none(3)]);
    let size = db.query("SELECT pg_total_relation_size('_timescaledb_internal._hyper_1_2_chunk')");
    assert_eq!(db.query(of_table), [format!("3|1|t|{}", size[0])]);
    let before = "SELECT before_compression_total_bytes FROM hypertable_compression_stats('ticks')";
    // 10,000 rows of a time, a symbol, a price and an id, wherever they lay before.
    assert_eq!(db.query(before), [(10_000 * (8 + 16 + 16 + 8)).to_string()]);
    drop(db);
    let mut db = Db::over(&disk.restart(), EngineConfig::default());
    assert_eq!(db.query(of_table), [format!("3|1|t|{}", size[0])]);
    db.run("SELECT decompress_chunk('_timescaledb_internal._hyper_1_2_chunk')");
    assert_eq!(db.query(of_table), ["3|0|NULL|NULL"]);
    db.run("CREATE TABLE plain (a int)");
    let (code, _) = db.fails("SELECT * FROM hypertable_compression_stats('plain')");
    assert_eq!(code, "TS001");
}

#[test]
fn infinite_times_are_refused() {
    let mut db = Db::new();
    create(&mut db);
    for time in ["infinity", "-infinity"] {
        let insert = format!("INSERT INTO ticks VALUES ('{time}', 'A', 1, 1)");
        let refused = ("22008".to_owned(), "timestamp out of range".to_owned());
        assert_eq!(db.fails(&insert), refused);
        let data = format!("time,symbol,price,id\n{time},A,1,1\n");
        assert_eq!(db.copy(COPY, &data).unwrap_err().code.as_str(), "22008");
    }
    db.run("CREATE TABLE days (day date NOT NULL)");
    db.run("SELECT create_hypertable('days', 'day')");
    assert_eq!(db.fails("INSERT INTO days VALUES ('infinity')").0, "22008");
    assert_eq!(
        db.query("SELECT count(*) FROM ticks WHERE time < 'infinity'"),
        ["0"]
    );
}

#[test]
fn a_load_waits_for_a_key_that_may_become_free() {
    let mut platform = Platform::simulated(SimDisk::new(6), 6);
    platform.clock = Arc::new(RealClock::default());
    let mut db = Db::on(platform, small());
    create(&mut db);
    // A row of the load.
    db.run("INSERT INTO ticks VALUES ('2026-01-01 00:00:50+00', 'S2', 1, 50)");
    let mut other = connect(&db.instance);
    let mut run = |db: &Db, sql: &str| db.wait(message(&mut other, sql, None)).unwrap();
    let taken = "BEGIN; DELETE FROM ticks WHERE id = 50";
    db.run("SET lock_timeout = '50ms'");
    let load = rows(0, 10_000, None);
    run(&db, taken);
    let waits = db.copy(COPY, &load).unwrap_err();
    assert_eq!(waits.code.as_str(), "55P03");
    run(&db, "ROLLBACK");
    let stays = db.copy(COPY, &load).unwrap_err();
    assert_eq!(stays.code.as_str(), "23505");
    run(&db, taken);
    run(&db, "COMMIT");
    db.copy(COPY, &load).unwrap();
    assert_eq!(db.query("SELECT count(*) FROM ticks"), ["10000"]);
}

#[test]
fn an_insert_of_many_rows_is_a_load_and_may_read_what_it_writes() {
    let disk = SimDisk::new(6);
    let mut db = Db::over(&disk, small());
    create(&mut db);
    db.copy(COPY, &rows(0, 10_000, None)).unwrap();
    let before = files(&disk);
    let double = "INSERT INTO ticks SELECT time, symbol, price, id + 10000 FROM ticks";
    assert_eq!(db.run(double), ["INSERT 0 10000"]);
    assert!(files(&disk) > before);
    assert!(db.instance.engine.hot_bytes() < 64 << 10);
    let look = "SELECT count(*), sum(id), count(DISTINCT id) FROM ticks";
    assert_eq!(db.query(look), ["20000|199990000|20000"]);
    let with = files(&disk);
    let (code, _) = db.fails(double);
    assert_eq!(code, "23505");
    let negative = "INSERT INTO ticks SELECT time, symbol, 10 - price, id + 50000 FROM ticks";
    assert_eq!(db.fails(negative).0, "23514");
    assert_eq!(files(&disk), with);
    assert_eq!(db.query(look), ["20000|199990000|20000"]);
    // A table that is made of rows, and then cut into chunks.
    db.run("CREATE TABLE copied AS SELECT * FROM ticks");
    db.run("ALTER TABLE copied ADD PRIMARY KEY (time, id)");
    db.run("SELECT create_hypertable('copied', 'time', migrate_data => true)");
    for _ in 0..2 {
        let look = "SELECT count(*), sum(id), count(DISTINCT id) FROM copied";
        assert_eq!(db.query(look), ["20000|199990000|20000"]);
        assert_eq!(
            db.query("SELECT count(*) FROM show_chunks('copied')"),
            ["1"]
        );
        drop(db);
        db = Db::over(&disk.restart(), small());
    }
}

#[test]
fn what_returning_gives_may_be_more_than_memory() {
    let mut db = Db::new();
    db.run(
        "CREATE TABLE t (i int, v int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 30000) i",
    );
    // 300 MB, where queries have 256.
    let update = "UPDATE t SET v = i RETURNING i, repeat(md5(v::text), 320)";
    let rows = db.query(update);
    assert_eq!(rows.len(), 30_000);
    let text = "c4ca4238a0b923820dcc509a6f75849b".repeat(320);
    assert!(rows.contains(&format!("1|{text}")));
    // What the rest of the statement reads is as much as memory holds.
    let with = "WITH u AS (UPDATE t SET v = 1 RETURNING i) SELECT count(*), sum(i) FROM u";
    assert_eq!(db.query(with), ["30000|450015000"]);
}

#[test]
fn what_changes_chunks_waits_for_who_has_locked_them_or_their_table() {
    let mut platform = Platform::simulated(SimDisk::new(6), 6);
    platform.clock = Arc::new(RealClock::default());
    let mut db = Db::on(platform, small());
    create(&mut db);
    db.run(
        "INSERT INTO ticks VALUES ('2026-01-01', 'A', 1, 1), ('2026-01-02', 'A', 1, 1), \
         ('2026-01-03', 'A', 1, 1); SET lock_timeout = '50ms'",
    );
    let mut other = connect(&db.instance);
    let mut run = |db: &Db, sql: &str| db.wait(message(&mut other, sql, None)).unwrap();
    let chunk = "(SELECT min(c::text)::regclass FROM show_chunks('ticks') c)";
    let calls = [
        format!("SELECT count(compress_chunk({chunk}))"),
        format!("SELECT count(decompress_chunk({chunk}))"),
        "SELECT count(*) FROM drop_chunks('ticks', older_than => '2026-01-03'::timestamptz)".into(),
    ];
    run(&db, "BEGIN; LOCK TABLE ticks IN ACCESS EXCLUSIVE MODE");
    for call in &calls {
        assert_eq!(db.fails(call).0, "55P03", "{call}");
    }
    run(&db, "ROLLBACK");
    let packs = calls.first().unwrap();
    run(&db, &format!("BEGIN; {packs}"));
    for call in &calls[1..] {
        assert_eq!(db.fails(call).0, "55P03", "{call}");
    }
    assert_eq!(db.query("SELECT count(*) FROM ticks"), ["3"]);
    run(&db, "COMMIT");
    assert_eq!(db.query(&calls[1]), ["1"]);
    assert_eq!(db.query(&calls[2]), ["2"]);
}
