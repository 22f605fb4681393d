//! EXCLUDE: what may be declared, by PostgreSQL's rules, though rows are found without the index.

use std::sync::Arc;

use chronolith_catalog::{Constraint, ConstraintKind, ConstraintMarks, Index, KeyMarks, Table};
use chronolith_sql::{Constraint as Declared, Exclude, IndexKey};
use chronolith_types::{IndexId, SqlState, SqlType};

use super::index::{is_immutable, not_immutable, word_for};
use super::table::{free_name, included, names_of};
use super::{hypertable, index_classes, told_apart, word_of};
use crate::bind::bind_over;
use crate::catalogs::{self, BTREE_GIST, btree_gist_family, family_of, is_member};
use crate::error::Error;
use crate::insert::columns_of;
use crate::session::{SessionNames, Shared};

/// The constraint, and the index of its name.
pub(super) fn constraint_of(
    shared: &Arc<Shared>,
    table: &Table,
    declared: &Declared,
    exclude: &Exclude,
) -> Result<(Constraint, Index), Error> {
    allowed(exclude, declared)?;
    let names = SessionNames::new(shared)?;
    let columns = columns_of(table);
    if let Some(predicate) = &exclude.predicate {
        let bound = bind_over(&names, &predicate.expr, &table.name, &columns)?;
        if bound.ty != SqlType::Bool {
            let words = "argument of WHERE must be type boolean, not type";
            let message = format!("{words} {}", bound.ty);
            return Err(Error::new(SqlState::DATATYPE_MISMATCH, message));
        }
        if !is_immutable(&bound.expr)? {
            return Err(not_immutable("predicate"));
        }
    }
    let mut keys = Vec::with_capacity(exclude.keys.len());
    let mut marks = Vec::with_capacity(exclude.keys.len());
    let mut plain = Vec::new();
    for (key, operator) in &exclude.keys {
        let (text, ty) = match &key.column {
            Some(column) => {
                let Some((_, found)) = table.column_named(&column.value) else {
                    return Err(not_in_key(&column.value));
                };
                plain.push(column.value.clone());
                (column.value.clone(), found.ty.clone())
            }
            None => {
                let bound = bind_over(&names, &key.expr.expr, &table.name, &columns)?;
                if !is_immutable(&bound.expr)? {
                    return Err(not_immutable("expression"));
                }
                (format!("({})", key.expr.text), bound.ty)
            }
        };
        let mark = index_classes::marks(key, &exclude.method, &ty)?;
        let order = fitting(shared, &names, exclude, (key, operator), &mark, &ty)?;
        marks.push(mark);
        keys.push(format!("{text}{order}"));
    }
    hypertable::check_key(table, &plain)?;
    if marks.iter().all(|marks| *marks == KeyMarks::default()) {
        marks.clear();
    }
    let words = exclude.keys.iter().map(|(key, _)| match &key.column {
        Some(column) => column.value.clone(),
        None => word_for(&key.expr.expr),
    });
    let words = told_apart(words.chain(names_of(&declared.include)));
    let name = declared.name.as_ref().map(|name| name.value.as_str());
    let of = Index {
        id: IndexId(0),
        name: free(shared, table, name, &words)?,
        method: exclude.method.clone(),
        keys,
        unique: false,
        constraint: true,
        predicate: exclude.predicate.as_ref().map(|text| text.text.clone()),
        include: included(table, declared)?,
        nulls_alike: false,
        options: exclude
            .options
            .iter()
            .map(|option| {
                let value = option.value.clone().unwrap_or_else(|| "true".to_owned());
                (option.name.clone(), value)
            })
            .collect(),
        marks,
    };
    let operators = exclude.keys.iter().map(|(_, operator)| operator.clone());
    let marks = ConstraintMarks {
        deferrable: declared.timing.deferrable,
        deferred: declared.timing.deferred,
        ..ConstraintMarks::default()
    };
    made(shared, of, operators.collect(), marks)
}

/// The same of a table that is made like another.
pub(super) fn like(
    shared: &Arc<Shared>,
    table: &Table,
    constraint: &Constraint,
    index: &Index,
) -> Result<(Constraint, Index), Error> {
    let word = |key: &String| match table.column_named(key) {
        Some(_) => key.clone(),
        None => word_of(key),
    };
    let behind = index.include.iter().cloned();
    let words = told_apart(index.keys.iter().map(word).chain(behind));
    let of = Index {
        name: free(shared, table, None, &words)?,
        ..index.clone()
    };
    let operators = constraint.kind.operators().unwrap_or_default().to_vec();
    made(shared, of, operators, constraint.marks)
}

fn made(
    shared: &Arc<Shared>,
    mut index: Index,
    operators: Vec<String>,
    marks: ConstraintMarks,
) -> Result<(Constraint, Index), Error> {
    let oid = || shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()));
    index.id = IndexId(oid()?);
    let constraint = Constraint {
        id: oid()?,
        name: index.name.clone(),
        kind: ConstraintKind::Exclude { operators },
        marks,
    };
    Ok((constraint, index))
}

/// Its name, or one that is free.
fn free(
    shared: &Arc<Shared>,
    table: &Table,
    name: Option<&str>,
    words: &[String],
) -> Result<String, Error> {
    let home = shared.home()?;
    let taken = |name: &str| {
        table.name == name
            || table.constraints.iter().any(|known| known.name == name)
            || table.indexes.iter().any(|known| known.name == name)
            || home.relation_exists(table.schema, name)
    };
    match name {
        Some(name) if taken(name) => Err(Error::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists"),
        )),
        Some(name) => Ok(name.to_owned()),
        None => Ok(free_name(&table.name, words, "excl", taken)),
    }
}

/// Whether the access method can do what is asked of it.
fn allowed(exclude: &Exclude, declared: &Declared) -> Result<(), Error> {
    let method = exclude.method.as_str();
    let (included, many, excludes) = match method {
        "btree" | "gist" => (true, true, true),
        "spgist" => (true, false, true),
        "hash" => (false, false, true),
        "gin" | "brin" => (false, true, false),
        _ => {
            return Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("access method \"{method}\" does not exist"),
            ));
        }
    };
    let lacks = if !included && !declared.include.is_empty() {
        "included columns"
    } else if !many && exclude.keys.len() > 1 {
        "multicolumn indexes"
    } else if !excludes {
        "exclusion constraints"
    } else {
        return Ok(());
    };
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("access method \"{method}\" does not support {lacks}"),
    ))
}

/// Holds a key's operator against what an index of its type is made by; the key's order as text.
fn fitting(
    shared: &Arc<Shared>,
    names: &SessionNames,
    exclude: &Exclude,
    (key, operator): (&IndexKey, &str),
    mark: &KeyMarks,
    ty: &SqlType,
) -> Result<&'static str, Error> {
    let method = exclude.method.as_str();
    let known = family_of(method, mark.class.as_deref(), ty);
    let family = match known {
        Some((_, family)) => family,
        None => own_family(shared, method, ty)?,
    };
    // What is not there at all is told of as in any expression.
    let arrow = ty.arrow();
    let sides = [
        ("one".to_owned(), ty.clone(), arrow.clone()),
        ("other".to_owned(), ty.clone(), arrow),
    ];
    let both = chronolith_sql::expression(&format!("one {operator} other"))?;
    // The place is one in a text that nobody wrote.
    bind_over(names, &both, "", &sides).map_err(|error| Error {
        position: None,
        ..error
    })?;
    let Some(found) = catalogs::operator_between(operator, ty) else {
        let what = format!("EXCLUDE with operator {operator} of type {ty}");
        return Err(Error::unsupported(what));
    };
    let unfit = |message: String, detail: &str| {
        Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).detail(detail.to_owned()))
    };
    if !found.commutes {
        return unfit(
            format!("operator {} is not commutative", found.shown),
            "Only commutative operators can be used in exclusion constraints.",
        );
    }
    let member = match known {
        Some((family, _)) => is_member(family, found.oid),
        None => matches!(operator, "=" | "<>"),
    };
    if !member {
        return unfit(
            format!(
                "operator {} is not a member of operator family \"{family}\"",
                found.shown
            ),
            "The exclusion operator must be related to the index operator class for the constraint.",
        );
    }
    let order = match (key.desc, key.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    };
    if method != "btree" && !order.is_empty() {
        let what = if key.desc {
            "ASC/DESC"
        } else {
            "NULLS FIRST/LAST"
        };
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("access method \"{method}\" does not support {what} options"),
        ));
    }
    Ok(order)
}

/// The family that an extension has for a type.
fn own_family(shared: &Arc<Shared>, method: &str, ty: &SqlType) -> Result<&'static str, Error> {
    let home = shared.home()?;
    let made = catalogs::extension_version(&home, BTREE_GIST.0).is_some();
    let own = btree_gist_family(ty).filter(|_| made && method == "gist");
    own.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("data type {ty} has no default operator class for access method \"{method}\""),
        )
        .hint("You must specify an operator class for the index or define a default operator class for the data type.")
    })
}

/// The class of operators that an exclusion needs of the extension `btree_gist`.
pub(super) fn class_of_extension(
    shared: &Arc<Shared>,
    table: &Table,
    index: &Index,
) -> Result<Option<&'static str>, Error> {
    if index.method != "gist" {
        return Ok(None);
    }
    let names = SessionNames::new(shared)?;
    let columns = columns_of(table);
    for (place, key) in index.keys.iter().enumerate() {
        let tree = chronolith_sql::expression(&catalogs::key_of_index(table, key))?;
        let ty = bind_over(&names, &tree, &table.name, &columns)?.ty;
        let class = index.marks.get(place);
        let class = class.and_then(|mark| mark.class.as_deref());
        if family_of("gist", class, &ty).is_none() {
            return Ok(btree_gist_family(&ty));
        }
    }
    Ok(None)
}

/// Whether an exclusion names a column.
pub(super) fn names_column(index: &Index, column: &str) -> Result<bool, Error> {
    if index.include.iter().any(|known| known == column) {
        return Ok(true);
    }
    for text in index.keys.iter().chain(&index.predicate) {
        if text == column || chronolith_sql::names_column(text, column)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn not_in_key(column: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{column}\" named in key does not exist"),
    )
}
