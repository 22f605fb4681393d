//! Names put into texts that are kept: checks, keys of indexes, views.

use sqlparser::keywords::{Keyword, RESERVED_FOR_TABLE_ALIAS};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::SqlError;
use crate::cursor::is_reserved;
use crate::tokens::{character, tokenize};

/// An expression over one table with a column of it under another name.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn rename_column(text: &str, from: &str, to: &str) -> Result<String, SqlError> {
    let tokens = tokenize(text)?;
    let places = columns_named(&tokens, from).collect::<Vec<_>>();
    let quoted = quoted(to);
    Ok(spliced(
        text,
        places.iter().map(|token| {
            (
                character(token.span.start),
                character(token.span.end),
                quoted.as_str(),
            )
        }),
    ))
}

/// Whether an expression over one table names a column of it.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn names_column(text: &str, name: &str) -> Result<bool, SqlError> {
    Ok(columns_named(&tokenize(text)?, name).next().is_some())
}

/// Whether a word stands anywhere in a text, whatever it names.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn names_word(text: &str, name: &str) -> Result<bool, SqlError> {
    let is =
        |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value == name);
    Ok(tokenize(text)?.iter().any(is))
}

/// Whether a function's name stands before arguments in a text.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn calls(text: &str, name: &str) -> Result<bool, SqlError> {
    let tokens = tokenize(text)?;
    let is =
        |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.value == name);
    Ok(tokens
        .windows(2)
        .any(|two| matches!(two, [word, next] if is(word) && next.token == Token::LParen)))
}

/// Whether a query names a relation by its schema and name, as the queries of views do.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn names_relation(text: &str, schema: &str, name: &str) -> Result<bool, SqlError> {
    let tokens = tokenize(text)?;
    let is = |token: &TokenWithSpan, name: &str| matches!(&token.token, Token::Word(word) if word.value == name);
    let dot = |token: &TokenWithSpan| token.token == Token::Period;
    Ok(tokens.windows(3).enumerate().any(|(at, three)| {
        let [first, second, third] = three else {
            return false;
        };
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        is(first, schema) && dot(second) && is(third, name) && !before.is_some_and(dot)
    }))
}

/// Every `schema.name` that a text has: relations, functions, and columns behind their table's name.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn qualified_names(text: &str) -> Result<Vec<(String, String)>, SqlError> {
    let tokens = tokenize(text)?;
    let names = tokens.windows(3).filter_map(|three| match three {
        [
            TokenWithSpan {
                token: Token::Word(schema),
                ..
            },
            TokenWithSpan {
                token: Token::Period,
                ..
            },
            TokenWithSpan {
                token: Token::Word(name),
                ..
            },
        ] => Some((schema.value.clone(), name.value.clone())),
        _ => None,
    });
    Ok(names.collect())
}

/// A query with a relation of it under another schema and name. Its columns may be named after the
/// name it had, so that stays as its alias.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn rename_relation(
    text: &str,
    from: (&str, &str),
    to: (&str, &str),
) -> Result<String, SqlError> {
    let tokens = tokenize(text)?;
    let token = |at: usize| tokens.get(at).map(|token| &token.token);
    let is =
        |at: usize, name: &str| matches!(token(at), Some(Token::Word(word)) if word.value == name);
    let dot = |at: usize| token(at) == Some(&Token::Period);
    let mut pieces = Vec::new();
    for at in 0..tokens.len() {
        let here = is(at, from.0) && dot(at + 1) && is(at + 2, from.1);
        if !here || at.checked_sub(1).is_some_and(dot) || token(at + 3) == Some(&Token::LParen) {
            continue;
        }
        let aliased = match token(at + 3) {
            Some(Token::Word(word)) => {
                word.quote_style.is_some()
                    || word.keyword == Keyword::AS
                    || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
            }
            _ => false,
        };
        let new = match (dot(at + 3), aliased || from.1 == to.1) {
            // A column of it.
            (true, _) => quoted(from.1),
            (false, true) => format!("{}.{}", quoted(to.0), quoted(to.1)),
            (false, false) => {
                format!("{}.{} AS {}", quoted(to.0), quoted(to.1), quoted(from.1))
            }
        };
        if let (Some(first), Some(last)) = (tokens.get(at), tokens.get(at + 2)) {
            let (start, end) = (character(first.span.start), character(last.span.end));
            pieces.push((start, end, new));
        }
    }
    Ok(edited(text, &pieces))
}

/// Whether a query may read the column of a relation at a place, by its name or by the one that the
/// query gives it.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn reads_column(
    text: &str,
    relation: (&str, &str),
    place: usize,
    name: &str,
) -> Result<bool, SqlError> {
    let tokens = tokenize(text)?;
    let token = |at: usize| tokens.get(at).map(|token| &token.token);
    let word = |at: usize| match token(at) {
        Some(Token::Word(word)) => Some(word.value.as_str()),
        _ => None,
    };
    let mut names = vec![name];
    let mut lists = Vec::new();
    for at in 0..tokens.len() {
        let here = word(at) == Some(relation.0)
            && token(at + 1) == Some(&Token::Period)
            && word(at + 2) == Some(relation.1);
        let open = match token(at + 3) {
            Some(Token::Word(word)) if word.keyword == Keyword::AS => Some(at + 5),
            Some(Token::Word(word)) => {
                let alias =
                    word.quote_style.is_some() || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword);
                alias.then_some(at + 4)
            }
            _ => None,
        };
        let open = open.filter(|open| token(*open) == Some(&Token::LParen));
        let (true, Some(open)) = (here, open) else {
            continue;
        };
        let mut close = open;
        while token(close).is_some_and(|token| *token != Token::RParen) {
            close += 1;
        }
        let inside = (open + 1..close).filter_map(word);
        names.extend(inside.clone().nth(place));
        lists.push(open..close);
    }
    let listed = |at: usize| lists.iter().any(|list| list.contains(&at));
    Ok((0..tokens.len())
        .filter(|at| !listed(*at))
        .filter_map(word)
        .any(|word| names.contains(&word)))
}

/// A query in which a column has another name wherever it is named: at characters, from 1, behind what
/// qualifies it. Outputs that are called after it, whose expressions begin at others, go on being
/// called so. With it the characters at which the names begin then; None where something else stands
/// there.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn rename_places(
    text: &str,
    (places, outputs): (&[usize], &[usize]),
    (from, to): (&str, &str),
) -> Result<Option<(String, Vec<usize>)>, SqlError> {
    let tokens = tokenize(text)?;
    let at = |place: usize| {
        let mut tokens = tokens.iter();
        tokens.position(|token| character(token.span.start) == place)
    };
    let mut pieces = Vec::new();
    for place in places {
        let Some(mut last) = at(*place) else {
            return Ok(None);
        };
        while tokens.get(last + 1).map(|token| &token.token) == Some(&Token::Period) {
            last += 2;
        }
        let named = tokens
            .get(last)
            .filter(|token| matches!(&token.token, Token::Word(word) if word.value == from));
        let Some(token) = named else {
            return Ok(None);
        };
        let (start, end) = (character(token.span.start), character(token.span.end));
        pieces.push((start, end, quoted(to)));
    }
    for start in outputs {
        let Some(end) = at(*start).and_then(|first| output_end(&tokens, first)) else {
            return Ok(None);
        };
        // Others are called so by themselves.
        if places.iter().any(|place| (*start..end).contains(place)) {
            pieces.push((end, end, format!(" AS {}", quoted(from))));
        }
    }
    let then = places.iter().map(|place| {
        let before = pieces.iter().filter(|(start, ..)| start < place);
        before.fold(*place, |at, (start, end, new)| {
            at + new.chars().count() + start - end
        })
    });
    Ok(Some((edited(text, &pieces), then.collect())))
}

/// Behind which character an expression of SELECT ends that begins with a token.
fn output_end(tokens: &[TokenWithSpan], first: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut end = None;
    for token in tokens.get(first..)? {
        let over = match &token.token {
            Token::LParen | Token::LBracket => {
                depth += 1;
                false
            }
            Token::RParen | Token::RBracket if depth > 0 => {
                depth -= 1;
                false
            }
            Token::RParen | Token::RBracket => true,
            Token::Comma => depth == 0,
            Token::Word(word) if word.quote_style.is_none() => {
                depth == 0
                    && matches!(
                        word.keyword,
                        Keyword::FROM
                            | Keyword::WHERE
                            | Keyword::GROUP
                            | Keyword::HAVING
                            | Keyword::WINDOW
                            | Keyword::UNION
                            | Keyword::EXCEPT
                            | Keyword::INTERSECT
                            | Keyword::ORDER
                            | Keyword::LIMIT
                            | Keyword::OFFSET
                            | Keyword::FETCH
                    )
            }
            _ => false,
        };
        if over {
            break;
        }
        end = Some(character(token.span.end));
    }
    end
}

/// A query that reads a relation's first columns under names of its own, where it gives them none
/// already.
///
/// # Errors
/// `42601` for a text that is no SQL.
pub fn alias_columns(
    text: &str,
    relation: (&str, &str),
    names: &[String],
) -> Result<String, SqlError> {
    let tokens = tokenize(text)?;
    let token = |at: usize| tokens.get(at).map(|token| &token.token);
    let is =
        |at: usize, name: &str| matches!(token(at), Some(Token::Word(word)) if word.value == name);
    let dot = |at: usize| token(at) == Some(&Token::Period);
    let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
    let mut pieces = Vec::new();
    for at in 0..tokens.len() {
        let here = is(at, relation.0) && dot(at + 1) && is(at + 2, relation.1);
        // A column of it, a function, or a relation of another database.
        let other = dot(at + 3) || token(at + 3) == Some(&Token::LParen);
        if !here || at.checked_sub(1).is_some_and(dot) || other {
            continue;
        }
        let keyword = |at: usize| match token(at) {
            Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.keyword),
            _ => None,
        };
        let named = keyword(at + 3) == Some(Keyword::AS);
        let alias = at + 3 + usize::from(named);
        let aliased = match token(alias) {
            Some(Token::Word(word)) => {
                named
                    || word.quote_style.is_some()
                    || !RESERVED_FOR_TABLE_ALIAS.contains(&word.keyword)
            }
            _ => false,
        };
        let last = if aliased { alias } else { at + 2 };
        let Some(end) = tokens.get(last).map(|token| character(token.span.end)) else {
            continue;
        };
        let opened = aliased && token(alias + 1) == Some(&Token::LParen);
        if !opened {
            let list = names.join(", ");
            let new = match aliased {
                true => format!("({list})"),
                false => format!(" AS {}({list})", quoted(relation.1)),
            };
            pieces.push((end, end, new));
            continue;
        }
        // It names some already: those that follow get theirs.
        let mut close = alias + 2;
        let mut known = 1;
        while token(close).is_some_and(|token| *token != Token::RParen) {
            known += usize::from(token(close) == Some(&Token::Comma));
            close += 1;
        }
        let more = names.get(known..).unwrap_or_default();
        if let Some(end) = tokens.get(close).map(|token| character(token.span.start))
            && !more.is_empty()
        {
            pieces.push((end, end, format!(", {}", more.join(", "))));
        }
    }
    Ok(edited(text, &pieces))
}

/// A text with pieces replaced: each from one character (from 1) to before another.
#[must_use]
pub fn edited(text: &str, edits: &[(usize, usize, String)]) -> String {
    let mut edits = edits.iter().collect::<Vec<_>>();
    edits.sort();
    edits.dedup();
    let pieces = edits
        .iter()
        .map(|(start, end, new)| (*start, *end, new.as_str()));
    spliced(text, pieces)
}

/// A name as it is written in SQL.
#[must_use]
pub fn quoted(name: &str) -> String {
    let mut bytes = name.bytes();
    let plain = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if plain && !is_reserved(name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

fn columns_named<'t>(
    tokens: &'t [TokenWithSpan],
    name: &'t str,
) -> impl Iterator<Item = &'t TokenWithSpan> {
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        let Token::Word(word) = &token.token else {
            return None;
        };
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let after = tokens.get(at + 1);
        // Not a type, a function or a table.
        let other = matches!(before.map(|t| &t.token), Some(Token::DoubleColon))
            || matches!(after.map(|t| &t.token), Some(Token::LParen | Token::Period));
        (word.value == name && !other).then_some(token)
    })
}

/// The text with pieces of it, from one character to before another, replaced in their order.
fn spliced<'r>(text: &str, pieces: impl Iterator<Item = (usize, usize, &'r str)>) -> String {
    let starts = text
        .char_indices()
        .map(|(byte, _)| byte)
        .chain([text.len()])
        .collect::<Vec<_>>();
    let byte = |place: usize| starts.get(place.saturating_sub(1)).copied();
    let mut made = String::with_capacity(text.len() + 16);
    let mut kept = 0;
    for (start, end, new) in pieces {
        let (Some(start), Some(end)) = (byte(start), byte(end)) else {
            continue;
        };
        made.push_str(text.get(kept..start).unwrap_or(""));
        made.push_str(new);
        kept = end;
    }
    made.push_str(text.get(kept..).unwrap_or(""));
    made
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_column_is_renamed_where_it_is_one() {
        let renamed = |text: &str| rename_column(text, "a", "Ä").unwrap();
        assert_eq!(renamed("é = 'a' AND a > 0"), "é = 'a' AND \"Ä\" > 0");
        assert_eq!(
            renamed("a(A) > t.a AND \"A\" = x::a"),
            "a(\"Ä\") > t.\"Ä\" AND \"A\" = x::a"
        );
        assert_eq!(rename_column("a+1", "a", "b").unwrap(), "b+1");
        assert!(names_column("x + a", "a").unwrap());
        assert!(!names_column("x + a.b + 'a'", "a").unwrap());
    }

    #[test]
    fn relations_are_found_by_schema_and_name() {
        let text = "SELECT a, 's.a' FROM S.t, \"S\".a x, d.s.u";
        let reads = |schema, name| names_relation(text, schema, name).unwrap();
        assert!(reads("s", "t") && reads("S", "a"));
        assert!(!reads("s", "a") && !reads("s", "u") && !reads("a", "t"));
    }

    #[test]
    fn a_relation_is_renamed_and_keeps_its_name_for_its_columns() {
        let renamed = |text: &str| rename_relation(text, ("s", "t"), ("s", "Ü")).unwrap();
        assert_eq!(
            renamed("SELECT t.a, s.t.b FROM s.t WHERE 's.t' <> t.a"),
            "SELECT t.a, t.b FROM s.\"Ü\" AS t WHERE 's.t' <> t.a"
        );
        assert_eq!(
            renamed("SELECT s.t(1) FROM s.t x, s.t AS y, d.s.t, \"s\".\"t\" JOIN (TABLE s.t) z"),
            "SELECT s.t(1) FROM s.\"Ü\" x, s.\"Ü\" AS y, d.s.t, s.\"Ü\" AS t JOIN (TABLE s.\"Ü\" AS t) z"
        );
        assert_eq!(
            rename_relation("SELECT t.a FROM s.t", ("s", "t"), ("u", "t")).unwrap(),
            "SELECT t.a FROM u.t"
        );
    }

    #[test]
    fn pieces_are_replaced_wherever_they_stand() {
        let edits = [
            (18, 18, "\"S\".".to_owned()),
            (8, 9, "x, y".to_owned()),
            (15, 15, "s.".to_owned()),
        ];
        assert_eq!(
            edited("SELECT * FROM a, b", &edits),
            "SELECT x, y FROM s.a, \"S\".b"
        );
    }

    #[test]
    fn names_at_places_follow_and_outputs_keep_theirs() {
        let text = "SELECT t.a::int[], a + 1 FROM s.t WHERE a > 0";
        let (first, second) = (text.find("t.a").unwrap() + 1, text.find("a +").unwrap() + 1);
        let third = text.find("a >").unwrap() + 1;
        let places = [first, second, third];
        let renamed = rename_places(text, (&places, &[first]), ("a", "A b"));
        let (new, then) = renamed.unwrap().unwrap();
        assert_eq!(
            new,
            "SELECT t.\"A b\"::int[] AS a, \"A b\" + 1 FROM s.t WHERE \"A b\" > 0"
        );
        let at = |place: usize, name: &str| new.get(place - 1..).unwrap().starts_with(name);
        assert!(at(then[0], "t."));
        assert!(at(then[1], "\"A b\" +") && at(then[2], "\"A b\" >"));
        assert_eq!(rename_places(text, (&[1], &[]), ("a", "b")).unwrap(), None);
    }
}
