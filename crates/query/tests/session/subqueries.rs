//! Queries inside expressions, for each row of the query around.

use super::Db;

fn filled() -> Db {
    let mut db = Db::new();
    db.run("CREATE TABLE a (id int PRIMARY KEY, low int, name text)");
    db.run("INSERT INTO a VALUES (1, 0, 'one'), (2, 15, 'two'), (3, 99, 'three')");
    db.run("CREATE TABLE b (a_id int, v int)");
    db.run("INSERT INTO b VALUES (1, 10), (1, 20), (2, 15), (2, 25), (3, 30)");
    db
}

#[test]
fn a_value_is_found_for_each_row_by_equality() {
    let mut db = filled();
    assert_eq!(
        db.query("SELECT v, (SELECT name FROM a WHERE a.id = b.a_id) FROM b ORDER BY v"),
        ["10|one", "15|two", "20|one", "25|two", "30|three"]
    );
    assert_eq!(
        db.query("SELECT id, (SELECT sum(v) FROM b WHERE b.a_id = a.id + 1) FROM a ORDER BY id"),
        ["1|40", "2|30", "3|NULL"]
    );
    assert_eq!(
        db.fails("SELECT id, (SELECT v FROM b WHERE b.a_id = a.id) FROM a"),
        (
            "21000".to_owned(),
            "more than one row returned by a subquery used as an expression".to_owned()
        )
    );
}

#[test]
fn a_value_is_found_for_each_row_by_any_condition() {
    let mut db = filled();
    assert_eq!(
        db.query("SELECT id, (SELECT max(v) FROM b WHERE b.v > a.low) FROM a ORDER BY id"),
        ["1|30", "2|30", "3|NULL"]
    );
    assert_eq!(
        db.query(
            "SELECT id, (SELECT v FROM b WHERE v > a.low ORDER BY v LIMIT 1) FROM a ORDER BY id"
        ),
        ["1|10", "2|20", "3|NULL"]
    );
    assert_eq!(
        db.fails("SELECT id, (SELECT v FROM b WHERE v > a.low) FROM a")
            .0,
        "21000"
    );
    // Two queries deep, both naming the outermost row.
    assert_eq!(
        db.query(
            "SELECT id, (SELECT count(*) FROM b WHERE b.a_id = a.id
                           AND b.v > (SELECT min(c.v) FROM b c WHERE c.a_id = a.id))
             FROM a ORDER BY id"
        ),
        ["1|1", "2|1", "3|0"]
    );
}

#[test]
fn arrays_and_existence_are_found_for_each_row() {
    let mut db = filled();
    assert_eq!(
        db.query(
            "SELECT id, ARRAY(SELECT v FROM b WHERE a_id = id ORDER BY v DESC) FROM a ORDER BY id"
        ),
        ["1|{20,10}", "2|{25,15}", "3|{30}"]
    );
    assert_eq!(
        db.query("SELECT id, ARRAY(SELECT v FROM b WHERE v < low ORDER BY v) FROM a ORDER BY id"),
        ["1|{}", "2|{10}", "3|{10,15,20,25,30}"]
    );
    assert_eq!(
        db.query("SELECT id, EXISTS (SELECT 1 FROM b WHERE v < low), 15 IN (SELECT v FROM b WHERE v <= low) FROM a ORDER BY id"),
        ["1|f|f", "2|t|t", "3|t|t"]
    );
    assert_eq!(
        db.query("SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a_id = id GROUP BY a_id HAVING count(*) > 1) ORDER BY id"),
        ["1", "2"]
    );
}

#[test]
fn a_parameter_reaches_a_query_inside_an_expression() {
    let mut db = filled();
    db.run("PREPARE p(int) AS SELECT id, (SELECT count(*) FROM b WHERE v > a.low + $1) FROM a ORDER BY id");
    assert_eq!(db.query("EXECUTE p(5)"), ["1|5", "2|2", "3|0"]);
    assert_eq!(db.query("EXECUTE p(12)"), ["1|4", "2|1", "3|0"]);
}

#[test]
fn the_table_of_a_row_is_known() {
    let mut db = filled();
    assert_eq!(
        db.query("SELECT tableoid::regclass, t.tableoid = 'b'::regclass FROM b AS t WHERE v = 10"),
        ["b|t"]
    );
    assert_eq!(db.fails("SELECT tableoid FROM a, b").0, "42702");
}

#[test]
fn conditions_on_the_outer_row_alone_are_joined_too() {
    let mut db = filled();
    db.run("ALTER TABLE a ADD COLUMN flag boolean");
    db.run("CREATE TABLE c (id int, flag boolean, low int)");
    db.run("INSERT INTO c VALUES (1, true, 0), (2, false, 15), (3, NULL, 3), (4, true, 9)");
    let flagged = "SELECT id, (SELECT name FROM a WHERE a.id = c.id AND c.flag) FROM c ORDER BY id";
    assert_eq!(db.query(flagged), ["1|one", "2|NULL", "3|NULL", "4|NULL"]);
    // What equals the outer column stands for it elsewhere.
    let unequal =
        "SELECT id, (SELECT name FROM a WHERE a.id = c.id AND c.id <> a.low) FROM c ORDER BY id";
    assert_eq!(db.query(unequal), ["1|one", "2|two", "3|three", "4|NULL"]);
    for query in [flagged, unequal] {
        let plan = db.query(&format!("EXPLAIN {query}")).join("\n");
        assert!(
            plan.contains("Join") && !plan.contains("subquery("),
            "{plan}"
        );
    }
    assert_eq!(
        db.query(
            "SELECT id, (SELECT count(*) FROM b WHERE a_id = c.id AND c.flag) FROM c ORDER BY id"
        ),
        ["1|2", "2|0", "3|0", "4|0"]
    );
}

#[test]
fn a_limit_inside_in_is_one_for_each_row() {
    let mut db = filled();
    let least = "SELECT v FROM b WHERE v IN (SELECT c.v FROM b c WHERE c.a_id = b.a_id ORDER BY c.v LIMIT 1) ORDER BY v";
    assert_eq!(db.query(least), ["10", "15", "30"]);
    let any = "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a_id = id AND v > 12 ORDER BY v LIMIT 1) ORDER BY id";
    assert_eq!(db.query(any), ["1", "2", "3"]);
    let none = "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a_id = id LIMIT 0)";
    assert_eq!(db.query(none), Vec::<String>::new());
    let distinct =
        "SELECT id FROM a WHERE 15 IN (SELECT DISTINCT v FROM b WHERE a_id = id) ORDER BY id";
    assert_eq!(db.query(distinct), ["2"]);
    for query in [any, distinct] {
        let plan = db.query(&format!("EXPLAIN {query}")).join("\n");
        assert!(
            plan.contains("Semi") && !plan.contains("subquery("),
            "{plan}"
        );
    }
}
