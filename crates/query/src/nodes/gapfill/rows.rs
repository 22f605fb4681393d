//! The rows of one operator: those that come, and those that are missing.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use chronolith_rollup::bucket::Bucketer;
use datafusion::common::{Result as DfResult, ScalarValue};

use super::exec::{Filled, Lookup, Shape, constant, scalar};
use super::sample::{DAY_US, Form, Number, Sample};
use crate::functions::{GapKind, gap_argument, gap_buckets};

/// The rows of a block; a gap's rows beyond them wait for the next.
const BLOCK_ROWS: usize = 8192;

/// What to do about missing limits.
pub(crate) const LIMITS_HINT: &str =
    "Specify start and finish as arguments or in the WHERE clause.";

/// A value of the current batch, or of a row before it.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Row(usize),
    Saved,
}

/// What is carried forward.
#[derive(Debug, Clone, Copy)]
enum Carried {
    Nothing,
    /// A value of a row.
    Value(Kept),
    /// What was looked up.
    Found,
}

/// One column that is filled in, with what is known of it at the current row.
#[derive(Debug)]
struct Column {
    skip_nulls: bool,
    prev: Option<ArrayRef>,
    next: Option<ArrayRef>,
    carried: Carried,
    /// The carried value, once its batch is gone.
    saved: Option<ArrayRef>,
    /// The last sample of the group.
    before: Option<Sample>,
    /// What the rows of the block have, by source and row of [`Gaps::sources`].
    carry: Vec<(usize, usize)>,
    /// The same of interpolation.
    numbers: Vec<Option<Number>>,
}

/// Rows of a block by their source.
const HERE: usize = 0;
const SAVED: usize = 1;
const NULL: usize = 2;
const FOUND_HERE: usize = 3;
const FOUND_SAVED: usize = 4;
const FOUND_ALWAYS: usize = 5;

/// The group that is filled.
#[derive(Debug)]
struct Group {
    key: Option<OwnedRow>,
    /// A row of it.
    row: Kept,
    /// The first bucket that has not come; `None` behind the last there could be.
    next: Option<i64>,
}

/// The rows of a batch that are still to come.
#[derive(Debug)]
struct Current {
    batch: RecordBatch,
    keys: Option<Rows>,
    places: Vec<Option<i64>>,
    row: usize,
}

/// A row of the block.
#[derive(Debug, Clone, Copy)]
enum Out {
    Row(usize),
    /// A bucket that is missing, in the group that has a row so kept.
    Gap(Option<Kept>, i64),
}

/// Gaps on their way to be filled.
#[derive(Debug)]
pub(super) struct Gaps {
    schema: SchemaRef,
    form: Form,
    buckets: Bucketer,
    first: i64,
    finish: i64,
    converter: Option<RowConverter>,
    columns: Vec<Column>,
    group: Option<Group>,
    /// A row of the group, once its batch is gone.
    saved: Option<RecordBatch>,
    current: Option<Current>,
    out: Vec<Out>,
    ending: bool,
    ended: bool,
}

impl Gaps {
    pub(super) fn new(shape: &Shape, schema: SchemaRef) -> DfResult<Self> {
        let form = Form::of(schema.field(shape.bucket).data_type())?;
        let zone = shape.zone.as_ref().map(scalar).transpose()?;
        let buckets = gap_buckets(&scalar(&shape.width)?, zone.as_ref())?;
        let limit = |name: &str, edge: &super::exec::Edge| -> DfResult<i64> {
            let at = form.limit(&scalar(&edge.at)?, edge.after)?;
            Ok(at.ok_or_else(|| {
                gap_argument(&format!("{name} cannot be NULL")).with_hint(LIMITS_HINT)
            })?)
        };
        let start = limit("start", &shape.start)?;
        let finish = limit("finish", &shape.finish)?;
        // Nothing lies between limits that are the wrong way round, not even a first bucket.
        let finish = if start < finish { finish } else { i64::MIN };
        let mut first = buckets
            .bucket(start)
            .map_err(crate::functions::FunctionError::from)?;
        if form == Form::Date {
            first = first.div_euclid(DAY_US) * DAY_US;
        }
        let keys = shape.groups.iter();
        let keys: Vec<SortField> = keys
            .map(|place| SortField::new(schema.field(*place).data_type().clone()))
            .collect();
        let converter = if keys.is_empty() {
            None
        } else {
            Some(RowConverter::new(keys)?)
        };
        let columns = shape.fills.iter().map(Column::new);
        Ok(Self {
            form,
            buckets,
            first,
            finish,
            converter,
            columns: columns.collect::<DfResult<_>>()?,
            group: None,
            saved: None,
            current: None,
            out: Vec::new(),
            ending: false,
            ended: false,
            schema,
        })
    }

    /// Whether there are no more rows.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Goes on with the rows of a batch.
    pub(super) fn enter(&mut self, shape: &Shape, batch: RecordBatch) -> DfResult<()> {
        let keys = match &self.converter {
            None => None,
            Some(converter) => {
                let columns = shape.groups.iter();
                let columns: Vec<ArrayRef> =
                    columns.map(|place| batch.column(*place).clone()).collect();
                Some(converter.convert_columns(&columns)?)
            }
        };
        self.current = Some(Current {
            places: self.form.places(batch.column(shape.bucket))?,
            keys,
            batch,
            row: 0,
        });
        Ok(())
    }

    /// Goes on without rows: what is left are the gaps behind the last.
    pub(super) fn end(&mut self, shape: &Shape) {
        if self.ending {
            return;
        }
        self.ending = true;
        // Without other keys, there is a group even of no rows.
        if self.group.is_none() && shape.groups.is_empty() {
            self.group = Some(Group {
                key: None,
                row: Kept::Saved,
                next: Some(self.first),
            });
        }
    }

    /// The next block of rows; `None` when it needs more, or there are none.
    pub(super) fn block(&mut self, shape: &Shape) -> DfResult<Option<RecordBatch>> {
        let Some(mut current) = self.current.take() else {
            if self.ending && !self.ended {
                self.ended = self.gaps(shape, None, i64::MAX)?;
            }
            return self.flush(shape, None);
        };
        while self.out.len() < BLOCK_ROWS && current.row < current.batch.num_rows() {
            let row = current.row;
            let other = match (&self.group, &current.keys) {
                (None, _) => true,
                (Some(group), Some(keys)) => group
                    .key
                    .as_ref()
                    .is_none_or(|key| key.row() != keys.row(row)),
                (Some(_), None) => false,
            };
            if other {
                if !self.gaps(shape, Some((&current, None)), i64::MAX)? {
                    break;
                }
                self.group = Some(Group {
                    key: current.keys.as_ref().map(|keys| keys.row(row).owned()),
                    row: Kept::Row(row),
                    next: Some(self.first),
                });
                for column in &mut self.columns {
                    column.carried = Carried::Nothing;
                    column.before = None;
                }
            }
            let place = current.places.get(row).copied().flatten();
            // Rows whose time is NULL come last of their group.
            let (sample, until) = match place {
                Some(place) => (Some((row, place)), place),
                None => (None, i64::MAX),
            };
            if !self.gaps(shape, Some((&current, sample)), until)? {
                break;
            }
            self.row(shape, &current, row, place)?;
            current.row += 1;
        }
        let block = self.flush(shape, Some(&current.batch))?;
        if current.row < current.batch.num_rows() {
            self.current = Some(current);
        } else {
            self.leave(shape, &current.batch);
        }
        Ok(block)
    }

    /// A row as it came.
    fn row(
        &mut self,
        shape: &Shape,
        current: &Current,
        row: usize,
        place: Option<i64>,
    ) -> DfResult<()> {
        self.out.push(Out::Row(row));
        let found = self.found();
        for (column, fill) in self.columns.iter_mut().zip(&shape.fills) {
            let values = current.batch.column(fill.column);
            if fill.kind == GapKind::Interpolate {
                let value = Number::read(values, row)?;
                column.numbers.push(value);
                if let Some(place) = place {
                    column.before = value.map(|value| (place, value));
                }
            } else if column.skip_nulls && values.is_null(row) {
                let carried = column.carried(fill, found, &current.batch);
                column.carry.push(carried);
            } else {
                column.carry.push((HERE, row));
                column.carried = Carried::Value(Kept::Row(row));
            }
        }
        let next = place.and_then(|place| self.after(place));
        if let Some(group) = &mut self.group
            && place.is_some()
        {
            group.next = match (group.next, next) {
                (Some(known), Some(next)) => Some(known.max(next)),
                // An infinite bucket is passed through; behind the greatest there is none.
                (known, None) => known.filter(|known| Some(*known) > place),
                (None, _) => None,
            };
        }
        Ok(())
    }

    /// The bucket after one; `None` behind the last.
    fn after(&self, place: i64) -> Option<i64> {
        let next = self.buckets.next(place).ok().filter(|next| *next > place)?;
        if self.form != Form::Date {
            return Some(next);
        }
        // A bucket that begins within a day goes by its date, which may have been.
        let mut next = next;
        loop {
            let day = next.div_euclid(DAY_US) * DAY_US;
            if day > place {
                return Some(day);
            }
            next = self.buckets.next(next).ok().filter(|later| *later > next)?;
        }
    }

    /// The gaps of the group before a place, whose row is the next sample; whether that were all.
    fn gaps(
        &mut self,
        shape: &Shape,
        ahead: Option<(&Current, Option<(usize, i64)>)>,
        until: i64,
    ) -> DfResult<bool> {
        let until = until.min(self.finish);
        let found = self.found();
        let nothing;
        let batch = match ahead {
            Some((current, _)) => &current.batch,
            None => {
                nothing = RecordBatch::new_empty(self.schema.clone());
                &nothing
            }
        };
        while let Some(group) = &mut self.group {
            let Some(at) = group.next.filter(|next| *next < until) else {
                break;
            };
            if self.out.len() >= BLOCK_ROWS {
                return Ok(false);
            }
            self.out.push(Out::Gap(found, at));
            for (column, fill) in self.columns.iter_mut().zip(&shape.fills) {
                if fill.kind != GapKind::Interpolate {
                    let carried = column.carried(fill, found, batch);
                    column.carry.push(carried);
                    continue;
                }
                let sought = |lookup: &Option<Lookup>, always: &Option<ArrayRef>| {
                    looked_up(
                        &self.form,
                        lookup,
                        always,
                        found,
                        batch,
                        self.saved.as_ref(),
                    )
                };
                let before = match column.before {
                    Some(sample) => Some(sample),
                    None => sought(&fill.prev, &column.prev)?,
                };
                let ahead = match ahead {
                    Some((current, Some((row, place)))) => {
                        let value = Number::read(current.batch.column(fill.column), row)?;
                        value.map(|value| (place, value))
                    }
                    _ => None,
                };
                let after = match ahead {
                    Some(sample) => Some(sample),
                    None if before.is_some() => sought(&fill.next, &column.next)?,
                    None => None,
                };
                column.numbers.push(match (before, after) {
                    (Some(before), Some(after)) => Some(Number::between(before, after, at)?),
                    _ => None,
                });
            }
            let next = self.after(at);
            if let Some(group) = &mut self.group {
                group.next = next;
            }
        }
        Ok(true)
    }

    /// A row of the group, which says what was looked up for it.
    fn found(&self) -> Option<Kept> {
        let group = self.group.as_ref()?;
        match group.row {
            Kept::Saved if self.saved.is_none() => None,
            kept => Some(kept),
        }
    }

    /// Keeps of a batch what the group still needs.
    fn leave(&mut self, shape: &Shape, batch: &RecordBatch) {
        for (column, fill) in self.columns.iter_mut().zip(&shape.fills) {
            if let Carried::Value(Kept::Row(row)) = column.carried {
                column.saved = Some(batch.column(fill.column).slice(row, 1));
                column.carried = Carried::Value(Kept::Saved);
            }
        }
        if let Some(group) = &mut self.group
            && let Kept::Row(row) = group.row
        {
            self.saved = Some(batch.slice(row, 1));
            group.row = Kept::Saved;
        }
    }

    /// The rows gathered, as a batch.
    fn flush(
        &mut self,
        shape: &Shape,
        batch: Option<&RecordBatch>,
    ) -> DfResult<Option<RecordBatch>> {
        if self.out.is_empty() {
            return Ok(None);
        }
        let out = std::mem::take(&mut self.out);
        let empty;
        let batch = match batch {
            Some(batch) => batch,
            None => {
                empty = RecordBatch::new_empty(self.schema.clone());
                &empty
            }
        };
        let gaps: Vec<i64> = out
            .iter()
            .filter_map(|out| match out {
                Out::Gap(_, at) => Some(*at),
                Out::Row(_) => None,
            })
            .collect();
        let gaps = self.form.column(&gaps)?;
        let mut columns = Vec::with_capacity(batch.num_columns());
        for place in 0..batch.num_columns() {
            let values = batch.column(place);
            let filled = shape.fills.iter().position(|fill| fill.column == place);
            columns.push(match filled {
                _ if place == shape.bucket => {
                    let mut gap = 0..;
                    let picks = out.iter().map(|out| match out {
                        Out::Row(row) => (0, *row),
                        Out::Gap(..) => (1, gap.next().unwrap_or(0)),
                    });
                    let picks: Vec<(usize, usize)> = picks.collect();
                    interleave(&[values.as_ref(), gaps.as_ref()], &picks)?
                }
                Some(at) => self.filled(shape, at, batch)?,
                None => self.repeated(&out, values, place, shape.groups.contains(&place))?,
            });
        }
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }

    /// A column that gaps have of their group, or not at all.
    fn repeated(
        &self,
        out: &[Out],
        values: &ArrayRef,
        place: usize,
        key: bool,
    ) -> DfResult<ArrayRef> {
        let null = new_null_array(values.data_type(), 1);
        let saved = self
            .saved
            .as_ref()
            .map_or(&null, |saved| saved.column(place));
        let picks = out.iter().map(|out| match out {
            Out::Row(row) => (HERE, *row),
            Out::Gap(Some(Kept::Row(row)), _) if key => (HERE, *row),
            Out::Gap(Some(Kept::Saved), _) if key => (SAVED, 0),
            Out::Gap(..) => (NULL, 0),
        });
        let picks: Vec<(usize, usize)> = picks.collect();
        Ok(interleave(
            &[values.as_ref(), saved.as_ref(), null.as_ref()],
            &picks,
        )?)
    }

    /// A column that was filled in.
    fn filled(&mut self, shape: &Shape, at: usize, batch: &RecordBatch) -> DfResult<ArrayRef> {
        let (Some(column), Some(fill)) = (self.columns.get_mut(at), shape.fills.get(at)) else {
            return datafusion::common::internal_err!("a column that nobody filled");
        };
        let values = batch.column(fill.column);
        let form = values.data_type();
        if fill.kind == GapKind::Interpolate {
            let numbers = std::mem::take(&mut column.numbers);
            return Number::column(form, &numbers);
        }
        let null = new_null_array(form, 1);
        let saved = column.saved.as_ref().unwrap_or(&null);
        let (here, before) = match &fill.prev {
            Some(Lookup::Column(place)) => (
                batch.column(*place),
                self.saved
                    .as_ref()
                    .map_or(&null, |saved| saved.column(*place)),
            ),
            _ => (&null, &null),
        };
        let always = column.prev.as_ref().unwrap_or(&null);
        let sources = [values, saved, &null, here, before, always];
        let sources = sources.map(|source| source.as_ref() as &dyn Array);
        let picks = std::mem::take(&mut column.carry);
        Ok(interleave(&sources, &picks)?)
    }
}

impl Column {
    fn new(fill: &Filled) -> DfResult<Self> {
        let always = |lookup: &Option<Lookup>| match lookup {
            Some(Lookup::Constant(expr)) => constant(expr).map(Some),
            _ => Ok(None),
        };
        let skip_nulls = fill.skip_nulls.as_ref().map(scalar).transpose()?;
        Ok(Self {
            skip_nulls: matches!(skip_nulls, Some(ScalarValue::Boolean(Some(true)))),
            prev: always(&fill.prev)?,
            next: always(&fill.next)?,
            carried: Carried::Nothing,
            saved: None,
            before: None,
            carry: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Where a missing value is; what was looked up when no row before it has one.
    fn carried(
        &mut self,
        fill: &Filled,
        found: Option<Kept>,
        batch: &RecordBatch,
    ) -> (usize, usize) {
        let none = match self.carried {
            Carried::Nothing => true,
            Carried::Found => false,
            Carried::Value(Kept::Row(row)) => batch.column(fill.column).is_null(row),
            Carried::Value(Kept::Saved) => self.saved.as_ref().is_none_or(|saved| saved.is_null(0)),
        };
        if none && fill.prev.is_some() {
            self.carried = Carried::Found;
        }
        match (self.carried, &fill.prev, found) {
            (Carried::Value(Kept::Row(row)), ..) => (HERE, row),
            (Carried::Value(Kept::Saved), ..) => (SAVED, 0),
            (Carried::Found, Some(Lookup::Constant(_)), _) => (FOUND_ALWAYS, 0),
            (Carried::Found, _, Some(Kept::Row(row))) => (FOUND_HERE, row),
            (Carried::Found, _, Some(Kept::Saved)) => (FOUND_SAVED, 0),
            _ => (NULL, 0),
        }
    }
}

/// The sample that was looked up for a group.
fn looked_up(
    form: &Form,
    lookup: &Option<Lookup>,
    always: &Option<ArrayRef>,
    found: Option<Kept>,
    batch: &RecordBatch,
    saved: Option<&RecordBatch>,
) -> DfResult<Option<Sample>> {
    let (records, row) = match (lookup, found) {
        (None, _) => return Ok(None),
        (Some(Lookup::Constant(_)), _) => (always.as_ref(), 0),
        (Some(Lookup::Column(place)), Some(Kept::Row(row))) => (Some(batch.column(*place)), row),
        (Some(Lookup::Column(place)), Some(Kept::Saved)) => {
            (saved.map(|saved| saved.column(*place)), 0)
        }
        (Some(Lookup::Column(_)), None) => (None, 0),
    };
    let Some(records) = records.filter(|records| records.is_valid(row)) else {
        return Ok(None);
    };
    let Some([at, value]) = records.as_struct_opt().map(|records| records.columns()) else {
        return datafusion::common::internal_err!("a record that is none");
    };
    let place = form.places(&at.slice(row, 1))?.first().copied().flatten();
    let value = Number::read(value, row)?;
    Ok(place.zip(value))
}
