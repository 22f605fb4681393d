//! INSERT … VALUES of plain literals, read in one pass without tokens and without a tree.
//!
//! Programs write rows in thousands as text; a tree of that text is many times larger than the rows
//! and is thrown away at once. Whatever is not of the simplest form here is left to the full parser,
//! and so are all errors: its words and positions are the ones that count.

use std::ops::Range;
use std::sync::Arc;

use sqlparser::ast;

use crate::cursor::is_reserved;
use crate::error::SqlError;
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
        let mut reader = Reader {
            text,
            at: 0,
            end: 0,
        };
        reader.space();
        let begin = reader.at;
        reader.word("insert")?;
        reader.word("into")?;
        let first = reader.name()?;
        let (schema, table) = if reader.sign(b'.') {
            (Some(first), reader.name()?)
        } else {
            (None, first)
        };
        let mut columns = Vec::new();
        if reader.sign(b'(') {
            loop {
                columns.push(reader.name()?);
                if !reader.sign(b',') {
                    break;
                }
            }
            if !reader.sign(b')') {
                return None;
            }
        }
        reader.word("values")?;
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

fn insert_of(text: &str) -> Result<Box<ast::Insert>, SqlError> {
    let parsed = crate::parse::parse_trees(text)?;
    match parsed.into_iter().next().map(|parsed| parsed.statement) {
        Some(Statement::Insert(insert)) => Ok(insert),
        _ => Err(SqlError::syntax("an INSERT was expected", 1)),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Behind the last thing read that was no space.
    end: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c) = self.peek() {
            self.at += 1;
        }
    }

    fn run(&mut self, of: impl Fn(u8) -> bool) -> &str {
        let begin = self.at;
        while self.peek().is_some_and(&of) {
            self.at += 1;
        }
        self.end = self.at;
        self.text.get(begin..self.at).unwrap_or("")
    }

    /// A word and the space before it.
    fn word(&mut self, word: &str) -> Option<()> {
        self.space();
        let found = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        found.eq_ignore_ascii_case(word).then_some(())
    }

    /// A sign and the space before it, if it comes next.
    fn sign(&mut self, sign: u8) -> bool {
        let before = self.at;
        self.space();
        if self.peek() == Some(sign) {
            self.at += 1;
            self.end = self.at;
            true
        } else {
            self.at = before;
            false
        }
    }

    /// ON CONFLICT and RETURNING, if either comes next; None when it may not end with them.
    #[expect(clippy::option_option, reason = "that there is none is an answer too")]
    fn rest(&mut self) -> Option<Option<Range<usize>>> {
        let before = self.at;
        self.space();
        let begin = self.at;
        let word = self.run(|byte| byte.is_ascii_alphabetic());
        let begins = word.eq_ignore_ascii_case("on") || word.eq_ignore_ascii_case("returning");
        self.end = before;
        self.at = before;
        if !begins {
            return Some(None);
        }
        let rest = self.text.get(begin..)?.trim_end();
        let rest = rest.strip_suffix(';').unwrap_or(rest).trim_end();
        // A second statement, a comment that hides one, or only a semicolon in a string.
        if rest.contains(';') || rest.contains("--") || rest.contains("/*") {
            return None;
        }
        self.at = begin + rest.len();
        self.end = self.at;
        Some(Some(begin..self.at))
    }

    /// An identifier; keywords are none, as far as they could stand here.
    fn name(&mut self) -> Option<String> {
        const BYTES_MAX: usize = 63;
        self.space();
        if self.peek() == Some(b'"') {
            self.at += 1;
            let name = self.run(|byte| byte != b'"').to_owned();
            self.at += 1;
            self.end = self.at;
            // A doubled quote goes on.
            let whole = self.peek() != Some(b'"') && !name.is_empty() && name.len() <= BYTES_MAX;
            return whole.then_some(name);
        }
        if !self
            .peek()
            .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        {
            return None;
        }
        let name = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$');
        // What follows it must not be part of it, as letters beyond ASCII would be.
        let name = name.to_ascii_lowercase();
        let ascii = self.peek().is_none_or(|byte| byte.is_ascii());
        (ascii && name.len() <= BYTES_MAX && !is_reserved(&name)).then_some(name)
    }

    fn literal(&mut self) -> Option<Literal> {
        self.space();
        match self.peek()? {
            b'\'' => self.string(),
            b'0'..=b'9' | b'-' | b'+' | b'.' => self.number(),
            _ => {
                let word = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                [
                    ("null", Literal::Null),
                    ("true", Literal::Bool(true)),
                    ("false", Literal::Bool(false)),
                ]
                .into_iter()
                .find(|(name, _)| word.eq_ignore_ascii_case(name))
                .map(|(_, literal)| literal)
            }
        }
    }

    fn string(&mut self) -> Option<Literal> {
        self.at += 1;
        let begin = self.at;
        let mut doubled = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += rest.iter().position(|byte| *byte == b'\'')?;
            if self.text.as_bytes().get(self.at + 1) == Some(&b'\'') {
                doubled = true;
                self.at += 2;
                continue;
            }
            break;
        }
        let range = begin..self.at;
        self.at += 1;
        self.end = self.at;
        let found = self.text.get(range.clone())?;
        if found.contains('\0') {
            return None;
        }
        Some(if doubled {
            Literal::Quoted(found.replace("''", "'").into())
        } else {
            Literal::Text(range)
        })
    }

    fn number(&mut self) -> Option<Literal> {
        let begin = self.at;
        if let Some(b'-' | b'+') = self.peek() {
            self.at += 1;
        }
        let whole = self.run(|byte| byte.is_ascii_digit()).len();
        let mut part = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            part = self.run(|byte| byte.is_ascii_digit()).len();
        }
        if whole + part == 0 {
            return None;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'-' | b'+') = self.peek() {
                self.at += 1;
            }
            if self.run(|byte| byte.is_ascii_digit()).is_empty() {
                return None;
            }
        }
        self.end = self.at;
        // `1x`, `1_000` and operators are for the full parser.
        matches!(self.peek()?, b',' | b')' | b' ' | b'\n' | b'\t' | b'\r')
            .then_some(Literal::Number(begin..self.at))
    }
}

#[cfg(test)]
mod tests;
