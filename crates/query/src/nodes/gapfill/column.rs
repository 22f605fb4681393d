//! One column that is filled in.

use arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use arrow::compute::interleave;
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result as DfResult, ScalarValue};

use super::exec::{Filled, Lookup, constant, scalar};
use super::sample::{Form, Number, Sample};
use crate::functions::GapKind;

/// A row of the current batch, or one before it that was kept.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kept {
    Row(usize),
    Saved,
}

/// What rows are at hand: the current batch, and one row of the group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) batch: &'a RecordBatch,
    /// A row of the group, if it has any.
    pub(super) group: Option<Kept>,
    /// That row, once its batch is gone.
    pub(super) saved: Option<&'a RecordBatch>,
}

/// What is carried forward.
#[derive(Debug, Clone, Copy)]
enum Carried {
    Nothing,
    /// The value of a row.
    Value(Kept),
    /// What was looked up.
    Found,
}

// What a value of a block is taken from, see `Column::carried_column`.
const HERE: usize = 0;
const SAVED: usize = 1;
const NULL: usize = 2;
const FOUND_HERE: usize = 3;
const FOUND_SAVED: usize = 4;
const FOUND_ALWAYS: usize = 5;

/// A column with what is known of it at the current row, and its values in the block.
#[derive(Debug)]
pub(super) struct Column {
    skip_nulls: bool,
    /// What is looked up for all groups alike.
    prev: Option<ArrayRef>,
    next: Option<ArrayRef>,
    carried: Carried,
    /// The carried value, once its batch is gone.
    saved: Option<ArrayRef>,
    /// The row before, if it is a sample.
    before: Option<Sample>,
    /// The values of the block: where those that are carried are, or interpolated ones.
    picks: Vec<(usize, usize)>,
    numbers: Vec<Option<Number>>,
}

impl Column {
    pub(super) fn new(fill: &Filled) -> DfResult<Self> {
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
            picks: Vec::new(),
            numbers: Vec::new(),
        })
    }

    /// Whether rows that are there may come to have other values.
    pub(super) fn changes_rows(&self) -> bool {
        self.skip_nulls
    }

    /// Another group begins.
    pub(super) fn begin(&mut self) {
        self.carried = Carried::Nothing;
        self.before = None;
    }

    /// The value of a row of the batch, whose bucket is at a place unless it is NULL.
    pub(super) fn row(
        &mut self,
        fill: &Filled,
        around: Around<'_>,
        row: usize,
        place: Option<i64>,
    ) -> DfResult<()> {
        let values = around.batch.column(fill.column);
        if fill.kind == GapKind::Interpolate {
            let value = Number::read(values, row)?;
            self.numbers.push(value);
            if let Some(place) = place {
                self.before = value.map(|value| (place, value));
            }
        } else if self.skip_nulls && values.is_null(row) {
            let pick = self.carried(fill, around);
            self.picks.push(pick);
        } else {
            self.picks.push((HERE, row));
            self.carried = Carried::Value(Kept::Row(row));
        }
        Ok(())
    }

    /// The value of a bucket that is missing; the row that comes next is of the same group.
    pub(super) fn gap(
        &mut self,
        fill: &Filled,
        form: &Form,
        around: Around<'_>,
        at: i64,
        next: Option<(usize, i64)>,
    ) -> DfResult<()> {
        if fill.kind != GapKind::Interpolate {
            let pick = self.carried(fill, around);
            self.picks.push(pick);
            return Ok(());
        }
        let before = match self.before {
            Some(sample) => Some(sample),
            None => found(form, fill.prev.as_ref(), self.prev.as_ref(), around)?,
        };
        let ahead = match next {
            Some((row, place)) => {
                let value = Number::read(around.batch.column(fill.column), row)?;
                value.map(|value| (place, value))
            }
            None => None,
        };
        let after = match ahead {
            Some(sample) => Some(sample),
            None => found(form, fill.next.as_ref(), self.next.as_ref(), around)?,
        };
        self.numbers.push(match (before, after) {
            (Some(before), Some(after)) => Some(Number::between(before, after, at)?),
            _ => None,
        });
        Ok(())
    }

    /// Where a missing value is: what was looked up, when no row before has one.
    fn carried(&mut self, fill: &Filled, around: Around<'_>) -> (usize, usize) {
        let none = match self.carried {
            Carried::Nothing => true,
            Carried::Found => false,
            Carried::Value(Kept::Row(row)) => around.batch.column(fill.column).is_null(row),
            Carried::Value(Kept::Saved) => self.saved.as_ref().is_none_or(|saved| saved.is_null(0)),
        };
        if none && fill.prev.is_some() {
            self.carried = Carried::Found;
        }
        match (self.carried, &fill.prev, around.group) {
            (Carried::Value(Kept::Row(row)), ..) => (HERE, row),
            (Carried::Value(Kept::Saved), ..) => (SAVED, 0),
            (Carried::Found, Some(Lookup::Constant(_)), _) => (FOUND_ALWAYS, 0),
            (Carried::Found, _, Some(Kept::Row(row))) => (FOUND_HERE, row),
            (Carried::Found, _, Some(Kept::Saved)) => (FOUND_SAVED, 0),
            _ => (NULL, 0),
        }
    }

    /// Keeps of a batch what is still needed.
    pub(super) fn leave(&mut self, fill: &Filled, batch: &RecordBatch) {
        if let Carried::Value(Kept::Row(row)) = self.carried {
            self.saved = Some(batch.column(fill.column).slice(row, 1));
            self.carried = Carried::Value(Kept::Saved);
        }
    }

    /// Forgets the block: its rows are all as they came.
    pub(super) fn clear(&mut self) {
        self.picks.clear();
        self.numbers.clear();
    }

    /// The column of the block.
    pub(super) fn finish(&mut self, fill: &Filled, around: Around<'_>) -> DfResult<ArrayRef> {
        let values = around.batch.column(fill.column);
        let form = values.data_type();
        if fill.kind == GapKind::Interpolate {
            let numbers = std::mem::take(&mut self.numbers);
            return Number::column(form, &numbers);
        }
        let null = new_null_array(form, 1);
        let saved = self.saved.as_ref().unwrap_or(&null);
        let (here, before) = match &fill.prev {
            Some(Lookup::Column(place)) => {
                let before = around.saved.map(|saved| saved.column(*place));
                (around.batch.column(*place), before.unwrap_or(&null))
            }
            _ => (&null, &null),
        };
        let always = self.prev.as_ref().unwrap_or(&null);
        let sources = [values, saved, &null, here, before, always];
        let sources = sources.map(|source| source.as_ref() as &dyn Array);
        let picks = std::mem::take(&mut self.picks);
        Ok(interleave(&sources, &picks)?)
    }
}

/// The sample that was looked up for the group, or for all of them.
fn found(
    form: &Form,
    lookup: Option<&Lookup>,
    always: Option<&ArrayRef>,
    around: Around<'_>,
) -> DfResult<Option<Sample>> {
    let (records, row) = match (lookup, around.group) {
        (Some(Lookup::Constant(_)), _) => (always, 0),
        (Some(Lookup::Column(place)), Some(Kept::Row(row))) => {
            (Some(around.batch.column(*place)), row)
        }
        (Some(Lookup::Column(place)), Some(Kept::Saved)) => {
            (around.saved.map(|saved| saved.column(*place)), 0)
        }
        (Some(Lookup::Column(_)), None) | (None, _) => (None, 0),
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
