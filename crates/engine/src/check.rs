//! A table's rows held against a column or a key that is to be stricter from now on.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Constraint, ConstraintKind, Table};
use chronolith_chunk::{ChunkView, HotPart, KeyEncoder, ScanRequest, hash};
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
                ConstraintKind::Unique { .. } => vec![Self::Unique(constraint.clone())],
                ConstraintKind::Check { .. } => Vec::new(),
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
            let rows = hot.map_or(0, HotPart::rows);
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
        let Some(view) = self.view(key, own, &(i64::MIN..i64::MAX)) else {
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
    for (_, chunk) in &view.chunks {
        for batch in chunk.scan(&view.layout, &ScanRequest::all(vec![place])) {
            if batch?.column(0).null_count() > 0 {
                let column = view.table.columns.get(place);
                return Err(EngineError::NullsThere {
                    column: column.map(|column| column.name.clone()).unwrap_or_default(),
                    table: view.table.name.clone(),
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
        if let Some((batch, row)) = duplicate(view, places, group)? {
            let columns: Vec<usize> = (0..places.len()).collect();
            let names = places
                .iter()
                .filter_map(|place| view.table.columns.get(*place));
            let names: Vec<&str> = names.map(|column| column.name.as_str()).collect();
            return Err(EngineError::Duplicates {
                constraint: name.to_owned(),
                table: view.table.name.clone(),
                detail: format!("{} is duplicated.", describe(&names, &columns, &batch, row)),
            });
        }
    }
    Ok(())
}

/// A row, by the columns of its key, whose key another row has too.
fn duplicate(
    view: &TableView,
    places: &[usize],
    chunks: &[&ChunkView],
) -> Result<Option<(RecordBatch, usize)>, EngineError> {
    let encoder = KeyEncoder::new(&view.layout, places)?;
    let request = ScanRequest::all(places.to_vec());
    let scan = || {
        let batches = chunks.iter();
        batches.flat_map(|chunk| chunk.scan(&view.layout, &request))
    };
    // Eight bytes a row find the few keys that may be twice; those are looked at whole.
    let mut hashes: Vec<u64> = Vec::new();
    for batch in scan() {
        let keys = encoder.keys_of(batch?.columns())?;
        hashes.extend(keys.iter().flatten().map(hash));
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
    if twice.is_empty() {
        return Ok(None);
    }
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
    Ok(None)
}
