//! Statements, and which rights PostgreSQL's manual says that each asks for.

use super::rights::Object;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Select,
    Insert,
    Update,
    Delete,
    Truncate,
    Trigger,
    References,
    Usage,
    Execute,
}

impl Right {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
            Self::Trigger => "TRIGGER",
            Self::References => "REFERENCES",
            Self::Usage => "USAGE",
            Self::Execute => "EXECUTE",
        }
    }
}

/// What a statement asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// A right to each of some columns, or to all of it.
    Columns(Right, &'static [&'static str]),
    /// A right to any column.
    AnyColumn(Right),
    /// A right to all of it.
    Whole(Right),
    /// Any of some rights to all of it.
    AnyOf(&'static [Right]),
    /// To own it.
    Own,
}

/// What kind of message a statement needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Rows,
    Changes,
    Utility,
    CopyOut,
    CopyIn,
}

#[derive(Debug)]
pub(crate) struct Statement {
    /// `{o}` is the object.
    pub(crate) sql: &'static str,
    pub(crate) needs: &'static [Need],
    pub(crate) on: &'static [Object],
    pub(crate) shape: Shape,
}

use Need::{AnyColumn, AnyOf, Columns, Own, Whole};
use Object as O;
use Right::{Delete, Insert, Select, Trigger, Truncate, Update, Usage};

const TABLES: &[Object] = &[O::Table, O::Hyper];
/// What rows are read from.
const READ: &[Object] = &[
    O::Table,
    O::Hyper,
    O::View,
    O::Invoker,
    O::Aggregate,
    O::Kept,
];
/// What rows are written to.
const WRITTEN: &[Object] = &[O::Table, O::Hyper, O::View, O::Invoker];
const FUNCTIONS: &[Object] = &[
    O::ReadsAsCaller,
    O::ReadsAsOwner,
    O::WritesAsCaller,
    O::WritesAsOwner,
];
const ALL: &[&str] = &["k", "at", "v"];

const fn rows(sql: &'static str, on: &'static [Object], needs: &'static [Need]) -> Statement {
    Statement {
        sql,
        needs,
        on,
        shape: Shape::Rows,
    }
}

const fn changes(sql: &'static str, on: &'static [Object], needs: &'static [Need]) -> Statement {
    Statement {
        sql,
        needs,
        on,
        shape: Shape::Changes,
    }
}

const fn utility(sql: &'static str, on: &'static [Object], needs: &'static [Need]) -> Statement {
    Statement {
        sql,
        needs,
        on,
        shape: Shape::Utility,
    }
}

pub(crate) const STATEMENTS: &[Statement] = &[
    rows("SELECT * FROM {o}", READ, &[Columns(Select, ALL)]),
    rows("SELECT k FROM {o}", READ, &[Columns(Select, &["k"])]),
    rows("SELECT count(*) FROM {o}", READ, &[AnyColumn(Select)]),
    rows(
        "SELECT k FROM {o} WHERE v > 0",
        READ,
        &[Columns(Select, &["k", "v"])],
    ),
    rows(
        "SELECT 1 FROM {o} ORDER BY v",
        READ,
        &[Columns(Select, &["v"])],
    ),
    rows(
        "SELECT (SELECT max(v) FROM {o})",
        READ,
        &[Columns(Select, &["v"])],
    ),
    rows(
        "WITH a AS (SELECT v FROM {o}) SELECT 1 FROM a",
        READ,
        &[Columns(Select, &["v"])],
    ),
    rows("SELECT max(v) FROM {o}", READ, &[Columns(Select, &["v"])]),
    rows(
        "SELECT k FROM {o} FOR UPDATE",
        TABLES,
        &[Columns(Select, &["k"]), AnyColumn(Update)],
    ),
    changes(
        "INSERT INTO {o} VALUES (9, '2025-01-02', 1)",
        WRITTEN,
        &[Columns(Insert, ALL)],
    ),
    changes(
        "INSERT INTO {o} (k, at) VALUES (9, '2025-01-02')",
        WRITTEN,
        &[Columns(Insert, &["k", "at"])],
    ),
    changes(
        "INSERT INTO {o} (k, at) VALUES (9, '2025-01-02') RETURNING k",
        WRITTEN,
        &[Columns(Insert, &["k", "at"]), Columns(Select, &["k"])],
    ),
    changes(
        "INSERT INTO {o} SELECT k + 10, at, v FROM {o}",
        WRITTEN,
        &[Columns(Insert, ALL), Columns(Select, ALL)],
    ),
    changes(
        "INSERT INTO {o} VALUES (1, '2025-01-01 00:00+00', 2) ON CONFLICT (k, at) DO UPDATE SET v = EXCLUDED.v",
        TABLES,
        &[
            Columns(Insert, ALL),
            Columns(Update, &["v"]),
            Columns(Select, &["k", "at"]),
        ],
    ),
    changes(
        "INSERT INTO {o} VALUES (1, '2025-01-01 00:00+00', 2) ON CONFLICT DO NOTHING",
        TABLES,
        &[Columns(Insert, ALL)],
    ),
    changes("UPDATE {o} SET v = 3", WRITTEN, &[Columns(Update, &["v"])]),
    changes(
        "UPDATE {o} SET v = 3 WHERE k = 1",
        WRITTEN,
        &[Columns(Update, &["v"]), Columns(Select, &["k"])],
    ),
    changes(
        "UPDATE {o} SET v = v + 1",
        WRITTEN,
        &[Columns(Update, &["v"]), Columns(Select, &["v"])],
    ),
    changes("UPDATE {o} SET k = 2", WRITTEN, &[Columns(Update, &["k"])]),
    changes(
        "UPDATE {o} SET v = 3 RETURNING at",
        WRITTEN,
        &[Columns(Update, &["v"]), Columns(Select, &["at"])],
    ),
    changes("DELETE FROM {o}", WRITTEN, &[Whole(Delete)]),
    changes(
        "DELETE FROM {o} WHERE k = 1",
        WRITTEN,
        &[Whole(Delete), Columns(Select, &["k"])],
    ),
    changes(
        "MERGE INTO {o} o USING (SELECT 1 AS k) s ON o.k = s.k WHEN MATCHED THEN UPDATE SET v = 4",
        TABLES,
        &[Columns(Select, &["k"]), Columns(Update, &["v"])],
    ),
    changes(
        "MERGE INTO {o} o USING (SELECT 1 AS k) s ON o.k = s.k WHEN MATCHED THEN DELETE",
        TABLES,
        &[Columns(Select, &["k"]), Whole(Delete)],
    ),
    changes(
        "MERGE INTO {o} o USING (SELECT 5 AS k) s ON o.k = s.k WHEN NOT MATCHED THEN INSERT VALUES (5, '2025-01-02', 5)",
        TABLES,
        &[Columns(Select, &["k"]), Columns(Insert, ALL)],
    ),
    utility("TRUNCATE {o}", TABLES, &[Whole(Truncate)]),
    utility(
        "LOCK TABLE {o} IN ACCESS SHARE MODE",
        TABLES,
        &[Whole(Select)],
    ),
    utility(
        "LOCK TABLE {o} IN ACCESS EXCLUSIVE MODE",
        TABLES,
        &[AnyOf(&[Update, Delete, Truncate])],
    ),
    utility(
        "EXPLAIN SELECT v FROM {o}",
        READ,
        &[Columns(Select, &["v"])],
    ),
    utility(
        "EXPLAIN ANALYZE UPDATE {o} SET v = 3",
        TABLES,
        &[Columns(Update, &["v"])],
    ),
    utility("ALTER TABLE {o} ADD COLUMN z int", TABLES, &[Own]),
    utility("ALTER TABLE {o} ENABLE ROW LEVEL SECURITY", TABLES, &[Own]),
    utility("ALTER TABLE {o} RENAME COLUMN v TO w", TABLES, &[Own]),
    utility("CREATE INDEX ON {o} (v)", TABLES, &[Own]),
    utility("CREATE POLICY p ON {o} USING (true)", TABLES, &[Own]),
    utility("COMMENT ON TABLE {o} IS 'x'", TABLES, &[Own]),
    utility("DROP TABLE {o} CASCADE", TABLES, &[Own]),
    utility("ALTER TABLE {o} DROP COLUMN v CASCADE", TABLES, &[Own]),
    utility(
        "ALTER TABLE {o} ADD CONSTRAINT c CHECK (v > 0)",
        TABLES,
        &[Own],
    ),
    utility("ALTER TABLE {o} ALTER v SET DEFAULT 1", TABLES, &[Own]),
    utility("ALTER TABLE {o} ALTER v SET NOT NULL", TABLES, &[Own]),
    utility("ALTER TABLE {o} RENAME TO z", TABLES, &[Own]),
    utility("ALTER TABLE {o} OWNER TO CURRENT_USER", TABLES, &[Own]),
    utility("ALTER TABLE {o} DISABLE TRIGGER ALL", TABLES, &[Own]),
    utility("COMMENT ON COLUMN {o}.v IS 'x'", READ, &[Own]),
    utility("REINDEX TABLE {o}", TABLES, &[Own]),
    utility(
        "CREATE TRIGGER x BEFORE INSERT ON {o} FOR EACH ROW EXECUTE FUNCTION m.tells()",
        TABLES,
        &[Whole(Trigger)],
    ),
    rows("TABLE {o}", READ, &[Columns(Select, ALL)]),
    rows(
        "SELECT a.k FROM {o} a JOIN {o} b USING (k)",
        READ,
        &[Columns(Select, &["k"])],
    ),
    rows(
        "SELECT 1 WHERE EXISTS (SELECT FROM {o} WHERE v = 1)",
        READ,
        &[Columns(Select, &["v"])],
    ),
    rows(
        "SELECT k FROM {o} ORDER BY at DESC LIMIT 1",
        READ,
        &[Columns(Select, &["k", "at"])],
    ),
    rows(
        "SELECT v FROM {o} WHERE k = 1 AND at = '2025-01-01 00:00+00'",
        TABLES,
        &[Columns(Select, ALL)],
    ),
    rows("SELECT a::text FROM {o} a", READ, &[Columns(Select, ALL)]),
    rows(
        "SELECT time_bucket('1 day', at), max(v) FROM {o} GROUP BY 1",
        &[O::Hyper],
        &[Columns(Select, &["at", "v"])],
    ),
    rows(
        "SELECT k FROM {o} FOR SHARE",
        TABLES,
        &[Columns(Select, &["k"]), AnyColumn(Update)],
    ),
    changes(
        "UPDATE {o} SET v = 3 WHERE k = 1 AND at = '2025-01-01 00:00+00'",
        TABLES,
        &[Columns(Update, &["v"]), Columns(Select, &["k", "at"])],
    ),
    changes(
        "WITH d AS (DELETE FROM {o} RETURNING v) SELECT count(*) FROM d",
        WRITTEN,
        &[Whole(Delete), Columns(Select, &["v"])],
    ),
    utility("DROP MATERIALIZED VIEW {o}", &[O::Kept], &[Own]),
    utility("REFRESH MATERIALIZED VIEW {o}", &[O::Kept], &[Own]),
    utility(
        "ALTER MATERIALIZED VIEW {o} RENAME TO z",
        &[O::Kept],
        &[Own],
    ),
    utility("CREATE INDEX ON {o} (k)", &[O::Kept], &[Own]),
    utility("ALTER VIEW {o} RENAME TO z", &[O::View, O::Invoker], &[Own]),
    utility("COMMENT ON VIEW {o} IS 'x'", &[O::View, O::Invoker], &[Own]),
    rows(
        "SELECT nextval('{o}')",
        &[O::Sequence],
        &[AnyOf(&[Usage, Update])],
    ),
    rows("SELECT setval('{o}', 5)", &[O::Sequence], &[Whole(Update)]),
    rows(
        "SELECT last_value FROM {o}",
        &[O::Sequence],
        &[Whole(Select)],
    ),
    utility("ALTER SEQUENCE {o} RESTART", &[O::Sequence], &[Own]),
    utility("DROP SEQUENCE {o}", &[O::Sequence], &[Own]),
    utility("COMMENT ON SEQUENCE {o} IS 'x'", &[O::Sequence], &[Own]),
    utility("DROP FUNCTION {o}()", FUNCTIONS, &[Own]),
    utility("ALTER FUNCTION {o}() STABLE", FUNCTIONS, &[Own]),
    utility("ALTER FUNCTION {o}() RENAME TO z", FUNCTIONS, &[Own]),
    utility("COMMENT ON FUNCTION {o}() IS 'x'", FUNCTIONS, &[Own]),
    utility("DROP VIEW {o}", &[O::View, O::Invoker], &[Own]),
    utility(
        "CREATE OR REPLACE VIEW {o} AS SELECT k, at, v FROM m.t",
        &[O::View],
        &[Own],
    ),
    Statement {
        sql: "COPY {o} TO STDOUT",
        needs: &[Columns(Select, ALL)],
        on: TABLES,
        shape: Shape::CopyOut,
    },
    Statement {
        sql: "COPY {o} (k) TO STDOUT",
        needs: &[Columns(Select, &["k"])],
        on: TABLES,
        shape: Shape::CopyOut,
    },
    Statement {
        sql: "COPY (SELECT v FROM {o}) TO STDOUT",
        needs: &[Columns(Select, &["v"])],
        on: READ,
        shape: Shape::CopyOut,
    },
    Statement {
        sql: "COPY {o} FROM STDIN",
        needs: &[Columns(Insert, ALL)],
        on: TABLES,
        shape: Shape::CopyIn,
    },
    Statement {
        sql: "COPY {o} (k, at) FROM STDIN",
        needs: &[Columns(Insert, &["k", "at"])],
        on: TABLES,
        shape: Shape::CopyIn,
    },
    rows("SELECT {o}()", FUNCTIONS, &[]),
    utility("SELECT compress_chunk('{o}')", &[O::Chunk], &[Own]),
    utility("SELECT decompress_chunk('{o}', true)", &[O::Chunk], &[Own]),
    utility(
        "SELECT create_hypertable('{o}', 'at', if_not_exists => true)",
        &[O::Hyper],
        &[Own],
    ),
    utility(
        "SELECT remove_retention_policy('{o}', if_exists => true)",
        &[O::Hyper, O::Aggregate],
        &[Own],
    ),
    utility(
        "SELECT remove_compression_policy('{o}', if_exists => true)",
        &[O::Hyper],
        &[Own],
    ),
    utility(
        "SELECT remove_continuous_aggregate_policy('{o}', if_exists => true)",
        &[O::Aggregate],
        &[Own],
    ),
    utility(
        "ALTER TABLE {o} SET (timescaledb.compress_segmentby = 'k')",
        &[O::Hyper],
        &[Own],
    ),
    utility(
        "ALTER MATERIALIZED VIEW {o} SET (timescaledb.materialized_only = true)",
        &[O::Aggregate],
        &[Own],
    ),
    utility(
        "ALTER MATERIALIZED VIEW {o} RENAME TO z",
        &[O::Aggregate],
        &[Own],
    ),
    utility(
        "SELECT drop_chunks('{o}', older_than => '2030-01-01'::timestamptz)",
        &[O::Hyper],
        &[Own],
    ),
    utility(
        "SELECT set_chunk_time_interval('{o}', INTERVAL '1 hour')",
        &[O::Hyper],
        &[Own],
    ),
    utility(
        "SELECT add_retention_policy('{o}', INTERVAL '1 day')",
        &[O::Hyper, O::Aggregate],
        &[Own],
    ),
    utility(
        "SELECT add_compression_policy('{o}', INTERVAL '1 day')",
        &[O::Hyper],
        &[Own],
    ),
    utility(
        "SELECT add_continuous_aggregate_policy('{o}', '7 days', '1 hour', '1 hour')",
        &[O::Aggregate],
        &[Own],
    ),
    utility("DROP MATERIALIZED VIEW {o}", &[O::Aggregate], &[Own]),
    utility(
        "CREATE MATERIALIZED VIEW m.d WITH (timescaledb.continuous) AS SELECT time_bucket('1 hour', at) AS b, count(*) FROM {o} GROUP BY 1 WITH NO DATA",
        &[O::Hyper],
        &[Own],
    ),
];
