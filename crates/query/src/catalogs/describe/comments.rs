//! COMMENT ON, read back.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::catalogs::constraints::class_oid;
use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, Relation};
use crate::catalogs::{recorded, routines, server};
use crate::error::Error;

/// What PostgreSQL says of its types, functions and languages, and of the extensions, by catalog and
/// oid.
static RECORDED: LazyLock<BTreeMap<(u32, u32), &'static str>> = LazyLock::new(|| {
    let procs = class_oid("pg_proc");
    let extensions = class_oid("pg_extension");
    recorded::lines(include_str!("../recorded/pg_description.tsv"))
        .filter_map(|fields| {
            let (oid, class) = (recorded::oid(&fields, 0), recorded::oid(&fields, 1));
            let there = class != procs || routines::proc_name(oid).is_some();
            Some(((class, oid), *fields.get(2)?)).filter(|_| there)
        })
        .chain(server::extension_comments().map(|(oid, text)| ((extensions, oid), text)))
        .collect()
});

/// Comments that every database has: catalog, oid and text.
pub(in crate::catalogs) fn recorded_comments() -> impl Iterator<Item = (u32, u32, &'static str)> {
    RECORDED
        .iter()
        .map(|((class, oid), text)| (*class, *oid, *text))
}

/// `obj_description(oid, catalog)`.
pub(crate) fn object_comment(
    context: &Context,
    oid: u32,
    catalog: &str,
) -> Result<Option<String>, Error> {
    if catalog != "pg_class" {
        let class = class_oid(catalog);
        return Ok(RECORDED.get(&(class, oid)).map(|text| (*text).to_owned()));
    }
    Ok(match objects::by_oid(context, oid)? {
        Some(Relation::Table(table) | Relation::Kept(table, _)) => table.comment.clone(),
        Some(Relation::Sequence(sequence)) => sequence.comment.clone(),
        _ => None,
    })
}

/// `col_description(oid, column)`.
pub(crate) fn column_comment(
    context: &Context,
    oid: u32,
    column: i32,
) -> Result<Option<String>, Error> {
    let found = objects::by_oid(context, oid)?;
    let Some(Relation::Table(table) | Relation::Kept(table, _)) = found else {
        return Ok(None);
    };
    let column = table
        .columns
        .iter()
        .find(|own| i64::from(own.id.0) == i64::from(column));
    Ok(column.and_then(|column| column.comment.clone()))
}
