#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use super::find;
use super::relation::all;

#[test]
fn every_recorded_relation_is_read() {
    let lines = include_str!("relations.tsv").lines();
    assert_eq!(all().count(), lines.count());
}

#[test]
fn an_oid_names_one_relation_or_type() {
    let mut seen = HashSet::new();
    for relation in all() {
        assert!(seen.insert(relation.oid()), "{relation:?}");
        let (row, array) = relation.row_types;
        assert!(row == 0 || seen.insert(row), "{relation:?}");
        assert!(array == 0 || seen.insert(array), "{relation:?}");
    }
}

#[test]
fn a_relation_is_found_in_its_schema_only() {
    assert_eq!(find("pg_catalog", "pg_class").unwrap().oid(), 1259);
    assert!(find("information_schema", "pg_class").is_none());
}
