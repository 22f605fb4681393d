//! What a transaction found of a table's rows, and what must still be so when it commits.
//!
//! Somebody who looked for rows of another table, or for their absence, has others look again at
//! the commit when those rows have changed since: in the order of the log, where nothing comes
//! between.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chronolith_chunk::HotPart;
use chronolith_types::{ChunkId, TableId};

use crate::check::Print;
use crate::error::EngineError;
use crate::record::{Place, TableKey};
use crate::state::State;
use crate::transaction::Transaction;
use crate::view::TableView;

/// Looks at a table's rows, and refuses them.
pub type Hold = dyn Fn(&TableView) -> Result<(), EngineError> + Send + Sync;

/// Rows of a table, as somebody found them.
#[derive(Clone)]
pub(crate) struct Watch {
    key: TableKey,
    /// What was looked at; None to look in any case.
    found: Option<(Print, u64)>,
    hold: Arc<Hold>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Watch {
    /// Looks again where something has changed.
    pub(crate) fn check(
        &self,
        before: &State,
        next: &State,
        own: &BTreeMap<Place, HotPart>,
    ) -> Result<(), EngineError> {
        if self.found.is_some() && self.found == Some(found(before, self.key)) {
            return Ok(());
        }
        match next.view(self.key, own, &(i64::MIN..i64::MAX)) {
            Some(view) => (self.hold)(&view),
            // Whatever asked something of a table that is gone is gone with it.
            None => Ok(()),
        }
    }
}

/// What there is of a table: rows that came and rows that went change it.
fn found(state: &State, key: TableKey) -> (Print, u64) {
    let rows = state.view(key, &BTreeMap::new(), &(i64::MIN..i64::MAX));
    (state.print(key), rows.map_or(0, |view| view.rows()))
}

/// A transaction's own rows where others' chunks have taken the place of its own.
pub(crate) fn moved_rows(
    own: &BTreeMap<Place, HotPart>,
    moved: &BTreeMap<Place, ChunkId>,
) -> BTreeMap<Place, HotPart> {
    let place = |place: &Place| match moved.get(place) {
        Some(chunk) => place.table_key().place(*chunk),
        None => *place,
    };
    own.iter()
        .map(|(at, rows)| (place(at), rows.clone()))
        .collect()
}

impl Transaction {
    /// Has `hold` look at a table's rows again when the transaction commits and others have changed
    /// them since its snapshot, or in any case when nobody looked yet.
    pub fn watch(&mut self, table: TableId, looked: bool, hold: Arc<Hold>) {
        let key = TableKey::new(self.database(), table);
        let found = looked.then(|| found(self.snapshot(), key));
        self.add_watch(Watch { key, found, hold });
    }
}
