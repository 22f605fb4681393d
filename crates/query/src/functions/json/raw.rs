//! The members of a json text as they are written: json, unlike jsonb, keeps its own form.

/// What a text is at its top.
pub(super) enum Top<'a> {
    /// The texts of its elements.
    Array(Vec<&'a str>),
    /// Keys, unescaped, and the texts of their values, doubles and all.
    Object(Vec<(String, &'a str)>),
    Scalar,
}

/// Reads the members of a valid json text.
pub(super) fn read(text: &str) -> Top<'_> {
    let text = text.trim_matches(is_blank);
    let mut scanner = Scanner { text, at: 1 };
    if text.starts_with('[') {
        let mut items = Vec::new();
        while let Some(item) = scanner.value() {
            items.push(item);
            scanner.skip(',');
        }
        Top::Array(items)
    } else if text.starts_with('{') {
        let mut members = Vec::new();
        while let Some(key) = scanner.value() {
            scanner.skip(':');
            let key = serde_json::from_str(key).unwrap_or_else(|_| key.to_owned());
            members.push((key, scanner.value().unwrap_or("null")));
            scanner.skip(',');
        }
        Top::Object(members)
    } else {
        Top::Scalar
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn blanks(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += rest
            .iter()
            .take_while(|byte| is_blank(char::from(**byte)))
            .count();
    }

    fn skip(&mut self, mark: char) {
        self.blanks();
        if self
            .text
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(mark))
        {
            self.at += 1;
        }
    }

    /// The text of the next value; none where the container ends.
    fn value(&mut self) -> Option<&'a str> {
        self.blanks();
        let rest = self.text.as_bytes().get(self.at..)?;
        let mut depth = 0_usize;
        let mut quoted = false;
        let mut escaped = false;
        let mut length = 0;
        for byte in rest {
            if quoted {
                length += 1;
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' => escaped = true,
                    b'"' => {
                        quoted = false;
                        if depth == 0 {
                            break;
                        }
                    }
                    _ => {}
                }
                continue;
            }
            match byte {
                b']' | b'}' | b',' | b':' if depth == 0 => break,
                byte if depth == 0 && is_blank(char::from(*byte)) => break,
                b'"' => quoted = true,
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            length += 1;
            if depth == 0 && matches!(byte, b']' | b'}') {
                break;
            }
        }
        if length == 0 {
            return None;
        }
        let value = self.text.get(self.at..self.at + length)?;
        self.at += length;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_the_form_they_are_written_in() {
        let Top::Object(members) =
            read(r#" {"a" : [1, 2,{"x": "],"}] ,"b\u0041":"\"}" , "a":-1e5 } "#)
        else {
            panic!("an object");
        };
        assert_eq!(
            members,
            [
                ("a".to_owned(), r#"[1, 2,{"x": "],"}]"#),
                ("bA".to_owned(), r#""\"}""#),
                ("a".to_owned(), "-1e5"),
            ]
        );
        assert!(matches!(read("[ ]"), Top::Array(items) if items.is_empty()));
        assert!(matches!(read("[[], {} ]"), Top::Array(items) if items == ["[]", "{}"]));
        assert!(matches!(read(" true "), Top::Scalar));
    }
}
