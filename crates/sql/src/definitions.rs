//! Column definition lists that stand right behind AS, `f() AS (a int, b text)`: the parser wants a
//! name before them, which is the function's.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::changes::unquoted;

/// The tokens with a name before each such list.
pub(crate) fn named(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 1;
    while at + 2 < tokens.len() {
        if let Some(name) = lacking(&tokens, at) {
            tokens.insert(at + 1, name);
        }
        at += 1;
    }
    tokens
}

/// The name that is to stand behind an AS.
fn lacking(tokens: &[TokenWithSpan], at: usize) -> Option<TokenWithSpan> {
    let sign = |at: usize| tokens.get(at).map(|token| &token.token);
    let list = unquoted(tokens.get(at)?) == Some("as")
        && sign(at - 1) == Some(&Token::RParen)
        && sign(at + 1) == Some(&Token::LParen);
    if !list || !is_definition(tokens.get(at + 2..)?) {
        return None;
    }
    let open = opening(tokens.get(..at)?)?;
    let name = tokens.get(open.checked_sub(1)?)?;
    let Token::Word(_) = name.token else {
        return None;
    };
    let mut first = open - 1;
    while first >= 2 && sign(first - 1) == Some(&Token::Period) {
        first -= 2;
    }
    let before = tokens.get(first.checked_sub(1)?)?;
    let from = before.token == Token::Comma
        || before.token == Token::LParen
        || ["from", "join", "lateral"]
            .iter()
            .any(|word| unquoted(before) == Some(word));
    from.then(|| TokenWithSpan {
        token: name.token.clone(),
        span: tokens.get(at + 1).map_or(name.span, |list| list.span),
    })
}

/// Whether a name and the name of a type stand there, and not a query.
fn is_definition(tokens: &[TokenWithSpan]) -> bool {
    let [name, ty, ..] = tokens else {
        return false;
    };
    let query = [
        "select", "with", "values", "table", "insert", "update", "delete", "merge",
    ];
    let words = matches!((&name.token, &ty.token), (Token::Word(_), Token::Word(_)));
    words && !unquoted(name).is_some_and(|word| query.contains(&word))
}

/// Where the parenthesis is opened that the last token closes.
fn opening(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0_usize;
    tokens.iter().rposition(|token| {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth -= 1,
            _ => {}
        }
        depth == 0
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    #[test]
    fn a_list_gets_the_name_of_its_function() {
        for (text, read) in [
            ("SELECT * FROM f() AS (a int)", "f() AS f (a INT)"),
            (
                "SELECT * FROM t, s.\"F\"(1, (2)) AS (\"A\" text, b numeric(1,2))",
                "s.\"F\"(1, (2)) AS \"F\" (\"A\" TEXT, b NUMERIC(1,2))",
            ),
            ("SELECT * FROM f() AS g (a int)", "f() AS g (a INT)"),
        ] {
            let got = crate::query(text).unwrap().to_string();
            assert!(got.contains(read), "{got}");
        }
    }

    #[test]
    fn queries_behind_as_stay_queries() {
        for text in [
            "WITH q (a) AS (SELECT 1) SELECT * FROM q",
            "WITH p AS (SELECT 1), q (a) AS (SELECT b FROM p) SELECT * FROM q",
            "WITH q (a) AS (VALUES (1)) SELECT * FROM q",
            "WITH q (a) AS (WITH r AS (SELECT 1) SELECT * FROM r) SELECT * FROM q",
        ] {
            assert_eq!(crate::query(text).unwrap().to_string(), text);
        }
        assert!(crate::query("WITH q(a) AS (TABLE t) SELECT * FROM q").is_ok());
    }
}
