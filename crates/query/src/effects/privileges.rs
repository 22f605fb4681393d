//! `has_table_privilege` and its kin: what a role may do, asked for.

use std::collections::BTreeSet;

use chronolith_catalog::{Acl, Privilege, Rights, Securable};
use chronolith_types::{
    DatabaseId, RoleId, RoutineId, SchemaId, SqlState, SqlType, TableId, TypeId,
};
use datafusion::common::ScalarValue;

use super::args::{Args, list, text};
use crate::catalogs::{Context, describe};
use crate::error::Error;

/// The answer of such a function; None for a function that is none of them.
pub(super) fn call(
    context: &Context,
    name: &str,
    args: Args<'_>,
) -> Result<Option<ScalarValue>, Error> {
    // How many arguments name the thing.
    let (of, named): (fn(&Asked<'_>) -> Answer, usize) = match name {
        "has_table_privilege" => (on_relation, 1),
        "has_any_column_privilege" => (on_any_column, 1),
        "has_column_privilege" => (on_column, 2),
        "has_type_privilege" => (on_type, 1),
        "has_language_privilege" => (on_language, 1),
        "has_sequence_privilege" => (on_sequence, 1),
        "has_schema_privilege" => (on_schema, 1),
        "has_database_privilege" => (on_database, 1),
        "has_function_privilege" => (on_routine, 1),
        "pg_has_role" => (of_role, 1),
        "acldefault" => return default_acl(context, args).map(Some),
        _ => return Ok(None),
    };
    // With one more, it is asked of another role.
    let other = args.count() == named + 2;
    let role = match other {
        true => Asker::named(context, args)?,
        false => Asker::Role(own_role(context)?),
    };
    let asked = Asked {
        context,
        args,
        role,
        place: usize::from(other),
        rights: args
            .text(args.count().saturating_sub(1))
            .unwrap_or_default(),
    };
    Ok(Some(ScalarValue::Boolean(of(&asked)?)))
}

/// None where the thing is not there.
type Answer = Result<Option<bool>, Error>;

/// Of whom it is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    Everybody,
    Role(RoleId),
}

struct Asked<'a> {
    context: &'a Context,
    args: Args<'a>,
    role: Asker,
    /// Where the thing is among the arguments.
    place: usize,
    rights: &'a str,
}

fn no_role(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("role \"{name}\" does not exist"),
    )
}

fn own_role(context: &Context) -> Result<RoleId, Error> {
    let found = context.catalog.role_named(&context.user);
    found
        .map(|role| role.id)
        .ok_or_else(|| no_role(&context.user))
}

fn role_named(context: &Context, name: &str) -> Result<RoleId, Error> {
    let found = context.catalog.role_named(name);
    found.map(|role| role.id).ok_or_else(|| no_role(name))
}

impl Asker {
    fn named(context: &Context, args: Args<'_>) -> Result<Self, Error> {
        Ok(match args.text(0) {
            Some("public") => Self::Everybody,
            Some(name) => Self::Role(role_named(context, name)?),
            None => Self::Role(RoleId(args.oid(0).unwrap_or(0))),
        })
    }
}

/// Rights as they are asked for: `SELECT, INSERT WITH GRANT OPTION`; any of them will do.
fn each_right(asked: &str, kind: Securable) -> Result<Vec<(Rights, bool)>, Error> {
    let read = |word: &str| {
        let word = word.trim().to_uppercase();
        let (name, option) = match word.strip_suffix(" WITH GRANT OPTION") {
            Some(name) => (name.trim(), true),
            None => (word.as_str(), false),
        };
        let right = Rights::named(name).filter(|right| kind.rights().has(*right));
        right.map(|right| (right, option))
    };
    asked
        .split(',')
        .map(|word| {
            read(word).ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized privilege type: \"{}\"", word.trim()),
                )
            })
        })
        .collect()
}

impl Asked<'_> {
    fn text(&self) -> Option<&str> {
        self.args.text(self.place)
    }

    fn oid(&self) -> u32 {
        self.args.oid(self.place).unwrap_or(0)
    }

    /// Whether one of the rights is had on a thing.
    fn of(&self, kind: Securable, owner: RoleId, acl: Option<&Acl>) -> Answer {
        let default = Acl::default_of(kind, owner);
        let listed = acl.unwrap_or(&default);
        let (rights, options) = match self.role {
            Asker::Everybody => (listed.rights_of(&BTreeSet::new()), Rights::NONE),
            Asker::Role(role) => {
                let catalog = &self.context.catalog;
                let options = match catalog.acts_as(role, owner) {
                    true => kind.rights(),
                    false => listed.grantable_by(&catalog.roles_of(role)),
                };
                (catalog.rights(role, kind, owner, acl), options)
            }
        };
        let asked = each_right(self.rights, kind)?;
        let has = |(right, option): &(Rights, bool)| match option {
            true => options.has(*right),
            false => rights.has(*right),
        };
        Ok(Some(asked.iter().any(has)))
    }
}

/// A relation that is asked of.
enum Relation {
    Missing,
    /// Relations of the system are read by all.
    System,
    /// A chunk is its table.
    Own(TableId),
}

fn relation_of(asked: &Asked<'_>) -> Result<Relation, Error> {
    let context = asked.context;
    let oid = match asked.text() {
        Some(name) => describe::regclass_in(context, name)?,
        None => asked.oid(),
    };
    let Some(home) = context.catalog.databases.get(&context.database) else {
        return Ok(Relation::Missing);
    };
    let chunk = |table: &chronolith_catalog::Table| {
        let mut chunks = table.chunks.values();
        chunks.any(|chunk| chunk.oid == oid && oid != 0)
    };
    if home.relation_owner(TableId(oid)).is_some() {
        return Ok(Relation::Own(TableId(oid)));
    }
    Ok(match home.tables.values().find(|table| chunk(table)) {
        Some(table) => Relation::Own(table.id),
        None if describe::table_is_visible(context, oid)?.is_some() => Relation::System,
        None => Relation::Missing,
    })
}

fn on_system(asked: &Asked<'_>, kind: Securable) -> Answer {
    let superuser = match asked.role {
        Asker::Everybody => false,
        Asker::Role(role) => asked.context.catalog.is_superuser(role),
    };
    let rights = each_right(asked.rights, kind)?;
    let read = rights.contains(&(Rights::SELECT, false));
    Ok(Some(superuser || read))
}

fn on_relation(asked: &Asked<'_>) -> Answer {
    match relation_of(asked)? {
        Relation::Missing => Ok(None),
        Relation::System => on_system(asked, Securable::Relation),
        Relation::Own(id) => on_own(asked, id, Securable::Relation),
    }
}

fn on_own(asked: &Asked<'_>, id: TableId, kind: Securable) -> Answer {
    let context = asked.context;
    let Some(home) = context.catalog.databases.get(&context.database) else {
        return Ok(None);
    };
    let owner = home.relation_owner(id).unwrap_or_default();
    let whole = Acl::default_of(Securable::Relation, owner);
    let acl = home.acls.get(&id.0).unwrap_or(&whole);
    asked.of(kind, owner, Some(acl))
}

fn on_any_column(asked: &Asked<'_>) -> Answer {
    let id = match relation_of(asked)? {
        Relation::Missing => return Ok(None),
        Relation::System => return on_system(asked, Securable::Column),
        Relation::Own(id) => id,
    };
    if on_own(asked, id, Securable::Column)? == Some(true) {
        return Ok(Some(true));
    }
    let context = asked.context;
    let home = context.catalog.databases.get(&context.database);
    let listed =
        home.and_then(|home| Some((home.column_acls.get(&id.0)?, home.relation_owner(id)?)));
    let Some((listed, owner)) = listed else {
        return Ok(Some(false));
    };
    for acl in listed.values() {
        if asked.of(Securable::Column, owner, Some(acl))? == Some(true) {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}

/// The name or number of a column stands behind its relation.
fn on_column(asked: &Asked<'_>) -> Answer {
    let context = asked.context;
    let id = match relation_of(asked)? {
        Relation::Missing => return Ok(None),
        Relation::System => return on_system(asked, Securable::Column),
        Relation::Own(id) => id,
    };
    let place = asked.place + 1;
    let home = context.catalog.databases.get(&context.database);
    let Some(home) = home else {
        return Ok(None);
    };
    let columns: Vec<(u32, String)> = match (home.tables.get(&id), home.views.get(&id)) {
        (Some(table), _) => {
            let columns = table.columns.iter();
            columns
                .map(|column| (column.id.0, column.name.clone()))
                .collect()
        }
        (None, Some(view)) => {
            let columns = (context.view_columns)(view).into_iter();
            (1..).zip(columns.map(|(name, _)| name)).collect()
        }
        (None, None) => Vec::new(),
    };
    let number = match asked.args.text(place) {
        Some(name) => {
            let found = columns.iter().find(|(_, known)| known == name);
            found.map(|(number, _)| *number).ok_or_else(|| {
                Error::new(
                    SqlState::UNDEFINED_COLUMN,
                    format!(
                        "column \"{name}\" of relation \"{}\" does not exist",
                        asked.text().unwrap_or_default()
                    ),
                )
            })?
        }
        None => {
            let number = asked
                .args
                .integer(place)
                .and_then(|n| u32::try_from(n).ok());
            match number.filter(|number| columns.iter().any(|(known, _)| known == number)) {
                Some(number) => number,
                None => return Ok(None),
            }
        }
    };
    if on_own(asked, id, Securable::Column)? == Some(true) {
        return Ok(Some(true));
    }
    let owner = home.relation_owner(id).unwrap_or_default();
    match home.column_acl(id.0, number) {
        Some(acl) => asked.of(Securable::Column, owner, Some(acl)),
        None => Ok(Some(false)),
    }
}

/// Types of the system are used by all.
fn on_type(asked: &Asked<'_>) -> Answer {
    let context = asked.context;
    let oid = match asked.text() {
        Some(name) => describe::regtype_in(context, name)?,
        None => asked.oid(),
    };
    let home = context.catalog.databases.get(&context.database);
    let Some(home) = home else {
        return Ok(None);
    };
    match home.types.get(&TypeId(oid)) {
        Some(ty) => asked.of(Securable::Type, ty.owner, home.acls.get(&oid)),
        None => {
            let rights = each_right(asked.rights, Securable::Type)?;
            Ok(Some(rights.contains(&(Rights::USAGE, false))))
        }
    }
}

fn on_language(asked: &Asked<'_>) -> Answer {
    let context = asked.context;
    let oid = match asked.text() {
        Some(name) => {
            let found = crate::catalogs::language(name).ok_or_else(|| {
                Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("language \"{name}\" does not exist"),
                )
            })?;
            found.0
        }
        None => asked.oid(),
    };
    let home = context.catalog.databases.get(&context.database);
    let acl = home.and_then(|home| home.acls.get(&oid));
    asked.of(Securable::Language, RoleId(10), acl)
}

fn on_sequence(asked: &Asked<'_>) -> Answer {
    let context = asked.context;
    let oid = match asked.text() {
        Some(name) => describe::regclass_in(context, name)?,
        None => asked.oid(),
    };
    let Some(home) = context.catalog.databases.get(&context.database) else {
        return Ok(None);
    };
    match home.sequences.get(&TableId(oid)) {
        Some(found) => asked.of(Securable::Sequence, found.owner, home.acls.get(&oid)),
        None if describe::table_is_visible(context, oid)?.is_none() => Ok(None),
        None => Err(crate::ddl::not_a_sequence(&describe::regclass_out(
            context, oid,
        )?)),
    }
}

fn on_schema(asked: &Asked<'_>) -> Answer {
    let context = asked.context;
    let Some(home) = context.catalog.databases.get(&context.database) else {
        return Ok(None);
    };
    let found = match asked.text() {
        Some(name) => home.schema_named(name).map(|schema| schema.id),
        None => Some(SchemaId(asked.oid())),
    };
    match found.and_then(|id| home.schemas.get(&id)) {
        Some(schema) => {
            let acl = home.schema_acl(schema.id);
            asked.of(Securable::Schema, schema.owner, acl.as_ref())
        }
        None => match asked.text() {
            Some(name) if !crate::catalogs::is_system_schema(name) => Err(Error::new(
                SqlState::INVALID_SCHEMA_NAME,
                format!("schema \"{name}\" does not exist"),
            )),
            // Schemas of the system are open to all, and nobody makes anything there.
            _ => {
                let rights = each_right(asked.rights, Securable::Schema)?;
                Ok(Some(rights.contains(&(Rights::USAGE, false))))
            }
        },
    }
}

fn on_database(asked: &Asked<'_>) -> Answer {
    let catalog = &asked.context.catalog;
    let found = match asked.text() {
        Some(name) => Some(catalog.database_named(name).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{name}\" does not exist"),
            )
        })?),
        None => catalog.databases.get(&DatabaseId(asked.oid())),
    };
    match found {
        Some(found) => asked.of(
            Securable::Database,
            found.owner,
            found.acls.get(&found.id.0),
        ),
        None => Ok(None),
    }
}

/// Functions of the system are called by all.
fn on_routine(asked: &Asked<'_>) -> Answer {
    let context = asked.context;
    let home = context.catalog.databases.get(&context.database);
    let found = home.and_then(|home| match asked.text() {
        Some(signature) => {
            let name = signature.split('(').next().unwrap_or_default().trim();
            let name = name.rsplit('.').next().unwrap_or_default();
            home.routines.values().find(|routine| routine.name == name)
        }
        None => home.routines.get(&RoutineId(asked.oid())),
    });
    match found.zip(home) {
        Some((routine, home)) => {
            let acl = home.acls.get(&routine.id.0);
            asked.of(Securable::Routine, routine.owner, acl)
        }
        None => Ok(Some(true)),
    }
}

/// `pg_has_role`.
fn of_role(asked: &Asked<'_>) -> Answer {
    let catalog = &asked.context.catalog;
    let group = match asked.text() {
        Some(name) => role_named(asked.context, name)?,
        None => RoleId(asked.oid()),
    };
    let Asker::Role(role) = asked.role else {
        return Ok(Some(false));
    };
    let mut has = false;
    for word in asked.rights.split(',') {
        let word = word.trim().to_uppercase();
        let (name, admin) = match word.split_once(" WITH ") {
            Some((name, "ADMIN OPTION" | "GRANT OPTION")) => (name.trim(), true),
            _ => (word.as_str(), false),
        };
        if !matches!(name, "MEMBER" | "USAGE" | "SET") {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{}\"", word.trim()),
            ));
        }
        has |= match admin {
            false if name == "USAGE" => catalog.acts_as(role, group),
            false => catalog.is_member(role, group),
            true => {
                let own = catalog.roles.get(&role);
                own.is_some_and(|own| {
                    own.may(Privilege::Superuser) || own.admin_of.contains(&group)
                })
            }
        };
    }
    Ok(Some(has))
}

/// `acldefault(kind, owner)`.
fn default_acl(context: &Context, args: Args<'_>) -> Result<ScalarValue, Error> {
    let owner = RoleId(args.oid(1).unwrap_or(0));
    let kind = match args.text(0) {
        Some("r") => Securable::Relation,
        Some("s") => Securable::Sequence,
        Some("f") => Securable::Routine,
        Some("n") => Securable::Schema,
        Some("d") => Securable::Database,
        Some("c") => Securable::Column,
        Some("T") => Securable::Type,
        Some("l") => Securable::Language,
        // Columns have nothing of their own; of the rest there is none.
        _ => return Ok(list(&[], &SqlType::AclItem.arrow())),
    };
    let items = context.acl_items(&Acl::default_of(kind, owner), kind);
    let items: Vec<ScalarValue> = items.into_iter().map(text).collect();
    Ok(list(&items, &SqlType::AclItem.arrow()))
}
