#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::*;
use chronolith_types::SqlType;

fn one(text: &str) -> Statement {
    match parse(text) {
        Ok(mut found) => {
            assert_eq!(found.len(), 1, "{text}");
            found.remove(0).statement
        }
        Err(error) => panic!("{text}: {error} at {:?}", error.position),
    }
}

fn error(text: &str) -> (String, Option<usize>) {
    let error = parse(text).unwrap_err();
    (error.message, error.position)
}

#[test]
fn statements_are_split_with_their_ranges_and_tags() {
    let text = "select 1; -- é\n ; begin;insert into t values ('a;b')";
    let found = parse(text).unwrap();
    let tags = found.iter().map(|one| one.tag.as_str()).collect::<Vec<_>>();
    assert_eq!(tags, ["SELECT", "BEGIN", "INSERT"]);
    let texts = found
        .iter()
        .map(|one| &text[one.range.clone()])
        .collect::<Vec<_>>();
    assert_eq!(texts, ["select 1", "begin", "insert into t values ('a;b')"]);
    assert_eq!(parse(" ; -- nothing").unwrap(), []);
    assert_eq!(parse("").unwrap(), []);
}

#[test]
fn errors_point_at_the_token_as_postgresql_does() {
    let near = |word: &str, at| (format!("syntax error at or near \"{word}\""), Some(at));
    assert_eq!(error("selec 1"), near("selec", 1));
    assert_eq!(error("select 1;\nselect a b c from t"), near("c", 22));
    assert_eq!(error("select 'é' from )"), near(")", 17));
    assert_eq!(
        error("select 1 +"),
        ("syntax error at end of input".into(), Some(11))
    );
    assert_eq!(
        error("select 'abc"),
        (
            "unterminated quoted string at or near \"'abc\"".into(),
            Some(8)
        )
    );
    assert_eq!(error("insert into t (a) values (1").1, Some(28));
    assert_eq!(
        error("drop table"),
        ("syntax error at end of input".into(), Some(11))
    );
}

#[test]
fn nesting_that_is_too_deep_is_54001() {
    let deep = |open: &str, close: &str, n: usize| {
        format!("select {}1{}", open.repeat(n), close.repeat(n))
    };
    for text in [
        deep("(", ")", 100_000),
        deep("(select ", ")", 10_000),
        deep("- ", "", 100_000),
        deep("not ", "", 100_000),
        format!("select 1{}", "+1".repeat(100_000)),
        deep("case when true then ", " end", 10_000),
        deep("array[", "]", 10_000),
    ] {
        let error = parse(&text).unwrap_err();
        assert_eq!(error.sqlstate.as_str(), "54001", "{:.20} {error:?}", text);
    }
    assert!(parse(&deep("(", ")", 50)).is_ok());
}

#[test]
fn wrong_statements_are_refused_in_no_time() {
    for open in [
        "case when ",
        "array[",
        "(",
        "cast(",
        "exists(select ",
        "(select ",
        "f(",
        "not ",
        "interval ",
        "extract(",
        "position(",
        "trim(",
        "substring(",
        "overlay(",
        "ceil(",
        "floor(",
        "row(",
        "coalesce(",
        "date ",
        "x'1' ",
        "- ",
        "a in (",
        "a = any(",
        "a between ",
        "a::",
        "t.",
        "a[",
        "case a when 1 then ",
    ] {
        let text = format!("select {}", open.repeat(40));
        // Forty levels of a parser that tries each twice would not end before the test run does.
        drop(parse(&text));
        let text = format!("select * from {}", "(select * from ".repeat(40));
        drop(parse(&text));
        let text = format!("select * from {}", "(a join ".repeat(25));
        drop(parse(&text));
    }
}

#[test]
fn words_of_other_dialects_are_plain_names() {
    for name in [
        "interval",
        "time",
        "timestamp",
        "open",
        "close",
        "date",
        "volume",
        "name",
        "format",
        "sample",
        "first",
        "last",
        "top",
        "value",
        "type",
        "user_id",
        "year",
        "day",
        "position",
        "left_",
        "source",
        "sort",
        "level",
        "range",
        "groups",
        "match",
        "text",
        "settings",
    ] {
        for text in [
            format!("select {name} from t"),
            format!(
                "select t.{name}, {name} from t where {name} = 1 group by {name} order by {name} desc"
            ),
            format!("create table t ({name} int not null, b int)"),
            format!("insert into t ({name}, b) values (1, 2)"),
            format!("select 1 as {name}"),
            format!("create index on t ({name})"),
            format!("copy t ({name}) from stdin"),
            format!("select max({name}), a + {name}, {name} + 1 from t where a > 1 and {name} < 4"),
        ] {
            one(&text);
        }
    }
    one(
        "select interval '1 day', date '2024-01-01', time '10:00', timestamp '2024-01-01', x::interval, cast(a as interval)",
    );
    one("create table t (a interval, b interval not null default interval '1 day')");
    one("select a - interval '1 day' from t where b > now() - interval '1' day");
}

#[test]
fn hypertable_options_are_read_with_their_dots() {
    let Statement::CreateTable(table) = one(
        "CREATE TABLE IF NOT EXISTS Ticks (time timestamptz NOT NULL, price numeric(20,8) check (price > 0), \
         vol double precision default 0.0, primary key (time, price)) \
         WITH (tsdb.hypertable, tsdb.partition_column = 'time', tsdb.chunk_interval='1 day')",
    ) else {
        panic!()
    };
    assert_eq!(table.name.name(), "ticks");
    assert!(table.if_not_exists);
    let options = table
        .options
        .iter()
        .map(|option| (option.name.as_str(), option.value.as_deref()))
        .collect::<Vec<_>>();
    assert_eq!(
        options,
        [
            ("tsdb.hypertable", None),
            ("tsdb.partition_column", Some("time")),
            ("tsdb.chunk_interval", Some("1 day"))
        ]
    );
    assert_eq!(
        table
            .columns
            .iter()
            .map(|column| column.ty.clone())
            .collect::<Vec<_>>(),
        [
            SqlType::Timestamptz(None),
            SqlType::Numeric(Some((20, 8))),
            SqlType::Float8
        ]
    );
    assert_eq!(table.constraints.len(), 2);
    assert_eq!(table.columns[2].default.as_ref().unwrap().text, "0.0");
    let Statement::AlterTable(alter) = one(
        "alter table ticks set (timescaledb.compress, timescaledb.compress_segmentby = 'exchange, symbol')",
    ) else {
        panic!()
    };
    let [AlterAction::SetOptions(options)] = alter.actions.as_slice() else {
        panic!()
    };
    assert_eq!(options[0].bool(), Some(true));
    assert_eq!(options[1].value.as_deref(), Some("exchange, symbol"));
}

#[test]
fn materialized_views_are_read_with_all_they_say() {
    let Statement::CreateView(view) = one(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS s.\"V\" (a, \"B\") USING heap \
         WITH (timescaledb.continuous, timescaledb.chunk_interval = interval '7 days') TABLESPACE pg_default AS \
         SELECT time_bucket('1 hour', t), sum(p) FROM ticks GROUP BY 1 -- ü\n WITH NO DATA",
    ) else {
        panic!()
    };
    assert_eq!(view.name.parts, ["s", "V"]);
    assert!(view.materialized && view.if_not_exists && !view.with_data && !view.unlogged);
    assert_eq!(view.columns.len(), 2);
    assert_eq!(view.method.as_ref().unwrap().value, "heap");
    assert_eq!(view.options[0].name, "timescaledb.continuous");
    assert_eq!(view.options[1].value.as_deref(), Some("7 days"));
    assert_eq!(
        view.text,
        "SELECT time_bucket('1 hour', t), sum(p) FROM ticks GROUP BY 1"
    );
    // WITH after whatever a query can end in.
    for end in [
        "select 1",
        "select a from t",
        "select a from t as x",
        "select a from t where a > 1",
        "select a from t group by a",
        "select a from t group by a having a > 1",
        "select a from t order by a",
        "select a from t order by a desc nulls last",
        "select a from t limit 1 offset 2",
        "select a from t fetch first 1 rows only",
        "select a from t, u",
        "select a from t join u using (a)",
        "select a from t join u on t.a = u.a",
        "select a from f(1)",
        "select * from (select 1) x",
        "values (1)",
        "(select 1) union all select 2",
        "table t",
        "with x as (select 1) select * from x",
        "select a from t for update",
        "select sum(a) over w from t window w as (order by a)",
        "select 'a' as b",
        "select a::timestamp",
        "select a::time",
    ] {
        for (data, with_data) in [("", true), ("with data", true), ("with no data", false)] {
            let text = format!("create materialized view v as {end} {data}");
            let Statement::CreateView(view) = one(&text) else {
                panic!("{text}")
            };
            assert_eq!(view.with_data, with_data, "{text}");
            // Kept so that its columns can be written where the star stands.
            let kept = match end {
                "table t" => "SELECT * FROM t",
                other => other,
            };
            assert_eq!(view.text, kept, "{text}");
            assert!(matches!(
                one(&format!("create table v as {end} {data}")),
                Statement::CreateTableAs(table) if table.with_data == with_data
            ));
        }
    }
    assert!(matches!(
        one("create unlogged materialized view v as select 1"),
        Statement::CreateView(view) if view.unlogged
    ));
    let near = |word: &str, at| (format!("syntax error at or near \"{word}\""), Some(at));
    assert_eq!(
        error("create materialized view v as select 1 from with no data"),
        near("with", 45)
    );
    assert_eq!(
        error("create materialized view v as ; select 1"),
        near(";", 31)
    );
    assert_eq!(
        error("create materialized view v as select 1 x y with data"),
        near("y", 42)
    );
    assert_eq!(
        error("create temp materialized view v as select 1"),
        near("materialized", 13)
    );
    assert_eq!(
        error("create or replace materialized view v as select 1"),
        near("materialized", 19)
    );
    assert_eq!(
        error("create view if not exists v as select 1"),
        near("not", 16)
    );
}

#[test]
fn what_refreshes_alters_and_drops_materialized_views_is_read() {
    let refreshed = |text: &str| match one(text) {
        Statement::Refresh {
            name,
            concurrently,
            with_data,
        } => (name.to_string(), concurrently, with_data),
        other => panic!("{other:?}"),
    };
    let named = |name: &str| name.to_owned();
    assert_eq!(
        refreshed("refresh materialized view v"),
        (named("v"), false, true)
    );
    assert_eq!(
        refreshed("REFRESH MATERIALIZED VIEW CONCURRENTLY s.V with data"),
        (named("s.v"), true, true)
    );
    assert_eq!(
        refreshed("refresh materialized view s.v with no data"),
        (named("s.v"), false, false)
    );
    let near = |word: &str, at| (format!("syntax error at or near \"{word}\""), Some(at));
    assert_eq!(error("refresh view v"), near("view", 9));
    assert_eq!(error("refresh materialized view v, w"), near(",", 28));

    let actions = |words: &str| match one(&format!("alter materialized view if exists s.v {words}"))
    {
        Statement::AlterTable(alter) => {
            assert_eq!(alter.kind, ObjectKind::MaterializedView);
            assert!(alter.if_exists);
            assert_eq!(alter.name.parts, ["s", "v"]);
            alter.actions
        }
        other => panic!("{other:?}"),
    };
    let options = |words: &str| match actions(words).as_slice() {
        [AlterAction::SetOptions(options) | AlterAction::ResetOptions(options)] => options
            .iter()
            .map(|option| (option.name.clone(), option.value.clone()))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        options("set (timescaledb.materialized_only = true, timescaledb.compress)"),
        [
            (named("timescaledb.materialized_only"), Some(named("true"))),
            (named("timescaledb.compress"), None)
        ]
    );
    assert_eq!(options("reset (fillfactor)"), [(named("fillfactor"), None)]);
    let spelled = |name: &Spelled| name.value.clone();
    assert!(matches!(
        actions("rename to w").as_slice(),
        [AlterAction::RenameTo(to)] if spelled(to) == "w"
    ));
    for words in ["rename column a to b", "rename a to b"] {
        assert!(matches!(
            actions(words).as_slice(),
            [AlterAction::RenameColumn { from, to }] if spelled(from) == "a" && spelled(to) == "b"
        ));
    }
    assert!(matches!(
        actions("set schema x").as_slice(),
        [AlterAction::SetSchema(to)] if spelled(to) == "x"
    ));
    assert!(matches!(
        actions("owner to current_user").as_slice(),
        [AlterAction::OwnerTo(to)] if spelled(to) == "current_user"
    ));
    for (words, asked) in [("", false), ("if not exists ", true)] {
        let text = format!(
            "add column {words}spread numeric(10, 2) generated always as (max(p) - min(p)) stored"
        );
        let found = actions(&text);
        let [
            AlterAction::AddColumn {
                if_not_exists,
                column,
                constraints,
            },
        ] = found.as_slice()
        else {
            panic!("{found:?}")
        };
        assert_eq!(*if_not_exists, asked);
        assert_eq!(column.ty, SqlType::Numeric(Some((10, 2))));
        assert_eq!(
            column.generated.as_ref().map(|sql| sql.text.as_str()),
            Some("max(p) - min(p)")
        );
        assert!(constraints.is_empty());
    }
    assert!(matches!(
        actions("drop column if exists a cascade").as_slice(),
        [AlterAction::DropColumn { name, if_exists: true, cascade: true }] if spelled(name) == "a"
    ));

    let Statement::Drop(dropped) = one("drop materialized view if exists a, s.b cascade") else {
        panic!()
    };
    assert_eq!(dropped.kind, ObjectKind::MaterializedView);
    assert!(dropped.if_exists && dropped.cascade);
    assert_eq!(dropped.names.len(), 2);
    assert!(matches!(
        one("comment on materialized view s.v is 'x'"),
        Statement::Comment { kind: ObjectKind::MaterializedView, name, text: Some(_), .. }
            if name.parts == ["s", "v"]
    ));
    let Statement::Label(label) = one("security label for \"P\" on function f(int) is null") else {
        panic!()
    };
    assert_eq!(label.kind, ObjectKind::Function);
    assert_eq!((label.provider.as_deref(), &label.text), (Some("P"), &None));
    assert_eq!(label.signature, Some(vec![SqlType::Int4]));
    assert_eq!(
        one("set transaction snapshot 'a-1'"),
        Statement::SetSnapshot("a-1".to_owned())
    );
    assert_eq!(
        one("select a from only s.t join only u on true"),
        one("select a from s.t join u on true")
    );
}

#[test]
fn what_sqlparser_lacks_is_read() {
    for (text, tag) in [
        (
            "create materialized view v with (timescaledb.continuous, timescaledb.materialized_only=false) as select 1 with no data",
            "CREATE MATERIALIZED VIEW",
        ),
        (
            "create view v (a, b) with (security_barrier) as select 1, 2",
            "CREATE VIEW",
        ),
        (
            "create database d with owner = x encoding 'UTF8' template template0",
            "CREATE DATABASE",
        ),
        ("alter system set work_mem = '1GB'", "ALTER SYSTEM"),
        ("alter database d set timezone to 'UTC'", "ALTER DATABASE"),
        (
            "alter role r in database d set search_path = a, b",
            "ALTER ROLE",
        ),
        ("alter user u with password 'x' nosuperuser", "ALTER ROLE"),
        (
            "create user u login password 'x' in role a, b valid until '2030-01-01'",
            "CREATE ROLE",
        ),
        ("vacuum (full, analyze) t", "VACUUM"),
        ("vacuum full t (a, b), u", "VACUUM"),
        ("do $$ begin null; end $$", "DO"),
        ("do language plpgsql $$x$$", "DO"),
        (
            "create extension if not exists timescaledb with schema public cascade",
            "CREATE EXTENSION",
        ),
        ("reindex table t", "REINDEX"),
        ("reindex index concurrently i", "REINDEX"),
        (
            "call refresh_continuous_aggregate('v', null, now())",
            "CALL",
        ),
        ("copy t from stdin", "COPY"),
        (
            "copy t (a, b) to stdout with (format csv, header, force_quote (a, b), null '')",
            "COPY",
        ),
        (
            "copy t from stdin with csv header delimiter as ';' null 'x'",
            "COPY",
        ),
        ("copy binary t to stdout", "COPY"),
        ("copy (select * from t) to stdout csv", "COPY"),
        ("COPY public.\"T\" FROM STDIN BINARY", "COPY"),
        ("show all", "SHOW"),
        ("show time zone", "SHOW"),
        ("show transaction isolation level", "SHOW"),
        ("set time zone 'UTC'", "SET"),
        ("set local work_mem to default", "SET"),
        (
            "set session characteristics as transaction isolation level repeatable read",
            "SET",
        ),
        ("set transaction read only", "SET"),
        ("set search_path = a, \"$user\", 'b'", "SET"),
        ("set names 'utf8'", "SET"),
        ("set extra_float_digits = 3", "SET"),
        ("set timescaledb.license = 'x'", "SET"),
        ("reset all", "RESET"),
        ("discard all", "DISCARD ALL"),
        ("listen c", "LISTEN"),
        ("unlisten *", "UNLISTEN"),
        ("begin isolation level serializable, read only", "BEGIN"),
        ("start transaction read only", "START TRANSACTION"),
        ("end", "COMMIT"),
        ("abort", "ROLLBACK"),
        ("rollback to savepoint a", "ROLLBACK"),
        ("savepoint a", "SAVEPOINT"),
        ("release a", "RELEASE"),
        ("prepare p (int, text[]) as select $1, $2", "PREPARE"),
        ("execute p(1, 'x')", "EXECUTE"),
        ("deallocate all", "DEALLOCATE ALL"),
        (
            "declare c no scroll cursor with hold for select 1",
            "DECLARE CURSOR",
        ),
        ("fetch forward 10 from c", "FETCH"),
        ("fetch c", "FETCH"),
        ("fetch all in c", "FETCH"),
        ("move backward all in c", "MOVE"),
        ("close c", "CLOSE CURSOR"),
        ("explain (analyze, format json) select 1", "EXPLAIN"),
        (
            "explain analyze verbose insert into t values (1)",
            "EXPLAIN",
        ),
        ("explain (select 1)", "EXPLAIN"),
        ("drop table if exists a.b, c cascade", "DROP TABLE"),
        ("drop function f(int, text)", "DROP FUNCTION"),
        ("drop materialized view v", "DROP MATERIALIZED VIEW"),
        ("comment on column t.a is 'x'", "COMMENT"),
        ("comment on table t is null", "COMMENT"),
        (
            "truncate table only a, b restart identity cascade",
            "TRUNCATE TABLE",
        ),
        (
            "create table t as select 1 as a with no data",
            "CREATE TABLE AS",
        ),
        ("create temp table t (a) as select 1", "CREATE TABLE AS"),
        ("select 1 as a into temp x", "CREATE TABLE AS"),
        (
            "create unique index concurrently if not exists i on only t using btree (a desc nulls last, lower(b), c text_pattern_ops) include (d) with (fillfactor = 70) where a > 1",
            "CREATE INDEX",
        ),
        (
            "alter table t add column if not exists a int default 1 not null, drop column b cascade, alter c type text using c::text, rename d to e",
            "ALTER TABLE",
        ),
        (
            "alter table t add constraint k primary key (a)",
            "ALTER TABLE",
        ),
        ("alter table t owner to postgres", "ALTER TABLE"),
        (
            "alter materialized view v set (timescaledb.materialized_only = true)",
            "ALTER MATERIALIZED VIEW",
        ),
        ("grant select on t to u", "GRANT"),
        (
            "create function f() returns int language sql as 'select 1'",
            "CREATE FUNCTION",
        ),
        (
            "create or replace procedure p() language sql as ''",
            "CREATE PROCEDURE",
        ),
        ("create publication p for all tables", "CREATE PUBLICATION"),
        (
            "alter default privileges grant select on tables to x",
            "ALTER DEFAULT PRIVILEGES",
        ),
        ("lock table t in access exclusive mode", "LOCK TABLE"),
        ("checkpoint", "CHECKPOINT"),
        (
            "with a as (select 1) insert into t select * from a",
            "INSERT",
        ),
        (
            "insert into t (a) values (1), (default) on conflict (a) do update set a = excluded.a returning a as x",
            "INSERT",
        ),
        ("insert into t default values", "INSERT"),
        (
            "update t set a = 1, b = default from u where t.x = u.x returning *",
            "UPDATE",
        ),
        ("delete from t using u where t.a = u.a", "DELETE"),
        ("table t", "SELECT"),
        ("values (1, 2), (3, 4)", "SELECT"),
        ("(select 1) union all (select 2) order by 1", "SELECT"),
    ] {
        match parse(text) {
            Ok(found) => assert_eq!(
                found.first().map(|one| one.tag.as_str()),
                Some(tag),
                "{text}"
            ),
            Err(error) => panic!("{text}: {error} at {:?}", error.position),
        }
    }
}

#[test]
fn query_forms_of_postgresql_are_read() {
    let mut failed = 0;
    for text in [
        "select a=-1, a<-1, b||'x', j->'a'->>'b', j#>>'{a,b}', a@>b, x !~* 'y', a ~ 'b' from t",
        "select distinct on (a, b) * from t order by a, b, c desc nulls last limit 1 offset 2",
        "select * from t fetch first 10 rows only",
        "select first(price, time), last(price, time) from t",
        "select count(*) filter (where a > 1), sum(b) over (partition by c order by d rows between 1 preceding and current row) from t",
        "select percentile_cont(0.5) within group (order by x) from t",
        "select array_agg(x order by y desc), string_agg(distinct a, ',') from t",
        "select * from generate_series(1, 10) with ordinality as g(x, n)",
        "select * from t cross join lateral (select * from u where u.a = t.a order by b limit 1) x",
        "select a at time zone 'UTC', extract(epoch from b), date_part('year', c) from t",
        "select array[1,2,3], (array[1,2])[1], x[1:2], '{1,2}'::int[] from t",
        "select t.* from only t, u as v (a, b)",
        "select case a when 1 then 2 else 3 end, case when a then b end from t",
        "select * from (values (1, 'a'), (2, 'b')) as v(x, y)",
        "with recursive r (n) as (select 1 union all select n + 1 from r where n < 5) select * from r",
        "select a from t group by rollup (a, b), grouping sets ((a), ()), cube (c)",
        "select row(1, 2) = row(1, 2), (1, 2) < (3, 4), (a, b) in ((1, 2)) from t",
        "select x is not distinct from y, x is true, x isnull, y notnull  from t",
        "select substring('abc' from 2 for 1), position('a' in 'b'), trim(both 'x' from y), overlay('abc' placing 'x' from 1) from t",
        "select a::numeric(10,2)::text, cast(a as timestamp with time zone), b::\"char\", c::pg_catalog.regclass from t",
        "select E'a\\nb', $$x$$, $tag$y$tag$, U&'d\\0061t', b'1', x'ff'",
        "select a operator(pg_catalog.~) b from t",
        "select pg_catalog.format_type(a, b) from pg_catalog.pg_attribute",
        "select * from t where a = any($1) and b > all (select 1) and c like 'x' escape '!' and d similar to 'y' and exists (select 1)",
        "select x.y.z from x.y",
        "select current_date, current_timestamp, localtime, current_user, session_user, now()",
        "select a, b from t where (a, b) = (select 1, 2)",
        "select sum(x) over w from t window w as (partition by a order by b range between interval '1 day' preceding and current row)",
        "select f(a => 1, b := 2), g(variadic array[1,2])",
        "select time_bucket('1 day', time) as bucket, avg(price) from ticks where time > now() - interval '7 days' group by 1 order by 1",
        "select interval '1' year, interval '1 day' * 2, 2 * interval '1 hour'",
        "select 1e10, .5, 5., 1.5e-3, 0.1, 12345678901234567890",
        "select a collate \"C\" from t order by a collate \"C\"",
        "select * from a join b using (x) left join c on a.y = c.y natural join d full outer join e on true",
        "select count(distinct a) from t having count(*) > 1",
        "select nullif(a, b), coalesce(a, b, c), greatest(a, b), least(a, b) from t",
        "select * from t for update",
        "select * from t tablesample system (10)",
        "select -a, +b, ~c, @ d, not e, |/ 4 from t",
        "select 'a'\n'b'",
        "select 2 ^ 3, 5 % 2, 1 << 2, 7 & 3, 7 | 8, 7 # 2",
        "select a.b from t as a where a.interval = '1d'",
        "select date '2024-01-01' + 1, timestamptz '2024-01-01 00:00+00', '2024-01-01'::date",
    ] {
        if let Err(error) = parse(text) {
            eprintln!("{text}: {error} at {:?}", error.position);
            failed += 1;
        }
    }
    assert_eq!(failed, 0);
}

#[test]
fn foreign_text_never_panics() {
    let words = [
        "select", "(", ")", "'", "\"", "$$", "--", "/*", ";", "create", "table", "with", ",", "é",
        "::", "[", "]", "1", ".", "from", "set", "copy", "$1", "\\", "e'", "interval", "alter",
        "drop", "in", "case",
    ];
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let index = usize::try_from(seed % words.len() as u64).unwrap();
            text.push_str(words[index]);
            if seed & 0x100 == 0 {
                text.push(' ');
            }
        }
        if let Err(error) = parse(&text) {
            assert!(!error.message.is_empty());
        }
    }
}
