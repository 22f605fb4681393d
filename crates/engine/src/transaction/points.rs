//! Points to come back to: savepoints, and those of statements.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Change;
use chronolith_chunk::HotPart;

use super::Transaction;
use crate::error::EngineError;
use crate::locks::LockMark;
use crate::moves::Deletion;
use crate::record::Place;
use crate::route::Claim;

#[derive(Debug, Clone)]
pub(super) struct Savepoint {
    pub(super) name: String,
    pub(super) point: Point,
    /// What was locked then.
    pub(super) locks: Option<LockMark>,
    /// The rows and claims that the point counts, where a change has made others of them since.
    pub(super) before: Option<Arc<Before>>,
}

/// How much a transaction had done at some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(super) changes: usize,
    pub(super) rows: usize,
    pub(super) claims: usize,
    pub(super) checked: usize,
    pub(super) loads: usize,
    pub(super) derived: usize,
    pub(super) truncated: usize,
    pub(super) rewrites: usize,
    pub(super) watches: usize,
    pub(super) deletions: usize,
}

pub(super) type Rows = Vec<(Place, RecordBatch)>;
pub(super) type Claims = Vec<Arc<Claim>>;

#[derive(Debug, Clone)]
pub(super) struct Before {
    pub(super) rows: Rows,
    pub(super) claims: Claims,
    pub(super) deletions: Vec<Arc<Deletion>>,
    /// How many of the rows have been derived from; a savepoint knows that by itself.
    pub(super) derived: usize,
}

impl Transaction {
    /// Marks a point to come back to.
    pub fn savepoint(&mut self, name: &str) {
        self.join_deletions();
        let locks = Some(self.locker().mark());
        self.savepoints.push(Savepoint {
            name: name.to_owned(),
            point: self.point(),
            locks,
            before: None,
        });
    }

    pub(super) fn find_savepoint(&self, name: &str) -> Result<usize, EngineError> {
        self.savepoints
            .iter()
            .rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| EngineError::NoSavepoint(name.to_owned()))
    }

    /// Forgets a point, keeping what was done since.
    ///
    /// # Errors
    /// 3B001
    pub fn release(&mut self, name: &str) -> Result<(), EngineError> {
        let place = self.find_savepoint(name)?;
        self.savepoints.truncate(place);
        Ok(())
    }

    /// Undoes what was done since a point, which stays.
    ///
    /// # Errors
    /// 3B001
    pub fn rollback_to(&mut self, name: &str) -> Result<(), EngineError> {
        let place = self.find_savepoint(name)?;
        self.savepoints.truncate(place + 1);
        let Some(savepoint) = self.savepoints.get_mut(place) else {
            return Err(EngineError::NoSavepoint(name.to_owned()));
        };
        let (before, point) = (savepoint.before.take(), savepoint.point);
        if let Some(locks) = savepoint.locks {
            self.locker().release_to(locks);
        }
        self.restore(before);
        self.undo_to(point)
    }

    /// Takes back rows and claims of which a change had made others.
    pub(super) fn restore(&mut self, before: Option<Arc<Before>>) {
        if let Some(before) = before {
            let before = Arc::unwrap_or_clone(before);
            self.rows = before.rows;
            self.claims = before.claims;
            self.deletions = before.deletions;
        }
    }

    pub(crate) fn point(&self) -> Point {
        Point {
            changes: self.changes.len(),
            rows: self.rows.len(),
            claims: self.claims.len(),
            checked: self.checked.len(),
            loads: self.loads.len(),
            derived: self.derived,
            truncated: self.truncated.len(),
            rewrites: self.rewrites.len(),
            watches: self.watches.len(),
            deletions: self.deletions.len(),
        }
    }

    pub(crate) fn undo_to(&mut self, point: Point) -> Result<(), EngineError> {
        self.touched.clear();
        self.rows.truncate(point.rows);
        self.claims.truncate(point.claims);
        self.checked.truncate(point.checked);
        self.loads.truncate(point.loads);
        self.derived = point.derived;
        self.truncated.truncate(point.truncated);
        self.rewrites.truncate(point.rewrites);
        self.watches.truncate(point.watches);
        if point.changes != self.changes.len() || point.deletions != self.deletions.len() {
            self.changes.truncate(point.changes);
            self.deletions.truncate(point.deletions);
            self.reapply()?;
        }
        self.forget_loaded();
        self.rebuild_own()
    }

    /// Files of parts that no change names any more go.
    pub(super) fn forget_loaded(&mut self) {
        let changes = &self.changes;
        self.loaded.retain(|id, _| {
            changes.iter().any(|change| match change {
                Change::ReplaceParts { added, .. } => added.iter().any(|part| part.id == *id),
                _ => false,
            })
        });
    }

    /// What is read of the transaction's own rows, made anew from them.
    pub(super) fn rebuild_own(&mut self) -> Result<(), EngineError> {
        self.own = own_of(&self.rows)?;
        self.own_keys.clear();
        self.counted = false;
        self.delete_own();
        Ok(())
    }
}

/// Rows as they are read.
pub(super) fn own_of(
    rows: &[(Place, RecordBatch)],
) -> Result<BTreeMap<Place, HotPart>, EngineError> {
    let mut own: BTreeMap<Place, HotPart> = BTreeMap::new();
    for (place, batch) in rows {
        own.entry(*place).or_default().append(batch.clone())?;
    }
    Ok(own)
}
