//! Numbers of sequences: given once, whatever becomes of who got them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use chronolith_catalog::{Change, Sequence};
use chronolith_engine::{Engine, Isolation, Transaction};
use chronolith_platform::sim::SimDisk;
use chronolith_types::{RoleId, SchemaId, SqlType, TableId};

mod shared;
use shared::{DB, open};

const ORDERS: TableId = TableId(20_000);

fn begin(engine: &Arc<Engine>) -> Transaction {
    engine.begin(DB, Isolation::ReadCommitted)
}

fn create(engine: &Arc<Engine>) {
    let sequence = Sequence {
        id: ORDERS,
        schema: SchemaId(2200),
        name: "orders".to_owned(),
        owner: RoleId(10),
        ty: SqlType::Int8,
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cache: 1,
        cycle: false,
        owned_by: None,
        count: 20_001,
        last: 1,
        called: false,
    };
    let mut transaction = begin(engine);
    transaction
        .change(Change::CreateSequence {
            database: DB,
            sequence: Box::new(sequence),
        })
        .unwrap();
    transaction.commit().unwrap();
}

fn next(engine: &Arc<Engine>) -> i64 {
    begin(engine).next_values(ORDERS, 1).unwrap()[0]
}

#[test]
fn no_number_is_given_twice_whenever_the_power_fails() {
    let mut disk = SimDisk::new(41);
    let engine = open(&disk, 41).unwrap();
    create(&engine);
    drop(engine);
    let mut last = 0;
    for round in 0..40 {
        let engine = open(&disk, 41).unwrap();
        for _ in 0..round {
            // The transaction is dropped: nothing is taken back.
            let number = next(&engine);
            assert!(number > last, "{number} after {last}");
            last = number;
        }
        disk = disk.crash();
    }
    assert!(last < 40 * 40 * 2, "gaps are no wider than what was logged");
}

#[test]
fn closing_leaves_no_gap() {
    let disk = SimDisk::new(42);
    let engine = open(&disk, 42).unwrap();
    create(&engine);
    assert_eq!(next(&engine), 1);
    assert_eq!(next(&engine), 2);
    engine.close().unwrap();
    drop(engine);
    assert_eq!(next(&open(&disk, 42).unwrap()), 3);
}

#[test]
fn numbers_go_back_unless_others_were_drawn_since() {
    let mut disk = SimDisk::new(44);
    let engine = open(&disk, 44).unwrap();
    create(&engine);
    assert_eq!(next(&engine), 1);
    let mut transaction = begin(&engine);
    let (draw, numbers) = transaction.draw(ORDERS, 100);
    assert_eq!(numbers.unwrap(), (2..102).collect::<Vec<_>>());
    assert!(transaction.take_back(&draw.unwrap()).unwrap());
    assert_eq!(next(&engine), 2, "it is as if nobody had asked");
    let (draw, _) = transaction.draw(ORDERS, 5);
    assert_eq!(next(&engine), 8);
    assert!(!transaction.take_back(&draw.unwrap()).unwrap());
    assert_eq!(next(&engine), 9, "what others got later stays given");
    let (draw, _) = transaction.draw(ORDERS, 50);
    assert!(transaction.take_back(&draw.unwrap()).unwrap());
    assert_eq!(next(&engine), 10);
    drop((transaction, engine));
    disk = disk.crash();
    let engine = open(&disk, 44).unwrap();
    assert!(next(&engine) > 10, "nothing that was given is given again");
}
