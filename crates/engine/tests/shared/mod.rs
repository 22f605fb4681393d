//! A database to try things on: a hypertable `ticks` and a plain table `totals`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{Decimal128Type, Int64Type};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Column, Constraint, ConstraintKind, Hypertable, Table};
use chronolith_chunk::{RowSet, ScanRequest};
use chronolith_engine::{Engine, EngineConfig, EngineError, Isolation, Transaction};
use chronolith_platform::Platform;
use chronolith_platform::sim::SimDisk;
use chronolith_types::{ColumnId, DatabaseId, HypertableId, RoleId, SchemaId, SqlType, TableId};
use chronolith_wal::LogOptions;

pub(crate) const DB: DatabaseId = DatabaseId(5);

pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        background: false,
        log: LogOptions {
            segment_bytes_max: 4096,
        },
        ..EngineConfig::default()
    }
}

pub(crate) fn open(disk: &SimDisk, seed: u64) -> Result<Arc<Engine>, EngineError> {
    Engine::open(Platform::simulated(disk.clone(), seed), config())
}

pub(crate) fn column(id: u32, name: &str, ty: SqlType) -> Column {
    Column {
        id: ColumnId(id),
        name: name.to_owned(),
        ty,
        domain: None,
        not_null: id != 2,
        default: None,
        missing: None,
        identity: None,
        generated: None,
        comment: None,
    }
}

/// A hypertable of ten-µs chunks with the key (time, id), and a plain table of one number.
pub(crate) fn create(engine: &Arc<Engine>) -> Result<(), EngineError> {
    let mut transaction = engine.begin(DB, Isolation::ReadCommitted);
    let table = |id: TableId, name: &str, columns: Vec<Column>, key: Vec<ColumnId>| Table {
        id,
        schema: SchemaId(2200),
        name: name.to_owned(),
        owner: RoleId(10),
        columns,
        next_column: ColumnId(9),
        constraints: vec![Constraint {
            id: id.0 + 1000,
            name: format!("{name}_pkey"),
            kind: ConstraintKind::PrimaryKey { columns: key },
            marks: chronolith_catalog::ConstraintMarks::default(),
        }],
        indexes: Vec::new(),
        hypertable: None,
        chunks: BTreeMap::new(),
        comment: None,
        acl: None,
        rollup: None,
        persistence: chronolith_catalog::Persistence::default(),
    };
    let ticks = table(
        TICKS,
        "ticks",
        vec![
            column(1, "time", SqlType::Timestamptz(None)),
            column(2, "symbol", SqlType::Text),
            column(3, "id", SqlType::Int8),
        ],
        vec![ColumnId(1), ColumnId(3)],
    );
    let totals = table(
        TOTALS,
        "totals",
        vec![column(1, "id", SqlType::Int8)],
        vec![ColumnId(1)],
    );
    for table in [ticks, totals] {
        transaction.change(Change::CreateTable {
            database: DB,
            table: Box::new(table),
        })?;
    }
    transaction.change(Change::MakeHypertable {
        database: DB,
        table: TICKS,
        hypertable: Hypertable {
            id: HypertableId(1),
            time: ColumnId(1),
            interval: 10,
            compression: None,
            ..Hypertable::default()
        },
    })?;
    transaction.commit()?;
    Ok(())
}

pub(crate) const TICKS: TableId = TableId(20_000);
pub(crate) const TOTALS: TableId = TableId(20_001);

pub(crate) fn ticks(ids: &[i64]) -> RecordBatch {
    let times: Vec<i64> = ids.iter().map(|id| time_of(*id)).collect();
    let symbols: Vec<Option<String>> = ids
        .iter()
        .map(|id| (id % 5 != 0).then(|| format!("S{}", id % 3)))
        .collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
        ),
        ("symbol", Arc::new(StringViewArray::from_iter(symbols))),
        ("id", Arc::new(Int64Array::from(ids.to_vec()))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(crate) fn totals(id: i64) -> RecordBatch {
    let columns: Vec<(&str, ArrayRef)> = vec![("id", Arc::new(Int64Array::from(vec![id])))];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub(crate) fn ids(transaction: &Transaction, table: TableId, place: usize) -> Vec<i64> {
    let view = transaction.table(table).unwrap();
    let mut found = Vec::new();
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![place])) {
            let batch = batch.unwrap();
            found.extend(batch.column(0).as_primitive::<Int64Type>().values().iter());
        }
    }
    assert_eq!(found.len() as u64, view.rows());
    found.sort_unstable();
    found
}

pub(crate) fn time_of(id: i64) -> i64 {
    id * 7 % 40
}

/// Deletes the rows whose ids are wanted; which they were.
pub(crate) fn delete(
    transaction: &mut Transaction,
    wanted: impl Fn(i64) -> bool,
) -> Result<Vec<i64>, EngineError> {
    transaction.begin_change()?;
    let view = transaction.table(TICKS).unwrap();
    let mut rows = RowSet::default();
    let mut found = Vec::new();
    for (_, chunk) in view.chunks.iter() {
        let request = ScanRequest {
            locators: true,
            ..ScanRequest::all(vec![2])
        };
        for batch in chunk.scan(&view.layout, &request) {
            let batch = batch?;
            let ids = batch.column(0).as_primitive::<Int64Type>();
            let locators = batch.column(1).as_primitive::<Decimal128Type>();
            for (id, locator) in ids.values().iter().zip(locators.values()) {
                if wanted(*id) {
                    rows.insert(*locator);
                    found.push(*id);
                }
            }
        }
    }
    // What they lie at is what was looked for.
    let mut again = Vec::new();
    for batch in view.rows_of(&[2], &rows)? {
        again.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
    }
    found.sort_unstable();
    again.sort_unstable();
    assert_eq!(found, again);
    assert_eq!(transaction.delete(&view, &rows)?, found.len() as u64);
    assert_eq!(transaction.delete(&view, &rows)?, 0, "deleted twice");
    Ok(found)
}
