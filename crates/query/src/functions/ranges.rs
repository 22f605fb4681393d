//! Ranges: made of bounds, asked for them, and two of them compared and joined.

use chronolith_types::range::{self, Bound, Edge, Range};
use chronolith_types::{RangeKind, SqlState, SqlType};

use super::error::FunctionError;
use super::num::Numeric;
use super::udf::{Context, RowFn};
use super::value::Value;

type Answer = Result<Value, FunctionError>;

fn kind_of(ty: Option<&SqlType>) -> Result<RangeKind, FunctionError> {
    match ty {
        Some(SqlType::Range(kind)) => Ok(*kind),
        _ => Err(FunctionError::internal("a range of another type")),
    }
}

fn range_at(context: &Context<'_>, args: &[Value], place: usize) -> Result<Range, FunctionError> {
    let kind = kind_of(context.args.get(place))?;
    match args.get(place) {
        Some(Value::Bytes(kept)) => Ok(range::of_kept(kind, kept)),
        _ => Err(FunctionError::internal("a range of another form")),
    }
}

fn pair(context: &Context<'_>, args: &[Value]) -> Result<(Range, Range), FunctionError> {
    Ok((range_at(context, args, 0)?, range_at(context, args, 1)?))
}

fn edge_of(value: &Value) -> Result<Option<Edge>, FunctionError> {
    Ok(match value {
        Value::Null => None,
        Value::Int(value) | Value::Timestamp(value) => Some(Edge::Whole(*value)),
        Value::Date(days) => Some(Edge::Whole((*days).into())),
        value => Some(range::number(&value.as_numeric()?)),
    })
}

fn value_of(kind: RangeKind, edge: Edge) -> Value {
    match (kind, edge) {
        (_, Edge::Number(code)) => Value::Numeric(Numeric::from_any(code)),
        (RangeKind::Int4 | RangeKind::Int8, Edge::Whole(value)) => Value::Int(value),
        (RangeKind::Date, Edge::Whole(days)) => {
            Value::Date(i32::try_from(days).unwrap_or(i32::MAX))
        }
        (_, Edge::Whole(us)) => Value::Timestamp(us),
    }
}

fn made(range: &Range) -> Answer {
    Ok(Value::Bytes(range::kept(range)))
}

/// `int4range(1, 5, '[]')`.
fn construct(context: &Context<'_>, args: &[Value]) -> Answer {
    let kind = kind_of(Some(context.result))?;
    let [lower, upper, flags @ ..] = args else {
        return Ok(Value::Null);
    };
    let (from, to) = match flags {
        [] => (true, false),
        [Value::Null, ..] => {
            return Err(FunctionError::new(
                SqlState::DATA_EXCEPTION,
                "range constructor flags argument must not be null",
            ));
        }
        [flags, ..] => match flags.as_str() {
            "[]" => (true, true),
            "[)" => (true, false),
            "(]" => (false, true),
            "()" => (false, false),
            _ => {
                let code = SqlState::SYNTAX_ERROR;
                let mut error = FunctionError::new(code, "invalid range bound flags");
                let hint = "Valid values are \"[]\", \"[)\", \"(]\", and \"()\".";
                error.hint = Some(hint.to_owned());
                return Err(error);
            }
        },
    };
    let lower = Bound::new(edge_of(lower)?, from, true);
    let upper = Bound::new(edge_of(upper)?, to, false);
    made(&range::between(kind, lower, upper)?)
}

fn bound(
    context: &Context<'_>,
    args: &[Value],
    lower: bool,
) -> Result<Option<Bound>, FunctionError> {
    let range = range_at(context, args, 0)?;
    Ok(range.map(|(from, to)| if lower { from } else { to }))
}

fn end(context: &Context<'_>, args: &[Value], lower: bool) -> Answer {
    let kind = kind_of(context.args.first())?;
    let edge = bound(context, args, lower)?.and_then(|bound| bound.edge);
    Ok(edge.map_or(Value::Null, |edge| value_of(kind, edge)))
}

fn asked(
    context: &Context<'_>,
    args: &[Value],
    lower: bool,
    question: fn(&Bound) -> bool,
) -> Answer {
    let bound = bound(context, args, lower)?;
    Ok(Value::Bool(bound.is_some_and(|bound| question(&bound))))
}

fn compared(
    context: &Context<'_>,
    args: &[Value],
    question: impl FnOnce(&Range, &Range) -> bool,
) -> Answer {
    let (a, b) = pair(context, args)?;
    Ok(Value::Bool(question(&a, &b)))
}

/// Whether a range has a value, which may stand on either side.
fn has_value(context: &Context<'_>, args: &[Value], range: usize) -> Answer {
    let within = range_at(context, args, range)?;
    let value = args.get(1 - range).unwrap_or(&Value::Null);
    let found = edge_of(value)?.is_some_and(|edge| range::contains_edge(&within, edge));
    Ok(Value::Bool(found))
}

/// What is behind a function of this room.
pub(super) fn imp(name: &str, args: &[SqlType]) -> Option<RowFn> {
    if let "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" = name {
        return Some(|c, a| construct(c, a));
    }
    if args.first() != Some(&SqlType::AnyRange) {
        return (name == "elem_contained_by_range").then_some(|c, a| has_value(c, a, 1));
    }
    let function: RowFn = match name {
        "lower" => |c, a| end(c, a, true),
        "upper" => |c, a| end(c, a, false),
        "lower_inc" => |c, a| asked(c, a, true, |bound| bound.inclusive),
        "upper_inc" => |c, a| asked(c, a, false, |bound| bound.inclusive),
        "lower_inf" => |c, a| asked(c, a, true, |bound| bound.edge.is_none()),
        "upper_inf" => |c, a| asked(c, a, false, |bound| bound.edge.is_none()),
        "isempty" => |c, a| Ok(Value::Bool(range_at(c, a, 0)?.is_none())),
        "range_merge" => |c, a| {
            let (a, b) = pair(c, a)?;
            made(&range::union(a, b, false)?)
        },
        "range_cmp" => |_, a| match a {
            [Value::Bytes(a), Value::Bytes(b)] => Ok(Value::Int(a.cmp(b) as i64)),
            _ => Ok(Value::Null),
        },
        name => return operator(name),
    };
    Some(function)
}

/// The function behind an operator of this room.
pub(super) fn operator(code: &str) -> Option<RowFn> {
    let function: RowFn = match code {
        "range_overlaps" => |c, a| compared(c, a, range::overlap),
        "range_contains" => |c, a| compared(c, a, range::contains),
        "range_contained_by" => |c, a| compared(c, a, |a, b| range::contains(b, a)),
        "range_contains_elem" => |c, a| has_value(c, a, 0),
        "elem_contained_by_range" => |c, a| has_value(c, a, 1),
        "range_before" => |c, a| compared(c, a, |a, b| range::lies(a, b, |a, b| a.1 < b.0)),
        "range_after" => |c, a| compared(c, a, |a, b| range::lies(a, b, |a, b| a.0 > b.1)),
        "range_overleft" => |c, a| compared(c, a, |a, b| range::lies(a, b, |a, b| a.1 <= b.1)),
        "range_overright" => |c, a| compared(c, a, |a, b| range::lies(a, b, |a, b| a.0 >= b.0)),
        "range_adjacent" => |c, a| compared(c, a, range::adjacent),
        "range_union" => |c, a| {
            let (a, b) = pair(c, a)?;
            made(&range::union(a, b, true)?)
        },
        "range_intersect" => |c, a| {
            let (a, b) = pair(c, a)?;
            made(&range::intersection(a, b))
        },
        "range_minus" => |c, a| {
            let kind = kind_of(c.args.first())?;
            let (a, b) = pair(c, a)?;
            made(&range::difference(kind, a, b)?)
        },
        _ => return None,
    };
    Some(function)
}
