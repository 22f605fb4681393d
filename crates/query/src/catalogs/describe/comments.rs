//! COMMENT ON, read back.

use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, Relation};
use crate::error::Error;

/// `obj_description(oid, catalog)`.
pub(crate) fn object_comment(
    context: &Context,
    oid: u32,
    catalog: &str,
) -> Result<Option<String>, Error> {
    if catalog != "pg_class" {
        return Ok(None);
    }
    Ok(match objects::by_oid(context, oid)? {
        Some(Relation::Table(table)) => table.comment.clone(),
        _ => None,
    })
}

/// `col_description(oid, column)`.
pub(crate) fn column_comment(
    context: &Context,
    oid: u32,
    column: i32,
) -> Result<Option<String>, Error> {
    let Some(Relation::Table(table)) = objects::by_oid(context, oid)? else {
        return Ok(None);
    };
    let column = table
        .columns
        .iter()
        .find(|own| i64::from(own.id.0) == i64::from(column));
    Ok(column.and_then(|column| column.comment.clone()))
}
