//! Bodies of functions in SQL, bound where the functions are called.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::Routine;
use chronolith_sql::Statement as Tree;
use chronolith_sql::ast;
use chronolith_types::SqlType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::functions_aggregate::first_last::first_value_udaf;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::coerce::assignable;
use super::dependent::{Shape, shape};
use super::routine::{Frame, OwnCall};
use super::scope::{Scope, ScopeColumn};
use super::state::{Binder, Clause, Place, Rel, Result, column, field, lift, told, typed, unnamed};
use super::subquery::subquery;
use crate::error::Error;
use crate::evaluate::is_query;
use crate::functions::{CastContext, Typed, apply_cast, canonical_form};

/// How many bodies may stand one within another; beyond it they are run.
const FRAMES_MAX: usize = 30;

impl Binder<'_> {
    /// The rows of a body as one value: its column, or a record of several.
    pub(super) fn one_value(&mut self, rel: Rel, call: &OwnCall) -> Result<(Rel, ScopeColumn)> {
        let record = call.result == SqlType::Record;
        let (rel, found) = match (rel.scope.columns.as_slice(), record) {
            ([only], false) => {
                let found = only.clone();
                (rel, found)
            }
            _ => {
                let mut fields = Vec::with_capacity(rel.scope.columns.len());
                for found in &rel.scope.columns {
                    let value = canonical_form(typed(found)).map_err(told)?;
                    fields.push((found.name.clone(), value));
                }
                let documents = std::mem::replace(&mut self.documents, false);
                let row = self.record(fields);
                self.documents = documents;
                let rel = self.project(rel.plan, vec![(row?, unnamed(&call.routine.name))])?;
                let found = rel.scope.columns.first().cloned();
                let found = found.ok_or_else(|| Error::internal("a record without a column"))?;
                (rel, found)
            }
        };
        Ok((rel, found))
    }

    /// The value of the first row of a plan, NULL without one.
    pub(super) fn first_value(
        &mut self,
        place: Place<'_>,
        plan: LogicalPlan,
        found: &ScopeColumn,
        opaque: &[(Expr, Expr)],
    ) -> Result<Expr> {
        // Elsewhere a plan has no place for a query.
        let clause = matches!(
            place.clause,
            Clause::Select | Clause::Where | Clause::Values
        );
        let joins = opaque.is_empty() && clause;
        let limited = |plan: LogicalPlan| {
            LogicalPlanBuilder::from(plan)
                .limit(0, Some(1))
                .and_then(LogicalPlanBuilder::build)
                .map_err(lift)
        };
        let single = one_row(&plan);
        if joins && !self.depends(place, &plan) {
            let plan = if single { plan } else { limited(plan)? };
            return Ok(Expr::ScalarSubquery(subquery(plan)));
        }
        match shape(&plan) {
            Shape::Aggregated if joins => Ok(Expr::ScalarSubquery(subquery(plan))),
            Shape::Plain if joins => {
                let name = self.fresh();
                let first = AggregateFunction::new_udf(
                    first_value_udaf(),
                    vec![column(&found.column)],
                    false,
                    None,
                    Vec::new(),
                    None,
                );
                let plan = LogicalPlanBuilder::from(plan)
                    .aggregate(
                        Vec::<Expr>::new(),
                        vec![Expr::AggregateFunction(first).alias(name)],
                    )
                    .and_then(LogicalPlanBuilder::build)
                    .map_err(lift)?;
                Ok(Expr::ScalarSubquery(subquery(plan)))
            }
            _ => {
                let plan = if single { plan } else { limited(plan)? };
                Ok(self.dependent_on(place, plan, &found.arrow, opaque))
            }
        }
    }

    /// The query that a function's body is, where it may stand in the place of the call.
    pub(super) fn inlinable(&self, routine: &Arc<Routine>) -> Option<Box<ast::Query>> {
        let fits = routine.language == "sql"
            && !routine.security_definer
            && routine.settings.is_empty()
            && self.frames.len() < FRAMES_MAX
            && !self
                .frames
                .iter()
                .any(|frame| frame.routine.id == routine.id);
        if !fits || routine.result.as_ref()?.ty == SqlType::Void {
            return None;
        }
        let mut parsed = chronolith_sql::parse(&routine.body).ok()?;
        match (parsed.pop()?.statement, parsed.is_empty()) {
            // What changes or locks rows runs by itself.
            (Tree::Query(query), true)
                if !super::changes(&query) && !super::locks_within(&query) =>
            {
                Some(query)
            }
            _ => None,
        }
    }

    /// Arguments as a body sees them, where that differs with what each stands for: those that no
    /// join could hand in are named anew.
    pub(super) fn inward(
        &mut self,
        place: Place<'_>,
        args: &[Typed],
        columns: bool,
    ) -> (Vec<Typed>, Vec<(Expr, Expr)>) {
        let mut opaque = Vec::new();
        let mut inner = Vec::with_capacity(args.len());
        for arg in args {
            let mut fits = true;
            let mut bare = true;
            let _ = arg.expr.apply(|node| {
                match node {
                    Expr::Column(found) => {
                        bare = false;
                        fits &= place.scope.internal(&found.name).is_some();
                    }
                    other => fits &= !is_query(other),
                }
                Ok(TreeNodeRecursion::Continue)
            });
            let simple = matches!(arg.expr, Expr::Column(_));
            let expr = match fits && (bare || simple || !columns) {
                true => outward(place.scope, arg.expr.clone()),
                false => {
                    let name = self.fresh_as("argument");
                    let named = Expr::OuterReferenceColumn(
                        Arc::new(field(&name, &arg.arrow)),
                        Column::new_unqualified(&name),
                    );
                    opaque.push((named.clone(), arg.expr.clone()));
                    named
                }
            };
            inner.push(Typed {
                expr,
                ..arg.clone()
            });
        }
        (inner, opaque)
    }

    /// A body's query, its columns of the types that the function returns; None where they would
    /// have to be made from what only a run shows.
    pub(super) fn body_of(
        &mut self,
        place: Place<'_>,
        call: &OwnCall,
        query: &ast::Query,
        args: Vec<Typed>,
    ) -> Result<Option<Rel>> {
        let mut outer: Vec<Scope> = self.outer.iter().map(hidden).collect();
        outer.push(hidden(place.scope));
        let outer = std::mem::replace(&mut self.outer, outer);
        let ctes = std::mem::take(&mut self.ctes);
        let view = self.view.take();
        let documents = std::mem::replace(&mut self.documents, false);
        self.views += 1;
        self.frames.push(Frame {
            routine: Arc::clone(&call.routine),
            args,
        });
        let wanted: Option<Vec<SqlType>> = match &call.columns {
            Some(columns) => Some(columns.iter().map(|(_, ty)| ty.clone()).collect()),
            None if call.result == SqlType::Record => None,
            None => Some(vec![call.result.clone()]),
        };
        let bound = self.deeper(|binder| binder.query(query, wanted.as_deref()));
        self.frames.pop();
        self.views -= 1;
        self.outer = outer;
        self.ctes = ctes;
        self.view = view;
        self.documents = documents;
        let rel = bound.map_err(|mut error| {
            // Positions are in the body's text.
            error.position = None;
            error
        })?;
        let mut rel = self.settled_rel(rel)?;
        let Some(wanted) = wanted else {
            return Ok(Some(rel));
        };
        if call.result == SqlType::Record {
            rel = self.opened(rel, wanted.len())?;
        }
        let names: Vec<String> = match &call.columns {
            Some(columns) => columns.iter().map(|(name, _)| name.clone()).collect(),
            None => vec![call.routine.name.clone()],
        };
        if rel.scope.columns.len() != wanted.len() {
            // A row that is one value, or a body that was made before its tables changed.
            return Ok(None);
        }
        let same = rel
            .scope
            .columns
            .iter()
            .zip(&wanted)
            .all(|(found, ty)| found.ty.without_typmod() == *ty && found.arrow == ty.arrow());
        if same {
            let mut rel = rel;
            for ((found, name), ty) in rel.scope.columns.iter_mut().zip(names).zip(wanted) {
                found.name = name;
                found.ty = ty;
                found.origin = None;
            }
            return Ok(Some(rel));
        }
        let found = rel.scope.columns.iter().zip(&wanted);
        if call.result == SqlType::Record
            && found
                .into_iter()
                .any(|(found, ty)| !assignable(&found.ty, ty))
        {
            // It is refused when it runs.
            return Ok(None);
        }
        let mut items = Vec::with_capacity(wanted.len());
        for ((found, ty), name) in rel.scope.columns.iter().zip(&wanted).zip(&names) {
            let value = self.coerce(typed(found), ty, CastContext::Assignment)?;
            let value = apply_cast(value, ty, false).map_err(told)?;
            let mut value = canonical_form(value).map_err(told)?;
            value.ty = ty.base().clone();
            items.push((value, unnamed(name)));
        }
        Ok(Some(self.project(rel.plan, items)?))
    }

    /// An expression of a body that reads nothing, where the call stands.
    pub(super) fn outward_of(
        &self,
        place: Place<'_>,
        expr: Expr,
        opaque: &[(Expr, Expr)],
    ) -> Result<Expr> {
        let back = expr.transform_up(|node| {
            if let Some((_, given)) = opaque.iter().find(|(named, _)| *named == node) {
                return Ok(Transformed::yes(given.clone()));
            }
            Ok(match node {
                Expr::OuterReferenceColumn(_, found)
                    if place.scope.internal(&found.name).is_some() =>
                {
                    Transformed::yes(Expr::Column(found))
                }
                other => Transformed::no(other),
            })
        });
        Ok(back.map_err(lift)?.data)
    }
}

/// The columns of a scope, to be known as such, but found by no name.
fn hidden(scope: &Scope) -> Scope {
    let columns = scope.columns.iter().map(|found| ScopeColumn {
        table: None,
        schema: None,
        visible: false,
        ..found.clone()
    });
    Scope {
        columns: columns.collect(),
        relations: Vec::new(),
    }
}

/// An expression over the columns of a scope, as a query within sees it.
fn outward(scope: &Scope, expr: Expr) -> Expr {
    let seen = expr.clone().transform_up(|node| {
        Ok(match node {
            Expr::Column(found) => {
                let form = scope.internal(&found.name).map(|known| known.arrow.clone());
                let form = form.unwrap_or(DataType::Null);
                let field = Arc::new(field(&found.name, &form));
                Transformed::yes(Expr::OuterReferenceColumn(field, found))
            }
            other => Transformed::no(other),
        })
    });
    seen.map_or(expr, |seen| seen.data)
}

/// The expression of a plan's one column, when the plan reads nothing and has one row.
pub(super) fn bare(plan: &LogicalPlan, name: &str) -> Option<Expr> {
    let LogicalPlan::Projection(projection) = plan else {
        return None;
    };
    let found = projection.expr.iter().find_map(|expr| match expr {
        Expr::Alias(alias) if alias.name == name => Some(alias.expr.as_ref().clone()),
        Expr::Column(column) if column.name == name => Some(expr.clone()),
        _ => None,
    })?;
    match projection.input.as_ref() {
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => Some(found),
        input => {
            let mut whole = true;
            let made = found.transform_up(|node| {
                Ok(match &node {
                    Expr::Column(column) => match bare(input, &column.name) {
                        Some(inner) => Transformed::yes(inner),
                        None => {
                            whole = false;
                            Transformed::no(node)
                        }
                    },
                    _ => Transformed::no(node),
                })
            });
            // A constant over rows is as many as there are rows.
            let one = bare_input(input);
            made.ok().map(|made| made.data).filter(|_| whole && one)
        }
    }
}

fn bare_input(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => bare_input(&projection.input),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// Whether a plan has one row at most, by its form.
fn one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => one_row(&alias.input),
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Limit(limit) => match limit.fetch.as_deref() {
            Some(Expr::Literal(ScalarValue::Int64(Some(rows)), _)) => *rows <= 1,
            _ => false,
        },
        _ => false,
    }
}

/// Whether an expression may give another value when it is computed again.
pub(super) fn volatile(expr: &Expr) -> bool {
    use datafusion::logical_expr::Volatility as Marked;
    // What runs a query for a value is marked so that it is not taken for a constant.
    let ours = |name: &str| matches!(name, "subquery" | "single");
    expr.exists(|node| {
        Ok(match node {
            Expr::ScalarFunction(call) => {
                call.func.signature().volatility == Marked::Volatile && !ours(call.func.name())
            }
            _ => false,
        })
    })
    .unwrap_or(true)
}

pub(super) fn volatile_plan(plan: &LogicalPlan) -> bool {
    let mut found = false;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= volatile(expr);
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found || walked.is_err()
}
