//! Names under which tables also say where their rows lie, and views that show the rows of one table
//! where those of the table do.

use std::collections::HashMap;
use std::sync::Arc;

use chronolith_catalog::{PolicyCommand, Routine, Type};
use chronolith_sql::ast;
use chronolith_sql::plpgsql::Conflict;
use chronolith_types::{ChunkId, SqlType, TableId, TypeId};
use datafusion::logical_expr::TableSource;
use parking_lot::Mutex;

use super::names::SessionNames;
use crate::bind::{Names, OwnType, Relation, TableColumn, Variable, unwritable};
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
    /// A view, which shows the rows of what has this name.
    View(TableId, String),
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

    /// The table whose rows a name showed, and the views through which, the outermost first.
    pub(super) fn found(&self, name: &str) -> Option<(TableId, Vec<TableId>)> {
        let wanted = self.wanted.lock();
        let mut views = Vec::new();
        let mut name = name;
        loop {
            match wanted.get(name)? {
                Meant::Unknown => return None,
                Meant::Table(table) => return Some((*table, views)),
                Meant::View(view, _) if views.contains(view) => return None,
                Meant::View(view, below) => {
                    views.push(*view);
                    name = below;
                }
            }
        }
    }

    /// A view that shows the rows of one table, with where they lie before its columns.
    fn placed(&self, view: Relation, called: &str) -> Result<Relation, Error> {
        let refused = || Error::unsupported(format!("{} of this view", self.verb));
        let Relation::View {
            oid,
            schema,
            name,
            mut columns,
            sql,
        } = view
        else {
            return Ok(view);
        };
        let query = chronolith_sql::query(&sql)?;
        if !query.locks.is_empty() || unwritable(self.names, &query, false)?.is_some() {
            return Err(refused());
        }
        let ast::SetExpr::Select(select) = query.body.as_ref() else {
            return Err(refused());
        };
        let Some(ast::TableFactor::Table {
            name: base, alias, ..
        }) = select.from.first().map(|from| &from.relation)
        else {
            return Err(refused());
        };
        let last = base.0.last().and_then(|part| part.as_ident());
        let base = last.ok_or_else(refused)?.value.clone();
        let alias = alias.as_ref().map_or(&base, |alias| &alias.name.value);
        // Behind the SELECT that it begins with stand its columns.
        let text = sql.trim_start();
        let rest = text
            .get(..6)
            .filter(|word| word.eq_ignore_ascii_case("select"));
        let rest = rest.and(text.get(6..)).ok_or_else(refused)?;
        let next = rest.trim_start().get(..4).unwrap_or_default();
        if next.trim_end().eq_ignore_ascii_case("all") {
            return Err(refused());
        }
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let sql = format!("SELECT {}.{}, {rest}", quoted(alias), quoted(LOCATOR));
        if !columns.is_empty() {
            columns.insert(0, LOCATOR.to_owned());
        }
        let mut wanted = self.wanted.lock();
        wanted.insert(called.to_owned(), Meant::View(TableId(oid), base.clone()));
        wanted.entry(base).or_insert(Meant::Unknown);
        Ok(Relation::View {
            oid,
            schema,
            name,
            columns,
            sql,
        })
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
