//! The counts of sequences: how far each has come, in memory, and how much of it the log knows.
//!
//! A number that was given is never given again, whatever becomes of the transaction that took it.
//! The log hears of numbers before they are given, many at once: a crash makes a gap and no repeat.
//! Closing the engine writes down where each count really is.
//!
//! Lock order: one count, then the log. Nothing that holds the log asks for a count.

use std::collections::HashMap;
use std::sync::Arc;

use chronolith_catalog::{Change, Sequence};
use chronolith_types::{DatabaseId, TableId};
use parking_lot::Mutex;

use crate::commit::Work;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::queue::Pending;
use crate::record::Record;

/// How many numbers more than asked for the log hears of, as in PostgreSQL.
const AHEAD: u64 = 32;

/// The counts that somebody has asked since the engine was opened, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Sequences(Mutex<HashMap<u32, Arc<Mutex<Count>>>>);

/// One count.
#[derive(Debug)]
pub(crate) struct Count {
    database: DatabaseId,
    id: TableId,
    last: i64,
    called: bool,
    /// How many further numbers the log knows of, counted by this step.
    ahead: u64,
    increment: i64,
}

/// Numbers of a sequence that were drawn together: where its count was before, and is behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draw {
    pub(crate) sequence: TableId,
    pub(crate) before: (i64, bool),
    pub(crate) after: (i64, bool),
}

impl Draw {
    /// The sequence.
    #[must_use]
    pub fn sequence(&self) -> TableId {
        self.sequence
    }
}

impl Sequences {
    /// A sequence's count; made from what the catalog knows when nobody asked before.
    pub(crate) fn count(&self, database: DatabaseId, sequence: &Sequence) -> Arc<Mutex<Count>> {
        let mut counts = self.0.lock();
        let count = counts.entry(sequence.count).or_insert_with(|| {
            Arc::new(Mutex::new(Count {
                database,
                id: sequence.id,
                last: sequence.last,
                called: sequence.called,
                ahead: 0,
                increment: sequence.increment,
            }))
        });
        Arc::clone(count)
    }

    /// A count that was asked for before.
    pub(crate) fn known(&self, count: u32) -> Option<Arc<Mutex<Count>>> {
        self.0.lock().get(&count).cloned()
    }
}

impl Count {
    /// Where it is, as the catalog is to know it.
    pub(crate) fn now(&self) -> (i64, bool) {
        (self.last, self.called)
    }

    /// As a change that says so.
    pub(crate) fn told(&self, count: u32) -> Change {
        Change::AdvanceSequence {
            database: self.database,
            id: self.id,
            count,
            last: self.last,
            called: self.called,
        }
    }

    /// The next numbers, in their order.
    ///
    /// # Errors
    /// 2200H past the end of a sequence that does not cycle; the numbers before it are used up.
    fn step(&mut self, sequence: &Sequence, many: usize) -> Result<Vec<i64>, EngineError> {
        let mut numbers = Vec::with_capacity(many);
        for _ in 0..many {
            let next = match self.called {
                false => self.last,
                true => following(sequence, self.last)?,
            };
            (self.last, self.called) = (next, true);
            numbers.push(next);
        }
        Ok(numbers)
    }
}

/// The number after one that was given.
fn following(sequence: &Sequence, last: i64) -> Result<i64, EngineError> {
    let up = sequence.increment > 0;
    let next = last.checked_add(sequence.increment);
    let next = next.filter(|next| (sequence.min..=sequence.max).contains(next));
    match next {
        Some(next) => Ok(next),
        None if sequence.cycle => Ok(if up { sequence.min } else { sequence.max }),
        None => Err(EngineError::SequenceEnd {
            sequence: sequence.name.clone(),
            reached: if up { "maximum" } else { "minimum" },
            value: if up { sequence.max } else { sequence.min },
        }),
    }
}

/// A number some steps on, or the last one before the end; and how many steps there are to it.
fn beyond(sequence: &Sequence, last: i64, steps: u64) -> (i64, u64) {
    let room = match sequence.increment > 0 {
        true => sequence.max.abs_diff(last),
        false => last.abs_diff(sequence.min),
    };
    let width = sequence.increment.unsigned_abs().max(1);
    let steps = steps.min(room / width);
    let distance = i128::from(sequence.increment) * i128::from(steps);
    let reached = i64::try_from(i128::from(last) + distance);
    // It lies between the bounds, which are both of this type.
    reached.map_or((last, 0), |reached| (reached, steps))
}

impl Engine {
    /// Gives the next numbers of a sequence. `logged` says that others can see it, so that the log
    /// must know of them first.
    pub(crate) fn next_of_sequence(
        &self,
        database: DatabaseId,
        sequence: &Sequence,
        many: usize,
        logged: bool,
    ) -> (Draw, Result<Vec<i64>, EngineError>) {
        let count = self.sequences.count(database, sequence);
        let mut count = count.lock();
        let before = count.now();
        let numbers = self.step_sequence(&mut count, database, sequence, (many, logged));
        let draw = Draw {
            sequence: sequence.id,
            before,
            after: count.now(),
        };
        (draw, numbers)
    }

    /// Takes numbers back that nobody has seen, unless others were drawn since. The log may know of
    /// them, as of all that were not given before a crash.
    pub(crate) fn take_back(&self, sequence: &Sequence, draw: &Draw) -> bool {
        let Some(count) = self.sequences.known(sequence.count) else {
            return false;
        };
        let mut count = count.lock();
        let last = count.now() == draw.after;
        if last {
            (count.last, count.called) = draw.before;
            // How far the log is ahead is told from where the count is.
            count.ahead = 0;
        }
        last
    }

    fn step_sequence(
        &self,
        count: &mut Count,
        database: DatabaseId,
        sequence: &Sequence,
        (many, logged): (usize, bool),
    ) -> Result<Vec<i64>, EngineError> {
        let before = count.now();
        let numbers = count.step(sequence, many);
        let used = u64::try_from(many).unwrap_or(u64::MAX);
        if !logged {
            return numbers;
        }
        if used <= count.ahead && count.increment == sequence.increment && numbers.is_ok() {
            count.ahead -= used;
            return numbers;
        }
        let (last, ahead) = beyond(sequence, count.last, AHEAD);
        let change = Change::AdvanceSequence {
            database,
            id: sequence.id,
            count: sequence.count,
            last,
            called: true,
        };
        if let Err(error) = self.log_sequence(change) {
            // None of them was given.
            (count.last, count.called) = before;
            return Err(error);
        }
        count.ahead = ahead;
        count.increment = sequence.increment;
        numbers
    }

    /// Sets a sequence's count.
    pub(crate) fn set_sequence(
        &self,
        database: DatabaseId,
        sequence: &Sequence,
        (last, called): (i64, bool),
        logged: bool,
    ) -> Result<(), EngineError> {
        let count = self.sequences.count(database, sequence);
        let mut count = count.lock();
        if logged {
            self.log_sequence(Change::AdvanceSequence {
                database,
                id: sequence.id,
                count: sequence.count,
                last,
                called,
            })?;
        }
        (count.last, count.called, count.ahead) = (last, called, 0);
        Ok(())
    }

    fn log_sequence(&self, change: Change) -> Result<(), EngineError> {
        let record = Record {
            changes: vec![change],
            ..Record::default()
        };
        self.commit(
            &Pending::new(Work {
                record,
                ..Work::default()
            }),
            None,
        )?;
        Ok(())
    }

    /// Writes down where each count really is, so that closing makes no gaps.
    pub(crate) fn settle_sequences(&self) -> Result<(), EngineError> {
        let counts: Vec<(u32, Arc<Mutex<Count>>)> = {
            let counts = self.sequences.0.lock();
            let counts = counts.iter();
            counts
                .map(|(number, count)| (*number, Arc::clone(count)))
                .collect()
        };
        let catalog = self.catalog();
        let mut record = Record::default();
        for (number, count) in &counts {
            let mut count = count.lock();
            let database = catalog.databases.get(&count.database);
            let known = database.and_then(|database| database.sequences.get(&count.id));
            let behind = known.is_some_and(|known| {
                known.count == *number && (known.last, known.called) != count.now()
            });
            if behind {
                count.ahead = 0;
                record.changes.push(count.told(*number));
            }
        }
        if record.changes.is_empty() {
            return Ok(());
        }
        self.commit(
            &Pending::new(Work {
                record,
                ..Work::default()
            }),
            None,
        )?;
        Ok(())
    }
}
