//! Forms that the parser does not know, put into ones that it has, and read back from its tree: what
//! a window's frame leaves out, ROWS FROM, and SEARCH and CYCLE of WITH.

use sqlparser::ast;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// The name of the function that `ROWS FROM (…)` is read as a call of.
pub const ROWS_FROM: &str = "\0rows from";
/// The name of the function that the first bound of a frame with EXCLUDE is wrapped in.
const EXCLUDE: &str = "\0exclude";
/// What the name behind a query of WITH begins with that has SEARCH or CYCLE.
const RECURSION: &str = "\0recursion";
/// Stands between the parts of such a name, and between the columns of a part.
const PART: char = '\u{1}';
const COLUMN: char = '\u{2}';

/// What rows of its own a frame leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exclusion {
    /// The current row.
    Row,
    /// The current row and its peers.
    Group,
    /// The current row's peers.
    Ties,
}

impl Exclusion {
    const ALL: [(Self, &'static [&'static str]); 3] = [
        (Self::Row, &["current", "row"]),
        (Self::Group, &["group"]),
        (Self::Ties, &["ties"]),
    ];

    /// As it is written in a frame.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Row => "EXCLUDE CURRENT ROW",
            Self::Group => "EXCLUDE GROUP",
            Self::Ties => "EXCLUDE TIES",
        }
    }
}

/// The first bound of a frame as it was written, and what the frame leaves out.
#[must_use]
pub fn exclusion(frame: &ast::WindowFrame) -> (ast::WindowFrameBound, Option<Exclusion>) {
    use ast::WindowFrameBound::{CurrentRow, Following, Preceding};
    let written = frame.start_bound.clone();
    let (Preceding(Some(offset)) | Following(Some(offset))) = &written else {
        return (written, None);
    };
    let Some((kind, inner)) = wrapped(offset) else {
        return (written, None);
    };
    let bound = match (&written, inner) {
        (_, Some(ast::Expr::Value(value))) if value.value == ast::Value::Null => CurrentRow,
        (Preceding(_), inner) => Preceding(inner.map(Box::new)),
        (_, inner) => Following(inner.map(Box::new)),
    };
    (bound, Some(kind))
}

/// What stands in a call of [`EXCLUDE`].
fn wrapped(offset: &ast::Expr) -> Option<(Exclusion, Option<ast::Expr>)> {
    let ast::Expr::Function(call) = offset else {
        return None;
    };
    let [ast::ObjectNamePart::Identifier(name)] = call.name.0.as_slice() else {
        return None;
    };
    let ast::FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let mut args = list.args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(tree)) => Some(tree.clone()),
        _ => None,
    });
    let Some(ast::Expr::Value(kind)) = args.next().flatten().filter(|_| name.value == EXCLUDE)
    else {
        return None;
    };
    let ast::Value::SingleQuotedString(kind) = kind.value else {
        return None;
    };
    let (kind, _) = Exclusion::ALL
        .into_iter()
        .find(|(_, words)| words.first() == Some(&kind.as_str()))?;
    Some((kind, args.next().flatten()))
}

/// SEARCH and CYCLE of a recursive query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recursion {
    /// In which order its rows are found.
    pub search: Option<Search>,
    /// How rows that come again end it.
    pub cycle: Option<Cycle>,
}

/// `SEARCH … FIRST BY … SET …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// BREADTH, and not DEPTH.
    pub breadth: bool,
    /// What orders rows of one depth.
    pub by: Vec<String>,
    /// The column to order by.
    pub sequence: String,
}

/// `CYCLE … SET … TO … DEFAULT … USING …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// By what a row is known again.
    pub columns: Vec<String>,
    /// The column that says whether it was.
    pub mark: String,
    /// The text of the mark's value where it was, and where it was not.
    pub values: Option<(String, String)>,
    /// The column of the rows on the way to this one.
    pub path: String,
}

impl Recursion {
    /// What stands behind a query of WITH; an error is a word that may not.
    ///
    /// # Errors
    /// The name that follows FROM there.
    pub fn of(cte: &ast::Cte) -> Result<Option<Self>, &ast::Ident> {
        let Some(name) = &cte.from else {
            return Ok(None);
        };
        let mut parts = name.value.split(PART);
        if parts.next() != Some(RECURSION) {
            return Err(name);
        }
        let columns = |part: &str| part.split(COLUMN).map(str::to_owned).collect::<Vec<_>>();
        let mut found = Self::default();
        while let Some(kind) = parts.next() {
            let mut part = || parts.next().unwrap_or_default();
            match kind {
                "cycle" => {
                    let (of, mark, path) = (columns(part()), part().to_owned(), part().to_owned());
                    let (value, otherwise) = (part().to_owned(), part().to_owned());
                    found.cycle = Some(Cycle {
                        columns: of,
                        mark,
                        values: (!value.is_empty()).then_some((value, otherwise)),
                        path,
                    });
                }
                kind => {
                    found.search = Some(Search {
                        breadth: kind == "breadth",
                        by: columns(part()),
                        sequence: part().to_owned(),
                    });
                }
            }
        }
        Ok(Some(found))
    }

    fn name(&self) -> String {
        let mut parts = vec![RECURSION.to_owned()];
        let columns = |columns: &[String]| columns.join(&COLUMN.to_string());
        if let Some(search) = &self.search {
            let kind = if search.breadth { "breadth" } else { "depth" };
            parts.extend([
                kind.to_owned(),
                columns(&search.by),
                search.sequence.clone(),
            ]);
        }
        if let Some(cycle) = &self.cycle {
            let (value, otherwise) = cycle.values.clone().unwrap_or_default();
            let (mark, path) = (cycle.mark.clone(), cycle.path.clone());
            let of = columns(&cycle.columns);
            parts.extend(["cycle".to_owned(), of, mark, path, value, otherwise]);
        }
        parts.join(&PART.to_string())
    }
}

/// The tokens with these forms in the parser's own.
pub(crate) fn known(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let any = |word: &str| tokens.iter().any(|token| is(Some(token), word));
    let (frames, rows, recursion) = (any("exclude"), any("rows"), any("search") || any("cycle"));
    let mut tokens = tokens;
    if frames {
        tokens = exclusions(tokens);
    }
    if rows {
        tokens = rows_from(tokens);
    }
    if recursion {
        tokens = recursions(tokens);
    }
    tokens
}

fn is(token: Option<&TokenWithSpan>, word: &str) -> bool {
    match token.map(|token| &token.token) {
        Some(Token::Word(found)) => found.quote_style.is_none() && found.value == word,
        _ => false,
    }
}

fn are(tokens: &[TokenWithSpan], at: usize, words: &[&str]) -> bool {
    (at..).zip(words).all(|(at, word)| is(tokens.get(at), word))
}

/// Frames with EXCLUDE.
fn exclusions(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        at += 1;
        let here = at - 1;
        if !is(tokens.get(here), "exclude") {
            continue;
        }
        let closed = |count: usize| {
            let end = tokens.get(here + 1 + count).map(|token| &token.token);
            end == Some(&Token::RParen)
        };
        if are(&tokens, here + 1, &["no", "others"]) && closed(2) {
            tokens.drain(here..here + 3);
            continue;
        }
        let kind = Exclusion::ALL
            .into_iter()
            .find(|(_, words)| are(&tokens, here + 1, words) && closed(words.len()));
        let Some((_, words)) = kind else {
            continue;
        };
        let Some(start) = first_bound(&tokens, here) else {
            continue;
        };
        if wrap(&mut tokens, start, here, words.first().unwrap_or(&"")) {
            // The bound grew: what was said stands behind it.
            let moved = (here..tokens.len()).find(|at| is(tokens.get(*at), "exclude"));
            if let Some(moved) = moved {
                tokens.drain(moved..=moved + words.len());
            }
        }
    }
    tokens
}

/// Where the first bound begins of the frame that ends before a token.
fn first_bound(tokens: &[TokenWithSpan], end: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for at in (0..end).rev() {
        let token = tokens.get(at)?;
        match token.token {
            Token::RParen | Token::RBracket => depth += 1,
            Token::LParen | Token::LBracket if depth == 0 => return None,
            Token::LParen | Token::LBracket => depth -= 1,
            _ => {}
        }
        let units = ["rows", "range", "groups"];
        if depth == 0 && units.iter().any(|unit| is(Some(token), unit)) {
            let between = is(tokens.get(at + 1), "between");
            return Some(at + 1 + usize::from(between));
        }
    }
    None
}

/// Puts a bound into a call that says what its frame leaves out.
fn wrap(tokens: &mut Vec<TokenWithSpan>, start: usize, end: usize, kind: &str) -> bool {
    let Some(span) = tokens.get(start).map(|token| token.span) else {
        return false;
    };
    let put = |token: Token| TokenWithSpan { token, span };
    let mut made = vec![
        put(Token::make_word(EXCLUDE, Some('"'))),
        put(Token::LParen),
        put(Token::SingleQuotedString(kind.to_owned())),
    ];
    if are(tokens, start, &["current", "row"]) {
        made.extend([
            put(Token::Comma),
            put(Token::make_keyword("null")),
            put(Token::RParen),
            put(Token::make_keyword("preceding")),
        ]);
        tokens.splice(start..start + 2, made);
        return true;
    }
    if is(tokens.get(start), "unbounded") {
        made.push(put(Token::RParen));
        tokens.splice(start..=start, made);
        return true;
    }
    let mut depth = 0_usize;
    for at in start..end {
        match tokens.get(at).map(|token| &token.token) {
            Some(Token::LParen | Token::LBracket) => depth += 1,
            Some(Token::RParen | Token::RBracket) => depth = depth.saturating_sub(1),
            _ => {}
        }
        let side = ["preceding", "following"];
        if depth == 0 && side.iter().any(|side| is(tokens.get(at), side)) {
            made.push(put(Token::Comma));
            tokens.insert(at, put(Token::RParen));
            tokens.splice(start..start, made);
            return true;
        }
    }
    false
}

/// `ROWS FROM (f(…), …)`.
fn rows_from(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        let sign = |at: usize| tokens.get(at).map(|token| &token.token);
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let place = match before.map(|token| &token.token) {
            Some(Token::Comma | Token::LParen) => true,
            _ => ["from", "join", "lateral"]
                .iter()
                .any(|word| is(before, word)),
        };
        if place && are(&tokens, at, &["rows", "from"]) && sign(at + 2) == Some(&Token::LParen) {
            let mut name = at + 3;
            while sign(name + 1) == Some(&Token::Period) {
                name += 2;
            }
            let call = matches!(sign(name), Some(Token::Word(_)))
                && sign(name + 1) == Some(&Token::LParen)
                && !["select", "values", "with"]
                    .iter()
                    .any(|word| is(tokens.get(name), word));
            if call && let Some(span) = tokens.get(at).map(|token| token.span) {
                let token = Token::make_word(ROWS_FROM, Some('"'));
                tokens.splice(at..at + 2, [TokenWithSpan { token, span }]);
            }
        }
        at += 1;
    }
    tokens
}

/// SEARCH and CYCLE behind a query of WITH, as a name that FROM stands before.
fn recursions(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        at += 1;
        let closed = tokens.get(at - 1).map(|token| &token.token) == Some(&Token::RParen);
        if !closed || !(is(tokens.get(at), "search") || is(tokens.get(at), "cycle")) {
            continue;
        }
        let mut reader = Reader {
            tokens: &tokens,
            at,
        };
        let found = reader.recursion();
        let end = reader.at;
        if let (Some(found), Some(span)) = (found, tokens.get(at).map(|token| token.span)) {
            let put = |token: Token| TokenWithSpan { token, span };
            let name = Token::make_word(&found.name(), Some('"'));
            tokens.splice(at..end, [put(Token::make_keyword("from")), put(name)]);
        }
    }
    tokens
}

struct Reader<'t> {
    tokens: &'t [TokenWithSpan],
    at: usize,
}

impl Reader<'_> {
    fn words(&mut self, words: &[&str]) -> Option<()> {
        let found = are(self.tokens, self.at, words);
        self.at += if found { words.len() } else { 0 };
        found.then_some(())
    }

    fn name(&mut self) -> Option<String> {
        let Token::Word(word) = &self.tokens.get(self.at)?.token else {
            return None;
        };
        self.at += 1;
        Some(word.value.clone())
    }

    fn names(&mut self) -> Option<Vec<String>> {
        let mut names = vec![self.name()?];
        while self.tokens.get(self.at)?.token == Token::Comma {
            self.at += 1;
            names.push(self.name()?);
        }
        Some(names)
    }

    /// The text up to a word.
    fn value(&mut self, end: &str) -> Option<String> {
        let start = self.at;
        while !is(Some(self.tokens.get(self.at)?), end) {
            self.at += 1;
        }
        let tokens = self.tokens.get(start..self.at)?;
        let words: Vec<String> = tokens
            .iter()
            .map(|token| match &token.token {
                Token::SingleQuotedString(text) => format!("'{}'", text.replace('\'', "''")),
                other => other.to_string(),
            })
            .collect();
        self.words(&[end])?;
        (!words.is_empty()).then(|| words.join(" "))
    }

    fn recursion(&mut self) -> Option<Recursion> {
        let mut found = Recursion::default();
        if self.words(&["search"]).is_some() {
            let breadth = self.words(&["breadth"]).is_some();
            if !breadth {
                self.words(&["depth"])?;
            }
            self.words(&["first", "by"])?;
            let by = self.names()?;
            self.words(&["set"])?;
            found.search = Some(Search {
                breadth,
                by,
                sequence: self.name()?,
            });
        }
        if self.words(&["cycle"]).is_some() {
            let columns = self.names()?;
            self.words(&["set"])?;
            let mark = self.name()?;
            let values = match self.words(&["to"]) {
                Some(()) => Some((self.value("default")?, self.value("using")?)),
                None => {
                    self.words(&["using"])?;
                    None
                }
            };
            let path = self.name()?;
            found.cycle = Some(Cycle {
                columns,
                mark,
                values,
                path,
            });
        }
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn frame(text: &str) -> ast::WindowFrame {
        let text = format!("SELECT sum(x) OVER (ORDER BY y {text}) FROM t");
        let query = crate::query(&text).unwrap();
        let ast::SetExpr::Select(select) = *query.body else {
            panic!("no select");
        };
        let Some(ast::SelectItem::UnnamedExpr(ast::Expr::Function(call))) =
            select.projection.into_iter().next()
        else {
            panic!("no call");
        };
        let Some(ast::WindowType::WindowSpec(spec)) = call.over else {
            panic!("no window");
        };
        spec.window_frame.unwrap()
    }

    #[test]
    fn what_a_frame_leaves_out_is_read_back_with_its_bound() {
        for bound in [
            "UNBOUNDED PRECEDING",
            "CURRENT ROW",
            "2 PRECEDING",
            "f(1, (2)) FOLLOWING",
        ] {
            let plain = frame(&format!("ROWS BETWEEN {bound} AND UNBOUNDED FOLLOWING"));
            for (words, kind) in [
                ("EXCLUDE CURRENT ROW", Some(Exclusion::Row)),
                ("EXCLUDE GROUP", Some(Exclusion::Group)),
                ("EXCLUDE TIES", Some(Exclusion::Ties)),
                ("EXCLUDE NO OTHERS", None),
                ("", None),
            ] {
                let text = format!("ROWS BETWEEN {bound} AND UNBOUNDED FOLLOWING {words}");
                let (start, found) = exclusion(&frame(&text));
                assert_eq!(found, kind, "{text}");
                assert_eq!(start.to_string(), plain.start_bound.to_string(), "{text}");
            }
        }
        assert_eq!(
            exclusion(&frame("GROUPS 1 PRECEDING EXCLUDE TIES")).1,
            Some(Exclusion::Ties)
        );
    }

    #[test]
    fn search_and_cycle_are_read_back() {
        let text = "WITH RECURSIVE t(a, \"B\") AS (SELECT 1, 2 UNION ALL SELECT a, 3 FROM t) \
                    SEARCH BREADTH FIRST BY a, \"B\" SET o \
                    CYCLE a SET c TO 'it''s' DEFAULT 'n' USING p SELECT * FROM t";
        let query = crate::query(text).unwrap();
        let cte = query.with.unwrap().cte_tables.remove(0);
        let found = Recursion::of(&cte).unwrap().unwrap();
        assert_eq!(
            found,
            Recursion {
                search: Some(Search {
                    breadth: true,
                    by: vec!["a".to_owned(), "B".to_owned()],
                    sequence: "o".to_owned(),
                }),
                cycle: Some(Cycle {
                    columns: vec!["a".to_owned()],
                    mark: "c".to_owned(),
                    values: Some(("'it''s'".to_owned(), "'n'".to_owned())),
                    path: "p".to_owned(),
                }),
            }
        );
    }

    #[test]
    fn columns_of_these_names_stay_columns() {
        for text in [
            "SELECT rows FROM (SELECT 1 AS rows) q",
            "SELECT a, rows FROM (SELECT 1 AS a, 2 AS rows) q",
            "SELECT search, cycle, exclude FROM t",
        ] {
            let read = crate::query(text).unwrap().to_string();
            assert!(!read.contains('\0'), "{read}");
        }
        let text = "SELECT * FROM ROWS FROM (f(1), s.g(2)) WITH ORDINALITY AS r(a, b, n)";
        assert!(crate::query(text).unwrap().to_string().contains(ROWS_FROM));
    }
}
