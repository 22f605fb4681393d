//! What waits for the end of a transaction: constraint triggers that are to fire then, and
//! constraints that are held then.
//!
//! SET CONSTRAINTS says of each whether it waits. What waits is kept by the session's state, and
//! goes back with its savepoints.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chronolith_catalog::{ConstraintMarks, Trigger};
use chronolith_engine::{EngineError, Transaction};
use chronolith_types::TableId;
use datafusion::common::ScalarValue;

use super::triggers::{Event, Triggers};
use crate::error::Error;
use crate::session::Shared;

/// A row before and after what happened to it.
pub(crate) type Images = (Option<Vec<ScalarValue>>, Option<Vec<ScalarValue>>);

/// Holds a constraint against what the transaction sees.
pub(crate) type Hold = dyn Fn(&mut Transaction) -> Result<(), EngineError> + Send + Sync;

/// What a transaction has put off.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deferred {
    /// What SET CONSTRAINTS ALL said.
    all: Option<bool>,
    /// What was said of single ones since, by the oids of constraints and triggers.
    named: BTreeMap<u32, bool>,
    waiting: Vec<Waiting>,
}

#[derive(Clone)]
struct Waiting {
    constraint: u32,
    /// INITIALLY DEFERRED.
    initially: bool,
    what: What,
}

#[derive(Clone)]
enum What {
    Hold(Arc<Hold>),
    Fire {
        table: TableId,
        event: Event,
        rows: Arc<Images>,
    },
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("constraint", &self.constraint)
            .finish_non_exhaustive()
    }
}

impl Deferred {
    fn waits(&self, constraint: u32, initially: bool) -> bool {
        let named = self.named.get(&constraint).copied();
        named.or(self.all).unwrap_or(initially)
    }

    /// SET CONSTRAINTS ALL.
    pub(crate) fn set_all(&mut self, deferred: bool) {
        self.named.clear();
        self.all = Some(deferred);
    }

    /// SET CONSTRAINTS of one.
    pub(crate) fn set(&mut self, constraint: u32, deferred: bool) {
        self.named.insert(constraint, deferred);
    }

    /// The first that waits no longer, or of all when the transaction ends.
    fn take(&mut self, ends: bool) -> Option<Waiting> {
        let due = |of: &Waiting| ends || !self.waits(of.constraint, of.initially);
        let place = self.waiting.iter().position(due)?;
        Some(self.waiting.remove(place))
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

/// Whether a constraint is held only when the transaction ends, as things stand.
pub(crate) fn is_deferred(shared: &Shared, constraint: u32, marks: ConstraintMarks) -> bool {
    marks.deferrable && shared.with(|state| state.deferred.waits(constraint, marks.deferred))
}

/// Has a constraint held when the transaction ends, or when it is told not to wait.
pub(crate) fn hold_later(
    shared: &Shared,
    constraint: u32,
    marks: ConstraintMarks,
    hold: Arc<Hold>,
) {
    shared.with(|state| {
        state.deferred.waiting.push(Waiting {
            constraint,
            initially: marks.deferred,
            what: What::Hold(hold),
        });
    });
}

/// Whether a trigger fires when the transaction ends, as things stand.
pub(super) fn waits(shared: &Shared, trigger: &Trigger) -> bool {
    let timing = trigger.constraint.filter(|timing| timing.deferrable);
    timing.is_some_and(|timing| {
        shared.with(|state| state.deferred.waits(trigger.id, timing.deferred))
    })
}

/// Has a trigger fire for a row when the transaction ends.
pub(super) fn defer(
    shared: &Shared,
    table: TableId,
    trigger: &Trigger,
    event: Event,
    rows: Images,
) {
    let rows = Arc::new(rows);
    shared.with(|state| {
        state.deferred.waiting.push(Waiting {
            constraint: trigger.id,
            initially: trigger.constraint.is_some_and(|timing| timing.deferred),
            what: What::Fire { table, event, rows },
        });
    });
}

/// Does what waits no longer; all of it when the transaction ends.
///
/// # Errors
/// What constraints refuse, and what triggers' functions meet.
pub(crate) async fn settle(shared: &Arc<Shared>, ends: bool) -> Result<(), Error> {
    loop {
        let next = shared.with(|state| match state.deferred.is_empty() {
            true => None,
            false => state.deferred.take(ends),
        });
        let Some(next) = next else {
            return Ok(());
        };
        match next.what {
            What::Hold(hold) => shared.away(usize::MAX, |transaction| hold(transaction))?,
            What::Fire { table, event, rows } => {
                let home = shared.home()?;
                let Some(table) = home.tables.get(&table) else {
                    continue;
                };
                if let Some(triggers) = Triggers::of(shared, table, None)? {
                    let rows = Images::clone(&rows);
                    Box::pin(triggers.fire(next.constraint, event, rows)).await?;
                }
            }
        }
    }
}
