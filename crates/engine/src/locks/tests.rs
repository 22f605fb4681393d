#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chronolith_platform::RealClock;
use chronolith_types::{ChunkId, DatabaseId, PartId, SqlState, TableId};
use roaring::RoaringBitmap;

use super::*;

const HOME: DatabaseId = DatabaseId(5);

fn manager() -> Arc<LockManager> {
    LockManager::new(Arc::new(RealClock::default()))
}

fn table(number: u32) -> LockTarget {
    LockTarget::Table {
        database: HOME,
        table: TableId(number),
    }
}

fn place(part: Option<u64>) -> RowSpace {
    RowSpace {
        database: HOME,
        table: TableId(1),
        chunk: ChunkId(1),
        part: part.map(PartId),
    }
}

fn rows(of: impl IntoIterator<Item = u32>) -> RoaringBitmap {
    of.into_iter().collect()
}

/// Until somebody of that process waits.
fn until_waits(manager: &LockManager, pid: i32) {
    for _ in 0..500 {
        if manager
            .list()
            .iter()
            .any(|lock| lock.pid == pid && !lock.granted)
        {
            return;
        }
        thread::sleep(Duration::from_millis(2));
    }
    panic!("process {pid} does not wait");
}

#[test]
fn modes_conflict_as_in_the_manual() {
    // PostgreSQL 15, table 13.2, the requested mode down and the held one across.
    let manual = [
        ".......X", "......XX", "....XXXX", "...XXXXX", "..XX.XXX", "..XXXXXX", ".XXXXXXX",
        "XXXXXXXX",
    ];
    for (asked, line) in LockMode::ALL.into_iter().zip(manual) {
        for (held, sign) in LockMode::ALL.into_iter().zip(line.chars()) {
            let manager = manager();
            let (one, other) = (manager.locker(1), manager.locker(2));
            assert!(one.lock(table(1), held, Wait::Block).unwrap());
            let got = other.lock(table(1), asked, Wait::Skip).unwrap();
            assert_eq!(got, sign == '.', "{asked:?} beside {held:?}");
        }
    }
    // The manual's four; an UPDATE, a DELETE, and who waits for either to end.
    let manual = [
        "...X.X.", "..XXXX.", ".XXXXX.", "XXXXXX.", ".XXXXXX", "XXXXXXX", "....XX.",
    ];
    let modes = [
        RowMode::KeyShare,
        RowMode::Share,
        RowMode::NoKeyUpdate,
        RowMode::Update,
        RowMode::Changed,
        RowMode::Gone,
        RowMode::Settled,
    ];
    for (asked, line) in modes.into_iter().zip(manual) {
        for (held, sign) in modes.into_iter().zip(line.chars()) {
            assert_eq!(asked.conflicts(held), sign == 'X', "{asked:?} {held:?}");
        }
    }
}

#[test]
fn own_locks_never_stand_in_the_way() {
    let manager = manager();
    let one = manager.locker(1);
    assert!(one.lock(table(1), LockMode::Share, Wait::NoWait).unwrap());
    assert!(
        one.lock(table(1), LockMode::AccessExclusive, Wait::NoWait)
            .unwrap()
    );
    let all = rows(0..10);
    one.lock_rows(place(None), &all, RowMode::Share, Wait::NoWait)
        .unwrap();
    let gained = one
        .lock_rows(place(None), &all, RowMode::Update, Wait::NoWait)
        .unwrap();
    assert!(!gained.waited && gained.skipped.is_empty());
    assert!(one.holds(table(1), LockMode::RowExclusive));
    assert!(!one.holds(table(2), LockMode::AccessShare));
}

#[test]
fn a_lock_is_handed_to_who_came_first() {
    let manager = manager();
    let one = manager.locker(1);
    one.lock(table(1), LockMode::AccessShare, Wait::Block)
        .unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut threads = Vec::new();
    // The reader would fit beside the first, but the writer before it came earlier.
    for (pid, mode) in [(2, LockMode::AccessExclusive), (3, LockMode::AccessShare)] {
        let (other, order) = (manager.locker(pid), Arc::clone(&order));
        threads.push(thread::spawn(move || {
            assert!(other.lock(table(1), mode, Wait::Block).unwrap());
            order.lock().push(pid);
            thread::sleep(Duration::from_millis(30));
            other.end_transaction();
        }));
        until_waits(&manager, pid);
    }
    let late = manager.locker(4);
    assert!(
        !late
            .lock(table(1), LockMode::AccessShare, Wait::Skip)
            .unwrap()
    );
    assert_eq!(manager.blocking(2), [1]);
    assert_eq!(manager.blocking(3), [2]);
    one.end_transaction();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    assert_eq!(*order.lock(), [2, 3]);
    assert!(manager.list().is_empty());
}

#[test]
fn busy_rows_are_refused_skipped_or_waited_for() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    one.lock_rows(
        place(None),
        &rows(0..1_000_000),
        RowMode::Update,
        Wait::Block,
    )
    .unwrap();
    let error = other
        .lock_rows(place(None), &rows([7]), RowMode::Update, Wait::NoWait)
        .unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::LOCK_NOT_AVAILABLE);
    assert_eq!(
        error.of_relation("t").to_string(),
        "could not obtain lock on row in relation \"t\""
    );
    let gained = other
        .lock_rows(
            place(None),
            &rows(999_990..1_000_010),
            RowMode::Share,
            Wait::Skip,
        )
        .unwrap();
    assert_eq!(gained.skipped, rows(999_990..1_000_000));
    other
        .lock_rows(place(Some(3)), &rows([7]), RowMode::Update, Wait::NoWait)
        .unwrap();
    let waiter = Arc::clone(&other);
    let thread = thread::spawn(move || {
        waiter.lock_rows(place(None), &rows([5, 6]), RowMode::Share, Wait::Block)
    });
    until_waits(&manager, 2);
    one.end_transaction();
    assert!(thread.join().unwrap().unwrap().waited);
    other.end_transaction();
    assert!(manager.list().is_empty());
}

#[test]
fn a_savepoint_gives_back_what_came_after_it() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    one.lock(table(1), LockMode::Share, Wait::Block).unwrap();
    one.lock_rows(place(None), &rows([1]), RowMode::Update, Wait::Block)
        .unwrap();
    let mark = one.mark();
    one.lock(table(1), LockMode::Share, Wait::Block).unwrap();
    one.lock(table(2), LockMode::Share, Wait::Block).unwrap();
    one.lock_rows(place(None), &rows([1, 2]), RowMode::Update, Wait::Block)
        .unwrap();
    one.lock_keys(
        KeySpace {
            database: HOME,
            table: TableId(1),
            constraint: 9,
        },
        vec![1, 2],
        Wait::Block,
    )
    .unwrap();
    one.release_to(mark);
    let try_rows = |row: u32| {
        let gained = other.lock_rows(place(None), &rows([row]), RowMode::Update, Wait::Skip);
        gained.unwrap().skipped.is_empty()
    };
    assert!(!try_rows(1));
    assert!(try_rows(2));
    assert!(
        !other
            .lock(table(1), LockMode::Exclusive, Wait::Skip)
            .unwrap()
    );
    assert!(
        other
            .lock(table(2), LockMode::Exclusive, Wait::Skip)
            .unwrap()
    );
    one.end_transaction();
    assert!(try_rows(1));
}

#[test]
fn keys_are_one_owners_at_a_time() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    let space = KeySpace {
        database: HOME,
        table: TableId(1),
        constraint: 9,
    };
    one.lock_keys(space, vec![1, 2], Wait::Block).unwrap();
    other.lock_keys(space, vec![3], Wait::NoWait).unwrap();
    let error = other
        .lock_keys(space, vec![2, 4], Wait::NoWait)
        .unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::LOCK_NOT_AVAILABLE);
    let waiter = Arc::clone(&other);
    let thread = thread::spawn(move || waiter.lock_keys(space, vec![1, 2], Wait::Block));
    until_waits(&manager, 2);
    drop(one);
    assert!(thread.join().unwrap().unwrap().waited);
}

#[test]
fn who_closes_a_circle_fails() {
    let manager = manager();
    let (one, other) = (manager.locker(11), manager.locker(12));
    one.lock(table(1), LockMode::Exclusive, Wait::Block)
        .unwrap();
    other
        .lock_rows(place(None), &rows([1]), RowMode::Update, Wait::Block)
        .unwrap();
    let waiter = Arc::clone(&one);
    let thread = thread::spawn(move || {
        waiter.lock_rows(place(None), &rows([1]), RowMode::Update, Wait::Block)
    });
    until_waits(&manager, 11);
    let error = other
        .lock(table(1), LockMode::RowShare, Wait::Block)
        .unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(
        error.detail().unwrap(),
        format!(
            "Process 12 waits for RowShareLock on relation 1 of database 5; blocked by process 11.\n\
             Process 11 waits for ShareLock on transaction {}; blocked by process 12.",
            other.id()
        )
    );
    other.end_transaction();
    assert!(thread.join().unwrap().unwrap().waited);
}

#[test]
fn two_who_would_upgrade_a_share_are_a_circle() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    one.lock(table(1), LockMode::Share, Wait::Block).unwrap();
    other.lock(table(1), LockMode::Share, Wait::Block).unwrap();
    let waiter = Arc::clone(&one);
    let thread = thread::spawn(move || waiter.lock(table(1), LockMode::Exclusive, Wait::Block));
    until_waits(&manager, 1);
    let error = other
        .lock(table(1), LockMode::Exclusive, Wait::Block)
        .unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    other.end_transaction();
    assert!(thread.join().unwrap().unwrap());
}

#[test]
fn standing_in_line_alone_makes_no_deadlock() {
    let manager = manager();
    let (one, two, three) = (manager.locker(1), manager.locker(2), manager.locker(3));
    one.lock(table(1), LockMode::AccessShare, Wait::Block)
        .unwrap();
    three
        .lock(table(2), LockMode::Exclusive, Wait::Block)
        .unwrap();
    // 2 waits for 1; 3 stands behind 2 though 1 would let it in; 1 then waits for 3.
    let waiter = Arc::clone(&two);
    let second =
        thread::spawn(move || waiter.lock(table(1), LockMode::AccessExclusive, Wait::Block));
    until_waits(&manager, 2);
    let waiter = Arc::clone(&three);
    let third = thread::spawn(move || waiter.lock(table(1), LockMode::AccessShare, Wait::Block));
    until_waits(&manager, 3);
    let waiter = Arc::clone(&one);
    let first = thread::spawn(move || waiter.lock(table(2), LockMode::Exclusive, Wait::Block));
    assert!(third.join().unwrap().unwrap());
    three.end_transaction();
    assert!(first.join().unwrap().unwrap());
    one.end_transaction();
    assert!(second.join().unwrap().unwrap());
}

#[test]
fn a_wait_ends_by_time_or_by_order() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    one.lock(table(1), LockMode::Exclusive, Wait::Block)
        .unwrap();
    other.set_timeout(Some(Duration::from_millis(30)));
    let error = other
        .lock(table(1), LockMode::Exclusive, Wait::Block)
        .unwrap_err();
    assert!(matches!(error, LockError::Timeout));
    assert_eq!(error.sqlstate(), SqlState::LOCK_NOT_AVAILABLE);
    other.set_timeout(None);
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    other.set_interrupted(Arc::new(move || asked.load(Ordering::Acquire)));
    let waiter = Arc::clone(&other);
    let thread = thread::spawn(move || waiter.lock(table(1), LockMode::Exclusive, Wait::Block));
    until_waits(&manager, 2);
    stop.store(true, Ordering::Release);
    assert!(matches!(
        thread.join().unwrap().unwrap_err(),
        LockError::Cancelled
    ));
    assert!(manager.list().iter().all(|lock| lock.granted));
}

#[test]
fn a_sessions_locks_outlive_its_transactions() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    let number = LockTarget::Advisory {
        database: HOME,
        class: 0,
        object: 42,
        kind: 1,
    };
    one.lock_session(number, LockMode::Exclusive, Wait::Block)
        .unwrap();
    one.lock_session(number, LockMode::Exclusive, Wait::Block)
        .unwrap();
    one.lock(number, LockMode::Exclusive, Wait::Block).unwrap();
    one.end_transaction();
    assert!(one.unlock_session(number, LockMode::Exclusive));
    assert!(!other.lock(number, LockMode::Share, Wait::Skip).unwrap());
    assert!(one.unlock_session(number, LockMode::Exclusive));
    assert!(!one.unlock_session(number, LockMode::Exclusive));
    assert!(other.lock(number, LockMode::Share, Wait::Skip).unwrap());
    one.lock_session(number, LockMode::Share, Wait::Block)
        .unwrap();
    drop(one);
    other.end_transaction();
    assert!(manager.list().is_empty());
}

#[test]
fn locks_follow_rows_that_move() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(2));
    one.lock_rows(place(None), &rows([1, 2, 8]), RowMode::Update, Wait::Block)
        .unwrap();
    let waiter = Arc::clone(&other);
    let thread = thread::spawn(move || {
        waiter.lock_rows(place(None), &rows([2, 8, 9]), RowMode::Update, Wait::Block)
    });
    until_waits(&manager, 2);
    // The first five rows became part 7, the others begin anew; row 9 is no more.
    manager.move_rows(place(None), |row| match row {
        0..5 => Some((place(Some(7)), 4 - row)),
        5..9 => Some((place(None), row - 5)),
        _ => None,
    });
    let third = manager.locker(3);
    let busy = |space, row| {
        let gained = third.lock_rows(space, &rows([row]), RowMode::Share, Wait::Skip);
        let busy = !gained.unwrap().skipped.is_empty();
        third.end_transaction();
        busy
    };
    assert!(busy(place(Some(7)), 2) && busy(place(Some(7)), 3) && busy(place(None), 3));
    assert!(!busy(place(None), 2) && !busy(place(None), 8));
    one.end_transaction();
    thread.join().unwrap().unwrap();
    assert!(busy(place(Some(7)), 2) && busy(place(None), 3) && !busy(place(Some(7)), 3));
    other.end_transaction();
    assert!(manager.list().is_empty());
    assert!(!manager.has_rows(place(None)));
}

/// Transfers between accounts in random order, each under two locks: money stays, and whoever
/// fails fails for a deadlock alone.
/// Locks a row on a thread of its own, once it waits; sends its locker when it has it.
fn waiter(manager: &Arc<LockManager>, pid: i32, row: u32) -> thread::JoinHandle<Arc<Locker>> {
    let locker = manager.locker(pid);
    let thread = thread::spawn(move || {
        let mark = locker.mark();
        let wanted = rows([row]);
        locker
            .lock_rows(place(None), &wanted, RowMode::Changed, Wait::Block)
            .unwrap();
        locker.look_again(mark);
        locker
    });
    until_waits(manager, pid);
    thread
}

#[test]
fn a_line_goes_on_to_the_next_version_and_nobody_is_passed_by() {
    let manager = manager();
    let (one, late) = (manager.locker(1), manager.locker(9));
    let free = |row: u32| {
        let wanted = rows([row]);
        let gained = late.lock_rows(place(Some(4)), &wanted, RowMode::Changed, Wait::Skip);
        let free = gained.unwrap().skipped.is_empty();
        late.end_transaction();
        free
    };
    one.lock_rows(place(None), &rows([1, 2]), RowMode::Changed, Wait::Block)
        .unwrap();
    let second = waiter(&manager, 2, 1);
    let third = waiter(&manager, 3, 1);
    manager.follow((place(None), 1), (place(Some(4)), 7));
    assert!(!free(7), "who changes a row has its next version");
    one.end_transaction();
    let second = second.join().unwrap();
    assert!(
        !free(7),
        "what was waited for is kept until it was looked at"
    );
    assert!(!third.is_finished());
    let gained = second.lock_rows(place(Some(4)), &rows([7]), RowMode::Changed, Wait::Block);
    assert!(!gained.unwrap().waited);
    second.let_go();
    assert!(!free(7) && !third.is_finished(), "it was locked again");
    second.end_transaction();
    let third = third.join().unwrap();
    assert!(!free(7));
    third.let_go();
    assert!(free(7), "what was not locked again is free");
}

#[test]
fn who_waits_for_something_else_keeps_nothing() {
    let manager = manager();
    let (one, other) = (manager.locker(1), manager.locker(4));
    one.lock_rows(place(None), &rows([1]), RowMode::Changed, Wait::Block)
        .unwrap();
    other
        .lock_rows(place(None), &rows([2]), RowMode::Changed, Wait::Block)
        .unwrap();
    let second = waiter(&manager, 2, 1);
    one.end_transaction();
    let second = second.join().unwrap();
    let waits = thread::spawn(move || {
        second
            .lock_rows(place(None), &rows([2]), RowMode::Changed, Wait::Block)
            .map(|_| ())
    });
    until_waits(&manager, 2);
    // Kept, this would be a circle.
    other
        .lock_rows(place(None), &rows([1]), RowMode::Changed, Wait::Block)
        .unwrap();
    other.end_transaction();
    waits.join().unwrap().unwrap();
}

#[test]
fn many_at_once_keep_each_other_out() {
    let manager = manager();
    let accounts: Arc<Vec<AtomicU64>> = Arc::new((0..8).map(|_| AtomicU64::new(1000)).collect());
    let threads: Vec<_> = (0..4_u32)
        .map(|seed| {
            let (locker, accounts) = (
                manager.locker(i32::try_from(seed).unwrap() + 1),
                Arc::clone(&accounts),
            );
            thread::spawn(move || {
                let mut state = seed.wrapping_mul(2_654_435_761) | 1;
                let mut next = || {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    state % 8
                };
                let (mut done, mut deadlocks) = (0, 0);
                while done < 300 {
                    let (from, to) = (next(), next());
                    let lock = |row| {
                        locker.lock_rows(place(None), &rows([row]), RowMode::Update, Wait::Block)
                    };
                    match lock(from).and_then(|_| lock(to)) {
                        Ok(_) if from != to => {
                            let (a, b) = (&accounts[from as usize], &accounts[to as usize]);
                            // Not atomic on purpose: the locks make it so.
                            let (x, y) = (a.load(Ordering::Relaxed), b.load(Ordering::Relaxed));
                            thread::yield_now();
                            a.store(x.wrapping_sub(1), Ordering::Relaxed);
                            b.store(y.wrapping_add(1), Ordering::Relaxed);
                            done += 1;
                        }
                        Ok(_) => done += 1,
                        Err(LockError::Deadlock { .. }) => deadlocks += 1,
                        Err(other) => panic!("{other}"),
                    }
                    locker.end_transaction();
                }
                deadlocks
            })
        })
        .collect();
    let deadlocks: u32 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    let sum = accounts.iter().fold(0_u64, |sum, account| {
        sum.wrapping_add(account.load(Ordering::Relaxed))
    });
    assert_eq!(sum, 8000, "after {deadlocks} deadlocks");
    assert!(manager.list().is_empty());
}
