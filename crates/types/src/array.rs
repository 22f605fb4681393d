//! Arrays: how many dimensions they have, their text, and how a list of items says its dimensions.
//!
//! A column of arrays is a list of items for each row. Most arrays have one dimension that counts
//! from 1, and their list is their items, no more. Any other array's list has a tail behind its
//! items, in which NULL and not NULL are bits: a mark, then the dimensions
//! (`docs/decisions/0015-tails-of-arrays.md`). Whoever reads a list asks [`Shape::kept`].
//!
//! Bytes: `docs/formats/chunk.md`.

#![warn(clippy::indexing_slicing)]

use arrow_buffer::NullBuffer;

use crate::{SqlState, ValueError};

/// The most dimensions of an array.
pub const DIMENSIONS_MAX: usize = 6;

/// The most items of an array.
const ITEMS_MAX: usize = 0x7ff_ffff;

/// What a tail ends with, the last bit first: the last item of a tail is NULL.
const MARK: u64 = 0x6d2b_93e5_4a1c;
const MARK_BITS: usize = 48;

/// Bits of a number in a tail, before the one that says whether it goes on.
const GROUP_BITS: u32 = 3;

/// The subscripts of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimension {
    /// The first subscript.
    pub lower: i32,
    /// How many there are.
    pub length: usize,
}

impl Dimension {
    /// The last subscript.
    #[must_use]
    pub fn upper(&self) -> i64 {
        i64::from(self.lower) + i64::try_from(self.length).unwrap_or(i64::MAX) - 1
    }
}

/// The dimensions of an array, the outermost first; none of an empty one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape(Vec<Dimension>);

impl Shape {
    /// Of one dimension, from 1.
    #[must_use]
    pub fn plain(length: usize) -> Self {
        Self(if length == 0 {
            Vec::new()
        } else {
            vec![Dimension { lower: 1, length }]
        })
    }

    /// Of some dimensions; one that has no subscripts makes the array empty.
    ///
    /// # Errors
    /// 54000 for more than arrays can have.
    pub fn new(dimensions: Vec<Dimension>) -> Result<Self, ValueError> {
        let limit = |message| ValueError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message);
        if dimensions.len() > DIMENSIONS_MAX {
            return Err(too_many_dimensions(dimensions.len()));
        }
        let mut count = 1_usize;
        for dimension in &dimensions {
            count = count.saturating_mul(dimension.length);
        }
        if count > ITEMS_MAX {
            let message = format!("array size exceeds the maximum allowed ({ITEMS_MAX})");
            return Err(limit(message));
        }
        if count == 0 {
            return Ok(Self(Vec::new()));
        }
        for dimension in &dimensions {
            if dimension.upper() >= i64::from(i32::MAX) {
                let message = format!("array lower bound is too large: {}", dimension.lower);
                return Err(limit(message));
            }
        }
        Ok(Self(dimensions))
    }

    /// The dimensions, the outermost first.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.0
    }

    /// How many items an array of it has.
    #[must_use]
    pub fn count(&self) -> usize {
        match self.0.as_slice() {
            [] => 0,
            all => all.iter().map(|dimension| dimension.length).product(),
        }
    }

    /// Whether it is what a list of items has of itself: at most one dimension, from 1.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        matches!(self.0.as_slice(), [] | [Dimension { lower: 1, .. }])
    }

    /// Where the item of some subscripts lies.
    #[must_use]
    pub fn place(&self, subscripts: &[i64]) -> Option<usize> {
        if subscripts.len() != self.0.len() || subscripts.is_empty() {
            return None;
        }
        let mut place = 0;
        for (dimension, subscript) in self.0.iter().zip(subscripts) {
            let at = subscript.checked_sub(dimension.lower.into())?;
            let at = usize::try_from(at).ok()?;
            if at >= dimension.length {
                return None;
            }
            place = place * dimension.length + at;
        }
        Some(place)
    }

    /// How many braces open before an item, and how many close behind it.
    fn braces(&self, place: usize) -> (usize, usize) {
        let (mut open, mut close, mut stride) = (0, 0, 1);
        for dimension in self.0.iter().rev() {
            stride *= dimension.length.max(1);
            open += usize::from(place.is_multiple_of(stride));
            close += usize::from((place + 1).is_multiple_of(stride));
        }
        (open, close)
    }

    /// Appends an array's text; `item` appends that of the item at a place, as it stands in an
    /// array.
    ///
    /// # Errors
    /// Those of `item`.
    pub fn write<E>(
        &self,
        out: &mut Vec<u8>,
        mut item: impl FnMut(usize, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.0.is_empty() {
            out.extend_from_slice(b"{}");
            return Ok(());
        }
        if self.0.iter().any(|dimension| dimension.lower != 1) {
            out.extend_from_slice(self.bounds().as_bytes());
            out.push(b'=');
        }
        if let [one] = self.0.as_slice() {
            out.push(b'{');
            for place in 0..one.length {
                if place > 0 {
                    out.push(b',');
                }
                item(place, out)?;
            }
            out.push(b'}');
            return Ok(());
        }
        for place in 0..self.count() {
            if place > 0 {
                out.push(b',');
            }
            let (open, close) = self.braces(place);
            out.extend(std::iter::repeat_n(b'{', open));
            item(place, out)?;
            out.extend(std::iter::repeat_n(b'}', close));
        }
        Ok(())
    }

    /// The bounds as `array_dims` writes them: `[1:2][1:3]`.
    #[must_use]
    pub fn bounds(&self) -> String {
        let bounds = self.0.iter();
        let bounds = bounds.map(|of| format!("[{}:{}]", of.lower, of.upper()));
        bounds.collect()
    }

    /// The shape that a list's items say, of which validity is given; None for the plain one of a
    /// list without a tail.
    #[must_use]
    pub fn kept(nulls: Option<&NullBuffer>, start: usize, end: usize) -> Option<Self> {
        let nulls = nulls.filter(|nulls| nulls.null_count() > 0)?;
        Self::told(end.checked_sub(start)?, |place| {
            start + place < nulls.len() && nulls.is_valid(start + place)
        })
    }

    /// The shape that the tail of `length` items says, by which of them are valid.
    #[must_use]
    pub fn told(length: usize, valid: impl Fn(usize) -> bool) -> Option<Self> {
        let mut left = length;
        let mut bit = || {
            left = left.checked_sub(1)?;
            Some(valid(left))
        };
        for place in 0..MARK_BITS {
            if bit()? != ((MARK >> place) & 1 == 1) {
                return None;
            }
        }
        let mut number = |groups: bool| {
            let (mut value, mut shift) = (0_u64, 0_u32);
            loop {
                for _ in 0..GROUP_BITS {
                    value |= u64::from(bit()?) << shift;
                    shift += 1;
                }
                if !groups || !bit()? {
                    return Some(value);
                }
                if shift > 33 {
                    return None;
                }
            }
        };
        let count = usize::try_from(number(false)?).ok()?;
        if !(1..=DIMENSIONS_MAX).contains(&count) {
            return None;
        }
        let mut dimensions = Vec::with_capacity(count);
        for _ in 0..count {
            let length = usize::try_from(number(true)?).ok()?;
            let folded = number(true)?;
            let lower = i64::try_from(folded >> 1).ok()? ^ -i64::from(folded & 1 == 1);
            let lower = i32::try_from(lower + 1).ok()?;
            dimensions.push(Dimension { lower, length });
        }
        let shape = Self::new(dimensions).ok()?;
        (shape.count() == left && left > 0).then_some(shape)
    }

    /// What stands behind the items of an array of it, true for an item that is not NULL, by which
    /// of the items are valid: nothing for a plain one, but where its items look like a tail.
    #[must_use]
    pub fn tail(&self, valid: impl Fn(usize) -> bool) -> Vec<bool> {
        let count = self.count();
        if self.is_plain() && (count < MARK_BITS || Self::told(count, valid).is_none()) {
            return Vec::new();
        }
        let mut bits = Vec::with_capacity(MARK_BITS + 3 + self.0.len() * 8);
        bits.extend((0..MARK_BITS).map(|place| (MARK >> place) & 1 == 1));
        let mut number = |mut value: u64, groups: bool| {
            loop {
                bits.extend((0..GROUP_BITS).map(|place| (value >> place) & 1 == 1));
                value >>= GROUP_BITS;
                if groups {
                    bits.push(value > 0);
                }
                if value == 0 {
                    return;
                }
            }
        };
        number(u64::try_from(self.0.len()).unwrap_or(0), false);
        for dimension in &self.0 {
            number(u64::try_from(dimension.length).unwrap_or(0), true);
            let from = i64::from(dimension.lower) - 1;
            let folded = (from.unsigned_abs() << 1) - u64::from(from < 0) * 2;
            number(folded | u64::from(from < 0), true);
        }
        bits.reverse();
        bits
    }
}

fn too_many_dimensions(count: usize) -> ValueError {
    ValueError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!(
            "number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
        ),
    )
}

/// The items of an array's text, unquoted; None is NULL.
pub type Items = Vec<Option<Vec<u8>>>;

/// What came last in an array's text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Nothing,
    Open,
    Item,
    Quoted,
    Closed,
    ItemComma,
    CloseComma,
}

/// Reads an array's text.
///
/// # Errors
/// 22P02 with PostgreSQL's details, 2202E for bounds that are the wrong way around, 54000 for too
/// many dimensions.
pub fn parse(text: &[u8]) -> Result<(Shape, Items), ValueError> {
    let malformed = |detail: &str| {
        let text = String::from_utf8_lossy(text);
        let message = format!("malformed array literal: \"{text}\"");
        ValueError::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let mut rest = text.trim_ascii_start();
    let mut given: Vec<Dimension> = Vec::new();
    while let Some(after) = rest.strip_prefix(b"[") {
        if given.len() == DIMENSIONS_MAX {
            return Err(too_many_dimensions(given.len() + 1));
        }
        rest = after;
        let first = signed(&mut rest).ok_or_else(|| {
            malformed("\"[\" must introduce explicitly-specified array dimensions.")
        })?;
        let (lower, upper) = match rest.strip_prefix(b":") {
            None => (1, first),
            Some(after) => {
                rest = after;
                let last = signed(&mut rest);
                let last = last.ok_or_else(|| malformed("Missing array dimension value."))?;
                (i32::try_from(first).unwrap_or(i32::MAX), last)
            }
        };
        rest = rest
            .strip_prefix(b"]")
            .ok_or_else(|| malformed("Missing \"]\" after array dimensions."))?
            .trim_ascii_start();
        if upper < i64::from(lower) {
            return Err(ValueError::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                "upper bound cannot be less than lower bound",
            ));
        }
        let length = usize::try_from(upper - i64::from(lower) + 1).unwrap_or(usize::MAX);
        given.push(Dimension { lower, length });
    }
    if given.is_empty() {
        if !rest.starts_with(b"{") {
            return Err(malformed(
                "Array value must start with \"{\" or dimension information.",
            ));
        }
    } else {
        rest = rest
            .strip_prefix(b"=")
            .ok_or_else(|| malformed("Missing \"=\" after array dimensions."))?
            .trim_ascii_start();
        if !rest.starts_with(b"{") {
            return Err(malformed("Array contents must start with \"{\"."));
        }
    }
    let (lengths, items) = contents(rest, &malformed)?;
    if !given.is_empty() {
        let same = given.iter().map(|dimension| dimension.length).eq(lengths);
        if !same {
            return Err(malformed(
                "Specified array dimensions do not match array contents.",
            ));
        }
        return Ok((Shape::new(given)?, items));
    }
    let dimensions = lengths.into_iter();
    let dimensions = dimensions.map(|length| Dimension { lower: 1, length });
    Ok((Shape::new(dimensions.collect())?, items))
}

/// A number with its sign, as the C library reads one.
fn signed(rest: &mut &[u8]) -> Option<i64> {
    let digits = rest.iter();
    let end = digits
        .take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+'))
        .count();
    let (number, after) = rest.split_at_checked(end).filter(|_| end > 0)?;
    *rest = after;
    let number = std::str::from_utf8(number).ok()?;
    let number = number.parse::<i64>().unwrap_or(0);
    Some(number.clamp(i32::MIN.into(), i32::MAX.into()))
}

/// What stands within an array's braces: the lengths of its dimensions, none of an empty array,
/// and its items.
fn contents(
    text: &[u8],
    malformed: &dyn Fn(&str) -> ValueError,
) -> Result<(Vec<usize>, Items), ValueError> {
    let unexpected = |byte: u8| malformed(&format!("Unexpected \"{}\" character.", byte as char));
    let uneven =
        || malformed("Multidimensional arrays must have sub-arrays with matching dimensions.");
    let mut items = Items::new();
    let mut state = State::Nothing;
    // Of each level that is open: how many it has so far. Of each level: how many all have.
    let mut open: Vec<usize> = Vec::new();
    let mut lengths: Vec<Option<usize>> = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    loop {
        let Some(byte) = bytes.next() else {
            return Err(malformed("Unexpected end of input."));
        };
        match byte {
            b'{' => {
                if !matches!(state, State::Nothing | State::Open | State::CloseComma) {
                    return Err(unexpected(byte));
                }
                if open.len() == DIMENSIONS_MAX {
                    return Err(too_many_dimensions(open.len() + 1));
                }
                state = State::Open;
                open.push(0);
                if lengths.len() < open.len() {
                    // Items stood where this level begins.
                    if !items.is_empty() {
                        return Err(uneven());
                    }
                    lengths.push(None);
                }
            }
            b'}' => {
                let empty = state == State::Open;
                if matches!(state, State::Nothing | State::ItemComma | State::CloseComma)
                    || (empty && open.len() > 1)
                {
                    return Err(unexpected(byte));
                }
                let Some(count) = open.pop() else {
                    return Err(unexpected(byte));
                };
                let count = count + usize::from(!empty);
                let level = lengths.get_mut(open.len());
                match level {
                    Some(Some(all)) if *all != count => return Err(uneven()),
                    Some(slot) => *slot = Some(count),
                    None => {}
                }
                state = State::Closed;
                if open.is_empty() {
                    break;
                }
            }
            b',' => {
                state = match state {
                    State::Item | State::Quoted => State::ItemComma,
                    State::Closed => State::CloseComma,
                    _ => return Err(unexpected(byte)),
                };
                if let Some(count) = open.last_mut() {
                    *count += 1;
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {}
            _ => {
                if !matches!(state, State::Open | State::ItemComma) {
                    return Err(if byte == b'\\' {
                        unexpected(byte)
                    } else {
                        malformed("Unexpected array element.")
                    });
                }
                if open.len() != lengths.len() {
                    return Err(uneven());
                }
                let mut item = Vec::new();
                let ended = || malformed("Unexpected end of input.");
                if byte == b'"' {
                    state = State::Quoted;
                    loop {
                        match bytes.next().ok_or_else(ended)? {
                            b'"' => break,
                            b'\\' => item.push(bytes.next().ok_or_else(ended)?),
                            byte => item.push(byte),
                        }
                    }
                    items.push(Some(item));
                    continue;
                }
                state = State::Item;
                // Blanks at its end are not the item's, unless they were escaped.
                let (mut kept, mut escaped) = (0, false);
                let mut next = Some(byte);
                while let Some(byte) = next {
                    match byte {
                        b'\\' => {
                            item.push(bytes.next().ok_or_else(ended)?);
                            escaped = true;
                            kept = item.len();
                        }
                        b'"' => return Err(malformed("Unexpected array element.")),
                        byte => {
                            item.push(byte);
                            if !byte.is_ascii_whitespace() {
                                kept = item.len();
                            }
                        }
                    }
                    if bytes.peek() == Some(&b'{') {
                        return Err(unexpected(b'{'));
                    }
                    next = bytes.next_if(|byte| !matches!(byte, b',' | b'}'));
                }
                item.truncate(kept);
                let null = !escaped && item.eq_ignore_ascii_case(b"null");
                items.push((!null).then_some(item));
            }
        }
    }
    if bytes.any(|byte| !byte.is_ascii_whitespace()) {
        return Err(malformed("Junk after closing right brace."));
    }
    if items.is_empty() {
        return Ok((Vec::new(), items));
    }
    Ok((lengths.into_iter().flatten().collect(), items))
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )]
    use super::*;
    use crate::text::write_array_item;

    fn shown(text: &str) -> Result<String, ValueError> {
        let (shape, items) = parse(text.as_bytes())?;
        let mut out = Vec::new();
        shape.write(&mut out, |place, out| {
            write_array_item(items.get(place).unwrap().as_deref(), out);
            Ok::<_, ValueError>(())
        })?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn arrays_are_read_and_written_as_postgresql_does() {
        // Recorded on PostgreSQL 15.
        for (given, wanted) in [
            ("{}", "{}"),
            (" { } ", "{}"),
            ("{1,2}", "{1,2}"),
            ("{{1,2},{3,4}}", "{{1,2},{3,4}}"),
            (" { { 1 , 2 } , { 3 , NULL } } ", "{{1,2},{3,NULL}}"),
            ("[2:3]={a,b}", "[2:3]={a,b}"),
            ("[1:2]={a,b}", "{a,b}"),
            ("[2]={a,b}", "{a,b}"),
            ("[-1:0][3:3]={{a},{b}}", "[-1:0][3:3]={{a},{b}}"),
            ("{{{1},{2}},{{3},{4}}}", "{{{1},{2}},{{3},{4}}}"),
            (
                r#"{"a b",a b,\"x,"",nul\l}"#,
                r#"{"a b","a b","\"x","","null"}"#,
            ),
            (r#"{{"}"},{"{"}}"#, r#"{{"}"},{"{"}}"#),
        ] {
            assert_eq!(shown(given).unwrap(), wanted, "{given}");
        }
        for (given, code, detail) in [
            (
                "1,2",
                "22P02",
                "Array value must start with \"{\" or dimension information.",
            ),
            ("{1,2", "22P02", "Unexpected end of input."),
            ("{1,2} x", "22P02", "Junk after closing right brace."),
            ("{1,}", "22P02", "Unexpected \"}\" character."),
            ("{,1}", "22P02", "Unexpected \",\" character."),
            ("{{},{}}", "22P02", "Unexpected \"}\" character."),
            ("{a\"b\"}", "22P02", "Unexpected array element."),
            ("{\"a\"b}", "22P02", "Unexpected array element."),
            (
                "{{1,2},{3}}",
                "22P02",
                "Multidimensional arrays must have sub-arrays with matching dimensions.",
            ),
            ("{1,{2}}", "22P02", "Unexpected \"{\" character."),
            (
                "[1:3]={1,2}",
                "22P02",
                "Specified array dimensions do not match array contents.",
            ),
            (
                "[1:2]{1,2}",
                "22P02",
                "Missing \"=\" after array dimensions.",
            ),
            (
                "[]={1}",
                "22P02",
                "\"[\" must introduce explicitly-specified array dimensions.",
            ),
        ] {
            let error = shown(given).unwrap_err();
            assert_eq!(error.code.as_str(), code, "{given}");
            assert_eq!(error.detail.as_deref(), Some(detail), "{given}");
        }
        assert_eq!(shown("[2:1]={}").unwrap_err().code.as_str(), "2202E");
        assert_eq!(shown("{{{{{{{1}}}}}}}").unwrap_err().code.as_str(), "54000");
    }

    #[test]
    fn a_tail_says_the_shape_that_wrote_it() {
        for text in [
            "[2:3]={1,2}",
            "[-2147483648:-2147483647]={1,2}",
            "[2147483640:2147483641]={1,2}",
            "{{1,2},{3,NULL}}",
            "{{{{{{NULL}}}}}}",
            "[0:0][1:2][-5:-3]={{{1,2,3},{4,5,6}}}",
        ] {
            let (shape, items) = parse(text.as_bytes()).unwrap();
            let mut list: Vec<bool> = items.iter().map(Option::is_some).collect();
            assert!(Shape::told(list.len(), |place| list[place]).is_none());
            let tail = shape.tail(|place| list[place]);
            assert_eq!(
                tail.last(),
                Some(&false),
                "most lists are told by their last"
            );
            list.extend(tail);
            let told = Shape::told(list.len(), |place| list[place]);
            assert_eq!(told, Some(shape), "{text}");
            let nulls = NullBuffer::from(list.clone());
            assert!(Shape::kept(Some(&nulls), 0, list.len()).is_some());
        }
    }

    #[test]
    fn items_that_look_like_a_tail_get_one() {
        let (shape, _) = parse(b"{{1,2}}").unwrap();
        let mut list = vec![true, true];
        list.extend(shape.tail(|_| true));
        // The same bits as a plain array.
        let plain = Shape::plain(list.len());
        let tail = plain.tail(|place| list[place]);
        assert!(!tail.is_empty());
        list.extend(tail);
        assert_eq!(Shape::told(list.len(), |place| list[place]), Some(plain));
        assert!(Shape::plain(100).tail(|place| place % 3 > 0).is_empty());
    }
}
