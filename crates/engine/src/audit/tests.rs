#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_platform::{OpenMode, Platform, RelPath, read_whole};

use super::verify::check;
use super::*;

fn record(text: &str) -> AuditRecord<'_> {
    AuditRecord {
        kind: AuditKind::Ddl,
        user: "anna",
        database: "market",
        client: Some("127.0.0.1:5000"),
        pid: Some(7),
        outcome: "ok",
        action: "CREATE TABLE",
        text,
    }
}

fn file() -> RelPath {
    RelPath::new(FILE).unwrap()
}

/// A log of five records, as bytes.
fn five() -> Vec<u8> {
    let platform = Platform::simulated(SimDisk::new(1), 1);
    let log = AuditLog::open(platform.clone()).unwrap();
    for text in ["a", "b \"quoted\"", "c\nd", "é", "e"] {
        log.write(&record(text)).unwrap();
    }
    read_whole(&*platform.disk, &file()).unwrap()
}

fn broken(bytes: &[u8]) -> (u64, String) {
    match check(bytes, None).problem.unwrap() {
        AuditProblem::Broken { record, reason, .. } => (record, reason),
        other => panic!("{other}"),
    }
}

#[test]
fn a_log_that_nobody_touched_holds_and_is_read_back() {
    let platform = Platform::simulated(SimDisk::new(1), 1);
    let log = AuditLog::open(platform.clone()).unwrap();
    assert_eq!(log.lines().unwrap(), Vec::<String>::new());
    log.write(&record("first")).unwrap();
    drop(log);
    let log = AuditLog::open(platform.clone()).unwrap();
    log.write(&record("second")).unwrap();
    let lines = log.lines().unwrap();
    assert_eq!(lines.len(), 2);
    let fields: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
    assert_eq!(fields["number"], 2);
    assert_eq!(fields["text"], "second");
    assert_eq!(fields["kind"], "ddl");
    let report = AuditLog::verify(&platform, None).unwrap();
    assert_eq!((report.records, report.problem), (2, None));
    assert_eq!(Some(report.head.as_str()), fields["hash"].as_str());
}

#[test]
fn a_byte_that_was_changed_names_its_record() {
    let whole = five();
    assert_eq!(check(&whole, None).records, 5);
    let mut line = 1;
    for place in 0..whole.len() {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        if whole[place] == b'\n' {
            line += 1;
            continue;
        }
        if changed[place] == b'\n' {
            continue;
        }
        assert_eq!(broken(&changed).0, line, "at {place}");
    }
}

#[test]
fn records_that_were_taken_out_put_in_or_swapped_are_found() {
    let whole = five();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let without: Vec<u8> = [lines[0], lines[1], lines[3], lines[4]].concat();
    assert_eq!(broken(&without).0, 3);
    let swapped: Vec<u8> = [lines[0], lines[2], lines[1], lines[3]].concat();
    assert_eq!(broken(&swapped).0, 2);
    let twice: Vec<u8> = [lines[0], lines[1], lines[1], lines[2]].concat();
    assert_eq!(broken(&twice).0, 3);
    // Even where the hashes of the new line are right.
    let other = five();
    let (forged, _) = super::record::line(3, 0, &[9; 32], &record("forged"));
    let mut forged = forged.into_bytes();
    forged.push(b'\n');
    let put: Vec<u8> = [lines[0], lines[1], &forged, lines[3], lines[4]].concat();
    assert_eq!(broken(&put).0, 3);
    assert_eq!(check(&other, None).problem, None);
    // What follows a line that was made anew with its right hash no longer does.
    let second = super::record::link(lines[0].strip_suffix(b"\n").unwrap()).unwrap();
    let (anew, _) = super::record::line(2, 0, &second.hash, &record("anew"));
    let anew = [anew.as_bytes(), b"\n"].concat();
    let made: Vec<u8> = [lines[0], &anew, lines[2], lines[3]].concat();
    assert_eq!(broken(&made).0, 3);
}

#[test]
fn a_torn_end_is_told_from_what_somebody_changed() {
    let whole = five();
    for end in whole.len() - 40..whole.len() {
        let problem = check(&whole[..end], None).problem.unwrap();
        assert!(
            matches!(problem, AuditProblem::Torn { record: 5, .. }),
            "{problem}"
        );
    }
    let mut holed = whole.clone();
    let length = holed.len();
    holed[length - 30..length - 10].fill(0);
    let problem = check(&holed, None).problem.unwrap();
    assert!(
        matches!(problem, AuditProblem::Torn { record: 5, .. }),
        "{problem}"
    );
    // A hole with records behind it is none that a crash leaves.
    let mut inside = whole;
    inside[30..40].fill(0);
    assert_eq!(broken(&inside).0, 1);
}

/// The power goes at every write and every sync: what was written and told is there, the chain
/// holds, and it goes on.
#[test]
fn every_crash_leaves_all_that_was_told_and_a_chain_that_holds() {
    let mut torn = 0;
    for seed in 0..20 {
        for cut in 0..24 {
            let disk = SimDisk::new(seed);
            disk.plan(cut, Fault::PowerCut);
            let platform = Platform::simulated(disk.clone(), seed);
            let mut told = 0_u64;
            if let Ok(log) = AuditLog::open(platform) {
                for number in 0..8 {
                    let text = format!("statement {number} ").repeat(200);
                    match log.write(&record(&text)) {
                        Ok(()) => told += 1,
                        Err(_) => break,
                    }
                }
            }
            let disk = disk.crash();
            let platform = Platform::simulated(disk, seed + 1);
            let found = AuditLog::verify(&platform, None).unwrap();
            assert!(
                found.records >= told,
                "seed {seed}, cut at {cut}: {found:?}"
            );
            match &found.problem {
                None => {}
                Some(AuditProblem::Torn { .. }) => torn += 1,
                Some(other) => panic!("seed {seed}, cut at {cut}: {other}"),
            }
            let log = AuditLog::open(platform.clone()).unwrap();
            log.write(&record("after")).unwrap();
            let after = AuditLog::verify(&platform, None).unwrap();
            assert_eq!(after.problem, None, "seed {seed}, cut at {cut}");
            let lines = log.lines().unwrap();
            assert!(lines.last().unwrap().contains("\"after\""));
            let recovered = lines.iter().any(|line| line.contains("\"recovery\""));
            assert_eq!(recovered, found.problem.is_some());
        }
    }
    assert!(torn > 10, "only {torn} torn ends were met");
}

#[test]
fn a_disk_that_fails_ends_the_log_and_a_full_one_does_not() {
    let disk = SimDisk::new(3);
    let platform = Platform::simulated(disk.clone(), 3);
    let log = AuditLog::open(platform.clone()).unwrap();
    log.write(&record("first")).unwrap();
    disk.plan(disk.operations(), Fault::NoSpace);
    let full = log.write(&record("does not fit")).unwrap_err();
    assert_eq!(full.sqlstate().as_str(), "53100");
    log.write(&record("fits")).unwrap();
    disk.plan(disk.operations() + 1, Fault::Io);
    let failed = log.write(&record("not synced")).unwrap_err();
    assert_eq!(failed.sqlstate().as_str(), "58030");
    assert!(log.write(&record("refused")).is_err());
    drop(log);
    let log = AuditLog::open(platform.clone()).unwrap();
    log.write(&record("again")).unwrap();
    assert_eq!(AuditLog::verify(&platform, None).unwrap().problem, None);
}

/// The example of `docs/formats/audit.md` is what is written.
#[test]
fn the_fixture_is_what_is_written() {
    let fixture = include_str!("../../../../fixtures/formats/audit/v1.log");
    let report = check(fixture.as_bytes(), None);
    assert_eq!((report.records, report.problem), (2, None));
    let platform = Platform::simulated(SimDisk::new(1), 1);
    let log = AuditLog::open(platform.clone()).unwrap();
    log.write(&AuditRecord {
        kind: AuditKind::Login,
        action: "connect",
        text: "",
        ..record("")
    })
    .unwrap();
    log.write(&AuditRecord {
        kind: AuditKind::Grant,
        action: "CREATE ROLE",
        text: "CREATE ROLE bert LOGIN PASSWORD '********'",
        ..record("")
    })
    .unwrap();
    let written = read_whole(&*platform.disk, &file()).unwrap();
    assert_eq!(String::from_utf8(written).unwrap(), fixture);
    drop(platform.disk.open(&file(), OpenMode::Read).unwrap());
}
