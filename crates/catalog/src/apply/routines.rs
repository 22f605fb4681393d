//! Functions and procedures.

use std::sync::Arc;

use super::Applied;
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::routine::Routine;

impl Catalog {
    pub(super) fn change_routines(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateRoutine {
                database,
                routine,
                replace,
            } => {
                if !*replace {
                    self.take_oid(routine.id.0)?;
                }
                self.database(*database)?.create_routine(routine, *replace)
            }
            Change::DropRoutine { database, id } => {
                match self.database(*database)?.routines.remove(id) {
                    Some(_) => self.database(*database)?.forget(id.0),
                    None => Err(CatalogError::NoRoutine(id.to_string())),
                }
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of routines: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    pub(super) fn create_routine(&mut self, routine: &Routine, replace: bool) -> Applied {
        if !self.schemas.contains_key(&routine.schema) {
            return Err(CatalogError::NoSchema(routine.schema.to_string()));
        }
        let taken = |other: &Arc<Routine>| {
            other.types().eq(routine.types()) && !(replace && other.id == routine.id)
        };
        if self
            .routines_named(routine.schema, &routine.name)
            .any(taken)
        {
            return Err(CatalogError::RoutineExists(routine.name.clone()));
        }
        let before = self.routines.insert(routine.id, Arc::new(routine.clone()));
        if let Some(before) = before {
            self.change_owner(routine.id.0, before.owner, routine.owner);
        }
        Ok(())
    }
}
