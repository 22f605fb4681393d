//! Stores of continuous aggregates: what they have is what their sources say, at every instant.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use chronolith_catalog::Change;
use chronolith_engine::{Engine, EngineError, Isolation, Transaction};
use chronolith_platform::sim::SimDisk;
use chronolith_types::{SqlState, TableId};

mod changes;
mod counts;
mod crash;
mod load;
mod rewrite;
#[path = "../shared/mod.rs"]
mod shared;

use counts::{
    COARSE, Counts, FINE, LATER, POISON, STORES, check, check_now, fill_all, kept, read, rollup,
};
use shared::{DB, TICKS, ticks};

pub(crate) fn open(disk: &SimDisk, seed: u64) -> Result<Arc<Engine>, EngineError> {
    let engine = shared::open(disk, seed)?;
    engine.set_rollups(Arc::new(Counts));
    Ok(engine)
}

/// An engine with ticks of some numbers, and then all stores.
pub(crate) fn made(disk: &SimDisk, numbers: &[i64]) -> Arc<Engine> {
    let engine = open(disk, 1).unwrap();
    shared::create(&engine).unwrap();
    if !numbers.is_empty() {
        insert(&engine, numbers);
    }
    counts::create(&engine, &STORES).unwrap();
    engine
}

pub(crate) fn begin(engine: &Arc<Engine>) -> Transaction {
    engine.begin(DB, Isolation::ReadCommitted)
}

pub(crate) fn insert(engine: &Arc<Engine>, numbers: &[i64]) {
    let mut transaction = begin(engine);
    transaction.insert(TICKS, &ticks(numbers)).unwrap();
    transaction.commit().unwrap();
}

pub(crate) fn drop_stores(engine: &Arc<Engine>) {
    let mut transaction = begin(engine);
    for id in [COARSE, FINE, LATER] {
        let drop = Change::DropTable { database: DB, id };
        transaction.change(drop).unwrap();
    }
    transaction.commit().unwrap();
}

/// Marks of a store: from where to where.
pub(crate) fn marks(engine: &Arc<Engine>, store: TableId) -> Vec<(i64, i64)> {
    let marks = rollup(&begin(engine), store).invalid.into_iter();
    marks
        .map(|mark| (mark.range.start, mark.range.end))
        .collect()
}

#[test]
fn a_commit_brings_rows_and_what_is_computed_from_them_at_once() {
    let disk = SimDisk::new(1);
    let engine = made(&disk, &[]);
    fill_all(&engine).unwrap();
    assert_eq!(marks(&engine, FINE), []);
    let before = engine.begin(DB, Isolation::RepeatableRead);
    insert(&engine, &(1..20).collect::<Vec<_>>());
    insert(&engine, &[40, 41, 42]);
    check(&before);
    assert!(read(&before, FINE).is_empty());
    check_now(&engine);
    let now = begin(&engine);
    assert_eq!(
        kept(&now, FINE)
            .values()
            .map(|(count, _)| count)
            .sum::<i64>(),
        22
    );
    assert_eq!(
        kept(&now, COARSE)
            .values()
            .map(|(count, _)| count)
            .sum::<i64>(),
        22
    );
    assert!(kept(&now, LATER).is_empty());
    assert_eq!(marks(&engine, LATER), [(0, 16), (16, 40)]);
    for round in 0..2 {
        engine.flush().unwrap();
        check_now(&engine);
        insert(&engine, &[round + 100, round + 110]);
        check_now(&engine);
    }
    drop((now, before, engine));
    let engine = open(&disk.crash(), 2).unwrap();
    check_now(&engine);
    fill_all(&engine).unwrap();
    assert_eq!(marks(&engine, LATER), []);
    check_now(&engine);
}

#[test]
fn a_transaction_reads_what_its_own_rows_bring_once_it_asks() {
    let disk = SimDisk::new(2);
    let engine = made(&disk, &[1, 2, 3]);
    fill_all(&engine).unwrap();
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[4, 5])).unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    transaction.savepoint("a");
    transaction.insert(TICKS, &ticks(&[6, 7, 8])).unwrap();
    transaction.derive().unwrap();
    transaction.insert(TICKS, &ticks(&[9])).unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    transaction.rollback_to("a").unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    transaction.insert(TICKS, &ticks(&[10])).unwrap();
    transaction.savepoint("b");
    transaction.insert(TICKS, &ticks(&[11])).unwrap();
    transaction.derive().unwrap();
    transaction.rollback_to("b").unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    insert(&engine, &[50, 51]);
    transaction.begin_statement().unwrap();
    check(&transaction);
    transaction.commit().unwrap();
    check_now(&engine);
    assert_eq!(
        shared::ids(&begin(&engine), TICKS, 2),
        [1, 2, 3, 4, 5, 10, 50, 51]
    );
}

#[test]
fn rows_whose_stores_cannot_take_them_are_refused() {
    let disk = SimDisk::new(3);
    let engine = made(&disk, &[1]);
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[2])).unwrap();
    transaction.insert(TICKS, &ticks(&[POISON])).unwrap();
    let error = transaction.derive().unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::NUMERIC_VALUE_OUT_OF_RANGE);
    assert!(kept(&transaction, FINE).is_empty());
    let error = transaction.commit().unwrap_err();
    assert_eq!(error.to_string(), "bigint out of range");
    check_now(&engine);
    // Without anybody who computes them, rows of a source are refused too.
    drop(engine);
    let engine = shared::open(&disk.crash(), 2).unwrap();
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[2])).unwrap();
    assert!(transaction.commit().is_err());
    assert_eq!(shared::ids(&begin(&engine), TICKS, 2), [1]);
}

#[test]
fn a_flush_folds_the_partial_rows_of_a_store() {
    let disk = SimDisk::new(4);
    let engine = made(&disk, &[]);
    fill_all(&engine).unwrap();
    for id in 0..200 {
        insert(&engine, &[id * 40 + 1]);
    }
    let rows = |engine: &Arc<Engine>| begin(engine).table(FINE).unwrap().rows();
    assert_eq!(rows(&engine), 200);
    engine.flush().unwrap();
    assert_eq!(rows(&engine), 3, "one bucket of three symbols");
    check_now(&engine);
    insert(&engine, &[40 * 210 + 1]);
    insert(&engine, &[40 * 211 + 1]);
    assert_eq!(rows(&engine), 5);
    engine.checkpoint().unwrap();
    assert_eq!(rows(&engine), 3);
    check_now(&engine);
    assert!(engine.verify().is_empty());
    drop(engine);
    check_now(&open(&disk.crash(), 2).unwrap());
}

#[test]
fn rows_that_wait_while_a_store_comes_are_marked_in_it() {
    let disk = SimDisk::new(5);
    let engine = made(&disk, &[]);
    fill_all(&engine).unwrap();
    // Rows for stores that go meanwhile are nobody's; those of their source stay.
    let mut late = begin(&engine);
    late.insert(TICKS, &ticks(&[1, 2, 3])).unwrap();
    late.derive().unwrap();
    drop_stores(&engine);
    late.commit().unwrap();
    assert_eq!(shared::ids(&begin(&engine), TICKS, 2), [1, 2, 3]);
    counts::create(&engine, &STORES).unwrap();
    let mut late = begin(&engine);
    late.insert(TICKS, &ticks(&[4])).unwrap();
    late.derive().unwrap();
    drop_stores(&engine);
    late.begin_statement().unwrap();
    late.insert(TICKS, &ticks(&[5])).unwrap();
    late.derive().unwrap();
    late.commit().unwrap();
    assert_eq!(shared::ids(&begin(&engine), TICKS, 2), [1, 2, 3, 4, 5]);
    for derived in [false, true] {
        let mut early = begin(&engine);
        let mut other = begin(&engine);
        let first = if derived { 10 } else { 20 };
        early.insert(TICKS, &ticks(&[first, first + 1])).unwrap();
        other.insert(TICKS, &ticks(&[first + 2])).unwrap();
        if derived {
            early.derive().unwrap();
            other.derive().unwrap();
        }
        counts::create(&engine, &STORES).unwrap();
        fill_all(&engine).unwrap();
        assert_eq!(marks(&engine, FINE), []);
        // One commits as it is; the other sees the stores before.
        early.commit().unwrap();
        assert_ne!(marks(&engine, FINE), []);
        assert_ne!(marks(&engine, COARSE), []);
        check_now(&engine);
        other.begin_statement().unwrap();
        other.insert(TICKS, &ticks(&[first + 3])).unwrap();
        other.derive().unwrap();
        check(&other);
        other.commit().unwrap();
        check_now(&engine);
        fill_all(&engine).unwrap();
        check_now(&engine);
        drop_stores(&engine);
    }
    // What could not be derived is told to the new stores when it can.
    let mut early = begin(&engine);
    early.insert(TICKS, &ticks(&[30, 31])).unwrap();
    counts::create(&engine, &STORES).unwrap();
    fill_all(&engine).unwrap();
    early.derive().unwrap();
    early.begin_statement().unwrap();
    early.savepoint("a");
    early.insert(TICKS, &ticks(&[POISON])).unwrap();
    assert!(early.derive().is_err());
    early.rollback_to("a").unwrap();
    early.commit().unwrap();
    check_now(&engine);
    assert_ne!(marks(&engine, FINE), []);
}

#[test]
fn rows_of_a_store_that_goes_take_no_others_with_them() {
    let disk = SimDisk::new(7);
    let engine = made(&disk, &[]);
    fill_all(&engine).unwrap();
    let mut transaction = begin(&engine);
    // At 7, in a chunk of its own.
    transaction.insert(TICKS, &ticks(&[1])).unwrap();
    transaction.derive().unwrap();
    let mut other = begin(&engine);
    let id = COARSE;
    other
        .change(Change::DropTable { database: DB, id })
        .unwrap();
    other.commit().unwrap();
    transaction.begin_statement().unwrap();
    // At 14 and 21: each makes a chunk.
    transaction.insert(TICKS, &ticks(&[2])).unwrap();
    transaction.insert(TICKS, &ticks(&[3])).unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    transaction.commit().unwrap();
    check_now(&engine);
    assert_eq!(marks(&engine, FINE), []);
    assert_eq!(kept(&begin(&engine), FINE).len(), 3);
}

#[test]
fn stores_that_knew_all_are_not_marked_for_one_that_comes() {
    let disk = SimDisk::new(8);
    let engine = made(&disk, &[]);
    fill_all(&engine).unwrap();
    let drop_coarse = || {
        let mut other = begin(&engine);
        let id = COARSE;
        other
            .change(Change::DropTable { database: DB, id })
            .unwrap();
        other.commit().unwrap();
    };
    for round in 0..2 {
        drop_coarse();
        let mut transaction = begin(&engine);
        transaction
            .insert(TICKS, &ticks(&[round * 10 + 1]))
            .unwrap();
        transaction.derive().unwrap();
        counts::create(&engine, &[COARSE]).unwrap();
        fill_all(&engine).unwrap();
        if round == 1 {
            transaction.begin_statement().unwrap();
        }
        transaction
            .insert(TICKS, &ticks(&[round * 10 + 2]))
            .unwrap();
        transaction.commit().unwrap();
        check_now(&engine);
        assert_eq!(marks(&engine, FINE), []);
        assert_ne!(marks(&engine, COARSE), []);
    }
}

#[test]
fn a_store_is_marked_for_rows_that_its_maker_did_not_see() {
    let disk = SimDisk::new(10);
    let engine = open(&disk, 1).unwrap();
    shared::create(&engine).unwrap();
    let mut maker = begin(&engine);
    for store in STORES {
        counts::create_one(&mut maker, store, false).unwrap();
    }
    insert(&engine, &[1, 2, 3]);
    maker.commit().unwrap();
    check_now(&engine);
    fill_all(&engine).unwrap();
    check_now(&engine);
    assert_eq!(kept(&begin(&engine), FINE).len(), 3);
}

#[test]
fn many_writers_and_a_filler_agree() {
    let disk = SimDisk::new(6);
    let engine = made(&disk, &[]);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..30 {
                    let first = (writer * 100 + n) * 10;
                    insert(engine, &(first..first + 3).collect::<Vec<_>>());
                }
            });
        }
        scope.spawn(|| {
            for n in 0..30 {
                match fill_all(&engine) {
                    Ok(()) | Err(EngineError::Overtaken(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                check_now(&engine);
                if n % 3 == 0 {
                    engine.flush().unwrap();
                }
                if n % 10 == 0 {
                    engine.checkpoint().unwrap();
                }
            }
        });
    });
    check_now(&engine);
    fill_all(&engine).unwrap();
    assert_eq!(marks(&engine, LATER), []);
    check_now(&engine);
    drop(engine);
    check_now(&open(&disk.crash(), 2).unwrap());
}

#[test]
fn stores_come_and_go_beside_many_writers() {
    let disk = SimDisk::new(9);
    let engine = made(&disk, &[]);
    fill_all(&engine).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..60 {
                    let first = (writer * 1000 + n) * 10;
                    let mut transaction = begin(engine);
                    transaction
                        .insert(TICKS, &ticks(&[first, first + 1]))
                        .unwrap();
                    if n % 3 > 0 {
                        transaction.derive().unwrap();
                    }
                    transaction.begin_statement().unwrap();
                    if n % 3 > 1 {
                        check(&transaction);
                    }
                    transaction.insert(TICKS, &ticks(&[first + 2])).unwrap();
                    transaction.commit().unwrap();
                }
            });
        }
        scope.spawn(|| {
            for n in 1..25 {
                let mut transaction = begin(&engine);
                let kind = if n % 2 == 0 { COARSE } else { LATER };
                let before = if n > 2 { (n - 2) * 100 } else { 0 };
                let id = TableId(kind.0 + before);
                let fresh = TableId(kind.0 + n * 100);
                transaction
                    .change(Change::DropTable { database: DB, id })
                    .unwrap();
                transaction.commit().unwrap();
                check_now(&engine);
                counts::create(&engine, &[fresh]).unwrap();
                check_now(&engine);
                match fill_all(&engine) {
                    Ok(()) | Err(EngineError::Overtaken(_)) => {}
                    Err(error) => panic!("{error}"),
                }
                check_now(&engine);
                if n % 5 == 0 {
                    engine.flush().unwrap();
                }
            }
        });
    });
    check_now(&engine);
    assert_eq!(shared::ids(&begin(&engine), TICKS, 2).len(), 540);
    assert_eq!(marks(&engine, FINE), []);
    drop(engine);
    check_now(&open(&disk.crash(), 2).unwrap());
}
