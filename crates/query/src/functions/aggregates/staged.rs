//! An aggregate in two stages with a store between them: from rows to states in bytes, from those to
//! fewer of them, and from those to the answer.
//!
//! The bytes are a version, and then the states as a row of `arrow-row`, which keeps every type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder, BooleanArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};

use super::super::error::FunctionError;

/// The form of a state in bytes.
pub(super) const BYTES: DataType = DataType::BinaryView;

/// The layout of the bytes; another `arrow-row` may have another.
const VERSION: u8 = 1;

/// What a stage takes, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    /// Arguments to states.
    Partial,
    /// States to states.
    Fold,
    /// States to the answer.
    Merge,
}

/// How an aggregate was called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) udf: Arc<AggregateUDF>,
    pub(super) args: Vec<DataType>,
    pub(super) distinct: bool,
    pub(super) order: Vec<(DataType, SortOptions)>,
}

impl Call {
    fn fields<'a>(name: &str, forms: impl Iterator<Item = &'a DataType>) -> Vec<FieldRef> {
        let field = |(at, form): (usize, &DataType)| {
            Arc::new(Field::new(format!("{name}{at}"), form.clone(), true))
        };
        forms.enumerate().map(field).collect()
    }

    fn answer(&self) -> DfResult<FieldRef> {
        let fields = Self::fields("a", self.args.iter());
        self.udf.return_field(&fields)
    }

    /// The forms of its states.
    fn states(&self) -> DfResult<Vec<FieldRef>> {
        self.udf.state_fields(StateFieldsArgs {
            name: "s",
            input_fields: &Self::fields("a", self.args.iter()),
            return_field: self.answer()?,
            ordering_fields: &Self::fields("o", self.order.iter().map(|(form, _)| form)),
            is_distinct: self.distinct,
        })
    }

    /// Its arguments as they would be over columns of its own.
    fn with<T>(&self, make: impl FnOnce(AccumulatorArgs<'_>) -> T) -> DfResult<T> {
        let mut fields = Self::fields("a", self.args.iter());
        let args = fields.len();
        fields.extend(Self::fields("o", self.order.iter().map(|(form, _)| form)));
        let columns = fields.iter().enumerate();
        let columns: Vec<Arc<dyn PhysicalExpr>> = columns
            .map(|(at, field)| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(field.name(), at)) })
            .collect();
        let (exprs, keys) = columns.split_at(args);
        let order: Vec<PhysicalSortExpr> = keys
            .iter()
            .zip(&self.order)
            .map(|(expr, (_, options))| PhysicalSortExpr::new(Arc::clone(expr), *options))
            .collect();
        let schema = Schema::new(fields.clone());
        Ok(make(AccumulatorArgs {
            return_field: self.answer()?,
            schema: &schema,
            ignore_nulls: false,
            order_bys: &order,
            is_reversed: false,
            name: self.udf.name(),
            is_distinct: self.distinct,
            exprs,
            expr_fields: fields.get(..args).unwrap_or_default(),
        }))
    }
}

/// A stage of an aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Staged {
    call: Call,
    stage: Stage,
    name: String,
    signature: Signature,
}

impl Staged {
    pub(super) fn function(call: Call, stage: Stage) -> AggregateUDF {
        let word = match stage {
            Stage::Partial => "partial",
            Stage::Fold => "fold",
            Stage::Merge => "merge",
        };
        let name = format!("{word}_{}", call.udf.name());
        AggregateUDF::new_from_impl(Self {
            call,
            stage,
            name,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    fn codec(&self) -> DfResult<Option<Codec>> {
        match self.stage {
            Stage::Partial => Ok(None),
            Stage::Fold | Stage::Merge => Codec::of(&self.call).map(Some),
        }
    }

    fn encoder(&self) -> DfResult<Option<Codec>> {
        match self.stage {
            Stage::Merge => Ok(None),
            Stage::Fold | Stage::Partial => Codec::of(&self.call).map(Some),
        }
    }

    fn inner_args<T>(
        &self,
        args: AccumulatorArgs<'_>,
        make: impl FnOnce(AccumulatorArgs<'_>) -> T,
    ) -> DfResult<T> {
        match self.stage {
            Stage::Partial => Ok(make(AccumulatorArgs {
                return_field: self.call.answer()?,
                is_distinct: self.call.distinct,
                ..args
            })),
            Stage::Fold | Stage::Merge => self.call.with(make),
        }
    }
}

impl AggregateUDFImpl for Staged {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        match self.stage {
            Stage::Merge => Ok(self.call.answer()?.data_type().clone()),
            Stage::Partial | Stage::Fold => Ok(BYTES),
        }
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn state_fields(&self, _args: StateFieldsArgs<'_>) -> DfResult<Vec<FieldRef>> {
        self.call.states()
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        Ok(Box::new(One {
            inner: self.inner_args(args, |args| self.call.udf.accumulator(args))??,
            reads: self.codec()?,
            writes: self.encoder()?,
        }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.inner_args(args, |args| {
            self.call.udf.groups_accumulator_supported(args)
        })
        .unwrap_or(false)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DfResult<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Many {
            inner: self
                .inner_args(args, |args| self.call.udf.create_groups_accumulator(args))??,
            reads: self.codec()?,
            writes: self.encoder()?,
        }))
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        _: bool,
    ) -> DfResult<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        match self.stage {
            Stage::Partial => self.call.udf.order_sensitivity(),
            Stage::Fold | Stage::Merge => AggregateOrderSensitivity::Insensitive,
        }
    }
}

/// States to bytes and back.
struct Codec {
    converter: RowConverter,
}

impl Codec {
    fn of(call: &Call) -> DfResult<Self> {
        let states = call.states()?;
        let fields = states.iter();
        let fields = fields.map(|field| SortField::new(field.data_type().clone()));
        Ok(Self {
            converter: RowConverter::new(fields.collect())?,
        })
    }

    fn write(&self, states: &[ArrayRef]) -> DfResult<ArrayRef> {
        let rows = self.converter.convert_columns(states)?;
        let mut bytes = BinaryViewBuilder::with_capacity(rows.num_rows());
        let mut buffer = Vec::new();
        for row in &rows {
            buffer.clear();
            buffer.push(VERSION);
            buffer.extend_from_slice(row.as_ref());
            bytes.append_value(&buffer);
        }
        Ok(Arc::new(bytes.finish()))
    }

    /// The states, and which rows have any.
    fn read(&self, bytes: &ArrayRef) -> DfResult<(Vec<ArrayRef>, Vec<usize>)> {
        let damaged = || {
            DataFusionError::from(FunctionError::internal(
                "an aggregate's stored state is of another version",
            ))
        };
        let column = bytes.as_binary_view_opt().ok_or_else(damaged)?;
        let parser = self.converter.parser();
        let mut rows = Vec::with_capacity(column.len());
        let mut places = Vec::with_capacity(column.len());
        for (place, value) in column.iter().enumerate() {
            let Some(value) = value else {
                continue;
            };
            let row = value.strip_prefix(&[VERSION]).ok_or_else(damaged)?;
            rows.push(parser.parse(row));
            places.push(place);
        }
        Ok((self.converter.convert_rows(rows)?, places))
    }
}

/// A stage of one group.
struct One {
    inner: Box<dyn Accumulator>,
    reads: Option<Codec>,
    writes: Option<Codec>,
}

impl std::fmt::Debug for One {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("One").finish_non_exhaustive()
    }
}

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        match (&self.reads, values) {
            (Some(codec), [bytes]) => {
                let (states, _) = codec.read(bytes)?;
                self.inner.merge_batch(&states)
            }
            _ => self.inner.update_batch(values),
        }
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let Some(codec) = &self.writes else {
            return self.inner.evaluate();
        };
        let states = self.inner.state()?;
        let states = states.iter().map(ScalarValue::to_array);
        let states = states.collect::<DfResult<Vec<_>>>()?;
        ScalarValue::try_from_array(&codec.write(&states)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        self.inner.merge_batch(states)
    }
}

/// A stage of many groups.
struct Many {
    inner: Box<dyn GroupsAccumulator>,
    reads: Option<Codec>,
    writes: Option<Codec>,
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DfResult<()> {
        let (Some(codec), [bytes]) = (&self.reads, values) else {
            return self.inner.update_batch(values, groups, filter, total);
        };
        if filter.is_some() {
            return Err(FunctionError::internal("states that a filter leaves out").into());
        }
        let (states, places) = codec.read(bytes)?;
        let groups: Vec<usize> = places
            .into_iter()
            .filter_map(|place| groups.get(place).copied())
            .collect();
        self.inner.merge_batch(&states, &groups, total)
    }

    fn evaluate(&mut self, emit: EmitTo) -> DfResult<ArrayRef> {
        match &self.writes {
            Some(codec) => codec.write(&self.inner.state(emit)?),
            None => self.inner.evaluate(emit),
        }
    }

    fn state(&mut self, emit: EmitTo) -> DfResult<Vec<ArrayRef>> {
        self.inner.state(emit)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> DfResult<()> {
        self.inner.merge_batch(states, groups, total)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        let (Some(codec), [bytes]) = (&self.reads, values) else {
            return self.inner.convert_to_state(values, filter);
        };
        let (states, places) = codec.read(bytes)?;
        if filter.is_some() || places.len() != bytes.len() {
            return Err(FunctionError::internal("states that are not there").into());
        }
        Ok(states)
    }

    fn size(&self) -> usize {
        self.inner.size()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::{BinaryViewArray, Decimal128Array, Int32Array};
    use chronolith_types::SqlType;
    use datafusion::common::ScalarValue;

    use super::super::rows::{Bound, Kind};
    use super::*;

    fn call(kind: Kind, form: &DataType, ty: SqlType, distinct: bool) -> Call {
        let arrow = ty.arrow();
        let bound = Bound::of(kind, vec![form.clone()], ty, arrow);
        Call {
            udf: Arc::new(AggregateUDF::new_from_impl(bound)),
            args: vec![form.clone()],
            distinct,
            order: Vec::new(),
        }
    }

    fn written(call: &Call, values: ArrayRef) -> Vec<u8> {
        let mut inner = call
            .with(|args| call.udf.accumulator(args))
            .unwrap()
            .unwrap();
        inner.update_batch(&[values]).unwrap();
        let states = inner.state().unwrap();
        let states: Vec<ArrayRef> = states.iter().map(|s| s.to_array().unwrap()).collect();
        let bytes = Codec::of(call).unwrap().write(&states).unwrap();
        bytes.as_binary_view().value(0).to_vec()
    }

    fn answer(call: &Call, bytes: &[u8]) -> ScalarValue {
        let column: ArrayRef = Arc::new(BinaryViewArray::from_iter_values([bytes, bytes]));
        let (states, _) = Codec::of(call).unwrap().read(&column).unwrap();
        let mut inner = call
            .with(|args| call.udf.accumulator(args))
            .unwrap()
            .unwrap();
        inner.merge_batch(&states).unwrap();
        inner.evaluate().unwrap()
    }

    /// Bytes that a released version wrote must be read for ever.
    #[test]
    fn states_are_those_of_the_fixture() {
        let decimal = DataType::Decimal128(18, 4);
        let prices = Decimal128Array::from(vec![10_000, 25_000, 40_000]);
        let prices: ArrayRef = Arc::new(prices.with_data_type(decimal.clone()));
        let sizes: ArrayRef = Arc::new(Int32Array::from(vec![3, 1, 3]));
        let cases = [
            (
                "var_pop(numeric(18,4)) of 1, 2.5, 4",
                call(Kind::VarPop, &decimal, SqlType::Numeric(None), false),
                prices,
            ),
            (
                "sum(distinct integer) of 3, 1, 3",
                call(Kind::Sum, &DataType::Int32, SqlType::Int8, true),
                sizes,
            ),
        ];
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/formats/states/version-1.txt"
        );
        let fixture = std::fs::read_to_string(path).unwrap();
        for (name, call, values) in cases {
            let line = fixture.lines().find(|line| line.starts_with(name)).unwrap();
            let (_, hex) = line.split_once(" = ").unwrap();
            let bytes = written(&call, values);
            let shown: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(shown, hex, "{name}");
            // Twice the same rows: distinct ones are as many as before, and so is their spread.
            let text = answer(&call, &bytes).to_string();
            let expected = line
                .split(" gives ")
                .nth(1)
                .and_then(|t| t.split(" = ").next());
            assert_eq!(Some(text.as_str()), expected, "{name}");
        }
    }

    #[test]
    fn another_version_is_refused() {
        let call = call(Kind::Sum, &DataType::Int32, SqlType::Int8, true);
        let bytes: ArrayRef = Arc::new(BinaryViewArray::from_iter_values([&[2_u8, 0][..]]));
        let refused = Codec::of(&call).unwrap().read(&bytes);
        assert!(refused.is_err());
    }
}
