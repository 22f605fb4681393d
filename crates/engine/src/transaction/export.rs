//! Snapshots that one transaction lends to others.

use std::sync::Arc;

use chronolith_types::DatabaseId;

use super::{Isolation, Transaction};
use crate::engine::Engine;
use crate::moves::Pin;
use crate::state::State;

/// What a transaction sees, for others to see the same.
#[derive(Debug)]
pub struct Exported {
    database: DatabaseId,
    snapshot: Arc<State>,
    pin: Pin,
}

impl Exported {
    /// The database whose rows they are.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }
}

impl Transaction {
    /// Lends what it sees of others' commits: it can be had until the transaction ends.
    pub fn export(&mut self) -> Arc<Exported> {
        let (pin, snapshot) = match &self.pin {
            Some(pin) => (pin.again(), Arc::clone(&self.snapshot)),
            None => self.engine.pin(),
        };
        let exported = Arc::new(Exported {
            database: self.database,
            snapshot,
            pin,
        });
        self.exported.push(Arc::clone(&exported));
        exported
    }
}

impl Engine {
    /// Begins a transaction that sees what another does.
    #[must_use]
    pub fn begin_at(self: &Arc<Self>, exported: &Exported) -> Transaction {
        let database = exported.database;
        let mut transaction =
            Transaction::new(Arc::clone(self), database, Isolation::RepeatableRead);
        transaction.stores = exported.snapshot.stores(database);
        transaction.state = Arc::clone(&exported.snapshot);
        transaction.snapshot = Arc::clone(&exported.snapshot);
        transaction.pin = Some(exported.pin.again());
        transaction
    }
}
