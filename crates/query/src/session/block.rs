//! Transactions: blocks that a client opens, and those that a statement outside one runs in.

use chronolith_engine::Isolation;
use chronolith_sql::TransactionModes;
use chronolith_types::SqlState;

use super::handle::Session;
use super::shared::{blocking, isolation_of};
use crate::effects::after_commit;
use crate::error::Error;
use crate::outcome::{Severity, TransactionStatus};
use crate::settings::Scope;

/// Where the session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// No transaction, or one that ends with the message that began it.
    Implicit,
    /// Between BEGIN and its end.
    Open,
    /// As `Open`, after a failure.
    Failed,
}

impl Session {
    /// Where the transaction stands, as the wire shows it.
    #[must_use]
    pub fn status(&self) -> TransactionStatus {
        match self.block {
            Block::Implicit => TransactionStatus::Idle,
            Block::Open => TransactionStatus::InBlock,
            Block::Failed => TransactionStatus::Failed,
        }
    }

    /// Sees to it that there is a transaction, whose snapshot is the statement's.
    pub(crate) fn enter(&mut self) -> Result<(), Error> {
        let isolation = self.shared.isolation();
        let open = self.shared.with(|state| state.transaction.is_some());
        if !open {
            self.begin_with(isolation);
        }
        self.shared
            .transact(|transaction| transaction.begin_statement())
    }

    fn begin_with(&mut self, isolation: Isolation) {
        let engine = &self.shared.instance.engine;
        let transaction = engine.begin(self.shared.database, isolation);
        self.shared.with(|state| {
            state.transaction = Some(transaction);
            state.transaction_us = state.statement_us;
            state.settings.begin();
            state.begin_roles();
        });
    }

    pub(super) fn begin(&mut self, modes: &TransactionModes) -> Result<String, Error> {
        if self.block == Block::Open {
            self.shared.notice(
                Severity::Warning,
                Error::new(
                    SqlState::new(b"25001"),
                    "there is already a transaction in progress",
                ),
            );
        } else if self.shared.with(|state| state.transaction.is_none()) {
            let isolation = match &modes.isolation {
                Some(level) => checked_level(level)?,
                None => self.shared.isolation(),
            };
            self.begin_with(isolation);
        }
        self.block = Block::Open;
        self.set_modes(modes)?;
        Ok("BEGIN".to_owned())
    }

    /// SET TRANSACTION, and the modes of BEGIN.
    pub(super) fn set_modes(&mut self, modes: &TransactionModes) -> Result<(), Error> {
        let level = match &modes.isolation {
            Some(level) => {
                checked_level(level)?;
                Some(level.to_lowercase())
            }
            None => None,
        };
        self.shared.with(|state| {
            if let Some(level) = &level {
                let set = &mut state.settings;
                set.set("transaction_isolation", level, Scope::Local)?;
            }
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                let set = &mut state.settings;
                set.set("transaction_read_only", value, Scope::Local)?;
            }
            Ok(())
        })
    }

    pub(super) fn commit(&mut self, chain: bool) -> Result<String, Error> {
        let (block, tag) = match self.block {
            Block::Failed => {
                self.abandon();
                (Block::Implicit, "ROLLBACK")
            }
            Block::Open => {
                self.block = Block::Implicit;
                self.complete()?;
                (Block::Implicit, "COMMIT")
            }
            Block::Implicit => {
                self.warn_no_transaction();
                self.complete()?;
                (Block::Implicit, "COMMIT")
            }
        };
        self.block = block;
        if chain {
            self.begin(&TransactionModes::default())?;
        }
        Ok(tag.to_owned())
    }

    pub(super) fn rollback(&mut self, chain: bool) -> Result<String, Error> {
        if self.block == Block::Implicit {
            self.warn_no_transaction();
        }
        self.abandon();
        self.block = Block::Implicit;
        if chain {
            self.begin(&TransactionModes::default())?;
        }
        Ok("ROLLBACK".to_owned())
    }

    fn warn_no_transaction(&self) {
        self.shared.notice(
            Severity::Warning,
            Error::new(
                SqlState::new(b"25P01"),
                "there is no transaction in progress",
            ),
        );
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<String, Error> {
        self.in_block("SAVEPOINT")?;
        self.shared.transact(|transaction| {
            transaction.savepoint(name);
            Ok::<_, Error>(())
        })?;
        Ok("SAVEPOINT".to_owned())
    }

    pub(super) fn release(&mut self, name: &str) -> Result<String, Error> {
        self.in_block("RELEASE SAVEPOINT")?;
        self.shared
            .transact(|transaction| transaction.release(name))?;
        Ok("RELEASE".to_owned())
    }

    pub(super) fn rollback_to(&mut self, name: &str) -> Result<String, Error> {
        self.in_block("ROLLBACK TO SAVEPOINT")?;
        self.shared
            .transact(|transaction| transaction.rollback_to(name))?;
        self.block = Block::Open;
        Ok("ROLLBACK".to_owned())
    }

    fn in_block(&self, what: &str) -> Result<(), Error> {
        if self.block == Block::Implicit {
            return Err(Error::new(
                SqlState::new(b"25P01"),
                format!("{what} can only be used in transaction blocks"),
            ));
        }
        Ok(())
    }

    /// Commits what is open: on return it is safe.
    pub(super) fn complete(&mut self) -> Result<(), Error> {
        if let Err(error) = self.shared.before_commit() {
            self.abandon();
            return Err(error);
        }
        let transaction = self.shared.with(|state| state.transaction.take());
        let done = match transaction {
            Some(transaction) => blocking(|| transaction.commit()).map(|_| ()),
            None => Ok(()),
        };
        let (changed, marked) = self.shared.with(|state| {
            let changed = state.settings.end(done.is_ok());
            state.end_roles(done.is_ok());
            (changed, std::mem::take(&mut state.to_compress))
        });
        if changed {
            self.shared.tell_name();
        }
        if done.is_ok() && !marked.is_empty() {
            after_commit(&self.shared, &marked);
        }
        Ok(done?)
    }

    /// Rolls back what is open.
    pub(super) fn abandon(&mut self) {
        self.copy = None;
        let (changed, transaction) = self.shared.with(|state| {
            state.to_compress.clear();
            state.end_roles(false);
            (state.settings.end(false), state.transaction.take())
        });
        drop(transaction);
        if changed {
            self.shared.tell_name();
        }
    }

    /// A message with some statements begins; several are one transaction.
    ///
    /// # Errors
    /// None is known.
    #[expect(
        clippy::unused_async,
        reason = "the session's calls are all awaited alike"
    )]
    pub async fn simple_begin(&mut self, statements: usize) -> Result<(), Error> {
        self.several = statements > 1;
        Ok(())
    }

    /// The message ends: what it ran outside a block is committed, or rolled back when something
    /// failed.
    ///
    /// # Errors
    /// Those of a commit.
    #[expect(
        clippy::unused_async,
        reason = "the session's calls are all awaited alike"
    )]
    pub async fn simple_end(&mut self, ok: bool) -> Result<(), Error> {
        self.several = false;
        self.end_implicit(ok)
    }

    /// The extended protocol's Sync: as [`Session::simple_end`].
    ///
    /// # Errors
    /// Those of a commit.
    #[expect(
        clippy::unused_async,
        reason = "the session's calls are all awaited alike"
    )]
    pub async fn sync(&mut self, ok: bool) -> Result<(), Error> {
        self.end_implicit(ok)
    }

    fn end_implicit(&mut self, ok: bool) -> Result<(), Error> {
        let ended = match (self.block, ok) {
            (Block::Implicit, true) => self.complete(),
            (Block::Implicit, false) => {
                self.abandon();
                Ok(())
            }
            (Block::Open, false) => {
                self.fail();
                Ok(())
            }
            _ => Ok(()),
        };
        let state = match self.block {
            Block::Implicit => "idle",
            Block::Open => "idle in transaction",
            Block::Failed => "idle in transaction (aborted)",
        };
        self.shared.instance.update(self.shared.pid, |activity| {
            activity.state = state;
            if self.block == Block::Implicit {
                activity.transaction_us = None;
            }
        });
        ended
    }

    /// What was executed failed while its rows were read.
    pub fn fail(&mut self) {
        self.copy = None;
        match self.block {
            Block::Implicit => self.abandon(),
            Block::Open | Block::Failed => self.block = Block::Failed,
        }
    }
}

fn checked_level(level: &str) -> Result<Isolation, Error> {
    let level = level.to_lowercase();
    if level == "serializable" {
        return Err(Error::unsupported(
            "transaction isolation level \"serializable\"",
        ));
    }
    Ok(isolation_of(&level))
}
