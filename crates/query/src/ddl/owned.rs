//! What belongs to roles: REASSIGN OWNED, DROP OWNED, and why a role cannot be dropped.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_catalog::{
    Acl, Catalog, Change, Database, Job, JobChange, Publication, Routine, Schema, Securable,
    Sequence, Type, View,
};
use chronolith_sql::Spelled;
use chronolith_types::{RoleId, SchemaId, SqlState, TableId};

use super::alter::role_of;
use super::drop::{drop_table, drop_view, label};
use super::drop_type::drop_type;
use super::view::kind_of;
use super::{routine, sequence};
use crate::error::Error;
use crate::session::Shared;

pub(super) fn run(
    shared: &Arc<Shared>,
    roles: &[Spelled],
    to: Option<&Spelled>,
    cascade: bool,
) -> Result<(), Error> {
    let catalog = shared.catalog();
    let me = shared.role(&catalog)?;
    let mut from = Vec::with_capacity(roles.len());
    for role in roles {
        from.push(role_of(shared, &role.value)?);
    }
    let new = to.map(|to| role_of(shared, &to.value)).transpose()?;
    if from
        .iter()
        .chain(&new)
        .any(|role| !catalog.acts_as(me, *role))
    {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            match new {
                Some(_) => "permission denied to reassign objects",
                None => "permission denied to drop objects",
            },
        ));
    }
    for role in &from {
        // What every server has was made by its first role.
        if *role == RoleId(10) {
            let name = catalog
                .roles
                .get(role)
                .map_or("", |role| role.name.as_str());
            let what = match new {
                Some(_) => "reassign ownership of objects owned by",
                None => "drop objects owned by",
            };
            return Err(Error::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot {what} role {name} because they are required by the database system"
                ),
            ));
        }
    }
    for role in from {
        match new {
            Some(new) => reassign(shared, role, new)?,
            None => drop_owned(shared, role, cascade)?,
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------------------- REASSIGN OWNED

fn reassign(shared: &Arc<Shared>, from: RoleId, to: RoleId) -> Result<(), Error> {
    let database = shared.database;
    let home = shared.home()?;
    let mut changes = Vec::new();
    for of in shared.catalog().databases.values() {
        if of.owner == from {
            changes.push(Change::SetDatabaseOwner {
                id: of.id,
                owner: to,
            });
        }
    }
    for of in home.schemas.values().filter(|of| of.owner == from) {
        changes.push(Change::ChangeSchema {
            database,
            schema: Schema {
                owner: to,
                ..Schema::clone(of)
            },
        });
    }
    for of in home.tables.values().filter(|of| of.owner == from) {
        changes.push(Change::SetTableOwner {
            database,
            id: of.id,
            owner: to,
        });
    }
    for of in home.views.values().filter(|of| of.owner == from) {
        changes.push(Change::ChangeView {
            database,
            view: View {
                owner: to,
                ..View::clone(of)
            },
        });
    }
    for of in home.sequences.values().filter(|of| of.owner == from) {
        changes.push(Change::ChangeSequence {
            database,
            sequence: Box::new(Sequence {
                owner: to,
                ..Sequence::clone(of)
            }),
        });
    }
    for of in home.types.values().filter(|of| of.owner == from) {
        changes.push(Change::ChangeType {
            database,
            ty: Box::new(Type {
                owner: to,
                ..Type::clone(of)
            }),
        });
    }
    for of in home.routines.values().filter(|of| of.owner == from) {
        changes.push(Change::CreateRoutine {
            database,
            routine: Box::new(Routine {
                owner: to,
                ..Routine::clone(of)
            }),
            replace: true,
        });
    }
    for of in home.publications.values().filter(|of| of.owner == from) {
        changes.push(Change::SetPublication {
            database,
            publication: Box::new(Publication {
                owner: to,
                ..Publication::clone(of)
            }),
        });
    }
    for of in home.jobs.all.values().filter(|of| of.owner == from) {
        changes.push(Change::Job {
            database,
            change: JobChange::Set(Box::new(Job {
                owner: to,
                ..Job::clone(of)
            })),
        });
    }
    for change in changes {
        shared.change_unguarded(change)?;
    }
    Ok(())
}

// -------------------------------------------------------------------------------------- DROP OWNED

fn drop_owned(shared: &Arc<Shared>, role: RoleId, cascade: bool) -> Result<(), Error> {
    revoke_all(shared, role)?;
    let database = shared.database;
    let home = shared.home()?;
    for of in home.jobs.all.values().filter(|of| of.owner == role) {
        shared.change(Change::Job {
            database,
            change: JobChange::Drop(of.id),
        })?;
    }
    for of in home.publications.values().filter(|of| of.owner == role) {
        shared.change(Change::DropPublication {
            database,
            id: of.id,
        })?;
    }
    for of in home.routines.values().filter(|of| of.owner == role) {
        shared.change(Change::DropRoutine {
            database,
            id: of.id,
        })?;
    }
    let views = home.views.values().filter(|of| of.owner == role);
    in_turn(views.collect(), |of| {
        match shared.home()?.views.contains_key(&of.id) {
            true => drop_view(shared, of, cascade),
            false => Ok(()),
        }
    })?;
    let tables = home.tables.values().filter(|of| of.owner == role);
    in_turn(tables.collect(), |of| {
        let now = shared.home()?.tables.get(&of.id).cloned();
        match now.filter(|now| home.view_kept_in(now.id).is_none()) {
            Some(now) => drop_table(shared, &now, cascade),
            None => Ok(()),
        }
    })?;
    let types = home.types.values().filter(|of| of.owner == role);
    in_turn(types.collect(), |of| {
        match shared.home()?.types.contains_key(&of.id) {
            true => drop_type(shared, of, cascade),
            false => Ok(()),
        }
    })?;
    for of in home.sequences.values().filter(|of| of.owner == role) {
        if shared.home()?.sequences.contains_key(&of.id) {
            sequence::drop_one(shared, of, cascade)?;
        }
    }
    for of in home.schemas.values().filter(|of| of.owner == role) {
        super::drop_schema::drop(shared, &of.name, cascade)?;
    }
    Ok(())
}

/// Drops things, those that others of them depend on behind these.
fn in_turn<T>(mut left: Vec<T>, drop: impl Fn(&T) -> Result<(), Error>) -> Result<(), Error> {
    while !left.is_empty() {
        let before = left.len();
        let mut refused = None;
        let mut kept = Vec::new();
        for of in left {
            match drop(&of) {
                Err(error) if error.code == SqlState::DEPENDENT_OBJECTS_STILL_EXIST => {
                    refused = Some(error);
                    kept.push(of);
                }
                done => done?,
            }
        }
        left = kept;
        if let Some(error) = refused.filter(|_| left.len() == before) {
            return Err(Error {
                message: "cannot drop desired object(s) because other objects depend on them"
                    .to_owned(),
                ..error
            });
        }
    }
    Ok(())
}

/// What a role was granted in this database, and on databases, is its no more; nor is what it
/// granted to others by virtue of that.
fn revoke_all(shared: &Arc<Shared>, role: RoleId) -> Result<(), Error> {
    let catalog = shared.catalog();
    let home = shared.home()?;
    for of in catalog.databases.values().filter(|of| of.id != home.id) {
        if let Some(acl) = of
            .acls
            .get(&of.id.0)
            .and_then(|acl| without(acl, role, of.owner))
        {
            shared.change_unguarded(Change::SetAcl {
                database: of.id,
                oid: of.id.0,
                acl: Some(acl),
            })?;
        }
    }
    for (oid, acl) in home.acls.iter() {
        if let Some(acl) = without(acl, role, owner_of(&home, *oid)) {
            shared.change_unguarded(Change::SetAcl {
                database: home.id,
                oid: *oid,
                acl: Some(acl),
            })?;
        }
    }
    for (oid, columns) in home.column_acls.iter() {
        for (column, acl) in columns {
            if let Some(acl) = without(acl, role, owner_of(&home, *oid)) {
                shared.change_unguarded(Change::SetColumnAcl {
                    database: home.id,
                    oid: *oid,
                    column: *column,
                    acl: Some(acl),
                })?;
            }
        }
    }
    for (table, security) in &home.row_security {
        let mut now = chronolith_catalog::RowSecurity::clone(security);
        for policy in &mut now.policies {
            policy.roles.retain(|of| *of != Some(role));
        }
        // A policy for nobody is none.
        now.policies.retain(|policy| !policy.roles.is_empty());
        if now != **security {
            shared.change_unguarded(Change::SetRowSecurity {
                database: home.id,
                table: *table,
                security: Box::new(now),
            })?;
        }
    }
    let mut acls = home.default_acls.clone();
    acls.retain(|of| of.role != role);
    for of in &mut acls {
        if let Some(acl) = without(&of.acl, role, of.role) {
            of.acl = acl;
        }
    }
    // One that says nothing beyond what holds anyway is none.
    acls.retain(|of| match of.schema {
        None => of.acl != Acl::default_of(of.kind, of.role),
        Some(_) => !of.acl.0.is_empty(),
    });
    match acls == home.default_acls {
        true => Ok(()),
        false => shared.change_unguarded(Change::SetDefaultAcls {
            database: home.id,
            acls,
        }),
    }
}

/// An acl without a role; None when it does not name it, and of the role's own things.
fn without(acl: &Acl, role: RoleId, owner: RoleId) -> Option<Acl> {
    if owner == role || !acl.names(role) {
        return None;
    }
    let mut acl = acl.clone();
    acl.0
        .retain(|item| item.to != Some(role) && item.by != role);
    Some(acl)
}

fn owner_of(home: &Database, oid: u32) -> RoleId {
    let relation = home.relation_owner(TableId(oid));
    let schema = || home.schemas.get(&SchemaId(oid)).map(|of| of.owner);
    let ty = || {
        let mut types = home.types.values();
        types.find(|of| of.id.0 == oid).map(|of| of.owner)
    };
    let routine = || {
        let mut routines = home.routines.values();
        routines.find(|of| of.id.0 == oid).map(|of| of.owner)
    };
    let own = || (home.id.0 == oid).then_some(home.owner);
    let found = relation.or_else(schema).or_else(ty).or_else(routine);
    found.or_else(own).unwrap_or_default()
}

// ---------------------------------------------------------------------------------------- DROP ROLE

/// What depends on a role, a line each, in the order of oids; what is in other databases is counted.
pub(super) fn dependents(shared: &Arc<Shared>, catalog: &Catalog, role: RoleId) -> Vec<String> {
    let mut found: BTreeMap<(u32, u32), String> = BTreeMap::new();
    let mut elsewhere = Vec::new();
    for of in catalog.databases.values() {
        if of.owner == role {
            found.insert((of.id.0, 0), format!("owner of database {}", of.name));
        }
        let own = of.acls.get(&of.id.0);
        if own.is_some_and(|acl| of.owner != role && acl.names(role)) {
            let line = format!("privileges for database {}", of.name);
            found.insert((of.id.0, 1), line);
        }
        if of.id == shared.database {
            here(shared, of, catalog, role, &mut found);
            continue;
        }
        let count = count(of, role);
        if count > 0 {
            let objects = if count == 1 { "object" } else { "objects" };
            elsewhere.push(format!("{count} {objects} in database {}", of.name));
        }
    }
    found.into_values().chain(elsewhere).collect()
}

fn here(
    shared: &Arc<Shared>,
    home: &Database,
    catalog: &Catalog,
    role: RoleId,
    found: &mut BTreeMap<(u32, u32), String>,
) {
    let things = named(shared, home);
    for (oid, (name, owner)) in &things {
        if *owner == role {
            found.insert((*oid, 0), format!("owner of {name}"));
        } else if home.acls.get(oid).is_some_and(|acl| acl.names(role)) {
            found.insert((*oid, 0), format!("privileges for {name}"));
        }
        for (column, acl) in home.column_acls.get(oid).into_iter().flatten() {
            if *owner == role || !acl.names(role) {
                continue;
            }
            let id = TableId(*oid);
            let table = home.tables.get(&id);
            let own = table.and_then(|of| of.columns.iter().find(|of| of.id.0 == *column));
            let own = own.map(|column| column.name.clone());
            let place = usize::try_from(*column).unwrap_or(0).saturating_sub(1);
            let view = || home.views.get(&id)?.columns.get(place).cloned();
            let called = own.or_else(view).unwrap_or_default();
            let line = format!("privileges for column {called} of {name}");
            found.insert((*oid, *column), line);
        }
    }
    for (table, security) in &home.row_security {
        let name = home
            .tables
            .get(table)
            .map_or("", |table| table.name.as_str());
        let of = security.policies.iter();
        for of in of.filter(|of| of.roles.contains(&Some(role))) {
            let line = format!("target of policy {} on table {name}", of.name);
            found.insert((of.id, 0), line);
        }
    }
    for of in home.jobs.all.values().filter(|of| of.owner == role) {
        let id = u32::try_from(of.id.0).unwrap_or(u32::MAX);
        found.insert((u32::MAX, id), format!("owner of job {}", of.id));
    }
    for of in &home.default_acls {
        let what = match of.kind {
            Securable::Sequence => "sequences",
            Securable::Routine => "functions",
            Securable::Schema => "schemas",
            Securable::Type => "types",
            _ => "relations",
        };
        let maker = catalog.roles.get(&of.role);
        let maker = maker.map_or("", |role| role.name.as_str());
        let schema = of.schema.and_then(|schema| home.schemas.get(&schema));
        let schema = schema.map_or(String::new(), |schema| {
            format!(" in schema {}", schema.name)
        });
        let line = format!("default privileges on new {what} belonging to role {maker}{schema}");
        if of.role == role {
            found.insert((of.id, 0), format!("owner of {line}"));
        } else if of.acl.names(role) {
            found.insert((of.id, 0), format!("privileges for {line}"));
        }
    }
}

/// What is in a database, by oid: how messages name it, and whose it is.
fn named(shared: &Arc<Shared>, home: &Database) -> BTreeMap<u32, (String, RoleId)> {
    let mut all = BTreeMap::new();
    for of in home.schemas.values() {
        all.insert(of.id.0, (format!("schema {}", of.name), of.owner));
    }
    for of in home.tables.values() {
        if home.view_kept_in(of.id).is_none() && of.rollup.is_none() {
            let name = label(shared, "table", &of.name, of.id.0);
            all.insert(of.id.0, (name, of.owner));
        }
    }
    for of in home.views.values() {
        let name = label(shared, kind_of(of), &of.name, of.id.0);
        all.insert(of.id.0, (name, of.owner));
    }
    for of in home.sequences.values() {
        let name = label(shared, "sequence", &of.name, of.id.0);
        all.insert(of.id.0, (name, of.owner));
    }
    for of in home.types.values() {
        all.insert(of.id.0, (format!("type {}", of.name), of.owner));
    }
    for of in home.routines.values() {
        let name = format!("function {}", routine::signature(of));
        all.insert(of.id.0, (name, of.owner));
    }
    for of in home.publications.values() {
        all.insert(of.id, (format!("publication {}", of.name), of.owner));
    }
    all
}

/// How many things of another database depend on a role.
fn count(home: &Database, role: RoleId) -> usize {
    let owners = home.schemas.values().map(|of| of.owner);
    let owners = owners.chain(home.tables.values().map(|of| of.owner));
    let owners = owners.chain(home.views.values().map(|of| of.owner));
    let owners = owners.chain(home.sequences.values().map(|of| of.owner));
    let owners = owners.chain(home.types.values().map(|of| of.owner));
    let owners = owners.chain(home.routines.values().map(|of| of.owner));
    let owners = owners.chain(home.publications.values().map(|of| of.owner));
    let owners = owners.chain(home.jobs.all.values().map(|of| of.owner));
    let columns = home.column_acls.iter();
    let columns = columns.flat_map(|(oid, of)| of.values().map(move |acl| (*oid, acl)));
    let acls = home.acls.iter().map(|(oid, acl)| (*oid, acl));
    let granted = acls
        .chain(columns)
        .filter(|(oid, acl)| *oid != home.id.0 && owner_of(home, *oid) != role && acl.names(role));
    let defaults = home.default_acls.iter();
    let defaults = defaults.filter(|of| of.role == role || of.acl.names(role));
    let policies = home.row_security.values().flat_map(|of| &of.policies);
    let policies = policies.filter(|of| of.roles.contains(&Some(role)));
    let owned = owners.filter(|owner| *owner == role).count();
    owned + granted.count() + defaults.count() + policies.count()
}
