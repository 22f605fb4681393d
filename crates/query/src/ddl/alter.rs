//! ALTER TABLE and its kin.

mod constraints;
mod views;

use std::sync::Arc;

use chronolith_catalog::{Change, Column, ConstraintKind, Database, Table};
use chronolith_sql::{AlterAction, AlterTable, ColumnDef, Constraint, ObjectKind, Spelled};
use chronolith_types::{RoleId, SqlState, TableId, TypeId};

use super::alter_type;
use super::columnstore;
use super::constraint;
use super::dependents::{self, Dependents};
use super::drop;
use super::exclude;
use super::hypertable;
use super::materialized;
use super::options::{Reset, TableOptions};
use super::renamed::Renamed;
use super::rows::{self, Rows};
use super::schema::no_role;
use super::sequence;
use super::table::{check_default, check_name, column_of, default_text};
use super::view::readers;
use crate::dml;
use crate::error::Error;
use crate::insert::{self, undefined_column, undefined_table};
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared, clustered, evaluate};
use crate::value::{is_null, write_text};

pub(super) use constraints::{add_constraint, replace_constraint};
use constraints::{drop_constraint, refuse_computed, validate};
pub(super) use views::rename_kept_column;
use views::view;
pub(crate) use views::{keep_views, moved_views};

pub(super) async fn run(shared: &Arc<Shared>, of: &AlterTable) -> Result<(), Error> {
    let (schema, name) = (of.name.schema(), of.name.name());
    match of.kind {
        ObjectKind::Table => {}
        ObjectKind::View => return view(shared, of),
        ObjectKind::MaterializedView => return materialized::alter(shared, of),
        ObjectKind::Index => return index(shared, of),
        ObjectKind::Sequence => return sequence::alter_relation(shared, of),
        _ => return Err(Error::unsupported("ALTER of this kind of relation")),
    }
    let Some(table) = shared.find_table(schema, name)? else {
        match shared.find_view(schema, name)? {
            Some(found) if found.materialized.is_some() => return materialized::alter(shared, of),
            Some(_) => return view(shared, of),
            None => {}
        }
        if sequence::find(shared, &of.name).is_ok() {
            return sequence::alter_relation(shared, of);
        }
        let missing = undefined_table(schema, name);
        if of.if_exists {
            shared.skip(&missing);
            return Ok(());
        }
        return Err(missing.at(u32::try_from(of.name.position).ok()));
    };
    // As in PostgreSQL: what goes goes first, and types change before anything new is held.
    let mut actions: Vec<&AlterAction> = of.actions.iter().collect();
    actions.sort_by_key(|action| match action {
        AlterAction::DropColumn { .. }
        | AlterAction::DropConstraint { .. }
        | AlterAction::SetDefault { default: None, .. } => 0,
        AlterAction::SetType { .. } => 1,
        _ => 2,
    });
    let typed = |action: &AlterAction| match action {
        AlterAction::SetType { name, .. } => Some(name.value.clone()),
        _ => None,
    };
    let mut names: Vec<String> = actions.iter().filter_map(|action| typed(action)).collect();
    names.sort();
    if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot alter type of column \"{name}\" twice"),
        ));
    }
    for action in actions {
        let table = hypertable::table_of(shared, table.id)?;
        let held = rows_before(shared, &table, action)?;
        one(shared, &table, action).await?;
        if let Some((held, what)) = held {
            held.follow(shared, what)?;
        }
    }
    Ok(())
}

/// The rows of a table that an action changes, where something is declared with them, and what is
/// done to the table.
fn rows_before(
    shared: &Arc<Shared>,
    table: &Table,
    action: &AlterAction,
) -> Result<Option<(Rows, &'static str)>, Error> {
    let what = match action {
        AlterAction::AddColumn { .. } => "adding a column",
        AlterAction::DropColumn { .. } => "dropping a column",
        AlterAction::RenameColumn { .. } => "renaming a column",
        AlterAction::RenameTo(_) => "renaming a table",
        _ => return Ok(None),
    };
    Ok(Rows::of(shared, table.id)?.map(|held| (held, what)))
}

async fn one(shared: &Arc<Shared>, table: &Arc<Table>, action: &AlterAction) -> Result<(), Error> {
    let (id, database) = (table.id, shared.database);
    match action {
        AlterAction::AddColumn {
            if_not_exists,
            column,
            constraints,
        } => add_column(shared, table, *if_not_exists, column, constraints).await,
        AlterAction::DropColumn {
            name,
            if_exists,
            cascade,
        } => drop_column(shared, table, name, *if_exists, *cascade),
        AlterAction::SetType { name, ty, using } => {
            alter_type::run(shared, table, name, ty, using.as_ref())
        }
        AlterAction::SetDefault { name, default } => {
            let mut column = find(table, name)?.clone();
            refuse_computed(table, &column, default.is_some())?;
            column.default = match default {
                Some(default) => {
                    check_default(shared, &column.name, &column.ty, &default.expr)?;
                    default_text(shared, default)?
                }
                None => None,
            };
            change_column(shared, id, column)
        }
        AlterAction::SetNotNull { name, not_null } => {
            let mut column = find(table, name)?.clone();
            let time = table.hypertable.as_ref().map(|hypertable| hypertable.time);
            let keyed = table.constraints.iter().any(|constraint| {
                matches!(&constraint.kind, ConstraintKind::PrimaryKey { columns }
                    if columns.contains(&column.id))
            });
            if !not_null && keyed {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!("column \"{}\" is in a primary key", name.value),
                ));
            }
            if !not_null && time == Some(column.id) {
                return Err(Error::new(
                    SqlState::new(b"TS101"),
                    format!(
                        "cannot drop not-null constraint from a time-partitioned column \"{}\"",
                        name.value
                    ),
                ));
            }
            if !not_null && column.identity.is_some() {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!(
                        "column \"{}\" of relation \"{}\" is an identity column",
                        name.value, table.name
                    ),
                ));
            }
            column.not_null = *not_null;
            change_column(shared, id, column)
        }
        AlterAction::Identity(of) => {
            let column = find(table, &of.name)?;
            sequence::alter_identity(shared, table, column, &of.change)
        }
        AlterAction::DropExpression { name, if_exists } => {
            let mut column = find(table, name)?.clone();
            if column.generated.take().is_none() {
                let missing = Error::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "column \"{}\" of relation \"{}\" is not a stored generated column",
                        name.value, table.name
                    ),
                );
                if !if_exists {
                    return Err(missing);
                }
                shared.skip(&missing);
                return Ok(());
            }
            change_column(shared, id, column)
        }
        AlterAction::ValidateConstraint(name) => validate(shared, table, name),
        AlterAction::AlterConstraint { name, timing } => {
            constraint::alter(shared, table, name, *timing)
        }
        AlterAction::SetLogged(logged) => constraint::set_logged(shared, table, *logged),
        AlterAction::AddConstraint(declared) => add_constraint(shared, table, declared),
        AlterAction::DropConstraint {
            name,
            if_exists,
            cascade,
        } => drop_constraint(shared, table, name, *if_exists, *cascade),
        AlterAction::RenameColumn { from, to } => {
            check_name(&to.value)?;
            rename_column(shared, table, from, &to.value)
        }
        AlterAction::RenameTo(to) => {
            check_name(&to.value)?;
            shared.change(Change::RenameTable {
                database,
                id,
                name: to.value.clone(),
            })?;
            let (old, new) = ((table.schema, &*table.name), (table.schema, &*to.value));
            moved_views(shared, old, new, "renaming a table")
        }
        AlterAction::SetOptions(options) => {
            columnstore::set(shared, id, &TableOptions::altered(options)?)
        }
        AlterAction::RowSecurity { enabled, forced } => {
            super::policy::switch(shared, table, *enabled, *forced)
        }
        AlterAction::Trigger { enabled, name } => {
            super::trigger::enable(shared, table, *enabled, name.as_ref())
        }
        AlterAction::OwnerTo(role) => {
            shared.change(Change::SetTableOwner {
                database,
                id,
                owner: role_of(shared, &role.value)?,
            })?;
            sequence::follow(shared, id)
        }
        AlterAction::SetSchema(schema) => {
            let schema = shared.creation_schema(Some(&schema.value))?;
            shared.change(Change::SetTableSchema {
                database,
                id,
                schema,
            })?;
            sequence::follow(shared, id)?;
            let (old, new) = ((table.schema, &*table.name), (schema, &*table.name));
            moved_views(shared, old, new, "moving a table")
        }
        AlterAction::RenameConstraint { from, to } => {
            check_name(&to.value)?;
            shared.change(Change::RenameConstraint {
                database,
                table: id,
                from: from.value.clone(),
                name: to.value.clone(),
            })
        }
        AlterAction::ResetOptions(options) => columnstore::reset(shared, id, Reset::read(options)?),
        // No part is sorted by an index.
        AlterAction::Cluster(index) => match index {
            Some(index) => clustered(table, &index.value),
            None => Ok(()),
        },
        AlterAction::Other(words) => Err(Error::unsupported(format!("ALTER TABLE … {words}"))),
    }
}

fn find<'t>(table: &'t Table, name: &Spelled) -> Result<&'t Column, Error> {
    match table.column_named(&name.value) {
        Some((_, column)) => Ok(column),
        None => {
            Err(undefined_column(&name.value, &table.name).at(u32::try_from(name.position).ok()))
        }
    }
}

fn rename_column(
    shared: &Arc<Shared>,
    table: &Table,
    from: &Spelled,
    to: &str,
) -> Result<(), Error> {
    let old: Vec<String> = table.columns.iter().map(|of| of.name.clone()).collect();
    let of = (table.id, table.schema, table.name.as_str());
    let renamed = Renamed::of(shared, of, &old, (&from.value, to))?;
    rename_kept_column(shared, table, from, to)?;
    renamed.map_or(Ok(()), |renamed| renamed.keep(shared))?;
    keep_views(shared, table.schema, &table.name, "renaming a column")
}

fn change_column(shared: &Arc<Shared>, table: TableId, column: Column) -> Result<(), Error> {
    shared.change(Change::ChangeColumn {
        database: shared.database,
        table,
        column,
    })
}

async fn add_column(
    shared: &Arc<Shared>,
    table: &Table,
    if_not_exists: bool,
    declared: &ColumnDef,
    constraints: &[Constraint],
) -> Result<(), Error> {
    if table.column_named(&declared.name.value).is_some() {
        let exists = Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!(
                "column \"{}\" of relation \"{}\" already exists",
                declared.name.value, table.name
            ),
        );
        if if_not_exists {
            let message = format!("{}, skipping", exists.message);
            shared.notice(Severity::Notice, Error::new(exists.code, message));
            return Ok(());
        }
        return Err(exists);
    }
    let mut column = column_of(shared, table, declared)?;
    rows::refuse_own(table, &column.ty)?;
    let count = shared.transact(|transaction| {
        Ok::<_, Error>(transaction.table(table.id).map_or(0, |view| view.rows()))
    })?;
    let mut fill = match (&column.identity, &column.default) {
        (Some(identity), _) => Some(format!("nextval('{}'::regclass)", identity.sequence)),
        (None, Some(default)) if declared.sequence => Some(default.clone()),
        _ => None,
    };
    // Rows that are there have what a new one would have.
    let default = match (&declared.default, &column.default) {
        (Some(default), text) => Some((default.expr.clone(), text.clone())),
        (None, None) => {
            let text = insert::domain_default(&SessionNames::new(shared)?, &column);
            match text {
                Some(text) => Some((chronolith_sql::expression(&text)?, Some(text))),
                None => None,
            }
        }
        (None, Some(_)) => None,
    };
    let domain = column
        .domain
        .map(|domain| shared.home().map(|home| holds(&home, domain)));
    let held = domain.transpose()?.unwrap_or(false);
    if default.is_some() || fill.is_some() || column.generated.is_some() || held {
        rows::refuse(shared, table)?;
    }
    if let Some((default, text)) = &default {
        let value = check_default(shared, &column.name, &column.ty, default)?;
        if insert::is_volatile(&value.expr)? {
            fill.clone_from(text);
        } else {
            // Rows that are there have the default as it is now, as in PostgreSQL.
            let value = evaluate(shared, &value).await?;
            if !is_null(&value, 0) {
                let mut text = Vec::new();
                let utc = chronolith_types::TimeZone::default();
                write_text(&value, 0, &column.ty, &utc, &mut text)?;
                column.missing = String::from_utf8(text).ok();
            }
        }
    }
    if let Some(text) = &column.generated {
        let mut with = table.clone();
        with.columns.push(column.clone());
        insert::generated_expr(&SessionNames::new(shared)?, &with, &column, text)?;
    }
    let each = count > 0 && (fill.is_some() || column.generated.is_some());
    if count > 0 && column.not_null && column.missing.is_none() && !each {
        let schema = shared.home()?.schemas.get(&table.schema).cloned();
        return Err(Error {
            schema: schema.map(|schema| schema.name.clone()),
            table: Some(table.name.clone()),
            column: Some(column.name.clone()),
            ..Error::new(
                SqlState::NOT_NULL_VIOLATION,
                format!(
                    "column \"{}\" of relation \"{}\" contains null values",
                    column.name, table.name
                ),
            )
        });
    }
    let whole = column.clone();
    if each {
        // Rows that are there get values of their own first.
        (column.not_null, column.identity) = (false, None);
    }
    shared.change(Change::AddColumn {
        database: shared.database,
        table: table.id,
        column,
    })?;
    if each {
        fill_column(shared, table, &whole, fill.as_deref()).await?;
        change_column(shared, table.id, whole)?;
    }
    for declared in constraints {
        let table = hypertable::table_of(shared, table.id)?;
        add_constraint(shared, &table, declared)?;
    }
    Ok(())
}

/// Whether a domain asks something of its values.
fn holds(home: &Database, domain: TypeId) -> bool {
    let known = home.types.get(&domain).and_then(|ty| ty.domain());
    known.is_some_and(|of| {
        of.not_null || !of.checks.is_empty() || of.over.is_some_and(|over| holds(home, over))
    })
}

/// Gives each row that is there its own value of a new column: another expression's, or what the
/// column is generated as.
async fn fill_column(
    shared: &Arc<Shared>,
    table: &Table,
    column: &Column,
    fill: Option<&str>,
) -> Result<(), Error> {
    let home = shared.home()?;
    let schema = home.schemas.get(&table.schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    let name = format!(
        "{}.{}",
        chronolith_sql::quoted(schema),
        chronolith_sql::quoted(&table.name)
    );
    let (set, value) = match (fill, table.columns.first()) {
        (Some(fill), _) => (chronolith_sql::quoted(&column.name), fill.to_owned()),
        (None, Some(any)) => {
            let any = table
                .columns
                .iter()
                .find(|of| of.generated.is_none())
                .unwrap_or(any);
            let any = chronolith_sql::quoted(&any.name);
            (any.clone(), any)
        }
        (None, None) => return Ok(()),
    };
    let text = format!("UPDATE {name} SET {set} = {value}");
    dml::within(shared, &text, &[], &[]).await
}

pub(super) fn drop_column(
    shared: &Arc<Shared>,
    table: &Table,
    name: &Spelled,
    if_exists: bool,
    cascade: bool,
) -> Result<(), Error> {
    let column = match find(table, name) {
        Ok(column) => column,
        Err(missing) if if_exists => {
            shared.skip(&missing);
            return Ok(());
        }
        Err(missing) => return Err(missing),
    };
    if let Some(hypertable) = &table.hypertable {
        let mut others = hypertable.dimensions.iter();
        if hypertable.time == column.id || others.any(|d| d.column == column.id) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot drop column named in partition key",
            )
            .detail(
                "Cannot drop column that is a hypertable partitioning (space or time) dimension.",
            ));
        }
        let settings = hypertable.compression.as_ref();
        if settings.is_some_and(|c| c.segment_by.contains(&column.id)) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot drop orderby or segmentby column from a hypertable with compression enabled",
            ));
        }
    }
    let home = shared.home()?;
    let of = drop::label(shared, "table", &table.name, table.id.0);
    let shown = format!("column {} of {of}", column.name);
    let mut direct = dependents::policies(shared, table, column, &of)?;
    direct.extend(dependents::computed(table, column, &of)?);
    direct.extend(dependents::defaults(shared, &home, table, Some(column.id))?);
    for key in &table.constraints {
        let columns = key.kind.unique_columns();
        if columns.is_some_and(|columns| columns.contains(&column.id)) {
            let key = Some(key.id);
            direct.extend(dependents::references(shared, &home, table, key, &shown));
        }
    }
    let excludes = |index: &chronolith_catalog::Index| {
        let mut exclusions = table.exclusions();
        exclusions.any(|(_, own)| own.id == index.id)
    };
    let own = table.indexes.iter().filter(|index| !excludes(index));
    for index in own.filter(|index| {
        index.include.contains(&column.name)
            || index.keys.iter().any(|key| {
                let word = |c: char| !(c.is_alphanumeric() || c == '_');
                key.split(word).any(|found| found == column.name)
            })
    }) {
        shared.change(Change::DropIndex {
            database: shared.database,
            table: table.id,
            id: index.id,
        })?;
    }
    // A check goes with any of its columns, and so does an exclusion.
    for (constraint, index) in table.exclusions() {
        if exclude::names_column(index, &column.name)? {
            shared.change(Change::DropConstraint {
                database: shared.database,
                table: table.id,
                name: constraint.name.clone(),
            })?;
        }
    }
    for constraint in &table.constraints {
        if let ConstraintKind::Check { expression } = &constraint.kind
            && chronolith_sql::names_column(expression, &column.name)?
        {
            shared.change(Change::DropConstraint {
                database: shared.database,
                table: table.id,
                name: constraint.name.clone(),
            })?;
        }
    }
    // Which views read the column is seen once it is gone. One that reads the table and such a view
    // too is told as one that reads the column.
    shared.change(Change::DropColumn {
        database: shared.database,
        table: table.id,
        column: column.id,
    })?;
    let broken = super::view::broken(shared, table.schema, &table.name)?;
    let read = readers(&home, table.schema, &table.name);
    let direct_readers = read.filter(|view| broken.iter().any(|of| of.id == view.id));
    direct.extend(direct_readers.map(|view| dependents::of_view(shared, view, &shown)));
    let dependents = Dependents::of(shared, &home, direct);
    dependents.settle(shared, &shown, cascade)?;
    dependents.drop(shared)
}

pub(crate) fn role_of(shared: &Arc<Shared>, name: &str) -> Result<RoleId, Error> {
    let user = shared.with(|state| state.user.clone());
    let name = match name {
        "current_user" | "current_role" | "session_user" => user.as_str(),
        name => name,
    };
    let catalog = shared.catalog();
    let role = catalog.role_named(name);
    role.map(|role| role.id).ok_or_else(|| no_role(name))
}

/// ALTER INDEX: its name.
fn index(shared: &Arc<Shared>, of: &AlterTable) -> Result<(), Error> {
    let home = shared.home()?;
    let schemas = drop::schemas(shared, &home, of.name.schema())?;
    let found = home
        .tables
        .values()
        .filter(|table| schemas.contains(&table.schema))
        .find_map(|table| {
            let index = table.indexes.iter().find(|i| i.name == of.name.name())?;
            Some((table.id, index.id))
        });
    let Some((table, id)) = found else {
        let missing = undefined_table(of.name.schema(), of.name.name());
        if of.if_exists {
            shared.skip(&missing);
            return Ok(());
        }
        return Err(missing);
    };
    for action in &of.actions {
        let AlterAction::RenameTo(to) = action else {
            return Err(Error::unsupported("this form of ALTER INDEX"));
        };
        check_name(&to.value)?;
        shared.change(Change::RenameIndex {
            database: shared.database,
            table,
            id,
            name: to.value.clone(),
        })?;
    }
    Ok(())
}
