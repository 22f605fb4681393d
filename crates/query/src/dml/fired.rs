//! MERGE into a table with triggers or row-level security: its rows go through them in their order.

use arrow::record_batch::RecordBatch;

use super::rows::{columns, kept, of_table};
use super::run::{Changing, Run, note_changed};
use crate::bind::Subject;
use crate::error::Error;
use crate::routines::{Event, left};

impl Run<'_> {
    /// The rows of a batch, with what is done to each; those that triggers leave out are not counted.
    pub(super) async fn merge_fired(
        &self,
        changing: &mut Changing<'_>,
        batch: &RecordBatch,
        done: &[Option<Event>],
    ) -> Result<(), Error> {
        let mut from = 0;
        while let Some(event) = done.get(from).copied() {
            let same = done.iter().skip(from).take_while(|of| **of == event);
            let rows = same.count();
            if let Some(event) = event {
                let rows = batch.slice(from, rows);
                self.merge_alike(changing, &rows, event).await?;
                if changing.denied.is_some() {
                    return Ok(());
                }
            }
            from += rows;
        }
        Ok(())
    }

    /// Rows to all of which the same is done.
    async fn merge_alike(
        &self,
        changing: &mut Changing<'_>,
        batch: &RecordBatch,
        event: Event,
    ) -> Result<(), Error> {
        let width = changing.table.columns.len();
        let mut count = changing.count;
        let subject = match event {
            Event::Update => Some(Subject::ToUpdate),
            Event::Delete => Some(Subject::ToDelete),
            _ => None,
        };
        if let Some(subject) = subject
            && !self.allowed_at(changing, batch, subject).await?
        {
            return Ok(());
        }
        let new = match event {
            Event::Delete => None,
            _ => {
                let columns = columns(batch, 2..width + 2);
                Some(of_table(&changing.table, columns, batch.num_rows())?)
            }
        };
        let asked = changing.triggers.as_ref();
        let wants = asked.is_some_and(|triggers| triggers.wants_rows(event));
        let old = match event {
            Event::Insert => None,
            _ if !wants => None,
            _ => Some(self.old(changing, batch)?),
        };
        let (rows, keep) = match (&old, new) {
            (None, Some(new)) if event == Event::Insert => {
                let before = new.num_rows();
                let rows = self.fresh_rows(changing, new).await?;
                count -= (before - rows.num_rows()) as u64;
                (Some(rows), None)
            }
            (Some(old), new) => {
                let passed = self.passed(changing, event, old, new, batch).await?;
                let left = passed.1.iter().filter(|keep| !**keep).count();
                count -= left as u64;
                (Some(passed.0), Some(passed.1))
            }
            (None, new) => (new, None),
        };
        let old = match (&old, &keep) {
            (Some(old), Some(keep)) => Some(left(old, keep)?),
            _ => old,
        };
        if event == Event::Delete {
            if let Some(triggers) = &mut changing.triggers {
                triggers.changed(event, old, None);
            }
            changing.count = count;
            return Ok(());
        }
        let rows = rows.ok_or_else(|| Error::internal("new rows of a MERGE"))?;
        let rows = match event {
            Event::Update => self.updated(changing, &rows).await?,
            _ => Some(rows),
        };
        let Some(rows) = rows else {
            return Ok(());
        };
        if event == Event::Update {
            let batch = match &keep {
                Some(keep) => kept(batch, keep)?,
                None => batch.clone(),
            };
            note_changed(changing, &batch, &rows)?;
        }
        self.add(changing, rows.clone(), &[]).await?;
        if let Some(triggers) = &mut changing.triggers {
            triggers.changed(event, old, Some(rows));
        }
        changing.count = count;
        Ok(())
    }
}
