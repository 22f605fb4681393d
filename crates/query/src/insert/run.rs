//! INSERT run: what it reads is the table's once all of it is read.

use std::sync::Arc;

use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use chronolith_engine::{LockMode, Wait};
use datafusion::common::ScalarValue;
use futures::StreamExt;

use super::bind::{InsertPlan, Source};
use super::checks::Checks;
use super::first::first_fault;
use crate::bind::set_parameters;
use crate::dml::compact;
use crate::error::Error;
use crate::session::{self, Shared, blocking, blocking_for};

/// Runs a bound INSERT; how many rows it wrote. With many values of its parameters it writes the rows
/// of them all: see [`Cells::repeats`](super::values::Cells::repeats).
pub(crate) async fn run(
    shared: &Arc<Shared>,
    insert: &InsertPlan,
    params: &[ScalarValue],
    many: Option<&RecordBatch>,
) -> Result<u64, Error> {
    let table = shared
        .catalog()
        .table(shared.database, insert.table)
        .cloned()
        .ok_or_else(|| Error::internal("the table of an INSERT is gone"))?;
    shared.lock_table(table.id, &table.name, LockMode::RowExclusive, Wait::Block)?;
    let missing = match &insert.source {
        Source::Rows(_, missing) => missing.as_slice(),
        _ => &[],
    };
    let checks = Checks::filling(shared, &table, missing)?;
    let write = |batch: &RecordBatch| {
        let batch = checks.computed(batch)?;
        let taken = checks.hold(&batch).and_then(|()| {
            checks.note(&batch)?;
            blocking_for(batch.num_rows(), || {
                shared.transact(|transaction| transaction.insert(insert.table, &batch))
            })
        });
        let first = |error| first_fault(shared, insert.table, &checks, &batch, error);
        let rows = taken.map_err(first)?;
        checks.settle(shared)?;
        shared.count_inserted(insert.table, rows)?;
        Ok(rows)
    };
    let plan = match &insert.source {
        Source::Rows(batch, _) => return write(batch),
        Source::Cells(cells) => {
            return write(&match many {
                Some(many) => cells.repeated(many, shared, &table)?,
                None => cells.batch(shared, &table, params)?,
            });
        }
        Source::Plan(plan) => set_parameters(plan, params)?,
    };
    // What the statement reads must not grow while it writes: the transaction gets the rows when
    // all is read.
    let mut source = session::run(shared, &plan).await?;
    let mut intake = shared.transact(|transaction| transaction.intake(insert.table))?;
    while let Some(batch) = source.next().await {
        let batch = checks.complete(&of_table(&table, &batch?)?)?;
        checks.note(&batch)?;
        let batch = compact(batch)?;
        blocking_for(batch.num_rows(), || intake.push(batch))?;
    }
    drop(source);
    let rows = blocking(|| {
        shared.transact(|transaction| intake.finish(transaction).map_err(|(_, error)| error))
    })?;
    checks.settle(shared)?;
    shared.count_inserted(insert.table, rows)?;
    Ok(rows)
}

/// A batch under the names of its table's columns.
fn of_table(table: &Arc<Table>, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let layout = chronolith_engine::layout_for(table);
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(layout.schema()),
        batch.columns().to_vec(),
        &options,
    )?)
}
