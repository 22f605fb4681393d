//! Hypertables and their chunks.

use super::Db;

fn ticks(db: &mut Db) {
    db.run(
        "CREATE TABLE ticks (time timestamptz NOT NULL, symbol text NOT NULL, price numeric(20,8), \
         PRIMARY KEY (time, symbol))",
    );
    assert_eq!(
        db.query(
            "SELECT create_hypertable('ticks', 'time', chunk_time_interval => INTERVAL '1 day')"
        ),
        ["(1,public,ticks,t)"]
    );
    db.run(
        "INSERT INTO ticks VALUES ('2026-01-01 10:00+00', 'A', 1), ('2026-01-01 10:30+00', 'A', 3), \
         ('2026-01-01 10:10+00', 'B', 2), ('2026-01-02 11:00+00', 'A', 4)",
    );
}

#[test]
fn a_hypertable_answers_alike_hot_and_compressed() {
    let mut db = Db::new();
    ticks(&mut db);
    let candles = "SELECT time_bucket('1 hour', time) AS bucket, symbol, first(price, time), \
         max(price), min(price), last(price, time), count(*) \
         FROM ticks GROUP BY bucket, symbol ORDER BY bucket, symbol";
    let hot = db.query(candles);
    assert_eq!(
        hot,
        [
            "2026-01-01 10:00:00+00|A|1.00000000|3.00000000|1.00000000|3.00000000|2",
            "2026-01-01 10:00:00+00|B|2.00000000|2.00000000|2.00000000|2.00000000|1",
            "2026-01-02 11:00:00+00|A|4.00000000|4.00000000|4.00000000|4.00000000|1",
        ]
    );
    assert_eq!(
        db.query("SELECT show_chunks('ticks')"),
        [
            "_timescaledb_internal._hyper_1_1_chunk",
            "_timescaledb_internal._hyper_1_2_chunk"
        ]
    );
    assert_eq!(
        db.query("SELECT compress_chunk(c) FROM show_chunks('ticks') c"),
        [
            "_timescaledb_internal._hyper_1_1_chunk",
            "_timescaledb_internal._hyper_1_2_chunk"
        ]
    );
    assert_eq!(db.query(candles), hot);
    assert_eq!(
        db.query(
            "SELECT price FROM ticks WHERE symbol = 'A' AND time >= '2026-01-02' ORDER BY time"
        ),
        ["4.00000000"]
    );
    assert_eq!(
        db.query("SELECT price FROM ticks WHERE symbol = 'A' ORDER BY time DESC LIMIT 1"),
        ["4.00000000"]
    );
    assert_eq!(
        db.fails("INSERT INTO ticks VALUES ('2026-01-01 10:00+00', 'A', 9)")
            .0,
        "23505"
    );
}

#[test]
fn chunks_are_dropped_by_age() {
    let mut db = Db::new();
    ticks(&mut db);
    assert_eq!(
        db.query("SELECT drop_chunks('ticks', older_than => timestamptz '2026-01-02')"),
        ["_timescaledb_internal._hyper_1_1_chunk"]
    );
    assert_eq!(db.query("SELECT count(*) FROM ticks"), ["1"]);
    assert_eq!(db.fails("SELECT drop_chunks('ticks')").0, "22023");
}

#[test]
fn a_hypertable_is_made_by_range_and_by_options() {
    let mut db = Db::new();
    db.run("CREATE TABLE a (ts timestamp NOT NULL, v float8)");
    assert_eq!(
        db.query("SELECT * FROM create_hypertable('a', by_range('ts', INTERVAL '1 hour'))"),
        ["1|t"]
    );
    db.run("CREATE TABLE b (n bigint NOT NULL, v int) WITH (tsdb.hypertable, tsdb.partition_column = 'n', tsdb.chunk_interval = '100')");
    db.run("INSERT INTO b SELECT i, i * 2 FROM generate_series(0, 250) i");
    assert_eq!(db.query("SELECT count(*) FROM show_chunks('b')"), ["3"]);
    assert_eq!(
        db.query("SELECT sum(v) FROM b WHERE n >= 100 AND n < 110"),
        ["2090"]
    );
    assert_eq!(db.fails("SELECT create_hypertable('a', 'ts')").0, "TS110");
    assert_eq!(
        db.fails("SELECT create_hypertable('nope', 'ts')").0,
        "42P01"
    );
}

#[test]
fn rows_come_in_the_order_asked_for_however_many_there_are() {
    let mut db = Db::new();
    db.run("CREATE TABLE n (t timestamptz NOT NULL, s text, v numeric)");
    db.run("SELECT create_hypertable('n', by_range('t', INTERVAL '1 day'))");
    db.run(
        "INSERT INTO n SELECT timestamptz '2026-01-01' + i * interval '1 minute', 's' || i % 3, i \
         FROM generate_series(0, 29999) i",
    );
    let rows = db.query("SELECT t, s, sum(v) FROM n GROUP BY t, s ORDER BY t DESC, s");
    assert_eq!(rows.len(), 30_000);
    assert!(
        rows.windows(2).all(|pair| pair[0] > pair[1]),
        "{:?}",
        &rows[..3]
    );
    assert_eq!(rows[0], "2026-01-21 19:59:00+00|s2|29999");
}

#[test]
fn rows_move_into_chunks_when_asked_to() {
    let mut db = Db::new();
    db.run("CREATE TABLE m (t timestamptz NOT NULL, v int)");
    db.run("INSERT INTO m VALUES ('2026-01-01', 1), ('2026-02-01', 2)");
    assert_eq!(db.fails("SELECT create_hypertable('m', 't')").0, "0A000");
    db.run("SELECT create_hypertable('m', 't', migrate_data => true)");
    assert_eq!(db.query("SELECT v FROM m ORDER BY t"), ["1", "2"]);
    assert_eq!(db.query("SELECT count(*) FROM show_chunks('m')"), ["2"]);
    assert_eq!(
        db.query("SELECT compress_chunk(c) FROM show_chunks('m') c")
            .len(),
        2
    );
    assert_eq!(
        db.query("SELECT decompress_chunk(c) FROM show_chunks('m') c")
            .len(),
        2
    );
    assert_eq!(db.query("SELECT v FROM m ORDER BY t"), ["1", "2"]);
}
