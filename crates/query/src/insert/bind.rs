//! INSERT bound: where its rows come from, as the table's columns in order.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::values::Cells;
use crate::bind::{Names, Target, Use, bind_insert_source, bind_scalar};
use crate::error::Error;
use crate::session::{SessionNames, Shared};

/// An INSERT that was bound.
pub(crate) struct InsertPlan {
    pub(crate) table: TableId,
    pub(crate) source: Source,
    pub(crate) params: Vec<SqlType>,
    /// What it reads.
    pub(crate) uses: Vec<Use>,
}

/// What gives an INSERT its rows: the table's columns, in order.
pub(crate) enum Source {
    /// Rows that were read when the statement was bound.
    Rows(RecordBatch),
    /// VALUES.
    Cells(Cells),
    /// A query.
    Plan(LogicalPlan),
}

impl InsertPlan {
    /// # Errors
    /// When a cell of VALUES cannot be planned.
    pub(crate) fn new(
        table: TableId,
        plan: LogicalPlan,
        params: Vec<SqlType>,
    ) -> Result<Self, Error> {
        let source = match Cells::of(&plan, &params)? {
            Some(cells) => Source::Cells(cells),
            None => Source::Plan(plan),
        };
        Ok(Self {
            table,
            source,
            params,
            uses: Vec::new(),
        })
    }
}

/// Binds an INSERT.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind(
    shared: &Arc<Shared>,
    names: &SessionNames,
    insert: &ast::Insert,
    types: &[Option<SqlType>],
) -> Result<InsertPlan, Error> {
    if insert.on.is_some() {
        return Err(Error::unsupported("INSERT … ON CONFLICT"));
    }
    if insert.returning.is_some() {
        return Err(Error::unsupported("INSERT … RETURNING"));
    }
    let ast::TableObject::TableName(name) = &insert.table else {
        return Err(Error::unsupported("INSERT into a function"));
    };
    let (schema, name, at) = split_name(name)?;
    let table = find_target(shared, schema.as_deref(), &name).map_err(|error| error.at(at))?;
    let places = places_of(&table, &insert.columns)?;
    let targets = places
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .map(target_of)
        .collect::<Result<Vec<_>, Error>>()?;
    let (plan, params, given, uses) = match &insert.source {
        Some(source) => {
            let bound = bind_insert_source(names, source, &targets, types)?;
            let given = bound.columns.len();
            (bound.plan, bound.params, given, bound.uses)
        }
        // DEFAULT VALUES
        None => (
            LogicalPlanBuilder::empty(true).build()?,
            Vec::new(),
            0,
            Vec::new(),
        ),
    };
    if given < places.len() && !insert.columns.is_empty() {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "INSERT has more target columns than expressions",
        ));
    }
    let provided = places.get(..given).unwrap_or(&places);
    let plan = completed(names, &table, plan, provided)?;
    Ok(InsertPlan {
        uses,
        ..InsertPlan::new(table.id, plan, params)?
    })
}

/// A table that takes rows.
///
/// # Errors
/// 42P01, or 42809 for a relation that is none.
pub(crate) fn find_target(
    shared: &Shared,
    schema: Option<&str>,
    name: &str,
) -> Result<Arc<Table>, Error> {
    find_changed(shared, schema, name, "INSERT")
}

/// A table whose rows a statement changes.
///
/// # Errors
/// 42P01, or 42809 and 55000 for a relation that is none.
pub(crate) fn find_changed(
    shared: &Shared,
    schema: Option<&str>,
    name: &str,
    verb: &str,
) -> Result<Arc<Table>, Error> {
    if let Some(table) = shared.find_table(schema, name)? {
        return Ok(table);
    }
    let view = shared.find_view(schema, name)?;
    if view.as_ref().is_some_and(|view| view.kept().is_some()) {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change materialized view \"{name}\""),
        ));
    }
    if view.is_some() {
        let verb = match verb {
            "INSERT" => "insert into",
            "UPDATE" => "update",
            "DELETE" => "delete from",
            _ => "merge into",
        };
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot {verb} view \"{name}\""),
        )
        .detail("Views are not updatable here.")
        .hint("Write to the view's table."));
    }
    Err(undefined_table(schema, name))
}

pub(crate) fn undefined_table(schema: Option<&str>, name: &str) -> Error {
    let name = match schema {
        Some(schema) => format!("{schema}.{name}"),
        None => name.to_owned(),
    };
    Error::new(
        SqlState::UNDEFINED_TABLE,
        format!("relation \"{name}\" does not exist"),
    )
}

pub(crate) fn undefined_column(column: &str, table: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" of relation \"{table}\" does not exist"),
    )
}

/// Schema, name and place of a name as sqlparser has it; unquoted parts are folded already.
fn split_name(name: &ast::ObjectName) -> Result<(Option<String>, String, Option<u32>), Error> {
    let parts: Vec<&ast::Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let at = parts
        .first()
        .and_then(|ident| u32::try_from(ident.span.start.column).ok());
    match parts.as_slice() {
        [name] => Ok((None, name.value.clone(), at)),
        [.., schema, name] => Ok((Some(schema.value.clone()), name.value.clone(), at)),
        [] => Err(Error::new(SqlState::SYNTAX_ERROR, "a name is missing")),
    }
}

/// The places of the columns that an INSERT names.
pub(crate) fn places_of(table: &Table, columns: &[ast::ObjectName]) -> Result<Vec<usize>, Error> {
    if columns.is_empty() {
        return Ok((0..table.columns.len()).collect());
    }
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let (_, name, at) = split_name(column)?;
        let (place, _) = table
            .column_named(&name)
            .ok_or_else(|| undefined_column(&name, &table.name).at(at))?;
        if places.contains(&place) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            )
            .at(at));
        }
        places.push(place);
    }
    Ok(places)
}

fn target_of(column: &chronolith_catalog::Column) -> Result<Target, Error> {
    Ok(Target {
        name: column.name.clone(),
        ty: column.ty.clone(),
        default: match &column.default {
            Some(text) => Some(chronolith_sql::expression(text)?),
            None => None,
        },
    })
}

/// The source's columns as the table's, those that it does not give with their defaults.
pub(crate) fn completed(
    names: &dyn Names,
    table: &Table,
    plan: LogicalPlan,
    provided: &[usize],
) -> Result<LogicalPlan, Error> {
    let sources: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let mut exprs = Vec::with_capacity(table.columns.len());
    for (place, column) in table.columns.iter().enumerate() {
        let given = provided.iter().position(|given| *given == place);
        let expr = match given.and_then(|given| sources.get(given)) {
            Some(source) => source.clone(),
            None => {
                let target = target_of(column)?;
                match &target.default {
                    Some(default) => bind_scalar(names, default, Some(&target))?.expr,
                    None => Expr::Literal(ScalarValue::try_from(&column.ty.arrow())?, None),
                }
            }
        };
        exprs.push(expr.alias(format!("i{place}")));
    }
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}
