//! Literals that begin with the name of their type: `inet '10.0.0.1'`, read as casts.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Types that the parser does not take for one before a text; others it reads by itself.
const TYPES: &[&str] = &[
    "bit",
    "bpchar",
    "cidr",
    "daterange",
    "inet",
    "int4range",
    "int8range",
    "jsonpath",
    "macaddr",
    "name",
    "numrange",
    "oid",
    "pg_lsn",
    "regclass",
    "regnamespace",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "timetz",
    "tsrange",
    "tstzrange",
    "varbit",
    "xid",
];

/// The tokens with `CAST('…' AS type)` in the place of `type '…'`.
pub(crate) fn typed(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if (0..tokens.len()).all(|at| type_before_text(&tokens, at).is_none()) {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 8);
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let Some(length) = type_before_text(&tokens, at) else {
            out.push(token.clone());
            at += 1;
            continue;
        };
        let span = token.span;
        let put = |token: Token| TokenWithSpan { token, span };
        out.push(put(word("cast", Keyword::CAST)));
        out.push(put(Token::LParen));
        out.extend(tokens.get(at + length).cloned());
        out.push(put(word("as", Keyword::AS)));
        out.extend_from_slice(tokens.get(at..at + length).unwrap_or_default());
        out.push(put(Token::RParen));
        at += length + 1;
    }
    out
}

/// How many tokens from one on are a type that a text follows.
fn type_before_text(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let token = |place: usize| tokens.get(at + place).map(|token| &token.token);
    let text = |place: usize| {
        matches!(
            token(place),
            Some(Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
        )
    };
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    if let Some(Token::Period | Token::DoubleColon) = before.map(|token| &token.token) {
        return None;
    }
    let Some(Token::Word(name)) = token(0) else {
        return None;
    };
    if name.quote_style.is_some() {
        return None;
    }
    if TYPES.contains(&name.value.as_str()) && text(1) {
        return Some(1);
    }
    // The parser drops the digits of `interval(3) '…'`.
    let digits = matches!(
        (token(1), token(2), token(3)),
        (
            Some(Token::LParen),
            Some(Token::Number(..)),
            Some(Token::RParen)
        )
    );
    (name.value == "interval" && digits && text(4)).then_some(4)
}

fn word(text: &str, keyword: Keyword) -> Token {
    Token::Word(Word {
        value: text.to_owned(),
        quote_style: None,
        keyword,
    })
}
