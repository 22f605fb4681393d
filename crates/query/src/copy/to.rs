//! COPY TO STDOUT.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::record_batch::RecordBatch;
use bytes::Bytes;
use chronolith_sql::{Copy, CopySource, CopyTarget, Statement};
use chronolith_types::{SqlState, SqlType, TimeZone};
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;

use super::from::generated;
use super::options::{CopyOptions, Header};
use super::parse_options;
use crate::bind::{Bound, bind_query, changes, locks_within};
use crate::error::Error;
use crate::outcome::{CopyFormat, CopyRows, Outcome, OutputColumn, RowStream};
use crate::session::{self, SessionNames, Shared};
use crate::value::{is_null, write_binary, write_text};

/// Binds what a COPY TO reads.
///
/// # Errors
/// What PostgreSQL says of it.
pub(crate) fn bind_out(names: &SessionNames, copy: &Copy) -> Result<Bound, Error> {
    if copy.target != CopyTarget::Client {
        return Err(
            Error::unsupported("COPY to a file or program of the server")
                .hint("Copy to STDOUT; psql's \\copy does that."),
        );
    }
    match &copy.source {
        CopySource::Query(inner) => match inner.as_ref() {
            Statement::Query(query) => bind_query(names, query, &[]),
            _ => Err(Error::unsupported("COPY of a statement that is no query")),
        },
        CopySource::Table { name, columns } => {
            let given = names.given_columns(name.schema(), name.name())?;
            for column in columns {
                if given
                    .as_ref()
                    .is_some_and(|of| of.computed.contains(&column.value))
                {
                    return Err(generated(&column.value));
                }
            }
            let list = if columns.is_empty() {
                // Those that are computed are not copied.
                match given.filter(|of| !of.computed.is_empty()) {
                    Some(of) => {
                        let quoted = of.given.iter().map(|column| quoted(column));
                        quoted.collect::<Vec<_>>().join(", ")
                    }
                    None => "*".to_owned(),
                }
            } else {
                let quoted = columns.iter().map(|column| quoted(&column.value));
                quoted.collect::<Vec<_>>().join(", ")
            };
            let table = name.parts.iter().map(|part| quoted(part));
            let table = table.collect::<Vec<_>>().join(".");
            let query = chronolith_sql::query(&format!("SELECT {list} FROM {table}"))?;
            bind_query(names, &query, &[]).map_err(|mut error| {
                // A place in a text that the client never wrote.
                error.position = None;
                error
            })
        }
    }
}

/// What a COPY TO reads, when that changes or locks rows.
pub(crate) fn changed(copy: &Copy) -> Option<&Statement> {
    let CopySource::Query(inner) = &copy.source else {
        return None;
    };
    if copy.target != CopyTarget::Client {
        return None;
    }
    let found = match inner.as_ref() {
        Statement::Query(query) => changes(query) || locks_within(query),
        Statement::Insert(_) | Statement::InsertLiterals(_) | Statement::InsertAlike(_) => true,
        Statement::Update(_) | Statement::Delete(_) | Statement::With { .. } => true,
        _ => false,
    };
    found.then_some(inner.as_ref())
}

/// What a COPY TO says of a statement that gives no rows.
pub(crate) fn no_rows() -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "COPY query must have a RETURNING clause",
    )
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Begins to send.
///
/// # Errors
/// 22023 for options that make no sense.
pub(crate) async fn begin_out(
    shared: &Arc<Shared>,
    copy: &Copy,
    bound: &Bound,
    plan: &LogicalPlan,
) -> Result<Outcome, Error> {
    let source = session::run(shared, plan).await?;
    send(shared, copy, &bound.columns, source)
}

/// Begins to send rows.
///
/// # Errors
/// 22023 for options that make no sense.
pub(crate) fn send(
    shared: &Arc<Shared>,
    copy: &Copy,
    columns: &[OutputColumn],
    source: RowStream,
) -> Result<Outcome, Error> {
    let names: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    let options = parse_options(copy, &names)?;
    let format = options.format;
    let rows = Arc::new(AtomicU64::new(0));
    let writer = Writer {
        types: columns.iter().map(|c| c.ty.clone()).collect(),
        names,
        zone: shared.time_zone(),
        options,
    };
    let counted = Arc::clone(&rows);
    let mut head = writer.head();
    let end = futures::stream::once(std::future::ready(None));
    let pieces = source.map(Some).chain(end).filter_map(move |batch| {
        let piece = match batch {
            Some(Ok(batch)) if batch.num_rows() == 0 => None,
            Some(Ok(batch)) => {
                counted.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                Some(writer.rows(&batch, std::mem::take(&mut head)))
            }
            Some(Err(error)) => Some(Err(error)),
            None => writer.end(std::mem::take(&mut head)).map(Ok),
        };
        std::future::ready(piece)
    });
    Ok(Outcome::CopyOut {
        format,
        columns: columns.len(),
        stream: Box::pin(pieces),
        rows,
    })
}

struct Writer {
    types: Vec<SqlType>,
    names: Vec<String>,
    zone: TimeZone,
    options: CopyOptions,
}

const BINARY_SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";

impl Writer {
    fn head(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.options.format == CopyFormat::Binary {
            out.extend_from_slice(BINARY_SIGNATURE);
            out.extend_from_slice(&[0; 8]);
        } else if self.options.header != Header::Off {
            for (place, name) in self.names.iter().enumerate() {
                if place > 0 {
                    out.push(self.options.delimiter);
                }
                self.field(place, name.as_bytes(), false, &mut out);
            }
            out.push(b'\n');
        }
        out
    }

    /// What comes behind the rows, and the header if none came.
    fn end(&self, mut data: Vec<u8>) -> Option<CopyRows> {
        if self.options.format == CopyFormat::Binary {
            data.extend((-1_i16).to_be_bytes());
        }
        let ends = vec![data.len()];
        let data = Bytes::from(data);
        (!data.is_empty()).then_some(CopyRows { data, ends })
    }

    /// Rows behind what is to come before them.
    fn rows(&self, batch: &RecordBatch, mut out: Vec<u8>) -> Result<CopyRows, Error> {
        out.reserve(batch.num_rows() * 16 * self.types.len().max(1));
        let mut ends = Vec::with_capacity(batch.num_rows() + 1);
        // A line of names is a row of its own; a binary header is the first row's beginning.
        if self.options.format != CopyFormat::Binary && !out.is_empty() {
            ends.push(out.len());
        }
        let mut value = Vec::new();
        for row in 0..batch.num_rows() {
            if self.options.format == CopyFormat::Binary {
                let count = i16::try_from(self.types.len()).unwrap_or(i16::MAX);
                out.extend_from_slice(&count.to_be_bytes());
            }
            for (place, (array, ty)) in batch.columns().iter().zip(&self.types).enumerate() {
                let null = is_null(array, row);
                if self.options.format == CopyFormat::Binary {
                    if null {
                        out.extend_from_slice(&(-1_i32).to_be_bytes());
                        continue;
                    }
                    value.clear();
                    write_binary(array, row, ty, &mut value)?;
                    let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(&value);
                    continue;
                }
                if place > 0 {
                    out.push(self.options.delimiter);
                }
                if null {
                    out.extend_from_slice(&self.options.null);
                    continue;
                }
                value.clear();
                write_text(array, row, ty, &self.zone, &mut value)?;
                let quote = self.options.force_quote.contains(&place);
                self.field(place, &value, quote, &mut out);
            }
            if self.options.format != CopyFormat::Binary {
                out.push(b'\n');
            }
            ends.push(out.len());
        }
        let data = Bytes::from(out);
        Ok(CopyRows { data, ends })
    }

    fn field(&self, place: usize, value: &[u8], quote: bool, out: &mut Vec<u8>) {
        let options = &self.options;
        if options.format == CopyFormat::Csv {
            let special = |byte: &u8| {
                *byte == options.delimiter
                    || *byte == options.quote
                    || matches!(byte, b'\n' | b'\r')
            };
            // `\.` alone on a line would end the data.
            let mark = self.types.len() == 1 && place == 0 && value == b"\\.";
            if !(quote || mark || value == options.null.as_slice() || value.iter().any(special)) {
                out.extend_from_slice(value);
                return;
            }
            out.push(options.quote);
            for byte in value {
                if *byte == options.quote || *byte == options.escape {
                    out.push(options.escape);
                }
                out.push(*byte);
            }
            out.push(options.quote);
            return;
        }
        for byte in value {
            let letter = match byte {
                b'\\' => b'\\',
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x08 => b'b',
                0x0b => b'v',
                0x0c => b'f',
                byte if *byte == options.delimiter => *byte,
                byte => {
                    out.push(*byte);
                    continue;
                }
            };
            out.extend_from_slice(&[b'\\', letter]);
        }
    }
}
