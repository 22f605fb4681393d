//! Whom names of elsewhere may come in as: the maps of `pg_ident.conf`.
//!
//! A name is one that the operating system or a certificate gives a client. A line that begins with a
//! slash holds a regular expression, and `\1` in its role stands for what that found.

use regex::Regex;

use super::words::{Include, Line, lines};

/// One line of the file.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// Its number, from 1.
    pub line: u32,
    /// The map that it is part of.
    pub map: String,
    /// The name elsewhere.
    pub name: String,
    /// The role.
    pub role: String,
    pattern: Option<Regex>,
}

/// A line of the file that is no comment: what it says, or what is wrong with it.
pub(crate) type IdentEntry = (u32, Result<Mapping, String>);

/// Reads a file's text; `include` reads the files that it names with `@`.
pub(crate) fn read(
    text: &str,
    include: &dyn Fn(&str) -> Result<String, String>,
) -> Vec<IdentEntry> {
    let include: &Include<'_> = include;
    lines(text, include)
        .into_iter()
        .map(|line| (line.number, mapping(line)))
        .collect()
}

fn mapping(line: Line) -> Result<Mapping, String> {
    if let Some(error) = line.error {
        return Err(error);
    }
    let mut fields = line.fields.into_iter();
    let mut word = || {
        let field = fields.next();
        let mut words = field
            .ok_or_else(|| "missing entry at end of line".to_owned())?
            .into_iter();
        match (words.next(), words.next()) {
            (Some(word), None) => Ok(word.text),
            _ => Err("multiple values in ident field".to_owned()),
        }
    };
    let (map, name, role) = (word()?, word()?, word()?);
    let pattern = match name.strip_prefix('/') {
        Some(pattern) => Some(crate::functions::regular_expression(pattern)?),
        None => None,
    };
    Ok(Mapping {
        line: line.number,
        map,
        name,
        role,
        pattern,
    })
}

impl Mapping {
    /// Whether it lets a name in as a role.
    fn lets(&self, name: &str, role: &str) -> bool {
        let Some(pattern) = &self.pattern else {
            return self.name == name && self.role == role;
        };
        let Some(found) = pattern.captures(name) else {
            return false;
        };
        match self.role.split_once("\\1") {
            None => self.role == role,
            // Without a part that is meant there is nobody.
            Some((before, after)) => found
                .get(1)
                .is_some_and(|part| format!("{before}{}{after}", part.as_str()) == role),
        }
    }
}

/// The maps in force.
#[derive(Debug, Clone, Default)]
pub struct Idents {
    mappings: Vec<Mapping>,
}

impl Idents {
    /// Those of a file's lines; a line that says nothing is left out.
    #[must_use]
    pub(crate) fn of(entries: Vec<IdentEntry>) -> Self {
        let mappings = entries.into_iter().filter_map(|(_, entry)| entry.ok());
        Self {
            mappings: mappings.collect(),
        }
    }

    /// Whether a map lets a name in as a role; without a map it is the role's own.
    #[must_use]
    pub fn lets(&self, map: Option<&str>, name: &str, role: &str) -> bool {
        let Some(map) = map else {
            return name == role;
        };
        let mut of_map = self.mappings.iter().filter(|mapping| mapping.map == map);
        of_map.any(|mapping| mapping.lets(name, role))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn of(text: &str) -> Idents {
        Idents::of(read(text, &|_| Err(String::new())))
    }

    #[test]
    fn a_map_says_whom_a_name_may_come_in_as() {
        let all = of("# names\n\
             m  anna  trader\n\
             m  anna  reader\n\
             m  /^(.*)@desk\\.example$  \\1\n\
             m  /^admin-  boss\n\
             n  bert  bert\n");
        for (map, name, role, expected) in [
            (None, "anna", "anna", true),
            (None, "anna", "trader", false),
            (Some("m"), "anna", "trader", true),
            (Some("m"), "anna", "reader", true),
            // Not its own, unless a line says so.
            (Some("m"), "anna", "anna", false),
            (Some("n"), "anna", "trader", false),
            (Some("m"), "carl@desk.example", "carl", true),
            (Some("m"), "carl@desk.example", "boss", false),
            (Some("m"), "carl@desk.example.org", "carl", false),
            (Some("m"), "admin-7", "boss", true),
            (Some("m"), "no-admin-7", "boss", false),
            (Some("gone"), "anna", "anna", false),
        ] {
            assert_eq!(all.lets(map, name, role), expected, "{map:?} {name} {role}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_line_is_said_in_postgresqls_words() {
        for (line, error) in [
            ("m anna", "missing entry at end of line"),
            ("m", "missing entry at end of line"),
            ("m anna,bert trader", "multiple values in ident field"),
        ] {
            let entries = read(line, &|_| Err(String::new()));
            let told = entries.into_iter().next().unwrap().1.unwrap_err();
            assert_eq!(told, error, "{line}");
        }
        let entries = read("m /( x", &|_| Err(String::new()));
        let told = entries.into_iter().next().unwrap().1.unwrap_err();
        assert!(told.starts_with("invalid regular expression"), "{told}");
    }
}
