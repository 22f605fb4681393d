//! A session's values: the server's, over which lie the session's and the transaction's.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_types::{SqlState, TimeZone};

use super::known::{Context, find, known, lower};
use crate::error::Error;

/// How long a value set by a statement lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Until the session ends or resets it; undone by ROLLBACK.
    Session,
    /// Until the transaction ends.
    Local,
}

/// What sessions start with: later layers go over earlier ones.
#[derive(Debug, Default)]
pub(crate) struct Base {
    values: BTreeMap<String, String>,
    sources: BTreeMap<String, &'static str>,
}

impl Base {
    /// Puts a layer over what there is.
    pub(crate) fn add<'a>(
        &mut self,
        source: &'static str,
        layer: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        for (name, value) in layer {
            self.values.insert(name.to_owned(), value.to_owned());
            self.sources.insert(name.to_owned(), source);
        }
    }
}

/// Settings that clients are told of, with what SHOW prints of them.
pub type Reported = Arc<[(&'static str, String)]>;

/// The settings of one session.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What the server was started with, and the database's and the role's own.
    base: Arc<BTreeMap<String, String>>,
    /// Where the values of that come from, by `pg_settings`' words.
    sources: Arc<BTreeMap<String, &'static str>>,
    session: BTreeMap<String, String>,
    local: BTreeMap<String, String>,
    /// The session's values when the transaction began, for ROLLBACK.
    before: Option<BTreeMap<String, String>>,
    /// What SHOW prints of every setting, until one changes.
    shown: Option<Arc<BTreeMap<String, String>>>,
    /// The same of those that clients are told of.
    reported: Option<Reported>,
    /// Another number after each change.
    revision: u64,
}

impl Settings {
    /// Settings over the server's own.
    #[must_use]
    pub fn new(base: Arc<BTreeMap<String, String>>) -> Self {
        Self {
            base,
            ..Self::default()
        }
    }

    /// Other values of the server's, the database's and the role's.
    pub(crate) fn set_base(&mut self, base: Base) {
        self.base = Arc::new(base.values);
        self.sources = Arc::new(base.sources);
        self.changed();
    }

    /// What RESET goes back to.
    pub(crate) fn reset_value(&self, name: &str) -> Option<&str> {
        let key = name.to_lowercase();
        let base = self.base.get(&key).map(String::as_str);
        base.or_else(|| find(name).map(|known| known.default))
    }

    /// What a setting holds, in its unit; None for an unknown name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let key = lower(name);
        self.local
            .get(&*key)
            .or_else(|| self.session.get(&*key))
            .or_else(|| self.base.get(&*key))
            .map(String::as_str)
            .or_else(|| find(name).map(|known| known.default))
    }

    /// Whether a Boolean setting is on.
    #[must_use]
    pub fn on(&self, name: &str) -> bool {
        self.get(name) == Some("on")
    }

    /// A whole number, in the setting's unit.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }

    /// Where a value comes from, as `pg_settings.source` says it.
    #[must_use]
    pub fn source(&self, name: &str) -> &'static str {
        let key = name.to_lowercase();
        if self.local.contains_key(&key) || self.session.contains_key(&key) {
            "session"
        } else if self.base.contains_key(&key) {
            self.sources.get(&key).copied().unwrap_or("override")
        } else {
            "default"
        }
    }

    /// What SHOW prints.
    ///
    /// # Errors
    /// 42704 for an unknown name.
    pub fn show(&self, name: &str) -> Result<String, Error> {
        match (self.get(name), find(name)) {
            (Some(value), Some(known)) => Ok(known.show(value)),
            (Some(value), None) => Ok(value.to_owned()),
            (None, _) => Err(unknown(name)),
        }
    }

    /// Set a value.
    ///
    /// # Errors
    /// 42704 for an unknown name without a dot, 22023 for a value it does not take, 55P02 for one
    /// that cannot change now.
    pub fn set(&mut self, name: &str, value: &str, scope: Scope) -> Result<(), Error> {
        let value = match find(name) {
            Some(known) => {
                match known.context {
                    Context::Internal => return Err(cannot_change(known.name)),
                    Context::Postmaster => {
                        return Err(Error::new(
                            SqlState::CANT_CHANGE_RUNTIME_PARAM,
                            format!(
                                "parameter \"{}\" cannot be changed without restarting the server",
                                known.name
                            ),
                        ));
                    }
                    Context::Sighup => {
                        return Err(Error::new(
                            SqlState::CANT_CHANGE_RUNTIME_PARAM,
                            format!("parameter \"{}\" cannot be changed now", known.name),
                        ));
                    }
                    Context::Backend
                    | Context::SuperuserBackend
                    | Context::Superuser
                    | Context::User => {}
                }
                check(known.name, &known.normalise(value)?)?
            }
            // A name with a dot is somebody's own, and takes anything.
            None if name.contains('.') => value.to_owned(),
            None => return Err(unknown(name)),
        };
        self.changed();
        let key = name.to_lowercase();
        match scope {
            Scope::Local => {
                self.local.insert(key, value);
            }
            Scope::Session => {
                self.local.remove(&key);
                self.session.insert(key, value);
            }
        }
        Ok(())
    }

    /// What a setting holds for this transaction alone, if anything.
    #[must_use]
    pub fn local(&self, name: &str) -> Option<String> {
        self.local.get(&name.to_lowercase()).cloned()
    }

    /// Puts back what [`Settings::local`] gave.
    pub fn put_local(&mut self, name: &str, value: Option<String>) {
        self.changed();
        match value {
            Some(value) => self.local.insert(name.to_lowercase(), value),
            None => self.local.remove(&name.to_lowercase()),
        };
    }

    /// Back to what the session started with.
    ///
    /// # Errors
    /// 42704 for an unknown name.
    pub fn reset(&mut self, name: &str) -> Result<(), Error> {
        if find(name).is_none() && !name.contains('.') {
            return Err(unknown(name));
        }
        self.changed();
        let key = name.to_lowercase();
        self.local.remove(&key);
        self.session.remove(&key);
        Ok(())
    }

    /// RESET ALL. What the transaction itself is stays.
    pub fn reset_all(&mut self) {
        self.changed();
        self.local
            .retain(|name, _| name.starts_with("transaction_"));
        self.session.clear();
    }

    fn changed(&mut self) {
        self.shown = None;
        self.reported = None;
        self.revision += 1;
    }

    /// The settings that clients are told of: the same list until one changes.
    pub fn reported(&mut self) -> Reported {
        if let Some(told) = &self.reported {
            return Arc::clone(told);
        }
        let told = known().iter().filter(|known| reported(known.name));
        let told: Reported = told
            .filter_map(|known| Some((known.name, self.show(known.name).ok()?)))
            .collect();
        self.reported = Some(Arc::clone(&told));
        told
    }

    /// A number that is another one after a change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// ROLLBACK TO: back to what was set at some time of the transaction; whether that was another.
    pub fn go_back(&mut self, then: &Self) -> bool {
        let same = self.session == then.session && self.local == then.local;
        if !same {
            self.changed();
            self.session.clone_from(&then.session);
            self.local.clone_from(&then.local);
        }
        !same
    }

    /// A transaction begins: remember what ROLLBACK restores.
    pub fn begin(&mut self) {
        if self.before.is_none() {
            self.before = Some(self.session.clone());
        }
    }

    /// The transaction ended; whether any value is another now.
    pub fn end(&mut self, committed: bool) -> bool {
        let mut changed = !self.local.is_empty();
        self.local.clear();
        if let Some(before) = self.before.take()
            && !committed
            && before != self.session
        {
            self.session = before;
            changed = true;
        }
        if changed {
            self.changed();
        }
        changed
    }

    /// Every setting as SHOW prints it, by lower-case name.
    pub fn all_shown(&mut self) -> Arc<BTreeMap<String, String>> {
        if let Some(shown) = &self.shown {
            return Arc::clone(shown);
        }
        let own = self
            .local
            .keys()
            .chain(self.session.keys())
            .map(String::as_str);
        let names = known().iter().map(|known| known.name).chain(own);
        let shown = names
            .filter_map(|name| Some((name.to_lowercase(), self.show(name).ok()?)))
            .collect();
        let shown = Arc::new(shown);
        self.shown = Some(Arc::clone(&shown));
        shown
    }
}

/// Looks whether a role may set a parameter: those of superusers, and those that a session has once
/// it is `started`.
///
/// # Errors
/// 42501, 55P02.
pub(crate) fn may_set(name: &str, superuser: bool, started: bool) -> Result<(), Error> {
    let Some(known) = find(name) else {
        return Ok(());
    };
    let of_start = matches!(known.context, Context::Backend | Context::SuperuserBackend);
    let of_superusers = matches!(
        known.context,
        Context::Superuser | Context::SuperuserBackend
    );
    if of_start && started {
        return Err(Error::new(
            SqlState::CANT_CHANGE_RUNTIME_PARAM,
            format!(
                "parameter \"{}\" cannot be set after connection start",
                known.name
            ),
        ));
    }
    if of_superusers && !superuser {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to set parameter \"{}\"", known.name),
        ));
    }
    Ok(())
}

fn unknown(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn cannot_change(name: &str) -> Error {
    Error::new(
        SqlState::CANT_CHANGE_RUNTIME_PARAM,
        format!("parameter \"{name}\" cannot be changed"),
    )
}

/// Values that their type alone does not check.
fn check(name: &str, value: &str) -> Result<String, Error> {
    let invalid = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{name}\": \"{value}\""),
        )
    };
    match name.to_lowercase().as_str() {
        "client_encoding" => {
            // As PostgreSQL cleans it: asyncpg's is `'utf-8'`, quotes and all.
            let clean: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
            match clean.to_uppercase().as_str() {
                "UTF8" | "UNICODE" | "SQLASCII" => Ok("UTF8".to_owned()),
                _ => Err(Error::unsupported(format!("client encoding \"{value}\""))),
            }
        }
        "datestyle" => {
            let lower = value.to_lowercase();
            if lower
                .split(',')
                .any(|part| !matches!(part.trim(), "iso" | "mdy" | "us" | "noneuropean"))
            {
                return Err(Error::unsupported(format!("DateStyle \"{value}\"")));
            }
            Ok("ISO, MDY".to_owned())
        }
        "intervalstyle" => match value.to_lowercase().as_str() {
            "postgres" => Ok("postgres".to_owned()),
            "postgres_verbose" | "sql_standard" | "iso_8601" => {
                Err(Error::unsupported(format!("IntervalStyle \"{value}\"")))
            }
            _ => Err(invalid()),
        },
        "timezone" => TimeZone::parse(value)
            .map(|zone| zone.name())
            .ok_or_else(invalid),
        "transaction_isolation" | "default_transaction_isolation" => {
            // A transaction's own is held against whether it writes where it is set.
            if value.eq_ignore_ascii_case("serializable") && name == "default_transaction_isolation"
            {
                return Err(Error::unsupported(
                    "transaction isolation level \"serializable\"",
                ));
            }
            Ok(value.to_lowercase())
        }
        // These would give other answers, or end the session, and are not what the server has.
        "array_nulls" if value == "off" => Err(Error::unsupported("array_nulls = off")),
        "exit_on_error" | "transform_null_equals" if value == "on" => {
            Err(Error::unsupported(format!("{name} = on")))
        }
        "default_table_access_method" if value != "heap" => {
            Err(invalid().detail(format!("Table access method \"{value}\" does not exist.")))
        }
        _ => Ok(value.to_owned()),
    }
}

const REPORTED: [&str; 13] = [
    "application_name",
    "client_encoding",
    "datestyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "intervalstyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "timezone",
];

/// Whether a setting's changes are told to the client (`ParameterStatus`).
#[must_use]
pub fn reported(name: &str) -> bool {
    REPORTED
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}
