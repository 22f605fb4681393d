//! Where rows are by now: a flush or a merge moves them while a transaction knows them by where
//! they were.
//!
//! What was moved is remembered only while a transaction that may change rows is open, four bytes a
//! row; past a bound the oldest is forgotten, and who then asks for it is refused (40001).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};

use chronolith_catalog::{Change, Part};
use chronolith_chunk::HotPart;
use chronolith_types::PartId;
use roaring::RoaringBitmap;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::locks::{LockManager, RowSpace};
use crate::record::{Place, Record};
use crate::state::State;

/// Where rows lie, as somebody knew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Source {
    /// In memory, counted from the row that was first when so many had left.
    Hot {
        /// Whose rows are counted.
        origin: u64,
        /// How many had left.
        left: u64,
    },
    /// In a part.
    Part(PartId),
    /// Among the rows of the transaction itself.
    Own,
}

impl Source {
    pub(crate) fn of_hot(hot: &HotPart) -> Self {
        Self::Hot {
            origin: hot.origin(),
            left: hot.left(),
        }
    }
}

/// Rows that became a part: in the order of `inputs`, without those that were deleted then.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) inputs: Vec<Input>,
    pub(crate) to: PartId,
    /// Of each of the part's rows, its number among those that went in.
    pub(crate) order: Vec<u32>,
    /// Of each that went in, its row in the part.
    inverse: OnceLock<Vec<u32>>,
}

/// What rows were taken of.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) source: Source,
    /// How many there were, deleted ones too.
    pub(crate) rows: u32,
    pub(crate) deleted: RoaringBitmap,
}

impl Input {
    pub(crate) fn of_part(part: &Part) -> Self {
        Self {
            source: Source::Part(part.id),
            rows: u32::try_from(part.rows).unwrap_or(u32::MAX),
            deleted: (*part.deleted.0).clone(),
        }
    }

    pub(crate) fn of_hot(hot: &HotPart) -> Self {
        Self {
            source: Source::of_hot(hot),
            rows: u32::try_from(hot.all_rows()).unwrap_or(u32::MAX),
            deleted: hot.deleted(),
        }
    }
}

impl Moved {
    pub(crate) fn new(inputs: Vec<Input>, to: PartId, order: Vec<u32>) -> Self {
        Self {
            inputs,
            to,
            order,
            inverse: OnceLock::new(),
        }
    }

    fn bytes(&self) -> usize {
        self.order.len() * 8
    }

    /// Where rows of an input are now. None when one of them was deleted before.
    pub(crate) fn rows_of(&self, input: usize, rows: &RoaringBitmap) -> Option<RoaringBitmap> {
        let inverse = self.inverse.get_or_init(|| {
            let mut inverse = vec![0u32; self.order.len()];
            for (row, from) in (0u32..).zip(&self.order) {
                if let Some(place) = inverse.get_mut(*from as usize) {
                    *place = row;
                }
            }
            inverse
        });
        let live = |input: &Input| u64::from(input.rows) - input.deleted.len();
        let first: u64 = self.inputs.iter().take(input).map(live).sum();
        let deleted = &self.inputs.get(input)?.deleted;
        let mut found = RoaringBitmap::new();
        for row in rows {
            if deleted.contains(row) {
                return None;
            }
            let number = first + u64::from(row) - deleted.rank(row);
            found.insert(*inverse.get(usize::try_from(number).ok()?)?);
        }
        Some(found)
    }
}

/// Rows that a transaction deletes.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    pub(crate) place: Place,
    pub(crate) source: Source,
    pub(crate) rows: RoaringBitmap,
}

impl Deletion {
    /// Where the rows are in a state.
    pub(crate) fn locate(
        &self,
        moves: &Moves,
        state: &State,
    ) -> Result<Vec<(Place, Source, RoaringBitmap)>, EngineError> {
        self.locate_after(moves, &[], state)
    }

    /// The same in a state that comes after moves which are not published yet: those of commits
    /// before it in one group.
    pub(crate) fn locate_after(
        &self,
        moves: &Moves,
        next: &[(Place, Arc<Moved>)],
        state: &State,
    ) -> Result<Vec<(Place, Source, RoaringBitmap)>, EngineError> {
        moves.locate_after(next, state, self.place, self.source, &self.rows)
    }
}

impl State {
    /// A part as the catalog knows it.
    pub(crate) fn part_entry(&self, place: Place, id: PartId) -> Option<&Part> {
        let chunk = self.table(place.table_key())?.chunks.get(&place.chunk)?;
        let part = chunk.parts.iter().find(|part| part.id == id)?;
        Some(part)
    }

    /// Which of some rows of a part or of a chunk's memory are deleted.
    pub(crate) fn deleted_among(
        &self,
        place: Place,
        source: Source,
        rows: &RoaringBitmap,
    ) -> RoaringBitmap {
        match source {
            Source::Part(id) => {
                let part = self.part_entry(place, id);
                part.map(|part| &*part.deleted.0 & rows).unwrap_or_default()
            }
            Source::Hot { .. } => {
                let hot = self.hot(place);
                hot.map(|hot| hot.deleted_among(rows)).unwrap_or_default()
            }
            Source::Own => RoaringBitmap::new(),
        }
    }

    /// Deletes rows, which are where they are in this state; and a record says so.
    pub(crate) fn delete(
        &mut self,
        place: Place,
        source: Source,
        rows: &RoaringBitmap,
        record: &mut Record,
    ) -> Result<(), EngineError> {
        match source {
            Source::Part(part) => {
                let change = Change::DeleteRows {
                    database: place.database,
                    table: place.table,
                    chunk: place.chunk,
                    part,
                    rows: rows.clone().into(),
                };
                Arc::make_mut(&mut self.catalog).apply(&change)?;
                record.changes.push(change);
            }
            Source::Hot { .. } => {
                self.delete_hot(place, rows);
                record.deleted.push((place, rows.clone().into()));
            }
            Source::Own => {}
        }
        Ok(())
    }
}

/// Whose numbers the locks of a source's rows have.
pub(crate) fn lock_space(place: Place, source: Source) -> RowSpace {
    RowSpace {
        database: place.database,
        table: place.table,
        chunk: place.chunk,
        part: match source {
            Source::Part(id) => Some(id),
            Source::Hot { .. } | Source::Own => None,
        },
    }
}

/// The numbers by which rows are locked: those in memory count all that were there before, and
/// begin again after four thousand million.
pub(crate) fn locked_as(source: Source, rows: &RoaringBitmap) -> RoaringBitmap {
    let Source::Hot { left, .. } = source else {
        return rows.clone();
    };
    let left = low(left);
    rows.iter().map(|row| row.wrapping_add(left)).collect()
}

/// The numbers that rows have by those by which they are locked.
pub(crate) fn unlocked(source: Source, rows: &RoaringBitmap) -> RoaringBitmap {
    let Source::Hot { left, .. } = source else {
        return rows.clone();
    };
    let left = low(left);
    rows.iter().map(|row| row.wrapping_sub(left)).collect()
}

fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0)
}

impl Moved {
    /// Locks follow the rows.
    pub(crate) fn move_locks(&self, place: Place, locks: &LockManager) {
        let to = lock_space(place, Source::Part(self.to));
        for (at, input) in self.inputs.iter().enumerate() {
            let space = lock_space(place, input.source);
            if !locks.has_rows(space) {
                continue;
            }
            locks.move_rows(space, |number| {
                let row = match input.source {
                    Source::Hot { left, .. } => number.wrapping_sub(low(left)),
                    Source::Part(_) | Source::Own => number,
                };
                if row >= input.rows {
                    // It came while the others were packed.
                    return Some((space, number));
                }
                let moved = self.rows_of(at, &std::iter::once(row).collect())?;
                Some((to, moved.min()?))
            });
        }
    }
}

/// What was moved while somebody cared.
#[derive(Debug, Default)]
pub(crate) struct Moves {
    moved: VecDeque<(u64, Arc<Moved>)>,
    bytes: usize,
    /// Counts moves.
    next: u64,
    /// Of open transactions: how many began to care at each count.
    pins: BTreeMap<u64, usize>,
}

impl Moves {
    /// What is moved from now on is remembered.
    fn pin(&mut self) -> u64 {
        *self.pins.entry(self.next).or_default() += 1;
        self.next
    }

    fn unpin(&mut self, since: u64) {
        if let Some(count) = self.pins.get_mut(&since) {
            *count -= 1;
            if *count == 0 {
                self.pins.remove(&since);
            }
        }
        let first = self.pins.keys().next().copied().unwrap_or(u64::MAX);
        while self
            .moved
            .front()
            .is_some_and(|(number, _)| *number < first)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, moved)) = self.moved.pop_front() {
            self.bytes -= moved.bytes();
        }
    }

    /// Rows were moved; the state in which they are comes next, before anybody else pins.
    pub(crate) fn add(&mut self, moved: Arc<Moved>, bytes_max: usize) {
        let number = self.next;
        self.next += 1;
        if self.pins.is_empty() {
            return;
        }
        self.bytes += moved.bytes();
        self.moved.push_back((number, moved));
        while self.bytes > bytes_max && self.moved.len() > 1 {
            self.forget_first();
        }
    }

    /// Where rows of a place are in a state, by the parts and the memory that they are in.
    pub(crate) fn locate(
        &self,
        state: &State,
        place: Place,
        source: Source,
        rows: &RoaringBitmap,
    ) -> Result<Vec<(Place, Source, RoaringBitmap)>, EngineError> {
        self.locate_after(&[], state, place, source, rows)
    }

    fn locate_after(
        &self,
        next: &[(Place, Arc<Moved>)],
        state: &State,
        place: Place,
        source: Source,
        rows: &RoaringBitmap,
    ) -> Result<Vec<(Place, Source, RoaringBitmap)>, EngineError> {
        let key = place.table_key();
        let known = || {
            let known = self.moved.iter().map(|(_, moved)| moved);
            known.chain(next.iter().map(|(_, moved)| moved))
        };
        let overtaken = || {
            let table = state.table(key).map(|table| table.name.clone());
            EngineError::Overtaken(table.unwrap_or_default())
        };
        let mut found = Vec::new();
        let mut sought = vec![(source, rows.clone())];
        while let Some((source, mut rows)) = sought.pop() {
            match source {
                Source::Own => found.push((place, source, rows)),
                Source::Part(id) => {
                    let chunks = state.table(key).ok_or_else(overtaken)?.chunks.values();
                    let mut chunks = chunks.filter(|chunk| chunk.parts.iter().any(|p| p.id == id));
                    if let Some(chunk) = chunks.next() {
                        found.push((key.place(chunk.id), source, rows));
                        continue;
                    }
                    let is = |input: &Input| input.source == source;
                    let moved =
                        known().find_map(|moved| Some((moved, moved.inputs.iter().position(is)?)));
                    let (moved, input) = moved.ok_or_else(overtaken)?;
                    let rows = moved.rows_of(input, &rows).ok_or_else(overtaken)?;
                    sought.push((Source::Part(moved.to), rows));
                }
                Source::Hot { origin, left } => {
                    if let Some(hot) = state.hot(place).filter(|hot| hot.origin() == origin) {
                        let gone = u32::try_from(hot.left().saturating_sub(left));
                        let gone = gone.map_err(|_| overtaken())?;
                        let there: RoaringBitmap = match gone {
                            0 => rows.clone(),
                            _ => rows.range(gone..).map(|row| row - gone).collect(),
                        };
                        if !there.is_empty() {
                            found.push((place, Source::of_hot(hot), there));
                        }
                        rows.remove_range(gone..);
                    }
                    for moved in known() {
                        if rows.is_empty() {
                            break;
                        }
                        for (input, of) in moved.inputs.iter().enumerate() {
                            let Source::Hot {
                                origin: from,
                                left: at,
                            } = of.source
                            else {
                                continue;
                            };
                            if from != origin {
                                continue;
                            }
                            // Both count from where the part began at their time.
                            let number = |row: u32| left + u64::from(row);
                            let end = at + u64::from(of.rows);
                            let those: RoaringBitmap = rows
                                .iter()
                                .filter(|row| number(*row) >= at && number(*row) < end)
                                .collect();
                            if those.is_empty() {
                                continue;
                            }
                            rows -= &those;
                            let within = those
                                .iter()
                                .filter_map(|row| u32::try_from(number(row) - at).ok());
                            let within: RoaringBitmap = within.collect();
                            let there = moved.rows_of(input, &within).ok_or_else(overtaken)?;
                            sought.push((Source::Part(moved.to), there));
                        }
                    }
                    if !rows.is_empty() {
                        return Err(overtaken());
                    }
                }
            }
        }
        Ok(found)
    }
}

/// As long as it lives, what is moved is remembered.
#[derive(Debug)]
pub(crate) struct Pin {
    engine: Arc<Engine>,
    since: u64,
}

impl Pin {
    /// Another that remembers as much.
    pub(crate) fn again(&self) -> Self {
        *self.engine.moves.lock().pins.entry(self.since).or_default() += 1;
        Self {
            engine: Arc::clone(&self.engine),
            since: self.since,
        }
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.engine.moves.lock().unpin(self.since);
    }
}

impl Engine {
    /// What is committed, and the promise that rows can be found again by where they are in it.
    pub(crate) fn pin(self: &Arc<Self>) -> (Pin, Arc<State>) {
        let mut moves = self.moves.lock();
        let since = moves.pin();
        // A commit that moves rows holds the moves until its state is there.
        let state = self.state();
        drop(moves);
        let pin = Pin {
            engine: Arc::clone(self),
            since,
        };
        (pin, state)
    }
}
