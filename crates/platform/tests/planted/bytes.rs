//! The small store's bytes.

use crate::store::{Bug, Row};

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let field = bytes.get(at..at + 4)?;
    Some(u32::from_le_bytes(field.try_into().ok()?))
}

/// What there is: the log that is written, the file that the next one will use, and the parts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifest {
    pub(crate) log: u32,
    pub(crate) spare: Option<u32>,
    pub(crate) parts: Vec<u32>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut words = vec![self.log, self.spare.map_or(0, |spare| spare + 1)];
        words.extend_from_slice(&self.parts);
        sealed(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let body = unsealed(bytes, true)?;
        Some(Self {
            log: word(body, 0)?,
            spare: word(body, 4)?.checked_sub(1),
            parts: (8..body.len())
                .step_by(4)
                .map(|at| word(body, at))
                .collect::<Option<_>>()?,
        })
    }

    /// Whether a file of this name belongs to the store.
    pub(crate) fn names(&self, name: &str) -> bool {
        let number = |prefix| name.strip_prefix(prefix)?.parse().ok();
        name == "manifest"
            || number("log-").is_some_and(|log| log == self.log || Some(log) == self.spare)
            || number("part-").is_some_and(|part| self.parts.contains(&part))
    }
}

/// Bytes with their checksum in front.
fn sealed(body: Vec<u8>) -> Vec<u8> {
    let mut bytes = crc32c::crc32c(&body).to_le_bytes().to_vec();
    bytes.extend(body);
    bytes
}

fn unsealed(bytes: &[u8], check: bool) -> Option<&[u8]> {
    let body = bytes.get(4..)?;
    (!check || word(bytes, 0) == Some(crc32c::crc32c(body))).then_some(body)
}

pub(crate) fn encode_part(rows: &[Row]) -> Vec<u8> {
    let mut body = Vec::new();
    for (transaction, value) in rows {
        body.extend(transaction.to_le_bytes());
        body.extend(value.to_le_bytes());
    }
    sealed(body)
}

pub(crate) fn decode_part(bytes: &[u8], check: bool) -> Option<Vec<Row>> {
    let body = unsealed(bytes, check)?;
    let rows = body.chunks_exact(12).map(|row| {
        let value = row.get(4..)?.try_into().ok()?;
        Some((word(row, 0)?, u64::from_le_bytes(value)))
    });
    rows.collect()
}

/// A row of a transaction, or its commit.
///
/// `checksum | length | epoch | transaction | kind | what the kind says`, where a row's value stands
/// at the very end of a record, perhaps in another sector than its head.
pub(crate) struct Record {
    pub(crate) epoch: u32,
    pub(crate) transaction: u32,
    kind: Kind,
}

enum Kind {
    Row(u64),
    Commit { rows: u32 },
}

const HEAD_BYTES: usize = 20;

fn checksum(body: &[u8], bug: Option<Bug>) -> u32 {
    match bug {
        Some(Bug::NoRecordChecksum) => 0,
        Some(Bug::LengthTrusted) => crc32c::crc32c(body.get(..HEAD_BYTES - 4).unwrap_or_default()),
        _ => crc32c::crc32c(body),
    }
}

impl Record {
    pub(crate) fn row(epoch: u32, (transaction, value): Row) -> Self {
        Self {
            epoch,
            transaction,
            kind: Kind::Row(value),
        }
    }

    pub(crate) fn commit(epoch: u32, transaction: u32, rows: usize) -> Self {
        let rows = u32::try_from(rows).expect("few rows");
        Self {
            epoch,
            transaction,
            kind: Kind::Commit { rows },
        }
    }

    pub(crate) fn row_value(&self) -> Option<u64> {
        match self.kind {
            Kind::Row(value) => Some(value),
            Kind::Commit { .. } => None,
        }
    }

    /// Whether this is the commit of just these rows.
    pub(crate) fn counts(&self, open: &[Row]) -> bool {
        matches!(self.kind, Kind::Commit { rows } if rows as usize == open.len())
            && open.iter().all(|(of, _)| *of == self.transaction)
    }

    pub(crate) fn encode(&self, bug: Option<Bug>, to: &mut Vec<u8>) {
        let (kind, tail) = match self.kind {
            Kind::Row(value) => {
                // Few lengths, so that records of one life often end where those of another do.
                let padding = usize::try_from(value % 3 * 200).expect("small");
                let mut tail = vec![0xee; padding];
                tail.extend(value.to_le_bytes());
                (1u32, tail)
            }
            Kind::Commit { rows } => (2, rows.to_le_bytes().to_vec()),
        };
        let length = u32::try_from(HEAD_BYTES + tail.len()).expect("small");
        let mut body = Vec::new();
        for word in [length, self.epoch, self.transaction, kind] {
            body.extend(word.to_le_bytes());
        }
        body.extend(tail);
        to.extend(checksum(&body, bug).to_le_bytes());
        to.extend(body);
    }

    pub(crate) fn decode(bytes: &[u8], bug: Option<Bug>) -> Option<(Self, usize)> {
        let length = word(bytes, 4)? as usize;
        if length < HEAD_BYTES {
            return None;
        }
        let body = bytes.get(4..length)?;
        if word(bytes, 0)? != checksum(body, bug) {
            return None;
        }
        let kind = match word(bytes, 16)? {
            1 => {
                let value = bytes.get(length.checked_sub(8)?..length)?;
                Kind::Row(u64::from_le_bytes(value.try_into().ok()?))
            }
            2 => Kind::Commit {
                rows: word(bytes, HEAD_BYTES)?,
            },
            _ => return None,
        };
        let record = Self {
            epoch: word(bytes, 8)?,
            transaction: word(bytes, 12)?,
            kind,
        };
        Some((record, length))
    }
}
