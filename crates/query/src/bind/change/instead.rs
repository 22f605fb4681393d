//! Views whose INSTEAD OF triggers take what is done to their rows: the rows are those of the view's
//! query, and no table is changed but by what the triggers do.

use chronolith_sql::ast::TableAlias;

use super::super::names::Relation;
use super::super::scope::{Scope, ScopeColumn};
use super::super::state::{Binder, Rel, Result, project, told, typed};
use super::target::{ChangeTarget, Changed, current_of_view};
use super::through::{Triggered, stepped};
use crate::error::Error;
use crate::functions::canonical_form;

impl Binder<'_> {
    /// The rows of a view that UPDATE or DELETE hands to its triggers.
    pub(super) fn changed_instead(
        &mut self,
        target: ChangeTarget,
        alias: Option<&TableAlias>,
        cursor: Option<&str>,
    ) -> Result<Changed> {
        if cursor.is_some() {
            return Err(current_of_view());
        }
        let mut rel = self.rows_shown(&target)?;
        let row = self.through(&target.views, rel.scope)?;
        rel.plan = stepped(rel.plan, &row.steps, true)?;
        rel.scope = row.scope.clone();
        let rel = self.aliased(rel, alias)?;
        self.readable(target.named().0, &rel.scope);
        Ok(Changed {
            oid: target.named().0,
            target,
            row,
            rel,
            locator: String::new(),
            current: None,
        })
    }

    /// The rows of the view itself, each value in the form that a table would have it in.
    fn rows_shown(&mut self, target: &ChangeTarget) -> Result<Rel> {
        let table = &target.table;
        let found = self.names.relation(Some(&table.schema), &table.name)?;
        let Some(Relation::View {
            oid,
            schema,
            name,
            columns,
            query,
        }) = found
        else {
            return Err(Error::internal("a view is gone"));
        };
        let around = self.view.replace(oid);
        let rel = self.view(&schema, &name, &columns, query);
        self.view = around;
        let rel = rel?;
        let mut exprs = Vec::with_capacity(rel.scope.columns.len());
        let mut columns = Vec::with_capacity(rel.scope.columns.len());
        for found in &rel.scope.columns {
            let value = canonical_form(typed(found)).map_err(told)?;
            let column = self.fresh_as(&found.name);
            exprs.push(value.expr.alias(&column));
            columns.push(ScopeColumn {
                column,
                arrow: value.arrow,
                ..found.clone()
            });
        }
        Ok(Rel {
            plan: project(rel.plan, exprs)?,
            scope: Scope {
                columns,
                ..rel.scope
            },
        })
    }

    /// What can be done to a relation with triggers.
    pub(super) fn triggered(&mut self, schema: &str, name: &str) -> Triggered {
        let mut can = |verb: &'static str| {
            let Ok((views, base)) = self.chain(Some(schema), name, verb, true) else {
                return false;
            };
            let target = self.names.target(base.0.as_deref(), &base.1, verb);
            target.is_ok_and(|target| target.instead || views.is_empty())
        };
        Triggered {
            insert: can("INSERT"),
            update: can("UPDATE"),
            delete: can("DELETE"),
        }
    }
}
