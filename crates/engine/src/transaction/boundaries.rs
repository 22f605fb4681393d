//! Chunks merged and split by a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::{CatalogError, Change, Table};
use chronolith_types::{ChunkId, TableId};

use super::Transaction;
use crate::boundaries::LoadedPart;
use crate::error::EngineError;
use crate::layout::layout_for;
use crate::record::{Place, TableKey};
use crate::state::State;
use crate::view::TableView;

/// How often a chunk is cut anew because another transaction changed it meanwhile.
const ATTEMPTS: usize = 4;

/// Parts of a load, and a range of one chunk that all of them lie in.
type Piece = (Range<i64>, Vec<LoadedPart>);

/// Where the chunks of a table begin or end within a range.
pub(super) fn cuts(table: &Table, range: &Range<i64>) -> BTreeSet<i64> {
    let chunks = table.chunks.values();
    let ends = chunks.flat_map(|chunk| [chunk.range.start, chunk.range.end]);
    ends.filter(|at| range.start < *at && *at < range.end)
        .collect()
}

impl Transaction {
    /// Makes one chunk of several whose ranges follow upon each other; the first that is named
    /// stays.
    ///
    /// # Errors
    /// 22023 where they do not, 0A000 where the transaction itself wrote to them.
    pub fn merge_chunks(&mut self, table: TableId, chunks: &[ChunkId]) -> Result<(), EngineError> {
        self.refuse_own(table, chunks)?;
        self.change(Change::MergeChunks {
            database: self.database,
            table,
            chunks: chunks.to_vec(),
        })
    }

    /// Cuts a chunk in two at a time within its range; gives the number of the second.
    ///
    /// # Errors
    /// 0A000 where the transaction itself wrote to it, 40001 where others do so all the time.
    pub fn split_chunk(
        &mut self,
        table: TableId,
        chunk: ChunkId,
        at: i64,
    ) -> Result<ChunkId, EngineError> {
        self.refuse_own(table, &[chunk])?;
        let place = TableKey::new(self.database, table).place(chunk);
        let engine = Arc::clone(&self.engine);
        for _ in 0..ATTEMPTS {
            engine.cut_parts(place, at)?;
            self.begin_statement()?;
            let catalog = self.catalog();
            let database = catalog.databases.get(&self.database);
            let new = ChunkId(database.map_or(1, |database| database.next_chunk));
            let split = self.change(Change::SplitChunk {
                database: self.database,
                table,
                chunk,
                at,
                new,
                oid: self.allocate_oid(),
                created_us: engine.clock().wall_us(),
            });
            match split {
                Err(EngineError::Catalog(CatalogError::PartAcross(_))) => {}
                other => return other.map(|()| new),
            }
        }
        let table = self.catalog().table(self.database, table).cloned();
        Err(EngineError::Overtaken(
            table.map(|table| table.name.clone()).unwrap_or_default(),
        ))
    }

    /// Parts that were packed for a range, by the ranges that the chunks of a table have of it: others
    /// may have split the chunk meanwhile, or made several of other widths.
    pub(super) fn recut(
        &self,
        table: &Arc<Table>,
        range: &Range<i64>,
        parts: Vec<LoadedPart>,
    ) -> Result<Vec<Piece>, EngineError> {
        let layout = layout_for(table);
        let cuts = match layout.time {
            Some(time) => cuts(table, range).into_iter().map(move |at| (time, at)),
            None => return Ok(vec![(range.clone(), parts)]),
        };
        let (mut done, mut from, mut left) = (Vec::new(), range.start, parts);
        for (time, at) in cuts {
            let (mut early, mut late) = (Vec::new(), Vec::new());
            for (part, open) in left {
                match part.times {
                    Some((first, last)) if first < at && last >= at => {
                        let view = TableView::of_part(table, &layout, &open);
                        for (_, view) in view.chunks.iter() {
                            let [before, behind] = self.engine.halve(&layout, view, time, at)?;
                            early.extend(before);
                            late.extend(behind);
                        }
                    }
                    Some((first, _)) if first >= at => late.push((part, open)),
                    _ => early.push((part, open)),
                }
            }
            done.push((from..at, early));
            (from, left) = (at, late);
        }
        done.push((from..range.end, left));
        done.retain(|(_, parts)| !parts.is_empty());
        Ok(done)
    }

    fn refuse_own(&self, table: TableId, chunks: &[ChunkId]) -> Result<(), EngineError> {
        let key = TableKey::new(self.database, table);
        let wrote = chunks.iter().any(|chunk| self.wrote_to(key.place(*chunk)));
        match wrote {
            true => Err(EngineError::OwnRows),
            false => Ok(()),
        }
    }

    /// Whether it has rows or parts for a chunk.
    fn wrote_to(&self, place: Place) -> bool {
        let adds = |change: &Change| match change {
            Change::ReplaceParts {
                database,
                table,
                chunk,
                added,
                ..
            } => !added.is_empty() && TableKey::new(*database, *table).place(*chunk) == place,
            _ => false,
        };
        self.own.contains_key(&place) || self.changes.iter().any(adds)
    }

    /// Refuses when the chunk of own rows is gone, or narrower than it was; `moved` has the new
    /// numbers of those that had others before.
    pub(super) fn check_own_chunks(
        &self,
        before: &State,
        moved: &BTreeMap<Place, ChunkId>,
    ) -> Result<(), EngineError> {
        for place in self.own.keys() {
            // Stores that are gone take their rows with them.
            let Some(table) = self.state.table(place.table_key()) else {
                continue;
            };
            // The number it has now may have been that of another of its own.
            let mut from = moved.iter();
            let from = from
                .find(|(then, now)| then.table_key() == place.table_key() && **now == place.chunk);
            let then = from.map_or(place.chunk, |(then, _)| then.chunk);
            let there = table.chunks.contains_key(&place.chunk);
            let made_for = before.table(place.table_key());
            let holds = made_for.is_none_or(|made_for| self.state.holds(made_for, then, *place));
            if !(there && holds) {
                return Err(EngineError::Overtaken(table.name.clone()));
            }
        }
        Ok(())
    }
}
