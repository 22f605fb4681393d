//! Objects by name and names by object: `regclass` and its kin.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, UInt32Type};
use chronolith_types::SqlState;
use datafusion::common::ScalarValue;

use super::args::{Args, list, text};
use crate::catalogs::{Context, describe};
use crate::error::Error;
use crate::session::Shared;

pub(super) fn call(context: &Context, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
    if let Some(kind) = name.strip_suffix("_out") {
        if let Some(ScalarValue::List(oids)) = args.get(0) {
            return names_of(context, kind, &oids.value(0));
        }
        return match args.oid(0) {
            Some(oid) => Ok(text(object_name(context, kind, oid)?)),
            None => Ok(ScalarValue::Null),
        };
    }
    if let (Some(ScalarValue::List(names)), Some(kind)) = (args.get(0), name.strip_suffix("_in")) {
        return numbers_of(context, kind, &names.value(0));
    }
    let Some(given) = args.text(0) else {
        return Ok(ScalarValue::Null);
    };
    if let Some(kind) = name.strip_prefix("to_") {
        let found = match kind {
            "regclass" => describe::to_regclass(context, given)?,
            "regtype" => describe::to_regtype(context, given)?,
            "regnamespace" => describe::to_regnamespace(context, given)?,
            "regrole" => describe::to_regrole(context, given)?,
            "regproc" => lenient(describe::regproc_in(context, given))?,
            "regprocedure" => lenient(describe::regprocedure_in(context, given))?,
            other => return Err(Error::unsupported(format!("type {other}"))),
        };
        return Ok(ScalarValue::UInt32(found));
    }
    let kind = name.strip_suffix("_in").unwrap_or(name);
    Ok(ScalarValue::UInt32(Some(object_number(
        context, kind, given,
    )?)))
}

/// The number of the object that a text names to `regclass` or its kin.
///
/// # Errors
/// 42P01 and the like when there is none.
pub(crate) fn object_number(context: &Context, kind: &str, given: &str) -> Result<u32, Error> {
    match kind {
        "regclass" => describe::regclass_in(context, given),
        "regtype" => describe::regtype_in(context, given),
        "regnamespace" => describe::regnamespace_in(context, given),
        "regrole" => describe::regrole_in(context, given),
        "regproc" => describe::regproc_in(context, given),
        "regprocedure" => describe::regprocedure_in(context, given),
        other => Err(Error::unsupported(format!("type {other}"))),
    }
}

/// Schema and name of the function or procedure of a number.
///
/// # Errors
/// 42883 when there is none.
pub(crate) fn procedure_of(shared: &Arc<Shared>, oid: u32) -> Result<(String, String), Error> {
    describe::procedure_of(&shared.catalog_context(), oid)?.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function or procedure with OID {oid} not found"),
        )
    })
}

/// A list of names for a list of oids.
fn names_of(context: &Context, kind: &str, oids: &ArrayRef) -> Result<ScalarValue, Error> {
    let oids = oids
        .as_primitive_opt::<UInt32Type>()
        .ok_or_else(|| Error::internal("an object's number of another form"))?;
    let names = oids
        .iter()
        .map(|oid| match oid {
            Some(oid) => Ok(text(object_name(context, kind, oid)?)),
            None => Ok(ScalarValue::Utf8View(None)),
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(list(&names, &DataType::Utf8View))
}

/// A list of oids for a list of names.
fn numbers_of(context: &Context, kind: &str, names: &ArrayRef) -> Result<ScalarValue, Error> {
    let names = names
        .as_string_view_opt()
        .ok_or_else(|| Error::internal("an object's name of another form"))?;
    let oids = names
        .iter()
        .map(|name| {
            let oid = name.map(|name| object_number(context, kind, name));
            Ok(ScalarValue::UInt32(oid.transpose()?))
        })
        .collect::<Result<Vec<_>, Error>>()?;
    Ok(list(&oids, &DataType::UInt32))
}

/// None for a function that does not exist, or for several.
fn lenient(found: Result<u32, Error>) -> Result<Option<u32>, Error> {
    match found {
        Ok(oid) => Ok(Some(oid)),
        Err(error)
            if error.code == SqlState::UNDEFINED_FUNCTION
                || error.code == SqlState::AMBIGUOUS_FUNCTION =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The name of an object as `regclass` and its kin print it; its number when there is none.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn object_name(context: &Context, kind: &str, oid: u32) -> Result<String, Error> {
    match kind {
        "regclass" => describe::regclass_out(context, oid),
        "regtype" => describe::regtype_out(context, oid),
        "regnamespace" => describe::regnamespace_out(context, oid),
        "regrole" => Ok(describe::regrole_out(context, oid)),
        "regproc" => describe::regproc_out(context, oid),
        "regprocedure" => describe::regprocedure_out(context, oid),
        _ if oid == 0 && kind == "regoperator" => Ok("0".to_owned()),
        _ if oid == 0 => Ok("-".to_owned()),
        "regoper" => Ok(describe::operator_out(oid, false)),
        "regoperator" => Ok(describe::operator_out(oid, true)),
        _ => Ok(oid.to_string()),
    }
}
