//! Triggers and row-level security.

use std::sync::Arc;

use chronolith_types::TableId;

use super::Applied;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::policy::RowSecurity;
use crate::trigger::Trigger;

impl Catalog {
    /// Notes the oids of triggers that are new.
    pub(super) fn take_triggers(&mut self, triggers: &[Trigger]) {
        let last = triggers.iter().map(|trigger| trigger.id).max();
        if let Some(last) = last {
            self.next_oid = self.next_oid.max(last.saturating_add(1));
        }
    }
}

impl Database {
    /// The triggers of a table or view, all of them.
    pub(super) fn set_triggers(&mut self, table: TableId, triggers: &[Trigger]) -> Applied {
        if !self.tables.contains_key(&table) && !self.views.contains_key(&table) {
            return Err(CatalogError::NoRelation(table.to_string()));
        }
        match triggers.is_empty() {
            true => self.triggers.remove(&table),
            false => self.triggers.insert(table, Arc::new(triggers.to_vec())),
        };
        Ok(())
    }

    /// Row-level security of a table.
    pub(super) fn set_row_security(&mut self, table: TableId, of: &RowSecurity) -> Applied {
        if !self.tables.contains_key(&table) {
            return Err(CatalogError::NoRelation(table.to_string()));
        }
        match of.is_empty() {
            true => self.row_security.remove(&table),
            false => self.row_security.insert(table, Arc::new(of.clone())),
        };
        Ok(())
    }
}
