//! What clients read of what exists: pg_catalog, information_schema, TimescaleDB's views.

use super::Db;

/// A database with one of each thing.
fn full() -> Db {
    let mut db = Db::new();
    db.run(
        "CREATE TABLE symbols (
             symbol text PRIMARY KEY, exchange varchar(12) NOT NULL DEFAULT 'X',
             lot numeric(20,8) CHECK (lot > 0), tags text[], note char(3), n int DEFAULT 7,
             at timestamptz DEFAULT now(), UNIQUE (exchange, symbol))",
    );
    db.run("CREATE TABLE plain (a int, b text)");
    db.run("CREATE INDEX plain_ab ON plain (a DESC, b NULLS FIRST)");
    db.run("CREATE UNIQUE INDEX plain_u ON plain (a, b)");
    db.run("COMMENT ON TABLE plain IS 'a plain table'");
    db.run("COMMENT ON COLUMN plain.a IS 'the a'");
    db.run("CREATE VIEW v AS SELECT symbol, exchange, lot FROM symbols WHERE lot > 1");
    db.run("CREATE SCHEMA other");
    db.run("CREATE TABLE other.\"Odd Name\" (id int PRIMARY KEY, \"Select\" text)");
    db.run("CREATE ROLE reader");
    db.run("CREATE ROLE trader LOGIN");
    db.run(
        "CREATE TABLE ticks (time timestamptz NOT NULL, symbol text NOT NULL, price float8, size int)",
    );
    db.run("SELECT create_hypertable('ticks', 'time', chunk_time_interval => interval '1 day')");
    db.run(
        "INSERT INTO ticks VALUES ('2024-01-01 00:00:00+00', 'A', 1, 1), ('2024-01-02 12:00:00+00', 'B', 2, 2)",
    );
    db
}

#[test]
fn every_relation_can_be_read_whole() {
    let mut db = full();
    let all = db.query(
        "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'v')",
    );
    assert!(all.len() > 150, "{}", all.len());
    for line in all {
        let (schema, name) = line.split_once('|').unwrap();
        if schema == "_timescaledb_internal" {
            continue;
        }
        db.query(&format!("SELECT * FROM \"{schema}\".\"{name}\""));
    }
}

#[test]
fn everything_that_psql_asks_is_answered() {
    let mut db = full();
    for query in include_str!("psql.sql").split("\n;\n") {
        if !query.trim().is_empty() {
            db.query(query);
        }
    }
}

/// The query of `\d` for columns.
const COLUMNS: &str = "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
      (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
        WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
      a.attnotnull,
      (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
        WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation)
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = 'symbols'::regclass AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum";

#[test]
fn a_table_is_described_as_postgresql_describes_it() {
    let mut db = full();
    assert_eq!(
        db.query(COLUMNS),
        [
            "symbol|text|NULL|t|NULL",
            "exchange|character varying(12)|'X'::character varying|t|NULL",
            "lot|numeric(20,8)|NULL|f|NULL",
            "tags|text[]|NULL|f|NULL",
            "note|character(3)|NULL|f|NULL",
            "n|integer|7|f|NULL",
            "at|timestamp with time zone|now()|f|NULL",
        ]
    );
    assert_eq!(
        db.query(
            "SELECT indexrelid::regclass, indisprimary, indisunique, pg_get_indexdef(indexrelid)
             FROM pg_index WHERE indrelid IN ('plain'::regclass, 'symbols'::regclass) ORDER BY 1::text"
        ),
        [
            "symbols_pkey|t|t|CREATE UNIQUE INDEX symbols_pkey ON public.symbols USING btree (symbol)",
            "symbols_exchange_symbol_key|f|t|CREATE UNIQUE INDEX symbols_exchange_symbol_key ON public.symbols USING btree (exchange, symbol)",
            "plain_ab|f|f|CREATE INDEX plain_ab ON public.plain USING btree (a DESC, b NULLS FIRST)",
            "plain_u|f|t|CREATE UNIQUE INDEX plain_u ON public.plain USING btree (a, b)",
        ]
    );
    assert_eq!(
        db.query(
            "SELECT conname, contype, conkey, pg_get_constraintdef(oid), pg_get_constraintdef(oid, true)
             FROM pg_constraint WHERE conrelid = 'symbols'::regclass ORDER BY conname"
        ),
        [
            "symbols_exchange_symbol_key|u|{2,1}|UNIQUE (exchange, symbol)|UNIQUE (exchange, symbol)",
            "symbols_lot_check|c|{3}|CHECK ((lot > (0)::numeric))|CHECK (lot > 0::numeric)",
            "symbols_pkey|p|{1}|PRIMARY KEY (symbol)|PRIMARY KEY (symbol)",
        ]
    );
    assert_eq!(
        db.query(
            "SELECT obj_description('plain'::regclass), col_description('plain'::regclass, 1)"
        ),
        ["a plain table|the a"]
    );
    assert_eq!(
        db.query(
            "SELECT obj_description(1700, 'pg_type'), obj_description('now'::regproc, 'pg_proc'),
                    (SELECT description FROM pg_description d JOIN pg_extension e ON e.oid = objoid
                      WHERE classoid = 'pg_extension'::regclass AND extname = 'plpgsql')"
        ),
        [
            "numeric(precision, decimal), arbitrary precision number|current transaction time|PL/pgSQL procedural language"
        ]
    );
}

#[test]
fn sqlalchemy_finds_keys_and_schemas() {
    let mut db = full();
    assert_eq!(
        db.query(
            "SELECT attr.conname, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord)
             FROM (SELECT con.conrelid, con.conname, con.ord, a.attname
                   FROM pg_catalog.pg_attribute a JOIN (
                     SELECT c.conrelid, c.conname, unnest(i.indkey) AS attnum,
                            generate_subscripts(i.indkey, 1) AS ord
                     FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_index i ON c.conindid = i.indexrelid
                     WHERE c.contype IN ('p', 'u')) AS con
                   ON a.attnum = con.attnum AND a.attrelid = con.conrelid) AS attr
             WHERE attr.conrelid = 'symbols'::regclass GROUP BY attr.conname ORDER BY attr.conname"
        ),
        [
            "symbols_exchange_symbol_key|{exchange,symbol}",
            "symbols_pkey|{symbol}"
        ]
    );
    assert_eq!(
        db.query(
            "SELECT nspname FROM pg_namespace WHERE (nspname NOT LIKE 'pg/_' || '%' ESCAPE '/')
               AND nspname NOT LIKE '%timescaledb%' ORDER BY nspname"
        ),
        ["information_schema", "other", "public"]
    );
}

#[test]
fn an_escape_character_is_the_pattern_s_own() {
    let mut db = Db::new();
    assert_eq!(
        db.query(
            "SELECT 'a_b' LIKE 'a/_b' ESCAPE '/', 'axb' LIKE 'a/_b' ESCAPE '/',
                    'a\\b' LIKE 'a\\b' ESCAPE '', 'a/b' LIKE 'a//b' ESCAPE '/', 'ab' LIKE 'a\\b' ESCAPE '/'"
        ),
        ["t|f|t|t|f"]
    );
    assert_eq!(db.fails("SELECT 'a' LIKE 'a' ESCAPE 'xy'").0, "22025");
}

#[test]
fn names_and_numbers_of_objects_turn_into_each_other() {
    let mut db = full();
    assert_eq!(
        db.query(
            "SELECT 'ticks'::regclass, '_timescaledb_internal._hyper_1_1_chunk'::regclass,
                    'other.\"Odd Name\"'::regclass, 'pg_class'::regclass::oid, 'int4'::regtype,
                    'public'::regnamespace, 'reader'::regrole"
        ),
        [
            "ticks|_timescaledb_internal._hyper_1_1_chunk|other.\"Odd Name\"|1259|integer|public|reader"
        ]
    );
    assert_eq!(
        db.query(
            "SELECT to_regclass('nope'), to_regclass('plain_u') IS NOT NULL, to_regtype('numeric(10,2)'),
                    to_regproc('no_such'), to_regnamespace('other'), to_regprocedure('abs(integer)')"
        ),
        ["NULL|t|numeric|NULL|other|abs(integer)"]
    );
    assert_eq!(
        db.fails("SELECT 'nope'::regclass"),
        (
            "42P01".to_owned(),
            "relation \"nope\" does not exist".to_owned()
        )
    );
    assert_eq!(db.fails("SELECT 'nope.nope'::regclass").0, "3F000");
    assert_eq!(db.fails("SELECT 'nope'::regtype").0, "42704");
    // Every oid of pg_class is a relation's that can be named, once.
    assert_eq!(
        db.query("SELECT count(*) - count(DISTINCT oid), bool_and(oid::regclass::oid = oid) FROM pg_class"),
        ["0|t"]
    );
    db.run("CREATE TABLE other.plain (x int)");
    assert_eq!(
        db.query(
            "SELECT c.oid::regclass, pg_table_is_visible(c.oid) FROM pg_class c
             WHERE relname = 'plain' ORDER BY oid"
        ),
        ["plain|t", "other.plain|f"]
    );
}

#[test]
fn hypertables_are_shown_as_timescaledb_shows_them() {
    let mut db = full();
    db.run(
        "ALTER TABLE ticks SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol',
                                timescaledb.compress_orderby = 'time DESC')",
    );
    db.run("SELECT compress_chunk('_timescaledb_internal._hyper_1_1_chunk')");
    assert_eq!(
        db.query("SELECT * FROM timescaledb_information.hypertables"),
        ["public|ticks|postgres|1|2|t|NULL|time|timestamp with time zone"]
    );
    assert_eq!(
        db.query(
            "SELECT chunk_schema, chunk_name, primary_dimension_type, range_start, range_end, is_compressed
             FROM timescaledb_information.chunks ORDER BY range_start"
        ),
        [
            "_timescaledb_internal|_hyper_1_1_chunk|timestamp with time zone|2024-01-01 00:00:00+00|2024-01-02 00:00:00+00|t",
            "_timescaledb_internal|_hyper_1_2_chunk|timestamp with time zone|2024-01-02 00:00:00+00|2024-01-03 00:00:00+00|f",
        ]
    );
    assert_eq!(
        db.query("SELECT * FROM timescaledb_information.dimensions"),
        ["public|ticks|1|time|timestamp with time zone|Time|1 day|NULL|NULL|NULL"]
    );
    assert_eq!(
        db.query("SELECT * FROM timescaledb_information.compression_settings ORDER BY 4, 5"),
        [
            "public|ticks|symbol|1|NULL|NULL|NULL",
            "public|ticks|time|NULL|1|f|t"
        ]
    );
    assert_eq!(
        db.query("SELECT hypertable, segmentby, orderby FROM timescaledb_information.hypertable_columnstore_settings"),
        ["ticks|symbol|\"time\" DESC"]
    );
    assert_eq!(
        db.query(
            "SELECT hypertable, chunk FROM timescaledb_information.chunk_columnstore_settings"
        ),
        ["ticks|_timescaledb_internal._hyper_1_1_chunk"]
    );
    assert_eq!(
        db.query(
            "SELECT h.table_name, c.table_name, d.column_name, s.range_end - s.range_start
             FROM _timescaledb_catalog.hypertable h
             JOIN _timescaledb_catalog.chunk c ON c.hypertable_id = h.id
             JOIN _timescaledb_catalog.dimension_slice s ON s.chunk_id = c.id
             JOIN _timescaledb_catalog.dimension d ON d.id = s.dimension_id ORDER BY c.id"
        ),
        [
            "ticks|_hyper_1_1_chunk|time|86400000000",
            "ticks|_hyper_1_2_chunk|time|86400000000",
        ]
    );
    assert_eq!(
        db.query("SELECT extname, extversion FROM pg_extension WHERE extname = 'timescaledb'"),
        ["timescaledb|2.29.2"]
    );
}

#[test]
fn the_standard_s_views_show_what_postgresql_shows() {
    let mut db = full();
    assert_eq!(
        db.query(
            "SELECT table_schema, table_name, table_type FROM information_schema.tables
             WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
               AND table_schema NOT LIKE '%timescaledb%' ORDER BY 1, 2"
        ),
        [
            "other|Odd Name|BASE TABLE",
            "public|plain|BASE TABLE",
            "public|symbols|BASE TABLE",
            "public|ticks|BASE TABLE",
            "public|v|VIEW",
        ]
    );
    assert_eq!(
        db.query(
            "SELECT column_name, is_nullable, data_type, character_maximum_length, numeric_precision,
                    numeric_scale, datetime_precision, udt_name, column_default
             FROM information_schema.columns WHERE table_name = 'symbols' ORDER BY ordinal_position"
        ),
        [
            "symbol|NO|text|NULL|NULL|NULL|NULL|text|NULL",
            "exchange|NO|character varying|12|NULL|NULL|NULL|varchar|'X'::character varying",
            "lot|YES|numeric|NULL|20|8|NULL|numeric|NULL",
            "tags|YES|ARRAY|NULL|NULL|NULL|NULL|_text|NULL",
            "note|YES|character|3|NULL|NULL|NULL|bpchar|NULL",
            "n|YES|integer|NULL|32|0|NULL|int4|7",
            "at|YES|timestamp with time zone|NULL|NULL|NULL|6|timestamptz|now()",
        ]
    );
    assert_eq!(
        db.query(
            "SELECT tc.constraint_name, tc.constraint_type, k.column_name, k.ordinal_position
             FROM information_schema.table_constraints tc
             JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
             WHERE tc.table_name = 'symbols' ORDER BY 1, 4"
        ),
        [
            "symbols_exchange_symbol_key|UNIQUE|exchange|1",
            "symbols_exchange_symbol_key|UNIQUE|symbol|2",
            "symbols_pkey|PRIMARY KEY|symbol|1",
        ]
    );
    assert_eq!(
        db.query(
            "SELECT grantee, string_agg(privilege_type, ',' ORDER BY privilege_type)
             FROM information_schema.role_table_grants WHERE table_name = 'plain' GROUP BY grantee"
        ),
        ["postgres|DELETE,INSERT,REFERENCES,SELECT,TRIGGER,TRUNCATE,UPDATE"]
    );
    assert_eq!(
        db.query(
            "SELECT object_name, data_type, dtd_identifier FROM information_schema.element_types"
        ),
        ["symbols|text|a4"]
    );
}

#[test]
fn functions_give_the_rows_of_system_views() {
    let mut db = Db::new();
    assert_eq!(
        db.query("SELECT name, utc_offset FROM pg_timezone_names() WHERE name = 'Asia/Tokyo'"),
        ["Asia/Tokyo|09:00:00"]
    );
    assert_eq!(
        db.query("SELECT word, catcode FROM pg_get_keywords() WHERE word IN ('select', 'time') ORDER BY 1"),
        ["select|R", "time|C"]
    );
    assert_eq!(
        db.query("SELECT setting FROM pg_show_all_settings() WHERE name = 'server_encoding'"),
        ["UTF8"]
    );
    db.run("PREPARE p(int) AS SELECT $1 + 1");
    assert_eq!(
        db.query("SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements"),
        ["p|PREPARE p(int) AS SELECT $1 + 1|{integer}|t"]
    );
    db.run("DEALLOCATE p");
    assert_eq!(
        db.query("SELECT count(*) FROM pg_prepared_statements"),
        ["0"]
    );
}

#[test]
fn jdbc_finds_keys_and_indexes() {
    let mut db = full();
    assert_eq!(
        db.query(
            "SELECT result.column_name, result.key_seq FROM (
               SELECT a.attname AS column_name, (information_schema._pg_expandarray(i.indkey)).n AS key_seq,
                      information_schema._pg_expandarray(i.indkey) AS keys, a.attnum AS a_attnum
               FROM pg_class ct JOIN pg_attribute a ON ct.oid = a.attrelid
                    JOIN pg_index i ON a.attrelid = i.indrelid
               WHERE ct.relname = 'symbols' AND NOT i.indisprimary) result
             WHERE result.a_attnum = (result.keys).x ORDER BY result.key_seq"
        ),
        ["exchange|1", "symbol|2"]
    );
    // The vectors of the catalogs count from 0.
    assert_eq!(
        db.query(
            "SELECT i.indkey[0], i.indkey[1], array_lower(i.indkey, 1), array_upper(i.indkey, 1),
                    generate_subscripts(i.indoption, 1), i.indkey[2] IS NULL
             FROM pg_index i WHERE indexrelid = 'plain_ab'::regclass"
        ),
        ["1|2|0|1|0|t", "1|2|0|1|1|t"]
    );
    assert_eq!(
        db.query(
            "SELECT proargtypes::regtype[]::text[], prorettype::regtype FROM pg_proc WHERE oid = 'substr(text, int, int)'::regprocedure"
        ),
        ["{text,integer,integer}|text"]
    );
    assert_eq!(
        db.query("SELECT t.a[2], (ARRAY[5, 6])[1] FROM (SELECT ARRAY[1, 2] AS a) t"),
        ["2|5"]
    );
    assert_eq!(db.fails("SELECT (a).b FROM plain").0, "42809");
}

/// Recorded from PostgreSQL 15.
#[test]
fn expressions_are_shown_with_the_casts_that_were_meant() {
    let mut db = Db::new();
    db.run(include_str!("expressions.sql"));
    let mut shown = db.query(
        "SELECT attname, pg_get_expr(adbin, adrelid), pg_get_expr(adbin, adrelid, true)
         FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
         WHERE adrelid = 'e1'::regclass ORDER BY attnum",
    );
    shown.extend(db.query(
        "SELECT conname, pg_get_constraintdef(oid), pg_get_constraintdef(oid, true)
         FROM pg_constraint WHERE conrelid = 'e1'::regclass ORDER BY 1",
    ));
    shown.extend(db.query(
        "SELECT pg_get_indexdef(indexrelid), pg_get_indexdef(indexrelid, 0, true),
                pg_get_indexdef(indexrelid, 1, false), coalesce(pg_get_expr(indpred, indrelid), ''),
                coalesce(pg_get_expr(indpred, indrelid, true), ''), coalesce(pg_get_expr(indexprs, indrelid), '')
         FROM pg_index WHERE indrelid = 'e1'::regclass ORDER BY 1",
    ));
    assert_eq!(shown.join("\n"), include_str!("expressions.txt").trim_end());
}

#[test]
fn a_pool_can_begin_anew() {
    let mut db = Db::new();
    // What asyncpg sends when a connection goes back to its pool.
    let done = db.run("SELECT pg_advisory_unlock_all();\nCLOSE ALL;\nUNLISTEN *;\nRESET ALL;");
    assert_eq!(
        done.get(1..).unwrap(),
        ["SELECT 1", "CLOSE CURSOR ALL", "UNLISTEN", "RESET"]
    );
    assert_eq!(db.run("DISCARD ALL"), ["DISCARD ALL"]);
    assert_eq!(db.fails("CLOSE c").0, "34000");
}
