//! A session's own schema, where its temporary tables and views lie.
//!
//! It is called `pg_temp_` and the session's number, is made with the first thing in it, and goes
//! with the session; what a crash left behind goes when the server starts again.

use std::borrow::Cow;
use std::sync::Arc;

use chronolith_catalog::{Change, Database, OnCommit, Persistence, Schema};
use chronolith_engine::{Engine, Isolation, Transaction};
use chronolith_types::{DatabaseId, SchemaId, SqlState, TableId};

use super::shared::Shared;
use crate::error::Error;

/// How the names of such schemas begin.
pub(crate) const TEMPORARY: &str = "pg_temp_";

impl Shared {
    /// The name of the session's own schema, whether there is one yet or not.
    pub(crate) fn temporary_name(&self) -> String {
        format!("{TEMPORARY}{}", self.pid)
    }

    /// The schema that a name means: `pg_temp` is the session's own.
    pub(crate) fn schema_meant<'n>(&self, name: &'n str) -> Cow<'n, str> {
        match name {
            "pg_temp" => Cow::Owned(self.temporary_name()),
            name => Cow::Borrowed(name),
        }
    }

    /// The session's own schema, if there is one.
    pub(crate) fn temporary_schema(&self) -> Option<SchemaId> {
        if !self.with(|state| state.temporary) {
            return None;
        }
        let home = self.home().ok()?;
        let found = home.schema_named(&self.temporary_name())?;
        Some(found.id)
    }

    /// The session's own schema, made if need be.
    ///
    /// # Errors
    /// 25006 in a transaction that only reads.
    pub(crate) fn need_temporary_schema(&self) -> Result<SchemaId, Error> {
        self.with(|state| state.temporary = true);
        if let Some(known) = self.temporary_schema() {
            return Ok(known);
        }
        let id = SchemaId(self.transact(|t| Ok::<_, Error>(t.allocate_oid()))?);
        let catalog = self.catalog();
        let schema = Schema {
            id,
            name: self.temporary_name(),
            owner: self.role(&catalog)?,
        };
        self.change_unguarded(Change::CreateSchema {
            database: self.database,
            schema,
        })?;
        Ok(id)
    }

    /// Where a temporary relation goes; a schema that is named must be the session's own.
    ///
    /// # Errors
    /// 42P16 for any other schema.
    pub(crate) fn temporary_place(&self, schema: Option<&str>) -> Result<SchemaId, Error> {
        let own = self.temporary_name();
        match schema.map(|schema| self.schema_meant(schema)) {
            Some(schema) if schema != own.as_str() => Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "cannot create temporary relation in non-temporary schema",
            )),
            _ => self.need_temporary_schema(),
        }
    }

    /// Refuses to keep rows of what goes with the session.
    ///
    /// # Errors
    /// 0A000 where a query reads such a relation.
    pub(crate) fn refuse_temporary(&self, uses: &[crate::bind::Use]) -> Result<(), Error> {
        let passing = |of: &crate::bind::Use| self.is_temporary(TableId(of.relation));
        match uses.iter().any(passing) {
            true => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "materialized views must not use temporary tables or views",
            )),
            false => Ok(()),
        }
    }

    /// Whether a relation lies in the session's own schema.
    pub(crate) fn is_temporary(&self, relation: TableId) -> bool {
        let Some(schema) = self.temporary_schema() else {
            return false;
        };
        self.home().is_ok_and(|home| {
            let table = home.tables.get(&relation).map(|table| table.schema);
            let view = home.views.get(&relation).map(|view| view.schema);
            table.or(view) == Some(schema)
        })
    }

    /// What ON COMMIT asks for, at the end of the transaction.
    ///
    /// # Errors
    /// Those of the changes.
    pub(crate) fn before_commit(&self) -> Result<(), Error> {
        let open = self.with(|state| state.temporary && state.transaction.is_some());
        let Some(schema) = self.temporary_schema().filter(|_| open) else {
            return Ok(());
        };
        let home = self.home()?;
        let tables = home.tables.values().filter(|table| table.schema == schema);
        for table in tables {
            match table.persistence {
                Persistence::Temporary(OnCommit::Drop) => {
                    for view in crate::ddl::readers(&home, schema, &table.name) {
                        self.change_unguarded(Change::DropView {
                            database: self.database,
                            id: view.id,
                        })?;
                    }
                    self.change_unguarded(Change::DropTable {
                        database: self.database,
                        id: table.id,
                    })?;
                }
                Persistence::Temporary(OnCommit::Delete) => {
                    self.transact(|transaction| {
                        let view = transaction.table(table.id);
                        match view.is_some_and(|view| view.rows() > 0) {
                            true => transaction.truncate(table.id),
                            false => Ok(()),
                        }
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// DISCARD TEMP: all that lies in the session's own schema goes, in the open transaction.
    ///
    /// # Errors
    /// Those of the changes.
    pub(crate) fn discard_temporary(&self) -> Result<(), Error> {
        let Some(schema) = self.temporary_schema() else {
            return Ok(());
        };
        let home = self.home()?;
        for change in contents(self.database, &home, schema) {
            self.change_unguarded(change)?;
        }
        Ok(())
    }

    /// The session ends, its transaction has: its own schema goes too.
    pub(super) fn leave_temporary(&self) {
        if !self.with(|state| state.temporary) {
            return;
        }
        let (engine, name) = (&self.instance.engine, self.temporary_name());
        let dropped =
            super::shared::blocking(|| drop_schemas(engine, self.database, |found| found == name));
        // The next start drops it.
        if let Err(error) = dropped {
            tracing::warn!(%error, schema = name, "a temporary schema was left behind");
        }
    }
}

/// Drops the schemas that sessions of an earlier run left behind.
///
/// # Errors
/// Those of a commit.
pub(crate) fn drop_left_behind(engine: &Arc<Engine>) -> Result<(), Error> {
    let databases: Vec<DatabaseId> = engine.catalog().databases.keys().copied().collect();
    for database in databases {
        drop_schemas(engine, database, |name| name.starts_with(TEMPORARY))?;
    }
    Ok(())
}

fn drop_schemas(
    engine: &Arc<Engine>,
    database: DatabaseId,
    which: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let catalog = engine.catalog();
    let Some(home) = catalog.databases.get(&database) else {
        return Ok(());
    };
    let found: Vec<&Arc<Schema>> = home.schemas.values().filter(|s| which(&s.name)).collect();
    if found.is_empty() {
        return Ok(());
    }
    let mut transaction: Transaction = engine.begin(database, Isolation::ReadCommitted);
    for schema in found {
        for change in contents(database, home, schema.id) {
            transaction.change(change)?;
        }
        transaction.change(Change::DropSchema {
            database,
            id: schema.id,
        })?;
    }
    transaction.commit()?;
    Ok(())
}

/// What drops all that lies in a schema.
fn contents(database: DatabaseId, home: &Database, schema: SchemaId) -> Vec<Change> {
    let views = home.views.values().filter(|view| view.schema == schema);
    let views = views.map(|view| Change::DropView {
        database,
        id: view.id,
    });
    let tables = home.tables.values().filter(|table| {
        // Rows of a materialized view go with it.
        table.schema == schema && home.view_kept_in(table.id).is_none()
    });
    let tables = tables.map(|table| Change::DropTable {
        database,
        id: table.id,
    });
    let routines = home
        .routines
        .values()
        .filter(|known| known.schema == schema);
    let routines = routines.map(|known| Change::DropRoutine {
        database,
        id: known.id,
    });
    // Those of columns go with their tables.
    let sequences = home.sequences.values();
    let sequences = sequences.filter(|known| known.schema == schema && known.owned_by.is_none());
    let sequences = sequences.map(|known| Change::DropSequence {
        database,
        id: known.id,
    });
    let types = home.types.values().filter(|known| known.schema == schema);
    let types = types.map(|known| Change::DropType {
        database,
        id: known.id,
    });
    views
        .chain(tables)
        .chain(routines)
        .chain(sequences)
        .chain(types)
        .collect()
}
