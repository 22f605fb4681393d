//! The constants of a statement taken out of its text, so that statements that differ in nothing else
//! are one statement with parameters.
//!
//! Only those constants are taken for which a parameter means the same: what a column is compared
//! with, what SET gives it, and what a row of VALUES holds. A constant anywhere else may decide what
//! the statement is (`LIMIT 1`, `ORDER BY 1`, `interval '1 day'`), and stays a part of the text.

use chronolith_types::SqlType;

use crate::lexemes::{Kind, Scan};

/// The longest text that is looked at, bytes.
const TEXT_BYTES_MAX: usize = 4096;
/// More constants are left where they are.
const CONSTANTS_MAX: usize = 64;

/// A statement with parameters in place of its constants.
#[derive(Debug, Clone, PartialEq)]
pub struct Constants {
    /// The text with ` $1 `, ` $2 ` … in their places.
    pub shape: String,
    /// What each is by its form; None for a text in quotes, which is of the type that is wanted there.
    pub types: Vec<Option<SqlType>>,
    /// What else tells kinds apart: of a number its type, and of what SET gives a column how large or
    /// long it is. PostgreSQL refuses a constant that does not fit its column even where there is no
    /// row to change: where one fits, those of its size do.
    pub sizes: Vec<usize>,
    /// Each as it would come over the wire.
    pub values: Vec<String>,
}

/// Words and signs, operators in one piece.
struct Piece<'t> {
    kind: Kind,
    text: &'t str,
    start: usize,
    end: usize,
}

impl Piece<'_> {
    fn is(&self, word: &str) -> bool {
        match self.kind {
            Kind::Word => self.text.eq_ignore_ascii_case(word),
            Kind::Sign => self.text == word,
            _ => false,
        }
    }

    fn any(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.is(word))
    }
}

/// Statements whose constants are taken out.
const VERBS: [&str; 4] = ["select", "insert", "update", "delete"];
/// What stands before a constant that is compared or assigned.
const BEFORE: [&str; 9] = ["=", "<", ">", "<=", ">=", "<>", "!=", "between", "and"];
/// What ends the expression that a constant is.
const BEHIND: [&str; 12] = [
    ")",
    ",",
    ";",
    "and",
    "or",
    "where",
    "order",
    "group",
    "having",
    "limit",
    "returning",
    "for",
];
/// Types that a constant may be cast to: those without modifiers whose names are one word.
const CASTS: [&str; 10] = [
    "timestamptz",
    "timestamp",
    "date",
    "time",
    "interval",
    "uuid",
    "json",
    "jsonb",
    "text",
    "numeric",
];
/// Texts that mean the time at which they are read.
const MOMENTS: [&str; 4] = ["now", "today", "yesterday", "tomorrow"];

/// Takes the constants out of a text of one statement; None where there are none to take, or the text
/// is something else.
#[must_use]
pub fn constants_apart(text: &str) -> Option<Constants> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    let pieces = pieces(text)?;
    let mut taken = Constants {
        shape: String::with_capacity(text.len()),
        types: Vec::new(),
        sizes: Vec::new(),
        values: Vec::new(),
    };
    let mut from = 0;
    let mut row = Row::None;
    let mut set = Set::default();
    for (at, piece) in pieces.iter().enumerate() {
        let in_row = matches!(row, Row::Within(1));
        row = row.after(piece);
        set.go_on(piece);
        let Some((first, ty, value)) = constant(&pieces, at, in_row) else {
            continue;
        };
        let Some(size) = (match set.within() {
            true => size(&value, ty.as_ref()),
            false => Some(of_type(ty.as_ref())),
        }) else {
            continue;
        };
        let start = pieces.get(first)?.start;
        taken.shape.push_str(text.get(from..start)?);
        taken.sizes.push(size);
        taken.types.push(ty);
        taken.values.push(value);
        // Blanks, for a word may follow without one.
        taken.shape.push_str(&format!(" ${} ", taken.types.len()));
        from = piece.end;
    }
    taken.shape.push_str(text.get(from..)?);
    (1..=CONSTANTS_MAX)
        .contains(&taken.types.len())
        .then_some(taken)
}

/// The lexemes of a text of one statement that begins with one of [`VERBS`].
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut scan = Scan::new(text);
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    while let Some(lexeme) = scan.next() {
        let part = text.get(lexeme.start..lexeme.end)?;
        match (lexeme.kind, pieces.last_mut()) {
            (Kind::Space, _) => continue,
            (Kind::Parameter, _) => return None,
            (_, None) if !VERBS.iter().any(|verb| part.eq_ignore_ascii_case(verb)) => return None,
            // Something follows the end.
            (_, Some(last)) if last.is(";") => return None,
            (Kind::Sign, Some(last))
                if last.kind == Kind::Sign
                    && last.end == lexeme.start
                    && last.text.bytes().all(of_operator)
                    && part.bytes().all(of_operator) =>
            {
                last.end = lexeme.end;
                last.text = text.get(last.start..last.end)?;
                continue;
            }
            _ => {}
        }
        pieces.push(Piece {
            kind: lexeme.kind,
            text: part,
            start: lexeme.start,
            end: lexeme.end,
        });
    }
    Some(pieces)
}

/// Whether operators are made of it; `:=` is one piece too.
fn of_operator(byte: u8) -> bool {
    b"+-*/<>=~!@#%^&|`?:".contains(&byte)
}

/// How far VALUES has been read.
enum Row {
    None,
    Values,
    /// So many parentheses deep in a row.
    Within(u32),
    Between,
}

impl Row {
    fn after(self, piece: &Piece<'_>) -> Self {
        match self {
            _ if piece.is("values") => Self::Values,
            Self::Values if piece.is("(") => Self::Within(1),
            Self::Between if piece.is(",") => Self::Values,
            Self::Within(depth) if piece.is("(") => Self::Within(depth + 1),
            Self::Within(1) if piece.is(")") => Self::Between,
            Self::Within(depth) if piece.is(")") => Self::Within(depth - 1),
            Self::Within(depth) => Self::Within(depth),
            Self::None | Self::Values | Self::Between => Self::None,
        }
    }
}

/// Whether what is read stands in a SET list.
#[derive(Default)]
struct Set {
    depth: usize,
    /// How deep in parentheses the list stands.
    since: Option<usize>,
}

impl Set {
    fn go_on(&mut self, piece: &Piece<'_>) {
        if piece.is("(") {
            self.depth += 1;
        } else if piece.is(")") {
            self.depth = self.depth.saturating_sub(1);
        } else if piece.is("set") {
            self.since = Some(self.depth);
        } else if piece.any(&["where", "from", "returning"]) && self.since == Some(self.depth) {
            self.since = None;
        }
    }

    fn within(&self) -> bool {
        self.since.is_some()
    }
}

/// The constant that ends with a piece, if one is to be taken: the piece it begins with, which is its
/// sign where it has one, its type and its value.
fn constant(
    pieces: &[Piece<'_>],
    at: usize,
    in_row: bool,
) -> Option<(usize, Option<SqlType>, String)> {
    let piece = pieces.get(at)?;
    let (ty, value) = match piece.kind {
        Kind::Number => {
            let (ty, value) = number(piece.text)?;
            (Some(ty), value)
        }
        Kind::Text => (None, quoted(piece.text)?),
        _ => return None,
    };
    let mut first = at;
    let mut value = value;
    let minus = at.checked_sub(1).and_then(|before| pieces.get(before));
    if ty.is_some() && minus.is_some_and(|minus| minus.is("-") && minus.end == piece.start) {
        first = at - 1;
        value.insert(0, '-');
    }
    let before = pieces.get(first.checked_sub(1)?)?;
    let begins = before.any(&BEFORE) || in_row && before.any(&["(", ","]);
    begins.then_some(())?;
    let mut next = at + 1;
    if pieces.get(next).is_some_and(|sign| sign.is("::")) {
        // `-5::int` is not `(-5)::int`.
        let cast = pieces.get(next + 1).filter(|ty| ty.any(&CASTS));
        cast.filter(|_| first == at)?;
        next += 2;
    }
    let ends = pieces.get(next).is_none_or(|behind| behind.any(&BEHIND));
    ends.then_some((first, ty, value))
}

/// The type that a number has by its form.
fn number(text: &str) -> Option<(SqlType, String)> {
    let ty = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        match text.parse::<i64>() {
            Ok(number) if i32::try_from(number).is_ok() => SqlType::Int4,
            Ok(_) => SqlType::Int8,
            Err(_) => SqlType::Numeric(None),
        }
    } else {
        let decimal = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        if !text.bytes().all(decimal) || text.bytes().filter(|byte| *byte == b'.').count() > 1 {
            return None;
        }
        SqlType::Numeric(None)
    };
    Some((ty, text.to_owned()))
}

/// What kinds of constants of some type begin at: all below the next are of that type.
fn of_type(ty: Option<&SqlType>) -> usize {
    match ty {
        None => 0,
        Some(SqlType::Int4) => 1 << 16,
        Some(SqlType::Int8) => 2 << 16,
        Some(_) => 3 << 16,
    }
}

/// The size of what a column is given: of an integer the bytes that hold it, of a numeric the digits
/// before its point, of a text its length, and those digits where it may be read as a number. None
/// for a text that is as long as few others, or means no number of any size.
fn size(value: &str, ty: Option<&SqlType>) -> Option<usize> {
    const LENGTH_MAX: usize = 40;
    let digits = || {
        let digits = value
            .trim_start_matches(['-', '+', ' '])
            .trim_start_matches('0');
        let end = digits.find(|other: char| !other.is_ascii_digit());
        end.unwrap_or(digits.len())
    };
    let size = match ty {
        None => {
            let length = value.chars().count();
            let lower = value.to_ascii_lowercase();
            if length > LENGTH_MAX || lower.contains("inf") || lower.contains("nan") {
                return None;
            }
            length << 8 | digits()
        }
        Some(SqlType::Int4) if value.parse::<i16>().is_ok() => 2,
        Some(SqlType::Int4) => 4,
        Some(SqlType::Int8) => 8,
        Some(_) => digits(),
    };
    Some(of_type(ty) + size)
}

/// What a text in plain quotes holds.
fn quoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('\'')?.strip_suffix('\'')?;
    let value = inner.replace("''", "'");
    let word = value.trim();
    let moment = MOMENTS
        .iter()
        .any(|moment| word.eq_ignore_ascii_case(moment));
    (text.len() > 1 && !moment).then_some(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn shape(text: &str) -> Option<(String, Vec<String>)> {
        constants_apart(text).map(|taken| (taken.shape, taken.values))
    }

    #[test]
    fn what_is_compared_assigned_and_inserted_is_taken_out() {
        let (text, values) = shape(
            "UPDATE t SET a = 'it''s', b = -1.5 WHERE c >= '2026-01-01'::timestamptz AND d = 7;",
        )
        .unwrap();
        assert_eq!(
            text,
            "UPDATE t SET a =  $1 , b =  $2  WHERE c >=  $3 ::timestamptz AND d =  $4 ;"
        );
        assert_eq!(values, ["it's", "-1.5", "2026-01-01", "7"]);
        let (text, values) =
            shape("insert into t values (1, f(2), 'x', 3 + 4) on conflict do nothing").unwrap();
        assert_eq!(
            text,
            "insert into t values ( $1 , f(2),  $2 , 3 + 4) on conflict do nothing"
        );
        assert_eq!(values, ["1", "x"]);
    }

    #[test]
    fn what_may_decide_what_the_statement_is_stays() {
        for text in [
            "SELECT 1",
            "SELECT a FROM t ORDER BY 1 LIMIT 5",
            "SELECT a FROM t WHERE b > interval '1 day'",
            "SELECT a FROM t WHERE b = 1 + c",
            "SELECT a FROM t WHERE b = 'x' COLLATE \"C\"",
            "SELECT a FROM t WHERE b = '5'::numeric(3)",
            "SELECT a FROM t WHERE b = -5::text",
            "SELECT f(a => 5), g(b := 6)",
            "SELECT a FROM t WHERE j -> 'k' IS NULL",
            "SELECT a FROM t WHERE b = E'x' OR b = 'now' OR b = $$x$$",
            "SELECT a FROM t WHERE b = 0x1F",
            "SELECT a FROM t WHERE b = $1 AND c = 5",
            "SELECT a FROM t WHERE b = 5; SELECT 2",
            "WITH x AS (SELECT a FROM t WHERE b = 5) SELECT 1",
            "CREATE TABLE t (a int CHECK (a > 5))",
            "SELECT a FROM t WHERE b = 'x",
            "",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
    }

    #[test]
    fn what_columns_are_given_is_told_apart_by_its_size() {
        let sizes = |given: &str, compared: &str| {
            let text = format!("UPDATE t SET a = {given} WHERE b = {compared}");
            constants_apart(&text).map(|taken| taken.sizes).unwrap()
        };
        let same = [
            ("5", "-300"),
            ("'abc'", "'xyz'"),
            ("12.5", "99.125"),
            ("70000", "-70000"),
        ];
        for (one, other) in same {
            assert_eq!(sizes(one, "1"), sizes(other, "40000"));
        }
        let differing = [
            ("5", "40000"),
            ("'abc'", "'abcd'"),
            ("12.5", "112.5"),
            ("'12.5'", "'1.25'"),
        ];
        for (one, other) in differing {
            assert_ne!(sizes(one, "'x'"), sizes(other, "'x'"));
        }
        assert_eq!(sizes("5", "'x'").first(), sizes("5", "'longer'").first());
        assert_eq!(sizes("5", "'x'").last(), sizes("5", "'longer'").last());
        // These stay.
        for given in [
            "'NaN'",
            "'-Infinity'",
            "'a text that is longer than most of the texts are'",
        ] {
            assert_eq!(sizes(given, "1").len(), 1);
        }
    }

    #[test]
    fn numbers_have_the_types_of_their_forms() {
        let taken = constants_apart(
            "INSERT INTO t VALUES (2147483647, 2147483648, 9223372036854775808, 100.25, .5, 1e3, 7)",
        )
        .unwrap();
        let types = [
            SqlType::Int4,
            SqlType::Int8,
            SqlType::Numeric(None),
            SqlType::Numeric(None),
            SqlType::Numeric(None),
            SqlType::Int4,
        ];
        assert_eq!(taken.types, types.map(Some));
        let sizes = [1, 2, 3, 3, 3, 1];
        assert_eq!(taken.sizes, sizes.map(|size| size << 16));
    }
}
