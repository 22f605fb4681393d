//! What statements and transactions have done since the engine was opened, as the `pg_stat_…` views
//! show it.
//!
//! Counts are kept in memory. A clean shutdown leaves them for the next start ([`Statistics::leave`]);
//! after a crash they begin at nought, as PostgreSQL's do.
//! Counting takes no lock that statements of other texts or databases wait for.

mod chunks;
mod databases;
mod kept;
mod statements;
mod tables;
mod timed;

use chronolith_engine::Engine;
use chronolith_types::TableId;

pub(crate) use chunks::{Activity, Chunks, Operation};
pub(crate) use databases::{Counters, Databases};
pub(crate) use statements::{Reset, Statements};
pub(crate) use tables::{Rows, Tables};
pub(crate) use timed::Timed;

use crate::error::Error;
use crate::session::Shared;

/// All counters of an open engine.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// By statement.
    pub(crate) statements: Statements,
    /// By database.
    pub(crate) databases: Databases,
    /// By table.
    pub(crate) tables: Tables,
    /// By compressed chunk, since the start.
    pub(crate) chunks: Chunks,
}

impl Statistics {
    /// What the last shutdown left, which nobody gets a second time.
    pub(crate) fn taken(engine: &Engine) -> Self {
        match engine.take_left() {
            Ok(None) => Self::default(),
            Ok(Some(bytes)) => kept::decode(&bytes).unwrap_or_else(|problem| {
                tracing::warn!("statistics of before are ignored: {problem}");
                Self::default()
            }),
            Err(error) => {
                tracing::warn!("statistics of before are ignored: {error}");
                Self::default()
            }
        }
    }

    /// Leaves all of it for the next start, once the engine is closed. Without it nothing but counts
    /// is lost, so that a disk that takes no more is no error.
    pub(crate) fn leave(&self, engine: &Engine, began_us: i64) {
        if let Err(error) = engine.leave(&kept::encode(self, began_us)) {
            tracing::warn!("statistics could not be kept: {error}");
        }
    }
}

impl Shared {
    /// Counts rows that a statement of this session changed, and that it changed their chunks.
    pub(crate) fn count_rows(
        &self,
        table: TableId,
        operation: Operation,
        rows: Rows,
    ) -> Result<(), Error> {
        let statistics = &self.instance.statistics;
        statistics.tables.add(self.database, table, rows);
        let touched =
            self.transact(|transaction| Ok::<_, Error>(transaction.take_touched(table)))?;
        if !touched.is_empty() {
            let now_us = self.instance.engine.clock().wall_us();
            let chunks = &statistics.chunks;
            chunks.add(self.database, operation, &touched, now_us);
        }
        Ok(())
    }

    /// Counts rows that it inserted.
    pub(crate) fn count_inserted(&self, table: TableId, inserted: u64) -> Result<(), Error> {
        let rows = Rows {
            inserted,
            ..Rows::default()
        };
        self.count_rows(table, Operation::Insert, rows)
    }
}
