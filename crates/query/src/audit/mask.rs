//! Statements' texts without the passwords in them.

use std::borrow::Cow;

/// What stands in a password's place.
const MASK: &str = "'********'";
const WORD: &[u8] = b"password";

/// A text in which no literal follows the word PASSWORD, and no password stands in a connection string.
/// Also within quotes, for what a body or a DO block runs is a text within the text.
pub(crate) fn masked(text: &str) -> Cow<'_, str> {
    match (in_addresses(text), behind_words(text)) {
        (None, masked) => masked,
        (Some(text), _) => Cow::Owned(behind_words(&text).into_owned()),
    }
}

/// `scheme://user:password@host` with the password masked; None where there is none.
fn in_addresses(text: &str) -> Option<String> {
    let mut shown = String::new();
    let mut done = 0;
    for (at, _) in text.match_indices("://") {
        let rest = text.get(at + 3..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '/' | '\'' | '"'));
        let place = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        if let Some(behind) = place.rfind('@')
            && let Some(before) = place.get(..behind).and_then(|who| who.find(':'))
            && let Some(kept) = text.get(done..at + 3 + before + 1)
        {
            shown.push_str(kept);
            shown.push_str("********");
            done = at + 3 + behind;
        }
    }
    (done > 0).then(|| shown + text.get(done..).unwrap_or_default())
}

fn behind_words(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut shown = String::new();
    // Up to here `shown` has all of it.
    let mut done = 0;
    let mut at = 0;
    while let Some(found) = find_word(bytes, at) {
        at = found + WORD.len();
        if let Some((begin, end)) = literal(bytes, at)
            && let Some(before) = text.get(done..begin)
        {
            shown.push_str(before);
            shown.push_str(MASK);
            (done, at) = (end, end);
        } else if let Some((begin, end)) = given(bytes, at)
            && let Some(before) = text.get(done..begin)
        {
            shown.push_str(before);
            shown.push_str("********");
            (done, at) = (end, end);
        }
    }
    match (done, text.get(done..)) {
        (0, _) => Cow::Borrowed(text),
        (_, Some(rest)) => Cow::Owned(shown + rest),
        // Ends are behind quotes, which are characters of their own.
        (_, None) => Cow::Owned(shown),
    }
}

/// The value of `password=value` in a connection string, which has no blanks around its sign: where it
/// begins and ends. A column that is compared with a parameter or another column is none.
fn given(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(from..)?.strip_prefix(b"=")?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"'\"&;,()".contains(byte);
    let length = rest.iter().position(ends).unwrap_or(rest.len());
    // Quotes end it: it is within a literal.
    let within = rest.get(length).is_some_and(|byte| *byte != b')');
    let named = rest.first().is_none_or(|first| *first == b'$');
    (length > 0 && within && !named).then_some((from + 1, from + 1 + length))
}

/// The next time that the word stands by itself.
fn find_word(bytes: &[u8], from: usize) -> Option<usize> {
    let part = |byte: Option<&u8>| {
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80)
    };
    let rest = bytes.get(from..)?;
    let mut windows = rest.windows(WORD.len()).enumerate();
    windows
        .find(|(place, window)| {
            let place = from + place;
            window.eq_ignore_ascii_case(WORD)
                && !part(place.checked_sub(1).and_then(|before| bytes.get(before)))
                && !part(bytes.get(place + WORD.len()))
        })
        .map(|(place, _)| from + place)
}

/// The literal that begins at a place, behind blanks and comments: where it begins and ends.
fn literal(bytes: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = blanks(bytes, from);
    let begin = at;
    // E'…', U&'…', B'…' and N'…'.
    let rest = bytes.get(at..)?;
    let escaped = rest
        .first()
        .is_some_and(|byte| byte.eq_ignore_ascii_case(&b'e'));
    at += match rest {
        [b'u' | b'U', b'&', b'\'', ..] => 2,
        [b'e' | b'E' | b'b' | b'B' | b'n' | b'N', b'\'', ..] => 1,
        [b'$', ..] => return dollars(bytes, begin),
        _ => 0,
    };
    let quotes = bytes
        .get(at..)?
        .iter()
        .take_while(|byte| **byte == b'\'')
        .count();
    match quotes {
        0 => None,
        // An empty one, or quotes within quotes: two at either end, four, and so on.
        _ if quotes % 2 == 0 => {
            let from = at + quotes;
            let end = find_run(bytes, from, quotes, escaped);
            let line_ends = bytes.get(from..end)?.contains(&b';');
            match line_ends {
                // The next quotes are another statement's.
                true => Some((begin, from)),
                false => Some((begin, end)),
            }
        }
        _ => Some((begin, find_run(bytes, at + 1, 1, escaped))),
    }
}

fn blanks(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at..) {
            Some([byte, ..]) if byte.is_ascii_whitespace() => at += 1,
            Some([b'/', b'*', rest @ ..]) => {
                let end = rest.windows(2).position(|pair| pair == b"*/");
                at += end.map_or(rest.len() + 2, |end| end + 4);
            }
            Some([b'-', b'-', rest @ ..]) => {
                let end = rest.iter().position(|byte| *byte == b'\n');
                at += end.unwrap_or(rest.len()) + 2;
            }
            _ => return at,
        }
    }
}

/// Behind the next quotes that are just so many, or the text's end. Two in one are a quote that is
/// meant.
fn find_run(bytes: &[u8], from: usize, quotes: usize, escaped: bool) -> usize {
    let mut at = from;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let run = rest.iter().take_while(|byte| **byte == b'\'').count();
        match run {
            0 if escaped && rest.first() == Some(&b'\\') => at += 2,
            0 => at += 1,
            _ if quotes == 1 && run % 2 == 0 => at += run,
            _ if quotes == 1 => return at + run,
            _ if run >= quotes => return at + quotes,
            _ => at += run,
        }
    }
    bytes.len()
}

/// `$tag$…$tag$`.
fn dollars(bytes: &[u8], begin: usize) -> Option<(usize, usize)> {
    let rest = bytes.get(begin + 1..)?;
    let tag = rest.iter().position(|byte| *byte == b'$')?;
    let mark = bytes.get(begin..begin + tag + 2)?;
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
    if !rest.get(..tag)?.iter().all(inside) {
        return None;
    }
    let behind = begin + mark.len();
    let end = bytes
        .get(behind..)?
        .windows(mark.len())
        .position(|window| window == mark);
    Some((
        begin,
        end.map_or(bytes.len(), |end| behind + end + mark.len()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_behind_password_are_masked_and_nothing_else() {
        for (text, shown) in [
            ("SELECT 1", "SELECT 1"),
            (
                "ALTER ROLE a PASSWORD 'se''cret' LOGIN",
                "ALTER ROLE a PASSWORD '********' LOGIN",
            ),
            (
                "create user a encrypted password E's\\'x' login",
                "create user a encrypted password '********' login",
            ),
            (
                "ALTER ROLE a PASSWORD U&'s' ; SELECT 'b'",
                "ALTER ROLE a PASSWORD '********' ; SELECT 'b'",
            ),
            (
                "ALTER ROLE a PASSWORD $x$s$y$x$ LOGIN",
                "ALTER ROLE a PASSWORD '********' LOGIN",
            ),
            (
                "ALTER ROLE a PASSWORD /* c */ -- d\n 's'",
                "ALTER ROLE a PASSWORD /* c */ -- d\n '********'",
            ),
            (
                "ALTER ROLE a PASSWORD NULL; SELECT 'b'",
                "ALTER ROLE a PASSWORD NULL; SELECT 'b'",
            ),
            (
                "ALTER ROLE a PASSWORD ''; SELECT 'b'",
                "ALTER ROLE a PASSWORD '********'; SELECT 'b'",
            ),
            (
                "DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD ''s'' LOGIN'; END $$",
                "DO $$ BEGIN EXECUTE 'ALTER ROLE a PASSWORD '********' LOGIN'; END $$",
            ),
            (
                "ALTER ROLE a PASSWORD 's",
                "ALTER ROLE a PASSWORD '********'",
            ),
            (
                "SELECT password, 'x' FROM t WHERE passwords 'y'",
                "SELECT password, 'x' FROM t WHERE passwords 'y'",
            ),
            (
                "SELECT dblink('host=a password=s3cret port=1')",
                "SELECT dblink('host=a password=******** port=1')",
            ),
            (
                "SELECT dblink('user=a password=s3cret')",
                "SELECT dblink('user=a password=********')",
            ),
            (
                "SELECT 'postgresql://a:s3c@ret@h:5432/db?x=1', 'https://x.y/z:1'",
                "SELECT 'postgresql://a:********@h:5432/db?x=1', 'https://x.y/z:1'",
            ),
            (
                "SELECT * FROM u WHERE password=$1 AND password = 'x'",
                "SELECT * FROM u WHERE password=$1 AND password = 'x'",
            ),
            (
                "ALTER ROLE é PASSWORD 'é' LOGIN -- é",
                "ALTER ROLE é PASSWORD '********' LOGIN -- é",
            ),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }
}
