//! Stores on a disk that crashes: with every row that is there is what was computed from it.

use std::sync::Arc;

use chronolith_catalog::Change;
use chronolith_engine::{Engine, EngineError};
use chronolith_platform::SimRandom;
use chronolith_platform::sim::{Fault, SimDisk};

use crate::counts::{self, STORES, check_now, fill, fill_all};
use crate::shared::{self, DB, TICKS, ids, ticks};
use crate::{begin, open};

/// One step of a history; `n` tells which, and which ids it adds.
fn step(engine: &Arc<Engine>, n: i64, random: &SimRandom) -> Result<(), EngineError> {
    let mut transaction = begin(engine);
    match n % 8 {
        2 => {
            let mut loader = transaction.loader(TICKS)?;
            loader.push(&ticks(&ids_of(n)))?;
            loader.finish(&mut transaction)?;
        }
        4 => {
            transaction.insert(TICKS, &ticks(&ids_of(n)))?;
            transaction.derive()?;
            transaction.invalidate(TICKS, &(n..n + 9))?;
        }
        6 => {
            let catalog = transaction.catalog();
            let chunks = &catalog.table(DB, TICKS).unwrap().chunks;
            if let Some(chunk) = chunks.keys().next() {
                transaction.change(Change::DropChunk {
                    database: DB,
                    table: TICKS,
                    chunk: *chunk,
                })?;
            }
        }
        _ => {
            transaction.insert(TICKS, &ticks(&ids_of(n)))?;
        }
    }
    transaction.commit()?;
    let store = STORES[usize::try_from(n % 3).unwrap()];
    if n == 1 {
        return Ok(());
    }
    match random.below(5) {
        0 => engine.flush()?,
        1 => engine.checkpoint()?,
        2 => fill(engine, store, &(0..20))?,
        3 => {
            let catalog = engine.catalog();
            if let Some(chunk) = catalog.table(DB, store).unwrap().chunks.keys().next() {
                engine.compress_chunk(DB, store, *chunk)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn ids_of(n: i64) -> Vec<i64> {
    (n * 10..n * 10 + 1 + n % 4).collect()
}

#[test]
fn a_crash_at_any_operation_leaves_stores_that_are_right() {
    let mut crashes = 0;
    let seed = 3;
    for at in 0.. {
        let disk = SimDisk::new(seed);
        disk.plan(at, Fault::PowerCut);
        let mut acknowledged = Vec::new();
        let outcome = open(&disk, seed).and_then(|engine| {
            let random = SimRandom::new(seed);
            shared::create(&engine)?;
            for n in 1..9 {
                if n == 2 {
                    counts::create(&engine, &STORES)?;
                    fill_all(&engine)?;
                }
                step(&engine, n, &random)?;
                if n % 8 != 6 {
                    acknowledged.extend(ids_of(n));
                } else {
                    // Some chunk's rows are gone.
                    acknowledged.clear();
                }
            }
            Ok(())
        });
        if outcome.is_ok() {
            break;
        }
        crashes += 1;
        let engine = open(&disk.crash(), seed + 1).unwrap();
        if engine.catalog().table(DB, TICKS).is_none() {
            continue;
        }
        check_now(&engine);
        assert!(engine.verify().is_empty());
        let found = ids(&begin(&engine), TICKS, 2);
        let dropped = engine
            .catalog()
            .table(DB, counts::FINE)
            .is_some_and(|table| {
                table
                    .rollup
                    .as_ref()
                    .is_some_and(|rollup| !rollup.frozen.is_empty())
            });
        let lost = acknowledged.iter().find(|id| !found.contains(id));
        assert!(
            dropped || lost.is_none(),
            "operation {at}: {lost:?} is lost"
        );
        // It goes on from there.
        if at % 8 == 0 && engine.catalog().table(DB, counts::LATER).is_some() {
            step(&engine, 101, &SimRandom::new(at)).unwrap();
            fill_all(&engine).unwrap();
            check_now(&engine);
        }
    }
    assert!(crashes > 100, "{crashes}");
}
