//! Chunks, their parts, and hypertables.

use std::sync::Arc;

use super::{Applied, plain_chunk};
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::Catalog;
use crate::table::{Chunk, Hypertable, Part, Table};

impl Catalog {
    pub(super) fn change_chunks(&mut self, change: &Change) -> Applied {
        match change {
            Change::AddChunk {
                database,
                table,
                chunk,
                oid,
                range,
                created_us,
            } => {
                self.take_oid(*oid)?;
                let database = self.database(*database)?;
                database.next_chunk = database.next_chunk.max(chunk.0 + 1);
                let table = database.table(*table)?;
                let meets = |other: &Arc<Chunk>| {
                    other.id != Table::PLAIN_CHUNK
                        && other.range.start < range.end
                        && range.start < other.range.end
                };
                if table.chunks.contains_key(chunk) || table.chunks.values().any(meets) {
                    return Err(CatalogError::ChunkOverlap(table.name.clone()));
                }
                let hypertable = table.hypertable.as_mut();
                let compressed = hypertable.is_some_and(|known| known.restores(range));
                let made = Chunk {
                    id: *chunk,
                    oid: *oid,
                    range: range.clone(),
                    parts: Vec::new(),
                    compressed,
                    created_us: *created_us,
                };
                table.chunks.insert(*chunk, Arc::new(made));
                Ok(())
            }
            Change::MergeChunks {
                database,
                table,
                chunks,
            } => self
                .database(*database)?
                .table(*table)?
                .merge_chunks(chunks),
            Change::SplitChunk {
                database,
                table,
                chunk,
                at,
                new,
                oid,
                created_us,
            } => {
                self.take_oid(*oid)?;
                let database = self.database(*database)?;
                database.next_chunk = database.next_chunk.max(new.0 + 1);
                let made = Chunk {
                    id: *new,
                    oid: *oid,
                    created_us: *created_us,
                    ..plain_chunk()
                };
                database.table(*table)?.split_chunk(*chunk, *at, made)
            }
            Change::ChangeHypertable {
                database,
                table,
                hypertable,
            } => {
                let known = self.database(*database)?.table(*table)?.hypertable_mut()?;
                // What it is stays: its number and its time.
                *known = Hypertable {
                    id: known.id,
                    time: known.time,
                    ..hypertable.clone()
                };
                Ok(())
            }
            Change::MakeHypertable {
                database,
                table,
                hypertable,
            } => {
                let database = self.database(*database)?;
                database.next_hypertable = database.next_hypertable.max(hypertable.id.0 + 1);
                let table = database.table(*table)?;
                if table.hypertable.is_some() {
                    return Err(CatalogError::AlreadyHypertable(table.name.clone()));
                }
                table.chunks.remove(&Table::PLAIN_CHUNK);
                table.hypertable = Some(hypertable.clone());
                Ok(())
            }
            Change::ReplaceParts {
                database,
                table,
                chunk,
                removed,
                added,
                compressed,
            } => {
                for part in added {
                    self.next_part = self.next_part.max(part.id.0 + 1);
                }
                let chunk = self.database(*database)?.table(*table)?.chunk(*chunk)?;
                let is_first = |part: &Arc<Part>| removed.first() == Some(&part.id);
                let place = chunk.parts.iter().position(is_first);
                for id in removed {
                    let before = chunk.parts.len();
                    chunk.parts.retain(|part| part.id != *id);
                    if chunk.parts.len() == before {
                        return Err(CatalogError::WrongPart(id.to_string()));
                    }
                }
                // What is in the place of rows is where they were in the order of arrival.
                let place = place.unwrap_or(chunk.parts.len());
                for (place, part) in (place..).zip(added) {
                    if chunk.parts.iter().any(|other| other.id == part.id) {
                        return Err(CatalogError::WrongPart(part.id.to_string()));
                    }
                    let place = place.min(chunk.parts.len());
                    chunk.parts.insert(place, Arc::clone(part));
                }
                chunk.compressed = compressed.unwrap_or(chunk.compressed);
                Ok(())
            }
            Change::DeleteRows {
                database,
                table,
                chunk,
                part,
                rows,
            } => {
                let chunk = self.database(*database)?.table(*table)?.chunk(*chunk)?;
                let known = chunk.parts.iter_mut().find(|known| known.id == *part);
                let Some(known) = known else {
                    return Err(CatalogError::WrongPart(part.to_string()));
                };
                let known = Arc::make_mut(known);
                if rows
                    .0
                    .max()
                    .is_some_and(|last| u64::from(last) >= known.rows)
                {
                    return Err(CatalogError::WrongPart(part.to_string()));
                }
                *Arc::make_mut(&mut known.deleted.0) |= &*rows.0;
                Ok(())
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of chunks: {change:?}");
                Ok(())
            }
        }
    }
}
