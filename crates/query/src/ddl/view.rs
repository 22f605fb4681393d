//! CREATE VIEW.

use std::sync::Arc;

use chronolith_catalog::{Change, View};
use chronolith_sql::CreateView;
use chronolith_types::{SqlState, TableId};

use super::drop::reads;
use super::run::owner;
use super::table::check_name;
use crate::bind::bind_query;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared};

pub(super) fn create(shared: &Arc<Shared>, create: &CreateView) -> Result<(), Error> {
    if create.materialized {
        let continuous = create
            .options
            .iter()
            .any(|option| option.name.ends_with(".continuous"));
        return Err(Error::unsupported(if continuous {
            "a continuous aggregate"
        } else {
            "CREATE MATERIALIZED VIEW"
        }));
    }
    if create.temporary {
        return Err(Error::unsupported("CREATE TEMPORARY VIEW"));
    }
    for option in &create.options {
        // Nobody can write through a view here, and its reader's rights are checked anyway.
        if !matches!(
            option.name.as_str(),
            "security_barrier" | "security_invoker" | "check_option"
        ) {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized parameter \"{}\"", option.name),
            ));
        }
    }
    let name = create.name.name();
    check_name(name)?;
    let names = SessionNames::new(shared)?;
    let bound = bind_query(&names, &create.query, &[])?;
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
    let schema = shared.creation_schema(create.name.schema())?;
    let home = shared.home()?;
    let known = home.view_named(schema, name).cloned();
    let id = match &known {
        Some(view) if create.or_replace => {
            let kept = view
                .columns
                .iter()
                .zip(&columns)
                .all(|(old, new)| old == new);
            if !kept || columns.len() < view.columns.len() {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    "cannot drop columns from view or change their names",
                ));
            }
            view.id
        }
        _ => {
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
            TableId(shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?)
        }
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
        },
        replace: known.is_some(),
    })
}

/// The query as it is kept: it names the schemas of its relations and the columns of `*`, so that it
/// means the same on another search path and when a table has got more columns.
fn text_of(shared: &Arc<Shared>, create: &CreateView) -> Result<String, Error> {
    let query = chronolith_sql::query(&create.text)?;
    let bound = bind_query(&SessionNames::new(shared)?, &query, &[])?;
    Ok(chronolith_sql::edited(&create.text, &bound.edits))
}

/// Views that read a relation of that name and cannot be read any more.
pub(super) fn broken(shared: &Arc<Shared>, name: &str) -> Result<Vec<View>, Error> {
    let home = shared.home()?;
    if !home.views.values().any(|view| reads(&view.query, name)) {
        return Ok(Vec::new());
    }
    let names = SessionNames::new(shared)?;
    let fails = |view: &View| {
        let query = chronolith_sql::query(&view.query).map_err(Error::from);
        query
            .and_then(|query| bind_query(&names, &query, &[]))
            .is_err()
    };
    let views = home.views.values().filter(|view| fails(view));
    Ok(views.map(|view| View::clone(view)).collect())
}
