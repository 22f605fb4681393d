//! Calls of aggregates, and GROUPING.

use chronolith_sql::ast::{self, DuplicateTreatment, FunctionArgumentClause};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{AggregateFunction, Case, Sort};

use super::call::{Arg, Resolved, star};
use super::state::{Binder, Clause, Place, Result, column, position, told, unsupported};
use crate::error::Error;
use crate::functions::{ProcKind, Typed};

impl Binder<'_> {
    /// `GROUPING(a, b)`: which of the keys a row of a grouping set is without.
    pub(super) fn grouping_call(
        &mut self,
        place: Place<'_>,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Typed> {
        if !matches!(
            place.clause,
            Clause::Select | Clause::Having | Clause::OrderBy | Clause::Window | Clause::WindowCall
        ) {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                format!(
                    "grouping operations are not allowed in {}",
                    place.clause.words()
                ),
            )
            .at(at));
        }
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
            datafusion::functions_aggregate::grouping::grouping_udaf(),
            args.into_iter().map(|arg| arg.expr).collect(),
            false,
            None,
            Vec::new(),
            None,
        ));
        let name = self.fresh();
        if let Some(calls) = self.calls.last_mut() {
            calls.aggregates.push((name.clone(), expr));
        }
        if let Some(at) = at {
            self.places.insert(name.clone(), at);
        }
        Ok(Typed {
            expr: column(&name),
            ty: SqlType::Int4,
            arrow: arrow::datatypes::DataType::Int32,
        })
    }

    pub(super) fn aggregate_call(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        at: Option<u32>,
    ) -> Result<Typed> {
        match place.clause {
            Clause::Select
            | Clause::Having
            | Clause::OrderBy
            | Clause::Window
            | Clause::WindowCall => {}
            Clause::Aggregate => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot be nested",
                )
                .at(at));
            }
            other => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    format!("aggregate functions are not allowed in {}", other.words()),
                )
                .at(at));
            }
        }
        let (mut call, params) = self.aggregate_parts(place, name, function, list, at)?;
        if params.distinct {
            for arg in &mut call.args {
                *arg = self.groupable(arg.clone())?;
            }
        }
        let labels = call.by_rank().map_err(|error| error.at(at))?;
        let built = call
            .proc
            .aggregate(&call.args, &call.result)
            .map_err(|error| told(error).at(at))?;
        let udf = match params.distinct {
            true => crate::functions::counting_distinct(built.udf),
            false => built.udf,
        };
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
            udf,
            built.args,
            params.distinct,
            params.filter.map(Box::new),
            params.order_by,
            None,
        ));
        let fresh = self.fresh();
        let Some(calls) = self.calls.last_mut() else {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed here",
            )
            .at(at));
        };
        let name = match calls.aggregates.iter().find(|(_, known)| *known == expr) {
            Some((name, _)) => name.clone(),
            None => {
                calls.aggregates.push((fresh.clone(), expr));
                fresh
            }
        };
        let made = Typed {
            expr: column(&name),
            ty: built.ty,
            arrow: built.arrow,
        };
        Ok(match labels {
            Some(labels) => crate::functions::label(made, &labels),
            None => made,
        })
    }

    /// Arguments, DISTINCT, ORDER BY, WITHIN GROUP and FILTER of an aggregate.
    pub(super) fn aggregate_parts(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        at: Option<u32>,
    ) -> Result<(Resolved, AggregateParts)> {
        // Over a window, an aggregate's arguments may hold aggregates of the group.
        let inner = Place {
            scope: place.scope,
            clause: if function.over.is_some() {
                Clause::WindowCall
            } else {
                Clause::Aggregate
            },
        };
        let mut args = if star(list) {
            Vec::new()
        } else {
            self.arguments(inner, &list.args)?
        };
        let mut order_by = Vec::new();
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => {
                    for key in keys {
                        let value = self.expr(inner, &key.expr)?;
                        order_by.push(self.sort_of(value, &key.options)?);
                    }
                }
                other => return Err(unsupported(format!("{other} in an aggregate")).at(at)),
            }
        }
        let within = &function.within_group;
        if !within.is_empty() {
            for key in within {
                if key.options.asc == Some(false) {
                    return Err(unsupported("WITHIN GROUP (ORDER BY … DESC)").at(at));
                }
                let value = self.expr(inner, &key.expr)?;
                args.push(Arg {
                    name: None,
                    value,
                    variadic: false,
                });
            }
        }
        let mut call = self.resolve(name, args, at)?;
        if call.proc.kind != ProcKind::Aggregate && call.proc.kind != ProcKind::Window {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name} is no aggregate of these arguments"),
            )
            .at(at));
        }
        if call.proc.kind == ProcKind::Aggregate
            && list.args.is_empty()
            && within.is_empty()
            && !call.proc.ordered_set
        {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}(*) must be used to call a parameterless aggregate function"),
            )
            .at(at));
        }
        if call.proc.ordered_set && within.is_empty() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
            )
            .at(at));
        }
        let filter = match &function.filter {
            Some(filter) => {
                let place = Place {
                    scope: place.scope,
                    clause: Clause::Filter,
                };
                let value = self.expr(place, filter)?;
                Some(self.condition(value, "FILTER", position(filter.as_ref()))?)
            }
            None => None,
        };
        // An argument that may fail is computed for the rows that FILTER leaves alone.
        if let Some(filter) = &filter {
            for arg in call.args.iter_mut().filter(|arg| may_fail(&arg.expr)) {
                let computed =
                    std::mem::replace(&mut arg.expr, Expr::Literal(ScalarValue::Null, None));
                arg.expr = Expr::Case(Case::new(
                    None,
                    vec![(Box::new(filter.clone()), Box::new(computed))],
                    None,
                ));
            }
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        Ok((
            call,
            AggregateParts {
                distinct,
                filter,
                order_by,
            },
        ))
    }
}

/// What an aggregate call has beside its arguments.
pub(super) struct AggregateParts {
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub order_by: Vec<Sort>,
}

/// Whether an expression may fail for some row.
fn may_fail(expr: &Expr) -> bool {
    expr.exists(|part| {
        Ok(matches!(part, Expr::ScalarFunction(call) if crate::functions::can_fail(&call.func)))
    })
    .unwrap_or(true)
}
