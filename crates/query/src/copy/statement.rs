//! The options of a COPY statement.

use chronolith_sql::{Copy, Opt};
use chronolith_types::SqlState;

use super::options::{CopyOptions, Header};
use crate::error::Error;
use crate::outcome::CopyFormat;

/// Reads and checks them; `columns` are the names of the data's columns.
///
/// # Errors
/// 42601 for an unknown option, 22023 for a value it does not take, 42703 for an unknown column.
pub(crate) fn parse_options(copy: &Copy, columns: &[String]) -> Result<CopyOptions, Error> {
    let named = |name: &str| copy.options.iter().find(|option| option.name == name);
    let format = named("format").and_then(|option| option.value.as_deref());
    let mut options = match format.unwrap_or("text") {
        "text" => CopyOptions::text(),
        "csv" => CopyOptions::csv(),
        "binary" => CopyOptions::binary(),
        other => {
            return Err(invalid(format!("COPY format \"{other}\" not recognized"))
                .at(named("format").and_then(at)));
        }
    };
    let csv = options.format == CopyFormat::Csv;
    for option in &copy.options {
        let value = option.value.as_deref().unwrap_or_default();
        let twice = copy
            .options
            .iter()
            .filter(|other| other.name == option.name);
        if twice.count() > 1 {
            return Err(
                Error::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options")
                    .at(at(option)),
            );
        }
        let one_way = match option.name.as_str() {
            "force_quote" if copy.from => Some(("quote", "COPY TO")),
            "force_null" if !copy.from => Some(("null", "COPY FROM")),
            "force_not_null" if !copy.from => Some(("not null", "COPY FROM")),
            _ => None,
        };
        if let (Some((what, way)), true) = (one_way, csv) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("COPY force {what} only available using {way}"),
            ));
        }
        let only_csv = |what: &str| {
            if csv {
                Ok(())
            } else {
                Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("COPY {what} available only in CSV mode"),
                ))
            }
        };
        match option.name.as_str() {
            "format" => {}
            "freeze" => boolean(option)?,
            "encoding" => match value.to_uppercase().replace(['-', '_'], "").as_str() {
                "UTF8" | "UNICODE" | "SQLASCII" => {}
                _ => return Err(Error::unsupported(format!("COPY encoding \"{value}\""))),
            },
            "delimiter" => {
                options.delimiter =
                    single(option, "COPY delimiter must be a single one-byte character")?;
            }
            "null" => options.null = value.as_bytes().to_vec(),
            "quote" => {
                only_csv("quote")?;
                options.quote = single(option, "COPY quote must be a single one-byte character")?;
                if named("escape").is_none() {
                    options.escape = options.quote;
                }
            }
            "escape" => {
                only_csv("escape")?;
                options.escape = single(option, "COPY escape must be a single one-byte character")?;
            }
            "header" => {
                options.header = match (value.to_lowercase().as_str(), option.bool()) {
                    ("match", _) if copy.from => Header::Match,
                    ("match", _) => {
                        return Err(invalid("cannot use \"match\" with HEADER in COPY TO"));
                    }
                    (_, Some(true)) => Header::On,
                    (_, Some(false)) => Header::Off,
                    (_, None) => {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "header requires a Boolean value or \"match\"",
                        ));
                    }
                };
            }
            "force_quote" => {
                only_csv("force quote")?;
                options.force_quote = places(value, columns)?;
            }
            "force_null" => {
                only_csv("force null")?;
                options.force_null = places(value, columns)?;
            }
            "force_not_null" => {
                only_csv("force not null")?;
                options.force_not_null = places(value, columns)?;
            }
            other => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("option \"{other}\" not recognized"),
                )
                .at(at(option)));
            }
        }
    }
    if options.format == CopyFormat::Binary {
        for name in ["delimiter", "null", "header"] {
            if named(name).is_some() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("cannot specify {} in BINARY mode", name.to_uppercase()),
                ));
            }
        }
    }
    options.check()?;
    Ok(options)
}

fn at(option: &Opt) -> Option<u32> {
    u32::try_from(option.position).ok()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn boolean(option: &Opt) -> Result<(), Error> {
    match option.bool() {
        Some(_) => Ok(()),
        None => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{} requires a Boolean value", option.name),
        )),
    }
}

fn single(option: &Opt, message: &str) -> Result<u8, Error> {
    match option.value.as_deref().map(str::as_bytes) {
        Some([byte]) => Ok(*byte),
        _ => Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)),
    }
}

fn places(list: &str, columns: &[String]) -> Result<Vec<usize>, Error> {
    if list == "*" {
        return Ok((0..columns.len()).collect());
    }
    list.split(',')
        .map(|name| {
            let name = name.trim().trim_matches('"');
            columns
                .iter()
                .position(|column| column == name)
                .ok_or_else(|| {
                    Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{name}\" does not exist"),
                    )
                })
        })
        .collect()
}
