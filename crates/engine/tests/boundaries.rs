//! Chunks merged and split, beside writers and across crashes: no row is lost, doubled, or in a
//! chunk that it does not belong to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use chronolith_catalog::Chunk;
use chronolith_chunk::ScanRequest;
use chronolith_engine::{BulkLoader, Engine, EngineConfig, EngineError, Isolation, Transaction};
use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_platform::{Disk, Platform, RelPath, SimRandom};
use chronolith_types::{ChunkId, SqlState};

mod shared;
use shared::{DB, TICKS, TOTALS, create, delete, ids, open, ticks, time_of, totals};

fn begin(engine: &Arc<Engine>) -> Transaction {
    engine.begin(DB, Isolation::ReadCommitted)
}

/// Chunks in the order of their times.
fn chunks(engine: &Arc<Engine>) -> Vec<Arc<Chunk>> {
    let catalog = engine.catalog();
    let Some(table) = catalog.table(DB, TICKS) else {
        return Vec::new();
    };
    let mut chunks: Vec<_> = table.chunks.values().cloned().collect();
    chunks.sort_by_key(|chunk| chunk.range.start);
    chunks
}

fn ids_of(n: i64) -> Vec<i64> {
    (n * 10..n * 10 + 1 + n % 4).collect()
}

fn insert(engine: &Arc<Engine>, n: i64) -> Result<(), EngineError> {
    let mut transaction = begin(engine);
    transaction.insert(TICKS, &ticks(&ids_of(n)))?;
    transaction.insert(TOTALS, &totals(n))?;
    transaction.commit()?;
    Ok(())
}

/// Every chunk's rows lie within its range.
fn lie_within(transaction: &Transaction) {
    let Some(view) = transaction.table(TICKS) else {
        return;
    };
    let mut end = i64::MIN;
    for (_, chunk) in view.chunks.iter() {
        assert!(chunk.range.start >= end, "chunks overlap");
        end = chunk.range.end;
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![0])) {
            let batch = batch.unwrap();
            let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            let within = times.values().iter().all(|t| chunk.range.contains(t));
            assert!(within, "{:?} has {:?}", chunk.range, times.values());
        }
    }
}

/// Every chunk's rows lie within its range, and all of them are those of whole transactions.
fn check(engine: &Arc<Engine>) -> Vec<i64> {
    let transaction = engine.begin(DB, Isolation::RepeatableRead);
    if transaction.table(TICKS).is_none() {
        return Vec::new();
    }
    lie_within(&transaction);
    let committed = ids(&transaction, TOTALS, 0);
    let mut expected: Vec<i64> = committed.iter().flat_map(|n| ids_of(*n)).collect();
    expected.sort_unstable();
    assert_eq!(ids(&transaction, TICKS, 2), expected);
    assert!(engine.verify().is_empty());
    committed
}

/// Two neighbours become one, where there are any.
fn merge(engine: &Arc<Engine>, at: usize, later: bool) -> Result<(), EngineError> {
    let chunks = chunks(engine);
    let touch = |pair: &&[Arc<Chunk>]| pair[0].range.end == pair[1].range.start;
    let pairs: Vec<&[Arc<Chunk>]> = chunks.windows(2).filter(touch).collect();
    let Some(pair) = pairs.get(at % pairs.len().max(1)) else {
        return Ok(());
    };
    let mut both = [pair[0].id, pair[1].id];
    if later {
        both.reverse();
    }
    let mut transaction = begin(engine);
    transaction.merge_chunks(TICKS, &both)?;
    transaction.commit()?;
    Ok(())
}

/// A chunk is cut somewhere, where it is wide enough.
fn split(engine: &Arc<Engine>, at: usize) -> Result<(), EngineError> {
    let chunks = chunks(engine);
    let wide: Vec<_> = chunks
        .iter()
        .filter(|chunk| chunk.range.end - chunk.range.start > 1)
        .collect();
    let Some(chunk) = wide.get(at % wide.len().max(1)) else {
        return Ok(());
    };
    let width = chunk.range.end - chunk.range.start;
    let cut = chunk.range.start + 1 + i64::try_from(at).unwrap() % (width - 1);
    let mut transaction = begin(engine);
    transaction.split_chunk(TICKS, chunk.id, cut)?;
    transaction.commit()?;
    Ok(())
}

fn work(
    engine: &Arc<Engine>,
    first: i64,
    seed: u64,
    steps: i64,
) -> (Vec<i64>, Result<(), EngineError>) {
    let random = SimRandom::new(seed);
    let below = |end: u64| usize::try_from(random.below(end)).unwrap();
    let mut acknowledged = Vec::new();
    let mut step = |n: i64| -> Result<(), EngineError> {
        insert(engine, n)?;
        acknowledged.push(n);
        match below(9) {
            0 => engine.flush(),
            1 => engine.checkpoint(),
            2 => {
                let all: Vec<_> = chunks(engine).iter().map(|c| (TICKS, c.id)).collect();
                engine.compress_chunks(DB, &all, below(2) == 0).map(|_| ())
            }
            3 => {
                let all: Vec<_> = chunks(engine).iter().map(|c| (TICKS, c.id)).collect();
                engine.decompress_chunks(DB, &all).map(|_| ())
            }
            4 | 5 => merge(engine, below(5), below(2) == 0),
            6 | 7 => split(engine, below(20)),
            _ => Ok(()),
        }
    };
    let outcome = (first..first + steps).try_for_each(&mut step);
    (acknowledged, outcome)
}

#[test]
fn histories_of_merges_and_splits_lose_and_double_nothing() {
    for seed in 0..40 {
        let disk = SimDisk::new(seed);
        let engine = open(&disk, seed).unwrap();
        create(&engine).unwrap();
        work(&engine, 1, seed, 60).1.unwrap();
        let found = check(&engine);
        assert_eq!(found, (1..61).collect::<Vec<_>>());
        drop(engine);
        let engine = open(&disk.crash(), seed + 1).unwrap();
        assert_eq!(check(&engine), found);
        // Keys are held wherever their rows went.
        for n in [1, 30, 60] {
            let error = insert(&engine, n).unwrap_err();
            assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
        }
    }
}

#[test]
fn a_crash_at_any_operation_of_a_merge_or_split_loses_nothing_acknowledged() {
    let mut crashes = 0;
    for seed in 0..3 {
        // Each seed crashes at other operations of a history of its own.
        for at in (seed..).step_by(4) {
            let disk = SimDisk::new(seed);
            disk.plan(at, Fault::PowerCut);
            let outcome = open(&disk, seed).and_then(|engine| {
                create(&engine)?;
                let (acknowledged, outcome) = work(&engine, 1, seed, 12);
                Ok((acknowledged, outcome.is_ok()))
            });
            let acknowledged = match outcome {
                Ok((_, true)) => break,
                Ok((acknowledged, false)) => acknowledged,
                Err(_) => Vec::new(),
            };
            crashes += 1;
            let engine = open(&disk.crash(), seed + 2).unwrap();
            let found = check(&engine);
            for n in &acknowledged {
                assert!(found.contains(n), "seed {seed} operation {at}: {n} is lost");
            }
            if !found.is_empty() {
                work(&engine, found.last().unwrap() + 1, seed + 3, 5)
                    .1
                    .unwrap();
                check(&engine);
            }
        }
    }
    assert!(crashes > 60, "{crashes}");
}

#[test]
fn a_merge_and_a_split_are_undone_with_their_transaction() {
    let disk = SimDisk::new(7);
    let engine = open(&disk, 7).unwrap();
    create(&engine).unwrap();
    (1..20).for_each(|n| insert(&engine, n).unwrap());
    for flushed in [false, true] {
        if flushed {
            engine.flush().unwrap();
        }
        let before = chunks(&engine);
        let mut transaction = begin(&engine);
        transaction
            .merge_chunks(TICKS, &[before[0].id, before[1].id])
            .unwrap();
        transaction.savepoint("s");
        let cut = before[0].range.start + 3;
        transaction.split_chunk(TICKS, before[0].id, cut).unwrap();
        let widths = |transaction: &Transaction| -> Vec<i64> {
            let view = transaction.table(TICKS).unwrap();
            let width = |range: &std::ops::Range<i64>| range.end - range.start;
            view.chunks.iter().map(|(_, c)| width(&c.range)).collect()
        };
        assert_eq!(widths(&transaction)[..2], [3, 17]);
        transaction.rollback_to("s").unwrap();
        assert_eq!(widths(&transaction)[..1], [20]);
        drop(transaction);
        let after = chunks(&engine);
        let ranges = |of: &[Arc<Chunk>]| of.iter().map(|c| c.range.clone()).collect::<Vec<_>>();
        assert_eq!(ranges(&after), ranges(&before));
        check(&engine);
    }
}

#[test]
fn chunks_whose_rows_are_all_deleted_merge_into_one_without_rows() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, 9).unwrap();
    create(&engine).unwrap();
    (1..20).for_each(|n| insert(&engine, n).unwrap());
    let both = chunks(&engine);
    let end = both[1].range.end;
    let mut transaction = begin(&engine);
    delete(&mut transaction, |id| time_of(id) < end).unwrap();
    transaction.commit().unwrap();
    let left = ids(&engine.begin(DB, Isolation::ReadCommitted), TICKS, 2);
    let mut transaction = begin(&engine);
    transaction
        .merge_chunks(TICKS, &[both[1].id, both[0].id])
        .unwrap();
    transaction.commit().unwrap();
    engine.checkpoint().unwrap();
    drop(engine);
    let engine = open(&disk, 9).unwrap();
    assert_eq!(
        ids(&engine.begin(DB, Isolation::ReadCommitted), TICKS, 2),
        left
    );
    assert_eq!(chunks(&engine).len(), both.len() - 1);
}

#[test]
fn rows_on_their_way_into_a_chunk_that_changed_are_refused() {
    let disk = SimDisk::new(8);
    let engine = open(&disk, 8).unwrap();
    create(&engine).unwrap();
    (1..20).for_each(|n| insert(&engine, n).unwrap());
    let at = |id: i64| {
        let catalog = engine.catalog();
        let table = catalog.table(DB, TICKS).unwrap();
        Arc::clone(table.chunk_at(time_of(id)).unwrap())
    };
    let chunk = at(1000);
    let mut writer = begin(&engine);
    writer.insert(TICKS, &ticks(&[1000])).unwrap();
    let mut splitter = begin(&engine);
    splitter
        .split_chunk(TICKS, chunk.id, chunk.range.start + 5)
        .unwrap();
    splitter.commit().unwrap();
    let refused = SqlState::SERIALIZATION_FAILURE;
    assert_eq!(writer.commit().unwrap_err().sqlstate(), refused);
    check(&engine);
    // The chunk that stays of a merge takes rows that were meant for it; the other cannot.
    let all = chunks(&engine);
    let (one, two) = (&all[0], &all[1]);
    let id_in = |range: &std::ops::Range<i64>| {
        (2000..4000)
            .find(|id| range.contains(&time_of(*id)))
            .unwrap()
    };
    let (stays, goes) = (id_in(&one.range), id_in(&two.range));
    let mut writers: Vec<Transaction> = [stays, goes]
        .iter()
        .map(|id| {
            let mut writer = begin(&engine);
            writer.insert(TICKS, &ticks(&[*id])).unwrap();
            writer
        })
        .collect();
    let mut merger = begin(&engine);
    merger.merge_chunks(TICKS, &[one.id, two.id]).unwrap();
    merger.commit().unwrap();
    let mut second = writers.pop().unwrap();
    assert_eq!(second.begin_statement().unwrap_err().sqlstate(), refused);
    assert_eq!(second.commit().unwrap_err().sqlstate(), refused);
    writers.pop().unwrap().commit().unwrap();
    assert!(ids(&begin(&engine), TICKS, 2).contains(&stays));
}

#[test]
fn a_load_goes_to_the_chunks_that_others_make_of_its_own() {
    for there in [true, false] {
        let disk = SimDisk::new(11);
        let config = EngineConfig {
            hot_bytes_max: 64 << 10,
            ..shared::config()
        };
        let open = |disk: &SimDisk| {
            Engine::open(Platform::simulated(disk.clone(), 11), config.clone()).unwrap()
        };
        let engine = open(&disk);
        create(&engine).unwrap();
        let add = |numbers: &[i64]| {
            let mut transaction = begin(&engine);
            transaction.insert(TICKS, &ticks(numbers)).unwrap();
            transaction.commit().unwrap();
        };
        let few: Vec<i64> = (0..40).collect();
        if there {
            add(&few);
        }
        let mut transaction = begin(&engine);
        let mut loader = transaction.loader(TICKS).unwrap();
        let push = |loader: &mut BulkLoader, numbers: std::ops::Range<i64>| {
            let numbers: Vec<i64> = numbers.collect();
            for numbers in numbers.chunks(100) {
                loader.push(&ticks(numbers)).unwrap();
            }
        };
        push(&mut loader, 1000..3000);
        if !there {
            add(&few);
            engine.flush().unwrap();
        }
        let chunk = |at: i64| {
            let catalog = engine.catalog();
            Arc::clone(catalog.table(DB, TICKS).unwrap().chunk_at(at).unwrap())
        };
        // One into three, and another into two.
        for at in [4, 7, 25] {
            let mut splitter = begin(&engine);
            splitter.split_chunk(TICKS, chunk(at).id, at).unwrap();
            splitter.commit().unwrap();
        }
        push(&mut loader, 3000..5000);
        assert_eq!(loader.finish(&mut transaction).unwrap(), 4000);
        let mut old = engine.begin(DB, Isolation::RepeatableRead);
        assert_eq!(ids(&old, TICKS, 2), few, "for others");
        transaction.commit().unwrap();
        let all = [few, (1000..5000).collect()].concat();
        let found = |engine: &Arc<Engine>| {
            let transaction = begin(engine);
            lie_within(&transaction);
            ids(&transaction, TICKS, 2)
        };
        assert_eq!(found(&engine), all);
        assert_eq!(chunks(&engine).len(), 7);
        assert!(engine.verify().is_empty());
        // Who may not see them split does not write to them.
        let mut loader = old.loader(TICKS).unwrap();
        push(&mut loader, 6000..8000);
        let mut splitter = begin(&engine);
        splitter.split_chunk(TICKS, chunk(15).id, 15).unwrap();
        splitter.commit().unwrap();
        let refused = loader.finish(&mut old).unwrap_err();
        assert_eq!(refused.sqlstate(), SqlState::SERIALIZATION_FAILURE);
        drop(old);
        let there = disk.list(&RelPath::new("parts").unwrap()).unwrap().len();
        assert_eq!(there, 2 * engine.catalog().parts().count(), "files");
        drop(engine);
        assert_eq!(found(&open(&disk.crash())), all);
    }
}

#[test]
fn chunks_apart_or_written_to_by_the_transaction_are_refused() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, 9).unwrap();
    create(&engine).unwrap();
    (1..20).for_each(|n| insert(&engine, n).unwrap());
    let all = chunks(&engine);
    let mut transaction = begin(&engine);
    let apart = transaction.merge_chunks(TICKS, &[all[0].id, all[2].id]);
    assert_eq!(
        apart.unwrap_err().sqlstate(),
        SqlState::INVALID_PARAMETER_VALUE
    );
    let missing = transaction.merge_chunks(TICKS, &[all[0].id, ChunkId(99)]);
    assert_eq!(missing.unwrap_err().sqlstate(), SqlState::UNDEFINED_TABLE);
    transaction.insert(TICKS, &ticks(&[1000])).unwrap();
    let own = chunks(&engine)
        .iter()
        .find(|chunk| chunk.range.contains(&time_of(1000)))
        .unwrap()
        .clone();
    let error = transaction.split_chunk(TICKS, own.id, own.range.start + 1);
    assert!(matches!(error, Err(EngineError::OwnRows)));
    transaction.commit().unwrap();
    // Two split the same chunk at once: one of them comes first.
    let chunk = chunks(&engine)[0].clone();
    let (mut one, mut two) = (begin(&engine), begin(&engine));
    let start = chunk.range.start;
    one.split_chunk(TICKS, chunk.id, start + 3).unwrap();
    two.split_chunk(TICKS, chunk.id, start + 6).unwrap();
    one.commit().unwrap();
    assert!(two.commit().is_err());
}

#[test]
fn writers_go_on_while_chunks_are_merged_and_split() {
    let disk = SimDisk::new(10);
    let engine = open(&disk, 10).unwrap();
    create(&engine).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut written: Vec<i64> = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4)
            .map(|writer: i64| {
                let engine = &engine;
                scope.spawn(move || {
                    let mut written = Vec::new();
                    for n in 0..60 {
                        let n = 1 + writer * 1000 + n;
                        loop {
                            match insert(engine, n) {
                                Ok(()) => break,
                                Err(error) => assert_eq!(
                                    error.sqlstate(),
                                    SqlState::SERIALIZATION_FAILURE,
                                    "{error}"
                                ),
                            }
                        }
                        written.push(n);
                    }
                    written
                })
            })
            .collect();
        scope.spawn(|| {
            let mut round = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                drop(merge(&engine, round, round % 2 == 0));
                drop(split(&engine, round * 7));
                if round % 5 == 0 {
                    engine.flush().unwrap();
                }
            }
        });
        for writer in writers {
            written.extend(writer.join().unwrap());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    written.sort_unstable();
    assert_eq!(check(&engine), written);
    drop(engine);
    assert_eq!(check(&open(&disk.crash(), 11).unwrap()), written);
}
