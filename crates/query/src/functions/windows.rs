//! Window functions: DataFusion's own, answering PostgreSQL's types.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_types::SqlType;
use datafusion::functions_window as df;
use datafusion::logical_expr::{WindowFunctionDefinition, WindowUDF};

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

/// How a window function is built.
pub(super) fn imp(name: &str) -> Option<Build> {
    let build: Build = match name {
        "row_number" => |a, r| use_of(df::row_number::row_number_udwf(), a, r, DataType::UInt64),
        "rank" => |a, r| use_of(df::rank::rank_udwf(), a, r, DataType::UInt64),
        "dense_rank" => |a, r| use_of(df::rank::dense_rank_udwf(), a, r, DataType::UInt64),
        "percent_rank" => |a, r| use_of(df::rank::percent_rank_udwf(), a, r, DataType::Float64),
        "cume_dist" => |a, r| use_of(df::cume_dist::cume_dist_udwf(), a, r, DataType::Float64),
        "ntile" => |a, r| use_of(df::ntile::ntile_udwf(), a, r, DataType::UInt64),
        "lag" => |a, r| use_of(df::lead_lag::lag_udwf(), a, r, value_form(a, r)),
        "lead" => |a, r| use_of(df::lead_lag::lead_udwf(), a, r, value_form(a, r)),
        "first_value" => |a, r| use_of(df::nth_value::first_value_udwf(), a, r, value_form(a, r)),
        "last_value" => |a, r| use_of(df::nth_value::last_value_udwf(), a, r, value_form(a, r)),
        "nth_value" => |a, r| use_of(df::nth_value::nth_value_udwf(), a, r, value_form(a, r)),
        _ => return None,
    };
    Some(build)
}
