//! The engine on a disk that loses, tears and refuses: what reopens holds every acknowledged
//! transaction whole, and of the others all or nothing.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Column, Hypertable, Table};
use chronolith_chunk::ScanRequest;
use chronolith_engine::{Engine, EngineConfig, EngineError, Isolation, Transaction};
use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_platform::{Disk, Platform, RelPath, SimRandom};
use chronolith_types::{ChunkId, ColumnId, HypertableId, SqlState, SqlType};

mod shared;
use shared::{
    DB, TICKS, TOTALS, column, config, create, delete, ids, open, ticks, time_of, totals,
};

/// What a transaction of some number does beside adding its number to the totals. From 100,000 on
/// all add ticks, so that their order is of no matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ticks,
    Truncate,
    /// Of the ten µs from there.
    DropChunk(i64),
    AddColumn,
    /// Of a third of all ticks.
    Delete(i64),
    /// A fourth of them is put in again, as updates do.
    Replace,
}

fn kind_of(n: i64) -> Kind {
    match n % 11 {
        _ if n >= 100_000 => Kind::Ticks,
        5 => Kind::DropChunk(n / 11 % 4 * 10),
        7 => Kind::AddColumn,
        10 => Kind::Truncate,
        2 => Kind::Delete(n % 3),
        4 | 9 => Kind::Replace,
        _ => Kind::Ticks,
    }
}

/// Transaction `n` adds a few ticks and one total: both are there, or neither.
fn ids_of(n: i64) -> Vec<i64> {
    (n * 10..n * 10 + 1 + n % 4).collect()
}

/// The ticks that some transactions leave, one after another.
fn model(committed: &[i64]) -> Vec<i64> {
    let mut ids = Vec::new();
    for n in committed {
        match kind_of(*n) {
            Kind::Ticks => ids.extend(ids_of(*n)),
            Kind::Truncate => ids.clear(),
            Kind::DropChunk(from) => ids.retain(|id| !(from..from + 10).contains(&time_of(*id))),
            Kind::Delete(rest) => ids.retain(|id| id % 3 != rest),
            Kind::AddColumn | Kind::Replace => {}
        }
    }
    ids.sort_unstable();
    ids
}

/// Ticks with the columns that the table has by now; those that were added hold the id.
fn insert_ticks(transaction: &mut Transaction, numbers: &[i64]) -> Result<(), EngineError> {
    let view = transaction.table(TICKS).unwrap();
    let mut columns = ticks(numbers).columns().to_vec();
    while columns.len() < view.layout.columns.len() {
        columns.push(Arc::new(Int64Array::from(numbers.to_vec())));
    }
    let batch = RecordBatch::try_new(Arc::clone(view.layout.schema()), columns).unwrap();
    transaction.insert(TICKS, &batch)?;
    Ok(())
}

fn commit(engine: &Arc<Engine>, n: i64) -> Result<(), EngineError> {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    let (database, table) = (DB, TICKS);
    match kind_of(n) {
        Kind::Ticks => insert_ticks(&mut transaction, &ids_of(n))?,
        Kind::Truncate => {
            insert_ticks(&mut transaction, &ids_of(n))?;
            transaction.truncate(table)?;
        }
        Kind::DropChunk(from) => {
            let catalog = transaction.catalog();
            if let Some(chunk) = catalog.table(database, table).unwrap().chunk_at(from) {
                transaction.change(Change::DropChunk {
                    database,
                    table,
                    chunk: chunk.id,
                })?;
            }
        }
        Kind::Delete(rest) => {
            delete(&mut transaction, |id| id % 3 == rest)?;
        }
        Kind::Replace => {
            let ids = delete(&mut transaction, |id| id % 4 == 1)?;
            insert_ticks(&mut transaction, &ids)?;
        }
        Kind::AddColumn => {
            let id = transaction
                .catalog()
                .table(database, table)
                .unwrap()
                .next_column;
            transaction.change(Change::AddColumn {
                database,
                table,
                column: Column {
                    missing: Some("7".to_owned()),
                    ..column(id.0, &format!("x{n}"), SqlType::Int8)
                },
            })?;
        }
    }
    transaction.insert(TOTALS, &totals(n))?;
    transaction.commit()?;
    Ok(())
}

/// What is there is whole transactions; gives their numbers.
fn check(engine: &Arc<Engine>) -> Vec<i64> {
    let transaction = engine.begin(DB, Isolation::RepeatableRead);
    if transaction.table(TICKS).is_none() {
        return Vec::new();
    }
    let committed = ids(&transaction, TOTALS, 0);
    assert_eq!(
        ids(&transaction, TICKS, 2),
        model(&committed),
        "a transaction is there in part"
    );
    check_added(&transaction, &committed);
    let mut once = committed.clone();
    once.dedup();
    assert_eq!(once, committed, "a transaction is there twice");
    assert!(engine.verify().is_empty());
    committed
}

/// Ticks older than a column have its default there, others their number; also those that were put
/// in again since.
fn check_added(transaction: &Transaction, committed: &[i64]) {
    let view = transaction.table(TICKS).unwrap();
    let added = committed.iter().filter(|n| kind_of(**n) == Kind::AddColumn);
    for n in added {
        let name = format!("x{n}");
        let (place, _) = view.table.column_named(&name).unwrap();
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![2, place])) {
                let batch = batch.unwrap();
                let ids = batch.column(0).as_primitive::<Int64Type>().values();
                let added = batch.column(1).as_primitive::<Int64Type>().values();
                for (id, value) in ids.iter().zip(added.iter()) {
                    let older = *id < n * 10;
                    let replaced = committed.iter().any(|of| {
                        of > n && kind_of(*of) == Kind::Replace && *id < of * 10 && id % 4 == 1
                    });
                    let expected = if older && !replaced { 7 } else { *id };
                    assert_eq!(*value, expected, "{name} of {id}");
                }
            }
        }
    }
}

/// Commits, flushes, merges and checkpoints; gives the acknowledged transactions.
fn work(
    engine: &Arc<Engine>,
    first: i64,
    seed: u64,
    steps: i64,
) -> (Vec<i64>, Result<(), EngineError>) {
    let random = SimRandom::new(seed);
    let mut acknowledged = Vec::new();
    let mut step = |n: i64| -> Result<(), EngineError> {
        commit(engine, n)?;
        acknowledged.push(n);
        let choice = random.below(8);
        let catalog = engine.catalog();
        let chunks = &catalog.table(DB, TICKS).unwrap().chunks;
        let chunk = chunks.keys().nth(usize::try_from(random.below(4)).unwrap());
        match (choice, chunk) {
            (0, _) => engine.flush(),
            (1, _) => engine.checkpoint(),
            (2, Some(chunk)) => engine.compress_chunk(DB, TICKS, *chunk).map(|_| ()),
            (3, Some(chunk)) => engine.decompress_chunk(DB, TICKS, *chunk).map(|_| ()),
            _ => Ok(()),
        }
    };
    let outcome = (first..first + steps).try_for_each(&mut step);
    (acknowledged, outcome)
}

#[test]
fn a_crash_at_any_operation_loses_nothing_acknowledged() {
    let mut crashes = 0;
    for seed in 0..2 {
        for at in 0.. {
            let disk = SimDisk::new(seed);
            disk.plan(at, Fault::PowerCut);
            let outcome = open(&disk, seed).and_then(|engine| {
                create(&engine)?;
                let (acknowledged, outcome) = work(&engine, 1, seed, 16);
                Ok((acknowledged, outcome.is_ok()))
            });
            let acknowledged = match outcome {
                Ok((_, true)) => break,
                Ok((acknowledged, false)) => acknowledged,
                Err(_) => Vec::new(),
            };
            crashes += 1;
            let mut disk = disk.crash();
            // The recovery may crash too.
            let attempt = disk.fork();
            attempt.plan(at % 9, Fault::PowerCut);
            if open(&attempt, seed + 1).is_err() {
                disk = attempt.crash();
            }
            let engine = open(&disk, seed + 2).unwrap();
            let found = check(&engine);
            for n in &acknowledged {
                assert!(found.contains(n), "seed {seed} operation {at}: {n} is lost");
            }
            // It goes on, and a second recovery finds the same.
            if !found.is_empty() {
                let next = found.last().unwrap() + 1;
                work(&engine, next, seed + 3, 3).1.unwrap();
            }
            let found = check(&engine);
            drop(engine);
            assert_eq!(check(&open(&disk.restart(), seed + 4).unwrap()), found);
        }
    }
    assert!(crashes > 100, "{crashes}");
}

#[test]
fn a_full_disk_refuses_with_53100_and_reading_goes_on() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, 9).unwrap();
    create(&engine).unwrap();
    commit(&engine, 1).unwrap();
    disk.set_capacity(1);
    let error = commit(&engine, 2).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DISK_FULL, "{error}");
    assert_eq!(check(&engine), vec![1]);
    assert_eq!(engine.flush().unwrap_err().sqlstate(), SqlState::DISK_FULL);
    assert_eq!(check(&engine), vec![1]);
    disk.set_capacity(u64::MAX);
    commit(&engine, 3).unwrap();
    assert_eq!(check(&engine), vec![1, 3]);
}

#[test]
fn a_failed_sync_ends_all_writing_until_the_engine_is_reopened() {
    let disk = SimDisk::new(10);
    let engine = open(&disk, 10).unwrap();
    create(&engine).unwrap();
    commit(&engine, 1).unwrap();
    disk.plan(disk.operations() + 1, Fault::Io);
    assert_eq!(
        commit(&engine, 2).unwrap_err().sqlstate(),
        SqlState::IO_ERROR
    );
    assert!(engine.poisoned());
    assert_eq!(
        commit(&engine, 3).unwrap_err().sqlstate(),
        SqlState::IO_ERROR
    );
    assert_eq!(check(&engine), vec![1]);
    let found = check(&open(&disk.crash(), 11).unwrap());
    assert!(found == [1] || found == [1, 2], "{found:?}");
}

#[test]
fn keys_are_unique_over_hot_and_cold_rows_and_beside_others() {
    let disk = SimDisk::new(12);
    let engine = open(&disk, 12).unwrap();
    create(&engine).unwrap();
    commit(&engine, 1).unwrap();
    for _ in 0..3 {
        let error = commit(&engine, 1).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
        assert!(error.to_string().contains("ticks_pkey"), "{error}");
        engine.flush().unwrap();
        engine.compress_chunk(DB, TICKS, ChunkId(1)).unwrap();
    }
    // Two that do not see each other: the second waits for the first, and is refused.
    let mut one = engine.begin(DB, Isolation::ReadCommitted);
    let mut two = engine.begin(DB, Isolation::ReadCommitted);
    one.insert(TICKS, &ticks(&[500])).unwrap();
    assert!(two.insert(TICKS, &ticks(&[501, 501])).is_err());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| two.insert(TICKS, &ticks(&[500])));
        one.commit().unwrap();
        let refused = waits.join().unwrap().unwrap_err();
        assert_eq!(refused.sqlstate(), SqlState::UNIQUE_VIOLATION);
    });
    assert_eq!(
        ids(&two, TICKS, 2).iter().filter(|id| **id == 500).count(),
        0
    );
    let null = RecordBatch::try_from_iter(vec![(
        "id",
        arrow::array::new_null_array(&SqlType::Int8.arrow(), 1),
    )]);
    let mut three = engine.begin(DB, Isolation::ReadCommitted);
    let error = three.insert(TOTALS, &null.unwrap()).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::NOT_NULL_VIOLATION);
}

#[test]
fn snapshots_savepoints_and_rollback_keep_to_themselves() {
    let disk = SimDisk::new(13);
    let engine = open(&disk, 13).unwrap();
    create(&engine).unwrap();
    commit(&engine, 1).unwrap();
    let repeatable = engine.begin(DB, Isolation::RepeatableRead);
    let mut writer = engine.begin(DB, Isolation::ReadCommitted);
    writer.insert(TOTALS, &totals(2)).unwrap();
    writer.savepoint("s");
    writer.insert(TOTALS, &totals(3)).unwrap();
    writer.insert(TICKS, &ticks(&[900])).unwrap();
    assert_eq!(ids(&writer, TOTALS, 0), vec![1, 2, 3]);
    writer.rollback_to("s").unwrap();
    assert_eq!(ids(&writer, TOTALS, 0), vec![1, 2]);
    assert!(writer.rollback_to("t").is_err());
    writer.insert(TOTALS, &totals(3)).unwrap();
    assert_eq!(ids(&repeatable, TOTALS, 0), vec![1]);
    writer.commit().unwrap();
    engine.checkpoint().unwrap();
    engine
        .compress_chunk(DB, TOTALS, Table::PLAIN_CHUNK)
        .unwrap();
    assert_eq!(
        ids(&repeatable, TOTALS, 0),
        vec![1],
        "a snapshot outlives merges"
    );
    assert_eq!(
        ids(&engine.begin(DB, Isolation::ReadCommitted), TOTALS, 0),
        vec![1, 2, 3]
    );
    // Dropped without commit, nothing stays.
    let mut dropped = engine.begin(DB, Isolation::ReadCommitted);
    dropped.insert(TICKS, &ticks(&[7])).unwrap();
    drop(dropped);
    assert_eq!(
        ids(&engine.begin(DB, Isolation::ReadCommitted), TICKS, 2),
        ids_of(1)
    );
}

#[test]
fn many_writers_commit_in_groups_and_lose_nothing() {
    let disk = SimDisk::new(14);
    let engine = open(&disk, 14).unwrap();
    create(&engine).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..20 {
                    commit(engine, 100_000 + writer * 100 + n).unwrap();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..10 {
                engine.flush().unwrap();
                engine.checkpoint().unwrap();
            }
        });
    });
    assert_eq!(check(&engine).len(), 160);
    drop(engine);
    assert_eq!(check(&open(&disk.crash(), 15).unwrap()).len(), 160);
}

#[test]
fn a_thread_flushes_and_checkpoints_and_writers_wait_for_it() {
    let disk = SimDisk::new(17);
    let small = EngineConfig {
        hot_bytes_max: 4000,
        log_bytes_max: 30_000,
        background: true,
        ..config()
    };
    let engine = Engine::open(Platform::simulated(disk.clone(), 17), small).unwrap();
    create(&engine).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let engine = &engine;
            scope.spawn(move || {
                for n in 0..40 {
                    commit(engine, 100_000 + writer * 100 + n).unwrap();
                    // Four writers may each have put in one commit's rows past the limit.
                    assert!(engine.hot_bytes() < 8000, "{}", engine.hot_bytes());
                }
            });
        }
    });
    assert_eq!(check(&engine).len(), 160);
    let catalog = engine.catalog();
    assert!(catalog.parts().count() > 1);
    let checkpoints = disk.list(&RelPath::new("checkpoints").unwrap()).unwrap();
    assert!(!checkpoints.is_empty());
    engine.close().unwrap();
    drop(engine);
    assert_eq!(check(&open(&disk.restart(), 18).unwrap()).len(), 160);
}

#[test]
fn one_process_has_the_directory() {
    let disk = SimDisk::new(16);
    let engine = open(&disk, 16).unwrap();
    assert!(matches!(open(&disk, 17), Err(EngineError::InUse)));
    drop(engine);
    assert!(open(&disk, 18).is_ok());
}

#[test]
fn a_failure_to_tidy_up_is_no_failure_of_the_commit() {
    let disk = SimDisk::new(20);
    let small = EngineConfig {
        hot_bytes_max: 0,
        ..config()
    };
    let engine = Engine::open(Platform::simulated(disk.clone(), 20), small).unwrap();
    create(&engine).unwrap();
    // The log's write and sync, then the part's first operations.
    disk.plan(disk.operations() + 3, Fault::Io);
    commit(&engine, 1).unwrap();
    assert_eq!(check(&engine), vec![1]);
}

#[test]
fn a_chunk_that_another_made_meanwhile_takes_the_rows() {
    let disk = SimDisk::new(21);
    let engine = open(&disk, 21).unwrap();
    create(&engine).unwrap();
    let mut one = engine.begin(DB, Isolation::ReadCommitted);
    let mut two = engine.begin(DB, Isolation::ReadCommitted);
    one.insert(TICKS, &ticks(&[500])).unwrap();
    two.insert(TICKS, &ticks(&[540])).unwrap();
    two.commit().unwrap();
    one.begin_statement().unwrap();
    assert_eq!(ids(&one, TICKS, 2), vec![500, 540]);
    one.commit().unwrap();
    let after = engine.begin(DB, Isolation::ReadCommitted);
    assert_eq!(ids(&after, TICKS, 2), vec![500, 540]);
    assert_eq!(after.table(TICKS).unwrap().chunks.len(), 1);
}

#[test]
fn numbers_of_own_chunks_that_others_take_are_no_conflict() {
    let disk = SimDisk::new(23);
    let engine = open(&disk, 23).unwrap();
    create(&engine).unwrap();
    let mut one = engine.begin(DB, Isolation::ReadCommitted);
    // Chunks of its own from 0 and from 10; the second number goes to another's from 0.
    one.insert(TICKS, &ticks(&[0])).unwrap();
    one.insert(TICKS, &ticks(&[2])).unwrap();
    for id in [5, 40] {
        let mut two = engine.begin(DB, Isolation::ReadCommitted);
        two.insert(TICKS, &ticks(&[id])).unwrap();
        two.commit().unwrap();
    }
    one.begin_statement().unwrap();
    assert_eq!(ids(&one, TICKS, 2), vec![0, 2, 5, 40]);
    one.commit().unwrap();
    let after = engine.begin(DB, Isolation::ReadCommitted);
    assert_eq!(ids(&after, TICKS, 2), vec![0, 2, 5, 40]);
    assert_eq!(after.table(TICKS).unwrap().chunks.len(), 3);
}

#[test]
fn columns_come_and_go_over_rows_in_memory() {
    let disk = SimDisk::new(22);
    let engine = open(&disk, 22).unwrap();
    create(&engine).unwrap();
    commit(&engine, 1).unwrap();
    let mut late = engine.begin(DB, Isolation::ReadCommitted);
    late.insert(TICKS, &ticks(&[900])).unwrap();
    let mut alter = engine.begin(DB, Isolation::ReadCommitted);
    let (database, table) = (DB, TICKS);
    alter
        .change(Change::DropColumn {
            database,
            table,
            column: ColumnId(2),
        })
        .unwrap();
    let added = Column {
        not_null: false,
        ..column(10, "x", SqlType::Int8)
    };
    alter
        .change(Change::AddColumn {
            database,
            table,
            column: added,
        })
        .unwrap();
    alter.commit().unwrap();
    assert_eq!(
        late.commit().unwrap_err().sqlstate(),
        SqlState::SERIALIZATION_FAILURE
    );
    let look = |engine: &Arc<Engine>| {
        let now = engine.begin(DB, Isolation::ReadCommitted);
        assert_eq!(ids(&now, TICKS, 1), ids_of(1));
        assert_eq!(now.table(TICKS).unwrap().layout.columns.len(), 3);
    };
    look(&engine);
    drop(engine);
    let engine = open(&disk.restart(), 23).unwrap();
    look(&engine);
    engine.flush().unwrap();
    look(&engine);
}

#[test]
fn a_table_with_rows_becomes_no_hypertable_and_a_dropped_one_takes_none() {
    let disk = SimDisk::new(24);
    let engine = open(&disk, 24).unwrap();
    create(&engine).unwrap();
    commit(&engine, 1).unwrap();
    let make = Change::MakeHypertable {
        database: DB,
        table: TOTALS,
        hypertable: Hypertable {
            id: HypertableId(2),
            time: ColumnId(1),
            interval: 10,
            compression: None,
            ..Hypertable::default()
        },
    };
    for _ in 0..2 {
        let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
        let error = transaction.change(make.clone()).unwrap_err();
        assert!(matches!(error, EngineError::TableNotEmpty(_)), "{error}");
        assert_eq!(check(&engine), vec![1]);
        engine.flush().unwrap();
    }
    let mut late = engine.begin(DB, Isolation::ReadCommitted);
    late.insert(TOTALS, &totals(5)).unwrap();
    let mut drop_table = engine.begin(DB, Isolation::ReadCommitted);
    drop_table
        .change(Change::DropTable {
            database: DB,
            id: TOTALS,
        })
        .unwrap();
    drop_table.commit().unwrap();
    assert_eq!(
        late.commit().unwrap_err().sqlstate(),
        SqlState::UNDEFINED_TABLE
    );
    engine.checkpoint().unwrap();
}

#[test]
fn many_flushes_leave_few_parts_and_rows_in_their_order_of_arrival() {
    let disk = SimDisk::new(33);
    let engine = open(&disk, 33).unwrap();
    create(&engine).unwrap();
    let mut flushes = 0;
    // All of them at one time, so that nothing but their arrival orders them.
    for id in (0..40_000).step_by(40) {
        let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
        transaction.insert(TICKS, &ticks(&[id])).unwrap();
        transaction.commit().unwrap();
        if id % 400 == 0 {
            engine.flush().unwrap();
            flushes += 1;
        }
    }
    let look = |engine: &Arc<Engine>| {
        let parts = engine.catalog().parts().count();
        assert!(parts <= 8, "{flushes} flushes left {parts} parts");
        let view = engine
            .begin(DB, Isolation::ReadCommitted)
            .table(TICKS)
            .unwrap();
        let mut found: Vec<i64> = Vec::new();
        for (_, chunk) in view.chunks.iter() {
            for part in &chunk.cold {
                assert_eq!(part.times(), Some((0, 0)));
            }
            let scan = chunk.scan(&view.layout, &ScanRequest::all(vec![2]));
            for batch in scan {
                let batch = batch.unwrap();
                found.extend(batch.column(0).as_primitive::<Int64Type>().values().iter());
            }
        }
        assert_eq!(found, (0..40_000).step_by(40).collect::<Vec<i64>>());
    };
    assert_eq!(flushes, 100);
    look(&engine);
    drop(engine);
    let engine = open(&disk.crash(), 34).unwrap();
    look(&engine);
    assert!(engine.verify().is_empty());
}
