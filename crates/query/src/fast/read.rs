//! What a piece of a plan says about a table's columns.

use std::fmt;
use std::sync::Arc;

use chronolith_chunk::{Buckets, Layout};
use chronolith_rollup::bucket::{BucketOptions, Bucketer};
use chronolith_types::{Interval, SqlType};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, InListExpr, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::scan::ChunkScan;

type Expr = Arc<dyn PhysicalExpr>;

/// A scan, what is left of its rows, and what is made of them.
pub(super) struct Source<'a> {
    pub(super) scan: &'a ChunkScan,
    /// What each column is, in terms of the scan's.
    columns: Vec<Expr>,
    /// What must hold of a row, in terms of the scan's columns.
    pub(super) predicates: Vec<Expr>,
}

impl<'a> Source<'a> {
    /// None for anything but projections and filters of one scan.
    pub(super) fn of(plan: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(scan) = plan.downcast_ref::<ChunkScan>() {
            if scan.request().locators {
                // What the system has of rows is told by the scan itself.
                return None;
            }
            let fields = plan.schema();
            let columns = fields.fields().iter().enumerate();
            let columns =
                columns.map(|(at, field)| -> Expr { Arc::new(Column::new(field.name(), at)) });
            return Some(Self {
                scan,
                columns: columns.collect(),
                predicates: Vec::new(),
            });
        }
        if let Some(cooperative) = plan.downcast_ref::<CooperativeExec>() {
            return Self::of(cooperative.input());
        }
        if let Some(projection) = plan.downcast_ref::<ProjectionExec>() {
            let mut source = Self::of(projection.input())?;
            let columns = projection
                .expr()
                .iter()
                .map(|one| source.resolve(&one.expr));
            source.columns = columns.collect::<Option<_>>()?;
            return Some(source);
        }
        let filter = plan.downcast_ref::<FilterExec>()?;
        if filter.fetch().is_some() {
            return None;
        }
        let mut source = Self::of(filter.input())?;
        let predicate = source.resolve(filter.predicate())?;
        source.predicates.push(predicate);
        if let Some(kept) = filter.projection() {
            let columns = kept.iter().map(|at| source.columns.get(*at).cloned());
            source.columns = columns.collect::<Option<_>>()?;
        }
        Some(source)
    }

    /// An expression over the columns, in terms of the scan's.
    pub(super) fn resolve(&self, expr: &Expr) -> Option<Expr> {
        let mut lost = false;
        let resolved = Arc::clone(expr).transform_up(|expr| {
            let Some(column) = expr.downcast_ref::<Column>() else {
                return Ok(Transformed::no(expr));
            };
            match self.columns.get(column.index()) {
                Some(known) => Ok(Transformed::yes(Arc::clone(known))),
                None => {
                    lost = true;
                    Ok(Transformed::no(expr))
                }
            }
        });
        resolved
            .ok()
            .filter(|_| !lost)
            .map(|resolved| resolved.data)
    }

    /// The place in the table of a column of the scan.
    pub(super) fn place(&self, expr: &Expr) -> Option<usize> {
        let column = expr.downcast_ref::<Column>()?;
        self.scan.request().projection.get(column.index()).copied()
    }

    /// The same of an expression over the columns.
    pub(super) fn place_of(&self, expr: &Expr) -> Option<usize> {
        self.place(&self.resolve(expr)?)
    }

    /// The text columns and the values that all predicates ask for; None when they ask for more.
    pub(super) fn equals(&self) -> Option<Vec<(usize, Vec<String>)>> {
        let mut found = Vec::new();
        for predicate in &self.predicates {
            self.read_equals(predicate, &mut found)?;
        }
        Some(found)
    }

    fn read_equals(&self, expr: &Expr, found: &mut Vec<(usize, Vec<String>)>) -> Option<()> {
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            match binary.op() {
                Operator::And => {
                    self.read_equals(binary.left(), found)?;
                    return self.read_equals(binary.right(), found);
                }
                Operator::Or => {
                    let (mut one, mut other) = (Vec::new(), Vec::new());
                    self.read_equals(binary.left(), &mut one)?;
                    self.read_equals(binary.right(), &mut other)?;
                    let ([(place, values)], [(same, more)]) =
                        (one.as_mut_slice(), other.as_slice())
                    else {
                        return None;
                    };
                    if place != same {
                        return None;
                    }
                    values.extend_from_slice(more);
                    found.append(&mut one);
                    return Some(());
                }
                Operator::Eq => {
                    let (place, value) =
                        match (self.place(binary.left()), self.place(binary.right())) {
                            (Some(place), None) => (place, text(binary.right())?),
                            (None, Some(place)) => (place, text(binary.left())?),
                            _ => return None,
                        };
                    found.push((place, vec![value]));
                    return Some(());
                }
                _ => return None,
            }
        }
        let list = expr.downcast_ref::<InListExpr>()?;
        if list.negated() {
            return None;
        }
        let values: Option<Vec<String>> = list.list().iter().map(text).collect();
        found.push((self.place(list.expr())?, values?));
        Some(())
    }
}

fn text(expr: &Expr) -> Option<String> {
    match literal(expr)? {
        ScalarValue::Utf8View(value) | ScalarValue::Utf8(value) => value.clone(),
        _ => None,
    }
}

pub(super) fn literal(expr: &Expr) -> Option<&ScalarValue> {
    Some(expr.downcast_ref::<Literal>()?.value())
}

/// Buckets of the table's time column, and about how long each is.
pub(super) struct Bucketing {
    pub(super) buckets: Buckets,
    pub(super) length: i64,
    pub(super) shown: String,
}

impl fmt::Debug for Bucketing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// `time_bucket` of the time column with constants; None for anything else, and for buckets in a
/// zone, which clocks may show twice.
pub(super) fn bucketing(source: &Source<'_>, layout: &Layout, expr: &Expr) -> Option<Bucketing> {
    let call = expr.downcast_ref::<ScalarFunctionExpr>()?;
    let [width, time, rest @ ..] = call.args() else {
        return None;
    };
    let place = source.place(time)?;
    if call.name() != "time_bucket" || Some(place) != layout.time {
        return None;
    }
    let column = layout.columns.get(place)?;
    let width = literal(width)?;
    let rest: Vec<&ScalarValue> = rest.iter().map(literal).collect::<Option<_>>()?;
    let (bucketer, length) = match column.ty {
        SqlType::Timestamptz(_) | SqlType::Timestamp(_) => of_times(width, &rest)?,
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => of_integers(width, &rest)?,
        _ => return None,
    };
    let even = !matches!(width, ScalarValue::IntervalMonthDayNano(Some(span)) if span.months != 0);
    Some(Bucketing {
        buckets: Arc::new(move |at| {
            let start = bucketer.bucket(at)?;
            let end = match even {
                true => start.checked_add(length),
                false => bucketer.next(at).ok(),
            };
            // Of the last bucket there is the end is no value; an infinite time is alone in its own.
            Ok(start..end.filter(|end| *end > at).unwrap_or(at.saturating_add(1)))
        }),
        length,
        shown: format!("time_bucket({width}, {})", column.name),
    })
}

/// The buckets of a continuous aggregate's own rows: each of their times is one's start.
pub(super) fn buckets_of_store(layout: &Layout, place: Option<usize>) -> Bucketing {
    let column = place.and_then(|place| layout.columns.get(place));
    Bucketing {
        buckets: Arc::new(|at| Ok(at..at.saturating_add(1))),
        length: 1,
        shown: column.map_or(String::new(), |column| column.name.clone()),
    }
}

const DAY_US: i64 = 86_400_000_000;

fn interval(value: &ScalarValue) -> Option<Interval> {
    match value {
        ScalarValue::IntervalMonthDayNano(Some(span)) => Some(Interval {
            months: span.months,
            days: span.days,
            us: span.nanoseconds / 1000,
        }),
        _ => None,
    }
}

fn of_times(width: &ScalarValue, rest: &[&ScalarValue]) -> Option<(Bucketer, i64)> {
    let width = interval(width)?;
    let mut options = BucketOptions::default();
    match rest {
        [] => {}
        [ScalarValue::TimestampMicrosecond(Some(origin), _)] => options.origin = Some(*origin),
        [offset] => options.offset = Some(interval(offset)?),
        _ => return None,
    }
    // Months are as long as their days: moved by some, buckets may overlap.
    if options.offset.is_some_and(|offset| offset.months != 0)
        || (width.months != 0 && !rest.is_empty())
    {
        return None;
    }
    let days = i64::from(width.months) * 28 + i64::from(width.days);
    let length = days.checked_mul(DAY_US)?.checked_add(width.us)?;
    Some((Bucketer::new(width, options).ok()?, length.max(1)))
}

fn of_integers(width: &ScalarValue, rest: &[&ScalarValue]) -> Option<(Bucketer, i64)> {
    let width = integer(width)?;
    let offset = match rest {
        [] => 0,
        [offset] => integer(offset)?,
        _ => return None,
    };
    Some((Bucketer::integers(width, offset).ok()?, width))
}

fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(value) => *value,
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int16(value) => value.map(i64::from),
        _ => None,
    }
}
