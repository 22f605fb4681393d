//! COMMENT ON, read back.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use chronolith_catalog::Comment;

use super::names::{quoted, regclass_in};
use crate::catalogs::constraints::class_oid;
use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, Relation};
use crate::catalogs::{extensions, recorded, routines};
use crate::error::Error;
use crate::scan::Wanted;

/// What PostgreSQL says of its types, functions and languages, and of the extensions, by catalog and
/// oid.
static RECORDED: LazyLock<BTreeMap<(u32, u32), &'static str>> = LazyLock::new(|| {
    let procs = class_oid("pg_proc");
    let extension_class = class_oid("pg_extension");
    recorded::lines(include_str!("../recorded/pg_description.tsv"))
        .filter_map(|fields| {
            let (oid, class) = (recorded::oid(&fields, 0), recorded::oid(&fields, 1));
            let there = class != procs || routines::proc_name(oid).is_some();
            Some(((class, oid), *fields.get(2)?)).filter(|_| there)
        })
        .chain(extensions::extension_comments().map(|(oid, text)| ((extension_class, oid), text)))
        .collect()
});

/// Comments that every database has: catalog, oid and text.
pub(in crate::catalogs) fn recorded_comments() -> impl Iterator<Item = (u32, u32, &'static str)> {
    RECORDED
        .iter()
        .map(|((class, oid), text)| (*class, *oid, *text))
}

/// What COMMENT ON said of things that are no tables and no columns of them.
pub(in crate::catalogs) fn said(
    context: &Context,
) -> Result<impl Iterator<Item = &Comment>, Error> {
    let comments = context.home()?.comments.iter();
    Ok(comments.filter(|comment| !is_shared(comment.class)))
}

/// The same of databases and roles, whichever database it was said in.
pub(in crate::catalogs) fn said_of_shared(context: &Context) -> impl Iterator<Item = &Comment> {
    let databases = context.catalog.databases.values();
    let comments = databases.flat_map(|database| database.comments.iter());
    comments.filter(|comment| is_shared(comment.class))
}

fn is_shared(class: u32) -> bool {
    class == class_oid("pg_database") || class == class_oid("pg_authid")
}

/// `obj_description(oid, catalog)`; without a catalog, whatever has the oid.
pub(crate) fn object_comment(
    context: &Context,
    oid: u32,
    catalog: Option<&str>,
) -> Result<Option<String>, Error> {
    let class = catalog.map(class_oid);
    if class.is_none_or(|class| class == class_oid("pg_class"))
        && let Some(Relation::Table(table) | Relation::Kept(table, _)) =
            objects::by_oid(context, oid)?
    {
        return Ok(table.comment.clone());
    }
    let fits = |known: u32| class.is_none_or(|class| class == known);
    let found = said(context)?
        .find(|comment| comment.oid == oid && comment.column == 0 && fits(comment.class));
    if let Some(found) = found {
        return Ok(Some(found.text.clone()));
    }
    let found = RECORDED
        .iter()
        .find(|((class, known), _)| *known == oid && fits(*class));
    Ok(found.map(|(_, text)| (*text).to_owned()))
}

/// `shobj_description(oid, catalog)`.
pub(crate) fn shared_comment(context: &Context, oid: u32, catalog: &str) -> Option<String> {
    let class = class_oid(catalog);
    let found = said_of_shared(context).find(|comment| comment.is_on(class, oid, 0));
    found.map(|comment| comment.text.clone())
}

/// `col_description(oid, column)`.
pub(crate) fn column_comment(
    context: &Context,
    oid: u32,
    column: i32,
) -> Result<Option<String>, Error> {
    let found = objects::by_oid(context, oid)?;
    let Some(Relation::Table(table) | Relation::Kept(table, _)) = found else {
        let number = u32::try_from(column).unwrap_or(0);
        let class = class_oid("pg_class");
        let found = said(context)?.find(|comment| comment.is_on(class, oid, number));
        return Ok(found.map(|comment| comment.text.clone()));
    };
    let column = table
        .columns
        .iter()
        .find(|own| i64::from(own.id.0) == i64::from(column));
    Ok(column.and_then(|column| column.comment.clone()))
}

/// A relation by its name, along the search path when it has no schema: its oid and
/// `pg_class.relkind`.
///
/// # Errors
/// 3F000 for a schema that does not exist, 42P01 for a relation that does not.
pub(crate) fn relation_named(
    context: &Context,
    schema: Option<&str>,
    name: &str,
) -> Result<(u32, char), Error> {
    let text = match schema {
        Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
        None => quoted(name).into_owned(),
    };
    let oid = regclass_in(context, &text)?;
    let kind = objects::by_oid(context, oid)?.map_or('r', Relation::kind);
    Ok((oid, kind))
}

/// The number of a relation's column.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn column_number(context: &Context, oid: u32, name: &str) -> Result<Option<u32>, Error> {
    let columns = |names: Vec<String>| {
        let place = names.iter().position(|known| known == name)?;
        u32::try_from(place + 1).ok()
    };
    Ok(match objects::by_oid(context, oid)? {
        Some(Relation::Table(table) | Relation::Kept(table, _)) => {
            table.column_named(name).map(|(_, column)| column.id.0)
        }
        Some(Relation::View(view)) => {
            let known = (context.view_columns)(view);
            columns(known.into_iter().map(|(name, _)| name).collect())
        }
        _ => None,
    })
}

/// The oid of a row of a system relation, by its name and by what it belongs to.
///
/// # Errors
/// Those of reading the relation.
pub(crate) fn oid_named(
    context: &Context,
    relation: &str,
    (name_column, name): (&str, &str),
    (of_column, of): (&str, u32),
) -> Result<Option<u32>, Error> {
    let Some(found) = crate::catalogs::find("pg_catalog", relation) else {
        return Ok(None);
    };
    let place = |wanted: &str| found.columns().position(|(name, _)| name == wanted);
    let (Some(oid), Some(name_at), Some(of_at)) =
        (place("oid"), place(name_column), place(of_column))
    else {
        return Ok(None);
    };
    let wanted = Wanted {
        columns: vec![oid, name_at, of_at],
        equal: Vec::new(),
    };
    let rows = found.rows(context, &wanted)?;
    let oids = rows.column(0).as_primitive_opt::<UInt32Type>();
    let names = rows.column(1).as_string_view_opt();
    let ofs = rows.column(2).as_primitive_opt::<UInt32Type>();
    let (Some(oids), Some(names), Some(ofs)) = (oids, names, ofs) else {
        return Ok(None);
    };
    let is = |row: &usize| names.value(*row) == name && ofs.value(*row) == of;
    Ok((0..rows.num_rows()).find(is).map(|row| oids.value(row)))
}
