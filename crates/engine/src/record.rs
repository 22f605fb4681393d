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
        let head = serde_json::to_vec(&head).map_err(refused)?;
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
