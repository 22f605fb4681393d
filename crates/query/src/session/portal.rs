//! Portals of the protocol that have names: cursors to SQL.
//!
//! A query is run when rows are first asked for, by Execute or by FETCH, and is a cursor from then
//! on. Other statements' portals are the protocol's own business.

use std::sync::Arc;

use arrow::array::ArrayRef;

use super::current::Origins;
use super::cursor::{Back, Cursor, Making};
use super::execute::Ready;
use super::handle::{Prepared, Session};
use crate::error::Error;
use crate::outcome::{Outcome, OutputColumn};

/// A portal whose query has not run.
#[derive(Debug, Clone)]
pub(crate) struct Portal {
    prepared: Arc<Prepared>,
    params: Vec<ArrayRef>,
    /// How many savepoints it stands behind.
    depth: usize,
}

impl Portal {
    pub(super) fn columns(&self) -> Vec<OutputColumn> {
        self.prepared.columns.clone()
    }

    /// Whether it goes with what is undone.
    pub(super) fn ends(&self, depth_max: usize) -> bool {
        self.depth > depth_max
    }
}

impl Session {
    /// Binds a query to a name, under which SQL finds it as a cursor; false for a statement that is
    /// no query.
    pub fn portal(&mut self, name: &str, prepared: &Arc<Prepared>, params: &[ArrayRef]) -> bool {
        if !matches!(prepared.ready, Ready::Query(_) | Ready::Lock(_)) {
            return false;
        }
        let portal = Portal {
            prepared: Arc::clone(prepared),
            params: params.to_vec(),
            depth: self.savepoints.len() + 1,
        };
        self.shared
            .with(|state| state.portals.insert(name.to_owned(), portal));
        true
    }

    /// Runs the query of a portal that is asked for rows, if there is one of the name that has not
    /// run.
    ///
    /// # Errors
    /// Those of the query.
    pub(super) async fn open_portal(&mut self, name: &str, within: bool) -> Result<(), Error> {
        let portal = self.shared.with(|state| state.portals.remove(name));
        let Some(Portal {
            prepared,
            params,
            depth,
        }) = portal
        else {
            return Ok(());
        };
        let ran = match within {
            // The statement that asks has begun already.
            true => Box::pin(self.rerun(&prepared, &params)).await?,
            false => Box::pin(self.execute(&prepared, &params)).await?,
        };
        let Outcome::Rows {
            columns, stream, ..
        } = ran
        else {
            return Err(Error::internal("a query without rows"));
        };
        let shared = Arc::clone(&self.shared);
        let making = Making {
            name: name.to_owned(),
            text: prepared.statement.text().to_owned(),
            columns,
            binary: false,
            hold: false,
            back: Back::Never,
            created_us: shared.with(|state| state.statement_us),
            depth,
            origins: Origins::default(),
        };
        let cursor = Cursor::new(making, stream, &shared.instance.runtime.memory_pool);
        shared.with(|state| state.cursors.insert(name.to_owned(), Arc::new(cursor)));
        Ok(())
    }
}
