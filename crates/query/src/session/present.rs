//! Result columns whose values only the session can spell: the names of objects.
//!
//! They go out as pairs of a number and its name, as which of them a client is sent depends on the
//! format that it asks for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewBuilder, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, UInt32Type};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_types::{RegKind, SqlType, TimeZone};
use datafusion::common::ScalarValue;
use futures::StreamExt;

use super::shared::Shared;
use crate::effects::{object_name, object_number};
use crate::error::Error;
use crate::outcome::{OutputColumn, RowStream};
use crate::value::write_text;

/// The columns as the client is told of them.
pub(super) fn columns(columns: &[OutputColumn]) -> Vec<OutputColumn> {
    columns.to_vec()
}

fn spelled(ty: &SqlType) -> bool {
    matches!(ty.element().unwrap_or(ty), SqlType::Reg(_))
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
                SqlType::Array(item) => match item.base() {
                    SqlType::Reg(kind) => lists(&shared, *kind, array)?,
                    _ => Arc::clone(array),
                },
                _ => Arc::clone(array),
            };
            fields.push(Field::new("c", array.data_type().clone(), true));
            arrays.push(array);
        }
        // What nobody is shown stays behind them.
        for array in batch.columns().iter().skip(types.len()) {
            fields.push(Field::new("c", array.data_type().clone(), true));
            arrays.push(Arc::clone(array));
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
    let numbers: ArrayRef = Arc::new(oids.clone());
    let pairs = StructArray::from(vec![
        (field("oid", &numbers), numbers),
        (
            Arc::new(Field::new("name", DataType::Utf8View, true)),
            Arc::new(out.finish()) as ArrayRef,
        ),
    ]);
    let (fields, columns, _) = pairs.into_parts();
    let nulls = oids.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields, columns, nulls)?))
}

fn field(name: &str, array: &ArrayRef) -> FieldRef {
    Arc::new(Field::new(name, array.data_type().clone(), true))
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

/// The text of a record that is one value.
///
/// # Errors
/// XX000 when it is no record.
pub(crate) fn record_text(value: &ScalarValue, zone: &TimeZone) -> Result<String, Error> {
    let ScalarValue::Struct(of) = value else {
        return Err(Error::internal("a record of another form"));
    };
    let mut text = Vec::new();
    write_text(of.as_ref(), 0, &SqlType::Record, zone, &mut text)?;
    String::from_utf8(text).map_err(|_| Error::internal("a record's text is not UTF-8"))
}

fn kind_name(kind: RegKind) -> &'static str {
    match kind {
        RegKind::Class => "regclass",
        RegKind::Type => "regtype",
        RegKind::Namespace => "regnamespace",
        RegKind::Role => "regrole",
        RegKind::Procedure => "regprocedure",
        RegKind::Oper => "regoper",
        RegKind::Operator => "regoperator",
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
