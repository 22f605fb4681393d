//! The table whose rows are changed.

use std::sync::Arc;

use arrow::datatypes::Schema;
use chronolith_catalog::{self as catalog, PolicyCommand};
use chronolith_sql::ast::{self, TableFactor, TableWithJoins};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

use super::super::names::{Table, TableColumn, Variable, no_target, of_this_database};
use super::super::scope::Scope;
use super::super::state::{Binder, Rel, Result, field, position, unsupported};
use super::super::uses::attribute;
use super::CurrentOf;
use super::through::{Base, Row, WrittenView, stepped};
use crate::error::Error;

/// A table that rows are changed in.
#[derive(Debug, Clone)]
pub struct ChangeTarget {
    /// As a scan sees it: the last column of its source is the locator of each row.
    pub table: Table,
    /// What is known of it.
    pub catalog: Arc<catalog::Table>,
    /// Whether it is a view, whose triggers are called instead.
    pub instead: bool,
    /// The views through which it is named, the outermost first.
    pub views: Vec<WrittenView>,
}

impl ChangeTarget {
    /// The oid and the name of what the statement names.
    pub(super) fn named(&self) -> (u32, &str) {
        match self.views.first() {
            Some(view) => (view.oid, &view.name),
            None => (self.table.oid, &self.catalog.name),
        }
    }
}

/// The target with its rows.
pub(super) struct Changed {
    pub target: ChangeTarget,
    pub row: Row,
    pub oid: u32,
    /// What it is called in the statement.
    pub rel: Rel,
    /// The internal name of the locator.
    pub locator: String,
    /// The cursor whose row alone it has.
    pub current: Option<CurrentOf>,
}

impl Binder<'_> {
    /// The table of a name.
    pub(super) fn change_target(
        &mut self,
        name: &ast::ObjectName,
        verb: &'static str,
    ) -> Result<ChangeTarget> {
        let at = position(name);
        let parts = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|ident| ident.value.as_str())
            .collect::<Vec<_>>();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, *table),
            [.., schema, table] => (Some(*schema), *table),
            [] => return Err(Error::new(SqlState::SYNTAX_ERROR, "a name is missing")),
        };
        let with = |binder: &Self| binder.ctes.iter().any(|(name, _)| name == table);
        if schema.is_none() && with(self) && self.names.written_view(None, table)?.is_none() {
            // PostgreSQL looks for tables alone, and says so where there is none.
            let found = self.names.target(schema, table, verb);
            return found.map_err(|error| {
                let error = match error.code == SqlState::UNDEFINED_TABLE {
                    true => Error::new(
                        SqlState::UNDEFINED_TABLE,
                        format!(
                            "relation \"{table}\" cannot be the target of a modifying statement"
                        ),
                    ),
                    false => error,
                };
                error.at(at)
            });
        }
        of_this_database(self.names, name).map_err(|error| error.at(at))?;
        if let Some(schema) = schema {
            self.names.enter(schema).map_err(|error| error.at(at))?;
        }
        let chain = self.chain(schema, table, verb, true);
        let (views, base) =
            chain.map_err(|error| placed(no_target(self.names, schema, table, error), at))?;
        let found = self.names.target(base.0.as_deref(), &base.1, verb);
        let found = found.map_err(|error| {
            let error = match views.is_empty() {
                true => no_target(self.names, schema, table, error),
                false => error,
            };
            placed(error, at)
        })?;
        Ok(ChangeTarget { views, ..found })
    }

    /// The views of a name, the outermost first, and the relation below them; with `triggers` one
    /// whose INSTEAD OF triggers take the rows is that relation.
    pub(super) fn chain(
        &mut self,
        schema: Option<&str>,
        table: &str,
        verb: &str,
        triggers: bool,
    ) -> Result<(Vec<WrittenView>, Base)> {
        let mut views = Vec::new();
        let mut base = (schema.map(str::to_owned), table.to_owned());
        loop {
            const VIEWS_MAX: usize = 50;
            let found = self.names.written_view(base.0.as_deref(), &base.1);
            let Some(view) = found? else {
                return Ok((views, base));
            };
            if verb == "MERGE" {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("cannot execute MERGE on relation \"{}\"", view.name),
                )
                .detail("This operation is not supported for views."));
            }
            if triggers && view.instead.contains(&verb) {
                return Ok((views, base));
            }
            if views.len() >= VIEWS_MAX {
                return Err(Error::new(
                    SqlState::new(b"42P17"),
                    format!("infinite recursion detected in rules for relation \"{table}\""),
                ));
            }
            base = self.below(&view, verb)?;
            views.push(view);
        }
    }

    /// The table of UPDATE, DELETE or MERGE with its rows and their locators.
    pub(super) fn changed(
        &mut self,
        factor: &TableFactor,
        verb: &'static str,
        commands: &[PolicyCommand],
        cursor: Option<&str>,
    ) -> Result<Changed> {
        let TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = factor
        else {
            return Err(unsupported(format!("{verb} of {factor}")));
        };
        let target = self.change_target(name, verb)?;
        if target.instead {
            return self.changed_instead(target, alias.as_ref(), cursor);
        }
        let mut table = target.table.clone();
        table.columns.push(TableColumn {
            name: chronolith_chunk::LOCATOR_COLUMN.to_owned(),
            ty: SqlType::Numeric(None),
            attribute: -1,
        });
        let mut rel = self.scan(&table)?;
        if cursor.is_some() && !target.views.is_empty() {
            return Err(current_of_view());
        }
        let current = match cursor {
            None => None,
            Some(cursor) => {
                let columns = rel.scope.columns.iter();
                let fields: Vec<_> = columns.map(|c| field(&c.column, &c.arrow)).collect();
                let slot = self.slot();
                rel.plan = self.read_slot(slot, &Arc::new(Schema::new(fields)))?;
                let variable = match self.names.variable(None, cursor)? {
                    Some(Variable::Value(number, SqlType::Refcursor)) => Some(number),
                    _ => None,
                };
                let cursor = cursor.to_owned();
                Some(CurrentOf {
                    slot,
                    cursor,
                    variable,
                })
            }
        };
        let around = self.view;
        self.view = target.views.last().map(|view| view.oid).or(around);
        let rel = self.secured(&table, rel, commands);
        self.view = around;
        let mut rel = rel?;
        let locator = rel.scope.columns.pop();
        let locator = locator.ok_or_else(|| Error::internal("a table without locators"))?;
        let row = self.through(&target.views, rel.scope)?;
        rel.plan = stepped(rel.plan, &row.steps, true)?;
        rel.scope = row.scope.clone();
        let rel = self.aliased(rel, alias.as_ref())?;
        self.readable(target.named().0, &rel.scope);
        Ok(Changed {
            oid: target.named().0,
            target,
            row,
            rel,
            locator: locator.column,
            current,
        })
    }

    /// The same where a join is allowed by the grammar but not by PostgreSQL.
    pub(super) fn changed_alone(
        &mut self,
        table: &TableWithJoins,
        verb: &'static str,
        commands: &[PolicyCommand],
        cursor: Option<&str>,
    ) -> Result<Changed> {
        match table.joins.first() {
            None => self.changed(&table.relation, verb, commands, cursor),
            Some(_) => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "syntax error at or near \"join\"",
            )),
        }
    }

    /// Notes that columns of the target are read, if they are.
    pub(super) fn reads<'e>(
        &mut self,
        oid: u32,
        target: &Scope,
        exprs: impl IntoIterator<Item = &'e Expr>,
    ) {
        for name in exprs.into_iter().flat_map(named) {
            let place = target.columns.iter().position(|c| c.column == name);
            let found = place.and_then(|at| Some((at, target.columns.get(at)?)));
            if let Some((at, column)) = found
                && let Some(used) = self.use_of(oid, None)
            {
                used.columns.insert(attribute(oid, column, at));
            }
        }
    }
}

/// 0A000 for WHERE CURRENT OF of a view, as PostgreSQL has it.
pub(super) fn current_of_view() -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "WHERE CURRENT OF on a view is not implemented",
    )
}

/// The error of a name that is not there says where it stands, that of a relation of the wrong kind
/// does not.
fn placed(error: Error, at: Option<u32>) -> Error {
    match error.code {
        SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME => error.at(at),
        _ => error,
    }
}

/// The columns that an expression names, those that queries within it name outside of them too.
pub(super) fn named(expr: &Expr) -> Vec<String> {
    let mut found = Vec::new();
    // Walking fails only when the closure does.
    let _ = expr.apply(|part| {
        match part {
            Expr::Column(column) => found.push(column.name.clone()),
            Expr::ScalarSubquery(query) => outer(&query.outer_ref_columns, &mut found),
            Expr::Exists(exists) => outer(&exists.subquery.outer_ref_columns, &mut found),
            Expr::InSubquery(within) => outer(&within.subquery.outer_ref_columns, &mut found),
            Expr::SetComparison(set) => outer(&set.subquery.outer_ref_columns, &mut found),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

fn outer(columns: &[Expr], found: &mut Vec<String>) {
    for column in columns {
        if let Expr::OuterReferenceColumn(_, column) = column {
            found.push(column.name.clone());
        }
    }
}
