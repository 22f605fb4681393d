//! Result columns whose values only the session can spell: object names, and records.
//!
//! Both go out as text, as every client shows them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewBuilder, StructArray};
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_types::{RegKind, SqlType, TimeZone};
use datafusion::common::ScalarValue;
use futures::StreamExt;

use super::shared::Shared;
use crate::effects::{object_name, object_number};
use crate::error::Error;
use crate::outcome::{OutputColumn, RowStream};
use crate::value::{is_null, write_text};

/// The columns as the client is told of them.
pub(super) fn columns(columns: &[OutputColumn]) -> Vec<OutputColumn> {
    let told = |column: &OutputColumn| match spelled(&column.ty) {
        true => OutputColumn {
            ty: match &column.ty {
                SqlType::Array(_) => SqlType::Text.array_of(),
                _ => SqlType::Text,
            },
            ..column.clone()
        },
        false => column.clone(),
    };
    columns.iter().map(told).collect()
}

fn spelled(ty: &SqlType) -> bool {
    match ty {
        SqlType::Reg(_) | SqlType::Record => true,
        SqlType::Array(item) => matches!(item.as_ref(), SqlType::Reg(_)),
        _ => false,
    }
}

/// The rows with those columns spelled out.
pub(super) fn rows(shared: &Arc<Shared>, columns: &[OutputColumn], rows: RowStream) -> RowStream {
    if !columns.iter().any(|column| spelled(&column.ty)) {
        return rows;
    }
    let shared = Arc::clone(shared);
    let types: Vec<SqlType> = columns.iter().map(|column| column.ty.clone()).collect();
    Box::pin(rows.map(move |batch| {
        let batch = batch?;
        let mut fields = Vec::with_capacity(types.len());
        let mut arrays = Vec::with_capacity(types.len());
        for (array, ty) in batch.columns().iter().zip(&types) {
            let array: ArrayRef = match ty {
                SqlType::Reg(kind) => names(&shared, *kind, array)?,
                SqlType::Array(item) => match item.as_ref() {
                    SqlType::Reg(kind) => lists(&shared, *kind, array)?,
                    _ => Arc::clone(array),
                },
                SqlType::Record => records(array, &shared.time_zone())?,
                _ => Arc::clone(array),
            };
            fields.push(Field::new("c", array.data_type().clone(), true));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let schema = Arc::new(Schema::new(fields));
        Ok(RecordBatch::try_new_with_options(schema, arrays, &options)?)
    }))
}

fn names(shared: &Arc<Shared>, kind: RegKind, array: &ArrayRef) -> Result<ArrayRef, Error> {
    let Some(oids) = array.as_primitive_opt::<UInt32Type>() else {
        return Err(Error::internal("an object's number of another form"));
    };
    let kind = kind_name(kind);
    let context = shared.catalog_context();
    let mut known: HashMap<u32, String> = HashMap::new();
    let mut out = StringViewBuilder::with_capacity(oids.len());
    for oid in oids {
        let Some(oid) = oid else {
            out.append_null();
            continue;
        };
        let name = match known.entry(oid) {
            Entry::Occupied(name) => name.into_mut(),
            Entry::Vacant(place) => place.insert(object_name(&context, kind, oid)?),
        };
        out.append_value(name);
    }
    Ok(Arc::new(out.finish()))
}

/// Lists of names.
fn lists(shared: &Arc<Shared>, kind: RegKind, array: &ArrayRef) -> Result<ArrayRef, Error> {
    let Some(lists) = array.as_list_opt::<i32>() else {
        return Err(Error::internal("a list of another form"));
    };
    let names = names(shared, kind, lists.values())?;
    let item = Arc::new(Field::new_list_field(names.data_type().clone(), true));
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    Ok(Arc::new(ListArray::try_new(item, offsets, names, nulls)?))
}

fn records(array: &ArrayRef, zone: &TimeZone) -> Result<ArrayRef, Error> {
    let Some(records) = array.as_any().downcast_ref::<StructArray>() else {
        // Text already: a record of a function that spells it itself.
        return Ok(Arc::clone(array));
    };
    let mut out = StringViewBuilder::with_capacity(records.len());
    for row in 0..records.len() {
        if records.is_null(row) {
            out.append_null();
        } else {
            out.append_value(record(records, row, zone)?);
        }
    }
    Ok(Arc::new(out.finish()))
}

/// The text of a record that is one value.
///
/// # Errors
/// XX000 when it is no record.
pub(crate) fn record_text(value: &ScalarValue, zone: &TimeZone) -> Result<String, Error> {
    match value {
        ScalarValue::Struct(of) => record(of, 0, zone),
        _ => Err(Error::internal("a record of another form")),
    }
}

/// `(a,b,"c d")`
fn record(records: &StructArray, row: usize, zone: &TimeZone) -> Result<String, Error> {
    let mut text = b"(".to_vec();
    for (place, column) in records.columns().iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        if is_null(column, row) {
            continue;
        }
        let mut value = Vec::new();
        match column.as_any().downcast_ref::<StructArray>() {
            Some(inner) => value.extend(record(inner, row, zone)?.into_bytes()),
            None => write_text(column, row, &type_of(column.data_type()), zone, &mut value)?,
        }
        let special = |byte: &u8| b"(),\"\\".contains(byte) || byte.is_ascii_whitespace();
        if value.is_empty() || value.iter().any(special) {
            text.push(b'"');
            for byte in value {
                if matches!(byte, b'"' | b'\\') {
                    text.push(byte);
                }
                text.push(byte);
            }
            text.push(b'"');
        } else {
            text.extend(value);
        }
    }
    text.push(b')');
    String::from_utf8(text).map_err(|_| Error::internal("a record's text is not UTF-8"))
}

/// A type of that form, for its text.
fn type_of(form: &DataType) -> SqlType {
    match form {
        DataType::List(item) => type_of(item.data_type()).array_of(),
        _ => SqlType::Text,
    }
}

fn kind_name(kind: RegKind) -> &'static str {
    match kind {
        RegKind::Class => "regclass",
        RegKind::Type => "regtype",
        RegKind::Namespace => "regnamespace",
        RegKind::Role => "regrole",
        RegKind::Procedure => "regprocedure",
        _ => "regproc",
    }
}

/// Puts their numbers in the place of the names that parameters of type `regclass` were given as.
///
/// # Errors
/// 42P01 and the like for a name that nothing has.
pub(super) fn find_objects(
    shared: &Arc<Shared>,
    types: &[SqlType],
    values: &mut [ScalarValue],
) -> Result<(), Error> {
    for (ty, value) in types.iter().zip(values) {
        if let (SqlType::Reg(kind), ScalarValue::Utf8View(Some(name))) = (ty, &*value) {
            *value = ScalarValue::UInt32(Some(object_number(
                &shared.catalog_context(),
                kind_name(*kind),
                name,
            )?));
        }
    }
    Ok(())
}
