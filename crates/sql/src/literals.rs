//! INSERT … VALUES of plain literals, read in one pass without tokens and without a tree.
//!
//! Programs write rows in thousands as text; a tree of that text is many times larger than the rows
//! and is thrown away at once. Whatever is not of the simplest form here is left to the full parser,
//! and so are all errors: its words and positions are the ones that count.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;

use crate::error::SqlError;
use crate::reader::{Head, Reader};
use crate::rename::quoted;
use crate::statement::Statement;

/// An INSERT whose rows are literals: `INSERT INTO t (a, b) VALUES (1, 'x'), (2, NULL)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Literals {
    /// The schema, when there is one.
    pub schema: Option<String>,
    /// The table.
    pub table: String,
    /// The columns named; none for the table's own.
    pub columns: Vec<String>,
    /// How many cells a row has.
    pub width: usize,
    /// The cells, row by row.
    pub cells: Vec<Literal>,
    /// ON CONFLICT and RETURNING, as they stand.
    pub rest: Option<Range<usize>>,
    text: Arc<str>,
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// NULL.
    Null,
    /// TRUE or FALSE.
    Bool(bool),
    /// Digits with perhaps a sign, a point and an exponent, as they stand.
    Number(Range<usize>),
    /// A string, as it stands between its quotes.
    Text(Range<usize>),
    /// A string with quotes in it, each of them once.
    Quoted(Box<str>),
}

impl Literals {
    /// Reads a text that is one such statement and no more; None for any other.
    pub(crate) fn read(text: &str) -> Option<(Self, Range<usize>)> {
        let mut reader = Reader::new(text);
        let Head {
            begin,
            schema,
            table,
            columns,
        } = reader.head()?;
        let mut cells = Vec::new();
        let mut width = 0;
        loop {
            if !reader.sign(b'(') {
                return None;
            }
            let before = cells.len();
            loop {
                cells.push(reader.literal()?);
                if !reader.sign(b',') {
                    break;
                }
            }
            if !reader.sign(b')') {
                return None;
            }
            let count = cells.len() - before;
            if before > 0 && count != width {
                return None;
            }
            width = count;
            if !reader.sign(b',') {
                break;
            }
        }
        let rest = reader.rest()?;
        let end = rest.as_ref().map_or(reader.end, |rest| rest.end);
        reader.sign(b';');
        reader.space();
        (reader.at == text.len()).then(|| {
            let found = Self {
                schema,
                table,
                columns,
                width,
                cells,
                rest,
                text: text.into(),
            };
            (found, begin..end)
        })
    }

    /// The text at a cell's place.
    #[must_use]
    pub fn slice(&self, range: &Range<usize>) -> &str {
        self.text.get(range.clone()).unwrap_or("")
    }

    /// The tree of the statement with one row of NULLs in the place of all rows.
    ///
    /// # Errors
    /// When it is no INSERT after all.
    pub fn without_rows(&self) -> Result<Box<ast::Insert>, SqlError> {
        let mut text = "INSERT INTO ".to_owned();
        if let Some(schema) = &self.schema {
            text.push_str(&quoted(schema));
            text.push('.');
        }
        text.push_str(&quoted(&self.table));
        if !self.columns.is_empty() {
            let columns: Vec<String> = self.columns.iter().map(|name| quoted(name)).collect();
            text.push_str(&format!(" ({})", columns.join(", ")));
        }
        text.push_str(&format!(
            " VALUES ({}) ",
            vec!["NULL"; self.width].join(", ")
        ));
        text.push_str(self.rest.as_ref().map_or("", |rest| self.slice(rest)));
        insert_of(&text)
    }

    /// The statement's tree, as the full parser gives it.
    ///
    /// # Errors
    /// When it is no INSERT after all.
    pub fn tree(&self) -> Result<Box<ast::Insert>, SqlError> {
        insert_of(&self.text)
    }
}

/// The tree of a text that is one INSERT.
pub(crate) fn insert_of(text: &str) -> Result<Box<ast::Insert>, SqlError> {
    let parsed = crate::parse::parse_trees(text)?;
    match parsed.into_iter().next().map(|parsed| parsed.statement) {
        Some(Statement::Insert(insert)) => Ok(insert),
        _ => Err(SqlError::syntax("an INSERT was expected", 1)),
    }
}

#[cfg(test)]
mod tests;
