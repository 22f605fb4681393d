//! Check constraints, held against new rows.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{ConstraintKind, Table};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::domains::Domains;
use crate::bind::{Names, bind_over};
use crate::error::Error;
use crate::functions::SessionVars;
use crate::session::{SessionNames, Shared};

/// The check constraints of a table, ready to be held against rows.
pub(crate) struct Checks {
    table: String,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
    domains: Domains,
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
            domains: Domains::of(shared, table)?,
        })
    }

    /// 23514 for the first row that a check refuses; NULL is not refused.
    pub(crate) fn hold(&self, batch: &RecordBatch) -> Result<(), Error> {
        self.domains.hold(batch)?;
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

impl Checks {
    /// Holds them against the rows that a table has.
    pub(crate) fn hold_all(&self, shared: &Arc<Shared>, table: &Table) -> Result<(), Error> {
        let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(table.id)))?;
        let Some(view) = view else {
            return Ok(());
        };
        let all = chronolith_chunk::ScanRequest::all((0..view.layout.columns.len()).collect());
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, &all) {
                self.hold(&batch?)?;
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
