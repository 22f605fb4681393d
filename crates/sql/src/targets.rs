//! What values are assigned to where it is more than a column: `SET a[1] = …`, `INSERT INTO t (a[1])`.
//!
//! sqlparser has no place for subscripts there: such a target becomes a name that no user can spell,
//! which says what was written.

use sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName,
};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::SqlError;
use crate::changes::{name, unquoted};
use crate::cursor::expression;
use crate::tokens::{character, slice};

/// What such names begin with.
const MARK: &str = "\0of ";

/// A column, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Assigned {
    /// The column.
    pub column: Ident,
    /// Fields and subscripts, the outermost first; none for the column itself.
    pub path: Vec<AccessExpr>,
}

/// Whether a name that is assigned to is but a part of a column.
#[must_use]
pub fn is_part(name: &ObjectName) -> bool {
    let mut idents = name.0.iter().filter_map(|part| part.as_ident());
    let first = idents.next();
    first.is_some_and(|first| first.value.starts_with(MARK)) || idents.next().is_some()
}

/// What a name that is assigned to means.
///
/// # Errors
/// 42601 for what cannot be assigned to.
pub fn assigned(name: &ObjectName) -> Result<Assigned, SqlError> {
    let mut idents = name.0.iter().filter_map(|part| part.as_ident());
    let nothing = || SqlError::syntax("a name is missing", 1);
    let first = idents.next().ok_or_else(nothing)?;
    let field = |ident: &Ident| AccessExpr::Dot(Expr::Identifier(ident.clone()));
    let Some(text) = first.value.strip_prefix(MARK) else {
        return Ok(Assigned {
            column: first.clone(),
            path: idents.map(field).collect(),
        });
    };
    let wrong = || SqlError::syntax("syntax error", 1);
    let Expr::CompoundFieldAccess { root, access_chain } = expression(text)? else {
        return Err(wrong());
    };
    let (column, mut path) = match *root {
        Expr::Identifier(column) => (column, Vec::new()),
        Expr::CompoundIdentifier(parts) => {
            let mut parts = parts.iter();
            let column = parts.next().ok_or_else(wrong)?;
            (column.clone(), parts.map(field).collect())
        }
        _ => return Err(wrong()),
    };
    path.extend(access_chain);
    Ok(Assigned { column, path })
}

/// What a PL/pgSQL statement assigns to part of a variable, as a value of all of it: a call that no
/// user can spell, of the value that the part gets.
pub(crate) fn part_of(target: &str, value: Expr) -> Expr {
    let name = ObjectName::from(vec![Ident::with_quote('"', format!("{MARK}{target}"))]);
    Expr::Function(Function {
        name,
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))],
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// What such a call assigns to, and which value; None for any other call.
///
/// # Errors
/// 42601 for what cannot be assigned to.
pub fn part_call(call: &Function) -> Result<Option<(Assigned, &Expr)>, SqlError> {
    let name = call.name.0.first().and_then(|part| part.as_ident());
    if !name.is_some_and(|name| name.value.starts_with(MARK)) {
        return Ok(None);
    }
    let FunctionArguments::List(list) = &call.args else {
        return Ok(None);
    };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(value))] = list.args.as_slice() else {
        return Ok(None);
    };
    Ok(Some((assigned(&call.name)?, value)))
}

/// A list of targets that is being read.
#[derive(Debug, Clone, Copy)]
struct List {
    /// Parentheses around it.
    depth: usize,
    /// It is SET's, and each of it has a value behind it.
    set: bool,
}

/// The tokens of a text with all such targets replaced.
pub(crate) fn readable(text: &str, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|token| token.token == Token::LBracket) {
        return tokens;
    }
    let mut made = Vec::with_capacity(tokens.len());
    let mut lists: Vec<List> = Vec::new();
    let mut depth = 0_usize;
    // Where a list of INSERT begins.
    let mut opens = None;
    let mut begins = false;
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let here = lists.last().copied().filter(|list| list.depth == depth);
        if begins
            && let Some(end) = path(&tokens, at, here.is_some_and(|list| list.set))
            && let (Some(first), Some(last)) = (tokens.get(at), tokens.get(end - 1))
        {
            let start = character(first.span.start);
            let written = slice(text, start, character(last.span.end));
            // Places in it stay those of the text.
            let blanks = " ".repeat(start.saturating_sub(1));
            made.push(name(format!("{MARK}{blanks}{written}"), first.span));
            begins = false;
            at = end;
            continue;
        }
        let began = std::mem::take(&mut begins);
        match &token.token {
            Token::LParen => {
                depth += 1;
                // `SET (a[1], b) = …`, and INSERT's columns.
                if opens.take() == Some(at) || began && here.is_some_and(|list| list.set) {
                    lists.push(List { depth, set: false });
                    begins = true;
                }
            }
            Token::RParen => {
                depth = depth.saturating_sub(1);
                lists.retain(|list| list.depth <= depth);
            }
            Token::Comma => begins = here.is_some(),
            Token::SemiColon => lists.clear(),
            _ => match unquoted(token) {
                Some("set") => {
                    lists.push(List { depth, set: true });
                    begins = true;
                }
                Some("insert") => opens = columns(&tokens, at + 1),
                // What stands behind WHERE and FROM is no list of comparisons.
                Some("returning") if here.is_some_and(|list| list.set) => {
                    lists.pop();
                }
                _ => {}
            },
        }
        made.push(token.clone());
        at += 1;
    }
    made
}

/// Where the columns of an INSERT open, if it names any.
fn columns(tokens: &[TokenWithSpan], mut at: usize) -> Option<usize> {
    let word = |at: usize| tokens.get(at).and_then(unquoted);
    let is = |at: usize, wanted: &Token| tokens.get(at).is_some_and(|of| of.token == *wanted);
    if word(at) == Some("into") {
        at += 2;
        while is(at, &Token::Period) {
            at += 2;
        }
        if word(at) == Some("as") {
            at += 2;
        }
    }
    let query = matches!(word(at + 1), Some("select" | "with" | "values" | "table"));
    (is(at, &Token::LParen) && !query).then_some(at)
}

/// Behind a column with subscripts that stands somewhere, in the place of a target; `set` tells what
/// follows one.
fn path(tokens: &[TokenWithSpan], mut at: usize, set: bool) -> Option<usize> {
    let token = |at: usize| tokens.get(at).map(|token| &token.token);
    if !matches!(token(at), Some(Token::Word(_))) {
        return None;
    }
    at += 1;
    let mut subscripts = false;
    loop {
        match token(at) {
            Some(Token::Period) if matches!(token(at + 1), Some(Token::Word(_))) => at += 2,
            Some(Token::LBracket) => {
                subscripts = true;
                let mut open = 0_usize;
                loop {
                    match token(at) {
                        Some(Token::LBracket) => open += 1,
                        Some(Token::RBracket) => open = open.saturating_sub(1),
                        None | Some(Token::SemiColon) => return None,
                        Some(_) => {}
                    }
                    at += 1;
                    if open == 0 {
                        break;
                    }
                }
            }
            Some(Token::Eq) if subscripts && set => return Some(at),
            Some(Token::Comma | Token::RParen) if subscripts && !set => return Some(at),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::tokens::tokenize;

    /// The targets of a text that became names.
    fn targets(text: &str) -> Vec<String> {
        let tokens = tokenize(text).unwrap();
        let marked = tokens.iter().filter_map(|token| match &token.token {
            sqlparser::tokenizer::Token::Word(word) => word.value.strip_prefix(super::MARK),
            _ => None,
        });
        marked.map(|text| text.trim().to_owned()).collect()
    }

    #[test]
    fn what_is_assigned_to_is_told_from_what_is_read() {
        assert_eq!(
            targets("update t set a[1] = b[2], c.d[3:4] = 5, e = f[1] where g[1] = 2 and h[1] = 3"),
            ["a[1]", "c.d[3:4]"]
        );
        assert_eq!(
            targets("update t set (a[1], b) = (c[1], d[1]), e[2][3].f = x[1]"),
            ["a[1]", "e[2][3].f"]
        );
        assert_eq!(
            targets(
                "insert into s.t as u (a[1], b[i + 1]) select c[1], d[2] from v where (e[1], f[1]) = (1, 2)"
            ),
            ["a[1]", "b[i + 1]"]
        );
        assert_eq!(
            targets(
                "insert into t values (a[1], b[2]) on conflict (a) do update set a[1] = excluded.a[1]"
            ),
            ["a[1]"]
        );
        assert_eq!(
            targets(
                "merge into t using s on t.a[1] = s.b when matched then update set a[1] = 1 when not matched then insert (a[2]) values (b[1])"
            ),
            ["a[1]", "a[2]"]
        );
        assert_eq!(
            targets(
                "update t set a = case when b is distinct from c then d[1] end, e[1] = 2 returning f[1] = 1, g[1] = 2"
            ),
            ["e[1]"]
        );
        assert_eq!(targets("insert into t (select 1, a[1], b[1])"), [""; 0]);
        assert_eq!(targets("select a[1] = 2, b[1] from t"), [""; 0]);
    }
}
