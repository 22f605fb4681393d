//! Changes, applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_types::{DatabaseId, RoutineId, SchemaId, TableId};

use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::table::{Chunk, Table};

mod boundaries;
mod chunks;
mod comments;
mod databases;
mod extensions;
mod publications;
mod relations;
mod roles;
mod routines;
mod sequences;
mod stores;
mod tables;
mod triggers;
mod types;
mod views;

type Applied = Result<(), CatalogError>;

impl Catalog {
    /// Applies a change, whole or not at all.
    ///
    /// # Errors
    /// When the change does not fit what exists.
    pub fn apply(&mut self, change: &Change) -> Applied {
        // The maps share their values, so a copy is as dear as the number of names on the way.
        let mut next = self.clone();
        next.change(change)?;
        let no_plan_knows = matches!(
            change,
            Change::AdvanceSequence { .. } | Change::DeleteRows { .. }
        );
        if !no_plan_knows && !self.is_marked(change) {
            next.version += 1;
        }
        *self = next;
        Ok(())
    }

    /// Whether a change marks what is marked already: plans that know of the mark stay right,
    /// though it is younger then.
    fn is_marked(&self, change: &Change) -> bool {
        let Change::Invalidate {
            database,
            table,
            range,
        } = change
        else {
            return false;
        };
        let rollup = self.table(*database, *table);
        let rollup = rollup.and_then(|table| table.rollup.as_ref());
        rollup.is_some_and(|rollup| rollup.is_invalid(range))
    }

    fn change(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateDatabase { .. }
            | Change::DropDatabase { .. }
            | Change::SetDatabaseSetting { .. }
            | Change::RenameDatabase { .. }
            | Change::SetDatabaseOwner { .. }
            | Change::CreateSchema { .. }
            | Change::DropSchema { .. }
            | Change::ChangeSchema { .. } => self.change_databases(change),
            Change::CreateTable { .. }
            | Change::DropTable { .. }
            | Change::RenameTable { .. }
            | Change::SetTableSchema { .. }
            | Change::SetTableOwner { .. }
            | Change::RenameConstraint { .. }
            | Change::RenameIndex { .. }
            | Change::CreateIndex { .. } => self.change_relations(change),
            Change::CreateView { .. } | Change::DropView { .. } | Change::ChangeView { .. } => {
                self.change_views(change)
            }
            Change::AddChunk { .. }
            | Change::MergeChunks { .. }
            | Change::SplitChunk { .. }
            | Change::ChangeHypertable { .. }
            | Change::MakeHypertable { .. }
            | Change::ReplaceParts { .. }
            | Change::DeleteRows { .. } => self.change_chunks(change),
            Change::SetRollup { .. }
            | Change::Invalidate { .. }
            | Change::Revalidate { .. }
            | Change::Freeze { .. } => self.change_stores(change),
            Change::SetAcl { .. }
            | Change::SetColumnAcl { .. }
            | Change::SetDefaultAcls { .. }
            | Change::CreateRole { .. }
            | Change::ChangeRole { .. }
            | Change::DropRole { .. } => self.change_roles(change),
            Change::SetTriggers {
                database,
                table,
                triggers,
            } => {
                self.take_triggers(triggers);
                self.database(*database)?.set_triggers(*table, triggers)
            }
            Change::SetRowSecurity {
                database,
                table,
                security,
            } => {
                for policy in &security.policies {
                    self.next_oid = self.next_oid.max(policy.id.saturating_add(1));
                }
                self.database(*database)?.set_row_security(*table, security)
            }
            Change::SetPublication {
                database,
                publication,
            } => {
                let own = [publication.id].into_iter();
                let tables = publication.tables.iter().map(|table| table.id);
                let schemas = publication.schemas.iter().map(|(id, _)| *id);
                for oid in own.chain(tables).chain(schemas) {
                    self.next_oid = self.next_oid.max(oid.saturating_add(1));
                }
                self.database(*database)?.set_publication(publication)
            }
            Change::DropPublication { database, id } => {
                self.database(*database)?.drop_publication(*id)
            }
            Change::SetExtension {
                database,
                extension,
            } => {
                self.next_oid = self.next_oid.max(extension.id.saturating_add(1));
                self.database(*database)?.set_extension(extension)
            }
            Change::DropExtension { database, id } => self.database(*database)?.drop_extension(*id),
            Change::CreateRoutine { .. } | Change::DropRoutine { .. } => {
                self.change_routines(change)
            }
            Change::CreateType { .. }
            | Change::ChangeType { .. }
            | Change::DropType { .. }
            | Change::ChangeRows { .. } => self.change_types(change),
            Change::CreateSequence { .. }
            | Change::ChangeSequence { .. }
            | Change::AdvanceSequence { .. }
            | Change::DropSequence { .. } => self.change_sequences(change),
            Change::SetComment { database, comment } => {
                self.database(*database)?.set_comment(comment);
                Ok(())
            }
            Change::Job { database, change } => {
                Arc::make_mut(&mut self.database(*database)?.jobs).change(change)
            }
            Change::Arrival { database, change } => {
                Arc::make_mut(&mut self.database(*database)?.arrival).change(change);
                Ok(())
            }
            Change::SetSetting { name, value } => {
                set(&mut self.settings, name, value.as_ref());
                Ok(())
            }
            Change::Reserve {
                next_oid,
                next_part,
            } => {
                self.next_oid = self.next_oid.max(*next_oid);
                self.next_part = self.next_part.max(*next_part);
                Ok(())
            }
            Change::AddColumn {
                database, table, ..
            }
            | Change::DropColumn {
                database, table, ..
            }
            | Change::ChangeColumn {
                database, table, ..
            }
            | Change::AddConstraint {
                database, table, ..
            }
            | Change::DropConstraint {
                database, table, ..
            }
            | Change::DropIndex {
                database, table, ..
            }
            | Change::SetCompression {
                database, table, ..
            }
            | Change::SetChunkInterval {
                database, table, ..
            }
            | Change::SetIntegerNow {
                database, table, ..
            }
            | Change::SetPersistence {
                database, table, ..
            }
            | Change::DropChunk {
                database, table, ..
            }
            | Change::DetachChunk {
                database, table, ..
            }
            | Change::Truncate { database, table }
            | Change::Comment {
                database, table, ..
            } => {
                if let Change::AddConstraint { constraint, .. } = change {
                    self.take_oid(constraint.id)?;
                }
                let database = self.database(*database)?;
                if let Some(oid) = database.table(*table)?.dropped_by(change) {
                    database.forget_comments(oid);
                }
                database.table(*table)?.change(change)?;
                match change {
                    Change::DropColumn { table, column, .. } => {
                        database.set_column_acl(table.0, column.0, None);
                        database.drop_sequences_of(*table, Some(*column))
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    fn database(&mut self, id: DatabaseId) -> Result<&mut Database, CatalogError> {
        self.databases
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or_else(|| CatalogError::NoDatabase(id.to_string()))
    }

    /// An object comes with a number that nothing had before.
    fn take_oid(&mut self, oid: u32) -> Applied {
        if oid < self.next_oid && oid != 0 && self.oid_in_use(oid) {
            return Err(CatalogError::NumberInUse(oid));
        }
        self.next_oid = self.next_oid.max(oid.saturating_add(1));
        Ok(())
    }

    fn take_oids_of(&mut self, table: &Table) -> Applied {
        for constraint in &table.constraints {
            self.take_oid(constraint.id)?;
        }
        for index in &table.indexes {
            self.take_oid(index.id.0)?;
        }
        Ok(())
    }

    fn oid_in_use(&self, oid: u32) -> bool {
        self.databases.contains_key(&DatabaseId(oid))
            || self.roles.keys().any(|id| id.0 == oid)
            || self.databases.values().any(|database| {
                database.schemas.contains_key(&SchemaId(oid))
                    || database.tables.contains_key(&TableId(oid))
                    || database.views.contains_key(&TableId(oid))
                    || database
                        .types
                        .values()
                        .any(|ty| ty.oids().any(|own| own == oid))
                    || database.sequences.contains_key(&TableId(oid))
                    || database.routines.contains_key(&RoutineId(oid))
            })
    }
}

fn plain_chunk() -> Chunk {
    Chunk {
        id: Table::PLAIN_CHUNK,
        oid: 0,
        range: i64::MIN..i64::MAX,
        parts: Vec::new(),
        compressed: false,
        created_us: 0,
    }
}

fn set(settings: &mut BTreeMap<String, String>, name: &str, value: Option<&String>) {
    match value {
        Some(value) => settings.insert(name.to_owned(), value.clone()),
        None => settings.remove(name),
    };
}

impl Database {
    fn table(&mut self, id: TableId) -> Result<&mut Table, CatalogError> {
        self.tables
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or_else(|| CatalogError::NoRelation(id.to_string()))
    }

    /// A policy goes with its hypertable.
    fn drop_jobs_of(&mut self, table: TableId) {
        let of_it = |job: &Arc<crate::job::Job>| job.relation == Some(table);
        if self.jobs.all.values().any(of_it) {
            Arc::make_mut(&mut self.jobs)
                .all
                .retain(|_, job| !of_it(job));
        }
    }
}

#[cfg(test)]
mod tests;
