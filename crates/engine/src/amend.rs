//! One row that is changed where the log is written: the whole of a transaction that names a row by
//! its key.
//!
//! All who commit are written one after another, so that between reading a row there and writing
//! its next version nobody comes. Nothing is looked at twice, many changes of one row in one group
//! cost one sync, and none of them waits for another. What is not as simple as that is left to the
//! transaction, which then does it as any other change ([`Amended::Otherwise`]).

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Chunk, Table};
use chronolith_chunk::{KeyEncoder, Keys, Locator};
use chronolith_types::{ChunkId, Lsn, PartId, TableId};
use roaring::RoaringBitmap;

use crate::commit::{Group, Work, Writer};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::layout::{layout_for, same_shape};
use crate::locks::{LockMode, LockTarget, Locker, RowMode, Wait};
use crate::moves::{Deletion, Source, lock_space, locked_as};
use crate::queue::{Commit, Pending};
use crate::record::{Place, Record, TableKey};
use crate::route;
use crate::state::State;
use crate::transaction::{Transaction, source_of};

/// What becomes of a row.
#[derive(Debug)]
pub enum Next {
    /// Its next version, with the same keys and all columns of the table.
    Version(RecordBatch),
    /// Nothing: it is not one of those that are to be changed.
    Same,
    /// Nothing: something is wrong with its next version. Who makes it knows what.
    Refused,
}

/// What came of the change of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// The row is changed, and safe.
    Changed,
    /// There is no such row, or it is to stay as it is.
    Nothing,
    /// Its next version was refused.
    Refused,
    /// Nothing was done: it is to be changed as rows usually are.
    Otherwise,
}

/// Makes a row's next version of the row, which has the table's columns.
///
/// It runs while nobody else can commit: it computes, and asks nobody anything.
pub type MakeNext = dyn Fn(&RecordBatch) -> Next + Send + Sync;

/// The row of a part that a key names, as somebody read it.
#[derive(Debug)]
struct ColdRow {
    part: PartId,
    row: u32,
    values: RecordBatch,
}

/// A change of one row, and what came of it.
pub(crate) struct Amendment {
    place: Place,
    /// The chunk, where it is one of a hypertable, as it was when it was locked.
    chunk_oid: Option<u32>,
    /// As the row's next version is made for.
    table: Arc<Table>,
    constraint: u32,
    encoder: Arc<KeyEncoder>,
    /// Of one row.
    key: Keys,
    cold: Option<ColdRow>,
    locker: Arc<Locker>,
    make: Box<MakeNext>,
    outcome: OnceLock<Amended>,
}

impl fmt::Debug for Amendment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amendment")
            .field("place", &self.place)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// A change of one row on its way: done when it is safe, or nothing was to be done.
#[derive(Debug)]
pub struct Amending {
    engine: Arc<Engine>,
    commit: Commit,
    amendment: Arc<Amendment>,
}

impl Amending {
    fn begin(engine: &Arc<Engine>, amendment: Amendment) -> Self {
        let amendment = Arc::new(amendment);
        let pending = Pending::new(Work {
            amendment: Some(Arc::clone(&amendment)),
            ..Work::default()
        });
        Self {
            engine: Arc::clone(engine),
            commit: Commit::new(Arc::clone(engine), pending),
            amendment,
        }
    }

    /// What it comes to, for who waits for it on a thread of its own.
    ///
    /// # Errors
    /// 53100, 58030, and what the disk gives.
    pub fn wait(self) -> Result<Amended, EngineError> {
        let written = self.commit.wait();
        self.amendment.told(&self.engine, written)
    }
}

impl Future for Amending {
    type Output = Result<Amended, EngineError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let written = std::task::ready!(Pin::new(&mut self.commit).poll(context));
        Poll::Ready(self.amendment.told(&self.engine, written))
    }
}

/// Where the row is that an amendment names.
struct Found {
    source: Source,
    row: u32,
    values: RecordBatch,
}

impl Amendment {
    /// What came of it, once it was written or refused.
    fn told(
        &self,
        engine: &Engine,
        written: Result<Lsn, EngineError>,
    ) -> Result<Amended, EngineError> {
        written?;
        let outcome = self.outcome.get().copied().unwrap_or(Amended::Otherwise);
        if outcome == Amended::Changed {
            engine.tidy_after(Some(&self.locker));
        }
        Ok(outcome)
    }

    /// The row as it is in a state; the error where there is none.
    fn find(&self, engine: &Engine, state: &State, chunk: &Chunk) -> Result<Found, Missing> {
        let hot = state.hot(self.place);
        if let (Some(hot), Some(key)) = (hot, self.key.get(0)) {
            let mut keys = engine.keys.lock();
            let known = keys.row(self.place, self.constraint, hot, &self.encoder, key)?;
            if let Some(row) = known {
                let values = hot.row(row).ok_or(Missing::Unknown)?;
                let source = Source::of_hot(hot);
                return Ok(Found {
                    source,
                    row,
                    values,
                });
            }
        }
        if chunk.parts.is_empty() {
            return Err(Missing::Nowhere);
        }
        // What is read of a file may take a while: here only what somebody has read before.
        let cold = self.cold.as_ref().ok_or(Missing::Unknown)?;
        let part = chunk.parts.iter().find(|part| part.id == cold.part);
        match part {
            Some(part) if !part.deleted.0.contains(cold.row) => Ok(Found {
                source: Source::Part(cold.part),
                row: cold.row,
                values: cold.values.clone(),
            }),
            _ => Err(Missing::Unknown),
        }
    }

    fn is_within(&self, chunk: &Chunk, new: &RecordBatch) -> Result<bool, EngineError> {
        let Some(time) = layout_for(&self.table).time else {
            return Ok(true);
        };
        let column = new.columns().get(time);
        let times = column.map(route::time_values).transpose()?;
        let time = times.and_then(|times| times.first().copied());
        Ok(time.is_some_and(|time| chunk.range.contains(&time)))
    }
}

/// Where a row lies that is deleted, and its next version.
type Changed = (Source, RoaringBitmap, RecordBatch);

/// Why a row is not found.
enum Missing {
    /// There is none.
    Nowhere,
    /// It may be anywhere.
    Unknown,
    Error(EngineError),
}

impl From<EngineError> for Missing {
    fn from(error: EngineError) -> Self {
        Self::Error(error)
    }
}

impl Engine {
    /// Changes a row in a group's state, and puts that into its log; nothing, where there is nothing
    /// to be changed.
    pub(crate) fn amend(
        &self,
        writer: &mut Writer,
        state: &mut State,
        amendment: &Amendment,
        group: &mut Group,
    ) -> Result<Option<Lsn>, EngineError> {
        let (outcome, new) = self.amended(state, amendment, group)?;
        let _ = amendment.outcome.set(outcome);
        let Some((source, rows, new)) = new else {
            return Ok(None);
        };
        let place = amendment.place;
        let mut record = Record {
            rows: vec![(place, vec![new])],
            ..Record::default()
        };
        let mut next = state.clone();
        match source {
            Source::Part(_) => next.delete(place, source, &rows, &mut record)?,
            // They are deleted when the record is applied.
            Source::Hot { .. } | Source::Own => record.deleted.push((place, rows.clone().into())),
        }
        next.check_rows(&record.rows)?;
        let lsn = self.put(writer, state, next, &record, group)?;
        group.deleted.push(Arc::new(Deletion {
            place,
            source,
            rows,
        }));
        group.lockers.push(Arc::clone(&amendment.locker));
        Ok(Some(lsn))
    }

    /// What is to be done; of a row that changes, where it lies and its next version.
    fn amended(
        &self,
        state: &State,
        amendment: &Amendment,
        group: &Group,
    ) -> Result<(Amended, Option<Changed>), EngineError> {
        const OTHERWISE: (Amended, Option<Changed>) = (Amended::Otherwise, None);
        let place = amendment.place;
        let key = place.table_key();
        // Locks of rows that the group moves are still where the rows were.
        if group.moves_rows() || state.has_stores(key.database, key.table) {
            return Ok(OTHERWISE);
        }
        let table = state.table(key);
        let table = table.filter(|table| same_shape(table, &amendment.table));
        let chunk = table.and_then(|table| table.chunks.get(&place.chunk));
        let chunk = chunk.filter(|chunk| amendment.chunk_oid.is_none_or(|oid| oid == chunk.oid));
        let Some(chunk) = chunk else {
            return Ok(OTHERWISE);
        };
        let found = match amendment.find(self, state, chunk) {
            Ok(found) => found,
            Err(Missing::Nowhere) => return Ok((Amended::Nothing, None)),
            Err(Missing::Unknown) => return Ok(OTHERWISE),
            Err(Missing::Error(error)) => return Err(error),
        };
        let rows: RoaringBitmap = std::iter::once(found.row).collect();
        // Held until the transaction has ended: who comes before this is read waits, and then finds
        // the row gone.
        let gained = amendment.locker.lock_rows(
            lock_space(place, found.source),
            &locked_as(found.source, &rows),
            RowMode::Changed,
            Wait::Skip,
        )?;
        if !gained.skipped.is_empty() {
            return Ok(OTHERWISE);
        }
        let new = match (amendment.make)(&found.values) {
            Next::Version(new) => new,
            Next::Same => return Ok((Amended::Nothing, None)),
            Next::Refused => return Ok((Amended::Refused, None)),
        };
        if !amendment.is_within(chunk, &new)? {
            return Ok(OTHERWISE);
        }
        Ok((Amended::Changed, Some((found.source, rows, new))))
    }
}

impl Transaction {
    /// Changes the row that has a key, and commits that at once; None where this cannot be done so, and
    /// the row is to be changed as rows usually are. The transaction must not have done anything yet,
    /// and is to be ended next: it keeps its locks till then.
    ///
    /// `key` is one row of the table's columns, of which those of the constraint count; the columns of
    /// the table's keys are the same in the row's next version.
    ///
    /// # Errors
    /// What the disk gives; 57014 and the like for a wait for the chunk.
    pub fn amend(
        &mut self,
        table: TableId,
        constraint: u32,
        key: &RecordBatch,
        make: Box<MakeNext>,
    ) -> Result<Option<Amending>, EngineError> {
        let table = self.found(table)?;
        let layout = layout_for(&table);
        let mut keys = table.unique_keys().into_iter();
        let columns = keys.find(|(known, _)| known.id == constraint);
        let Some((_, columns)) = columns.filter(|_| self.is_untouched()) else {
            return Ok(None);
        };
        if table.rollup.is_some() || self.engine().state().has_stores(self.database(), table.id) {
            return Ok(None);
        }
        let chunk = match (&table.hypertable, layout.time) {
            (None, _) => Table::PLAIN_CHUNK,
            (Some(_), Some(time)) if columns.contains(&time) => {
                let time = key.columns().get(time).map(route::time_values);
                let time = time.transpose()?.and_then(|times| times.first().copied());
                match time.and_then(|time| table.chunk_at(time)) {
                    Some(chunk) => chunk.id,
                    None => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        let place = TableKey::new(self.database(), table.id).place(chunk);
        let Some(chunk) = table.chunks.get(&place.chunk) else {
            return Ok(None);
        };
        let locker = self.locker();
        let chunk_oid = table.hypertable.is_some().then_some(chunk.oid);
        if let Some(oid) = chunk_oid {
            // Whoever drops, splits or merges it waits until this is done.
            let target = LockTarget::Table {
                database: self.database(),
                table: TableId(oid),
            };
            locker.lock(target, LockMode::RowExclusive, Wait::Block)?;
        }
        let cold = match chunk.parts.is_empty() {
            true => None,
            false => self.cold_row(&table, place.chunk, constraint, key)?,
        };
        let encoder = layout.encoder(&columns)?;
        let key = encoder.keys(key)?;
        let amendment = Amendment {
            place,
            chunk_oid,
            table,
            constraint,
            encoder,
            key,
            cold,
            locker,
            make,
            outcome: OnceLock::new(),
        };
        Ok(Some(Amending::begin(self.engine(), amendment)))
    }

    /// The row of a part that has a key, if it is in one.
    fn cold_row(
        &mut self,
        table: &Arc<Table>,
        chunk: ChunkId,
        constraint: u32,
        key: &RecordBatch,
    ) -> Result<Option<ColdRow>, EngineError> {
        let Some(view) = self.table(table.id).map(|view| view.only(chunk)) else {
            return Ok(None);
        };
        let found = self.find(&view, constraint, key)?;
        let Some(locator) = found.into_iter().flatten().next() else {
            return Ok(None);
        };
        let Locator { source, row, .. } = locator.into();
        let place = TableKey::new(self.database(), table.id).place(chunk);
        let Some(Source::Part(part)) = source_of(&view, place, source) else {
            return Ok(None);
        };
        let all: Vec<usize> = (0..table.columns.len()).collect();
        let read = view.rows_at(&all, &[locator])?;
        let values = RecordBatch::try_new(
            Arc::clone(view.layout.schema()),
            read.columns().get(..all.len()).unwrap_or_default().to_vec(),
        );
        let values = values.map_err(chronolith_chunk::ChunkError::from)?;
        Ok((values.num_rows() == 1).then_some(ColdRow { part, row, values }))
    }
}
