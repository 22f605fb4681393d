//! INSERT … VALUES of literals, straight into columns.
//!
//! Each literal is read as its column's type reads it, where that is what PostgreSQL's assignment of
//! the literal comes to. Where it is not, and wherever something is wrong, the statement is bound by
//! the full way, which knows the words and the place of each error.

use std::sync::Arc;

use arrow::array::{ArrayRef, new_null_array};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::Table;
use chronolith_sql::{Literal, Literals};
use chronolith_types::SqlType;

use super::bind::{InsertPlan, Source, numbers};
use crate::error::Error;
use crate::session::Shared;
use crate::value::ColumnBuilder;

/// Binds an INSERT of literals; None when it must be bound the full way.
///
/// # Errors
/// What PostgreSQL says of its values.
pub(crate) fn bind_literals(
    shared: &Arc<Shared>,
    literals: &Literals,
) -> Result<Option<InsertPlan>, Error> {
    let table = shared.find_table(literals.schema.as_deref(), &literals.table);
    // The full way also says what is wrong with a schema.
    let Ok(Some(table)) = table else {
        return Ok(None);
    };
    // What may be made of rows is for the full way to say.
    if shared.has_row_policies(table.id)? {
        return Ok(None);
    }
    let Some((places, missing)) = places(&table, literals) else {
        return Ok(None);
    };
    let zone = shared.time_zone();
    let given = places.iter().filter_map(|place| table.columns.get(*place));
    let mut builders: Vec<ColumnBuilder> = given
        .clone()
        .map(|column| ColumnBuilder::new(&column.ty, &zone))
        .collect();
    let types: Vec<&SqlType> = given.map(|column| &column.ty).collect();
    for row in literals.cells.chunks(literals.width.max(1)) {
        for ((cell, ty), builder) in row.iter().zip(&types).zip(&mut builders) {
            let Some(text) = text_of(literals, cell, ty) else {
                return Ok(None);
            };
            let pushed = match text {
                Cell::Null => {
                    builder.push_null();
                    Ok(())
                }
                Cell::Text(text) => builder.push_str(text),
            };
            if pushed.is_err() {
                return Ok(None);
            }
        }
    }
    let rows = literals.cells.len() / literals.width.max(1);
    let mut columns: Vec<ArrayRef> = table
        .columns
        .iter()
        .map(|column| new_null_array(&column.ty.arrow(), 0))
        .collect();
    for (place, column) in columns.iter_mut().enumerate() {
        *column = match places.iter().position(|given| *given == place) {
            Some(index) => match builders.get_mut(index) {
                Some(builder) => builder.finish(),
                None => return Ok(None),
            },
            None => new_null_array(column.data_type(), rows),
        };
    }
    let layout = chronolith_engine::layout_for(&table);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let schema = Arc::clone(layout.schema());
    let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
    Ok(Some(InsertPlan {
        table: table.id,
        source: Source::Rows(batch, missing),
        params: Vec::new(),
        given: numbers(&table, &places),
        uses: Vec::new(),
    }))
}

/// The places of the columns that are given, and of those that get their defaults; None when some
/// do not exist or take no value.
fn places(table: &Table, literals: &Literals) -> Option<(Vec<usize>, Vec<usize>)> {
    let places: Vec<usize> = if literals.columns.is_empty() {
        (0..literals.width.min(table.columns.len())).collect()
    } else {
        let named = literals.columns.iter();
        named
            .map(|name| table.column_named(name).map(|(place, _)| place))
            .collect::<Option<_>>()?
    };
    let mut given = vec![false; table.columns.len()];
    for place in &places {
        if std::mem::replace(given.get_mut(*place)?, true) {
            return None;
        }
    }
    let mut missing = Vec::new();
    for (place, (column, given)) in table.columns.iter().zip(&given).enumerate() {
        let always = column.identity.is_some_and(|identity| identity.always);
        if *given && (always || column.generated.is_some()) {
            return None;
        }
        let own = column.default.is_some() || column.identity.is_some();
        if !*given && (own || column.domain.is_some()) {
            missing.push(place);
        }
    }
    (places.len() == literals.width).then_some((places, missing))
}

enum Cell<'a> {
    Null,
    Text(&'a str),
}

/// The text that a column of the type reads from a literal; None when an assignment would do more.
fn text_of<'a>(literals: &'a Literals, cell: &'a Literal, ty: &SqlType) -> Option<Cell<'a>> {
    let text = match cell {
        Literal::Null => return Some(Cell::Null),
        _ if ty.demands() => return None,
        Literal::Bool(value) => {
            let text = if *value { "true" } else { "false" };
            return (*ty == SqlType::Bool).then_some(Cell::Text(text));
        }
        Literal::Text(_) | Literal::Quoted(_) if matches!(ty, SqlType::Reg(_)) => return None,
        Literal::Text(range) => literals.slice(range),
        Literal::Quoted(text) => text,
        Literal::Number(range) => {
            let text = literals.slice(range);
            return reads_number(ty, text).then_some(Cell::Text(text));
        }
    };
    Some(Cell::Text(text))
}

/// Whether a type reads a number's text as an assignment of that number would make it.
pub(super) fn reads_number(ty: &SqlType, text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    match ty {
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => {
            digits.bytes().all(|byte| byte.is_ascii_digit())
        }
        SqlType::Numeric(_) => true,
        // Zero as a number has no sign, as text it has.
        SqlType::Float4 | SqlType::Float8 => {
            digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) || !text.starts_with('-')
        }
        _ => false,
    }
}
