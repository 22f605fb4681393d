//! Text to tokens whose places are characters of the text.

use crate::dialect::Postgres;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::SqlError;

/// PostgreSQL's NAMEDATALEN less its end.
const NAME_BYTES_MAX: usize = 63;

pub(crate) static DIALECT: Postgres = Postgres;

/// The tokens of a text without blanks and comments; words are folded.
pub(crate) fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    let place = whole_places(text);
    let mut tokens = Vec::new();
    Tokenizer::new(&DIALECT, text)
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|error| lexical(text, &error.message, character(place(error.location))))?;
    tokens.retain_mut(|token| {
        if matches!(token.token, Token::Whitespace(_)) {
            return false;
        }
        token.span = Span::new(place(token.span.start), place(token.span.end));
        if let Token::Word(word) = &mut token.token {
            if word.quote_style.is_none() {
                word.value.make_ascii_lowercase();
            }
            truncate(&mut word.value);
        }
        true
    });
    soften(&mut tokens);
    rows(&mut tokens);
    all_fields(&mut tokens);
    let tokens = crate::joins::nested(crate::forms::known(plain_operators(tokens)));
    let tokens = crate::definitions::named(tokens);
    let tokens = crate::typed::typed(tokens);
    let tokens = crate::targets::readable(text, tokens);
    let tokens = crate::changes::readable(text, tokens);
    let tokens = crate::sequence::overriding(tokens);
    let tokens = lock_strengths(locks_last(tokens));
    Ok(trims(variadic(whole_tables(tokens))))
}

/// `TRIM(BOTH FROM x)`, whose FROM the parser wants something before, as `TRIM(BOTH x)`.
fn trims(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |token: Option<&TokenWithSpan>, words: &[&str]| match token.map(|token| &token.token) {
        Some(Token::Word(word)) => {
            word.quote_style.is_none() && words.contains(&word.value.as_str())
        }
        _ => false,
    };
    let mut at = 0;
    while at < tokens.len() {
        let open = tokens.get(at + 1).map(|token| &token.token) == Some(&Token::LParen);
        let from = at + 3;
        if open
            && is(tokens.get(at), &["trim"])
            && is(tokens.get(at + 2), &["both", "leading", "trailing"])
            && is(tokens.get(from), &["from"])
        {
            tokens.remove(from);
        }
        at += 1;
    }
    tokens
}

/// What stands first after OF where a lock is the weaker one of its kind: `FOR NO KEY UPDATE` is
/// read as `FOR UPDATE OF` this, and `FOR KEY SHARE` as `FOR SHARE OF` this.
pub const WEAKER_LOCK: &str = "\0weaker";

/// Locking clauses before LIMIT, OFFSET and FETCH, which the parser knows in the other order alone.
fn locks_last(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut at = 0;
    while at < tokens.len() {
        let locks = locking(&tokens, at);
        let limits = match locks > at {
            true => limiting(&tokens, locks),
            false => at,
        };
        if limits > locks
            && let Some(both) = tokens.get_mut(at..limits)
        {
            both.rotate_left(locks - at);
        }
        at = limits.max(at) + 1;
    }
    tokens
}

fn is_word(token: Option<&TokenWithSpan>, words: &[&str]) -> bool {
    match token.map(|token| &token.token) {
        Some(Token::Word(found)) => {
            found.quote_style.is_none() && words.contains(&found.value.as_str())
        }
        _ => false,
    }
}

/// Behind the locking clauses that begin somewhere; there, if none does.
fn locking(tokens: &[TokenWithSpan], mut at: usize) -> usize {
    let is = |at: usize, words: &[&str]| is_word(tokens.get(at), words);
    loop {
        let strengths: [&[&str]; 4] = [
            &["update"],
            &["share"],
            &["no", "key", "update"],
            &["key", "share"],
        ];
        let fits = |words: &&[&str]| {
            (at + 1..)
                .zip(words.iter())
                .all(|(at, word)| is(at, &[word]))
        };
        let found = strengths
            .iter()
            .find(|words| is(at, &["for"]) && fits(words));
        let Some(found) = found else {
            return at;
        };
        at += 1 + found.len();
        if is(at, &["of"]) {
            at += 2;
            while let Some(Token::Comma | Token::Period) = tokens.get(at).map(|of| &of.token) {
                at += 2;
            }
        }
        if is(at, &["nowait"]) {
            at += 1;
        } else if is(at, &["skip"]) && is(at + 1, &["locked"]) {
            at += 2;
        }
    }
}

/// Behind what says how many rows there are to be.
fn limiting(tokens: &[TokenWithSpan], from: usize) -> usize {
    if !is_word(tokens.get(from), &["limit", "offset", "fetch"]) {
        return from;
    }
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(token) = tokens.get(at) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => break,
            Token::RParen => depth -= 1,
            Token::SemiColon => break,
            _ if depth == 0 && is_word(Some(token), &["for", "on", "returning"]) => break,
            _ => {}
        }
        at += 1;
    }
    at
}

/// `FOR NO KEY UPDATE` and `FOR KEY SHARE`, which the parser does not know.
fn lock_strengths(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut tokens = locked_apart(tokens);
    let forms: [(&[&str], usize); 2] = [
        (&["for", "no", "key", "update"], 2),
        (&["for", "key", "share"], 1),
    ];
    let is = |token: &TokenWithSpan, word: &str| match &token.token {
        Token::Word(found) => found.quote_style.is_none() && found.value == word,
        _ => false,
    };
    let mut at = 0;
    while at < tokens.len() {
        let rest = tokens.get(at..).unwrap_or_default();
        let form = forms.iter().find(|(words, _)| {
            words.len() <= rest.len()
                && rest.iter().zip(*words).all(|(token, word)| is(token, word))
        });
        if let (Some((_, gone)), Some(span)) = (form, rest.first().map(|first| first.span)) {
            tokens.drain(at + 1..=at + gone);
            let put = |token: Token| TokenWithSpan { token, span };
            let mark = put(Token::make_word(WEAKER_LOCK, Some('"')));
            // Behind FOR and the word for the lock.
            let next = at + 2;
            match tokens.get(next).is_some_and(|token| is(token, "of")) {
                true => tokens.splice(next + 1..next + 1, [mark, put(Token::Period)]),
                false => {
                    let of = put(Token::make_keyword("of"));
                    tokens.splice(next..next, [of, mark])
                }
            };
        }
        at += 1;
    }
    tokens
}

/// `FOR UPDATE OF a, b NOWAIT`, of which the parser knows the first table alone, as a clause for each.
fn locked_apart(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let word = |token: Option<&TokenWithSpan>, words: &[&str]| is_word(token, words);
    let mut at = 0;
    while at < tokens.len() {
        let end = match word(tokens.get(at), &["for"]) {
            true => locking(&tokens, at),
            false => at,
        };
        let of = (at..end).find(|place| word(tokens.get(*place), &["of"]));
        let next = of.and_then(|of| {
            let mut after = (of + 1..end).skip_while(|place| {
                let token = tokens.get(*place).map(|token| &token.token);
                matches!(token, Some(Token::Word(_) | Token::Period))
                    && !word(tokens.get(*place), &["for", "nowait", "skip"])
            });
            let comma = after.next()?;
            let is = tokens.get(comma).map(|token| &token.token) == Some(&Token::Comma);
            is.then_some(comma)
        });
        let (Some(of), Some(comma)) = (of, next) else {
            at += 1;
            continue;
        };
        // What is said behind the last of them is said of all.
        let last = (comma..end).find(|place| word(tokens.get(*place), &["for", "nowait", "skip"]));
        let last = last.unwrap_or(end);
        let wait = match tokens.get(last) {
            token if word(token, &["nowait"]) => 1,
            token if word(token, &["skip"]) => 2,
            _ => 0,
        };
        let wait = tokens.get(last..last + wait).unwrap_or_default();
        let again = tokens.get(at..=of).unwrap_or_default();
        let put: Vec<TokenWithSpan> = wait.iter().chain(again).cloned().collect();
        at = comma + wait.len();
        tokens.splice(comma..=comma, put);
    }
    tokens
}

/// From the tokenizer's lines and columns to characters of the whole text.
pub(crate) fn whole_places(text: &str) -> impl Fn(Location) -> Location + use<> {
    let starts = line_starts(text);
    move |at| {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(0);
        let start = starts.get(line).copied().unwrap_or(0);
        Location::new(1, start + at.column)
    }
}

/// The 1-based character position of a location of ours.
pub(crate) fn character(at: Location) -> usize {
    usize::try_from(at.column).unwrap_or(1)
}

/// The text between two 1-based character positions, the second excluded.
pub(crate) fn slice(text: &str, start: usize, end: usize) -> &str {
    let byte = |character: usize| {
        let index = character.saturating_sub(1);
        if text.is_ascii() {
            index.min(text.len())
        } else {
            text.char_indices()
                .nth(index)
                .map_or(text.len(), |(at, _)| at)
        }
    };
    text.get(byte(start)..byte(end)).unwrap_or("")
}

/// Characters before each line.
fn line_starts(text: &str) -> Vec<u64> {
    let mut starts = vec![0];
    for (count, character) in (1_u64..).zip(text.chars()) {
        if character == '\n' {
            starts.push(count);
        }
    }
    starts
}

fn truncate(name: &mut String) {
    if name.len() > NAME_BYTES_MAX {
        let mut end = NAME_BYTES_MAX;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
}

fn lexical(text: &str, message: &str, position: usize) -> SqlError {
    let rest = slice(text, position, usize::MAX);
    let what = if message.contains("dollar") {
        "unterminated dollar-quoted string"
    } else if message.contains("comment") {
        let at = text.rfind("/*").unwrap_or(0);
        let rest = text.get(at..).unwrap_or("");
        let position = text.get(..at).unwrap_or("").chars().count() + 1;
        return SqlError::syntax(
            format!("unterminated /* comment at or near \"{rest}\""),
            position,
        );
    } else if rest.starts_with('"') || message.contains("delimited") || message.contains("EOF") {
        "unterminated quoted identifier"
    } else if message.contains("nterminated") {
        "unterminated quoted string"
    } else {
        "syntax error"
    };
    SqlError::syntax(format!("{what} at or near \"{rest}\""), position)
}

/// `OPERATOR(schema.=) ANY`, which the parser does not know, is `= ANY`.
fn plain_operators(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.as_str()),
        _ => None,
    };
    let is = |at: usize, wanted: &Token| tokens.get(at).is_some_and(|found| found.token == *wanted);
    let mut left_out = vec![false; tokens.len()];
    for at in (0..tokens.len()).filter(|at| word(*at) == Some("operator")) {
        let mut symbol = at + 2;
        while word(symbol).is_some() && is(symbol + 1, &Token::Period) {
            symbol += 2;
        }
        let quantified = matches!(word(symbol + 2), Some("any" | "all" | "some"));
        if is(at + 1, &Token::LParen) && is(symbol + 1, &Token::RParen) && quantified {
            for place in (at..symbol).chain([symbol + 1]) {
                if let Some(left_out) = left_out.get_mut(place) {
                    *left_out = true;
                }
            }
        }
    }
    let mut left_out = left_out.into_iter();
    let kept = tokens.into_iter().filter(|_| left_out.next() != Some(true));
    kept.collect()
}

/// `TABLE t` where a query stands is `SELECT * FROM t`.
fn whole_tables(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let unquoted = |token: Option<&TokenWithSpan>| match token.map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.clone()),
        _ => None,
    };
    let starts = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| tokens.get(before));
        let query = match before.map(|token| &token.token) {
            None | Some(Token::SemiColon | Token::LParen) => true,
            _ => matches!(
                unquoted(before).as_deref(),
                Some("as" | "union" | "intersect" | "except" | "all")
            ),
        };
        let named = matches!(
            tokens.get(at + 1).map(|token| &token.token),
            Some(Token::Word(_))
        );
        // `INSERT INTO t TABLE u`
        let into = at.checked_sub(2).and_then(|into| tokens.get(into));
        let query = query || unquoted(into).as_deref() == Some("into");
        query && named && unquoted(tokens.get(at)).as_deref() == Some("table")
    };
    let places = (0..tokens.len())
        .filter(|at| starts(*at))
        .collect::<Vec<_>>();
    if places.is_empty() {
        return tokens;
    }
    let mut made = Vec::with_capacity(tokens.len() + 2 * places.len());
    for (at, token) in tokens.into_iter().enumerate() {
        if places.contains(&at) {
            for token_made in [
                Token::make_keyword("SELECT"),
                Token::Mul,
                Token::make_keyword("FROM"),
            ] {
                let mut token_made = TokenWithSpan::new(token_made, token.span);
                if let Token::Word(word) = &mut token_made.token {
                    word.value.make_ascii_lowercase();
                }
                made.push(token_made);
            }
        } else {
            made.push(token);
        }
    }
    made
}

/// Takes the word away from `ROW(a, b)`, which is `(a, b)`.
fn rows(tokens: &mut Vec<TokenWithSpan>) {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.as_str(),
        _ => "",
    };
    // Behind these it is the name of a table.
    let named = |before: &str| {
        matches!(
            before,
            "table" | "into" | "exists" | "copy" | "view" | "from" | "join" | "references" | "on"
        )
    };
    let mut taken = (0..tokens.len())
        .map(|at| {
            word(at) == "row"
                && !at.checked_sub(1).is_some_and(|before| named(word(before)))
                && several(tokens.get(at + 1..).unwrap_or(&[]))
        })
        .collect::<Vec<_>>()
        .into_iter();
    tokens.retain(|_| taken.next() != Some(true));
}

/// `(row).*`, which the parser does not know, becomes the field `"*"` of the row.
fn all_fields(tokens: &mut [TokenWithSpan]) {
    for at in 2..tokens.len() {
        let is = |at: usize, wanted: &Token| tokens.get(at).is_some_and(|t| t.token == *wanted);
        if !is(at, &Token::Mul) || !is(at - 1, &Token::Period) {
            continue;
        }
        // Behind the row there may be a path of fields.
        let mut of = at - 2;
        let named = |at: usize| {
            let word = tokens.get(at).map(|token| &token.token);
            matches!(word, Some(Token::Word(_))) && is(at - 1, &Token::Period)
        };
        while of >= 2 && named(of) {
            of -= 2;
        }
        if is(of, &Token::RParen) {
            let star = Token::make_word("*", Some('"'));
            if let Some(found) = tokens.get_mut(at) {
                found.token = star;
            }
        }
    }
}

/// Whether tokens start with parentheses around more than one element.
fn several(tokens: &[TokenWithSpan]) -> bool {
    let mut open = 0_usize;
    for token in tokens {
        match token.token {
            Token::LParen | Token::LBracket => open += 1,
            Token::RParen | Token::RBracket => open = open.saturating_sub(1),
            Token::Comma if open == 1 => return true,
            _ => {}
        }
        if open == 0 {
            return false;
        }
    }
    false
}

/// Takes the keyword away from words that are plain names in PostgreSQL where they stand, so that
/// the parser does not take them for something else.
fn soften(tokens: &mut [TokenWithSpan]) {
    for at in 0..tokens.len() {
        let keyword = match tokens.get(at).map(|token| &token.token) {
            Some(Token::Word(word)) => word.keyword,
            _ => continue,
        };
        let next = tokens.get(at + 1).map(|token| &token.token);
        let name = match keyword {
            // A typed literal or a type, else a name.
            Keyword::INTERVAL => {
                let before = at.checked_sub(1).and_then(|at| tokens.get(at));
                let typed = matches!(
                    next,
                    Some(
                        Token::SingleQuotedString(_)
                            | Token::EscapedStringLiteral(_)
                            | Token::UnicodeStringLiteral(_)
                            | Token::DollarQuotedString(_)
                            | Token::Placeholder(_)
                            | Token::LParen
                    )
                );
                let declared = matches!(
                    before.map(|token| &token.token),
                    Some(Token::DoubleColon | Token::Word(_))
                ) && !before.is_some_and(|token| reserved_before_name(&token.token));
                // `CAST(x AS interval hour)`
                let fields = is_word(before, &["as"])
                    && is_word(
                        tokens.get(at + 1),
                        &["year", "month", "day", "hour", "minute", "second"],
                    );
                !typed && !declared && !fields
            }
            // Words that only other dialects give a meaning.
            Keyword::TOP
            | Keyword::PIVOT
            | Keyword::UNPIVOT
            | Keyword::QUALIFY
            | Keyword::PREWHERE
            | Keyword::SETTINGS
            | Keyword::FORMAT
            | Keyword::SAMPLE
            | Keyword::CLUSTER
            | Keyword::DISTRIBUTE
            | Keyword::SORT
            | Keyword::MINUS => !matches!(next, Some(Token::LParen)),
            Keyword::STRUCT | Keyword::MAP | Keyword::CONVERT | Keyword::TRY_CONVERT => true,
            Keyword::TRY_CAST | Keyword::SAFE_CAST | Keyword::PRIOR | Keyword::CONNECT_BY_ROOT => {
                true
            }
            Keyword::MATCH | Keyword::REGEXP | Keyword::RLIKE | Keyword::DIV => true,
            Keyword::ANTI | Keyword::SEMI | Keyword::ASOF | Keyword::GLOBAL => true,
            // Functions with a syntax of their own, else names.
            Keyword::CEIL
            | Keyword::EXTRACT
            | Keyword::FLOOR
            | Keyword::OVERLAY
            | Keyword::POSITION
            | Keyword::SUBSTR
            | Keyword::SUBSTRING
            | Keyword::TRIM => !matches!(next, Some(Token::LParen)),
            _ => false,
        };
        if name && let Some(Token::Word(word)) = tokens.get_mut(at).map(|token| &mut token.token) {
            word.keyword = Keyword::NoKeyword;
        }
    }
}

/// `f(VARIADIC a)`, which sqlparser does not know, becomes `f(variadic => a)`.
fn variadic(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value == "variadic");
    if !tokens.iter().any(is) {
        return tokens;
    }
    let mut made = Vec::with_capacity(tokens.len() + 1);
    for token in tokens {
        let arrow = is(&token).then(|| TokenWithSpan::new(Token::RArrow, token.span));
        made.push(token);
        made.extend(arrow);
    }
    made
}

/// Whether a name, not a type, follows this word.
fn reserved_before_name(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(
        word.keyword,
        Keyword::SELECT | Keyword::BY | Keyword::WHERE | Keyword::AND | Keyword::OR | Keyword::NOT
            | Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE | Keyword::CASE
            | Keyword::BETWEEN | Keyword::HAVING | Keyword::AS | Keyword::SET | Keyword::COLUMN
            | Keyword::DISTINCT | Keyword::IN | Keyword::LIKE | Keyword::RETURNING
    ))
}
