//! Rows of a continuous aggregate that outlive the raw ones, on their way back from a dump.
//!
//! A dump has the table that a view keeps its rows in where some of them are frozen. A restore makes
//! a plain table of it, which gets the dumped rows like any other; the view's label tells which
//! table that is. Once all raw rows are back as well, which is when the table's indexes are made,
//! its rows take the place of what the restored raw rows gave the view within the frozen ranges:
//! those say all there is to say of them, rows that came late and others that are still there too.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Database, Restoring, Rollup, Table};
use chronolith_chunk::{RowSet, ScanRequest, cold};
use chronolith_engine::LockMode;
use chronolith_types::TableId;

use super::Aggregate;
use crate::ddl::hypertable::table_of;
use crate::error::Error;
use crate::session::{Shared, blocking};

/// The ranges of a store whose rows a dump has.
pub(crate) fn is_dumped(store: &Table) -> bool {
    let rollup = store.rollup.as_ref();
    // What there is no index of is never told that all rows are there.
    rollup.is_some_and(|rollup| !rollup.frozen.is_empty()) && !store.indexes.is_empty()
}

/// Freezes what a label says is frozen: at once where no rows come for it.
pub(super) fn freeze(
    shared: &Arc<Shared>,
    store: TableId,
    aggregate: &Aggregate,
) -> Result<(), Error> {
    let home = shared.home()?;
    let waiting = aggregate.rows.as_ref();
    let waiting = waiting.and_then(|name| waiting_for(&home, name, store));
    let Some(waiting) = waiting else {
        for (start, end) in &aggregate.frozen {
            shared.change(Change::Freeze {
                database: shared.database,
                table: store,
                range: *start..*end,
            })?;
        }
        return Ok(());
    };
    let rollup = home.tables.get(&store).and_then(|of| of.rollup.clone());
    let rollup = rollup.ok_or_else(|| Error::internal("a store that is none"))?;
    let ranges = aggregate.frozen.iter().map(|(start, end)| *start..*end);
    shared.change(Change::SetRollup {
        database: shared.database,
        table: store,
        rollup: Some(Rollup {
            restoring: Some(Restoring {
                table: waiting,
                ranges: ranges.collect(),
                indexes: aggregate.indexes.len(),
            }),
            ..rollup
        }),
    })
}

/// The plain table of a name that is to have the rows of a store: their columns are the same.
fn waiting_for(home: &Database, name: &str, store: TableId) -> Option<TableId> {
    let schema = home.schema_named(Database::INTERNAL_SCHEMA)?;
    let table = home.table_named(schema.id, name)?;
    let store = home.tables.get(&store)?;
    let plain = table.hypertable.is_none() && table.rollup.is_none();
    let columns = |of: &Table| -> Vec<_> {
        let columns = of.columns.iter();
        columns.map(|of| (of.name.clone(), of.ty.clone())).collect()
    };
    (plain && columns(table) == columns(store)).then_some(table.id)
}

/// The store that waits for a table's rows.
fn waiting(home: &Database, table: TableId) -> Option<(&Arc<Table>, &Restoring)> {
    home.tables.values().find_map(|store| {
        let restoring = store.rollup.as_ref()?.restoring.as_ref()?;
        (restoring.table == table).then_some((store, restoring))
    })
}

/// An index of a table is to be made: who makes another one at the same time is waited for, so that
/// one of both sees that they are all there.
pub(crate) fn before_index(shared: &Arc<Shared>, table: TableId) -> Result<(), Error> {
    let home = shared.home()?;
    let Some((store, _)) = waiting(&home, table) else {
        return Ok(());
    };
    shared.lock_waiting(store.id, LockMode::AccessExclusive)?;
    shared.transact(|transaction| transaction.begin_statement())
}

/// An index of a table was made: the store that waits for the table's rows takes them when it was
/// the last one.
pub(crate) fn indexed(shared: &Arc<Shared>, table: TableId) -> Result<(), Error> {
    let home = shared.home()?;
    let (Some((store, restoring)), Some(dumped)) = (waiting(&home, table), home.tables.get(&table))
    else {
        return Ok(());
    };
    match dumped.indexes.len() >= restoring.indexes {
        true => take(shared, store.id, restoring),
        false => Ok(()),
    }
}

fn take(shared: &Arc<Shared>, store: TableId, restoring: &Restoring) -> Result<(), Error> {
    let store = table_of(shared, store)?;
    let dumped = shared.transact(|transaction| {
        transaction.begin_change()?;
        Ok::<_, Error>(transaction.table(restoring.table))
    })?;
    let dumped = dumped.ok_or_else(|| Error::internal("rows that are not there"))?;
    let all = ScanRequest::all((0..dumped.layout.columns.len()).collect());
    let chunks = dumped.chunks.iter();
    let rows = chunks.flat_map(|(_, chunk)| chunk.scan(&dumped.layout, &all));
    let rows = rows.map(|batch| batch.map_err(Error::from));
    replace(shared, &store, &restoring.ranges, rows)?;
    shared.change_unguarded(Change::DropTable {
        database: shared.database,
        id: restoring.table,
    })
}

/// Puts rows, those of them that lie within ranges, in the place of what a store has there, and
/// freezes the ranges.
///
/// # Errors
/// Those of reading and writing rows.
pub(crate) fn replace(
    shared: &Arc<Shared>,
    store: &Table,
    ranges: &[Range<i64>],
    rows: impl Iterator<Item = Result<RecordBatch, Error>>,
) -> Result<(), Error> {
    let known = shared.transact(|transaction| {
        transaction.begin_change()?;
        Ok::<_, Error>(transaction.table(store.id))
    })?;
    let known = known.ok_or_else(|| Error::internal("a store without rows"))?;
    let mut gone = RowSet::default();
    for range in ranges {
        let within = ScanRequest {
            time: range.clone(),
            locators: true,
            ..ScanRequest::all(Vec::new())
        };
        for (_, chunk) in known.chunks.iter() {
            for batch in chunk.scan(&known.layout, &within) {
                let batch = batch?;
                let last = batch.columns().last();
                let locators = last.and_then(|of| of.as_primitive_opt::<Decimal128Type>());
                for locator in locators.into_iter().flatten().flatten() {
                    gone.insert(locator);
                }
            }
        }
    }
    shared.transact(|transaction| transaction.delete(&known, &gone))?;
    let time = store.hypertable.as_ref().map(|hypertable| hypertable.time);
    let place = store.columns.iter().position(|of| Some(of.id) == time);
    let place = place.ok_or_else(|| Error::internal("a store without its time"))?;
    let frozen = |time: i64| ranges.iter().any(|range| range.contains(&time));
    let mut intake = shared.transact(|transaction| transaction.intake(store.id))?;
    for batch in rows {
        let batch = batch?;
        let times = cold::times(batch.column(place))?;
        let wanted: BooleanArray = times.iter().map(|time| Some(frozen(*time))).collect();
        let batch = filter_record_batch(&batch, &wanted)?;
        blocking(|| intake.push(batch).map_err(Error::from))?;
    }
    blocking(|| {
        let finish = |transaction: &mut _| intake.finish(transaction).map_err(|(_, error)| error);
        shared.transact(finish)
    })?;
    for range in ranges {
        settle(shared, store.id, range)?;
    }
    Ok(())
}

/// What is there of a range is what there is to be; what is computed from it follows.
fn settle(shared: &Arc<Shared>, store: TableId, range: &Range<i64>) -> Result<(), Error> {
    shared.transact(|transaction| transaction.invalidate(store, range))?;
    shared.change_unguarded(Change::Freeze {
        database: shared.database,
        table: store,
        range: range.clone(),
    })
}
