//! `count(DISTINCT …)`: the values that were seen, as the bytes of keys that one buffer holds.
//!
//! DataFusion counts the distinct values of integers, texts and a few more by sets of its own. Of
//! any other form it keeps slices of the batches that it has seen, and takes each for as large as
//! its batch; and by group it makes a set per group, each with buffers for a hundred texts.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Int64Array, ListArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType, Decimal256Type, Field, FieldRef, Float32Type, Float64Type, IntervalMonthDayNano,
    IntervalMonthDayNanoType, IntervalUnit,
};
use arrow::row::{RowConverter, SortField};
use chronolith_types::{NUMERIC_ANY, Numeric, SqlState};
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::functions_aggregate as df;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::super::error::FunctionError;
use super::lanes::{Grouped, Lanes, Single, column, each};

/// What counts the distinct values in the place of an aggregate, which counts all.
pub(crate) fn counting_distinct(of: Arc<AggregateUDF>) -> Arc<AggregateUDF> {
    match of == df::count::count_udaf() {
        true => Arc::new(AggregateUDF::new_from_impl(CountDistinct {
            count: of,
            signature: Signature::user_defined(Volatility::Immutable),
        })),
        false => of,
    }
}

/// `count` where it is called with DISTINCT.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CountDistinct {
    /// DataFusion's.
    count: Arc<AggregateUDF>,
    signature: Signature,
}

/// The form that one call counts.
fn counted(args: &AccumulatorArgs<'_>) -> DataType {
    let first = args.expr_fields.first();
    first.map_or(DataType::Null, |field| field.data_type().clone())
}

/// Whether keys can be made of a form's values.
fn has_keys(form: &DataType) -> bool {
    let makes = |form: &DataType| RowConverter::supports_fields(&[SortField::new(form.clone())]);
    !matches!(form, DataType::Null | DataType::Dictionary(..)) && makes(form)
}

impl AggregateUDFImpl for CountDistinct {
    fn name(&self) -> &str {
        self.count.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> DfResult<DataType> {
        self.count.inner().return_type(args)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, form: &DataType) -> DfResult<ScalarValue> {
        self.count.inner().default_value(form)
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> DfResult<Vec<FieldRef>> {
        self.count.inner().state_fields(args)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> DfResult<Box<dyn Accumulator>> {
        let form = counted(&args);
        // DataFusion's sets of these are the quicker ones.
        let native = form.is_integer()
            || matches!(
                form,
                DataType::Decimal128(..)
                    | DataType::Date32
                    | DataType::Time64(_)
                    | DataType::Timestamp(..)
                    | DataType::Utf8View
                    | DataType::BinaryView
            );
        if native || !has_keys(&form) {
            return self.count.inner().accumulator(args);
        }
        Ok(Box::new(Single::new(Box::new(Distinct::new(form)?))))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        has_keys(&counted(&args)) || self.count.inner().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> DfResult<Box<dyn GroupsAccumulator>> {
        let form = counted(&args);
        if form.is_integer() || !has_keys(&form) {
            return self.count.inner().create_groups_accumulator(args);
        }
        // Keys can be made of the form, which has been asked.
        let first = Distinct::new(form.clone())?;
        let make = move || -> Box<dyn Lanes> { Box::new(first.emptied()) };
        Ok(Box::new(Grouped::new(Arc::new(make))))
    }
}

/// Where the key of a value lies, and of which group it is.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u64,
    start: usize,
    length: u32,
    group: u32,
}

/// The distinct values of each group, once each.
#[derive(Debug)]
struct Distinct {
    form: DataType,
    converter: Arc<RowConverter>,
    hasher: DefaultHashBuilder,
    seen: HashTable<Entry>,
    /// The keys, one behind the other.
    keys: Vec<u8>,
    /// How many values each group has.
    counts: Vec<i64>,
}

/// How many values are made keys of at once.
const KEYS_AT_ONCE: usize = 8192;

fn too_many() -> FunctionError {
    FunctionError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "too many distinct values to count",
    )
}

impl Distinct {
    fn new(form: DataType) -> Result<Self, FunctionError> {
        let converter = RowConverter::new(vec![SortField::new(form.clone())])?;
        Ok(Self {
            form,
            converter: Arc::new(converter),
            hasher: DefaultHashBuilder::default(),
            seen: HashTable::new(),
            keys: Vec::new(),
            counts: Vec::new(),
        })
    }

    /// The same without values and groups.
    fn emptied(&self) -> Self {
        Self {
            form: self.form.clone(),
            converter: Arc::clone(&self.converter),
            hasher: self.hasher.clone(),
            seen: HashTable::new(),
            keys: Vec::new(),
            counts: Vec::new(),
        }
    }

    fn insert(&mut self, group: usize, key: &[u8]) -> Result<(), FunctionError> {
        let of = u32::try_from(group).map_err(|_| too_many())?;
        let hash = self.hasher.hash_one((of, key));
        let keys = &self.keys;
        let same = |entry: &Entry| {
            entry.hash == hash && entry.group == of && bytes_of(keys, entry) == Some(key)
        };
        if self.seen.find(hash, same).is_some() {
            return Ok(());
        }
        let entry = Entry {
            hash,
            start: self.keys.len(),
            length: u32::try_from(key.len()).map_err(|_| too_many())?,
            group: of,
        };
        self.keys.extend_from_slice(key);
        self.seen.insert_unique(hash, entry, |entry| entry.hash);
        if let Some(count) = self.counts.get_mut(group) {
            *count += 1;
        }
        Ok(())
    }
}

fn bytes_of<'k>(keys: &'k [u8], entry: &Entry) -> Option<&'k [u8]> {
    keys.get(entry.start..)?.get(..entry.length as usize)
}

impl Lanes for Distinct {
    fn grow(&mut self, groups: usize) {
        self.counts.resize(groups, 0);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError> {
        let values = column(values, 0)?;
        let rows = self.converter.convert_columns(&[equal_form(values)?])?;
        each(
            groups,
            values.logical_nulls().as_ref(),
            keep,
            |row, group| self.insert(group, rows.row(row).data()),
        )
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError> {
        let lists = column(states, 0)?.as_list_opt::<i32>();
        let lists = lists.ok_or_else(|| FunctionError::internal("a set of values is no list"))?;
        // The group of each value, in their order.
        let mut of = Vec::new();
        let mut pieces = lists.iter().zip(groups);
        let mut values = Vec::new();
        loop {
            let piece = pieces.next();
            if let Some((Some(list), group)) = &piece {
                of.resize(of.len() + list.len(), **group);
                values.push(Arc::clone(list));
            }
            // Lists are short where groups are many: some are taken together.
            if of.len() >= KEYS_AT_ONCE || piece.is_none() {
                let parts: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
                if !parts.is_empty() {
                    let all = match values.as_slice() {
                        [only] => Arc::clone(only),
                        _ => arrow::compute::concat(&parts)?,
                    };
                    for from in (0..of.len()).step_by(KEYS_AT_ONCE) {
                        let length = KEYS_AT_ONCE.min(of.len() - from);
                        let groups = of.get(from..).and_then(|of| of.get(..length));
                        let some = all.slice(from, length);
                        self.update(&[some], groups.unwrap_or_default(), None)?;
                    }
                }
                of.clear();
                values.clear();
            }
            if piece.is_none() {
                return Ok(());
            }
        }
    }

    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError> {
        let counts = self.counts.get(..count).unwrap_or(&self.counts);
        let mut offsets = Vec::with_capacity(counts.len() + 1);
        let mut end = 0_usize;
        offsets.push(0_i32);
        // Where the next value of each group belongs.
        let mut next = Vec::with_capacity(counts.len());
        for count in counts {
            next.push(end);
            end += usize::try_from(*count).unwrap_or(0);
            offsets.push(i32::try_from(end).map_err(|_| too_many())?);
        }
        let mut keys: Vec<&[u8]> = vec![&[]; end];
        for entry in &self.seen {
            let Some(place) = next.get_mut(entry.group as usize) else {
                continue;
            };
            if let (Some(slot), Some(key)) = (keys.get_mut(*place), bytes_of(&self.keys, entry)) {
                *slot = key;
            }
            *place += 1;
        }
        let parser = self.converter.parser();
        let rows = keys.into_iter().map(|key| parser.parse(key));
        let values = self.converter.convert_rows(rows)?;
        let values = column(&values, 0)?;
        let list = ListArray::try_new(
            Arc::new(Field::new_list_field(self.form.clone(), true)),
            OffsetBuffer::new(offsets.into()),
            Arc::clone(values),
            None,
        )?;
        Ok(vec![Arc::new(list)])
    }

    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError> {
        let counts = self.counts.get(..count).unwrap_or(&self.counts);
        Ok(Arc::new(Int64Array::from(counts.to_vec())))
    }

    fn forget(&mut self, count: usize) {
        let mut left = self.emptied();
        left.counts = self.counts.split_off(count.min(self.counts.len()));
        for entry in &self.seen {
            let group = (entry.group as usize).checked_sub(count);
            if let (Some(group), Some(key)) = (group, bytes_of(&self.keys, entry)) {
                // It was put in once, and what it is counted as is there already.
                let start = left.keys.len();
                left.keys.extend_from_slice(key);
                let group = u32::try_from(group).unwrap_or(u32::MAX);
                let hash = left.hasher.hash_one((group, key));
                let entry = Entry {
                    hash,
                    start,
                    length: entry.length,
                    group,
                };
                left.seen.insert_unique(hash, entry, |entry| entry.hash);
            }
        }
        *self = left;
    }

    fn bytes(&self) -> usize {
        self.keys.capacity()
            + self.seen.allocation_size()
            + self.counts.capacity() * size_of::<i64>()
            + self.converter.size()
    }
}

/// Values such that those are alike to the bit that PostgreSQL takes for equal: zeros without a
/// sign, numerics without a scale of their own, intervals by their length; also within rows and
/// arrays.
fn equal_form(values: &ArrayRef) -> Result<ArrayRef, FunctionError> {
    fn each<T: ArrowPrimitiveType>(
        values: &ArrayRef,
        equal: impl Fn(T::Native) -> T::Native,
    ) -> ArrayRef {
        let form = values.data_type().clone();
        Arc::new(
            values
                .as_primitive::<T>()
                .unary::<_, T>(equal)
                .with_data_type(form),
        )
    }
    Ok(match values.data_type() {
        DataType::Float32 => each::<Float32Type>(values, |value| match value.is_nan() {
            true => f32::NAN,
            false => value + 0.0,
        }),
        DataType::Float64 => each::<Float64Type>(values, |value| match value.is_nan() {
            true => f64::NAN,
            false => value + 0.0,
        }),
        form if *form == NUMERIC_ANY => each::<Decimal256Type>(values, Numeric::normalised_any),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            each::<IntervalMonthDayNanoType>(values, equal_interval)
        }
        DataType::Struct(fields) => {
            let of = values.as_struct();
            let columns = of.columns().iter().map(equal_form);
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let nulls = of.nulls().cloned();
            Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns,
                nulls,
                of.len(),
            )?)
        }
        DataType::List(field) => {
            let of = values.as_list::<i32>();
            let items = equal_form(of.values())?;
            let (offsets, nulls) = (of.offsets().clone(), of.nulls().cloned());
            Arc::new(ListArray::try_new(
                Arc::clone(field),
                offsets,
                items,
                nulls,
            )?)
        }
        _ => Arc::clone(values),
    })
}

/// An interval as long as another, in as many whole months and days as it has.
fn equal_interval(of: IntervalMonthDayNano) -> IntervalMonthDayNano {
    const DAY_NS: i128 = 86_400_000_000_000;
    const MONTH_NS: i128 = 30 * DAY_NS;
    let days = i128::from(of.months) * 30 + i128::from(of.days);
    let length = days * DAY_NS + i128::from(of.nanoseconds);
    let parts = (
        i32::try_from(length / MONTH_NS),
        i32::try_from(length % MONTH_NS / DAY_NS),
        i64::try_from(length % DAY_NS),
    );
    match parts {
        (Ok(months), Ok(days), Ok(rest)) => IntervalMonthDayNano::new(months, days, rest),
        // Longer than months can say: such has one form in practice.
        _ => of,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::{Int32Array, StringViewArray};

    use super::*;

    /// Rows of a number and a text, of which every one is there twice.
    fn rows(numbers: std::ops::Range<i32>) -> ArrayRef {
        let of = || numbers.clone().chain(numbers.clone());
        let texts: StringViewArray = of()
            .map(|number| (number % 3 > 0).then(|| format!("a text that is long: {number}")))
            .collect();
        let fields: Vec<(&str, ArrayRef)> = vec![
            ("f1", Arc::new(Int32Array::from_iter_values(of()))),
            ("f2", Arc::new(texts)),
        ];
        Arc::new(StructArray::try_from(fields).unwrap())
    }

    fn counts(of: &Distinct, groups: usize) -> Vec<i64> {
        let answers = of.answers(groups).unwrap();
        answers
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values()
            .to_vec()
    }

    #[test]
    fn a_value_is_kept_once_and_takes_its_own_bytes_alone() {
        let values = rows(0..10_000);
        let mut all = Distinct::new(values.data_type().clone()).unwrap();
        all.grow(1);
        all.update(&[values], &vec![0; 20_000], None).unwrap();
        assert_eq!(counts(&all, 1), [10_000]);
        assert!(all.bytes() < 4 << 20, "{}", all.bytes());
    }

    #[test]
    fn states_of_groups_merge_into_what_one_pass_counts() {
        let values = rows(0..1000);
        let form = values.data_type().clone();
        let groups: Vec<usize> = (0..2000).map(|row| row % 1000 / 250).collect();
        let (mut one, mut other) = (
            Distinct::new(form.clone()).unwrap(),
            Distinct::new(form.clone()).unwrap(),
        );
        one.grow(4);
        one.update(&[Arc::clone(&values)], &groups, None).unwrap();
        other.grow(4);
        let shifted: Vec<usize> = groups.iter().map(|group| (group + 1) % 4).collect();
        other.update(&[values], &shifted, None).unwrap();
        let mut merged = Distinct::new(form).unwrap();
        merged.grow(4);
        for half in [&one, &other, &one] {
            merged
                .merge(&half.states(4).unwrap(), &[0, 1, 2, 3])
                .unwrap();
        }
        assert_eq!(counts(&one, 4), [250; 4]);
        assert_eq!(counts(&merged, 4), [500; 4]);
    }

    #[test]
    fn groups_that_are_forgotten_leave_the_values_of_others() {
        let values = rows(0..1000);
        let groups: Vec<usize> = (0..2000).map(|row| row % 4).collect();
        let mut some = Distinct::new(values.data_type().clone()).unwrap();
        some.grow(4);
        some.update(&[Arc::clone(&values)], &groups, None).unwrap();
        some.forget(1);
        assert_eq!(counts(&some, 3), [250; 3]);
        // What was group 1 is group 0, and knows its values.
        let before: Vec<usize> = groups.iter().map(|group| group.saturating_sub(1)).collect();
        let keep: BooleanArray = groups.iter().map(|group| Some(*group > 0)).collect();
        some.update(&[values], &before, Some(&keep)).unwrap();
        assert_eq!(counts(&some, 3), [250; 3]);
    }

    #[test]
    fn intervals_are_equal_by_their_length() {
        let of = IntervalMonthDayNano::new;
        let hour = 3_600_000_000_000;
        assert_eq!(equal_interval(of(0, 30, 0)), equal_interval(of(1, 0, 0)));
        assert_eq!(equal_interval(of(0, 0, -24 * hour)), of(0, -1, 0));
        assert_eq!(equal_interval(of(1, -30, hour)), of(0, 0, hour));
        assert_ne!(equal_interval(of(0, 0, 1)), equal_interval(of(0, 0, 2)));
    }
}
