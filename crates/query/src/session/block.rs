//! Transactions: blocks that a client opens, and those that a statement outside one runs in.

use std::sync::Arc;

use chronolith_engine::{Isolation, Transaction};
use chronolith_sql::{Statement as Tree, TransactionModes};
use chronolith_types::SqlState;

use super::handle::Session;
use super::modes::{Modes, checked_level};
use super::notify::Said;
use super::read_only::looks;
use super::shared::{Shared, committing, others_work};
use super::undo::Before;
use crate::effects::after_commit;
use crate::error::Error;
use crate::outcome::{Severity, TransactionStatus};
use crate::routines::Deferred;

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

/// A savepoint, and the session as it was when it was set.
pub(super) struct Savepoint {
    name: String,
    before: Before,
}

impl Savepoint {
    /// Whether nothing could be written when it was set.
    pub(super) fn read_only(&self) -> bool {
        self.before.read_only()
    }
}

/// Whoever runs a session within a program may give up a commit: its locks are let go all the same.
struct GivenUp(Option<Arc<Shared>>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.locker.end_transaction();
        }
    }
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
        let open = self.shared.with(|state| state.transaction.is_some());
        if !open {
            self.begin_with(self.default_modes()?);
        }
        self.shared
            .transact(|transaction| transaction.begin_statement())
    }

    /// The same for a statement that may look at rows, or not.
    pub(super) fn enter_for(&mut self, tree: &Tree) -> Result<(), Error> {
        if looks(tree) && self.shared.with(|state| state.transaction.is_some()) {
            self.enter_query();
        }
        self.enter()
    }

    pub(super) fn begin_with(&mut self, modes: Modes) {
        let engine = &self.shared.instance.engine;
        let mut transaction = engine.begin(self.shared.database, modes.isolation());
        transaction.set_locker(Arc::clone(&self.shared.locker));
        self.shared.with(|state| {
            state.transaction = Some(transaction);
            state.transaction_number = None;
            state.transaction_us = state.statement_us;
            state.settings.begin();
            state.begin_roles();
            let often = state.often();
            if !(often.shown && often.modes == modes) {
                modes.show(&mut state.settings);
            }
            state.modes = modes;
            state.deferred = Deferred::default();
            state.queried = false;
        });
    }

    /// A statement that reads rows: the first of a block at REPEATABLE READ takes the snapshot.
    pub(super) fn enter_query(&mut self) {
        let first = self
            .shared
            .with(|state| !std::mem::replace(&mut state.queried, true));
        if first && self.block == Block::Open {
            self.renew();
        }
    }

    /// Begins the transaction anew: it has done nothing yet, and at REPEATABLE READ sees what is
    /// committed by its first query, not by its BEGIN.
    fn renew(&mut self) {
        let (isolation, stale) = self
            .shared
            .with(|state| (state.modes.isolation(), state.stale));
        if isolation == Isolation::ReadCommitted && !stale {
            return;
        }
        let engine = &self.shared.instance.engine;
        let mut transaction = engine.begin(self.shared.database, isolation);
        transaction.set_locker(Arc::clone(&self.shared.locker));
        for savepoint in &self.savepoints {
            transaction.savepoint(&savepoint.name);
        }
        let before = self.shared.with(|state| {
            state.stale = false;
            state.transaction.replace(transaction)
        });
        drop(before);
    }

    pub(super) fn begin(&mut self, modes: &TransactionModes) -> Result<String, Error> {
        if self.block == Block::Open {
            self.warn(
                SqlState::ACTIVE_SQL_TRANSACTION,
                "there is already a transaction in progress",
            );
        } else if self.shared.with(|state| state.transaction.is_none()) {
            let defaults = self.default_modes()?;
            if let Some(level) = &modes.isolation {
                checked_level(level, modes.read_only.unwrap_or(defaults.read_only))?;
            }
            self.begin_with(defaults);
        }
        self.block = Block::Open;
        self.set_modes(modes)?;
        Ok("BEGIN".to_owned())
    }

    /// COMMIT and END.
    pub(super) async fn commit(&mut self, chain: bool) -> Result<String, Error> {
        let modes = self.shared.with(|state| state.modes.clone());
        let tag = match self.block {
            Block::Failed => {
                self.abandon();
                "ROLLBACK"
            }
            Block::Open => {
                if let Err(error) = self.before_end().await {
                    self.block = Block::Implicit;
                    self.abandon();
                    return Err(error);
                }
                self.block = Block::Implicit;
                self.complete().await?;
                "COMMIT"
            }
            Block::Implicit => {
                self.needs_block(chain, "COMMIT")?;
                self.before_end().await?;
                self.complete().await?;
                "COMMIT"
            }
        };
        self.block = Block::Implicit;
        self.chain(chain, modes);
        Ok(tag.to_owned())
    }

    /// PREPARE TRANSACTION: there is room for none, so that what would be prepared is undone.
    pub(super) async fn prepare_transaction(&mut self) -> Result<String, Error> {
        let alone = self.block == Block::Implicit;
        if alone {
            self.needs_block(false, "PREPARE TRANSACTION")?;
        }
        let prepares = self.block == Block::Open || (alone && self.several);
        let ended = match prepares {
            true => self.before_end().await,
            false => Ok(()),
        };
        self.block = Block::Implicit;
        self.abandon();
        match (ended, prepares) {
            (Err(error), _) => Err(error),
            (Ok(()), false) => Ok("ROLLBACK".to_owned()),
            (Ok(()), true) => Err(Error::new(
                SqlState::new(b"55000"),
                "prepared transactions are disabled",
            )
            .hint("Set max_prepared_transactions to a nonzero value.")),
        }
    }

    /// COMMIT PREPARED and ROLLBACK PREPARED, which find none.
    pub(super) fn end_prepared(&self, commit: bool, name: &str) -> Error {
        let verb = if commit { "COMMIT" } else { "ROLLBACK" };
        if !self.outside_block() {
            return Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{verb} PREPARED cannot run inside a transaction block"),
            );
        }
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("prepared transaction with identifier \"{name}\" does not exist"),
        )
    }

    pub(super) fn rollback(&mut self, chain: bool) -> Result<String, Error> {
        if self.block == Block::Implicit {
            self.needs_block(chain, "ROLLBACK")?;
        }
        let modes = self.shared.with(|state| state.modes.clone());
        self.abandon();
        self.block = Block::Implicit;
        self.chain(chain, modes);
        Ok("ROLLBACK".to_owned())
    }

    /// AND CHAIN: another transaction with the modes of the one that ended.
    fn chain(&mut self, chain: bool, modes: Modes) {
        if chain {
            self.begin_with(modes);
            self.block = Block::Open;
        }
    }

    /// Outside of a block a transaction's end means nothing, and a chain cannot be.
    fn needs_block(&self, chain: bool, what: &str) -> Result<(), Error> {
        if chain {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{what} AND CHAIN can only be used in transaction blocks"),
            ));
        }
        self.warn(
            SqlState::NO_ACTIVE_SQL_TRANSACTION,
            "there is no transaction in progress",
        );
        Ok(())
    }

    /// Whether no block is open, and the statement stands alone.
    pub(super) fn outside_block(&self) -> bool {
        let within = self.shared.with(|state| state.depth) > 0;
        self.block == Block::Implicit && !self.several && !within
    }

    pub(super) fn warn(&self, code: SqlState, message: &str) {
        self.shared
            .notice(Severity::Warning, Error::new(code, message));
    }

    pub(super) fn savepoint(&mut self, name: &str) -> Result<String, Error> {
        self.in_block("SAVEPOINT")?;
        self.shared.transact(|transaction| {
            transaction.savepoint(name);
            Ok::<_, Error>(())
        })?;
        let savepoint = Savepoint {
            name: name.to_owned(),
            before: Before::of(&self.shared),
        };
        self.savepoints.push(savepoint);
        self.count_points();
        Ok("SAVEPOINT".to_owned())
    }

    /// Sessions that run routines stand behind them too.
    fn count_points(&self) {
        let points = self.savepoints.len();
        self.shared.with(|state| state.points = points);
    }

    fn find_savepoint(&self, name: &str) -> Result<usize, Error> {
        let mut all = self.savepoints.iter();
        all.rposition(|savepoint| savepoint.name == name)
            .ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_SAVEPOINT_SPECIFICATION,
                    format!("savepoint \"{name}\" does not exist"),
                )
            })
    }

    pub(super) fn release(&mut self, name: &str) -> Result<String, Error> {
        self.in_block("RELEASE SAVEPOINT")?;
        let place = self.find_savepoint(name)?;
        self.shared
            .transact(|transaction| transaction.release(name))?;
        self.savepoints.truncate(place);
        self.count_points();
        self.raise_cursors(place + 1);
        Ok("RELEASE".to_owned())
    }

    pub(super) fn rollback_to(&mut self, name: &str) -> Result<String, Error> {
        self.in_block("ROLLBACK TO SAVEPOINT")?;
        let place = self.find_savepoint(name)?;
        self.copy = None;
        self.end_cursors(place + 1);
        self.shared
            .transact(|transaction| transaction.rollback_to(name))?;
        self.savepoints.truncate(place + 1);
        self.count_points();
        if let Some(savepoint) = self.savepoints.last() {
            savepoint.before.restore(&self.shared);
        }
        self.block = Block::Open;
        Ok("ROLLBACK".to_owned())
    }

    fn in_block(&self, what: &str) -> Result<(), Error> {
        if self.block == Block::Implicit {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                format!("{what} can only be used in transaction blocks"),
            ));
        }
        Ok(())
    }

    /// Commits what is open: on return it is safe.
    pub(super) async fn complete(&mut self) -> Result<(), Error> {
        let (transaction, said) = self.leave()?;
        let begun = transaction.is_some();
        let done = match transaction {
            Some(transaction) if said.is_nothing() && others_work() => {
                let mut given_up = GivenUp(Some(Arc::clone(&self.shared)));
                let committed = transaction.commit_beside_others().await;
                given_up.0 = None;
                committed.map(|_| ()).map_err(Error::from)
            }
            transaction => self.commit_here(transaction, said),
        };
        self.left(begun, done)
    }

    /// The same for who cannot let others go on meanwhile.
    pub(super) fn complete_here(&mut self) -> Result<(), Error> {
        let (transaction, said) = self.leave()?;
        let begun = transaction.is_some();
        let done = self.commit_here(transaction, said);
        self.left(begun, done)
    }

    /// Commits, and says what was to be said then: others who have something to say wait for it.
    fn commit_here(&self, transaction: Option<Transaction>, said: Said) -> Result<(), Error> {
        self.shared.speak(said, || match transaction {
            Some(transaction) => Ok(committing(|| transaction.commit()).map(|_| ())?),
            None => Ok(()),
        })
    }

    /// The transaction that is to be committed, and what is to be said then.
    fn leave(&mut self) -> Result<(Option<Transaction>, Said), Error> {
        self.savepoints.clear();
        self.count_points();
        self.end_cursors(0);
        if let Err(error) = self.shared.before_commit() {
            self.abandon();
            return Err(error);
        }
        Ok(self
            .shared
            .with(|state| (state.transaction.take(), std::mem::take(&mut state.said))))
    }

    /// What a commit came to is known.
    fn left(&mut self, begun: bool, done: Result<(), Error>) -> Result<(), Error> {
        if begun {
            self.shared.count_end(done.is_ok());
        }
        self.shared.locker.end_transaction();
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
        done
    }

    /// A statement of a block failed: all is to be rolled back to the last savepoint, and what was
    /// locked since is free for others at once.
    pub(super) fn fail_block(&mut self) {
        self.block = Block::Failed;
        match self.savepoints.last() {
            Some(savepoint) => self.shared.locker.release_to(savepoint.before.locks()),
            None => self.shared.locker.end_transaction(),
        }
    }

    /// Rolls back what is open.
    pub(super) fn abandon(&mut self) {
        self.copy = None;
        self.savepoints.clear();
        self.count_points();
        self.end_cursors(0);
        let (changed, transaction) = self.shared.with(|state| {
            state.to_compress.clear();
            state.said = Said::default();
            state.deferred = Deferred::default();
            state.end_roles(false);
            (state.settings.end(false), state.transaction.take())
        });
        if transaction.is_some() {
            self.shared.count_end(false);
        }
        drop(transaction);
        self.shared.locker.end_transaction();
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
        self.simple = true;
        Ok(())
    }

    /// The message ends: what it ran outside a block is committed, or rolled back when something
    /// failed.
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn simple_end(&mut self, ok: bool) -> Result<(), Error> {
        let ended = self.end_implicit(ok).await;
        self.several = false;
        self.simple = false;
        ended
    }

    /// The extended protocol's Sync: as [`Session::simple_end`].
    ///
    /// # Errors
    /// Those of a commit.
    pub async fn sync(&mut self, ok: bool) -> Result<(), Error> {
        self.end_implicit(ok).await
    }

    async fn end_implicit(&mut self, ok: bool) -> Result<(), Error> {
        let ended = match (self.block, ok) {
            (Block::Implicit, true) => match self.before_end().await {
                Ok(()) => self.complete().await,
                Err(error) => {
                    self.abandon();
                    Err(error)
                }
            },
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
        self.rest();
        ended
    }

    /// What was executed failed while its rows were read.
    pub fn fail(&mut self) {
        self.copy = None;
        match self.block {
            Block::Implicit => self.abandon(),
            Block::Open | Block::Failed => self.fail_block(),
        }
    }
}
