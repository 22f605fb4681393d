//! Cursors: queries whose rows are fetched in portions, forth and back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arrow::array::UInt32Array;
use arrow::compute::{concat_batches, take_record_batch};
use arrow::record_batch::RecordBatch;
use chronolith_sql::FetchDirection;
use chronolith_types::SqlState;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::current::Origins;
use crate::error::Error;
use crate::outcome::{OutputColumn, RowStream};

/// A cursor that was not declared SCROLL and may go back keeps so much of what it has given.
const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// How far back a cursor can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    /// NO SCROLL, or a query that PostgreSQL does not run backward either: nothing is kept.
    Never,
    /// Neither was said: as far as the rows that are kept reach.
    Window,
    /// SCROLL: every row is kept.
    All,
}

/// An open cursor.
pub(crate) struct Cursor {
    /// Its name.
    pub(crate) name: String,
    /// Its statement's text.
    pub(crate) text: String,
    /// What it gives.
    pub(crate) columns: Vec<OutputColumn>,
    /// BINARY.
    pub(crate) binary: bool,
    /// WITH HOLD.
    pub(crate) hold: bool,
    /// Whether it goes back.
    pub(crate) scrolls: bool,
    /// When it was made, µs since 1970.
    pub(crate) created_us: i64,
    /// Its transaction was committed: it is the session's.
    pub(super) held: AtomicBool,
    /// How many savepoints it stands behind.
    pub(super) depth: AtomicUsize,
    /// Where its rows lie.
    pub(super) origins: Arc<Origins>,
    rows: Arc<Mutex<Rows>>,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a DECLARE says of a cursor.
pub(super) struct Making {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) columns: Vec<OutputColumn>,
    pub(super) binary: bool,
    pub(super) hold: bool,
    pub(super) back: Back,
    pub(super) created_us: i64,
    pub(super) depth: usize,
    pub(super) origins: Origins,
}

/// Where a cursor stands.
pub(super) enum Standing {
    /// On a row: a batch of it alone.
    On(RecordBatch),
    /// Before its first row, or behind the last.
    Off,
    /// Nowhere any more that a statement could change: its transaction is over.
    Held,
}

impl Cursor {
    pub(super) fn new(making: Making, source: RowStream, pool: &Arc<dyn MemoryPool>) -> Self {
        let memory = MemoryConsumer::new(format!("cursor \"{}\"", making.name)).register(pool);
        Self {
            scrolls: making.back != Back::Never,
            held: AtomicBool::new(false),
            depth: AtomicUsize::new(making.depth),
            origins: Arc::new(making.origins),
            rows: Arc::new(Mutex::new(Rows {
                source: Some(source),
                kept: VecDeque::new(),
                first: 0,
                fetched: 0,
                position: 0,
                back: making.back,
                failed: false,
                memory,
            })),
            name: making.name,
            text: making.text,
            columns: making.columns,
            binary: making.binary,
            hold: making.hold,
            created_us: making.created_us,
        }
    }

    /// Whether it goes with the transaction, or with what is undone of it.
    pub(super) fn ends(&self, depth_max: usize) -> bool {
        !self.held.load(Ordering::Relaxed) && self.depth.load(Ordering::Relaxed) > depth_max
    }

    fn rows(&self) -> Result<OwnedMutexGuard<Rows>, Error> {
        Arc::clone(&self.rows).try_lock_owned().map_err(|_| {
            Error::new(
                SqlState::OBJECT_IN_USE,
                format!("cannot use cursor \"{}\" while it is being read", self.name),
            )
        })
    }

    /// Moves, and gives the rows that it comes by.
    pub(super) async fn fetch(&self, direction: &FetchDirection) -> Result<RowStream, Error> {
        let mut rows = self.rows()?;
        if rows.failed {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                format!("portal \"{}\" cannot be run", self.name),
            ));
        }
        match rows.moved(direction).await {
            Ok(Moved::To(batches)) => {
                let shown = batches.iter().map(|batch| self.origins.shown(batch));
                let shown: Vec<_> = shown.collect();
                Ok(Box::pin(futures::stream::iter(shown)))
            }
            Ok(Moved::Before(count)) => {
                let origins = Arc::clone(&self.origins);
                let rows = forward(rows, count);
                Ok(Box::pin(rows.map(move |batch| origins.shown(&batch?))))
            }
            Err(error) => {
                rows.failed = true;
                Err(error)
            }
        }
    }

    /// Where it stands.
    pub(super) fn standing(&self) -> Result<Standing, Error> {
        if self.held.load(Ordering::Relaxed) {
            return Ok(Standing::Held);
        }
        let rows = self.rows()?;
        Ok(match rows.position == 0 || rows.position > rows.fetched {
            true => Standing::Off,
            false => Standing::On(rows.slice(rows.position, 1)?),
        })
    }

    /// Reads what is left, so that it can outlive its transaction.
    pub(super) async fn keep(&self) -> Result<(), Error> {
        let mut rows = self.rows()?;
        if rows.back == Back::Window {
            rows.back = Back::All;
        }
        while rows.pull().await? {}
        self.held.store(true, Ordering::Relaxed);
        self.depth.store(0, Ordering::Relaxed);
        Ok(())
    }
}

fn forward(rows: OwnedMutexGuard<Rows>, count: u64) -> RowStream {
    Box::pin(futures::stream::unfold(
        (rows, count),
        |(mut rows, left)| async move {
            if left == 0 {
                return None;
            }
            match rows.next(left).await {
                Ok(Some(batch)) => {
                    let left = left - batch.num_rows() as u64;
                    Some((Ok(batch), (rows, left)))
                }
                Ok(None) => None,
                Err(error) => {
                    rows.failed = true;
                    Some((Err(error), (rows, 0)))
                }
            }
        },
    ))
}

/// The rows of a cursor, as far as they are known, and where it stands among them.
struct Rows {
    /// Where more come from; none at the end.
    source: Option<RowStream>,
    kept: VecDeque<RecordBatch>,
    /// How many rows came before those that are kept.
    first: u64,
    /// How many rows have come.
    fetched: u64,
    /// The number of the row it stands on, from 1; 0 before the first, one more than there are
    /// behind the last.
    position: u64,
    back: Back,
    /// Whether an error met it, which also a rollback to a savepoint does not mend.
    failed: bool,
    memory: MemoryReservation,
}

/// Where a cursor is, once it has moved.
enum Moved {
    /// Past these rows.
    To(Vec<RecordBatch>),
    /// Before so many rows that are to be read.
    Before(u64),
}

impl Rows {
    async fn moved(&mut self, direction: &FetchDirection) -> Result<Moved, Error> {
        Ok(Moved::To(match direction {
            FetchDirection::Forward(0) | FetchDirection::Relative(0) => self.current()?,
            FetchDirection::Forward(count) if *count > 0 => {
                return Ok(Moved::Before(count.unsigned_abs()));
            }
            FetchDirection::ForwardAll => return Ok(Moved::Before(u64::MAX)),
            FetchDirection::Forward(count) => self.backward(count.unsigned_abs())?,
            FetchDirection::BackwardAll => self.backward(u64::MAX)?,
            FetchDirection::First => {
                self.absolute(1).await?;
                return Ok(Moved::Before(1));
            }
            FetchDirection::Absolute(count) if *count > 0 => {
                self.absolute(count.unsigned_abs()).await?;
                return Ok(Moved::Before(1));
            }
            FetchDirection::Absolute(0) => {
                self.rewind()?;
                Vec::new()
            }
            FetchDirection::Last => self.counted_from_end(1).await?,
            FetchDirection::Absolute(count) => self.counted_from_end(count.unsigned_abs()).await?,
            FetchDirection::Relative(count) if *count > 0 => {
                self.skip(count.unsigned_abs() - 1).await?;
                return Ok(Moved::Before(1));
            }
            FetchDirection::Relative(count) => {
                self.backward(count.unsigned_abs() - 1)?;
                self.backward(1)?
            }
        }))
    }

    /// Gets more rows; false at the end.
    async fn pull(&mut self) -> Result<bool, Error> {
        while let Some(source) = &mut self.source {
            match source.next().await {
                Some(Ok(batch)) if batch.num_rows() == 0 => {}
                Some(Ok(batch)) => {
                    self.memory.try_grow(batch.get_array_memory_size())?;
                    self.fetched += batch.num_rows() as u64;
                    self.kept.push_back(batch);
                    return Ok(true);
                }
                Some(Err(error)) => {
                    self.source = None;
                    return Err(error);
                }
                None => self.source = None,
            }
        }
        Ok(false)
    }

    /// Lets go of what it cannot come back to.
    fn shed(&mut self) {
        while let Some(oldest) = self.kept.front() {
            let end = self.first + oldest.num_rows() as u64;
            let goes = match self.back {
                Back::All => false,
                // The row that it stands on may be asked for.
                Back::Never => end < self.position,
                Back::Window => self.memory.size() > WINDOW_BYTES && end < self.position,
            };
            if !goes {
                return;
            }
            self.memory
                .shrink(oldest.get_array_memory_size().min(self.memory.size()));
            self.first = end;
            self.kept.pop_front();
        }
    }

    /// Some of the rows that follow, at most `count`; none at the end.
    async fn next(&mut self, count: u64) -> Result<Option<RecordBatch>, Error> {
        while self.fetched <= self.position {
            if !self.pull().await? {
                self.position = self.fetched + 1;
                self.shed();
                return Ok(None);
            }
        }
        let batch = self.slice(self.position + 1, count)?;
        self.position += batch.num_rows() as u64;
        self.shed();
        Ok(Some(batch))
    }

    /// Rows of one batch, from a number on.
    fn slice(&self, number: u64, count: u64) -> Result<RecordBatch, Error> {
        let mut before = self.first;
        for batch in &self.kept {
            let end = before + batch.num_rows() as u64;
            if number <= before {
                break;
            }
            if number <= end {
                let offset = usize::try_from(number - before - 1).unwrap_or(0);
                let length = usize::try_from(count.min(end - number + 1)).unwrap_or(usize::MAX);
                return Ok(batch.slice(offset, length));
            }
            before = end;
        }
        Err(forward_only())
    }

    /// Goes that many rows ahead.
    async fn skip(&mut self, count: u64) -> Result<(), Error> {
        let mut left = count;
        while left > 0 {
            match self.next(left).await? {
                Some(batch) => left -= batch.num_rows() as u64,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// The row that it stands on.
    fn current(&self) -> Result<Vec<RecordBatch>, Error> {
        if self.position == 0 || self.position > self.fetched {
            return Ok(Vec::new());
        }
        self.may_go_back()?;
        Ok(vec![self.slice(self.position, 1)?])
    }

    fn may_go_back(&self) -> Result<(), Error> {
        match self.back {
            Back::Never => Err(forward_only()),
            Back::Window | Back::All => Ok(()),
        }
    }

    /// The rows before the one it stands on, the nearest first.
    fn backward(&mut self, count: u64) -> Result<Vec<RecordBatch>, Error> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.may_go_back()?;
        let high = self.position.saturating_sub(1);
        let to = self.position.saturating_sub(count);
        let mut low = to.max(1);
        let mut slices = Vec::new();
        while low <= high {
            let slice = self.slice(low, high - low + 1)?;
            low += slice.num_rows() as u64;
            slices.push(slice);
        }
        self.position = to;
        let Some(schema) = slices.first().map(RecordBatch::schema) else {
            return Ok(Vec::new());
        };
        let all = concat_batches(&schema, &slices)?;
        let rows = u32::try_from(all.num_rows())
            .map_err(|_| Error::new(SqlState::OUT_OF_MEMORY, "too many rows to go back over"))?;
        let order = UInt32Array::from_iter_values((0..rows).rev());
        Ok(vec![take_record_batch(&all, &order)?])
    }

    /// Before the first row.
    fn rewind(&mut self) -> Result<(), Error> {
        if self.position > 0 {
            self.may_go_back()?;
            if self.first > 0 {
                return Err(forward_only());
            }
        }
        self.position = 0;
        Ok(())
    }

    /// Stands before the row of a number, from 1.
    async fn absolute(&mut self, number: u64) -> Result<(), Error> {
        // PostgreSQL begins anew when that is nearer, and so refuses where going back is refused.
        let at = self.position.min(self.fetched);
        if self.back == Back::Never && (number - 1 <= at / 2 || number <= self.position) {
            self.rewind()?;
        }
        if number <= self.position {
            self.position = number - 1;
            return Ok(());
        }
        self.skip(number - 1 - self.position).await
    }

    /// The row of a number that counts from the last.
    async fn counted_from_end(&mut self, number: u64) -> Result<Vec<RecordBatch>, Error> {
        self.skip(u64::MAX).await?;
        self.backward(number - 1)?;
        self.backward(1)
    }
}

fn forward_only() -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "cursor can only scan forward",
    )
    .hint("Declare it with SCROLL option to enable backward scan.")
}

/// Whether PostgreSQL would run such a query backward without being told that it must.
pub(super) fn runs_backward(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) => true,
        LogicalPlan::Projection(of) => runs_backward(&of.input),
        LogicalPlan::Filter(of) => runs_backward(&of.input),
        LogicalPlan::Sort(of) => runs_backward(&of.input),
        LogicalPlan::Limit(of) => runs_backward(&of.input),
        LogicalPlan::SubqueryAlias(of) => runs_backward(&of.input),
        // Functions in FROM, and whatever else stands for itself.
        LogicalPlan::Extension(of) => {
            let rowless = |input: &&LogicalPlan| matches!(input, LogicalPlan::EmptyRelation(_));
            of.node.inputs().iter().all(rowless)
        }
        _ => false,
    }
}
