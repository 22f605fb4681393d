//! UPDATE and DELETE.

use std::collections::BTreeSet;

use chronolith_catalog::{PolicyCommand, Rights};
use chronolith_sql::ast::{self, FromTable, JoinConstraint, TableWithJoins, UpdateTableFromKind};
use chronolith_sql::current_of;
use chronolith_types::SqlState;
use datafusion::common::JoinType;
use datafusion::logical_expr::Expr;

use super::super::scope::{Scope, ScopeColumn};
use super::super::select::filtered;
use super::super::state::{Binder, Clause, Place, Rel, Result, column, position, project, typed};
use super::assign::{Given, sets_key};
use super::secured::Asked;
use super::target::Changed;
use super::through::Row;
use super::{Change, Subject, What, named_columns};
use crate::error::Error;
use crate::functions::Typed;
use crate::routines::Event;

impl Binder<'_> {
    pub(super) fn update(&mut self, update: &ast::Update) -> Result<Change> {
        if update.limit.is_some() || !update.order_by.is_empty() {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
        }
        let read = reads_rows(update);
        let commands = [PolicyCommand::Update, PolicyCommand::Select];
        let commands = commands.get(..=usize::from(read)).unwrap_or(&commands);
        let cursor = update.selection.as_ref().and_then(current_of);
        let target = self.changed_alone(&update.table, "UPDATE", commands, cursor)?;
        let own = target.rel.scope.clone();
        let from = match &update.from {
            None => &[],
            Some(UpdateTableFromKind::AfterSet(tables)) => tables.as_slice(),
            Some(UpdateTableFromKind::BeforeSet(_)) => {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
            }
        };
        let all = self.with_others(target.rel, from)?;
        let (all, condition) = self.wanted(all, target.oid, &own, update.selection.as_ref())?;
        let into = Given::of(self.names, &target.target, &target.row, false);
        let set = self.assignments(&all.scope, &into, &update.assignments)?;
        let sets = super::set_places(&set);
        let given = set.iter().flatten().map(|value| &value.expr);
        self.reads(target.oid, &own, given);
        let keyed = sets_key(&target.target.catalog, &set);
        let instead = target.target.instead;
        let (mut exprs, new) = self.new_row(&target.locator, &target.row.base, set);
        if instead {
            exprs.splice(..1, as_it_is(&target.row));
        }
        let returning = match &update.returning {
            None => None,
            Some(items) => {
                // RETURNING sees the new row where the old one stood.
                let base = Scope {
                    columns: new,
                    relations: target.row.base.relations.clone(),
                };
                let mut row = self.through(&target.target.views, base)?;
                row.scope.relations = all.scope.relations.clone();
                for (new, old) in row.scope.columns.iter_mut().zip(&own.columns) {
                    new.table.clone_from(&old.table);
                    new.schema.clone_from(&old.schema);
                }
                let others = all.scope.columns.get(own.columns.len()..);
                let others = others.unwrap_or_default();
                let (returning, more) = self.returning(items, &row, others)?;
                self.reads_returned(target.oid, &row.scope, &returning);
                exprs.extend(more.iter().map(|name| column(name)));
                Some(returning)
            }
        };
        let condition = condition.filter(|_| from.is_empty());
        let locator = &target.locator;
        let table = &target.target.catalog;
        let by_key = match instead || self.is_secured(&target.target)? {
            true => None,
            false => self.by_key(table, &target.row, locator, condition.as_ref(), &exprs)?,
        };
        self.reads_below(&target.target);
        let updates = named_columns(&target.target, &target.row, sets.iter().copied());
        let asked = [
            Asked::made(Subject::Updated, PolicyCommand::Update),
            Asked::there(Subject::Updated, PolicyCommand::Select),
        ];
        let asked = asked.get(..=usize::from(read)).unwrap_or(&asked);
        let mut held = self.held_by_policies(&target.target, asked)?;
        held.extend(self.held_rows(&target.target)?);
        Ok(Change {
            by_key,
            named: target.oid,
            views: target.target.views.iter().map(|view| view.oid).collect(),
            held,
            table: target.target.catalog,
            rights: Rights::UPDATE,
            current: target.current,
            what: match (instead, project(all.plan, exprs)?) {
                (true, plan) => What::Instead {
                    event: Event::Update,
                    plan,
                },
                (false, plan) => What::Update(plan),
            },
            inserts: BTreeSet::new(),
            updates,
            sets,
            keyed,
            returning,
            slot: None,
        })
    }

    pub(super) fn delete(&mut self, delete: &ast::Delete) -> Result<Change> {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        let ([table], true, true, None) = (
            tables.as_slice(),
            delete.tables.is_empty(),
            delete.order_by.is_empty(),
            &delete.limit,
        ) else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
        };
        let read =
            delete.selection.is_some() || delete.using.is_some() || delete.returning.is_some();
        let commands = [PolicyCommand::Delete, PolicyCommand::Select];
        let commands = commands.get(..=usize::from(read)).unwrap_or(&commands);
        let cursor = delete.selection.as_ref().and_then(current_of);
        let Changed {
            target,
            row,
            oid,
            rel,
            locator,
            current,
        } = self.changed_alone(table, "DELETE", commands, cursor)?;
        let own = rel.scope.clone();
        let all = self.with_others(rel, delete.using.as_deref().unwrap_or_default())?;
        let (all, condition) = self.wanted(all, oid, &own, delete.selection.as_ref())?;
        let mut exprs = match target.instead {
            true => as_it_is(&row),
            false => vec![column(&locator)],
        };
        let returning = match &delete.returning {
            None => None,
            Some(items) => {
                let nothing = Row {
                    base: Scope::default(),
                    scope: Scope {
                        columns: Vec::new(),
                        relations: all.scope.relations.clone(),
                    },
                    from: Vec::new(),
                    defaults: Vec::new(),
                    steps: Vec::new(),
                };
                let (returning, more) = self.returning(items, &nothing, &all.scope.columns)?;
                self.reads_returned(oid, &own, &returning);
                exprs.extend(more.iter().map(|name| column(name)));
                Some(returning)
            }
        };
        let condition = condition.filter(|_| delete.using.is_none());
        let table = &target.catalog;
        let by_key = match target.instead || self.is_secured(&target)? {
            true => None,
            false => self.by_key(table, &row, &locator, condition.as_ref(), &exprs)?,
        };
        self.reads_below(&target);
        Ok(Change {
            by_key,
            named: oid,
            views: target.views.iter().map(|view| view.oid).collect(),
            held: Vec::new(),
            table: target.catalog,
            rights: Rights::DELETE,
            current,
            what: match (target.instead, project(all.plan, exprs)?) {
                (true, plan) => What::Instead {
                    event: Event::Delete,
                    plan,
                },
                (false, plan) => What::Delete(plan),
            },
            inserts: BTreeSet::new(),
            updates: BTreeSet::new(),
            sets: Vec::new(),
            keyed: false,
            returning,
            slot: None,
        })
    }

    /// The target beside FROM or USING.
    fn with_others(&mut self, target: Rel, others: &[TableWithJoins]) -> Result<Rel> {
        if others.is_empty() {
            return Ok(target);
        }
        let others = self.from(others)?;
        let mut scope = target.scope.clone();
        scope.columns.extend(others.scope.columns.iter().cloned());
        let relations = others.scope.relations.iter();
        scope.relations.extend(relations.cloned());
        // The side of a join that stands first is gathered in memory where nobody knows how many rows
        // either has, and the target's are the more.
        let all = self.combine(others, target, JoinType::Inner, &JoinConstraint::None)?;
        Ok(Rel { scope, ..all })
    }

    /// The rows that WHERE wants, and what it says.
    fn wanted(
        &mut self,
        mut all: Rel,
        oid: u32,
        own: &Scope,
        condition: Option<&ast::Expr>,
    ) -> Result<(Rel, Option<Expr>)> {
        let Some(condition) = condition else {
            return Ok((all, None));
        };
        if current_of(condition).is_some() {
            // The target has no other row.
            return Ok((all, None));
        }
        let place = Place {
            scope: &all.scope,
            clause: Clause::Where,
        };
        let value = self.kept_by(place, condition)?;
        let condition = self.condition(value, "WHERE", position(condition))?;
        self.reads(oid, own, [&condition]);
        all.plan = filtered(all.plan, condition.clone())?;
        Ok((all, Some(condition)))
    }

    /// The locator and the columns of a row as they are to be, under new names.
    pub(super) fn new_row(
        &mut self,
        locator: &str,
        own: &Scope,
        set: Vec<Option<Typed>>,
    ) -> (Vec<Expr>, Vec<ScopeColumn>) {
        let mut exprs = vec![column(locator)];
        let mut new = Vec::with_capacity(own.columns.len());
        for (old, value) in own.columns.iter().zip(set) {
            let value = value.unwrap_or_else(|| typed(old));
            let name = self.fresh_as(&old.name);
            exprs.push(value.expr.alias(&name));
            new.push(ScopeColumn {
                column: name,
                arrow: value.arrow,
                ..old.clone()
            });
        }
        (exprs, new)
    }
}

/// The columns of a row that triggers get to see.
fn as_it_is(row: &Row) -> Vec<Expr> {
    let columns = row.base.columns.iter();
    // RETURNING may name the same columns.
    let old = |name: &str| column(name).alias(format!("{name} before"));
    columns.map(|of| old(&of.column)).collect()
}

/// Whether an UPDATE reads the rows that it changes, and so needs the right to.
fn reads_rows(update: &ast::Update) -> bool {
    let plain = |set: &ast::Assignment| {
        matches!(&set.value, ast::Expr::Value(_))
            || matches!(&set.value, ast::Expr::Identifier(word) if word.value == "default")
    };
    update.selection.is_some()
        || update.from.is_some()
        || update.returning.is_some()
        || !update.assignments.iter().all(plain)
}
