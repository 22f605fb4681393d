//! Values held against domains.

use super::error::FunctionError;
use super::table::{Typed, Volatile};
use super::udf::{self, Context, Row};
use super::value::Value;
use super::within::refused;

/// What holds a value against the checks of its domains.
pub const DOMAIN_CHECK: &str = "domain_value";

/// The first argument, if what follows it holds: by fours, a domain's schema and name, the name of
/// one of its checks (nothing for NOT NULL) and whether it holds.
///
/// # Errors
/// None that well-typed arguments meet.
pub fn held(args: Vec<Typed>) -> Result<Typed, FunctionError> {
    let Some(value) = args.first().cloned() else {
        return Err(FunctionError::internal("nothing to hold against a domain"));
    };
    if args.len() == 1 {
        return Ok(value);
    }
    let row = Row {
        name: DOMAIN_CHECK,
        function: check,
        strict: false,
        // Not folded while planning: it may stand where it is never reached.
        volatility: Volatile::Stable,
        ty: value.ty,
        arrow: value.arrow,
    };
    udf::row_call(row, args)
}

fn check(_: &mut Context<'_>, args: &[Value]) -> Result<Value, FunctionError> {
    for four in args.get(1..).unwrap_or_default().chunks(4) {
        let [schema, domain, check, Value::Bool(false)] = four else {
            continue;
        };
        let of = |text: &Value| Some(text.as_str().to_owned()).filter(|text| !text.is_empty());
        return Err(refused(of(schema), domain.as_str(), of(check)));
    }
    Ok(args.first().cloned().unwrap_or(Value::Null))
}
