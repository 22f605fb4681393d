//! Rows into tables: what INSERT binds to, and the checks that every new row passes.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{ConstraintKind, Table};
use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_expr::PhysicalExpr;
use futures::StreamExt;

use crate::bind::{Names, Target, bind_insert_source, bind_over, bind_scalar, set_parameters};
use crate::error::Error;
use crate::functions::SessionVars;
use crate::session::{self, SessionNames, Shared, blocking};

/// An INSERT that was bound: a plan that gives the table's columns, in order.
pub(crate) struct InsertPlan {
    pub(crate) table: TableId,
    pub(crate) plan: LogicalPlan,
    pub(crate) params: Vec<SqlType>,
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
    let (plan, params, given) = match &insert.source {
        Some(source) => {
            let bound = bind_insert_source(names, source, &targets, types)?;
            let given = bound.columns.len();
            (bound.plan, bound.params, given)
        }
        // DEFAULT VALUES
        None => (LogicalPlanBuilder::empty(true).build()?, Vec::new(), 0),
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
        table: table.id,
        plan,
        params,
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
    if let Some(table) = shared.find_table(schema, name)? {
        return Ok(table);
    }
    let home = shared.home()?;
    let view = home.views.values().find(|view| view.name == name);
    if view.is_some() {
        return Err(Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("cannot insert into view \"{name}\""),
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

fn places_of(table: &Table, columns: &[ast::ObjectName]) -> Result<Vec<usize>, Error> {
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

/// Runs a bound INSERT; how many rows it wrote.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    insert: &InsertPlan,
    values: &[ScalarValue],
) -> Result<u64, Error> {
    let plan = set_parameters(&insert.plan, values)?;
    let table = shared
        .catalog()
        .table(shared.database, insert.table)
        .cloned()
        .ok_or_else(|| Error::internal("the table of an INSERT is gone"))?;
    let checks = Checks::of(shared, &table)?;
    // What the statement reads must not grow while it writes: all of it is read first.
    let mut source = session::run(shared, &plan).await?;
    let mut batches = Vec::new();
    while let Some(batch) = source.next().await {
        batches.push(batch?);
    }
    drop(source);
    let mut rows = 0;
    for batch in batches {
        let batch = of_table(&table, &batch)?;
        checks.hold(&batch)?;
        rows +=
            blocking(|| shared.transact(|transaction| transaction.insert(insert.table, &batch)))?;
    }
    Ok(rows)
}

/// A batch under the names of its table's columns.
fn of_table(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let layout = chronolith_engine::layout_of(table);
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(layout.schema()),
        batch.columns().to_vec(),
        &options,
    )?)
}

/// The check constraints of a table, ready to be held against rows.
pub(crate) struct Checks {
    table: String,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
}

impl Checks {
    pub(crate) fn of(shared: &Arc<Shared>, table: &Table) -> Result<Self, Error> {
        let mut checks = Vec::new();
        let expressions = table
            .constraints
            .iter()
            .filter_map(|constraint| match &constraint.kind {
                ConstraintKind::Check { expression } => Some((&constraint.name, expression)),
                _ => None,
            })
            .collect::<Vec<_>>();
        if !expressions.is_empty() {
            let names = SessionNames::new(shared)?;
            let vars: SessionVars = names.vars().clone();
            let planner = shared.planner(vars);
            let layout = chronolith_engine::layout_of(table);
            let schema = DFSchema::try_from(layout.schema().as_ref().clone())?;
            for (name, text) in expressions {
                let expr = check_expr(&names, table, text)?;
                checks.push((name.clone(), planner.create_physical_expr(expr, &schema)?));
            }
        }
        Ok(Self {
            table: table.name.clone(),
            checks,
        })
    }

    /// 23514 for the first row that a check refuses; NULL is not refused.
    pub(crate) fn hold(&self, batch: &RecordBatch) -> Result<(), Error> {
        for (name, check) in &self.checks {
            let answer = check.evaluate(batch)?.into_array(batch.num_rows())?;
            let refused = answer
                .as_boolean_opt()
                .is_some_and(|answer| answer.false_count() > 0);
            if refused {
                let mut error = Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{}\" violates check constraint \"{name}\"",
                        self.table
                    ),
                );
                error.table = Some(self.table.clone());
                error.constraint = Some(name.clone());
                return Err(error);
            }
        }
        Ok(())
    }
}

/// A check over its table's columns.
///
/// # Errors
/// What PostgreSQL says of the expression; 42804 when it is not a Boolean.
pub(crate) fn check_expr(names: &dyn Names, table: &Table, text: &str) -> Result<Expr, Error> {
    let tree = chronolith_sql::expression(text)?;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect();
    let typed = bind_over(names, &tree, &table.name, &columns)?;
    if typed.ty != SqlType::Bool {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "argument of CHECK must be type boolean, not type {}",
                typed.ty
            ),
        ));
    }
    Ok(typed.expr)
}
