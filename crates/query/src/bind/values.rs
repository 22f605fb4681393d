//! VALUES: rows of cells, each column of one type.

use datafusion::logical_expr::{Case, Expr, LogicalPlan, LogicalPlanBuilder, Values, lit};

use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType};

use super::scope::{Scope, ScopeColumn};
use super::state::{Binder, Clause, Place, Rel, Result, column, lift, position, unnamed};
use crate::error::Error;
use crate::evaluate::has_query;
use crate::functions::Typed;

impl Binder<'_> {
    pub(super) fn values(
        &mut self,
        values: &ast::Values,
        expected: Option<&[SqlType]>,
    ) -> Result<Rel> {
        let nothing = Scope::default();
        let place = Place {
            scope: &nothing,
            clause: Clause::Values,
        };
        let columns = self.cells(values, |binder, _, cell| binder.expr(place, cell))?;
        let mut items = Vec::with_capacity(columns.len());
        for (at, column) in columns.into_iter().enumerate() {
            let all_unknown = column.iter().all(|cell| cell.ty == SqlType::Unknown);
            let column = match expected.and_then(|types| types.get(at)) {
                Some(ty) if all_unknown => {
                    let mut typed = Vec::with_capacity(column.len());
                    for cell in column {
                        typed.push(self.settle(cell, ty)?);
                    }
                    typed
                }
                _ => column,
            };
            let cells = values.rows.iter().map(|row| row.get(at));
            let places: Vec<_> = cells.map(|cell| cell.and_then(position)).collect();
            items.push(self.unify_at(column, "VALUES", &places)?);
        }
        self.values_of(items, values.rows.len())
    }

    /// The cells of rows, by columns; each is bound with its place in its row.
    pub(super) fn cells(
        &mut self,
        values: &ast::Values,
        bind: impl Fn(&mut Self, usize, &ast::Expr) -> Result<Typed>,
    ) -> Result<Vec<Vec<Typed>>> {
        let width = values.rows.first().map_or(0, |row| row.len());
        let mut columns: Vec<Vec<Typed>> = (0..width).map(|_| Vec::new()).collect();
        for row in &values.rows {
            if row.len() != width {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "VALUES lists must all be the same length",
                )
                .at(row.first().and_then(position)));
            }
            for (at, (cell, column)) in row.iter().zip(&mut columns).enumerate() {
                column.push(bind(self, at, cell)?);
            }
        }
        Ok(columns)
    }

    /// Rows of cells given by columns, each of one type and form.
    pub(super) fn values_of(
        &mut self,
        columns: Vec<(Vec<Typed>, SqlType)>,
        count: usize,
    ) -> Result<Rel> {
        let queries = |(cells, _): &(Vec<Typed>, _)| cells.iter().any(|cell| has_query(&cell.expr));
        if columns.iter().any(queries) {
            return self.values_of_queries(columns, count);
        }
        let mut rows: Vec<Vec<Expr>> = (0..count).map(|_| Vec::new()).collect();
        let mut scope = Scope::default();
        let mut exprs = Vec::with_capacity(columns.len());
        let mut alike = count > 0 && !columns.is_empty();
        for (number, (cells, ty)) in (1_usize..).zip(columns) {
            let arrow = cells
                .first()
                .map_or_else(|| ty.arrow(), |cell| cell.arrow.clone());
            alike &= cells.len() == count && cells.iter().all(|cell| cell.arrow == arrow);
            for (row, cell) in rows.iter_mut().zip(cells) {
                row.push(cell.expr);
            }
            let internal = self.fresh();
            exprs.push(column(&format!("column{number}")).alias(&internal));
            scope.columns.push(ScopeColumn {
                column: internal,
                ty,
                arrow,
                ..unnamed(&format!("column{number}"))
            });
        }
        let schema = scope
            .columns
            .iter()
            .enumerate()
            .map(|(at, found)| super::state::field(&format!("column{}", at + 1), &found.arrow))
            .collect::<Vec<_>>();
        let schema = datafusion::common::DFSchema::from_unqualified_fields(
            schema.into(),
            std::collections::HashMap::new(),
        )
        .map_err(lift)?;
        let schema = std::sync::Arc::new(schema);
        let plan = match alike {
            // What asks each cell for its type, which is known, costs more than all else.
            true => LogicalPlan::Values(Values {
                schema,
                values: rows,
            }),
            false => LogicalPlanBuilder::values_with_schema(rows, &schema)
                .map_err(lift)?
                .build()
                .map_err(lift)?,
        };
        Ok(Rel {
            plan: super::state::project(plan, exprs)?,
            scope,
        })
    }

    /// The same where cells are queries, which the library's VALUES computes before they are run: a
    /// row for each number, and of each column the cell of that number.
    fn values_of_queries(
        &mut self,
        columns: Vec<(Vec<Typed>, SqlType)>,
        count: usize,
    ) -> Result<Rel> {
        let number = self.fresh();
        let numbers = (0_i64..).take(count).map(|row| vec![lit(row)]).collect();
        let numbered = LogicalPlanBuilder::values(numbers).map_err(lift)?;
        let numbered = numbered.build().map_err(lift)?;
        let numbered = super::state::project(numbered, vec![column("column1").alias(&number)])?;
        let mut scope = Scope::default();
        let mut exprs = Vec::with_capacity(columns.len());
        for (place, (cells, ty)) in (1_usize..).zip(columns) {
            let arrow = cells
                .first()
                .map_or_else(|| ty.arrow(), |cell| cell.arrow.clone());
            let arms = (0_i64..).zip(cells).map(|(row, cell)| {
                let when = Box::new(column(&number).eq(lit(row)));
                (when, Box::new(cell.expr))
            });
            let mut arms: Vec<_> = arms.collect();
            let cell = match (arms.pop(), arms.is_empty()) {
                (Some((_, only)), true) => *only,
                (last, _) => Expr::Case(Case::new(None, arms, last.map(|(_, cell)| cell))),
            };
            let internal = self.fresh();
            exprs.push(cell.alias(&internal));
            scope.columns.push(ScopeColumn {
                column: internal,
                ty,
                arrow,
                ..unnamed(&format!("column{place}"))
            });
        }
        Ok(Rel {
            plan: super::state::project(numbered, exprs)?,
            scope,
        })
    }
}
