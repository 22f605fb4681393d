//! ALTER MATERIALIZED VIEW of a continuous aggregate.

use std::sync::Arc;

use chronolith_catalog::{Change, Column, Table, View};
use chronolith_sql::ast::{self, SelectItem, SetExpr};
use chronolith_sql::{AlterAction, ColumnDef, Opt, Spelled};
use chronolith_types::{ColumnId, SqlState, TableId};

use super::definition::Definition;
use super::options::CaggOptions;
use crate::ddl::{Renamed, check_name, columnstore, hypertable, keep_views, moved_views, role_of};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

/// Does one action.
///
/// # Errors
/// What PostgreSQL says of names and roles, TimescaleDB of options and actions.
pub(crate) fn alter(shared: &Arc<Shared>, view: &View, action: &AlterAction) -> Result<(), Error> {
    let Some(store) = super::continuous(view).map(|kept| kept.table) else {
        return Err(Error::internal("no continuous aggregate"));
    };
    let database = shared.database;
    let mut changed = view.clone();
    let refused = match action {
        AlterAction::SetOptions(options) => return set(shared, view, store, options),
        AlterAction::RenameTo(to) => {
            check_name(&to.value)?;
            changed.name.clone_from(&to.value);
            shared.change(Change::ChangeView {
                database,
                view: changed,
            })?;
            let (old, new) = ((view.schema, &*view.name), (view.schema, &*to.value));
            return moved_views(shared, old, new, "renaming a view");
        }
        AlterAction::SetSchema(schema) => {
            changed.schema = shared.creation_schema(Some(&schema.value))?;
            let new = (changed.schema, &*view.name);
            shared.change(Change::ChangeView {
                database,
                view: changed,
            })?;
            let old = (view.schema, &*view.name);
            return moved_views(shared, old, new, "moving a view");
        }
        AlterAction::OwnerTo(role) => {
            changed.owner = role_of(shared, &role.value)?;
            shared.change(Change::SetTableOwner {
                database,
                id: store,
                owner: changed.owner,
            })?;
            return shared.change(Change::ChangeView {
                database,
                view: changed,
            });
        }
        AlterAction::RenameColumn { from, to } => {
            return rename_column(shared, changed, store, from, to);
        }
        AlterAction::AddColumn {
            if_not_exists,
            column,
            ..
        } => return add_column(shared, changed, store, column, *if_not_exists),
        AlterAction::ResetOptions(_) => "RESET",
        AlterAction::DropColumn { .. } => "DROP COLUMN",
        _ => "of this kind",
    };
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("ALTER action {refused} is not supported on continuous aggregates"),
    ))
}

fn set(shared: &Arc<Shared>, view: &View, store: TableId, options: &[Opt]) -> Result<(), Error> {
    let read = CaggOptions::read(options)?;
    if let Some(materialized_only) = read.materialized_only {
        let mut changed = view.clone();
        let kept = changed.materialized.as_mut();
        if let Some(continuous) = kept.and_then(|kept| kept.continuous.as_mut()) {
            continuous.materialized_only = materialized_only;
        }
        shared.change(Change::ChangeView {
            database: shared.database,
            view: changed,
        })?;
    }
    columnstore::set(shared, store, &read.table.storage)
}

fn rename_column(
    shared: &Arc<Shared>,
    mut view: View,
    store: TableId,
    from: &Spelled,
    to: &Spelled,
) -> Result<(), Error> {
    check_name(&to.value)?;
    if view.columns.contains(&to.value) {
        return Err(Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!(
                "column \"{}\" of relation \"{}\" already exists",
                to.value, view.name
            ),
        ));
    }
    let old = view.clone();
    let place = view.columns.iter().position(|name| *name == from.value);
    let place = place.ok_or_else(|| undefined(from))?;
    if let Some(known) = view.columns.get_mut(place) {
        known.clone_from(&to.value);
    }
    let of = (old.id, old.schema, old.name.as_str());
    let renamed = Renamed::of(shared, of, &old.columns, (&from.value, &to.value))?;
    // Columns of groups are called as readers call them.
    let home = shared.home()?;
    let registry = &shared.instance.registry;
    let before = Definition::of_view(&home, &old, registry)?;
    let after = Definition::of_view(&home, &view, registry)?;
    for (before, after) in before.store_columns().iter().zip(after.store_columns()) {
        let table = hypertable::table_of(shared, store)?;
        if before.0 != after.0
            && let Some((_, column)) = table.column_named(&before.0)
        {
            let column = Column {
                name: after.0,
                ..column.clone()
            };
            shared.change(Change::ChangeColumn {
                database: shared.database,
                table: store,
                column,
            })?;
        }
    }
    shared.change(Change::ChangeView {
        database: shared.database,
        view,
    })?;
    renamed.map_or(Ok(()), |renamed| renamed.keep(shared))?;
    keep_views(shared, old.schema, &old.name, "renaming a column")
}

/// Refuses a change of its text that makes a continuous aggregate another one. Of other views
/// nothing is asked.
///
/// # Errors
/// `0A000` for one whose rows would not be those that its store has.
pub(crate) fn check_kept(shared: &Arc<Shared>, view: TableId) -> Result<(), Error> {
    let home = shared.home()?;
    let Some(view) = home.views.get(&view) else {
        return Ok(());
    };
    let Some(kept) = super::continuous(view) else {
        return Ok(());
    };
    let store = hypertable::table_of(shared, kept.table)?;
    let definition = Definition::of_view(&home, view, &shared.instance.registry);
    let same = definition.is_ok_and(|definition| {
        let columns = definition.store_columns();
        let mut columns = columns.iter();
        columns.all(|(name, ty)| {
            let known = store.column_named(name);
            known.is_some_and(|(_, known)| known.ty == *ty)
        })
    });
    match same {
        true => Ok(()),
        false => Err(Error::unsupported(format!(
            "renaming a column that continuous aggregate \"{}\" reads so",
            view.name
        ))
        .hint("Drop the view, and create it again after that.")),
    }
}

fn undefined(name: &Spelled) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{}\" does not exist", name.value),
    )
    .at(u32::try_from(name.position).ok())
}

/// A column more in the query and its states in the store; filled for all rows that are there.
fn add_column(
    shared: &Arc<Shared>,
    mut view: View,
    store: TableId,
    declared: &ColumnDef,
    if_not_exists: bool,
) -> Result<(), Error> {
    let name = &declared.name.value;
    check_name(name)?;
    if view.columns.contains(name) {
        let error = Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!(
                "column \"{name}\" of relation \"{}\" already exists",
                view.name
            ),
        );
        if if_not_exists {
            let message = format!("{}, skipping", error.message);
            shared.notice(Severity::Notice, Error::new(error.code, message));
            return Ok(());
        }
        return Err(error);
    }
    let Some(generated) = &declared.generated else {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot add a column without an expression to a continuous aggregate",
        )
        .hint("Use ADD COLUMN … GENERATED ALWAYS AS (aggregate) STORED."));
    };
    let before = {
        let home = shared.home()?;
        shared.instance.registry.definition(&home, view.id)?
    };
    let mut query = chronolith_sql::query(&view.query)?;
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(Error::internal("a continuous aggregate that is no SELECT"));
    };
    let cast = format!("CAST({} AS {})", generated.text, declared.ty);
    select.projection.push(SelectItem::ExprWithAlias {
        expr: chronolith_sql::expression(&cast)?,
        alias: ast::Ident::with_quote('"', name.clone()),
    });
    view.query = query.to_string();
    view.columns.push(name.clone());
    let home = shared.home()?;
    let registry = &shared.instance.registry;
    let definition = Definition::of_view(&home, &view, registry)?;
    rename_states(shared, store, &before, &definition)?;
    let table = hypertable::table_of(shared, store)?;
    add_states(shared, &definition, &table)?;
    let database = shared.database;
    shared.change(Change::ChangeView { database, view })?;
    shared.change(Change::Invalidate {
        database,
        table: store,
        range: i64::MIN..i64::MAX,
    })
}

/// States are numbered with their aggregates, of which those of HAVING are the last: they make room.
fn rename_states(
    shared: &Arc<Shared>,
    store: TableId,
    before: &Definition,
    after: &Definition,
) -> Result<(), Error> {
    for old in before.aggs.iter().rev() {
        let Some(new) = after.aggs.iter().find(|new| new.call == old.call) else {
            return Err(Error::internal("an aggregate that is gone"));
        };
        for (old, new) in old.parts.states.iter().zip(&new.parts.states) {
            let table = hypertable::table_of(shared, store)?;
            if old.name != new.name
                && let Some((_, column)) = table.column_named(&old.name)
            {
                shared.change(Change::ChangeColumn {
                    database: shared.database,
                    table: store,
                    column: Column {
                        name: new.name.clone(),
                        ..column.clone()
                    },
                })?;
            }
        }
    }
    Ok(())
}

fn add_states(shared: &Arc<Shared>, definition: &Definition, table: &Table) -> Result<(), Error> {
    let mut next: ColumnId = table.next_column;
    for (name, ty) in definition.store_columns() {
        if table.column_named(&name).is_some() {
            continue;
        }
        shared.change(Change::AddColumn {
            database: shared.database,
            table: table.id,
            column: Column {
                id: next,
                name,
                ty,
                domain: None,
                not_null: false,
                default: None,
                missing: None,
                identity: None,
                generated: None,
                comment: None,
            },
        })?;
        next.0 += 1;
    }
    Ok(())
}

/// The table of a continuous aggregate's rows as an index of it sees it: with the columns that its
/// readers see. None for any other relation.
///
/// # Errors
/// `0A000` for a unique index.
pub(crate) fn indexed(
    shared: &Arc<Shared>,
    schema: Option<&str>,
    name: &str,
    unique: bool,
) -> Result<Option<Arc<Table>>, Error> {
    if shared.find_table(schema, name)?.is_some() {
        return Ok(None);
    }
    let Some(view) = shared.find_view(schema, name)? else {
        return Ok(None);
    };
    let Some(kept) = super::continuous(&view) else {
        return Ok(None);
    };
    if unique {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "continuous aggregates do not support UNIQUE indexes",
        ));
    }
    let home = shared.home()?;
    let definition = shared.instance.registry.definition(&home, view.id)?;
    let mut table = Table::clone(&*hypertable::table_of(shared, kept.table)?);
    for output in &definition.outputs {
        if table.column_named(&output.name).is_none() {
            table.columns.push(Column {
                id: ColumnId(u16::MAX.into()),
                name: output.name.clone(),
                ty: output.ty.clone(),
                domain: None,
                not_null: false,
                default: None,
                missing: None,
                identity: None,
                generated: None,
                comment: None,
            });
        }
    }
    Ok(Some(Arc::new(table)))
}
