//! Rows on their way into chunks: checked, cut by time, and held against the keys that are there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chronolith_catalog::Table;
use chronolith_chunk::{ChunkView, HotPart, KeyEncoder, Layout, ScanRequest, cold};
use chronolith_types::{ChunkId, PartId};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::record::Place;
use crate::state::{State, layout_of};

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
    /// Times of the rows, where the key has the time column.
    pub(crate) times: Option<Range<i64>>,
    /// The rows, to name the one that is there already.
    pub(crate) rows: RecordBatch,
    /// Each key's row.
    pub(crate) key_rows: Vec<usize>,
}

/// Keys of hot rows, by chunk and constraint; catches up with the rows when it is asked.
#[derive(Debug, Default)]
pub(crate) struct KeyCache {
    sets: HashMap<(Place, u32), KeySet>,
}

#[derive(Debug, Default)]
struct KeySet {
    keys: HashSet<Key>,
    covered: usize,
    /// Of the hot part whose rows are covered.
    generation: u64,
}

impl KeyCache {
    /// Rows left the chunk's hot part: what is known of it is void.
    pub(crate) fn forget(&mut self, place: Place) {
        self.sets.retain(|(of, _), _| *of != place);
    }

    fn set(
        &mut self,
        place: Place,
        constraint: u32,
        hot: Option<&HotPart>,
        encoder: &KeyEncoder,
    ) -> Result<&HashSet<Key>, EngineError> {
        let set = self.sets.entry((place, constraint)).or_default();
        let rows = hot.map_or(0, HotPart::rows);
        let generation = hot.map_or(0, HotPart::generation);
        // A row count alone could match when rows were flushed and as many came since.
        if set.generation != generation || set.covered > rows {
            *set = KeySet {
                generation,
                ..KeySet::default()
            };
        }
        let mut skip = set.covered;
        for batch in hot.map(HotPart::batches).unwrap_or_default() {
            if skip >= batch.num_rows() {
                skip -= batch.num_rows();
                continue;
            }
            let fresh = batch.slice(skip, batch.num_rows() - skip);
            skip = 0;
            set.keys.extend(encoder.keys(&fresh)?.into_iter().flatten());
        }
        set.covered = rows;
        Ok(&set.keys)
    }
}

/// Refuses NULL where a column takes none.
pub(crate) fn check_not_null(table: &Table, batch: &RecordBatch) -> Result<(), EngineError> {
    for (column, values) in table.columns.iter().zip(batch.columns()) {
        if column.not_null && values.null_count() > 0 {
            return Err(EngineError::NotNull {
                column: column.name.clone(),
                table: table.name.clone(),
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

/// Cuts a batch into the ranges of its rows' chunks, in order of arrival within each.
pub(crate) fn split(
    table: &Table,
    layout: &Layout,
    batch: &RecordBatch,
) -> Result<Vec<(Range<i64>, RecordBatch)>, EngineError> {
    let (Some(hypertable), Some(place)) = (&table.hypertable, layout.time) else {
        return Ok(vec![(i64::MIN..i64::MAX, batch.clone())]);
    };
    let times = time_values(batch.column(place))?;
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

/// "Key (a, b)=(1, 2) already exists."
fn describe(table: &Table, columns: &[usize], rows: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default();
    let names: Vec<&str> = columns
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .map(|column| column.name.as_str())
        .collect();
    let values: Vec<String> = columns
        .iter()
        .map(|place| {
            ArrayFormatter::try_new(rows.column(*place).as_ref(), &options)
                .map(|formatter| formatter.value(row).to_string())
                .unwrap_or_default()
        })
        .collect();
    format!(
        "Key ({})=({}) already exists.",
        names.join(", "),
        values.join(", ")
    )
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
            let encoder = KeyEncoder::new(layout, &columns)?;
            let mut keys = Vec::new();
            let mut key_rows = Vec::new();
            for (row, key) in encoder.keys(rows)?.into_iter().enumerate() {
                if let Some(key) = key {
                    keys.push(key);
                    key_rows.push(row);
                }
            }
            let times = match layout.time {
                Some(time) if columns.contains(&time) => {
                    let times = time_values(rows.column(time))?;
                    let first = times.iter().min().copied().unwrap_or(0);
                    let last = times.iter().max().copied().unwrap_or(0);
                    Some(first..last.saturating_add(1))
                }
                _ => None,
            };
            claims.push(Self {
                place,
                table: Arc::clone(table),
                constraint: constraint.id,
                keys,
                parts: parts.to_vec(),
                times,
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
        EngineError::Unique {
            constraint: name,
            table: self.table.name.clone(),
            detail: describe(&self.table, &columns, &self.rows, row),
        }
    }
}

impl Engine {
    /// Holds claims against hot rows, and against parts that came since they were made.
    pub(crate) fn check_claims(
        &self,
        state: &State,
        claims: &[Claim],
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

    pub(crate) fn check_claim(
        &self,
        state: &State,
        claim: &Claim,
        place: Place,
    ) -> Result<(), EngineError> {
        if claim.keys.is_empty() {
            return Ok(());
        }
        let layout = Arc::new(layout_of(&claim.table));
        let keys = claim.table.unique_keys();
        let Some((_, columns)) = keys.iter().find(|(known, _)| known.id == claim.constraint) else {
            return Ok(());
        };
        let encoder = KeyEncoder::new(&layout, columns)?;
        {
            let mut cache = self.keys.lock();
            let there = cache.set(place, claim.constraint, state.hot.get(&place), &encoder)?;
            if let Some(index) = claim.keys.iter().position(|key| there.contains(key)) {
                return Err(claim.refuse(index));
            }
        }
        let chunk = state
            .catalog
            .table(place.database, place.table)
            .and_then(|table| table.chunks.get(&place.chunk));
        let Some(chunk) = chunk else {
            return Ok(());
        };
        let wanted: HashMap<&[u8], usize> = claim
            .keys
            .iter()
            .enumerate()
            .map(|(index, key)| (&**key, index))
            .collect();
        for part in &chunk.parts {
            let Some(open) = state.cold.get(&part.id) else {
                continue;
            };
            if claim.parts.contains(&part.id) {
                continue;
            }
            let view = ChunkView {
                range: i64::MIN..i64::MAX,
                hot: Vec::new(),
                cold: vec![Arc::clone(&open.part)],
            };
            let request = ScanRequest {
                time: claim.times.clone().unwrap_or(i64::MIN..i64::MAX),
                ..ScanRequest::all(columns.clone())
            };
            for batch in view.scan(&layout, &request) {
                let batch = batch?;
                for key in encoder.keys_of(batch.columns())?.into_iter().flatten() {
                    if let Some(index) = wanted.get(&*key) {
                        return Err(claim.refuse(*index));
                    }
                }
            }
        }
        Ok(())
    }
}
