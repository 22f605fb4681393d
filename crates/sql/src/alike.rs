//! INSERT … VALUES whose rows are alike but for their literals: the first row is parsed, of the others
//! their literals are read.
//!
//! Programs write expressions into their rows, such as `timestamptz '2026-01-01' + 5 * interval '1 s'`,
//! a thousand times the same; a tree of each takes longer than all that is done with the rows. Rows
//! are alike when they have the same words and signs in the same places. Whatever is not, and all that
//! may be wrong, is left to the full parser: its words and positions are the ones that count.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;

use crate::error::SqlError;
use crate::literals::{Literal, insert_of};
use crate::reader::Reader;

/// Fewer rows are parsed as they are.
const ROWS_MIN: usize = 4;

/// An INSERT of rows that are alike.
#[derive(Debug, Clone, PartialEq)]
pub struct AlikeRows {
    /// The statement with the first of its rows alone.
    pub insert: Box<ast::Insert>,
    /// The literals in which rows differ.
    pub differing: Vec<Differing>,
    /// How many rows there are.
    pub rows: usize,
    text: Arc<str>,
}

/// A place of the first row at which rows have other literals.
#[derive(Debug, Clone, PartialEq)]
pub struct Differing {
    /// The first row's literal: the character at which it stands, from 1 on.
    pub position: u64,
    /// Each row's.
    pub literals: Vec<Literal>,
}

/// What rows are compared by.
#[derive(Debug, Clone, PartialEq)]
enum Piece<'a> {
    Word(&'a str),
    /// A sign, and whether a space is before it: `> =` is not `>=`.
    Sign(u8, bool),
    Literal,
}

impl AlikeRows {
    /// Reads a text that is one such statement and no more; None for any other.
    pub(crate) fn read(text: &str) -> Option<(Self, Range<usize>)> {
        let mut reader = Reader::new(text);
        let head = reader.head()?;
        let (first, found) = row(text, &mut reader, None)?;
        let first_end = reader.end;
        let mut starts = Vec::with_capacity(found.len());
        let mut columns = Vec::with_capacity(found.len());
        for (start, literal) in found {
            starts.push(start);
            columns.push(vec![literal]);
        }
        let mut rows = 1;
        while reader.sign(b',') {
            let (_, literals) = row(text, &mut reader, Some(&first))?;
            for (column, (_, literal)) in columns.iter_mut().zip(literals) {
                column.push(literal);
            }
            rows += 1;
        }
        if rows < ROWS_MIN {
            return None;
        }
        let rest = reader.rest()?;
        let end = rest.as_ref().map_or(reader.end, |rest| rest.end);
        reader.sign(b';');
        reader.space();
        if reader.at != text.len() {
            return None;
        }
        let behind = rest.and_then(|rest| text.get(rest)).unwrap_or("");
        let one = format!("{} {behind}", text.get(..first_end)?);
        let insert = insert_of(&one).ok()?;
        let whole: Arc<str> = text.into();
        let mut differing = Vec::new();
        for (start, literals) in starts.into_iter().zip(columns) {
            let one = literals.first()?;
            if literals.iter().all(|other| one.same(other, text)) {
                continue;
            }
            let before = text.get(..start)?.chars().count();
            differing.push(Differing {
                position: u64::try_from(before).ok()? + 1,
                literals,
            });
        }
        let found = Self {
            insert,
            differing,
            rows,
            text: whole,
        };
        Some((found, head.begin..end))
    }

    /// Whether a row has NULL where the first one's literal is at a character.
    #[must_use]
    pub fn has_null(&self, position: u64) -> bool {
        let mut here = self.differing.iter().filter(|of| of.position == position);
        here.any(|of| of.literals.contains(&Literal::Null))
    }

    /// The text at a literal's place.
    #[must_use]
    pub fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or("")
    }

    /// The statement's tree, as the full parser gives it.
    ///
    /// # Errors
    /// Whatever the full parser says of the rows.
    pub fn tree(&self) -> Result<Box<ast::Insert>, SqlError> {
        insert_of(&self.text)
    }
}

impl Literal {
    /// Whether two literals of a text are one.
    fn same(&self, other: &Self, text: &str) -> bool {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) | (Self::Text(one), Self::Text(other)) => {
                text.get(one.clone()) == text.get(other.clone())
            }
            (one, other) => one == other,
        }
    }
}

/// A row: its pieces, unless they are known, and its literals with their places. None for one that
/// does not have those pieces.
#[expect(clippy::type_complexity, reason = "two lists that only live here")]
fn row<'a>(
    text: &'a str,
    reader: &mut Reader<'_>,
    known: Option<&[Piece<'a>]>,
) -> Option<(Vec<Piece<'a>>, Vec<(usize, Literal)>)> {
    let (mut pieces, mut literals) = (Vec::new(), Vec::new());
    let mut open = 0_usize;
    let mut last = None;
    let mut count = 0;
    loop {
        let (piece, literal) = piece(text, reader, last.as_ref())?;
        match piece {
            Piece::Sign(b'(', _) => open += 1,
            Piece::Sign(b')', _) => open = open.checked_sub(1)?,
            _ => {}
        }
        if let Some(literal) = literal {
            literals.push(literal);
        }
        match known {
            // The space before the row itself says nothing.
            Some(known) if count > 0 && known.get(count) != Some(&piece) => return None,
            Some(_) => {}
            None => pieces.push(piece.clone()),
        }
        last = Some(piece);
        count += 1;
        if open == 0 {
            break;
        }
    }
    let whole = known.is_none_or(|known| known.len() == count);
    let begins = last == Some(Piece::Sign(b')', false)) || last == Some(Piece::Sign(b')', true));
    (whole && begins).then_some((pieces, literals))
}

/// The next piece of a row, and the literal that it is with its place.
fn piece<'a>(
    text: &'a str,
    reader: &mut Reader<'_>,
    last: Option<&Piece<'a>>,
) -> Option<(Piece<'a>, Option<(usize, Literal)>)> {
    let before = reader.at;
    reader.space();
    let (start, spaced) = (reader.at, reader.at > before);
    let next = text.as_bytes().get(start + 1).copied().unwrap_or(b' ');
    let literal = match reader.peek()? {
        // One string behind another goes on with it or is wrong, and a word before it without a space
        // says how it is read.
        b'\'' => match last {
            Some(Piece::Literal) => return None,
            Some(Piece::Word(_)) if !spaced => return None,
            _ => reader.string()?,
        },
        b'0'..=b'9' => Literal::Number(reader.digits()?),
        b'.' if next.is_ascii_digit() => Literal::Number(reader.digits()?),
        byte if byte.is_ascii_alphabetic() || byte == b'_' => {
            let end = reader
                .run(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                .len()
                + start;
            let word = text.get(start..end)?;
            match word {
                "NULL" | "null" => Literal::Null,
                "TRUE" | "true" => Literal::Bool(true),
                "FALSE" | "false" => Literal::Bool(false),
                word => return Some((Piece::Word(word), None)),
            }
        }
        b'-' if next == b'-' => return None,
        b'/' if next == b'*' => return None,
        sign @ (b'(' | b')' | b'[' | b']' | b',' | b'.' | b':' | b'+' | b'-' | b'*' | b'/'
        | b'%' | b'^' | b'<' | b'>' | b'=' | b'|' | b'&' | b'#' | b'~' | b'!' | b'@') => {
            reader.at += 1;
            reader.end = reader.at;
            return Some((Piece::Sign(sign, spaced), None));
        }
        _ => return None,
    };
    // `1x` and `1_000` are for the full parser.
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
    if let Literal::Number(_) = literal
        && reader.peek().is_some_and(goes_on)
    {
        return None;
    }
    Some((Piece::Literal, Some((start, literal))))
}

#[cfg(test)]
mod tests;
