//! Statements that there is nothing to be done for: about things of a dump that are part of another
//! here, or that there is nothing of.

use std::sync::Arc;

use chronolith_catalog::Database;
use chronolith_sql::{GrantTarget, Granted, Name, ObjectKind, Statement, ast};

use super::key;
use crate::error::Error;
use crate::session::Shared;

/// The schemas of TimescaleDB's functions, of now and before.
const FUNCTIONS: [&str; 2] = ["_timescaledb_functions", "_timescaledb_internal"];

/// The schemas of TimescaleDB's own tables and sequences, of now and before.
pub(super) const CATALOGS: [&str; 3] = [
    "_timescaledb_catalog",
    "_timescaledb_config",
    "_timescaledb_cache",
];

/// Whether a statement is about nothing but such things. What a chunk's owner, rights, keys, indexes
/// and triggers are follows from its hypertable.
pub(super) fn passes(shared: &Arc<Shared>, statement: &Statement) -> Result<bool, Error> {
    let home = shared.home()?;
    if let Statement::CreateTrigger(create) = statement
        && let Some(schema) = create.function.schema()
        && FUNCTIONS.contains(&schema)
        && home.schema_named(schema).is_none_or(|schema| {
            let mut own = home.routines_named(schema.id, create.function.name());
            own.next().is_none()
        })
    {
        // Hypertables refuse rows of their own, and continuous aggregates follow, without triggers.
        return Ok(true);
    }
    if home.arrival.is_empty() {
        return Ok(false);
    }
    let none = |name: &Name| is_none(&home, name);
    Ok(match statement {
        Statement::AlterTable(of) => none(&of.name),
        Statement::CreateIndex(create) => none(&create.table),
        Statement::CreateTrigger(create) => none(&create.table),
        Statement::Comment { name, .. } => none(name),
        Statement::Grant(of) => match &of.granted {
            Granted::Rights {
                on:
                    GrantTarget::Objects {
                        kind: ObjectKind::Table,
                        names,
                        ..
                    },
                ..
            } => names.iter().all(none),
            _ => false,
        },
        Statement::Truncate { tables, only, .. } => tables.iter().all(|name| {
            // A restore by several connections empties what it has made just now, and a hypertable's
            // rows are those of its chunks, which may have come.
            none(name) || (*only && has_parts(shared, &home, name).unwrap_or(false))
        }),
        _ => false,
    })
}

fn is_none(home: &Database, name: &Name) -> bool {
    let Some(schema) = name.schema() else {
        return false;
    };
    let known = key(schema, name.name());
    if home.arrival.aside.contains(&known) {
        return true;
    }
    let part = home.arrival.parts.get(&known);
    part.is_some_and(|part| {
        // What candles come in is a table of that very name.
        let table = home.tables.get(&part.table);
        table.is_some_and(|table| table.name != name.name())
    })
}

/// Whether a dump has the rows of a table in others.
fn has_parts(shared: &Shared, home: &Database, name: &Name) -> Result<bool, Error> {
    let table = shared.find_table(name.schema(), name.name())?;
    let mut parts = home.arrival.parts.values();
    Ok(table.is_some_and(|table| parts.any(|part| part.table == table.id)))
}

/// `SELECT setval('_timescaledb_catalog.chunk_id_seq', 7, true)`, as a query of that number: here
/// numbers follow from what there is.
pub(crate) fn counted(query: &ast::Query) -> Option<Box<ast::Query>> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let [ast::SelectItem::UnnamedExpr(ast::Expr::Function(call))] = select.projection.as_slice()
    else {
        return None;
    };
    let name = call.name.0.last().and_then(|part| part.as_ident())?;
    if name.value != "setval" || !select.from.is_empty() {
        return None;
    }
    let ast::FunctionArguments::List(args) = &call.args else {
        return None;
    };
    let mut args = args.args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Value(value))) => {
            Some(&value.value)
        }
        _ => None,
    });
    let (Some(ast::Value::SingleQuotedString(of)), Some(ast::Value::Number(to, _))) =
        (args.next().flatten(), args.next().flatten())
    else {
        return None;
    };
    let (schema, name) = of.split_once('.')?;
    let own = name.ends_with("_seq") || name == "chunk_constraint_name";
    if !CATALOGS.contains(&schema) || !own {
        return None;
    }
    chronolith_sql::query(&format!("SELECT {to}::bigint AS setval")).ok()
}
