//! Changes of the catalog, and who may make them.

use chronolith_catalog::{
    Catalog, Change, Database, JobChange, Privilege, Rights, Schema, Sequence, Table, Type, View,
};
use chronolith_types::{DatabaseId, JobId, RoleId, RoutineId, SchemaId, SqlState, TableId, TypeId};

use super::check::owns_schema;
use super::words::{called, denied, not_member, not_owner, not_owner_of_hypertable};
use crate::error::Error;

/// Looks whether a role may make a change.
///
/// # Errors
/// 42501 in PostgreSQL's or TimescaleDB's words.
pub(crate) fn guard(
    catalog: &Catalog,
    database: DatabaseId,
    role: RoleId,
    change: &Change,
) -> Result<(), Error> {
    if catalog.is_superuser(role) {
        return Ok(());
    }
    let Some(home) = catalog.databases.get(&database) else {
        return Ok(());
    };
    Guard {
        catalog,
        home,
        role,
    }
    .look(change)
}

struct Guard<'a> {
    catalog: &'a Catalog,
    home: &'a Database,
    role: RoleId,
}

impl Guard<'_> {
    // No `_` arm: a new change must choose who may make it.
    fn look(&self, change: &Change) -> Result<(), Error> {
        match change {
            Change::CreateDatabase { .. } => {
                self.attribute(Privilege::CreateDatabase, "create database")
            }
            Change::DropDatabase { id }
            | Change::SetDatabaseSetting { id, .. }
            | Change::RenameDatabase { id, .. } => self.database(*id),
            Change::SetDatabaseOwner { id, owner } => {
                self.database(*id)?;
                self.member(*owner)
            }
            Change::CreateSchema { schema, .. } => {
                let here = self.catalog.database_rights(self.role, self.home.id);
                if !here.has(Rights::CREATE) {
                    return Err(denied("database", &self.home.name));
                }
                self.member(schema.owner)
            }
            Change::DropSchema { id, .. } => self.schema(*id),
            Change::ChangeSchema { schema, .. } => self.change_schema(schema),
            Change::CreateTable { table, .. } => self.create(table.schema, table.owner),
            Change::CreateView { view, .. } => match self.home.views.contains_key(&view.id) {
                true => self.relation(view.id),
                false => self.create(view.schema, view.owner),
            },
            Change::ChangeView { view, .. } => self.change_view(view),
            Change::SetTableSchema { id, schema, .. } => {
                self.relation(*id)?;
                self.rights_in(*schema, Rights::CREATE)
            }
            Change::SetTableOwner { id, owner, .. } => {
                self.relation(*id)?;
                self.member(*owner)?;
                let table = self.home.tables.get(id);
                table.map_or(Ok(()), |table| self.may_own(*owner, table.schema))
            }
            Change::DropTable { id, .. } | Change::DropView { id, .. } => {
                match owns_schema(self.catalog, self.home, self.role, *id) {
                    true => Ok(()),
                    false => self.relation(*id),
                }
            }
            Change::RenameTable { id, .. } => self.relation(*id),
            Change::Truncate { table, .. } => {
                let rights = self
                    .catalog
                    .relation_rights(self.role, self.home.id, *table);
                match rights.has(Rights::TRUNCATE) {
                    true => Ok(()),
                    false => Err(denied("table", called(self.home, *table).1)),
                }
            }
            Change::AddColumn { table, .. }
            | Change::DropColumn { table, .. }
            | Change::ChangeColumn { table, .. }
            | Change::AddConstraint { table, .. }
            | Change::DropConstraint { table, .. }
            | Change::RenameConstraint { table, .. }
            | Change::CreateIndex { table, .. }
            | Change::SetPersistence { table, .. }
            | Change::SetRowSecurity { table, .. }
            | Change::Comment { table, .. } => self.relation(*table),
            Change::SetExtension { extension, .. } => match self.catalog.is_superuser(self.role) {
                true => Ok(()),
                false => Err(Error::new(
                    SqlState::INSUFFICIENT_PRIVILEGE,
                    format!(
                        "permission denied to create extension \"{}\"",
                        extension.name
                    ),
                )
                .hint("Must be superuser to create this extension.")),
            },
            Change::DropExtension { id, .. } => {
                let known = self.home.extensions.get(id);
                known.map_or(Ok(()), |known| self.member(known.owner))
            }
            Change::DropIndex { table, id, .. } | Change::RenameIndex { table, id, .. } => {
                let known = self.home.tables.get(table);
                let index = known.and_then(|known| known.indexes.iter().find(|i| i.id == *id));
                match self.home.relation_owner(*table) {
                    Some(owner) if !self.acts_as(owner) => {
                        let name = index.map_or("", |index| index.name.as_str());
                        Err(not_owner("index", name))
                    }
                    _ => Ok(()),
                }
            }
            Change::MakeHypertable { table, .. }
            | Change::SetCompression { table, .. }
            | Change::SetChunkInterval { table, .. }
            | Change::DropChunk { table, .. }
            | Change::DetachChunk { table, .. }
            | Change::MergeChunks { table, .. }
            | Change::SplitChunk { table, .. }
            | Change::ChangeHypertable { table, .. }
            | Change::ReplaceParts { table, .. }
            | Change::SetIntegerNow { table, .. } => self.hypertable(*table),
            Change::CreateSequence { sequence, .. } => self.create(sequence.schema, sequence.owner),
            Change::ChangeSequence { sequence, .. } => self.change_sequence(sequence),
            Change::DropSequence { id, .. } => self.relation(*id),
            // Whoever deletes rows was asked for the right to do so.
            Change::DeleteRows { .. } => Ok(()),
            // Roles are looked at where their statements are, which know what they change.
            Change::CreateRole { .. } | Change::ChangeRole { .. } | Change::DropRole { .. } => {
                self.attribute(Privilege::CreateRole, "alter role")
            }
            Change::SetSetting { .. } => {
                self.attribute(Privilege::Superuser, "execute ALTER SYSTEM command")
            }
            Change::Job { change, .. } => self.job(change),
            // CREATE TRIGGER and CREATE PUBLICATION look for their rights themselves.
            Change::SetTriggers { .. }
            | Change::SetPublication { .. }
            | Change::DropPublication { .. } => Ok(()),
            Change::CreateRoutine { routine, .. } => match self.home.routines.get(&routine.id) {
                Some(known) => self.routine(&known.name, known.owner),
                None => self.create(routine.schema, routine.owner),
            },
            Change::DropRoutine { id, .. } => match self.home.routines.get(id) {
                Some(known) => self.routine(&known.name, known.owner),
                None => Ok(()),
            },
            Change::CreateType { ty, .. } => self.create(ty.schema, ty.owner),
            Change::ChangeType { ty, .. } => self.change_type(ty),
            // It follows a change of the relation that was looked at.
            Change::ChangeRows { .. } => Ok(()),
            Change::DropType { id, .. } => match self.home.types.get(id) {
                Some(known) => self.type_owner(known),
                None => Ok(()),
            },
            Change::SetComment { comment, .. } => self.thing(comment.oid),
            // Grants are looked at where GRANT is: not only owners grant.
            Change::SetAcl { .. } | Change::SetColumnAcl { .. } | Change::SetDefaultAcls { .. } => {
                Err(Error::internal(
                    "grants are changed by GRANT and REVOKE only",
                ))
            }
            // What follows from other changes, or keeps them up.
            Change::AddChunk { .. }
            | Change::Arrival { .. }
            | Change::SetRollup { .. }
            | Change::Invalidate { .. }
            | Change::Revalidate { .. }
            | Change::Freeze { .. }
            | Change::AdvanceSequence { .. }
            | Change::Reserve { .. } => Ok(()),
        }
    }

    fn acts_as(&self, owner: RoleId) -> bool {
        self.catalog.acts_as(self.role, owner)
    }

    fn role_name(&self, role: RoleId) -> &str {
        let found = self.catalog.roles.get(&role);
        found.map_or("", |role| role.name.as_str())
    }

    fn attribute(&self, privilege: Privilege, what: &str) -> Result<(), Error> {
        let role = self.catalog.roles.get(&self.role);
        match role.is_some_and(|role| role.may(privilege)) {
            true => Ok(()),
            false => Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to {what}"),
            )),
        }
    }

    fn member(&self, of: RoleId) -> Result<(), Error> {
        match self.catalog.is_member(self.role, of) {
            true => Ok(()),
            false => Err(not_member(self.role_name(of))),
        }
    }

    fn database(&self, id: DatabaseId) -> Result<(), Error> {
        match self.catalog.databases.get(&id) {
            Some(found) if !self.acts_as(found.owner) => Err(not_owner("database", &found.name)),
            _ => Ok(()),
        }
    }

    fn schema(&self, id: SchemaId) -> Result<(), Error> {
        match self.home.schemas.get(&id) {
            Some(found) if !self.acts_as(found.owner) => Err(not_owner("schema", &found.name)),
            _ => Ok(()),
        }
    }

    fn rights_in(&self, schema: SchemaId, rights: Rights) -> Result<(), Error> {
        let found = self.home.schemas.get(&schema);
        // Stores of continuous aggregates are made for whoever makes those; names of users are
        // looked up with `creation_schema`, which lets nobody in there.
        let internal = found.is_some_and(|schema| schema.name == Database::INTERNAL_SCHEMA);
        let has = self.catalog.schema_rights(self.role, self.home.id, schema);
        if internal || has.has(rights) {
            return Ok(());
        }
        Err(denied(
            "schema",
            found.map_or("", |schema| schema.name.as_str()),
        ))
    }

    fn create(&self, schema: SchemaId, owner: RoleId) -> Result<(), Error> {
        self.rights_in(schema, Rights::CREATE)?;
        self.member(owner)
    }

    /// Who gets a thing must be able to make it there.
    fn may_own(&self, owner: RoleId, schema: SchemaId) -> Result<(), Error> {
        let rights = self.catalog.schema_rights(owner, self.home.id, schema);
        let found = self.home.schemas.get(&schema);
        match rights.has(Rights::CREATE) {
            true => Ok(()),
            false => Err(denied(
                "schema",
                found.map_or("", |schema| schema.name.as_str()),
            )),
        }
    }

    fn relation(&self, id: TableId) -> Result<(), Error> {
        match self.home.relation_owner(id) {
            Some(owner) if !self.acts_as(owner) => {
                let (kind, name) = called(self.home, id);
                Err(not_owner(kind, name))
            }
            _ => Ok(()),
        }
    }

    fn hypertable(&self, id: TableId) -> Result<(), Error> {
        match self.home.relation_owner(id) {
            Some(owner) if !self.acts_as(owner) => {
                let table: Option<&Table> = self.home.tables.get(&id).map(AsRef::as_ref);
                let name = table.map_or("", |table| table.name.as_str());
                Err(not_owner_of_hypertable(name))
            }
            _ => Ok(()),
        }
    }

    fn type_owner(&self, known: &Type) -> Result<(), Error> {
        match self.acts_as(known.owner) {
            true => Ok(()),
            false => Err(not_owner("type", &known.name)),
        }
    }

    fn change_type(&self, ty: &Type) -> Result<(), Error> {
        let Some(known) = self.home.types.get(&ty.id) else {
            return Ok(());
        };
        self.type_owner(known)?;
        if known.schema != ty.schema {
            self.rights_in(ty.schema, Rights::CREATE)?;
        }
        if known.owner != ty.owner {
            self.member(ty.owner)?;
            self.may_own(ty.owner, ty.schema)?;
        }
        Ok(())
    }

    /// Whatever has an oid.
    fn thing(&self, oid: u32) -> Result<(), Error> {
        if self.home.relation_owner(TableId(oid)).is_some() {
            return self.relation(TableId(oid));
        }
        if let Some(known) = self.home.routines.get(&RoutineId(oid)) {
            return self.routine(&known.name, known.owner);
        }
        if let Some(known) = self.home.types.get(&TypeId(oid)) {
            return self.type_owner(known);
        }
        if self.home.schemas.contains_key(&SchemaId(oid)) {
            return self.schema(SchemaId(oid));
        }
        if self.catalog.databases.contains_key(&DatabaseId(oid)) {
            return self.database(DatabaseId(oid));
        }
        if self.catalog.roles.contains_key(&RoleId(oid)) {
            return self.attribute(Privilege::CreateRole, "comment on role");
        }
        let within = |table: &&Table| {
            table.indexes.iter().any(|index| index.id.0 == oid)
                || table.constraints.iter().any(|found| found.id == oid)
        };
        let mut tables = self.home.tables.values().map(AsRef::as_ref);
        match tables.find(within) {
            Some(table) => self.relation(table.id),
            None => self.attribute(Privilege::Superuser, "comment on this"),
        }
    }

    fn routine(&self, name: &str, owner: RoleId) -> Result<(), Error> {
        match self.acts_as(owner) {
            true => Ok(()),
            false => Err(not_owner("function", name)),
        }
    }

    fn change_schema(&self, schema: &Schema) -> Result<(), Error> {
        self.schema(schema.id)?;
        let before = self.home.schemas.get(&schema.id).map(|known| known.owner);
        if before != Some(schema.owner) {
            self.member(schema.owner)?;
        }
        Ok(())
    }

    fn change_sequence(&self, sequence: &Sequence) -> Result<(), Error> {
        let Some(known) = self.home.sequences.get(&sequence.id) else {
            return Ok(());
        };
        // TRUNCATE may restart the sequences of a table whose owner somebody else is.
        let restarted = Sequence {
            count: known.count,
            last: known.last,
            called: known.called,
            ..Sequence::clone(sequence)
        };
        if restarted != **known || known.owned_by.is_none() {
            self.relation(sequence.id)?;
        }
        if known.schema != sequence.schema {
            self.rights_in(sequence.schema, Rights::CREATE)?;
        }
        if known.owner != sequence.owner {
            self.member(sequence.owner)?;
            self.may_own(sequence.owner, sequence.schema)?;
        }
        Ok(())
    }

    fn change_view(&self, view: &View) -> Result<(), Error> {
        self.relation(view.id)?;
        let Some(known) = self.home.views.get(&view.id) else {
            return Ok(());
        };
        if known.schema != view.schema {
            self.rights_in(view.schema, Rights::CREATE)?;
        }
        if known.owner != view.owner {
            self.member(view.owner)?;
            self.may_own(view.owner, view.schema)?;
        }
        Ok(())
    }

    fn job(&self, change: &JobChange) -> Result<(), Error> {
        let owned = |id: JobId, verb: &str| match self.home.jobs.all.get(&id) {
            Some(job) if !self.acts_as(job.owner) => Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("insufficient permissions to {verb} job {id}"),
            )
            .detail(format!(
                "Job {id} is owned by role \"{}\" but user \"{}\" does not belong to that role.",
                self.role_name(job.owner),
                self.role_name(self.role),
            ))),
            _ => Ok(()),
        };
        match change {
            JobChange::Set(job) => {
                owned(job.id, "alter")?;
                self.member(job.owner)
            }
            JobChange::Drop(id) => owned(*id, "delete"),
            JobChange::SetNextStart { job, .. } => owned(*job, "alter"),
            // Runs are written down by what ran them.
            JobChange::Started { .. } | JobChange::Finished { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::Arc;

    use chronolith_catalog::{Acl, Role, Securable};

    use super::*;

    const OWNER: RoleId = RoleId(20_000);
    const OTHER: RoleId = RoleId(20_001);
    const HOME: DatabaseId = DatabaseId(5);
    const PUBLIC: SchemaId = SchemaId(2200);

    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for (id, name) in [(OWNER, "owner"), (OTHER, "other")] {
            let template = catalog.role_named("pg_checkpoint").unwrap();
            let mut role = Role::clone(template);
            role.id = id;
            role.name = name.to_owned();
            catalog.roles.insert(id, Arc::new(role));
        }
        let mut home = Database::clone(&catalog.databases[&HOME]);
        home.views.insert(
            TableId(30_000),
            Arc::new(View {
                id: TableId(30_000),
                schema: PUBLIC,
                name: "v".to_owned(),
                owner: OWNER,
                query: "SELECT 1".to_owned(),
                columns: Vec::new(),
                materialized: None,
                check: None,
                invoker: None,
                barrier: None,
                defaults: Default::default(),
            }),
        );
        catalog.databases.insert(HOME, Arc::new(home));
        catalog
    }

    fn told(catalog: &Catalog, role: RoleId, change: &Change) -> String {
        match guard(catalog, HOME, role, change) {
            Ok(()) => "may".to_owned(),
            Err(error) => error.message,
        }
    }

    #[test]
    fn only_owners_drop() {
        let catalog = catalog();
        let drop = Change::DropView {
            database: HOME,
            id: TableId(30_000),
        };
        assert_eq!(told(&catalog, OWNER, &drop), "may");
        assert_eq!(told(&catalog, RoleId(10), &drop), "may");
        assert_eq!(told(&catalog, OTHER, &drop), "must be owner of view v");
    }

    #[test]
    fn what_is_made_needs_its_schemas_leave() {
        let mut catalog = catalog();
        let mut view = View::clone(&catalog.databases[&HOME].views[&TableId(30_000)]);
        view.id = TableId(30_001);
        view.owner = OTHER;
        let make = Change::CreateView {
            database: HOME,
            view: view.clone(),
            replace: false,
        };
        assert_eq!(
            told(&catalog, OTHER, &make),
            "permission denied for schema public"
        );
        let mut acl = Acl::default_of(Securable::Schema, RoleId(10));
        acl.grant(Some(OTHER), RoleId(10), Rights::CREATE, false);
        let grant = Change::SetAcl {
            database: HOME,
            oid: PUBLIC.0,
            acl: Some(acl),
        };
        catalog.apply(&grant).unwrap();
        assert_eq!(told(&catalog, OTHER, &make), "may");
        let make = Change::CreateView {
            database: HOME,
            view: View {
                owner: OWNER,
                ..view
            },
            replace: false,
        };
        assert_eq!(
            told(&catalog, OTHER, &make),
            "must be member of role \"owner\""
        );
    }
}
