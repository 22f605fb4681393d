//! INSERT run: all that it reads, then all that it writes.

use std::sync::Arc;

use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use datafusion::common::ScalarValue;
use futures::StreamExt;

use super::bind::InsertPlan;
use super::checks::Checks;
use super::values;
use crate::bind::set_parameters;
use crate::error::Error;
use crate::session::{self, Shared, blocking};

/// Runs a bound INSERT; how many rows it wrote.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    insert: &InsertPlan,
    params: &[ScalarValue],
) -> Result<u64, Error> {
    let table = shared
        .catalog()
        .table(shared.database, insert.table)
        .cloned()
        .ok_or_else(|| Error::internal("the table of an INSERT is gone"))?;
    let checks = Checks::of(shared, &table)?;
    if let Some(cells) = &insert.cells {
        let batch = values::batch(shared, &table, cells, params)?;
        checks.hold(&batch)?;
        return blocking(|| {
            shared.transact(|transaction| transaction.insert(insert.table, &batch))
        });
    }
    let plan = set_parameters(&insert.plan, params)?;
    // What the statement reads must not grow while it writes: all of it is read first.
    let mut source = session::run(shared, &plan).await?;
    let mut batches = Vec::new();
    while let Some(batch) = source.next().await {
        batches.push(batch?);
    }
    drop(source);
    let mut rows = 0;
    for batch in batches {
        let batch = of_table(&table, &batch)?;
        checks.hold(&batch)?;
        rows +=
            blocking(|| shared.transact(|transaction| transaction.insert(insert.table, &batch)))?;
    }
    Ok(rows)
}

/// A batch under the names of its table's columns.
fn of_table(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let layout = chronolith_engine::layout_of(table);
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(layout.schema()),
        batch.columns().to_vec(),
        &options,
    )?)
}
