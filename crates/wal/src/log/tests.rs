#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_platform::{Platform, Random, SimRandom, read_whole};

use super::*;
use crate::error::Corruption;

fn dir() -> RelPath {
    RelPath::new("wal").unwrap()
}

fn small() -> LogOptions {
    LogOptions {
        segment_bytes_max: 600,
    }
}

type Found = Vec<(u64, Vec<u8>)>;

fn open(disk: &SimDisk, seed: u64) -> Result<(Log, Found), WalError> {
    open_from(disk, seed, 0)
}

fn open_from(disk: &SimDisk, seed: u64, from: u64) -> Result<(Log, Found), WalError> {
    let mut found = Vec::new();
    let platform = Platform::simulated(disk.clone(), seed);
    let (log, _) = Log::open(&platform, &dir(), small(), Lsn(from), |lsn, payload| {
        found.push((lsn.0, payload.to_vec()));
        Ok::<(), String>(())
    })?;
    Ok((log, found))
}

/// What record `n` holds: lengths from nothing to several sectors.
fn payload(n: u64) -> Vec<u8> {
    let length = usize::try_from(n * 37 % 700).unwrap();
    vec![u8::try_from(n % 251).unwrap(); length]
}

/// Writes groups of one to three records; gives the last acknowledged one.
fn write(log: &mut Log, records: u64) -> (u64, Result<(), WalError>) {
    let mut acknowledged = log.durable_lsn().0;
    let last = acknowledged + records;
    let mut next = acknowledged + 1;
    while next <= last {
        for _ in 0..=(next % 3) {
            match log.append(&payload(next)) {
                Ok(lsn) => assert_eq!(lsn.0, next),
                Err(error) => return (acknowledged, Err(error)),
            }
            next += 1;
        }
        match log.sync() {
            Ok(lsn) => acknowledged = lsn.0,
            Err(error) => return (acknowledged, Err(error)),
        }
    }
    (acknowledged, Ok(()))
}

fn assert_prefix(found: &Found, least: u64) {
    assert!(found.len() as u64 >= least, "{} of {least}", found.len());
    for (index, (lsn, bytes)) in found.iter().enumerate() {
        assert_eq!(*lsn, index as u64 + 1);
        assert_eq!(*bytes, payload(*lsn), "record {lsn}");
    }
}

#[test]
fn records_come_back_in_order_over_many_segments() {
    let disk = SimDisk::new(1);
    let (mut log, found) = open(&disk, 1).unwrap();
    assert!(found.is_empty());
    let (acknowledged, outcome) = write(&mut log, 60);
    outcome.unwrap();
    assert!(log.segments.len() > 5);
    drop(log);
    let (_, found) = open(&disk.restart(), 2).unwrap();
    assert_eq!(found.len() as u64, acknowledged);
    assert_prefix(&found, acknowledged);
}

#[test]
fn a_crash_at_any_operation_loses_no_acknowledged_record() {
    for seed in 0..40 {
        for at in 0.. {
            let disk = SimDisk::new(seed);
            disk.plan(at, Fault::PowerCut);
            let acknowledged = match open(&disk, seed) {
                Ok((mut log, _)) => match write(&mut log, 12) {
                    (_, Ok(())) => break,
                    (acknowledged, Err(_)) => acknowledged,
                },
                Err(_) => 0,
            };
            let mut disk = disk.crash();
            // Crash the recovery too, at each of its own first operations.
            for again in 0..6 {
                let attempt = disk.fork();
                attempt.plan(again, Fault::PowerCut);
                if open(&attempt, seed + 7).is_err() {
                    disk = attempt.crash();
                }
            }
            let (mut log, found) = open(&disk, seed + 1).unwrap();
            assert_prefix(&found, acknowledged);
            let before = found.len() as u64;
            let (acknowledged, outcome) = write(&mut log, 3);
            outcome.unwrap();
            assert!(acknowledged >= before + 3);
            let (_, found) = open(&disk.restart(), seed + 2).unwrap();
            assert_prefix(&found, acknowledged);
        }
    }
}

#[test]
fn a_failed_sync_poisons_and_is_never_retried() {
    let mut hit = 0;
    for at in 0..60 {
        let disk = SimDisk::new(3);
        let Ok((mut log, _)) = open(&disk, 3) else {
            continue;
        };
        disk.plan(disk.operations() + at, Fault::Io);
        let (acknowledged, outcome) = write(&mut log, 20);
        if outcome.is_err() {
            hit += 1;
            assert!(log.poisoned());
            let before = disk.operations();
            assert!(matches!(log.append(b"x"), Err(WalError::Poisoned)));
            assert!(matches!(log.sync(), Err(WalError::Poisoned)));
            assert_eq!(disk.operations(), before, "a poisoned log touches nothing");
            let (_, found) = open(&disk.crash(), 4).unwrap();
            assert_prefix(&found, acknowledged);
        }
    }
    assert!(hit > 20);
}

#[test]
fn a_full_disk_refuses_the_group_and_the_log_goes_on() {
    let mut refused = 0;
    for at in 0..40 {
        let disk = SimDisk::new(5);
        let (mut log, _) = open(&disk, 5).unwrap();
        disk.plan(disk.operations() + at, Fault::NoSpace);
        let (acknowledged, outcome) = write(&mut log, 20);
        if let Err(WalError::NoSpace { .. }) = outcome {
            refused += 1;
            assert_eq!(log.durable_lsn().0, acknowledged);
            let (after, outcome) = write(&mut log, 3);
            outcome.unwrap();
            let (_, found) = open(&disk.crash(), 6).unwrap();
            assert_prefix(&found, after);
        }
    }
    assert!(refused > 5);
}

#[test]
fn a_flipped_bit_is_refused_or_cuts_only_the_last_group() {
    let disk = SimDisk::new(8);
    let (mut log, _) = open(&disk, 8).unwrap();
    let (acknowledged, outcome) = write(&mut log, 30);
    outcome.unwrap();
    let numbers: Vec<u64> = log.segments.keys().copied().collect();
    let newest = *numbers.last().unwrap();
    for number in numbers {
        let path = segment::path(&dir(), number).unwrap();
        let length = read_whole(&disk, &path).unwrap().len();
        for offset in (0..length).step_by(13) {
            let damaged = disk.fork();
            damaged.flip_bit(&path, offset, 3).unwrap();
            match open(&damaged, 9) {
                Err(WalError::Corrupt { segment, .. }) => assert_eq!(segment, number),
                Err(other) => panic!("{other}"),
                Ok((_, found)) => {
                    for (lsn, bytes) in &found {
                        assert_eq!(*bytes, payload(*lsn), "a wrong record came back");
                    }
                    // Padding is nobody's; only the newest segment's last group can pass for torn.
                    assert!(
                        found.len() as u64 == acknowledged || number == newest,
                        "segment {number} offset {offset} lost records in silence"
                    );
                }
            }
        }
    }
}

#[test]
fn cutting_keeps_all_records_after_the_given_one() {
    let disk = SimDisk::new(11);
    let (mut log, _) = open(&disk, 11).unwrap();
    let (acknowledged, outcome) = write(&mut log, 40);
    outcome.unwrap();
    log.cut_before(Lsn(25)).unwrap();
    assert!(log.first_lsn().0 > 1 && log.first_lsn().0 <= 26);
    drop(log);
    let (_, found) = open_from(&disk.restart(), 12, 25).unwrap();
    assert_eq!(found.first().unwrap().0, 26);
    assert_eq!(found.last().unwrap().0, acknowledged);
    // Without the state that the cut records made, the log is not enough.
    assert!(matches!(
        open_from(&disk.restart(), 13, 2),
        Err(WalError::Corrupt {
            reason: Corruption::MissingSegment,
            ..
        })
    ));
}

/// A life after a death that took nothing from the files: what it acknowledges must survive a power
/// cut at any of its operations.
fn survives_the_next_power_cut(disk: &SimDisk, seed: u64, least: u64) {
    for at in 0.. {
        let disk = disk.fork();
        disk.plan(at, Fault::PowerCut);
        let (acknowledged, cut) = match open(&disk, seed) {
            Ok((mut log, found)) => {
                assert_prefix(&found, least);
                let (acknowledged, outcome) = write(&mut log, 4);
                (acknowledged, outcome.is_err())
            }
            Err(_) => (least, true),
        };
        let (_, found) = open(&disk.crash(), seed + 1).unwrap();
        assert_prefix(&found, acknowledged);
        if !cut {
            break;
        }
    }
}

#[test]
fn what_a_killed_process_left_unsynced_is_made_safe_before_it_is_built_on() {
    for seed in 0..20 {
        for at in 0..40 {
            let disk = SimDisk::new(seed);
            // The process dies there; the machine goes on.
            disk.plan(at, Fault::PowerCut);
            let acknowledged = match open(&disk, seed) {
                Ok((mut log, _)) => write(&mut log, 12).0,
                Err(_) => 0,
            };
            survives_the_next_power_cut(&disk.restart(), seed, acknowledged);
        }
    }
}

#[test]
fn what_a_failed_sync_dropped_but_still_shows_is_never_built_on() {
    for seed in 0..20 {
        for at in 0..40 {
            let disk = SimDisk::new(seed);
            disk.plan(at, Fault::Io);
            let acknowledged = match open(&disk, seed) {
                Ok((mut log, _)) => write(&mut log, 12).0,
                Err(_) => 0,
            };
            survives_the_next_power_cut(&disk.restart(), seed, acknowledged);
        }
    }
}

#[test]
fn thousands_of_random_lives_lose_nothing_acknowledged() {
    for seed in 0..2500 {
        let chance = SimRandom::new(seed);
        let mut disk = SimDisk::new(seed);
        let mut least = 0;
        for life in 0..4 {
            let fault = match chance.below(5) {
                0 | 1 => Fault::PowerCut,
                2 => Fault::Io,
                3 => Fault::NoSpace,
                // A second fault in one life.
                _ => {
                    disk.plan(disk.operations() + chance.below(20), Fault::NoSpace);
                    Fault::Io
                }
            };
            disk.plan(disk.operations() + chance.below(30), fault);
            if let Ok((mut log, found)) = open(&disk, chance.next_u64()) {
                assert_prefix(&found, least);
                for _ in 0..chance.below(6) {
                    let records = chance.below(5);
                    least = write(&mut log, records).0;
                }
            }
            disk = if chance.one_in(2) {
                disk.crash()
            } else {
                disk.restart()
            };
            let (_, found) = open(&disk, seed + life)
                .unwrap_or_else(|error| panic!("seed {seed} life {life}: {error}"));
            assert!(found.len() as u64 >= least, "seed {seed} life {life}");
            assert_prefix(&found, least);
            least = found.len() as u64;
        }
    }
}

#[test]
fn an_emptied_directory_is_no_new_log() {
    let disk = SimDisk::new(1);
    assert!(matches!(
        open_from(&disk, 1, 7),
        Err(WalError::Corrupt {
            reason: Corruption::MissingSegment,
            ..
        })
    ));
}

#[test]
fn the_bytes_since_a_record_are_those_of_the_segments_that_replay_reads() {
    let disk = SimDisk::new(11);
    let (mut log, _) = open(&disk, 11).unwrap();
    let (last, outcome) = write(&mut log, 40);
    outcome.unwrap();
    let all: u64 = log.segments.values().map(|held| held.bytes).sum();
    assert_eq!(log.size_bytes_since(Lsn(0)), all);
    assert!(log.size_bytes_since(Lsn(20)) < all);
    let newest = log.segments.values().next_back().unwrap();
    assert!(log.size_bytes_since(Lsn(last)) <= newest.bytes.max(2 * 600));
}
