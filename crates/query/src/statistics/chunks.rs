//! What statements have done to compressed chunks.

use std::collections::HashMap;

use chronolith_engine::Touched;
use chronolith_types::{ChunkId, DatabaseId};
use parking_lot::Mutex;

/// What a statement does to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Insert,
    Update,
    Delete,
    /// Any of these: what it did to a chunk is seen there.
    Merge,
}

impl Operation {
    fn on(self, touched: Touched) -> Self {
        match (self, touched.inserted, touched.deleted) {
            (Self::Merge, true, true) => Self::Update,
            (Self::Merge, false, true) => Self::Delete,
            (Self::Merge, ..) => Self::Insert,
            (other, ..) => other,
        }
    }
}

/// How many statements changed a chunk, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) inserts: u64,
    pub(crate) updates: u64,
    pub(crate) deletes: u64,
    pub(crate) first_us: i64,
    pub(crate) last_us: i64,
}

/// The compressed chunks of all databases that were changed since the start.
#[derive(Debug, Default)]
pub(crate) struct Chunks(Mutex<HashMap<(DatabaseId, ChunkId), Activity>>);

impl Chunks {
    /// Counts a statement on each chunk that it changed.
    pub(crate) fn add(
        &self,
        database: DatabaseId,
        operation: Operation,
        touched: &[(ChunkId, Touched)],
        now_us: i64,
    ) {
        let mut all = self.0.lock();
        for (chunk, touched) in touched {
            let activity = all.entry((database, *chunk)).or_insert(Activity {
                inserts: 0,
                updates: 0,
                deletes: 0,
                first_us: now_us,
                last_us: now_us,
            });
            match operation.on(*touched) {
                Operation::Update => activity.updates += 1,
                Operation::Delete => activity.deletes += 1,
                Operation::Insert | Operation::Merge => activity.inserts += 1,
            }
            activity.last_us = now_us;
        }
    }

    /// What was done to a chunk; None where nothing was.
    pub(crate) fn of(&self, database: DatabaseId, chunk: ChunkId) -> Option<Activity> {
        self.0.lock().get(&(database, chunk)).copied()
    }

    /// Begins a database's anew.
    pub(crate) fn reset(&self, database: DatabaseId) {
        self.0.lock().retain(|(of, _), _| *of != database);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_counts_as_what_it_did_to_each_chunk() {
        let chunks = Chunks::default();
        let touched = |chunk, inserted, deleted| (ChunkId(chunk), Touched { inserted, deleted });
        let all = [
            touched(1, true, false),
            touched(2, true, true),
            touched(3, false, true),
        ];
        chunks.add(DatabaseId(5), Operation::Merge, &all, 7);
        chunks.add(DatabaseId(5), Operation::Insert, &all[1..], 9);
        let of = |chunk| {
            let activity = chunks.of(DatabaseId(5), ChunkId(chunk))?;
            Some([activity.inserts, activity.updates, activity.deletes])
        };
        assert_eq!(of(1), Some([1, 0, 0]));
        assert_eq!(of(2), Some([1, 1, 0]));
        assert_eq!(of(3), Some([1, 0, 1]));
        let second = chunks.of(DatabaseId(5), ChunkId(2));
        assert_eq!(second.map(|of| (of.first_us, of.last_us)), Some((7, 9)));
        chunks.reset(DatabaseId(5));
        assert_eq!(of(1), None);
    }
}
