//! What became of the rows of each table.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronolith_types::{DatabaseId, TableId};
use parking_lot::RwLock;

/// Counters of one table, which only grow.
#[derive(Debug, Default)]
pub(crate) struct TableCounters {
    /// Rows inserted.
    pub(crate) inserted: AtomicU64,
    /// Rows updated.
    pub(crate) updated: AtomicU64,
    /// Rows deleted.
    pub(crate) deleted: AtomicU64,
}

/// Rows that a statement changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
}

/// The counters of all tables of all databases.
#[derive(Debug, Default)]
pub(crate) struct Tables(RwLock<HashMap<(DatabaseId, TableId), Arc<TableCounters>>>);

impl Tables {
    /// Counts what a statement did, also where its transaction does not come to pass.
    pub(crate) fn add(&self, database: DatabaseId, table: TableId, rows: Rows) {
        if rows == Rows::default() {
            return;
        }
        let known = self.0.read().get(&(database, table)).cloned();
        let counters = known.unwrap_or_else(|| {
            let mut all = self.0.write();
            Arc::clone(all.entry((database, table)).or_default())
        });
        for (counter, rows) in [
            (&counters.inserted, rows.inserted),
            (&counters.updated, rows.updated),
            (&counters.deleted, rows.deleted),
        ] {
            counter.fetch_add(rows, Ordering::Relaxed);
        }
    }

    /// What one table's say.
    pub(crate) fn of(&self, database: DatabaseId, table: TableId) -> Rows {
        let all = self.0.read();
        all.get(&(database, table))
            .map(|counters| read(counters))
            .unwrap_or_default()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(DatabaseId, TableId, Rows)> {
        let all = self.0.read();
        let mut rows: Vec<_> = all
            .iter()
            .map(|((database, table), counters)| (*database, *table, read(counters)))
            .collect();
        rows.sort_unstable_by_key(|(database, table, _)| (*database, *table));
        rows
    }

    /// Begins a database's anew.
    pub(crate) fn reset(&self, database: DatabaseId) {
        self.0.write().retain(|(of, _), _| *of != database);
    }
}

fn read(counters: &TableCounters) -> Rows {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Rows {
        inserted: of(&counters.inserted),
        updated: of(&counters.updated),
        deleted: of(&counters.deleted),
    }
}
