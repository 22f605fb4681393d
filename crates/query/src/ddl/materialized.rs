//! Materialized views: queries whose rows are kept until the next REFRESH.
//!
//! The rows are those of a plain table in the view's schema, so that indexes, unique keys, sizes
//! and transactions are a table's; nobody can name it, and what clients see is the view
//! (`catalogs::shown`). Continuous aggregates are views of another make: see [`is_continuous`].

use std::sync::Arc;

use chronolith_catalog::{Change, Materialized, Table, View};
use chronolith_sql::{AlterAction, AlterTable, CreateView, Name, Opt};
use chronolith_types::{SqlState, TableId};

use super::alter::{keep_views, moved_views, role_of};
use super::options::TableOptions;
use super::renamed::Renamed;
use super::rows::Rows;
use super::table::{begin, check_name, take_columns};
use super::view::text_of;
use crate::bind::bind_query;
use crate::error::Error;
use crate::insert::{self, InsertPlan, undefined_table};
use crate::outcome::OutputColumn;
use crate::rollups;
use crate::session::{SessionNames, Shared};

/// Whether the options of a CREATE MATERIALIZED VIEW ask for a continuous aggregate.
fn is_continuous(options: &[Opt]) -> bool {
    options.iter().any(|option| {
        let name = option.name.as_str();
        matches!(name, "timescaledb.continuous" | "tsdb.continuous") && option.bool() != Some(false)
    })
}

/// CREATE MATERIALIZED VIEW; its tag.
pub(super) async fn create(
    shared: &Arc<Shared>,
    create: &CreateView,
    tag: &str,
) -> Result<String, Error> {
    if is_continuous(&create.options) {
        rollups::create(shared, create)?;
        return Ok(tag.to_owned());
    }
    if create.unlogged {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "materialized views cannot be unlogged",
        ));
    }
    if let Some(method) = create
        .method
        .as_ref()
        .filter(|method| method.value != "heap")
    {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{}\" does not exist", method.value),
        ));
    }
    check_options(&create.options)?;
    let (schema, name) = (create.name.schema(), create.name.name());
    let Some(mut table) = begin(shared, schema, name, create.if_not_exists)? else {
        return Ok(tag.to_owned());
    };
    let names = SessionNames::new(shared)?;
    let bound = bind_query(&names, &create.query, &[])?;
    shared.refuse_temporary(&bound.uses)?;
    if !bound.params.is_empty() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "materialized views may not be defined using bound parameters",
        ));
    }
    take_columns(&mut table, &create.columns, &bound.columns)?;
    let (id, rows) = (
        table.id,
        TableId(shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?),
    );
    let view = View {
        id,
        schema: table.schema,
        name: std::mem::replace(&mut table.name, format!("_materialized_view_{id}")),
        owner: table.owner,
        query: text_of(shared, create)?,
        columns: table.columns.iter().map(|c| c.name.clone()).collect(),
        materialized: Some(Materialized {
            table: rows,
            populated: create.with_data,
            continuous: None,
        }),
        check: None,
        invoker: None,
        barrier: None,
        defaults: Default::default(),
    };
    table.id = rows;
    shared.change(Change::CreateTable {
        database: shared.database,
        table: Box::new(table),
    })?;
    shared.change(Change::CreateView {
        database: shared.database,
        view,
        replace: false,
    })?;
    if !create.with_data {
        return Ok(tag.to_owned());
    }
    let filled = fill(shared, rows, &create.query).await?;
    Ok(format!("SELECT {filled}"))
}

/// Storage parameters, as of tables; TimescaleDB's own are for continuous aggregates.
fn check_options(options: &[Opt]) -> Result<(), Error> {
    TableOptions::read(options)?;
    match options.iter().find(|option| option.name.contains('.')) {
        None => Ok(()),
        Some(option) => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized parameter \"{}\"", option.name),
        )
        .at(u32::try_from(option.position).ok())
        .hint("Only continuous aggregates have it: add timescaledb.continuous.")),
    }
}

/// The rows of a query into a table; how many.
async fn fill(
    shared: &Arc<Shared>,
    table: TableId,
    query: &chronolith_sql::ast::Query,
) -> Result<u64, Error> {
    let names = SessionNames::new(shared)?;
    let bound = bind_query(&names, query, &[])?;
    let found = super::hypertable::table_of(shared, table)?;
    shared.check_uses_as(found.owner, &bound.uses)?;
    let same = |(column, own): (&OutputColumn, &chronolith_catalog::Column)| column.ty == own.ty;
    if bound.columns.len() != found.columns.len()
        || !bound.columns.iter().zip(&found.columns).all(same)
    {
        return Err(Error::unsupported(
            "a materialized view whose query has changed with what it reads",
        )
        .hint("Drop it, and create it again."));
    }
    let places: Vec<usize> = (0..found.columns.len()).collect();
    let plan = insert::completed(&names, &found, bound.plan, &places)?;
    let filled = InsertPlan::new(table, plan, Vec::new())?;
    insert::run(shared, &filled, &[], None).await
}

/// REFRESH MATERIALIZED VIEW.
pub(super) async fn refresh(
    shared: &Arc<Shared>,
    name: &Name,
    concurrently: bool,
    with_data: bool,
) -> Result<(), Error> {
    let (schema, spelled) = (name.schema(), name.name());
    let Some(view) = shared.find_view(schema, spelled)? else {
        return Err(match shared.find_table(schema, spelled)? {
            Some(_) => Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("\"{spelled}\" is not a materialized view"),
            ),
            None => undefined_table(schema, spelled),
        });
    };
    let Some(kept) = &view.materialized else {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{spelled}\" is not a table or materialized view"),
        ));
    };
    if kept.continuous.is_some() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "operation not supported on continuous aggregate",
        )
        .hint(
            "Use \"refresh_continuous_aggregate\" or set up a policy to refresh the continuous \
             aggregate.",
        ));
    }
    shared.check_owner(view.id)?;
    if concurrently {
        check_concurrently(shared, &view, kept, with_data)?;
    }
    shared.transact(|transaction| transaction.truncate(kept.table))?;
    if with_data {
        let query = chronolith_sql::query(&view.query)?;
        let filled = fill(shared, kept.table, &query).await;
        filled.map_err(|error| {
            let mut error = match concurrently {
                true => error,
                false => of_new_index(error),
            };
            error.table = error.table.map(|_| view.name.clone());
            error
        })?;
    }
    if kept.populated == with_data {
        return Ok(());
    }
    let mut view = View::clone(&view);
    if let Some(kept) = &mut view.materialized {
        kept.populated = with_data;
    }
    shared.change(Change::ChangeView {
        database: shared.database,
        view,
    })
}

/// Others go on reading while rows are replaced here in any case; what PostgreSQL asks for is asked
/// for, so that a schema made here works there.
fn check_concurrently(
    shared: &Arc<Shared>,
    view: &View,
    kept: &Materialized,
    with_data: bool,
) -> Result<(), Error> {
    if !kept.populated {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "CONCURRENTLY cannot be used when the materialized view is not populated",
        ));
    }
    if !with_data {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "CONCURRENTLY and WITH NO DATA options cannot be used together",
        ));
    }
    let table = super::hypertable::table_of(shared, kept.table)?;
    if table.indexes.iter().any(|index| index.unique) {
        return Ok(());
    }
    let home = shared.home()?;
    let schema = home.schemas.get(&view.schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    let quoted = chronolith_sql::quoted;
    Err(Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!(
            "cannot refresh materialized view \"{}.{}\" concurrently",
            quoted(schema),
            quoted(&view.name)
        ),
    )
    .hint(
        "Create a unique index with no WHERE clause on one or more columns of the materialized \
         view.",
    ))
}

/// PostgreSQL builds the indexes of the new rows when they are there, and says so.
fn of_new_index(mut error: Error) -> Error {
    if error.code == SqlState::UNIQUE_VIOLATION {
        let from = "duplicate key value violates unique constraint";
        error.message = error.message.replace(from, "could not create unique index");
        let detail = error.detail.as_ref();
        error.detail = detail.map(|text| text.replace(" already exists.", " is duplicated."));
    }
    error
}

/// The table that has the rows of a materialized view, under the view's name.
pub(crate) fn rows_of(shared: &Shared, view: &View) -> Result<Option<Arc<Table>>, Error> {
    let Some(kept) = view.kept() else {
        return Ok(None);
    };
    let mut table = Table::clone(&*super::hypertable::table_of(shared, kept.table)?);
    table.name.clone_from(&view.name);
    Ok(Some(Arc::new(table)))
}

/// A table of a name, or that of a materialized view's rows under the view's name.
pub(crate) fn table_or_rows(
    shared: &Shared,
    schema: Option<&str>,
    name: &str,
) -> Result<Option<Arc<Table>>, Error> {
    if let Some(table) = shared.find_table(schema, name)? {
        return Ok(Some(table));
    }
    match shared.find_view(schema, name)? {
        Some(view) => rows_of(shared, &view),
        None => Ok(None),
    }
}

/// ALTER MATERIALIZED VIEW, and what of ALTER TABLE a materialized view takes.
pub(super) fn alter(shared: &Arc<Shared>, of: &AlterTable) -> Result<(), Error> {
    let (schema, name) = (of.name.schema(), of.name.name());
    let Some(view) = shared.find_view(schema, name)? else {
        if shared.find_table(schema, name)?.is_some() {
            return Err(not_materialized(name));
        }
        let missing = undefined_table(schema, name);
        if of.if_exists {
            shared.skip(&missing);
            return Ok(());
        }
        return Err(missing);
    };
    if view.materialized.is_none() {
        return Err(not_materialized(name));
    }
    for action in &of.actions {
        let home = shared.home()?;
        let now = home.views.get(&view.id);
        let now = now.ok_or_else(|| Error::internal("the altered view is gone"))?;
        let held = Rows::of(shared, now.id)?;
        match now.kept() {
            Some(_) => one(shared, now, action)?,
            None => rollups::alter(shared, now, action)?,
        }
        if let Some(held) = held {
            held.follow(shared, "altering a view")?;
        }
    }
    Ok(())
}

fn not_materialized(name: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not a materialized view"),
    )
}

fn one(shared: &Arc<Shared>, view: &View, action: &AlterAction) -> Result<(), Error> {
    let database = shared.database;
    let Some(rows) = view.kept().map(|kept| kept.table) else {
        return Err(not_materialized(&view.name));
    };
    let mut changed = View::clone(view);
    match action {
        AlterAction::RenameTo(to) => {
            check_name(&to.value)?;
            changed.name.clone_from(&to.value);
            shared.change(Change::ChangeView {
                database,
                view: changed,
            })?;
            let (old, new) = ((view.schema, &*view.name), (view.schema, &*to.value));
            moved_views(shared, old, new, "renaming a materialized view")
        }
        AlterAction::SetSchema(schema) => {
            changed.schema = shared.creation_schema(Some(&schema.value))?;
            shared.change(Change::SetTableSchema {
                database,
                id: rows,
                schema: changed.schema,
            })?;
            let new = (changed.schema, &*view.name);
            shared.change(Change::ChangeView {
                database,
                view: changed,
            })?;
            let old = (view.schema, &*view.name);
            moved_views(shared, old, new, "moving a materialized view")
        }
        AlterAction::OwnerTo(role) => {
            changed.owner = role_of(shared, &role.value)?;
            shared.change(Change::SetTableOwner {
                database,
                id: rows,
                owner: changed.owner,
            })?;
            shared.change(Change::ChangeView {
                database,
                view: changed,
            })
        }
        AlterAction::RenameColumn { from, to } => {
            check_name(&to.value)?;
            let names = changed.columns.clone();
            for column in &mut changed.columns {
                if *column == from.value {
                    column.clone_from(&to.value);
                }
            }
            let of = (view.id, view.schema, view.name.as_str());
            let renamed = Renamed::of(shared, of, &names, (&from.value, &to.value))?;
            let table = super::hypertable::table_of(shared, rows)?;
            super::alter::rename_kept_column(shared, &table, from, &to.value)?;
            shared.change(Change::ChangeView {
                database,
                view: changed,
            })?;
            renamed.map_or(Ok(()), |renamed| renamed.keep(shared))?;
            keep_views(shared, view.schema, &view.name, "renaming a column")
        }
        AlterAction::SetOptions(options) | AlterAction::ResetOptions(options) => {
            check_options(options)
        }
        action => Err(refused(&view.name, "materialized view", action)),
    }
}

/// What ALTER TABLE does to tables alone.
pub(super) fn refused(name: &str, kind: &str, action: &AlterAction) -> Error {
    let what = match action {
        AlterAction::RowSecurity { .. } => "ENABLE and DISABLE ROW LEVEL SECURITY",
        AlterAction::Trigger { name, enabled } => match (enabled, name) {
            ('D', None) => "DISABLE TRIGGER ALL",
            ('D', Some(_)) => "DISABLE TRIGGER",
            ('A', _) => "ENABLE ALWAYS TRIGGER",
            ('R', _) => "ENABLE REPLICA TRIGGER",
            (_, None) => "ENABLE TRIGGER ALL",
            _ => "ENABLE TRIGGER",
        },
        AlterAction::AddColumn { .. } => "ADD COLUMN",
        AlterAction::DropColumn { .. } => "DROP COLUMN",
        AlterAction::Cluster(_) => "CLUSTER",
        AlterAction::SetType { .. } => "ALTER COLUMN ... SET DATA TYPE",
        AlterAction::SetDefault { .. } => "ALTER COLUMN ... SET DEFAULT",
        AlterAction::SetNotNull { not_null: true, .. } => "ALTER COLUMN ... SET NOT NULL",
        AlterAction::SetNotNull { .. } => "ALTER COLUMN ... DROP NOT NULL",
        AlterAction::Identity(_) => "ALTER COLUMN ... SET",
        AlterAction::DropExpression { .. } => "ALTER COLUMN ... DROP EXPRESSION",
        AlterAction::ValidateConstraint(_) => "VALIDATE CONSTRAINT",
        AlterAction::AlterConstraint { .. } => "ALTER CONSTRAINT",
        AlterAction::SetLogged(true) => "SET LOGGED",
        AlterAction::SetLogged(false) => "SET UNLOGGED",
        AlterAction::AddConstraint(_) => "ADD CONSTRAINT",
        AlterAction::DropConstraint { .. } => "DROP CONSTRAINT",
        AlterAction::RenameConstraint { .. } => {
            return Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a table"),
            );
        }
        AlterAction::Other(words) => {
            return Error::unsupported(format!("ALTER {} … {words}", kind.to_uppercase()));
        }
        _ => return Error::unsupported(format!("this form of ALTER {}", kind.to_uppercase())),
    };
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("ALTER action {what} cannot be performed on relation \"{name}\""),
    )
    .detail(format!("This operation is not supported for {kind}s."))
}
