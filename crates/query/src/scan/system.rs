//! The columns that the system has of every row: where it lies, in which table, since when.

use std::fmt::Write as _;
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{ArrayRef, AsArray, StringViewBuilder, UInt32Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use chronolith_chunk::{LOCATOR_COLUMN, Locator, locator_type};
use chronolith_engine::TableView;
use chronolith_types::ChunkId;

use crate::error::Error;

/// A column behind those of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemColumn {
    /// Where a row lies in what the statement sees.
    Locator,
    /// `ctid`: where it lies for as long as nobody moves it. Its order is that of a table's chunks,
    /// and in each that of arrival.
    Ctid,
    /// `tableoid`: the chunk.
    Tableoid,
    /// `xmin`: another number when the row was changed, or moved.
    Xmin,
}

impl SystemColumn {
    /// All, in their order.
    pub(crate) const ALL: [Self; 4] = [Self::Locator, Self::Ctid, Self::Tableoid, Self::Xmin];

    /// As a field of a scan.
    pub(super) fn field(self) -> Field {
        let (name, form) = match self {
            Self::Locator => (LOCATOR_COLUMN, locator_type()),
            Self::Ctid => ("system ctid", DataType::Utf8View),
            Self::Tableoid => ("system tableoid", DataType::UInt32),
            Self::Xmin => ("system xmin", DataType::UInt32),
        };
        Field::new(name, form, true)
    }
}

/// What a source of rows is called: see [`TableView::source`].
type Named = (u8, u64, u64);

/// The rows of a scan, the last column of which are their locators, with these columns instead.
pub(super) fn told(
    view: &TableView,
    batch: &RecordBatch,
    wanted: &[SystemColumn],
    schema: &SchemaRef,
) -> Result<RecordBatch, Error> {
    let mut columns = batch.columns().to_vec();
    let last = columns.pop();
    let last = last.ok_or_else(|| Error::internal("rows without locators"))?;
    let locators = last
        .as_primitive_opt::<Decimal128Type>()
        .ok_or_else(|| Error::internal("rows without locators"))?;
    let mut known: Option<((u32, u32), Option<Named>)> = None;
    let mut places = Vec::with_capacity(locators.len());
    for locator in locators.values() {
        let Locator { chunk, source, row } = (*locator).into();
        let found = match known {
            Some((key, found)) if key == (chunk, source) => found,
            _ => view.source(chunk, source),
        };
        known = Some(((chunk, source), found));
        let found = found.ok_or_else(|| Error::internal("a row of no source"))?;
        places.push((chunk, found, u64::from(row) + found.2));
    }
    // The same wherever and whenever it is asked.
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    for column in wanted {
        let made: ArrayRef = match column {
            SystemColumn::Locator => Arc::clone(&last),
            SystemColumn::Ctid => {
                let mut texts = StringViewBuilder::with_capacity(places.len());
                let mut text = String::new();
                for (chunk, (kind, id, _), row) in &places {
                    text.clear();
                    // Writing to a text does not fail.
                    let _ = write!(text, "({chunk:010}{kind}{id:012},{row:010})");
                    texts.append_value(&text);
                }
                Arc::new(texts.finish())
            }
            SystemColumn::Tableoid => {
                let oid = |chunk: u32| {
                    let id = i32::try_from(chunk).map(ChunkId);
                    let known = id.ok().and_then(|id| view.table.chunks.get(&id));
                    let oid = known.map_or(0, |chunk| chunk.oid);
                    if oid == 0 { view.table.id.0 } else { oid }
                };
                let oids = places.iter().map(|(chunk, ..)| oid(*chunk));
                Arc::new(UInt32Array::from_iter_values(oids))
            }
            SystemColumn::Xmin => {
                let number = |place: &(u32, Named, u64)| {
                    let (chunk, (kind, id, _), row) = place;
                    // The first numbers are of no transaction.
                    let hash = hasher.hash_one((chunk, kind, id, row)) >> 33;
                    u32::try_from(hash).unwrap_or(0).max(3)
                };
                Arc::new(UInt32Array::from_iter_values(places.iter().map(number)))
            }
        };
        columns.push(made);
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
