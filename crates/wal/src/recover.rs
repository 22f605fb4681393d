//! Finding what the log holds when it is opened, and making that safe.

use std::collections::BTreeMap;
use std::io;

use chronolith_platform::{Disk, OpenMode, RelPath, read_whole};
use chronolith_types::Lsn;

use crate::error::{Corruption, WalError, corrupt, failed};
use crate::log::Replayed;
use crate::replay::{self, End, Stop};
use crate::segment::{self, SegmentHeader};

/// A place between two records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position {
    /// The record before it.
    pub(crate) last: Lsn,
    /// What the next one's chain must be.
    pub(crate) chain: u32,
}

/// A segment file that there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Its first record.
    pub(crate) first: Lsn,
    /// Its safe length.
    pub(crate) bytes: u64,
}

/// What the segment files hold.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: BTreeMap<u64, Held>,
    pub(crate) position: Position,
    pub(crate) replayed: Replayed,
}

/// Reads all segments in order and gives every record after `from` to `apply`. The newest segment is
/// cut behind its last whole record; all that was read is safe when this returns.
pub(crate) fn recover<E>(
    disk: &dyn Disk,
    dir: &RelPath,
    from: Lsn,
    mut apply: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
) -> Result<Recovered, WalError>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let numbers = numbers(disk, dir)?;
    let mut replayed = Replayed::default();
    let mut segments = BTreeMap::new();
    let mut position: Option<Position> = None;
    let mut previous: Option<u64> = None;
    for &number in &numbers {
        let newest = numbers.last() == Some(&number);
        if previous.is_some_and(|previous| previous.checked_add(1) != Some(number)) {
            return Err(corrupt(number, 0, Corruption::MissingSegment));
        }
        previous = Some(number);
        let path = segment::path(dir, number).map_err(failed("open", number))?;
        let bytes = read_whole(disk, &path).map_err(failed("read", number))?;
        let Some(header) = SegmentHeader::decode(&bytes) else {
            // A segment gets records only after its header is safe, and is begun only when the
            // one before it is: a newest one that is torn is one that never was.
            if newest && bytes.len() <= segment::HEADER_BYTES {
                replayed.bytes += bytes.len() as u64;
                replayed.cut_bytes += bytes.len() as u64;
                disk.remove(&path).map_err(failed("remove", number))?;
                disk.sync_dir(dir).map_err(failed("remove", number))?;
                break;
            }
            return Err(corrupt(number, 0, Corruption::BadHeader));
        };
        check_header(&header, number, from, position)?;
        let end = replay::read(&bytes, &header, |lsn, payload| {
            if lsn <= from {
                return Ok(());
            }
            replayed.records += 1;
            apply(lsn, payload).map_err(|error| WalError::Apply {
                lsn,
                source: error.into(),
            })
        })?;
        replayed.bytes += end.good_bytes as u64;
        match end.stop {
            Some(Stop::Damaged(reason)) => {
                return Err(corrupt(number, end.good_bytes as u64, reason));
            }
            Some(Stop::Torn) if !newest => {
                let reason = Corruption::BadChecksum;
                return Err(corrupt(number, end.good_bytes as u64, reason));
            }
            Some(Stop::Torn) => {
                let cut = bytes.len().saturating_sub(end.good_bytes) as u64;
                replayed.bytes += cut;
                replayed.cut_bytes += cut;
            }
            None => {}
        }
        if newest {
            make_safe(disk, &path, &bytes, &end).map_err(failed("sync", number))?;
        }
        let held = Held {
            first: header.first,
            bytes: end.good_bytes as u64,
        };
        segments.insert(number, held);
        position = Some(Position {
            last: end.last,
            chain: end.chain,
        });
    }
    let position = match position {
        // There was a log, and with it records that the caller's state builds on: a part of it, or
        // all of it, is gone.
        Some(found) if found.last < from => None,
        None if from > Lsn(0) => None,
        Some(found) => Some(found),
        None => Some(Position {
            last: from,
            chain: 0,
        }),
    };
    let newest = numbers.last().copied().unwrap_or_default();
    Ok(Recovered {
        segments,
        position: position.ok_or_else(|| corrupt(newest, 0, Corruption::MissingSegment))?,
        replayed,
    })
}

fn numbers(disk: &dyn Disk, dir: &RelPath) -> Result<Vec<u64>, WalError> {
    let names = disk.list(dir).map_err(failed("list", 0))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment::parse_file_name(name))
        .collect();
    // Names sort as numbers do only while they have the same count of digits.
    numbers.sort_unstable();
    Ok(numbers)
}

fn check_header(
    header: &SegmentHeader,
    number: u64,
    from: Lsn,
    before: Option<Position>,
) -> Result<(), WalError> {
    if header.version > segment::VERSION {
        return Err(corrupt(number, 8, Corruption::NewerFormat));
    }
    if header.number != number {
        return Err(corrupt(number, 16, Corruption::BadHeader));
    }
    let follows = |before: Position| {
        before.last.0.checked_add(1) == Some(header.first.0) && header.chain == before.chain
    };
    match before {
        None if header.first.0 > from.0.saturating_add(1) => {
            Err(corrupt(number, 24, Corruption::MissingSegment))
        }
        Some(before) if !follows(before) => Err(corrupt(number, 24, Corruption::BrokenChain)),
        _ => Ok(()),
    }
}

/// Cuts the newest segment behind its last whole record, and writes its last group once more.
///
/// What a file shows need not be on the disk: a killed process leaves pages that the kernel has yet
/// to write, and a failed sync leaves pages that it takes for written and will not write again. All
/// groups but the last were synced before the next was begun. The last is written anew, the same
/// bytes in the same place, so that no record follows one that a power cut could still take.
fn make_safe(disk: &dyn Disk, path: &RelPath, bytes: &[u8], end: &End) -> io::Result<()> {
    let file = disk.open(path, OpenMode::ReadWrite)?;
    if bytes.len() > end.good_bytes {
        file.set_len(end.good_bytes as u64)?;
    }
    let group = bytes.get(end.group..end.good_bytes).unwrap_or_default();
    file.write_at(group, end.group as u64)?;
    file.sync()
}
