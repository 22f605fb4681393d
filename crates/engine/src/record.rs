//! A transaction as the log carries it: its changes as JSON, its rows as Arrow IPC streams.
//!
//! `length of the head (4, little-endian) | head | streams, one after another`. The head names each
//! stream's table, chunk and length.

use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, RowBits};
use chronolith_types::{ChunkId, DatabaseId, TableId};
use serde::{Deserialize, Serialize};

use crate::error::EngineError;
use crate::streams::Streams;

/// Whose rows they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) database: DatabaseId,
    pub(crate) table: TableId,
    pub(crate) chunk: ChunkId,
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TableKey {
    pub(crate) database: DatabaseId,
    pub(crate) table: TableId,
}

impl Place {
    pub(crate) fn table_key(self) -> TableKey {
        TableKey::new(self.database, self.table)
    }
}

/// What a transaction does.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) changes: Vec<Change>,
    pub(crate) rows: Vec<(Place, Vec<RecordBatch>)>,
    /// Hot rows that are deleted, by their places in their chunk's memory before `rows` come.
    pub(crate) deleted: Vec<(Place, RowBits)>,
    /// Hot rows that have become cold parts: how many go from the start of each chunk.
    pub(crate) flushed: Vec<(Place, usize)>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    #[serde(default)]
    changes: Vec<Change>,
    #[serde(default)]
    rows: Vec<(Place, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<(Place, RowBits)>,
    #[serde(default)]
    flushed: Vec<(Place, usize)>,
}

impl Head {
    /// A head that has rows and deleted rows alone, written as serde writes it: most commits have
    /// nothing else, and it takes a part of the time.
    fn of_rows(&self) -> Result<Vec<u8>, EngineError> {
        let mut text = Vec::with_capacity(256);
        let put = |text: &mut Vec<u8>, first: bool, place: &Place| {
            if !first {
                text.push(b',');
            }
            put_number(text, b"[{\"database\":", u64::from(place.database.0));
            put_number(text, b",\"table\":", u64::from(place.table.0));
            text.extend_from_slice(b",\"chunk\":");
            if place.chunk.0 < 0 {
                text.push(b'-');
            }
            put_number(text, b"", u64::from(place.chunk.0.unsigned_abs()));
        };
        text.extend_from_slice(b"{\"changes\":[],\"rows\":[");
        for (at, (place, length)) in self.rows.iter().enumerate() {
            put(&mut text, at == 0, place);
            put_number(&mut text, b"},", *length);
            text.push(b']');
        }
        if !self.deleted.is_empty() {
            text.extend_from_slice(b"],\"deleted\":[");
            for (at, (place, rows)) in self.deleted.iter().enumerate() {
                put(&mut text, at == 0, place);
                text.extend_from_slice(b"},");
                serde_json::to_writer(&mut text, rows).map_err(refused)?;
                text.push(b']');
            }
        }
        text.extend_from_slice(b"],\"flushed\":[]}");
        Ok(text)
    }
}

/// Puts words and a number behind a text.
fn put_number(text: &mut Vec<u8>, before: &[u8], mut number: u64) {
    text.extend_from_slice(before);
    let first = text.len();
    loop {
        text.push(b'0' + u8::try_from(number % 10).unwrap_or_default());
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = text.get_mut(first..) {
        digits.reverse();
    }
}

fn refused(error: impl std::fmt::Display) -> EngineError {
    EngineError::Record(error.to_string())
}

impl Record {
    pub(crate) fn encode(&self, streams: &mut Streams) -> Result<Vec<Vec<u8>>, EngineError> {
        let mut made = Vec::new();
        let mut head = Head {
            changes: self.changes.clone(),
            rows: Vec::new(),
            deleted: self.deleted.clone(),
            flushed: self.flushed.clone(),
        };
        for (place, batches) in &self.rows {
            if batches.is_empty() {
                continue;
            }
            let stream = streams.stream(batches).map_err(refused)?;
            head.rows.push((*place, stream.len() as u64));
            made.push(stream);
        }
        let head = match head.changes.is_empty() && head.flushed.is_empty() {
            true => head.of_rows()?,
            false => serde_json::to_vec(&head).map_err(refused)?,
        };
        let length = u32::try_from(head.len()).map_err(refused)?;
        let mut parts = vec![length.to_le_bytes().to_vec(), head];
        parts.append(&mut made);
        Ok(parts)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, EngineError> {
        let short = || refused("it is too short");
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(refused)?;
        let (head, mut rest) = rest.split_at_checked(length).ok_or_else(short)?;
        let head: Head = serde_json::from_slice(head).map_err(refused)?;
        let mut rows = Vec::new();
        for (place, length) in head.rows {
            let length = usize::try_from(length).map_err(refused)?;
            let (stream, behind) = rest.split_at_checked(length).ok_or_else(short)?;
            rest = behind;
            let batches = StreamReader::try_new(stream, None)
                .and_then(|reader| reader.collect::<Result<Vec<_>, _>>())
                .map_err(refused)?;
            rows.push((place, batches));
        }
        Ok(Self {
            changes: head.changes,
            rows,
            deleted: head.deleted,
            flushed: head.flushed,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_head_of_rows_alone_is_written_as_serde_writes_it() {
        let place = |database, table, chunk| Place {
            database: DatabaseId(database),
            table: TableId(table),
            chunk: ChunkId(chunk),
        };
        let (one, other) = (place(5, 16_384, 0), place(u32::MAX, 1, i32::MIN));
        let bits =
            |rows: &[u32]| RowBits::from(rows.iter().copied().collect::<roaring::RoaringBitmap>());
        let heads = [
            Head::default(),
            Head {
                rows: vec![(one, 0), (other, u64::MAX)],
                ..Head::default()
            },
            Head {
                rows: vec![(one, 1_040)],
                deleted: vec![(one, bits(&[7])), (other, bits(&[1, 2, 70_000]))],
                ..Head::default()
            },
            Head {
                deleted: vec![(other, bits(&[]))],
                ..Head::default()
            },
        ];
        for head in heads {
            let text = String::from_utf8(head.of_rows().unwrap()).unwrap();
            assert_eq!(text, serde_json::to_string(&head).unwrap());
        }
    }
}
