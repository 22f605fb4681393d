//! The definitions of continuous aggregates, each read once.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;

use chronolith_catalog::{Database, Materialized, View};
use chronolith_types::{DatabaseId, SqlState, TableId};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use parking_lot::Mutex;

use super::definition::Definition;
use super::derive::{builder, fed};
use super::feed::Program;
use super::plan::shown;
use crate::error::Error;

/// Definitions that were read, for as long as what they were read from stays.
pub(crate) struct Registry {
    known: Mutex<HashMap<(DatabaseId, TableId), Arc<Known>>>,
    /// What runs over rows at hand.
    planner: SessionState,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Known {
    query: String,
    columns: Vec<String>,
    /// The columns of the continuous aggregates that it reads.
    read: Vec<Vec<String>>,
    definition: Arc<Definition>,
}

/// A view's rows, when it is a continuous aggregate.
pub(crate) fn continuous(view: &View) -> Option<&Materialized> {
    let materialized = view.materialized.as_ref()?;
    materialized.continuous.as_ref()?;
    Some(materialized)
}

impl Registry {
    pub(crate) fn new(runtime: &Arc<RuntimeEnv>) -> Self {
        Self {
            known: Mutex::default(),
            planner: builder(runtime).build(),
        }
    }

    /// What readers see of some partials, rows of a store.
    ///
    /// # Errors
    /// When a value cannot be computed.
    pub(crate) fn merged(
        &self,
        definition: &Definition,
        partials: Vec<RecordBatch>,
        store: &SchemaRef,
    ) -> Result<RecordBatch, Error> {
        let program = match definition.programs.read.get() {
            Some(program) => program,
            None => {
                let plan = shown(definition, fed(store)?)?;
                let program = Program::new(&self.planner, &plan)?;
                definition.programs.read.get_or_init(|| program)
            }
        };
        let outputs = definition.outputs.iter();
        let fields = outputs.map(|output| Field::new(&output.name, output.ty.arrow(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batches = program.run(&self.planner, partials, &schema)?;
        Ok(concat_batches(&schema, &batches)?)
    }

    /// The definition of a continuous aggregate.
    ///
    /// # Errors
    /// `42P01` when it is gone, and what its query cannot be bound for.
    pub(crate) fn definition(
        &self,
        database: &Arc<Database>,
        view: TableId,
    ) -> Result<Arc<Definition>, Error> {
        let found = database.views.get(&view);
        let found = found.filter(|view| continuous(view).is_some());
        let found = found.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("continuous aggregate {view} does not exist"),
            )
        })?;
        let key = (database.id, view);
        let known = self.known.lock().get(&key).cloned();
        if let Some(known) = known
            && known.query == found.query
            && known.columns == found.columns
            && known.definition.holds(database)
            && known.definition.names_read(database) == known.read
        {
            return Ok(Arc::clone(&known.definition));
        }
        let definition = Arc::new(Definition::of_view(database, found, self)?);
        let known = Known {
            query: found.query.clone(),
            columns: found.columns.clone(),
            read: definition.names_read(database),
            definition: Arc::clone(&definition),
        };
        self.known.lock().insert(key, Arc::new(known));
        Ok(definition)
    }
}
