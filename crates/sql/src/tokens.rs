//! Text to tokens whose places are characters of the text.

use crate::dialect::Postgres;
use chronolith_types::SqlState;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use crate::SqlError;

/// PostgreSQL's NAMEDATALEN less its end.
const NAME_BYTES_MAX: usize = 63;

pub(crate) static DIALECT: Postgres = Postgres;

/// The tokens of a text in the parser's forms, without blanks and comments; words are folded.
pub(crate) fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    Ok(readable(text, scan(text)?))
}

/// The tokens of a text as they are written.
pub(crate) fn scan(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
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
    Ok(tokens)
}

/// Tokens in forms that the parser knows.
pub(crate) fn readable(text: &str, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    soften(&mut tokens);
    empty_lists(&mut tokens);
    rows(&mut tokens);
    all_fields(&mut tokens);
    let tokens = crate::joins::nested(crate::forms::known(plain_operators(tokens)));
    let tokens = crate::definitions::named(tokens);
    let tokens = crate::typed::typed(tokens);
    let tokens = crate::targets::readable(text, tokens);
    let tokens = crate::changes::readable(text, tokens);
    let tokens = crate::sequence::overriding(tokens);
    let tokens = lock_strengths(locks_last(tokens));
    trims(variadic(whole_tables(tokens)))
}

/// `SELECT` of no columns and no table, of whom the parser knows those with a table alone.
fn empty_lists(tokens: &mut Vec<TokenWithSpan>) {
    let word = |at: Option<usize>| match at.and_then(|at| tokens.get(at)).map(|of| &of.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => Some(word.value.as_str()),
        _ => None,
    };
    let is_empty = |at: &usize| {
        let before = at.checked_sub(1);
        let begins = match before.and_then(|at| tokens.get(at)).map(|of| &of.token) {
            None | Some(Token::SemiColon | Token::LParen | Token::RParen) => true,
            _ => matches!(
                word(before),
                Some("union" | "all" | "distinct" | "intersect" | "except" | "as")
            ),
        };
        let ends = match tokens.get(at + 1).map(|token| &token.token) {
            None | Some(Token::SemiColon | Token::RParen) => true,
            _ => matches!(
                word(Some(at + 1)),
                Some("where" | "having" | "union" | "intersect" | "except" | "limit" | "offset")
            ),
        };
        begins && ends && word(Some(*at)) == Some("select")
    };
    let found: Vec<usize> = (0..tokens.len()).filter(is_empty).collect();
    for at in found.into_iter().rev() {
        let Some(span) = tokens.get(at).map(|token| token.span) else {
            continue;
        };
        let keyword = |word: &str| {
            let mut made = Token::make_keyword(word);
            if let Token::Word(made) = &mut made {
                made.value.make_ascii_lowercase();
            }
            made
        };
        let one_row = [
            keyword("FROM"),
            Token::LParen,
            keyword("SELECT"),
            Token::Number("1".to_owned(), false),
            Token::RParen,
            Token::make_word(NO_TABLE, Some('"')),
        ];
        let one_row = one_row.map(|token| TokenWithSpan::new(token, span));
        tokens.splice(at + 1..at + 1, one_row);
    }
}

/// What a SELECT of no columns takes its one row from where it names no table.
const NO_TABLE: &str = "\0no table";

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

/// Where a dollar-quoted string begins that has no end.
fn open_dollar(text: &str) -> Option<usize> {
    let tag = |at: usize| {
        let rest = text.get(at..)?;
        let end = rest.get(1..)?.find('$')? + 2;
        let tag = rest.get(..end)?;
        let named = tag.trim_matches('$');
        let fits = named.chars().all(|c| c.is_alphanumeric() || c == '_');
        let open = fits && !rest.get(end..)?.contains(tag);
        open.then_some(at)
    };
    let mut dollars = text.match_indices('$');
    let at = dollars.find_map(|(at, _)| tag(at))?;
    Some(text.get(..at)?.chars().count() + 1)
}

/// `E'\u12'`: an escape with too few digits, which the tokenizer takes for a string without an end.
fn wrong_escape(text: &str, position: usize) -> Option<SqlError> {
    let string = slice(text, position, usize::MAX);
    let inner = string.strip_prefix(['e', 'E'])?.strip_prefix('\'')?;
    let mut characters = inner.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' if characters.next_if(|(_, next)| *next == '\'').is_none() => return None,
            '\\' => {
                let digits = match characters.next()?.1 {
                    'u' => 4,
                    'U' => 8,
                    _ => continue,
                };
                let found = (0..digits).all(|_| {
                    let digit = characters.next_if(|(_, next)| next.is_ascii_hexdigit());
                    digit.is_some()
                });
                if !found {
                    let place = position + 2 + inner.get(..at)?.chars().count();
                    return Some(SqlError {
                        hint: Some("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.".into()),
                        ..SqlError::new(SqlState::new(b"22025"), "invalid Unicode escape", place)
                    });
                }
            }
            _ => {}
        }
    }
    None
}

fn lexical(text: &str, message: &str, position: usize) -> SqlError {
    if let Some(escape) = wrong_escape(text, position) {
        return escape;
    }
    // The tokenizer tells where such a string ends, PostgreSQL where it begins.
    let position = match message.contains("dollar") {
        true => open_dollar(text).unwrap_or(position),
        false => position,
    };
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

/// A query's text with `SELECT * FROM t` for its `TABLE t`: what is noted of a star at its place in a
/// text needs one there.
pub(crate) fn spelled_out(text: &str) -> String {
    let Ok(tokens) = scan(text) else {
        return text.to_owned();
    };
    let places = whole_table_places(&tokens);
    let edits: Vec<_> = places
        .into_iter()
        .filter_map(|at| tokens.get(at))
        .map(|token| (character(token.span.start), character(token.span.end)))
        .map(|(start, end)| (start, end, "SELECT * FROM".to_owned()))
        .collect();
    match edits.is_empty() {
        true => text.to_owned(),
        false => crate::rename::edited(text, &edits),
    }
}

/// Where `TABLE t` is a query.
fn whole_table_places(tokens: &[TokenWithSpan]) -> Vec<usize> {
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
    (0..tokens.len()).filter(|at| starts(*at)).collect()
}

/// `TABLE t` where a query stands is `SELECT * FROM t`.
fn whole_tables(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let places = whole_table_places(&tokens);
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
