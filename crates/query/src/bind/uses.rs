//! What a statement reads: relations, and which of their columns it names.

use super::scope::{Scope, ScopeColumn};
use super::state::{Binder, Use};

impl Binder<'_> {
    /// Notes that a relation is read by what is being bound, whatever of it.
    pub(super) fn uses_of(&mut self, relation: u32) {
        let view = self.view;
        self.use_of(relation, view);
    }

    /// Notes that a relation is read as a view's owner, or as the current role.
    pub(super) fn use_of(&mut self, relation: u32, view: Option<u32>) -> Option<&mut Use> {
        let same = |used: &Use| (used.relation, used.view) == (relation, view);
        if !self.uses.iter().any(same) {
            self.uses.push(Use {
                relation,
                view,
                columns: std::collections::BTreeSet::new(),
            });
        }
        self.uses.iter_mut().find(|used| same(used))
    }

    /// Notes what another binder found to be read.
    pub(super) fn uses_too(&mut self, uses: &[Use]) {
        for used in uses {
            if let Some(known) = self.use_of(used.relation, used.view) {
                known.columns.extend(used.columns.iter().copied());
            }
        }
    }

    /// From now on, whoever names one of these columns reads that relation's.
    pub(super) fn readable(&mut self, relation: u32, scope: &Scope) {
        for (at, column) in scope.columns.iter().enumerate() {
            // Where a row lies is no column of its table.
            if column.origin.is_some_and(|(_, attribute)| attribute < 0) {
                continue;
            }
            let number = attribute(relation, column, at);
            let known = self.readable.entry(column.column.clone()).or_default();
            let of = (relation, self.view, number);
            if !known.contains(&of) {
                known.push(of);
            }
        }
    }

    /// Notes that a column is named.
    pub(super) fn touch(&mut self, internal: &str) {
        let Some(of) = self.readable.get(internal).cloned() else {
            return;
        };
        for (relation, view, number) in of {
            if let Some(used) = self.use_of(relation, view) {
                used.columns.insert(number);
            }
        }
    }

    /// Notes that all of some columns are named.
    pub(super) fn touch_all<'s>(&mut self, columns: impl IntoIterator<Item = &'s ScopeColumn>) {
        for column in columns {
            self.touch(&column.column);
        }
    }
}

/// The attribute number of a relation's column in its place: a view's are numbered by their places.
pub(super) fn attribute(relation: u32, column: &ScopeColumn, at: usize) -> u32 {
    let own = column.origin.filter(|(oid, _)| *oid == relation);
    let number = own.and_then(|(_, attribute)| u32::try_from(attribute).ok());
    number.unwrap_or_else(|| u32::try_from(at).map_or(u32::MAX, |at| at.saturating_add(1)))
}
