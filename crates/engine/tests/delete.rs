//! Transactions beside each other that delete, add and replace rows while parts are flushed, merged
//! and reopened: what is there is what those did that committed, one after another.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use chronolith_catalog::{Change, Column};
use chronolith_chunk::RowSet;
use chronolith_engine::{
    Claimed, Engine, EngineError, Isolation, RowMode, RowsLocked, TableView, Transaction, Wait,
};
use chronolith_platform::SimRandom;
use chronolith_platform::sim::SimDisk;
use chronolith_types::{ColumnId, SqlState, SqlType};

mod shared;
use shared::{DB, TICKS, column, create, delete, ids, open, ticks};

fn insert(transaction: &mut Transaction, numbers: &[i64]) -> Result<(), EngineError> {
    let view = transaction.table(TICKS).unwrap();
    let mut columns = ticks(numbers).columns().to_vec();
    while columns.len() < view.layout.columns.len() {
        columns.push(Arc::clone(columns.get(2).unwrap()));
    }
    let schema = Arc::clone(view.layout.schema());
    let batch = arrow::record_batch::RecordBatch::try_new(schema, columns).unwrap();
    transaction.insert(TICKS, &batch)?;
    Ok(())
}

/// A transaction, what it sees, and what it changed.
struct Open {
    transaction: Transaction,
    fixed: bool,
    seen: BTreeSet<i64>,
    gone: BTreeSet<i64>,
    added: BTreeSet<i64>,
    /// Rows that others changed and committed since it looked.
    stale: BTreeSet<i64>,
    saved: Option<(BTreeSet<i64>, BTreeSet<i64>, BTreeSet<i64>)>,
}

impl Open {
    fn is_doomed(&self) -> bool {
        !self.gone.is_disjoint(&self.stale)
    }
}

struct World {
    engine: Arc<Engine>,
    disk: SimDisk,
    random: SimRandom,
    committed: BTreeSet<i64>,
    open: Vec<Open>,
    next: i64,
    conflicts: usize,
    moved: usize,
}

fn all(set: &BTreeSet<i64>) -> Vec<i64> {
    set.iter().copied().collect()
}

impl World {
    fn below(&self, n: usize) -> usize {
        usize::try_from(self.random.below(n as u64)).unwrap()
    }

    fn step(&mut self, seed: u64) {
        let at = self.below(self.open.len().max(1));
        match self.below(20) {
            0..=2 if self.open.len() < 3 => self.begin(),
            3..=8 if !self.open.is_empty() => self.write(at),
            9 | 10 if !self.open.is_empty() => self.save(at),
            11..=13 if !self.open.is_empty() => self.end(at),
            14 | 15 => {
                self.engine.flush().unwrap();
                self.moved += 1;
            }
            16 | 17 => self.compress(),
            18 if self.open.is_empty() => {
                self.engine = {
                    let disk = self.disk.clone();
                    let (old, _) = (std::mem::replace(&mut self.engine, dummy()), ());
                    drop(old);
                    open(&disk, seed).unwrap()
                };
            }
            19 if self.open.is_empty() => self.add_column(),
            _ => {}
        }
        let transaction = self.engine.begin(DB, Isolation::ReadCommitted);
        assert_eq!(ids(&transaction, TICKS, 2), all(&self.committed));
    }

    fn begin(&mut self) {
        let fixed = self.below(2) == 0;
        let isolation = match fixed {
            true => Isolation::RepeatableRead,
            false => Isolation::ReadCommitted,
        };
        self.open.push(Open {
            transaction: self.engine.begin(DB, isolation),
            fixed,
            seen: self.committed.clone(),
            gone: BTreeSet::new(),
            added: BTreeSet::new(),
            stale: BTreeSet::new(),
            saved: None,
        });
    }

    fn write(&mut self, at: usize) {
        let (part, kind) = (i64::try_from(2 + self.below(6)).unwrap(), self.below(4));
        let rest = i64::try_from(self.below(4)).unwrap();
        let first = self.next;
        let open = self.open.get_mut(at).unwrap();
        if !open.fixed {
            if let Err(error) = open.transaction.begin_change() {
                return self.refused(at, &error);
            }
            open.stale.retain(|id| open.gone.contains(id));
            open.seen = self.committed.difference(&open.gone).copied().collect();
            open.seen.extend(&open.added);
        }
        match kind {
            0 | 1 => {
                let open = self.open.get_mut(at).unwrap();
                let count = 1 + rest * 3;
                self.next += count;
                let fresh: Vec<i64> = (first..first + count).collect();
                if let Err(error) = insert(&mut open.transaction, &fresh) {
                    return self.refused(at, &error);
                }
                open.seen.extend(&fresh);
                open.added.extend(&fresh);
            }
            // Row locks would have it wait for the others: a key that one of them gave another row is
            // not the one that was read.
            _ if self.is_replaced(at, kind == 3, |id| id % part == rest) => {}
            _ => {
                let open = self.open.get_mut(at).unwrap();
                let deleted = delete(&mut open.transaction, |id| id % part == rest).unwrap();
                let expected = open.seen.iter().filter(|id| **id % part == rest);
                let expected: Vec<i64> = expected.copied().collect();
                assert_eq!(
                    deleted, expected,
                    "fixed {}, gone {:?}",
                    open.fixed, open.gone
                );
                for id in &deleted {
                    open.seen.remove(id);
                    if !open.added.remove(id) {
                        open.gone.insert(*id);
                    }
                }
                if kind == 3 {
                    // As an update does: the same keys again.
                    let fresh: Vec<i64> = deleted;
                    if let Err(error) = insert(&mut open.transaction, &fresh) {
                        return self.refused(at, &error);
                    }
                    open.seen.extend(&fresh);
                    open.added.extend(&fresh);
                }
            }
        }
        let open = self.open.get(at).unwrap();
        assert_eq!(
            ids(&open.transaction, TICKS, 2),
            all(&open.seen),
            "own sight"
        );
    }

    /// A row that it deletes was deleted by somebody else.
    fn refused(&mut self, at: usize, error: &EngineError) {
        let open = self.open.remove(at);
        assert_eq!(error.sqlstate(), SqlState::SERIALIZATION_FAILURE, "{error}");
        assert!(open.is_doomed(), "{error}");
        self.conflicts += 1;
    }

    fn is_replaced(&self, at: usize, replaces: bool, wanted: impl Fn(i64) -> bool) -> bool {
        let others = self
            .open
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != at);
        others.into_iter().any(|(_, other)| {
            let touched = other.gone.iter().filter(|id| wanted(**id));
            touched
                .into_iter()
                .any(|id| replaces || other.added.contains(id))
        })
    }

    fn save(&mut self, at: usize) {
        let open = self.open.get_mut(at).unwrap();
        match open.saved.take() {
            None => {
                open.transaction.savepoint("a");
                open.saved = Some((open.seen.clone(), open.gone.clone(), open.added.clone()));
            }
            Some((seen, gone, added)) => {
                open.transaction.rollback_to("a").unwrap();
                open.transaction.release("a").unwrap();
                if open.fixed {
                    open.seen = seen;
                    assert_eq!(
                        ids(&open.transaction, TICKS, 2),
                        all(&open.seen),
                        "rolled back"
                    );
                }
                (open.gone, open.added) = (gone, added);
            }
        }
    }

    fn end(&mut self, at: usize) {
        let open = self.open.remove(at);
        if self.below(4) == 0 {
            return;
        }
        let doomed = open.is_doomed();
        match open.transaction.commit() {
            Ok(_) => {
                assert!(!doomed, "a row was deleted twice");
                for other in &mut self.open {
                    other.stale.extend(&open.gone);
                }
                for id in &open.gone {
                    self.committed.remove(id);
                }
                self.committed.extend(&open.added);
            }
            Err(error) => {
                assert_eq!(error.sqlstate(), SqlState::SERIALIZATION_FAILURE, "{error}");
                assert!(doomed, "{error}");
                self.conflicts += 1;
            }
        }
    }

    fn compress(&mut self) {
        let catalog = self.engine.catalog();
        let chunks = &catalog.table(DB, TICKS).unwrap().chunks;
        let Some(chunk) = chunks.keys().nth(self.below(chunks.len().max(1))) else {
            return;
        };
        self.engine.compress_chunk(DB, TICKS, *chunk).unwrap();
        self.moved += 1;
    }

    fn add_column(&mut self) {
        let mut transaction = self.engine.begin(DB, Isolation::ReadCommitted);
        transaction.begin_change().unwrap();
        let first = self.next % 3;
        let gone = delete(&mut transaction, |id| id % 7 == first).unwrap();
        let catalog = transaction.catalog();
        let id = catalog.table(DB, TICKS).unwrap().next_column;
        transaction
            .change(Change::AddColumn {
                database: DB,
                table: TICKS,
                column: Column {
                    missing: Some("7".to_owned()),
                    ..column(id.0, &format!("x{id}"), SqlType::Int8)
                },
            })
            .unwrap();
        assert_ne!(id, ColumnId(0));
        transaction.commit().unwrap();
        self.committed.retain(|id| !gone.contains(id));
    }
}

/// An engine to put in another's place while that is opened anew.
fn dummy() -> Arc<Engine> {
    open(&SimDisk::new(0), 0).unwrap()
}

#[test]
fn what_is_there_is_what_was_committed_whatever_moves_meanwhile() {
    let (mut conflicts, mut moved) = (0, 0);
    for seed in 0..24 {
        let disk = SimDisk::new(seed);
        let engine = open(&disk, seed).unwrap();
        create(&engine).unwrap();
        let mut world = World {
            engine,
            disk,
            random: SimRandom::new(seed),
            committed: BTreeSet::new(),
            open: Vec::new(),
            next: 0,
            conflicts: 0,
            moved: 0,
        };
        for _ in 0..120 {
            world.step(seed);
        }
        conflicts += world.conflicts;
        moved += world.moved;
    }
    // The histories are worth something.
    assert!(conflicts > 2 && moved > 400, "{conflicts} {moved}");
}

#[test]
fn a_part_of_which_much_is_deleted_is_packed_anew_and_its_space_comes_back() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, 1).unwrap();
    create(&engine).unwrap();
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    // Numbers that do not pack well.
    let random = SimRandom::new(1);
    let fresh = (0..20_000).map(|_| i64::try_from(random.below(1 << 40)).unwrap());
    let fresh: BTreeSet<i64> = fresh.collect();
    insert(&mut transaction, &all(&fresh)).unwrap();
    transaction.commit().unwrap();
    let chunks: Vec<_> = engine
        .catalog()
        .table(DB, TICKS)
        .unwrap()
        .chunks
        .keys()
        .copied()
        .collect();
    for chunk in &chunks {
        engine.compress_chunk(DB, TICKS, *chunk).unwrap();
    }
    let bytes = |engine: &Arc<Engine>| {
        let transaction = engine.begin(DB, Isolation::ReadCommitted);
        transaction.table(TICKS).unwrap().cold_bytes()
    };
    let before = bytes(&engine);
    let reader = engine.begin(DB, Isolation::RepeatableRead);
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.begin_change().unwrap();
    let deleted = delete(&mut transaction, |id| id % 3 > 0).unwrap().len();
    transaction.commit().unwrap();
    let left = bytes(&engine);
    assert!(left * 2 < before, "{left} of {before} bytes");
    let parts: u64 = engine
        .catalog()
        .table(DB, TICKS)
        .unwrap()
        .chunks
        .values()
        .flat_map(|chunk| chunk.parts.iter().map(|part| part.deleted.len()))
        .sum();
    assert_eq!(parts, 0, "rows that are deleted still lie in parts");
    assert_eq!(
        ids(&reader, TICKS, 2).len(),
        fresh.len(),
        "a reader keeps what it saw"
    );
    drop(reader);
    let after = engine.begin(DB, Isolation::ReadCommitted);
    assert_eq!(ids(&after, TICKS, 2).len(), fresh.len() - deleted);
}

/// The locators of some rows in a view, in the order of their ids.
fn locators(transaction: &mut Transaction, wanted: &[i64]) -> (TableView, Vec<Option<i128>>) {
    let view = transaction.table(TICKS).unwrap();
    let constraint = view.table.constraints.first().unwrap().id;
    let found = transaction.find(&view, constraint, &ticks(wanted)).unwrap();
    (view, found)
}

fn set(locators: &[Option<i128>]) -> RowSet {
    let mut rows = RowSet::default();
    for locator in locators.iter().flatten() {
        rows.insert(*locator);
    }
    rows
}

#[test]
fn rows_are_found_by_their_keys_wherever_they_lie() {
    let disk = SimDisk::new(3);
    let engine = open(&disk, 3).unwrap();
    create(&engine).unwrap();
    let mut add = engine.begin(DB, Isolation::ReadCommitted);
    insert(&mut add, &(0..400).collect::<Vec<_>>()).unwrap();
    add.commit().unwrap();
    engine.flush().unwrap();
    let mut change = engine.begin(DB, Isolation::ReadCommitted);
    delete(&mut change, |id| id % 10 == 3).unwrap();
    insert(&mut change, &[13, 23, 500]).unwrap();
    change.commit().unwrap();
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    transaction.begin_change().unwrap();
    insert(&mut transaction, &[33]).unwrap();
    // A batch may propose one key twice.
    let wanted = [0, 3, 13, 23, 33, 43, 0, 399, 399, 500, 13, 501, 3];
    // Often enough for a part to get an index.
    for _ in 0..6 {
        let (view, found) = locators(&mut transaction, &wanted);
        let there: Vec<i64> = wanted
            .iter()
            .zip(&found)
            .filter_map(|(id, locator)| locator.map(|_| *id))
            .collect();
        assert_eq!(there, vec![0, 13, 23, 33, 0, 399, 399, 500, 13]);
        let known: Vec<i128> = found.iter().flatten().copied().collect();
        let rows = view.rows_at(&[2], &known).unwrap();
        let ids = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(ids, there, "what is found is what was looked for");
    }
}

#[test]
fn a_row_that_others_change_meanwhile_is_found_as_the_reader_sees_it() {
    let disk = SimDisk::new(5);
    let engine = open(&disk, 5).unwrap();
    create(&engine).unwrap();
    let mut add = engine.begin(DB, Isolation::ReadCommitted);
    insert(&mut add, &[1, 2, 3]).unwrap();
    add.commit().unwrap();
    let mut first = engine.begin(DB, Isolation::ReadCommitted);
    first.begin_change().unwrap();
    let first_view = first.table(TICKS).unwrap();
    for round in 0..3 {
        let mut other = engine.begin(DB, Isolation::ReadCommitted);
        other.begin_change().unwrap();
        let (view, found) = locators(&mut other, &[2]);
        other.delete(&view, &set(&found)).unwrap();
        insert(&mut other, &[2]).unwrap();
        other.commit().unwrap();
        // Whoever asks now teaches the keys that all share what is newer.
        let mut newer = engine.begin(DB, Isolation::ReadCommitted);
        newer.begin_change().unwrap();
        assert_eq!(locators(&mut newer, &[2, 3]).1.iter().flatten().count(), 2);
        let constraint = first_view.table.constraints.first().unwrap().id;
        let found = first
            .find(&first_view, constraint, &ticks(&[2, 4]))
            .unwrap();
        assert!(
            found[0].is_some() && found[1].is_none(),
            "{round}: {found:?}"
        );
        let rows = first_view.rows_at(&[2], &[found[0].unwrap()]).unwrap();
        let ids = rows.column(0).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(ids, [2]);
    }
    let (_, found) = locators(&mut first, &[2]);
    let locked = first.lock_rows(&first_view, &set(&found), RowMode::Changed, Wait::Block);
    assert_eq!(locked.unwrap(), RowsLocked::Again, "it was changed since");
}

#[test]
fn who_wants_a_locked_row_waits_and_begins_again_when_it_was_changed() {
    let disk = SimDisk::new(4);
    let engine = open(&disk, 4).unwrap();
    create(&engine).unwrap();
    let mut add = engine.begin(DB, Isolation::ReadCommitted);
    insert(&mut add, &(0..50).collect::<Vec<_>>()).unwrap();
    add.commit().unwrap();
    let lock = |transaction: &mut Transaction, ids: &[i64], wait: Wait| {
        let (view, found) = locators(transaction, ids);
        let locked = transaction.lock_rows(&view, &set(&found), RowMode::Update, wait);
        (view, set(&found), locked)
    };
    let begin = |isolation| {
        let mut transaction = engine.begin(DB, isolation);
        transaction.begin_change().unwrap();
        transaction
    };
    let mut first = begin(Isolation::ReadCommitted);
    let (view, rows, locked) = lock(&mut first, &[7, 8], Wait::Block);
    assert_eq!(locked.unwrap(), RowsLocked::All);
    let mut second = begin(Isolation::ReadCommitted);
    let mut third = begin(Isolation::RepeatableRead);
    // Locks follow the rows into parts.
    engine.flush().unwrap();
    let (_, _, refused) = lock(&mut second, &[8, 9], Wait::NoWait);
    assert_eq!(
        refused.unwrap_err().sqlstate(),
        SqlState::LOCK_NOT_AVAILABLE
    );
    let (_, _, without) = lock(&mut second, &[8, 9], Wait::Skip);
    let RowsLocked::Without(skipped) = without.unwrap() else {
        panic!("row 8 was locked by two");
    };
    let (view_then, found) = locators(&mut second, &[8]);
    assert_eq!(skipped, set(&found));
    drop(view_then);
    first.delete(&view, &rows).unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let (_, _, locked) = lock(&mut second, &[8], Wait::Block);
            locked.unwrap()
        });
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert!(!waits.is_finished(), "nobody waited for the row");
        first.commit().unwrap();
        assert_eq!(waits.join().unwrap(), RowsLocked::Again);
    });
    second.begin_change().unwrap();
    let (_, found) = locators(&mut second, &[7, 8, 9]);
    assert!(matches!(found.as_slice(), [None, None, Some(_)]));
    let (_, _, refused) = lock(&mut third, &[8], Wait::Block);
    assert_eq!(
        refused.unwrap_err().sqlstate(),
        SqlState::SERIALIZATION_FAILURE
    );
}

#[test]
fn a_key_that_another_is_giving_away_is_waited_for() {
    let disk = SimDisk::new(5);
    let engine = open(&disk, 5).unwrap();
    create(&engine).unwrap();
    for commits in [true, false] {
        let mut first = engine.begin(DB, Isolation::ReadCommitted);
        let id = i64::from(commits);
        insert(&mut first, &[id]).unwrap();
        let mut second = engine.begin(DB, Isolation::ReadCommitted);
        let mut third = engine.begin(DB, Isolation::ReadCommitted);
        third.begin_change().unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(move || {
                let inserted = insert(&mut second, &[id]);
                drop(second);
                inserted
            });
            let claims = scope.spawn(|| {
                let constraint = TICKS.0 + 1000;
                let claimed = third.claim(TICKS, constraint, &ticks(&[id]));
                third.locker().end_transaction();
                claimed
            });
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!waits.is_finished(), "nobody waited for the key");
            match commits {
                true => drop(first.commit().unwrap()),
                false => drop(first),
            }
            let (claimed, inserted) = (claims.join().unwrap().unwrap(), waits.join().unwrap());
            match commits {
                true => {
                    let refused = inserted.unwrap_err();
                    assert_eq!(refused.sqlstate(), SqlState::UNIQUE_VIOLATION);
                    assert_eq!(claimed, Claimed::Again);
                }
                false => {
                    inserted.unwrap();
                    assert_eq!(claimed, Claimed::Free);
                }
            }
        });
    }
}

#[test]
fn many_deletions_of_one_transaction_are_undone_where_a_savepoint_was() {
    let disk = SimDisk::new(1);
    let engine = open(&disk, 1).unwrap();
    create(&engine).unwrap();
    let mut first = engine.begin(DB, Isolation::ReadCommitted);
    insert(&mut first, &(0..200).collect::<Vec<_>>()).unwrap();
    first.commit().unwrap();

    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    let mut committed: BTreeSet<i64> = (0..200).collect();
    let mut gone = BTreeSet::new();
    let mut saved = BTreeSet::new();
    let one = |transaction: &mut Transaction, id: i64, gone: &mut BTreeSet<i64>| {
        transaction.begin_change().unwrap();
        assert_eq!(delete(transaction, |of| of == id).unwrap(), [id]);
        match id % 3 {
            // Its key is free, and taken, and free again.
            0 => {
                insert(transaction, &[id]).unwrap();
                assert!(insert(transaction, &[id]).is_err());
                transaction.begin_change().unwrap();
                assert_eq!(delete(transaction, |of| of == id).unwrap(), [id]);
                insert(transaction, &[id]).unwrap();
            }
            _ => {
                gone.insert(id);
            }
        }
    };
    for id in 0..120 {
        one(&mut transaction, id, &mut gone);
        let mut other = engine.begin(DB, Isolation::ReadCommitted);
        insert(&mut other, &[1000 + id]).unwrap();
        other.commit().unwrap();
        committed.insert(1000 + id);
        match id {
            30 | 60 | 110 => engine.flush().unwrap(),
            40 => {
                transaction.savepoint("a");
                saved = gone.clone();
            }
            80 => transaction.savepoint("b"),
            90 => {
                transaction.savepoint("c");
                transaction.release("c").unwrap();
            }
            100 => {
                transaction.rollback_to("a").unwrap();
                gone = saved.clone();
            }
            _ => {}
        }
        transaction.begin_statement().unwrap();
        let left: Vec<i64> = committed.difference(&gone).copied().collect();
        assert_eq!(ids(&transaction, TICKS, 2), left, "after {id}");
    }
    for id in 120..200 {
        one(&mut transaction, id, &mut gone);
    }
    transaction.commit().unwrap();
    let left: Vec<i64> = committed.difference(&gone).copied().collect();
    let after = engine.begin(DB, Isolation::ReadCommitted);
    assert_eq!(ids(&after, TICKS, 2), left);
}

#[test]
fn who_deletes_rows_that_move_in_the_same_group_of_commits_is_not_overtaken() {
    let disk = SimDisk::new(8);
    let engine = open(&disk, 8).unwrap();
    create(&engine).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Commits that keep the log busy, so that those of the others wait and go together.
        for first in [10_000, 20_000] {
            let (engine, done) = (&engine, &done);
            scope.spawn(move || {
                for id in (first..first + 8_000).take_while(|_| !done.load(Ordering::Relaxed)) {
                    let mut add = engine.begin(DB, Isolation::ReadCommitted);
                    insert(&mut add, &[id]).unwrap();
                    add.commit().unwrap();
                }
            });
        }
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                engine.flush().unwrap();
            }
        });
        for round in 0..150 {
            let wanted: Vec<i64> = (round * 30..round * 30 + 30).collect();
            let mut add = engine.begin(DB, Isolation::ReadCommitted);
            insert(&mut add, &wanted).unwrap();
            add.commit().unwrap();
            let mut change = engine.begin(DB, Isolation::ReadCommitted);
            change.begin_change().unwrap();
            let (view, found) = locators(&mut change, &wanted);
            assert_eq!(change.delete(&view, &set(&found)).unwrap(), 30);
            let ended = change.commit();
            if ended.is_err() {
                done.store(true, Ordering::Relaxed);
            }
            ended.unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Puts rows in the place of their own, with the same keys.
fn replace(transaction: &mut Transaction, numbers: &[i64]) {
    delete(transaction, |id| numbers.contains(&id)).unwrap();
    let mut intake = transaction.intake(TICKS).unwrap();
    intake.keep_keys();
    intake.push(ticks(numbers)).unwrap();
    intake.finish(transaction).unwrap();
}

#[test]
fn rows_that_keep_their_keys_keep_others_out() {
    let taken = |transaction: &mut Transaction, number: i64| match insert(transaction, &[number]) {
        Err(EngineError::Unique { .. }) => true,
        Ok(()) => false,
        Err(error) => panic!("{error}"),
    };
    let disk = SimDisk::new(9);
    let engine = open(&disk, 9).unwrap();
    create(&engine).unwrap();
    let mut add = engine.begin(DB, Isolation::ReadCommitted);
    insert(&mut add, &[1, 2, 3]).unwrap();
    add.commit().unwrap();
    for flush in [false, true] {
        if flush {
            engine.flush().unwrap();
        }
        let mut change = engine.begin(DB, Isolation::ReadCommitted);
        replace(&mut change, &[1, 2]);
        assert!(taken(&mut change, 2), "its own row has the key");
        replace(&mut change, &[2, 3]);
        change.savepoint("all");
        delete(&mut change, |id| id == 3).unwrap();
        assert!(!taken(&mut change, 3), "the row that had the key is gone");
        assert!(taken(&mut change, 3));
        replace(&mut change, &[1]);
        assert!(taken(&mut change, 1));
        change.rollback_to("all").unwrap();
        assert!(taken(&mut change, 3));
        change.commit().unwrap();
        let mut later = engine.begin(DB, Isolation::ReadCommitted);
        assert_eq!(ids(&later, TICKS, 2), [1, 2, 3]);
        assert!(taken(&mut later, 1), "a committed row has the key");
    }
}
