//! What the parser reads and PostgreSQL's grammar refuses: `SELECT 1a`, `FROM t, WHERE …`, a JOIN that
//! says not what it joins on. Looked for in the tokens as they were written.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::SqlError;
use crate::cursor::is_reserved;
use crate::tokens::{character, slice};

/// The first place of a text that no statement of PostgreSQL has.
///
/// With it goes the position from which on the parser's word counts for nothing.
pub(crate) fn first(text: &str, tokens: &[TokenWithSpan]) -> Option<(usize, SqlError)> {
    let mut open: Vec<Open> = vec![Open::default()];
    let mut begins = 0;
    for at in 0..tokens.len() {
        let here = Here { text, tokens, at };
        let found = here.spelling().or_else(|| here.missing());
        let found =
            found.or_else(|| crate::misplaced::found(text, tokens, at, open.len() - 1, begins));
        let found = found.or_else(|| here.unjoined(&mut open));
        if let Some(found) = found {
            let from = tokens
                .get(at)
                .map_or(1, |token| character(token.span.start));
            return Some((from, found));
        }
        if tokens
            .get(at)
            .is_some_and(|token| token.token == Token::SemiColon)
        {
            begins = at + 1;
        }
    }
    let unjoined = open.last().is_some_and(|open| open.joins > 0);
    unjoined.then(|| {
        let found = near(text, tokens, tokens.len());
        (found.position.unwrap_or(1), found)
    })
}

/// What parentheses or brackets are open around a token.
#[derive(Debug, Default)]
struct Open {
    /// JOINs that have no ON and no USING yet.
    joins: usize,
    /// Nothing may be taken out of what they hold: arguments, or the elements of an array.
    whole: bool,
    /// Arguments behind the name of what may be a type.
    of_type: bool,
    /// They hold a row.
    row: bool,
    brackets: bool,
    /// Colons of a subscript.
    colons: usize,
}

/// Words that end what has to be there before them.
const ENDS: [&str; 21] = [
    "and",
    "asc",
    "desc",
    "else",
    "end",
    "except",
    "fetch",
    "from",
    "having",
    "intersect",
    "into",
    "limit",
    "offset",
    "on",
    "or",
    "order",
    "then",
    "union",
    "using",
    "when",
    "where",
];

pub(crate) fn near(text: &str, tokens: &[TokenWithSpan], at: usize) -> SqlError {
    match tokens.get(at) {
        Some(token) if token.token != Token::SemiColon || at + 1 < tokens.len() => {
            let (start, end) = (character(token.span.start), character(token.span.end));
            let written = slice(text, start, end);
            SqlError::syntax(format!("syntax error at or near \"{written}\""), start)
        }
        Some(token) => {
            SqlError::syntax("syntax error at or near \";\"", character(token.span.start))
        }
        None => {
            let end = tokens.last().map_or(1, |last| character(last.span.end));
            SqlError::syntax("syntax error at end of input", end)
        }
    }
}

/// A token among its neighbours.
struct Here<'a> {
    text: &'a str,
    tokens: &'a [TokenWithSpan],
    at: usize,
}

impl Here<'_> {
    fn token(&self) -> Option<&Token> {
        self.tokens.get(self.at).map(|token| &token.token)
    }

    fn before(&self) -> Option<&Token> {
        let at = self.at.checked_sub(1)?;
        self.tokens.get(at).map(|token| &token.token)
    }

    fn after(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1).map(|token| &token.token)
    }

    fn error(&self, at: usize) -> Option<SqlError> {
        Some(near(self.text, self.tokens, at))
    }

    /// Numbers and parameters with letters behind them, names without letters, strings side by side.
    fn spelling(&self) -> Option<SqlError> {
        let span = self.tokens.get(self.at)?.span;
        let start = character(span.start);
        let next = self.tokens.get(self.at + 1);
        let adjacent = next.filter(|next| next.span.start == span.end);
        let word = adjacent
            .filter(|next| matches!(&next.token, Token::Word(word) if word.quote_style.is_none()));
        let end = character(word.map_or(span.end, |word| word.span.end));
        let written = || slice(self.text, start, end);
        let junk = |what: &str| {
            let written = written();
            let message = format!("trailing junk after {what} at or near \"{written}\"");
            Some(SqlError::syntax(message, start))
        };
        match self.token()? {
            Token::Number(_, long) if *long || word.is_some() => junk("numeric literal"),
            Token::HexStringLiteral(_) if written().starts_with('0') => junk("numeric literal"),
            Token::Placeholder(name) => {
                let digits = name.strip_prefix('$')?;
                let number = digits.starts_with(|first: char| first.is_ascii_digit());
                let letters = digits.contains(|other: char| !other.is_ascii_digit());
                match number && letters {
                    true => junk("parameter"),
                    false => None,
                }
            }
            Token::Word(word) if word.value.is_empty() && word.quote_style.is_some() => {
                let message = "zero-length delimited identifier at or near \"\"\"\"";
                Some(SqlError::syntax(message, start))
            }
            Token::SingleQuotedString(_) | Token::Number(..) => {
                let next =
                    next.filter(|next| matches!(next.token, Token::SingleQuotedString(_)))?;
                let between = slice(self.text, end, character(next.span.start));
                // Behind the end of a line it goes on.
                match between.contains('\n') {
                    true => None,
                    false => self.error(self.at + 1),
                }
            }
            _ => None,
        }
    }

    /// Words where something else has to be first.
    fn missing(&self) -> Option<SqlError> {
        let first = matches!(self.before(), None | Some(Token::SemiColon));
        let next = self.after().and_then(unquoted);
        let before = self.before().and_then(unquoted);
        let Some(word) = self.token().and_then(unquoted) else {
            // `count(DISTINCT *)`
            let star = self.token() == Some(&Token::Mul) && before == Some("distinct");
            let opened = self.at.checked_sub(2).and_then(|at| self.tokens.get(at));
            let opened = opened.is_some_and(|open| open.token == Token::LParen);
            return match star && opened && self.after() == Some(&Token::RParen) {
                true => self.error(self.at),
                false => None,
            };
        };
        if matches!(self.before(), Some(Token::Period)) || before == Some("as") {
            return None;
        }
        // A statement, or one in WITH; a column may be called so.
        let opened = self.at.checked_sub(2).and_then(|at| self.tokens.get(at));
        let within = opened.and_then(|opened| unquoted(&opened.token));
        let begins = first
            || self.before() == Some(&Token::LParen)
                && matches!(within, Some("as" | "materialized"));
        match word {
            "insert" if begins && next != Some("into") => return self.error(self.at + 1),
            "delete" if begins && next != Some("from") => return self.error(self.at + 1),
            "order" if next != Some("by") => return self.error(self.at + 1),
            "group" if next != Some("by") && self.after().is_none() => {
                let kept = ["create", "drop", "exclude", "from", "in", "to"];
                if !before.is_some_and(|before| kept.contains(&before)) {
                    return self.error(self.at + 1);
                }
            }
            "select" if before == Some("select") => return self.error(self.at),
            _ => {}
        }
        let ends = ENDS.contains(&word) || word == "group" && next == Some("by");
        if !ends {
            return None;
        }
        let named = opened.is_some_and(|token| {
            token.token == Token::Period || unquoted(&token.token) == Some("as")
        });
        let wanting = match self.before()? {
            Token::Comma => !matches!(word, "into"),
            Token::Word(of) if of.quote_style.is_none() && !named => match of.value.as_str() {
                "from" => word != "end",
                "where" | "having" | "join" => true,
                // A column may be called so.
                "by" => matches!(within, Some("order" | "group" | "partition")),
                "and" | "or" => word != "on",
                "when" | "case" => matches!(word, "then" | "end"),
                "then" | "else" => matches!(word, "end" | "else" | "when"),
                _ => false,
            },
            // `SET a = on`
            other => word != "on" && operator(other),
        };
        match wanting {
            true => self.error(self.at),
            false => None,
        }
    }

    /// JOINs without a condition, and parts of what has none.
    fn unjoined(&self, open: &mut Vec<Open>) -> Option<SqlError> {
        let (token, inner) = (self.token()?, open.last_mut()?);
        match token {
            Token::LParen => {
                let call = self.before().is_some_and(names_function);
                let of_type = self.before().is_some_and(names_type);
                open.push(Open {
                    whole: call,
                    of_type,
                    ..Open::default()
                });
            }
            Token::LBracket => {
                let array = self.before().and_then(unquoted) == Some("array");
                open.push(Open {
                    whole: array,
                    brackets: true,
                    ..Open::default()
                });
            }
            Token::RParen | Token::RBracket => {
                if inner.joins > 0 {
                    return self.error(self.at);
                }
                let whole = inner.whole || inner.row;
                let part = match self.after() {
                    Some(Token::Period) => whole,
                    Some(Token::LBracket) => whole && !inner.of_type,
                    _ => false,
                };
                if part {
                    return self.error(self.at + 1);
                }
                if open.len() > 1 {
                    open.pop();
                }
            }
            Token::SemiColon if inner.joins > 0 => return self.error(self.at),
            Token::Comma if inner.joins > 0 => return self.error(self.at),
            Token::Comma => inner.row = true,
            Token::Colon => {
                inner.colons += 1;
                if inner.colons > 1 && inner.brackets {
                    return self.error(self.at);
                }
            }
            _ => {
                let label = self.before() == Some(&Token::Period)
                    || self.before().and_then(unquoted) == Some("as");
                match unquoted(token).filter(|_| !label) {
                    Some("join") if self.is_conditional() => inner.joins += 1,
                    Some("on" | "using") => inner.joins = inner.joins.saturating_sub(1),
                    Some(
                        "where" | "group" | "having" | "order" | "limit" | "union" | "intersect"
                        | "except" | "returning" | "window",
                    ) if inner.joins > 0 => return self.error(self.at),
                    _ => {}
                }
            }
        }
        None
    }

    /// Whether a JOIN needs a condition: neither CROSS nor NATURAL, nor the option of an operator.
    fn is_conditional(&self) -> bool {
        if self.after() == Some(&Token::Eq) {
            return false;
        }
        let before = self.tokens.iter().take(self.at).rev();
        let mut words = before.map(|token| unquoted(&token.token));
        let kind =
            words.find(|word| !matches!(word, Some("inner" | "outer" | "left" | "right" | "full")));
        !matches!(kind.flatten(), Some("cross" | "natural"))
    }
}

pub(crate) fn unquoted(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// Whether an operand has to follow. A star may stand for all columns.
fn operator(token: &Token) -> bool {
    matches!(
        token,
        Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Plus
            | Token::Minus
            | Token::Div
            | Token::Mod
            | Token::StringConcat
            | Token::Arrow
            | Token::LongArrow
            | Token::HashArrow
            | Token::HashLongArrow
            | Token::AtArrow
            | Token::ArrowAt
            | Token::AtSign
            | Token::DoubleColon
    )
}

fn names_function(token: &Token) -> bool {
    const OTHERS: [&str; 34] = [
        "between",
        "by",
        "cross",
        "cube",
        "distinct",
        "escape",
        "execute",
        "exists",
        "filter",
        "full",
        "if",
        "ilike",
        "inner",
        "is",
        "isnull",
        "join",
        "left",
        "like",
        "natural",
        "notnull",
        "outer",
        "over",
        "overlaps",
        "partition",
        "range",
        "return",
        "right",
        "rollup",
        "rows",
        "set",
        "similar",
        "values",
        "while",
        "zone",
    ];
    match token {
        Token::Word(word) if word.quote_style.is_none() => {
            let name = word.value.as_str();
            name == "array" || !is_reserved(name) && !OTHERS.contains(&name)
        }
        Token::Word(_) => true,
        _ => false,
    }
}

/// Types whose modifiers stand in parentheses: `numeric(10,2)[]`.
fn names_type(token: &Token) -> bool {
    const TYPES: [&str; 14] = [
        "bit",
        "bpchar",
        "char",
        "character",
        "dec",
        "decimal",
        "float",
        "interval",
        "numeric",
        "time",
        "timestamp",
        "timestamptz",
        "timetz",
        "varchar",
    ];
    let varying = ["varying", "second"];
    unquoted(token).is_some_and(|name| TYPES.contains(&name) || varying.contains(&name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use crate::parse;

    fn told(text: &str) -> String {
        let error = parse(text).unwrap_err();
        format!("{} {}", error.position.unwrap_or(0), error.message)
    }

    /// As PostgreSQL 15 says it.
    #[test]
    fn what_postgresql_refuses_is_refused_where_it_stands() {
        for (text, expected) in [
            (
                "SELECT 1a",
                "8 trailing junk after numeric literal at or near \"1a\"",
            ),
            (
                "SELECT 1.5x",
                "8 trailing junk after numeric literal at or near \"1.5x\"",
            ),
            (
                "SELECT 1 WHERE 1=1and true",
                "18 trailing junk after numeric literal at or near \"1and\"",
            ),
            (
                "SELECT 1_000",
                "8 trailing junk after numeric literal at or near \"1_000\"",
            ),
            (
                "SELECT 0x1F",
                "8 trailing junk after numeric literal at or near \"0x1F\"",
            ),
            (
                "SELECT $1a",
                "8 trailing junk after parameter at or near \"$1a\"",
            ),
            (
                "SELECT a AS \"\" FROM t",
                "13 zero-length delimited identifier at or near \"\"\"\"",
            ),
            ("SELECT 'a' 'b'", "12 syntax error at or near \"'b'\""),
            ("SELECT a, FROM t", "11 syntax error at or near \"FROM\""),
            (
                "SELECT a FROM WHERE",
                "15 syntax error at or near \"WHERE\"",
            ),
            (
                "SELECT a FROM t, WHERE true",
                "18 syntax error at or near \"WHERE\"",
            ),
            (
                "SELECT a FROM t WHERE ORDER BY 1",
                "23 syntax error at or near \"ORDER\"",
            ),
            (
                "SELECT a FROM t ORDER BY a, LIMIT 1",
                "29 syntax error at or near \"LIMIT\"",
            ),
            ("SELECT a FROM t ORDER", "22 syntax error at end of input"),
            ("SELECT a FROM t GROUP", "22 syntax error at end of input"),
            ("SELECT a ->> FROM t", "14 syntax error at or near \"FROM\""),
            ("SELECT select", "8 syntax error at or near \"select\""),
            (
                "SELECT CASE WHEN THEN 1 END",
                "18 syntax error at or near \"THEN\"",
            ),
            (
                "SELECT CASE WHEN true THEN END",
                "28 syntax error at or near \"END\"",
            ),
            ("SELECT 1 FROM t JOIN u", "23 syntax error at end of input"),
            (
                "SELECT 1 FROM t JOIN u WHERE true",
                "24 syntax error at or near \"WHERE\"",
            ),
            (
                "SELECT 1 FROM (t JOIN u) x",
                "24 syntax error at or near \")\"",
            ),
            (
                "SELECT 1 FROM t JOIN ON true",
                "22 syntax error at or near \"ON\"",
            ),
            ("INSERT t VALUES (1)", "8 syntax error at or near \"t\""),
            ("DELETE t", "8 syntax error at or near \"t\""),
            (
                "SELECT count(DISTINCT *) FROM t",
                "23 syntax error at or near \"*\"",
            ),
            ("SELECT ROW(1,2).f1", "16 syntax error at or near \".\""),
            ("SELECT (1,2).f1", "13 syntax error at or near \".\""),
            ("SELECT lower('x').a", "18 syntax error at or near \".\""),
            (
                "SELECT string_to_array('a', ',')[1]",
                "33 syntax error at or near \"[\"",
            ),
            ("SELECT ARRAY[1,2][1]", "18 syntax error at or near \"[\""),
            (
                "SELECT (ARRAY[1,2])[1:2:3]",
                "24 syntax error at or near \":\"",
            ),
            (
                "SELECT 1; SELECT 2b",
                "18 trailing junk after numeric literal at or near \"2b\"",
            ),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn what_looks_like_it_is_read() {
        for text in [
            "SELECT 'a'\n'b'",
            "SELECT (f(1)).a, (ARRAY[1,2])[1], (x).y, a[1:2], a[b[1:2][1]:3]",
            "SELECT a::numeric(10,2)[], '{}'::varchar(3)[]",
            "CREATE TABLE t (a numeric(10,2)[3], b int[], c time(3)[])",
            "SELECT * FROM a CROSS JOIN b NATURAL LEFT JOIN c JOIN d USING (e)",
            "SELECT * FROM a JOIN b JOIN c ON true ON true, d JOIN LATERAL (SELECT 1) e ON true",
            "SELECT DISTINCT * FROM t",
            "SELECT DISTINCT ON (a) * FROM t",
            "SELECT count(*) FROM t GROUP BY a HAVING true ORDER BY 1 LIMIT 1",
            "SELECT sum(a) OVER (ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING EXCLUDE GROUP) FROM t",
            "SELECT 1 AS order, 2 AS group, t.from FROM t",
            "SELECT 1e5, 1.5e-3, .5, 5., $1, 1::int",
            "SELECT a IS DISTINCT FROM b FROM t",
            "SELECT x IN (1, 2) AND y BETWEEN (a).b AND 3 FROM t",
            "GRANT SELECT, INSERT (a), REFERENCES ON t TO a, GROUP b",
            "CREATE TRIGGER x BEFORE INSERT OR UPDATE OF a, b ON t FOR EACH ROW EXECUTE FUNCTION f()",
            "CREATE FUNCTION f(a int, IN b int, OUT c int) LANGUAGE sql AS 'select 1'",
            "INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO UPDATE SET b = 1 RETURNING a, b",
            "WITH x AS (INSERT INTO t VALUES (1) RETURNING a), y AS (DELETE FROM t) SELECT 1",
            "SELECT CASE a WHEN 1 THEN 2 ELSE 3 END, CASE WHEN a THEN b END FROM t",
            "SET array_nulls = on",
        ] {
            let read = parse(text);
            assert!(read.is_ok(), "{text}: {read:?}");
        }
    }
}
