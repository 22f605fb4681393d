//! What all parts of one changing statement see.

use std::collections::HashMap;
use std::sync::Arc;

use chronolith_engine::TableView;
use chronolith_types::TableId;
use parking_lot::Mutex;

use crate::scan::Slots;
use crate::session::Shared;

/// The tables as they were when the statement began, each looked up once: locators are places in
/// these views, and mean nothing in others.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    views: Mutex<HashMap<TableId, TableView>>,
    /// Rows that pass between the statement's parts.
    pub(crate) slots: Arc<Slots>,
}

impl Sight {
    /// A table; None when there is no such one.
    pub(crate) fn view(&self, shared: &Shared, table: TableId) -> Option<TableView> {
        let known = self.views.lock().get(&table).cloned();
        known.or_else(|| {
            let found = shared.with(|state| state.transaction.as_ref()?.table(table))?;
            Some(self.views.lock().entry(table).or_insert(found).clone())
        })
    }
}

/// The sight of a session while a statement runs; what it had before is put back.
pub(crate) struct Held<'a> {
    shared: &'a Shared,
    before: Option<Arc<Sight>>,
}

impl<'a> Held<'a> {
    pub(crate) fn new(shared: &'a Shared, sight: Option<Arc<Sight>>) -> Self {
        let before = shared.with(|state| std::mem::replace(&mut state.sight, sight));
        Self { shared, before }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let before = self.before.take();
        self.shared.with(|state| state.sight = before);
    }
}
