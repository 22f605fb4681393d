//! Reading tokens of one statement, with sqlparser for expressions and queries.

use chronolith_types::{SqlState, SqlType};
use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::tokens::{DIALECT, character, slice, tokenize};
use crate::{Name, Opt, Spelled, SqlError, SqlText, check_modifiers, type_or_name};

/// How deep expressions and queries may nest.
const DEPTH_MAX: usize = 300;

/// The expression that a text is: a default, a check …
///
/// # Errors
/// When it is none.
pub fn expression(text: &str) -> Result<ast::Expr, SqlError> {
    let mut cursor = Cursor::new(text, tokenize(text)?);
    let expr = cursor.expr()?;
    cursor.finish()?;
    Ok(expr)
}

/// The query that a text is: of a view …
///
/// # Errors
/// When it is none.
pub fn query(text: &str) -> Result<Box<ast::Query>, SqlError> {
    let mut cursor = Cursor::new(text, tokenize(text)?);
    let query = cursor.query()?;
    cursor.take(&Token::SemiColon);
    cursor.finish()?;
    Ok(query)
}

/// A place in the tokens of one statement.
pub(crate) struct Cursor<'a> {
    parser: Parser<'static>,
    text: &'a str,
    /// Where each token starts and ends.
    places: Vec<(usize, usize)>,
    end: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str, tokens: Vec<TokenWithSpan>) -> Self {
        let places = tokens
            .iter()
            .map(|token| (character(token.span.start), character(token.span.end)))
            .collect::<Vec<_>>();
        let end = places.last().map_or(1, |place| place.1);
        Self {
            places,
            parser: Parser::new(&DIALECT)
                .with_recursion_limit(DEPTH_MAX)
                .with_tokens_with_locations(tokens),
            text,
            end,
        }
    }

    // ------------------------------------------------------------------ looking

    pub(crate) fn peek(&self) -> TokenWithSpan {
        self.parser.peek_token()
    }

    pub(crate) fn nth(&self, n: usize) -> Token {
        self.parser.peek_nth_token(n).token
    }

    pub(crate) fn at_end(&self) -> bool {
        matches!(self.peek().token, Token::EOF | Token::SemiColon)
    }

    /// Position of the next token.
    pub(crate) fn position(&self) -> usize {
        let next = self.peek();
        if next.token == Token::EOF {
            self.end
        } else {
            character(next.span.start)
        }
    }

    /// Whether the next words are these, unquoted and in lower case.
    pub(crate) fn sees(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| unquoted(&self.nth(n)) == Some(*word))
    }

    /// The next word, if it is one that is not quoted.
    pub(crate) fn word(&self) -> Option<String> {
        unquoted(&self.peek().token).map(str::to_owned)
    }

    // ------------------------------------------------------------------- taking

    pub(crate) fn next(&mut self) -> TokenWithSpan {
        self.parser.next_token()
    }

    /// Takes the words if they are next.
    pub(crate) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.sees(words);
        if found {
            for _ in words {
                self.next();
            }
        }
        found
    }

    /// Takes whichever of the words is next.
    pub(crate) fn accept_any<'w>(&mut self, words: &[&'w str]) -> Option<&'w str> {
        let next = self.word()?;
        let found = words.iter().find(|word| **word == next)?;
        self.next();
        Some(found)
    }

    pub(crate) fn expect(&mut self, words: &[&str]) -> Result<(), SqlError> {
        for word in words {
            if !self.accept(&[word]) {
                return Err(self.unexpected());
            }
        }
        Ok(())
    }

    pub(crate) fn take(&mut self, token: &Token) -> bool {
        let found = self.peek().token == *token;
        if found {
            self.next();
        }
        found
    }

    pub(crate) fn need(&mut self, token: &Token) -> Result<(), SqlError> {
        if self.take(token) {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(crate) fn finish(&mut self) -> Result<(), SqlError> {
        if self.peek().token == Token::EOF {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    /// All tokens up to the end, as their text.
    pub(crate) fn rest(&mut self) -> String {
        let start = self.position();
        while self.peek().token != Token::EOF {
            self.next();
        }
        slice(self.text, start, self.end).to_owned()
    }

    /// What was written from a position to the token just taken.
    pub(crate) fn since(&self, start: usize) -> String {
        let token = self.parser.get_current_token();
        let end = if token.token == Token::EOF {
            self.end
        } else {
            character(token.span.end)
        };
        slice(self.text, start, end).to_owned()
    }

    /// Passes over what stands in parentheses, if there are any next.
    pub(crate) fn parenthesised(&mut self) -> Result<(), SqlError> {
        if self.take(&Token::LParen) {
            while !self.take(&Token::RParen) {
                if self.at_end() {
                    return Err(self.unexpected());
                }
                self.next();
            }
        }
        Ok(())
    }

    // -------------------------------------------------------------------- names

    pub(crate) fn ident(&mut self) -> Result<Spelled, SqlError> {
        let position = self.position();
        match self.peek().token {
            Token::Word(word) if word.quote_style.is_some() || !is_reserved(&word.value) => {
                if word.value.is_empty() {
                    return Err(SqlError::syntax(
                        "zero-length delimited identifier at or near \"\"\"\"",
                        position,
                    ));
                }
                self.next();
                Ok(Spelled {
                    value: word.value,
                    position,
                })
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(crate) fn name(&mut self) -> Result<Name, SqlError> {
        let first = self.ident()?;
        let mut parts = vec![first.value];
        while self.take(&Token::Period) {
            // Any word may follow a dot.
            match self.next().token {
                Token::Word(word) => parts.push(word.value),
                _ => {
                    self.parser.prev_token();
                    return Err(self.unexpected());
                }
            }
        }
        Ok(Name {
            parts,
            position: first.position,
        })
    }

    pub(crate) fn names(&mut self) -> Result<Vec<Name>, SqlError> {
        self.list(Self::name)
    }

    pub(crate) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, SqlError>,
    ) -> Result<Vec<T>, SqlError> {
        let mut items = vec![one(self)?];
        while self.take(&Token::Comma) {
            items.push(one(self)?);
        }
        Ok(items)
    }

    /// `(a, b)`.
    pub(crate) fn columns(&mut self) -> Result<Vec<Spelled>, SqlError> {
        self.need(&Token::LParen)?;
        let columns = self.list(Self::ident)?;
        self.need(&Token::RParen)?;
        Ok(columns)
    }

    /// `(a, b)` if there is one.
    pub(crate) fn optional_columns(&mut self) -> Result<Vec<Spelled>, SqlError> {
        if self.peek().token == Token::LParen {
            self.columns()
        } else {
            Ok(Vec::new())
        }
    }

    // ------------------------------------------------------------------- values

    pub(crate) fn string(&mut self) -> Result<String, SqlError> {
        match string_of(&self.peek().token) {
            Some(text) => {
                self.next();
                Ok(text)
            }
            None => Err(self.unexpected()),
        }
    }

    pub(crate) fn integer(&mut self) -> Result<i64, SqlError> {
        let negative = self.take(&Token::Minus);
        if !negative {
            self.take(&Token::Plus);
        }
        match self.peek().token {
            Token::Number(digits, _) => match digits.parse::<i64>() {
                Ok(value) => {
                    self.next();
                    Ok(if negative { -value } else { value })
                }
                Err(_) => Err(self.unexpected()),
            },
            _ => Err(self.unexpected()),
        }
    }

    /// A word, string or number as an option's value.
    pub(crate) fn value(&mut self) -> Result<String, SqlError> {
        let sign = if self.take(&Token::Minus) {
            "-"
        } else {
            self.take(&Token::Plus);
            ""
        };
        let token = self.peek().token;
        let text = match &token {
            Token::Word(word) => Some(word.value.clone()),
            Token::Number(digits, _) => Some(digits.clone()),
            other => string_of(other),
        };
        match text {
            Some(text) => {
                self.next();
                Ok(format!("{sign}{text}"))
            }
            None => Err(self.unexpected()),
        }
    }

    pub(crate) fn data_type(&mut self) -> Result<SqlType, SqlError> {
        let start = self.position();
        let parsed = self.parser.parse_data_type();
        let declared = self.lift(parsed)?;
        check_modifiers(&declared)
            .map_err(|(code, message)| SqlError::new(code, message, start))?;
        type_or_name(&declared, start).ok_or_else(|| {
            SqlError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{}\" does not exist", type_name(&declared)),
                start,
            )
        })
    }

    /// `name [=] value, …` in parentheses; the names may have dots.
    pub(crate) fn options(&mut self) -> Result<Vec<Opt>, SqlError> {
        self.need(&Token::LParen)?;
        let options = self.list(Self::option)?;
        self.need(&Token::RParen)?;
        Ok(options)
    }

    fn option(&mut self) -> Result<Opt, SqlError> {
        let position = self.position();
        let mut name = String::new();
        loop {
            match self.peek().token {
                Token::Word(word) => {
                    self.next();
                    name.push_str(&word.value.to_lowercase());
                }
                _ => return Err(self.unexpected()),
            }
            if !self.take(&Token::Period) {
                break;
            }
            name.push('.');
        }
        self.take(&Token::Eq);
        let value = match self.peek().token {
            Token::Comma | Token::RParen => None,
            Token::LParen => {
                self.next();
                let values = self.list(Self::value)?;
                self.need(&Token::RParen)?;
                Some(values.join(", "))
            }
            Token::Mul => {
                self.next();
                Some("*".to_owned())
            }
            // Such as `chunk_time_interval = INTERVAL '1 day'` or `'1 day'::interval`.
            Token::Word(word) if word.value == "interval" && string_of(&self.nth(1)).is_some() => {
                self.next();
                Some(self.string()?)
            }
            _ => {
                let value = self.value()?;
                if self.take(&Token::DoubleColon) {
                    self.data_type()?;
                }
                Some(value)
            }
        };
        Ok(Opt {
            name,
            value,
            position,
        })
    }

    // -------------------------------------------------- what sqlparser reads

    pub(crate) fn expr(&mut self) -> Result<ast::Expr, SqlError> {
        let parsed = self.parser.parse_expr();
        self.lift(parsed)
    }

    /// An expression with its text.
    pub(crate) fn sql(&mut self) -> Result<SqlText, SqlError> {
        let start = self.position();
        let expr = self.expr()?;
        Ok(SqlText {
            expr,
            text: self.since(start),
        })
    }

    pub(crate) fn query(&mut self) -> Result<Box<ast::Query>, SqlError> {
        let parsed = self.parser.parse_query();
        self.lift(parsed)
    }

    /// A query up to the end, its text, and whether it is without WITH NO DATA.
    ///
    /// The last words are cut off before the query is read: a type such as `timestamp` would take
    /// their WITH for its time zone's.
    pub(crate) fn query_with_data(&mut self) -> Result<(Box<ast::Query>, String, bool), SqlError> {
        let start = self.position();
        let mut tokens = Vec::new();
        while self.peek().token != Token::EOF {
            tokens.push(self.next());
        }
        let ends = |words: &[&str]| {
            tokens.len().checked_sub(words.len()).filter(|cut| {
                let last = tokens.iter().skip(*cut);
                last.zip(words)
                    .all(|(token, word)| unquoted(&token.token) == Some(*word))
            })
        };
        let none = ends(&["with", "no", "data"]);
        let cut = none.or_else(|| ends(&["with", "data"]));
        let end = match cut.and_then(|cut| tokens.get(cut)) {
            Some(token) => character(token.span.start),
            None => self.end,
        };
        tokens.truncate(cut.unwrap_or(tokens.len()));
        let mut inner = Self {
            parser: Parser::new(&DIALECT)
                .with_recursion_limit(DEPTH_MAX)
                .with_tokens_with_locations(tokens),
            text: self.text,
            places: self.places.clone(),
            end,
        };
        let query = inner.query()?;
        let text = inner.since(start);
        inner.finish()?;
        Ok((query, text, none.is_none()))
    }

    pub(crate) fn statement(&mut self) -> Result<ast::Statement, SqlError> {
        let parsed = self.parser.parse_statement();
        self.lift(parsed)
    }

    fn lift<T>(&self, parsed: Result<T, ParserError>) -> Result<T, SqlError> {
        parsed.map_err(|error| match error {
            ParserError::RecursionLimitExceeded => SqlError::too_deep(),
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                match place(&message) {
                    Some(position) => self.near(position),
                    None if message.contains("found: EOF") => self.near(self.end),
                    None => self.unexpected(),
                }
            }
        })
    }

    // -------------------------------------------------------------------- errors

    /// The next token is not what may stand here.
    pub(crate) fn unexpected(&self) -> SqlError {
        self.near(self.position())
    }

    fn near(&self, position: usize) -> SqlError {
        match self.places.iter().find(|place| place.0 == position) {
            Some((start, end)) => {
                let written = slice(self.text, *start, *end);
                SqlError::syntax(format!("syntax error at or near \"{written}\""), position)
            }
            None => {
                let rest = slice(self.text, self.end, usize::MAX);
                match rest.chars().position(|c| !c.is_whitespace()) {
                    Some(blanks) if rest.trim_start().starts_with(';') => {
                        let position = self.end + blanks;
                        SqlError::syntax("syntax error at or near \";\"", position)
                    }
                    _ => SqlError::syntax("syntax error at end of input", self.end),
                }
            }
        }
    }
}

/// The value of a token that is a string.
pub(crate) fn string_of(token: &Token) -> Option<String> {
    match token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::UnicodeStringLiteral(text)
        | Token::NationalStringLiteral(text) => Some(text.clone()),
        Token::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}

fn unquoted(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// The column of `… at Line: 1, Column: n`.
fn place(message: &str) -> Option<usize> {
    let (_, column) = message.rsplit_once(", Column: ")?;
    let position = column.trim().parse().ok()?;
    (position > 0).then_some(position)
}

fn type_name(declared: &ast::DataType) -> String {
    match declared {
        ast::DataType::Custom(name, _) => name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|ident| ident.value.as_str())
            .collect::<Vec<_>>()
            .join("."),
        other => other.to_string().to_lowercase(),
    }
}

/// Words that are no names of columns or tables unless quoted.
pub(crate) fn is_reserved(word: &str) -> bool {
    const RESERVED: &[&str] = &[
        "all",
        "analyse",
        "analyze",
        "and",
        "any",
        "array",
        "as",
        "asc",
        "asymmetric",
        "both",
        "case",
        "cast",
        "check",
        "collate",
        "column",
        "constraint",
        "create",
        "current_catalog",
        "current_date",
        "current_role",
        "current_time",
        "current_timestamp",
        "current_user",
        "default",
        "deferrable",
        "desc",
        "distinct",
        "do",
        "else",
        "end",
        "except",
        "false",
        "fetch",
        "for",
        "foreign",
        "from",
        "grant",
        "group",
        "having",
        "in",
        "initially",
        "intersect",
        "into",
        "lateral",
        "leading",
        "limit",
        "localtime",
        "localtimestamp",
        "not",
        "null",
        "offset",
        "on",
        "only",
        "or",
        "order",
        "placing",
        "primary",
        "references",
        "returning",
        "select",
        "session_user",
        "some",
        "symmetric",
        "table",
        "then",
        "to",
        "trailing",
        "true",
        "union",
        "unique",
        "user",
        "using",
        "variadic",
        "when",
        "where",
        "window",
        "with",
    ];
    RESERVED.binary_search(&word).is_ok()
}

/// Whether a folded name can be written without quotes.
pub(crate) fn plain(name: &str) -> bool {
    !is_reserved(name)
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '$')
}
