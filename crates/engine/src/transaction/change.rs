//! Changes of what exists, and the transaction's own rows that follow them.

use std::sync::Arc;

use chronolith_catalog::Change;
use chronolith_types::TableId;

use super::Transaction;
use super::points::{Before, Claims, Rows, own_of};
use crate::check::Checked;
use crate::commit::rules;
use crate::error::EngineError;
use crate::layout::{fit, layout_of, same_shape};
use crate::record::{Place, TableKey};
use crate::route::Claim;
use crate::state::{Parts, State};

impl Transaction {
    /// Changes what exists. Rows follow: those of a dropped chunk go, also the transaction's own,
    /// and those of a changed table get its columns. A column that is to take no NULL, and a key
    /// that is to be unique, are held against all rows that are there. Stores of continuous
    /// aggregates follow when rows of their source go.
    ///
    /// # Errors
    /// When the change does not fit, or rows do not fit it (23502, 23505).
    pub fn change(&mut self, change: Change) -> Result<(), EngineError> {
        if matches!(
            change,
            Change::AddChunk { .. }
                | Change::ReplaceParts { .. }
                | Change::Invalidate { .. }
                | Change::Revalidate { .. }
                | Change::Freeze { .. }
        ) {
            return self.apply(change);
        }
        // Stores get something of rows as they were given, whatever becomes of them.
        self.derive()?;
        let (Change::Truncate { table, .. }
        | Change::DropChunk { table, .. }
        | Change::DetachChunk { table, .. }) = &change
        else {
            return self.apply(change);
        };
        let key = TableKey::new(self.database, *table);
        if !self.stores.contains_key(table) && self.state.rollup(key).is_none() {
            return self.apply(change);
        }
        self.whole(|this| {
            let before = Arc::clone(&this.state);
            this.apply(change.clone())?;
            this.follow(&before, &change)
        })
    }

    pub(super) fn apply(&mut self, change: Change) -> Result<(), EngineError> {
        let mut next = State::clone(&self.state);
        let parts = Parts::Now(&self.engine.platform.disk, &self.loaded);
        next.change(&change, parts, &mut Vec::new())?;
        let refitted = self.refitted(&next, &change)?;
        let mut checked = Vec::new();
        for (key, rule) in rules(&self.state, &change) {
            let own = match &refitted {
                Some(refitted) => own_of(&refitted.rows)?,
                None => self.own.clone(),
            };
            next.check_rule(key, &own, &rule)?;
            let print = self.snapshot.print(key);
            checked.push(Checked { key, rule, print });
        }
        self.state = Arc::new(next);
        self.changes.push(change);
        self.checked.append(&mut checked);
        if let Some(refitted) = refitted {
            self.derived = refitted.derived;
            let before = Before {
                derived: 0,
                rows: std::mem::replace(&mut self.rows, refitted.rows),
                claims: std::mem::replace(&mut self.claims, refitted.claims),
                deletions: std::mem::replace(&mut self.deletions, refitted.deletions),
            };
            let before = Arc::new(before);
            for savepoint in &mut self.savepoints {
                savepoint.before.get_or_insert_with(|| Arc::clone(&before));
            }
            self.rebuild_own()?;
        }
        Ok(())
    }

    /// The transaction's own rows and claims after a change; None where they stay as they are.
    pub(super) fn refitted(
        &self,
        next: &State,
        change: &Change,
    ) -> Result<Option<Before>, EngineError> {
        let gone = |place: Place| match change {
            Change::Truncate { database, table } => {
                place.table_key() == TableKey::new(*database, *table)
            }
            _ => {
                let table = next.table(place.table_key());
                !table.is_some_and(|table| table.chunks.contains_key(&place.chunk))
            }
        };
        let same = |place: Place| {
            let (now, then) = (place.table_key(), place.table_key());
            match (self.state.table(then), next.table(now)) {
                (Some(old), Some(new)) => Arc::ptr_eq(old, new) || same_shape(old, new),
                _ => false,
            }
        };
        let mut places = self.own.keys().copied();
        let deletions = self.deletions.iter();
        let mut kept = Before {
            rows: Rows::new(),
            claims: Claims::new(),
            deletions: deletions
                .filter(|known| !gone(known.place))
                .cloned()
                .collect(),
            derived: 0,
        };
        let same_deletions = kept.deletions.len() == self.deletions.len();
        if same_deletions && !places.any(|place| gone(place) || !same(place)) {
            return Ok(None);
        }
        for claim in &self.claims {
            if !gone(claim.place) && same(claim.place) {
                kept.claims.push(Arc::clone(claim));
            }
        }
        for (index, (place, batch)) in self.rows.iter().enumerate() {
            if index == self.derived {
                kept.derived = kept.rows.len();
            }
            let key = place.table_key();
            let (Some(old), Some(new)) = (self.state.table(key), next.table(key)) else {
                continue;
            };
            if gone(*place) {
                continue;
            }
            if same(*place) {
                kept.rows.push((*place, batch.clone()));
                continue;
            }
            let layout = layout_of(new);
            let batch = fit(old, new, &layout, batch)?;
            let claims = Claim::of(new, &layout, *place, &batch, &[])?;
            kept.claims.extend(claims.into_iter().map(Arc::new));
            kept.rows.push((*place, batch));
        }
        if self.derived >= self.rows.len() {
            kept.derived = kept.rows.len();
        }
        Ok(Some(kept))
    }

    /// Takes away all rows of a table; a hypertable's chunks go with them.
    ///
    /// # Errors
    /// 42P01 for a table that is not there.
    pub fn truncate(&mut self, table: TableId) -> Result<(), EngineError> {
        self.change(Change::Truncate {
            database: self.database,
            table,
        })?;
        let key = TableKey::new(self.database, table);
        match self.state.rollup(key) {
            // Its source still has what it was computed from.
            Some(_) => self.mark(table, i64::MIN..i64::MAX),
            None => Ok(()),
        }
    }
}
