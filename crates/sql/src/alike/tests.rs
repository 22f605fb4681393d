#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

fn read(text: &str) -> Option<AlikeRows> {
    AlikeRows::read(text).map(|(found, _)| found)
}

/// Of each place at which rows differ its character and what the rows have there.
fn told(found: &AlikeRows) -> Vec<(u64, Vec<String>)> {
    let tell = |literal: &Literal| match literal {
        Literal::Number(range) | Literal::Text(range) => found.slice(range).to_owned(),
        other => format!("{other:?}"),
    };
    let differing = found.differing.iter();
    differing
        .map(|of| (of.position, of.literals.iter().map(tell).collect()))
        .collect()
}

#[test]
fn one_row_is_parsed_and_the_literals_of_all_are_read() {
    let text = " INSERT INTO t VALUES (now() + 1 * interval '1 s', 'ä', f('x', 1.5)),
        (now() + 2 * interval '1 s', 'ä', f('it''s', 2.5)), (now() + 3 * interval '1 s', 'ä', f(NULL, .5)),
        (now() + 4 * interval '1 s', 'ä', f('z', 1e3)) ON CONFLICT DO NOTHING ;";
    let (found, range) = AlikeRows::read(text).unwrap();
    assert_eq!(found.rows, 4);
    assert_eq!(text.get(range).unwrap(), text.trim().trim_end_matches(" ;"));
    let one = "INSERT INTO t VALUES (now() + 1 * INTERVAL '1 s', 'ä', f('x', 1.5)) ON CONFLICT DO NOTHING";
    assert_eq!(found.insert.to_string(), one);
    let place = |of: &str| u64::try_from(text.find(of).unwrap()).unwrap() + 1;
    let strings = |of: &[&str]| of.iter().map(|&of| of.to_owned()).collect::<Vec<_>>();
    // Characters are counted, not bytes: the letter before takes two.
    let expected = vec![
        (place("1 *"), strings(&["1", "2", "3", "4"])),
        (
            place("'x'") - 1,
            strings(&["x", "Quoted(\"it's\")", "Null", "z"]),
        ),
        (place("1.5") - 1, strings(&["1.5", "2.5", ".5", "1e3"])),
    ];
    assert_eq!(told(&found), expected);
    assert_eq!(
        found
            .tree()
            .unwrap()
            .source
            .unwrap()
            .to_string()
            .matches("now()")
            .count(),
        4
    );
}

#[test]
fn rows_that_are_not_alike_are_left_to_the_full_parser() {
    for row in [
        "(1 + 2, 3)",
        "(f(1), 2), (g(3), 4)",
        "(f(1), 2), (f(3), 4, 5)",
        "(f(1), 2), (f(-3), 4)",
        "(f(1), 2), (f(3), 4",
        "(f(1), 2), f(3), 4",
        "(f(E'a'))",
        "(f('a' 'b'))",
        "(f($1))",
        "(f($$a$$))",
        "(f(\"a\"))",
        "(1 -- said\n)",
        "(1 /* said */)",
        "(1 > = 2), (1 >= 2)",
        "(f(1x))",
        "(f(1_000))",
        "(ä)",
        "(f('open)",
        "()), (",
        "f(1)",
    ] {
        let rows = [row; 6].join(", ");
        let text = format!("INSERT INTO t VALUES {rows}");
        let whole = row == "(1 + 2, 3)";
        assert_eq!(read(&text).is_some(), whole, "{text}");
    }
    for text in [
        "INSERT INTO t VALUES (f(1)), (f(2)), (f(3))",
        "INSERT INTO t VALUES (f(1)), (f(2)), (f(3)), (f(4)),",
        "INSERT INTO t VALUES (f(1)), (f(2)), (f(3)), (f(4)); SELECT 1",
        "INSERT INTO t VALUES (f(1)), (f(2)), (f(3)), (f(4)) RETURNING a -- said",
        "INSERT INTO t AS u VALUES (f(1)), (f(2)), (f(3)), (f(4))",
        "INSERT INTO t VALUES (f f(1)), (f f(2)), (f f(3)), (f f(4))",
        "VALUES (f(1)), (f(2)), (f(3)), (f(4))",
    ] {
        assert!(read(text).is_none(), "{text}");
    }
}
