//! A query: WITH, its body, ORDER BY and LIMIT.

use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, LimitClause, OrderByExpr, OrderByKind, SetExpr};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, cast, lit, when};

use super::scope::{Scope, ScopeColumn};
use super::select::numbered_and_ranked;
use super::state::{
    Binder, Clause, Place, Rel, Result, column, lift, position, typed, unsupported,
};
use crate::error::Error;
use crate::functions::CastContext;

impl Binder<'_> {
    /// A query; `expected` are the types that untyped constants of its select list are to have.
    pub(super) fn query(
        &mut self,
        query: &ast::Query,
        expected: Option<&[SqlType]>,
    ) -> Result<Rel> {
        self.deeper(|binder| {
            let named = binder.ctes.len();
            let bound = binder.query_here(query, expected);
            binder.ctes.truncate(named);
            bound
        })
    }

    fn query_here(&mut self, query: &ast::Query, expected: Option<&[SqlType]>) -> Result<Rel> {
        if !query.locks.is_empty() {
            return self.locked(query);
        }
        if let Some(with) = &query.with {
            self.with(with)?;
        }
        let keys = match query.order_by.as_ref().map(|order| &order.kind) {
            None => &[],
            Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
            Some(OrderByKind::All(_)) => return Err(unsupported("ORDER BY ALL")),
        };
        let rel = self.body(&query.body, keys, expected)?;
        self.limited(rel, query)
    }

    pub(super) fn body(
        &mut self,
        body: &SetExpr,
        keys: &[OrderByExpr],
        expected: Option<&[SqlType]>,
    ) -> Result<Rel> {
        match body {
            SetExpr::Select(select) => self.select(select, keys, expected),
            SetExpr::Query(inner) => {
                let rel = self.query(inner, expected)?;
                self.sorted(rel, keys)
            }
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                let rel = self.set_operation(left, *op, *set_quantifier, right)?;
                self.sorted(rel, keys)
            }
            SetExpr::Values(values) => {
                let rel = self.values(values, expected)?;
                self.sorted(rel, keys)
            }
            SetExpr::Table(table) => {
                let text = match (&table.schema_name, &table.table_name) {
                    (Some(schema), Some(name)) => format!("SELECT * FROM {schema}.{name}"),
                    (_, Some(name)) => format!("SELECT * FROM {name}"),
                    _ => return Err(unsupported("TABLE without a name")),
                };
                let query = chronolith_sql::query(&text)
                    .map_err(|error| Error::new(error.sqlstate, error.message))?;
                let rel = self.query(&query, None)?;
                self.sorted(rel, keys)
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(unsupported("a statement that changes rows inside a query"))
            }
        }
    }

    /// ORDER BY of something without a FROM of its own: by output columns only.
    fn sorted(&mut self, rel: Rel, keys: &[OrderByExpr]) -> Result<Rel> {
        if keys.is_empty() {
            return Ok(rel);
        }
        let mut sorts = Vec::with_capacity(keys.len());
        for key in keys {
            let found = match self.output_key(&rel.scope.columns, &key.expr, "ORDER BY")? {
                Some(at) => rel.scope.columns.get(at),
                None => None,
            };
            let Some(found) = found else {
                if let ast::Expr::Identifier(name) = &key.expr {
                    return Err(Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{}\" does not exist", name.value),
                    )
                    .at(position(&key.expr)));
                }
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                )
                .detail("Only result column names can be used, not expressions or functions.")
                .hint(
                    "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                )
                .at(position(&key.expr)));
            };
            sorts.push(self.sort_of(typed(found), &key.options)?);
        }
        self.sort_plan(rel, sorts)
    }

    pub(super) fn sort_plan(&mut self, rel: Rel, sorts: Vec<SortExpr>) -> Result<Rel> {
        let plan = LogicalPlanBuilder::from(rel.plan)
            .sort(sorts)
            .map_err(lift)?
            .build()
            .map_err(lift)?;
        Ok(Rel { plan, ..rel })
    }

    /// The output column that a sort key names, by its number or its name.
    pub(super) fn output_key(
        &self,
        columns: &[ScopeColumn],
        key: &ast::Expr,
        clause: &str,
    ) -> Result<Option<usize>> {
        if let Some(number) = number_of(key) {
            let place = number
                .parse::<i64>()
                .map_err(|_| non_integer(clause, key))?;
            let found = usize::try_from(place)
                .ok()
                .and_then(|number| number.checked_sub(1))
                .filter(|at| *at < columns.len());
            return found.map(Some).ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("{clause} position {place} is not in select list"),
                )
                .at(position(key))
            });
        }
        match key {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(_) | ast::Value::Null => Ok(None),
                _ => Err(non_integer(clause, key)),
            },
            ast::Expr::Identifier(ident) => {
                let mut found = columns
                    .iter()
                    .enumerate()
                    .filter(|(_, column)| column.name == ident.value);
                match (found.next(), found.next()) {
                    (Some((at, _)), None) => Ok(Some(at)),
                    (None, _) => Ok(None),
                    (Some((at, first)), Some((_, second))) => {
                        if first.origin.is_some() && first.origin == second.origin {
                            return Ok(Some(at));
                        }
                        Err(Error::new(
                            SqlState::AMBIGUOUS_COLUMN,
                            format!("{clause} \"{}\" is ambiguous", ident.value),
                        )
                        .at(position(key)))
                    }
                }
            }
            _ => Ok(None),
        }
    }

    // ------------------------------------------------------------------- limit

    fn limited(&mut self, rel: Rel, query: &ast::Query) -> Result<Rel> {
        let (mut limit, mut offset) = match &query.limit_clause {
            None => (None, None),
            Some(LimitClause::LimitOffset { limit, offset, .. }) => (
                limit.clone(),
                offset.as_ref().map(|offset| offset.value.clone()),
            ),
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "LIMIT #,# syntax is not supported",
                )
                .hint("Use separate LIMIT and OFFSET clauses."));
            }
        };
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties && query.order_by.is_none() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "WITH TIES cannot be specified without ORDER BY clause",
                ));
            }
            if fetch.percent {
                return Err(unsupported("FETCH FIRST … PERCENT"));
            }
            limit =
                Some(fetch.quantity.clone().unwrap_or_else(|| {
                    ast::Expr::value(ast::Value::Number("1".to_owned(), false))
                }));
        }
        // LIMIT ALL and LIMIT NULL are no limit.
        let none = |expr: &ast::Expr| matches!(expr, ast::Expr::Value(value) if value.value == ast::Value::Null);
        let ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
        if limit.as_ref().is_some_and(none) {
            if ties {
                return Err(Error::new(
                    SqlState::INVALID_ROW_COUNT_IN_LIMIT,
                    "row count cannot be null in FETCH FIRST ... WITH TIES clause",
                ));
            }
            limit = None;
        }
        if offset.as_ref().is_some_and(none) {
            offset = None;
        }
        if limit.is_none() && offset.is_none() {
            return Ok(rel);
        }
        let fetch = match &limit {
            Some(limit) => Some(self.row_count(limit, "LIMIT")?),
            None => None,
        };
        let skip = match &offset {
            Some(offset) => Some(self.row_count(offset, "OFFSET")?),
            None => None,
        };
        if let (true, Some(fetch)) = (ties, &fetch) {
            let plan = self.tied(rel.plan, skip.as_ref(), fetch)?;
            return Ok(Rel { plan, ..rel });
        }
        let plan = LogicalPlanBuilder::from(rel.plan)
            .limit_by_expr(skip, fetch)
            .map_err(lift)?
            .build()
            .map_err(lift)?;
        Ok(Rel { plan, ..rel })
    }

    /// The first rows of a sorted plan, with those behind them that are sorted alike.
    fn tied(
        &mut self,
        plan: LogicalPlan,
        skip: Option<&Expr>,
        fetch: &Expr,
    ) -> Result<LogicalPlan> {
        let sort = match &plan {
            LogicalPlan::Sort(sort) => sort.clone(),
            LogicalPlan::Projection(over) => {
                let input = self.tied(LogicalPlan::clone(&over.input), skip, fetch)?;
                let plan = plan.with_new_exprs(plan.expressions(), vec![input]);
                return plan.map_err(lift);
            }
            _ => return Err(unsupported("WITH TIES of this query")),
        };
        let known: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let (number, rank) = (self.fresh_as("number"), self.fresh_as("rank"));
        let plan = numbered_and_ranked(plan, &sort.expr, &number, &rank)?;
        let whole = |name: &str| cast(column(name), DataType::Int64);
        let skip = skip.cloned().unwrap_or(lit(0_i64));
        let last = skip.clone() + fetch.clone();
        let some = whole(&rank).lt_eq(last);
        let some = some.and(fetch.clone().gt(lit(0_i64)));
        let wanted = whole(&number).gt(skip);
        let wanted = wanted.and(some.or(fetch.clone().is_null()));
        // A number that must not be is told of as that of any LIMIT.
        let negative = when(fetch.clone().lt(lit(0_i64)), fetch.clone());
        let negative = negative.end().map_err(lift)?;
        let plan = LogicalPlanBuilder::from(plan)
            .filter(wanted)
            .and_then(|plan| plan.sort(vec![column(&number).sort(true, false)]))
            .and_then(|plan| plan.project(known))
            .and_then(|plan| plan.limit_by_expr(None::<Expr>, Some(negative)))
            .and_then(LogicalPlanBuilder::build);
        plan.map_err(lift)
    }

    fn row_count(&mut self, count: &ast::Expr, clause: &str) -> Result<Expr> {
        let nothing = Scope::default();
        let place = Place {
            scope: &nothing,
            clause: Clause::Limit,
        };
        let at = position(count);
        let value = self.expr(place, count)?;
        let given = value.ty.clone();
        let value = self
            .coerce(value, &SqlType::Int8, CastContext::Assignment)
            .map_err(|error| {
                if error.code == SqlState::CANNOT_COERCE {
                    Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("argument of {clause} must be type bigint, not type {given}"),
                    )
                } else {
                    error
                }
                .at(at)
            })?;
        if let Some(ScalarValue::Int64(Some(number))) = value.as_literal()
            && *number < 0
        {
            let code = if clause == "LIMIT" {
                SqlState::INVALID_ROW_COUNT_IN_LIMIT
            } else {
                SqlState::INVALID_ROW_COUNT_IN_OFFSET
            };
            return Err(Error::new(code, format!("{clause} must not be negative")));
        }
        Ok(value.expr)
    }
}

/// The digits of a number, which may have a sign.
pub(super) fn number_of(key: &ast::Expr) -> Option<String> {
    match key {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) => Some(digits.clone()),
            _ => None,
        },
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => match expr.as_ref() {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(digits, _) => Some(format!("-{digits}")),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

pub(super) fn non_integer(clause: &str, key: &ast::Expr) -> Error {
    Error::new(
        SqlState::SYNTAX_ERROR,
        format!("non-integer constant in {clause}"),
    )
    .at(position(key))
}
