//! Rollups to try things on: rows and the sum of their ids, by bucket and symbol. Three stores:
//! `FINE` of the ticks, `COARSE` of `FINE`, and `LATER` of the ticks, which is computed anew instead
//! of added to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, Change, Compression, Hypertable, OrderBy, Rollup, Table};
use chronolith_chunk::ScanRequest;
use chronolith_engine::{
    Derived, Engine, EngineError, Isolation, RollupError, Rollups, Transaction,
};
use chronolith_types::{
    ColumnId, DatabaseId, HypertableId, RoleId, SchemaId, SqlState, SqlType, TableId,
};

use crate::shared::{DB, TICKS, column};

pub(crate) const FINE: TableId = TableId(20_010);
pub(crate) const COARSE: TableId = TableId(20_011);
pub(crate) const LATER: TableId = TableId(20_012);
pub(crate) const STORES: [TableId; 3] = [FINE, COARSE, LATER];

/// An id that cannot be summed.
pub(crate) const POISON: i64 = 666_666;

pub(crate) fn source_of(store: TableId) -> TableId {
    if kind(store) == COARSE { FINE } else { TICKS }
}

/// Which of the stores it is like: numbers a hundred apart are of one kind.
fn kind(store: TableId) -> TableId {
    TableId(20_000 + store.0 % 100)
}

fn width(store: TableId) -> i64 {
    match kind(store) {
        FINE => 5,
        COARSE => 15,
        _ => 8,
    }
}

/// Count and sum by bucket and symbol.
pub(crate) type Sums = BTreeMap<Group, (i64, i64)>;

pub(crate) type Group = (i64, Option<String>);

fn add(sums: &mut Sums, bucket: i64, symbol: Option<&str>, count: i64, sum: i64) {
    let group = (bucket, symbol.map(str::to_owned));
    let (known_count, known_sum) = sums.entry(group).or_default();
    *known_count += count;
    *known_sum += sum;
}

/// Adds rows of a store's source, be it the ticks or another store.
fn gather(store: TableId, rows: &RecordBatch, sums: &mut Sums) {
    let times = rows.column(0).as_primitive::<TimestampMicrosecondType>();
    let symbols = rows.column(1).as_string_view();
    let numbers = rows.column(2).as_primitive::<Int64Type>();
    for (row, time) in times.values().iter().enumerate() {
        let bucket = time.div_euclid(width(store)) * width(store);
        let symbol = symbols.is_valid(row).then(|| symbols.value(row));
        let number = numbers.value(row);
        match source_of(store) {
            TICKS => add(sums, bucket, symbol, 1, number),
            _ => {
                let more = rows.column(3).as_primitive::<Int64Type>().value(row);
                add(sums, bucket, symbol, number, more);
            }
        }
    }
}

pub(crate) fn batch_of(sums: impl IntoIterator<Item = (Group, (i64, i64))>) -> RecordBatch {
    let rows: Vec<_> = sums.into_iter().collect();
    let buckets = rows.iter().map(|((bucket, _), _)| *bucket);
    let buckets = TimestampMicrosecondArray::from_iter_values(buckets).with_timezone("UTC");
    let symbols = rows.iter().map(|((_, symbol), _)| symbol.clone());
    let counts = rows.iter().map(|(_, (count, _))| *count);
    let sums = rows.iter().map(|(_, (_, sum))| *sum);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("bucket", Arc::new(buckets)),
        ("symbol", Arc::new(StringViewArray::from_iter(symbols))),
        ("count", Arc::new(Int64Array::from_iter_values(counts))),
        ("sum", Arc::new(Int64Array::from_iter_values(sums))),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, values)| (name, values, true)),
    )
    .unwrap()
}

#[derive(Debug)]
pub(crate) struct Counts;

impl Rollups for Counts {
    fn derive(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        source: TableId,
        rows: &[RecordBatch],
    ) -> Result<Vec<Derived>, RollupError> {
        let mut derived = Vec::new();
        for store in catalog.databases[&database].stores_of(source) {
            let mut sums = Sums::new();
            rows.iter().for_each(|rows| gather(*store, rows, &mut sums));
            let poisoned = |rows: &RecordBatch| {
                let numbers = rows.column(2).as_primitive::<Int64Type>().values();
                numbers.contains(&POISON)
            };
            if rows.iter().any(poisoned) {
                return Err(RollupError {
                    sqlstate: SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                    message: "bigint out of range".to_owned(),
                });
            }
            let first = sums.keys().next().map(|(bucket, _)| *bucket);
            let last = sums.keys().next_back().map(|(bucket, _)| *bucket);
            let times = first.zip(last);
            let later = kind(*store) == LATER;
            derived.push(Derived {
                store: *store,
                rows: (!later).then(|| batch_of(sums)),
                invalid: times
                    .filter(|_| later)
                    .map(|(first, last)| first..last + width(*store)),
            });
        }
        Ok(derived)
    }

    fn fold(
        &self,
        _: &Catalog,
        _: DatabaseId,
        _: TableId,
        rows: RecordBatch,
    ) -> Result<RecordBatch, RollupError> {
        // As they come sorted: equal ones are neighbours.
        let mut folded: Vec<(Group, (i64, i64))> = Vec::new();
        let times = rows.column(0).as_primitive::<TimestampMicrosecondType>();
        let symbols = rows.column(1).as_string_view();
        for row in 0..rows.num_rows() {
            let symbol = symbols.is_valid(row).then(|| symbols.value(row));
            let number = |place: usize| rows.column(place).as_primitive::<Int64Type>().value(row);
            let group = (times.value(row), symbol.map(str::to_owned));
            match folded.last_mut() {
                Some((last, (count, sum))) if *last == group => {
                    *count += number(2);
                    *sum += number(3);
                }
                _ => folded.push((group, (number(2), number(3)))),
            }
        }
        Ok(batch_of(folded))
    }

    fn buckets(
        &self,
        _: &Catalog,
        _: DatabaseId,
        store: TableId,
        range: Range<i64>,
    ) -> Result<Range<i64>, RollupError> {
        let width = width(store);
        let start = range.start.div_euclid(width) * width;
        Ok(start..(range.end - 1).div_euclid(width) * width + width)
    }
}

/// Makes some of the stores, each with all of it to be computed.
pub(crate) fn create(engine: &Arc<Engine>, stores: &[TableId]) -> Result<(), EngineError> {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    for store in stores {
        create_one(&mut transaction, *store, true)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Makes a store, whose maker may think that there are no rows yet.
pub(crate) fn create_one(
    transaction: &mut Transaction,
    store: TableId,
    marked: bool,
) -> Result<(), EngineError> {
    let (database, table) = (DB, store);
    let columns = [
        ("bucket", SqlType::Timestamptz(None)),
        ("symbol", SqlType::Text),
        ("count", SqlType::Int8),
        ("sum", SqlType::Int8),
    ];
    let columns = (1..).zip(columns);
    let columns = columns.map(|(id, (name, ty))| column(id, name, ty));
    let order = OrderBy {
        column: ColumnId(1),
        descending: false,
        nulls_first: false,
    };
    let changes = [
        Change::CreateTable {
            database,
            table: Box::new(Table {
                id: store,
                schema: SchemaId(16_000),
                name: format!("store_{store}"),
                owner: RoleId(10),
                columns: columns.collect(),
                next_column: ColumnId(5),
                constraints: Vec::new(),
                indexes: Vec::new(),
                hypertable: Some(Hypertable {
                    id: HypertableId(i32::try_from(store.0).unwrap()),
                    time: ColumnId(1),
                    interval: 20,
                    compression: Some(Compression {
                        segment_by: vec![ColumnId(2)],
                        order_by: vec![order],
                        ..Compression::default()
                    }),
                    ..Hypertable::default()
                }),
                chunks: BTreeMap::new(),
                comment: None,
                acl: None,
                rollup: None,
                persistence: chronolith_catalog::Persistence::default(),
            }),
        },
        Change::SetRollup {
            database,
            table,
            rollup: Some(Rollup::new(TableId(0), source_of(store))),
        },
        Change::Invalidate {
            database,
            table,
            range: i64::MIN..i64::MAX,
        },
    ];
    changes
        .into_iter()
        .filter(|change| marked || !matches!(change, Change::Invalidate { .. }))
        .try_for_each(|change| transaction.change(change))
}

pub(crate) fn rollup(transaction: &Transaction, store: TableId) -> Rollup {
    let catalog = transaction.catalog();
    let table = catalog.table(DB, store).unwrap();
    table.rollup.clone().unwrap()
}

fn scan(transaction: &Transaction, table: TableId, mut see: impl FnMut(&RecordBatch)) {
    let view = transaction.table(table).unwrap();
    let all: Vec<usize> = (0..view.layout.columns.len()).collect();
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(all.clone())) {
            see(&batch.unwrap());
        }
    }
}

/// What the store's rows say, right or not.
pub(crate) fn kept(transaction: &Transaction, store: TableId) -> Sums {
    let mut sums = Sums::new();
    scan(transaction, store, |batch| {
        let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        let symbols = batch.column(1).as_string_view();
        for row in 0..batch.num_rows() {
            let number = |place: usize| batch.column(place).as_primitive::<Int64Type>().value(row);
            let symbol = symbols.is_valid(row).then(|| symbols.value(row));
            add(&mut sums, times.value(row), symbol, number(2), number(3));
        }
    });
    sums
}

/// What the store's source says that it should have.
pub(crate) fn expected(transaction: &Transaction, store: TableId) -> Sums {
    let mut sums = Sums::new();
    match source_of(store) {
        TICKS => scan(transaction, TICKS, |batch| gather(store, batch, &mut sums)),
        source => gather(store, &batch_of(read(transaction, source)), &mut sums),
    }
    sums
}

/// What a reader of the continuous aggregate gets.
pub(crate) fn read(transaction: &Transaction, store: TableId) -> Sums {
    let invalid = rollup(transaction, store).invalid;
    let is_invalid = |bucket: i64| invalid.iter().any(|mark| mark.range.contains(&bucket));
    let mut sums = kept(transaction, store);
    sums.retain(|(bucket, _), _| !is_invalid(*bucket));
    if !invalid.is_empty() {
        let computed = expected(transaction, store).into_iter();
        sums.extend(computed.filter(|((bucket, _), _)| is_invalid(*bucket)));
    }
    sums
}

fn stores(catalog: &Catalog) -> Vec<TableId> {
    let tables = catalog.databases[&DB].tables.values();
    let stores = tables.filter(|table| table.rollup.is_some());
    stores.map(|table| table.id).collect()
}

/// Every store reads as its source says, but for what is frozen.
#[track_caller]
pub(crate) fn check(transaction: &Transaction) {
    for store in stores(&transaction.catalog()) {
        let frozen = rollup(transaction, store).frozen;
        let live = |sums: Sums| -> Sums {
            let is_frozen = |bucket: i64| frozen.iter().any(|range| range.contains(&bucket));
            let live = sums.into_iter();
            live.filter(|((bucket, _), _)| !is_frozen(*bucket))
                .collect()
        };
        let (read, expected) = (read(transaction, store), expected(transaction, store));
        assert_eq!(live(read), live(expected), "{store}");
    }
}

#[track_caller]
pub(crate) fn check_now(engine: &Arc<Engine>) {
    check(&engine.begin(DB, Isolation::RepeatableRead));
}

/// Computes anew what of a store is marked within a range.
pub(crate) fn fill(
    engine: &Arc<Engine>,
    store: TableId,
    range: &Range<i64>,
) -> Result<(), EngineError> {
    let mut transaction = engine.begin(DB, Isolation::RepeatableRead);
    let computed = read(&transaction, store);
    for mark in rollup(&transaction, store).invalid {
        let part = mark.range.start.max(range.start)..mark.range.end.min(range.end);
        if part.is_empty() {
            continue;
        }
        let within = computed.clone().into_iter();
        let within = within.filter(|((bucket, _), _)| part.contains(bucket));
        transaction.rewrite(store, part.clone(), &[batch_of(within)])?;
    }
    transaction.commit()?;
    Ok(())
}

/// The same for all of it, and all stores there are.
pub(crate) fn fill_all(engine: &Arc<Engine>) -> Result<(), EngineError> {
    for store in stores(&engine.catalog()) {
        fill(engine, store, &(i64::MIN..i64::MAX))?;
    }
    Ok(())
}
