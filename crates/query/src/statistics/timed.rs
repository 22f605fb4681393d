//! One run of a statement, from its start until its last row was taken.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::record_batch::RecordBatch;
use chronolith_sql::Normalised;
use chronolith_types::{DatabaseId, RoleId, SqlState};
use futures::Stream;

use super::Counters;
use crate::audit::Slow;
use crate::error::Error;
use crate::instance::Instance;
use crate::outcome::RowStream;

/// A run that is being timed; counted when it is finished.
pub(crate) struct Timed {
    instance: Arc<Instance>,
    counters: Arc<Counters>,
    who: (RoleId, DatabaseId),
    of: Arc<Normalised>,
    began_ns: u64,
    slow: Option<Slow>,
}

impl Timed {
    /// The run begins.
    pub(crate) fn begin(
        instance: &Arc<Instance>,
        who: (RoleId, DatabaseId),
        of: Arc<Normalised>,
    ) -> Self {
        Self {
            counters: instance.statistics.databases.of(who.1),
            began_ns: instance.engine.clock().monotonic_ns(),
            instance: Arc::clone(instance),
            who,
            of,
            slow: None,
        }
    }

    /// Logs how long it took when it ends.
    pub(crate) fn logged(mut self, slow: Option<Slow>) -> Self {
        self.slow = slow;
        self
    }

    /// The database's counters.
    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The run has ended well, with so many rows.
    pub(crate) fn end(&self, rows: u64) {
        self.end_many(1, rows);
    }

    /// So many runs, which were made in one go, have ended well, with so many rows in all.
    pub(crate) fn end_many(&self, runs: u64, rows: u64) {
        let now = self.instance.engine.clock().monotonic_ns();
        let ns = now.saturating_sub(self.began_ns);
        Counters::add(&self.counters.active_us, ns / 1000);
        if let Some(slow) = &self.slow {
            slow.end(ns);
        }
        let statements = &self.instance.statistics.statements;
        let each = ns as f64 / 1e6 / runs.max(1) as f64;
        statements.add(self.who, &self.of, each, runs, rows);
    }

    /// It has failed: only why is counted.
    pub(crate) fn failed(&self, error: &Error) {
        if error.code == SqlState::DEADLOCK_DETECTED {
            Counters::add(&self.counters.deadlocks, 1);
        }
    }

    /// The run's rows; it ends when they do, or when nobody wants more of them.
    pub(crate) fn rows(self, stream: RowStream, verb: &str) -> RowStream {
        Box::pin(Counted {
            changed: verb.to_owned(),
            timed: self,
            stream,
            rows: 0,
            failed: false,
        })
    }
}

struct Counted {
    timed: Timed,
    /// The verb of the tag: RETURNING gives the rows that were changed.
    changed: String,
    stream: RowStream,
    rows: u64,
    failed: bool,
}

impl Stream for Counted {
    type Item = Result<RecordBatch, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.stream.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(batch))) => self.rows += batch.num_rows() as u64,
            Poll::Ready(Some(Err(_))) => self.failed = true,
            _ => {}
        }
        polled
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        Counters::add(&self.timed.counters.returned, self.rows);
        self.timed.counters.changed(&self.changed, self.rows);
        if !self.failed {
            self.timed.end(self.rows);
        }
    }
}
