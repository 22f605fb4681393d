//! Aggregates: states of values per group, kept as vectors where the numbers allow it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use chronolith_types::SqlType;
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::AggregateUDF;

use super::error::FunctionError;
use super::table::{AggregateUse, Typed};

mod distinct;
mod ends;
mod exact;
mod floats;
mod lanes;
mod partial;
mod rows;
mod simple;
mod staged;

pub(crate) use distinct::counting_distinct;
pub use partial::{Parts, StateColumn, parts_of, stored_type};
pub use rows::aggregate_name;

pub(super) type Build = fn(&[Typed], &SqlType) -> Result<AggregateUse, FunctionError>;

/// Whether it takes WITHIN GROUP.
pub(super) fn ordered_set(name: &str) -> bool {
    matches!(name, "percentile_cont" | "percentile_disc" | "mode")
}

/// How an aggregate of PostgreSQL is built.
pub(super) fn imp(name: &str) -> Option<Build> {
    let build: Build = match name {
        "count" => |args, _| {
            Ok(use_of(
                df::count::count_udaf(),
                count_args(args),
                SqlType::Int8,
                DataType::Int64,
            ))
        },
        "min" => |args, result| extreme(args, result, df::min_max::min_udaf(), rows::Kind::Min),
        "max" => |args, result| extreme(args, result, df::min_max::max_udaf(), rows::Kind::Max),
        "sum" => sum,
        "avg" => |args, result| rows::aggregate(rows::Kind::Avg, args, result),
        "bool_and" | "every" => |args, result| rows::aggregate(rows::Kind::BoolAnd, args, result),
        "bool_or" => |args, result| rows::aggregate(rows::Kind::BoolOr, args, result),
        "bit_and" => |args, result| rows::aggregate(rows::Kind::BitAnd, args, result),
        "bit_or" => |args, result| rows::aggregate(rows::Kind::BitOr, args, result),
        "bit_xor" => |args, result| rows::aggregate(rows::Kind::BitXor, args, result),
        "array_agg" => |args, _| rows::array_agg(args),
        "string_agg" => |args, result| rows::aggregate(rows::Kind::StringAgg, args, result),
        "json_agg" | "jsonb_agg" => {
            |args, result| rows::aggregate(rows::Kind::JsonAgg, args, result)
        }
        "json_object_agg" | "jsonb_object_agg" => {
            |args, result| rows::aggregate(rows::Kind::JsonObjectAgg, args, result)
        }
        "stddev" | "stddev_samp" => {
            |args, result| rows::aggregate(rows::Kind::StddevSamp, args, result)
        }
        "stddev_pop" => |args, result| rows::aggregate(rows::Kind::StddevPop, args, result),
        "variance" | "var_samp" => {
            |args, result| rows::aggregate(rows::Kind::VarSamp, args, result)
        }
        "var_pop" => |args, result| rows::aggregate(rows::Kind::VarPop, args, result),
        "corr" => |args, result| rows::aggregate(rows::Kind::Corr, args, result),
        "covar_pop" => |args, result| rows::aggregate(rows::Kind::CovarPop, args, result),
        "covar_samp" => |args, result| rows::aggregate(rows::Kind::CovarSamp, args, result),
        "regr_count" => |args, result| rows::aggregate(rows::Kind::RegrCount, args, result),
        "regr_avgx" => |args, result| rows::aggregate(rows::Kind::RegrAvgX, args, result),
        "regr_avgy" => |args, result| rows::aggregate(rows::Kind::RegrAvgY, args, result),
        "regr_sxx" => |args, result| rows::aggregate(rows::Kind::RegrSxx, args, result),
        "regr_syy" => |args, result| rows::aggregate(rows::Kind::RegrSyy, args, result),
        "regr_sxy" => |args, result| rows::aggregate(rows::Kind::RegrSxy, args, result),
        "regr_slope" => |args, result| rows::aggregate(rows::Kind::RegrSlope, args, result),
        "regr_intercept" => |args, result| rows::aggregate(rows::Kind::RegrIntercept, args, result),
        "regr_r2" => |args, result| rows::aggregate(rows::Kind::RegrR2, args, result),
        "percentile_cont" => {
            |args, result| rows::aggregate(rows::Kind::PercentileCont, args, result)
        }
        "percentile_disc" => {
            |args, result| rows::aggregate(rows::Kind::PercentileDisc, args, result)
        }
        "mode" => |args, result| rows::aggregate(rows::Kind::Mode, args, result),
        _ => return None,
    };
    Some(build)
}

/// TimescaleDB's first and last.
pub(super) fn first(args: &[Typed], result: &SqlType) -> Result<AggregateUse, FunctionError> {
    rows::aggregate(rows::Kind::First, args, result)
}

/// See [`first`].
pub(super) fn last(args: &[Typed], result: &SqlType) -> Result<AggregateUse, FunctionError> {
    rows::aggregate(rows::Kind::Last, args, result)
}

/// TimescaleDB's histogram.
pub(super) fn histogram(args: &[Typed], result: &SqlType) -> Result<AggregateUse, FunctionError> {
    rows::aggregate(rows::Kind::Histogram, args, result)
}

fn use_of(udf: Arc<AggregateUDF>, args: Vec<Typed>, ty: SqlType, arrow: DataType) -> AggregateUse {
    AggregateUse {
        udf,
        args: args.into_iter().map(|arg| arg.expr).collect(),
        ty,
        arrow,
    }
}

/// `count(*)` counts ones.
fn count_args(args: &[Typed]) -> Vec<Typed> {
    if args.is_empty() {
        vec![Typed::literal(
            datafusion::common::ScalarValue::Int64(Some(1)),
            SqlType::Int8,
        )]
    } else {
        args.to_vec()
    }
}

/// DataFusion's own over forms that order as PostgreSQL orders the values.
fn extreme(
    args: &[Typed],
    result: &SqlType,
    udf: Arc<AggregateUDF>,
    kind: rows::Kind,
) -> Result<AggregateUse, FunctionError> {
    let Some(arg) = args.first() else {
        return Err(FunctionError::internal("min and max have an argument"));
    };
    match &arg.arrow {
        DataType::Interval(_) | DataType::List(_) | DataType::Float32 | DataType::Float64 => {
            rows::aggregate(kind, args, result)
        }
        arrow => Ok(use_of(udf, args.to_vec(), result.clone(), arrow.clone())),
    }
}

/// sum: integers widen, sums of fixed-scale numerics stay exact in 256 bits.
fn sum(args: &[Typed], result: &SqlType) -> Result<AggregateUse, FunctionError> {
    rows::aggregate(rows::Kind::Sum, args, result)
}

pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, true)))
}
