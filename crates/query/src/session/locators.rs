//! Names under which tables also say where their rows lie, and views that show the rows of tables
//! where those of the tables do.

use std::collections::HashMap;
use std::sync::Arc;

use chronolith_catalog::{PolicyCommand, Routine, Type};
use chronolith_sql::plpgsql::Conflict;
use chronolith_types::{ChunkId, SqlType, TableId, TypeId};
use datafusion::logical_expr::TableSource;
use parking_lot::Mutex;

use super::lockable::From;
use super::names::SessionNames;
use crate::bind::{Names, OwnType, Relation, TableColumn, Variable, ViewQuery};
use crate::error::Error;
use crate::functions::SessionVars;
use crate::rights::RowPolicies;

/// What no client can call a column.
pub(super) const LOCATOR: &str = "\u{1}locator";

/// What a name means that rows are locked by.
#[derive(Debug, Clone)]
enum Meant {
    /// Nobody has asked yet.
    Unknown,
    Table(TableId),
    /// A view, which shows the rows of what has these names: of each, all that it shows itself.
    View(TableId, Vec<String>),
}

/// Names under which tables also say where their rows lie.
pub(super) struct Locators<'n> {
    names: &'n SessionNames,
    verb: &'static str,
    /// The relations whose rows are to be locked.
    wanted: Mutex<HashMap<String, Meant>>,
}

impl<'n> Locators<'n> {
    /// Those where relations of these names say where rows lie.
    pub(super) fn new<'w>(
        names: &'n SessionNames,
        verb: &'static str,
        wanted: impl Iterator<Item = &'w str>,
    ) -> Self {
        let wanted = wanted.map(|name| (name.to_owned(), Meant::Unknown));
        Self {
            names,
            verb,
            wanted: Mutex::new(wanted.collect()),
        }
    }

    /// The tables whose rows a name showed, each with the views through which, the outermost first.
    pub(super) fn found(&self, name: &str) -> Vec<(TableId, Vec<TableId>)> {
        let mut found = Vec::new();
        let wanted = self.wanted.lock();
        // The names that are still to be followed, the next one last.
        let mut left = vec![(name, Vec::new())];
        while let Some((name, views)) = left.pop() {
            match wanted.get(name) {
                None | Some(Meant::Unknown) => {}
                Some(Meant::Table(table)) => found.push((*table, views)),
                Some(Meant::View(view, _)) if views.contains(view) => {}
                Some(Meant::View(view, below)) => {
                    let views: Vec<TableId> = views.into_iter().chain([*view]).collect();
                    let below = below.iter().rev();
                    left.extend(below.map(|name| (name.as_str(), views.clone())));
                }
            }
        }
        found
    }

    /// A view that shows the rows of tables, with where they lie behind its columns.
    fn placed(&self, view: Relation, called: &str) -> Result<Relation, Error> {
        let Relation::View {
            oid,
            schema,
            name,
            columns,
            query,
        } = view
        else {
            return Ok(view);
        };
        let mut query = query.tree()?;
        let shown = From::of_view(self.names, &mut query, self.verb)?;
        // A view below shows rows of several tables, under one name.
        let bases = shown.into_iter().filter(|shown| shown.number == 0);
        let bases: Vec<String> = bases.map(|shown| shown.table).collect();
        let mut wanted = self.wanted.lock();
        for base in &bases {
            wanted.entry(base.clone()).or_insert(Meant::Unknown);
        }
        wanted.insert(called.to_owned(), Meant::View(TableId(oid), bases));
        Ok(Relation::View {
            oid,
            schema,
            name,
            columns,
            query: ViewQuery::Tree(query),
        })
    }
}

/// What a relation calls the column that says where the rows of one of its tables lie.
pub(super) fn column(number: usize, count: usize) -> String {
    match count {
        1 => LOCATOR.to_owned(),
        _ => format!("{LOCATOR}{number}"),
    }
}

/// How many tables' rows a name shows: one of a table, and of a view as many as those below it.
///
/// # Errors
/// 0A000 for a view whose rows cannot be locked.
pub(super) fn tables_of(
    names: &SessionNames,
    schema: Option<&str>,
    name: &str,
    verb: &'static str,
) -> Result<usize, Error> {
    match names.relation(schema, name)? {
        Some(Relation::View { query, .. }) => {
            let mut query = query.tree()?;
            Ok(From::of_view(names, &mut query, verb)?.len())
        }
        _ => Ok(1),
    }
}

impl Names for Locators<'_> {
    fn row_policies(
        &self,
        table: TableId,
        view: Option<u32>,
        command: PolicyCommand,
        check: bool,
    ) -> Result<Option<RowPolicies>, Error> {
        let seen = self.names.row_policies(table, view, command, check)?;
        let is = |of: &Meant| matches!(of, Meant::Table(of) if *of == table);
        let locked = || self.wanted.lock().values().any(is);
        if command != PolicyCommand::Select || seen.is_none() || !locked() {
            return Ok(seen);
        }
        // Who locks rows may be about to update them: only those that he may are there.
        let updated = self
            .names
            .row_policies(table, view, PolicyCommand::Update, false)?;
        Ok(seen.zip(updated).map(|(seen, updated)| seen.and(&updated)))
    }

    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>, Error> {
        let wanted = self.wanted.lock().contains_key(name);
        if !wanted {
            return self.names.relation(schema, name);
        }
        match self.names.relation(schema, name)? {
            Some(Relation::Table(_)) => {}
            Some(view @ Relation::View { .. }) => return self.placed(view, name).map(Some),
            None => return Ok(None),
        }
        let target = self.names.target(schema, name, self.verb)?;
        let mut table = target.table;
        table.columns.push(TableColumn {
            name: LOCATOR.to_owned(),
            ty: SqlType::Numeric(Some((38, 0))),
            attribute: -1,
        });
        let meant = Meant::Table(target.catalog.id);
        self.wanted.lock().insert(name.to_owned(), meant);
        Ok(Some(Relation::Table(table)))
    }

    fn system_columns(
        &self,
        table: TableId,
        chunk: Option<ChunkId>,
    ) -> Option<Arc<dyn TableSource>> {
        self.names.system_columns(table, chunk)
    }

    fn enter(&self, schema: &str) -> Result<(), Error> {
        self.names.enter(schema)
    }

    fn user_type(&self, schema: Option<&str>, name: &str) -> Result<Option<OwnType>, Error> {
        self.names.user_type(schema, name)
    }

    fn parameter(&self, of: Option<&str>, name: &str) -> Option<usize> {
        self.names.parameter(of, name)
    }

    fn variable(&self, of: Option<&str>, name: &str) -> Result<Option<Variable>, Error> {
        self.names.variable(of, name)
    }

    fn conflict(&self) -> Conflict {
        self.names.conflict()
    }

    fn routines(&self, schema: Option<&str>, name: &str) -> Result<Vec<Arc<Routine>>, Error> {
        self.names.routines(schema, name)
    }

    fn may_execute(&self, routine: &Routine) -> Result<(), Error> {
        self.names.may_execute(routine)
    }

    fn schema_of_type(&self, ty: &Type) -> Option<String> {
        self.names.schema_of_type(ty)
    }

    fn schema_of(&self, routine: &Routine) -> Option<String> {
        self.names.schema_of(routine)
    }

    fn domain_chain(&self, domain: TypeId) -> Vec<Arc<Type>> {
        self.names.domain_chain(domain)
    }

    fn row_of(&self, relation: TableId) -> Option<Vec<(String, SqlType)>> {
        self.names.row_of(relation)
    }

    fn rows_named(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<(String, SqlType)>, Error> {
        self.names.rows_named(schema, name)
    }

    fn required(&self, relation: TableId) -> Option<usize> {
        self.names.required(relation)
    }

    fn row_type(&self, relation: TableId) -> Option<SqlType> {
        self.names.row_type(relation)
    }

    fn vars(&self) -> &SessionVars {
        self.names.vars()
    }
}
