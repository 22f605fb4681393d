//! Cursors: variables that are bound to queries, and the statements that open, move and close them.

use std::sync::Arc;

use sqlparser::tokenizer::Token;

use super::parse::{Reader, command, sql};
use super::tree::{Bound, Declaration, DeclaredType, Direction, Open, Sql, Stmt, StmtKind, Target};
use crate::cursor::Cursor;
use crate::statement::FetchDirection;
use crate::tokens::tokenize;
use crate::{SqlError, TypeRef};
use chronolith_types::{SqlState, SqlType};

/// What a body has declared, as far as cursors ask for it.
#[derive(Debug, Clone)]
pub(super) enum Known {
    /// A cursor with its query.
    Bound(Arc<Bound>),
    /// One that gets its query when it is opened.
    Unbound,
    /// Something else.
    Other,
}

impl Known {
    pub(super) fn of(ty: &DeclaredType) -> Self {
        match ty {
            DeclaredType::Cursor(bound) => Self::Bound(Arc::clone(bound)),
            DeclaredType::Type(TypeRef::Known(SqlType::Refcursor)) | DeclaredType::Alias(_) => {
                Self::Unbound
            }
            _ => Self::Other,
        }
    }
}

impl Reader<'_> {
    /// `[NO] SCROLL CURSOR [(args)] FOR query`, behind the variable's name; None where it is no
    /// cursor that is declared.
    pub(super) fn declared_cursor(
        &mut self,
        name: &str,
        line: usize,
    ) -> Result<Option<Declaration>, SqlError> {
        let cursor = |reader: &Self, n: usize| reader.word_at(reader.at + n) == Some("cursor");
        let scroll = if self.sees(&["no", "scroll"]) && cursor(self, 2) {
            self.at += 3;
            Some(false)
        } else if self.sees(&["scroll"]) && cursor(self, 1) {
            self.at += 2;
            Some(true)
        } else if cursor(self, 0) {
            self.at += 1;
            None
        } else {
            return Ok(None);
        };
        let mut args = Vec::new();
        if self.take(&Token::LParen) {
            loop {
                let arg = self.ident()?;
                let mut end = self.at;
                let mut open = 0_usize;
                loop {
                    match self.nth(end - self.at) {
                        Token::LParen => open += 1,
                        Token::RParen if open > 0 => open -= 1,
                        Token::RParen | Token::Comma if open == 0 => break,
                        Token::EOF | Token::SemiColon => return Err(self.unexpected()),
                        _ => {}
                    }
                    end += 1;
                }
                let text = self.text_to(end);
                let mut cursor = Cursor::new(text, tokenize(text)?);
                let ty = crate::routine::type_ref(&mut cursor)?;
                args.push((arg, ty));
                self.at = end;
                if cursor.finish().is_err() {
                    return Err(self.unexpected());
                }
                if !self.take(&Token::Comma) {
                    break;
                }
            }
            self.need(&Token::RParen)?;
        }
        if !self.accept(&["for"]) {
            self.expect(&["is"])?;
        }
        let end = self.until(&[], true)?;
        let query = command(self.text_to(end), self.start(self.at))?;
        self.at = end + 1;
        let name = name.to_owned();
        let bound = Bound {
            name: name.clone(),
            args,
            scroll,
            query,
        };
        Ok(Some(Declaration {
            name,
            constant: false,
            ty: DeclaredType::Cursor(Arc::new(bound)),
            not_null: false,
            default: None,
            line,
        }))
    }

    fn known(&self, name: &str) -> Option<&Known> {
        let mut known = self.declared.iter().rev();
        known.find_map(|(known, what)| (known == name).then_some(what))
    }

    /// The variable that a cursor is in.
    fn cursor(&mut self) -> Result<String, SqlError> {
        let start = self.start(self.at);
        let name = match self.token() {
            Token::Placeholder(number) => {
                let number = number.clone();
                self.at += 1;
                number
            }
            _ => self.ident()?,
        };
        match self.known(&name) {
            Some(Known::Other) => Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("variable \"{name}\" must be of type cursor or refcursor"),
                start,
            )),
            _ => Ok(name),
        }
    }

    pub(super) fn open(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let cursor = self.cursor()?;
        if let Some(Known::Bound(bound)) = self.known(&cursor) {
            let bound = Arc::clone(bound);
            let args = self.cursor_args(&bound)?;
            self.need(&Token::SemiColon)?;
            let how = Open::Bound(bound, args);
            return Ok(StmtKind::Open { cursor, how });
        }
        let scroll = if self.accept(&["no", "scroll"]) {
            Some(false)
        } else {
            self.accept(&["scroll"]).then_some(true)
        };
        if !self.accept(&["for"]) {
            let error = self.unexpected();
            let at = error.position.unwrap_or_default();
            let words =
                error
                    .message
                    .replacen("syntax error at", "syntax error, expected \"FOR\" at", 1);
            return Err(SqlError::syntax(words, at));
        }
        let how = if self.accept(&["execute"]) {
            let end = self.until(&["using"], true)?;
            let text = self.sql_to(end)?;
            let mut using = Vec::new();
            if self.accept(&["using"]) {
                let end = self.until(&[], true)?;
                using = self.sqls_to(end)?;
            }
            Open::Made(scroll, text, using)
        } else {
            let end = self.until(&[], true)?;
            let query = command(self.text_to(end), self.start(self.at))?;
            self.at = end;
            Open::Fixed(scroll, query)
        };
        self.need(&Token::SemiColon)?;
        Ok(StmtKind::Open { cursor, how })
    }

    /// The arguments of a cursor, by their places.
    fn cursor_args(&mut self, of: &Bound) -> Result<Vec<Sql>, SqlError> {
        let name = &of.name;
        let fault = |words: String, at: usize| Err(SqlError::syntax(words, at));
        let given = self.token() == &Token::LParen;
        match (of.args.is_empty(), given) {
            (true, false) => return Ok(Vec::new()),
            (true, true) => {
                let words = format!("cursor \"{name}\" has no arguments");
                return fault(words, self.start(self.at));
            }
            (false, false) => {
                let words = format!("cursor \"{name}\" has arguments");
                return fault(words, self.start(self.at));
            }
            (false, true) => self.at += 1,
        }
        let mut values: Vec<Option<Sql>> = vec![None; of.args.len()];
        let mut end = self.at;
        let mut open = 0_usize;
        loop {
            match self.nth(end - self.at) {
                Token::LParen | Token::LBracket => open += 1,
                Token::RParen if open == 0 => break,
                Token::RParen | Token::RBracket => open = open.saturating_sub(1),
                Token::EOF | Token::SemiColon => return Err(self.unexpected()),
                _ => {}
            }
            end += 1;
        }
        for count in 0.. {
            if count == of.args.len() {
                let words = format!("too many arguments for cursor \"{name}\"");
                return fault(words, self.start(self.at));
            }
            let named = matches!(self.nth(1), Token::Assignment | Token::RArrow);
            let mut place = count;
            if named {
                let start = self.start(self.at);
                let arg = self.ident()?;
                let found = of.args.iter().position(|(known, _)| *known == arg);
                let Some(found) = found else {
                    let words = format!("cursor \"{name}\" has no argument named \"{arg}\"");
                    return fault(words, start);
                };
                place = found;
                self.at += 1;
            }
            let start = self.start(self.at);
            let comma = self.comma_before(end);
            let value = sql(self.text_to(comma), start)?;
            self.at = comma;
            match values.get_mut(place) {
                Some(slot @ None) => *slot = Some(value),
                _ => {
                    let arg = of.args.get(place).map_or("", |(arg, _)| arg.as_str());
                    let words = format!(
                        "value for parameter \"{arg}\" of cursor \"{name}\" specified more than \
                         once"
                    );
                    return fault(words, start);
                }
            }
            if comma == end {
                break;
            }
            self.at += 1;
        }
        self.need(&Token::RParen)?;
        let values: Option<Vec<Sql>> = values.into_iter().collect();
        values.ok_or_else(|| {
            let words = format!("not enough arguments for cursor \"{name}\"");
            SqlError::syntax(words, self.start(self.at))
        })
    }

    /// FETCH and MOVE.
    pub(super) fn fetch(&mut self, only_move: bool) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let start = self.start(self.at);
        let (direction, many) = self.direction()?;
        if many && !only_move {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "FETCH statement cannot return multiple rows",
                start,
            ));
        }
        let cursor = self.cursor()?;
        let into = match only_move {
            true => None,
            false => {
                self.expect(&["into"])?;
                Some(self.into()?)
            }
        };
        self.need(&Token::SemiColon)?;
        Ok(StmtKind::Fetch {
            cursor,
            direction,
            into,
        })
    }

    /// Where a FETCH goes, and whether it may come by several rows.
    fn direction(&mut self) -> Result<(Direction, bool), SqlError> {
        let fixed = |direction| Direction::Fixed(direction);
        // A variable alone is the cursor.
        let alone = self.nth(1) == &Token::SemiColon || self.word_at(self.at + 1) == Some("into");
        let one = (fixed(FetchDirection::Forward(1)), false);
        let from = |reader: &mut Self| reader.accept(&["from"]) || reader.accept(&["in"]);
        if alone || from(self) {
            return Ok(one);
        }
        let found = if self.accept(&["next"]) {
            one
        } else if self.accept(&["prior"]) {
            (fixed(FetchDirection::Forward(-1)), false)
        } else if self.accept(&["first"]) {
            (fixed(FetchDirection::First), false)
        } else if self.accept(&["last"]) {
            (fixed(FetchDirection::Last), false)
        } else if self.accept(&["all"]) {
            (fixed(FetchDirection::ForwardAll), true)
        } else if self.accept(&["absolute"]) {
            (Direction::Absolute(self.count()?), false)
        } else if self.accept(&["relative"]) {
            (Direction::Relative(self.count()?), false)
        } else if self.sees(&["forward"]) || self.sees(&["backward"]) {
            let back = self.sees(&["backward"]);
            self.at += 1;
            let one = if back { -1 } else { 1 };
            if self.sees(&["from"]) || self.sees(&["in"]) {
                (fixed(FetchDirection::Forward(one)), false)
            } else if self.accept(&["all"]) {
                let all = [FetchDirection::ForwardAll, FetchDirection::BackwardAll];
                (fixed(all[usize::from(back)]), true)
            } else if back {
                (Direction::Backward(self.count()?), true)
            } else {
                (Direction::Forward(self.count()?), true)
            }
        } else {
            (Direction::Forward(self.count()?), true)
        };
        match from(self) {
            true => Ok(found),
            false => Err(self.unexpected()),
        }
    }

    fn count(&mut self) -> Result<Sql, SqlError> {
        let end = self.until(&["from", "in"], false)?;
        self.sql_to(end)
    }

    pub(super) fn close(&mut self) -> Result<StmtKind, SqlError> {
        self.at += 1;
        let cursor = self.cursor()?;
        self.need(&Token::SemiColon)?;
        Ok(StmtKind::Close { cursor })
    }

    /// `FOR r IN cursor [(args)] LOOP`, from the cursor on; None where it is something else that the
    /// loop goes over.
    pub(super) fn for_cursor(
        &mut self,
        label: Option<&String>,
        targets: &[Target],
        end: usize,
    ) -> Result<Option<StmtKind>, SqlError> {
        let Some(word) = self.word().map(str::to_owned) else {
            return Ok(None);
        };
        let alone = self.at + 1 == end;
        let start = self.start(self.at);
        let bound = match self.known(&word) {
            Some(Known::Bound(bound)) => Arc::clone(bound),
            _ if alone => {
                let words = "cursor FOR loop must use a bound cursor variable";
                return Err(SqlError::syntax(words, start));
            }
            _ => return Ok(None),
        };
        let [Target { parts, index: None }] = targets else {
            let words = "cursor FOR loop must have only one target variable";
            return Err(SqlError::syntax(words, start));
        };
        let [variable] = parts.as_slice() else {
            return Err(self.unexpected());
        };
        let variable = variable.clone();
        self.at += 1;
        let args = self.cursor_args(&bound)?;
        if self.at != end {
            return Err(self.unexpected());
        }
        self.at = end + 1;
        let known = self.declared.len();
        self.declared.push((variable.clone(), Known::Other));
        let body: Vec<Stmt> = self.looped(label.map(String::as_str))?;
        self.declared.truncate(known);
        Ok(Some(StmtKind::ForCursor {
            label: label.cloned(),
            variable,
            cursor: word,
            bound,
            args,
            body,
        }))
    }
}
