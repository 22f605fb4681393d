//! Objects of any kind in words, operators and functions among them.

use chronolith_types::{RoutineId, SqlState, SqlType};

use super::names::{procedure_of, quoted, regclass_out, regprocedure_out, regtype_out};
use crate::catalogs::constraints::{self, Shown, class_oid};
use crate::catalogs::context::Context;
use crate::catalogs::objects::Relation;
use crate::catalogs::{objects, recorded};
use crate::error::Error;

/// `pg_function_is_visible`: whether the bare name may mean this function.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn function_is_visible(context: &Context, oid: u32) -> Result<Option<bool>, Error> {
    let found = procedure_of(context, oid)?;
    Ok(found.map(|(schema, _)| schema == "pg_catalog" || context.search_path.contains(&schema)))
}

/// An operator as `regoper` and `regoperator` show it, the latter with its types; its number when
/// there is none.
pub(crate) fn operator_out(oid: u32, types: bool) -> String {
    let mut known = recorded::lines(include_str!("../recorded/pg_operator.tsv"));
    let Some(fields) = known.find(|fields| recorded::oid(fields, 0) == oid) else {
        return oid.to_string();
    };
    let name = fields.get(1).copied().unwrap_or_default();
    if !types {
        return name.to_owned();
    }
    let side = |place: usize| match recorded::oid(&fields, place) {
        0 => "NONE".to_owned(),
        ty => SqlType::from_oid(ty).map_or_else(|| ty.to_string(), |ty| ty.name()),
    };
    format!("{name}({},{})", side(7), side(8))
}

/// `pg_describe_object`: what an object is called in messages.
///
/// # Errors
/// 3D000 when the session's database was dropped; XX000 in PostgreSQL, here 22023, for a catalog
/// whose rows are no objects.
pub(crate) fn object_words(
    context: &Context,
    class: u32,
    oid: u32,
    column: i32,
) -> Result<Option<String>, Error> {
    let home = context.home()?;
    let of = |catalog: &str| class == class_oid(catalog);
    if of("pg_class") {
        let Some(relation) = objects::by_oid(context, oid)? else {
            return Ok(None);
        };
        let kind = match relation.kind() {
            'v' => "view",
            'm' => "materialized view",
            'i' => "index",
            'S' => "sequence",
            _ => "table",
        };
        let words = format!("{kind} {}", regclass_out(context, oid)?);
        if column == 0 {
            return Ok(Some(words));
        }
        let column = u32::try_from(column).unwrap_or(0);
        let name = match relation {
            Relation::Table(table) | Relation::Kept(table, _) => {
                let mut columns = table.columns.iter();
                columns
                    .find(|known| known.id.0 == column)
                    .map(|known| known.name.clone())
            }
            Relation::View(view) => {
                let place = usize::try_from(column).unwrap_or(0).wrapping_sub(1);
                let known = (context.view_columns)(view);
                known.get(place).map(|(name, _)| name.clone())
            }
            _ => None,
        };
        return Ok(name.map(|name| format!("column {} of {words}", quoted(&name))));
    }
    if of("pg_proc") {
        let known = procedure_of(context, oid)?.is_some();
        let procedure = home.routines.get(&RoutineId(oid));
        let kind = match procedure.is_some_and(|routine| routine.result.is_none()) {
            true => "procedure",
            false => "function",
        };
        let words = format!("{kind} {}", regprocedure_out(context, oid)?);
        return Ok(known.then_some(words));
    }
    if of("pg_type") {
        return Ok(Some(format!("type {}", regtype_out(context, oid)?)));
    }
    if of("pg_namespace") {
        let mut schemas = objects::schemas(home);
        let found = schemas.find(|(id, ..)| *id == oid);
        return Ok(found.map(|(_, name, _)| format!("schema {}", quoted(name))));
    }
    if of("pg_constraint") {
        let found = constraints::shown(context)?.find(|shown| shown.oid() == oid);
        let Some(Shown::Declared(table, constraint)) = found else {
            return Ok(None);
        };
        let (name, of) = (quoted(&constraint.name), regclass_out(context, table.id.0)?);
        return Ok(Some(format!("constraint {name} on table {of}")));
    }
    if of("pg_operator") {
        return Ok(Some(format!("operator {}", operator_out(oid, true))));
    }
    if of("pg_extension") {
        let found = home.extensions.values().find(|found| found.id == oid);
        return Ok(found.map(|found| format!("extension {}", quoted(&found.name))));
    }
    Err(Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unsupported object class: {class}"),
    ))
}
