//! Joins whose conditions come later: `a JOIN b JOIN c ON x ON y` is `a JOIN (b JOIN c ON x) ON y`.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// A join whose condition is still to come.
struct Open {
    /// Where what it joins begins.
    start: usize,
    /// Whether others begin behind it.
    nested: bool,
}

/// The tokens with the parentheses that the parser wants around what is joined first.
pub(crate) fn nested(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let keyword = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.keyword,
        _ => Keyword::NoKeyword,
    };
    let joins = (0..tokens.len()).filter(|at| keyword(*at) == Keyword::JOIN);
    if joins.take(2).count() < 2 {
        return tokens;
    }
    // Those of each level of parentheses.
    let mut open: Vec<Vec<Open>> = vec![Vec::new()];
    // Before which tokens parentheses open and close.
    let mut opened = Vec::new();
    let mut closed = Vec::new();
    for at in 0..tokens.len() {
        match tokens.get(at).map(|token| &token.token) {
            Some(Token::LParen) => open.push(Vec::new()),
            Some(Token::RParen) if open.len() > 1 => {
                open.pop();
            }
            _ => {}
        }
        let Some(level) = open.last_mut() else {
            continue;
        };
        match keyword(at) {
            Keyword::JOIN => {
                for join in level.iter_mut() {
                    join.nested = true;
                }
                if !unconditional(|back| keyword(at.wrapping_sub(back))) {
                    level.push(Open {
                        start: at + 1,
                        nested: false,
                    });
                }
            }
            Keyword::ON | Keyword::USING => {
                if let Some(join) = level.pop().filter(|join| join.nested) {
                    opened.push(join.start);
                    closed.push(at);
                }
            }
            Keyword::WHERE | Keyword::SELECT => level.clear(),
            _ => {}
        }
    }
    if opened.is_empty() {
        return tokens;
    }
    let mut made = Vec::with_capacity(tokens.len() + 2 * opened.len());
    for (at, token) in tokens.drain(..).enumerate() {
        let span = token.span;
        let times = |places: &[usize]| places.iter().filter(|place| **place == at).count();
        for _ in 0..times(&closed) {
            made.push(TokenWithSpan::new(Token::RParen, span));
        }
        for _ in 0..times(&opened) {
            made.push(TokenWithSpan::new(Token::LParen, span));
        }
        made.push(token);
    }
    made
}

/// Whether the words before JOIN, from the nearest, say that no condition follows.
fn unconditional(before: impl Fn(usize) -> Keyword) -> bool {
    (1..=3)
        .map(before)
        .take_while(|word| {
            matches!(
                word,
                Keyword::CROSS
                    | Keyword::NATURAL
                    | Keyword::INNER
                    | Keyword::LEFT
                    | Keyword::RIGHT
                    | Keyword::FULL
                    | Keyword::OUTER
            )
        })
        .any(|word| matches!(word, Keyword::CROSS | Keyword::NATURAL))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    #[test]
    fn a_condition_belongs_to_the_last_join_without_one() {
        let shown = |from: &str| {
            let text = format!("SELECT 1 FROM {from}");
            crate::query(&text).unwrap().to_string()
        };
        for (from, same) in [
            ("a JOIN b JOIN c ON x ON y", "a JOIN (b JOIN c ON x) ON y"),
            (
                "a JOIN b LEFT JOIN c JOIN d ON x ON y USING (z) JOIN e ON v",
                "a JOIN (b LEFT JOIN (c JOIN d ON x) ON y) USING(z) JOIN e ON v",
            ),
            (
                "a JOIN b CROSS JOIN c NATURAL LEFT JOIN d ON x",
                "a JOIN (b CROSS JOIN c NATURAL LEFT JOIN d) ON x",
            ),
            ("a JOIN b ON x JOIN c ON y", "a JOIN b ON x JOIN c ON y"),
            (
                "a NATURAL JOIN b JOIN c ON y CROSS JOIN d",
                "a NATURAL JOIN b JOIN c ON y CROSS JOIN d",
            ),
            (
                "a JOIN (SELECT 1 FROM b JOIN c JOIN d ON x ON y) AS q ON z",
                "a JOIN (SELECT 1 FROM b JOIN (c JOIN d ON x) ON y) AS q ON z",
            ),
            (
                "a JOIN b ON EXISTS (SELECT DISTINCT ON (v) 1 FROM c JOIN d ON x) JOIN e ON w",
                "a JOIN b ON EXISTS (SELECT DISTINCT ON (v) 1 FROM c JOIN d ON x) JOIN e ON w",
            ),
        ] {
            assert_eq!(shown(from), shown(same));
        }
    }
}
