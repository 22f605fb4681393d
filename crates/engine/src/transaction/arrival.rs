//! Rows keep the order in which they arrived, where a load comes behind others of its transaction.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Part, Table};
use chronolith_chunk::load::{Sorted, sort};
use chronolith_chunk::{HotPart, bytes_of};

use super::{Before, Claims, Rows, Savepoint, Transaction};
use crate::error::EngineError;
use crate::layout::layout_of;
use crate::moves::{Deletion, Source};
use crate::record::Place;
use crate::route;
use crate::state::OpenPart;

impl Transaction {
    /// Does a piece of a statement: all of it, or, on an error, nothing.
    pub(crate) fn whole<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.savepoints.push(Savepoint {
            name: String::new(),
            point: self.point(),
            locks: None,
            before: None,
        });
        let done = run(self);
        if let Some(savepoint) = self.savepoints.pop()
            && done.is_err()
        {
            self.restore(savepoint.before);
            self.undo_to(savepoint.point)?;
        }
        done
    }

    /// A part of the transaction's own rows of a chunk, which are its rows no more: what is hot is
    /// read behind all parts, and these rows came before the parts that are to be added. None when
    /// there are no such rows.
    pub(super) fn own_part(
        &mut self,
        table: &Arc<Table>,
        place: Place,
    ) -> Result<Option<(Part, Arc<OpenPart>)>, EngineError> {
        if self.own.get(&place).is_none_or(|own| own.rows() == 0) {
            return Ok(None);
        }
        let here = |(at, _): &&(Place, RecordBatch)| *at == place;
        // What stores are still to get something of is not of an earlier statement.
        if self.rows.iter().skip(self.derived).any(|row| here(&row)) {
            return Ok(None);
        }
        // Without those that it deleted again.
        let own = self.own.get(&place).into_iter();
        let batches: Vec<RecordBatch> = own.flat_map(HotPart::batches).cloned().collect();
        let unpacked: usize = batches.iter().map(bytes_of).sum();
        let layout = Arc::new(layout_of(table));
        let keys = table.unique_keys();
        let places: Vec<Vec<usize>> = keys.iter().map(|(_, places)| places.clone()).collect();
        let mut rows = match sort(&layout, batches, &places)? {
            Sorted::Rows { rows, .. } => rows,
            Sorted::Twice { key, row } => {
                return Err(match keys.get(key) {
                    Some((constraint, places)) => {
                        route::exists(table, &constraint.name, places, places, &row, 0)
                    }
                    None => EngineError::Columns(table.name.clone()),
                });
            }
        };
        if table.rollup.is_some() {
            let catalog = &self.state.catalog;
            rows = self
                .engine
                .folded(catalog, place.table_key(), &layout, rows);
        }
        let engine = &self.engine;
        let part = engine.write_part(engine.allocate_part(), &layout, &rows, unpacked as u64)?;
        let elsewhere = |(at, _): &&(Place, RecordBatch)| *at != place;
        let derived = self.rows.iter().take(self.derived);
        let derived = derived.filter(elsewhere).count();
        let kept: Rows = self.rows.iter().filter(elsewhere).cloned().collect();
        let claims: Claims = self
            .claims
            .iter()
            .filter(|claim| claim.place != place)
            .cloned()
            .collect();
        let of_own = |known: &&Arc<Deletion>| known.place == place && known.source == Source::Own;
        let others = self.deletions.iter().filter(|known| !of_own(known));
        let others = others.cloned().collect();
        let before = Arc::new(Before {
            deletions: std::mem::replace(&mut self.deletions, others),
            rows: std::mem::replace(&mut self.rows, kept),
            claims: std::mem::replace(&mut self.claims, claims),
            derived: 0,
        });
        self.derived = derived;
        for savepoint in &mut self.savepoints {
            savepoint.before.get_or_insert_with(|| Arc::clone(&before));
        }
        self.rebuild_own()?;
        Ok(Some(part))
    }
}
