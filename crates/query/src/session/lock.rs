//! LOCK TABLE.

use chronolith_catalog::{Rights, Table};
use chronolith_engine::{LockMode, LockTarget, Wait};
use chronolith_sql::{Lock, LockKind};
use chronolith_types::{SqlState, TableId};

use super::execute::command;
use super::handle::Session;
use super::shared::Shared;
use crate::error::Error;
use crate::labels::is_dumped;
use crate::outcome::{Outcome, Severity};
use crate::settings::Settings;

impl Shared {
    /// Locks a table until the transaction ends.
    ///
    /// # Errors
    /// 55P03, 57014, 40P01
    pub(crate) fn lock_table(
        &self,
        table: TableId,
        name: &str,
        mode: LockMode,
        wait: Wait,
    ) -> Result<(), Error> {
        let target = LockTarget::Table {
            database: self.database,
            table,
        };
        let had = self.locker.lock(target, mode, wait);
        had.map_err(|error| error.of_relation(name))?;
        Ok(())
    }
}

impl Session {
    pub(super) fn lock(&mut self, lock: &Lock) -> Result<Outcome, Error> {
        if self.outside_block() {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "LOCK TABLE can only be used in transaction blocks",
            ));
        }
        let mode = mode_of(lock.kind);
        let wait = if lock.nowait {
            Wait::NoWait
        } else {
            Wait::Block
        };
        for name in &lock.tables {
            for (table, name) in self.lockable(name, mode)? {
                self.shared.lock_table(table, &name, mode, wait)?;
            }
        }
        Ok(command("LOCK TABLE"))
    }

    /// The table of a name, or that of a view with what is needed to lock it.
    fn lockable(
        &self,
        name: &chronolith_sql::Name,
        mode: LockMode,
    ) -> Result<Vec<(TableId, String)>, Error> {
        let shared = &self.shared;
        let at = u32::try_from(name.position).ok();
        let any: &[Rights] = match mode {
            LockMode::AccessShare => &[Rights::SELECT],
            LockMode::RowExclusive => &[
                Rights::INSERT,
                Rights::UPDATE,
                Rights::DELETE,
                Rights::TRUNCATE,
            ],
            _ => &[Rights::UPDATE, Rights::DELETE, Rights::TRUNCATE],
        };
        let check = |id: TableId| {
            let refused = |right: &Rights| shared.check_relation(id, *right);
            let mut tried = any.iter().map(refused);
            let first = tried.next().unwrap_or(Ok(()));
            first.or_else(|error| tried.find(Result::is_ok).unwrap_or(Err(error)))
        };
        // A chunk has no rows of its own.
        if let Some((table, _)) = shared.chunk_named(name.schema(), name.name())? {
            check(table.id)?;
            return Ok(vec![(table.id, table.name.clone())]);
        }
        if let Some(table) = shared.find_table(name.schema(), name.name())? {
            check(table.id)?;
            self.warn_of_frozen(&table);
            return Ok(vec![(table.id, table.name.clone())]);
        }
        if let Some(view) = shared.find_view(name.schema(), name.name())? {
            check(view.id)?;
            return Ok(vec![(view.id, view.name.clone())]);
        }
        Err(Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{name}\" does not exist"),
        )
        .at(at))
    }
}

impl Session {
    /// A dump has the raw rows, from which a restore computes the aggregates: tells of those that
    /// cannot be computed again.
    fn warn_of_frozen(&self, store: &Table) {
        let frozen = store.rollup.as_ref().filter(|of| !of.frozen.is_empty());
        let frozen = frozen.filter(|_| !is_dumped(store));
        let dumps = |settings: &Settings| settings.get("application_name") == Some("pg_dump");
        let Some(rollup) = frozen else {
            return;
        };
        if !self.shared.with(|state| dumps(&state.settings)) {
            return;
        }
        let home = self.shared.home().ok();
        let view = home.and_then(|home| home.views.get(&rollup.view).cloned());
        let name = view.map_or_else(String::new, |view| view.name.clone());
        let message = format!(
            "rows of continuous aggregate \"{name}\" whose source rows were dropped are not dumped"
        );
        let warning = Error::new(SqlState::WARNING, message)
            .hint("Copy them with COPY (SELECT …) TO, or back up the data directory.");
        self.shared.notice(Severity::Warning, warning);
    }
}

fn mode_of(kind: LockKind) -> LockMode {
    match kind {
        LockKind::AccessShare => LockMode::AccessShare,
        LockKind::RowShare => LockMode::RowShare,
        LockKind::RowExclusive => LockMode::RowExclusive,
        LockKind::ShareUpdateExclusive => LockMode::ShareUpdateExclusive,
        LockKind::Share => LockMode::Share,
        LockKind::ShareRowExclusive => LockMode::ShareRowExclusive,
        LockKind::Exclusive => LockMode::Exclusive,
        LockKind::AccessExclusive => LockMode::AccessExclusive,
    }
}
