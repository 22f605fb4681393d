//! Loads: many rows straight into cold parts, all of them or none.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, ConstraintKind};
use chronolith_chunk::ScanRequest;
use chronolith_engine::{Engine, EngineConfig, EngineError, Isolation, Transaction};
use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_platform::{Disk, Platform, RelPath};
use chronolith_types::{ChunkId, ColumnId, SqlState};

mod shared;
use shared::{DB, TICKS, TOTALS, config, create, ids, ticks, totals};

/// A load may hold 32 KiB: some 800 rows.
fn small() -> EngineConfig {
    EngineConfig {
        hot_bytes_max: 64 << 10,
        ..config()
    }
}

fn open(disk: &SimDisk, seed: u64) -> Result<Arc<Engine>, EngineError> {
    Engine::open(Platform::simulated(disk.clone(), seed), small())
}

fn begin(engine: &Arc<Engine>) -> Transaction {
    engine.begin(DB, Isolation::ReadCommitted)
}

fn insert(engine: &Arc<Engine>, numbers: &[i64]) {
    let mut transaction = begin(engine);
    transaction.insert(TICKS, &ticks(numbers)).unwrap();
    transaction.commit().unwrap();
}

/// Loads ticks in batches of a hundred.
fn load(transaction: &mut Transaction, numbers: &[i64]) -> Result<u64, EngineError> {
    let mut loader = transaction.loader(TICKS)?;
    for numbers in numbers.chunks(100) {
        loader.push(&ticks(numbers))?;
    }
    loader.finish(transaction)
}

fn found(engine: &Arc<Engine>) -> Vec<i64> {
    ids(&begin(engine), TICKS, 2)
}

fn chunks(engine: &Engine) -> Vec<ChunkId> {
    let catalog = engine.catalog();
    let table = catalog.table(DB, TICKS).unwrap();
    table.chunks.keys().copied().collect()
}

/// Files in the parts' directory, and how many the catalog names.
fn files(engine: &Engine, disk: &SimDisk) -> (usize, usize) {
    let there = disk.list(&RelPath::new("parts").unwrap()).unwrap();
    (there.len(), 2 * engine.catalog().parts().count())
}

#[track_caller]
fn no_orphans(engine: &Engine, disk: &SimDisk) {
    let (there, named) = files(engine, disk);
    assert_eq!(there, named, "files of parts that nobody names");
}

#[test]
fn a_load_lies_in_parts_and_reads_as_it_was_given() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, 1).unwrap();
    create(&engine).unwrap();
    insert(&engine, &[5, 6]);
    let many: Vec<i64> = (10..6000).collect();
    let mut transaction = begin(&engine);
    assert_eq!(load(&mut transaction, &many).unwrap(), 5990);
    let all = [vec![5, 6], many].concat();
    assert_eq!(ids(&transaction, TICKS, 2), all, "before the commit");
    assert_eq!(found(&engine), [5, 6], "for others");
    transaction.insert(TOTALS, &totals(1)).unwrap();
    transaction.commit().unwrap();
    assert_eq!(found(&engine), all);
    assert!(engine.catalog().parts().count() >= 8);
    assert!(engine.hot_bytes() < 4096 + 1000, "{}", engine.hot_bytes());
    no_orphans(&engine, &disk);
    assert!(engine.verify().is_empty());
    let log = disk.list(&RelPath::new("wal").unwrap()).unwrap().len();
    assert!(log < 8, "the rows are in {log} segments of the log too");
    drop(engine);
    let engine = open(&disk.crash(), 2).unwrap();
    assert_eq!(found(&engine), all);
    for chunk in chunks(&engine) {
        engine.compress_chunk(DB, TICKS, chunk).unwrap();
    }
    assert_eq!(found(&engine), all);
}

#[test]
fn few_rows_of_a_load_wait_in_memory() {
    let disk = SimDisk::new(2);
    let engine = open(&disk, 2).unwrap();
    create(&engine).unwrap();
    let mut transaction = begin(&engine);
    load(&mut transaction, &[1, 2, 3]).unwrap();
    transaction.commit().unwrap();
    assert_eq!(found(&engine), [1, 2, 3]);
    assert_eq!(files(&engine, &disk), (0, 0));
}

/// Loads that must fail for a key, and leave nothing.
#[track_caller]
fn refused(engine: &Arc<Engine>, disk: &SimDisk, numbers: &[i64], twice: i64) {
    let before = found(engine);
    let mut transaction = begin(engine);
    transaction.insert(TOTALS, &totals(twice)).unwrap();
    let error = load(&mut transaction, numbers).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION, "{error}");
    let EngineError::Unique {
        constraint,
        table,
        detail,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!((&*constraint, &*table), ("ticks_pkey", "ticks"));
    assert!(detail.starts_with("Key (time, id)=(1970-01-01"), "{detail}");
    assert!(
        detail.ends_with(&format!(", {twice}) already exists.")),
        "{detail}"
    );
    // The statement failed alone: nothing of it is seen, and the transaction goes on.
    assert_eq!(ids(&transaction, TICKS, 2), before);
    drop(transaction);
    assert_eq!(found(engine), before);
    no_orphans(engine, disk);
}

#[test]
fn keys_are_unique_within_a_load_and_over_hot_and_cold_rows() {
    let disk = SimDisk::new(3);
    let engine = open(&disk, 3).unwrap();
    create(&engine).unwrap();
    let with = |twice: i64| -> Vec<i64> { (10_000..15_000).chain([twice]).collect() };
    // In a part of its own, and in that of its twin.
    refused(&engine, &disk, &with(10_010), 10_010);
    refused(&engine, &disk, &with(14_999), 14_999);
    let mut early = with(20_000);
    early.insert(7, 10_003);
    refused(&engine, &disk, &early, 10_003);
    // With one in memory, in a part that was flushed, in one that was loaded.
    insert(&engine, &[7, 8]);
    refused(&engine, &disk, &with(8), 8);
    engine.flush().unwrap();
    refused(&engine, &disk, &with(8), 8);
    let mut transaction = begin(&engine);
    load(&mut transaction, &with(20_000)).unwrap();
    transaction.commit().unwrap();
    let other: Vec<i64> = (30_000..35_000).chain([12_345]).collect();
    refused(&engine, &disk, &other, 12_345);
    // And with rows of the same transaction, whichever came first.
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[31_000])).unwrap();
    let other: Vec<i64> = (30_000..35_000).collect();
    let error = load(&mut transaction, &other).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
    // Others would wait for its keys.
    drop(transaction);
    let mut transaction = begin(&engine);
    load(&mut transaction, &other).unwrap();
    let error = transaction.insert(TICKS, &ticks(&[31_000])).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
    let error = load(&mut transaction, &other).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
    transaction.commit().unwrap();
    assert_eq!(found(&engine).len(), 2 + 5001 + 5000);
    no_orphans(&engine, &disk);
}

#[test]
fn a_load_is_held_against_what_others_commit_before_it_does() {
    let many: Vec<i64> = (1000..5000).collect();
    type Meanwhile = fn(&Arc<Engine>);
    let meanwhile: [(&str, Meanwhile); 5] = [
        ("an insert", |engine| insert(engine, &[2000])),
        ("an insert and a flush", |engine| {
            insert(engine, &[2000]);
            engine.flush().unwrap();
        }),
        ("an insert and a merge", |engine| {
            insert(engine, &[2000]);
            for chunk in chunks(engine) {
                engine.compress_chunk(DB, TICKS, chunk).unwrap();
            }
        }),
        ("a load", |engine| {
            let mut other = begin(engine);
            load(
                &mut other,
                &(1999..2001).chain(6000..9000).collect::<Vec<_>>(),
            )
            .unwrap();
            other.commit().unwrap();
        }),
        ("a column", |engine| {
            let mut other = begin(engine);
            let mut added = shared::column(10, "x", chronolith_types::SqlType::Int8);
            added.not_null = false;
            let change = Change::AddColumn {
                database: DB,
                table: TICKS,
                column: added,
            };
            other.change(change).unwrap();
            other.commit().unwrap();
        }),
    ];
    for (what, meanwhile) in meanwhile {
        for fresh in [true, false] {
            let disk = SimDisk::new(4);
            let engine = open(&disk, 4).unwrap();
            create(&engine).unwrap();
            if !fresh {
                insert(&engine, &[1, 2, 3, 4, 5, 6, 7, 8]);
            }
            let mut transaction = begin(&engine);
            load(&mut transaction, &many).unwrap();
            meanwhile(&engine);
            let before = found(&engine);
            let error = transaction.commit().unwrap_err().sqlstate();
            let expected = match what {
                "a column" => SqlState::SERIALIZATION_FAILURE,
                _ => SqlState::UNIQUE_VIOLATION,
            };
            assert_eq!(error, expected, "{what}");
            assert_eq!(found(&engine), before);
            no_orphans(&engine, &disk);
        }
    }
}

#[test]
fn others_may_write_beside_a_load() {
    let disk = SimDisk::new(5);
    let engine = open(&disk, 5).unwrap();
    create(&engine).unwrap();
    let many: Vec<i64> = (1000..5000).collect();
    let mut one = begin(&engine);
    load(&mut one, &many).unwrap();
    insert(&engine, &[1, 2, 3, 4, 5, 6, 7, 8]);
    engine.flush().unwrap();
    insert(&engine, &[11, 12, 13, 14]);
    let mut two = begin(&engine);
    load(&mut two, &(6000..9000).collect::<Vec<_>>()).unwrap();
    two.commit().unwrap();
    one.commit().unwrap();
    assert_eq!(found(&engine).len(), 4000 + 8 + 4 + 3000);
    no_orphans(&engine, &disk);
    drop(engine);
    let engine = open(&disk.restart(), 6).unwrap();
    assert_eq!(found(&engine).len(), 4000 + 8 + 4 + 3000);
}

#[test]
fn what_is_rolled_back_leaves_no_file() {
    let disk = SimDisk::new(7);
    let engine = open(&disk, 7).unwrap();
    create(&engine).unwrap();
    let many: Vec<i64> = (1000..5000).collect();
    let mut transaction = begin(&engine);
    transaction.savepoint("s");
    load(&mut transaction, &many).unwrap();
    assert!(files(&engine, &disk).0 > 8);
    transaction.rollback_to("s").unwrap();
    assert_eq!(ids(&transaction, TICKS, 2), [0; 0]);
    no_orphans(&engine, &disk);
    load(&mut transaction, &many).unwrap();
    drop(transaction);
    no_orphans(&engine, &disk);
    // A load that is given up half-way.
    let mut loader = begin(&engine).loader(TICKS).unwrap();
    for numbers in many.chunks(100) {
        loader.push(&ticks(numbers)).unwrap();
    }
    assert!(files(&engine, &disk).0 > 4);
    drop(loader);
    no_orphans(&engine, &disk);
    // Into chunks that the same transaction drops again, or a table that it empties.
    let mut transaction = begin(&engine);
    load(&mut transaction, &many).unwrap();
    transaction.truncate(TICKS).unwrap();
    load(&mut transaction, &many).unwrap();
    transaction.commit().unwrap();
    assert_eq!(found(&engine), many);
    no_orphans(&engine, &disk);
}

#[test]
fn a_crash_at_any_operation_of_a_load_leaves_all_of_it_or_nothing() {
    let many: Vec<i64> = (1000..3000).collect();
    let mut seen = [0, 0];
    for at in 0.. {
        let disk = SimDisk::new(at);
        let engine = open(&disk, at).unwrap();
        create(&engine).unwrap();
        insert(&engine, &[1, 2]);
        disk.plan(disk.operations() + at, Fault::PowerCut);
        let mut transaction = begin(&engine);
        transaction.insert(TOTALS, &totals(1)).unwrap();
        let outcome = load(&mut transaction, &many).and_then(|_| transaction.commit());
        let done = outcome.is_ok() && !disk.is_off();
        drop(engine);
        let disk = disk.crash();
        let engine = open(&disk, at + 1).unwrap();
        let there = ids(&begin(&engine), TOTALS, 0).len();
        assert!(
            outcome.is_err() || there == 1,
            "operation {at}: a commit is lost"
        );
        match there {
            0 => assert_eq!(found(&engine), [1, 2]),
            _ => assert_eq!(found(&engine), [vec![1, 2], many.clone()].concat()),
        }
        seen[there] += 1;
        assert!(engine.verify().is_empty());
        no_orphans(&engine, &disk);
        if done {
            break;
        }
    }
    assert!(seen[0] > 30 && seen[1] > 0, "{seen:?}");
}

#[test]
fn a_disk_that_is_full_at_any_operation_refuses_the_load_and_keeps_nothing_of_it() {
    let many: Vec<i64> = (1000..3000).collect();
    let mut refused = 0;
    for at in 0.. {
        let disk = SimDisk::new(at);
        let engine = open(&disk, at).unwrap();
        create(&engine).unwrap();
        insert(&engine, &[1, 2]);
        disk.plan(disk.operations() + at, Fault::NoSpace);
        let mut transaction = begin(&engine);
        let outcome = load(&mut transaction, &many).and_then(|_| transaction.commit());
        match outcome {
            Ok(_) => break,
            // A sync may have dropped anything: that ends all writing.
            Err(error) if engine.poisoned() => {
                assert_eq!(error.sqlstate(), SqlState::IO_ERROR, "{at}: {error}");
                continue;
            }
            Err(error) => assert_eq!(error.sqlstate(), SqlState::DISK_FULL, "{at}: {error}"),
        }
        refused += 1;
        assert_eq!(found(&engine), [1, 2]);
        no_orphans(&engine, &disk);
        // Once there is room it goes.
        let mut transaction = begin(&engine);
        load(&mut transaction, &many).unwrap();
        transaction.commit().unwrap();
        assert_eq!(found(&engine).len(), 2002);
    }
    assert!(refused > 10, "{refused}");
}

#[test]
fn threads_pack_in_any_order_and_rows_keep_theirs() {
    let disk = SimDisk::new(8);
    let threads = EngineConfig {
        background: true,
        ..small()
    };
    let engine = Engine::open(Platform::simulated(disk.clone(), 8), threads).unwrap();
    create(&engine).unwrap();
    let mut transaction = begin(&engine);
    load(&mut transaction, &(40_000..48_000).collect::<Vec<_>>()).unwrap();
    transaction.commit().unwrap();
    for chunk in engine.catalog().table(DB, TICKS).unwrap().chunks.values() {
        assert!(chunk.parts.len() > 1);
        assert!(chunk.parts.iter().is_sorted_by_key(|part| part.id));
    }
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let engine = &engine;
            scope.spawn(move || {
                let many: Vec<i64> = (writer * 10_000..writer * 10_000 + 3000).collect();
                let mut transaction = begin(engine);
                load(&mut transaction, &many).unwrap();
                transaction.commit().unwrap();
                for n in 0..10 {
                    insert(engine, &[writer * 10_000 + 5000 + n]);
                }
            });
        }
    });
    assert_eq!(found(&engine).len(), 8000 + 9000 + 30);
    engine.close().unwrap();
    no_orphans(&engine, &disk);
}

/// A row of time, symbol and id.
fn tick(rows: &[(i64, &str, i64)]) -> RecordBatch {
    let times = rows.iter().map(|(time, _, _)| *time).collect::<Vec<_>>();
    let names = StringViewArray::from_iter_values(rows.iter().map(|(_, name, _)| name));
    let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, _, id)| *id));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
        ("symbol", Arc::new(names)),
        ("id", Arc::new(numbers)),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// Loads ticks of a symbol, 120 of them at each time.
fn load_series(
    engine: &Arc<Engine>,
    name: &str,
    times: std::ops::Range<i64>,
) -> Result<(), EngineError> {
    let mut transaction = begin(engine);
    let mut loader = transaction.loader(TICKS)?;
    for time in times {
        let rows: Vec<_> = (0..120).map(|id| (time, name, id)).collect();
        loader.push(&tick(&rows))?;
    }
    loader.finish(&mut transaction)?;
    transaction.commit()?;
    Ok(())
}

#[test]
fn series_that_a_part_has_not_are_held_against_no_row_of_it() {
    let disk = SimDisk::new(9);
    let engine = open(&disk, 9).unwrap();
    create(&engine).unwrap();
    let mut transaction = begin(&engine);
    let (database, table) = (DB, TICKS);
    let name = "ticks_pkey".to_owned();
    let drop_key = Change::DropConstraint {
        database,
        table,
        name,
    };
    transaction.change(drop_key).unwrap();
    let constraint = chronolith_catalog::Constraint {
        id: 9,
        name: "by_symbol".to_owned(),
        kind: ConstraintKind::PrimaryKey {
            columns: vec![ColumnId(2), ColumnId(1), ColumnId(3)],
        },
        marks: chronolith_catalog::ConstraintMarks::default(),
    };
    let add_key = Change::AddConstraint {
        database,
        table,
        constraint,
    };
    transaction.change(add_key).unwrap();
    transaction.commit().unwrap();
    load_series(&engine, "A", 0..9).unwrap();
    // Damage what must not be read: the same times of another series.
    let part = engine.catalog().parts().next().unwrap().id;
    let file = RelPath::new(&format!("parts/{:012}.parquet", part.0)).unwrap();
    drop(engine);
    let disk = disk.restart();
    disk.flip_bit(&file, 50, 1).unwrap();
    let engine = open(&disk, 10).unwrap();
    assert!(!engine.verify().is_empty());
    let add = |engine: &Arc<Engine>, row: (i64, &str, i64)| -> Result<(), EngineError> {
        let mut transaction = begin(engine);
        transaction.insert(TICKS, &tick(&[row]))?;
        transaction.commit()?;
        Ok(())
    };
    add(&engine, (0, "B", 500)).unwrap();
    load_series(&engine, "B", 0..9).unwrap();
    let error = add(&engine, (0, "A", 500)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DATA_CORRUPTED, "{error}");
    let error = load_series(&engine, "A", 0..2).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DATA_CORRUPTED, "{error}");
    let message = error.to_string();
    assert!(
        message.contains(file.as_str()) && message.contains("byte 4"),
        "{message}"
    );
    drop(engine);
    let disk = disk.restart();
    disk.flip_bit(&file, 50, 1).unwrap();
    let engine = open(&disk, 11).unwrap();
    let error = load_series(&engine, "A", 8..20).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION, "{error}");
    for (name, id) in [("A", 0), ("B", 119), ("B", 500)] {
        let error = add(&engine, (0, name, id)).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION, "{error}");
    }
    add(&engine, (0, "A", 500)).unwrap();
    load_series(&engine, "A", 9..20).unwrap();
    no_orphans(&engine, &disk);
}

#[test]
fn rows_that_were_merged_since_the_snapshot_count_once() {
    let disk = SimDisk::new(12);
    let engine = open(&disk, 12).unwrap();
    create(&engine).unwrap();
    let many: Vec<i64> = (1000..5000).collect();
    load_all(&engine, &many);
    let mut transaction = engine.begin(DB, Isolation::RepeatableRead);
    for chunk in chunks(&engine) {
        engine.compress_chunk(DB, TICKS, chunk).unwrap();
    }
    load(&mut transaction, &(6000..9000).collect::<Vec<_>>()).unwrap();
    transaction.commit().unwrap();
    assert_eq!(found(&engine).len(), 7000);
    no_orphans(&engine, &disk);
}

fn load_all(engine: &Arc<Engine>, numbers: &[i64]) {
    let mut transaction = begin(engine);
    load(&mut transaction, numbers).unwrap();
    transaction.commit().unwrap();
}

/// The numbers of ticks in the order in which they are read.
fn in_order(transaction: &Transaction) -> Vec<i64> {
    let view = transaction.table(TICKS).unwrap();
    let mut found = Vec::new();
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![2])) {
            let batch = batch.unwrap();
            found.extend(batch.column(0).as_primitive::<Int64Type>().values().iter());
        }
    }
    found
}

/// Ticks of one series at one time, so that nothing but their arrival orders them.
fn alike(numbers: std::ops::Range<i64>) -> RecordBatch {
    tick(&numbers.map(|id| (5, "A", id)).collect::<Vec<_>>())
}

fn load_alike(
    transaction: &mut Transaction,
    numbers: std::ops::Range<i64>,
) -> Result<u64, EngineError> {
    let mut loader = transaction.loader(TICKS)?;
    for from in numbers.clone().step_by(100) {
        loader.push(&alike(from..numbers.end.min(from + 100)))?;
    }
    loader.finish(transaction)
}

#[test]
fn a_load_is_read_behind_the_rows_of_its_transaction() {
    let disk = SimDisk::new(31);
    let engine = open(&disk, 31).unwrap();
    create(&engine).unwrap();
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &alike(0..2)).unwrap();
    transaction.commit().unwrap();
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &alike(2..5)).unwrap();
    transaction.insert(TOTALS, &totals(1)).unwrap();
    transaction.savepoint("first");
    transaction.insert(TICKS, &alike(5..8)).unwrap();
    load_alike(&mut transaction, 8..3000).unwrap();
    transaction.insert(TICKS, &alike(3000..3003)).unwrap();
    transaction.begin_statement().unwrap();
    assert!(in_order(&transaction).is_sorted(), "before the commit");
    assert_eq!(in_order(&transaction).len(), 3003);
    // Back to where the rows were hot, and once more.
    transaction.rollback_to("first").unwrap();
    assert_eq!(in_order(&transaction), [0, 1, 2, 3, 4]);
    let error = load_alike(&mut transaction, 4..3000).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION, "{error}");
    assert_eq!(
        in_order(&transaction),
        [0, 1, 2, 3, 4],
        "nothing of a statement that failed"
    );
    load_alike(&mut transaction, 5..3000).unwrap();
    load_alike(&mut transaction, 3000..6000).unwrap();
    transaction.begin_statement().unwrap();
    assert!(in_order(&transaction).is_sorted());
    transaction.commit().unwrap();
    let whole = |engine: &Arc<Engine>| {
        let found = in_order(&begin(engine));
        assert_eq!(found.len(), 6000);
        assert!(found.is_sorted());
    };
    whole(&engine);
    no_orphans(&engine, &disk);
    // Its keys are known still.
    refused_alike(&engine, 3);
    drop(engine);
    let engine = open(&disk.crash(), 32).unwrap();
    whole(&engine);
    assert!(engine.verify().is_empty());
    refused_alike(&engine, 2);
}

#[track_caller]
fn refused_alike(engine: &Arc<Engine>, id: i64) {
    let error = begin(engine).insert(TICKS, &alike(id..id + 1)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION, "{error}");
}
