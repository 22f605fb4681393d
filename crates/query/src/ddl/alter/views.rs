//! Views: what ALTER changes of them, and what they say when their sources change.

use std::sync::Arc;

use chronolith_catalog::{Change, ConstraintKind, Table, View};
use chronolith_sql::{AlterAction, AlterTable, Spelled, SqlText};
use chronolith_types::{SchemaId, SqlState};

use super::super::drop;
use super::super::renamed::Renamed;
use super::super::rows::Rows;
use super::super::table::{check_default, check_name, default_text};
use super::super::view::Said;
use super::{change_column, role_of};
use crate::error::Error;
use crate::insert::{undefined_column, undefined_table};
use crate::session::{Shared, row_of};

/// The column under another name, also in checks and the keys of indexes.
pub(in crate::ddl) fn rename_kept_column(
    shared: &Arc<Shared>,
    table: &Table,
    from: &Spelled,
    to: &str,
) -> Result<(), Error> {
    let mut column = table
        .column_named(&from.value)
        .map(|(_, column)| column.clone())
        .ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" does not exist", from.value),
            )
            .at(u32::try_from(from.position).ok())
        })?;
    let database = shared.database;
    column.name = to.to_owned();
    change_column(shared, table.id, column)?;
    super::super::policy::rename_column(shared, table, &from.value, to)?;
    for other in &table.columns {
        let Some(text) = &other.generated else {
            continue;
        };
        if chronolith_sql::names_column(text, &from.value)? {
            let mut other = other.clone();
            other.generated = Some(chronolith_sql::rename_column(text, &from.value, to)?);
            change_column(shared, table.id, other)?;
        }
    }
    for constraint in &table.constraints {
        let ConstraintKind::Check { expression } = &constraint.kind else {
            continue;
        };
        if !chronolith_sql::names_column(expression, &from.value)? {
            continue;
        }
        let expression = chronolith_sql::rename_column(expression, &from.value, to)?;
        shared.change(Change::DropConstraint {
            database,
            table: table.id,
            name: constraint.name.clone(),
        })?;
        shared.change(Change::AddConstraint {
            database,
            table: table.id,
            constraint: chronolith_catalog::Constraint {
                kind: ConstraintKind::Check { expression },
                ..constraint.clone()
            },
        })?;
    }
    let excludes = |index: &chronolith_catalog::Index| {
        let mut exclusions = table.exclusions();
        exclusions.any(|(_, own)| own.id == index.id)
    };
    let own = table.indexes.iter();
    for index in own.filter(|index| !index.constraint || excludes(index)) {
        let renamed = |text: &String| match *text == from.value {
            true => Ok(to.to_owned()),
            false => chronolith_sql::rename_column(text, &from.value, to),
        };
        let keys = index
            .keys
            .iter()
            .map(renamed)
            .collect::<Result<Vec<_>, _>>()?;
        let predicate = index.predicate.as_ref().map(renamed).transpose()?;
        let mut include = index.include.clone();
        for name in include.iter_mut().filter(|name| **name == from.value) {
            to.clone_into(name);
        }
        if keys == index.keys && predicate == index.predicate && include == index.include {
            continue;
        }
        shared.change(Change::DropIndex {
            database,
            table: table.id,
            id: index.id,
        })?;
        shared.change(Change::CreateIndex {
            database,
            table: table.id,
            index: chronolith_catalog::Index {
                keys,
                predicate,
                include,
                ..index.clone()
            },
        })?;
    }
    Ok(())
}

/// Views follow a relation to its new schema and name; `what` that was, where they cannot.
pub(crate) fn moved_views(
    shared: &Arc<Shared>,
    from: (SchemaId, &str),
    to: (SchemaId, &str),
    what: &str,
) -> Result<(), Error> {
    super::super::view::follow(shared, from, to)?;
    keep_views(shared, to.0, to.1, what)
}

/// Views are kept as text: what they read has to go on under its name.
pub(crate) fn keep_views(
    shared: &Arc<Shared>,
    schema: SchemaId,
    name: &str,
    what: &str,
) -> Result<(), Error> {
    match super::super::view::broken(shared, schema, name)?.first() {
        None => Ok(()),
        Some(view) => Err(
            Error::unsupported(format!("{what} that view \"{}\" reads", view.name))
                .hint("Drop the view, and create it again after that."),
        ),
    }
}

/// ALTER VIEW: its name, its schema, its owner.
pub(super) fn view(shared: &Arc<Shared>, of: &AlterTable) -> Result<(), Error> {
    let home = shared.home()?;
    let found = drop::schemas(shared, &home, of.name.schema())?
        .into_iter()
        .find_map(|schema| home.view_named(schema, of.name.name()).cloned());
    let Some(view) = found else {
        let missing = undefined_table(of.name.schema(), of.name.name());
        if of.if_exists {
            shared.skip(&missing);
            return Ok(());
        }
        return match shared.find_table(of.name.schema(), of.name.name())? {
            Some(_) => Err(not_a_view(of.name.name())),
            None => Err(missing),
        };
    };
    if view.materialized.is_some() {
        let named = |action: &AlterAction| {
            matches!(
                action,
                AlterAction::RenameTo(_)
                    | AlterAction::RenameColumn { .. }
                    | AlterAction::SetSchema(_)
                    | AlterAction::OwnerTo(_)
            )
        };
        // A continuous aggregate is a view to whoever does not ask for more.
        return match view.kept().is_none() && of.actions.iter().all(named) {
            true => super::super::materialized::alter(shared, of),
            false => Err(not_a_view(&view.name)),
        };
    }
    let held = Rows::of(shared, view.id)?;
    altered(shared, View::clone(&view), &of.actions)?;
    held.map_or(Ok(()), |held| held.follow(shared, "altering a view"))
}

fn altered(shared: &Arc<Shared>, mut view: View, actions: &[AlterAction]) -> Result<(), Error> {
    let (schema, name) = (view.schema, view.name.clone());
    for action in actions {
        match action {
            AlterAction::RenameTo(to) => {
                check_name(&to.value)?;
                view.name.clone_from(&to.value);
            }
            AlterAction::SetSchema(schema) => {
                view.schema = shared.creation_schema(Some(&schema.value))?;
            }
            AlterAction::OwnerTo(role) => view.owner = role_of(shared, &role.value)?,
            AlterAction::RenameColumn { from, to } => {
                rename_view_column(shared, &view, from, &to.value)?;
                return Ok(());
            }
            AlterAction::SetDefault { name, default } => {
                set_default(shared, &mut view, name, default.as_ref())?;
            }
            AlterAction::SetOptions(options) => {
                let mut said = Said {
                    check: view.check,
                    invoker: view.invoker,
                    barrier: view.barrier,
                };
                options.iter().try_for_each(|option| said.option(option))?;
                (view.check, view.invoker, view.barrier) = (said.check, said.invoker, said.barrier);
            }
            AlterAction::ResetOptions(options) => {
                for option in options {
                    match option.name.as_str() {
                        "check_option" => view.check = None,
                        "security_invoker" => view.invoker = None,
                        "security_barrier" => view.barrier = None,
                        _ => {}
                    }
                }
            }
            action => return Err(super::materialized::refused(&view.name, "view", action)),
        }
    }
    let now = (view.schema, view.name.clone());
    shared.change(Change::ChangeView {
        database: shared.database,
        view,
    })?;
    let (old, new) = ((schema, &*name), (now.0, &*now.1));
    moved_views(shared, old, new, "renaming or moving a view")
}

/// A default of a view's own column, for rows that are inserted through the view.
fn set_default(
    shared: &Arc<Shared>,
    view: &mut View,
    name: &Spelled,
    default: Option<&SqlText>,
) -> Result<(), Error> {
    let home = shared.home()?;
    let columns = row_of(shared, &home, view.id).unwrap_or_default();
    let mut places = (0_u32..).zip(columns);
    let (place, (_, ty)) = places
        .find(|(_, (known, _))| *known == name.value)
        .ok_or_else(|| undefined_column(&name.value, &view.name))?;
    view.defaults.remove(&place);
    if let Some(default) = default {
        check_default(shared, &name.value, &ty, &default.expr)?;
        let text = default_text(shared, default)?;
        view.defaults.extend(text.map(|text| (place, text)));
    }
    Ok(())
}

/// A view's column under another name, which its readers do not see.
pub(super) fn rename_view_column(
    shared: &Arc<Shared>,
    view: &View,
    from: &Spelled,
    to: &str,
) -> Result<(), Error> {
    check_name(to)?;
    let place = view.columns.iter().position(|name| *name == from.value);
    let place = place.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{}\" does not exist", from.value),
        )
    })?;
    if view.columns.iter().any(|name| name == to) {
        return Err(Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!(
                "column \"{to}\" of relation \"{}\" already exists",
                view.name
            ),
        ));
    }
    let mut changed = view.clone();
    if let Some(name) = changed.columns.get_mut(place) {
        to.clone_into(name);
    }
    let of = (view.id, view.schema, view.name.as_str());
    let renamed = Renamed::of(shared, of, &view.columns, (&from.value, to))?;
    shared.change(Change::ChangeView {
        database: shared.database,
        view: changed,
    })?;
    renamed.map_or(Ok(()), |renamed| renamed.keep(shared))?;
    keep_views(shared, view.schema, &view.name, "renaming a column")
}

pub(super) fn not_a_view(name: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not a view"),
    )
}
