//! A table at one moment, to read from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::Table;
use chronolith_chunk::{ChunkView, HotPart, Layout};
use chronolith_types::ChunkId;

use crate::layout::layout_of;
use crate::record::{Place, TableKey};
use crate::state::{OpenPart, State};

/// A table at one moment, with a transaction's own rows.
#[derive(Debug, Clone)]
pub struct TableView {
    /// The table.
    pub table: Arc<Table>,
    /// What its chunks know of it.
    pub layout: Arc<Layout>,
    /// Its chunks, by their ranges.
    pub chunks: Vec<(ChunkId, ChunkView)>,
    /// Keeps files from being removed while they may be read.
    pub(crate) held: Vec<Arc<OpenPart>>,
}

impl TableView {
    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunks.iter().map(|(_, chunk)| chunk.rows()).sum()
    }

    /// Bytes of its cold parts.
    #[must_use]
    pub fn cold_bytes(&self) -> u64 {
        self.held.iter().map(|part| part.part.bytes()).sum()
    }
}

impl State {
    /// A table, with rows that are not committed yet put behind those that are.
    pub(crate) fn view(
        &self,
        key: TableKey,
        own: &BTreeMap<Place, HotPart>,
        time: &Range<i64>,
    ) -> Option<TableView> {
        let table = self.catalog.table(key.database, key.table)?;
        let rows = self.tables.get(&key);
        let mut held = Vec::new();
        let mut chunks: Vec<(ChunkId, ChunkView)> = Vec::new();
        for chunk in table.chunks.values() {
            if chunk.range.start >= time.end || chunk.range.end <= time.start {
                continue;
            }
            let mut cold = Vec::with_capacity(chunk.parts.len());
            for part in &chunk.parts {
                let open = rows?.cold.get(&part.id)?;
                cold.push(Arc::clone(&open.part));
                held.push(Arc::clone(open));
            }
            let committed = rows.and_then(|rows| rows.hot.get(&chunk.id));
            let hot = [committed, own.get(&key.place(chunk.id))];
            let view = ChunkView {
                range: chunk.range.clone(),
                hot: hot.into_iter().flatten().map(HotPart::snapshot).collect(),
                cold,
            };
            chunks.push((chunk.id, view));
        }
        chunks.sort_by_key(|(_, view)| view.range.start);
        Some(TableView {
            table: Arc::clone(table),
            layout: Arc::new(layout_of(table)),
            chunks,
            held,
        })
    }
}
