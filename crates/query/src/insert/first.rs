//! Which row of a statement is refused first.

use arrow::record_batch::RecordBatch;
use chronolith_types::{SqlState, TableId};

use super::checks::Checks;
use crate::error::Error;
use crate::session::Shared;

/// More rows are not gone through one by one.
const ROWS_MAX: usize = 1000;

/// What PostgreSQL, which takes one row after the other, would have refused first of rows that were
/// refused together; the batch is complete. What goes in on the way goes with the transaction, which
/// has failed.
pub(super) fn first_fault(
    shared: &Shared,
    table: TableId,
    checks: &Checks,
    batch: &RecordBatch,
    error: Error,
) -> Error {
    let by_row = matches!(
        error.code,
        SqlState::NOT_NULL_VIOLATION | SqlState::CHECK_VIOLATION | SqlState::UNIQUE_VIOLATION
    );
    if !by_row || !(2..=ROWS_MAX).contains(&batch.num_rows()) {
        return error;
    }
    for row in 0..batch.num_rows() {
        let one = batch.slice(row, 1);
        let taken = checks
            .hold(&one)
            .and_then(|()| shared.transact(|transaction| transaction.insert(table, &one)));
        if let Err(first) = taken {
            return first;
        }
    }
    error
}
