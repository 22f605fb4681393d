//! What the parser reads as other databases do, told by the words around it: `AS 'x'`, `int(11)`,
//! `DELETE … LIMIT`, `FROM SELECT`. PostgreSQL's grammar refuses each where it stands.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::SqlError;
use crate::cursor::is_reserved;
use crate::refused::{near, unquoted};
use crate::tokens::character;

/// What a statement refuses at a token, which stands within so many parentheses and brackets;
/// `begins` is the statement's first token.
pub(crate) fn found(
    text: &str,
    tokens: &[TokenWithSpan],
    at: usize,
    depth: usize,
    begins: usize,
) -> Option<SqlError> {
    let around = Around {
        tokens,
        at,
        depth,
        begins,
    };
    let wrong = around.string().or_else(|| around.word());
    let wrong = wrong.or_else(|| around.sign());
    if let Some(wrong) = wrong {
        return Some(near(text, tokens, wrong));
    }
    around.comma_limit()
}

/// A token with those of its statement.
struct Around<'a> {
    tokens: &'a [TokenWithSpan],
    at: usize,
    depth: usize,
    /// The statement's first token.
    begins: usize,
}

impl Around<'_> {
    fn token(&self, at: usize) -> Option<&Token> {
        let token = self.tokens.get(at).map(|token| &token.token);
        token.filter(|token| **token != Token::SemiColon)
    }

    /// The token so many places before this one.
    fn before(&self, places: usize) -> Option<&Token> {
        let at = self.at.checked_sub(places)?;
        (at >= self.begins).then(|| self.token(at)).flatten()
    }

    fn word_before(&self, places: usize) -> Option<&str> {
        self.before(places).and_then(unquoted)
    }

    fn after(&self, places: usize) -> Option<&Token> {
        self.token(self.at + places)
    }

    fn word_after(&self, places: usize) -> Option<&str> {
        self.after(places).and_then(unquoted)
    }

    /// The words that the statement begins with.
    fn first(&self) -> &str {
        self.token(self.begins).and_then(unquoted).unwrap_or("")
    }

    fn second(&self) -> &str {
        self.token(self.begins + 1).and_then(unquoted).unwrap_or("")
    }

    /// Whether it is about rows, and no definition.
    fn is_query(&self) -> bool {
        let queries = [
            "select", "with", "insert", "update", "delete", "merge", "values",
        ];
        queries.contains(&self.first())
    }

    /// A string where a name has to be.
    fn string(&self) -> Option<usize> {
        if !matches!(self.token(self.at)?, Token::SingleQuotedString(_)) {
            return None;
        }
        let label = self.word_before(1) == Some("as") && self.is_query();
        let relation = self.word_before(1) == Some("from")
            && self.depth == 0
            && self.first() == "select"
            && self.word_before(2) != Some("distinct");
        (label || relation).then_some(self.at)
    }

    fn word(&self) -> Option<usize> {
        let word = self.token(self.at).and_then(unquoted)?;
        let before = self.word_before(1);
        if before == Some("as") || self.before(1) == Some(&Token::Period) {
            return None;
        }
        let here = Some(self.at);
        let next = Some(self.at + 1);
        match word {
            "select" if before == Some("from") => here,
            "select" if self.before(1) == Some(&Token::Comma) && self.is_query() => here,
            "else" if before == Some("case") => here,
            "limit" | "order" if matches!(self.first(), "update" | "delete") && self.depth == 0 => {
                here
            }
            "duplicate"
                if before == Some("on")
                    && self.first() == "insert"
                    && self.word_after(1) == Some("key") =>
            {
                here
            }
            "set" if self.first() == "insert" && self.begins + 3 == self.at => here,
            "with" if self.first() == "select" && self.after(1) == Some(&Token::LParen) => here,
            "all" if before == Some("by") && self.word_before(2) == Some("group") => {
                self.after(1).is_none().then_some(self.at + 1)
            }
            "outer" if self.word_after(1) == Some("join") => {
                let sides = ["left", "right", "full"];
                let sided = before.is_some_and(|before| sides.contains(&before));
                (!sided).then_some(self.at)
            }
            "fetch"
                if self.at > self.begins
                    && matches!(self.word_after(1), Some("first" | "next")) =>
            {
                self.fetched()
            }
            "on" if before == Some("distinct")
                && self.after(1) == Some(&Token::LParen)
                && self.after(2) == Some(&Token::RParen) =>
            {
                Some(self.at + 2)
            }
            "primary" if self.is_column_list() && self.word_after(1) != Some("key") => next,
            "not" if matches!(self.after(1), None | Some(Token::RParen | Token::Comma)) => next,
            "unique" if before == Some("create") && self.word_after(1) != Some("index") => next,
            "materialized" if before == Some("create") && self.word_after(1) != Some("view") => {
                next
            }
            _ if self.first() == "table" && self.depth == 0 && self.at == self.behind_table() => {
                let ends = [
                    "order",
                    "limit",
                    "offset",
                    "fetch",
                    "for",
                    "union",
                    "intersect",
                    "except",
                ];
                (!ends.contains(&word)).then_some(self.at)
            }
            "max" if self.before(1) == Some(&Token::LParen) && self.of_column(2) => {
                let of = self.word_before(2);
                let sized = ["varchar", "char", "character", "varbit", "bit"];
                of.is_some_and(|of| sized.contains(&of)).then_some(self.at)
            }
            _ => None,
        }
    }

    /// Signs and parentheses where none may be.
    fn sign(&self) -> Option<usize> {
        let token = self.token(self.at)?;
        let before = self.before(1);
        match token {
            Token::LParen if self.of_column(1) => {
                // Types that take no modifiers.
                let plain = ["bigint", "boolean", "int", "integer", "real", "smallint"];
                let of = self.word_before(1);
                of.is_some_and(|of| plain.contains(&of)).then_some(self.at)
            }
            Token::LBracket => {
                let word = before.and_then(unquoted);
                let begins = match before {
                    None => true,
                    Some(Token::LParen | Token::Comma) => self.depth == 0,
                    // Behind a point every word is a column.
                    Some(_) => {
                        self.before(2) != Some(&Token::Period)
                            && word.is_some_and(|word| word != "array" && is_reserved(word))
                    }
                };
                begins.then_some(self.at)
            }
            Token::Plus | Token::Mul | Token::Div | Token::StringConcat
                if self.depth == 1
                    && self.first() == "create"
                    && self.is_index()
                    && !self.is_behind("where") =>
            {
                Some(self.at)
            }
            _ => None,
        }
    }

    /// `LIMIT 1, 2`
    fn comma_limit(&self) -> Option<SqlError> {
        let limit = self.token(self.at).and_then(unquoted) == Some("limit");
        let numbers = [1, 3].map(|at| matches!(self.after(at), Some(Token::Number(..))));
        if !limit || numbers != [true, true] || self.after(2) != Some(&Token::Comma) {
            return None;
        }
        let at = self.tokens.get(self.at)?;
        let mut error = SqlError::syntax(
            "LIMIT #,# syntax is not supported",
            character(at.span.start),
        );
        error.hint = Some("Use separate LIMIT and OFFSET clauses.".to_owned());
        Some(error)
    }

    /// What FETCH FIRST lacks.
    fn fetched(&self) -> Option<usize> {
        let counted = match self.after(2)? {
            Token::Number(..) => 3,
            _ => 2,
        };
        match self.word_after(counted) {
            Some("row" | "rows") => {
                let ends = matches!(self.word_after(counted + 1), Some("only" | "with"));
                (!ends).then_some(self.at + counted + 1)
            }
            _ if counted == 3 => Some(self.at + counted),
            _ => None,
        }
    }

    /// Whether what stands so many places before is the type of a column or of a cast.
    fn of_column(&self, places: usize) -> bool {
        match self.before(places + 1) {
            Some(Token::DoubleColon) => true,
            Some(Token::Word(name)) => {
                let named = name.quote_style.is_some() || !is_reserved(&name.value);
                let list = self.before(places + 2);
                let listed = matches!(list, Some(Token::LParen | Token::Comma))
                    || matches!(list.and_then(unquoted), Some("column" | "add"));
                named && listed && self.is_column_list()
            }
            _ => false,
        }
    }

    fn is_column_list(&self) -> bool {
        let words = self.tokens.iter().skip(self.begins).take(4);
        let mut words = words.filter_map(|token| unquoted(&token.token));
        matches!(self.first(), "create" | "alter") && words.any(|word| word == "table")
    }

    fn is_index(&self) -> bool {
        self.second() == "index"
            || self.second() == "unique"
                && self.token(self.begins + 2).and_then(unquoted) == Some("index")
    }

    /// Whether a word stands anywhere before it in its statement.
    fn is_behind(&self, word: &str) -> bool {
        let before = self.tokens.get(self.begins..self.at).unwrap_or_default();
        let is = |token: &TokenWithSpan| unquoted(&token.token) == Some(word);
        before.iter().any(is)
    }

    /// The place behind the name of `TABLE name`.
    fn behind_table(&self) -> usize {
        let mut at = self.begins + 2;
        while self.token(at) == Some(&Token::Period) {
            at += 2;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use crate::parse;

    /// As PostgreSQL 15 says it.
    #[test]
    fn what_stands_in_a_wrong_place_is_refused_there() {
        let mut wrong = Vec::new();
        for (text, expected) in [
            ("select 1 as 'x'", "13 syntax error at or near \"'x'\""),
            (
                "select * from t as 'x'",
                "20 syntax error at or near \"'x'\"",
            ),
            ("select * from 'x'", "15 syntax error at or near \"'x'\""),
            (
                "select * from select 1",
                "15 syntax error at or near \"select\"",
            ),
            (
                "with a as (select 1), select 1",
                "23 syntax error at or near \"select\"",
            ),
            (
                "select case else 1 end",
                "13 syntax error at or near \"else\"",
            ),
            (
                "delete from t limit 1",
                "15 syntax error at or near \"limit\"",
            ),
            (
                "update t set a = 1 order by a",
                "20 syntax error at or near \"order\"",
            ),
            (
                "insert into t select 1 on duplicate key update a = 1",
                "27 syntax error at or near \"duplicate\"",
            ),
            (
                "insert into t set a = 1",
                "15 syntax error at or near \"set\"",
            ),
            (
                "select a from t with (nolock)",
                "17 syntax error at or near \"with\"",
            ),
            (
                "select a from t group by all",
                "29 syntax error at end of input",
            ),
            (
                "select * from t outer join t x on true",
                "17 syntax error at or near \"outer\"",
            ),
            (
                "select * from t fetch first 1",
                "30 syntax error at end of input",
            ),
            (
                "select * from t fetch first 1 rows",
                "35 syntax error at end of input",
            ),
            (
                "select distinct on () a from t",
                "21 syntax error at or near \")\"",
            ),
            (
                "create table x (a int primary)",
                "30 syntax error at or near \")\"",
            ),
            (
                "create table x (a int not)",
                "26 syntax error at or near \")\"",
            ),
            (
                "create unique i on t (a)",
                "15 syntax error at or near \"i\"",
            ),
            (
                "create materialized x as select 1",
                "21 syntax error at or near \"x\"",
            ),
            ("table t where a", "9 syntax error at or near \"where\""),
            ("table t t", "9 syntax error at or near \"t\""),
            (
                "create table x (a int(11))",
                "22 syntax error at or near \"(\"",
            ),
            (
                "create table x (a varchar(max))",
                "27 syntax error at or near \"max\"",
            ),
            ("select 1::int(3)", "14 syntax error at or near \"(\""),
            ("select [1]", "8 syntax error at or near \"[\""),
            ("select [a] from t", "8 syntax error at or near \"[\""),
            (
                "create index on t (a + 1)",
                "22 syntax error at or near \"+\"",
            ),
            (
                "select * from t limit 1, 2",
                "17 LIMIT #,# syntax is not supported",
            ),
        ] {
            let told = match parse(text) {
                Ok(_) => "read".to_owned(),
                Err(error) => format!("{} {}", error.position.unwrap_or(0), error.message),
            };
            if told != expected {
                wrong.push(format!("{text}: {told}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn what_looks_misplaced_is_read() {
        let mut wrong = Vec::new();
        for text in [
            "create function f() returns int language sql as 'select 1'",
            "select extract(year from '2024-01-01'::date), trim(both from 'x')",
            "select a is distinct from 'x' from t",
            "select substring('abc' from 'b')",
            "select array[[1],[2]], (array[1])[1], '{}'::int[], a[1], a[b[1]]",
            "select * from t order by a limit 1",
            "delete from t where a in (select a from t order by a limit 1)",
            "update t set a = (select 1 order by 1 limit 1)",
            "insert into t select 1 order by 1 limit 1",
            "select * from f(1) with ordinality",
            "select now()::timestamp with time zone",
            "select * from t fetch first row only",
            "select * from t order by a fetch next 2 rows with ties",
            "fetch first from c",
            "create table x (a int primary key, b int not null, primary key (a))",
            "create table x (a int[], \"int\" int)",
            "create unique index on t (a)",
            "create index on t ((a + 1), lower(b)) where a + 1 > 0",
            "create index on t using btree (a) with (fillfactor = 10)",
            "create materialized view x as select 1",
            "create table if not exists x (a int)",
            "table t order by 1 limit 1",
            "table s.t union table t",
            "insert into t select 1 from a join duplicate on duplicate.x = a.x",
            "select t.end[1], (t).order[2] from t",
            "create index on t (a) where (a + b > 0)",
            "create index on t (a) where (a || 'x') = 'yx'",
            "create index on t ((a * 2), lower(a || b))",
            "select array[[1, 2], [3, 4]], (array[1])[1]",
            "select a is distinct from 'x', substring('abc' from 'b') from t",
            "update t set a = (select 1 order by 1 limit 1)",
            "with x as (delete from t returning a) select a from x order by a limit 1",
            "select 1 limit 1 offset 2",
            "grant insert, select on t to u",
            "select distinct on (a) a from t",
            "select * from t left outer join u on true",
            "select * from t where not exists (select 1)",
            "select count(*) from t group by a, b",
            "select 1::numeric(3), 1::float(3), f(int4(1))",
        ] {
            if let Err(error) = parse(text) {
                wrong.push(format!("{text}: {error}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}
