//! The settings there are: PostgreSQL 15's and TimescaleDB's, with their types and units.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use chronolith_types::SqlState;

use crate::error::Error;

/// Who may change a setting, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Fixed in the program.
    Internal,
    /// At start only.
    Postmaster,
    /// In the configuration file.
    Sighup,
    /// When a session starts.
    Backend,
    /// When a superuser's session starts.
    SuperuserBackend,
    /// By a superuser, at any time.
    Superuser,
    /// By anyone, at any time.
    User,
}

impl Context {
    /// PostgreSQL's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Postmaster => "postmaster",
            Self::Sighup => "sighup",
            Self::Backend => "backend",
            Self::SuperuserBackend => "superuser-backend",
            Self::Superuser => "superuser",
            Self::User => "user",
        }
    }
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// on or off
    Bool,
    /// A whole number, in the setting's unit.
    Integer,
    /// A number, in the setting's unit.
    Real,
    /// Any text.
    String,
    /// One of some words.
    Enum,
}

impl Kind {
    /// PostgreSQL's word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::String => "string",
            Self::Enum => "enum",
        }
    }
}

/// One setting.
#[derive(Debug)]
pub struct Known {
    /// Its name, in the case it is shown in.
    pub name: &'static str,
    /// What it holds when nobody set it, in its unit.
    pub default: &'static str,
    /// The unit of a bare number: `ms`, `s`, `min`, `kB`, `8kB`, `MB`, `B`; empty for none.
    pub unit: &'static str,
    /// Who may change it.
    pub context: Context,
    /// What values it takes.
    pub kind: Kind,
    /// The least value, or empty.
    pub min: &'static str,
    /// The greatest value, or empty.
    pub max: &'static str,
    /// The words it takes, separated by commas.
    pub words: &'static str,
}

/// Settings that are shown as permissions of files are.
const OCTAL: [&str; 3] = [
    "data_directory_mode",
    "log_file_mode",
    "unix_socket_permissions",
];

static TABLE: LazyLock<Vec<Known>> = LazyLock::new(|| {
    include_str!("settings.tsv")
        .lines()
        .filter_map(parse_line)
        .collect()
});

static BY_NAME: LazyLock<HashMap<String, usize>> = LazyLock::new(|| {
    TABLE
        .iter()
        .enumerate()
        .map(|(index, known)| (known.name.to_lowercase(), index))
        .collect()
});

fn parse_line(line: &'static str) -> Option<Known> {
    let mut fields = line.split('\t');
    let mut next = || fields.next().unwrap_or_default();
    let (name, default, unit, context, kind) = (next(), next(), next(), next(), next());
    let context = match context {
        "internal" => Context::Internal,
        "postmaster" => Context::Postmaster,
        "sighup" => Context::Sighup,
        "backend" => Context::Backend,
        "superuser-backend" => Context::SuperuserBackend,
        "superuser" => Context::Superuser,
        _ => Context::User,
    };
    let kind = match kind {
        "bool" => Kind::Bool,
        "integer" => Kind::Integer,
        "real" => Kind::Real,
        "enum" => Kind::Enum,
        _ => Kind::String,
    };
    (!name.is_empty()).then(|| Known {
        name,
        default,
        unit,
        context,
        kind,
        min: next(),
        max: next(),
        words: next(),
    })
}

/// Every setting, in the order of their names.
#[must_use]
pub fn known() -> &'static [Known] {
    &TABLE
}

/// A name as settings are kept by it. Most are written so.
pub(super) fn lower(name: &str) -> Cow<'_, str> {
    match name
        .bytes()
        .any(|byte| !byte.is_ascii() || byte.is_ascii_uppercase())
    {
        true => Cow::Owned(name.to_lowercase()),
        false => Cow::Borrowed(name),
    }
}

/// The setting of a name, whatever its case.
#[must_use]
pub fn find(name: &str) -> Option<&'static Known> {
    BY_NAME
        .get(&*lower(name))
        .and_then(|index| TABLE.get(*index))
}

/// How many of a unit's base (bytes, or microseconds) one unit is.
fn unit_factor(unit: &str) -> Option<(f64, bool)> {
    Some(match unit {
        "B" => (1.0, false),
        "kB" => (1024.0, false),
        "8kB" => (8192.0, false),
        "MB" => (1024.0 * 1024.0, false),
        "GB" => (1024.0 * 1024.0 * 1024.0, false),
        "TB" => (1024.0 * 1024.0 * 1024.0 * 1024.0, false),
        "us" => (1.0, true),
        "ms" => (1000.0, true),
        "s" => (1e6, true),
        "min" => (6e7, true),
        "h" => (3.6e9, true),
        "d" => (8.64e10, true),
        _ => return None,
    })
}

impl Known {
    /// The value as it is kept: booleans as on/off, numbers in the setting's unit.
    ///
    /// # Errors
    /// 22023 for a value the setting does not take.
    pub fn normalise(&self, text: &str) -> Result<String, Error> {
        let text = text.trim();
        match self.kind {
            Kind::String => Ok(text.to_owned()),
            Kind::Bool => parse_bool(text)
                .map(|on| if on { "on" } else { "off" }.to_owned())
                .ok_or_else(|| {
                    Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("parameter \"{}\" requires a Boolean value", self.name),
                    )
                }),
            Kind::Enum => {
                let lower = text.to_lowercase();
                let word = self.words.split(',').find(|word| *word == lower);
                match (word, self.words.is_empty(), parse_bool(&lower)) {
                    (Some(word), _, _) => Ok(word.to_owned()),
                    (None, true, _) => Ok(lower),
                    // Words such as on and off have PostgreSQL's other spellings too.
                    (None, _, Some(true)) if self.words.split(',').any(|w| w == "on") => {
                        Ok("on".to_owned())
                    }
                    (None, _, Some(false)) if self.words.split(',').any(|w| w == "off") => {
                        Ok("off".to_owned())
                    }
                    _ => Err(self.invalid(text).hint(format!(
                        "Available values: {}.",
                        self.words.replace(',', ", ")
                    ))),
                }
            }
            Kind::Integer | Kind::Real => self.normalise_number(text),
        }
    }

    fn normalise_number(&self, text: &str) -> Result<String, Error> {
        // As C reads numbers: permissions are written so.
        if self.kind == Kind::Integer
            && let Some(digits) = text.strip_prefix('0').filter(|digits| !digits.is_empty())
            && let Ok(octal) = u32::from_str_radix(digits, 8)
        {
            return self.normalise_number(&octal.to_string());
        }
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E')))
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let unit = unit.trim();
        let mut value: f64 = number.trim().parse().map_err(|_| self.invalid(text))?;
        if !unit.is_empty() {
            let hint = "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", \"TB\", \"us\", \"ms\", \"s\", \"min\", \"h\" and \"d\", as its own unit is one of size or of time.";
            match (unit_factor(unit), unit_factor(self.unit)) {
                (Some((from, from_time)), Some((to, to_time))) if from_time == to_time => {
                    value = value * from / to;
                }
                _ => return Err(self.invalid(text).hint(hint)),
            }
        }
        if self.kind == Kind::Integer {
            value = value.round();
        }
        let min = self.min.parse().unwrap_or(f64::NEG_INFINITY);
        let max = self.max.parse().unwrap_or(f64::INFINITY);
        if value < min || value > max {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!(
                    "{value}{}{} is outside the valid range for parameter \"{}\" ({} .. {})",
                    if self.unit.is_empty() { "" } else { " " },
                    self.unit,
                    self.name,
                    self.min,
                    self.max
                ),
            ));
        }
        Ok(format!("{value}"))
    }

    fn invalid(&self, text: &str) -> Error {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{}\": \"{text}\"", self.name),
        )
    }

    /// The value as SHOW prints it: a number in the largest unit that divides it.
    #[must_use]
    pub fn show(&self, value: &str) -> String {
        if OCTAL.contains(&self.name)
            && let Ok(mode) = value.parse::<u32>()
        {
            return format!("{mode:04o}");
        }
        let (Some((factor, time)), Ok(number)) = (unit_factor(self.unit), value.parse::<f64>())
        else {
            return value.to_owned();
        };
        if number <= 0.0 {
            return value.to_owned();
        }
        let base = number * factor;
        let units: &[&str] = if time {
            &["d", "h", "min", "s", "ms", "us"]
        } else {
            &["TB", "GB", "MB", "kB", "B"]
        };
        for unit in units {
            if let Some((size, _)) = unit_factor(unit)
                && (base / size).fract() == 0.0
                && base >= size
            {
                return format!("{}{unit}", base / size);
            }
        }
        value.to_owned()
    }
}

/// PostgreSQL's Boolean words and their unique prefixes.
#[must_use]
fn parse_bool(text: &str) -> Option<bool> {
    let lower = text.to_lowercase();
    let prefix = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if prefix("true", 1) || prefix("yes", 1) || lower == "on" || lower == "1" {
        Some(true)
    } else if prefix("false", 1) || prefix("no", 1) || prefix("off", 2) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn sizes_are_kept_in_the_settings_unit_and_shown_in_the_largest() {
        let work_mem = find("Work_Mem").unwrap();
        assert_eq!(work_mem.normalise("64MB").unwrap(), "65536");
        assert_eq!(work_mem.show("65536"), "64MB");
        let buffers = find("shared_buffers").unwrap();
        assert_eq!(buffers.normalise("512MB").unwrap(), "65536");
        assert_eq!(buffers.show("65536"), "512MB");
        let timeout = find("statement_timeout").unwrap();
        assert_eq!(timeout.normalise("5s").unwrap(), "5000");
        assert_eq!(timeout.show("5000"), "5s");
        assert_eq!(timeout.show("0"), "0");
        let mode = find("unix_socket_permissions").unwrap();
        assert_eq!(mode.normalise("0770").unwrap(), "504");
        assert_eq!(mode.show("504"), "0770");
    }

    #[test]
    fn values_a_setting_does_not_take_are_22023() {
        for (name, value) in [
            ("work_mem", "5s"),
            ("work_mem", "abc"),
            ("work_mem", "1"),
            ("enable_sort", "maybe"),
            ("client_min_messages", "loud"),
        ] {
            let error = find(name).unwrap().normalise(value).unwrap_err();
            assert_eq!(error.code, SqlState::INVALID_PARAMETER_VALUE, "{name}");
        }
    }
}
