//! Texts of statements with their constants taken out, by which runs of the same statement are told
//! together.
//!
//! As `pg_stat_statements` shows them: each constant is `$n`, counted from behind the parameters that
//! the text has. Rows of VALUES beyond the first count for nothing, so that an INSERT of ten rows and
//! one of a thousand are one statement.

use std::hash::{Hash, Hasher};

use crate::lexemes::{Kind, Scan};

/// A statement's text without its constants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// The text to be shown.
    pub text: String,
    /// Equal for texts that differ in blanks, comments and constants alone.
    pub id: i64,
}

/// Takes the constants out of one statement's text; `keep` leaves them, for statements that are no
/// query and no change of rows.
#[must_use]
pub fn normalised(text: &str, keep: bool) -> Normalised {
    let mut out = String::with_capacity(text.len().min(1024));
    let mut hasher = Fnv::default();
    let mut scan = Scan::new(text);
    let mut next = highest_parameter(text) + 1;
    let mut rows = Rows::default();
    let mut cast = Cast::None;
    while let Some(lexeme) = scan.next() {
        let part = &text[lexeme.start..lexeme.end];
        if lexeme.kind == Kind::Space {
            out.push_str(part);
            continue;
        }
        if rows.over(lexeme.kind, part) {
            // What follows the first row, up to the last row's end.
            scan.at = rows.end(&scan);
            out.push_str(" /*, ... */");
            rows = Rows::default();
            continue;
        }
        let constant = matches!(lexeme.kind, Kind::Number | Kind::Text);
        if constant && !keep && !cast.modifier() {
            out.push('$');
            out.push_str(&next.to_string());
            next += 1;
            "$".hash(&mut hasher);
        } else {
            out.push_str(part);
            match lexeme.kind {
                Kind::Word => part.to_ascii_lowercase().hash(&mut hasher),
                _ => part.hash(&mut hasher),
            }
        }
        cast = cast.after(lexeme.kind, part);
    }
    Normalised {
        text: out.trim().to_owned(),
        id: i64::from_ne_bytes(hasher.finish().to_ne_bytes()),
    }
}

/// The largest `n` of the `$n` in a text.
fn highest_parameter(text: &str) -> u32 {
    let numbers = text.split('$').skip(1).filter_map(|rest| {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        rest[..digits.unwrap_or(rest.len())].parse().ok()
    });
    numbers.max().unwrap_or(0)
}

/// FNV-1a: ids are shown to users, and must not change from run to run.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// How far VALUES and its first row have been read.
#[derive(Debug, Clone, Copy, Default)]
enum Rows {
    #[default]
    None,
    /// Behind VALUES.
    Values,
    /// Within the first row, so many parentheses deep.
    Row(u32),
    /// Behind it.
    Between,
}

impl Rows {
    /// Moves on by a lexeme; true at the comma behind the first row.
    fn over(&mut self, kind: Kind, part: &str) -> bool {
        *self = match (*self, part) {
            (Self::Between, ",") => return true,
            (Self::Values, "(") => Self::Row(1),
            (Self::Row(depth), "(") if kind == Kind::Sign => Self::Row(depth + 1),
            (Self::Row(1), ")") if kind == Kind::Sign => Self::Between,
            (Self::Row(depth), ")") if kind == Kind::Sign => Self::Row(depth - 1),
            (Self::Row(depth), _) => Self::Row(depth),
            (_, word) if kind == Kind::Word && word.eq_ignore_ascii_case("values") => Self::Values,
            _ => Self::None,
        };
        false
    }

    /// Where the last row of the list ends that the scan is in, behind a comma.
    fn end(self, scan: &Scan<'_>) -> usize {
        let mut scan = Scan {
            text: scan.text,
            bytes: scan.bytes,
            at: scan.at,
        };
        let (mut end, mut depth, mut row) = (scan.at, 0_u32, false);
        while let Some(lexeme) = scan.next() {
            let part = &scan.text[lexeme.start..lexeme.end];
            match (lexeme.kind, part) {
                (Kind::Space, _) => {}
                (Kind::Sign, "(") => depth += 1,
                (Kind::Sign, ")") if depth == 1 => {
                    depth = 0;
                    row = true;
                    end = scan.at;
                }
                (Kind::Sign, ")") if depth > 1 => depth -= 1,
                (Kind::Sign, ",") if depth == 0 && row => row = false,
                _ if depth > 0 => {}
                _ => break,
            }
        }
        end
    }
}

/// Where a type's modifier may stand, whose numbers are no constants: `::numeric(10, 2)`.
#[derive(Debug, Clone, Copy)]
enum Cast {
    None,
    /// Behind `::`.
    Colons,
    /// Behind the type's name.
    Type,
    Modifier,
}

impl Cast {
    fn modifier(self) -> bool {
        matches!(self, Self::Modifier)
    }

    fn after(self, kind: Kind, part: &str) -> Self {
        match (self, part) {
            (_, "::") => Self::Colons,
            (Self::Colons | Self::Type, _) if matches!(kind, Kind::Word | Kind::Quoted) => {
                Self::Type
            }
            (Self::Type, ".") => Self::Colons,
            (Self::Type, "(") => Self::Modifier,
            (Self::Modifier, ")") => Self::None,
            (Self::Modifier, _) => Self::Modifier,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::normalised;

    fn shown(text: &str) -> String {
        normalised(text, false).text
    }

    #[test]
    fn constants_are_numbered_behind_the_parameters() {
        let text =
            "SELECT a1, \"b 2\", 'it''s', 1.5e-3, $2 FROM t -- 7\n WHERE x = E'a\\'b' LIMIT 10";
        assert_eq!(
            shown(text),
            "SELECT a1, \"b 2\", $3, $4, $2 FROM t -- 7\n WHERE x = $5 LIMIT $6"
        );
        assert_eq!(shown("SELECT $a$ 'x' 1 $a$, $$y$$"), "SELECT $1, $2");
        assert_eq!(
            shown("SELECT x::numeric(10, 2), y::varchar(3) || 'é'"),
            "SELECT x::numeric(10, 2), y::varchar(3) || $1"
        );
    }

    #[test]
    fn rows_of_values_are_one() {
        let one = normalised("INSERT INTO t VALUES (1, 'a')", false);
        let three = normalised(
            "insert into t VALUES (1, 'a'), (2, f(3)), (4, ')(')  ",
            false,
        );
        assert_eq!(one.text, "INSERT INTO t VALUES ($1, $2)");
        assert_eq!(three.text, "insert into t VALUES ($1, $2) /*, ... */");
        assert_eq!(one.id, three.id);
        assert_eq!(
            shown("INSERT INTO t VALUES (1), (2) ON CONFLICT (a) DO UPDATE SET a = 3"),
            "INSERT INTO t VALUES ($1) /*, ... */ ON CONFLICT (a) DO UPDATE SET a = $2"
        );
    }

    #[test]
    fn ids_tell_statements_apart_but_not_their_blanks() {
        let id = |text| normalised(text, false).id;
        assert_eq!(id("SELECT 1"), id("select  /* c */\n 2"));
        assert_ne!(id("SELECT a"), id("SELECT b"));
        assert_ne!(id("SELECT \"a\""), id("SELECT \"A\""));
        assert_eq!(normalised("SET x = 5;", true).text, "SET x = 5;");
    }

    #[test]
    fn no_text_makes_it_panic() {
        for text in [
            "'",
            "E'\\",
            "$",
            "$é",
            "/*",
            "\"",
            "1e",
            "$$",
            "VALUES (1),",
            "é'ü",
            "E'\\é",
        ] {
            let _ = normalised(text, false);
        }
    }
}
