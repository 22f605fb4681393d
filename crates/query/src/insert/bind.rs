//! INSERT bound: where its rows come from, as the table's columns in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Column, Table};
use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::values::Cells;
use crate::bind::{
    Names, Target, Use, bind_inserted, bind_scalar, name_position, no_target, of_this_database,
};
use crate::error::Error;
use crate::session::{SessionNames, Shared, taken, view_as_table};

/// An INSERT that was bound.
pub(crate) struct InsertPlan {
    pub(crate) table: TableId,
    pub(crate) source: Source,
    pub(crate) params: Vec<SqlType>,
    /// The attribute numbers of the columns that are given values.
    pub(crate) given: BTreeSet<u32>,
    /// What it reads.
    pub(crate) uses: Vec<Use>,
}

/// What gives an INSERT its rows: the table's columns, in order.
pub(crate) enum Source {
    /// Rows that were read when the statement was bound, and the places of columns that get their
    /// defaults when it runs.
    Rows(RecordBatch, Vec<usize>),
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
            given: BTreeSet::new(),
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
    of_this_database(names, name).map_err(|error| error.at(name_position(name)))?;
    let (schema, name, at) = split_name(name)?;
    let table = find_target(shared, schema.as_deref(), &name)
        .map_err(|error| no_target(names, schema.as_deref(), &name, error).at(at))?;
    let places = places_of(&table, &insert.columns)?;
    let targets = places
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .map(|column| target_of(names, column))
        .collect::<Result<Vec<_>, Error>>()?;
    let (plan, params, given, uses) = match &insert.source {
        Some(source) => {
            let alias = insert.table_alias.as_ref();
            let alias = alias.map(|alias| alias.alias.value.as_str());
            let bound = bind_inserted(names, source, &targets, types, (&table, alias))?;
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
        )
        .at(insert
            .columns
            .get(given)
            .and_then(crate::bind::name_position)));
    }
    let provided = provided(insert, &table, &places, given)?;
    let plan = completed(names, &table, plan, &provided)?;
    Ok(InsertPlan {
        given: numbers(&table, places.get(..given).unwrap_or(&places)),
        uses,
        ..InsertPlan::new(table.id, plan, params)?
    })
}

/// The attribute numbers of columns, by their places.
pub(super) fn numbers(table: &Table, places: &[usize]) -> BTreeSet<u32> {
    let columns = places.iter().filter_map(|place| table.columns.get(*place));
    columns.map(|column| column.id.0).collect()
}

/// The places of the columns that the source gives values to; none for one whose value counts for
/// nothing.
///
/// # Errors
/// 428C9 for a column that takes no value.
pub(crate) fn provided(
    insert: &ast::Insert,
    table: &Table,
    places: &[usize],
    given: usize,
) -> Result<Vec<usize>, Error> {
    let mut provided = places.get(..given).unwrap_or(places).to_vec();
    let overriding = overriding(insert)?;
    for (index, place) in provided.iter_mut().enumerate() {
        let Some(column) = table.columns.get(*place) else {
            continue;
        };
        if column.identity.is_some() && overriding == Some(Overriding::User) {
            // What is given for it counts for nothing.
            *place = usize::MAX;
        } else if !all_default(insert.source.as_deref(), index) {
            refuse_given(column, overriding)?;
        }
    }
    Ok(provided)
}

/// OVERRIDING … VALUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overriding {
    System,
    User,
}

/// What `sql` says of OVERRIDING, for which the tree has another's place.
fn overriding(insert: &ast::Insert) -> Result<Option<Overriding>, Error> {
    let Some(partitioned) = &insert.partitioned else {
        return Ok(None);
    };
    match partitioned.as_slice() {
        [ast::Expr::Identifier(word)] if word.value == "system" => Ok(Some(Overriding::System)),
        [ast::Expr::Identifier(word)] if word.value == "user" => Ok(Some(Overriding::User)),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "syntax error at or near \"PARTITION\"",
        )),
    }
}

/// Whether the cells of a column of VALUES are all DEFAULT.
fn all_default(source: Option<&ast::Query>, index: usize) -> bool {
    let Some(ast::SetExpr::Values(values)) = source.map(|source| source.body.as_ref()) else {
        return false;
    };
    let is_default = |cell: &ast::Expr| {
        matches!(cell, ast::Expr::Identifier(ident)
            if ident.quote_style.is_none() && ident.value == "default")
    };
    let mut rows = values.rows.iter();
    rows.all(|row| row.get(index).is_some_and(is_default))
}

/// 428C9 for a value that a column does not take.
pub(crate) fn refuse_given(
    column: &chronolith_catalog::Column,
    overriding: Option<Overriding>,
) -> Result<(), Error> {
    let refused = || {
        Error::new(
            SqlState::GENERATED_ALWAYS,
            format!(
                "cannot insert a non-DEFAULT value into column \"{}\"",
                column.name
            ),
        )
    };
    if column.generated.is_some() {
        return Err(refused().detail(format!("Column \"{}\" is a generated column.", column.name)));
    }
    let always = column.identity.is_some_and(|identity| identity.always);
    if always && overriding != Some(Overriding::System) {
        return Err(refused()
            .detail(format!(
                "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
                column.name
            ))
            .hint("Use OVERRIDING SYSTEM VALUE to override."));
    }
    Ok(())
}

/// A table that takes rows, or a view whose triggers do.
///
/// # Errors
/// 42P01, or 42809 for a relation that is none.
pub(crate) fn find_target(
    shared: &Arc<Shared>,
    schema: Option<&str>,
    name: &str,
) -> Result<Arc<Table>, Error> {
    if shared.find_table(schema, name)?.is_none()
        && let Some(view) = shared.find_view(schema, name)?
        && view.kept().is_none()
    {
        if taken(&*shared.home()?, view.id).contains(&"INSERT") {
            return view_as_table(shared, &view);
        }
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot copy to view \"{name}\""),
        )
        .hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger."));
    }
    find_changed(shared, schema, name)
}

/// A table whose rows a statement changes.
///
/// # Errors
/// 42P01, or 42809 for a relation that is none.
pub(crate) fn find_changed(
    shared: &Shared,
    schema: Option<&str>,
    name: &str,
) -> Result<Arc<Table>, Error> {
    if let Some(table) = shared.find_table(schema, name)? {
        return Ok(table);
    }
    let view = shared.find_view(schema, name)?;
    if view.is_some_and(|view| view.kept().is_some()) {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change materialized view \"{name}\""),
        ));
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

/// The name of a column that an INSERT names, and its place in the text.
pub(crate) fn name_of_column(name: &ast::ObjectName) -> Result<(String, Option<u32>), Error> {
    let (_, name, at) = split_name(name)?;
    Ok((name, at))
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

/// The default of a column's domain.
pub(crate) fn domain_default(names: &dyn Names, column: &Column) -> Option<String> {
    let chain = names.domain_chain(column.domain?);
    chain.last()?.domain()?.default.clone()
}

/// A column as what is assigned to it; an identity column's default is its sequence's next value,
/// that of a column without one its domain's.
pub(crate) fn target_of(names: &dyn Names, column: &Column) -> Result<Target, Error> {
    let identity = column
        .identity
        .map(|identity| format!("nextval('{}'::regclass)", identity.sequence));
    Ok(Target {
        name: column.name.clone(),
        ty: column.ty.clone(),
        default: match column
            .default
            .clone()
            .or(identity)
            .or_else(|| domain_default(names, column))
        {
            Some(text) => Some(chronolith_sql::expression(&text)?),
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
                let target = target_of(names, column)?;
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
