//! Changes of what exists, over rows in memory, on disk and in the transaction itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Column, Constraint, ConstraintKind, Table};
use chronolith_engine::{Engine, EngineError, Isolation, Transaction};
use chronolith_platform::sim::SimDisk;
use chronolith_types::{ChunkId, ColumnId, SqlState, SqlType};

mod shared;
use shared::{DB, TICKS, TOTALS, column, create, ids, open, ticks, time_of, totals};

fn begin(engine: &Arc<Engine>) -> Transaction {
    engine.begin(DB, Isolation::ReadCommitted)
}

fn insert(engine: &Arc<Engine>, numbers: &[i64]) {
    let mut transaction = begin(engine);
    transaction.insert(TICKS, &ticks(numbers)).unwrap();
    transaction.commit().unwrap();
}

fn drop_chunk(transaction: &mut Transaction, time: i64) -> Result<(), EngineError> {
    let catalog = transaction.catalog();
    let chunk = catalog.table(DB, TICKS).unwrap().chunk_at(time).unwrap().id;
    transaction.change(Change::DropChunk {
        database: DB,
        table: TICKS,
        chunk,
    })
}

#[test]
fn a_time_that_no_chunk_has_is_refused_whichever_way_it_comes() {
    let disk = SimDisk::new(31);
    let engine = open(&disk, 31).unwrap();
    create(&engine).unwrap();
    for infinite in [i64::MAX, i64::MIN] {
        let rows = tick(infinite, None, 1);
        let mut transaction = begin(&engine);
        let error = transaction.insert(TICKS, &rows).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::DATETIME_FIELD_OVERFLOW);
        assert_eq!(error.to_string(), "timestamp out of range");
        let mut loader = transaction.loader(TICKS).unwrap();
        let error = loader.push(&rows).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::DATETIME_FIELD_OVERFLOW);
    }
    // The greatest and least times there are else.
    for (id, time) in [(1, i64::MAX - 1), (2, i64::MIN + 1)] {
        let mut transaction = begin(&engine);
        transaction.insert(TICKS, &tick(time, None, id)).unwrap();
        transaction.commit().unwrap();
    }
    for _ in 0..2 {
        assert_eq!(ids(&begin(&engine), TICKS, 2), [1, 2]);
        engine.flush().unwrap();
    }
}

fn outside(numbers: &[i64], from: i64) -> Vec<i64> {
    let kept = |id: &&i64| !(from..from + 10).contains(&time_of(**id));
    numbers.iter().filter(kept).copied().collect()
}

/// One row with a time, a symbol that may be NULL, and an id.
fn tick(time: i64, symbol: Option<&str>, id: i64) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(vec![time]).with_timezone("UTC")),
        ),
        ("symbol", Arc::new(StringViewArray::from_iter([symbol]))),
        ("id", Arc::new(Int64Array::from(vec![id]))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[test]
fn a_dropped_chunk_takes_its_rows_and_their_keys_wherever_they_are() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, 1).unwrap();
    create(&engine).unwrap();
    let all: Vec<i64> = (1..=20).collect();
    let own: Vec<i64> = (21..=30).collect();
    let both = [all.clone(), own.clone()].concat();
    for flushed in [false, true] {
        insert(&engine, &all);
        if flushed {
            engine.flush().unwrap();
        }
        let mut transaction = begin(&engine);
        transaction.insert(TICKS, &ticks(&own)).unwrap();
        transaction.savepoint("s");
        drop_chunk(&mut transaction, 10).unwrap();
        assert_eq!(ids(&transaction, TICKS, 2), outside(&both, 10));
        // The same rows again: nothing of theirs is left to be alike with.
        transaction.insert(TICKS, &ticks(&both[..7])).unwrap_err();
        let gone: Vec<i64> = both
            .iter()
            .filter(|id| (10..20).contains(&time_of(**id)))
            .copied()
            .collect();
        transaction.insert(TICKS, &ticks(&gone)).unwrap();
        assert_eq!(ids(&transaction, TICKS, 2), both);
        transaction.rollback_to("s").unwrap();
        assert_eq!(ids(&transaction, TICKS, 2), both);
        drop_chunk(&mut transaction, 10).unwrap();
        transaction.insert(TICKS, &ticks(&gone[..1])).unwrap();
        let mut expected = [outside(&both, 10), gone[..1].to_vec()].concat();
        expected.sort_unstable();
        assert_eq!(ids(&transaction, TICKS, 2), expected);
        // Who writes to the chunk meanwhile is not told that it was kept.
        let mut late = begin(&engine);
        late.insert(TICKS, &tick(11, None, 99)).unwrap();
        transaction.commit().unwrap();
        let error = late.commit().unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::SERIALIZATION_FAILURE);
        assert_eq!(ids(&begin(&engine), TICKS, 2), expected);
        let error = begin(&engine)
            .insert(TICKS, &ticks(&gone[..1]))
            .unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
        let mut clear = begin(&engine);
        clear.truncate(TICKS).unwrap();
        clear.commit().unwrap();
    }
}

#[test]
fn a_truncated_table_is_empty_for_its_transaction_then_for_all() {
    let disk = SimDisk::new(2);
    let engine = open(&disk, 2).unwrap();
    create(&engine).unwrap();
    insert(&engine, &[1, 2, 3]);
    engine.flush().unwrap();
    insert(&engine, &[4, 5]);
    let mut other = begin(&engine);
    other.insert(TOTALS, &totals(1)).unwrap();
    other.commit().unwrap();
    let before = engine.begin(DB, Isolation::RepeatableRead);
    let mut transaction = begin(&engine);
    transaction.insert(TICKS, &ticks(&[6])).unwrap();
    transaction.truncate(TICKS).unwrap();
    transaction.truncate(TOTALS).unwrap();
    assert_eq!(ids(&transaction, TICKS, 2), Vec::<i64>::new());
    transaction.insert(TICKS, &ticks(&[1, 6])).unwrap();
    transaction.insert(TOTALS, &totals(1)).unwrap();
    transaction.insert(TOTALS, &totals(1)).unwrap_err();
    assert_eq!(ids(&transaction, TICKS, 2), vec![1, 6]);
    assert_eq!(ids(&before, TICKS, 2), vec![1, 2, 3, 4, 5]);
    transaction.commit().unwrap();
    assert_eq!(ids(&before, TICKS, 2), vec![1, 2, 3, 4, 5]);
    assert_eq!(ids(&begin(&engine), TICKS, 2), vec![1, 6]);
    assert_eq!(ids(&begin(&engine), TOTALS, 0), vec![1]);
    drop((before, engine));
    let engine = open(&disk.crash(), 3).unwrap();
    assert_eq!(ids(&begin(&engine), TICKS, 2), vec![1, 6]);
    assert!(engine.verify().is_empty());
}

#[test]
fn a_decompressed_chunk_keeps_its_rows_and_can_be_compressed_again() {
    let disk = SimDisk::new(3);
    let engine = open(&disk, 3).unwrap();
    create(&engine).unwrap();
    insert(&engine, &[1, 2, 3, 4]);
    let compressed = |engine: &Arc<Engine>| {
        let catalog = engine.catalog();
        catalog.table(DB, TICKS).unwrap().chunks[&ChunkId(1)].compressed
    };
    for _ in 0..2 {
        assert!(engine.compress_chunk(DB, TICKS, ChunkId(1)).unwrap());
        assert!(!engine.compress_chunk(DB, TICKS, ChunkId(1)).unwrap());
        assert!(compressed(&engine));
        assert!(engine.decompress_chunk(DB, TICKS, ChunkId(1)).unwrap());
        assert!(!engine.decompress_chunk(DB, TICKS, ChunkId(1)).unwrap());
        assert!(!compressed(&engine));
        assert_eq!(ids(&begin(&engine), TICKS, 2), vec![1, 2, 3, 4]);
    }
    let error = engine.compress_chunk(DB, TICKS, ChunkId(9)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::UNDEFINED_TABLE);
}

#[test]
fn stricter_columns_are_held_against_all_rows() {
    let disk = SimDisk::new(4);
    let engine = open(&disk, 4).unwrap();
    create(&engine).unwrap();
    let set_not_null = || Change::ChangeColumn {
        database: DB,
        table: TICKS,
        column: Column {
            not_null: true,
            ..column(2, "symbol", SqlType::Text)
        },
    };
    for flushed in [false, true] {
        let mut transaction = begin(&engine);
        transaction.truncate(TICKS).unwrap();
        transaction.insert(TICKS, &tick(1, Some("A"), 1)).unwrap();
        transaction.commit().unwrap();
        let mut late = begin(&engine);
        late.insert(TICKS, &tick(2, None, 2)).unwrap();
        let mut strict = begin(&engine);
        strict.change(set_not_null()).unwrap();
        late.commit().unwrap();
        if flushed {
            engine.flush().unwrap();
        }
        // What came between the check and the commit counts too.
        let error = strict.commit().unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::NOT_NULL_VIOLATION);
        let mut strict = begin(&engine);
        let error = strict.change(set_not_null()).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::NOT_NULL_VIOLATION);
        assert!(error.to_string().contains("contains null values"));
        let mut own = begin(&engine);
        own.truncate(TICKS).unwrap();
        own.insert(TICKS, &tick(2, None, 2)).unwrap();
        own.change(set_not_null()).unwrap_err();
        assert_eq!(ids(&own, TICKS, 2), vec![2]);
    }
    let mut strict = begin(&engine);
    strict.truncate(TICKS).unwrap();
    strict.change(set_not_null()).unwrap();
    let mut late = begin(&engine);
    late.insert(TICKS, &tick(2, None, 7)).unwrap();
    strict.commit().unwrap();
    let error = late.commit().unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::SERIALIZATION_FAILURE);
    let error = begin(&engine).insert(TICKS, &tick(2, None, 2)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::NOT_NULL_VIOLATION);
}

#[test]
fn a_new_key_is_held_against_all_rows() {
    let disk = SimDisk::new(5);
    let engine = open(&disk, 5).unwrap();
    create(&engine).unwrap();
    let unique = |columns: &[u32]| Change::AddConstraint {
        database: DB,
        table: TICKS,
        constraint: Constraint {
            id: 25_000,
            name: "ticks_key".to_owned(),
            kind: ConstraintKind::Unique {
                columns: columns.iter().copied().map(ColumnId).collect(),
            },
            marks: chronolith_catalog::ConstraintMarks::default(),
        },
    };
    for flushed in [false, true] {
        let mut transaction = begin(&engine);
        transaction.truncate(TICKS).unwrap();
        for row in [
            tick(1, Some("A"), 1),
            tick(1, Some("B"), 2),
            tick(1, None, 3),
            tick(1, None, 4),
            tick(25, Some("A"), 5),
        ] {
            transaction.insert(TICKS, &row).unwrap();
        }
        transaction.commit().unwrap();
        if flushed {
            engine.flush().unwrap();
        }
        let mut transaction = begin(&engine);
        transaction.savepoint("s");
        let error = transaction.change(unique(&[2])).unwrap_err();
        let EngineError::Duplicates { detail, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(detail, "Key (symbol)=(A) is duplicated.");
        assert_eq!(error.sqlstate(), SqlState::UNIQUE_VIOLATION);
        transaction.change(unique(&[1, 2])).unwrap();
        let error = transaction.insert(TICKS, &tick(1, Some("B"), 9));
        let Err(EngineError::Unique { detail, .. }) = error else {
            panic!("{error:?}");
        };
        let key = "Key (time, symbol)=(1970-01-01 00:00:00.000001+00, B) already exists.";
        assert_eq!(detail, key);
        transaction.rollback_to("s").unwrap();
        transaction.insert(TICKS, &tick(1, Some("B"), 9)).unwrap();
        transaction.change(unique(&[1, 2])).unwrap_err();
    }
}

#[test]
fn a_column_that_comes_within_a_transaction_is_there_for_its_own_rows_too() {
    let disk = SimDisk::new(6);
    let engine = open(&disk, 6).unwrap();
    create(&engine).unwrap();
    insert(&engine, &[1, 2]);
    engine.flush().unwrap();
    insert(&engine, &[3]);
    let add = |not_null: bool, missing: Option<&str>| Change::AddColumn {
        database: DB,
        table: TOTALS,
        column: Column {
            not_null,
            missing: missing.map(str::to_owned),
            ..column(7, "x", SqlType::Int8)
        },
    };
    let mut transaction = begin(&engine);
    transaction.insert(TOTALS, &totals(1)).unwrap();
    let error = transaction.change(add(true, None)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::NOT_NULL_VIOLATION);
    let error = transaction.change(add(true, Some("x"))).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::INVALID_TEXT_REPRESENTATION);
    transaction.savepoint("s");
    transaction.change(add(true, Some("5"))).unwrap();
    assert_eq!(ids(&transaction, TOTALS, 1), vec![5]);
    transaction.rollback_to("s").unwrap();
    assert_eq!(ids(&transaction, TOTALS, 0), vec![1]);
    transaction.insert(TOTALS, &totals(2)).unwrap();
    transaction.change(add(true, Some("5"))).unwrap();
    assert_eq!(ids(&transaction, TOTALS, 1), vec![5, 5]);
    transaction.commit().unwrap();
    // Another transaction's new column does not slip under rows made without it.
    assert_eq!(ids(&begin(&engine), TOTALS, 1), vec![5, 5]);
    engine
        .compress_chunk(DB, TOTALS, Table::PLAIN_CHUNK)
        .unwrap();
    assert_eq!(ids(&begin(&engine), TOTALS, 1), vec![5, 5]);
}

#[test]
fn a_type_widens_in_place_and_changes_otherwise_without_rows_alone() {
    let disk = SimDisk::new(7);
    let engine = open(&disk, 7).unwrap();
    create(&engine).unwrap();
    let change = |ty: SqlType| Change::ChangeColumn {
        database: DB,
        table: TICKS,
        column: Column {
            not_null: false,
            ..column(3, "id", ty)
        },
    };
    insert(&engine, &[1, 2]);
    let error = begin(&engine).change(change(SqlType::Text)).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::FEATURE_NOT_SUPPORTED);
    let mut transaction = begin(&engine);
    transaction.truncate(TICKS).unwrap();
    transaction.change(change(SqlType::Int4)).unwrap();
    transaction.commit().unwrap();
    let narrow = |id: i32| {
        let batch = tick(id.into(), None, 0);
        let mut columns = batch.columns().to_vec();
        columns[2] = Arc::new(arrow::array::Int32Array::from(vec![id]));
        let view = begin(&engine).table(TICKS).unwrap();
        RecordBatch::try_new(Arc::clone(view.layout.schema()), columns).unwrap()
    };
    for id in [3, 4] {
        let mut transaction = begin(&engine);
        transaction.insert(TICKS, &narrow(id)).unwrap();
        transaction.commit().unwrap();
        if id == 3 {
            engine.flush().unwrap();
        }
    }
    let mut transaction = begin(&engine);
    transaction.change(change(SqlType::Int8)).unwrap();
    assert_eq!(ids(&transaction, TICKS, 2), vec![3, 4]);
    transaction.commit().unwrap();
    assert_eq!(ids(&begin(&engine), TICKS, 2), vec![3, 4]);
}
