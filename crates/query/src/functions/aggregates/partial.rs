//! Aggregates taken apart: states that can be kept in columns of a table and merged later, in any
//! number of steps, into what the aggregate would have said of all the rows at once.
//!
//! Sums, counts, extremes and ends are columns of their own types, which the fast paths know how to
//! merge; all others are kept as the bytes of [`super::staged`].

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use chronolith_types::{NUMERIC_ANY, SqlType};
use datafusion::common::{Column, DFSchema, Result as DfResult, ScalarValue};
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::expr::{AggregateFunction, Case};
use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable, cast, lit};

use super::super::error::FunctionError;
use super::super::table::{Typed, apply_cast, operators};
use super::rows::{self, Bound, Kind, aggregate_name};
use super::staged::{BYTES, Call, Stage, Staged};

/// A column that keeps a state.
#[derive(Debug, Clone)]
pub struct StateColumn {
    /// What it is called.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// The state of some rows: an aggregate over them.
    pub partial: Expr,
    /// The state of some states: an aggregate over the column.
    pub fold: Expr,
}

/// An aggregate taken apart.
#[derive(Debug, Clone)]
pub struct Parts {
    /// What is kept.
    pub states: Vec<StateColumn>,
    /// Aggregates over the columns of the states, under names.
    pub merged: Vec<(String, Expr)>,
    /// The answer, over those names; of the type that the aggregate itself has.
    pub value: Expr,
}

/// The type whose columns have a form; None when no type has.
#[must_use]
pub fn stored_type(form: &DataType) -> Option<SqlType> {
    let ty = match form {
        DataType::Boolean => SqlType::Bool,
        DataType::Int16 => SqlType::Int2,
        DataType::Int32 => SqlType::Int4,
        DataType::Int64 => SqlType::Int8,
        DataType::Float32 => SqlType::Float4,
        DataType::Float64 => SqlType::Float8,
        DataType::Decimal128(precision, scale) => SqlType::Numeric(Some((*precision, *scale))),
        DataType::Decimal256(..) => SqlType::Numeric(None),
        DataType::BinaryView => SqlType::Bytea,
        DataType::Date32 => SqlType::Date,
        DataType::Time64(_) => SqlType::Time(None),
        DataType::Timestamp(_, None) => SqlType::Timestamp(None),
        DataType::Timestamp(..) => SqlType::Timestamptz(None),
        DataType::Interval(_) => SqlType::Interval(None),
        DataType::FixedSizeBinary(_) => SqlType::Uuid,
        DataType::Utf8View => SqlType::Text,
        DataType::UInt32 => SqlType::Oid,
        DataType::List(item) => stored_type(item.data_type())?.array_of(),
        _ => return None,
    };
    (ty.arrow() == *form).then_some(ty)
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

fn call(udf: Arc<AggregateUDF>, args: Vec<Expr>, filter: Option<&Expr>) -> Expr {
    let filter = filter.cloned().map(Box::new);
    Expr::AggregateFunction(AggregateFunction::new_udf(
        udf,
        args,
        false,
        filter,
        Vec::new(),
        None,
    ))
}

/// A sum of a form whose answer has another.
fn sum_of(form: &DataType, answer: &DataType, ty: &SqlType) -> Arc<AggregateUDF> {
    let bound = Bound::of(Kind::Sum, vec![form.clone()], ty.clone(), answer.clone());
    Arc::new(AggregateUDF::new_from_impl(bound))
}

/// The least or greatest of a form.
fn extreme(kind: Kind, form: &DataType, ty: &SqlType) -> Arc<AggregateUDF> {
    match (form, kind) {
        (
            DataType::Interval(_) | DataType::List(_) | DataType::Float32 | DataType::Float64,
            kind,
        ) => {
            let bound = Bound::of(kind, vec![form.clone()], ty.clone(), form.clone());
            Arc::new(AggregateUDF::new_from_impl(bound))
        }
        (_, Kind::Min) => df::min_max::min_udaf(),
        _ => df::min_max::max_udaf(),
    }
}

/// Takes a call apart; `schema` is of the rows, `name` begins the names of all columns.
///
/// # Errors
/// When an argument has no type, as DataFusion tells it.
pub fn parts_of(of: &AggregateFunction, schema: &DFSchema, name: &str) -> DfResult<Parts> {
    let params = &of.params;
    let forms = params.args.iter().map(|arg| arg.get_type(schema));
    let forms = forms.collect::<DfResult<Vec<_>>>()?;
    let plain = !params.distinct && params.order_by.is_empty() && params.null_treatment.is_none();
    if plain && let Some(parts) = in_columns(of, &forms, name)? {
        return Ok(parts);
    }
    let mut order = Vec::new();
    for key in &params.order_by {
        let options = SortOptions {
            descending: !key.asc,
            nulls_first: key.nulls_first,
        };
        order.push((key.expr.get_type(schema)?, options));
    }
    let called = Call {
        udf: Arc::clone(&of.func),
        args: forms,
        distinct: params.distinct,
        order,
    };
    let stage = |stage| Arc::new(Staged::function(called.clone(), stage));
    let partial = Expr::AggregateFunction(AggregateFunction::new_udf(
        stage(Stage::Partial),
        params.args.clone(),
        false,
        params.filter.clone(),
        params.order_by.clone(),
        None,
    ));
    let state = format!("{name}_state");
    let merged = format!("{name}_value");
    Ok(Parts {
        states: vec![StateColumn {
            ty: stored_type(&BYTES).unwrap_or(SqlType::Bytea),
            partial,
            fold: call(stage(Stage::Fold), vec![column(&state)], None),
            name: state.clone(),
        }],
        value: column(&merged),
        merged: vec![(
            merged,
            call(stage(Stage::Merge), vec![column(&state)], None),
        )],
    })
}

/// The parts of those whose states have types of their own.
fn in_columns(of: &AggregateFunction, forms: &[DataType], name: &str) -> DfResult<Option<Parts>> {
    let filter = of.params.filter.as_deref();
    let whole = |column: &str, ty: SqlType, fold: Arc<AggregateUDF>| {
        let state = format!("{name}_{column}");
        let merged = format!("{state}_merged");
        let fold = call(fold, vec![self::column(&state)], None);
        Parts {
            states: vec![StateColumn {
                name: state,
                ty,
                partial: Expr::AggregateFunction(of.clone()),
                fold: fold.clone(),
            }],
            value: self::column(&merged),
            merged: vec![(merged, fold)],
        }
    };
    let first = forms.first().unwrap_or(&DataType::Null);
    let bound = of.func.inner().downcast_ref::<Bound>();
    let parts = match (aggregate_name(&of.func), bound) {
        ("count", None) => {
            let fold = sum_of(&DataType::Int64, &DataType::Int64, &SqlType::Int8);
            whole("count", SqlType::Int8, fold)
        }
        ("min" | "max", _) => {
            let Some(ty) = stored_type(first) else {
                return Ok(None);
            };
            whole(aggregate_name(&of.func), ty, Arc::clone(&of.func))
        }
        ("bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor", Some(bound)) => {
            match stored_type(first) {
                Some(ty) if bound.arrow() == first => {
                    whole(bound.sql_name(), ty, Arc::clone(&of.func))
                }
                _ => return Ok(None),
            }
        }
        ("sum", Some(bound)) => {
            let form = bound.arrow();
            let Some(ty) = stored_type(form) else {
                return Ok(None);
            };
            let kept = match form {
                DataType::Int64
                | DataType::Decimal128(..)
                | DataType::Float32
                | DataType::Float64 => true,
                form => *form == NUMERIC_ANY,
            };
            if !kept {
                return Ok(None);
            }
            whole("sum", ty, sum_of(form, form, bound.ty()))
        }
        ("first" | "last", Some(bound)) => {
            let [value, time] = forms else {
                return Ok(None);
            };
            let (Some(ty), Some(time_ty)) = (stored_type(value), stored_type(time)) else {
                return Ok(None);
            };
            let end = bound.sql_name();
            let kind = match end {
                "first" => Kind::Min,
                _ => Kind::Max,
            };
            let extreme = extreme(kind, time, &time_ty);
            let (at, kept) = (format!("{name}_{end}_at"), format!("{name}_{end}"));
            let merged = format!("{kept}_merged");
            let times: Vec<Expr> = of.params.args.iter().skip(1).cloned().collect();
            let fold = call(Arc::clone(&of.func), vec![column(&kept), column(&at)], None);
            Parts {
                states: vec![
                    StateColumn {
                        name: kept,
                        ty,
                        partial: Expr::AggregateFunction(of.clone()),
                        fold: fold.clone(),
                    },
                    StateColumn {
                        fold: call(Arc::clone(&extreme), vec![column(&at)], None),
                        name: at,
                        ty: time_ty,
                        partial: call(extreme, times, filter),
                    },
                ],
                value: column(&merged),
                merged: vec![(merged, fold)],
            }
        }
        ("avg", Some(bound)) => return average(of, bound, first, name),
        _ => return Ok(None),
    };
    Ok(Some(parts))
}

/// An average is a sum and a count.
fn average(
    of: &AggregateFunction,
    bound: &Bound,
    form: &DataType,
    name: &str,
) -> DfResult<Option<Parts>> {
    let filter = of.params.filter.as_deref();
    let Some(arg) = of.params.args.first().cloned() else {
        return Ok(None);
    };
    let (arg, form, kept, ty) = match form {
        DataType::Int16 | DataType::Int32 | DataType::Int64 => (
            cast(arg, DataType::Int64),
            DataType::Int64,
            DataType::Decimal128(38, 0),
            SqlType::Numeric(Some((38, 0))),
        ),
        DataType::Decimal128(precision, scale) if *precision <= rows::SUMMED_IN_128 => (
            arg,
            form.clone(),
            DataType::Decimal128(38, *scale),
            SqlType::Numeric(Some((38, *scale))),
        ),
        DataType::Float64 => (arg, form.clone(), form.clone(), SqlType::Float8),
        _ => return Ok(None),
    };
    let (sum, count) = (format!("{name}_sum"), format!("{name}_count"));
    let (sums, counts) = (format!("{sum}_merged"), format!("{count}_merged"));
    let counting = call(df::count::count_udaf(), vec![arg.clone()], filter);
    let adding = call(sum_of(&form, &kept, &ty), vec![arg], filter);
    let add_counts = sum_of(&DataType::Int64, &DataType::Int64, &SqlType::Int8);
    let add_counts = call(add_counts, vec![column(&count)], None);
    let add_sums = call(sum_of(&kept, &kept, &ty), vec![column(&sum)], None);
    let total = Typed {
        expr: column(&sums),
        ty: ty.clone(),
        arrow: kept,
    };
    let number = Typed::new(column(&counts), SqlType::Int8);
    let value = quotient(total, number, &ty, bound)?;
    // Of no values there is no average, and nothing to divide by.
    let value = Expr::Case(Case::new(
        None,
        vec![(Box::new(column(&counts).gt(lit(0_i64))), Box::new(value))],
        Some(Box::new(lit(ScalarValue::try_from(bound.arrow())?))),
    ));
    Ok(Some(Parts {
        states: vec![
            StateColumn {
                name: sum,
                ty,
                partial: adding,
                fold: add_sums.clone(),
            },
            StateColumn {
                name: count,
                ty: SqlType::Int8,
                partial: counting,
                fold: add_counts.clone(),
            },
        ],
        merged: vec![(sums, add_sums), (counts, add_counts)],
        value,
    }))
}

/// A sum by a count, as the operator of their type divides.
fn quotient(
    total: Typed,
    number: Typed,
    ty: &SqlType,
    bound: &Bound,
) -> Result<Expr, FunctionError> {
    let target = match ty {
        SqlType::Float8 => SqlType::Float8,
        _ => SqlType::Numeric(None),
    };
    let missing = || FunctionError::internal("an average without a division");
    let divide = operators("/")
        .iter()
        .find(|found| found.left.as_ref() == Some(&target) && found.right == target)
        .ok_or_else(missing)?;
    let total = apply_cast(total, &target, true)?;
    let number = apply_cast(number, &target, true)?;
    let value = divide.apply(vec![total, number], &target)?;
    let value = super::super::table::canonical_form(value)?;
    debug_assert_eq!(value.arrow, *bound.arrow());
    Ok(value.expr)
}
