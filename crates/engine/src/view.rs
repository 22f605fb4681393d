//! A table at one moment, to read from.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::Table;
use chronolith_chunk::{ChunkView, HotPart, Layout};
use chronolith_types::ChunkId;
use parking_lot::Mutex;

use crate::layout::layout_of;
use crate::record::{Place, TableKey};
use crate::state::{OpenPart, State, TableRows};

/// A table at one moment, with a transaction's own rows. Copies are free of cost.
#[derive(Debug, Clone)]
pub struct TableView {
    /// The table.
    pub table: Arc<Table>,
    /// What its chunks know of it.
    pub layout: Arc<Layout>,
    /// Its chunks, by their ranges.
    pub chunks: Arc<[(ChunkId, ChunkView)]>,
    /// Keeps files from being removed while they may be read.
    #[expect(dead_code, reason = "held, not looked at")]
    held: Arc<[Arc<OpenPart>]>,
}

impl TableView {
    /// A table as if it had one part alone.
    pub(crate) fn of_part(table: &Arc<Table>, layout: &Arc<Layout>, open: &Arc<OpenPart>) -> Self {
        let chunk = ChunkView {
            range: i64::MIN..i64::MAX,
            hot: Vec::new(),
            cold: vec![Arc::clone(&open.part)],
        };
        Self {
            table: Arc::clone(table),
            layout: Arc::clone(layout),
            chunks: Arc::from([(ChunkId(0), chunk)]),
            held: Arc::from([Arc::clone(open)]),
        }
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.chunks.iter().map(|(_, chunk)| chunk.rows()).sum()
    }

    /// Bytes of its cold parts.
    #[must_use]
    pub fn cold_bytes(&self) -> u64 {
        let parts = self.chunks.iter().flat_map(|(_, chunk)| &chunk.cold);
        parts.map(|part| part.bytes()).sum()
    }
}

/// What is committed of a table, put together when it is first asked for. Copies of a table's rows
/// are made to be changed, and start without it.
#[derive(Debug, Default)]
pub(crate) struct Cached(Mutex<Option<TableView>>);

impl Clone for Cached {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl State {
    /// A table, with rows that are not committed yet put behind those that are.
    ///
    /// What it costs does not grow with the chunks that lie at other times, as long as nothing is
    /// committed between.
    pub(crate) fn view(
        &self,
        key: TableKey,
        own: &BTreeMap<Place, HotPart>,
        time: &Range<i64>,
    ) -> Option<TableView> {
        let mut view = self.committed(key)?;
        // Chunks do not overlap: their ends are in order too.
        let from = view
            .chunks
            .partition_point(|(_, chunk)| chunk.range.end <= time.start);
        let to = view
            .chunks
            .partition_point(|(_, chunk)| chunk.range.start < time.end);
        let own: Vec<(ChunkId, &HotPart)> = own
            .iter()
            .filter(|(place, _)| place.table_key() == key)
            .map(|(place, part)| (place.chunk, part))
            .collect();
        if own.is_empty() && from == 0 && to == view.chunks.len() {
            return Some(view);
        }
        let mut chunks = view.chunks.get(from..to).unwrap_or_default().to_vec();
        for (chunk, part) in own {
            if let Some((_, view)) = chunks.iter_mut().find(|(id, _)| *id == chunk) {
                view.hot.push(part.snapshot());
            }
        }
        view.chunks = chunks.into();
        Some(view)
    }

    /// A table with the rows that are committed.
    fn committed(&self, key: TableKey) -> Option<TableView> {
        let table = self.catalog.table(key.database, key.table)?;
        let rows = self.tables.get(&key);
        let Some(rows) = rows else {
            return view_of(table, None);
        };
        let mut cached = rows.view.0.lock();
        match &*cached {
            Some(view) if Arc::ptr_eq(&view.table, table) => Some(view.clone()),
            _ => {
                let view = view_of(table, Some(rows))?;
                *cached = Some(view.clone());
                Some(view)
            }
        }
    }
}

fn view_of(table: &Arc<Table>, rows: Option<&Arc<TableRows>>) -> Option<TableView> {
    let mut held = Vec::new();
    let mut chunks: Vec<(ChunkId, ChunkView)> = Vec::with_capacity(table.chunks.len());
    for chunk in table.chunks.values() {
        let mut cold = Vec::with_capacity(chunk.parts.len());
        for part in &chunk.parts {
            let open = rows?.cold.get(&part.id)?;
            cold.push(Arc::clone(&open.part));
            held.push(Arc::clone(open));
        }
        let hot = rows.and_then(|rows| rows.hot.get(&chunk.id));
        let view = ChunkView {
            range: chunk.range.clone(),
            hot: hot.into_iter().map(HotPart::snapshot).collect(),
            cold,
        };
        chunks.push((chunk.id, view));
    }
    chunks.sort_by_key(|(_, view)| view.range.start);
    Some(TableView {
        table: Arc::clone(table),
        layout: Arc::new(layout_of(table)),
        chunks: chunks.into(),
        held: held.into(),
    })
}
