//! An exclusion constraint that ON CONFLICT asks.

use std::collections::{HashMap, HashSet};

use arrow::record_batch::RecordBatch;
use chronolith_chunk::{ChunkError, hash};
use chronolith_engine::{Claimed, EngineError, TableView, Transaction};

use super::bound::Exclusion;
use super::lookup::Lookup;

impl Exclusion {
    /// Where a row of a view lies that each of some rows of the table meets.
    ///
    /// # Errors
    /// What the disk gives, and what an operator meets.
    pub(crate) fn find(
        &self,
        view: &TableView,
        rows: &RecordBatch,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let mut found = vec![None; rows.num_rows()];
        let columns = rows.project(&self.keyed.places).map_err(ChunkError::from)?;
        let lookup = Lookup::all(self.asked(&columns)?);
        if lookup.groups.is_empty() {
            return Ok(found);
        }
        let mut met: HashMap<u32, i128> = HashMap::new();
        self.scan(view, &lookup, |batch, locators| {
            let others = self.asked(batch)?;
            let mut hits = Vec::new();
            self.pairs(
                &lookup,
                &others,
                |row| met.contains_key(&row),
                |row, other| {
                    hits.push((row, other));
                },
            )?;
            for (row, other) in hits {
                let place = others.values.row(other as usize);
                if let Some(locator) = locators.get(place) {
                    met.entry(row).or_insert(*locator);
                }
            }
            Ok(true)
        })?;
        for (row, locator) in met {
            if let Some(slot) = found.get_mut(lookup.asked.values.row(row as usize)) {
                *slot = Some(locator);
            }
        }
        Ok(found)
    }

    /// Pairs of rows of a table that meet, one of some rows and one of others.
    ///
    /// # Errors
    /// What an operator meets.
    pub(crate) fn meeting(
        &self,
        these: &RecordBatch,
        those: &RecordBatch,
    ) -> Result<Vec<(usize, usize)>, EngineError> {
        let asked = |rows: &RecordBatch| {
            let columns = rows.project(&self.keyed.places).map_err(ChunkError::from)?;
            self.asked(&columns)
        };
        let (lookup, others) = (Lookup::all(asked(these)?), asked(those)?);
        let mut pairs = Vec::new();
        self.pairs(
            &lookup,
            &others,
            |_| false,
            |row, other| {
                let row = lookup.asked.values.row(row as usize);
                pairs.push((row, others.values.row(other as usize)));
            },
        )?;
        Ok(pairs)
    }

    /// Keeps others from adding what rows that met none meet.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ when somebody has committed one, 55P03, 57014, 40P01.
    pub(crate) fn claim(
        &self,
        transaction: &mut Transaction,
        rows: &RecordBatch,
    ) -> Result<Claimed, EngineError> {
        let columns = rows.project(&self.keyed.places).map_err(ChunkError::from)?;
        let groups = self.asked(&columns)?.groups;
        let hashes: HashSet<u64> = groups.iter().map(|group| hash(group)).collect();
        let hashes = hashes.into_iter().collect();
        transaction.claim_computed(self.keyed.table.id, self.index, hashes, |view| {
            Ok(self.find(view, rows)?.iter().any(Option::is_some))
        })
    }
}
