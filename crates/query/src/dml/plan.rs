//! A changing statement, bound and ready to run any number of times.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Rights;
use chronolith_sql::{Literals, Statement, ast};
use chronolith_types::{SqlType, TableId};
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;

use crate::bind::{Over, Program, What, bind_change, bind_changing_query};
use crate::error::Error;
use crate::insert::{self, Cells, Source, changes_between_runs};
use crate::session::{SessionNames, Shared};

/// A program with what can be made ready of it.
pub(crate) struct Dml {
    pub(crate) program: Program,
    /// The rows of each INSERT … VALUES, which need no planner.
    pub(crate) given: Vec<Option<Given>>,
}

/// Rows of VALUES.
pub(crate) enum Given {
    /// To be computed.
    Cells(Cells),
    /// Read already, and the places of columns that get their defaults.
    Rows(RecordBatch, Vec<usize>),
}

/// Binds INSERT, UPDATE, DELETE or MERGE.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind(
    names: &SessionNames,
    statement: &Statement,
    types: &[Option<SqlType>],
) -> Result<Dml, Error> {
    Dml::of(bind_change(names, statement, types)?)
}

/// Binds a query whose WITH changes rows.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind_query(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
) -> Result<Dml, Error> {
    Dml::of(bind_changing_query(names, query, types)?)
}

/// Binds an INSERT of literals with more behind them; None when it must be bound the full way,
/// which knows the words and the place of each error.
///
/// # Errors
/// When its schema does not exist.
pub(crate) fn bind_literals(
    shared: &Arc<Shared>,
    names: &SessionNames,
    literals: &Literals,
    types: &[Option<SqlType>],
) -> Result<Option<Dml>, Error> {
    let Some(insert) = insert::bind_literals(shared, literals)? else {
        return Ok(None);
    };
    let Ok(tree) = literals.without_rows() else {
        return Ok(None);
    };
    let program = bind_change(names, &Statement::Insert(tree), types);
    Ok(match (program, insert.source) {
        (Ok(program), Source::Rows(rows, missing)) => Some(Dml {
            program,
            given: vec![Some(Given::Rows(rows, missing))],
        }),
        _ => None,
    })
}

/// Whether what is made of a row depends on the row alone, in each run.
fn is_alike(update: &Over) -> bool {
    let differs = |node: &Expr| matches!(node, Expr::Placeholder(_)) || changes_between_runs(node);
    let differs = |expr: &Expr| expr.exists(|node| Ok(differs(node))).unwrap_or(true);
    update.direct.as_ref().is_some_and(|direct| {
        let mut exprs = direct.filter.iter().chain(&direct.exprs);
        !exprs.any(differs)
    })
}

impl Dml {
    /// Whether so many runs with other parameters, one after the other, give what one run gives that
    /// has all of them, as long as that one changes so many rows: see [`Cells::repeats`].
    pub(crate) fn repeats(&self) -> Option<&Cells> {
        let ([change], [Some(Given::Cells(cells))]) =
            (self.program.changes.as_slice(), self.given.as_slice())
        else {
            return None;
        };
        let What::Insert { conflict, .. } = &change.what else {
            return None;
        };
        let update = conflict.as_ref().and_then(|of| of.update.as_ref());
        let alone = self.program.main.is_none()
            && self.program.locks.is_empty()
            && change.returning.is_none()
            && change.held.is_empty()
            && change.views.is_empty();
        (alone && update.is_none_or(is_alike) && cells.repeats()).then_some(cells)
    }

    fn of(program: Program) -> Result<Self, Error> {
        let given = program.changes.iter().map(|change| match &change.what {
            What::Insert { plan, .. } => Ok(Cells::of(plan, &program.params)?.map(Given::Cells)),
            _ => Ok(None),
        });
        let given = given.collect::<Result<_, Error>>()?;
        Ok(Self { program, given })
    }

    /// Looks whether the current role may do it.
    pub(crate) fn check(&self, shared: &Shared) -> Result<(), Error> {
        for change in &self.program.changes {
            for right in [
                Rights::INSERT,
                Rights::UPDATE,
                Rights::DELETE,
                Rights::SELECT,
            ] {
                if change.rights.has(right) {
                    let nothing = BTreeSet::new();
                    let named = TableId(change.named);
                    match right {
                        Rights::INSERT => shared.check_columns(named, right, &change.inserts)?,
                        Rights::UPDATE => shared.check_columns(named, right, &change.updates)?,
                        Rights::SELECT => shared.check_columns(named, right, &nothing)?,
                        _ => shared.check_relation(named, right)?,
                    }
                    let below = change.views.iter().skip(1).copied();
                    let below = below.chain([change.table.id.0]);
                    for (view, relation) in change.views.iter().zip(below) {
                        shared.check_below(TableId(*view), TableId(relation), right)?;
                    }
                }
            }
        }
        for (_, locking) in &self.program.locks {
            locking.check(shared)?;
        }
        shared.check_uses(&self.program.uses)
    }
}
