//! Lines of a rule file taken apart: fields, each a list of words between commas.

use super::rules::Word;

/// How deep files of names may name each other.
const DEPTH_MAX: usize = 10;

/// Reads a file that a rule names with `@`; the text, or its path and why there is none.
pub(super) type Include<'a> = dyn Fn(&str) -> Result<String, String> + 'a;

/// A line that holds something.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) fields: Vec<Vec<Word>>,
    pub(super) error: Option<String>,
}

/// The lines of a text; one that ends in a backslash goes on on the next.
pub(super) fn lines(text: &str, include: &Include<'_>) -> Vec<Line> {
    let mut found = Vec::new();
    for (number, line) in joined(text) {
        let (mut fields, mut error) = (Vec::new(), None);
        let mut rest = Rest::of(&line);
        loop {
            match field(&mut rest, include, 0) {
                Ok(words) if words.is_empty() => break,
                Ok(words) => fields.push(words),
                Err(problem) => {
                    error = Some(problem);
                    break;
                }
            }
        }
        if !fields.is_empty() || error.is_some() {
            found.push(Line {
                number,
                fields,
                error,
            });
        }
    }
    found
}

/// Each line with the number of its first, those that a backslash joins as one.
fn joined(text: &str) -> Vec<(u32, String)> {
    let mut all: Vec<(u32, String)> = Vec::new();
    let mut open = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (line, more) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        match all.last_mut().filter(|_| open) {
            Some((_, begun)) => begun.push_str(line),
            None => all.push((number, line.to_owned())),
        }
        open = more;
    }
    all
}

struct Rest<'a> {
    characters: std::str::Chars<'a>,
}

impl<'a> Rest<'a> {
    fn of(line: &'a str) -> Self {
        Self {
            characters: line.chars(),
        }
    }

    /// The next word, and whether a comma follows it at once.
    fn word(&mut self) -> Option<(Word, bool)> {
        let blank = |c: char| c == ' ' || c == '\t' || c == '\r';
        let mut next = self.characters.find(|c| !blank(*c) && *c != ',');
        let mut word = Word::default();
        let (mut inside, mut was_quote, mut saw_quote, mut comma) = (false, false, false, false);
        while let Some(c) = next.filter(|c| inside || !blank(*c)) {
            if c == '#' && !inside {
                self.characters = "".chars();
                break;
            }
            if c == ',' && !inside {
                comma = true;
                break;
            }
            let empty = word.text.is_empty();
            if c != '"' || was_quote {
                word.text.push(c);
            }
            // Two of them are one that is meant.
            was_quote = inside && c == '"' && !was_quote;
            if c == '"' {
                inside = !inside;
                saw_quote = true;
                word.quoted |= empty;
            }
            next = self.characters.next();
        }
        (saw_quote || !word.text.is_empty()).then_some((word, comma))
    }
}

/// The words of the next field; none at the line's end.
fn field(rest: &mut Rest<'_>, include: &Include<'_>, depth: usize) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    while let Some((word, comma)) = rest.word() {
        match word.text.strip_prefix('@') {
            Some(name) if !word.quoted && !name.is_empty() => {
                words.extend(included(name, include, depth + 1)?);
            }
            _ => words.push(word),
        }
        if !comma {
            break;
        }
    }
    Ok(words)
}

fn included(name: &str, include: &Include<'_>, depth: usize) -> Result<Vec<Word>, String> {
    if depth > DEPTH_MAX {
        return Err(format!(
            "could not open file \"{name}\": maximum nesting depth exceeded"
        ));
    }
    let text = include(name).map_err(|problem| {
        format!("could not open secondary authentication file \"@{name}\" as {problem}")
    })?;
    let mut words = Vec::new();
    for (_, line) in joined(&text) {
        let mut rest = Rest::of(&line);
        loop {
            let more = field(&mut rest, include, depth)?;
            if more.is_empty() {
                break;
            }
            words.extend(more);
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(u32, Vec<Vec<String>>)> {
        let include = |name: &str| match name {
            "names" => Ok("anna, bert # two\n\"carl\"".to_owned()),
            "itself" => Ok("@itself".to_owned()),
            _ => Err("No such file or directory".to_owned()),
        };
        lines(text, &include)
            .into_iter()
            .map(|line| {
                let mut fields: Vec<Vec<String>> = line
                    .fields
                    .iter()
                    .map(|words| words.iter().map(|word| word.text.clone()).collect())
                    .collect();
                fields.extend(line.error.map(|error| vec![error]));
                (line.number, fields)
            })
            .collect()
    }

    #[test]
    fn fields_are_lists_of_words_and_comments_end_a_line() {
        let all = shown(
            "# nothing\n\nhost  a,b, \"c d\"\t+e # so\nlocal all \\\n  @names trust\nx @gone\ny @itself",
        );
        let text = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            all.first().cloned(),
            Some((
                3,
                vec![text(&["host"]), text(&["a", "b", "c d"]), text(&["+e"])]
            ))
        );
        assert_eq!(
            all.get(1).cloned(),
            Some((
                4,
                vec![
                    text(&["local"]),
                    text(&["all"]),
                    text(&["anna", "bert", "carl"]),
                    text(&["trust"])
                ]
            ))
        );
        let said = format!("{:?}", all.get(2..));
        assert!(said.contains("could not open secondary"), "{said}");
        assert!(said.contains("maximum nesting depth exceeded"), "{said}");
    }

    #[test]
    fn a_quoted_word_is_no_keyword() {
        let found = lines("\"all\" all \"\" \"a\"\"b\"", &|_| Err(String::new()));
        let words: Vec<(String, bool)> = found
            .iter()
            .flat_map(|line| line.fields.iter().flatten())
            .map(|word| (word.text.clone(), word.quoted))
            .collect();
        let word = |text: &str, quoted| (text.to_owned(), quoted);
        assert_eq!(
            words,
            [
                word("all", true),
                word("all", false),
                word("", true),
                word("a\"b", true)
            ]
        );
    }
}
