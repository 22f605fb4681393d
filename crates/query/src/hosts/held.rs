//! The rules in force, and the file that they are read from.

use std::sync::Arc;

use chronolith_types::SqlState;
use parking_lot::RwLock;

use super::ident::{self, IdentEntry, Idents};
use super::read::{Entry, read};
use super::rules::Rules;
use crate::error::Error;
use crate::outside::Outside;

/// The files' names in a data directory.
const FILE: &str = "pg_hba.conf";
const IDENT_FILE: &str = "pg_ident.conf";

/// The rules in force. None without a file, and the server then has its own.
#[derive(Debug, Default)]
pub struct Hosts {
    rules: RwLock<Option<Arc<Rules>>>,
}

impl Hosts {
    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Option<Arc<Rules>> {
        self.rules.read().clone()
    }

    /// Reads the file; the rules of before stay when there is anything wrong with it.
    ///
    /// # Errors
    /// F0000 for a line that is no rule, which is named, and for a file without rules.
    pub fn load(
        &self,
        outside: &dyn Outside,
        (named, ident_file): (&str, &str),
        ssl: bool,
    ) -> Result<(), Error> {
        let Some((path, entries)) = entries(outside, named, ssl)? else {
            *self.rules.write() = None;
            return Ok(());
        };
        let wrong = |message: String| Error::new(SqlState::CONFIG_FILE_ERROR, message);
        for entry in &entries {
            let Some(error) = &entry.error else { continue };
            let place = format!("line {} of configuration file \"{path}\"", entry.line);
            if entry.rule.is_none() {
                let mut problem = wrong(format!("could not load {path}"));
                problem.detail = Some(format!("{error}: {place}"));
                return Err(problem);
            }
            tracing::info!("{error}: {place}");
        }
        let rules = Rules::of(entries).filter(|rules| !rules.is_empty());
        let Some(rules) = rules else {
            return Err(wrong(format!(
                "configuration file \"{path}\" contains no entries"
            )));
        };
        // As in PostgreSQL, what is wrong there shuts out those alone whom it would have let in.
        let maps = match idents(outside, ident_file) {
            Ok(found) => found,
            Err(error) => {
                tracing::info!("{}", error.message);
                None
            }
        };
        let (path, entries) = maps.unwrap_or_default();
        for (line, entry) in &entries {
            if let Err(error) = entry {
                tracing::info!("{error}: line {line} of configuration file \"{path}\"");
            }
        }
        *self.rules.write() = Some(Arc::new(rules.with_idents(Idents::of(entries))));
        Ok(())
    }
}

/// The file's lines as they are now, with its path; None when nobody named one and there is none.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn entries(
    outside: &dyn Outside,
    named: &str,
    ssl: bool,
) -> Result<Option<(String, Vec<Entry>)>, Error> {
    let read =
        |text: &str, include: &dyn Fn(&str) -> Result<String, String>| read(text, ssl, include);
    lines_of(outside, (named, FILE), &read)
}

/// The lines of `pg_ident.conf` as they are now, likewise.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn idents(
    outside: &dyn Outside,
    named: &str,
) -> Result<Option<(String, Vec<IdentEntry>)>, Error> {
    lines_of(outside, (named, IDENT_FILE), &ident::read)
}

/// Reads the files that a file names.
type Including<'a> = &'a dyn Fn(&str) -> Result<String, String>;

fn lines_of<T>(
    outside: &dyn Outside,
    (named, usual): (&str, &str),
    read: &dyn Fn(&str, Including<'_>) -> Vec<T>,
) -> Result<Option<(String, Vec<T>)>, Error> {
    let file = if named.is_empty() { usual } else { named };
    let path = outside.path(file);
    match outside.read(file) {
        Ok(text) => {
            let include = |name: &str| {
                // Beside the file that names it.
                let beside = match file.rsplit_once('/') {
                    Some((directory, _)) if !name.starts_with('/') => format!("{directory}/{name}"),
                    _ => name.to_owned(),
                };
                let problem = |error| format!("\"{}\": {}", outside.path(&beside), reason(&error));
                outside.read(&beside).map_err(problem)
            };
            Ok(Some((path, read(&text, &include))))
        }
        Err(error) if named.is_empty() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(
            SqlState::CONFIG_FILE_ERROR,
            format!(
                "could not open configuration file \"{path}\": {}",
                reason(&error)
            ),
        )),
    }
}

/// The system's words for an error, without its number.
pub(crate) fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}
