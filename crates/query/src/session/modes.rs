//! A transaction's modes: isolation, read only, deferrable; and when they may still change.

use chronolith_engine::Isolation;
use chronolith_sql::TransactionModes;
use chronolith_types::SqlState;

use super::handle::Session;
use super::shared::isolation_of;
use crate::error::Error;
use crate::settings::{Scope, Settings};

/// The modes of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Modes {
    /// `read committed` or, which is the same, `read uncommitted`; `repeatable read` or, for one
    /// that only reads, `serializable`.
    pub(crate) level: String,
    /// Nothing may be written.
    pub(crate) read_only: bool,
    /// Remembered: it says something of SERIALIZABLE alone.
    pub(crate) deferrable: bool,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            level: "read committed".to_owned(),
            read_only: false,
            deferrable: false,
        }
    }
}

const ISOLATION: &str = "transaction_isolation";
const READ_ONLY: &str = "transaction_read_only";
const DEFERRABLE: &str = "transaction_deferrable";

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl Modes {
    pub(crate) fn isolation(&self) -> Isolation {
        isolation_of(&self.level)
    }

    /// Those that settings give to a transaction that says nothing of it.
    pub(super) fn of(settings: &Settings) -> Self {
        let level = settings.get("default_transaction_isolation");
        Self {
            level: level.unwrap_or("read committed").to_lowercase(),
            read_only: settings.on("default_transaction_read_only"),
            deferrable: settings.on("default_transaction_deferrable"),
        }
    }

    fn as_shown(&self) -> [(&'static str, &str); 3] {
        [
            (ISOLATION, self.level.as_str()),
            (READ_ONLY, on_off(self.read_only)),
            (DEFERRABLE, on_off(self.deferrable)),
        ]
    }

    /// Whether SHOW says so.
    pub(super) fn are_shown(&self, settings: &Settings) -> bool {
        let mut shown = self.as_shown().into_iter();
        shown.all(|(name, value)| settings.get(name) == Some(value))
    }

    /// Lets SHOW say so.
    pub(super) fn show(&self, settings: &mut Settings) {
        for (name, value) in self.as_shown() {
            // Seldom: most transactions have the modes that are shown without a word.
            if settings.get(name) != Some(value)
                && let Err(error) = settings.set(name, value, Scope::Local)
            {
                tracing::warn!(%error, "a transaction's mode is not shown");
            }
        }
    }
}

/// Refuses SERIALIZABLE where rows may be written. A transaction that only reads one snapshot fits
/// any order of those that write, as none of these is serializable.
pub(super) fn checked_level(level: &str, read_only: bool) -> Result<(), Error> {
    if level.eq_ignore_ascii_case("serializable") && !read_only {
        return Err(Error::unsupported(
            "transaction isolation level \"serializable\" of a transaction that may write",
        ));
    }
    Ok(())
}

fn too_late(what: &str) -> Error {
    Error::new(SqlState::ACTIVE_SQL_TRANSACTION, what)
}

impl Session {
    /// The modes of a new transaction.
    pub(super) fn default_modes(&self) -> Result<Modes, Error> {
        let modes = self.shared.with(|state| state.often().modes.clone());
        checked_level(&modes.level, modes.read_only)?;
        Ok(modes)
    }

    /// SET TRANSACTION.
    pub(super) fn set_transaction(&mut self, modes: &TransactionModes) -> Result<(), Error> {
        if self.outside_block() {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
        }
        self.set_modes(modes)
    }

    /// The modes that SET TRANSACTION, BEGIN or a setting of their names asks for.
    pub(super) fn set_modes(&mut self, asked: &TransactionModes) -> Result<(), Error> {
        let nested = !self.savepoints.is_empty();
        let mut modes = self.shared.with(|state| state.modes.clone());
        let queried = self.shared.with(|state| state.queried);
        let read_only_outside = self
            .savepoints
            .last()
            .map(super::block::Savepoint::read_only);
        let mut stale = false;
        if let Some(level) = &asked.isolation {
            let level = level.to_lowercase();
            if level != modes.level {
                if queried {
                    return Err(too_late(
                        "SET TRANSACTION ISOLATION LEVEL must be called before any query",
                    ));
                }
                if nested {
                    return Err(too_late(
                        "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction",
                    ));
                }
                stale = isolation_of(&level) != modes.isolation();
                modes.level = level;
            }
        }
        if let Some(read_only) = asked.read_only {
            if !read_only && modes.read_only {
                if read_only_outside == Some(true) {
                    return Err(too_late(
                        "cannot set transaction read-write mode inside a read-only transaction",
                    ));
                }
                if queried {
                    return Err(too_late(
                        "transaction read-write mode must be set before any query",
                    ));
                }
            }
            modes.read_only = read_only;
        }
        if let Some(deferrable) = asked.deferrable {
            if nested {
                return Err(too_late(
                    "SET TRANSACTION [NOT] DEFERRABLE cannot be called within a subtransaction",
                ));
            }
            if queried {
                return Err(too_late(
                    "SET TRANSACTION [NOT] DEFERRABLE must be called before any query",
                ));
            }
            modes.deferrable = deferrable;
        }
        checked_level(&modes.level, modes.read_only)?;
        self.shared.with(|state| {
            state.stale |= stale;
            modes.show(&mut state.settings);
            state.modes = modes;
        });
        Ok(())
    }

    /// A setting that stands for a mode of the transaction; false for any other.
    pub(super) fn set_mode_named(&mut self, name: &str, value: &str) -> Result<bool, Error> {
        let mut modes = TransactionModes::default();
        let on = || {
            let mut probe = Settings::default();
            probe.set(name, value, Scope::Local)?;
            Ok::<bool, Error>(probe.on(name))
        };
        match name {
            ISOLATION => {
                let mut probe = Settings::default();
                probe.set(name, value, Scope::Local)?;
                modes.isolation = probe.get(name).map(str::to_owned);
            }
            READ_ONLY => modes.read_only = Some(on()?),
            DEFERRABLE => modes.deferrable = Some(on()?),
            _ => return Ok(false),
        }
        self.set_modes(&modes)?;
        Ok(true)
    }
}
