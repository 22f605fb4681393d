//! Views.

use std::sync::Arc;

use super::Applied;
use crate::acl::Securable;
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::Catalog;

impl Catalog {
    pub(super) fn change_views(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateView {
                database,
                view,
                replace,
            } => {
                let known = self
                    .databases
                    .get(database)
                    .is_some_and(|d| d.views.contains_key(&view.id));
                if !(known && *replace) {
                    self.take_oid(view.id.0)?;
                }
                let database = self.database(*database)?;
                if !known {
                    database.check_name(view.schema, &view.name)?;
                    let kind = Securable::Relation;
                    database.grant_default(kind, view.id.0, view.owner, Some(view.schema))?;
                }
                database.views.insert(view.id, Arc::new(view.clone()));
                Ok(())
            }
            Change::DropView { database, id } => {
                let database = self.database(*database)?;
                let Some(view) = database.views.remove(id) else {
                    return Err(CatalogError::NoRelation(id.to_string()));
                };
                database.drop_jobs_of(*id);
                database.triggers.remove(id);
                database.forget(id.0)?;
                match &view.materialized {
                    Some(kept) if database.tables.contains_key(&kept.table) => {
                        database.drop_table(kept.table)
                    }
                    _ => Ok(()),
                }
            }
            Change::ChangeView { database, view } => {
                let database = self.database(*database)?;
                let Some(known) = database.views.get(&view.id) else {
                    return Err(CatalogError::NoRelation(view.name.clone()));
                };
                let before = known.owner;
                if (known.schema, &known.name) != (view.schema, &view.name) {
                    database.check_name(view.schema, &view.name)?;
                }
                database.change_owner(view.id.0, before, view.owner);
                database.views.insert(view.id, Arc::new(view.clone()));
                Ok(())
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of views: {change:?}");
                Ok(())
            }
        }
    }
}
