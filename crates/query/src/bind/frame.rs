//! The frames of windows: which DataFusion knows, and which are ours to find.

use arrow::compute::SortOptions;
use chronolith_sql::ast::{self, WindowFrameUnits as AstUnits};
use chronolith_sql::exclusion;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::Sort;
use datafusion::logical_expr::{Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::state::{Binder, Place, Result, lift, position, told};
use crate::error::Error;
use crate::functions::{self, Bounds, CastContext, Edge, Frame, Typed, Units};

/// A frame by the one who finds it.
pub(super) enum Framing {
    Known(WindowFrame),
    Own { frame: Frame, bounds: Bounds },
}

/// What numerics are brought to where DataFusion adds offsets to them.
const MEASURED: SqlType = SqlType::Numeric(Some((38, 18)));

/// Whether DataFusion knows no range of a type: without offsets it is one of groups.
fn without_distance(ty: &SqlType) -> bool {
    !ty.is_text()
        && !matches!(
            ty,
            SqlType::Int2
                | SqlType::Int4
                | SqlType::Int8
                | SqlType::Numeric(_)
                | SqlType::Float4
                | SqlType::Float8
                | SqlType::Date
                | SqlType::Timestamp(_)
                | SqlType::Timestamptz(_)
        )
}

/// Whether a frame is a range with an offset.
pub(super) fn ranged(frame: &ast::WindowFrame) -> bool {
    let (start, _) = exclusion(frame);
    frame.units == AstUnits::Range && std::iter::once(&start).chain(&frame.end_bound).any(moved)
}

fn moved(bound: &ast::WindowFrameBound) -> bool {
    use ast::WindowFrameBound::{Following, Preceding};
    matches!(bound, Preceding(Some(_)) | Following(Some(_)))
}

fn edge(bound: &ast::WindowFrameBound) -> (Edge, Option<&ast::Expr>) {
    use ast::WindowFrameBound::{CurrentRow, Following, Preceding};
    match bound {
        CurrentRow => (Edge::Current, None),
        Preceding(None) | Following(None) => (Edge::Unbounded, None),
        Preceding(Some(offset)) => (Edge::Preceding, Some(offset)),
        Following(Some(offset)) => (Edge::Following, Some(offset)),
    }
}

impl Binder<'_> {
    pub(super) fn frame(
        &mut self,
        place: Place<'_>,
        frame: Option<&ast::WindowFrame>,
        order_by: &[(Sort, Typed)],
        of: Option<&SqlType>,
        at: Option<u32>,
    ) -> Result<Framing> {
        let first = order_by.first().map(|(_, key)| &key.ty);
        let peers = first.is_some_and(without_distance);
        let Some(frame) = frame else {
            if peers {
                let start = WindowFrameBound::Preceding(ScalarValue::UInt64(None));
                let end = WindowFrameBound::CurrentRow;
                let units = WindowFrameUnits::Groups;
                return Ok(Framing::Known(WindowFrame::new_bounds(units, start, end)));
            }
            let ordered = (!order_by.is_empty()).then_some(false);
            return Ok(Framing::Known(WindowFrame::new(ordered)));
        };
        let (start_bound, exclusion) = exclusion(frame);
        let end_bound = frame.end_bound.as_ref();
        let end_bound = end_bound.unwrap_or(&ast::WindowFrameBound::CurrentRow);
        check(&start_bound, end_bound, at)?;
        let units = match frame.units {
            AstUnits::Rows => Units::Rows,
            AstUnits::Range => Units::Range,
            AstUnits::Groups => Units::Groups,
        };
        if units == Units::Range && (moved(&start_bound) || moved(end_bound)) && order_by.len() != 1
        {
            return Err(Error::new(
                SqlState::WINDOWING_ERROR,
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            )
            .at(at));
        }
        if units == Units::Groups && order_by.is_empty() {
            return Err(Error::new(
                SqlState::WINDOWING_ERROR,
                "GROUPS mode requires an ORDER BY clause",
            )
            .at(at));
        }
        let key = order_by.first().map(|(_, key)| key);
        let (start, start_offset) = edge(&start_bound);
        let (end, end_offset) = edge(end_bound);
        let mut offset = |tree: Option<&ast::Expr>| -> Result<Offset> {
            let Some(tree) = tree else {
                return Ok(None);
            };
            let value = self.offset(place, tree, units, of, at)?;
            Ok(Some((value, position(tree).or(at))))
        };
        let offsets = (offset(start_offset)?, offset(end_offset)?);
        if let (None, Some(known)) = (
            exclusion,
            known(
                units,
                (&start_bound, &offsets.0),
                (end_bound, &offsets.1),
                key,
            )?,
        ) {
            if units == Units::Range && order_by.is_empty() {
                // All rows are peers of one another.
                return Ok(Framing::Known(WindowFrame::new(None)));
            }
            return Ok(Framing::Known(known));
        }
        let frame = Frame {
            units,
            start,
            end,
            exclusion,
        };
        let bounds = self.own_bounds(frame, offsets, order_by)?;
        Ok(Framing::Own { frame, bounds })
    }

    /// An offset, in the type that moves an edge.
    fn offset(
        &mut self,
        place: Place<'_>,
        offset: &ast::Expr,
        units: Units,
        key: Option<&SqlType>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let value = self.expr(place, offset)?;
        let at = position(offset).or(at);
        let words = match units {
            Units::Rows => "ROWS",
            Units::Range => "RANGE",
            Units::Groups => "GROUPS",
        };
        if value.expr.any_column_refs() || value.expr.contains_outer() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!("argument of {words} must not contain variables"),
            )
            .at(at));
        }
        let (true, Some(key)) = (units == Units::Range, key) else {
            let given = value.ty.without_typmod();
            return self
                .coerce(value, &SqlType::Int8, CastContext::Assignment)
                .map_err(|error| match error.code {
                    SqlState::CANNOT_COERCE | SqlState::DATATYPE_MISMATCH => Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!("argument of {words} must be type bigint, not type {given}"),
                    )
                    .at(at),
                    _ => error,
                });
        };
        let (of, given) = (key.without_typmod(), value.ty.without_typmod());
        let to = match &of {
            SqlType::Date
            | SqlType::Timestamp(_)
            | SqlType::Timestamptz(_)
            | SqlType::Time(_)
            | SqlType::Interval(_) => SqlType::Interval(None),
            SqlType::Numeric(_) => SqlType::Numeric(None),
            SqlType::Float4 | SqlType::Float8 => SqlType::Float8,
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => SqlType::Int8,
            ty => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {ty}",
                    ),
                )
                .at(at));
            }
        };
        let fits = match to {
            SqlType::Int8 => matches!(given, SqlType::Int2 | SqlType::Int4 | SqlType::Int8),
            SqlType::Interval(_) => matches!(given, SqlType::Interval(_)),
            _ => given.category() == 'N',
        };
        if !fits && given != SqlType::Unknown {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {of} and offset type {given}",
                ),
            )
            .hint("Cast the offset value to an appropriate type.")
            .at(at));
        }
        self.coerce(value, &to, CastContext::Implicit)
    }

    /// What a frame of our own is found by.
    fn own_bounds(
        &mut self,
        frame: Frame,
        offsets: (Offset, Offset),
        order_by: &[(Sort, Typed)],
    ) -> Result<Bounds> {
        let options = |sort: &Sort| SortOptions {
            descending: !sort.asc,
            nulls_first: sort.nulls_first,
        };
        let keys = order_by
            .iter()
            .map(|(sort, _)| (sort.expr.clone(), options(sort)));
        let mut bounds = Bounds {
            keys: keys.collect(),
            measured: None,
            start: None,
            end: None,
        };
        let (start, end) = offsets;
        let (true, [(sort, key)]) = (frame.units == Units::Range, order_by) else {
            bounds.start = start.map(|(value, _)| value.expr);
            bounds.end = end.map(|(value, _)| value.expr);
            return Ok(bounds);
        };
        // What offsets are added to: a date as its midnight, a time as what has passed of its day.
        let wide = match key.ty.without_typmod() {
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => SqlType::Numeric(None),
            SqlType::Float4 => SqlType::Float8,
            SqlType::Date => SqlType::Timestamp(None),
            SqlType::Time(_) => SqlType::Interval(None),
            other => other,
        };
        let time = matches!(key.ty.without_typmod(), SqlType::Time(_));
        let key = self.coerce(key.clone(), &wide, CastContext::Explicit)?;
        let mut moved = |edge: Edge, offset: Offset| -> Result<Option<Expr>> {
            let Some((offset, at)) = offset else {
                return Ok(None);
            };
            let offset = match time {
                true => within_a_day(offset),
                false => offset,
            };
            if negative(&offset) {
                return Err(negative_size().at(at));
            }
            let offset = match wide {
                SqlType::Numeric(_) => self.coerce(offset, &wide, CastContext::Explicit)?,
                _ => offset,
            };
            let back = (edge == Edge::Preceding) == sort.asc;
            let symbol = if back { "-" } else { "+" };
            let value = self.operate(symbol, vec![key.clone(), offset], at)?;
            let value = functions::canonical_form(value).map_err(told)?;
            Ok(Some(functions::sort_key(value).map_err(told)?.expr))
        };
        bounds.start = moved(frame.start, start)?;
        bounds.end = moved(frame.end, end)?;
        if bounds.start.is_some() || bounds.end.is_some() {
            let key = functions::canonical_form(key).map_err(told)?;
            bounds.measured = Some(functions::sort_key(key).map_err(told)?.expr);
        }
        Ok(bounds)
    }

    /// A key that offsets can be added to: sums of whole numbers may be beyond them, hours are lost
    /// on a date, and a plain numeric's form keeps more than its value.
    pub(super) fn measurable(&mut self, key: Typed) -> Result<Typed> {
        let to = match key.ty {
            SqlType::Int2 | SqlType::Int4 => SqlType::Int8,
            SqlType::Int8 | SqlType::Numeric(_) => MEASURED,
            SqlType::Date => SqlType::Timestamp(None),
            _ => return Ok(key),
        };
        self.coerce(key, &to, CastContext::Explicit)
    }
}

/// An offset, and where it stands.
type Offset = Option<(Typed, Option<u32>)>;

/// The frame as DataFusion says it, where it can.
fn known(
    units: Units,
    start: (&ast::WindowFrameBound, &Offset),
    end: (&ast::WindowFrameBound, &Offset),
    key: Option<&Typed>,
) -> Result<Option<WindowFrame>> {
    let (Some(from), Some(to)) = (
        known_bound(units, start, key)?,
        known_bound(units, end, key)?,
    ) else {
        return Ok(None);
    };
    let peers = key.is_some_and(|key| without_distance(&key.ty));
    let units = match units {
        Units::Rows => WindowFrameUnits::Rows,
        Units::Range if peers => WindowFrameUnits::Groups,
        Units::Range => WindowFrameUnits::Range,
        Units::Groups => WindowFrameUnits::Groups,
    };
    Ok(Some(WindowFrame::new_bounds(units, from, to)))
}

fn known_bound(
    units: Units,
    (bound, offset): (&ast::WindowFrameBound, &Offset),
    key: Option<&Typed>,
) -> Result<Option<WindowFrameBound>> {
    let value = match offset {
        None => ScalarValue::UInt64(None),
        Some((offset, at)) => match known_offset(units, offset, key, *at)? {
            Some(value) => value,
            None => return Ok(None),
        },
    };
    Ok(Some(match bound {
        ast::WindowFrameBound::CurrentRow => WindowFrameBound::CurrentRow,
        ast::WindowFrameBound::Preceding(_) => WindowFrameBound::Preceding(value),
        ast::WindowFrameBound::Following(_) => WindowFrameBound::Following(value),
    }))
}

fn known_offset(
    units: Units,
    offset: &Typed,
    key: Option<&Typed>,
    at: Option<u32>,
) -> Result<Option<ScalarValue>> {
    let Some(literal) = offset.as_literal().filter(|literal| !literal.is_null()) else {
        return Ok(None);
    };
    let (true, Some(key)) = (units == Units::Range, key) else {
        return Ok(match literal {
            ScalarValue::Int64(Some(count)) => match u64::try_from(*count) {
                Ok(count) => Some(ScalarValue::UInt64(Some(count))),
                Err(_) => None,
            },
            _ => None,
        });
    };
    if negative(offset) {
        return Err(negative_size().at(at));
    }
    Ok(match key.ty.without_typmod() {
        // DataFusion adds nothing to these.
        SqlType::Time(_) | SqlType::Interval(_) => None,
        SqlType::Date | SqlType::Timestamp(_) | SqlType::Timestamptz(_) => Some(literal.clone()),
        SqlType::Numeric(_) => {
            let measured = functions::apply_cast(offset.clone(), &MEASURED, true);
            measured.ok().and_then(|value| value.as_literal().cloned())
        }
        _ => Some(literal.cast_to(&key.arrow).map_err(lift)?),
    })
}

fn negative_size() -> Error {
    Error::new(
        SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
        "invalid preceding or following size in window function",
    )
}

/// Whether an offset is a constant below zero.
fn negative(offset: &Typed) -> bool {
    match offset.as_literal() {
        Some(ScalarValue::Int64(Some(value))) => *value < 0,
        Some(ScalarValue::Float64(Some(value))) => *value < 0.0 || value.is_nan(),
        Some(ScalarValue::Decimal128(Some(value), ..)) => *value < 0,
        Some(ScalarValue::Decimal256(Some(value), ..)) => value.is_negative(),
        Some(ScalarValue::IntervalMonthDayNano(Some(span))) => {
            let days = i128::from(span.months) * 30 + i128::from(span.days);
            days * 86_400_000_000_000 + i128::from(span.nanoseconds) < 0
        }
        _ => false,
    }
}

/// An interval without its months and days, which times of a day do not look at.
fn within_a_day(offset: Typed) -> Typed {
    use arrow::datatypes::IntervalMonthDayNano;
    match offset.as_literal() {
        Some(ScalarValue::IntervalMonthDayNano(Some(span))) => {
            let span = IntervalMonthDayNano::new(0, 0, span.nanoseconds);
            let value = ScalarValue::IntervalMonthDayNano(Some(span));
            Typed {
                expr: Expr::Literal(value, None),
                ..offset
            }
        }
        _ => offset,
    }
}

/// Refuses a frame that would end before it begins.
fn check(
    start: &ast::WindowFrameBound,
    end: &ast::WindowFrameBound,
    at: Option<u32>,
) -> Result<()> {
    use ast::WindowFrameBound::{CurrentRow, Following, Preceding};
    let wrong = match (start, end) {
        (Following(None), _) => "frame start cannot be UNBOUNDED FOLLOWING",
        (_, Preceding(None)) => "frame end cannot be UNBOUNDED PRECEDING",
        (CurrentRow, Preceding(_)) => "frame starting from current row cannot have preceding rows",
        (Following(_), CurrentRow) => {
            "frame starting from following row cannot end with current row"
        }
        (Following(_), Preceding(_)) => {
            "frame starting from following row cannot have preceding rows"
        }
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::WINDOWING_ERROR, wrong).at(at))
}
