//! Locks of the tables that statements name, taken before they look at them.

use chronolith_catalog::FIRST_USER_OID;
use chronolith_engine::{LockMode, LockTarget};
use chronolith_sql::{Name, ObjectKind, Statement as Tree};
use chronolith_types::TableId;

use super::execute::Ready;
use super::shared::Shared;
use crate::bind::Use;
use crate::error::Error;

impl Shared {
    /// Locks a table until the transaction ends; whether it waited.
    pub(crate) fn lock_waiting(&self, table: TableId, mode: LockMode) -> Result<bool, Error> {
        let target = LockTarget::Table {
            database: self.database,
            table,
        };
        Ok(self.locker.lock_waiting(target, mode)?)
    }

    fn lock_uses(&self, uses: &[Use]) -> Result<bool, Error> {
        let mut waited = false;
        // Nobody locks what is the system's.
        for of in uses.iter().filter(|of| of.relation >= FIRST_USER_OID) {
            waited |= self.lock_waiting(TableId(of.relation), LockMode::AccessShare)?;
        }
        Ok(waited)
    }

    /// Locks the tables of a bound statement; whether it waited, so that what was bound may mean
    /// another thing by now.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub(super) fn lock_tables(&self, ready: &Ready) -> Result<bool, Error> {
        match ready {
            Ready::Query(bound)
            | Ready::CopyOut(bound)
            | Ready::Call(bound)
            | Ready::Declare(bound) => self.lock_uses(&bound.uses),
            Ready::DeclarePlaced(placed) => self.lock_uses(&placed.bound.uses),
            Ready::Lock(locking) => {
                let mut waited = false;
                for table in locking.tables() {
                    waited |= self.lock_waiting(table, LockMode::RowShare)?;
                }
                Ok(self.lock_uses(&locking.bound.uses)? || waited)
            }
            Ready::Insert(insert) => {
                let waited = self.lock_waiting(insert.table, LockMode::RowExclusive)?;
                Ok(self.lock_uses(&insert.uses)? || waited)
            }
            Ready::Change(dml) => {
                let mut waited = false;
                for change in &dml.program.changes {
                    waited |= self.lock_waiting(change.table.id, LockMode::RowExclusive)?;
                }
                Ok(self.lock_uses(&dml.program.uses)? || waited)
            }
            Ready::Explain(inner) | Ready::CopyRows(inner) => self.lock_tables(inner),
            Ready::Procedure(procedure) => self.lock_uses(&procedure.args.uses),
            Ready::Filled(filled) => self.lock_tables(&filled.of.ready),
            Ready::Utility => Ok(false),
        }
    }

    /// Waits for whoever changes the tables that were named, and so may change what is wrong with a
    /// statement that could not be bound; whether it waited. Outside a transaction nothing stays
    /// locked.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub(super) fn lock_named(&self) -> Result<bool, Error> {
        let named = std::mem::take(&mut *self.named.lock());
        let mark = self.locker.mark();
        let mut waited = false;
        for table in named {
            waited |= self.lock_waiting(table, LockMode::AccessShare)?;
        }
        match self.with(|state| state.transaction.is_some()) {
            false => self.locker.release_to(mark),
            true if waited => self.transact(|transaction| transaction.begin_statement())?,
            true => {}
        }
        Ok(waited)
    }

    /// Locks the relations that a statement changes the definition of, and sees what was committed
    /// while it waited.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub(crate) fn lock_defined(&self, tree: &Tree) -> Result<(), Error> {
        let (names, mode): (&[Name], LockMode) = match tree {
            Tree::AlterTable(of) if is_relation(of.kind) => {
                (std::slice::from_ref(&of.name), LockMode::AccessExclusive)
            }
            Tree::Drop(of) if is_relation(of.kind) => (&of.names, LockMode::AccessExclusive),
            Tree::CreateIndex(create) if !create.concurrently => {
                (std::slice::from_ref(&create.table), LockMode::Share)
            }
            Tree::CreateTrigger(create) => (
                std::slice::from_ref(&create.table),
                LockMode::ShareRowExclusive,
            ),
            Tree::DropTrigger { table, .. } | Tree::AlterTrigger { table, .. } => {
                (std::slice::from_ref(table), LockMode::AccessExclusive)
            }
            Tree::Refresh {
                name, concurrently, ..
            } => (
                std::slice::from_ref(name),
                match concurrently {
                    true => LockMode::Exclusive,
                    false => LockMode::AccessExclusive,
                },
            ),
            _ => return Ok(()),
        };
        for name in names {
            // Who may not change it does not lock it, and what is not there is told of elsewhere.
            while let Some(id) = self.relation_owned(name) {
                if !self.lock_waiting(id, mode)? {
                    break;
                }
                self.transact(|transaction| transaction.begin_statement())?;
            }
        }
        Ok(())
    }

    /// The table or view of a name, if it is there and the current role may change it.
    fn relation_owned(&self, name: &Name) -> Option<TableId> {
        let (schema, bare) = (name.schema(), name.name());
        let table = self.find_table(schema, bare).ok().flatten();
        let id = match table {
            Some(table) => table.id,
            None => self.find_view(schema, bare).ok().flatten()?.id,
        };
        let catalog = self.catalog();
        let role = self.role(&catalog).ok()?;
        let owner = catalog.databases.get(&self.database)?.relation_owner(id)?;
        catalog.acts_as(role, owner).then_some(id)
    }
}

fn is_relation(kind: ObjectKind) -> bool {
    matches!(
        kind,
        ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView
    )
}
