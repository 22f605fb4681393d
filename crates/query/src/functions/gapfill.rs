//! `time_bucket_gapfill`, `locf` and `interpolate` as a query has them that fills no gaps: the
//! bucket, and the value as it is. Where gaps are filled, the binder takes the calls apart.

use chronolith_rollup::bucket::{BucketOptions, Bucketer};
use chronolith_types::{Interval, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs};

use super::error::FunctionError;
use super::table::{Imp, Proc, Typed};
use super::{calendar, casts, times, udf};

const BUCKET: &str = "time_bucket_gapfill";
const LOCF: &str = "locf";
const INTERPOLATE: &str = "interpolate";

/// What the filling of gaps does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum GapKind {
    /// The buckets.
    Bucket,
    /// The last value, carried forward.
    Locf,
    /// A value between two.
    Interpolate,
}

impl GapKind {
    /// What users call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bucket => BUCKET,
            Self::Locf => LOCF,
            Self::Interpolate => INTERPOLATE,
        }
    }
}

/// A call that the filling of gaps knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GapCall<'e> {
    pub(crate) kind: GapKind,
    /// Its arguments, those that were left out at the end missing.
    pub(crate) args: &'e [Expr],
    types: &'e [SqlType],
}

impl<'e> GapCall<'e> {
    /// The call that an expression is.
    pub(crate) fn of(expr: &'e Expr) -> Option<Self> {
        let Expr::ScalarFunction(call) = expr else {
            return None;
        };
        let kind = match call.func.name() {
            BUCKET => GapKind::Bucket,
            LOCF => GapKind::Locf,
            INTERPOLATE => GapKind::Interpolate,
            _ => return None,
        };
        Some(Self {
            kind,
            args: &call.args,
            types: udf::arg_types(&call.func)?,
        })
    }

    /// An argument, when it was given and is not NULL for all to see.
    pub(crate) fn arg(&self, at: usize) -> Option<&'e Expr> {
        let given = self.args.get(at);
        given.filter(|arg| !matches!(arg, Expr::Literal(value, _) if value.is_null()))
    }

    /// Whether a bucket's third argument is its time zone.
    fn zoned(&self) -> bool {
        self.types.get(2) == Some(&SqlType::Text)
    }

    /// The time zone of the buckets.
    pub(crate) fn zone(&self) -> Option<&'e Expr> {
        self.arg(2).filter(|_| self.zoned())
    }

    /// Where the buckets start.
    pub(crate) fn start(&self) -> Option<&'e Expr> {
        self.arg(if self.zoned() { 3 } else { 2 })
    }

    /// Where they end.
    pub(crate) fn finish(&self) -> Option<&'e Expr> {
        self.arg(if self.zoned() { 4 } else { 3 })
    }

    /// The same bucket as plain `time_bucket`, which scans and continuous aggregates know.
    ///
    /// # Errors
    /// What `time_bucket` says of its width.
    pub(crate) fn plain(&self) -> Result<Option<Expr>, FunctionError> {
        let ([width, ts, ..], [length, ty, ..]) = (self.args, self.types) else {
            return Ok(None);
        };
        if self.kind != GapKind::Bucket {
            return Ok(None);
        }
        let mut args = vec![
            Typed::new(width.clone(), length.clone()),
            Typed::new(ts.clone(), ty.clone()),
        ];
        if let Some(zone) = self.zone() {
            args.push(Typed::new(zone.clone(), SqlType::Text));
        }
        let plain = match ty {
            SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => times::integer_bucket(args, ty)?,
            _ => times::bucket(args, ty)?,
        };
        Ok(Some(plain.expr))
    }
}

/// The buckets of a width, perhaps in a time zone.
///
/// # Errors
/// 22023 for a width or zone that cannot be, 0A000 for months mixed with days.
pub(crate) fn gap_buckets(
    width: &ScalarValue,
    zone: Option<&ScalarValue>,
) -> Result<Bucketer, FunctionError> {
    let positive = |positive: bool| {
        if positive {
            return Ok(());
        }
        Err(gap_argument("bucket_width must be greater than 0"))
    };
    let integer = match width {
        ScalarValue::Int16(Some(width)) => i64::from(*width),
        ScalarValue::Int32(Some(width)) => i64::from(*width),
        ScalarValue::Int64(Some(width)) => *width,
        ScalarValue::IntervalMonthDayNano(Some(span)) => {
            let width = Interval {
                months: span.months,
                days: span.days,
                us: span.nanoseconds / 1000,
            };
            let day = i128::from(super::dates::DAY_US);
            let days = i128::from(width.months) * 30 + i128::from(width.days);
            positive(days * day + i128::from(width.us) > 0)?;
            let mut options = BucketOptions::default();
            if let Some(ScalarValue::Utf8View(Some(name))) = zone {
                options.zone = Some(calendar::zone_named(name)?.time_zone());
            }
            return Ok(Bucketer::new(width, options)?);
        }
        _ => return Err(gap_argument("bucket_width cannot be NULL")),
    };
    positive(integer > 0)?;
    Ok(Bucketer::integers(integer, 0)?)
}

/// `22023`: what is wrong with an argument of `time_bucket_gapfill`.
pub(crate) fn gap_argument(what: &str) -> FunctionError {
    FunctionError::invalid_parameter(format!("invalid {BUCKET} argument: {what}"))
}

/// Rows of `pg_proc`, still without their numbers.
pub(super) fn procs(
    proc: &mut dyn FnMut(&'static str, Vec<SqlType>, SqlType, Imp) -> Proc,
) -> Vec<Proc> {
    use SqlType::{
        AnyElement, Bool, Date, Float4, Float8, Int2, Int4, Int8, Interval, Record, Text,
        Timestamp, Timestamptz,
    };
    let mut rows = Vec::new();
    let mut add = |name, args: Vec<SqlType>, names: &[&'static str], result, imp| {
        let mut row = proc(name, args, result, imp);
        row.arg_names = names.to_vec();
        row.defaults = 2;
        rows.push(row);
    };
    let bounds = ["bucket_width", "ts", "start", "finish"];
    for int in [Int2, Int4, Int8] {
        add(
            BUCKET,
            vec![int.clone(); 4],
            &bounds,
            int,
            Imp::Scalar(bucket),
        );
    }
    for ts in [Date, Timestamp(None), Timestamptz(None)] {
        add(
            BUCKET,
            vec![Interval(None), ts.clone(), ts.clone(), ts.clone()],
            &bounds,
            ts,
            Imp::Scalar(bucket),
        );
    }
    add(
        BUCKET,
        vec![
            Interval(None),
            Timestamptz(None),
            Text,
            Timestamptz(None),
            Timestamptz(None),
        ],
        &["bucket_width", "ts", "timezone", "start", "finish"],
        Timestamptz(None),
        Imp::Scalar(bucket),
    );
    add(
        LOCF,
        vec![AnyElement, AnyElement, Bool],
        &["value", "prev", "treat_null_as_missing"],
        AnyElement,
        Imp::Scalar(locf),
    );
    for number in [Int2, Int4, Int8, Float4, Float8] {
        add(
            INTERPOLATE,
            vec![number.clone(), Record, Record],
            &["value", "prev", "next"],
            number,
            Imp::Scalar(interpolate),
        );
    }
    rows
}

fn bucket(args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
    let form = result.arrow();
    Ok(udf::column_call(
        BUCKET,
        |args, form| {
            // Where it starts and ends is nothing to the bucket of a row.
            let mut bucket = ScalarFunctionArgs {
                args: args.args.clone(),
                arg_fields: args.arg_fields.clone(),
                number_rows: args.number_rows,
                return_field: args.return_field.clone(),
                config_options: args.config_options.clone(),
            };
            let zoned = matches!(
                args.args.get(2),
                Some(zone) if zone.data_type() == arrow::datatypes::DataType::Utf8View
                    && !matches!(zone, ColumnarValue::Scalar(none) if none.is_null())
            );
            bucket.args.truncate(if zoned { 3 } else { 2 });
            times::any_bucket(&bucket, form)
        },
        args,
        result.clone(),
        form,
    ))
}

fn locf(args: Vec<Typed>, _result: &SqlType) -> Result<Typed, FunctionError> {
    let mut args = args.into_iter();
    let value = args
        .next()
        .ok_or_else(|| FunctionError::internal("locf has a value"))?;
    let rest: Vec<Typed> = args.collect();
    let given = rest
        .first()
        .is_some_and(|prev| !prev.as_literal().is_some_and(ScalarValue::is_null));
    if !given {
        return Ok(same(LOCF, value, rest));
    }
    // Both in the one form that all values of their type have.
    let mut forms = Vec::with_capacity(rest.len());
    for (at, arg) in rest.into_iter().enumerate() {
        forms.push(if at == 0 { casts::canonical(arg)? } else { arg });
    }
    Ok(same(LOCF, casts::canonical(value)?, forms))
}

fn interpolate(args: Vec<Typed>, _result: &SqlType) -> Result<Typed, FunctionError> {
    let mut args = args.into_iter();
    let value = args
        .next()
        .ok_or_else(|| FunctionError::internal("interpolate has a value"))?;
    Ok(same(INTERPOLATE, casts::canonical(value)?, args.collect()))
}

/// A call that answers its first argument.
fn same(name: &'static str, value: Typed, rest: Vec<Typed>) -> Typed {
    let (ty, form) = (value.ty.clone(), value.arrow.clone());
    let mut args = vec![value];
    args.extend(rest);
    udf::column_call(
        name,
        |args, _| {
            let value = args.args.first().cloned();
            value.ok_or_else(|| FunctionError::internal("a call without its value"))
        },
        args,
        ty,
        form,
    )
}
