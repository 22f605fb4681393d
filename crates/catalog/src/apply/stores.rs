//! The stores of continuous aggregates.

use std::sync::Arc;

use chronolith_types::TableId;

use super::Applied;
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::rollup::Rollup;

impl Catalog {
    pub(super) fn change_stores(&mut self, change: &Change) -> Applied {
        match change {
            Change::SetRollup {
                database,
                table,
                rollup,
            } => self
                .database(*database)?
                .set_rollup(*table, rollup.as_ref()),
            Change::Invalidate {
                database,
                table,
                range,
            } => {
                let rollup = self.database(*database)?.table(*table)?.rollup_mut()?;
                rollup.invalidate(range);
                Ok(())
            }
            Change::Revalidate {
                database,
                table,
                range,
                upto,
            } => {
                let rollup = self.database(*database)?.table(*table)?.rollup_mut()?;
                rollup.revalidate(range, *upto);
                Ok(())
            }
            Change::Freeze {
                database,
                table,
                range,
            } => {
                let rollup = self.database(*database)?.table(*table)?.rollup_mut()?;
                rollup.freeze(range);
                Ok(())
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of stores: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    pub(super) fn set_rollup(&mut self, id: TableId, rollup: Option<&Rollup>) -> Applied {
        let table = self.table(id)?;
        if table.hypertable.is_none() {
            return Err(CatalogError::NotHypertable(table.name.clone()));
        }
        let before = std::mem::replace(&mut table.rollup, rollup.cloned());
        let stores = Arc::make_mut(&mut self.stores);
        for table in before.iter().flat_map(Rollup::followed) {
            if let Some(known) = stores.get_mut(&table) {
                known.retain(|store| *store != id);
                if known.is_empty() {
                    stores.remove(&table);
                }
            }
        }
        let Some(rollup) = rollup else {
            return Ok(());
        };
        for table in rollup.followed() {
            let known = stores.entry(table).or_default();
            if !known.contains(&id) {
                known.push(id);
            }
        }
        let Some(source) = self.tables.get(&rollup.source) else {
            return Err(CatalogError::NoRelation(rollup.source.to_string()));
        };
        if source.hypertable.is_none() {
            return Err(CatalogError::NotHypertable(source.name.clone()));
        }
        // What is computed from itself would be computed for ever.
        let mut above = Some(source);
        while let Some(table) = above {
            if table.id == id {
                return Err(CatalogError::RelationInUse(table.name.clone()));
            }
            let source = table.rollup.as_ref().map(|rollup| rollup.source);
            above = source.and_then(|source| self.tables.get(&source));
        }
        Ok(())
    }
}
