//! Reading a segment back, and telling a torn tail from damage.

#![warn(clippy::indexing_slicing)]

use chronolith_types::Lsn;

use crate::error::Corruption;
use crate::record::{self, Header};
use crate::segment::{self, SegmentHeader};

/// How reading a segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Bytes up to the end of the last whole record.
    pub(crate) good_bytes: usize,
    /// Where the last group of whole records begins; the segment's start while there is none. All
    /// before it was synced before the group was written.
    pub(crate) group: usize,
    /// The last whole record, or the one before the segment.
    pub(crate) last: Lsn,
    /// Its checksum: the chain goes on from it.
    pub(crate) chain: u32,
    /// What stopped the reading before the end of the file, or of all but zeros.
    pub(crate) stop: Option<Stop>,
}

/// Why a segment was not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Nothing behind it was ever known to be safe.
    Torn,
    /// It was safe once.
    Damaged(Corruption),
}

/// Reads records from a segment's bytes, behind its header, giving each to `apply`.
pub(crate) fn read<E>(
    bytes: &[u8],
    segment: &SegmentHeader,
    mut apply: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
) -> Result<End, E> {
    let epoch = segment.epoch;
    let mut end = End {
        good_bytes: segment::HEADER_BYTES,
        group: 0,
        last: Lsn(segment.first.0.saturating_sub(1)),
        chain: segment.crc32c,
        stop: None,
    };
    loop {
        let rest = bytes.get(end.good_bytes..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(end);
        }
        let expected = Lsn(end.last.0.saturating_add(1));
        match whole(rest, epoch) {
            Some((header, payload)) if header.lsn == expected && header.chain == end.chain => {
                apply(header.lsn, payload)?;
                if header.behind == 0 {
                    end.group = end.good_bytes;
                }
                end.good_bytes += record::stored_bytes(payload.len());
                end.good_bytes = end.good_bytes.min(bytes.len());
                end.last = header.lsn;
                end.chain = header.crc32c;
            }
            Some(_) => {
                end.stop = Some(Stop::Damaged(Corruption::BrokenChain));
                return Ok(end);
            }
            // Room that no group has used.
            None if rest.iter().all(|byte| *byte == 0) => return Ok(end),
            None => {
                end.stop = Some(if was_safe(rest, epoch, expected) {
                    Stop::Damaged(Corruption::BadChecksum)
                } else {
                    Stop::Torn
                });
                return Ok(end);
            }
        }
    }
}

/// The whole record at the start of some bytes.
fn whole(bytes: &[u8], epoch: u32) -> Option<(Header, &[u8])> {
    let header = Header::decode(bytes)?;
    if header.epoch != epoch {
        return None;
    }
    let length = usize::try_from(header.length).ok()?;
    if length > record::PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = bytes.get(record::HEADER_BYTES..record::HEADER_BYTES + length)?;
    header.matches(payload).then_some((header, payload))
}

/// Whether a whole record behind the damage says that the damaged one, `lsn`, had been synced.
///
/// A group of records is written before it is synced, so a crash may keep a later one and lose an
/// earlier; only a record of a later group proves that the earlier was safe.
fn was_safe(rest: &[u8], epoch: u32, lsn: Lsn) -> bool {
    let mut at = record::ALIGNMENT;
    while let Some(bytes) = rest.get(at..) {
        if let Some(header) = Header::decode(bytes) {
            if header.epoch == epoch
                && header.lsn > lsn
                && header.group_first() > lsn
                && whole(bytes, epoch).is_some()
            {
                return true;
            }
        } else {
            return false;
        }
        at += record::ALIGNMENT;
    }
    false
}
