//! Schemas, databases, extensions, and the settings that belong to a database or the server.

use std::sync::Arc;

use chronolith_catalog::{Change, Privilege, Schema};
use chronolith_sql::{CreateSchema, Opt, SettingChange, Spelled, Statement};
use chronolith_types::{DatabaseId, SchemaId, SqlState};

use super::run::{demand, owner};
use super::table::check_name;
use super::{grant, index, sequence, table, trigger, view};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, no_schema};
use crate::settings::find;

/// CREATE SCHEMA and what is made in it: as its owner, and with it before all others on the path.
pub(super) fn create(shared: &Arc<Shared>, create: &CreateSchema) -> Result<(), Error> {
    make(shared, create)?;
    if create.elements.is_empty() {
        return Ok(());
    }
    let (path, user) = shared.with(|state| {
        let settings = &mut state.settings;
        let was = settings.local("search_path");
        let own = format!("\"{}\"", create.name.value);
        let path = match settings.get("search_path").unwrap_or_default() {
            "" => own,
            others => format!("{own}, {others}"),
        };
        settings.put_local("search_path", Some(path));
        let user = state.user.clone();
        if let Some(owner) = &create.owner {
            state.user.clone_from(&owner.value);
        }
        (was, user)
    });
    let mut elements = create.elements.iter();
    let made = elements.try_for_each(|element| make_in(shared, element));
    shared.with(|state| {
        state.settings.put_local("search_path", path);
        state.user = user;
    });
    made
}

/// One of the things that CREATE SCHEMA makes.
fn make_in(shared: &Arc<Shared>, element: &Statement) -> Result<(), Error> {
    shared.lock_defined(element)?;
    match element {
        Statement::CreateSequence(create) => sequence::create(shared, create),
        Statement::CreateTable(create) => table::create(shared, create),
        Statement::CreateView(create) => view::create(shared, create),
        Statement::CreateIndex(create) => index::create(shared, create),
        Statement::CreateTrigger(create) => trigger::create(shared, create),
        Statement::Grant(of) => grant::run(shared, of),
        _ => Err(Error::unsupported("this in CREATE SCHEMA")),
    }
}

fn make(shared: &Arc<Shared>, create: &CreateSchema) -> Result<(), Error> {
    let name = &create.name.value;
    check_name(name)?;
    if name.starts_with("pg_") {
        return Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("unacceptable schema name \"{name}\""),
        )
        .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    if shared.home()?.schema_named(name).is_some() {
        let message = format!("schema \"{name}\" already exists");
        if !create.if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_SCHEMA, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::DUPLICATE_SCHEMA, format!("{message}, skipping")),
        );
        return Ok(());
    }
    let owner = match &create.owner {
        Some(role) => {
            let catalog = shared.catalog();
            let found = catalog.role_named(&role.value);
            found
                .map(|role| role.id)
                .ok_or_else(|| no_role(&role.value))?
        }
        None => owner(shared)?,
    };
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    shared.change(Change::CreateSchema {
        database: shared.database,
        schema: Schema {
            id: SchemaId(id),
            name: name.clone(),
            owner,
        },
    })
}

pub(super) fn no_database(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_CATALOG_NAME,
        format!("database \"{name}\" does not exist"),
    )
}

pub(super) fn no_role(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("role \"{name}\" does not exist"),
    )
}

pub(super) fn create_database(
    shared: &Arc<Shared>,
    name: &str,
    options: &[Opt],
) -> Result<(), Error> {
    demand(shared, Privilege::CreateDatabase, "create database")?;
    check_name(name)?;
    let catalog = shared.catalog();
    let mut owner = owner(shared)?;
    for option in options {
        let value = option.value.as_deref().unwrap_or_default();
        match option.name.as_str() {
            "owner" => {
                let role = catalog.role_named(value);
                owner = role.map(|role| role.id).ok_or_else(|| no_role(value))?;
            }
            "template" if matches!(value, "template0" | "template1" | "default") => {}
            "encoding" if matches!(value.to_uppercase().as_str(), "UTF8" | "UTF-8") => {}
            // All text is compared by its bytes.
            "locale" | "lc_collate" | "lc_ctype" | "locale_provider" | "icu_locale"
            | "connection_limit" | "allow_connections" | "is_template" | "tablespace"
            | "strategy" => {}
            _ => {
                return Err(Error::unsupported(format!(
                    "CREATE DATABASE with {} {value}",
                    option.name.to_uppercase()
                )));
            }
        }
    }
    if catalog.database_named(name).is_some() {
        return Err(Error::new(
            SqlState::DUPLICATE_DATABASE,
            format!("database \"{name}\" already exists"),
        ));
    }
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    shared.change(Change::CreateDatabase {
        id: DatabaseId(id),
        name: name.to_owned(),
        owner,
    })
}

fn checked(set: &SettingChange) -> Result<Option<String>, Error> {
    match (&set.value, find(&set.name)) {
        (None, _) => Ok(None),
        (Some(value), Some(known)) => Ok(Some(known.normalise(value)?)),
        (Some(value), None) if set.name.contains('.') => Ok(Some(value.clone())),
        (Some(_), None) => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{}\"", set.name),
        )),
    }
}

/// What ALTER DATABASE changes.
#[derive(Clone, Copy)]
pub(super) struct DatabaseChange<'s> {
    pub(super) rename: Option<&'s Spelled>,
    pub(super) owner: Option<&'s Spelled>,
    pub(super) set: Option<&'s SettingChange>,
}

pub(super) fn alter_database(
    shared: &Arc<Shared>,
    name: &str,
    change: DatabaseChange<'_>,
) -> Result<(), Error> {
    let catalog = shared.catalog();
    let database = catalog.database_named(name).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_CATALOG_NAME,
            format!("database \"{name}\" does not exist"),
        )
    })?;
    if let Some(set) = change.set {
        shared.may_set(&set.name)?;
        shared.change(Change::SetDatabaseSetting {
            id: database.id,
            name: set.name.clone(),
            value: checked(set)?,
        })?;
    }
    if let Some(owner) = change.owner {
        let role = catalog.role_named(&owner.value);
        shared.change(Change::SetDatabaseOwner {
            id: database.id,
            owner: role
                .map(|role| role.id)
                .ok_or_else(|| no_role(&owner.value))?,
        })?;
    }
    if let Some(rename) = change.rename {
        demand(shared, Privilege::CreateDatabase, "rename database")?;
        check_name(&rename.value)?;
        if database.id == shared.database {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "current database cannot be renamed",
            ));
        }
        shared.change(Change::RenameDatabase {
            id: database.id,
            name: rename.value.clone(),
        })?;
    }
    Ok(())
}

/// ALTER SCHEMA … RENAME TO, OWNER TO.
pub(super) fn alter(
    shared: &Arc<Shared>,
    name: &str,
    rename: Option<&Spelled>,
    owner: Option<&Spelled>,
) -> Result<(), Error> {
    let home = shared.home()?;
    let found = home.schema_named(name).ok_or_else(|| no_schema(name))?;
    let mut schema = Schema::clone(found);
    if let Some(rename) = rename {
        check_name(&rename.value)?;
        schema.name.clone_from(&rename.value);
    }
    if let Some(owner) = owner {
        let catalog = shared.catalog();
        let role = catalog.role_named(&owner.value);
        schema.owner = role
            .map(|role| role.id)
            .ok_or_else(|| no_role(&owner.value))?;
    }
    shared.change(Change::ChangeSchema {
        database: shared.database,
        schema,
    })
}

pub(super) fn set_of_system(shared: &Arc<Shared>, set: &SettingChange) -> Result<(), Error> {
    demand(shared, Privilege::Superuser, "execute ALTER SYSTEM command")?;
    if let Some(outside) = shared.instance.outside() {
        let value = checked(set)?.and(set.value.as_deref());
        let name = (set.name != "all").then_some(set.name.as_str());
        crate::settings::alter(&*outside, name, value)?;
    }
    // What data directories hold of before there was a file goes with it.
    if set.name == "all" {
        for name in shared.catalog().settings.keys() {
            shared.change(Change::SetSetting {
                name: name.clone(),
                value: None,
            })?;
        }
        return Ok(());
    }
    let within = match shared.instance.outside() {
        Some(_) => None,
        None => checked(set)?,
    };
    if within.is_none() && !shared.catalog().settings.contains_key(&set.name) {
        return Ok(());
    }
    shared.change(Change::SetSetting {
        name: set.name.clone(),
        value: within,
    })
}

/// What of a role's ALTER … SET is kept.
pub(super) fn set_of_role(
    shared: &Shared,
    settings: &mut std::collections::BTreeMap<String, String>,
    set: &SettingChange,
) -> Result<(), Error> {
    shared.may_set(&set.name)?;
    match checked(set)? {
        Some(value) => {
            settings.insert(set.name.clone(), value);
        }
        None if set.name == "all" => settings.clear(),
        None => {
            settings.remove(&set.name);
        }
    }
    Ok(())
}
