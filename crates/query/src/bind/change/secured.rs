//! Row-level security in plans: which rows of a table are there for the statement, and which it may
//! make.

use chronolith_catalog::PolicyCommand;
use chronolith_types::TableId;
use datafusion::logical_expr::{Expr, lit};

use super::super::names::Table;
use super::super::scope::Scope;
use super::super::select::filtered;
use super::super::state::{Binder, Clause, Place, Rel, Result, typed};
use super::{Broken, ChangeTarget, Held, Subject};
use crate::error::Error;
use crate::nodes::Barrier;
use crate::rights::RowPolicies;

/// What is asked of rows by the policies of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    subject: Subject,
    command: PolicyCommand,
    /// Whether the command makes them: else it finds them.
    made: bool,
}

impl Asked {
    /// That a command may make rows.
    pub(super) fn made(subject: Subject, command: PolicyCommand) -> Self {
        Self {
            subject,
            command,
            made: true,
        }
    }

    /// That rows are there for a command.
    pub(super) fn there(subject: Subject, command: PolicyCommand) -> Self {
        Self {
            subject,
            command,
            made: false,
        }
    }
}

impl Binder<'_> {
    /// The rows of a table that are there for all of some commands.
    pub(in crate::bind) fn secured(
        &mut self,
        table: &Table,
        mut rel: Rel,
        commands: &[PolicyCommand],
    ) -> Result<Rel> {
        for command in commands {
            let found = self
                .names
                .row_policies(TableId(table.oid), self.view, *command, false)?;
            let Some(policies) = found else {
                return Ok(rel);
            };
            let shown = self.policies_shown(table, &rel.scope, &policies)?;
            rel.plan = filtered(rel.plan, shown)?;
        }
        rel.plan = Barrier::plan(rel.plan);
        Ok(rel)
    }

    fn policies_shown(
        &mut self,
        table: &Table,
        scope: &Scope,
        policies: &RowPolicies,
    ) -> Result<Expr> {
        let mut shown = self.any_of(table, scope, &policies.permissive)?;
        for (_, text) in &policies.restrictive {
            shown = shown.and(self.policy(table, scope, text)?);
        }
        Ok(shown)
    }

    /// Without any, no row is there.
    fn any_of(&mut self, table: &Table, scope: &Scope, texts: &[String]) -> Result<Expr> {
        let mut any: Option<Expr> = None;
        for text in texts {
            let one = self.policy(table, scope, text)?;
            any = Some(match any {
                None => one,
                Some(any) => any.or(one),
            });
        }
        Ok(any.unwrap_or_else(|| lit(false)))
    }

    /// The condition of a policy: it sees neither WITH nor the columns around it.
    fn policy(&mut self, table: &Table, scope: &Scope, text: &str) -> Result<Expr> {
        if self.securing.contains(&table.oid) {
            return Err(Error::new(
                chronolith_types::SqlState::new(b"42P17"),
                format!(
                    "infinite recursion detected in policy for relation \"{}\"",
                    table.name
                ),
            ));
        }
        let tree = chronolith_sql::expression(text)?;
        let outer = std::mem::take(&mut self.outer);
        let ctes = std::mem::take(&mut self.ctes);
        let frames = std::mem::take(&mut self.frames);
        let calls = std::mem::take(&mut self.calls);
        let changing = std::mem::replace(&mut self.changing, false);
        self.securing.push(table.oid);
        self.views += 1;
        let place = Place {
            scope,
            clause: Clause::Where,
        };
        let bound = self.deeper(|binder| {
            let value = binder.expr(place, &tree)?;
            binder.condition(value, "POLICY", None)
        });
        self.views -= 1;
        self.securing.pop();
        self.outer = outer;
        self.ctes = ctes;
        self.frames = frames;
        self.calls = calls;
        self.changing = changing;
        bound.map_err(|mut error| {
            // Positions are in the policy's text, not in the client's.
            error.position = None;
            error
        })
    }

    /// What row-level security holds rows of a target against.
    pub(super) fn held_by_policies(
        &mut self,
        target: &ChangeTarget,
        asked: &[Asked],
    ) -> Result<Vec<Held>> {
        let around = self.view;
        self.view = target.views.last().map(|view| view.oid).or(around);
        let held = self.held_of(target, asked);
        self.view = around;
        held
    }

    fn held_of(&mut self, target: &ChangeTarget, asked: &[Asked]) -> Result<Vec<Held>> {
        let table = &target.table;
        let mut held = Vec::new();
        for asked in asked {
            let (command, check) = (asked.command, asked.made);
            let found = self
                .names
                .row_policies(TableId(table.oid), self.view, command, check)?;
            let Some(policies) = found else {
                return Ok(Vec::new());
            };
            let base = self.row_of_table(table, None);
            let any = self.any_of(table, &base, &policies.permissive)?;
            held.push(self.held_to(target, asked.subject, &base, any, None)?);
            for (name, text) in &policies.restrictive {
                let base = self.row_of_table(table, None);
                let one = self.policy(table, &base, text)?;
                let name = Some(name.clone());
                held.push(self.held_to(target, asked.subject, &base, one, name)?);
            }
        }
        Ok(held)
    }

    fn held_to(
        &mut self,
        target: &ChangeTarget,
        subject: Subject,
        base: &Scope,
        met: Expr,
        policy: Option<String>,
    ) -> Result<Held> {
        let missed = Expr::IsNotTrue(Box::new(met));
        let columns: Vec<Expr> = base.columns.iter().map(|c| typed(c).expr).collect();
        let over = self.over_row(&base.columns, &[], Some(missed), columns)?;
        Ok(Held {
            subject,
            broken: Broken::Policy {
                table: target.catalog.name.clone(),
                policy,
            },
            over,
        })
    }

    /// Whether row-level security says anything of a target's rows.
    pub(super) fn is_secured(&mut self, target: &ChangeTarget) -> Result<bool> {
        let view = target.views.last().map(|view| view.oid).or(self.view);
        let table = TableId(target.table.oid);
        let found = self
            .names
            .row_policies(table, view, PolicyCommand::All, false)?;
        Ok(found.is_some())
    }
}
