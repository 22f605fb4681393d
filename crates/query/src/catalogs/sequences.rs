//! Sequences as clients see them, and the texts that name them.

use chronolith_catalog::Sequence;
use chronolith_types::{SqlType, TableId};

use super::context::Context;
use super::describe;
use super::relation::Fill;
use super::rows::{Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_sequence" => sequences,
        "pg_sequences" => sequence_view,
        "sequences" => standard,
        _ => return None,
    })
}

fn sequences<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for sequence in context.home()?.sequences.values() {
        rows.push(row![
            sequence.id.0,
            sequence.ty.oid(),
            sequence.start,
            sequence.increment,
            sequence.max,
            sequence.min,
            sequence.cache,
            sequence.cycle,
        ]);
    }
    Ok(())
}

fn schema_of<'a>(context: &'a Context, sequence: &Sequence) -> Result<&'a str, Error> {
    let schema = context.home()?.schemas.get(&sequence.schema);
    Ok(schema.map_or("", |schema| schema.name.as_str()))
}

fn sequence_view<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for sequence in context.home()?.sequences.values() {
        let last = (context.sequence_value)(sequence.id);
        let last = last.and_then(|(last, called)| called.then_some(last));
        rows.push(row![
            schema_of(context, sequence)?,
            &sequence.name,
            context.role_name(sequence.owner),
            sequence.ty.oid(),
            sequence.start,
            sequence.min,
            sequence.max,
            sequence.increment,
            sequence.cycle,
            sequence.cache,
            last,
        ]);
    }
    Ok(())
}

/// `information_schema.sequences`, which leaves out those of identity columns.
fn standard<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for sequence in home.sequences.values() {
        if sequence.owned_by.is_some_and(|by| by.internal) {
            continue;
        }
        let bits = match sequence.ty {
            SqlType::Int2 => 16,
            SqlType::Int4 => 32,
            _ => 64,
        };
        rows.push(row![
            &home.name,
            schema_of(context, sequence)?,
            &sequence.name,
            sequence.ty.name(),
            bits,
            2,
            0,
            sequence.start.to_string(),
            sequence.min.to_string(),
            sequence.max.to_string(),
            sequence.increment.to_string(),
            if sequence.cycle { "YES" } else { "NO" },
        ]);
    }
    Ok(())
}

/// How a sequence is meant in a stored expression: by its number, so that it may be renamed.
fn meant(id: u32) -> String {
    format!("'{id}'::regclass")
}

/// Whether a stored expression names a sequence.
pub(crate) fn names_sequence(text: &str, id: TableId) -> bool {
    text.contains(&meant(id.0))
}

/// A stored expression with the names of the sequences in it.
pub(crate) fn named(context: &Context, text: &str) -> String {
    const MARK: &str = "'::regclass";
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find(MARK) {
        let (before, after) = rest.split_at(end);
        let start = before.rfind('\'').map_or(0, |quote| quote + 1);
        let number = before.get(start..).and_then(|id| id.parse::<u32>().ok());
        let name = number.and_then(|id| describe::regclass_out(context, id).ok());
        match name {
            Some(name) => {
                shown.push_str(before.get(..start).unwrap_or(""));
                shown.push_str(&name.replace('\'', "''"));
            }
            None => shown.push_str(before),
        }
        shown.push_str(MARK);
        rest = after.get(MARK.len()..).unwrap_or("");
    }
    shown.push_str(rest);
    shown
}

/// An expression with the sequences that it names as literals meant by their numbers: what is kept
/// of a default.
///
/// # Errors
/// 42P01 for a sequence that is not there.
pub(crate) fn stored(context: &Context, text: &str) -> Result<String, Error> {
    const CALLS: [&str; 3] = ["nextval", "currval", "setval"];
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(quote) = rest.find('\'') {
        let (before, literal) = rest.split_at(quote);
        let Some(length) = literal_length(literal) else {
            break;
        };
        let (literal, after) = literal.split_at(length);
        let head = before.trim_end().to_lowercase();
        let called = head.strip_suffix('(').map(str::trim_end);
        let called = called.is_some_and(|head| CALLS.iter().any(|call| head.ends_with(call)));
        let behind = after.trim_start();
        let cast = behind
            .strip_prefix("::")
            .map(str::trim_start)
            .and_then(|cast| {
                let word = cast
                    .get(..8)
                    .filter(|word| word.eq_ignore_ascii_case("regclass"));
                word.and_then(|_| cast.get(8..))
            });
        let bare = behind.starts_with([')', ',']).then_some(after);
        kept.push_str(before);
        match cast.or(bare).filter(|_| called) {
            Some(after) => {
                let inner = literal.get(1..literal.len() - 1).unwrap_or("");
                let oid = describe::regclass_in(context, &inner.replace("''", "'"))?;
                kept.push_str(&meant(oid));
                rest = after;
            }
            None => {
                kept.push_str(literal);
                rest = after;
            }
        }
    }
    kept.push_str(rest);
    Ok(kept)
}

/// Bytes of the string literal that a text begins with.
fn literal_length(text: &str) -> Option<usize> {
    let mut at = 1;
    loop {
        at += text.get(at..)?.find('\'')? + 1;
        match text.as_bytes().get(at) {
            Some(b'\'') => at += 1,
            _ => return Some(at),
        }
    }
}

/// A relation's row of `pg_get_serial_sequence`: the qualified name of a column's sequence.
pub(crate) fn serial_of(
    context: &Context,
    table: TableId,
    column: chronolith_types::ColumnId,
) -> Result<Option<String>, Error> {
    let home = context.home()?;
    let mut all = home.sequences.values();
    let found = all.find(|sequence| {
        let by = sequence.owned_by;
        by.is_some_and(|by| by.table == table && by.column == column)
    });
    Ok(match found {
        Some(sequence) => {
            let schema = schema_of(context, sequence)?;
            let (schema, name) = (describe::quoted(schema), describe::quoted(&sequence.name));
            Some(format!("{schema}.{name}"))
        }
        None => None,
    })
}

/// The one row of a sequence, as it is read like a table.
///
/// # Errors
/// When the row does not fit, which is a fault of ours.
pub(crate) fn sequence_row(
    wanted: &crate::scan::Wanted,
    last: i64,
    called: bool,
) -> Result<arrow::record_batch::RecordBatch, Error> {
    let columns = [
        ("last_value", SqlType::Int8),
        ("log_cnt", SqlType::Int8),
        ("is_called", SqlType::Bool),
    ];
    let mut rows = Rows::new(columns.len(), wanted);
    rows.push(row![last, 0, called]);
    rows.finish(columns.into_iter())
}
