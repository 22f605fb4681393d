//! Literals that begin with the name of their type: `inet '10.0.0.1'`, read as casts.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// Types that the parser does not take for one before a text; others it reads by itself.
const TYPES: &[&str] = &[
    "bit",
    "bpchar",
    "cidr",
    "inet",
    "jsonpath",
    "macaddr",
    "name",
    "oid",
    "pg_lsn",
    "regclass",
    "regnamespace",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
    "timetz",
    "varbit",
    "xid",
];

/// The tokens with `CAST('…' AS type)` in the place of `type '…'`.
pub(crate) fn typed(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.windows(2).any(is_typed) {
        return tokens;
    }
    let mut out = Vec::with_capacity(tokens.len() + 8);
    let mut rest = tokens.into_iter().peekable();
    let mut before = None;
    while let Some(token) = rest.next() {
        let follows_name = matches!(before, Some(Token::Period | Token::DoubleColon));
        let typed = !follows_name
            && rest
                .peek()
                .is_some_and(|next| is_typed(&[token.clone(), next.clone()]));
        before = Some(token.token.clone());
        match rest.next_if(|_| typed) {
            None => out.push(token),
            Some(text) => {
                let span = token.span;
                let at = |token: Token| TokenWithSpan { token, span };
                out.push(at(word("cast", Keyword::CAST)));
                out.push(at(Token::LParen));
                out.push(text);
                out.push(at(word("as", Keyword::AS)));
                out.push(token);
                out.push(at(Token::RParen));
            }
        }
    }
    out
}

fn is_typed(pair: &[TokenWithSpan]) -> bool {
    let [name, text] = pair else {
        return false;
    };
    let Token::Word(name) = &name.token else {
        return false;
    };
    name.quote_style.is_none()
        && TYPES.contains(&name.value.as_str())
        && matches!(
            text.token,
            Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_)
        )
}

fn word(text: &str, keyword: Keyword) -> Token {
    Token::Word(Word {
        value: text.to_owned(),
        quote_style: None,
        keyword,
    })
}
