//! CREATE INDEX.
//!
//! Rows are found by chunk, series and order of time; an index is kept for what it promises
//! (uniqueness) and for those who read the catalogs.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::{
    Change, Constraint, ConstraintKind, ConstraintMarks, Index, KeyMarks, Table,
};
use chronolith_sql::{CreateIndex, IndexKey, ast};
use chronolith_types::{IndexId, SqlState, SqlType};
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, Volatility};

use super::materialized::table_or_rows;
use super::options;
use super::table::{check_name, free_name, names_of};
use super::{hypertable, index_classes};
use crate::bind::{Alone, bind_alone, name_of};
use crate::error::Error;
use crate::functions::DOMAIN_CHECK;
use crate::insert::{Uniques, names_object, undefined_table};
use crate::labels;
use crate::outcome::Severity;
use crate::rollups;
use crate::session::{SessionNames, Shared};

/// What an expression is called where it is the key of an index.
pub(crate) fn word_of(key: &str) -> String {
    // Behind the parenthesis that ends it stands the order.
    let end = key.rfind(')').map_or(key.len(), |at| at + 1);
    match chronolith_sql::expression(key.get(..end).unwrap_or(key)) {
        Ok(tree) => word_for(&tree),
        Err(_) => "expr".to_owned(),
    }
}

pub(super) fn word_for(key: &ast::Expr) -> String {
    match name_of(key) {
        nothing if nothing == "?column?" => "expr".to_owned(),
        name => name,
    }
}

/// Words that no two are alike of: a number stands behind those that were there before.
pub(crate) fn told_apart(words: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for word in words {
        let mut free = word.clone();
        let mut number = 0_u32;
        while names.contains(&free) {
            number += 1;
            free = format!("{word}{number}");
        }
        names.push(free);
    }
    names
}

/// Whether an expression gives the same value for ever. What a domain's checks call does not matter.
pub(super) fn is_immutable(expr: &Expr) -> Result<bool, Error> {
    let changes = |node: &Expr| match node {
        Expr::ScalarFunction(call) => {
            call.func.signature().volatility != Volatility::Immutable
                && call.func.name() != DOMAIN_CHECK
                && !names_object(call)
        }
        _ => false,
    };
    Ok(!expr.exists(|node| Ok(changes(node)))?)
}

/// What a key of an index is called, or its expression in parentheses, and its type; `absent` says
/// that there is no such column.
///
/// # Errors
/// 42703, what the expression is refused for, and 42P17 when its value may change.
pub(super) fn key_of(
    names: &SessionNames,
    table: &Table,
    columns: &[(String, SqlType, DataType)],
    key: &IndexKey,
    absent: impl Fn(&str) -> Error,
) -> Result<(String, SqlType), Error> {
    if let Some(column) = &key.column {
        let found = table.column_named(&column.value);
        let (_, found) = found.ok_or_else(|| absent(&column.value))?;
        return Ok((column.value.clone(), found.ty.clone()));
    }
    let kind = Alone::IndexKey;
    let bound = bind_alone(names, &key.expr.expr, &table.name, columns, kind)?;
    if !is_immutable(&bound.expr)? {
        return Err(not_immutable("expression"));
    }
    Ok((format!("({})", key.expr.text), bound.ty))
}

fn no_column(name: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{name}\" does not exist"),
    )
}

pub(super) fn not_immutable(part: &str) -> Error {
    Error::new(
        SqlState::INVALID_OBJECT_DEFINITION,
        format!("functions in index {part} must be marked IMMUTABLE"),
    )
}

pub(super) fn create(shared: &Arc<Shared>, create: &CreateIndex) -> Result<(), Error> {
    let (schema, name) = (create.table.schema(), create.table.name());
    let rows = match rollups::indexed(shared, schema, name, create.unique)? {
        None => table_or_rows(shared, schema, name)?,
        rows => rows,
    };
    let Some(table) = rows else {
        return Err(match shared.find_view(schema, name)? {
            Some(_) => Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot create index on relation \"{name}\""),
            )
            .detail("This operation is not supported for views."),
            None => undefined_table(schema, name),
        });
    };
    labels::before_index(shared, table.id)?;
    if !matches!(
        create.method.as_str(),
        "btree" | "hash" | "brin" | "gin" | "gist" | "spgist"
    ) {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{}\" does not exist", create.method),
        ));
    }
    if create.unique && create.method != "btree" {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "access method \"{}\" does not support unique indexes",
                create.method
            ),
        ));
    }
    for option in &create.options {
        // TimescaleDB's way of locking one chunk at a time: nothing is locked here.
        let known = matches!(
            option.name.as_str(),
            "timescaledb.transaction_per_chunk"
                | "fillfactor"
                | "deduplicate_items"
                | "pages_per_range"
        );
        if !known {
            options::TableOptions::read(std::slice::from_ref(option))?;
        }
    }
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect();
    let names = SessionNames::new(shared)?;
    let mut keys = Vec::with_capacity(create.keys.len());
    let mut plain = Vec::new();
    let mut marks = Vec::with_capacity(create.keys.len());
    for key in &create.keys {
        plain.extend(key.column.as_ref().map(|column| column.value.clone()));
        let (text, ty) = key_of(&names, &table, &columns, key, no_column)?;
        marks.push(index_classes::marks(key, &create.method, &ty)?);
        let order = match (key.desc, key.nulls_first) {
            (false, false) => "",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC",
            (true, false) => " DESC NULLS LAST",
        };
        keys.push(format!("{text}{order}"));
    }
    for column in &create.include {
        if table.column_named(&column.value).is_none() {
            return Err(no_column(&column.value));
        }
    }
    if let Some(predicate) = &create.predicate {
        let kind = Alone::IndexPredicate;
        let bound = bind_alone(&names, &predicate.expr, &table.name, &columns, kind)?;
        if !matches!(bound.ty, SqlType::Bool | SqlType::Unknown) {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "argument of WHERE must be type boolean, not type {}",
                    bound.ty.without_typmod()
                ),
            ));
        }
        if !is_immutable(&bound.expr)? {
            return Err(not_immutable("predicate"));
        }
    }
    if marks.iter().all(|marks| *marks == KeyMarks::default()) {
        marks.clear();
    }
    let home = shared.home()?;
    let taken = |name: &str| home.relation_exists(table.schema, name);
    let name = match &create.name {
        Some(name) => {
            check_name(&name.value)?;
            if taken(&name.value) {
                let message = format!("relation \"{}\" already exists", name.value);
                if !create.if_not_exists {
                    return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
                }
                shared.notice(
                    Severity::Notice,
                    Error::new(SqlState::DUPLICATE_TABLE, format!("{message}, skipping")),
                );
                return Ok(());
            }
            name.value.clone()
        }
        None => {
            let words = told_apart(create.keys.iter().map(|key| match &key.column {
                Some(column) => column.value.clone(),
                None => word_for(&key.expr.expr),
            }));
            free_name(&table.name, &words, "idx", taken)
        }
    };
    let by_columns =
        plain.len() == create.keys.len() && create.predicate.is_none() && !create.nulls_alike;
    if create.unique {
        hypertable::check_key(&table, &plain)?;
    }
    if create.unique && by_columns {
        // Uniqueness is kept where keys are: as a constraint of the index's name.
        let columns = plain
            .iter()
            .filter_map(|name| table.column_named(name))
            .map(|(_, column)| column.id)
            .collect();
        let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
        let added = shared.change(Change::AddConstraint {
            database: shared.database,
            table: table.id,
            constraint: Constraint {
                id,
                name: name.clone(),
                kind: ConstraintKind::Unique { columns },
                marks: ConstraintMarks::default(),
            },
        });
        added.map_err(|mut error| {
            // A materialized view's rows are in a table that nobody named.
            error.table = error.table.map(|_| table.name.clone());
            error
        })?;
    }
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    let index = Index {
        id: IndexId(id),
        name,
        method: create.method.clone(),
        keys,
        unique: create.unique,
        constraint: false,
        predicate: create.predicate.as_ref().map(|text| text.text.clone()),
        include: names_of(&create.include),
        nulls_alike: create.nulls_alike,
        options: create
            .options
            .iter()
            .filter(|option| !option.name.contains('.'))
            .map(|option| {
                let value = option.value.clone().unwrap_or_else(|| "true".to_owned());
                (option.name.clone(), value)
            })
            .collect(),
        marks,
    };
    if create.unique && !by_columns {
        Uniques::of_one(shared, &table, &index)?.hold_all(shared)?;
    }
    shared.change(Change::CreateIndex {
        database: shared.database,
        table: table.id,
        index,
    })?;
    labels::indexed(shared, table.id)
}
