//! `pg_export_snapshot()` and SET TRANSACTION SNAPSHOT: several sessions see the same.

use std::sync::Arc;

use chronolith_engine::Isolation;
use chronolith_types::SqlState;

use super::handle::Session;
use super::shared::Shared;
use crate::error::Error;

impl Shared {
    /// A name for what the transaction sees, good until it ends.
    ///
    /// # Errors
    /// XX000 outside of a transaction.
    pub(crate) fn export_snapshot(&self) -> Result<String, Error> {
        let exported = self.transact(|transaction| Ok::<_, Error>(transaction.export()))?;
        Ok(self.instance.keep_snapshot(&exported))
    }
}

impl Session {
    /// SET TRANSACTION SNAPSHOT.
    pub(super) fn set_snapshot(&mut self, name: &str) -> Result<(), Error> {
        if self.outside_block() {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET TRANSACTION can only be used in transaction blocks",
            );
        }
        let (queried, isolation) = self
            .shared
            .with(|state| (state.queried, state.modes.isolation()));
        let too_late = |message| Error::new(SqlState::ACTIVE_SQL_TRANSACTION, message);
        if queried {
            return Err(too_late(
                "SET TRANSACTION SNAPSHOT must be called before any query",
            ));
        }
        if !self.savepoints.is_empty() {
            return Err(too_late(
                "SET TRANSACTION SNAPSHOT must not be called in a subtransaction",
            ));
        }
        let refused = |message| Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
        if isolation != Isolation::RepeatableRead {
            return Err(refused(
                "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ",
            ));
        }
        let exported = self.shared.instance.snapshot(name).ok_or_else(|| {
            let message = format!("invalid snapshot identifier: \"{name}\"");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })?;
        if exported.database() != self.shared.database {
            return Err(refused(
                "cannot import a snapshot from a different database",
            ));
        }
        let mut transaction = self.shared.instance.engine.begin_at(&exported);
        transaction.set_locker(Arc::clone(&self.shared.locker));
        let before = self.shared.with(|state| {
            state.stale = false;
            state.queried = true;
            state.transaction.replace(transaction)
        });
        drop(before);
        Ok(())
    }
}
