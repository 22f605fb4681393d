//! Where statements end: at a semicolon outside quotes, comments and parentheses.

/// The statements of a text, without the semicolons and the space around them.
pub(crate) fn statements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        // A backslash command is a line of its own.
        let blank = rest.len() - rest.trim_start().len();
        if rest.trim_start().starts_with('\\') {
            let line = rest.trim_start();
            let length = line.find('\n').unwrap_or(line.len());
            found.push(line.get(..length).unwrap_or_default().trim());
            start += blank + length;
            continue;
        }
        let Some(end) = end_of_statement(rest) else {
            let last = rest.trim();
            if !only_comments(last) {
                found.push(last);
            }
            return found;
        };
        let statement = rest.get(..end).unwrap_or_default().trim();
        if !only_comments(statement) {
            found.push(statement);
        }
        start += end + 1;
    }
}

/// Statements typed line by line.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    pending: String,
}

impl Splitter {
    /// Whether no statement has begun.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.trim().is_empty()
    }

    /// Adds a line; the statements it ends.
    pub(super) fn push(&mut self, line: &str) -> Vec<String> {
        self.pending.push_str(line);
        self.pending.push('\n');
        let mut found = Vec::new();
        while let Some(end) = end_of_statement(&self.pending) {
            let rest = self.pending.split_off(end + 1);
            self.pending.truncate(end);
            let statement = std::mem::replace(&mut self.pending, rest);
            if !only_comments(statement.trim()) {
                found.push(statement.trim().to_owned());
            }
        }
        found
    }
}

/// The place of the semicolon that ends the first statement.
fn end_of_statement(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0_u32;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b';' if depth == 0 => return Some(at),
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {
                if let Some(next) = skip_quoted(text, at) {
                    at = next?;
                    continue;
                }
            }
        }
        at += 1;
    }
    None
}

/// What follows the comment or quoted text that begins at `at`: None when none begins there,
/// Some(None) when it does not end.
fn skip_quoted(text: &str, at: usize) -> Option<Option<usize>> {
    let rest = text.get(at..)?;
    if rest.starts_with("--") {
        return Some(rest.find('\n').map(|end| at + end + 1));
    }
    if rest.starts_with("/*") {
        return Some(skip_comment(rest).map(|end| at + end));
    }
    if rest.starts_with('\'') {
        let before = text.get(..at).unwrap_or_default();
        let escapes = before.ends_with(['e', 'E'])
            && !before
                .get(..before.len().saturating_sub(1))
                .unwrap_or_default()
                .ends_with(|c: char| c.is_alphanumeric() || c == '_');
        return Some(skip_string(rest, escapes).map(|end| at + end));
    }
    if rest.starts_with('"') {
        let end = rest.get(1..)?.find('"');
        return Some(end.map(|end| at + end + 2));
    }
    if rest.starts_with('$') {
        let tag_end = rest.get(1..)?.find('$')? + 1;
        let tag = rest.get(..=tag_end)?;
        let inner = tag.trim_matches('$');
        if inner.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !inner.starts_with(|c: char| c.is_ascii_digit())
        {
            let end = rest.get(tag.len()..)?.find(tag);
            return Some(end.map(|end| at + tag.len() * 2 + end));
        }
    }
    None
}

/// Comments nest, as in the standard.
fn skip_comment(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next()?.len_utf8();
        }
    }
}

/// A doubled quote reads as an end and a beginning, which comes to the same.
fn skip_string(text: &str, escapes: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if escapes => {
                characters.next();
            }
            '\'' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn only_comments(statement: &str) -> bool {
    let mut rest = statement.trim_start();
    loop {
        if rest.is_empty() {
            return true;
        }
        let after = if rest.starts_with("--") {
            rest.find('\n')
                .map_or("", |end| rest.get(end..).unwrap_or_default())
        } else if rest.starts_with("/*") {
            skip_comment(rest).map_or("", |end| rest.get(end..).unwrap_or_default())
        } else {
            return false;
        };
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn semicolons_in_quotes_and_comments_end_nothing() {
        let text =
            "SELECT ';', \"a;b\", $$;$$, $x$;$x$, E'\\';' -- ;\n /* ; /* ; */ ; */; SELECT 2;";
        let found = statements(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found.last(), Some(&"SELECT 2"));
    }

    #[test]
    fn a_last_statement_needs_no_semicolon_and_comments_are_none() {
        assert_eq!(statements(" SELECT 1 ; -- done\n"), ["SELECT 1"]);
        assert_eq!(
            statements("SELECT 1;;SELECT 'it''s'"),
            ["SELECT 1", "SELECT 'it''s'"]
        );
        assert!(statements("-- nothing\n/* at all */").is_empty());
    }

    #[test]
    fn parameters_are_no_dollar_quotes() {
        assert_eq!(
            statements("SELECT $1; SELECT $2"),
            ["SELECT $1", "SELECT $2"]
        );
    }

    #[test]
    fn backslash_commands_are_lines() {
        assert_eq!(
            statements("\\dt\nSELECT 1;\n\\q"),
            ["\\dt", "SELECT 1", "\\q"]
        );
    }

    #[test]
    fn a_statement_is_gathered_over_lines() {
        let mut splitter = Splitter::default();
        assert!(splitter.push("SELECT 'a;").is_empty());
        assert!(!splitter.is_empty());
        assert_eq!(
            splitter.push("b'; SELECT 2; SELECT"),
            ["SELECT 'a;\nb'", "SELECT 2"]
        );
        assert_eq!(splitter.push("3;"), ["SELECT\n3"]);
        assert!(splitter.is_empty());
    }
}
