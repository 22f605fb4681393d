#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn read(text: &str) -> Option<Literals> {
    Literals::read(text).map(|(found, _)| found)
}

#[test]
fn the_simplest_form_is_read() {
    let text =
        "  insert INTO Public.\"My t\" (a, B)\n VALUES (1,'it''s'), ( -2.5e3 , NULL ),(TRUE,'');";
    let (found, range) = Literals::read(text).unwrap();
    assert_eq!(found.schema.as_deref(), Some("public"));
    assert_eq!(found.table, "My t");
    assert_eq!(found.columns, ["a", "b"]);
    assert_eq!(found.width, 2);
    assert_eq!(text.get(range).unwrap(), text.trim().trim_end_matches(';'));
    let cells: Vec<String> = found
        .cells
        .iter()
        .map(|cell| match cell {
            Literal::Number(range) | Literal::Text(range) => found.slice(range).to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        cells,
        ["1", "Quoted(\"it's\")", "-2.5e3", "Null", "Bool(true)", ""]
    );
}

#[test]
fn anything_else_is_left_to_the_full_parser() {
    for text in [
        "INSERT INTO t DEFAULT VALUES",
        "INSERT INTO t VALUES (DEFAULT)",
        "INSERT INTO t VALUES (1 + 1)",
        "INSERT INTO t VALUES ('x'::text)",
        "INSERT INTO t VALUES (E'x')",
        "INSERT INTO t VALUES ('a' 'b')",
        "INSERT INTO t VALUES ($1)",
        "INSERT INTO t VALUES (now())",
        "INSERT INTO t VALUES (1), (1, 2)",
        "INSERT INTO t VALUES ()",
        "INSERT INTO t VALUES (1),",
        "INSERT INTO t VALUES (1) RETURNING a; SELECT 1",
        "INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING -- said",
        "INSERT INTO t VALUES (1); SELECT 1",
        "INSERT INTO t VALUES (1) -- said",
        "INSERT INTO t AS u VALUES (1)",
        "INSERT INTO t (a.b) VALUES (1)",
        "INSERT INTO select VALUES (1)",
        "INSERT INTO tä VALUES (1)",
        "INSERT INTO t VALUES (1_000)",
        "INSERT INTO t VALUES (0x10)",
        "INSERT INTO t VALUES (- 1)",
        "INSERT INTO t VALUES ('open)",
        "INSERT INTO t VALUES (1",
        "INSERTINTO t VALUES (1)",
        "SELECT 1",
        "",
    ] {
        assert!(read(text).is_none(), "{text}");
    }
}

#[test]
fn both_parsers_read_the_same_rows() {
    let text = "INSERT INTO t VALUES (1, 'a'), (2, 'b')";
    let tree = read(text).unwrap().tree().unwrap();
    assert_eq!(tree.to_string(), "INSERT INTO t VALUES (1, 'a'), (2, 'b')");
}

#[test]
fn what_follows_the_rows_is_read_with_a_row_of_nulls() {
    let text = "INSERT INTO s.t (a, \"B\") VALUES (1, 'a'), (2, 'b')\n ON CONFLICT (a) DO NOTHING RETURNING a ; ";
    let (found, range) = Literals::read(text).unwrap();
    let rest = found.rest.clone().unwrap();
    assert_eq!(found.slice(&rest), "ON CONFLICT (a) DO NOTHING RETURNING a");
    assert_eq!(
        text.get(range).unwrap(),
        text.trim().trim_end_matches(';').trim()
    );
    let tree = found.without_rows().unwrap().to_string();
    assert_eq!(
        tree,
        "INSERT INTO s.t (a, \"B\") VALUES (NULL, NULL) ON CONFLICT(a) DO NOTHING RETURNING a"
    );
}
