//! Keys that are unique by more than columns, as ON CONFLICT asks for them: which rows have those
//! that are proposed, and nobody else may get them meanwhile.

use std::collections::HashMap;

use arrow::record_batch::RecordBatch;
use chronolith_chunk::hash;
use chronolith_engine::{Claimed, EngineError, TableView, Transaction};
use chronolith_types::IndexId;

use super::unique::Unique;

/// The keys of a batch's rows; None for a row without one.
pub(crate) type Keys = Vec<Option<Vec<u8>>>;

impl Unique {
    /// The index that it is.
    pub(crate) fn index(&self) -> IndexId {
        self.index
    }

    /// The keys of rows that have the table's columns.
    ///
    /// # Errors
    /// What an expression meets.
    pub(crate) fn keys(&self, rows: &RecordBatch) -> Result<Keys, EngineError> {
        let mut keys = vec![None; rows.num_rows()];
        let of = rows.project(&self.keyed.places);
        self.each(
            &of.map_err(chronolith_chunk::ChunkError::from)?,
            |row, key, _| {
                if let Some(slot) = keys.get_mut(row) {
                    *slot = Some(key.to_vec());
                }
                true
            },
        )?;
        Ok(keys)
    }

    /// Where the rows of a view lie that have those keys.
    ///
    /// # Errors
    /// What the disk gives, and what an expression meets.
    pub(crate) fn find(
        &self,
        view: &TableView,
        keys: &Keys,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let mut wanted: HashMap<&[u8], Option<i128>> = HashMap::new();
        wanted.extend(keys.iter().flatten().map(|key| (key.as_slice(), None)));
        let mut found = Vec::new();
        if !wanted.is_empty() {
            let asked = || wanted.keys().copied();
            self.found(view, asked, |row, key| {
                if wanted.contains_key(key) {
                    found.push((key.to_vec(), row));
                }
                true
            })?;
        }
        let found: HashMap<Vec<u8>, i128> = found.into_iter().collect();
        let of = |key: &Option<Vec<u8>>| found.get(key.as_ref()?).copied();
        Ok(keys.iter().map(of).collect())
    }

    /// Claims the keys of rows that met none.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ when somebody has committed one, 55P03, 57014, 40P01.
    pub(crate) fn claim(
        &self,
        transaction: &mut Transaction,
        keys: &Keys,
    ) -> Result<Claimed, EngineError> {
        let hashes = keys.iter().flatten().map(|key| hash(key)).collect();
        transaction.claim_computed(self.keyed.table.id, self.index, hashes, |view| {
            Ok(self.find(view, keys)?.iter().any(Option::is_some))
        })
    }
}
