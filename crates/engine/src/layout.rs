//! What chunks must know of a table, and rows made to fit it when it changes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Column, OrderBy, Table};
use chronolith_chunk::{ChunkError, HotPart, Layout, LayoutColumn, SortColumn, constant};

use crate::error::EngineError;

/// What a chunk must know of a table.
#[must_use]
pub fn layout_of(table: &Table) -> Layout {
    let column = |column: &Column| LayoutColumn {
        id: column.id,
        name: column.name.clone(),
        ty: column.ty.clone(),
    };
    let place = |id| table.columns.iter().position(|column| column.id == id);
    let time = table
        .hypertable
        .as_ref()
        .and_then(|hypertable| place(hypertable.time));
    let segment_by = table.segment_by().into_iter().filter_map(place).collect();
    let sorted = |order: OrderBy| {
        Some(SortColumn {
            column: place(order.column)?,
            descending: order.descending,
            nulls_first: order.nulls_first,
        })
    };
    let order_by = table.order_by().into_iter().filter_map(sorted).collect();
    let columns = table.columns.iter().map(column).collect();
    let layout = Layout::new(columns, time, segment_by, order_by);
    // Stores get a part with every load of their source; a chunk that is compressed is packed well.
    let layout = layout.packed(table.rollup.is_some());
    if table.columns.iter().all(|column| column.missing.is_none()) {
        return layout;
    }
    // The catalog was given a value of the type: State::change checks it.
    let missing = |column: &Column| constant(column.missing.as_ref()?, &column.ty).ok();
    layout.with_missing(table.columns.iter().map(missing).collect())
}

thread_local! {
    /// Layouts made last, by the tables that they are of.
    static MADE: RefCell<VecDeque<(Weak<Table>, Arc<Layout>)>> = const { RefCell::new(VecDeque::new()) };
}

/// The same, made once for as long as the table stays as it is: what a statement costs should not
/// be what describing its table costs.
#[must_use]
pub fn layout_for(table: &Arc<Table>) -> Arc<Layout> {
    const TABLES_MAX: usize = 16;
    MADE.with_borrow_mut(|made| {
        // Who is pointed at weakly is never changed in place, and no other gets its address.
        let same = |(of, _): &(Weak<Table>, _)| std::ptr::eq(of.as_ptr(), Arc::as_ptr(table));
        if let Some((_, layout)) = made.iter().find(|known| same(known)) {
            return Arc::clone(layout);
        }
        let layout = Arc::new(layout_of(table));
        if made.len() >= TABLES_MAX {
            made.pop_front();
        }
        made.push_back((Arc::downgrade(table), Arc::clone(&layout)));
        layout
    })
}

/// Whether rows made for one table are rows of the other as they are, its keys held.
pub(crate) fn same_shape(one: &Table, other: &Table) -> bool {
    // Mostly it is the table itself.
    if std::ptr::eq(one, other) {
        return true;
    }
    let alike = |(a, b): (&Column, &Column)| {
        a.id == b.id && a.not_null == b.not_null && a.ty.arrow() == b.ty.arrow()
    };
    let constraints = |table: &Table| {
        let kinds = table.constraints.iter().map(|known| known.kind.clone());
        kinds.collect::<Vec<_>>()
    };
    let time = |table: &Table| table.hypertable.as_ref().map(|known| known.time);
    one.columns.len() == other.columns.len()
        && one.columns.iter().zip(&other.columns).all(alike)
        && time(one) == time(other)
        && constraints(one) == constraints(other)
}

/// Whether every value of a type is a value of another, so that rows need no rewriting.
pub(crate) fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{Decimal128, Float32, Float64, Int16, Int32, Int64};
    match (from, to) {
        (Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Decimal128(digits, scale), Decimal128(more, finer)) => {
            finer >= scale && i16::from(*more) - i16::from(*digits) >= i16::from(finer - scale)
        }
        _ => from == to,
    }
}

/// A batch with the columns that its table has now.
pub(crate) fn fit(
    old: &Table,
    new: &Table,
    layout: &Layout,
    batch: &RecordBatch,
) -> Result<RecordBatch, EngineError> {
    let rows = batch.num_rows();
    let mut columns = Vec::with_capacity(new.columns.len());
    for (place, column) in new.columns.iter().enumerate() {
        let known = old.columns.iter().position(|known| known.id == column.id);
        let values = known.and_then(|place| batch.columns().get(place));
        columns.extend(match values {
            Some(values) => Some(cast(values, &column.ty.arrow()).map_err(ChunkError::from)?),
            None => layout.absent(place, rows),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(layout.schema());
    let fitted = RecordBatch::try_new_with_options(schema, columns, &options);
    Ok(fitted.map_err(ChunkError::from)?)
}

/// The same for a hot part.
pub(crate) fn fit_part(old: &Table, new: &Table, part: &HotPart) -> Result<HotPart, EngineError> {
    let layout = layout_of(new);
    part.rebuilt(|batch| fit(old, new, &layout, batch))
}
