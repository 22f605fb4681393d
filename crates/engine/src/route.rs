//! Rows on their way into chunks: checked, cut by time, and held against the keys that are there.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{ConstraintKind, Table};
use chronolith_chunk::{KeyEncoder, Layout, cold, text_of};
use chronolith_types::{ChunkId, ColumnId, PartId, SqlType};

use crate::coldkeys::Sought;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::keys::KeyCache;
use crate::layout::layout_for;
use crate::record::Place;
use crate::state::State;

pub(crate) type Key = Box<[u8]>;

/// Keys that a transaction adds to a chunk, to be held against others once more at commit.
#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) place: Place,
    pub(crate) table: Arc<Table>,
    pub(crate) constraint: u32,
    pub(crate) keys: Vec<Key>,
    /// Parts that the keys were held against already.
    pub(crate) parts: Vec<PartId>,
    /// The rows, to name the one that is there already.
    pub(crate) rows: RecordBatch,
    /// Each key's row.
    pub(crate) key_rows: Vec<usize>,
}

/// A batch as rows of a table.
///
/// # Errors
/// When its columns are of other types, or have NULL where the table takes none (23502).
pub(crate) fn fitting(
    table: &Table,
    layout: &Layout,
    batch: &RecordBatch,
) -> Result<RecordBatch, EngineError> {
    let types = |schema: &Schema| -> Vec<DataType> {
        let fields = schema.fields().iter();
        fields.map(|field| field.data_type().clone()).collect()
    };
    if types(&batch.schema()) != types(layout.schema()) {
        return Err(EngineError::Columns(table.name.clone()));
    }
    let batch = batch
        .clone()
        .with_schema(Arc::clone(layout.schema()))
        .map_err(|_| EngineError::Columns(table.name.clone()))?;
    check_not_null(table, &batch)?;
    Ok(batch)
}

/// Refuses NULL where a column takes none; `batch` has the table's columns.
///
/// # Errors
/// 23502
pub fn check_not_null(table: &Table, batch: &RecordBatch) -> Result<(), EngineError> {
    let in_key = |id: ColumnId| {
        let mut kinds = table.constraints.iter().map(|constraint| &constraint.kind);
        kinds.any(
            |kind| matches!(kind, ConstraintKind::PrimaryKey { columns } if columns.contains(&id)),
        )
    };
    for (column, values) in table.columns.iter().zip(batch.columns()) {
        if values.null_count() > 0 && (column.not_null || in_key(column.id)) {
            return Err(EngineError::NotNull {
                column: column.name.clone(),
                table: table.name.clone(),
                schema: table.schema,
            });
        }
    }
    Ok(())
}

/// The start of the chunk range that a time lies in: multiples of the width, from 0.
pub(crate) fn range_of(time: i64, interval: i64) -> Range<i64> {
    let start = time.div_euclid(interval).saturating_mul(interval);
    start..start.saturating_add(interval)
}

/// Refuses times that no chunk has: infinite ones, and those that only the end of a range can be.
fn check_times(layout: &Layout, place: usize, times: &[i64]) -> Result<(), EngineError> {
    let Some(column) = layout.columns.get(place) else {
        return Ok(());
    };
    let (name, whole) = match column.ty {
        SqlType::Timestamp(_) | SqlType::Timestamptz(_) => ("timestamp", false),
        SqlType::Date => ("date", false),
        _ => ("bigint", true),
    };
    let refused = |time: &i64| *time == i64::MAX || (*time == i64::MIN && !whole);
    match times.iter().any(refused) {
        true => Err(EngineError::TimeOutOfRange { name, whole }),
        false => Ok(()),
    }
}

/// Rows, and the range of the chunk that they are in.
pub(crate) type Routed = (Range<i64>, RecordBatch);

/// Cuts a batch into the ranges of its rows' chunks, in order of arrival within each.
pub(crate) fn split(
    table: &Table,
    layout: &Layout,
    batch: &RecordBatch,
) -> Result<Vec<Routed>, EngineError> {
    let (Some(hypertable), Some(place)) = (&table.hypertable, layout.time) else {
        return Ok(vec![(i64::MIN..i64::MAX, batch.clone())]);
    };
    let times = time_values(batch.column(place))?;
    check_times(layout, place, &times)?;
    let mut ranges: BTreeMap<i64, (Range<i64>, Vec<u32>)> = BTreeMap::new();
    let mut last: Option<Range<i64>> = None;
    for (row, time) in times.iter().enumerate() {
        let range = match &last {
            Some(range) if range.contains(time) => range.clone(),
            _ => match table.chunk_at(*time) {
                Some(chunk) => chunk.range.clone(),
                None => free_range(table, *time, hypertable.interval),
            },
        };
        let entry = ranges
            .entry(range.start)
            .or_insert_with(|| (range.clone(), Vec::new()));
        entry.1.push(u32::try_from(row).unwrap_or(u32::MAX));
        last = Some(range);
    }
    if ranges.len() == 1 {
        let range = ranges.into_values().next().map_or(0..0, |(range, _)| range);
        return Ok(vec![(range, batch.clone())]);
    }
    ranges
        .into_values()
        .map(|(range, rows)| {
            let rows = take_record_batch(batch, &UInt32Array::from(rows))
                .map_err(chronolith_chunk::ChunkError::from)?;
            Ok((range, rows))
        })
        .collect()
}

/// A new chunk's range, cut where neighbours of another width begin or end.
fn free_range(table: &Table, time: i64, interval: i64) -> Range<i64> {
    let mut range = range_of(time, interval);
    for chunk in table.chunks.values() {
        if chunk.range.end <= time {
            range.start = range.start.max(chunk.range.end);
        } else if chunk.range.start > time {
            range.end = range.end.min(chunk.range.start);
        }
    }
    range
}

pub(crate) fn time_values(column: &ArrayRef) -> Result<Vec<i64>, EngineError> {
    Ok(cold::times(column)?)
}

/// "Key (a, b)=(1, 2)"; `places` are those of the columns in the batch.
pub(crate) fn describe(names: &[&str], places: &[usize], rows: &RecordBatch, row: usize) -> String {
    let value = |place: &usize| {
        let column = rows.columns().get(*place);
        let text = column.and_then(|column| text_of(column, row));
        text.unwrap_or_else(|| "null".to_owned())
    };
    let values: Vec<String> = places.iter().map(value).collect();
    format!("Key ({})=({})", names.join(", "), values.join(", "))
}

/// 23505 for a row of a batch, whose key lies at some places of it.
pub(crate) fn exists(
    table: &Table,
    constraint: &str,
    key: &[usize],
    places: &[usize],
    rows: &RecordBatch,
    row: usize,
) -> EngineError {
    let names = key.iter().filter_map(|place| table.columns.get(*place));
    let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
    EngineError::Unique {
        constraint: constraint.to_owned(),
        table: table.name.clone(),
        schema: table.schema,
        detail: format!("{} already exists.", describe(&names, places, rows, row)),
    }
}

impl Claim {
    /// A claim for each key of a table that rows bring to a chunk; 23505 when two of the rows
    /// are alike.
    pub(crate) fn of(
        table: &Arc<Table>,
        layout: &Layout,
        place: Place,
        rows: &RecordBatch,
        parts: &[PartId],
    ) -> Result<Vec<Self>, EngineError> {
        let mut claims = Vec::new();
        for (constraint, columns) in table.unique_keys() {
            let encoder = layout.encoder(&columns)?;
            let mut keys = Vec::new();
            let mut key_rows = Vec::new();
            for (row, key) in encoder.keys(rows)?.iter().enumerate() {
                if let Some(key) = key {
                    keys.push(key.into());
                    key_rows.push(row);
                }
            }
            claims.push(Self {
                place,
                table: Arc::clone(table),
                constraint: constraint.id,
                keys,
                parts: parts.to_vec(),
                rows: rows.clone(),
                key_rows,
            });
        }
        Ok(claims)
    }

    pub(crate) fn refuse(&self, index: usize) -> EngineError {
        let constraint = self
            .table
            .unique_keys()
            .into_iter()
            .find(|(constraint, _)| constraint.id == self.constraint);
        let (name, columns) = match constraint {
            Some((constraint, columns)) => (constraint.name.clone(), columns),
            None => (String::new(), Vec::new()),
        };
        let row = self.key_rows.get(index).copied().unwrap_or(0);
        exists(&self.table, &name, &columns, &columns, &self.rows, row)
    }
}

impl Engine {
    /// Holds claims against hot rows, and against parts that came since they were made.
    pub(crate) fn check_claims(
        &self,
        state: &State,
        claims: &[Arc<Claim>],
        moved: &BTreeMap<Place, ChunkId>,
    ) -> Result<(), EngineError> {
        for claim in claims {
            let mut place = claim.place;
            if let Some(chunk) = moved.get(&place) {
                place.chunk = *chunk;
            }
            self.check_claim(state, claim, place)?;
        }
        Ok(())
    }

    /// Holds a claim against the rows of a state whose columns are those that it was made for.
    pub(crate) fn check_claim(
        &self,
        state: &State,
        claim: &Claim,
        place: Place,
    ) -> Result<(), EngineError> {
        {
            let mut keys = self.keys.lock();
            check_hot(&mut keys, state, claim, place)?;
            self.key_bytes.store(keys.bytes(), Ordering::Relaxed);
        }
        self.check_cold(state, claim, place)
    }
}

/// How a claim's keys are made of rows.
struct Made {
    layout: Arc<Layout>,
    columns: Vec<usize>,
    encoder: Arc<KeyEncoder>,
}

fn made(claim: &Claim) -> Result<Option<Made>, EngineError> {
    if claim.keys.is_empty() {
        return Ok(None);
    }
    let layout = layout_for(&claim.table);
    let mut keys = claim.table.unique_keys().into_iter();
    let Some((_, columns)) = keys.find(|(known, _)| known.id == claim.constraint) else {
        return Ok(None);
    };
    let encoder = layout.encoder(&columns)?;
    Ok(Some(Made {
        layout,
        columns,
        encoder,
    }))
}

/// Holds a claim against hot rows.
pub(crate) fn check_hot(
    cache: &mut KeyCache,
    state: &State,
    claim: &Claim,
    place: Place,
) -> Result<(), EngineError> {
    let (Some(hot), Some(Made { encoder, .. })) = (state.hot(place), made(claim)?) else {
        return Ok(());
    };
    let keys = claim.keys.iter().map(|key| &**key);
    match cache.find(place, claim.constraint, hot, &encoder, keys)? {
        Some(index) => Err(claim.refuse(index)),
        None => Ok(()),
    }
}

/// Rows of more series are held against all rows of their times.
const SERIES_MAX: usize = 16;

/// Text columns of a key that parts are sorted by, and the values that some rows of a batch have
/// there: a few late rows need not read the series of all others.
pub(crate) fn series_of(
    rows: &RecordBatch,
    key_rows: &[usize],
    layout: &Layout,
    key: &[usize],
) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for place in layout.segment_by.iter().filter(|place| key.contains(place)) {
        let Some(column) = rows.columns().get(*place) else {
            continue;
        };
        let Some(texts) = column.as_string_view_opt() else {
            continue;
        };
        let mut values: Vec<String> = Vec::new();
        for row in key_rows {
            let text = texts.value(*row);
            if !values.iter().any(|known| known == text) {
                values.push(text.to_owned());
            }
            if values.len() > SERIES_MAX {
                break;
            }
        }
        if values.len() <= SERIES_MAX {
            found.push((*place, values));
        }
    }
    found
}

impl Engine {
    /// Holds a claim against the parts that it was not held against yet.
    pub(crate) fn check_cold(
        &self,
        state: &State,
        claim: &Claim,
        place: Place,
    ) -> Result<(), EngineError> {
        let Some(Made {
            layout,
            columns,
            encoder,
        }) = made(claim)?
        else {
            return Ok(());
        };
        let table = state.table(place.table_key());
        let Some(chunk) = table.and_then(|table| table.chunks.get(&place.chunk)) else {
            return Ok(());
        };
        let keys: Vec<&[u8]> = claim.keys.iter().map(|key| &**key).collect();
        let sought = Sought {
            layout: &layout,
            columns: &columns,
            encoder: &encoder,
            constraint: claim.constraint,
            keys: &keys,
            rows: &claim.rows,
            key_rows: &claim.key_rows,
        };
        let new = |part: &&Arc<chronolith_catalog::Part>| !claim.parts.contains(&part.id);
        for part in chunk.parts.iter().filter(new) {
            if let Some(cold) = state.cold(place.table_key(), part) {
                let found = self.cold_rows(part.id, &cold, &sought)?;
                if let Some(index) = found.iter().position(Option::is_some) {
                    return Err(claim.refuse(index));
                }
            }
        }
        Ok(())
    }
}
