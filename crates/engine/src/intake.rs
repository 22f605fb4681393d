//! Rows for a table of which nobody knows yet how many there will be.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, Table};
use chronolith_chunk::bytes_of;
use chronolith_types::{DatabaseId, TableId};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::load::BulkLoader;
use crate::transaction::{KeysAre, Transaction};

/// Takes a statement's rows: few of them are inserted once it ends, many are loaded as they come.
/// The transaction has none of them before [`Intake::finish`], so that the statement may read the
/// table while it writes.
#[derive(Debug)]
pub struct Intake {
    engine: Arc<Engine>,
    database: DatabaseId,
    catalog: Arc<Catalog>,
    table: Arc<Table>,
    keys: KeysAre,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Few {
        batches: Vec<RecordBatch>,
        bytes: usize,
    },
    Many(Box<BulkLoader>),
}

impl Intake {
    pub(crate) fn new(
        engine: Arc<Engine>,
        database: DatabaseId,
        catalog: Arc<Catalog>,
        table: Arc<Table>,
    ) -> Self {
        Self {
            engine,
            database,
            catalog,
            table,
            keys: KeysAre::New,
            rows: Rows::Few {
                batches: Vec::new(),
                bytes: 0,
            },
        }
    }

    /// Says that each row takes the place of one that the transaction deletes before
    /// [`Intake::finish`], and has the keys of that one: nobody has to look for others that have them.
    pub fn keep_keys(&mut self) {
        self.keys = KeysAre::Kept;
    }

    /// Takes rows; `batch` has the table's columns in their order and physical types. Waits while
    /// more of them are being packed than there is memory for.
    ///
    /// # Errors
    /// Those of [`BulkLoader::push`].
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), EngineError> {
        let waiting = match &mut self.rows {
            Rows::Many(loader) => return loader.push(&batch),
            Rows::Few { batches, bytes } => {
                *bytes += bytes_of(&batch);
                batches.push(batch);
                if *bytes <= self.engine.load_bytes_min() {
                    return Ok(());
                }
                std::mem::take(batches)
            }
        };
        let mut loader = BulkLoader::new(
            Arc::clone(&self.engine),
            self.database,
            Arc::clone(&self.catalog),
            Arc::clone(&self.table),
        );
        for batch in waiting {
            loader.push(&batch)?;
        }
        self.rows = Rows::Many(Box::new(loader));
        Ok(())
    }

    /// Gives all rows to the transaction that it was begun in; how many they are.
    ///
    /// # Errors
    /// Those of [`Transaction::insert`] and [`BulkLoader::finish`]; the transaction then has none
    /// of the rows. With them the first row that is at fault, from 0, unless the rows became a
    /// load, which looks at them in another order.
    pub fn finish(self, transaction: &mut Transaction) -> Result<u64, (Option<u64>, EngineError)> {
        let batches = match self.rows {
            Rows::Many(loader) => return loader.finish(transaction).map_err(|error| (None, error)),
            Rows::Few { batches, .. } => batches,
        };
        let point = transaction.point();
        let table: TableId = self.table.id;
        let mut rows = 0;
        for batch in &batches {
            if let Err(error) = transaction.insert_with(table, batch, self.keys) {
                let (row, error) = match error {
                    // Who waited in vain does not wait again.
                    EngineError::Lock(_) => (0, error),
                    error => first_at_fault(transaction, table, batch, self.keys, error),
                };
                transaction.undo_to(point).map_err(|error| (None, error))?;
                return Err((Some(rows + row), error));
            }
            rows += batch.num_rows() as u64;
        }
        Ok(rows)
    }
}

/// The first row that a transaction does not take, and why not.
fn first_at_fault(
    transaction: &mut Transaction,
    table: TableId,
    batch: &RecordBatch,
    keys: KeysAre,
    mut error: EngineError,
) -> (u64, EngineError) {
    // Rows are refused by what is there or stands before them, so with a row at fault any more
    // that follow are refused as well: halving finds the first.
    let (mut good, mut bad) = (0, batch.num_rows());
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        let point = transaction.point();
        match transaction.insert_with(table, &batch.slice(0, middle), keys) {
            Ok(_) => good = middle,
            Err(earlier) => (bad, error) = (middle, earlier),
        }
        if let Err(lost) = transaction.undo_to(point) {
            return (good as u64, lost);
        }
    }
    (good as u64, error)
}
