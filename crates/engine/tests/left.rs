//! What a clean shutdown leaves for the next start: whole or not there, and never older than it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_platform::sim::{Fault, SimDisk};

mod shared;
use shared::open;

const ROUNDS: u8 = 3;

/// Starts and ends cleanly some times, each time with other bytes; how often it did.
fn rounds(disk: &SimDisk) -> (u8, bool) {
    for round in 0..ROUNDS {
        let Ok(engine) = open(disk, 3) else {
            return (round, false);
        };
        let Ok(taken) = engine.take_left() else {
            return (round, false);
        };
        // Long enough to be torn.
        let before = (round > 0).then(|| vec![round; 9000]);
        assert_eq!(taken, before, "round {round}");
        let closed = engine.close().is_ok();
        if !closed || engine.leave(&vec![round + 1; 9000]).is_err() {
            return (round, false);
        }
    }
    (ROUNDS, true)
}

#[test]
fn a_crash_at_any_operation_leaves_what_the_last_shutdown_left_or_nothing() {
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..3 {
        for at in 0.. {
            let disk = SimDisk::new(seed);
            disk.plan(at, Fault::PowerCut);
            let (ended, whole) = rounds(&disk);
            if whole {
                break;
            }
            let disk = disk.crash();
            let engine = open(&disk, seed).unwrap();
            let found = engine.take_left().unwrap();
            match &found {
                // Of the round that ended last, or of the one that was about to.
                Some(bytes) => {
                    kept += 1;
                    assert_eq!(bytes.len(), 9000, "seed {seed}, operation {at}");
                    let of = bytes[0];
                    assert!(bytes.iter().all(|byte| *byte == of));
                    assert!(
                        of == ended || of == ended + 1,
                        "seed {seed}, operation {at}"
                    );
                }
                None => lost += 1,
            }
            // Once taken it is gone, also where the power fails at once.
            drop(engine);
            let engine = open(&disk.crash(), seed).unwrap();
            assert_eq!(
                engine.take_left().unwrap(),
                None,
                "seed {seed}, operation {at}"
            );
        }
    }
    assert!(kept > 10 && lost > 10, "{kept} kept, {lost} lost");
}

#[test]
fn a_failing_disk_is_told_and_loses_nothing_else() {
    let mut failed = 0;
    for at in 0.. {
        let disk = SimDisk::new(5);
        let engine = open(&disk, 5).unwrap();
        engine.close().unwrap();
        disk.plan(disk.operations() + at, Fault::NoSpace);
        if engine.leave(&[7; 9000]).is_ok() {
            break;
        }
        failed += 1;
        drop(engine);
        let engine = open(&disk, 5).unwrap();
        let taken = engine.take_left().unwrap();
        // Where the sync of the name failed, the name may be there all the same; never half a file.
        assert!(
            taken.is_none_or(|bytes| bytes == [7; 9000]),
            "operation {at}"
        );
    }
    assert!(failed > 3, "{failed} failed");
}
