//! GROUP BY of `time_bucket_gapfill`: which buckets there should be, and what `locf` and
//! `interpolate` put into those that are missing.

use std::collections::HashSet;

use arrow::datatypes::DataType;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator};

use super::group::{Grouped, Grouping};
use super::state::{Binder, Result, column, lift, project, told, unsupported};
use crate::error::Error;
use crate::functions::{
    FunctionError, GapCall, GapKind, Typed, apply_cast, gap_argument, gap_buckets,
};
use crate::nodes::{Filling, GapFill, LIMITS_HINT, Limit, Refill};

/// The buckets of a query that fills gaps.
#[derive(Debug)]
pub(super) struct Gap {
    /// The key of GROUP BY that they are.
    key: Expr,
    width: Expr,
    zone: Option<Expr>,
    start: Limit,
    finish: Limit,
}

/// An end of the range that is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Start,
    Finish,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Finish => "finish",
        }
    }
}

impl Gap {
    /// The gaps that a query fills, if any. `targets` are the expressions of its select list and
    /// the aggregates in them, `others` those of ORDER BY that are not in it. Limits that nothing says are
    /// left to readers when they are `open`.
    pub(super) fn of(
        grouping: Option<&Grouping>,
        targets: &[&Expr],
        others: &[&Expr],
        condition: Option<&Expr>,
        open: bool,
    ) -> Result<Option<Self>> {
        let Some(grouping) = grouping else {
            // Without groups there are no gaps: the buckets are `time_bucket`'s.
            return Ok(None);
        };
        let found = grouping.keys().iter().find_map(|key| {
            let call = GapCall::of(&key.expr).filter(|call| call.kind == GapKind::Bucket)?;
            Some((key, call))
        });
        let simple = |name: &str, expr: &Expr| {
            if is_simple(expr) {
                return Ok(expr.clone());
            }
            let what = format!("{name} must be a simple expression");
            Err(told(gap_argument(&what)))
        };
        if let Some((_, call)) = &found {
            let width = call.args.first().map(|width| ("bucket_width", width));
            let start = call.start().map(|start| ("start", start));
            let finish = call.finish().map(|finish| ("finish", finish));
            for (name, expr) in [width, start, finish].into_iter().flatten() {
                simple(name, expr)?;
            }
        }
        let keys: Vec<&Expr> = grouping.keys().iter().map(|key| &key.expr).collect();
        let unlisted = |expr: &&&Expr| !targets.contains(*expr);
        let hidden = keys.iter().filter(unlisted);
        let beside = others.iter().filter(|expr| !keys.contains(*expr));
        let calls: usize = targets
            .iter()
            .chain(hidden)
            .chain(beside)
            .map(|expr| count(expr, GapKind::Bucket))
            .sum();
        match calls {
            0 => return Ok(None),
            1 => {}
            _ => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "multiple time_bucket_gapfill calls not allowed",
                ));
            }
        }
        let Some((key, call)) = found else {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "no top level time_bucket_gapfill in group by clause",
            ));
        };
        if grouping.has_sets() {
            return Err(unsupported("time_bucket_gapfill with grouping sets"));
        }
        let [width, ts, ..] = call.args else {
            return Err(Error::internal("buckets have a width and a time"));
        };
        let width = simple("bucket_width", width)?;
        if let Expr::Literal(width, _) = &width {
            gap_buckets(width, None).map_err(told)?;
        }
        let zone = call.zone().map(|zone| simple("timezone", zone));
        let limit = |end: End, given: Option<&Expr>| match given {
            Some(at) => Ok(Limit {
                at: simple(end.name(), at)?,
                after: false,
                open: false,
            }),
            None => match inferred(end, ts, &key.arrow, condition) {
                Err(_) if open => Ok(Limit::unknown()),
                limit => limit,
            },
        };
        Ok(Some(Self {
            zone: zone.transpose()?,
            start: limit(End::Start, call.start())?,
            finish: limit(End::Finish, call.finish())?,
            key: key.expr.clone(),
            width,
        }))
    }
}

/// How often an expression calls one.
fn count(expr: &Expr, kind: GapKind) -> usize {
    let mut calls = 0;
    // Walking fails only when the closure does.
    let _ = expr.apply(|node| {
        calls += usize::from(GapCall::of(node).is_some_and(|call| call.kind == kind));
        Ok(TreeNodeRecursion::Continue)
    });
    calls
}

/// Whether an expression has a value before any row is read.
fn is_simple(expr: &Expr) -> bool {
    let bound = expr.exists(|node| {
        Ok(matches!(
            node,
            Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
        ))
    });
    !bound.unwrap_or(true)
}

/// The limit that WHERE sets to the time.
fn inferred(end: End, ts: &Expr, form: &DataType, condition: Option<&Expr>) -> Result<Limit> {
    let Expr::Column(_) = ts else {
        let what = "ts needs to refer to a single column if no start or finish is supplied";
        return Err(told(gap_argument(what).with_hint(LIMITS_HINT)));
    };
    let conjuncts = condition.into_iter().flat_map(split_conjunction);
    if let Some(limit) = limit_of(end, ts, form, conjuncts)? {
        return Ok(limit);
    }
    let missing = format!(
        "missing time_bucket_gapfill argument: could not infer {} from WHERE clause",
        end.name()
    );
    Err(told(
        FunctionError::invalid_parameter(missing).with_hint(LIMITS_HINT),
    ))
}

/// The limit that conditions set to a time of that form: the first of them that does.
pub(crate) fn limit_of<'e>(
    end: End,
    ts: &Expr,
    form: &DataType,
    conditions: impl Iterator<Item = &'e Expr>,
) -> Result<Option<Limit>> {
    for conjunct in conditions {
        let Expr::BinaryExpr(binary) = conjunct else {
            continue;
        };
        let (value, op) = if bare(&binary.left) == ts {
            (&binary.right, binary.op)
        } else if bare(&binary.right) == ts {
            match binary.op.swap() {
                Some(op) => (&binary.left, op),
                None => continue,
            }
        } else {
            continue;
        };
        let after = match (end, op) {
            (End::Start, Operator::GtEq) | (End::Finish, Operator::Lt) => false,
            (End::Start, Operator::Gt) | (End::Finish, Operator::LtEq) => true,
            _ => continue,
        };
        if is_simple(value)
            && let Some(at) = comparable(value, form)?
        {
            return Ok(Some(Limit {
                at,
                after,
                open: false,
            }));
        }
    }
    Ok(None)
}

/// A column without the casts that a comparison put around it.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast(cast) => bare(&cast.expr),
        Expr::ScalarFunction(call) => match call.args.as_slice() {
            [inner] if matches!(call.func.name(), "cast" | "coerce") => bare(inner),
            _ => expr,
        },
        other => other,
    }
}

/// A value that a time of that form was compared with, as one that says where buckets end; `None`
/// for a value of another kind.
fn comparable(value: &Expr, ts: &DataType) -> Result<Option<Expr>> {
    let form = value.get_type(&DFSchema::empty()).map_err(lift)?;
    match (&form, ts) {
        // By the session's clocks, as the comparison is.
        (DataType::Timestamp(_, Some(_)), DataType::Date32 | DataType::Timestamp(_, None)) => {
            let value = Typed {
                expr: value.clone(),
                ty: SqlType::Timestamptz(None),
                arrow: form,
            };
            let local = apply_cast(value, &SqlType::Timestamp(None), true).map_err(told)?;
            Ok(Some(local.expr))
        }
        (
            DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(..),
            _,
        ) => Ok(Some(value.clone())),
        _ => Ok(None),
    }
}

impl Binder<'_> {
    /// The groups with those that are missing. Calls of `locf` and `interpolate` in `exprs` become
    /// columns.
    pub(super) fn fill_gaps(
        &mut self,
        plan: LogicalPlan,
        made: &Grouped,
        gap: Gap,
        exprs: Vec<&mut Expr>,
        later: &HashSet<String>,
    ) -> Result<LogicalPlan> {
        let mut calls: Vec<(Expr, String)> = Vec::new();
        for expr in exprs {
            let taken = std::mem::take(expr);
            *expr = taken
                .transform_down(|node| {
                    let found = GapCall::of(&node).is_some_and(|call| call.kind != GapKind::Bucket);
                    if !found {
                        return Ok(Transformed::no(node));
                    }
                    let known = calls.iter().find(|(call, _)| *call == node);
                    let name = match known {
                        Some((_, name)) => name.clone(),
                        None => {
                            let name = self.fresh();
                            calls.push((node, name.clone()));
                            name
                        }
                    };
                    let jump = TreeNodeRecursion::Jump;
                    Ok(Transformed::new(column(&name), true, jump))
                })
                .map_err(lift)?
                .data;
        }
        let mut columns: Vec<Expr> = plan
            .schema()
            .columns()
            .into_iter()
            .map(Expr::Column)
            .collect();
        let mut refills = Vec::with_capacity(calls.len());
        for (call, name) in &calls {
            refills.push(self.refill(call, name, later, &mut columns)?);
        }
        let plan = if calls.is_empty() {
            plan
        } else {
            project(plan, columns)?
        };
        let Some(bucket) = made.key_of(&gap.key) else {
            return Err(Error::internal("the buckets are no key"));
        };
        let groups = made.key_names().filter(|name| *name != bucket);
        let filling = Filling {
            bucket: column(bucket),
            groups: groups.map(column).collect(),
            refills,
            width: gap.width,
            zone: gap.zone,
            start: gap.start,
            finish: gap.finish,
        };
        GapFill::plan(plan, filling).map_err(lift)
    }

    /// What a call fills in, as a column of that name; `columns` get it and what is looked up by
    /// row.
    fn refill(
        &mut self,
        call: &Expr,
        name: &str,
        later: &HashSet<String>,
        columns: &mut Vec<Expr>,
    ) -> Result<Refill> {
        let Some(call) = GapCall::of(call) else {
            return Err(Error::internal("no call that fills gaps"));
        };
        let Some(value) = call.args.first() else {
            return Err(Error::internal("a call without its value"));
        };
        let below = call.args.iter();
        if below
            .clone()
            .any(|arg| count(arg, GapKind::Locf) + count(arg, GapKind::Interpolate) > 0)
        {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "multiple interpolate/locf function calls per resultset column not supported",
            ));
        }
        let windowed = |arg: &Expr| {
            let named = arg.column_refs();
            named.into_iter().any(|found| later.contains(&found.name))
        };
        if below.clone().any(windowed) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("window functions must not be below {}", call.kind.name()),
            ));
        }
        columns.push(value.clone().alias(name));
        let mut lookup = |sought: Option<&Expr>| {
            sought.map(|sought| {
                if !by_row(sought) {
                    return sought.clone();
                }
                let name = self.fresh();
                columns.push(sought.clone().alias(&name));
                column(&name)
            })
        };
        let prev = lookup(call.arg(1));
        let (next, skip_nulls) = match call.kind {
            GapKind::Interpolate => (lookup(call.arg(2)), None),
            _ => (None, call.arg(2).cloned()),
        };
        if skip_nulls.as_ref().is_some_and(|skip| !is_simple(skip)) {
            return Err(told(FunctionError::invalid_parameter(
                "invalid locf argument: treat_null_as_missing must be a BOOL literal",
            )));
        }
        Ok(Refill {
            column: column(name),
            kind: call.kind,
            prev,
            next,
            skip_nulls,
        })
    }
}

/// Whether an expression names the group it is for, in a query within it too.
fn by_row(expr: &Expr) -> bool {
    let named = expr.exists(|node| {
        Ok(match node {
            Expr::Column(_) | Expr::OuterReferenceColumn(..) => true,
            Expr::ScalarSubquery(query) => !query.outer_ref_columns.is_empty(),
            _ => false,
        })
    });
    named.unwrap_or(true)
}

/// Refuses aggregates over `locf` and `interpolate`, which come after them.
pub(super) fn check_below(aggregates: &[(String, Expr)]) -> Result<()> {
    for (_, call) in aggregates {
        for kind in [GapKind::Locf, GapKind::Interpolate] {
            if count(call, kind) > 0 {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("aggregate functions must be below {}", kind.name()),
                ));
            }
        }
    }
    Ok(())
}
