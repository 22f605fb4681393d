//! How a database uses the machine, and the settings its sessions start with.

use std::collections::BTreeMap;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::error::{Error, invalid_setting};
use chronolith_query::settings;
use chronolith_types::SqlState;

const MIB: u64 = 1024 * 1024;

/// What may change whenever a database is opened. What is frozen when it is created is not here:
/// today that is only the version of its formats, which the data directory itself records.
///
/// In a TOML file and as `-c name=value` the fields go by the names below, sizes with a unit
/// (`512MB`); every other name is a PostgreSQL setting that sessions start with.
///
/// ```
/// use chronolith::Config;
///
/// let mut config = Config::from_toml("hot_memory = \"256MB\"\ntimezone = \"Europe/Zurich\"")?;
/// config.set("work_mem", "64MB")?;
/// assert_eq!(config.hot_bytes_max, 256 * 1024 * 1024);
/// assert!(config.set("hot_memory", "plenty").is_err());
/// assert!(config.set("no_such_setting", "1").is_err());
/// # Ok::<(), chronolith::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// `hot_memory`: bytes of rows in memory before they are flushed and writers wait. Default
    /// 512 MiB: enough for chunks to fill before they are written, small beside 4 GiB.
    pub hot_bytes_max: u64,
    /// `query_memory`: bytes that the sorts, joins and groupings of all queries may hold; past
    /// them a query spills or fails with 53200. Default 1 GiB.
    pub query_bytes_max: u64,
    /// `threads`: how many threads one query, and the work in the background, may use. Default:
    /// the machine's cores.
    pub threads: usize,
    /// What sessions start with, by lower-case name, in the setting's own unit. Default: nothing,
    /// so PostgreSQL's defaults.
    pub settings: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hot_bytes_max: 512 * MIB,
            query_bytes_max: 1024 * MIB,
            threads: thread::available_parallelism().map_or(1, usize::from),
            settings: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Reads a TOML file's text: names and values as [`Config::set`] takes them.
    ///
    /// # Errors
    /// 42601 for text that is not TOML, and the errors of [`Config::set`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let mut config = Self::default();
        config.set_toml(text)?;
        Ok(config)
    }

    /// Sets what a TOML file's text names.
    ///
    /// # Errors
    /// As [`Config::from_toml`].
    pub fn set_toml(&mut self, text: &str) -> Result<(), Error> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Error::new(
                SqlState::SYNTAX_ERROR,
                format!("invalid configuration file: {}", error.message()),
            )
            .detail(error.to_string())
        })?;
        for (name, value) in &table {
            let value = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Boolean(on) => if *on { "on" } else { "off" }.to_owned(),
                toml::Value::Integer(_) | toml::Value::Float(_) => value.to_string(),
                other => {
                    return Err(invalid_setting(
                        name,
                        &other.to_string(),
                        "A setting holds a text, a number or a Boolean.",
                    ));
                }
            };
            self.set(name, &value)?;
        }
        Ok(())
    }

    /// Sets one field or one PostgreSQL setting by its name.
    ///
    /// # Errors
    /// 42704 for a name nobody knows, 22023 for a value it does not take.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let key = name.trim().to_lowercase();
        match key.as_str() {
            "hot_memory" => self.hot_bytes_max = size(&key, value)?,
            "query_memory" => self.query_bytes_max = size(&key, value)?,
            "threads" => {
                self.threads = value
                    .trim()
                    .parse()
                    .ok()
                    .filter(|count| (1..=1024).contains(count))
                    .ok_or_else(|| invalid_setting(&key, value, "Give a number from 1 to 1024."))?;
            }
            _ => {
                let value = match settings::find(&key) {
                    Some(known) if known.context == settings::Context::Internal => {
                        return Err(Error::new(
                            SqlState::CANT_CHANGE_RUNTIME_PARAM,
                            format!("parameter \"{}\" cannot be changed", known.name),
                        ));
                    }
                    Some(known) => known.normalise(value)?,
                    // A name with a dot is somebody's own, and takes anything.
                    None if key.contains('.') => value.to_owned(),
                    None => {
                        return Err(Error::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!("unrecognized configuration parameter \"{name}\""),
                        )
                        .hint("Chronolith's own are hot_memory, query_memory and threads; the others are PostgreSQL's."));
                    }
                };
                self.settings.insert(key, value);
            }
        }
        Ok(())
    }
}

/// A size with its unit, in bytes; at least 16 MiB, below which nothing useful fits.
fn size(name: &str, text: &str) -> Result<u64, Error> {
    const BYTES_MIN: u64 = 16 * MIB;
    let hint = "Give a size of at least 16MB with its unit: kB, MB, GB or TB.";
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" | "kib" => Some(1024),
        "mb" | "mib" => Some(MIB),
        "gb" | "gib" => Some(1024 * MIB),
        "tb" | "tib" => Some(1024 * 1024 * MIB),
        _ => None,
    };
    let bytes = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
    bytes
        .filter(|bytes| *bytes >= BYTES_MIN)
        .ok_or_else(|| invalid_setting(name, text, hint))
}
