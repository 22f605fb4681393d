//! Blocks and declarations, and how pieces of SQL are cut out of a body.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chronolith_types::SqlState;
use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::cursors::Known;
use super::tree::{
    Block, Command, Conflict, Declaration, DeclaredType, Handler, Options, Sql, Stmt, Target,
};
use crate::cursor::Cursor;
use crate::tokens::{character, slice, tokenize};
use crate::{SqlError, Statement};

/// How deep statements may nest.
const DEPTH_MAX: usize = 100;

/// The block that a body is.
///
/// # Errors
/// 42601 for what is none, 0A000 for what is not served.
pub fn body(text: &str) -> Result<Block, SqlError> {
    let mut reader = Reader::new(text)?;
    let options = reader.options()?;
    let label = reader.label()?;
    let block = reader.block(label)?;
    let block = Block { options, ..block };
    reader.take(&Token::SemiColon);
    match reader.token() {
        Token::EOF => Ok(block),
        _ => Err(reader.unexpected()),
    }
}

/// A place in the tokens of a body.
pub(super) struct Reader<'a> {
    pub text: &'a str,
    tokens: Vec<TokenWithSpan>,
    pub at: usize,
    depth: usize,
    /// Variables that are known here, the innermost last.
    pub declared: Vec<(String, Known)>,
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Result<Self, SqlError> {
        Ok(Self {
            text,
            tokens: tokenize(text)?,
            at: 0,
            depth: 0,
            declared: Vec::new(),
        })
    }

    // ---------------------------------------------------------------------------------- tokens

    pub(super) fn token(&self) -> &Token {
        self.nth(0)
    }

    pub(super) fn nth(&self, n: usize) -> &Token {
        self.tokens
            .get(self.at + n)
            .map_or(&Token::EOF, |token| &token.token)
    }

    /// The character at which a token starts.
    pub(super) fn start(&self, at: usize) -> usize {
        match self.tokens.get(at) {
            Some(token) => character(token.span.start),
            None => self.text.chars().count() + 1,
        }
    }

    /// The character behind a token.
    pub(super) fn end(&self, at: usize) -> usize {
        match self.tokens.get(at) {
            Some(token) => character(token.span.end),
            None => self.text.chars().count() + 1,
        }
    }

    /// The line of the next token.
    pub(super) fn line(&self) -> usize {
        let before = slice(self.text, 1, self.start(self.at));
        before.matches('\n').count() + 1
    }

    pub(super) fn word_at(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at).map(|token| &token.token) {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(&word.value),
            _ => None,
        }
    }

    pub(super) fn word(&self) -> Option<&str> {
        self.word_at(self.at)
    }

    pub(super) fn sees(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| self.word_at(self.at + n) == Some(*word))
    }

    pub(super) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.sees(words);
        if found {
            self.at += words.len();
        }
        found
    }

    pub(super) fn expect(&mut self, words: &[&str]) -> Result<(), SqlError> {
        match self.accept(words) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    pub(super) fn take(&mut self, token: &Token) -> bool {
        let found = self.token() == token;
        if found {
            self.at += 1;
        }
        found
    }

    pub(super) fn need(&mut self, token: &Token) -> Result<(), SqlError> {
        match self.take(token) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    pub(super) fn ident(&mut self) -> Result<String, SqlError> {
        match self.token() {
            Token::Word(word) => {
                let name = word.value.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    pub(super) fn string(&mut self) -> Result<String, SqlError> {
        let found = match self.token() {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => text.clone(),
            Token::DollarQuotedString(text) => text.value.clone(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(found)
    }

    pub(super) fn unexpected(&self) -> SqlError {
        if self.at >= self.tokens.len() {
            return SqlError::syntax("syntax error at end of input", self.start(self.at));
        }
        let written = slice(self.text, self.start(self.at), self.end(self.at));
        SqlError::syntax(
            format!("syntax error at or near \"{written}\""),
            self.start(self.at),
        )
    }

    pub(super) fn unsupported(&self, what: &str) -> SqlError {
        SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{what} is not supported"),
            self.start(self.at),
        )
    }

    pub(super) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.depth >= DEPTH_MAX {
            return Err(SqlError::too_deep());
        }
        self.depth += 1;
        let done = read(self);
        self.depth -= 1;
        done
    }

    // ------------------------------------------------------------------------------ pieces of SQL

    /// Where one of the words is next outside of parentheses and CASE; the end of the statement
    /// where `semicolon`.
    pub(super) fn until(&self, words: &[&str], semicolon: bool) -> Result<usize, SqlError> {
        let (mut open, mut cases) = (0_usize, 0_usize);
        let mut at = self.at;
        while let Some(token) = self.tokens.get(at) {
            let word = self.word_at(at);
            if open == 0 {
                if cases == 0 && word.is_some_and(|word| words.contains(&word)) {
                    return Ok(at);
                }
                if token.token == Token::SemiColon {
                    return match semicolon {
                        true => Ok(at),
                        false => Err(self.missing(words.first().copied().unwrap_or(";"), at)),
                    };
                }
            }
            match &token.token {
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen | Token::RBracket => open = open.saturating_sub(1),
                _ => match word {
                    Some("case") => cases += 1,
                    Some("end") => cases = cases.saturating_sub(1),
                    _ => {}
                },
            }
            at += 1;
        }
        Err(SqlError::syntax(
            "syntax error at end of input",
            self.start(at),
        ))
    }

    fn missing(&self, word: &str, at: usize) -> SqlError {
        SqlError::syntax(
            format!(
                "missing \"{}\" at end of SQL expression",
                word.to_uppercase()
            ),
            self.start(at),
        )
    }

    /// The text of the tokens up to one.
    pub(super) fn text_to(&self, end: usize) -> &'a str {
        match end > self.at {
            true => slice(self.text, self.start(self.at), self.end(end - 1)),
            false => "",
        }
    }

    /// The expression up to a token, which is passed over to.
    pub(super) fn sql_to(&mut self, end: usize) -> Result<Sql, SqlError> {
        let start = self.start(self.at);
        if end <= self.at {
            return Err(SqlError::syntax("missing expression", start));
        }
        let sql = sql(self.text_to(end), start)?;
        self.at = end;
        Ok(sql)
    }

    /// The expression before one of the words, which is taken too.
    pub(super) fn sql_before(&mut self, words: &[&str]) -> Result<Sql, SqlError> {
        let end = self.until(words, false)?;
        let found = self.sql_to(end)?;
        self.at += 1;
        Ok(found)
    }

    /// The expression up to the end of the statement.
    pub(super) fn sql_statement(&mut self) -> Result<Sql, SqlError> {
        let end = self.until(&[], true)?;
        let found = self.sql_to(end)?;
        self.need(&Token::SemiColon)?;
        Ok(found)
    }

    /// Expressions with commas between them, up to a token.
    pub(super) fn sqls_to(&mut self, end: usize) -> Result<Vec<Sql>, SqlError> {
        let mut found = Vec::new();
        loop {
            let comma = self.comma_before(end);
            found.push(self.sql_to(comma)?);
            if comma == end {
                return Ok(found);
            }
            self.at += 1;
        }
    }

    /// The next comma outside of parentheses before a token, or that token.
    pub(super) fn comma_before(&self, end: usize) -> usize {
        let mut open = 0_usize;
        for at in self.at..end {
            match self.tokens.get(at).map(|token| &token.token) {
                Some(Token::LParen | Token::LBracket) => open += 1,
                Some(Token::RParen | Token::RBracket) => open = open.saturating_sub(1),
                Some(Token::Comma) if open == 0 => return at,
                _ => {}
            }
        }
        end
    }

    /// A variable, a field, an item.
    pub(super) fn target(&mut self) -> Result<Target, SqlError> {
        let mut parts = vec![self.ident()?];
        while self.take(&Token::Period) {
            parts.push(self.ident()?);
        }
        let mut index = None;
        if self.take(&Token::LBracket) {
            let mut open = 1_usize;
            let mut end = self.at;
            while open > 0 {
                match self.tokens.get(end).map(|token| &token.token) {
                    Some(Token::LBracket) => open += 1,
                    Some(Token::RBracket) => open -= 1,
                    Some(_) => {}
                    None => return Err(self.unexpected()),
                }
                end += 1;
            }
            index = Some(self.sql_to(end - 1)?);
            self.need(&Token::RBracket)?;
            if self.token() == &Token::LBracket {
                return Err(self.unsupported("an array of more than one dimension"));
            }
        }
        Ok(Target { parts, index })
    }

    // ------------------------------------------------------------------------------------- blocks

    /// `#variable_conflict use_column` and its kin.
    fn options(&mut self) -> Result<Options, SqlError> {
        let mut options = Options::default();
        while self.take(&Token::Sharp) {
            if self.accept(&["option"]) {
                // Only PostgreSQL's own developers look at what it prints.
                self.expect(&["dump"])?;
            } else if self.accept(&["variable_conflict"]) {
                options.conflict = Some(match self.word() {
                    Some("error") => Conflict::Error,
                    Some("use_variable") => Conflict::UseVariable,
                    Some("use_column") => Conflict::UseColumn,
                    _ => return Err(self.unexpected()),
                });
                self.at += 1;
            } else if self.accept(&["print_strict_params"]) {
                options.strict_params = Some(match self.word() {
                    Some("on") => true,
                    Some("off") => false,
                    _ => return Err(self.unexpected()),
                });
                self.at += 1;
            } else {
                return Err(self.unexpected());
            }
        }
        Ok(options)
    }

    /// `<<name>>`, if it is next.
    pub(super) fn label(&mut self) -> Result<Option<String>, SqlError> {
        if !self.take(&Token::ShiftLeft) {
            return Ok(None);
        }
        let name = self.ident()?;
        self.need(&Token::ShiftRight)?;
        Ok(Some(name))
    }

    /// The block from its DECLARE or BEGIN on, without the semicolon.
    pub(super) fn block(&mut self, label: Option<String>) -> Result<Block, SqlError> {
        let mut declarations: Vec<Declaration> = Vec::new();
        let known = self.declared.len();
        while self.accept(&["declare"]) {
            while !self.sees(&["begin"]) && !self.sees(&["declare"]) {
                let declared = self.declaration()?;
                if declarations.iter().any(|known| known.name == declared.name) {
                    return Err(SqlError::syntax(
                        format!("duplicate declaration at or near \"{}\"", declared.name),
                        self.start(self.at),
                    ));
                }
                let what = Known::of(&declared.ty);
                self.declared.push((declared.name.clone(), what));
                declarations.push(declared);
            }
        }
        self.expect(&["begin"])?;
        let body = self.deeper(|reader| reader.statements(&["end", "exception"]))?;
        let mut handlers = Vec::new();
        if self.accept(&["exception"]) {
            while self.accept(&["when"]) {
                let mut conditions = Vec::new();
                loop {
                    let name = self.ident()?;
                    conditions.push(match name.as_str() {
                        "sqlstate" => format!("#{}", self.string()?),
                        _ => name,
                    });
                    if self.accept(&["then"]) {
                        break;
                    }
                    self.expect(&["or"])?;
                }
                let body = self.deeper(|reader| reader.statements(&["end", "when"]))?;
                handlers.push(Handler { conditions, body });
            }
            if handlers.is_empty() {
                return Err(self.unexpected());
            }
        }
        self.declared.truncate(known);
        self.expect(&["end"])?;
        self.end_label(label.as_deref())?;
        Ok(Block {
            label,
            declarations,
            body,
            handlers,
            options: Options::default(),
        })
    }

    /// The label behind an END, which must be the one before.
    pub(super) fn end_label(&mut self, label: Option<&str>) -> Result<(), SqlError> {
        if !matches!(self.token(), Token::Word(_)) {
            return Ok(());
        }
        let start = self.start(self.at);
        let name = self.ident()?;
        match label {
            Some(label) if label == name => Ok(()),
            Some(label) => Err(SqlError::syntax(
                format!("end label \"{name}\" differs from block's label \"{label}\""),
                start,
            )),
            None => Err(SqlError::syntax(
                format!("end label \"{name}\" specified for unlabeled block"),
                start,
            )),
        }
    }

    fn declaration(&mut self) -> Result<Declaration, SqlError> {
        let line = self.line();
        let name = self.ident()?;
        if self.accept(&["alias", "for"]) {
            let of = match self.token() {
                Token::Placeholder(number) => {
                    let number = number.clone();
                    self.at += 1;
                    number
                }
                _ => self.ident()?,
            };
            self.need(&Token::SemiColon)?;
            return Ok(Declaration {
                name,
                constant: false,
                ty: DeclaredType::Alias(of),
                not_null: false,
                default: None,
                line,
            });
        }
        if let Some(cursor) = self.declared_cursor(&name, line)? {
            return Ok(cursor);
        }
        let constant = self.accept(&["constant"]);
        let ty = self.declared_type()?;
        if self.accept(&["collate"]) {
            self.at += 1;
        }
        let not_null = self.accept(&["not", "null"]);
        let default = if self.take(&Token::Assignment)
            || self.take(&Token::Eq)
            || self.accept(&["default"])
        {
            Some(self.sql_statement()?)
        } else {
            self.need(&Token::SemiColon)?;
            None
        };
        if not_null && default.is_none() {
            return Err(SqlError::new(
                SqlState::new(b"22004"),
                format!(
                    "variable \"{name}\" must have a default value, since it's declared NOT NULL"
                ),
                self.start(self.at),
            ));
        }
        Ok(Declaration {
            name,
            constant,
            ty,
            not_null,
            default,
            line,
        })
    }

    fn declared_type(&mut self) -> Result<DeclaredType, SqlError> {
        let mut end = self.at;
        let mut open = 0_usize;
        while let Some(token) = self.tokens.get(end) {
            let stops = matches!(
                token.token,
                Token::SemiColon | Token::Assignment | Token::Eq
            ) || matches!(self.word_at(end), Some("default" | "not" | "collate"));
            match token.token {
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen | Token::RBracket => open = open.saturating_sub(1),
                _ if stops && open == 0 => break,
                _ => {}
            }
            end += 1;
        }
        let text = self.text_to(end);
        let start = self.start(self.at);
        if text.is_empty() {
            return Err(SqlError::syntax("missing data type declaration", start));
        }
        if text.eq_ignore_ascii_case("record") {
            self.at = end;
            return Ok(DeclaredType::Record);
        }
        let mut cursor = Cursor::new(text, tokenize(text)?);
        let ty = crate::routine::type_ref(&mut cursor).and_then(|ty| {
            cursor.finish()?;
            Ok(ty)
        });
        let ty = ty.map_err(|error| shifted(error, start))?;
        self.at = end;
        Ok(DeclaredType::Type(ty))
    }

    /// Statements up to one of the words.
    pub(super) fn statements(&mut self, ends: &[&str]) -> Result<Vec<Stmt>, SqlError> {
        let mut found = Vec::new();
        while !self.word().is_some_and(|word| ends.contains(&word)) {
            if self.token() == &Token::EOF {
                return Err(self.unexpected());
            }
            found.push(self.statement()?);
        }
        Ok(found)
    }
}

/// An error of a piece, its place that of the body.
fn shifted(mut error: SqlError, start: usize) -> SqlError {
    error.position = error.position.map(|at| at + start - 1);
    error
}

/// A piece of SQL that gives a value.
pub(super) fn sql(text: &str, start: usize) -> Result<Sql, SqlError> {
    const PREFIX: &str = "SELECT ";
    let query = crate::query(&format!("{PREFIX}{text}"))
        .map_err(|error| shifted(error, start.saturating_sub(PREFIX.len())))?;
    let mut expr = None;
    let bare = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    if let ast::SetExpr::Select(select) = query.body.as_ref() {
        let bare = bare
            && select.from.is_empty()
            && select.selection.is_none()
            && select.having.is_none()
            && select.distinct.is_none()
            && select.into.is_none()
            && matches!(&select.group_by, ast::GroupByExpr::Expressions(of, _) if of.is_empty());
        if bare && let [ast::SelectItem::UnnamedExpr(_)] = select.projection.as_slice() {
            expr = crate::expression(text).ok().map(Box::new);
        }
    }
    Ok(Sql {
        id: next_id(),
        text: text.to_owned(),
        expr,
        query,
    })
}

/// A statement of SQL.
pub(super) fn command(text: &str, start: usize) -> Result<Command, SqlError> {
    let mut parsed = crate::parse::parse_trees(text).map_err(|error| shifted(error, start))?;
    let one = parsed.pop().filter(|_| parsed.is_empty());
    let one = one.ok_or_else(|| SqlError::syntax("syntax error", start))?;
    if matches!(
        one.statement,
        Statement::Commit { .. } | Statement::Rollback { .. }
    ) {
        return Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{} in a routine is not supported", one.tag),
            start,
        ));
    }
    Ok(Command {
        id: next_id(),
        text: text.to_owned(),
        parsed: Arc::new(one),
    })
}
