//! Loads into a source, and chunks of stores that are flushed for their many rows.

use std::sync::Arc;

use chronolith_catalog::Change;
use chronolith_engine::{Engine, EngineConfig, EngineError, Transaction};
use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Disk, Platform, RelPath};

use crate::counts::{
    self, COARSE, Counts, FINE, LATER, POISON, STORES, check, check_now, fill_all, kept,
};
use crate::shared::{self, DB, TICKS, config, ids, ticks};
use crate::{begin, drop_stores, insert, marks};

/// A load may hold 32 KiB: some 800 rows.
fn small(disk: &SimDisk, background: bool) -> Arc<Engine> {
    let small = EngineConfig {
        hot_bytes_max: 64 << 10,
        background,
        ..config()
    };
    let engine = Engine::open(Platform::simulated(disk.clone(), 1), small).unwrap();
    engine.set_rollups(Arc::new(Counts));
    engine
}

fn load(transaction: &mut Transaction, numbers: &[i64]) -> Result<u64, EngineError> {
    let mut loader = transaction.loader(TICKS)?;
    for numbers in numbers.chunks(100) {
        loader.push(&ticks(numbers))?;
    }
    loader.finish(transaction)
}

#[track_caller]
fn no_orphans(engine: &Engine, disk: &SimDisk) {
    let there = disk.list(&RelPath::new("parts").unwrap()).unwrap().len();
    assert_eq!(there, 2 * engine.catalog().parts().count());
}

#[test]
fn a_load_brings_its_stores_what_they_get_of_it() {
    for background in [false, true] {
        let disk = SimDisk::new(1);
        let engine = small(&disk, background);
        shared::create(&engine).unwrap();
        insert(&engine, &[1, 2, 3]);
        counts::create(&engine, &STORES).unwrap();
        fill_all(&engine).unwrap();
        let many: Vec<i64> = (10..6000).collect();
        let mut transaction = begin(&engine);
        transaction.insert(TICKS, &ticks(&[4, 5])).unwrap();
        transaction.savepoint("a");
        load(&mut transaction, &many).unwrap();
        transaction.derive().unwrap();
        check(&transaction);
        transaction.rollback_to("a").unwrap();
        transaction.derive().unwrap();
        check(&transaction);
        load(&mut transaction, &many).unwrap();
        transaction.commit().unwrap();
        check_now(&engine);
        let count = |store| {
            kept(&begin(&engine), store)
                .values()
                .map(|of| of.0)
                .sum::<i64>()
        };
        assert_eq!((count(FINE), count(COARSE)), (5995, 5995));
        assert_eq!(marks(&engine, FINE), []);
        assert_eq!(marks(&engine, LATER), [(0, 16), (16, 40)]);
        // Rows of stores were folded before they were written.
        assert!(begin(&engine).table(FINE).unwrap().rows() < 500);
        if !background {
            no_orphans(&engine, &disk);
        }
        assert!(engine.verify().is_empty());
        drop(engine);
        let engine = small(&disk.crash(), false);
        check_now(&engine);
        fill_all(&engine).unwrap();
        check_now(&engine);
    }
}

#[test]
fn a_load_that_stores_refuse_leaves_nothing() {
    let disk = SimDisk::new(2);
    let engine = small(&disk, false);
    shared::create(&engine).unwrap();
    counts::create(&engine, &STORES).unwrap();
    fill_all(&engine).unwrap();
    let mut many: Vec<i64> = (10..3000).collect();
    many.push(POISON);
    let mut transaction = begin(&engine);
    let error = load(&mut transaction, &many).and_then(|_| transaction.derive());
    assert!(matches!(error, Err(EngineError::Rollup(_))), "{error:?}");
    drop(transaction);
    no_orphans(&engine, &disk);
    check_now(&engine);
    assert!(kept(&begin(&engine), FINE).is_empty());
}

#[test]
fn stores_that_come_and_go_while_a_load_runs_are_right() {
    let disk = SimDisk::new(3);
    let engine = small(&disk, false);
    shared::create(&engine).unwrap();
    insert(&engine, &[1, 2, 3]);
    let many: Vec<i64> = (10..3000).collect();
    for commit_before in [false, true] {
        let mut transaction = begin(&engine);
        let numbers: Vec<i64> = match commit_before {
            true => many.iter().map(|n| n + 4000).collect(),
            false => many.clone(),
        };
        let mut loader = transaction.loader(TICKS).unwrap();
        loader.push(&ticks(&numbers)).unwrap();
        if !commit_before {
            loader.finish(&mut transaction).unwrap();
            counts::create(&engine, &STORES).unwrap();
            fill_all(&engine).unwrap();
        } else {
            let mut drop_one = begin(&engine);
            let drop_it = Change::DropTable {
                database: DB,
                id: COARSE,
            };
            drop_one.change(drop_it).unwrap();
            drop_one.commit().unwrap();
            transaction.begin_statement().unwrap();
            loader.finish(&mut transaction).unwrap();
            counts::create(&engine, &[COARSE]).unwrap();
            fill_all(&engine).unwrap();
        }
        transaction.commit().unwrap();
        check_now(&engine);
        assert_ne!(marks(&engine, COARSE), []);
        no_orphans(&engine, &disk);
    }
    assert_eq!(ids(&begin(&engine), TICKS, 2).len(), 3 + 2 * 2990);
    fill_all(&engine).unwrap();
    check_now(&engine);
    // One that began before there were any, and ends when they are there.
    drop_stores(&engine);
    let mut transaction = begin(&engine);
    let mut loader = transaction.loader(TICKS).unwrap();
    let numbers: Vec<i64> = many.iter().map(|n| n + 8000).collect();
    loader.push(&ticks(&numbers)).unwrap();
    counts::create(&engine, &STORES).unwrap();
    fill_all(&engine).unwrap();
    transaction.begin_statement().unwrap();
    loader.finish(&mut transaction).unwrap();
    transaction.derive().unwrap();
    check(&transaction);
    transaction.commit().unwrap();
    check_now(&engine);
    fill_all(&engine).unwrap();
    // One that knows them, though its transaction is older, leaves nothing to be computed.
    drop_stores(&engine);
    let mut transaction = begin(&engine);
    transaction.derive().unwrap();
    counts::create(&engine, &STORES).unwrap();
    fill_all(&engine).unwrap();
    transaction.begin_statement().unwrap();
    let numbers: Vec<i64> = many.iter().map(|n| n + 12_000).collect();
    load(&mut transaction, &numbers).unwrap();
    transaction.commit().unwrap();
    check_now(&engine);
    assert_eq!(marks(&engine, FINE), []);
}

#[test]
fn a_chunk_of_a_store_with_many_rows_is_flushed() {
    let disk = SimDisk::new(4);
    let few = EngineConfig {
        partial_rows_max: 10,
        ..config()
    };
    let engine = Engine::open(Platform::simulated(disk.clone(), 1), few).unwrap();
    engine.set_rollups(Arc::new(Counts));
    shared::create(&engine).unwrap();
    counts::create(&engine, &STORES).unwrap();
    fill_all(&engine).unwrap();
    for id in 0..50 {
        insert(&engine, &[id * 40 + 1]);
        assert!(begin(&engine).table(FINE).unwrap().rows() <= 20);
    }
    check_now(&engine);
    // Rows of a source wait for memory to be short, as ever.
    let catalog = engine.catalog();
    let parts = |table| -> usize {
        let table = catalog.table(DB, table).unwrap();
        table.chunks.values().map(|chunk| chunk.parts.len()).sum()
    };
    assert_eq!(parts(TICKS), 0);
    assert!(parts(FINE) > 0);
}
