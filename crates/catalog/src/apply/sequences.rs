//! Sequences: made, changed, moved on and dropped.

use std::sync::Arc;

use super::Applied;
use crate::acl::Securable;
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::sequence::Sequence;
use chronolith_types::{ColumnId, TableId};

impl Catalog {
    pub(super) fn change_sequences(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateSequence { database, sequence } => {
                self.take_oid(sequence.id.0)?;
                self.take_oid(sequence.count)?;
                let database = self.database(*database)?;
                database.check_name(sequence.schema, &sequence.name)?;
                database.grant_default(
                    Securable::Sequence,
                    sequence.id.0,
                    sequence.owner,
                    Some(sequence.schema),
                )?;
                let sequence = Arc::new(Sequence::clone(sequence));
                database.sequences.insert(sequence.id, sequence);
                Ok(())
            }
            Change::ChangeSequence { database, sequence } => {
                self.next_oid = self.next_oid.max(sequence.count.saturating_add(1));
                let database = self.database(*database)?;
                let Some(before) = database.sequences.get(&sequence.id).cloned() else {
                    return Err(CatalogError::NoRelation(sequence.name.clone()));
                };
                if (before.schema, &before.name) != (sequence.schema, &sequence.name) {
                    database.check_name(sequence.schema, &sequence.name)?;
                }
                let mut sequence = Sequence::clone(sequence);
                if sequence.count == before.count {
                    // Others may have moved it on since this was said.
                    (sequence.last, sequence.called) = (before.last, before.called);
                }
                let owner = sequence.owner;
                let id = sequence.id;
                database.sequences.insert(id, Arc::new(sequence));
                if before.owner != owner {
                    database.change_owner(id.0, before.owner, owner);
                }
                Ok(())
            }
            Change::AdvanceSequence {
                database,
                id,
                count,
                last,
                called,
            } => {
                // One that was dropped or restarted meanwhile has no use for it.
                let database = self.database(*database)?;
                let Some(sequence) = database.sequences.get_mut(id) else {
                    return Ok(());
                };
                if sequence.count == *count {
                    let sequence = Arc::make_mut(sequence);
                    (sequence.last, sequence.called) = (*last, *called);
                }
                Ok(())
            }
            Change::DropSequence { database, id } => {
                let database = self.database(*database)?;
                if database.sequences.remove(id).is_none() {
                    return Err(CatalogError::NoRelation(id.to_string()));
                }
                database.forget_comments(id.0);
                database.set_acl(id.0, None)
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of sequences: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    /// Sequences go with the table, or with one of its columns.
    pub(super) fn drop_sequences_of(
        &mut self,
        table: TableId,
        column: Option<ColumnId>,
    ) -> Applied {
        let gone: Vec<TableId> = self
            .sequences
            .values()
            .filter(|sequence| {
                sequence.owned_by.is_some_and(|owner| {
                    owner.table == table && column.is_none_or(|column| column == owner.column)
                })
            })
            .map(|sequence| sequence.id)
            .collect();
        for id in gone {
            self.sequences.remove(&id);
            self.forget_comments(id.0);
            self.set_acl(id.0, None)?;
        }
        Ok(())
    }
}
