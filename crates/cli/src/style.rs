//! How text looks in a terminal, and how errors are told.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use chronolith::Error;

/// Whether stdout takes colours.
pub(crate) fn colours() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Writes to stdout, for what the user asked to see.
///
/// A reader that went away, as `head` does, is no error of ours.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// An error with its causes, on stderr.
pub(crate) fn print_error(error: &anyhow::Error) {
    let text = match error.downcast_ref::<Error>() {
        Some(known) => describe(known, None),
        None => format!("error: {error:#}"),
    };
    let _ = writeln!(io::stderr(), "{}", text.trim_end());
}

/// An error as psql shows it, with a caret under the place of `sql` it points at.
pub(crate) fn describe(error: &Error, sql: Option<&str>) -> String {
    let mut text = format!("ERROR:  {}: {}\n", error.code, error.message);
    if let (Some(sql), Some(position)) = (sql, error.position) {
        text.push_str(&caret(sql, position));
    }
    for (label, value) in [
        ("DETAIL", &error.detail),
        ("HINT", &error.hint),
        ("CONTEXT", &error.context),
    ] {
        if let Some(value) = value {
            let _ = writeln!(text, "{label}:  {value}");
        }
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let _ = writeln!(text, "CAUSE:  {cause}");
        source = cause.source();
    }
    text
}

/// The line of `sql` that holds character `position` (from 1), and a caret below that character.
fn caret(sql: &str, position: u32) -> String {
    let target = usize::try_from(position)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let mut start = 0;
    for (number, line) in sql.split('\n').enumerate() {
        let length = line.chars().count();
        if target <= start + length {
            let head = format!("LINE {}: ", number + 1);
            let blanks = head.chars().count() + target - start;
            return format!("{head}{line}\n{:blanks$}^\n", "");
        }
        start += length + 1;
    }
    String::new()
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = as_f64(count);
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} B")
    } else {
        format!("{value:.1} {}", UNITS.get(unit).unwrap_or(&"B"))
    }
}

/// A number with a comma between thousands.
pub(crate) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count for ratios and rates, where the last digits do not matter.
pub(crate) fn as_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown to three digits")]
    let value = count as f64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use chronolith::SqlState;

    #[test]
    fn the_caret_stands_under_the_character_the_error_names() {
        let error =
            Error::new(SqlState::UNDEFINED_COLUMN, "column \"z\" does not exist").at(Some(17));
        assert_eq!(
            describe(&error, Some("SELECT é,\n  a, z\nFROM t")),
            "ERROR:  42703: column \"z\" does not exist\nLINE 2:   a, z\n              ^\n"
        );
    }

    #[test]
    fn numbers_are_told_as_people_read_them() {
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 kB");
    }
}
