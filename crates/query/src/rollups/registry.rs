//! The definitions of continuous aggregates, each read once.

use std::collections::HashMap;
use std::sync::Arc;

use chronolith_catalog::{Database, Materialized, View};
use chronolith_types::{DatabaseId, SqlState, TableId};
use parking_lot::Mutex;

use super::definition::Definition;
use crate::error::Error;

/// Definitions that were read, for as long as what they were read from stays.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    known: Mutex<HashMap<(DatabaseId, TableId), Arc<Known>>>,
}

#[derive(Debug)]
struct Known {
    query: String,
    columns: Vec<String>,
    definition: Arc<Definition>,
}

/// A view's rows, when it is a continuous aggregate.
pub(crate) fn continuous(view: &View) -> Option<&Materialized> {
    let materialized = view.materialized.as_ref()?;
    materialized.continuous.as_ref()?;
    Some(materialized)
}

impl Registry {
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
        {
            return Ok(Arc::clone(&known.definition));
        }
        let definition = Arc::new(Definition::of_view(database, found, self)?);
        let known = Known {
            query: found.query.clone(),
            columns: found.columns.clone(),
            definition: Arc::clone(&definition),
        };
        self.known.lock().insert(key, Arc::new(known));
        Ok(definition)
    }
}
