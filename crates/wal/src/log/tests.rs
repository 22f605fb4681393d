#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_platform::Platform;
use chronolith_platform::sim::{Fault, SimDisk};

use super::*;

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

/// The example of `docs/formats/wal.md`: a segment with two records, as bytes.
fn example() -> Vec<u8> {
    include_str!("../../../../fixtures/formats/wal/v1.hex")
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

#[test]
fn the_documented_bytes_are_read_and_written_again() {
    let disk = SimDisk::new(21);
    let (mut log, _) = open(&disk, 21).unwrap();
    log.append(b"one").unwrap();
    log.append(b"two is longer").unwrap();
    log.sync().unwrap();
    drop(log);
    let path = segment::path(&dir(), 1).unwrap();
    let written = read_whole(&disk, &path).unwrap();
    let hex: Vec<String> = written.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(written, example(), "{}", hex.join(" "));
    let (_, found) = open(&disk.restart(), 22).unwrap();
    assert_eq!(
        found,
        vec![(1, b"one".to_vec()), (2, b"two is longer".to_vec())]
    );
}
