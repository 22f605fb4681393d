//! CREATE VIEW.

use std::sync::Arc;

use chronolith_catalog::{Change, CheckOption, Database, View};
use chronolith_sql::{CreateView, Opt};
use chronolith_types::{SchemaId, SqlState, TableId};

use super::rows::Rows;
use super::run::owner;
use super::table::{check_name, refuse_type};
use crate::bind::{Bound, bind_kept, bind_query, unwritable};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared};

pub(crate) fn create(shared: &Arc<Shared>, create: &CreateView) -> Result<(), Error> {
    let mut said = Said::default();
    for option in &create.options {
        said.option(option)?;
    }
    let check = said.check;
    let name = create.name.name();
    check_name(name)?;
    let names = SessionNames::new(shared)?;
    let bound = bind_query(&names, &create.query, &[])?;
    let columns = columns_of(create, &bound)?;
    if check.is_some()
        && let Some(why) = unwritable(&names, &create.query, true)?
    {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "WITH CHECK OPTION is supported only on automatically updatable views",
        )
        .hint(why));
    }
    let reads = |used: &crate::bind::Use| shared.is_temporary(TableId(used.relation));
    let lent = bound.uses.iter().any(reads);
    let schema = match create.name.schema() {
        None if lent && !create.temporary => {
            let message = format!("view \"{name}\" will be a temporary view");
            let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
            shared.notice(Severity::Notice, notice);
            shared.need_temporary_schema()?
        }
        schema if lent || create.temporary => shared.temporary_place(schema)?,
        schema => shared.creation_schema(schema)?,
    };
    let home = shared.home()?;
    let known = home.view_named(schema, name).cloned();
    let id = match &known {
        Some(view) if create.or_replace && view.materialized.is_some() => {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a view"),
            ));
        }
        Some(view) if create.or_replace => {
            refuse_other_columns(shared, view, &columns, &bound)?;
            view.id
        }
        _ => {
            if create.or_replace && home.relation_exists(schema, name) {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{name}\" is not a view"),
                ));
            }
            if home.relation_exists(schema, name) {
                let message = format!("relation \"{name}\" already exists");
                if create.if_not_exists {
                    shared.notice(
                        Severity::Notice,
                        Error::new(SqlState::DUPLICATE_TABLE, format!("{message}, skipping")),
                    );
                    return Ok(());
                }
                return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
            }
            refuse_type(shared, schema, name)?;
            TableId(shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?)
        }
    };
    let held = match &known {
        Some(_) => Rows::of(shared, id)?,
        None => None,
    };
    shared.change(Change::CreateView {
        database: shared.database,
        view: View {
            id,
            schema,
            name: name.to_owned(),
            owner: owner(shared)?,
            query: text_of(shared, create)?,
            columns,
            materialized: None,
            check,
            invoker: said.invoker,
            barrier: said.barrier,
            // They stay with the columns that were there.
            defaults: known
                .as_ref()
                .map_or_else(Default::default, |view| view.defaults.clone()),
        },
        replace: known.is_some(),
    })?;
    held.map_or(Ok(()), |held| held.follow(shared, "changing a view"))
}

/// 42P16 where a view's columns would not stay what they are.
fn refuse_other_columns(
    shared: &Arc<Shared>,
    view: &View,
    columns: &[String],
    bound: &Bound,
) -> Result<(), Error> {
    let refused = |message: String| Error::new(SqlState::INVALID_TABLE_DEFINITION, message);
    if columns.len() < view.columns.len() {
        return Err(refused("cannot drop columns from view".to_owned()));
    }
    let known = shared.columns_of(view).unwrap_or_default();
    let now = columns.iter().zip(&bound.columns);
    for ((old, ty), (new, column)) in known.iter().zip(now) {
        if old != new {
            return Err(refused(format!(
                "cannot change name of view column \"{old}\" to \"{new}\""
            ))
            .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if *ty != column.ty {
            return Err(refused(format!(
                "cannot change data type of view column \"{old}\" from {ty} to {}",
                column.ty
            )));
        }
    }
    Ok(())
}

/// What is said of a view behind WITH.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) check: Option<CheckOption>,
    pub(super) invoker: Option<bool>,
    pub(super) barrier: Option<bool>,
}

impl Said {
    pub(super) fn option(&mut self, option: &Opt) -> Result<(), Error> {
        let boolean = || {
            option.bool().ok_or_else(|| {
                let value = option.value.as_deref().unwrap_or_default();
                Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!(
                        "invalid value for boolean option \"{}\": {value}",
                        option.name
                    ),
                )
            })
        };
        match option.name.as_str() {
            "timescaledb.continuous" | "tsdb.continuous" => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot create continuous aggregate with CREATE VIEW",
                )
                .hint("Use CREATE MATERIALIZED VIEW to create a continuous aggregate."));
            }
            "check_option" => self.check = Some(check_option(option.value.as_deref())?),
            "security_invoker" => self.invoker = Some(boolean()?),
            "security_barrier" => self.barrier = Some(boolean()?),
            other => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized parameter \"{other}\""),
                ));
            }
        }
        Ok(())
    }
}

/// The value of `check_option`.
fn check_option(value: Option<&str>) -> Result<CheckOption, Error> {
    match value {
        Some("local") => Ok(CheckOption::Local),
        Some("cascaded") => Ok(CheckOption::Cascaded),
        value => Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!(
                "invalid value for enum option \"check_option\": {}",
                value.unwrap_or("true")
            ),
        )
        .detail("Valid values are \"local\" and \"cascaded\".")),
    }
}

/// What a view's columns are called.
///
/// # Errors
/// 42601 for more names than columns, 42701 for one that is there twice.
pub(crate) fn columns_of(create: &CreateView, bound: &Bound) -> Result<Vec<String>, Error> {
    if create.columns.len() > bound.columns.len() {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "CREATE VIEW specifies more column names than columns",
        ));
    }
    let columns: Vec<String> = bound
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| match create.columns.get(place) {
            Some(given) => given.value.clone(),
            None => column.name.clone(),
        })
        .collect();
    for (place, column) in columns.iter().enumerate() {
        if columns.iter().take(place).any(|before| before == column) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{column}\" specified more than once"),
            ));
        }
    }
    Ok(columns)
}

/// The query as it is kept: it names the schemas of its relations and the columns of `*`, so that it
/// means the same on another search path and when a table has got more columns.
pub(crate) fn text_of(shared: &Arc<Shared>, create: &CreateView) -> Result<String, Error> {
    let query = chronolith_sql::query(&create.text)?;
    let bound = bind_kept(&SessionNames::new(shared)?, &query)?;
    Ok(chronolith_sql::edited(&create.text, &bound.edits))
}

/// Views that read a relation of that name and cannot be read any more.
pub(super) fn broken(
    shared: &Arc<Shared>,
    schema: SchemaId,
    name: &str,
) -> Result<Vec<View>, Error> {
    let home = shared.home()?;
    if readers(&home, schema, name).next().is_none() {
        return Ok(Vec::new());
    }
    let names = SessionNames::new(shared)?;
    let fails = |view: &View| {
        let query = chronolith_sql::query(&view.query).map_err(Error::from);
        query.and_then(|query| bind_kept(&names, &query)).is_err()
    };
    let views = home.views.values().filter(|view| fails(view));
    Ok(views.map(|view| View::clone(view)).collect())
}

/// Has views read a relation that has got another schema or name meanwhile.
pub(super) fn follow(
    shared: &Arc<Shared>,
    from: (SchemaId, &str),
    to: (SchemaId, &str),
) -> Result<(), Error> {
    if from == to {
        return Ok(());
    }
    let home = shared.home()?;
    let schema = |id: SchemaId| {
        let schema = home.schemas.get(&id);
        schema.map_or("", |schema| schema.name.as_str())
    };
    let (old, new) = ((schema(from.0), from.1), (schema(to.0), to.1));
    for view in readers(&home, from.0, from.1) {
        let mut view = View::clone(view);
        view.query = chronolith_sql::rename_relation(&view.query, old, new)?;
        shared.change(Change::ChangeView {
            database: shared.database,
            view,
        })?;
    }
    Ok(())
}

/// Views that read a relation of that name themselves.
pub(crate) fn readers<'a>(
    home: &'a Database,
    schema: SchemaId,
    name: &'a str,
) -> impl Iterator<Item = &'a Arc<View>> {
    let schema = home.schemas.get(&schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    // A view's text names the schemas of all it reads.
    let reads = move |view: &&Arc<View>| {
        chronolith_sql::names_relation(&view.query, schema, name).unwrap_or(true)
    };
    home.views.values().filter(reads)
}

/// What a view is called in messages. A continuous aggregate is a view to its readers.
pub(super) fn kind_of(view: &View) -> &'static str {
    match view.kept() {
        Some(_) => "materialized view",
        None => "view",
    }
}
