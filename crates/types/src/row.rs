//! Rows that are one value: their text, the form they are kept in, and their binary form.
//!
//! A value of a composite type is kept as its text, each field written as in UTC. Other zones are
//! those of whoever reads or is shown it.

use crate::sqlstate::SqlState;
use crate::sqltype::SqlType;
use crate::user::UserType;
use crate::value::ValueError;
use crate::zone::TimeZone;
use crate::{Interval, Numeric, array, binary, datetime, numeric, packed, precision, text};

/// The texts of the fields of a row; none for a NULL.
///
/// # Errors
/// 22P02 for what is no row of so many fields.
pub fn split(row: &[u8], fields: usize) -> Result<Vec<Option<Vec<u8>>>, ValueError> {
    let wrong = |detail: &str| {
        let row = String::from_utf8_lossy(row);
        let message = format!("malformed record literal: \"{row}\"");
        ValueError::new(SqlState::INVALID_TEXT_REPRESENTATION, message).detail(detail)
    };
    let Some(inner) = row.trim_ascii_start().strip_prefix(b"(") else {
        return Err(wrong("Missing left parenthesis."));
    };
    let mut rest = inner.iter().copied().peekable();
    let mut found = Vec::with_capacity(fields);
    for place in 0..fields {
        if place > 0 && rest.next_if_eq(&b',').is_none() {
            return Err(wrong("Too few columns."));
        }
        if matches!(rest.peek(), Some(b',' | b')')) {
            found.push(None);
            continue;
        }
        let mut field = Vec::new();
        let mut quoted = false;
        loop {
            if !quoted && matches!(rest.peek(), Some(b',' | b')')) {
                break;
            }
            match rest.next() {
                None => return Err(wrong("Unexpected end of input.")),
                Some(b'\\') => match rest.next() {
                    Some(byte) => field.push(byte),
                    None => return Err(wrong("Unexpected end of input.")),
                },
                Some(b'"') if !quoted => quoted = true,
                Some(b'"') if rest.next_if_eq(&b'"').is_some() => field.push(b'"'),
                Some(b'"') => quoted = false,
                Some(byte) => field.push(byte),
            }
        }
        found.push(Some(field));
    }
    if rest.next() != Some(b')') {
        return Err(wrong("Too many columns."));
    }
    match rest.all(|byte| byte.is_ascii_whitespace()) {
        true => Ok(found),
        false => Err(wrong("Junk after right parenthesis.")),
    }
}

/// A row of the texts of its fields.
#[must_use]
pub fn join<T: AsRef<[u8]>>(fields: &[Option<T>]) -> Vec<u8> {
    let mut out = b"(".to_vec();
    for (place, field) in fields.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        let Some(field) = field.as_ref().map(AsRef::as_ref) else {
            continue;
        };
        let special = |byte: &u8| {
            matches!(byte, b'(' | b')' | b',' | b'"' | b'\\' | 0x0b) || byte.is_ascii_whitespace()
        };
        if !field.is_empty() && !field.iter().any(special) {
            out.extend_from_slice(field);
            continue;
        }
        out.push(b'"');
        for byte in field {
            if matches!(byte, b'"' | b'\\') {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(b'"');
    }
    out.push(b')');
    out
}

/// A value's text as another session's zone shows it, read and checked as its type's input does.
///
/// # Errors
/// Those of the type's input.
pub fn rewritten(
    value: &[u8],
    ty: &SqlType,
    read_in: &TimeZone,
    write_in: &TimeZone,
) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::new();
    match ty.base() {
        SqlType::Bool => out.push(if text::parse_bool(value)? { b't' } else { b'f' }),
        SqlType::Int2 => {
            let value = text::parse_integer(value, "smallint", i16::MIN.into(), i16::MAX.into())?;
            text::write_integer(value, &mut out);
        }
        SqlType::Int4 => {
            let value = text::parse_integer(value, "integer", i32::MIN.into(), i32::MAX.into())?;
            text::write_integer(value, &mut out);
        }
        SqlType::Int8 => {
            let value = text::parse_integer(value, "bigint", i64::MIN, i64::MAX)?;
            text::write_integer(value, &mut out);
        }
        SqlType::Float4 => text::write_float4(text::parse_float4(value)?, &mut out),
        SqlType::Float8 => text::write_float8(text::parse_float8(value)?, &mut out),
        SqlType::Numeric(Some((precision, scale)))
            if *precision <= 38 && (0..=38).contains(scale) =>
        {
            let scale = scale.unsigned_abs();
            let value = numeric::fit(&Numeric::parse(value)?, *precision, scale)?;
            numeric::write_decimal(value, scale, &mut out);
        }
        SqlType::Numeric(_) => Numeric::parse(value)?.write(&mut out),
        ty if packed::is_packed(ty) => {
            packed::write(ty, &packed::parse(ty, value, read_in)?, write_in, &mut out);
        }
        SqlType::Date => datetime::write_date(datetime::parse_date(value)?, &mut out),
        SqlType::Time(digits) => {
            let value = precision::time(datetime::parse_time(value)?, *digits);
            datetime::write_time(value, &mut out);
        }
        SqlType::Timestamp(digits) => {
            let value = precision::timestamp(datetime::parse_timestamp(value)?, *digits);
            datetime::write_timestamp(value, &mut out);
        }
        SqlType::Timestamptz(digits) => {
            let value = datetime::parse_timestamptz(value, read_in)?;
            let value = precision::timestamp(value, *digits);
            datetime::write_timestamptz(value, write_in, &mut out);
        }
        SqlType::Interval(limit) => Interval::parse_within(value, *limit)?.write(&mut out),
        SqlType::Uuid => text::write_uuid(&text::parse_uuid(value)?, &mut out),
        SqlType::Json => {
            text::check_json(value)?;
            out.extend_from_slice(value);
        }
        SqlType::Jsonb => out.extend_from_slice(text::canonical_jsonb(value)?.as_bytes()),
        SqlType::Varchar(most) => {
            let (kept, _) = shortened(value, *most, "character varying")?;
            out.extend_from_slice(kept);
        }
        SqlType::Char(most) => {
            let (kept, missing) = shortened(value, *most, "character")?;
            out.extend_from_slice(kept);
            out.extend(std::iter::repeat_n(b' ', missing));
        }
        SqlType::Array(element) => {
            let (shape, items) = array::parse(value)?;
            shape.write(&mut out, |place, out| {
                let item = items.get(place).and_then(Option::as_deref);
                let item = item.map(|item| rewritten(item, element, read_in, write_in));
                text::write_array_item(item.transpose()?.as_deref(), out);
                Ok::<_, ValueError>(())
            })?;
        }
        SqlType::User(user) => match user.fields() {
            Some(fields) => {
                let row = split(value, fields.len())?.into_iter().zip(fields);
                let row = row.map(|(field, (_, ty))| {
                    let field = field.map(|field| rewritten(&field, ty, read_in, write_in));
                    field.transpose()
                });
                out = join(&row.collect::<Result<Vec<_>, _>>()?);
            }
            None => {
                user.check_label(&String::from_utf8_lossy(value))?;
                out.extend_from_slice(value);
            }
        },
        _ => out.extend_from_slice(value),
    }
    Ok(out)
}

/// What a text of so many characters keeps, and how many it lacks.
fn shortened<'v>(
    value: &'v [u8],
    most: Option<u32>,
    name: &str,
) -> Result<(&'v [u8], usize), ValueError> {
    let Some(limit) = most else {
        return Ok((value, 0));
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let Ok(text) = std::str::from_utf8(value) else {
        return Ok((value, 0));
    };
    match text.char_indices().nth(most) {
        None => Ok((value, most.saturating_sub(text.chars().count()))),
        Some((end, _)) => {
            let (kept, excess) = value.split_at(end);
            if excess.iter().all(|byte| *byte == b' ') {
                return Ok((kept, 0));
            }
            Err(ValueError::new(
                SqlState::STRING_DATA_RIGHT_TRUNCATION,
                format!("value too long for type {name}({limit})"),
            ))
        }
    }
}

/// Appends the binary form of a value that is kept as text.
///
/// # Errors
/// None for a value that is kept; those of the type's input for another.
pub fn to_binary(value: &[u8], ty: &SqlType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let integer = |name, min, max| text::parse_integer(value, name, min, max);
    match ty.base() {
        SqlType::Bool => out.push(u8::from(text::parse_bool(value)?)),
        SqlType::Int2 => {
            let value = integer("smallint", i16::MIN.into(), i16::MAX.into())?;
            out.extend(i16::try_from(value).unwrap_or_default().to_be_bytes());
        }
        SqlType::Int4 => {
            let value = integer("integer", i32::MIN.into(), i32::MAX.into())?;
            out.extend(i32::try_from(value).unwrap_or_default().to_be_bytes());
        }
        SqlType::Int8 => out.extend(integer("bigint", i64::MIN, i64::MAX)?.to_be_bytes()),
        SqlType::Oid | SqlType::Xid | SqlType::Reg(_) => {
            let value = integer("oid", 0, u32::MAX.into())?;
            out.extend(u32::try_from(value).unwrap_or_default().to_be_bytes());
        }
        SqlType::Float4 => out.extend(text::parse_float4(value)?.to_be_bytes()),
        SqlType::Float8 => out.extend(text::parse_float8(value)?.to_be_bytes()),
        SqlType::Numeric(_) => binary::write_numeric(&Numeric::parse(value)?, out),
        ty if packed::is_packed(ty) => {
            packed::send(ty, &packed::parse(ty, value, &TimeZone::Utc)?, out);
        }
        SqlType::Date => binary::write_date(datetime::parse_date(value)?, out),
        SqlType::Time(_) => out.extend(datetime::parse_time(value)?.to_be_bytes()),
        SqlType::Timestamp(_) => binary::write_timestamp(datetime::parse_timestamp(value)?, out),
        SqlType::Timestamptz(_) => {
            let value = datetime::parse_timestamptz(value, &TimeZone::Utc)?;
            binary::write_timestamp(value, out);
        }
        SqlType::Interval(_) => binary::write_interval(Interval::parse(value)?, out),
        SqlType::Uuid => out.extend(text::parse_uuid(value)?),
        SqlType::Jsonb => {
            out.push(1);
            out.extend_from_slice(value);
        }
        SqlType::Array(element) => {
            let (shape, items) = array::parse(value)?;
            let nulls = items.iter().any(Option::is_none);
            binary::write_array_head(&shape, nulls, element.oid(), out);
            for item in items {
                put(item.as_deref(), element, out)?;
            }
        }
        SqlType::User(user) if user.fields().is_some() => {
            let fields = user.fields().unwrap_or_default();
            out.extend(length(fields.len()));
            for (field, (_, ty)) in split(value, fields.len())?.into_iter().zip(fields) {
                out.extend(ty.oid().to_be_bytes());
                put(field.as_deref(), ty, out)?;
            }
        }
        _ => out.extend_from_slice(value),
    }
    Ok(())
}

fn length(length: usize) -> [u8; 4] {
    i32::try_from(length).unwrap_or(i32::MAX).to_be_bytes()
}

/// A value behind its length.
fn put(value: Option<&[u8]>, ty: &SqlType, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let Some(value) = value else {
        out.extend((-1_i32).to_be_bytes());
        return Ok(());
    };
    let mut form = Vec::new();
    to_binary(value, ty, &mut form)?;
    out.extend(length(form.len()));
    out.extend(form);
    Ok(())
}

/// The kept text of a value in binary form.
///
/// # Errors
/// 22P03, 08P01 for bytes of another form, 42804 for a row of other types.
pub fn from_binary(value: &[u8], ty: &SqlType) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::new();
    match ty.base() {
        SqlType::Bool => out.push(if binary::read_bool(value)? {
            b't'
        } else {
            b'f'
        }),
        SqlType::Int2 => text::write_integer(binary::read_int2(value)?.into(), &mut out),
        SqlType::Int4 => text::write_integer(binary::read_int4(value)?.into(), &mut out),
        SqlType::Int8 => text::write_integer(binary::read_int8(value)?, &mut out),
        SqlType::Oid | SqlType::Xid | SqlType::Reg(_) => {
            text::write_integer(binary::read_oid(value)?.into(), &mut out);
        }
        SqlType::Float4 => text::write_float4(binary::read_float4(value)?, &mut out),
        SqlType::Float8 => text::write_float8(binary::read_float8(value)?, &mut out),
        SqlType::Numeric(_) => binary::read_numeric(value)?.write(&mut out),
        ty if packed::is_packed(ty) => {
            packed::write(ty, &packed::receive(ty, value)?, &TimeZone::Utc, &mut out);
        }
        SqlType::Date => datetime::write_date(binary::read_date(value)?, &mut out),
        SqlType::Time(_) => datetime::write_time(binary::read_time(value)?, &mut out),
        SqlType::Timestamp(_) => {
            datetime::write_timestamp(binary::read_timestamp(value)?, &mut out)
        }
        SqlType::Timestamptz(_) => {
            let value = binary::read_timestamp(value)?;
            datetime::write_timestamptz(value, &TimeZone::Utc, &mut out);
        }
        SqlType::Interval(_) => binary::read_interval(value)?.write(&mut out),
        SqlType::Uuid => text::write_uuid(&binary::read_exact::<16>(value)?, &mut out),
        SqlType::Jsonb => out.extend_from_slice(binary::read_jsonb(value)?),
        SqlType::Array(element) => {
            let (_, shape, items) = binary::read_array(value)?;
            shape.write(&mut out, |place, out| {
                let item = items.get(place).copied().flatten();
                let item = item.map(|item| from_binary(item, element)).transpose()?;
                text::write_array_item(item.as_deref(), out);
                Ok::<_, ValueError>(())
            })?;
        }
        SqlType::User(user) if user.fields().is_some() => out = received(value, user)?,
        _ => out.extend_from_slice(value),
    }
    Ok(out)
}

fn received(mut value: &[u8], user: &UserType) -> Result<Vec<u8>, ValueError> {
    let short = || {
        ValueError::new(
            SqlState::PROTOCOL_VIOLATION,
            "insufficient data left in message",
        )
    };
    let mut word = |length: usize| -> Result<&[u8], ValueError> {
        let (head, tail) = value.split_at_checked(length).ok_or_else(short)?;
        value = tail;
        Ok(head)
    };
    let fields = user.fields().unwrap_or_default();
    let count = binary::read_int4(word(4)?)?;
    if usize::try_from(count).ok() != Some(fields.len()) {
        let wanted = fields.len();
        return Err(ValueError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("wrong number of columns: {count}, expected {wanted}"),
        ));
    }
    let mut row = Vec::with_capacity(fields.len());
    for (place, (_, ty)) in fields.iter().enumerate() {
        let oid = binary::read_oid(word(4)?)?;
        if oid != ty.oid() {
            return Err(ValueError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "binary data has type {oid} instead of expected {} in record column {}",
                    ty.oid(),
                    place + 1
                ),
            ));
        }
        let length = binary::read_int4(word(4)?)?;
        row.push(match usize::try_from(length) {
            Ok(length) => Some(from_binary(word(length)?, ty)?),
            Err(_) => None,
        });
    }
    Ok(join(&row))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use std::sync::Arc;

    use super::*;
    use crate::user::UserKind;

    fn pair() -> SqlType {
        SqlType::User(Arc::new(UserType {
            oid: 20_000,
            array: 20_001,
            name: "pair".into(),
            kind: UserKind::Composite(vec![
                ("a".into(), SqlType::Int4),
                ("b".into(), SqlType::Text),
                ("at".into(), SqlType::Timestamptz(None)),
            ]),
        }))
    }

    #[test]
    fn rows_are_read_and_written_as_postgresql_does() {
        for (given, kept) in [
            (r#"(1,"a b",)"#, r#"(1,"a b",)"#),
            (r#" ( 1 ,"a""b\\",) "#, r#"(1,"a""b\\",)"#),
            ("(,,)", "(,,)"),
            (r#"(,"",)"#, r#"(,"",)"#),
            (
                r#"(1,a,"2026-01-02 03:04:05+02")"#,
                r#"(1,a,"2026-01-02 01:04:05+00")"#,
            ),
        ] {
            let read = rewritten(given.as_bytes(), &pair(), &TimeZone::Utc, &TimeZone::Utc);
            let read = read.unwrap();
            assert_eq!(String::from_utf8_lossy(&read), kept);
            let mut sent = Vec::new();
            to_binary(&read, &pair(), &mut sent).unwrap();
            assert_eq!(from_binary(&sent, &pair()).unwrap(), read);
        }
    }

    #[test]
    fn what_is_no_row_says_why() {
        for (given, detail) in [
            ("1,2,3", "Missing left parenthesis."),
            ("(1,2)", "Too few columns."),
            ("(1,2,,4)", "Too many columns."),
            ("(1,2,", "Unexpected end of input."),
            ("(1,2,) x", "Junk after right parenthesis."),
        ] {
            let error = split(given.as_bytes(), 3).unwrap_err();
            assert_eq!(error.detail.as_deref(), Some(detail), "{given}");
        }
    }
}
