//! Changes, applied.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_types::{ChunkId, DatabaseId, RoleId, RoutineId, SchemaId, TableId};

use crate::acl::{Acl, DefaultAcl, Securable};
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::rollup::Rollup;
use crate::routine::Routine;
use crate::table::{Chunk, Column, Hypertable, Part, Table};

mod boundaries;

type Applied = Result<(), CatalogError>;

impl Catalog {
    /// Applies a change, whole or not at all.
    ///
    /// # Errors
    /// When the change does not fit what exists.
    pub fn apply(&mut self, change: &Change) -> Applied {
        // The maps share their values, so a copy is as dear as the number of names on the way.
        let mut next = self.clone();
        next.change(change)?;
        if !self.is_marked(change) {
            next.version += 1;
        }
        *self = next;
        Ok(())
    }

    /// Whether a change marks what is marked already: plans that know of the mark stay right,
    /// though it is younger then.
    fn is_marked(&self, change: &Change) -> bool {
        let Change::Invalidate {
            database,
            table,
            range,
        } = change
        else {
            return false;
        };
        let rollup = self.table(*database, *table);
        let rollup = rollup.and_then(|table| table.rollup.as_ref());
        rollup.is_some_and(|rollup| rollup.is_invalid(range))
    }

    fn change(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateDatabase { id, name, owner } => {
                if self.database_named(name).is_some() {
                    return Err(CatalogError::DatabaseExists(name.clone()));
                }
                self.take_oid(id.0)?;
                let database = Database::new(*id, name, *owner);
                self.databases.insert(*id, Arc::new(database));
                Ok(())
            }
            Change::DropDatabase { id } => match self.databases.remove(id) {
                Some(_) => Ok(()),
                None => Err(CatalogError::NoDatabase(id.to_string())),
            },
            Change::SetDatabaseSetting { id, name, value } => {
                set(&mut self.database(*id)?.settings, name, value.as_ref());
                Ok(())
            }
            Change::RenameDatabase { id, name } => {
                if self
                    .database_named(name)
                    .is_some_and(|other| other.id != *id)
                {
                    return Err(CatalogError::DatabaseExists(name.clone()));
                }
                self.database(*id)?.name.clone_from(name);
                Ok(())
            }
            Change::SetDatabaseOwner { id, owner } => {
                let database = self.database(*id)?;
                let before = std::mem::replace(&mut database.owner, *owner);
                database.change_owner(id.0, before, *owner);
                Ok(())
            }
            Change::CreateSchema { database, schema } => {
                self.take_oid(schema.id.0)?;
                let database = self.database(*database)?;
                if database.schema_named(&schema.name).is_some() {
                    return Err(CatalogError::SchemaExists(schema.name.clone()));
                }
                database.schemas.insert(schema.id, Arc::new(schema.clone()));
                database.grant_default(Securable::Schema, schema.id.0, schema.owner, None)
            }
            Change::DropSchema { database, id } => self.database(*database)?.drop_schema(*id),
            Change::ChangeSchema { database, schema } => {
                let database = self.database(*database)?;
                let named = database.schema_named(&schema.name);
                if named.is_some_and(|other| other.id != schema.id) {
                    return Err(CatalogError::SchemaExists(schema.name.clone()));
                }
                match database.schemas.get_mut(&schema.id) {
                    Some(known) => {
                        let before = known.owner;
                        *known = Arc::new(schema.clone());
                        database.change_owner(schema.id.0, before, schema.owner);
                        Ok(())
                    }
                    None => Err(CatalogError::NoSchema(schema.name.clone())),
                }
            }
            Change::CreateTable { database, table } => {
                self.take_oid(table.id.0)?;
                self.take_oids_of(table)?;
                let database = self.database(*database)?;
                database.check_name(table.schema, &table.name)?;
                let mut table = Table::clone(table);
                if table.hypertable.is_none() {
                    table
                        .chunks
                        .entry(Table::PLAIN_CHUNK)
                        .or_insert_with(|| Arc::new(plain_chunk()));
                }
                let (id, rollup) = (table.id, table.rollup.take());
                database.grant_default(
                    Securable::Relation,
                    id.0,
                    table.owner,
                    Some(table.schema),
                )?;
                database.tables.insert(id, Arc::new(table));
                match rollup {
                    Some(rollup) => database.set_rollup(id, Some(&rollup)),
                    None => Ok(()),
                }
            }
            Change::DropTable { database, id } => self.database(*database)?.drop_table(*id),
            Change::RenameTable { database, id, name } => {
                let database = self.database(*database)?;
                let schema = database.table(*id)?.schema;
                database.check_name(schema, name)?;
                database.table(*id)?.name.clone_from(name);
                Ok(())
            }
            Change::SetTableSchema {
                database,
                id,
                schema,
            } => {
                let database = self.database(*database)?;
                let table = database.table(*id)?;
                if table.schema == *schema {
                    return Ok(());
                }
                let mut names = vec![table.name.clone()];
                names.extend(table.indexes.iter().map(|index| index.name.clone()));
                for name in names {
                    database.check_name(*schema, &name)?;
                }
                database.table(*id)?.schema = *schema;
                Ok(())
            }
            Change::SetTableOwner {
                database,
                id,
                owner,
            } => {
                let database = self.database(*database)?;
                let before = std::mem::replace(&mut database.table(*id)?.owner, *owner);
                database.change_owner(id.0, before, *owner);
                Ok(())
            }
            Change::SetAcl { database, oid, acl } => {
                self.database(*database)?.set_acl(*oid, acl.as_ref())
            }
            Change::SetDefaultAcls { database, acls } => {
                for acl in acls {
                    self.next_oid = self.next_oid.max(acl.id.saturating_add(1));
                }
                self.database(*database)?.default_acls.clone_from(acls);
                Ok(())
            }
            Change::CreateView {
                database,
                view,
                replace,
            } => {
                let known = self
                    .databases
                    .get(database)
                    .is_some_and(|d| d.views.contains_key(&view.id));
                if !(known && *replace) {
                    self.take_oid(view.id.0)?;
                }
                let database = self.database(*database)?;
                if !known {
                    database.check_name(view.schema, &view.name)?;
                    let kind = Securable::Relation;
                    database.grant_default(kind, view.id.0, view.owner, Some(view.schema))?;
                }
                database.views.insert(view.id, Arc::new(view.clone()));
                Ok(())
            }
            Change::DropView { database, id } => {
                let database = self.database(*database)?;
                let Some(view) = database.views.remove(id) else {
                    return Err(CatalogError::NoRelation(id.to_string()));
                };
                database.drop_jobs_of(*id);
                database.set_acl(id.0, None)?;
                match &view.materialized {
                    Some(kept) if database.tables.contains_key(&kept.table) => {
                        database.drop_table(kept.table)
                    }
                    _ => Ok(()),
                }
            }
            Change::ChangeView { database, view } => {
                let database = self.database(*database)?;
                let Some(known) = database.views.get(&view.id) else {
                    return Err(CatalogError::NoRelation(view.name.clone()));
                };
                let before = known.owner;
                if (known.schema, &known.name) != (view.schema, &view.name) {
                    database.check_name(view.schema, &view.name)?;
                }
                database.change_owner(view.id.0, before, view.owner);
                database.views.insert(view.id, Arc::new(view.clone()));
                Ok(())
            }
            Change::RenameConstraint {
                database,
                table,
                from,
                name,
            } => self
                .database(*database)?
                .rename_constraint(*table, from, name),
            Change::RenameIndex {
                database,
                table,
                id,
                name,
            } => {
                let database = self.database(*database)?;
                let table_now = database.table(*table)?;
                let Some(index) = table_now.indexes.iter().find(|index| index.id == *id) else {
                    return Err(CatalogError::NoRelation(id.to_string()));
                };
                if index.constraint {
                    let from = index.name.clone();
                    return database.rename_constraint(*table, &from, name);
                }
                let schema = table_now.schema;
                database.check_name(schema, name)?;
                database.table(*table)?.rename_index(*id, name);
                Ok(())
            }
            Change::CreateIndex {
                database,
                table,
                index,
            } => {
                self.take_oid(index.id.0)?;
                let database = self.database(*database)?;
                let schema = database.table(*table)?.schema;
                database.check_name(schema, &index.name)?;
                database.table(*table)?.indexes.push(index.clone());
                Ok(())
            }
            Change::AddChunk {
                database,
                table,
                chunk,
                oid,
                range,
                created_us,
            } => {
                self.take_oid(*oid)?;
                let database = self.database(*database)?;
                database.next_chunk = database.next_chunk.max(chunk.0 + 1);
                let table = database.table(*table)?;
                let meets = |other: &Arc<Chunk>| {
                    other.id != Table::PLAIN_CHUNK
                        && other.range.start < range.end
                        && range.start < other.range.end
                };
                if table.chunks.contains_key(chunk) || table.chunks.values().any(meets) {
                    return Err(CatalogError::ChunkOverlap(table.name.clone()));
                }
                let made = Chunk {
                    id: *chunk,
                    oid: *oid,
                    range: range.clone(),
                    parts: Vec::new(),
                    compressed: false,
                    created_us: *created_us,
                };
                table.chunks.insert(*chunk, Arc::new(made));
                Ok(())
            }
            Change::MergeChunks {
                database,
                table,
                chunks,
            } => self
                .database(*database)?
                .table(*table)?
                .merge_chunks(chunks),
            Change::SplitChunk {
                database,
                table,
                chunk,
                at,
                new,
                oid,
                created_us,
            } => {
                self.take_oid(*oid)?;
                let database = self.database(*database)?;
                database.next_chunk = database.next_chunk.max(new.0 + 1);
                let made = Chunk {
                    id: *new,
                    oid: *oid,
                    created_us: *created_us,
                    ..plain_chunk()
                };
                database.table(*table)?.split_chunk(*chunk, *at, made)
            }
            Change::ChangeHypertable {
                database,
                table,
                hypertable,
            } => {
                let known = self.database(*database)?.table(*table)?.hypertable_mut()?;
                // What it is stays: its number and its time.
                *known = Hypertable {
                    id: known.id,
                    time: known.time,
                    ..hypertable.clone()
                };
                Ok(())
            }
            Change::MakeHypertable {
                database,
                table,
                hypertable,
            } => {
                let database = self.database(*database)?;
                database.next_hypertable = database.next_hypertable.max(hypertable.id.0 + 1);
                let table = database.table(*table)?;
                if table.hypertable.is_some() {
                    return Err(CatalogError::AlreadyHypertable(table.name.clone()));
                }
                table.chunks.remove(&Table::PLAIN_CHUNK);
                table.hypertable = Some(hypertable.clone());
                Ok(())
            }
            Change::ReplaceParts {
                database,
                table,
                chunk,
                removed,
                added,
                compressed,
            } => {
                for part in added {
                    self.next_part = self.next_part.max(part.id.0 + 1);
                }
                let chunk = self.database(*database)?.table(*table)?.chunk(*chunk)?;
                let is_first = |part: &Arc<Part>| removed.first() == Some(&part.id);
                let place = chunk.parts.iter().position(is_first);
                for id in removed {
                    let before = chunk.parts.len();
                    chunk.parts.retain(|part| part.id != *id);
                    if chunk.parts.len() == before {
                        return Err(CatalogError::WrongPart(id.to_string()));
                    }
                }
                // What is in the place of rows is where they were in the order of arrival.
                let place = place.unwrap_or(chunk.parts.len());
                for (place, part) in (place..).zip(added) {
                    if chunk.parts.iter().any(|other| other.id == part.id) {
                        return Err(CatalogError::WrongPart(part.id.to_string()));
                    }
                    let place = place.min(chunk.parts.len());
                    chunk.parts.insert(place, Arc::clone(part));
                }
                chunk.compressed = compressed.unwrap_or(chunk.compressed);
                Ok(())
            }
            Change::SetRollup {
                database,
                table,
                rollup,
            } => self
                .database(*database)?
                .set_rollup(*table, rollup.as_ref()),
            Change::Invalidate {
                database,
                table,
                range,
            } => {
                let rollup = self.database(*database)?.table(*table)?.rollup_mut()?;
                rollup.invalidate(range);
                Ok(())
            }
            Change::Revalidate {
                database,
                table,
                range,
                upto,
            } => {
                let rollup = self.database(*database)?.table(*table)?.rollup_mut()?;
                rollup.revalidate(range, *upto);
                Ok(())
            }
            Change::Freeze {
                database,
                table,
                range,
            } => {
                let rollup = self.database(*database)?.table(*table)?.rollup_mut()?;
                rollup.freeze(range);
                Ok(())
            }
            Change::CreateRole { role } => {
                if self.role_named(&role.name).is_some() {
                    return Err(CatalogError::RoleExists(role.name.clone()));
                }
                self.take_oid(role.id.0)?;
                self.roles.insert(role.id, Arc::new(role.clone()));
                Ok(())
            }
            Change::ChangeRole { role } => match self.roles.get_mut(&role.id) {
                Some(known) => {
                    *known = Arc::new(role.clone());
                    Ok(())
                }
                None => Err(CatalogError::NoRole(role.name.clone())),
            },
            Change::DropRole { id } => match self.roles.remove(id) {
                Some(_) => {
                    let members = self.roles.values_mut();
                    for member in members.filter(|role| role.member_of.contains(id)) {
                        let member = Arc::make_mut(member);
                        member.member_of.retain(|group| group != id);
                        member.admin_of.retain(|group| group != id);
                    }
                    Ok(())
                }
                None => Err(CatalogError::NoRole(id.to_string())),
            },
            Change::Job { database, change } => {
                Arc::make_mut(&mut self.database(*database)?.jobs).change(change)
            }
            Change::CreateRoutine {
                database,
                routine,
                replace,
            } => {
                if !*replace {
                    self.take_oid(routine.id.0)?;
                }
                self.database(*database)?.create_routine(routine, *replace)
            }
            Change::DropRoutine { database, id } => {
                match self.database(*database)?.routines.remove(id) {
                    Some(_) => self.database(*database)?.set_acl(id.0, None),
                    None => Err(CatalogError::NoRoutine(id.to_string())),
                }
            }
            Change::SetSetting { name, value } => {
                set(&mut self.settings, name, value.as_ref());
                Ok(())
            }
            Change::Reserve {
                next_oid,
                next_part,
            } => {
                self.next_oid = self.next_oid.max(*next_oid);
                self.next_part = self.next_part.max(*next_part);
                Ok(())
            }
            Change::AddColumn {
                database, table, ..
            }
            | Change::DropColumn {
                database, table, ..
            }
            | Change::ChangeColumn {
                database, table, ..
            }
            | Change::AddConstraint {
                database, table, ..
            }
            | Change::DropConstraint {
                database, table, ..
            }
            | Change::DropIndex {
                database, table, ..
            }
            | Change::SetCompression {
                database, table, ..
            }
            | Change::SetChunkInterval {
                database, table, ..
            }
            | Change::SetIntegerNow {
                database, table, ..
            }
            | Change::DropChunk {
                database, table, ..
            }
            | Change::Truncate { database, table }
            | Change::Comment {
                database, table, ..
            } => {
                if let Change::AddConstraint { constraint, .. } = change {
                    self.take_oid(constraint.id)?;
                }
                self.database(*database)?.table(*table)?.change(change)
            }
        }
    }

    fn database(&mut self, id: DatabaseId) -> Result<&mut Database, CatalogError> {
        self.databases
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or_else(|| CatalogError::NoDatabase(id.to_string()))
    }

    /// An object comes with a number that nothing had before.
    fn take_oid(&mut self, oid: u32) -> Applied {
        if oid < self.next_oid && oid != 0 && self.oid_in_use(oid) {
            return Err(CatalogError::NumberInUse(oid));
        }
        self.next_oid = self.next_oid.max(oid.saturating_add(1));
        Ok(())
    }

    fn take_oids_of(&mut self, table: &Table) -> Applied {
        for constraint in &table.constraints {
            self.take_oid(constraint.id)?;
        }
        for index in &table.indexes {
            self.take_oid(index.id.0)?;
        }
        Ok(())
    }

    fn oid_in_use(&self, oid: u32) -> bool {
        self.databases.contains_key(&DatabaseId(oid))
            || self.roles.keys().any(|id| id.0 == oid)
            || self.databases.values().any(|database| {
                database.schemas.contains_key(&SchemaId(oid))
                    || database.tables.contains_key(&TableId(oid))
                    || database.views.contains_key(&TableId(oid))
                    || database.routines.contains_key(&RoutineId(oid))
            })
    }
}

fn plain_chunk() -> Chunk {
    Chunk {
        id: Table::PLAIN_CHUNK,
        oid: 0,
        range: i64::MIN..i64::MAX,
        parts: Vec::new(),
        compressed: false,
        created_us: 0,
    }
}

fn set(settings: &mut BTreeMap<String, String>, name: &str, value: Option<&String>) {
    match value {
        Some(value) => settings.insert(name.to_owned(), value.clone()),
        None => settings.remove(name),
    };
}

impl Database {
    fn table(&mut self, id: TableId) -> Result<&mut Table, CatalogError> {
        self.tables
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or_else(|| CatalogError::NoRelation(id.to_string()))
    }

    fn check_name(&self, schema: SchemaId, name: &str) -> Applied {
        if !self.schemas.contains_key(&schema) {
            return Err(CatalogError::NoSchema(schema.to_string()));
        }
        if self.relation_exists(schema, name) {
            return Err(CatalogError::RelationExists(name.to_owned()));
        }
        Ok(())
    }

    /// A table goes, unless a store is computed from it.
    fn drop_table(&mut self, id: TableId) -> Applied {
        let Some(table) = self.tables.get(&id) else {
            return Err(CatalogError::NoRelation(id.to_string()));
        };
        if !self.stores_of(id).is_empty() {
            return Err(CatalogError::RelationInUse(table.name.clone()));
        }
        if table.rollup.is_some() {
            self.set_rollup(id, None)?;
        }
        self.tables.remove(&id);
        self.drop_jobs_of(id);
        self.set_acl(id.0, None)
    }

    fn set_rollup(&mut self, id: TableId, rollup: Option<&Rollup>) -> Applied {
        let table = self.table(id)?;
        if table.hypertable.is_none() {
            return Err(CatalogError::NotHypertable(table.name.clone()));
        }
        let before = std::mem::replace(&mut table.rollup, rollup.cloned());
        let stores = Arc::make_mut(&mut self.stores);
        if let Some(before) = before
            && let Some(known) = stores.get_mut(&before.source)
        {
            known.retain(|store| *store != id);
            if known.is_empty() {
                stores.remove(&before.source);
            }
        }
        let Some(rollup) = rollup else {
            return Ok(());
        };
        stores.entry(rollup.source).or_default().push(id);
        let Some(source) = self.tables.get(&rollup.source) else {
            return Err(CatalogError::NoRelation(rollup.source.to_string()));
        };
        if source.hypertable.is_none() {
            return Err(CatalogError::NotHypertable(source.name.clone()));
        }
        // What is computed from itself would be computed for ever.
        let mut above = Some(source);
        while let Some(table) = above {
            if table.id == id {
                return Err(CatalogError::RelationInUse(table.name.clone()));
            }
            let source = table.rollup.as_ref().map(|rollup| rollup.source);
            above = source.and_then(|source| self.tables.get(&source));
        }
        Ok(())
    }

    /// A key's index has the key's name, in the space of all relations.
    fn rename_constraint(&mut self, table: TableId, from: &str, name: &str) -> Applied {
        let found = self.table(table)?;
        let of = |index: &crate::table::Index| index.constraint && index.name == from;
        let index = found.indexes.iter().find(|index| of(index));
        let (schema, index) = (found.schema, index.map(|index| index.id));
        if index.is_some() {
            self.check_name(schema, name)?;
        }
        let found = self.table(table)?;
        if found.constraints.iter().any(|known| known.name == name) {
            return Err(CatalogError::ConstraintExists {
                constraint: name.to_owned(),
                relation: found.name.clone(),
            });
        }
        if let Some(index) = index {
            found.rename_index(index, name);
        }
        match found
            .constraints
            .iter_mut()
            .find(|known| known.name == from)
        {
            Some(known) => {
                name.clone_into(&mut known.name);
                Ok(())
            }
            None => Err(CatalogError::NoConstraint {
                constraint: from.to_owned(),
                relation: found.name.clone(),
            }),
        }
    }

    /// A policy goes with its hypertable.
    fn drop_jobs_of(&mut self, table: TableId) {
        let of_it = |job: &Arc<crate::job::Job>| job.relation == Some(table);
        if self.jobs.all.values().any(of_it) {
            Arc::make_mut(&mut self.jobs)
                .all
                .retain(|_, job| !of_it(job));
        }
    }

    fn create_routine(&mut self, routine: &Routine, replace: bool) -> Applied {
        if !self.schemas.contains_key(&routine.schema) {
            return Err(CatalogError::NoSchema(routine.schema.to_string()));
        }
        let taken = |other: &Arc<Routine>| {
            other.types().eq(routine.types()) && !(replace && other.id == routine.id)
        };
        if self
            .routines_named(routine.schema, &routine.name)
            .any(taken)
        {
            return Err(CatalogError::RoutineExists(routine.name.clone()));
        }
        self.routines.insert(routine.id, Arc::new(routine.clone()));
        Ok(())
    }

    fn drop_schema(&mut self, id: SchemaId) -> Applied {
        let Some(schema) = self.schemas.get(&id) else {
            return Err(CatalogError::NoSchema(id.to_string()));
        };
        let used = self.tables.values().any(|table| table.schema == id)
            || self.views.values().any(|view| view.schema == id)
            || self.routines.values().any(|routine| routine.schema == id);
        if used {
            return Err(CatalogError::SchemaInUse(schema.name.clone()));
        }
        self.schemas.remove(&id);
        let default = |acl: &DefaultAcl| acl.schema == Some(id);
        self.default_acls.retain(|acl| !default(acl));
        self.set_acl(id.0, None)
    }

    /// What is granted on a thing of that oid; None when it is gone, or nobody said anything.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it ends changes, which are applied or not"
    )]
    fn set_acl(&mut self, oid: u32, acl: Option<&Acl>) -> Applied {
        if acl.is_none() && !self.acls.contains_key(&oid) {
            return Ok(());
        }
        let acls = Arc::make_mut(&mut self.acls);
        match acl {
            Some(acl) => acls.insert(oid, acl.clone()),
            None => acls.remove(&oid),
        };
        Ok(())
    }

    /// What ALTER DEFAULT PRIVILEGES said of a thing that is new.
    fn grant_default(
        &mut self,
        kind: Securable,
        oid: u32,
        owner: RoleId,
        schema: Option<SchemaId>,
    ) -> Applied {
        let acl = self.initial_acl(owner, schema, kind);
        self.set_acl(oid, acl.as_ref())
    }

    /// What the old owner of a thing had is the new one's.
    fn change_owner(&mut self, oid: u32, from: RoleId, to: RoleId) {
        if from != to
            && self.acls.contains_key(&oid)
            && let Some(acl) = Arc::make_mut(&mut self.acls).get_mut(&oid)
        {
            acl.change_owner(from, to);
        }
    }
}

impl Table {
    fn chunk(&mut self, id: ChunkId) -> Result<&mut Chunk, CatalogError> {
        self.chunks
            .get_mut(&id)
            .map(Arc::make_mut)
            .ok_or_else(|| CatalogError::NoChunk(id.to_string()))
    }

    fn rename_index(&mut self, id: chronolith_types::IndexId, name: &str) {
        for index in self.indexes.iter_mut().filter(|index| index.id == id) {
            name.clone_into(&mut index.name);
        }
    }

    fn no_column(&self, column: impl ToString) -> CatalogError {
        CatalogError::NoColumn {
            column: column.to_string(),
            relation: self.name.clone(),
        }
    }

    fn check_column_name(&self, column: &Column) -> Applied {
        let taken = |other: &Column| other.name == column.name && other.id != column.id;
        if self.columns.iter().any(taken) {
            return Err(CatalogError::ColumnExists {
                column: column.name.clone(),
                relation: self.name.clone(),
            });
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) -> Applied {
        match change {
            Change::AddColumn { column, .. } => {
                self.check_column_name(column)?;
                self.next_column.0 = self.next_column.0.max(column.id.0 + 1);
                self.columns.push(column.clone());
            }
            Change::DropColumn { column, .. } => {
                let Some(place) = self.columns.iter().position(|known| known.id == *column) else {
                    return Err(self.no_column(column));
                };
                self.columns.remove(place);
                // A key without one of its columns asks nothing that makes sense.
                self.constraints.retain(|constraint| {
                    !constraint
                        .kind
                        .unique_columns()
                        .is_some_and(|columns| columns.contains(column))
                });
                if let Some(hypertable) = &mut self.hypertable {
                    hypertable.skipping.retain(|known| known.column != *column);
                    hypertable
                        .dimensions
                        .retain(|known| known.column != *column);
                }
                if let Some(compression) = self
                    .hypertable
                    .as_mut()
                    .and_then(|h| h.compression.as_mut())
                {
                    compression.segment_by.retain(|known| known != column);
                    compression.order_by.retain(|known| known.column != *column);
                    if let Some(indexes) = &mut compression.indexes {
                        indexes.retain(|index| !index.columns.contains(column));
                    }
                }
            }
            Change::ChangeColumn { column, .. } => {
                self.check_column_name(column)?;
                match self.columns.iter_mut().find(|known| known.id == column.id) {
                    Some(known) => *known = column.clone(),
                    None => return Err(self.no_column(&column.name)),
                }
            }
            Change::AddConstraint { constraint, .. } => {
                if self
                    .constraints
                    .iter()
                    .any(|known| known.name == constraint.name)
                {
                    return Err(CatalogError::ConstraintExists {
                        constraint: constraint.name.clone(),
                        relation: self.name.clone(),
                    });
                }
                self.constraints.push(constraint.clone());
            }
            Change::DropConstraint { name, .. } => {
                let before = self.constraints.len();
                self.constraints.retain(|known| known.name != *name);
                if self.constraints.len() == before {
                    return Err(CatalogError::NoConstraint {
                        constraint: name.clone(),
                        relation: self.name.clone(),
                    });
                }
                self.indexes
                    .retain(|index| !(index.constraint && index.name == *name));
            }
            Change::DropIndex { id, .. } => {
                let before = self.indexes.len();
                self.indexes.retain(|index| index.id != *id);
                if self.indexes.len() == before {
                    return Err(CatalogError::NoRelation(id.to_string()));
                }
            }
            Change::SetCompression { compression, .. } => {
                self.hypertable_mut()?.compression.clone_from(compression);
            }
            Change::SetChunkInterval { interval, .. } => {
                self.hypertable_mut()?.interval = *interval;
            }
            Change::SetIntegerNow { function, .. } => {
                self.hypertable_mut()?.integer_now.clone_from(function);
            }
            Change::DropChunk { chunk, .. } => {
                if self.chunks.remove(chunk).is_none() {
                    return Err(CatalogError::NoChunk(chunk.to_string()));
                }
            }
            Change::Truncate { .. } => {
                self.chunks.clear();
                if self.hypertable.is_none() {
                    self.chunks
                        .insert(Self::PLAIN_CHUNK, Arc::new(plain_chunk()));
                }
            }
            Change::Comment { column, text, .. } => match column {
                None => self.comment.clone_from(text),
                Some(id) => match self.columns.iter_mut().find(|known| known.id == *id) {
                    Some(known) => known.comment.clone_from(text),
                    None => return Err(self.no_column(id)),
                },
            },
            // The catalog deals with all others before it comes to a table.
            _ => debug_assert!(false, "not a change of a table: {change:?}"),
        }
        Ok(())
    }

    fn rollup_mut(&mut self) -> Result<&mut Rollup, CatalogError> {
        match self.rollup.as_mut() {
            Some(rollup) => Ok(rollup),
            None => Err(CatalogError::NotStore(self.name.clone())),
        }
    }

    fn hypertable_mut(&mut self) -> Result<&mut Hypertable, CatalogError> {
        match self.hypertable.as_mut() {
            Some(hypertable) => Ok(hypertable),
            None => Err(CatalogError::NotHypertable(self.name.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
