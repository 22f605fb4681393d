//! Aggregates bound to the types of one call, and the accumulator of those that need all their rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use chronolith_types::SqlType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::super::dates;
use super::super::error::FunctionError;
use super::super::io::Zone;
use super::super::json;
use super::super::math;
use super::super::operators::fixed;
use super::super::subscripts;
use super::super::table::{AggregateUse, Typed};
use super::super::udf::Context;
use super::super::value::{self, Value};
use super::super::vars::SessionVars;
use super::ends::{Ends, Extreme};
use super::exact::{Exact, Plain};
use super::floats::{Floats, Pairs};
use super::lanes::{Frame, Grouped, Lanes, Make, Single};
use super::list_of;
use super::simple::{Bits, Intervals, Percentiles};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
    BoolAnd,
    BoolOr,
    BitAnd,
    BitOr,
    BitXor,
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
    Histogram,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            // DataFusion takes what is named "sum" apart as only its own can be.
            Self::Sum => "exact_sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::BoolAnd => "bool_and",
            Self::BoolOr => "bool_or",
            Self::BitAnd => "bit_and",
            Self::BitOr => "bit_or",
            Self::BitXor => "bit_xor",
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
            Self::Histogram => "histogram",
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
                | Self::Histogram
        )
    }

    /// Whether it asks how far values are from their mean.
    pub(super) fn spread(self) -> bool {
        matches!(
            self,
            Self::StddevSamp | Self::StddevPop | Self::VarSamp | Self::VarPop
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
pub(super) struct Bound {
    kind: Kind,
    args: Vec<SqlType>,
    forms: Vec<DataType>,
    ty: SqlType,
    arrow: DataType,
    signature: Signature,
}

/// The name that SQL gives an aggregate, which [`AggregateUDF::name`] is not always.
pub fn aggregate_name(udf: &AggregateUDF) -> &str {
    match udf.inner().downcast_ref::<Bound>().map(|bound| bound.kind) {
        Some(Kind::Sum) => "sum",
        _ => udf.name(),
    }
}

/// Precision of a numeric of which 10^18 values add up within 38 digits.
pub(super) const SUMMED_IN_128: u8 = 20;

/// The form of a sum.
fn sum_form(form: &DataType, result: &SqlType) -> DataType {
    if !matches!(result, SqlType::Numeric(_)) {
        return result.arrow();
    }
    match (form, fixed(form)) {
        (DataType::Int64, _) => DataType::Decimal128(38, 0),
        (DataType::Decimal128(precision, scale), _) if *precision <= SUMMED_IN_128 => {
            DataType::Decimal128(38, *scale)
        }
        (_, Some((_, scale))) => DataType::Decimal256(76, scale),
        _ => result.arrow(),
    }
}

/// A use of an aggregate.
pub(super) fn aggregate(
    kind: Kind,
    args: &[Typed],
    result: &SqlType,
) -> Result<AggregateUse, FunctionError> {
    let first = args.first().map_or(DataType::Null, |arg| arg.arrow.clone());
    let arrow = match kind {
        Kind::Sum => sum_form(&first, result),
        Kind::First | Kind::Last | Kind::Min | Kind::Max | Kind::Mode => first,
        Kind::PercentileDisc => match (args.get(1), result) {
            (Some(arg), SqlType::Array(_)) => list_of(arg.arrow.clone()),
            (Some(arg), _) => arg.arrow.clone(),
            _ => result.arrow(),
        },
        Kind::ArrayAgg if gathers_arrays(args.first().map(|arg| &arg.ty)) => first,
        Kind::ArrayAgg => list_of(first),
        _ => result.arrow(),
    };
    let bound = Bound {
        kind,
        args: args.iter().map(|arg| arg.ty.clone()).collect(),
        forms: args.iter().map(|arg| arg.arrow.clone()).collect(),
        ty: result.clone(),
        arrow: arrow.clone(),
        signature: Signature::user_defined(Volatility::Immutable),
    };
    Ok(AggregateUse {
        udf: Arc::new(AggregateUDF::new_from_impl(bound)),
        args: args.iter().map(|arg| arg.expr.clone()).collect(),
        ty: result.clone(),
        arrow,
    })
}

fn gathers_arrays(of: Option<&SqlType>) -> bool {
    matches!(of, Some(SqlType::Array(_)))
}

/// array_agg, whose element type is its argument's.
pub(super) fn array_agg(args: &[Typed]) -> Result<AggregateUse, FunctionError> {
    let element = args.first().map_or(SqlType::Text, |arg| arg.ty.clone());
    // An array holds its element type's own form.
    let mut args = args.to_vec();
    if let Some(arg) = args.first_mut()
        && arg.arrow != element.arrow()
        && !matches!(arg.arrow, DataType::Struct(_))
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
    let result = match element {
        // Of a dimension more.
        SqlType::Array(_) => element,
        element => element.array_of(),
    };
    aggregate(Kind::ArrayAgg, &args, &result)
}

impl Bound {
    /// An aggregate of arguments of some forms whose answer has a form of its own.
    pub(super) fn of(kind: Kind, forms: Vec<DataType>, ty: SqlType, arrow: DataType) -> Self {
        Self {
            kind,
            args: vec![ty.clone(); forms.len()],
            forms,
            ty,
            arrow,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }

    /// What SQL calls it.
    pub(super) fn sql_name(&self) -> &'static str {
        match self.kind {
            Kind::Sum => "sum",
            kind => kind.name(),
        }
    }

    /// The type of its answer.
    pub(super) fn ty(&self) -> &SqlType {
        &self.ty
    }

    /// The form of its answer.
    pub(super) fn arrow(&self) -> &DataType {
        &self.arrow
    }

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

    /// The scale of an integer or of a numeric whose values have one scale.
    fn scale(&self) -> Option<i8> {
        match self.forms.first()? {
            DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(0),
            form => fixed(form).map(|(_, scale)| scale),
        }
    }

    fn float(&self) -> bool {
        self.forms.first().is_some_and(DataType::is_floating)
    }

    fn interval(&self) -> bool {
        matches!(self.forms.first(), Some(DataType::Interval(_)))
    }

    /// Whether its state is all its rows, as [`Rows`] keeps them.
    fn collects(&self) -> bool {
        self.kind.collects() && !self.percentiles()
    }

    /// Percentiles of doubles keep only those.
    fn percentiles(&self) -> bool {
        matches!(self.kind, Kind::PercentileCont | Kind::PercentileDisc)
            && self.forms.get(1) == Some(&DataType::Float64)
    }

    fn state_forms(&self) -> Vec<DataType> {
        match self.kind {
            Kind::PercentileCont | Kind::PercentileDisc => {
                Percentiles::forms(self.forms.first().unwrap_or(&DataType::Float64))
            }
            kind if kind.pairs() => vec![DataType::Float64; 6],
            kind if kind == Kind::Sum || kind == Kind::Avg || kind.spread() => {
                if self.float() {
                    Floats::forms()
                } else if self.interval() {
                    Intervals::forms()
                } else {
                    match self.scale() {
                        Some(scale) => Exact::forms(kind, scale),
                        None => Plain::forms(kind),
                    }
                }
            }
            _ => self.forms.clone(),
        }
    }

    fn lanes(&self) -> Box<dyn Lanes> {
        let form = |index: usize| self.forms.get(index).cloned().unwrap_or(DataType::Null);
        match self.kind {
            Kind::First => Box::new(Ends::new(false, form(0), form(1))),
            Kind::Last => Box::new(Ends::new(true, form(0), form(1))),
            Kind::Min => Box::new(Extreme::new(false, form(0))),
            Kind::Max => Box::new(Extreme::new(true, form(0))),
            Kind::BoolAnd | Kind::BoolOr | Kind::BitAnd | Kind::BitOr | Kind::BitXor => {
                Box::new(Bits::new(self.kind, form(0)))
            }
            Kind::PercentileCont | Kind::PercentileDisc => {
                Box::new(Percentiles::new(self.kind, form(0), self.arrow.clone()))
            }
            kind if kind.pairs() => Box::new(Pairs::new(kind, self.arrow.clone())),
            kind if self.float() => Box::new(Floats::new(kind, self.arrow.clone())),
            kind if self.interval() => Box::new(Intervals::new(kind)),
            kind => match self.scale() {
                Some(scale) => Box::new(Exact::new(kind, scale, self.arrow.clone())),
                None => Box::new(Plain::new(kind)),
            },
        }
    }

    fn make(&self) -> Make {
        let bound = self.clone();
        Arc::new(move || bound.lanes())
    }

    fn rows(&self, distinct: bool, order: Vec<SortOptions>, more: &[FieldRef]) -> Rows {
        Rows {
            bound: self.clone(),
            distinct,
            fields: self.row_fields(more),
            order,
            rows: Vec::new(),
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
        let forms = if args.is_distinct || self.collects() {
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
        if !args.is_distinct && !self.collects() {
            return Ok(Box::new(Single::new(self.lanes())));
        }
        let order = args.order_bys.iter().map(|order| order.options);
        Ok(Box::new(self.rows(
            args.is_distinct,
            order.collect(),
            &more,
        )))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DfResult<Box<dyn Accumulator>> {
        if args.is_distinct || !args.order_bys.is_empty() {
            return self.accumulator(args);
        }
        let bound = self.clone();
        if self.collects() {
            return Ok(Box::new(Frame::new(Box::new(move || {
                Box::new(bound.rows(false, Vec::new(), &[]))
            }))));
        }
        let lanes = self.lanes();
        if lanes.invertible() {
            return Ok(Box::new(Single::new(lanes)));
        }
        Ok(Box::new(Frame::new(Box::new(move || {
            Box::new(Single::new(bound.lanes()))
        }))))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct && !self.collects()
    }

    fn create_groups_accumulator(
        &self,
        _args: AccumulatorArgs<'_>,
    ) -> DfResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Grouped::new(self.make())))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        _: bool,
    ) -> DfResult<Option<Arc<dyn AggregateUDFImpl>>> {
        // Sorting rows that come sorted is cheap.
        Ok(Some(self))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        if self.collects() {
            // It sorts its rows itself, so that calls with different orders go together.
            AggregateOrderSensitivity::Beneficial
        } else {
            AggregateOrderSensitivity::Insensitive
        }
    }
}

#[derive(Debug)]
struct Rows {
    bound: Bound,
    distinct: bool,
    fields: Fields,
    order: Vec<SortOptions>,
    rows: Vec<Vec<Value>>,
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
        let needed = !matches!(
            self.bound.kind,
            Kind::ArrayAgg | Kind::JsonAgg | Kind::JsonObjectAgg
        );
        // The aggregated value is the last argument of an ordered-set aggregate.
        let at = usize::from(matches!(
            self.bound.kind,
            Kind::PercentileCont | Kind::PercentileDisc
        ));
        for number in 0..rows {
            let row = row_of(values, number)?;
            if !needed || !row.get(at).is_none_or(Value::is_null) {
                self.rows.push(row);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let rows = self.ordered();
        if self.bound.collects() {
            let answer = finish_rows(&self.bound, &rows)?;
            let array = value::write(&self.bound.arrow, vec![answer])?;
            return ScalarValue::try_from_array(&array, 0);
        }
        let columns = self.bound.forms.iter().enumerate().map(|(index, form)| {
            let values = rows.iter().map(|row| row.get(index).cloned());
            value::write(
                form,
                values.map(|value| value.unwrap_or(Value::Null)).collect(),
            )
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut single = Single::new(self.bound.lanes());
        single.update_batch(&columns)?;
        single.evaluate()
    }

    fn size(&self) -> usize {
        let width: usize = self
            .rows
            .first()
            .map_or(0, |row| row.len() * size_of::<Value>() + 48);
        size_of_val(self) + self.rows.len() * width
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let rows = std::mem::take(&mut self.rows);
        let list = Value::List(rows.into_iter().map(Value::Record).collect());
        let form = list_of(DataType::Struct(self.fields.clone()));
        Ok(vec![ScalarValue::try_from_array(
            &value::write(&form, vec![list])?,
            0,
        )?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let rows = states.first().map_or(0, |column| column.len());
        for number in 0..rows {
            if let Some(Value::List(items)) = row_of(states, number)?.into_iter().next() {
                self.rows.extend(items.into_iter().map(|item| match item {
                    Value::Record(fields) => fields,
                    _ => Vec::new(),
                }));
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

/// The most buckets of a histogram.
const BUCKETS_MAX: i64 = 1 << 20;

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
                    // Structures begin a line each.
                    out.push_str(
                        if !jsonb
                            && (matches!(ty(0), SqlType::Array(_) | SqlType::Record)
                                || ty(0).fields().is_some())
                        {
                            ", \n "
                        } else {
                            ", "
                        },
                    );
                }
                out.push_str(&json::text_of(&context, value, &ty(0), jsonb)?);
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
                    let key = json::key_of(&context, key, &ty(0))?;
                    fields.push((key, json::text_of(&context, value, &ty(1), jsonb)?));
                }
            }
            Value::Text(if jsonb {
                json::canonical(&json::last_wins(fields)?)
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
        Kind::Histogram => {
            // One bucket below the range and one above it.
            let mut counts: Vec<i64> = Vec::new();
            for row in rows {
                let buckets = row.get(3).map_or(0, Value::as_int).clamp(0, BUCKETS_MAX);
                let bucket = math::width_bucket(row)?.as_int();
                counts.resize(usize::try_from(buckets + 2).unwrap_or(2), 0);
                if let Some(count) = usize::try_from(bucket)
                    .ok()
                    .and_then(|at| counts.get_mut(at))
                {
                    *count += 1;
                }
            }
            Value::List(counts.into_iter().map(Value::Int).collect())
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
        Kind::ArrayAgg if gathers_arrays(bound.args.first()) => {
            let arrays: Vec<Value> = firsts().cloned().collect();
            subscripts::gathered(&arrays)?
        }
        _ => Value::List(firsts().cloned().collect()),
    })
}

fn percentile(kind: Kind, fraction: &Value, sorted: &[&Value]) -> Result<Value, FunctionError> {
    let at = |index: usize| {
        sorted
            .get(index)
            .map_or(Value::Null, |value| (*value).clone())
    };
    percentile_of(kind, fraction, sorted.len(), &at)
}

/// A percentile of `count` sorted values, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an index below the count of rows"
)]
pub(super) fn percentile_of(
    kind: Kind,
    fraction: &Value,
    count: usize,
    at: &dyn Fn(usize) -> Value,
) -> Result<Value, FunctionError> {
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
    if kind == Kind::PercentileDisc {
        return Ok(at(((p * count as f64).ceil() as usize).saturating_sub(1)));
    }
    let rank = p * (count - 1) as f64;
    let (low, high) = (at(rank.floor() as usize), at(rank.ceil() as usize));
    let part = rank - rank.floor();
    Ok(match (&low, &high) {
        (Value::Interval(_), Value::Interval(_)) => {
            let gap = dates::add_intervals(&[high.clone(), low.clone()], -1)?;
            let part = dates::scale_interval(&[gap, Value::Float(part)], false)?;
            dates::add_intervals(&[low, part], 1)?
        }
        // Beside an infinite neighbour, nothing is added to a value that is met exactly.
        (low, high) if rank.floor() == rank.ceil() || low == high => low.clone(),
        (low, high) => Value::Float(low.as_float() + part * (high.as_float() - low.as_float())),
    })
}
