//! The example of `docs/formats/wal.md` is what this program reads and writes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Disk, OpenMode, Platform, RelPath, read_whole};
use chronolith_types::Lsn;

use crate::record::{self, Header};
use crate::segment::{self, SegmentHeader};
use crate::{Log, LogOptions};

/// Two groups: one of two records, of which the second is empty, and one of one record.
const GROUPS: [&[&[u8]]; 2] = [&[b"two of one group", b""], &[b"chronolith"]];

/// The bytes of a fixture: hexadecimal, with comments behind `#`.
fn bytes(fixture: &str) -> Vec<u8> {
    let digits: Vec<u32> = fixture
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().chars())
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).unwrap();
    digits.chunks_exact(2).map(byte).collect()
}

fn v1() -> Vec<u8> {
    bytes(include_str!("../../../fixtures/formats/wal/v1.hex"))
}

fn dir() -> RelPath {
    RelPath::new("wal").unwrap()
}

#[test]
fn the_example_is_read_and_encoded_to_the_same_bytes() {
    let bytes = v1();
    let header = SegmentHeader::decode(&bytes).unwrap();
    assert_eq!(header.version, 1);
    assert_eq!((header.number, header.first), (1, Lsn(1)));
    let mut again = header.encode();
    let mut chain = header.crc32c;
    for (group, behind) in GROUPS.iter().flat_map(|group| group.iter().zip(0..)) {
        let found = Header::decode(&bytes[again.len()..]).unwrap();
        let made = Header {
            length: u32::try_from(group.len()).unwrap(),
            chain,
            behind,
            ..found
        }
        .seal(&[group]);
        assert_eq!(found, made);
        again.extend_from_slice(&made.encode());
        again.extend_from_slice(group);
        again.extend_from_slice(record::padding(group.len()));
        chain = made.crc32c;
    }
    assert_eq!(again, bytes);
}

#[test]
fn a_log_of_version_1_opens() {
    let disk = SimDisk::new(1);
    disk.create_dir(&dir()).unwrap();
    let file = disk.open(&segment::path(&dir(), 1).unwrap(), OpenMode::CreateNew);
    file.unwrap().write_at(&v1(), 0).unwrap();
    let mut found = Vec::new();
    let platform = Platform::simulated(disk, 2);
    let (_, replayed) = Log::open(
        &platform,
        &dir(),
        LogOptions::default(),
        Lsn(0),
        |lsn, payload| {
            found.push((lsn, payload.to_vec()));
            Ok::<(), String>(())
        },
    )
    .unwrap();
    assert_eq!(replayed.cut_bytes, 0);
    let expected = GROUPS.concat();
    let expected = expected.iter().map(|payload| payload.to_vec());
    assert_eq!(found, (1..).map(Lsn).zip(expected).collect::<Vec<_>>());
}

#[test]
fn a_new_log_is_written_as_the_example() {
    let disk = SimDisk::new(1);
    let platform = Platform::simulated(disk.clone(), 7);
    let none = |_, _: &[u8]| Ok::<(), String>(());
    let (mut log, _) = Log::open(&platform, &dir(), LogOptions::default(), Lsn(0), none).unwrap();
    for group in GROUPS {
        for payload in group {
            log.append(payload).unwrap();
        }
        log.sync().unwrap();
    }
    let mut written = read_whole(&disk, &segment::path(&dir(), 1).unwrap()).unwrap();
    let room = written.split_off(v1().len());
    assert!(!room.is_empty() && room.iter().all(|byte| *byte == 0));
    let hex: Vec<String> = written
        .chunks(8)
        .map(|row| row.iter().map(|byte| format!("{byte:02x} ")).collect())
        .collect();
    assert_eq!(written, v1(), "written:\n{}", hex.join("\n"));
}
