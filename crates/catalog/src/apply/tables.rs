//! What is in a table: columns, constraints, the settings of a hypertable.

use std::sync::Arc;

use chronolith_types::{ChunkId, IndexId};

use super::{Applied, plain_chunk};
use crate::change::Change;
use crate::error::CatalogError;
use crate::rollup::Rollup;
use crate::table::{Chunk, Column, Hypertable, Table};

impl Table {
    pub(super) fn chunk(&mut self, id: ChunkId) -> Result<&mut Chunk, CatalogError> {
        self.chunks
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or_else(|| CatalogError::NoChunk(id.to_string()))
    }

    pub(super) fn rename_index(&mut self, id: IndexId, name: &str) {
        for index in self.indexes.iter_mut().filter(|index| index.id == id) {
            name.clone_into(&mut index.name);
        }
    }

    pub(super) fn no_column(&self, column: impl ToString) -> CatalogError {
        CatalogError::NoColumn {
            column: column.to_string(),
            relation: self.name.clone(),
        }
    }

    pub(super) fn check_column_name(&self, column: &Column) -> Applied {
        let taken = |other: &Column| other.name == column.name && other.id != column.id;
        if self.columns.iter().any(taken) {
            return Err(CatalogError::ColumnExists {
                column: column.name.clone(),
                relation: self.name.clone(),
            });
        }
        Ok(())
    }

    /// The oid of the index or constraint that a change drops.
    pub(super) fn dropped_by(&self, change: &Change) -> Option<u32> {
        match change {
            Change::DropIndex { id, .. } => Some(id.0),
            Change::DropConstraint { name, .. } => {
                let mut constraints = self.constraints.iter();
                constraints.find(|c| c.name == *name).map(|c| c.id)
            }
            _ => None,
        }
    }

    pub(super) fn change(&mut self, change: &Change) -> Applied {
        match change {
            Change::AddColumn { column, .. } => {
                self.check_column_name(column)?;
                self.next_column.0 = self.next_column.0.max(column.id.0 + 1);
                self.columns.push(column.clone());
            }
            Change::DropColumn { column, .. } => {
                let Some(place) = self.columns.iter().position(|known| known.id == *column) else {
                    return Err(self.no_column(column));
                };
                self.columns.remove(place);
                // A key without one of its columns asks nothing that makes sense.
                self.constraints.retain(|constraint| {
                    !constraint
                        .kind
                        .unique_columns()
                        .is_some_and(|columns| columns.contains(column))
                        && !constraint
                            .kind
                            .reference()
                            .is_some_and(|of| of.columns.contains(column))
                });
                if let Some(hypertable) = &mut self.hypertable {
                    hypertable.skipping.retain(|known| known.column != *column);
                    hypertable
                        .dimensions
                        .retain(|known| known.column != *column);
                }
                if let Some(compression) = self
                    .hypertable
                    .as_mut()
                    .and_then(|h| h.compression.as_mut())
                {
                    compression.segment_by.retain(|known| known != column);
                    compression.order_by.retain(|known| known.column != *column);
                    if let Some(indexes) = &mut compression.indexes {
                        indexes.retain(|index| !index.columns.contains(column));
                    }
                }
            }
            Change::ChangeColumn { column, .. } => {
                self.check_column_name(column)?;
                match self.columns.iter_mut().find(|known| known.id == column.id) {
                    Some(known) => *known = column.clone(),
                    None => return Err(self.no_column(&column.name)),
                }
            }
            Change::AddConstraint { constraint, .. } => {
                if self
                    .constraints
                    .iter()
                    .any(|known| known.name == constraint.name)
                {
                    return Err(CatalogError::ConstraintExists {
                        constraint: constraint.name.clone(),
                        relation: self.name.clone(),
                    });
                }
                self.constraints.push(constraint.clone());
            }
            Change::DropConstraint { name, .. } => {
                let before = self.constraints.len();
                self.constraints.retain(|known| known.name != *name);
                if self.constraints.len() == before {
                    return Err(CatalogError::NoConstraint {
                        constraint: name.clone(),
                        relation: self.name.clone(),
                    });
                }
                self.indexes
                    .retain(|index| !(index.constraint && index.name == *name));
            }
            Change::DropIndex { id, .. } => {
                let before = self.indexes.len();
                self.indexes.retain(|index| index.id != *id);
                if self.indexes.len() == before {
                    return Err(CatalogError::NoRelation(id.to_string()));
                }
            }
            Change::SetCompression { compression, .. } => {
                self.hypertable_mut()?.compression.clone_from(compression);
            }
            Change::SetChunkInterval { interval, .. } => {
                self.hypertable_mut()?.interval = *interval;
            }
            Change::SetPersistence { persistence, .. } => self.persistence = *persistence,
            Change::SetIntegerNow { function, .. } => {
                self.hypertable_mut()?.integer_now.clone_from(function);
            }
            Change::DropChunk { chunk, .. } | Change::DetachChunk { chunk, .. } => {
                if self.chunks.remove(chunk).is_none() {
                    return Err(CatalogError::NoChunk(chunk.to_string()));
                }
            }
            Change::Truncate { .. } => {
                self.chunks.clear();
                // What nobody could compute again is given up with the rest.
                if let Some(rollup) = &mut self.rollup {
                    rollup.frozen.clear();
                }
                if self.hypertable.is_none() {
                    self.chunks
                        .insert(Self::PLAIN_CHUNK, Arc::new(plain_chunk()));
                }
            }
            Change::Comment { column, text, .. } => match column {
                None => self.comment.clone_from(text),
                Some(id) => match self.columns.iter_mut().find(|known| known.id == *id) {
                    Some(known) => known.comment.clone_from(text),
                    None => return Err(self.no_column(id)),
                },
            },
            // The catalog deals with all others before it comes to a table.
            _ => debug_assert!(false, "not a change of a table: {change:?}"),
        }
        Ok(())
    }

    pub(super) fn rollup_mut(&mut self) -> Result<&mut Rollup, CatalogError> {
        match self.rollup.as_mut() {
            Some(rollup) => Ok(rollup),
            None => Err(CatalogError::NotStore(self.name.clone())),
        }
    }

    pub(super) fn hypertable_mut(&mut self) -> Result<&mut Hypertable, CatalogError> {
        match self.hypertable.as_mut() {
            Some(hypertable) => Ok(hypertable),
            None => Err(CatalogError::NotHypertable(self.name.clone())),
        }
    }
}
