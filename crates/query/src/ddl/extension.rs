//! CREATE, ALTER and DROP EXTENSION.
//!
//! What extensions add is built in. Those that every database has are there before anybody asks;
//! `pg_stat_statements` shows its views, and EXCLUDE USING gist takes the types of `btree_gist`, only
//! where that was asked for.

use std::sync::Arc;

use chronolith_catalog::{Change, Database, Extension, View};
use chronolith_sql::{CreateView, Name, Opt, Statement, parse};
use chronolith_types::SqlState;

use super::drop::drop_view;
use super::run::owner;
use super::{comment, drop, exclude, grant, view};
use crate::catalogs::{self, quoted};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

/// What an extension's views are made from.
struct Offer {
    name: &'static str,
    version: &'static str,
    comment: &'static str,
    /// Each with the function whose rows it shows.
    views: &'static [(&'static str, &'static str)],
}

/// The views of `pg_stat_statements`; other extensions have none.
const STATEMENTS: &[(&str, &str)] = &[
    ("pg_stat_statements", "pg_stat_statements(true)"),
    ("pg_stat_statements_info", "pg_stat_statements_info()"),
];

fn offer(name: &str) -> Option<Offer> {
    let mut offered = catalogs::OFFERED.into_iter();
    let (name, version, comment) = offered.find(|(known, ..)| *known == name)?;
    let views = match name == catalogs::STAT_STATEMENTS.0 {
        true => STATEMENTS,
        false => &[],
    };
    Some(Offer {
        name,
        version,
        comment,
        views,
    })
}

/// CREATE EXTENSION.
///
/// # Errors
/// 42710 for one that is there; 0A000 for one that is not offered, or not in the version asked for.
pub(super) fn create(
    shared: &Arc<Shared>,
    name: &str,
    if_not_exists: bool,
    options: &[Opt],
) -> Result<(), Error> {
    let home = shared.home()?;
    let built_in = matches!(name, "timescaledb" | "plpgsql");
    if built_in || home.extensions.values().any(|known| known.name == name) {
        let message = format!("extension \"{name}\" already exists");
        if !if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_OBJECT, message));
        }
        let notice = Error::new(SqlState::DUPLICATE_OBJECT, format!("{message}, skipping"));
        shared.notice(Severity::Notice, notice);
        return Ok(());
    }
    let Some(offer) = offer(name) else {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("extension \"{name}\" is not available"),
        ));
    };
    let option = |wanted: &str| {
        let mut options = options.iter();
        options.find(|option| option.name == wanted)?.value.clone()
    };
    if let Some(version) = option("version").filter(|version| version != offer.version) {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "extension \"{name}\" has no installation script nor update path for version \"{version}\""
            ),
        ));
    }
    let schema = shared.creation_schema(option("schema").as_deref())?;
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    let place = home.schemas.get(&schema).map(|schema| quoted(&schema.name));
    let place = place.unwrap_or_default();
    for (view, rows) in offer.views {
        let text =
            format!("CREATE VIEW {place}.{view} AS SELECT * FROM pg_catalog.{rows} AS {view}");
        view::create(shared, &*view_of(&text)?)?;
        let text = format!("GRANT SELECT ON {place}.{view} TO PUBLIC");
        if let Statement::Grant(of) = one(&text)? {
            grant::run(shared, &of)?;
        }
    }
    let home = shared.home()?;
    let views = offer.views.iter();
    let views = views
        .filter_map(|(view, _)| Some(home.view_named(schema, view)?.id))
        .collect();
    shared.change(Change::SetExtension {
        database: shared.database,
        extension: Box::new(Extension {
            id,
            name: offer.name.to_owned(),
            owner: owner(shared)?,
            schema,
            version: offer.version.to_owned(),
            views,
        }),
    })?;
    let text = format!("COMMENT ON EXTENSION {name} IS '{}'", offer.comment);
    match one(&text)? {
        Statement::Comment {
            kind, name, text, ..
        } => comment::run(shared, kind, &name, None, text.as_deref()),
        _ => Ok(()),
    }
}

fn one(text: &str) -> Result<Statement, Error> {
    let mut parsed = parse(text)?;
    let only = parsed.pop().map(|parsed| parsed.statement);
    only.ok_or_else(|| Error::internal("a statement that is none"))
}

fn view_of(text: &str) -> Result<Box<CreateView>, Error> {
    match one(text)? {
        Statement::CreateView(create) => Ok(create),
        _ => Err(Error::internal("a view that is none")),
    }
}

/// ALTER EXTENSION … UPDATE.
///
/// # Errors
/// 42704 for one that is not there; 22023 for another version than the one there is.
pub(super) fn update(shared: &Arc<Shared>, name: &str, version: Option<&str>) -> Result<(), Error> {
    let home = shared.home()?;
    let current = catalogs::extension_version(&home, name).ok_or_else(|| missing(name))?;
    match version {
        Some(wanted) if wanted != current => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "extension \"{name}\" has no update path from version \"{current}\" to version \"{wanted}\""
            ),
        )),
        _ => {
            let message =
                format!("version \"{current}\" of extension \"{name}\" is already installed");
            let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
            shared.notice(Severity::Notice, notice);
            Ok(())
        }
    }
}

/// DROP EXTENSION.
///
/// # Errors
/// 42704 for one that is not there, 0A000 for one that is built in, 2BP01 when others need it.
pub(super) fn drop(shared: &Arc<Shared>, name: &Name, cascade: bool) -> Result<(), Error> {
    let name = name.name();
    let home = shared.home()?;
    if matches!(name, "timescaledb" | "plpgsql") {
        return Err(Error::unsupported(format!("DROP EXTENSION {name}")));
    }
    let known = home.extensions.values().find(|known| known.name == name);
    let known = known.ok_or_else(|| missing(name))?;
    let catalog = shared.catalog();
    if !catalog.acts_as(shared.role(&catalog)?, known.owner) {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("must be owner of extension {name}"),
        ));
    }
    for id in &known.views {
        if let Some(view) = home.views.get(id) {
            drop_view(shared, view, cascade)?;
        }
    }
    if name == catalogs::BTREE_GIST.0 {
        drop_exclusions(shared, &home, cascade)?;
    }
    shared.change(Change::DropExtension {
        database: shared.database,
        id: known.id,
    })
}

/// Exclusions that need `btree_gist` go with it, or keep it.
fn drop_exclusions(shared: &Arc<Shared>, home: &Database, cascade: bool) -> Result<(), Error> {
    let mut needing = Vec::new();
    for table in home.tables.values() {
        for (constraint, index) in table.exclusions() {
            if let Some(class) = exclude::class_of_extension(shared, table, index)? {
                let on = drop::label(shared, "table", &table.name, table.id.0);
                let shown = format!("constraint {} on {on}", constraint.name);
                needing.push((table.id, constraint, shown, class));
            }
        }
    }
    if !cascade && !needing.is_empty() {
        let of = needing.iter();
        let of = of.map(|(_, _, shown, class)| {
            format!("{shown} depends on operator class {class} for access method gist")
        });
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            "cannot drop extension btree_gist because other objects depend on it",
        )
        .detail(of.collect::<Vec<_>>().join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let shown = needing.iter().map(|(_, _, shown, _)| shown.clone());
    drop::tell_dropped(shared, shown.collect());
    for (table, constraint, ..) in needing {
        shared.change(Change::DropConstraint {
            database: shared.database,
            table,
            name: constraint.name.clone(),
        })?;
    }
    Ok(())
}

/// 2BP01 for a view that goes with an extension alone.
pub(super) fn refuse_part(home: &Database, view: &View) -> Result<(), Error> {
    let mut made = home.extensions.values();
    match made.find(|made| made.views.contains(&view.id)) {
        None => Ok(()),
        Some(made) => Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop view {} because extension {} requires it",
                view.name, made.name
            ),
        )
        .hint(format!("You can drop extension {} instead.", made.name))),
    }
}

fn missing(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("extension \"{name}\" does not exist"),
    )
}
