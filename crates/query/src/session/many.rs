//! A statement that a client runs over and over, made in one go.
//!
//! Drivers send `executemany` as one Bind and Execute after the other. Where nothing can tell whether
//! an INSERT ran so many times or once with all the rows, it runs once.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::ConstraintKind;
use chronolith_types::{SqlType, TableId};

use super::block::Block;
use super::execute::Ready;
use super::handle::{Prepared, Session};
use super::shared::State;
use crate::dml::{self, Ran};
use crate::effects::Watched;
use crate::error::Error;
use crate::insert::{self, Cells, Source};
use crate::routines::has_triggers;
use crate::statistics::Counters;
use crate::value::ColumnBuilder;

/// Where the runs go back to when they are to be made one by one.
const POINT: &str = "\0many";

impl Prepared {
    /// Whether several runs, one after the other, may be made in one go: an INSERT of one row of VALUES
    /// that returns nothing and asks for nothing that a run before it may have changed.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.repeated().is_some()
    }

    fn repeated(&self) -> Option<(TableId, &Cells)> {
        if self.params.iter().any(|ty| matches!(ty, SqlType::Reg(_))) {
            return None;
        }
        match &self.ready {
            Ready::Insert(plan) => match &plan.source {
                Source::Cells(cells) if cells.repeats() && plan.uses.is_empty() => {
                    Some((plan.table, cells))
                }
                _ => None,
            },
            Ready::Change(dml) => {
                let cells = dml.repeats()?;
                let change = dml.program.changes.first()?;
                Some((change.table.id, cells))
            }
            _ => None,
        }
    }
}

impl Session {
    /// Reads the values of the parameters of many runs, as [`Session::parameters`] does for one: a
    /// column for each parameter. None where a value is none: the runs are then to be made one by one,
    /// and the one at fault says so.
    #[must_use]
    pub fn parameters_of_many<'v, R>(
        &self,
        prepared: &Prepared,
        runs: impl Iterator<Item = R>,
    ) -> Option<Vec<ArrayRef>>
    where
        R: Iterator<Item = (bool, Option<&'v [u8]>)>,
    {
        let zone = self.shared.time_zone();
        let mut builders: Vec<_> = prepared
            .params
            .iter()
            .map(|ty| ColumnBuilder::new(ty, &zone))
            .collect();
        for run in runs {
            for (builder, (binary, value)) in builders.iter_mut().zip(run) {
                match value {
                    None => builder.push_null(),
                    Some(value) if binary => builder.push_binary(value).ok()?,
                    Some(value) => builder.push_text(value).ok()?,
                }
            }
        }
        Some(
            builders
                .into_iter()
                .map(|mut builder| builder.finish())
                .collect(),
        )
    }

    /// Runs a statement that [repeats](Prepared::repeats) once for each of `runs` values of its
    /// parameters, in one go; true when each run inserted its row, as the tag `INSERT 0 1` says.
    ///
    /// False says that nothing was done, and the runs are to be made one by one: one of them would
    /// fail, or would insert no row, or something looks at each of them.
    pub async fn execute_many(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[ArrayRef],
        runs: usize,
    ) -> bool {
        let silent = self.shared.with(State::logging).is_silent();
        if !silent || self.block == Block::Failed || !prepared.repeats() {
            return false;
        }
        let timed = self.timed(prepared, &[]);
        let notices = self.shared.with(|state| state.notices.len());
        let done = self.at_once(prepared, params, runs).await;
        if !matches!(done, Ok(true)) {
            // They come again, each with its run.
            self.shared.with(|state| state.notices.truncate(notices));
            return false;
        }
        let runs = u64::try_from(runs).unwrap_or(u64::MAX);
        Counters::add(&timed.counters().inserted, runs);
        timed.end_many(runs, runs);
        true
    }

    async fn at_once(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[ArrayRef],
        runs: usize,
    ) -> Result<bool, Error> {
        let tree = &prepared.statement.parsed.statement;
        self.begin_run(tree)?;
        self.enter_for(tree)?;
        let prepared = self.bound_now(prepared)?;
        self.shared.lock_tables(&prepared.ready)?;
        let prepared = self.bound_now(&prepared)?;
        let Some((table, cells)) = prepared.repeated() else {
            return Ok(false);
        };
        if self.is_looked_at(table) {
            return Ok(false);
        }
        let shared = Arc::clone(&self.shared);
        shared.refuse_writes(tree, &prepared.statement.parsed.tag)?;
        prepared.ready.check(&shared)?;
        let options = RecordBatchOptions::new().with_row_count(Some(runs));
        let many = RecordBatch::try_new_with_options(cells.params(), params.to_vec(), &options)?;
        // Numbers of sequences are drawn for all of them, and go back when they are made one by one.
        let drawn = Watched::begin(&shared);
        let locks = shared.locker.mark();
        let deferred = shared.with(|state| state.deferred.clone());
        shared.transact(|transaction| {
            transaction.begin_statement()?;
            transaction.savepoint(POINT);
            Ok::<_, Error>(())
        })?;
        let ran = match &prepared.ready {
            Ready::Insert(plan) => insert::run(&shared, plan, &[], Some(&many)).await,
            Ready::Change(dml) => {
                let ran = dml::run(&shared, dml, &[], Some(&many)).await;
                ran.map(|ran| match ran {
                    Ran::Changed { rows, .. } => rows,
                    Ran::Query(_) => 0,
                })
            }
            _ => Ok(0),
        };
        let all =
            ran.is_ok_and(|rows| usize::try_from(rows) == Ok(runs)) && drawn.drew_once(&shared);
        shared.transact(|transaction| {
            if !all {
                transaction.rollback_to(POINT)?;
            }
            transaction.release(POINT)
        })?;
        match all {
            true => drawn.keep(&shared),
            false => {
                shared.locker.release_to(locks);
                shared.with(|state| state.deferred = deferred);
                drawn.undo(&shared)?;
            }
        }
        Ok(all)
    }

    /// Whether something looks at a table between two runs: its triggers, its row policies, its own
    /// foreign keys.
    fn is_looked_at(&self, table: TableId) -> bool {
        let catalog = self.shared.catalog();
        let Some(table) = catalog.table(self.shared.database, table) else {
            return true;
        };
        let to_itself = table
            .constraints
            .iter()
            .any(|constraint| match &constraint.kind {
                ConstraintKind::ForeignKey(reference) => reference.table == table.id,
                _ => false,
            });
        to_itself
            || has_triggers(&self.shared, table, None)
            || self.shared.has_row_policies(table.id).unwrap_or(true)
    }
}
