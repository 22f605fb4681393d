//! Expressions and queries as PostgreSQL writes them: every cast that was meant spelled out, every
//! column with its relation, lines broken where its `ruleutils.c` breaks them.
//!
//! What defaults, checks, indexes and views say is kept as it was written. What is shown of it is
//! read and bound anew: the types found say which constants and operands are cast to what, the
//! scopes say which relation a column is of. A kind of expression that is not known here is shown
//! as it was written. Trees become what is shown ([`read`], [`calls`], [`select`]), and that
//! becomes text ([`shown`], [`layout`]).

mod calls;
mod layout;
mod operators;
mod query;
mod read;
mod select;
mod shown;

use std::rc::Rc;

use arrow::datatypes::DataType;
use chronolith_types::SqlType;

use super::names::Names;
use super::scope::{Alias, Scope, ScopeColumn};
use super::state::{Binder, Clause, unnamed};
use layout::Writer;
use query::{Body, Query, Select};
use read::Reader;

/// An expression over a relation's columns, as `pg_get_expr` shows it; None for one that is not
/// understood. What is assigned to a `target` is of its type.
pub fn deparse(
    names: &dyn Names,
    sql: &str,
    columns: &[(String, SqlType, DataType)],
    target: Option<&SqlType>,
    pretty: bool,
) -> Option<String> {
    let tree = chronolith_sql::expression(sql).ok()?;
    let scope = Scope {
        columns: columns
            .iter()
            .map(|(name, ty, arrow)| ScopeColumn {
                column: name.clone(),
                ty: ty.clone(),
                arrow: arrow.clone(),
                ..unnamed(name)
            })
            .collect(),
        relations: Vec::<Alias>::new(),
    };
    let mut binder = Binder::new(names, &[]);
    let mut reader = Reader {
        binder: &mut binder,
        scope: Rc::new(scope),
        clause: Clause::Check,
        levels: Vec::new(),
        names: Vec::new(),
        touched: false,
    };
    let (shown, ty) = reader.read(&tree).ok()?;
    let target = target.unwrap_or(&SqlType::Text);
    let shown = reader.settled(shown, &ty, target).ok()?;
    Some(with_types(names, &shown.text(pretty)))
}

/// A condition over OLD and NEW, rows of a table, as `pg_get_triggerdef` shows it; None for one that
/// is not understood.
pub fn deparse_condition(
    names: &dyn Names,
    sql: &str,
    columns: &[(String, SqlType, DataType)],
    pretty: bool,
) -> Option<String> {
    let tree = chronolith_sql::expression(sql).ok()?;
    let mut scope = Scope::default();
    let mut level = read::Level::default();
    for row in ["old", "new"] {
        for (name, ty, arrow) in columns {
            let internal = format!("{row}.{name}");
            let shown = (Some(row.to_owned()), name.clone());
            level.columns.insert(internal.clone(), shown);
            scope.columns.push(ScopeColumn {
                table: Some(row.to_owned()),
                column: internal,
                ty: ty.clone(),
                arrow: arrow.clone(),
                ..unnamed(name)
            });
        }
        scope.relations.push(Alias {
            name: row.to_owned(),
            schema: None,
            hides: None,
        });
    }
    let mut binder = Binder::new(names, &[]);
    let mut reader = Reader {
        binder: &mut binder,
        scope: Rc::new(scope),
        clause: Clause::Check,
        levels: vec![level],
        names: Vec::new(),
        touched: false,
    };
    let (shown, ty) = reader.read(&tree).ok()?;
    let shown = reader.settled(shown, &ty, &SqlType::Bool).ok()?;
    Some(with_types(names, &shown.text(pretty)))
}

/// Puts the names of users' types in the place of their marks: with the schema where the search path
/// does not find them, as whoever restores a dump has none.
fn with_types(names: &dyn Names, text: &str) -> String {
    let mut parts = text.split(shown::TYPE_MARK);
    let mut out = parts.next().unwrap_or_default().to_owned();
    while let (Some(oid), Some(name)) = (parts.next(), parts.next()) {
        let known = oid.parse().ok().and_then(|oid| names.type_shown(oid));
        out.push_str(known.as_deref().unwrap_or(name));
        out.push_str(parts.next().unwrap_or_default());
    }
    out
}

/// The query of a view as `pg_get_viewdef` shows it, under the view's names of its columns; None
/// for one that is not understood. Lists are broken where lines get longer than `wrap`.
pub fn deparse_query(
    names: &dyn Names,
    sql: &str,
    columns: &[String],
    pretty: bool,
    wrap: Option<usize>,
) -> Option<String> {
    let tree = chronolith_sql::query(sql).ok()?;
    let mut binder = Binder::new(names, &[]);
    binder.open_gaps = true;
    // Its schemas are entered as its owner does.
    binder.view = Some(0);
    let mut reader = Reader {
        binder: &mut binder,
        scope: Rc::default(),
        clause: Clause::Select,
        levels: Vec::new(),
        // The names that rules have for rows.
        names: vec!["old".to_owned(), "new".to_owned()],
        touched: false,
    };
    let mut query = reader.query(&tree, None).ok()?;
    rename(&mut query, columns);
    let mut writer = Writer::new(pretty, wrap);
    writer.query(&query, true);
    Some(with_types(names, &writer.finish()))
}

/// Gives the columns of a query the names that its view has for them.
fn rename(query: &mut Query, columns: &[String]) {
    fn of(select: &mut Select, columns: &[String]) {
        for (target, name) in select.targets.iter_mut().zip(columns) {
            target.name.clone_from(name);
        }
    }
    match &mut query.body {
        Body::Select(select) => of(select, columns),
        Body::Set(set) => set.arms(&mut |arm| rename(arm, columns)),
        Body::Values(rows) => {
            let mut numbers = (1..).zip(columns);
            if !numbers.all(|(number, name): (usize, &String)| *name == format!("column{number}")) {
                *query = query::named_values(std::mem::take(rows), columns);
            }
        }
    }
}
