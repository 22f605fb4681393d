//! What is wrong with a text that is no JSON, and where, in PostgreSQL's words.

/// What is told of the fault: a detail, and the line that it is in up to its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) detail: String,
    pub(crate) context: String,
}

/// So much of a line is shown, at most.
const SHOWN_BYTES: usize = 50;

/// The first fault of a text; None where this finds none.
pub(crate) fn fault(text: &str) -> Option<Fault> {
    let mut reader = Reader {
        text,
        at: 0,
        line: 1,
        line_start: 0,
    };
    let (detail, end) = reader.document().err()?;
    Some(Fault {
        detail,
        context: reader.context(end),
    })
}

/// A detail, and the place behind what it is about.
type Refused = (String, usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mark(u8),
    String,
    Scalar,
    End,
}

#[derive(Debug, Clone, Copy)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

/// Where in a document a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of the list that has begun.
    Item,
    /// A key, or the end of the object that has begun.
    FirstKey,
    Key,
    Colon,
    AfterItem,
    AfterMember,
    End,
}

impl Expect {
    fn words(self) -> &'static str {
        match self {
            Self::Value | Self::Item => "JSON value",
            Self::FirstKey => "string or \"}\"",
            Self::Key => "string",
            Self::Colon => "\":\"",
            Self::AfterItem => "\",\" or \"]\"",
            Self::AfterMember => "\",\" or \"}\"",
            Self::End => "end of input",
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Reader<'_> {
    /// Reads all of it. What is open is kept beside: a hostile text may nest deeper than a stack.
    fn document(&mut self) -> Result<(), Refused> {
        let mut open: Vec<u8> = Vec::new();
        let mut expect = Expect::Value;
        loop {
            let token = self.next()?;
            let after = |open: &[u8]| match open.last() {
                Some(b'{') => Expect::AfterMember,
                Some(_) => Expect::AfterItem,
                None => Expect::End,
            };
            expect = match (expect, token.kind) {
                (Expect::End, Kind::End) => return Ok(()),
                (Expect::Value | Expect::Item, Kind::Mark(b'{')) => {
                    open.push(b'{');
                    Expect::FirstKey
                }
                (Expect::Value | Expect::Item, Kind::Mark(b'[')) => {
                    open.push(b'[');
                    Expect::Item
                }
                (Expect::Value | Expect::Item, Kind::String | Kind::Scalar) => after(&open),
                (Expect::Item | Expect::AfterItem, Kind::Mark(b']'))
                | (Expect::FirstKey | Expect::AfterMember, Kind::Mark(b'}')) => {
                    open.pop();
                    after(&open)
                }
                (Expect::FirstKey | Expect::Key, Kind::String) => Expect::Colon,
                (Expect::Colon, Kind::Mark(b':')) | (Expect::AfterItem, Kind::Mark(b',')) => {
                    Expect::Value
                }
                (Expect::AfterMember, Kind::Mark(b',')) => Expect::Key,
                (_, Kind::End) => {
                    let detail = "The input string ended unexpectedly.".to_owned();
                    return Err((detail, token.end));
                }
                (expect, _) => {
                    let found = self.text.get(token.start..token.end).unwrap_or_default();
                    let words = expect.words();
                    let detail = format!("Expected {words}, but found \"{found}\".");
                    return Err((detail, token.end));
                }
            };
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn next(&mut self) -> Result<Token, Refused> {
        while let Some(byte) = self.byte(self.at) {
            match byte {
                b'\n' => {
                    self.line += 1;
                    self.line_start = self.at + 1;
                }
                b' ' | b'\t' | b'\r' => {}
                _ => break,
            }
            self.at += 1;
        }
        let start = self.at;
        let (kind, end) = match self.byte(start) {
            None => (Kind::End, start),
            Some(mark @ (b'{' | b'}' | b'[' | b']' | b',' | b':')) => (Kind::Mark(mark), start + 1),
            Some(b'"') => (Kind::String, self.string(start)?),
            Some(b'-' | b'0'..=b'9') => (Kind::Scalar, self.number(start)?),
            Some(_) => {
                let end = self.word(start);
                match self.text.get(start..end) {
                    Some("true" | "false" | "null") => (Kind::Scalar, end),
                    // What begins no word is refused by itself.
                    _ => return Err(self.invalid(start, end.max(start + 1))),
                }
            }
        };
        self.at = end;
        Ok(Token { kind, start, end })
    }

    fn invalid(&self, start: usize, end: usize) -> Refused {
        let token = self.text.get(start..end).unwrap_or_default();
        (format!("Token \"{token}\" is invalid."), end)
    }

    /// Where the letters, digits, underscores and whatever is not ASCII from a place on end.
    fn word(&self, start: usize) -> usize {
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || !byte.is_ascii();
        start + rest.iter().take_while(|byte| of_word(byte)).count()
    }

    fn digits(&self, start: usize) -> usize {
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        start + rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn number(&self, start: usize) -> Result<usize, Refused> {
        let mut at = start + usize::from(self.byte(start) == Some(b'-'));
        let whole = at;
        at = match self.byte(at) {
            Some(b'0') => at + 1,
            _ => self.digits(at),
        };
        let mut good = at > whole;
        if good && self.byte(at) == Some(b'.') {
            let fraction = at + 1;
            at = self.digits(fraction);
            good = at > fraction;
        }
        if good && matches!(self.byte(at), Some(b'e' | b'E')) {
            let sign = matches!(self.byte(at + 1), Some(b'+' | b'-'));
            let exponent = at + 1 + usize::from(sign);
            at = self.digits(exponent);
            good = at > exponent;
        }
        let end = self.word(at);
        match good && end == at {
            true => Ok(end),
            false => Err(self.invalid(start, end)),
        }
    }

    fn string(&self, start: usize) -> Result<usize, Refused> {
        let mut at = start + 1;
        loop {
            match self.byte(at) {
                None => return Err(self.invalid(start, at)),
                Some(b'"') => return Ok(at + 1),
                Some(byte) if byte < 0x20 => {
                    let detail = format!("Character with value 0x{byte:02x} must be escaped.");
                    return Err((detail, at));
                }
                Some(b'\\') => at = self.escape(start, at + 1)?,
                Some(_) => at += 1,
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&self, start: usize, at: usize) -> Result<usize, Refused> {
        let rest = self.text.get(at..).unwrap_or_default();
        let Some(character) = rest.chars().next() else {
            return Err(self.invalid(start, at));
        };
        let end = at + character.len_utf8();
        match character {
            '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => Ok(end),
            'u' => {
                let mut end = end;
                for digit in rest.chars().skip(1).take(4) {
                    end += digit.len_utf8();
                    if !digit.is_ascii_hexdigit() {
                        let detail = "\"\\u\" must be followed by four hexadecimal digits.";
                        return Err((detail.to_owned(), end));
                    }
                }
                match end - at {
                    5 => Ok(end),
                    _ => Err(self.invalid(start, end)),
                }
            }
            other => Err((format!("Escape sequence \"\\{other}\" is invalid."), end)),
        }
    }

    /// The line up to a place, or the last of it.
    fn context(&self, end: usize) -> String {
        let line = self.text.get(self.line_start..end).unwrap_or_default();
        let mut from = 0;
        while line.len() - from >= SHOWN_BYTES {
            let rest = line.get(from..).unwrap_or_default();
            from += rest.chars().next().map_or(1, char::len_utf8);
        }
        // Dots would take what they save.
        if from <= 3 {
            from = 0;
        }
        let shown = line.get(from..).unwrap_or_default();
        let before = if from > 0 { "..." } else { "" };
        let behind = match self.byte(end) {
            None | Some(b'\n' | b'\r') => "",
            Some(_) => "...",
        };
        format!("JSON data, line {}: {before}{shown}{behind}", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What PostgreSQL 15 said of each.
    const SAID: &[(&str, &str, &str)] = &[
        ("", "The input string ended unexpectedly.", "1: "),
        (
            "{\"a\":1,",
            "The input string ended unexpectedly.",
            "1: {\"a\":1,",
        ),
        (
            "{\"a\":}",
            "Expected JSON value, but found \"}\".",
            "1: {\"a\":}",
        ),
        (
            "{\"a\":1,}",
            "Expected string, but found \"}\".",
            "1: {\"a\":1,}",
        ),
        ("[1,]", "Expected JSON value, but found \"]\".", "1: [1,]"),
        (
            "[1 2]",
            "Expected \",\" or \"]\", but found \"2\".",
            "1: [1 2...",
        ),
        ("{a:1}", "Token \"a\" is invalid.", "1: {a..."),
        ("{'a':1}", "Token \"'\" is invalid.", "1: {'..."),
        ("nul1", "Token \"nul1\" is invalid.", "1: nul1"),
        ("1.", "Token \"1.\" is invalid.", "1: 1."),
        ("01", "Token \"01\" is invalid.", "1: 01"),
        ("-", "Token \"-\" is invalid.", "1: -"),
        ("1e", "Token \"1e\" is invalid.", "1: 1e"),
        ("\"abc", "Token \"\"abc\" is invalid.", "1: \"abc"),
        (
            "\"a\\q\"",
            "Escape sequence \"\\q\" is invalid.",
            "1: \"a\\q...",
        ),
        (
            "\"\\u12\"",
            "\"\\u\" must be followed by four hexadecimal digits.",
            "1: \"\\u12\"",
        ),
        ("1 2", "Expected end of input, but found \"2\".", "1: 1 2"),
        (
            "{1:2}",
            "Expected string or \"}\", but found \"1\".",
            "1: {1...",
        ),
        (
            "{\"a\" 1}",
            "Expected \":\", but found \"1\".",
            "1: {\"a\" 1...",
        ),
        (
            "{\"a\":1 \"b\":2}",
            "Expected \",\" or \"}\", but found \"\"b\"\".",
            "1: {\"a\":1 \"b\"...",
        ),
        ("+1", "Token \"+\" is invalid.", "1: +..."),
        (
            "[1,2,]]",
            "Expected JSON value, but found \"]\".",
            "1: [1,2,]...",
        ),
        (
            "{\"a\":\"b\nc\"}",
            "Character with value 0x0a must be escaped.",
            "1: {\"a\":\"b",
        ),
        (
            "{\"a\":1,\n\"b\":x}",
            "Token \"x\" is invalid.",
            "2: \"b\":x...",
        ),
        (
            "{\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\": tru, \"b\": 1}",
            "Token \"tru\" is invalid.",
            "1: ...jklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\": tru...",
        ),
    ];

    #[test]
    fn faults_are_told_as_postgresql_tells_them() {
        for (text, detail, context) in SAID {
            let expected = Fault {
                detail: (*detail).to_owned(),
                context: format!("JSON data, line {context}"),
            };
            assert_eq!(fault(text), Some(expected), "{text}");
        }
        for text in [
            "{}",
            "[]",
            " [1, -0.5e+3, {\"a\": [null, true]}, \"\\u00e9\\n\"] ",
            "\"é\"",
        ] {
            assert_eq!(fault(text), None, "{text}");
        }
    }

    #[test]
    fn texts_that_nest_deep_do_not_overflow() {
        let deep = "[".repeat(1_000_000);
        assert!(fault(&deep).is_some());
    }
}
