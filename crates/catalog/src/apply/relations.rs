//! Tables as relations: their names, their places and what they are called by; their indexes.

use std::sync::Arc;

use chronolith_types::{SchemaId, TableId};

use super::{Applied, plain_chunk};
use crate::acl::Securable;
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::table::Table;

impl Catalog {
    pub(super) fn change_relations(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateTable { database, table } => {
                self.take_oid(table.id.0)?;
                self.take_oids_of(table)?;
                let database = self.database(*database)?;
                database.check_name(table.schema, &table.name)?;
                let mut table = Table::clone(table);
                if table.hypertable.is_none() {
                    table
                        .chunks
                        .entry(Table::PLAIN_CHUNK)
                        .or_insert_with(|| Arc::new(plain_chunk()));
                }
                let (id, rollup) = (table.id, table.rollup.take());
                database.grant_default(
                    Securable::Relation,
                    id.0,
                    table.owner,
                    Some(table.schema),
                )?;
                database.tables.insert(id, Arc::new(table));
                match rollup {
                    Some(rollup) => database.set_rollup(id, Some(&rollup)),
                    None => Ok(()),
                }
            }
            Change::DropTable { database, id } => self.database(*database)?.drop_table(*id),
            Change::RenameTable { database, id, name } => {
                let database = self.database(*database)?;
                let schema = database.table(*id)?.schema;
                database.check_name(schema, name)?;
                database.table(*id)?.name.clone_from(name);
                Ok(())
            }
            Change::SetTableSchema {
                database,
                id,
                schema,
            } => {
                let database = self.database(*database)?;
                let table = database.table(*id)?;
                if table.schema == *schema {
                    return Ok(());
                }
                let mut names = vec![table.name.clone()];
                names.extend(table.indexes.iter().map(|index| index.name.clone()));
                for name in names {
                    database.check_name(*schema, &name)?;
                }
                database.table(*id)?.schema = *schema;
                Ok(())
            }
            Change::SetTableOwner {
                database,
                id,
                owner,
            } => {
                let database = self.database(*database)?;
                let before = std::mem::replace(&mut database.table(*id)?.owner, *owner);
                database.change_owner(id.0, before, *owner);
                Ok(())
            }
            Change::RenameConstraint {
                database,
                table,
                from,
                name,
            } => self
                .database(*database)?
                .rename_constraint(*table, from, name),
            Change::RenameIndex {
                database,
                table,
                id,
                name,
            } => {
                let database = self.database(*database)?;
                let table_now = database.table(*table)?;
                let Some(index) = table_now.indexes.iter().find(|index| index.id == *id) else {
                    return Err(CatalogError::NoRelation(id.to_string()));
                };
                if index.constraint {
                    let from = index.name.clone();
                    return database.rename_constraint(*table, &from, name);
                }
                let schema = table_now.schema;
                database.check_name(schema, name)?;
                database.table(*table)?.rename_index(*id, name);
                Ok(())
            }
            Change::CreateIndex {
                database,
                table,
                index,
            } => {
                self.take_oid(index.id.0)?;
                let database = self.database(*database)?;
                let schema = database.table(*table)?.schema;
                database.check_name(schema, &index.name)?;
                database.table(*table)?.indexes.push(index.clone());
                Ok(())
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of relations: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    pub(super) fn check_name(&self, schema: SchemaId, name: &str) -> Applied {
        if !self.schemas.contains_key(&schema) {
            return Err(CatalogError::NoSchema(schema.to_string()));
        }
        if self.relation_exists(schema, name) {
            return Err(CatalogError::RelationExists(name.to_owned()));
        }
        Ok(())
    }

    /// A table goes, unless a store is computed from it.
    pub(super) fn drop_table(&mut self, id: TableId) -> Applied {
        let Some(table) = self.tables.get(&id) else {
            return Err(CatalogError::NoRelation(id.to_string()));
        };
        if !self.stores_of(id).is_empty() {
            return Err(CatalogError::RelationInUse(table.name.clone()));
        }
        if table.rollup.is_some() {
            self.set_rollup(id, None)?;
        }
        self.tables.remove(&id);
        self.triggers.remove(&id);
        self.row_security.remove(&id);
        self.drop_sequences_of(id, None)?;
        self.drop_jobs_of(id);
        self.forget(id.0)
    }

    /// A key's index has the key's name, in the space of all relations.
    pub(super) fn rename_constraint(&mut self, table: TableId, from: &str, name: &str) -> Applied {
        let found = self.table(table)?;
        let of = |index: &crate::table::Index| index.constraint && index.name == from;
        let index = found.indexes.iter().find(|index| of(index));
        let (schema, index) = (found.schema, index.map(|index| index.id));
        if index.is_some() {
            self.check_name(schema, name)?;
        }
        let found = self.table(table)?;
        if found.constraints.iter().any(|known| known.name == name) {
            return Err(CatalogError::ConstraintExists {
                constraint: name.to_owned(),
                relation: found.name.clone(),
            });
        }
        if let Some(index) = index {
            found.rename_index(index, name);
        }
        match found
            .constraints
            .iter_mut()
            .find(|known| known.name == from)
        {
            Some(known) => {
                name.clone_into(&mut known.name);
                Ok(())
            }
            None => Err(CatalogError::NoConstraint {
                constraint: from.to_owned(),
                relation: found.name.clone(),
            }),
        }
    }
}
