//! The sets of one batch of input rows, read in blocks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_types::array::Shape;
use datafusion::common::{DataFusionError, Result as DfResult};

use super::exec::SetSource;
use super::node::Kind;
use crate::functions::{Series, SeriesBlock, SessionVars};

/// The rows of a block; a set's rows beyond them wait for the next.
const BLOCK_ROWS: usize = 8192;

/// One set, over all rows of a batch.
enum Rows {
    List {
        list: ListArray,
        /// The next item of the current row, and the end of its items.
        at: usize,
        end: usize,
        taken: Vec<Option<u32>>,
    },
    Series {
        args: Vec<ArrayRef>,
        series: Option<Series>,
        item: DataType,
        made: SeriesBlock,
    },
}

impl Rows {
    fn new(source: &SetSource, batch: &RecordBatch) -> DfResult<Self> {
        let mut args = source
            .args
            .iter()
            .map(|arg| arg.evaluate(batch)?.into_array(batch.num_rows()))
            .collect::<DfResult<Vec<_>>>()?;
        Ok(match source.kind {
            Kind::Series => Self::Series {
                made: SeriesBlock::new(&source.item),
                args,
                series: None,
                item: source.item.clone(),
            },
            Kind::List => {
                let list = args.pop().and_then(|array| array.as_list_opt().cloned());
                let Some(list) = list else {
                    return datafusion::common::internal_err!("a set that is no list");
                };
                Self::List {
                    list,
                    at: 0,
                    end: 0,
                    taken: Vec::new(),
                }
            }
        })
    }

    /// Goes to the set of an input row.
    fn enter(&mut self, row: usize, vars: &SessionVars) -> DfResult<()> {
        match self {
            Self::List { list, at, end, .. } => {
                (*at, *end) = (0, 0);
                if list.is_valid(row)
                    && let [first, last] = list.value_offsets().get(row..row + 2).unwrap_or(&[])
                {
                    *at = usize::try_from(*first).unwrap_or(0);
                    *end = usize::try_from(*last).unwrap_or(0);
                    if let Some(shape) = Shape::kept(list.values().nulls(), *at, *end) {
                        *end = *at + shape.count();
                    }
                }
            }
            Self::Series { args, series, .. } => *series = Series::start(args, row, vars)?,
        }
        Ok(())
    }

    /// Takes at most `count` rows of the current set; the number it took.
    fn advance(&mut self, count: usize) -> DfResult<usize> {
        match self {
            Self::List { at, end, taken, .. } => {
                let count = count.min(*end - *at);
                for index in *at..*at + count {
                    let index = u32::try_from(index).map_err(|_| {
                        DataFusionError::ResourcesExhausted("a list too long".to_owned())
                    })?;
                    taken.push(Some(index));
                }
                *at += count;
                Ok(count)
            }
            Self::Series { series, made, .. } => match series {
                Some(series) => Ok(series.block(count, made)?),
                None => Ok(0),
            },
        }
    }

    fn pad(&mut self, count: usize) {
        match self {
            Self::List { taken, .. } => taken.extend(std::iter::repeat_n(None, count)),
            Self::Series { made, .. } => made.pad(count),
        }
    }

    fn column(&mut self) -> DfResult<ArrayRef> {
        match self {
            Self::List { list, taken, .. } => {
                let indices = UInt32Array::from(std::mem::take(taken));
                Ok(take(list.values(), &indices, None)?)
            }
            Self::Series { made, item, .. } => Ok(made.finish(item)?),
        }
    }
}

/// A batch of input rows on its way.
pub(super) struct Expanding {
    batch: RecordBatch,
    sets: Vec<Rows>,
    vars: SessionVars,
    /// The row whose sets are read; `None` before the first.
    row: Option<usize>,
    /// How many rows it has given.
    given: i64,
}

impl Expanding {
    pub(super) fn new(
        batch: RecordBatch,
        sources: &[SetSource],
        vars: SessionVars,
    ) -> DfResult<Self> {
        let sets = sources
            .iter()
            .map(|source| Rows::new(source, &batch))
            .collect::<DfResult<_>>()?;
        Ok(Self {
            batch,
            sets,
            vars,
            row: None,
            given: 0,
        })
    }

    /// The next block of rows; `None` when the batch is used up.
    pub(super) fn block(
        &mut self,
        schema: &arrow::datatypes::SchemaRef,
        ordinal: bool,
        keep: bool,
    ) -> DfResult<Option<RecordBatch>> {
        let mut from: Vec<u32> = Vec::with_capacity(BLOCK_ROWS);
        let mut numbers: Vec<Option<i64>> = Vec::new();
        loop {
            let room = BLOCK_ROWS - from.len();
            if room == 0 {
                break;
            }
            let Some(row) = self.row else {
                if self.batch.num_rows() == 0 {
                    break;
                }
                self.enter(0)?;
                continue;
            };
            if row >= self.batch.num_rows() {
                break;
            }
            let counts = self
                .sets
                .iter_mut()
                .map(|set| set.advance(room))
                .collect::<DfResult<Vec<usize>>>()?;
            let mut rows = counts.iter().copied().max().unwrap_or(0);
            let ended = rows < room;
            let empty = rows == 0 && self.given == 0;
            if empty && keep {
                rows = 1;
            }
            for (set, count) in self.sets.iter_mut().zip(counts) {
                set.pad(rows - count);
            }
            let number = u32::try_from(row).unwrap_or(u32::MAX);
            from.extend(std::iter::repeat_n(number, rows));
            if ordinal {
                for _ in 0..rows {
                    self.given += 1;
                    numbers.push((!empty).then_some(self.given));
                }
            } else {
                self.given = 1;
            }
            if ended {
                self.enter(row + 1)?;
            }
        }
        if from.is_empty() {
            return Ok(None);
        }
        let rows = from.len();
        let from = UInt32Array::from(from);
        let mut columns = self
            .batch
            .columns()
            .iter()
            .map(|column| Ok(take(column, &from, None)?))
            .collect::<DfResult<Vec<ArrayRef>>>()?;
        for set in &mut self.sets {
            columns.push(set.column()?);
        }
        if ordinal {
            columns.push(Arc::new(Int64Array::from(numbers)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(
            Arc::clone(schema),
            columns,
            &options,
        )?))
    }

    fn enter(&mut self, row: usize) -> DfResult<()> {
        self.row = Some(row);
        self.given = 0;
        if row < self.batch.num_rows() {
            for set in &mut self.sets {
                set.enter(row, &self.vars)?;
            }
        }
        Ok(())
    }
}
