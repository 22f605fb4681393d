//! Words of INSERT, UPDATE, DELETE and MERGE that sqlparser does not know, put into a form that it
//! reads.
//!
//! What has no place in its trees becomes a name that no user can spell: it begins with a character
//! that text from a client never holds.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use crate::SqlError;
use crate::cursor::Cursor;
use crate::tokens::{character, slice, tokenize};

/// What such names begin with: PostgreSQL refuses it in text.
const MARK: char = '\0';

/// `WHERE CURRENT OF cursor`, as the name of a column: the cursor's name follows.
const CURRENT_OF: &str = "\0current of ";
/// MERGE's `DO NOTHING`, as the column that UPDATE sets.
pub const DO_NOTHING: &str = "\0do nothing";
/// MERGE's `INSERT DEFAULT VALUES`, as the column that INSERT names.
pub const DEFAULT_VALUES: &str = "\0default values";
/// The last column of MERGE's INSERT with OVERRIDING SYSTEM VALUE.
pub const OVERRIDING_SYSTEM: &str = "\0overriding system value";
/// The same of OVERRIDING USER VALUE.
pub const OVERRIDING_USER: &str = "\0overriding user value";

/// What ON CONFLICT names when it is more than columns: the columns or expressions of an index, and
/// its predicate.
#[derive(Debug, Clone, PartialEq)]
pub struct ConflictTarget {
    /// Columns and expressions.
    pub keys: Vec<sqlparser::ast::Expr>,
    /// WHERE.
    pub predicate: Option<sqlparser::ast::Expr>,
}

/// What stands in the name of a constraint that no constraint has.
///
/// # Errors
/// 42601 for what is no target.
pub fn conflict_target(name: &str) -> Result<Option<ConflictTarget>, SqlError> {
    let Some(text) = name.strip_prefix(MARK) else {
        return Ok(None);
    };
    let mut cursor = Cursor::new(text, tokenize(text)?);
    cursor.need(&Token::LParen)?;
    let keys = cursor.list(|cursor| {
        let key = cursor.expr()?;
        // An operator class.
        if matches!(cursor.peek().token, Token::Word(_)) {
            cursor.name()?;
        }
        Ok(key)
    })?;
    cursor.need(&Token::RParen)?;
    let predicate = match cursor.accept(&["where"]) {
        true => Some(cursor.expr()?),
        false => None,
    };
    cursor.finish()?;
    Ok(Some(ConflictTarget { keys, predicate }))
}

/// The cursor of `WHERE CURRENT OF`, which stands where a condition would.
#[must_use]
pub fn current_of(condition: &sqlparser::ast::Expr) -> Option<&str> {
    match condition {
        sqlparser::ast::Expr::Identifier(ident) => ident.value.strip_prefix(CURRENT_OF),
        _ => None,
    }
}

/// The tokens of a text with all of that replaced.
pub(crate) fn readable(text: &str, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let changes = |token: &TokenWithSpan| {
        matches!(
            unquoted(token),
            Some("insert" | "update" | "delete" | "merge" | "only")
        )
    };
    if !tokens.iter().any(changes) {
        return tokens;
    }
    let merge = tokens.iter().any(|token| unquoted(token) == Some("merge"));
    let mut made = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let rest = tokens.get(at..).unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let taken = match unquoted(token) {
            Some("on") => target(text, rest, &mut made),
            Some("only") => only(before, rest),
            Some("current") => current(before, rest, &mut made),
            Some("do") if merge => nothing(before, rest, &mut made),
            Some("insert") if merge => defaults(before, rest, &mut made),
            Some("overriding") if merge => overriding(rest, &mut made),
            _ => 0,
        };
        if taken == 0 {
            made.push(token.clone());
        }
        at += taken.max(1);
    }
    made
}

pub(crate) fn unquoted(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(word) if word.quote_style.is_none() => Some(word.value.as_str()),
        _ => None,
    }
}

fn words(tokens: &[TokenWithSpan], wanted: &[&str]) -> bool {
    tokens.len() >= wanted.len()
        && tokens
            .iter()
            .zip(wanted)
            .all(|(token, word)| unquoted(token) == Some(*word))
}

fn keyword(word: &str, span: Span) -> TokenWithSpan {
    let mut token = Token::make_keyword(word);
    if let Token::Word(word) = &mut token {
        word.value.make_ascii_lowercase();
    }
    TokenWithSpan::new(token, span)
}

pub(crate) fn name(value: String, span: Span) -> TokenWithSpan {
    let word = Word {
        value,
        quote_style: Some('"'),
        keyword: Keyword::NoKeyword,
    };
    TokenWithSpan::new(Token::Word(word), span)
}

/// `ON CONFLICT (lower(a), b) WHERE c DO` becomes `ON CONFLICT ON CONSTRAINT "…" DO`, where the
/// target is more than a list of columns.
fn target(text: &str, tokens: &[TokenWithSpan], made: &mut Vec<TokenWithSpan>) -> usize {
    if !words(tokens, &["on", "conflict"]) {
        return 0;
    }
    let is = |at: usize, wanted: &Token| tokens.get(at).is_some_and(|found| found.token == *wanted);
    if !is(2, &Token::LParen) {
        return 0;
    }
    let mut open = 0_usize;
    let mut plain = true;
    let mut end = None;
    for (at, token) in tokens.iter().enumerate().skip(2) {
        match &token.token {
            Token::LParen => {
                plain &= open == 0;
                open += 1;
            }
            Token::RParen => open = open.saturating_sub(1),
            Token::Comma => {}
            Token::Word(word) if open == 0 => {
                if word.quote_style.is_none() && word.value == "do" {
                    end = Some(at);
                    break;
                }
                plain = false;
            }
            Token::Word(_) => {
                let before = at.checked_sub(1).and_then(|at| tokens.get(at));
                let first = before.is_some_and(|t| matches!(t.token, Token::LParen | Token::Comma));
                plain &= first;
            }
            _ => plain = false,
        }
    }
    let (Some(end), false) = (end, plain) else {
        return 0;
    };
    let (Some(first), Some(last)) = (tokens.get(2), tokens.get(end - 1)) else {
        return 0;
    };
    let start = character(first.span.start);
    let written = slice(text, start, character(last.span.end));
    // Places in it stay those of the text.
    let blanks = " ".repeat(start.saturating_sub(1));
    made.extend(tokens.iter().take(2).cloned());
    made.push(keyword("ON", first.span));
    made.push(keyword("CONSTRAINT", first.span));
    made.push(name(format!("{MARK}{blanks}{written}"), first.span));
    end
}

/// `UPDATE ONLY t` is `UPDATE t`, and `FROM ONLY t` is `FROM t`: no table has children.
fn only(before: Option<&TokenWithSpan>, tokens: &[TokenWithSpan]) -> usize {
    let before = before.and_then(unquoted);
    let named = matches!(
        tokens.get(1).map(|token| &token.token),
        Some(Token::Word(_))
    );
    let changed = matches!(before, Some("update" | "from" | "into" | "using" | "join"));
    usize::from(changed && named)
}

/// Where some tokens stand that others take the place of: who cuts a statement out of a body goes by
/// where its last token ends.
fn over(tokens: &[TokenWithSpan], count: usize) -> Option<Span> {
    let (first, last) = (tokens.first()?, tokens.get(count - 1)?);
    Some(Span::new(first.span.start, last.span.end))
}

/// `WHERE CURRENT OF c`.
fn current(
    before: Option<&TokenWithSpan>,
    tokens: &[TokenWithSpan],
    made: &mut Vec<TokenWithSpan>,
) -> usize {
    let Some(span) = over(tokens, 3) else {
        return 0;
    };
    if before.and_then(unquoted) != Some("where") || !words(tokens, &["current", "of"]) {
        return 0;
    }
    let Some(Token::Word(cursor)) = tokens.get(2).map(|token| &token.token) else {
        return 0;
    };
    // It stands alone.
    let last = match tokens.get(3) {
        None => true,
        Some(token) => {
            unquoted(token) == Some("returning")
                || matches!(token.token, Token::SemiColon | Token::RParen | Token::EOF)
        }
    };
    if !last {
        return 0;
    }
    made.push(name(format!("{CURRENT_OF}{}", cursor.value), span));
    3
}

/// `THEN DO NOTHING` becomes an UPDATE or INSERT that is known by its column.
fn nothing(
    before: Option<&TokenWithSpan>,
    tokens: &[TokenWithSpan],
    made: &mut Vec<TokenWithSpan>,
) -> usize {
    let Some(span) = over(tokens, 2) else {
        return 0;
    };
    if before.and_then(unquoted) != Some("then") || !words(tokens, &["do", "nothing"]) {
        return 0;
    }
    // Of the two, WHEN MATCHED takes the first and WHEN NOT MATCHED the second.
    let when = made
        .iter()
        .rposition(|token| unquoted(token) == Some("when"));
    let not = when.and_then(|when| made.get(when + 1)).and_then(unquoted) == Some("not");
    let marked = name(DO_NOTHING.to_owned(), span);
    if not {
        let tokens = [Token::LParen, Token::RParen].map(|token| TokenWithSpan::new(token, span));
        let [open, close] = tokens;
        made.extend([keyword("INSERT", span), open.clone(), marked, close.clone()]);
        made.extend([keyword("VALUES", span), open, keyword("NULL", span), close]);
    } else {
        made.extend([keyword("UPDATE", span), keyword("SET", span), marked]);
        made.push(TokenWithSpan::new(Token::Eq, span));
        made.push(keyword("NULL", span));
    }
    2
}

/// `INSERT DEFAULT VALUES` of MERGE.
fn defaults(
    before: Option<&TokenWithSpan>,
    tokens: &[TokenWithSpan],
    made: &mut Vec<TokenWithSpan>,
) -> usize {
    let Some(span) = over(tokens, 3) else {
        return 0;
    };
    if before.and_then(unquoted) != Some("then") || !words(tokens, &["insert", "default", "values"])
    {
        return 0;
    }
    let tokens = [Token::LParen, Token::RParen].map(|token| TokenWithSpan::new(token, span));
    let [open, close] = tokens;
    made.extend([keyword("INSERT", span), open.clone()]);
    made.extend([name(DEFAULT_VALUES.to_owned(), span), close.clone()]);
    made.extend([keyword("VALUES", span), open, keyword("NULL", span), close]);
    3
}

/// `INSERT (…) OVERRIDING SYSTEM VALUE` of MERGE: the list of columns ends with what says so.
fn overriding(tokens: &[TokenWithSpan], made: &mut Vec<TokenWithSpan>) -> usize {
    let marked = match () {
        () if words(tokens, &["overriding", "system", "value"]) => OVERRIDING_SYSTEM,
        () if words(tokens, &["overriding", "user", "value"]) => OVERRIDING_USER,
        () => return 0,
    };
    let insert = made
        .iter()
        .rposition(|token| unquoted(token) == Some("insert"));
    let before = insert.and_then(|insert| made.get(insert.checked_sub(1)?));
    let (Some(first), Some("then")) = (tokens.first(), before.and_then(unquoted)) else {
        return 0;
    };
    let token = |token| TokenWithSpan::new(token, first.span);
    let listed = made.last().is_some_and(|last| last.token == Token::RParen);
    made.pop_if(|_| listed);
    let opens = if listed { Token::Comma } else { Token::LParen };
    made.extend([
        token(opens),
        name(marked.to_owned(), first.span),
        token(Token::RParen),
    ]);
    3
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::parse::parse_trees;

    fn read(text: &str) -> String {
        let parsed = parse_trees(text).unwrap();
        let crate::Statement::Insert(insert) = &parsed.first().unwrap().statement else {
            return format!("{:?}", parsed.first().unwrap().statement);
        };
        insert.to_string()
    }

    #[test]
    fn a_target_of_expressions_is_read_where_it_stands() {
        let text =
            "insert into t values (1) on conflict (lower(a), b text_ops) where c > 0 do nothing";
        let parsed = parse_trees(text).unwrap();
        let crate::Statement::Insert(insert) = &parsed.first().unwrap().statement else {
            panic!("no INSERT");
        };
        let Some(sqlparser::ast::OnInsert::OnConflict(on)) = &insert.on else {
            panic!("no conflict");
        };
        let Some(sqlparser::ast::ConflictTarget::OnConstraint(name)) = &on.conflict_target else {
            panic!("another target");
        };
        let name = &name.0.last().unwrap().as_ident().unwrap().value;
        let target = conflict_target(name).unwrap().unwrap();
        let keys: Vec<String> = target.keys.iter().map(ToString::to_string).collect();
        assert_eq!(keys, ["lower(a)", "b"]);
        assert_eq!(target.predicate.unwrap().to_string(), "c > 0");
        assert_eq!(conflict_target("t_pkey").unwrap(), None);
    }

    #[test]
    fn plain_targets_stay() {
        let text = "insert into t values (1) on conflict (a, b) do update set a = 1";
        assert!(
            read(text).contains("ON CONFLICT(a, b) DO UPDATE"),
            "{}",
            read(text)
        );
    }

    #[test]
    fn words_of_merge_are_read() {
        for text in [
            "merge into t using s on t.a = s.a when matched then do nothing",
            "merge into only t using s on t.a = s.a when not matched and s.b > 1 then do nothing",
            "merge into t using s on true when not matched then insert default values",
            "update only t set a = 1 where current of c",
            "delete from only t where current of c",
        ] {
            assert!(parse_trees(text).is_ok(), "{text}");
        }
    }
}
