//! A whole statement: its changes in order, then the query that reads what they return.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use chronolith_engine::{LockMode, Wait};
use datafusion::common::ScalarValue;
use futures::FutureExt;

use super::current::Current;
use super::plan::Dml;
use super::returned::Returned;
use super::run::{Run, Step};
use super::sight::{Held, Sight};
use crate::bind::{What, set_parameters};
use crate::error::Error;
use crate::outcome::RowStream;
use crate::references::Behind;
use crate::routines::has_triggers;
use crate::session::{Shared, physical, stream};

/// What a statement came to.
pub(crate) enum Ran {
    /// How many rows it changed; no client could tell a word of what it returns from a query's.
    Changed {
        rows: u64,
        returned: Option<RowStream>,
    },
    /// The rows of its query.
    Query(RowStream),
}

impl Ran {
    /// Of rows that were changed, and of which nothing is returned.
    pub(crate) fn of(rows: u64) -> Self {
        let returned = None;
        Self::Changed { rows, returned }
    }
}

/// Where a statement of several parts goes back to.
const POINT: &str = "\0statement";

/// Runs a statement that changes rows. With many values of its parameters it is an INSERT that writes
/// the rows of them all: see [`Dml::repeats`].
///
/// # Errors
/// Whatever it meets; the transaction is then to be rolled back, at least to a savepoint.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    dml: &Dml,
    params: &[ScalarValue],
    many: Option<&RecordBatch>,
) -> Result<Ran, Error> {
    run_among(shared, dml, params, many, None).await
}

/// The same of a statement that a reference runs: who refers to its rows is told behind it.
///
/// # Errors
/// Likewise.
pub(super) async fn run_among(
    shared: &Arc<Shared>,
    dml: &Dml,
    params: &[ScalarValue],
    many: Option<&RecordBatch>,
    behind: Option<&Behind>,
) -> Result<Ran, Error> {
    // Alone, a change writes nothing before it is sure of its rows.
    let fires = |change: &crate::bind::Change| has_triggers(shared, &change.table, None);
    let several = dml.program.changes.len() > 1 || dml.program.changes.iter().any(fires);
    for change in &dml.program.changes {
        let table = &change.table;
        shared.lock_table(table.id, &table.name, LockMode::RowExclusive, Wait::Block)?;
    }
    let mut attempts = Attempts::default();
    let mut looked_again = false;
    loop {
        let (seen, locker) = shared.transact(|transaction| {
            transaction.begin_change()?;
            if several {
                transaction.savepoint(POINT);
            }
            Ok::<_, Error>((transaction.seen(), transaction.locker()))
        })?;
        attempts.begin(seen)?;
        let deferred = several.then(|| shared.with(|state| state.deferred.clone()));
        let mark = locker.mark();
        let ran = once(shared, dml, params, many, behind).await?;
        if ran.is_none() {
            // Who is about to look again needs nothing of what the attempt took, and others may
            // wait for a part of it while it waits for theirs; but what it waited for is its turn.
            locker.look_again(mark);
            looked_again = true;
            if let Some(deferred) = deferred {
                shared.with(|state| state.deferred = deferred);
            }
        }
        if several {
            shared.transact(|transaction| {
                if ran.is_none() {
                    transaction.rollback_to(POINT)?;
                }
                transaction.release(POINT)
            })?;
        }
        match ran {
            Some(ran) => {
                if looked_again {
                    locker.let_go();
                }
                return Ok(ran);
            }
            None if shared.cancel.asked() => return Err(shared.cancel.error()),
            None => {}
        }
    }
}

/// So many attempts in a row may see the same: each waited for somebody who then took his changes
/// back.
const ALIKE_MAX: usize = 1000;

/// The attempts of a statement.
struct Attempts<T> {
    last: Option<T>,
    alike: usize,
}

impl<T> Default for Attempts<T> {
    fn default() -> Self {
        Self {
            last: None,
            alike: 0,
        }
    }
}

impl<T: PartialEq> Attempts<T> {
    /// Another one, which sees what it is given.
    ///
    /// # Errors
    /// XX000 when nobody committed for so long that this one will find no other rows than the last.
    fn begin(&mut self, seen: T) -> Result<(), Error> {
        let seen = Some(seen);
        self.alike = match seen == self.last {
            true => self.alike + 1,
            false => 0,
        };
        self.last = seen;
        match self.alike > ALIKE_MAX {
            true => Err(Error::internal(
                "rows are said to be changed by others, and nobody has committed a change",
            )),
            false => Ok(()),
        }
    }
}

/// One attempt; None when rows were changed by others meanwhile.
async fn once(
    shared: &Arc<Shared>,
    dml: &Dml,
    params: &[ScalarValue],
    many: Option<&RecordBatch>,
    behind: Option<&Behind>,
) -> Result<Option<Ran>, Error> {
    let sight = Arc::new(Sight::default());
    let _held = Held::new(shared, Some(Arc::clone(&sight)));
    // All parts see what was there before the first of them.
    for change in &dml.program.changes {
        sight.view(shared, change.table.id);
    }
    let instead = |change: &crate::bind::Change| matches!(change.what, What::Instead { .. });
    if dml.program.changes.len() > 1
        || dml.program.main.is_some()
        || dml.program.changes.iter().any(instead)
    {
        for found in &dml.program.uses {
            sight.view(shared, chronolith_types::TableId(found.relation));
        }
    }
    let mut run = Run {
        behind,
        shared,
        planner: OnceLock::new(),
        vars: OnceLock::new(),
        sight,
        params,
        many,
        touched: HashMap::new(),
        currents: Vec::new(),
        fires: Vec::new(),
    };
    for (slot, locking) in &dml.program.locks {
        match locking.once(shared, &run.sight, params).boxed().await? {
            Some(rows) => run.sight.slots.put(*slot, rows),
            None => return Ok(None),
        }
    }
    for change in &dml.program.changes {
        if let Some(current) = &change.current {
            let (current, row) = Current::of(&run, current, &change.table)?;
            run.sight.slots.put(current.slot(), vec![row]);
            run.currents.push(current);
        }
    }
    let mut last = None;
    for (change, given) in dml.program.changes.iter().zip(&dml.given) {
        let done = match run.change(change, given.as_ref()).await? {
            Step::Done(done) => done,
            Step::Again => return Ok(None),
        };
        match (change.slot, done.returned) {
            (Some(slot), Some(returned)) => run.sight.slots.put(slot, returned.into_batches()),
            (_, returned) => last = Some((done.rows, returned)),
        }
    }
    let fires = std::mem::take(&mut run.fires);
    match behind {
        Some(behind) => behind.fire(fires),
        None => {
            for fires in fires {
                fires.fire().await?;
            }
        }
    }
    if let Some(main) = &dml.program.main {
        let plan = set_parameters(&main.plan, params)?;
        let physical = physical(shared, run.planner(), &plan).boxed().await?;
        return Ok(Some(Ran::Query(stream(shared, run.planner(), physical)?)));
    }
    let (rows, returned) = last.ok_or_else(|| Error::internal("a change that did nothing"))?;
    let returned = returned.map(Returned::stream).transpose()?;
    Ok(Some(Ran::Changed { rows, returned }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn attempts_end_where_nobody_commits() {
        let mut attempts = Attempts::default();
        for seen in 0..10_000 {
            attempts.begin(seen).unwrap();
        }
        for _ in 0..ALIKE_MAX {
            attempts.begin(9_999).unwrap();
        }
        let error = attempts.begin(9_999).unwrap_err();
        assert_eq!(error.code, chronolith_types::SqlState::INTERNAL_ERROR);
    }
}
