//! Databases and their schemas.

use std::sync::Arc;

use chronolith_types::SchemaId;

use super::{Applied, set};
use crate::acl::{DefaultAcl, Securable};
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};

impl Catalog {
    pub(super) fn change_databases(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateDatabase { id, name, owner } => {
                if self.database_named(name).is_some() {
                    return Err(CatalogError::DatabaseExists(name.clone()));
                }
                self.take_oid(id.0)?;
                let database = Database::new(*id, name, *owner);
                self.databases.insert(*id, Arc::new(database));
                Ok(())
            }
            Change::DropDatabase { id } => match self.databases.remove(id) {
                Some(_) => Ok(()),
                None => Err(CatalogError::NoDatabase(id.to_string())),
            },
            Change::SetDatabaseSetting { id, name, value } => {
                set(&mut self.database(*id)?.settings, name, value.as_ref());
                Ok(())
            }
            Change::RenameDatabase { id, name } => {
                if self
                    .database_named(name)
                    .is_some_and(|other| other.id != *id)
                {
                    return Err(CatalogError::DatabaseExists(name.clone()));
                }
                self.database(*id)?.name.clone_from(name);
                Ok(())
            }
            Change::SetDatabaseOwner { id, owner } => {
                let database = self.database(*id)?;
                let before = std::mem::replace(&mut database.owner, *owner);
                database.change_owner(id.0, before, *owner);
                Ok(())
            }
            Change::CreateSchema { database, schema } => {
                self.take_oid(schema.id.0)?;
                let database = self.database(*database)?;
                if database.schema_named(&schema.name).is_some() {
                    return Err(CatalogError::SchemaExists(schema.name.clone()));
                }
                database.schemas.insert(schema.id, Arc::new(schema.clone()));
                database.grant_default(Securable::Schema, schema.id.0, schema.owner, None)
            }
            Change::DropSchema { database, id } => self.database(*database)?.drop_schema(*id),
            Change::ChangeSchema { database, schema } => {
                let database = self.database(*database)?;
                let named = database.schema_named(&schema.name);
                if named.is_some_and(|other| other.id != schema.id) {
                    return Err(CatalogError::SchemaExists(schema.name.clone()));
                }
                match database.schemas.get_mut(&schema.id) {
                    Some(known) => {
                        let before = known.owner;
                        *known = Arc::new(schema.clone());
                        database.change_owner(schema.id.0, before, schema.owner);
                        Ok(())
                    }
                    None => Err(CatalogError::NoSchema(schema.name.clone())),
                }
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of databases: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    pub(super) fn drop_schema(&mut self, id: SchemaId) -> Applied {
        let Some(schema) = self.schemas.get(&id) else {
            return Err(CatalogError::NoSchema(id.to_string()));
        };
        let used = self.tables.values().any(|table| table.schema == id)
            || self.views.values().any(|view| view.schema == id)
            || self.types.values().any(|ty| ty.schema == id)
            || self.routines.values().any(|routine| routine.schema == id);
        if used {
            return Err(CatalogError::SchemaInUse(schema.name.clone()));
        }
        self.schemas.remove(&id);
        let default = |acl: &DefaultAcl| acl.schema == Some(id);
        self.default_acls.retain(|acl| !default(acl));
        self.forget(id.0)
    }
}
