//! The rows of one operator: those that come, and those that are missing.

use arrow::array::{ArrayRef, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, Rows, SortField};
use chronolith_rollup::bucket::Bucketer;
use datafusion::common::Result as DfResult;

use super::column::{Around, Column, Kept};
use super::exec::{Edge, Shape, scalar};
use super::sample::{DAY_US, Form};
use crate::functions::{FunctionError, gap_argument, gap_buckets};

/// The rows of a block; a gap's rows beyond them wait for the next.
const BLOCK_ROWS: usize = 8192;

/// What to do about missing limits.
pub(crate) const LIMITS_HINT: &str =
    "Specify start and finish as arguments or in the WHERE clause.";

/// The group that is filled.
#[derive(Debug)]
struct Group {
    key: Option<OwnedRow>,
    /// A row of it; none of a group that has no rows.
    row: Option<Kept>,
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
    /// What stands for a batch when there is none.
    nothing: RecordBatch,
    out: Vec<Out>,
    ending: bool,
    ended: bool,
}

impl Gaps {
    pub(super) fn new(shape: &Shape, schema: SchemaRef) -> DfResult<Self> {
        let form = Form::of(schema.field(shape.bucket).data_type())?;
        let zone = shape.zone.as_ref().map(scalar).transpose()?;
        let buckets = gap_buckets(&scalar(&shape.width)?, zone.as_ref())?;
        let limit = |name: &str, edge: &Edge, none: i64| -> DfResult<i64> {
            let at = scalar(&edge.at)?;
            if edge.open && at.is_null() {
                return Ok(none);
            }
            let at = form.limit(&at, edge.after)?;
            Ok(at.ok_or_else(|| {
                gap_argument(&format!("{name} cannot be NULL")).with_hint(LIMITS_HINT)
            })?)
        };
        let start = limit("start", &shape.start, i64::MAX)?;
        let finish = limit("finish", &shape.finish, i64::MIN)?;
        // Nothing lies between limits that are the wrong way round, not even a first bucket.
        let finish = if start < finish { finish } else { i64::MIN };
        let mut first = match finish {
            i64::MIN => i64::MAX,
            _ => buckets.bucket(start).map_err(FunctionError::from)?,
        };
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
            nothing: RecordBatch::new_empty(schema.clone()),
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
        self.ending = true;
        // Without other keys, there is a group even of no rows.
        if self.group.is_none() && shape.groups.is_empty() {
            self.group = Some(Group {
                key: None,
                row: None,
                next: Some(self.first),
            });
        }
    }

    /// The next block of rows; `None` when it needs more, or there are none.
    pub(super) fn block(&mut self, shape: &Shape) -> DfResult<Option<RecordBatch>> {
        let Some(mut current) = self.current.take() else {
            if self.ending && !self.ended {
                let nothing = self.nothing.clone();
                self.ended = self.gaps(shape, &nothing, None, i64::MAX)?;
            }
            let nothing = self.nothing.clone();
            return self.flush(shape, &nothing);
        };
        while self.out.len() < BLOCK_ROWS && current.row < current.batch.num_rows() {
            let row = current.row;
            if self.another(&current) {
                if !self.gaps(shape, &current.batch, None, i64::MAX)? {
                    break;
                }
                self.group = Some(Group {
                    key: current.keys.as_ref().map(|keys| keys.row(row).owned()),
                    row: Some(Kept::Row(row)),
                    next: Some(self.first),
                });
                for column in &mut self.columns {
                    column.begin();
                }
            }
            let place = current.places.get(row).copied().flatten();
            // Rows whose time is NULL come last of their group.
            let next = place.map(|place| (row, place));
            let until = place.unwrap_or(i64::MAX);
            if !self.gaps(shape, &current.batch, next, until)? {
                break;
            }
            self.row(shape, &current.batch, row, place)?;
            current.row += 1;
        }
        let block = self.flush(shape, &current.batch)?;
        if current.row < current.batch.num_rows() {
            self.current = Some(current);
        } else {
            self.leave(shape, &current.batch);
        }
        Ok(block)
    }

    /// Whether the current row is of another group than those before.
    fn another(&self, current: &Current) -> bool {
        match (&self.group, &current.keys) {
            (None, _) => true,
            (Some(group), Some(keys)) => {
                let key = group.key.as_ref();
                key.is_none_or(|key| key.row() != keys.row(current.row))
            }
            (Some(_), None) => false,
        }
    }

    /// A row as it came.
    fn row(
        &mut self,
        shape: &Shape,
        batch: &RecordBatch,
        row: usize,
        place: Option<i64>,
    ) -> DfResult<()> {
        self.out.push(Out::Row(row));
        let around = Around {
            batch,
            group: self.group.as_ref().and_then(|group| group.row),
            saved: self.saved.as_ref(),
        };
        for (column, fill) in self.columns.iter_mut().zip(&shape.fills) {
            column.row(fill, around, row, place)?;
        }
        let Some(place) = place else {
            return Ok(());
        };
        let next = self.after(place);
        if let Some(group) = &mut self.group {
            group.next = match (group.next, next) {
                (Some(known), Some(next)) => Some(known.max(next)),
                // An infinite bucket is passed through; behind the greatest there is none.
                (known, None) => known.filter(|known| *known > place),
                (None, _) => None,
            };
        }
        Ok(())
    }

    /// The bucket after one; `None` behind the last.
    fn after(&self, place: i64) -> Option<i64> {
        let mut at = place;
        loop {
            let next = self.buckets.next(at).ok().filter(|next| *next > at)?;
            if self.form != Form::Date {
                return Some(next);
            }
            // A bucket that begins within a day goes by its date, which may have been.
            let day = next.div_euclid(DAY_US) * DAY_US;
            if day > place {
                return Some(day);
            }
            at = next;
        }
    }

    /// The gaps of the group before a place, where its next row is if it has one; whether that were
    /// all.
    fn gaps(
        &mut self,
        shape: &Shape,
        batch: &RecordBatch,
        next: Option<(usize, i64)>,
        until: i64,
    ) -> DfResult<bool> {
        let until = until.min(self.finish);
        let Some(group) = &self.group else {
            return Ok(true);
        };
        let (row, mut missing) = (group.row, group.next);
        let mut all = true;
        while let Some(at) = missing.filter(|at| *at < until) {
            if self.out.len() >= BLOCK_ROWS {
                all = false;
                break;
            }
            self.out.push(Out::Gap(row, at));
            let around = Around {
                batch,
                group: row,
                saved: self.saved.as_ref(),
            };
            for (column, fill) in self.columns.iter_mut().zip(&shape.fills) {
                column.gap(fill, &self.form, around, at, next)?;
            }
            missing = self.after(at);
        }
        if let Some(group) = &mut self.group {
            group.next = missing;
        }
        Ok(all)
    }

    /// Keeps of a batch what the group still needs.
    fn leave(&mut self, shape: &Shape, batch: &RecordBatch) {
        for (column, fill) in self.columns.iter_mut().zip(&shape.fills) {
            column.leave(fill, batch);
        }
        if let Some(group) = &mut self.group
            && let Some(Kept::Row(row)) = group.row
        {
            self.saved = Some(batch.slice(row, 1));
            group.row = Some(Kept::Saved);
        }
    }

    /// The rows gathered, as a batch.
    fn flush(&mut self, shape: &Shape, batch: &RecordBatch) -> DfResult<Option<RecordBatch>> {
        if self.out.is_empty() {
            return Ok(None);
        }
        let out = std::mem::take(&mut self.out);
        let gaps: Vec<i64> = out
            .iter()
            .filter_map(|out| match out {
                Out::Gap(_, at) => Some(*at),
                Out::Row(_) => None,
            })
            .collect();
        let whole = gaps.is_empty() && out.len() == batch.num_rows();
        if whole && !self.columns.iter().any(Column::changes_rows) {
            self.columns.iter_mut().for_each(Column::clear);
            let columns = batch.columns().to_vec();
            return Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?));
        }
        let gaps = self.form.column(&gaps)?;
        let around = Around {
            batch,
            group: None,
            saved: self.saved.as_ref(),
        };
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (place, values) in batch.columns().iter().enumerate() {
            let filled = shape.fills.iter().zip(&mut self.columns);
            let mut filled = filled.filter(|(fill, _)| fill.column == place);
            columns.push(if place == shape.bucket {
                let mut gap = 0..;
                let picks = out.iter().map(|out| match out {
                    Out::Row(row) => (0, *row),
                    Out::Gap(..) => (1, gap.next().unwrap_or(0)),
                });
                let picks: Vec<(usize, usize)> = picks.collect();
                interleave(&[values.as_ref(), gaps.as_ref()], &picks)?
            } else if let Some((fill, column)) = filled.next() {
                column.finish(fill, around)?
            } else {
                repeated(&out, around, place, shape.groups.contains(&place))?
            });
        }
        Ok(Some(RecordBatch::try_new(self.schema.clone(), columns)?))
    }
}

/// A column that gaps have of their group when it is a key, and not at all when it is none.
fn repeated(out: &[Out], around: Around<'_>, place: usize, key: bool) -> DfResult<ArrayRef> {
    let values = around.batch.column(place);
    let null = new_null_array(values.data_type(), 1);
    let saved = around.saved.map_or(&null, |saved| saved.column(place));
    let picks = out.iter().map(|out| match out {
        Out::Row(row) => (0, *row),
        Out::Gap(Some(Kept::Row(row)), _) if key => (0, *row),
        Out::Gap(Some(Kept::Saved), _) if key => (1, 0),
        Out::Gap(..) => (2, 0),
    });
    let picks: Vec<(usize, usize)> = picks.collect();
    let sources = [values.as_ref(), saved.as_ref(), null.as_ref()];
    Ok(interleave(&sources, &picks)?)
}
