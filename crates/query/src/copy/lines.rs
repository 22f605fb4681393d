//! COPY's text and CSV formats, cut into fields.
//!
//! Works on blocks of whole rows, so that several threads can parse one COPY. A field that needs no
//! unescaping is handed on as it lies in the block.

use crate::copy::options::{CopyOptions, Header};
use crate::error::Error;
use crate::outcome::CopyFormat;
use chronolith_types::SqlState;

/// Where and why a block could not be read.
#[derive(Debug)]
pub struct LineError {
    /// The line within the block, from 0.
    pub line: u64,
    /// The column (of the data, from 0) and its text, where one is at fault.
    pub field: Option<(usize, String)>,
    /// What is wrong; for a whole line, without its context.
    pub error: Error,
    /// The line's text, where no column is at fault.
    pub text: Option<Box<str>>,
}

/// What takes the fields of a block.
pub trait Fields {
    /// One field of the current row; None is NULL.
    ///
    /// # Errors
    /// When the text is no value of the column's type.
    fn field(&mut self, column: usize, value: Option<&[u8]>) -> Result<(), Error>;
    /// The row is complete.
    ///
    /// # Errors
    /// When the row as a whole is refused.
    fn end_row(&mut self) -> Result<(), Error>;
    /// The name of a column, for messages.
    fn name(&self, column: usize) -> &str;
}

/// Finds how much of a stream is whole rows, without reading it twice.
#[derive(Debug, Default, Clone, Copy)]
pub struct Splitter {
    in_quotes: bool,
    scanned: usize,
    last_end: usize,
}

impl Splitter {
    /// Looks at what came in since the last call; gives the length of the whole rows at the start
    /// of `buffer`, 0 for none yet.
    pub fn whole_rows(&mut self, buffer: &[u8], options: &CopyOptions) -> usize {
        let fresh = buffer.get(self.scanned..).unwrap_or_default();
        if options.format == CopyFormat::Csv && !self.in_quotes && !fresh.contains(&options.quote) {
            // Most CSV quotes nothing; then every newline ends a row.
            if let Some(at) = fresh.iter().rposition(|byte| *byte == b'\n') {
                self.last_end = self.scanned + at + 1;
            }
            self.scanned = buffer.len();
        } else if options.format == CopyFormat::Csv {
            // A doubled quote flips twice, and an escape that differs from the quote is rare enough
            // to be looked at byte by byte.
            let mut escaped = false;
            for (index, &byte) in fresh.iter().enumerate() {
                if escaped {
                    escaped = false;
                } else if byte == options.escape
                    && options.escape != options.quote
                    && self.in_quotes
                {
                    escaped = true;
                } else if byte == options.quote {
                    self.in_quotes = !self.in_quotes;
                } else if byte == b'\n' && !self.in_quotes {
                    self.last_end = self.scanned + index + 1;
                }
            }
            // An escape at the very end belongs with the byte that follows it.
            self.scanned = buffer.len() - usize::from(escaped);
        } else {
            if let Some(end) = last_line_end(fresh, buffer, self.scanned) {
                self.last_end = end;
            }
            self.scanned = buffer.len();
        }
        self.last_end
    }

    /// The whole rows were taken away from the buffer's start.
    pub fn taken(&mut self, length: usize) {
        self.scanned -= length;
        self.last_end -= length;
    }
}

/// The end of the last line of text format; a newline after an odd run of backslashes is data.
fn last_line_end(fresh: &[u8], buffer: &[u8], offset: usize) -> Option<usize> {
    let mut search = fresh;
    while let Some(at) = search.iter().rposition(|byte| *byte == b'\n') {
        let end = offset + at;
        let slashes = buffer
            .get(..end)
            .unwrap_or_default()
            .iter()
            .rev()
            .take_while(|byte| **byte == b'\\')
            .count();
        if slashes % 2 == 0 {
            return Some(end + 1);
        }
        search = search.get(..at).unwrap_or_default();
    }
    None
}

/// Reads a block of whole rows (the last may lack its newline).
///
/// `first` says that the block begins the data, where a header may stand. Gives the number of
/// lines, and whether the end-of-data mark was met.
///
/// # Errors
/// The first line that is no row.
pub fn parse_block(
    block: &[u8],
    options: &CopyOptions,
    columns: usize,
    first: bool,
    fields: &mut impl Fields,
) -> Result<(u64, bool), LineError> {
    let mut scratch = Vec::new();
    let mut rest = block;
    let mut line = 0u64;
    if first && options.header != Header::Off && !rest.is_empty() {
        let length = row_length(rest, options);
        if options.header == Header::Match {
            check_header(
                rest.get(..length).unwrap_or_default(),
                options,
                columns,
                fields,
            )?;
        }
        rest = rest.get(length..).unwrap_or_default();
        line += 1;
    }
    while !rest.is_empty() {
        let outcome = match options.format {
            CopyFormat::Csv => csv_row(rest, options, columns, fields, &mut scratch),
            CopyFormat::Text | CopyFormat::Binary => {
                text_row(rest, options, columns, fields, &mut scratch)
            }
        };
        match outcome {
            Ok(Row::Data(length)) => {
                if let Err(error) = fields.end_row() {
                    let text = row_text(rest, length);
                    return Err(LineError {
                        line,
                        field: None,
                        error,
                        text: Some(text.into()),
                    });
                }
                rest = rest.get(length..).unwrap_or_default();
            }
            Ok(Row::End) => return Ok((line, true)),
            Err(fault) => {
                let length = row_length(rest, options);
                if let Some(error) = not_text(rest.get(..length).unwrap_or(rest)) {
                    return Err(LineError {
                        line,
                        field: None,
                        error,
                        text: None,
                    });
                }
                let (field, text) = match fault.field {
                    Some(field) => (Some(field), None),
                    None => (None, Some(row_text(rest, row_length(rest, options)).into())),
                };
                return Err(LineError {
                    line,
                    field,
                    error: fault.error,
                    text,
                });
            }
        }
        line += 1;
    }
    Ok((line, false))
}

enum Row {
    /// A row, and its length with the newline.
    Data(usize),
    /// The mark `\.`
    End,
}

struct Fault {
    field: Option<(usize, String)>,
    error: Error,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self { field: None, error }
    }
}

fn row_text(rest: &[u8], length: usize) -> String {
    let line = rest.get(..length).unwrap_or(rest);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    shortened(line)
}

/// A value as a message shows it: PostgreSQL cuts it at 100 characters.
fn shortened(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if text.chars().count() <= 100 {
        text.into_owned()
    } else {
        text.chars().take(100).chain("...".chars()).collect()
    }
}

fn row_length(rest: &[u8], options: &CopyOptions) -> usize {
    let mut in_quotes = false;
    let mut slash = false;
    for (index, &byte) in rest.iter().enumerate() {
        match options.format {
            CopyFormat::Csv if byte == options.quote => in_quotes = !in_quotes,
            CopyFormat::Csv => {}
            _ if byte == b'\\' => {
                slash = !slash;
                continue;
            }
            _ => {}
        }
        if byte == b'\n' && !in_quotes && !slash {
            return index + 1;
        }
        slash = false;
    }
    rest.len()
}

/// 22021 for a row that is not in the client's encoding.
fn not_text(row: &[u8]) -> Option<Error> {
    let error = std::str::from_utf8(row).err()?;
    let bytes: Vec<String> = row
        .iter()
        .skip(error.valid_up_to())
        .take(error.error_len().unwrap_or(4))
        .map(|byte| format!("0x{byte:02x}"))
        .collect();
    Some(Error::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!(
            "invalid byte sequence for encoding \"UTF8\": {}",
            bytes.join(" ")
        ),
    ))
}

fn extra() -> Error {
    Error::new(
        SqlState::BAD_COPY_FILE_FORMAT,
        "extra data after last expected column",
    )
}

fn missing(name: &str) -> Error {
    Error::new(
        SqlState::BAD_COPY_FILE_FORMAT,
        format!("missing data for column \"{name}\""),
    )
}

fn give(fields: &mut impl Fields, column: usize, value: Option<&[u8]>) -> Result<(), Fault> {
    fields.field(column, value).map_err(|error| Fault {
        field: Some((column, value.map(shortened).unwrap_or_default())),
        error,
    })
}

fn text_row(
    rest: &[u8],
    options: &CopyOptions,
    columns: usize,
    fields: &mut impl Fields,
    scratch: &mut Vec<u8>,
) -> Result<Row, Fault> {
    if rest.starts_with(b"\\.") && matches!(rest.get(2), None | Some(b'\n' | b'\r')) {
        return Ok(Row::End);
    }
    let mut column = 0;
    let mut start = 0;
    let mut index = 0;
    let mut escapes = false;
    loop {
        let byte = rest.get(index).copied();
        match byte {
            Some(b'\\') => {
                escapes = true;
                index += 2;
                continue;
            }
            Some(byte) if byte != options.delimiter && byte != b'\n' => {
                index += 1;
                continue;
            }
            _ => {}
        }
        let ends_row = byte != Some(options.delimiter);
        let end = index.min(rest.len());
        let mut raw = rest.get(start..end).unwrap_or_default();
        if ends_row {
            raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        }
        if column >= columns {
            // One empty field in a table without columns is how its rows look.
            if !(columns == 0 && raw.is_empty() && ends_row) {
                return Err(extra().into());
            }
        } else if raw == options.null.as_slice() {
            give(fields, column, None)?;
        } else if escapes {
            unescape(raw, scratch);
            give(fields, column, Some(scratch))?;
        } else {
            give(fields, column, Some(raw))?;
        }
        column += 1;
        index = end + 1;
        start = index;
        escapes = false;
        if ends_row {
            if column < columns {
                return Err(missing(fields.name(column)).into());
            }
            return Ok(Row::Data(index.min(rest.len())));
        }
    }
}

fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            None => out.push(b'\\'),
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'v') => out.push(11),
            Some(digit @ b'0'..=b'7') => {
                let mut value = u32::from(digit - b'0');
                for _ in 0..2 {
                    match bytes.peek() {
                        Some(next @ b'0'..=b'7') => {
                            value = value * 8 + u32::from(next - b'0');
                            bytes.next();
                        }
                        _ => break,
                    }
                }
                out.push(u8::try_from(value & 0xff).unwrap_or_default());
            }
            Some(b'x') => {
                let mut value = None;
                for _ in 0..2 {
                    let Some(digit) = bytes.peek().and_then(|byte| char::from(*byte).to_digit(16))
                    else {
                        break;
                    };
                    value = Some(value.unwrap_or(0) * 16 + digit);
                    bytes.next();
                }
                match value {
                    Some(value) => out.push(u8::try_from(value & 0xff).unwrap_or_default()),
                    None => out.push(b'x'),
                }
            }
            Some(other) => out.push(other),
        }
    }
}

fn csv_row(
    rest: &[u8],
    options: &CopyOptions,
    columns: usize,
    fields: &mut impl Fields,
    scratch: &mut Vec<u8>,
) -> Result<Row, Fault> {
    if rest.starts_with(b"\\.") && matches!(rest.get(2), None | Some(b'\n' | b'\r')) {
        return Ok(Row::End);
    }
    let mut column = 0;
    let mut index = 0;
    loop {
        let start = index;
        while rest
            .get(index)
            .is_some_and(|&b| b != options.delimiter && b != b'\n' && b != options.quote)
        {
            index += 1;
        }
        let mut quoted = false;
        let value: &[u8] = if rest.get(index) == Some(&options.quote) {
            quoted = true;
            scratch.clear();
            scratch.extend_from_slice(rest.get(start..index).unwrap_or_default());
            index = csv_quoted(rest, index, options, scratch)?;
            scratch.as_slice()
        } else {
            rest.get(start..index).unwrap_or_default()
        };
        let ends_row = rest.get(index) != Some(&options.delimiter);
        let value = match (ends_row, quoted) {
            (true, _) => value.strip_suffix(b"\r").unwrap_or(value),
            (false, _) => value,
        };
        if column >= columns {
            if !(columns == 0 && value.is_empty() && ends_row) {
                return Err(extra().into());
            }
        } else {
            let matches_null = value == options.null.as_slice();
            let null = matches_null
                && (!quoted || options.force_null.contains(&column))
                && !options.force_not_null.contains(&column);
            give(fields, column, (!null).then_some(value))?;
        }
        column += 1;
        index += 1;
        if ends_row {
            if column < columns {
                return Err(missing(fields.name(column)).into());
            }
            return Ok(Row::Data(index.min(rest.len())));
        }
    }
}

/// Reads from an opening quote to the delimiter or newline behind the closing one.
fn csv_quoted(
    rest: &[u8],
    mut index: usize,
    options: &CopyOptions,
    out: &mut Vec<u8>,
) -> Result<usize, Fault> {
    let mut in_quotes = false;
    while let Some(&byte) = rest.get(index) {
        if in_quotes {
            if byte == options.escape
                && rest
                    .get(index + 1)
                    .is_some_and(|next| *next == options.quote || *next == options.escape)
            {
                out.extend(rest.get(index + 1));
                index += 2;
                continue;
            }
            if byte == options.quote {
                in_quotes = false;
            } else {
                out.push(byte);
            }
        } else if byte == options.quote {
            in_quotes = true;
        } else if byte == options.delimiter || byte == b'\n' {
            return Ok(index);
        } else {
            out.push(byte);
        }
        index += 1;
    }
    if in_quotes {
        return Err(Error::new(
            SqlState::BAD_COPY_FILE_FORMAT,
            "unterminated CSV quoted field",
        )
        .into());
    }
    Ok(index)
}

fn check_header(
    header: &[u8],
    options: &CopyOptions,
    columns: usize,
    fields: &impl Fields,
) -> Result<(), LineError> {
    struct Names(Vec<String>);
    impl Fields for Names {
        fn field(&mut self, _: usize, value: Option<&[u8]>) -> Result<(), Error> {
            self.0
                .push(String::from_utf8_lossy(value.unwrap_or_default()).into_owned());
            Ok(())
        }
        fn end_row(&mut self) -> Result<(), Error> {
            Ok(())
        }
        fn name(&self, _: usize) -> &str {
            ""
        }
    }
    let mut names = Names(Vec::new());
    let mut scratch = Vec::new();
    // However many there are: what fails then is that there are not more.
    let found = match options.format {
        CopyFormat::Csv => csv_row(header, options, usize::MAX, &mut names, &mut scratch),
        _ => text_row(header, options, usize::MAX, &mut names, &mut scratch),
    };
    let count = names.0.len();
    let fault = match found {
        Err(fault) if fault.error.message.starts_with("unterminated") => Some(fault.error),
        _ if count != columns => Some(Error::new(
            SqlState::BAD_COPY_FILE_FORMAT,
            format!(
                "wrong number of fields in header line: field count is {count}, expected {columns}"
            ),
        )),
        _ => (0..columns).find_map(|column| {
            let expected = fields.name(column);
            let got = names.0.get(column).map(String::as_str).unwrap_or_default();
            (expected != got).then(|| {
                Error::new(
                    SqlState::BAD_COPY_FILE_FORMAT,
                    format!(
                        "column name mismatch in header line field {}: got \"{got}\", expected \"{expected}\"",
                        column + 1
                    ),
                )
            })
        }),
    };
    match fault {
        None => Ok(()),
        Some(error) => Err(LineError {
            line: 0,
            field: None,
            error,
            text: Some(row_text(header, header.len()).into()),
        }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[derive(Default)]
    struct Rows {
        rows: Vec<Vec<Option<String>>>,
        row: Vec<Option<String>>,
    }

    impl Fields for Rows {
        fn field(&mut self, _: usize, value: Option<&[u8]>) -> Result<(), Error> {
            self.row
                .push(value.map(|v| String::from_utf8(v.to_vec()).unwrap()));
            Ok(())
        }
        fn end_row(&mut self) -> Result<(), Error> {
            self.rows.push(std::mem::take(&mut self.row));
            Ok(())
        }
        fn name(&self, _: usize) -> &str {
            "c"
        }
    }

    fn rows(block: &str, options: &CopyOptions, columns: usize) -> Vec<Vec<Option<String>>> {
        let mut rows = Rows::default();
        parse_block(block.as_bytes(), options, columns, true, &mut rows).unwrap();
        rows.rows
    }

    fn some(values: &[&str]) -> Vec<Option<String>> {
        values.iter().map(|v| Some((*v).to_owned())).collect()
    }

    #[test]
    fn text_format_unescapes_and_knows_null() {
        let options = CopyOptions::text();
        assert_eq!(
            rows("a\\tb\t\\N\nx\\\\\t\\x41\\102\n", &options, 2),
            vec![vec![Some("a\tb".into()), None], some(&["x\\", "AB"])]
        );
        assert_eq!(
            rows("a\tb\n\\.\nrubbish", &options, 2),
            vec![some(&["a", "b"])]
        );
        assert_eq!(
            rows("a\tb\r\nc\td", &options, 2),
            vec![some(&["a", "b"]), some(&["c", "d"])]
        );
    }

    #[test]
    fn csv_format_reads_quotes_newlines_and_null() {
        let options = CopyOptions::csv();
        assert_eq!(
            rows("\"a\"\"b\nc\",,\"\"\n1,2,3\n", &options, 3),
            vec![
                vec![Some("a\"b\nc".into()), None, Some(String::new())],
                some(&["1", "2", "3"])
            ]
        );
    }

    #[test]
    fn a_line_with_too_few_or_too_many_fields_is_22p04() {
        for (block, columns) in [("a\n", 2), ("a\tb\tc\n", 2)] {
            let mut sink = Rows::default();
            let error = parse_block(
                block.as_bytes(),
                &CopyOptions::text(),
                columns,
                true,
                &mut sink,
            )
            .unwrap_err();
            assert_eq!(error.error.code, SqlState::BAD_COPY_FILE_FORMAT);
            assert_eq!(error.line, 0);
        }
    }

    #[test]
    fn the_splitter_never_cuts_inside_a_row() {
        let csv = CopyOptions::csv();
        let data = b"a,\"x\ny\"\nb,c\nd";
        let mut splitter = Splitter::default();
        for cut in 0..=data.len() {
            let mut fresh = Splitter::default();
            let length = fresh.whole_rows(&data[..cut], &csv);
            assert!([0, 8, 12].contains(&length), "{cut} gives {length}");
            // Fed piece by piece, the same answer.
            assert_eq!(splitter.whole_rows(&data[..cut], &csv), length);
        }
        let text = CopyOptions::text();
        let mut splitter = Splitter::default();
        assert_eq!(splitter.whole_rows(b"a\\\nb\nc", &text), 5);
    }
}
