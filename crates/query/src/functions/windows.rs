//! Window functions: DataFusion's own, answering PostgreSQL's types.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::functions_window as df;
use datafusion::logical_expr::{WindowFunctionDefinition, WindowUDF};

use super::casts;
use super::error::FunctionError;
use super::table::{Typed, WindowUse};

pub(super) type Build = fn(&[Typed], &SqlType) -> Result<WindowUse, FunctionError>;

fn use_of(
    udf: Arc<WindowUDF>,
    args: &[Typed],
    ty: &SqlType,
    arrow: DataType,
) -> Result<WindowUse, FunctionError> {
    Ok(WindowUse {
        definition: WindowFunctionDefinition::WindowUDF(udf),
        args: args.iter().map(|arg| arg.expr.clone()).collect(),
        ty: ty.clone(),
        arrow,
    })
}

/// The form of a value taken from another row.
fn value_form(args: &[Typed], result: &SqlType) -> DataType {
    args.first()
        .map_or_else(|| result.arrow(), |arg| arg.arrow.clone())
}

/// A value of another row, or a default that keeps its own scale.
fn shifted(
    udf: Arc<WindowUDF>,
    args: &[Typed],
    result: &SqlType,
) -> Result<WindowUse, FunctionError> {
    let mut args = args.to_vec();
    if let [value, _, default] = args.as_mut_slice()
        && value.arrow != default.arrow
    {
        for one in [value, default] {
            let ty = one.ty.without_typmod();
            *one = casts::canonical(Typed { ty, ..one.clone() })?;
        }
    }
    let form = value_form(&args, result);
    use_of(udf, &args, result, form)
}

/// Refuses a literal below one.
fn positive(argument: Option<&Typed>, code: SqlState, name: &str) -> Result<(), FunctionError> {
    match argument.and_then(Typed::as_literal) {
        Some(ScalarValue::Int32(Some(..=0)) | ScalarValue::Int64(Some(..=0))) => {
            Err(FunctionError::new(
                code,
                format!("argument of {name} must be greater than zero"),
            ))
        }
        _ => Ok(()),
    }
}

/// How a window function is built.
pub(super) fn imp(name: &str) -> Option<Build> {
    let build: Build = match name {
        "row_number" => |a, r| use_of(df::row_number::row_number_udwf(), a, r, DataType::UInt64),
        "rank" => |a, r| use_of(df::rank::rank_udwf(), a, r, DataType::UInt64),
        "dense_rank" => |a, r| use_of(df::rank::dense_rank_udwf(), a, r, DataType::UInt64),
        "percent_rank" => |a, r| use_of(df::rank::percent_rank_udwf(), a, r, DataType::Float64),
        "cume_dist" => |a, r| use_of(df::cume_dist::cume_dist_udwf(), a, r, DataType::Float64),
        "ntile" => |a, r| {
            positive(
                a.first(),
                SqlState::INVALID_ARGUMENT_FOR_NTILE_FUNCTION,
                "ntile",
            )?;
            use_of(df::ntile::ntile_udwf(), a, r, DataType::UInt64)
        },
        "lag" => |a, r| shifted(df::lead_lag::lag_udwf(), a, r),
        "lead" => |a, r| shifted(df::lead_lag::lead_udwf(), a, r),
        "first_value" => |a, r| use_of(df::nth_value::first_value_udwf(), a, r, value_form(a, r)),
        "last_value" => |a, r| use_of(df::nth_value::last_value_udwf(), a, r, value_form(a, r)),
        "nth_value" => |a, r| {
            let code = SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE_FUNCTION;
            positive(a.get(1), code, "nth_value")?;
            use_of(df::nth_value::nth_value_udwf(), a, r, value_form(a, r))
        },
        _ => return None,
    };
    Some(build)
}
