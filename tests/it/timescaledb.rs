//! What TimescaleDB's users find: its relations column by column, and each of its functions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use chronolith::Connection;

use crate::sessions::open;

const RELATIONS: &str = include_str!("../../fixtures/timescaledb/relations.tsv");
const FUNCTIONS: &str = include_str!("../../fixtures/timescaledb/functions.tsv");

/// Types that are others here, as COMPAT.md says.
fn of_here(name: &str, text: &str) -> String {
    let text = text.replace("_timescaledb_internal.dimension_info", "cstring");
    match name {
        "create_hypertable" | "add_dimension" | "by_range" => text.replace("anyelement", "\"any\""),
        _ => text,
    }
}

/// The first column of a query's rows.
fn texts(connection: &mut Connection, sql: &str) -> Vec<String> {
    let rows = connection.query(sql).unwrap();
    rows.iter().map(|row| row.get(0).unwrap()).collect()
}

#[test]
fn relations_have_the_columns_of_timescaledb() {
    let (_dir, db) = open();
    let mut connection = db.connect().unwrap();
    let mut wanted: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for line in RELATIONS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [schema, relation, column, ty, null] = fields.as_slice() else {
            panic!("no line of a relation: {line}");
        };
        let columns = wanted.entry((schema, relation)).or_default();
        if !column.is_empty() {
            columns.push(format!("{column} {ty} {null}").trim().to_owned());
        }
    }
    assert!(wanted.len() > 35);
    for ((schema, relation), columns) in wanted {
        let here = texts(
            &mut connection,
            &format!(
                "SELECT attname || ' ' || format_type(atttypid, atttypmod) || \
                 CASE WHEN attnotnull THEN ' not null' ELSE '' END FROM pg_attribute \
                 WHERE attrelid = '{schema}.{relation}'::regclass AND attnum > 0 ORDER BY attnum"
            ),
        );
        assert_eq!(here, columns, "{schema}.{relation}");
        let kind: String = texts(
            &mut connection,
            &format!(
                "SELECT relkind::text FROM pg_class WHERE oid = '{schema}.{relation}'::regclass"
            ),
        )
        .concat();
        let is_view = schema.starts_with("timescaledb_");
        assert_eq!(kind, if is_view { "v" } else { "r" }, "{schema}.{relation}");
        let all = format!("SELECT * FROM {schema}.{relation}");
        connection.query(&all).unwrap();
    }
}

#[test]
fn functions_are_declared_as_those_of_timescaledb() {
    let (_dir, db) = open();
    let mut connection = db.connect().unwrap();
    let here: BTreeSet<String> = texts(
        &mut connection,
        "WITH p AS (SELECT *, coalesce(proallargtypes, proargtypes::oid[]) AS types FROM pg_proc), \
         a AS (SELECT p.oid, string_agg(concat_ws(' ', nullif(proargnames[i], ''), \
             format_type(types[i], NULL)), ', ' ORDER BY i) \
             FILTER (WHERE coalesce(proargmodes[i], 'i') IN ('i', 'v')) AS args, \
           string_agg(proargnames[i] || ' ' || format_type(types[i], NULL), ', ' ORDER BY i) \
             FILTER (WHERE proargmodes[i] IN ('t', 'o')) AS columns \
           FROM p, generate_subscripts(types, 1) i GROUP BY p.oid) \
         SELECT concat_ws(E'\\t', nspname, proname, prokind, coalesce(args, ''), pronargdefaults, \
           format_type(prorettype, NULL), coalesce(columns, ''), \
           CASE WHEN proretset THEN 'set' ELSE '' END, \
           CASE WHEN proisstrict THEN 'strict' ELSE '' END, provolatile) \
         FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace LEFT JOIN a ON a.oid = p.oid \
         WHERE nspname IN ('public', 'timescaledb_experimental')",
    )
    .into_iter()
    .collect();
    let mut missing = Vec::new();
    for line in FUNCTIONS.lines() {
        let name = line.split('\t').nth(1).unwrap();
        let line = of_here(name, line);
        if !here.contains(&line) {
            let other = |other: &&String| other.split('\t').nth(1) == Some(name);
            let others: Vec<_> = here.iter().filter(other).collect();
            missing.push(format!("wanted {line}\n  here {others:#?}"));
        }
    }
    assert!(FUNCTIONS.lines().count() > 100);
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// What a call says when its arguments are all NULL: an answer, or why not, but never that there is
/// no such function.
#[test]
fn each_function_can_be_called() {
    let (_dir, db) = open();
    let mut connection = db.connect().unwrap();
    for line in FUNCTIONS.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [schema, name, kind, args, ..] = fields.as_slice() else {
            panic!("no line of a function: {line}");
        };
        let given = |arg: &str| {
            let (_, ty) = arg.split_once(' ').unwrap_or(("", arg));
            match ty {
                "\"any\"" | "anyelement" => "NULL::bigint".to_owned(),
                "record" => "NULL".to_owned(),
                "_timescaledb_internal.dimension_info" => "by_range('time')".to_owned(),
                // Of which VARIADIC takes one after the other.
                "text[]" => "NULL::text".to_owned(),
                // Aggregates have arguments without names, of which a type may have two words.
                "precision" => "NULL::double precision".to_owned(),
                ty => format!("NULL::{ty}"),
            }
        };
        let args: Vec<String> = args
            .split(", ")
            .filter(|arg| !arg.is_empty())
            .map(given)
            .collect();
        let call = format!("{schema}.{name}({})", args.join(", "));
        let sql = match *kind {
            "p" => format!("CALL {call}"),
            _ => format!("SELECT {call}"),
        };
        match connection.query(&sql) {
            Ok(_) => {}
            Err(error) => {
                let code = error.code.to_string();
                let unknown = ["42883", "42601", "42725", "XX000"];
                assert!(!unknown.contains(&code.as_str()), "{sql}: {error}");
                let says = error.message.contains(name);
                assert!(code != "0A000" || says, "{sql}: {error}");
            }
        }
    }
}
