//! Keys that somebody else computes of rows: those of expressions, of some rows, with NULLs alike.
//! They are locked by hashes, as the engine's own are, and looked for by who computes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_chunk::RowSet;
use chronolith_types::{IndexId, TableId};

use super::{Claimed, Isolation, Transaction};
use crate::error::EngineError;
use crate::locks::{KeySpace, RowMode, Wait};
use crate::record::TableKey;
use crate::transaction::lock::RowsLocked;
use crate::view::TableView;

/// Whether rows that were found stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// None was found that stays.
    Nothing,
    /// Some are there, and nobody is about to take them away.
    Rows,
    /// What others have of the table is another table, or none: look at what the transaction has.
    Unknown,
}

impl Transaction {
    /// Keeps others from giving a table some of an index's keys, by hashes, until the transaction
    /// ends; waits for those who have done so before.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub fn lock_computed(
        &mut self,
        table: TableId,
        index: IndexId,
        hashes: Vec<u64>,
    ) -> Result<(), EngineError> {
        if hashes.is_empty() {
            return Ok(());
        }
        let space = KeySpace {
            database: self.database,
            table,
            constraint: index.0,
        };
        self.locker().lock_keys(space, hashes, Wait::Block)?;
        Ok(())
    }

    /// Claims keys that no row of the transaction's view has. `taken` says whether one of them is in
    /// what others have committed meanwhile.
    ///
    /// # Errors
    /// Those of [`Transaction::claim`] and of `taken`.
    pub fn claim_computed(
        &mut self,
        table: TableId,
        index: IndexId,
        hashes: Vec<u64>,
        taken: impl FnOnce(&TableView) -> Result<bool, EngineError>,
    ) -> Result<Claimed, EngineError> {
        let mark = self.locker().mark();
        self.lock_computed(table, index, hashes)?;
        let Some(view) = self.view_now(table)? else {
            return Ok(Claimed::Free);
        };
        match (taken(&view)?, self.isolation) {
            (false, _) => Ok(Claimed::Free),
            (true, Isolation::ReadCommitted) => {
                self.locker().release_to(mark);
                Ok(Claimed::Again)
            }
            (true, Isolation::RepeatableRead) => Err(EngineError::Conflict("update")),
        }
    }

    /// Whether rows that `look` finds in the newest state are there to stay: waits for those who are
    /// about to change them, and looks again.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01, and those of `look`.
    pub fn met_now(
        &mut self,
        table: TableId,
        look: impl Fn(&TableView) -> Result<Option<RowSet>, EngineError>,
    ) -> Result<Met, EngineError> {
        loop {
            // Rows of what is read from now on can be found again.
            let (_pin, _) = self.engine.pin();
            let Some(view) = self.view_now(table)? else {
                return Ok(Met::Unknown);
            };
            let Some(rows) = look(&view)? else {
                return Ok(Met::Nothing);
            };
            let waited = match self.lock_rows(&view, &rows, RowMode::Settled, Wait::Skip) {
                Ok(RowsLocked::All) => return Ok(Met::Rows),
                Ok(RowsLocked::Without(left)) => {
                    self.lock_rows(&view, &left, RowMode::Settled, Wait::Block)
                }
                again => again,
            };
            match waited {
                Ok(_) | Err(EngineError::Conflict(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Whether others have committed something since what it sees.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !Arc::ptr_eq(&self.engine.state(), &self.snapshot)
    }

    /// A table as others have committed it by now, with the transaction's own rows; None where the
    /// transaction has made it, or changed it into another.
    fn view_now(&self, table: TableId) -> Result<Option<TableView>, EngineError> {
        let key = TableKey::new(self.database, table);
        let all = i64::MIN..i64::MAX;
        let latest = self.latest()?;
        let view = latest.view(key, &self.own, &all);
        let own = self.state.view(key, &BTreeMap::new(), &all);
        let same = |view: &TableView| {
            own.is_some_and(|own| {
                Arc::ptr_eq(&own.layout, &view.layout)
                    || own.layout.schema() == view.layout.schema()
            })
        };
        Ok(view.filter(same))
    }
}
