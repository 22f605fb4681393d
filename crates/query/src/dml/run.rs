//! One change of one table: its plan's rows become what the transaction deletes and inserts.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::RowSet;
use chronolith_engine::{Intake, RowMode, RowsLocked, TableView, Wait};
use chronolith_types::{SqlState, TableId};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use futures::StreamExt;

use super::over::Maker;
use super::plan::Given;
use super::rows::{Returned, columns, kept, locators, of_table};
use super::sight::Sight;
use crate::bind::{Action, Change, What, set_parameters};
use crate::error::Error;
use crate::insert::Checks;
use crate::outcome::RowStream;
use crate::routines::{Event, Triggers, left};
use crate::session::{Shared, blocking, physical, stream};

/// What a change came to.
#[derive(Debug)]
pub(super) enum Step {
    Done(Counted),
    /// Somebody changed one of the rows meanwhile: the statement is to be run anew.
    Again,
}

/// How many rows were changed, and what they return.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) rows: u64,
    pub(super) returned: Option<Returned>,
}

/// One run of one statement.
pub(super) struct Run<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) sight: Arc<Sight>,
    pub(super) planner: SessionState,
    pub(super) params: &'a [ScalarValue],
    /// Rows that parts before have changed: no other part changes them.
    pub(super) touched: HashMap<TableId, RowSet>,
}

/// A change while it runs.
pub(super) struct Changing<'c> {
    pub(super) change: &'c Change,
    pub(super) table: Arc<Table>,
    pub(super) checks: Checks,
    pub(super) view: TableView,
    pub(super) intake: Intake,
    /// The rows that go.
    pub(super) rows: RowSet,
    /// How many rows are counted.
    pub(super) count: u64,
    pub(super) maker: Option<Maker>,
    pub(super) returned: Returned,
    /// What fires for its rows.
    pub(super) triggers: Option<Triggers>,
    /// Fills in defaults before triggers see the rows.
    pub(super) filling: Option<Checks>,
}

impl Run<'_> {
    pub(super) async fn change(
        &mut self,
        change: &Change,
        given: Option<&Given>,
    ) -> Result<Step, Error> {
        let table = self.shared.catalog();
        let table = table.table(self.shared.database, change.table.id).cloned();
        let table = table.ok_or_else(|| Error::internal("a table that is changed is gone"))?;
        let view = self.sight.view(self.shared, table.id);
        let view = view.ok_or_else(|| Error::internal("a table that is changed has no rows"))?;
        let maker = match &change.returning {
            Some(returning) => Some(Maker::new(self.shared, &returning.over, self.params)?),
            None => None,
        };
        let missing = match given {
            Some(Given::Rows(_, missing)) => missing.as_slice(),
            _ => &[],
        };
        let triggers = Triggers::of(self.shared, &table)?;
        let mut checks = Checks::filling(self.shared, &table, missing)?;
        let mut filling = None;
        let event = match &change.what {
            What::Insert { .. } => Event::Insert,
            What::Update(_) => Event::Update,
            What::Delete(_) => Event::Delete,
            What::Merge { .. } if triggers.is_some() => {
                return Err(Error::unsupported("MERGE into a table with triggers"));
            }
            What::Merge { .. } => Event::Insert,
        };
        if let Some(triggers) = &triggers {
            filling = Some(std::mem::replace(
                &mut checks,
                Checks::of(self.shared, &table)?,
            ));
            triggers.statement(event, true).await?;
            if matches!(&change.what, What::Insert { conflict: Some(found), .. } if found.update.is_some())
            {
                triggers.statement(Event::Update, true).await?;
            }
        }
        let mut changing = Changing {
            change,
            checks,
            triggers,
            filling,
            intake: self
                .shared
                .transact(|transaction| transaction.intake(table.id))?,
            view,
            rows: RowSet::default(),
            count: 0,
            maker,
            returned: Returned::new(self.shared),
            table,
        };
        let mode = match &change.what {
            What::Insert { conflict, .. } => {
                let mut source = self.source(&changing, given).await?;
                match conflict {
                    None => self.insert(&mut changing, &mut source).await?,
                    Some(conflict) => {
                        if !self.upsert(&mut changing, &mut source, conflict).await? {
                            return Ok(Step::Again);
                        }
                    }
                }
                RowMode::NoKeyUpdate
            }
            What::Update(_) => {
                self.update(&mut changing).await?;
                RowMode::NoKeyUpdate
            }
            What::Delete(_) => {
                self.delete(&mut changing).await?;
                RowMode::Update
            }
            What::Merge { actions, .. } => {
                self.merge(&mut changing, actions).await?;
                RowMode::Update
            }
        };
        let triggers = changing.triggers.take();
        let upserts = matches!(&change.what, What::Insert { conflict: Some(found), .. } if found.update.is_some());
        let step = self.write(changing, mode)?;
        if let (Some(mut triggers), Step::Done(_)) = (triggers, &step) {
            triggers.after().await?;
            if upserts {
                triggers.statement(Event::Update, false).await?;
            }
            triggers.statement(event, false).await?;
        }
        Ok(step)
    }

    /// New rows on their way through the triggers before an INSERT.
    pub(super) async fn proposed(
        &self,
        changing: &Changing<'_>,
        new: RecordBatch,
    ) -> Result<RecordBatch, Error> {
        let new = match &changing.filling {
            Some(filling) => filling.computed(&new)?,
            None => new,
        };
        match &changing.triggers {
            Some(triggers) => Ok(triggers.before(Event::Insert, None, Some(&new)).await?.0),
            None => Ok(new),
        }
    }

    /// The rows of an INSERT.
    async fn source(
        &self,
        changing: &Changing<'_>,
        given: Option<&Given>,
    ) -> Result<RowStream, Error> {
        let batch = match given {
            Some(Given::Cells(cells)) => cells.batch(self.shared, &changing.table, self.params)?,
            Some(Given::Rows(rows, _)) => rows.clone(),
            None => return self.stream(changing.change).await,
        };
        Ok(Box::pin(futures::stream::iter([Ok(batch)])))
    }

    /// The rows of a change's plan.
    async fn stream(&self, change: &Change) -> Result<RowStream, Error> {
        let plan = set_parameters(change.what.plan(), self.params)?;
        let physical = physical(self.shared, &self.planner, &plan).await?;
        stream(self.shared, &self.planner, physical)
    }

    async fn insert(
        &self,
        changing: &mut Changing<'_>,
        source: &mut RowStream,
    ) -> Result<(), Error> {
        while let Some(batch) = source.next().await {
            let batch = batch?;
            let new = of_table(&changing.table, batch.columns().to_vec(), batch.num_rows())?;
            let new = self.proposed(changing, new).await?;
            let new = self.add(changing, new, &[]).await?;
            if let Some(triggers) = &mut changing.triggers {
                triggers.changed(Event::Insert, None, Some(new));
            }
        }
        Ok(())
    }

    async fn update(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        let width = changing.table.columns.len();
        let mut source = self.stream(changing.change).await?;
        while let Some(batch) = source.next().await {
            let batch = self.first(changing, &batch?)?;
            let new = of_table(
                &changing.table,
                columns(&batch, 1..width + 1),
                batch.num_rows(),
            )?;
            let mut more = columns(&batch, width + 1..batch.num_columns());
            let asked = changing.triggers.as_ref();
            if !asked.is_some_and(|triggers| triggers.wants_rows(Event::Update)) {
                self.add(changing, new, &more).await?;
                continue;
            }
            let old = self.old(changing, &batch)?;
            let (new, keep) = self
                .passed(changing, Event::Update, &old, Some(new), &batch)
                .await?;
            for column in &mut more {
                *column = arrow::compute::filter(column, &keep.clone().into())?;
            }
            let new = self.add(changing, new, &more).await?;
            if let Some(triggers) = &mut changing.triggers {
                triggers.changed(Event::Update, Some(left(&old, &keep)?), Some(new));
            }
        }
        Ok(())
    }

    async fn delete(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        let mut source = self.stream(changing.change).await?;
        while let Some(batch) = source.next().await {
            let mut batch = self.first(changing, &batch?)?;
            let asked = changing.triggers.as_ref();
            if asked.is_some_and(|triggers| triggers.wants_rows(Event::Delete)) {
                let old = self.old(changing, &batch)?;
                let (old, keep) = self
                    .passed(changing, Event::Delete, &old, None, &batch)
                    .await?;
                batch = kept(&batch, &keep)?;
                if let Some(triggers) = &mut changing.triggers {
                    triggers.changed(Event::Delete, Some(old), None);
                }
            }
            changing.count += batch.num_rows() as u64;
            let rows = columns(&batch, 1..batch.num_columns());
            self.give(changing, rows, batch.num_rows()).await?;
        }
        Ok(())
    }

    /// The rows that a batch changes, as they are.
    fn old(&self, changing: &Changing<'_>, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let width = changing.table.columns.len();
        let places: Vec<i128> = locators(batch)?.iter().flatten().collect();
        let all: Vec<usize> = (0..width).collect();
        let found = blocking(|| changing.view.rows_at(&all, &places))?;
        of_table(&changing.table, columns(&found, 0..width), found.num_rows())
    }

    /// Rows on their way through the triggers before a change; those that were left out stay as
    /// they are.
    pub(super) async fn passed(
        &self,
        changing: &mut Changing<'_>,
        event: Event,
        old: &RecordBatch,
        new: Option<RecordBatch>,
        batch: &RecordBatch,
    ) -> Result<(RecordBatch, Vec<bool>), Error> {
        let Some(triggers) = &changing.triggers else {
            return Err(Error::internal("triggers of a table that has none"));
        };
        let (rows, keep) = triggers.before(event, Some(old), new.as_ref()).await?;
        let mut stay = RowSet::default();
        for (locator, keep) in locators(batch)?.iter().zip(&keep) {
            if let (Some(locator), false) = (locator, keep) {
                stay.insert(locator);
            }
        }
        changing.rows.minus(&stay);
        Ok((rows, keep))
    }

    /// The rows of a batch that the statement has not met before.
    fn first(
        &self,
        changing: &mut Changing<'_>,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, Error> {
        let touched = self.touched.get(&changing.table.id);
        let mut keep = Vec::with_capacity(batch.num_rows());
        for locator in locators(batch)? {
            let locator = locator.ok_or_else(|| Error::internal("a row without a locator"))?;
            let free = touched.is_none_or(|touched| !touched.contains(locator));
            keep.push(free && changing.rows.insert(locator));
        }
        kept(batch, &keep)
    }

    async fn merge(&self, changing: &mut Changing<'_>, actions: &[Action]) -> Result<(), Error> {
        let width = changing.table.columns.len();
        let mut source = self.stream(changing.change).await?;
        while let Some(batch) = source.next().await {
            let batch = batch?;
            let number = batch.columns().get(1);
            let number = number.and_then(|number| number.as_primitive_opt::<Int32Type>());
            let number = number.ok_or_else(|| Error::internal("rows without an action"))?;
            let touched = self.touched.get(&changing.table.id);
            let mut keep = Vec::with_capacity(batch.num_rows());
            for (locator, number) in locators(&batch)?.iter().zip(number) {
                let action = number.and_then(|number| usize::try_from(number).ok());
                let action = action.and_then(|number| actions.get(number));
                let free = |locator| touched.is_none_or(|touched| !touched.contains(locator));
                let new = match (action, locator) {
                    (None | Some(Action::Nothing), _) => false,
                    (Some(Action::Insert), _) => {
                        changing.count += 1;
                        true
                    }
                    (Some(_), Some(locator)) if !free(locator) => false,
                    (Some(action), Some(locator)) => {
                        if !changing.rows.insert(locator) {
                            return Err(twice(
                                "MERGE",
                                "Ensure that not more than one source row matches any one target row.",
                            ));
                        }
                        changing.count += 1;
                        *action == Action::Update
                    }
                    (Some(_), None) => return Err(Error::internal("a row without a locator")),
                };
                keep.push(new);
            }
            let batch = kept(&batch, &keep)?;
            let new = of_table(
                &changing.table,
                columns(&batch, 2..width + 2),
                batch.num_rows(),
            )?;
            let counted = changing.count;
            self.add(changing, new, &[]).await?;
            changing.count = counted;
        }
        Ok(())
    }

    /// Takes new rows of a table, with what RETURNING needs beside them.
    pub(super) async fn add(
        &self,
        changing: &mut Changing<'_>,
        new: RecordBatch,
        more: &[arrow::array::ArrayRef],
    ) -> Result<RecordBatch, Error> {
        let new = changing.checks.complete(&new)?;
        changing.count += new.num_rows() as u64;
        let mut rows = new.columns().to_vec();
        rows.extend_from_slice(more);
        self.give(changing, rows, new.num_rows()).await?;
        if new.num_rows() > 0 {
            blocking(|| changing.intake.push(new.clone()))?;
        }
        Ok(new)
    }

    /// What RETURNING makes of rows.
    async fn give(
        &self,
        changing: &mut Changing<'_>,
        columns: Vec<arrow::array::ArrayRef>,
        rows: usize,
    ) -> Result<(), Error> {
        let Some(maker) = &changing.maker else {
            return Ok(());
        };
        if rows == 0 {
            return Ok(());
        }
        let made = maker.make(self.shared, &self.sight, &self.planner, columns, rows);
        changing.returned.push(made.await?)
    }

    /// Everything is read: locks the rows, takes the old ones away and adds the new ones.
    fn write(&mut self, changing: Changing<'_>, mode: RowMode) -> Result<Step, Error> {
        let Changing {
            table,
            view,
            intake,
            rows,
            count,
            maker,
            returned,
            ..
        } = changing;
        if !rows.is_empty() {
            let locked = self
                .shared
                .away(|transaction| transaction.lock_rows(&view, &rows, mode, Wait::Block))?;
            match locked {
                RowsLocked::All => {}
                RowsLocked::Again => return Ok(Step::Again),
                RowsLocked::Without(_) => return Err(Error::internal("rows were skipped")),
            }
            blocking(|| {
                self.shared
                    .transact(|transaction| transaction.delete(&view, &rows))
            })?;
        }
        blocking(|| {
            self.shared
                .transact(|transaction| intake.finish(transaction).map_err(|(_, error)| error))
        })?;
        self.touched.entry(table.id).or_default().extend(&rows);
        Ok(Step::Done(Counted {
            rows: count,
            returned: maker.is_some().then_some(returned),
        }))
    }
}

/// 21000 for a row that a statement would change again.
pub(super) fn twice(what: &str, hint: &str) -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        format!("{what} command cannot affect row a second time"),
    )
    .hint(hint)
}
