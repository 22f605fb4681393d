//! `postgresql.conf` and `postgresql.auto.conf`: what they say, line by line, and what of it holds.

use std::collections::BTreeMap;

use chronolith_types::SqlState;

use super::known::{Context, find};
use crate::error::Error;
use crate::hosts::reason;
use crate::outside::Outside;

/// The file that people write.
const FILE: &str = "postgresql.conf";
/// The file that ALTER SYSTEM writes, which goes over it.
const AUTO: &str = "postgresql.auto.conf";
/// How deep files may include each other.
const DEPTH_MAX: usize = 10;
/// Chronolith's own settings, which count when a data directory is opened.
const OWN: [&str; 3] = ["hot_memory", "query_memory", "threads"];

/// One line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The whole path of its file.
    pub file: String,
    /// Its number there, from 1.
    pub number: u32,
    /// The setting; None for what is none.
    pub name: Option<String>,
    /// What the line says, without its quotes.
    pub value: Option<String>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// What the files said when they were read.
#[derive(Debug, Clone, Default)]
pub struct Conf {
    /// Their lines in the order in which they are read.
    pub lines: Vec<Line>,
    /// What holds: the last of each name, in the setting's own unit, and its line.
    values: BTreeMap<String, (String, usize)>,
    /// Settings whose value waits for the next start.
    pub(crate) pending: Vec<String>,
}

impl Conf {
    /// Reads the files; those that are missing say nothing.
    #[must_use]
    pub fn read(outside: &dyn Outside) -> Self {
        let mut conf = Self::default();
        conf.include(outside, FILE, false, 0);
        conf.include(outside, AUTO, false, 0);
        for (place, line) in conf.lines.iter_mut().enumerate() {
            let (Some(name), Some(value)) = (&line.name, &line.value) else {
                continue;
            };
            match checked(name, value) {
                Ok(value) => {
                    conf.values.insert(name.to_lowercase(), (value, place));
                }
                Err(error) => line.error = Some(error.message),
            }
        }
        conf
    }

    /// The first line that is wrong.
    #[must_use]
    pub fn problem(&self) -> Option<&Line> {
        self.lines.iter().find(|line| line.error.is_some())
    }

    /// What holds, by lower-case name.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.values.iter();
        all.map(|(name, (value, _))| (name.as_str(), value.as_str()))
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str())
    }

    /// The line that says what holds of a setting.
    pub(crate) fn line_of(&self, name: &str) -> Option<&Line> {
        let (_, place) = self.values.get(&name.to_lowercase())?;
        self.lines.get(*place)
    }

    /// Whether a line is the last of its setting.
    pub(crate) fn holds(&self, place: usize) -> bool {
        self.values.values().any(|(_, holds)| *holds == place)
    }

    /// Settings that only a start takes keep what they had at the last one.
    pub(crate) fn keep_started(&mut self, started: &Self) {
        let fixed =
            |name: &str| find(name).is_some_and(|known| known.context == Context::Postmaster);
        let names: Vec<String> = started
            .values
            .keys()
            .chain(self.values.keys())
            .cloned()
            .collect();
        for name in names {
            if !fixed(&name) || started.value(&name) == self.value(&name) {
                continue;
            }
            match started.values.get(&name) {
                Some(value) => self.values.insert(name.clone(), value.clone()),
                None => self.values.remove(&name),
            };
            if !self.pending.contains(&name) {
                self.pending.push(name);
            }
        }
    }

    fn include(&mut self, outside: &dyn Outside, file: &str, needed: bool, depth: usize) {
        let path = outside.path(file);
        let text = match outside.read(file) {
            Ok(text) => text,
            Err(_) if !needed => return,
            Err(error) => {
                let error = format!("could not open file \"{path}\": {}", reason(&error));
                return self.wrong(&path, 0, error);
            }
        };
        for (number, line) in (1..).zip(text.lines()) {
            let (name, value) = match parse(line) {
                Ok(None) => continue,
                Ok(Some(pair)) => pair,
                Err(near) => {
                    let error = format!("syntax error, near \"{near}\"");
                    self.wrong(&path, number, error);
                    continue;
                }
            };
            let beside = match file.rsplit_once('/') {
                Some((directory, _)) if !value.starts_with('/') => format!("{directory}/{value}"),
                _ => value.clone(),
            };
            match name.to_lowercase().as_str() {
                "include" | "include_if_exists" | "include_dir" if depth >= DEPTH_MAX => {
                    let error = format!(
                        "could not open configuration file \"{value}\": maximum nesting depth exceeded"
                    );
                    self.wrong(&path, number, error);
                }
                "include" => self.include(outside, &beside, true, depth + 1),
                "include_if_exists" => self.include(outside, &beside, false, depth + 1),
                "include_dir" => match outside.list(&beside) {
                    Ok(names) => {
                        let own =
                            |name: &&String| name.ends_with(".conf") && !name.starts_with('.');
                        for name in names.iter().filter(own) {
                            self.include(outside, &format!("{beside}/{name}"), true, depth + 1);
                        }
                    }
                    Err(error) => {
                        let error = format!(
                            "could not open configuration directory \"{beside}\": {}",
                            reason(&error)
                        );
                        self.wrong(&path, number, error);
                    }
                },
                _ => self.lines.push(Line {
                    file: path.clone(),
                    number,
                    name: Some(name),
                    value: Some(value),
                    error: None,
                }),
            }
        }
    }

    fn wrong(&mut self, file: &str, number: u32, error: String) {
        self.lines.push(Line {
            file: file.to_owned(),
            number,
            name: None,
            value: None,
            error: Some(error),
        });
    }
}

/// A value in the setting's own unit.
fn checked(name: &str, value: &str) -> Result<String, Error> {
    match find(name) {
        Some(known) if known.context == Context::Internal => Err(Error::new(
            SqlState::CANT_CHANGE_RUNTIME_PARAM,
            format!("parameter \"{}\" cannot be changed", known.name),
        )),
        Some(known) => known.normalise(value),
        None if name.contains('.') || OWN.contains(&name) => Ok(value.to_owned()),
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}

/// Name and value of a line; None for an empty one, and what it stumbles at for one that is neither.
fn parse(line: &str) -> Result<Option<(String, String)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '$');
    let end = line.find(|c| !part(c)).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return Err(line.chars().take(1).collect());
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let (value, behind) = match rest.strip_prefix('\'') {
        Some(quoted) => quoted_value(quoted).ok_or_else(|| rest.to_owned())?,
        None => {
            let end = rest.find(|c: char| c.is_whitespace() || c == '#');
            let (value, behind) = rest.split_at(end.unwrap_or(rest.len()));
            (value.to_owned(), behind)
        }
    };
    let behind = behind.trim_start();
    if rest.is_empty() || rest.starts_with('#') || !(behind.is_empty() || behind.starts_with('#')) {
        let near = behind.split_whitespace().next().unwrap_or("end of line");
        return Err(near.to_owned());
    }
    Ok(Some((name.to_owned(), value)))
}

/// What stands up to the closing quote, and what is behind it.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.char_indices().peekable();
    while let Some((place, c)) = rest.next() {
        match c {
            '\'' => match rest.peek() {
                Some((_, '\'')) => {
                    value.push('\'');
                    rest.next();
                }
                _ => return Some((value, text.get(place + 1..)?)),
            },
            '\\' => {
                let (_, escaped) = rest.next()?;
                value.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                });
            }
            c => value.push(c),
        }
    }
    None
}

/// The file of ALTER SYSTEM with one setting changed, or without any when there is no name.
///
/// # Errors
/// 22023 for a value of several lines, 58030 when the file cannot be read or written.
pub(crate) fn alter(
    outside: &dyn Outside,
    name: Option<&str>,
    value: Option<&str>,
) -> Result<(), Error> {
    if value.is_some_and(|value| value.contains(['\n', '\r'])) {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "parameter value for ALTER SYSTEM must not contain a newline",
        ));
    }
    let failed = |error: &std::io::Error| {
        let path = outside.path(AUTO);
        let message = format!("could not write file \"{path}\": {}", reason(error));
        Error::new(SqlState::IO_ERROR, message)
    };
    let mut kept = Vec::new();
    if let Some(name) = name {
        let text = match outside.read(AUTO) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| failed(&error))?,
        };
        let pairs = text.lines().filter_map(|line| parse(line).ok().flatten());
        kept.extend(pairs.filter(|(known, _)| !known.eq_ignore_ascii_case(name)));
        kept.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    let mut text = String::from(
        "# Do not edit this file manually!\n# It will be overwritten by the ALTER SYSTEM command.\n",
    );
    for (name, value) in kept {
        let value = value.replace('\\', "\\\\").replace('\'', "''");
        text.push_str(&format!("{name} = '{value}'\n"));
    }
    outside.write(AUTO, &text).map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use parking_lot::Mutex;
    use std::io;

    /// Files in memory.
    #[derive(Debug, Default)]
    struct Files(Mutex<BTreeMap<String, String>>);

    impl Outside for Files {
        fn path(&self, file: &str) -> String {
            format!("/data/{file}")
        }
        fn read(&self, file: &str) -> io::Result<String> {
            let found = self.0.lock().get(file).cloned();
            found.ok_or_else(|| io::ErrorKind::NotFound.into())
        }
        fn write(&self, file: &str, text: &str) -> io::Result<()> {
            self.0.lock().insert(file.to_owned(), text.to_owned());
            Ok(())
        }
        fn list(&self, directory: &str) -> io::Result<Vec<String>> {
            let files = self.0.lock();
            let names = files
                .keys()
                .filter_map(|name| name.strip_prefix(&format!("{directory}/")));
            Ok(names.map(str::to_owned).collect())
        }
    }

    #[test]
    fn the_last_line_of_a_setting_holds_and_wrong_ones_are_named() {
        let files = Files::default();
        let text = "# comment\nwork_mem = 8MB\nWork_Mem '16MB' # more\ninclude_dir 'conf.d'\n\
                    include_if_exists = 'nowhere'\nnosuch = 1\nstatement_timeout = soon\nlock_timeout 5s 6s\nmy.own = 'it''s'\nserver_version = 1";
        files.write(FILE, text).unwrap();
        files
            .write("conf.d/a.conf", "deadlock_timeout = 2s")
            .unwrap();
        files.write("conf.d/b.txt", "nonsense").unwrap();
        files.write(AUTO, "work_mem = '32MB'").unwrap();
        let conf = Conf::read(&files);
        let values: Vec<_> = conf.values().collect();
        assert_eq!(
            values,
            [
                ("deadlock_timeout", "2000"),
                ("my.own", "it's"),
                ("work_mem", "32768")
            ]
        );
        assert_eq!(
            conf.line_of("Work_mem").unwrap().file,
            "/data/postgresql.auto.conf"
        );
        let wrong: Vec<(u32, &str)> = conf
            .lines
            .iter()
            .filter_map(|line| Some((line.number, line.error.as_deref()?)))
            .collect();
        assert_eq!(
            wrong,
            [
                (6, "unrecognized configuration parameter \"nosuch\""),
                (
                    7,
                    "invalid value for parameter \"statement_timeout\": \"soon\""
                ),
                (8, "syntax error, near \"6s\""),
                (10, "parameter \"server_version\" cannot be changed"),
            ]
        );
    }

    #[test]
    fn what_is_altered_is_read_back_and_what_needs_a_start_waits_for_it() {
        let files = Files::default();
        alter(&files, Some("work_mem"), Some("8MB")).unwrap();
        alter(&files, Some("my.own"), Some("it's \\ so")).unwrap();
        let started = Conf::read(&files);
        assert_eq!(started.value("my.own"), Some("it's \\ so"));
        alter(&files, Some("work_mem"), None).unwrap();
        alter(&files, Some("max_connections"), Some("7")).unwrap();
        assert!(alter(&files, Some("my.own"), Some("a\nb")).is_err());
        let mut conf = Conf::read(&files);
        conf.keep_started(&started);
        assert_eq!(conf.value("work_mem"), None);
        assert_eq!(conf.value("max_connections"), None);
        assert_eq!(conf.pending, ["max_connections"]);
        alter(&files, None, None).unwrap();
        assert_eq!(Conf::read(&files).values().count(), 0);
    }
}
