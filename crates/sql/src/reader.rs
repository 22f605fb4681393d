//! A statement read byte by byte, without tokens and without a tree: the head of an INSERT, literals.
//!
//! None stands for whatever is not of the simplest form, which the full parser is to read.

use std::ops::Range;

use crate::cursor::is_reserved;
use crate::literals::Literal;

/// What stands before the rows of INSERT … VALUES.
pub(crate) struct Head {
    /// Where the statement begins.
    pub(crate) begin: usize,
    pub(crate) schema: Option<String>,
    pub(crate) table: String,
    /// The columns named; none for the table's own.
    pub(crate) columns: Vec<String>,
}

pub(crate) struct Reader<'a> {
    text: &'a str,
    pub(crate) at: usize,
    /// Behind the last thing read that was no space.
    pub(crate) end: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            end: 0,
        }
    }

    /// `INSERT INTO t (a, b) VALUES`.
    pub(crate) fn head(&mut self) -> Option<Head> {
        self.space();
        let begin = self.at;
        self.word("insert")?;
        self.word("into")?;
        let first = self.name()?;
        let (schema, table) = if self.sign(b'.') {
            (Some(first), self.name()?)
        } else {
            (None, first)
        };
        let mut columns = Vec::new();
        if self.sign(b'(') {
            loop {
                columns.push(self.name()?);
                if !self.sign(b',') {
                    break;
                }
            }
            if !self.sign(b')') {
                return None;
            }
        }
        self.word("values")?;
        Some(Head {
            begin,
            schema,
            table,
            columns,
        })
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(crate) fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c) = self.peek() {
            self.at += 1;
        }
    }

    pub(crate) fn run(&mut self, of: impl Fn(u8) -> bool) -> &str {
        let begin = self.at;
        while self.peek().is_some_and(&of) {
            self.at += 1;
        }
        self.end = self.at;
        self.text.get(begin..self.at).unwrap_or("")
    }

    /// A word and the space before it.
    pub(crate) fn word(&mut self, word: &str) -> Option<()> {
        self.space();
        let found = self.run(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        found.eq_ignore_ascii_case(word).then_some(())
    }

    /// A sign and the space before it, if it comes next.
    pub(crate) fn sign(&mut self, sign: u8) -> bool {
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
    pub(crate) fn rest(&mut self) -> Option<Option<Range<usize>>> {
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

    pub(crate) fn literal(&mut self) -> Option<Literal> {
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

    pub(crate) fn string(&mut self) -> Option<Literal> {
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
        self.digits()?;
        // `1x`, `1_000` and operators are for the full parser.
        matches!(self.peek()?, b',' | b')' | b' ' | b'\n' | b'\t' | b'\r')
            .then_some(Literal::Number(begin..self.at))
    }

    /// Digits with perhaps a point and an exponent.
    pub(crate) fn digits(&mut self) -> Option<Range<usize>> {
        let begin = self.at;
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
        Some(begin..self.at)
    }
}
