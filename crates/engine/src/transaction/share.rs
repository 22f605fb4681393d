//! Rows that others may not take away, since rows of this transaction refer to them.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::record_batch::RecordBatch;
use chronolith_chunk::{Locator, RowSet};
use chronolith_types::{ChunkId, TableId};

use super::delete::source_of;
use super::{Isolation, Transaction};
use crate::error::EngineError;
use crate::locks::{RowMode, Wait};
use crate::moves::Source;
use crate::record::TableKey;
use crate::view::TableView;

const ALL: Range<i64> = i64::MIN..i64::MAX;

impl Transaction {
    /// Of each row of a batch, which has the table's columns, whether a row with the same key is
    /// there; until the transaction ends nobody else takes it away or gives it another key. Waits for
    /// those who are about to. At READ COMMITTED rows count that were committed since the statement
    /// began.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ when somebody has taken one away, 55P03, 57014, 40P01.
    pub fn share_keys(
        &mut self,
        table: TableId,
        constraint: u32,
        rows: &RecordBatch,
    ) -> Result<Vec<bool>, EngineError> {
        let old = self.isolation == Isolation::RepeatableRead;
        let mut own = vec![false; rows.num_rows()];
        let mut newest = false;
        loop {
            // Rows of what is read from now on can be found again.
            let (_pin, _) = self.engine.pin();
            let view = match newest {
                false => self.table(table),
                true => self.newest_view(table)?,
            };
            let Some(view) = view else {
                return Ok(own);
            };
            let found = self.find_in(&view, constraint, rows, old)?;
            let mut met = RowSet::default();
            for (own, locator) in own.iter_mut().zip(&found) {
                match locator {
                    // The newest state may not have what the transaction has loaded.
                    Some(locator) if self.is_of_own(&view, *locator) => *own = true,
                    Some(locator) => {
                        met.insert(*locator);
                    }
                    None => {}
                }
            }
            let there: Vec<bool> = own
                .iter()
                .zip(&found)
                .map(|(own, found)| *own || found.is_some())
                .collect();
            if !newest && !old && there.contains(&false) {
                newest = true;
                continue;
            }
            match self.lock_rows(&view, &met, RowMode::KeyShare, Wait::Block)? {
                super::RowsLocked::All => return Ok(there),
                _ => newest = true,
            }
        }
    }

    /// A table's rows as of now, with the transaction's own.
    fn newest_view(&self, table: TableId) -> Result<Option<TableView>, EngineError> {
        let latest = self.latest()?;
        let key = TableKey::new(self.database, table);
        let own: BTreeMap<_, _> = self
            .own
            .iter()
            .filter(|(place, _)| place.table_key() == key)
            .map(|(place, part)| (*place, part.snapshot()))
            .collect();
        Ok(latest.view(key, &own, &ALL))
    }

    fn is_of_own(&self, view: &TableView, locator: i128) -> bool {
        let Locator { chunk, source, .. } = Locator::from(locator);
        if source == Locator::OWN {
            return true;
        }
        if self.loaded.is_empty() {
            return false;
        }
        let key = TableKey::new(self.database, view.table.id);
        let place = key.place(ChunkId(i32::try_from(chunk).unwrap_or(i32::MAX)));
        let source = source_of(view, place, source);
        source.is_some_and(|source| source == Source::Own || self.is_own(source))
    }
}
