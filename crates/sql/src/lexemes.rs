//! A text cut into its words, constants and signs, as far as telling them apart needs: nothing is
//! refused, and what is no SQL comes out as some lexemes all the same.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Blanks and comments.
    Space,
    Word,
    /// A name in quotes.
    Quoted,
    Number,
    Text,
    Parameter,
    Sign,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Lexeme {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

pub(crate) struct Scan<'t> {
    pub(crate) text: &'t str,
    pub(crate) bytes: &'t [u8],
    pub(crate) at: usize,
}

impl<'t> Scan<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip(&mut self, more: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && more(self.bytes[self.at]) {
            self.at += 1;
        }
    }

    /// Behind the end of a string or name that begins here; `escapes` knows backslashes.
    fn quoted(&mut self, quote: u8, escapes: bool) {
        self.at += 1;
        while self.at < self.bytes.len() {
            let byte = self.bytes[self.at];
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at += 1;
            } else if byte == quote {
                if self.peek(0) != quote {
                    break;
                }
                self.at += 1;
            }
        }
        self.at = self.at.min(self.bytes.len());
        // A backslash may have stood before a character of several bytes.
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
    }

    fn dollar(&mut self) -> Kind {
        if self.peek(1).is_ascii_digit() {
            self.at += 1;
            self.skip(|byte| byte.is_ascii_digit());
            return Kind::Parameter;
        }
        let rest = &self.text[self.at + 1..];
        let tag = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let Some(tag) = tag.filter(|tag| rest.as_bytes().get(*tag) == Some(&b'$')) else {
            self.at += 1;
            return Kind::Sign;
        };
        let tag = &self.text[self.at..=self.at + 1 + tag];
        let body = self.at + tag.len();
        self.at = match self.text[body..].find(tag) {
            Some(end) => body + end + tag.len(),
            None => self.text.len(),
        };
        Kind::Text
    }

    fn comment(&mut self) {
        let mut depth = 0_u32;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return;
                    }
                }
                _ => self.at += 1,
            }
        }
    }

    fn number(&mut self) {
        self.skip(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_');
        // The sign of an exponent.
        let exponent = matches!(self.bytes.get(self.at.wrapping_sub(1)), Some(b'e' | b'E'));
        if exponent && matches!(self.peek(0), b'+' | b'-') && self.peek(1).is_ascii_digit() {
            self.at += 1;
            self.skip(|byte| byte.is_ascii_digit());
        }
    }

    /// The next lexeme; none at the end.
    pub(crate) fn next(&mut self) -> Option<Lexeme> {
        let start = self.at;
        let first = *self.bytes.get(start)?;
        let kind = match (first, self.peek(1)) {
            (byte, _) if byte.is_ascii_whitespace() => {
                self.skip(|byte| byte.is_ascii_whitespace());
                Kind::Space
            }
            (b'-', b'-') => {
                self.skip(|byte| byte != b'\n');
                Kind::Space
            }
            (b'/', b'*') => {
                self.comment();
                Kind::Space
            }
            (b'\'', _) => {
                self.quoted(b'\'', false);
                Kind::Text
            }
            (b'e' | b'E', b'\'') => {
                self.at += 1;
                self.quoted(b'\'', true);
                Kind::Text
            }
            (b'b' | b'B' | b'x' | b'X' | b'n' | b'N', b'\'') => {
                self.at += 1;
                self.quoted(b'\'', false);
                Kind::Text
            }
            (b'"', _) => {
                self.quoted(b'"', false);
                Kind::Quoted
            }
            (b'$', _) => self.dollar(),
            (byte, _) if byte.is_ascii_digit() => {
                self.number();
                Kind::Number
            }
            (b'.', digit) if digit.is_ascii_digit() => {
                self.number();
                Kind::Number
            }
            (byte, _) if byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii() => {
                self.skip(|byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
                });
                Kind::Word
            }
            (b':', b':') => {
                self.at += 2;
                Kind::Sign
            }
            _ => {
                self.at += 1;
                Kind::Sign
            }
        };
        Some(Lexeme {
            kind,
            start,
            end: self.at,
        })
    }
}
