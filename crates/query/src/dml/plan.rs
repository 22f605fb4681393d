//! A changing statement, bound and ready to run any number of times.

use chronolith_catalog::Rights;
use chronolith_sql::{Statement, ast};
use chronolith_types::SqlType;

use crate::bind::{Program, What, bind_change, bind_changing_query};
use crate::error::Error;
use crate::insert::Cells;
use crate::session::{SessionNames, Shared};

/// A program with what can be made ready of it.
pub(crate) struct Dml {
    pub(crate) program: Program,
    /// The rows of each INSERT … VALUES, which need no planner.
    pub(crate) cells: Vec<Option<Cells>>,
}

/// Binds INSERT, UPDATE, DELETE or MERGE.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind(
    names: &SessionNames,
    statement: &Statement,
    types: &[Option<SqlType>],
) -> Result<Dml, Error> {
    Dml::of(bind_change(names, statement, types)?)
}

/// Binds a query whose WITH changes rows.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind_query(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
) -> Result<Dml, Error> {
    Dml::of(bind_changing_query(names, query, types)?)
}

impl Dml {
    fn of(program: Program) -> Result<Self, Error> {
        let cells = program.changes.iter().map(|change| match &change.what {
            What::Insert { plan, .. } => Cells::of(plan, &program.params),
            _ => Ok(None),
        });
        let cells = cells.collect::<Result<_, _>>()?;
        Ok(Self { program, cells })
    }

    /// Looks whether the current role may do it.
    pub(crate) fn check(&self, shared: &Shared) -> Result<(), Error> {
        for change in &self.program.changes {
            for right in [
                Rights::INSERT,
                Rights::UPDATE,
                Rights::DELETE,
                Rights::SELECT,
            ] {
                if change.rights.has(right) {
                    shared.check_relation(change.table.id, right)?;
                }
            }
        }
        shared.check_uses(&self.program.uses)
    }
}
