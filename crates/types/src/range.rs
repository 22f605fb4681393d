//! Ranges of numbers and times: their text, the form they are kept in, their binary form, and what
//! is computed of two of them.
//!
//! A kept range is bytes that order as PostgreSQL orders ranges: the empty one first, then by the
//! lower bound, then by the upper one. Equal ranges are equal bytes.

use std::cmp::Ordering;

use arrow_buffer::i256;
use serde::{Deserialize, Serialize};

use crate::datetime::{DATE_INFINITY, DATE_NEGATIVE_INFINITY};
use crate::sqlstate::SqlState;
use crate::sqltype::SqlType;
use crate::value::ValueError;
use crate::zone::TimeZone;
use crate::{Numeric, binary, datetime, text};

/// The range types that PostgreSQL has by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(
    missing_docs,
    reason = "each variant is the range of the type of its name"
)]
pub enum RangeKind {
    Int4,
    Int8,
    Num,
    Ts,
    Tstz,
    Date,
}

impl RangeKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Int4,
        Self::Num,
        Self::Ts,
        Self::Tstz,
        Self::Date,
        Self::Int8,
    ];

    /// The type of its bounds.
    #[must_use]
    pub fn element(self) -> SqlType {
        match self {
            Self::Int4 => SqlType::Int4,
            Self::Int8 => SqlType::Int8,
            Self::Num => SqlType::Numeric(None),
            Self::Ts => SqlType::Timestamp(None),
            Self::Tstz => SqlType::Timestamptz(None),
            Self::Date => SqlType::Date,
        }
    }

    /// The range whose bounds are of a type.
    #[must_use]
    pub fn over(element: &SqlType) -> Option<Self> {
        let element = element.without_typmod();
        Self::ALL.into_iter().find(|kind| kind.element() == element)
    }
}

/// A value that a range begins or ends at, in the unit of its kept form: the number itself, days or
/// µs since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Edge {
    /// A whole number, a date or a time.
    Whole(i64),
    /// [`Numeric::to_any`] of a number without zeros at its end.
    Number(i256),
}

/// One end of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// None for one without an end.
    pub edge: Option<Edge>,
    /// Whether the value itself is in it.
    pub inclusive: bool,
    /// Whether it is the lower one.
    pub lower: bool,
}

impl Bound {
    /// A bound; one without an end includes nothing.
    #[must_use]
    pub fn new(edge: Option<Edge>, inclusive: bool, lower: bool) -> Self {
        Self {
            edge,
            inclusive: inclusive && edge.is_some(),
            lower,
        }
    }

    /// What lies on its other side, seen from there.
    fn turned(self) -> Self {
        Self::new(self.edge, !self.inclusive, !self.lower)
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        // Where an end lies beside its value: below it, on it, or above it.
        let beside = |bound: &Self| match (bound.inclusive, bound.lower) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => -1,
        };
        let endless = |bound: &Self| if bound.lower { -1 } else { 1 };
        match (&self.edge, &other.edge) {
            (Some(a), Some(b)) => a.cmp(b).then_with(|| beside(self).cmp(&beside(other))),
            (None, Some(_)) => endless(self).cmp(&0),
            (Some(_), None) => 0.cmp(&endless(other)),
            (None, None) => endless(self).cmp(&endless(other)),
        }
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A range that is not empty; none stands for the empty one.
pub type Range = Option<(Bound, Bound)>;

fn data(message: &str) -> ValueError {
    ValueError::new(SqlState::DATA_EXCEPTION, message)
}

/// The next value of a type that has one.
fn next(kind: RangeKind, edge: Edge) -> Result<Edge, ValueError> {
    let Edge::Whole(value) = edge else {
        return Ok(edge);
    };
    let (most, name) = match kind {
        RangeKind::Int4 => (i64::from(i32::MAX), "integer out of range"),
        RangeKind::Int8 => (i64::MAX, "bigint out of range"),
        _ => (i64::from(DATE_INFINITY) - 1, "date out of range"),
    };
    let code = match kind {
        RangeKind::Date => SqlState::DATETIME_FIELD_OVERFLOW,
        _ => SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
    };
    match value < most {
        true => Ok(Edge::Whole(value + 1)),
        false => Err(ValueError::new(code, name)),
    }
}

fn checked(lower: Bound, upper: Bound) -> Result<Range, ValueError> {
    if let (Some(from), Some(to)) = (lower.edge, upper.edge) {
        match from.cmp(&to) {
            Ordering::Greater => {
                return Err(data(
                    "range lower bound must be less than or equal to range upper bound",
                ));
            }
            Ordering::Equal if !(lower.inclusive && upper.inclusive) => return Ok(None),
            _ => {}
        }
    }
    Ok(Some((lower, upper)))
}

/// The range between two bounds, in the one form that equal ranges have.
///
/// # Errors
/// 22000 where the lower bound is above the upper one, 22003 and 22008 past the last value.
pub fn between(kind: RangeKind, lower: Bound, upper: Bound) -> Result<Range, ValueError> {
    let made = checked(lower, upper)?;
    if !matches!(kind, RangeKind::Int4 | RangeKind::Int8 | RangeKind::Date) {
        return Ok(made);
    }
    let Some((mut lower, mut upper)) = made else {
        return Ok(None);
    };
    let endless = |edge: Edge| {
        let (least, most) = (DATE_NEGATIVE_INFINITY, DATE_INFINITY);
        kind == RangeKind::Date
            && [Edge::Whole(least.into()), Edge::Whole(most.into())].contains(&edge)
    };
    if let Some(edge) = lower
        .edge
        .filter(|edge| !lower.inclusive && !endless(*edge))
    {
        lower = Bound::new(Some(next(kind, edge)?), true, true);
    }
    if let Some(edge) = upper.edge.filter(|edge| upper.inclusive && !endless(*edge)) {
        upper = Bound::new(Some(next(kind, edge)?), false, false);
    }
    checked(lower, upper)
}

/// Whether all of `b` is in `a`.
#[must_use]
pub fn contains(a: &Range, b: &Range) -> bool {
    match (a, b) {
        (_, None) => true,
        (None, _) => false,
        (Some((from, to)), Some((first, last))) => from <= first && to >= last,
    }
}

/// Whether a value is in a range.
#[must_use]
pub fn contains_edge(range: &Range, edge: Edge) -> bool {
    let one = |lower| Bound::new(Some(edge), true, lower);
    contains(range, &Some((one(true), one(false))))
}

/// Whether two share a value.
#[must_use]
pub fn overlap(a: &Range, b: &Range) -> bool {
    matches!((a, b), (Some((from, to)), Some((first, last))) if from <= last && first <= to)
}

/// Whether one ends where the other begins, with nothing between them and nothing shared.
#[must_use]
pub fn adjacent(a: &Range, b: &Range) -> bool {
    let meet = |end: &Bound, start: &Bound| {
        end.edge.is_some() && end.edge == start.edge && end.inclusive != start.inclusive
    };
    match (a, b) {
        (Some((from, to)), Some((first, last))) => meet(to, first) || meet(last, from),
        _ => false,
    }
}

/// How the bounds of two ranges lie to each other: false where one of them is empty.
#[must_use]
pub fn lies(a: &Range, b: &Range, how: fn(&(Bound, Bound), &(Bound, Bound)) -> bool) -> bool {
    matches!((a, b), (Some(a), Some(b)) if how(a, b))
}

/// The least range that has all of both; where they must, they have to meet.
///
/// # Errors
/// 22000 for two that do not meet.
pub fn union(a: Range, b: Range, must_meet: bool) -> Result<Range, ValueError> {
    let (Some((from, to)), Some((first, last))) = (a, b) else {
        return Ok(a.or(b));
    };
    if must_meet && !overlap(&a, &b) && !adjacent(&a, &b) {
        return Err(data("result of range union would not be contiguous"));
    }
    Ok(Some((from.min(first), to.max(last))))
}

/// What is in both.
#[must_use]
pub fn intersection(a: Range, b: Range) -> Range {
    let ((from, to), (first, last)) = a.zip(b)?;
    overlap(&a, &b).then(|| (from.max(first), to.min(last)))
}

/// What is in the first alone.
///
/// # Errors
/// 22000 where that is two ranges.
pub fn difference(kind: RangeKind, a: Range, b: Range) -> Result<Range, ValueError> {
    let (Some((from, to)), Some((first, last))) = (a, b) else {
        return Ok(a);
    };
    if from < first && to > last {
        return Err(data("result of range difference would not be contiguous"));
    }
    if !overlap(&a, &b) {
        return Ok(a);
    }
    match (from < first, to > last) {
        (true, _) => between(kind, from, first.turned()),
        (_, true) => between(kind, last.turned(), to),
        _ => Ok(None),
    }
}

/// As it is kept.
#[must_use]
pub fn kept(range: &Range) -> Vec<u8> {
    let Some((lower, upper)) = range else {
        return vec![0];
    };
    let mut out = vec![1];
    let mut put = |bound: &Bound| {
        match bound.edge {
            None if bound.lower => out.push(0),
            None => out.push(2),
            Some(Edge::Whole(value)) => {
                out.push(1);
                out.extend_from_slice(&(value ^ i64::MIN).to_be_bytes());
            }
            Some(Edge::Number(value)) => {
                out.push(1);
                // Flipping the sign makes the bytes order as the numbers do.
                let mut bytes = value.to_be_bytes();
                bytes[0] ^= 0x80;
                out.extend_from_slice(&bytes);
            }
        }
        if bound.edge.is_some() {
            out.push(u8::from(bound.inclusive != bound.lower));
        }
    };
    put(lower);
    put(upper);
    out
}

/// The range of a kept form; what is none is empty.
#[must_use]
pub fn of_kept(kind: RangeKind, mut from: &[u8]) -> Range {
    let (1, rest) = from.split_first().map(|(first, rest)| (*first, rest))? else {
        return None;
    };
    from = rest;
    let mut bound = |lower: bool| -> Option<Bound> {
        let (first, rest) = from.split_first()?;
        from = rest;
        if *first != 1 {
            return Some(Bound::new(None, false, lower));
        }
        let edge = if kind == RangeKind::Num {
            let (bytes, rest) = from.split_first_chunk::<32>()?;
            from = rest;
            let mut bytes = *bytes;
            bytes[0] ^= 0x80;
            Edge::Number(i256::from_be_bytes(bytes))
        } else {
            let (bytes, rest) = from.split_first_chunk::<8>()?;
            from = rest;
            Edge::Whole(i64::from_be_bytes(*bytes) ^ i64::MIN)
        };
        let (last, rest) = from.split_first()?;
        from = rest;
        Some(Bound::new(Some(edge), (*last != 0) != lower, lower))
    };
    Some((bound(true)?, bound(false)?))
}

/// The edge of a number.
#[must_use]
pub fn number(value: &Numeric) -> Edge {
    Edge::Number(Numeric::normalised_any(value.to_any()))
}

fn parse_edge(kind: RangeKind, from: &[u8], zone: &TimeZone) -> Result<Edge, ValueError> {
    Ok(match kind {
        RangeKind::Int4 => {
            let (least, most) = (i32::MIN.into(), i32::MAX.into());
            Edge::Whole(text::parse_integer(from, "integer", least, most)?)
        }
        RangeKind::Int8 => Edge::Whole(text::parse_integer(from, "bigint", i64::MIN, i64::MAX)?),
        RangeKind::Num => number(&Numeric::parse(from)?),
        RangeKind::Ts => Edge::Whole(datetime::parse_timestamp(from)?),
        RangeKind::Tstz => Edge::Whole(datetime::parse_timestamptz(from, zone)?),
        RangeKind::Date => Edge::Whole(datetime::parse_date(from)?.into()),
    })
}

fn write_edge(kind: RangeKind, edge: Edge, zone: &TimeZone, out: &mut Vec<u8>) {
    match (kind, edge) {
        (_, Edge::Number(code)) => Numeric::from_any(code).write(out),
        (RangeKind::Ts, Edge::Whole(us)) => datetime::write_timestamp(us, out),
        (RangeKind::Tstz, Edge::Whole(us)) => datetime::write_timestamptz(us, zone, out),
        (RangeKind::Date, Edge::Whole(days)) => datetime::write_date(day(days), out),
        (_, Edge::Whole(value)) => text::write_integer(value, out),
    }
}

fn day(days: i64) -> i32 {
    i32::try_from(days).unwrap_or(DATE_INFINITY)
}

/// The kept form of a range's text.
///
/// # Errors
/// 22P02 for what is no range, those of its bounds, and of [`between`].
pub fn parse(kind: RangeKind, source: &[u8], zone: &TimeZone) -> Result<Vec<u8>, ValueError> {
    let wrong = |detail: &str| {
        let shown = String::from_utf8_lossy(source);
        let message = format!("malformed range literal: \"{shown}\"");
        ValueError::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let from = source.trim_ascii_start();
    if let Some((word, rest)) = from.split_at_checked(5)
        && word.eq_ignore_ascii_case(b"empty")
    {
        return match rest.trim_ascii().is_empty() {
            true => Ok(kept(&None)),
            false => Err(wrong("Junk after \"empty\" key word.")),
        };
    }
    let (lower_inclusive, mut rest) = match from.split_first() {
        Some((b'[', rest)) => (true, rest),
        Some((b'(', rest)) => (false, rest),
        _ => return Err(wrong("Missing left parenthesis or bracket.")),
    };
    let lower = bound_text(&mut rest).ok_or_else(|| wrong("Unexpected end of input."))?;
    let Some((b',', after)) = rest.split_first() else {
        return Err(wrong("Missing comma after lower bound."));
    };
    rest = after;
    let upper = bound_text(&mut rest).ok_or_else(|| wrong("Unexpected end of input."))?;
    let (upper_inclusive, rest) = match rest.split_first() {
        Some((b']', rest)) => (true, rest),
        Some((b')', rest)) => (false, rest),
        _ => return Err(wrong("Too many commas.")),
    };
    if !rest.trim_ascii().is_empty() {
        return Err(wrong("Junk after right parenthesis or bracket."));
    }
    let edge = |text: Option<Vec<u8>>| {
        let edge = text.map(|text| parse_edge(kind, &text, zone));
        edge.transpose()
    };
    let lower = Bound::new(edge(lower)?, lower_inclusive, true);
    let upper = Bound::new(edge(upper)?, upper_inclusive, false);
    Ok(kept(&between(kind, lower, upper)?))
}

/// The text of a bound up to what ends it, some where it has an end; none where the text ends.
#[expect(
    clippy::option_option,
    reason = "a bound may be endless, and a text cut off"
)]
fn bound_text(rest: &mut &[u8]) -> Option<Option<Vec<u8>>> {
    if matches!(rest.first(), Some(b',' | b')' | b']')) {
        return Some(None);
    }
    let mut text = Vec::new();
    let mut quoted = false;
    loop {
        let (byte, after) = rest.split_first()?;
        if !quoted && matches!(byte, b',' | b')' | b']') {
            return Some(Some(text));
        }
        *rest = after;
        match byte {
            b'\\' => {
                let (byte, after) = rest.split_first()?;
                *rest = after;
                text.push(*byte);
            }
            b'"' if quoted && rest.first() == Some(&b'"') => {
                *rest = rest.get(1..).unwrap_or_default();
                text.push(b'"');
            }
            b'"' => quoted = !quoted,
            byte => text.push(*byte),
        }
    }
}

/// Appends the text of a kept range.
pub fn write(kind: RangeKind, from: &[u8], zone: &TimeZone, out: &mut Vec<u8>) {
    let Some((lower, upper)) = of_kept(kind, from) else {
        out.extend_from_slice(b"empty");
        return;
    };
    let put = |bound: &Bound, out: &mut Vec<u8>| {
        let Some(edge) = bound.edge else {
            return;
        };
        let mut shown = Vec::new();
        write_edge(kind, edge, zone, &mut shown);
        // Of what bounds are made of, only a blank asks for quotes.
        let blank = shown.contains(&b' ');
        out.extend(blank.then_some(b'"'));
        out.extend_from_slice(&shown);
        out.extend(blank.then_some(b'"'));
    };
    out.push(if lower.inclusive { b'[' } else { b'(' });
    put(&lower, out);
    out.push(b',');
    put(&upper, out);
    out.push(if upper.inclusive { b']' } else { b')' });
}

const EMPTY: u8 = 0x01;
const LOWER_INCLUSIVE: u8 = 0x02;
const UPPER_INCLUSIVE: u8 = 0x04;
const LOWER_ENDLESS: u8 = 0x08;
const UPPER_ENDLESS: u8 = 0x10;

/// Appends the binary form of a kept range.
pub fn send(kind: RangeKind, from: &[u8], out: &mut Vec<u8>) {
    let Some((lower, upper)) = of_kept(kind, from) else {
        out.push(EMPTY);
        return;
    };
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    out.push(
        flag(lower.inclusive, LOWER_INCLUSIVE)
            | flag(upper.inclusive, UPPER_INCLUSIVE)
            | flag(lower.edge.is_none(), LOWER_ENDLESS)
            | flag(upper.edge.is_none(), UPPER_ENDLESS),
    );
    for edge in [lower.edge, upper.edge].into_iter().flatten() {
        let mut form = Vec::new();
        match (kind, edge) {
            (_, Edge::Number(code)) => binary::write_numeric(&Numeric::from_any(code), &mut form),
            (RangeKind::Ts | RangeKind::Tstz, Edge::Whole(us)) => {
                binary::write_timestamp(us, &mut form);
            }
            (RangeKind::Date, Edge::Whole(days)) => binary::write_date(day(days), &mut form),
            (RangeKind::Int4, Edge::Whole(value)) => {
                form.extend(i32::try_from(value).unwrap_or_default().to_be_bytes());
            }
            (_, Edge::Whole(value)) => form.extend(value.to_be_bytes()),
        }
        out.extend(i32::try_from(form.len()).unwrap_or(i32::MAX).to_be_bytes());
        out.extend(form);
    }
}

/// The kept form of a range in binary form.
///
/// # Errors
/// 22P03 and 08P01 for bytes of another form; as [`parse`].
pub fn receive(kind: RangeKind, from: &[u8]) -> Result<Vec<u8>, ValueError> {
    let short = || {
        ValueError::new(
            SqlState::PROTOCOL_VIOLATION,
            "insufficient data left in message",
        )
    };
    let (flags, mut rest) = from.split_first().ok_or_else(short)?;
    let has = |flag: u8| flags & flag != 0;
    if has(EMPTY) {
        return Ok(kept(&None));
    }
    let mut edge = |endless: bool| -> Result<Option<Edge>, ValueError> {
        if endless {
            return Ok(None);
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| short())?;
        let (value, after) = after.split_at_checked(length).ok_or_else(short)?;
        rest = after;
        Ok(Some(match kind {
            RangeKind::Int4 => Edge::Whole(binary::read_int4(value)?.into()),
            RangeKind::Int8 => Edge::Whole(binary::read_int8(value)?),
            RangeKind::Num => number(&binary::read_numeric(value)?),
            RangeKind::Ts | RangeKind::Tstz => Edge::Whole(binary::read_timestamp(value)?),
            RangeKind::Date => Edge::Whole(binary::read_date(value)?.into()),
        }))
    };
    let lower = Bound::new(edge(has(LOWER_ENDLESS))?, has(LOWER_INCLUSIVE), true);
    let upper = Bound::new(edge(has(UPPER_ENDLESS))?, has(UPPER_INCLUSIVE), false);
    if !rest.is_empty() {
        let code = SqlState::INVALID_BINARY_REPRESENTATION;
        return Err(ValueError::new(code, "incorrect binary data format"));
    }
    Ok(kept(&between(kind, lower, upper)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn shown(kind: RangeKind, kept: &[u8]) -> String {
        let mut out = Vec::new();
        write(kind, kept, &TimeZone::Utc, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn ranges_are_read_and_shown_as_postgresql_does() {
        // Recorded on PostgreSQL 15.
        for (kind, from, to) in [
            (RangeKind::Int4, "[1,5]", "[1,6)"),
            (RangeKind::Int4, " ( 1 , 5 ] ", "[2,6)"),
            (RangeKind::Int4, "(1,2)", "empty"),
            (RangeKind::Int4, "[,5]", "(,6)"),
            (RangeKind::Int4, "Empty ", "empty"),
            (
                RangeKind::Int8,
                "[-9223372036854775808,]",
                "[-9223372036854775808,)",
            ),
            (RangeKind::Num, "[1.50,2)", "[1.5,2)"),
            (RangeKind::Num, "(,)", "(,)"),
            (
                RangeKind::Date,
                "[2026-01-01,2026-01-31]",
                "[2026-01-01,2026-02-01)",
            ),
            (
                RangeKind::Date,
                "[2026-01-01,infinity]",
                "[2026-01-01,infinity]",
            ),
            (
                RangeKind::Ts,
                "[2026-01-01, \"2026-01-02 10:00\")",
                "[\"2026-01-01 00:00:00\",\"2026-01-02 10:00:00\")",
            ),
            (
                RangeKind::Tstz,
                "[2026-01-01 00:00+02,)",
                "[\"2025-12-31 22:00:00+00\",)",
            ),
        ] {
            let kept = parse(kind, from.as_bytes(), &TimeZone::Utc).unwrap();
            assert_eq!(shown(kind, &kept), to, "{from}");
            let mut sent = Vec::new();
            send(kind, &kept, &mut sent);
            assert_eq!(receive(kind, &sent).unwrap(), kept, "{from}");
        }
        for (from, detail) in [
            ("1,2", "Missing left parenthesis or bracket."),
            ("[1", "Unexpected end of input."),
            ("[1]", "Missing comma after lower bound."),
            ("[1,2,3]", "Too many commas."),
            ("[1,2] x", "Junk after right parenthesis or bracket."),
            ("empty x", "Junk after \"empty\" key word."),
        ] {
            let error = parse(RangeKind::Int4, from.as_bytes(), &TimeZone::Utc).unwrap_err();
            assert_eq!(error.detail.as_deref(), Some(detail), "{from}");
        }
        let error = parse(RangeKind::Int4, b"[5,1]", &TimeZone::Utc).unwrap_err();
        assert_eq!(error.code, SqlState::DATA_EXCEPTION);
        assert!(parse(RangeKind::Int4, b"[1,2147483647]", &TimeZone::Utc).is_err());
    }

    #[test]
    fn kept_ranges_order_as_postgresql_orders_them() {
        let sorted = [
            "empty", "(,-1)", "(,1)", "(,1]", "(,)", "[-2.5,1)", "[1,2)", "[1,2]", "[1,)", "(1,2)",
            "(1,)", "[10,11)",
        ];
        let read = |text: &&str| parse(RangeKind::Num, text.as_bytes(), &TimeZone::Utc).unwrap();
        let mut kept: Vec<_> = sorted.iter().rev().map(read).collect();
        kept.sort();
        let kept: Vec<_> = kept
            .iter()
            .map(|kept| shown(RangeKind::Num, kept))
            .collect();
        assert_eq!(kept, sorted);
    }

    #[test]
    fn two_ranges_make_a_third() {
        let read = |text: &str| {
            let kept = parse(RangeKind::Int4, text.as_bytes(), &TimeZone::Utc).unwrap();
            of_kept(RangeKind::Int4, &kept)
        };
        let show = |range: Range| shown(RangeKind::Int4, &kept(&range));
        let (a, b) = (read("[1,10)"), read("[5,20)"));
        assert!(overlap(&a, &b) && !adjacent(&a, &b) && !contains(&a, &b));
        assert_eq!(show(union(a, b, true).unwrap()), "[1,20)");
        assert_eq!(show(intersection(a, b)), "[5,10)");
        assert_eq!(show(difference(RangeKind::Int4, a, b).unwrap()), "[1,5)");
        assert_eq!(show(difference(RangeKind::Int4, b, a).unwrap()), "[10,20)");
        assert!(adjacent(&read("[1,5)"), &read("[5,7)")));
        assert!(union(read("[1,2)"), read("[3,4)"), true).is_err());
        assert_eq!(
            show(union(read("[1,2)"), read("[3,4)"), false).unwrap()),
            "[1,4)"
        );
        assert!(difference(RangeKind::Int4, a, read("[3,4)")).is_err());
        assert_eq!(show(intersection(a, read("[10,12)"))), "empty");
        assert!(contains_edge(&a, Edge::Whole(9)) && !contains_edge(&a, Edge::Whole(10)));
    }
}
