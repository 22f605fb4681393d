//! SET CONSTRAINTS.

use chronolith_catalog::Database;
use chronolith_sql::Name;
use chronolith_types::{SchemaId, SqlState};

use super::handle::Session;
use super::shared::{Shared, no_schema};
use crate::error::Error;
use crate::routines::settle_deferred;

/// A constraint or constraint trigger by its name: its oid, and whether it may be put off.
type Known = (u32, bool);

impl Session {
    /// SET CONSTRAINTS: says what waits, and does what waits no longer.
    pub(super) async fn set_constraints(
        &mut self,
        names: &[Name],
        deferred: bool,
    ) -> Result<(), Error> {
        if self.outside_block() {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET CONSTRAINTS can only be used in transaction blocks",
            );
        }
        if names.is_empty() {
            self.shared.with(|state| state.deferred.set_all(deferred));
        }
        let mut found = Vec::new();
        for name in names {
            found.extend(named(&self.shared, name)?);
        }
        self.shared.with(|state| {
            for constraint in found {
                state.deferred.set(constraint, deferred);
            }
        });
        match deferred {
            true => Ok(()),
            false => settle_deferred(&self.shared, false).await,
        }
    }

    /// What waits for the transaction's end, before it.
    pub(super) async fn before_end(&mut self) -> Result<(), Error> {
        if self.shared.with(|state| !state.deferred.is_empty()) {
            settle_deferred(&self.shared, true).await?;
        }
        self.hold_cursors().await
    }
}

/// Those of a name in the first schema that has one.
fn named(shared: &Shared, name: &Name) -> Result<Vec<u32>, Error> {
    let home = shared.home()?;
    let path = match name.schema() {
        Some(schema) => [shared.schema_meant(schema).into_owned()].into(),
        None => shared.search_path(),
    };
    for schema in path.iter() {
        let Some(of) = home.schema_named(schema) else {
            match name.schema() {
                Some(_) => return Err(no_schema(schema)),
                None => continue,
            }
        };
        let known = known(&home, of.id, name.name());
        if known.is_empty() {
            continue;
        }
        if known.iter().any(|(_, deferrable)| !deferrable) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("constraint \"{}\" is not deferrable", name.name()),
            ));
        }
        return Ok(known.into_iter().map(|(id, _)| id).collect());
    }
    Err(Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{}\" does not exist", name.name()),
    ))
}

fn known(home: &Database, schema: SchemaId, name: &str) -> Vec<Known> {
    let mut known = Vec::new();
    for table in home.tables.values().filter(|table| table.schema == schema) {
        let constraints = table.constraints.iter().filter(|of| of.name == name);
        known.extend(constraints.map(|of| (of.id, of.marks.deferrable)));
        let triggers = home.triggers.get(&table.id);
        for trigger in triggers.into_iter().flat_map(|all| all.iter()) {
            if let Some(timing) = trigger.constraint.filter(|_| trigger.name == name) {
                known.push((trigger.id, timing.deferrable));
            }
        }
    }
    known
}
