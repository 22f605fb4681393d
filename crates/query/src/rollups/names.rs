//! The relations that a definition names: those of a catalog, each with its schema.

use std::sync::Arc;

use chronolith_catalog::Database;
use chronolith_types::SqlState;

use super::registry::Registry;
use crate::bind::{Names, Relation};
use crate::error::Error;
use crate::functions::SessionVars;
use crate::session::relation_in;

/// Names as they are without a session.
pub(crate) struct CatalogNames<'r> {
    database: Arc<Database>,
    registry: &'r Registry,
    vars: SessionVars,
}

impl<'r> CatalogNames<'r> {
    /// `time_zone` is what times without a zone are of.
    pub(crate) fn new(
        database: Arc<Database>,
        registry: &'r Registry,
        time_zone: Option<&str>,
    ) -> Self {
        let mut vars = SessionVars::default();
        if let Some(time_zone) = time_zone {
            time_zone.clone_into(&mut vars.time_zone);
        }
        Self {
            database,
            registry,
            vars,
        }
    }
}

impl Names for CatalogNames<'_> {
    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>, Error> {
        let schema = schema.unwrap_or("public");
        if matches!(schema, "pg_catalog" | "information_schema") {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "invalid continuous aggregate view",
            )
            .detail("Continuous aggregates cannot read system relations."));
        }
        let Some(schema) = self.database.schema_named(schema) else {
            return Ok(None);
        };
        relation_in(&self.database, self.registry, schema, name)
    }

    fn vars(&self) -> &SessionVars {
        &self.vars
    }
}
