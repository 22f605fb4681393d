//! Rows that are changed where the log is written: on a disk that loses power what was acknowledged is
//! there; beside others no change is lost; and what is not as simple is left to the transaction.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::record_batch::RecordBatch;
use chronolith_chunk::{RowSet, ScanRequest};
use chronolith_engine::{Amended, Engine, EngineError, Isolation, Next, RowMode, Wait};
use chronolith_platform::SimRandom;
use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_types::ChunkId;

mod shared;
use shared::{DB, TICKS, create, open, ticks};

const KEY: u32 = TICKS.0 + 1000;
const IDS: [i64; 3] = [1, 2, 11];

/// A row whose symbol counts up by one.
fn next(old: &RecordBatch) -> Next {
    let symbol = old.column(1).as_string_view().value(0);
    let Ok(number) = symbol.parse::<u32>() else {
        return Next::Refused;
    };
    if number == 1_000_000 {
        return Next::Same;
    }
    let symbol: StringViewArray = std::iter::once(Some((number + 1).to_string())).collect();
    let mut columns = old.columns().to_vec();
    *columns.get_mut(1).unwrap() = Arc::new(symbol) as ArrayRef;
    Next::Version(RecordBatch::try_new(old.schema(), columns).unwrap())
}

fn wait<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

fn amend(engine: &Arc<Engine>, id: i64) -> Result<Amended, EngineError> {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    let amending = transaction.amend(TICKS, KEY, &ticks(&[id]), Box::new(next))?;
    match amending {
        Some(amending) if id % 2 == 0 => amending.wait(),
        Some(amending) => wait(amending),
        None => Ok(Amended::Otherwise),
    }
}

fn counted(id: i64, symbol: &str) -> RecordBatch {
    let row = ticks(&[id]);
    let symbol: StringViewArray = std::iter::once(Some(symbol)).collect();
    let mut columns = row.columns().to_vec();
    *columns.get_mut(1).unwrap() = Arc::new(symbol) as ArrayRef;
    RecordBatch::try_new(row.schema(), columns).unwrap()
}

fn begin(engine: &Arc<Engine>) -> Result<(), EngineError> {
    create(engine)?;
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    for id in IDS {
        transaction.insert(TICKS, &counted(id, "0"))?;
    }
    transaction.commit().map(|_| ())
}

/// The symbol of each row, by their ids; each row is there once.
fn counts(engine: &Arc<Engine>) -> Option<Vec<u32>> {
    let transaction = engine.begin(DB, Isolation::ReadCommitted);
    let view = transaction.table(TICKS)?;
    let mut found = Vec::new();
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![2, 1])) {
            let batch = batch.unwrap();
            let ids = batch
                .column(0)
                .as_primitive::<arrow::datatypes::Int64Type>();
            let symbols = batch.column(1).as_string_view();
            for (id, symbol) in ids.values().iter().zip(symbols) {
                found.push((*id, symbol.unwrap().parse().unwrap()));
            }
        }
    }
    found.sort_unstable();
    let ids: Vec<i64> = found.iter().map(|(id, _)| *id).collect();
    (ids == IDS).then(|| found.into_iter().map(|(_, count)| count).collect())
}

/// Counts up again and again, with all rows packed in between; how often each row was acknowledged.
fn work(engine: &Arc<Engine>, done: &mut [u32; 3]) -> Result<(), EngineError> {
    for round in 0..4 {
        for (at, id) in IDS.into_iter().enumerate() {
            for _ in 0..=at {
                let amended = amend(engine, id)?;
                assert_eq!(amended, Amended::Changed);
                done[at] += 1;
            }
        }
        if round % 2 == 0 {
            engine.flush()?;
        }
        engine.checkpoint()?;
    }
    Ok(())
}

#[test]
fn a_crash_at_any_operation_loses_no_change_that_was_acknowledged() {
    let mut crashes = 0;
    for at in 0.. {
        let disk = SimDisk::new(2);
        disk.plan(at, Fault::PowerCut);
        let mut done = [0; 3];
        let mut begun = false;
        let outcome = open(&disk, 2).and_then(|engine| {
            begin(&engine)?;
            begun = true;
            work(&engine, &mut done)
        });
        if outcome.is_ok() {
            break;
        }
        crashes += 1;
        let engine = open(&disk.crash(), 3).unwrap();
        let Some(found) = counts(&engine) else {
            assert!(!begun, "operation {at}: rows are lost, or twice there");
            continue;
        };
        for (found, done) in found.iter().zip(done) {
            assert!(
                *found == done || *found == done + 1,
                "operation {at}: {found} of {done}"
            );
        }
        // It goes on as if nothing had happened.
        if begun {
            assert_eq!(amend(&engine, 2).unwrap(), Amended::Changed);
            assert_eq!(counts(&engine).unwrap()[1], found[1] + 1);
        }
    }
    assert!(crashes > 40, "{crashes}");
}

#[test]
fn changes_beside_each_other_are_all_there() {
    const THREADS: u64 = 6;
    const ROUNDS: u32 = 150;
    let disk = SimDisk::new(5);
    let engine = open(&disk, 5).unwrap();
    begin(&engine).unwrap();
    let over = AtomicBool::new(false);
    let done: u32 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|seed| {
                let engine = &engine;
                scope.spawn(move || {
                    let random = SimRandom::new(seed);
                    let mut done = 0;
                    for _ in 0..ROUNDS {
                        let id = IDS[usize::try_from(random.below(3)).unwrap()];
                        loop {
                            match amend(engine, id).unwrap() {
                                Amended::Changed => break,
                                // Its row is locked by another, or is on the move.
                                Amended::Otherwise => std::thread::yield_now(),
                                other => panic!("{other:?}"),
                            }
                        }
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let others = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                engine.flush().unwrap();
                engine.checkpoint().unwrap();
            }
        });
        let done = workers.into_iter().map(|worker| worker.join().unwrap());
        let done = done.sum();
        over.store(true, Ordering::Relaxed);
        others.join().unwrap();
        done
    });
    let before = counts(&engine).unwrap();
    assert_eq!(before.iter().sum::<u32>(), done);
    drop(engine);
    assert_eq!(counts(&open(&disk, 6).unwrap()), Some(before));
}

#[test]
fn what_is_not_simple_is_left_alone() {
    let engine = open(&SimDisk::new(7), 7).unwrap();
    begin(&engine).unwrap();
    let mut insert = engine.begin(DB, Isolation::ReadCommitted);
    insert.insert(TICKS, &counted(12, "a word")).unwrap();
    insert.insert(TICKS, &counted(13, "1000000")).unwrap();
    insert.commit().unwrap();
    assert_eq!(amend(&engine, 12).unwrap(), Amended::Refused);
    assert_eq!(amend(&engine, 13).unwrap(), Amended::Nothing);
    assert_eq!(amend(&engine, 14).unwrap(), Amended::Nothing);
    // A row that somebody has locked is waited for, which is the transaction's to do.
    for flushed in [false, true] {
        if flushed {
            engine.flush().unwrap();
        }
        let mut other = engine.begin(DB, Isolation::ReadCommitted);
        other.begin_change().unwrap();
        let view = other.table(TICKS).unwrap();
        let row = other.find(&view, KEY, &ticks(&[11])).unwrap();
        let mut rows = RowSet::default();
        rows.insert(row[0].unwrap());
        other
            .lock_rows(&view, &rows, RowMode::Update, Wait::Block)
            .unwrap();
        assert_eq!(amend(&engine, 11).unwrap(), Amended::Otherwise);
        assert_eq!(amend(&engine, 1).unwrap(), Amended::Changed);
        drop(other);
        assert_eq!(amend(&engine, 11).unwrap(), Amended::Changed);
    }
    // Neither does it begin in a transaction that has done something.
    let mut busy = engine.begin(DB, Isolation::ReadCommitted);
    busy.insert(TICKS, &counted(15, "0")).unwrap();
    let begun = busy.amend(TICKS, KEY, &ticks(&[1]), Box::new(next));
    assert!(begun.unwrap().is_none());
    let chunks = engine.catalog();
    let chunks = &chunks.table(DB, TICKS).unwrap().chunks;
    assert!(chunks.len() > 1 && !chunks.contains_key(&ChunkId(0)));
}
