//! WHERE CURRENT OF: the row on which a cursor stands, where it lies by now.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_engine::TableView;
use chronolith_types::SqlState;
use datafusion::common::ScalarValue;

use super::rows::{columns, of_table};
use super::run::Run;
use crate::bind::CurrentOf;
use crate::error::Error;
use crate::session::{CursorRow, Shared, blocking};

/// The row of a change.
pub(super) struct Current {
    slot: usize,
    cursor: CursorRow,
    /// Where it lies in what the statement sees.
    found: Option<i128>,
}

impl Current {
    /// The row, and the rows of its slot: one with its locator behind its columns, or none where it
    /// was deleted.
    ///
    /// # Errors
    /// 34000 and 24000 for a cursor that stands on no row of the table.
    pub(super) fn of(
        run: &Run<'_>,
        current: &CurrentOf,
        table: &Arc<Table>,
    ) -> Result<(Self, RecordBatch), Error> {
        let (shared, slot) = (run.shared, current.slot);
        let number = current.variable.and_then(|number| number.checked_sub(1));
        let name = match number.and_then(|number| run.params.get(number)) {
            Some(ScalarValue::Utf8View(Some(name))) => name,
            _ => &current.cursor,
        };
        let cursor = shared.cursor_row(name, table)?;
        let view = run.sight.view(shared, table.id);
        let view = view.ok_or_else(|| Error::internal("a table that is changed has no rows"))?;
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let there = |locator: i128| blocking(|| view.rows_at(&all, &[locator]));
        let moved = |from: &TableView, locator: i128| {
            shared.with(|state| {
                let transaction = state.transaction.as_ref()?;
                transaction.relocate(from, locator, &view)
            })
        };
        let first = moved(&cursor.view, cursor.locator);
        // What the cursor made of the row before: the transaction's own rows stay where they are.
        let later = cursor.later.iter().copied();
        for locator in first.into_iter().chain(later) {
            let rows = there(locator)?;
            if rows.num_rows() > 0 {
                let found = Some(locator);
                return Ok((
                    Self {
                        slot,
                        cursor,
                        found,
                    },
                    rows,
                ));
            }
        }
        let found = by_key(shared, table, &cursor, &view)?;
        let rows = match found {
            Some(locator) => there(locator)?,
            None => view.rows_at(&all, &[])?,
        };
        Ok((
            Self {
                slot,
                cursor,
                found,
            },
            rows,
        ))
    }

    /// Where the change's plan reads the row.
    pub(super) fn slot(&self) -> usize {
        self.slot
    }

    /// The change is done: what the row has become, in a view of now.
    pub(super) fn done(&self, shared: &Shared, before: &TableView, deleted: bool) {
        if self.found.is_none() {
            return;
        }
        let after = || {
            let table = before.table.id;
            shared.with(|state| state.transaction.as_ref()?.table(table))
        };
        let now = match deleted {
            true => None,
            false => after().and_then(|after| after.last_own_since(before)),
        };
        self.cursor.became(now);
    }
}

/// The version of a row that other statements have changed since the cursor was opened.
fn by_key(
    shared: &Arc<Shared>,
    table: &Arc<Table>,
    cursor: &CursorRow,
    view: &TableView,
) -> Result<Option<i128>, Error> {
    let Some((key, _)) = table.unique_keys().into_iter().next() else {
        if cursor.deleted {
            return Ok(None);
        }
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "WHERE CURRENT OF a row that another statement has changed, of a table without a key",
        ));
    };
    let width = table.columns.len();
    let all: Vec<usize> = (0..width).collect();
    let old = blocking(|| cursor.view.rows_at(&all, &[cursor.locator]))?;
    let old = of_table(table, columns(&old, 0..width), old.num_rows())?;
    let found = blocking(|| shared.transact(|transaction| transaction.find(view, key.id, &old)))?;
    Ok(found.into_iter().flatten().next())
}
