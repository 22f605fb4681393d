//! One record's bytes.

use chronolith_types::Lsn;

/// Bytes before a record's payload.
pub(crate) const HEADER_BYTES: usize = 32;

/// Records begin at multiples of this, so that a search for whole ones need not try every byte.
pub(crate) const ALIGNMENT: usize = 8;

/// The longest payload of one record.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Of everything that follows it in the record.
    pub(crate) crc32c: u32,
    /// Of the payload.
    pub(crate) length: u32,
    /// The record's number.
    pub(crate) lsn: Lsn,
    /// The checksum of the record before, or of the segment's header.
    pub(crate) chain: u32,
    /// The segment's epoch, so that a record of another life is not taken for one of this.
    pub(crate) epoch: u32,
    /// How many records before it are of the same group: all before those were synced when this
    /// one was written.
    pub(crate) behind: u32,
}

impl Header {
    /// The same with the checksum of a payload that is given in parts.
    pub(crate) fn seal(mut self, parts: &[&[u8]]) -> Self {
        self.crc32c = self.checksum(parts);
        self
    }

    /// The first record of its group; all before it are safe.
    pub(crate) fn group_first(&self) -> Lsn {
        Lsn(self.lsn.0.saturating_sub(u64::from(self.behind)))
    }

    fn checksum(&self, parts: &[&[u8]]) -> u32 {
        let bytes = self.encode();
        let mut crc = crc32c::crc32c(bytes.get(4..).unwrap_or_default());
        for part in parts {
            crc = crc32c::crc32c_append(crc, part);
        }
        crc
    }

    /// Whether header and payload are as they were written.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        self.crc32c == self.checksum(&[payload])
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let fields = [
            (0, self.crc32c.to_le_bytes()),
            (4, self.length.to_le_bytes()),
            (16, self.chain.to_le_bytes()),
            (20, self.epoch.to_le_bytes()),
            (24, self.behind.to_le_bytes()),
        ];
        for (at, field) in fields {
            if let Some(place) = bytes.get_mut(at..at + 4) {
                place.copy_from_slice(&field);
            }
        }
        if let Some(place) = bytes.get_mut(8..16) {
            place.copy_from_slice(&self.lsn.0.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| {
            let field = bytes.get(at..at + 4)?;
            Some(u32::from_le_bytes(field.try_into().ok()?))
        };
        Some(Self {
            crc32c: word(0)?,
            length: word(4)?,
            lsn: Lsn(u64::from_le_bytes(bytes.get(8..16)?.try_into().ok()?)),
            chain: word(16)?,
            epoch: word(20)?,
            behind: word(24)?,
        })
    }
}

/// What follows a payload of a length, so that the next record begins where one may.
pub(crate) fn padding(payload: usize) -> &'static [u8] {
    let zeros = &[0; ALIGNMENT];
    let count = stored_bytes(payload) - HEADER_BYTES - payload;
    zeros.get(..count).unwrap_or_default()
}

/// What a record takes in the file: header, payload and padding.
pub(crate) fn stored_bytes(payload: usize) -> usize {
    (HEADER_BYTES + payload).next_multiple_of(ALIGNMENT)
}
