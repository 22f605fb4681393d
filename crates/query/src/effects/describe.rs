//! Functions that tell of objects: definitions, comments, who may see what.

use datafusion::common::ScalarValue;

use super::args::{Args, text};
use crate::catalogs::{Context, describe, domain_check};
use crate::error::Error;

/// The answer of such a function; None for a function that is none of them.
pub(super) fn call(
    context: &Context,
    name: &str,
    args: Args<'_>,
) -> Result<Option<ScalarValue>, Error> {
    if name == "pg_get_expr" {
        let (Some(expression), Some(relation)) = (args.text(0), args.oid(1)) else {
            return Ok(Some(ScalarValue::Utf8View(None)));
        };
        let pretty = args.bool(2).unwrap_or(false);
        let shown = describe::expression(context, expression, relation, pretty)?;
        return Ok(Some(text(shown)));
    }
    if name == "pg_describe_object" {
        let (Some(class), Some(oid)) = (args.oid(0), args.oid(1)) else {
            return Ok(Some(ScalarValue::Utf8View(None)));
        };
        let column = args
            .integer(2)
            .and_then(|number| i32::try_from(number).ok());
        let words = describe::object_words(context, class, oid, column.unwrap_or(0))?;
        return Ok(Some(words.map_or(ScalarValue::Utf8View(None), text)));
    }
    let Some(oid) = object(context, name, args)? else {
        return Ok(None);
    };
    let pretty = args.bool(1).or(args.bool(2)).unwrap_or(false);
    let column = || {
        let column = args
            .integer(1)
            .and_then(|number| i32::try_from(number).ok());
        column.unwrap_or(0)
    };
    let answer = match name {
        "pg_get_indexdef" => describe::indexdef(context, oid, column(), pretty)?,
        "pg_get_constraintdef" => match describe::constraintdef(context, oid, pretty)? {
            Some(found) => Some(found),
            None => domain_check(context, oid, pretty)?,
        },
        "pg_get_viewdef" => {
            let wrap = args.integer(1).and_then(|wrap| i32::try_from(wrap).ok());
            describe::viewdef(context, oid, pretty || wrap.is_some(), wrap)?
        }
        "pg_get_ruledef" => describe::ruledef(context, oid, pretty)?,
        "pg_get_userbyid" => Some(describe::user_by_id(context, oid)),
        "pg_get_function_result" => describe::function_result(context, oid)?,
        "pg_get_function_arguments" => describe::function_arguments(context, oid, false)?,
        "pg_get_function_identity_arguments" => describe::function_arguments(context, oid, true)?,
        "pg_get_functiondef" => describe::functiondef(context, oid)?,
        "pg_get_triggerdef" => crate::catalogs::triggers::triggerdef(context, oid, pretty)?,
        "obj_description" => describe::object_comment(context, oid, args.text(1))?,
        "shobj_description" => {
            describe::shared_comment(context, oid, args.text(1).unwrap_or_default())
        }
        "col_description" => describe::column_comment(context, oid, column())?,
        "pg_table_is_visible" => {
            let visible = describe::table_is_visible(context, oid)?;
            return Ok(Some(ScalarValue::Boolean(visible)));
        }
        "pg_relation_is_updatable" => {
            let triggers = args.bool(1).unwrap_or(false);
            let writes = describe::updatable(context, oid)?;
            let events = writes.map_or(0, |writes| writes.events(triggers));
            return Ok(Some(ScalarValue::Int32(Some(events))));
        }
        "pg_column_is_updatable" => {
            let place = usize::try_from(column() - 1).ok();
            let writes = describe::updatable(context, oid)?;
            let may = writes.zip(place);
            let triggers = args.bool(2).unwrap_or(false);
            let may = may.map(|(writes, place)| {
                let by = writes.triggered;
                let own = writes.columns.get(place).copied().unwrap_or(false);
                own || triggers && by.update && by.delete
            });
            return Ok(Some(ScalarValue::Boolean(Some(may.unwrap_or(false)))));
        }
        "pg_function_is_visible" => {
            let visible = describe::function_is_visible(context, oid)?;
            return Ok(Some(ScalarValue::Boolean(visible)));
        }
        "pg_type_is_visible" => {
            let visible = describe::type_is_visible(context, oid)?;
            return Ok(Some(ScalarValue::Boolean(Some(visible))));
        }
        // Of kinds that there are none of.
        _ => None,
    };
    Ok(Some(answer.map_or(ScalarValue::Utf8View(None), text)))
}

/// The oid that such a function is asked about; None when it is another function.
fn object(context: &Context, name: &str, args: Args<'_>) -> Result<Option<u32>, Error> {
    let known = matches!(
        name,
        "pg_get_indexdef"
            | "pg_get_constraintdef"
            | "pg_get_viewdef"
            | "pg_get_ruledef"
            | "pg_get_userbyid"
            | "pg_get_function_result"
            | "pg_get_function_arguments"
            | "pg_get_function_identity_arguments"
            | "pg_get_function_arg_default"
            | "pg_get_function_sqlbody"
            | "pg_get_functiondef"
            | "pg_get_triggerdef"
            | "pg_get_statisticsobjdef"
            | "pg_get_statisticsobjdef_columns"
            | "pg_get_partkeydef"
            | "pg_get_partition_constraintdef"
            | "pg_relation_is_updatable"
            | "pg_column_is_updatable"
            | "pg_table_is_visible"
            | "pg_type_is_visible"
            | "pg_function_is_visible"
            | "obj_description"
            | "col_description"
            | "shobj_description"
    );
    if !known {
        return Ok(None);
    }
    Ok(Some(match args.text(0) {
        Some(given) => describe::regclass_in(context, given)?,
        None => args.oid(0).unwrap_or(0),
    }))
}
