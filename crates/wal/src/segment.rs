//! Segment files: their names and their headers.

use std::io;

use chronolith_platform::{PathError, RelPath};
use chronolith_types::Lsn;

/// Bytes before a segment's first record.
pub(crate) const HEADER_BYTES: usize = 40;
const MAGIC: &[u8; 8] = b"CHRONWAL";
/// The format this program writes; it reads this one and all before it.
pub(crate) const VERSION: u32 = 1;

/// The file name of a segment.
pub(crate) fn file_name(number: u64) -> String {
    format!("{number:012}.wal")
}

/// The segment of a file name; None for files that are no segments.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

pub(crate) fn path(dir: &RelPath, number: u64) -> io::Result<RelPath> {
    dir.join(&file_name(number))
        .map_err(|error: PathError| io::Error::other(error))
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) version: u32,
    /// Random, one an open log: a record of another is none of this segment's.
    pub(crate) epoch: u32,
    /// The segment's number, so that a file under a wrong name is noticed.
    pub(crate) number: u64,
    /// Its first record's.
    pub(crate) first: Lsn,
    /// The checksum of the record before.
    pub(crate) chain: u32,
    /// Of all before it; begins the chain of this segment's records.
    pub(crate) crc32c: u32,
}

impl SegmentHeader {
    pub(crate) fn new(epoch: u32, number: u64, first: Lsn, chain: u32) -> Self {
        let mut header = Self {
            version: VERSION,
            epoch,
            number,
            first,
            chain,
            crc32c: 0,
        };
        header.crc32c = crc32c::crc32c(header.encode().get(..36).unwrap_or_default());
        header
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.chain.to_le_bytes());
        bytes.extend_from_slice(&self.crc32c.to_le_bytes());
        bytes
    }

    /// None when the bytes are no header; its version may still be newer than this program's.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..8)? != MAGIC {
            return None;
        }
        let word = |at: usize| {
            let field = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(field.try_into().ok()?))
        };
        let long = |at: usize| {
            let field = bytes.get(at..at + 8)?;
            Some(u64::from_le_bytes(field.try_into().ok()?))
        };
        let header = Self {
            version: word(8)?,
            epoch: word(12)?,
            number: long(16)?,
            first: Lsn(long(24)?),
            chain: word(32)?,
            crc32c: word(36)?,
        };
        (crc32c::crc32c(bytes.get(..36)?) == header.crc32c).then_some(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segments_name_is_read_as_it_is_built() {
        for number in [0, 1, 999_999_999_999, u64::MAX] {
            assert_eq!(parse_file_name(&file_name(number)), Some(number));
        }
        for other in ["1.wal", "000000000001.tmp", "00000000000x.wal", ""] {
            assert_eq!(parse_file_name(other), None);
        }
    }
}
