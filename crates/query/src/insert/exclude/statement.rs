//! An exclusion constraint in a statement, whose rows are noted while it runs.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use chronolith_engine::Transaction;
use parking_lot::Mutex;

use super::bound::Exclusion;
use crate::error::Error;
use crate::routines::{hold_later, is_deferred};
use crate::session::Shared;

/// One in a statement.
#[derive(Debug)]
pub(in crate::insert) struct Excluding {
    pub(in crate::insert) exclusion: Arc<Exclusion>,
    /// It may be broken until the transaction ends.
    deferred: bool,
    /// The columns of the statement's rows that it is computed from.
    noted: Mutex<Vec<RecordBatch>>,
}

impl Excluding {
    pub(in crate::insert) fn new(shared: &Shared, exclusion: Arc<Exclusion>) -> Self {
        Self {
            deferred: is_deferred(shared, exclusion.constraint, exclusion.marks),
            exclusion,
            noted: Mutex::default(),
        }
    }

    pub(in crate::insert) fn note(&self, batch: &RecordBatch) -> Result<(), Error> {
        let columns = batch.project(&self.exclusion.keyed.places)?;
        self.noted.lock().push(columns);
        Ok(())
    }

    /// All rows are in: looks for others that they meet, now or when the transaction ends.
    pub(in crate::insert) fn settle(&self, shared: &Shared) -> Result<(), Error> {
        let batches = std::mem::take(&mut *self.noted.lock());
        let Some(first) = batches.first() else {
            return Ok(());
        };
        let exclusion = Arc::clone(&self.exclusion);
        let rows = concat_batches(&first.schema(), &batches)?;
        let noted = exclusion.noted(&rows)?;
        if noted.own.is_empty() {
            return Ok(());
        }
        let (constraint, marks) = (exclusion.constraint, exclusion.marks);
        let hold = move |transaction: &mut Transaction| exclusion.hold(transaction, &noted);
        match self.deferred {
            true => {
                hold_later(shared, constraint, marks, Arc::new(hold));
                Ok(())
            }
            false => Ok(shared.away(usize::MAX, hold)?),
        }
    }

    /// Whether it is computed from one of some columns.
    pub(in crate::insert) fn is_of(&self, sets: &[usize]) -> bool {
        let keyed = &self.exclusion.keyed;
        let generated = |place: &usize| {
            let column = keyed.table.columns.get(*place);
            column.is_none_or(|column| column.generated.is_some())
        };
        let mut places = keyed.places.iter();
        places.any(|place| sets.contains(place) || generated(place))
    }
}
