//! One change of one table: its plan's rows become what the transaction deletes and inserts.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow::array::AsArray;
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::RowSet;
use chronolith_engine::{Intake, RowMode, RowsLocked, TableView, Wait};
use chronolith_types::{SqlState, TableId};
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};

use super::current::Current;
use super::held::Held;
use super::over::Maker;
use super::plan::Given;
use super::returned::Returned;
use super::rows::{columns, compact, kept, locators, of_table};
use super::sight::Sight;
use crate::bind::{Action, ByKey, Change, Subject, What, set_parameters};
use crate::error::Error;
use crate::functions::SessionVars;
use crate::insert::Checks;
use crate::outcome::RowStream;
use crate::references::{Behind, Incoming};
use crate::routines::{Event, Fires, Triggers, left};
use crate::session::{Shared, blocking_for, physical, stream};
use crate::statistics::{Operation, Rows};

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
    /// Made when a plan needs it.
    pub(super) planner: OnceLock<SessionState>,
    /// The same.
    pub(super) vars: OnceLock<Arc<SessionVars>>,
    pub(super) params: &'a [ScalarValue],
    /// The same of many runs that are made in one go.
    pub(super) many: Option<&'a RecordBatch>,
    /// Rows that parts before have changed: no other part changes them.
    pub(super) touched: HashMap<TableId, RowSet>,
    /// The rows of WHERE CURRENT OF.
    pub(super) currents: Vec<Current>,
    /// Where it leaves who refers to its rows, when a reference runs it.
    pub(super) behind: Option<&'a Behind>,
    /// What fires when all parts have run: after each of them, and then after what references did
    /// for it.
    pub(super) fires: Vec<Fires>,
}

/// A change while it runs.
pub(super) struct Changing<'c> {
    pub(super) change: &'c Change,
    pub(super) table: Arc<Table>,
    /// What is asked of rows that change.
    pub(super) checks: Checks,
    /// What is made and asked of rows that are inserted.
    pub(super) proposed: Checks,
    pub(super) view: TableView,
    pub(super) intake: Intake,
    /// The rows that go.
    pub(super) rows: RowSet,
    /// Those of them whose key goes with them.
    pub(super) gone: RowSet,
    /// Rows that were met, and are locked whether they change or not.
    pub(super) met: RowSet,
    /// How many rows are counted.
    pub(super) count: u64,
    /// How many of them MERGE deletes.
    pub(super) deleted: u64,
    pub(super) maker: Option<Maker>,
    pub(super) returned: Returned,
    /// What its rows are held against.
    pub(super) held: Vec<Held>,
    /// What row-level security says against a row that is there, or what is made of it.
    pub(super) denied: Option<Error>,
    /// What views say of the first row that they do not show: it comes after all other errors.
    pub(super) refused: Option<Error>,
    /// What fires for its rows.
    pub(super) triggers: Option<Triggers>,
    /// Who refers to the rows that go or change.
    pub(super) incoming: Option<Incoming>,
}

impl Run<'_> {
    /// Runs it. Its future is no part of the statement's, which is moved about for reads as well.
    pub(super) fn change<'r>(
        &'r mut self,
        change: &'r Change,
        given: Option<&'r Given>,
    ) -> BoxFuture<'r, Result<Step, Error>> {
        self.run(change, given).boxed()
    }

    async fn run(&mut self, change: &Change, given: Option<&Given>) -> Result<Step, Error> {
        if let What::Instead { event, .. } = &change.what {
            return self.instead(change, *event).boxed().await;
        }
        let table = self.shared.catalog();
        let table = table.table(self.shared.database, change.table.id).cloned();
        let table = table.ok_or_else(|| Error::internal("a table that is changed is gone"))?;
        let view = self.sight.view(self.shared, table.id);
        let view = view.ok_or_else(|| Error::internal("a table that is changed has no rows"))?;
        let maker = match &change.returning {
            Some(returning) => Some(Maker::new(self, &returning.over, self.params)?),
            None => None,
        };
        let missing = match given {
            Some(Given::Rows(_, missing)) => missing.as_slice(),
            _ => &[],
        };
        let triggers = Triggers::of(self.shared, &table, Some(&change.sets))?;
        let events = events(&change.what);
        if let Some(triggers) = &triggers {
            for event in &events {
                triggers.statement(*event, true).boxed().await?;
            }
        }
        let mut checks = Checks::of(self.shared, &table)?;
        // A trigger may set any column.
        let before = |of: &Triggers| of.before_rows(Event::Update);
        if matches!(change.what, What::Update(_)) && !triggers.as_ref().is_some_and(before) {
            checks = checks.of_set(&change.sets);
        }
        let mut changing = Changing {
            change,
            triggers,
            checks,
            proposed: Checks::filling(self.shared, &table, missing)?,
            intake: self
                .shared
                .transact(|transaction| transaction.intake(table.id))?,
            view,
            rows: RowSet::default(),
            gone: RowSet::default(),
            met: RowSet::default(),
            count: 0,
            deleted: 0,
            maker,
            held: Held::of(self, change)?,
            denied: None,
            refused: None,
            returned: Returned::new(self.shared, change.slot.is_none()),
            incoming: Incoming::of(self.shared, &table)?,
            table,
        };
        match &change.what {
            What::Insert { conflict, .. } => {
                let mut source = self.source(&changing, given).await?;
                match conflict {
                    None => self.insert(&mut changing, &mut source).boxed().await?,
                    Some(conflict) => {
                        let upsert = self.upsert(&mut changing, &mut source, conflict);
                        if !upsert.boxed().await? {
                            return Ok(Step::Again);
                        }
                    }
                }
            }
            What::Update(_) => {
                if !change.keyed && changing.triggers.is_none() {
                    changing.intake.keep_keys();
                }
                self.update(&mut changing).await?;
            }
            What::Delete(_) => {
                self.delete(&mut changing).boxed().await?;
                changing.gone = changing.rows.clone();
            }
            What::Instead { .. } => return Err(Error::internal("a view that is a table")),
            What::Merge { actions, .. } => self.merge(&mut changing, actions).boxed().await?,
        }
        let triggers = changing.triggers.take();
        let view = changing.view.clone();
        let before = self.fires.len();
        let step = self.write(changing).await?;
        if let (Step::Done(done), Some(current)) = (&step, &change.current) {
            let current = self.currents.iter().find(|of| of.slot() == current.slot);
            if let Some(current) = current.filter(|_| done.rows > 0) {
                let deleted = matches!(change.what, What::Delete(_));
                current.done(self.shared, &view, deleted);
            }
        }
        if let (Some(triggers), Step::Done(_)) = (triggers, &step) {
            self.fires.insert(before, Fires::new(triggers, events));
        }
        Ok(step)
    }

    /// New rows on their way through the triggers before an INSERT.
    pub(super) async fn fresh_rows(
        &self,
        changing: &Changing<'_>,
        new: RecordBatch,
    ) -> Result<RecordBatch, Error> {
        let mut new = changing.proposed.computed(&new)?;
        if let Some(triggers) = &changing.triggers {
            let passed = triggers.before(Event::Insert, None, Some(&new)).await?;
            new = changing.checks.computed(&passed.0)?;
        }
        // Row-level security comes before what the table asks, and before its keys.
        self.permitted(changing, &new).await?;
        changing.checks.hold(&new)?;
        Ok(new)
    }

    /// The rows of an INSERT.
    async fn source(
        &self,
        changing: &Changing<'_>,
        given: Option<&Given>,
    ) -> Result<RowStream, Error> {
        let batch = match given {
            Some(Given::Cells(cells)) => match self.many {
                Some(many) => cells.repeated(many, self.shared, &changing.table)?,
                None => cells.batch(self.shared, &changing.table, self.params)?,
            },
            Some(Given::Rows(rows, _)) => rows.clone(),
            None => return self.stream(changing).await,
        };
        Ok(Box::pin(futures::stream::iter([Ok(batch)])))
    }

    /// The rows of a change's plan, or the one row that has a key.
    async fn stream(&self, changing: &Changing<'_>) -> Result<RowStream, Error> {
        if let Some(by_key) = &changing.change.by_key {
            let found = self.found(changing, by_key).await?;
            return Ok(Box::pin(futures::stream::iter(found.map(Ok))));
        }
        let plan = set_parameters(changing.change.what.plan(), self.params)?;
        let physical = physical(self.shared, self.planner(), &plan).boxed().await?;
        stream(self.shared, self.planner(), physical)
    }

    /// What functions know of the session while this runs.
    pub(super) fn vars(&self) -> Arc<SessionVars> {
        let vars = self.vars.get_or_init(|| Arc::new(self.shared.vars()));
        Arc::clone(vars)
    }

    /// What plans are made with.
    pub(super) fn planner(&self) -> &SessionState {
        self.planner
            .get_or_init(|| self.shared.planner(self.shared.vars()))
    }

    /// The row that has a key, as the change's plan would give it.
    async fn found(
        &self,
        changing: &Changing<'_>,
        by_key: &ByKey,
    ) -> Result<Option<RecordBatch>, Error> {
        let vars = || self.vars();
        let found = by_key
            .key
            .find(self.shared, vars, self.params, &changing.view)?;
        let Some(locator) = found else {
            return Ok(None);
        };
        let all: Vec<usize> = (0..changing.table.columns.len()).collect();
        let old = changing.view.rows_at(&all, &[locator])?;
        let mut given = columns(&old, all.len()..old.num_columns());
        given.extend(columns(&old, 0..all.len()));
        let maker = Maker::new(self, &by_key.over, self.params)?;
        let made = maker.make(self, given, old.num_rows()).await?;
        Ok(Some(made))
    }

    async fn insert(
        &self,
        changing: &mut Changing<'_>,
        source: &mut RowStream,
    ) -> Result<(), Error> {
        while let Some(batch) = source.next().await {
            let batch = batch?;
            let new = of_table(&changing.table, batch.columns().to_vec(), batch.num_rows())?;
            let new = self.fresh_rows(changing, new).await?;
            self.add(changing, new.clone(), &[]).await?;
            if let Some(triggers) = &mut changing.triggers {
                triggers.changed(Event::Insert, None, Some(new));
            }
        }
        Ok(())
    }

    async fn update(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        let width = changing.table.columns.len();
        let mut source = self.stream(changing).await?;
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
                let Some(new) = self.updated(changing, &new).await? else {
                    return Ok(());
                };
                note_changed(changing, &batch, &new)?;
                self.add(changing, new, &more).await?;
                continue;
            }
            let old = self.old(changing, &batch)?;
            let passed = self.passed(changing, Event::Update, &old, Some(new), &batch);
            let (new, keep) = passed.boxed().await?;
            for column in &mut more {
                *column = arrow::compute::filter(column, &keep.clone().into())?;
            }
            let Some(new) = self.updated(changing, &new).await? else {
                return Ok(());
            };
            note_changed(changing, &left(&batch, &keep)?, &new)?;
            self.add(changing, new.clone(), &more).await?;
            if let Some(triggers) = &mut changing.triggers {
                triggers.changed(Event::Update, Some(left(&old, &keep)?), Some(new));
            }
        }
        Ok(())
    }

    /// What is made of rows, with what is computed; None where row-level security refuses one.
    pub(super) async fn updated(
        &self,
        changing: &mut Changing<'_>,
        new: &RecordBatch,
    ) -> Result<Option<RecordBatch>, Error> {
        let new = changing.checks.computed(new)?;
        if !self.allowed(changing, &new, Subject::Updated).await? {
            return Ok(None);
        }
        changing.checks.hold(&new)?;
        Ok(Some(new))
    }

    async fn delete(&self, changing: &mut Changing<'_>) -> Result<(), Error> {
        let mut source = self.stream(changing).await?;
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
    pub(super) fn old(
        &self,
        changing: &Changing<'_>,
        batch: &RecordBatch,
    ) -> Result<RecordBatch, Error> {
        let width = changing.table.columns.len();
        let places: Vec<i128> = locators(batch)?.iter().flatten().collect();
        let all: Vec<usize> = (0..width).collect();
        let found = blocking_for(places.len(), || changing.view.rows_at(&all, &places))?;
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
        let mut source = self.stream(changing).await?;
        while let Some(batch) = source.next().await {
            let batch = batch?;
            let number = batch.columns().get(1);
            let number = number.and_then(|number| number.as_primitive_opt::<Int32Type>());
            let number = number.ok_or_else(|| Error::internal("rows without an action"))?;
            let touched = self.touched.get(&changing.table.id);
            let mut keep = Vec::with_capacity(batch.num_rows());
            let mut done = Vec::with_capacity(batch.num_rows());
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
                        if *action == Action::Delete {
                            changing.deleted += 1;
                            changing.gone.insert(locator);
                        }
                        *action == Action::Update
                    }
                    (Some(_), None) => return Err(Error::internal("a row without a locator")),
                };
                keep.push(new);
                done.push(match (action, new, locator) {
                    (Some(Action::Insert), true, _) => Some(Event::Insert),
                    (Some(Action::Update), true, _) => Some(Event::Update),
                    (Some(Action::Delete), _, Some(locator)) if free(locator) => {
                        Some(Event::Delete)
                    }
                    _ => None,
                });
            }
            if changing.triggers.is_some() || !changing.held.is_empty() {
                self.merge_fired(changing, &batch, &done).await?;
                if changing.denied.is_some() {
                    return Ok(());
                }
                continue;
            }
            let batch = kept(&batch, &keep)?;
            let new = of_table(
                &changing.table,
                columns(&batch, 2..width + 2),
                batch.num_rows(),
            )?;
            let new = changing.checks.complete(&new)?;
            note_changed(changing, &batch, &new)?;
            let counted = changing.count;
            self.add(changing, new, &[]).await?;
            changing.count = counted;
        }
        Ok(())
    }

    /// Takes new rows of a table, which have passed its checks, with what RETURNING needs beside them.
    pub(super) async fn add(
        &self,
        changing: &mut Changing<'_>,
        new: RecordBatch,
        more: &[arrow::array::ArrayRef],
    ) -> Result<(), Error> {
        changing.checks.note(&new)?;
        self.shown(changing, &new).await?;
        changing.count += new.num_rows() as u64;
        let mut rows = new.columns().to_vec();
        rows.extend_from_slice(more);
        self.give(changing, rows, new.num_rows()).await?;
        if new.num_rows() > 0 {
            let new = compact(new)?;
            blocking_for(new.num_rows(), || changing.intake.push(new))?;
        }
        Ok(())
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
        let made = maker.make(self, columns, rows);
        changing.returned.push(made.await?)
    }

    /// Everything is read: locks the rows, takes the old ones away and adds the new ones.
    async fn write(&mut self, changing: Changing<'_>) -> Result<Step, Error> {
        let Changing {
            change,
            table,
            view,
            intake,
            rows,
            gone,
            mut met,
            count,
            deleted,
            maker,
            returned,
            checks,
            denied,
            refused,
            mut incoming,
            ..
        } = changing;
        let met_as = match change.keyed {
            true => RowMode::Update,
            false => {
                met.minus(&rows);
                RowMode::NoKeyUpdate
            }
        };
        let mut changed = rows.clone();
        changed.minus(&gone);
        let locks = [
            (&met, met_as),
            (&changed, RowMode::Changed),
            (&gone, RowMode::Gone),
        ];
        for (rows, mode) in locks.into_iter().filter(|(rows, _)| !rows.is_empty()) {
            let locked = self.shared.away(count_of(rows), |transaction| {
                transaction.lock_rows(&view, rows, mode, Wait::Block)
            })?;
            match locked {
                RowsLocked::All => {}
                RowsLocked::Again => return Ok(Step::Again),
                RowsLocked::Without(_) => return Err(Error::internal("rows were skipped")),
            }
        }
        if let Some(denied) = denied {
            return Err(denied);
        }
        if !rows.is_empty() {
            if let Some(incoming) = &mut incoming {
                blocking_for(count_of(&rows), || incoming.read(&view, &rows))?;
            }
            blocking_for(count_of(&rows), || {
                self.shared
                    .transact(|transaction| transaction.delete(&view, &rows))
            })?;
        }
        blocking_for(usize::try_from(count).unwrap_or(usize::MAX), || {
            self.shared
                .transact(|transaction| intake.finish(transaction).map_err(|(_, error)| error))
        })?;
        checks.settle(self.shared)?;
        if let Some(refused) = refused {
            return Err(refused);
        }
        if let Some(incoming) = incoming.filter(|_| !rows.is_empty()) {
            match self.behind {
                Some(behind) => behind.push(incoming),
                None => {
                    let fires = incoming.settle(self.shared).boxed().await?;
                    self.fires.extend(fires);
                }
            }
        }
        let changed = rows.len();
        let (operation, counted) = match &change.what {
            What::Insert { .. } => {
                let inserted = count.saturating_sub(changed);
                (Operation::Insert, rows_of(inserted, changed, 0))
            }
            What::Update(_) => (Operation::Update, rows_of(0, count, 0)),
            What::Delete(_) => (Operation::Delete, rows_of(0, 0, count)),
            // What triggers do they count themselves.
            What::Instead { .. } => (Operation::Merge, Rows::default()),
            What::Merge { .. } => {
                let inserted = count.saturating_sub(changed);
                let updated = changed.saturating_sub(deleted);
                (Operation::Merge, rows_of(inserted, updated, deleted))
            }
        };
        self.shared.count_rows(table.id, operation, counted)?;
        self.touched.entry(table.id).or_default().extend(&rows);
        Ok(Step::Done(Counted {
            rows: count,
            returned: maker.is_some().then_some(returned),
        }))
    }
}

fn rows_of(inserted: u64, updated: u64, deleted: u64) -> Rows {
    Rows {
        inserted,
        updated,
        deleted,
    }
}

pub(super) fn count_of(rows: &RowSet) -> usize {
    usize::try_from(rows.len()).unwrap_or(usize::MAX)
}

/// What a change does to rows, in the order of what fires before it.
fn events(what: &What) -> Vec<Event> {
    match what {
        What::Insert {
            conflict: Some(found),
            ..
        } if found.update.is_some() => vec![Event::Insert, Event::Update],
        What::Insert { .. } => vec![Event::Insert],
        What::Update(_) => vec![Event::Update],
        What::Delete(_) => vec![Event::Delete],
        What::Instead { event, .. } => vec![*event],
        What::Merge { actions, .. } => [
            (Action::Insert, Event::Insert),
            (Action::Update, Event::Update),
            (Action::Delete, Event::Delete),
        ]
        .into_iter()
        .filter(|(action, _)| actions.contains(action))
        .map(|(_, event)| event)
        .collect(),
    }
}

/// Those who refer to changed rows are to know what became of them; rows without a locator are new.
pub(super) fn note_changed(
    changing: &mut Changing<'_>,
    batch: &RecordBatch,
    new: &RecordBatch,
) -> Result<(), Error> {
    let keyed = changing.change.keyed || changing.triggers.is_some();
    if !keyed && changing.incoming.is_none() {
        return Ok(());
    }
    let locators = locators(batch)?;
    let changed: Vec<bool> = locators.iter().map(|locator| locator.is_some()).collect();
    let new = kept(new, &changed)?;
    let locators: Vec<i128> = locators.iter().flatten().collect();
    if keyed {
        note_keys(changing, &locators, &new)?;
    }
    if let Some(incoming) = &mut changing.incoming {
        incoming.note(locators, new);
    }
    Ok(())
}

/// Notes which rows get another key.
fn note_keys(
    changing: &mut Changing<'_>,
    locators: &[i128],
    new: &RecordBatch,
) -> Result<(), Error> {
    let keys = changing.table.unique_keys();
    let mut places: Vec<usize> = keys.iter().flat_map(|(_, places)| places.clone()).collect();
    places.sort_unstable();
    places.dedup();
    if places.is_empty() || locators.is_empty() {
        return Ok(());
    }
    let old = blocking_for(locators.len(), || changing.view.rows_at(&places, locators))?;
    for (old, place) in old.columns().iter().zip(&places) {
        let other = match new.columns().get(*place) {
            Some(new) => arrow::compute::kernels::cmp::distinct(old, new)?,
            None => continue,
        };
        for (locator, other) in locators.iter().zip(&other) {
            if other == Some(true) {
                changing.gone.insert(*locator);
            }
        }
    }
    Ok(())
}

/// 21000 for a row that a statement would change again.
pub(super) fn twice(what: &str, hint: &str) -> Error {
    Error::new(
        SqlState::CARDINALITY_VIOLATION,
        format!("{what} command cannot affect row a second time"),
    )
    .hint(hint)
}
