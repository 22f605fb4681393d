//! CREATE, ALTER and DROP PUBLICATION.

use std::sync::Arc;

use chronolith_catalog::{Change, Publication, PublishedTable, Rights, Table};
use chronolith_sql::{
    AlterPublication, CreatePublication, Name, Opt, PublicationAction, PublicationObject,
};
use chronolith_types::{ColumnId, SchemaId, SqlState};

use super::role::superuser_only;
use super::run::owner;
use super::schema::no_role;
use super::table::check_name;

use crate::error::Error;
use crate::insert::{undefined_column, undefined_table};
use crate::outcome::Severity;
use crate::rights::{denied, not_owner};
use crate::session::{Shared, no_schema};

pub(super) fn create(shared: &Arc<Shared>, create: &CreatePublication) -> Result<(), Error> {
    let name = &create.name.value;
    check_name(name)?;
    let catalog = shared.catalog();
    let home = shared.home()?;
    let role = shared.role(&catalog)?;
    if !catalog.database_rights(role, home.id).has(Rights::CREATE) {
        return Err(denied("database", &home.name));
    }
    if create.all {
        let words = "must be superuser to create FOR ALL TABLES publication";
        superuser_only(shared, words)?;
    }
    if of_schemas(&create.objects) {
        let words = "must be superuser to create FOR TABLES IN SCHEMA publication";
        superuser_only(shared, words)?;
    }
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    let mut publication = Publication {
        id,
        name: name.clone(),
        owner: owner(shared)?,
        all: create.all,
        tables: Vec::new(),
        schemas: Vec::new(),
        operations: [true; 4],
        via_root: false,
    };
    set_options(&mut publication, &create.options)?;
    add(shared, &mut publication, &create.objects)?;
    set(shared, publication)?;
    // What there is to publish to comes with a log that is decoded.
    let message = "wal_level is insufficient to publish logical changes";
    let notice = Error::new(SqlState::new(b"55000"), message)
        .hint("Set wal_level to \"logical\" before creating subscriptions.");
    shared.notice(Severity::Warning, notice);
    Ok(())
}

pub(super) fn alter(shared: &Arc<Shared>, of: &AlterPublication) -> Result<(), Error> {
    let mut publication = Publication::clone(&*own(shared, &of.name.value)?);
    let fits = |objects: &[PublicationObject]| {
        if !publication.all {
            return Ok(());
        }
        let kind = if of_schemas(objects) {
            "Schemas"
        } else {
            "Tables"
        };
        let name = &publication.name;
        let message = format!("publication \"{name}\" is defined as FOR ALL TABLES");
        Err(Error::new(SqlState::new(b"55000"), message).detail(format!(
            "{kind} cannot be added to or dropped from FOR ALL TABLES publications."
        )))
    };
    match &of.action {
        PublicationAction::Add(objects) | PublicationAction::Set(objects) => {
            fits(objects)?;
            if of_schemas(objects) {
                superuser_only(shared, "must be superuser to add or set schemas")?;
            }
            if matches!(of.action, PublicationAction::Set(_)) {
                publication.tables.clear();
                publication.schemas.clear();
            }
            add(shared, &mut publication, objects)?;
        }
        PublicationAction::Drop(objects) => {
            fits(objects)?;
            remove(shared, &mut publication, objects)?;
        }
        PublicationAction::Options(options) => set_options(&mut publication, options)?,
        PublicationAction::Rename(to) => {
            check_name(&to.value)?;
            publication.name.clone_from(&to.value);
        }
        PublicationAction::Owner(to) => {
            let role = shared.catalog().role_named(&to.value).map(|role| role.id);
            publication.owner = role.ok_or_else(|| no_role(&to.value))?;
        }
    }
    set(shared, publication)
}

pub(super) fn drop(shared: &Arc<Shared>, name: &Name) -> Result<(), Error> {
    let known = own(shared, name.name())?;
    shared.change(Change::DropPublication {
        database: shared.database,
        id: known.id,
    })
}

fn set(shared: &Arc<Shared>, publication: Publication) -> Result<(), Error> {
    shared.change(Change::SetPublication {
        database: shared.database,
        publication: Box::new(publication),
    })
}

fn of_schemas(objects: &[PublicationObject]) -> bool {
    let schema = |object: &PublicationObject| matches!(object, PublicationObject::Schema(_));
    objects.iter().any(schema)
}

/// The publication, which must be the current role's.
fn own(shared: &Arc<Shared>, name: &str) -> Result<Arc<Publication>, Error> {
    let home = shared.home()?;
    let known = home.publications.values().find(|known| known.name == name);
    let known = known.ok_or_else(|| {
        let message = format!("publication \"{name}\" does not exist");
        Error::new(SqlState::UNDEFINED_OBJECT, message)
    })?;
    let catalog = shared.catalog();
    match catalog.acts_as(shared.role(&catalog)?, known.owner) {
        true => Ok(Arc::clone(known)),
        false => Err(not_owner("publication", name)),
    }
}

fn schema_of(shared: &Arc<Shared>, name: Option<&str>) -> Result<SchemaId, Error> {
    let current;
    let name = match name {
        Some(name) => name,
        None => {
            let schemas = shared.search_path();
            current = schemas.first().cloned().ok_or_else(|| {
                let message = "no schema has been selected for CURRENT_SCHEMA";
                Error::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            &current
        }
    };
    let home = shared.home()?;
    let schema = home.schema_named(name).ok_or_else(|| no_schema(name))?;
    Ok(schema.id)
}

fn table_of(shared: &Arc<Shared>, name: &Name) -> Result<Arc<Table>, Error> {
    if let Some(table) = shared.find_table(name.schema(), name.name())? {
        let catalog = shared.catalog();
        return match catalog.acts_as(shared.role(&catalog)?, table.owner) {
            true => Ok(table),
            false => Err(not_owner("table", &table.name)),
        };
    }
    match shared.find_view(name.schema(), name.name())? {
        Some(view) => {
            let message = format!("cannot add relation \"{}\" to publication", view.name);
            Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                .detail("This operation is not supported for views."))
        }
        None => Err(undefined_table(name.schema(), name.name())),
    }
}

fn add(
    shared: &Arc<Shared>,
    publication: &mut Publication,
    objects: &[PublicationObject],
) -> Result<(), Error> {
    let member = |what: &str, name: &str, of: &str| {
        let message = format!("{what} \"{name}\" is already member of publication \"{of}\"");
        Error::new(SqlState::DUPLICATE_OBJECT, message)
    };
    let oid = || shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()));
    for object in objects {
        match object {
            PublicationObject::Table(name, columns) => {
                let table = table_of(shared, name)?;
                let known = |known: &PublishedTable| known.table == table.id;
                if publication.tables.iter().any(known) {
                    return Err(member("relation", &table.name, &publication.name));
                }
                let column = |named: &chronolith_sql::Spelled| {
                    let mut columns = table.columns.iter();
                    let found = columns.find(|column| column.name == named.value);
                    let found = found.ok_or_else(|| undefined_column(&named.value, &table.name))?;
                    Ok(found.id)
                };
                let columns = columns.iter().map(column);
                let columns: Vec<ColumnId> = columns.collect::<Result<_, Error>>()?;
                publication.tables.push(PublishedTable {
                    id: oid()?,
                    table: table.id,
                    columns,
                });
            }
            PublicationObject::Schema(name) => {
                let name = name.as_ref().map(|name| name.value.as_str());
                let schema = schema_of(shared, name)?;
                if publication
                    .schemas
                    .iter()
                    .any(|(_, known)| *known == schema)
                {
                    let name = name.unwrap_or("CURRENT_SCHEMA");
                    return Err(member("schema", name, &publication.name));
                }
                publication.schemas.push((oid()?, schema));
            }
        }
    }
    Ok(())
}

fn remove(
    shared: &Arc<Shared>,
    publication: &mut Publication,
    objects: &[PublicationObject],
) -> Result<(), Error> {
    for object in objects {
        let (before, what, name) = match object {
            PublicationObject::Table(name, columns) => {
                if !columns.is_empty() {
                    let message = "column list must not be specified in ALTER PUBLICATION ... DROP";
                    return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                }
                let table = table_of(shared, name)?;
                let before = publication.tables.len();
                publication.tables.retain(|known| known.table != table.id);
                (
                    before == publication.tables.len(),
                    "relation",
                    table.name.clone(),
                )
            }
            PublicationObject::Schema(name) => {
                let name = name.as_ref().map(|name| name.value.as_str());
                let schema = schema_of(shared, name)?;
                let before = publication.schemas.len();
                publication.schemas.retain(|(_, known)| *known != schema);
                let name = name.unwrap_or("CURRENT_SCHEMA").to_owned();
                (
                    before == publication.schemas.len(),
                    "tables from schema",
                    name,
                )
            }
        };
        if before {
            let message = format!("{what} \"{name}\" is not part of the publication");
            return Err(Error::new(SqlState::UNDEFINED_OBJECT, message));
        }
    }
    Ok(())
}

fn set_options(publication: &mut Publication, options: &[Opt]) -> Result<(), Error> {
    for option in options {
        let value = option.value.as_deref().unwrap_or("true");
        match option.name.as_str() {
            "publish" => {
                let mut operations = [false; 4];
                for word in value
                    .split(',')
                    .map(str::trim)
                    .filter(|word| !word.is_empty())
                {
                    let names = ["insert", "update", "delete", "truncate"];
                    let place = names.iter().position(|name| *name == word.to_lowercase());
                    let known = place.and_then(|place| operations.get_mut(place));
                    *known.ok_or_else(|| {
                        let message = format!(
                            "unrecognized value for publication option \"publish\": \"{word}\""
                        );
                        Error::new(SqlState::SYNTAX_ERROR, message)
                    })? = true;
                }
                publication.operations = operations;
            }
            "publish_via_partition_root" => {
                publication.via_root = match value.to_lowercase().as_str() {
                    "true" | "on" | "1" => true,
                    "false" | "off" | "0" => false,
                    _ => {
                        let message = "publish_via_partition_root requires a Boolean value";
                        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
                    }
                };
            }
            other => {
                let message = format!("unrecognized publication parameter: \"{other}\"");
                return Err(Error::new(SqlState::SYNTAX_ERROR, message));
            }
        }
    }
    Ok(())
}
