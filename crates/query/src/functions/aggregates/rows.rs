//! Aggregates whose states take values one by one, and states that travel between partitions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use chronolith_types::SqlType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility,
};

use super::super::casts;
use super::super::dates;
use super::super::error::FunctionError;
use super::super::io::Zone;
use super::super::json;
use super::super::num::{self, Numeric};
use super::super::operators::{fixed, widen};
use super::super::table::{AggregateUse, Typed};
use super::super::udf::Context;
use super::super::value::{self, Value};
use super::super::vars::SessionVars;
use super::list_of;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    StddevSamp,
    StddevPop,
    VarSamp,
    VarPop,
    Corr,
    CovarPop,
    CovarSamp,
    RegrCount,
    RegrAvgX,
    RegrAvgY,
    RegrSxx,
    RegrSyy,
    RegrSxy,
    RegrSlope,
    RegrIntercept,
    RegrR2,
    ArrayAgg,
    StringAgg,
    JsonAgg,
    JsonObjectAgg,
    PercentileCont,
    PercentileDisc,
    Mode,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::StddevSamp => "stddev_samp",
            Self::StddevPop => "stddev_pop",
            Self::VarSamp => "var_samp",
            Self::VarPop => "var_pop",
            Self::Corr => "corr",
            Self::CovarPop => "covar_pop",
            Self::CovarSamp => "covar_samp",
            Self::RegrCount => "regr_count",
            Self::RegrAvgX => "regr_avgx",
            Self::RegrAvgY => "regr_avgy",
            Self::RegrSxx => "regr_sxx",
            Self::RegrSyy => "regr_syy",
            Self::RegrSxy => "regr_sxy",
            Self::RegrSlope => "regr_slope",
            Self::RegrIntercept => "regr_intercept",
            Self::RegrR2 => "regr_r2",
            Self::ArrayAgg => "array_agg",
            Self::StringAgg => "string_agg",
            Self::JsonAgg => "json_agg",
            Self::JsonObjectAgg => "json_object_agg",
            Self::PercentileCont => "percentile_cont",
            Self::PercentileDisc => "percentile_disc",
            Self::Mode => "mode",
        }
    }

    /// Whether its state is all its rows.
    fn collects(self) -> bool {
        matches!(
            self,
            Self::ArrayAgg
                | Self::StringAgg
                | Self::JsonAgg
                | Self::JsonObjectAgg
                | Self::PercentileCont
                | Self::PercentileDisc
                | Self::Mode
        )
    }

    fn moments(self) -> bool {
        matches!(
            self,
            Self::Avg | Self::StddevSamp | Self::StddevPop | Self::VarSamp | Self::VarPop
        )
    }

    fn pairs(self) -> bool {
        matches!(
            self,
            Self::Corr
                | Self::CovarPop
                | Self::CovarSamp
                | Self::RegrCount
                | Self::RegrAvgX
                | Self::RegrAvgY
                | Self::RegrSxx
                | Self::RegrSyy
                | Self::RegrSxy
                | Self::RegrSlope
                | Self::RegrIntercept
                | Self::RegrR2
        )
    }
}

/// An aggregate with the types of one call.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bound {
    kind: Kind,
    args: Vec<SqlType>,
    forms: Vec<DataType>,
    ty: SqlType,
    arrow: DataType,
    /// The form of a sum or of moments in transit.
    sum: DataType,
    signature: Signature,
}

/// A use of an aggregate.
pub(super) fn aggregate(
    kind: Kind,
    args: &[Typed],
    result: &SqlType,
) -> Result<AggregateUse, FunctionError> {
    let mut args = args.to_vec();
    if kind.moments() || kind == Kind::Sum {
        // Sums of small integers and of reals are kept wide.
        args = args
            .into_iter()
            .map(|arg| match arg.arrow {
                DataType::Int16 | DataType::Int32 => widen(arg, &DataType::Int64),
                DataType::Float32 => widen(arg, &DataType::Float64),
                _ => Ok(arg),
            })
            .collect::<Result<_, _>>()?;
    }
    let first = args.first().map_or(DataType::Null, |arg| arg.arrow.clone());
    let sum = match &first {
        DataType::Int64 => DataType::Decimal128(38, 0),
        form => match fixed(form) {
            Some((_, scale)) => DataType::Decimal256(76, scale),
            None => form.clone(),
        },
    };
    let arrow = match kind {
        Kind::Sum if matches!(result, SqlType::Numeric(_)) => match fixed(&first) {
            Some((_, scale)) => DataType::Decimal256(76, scale),
            None => result.arrow(),
        },
        Kind::First | Kind::Last | Kind::Min | Kind::Max | Kind::Mode => first,
        Kind::ArrayAgg => list_of(first),
        _ => result.arrow(),
    };
    let bound = Bound {
        kind,
        args: args.iter().map(|arg| arg.ty.clone()).collect(),
        forms: args.iter().map(|arg| arg.arrow.clone()).collect(),
        ty: result.clone(),
        arrow: arrow.clone(),
        sum,
        signature: Signature::user_defined(Volatility::Immutable),
    };
    Ok(AggregateUse {
        udf: Arc::new(AggregateUDF::new_from_impl(bound)),
        args: args.into_iter().map(|arg| arg.expr).collect(),
        ty: result.clone(),
        arrow,
    })
}

/// array_agg, whose element type is its argument's.
pub(super) fn array_agg(args: &[Typed]) -> Result<AggregateUse, FunctionError> {
    let element = args.first().map_or(SqlType::Text, |arg| arg.ty.clone());
    if matches!(element, SqlType::Array(_)) {
        return Err(FunctionError::unsupported(
            "arrays of several dimensions are not supported",
        ));
    }
    // An array holds its element type's own form.
    let mut args = args.to_vec();
    if let Some(arg) = args.first_mut()
        && arg.arrow != element.arrow()
    {
        let form = element.arrow();
        *arg = super::super::udf::row_call(
            super::super::udf::Row {
                name: "own_form",
                function: |_, a| Ok(a.first().cloned().unwrap_or(Value::Null)),
                strict: true,
                volatility: super::super::table::Volatile::Immutable,
                ty: element.clone(),
                arrow: form,
            },
            vec![arg.clone()],
        )?;
    }
    aggregate(Kind::ArrayAgg, &args, &element.array_of())
}

impl Bound {
    fn row_fields(&self, more: &[FieldRef]) -> Fields {
        let args = self.forms.iter().enumerate();
        let args =
            args.map(|(index, form)| Arc::new(Field::new(format!("a{index}"), form.clone(), true)));
        let more = more.iter().enumerate();
        let more = more.map(|(index, field)| {
            Arc::new(Field::new(
                format!("o{index}"),
                field.data_type().clone(),
                true,
            ))
        });
        args.chain(more).collect()
    }

    fn state_forms(&self) -> Vec<DataType> {
        let float = DataType::Float64;
        match self.kind {
            Kind::Sum => vec![self.sum.clone()],
            kind if kind.moments() => {
                let wide = match &self.sum {
                    DataType::Float64 => float,
                    DataType::Interval(_) => self.sum.clone(),
                    _ => chronolith_types::NUMERIC_ANY,
                };
                vec![DataType::Int64, wide.clone(), wide]
            }
            kind if kind.pairs() => vec![float; 6],
            _ => self.forms.clone(),
        }
    }
}

impl AggregateUDFImpl for Bound {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.arrow.clone())
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DfResult<Vec<FieldRef>> {
        let forms = if args.is_distinct || self.kind.collects() {
            vec![list_of(DataType::Struct(
                self.row_fields(args.ordering_fields),
            ))]
        } else {
            self.state_forms()
        };
        let fields = forms.into_iter().enumerate();
        Ok(fields
            .map(|(index, form)| {
                Arc::new(Field::new(format!("{}[{index}]", args.name), form, true))
            })
            .collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        let mut more = Vec::new();
        for order in args.order_bys {
            more.push(Arc::new(Field::new(
                "o",
                order.expr.data_type(args.schema)?,
                true,
            )));
        }
        Ok(Box::new(Rows {
            bound: self.clone(),
            distinct: args.is_distinct,
            collects: args.is_distinct || self.kind.collects(),
            fields: self.row_fields(&more),
            order: args.order_bys.iter().map(|order| order.options).collect(),
            rows: Vec::new(),
            state: State::new(self),
        }))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        if self.kind.collects() {
            AggregateOrderSensitivity::HardRequirement
        } else {
            AggregateOrderSensitivity::Insensitive
        }
    }
}

#[derive(Debug)]
struct Rows {
    bound: Bound,
    distinct: bool,
    collects: bool,
    fields: Fields,
    order: Vec<SortOptions>,
    rows: Vec<Vec<Value>>,
    state: State,
}

fn row_of(columns: &[ArrayRef], row: usize) -> Result<Vec<Value>, FunctionError> {
    columns
        .iter()
        .map(|column| value::read(column, row))
        .collect()
}

impl Accumulator for Rows {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let rows = values.first().map_or(0, |column| column.len());
        for number in 0..rows {
            let row = row_of(values, number)?;
            if self.collects {
                let needed = !matches!(
                    self.bound.kind,
                    Kind::ArrayAgg | Kind::JsonAgg | Kind::JsonObjectAgg
                );
                // The aggregated value is the last argument of an ordered-set aggregate.
                let at = if matches!(self.bound.kind, Kind::PercentileCont | Kind::PercentileDisc) {
                    1
                } else {
                    0
                };
                if !needed || !row.get(at).is_none_or(Value::is_null) {
                    self.rows.push(row);
                }
            } else {
                self.state.update(&row)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let answer = if self.collects {
            let rows = self.ordered();
            if self.bound.kind.collects() {
                finish_rows(&self.bound, &rows)?
            } else {
                let mut state = State::new(&self.bound);
                for row in &rows {
                    state.update(row)?;
                }
                state.finish(&self.bound)?
            }
        } else {
            self.state.finish(&self.bound)?
        };
        let array = value::write(&self.bound.arrow, vec![answer])?;
        ScalarValue::try_from_array(&array, 0)
    }

    fn size(&self) -> usize {
        let width: usize = self
            .rows
            .first()
            .map_or(0, |row| row.len() * size_of::<Value>() + 48);
        size_of_val(self) + self.rows.len() * width
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        if self.collects {
            let rows = std::mem::take(&mut self.rows);
            let list = Value::List(rows.into_iter().map(Value::Record).collect());
            let form = list_of(DataType::Struct(self.fields.clone()));
            return Ok(vec![ScalarValue::try_from_array(
                &value::write(&form, vec![list])?,
                0,
            )?]);
        }
        let values = self.state.values();
        let forms = self.bound.state_forms();
        forms
            .iter()
            .zip(values)
            .map(|(form, value)| ScalarValue::try_from_array(&value::write(form, vec![value])?, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let rows = states.first().map_or(0, |column| column.len());
        for number in 0..rows {
            let row = row_of(states, number)?;
            if self.collects {
                if let Some(Value::List(items)) = row.into_iter().next() {
                    self.rows.extend(items.into_iter().map(|item| match item {
                        Value::Record(fields) => fields,
                        _ => Vec::new(),
                    }));
                }
            } else {
                self.state.merge(&row)?;
            }
        }
        Ok(())
    }
}

impl Rows {
    /// The rows in the order asked for, doubles gone when only distinct ones count.
    fn ordered(&self) -> Vec<Vec<Value>> {
        let arguments = self.bound.forms.len();
        let mut rows = self.rows.clone();
        if self.distinct {
            let key = |row: &Vec<Value>| Value::List(row.iter().take(arguments).cloned().collect());
            rows.sort_by(|a, b| key(a).compare(&key(b)));
            rows.dedup_by(|a, b| key(a).compare(&key(b)).is_eq());
        }
        if !self.order.is_empty() {
            rows.sort_by(|a, b| {
                for (index, options) in self.order.iter().enumerate() {
                    let (Some(x), Some(y)) = (a.get(arguments + index), b.get(arguments + index))
                    else {
                        continue;
                    };
                    let order = match (x.is_null(), y.is_null()) {
                        (true, true) => continue,
                        (true, false) if options.nulls_first => std::cmp::Ordering::Less,
                        (true, false) => std::cmp::Ordering::Greater,
                        (false, true) if options.nulls_first => std::cmp::Ordering::Greater,
                        (false, true) => std::cmp::Ordering::Less,
                        _ if options.descending => y.compare(x),
                        _ => x.compare(y),
                    };
                    if order.is_ne() {
                        return order;
                    }
                }
                std::cmp::Ordering::Equal
            });
        }
        rows
    }
}

#[derive(Debug)]
enum State {
    Int(Option<i128>),
    Float(Option<f64>),
    Numeric(Option<Numeric>),
    Interval(Option<Value>),
    /// Count, sum, and sum of squares.
    Exact(i64, Numeric, Numeric),
    /// Count, sum, and sum of squared differences from the mean (Youngs and Cramer).
    Floating(i64, f64, f64),
    Intervals(i64, Value),
    /// n, Sx, Sxx, Sy, Syy, Sxy.
    Pairs([f64; 6]),
    Extreme(Value, bool),
    /// Value, what it is compared by, and whether the last is wanted.
    Pick(Option<(Value, Value)>, bool),
}

impl State {
    fn new(bound: &Bound) -> Self {
        let zero = || num::from_i64(0);
        match (bound.kind, bound.forms.first()) {
            (Kind::Sum, Some(DataType::Int64)) => Self::Int(None),
            (Kind::Sum, Some(DataType::Float64)) => Self::Float(None),
            (Kind::Sum, Some(DataType::Interval(_))) => Self::Interval(None),
            (Kind::Sum, _) => Self::Numeric(None),
            (Kind::Min, _) => Self::Extreme(Value::Null, false),
            (Kind::Max, _) => Self::Extreme(Value::Null, true),
            (Kind::First, _) => Self::Pick(None, false),
            (Kind::Last, _) => Self::Pick(None, true),
            (kind, _) if kind.pairs() => Self::Pairs([0.0; 6]),
            (_, Some(DataType::Float64)) => Self::Floating(0, 0.0, 0.0),
            (_, Some(DataType::Interval(_))) => Self::Intervals(0, dates::interval(0, 0, 0)),
            _ => Self::Exact(0, zero(), zero()),
        }
    }

    fn update(&mut self, row: &[Value]) -> Result<(), FunctionError> {
        let Some(value) = row.first() else {
            return Ok(());
        };
        if let Self::Pick(kept, last) = self {
            let Some(by) = row.get(1).filter(|by| !by.is_null()) else {
                return Ok(());
            };
            let better = kept.as_ref().is_none_or(|(_, known)| {
                let order = by.compare(known);
                if *last { order.is_ge() } else { order.is_lt() }
            });
            if better {
                *kept = Some((value.clone(), by.clone()));
            }
            return Ok(());
        }
        if value.is_null() {
            return Ok(());
        }
        match self {
            Self::Int(total) => *total = Some(total.unwrap_or(0) + i128::from(value.as_int())),
            Self::Float(total) => *total = Some(total.unwrap_or(0.0) + value.as_float()),
            Self::Numeric(total) => {
                let value = value.as_numeric()?;
                *total = Some(match total {
                    Some(total) => num::add(total, &value)?,
                    None => value,
                });
            }
            Self::Interval(total) => {
                *total = Some(match total.take() {
                    Some(total) => dates::add_intervals(&[total, value.clone()], 1)?,
                    None => value.clone(),
                });
            }
            Self::Exact(count, sum, squares) => {
                let value = value.as_numeric()?;
                *count += 1;
                *sum = num::add(sum, &value)?;
                *squares = num::add(squares, &num::mul(&value, &value)?)?;
            }
            Self::Floating(count, sum, squares) => {
                let value = value.as_float();
                let before = *count as f64;
                *count += 1;
                *sum += value;
                let n = *count as f64;
                if before > 0.0 {
                    let gap = value * n - *sum;
                    *squares += gap * gap / (n * before);
                } else if !value.is_finite() {
                    *squares = f64::NAN;
                }
            }
            Self::Intervals(count, sum) => {
                *count += 1;
                *sum = dates::add_intervals(&[sum.clone(), value.clone()], 1)?;
            }
            Self::Pairs(s) => {
                let Some(x) = row.get(1).filter(|x| !x.is_null()) else {
                    return Ok(());
                };
                let (y, x) = (value.as_float(), x.as_float());
                let [n, sx, sxx, sy, syy, sxy] = s;
                let before = *n;
                *n += 1.0;
                *sx += x;
                *sy += y;
                if before > 0.0 {
                    let (dx, dy) = (x * *n - *sx, y * *n - *sy);
                    let scale = 1.0 / (*n * before);
                    *sxx += dx * dx * scale;
                    *syy += dy * dy * scale;
                    *sxy += dx * dy * scale;
                }
            }
            Self::Extreme(kept, greatest) => {
                let order = value.compare(kept);
                if kept.is_null()
                    || if *greatest {
                        order.is_gt()
                    } else {
                        order.is_lt()
                    }
                {
                    *kept = value.clone();
                }
            }
            Self::Pick(..) => {}
        }
        Ok(())
    }

    fn values(&self) -> Vec<Value> {
        let float = |v: f64| Value::Float(v);
        match self {
            Self::Int(total) => {
                vec![total.map_or(Value::Null, |v| Value::Numeric(num::from_fixed128(v, 0)))]
            }
            Self::Float(total) => vec![total.map_or(Value::Null, float)],
            Self::Numeric(total) => vec![(*total).map_or(Value::Null, Value::Numeric)],
            Self::Interval(total) => vec![total.clone().unwrap_or(Value::Null)],
            Self::Exact(count, a, b) => {
                vec![Value::Int(*count), Value::Numeric(*a), Value::Numeric(*b)]
            }
            Self::Floating(count, a, b) => vec![Value::Int(*count), float(*a), float(*b)],
            Self::Intervals(count, sum) => vec![Value::Int(*count), sum.clone(), Value::Null],
            Self::Pairs(s) => s.iter().copied().map(float).collect(),
            Self::Extreme(kept, _) => vec![kept.clone()],
            Self::Pick(Some((value, by)), _) => vec![value.clone(), by.clone()],
            Self::Pick(None, _) => vec![Value::Null, Value::Null],
        }
    }

    fn merge(&mut self, row: &[Value]) -> Result<(), FunctionError> {
        match (&mut *self, row) {
            (Self::Int(total), [Value::Numeric(more)]) => {
                *total = Some(total.unwrap_or(0) + num::to_fixed128(more, 38, 0)?);
            }
            (
                Self::Exact(count, sum, squares),
                [Value::Int(n), Value::Numeric(a), Value::Numeric(b)],
            ) => {
                *count += n;
                *sum = num::add(sum, a)?;
                *squares = num::add(squares, b)?;
            }
            (
                Self::Floating(count, sum, squares),
                [Value::Int(n), Value::Float(a), Value::Float(b)],
            ) => {
                if *n > 0 {
                    if *count > 0 {
                        let (n1, n2) = (*count as f64, *n as f64);
                        let gap = *sum / n1 - a / n2;
                        *squares += b + n1 * n2 * gap * gap / (n1 + n2);
                    } else {
                        *squares = *b;
                    }
                    *count += n;
                    *sum += a;
                }
            }
            (Self::Intervals(count, sum), [Value::Int(n), more, _]) => {
                *count += n;
                *sum = dates::add_intervals(&[sum.clone(), more.clone()], 1)?;
            }
            (Self::Pairs(s), other) if other.len() == 6 => {
                let mut o = [0.0; 6];
                for (slot, value) in o.iter_mut().zip(other) {
                    *slot = value.as_float();
                }
                let [n1, sx1, sxx1, sy1, syy1, sxy1] = *s;
                let [n2, sx2, sxx2, sy2, syy2, sxy2] = o;
                if n1 == 0.0 {
                    *s = o;
                } else if n2 > 0.0 {
                    let n = n1 + n2;
                    let (dx, dy) = (sx1 / n1 - sx2 / n2, sy1 / n1 - sy2 / n2);
                    let scale = n1 * n2 / n;
                    *s = [
                        n,
                        sx1 + sx2,
                        sxx1 + sxx2 + scale * dx * dx,
                        sy1 + sy2,
                        syy1 + syy2 + scale * dy * dy,
                        sxy1 + sxy2 + scale * dx * dy,
                    ];
                }
            }
            (_, other) => self.update(other)?,
        }
        Ok(())
    }

    fn finish(&self, bound: &Bound) -> Result<Value, FunctionError> {
        Ok(match self {
            Self::Int(None)
            | Self::Float(None)
            | Self::Numeric(None)
            | Self::Interval(None)
            | Self::Pick(None, _) => Value::Null,
            Self::Int(Some(total)) if bound.ty == SqlType::Int8 => Value::Int(
                i64::try_from(*total).map_err(|_| FunctionError::out_of_range("bigint"))?,
            ),
            Self::Int(Some(total)) => Value::Numeric(num::from_fixed128(*total, 0)),
            Self::Float(Some(total)) => Value::Float(*total),
            Self::Numeric(Some(total)) => Value::Numeric(*total),
            Self::Interval(Some(total)) => total.clone(),
            Self::Pick(Some((value, _)), _) | Self::Extreme(value, _) => value.clone(),
            Self::Intervals(0, _) => Value::Null,
            Self::Intervals(count, sum) => {
                dates::scale_interval(&[sum.clone(), Value::Int(*count)], true)?
            }
            Self::Exact(count, sum, squares) => exact(bound.kind, *count, sum, squares)?,
            Self::Floating(count, sum, squares) => floating(bound.kind, *count, *sum, *squares),
            Self::Pairs(s) => pairs(bound.kind, s),
        })
    }
}

fn exact(kind: Kind, count: i64, sum: &Numeric, squares: &Numeric) -> Result<Value, FunctionError> {
    let sample = matches!(kind, Kind::StddevSamp | Kind::VarSamp);
    if count == 0 || (sample && count == 1) {
        return Ok(Value::Null);
    }
    let n = num::from_i64(count);
    if kind == Kind::Avg {
        return Ok(Value::Numeric(num::div(sum, &n)?));
    }
    let spread = num::sub(&num::mul(&n, squares)?, &num::mul(sum, sum)?)?;
    if num::compare(&spread, &num::from_i64(0)).is_le() {
        return Ok(Value::Numeric(num::from_i64(0)));
    }
    let below = if sample { count - 1 } else { count };
    let variance = num::div(&spread, &num::mul(&n, &num::from_i64(below))?)?;
    Ok(Value::Numeric(
        if matches!(kind, Kind::StddevSamp | Kind::StddevPop) {
            num::sqrt(&variance)?
        } else {
            variance
        },
    ))
}

fn floating(kind: Kind, count: i64, sum: f64, squares: f64) -> Value {
    let n = count as f64;
    let answer = match kind {
        _ if count == 0 => return Value::Null,
        Kind::Avg => sum / n,
        Kind::VarPop => squares / n,
        Kind::StddevPop => (squares / n).sqrt(),
        _ if count == 1 => return Value::Null,
        Kind::VarSamp => squares / (n - 1.0),
        _ => (squares / (n - 1.0)).sqrt(),
    };
    Value::Float(answer)
}

fn pairs(kind: Kind, [n, sx, sxx, sy, syy, sxy]: &[f64; 6]) -> Value {
    if kind == Kind::RegrCount {
        #[expect(clippy::cast_possible_truncation, reason = "a count of rows")]
        return Value::Int(*n as i64);
    }
    if *n < 1.0 {
        return Value::Null;
    }
    let flat = *sxx == 0.0;
    Value::Float(match kind {
        Kind::RegrAvgX => sx / n,
        Kind::RegrAvgY => sy / n,
        Kind::RegrSxx => *sxx,
        Kind::RegrSyy => *syy,
        Kind::RegrSxy => *sxy,
        Kind::CovarPop => sxy / n,
        Kind::CovarSamp if *n < 2.0 => return Value::Null,
        Kind::CovarSamp => sxy / (n - 1.0),
        _ if flat => return Value::Null,
        Kind::Corr if *syy == 0.0 => return Value::Null,
        Kind::Corr => sxy / (sxx * syy).sqrt(),
        Kind::RegrSlope => sxy / sxx,
        Kind::RegrIntercept => (sy - sx * sxy / sxx) / n,
        _ if *syy == 0.0 => 1.0,
        _ => sxy * sxy / (sxx * syy),
    })
}

fn finish_rows(bound: &Bound, rows: &[Vec<Value>]) -> Result<Value, FunctionError> {
    if rows.is_empty() {
        return Ok(Value::Null);
    }
    let firsts = || rows.iter().filter_map(|row| row.first());
    let vars = SessionVars::default();
    let zone = Zone::fixed(0);
    let context = Context {
        vars: &vars,
        zone: &zone,
        args: &bound.args,
        result: &bound.ty,
        memo: Default::default(),
    };
    let jsonb = bound.ty == SqlType::Jsonb;
    let ty = |index: usize| bound.args.get(index).cloned().unwrap_or(SqlType::Text);
    Ok(match bound.kind {
        Kind::StringAgg => {
            let mut text = String::new();
            let mut bytes = Vec::new();
            for (index, row) in rows.iter().enumerate() {
                let (Some(value), separator) = (row.first(), row.get(1)) else {
                    continue;
                };
                match (value, separator) {
                    (Value::Bytes(value), separator) => {
                        if let (true, Some(Value::Bytes(separator))) = (index > 0, separator) {
                            bytes.extend_from_slice(separator);
                        }
                        bytes.extend_from_slice(value);
                    }
                    (value, separator) => {
                        if index > 0 {
                            text.push_str(separator.map_or("", Value::as_str));
                        }
                        text.push_str(value.as_str());
                    }
                }
            }
            if bound.ty == SqlType::Bytea {
                Value::Bytes(bytes)
            } else {
                Value::Text(text)
            }
        }
        Kind::JsonAgg => {
            let mut out = String::from("[");
            for (index, value) in firsts().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                let item = json::of_value(&context, value, &ty(0))?;
                out.push_str(&if jsonb {
                    json::canonical(&item)
                } else {
                    item.to_string()
                });
            }
            out.push(']');
            Value::Text(out)
        }
        Kind::JsonObjectAgg => {
            let mut fields = Vec::new();
            for row in rows {
                if let [key, value, ..] = row.as_slice() {
                    if key.is_null() {
                        return Err(FunctionError::invalid_parameter(
                            "field name must not be null",
                        ));
                    }
                    let key = casts::to_text(&zone, key, &ty(0))?;
                    fields.push((key, json::of_value(&context, value, &ty(1))?));
                }
            }
            Value::Text(if jsonb {
                json::canonical(&json::last_wins(fields))
            } else {
                let text = json::object_text(&fields);
                // json_object_agg pads its braces.
                format!(
                    "{{ {} }}",
                    text.get(1..text.len().saturating_sub(1))
                        .unwrap_or_default()
                )
            })
        }
        Kind::Mode => {
            let mut sorted: Vec<&Value> = firsts().collect();
            sorted.sort_by(|a, b| a.compare(b));
            let mut best: Option<(&Value, usize)> = None;
            for run in sorted.chunk_by(|a, b| a.compare(b).is_eq()) {
                if let Some(value) = run.first()
                    && best.is_none_or(|(_, length)| run.len() > length)
                {
                    best = Some((value, run.len()));
                }
            }
            best.map_or(Value::Null, |(value, _)| value.clone())
        }
        Kind::PercentileCont | Kind::PercentileDisc => {
            let mut sorted: Vec<&Value> = rows.iter().filter_map(|row| row.get(1)).collect();
            sorted.sort_by(|a, b| a.compare(b));
            match rows.first().and_then(|row| row.first()) {
                Some(Value::List(fractions)) => Value::List(
                    fractions
                        .iter()
                        .map(|fraction| percentile(bound.kind, fraction, &sorted))
                        .collect::<Result<_, _>>()?,
                ),
                Some(fraction) => percentile(bound.kind, fraction, &sorted)?,
                None => Value::Null,
            }
        }
        _ => Value::List(firsts().cloned().collect()),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index below the count of rows"
)]
fn percentile(kind: Kind, fraction: &Value, sorted: &[&Value]) -> Result<Value, FunctionError> {
    if fraction.is_null() {
        return Ok(Value::Null);
    }
    let p = fraction.as_float();
    if !(0.0..=1.0).contains(&p) {
        return Err(FunctionError::new(
            chronolith_types::SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
            format!("percentile value {p} is not between 0 and 1"),
        ));
    }
    let at = |index: usize| {
        sorted
            .get(index)
            .map_or(Value::Null, |value| (*value).clone())
    };
    if kind == Kind::PercentileDisc {
        return Ok(at(
            ((p * sorted.len() as f64).ceil() as usize).saturating_sub(1)
        ));
    }
    let rank = p * (sorted.len() - 1) as f64;
    let (low, high) = (at(rank.floor() as usize), at(rank.ceil() as usize));
    let part = rank - rank.floor();
    Ok(match (&low, &high) {
        (Value::Interval(_), Value::Interval(_)) => {
            let gap = dates::add_intervals(&[high.clone(), low.clone()], -1)?;
            let part = dates::scale_interval(&[gap, Value::Float(part)], false)?;
            dates::add_intervals(&[low, part], 1)?
        }
        (low, high) => Value::Float(low.as_float() + part * (high.as_float() - low.as_float())),
    })
}
