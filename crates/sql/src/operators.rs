//! Where in a text an operator stands: trees keep the places of its operands alone.

use sqlparser::tokenizer::{Token, Tokenizer};

use crate::tokens::{DIALECT, character, whole_places};

/// The character, from 1, of the operator whose right operand begins at another. `signs` operators
/// stand before that one as its own: `1 - -x` has one.
#[must_use]
pub fn operator_before(text: &str, operand: u32, signs: u32) -> Option<u32> {
    let place = whole_places(text);
    let mut tokens = Vec::new();
    Tokenizer::new(&DIALECT, text)
        .tokenize_with_location_into_buf(&mut tokens)
        .ok()?;
    let operand = usize::try_from(operand).ok()?;
    let mut signs = signs;
    let mut words: Vec<(String, usize)> = Vec::new();
    let before = tokens
        .iter()
        .map(|token| (&token.token, character(place(token.span.start))))
        .filter(|(token, _)| !matches!(token, Token::Whitespace(_)))
        .take_while(|(_, at)| *at < operand)
        .collect::<Vec<_>>();
    for (token, at) in before.into_iter().rev() {
        match token {
            Token::Word(word) if word.quote_style.is_none() => {
                words.push((word.value.to_ascii_lowercase(), at));
            }
            token if is_operator(token) => {
                if signs == 0 {
                    return u32::try_from(spelled(&words).unwrap_or(at)).ok();
                }
                signs -= 1;
            }
            _ if spelled(&words).is_some() => break,
            _ => words.clear(),
        }
    }
    spelled(&words).and_then(|at| u32::try_from(at).ok())
}

fn is_operator(token: &Token) -> bool {
    let text = token.to_string();
    !text.is_empty() && text.chars().all(|c| "+-*/<>=~!@#%^&|`?".contains(c))
}

/// Where an operator of words begins; the words are those before an operand, the last first.
fn spelled(words: &[(String, usize)]) -> Option<usize> {
    let is = |at: usize, word: &str| words.get(at).is_some_and(|(known, _)| known == word);
    for (at, (word, _)) in words.iter().enumerate() {
        let first = match word.as_str() {
            "like" | "ilike" | "in" | "between" => at,
            "to" if is(at + 1, "similar") => at + 1,
            "from" if is(at + 1, "distinct") => at + 1,
            "zone" if is(at + 1, "time") && is(at + 2, "at") => at + 2,
            _ => continue,
        };
        let mut first = first;
        while is(first + 1, "not") || is(first + 1, "is") {
            first += 1;
        }
        return words.get(first).map(|(_, place)| *place);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_found_before_its_operand() {
        for (text, operand, signs, at) in [
            ("SELECT 1 + true", "true", 0, Some(10)),
            ("SELECT a = (b)", "b", 0, Some(10)),
            ("SELECT a\n /* + */ = (\n(b))", "b", 0, Some(19)),
            ("SELECT 1 - -b", "b", 1, Some(10)),
            ("SELECT - b", "b", 0, Some(8)),
            ("SELECT 1 = ANY (b)", "b", 0, Some(10)),
            ("SELECT é NOT LIKE b", "b", 0, Some(10)),
            ("SELECT a IS NOT DISTINCT FROM b", "b", 0, Some(10)),
            ("SELECT 1 + 'x'::date = date 'b'", "'b'", 0, Some(22)),
            ("SELECT a NOT IN (b)", "b", 0, Some(10)),
            ("SELECT a BETWEEN b AND c", "b", 0, Some(10)),
            ("SELECT a NOT SIMILAR TO b", "b", 0, Some(10)),
            ("SELECT b", "b", 0, None),
        ] {
            let operand = text.find(operand).map(|at| text[..at].chars().count() + 1);
            let operand = operand.and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
            assert_eq!(operator_before(text, operand, signs), at, "{text}");
        }
    }
}
