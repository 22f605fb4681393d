//! Triggers of a table or view as a statement that changes it fires them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Routine, Table, Trigger};
use chronolith_types::{ColumnId, SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::check::{body_of, compared};
use super::deferred::{Images, defer, waits};
use super::plpgsql::{Machine, Outputs};
use super::run::{DEPTH_MAX, Roomy, too_deep};
use super::transitions::Gathered;
use crate::catalogs::quoted;
use crate::dml::Held;
use crate::error::Error;
use crate::session::{Session, Shared};
use futures::future::BoxFuture;

/// What happens to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Event {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Truncate => "TRUNCATE",
        }
    }

    pub(crate) fn is_of(self, trigger: &Trigger) -> bool {
        match self {
            Self::Insert => trigger.insert,
            Self::Update => trigger.update,
            Self::Delete => trigger.delete,
            Self::Truncate => trigger.truncate,
        }
    }
}

/// A table's triggers that fire in a session, with what they call.
pub(crate) struct Triggers {
    shared: Arc<Shared>,
    table: Arc<Table>,
    schema: String,
    columns: Vec<(String, SqlType)>,
    fired: Vec<(Trigger, Arc<Routine>)>,
    /// Rows changed, for triggers after the statement: what happened, and before and after it.
    queued: Vec<(Event, Option<RecordBatch>, Option<RecordBatch>)>,
    /// The columns that an UPDATE sets; None where nobody knows.
    sets: Option<Vec<ColumnId>>,
    transitions: Gathered,
}

impl std::fmt::Debug for Triggers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Triggers")
            .field("table", &self.table.name)
            .finish_non_exhaustive()
    }
}

/// What fires after a statement that has run.
#[derive(Debug)]
pub(crate) struct Fires {
    triggers: Triggers,
    /// What it does to rows, in the order of what fired before it.
    events: Vec<Event>,
}

impl Fires {
    pub(crate) fn new(triggers: Triggers, events: Vec<Event>) -> Self {
        Self { triggers, events }
    }

    /// Row by row, and then for the statement. Boxed by its type: what they call may have others fire.
    ///
    /// # Errors
    /// Those of what they call.
    pub(crate) fn fire(mut self) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            self.triggers.after().await?;
            for event in self.events.iter().rev() {
                self.triggers.statement(*event, false).await?;
            }
            Ok(())
        })
    }
}

/// Whether a table has triggers that fire for a change of its rows.
pub(crate) fn has_triggers(shared: &Shared, table: &Table, event: Option<Event>) -> bool {
    let Ok(home) = shared.home() else {
        return false;
    };
    let fits =
        |trigger: &Trigger| trigger.fires() && event.is_none_or(|event| event.is_of(trigger));
    let triggers = home.triggers.get(&table.id);
    triggers.is_some_and(|triggers| triggers.iter().any(fits))
}

impl Triggers {
    /// Those of a table; None when none fires.
    ///
    /// # Errors
    /// 3D000 when the database is gone.
    pub(crate) fn of(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        sets: Option<&[usize]>,
    ) -> Result<Option<Self>, Error> {
        let home = shared.home()?;
        let Some(all) = home.triggers.get(&table.id) else {
            return Ok(None);
        };
        let mut fired = Vec::new();
        for trigger in all.iter().filter(|trigger| trigger.fires()) {
            let routine = home.routines.get(&trigger.function).ok_or_else(|| {
                Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("the function of trigger \"{}\" is gone", trigger.name),
                )
            })?;
            fired.push((trigger.clone(), Arc::clone(routine)));
        }
        if fired.is_empty() {
            return Ok(None);
        }
        // They fire in the order of their names.
        fired.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        let mut sets = sets.map(|sets| set_columns(table, sets)).transpose()?;
        let computes = fired
            .iter()
            .any(|(trigger, _)| trigger.update && trigger.before && trigger.row);
        if let Some(sets) = sets.as_mut().filter(|_| computes) {
            // What a trigger makes of a row computes all of them anew.
            let generated = table.columns.iter().filter(|of| of.generated.is_some());
            sets.extend(generated.map(|of| of.id));
        }
        let columns = table.columns.iter();
        let schema = home.schemas.get(&table.schema);
        Ok(Some(Self {
            shared: Arc::clone(shared),
            schema: schema.map_or_else(String::new, |schema| schema.name.clone()),
            columns: columns
                .map(|column| (column.name.clone(), column.ty.clone()))
                .collect(),
            table: Arc::clone(table),
            fired,
            queued: Vec::new(),
            sets,
            transitions: Gathered::default(),
        }))
    }

    fn any(&self, event: Event, kind: impl Fn(&Trigger) -> bool) -> bool {
        let mut fired = self.fired.iter();
        fired.any(|(trigger, _)| event.is_of(trigger) && kind(trigger))
    }

    /// Whether rows pass through triggers before an event.
    pub(crate) fn before_rows(&self, event: Event) -> bool {
        self.any(event, Trigger::decides)
    }

    /// Whether rows before an event are asked for.
    pub(crate) fn wants_rows(&self, event: Event) -> bool {
        self.any(event, |trigger| trigger.row) || self.gathers(event)
    }

    /// The triggers of the statement itself, before or after it.
    ///
    /// # Errors
    /// Those of what they call.
    pub(crate) async fn statement(&self, event: Event, before: bool) -> Result<(), Error> {
        for (trigger, routine) in &self.fired {
            let fits = !trigger.row && trigger.before == before && event.is_of(trigger);
            if fits && self.touches(trigger, event) {
                self.call(trigger, routine, event, None, None).await?;
            }
        }
        Ok(())
    }

    /// Rows on their way through the triggers before an event, or in its place: the new rows that are
    /// left of them (of DELETE the old ones), and which were left.
    ///
    /// # Errors
    /// Those of what they call.
    pub(crate) async fn before(
        &self,
        event: Event,
        old: Option<&RecordBatch>,
        new: Option<&RecordBatch>,
    ) -> Result<(RecordBatch, Vec<bool>), Error> {
        let shown = new
            .or(old)
            .ok_or_else(|| Error::internal("a change of no rows"))?;
        let count = shown.num_rows();
        if !self.before_rows(event) {
            return Ok((shown.clone(), vec![true; count]));
        }
        let mut keep = Vec::with_capacity(count);
        let mut columns: Vec<Vec<ScalarValue>> = vec![Vec::new(); self.columns.len()];
        for at in 0..count {
            let before = old.map(|old| row(old, at)).transpose()?;
            let mut after = new.map(|new| row(new, at)).transpose()?;
            let mut left = true;
            for (trigger, routine) in &self.fired {
                let fits = trigger.decides() && event.is_of(trigger);
                if !fits || !self.touches(trigger, event) {
                    continue;
                }
                let given = self.call(trigger, routine, event, before.clone(), after.clone());
                match given.await? {
                    None => {
                        left = false;
                        break;
                    }
                    Some(given) if event != Event::Delete => after = Some(given),
                    Some(_) => {}
                }
            }
            keep.push(left);
            let kept = after.or(before).unwrap_or_default();
            if left {
                for (column, value) in columns.iter_mut().zip(kept) {
                    column.push(value);
                }
            }
        }
        let arrays = columns
            .into_iter()
            .zip(&self.columns)
            .map(|(values, (_, ty))| match values.is_empty() {
                true => Ok(arrow::array::new_empty_array(&ty.arrow())),
                false => ScalarValue::iter_to_array(values),
            })
            .collect::<Result<Vec<ArrayRef>, _>>()?;
        let rows = keep.iter().filter(|keep| **keep).count();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(shown.schema(), arrays, &options)?;
        Ok((batch, keep))
    }

    /// Notes rows for the triggers after the statement.
    pub(crate) fn changed(
        &mut self,
        event: Event,
        old: Option<RecordBatch>,
        new: Option<RecordBatch>,
    ) {
        if self.gathers(event) {
            self.transitions.add(event, old.as_ref(), new.as_ref());
        }
        if self.any(event, Trigger::follows) {
            self.queued.push((event, old, new));
        }
    }

    /// The triggers after rows were changed, row by row.
    ///
    /// # Errors
    /// Those of what they call.
    pub(crate) async fn after(&mut self) -> Result<(), Error> {
        for (event, old, new) in std::mem::take(&mut self.queued) {
            let shown = new.as_ref().or(old.as_ref());
            let count = shown.map_or(0, RecordBatch::num_rows);
            for at in 0..count {
                let before = old.as_ref().map(|old| row(old, at)).transpose()?;
                let after = new.as_ref().map(|new| row(new, at)).transpose()?;
                for (trigger, routine) in &self.fired {
                    let fits = trigger.follows() && event.is_of(trigger);
                    if !fits || !self.touches(trigger, event) {
                        continue;
                    }
                    let rows = (before.clone(), after.clone());
                    if !waits(&self.shared, trigger) {
                        self.call(trigger, routine, event, rows.0, rows.1).await?;
                    } else if self.holds(trigger, routine, event, &rows).await? {
                        defer(&self.shared, self.table.id, trigger, event, rows);
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether an UPDATE is of the columns that a trigger names.
    fn touches(&self, trigger: &Trigger, event: Event) -> bool {
        if event != Event::Update || trigger.columns.is_empty() {
            return true;
        }
        let sets = self.sets.as_ref();
        sets.is_none_or(|sets| trigger.columns.iter().any(|column| sets.contains(column)))
    }

    /// Whether rows of an event are kept for those who read them as a table.
    fn gathers(&self, event: Event) -> bool {
        self.fired.iter().any(|(trigger, _)| {
            event.is_of(trigger) && (trigger.old_table.is_some() || trigger.new_table.is_some())
        })
    }

    /// Fires one that waited.
    ///
    /// # Errors
    /// Those of what it calls.
    pub(crate) async fn fire(&self, trigger: u32, event: Event, rows: Images) -> Result<(), Error> {
        let mut fired = self.fired.iter();
        let Some((trigger, routine)) = fired.find(|(known, _)| known.id == trigger) else {
            return Ok(());
        };
        // WHEN was looked at when the row was changed.
        let at_once = Trigger {
            condition: None,
            ..trigger.clone()
        };
        self.call(&at_once, routine, event, rows.0, rows.1).await?;
        Ok(())
    }

    /// Whether WHEN holds for a row.
    async fn holds(
        &self,
        trigger: &Trigger,
        routine: &Arc<Routine>,
        event: Event,
        rows: &Images,
    ) -> Result<bool, Error> {
        let Some(condition) = &trigger.condition else {
            return Ok(true);
        };
        let mut session = Session::beside(&self.shared);
        let (old, new) = rows.clone();
        let mut machine = self.machine(&mut session, trigger, routine, event, old, new)?;
        machine.holds(&compared(condition)).await
    }

    /// Calls a trigger's function; the row that it returned, in the table's columns.
    async fn call(
        &self,
        trigger: &Trigger,
        routine: &Arc<Routine>,
        event: Event,
        old: Option<Vec<ScalarValue>>,
        new: Option<Vec<ScalarValue>>,
    ) -> Result<Option<Vec<ScalarValue>>, Error> {
        let shared = &self.shared;
        shared.cancel.check()?;
        let depth = shared.with(|state| state.depth);
        if depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        // What it runs sees what the statement has done so far.
        let _held = Held::new(shared, None);
        let _shown = self
            .transitions
            .shown(shared, trigger, event, &self.columns);
        let caller = match routine.security_definer {
            true => Some(shared.act_as(routine.owner)?),
            false => None,
        };
        shared.with(|state| {
            state.depth = depth + 1;
            state.trigger_depth += 1;
        });
        let mut session = Session::beside(shared);
        let done = match session.enter_settings(routine) {
            Ok(before) => {
                let work = self.run(&mut session, trigger, routine, event, old, new);
                let done = Roomy(Box::pin(work)).await;
                session.leave_settings(before);
                done
            }
            Err(error) => Err(error),
        };
        shared.with(|state| {
            state.depth = depth;
            state.trigger_depth -= 1;
            if let Some(caller) = caller {
                state.user = caller;
            }
        });
        done
    }

    async fn run(
        &self,
        session: &mut Session,
        trigger: &Trigger,
        routine: &Arc<Routine>,
        event: Event,
        old: Option<Vec<ScalarValue>>,
        new: Option<Vec<ScalarValue>>,
    ) -> Result<Option<Vec<ScalarValue>>, Error> {
        let block = body_of(&self.shared, routine)?;
        let mut machine = self.machine(session, trigger, routine, event, old, new)?;
        if let Some(condition) = &trigger.condition
            && !machine.holds(&compared(condition)).await?
        {
            // As if it were not there.
            return Ok(match event {
                _ if !trigger.row => None,
                Event::Delete => machine.row("old"),
                _ => machine.row("new"),
            });
        }
        machine.run(&block).await?;
        self.answer(trigger, &mut machine)
    }

    /// What a trigger's function is run by.
    fn machine<'s>(
        &self,
        session: &'s mut Session,
        trigger: &Trigger,
        routine: &Arc<Routine>,
        event: Event,
        old: Option<Vec<ScalarValue>>,
        new: Option<Vec<ScalarValue>>,
    ) -> Result<Machine<'s>, Error> {
        let outputs = Outputs {
            columns: Vec::new(),
            set: false,
            record: true,
            nothing: false,
            named: false,
            trigger: true,
        };
        let name = format!("{}()", quoted(&routine.name));
        let mut machine = Machine::new(session, &name, Some(routine), &[], outputs)?;
        let text = |text: &str| ScalarValue::Utf8View(Some(text.to_owned()));
        machine.give("tg_name", SqlType::Name, text(&trigger.name))?;
        let when = timing(trigger);
        machine.give("tg_when", SqlType::Text, text(when))?;
        let level = if trigger.row { "ROW" } else { "STATEMENT" };
        machine.give("tg_level", SqlType::Text, text(level))?;
        machine.give("tg_op", SqlType::Text, text(event.word()))?;
        let oid = ScalarValue::UInt32(Some(self.table.id.0));
        machine.give("tg_relid", SqlType::Oid, oid)?;
        machine.give("tg_relname", SqlType::Name, text(&self.table.name))?;
        machine.give("tg_table_name", SqlType::Name, text(&self.table.name))?;
        machine.give("tg_table_schema", SqlType::Name, text(&self.schema))?;
        let count = i32::try_from(trigger.args.len()).unwrap_or(i32::MAX);
        machine.give("tg_nargs", SqlType::Int4, ScalarValue::Int32(Some(count)))?;
        let args: Vec<ScalarValue> = trigger.args.iter().map(|arg| text(arg)).collect();
        let args = ScalarValue::new_list_nullable(&args, &SqlType::Text.arrow());
        let list = SqlType::Text.array_of();
        let mut args = ScalarValue::List(args);
        if trigger.args.is_empty() {
            args = ScalarValue::try_from(&list.arrow())?;
        }
        machine.give("tg_argv", list, args)?;
        machine.give_row("old", &self.columns, old)?;
        machine.give_row("new", &self.columns, new)?;
        Ok(machine)
    }

    /// The row that a function returned, in the table's columns.
    fn answer(
        &self,
        trigger: &Trigger,
        machine: &mut Machine<'_>,
    ) -> Result<Option<Vec<ScalarValue>>, Error> {
        if !trigger.decides() {
            return Ok(None);
        }
        let Some(given) = machine.returned() else {
            return Ok(None);
        };
        if given.len() != self.columns.len() {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "returned row structure does not match the structure of the triggering table",
            )
            .detail(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                given.len(),
                self.columns.len()
            )));
        }
        let mut values = Vec::with_capacity(given.len());
        for ((_, from, value), (_, to)) in given.into_iter().zip(&self.columns) {
            values.push(machine.fit(value, &from, to)?);
        }
        Ok(Some(values))
    }
}

/// When a trigger fires, as it is said of it.
pub(crate) fn timing(trigger: &Trigger) -> &'static str {
    match (trigger.before, trigger.instead) {
        (true, _) => "BEFORE",
        (false, true) => "INSTEAD OF",
        (false, false) => "AFTER",
    }
}

/// Columns at some places, and those that are computed of them.
fn set_columns(table: &Table, sets: &[usize]) -> Result<Vec<ColumnId>, Error> {
    let set: Vec<_> = sets
        .iter()
        .filter_map(|place| table.columns.get(*place))
        .collect();
    let mut found: Vec<ColumnId> = set.iter().map(|column| column.id).collect();
    for column in &table.columns {
        let Some(text) = &column.generated else {
            continue;
        };
        for of in &set {
            if chronolith_sql::names_column(text, &of.name)? {
                found.push(column.id);
            }
        }
    }
    Ok(found)
}

/// The values of a row.
fn row(batch: &RecordBatch, at: usize) -> Result<Vec<ScalarValue>, Error> {
    batch
        .columns()
        .iter()
        .map(|column| Ok(ScalarValue::try_from_array(column, at)?))
        .collect()
}

/// The rows of a batch that were left.
pub(crate) fn left(batch: &RecordBatch, keep: &[bool]) -> Result<RecordBatch, Error> {
    if keep.iter().all(|keep| *keep) {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(
        batch,
        &BooleanArray::from(keep.to_vec()),
    )?)
}
