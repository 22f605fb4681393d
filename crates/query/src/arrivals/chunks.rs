//! CREATE TABLE of what TimescaleDB keeps rows in.

use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::{ArrivalChange, ArrivedPart, Change, Column, Database, Table};
use chronolith_chunk::cold;
use chronolith_sql::{ConstraintKind, CreateTable, ast};
use chronolith_types::{ChunkId, HypertableId, TableId};

use super::{candles, change, key, numbered};
use crate::ddl;
use crate::ddl::hypertable::{self, Plan, Width, table_of};
use crate::error::Error;
use crate::insert::undefined_table;
use crate::session::Shared;
use crate::value::ColumnBuilder;

/// Who has dumped compressed chunks learns here what to do.
pub(super) fn compressed(what: &str) -> Error {
    Error::unsupported(format!("restoring {what}")).hint(
        "Dump again when the source's chunks are decompressed: SELECT decompress_chunk(c, true) FROM \
         show_chunks('…') c; or copy the rows: COPY (SELECT * FROM …) TO STDOUT.",
    )
}

pub(super) fn create(shared: &Arc<Shared>, create: &CreateTable) -> Result<bool, Error> {
    let (schema, name) = (create.name.schema(), create.name.name());
    if schema == Some(Database::INTERNAL_SCHEMA) {
        if name.starts_with("compress_hyper_") {
            return Err(compressed("compressed chunks of TimescaleDB"));
        }
        if numbered(name, "_compressed_hypertable_").is_some() && create.columns.is_empty() {
            let name = key(Database::INTERNAL_SCHEMA, name);
            change(shared, ArrivalChange::Aside { name })?;
            return Ok(true);
        }
        if candles(schema, name).is_some() && create.inherits.is_empty() {
            ddl::create_table(shared, create)?;
            if let Some(table) = shared.find_table(schema, name)? {
                add(shared, create, table.id, None)?;
            }
            return Ok(true);
        }
    }
    let [parent] = create.inherits.as_slice() else {
        return Ok(false);
    };
    let checked = |of: &chronolith_sql::Constraint| {
        let name = of.name.as_ref().map(|name| name.value.as_str());
        name.is_some_and(|name| numbered(name, "constraint_").is_some())
    };
    if !create.columns.is_empty() || schema.is_none() || !create.constraints.iter().any(checked) {
        return Ok(false);
    }
    let table = shared.find_table(parent.schema(), parent.name())?;
    let table = table.ok_or_else(|| undefined_table(parent.schema(), parent.name()))?;
    shared.check_owner(table.id)?;
    let bounds = bounds(shared, &table, create)?;
    if candles(parent.schema(), parent.name()).is_some() {
        add(shared, create, table.id, bounds.map(|(_, range)| range))?;
        return Ok(true);
    }
    let Some((column, range)) = bounds else {
        return Err(Error::unsupported(
            "restoring chunks that are cut by a function of their time",
        ));
    };
    make(shared, &table, &column, &range, name)?;
    add(shared, create, table.id, Some(range))?;
    Ok(true)
}

fn add(
    shared: &Shared,
    create: &CreateTable,
    table: TableId,
    range: Option<Range<i64>>,
) -> Result<(), Error> {
    let part = ArrivedPart {
        table,
        range,
        loaded: false,
    };
    let schema = create.name.schema().unwrap_or_default();
    let name = key(schema, create.name.name());
    change(shared, ArrivalChange::Part { name, part })
}

/// Makes a table the hypertable that it was, and the chunk of a range. Numbers are those of the
/// dump where these are free, so that names mean the same again.
fn make(
    shared: &Arc<Shared>,
    table: &Table,
    column: &str,
    range: &Range<i64>,
    name: &str,
) -> Result<(), Error> {
    let numbers = name
        .strip_prefix("_hyper_")
        .and_then(|name| name.strip_suffix("_chunk"))
        .and_then(|numbers| numbers.split_once('_'));
    let number = |text: &str| text.parse::<i32>().ok().filter(|number| *number > 0);
    let whole = range.start != i64::MIN && range.end != i64::MAX;
    if table.hypertable.is_none() {
        let width = whole.then(|| Width::Number(range.end.saturating_sub(range.start)));
        let plan = Plan {
            table: table.id,
            column: column.to_owned(),
            width,
            // A dump has the table's indexes.
            default_indexes: false,
            if_not_exists: true,
            migrate_data: true,
            number: numbers.and_then(|(of, _)| number(of)).map(HypertableId),
        };
        hypertable::make(shared, &plan)?;
    }
    let table = table_of(shared, table.id)?;
    let mut chunks = table.chunks.values();
    // Chunks that lie side by side in another dimension are one here; what has no end of its own
    // comes with its rows.
    if !whole || chunks.any(|of| of.range.start < range.end && range.start < of.range.end) {
        return Ok(());
    }
    let home = shared.home()?;
    let free = |id: &ChunkId| {
        let mut tables = home.tables.values();
        !tables.any(|table| table.chunks.contains_key(id))
    };
    let id = numbers.and_then(|(_, chunk)| number(chunk)).map(ChunkId);
    let oid = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    shared.change(Change::AddChunk {
        database: shared.database,
        table: table.id,
        chunk: id.filter(free).unwrap_or(ChunkId(home.next_chunk)),
        oid,
        range: range.clone(),
        created_us: shared.instance.engine.clock().wall_us(),
    })
}

/// The column and the range that a chunk's checks name first.
fn bounds(
    shared: &Shared,
    table: &Table,
    create: &CreateTable,
) -> Result<Option<(String, Range<i64>)>, Error> {
    for constraint in &create.constraints {
        let ConstraintKind::Check(check) = &constraint.kind else {
            continue;
        };
        let mut sides = Vec::new();
        gather(&check.expr, &mut sides);
        let mut found: Option<(String, Range<i64>)> = None;
        for (column, op, value) in sides {
            let Some((_, known)) = table.column_named(&column) else {
                continue;
            };
            let (_, range) = found.get_or_insert((column, i64::MIN..i64::MAX));
            let at = point(shared, known, &value)?;
            match op {
                ast::BinaryOperator::GtEq => range.start = at,
                _ => range.end = at,
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// What a column is compared with.
fn gather(expr: &ast::Expr, sides: &mut Vec<(String, ast::BinaryOperator, String)>) {
    use ast::BinaryOperator::{And, GtEq, Lt};
    match expr {
        ast::Expr::Nested(inner) => gather(inner, sides),
        ast::Expr::BinaryOp { left, op, right } => match op {
            And => {
                gather(left, sides);
                gather(right, sides);
            }
            GtEq | Lt => {
                if let (ast::Expr::Identifier(column), Some(value)) = (bare(left), constant(right))
                {
                    sides.push((column.value.clone(), op.clone(), value));
                }
            }
            _ => {}
        },
        _ => {}
    }
}

fn bare(mut expr: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// The text of a constant, whatever it is cast to.
fn constant(expr: &ast::Expr) -> Option<String> {
    match bare(expr) {
        ast::Expr::Cast { expr, .. } => constant(expr),
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => Some(format!("-{}", constant(expr)?)),
        ast::Expr::Value(value) => match &value.value {
            ast::Value::SingleQuotedString(text) | ast::Value::Number(text, _) => {
                Some(text.clone())
            }
            _ => None,
        },
        _ => None,
    }
}

/// A value of a column of times, in the unit that chunks are cut by.
fn point(shared: &Shared, column: &Column, text: &str) -> Result<i64, Error> {
    let zone = shared.time_zone();
    let mut builder = ColumnBuilder::new(&column.ty, &zone);
    builder.push_text(text.as_bytes())?;
    let times = cold::times(&builder.finish())?;
    times
        .first()
        .copied()
        .ok_or_else(|| Error::internal("a bound that is none"))
}
