//! A change of a view's rows that INSTEAD OF triggers take: they are called for each row, and what
//! they do is all that is done.

use arrow::record_batch::RecordBatch;
use futures::StreamExt;

use super::held::Held;
use super::over::Maker;
use super::returned::Returned;
use super::rows::{columns, of_table};
use super::run::{Counted, Run, Step};
use crate::bind::{Change, set_parameters};
use crate::error::Error;
use crate::insert::Checks;
use crate::routines::{Event, Triggers};
use crate::session::{physical, stream};

impl Run<'_> {
    pub(super) async fn instead(&self, change: &Change, event: Event) -> Result<Step, Error> {
        let view = &change.table;
        let triggers = Triggers::of(self.shared, view, None)?;
        let triggers = triggers.ok_or_else(|| Error::internal("a view without triggers"))?;
        triggers.statement(event, true).await?;
        let maker = match &change.returning {
            Some(returning) => Some(Maker::new(self, &returning.over, self.params)?),
            None => None,
        };
        let held = Held::of(self, change)?;
        let checks = Checks::of(self.shared, view)?;
        let mut returned = Returned::new(self.shared, change.slot.is_none());
        let plan = set_parameters(change.what.plan(), self.params)?;
        let physical = physical(self.shared, self.planner(), &plan).await?;
        let mut source = stream(self.shared, self.planner(), physical)?;
        let width = view.columns.len();
        let mut count = 0;
        while let Some(batch) = source.next().await {
            let batch = batch?;
            let part = |from: usize| -> Result<RecordBatch, Error> {
                let columns = columns(&batch, from..from + width);
                of_table(view, columns, batch.num_rows())
            };
            let (old, new) = match event {
                Event::Insert => (None, Some(part(0)?)),
                Event::Update => (Some(part(0)?), Some(part(width)?)),
                _ => (Some(part(0)?), None),
            };
            let passed = triggers.before(event, old.as_ref(), new.as_ref());
            let (rows, keep) = passed.await?;
            count += rows.num_rows() as u64;
            for held in &held {
                if let Some(error) = held.against(self, &checks, &rows).await? {
                    return Err(error);
                }
            }
            let Some(maker) = maker.as_ref().filter(|_| rows.num_rows() > 0) else {
                continue;
            };
            // Of a row that is deleted RETURNING says what it was, whatever the trigger made of it.
            let mut given = match event {
                Event::Delete => Vec::new(),
                _ => rows.columns().to_vec(),
            };
            let beside = width * (usize::from(old.is_some()) + usize::from(new.is_some()));
            for column in columns(&batch, beside..batch.num_columns()) {
                given.push(arrow::compute::filter(&column, &keep.clone().into())?);
            }
            let made = maker.make(self, given, rows.num_rows());
            returned.push(made.await?)?;
        }
        triggers.statement(event, false).await?;
        Ok(Step::Done(Counted {
            rows: count,
            returned: maker.is_some().then_some(returned),
        }))
    }
}
