//! Window functions over frames that DataFusion has not: with rows left out, with offsets that are
//! no constants, and with ranges of types that it cannot add to.
//!
//! Each is a function of its own that is given what it wraps, and the frame's bounds and keys, as
//! arguments; it sees a whole partition at once and finds each row's frame by itself.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt64Array};
use arrow::compute::{self, SortOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use arrow::row::{RowConverter, Rows, SortField};
use chronolith_sql::Exclusion;
use chronolith_types::SqlState;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::function::{
    AccumulatorArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs,
};
use datafusion::logical_expr::{
    AggregateUDF, Expr, PartitionEvaluator, Signature, Volatility, WindowFunctionDefinition,
    WindowUDF, WindowUDFImpl, lit,
};
use datafusion::physical_expr::PhysicalExpr;

use super::error::FunctionError;
use super::table::WindowUse;

/// What a frame's bounds count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Units {
    Rows,
    Range,
    Groups,
}

/// Where a frame begins or ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edge {
    /// At the end of the partition on its side.
    Unbounded,
    Current,
    /// By an offset, which is an argument; in a range it is the value that begins or ends it.
    Preceding,
    Following,
}

impl Edge {
    fn moved(self) -> bool {
        matches!(self, Self::Preceding | Self::Following)
    }
}

/// A frame, but for its offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    pub units: Units,
    pub start: Edge,
    pub end: Edge,
    pub exclusion: Option<Exclusion>,
}

/// What a frame's edges are found by.
#[derive(Debug)]
pub struct Bounds {
    /// The keys of ORDER BY.
    pub keys: Vec<(Expr, SortOptions)>,
    /// The key that a range's values are compared with.
    pub measured: Option<Expr>,
    pub start: Option<Expr>,
    pub end: Option<Expr>,
}

/// What is computed of a frame's rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Of {
    Aggregate(Arc<AggregateUDF>),
    First,
    Last,
    Nth,
}

/// A call over such a frame; one of a function that looks at no frame stays as it is. The second is
/// the filter, where the call has not taken it in.
pub fn framed(
    call: WindowUse,
    frame: Frame,
    bounds: Bounds,
    filter: Option<Expr>,
) -> (WindowUse, Option<Expr>) {
    let of = match &call.definition {
        WindowFunctionDefinition::AggregateUDF(udf) => Of::Aggregate(Arc::clone(udf)),
        WindowFunctionDefinition::WindowUDF(udf) => match udf.name() {
            "first_value" => Of::First,
            "last_value" => Of::Last,
            "nth_value" => Of::Nth,
            _ => return (call, filter),
        },
    };
    let mut args = call.args;
    let own = args.len();
    let filtered = filter.is_some();
    args.extend(filter);
    args.extend(bounds.measured);
    args.extend(bounds.start);
    args.extend(bounds.end);
    let mut keys = Vec::with_capacity(bounds.keys.len());
    for (key, options) in bounds.keys {
        args.push(key);
        keys.push(options);
    }
    if args.is_empty() {
        // A function of no arguments is not told how many rows there are by them.
        args.push(lit(true));
    }
    let framed = Framed {
        name: format!("framed_{}", call.definition.name()),
        signature: Signature::variadic_any(Volatility::Immutable),
        of,
        frame,
        own,
        filtered,
        keys,
    };
    let definition = WindowFunctionDefinition::WindowUDF(Arc::new(WindowUDF::from(framed)));
    let call = WindowUse {
        definition,
        args,
        ..call
    };
    (call, None)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Framed {
    name: String,
    signature: Signature,
    of: Of,
    frame: Frame,
    /// How many of the arguments are those of what is computed.
    own: usize,
    filtered: bool,
    keys: Vec<SortOptions>,
}

impl WindowUDFImpl for Framed {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn field(&self, args: WindowUDFFieldArgs<'_>) -> DfResult<FieldRef> {
        let own: Vec<FieldRef> = args.input_fields().iter().take(self.own).cloned().collect();
        let form = match &self.of {
            Of::Aggregate(udf) => udf.return_field(&own)?.data_type().clone(),
            _ => own
                .first()
                .map_or(DataType::Null, |field| field.data_type().clone()),
        };
        Ok(Arc::new(Field::new(args.name(), form, true)))
    }

    fn partition_evaluator(
        &self,
        args: PartitionEvaluatorArgs<'_>,
    ) -> DfResult<Box<dyn PartitionEvaluator>> {
        let exprs = args.input_exprs().iter().take(self.own).cloned().collect();
        let fields: Vec<FieldRef> = args.input_fields().iter().take(self.own).cloned().collect();
        let output = self.field(WindowUDFFieldArgs::new(args.input_fields(), &self.name))?;
        Ok(Box::new(Evaluator {
            call: self.clone(),
            exprs,
            fields,
            output,
        }))
    }
}

#[derive(Debug)]
struct Evaluator {
    call: Framed,
    exprs: Vec<Arc<dyn PhysicalExpr>>,
    fields: Vec<FieldRef>,
    output: FieldRef,
}

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> DfResult<ArrayRef> {
        let mut rest = values.iter();
        let own: Vec<ArrayRef> = rest.by_ref().take(self.call.own).cloned().collect();
        let filter = rest.by_ref().take(usize::from(self.call.filtered)).next();
        let edges = Edges::new(&self.call, &mut rest, rows)?;
        match &self.call.of {
            Of::Aggregate(udf) => self.aggregated(udf, &own, filter, &edges, rows),
            _ => self.taken(&own, &edges, rows),
        }
    }
}

impl Evaluator {
    /// An aggregate of each row's frame.
    fn aggregated(
        &self,
        udf: &AggregateUDF,
        own: &[ArrayRef],
        filter: Option<&ArrayRef>,
        edges: &Edges,
        rows: usize,
    ) -> DfResult<ArrayRef> {
        let schema = arrow::datatypes::Schema::new(self.fields.clone());
        let accumulator = || {
            udf.accumulator(AccumulatorArgs {
                return_field: Arc::clone(&self.output),
                schema: &schema,
                ignore_nulls: false,
                order_bys: &[],
                is_reversed: false,
                name: udf.name(),
                is_distinct: false,
                exprs: &self.exprs,
                expr_fields: &self.fields,
            })
        };
        // Rows that the filter lets through stand together; a frame's places are theirs.
        let (own, before) = match filter {
            None => (own.to_vec(), None),
            Some(filter) => {
                let mask = match filter.as_boolean() {
                    mask if mask.null_count() > 0 => compute::prep_null_mask_filter(mask),
                    mask => mask.clone(),
                };
                let own = own
                    .iter()
                    .map(|array| compute::filter(array, &mask))
                    .collect::<Result<Vec<_>, _>>()?;
                (own, Some(passed(&mask)))
            }
        };
        let place = |at: usize| match &before {
            None => at,
            Some(before) => before.get(at).copied().unwrap_or(0),
        };
        let mut found = Vec::with_capacity(rows);
        let mut last: Option<(Vec<Range<usize>>, ScalarValue)> = None;
        let mut running = accumulator()?;
        for row in 0..rows {
            let parts: Vec<Range<usize>> = edges
                .parts(row)
                .map(|part| place(part.start)..place(part.end))
                .filter(|part| !part.is_empty())
                .collect();
            let value = match &last {
                Some((before, value)) if *before == parts => value.clone(),
                _ => {
                    // A frame that only grew takes its new rows in.
                    let mut fresh = parts.clone();
                    match (
                        last.as_ref().map(|(parts, _)| parts.as_slice()),
                        fresh.as_mut_slice(),
                    ) {
                        (Some([one]), [grown])
                            if one.start == grown.start && one.end <= grown.end =>
                        {
                            grown.start = one.end;
                        }
                        _ => running = accumulator()?,
                    }
                    for part in fresh {
                        let slices: Vec<ArrayRef> = own
                            .iter()
                            .map(|array| array.slice(part.start, part.len()))
                            .collect();
                        running.update_batch(&slices)?;
                    }
                    running.evaluate()?
                }
            };
            last = Some((parts, value.clone()));
            found.push(value);
        }
        ScalarValue::iter_to_array(found)
    }

    /// A value of one row of each row's frame.
    fn taken(&self, own: &[ArrayRef], edges: &Edges, rows: usize) -> DfResult<ArrayRef> {
        let Some(values) = own.first() else {
            return datafusion::common::internal_err!("a value of a frame without one");
        };
        let numbers = match (&self.call.of, own.get(1)) {
            (Of::Nth, Some(numbers)) => Some(compute::cast(numbers, &DataType::Int64)?),
            _ => None,
        };
        let mut places = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut parts = edges.parts(row).filter(|part| !part.is_empty());
            let place = match (&self.call.of, &numbers) {
                (Of::First, _) => parts.next().map(|part| part.start),
                (Of::Last, _) => parts.last().map(|part| part.end - 1),
                (_, Some(numbers)) => match nth(numbers, row)? {
                    None => None,
                    Some(number) => nth_of(parts, number),
                },
                _ => None,
            };
            places.push(place.and_then(|place| u64::try_from(place).ok()));
        }
        Ok(compute::take(values, &UInt64Array::from(places), None)?)
    }
}

/// Which row of the frame is asked for, from 0.
fn nth(numbers: &ArrayRef, row: usize) -> DfResult<Option<usize>> {
    let numbers = numbers.as_primitive::<Int64Type>();
    if numbers.is_null(row) {
        return Ok(None);
    }
    match numbers.value(row) {
        number if number > 0 => Ok(usize::try_from(number - 1).ok()),
        _ => Err(FunctionError::new(
            SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE_FUNCTION,
            "argument of nth_value must be greater than zero",
        )
        .into()),
    }
}

fn nth_of(parts: impl Iterator<Item = Range<usize>>, mut number: usize) -> Option<usize> {
    for part in parts {
        match number.checked_sub(part.len()) {
            Some(rest) => number = rest,
            None => return Some(part.start + number),
        }
    }
    None
}

/// How many rows before each pass, and before the end.
fn passed(mask: &BooleanArray) -> Vec<usize> {
    let mut count = 0;
    let mut before = Vec::with_capacity(mask.len() + 1);
    for row in 0..mask.len() {
        before.push(count);
        count += usize::from(mask.value(row));
    }
    before.push(count);
    before
}

/// Where each row's frame begins and ends.
struct Edges {
    frame: Frame,
    rows: usize,
    /// Where each group of peers begins; the last is how many rows there are.
    groups: Vec<usize>,
    /// Which group a row is of.
    group: Vec<usize>,
    /// By how many rows or groups an edge is moved.
    start: usize,
    end: usize,
    range: Option<Measured>,
}

impl Edges {
    fn new<'a>(
        call: &Framed,
        rest: &mut impl Iterator<Item = &'a ArrayRef>,
        rows: usize,
    ) -> DfResult<Self> {
        let frame = call.frame;
        let (from, to) = (frame.start.moved(), frame.end.moved());
        let ranged = frame.units == Units::Range && (from || to);
        let measured = rest.by_ref().take(usize::from(ranged)).next();
        let start = rest.by_ref().take(usize::from(from)).next();
        let end = rest.by_ref().take(usize::from(to)).next();
        let keys: Vec<ArrayRef> = rest.take(call.keys.len()).cloned().collect();
        let mut groups = vec![0];
        if !keys.is_empty() {
            let ranges = compute::partition(&keys)?.ranges();
            groups = ranges.into_iter().map(|range| range.start).collect();
        }
        groups.push(rows);
        let mut group = Vec::with_capacity(rows);
        for (number, pair) in groups.windows(2).enumerate() {
            if let [from, to] = pair {
                group.extend(std::iter::repeat_n(number, to - from));
            }
        }
        let range = match (measured, call.keys.first()) {
            (Some(key), Some(options)) => Some(Measured::new(key, *options, start, end)?),
            _ => None,
        };
        let count = |given: Option<&ArrayRef>, side| match given {
            Some(given) if range.is_none() => counted(given, side),
            _ => Ok(0),
        };
        Ok(Self {
            frame,
            rows,
            groups,
            group,
            start: count(start, "starting")?,
            end: count(end, "ending")?,
            range,
        })
    }

    /// Where a group begins, or the rows end.
    fn group_at(&self, group: usize) -> usize {
        self.groups.get(group).copied().unwrap_or(self.rows)
    }

    fn first(&self, row: usize, group: usize) -> usize {
        let by = self.start;
        match (self.frame.start, self.frame.units) {
            (Edge::Unbounded, _) => 0,
            (Edge::Current, Units::Rows) => row,
            (Edge::Current, _) => self.group_at(group),
            (Edge::Preceding, Units::Rows) => row.saturating_sub(by),
            (Edge::Following, Units::Rows) => row.saturating_add(by).min(self.rows),
            (Edge::Preceding, Units::Groups) => self.group_at(group.saturating_sub(by)),
            (Edge::Following, Units::Groups) => self.group_at(group.saturating_add(by)),
            (_, Units::Range) => match &self.range {
                Some(range) => range.first(row).unwrap_or_else(|| self.group_at(group)),
                None => self.group_at(group),
            },
        }
    }

    fn end(&self, row: usize, group: usize) -> usize {
        let by = self.end;
        match (self.frame.end, self.frame.units) {
            (Edge::Unbounded, _) => self.rows,
            (Edge::Current, Units::Rows) => row + 1,
            (Edge::Current, _) => self.group_at(group + 1),
            (Edge::Preceding, Units::Rows) => (row + 1).saturating_sub(by),
            (Edge::Following, Units::Rows) => (row + 1).saturating_add(by).min(self.rows),
            (Edge::Preceding, Units::Groups) => match (group + 1).checked_sub(by) {
                Some(group) => self.group_at(group),
                None => 0,
            },
            (Edge::Following, Units::Groups) => self.group_at((group + 1).saturating_add(by)),
            (_, Units::Range) => match &self.range {
                Some(range) => range.end(row).unwrap_or_else(|| self.group_at(group + 1)),
                None => self.group_at(group + 1),
            },
        }
    }

    /// The rows of a row's frame: what is left of it.
    fn parts(&self, row: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let group = self.group.get(row).copied().unwrap_or(0);
        let peers = self.group_at(group)..self.group_at(group + 1);
        let frame = self.first(row, group)..self.end(row, group);
        let cut = match self.frame.exclusion {
            None => frame.end..frame.end,
            Some(Exclusion::Row) => row..row + 1,
            Some(Exclusion::Group | Exclusion::Ties) => peers,
        };
        let kept = self.frame.exclusion == Some(Exclusion::Ties) && frame.contains(&row);
        [
            frame.start..frame.end.min(cut.start),
            if kept { row..row + 1 } else { row..row },
            frame.start.max(cut.end)..frame.end,
        ]
        .into_iter()
    }
}

/// A number of rows or groups, which is one for the whole partition.
fn counted(given: &ArrayRef, side: &str) -> DfResult<usize> {
    let given = compute::cast(given, &DataType::Int64)?;
    let given = given.as_primitive::<Int64Type>();
    if given.is_empty() || given.is_null(0) {
        return Err(null_offset(side).into());
    }
    usize::try_from(given.value(0)).map_err(|_| {
        FunctionError::new(
            SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
            format!("frame {side} offset must not be negative"),
        )
        .into()
    })
}

fn null_offset(side: &str) -> FunctionError {
    FunctionError::new(
        SqlState::NULL_VALUE_NOT_ALLOWED,
        format!("frame {side} offset must not be null"),
    )
}

/// The values that begin and end ranges, in the order of the keys.
struct Measured {
    keys: Rows,
    start: Option<Rows>,
    end: Option<Rows>,
    /// The rows whose key is not NULL.
    known: Range<usize>,
}

impl Measured {
    fn new(
        key: &ArrayRef,
        options: SortOptions,
        start: Option<&ArrayRef>,
        end: Option<&ArrayRef>,
    ) -> DfResult<Self> {
        let field = SortField::new_with_options(key.data_type().clone(), options);
        let converter = RowConverter::new(vec![field])?;
        let rows = |array: &ArrayRef| converter.convert_columns(std::slice::from_ref(array));
        let nulls = key.logical_null_count();
        let known = match options.nulls_first {
            true => nulls..key.len(),
            false => 0..key.len() - nulls,
        };
        for (side, values) in [("starting", start), ("ending", end)] {
            if let Some(values) = values
                && known.clone().any(|row| values.is_null(row))
            {
                return Err(null_offset(side).into());
            }
        }
        Ok(Self {
            keys: rows(key)?,
            start: start.map(rows).transpose()?,
            end: end.map(rows).transpose()?,
            known,
        })
    }

    /// The first row at or behind a value; none for a row whose key is NULL.
    fn first(&self, row: usize) -> Option<usize> {
        let value = self.start.as_ref().filter(|_| self.known.contains(&row))?;
        let value = value.row(row);
        Some(self.search(|at| self.keys.row(at) < value))
    }

    fn end(&self, row: usize) -> Option<usize> {
        let value = self.end.as_ref().filter(|_| self.known.contains(&row))?;
        let value = value.row(row);
        Some(self.search(|at| self.keys.row(at) <= value))
    }

    /// The first of the rows with keys of which something does not hold any more.
    fn search(&self, holds: impl Fn(usize) -> bool) -> usize {
        let (mut low, mut high) = (self.known.start, self.known.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match holds(middle) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        low
    }
}
