//! A table's rows held against a column or a key that is to be stricter from now on.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Constraint, ConstraintKind, Table};
use chronolith_chunk::{ChunkView, HotPart, Layout, ScanRequest, hash};
use chronolith_types::{ChunkId, ColumnId, PartId};

use crate::error::EngineError;
use crate::record::{Place, TableKey};
use crate::route::describe;
use crate::state::State;
use crate::view::TableView;

/// What of a table's rows somebody looked at: equal prints are of equal rows.
pub(crate) type Print = Vec<(ChunkId, u64, usize, Vec<PartId>)>;

/// That a change was held against all rows of a table as they were.
#[derive(Debug, Clone)]
pub(crate) struct Checked {
    pub(crate) key: TableKey,
    pub(crate) rule: Rule,
    pub(crate) print: Print,
}

/// What is asked of all rows.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// No NULL in a column.
    NotNull(ColumnId),
    /// No two rows alike.
    Unique(Constraint),
}

impl Rule {
    /// What a change asks of the rows that are there.
    pub(crate) fn of(before: Option<&Table>, change: &Change) -> Vec<Self> {
        match change {
            Change::AddColumn { column, .. } if column.not_null => vec![Self::NotNull(column.id)],
            Change::ChangeColumn { column, .. } if column.not_null => {
                let known = before.and_then(|table| table.column(column.id));
                match known.is_some_and(|known| known.not_null) {
                    true => Vec::new(),
                    false => vec![Self::NotNull(column.id)],
                }
            }
            Change::AddConstraint { constraint, .. } => match &constraint.kind {
                ConstraintKind::PrimaryKey { columns } => {
                    let mut rules: Vec<Self> = columns.iter().copied().map(Self::NotNull).collect();
                    rules.push(Self::Unique(constraint.clone()));
                    rules
                }
                // Whoever declares such a one holds it.
                ConstraintKind::Unique { .. } if constraint.marks.nulls_alike => Vec::new(),
                ConstraintKind::Unique { .. } => vec![Self::Unique(constraint.clone())],
                // So does whoever declares one of these.
                ConstraintKind::Check { .. }
                | ConstraintKind::ForeignKey(_)
                | ConstraintKind::Exclude { .. } => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

impl State {
    /// What a table's rows are.
    pub(crate) fn print(&self, key: TableKey) -> Print {
        let Some(table) = self.table(key) else {
            return Vec::new();
        };
        let of = |chunk: &Arc<chronolith_catalog::Chunk>| {
            let hot = self.hot(key.place(chunk.id));
            let parts: Vec<PartId> = chunk.parts.iter().map(|part| part.id).collect();
            let rows = hot.map_or(0, HotPart::all_rows);
            let generation = hot.filter(|_| rows > 0).map_or(0, HotPart::generation);
            (chunk.id, generation, rows, parts)
        };
        let prints = table.chunks.values().map(of);
        prints
            .filter(|(_, _, rows, parts)| *rows > 0 || !parts.is_empty())
            .collect()
    }

    /// Holds a rule against all rows of a table, and against those of a transaction.
    pub(crate) fn check_rule(
        &self,
        key: TableKey,
        own: &BTreeMap<Place, HotPart>,
        rule: &Rule,
    ) -> Result<(), EngineError> {
        let Some(view) = self.view(key, own, &ALL_TIMES) else {
            return Ok(());
        };
        match rule {
            Rule::NotNull(column) => no_nulls(&view, *column),
            Rule::Unique(constraint) => {
                let Some(columns) = constraint.kind.unique_columns() else {
                    return Ok(());
                };
                let place = |id: &ColumnId| view.table.columns.iter().position(|c| c.id == *id);
                let places: Option<Vec<usize>> = columns.iter().map(place).collect();
                let Some(places) = places else {
                    return Ok(());
                };
                no_duplicates(&view, &constraint.name, &places)
            }
        }
    }
}

fn no_nulls(view: &TableView, column: ColumnId) -> Result<(), EngineError> {
    let found = view.table.columns.iter().position(|c| c.id == column);
    let Some(place) = found else {
        return Ok(());
    };
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![place])) {
            if batch?.column(0).null_count() > 0 {
                let column = view.table.columns.get(place);
                return Err(EngineError::NullsThere {
                    column: column.map(|column| column.name.clone()).unwrap_or_default(),
                    table: view.table.name.clone(),
                    schema: view.table.schema,
                });
            }
        }
    }
    Ok(())
}

fn no_duplicates(view: &TableView, name: &str, places: &[usize]) -> Result<(), EngineError> {
    let chunks: Vec<&ChunkView> = view.chunks.iter().map(|(_, chunk)| chunk).collect();
    // With the time in the key, rows of two chunks are never alike.
    let apart = view.layout.time.is_some_and(|time| places.contains(&time));
    let groups: Vec<&[&ChunkView]> = match apart {
        true => chunks.chunks(1).collect(),
        false => vec![&chunks],
    };
    for group in groups {
        if let Some((batch, row)) = duplicate(&view.layout, places, group, &ALL_TIMES)? {
            let columns: Vec<usize> = (0..places.len()).collect();
            let names = places
                .iter()
                .filter_map(|place| view.table.columns.get(*place));
            let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
            return Err(EngineError::Duplicates {
                constraint: name.to_owned(),
                table: view.table.name.clone(),
                schema: view.table.schema,
                detail: format!("{} is duplicated.", describe(&names, &columns, &batch, row)),
            });
        }
    }
    Ok(())
}

/// Of all times there are; scans take it for no bound at all.
pub(crate) const ALL_TIMES: Range<i64> = i64::MIN..i64::MAX;

/// Hashes of keys that are held at once; eight bytes each.
const HASHES_MAX: usize = 8 << 20;

/// A row, by the columns of its key, whose key another row of some times has too.
///
/// Eight bytes a row find the few keys that may be twice; those are looked at whole. Where that
/// would be too many bytes, the hashes are cut into slices, and the rows read for each.
pub(crate) fn duplicate(
    layout: &Arc<Layout>,
    places: &[usize],
    chunks: &[&ChunkView],
    times: &Range<i64>,
) -> Result<Option<(RecordBatch, usize)>, EngineError> {
    duplicate_within(layout, places, chunks, times, HASHES_MAX)
}

fn duplicate_within(
    layout: &Arc<Layout>,
    places: &[usize],
    chunks: &[&ChunkView],
    times: &Range<i64>,
    hashes_max: usize,
) -> Result<Option<(RecordBatch, usize)>, EngineError> {
    let encoder = layout.encoder(places)?;
    let request = ScanRequest {
        time: times.clone(),
        ..ScanRequest::all(places.to_vec())
    };
    let scan = || {
        let batches = chunks.iter();
        batches.flat_map(|chunk| chunk.scan(layout, &request))
    };
    // A slice is the hashes that begin with some bits.
    let mut bits = 0u32;
    let mut slice = 0u64;
    loop {
        let mut hashes: Vec<u64> = Vec::new();
        for batch in scan() {
            let keys = encoder.keys_of(batch?.columns())?;
            for hash in keys.iter().flatten().map(hash) {
                if in_slice(hash, bits, slice) {
                    hashes.push(hash);
                }
            }
            // All earlier slices were as narrow, so only the first one finds out how wide they are.
            while slice == 0 && hashes.len() > hashes_max && bits < 32 {
                bits += 1;
                hashes.retain(|hash| in_slice(*hash, bits, slice));
            }
        }
        hashes.sort_unstable();
        let twice: HashSet<u64> = hashes
            .windows(2)
            .filter_map(|pair| match pair {
                [one, other] if one == other => Some(*one),
                _ => None,
            })
            .collect();
        drop(hashes);
        if !twice.is_empty() {
            let mut seen: HashSet<Box<[u8]>> = HashSet::new();
            for batch in scan() {
                let batch = batch?;
                let keys = encoder.keys_of(batch.columns())?;
                for (row, key) in keys.iter().enumerate() {
                    if let Some(key) = key.filter(|key| twice.contains(&hash(key)))
                        && !seen.insert(key.into())
                    {
                        return Ok(Some((batch, row)));
                    }
                }
            }
        }
        slice += 1;
        if slice == 1 << bits {
            return Ok(None);
        }
    }
}

fn in_slice(hash: u64, bits: u32, slice: u64) -> bool {
    bits == 0 || hash >> (64 - bits) == slice
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use arrow::array::{ArrayRef, Int64Array};
    use chronolith_chunk::LayoutColumn;
    use chronolith_types::SqlType;

    use super::*;

    #[test]
    fn two_rows_of_one_key_are_found_however_few_hashes_are_held() {
        let column = LayoutColumn {
            id: ColumnId(1),
            name: "id".to_owned(),
            ty: SqlType::Int8,
        };
        let layout = Arc::new(Layout::new(vec![column], None, Vec::new(), Vec::new()));
        let found = |numbers: Vec<i64>, hashes_max: usize| {
            let values: ArrayRef = Arc::new(Int64Array::from(numbers));
            let batch = RecordBatch::try_new(Arc::clone(layout.schema()), vec![values]);
            let mut hot = HotPart::default();
            hot.append(batch.unwrap()).unwrap();
            let view = ChunkView {
                chunk: 0,
                range: ALL_TIMES,
                hot: vec![hot],
                cold: Vec::new(),
            };
            let twice = duplicate_within(&layout, &[0], &[&view], &ALL_TIMES, hashes_max);
            twice.unwrap().map(|(_, row)| row)
        };
        for hashes_max in [1, 7, 100, 10_000] {
            assert_eq!(found((0..1000).collect(), hashes_max), None);
            for twice in (0..1000).step_by(37) {
                let numbers = (0..1000).chain([twice]).collect();
                assert_eq!(found(numbers, hashes_max), Some(1000), "{hashes_max}");
            }
        }
    }
}
