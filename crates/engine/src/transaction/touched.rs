//! Which compressed chunks statements change, so that their activity can be counted.

use std::collections::BTreeMap;

use chronolith_catalog::Table;
use chronolith_types::{ChunkId, TableId};

use super::Transaction;
use crate::record::{Place, TableKey};

/// What was done to a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Touched {
    /// Rows came.
    pub inserted: bool,
    /// Rows went.
    pub deleted: bool,
}

/// The compressed chunks that were changed since somebody asked.
pub(super) type Touches = BTreeMap<Place, Touched>;

impl Transaction {
    /// The compressed chunks of a table that were changed since this was asked the last time. What was
    /// undone meanwhile does not count.
    pub fn take_touched(&mut self, table: TableId) -> Vec<(ChunkId, Touched)> {
        if self.touched.is_empty() {
            return Vec::new();
        }
        let key = TableKey::new(self.database, table);
        let mut taken = Vec::new();
        self.touched.retain(|place, touched| {
            let of_table = place.table_key() == key;
            if of_table {
                taken.push((place.chunk, *touched));
            }
            !of_table
        });
        taken
    }

    /// Notes what is done to a chunk, if it is compressed and a user's.
    pub(super) fn touch(&mut self, table: &Table, place: Place, how: Touched) {
        let chunk = table.chunks.get(&place.chunk);
        if table.rollup.is_some() || !chunk.is_some_and(|chunk| chunk.compressed) {
            return;
        }
        let touched = self.touched.entry(place).or_default();
        touched.inserted |= how.inserted;
        touched.deleted |= how.deleted;
    }
}
