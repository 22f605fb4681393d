//! REFERENCING OLD TABLE and NEW TABLE: the rows that a statement changed, as tables that a trigger's
//! function reads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};
use chronolith_catalog::Trigger;
use chronolith_types::SqlType;
use datafusion::datasource::MemTable;
use datafusion::datasource::provider_as_source;

use super::triggers::Event;
use crate::bind::{Relation, Table as BoundTable, TableColumn};
use crate::error::Error;
use crate::session::Shared;

/// Rows before and after what happened to them.
type Both = (Vec<RecordBatch>, Vec<RecordBatch>);

/// A statement's rows, by what happened to them.
#[derive(Debug, Default)]
pub(super) struct Gathered(HashMap<Event, Both>);

/// The tables that the function of one trigger sees beside all others.
#[derive(Debug)]
pub(crate) struct Transitions {
    /// No two of a process are alike: what was bound to one is not bound to others.
    pub(crate) serial: u64,
    tables: Vec<(String, Vec<RecordBatch>)>,
    columns: Vec<(String, SqlType)>,
}

impl Gathered {
    pub(super) fn add(
        &mut self,
        event: Event,
        old: Option<&RecordBatch>,
        new: Option<&RecordBatch>,
    ) {
        let rows = self.0.entry(event).or_default();
        rows.0.extend(old.cloned());
        rows.1.extend(new.cloned());
    }

    /// Shows a trigger's function the tables that it names, and hides those of others.
    pub(super) fn shown<'s>(
        &self,
        shared: &'s Shared,
        trigger: &Trigger,
        event: Event,
        columns: &[(String, SqlType)],
    ) -> Shown<'s> {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        let rows = self.0.get(&event);
        let mut tables = Vec::new();
        if let Some(name) = &trigger.old_table {
            let rows = rows.map(|rows| rows.0.clone());
            tables.push((name.clone(), rows.unwrap_or_default()));
        }
        if let Some(name) = &trigger.new_table {
            let rows = rows.map(|rows| rows.1.clone());
            tables.push((name.clone(), rows.unwrap_or_default()));
        }
        let shown = (!tables.is_empty()).then(|| {
            Arc::new(Transitions {
                serial: SERIAL.fetch_add(1, Ordering::Relaxed),
                tables,
                columns: columns.to_vec(),
            })
        });
        let before = shared.with(|state| std::mem::replace(&mut state.transitions, shown));
        Shown { shared, before }
    }
}

/// What a function sees while it runs; what was seen before is put back.
pub(super) struct Shown<'s> {
    shared: &'s Shared,
    before: Option<Arc<Transitions>>,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        let before = self.before.take();
        self.shared.with(|state| state.transitions = before);
    }
}

impl Transitions {
    /// One of them, as the binder sees it.
    ///
    /// # Errors
    /// When its rows are not those of its table.
    pub(crate) fn relation(&self, name: &str) -> Result<Option<Relation>, Error> {
        let Some((name, rows)) = self.tables.iter().find(|(known, _)| known == name) else {
            return Ok(None);
        };
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|(name, ty)| Field::new(name, ty.arrow(), true))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let batches = rows
            .iter()
            .map(|batch| RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec()))
            .collect::<Result<Vec<_>, _>>()?;
        let source = MemTable::try_new(schema, vec![batches])?;
        let columns = (1_i16..).zip(&self.columns);
        Ok(Some(Relation::Table(BoundTable {
            oid: 0,
            schema: String::new(),
            name: name.clone(),
            columns: columns
                .map(|(attribute, (name, ty))| TableColumn {
                    name: name.clone(),
                    ty: ty.clone(),
                    attribute,
                })
                .collect(),
            primary_key: Vec::new(),
            chunk: None,
            source: provider_as_source(Arc::new(source)),
        })))
    }
}
