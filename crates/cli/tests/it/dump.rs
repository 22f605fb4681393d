//! pg_dump and pg_restore, where they are installed: what comes back is what was dumped.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::Serving;

/// PostgreSQL's own programs, at the version that the server answers as.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let found = PathBuf::from("/usr/lib/postgresql/15/bin").join(name);
    found.exists().then_some(found)
}

pub(crate) fn call(tool: &Path, server: &Serving, database: &str, args: &[&str]) -> String {
    let output = Command::new(tool)
        .args(["-h", "127.0.0.1", "-U", "postgres", "-d", database, "-p"])
        .arg(server.port.to_string())
        .args(args)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tool:?} {args:?}: {errors}");
    assert!(errors.is_empty(), "{tool:?} {args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A dump without what differs from one to the next, in an order of its own.
fn sorted(dump: &str) -> Vec<&str> {
    let mut lines: Vec<_> = dump.lines().collect();
    lines.retain(|line| !line.contains("restrict "));
    lines.sort_unstable();
    lines
}

const SEED: &str = "
CREATE ROLE reader LOGIN;
CREATE SCHEMA ref;
CREATE TYPE ref.side AS ENUM ('buy', 'sell');
CREATE DOMAIN ref.positive AS integer CHECK (VALUE > 0);
CREATE SEQUENCE ref.orders START 5 INCREMENT 2;
CREATE TABLE ref.instruments (id serial PRIMARY KEY, symbol text NOT NULL UNIQUE, tags text[],
    meta jsonb, lot ref.positive DEFAULT 1, CHECK (length(symbol) < 20));
COMMENT ON TABLE ref.instruments IS 'what is traded';
COMMENT ON COLUMN ref.instruments.symbol IS 'its ''name''';
INSERT INTO ref.instruments (symbol, tags, meta) VALUES ('A', '{x,\"y z\"}', '{\"a\": 1}'), ('B', NULL, NULL);
CREATE TABLE notes (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instrument integer REFERENCES ref.instruments(id) ON DELETE SET NULL, body text,
    words integer GENERATED ALWAYS AS (length(body)) STORED);
CREATE INDEX notes_lower ON notes (lower(body)) WHERE words > 3;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := upper(NEW.body); RETURN NEW; END $$;
CREATE TRIGGER shouts BEFORE INSERT ON notes FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO notes (instrument, body) VALUES (1, 'hello'), (NULL, E'tab\\there');
GRANT SELECT ON notes TO reader;
GRANT USAGE ON SCHEMA ref TO reader;
CREATE EXTENSION btree_gist;
CREATE TABLE stays (room integer, during tstzrange, CONSTRAINT apart
    EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (room > 0) DEFERRABLE, EXCLUDE (lower(during) WITH =));
INSERT INTO stays VALUES (1, '[2030-01-01,2030-01-02)'), (1, '[2030-01-02,2030-01-05)'), (0, '[2030-01-03,)');
CREATE TABLE fills (time timestamptz NOT NULL, instrument integer NOT NULL REFERENCES ref.instruments(id),
    side ref.side, price numeric(18,8), qty float8, UNIQUE (time, instrument));
SELECT create_hypertable('fills', 'time', chunk_time_interval => INTERVAL '1 day');
ALTER TABLE fills SET (timescaledb.compress, timescaledb.compress_segmentby = 'instrument', timescaledb.compress_orderby = 'time DESC');
INSERT INTO fills SELECT t, 1 + (extract(epoch FROM t)::int / 3600) % 2, 'buy', 1.5, 2
    FROM generate_series('2030-01-01'::timestamptz, '2030-01-05', '30 minutes') t;
SELECT add_compression_policy('fills', INTERVAL '7 days');
SELECT add_retention_policy('fills', INTERVAL '10000 days');
CREATE MATERIALIZED VIEW hourly WITH (timescaledb.continuous) AS
    SELECT time_bucket('1 hour', time) AS bucket, instrument, count(*) AS n, sum(qty) AS qty, max(price) AS high
    FROM fills GROUP BY 1, 2;
CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
    SELECT time_bucket('1 day', bucket) AS day, instrument, sum(n) AS n FROM hourly GROUP BY 1, 2;
SELECT add_continuous_aggregate_policy('hourly', start_offset => INTERVAL '3 days',
    end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '1 hour');
COMMENT ON VIEW hourly IS 'by the hour';
GRANT SELECT ON hourly TO reader;
CREATE TABLE counts (at bigint NOT NULL, device integer, value float8);
SELECT create_hypertable('counts', 'at', chunk_time_interval => 1000);
CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 100000::bigint';
SELECT set_integer_now_func('counts', 'counted');
SELECT add_dimension('counts', 'device', number_partitions => 2);
INSERT INTO counts SELECT g, g % 5, g FROM generate_series(1, 3000) g;
CREATE PROCEDURE tidy(job_id integer, config jsonb) LANGUAGE sql AS 'SELECT 1';
SELECT add_job('tidy', '1 hour', config => '{\"a\": 1}');
CREATE VIEW enriched AS SELECT f.time, f.qty, i.symbol FROM fills f JOIN ref.instruments i ON i.id = f.instrument;
CREATE MATERIALIZED VIEW symbols AS SELECT symbol, count(*) AS n FROM enriched GROUP BY 1;
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS a WITH NO DATA;
";

const ASKED: [&str; 7] = [
    "SELECT sum(n)::text || ' ' || sum(qty) || ' ' || count(*) FROM hourly",
    "SELECT sum(n)::text || ' ' || count(*) FROM daily",
    "SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY conname) FROM pg_constraint WHERE contype = 'x'",
    "SELECT string_agg(symbol || n, ' ' ORDER BY symbol) FROM symbols",
    "SELECT string_agg(hypertable_name || num_chunks, ' ' ORDER BY hypertable_name)
        FROM timescaledb_information.hypertables",
    "SELECT string_agg(job_id || proc_name || schedule_interval, ' ' ORDER BY job_id)
        FROM timescaledb_information.jobs",
    "SELECT string_agg(view_name || materialized_only, ' ' ORDER BY view_name)
        FROM timescaledb_information.continuous_aggregates",
];

/// Each statement in a transaction of its own.
async fn seed(client: &tokio_postgres::Client) {
    for statement in SEED.split(";\n") {
        client.batch_execute(statement).await.unwrap();
    }
}

async fn answers(server: &Serving, database: &str) -> Vec<String> {
    let client = server.connect_to(database).await;
    let mut all = Vec::new();
    for asked in ASKED {
        let row = client.query_one(asked, &[]).await.unwrap();
        all.push(row.get::<_, Option<String>>(0).unwrap_or_default());
    }
    all
}

#[tokio::test]
async fn a_dump_of_any_format_comes_back_whole() {
    let (Some(dump), Some(restore), Some(psql)) =
        (tool("pg_dump"), tool("pg_restore"), tool("psql"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("data"), &[]);
    let admin = server.connect().await;
    for name in ["origin", "plain", "custom", "parallel", "schema"] {
        let sql = format!("CREATE DATABASE {name}");
        admin.batch_execute(&sql).await.unwrap();
    }
    let origin = server.connect_to("origin").await;
    seed(&origin).await;
    let want = answers(&server, "origin").await;
    let first = call(&dump, &server, "origin", &[]);

    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(place("plain.sql"), &first).unwrap();
    let stop = "ON_ERROR_STOP=1";
    call(
        &psql,
        &server,
        "plain",
        &["-X", "-q", "-v", stop, "-f", &place("plain.sql")],
    );
    call(&dump, &server, "origin", &["-Fc", "-f", &place("custom")]);
    call(&restore, &server, "custom", &[&place("custom")]);
    call(
        &dump,
        &server,
        "origin",
        &["-Fd", "-j", "2", "-f", &place("parallel")],
    );
    call(
        &restore,
        &server,
        "parallel",
        &["-j", "3", &place("parallel")],
    );
    for name in ["plain", "custom", "parallel"] {
        assert_eq!(answers(&server, name).await, want, "{name}");
        let again = call(&dump, &server, name, &[]);
        assert_eq!(sorted(&again), sorted(&first), "{name}");
    }

    let schema = call(&dump, &server, "origin", &["--schema-only"]);
    std::fs::write(place("schema.sql"), &schema).unwrap();
    call(
        &psql,
        &server,
        "schema",
        &["-X", "-q", "-v", stop, "-f", &place("schema.sql")],
    );
    let again = call(&dump, &server, "schema", &["--schema-only"]);
    assert_eq!(sorted(&again), sorted(&schema));
    let rows = ["--data-only", "-t", "fills", "-t", "ref.instruments"];
    let data = call(&dump, &server, "origin", &rows);
    std::fs::write(place("data.sql"), &data).unwrap();
    call(
        &psql,
        &server,
        "schema",
        &["-X", "-q", "-f", &place("data.sql")],
    );
    let client = server.connect_to("schema").await;
    let refresh = "REFRESH MATERIALIZED VIEW symbols";
    client.batch_execute(refresh).await.unwrap();
    assert_eq!(answers(&server, "schema").await[..4], want[..4]);
}

#[tokio::test]
async fn a_table_alone_has_all_its_rows() {
    let Some(dump) = tool("pg_dump") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(dir.path(), &[]);
    let client = server.connect().await;
    seed(&client).await;
    let alone = [
        "--table=fills",
        "--table=notes",
        "--data-only",
        "--no-owner",
    ];
    let text = call(&dump, &server, "postgres", &alone);
    let rows = text.lines().filter(|line| line.starts_with("2030-"));
    assert_eq!(rows.count(), 193);
    let inserts = call(
        &dump,
        &server,
        "postgres",
        &["-t", "fills", "--column-inserts"],
    );
    let rows = inserts
        .lines()
        .filter(|line| line.starts_with("INSERT INTO public.fills ("));
    assert_eq!(rows.count(), 193);
    assert!(
        inserts.contains("SECURITY LABEL FOR chronolith ON TABLE public.fills IS '{\"hypertable\"")
    );
}

/// Candles over whole chunks that were dropped, over parts of them, with rows that came late; over
/// others, whose own rows were dropped; and the same over rows that are all there.
const FROZEN: &str = "
CREATE TABLE raw (time timestamptz NOT NULL, symbol text NOT NULL, price numeric(12,4), size int);
SELECT create_hypertable('raw', 'time', chunk_time_interval => INTERVAL '1 day');
INSERT INTO raw SELECT t, 'S' || extract(hour FROM t)::int % 3, 100 + extract(day FROM t), 1
    FROM generate_series('2030-01-01'::timestamptz, '2030-01-10 23:30', '30 minutes') t;
CREATE MATERIALIZED VIEW \"Hours\" WITH (timescaledb.continuous) AS
    SELECT time_bucket('1 hour', time) AS bucket, symbol, first(price, time), last(price, time), max(price),
        sum(size) AS size, count(DISTINCT price) AS prices, stddev(price) FROM raw GROUP BY 1, 2;
CREATE MATERIALIZED VIEW odd WITH (timescaledb.continuous) AS
    SELECT time_bucket('32 hours', time, origin => timestamptz '2030-01-01') AS bucket, avg(price), sum(size) AS size
    FROM raw GROUP BY 1;
CREATE MATERIALIZED VIEW days WITH (timescaledb.continuous) AS
    SELECT time_bucket('1 day', bucket) AS day, symbol, sum(size) AS size, max(max) FROM \"Hours\" GROUP BY 1, 2;
SELECT drop_chunks('raw', timestamptz '2030-01-05');
INSERT INTO raw VALUES ('2030-01-01 05:10', 'S9', 7, 7), ('2030-01-04 05:10', 'S1', 8, 8);
SELECT drop_chunks('\"Hours\"', timestamptz '2030-01-02');
INSERT INTO raw VALUES ('2030-01-07 05:10', 'S9', 9, 9);
CREATE TABLE whole (time timestamptz NOT NULL, v int);
SELECT create_hypertable('whole', 'time');
INSERT INTO whole VALUES ('2030-01-01', 1), ('2030-02-01', 2);
CREATE MATERIALIZED VIEW of_whole WITH (timescaledb.continuous) AS
    SELECT time_bucket('1 day', time) AS day, sum(v) FROM whole GROUP BY 1;
";

const CANDLES: [&str; 4] = [
    "SELECT string_agg(h::text, ' ' ORDER BY bucket, symbol) FROM \"Hours\" h",
    "SELECT string_agg(o::text, ' ' ORDER BY bucket) FROM odd o",
    "SELECT string_agg(d::text, ' ' ORDER BY day, symbol) FROM days d",
    "SELECT string_agg(w::text, ' ' ORDER BY day) FROM of_whole w",
];

async fn candles(server: &Serving, database: &str) -> Vec<String> {
    let client = server.connect_to(database).await;
    let mut all = Vec::new();
    for asked in CANDLES {
        let row = client.query_one(asked, &[]).await.unwrap();
        all.push(row.get::<_, Option<String>>(0).unwrap_or_default());
    }
    all
}

#[tokio::test]
async fn candles_that_outlive_their_raw_rows_come_back() {
    let (Some(dump), Some(restore), Some(psql)) =
        (tool("pg_dump"), tool("pg_restore"), tool("psql"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Serving::start(&dir.path().join("data"), &[]);
    let admin = server.connect().await;
    for name in ["origin", "plain", "parallel", "schema", "twice"] {
        let sql = format!("CREATE DATABASE {name}");
        admin.batch_execute(&sql).await.unwrap();
    }
    let origin = server.connect_to("origin").await;
    for statement in FROZEN.split(";\n") {
        origin.batch_execute(statement).await.unwrap();
    }
    let want = candles(&server, "origin").await;
    let place = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let run = |database: &str, file: &str| {
        let stop = "ON_ERROR_STOP=1";
        let args = ["-X", "-q", "-v", stop, "-f", file];
        call(&psql, &server, database, &args)
    };
    call(&dump, &server, "origin", &["-f", &place("plain.sql")]);
    run("plain", &place("plain.sql"));
    let folder = place("folder");
    call(&dump, &server, "origin", &["-Fd", "-f", &folder]);
    call(&restore, &server, "parallel", &["-j", "3", &folder]);
    call(&dump, &server, "plain", &["-f", &place("twice.sql")]);
    run("twice", &place("twice.sql"));
    for name in ["plain", "parallel", "twice"] {
        assert_eq!(candles(&server, name).await, want, "{name}");
    }
    // What comes late later on counts as it does in the source of the dump, and nothing is left over.
    let late =
        "INSERT INTO raw VALUES ('2030-01-03 05:10', 'S1', 8, 8), ('2030-01-06 05:10', 'S1', 8, 8)";
    let tables =
        "SELECT count(*) FROM pg_class WHERE relname LIKE '\\_materialized%' AND relkind = 'r'";
    let mut left = Vec::new();
    for name in ["origin", "plain", "parallel", "twice"] {
        let client = server.connect_to(name).await;
        client.batch_execute(late).await.unwrap();
        let row = client.query_one(tables, &[]).await.unwrap();
        left.push((row.get::<_, i64>(0), candles(&server, name).await));
    }
    left.dedup();
    assert_eq!(left.len(), 1);

    call(
        &dump,
        &server,
        "origin",
        &["--schema-only", "-f", &place("schema.sql")],
    );
    run("schema", &place("schema.sql"));
    let client = server.connect_to("schema").await;
    client
        .batch_execute("INSERT INTO raw VALUES ('2030-01-03 05:10', 'S1', 8, 8)")
        .await
        .unwrap();
    let row = client
        .query_one("SELECT sum(size)::bigint FROM odd", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 8);
}
