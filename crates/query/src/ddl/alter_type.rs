//! ALTER COLUMN … TYPE: a column's values as those of another type.
//!
//! Where every value stays what it is, only the catalog changes, and rows are widened when they are
//! read, by the column's number. Otherwise all rows are read, given their new values and written
//! again, within the transaction; chunks that were compressed are so again when it has committed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Change, Column, Table};
use chronolith_sql::{Spelled, SqlText};
use chronolith_types::precision::DIGITS_MAX;
use chronolith_types::{ColumnId, SqlState, SqlType, TableId};
use datafusion::common::DFSchema;

use super::hypertable;
use super::rows;
use super::table::check_default;
use super::view::readers;
use crate::bind::{Names, Target, bind_assigned, bind_scalar};
use crate::error::Error;
use crate::insert::{Checks, hold_exclusions};
use crate::session::{SessionNames, Shared, blocking};

pub(super) fn run(
    shared: &Arc<Shared>,
    table: &Arc<Table>,
    name: &Spelled,
    ty: &SqlType,
    using: Option<&SqlText>,
) -> Result<(), Error> {
    let column = table.column_named(&name.value).map(|(_, column)| column);
    let column = column.ok_or_else(|| {
        crate::insert::undefined_column(&name.value, &table.name)
            .at(u32::try_from(name.position).ok())
    })?;
    let of = shared.declared(ty)?;
    if of.ty.is_pseudo() {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{}\" has pseudo-type {}", column.name, of.ty),
        ));
    }
    rows::refuse_own(table, &of.ty)?;
    rows::refuse(shared, table)?;
    let mut made = column.clone();
    (made.ty, made.domain) = (of.ty, of.domain);
    if using.is_none() && made.ty == column.ty && made.domain == column.domain {
        return Ok(());
    }
    let keeps = using.is_none() && made.domain.is_none() && stays(&column.ty, &made.ty);
    if keeps {
        refuse_dependents(shared, table, column)?;
        check_old_default(shared, column, &made.ty)?;
        shared.change(Change::ChangeColumn {
            database: shared.database,
            table: table.id,
            column: made,
        })?;
        let changed = hypertable::table_of(shared, table.id)?;
        // What the table asks must still mean something.
        return Checks::of(shared, &changed).map(|_| ());
    }
    let own = chronolith_sql::quoted(&column.name);
    let expr = match using {
        Some(using) => using.expr.clone(),
        None => chronolith_sql::expression(&own)?,
    };
    let names = SessionNames::new(shared)?;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect();
    let target = Target {
        name: column.name.clone(),
        ty: made.ty.clone(),
        default: None,
    };
    let bound = bind_assigned(
        &names,
        &expr,
        &table.name,
        &columns,
        &target,
        crate::bind::Alone::Transform,
    );
    let value = bound.map_err(|error| cannot_cast(error, using.is_some(), column, &made.ty))?;
    refuse_dependents(shared, table, column)?;
    check_old_default(shared, column, &made.ty)?;
    let planner = shared.planner(names.vars().clone());
    let layout = chronolith_engine::layout_of(table);
    let schema = DFSchema::try_from(layout.schema().as_ref().clone())?;
    let value = planner.create_physical_expr(value.expr, &schema)?;
    let compute = |batch: &RecordBatch| Ok(value.evaluate(batch)?.into_array(batch.num_rows())?);
    made.missing = None;
    let id = made.id;
    let change = Change::ChangeColumn {
        database: shared.database,
        table: table.id,
        column: made,
    };
    rewrite(shared, table, &[id], &compute, || shared.change(change))
}

/// Whether each value of a type is the same value of another as it is kept, or as it is widened.
fn stays(from: &SqlType, to: &SqlType) -> bool {
    match (from, to) {
        (SqlType::Int2, SqlType::Int4 | SqlType::Int8)
        | (SqlType::Int4, SqlType::Int8)
        | (SqlType::Float4, SqlType::Float8)
        | (SqlType::Text | SqlType::Varchar(_), SqlType::Text | SqlType::Varchar(None)) => true,
        (SqlType::Varchar(Some(from)), SqlType::Varchar(Some(to))) => from <= to,
        (SqlType::Time(from), SqlType::Time(to))
        | (SqlType::Timetz(from), SqlType::Timetz(to))
        | (SqlType::Timestamp(from), SqlType::Timestamp(to))
        | (SqlType::Timestamptz(from), SqlType::Timestamptz(to)) => {
            from.unwrap_or(DIGITS_MAX) <= to.unwrap_or(DIGITS_MAX)
        }
        (SqlType::Interval(_), SqlType::Interval(None)) => true,
        (SqlType::Numeric(Some(_)), SqlType::Numeric(Some(_))) => {
            let digits = |ty: &SqlType| match ty.arrow() {
                DataType::Decimal128(digits, scale) => Some((i16::from(digits), i16::from(scale))),
                _ => None,
            };
            match (digits(from), digits(to)) {
                (Some((digits, scale)), Some((more, finer))) => finer == scale && more >= digits,
                _ => false,
            }
        }
        (from, SqlType::Text) => from.labels().is_some(),
        _ => false,
    }
}

/// 42804 in the words of this statement.
fn cannot_cast(error: Error, using: bool, column: &Column, to: &SqlType) -> Error {
    if error.code != SqlState::DATATYPE_MISMATCH {
        return error;
    }
    let name = &column.name;
    if using {
        return Error::new(
            error.code,
            format!(
                "result of USING clause for column \"{name}\" cannot be cast automatically to \
                 type {}",
                to.without_typmod()
            ),
        )
        .hint("You might need to add an explicit cast.");
    }
    let quoted = chronolith_sql::quoted(name);
    Error::new(
        error.code,
        format!(
            "column \"{name}\" cannot be cast automatically to type {}",
            to.without_typmod()
        ),
    )
    .hint(format!(
        "You might need to specify \"USING {quoted}::{to}\"."
    ))
}

/// 42804 for a default that is none of the new type.
fn check_old_default(shared: &Arc<Shared>, column: &Column, to: &SqlType) -> Result<(), Error> {
    let Some(default) = &column.default else {
        return Ok(());
    };
    let expr = chronolith_sql::expression(default)?;
    // A default is kept as it was written: `'1'` is a text where it was one, and `1` a whole number.
    let mut own = bind_scalar(&SessionNames::new(shared)?, &expr, None)?.ty;
    if own == SqlType::Unknown {
        own = check_default(shared, &column.name, &column.ty, &expr)?.ty;
    }
    if !crate::bind::assignable(&own, to) {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "default for column \"{}\" cannot be cast automatically to type {}",
                column.name,
                to.without_typmod()
            ),
        ));
    }
    check_default(shared, &column.name, to, &expr).map(|_| ())
}

/// What reads the column would read another one.
fn refuse_dependents(shared: &Arc<Shared>, table: &Table, column: &Column) -> Result<(), Error> {
    let home = shared.home()?;
    let schema = home.schemas.get(&table.schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    for view in readers(&home, table.schema, &table.name) {
        let place = table.columns.iter().position(|of| of.id == column.id);
        let (read, place) = ((schema, &*table.name), place.unwrap_or(0));
        if chronolith_sql::reads_column(&view.query, read, place, &column.name)? {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot alter type of a column used by a view or rule",
            )
            .detail(format!(
                "rule _RETURN on view {} depends on column \"{}\"",
                view.name, column.name
            )));
        }
    }
    for other in &table.columns {
        let Some(text) = other.generated.as_ref().filter(|_| other.id != column.id) else {
            continue;
        };
        if chronolith_sql::names_column(text, &column.name)? {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot alter type of a column used by a generated column",
            )
            .detail(format!(
                "Column \"{}\" is used by generated column \"{}\".",
                column.name, other.name
            )));
        }
    }
    let Some(hypertable) = &table.hypertable else {
        return Ok(());
    };
    let mut others = hypertable.dimensions.iter();
    if hypertable.time == column.id || others.any(|d| d.column == column.id) {
        return Err(Error::unsupported(format!(
            "changing the type of column \"{}\", by which a hypertable is partitioned",
            column.name
        )));
    }
    Ok(())
}

/// All rows of a table again: the columns of some numbers computed anew, what the table asks held
/// against each. `change` makes the table what the rows are to be rows of.
pub(super) fn rewrite(
    shared: &Arc<Shared>,
    table: &Arc<Table>,
    anew: &[ColumnId],
    compute: &dyn Fn(&RecordBatch) -> Result<ArrayRef, Error>,
    change: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let id = table.id;
    let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(id)))?;
    let view = view.filter(|view| view.rows() > 0);
    let Some(view) = view else {
        change()?;
        let changed = hypertable::table_of(shared, id)?;
        return Checks::of(shared, &changed).map(|_| ());
    };
    if !shared.home()?.stores_of(id).is_empty() || table.rollup.is_some() {
        return Err(Error::unsupported(format!(
            "rewriting table \"{}\", which a continuous aggregate reads",
            table.name
        )));
    }
    let compressed: Vec<i64> = table
        .chunks
        .values()
        .filter(|chunk| chunk.compressed)
        .map(|chunk| chunk.range.start)
        .collect();
    shared.transact(|transaction| transaction.truncate(id))?;
    change()?;
    let changed = hypertable::table_of(shared, id)?;
    let checks = Checks::of(shared, &changed)?;
    let layout = chronolith_engine::layout_of(&changed);
    let mut intake = shared.transact(|transaction| transaction.intake(id))?;
    let all = chronolith_chunk::ScanRequest::all((0..view.layout.columns.len()).collect());
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &all) {
            let batch = batch?;
            let fresh = compute(&batch)?;
            let mut columns = Vec::with_capacity(changed.columns.len());
            for (column, values) in changed.columns.iter().zip(batch.columns()) {
                let fresh = anew.contains(&column.id).then_some(&fresh);
                columns.push(Arc::clone(fresh.unwrap_or(values)));
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let schema = Arc::clone(layout.schema());
            let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
            let batch = checks
                .complete(&batch)
                .map_err(|error| violated(error, &changed))?;
            blocking(|| intake.push(batch))?;
        }
    }
    blocking(|| {
        shared.transact(|transaction| intake.finish(transaction).map_err(|(_, error)| error))
    })
    .map_err(duplicated)?;
    hold_exclusions(shared, &changed, None)?;
    keep_compressed(shared, id, &compressed)
}

/// Chunks of these times are compressed when the transaction has committed.
fn keep_compressed(shared: &Arc<Shared>, id: TableId, times: &[i64]) -> Result<(), Error> {
    let table = hypertable::table_of(shared, id)?;
    for time in times {
        let Some(chunk) = table.chunk_at(*time) else {
            continue;
        };
        shared.change_unguarded(Change::ReplaceParts {
            database: shared.database,
            table: id,
            chunk: chunk.id,
            removed: Vec::new(),
            added: Vec::new(),
            compressed: Some(true),
        })?;
        shared.with(|state| state.to_compress.push((id, *time)));
    }
    Ok(())
}

/// A row that was there is told of in other words than a new one.
fn violated(error: Error, table: &Table) -> Error {
    let message = match (error.code, &error.constraint, &error.column) {
        (SqlState::CHECK_VIOLATION, Some(name), _) if error.table.is_some() => format!(
            "check constraint \"{name}\" of relation \"{}\" is violated by some row",
            table.name
        ),
        (SqlState::NOT_NULL_VIOLATION, _, Some(column)) => format!(
            "column \"{column}\" of relation \"{}\" contains null values",
            table.name
        ),
        _ => return error,
    };
    Error {
        message,
        detail: None,
        ..error
    }
}

/// The same of two rows that have become alike.
fn duplicated(mut error: Error) -> Error {
    if error.code == SqlState::UNIQUE_VIOLATION {
        if let Some(name) = &error.constraint {
            error.message = format!("could not create unique index \"{name}\"");
        }
        let detail = error.detail.take();
        error.detail = detail.map(|text| text.replace("already exists.", "is duplicated."));
    }
    error
}

/// Another label in the place of one, in all rows of the columns of its enum; `change` renames it in
/// the catalog.
pub(super) fn relabel(values: &dyn Array, from: &str, to: &str) -> Result<ArrayRef, Error> {
    let values = values.as_string_view_opt();
    let values = values.ok_or_else(|| Error::internal("an enum's values are texts"))?;
    let renamed = values.iter().map(|label| match label {
        Some(label) if label == from => Some(to),
        label => label,
    });
    Ok(Arc::new(renamed.collect::<StringViewArray>()))
}
