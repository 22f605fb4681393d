//! Statements of a body, each by its first word.

use sqlparser::tokenizer::Token;

use super::parse::{Reader, command, sql};
use super::tree::{Arm, Into, Level, Raise, Stmt, StmtKind, Target, Wanted};
use crate::SqlError;

impl Reader<'_> {
    pub(super) fn statement(&mut self) -> Result<Stmt, SqlError> {
        let line = self.line();
        let label = self.label()?;
        let kind = self.deeper(|reader| reader.kind(label))?;
        Ok(Stmt { line, kind })
    }

    fn kind(&mut self, label: Option<String>) -> Result<StmtKind, SqlError> {
        if label.is_some()
            && !matches!(
                self.word(),
                Some("declare" | "begin" | "loop" | "while" | "for" | "foreach")
            )
        {
            return Err(self.unexpected());
        }
        if let Some(assigned) = self.assignment()? {
            return Ok(assigned);
        }
        match self.word().unwrap_or("") {
            "declare" | "begin" => {
                let block = self.block(label)?;
                self.need(&Token::SemiColon)?;
                Ok(StmtKind::Block(block))
            }
            "if" => self.if_statement(),
            "case" => self.case_statement(),
            "loop" => {
                self.at += 1;
                let body = self.looped(label.as_deref())?;
                Ok(StmtKind::Loop { label, body })
            }
            "while" => {
                self.at += 1;
                let condition = self.sql_before(&["loop"])?;
                let body = self.looped(label.as_deref())?;
                Ok(StmtKind::While {
                    label,
                    condition,
                    body,
                })
            }
            "for" => self.for_statement(label),
            "foreach" => self.foreach(label),
            "exit" | "continue" => self.exit(),
            "return" => self.return_statement(),
            "perform" => {
                self.at += 1;
                let end = self.until(&[], true)?;
                let start = self.start(self.at).saturating_sub(7);
                let made = command(&format!("SELECT {}", self.text_to(end)), start)?;
                self.at = end + 1;
                Ok(StmtKind::Perform(made))
            }
            "execute" => self.execute(),
            "get" => self.diagnostics(),
            "raise" => self.raise(),
            "assert" => {
                self.at += 1;
                let end = self.until(&[], true)?;
                let mut parts = self.sqls_to(end)?.into_iter();
                self.need(&Token::SemiColon)?;
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(condition), message, None) => Ok(StmtKind::Assert { condition, message }),
                    _ => Err(self.unexpected()),
                }
            }
            "null" if self.nth(1) == &Token::SemiColon => {
                self.at += 2;
                Ok(StmtKind::Null)
            }
            "open" => self.open(),
            "fetch" => self.fetch(false),
            "move" => self.fetch(true),
            "close" => self.close(),
            word @ ("commit" | "rollback") => {
                let commit = word == "commit";
                self.at += 1;
                let chain = self.accept(&["and", "chain"]);
                if !chain {
                    self.accept(&["and", "no", "chain"]);
                }
                self.need(&Token::SemiColon)?;
                Ok(StmtKind::End { commit, chain })
            }
            "" => Err(self.unexpected()),
            _ => self.command(),
        }
    }

    /// `target := value`, if that is what comes.
    fn assignment(&mut self) -> Result<Option<StmtKind>, SqlError> {
        if !matches!(self.token(), Token::Word(_)) {
            return Ok(None);
        }
        let mut n = 1;
        while self.nth(n) == &Token::Period && matches!(self.nth(n + 1), Token::Word(_)) {
            n += 2;
        }
        let whole = n;
        loop {
            match self.nth(n) {
                Token::LBracket => {
                    let mut open = 0_usize;
                    loop {
                        match self.nth(n) {
                            Token::LBracket => open += 1,
                            Token::RBracket => open = open.saturating_sub(1),
                            Token::EOF | Token::SemiColon => return Ok(None),
                            _ => {}
                        }
                        n += 1;
                        if open == 0 {
                            break;
                        }
                    }
                }
                Token::Period if n > whole && matches!(self.nth(n + 1), Token::Word(_)) => n += 2,
                _ => break,
            }
        }
        if !matches!(self.nth(n), Token::Assignment | Token::Eq) {
            return Ok(None);
        }
        if n > whole {
            // The variable gets a value that is its own but for the part.
            let part = self.text_to(self.at + n).to_owned();
            let mut parts = vec![self.ident()?];
            while self.take(&Token::Period) {
                parts.push(self.ident()?);
            }
            self.at += n - whole + 1;
            let value = self.sql_statement()?;
            let target = Target { parts, index: None };
            let value = value.of_part(&part);
            return Ok(Some(StmtKind::Assign { target, value }));
        }
        let target = self.target()?;
        self.at += 1;
        let value = self.sql_statement()?;
        Ok(Some(StmtKind::Assign { target, value }))
    }

    fn if_statement(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let when = self.sql_before(&["then"])?;
            let then = self.statements(&["elsif", "elseif", "else", "end"])?;
            arms.push(Arm {
                when: vec![when],
                then,
            });
            if self.accept(&["elsif"]) || self.accept(&["elseif"]) {
                continue;
            }
            if self.accept(&["else"]) {
                otherwise = self.statements(&["end"])?;
            }
            self.expect(&["end", "if"])?;
            self.need(&Token::SemiColon)?;
            return Ok(StmtKind::If { arms, otherwise });
        }
    }

    fn case_statement(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let operand = match self.sees(&["when"]) {
            true => None,
            false => {
                let end = self.until(&["when"], false)?;
                Some(self.sql_to(end)?)
            }
        };
        let mut arms = Vec::new();
        while self.accept(&["when"]) {
            let end = self.until(&["then"], false)?;
            let when = match operand {
                Some(_) => self.sqls_to(end)?,
                None => vec![self.sql_to(end)?],
            };
            self.at += 1;
            let then = self.statements(&["when", "else", "end"])?;
            arms.push(Arm { when, then });
        }
        let otherwise = match self.accept(&["else"]) {
            true => Some(self.statements(&["end"])?),
            false => None,
        };
        self.expect(&["end", "case"])?;
        self.need(&Token::SemiColon)?;
        if arms.is_empty() {
            return Err(self.unexpected());
        }
        Ok(StmtKind::Case {
            operand,
            arms,
            otherwise,
        })
    }

    /// The statements of a loop behind its LOOP, and its end.
    pub(super) fn looped(&mut self, label: Option<&str>) -> Result<Vec<Stmt>, SqlError> {
        let body = self.statements(&["end"])?;
        self.expect(&["end", "loop"])?;
        self.end_label(label)?;
        self.need(&Token::SemiColon)?;
        Ok(body)
    }

    fn for_statement(&mut self, label: Option<String>) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let mut targets = vec![self.target()?];
        while self.take(&Token::Comma) {
            targets.push(self.target()?);
        }
        self.expect(&["in"])?;
        if self.accept(&["execute"]) {
            let end = self.until(&["loop"], false)?;
            let query = self.made(end)?;
            self.at = end + 1;
            let body = self.looped(label.as_deref())?;
            return Ok(StmtKind::ForQuery {
                label,
                targets,
                query,
                body,
            });
        }
        let end = self.until(&["loop"], false)?;
        let start = self.start(self.at);
        let text = self.text_to(end);
        let reversed = self.sees(&["reverse"]);
        if let Some((from, to)) = range(text) {
            let skip = if reversed { "reverse".len() } else { 0 };
            let from = sql(from.get(skip..).unwrap_or(from).trim(), start)?;
            // BY stands outside of parentheses.
            let (to, by) = match self.by(end) {
                Some(by) => {
                    let upper = slice_before(text, to, self.text_between(by, end));
                    (sql(upper.trim(), start)?, Some(self.piece(by + 1, end)?))
                }
                None => (sql(to.trim(), start)?, None),
            };
            let variable = match targets.as_slice() {
                [Target { parts, index: None }] => match parts.as_slice() {
                    [name] => name.clone(),
                    _ => return Err(self.unexpected()),
                },
                _ => {
                    return Err(SqlError::syntax(
                        "integer FOR loop must have only one target variable",
                        start,
                    ));
                }
            };
            self.at = end + 1;
            let body = self.looped(label.as_deref())?;
            return Ok(StmtKind::ForRange {
                label,
                variable,
                reverse: reversed,
                from,
                to,
                by,
                body,
            });
        }
        if let Some(looped) = self.for_cursor(label.as_ref(), &targets, end)? {
            return Ok(looped);
        }
        let query = Wanted::Fixed(command(text, start)?);
        self.at = end + 1;
        let body = self.looped(label.as_deref())?;
        Ok(StmtKind::ForQuery {
            label,
            targets,
            query,
            body,
        })
    }

    /// The BY of a range, outside of parentheses.
    fn by(&self, end: usize) -> Option<usize> {
        self.until(&["by"], false).ok().filter(|at| *at < end)
    }

    fn text_between(&self, from: usize, to: usize) -> &str {
        crate::tokens::slice(self.text, self.start(from), self.end(to - 1))
    }

    fn piece(&self, from: usize, to: usize) -> Result<super::tree::Sql, SqlError> {
        sql(self.text_between(from, to), self.start(from))
    }

    fn foreach(&mut self, label: Option<String>) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let mut targets = vec![self.target()?];
        while self.take(&Token::Comma) {
            targets.push(self.target()?);
        }
        let mut slice = 0;
        if self.accept(&["slice"]) {
            slice = match self.token() {
                Token::Number(digits, _) => digits.parse().map_err(|_| self.unexpected())?,
                _ => return Err(self.unexpected()),
            };
            self.at += 1;
        }
        self.expect(&["in", "array"])?;
        let array = self.sql_before(&["loop"])?;
        let body = self.looped(label.as_deref())?;
        Ok(StmtKind::ForEach {
            label,
            targets,
            slice,
            array,
            body,
        })
    }

    fn exit(&mut self) -> Result<StmtKind, SqlError> {
        let next = self.sees(&["continue"]);
        self.at += 1;
        let label = match self.token() {
            Token::Word(_) if !self.sees(&["when"]) => Some(self.ident()?),
            _ => None,
        };
        let condition = match self.accept(&["when"]) {
            true => Some(self.sql_statement()?),
            false => {
                self.need(&Token::SemiColon)?;
                None
            }
        };
        Ok(StmtKind::Exit {
            next,
            label,
            condition,
        })
    }

    fn return_statement(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        if self.accept(&["next"]) {
            if self.take(&Token::SemiColon) {
                return Ok(StmtKind::ReturnNext(None));
            }
            return Ok(StmtKind::ReturnNext(Some(self.sql_statement()?)));
        }
        if self.accept(&["query"]) {
            let end = self.until(&[], true)?;
            let query = match self.accept(&["execute"]) {
                true => self.made(end)?,
                false => Wanted::Fixed(command(self.text_to(end), self.start(self.at))?),
            };
            self.at = end + 1;
            return Ok(StmtKind::ReturnQuery(query));
        }
        if self.take(&Token::SemiColon) {
            return Ok(StmtKind::Return(None));
        }
        Ok(StmtKind::Return(Some(self.sql_statement()?)))
    }

    /// What EXECUTE runs, up to a token.
    fn made(&mut self, end: usize) -> Result<Wanted, SqlError> {
        let using = self.until(&["using", "loop"], true)?.min(end);
        let text = self.sql_to(using)?;
        let mut values = Vec::new();
        if self.at < end && self.accept(&["using"]) {
            values = self.sqls_to(end)?;
        }
        Ok(Wanted::Made(text, values))
    }

    fn execute(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let end = self.until(&["into", "using"], true)?;
        let text = self.sql_to(end)?;
        let (mut into, mut using) = (None, Vec::new());
        while !self.take(&Token::SemiColon) {
            if into.is_none() && self.accept(&["into"]) {
                into = Some(self.into()?);
            } else if using.is_empty() && self.accept(&["using"]) {
                let end = self.until(&["into"], true)?;
                using = self.sqls_to(end)?;
            } else {
                return Err(self.unexpected());
            }
        }
        Ok(StmtKind::Execute { text, into, using })
    }

    /// What stands behind INTO.
    pub(super) fn into(&mut self) -> Result<Into, SqlError> {
        let strict = self.accept(&["strict"]);
        let mut targets = vec![self.target()?];
        while self.take(&Token::Comma) {
            targets.push(self.target()?);
        }
        Ok(Into { strict, targets })
    }

    fn diagnostics(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let stacked = self.accept(&["stacked"]);
        if !stacked {
            self.accept(&["current"]);
        }
        self.expect(&["diagnostics"])?;
        let mut items = Vec::new();
        loop {
            let target = self.target()?;
            if !self.take(&Token::Assignment) {
                self.need(&Token::Eq)?;
            }
            let start = self.start(self.at);
            let item = self.ident()?;
            let known = match item.as_str() {
                "row_count" | "pg_context" => !stacked || item == "pg_context",
                "returned_sqlstate"
                | "message_text"
                | "pg_exception_detail"
                | "pg_exception_hint"
                | "pg_exception_context"
                | "column_name"
                | "constraint_name"
                | "pg_datatype_name"
                | "table_name"
                | "schema_name" => stacked,
                _ => {
                    return Err(SqlError::syntax(
                        format!("unrecognized GET DIAGNOSTICS item at or near \"{item}\""),
                        start,
                    ));
                }
            };
            if !known {
                let which = if stacked { "STACKED" } else { "CURRENT" };
                return Err(SqlError::syntax(
                    format!(
                        "diagnostics item {} is not allowed in GET {which} DIAGNOSTICS",
                        item.to_uppercase()
                    ),
                    start,
                ));
            }
            items.push((target, item));
            if !self.take(&Token::Comma) {
                break;
            }
        }
        self.need(&Token::SemiColon)?;
        Ok(StmtKind::Diagnostics { stacked, items })
    }

    fn raise(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let mut raise = Raise {
            level: Level::Exception,
            condition: None,
            format: None,
            args: Vec::new(),
            options: Vec::new(),
            again: false,
        };
        if self.take(&Token::SemiColon) {
            raise.again = true;
            return Ok(StmtKind::Raise(raise));
        }
        let level = match self.word() {
            Some("debug") => Some(Level::Debug),
            Some("log") => Some(Level::Log),
            Some("info") => Some(Level::Info),
            Some("notice") => Some(Level::Notice),
            Some("warning") => Some(Level::Warning),
            Some("exception") => Some(Level::Exception),
            _ => None,
        };
        if let Some(level) = level {
            raise.level = level;
            self.at += 1;
        }
        let start = self.start(self.at);
        if self.accept(&["sqlstate"]) {
            raise.condition = Some(format!("#{}", self.string()?));
        } else if matches!(self.token(), Token::Word(_)) && !self.sees(&["using"]) {
            raise.condition = Some(self.ident()?);
        } else if !self.sees(&["using"]) && self.token() != &Token::SemiColon {
            let format = self.string()?;
            let end = self.until(&["using"], true)?;
            if self.take(&Token::Comma) {
                raise.args = self.sqls_to(end)?;
            }
            let holes = holes(&format);
            if holes > raise.args.len() {
                return Err(SqlError::syntax(
                    "too few parameters specified for RAISE",
                    start,
                ));
            }
            if holes < raise.args.len() {
                return Err(SqlError::syntax(
                    "too many parameters specified for RAISE",
                    start,
                ));
            }
            raise.format = Some(format);
        }
        if self.accept(&["using"]) {
            loop {
                let start = self.start(self.at);
                let name = self.ident()?;
                if !matches!(
                    name.as_str(),
                    "errcode"
                        | "message"
                        | "detail"
                        | "hint"
                        | "column"
                        | "constraint"
                        | "datatype"
                        | "table"
                        | "schema"
                ) {
                    return Err(SqlError::syntax(
                        format!("unrecognized RAISE statement option at or near \"{name}\""),
                        start,
                    ));
                }
                if !self.take(&Token::Assignment) {
                    self.need(&Token::Eq)?;
                }
                let end = self.until(&[], true)?;
                let comma = self.comma_before(end);
                let value = self.sql_to(comma)?;
                raise.options.push((name, value));
                if !self.take(&Token::Comma) {
                    break;
                }
            }
        }
        self.need(&Token::SemiColon)?;
        Ok(StmtKind::Raise(raise))
    }

    /// A statement of SQL, its INTO cut out.
    fn command(&mut self) -> Result<StmtKind, SqlError> {
        let end = self.until_statement()?;
        let start = self.start(self.at);
        let first = self.word().unwrap_or("").to_owned();
        let mut place = None;
        let mut open = 0_usize;
        for at in self.at..end {
            match self.nth(at - self.at) {
                Token::LParen => open += 1,
                Token::RParen => open = open.saturating_sub(1),
                _ => {}
            }
            let before = at.checked_sub(1).and_then(|before| self.word_at(before));
            if open == 0
                && self.word_at(at) == Some("into")
                && !matches!(before, Some("insert" | "merge"))
                && !matches!(first.as_str(), "create" | "import")
            {
                place = Some(at);
                break;
            }
        }
        let Some(place) = place else {
            let made = command(self.text_to(end), start)?;
            self.at = end + 1;
            return Ok(StmtKind::Command {
                command: made,
                into: None,
            });
        };
        let head = self.text_to(place).to_owned();
        self.at = place + 1;
        let into = self.into()?;
        let tail = self.text_to(end);
        let made = command(&format!("{head} {tail}"), start)?;
        self.at = end + 1;
        Ok(StmtKind::Command {
            command: made,
            into: Some(into),
        })
    }

    /// The semicolon that ends a statement of SQL.
    fn until_statement(&self) -> Result<usize, SqlError> {
        self.until(&[], true)
    }
}

/// How many arguments a message takes.
fn holes(format: &str) -> usize {
    let mut count = 0;
    let mut characters = format.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '%' {
            match characters.peek() {
                Some('%') => {
                    characters.next();
                }
                _ => count += 1,
            }
        }
    }
    count
}

/// The two sides of a `..` outside of strings and parentheses.
fn range(text: &str) -> Option<(&str, &str)> {
    let (mut open, mut quoted) = (0_usize, None);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match (quoted, byte) {
            (Some(quote), byte) if quote == byte => quoted = None,
            (Some(_), _) => {}
            (None, quote @ (b'\'' | b'"')) => quoted = Some(quote),
            (None, b'(' | b'[') => open += 1,
            (None, b')' | b']') => open = open.saturating_sub(1),
            (None, b'.') if open == 0 && bytes.get(at + 1) == Some(&b'.') => {
                return Some((text.get(..at)?, text.get(at + 2..)?));
            }
            _ => {}
        }
    }
    None
}

/// What stands of `to`, the end of a text, before its last piece.
fn slice_before<'t>(text: &str, to: &'t str, last: &str) -> &'t str {
    debug_assert!(
        text.ends_with(to),
        "the upper bound is the end of the range"
    );
    to.get(..to.len().saturating_sub(last.len())).unwrap_or(to)
}
