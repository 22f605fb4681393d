//! Ranges of a store computed anew while others go on.

use chronolith_catalog::Change;
use chronolith_engine::{EngineError, Isolation};
use chronolith_platform::sim::SimDisk;

use crate::counts::{
    COARSE, FINE, LATER, batch_of, check, check_now, expected, fill, fill_all, kept, read, rollup,
};
use crate::shared::{DB, TICKS, ticks};
use crate::{begin, insert, made, marks, open};

const ALL: std::ops::Range<i64> = i64::MIN..i64::MAX;

#[track_caller]
fn overtaken<T: std::fmt::Debug>(outcome: Result<T, EngineError>) {
    let error = outcome.unwrap_err();
    assert!(matches!(error, EngineError::Overtaken(_)), "{error}");
}

#[test]
fn a_range_computed_anew_takes_the_place_of_what_was_there_and_of_nothing_else() {
    let disk = SimDisk::new(1);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    // Bit by bit, hot and cold.
    for start in (0..40).step_by(5) {
        fill(&engine, FINE, &(start..start + 5)).unwrap();
        check_now(&engine);
        insert(&engine, &[start + 100]);
        if start % 15 == 0 {
            engine.flush().unwrap();
        }
    }
    assert_eq!(marks(&engine, FINE), [(i64::MIN, 0), (40, i64::MAX)]);
    let now = begin(&engine);
    assert_eq!(kept(&now, FINE), expected(&now, FINE));
    // Again, over rows that are right.
    for (round, from, to) in [(1, 10, 15), (2, 0, 40), (3, 35, 40)] {
        let mut transaction = begin(&engine);
        transaction.invalidate(TICKS, &(from..to)).unwrap();
        transaction.commit().unwrap();
        insert(&engine, &[round * 1000 + from, round * 1000 + to]);
        fill(&engine, FINE, &(from..to)).unwrap();
        check_now(&engine);
        let now = begin(&engine);
        assert_eq!(kept(&now, FINE), expected(&now, FINE));
    }
    drop((now, engine));
    let engine = open(&disk.crash(), 2).unwrap();
    check_now(&engine);
    assert!(engine.verify().is_empty());
}

#[test]
fn rows_that_come_while_a_range_is_computed_stay() {
    let disk = SimDisk::new(2);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    for store in [FINE, LATER] {
        let mut transaction = engine.begin(DB, Isolation::RepeatableRead);
        let computed = read(&transaction, store);
        let first = i64::from(store.0) * 10;
        insert(&engine, &[first, first + 1]);
        transaction
            .rewrite(store, ALL, &[batch_of(computed)])
            .unwrap();
        check(&transaction);
        transaction.commit().unwrap();
        check_now(&engine);
        insert_dropped(&engine);
    }
    // What is added to has it; what is computed anew knows what it has missed.
    assert_eq!(marks(&engine, FINE), []);
    assert_ne!(marks(&engine, LATER), []);
    fill_all(&engine).unwrap();
    check_now(&engine);
}

/// A transaction that comes to nothing.
fn insert_dropped(engine: &std::sync::Arc<chronolith_engine::Engine>) {
    let mut dropped = begin(engine);
    dropped.insert(TICKS, &ticks(&[900])).unwrap();
    dropped.derive().unwrap();
}

#[test]
fn a_rewrite_that_others_overtook_is_refused() {
    let disk = SimDisk::new(3);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    insert(&engine, &[31, 32]);
    let invalidate = || {
        let mut transaction = begin(&engine);
        transaction.invalidate(TICKS, &(0..40)).unwrap();
        transaction.commit().unwrap();
    };
    let rewrite = || {
        let mut transaction = engine.begin(DB, Isolation::RepeatableRead);
        let computed = batch_of(read(&transaction, FINE));
        transaction
            .rewrite(FINE, 0..40, &[computed])
            .map(|()| transaction)
    };
    // Nothing is to be done.
    overtaken(rewrite());
    invalidate();
    let late = rewrite().unwrap();
    engine.flush().unwrap();
    overtaken(late.commit());
    check_now(&engine);
    let late = rewrite().unwrap();
    fill(&engine, FINE, &ALL).unwrap();
    overtaken(late.commit());
    check_now(&engine);
    invalidate();
    let late = rewrite().unwrap();
    let mut transaction = begin(&engine);
    transaction.truncate(TICKS).unwrap();
    transaction.commit().unwrap();
    overtaken(late.commit());
    check_now(&engine);
    // Also where the store had nothing that could have moved.
    insert(&engine, &[1, 2]);
    let mut transaction = begin(&engine);
    transaction.truncate(FINE).unwrap();
    transaction.commit().unwrap();
    let late = rewrite().unwrap();
    let mut transaction = begin(&engine);
    transaction.truncate(TICKS).unwrap();
    transaction.commit().unwrap();
    overtaken(late.commit());
    insert(&engine, &[3]);
    check_now(&engine);
    invalidate();
    let late = rewrite().unwrap();
    let mut transaction = begin(&engine);
    let catalog = transaction.catalog();
    for chunk in catalog.table(DB, TICKS).unwrap().chunks.keys() {
        transaction
            .change(Change::DropChunk {
                database: DB,
                table: TICKS,
                chunk: *chunk,
            })
            .unwrap();
    }
    transaction.commit().unwrap();
    overtaken(late.commit());
    let there = chronolith_platform::Disk::list(
        &disk,
        &chronolith_platform::RelPath::new("parts").unwrap(),
    );
    assert_eq!(there.unwrap().len(), 2 * engine.catalog().parts().count());
}

#[test]
fn a_rewrite_keeps_its_snapshot_and_can_be_undone() {
    let disk = SimDisk::new(4);
    let engine = made(&disk, &(1..30).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    insert(&engine, &[31, 32]);
    let mut transaction = begin(&engine);
    transaction.invalidate(TICKS, &(0..40)).unwrap();
    transaction.commit().unwrap();
    let mut transaction = begin(&engine);
    transaction.savepoint("a");
    for (from, to) in [(0, 10), (20, 30), (10, 20)] {
        let mut computed = read(&transaction, FINE);
        computed.retain(|(bucket, _), _| (from..to).contains(bucket));
        transaction
            .rewrite(FINE, from..to, &[batch_of(computed)])
            .unwrap();
        check(&transaction);
        insert(&engine, &[from + 100]);
        transaction.begin_statement().unwrap();
        check(&transaction);
    }
    // Undone in part, what is left is there once.
    transaction.savepoint("b");
    transaction.insert(TICKS, &ticks(&[800])).unwrap();
    transaction.derive().unwrap();
    transaction.rollback_to("b").unwrap();
    check(&transaction);
    transaction.rollback_to("a").unwrap();
    check(&transaction);
    assert_eq!(rollup(&transaction, FINE).invalid.len(), 1);
    let mut computed = read(&transaction, FINE);
    computed.retain(|(bucket, _), _| (15..25).contains(bucket));
    transaction
        .rewrite(FINE, 15..25, &[batch_of(computed)])
        .unwrap();
    check(&transaction);
    transaction.commit().unwrap();
    check_now(&engine);
    assert_eq!(marks(&engine, FINE), [(0, 15), (25, 40)]);
    assert_eq!(marks(&engine, COARSE), [(0, 45)]);
    // Rows that move leave what it sees alone until it commits.
    let mut transaction = begin(&engine);
    let mut computed = read(&transaction, FINE);
    computed.retain(|(bucket, _), _| (0..15).contains(bucket));
    transaction
        .rewrite(FINE, 0..15, &[batch_of(computed)])
        .unwrap();
    engine.flush().unwrap();
    transaction.begin_statement().unwrap();
    check(&transaction);
    overtaken(transaction.commit());
    check_now(&engine);
}

#[test]
fn a_part_that_is_rewritten_stays_in_its_place_among_others() {
    let disk = SimDisk::new(5);
    let engine = made(&disk, &(1..60).collect::<Vec<_>>());
    fill_all(&engine).unwrap();
    let parts = || -> Vec<(u64, u64)> {
        let catalog = engine.catalog();
        let chunk = catalog.table(DB, FINE).unwrap().chunk_at(0).unwrap();
        chunk
            .parts
            .iter()
            .map(|part| (part.id.0, part.rows))
            .collect()
    };
    let before = parts();
    assert_eq!(before.len(), 1);
    // Rows at 17 alone, in a part behind.
    insert(&engine, &[40 * 21 + 31, 40 * 22 + 31]);
    engine.flush().unwrap();
    assert_eq!(parts().len(), 2);
    let mut transaction = begin(&engine);
    transaction.invalidate(TICKS, &(0..5)).unwrap();
    transaction.commit().unwrap();
    fill(&engine, FINE, &ALL).unwrap();
    let after = parts();
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|(id, _)| *id > before.first().unwrap().0));
    assert!(
        after.first().unwrap().1 > after.last().unwrap().1,
        "{after:?}"
    );
    let now = begin(&engine);
    assert_eq!(kept(&now, FINE), expected(&now, FINE));
    drop((now, engine));
    check_now(&open(&disk.crash(), 2).unwrap());
}
