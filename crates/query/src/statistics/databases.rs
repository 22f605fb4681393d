//! What the sessions of a database have done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronolith_types::DatabaseId;
use parking_lot::RwLock;

/// Counters of one database, which only grow.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Transactions that were committed.
    pub(crate) commits: AtomicU64,
    /// Transactions that were rolled back.
    pub(crate) rollbacks: AtomicU64,
    /// Rows sent to clients.
    pub(crate) returned: AtomicU64,
    /// Rows inserted.
    pub(crate) inserted: AtomicU64,
    /// Rows updated.
    pub(crate) updated: AtomicU64,
    /// Rows deleted.
    pub(crate) deleted: AtomicU64,
    /// Deadlocks that were broken.
    pub(crate) deadlocks: AtomicU64,
    /// Sessions that began.
    pub(crate) sessions: AtomicU64,
    /// µs that statements took.
    pub(crate) active_us: AtomicU64,
}

impl Counters {
    /// Adds to one of them.
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// What one of them says, as `bigint`.
    pub(crate) fn of(counter: &AtomicU64) -> i64 {
        i64::try_from(counter.load(Ordering::Relaxed)).unwrap_or(i64::MAX)
    }

    /// Counts what a command tag tells: `INSERT 0 5`, `UPDATE 1` …
    pub(crate) fn tag(&self, tag: &str) -> u64 {
        let count = rows_of(tag);
        self.changed(tag, count);
        count
    }

    /// Counts rows that a statement changed, by the first word of its tag.
    pub(crate) fn changed(&self, tag: &str, rows: u64) {
        match tag.split(' ').next() {
            Some("INSERT" | "COPY") => Self::add(&self.inserted, rows),
            Some("UPDATE") => Self::add(&self.updated, rows),
            Some("DELETE") => Self::add(&self.deleted, rows),
            _ => {}
        }
    }
}

/// The rows that a command tag counts.
fn rows_of(tag: &str) -> u64 {
    let last = tag.rsplit(' ').next().unwrap_or_default();
    last.parse().unwrap_or(0)
}

/// The counters of all databases.
#[derive(Debug, Default)]
pub(crate) struct Databases(RwLock<BTreeMap<DatabaseId, Arc<Counters>>>);

impl Databases {
    /// Those of one.
    pub(crate) fn of(&self, database: DatabaseId) -> Arc<Counters> {
        if let Some(known) = self.0.read().get(&database) {
            return Arc::clone(known);
        }
        Arc::clone(self.0.write().entry(database).or_default())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(DatabaseId, Arc<Counters>)> {
        let all = self.0.read();
        let all = all.iter();
        all.map(|(id, counters)| (*id, Arc::clone(counters)))
            .collect()
    }

    /// Begins one's anew.
    pub(crate) fn reset(&self, database: DatabaseId) {
        self.0.write().remove(&database);
    }
}
