//! Keys of two tables' columns, made to be compared.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringBuilder, new_null_array};
use arrow::compute::{cast, interleave};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use chronolith_catalog::{Column, Constraint, Reference, Table};
use chronolith_chunk::{KeyEncoder, ScanRequest};
use chronolith_engine::{EngineError, TableView, Transaction};
use chronolith_types::{SqlType, TimeZone};

use crate::error::Error;
use crate::value::write_text;

/// How the columns of a foreign key and those that they refer to are compared.
#[derive(Debug)]
pub(super) struct Pairing {
    /// What both are made before they are compared.
    types: Vec<DataType>,
    encoder: KeyEncoder,
}

/// Distinct keys, each with the first row that has it.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    /// By what they are compared by: a batch of those below, and a row of it.
    pub(super) keys: HashMap<Vec<u8>, (usize, usize)>,
    /// The key's columns, as they came.
    pub(super) batches: Vec<Vec<ArrayRef>>,
}

/// The type that both of two are compared as.
fn common(one: &DataType, other: &DataType) -> DataType {
    let width = |ty: &DataType| match ty {
        DataType::Int16 => 1,
        DataType::Int32 => 2,
        DataType::Int64 => 3,
        DataType::Float32 => 6,
        DataType::Float64 => 7,
        _ => 0,
    };
    let decimal = |ty: &DataType| matches!(ty, DataType::Decimal128(..) | DataType::Decimal256(..));
    if one != other && (decimal(one) || decimal(other)) {
        // Scales differ, or one has a scale for each value.
        return DataType::Utf8;
    }
    match width(one) > width(other) {
        true => one.clone(),
        false => other.clone(),
    }
}

impl Pairing {
    pub(super) fn new(child: &[&Column], parent: &[&Column]) -> Result<Self, Error> {
        let pairs = child.iter().zip(parent);
        let types: Vec<DataType> = pairs
            .map(|(one, other)| common(&one.ty.arrow(), &other.ty.arrow()))
            .collect();
        Ok(Self {
            encoder: KeyEncoder::of_types(&types)?,
            types,
        })
    }

    /// The columns of either side, ready to be compared.
    fn alike(&self, columns: &[ArrayRef]) -> Result<Vec<ArrayRef>, EngineError> {
        let pairs = columns.iter().zip(&self.types);
        let made = pairs.map(|(column, ty)| match column.data_type() == ty {
            true => Ok(Arc::clone(column)),
            false if *ty == DataType::Utf8 => digits(column),
            false => cast(column, ty),
        });
        let made: Result<Vec<_>, _> = made.collect();
        Ok(made.map_err(chronolith_chunk::ChunkError::from)?)
    }

    /// Takes in the keys of some rows; those with NULL in them are none.
    pub(super) fn add(&self, set: &mut KeySet, columns: Vec<ArrayRef>) -> Result<(), EngineError> {
        let keys = self.encoder.keys_of(&self.alike(&columns)?)?;
        let batch = set.batches.len();
        let mut some = false;
        for row in 0..keys.len() {
            let Some(key) = keys.get(row) else {
                continue;
            };
            if !set.keys.contains_key(key) {
                set.keys.insert(key.to_vec(), (batch, row));
                some = true;
            }
        }
        if some {
            set.batches.push(columns);
        }
        Ok(())
    }

    /// Calls `found` with each row of a table whose key, at some places, is wanted; until it has
    /// enough.
    pub(super) fn look(
        &self,
        view: &TableView,
        places: &[usize],
        wanted: &KeySet,
        mut found: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), EngineError> {
        if wanted.keys.is_empty() {
            return Ok(());
        }
        let mut request = ScanRequest::all(places.to_vec());
        request.equals = hints(wanted, places);
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, &request) {
                let keys = self.encoder.keys_of(&self.alike(batch?.columns())?)?;
                for key in keys.iter().flatten() {
                    if wanted.keys.contains_key(key) && !found(key) {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The keys that no row of a table has, at some places.
    pub(super) fn missing(
        &self,
        view: Option<&TableView>,
        places: &[usize],
        wanted: &KeySet,
    ) -> Result<Vec<Vec<u8>>, EngineError> {
        let mut left: std::collections::HashSet<&[u8]> =
            wanted.keys.keys().map(Vec::as_slice).collect();
        if let Some(view) = view {
            self.look(view, places, wanted, |key| {
                left.remove(key);
                !left.is_empty()
            })?;
        }
        // The one that came first is told of.
        let mut missing: Vec<Vec<u8>> = left.into_iter().map(<[u8]>::to_vec).collect();
        missing.sort_by_key(|key| wanted.keys.get(key).copied());
        Ok(missing)
    }
}

/// Numbers as their digits, without zeros at the end.
fn digits(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let ty = match column.data_type() {
        DataType::Decimal128(precision, scale) => SqlType::Numeric(Some((*precision, *scale))),
        DataType::Decimal256(..) => SqlType::Numeric(None),
        DataType::Int16 => SqlType::Int2,
        DataType::Int32 => SqlType::Int4,
        _ => SqlType::Int8,
    };
    let mut texts = StringBuilder::new();
    for row in 0..column.len() {
        if column.is_null(row) {
            texts.append_null();
            continue;
        }
        let mut text = Vec::new();
        let written = write_text(column, row, &ty, &TimeZone::default(), &mut text);
        written.map_err(|error| ArrowError::CastError(error.to_string()))?;
        let text = String::from_utf8_lossy(&text);
        texts.append_value(match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.'),
            false => &text,
        });
    }
    Ok(Arc::new(texts.finish()))
}

/// What a scan may be told of the values that are wanted of text columns.
fn hints(wanted: &KeySet, places: &[usize]) -> Vec<(usize, Vec<String>)> {
    const VALUES_MAX: usize = 256;
    if wanted.keys.len() > VALUES_MAX {
        return Vec::new();
    }
    let mut hints = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let value = |(batch, row): &(usize, usize)| {
            let column = wanted.batches.get(*batch)?.get(index)?;
            let texts = column.as_string_view_opt()?;
            Some(texts.value(*row).to_owned())
        };
        let values: Option<Vec<String>> = wanted.keys.values().map(value).collect();
        if let Some(mut values) = values {
            values.sort();
            values.dedup();
            hints.push((*place, values));
        }
    }
    hints
}

/// The places of columns in a table.
pub(super) fn places(table: &Table, columns: &[chronolith_types::ColumnId]) -> Vec<usize> {
    let place =
        |id: &chronolith_types::ColumnId| table.columns.iter().position(|column| column.id == *id);
    columns.iter().filter_map(place).collect()
}

/// The columns of a table at some places.
pub(super) fn columns_at<'t>(table: &'t Table, places: &[usize]) -> Vec<&'t Column> {
    let column = |place: &usize| table.columns.get(*place);
    places.iter().filter_map(column).collect()
}

/// A batch's columns at some places.
pub(super) fn project(batch: &RecordBatch, places: &[usize]) -> Vec<ArrayRef> {
    let column = |place: &usize| batch.columns().get(*place).cloned();
    places.iter().filter_map(column).collect()
}

/// `(a, b)=(1, 2)`, as details have it.
pub(super) fn shown(names: &[&Column], values: &[ArrayRef], row: usize) -> String {
    let mut texts = Vec::with_capacity(values.len());
    for (column, array) in names.iter().zip(values) {
        let mut out = Vec::new();
        let ty: &SqlType = &column.ty;
        let written = write_text(array, row, ty, &TimeZone::default(), &mut out);
        texts.push(match written {
            Ok(()) => String::from_utf8_lossy(&out).into_owned(),
            Err(_) => "?".to_owned(),
        });
    }
    let names: Vec<&str> = names.iter().map(|column| column.name.as_str()).collect();
    format!("({})=({})", names.join(", "), texts.join(", "))
}

/// The key that some columns of a table are, if values of others can be looked for in it.
fn key_of(child: &Table, of: &[usize], parent: &Table, places: &[usize]) -> Option<u32> {
    let alike = |one: &Column, other: &Column| {
        let padded = |ty: &SqlType| matches!(ty, SqlType::Char(_));
        let whole = |ty: &SqlType| matches!(ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8);
        let (one, other) = (&one.ty, &other.ty);
        let same = one.arrow() == other.arrow() && padded(one) == padded(other);
        same || whole(one) && whole(other)
    };
    let pairs = columns_at(child, of)
        .into_iter()
        .zip(columns_at(parent, places));
    if !pairs.into_iter().all(|(one, other)| alike(one, other)) {
        return None;
    }
    let sorted = |places: &[usize]| {
        let mut places = places.to_vec();
        places.sort_unstable();
        places
    };
    let same = |known: &[usize]| sorted(known) == sorted(places);
    let mut keys = parent.unique_keys().into_iter();
    keys.find_map(|(key, known)| same(&known).then_some(key.id))
}

/// A foreign key with what it is of and refers to.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) constraint: Constraint,
    pub(super) reference: Reference,
    pub(super) child: Arc<Table>,
    pub(super) child_schema: String,
    pub(super) child_places: Vec<usize>,
    pub(super) parent: Arc<Table>,
    pub(super) parent_places: Vec<usize>,
    pub(super) pairing: Pairing,
    /// The key of the parent, where its rows are found by it.
    pub(super) key: Option<u32>,
}

impl Link {
    pub(super) fn new(
        home: &chronolith_catalog::Database,
        child: &Arc<Table>,
        constraint: &Constraint,
        parent: &Arc<Table>,
    ) -> Result<Option<Self>, Error> {
        let Some(reference) = constraint.kind.reference() else {
            return Ok(None);
        };
        let child_places = places(child, &reference.columns);
        let parent_places = places(parent, &reference.referred);
        if child_places.len() != reference.columns.len()
            || parent_places.len() != child_places.len()
        {
            return Err(Error::internal("a foreign key without one of its columns"));
        }
        let schema = home.schemas.get(&child.schema);
        Ok(Some(Self {
            key: key_of(child, &child_places, parent, &parent_places),
            pairing: Pairing::new(
                &columns_at(child, &child_places),
                &columns_at(parent, &parent_places),
            )?,
            constraint: constraint.clone(),
            reference: reference.clone(),
            child: Arc::clone(child),
            child_schema: schema.map_or_else(String::new, |schema| schema.name.clone()),
            child_places,
            parent: Arc::clone(parent),
            parent_places,
        }))
    }

    /// Keys as rows of the parent that have them and nothing else, with the keys in their order;
    /// None where they are not looked up by a key of it.
    pub(super) fn sought(&self, wanted: &KeySet) -> Result<Option<(u32, Sought)>, EngineError> {
        let Some(key) = self.key else {
            return Ok(None);
        };
        let mut keys: Vec<(Vec<u8>, (usize, usize))> = wanted
            .keys
            .iter()
            .map(|(key, place)| (key.clone(), *place))
            .collect();
        // The one that came first is told of.
        keys.sort_unstable_by_key(|(_, place)| *place);
        let places: Vec<(usize, usize)> = keys.iter().map(|(_, place)| *place).collect();
        let layout = chronolith_engine::layout_for(&self.parent);
        let mut columns: Vec<ArrayRef> = layout
            .schema()
            .fields()
            .iter()
            .map(|field| new_null_array(field.data_type(), keys.len()))
            .collect();
        let lift = chronolith_chunk::ChunkError::from;
        for (index, place) in self.parent_places.iter().enumerate() {
            let given: Option<Vec<&dyn Array>> = wanted
                .batches
                .iter()
                .map(|batch| batch.get(index).map(AsRef::as_ref))
                .collect();
            let (Some(given), Some(column)) = (given, columns.get_mut(*place)) else {
                return Ok(None);
            };
            let values = interleave(&given, &places).map_err(lift)?;
            *column = match values.data_type() == column.data_type() {
                true => values,
                // A number that is too large for the key is none.
                false => cast(&values, column.data_type()).map_err(lift)?,
            };
        }
        let schema = Arc::clone(layout.schema());
        let rows = RecordBatch::try_new(schema, columns).map_err(lift)?;
        let keys = keys.into_iter().map(|(key, _)| key).collect();
        Ok(Some((key, Sought { keys, rows })))
    }

    /// The keys that no row of the parent has, as a transaction sees it.
    pub(super) fn missing(
        &self,
        transaction: &mut Transaction,
        wanted: &KeySet,
    ) -> Result<Vec<Vec<u8>>, EngineError> {
        let view = transaction.table(self.parent.id);
        if let (Some((key, sought)), Some(view)) = (self.sought(wanted)?, &view) {
            let found = transaction.find(view, key, &sought.rows)?;
            let pairs = sought.keys.into_iter().zip(found);
            let gone = pairs.filter(|(_, found)| found.is_none());
            return Ok(gone.map(|(key, _)| key).collect());
        }
        self.pairing
            .missing(view.as_ref(), &self.parent_places, wanted)
    }
}

/// Keys in their order, and rows that have them.
pub(super) struct Sought {
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) rows: RecordBatch,
}
