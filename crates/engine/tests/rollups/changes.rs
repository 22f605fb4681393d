//! What stores make of it when rows of their source go.

use std::sync::Arc;

use chronolith_catalog::{Change, Column};
use chronolith_engine::{Engine, EngineError, Isolation, Transaction};
use chronolith_platform::sim::SimDisk;
use chronolith_types::{SqlState, SqlType, TableId};

use crate::counts::{
    self, COARSE, FINE, LATER, STORES, check, check_now, expected, fill_all, kept, read, rollup,
};
use crate::shared::{DB, TICKS, column, ids, ticks};
use crate::{begin, insert, made, marks, open};

fn drop_chunk(transaction: &mut Transaction, table: TableId, at: i64) -> Result<(), EngineError> {
    let catalog = transaction.catalog();
    let chunk = catalog.table(DB, table).unwrap().chunk_at(at).unwrap().id;
    transaction.change(Change::DropChunk {
        database: DB,
        table,
        chunk,
    })
}

fn frozen(engine: &Arc<Engine>, store: TableId) -> Vec<(i64, i64)> {
    let frozen = rollup(&begin(engine), store).frozen.into_iter();
    frozen.map(|range| (range.start, range.end)).collect()
}

#[test]
fn a_truncated_source_leaves_its_stores_empty() {
    let disk = SimDisk::new(1);
    let engine = made(&disk, &[1, 2, 3, 4]);
    fill_all(&engine).unwrap();
    insert(&engine, &[5, 6]);
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[7])).unwrap();
    transaction.derive().unwrap();
    transaction.savepoint("a");
    transaction.truncate(TICKS).unwrap();
    check(&transaction);
    assert!(kept(&transaction, COARSE).is_empty());
    transaction.rollback_to("a").unwrap();
    check(&transaction);
    assert_eq!(ids(&transaction, TICKS, 2), [1, 2, 3, 4, 5, 6, 7]);
    transaction.truncate(TICKS).unwrap();
    transaction.insert(TICKS, &ticks(&[8, 9])).unwrap();
    // Beside it others go on.
    insert(&engine, &[31]);
    transaction.commit().unwrap();
    check_now(&engine);
    assert_eq!(ids(&begin(&engine), TICKS, 2), [8, 9]);
    let now = begin(&engine);
    assert_eq!(kept(&now, FINE), expected(&now, FINE));
    assert_eq!(kept(&now, COARSE), expected(&now, COARSE));
    drop((now, engine));
    check_now(&open(&disk.crash(), 2).unwrap());
}

#[test]
fn a_dropped_chunk_leaves_what_was_computed_from_it() {
    let disk = SimDisk::new(2);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    let before: Vec<_> = STORES.map(|store| read(&begin(&engine), store)).into();
    let mut transaction = begin(&engine);
    drop_chunk(&mut transaction, TICKS, 10).unwrap();
    transaction.commit().unwrap();
    assert_eq!(frozen(&engine, FINE), [(10, 20)]);
    assert_eq!(frozen(&engine, COARSE), [(0, 30)]);
    assert_eq!(frozen(&engine, LATER), [(8, 24)]);
    let after: Vec<_> = STORES.map(|store| read(&begin(&engine), store)).into();
    assert_eq!(before, after);
    // What comes since is marked outside alone, and added everywhere.
    insert(&engine, &(30..60).collect::<Vec<_>>());
    assert_eq!(marks(&engine, FINE), []);
    assert_eq!(marks(&engine, LATER), [(0, 8), (24, 40)]);
    let count = |store| {
        kept(&begin(&engine), store)
            .values()
            .map(|of| of.0)
            .sum::<i64>()
    };
    assert_eq!((count(FINE), count(COARSE)), (59, 59));
    // A truncated source takes with it what is not frozen.
    let mut transaction = begin(&engine);
    transaction.truncate(TICKS).unwrap();
    transaction.commit().unwrap();
    let now = begin(&engine);
    assert!(
        read(&now, FINE)
            .keys()
            .all(|(bucket, _)| (10..20).contains(bucket))
    );
    assert!(!read(&now, FINE).is_empty());
    assert!(!read(&now, COARSE).is_empty());
    fill_all(&engine).unwrap();
    assert_eq!(read(&begin(&engine), FINE), read(&now, FINE));
    assert_eq!(kept(&begin(&engine), FINE), read(&now, FINE));
}

#[test]
fn a_truncate_does_not_take_what_was_frozen_meanwhile() {
    let disk = SimDisk::new(3);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    let mut truncate = begin(&engine);
    truncate.truncate(TICKS).unwrap();
    let mut drop = begin(&engine);
    drop_chunk(&mut drop, TICKS, 10).unwrap();
    drop.commit().unwrap();
    let error = truncate.commit().unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::SERIALIZATION_FAILURE);
    assert!(!read(&begin(&engine), FINE).is_empty());
}

#[test]
fn chunks_and_rows_that_go_while_a_store_comes_are_told_to_it() {
    let disk = SimDisk::new(4);
    let engine = open(&disk, 4).unwrap();
    crate::shared::create(&engine).unwrap();
    insert(&engine, &(1..30).collect::<Vec<_>>());
    let mut drop = begin(&engine);
    drop_chunk(&mut drop, TICKS, 10).unwrap();
    let mut truncate = begin(&engine);
    truncate.truncate(TICKS).unwrap();
    counts::create(&engine, &STORES).unwrap();
    fill_all(&engine).unwrap();
    drop.commit().unwrap();
    assert_eq!(frozen(&engine, FINE), [(10, 20)]);
    assert_eq!(frozen(&engine, COARSE), [(0, 30)]);
    truncate.commit().unwrap();
    assert_eq!(marks(&engine, FINE), [(i64::MIN, 10), (20, i64::MAX)]);
    let now = begin(&engine);
    assert!(
        read(&now, FINE)
            .keys()
            .all(|(bucket, _)| (10..20).contains(bucket))
    );
}

#[test]
fn a_store_without_some_of_its_chunks_does_not_compute_them_again() {
    let disk = SimDisk::new(5);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    let mut transaction = begin(&engine);
    transaction.invalidate(TICKS, &(3..27)).unwrap();
    drop_chunk(&mut transaction, FINE, 0).unwrap();
    transaction.commit().unwrap();
    assert_eq!(marks(&engine, FINE), [(20, 30)]);
    assert_eq!(frozen(&engine, COARSE), [(0, 30)]);
    let now = begin(&engine);
    assert!(read(&now, FINE).keys().all(|(bucket, _)| *bucket >= 20));
    // A store of buckets that are cut by chunks: those that begin in the chunk are gone.
    let mut transaction = begin(&engine);
    transaction.invalidate(TICKS, &(0..40)).unwrap();
    drop_chunk(&mut transaction, LATER, 20).unwrap();
    transaction.commit().unwrap();
    assert_eq!(marks(&engine, LATER), [(0, 24)]);
}

#[test]
fn a_truncated_store_is_computed_again() {
    let disk = SimDisk::new(6);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    let mut transaction = begin(&engine);
    transaction.truncate(FINE).unwrap();
    check(&transaction);
    transaction.commit().unwrap();
    assert!(kept(&begin(&engine), FINE).is_empty());
    check_now(&engine);
    fill_all(&engine).unwrap();
    check_now(&engine);
}

#[test]
fn what_is_invalidated_is_so_in_all_that_is_computed_from_it() {
    let disk = SimDisk::new(7);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    let mut transaction = begin(&engine);
    transaction.invalidate(TICKS, &(17..18)).unwrap();
    transaction.commit().unwrap();
    assert_eq!(marks(&engine, FINE), [(15, 20)]);
    assert_eq!(marks(&engine, COARSE), [(15, 30)]);
    assert_eq!(marks(&engine, LATER), [(16, 24)]);
    check_now(&engine);
}

#[test]
fn rows_given_before_a_column_came_are_in_the_stores() {
    let disk = SimDisk::new(8);
    let engine = made(&disk, &[1]);
    fill_all(&engine).unwrap();
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[2, 3])).unwrap();
    let add = Change::AddColumn {
        database: DB,
        table: TICKS,
        column: Column {
            not_null: false,
            ..column(10, "x", SqlType::Int8)
        },
    };
    transaction.savepoint("a");
    transaction.change(add.clone()).unwrap();
    check(&transaction);
    transaction.rollback_to("a").unwrap();
    check_now(&engine);
    transaction.change(add).unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    transaction.commit().unwrap();
    check_now(&engine);
    assert_eq!(
        kept(&engine.begin(DB, Isolation::RepeatableRead), FINE).len(),
        3
    );
}
