//! COPY's binary format, cut into fields.

use chronolith_types::SqlState;

use super::lines::{Fields, LineError};
use crate::error::Error;

/// What the data begins with.
pub(super) const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

fn bad(message: &str) -> Error {
    Error::new(SqlState::new(b"22P04"), message)
}

/// The length of the header: signature, flags and extension. None while it is not whole.
pub(super) fn header(buffer: &[u8]) -> Result<Option<usize>, Error> {
    let known = SIGNATURE.len().min(buffer.len());
    if buffer.get(..known) != SIGNATURE.get(..known) {
        return Err(bad("COPY file signature not recognized"));
    }
    let (Some(flags), Some(extension)) = (int4(buffer, 11), int4(buffer, 15)) else {
        return Ok(None);
    };
    // The high half says what a reader must understand; nobody defined any of it since oids went.
    if flags & 0x7fff_0000 != 0 || flags < 0 {
        return Err(bad("unrecognized critical flags in COPY file header"));
    }
    let extension =
        usize::try_from(extension).map_err(|_| bad("invalid COPY file header (missing length)"))?;
    let end = 19 + extension;
    Ok((buffer.len() >= end).then_some(end))
}

fn int4(buffer: &[u8], at: usize) -> Option<i32> {
    let bytes = buffer.get(at..at + 4)?;
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

fn int2(buffer: &[u8], at: usize) -> Option<i16> {
    let bytes = buffer.get(at..at + 2)?;
    Some(i16::from_be_bytes(bytes.try_into().ok()?))
}

/// How many bytes at the start of `buffer`, looked at from `from` on, are whole rows, or the end
/// mark.
pub(super) fn whole_rows(buffer: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(end) = row_end(buffer, at) {
        at = end;
    }
    at
}

fn row_end(buffer: &[u8], at: usize) -> Option<usize> {
    let count = int2(buffer, at)?;
    let mut at = at + 2;
    for _ in 0..count.max(0) {
        let length = int4(buffer, at)?;
        at = at
            .checked_add(4)?
            .checked_add(usize::try_from(length).unwrap_or(0))?;
        if at > buffer.len() {
            return None;
        }
    }
    Some(at)
}

/// Reads a block of whole rows; how many, and whether the end mark was met.
pub(super) fn parse_block(
    block: &[u8],
    columns: usize,
    fields: &mut impl Fields,
) -> Result<(u64, bool), LineError> {
    let mut at = 0;
    let mut line = 0;
    let whole = |line: u64, error: Error| LineError {
        line,
        field: None,
        error,
        text: None,
    };
    while let Some(count) = int2(block, at) {
        at += 2;
        if count == -1 {
            return Ok((line, true));
        }
        if usize::try_from(count).ok() != Some(columns) {
            let message = format!("row field count is {count}, expected {columns}");
            return Err(whole(line, bad(&message)));
        }
        for column in 0..columns {
            let Some(length) = int4(block, at) else {
                return Err(whole(line, bad("unexpected EOF in COPY data")));
            };
            at += 4;
            let value = match usize::try_from(length) {
                Ok(length) => {
                    let value = block.get(at..at + length);
                    at += length;
                    match value {
                        Some(value) => Some(value),
                        None => return Err(whole(line, bad("unexpected EOF in COPY data"))),
                    }
                }
                Err(_) if length == -1 => None,
                Err(_) => return Err(whole(line, bad("invalid field size"))),
            };
            if let Err(error) = fields.field(column, value) {
                return Err(LineError {
                    line,
                    field: Some((column, String::new())),
                    error,
                    text: None,
                });
            }
        }
        fields.end_row().map_err(|error| whole(line, error))?;
        line += 1;
    }
    Ok((line, false))
}
