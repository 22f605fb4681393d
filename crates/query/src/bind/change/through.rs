//! Views whose rows are changed: what they show is bound over the columns of the table below, once
//! for rows as they are and once for rows as they are to be.

use std::collections::BTreeMap;

use chronolith_catalog::CheckOption;
use chronolith_sql::ast::{self, SelectItem, SetExpr, TableFactor};
use chronolith_types::SqlState;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::super::names::Names;
use super::super::scope::{Alias, Scope, ScopeColumn};
use super::super::select::filtered;
use super::super::state::{Binder, Calls, Clause, Place, Result, Use, position, project, typed};
use super::target::ChangeTarget;
use super::{Broken, Held, Over, Subject};
use crate::error::Error;
use crate::evaluate::has_query;
use crate::functions::Typed;

/// A view as rows are written through it.
#[derive(Debug, Clone)]
pub struct WrittenView {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// The names of its columns.
    pub columns: Vec<String>,
    /// Its query.
    pub query: Box<ast::Query>,
    /// What rows are held against.
    pub check: Option<CheckOption>,
    /// What triggers of its own are called instead of.
    pub instead: Vec<&'static str>,
    /// Defaults of its columns, by their places.
    pub defaults: BTreeMap<u32, ast::Expr>,
}

/// Where a column of a row comes from.
#[derive(Debug, Clone)]
pub(super) enum From {
    /// From the table's column at a place.
    Table(usize),
    /// It is computed: by which view, and what it is called there.
    View { view: String, column: String },
}

/// A row of a table, as the statement sees it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The table's columns.
    pub base: Scope,
    /// What the statement sees of them.
    pub scope: Scope,
    /// Where each of what it sees comes from.
    pub from: Vec<From>,
    /// The defaults that views have for it.
    pub defaults: Vec<Option<ast::Expr>>,
    /// What the views make of it, the innermost first.
    pub steps: Vec<Step>,
}

/// What a view makes of a row.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Which rows it shows.
    pub filter: Option<Expr>,
    /// What it computes, by name.
    pub computed: Vec<(String, Expr)>,
}

/// The relation of a view's FROM.
pub(super) type Base = (Option<String>, String);

/// What a view asks of rows, and what it shows of them.
type Shown = (Option<Expr>, Vec<(ScopeColumn, Typed)>);

impl Row {
    /// A row that is seen as it is.
    pub(super) fn plain(scope: Scope) -> Self {
        Self {
            base: scope.clone(),
            from: (0..scope.columns.len()).map(From::Table).collect(),
            defaults: vec![None; scope.columns.len()],
            scope,
            steps: Vec::new(),
        }
    }

    /// Whether views compute columns of it.
    pub(super) fn computes(&self) -> bool {
        self.steps.iter().any(|step| !step.computed.is_empty())
    }

    /// What the views ask of it.
    pub(super) fn filters(&self) -> impl Iterator<Item = &Expr> {
        self.steps.iter().filter_map(|step| step.filter.as_ref())
    }
}

/// The views' columns beside those of a plan; with `filter`, of the rows that the views show.
pub(super) fn stepped(mut plan: LogicalPlan, steps: &[Step], filter: bool) -> Result<LogicalPlan> {
    for step in steps {
        if let Some(condition) = step.filter.as_ref().filter(|_| filter) {
            plan = filtered(plan, condition.clone())?;
        }
        if !step.computed.is_empty() {
            let known = plan.schema().columns();
            let mut exprs: Vec<Expr> = known.into_iter().map(Expr::Column).collect();
            let made = step.computed.iter();
            exprs.extend(made.map(|(name, expr)| expr.clone().alias(name)));
            plan = project(plan, exprs)?;
        }
    }
    Ok(plan)
}

/// An expression over what views make of a row as one over the row; None where queries are in it.
pub(super) fn lowered(expr: &Expr, steps: &[Step]) -> Result<Option<Expr>> {
    let mut expr = expr.clone();
    for step in steps.iter().rev() {
        if step.computed.is_empty() {
            continue;
        }
        if has_query(&expr) || step.computed.iter().any(|(_, made)| has_query(made)) {
            return Ok(None);
        }
        let replaced = expr.transform(|part| {
            let made = match &part {
                Expr::Column(named) => {
                    let mut computed = step.computed.iter();
                    computed.find(|(name, _)| *name == named.name)
                }
                _ => None,
            };
            Ok(match made {
                Some((_, made)) => Transformed::yes(made.clone()),
                None => Transformed::no(part),
            })
        })?;
        expr = replaced.data;
    }
    Ok(Some(expr))
}

impl Binder<'_> {
    /// A row of a target, under names of its own.
    pub(super) fn row_of(&mut self, target: &ChangeTarget, alias: Option<&str>) -> Result<Row> {
        if target.views.is_empty() {
            return Ok(Row::plain(self.row_of_table(&target.table, alias)));
        }
        let base = self.row_of_table(&target.table, None);
        let mut row = self.through(&target.views, base)?;
        if let Some(alias) = alias {
            rename(&mut row.scope, alias);
        }
        Ok(row)
    }

    /// A row of a table as the views over it show it; the views are the outermost first.
    pub(super) fn through(&mut self, views: &[WrittenView], base: Scope) -> Result<Row> {
        let mut row = Row::plain(base);
        for view in views.iter().rev() {
            row = self.inside(view, |binder| binder.seen(view, row))?;
        }
        Ok(row)
    }

    /// A row as a view over it shows it.
    fn seen(&mut self, view: &WrittenView, mut row: Row) -> Result<Row> {
        let (Some(select), Some(TableFactor::Table { name, alias, .. })) =
            (select_of(&view.query), factor_of(&view.query))
        else {
            return Err(Error::internal("a view of another kind"));
        };
        match alias {
            Some(alias) => {
                rename(&mut row.scope, &alias.name.value);
                let names = alias.columns.iter();
                for (column, given) in row.scope.columns.iter_mut().zip(names) {
                    column.name.clone_from(&given.name.value);
                }
            }
            None if !row.scope.relations.is_empty() => {}
            None => rename(&mut row.scope, &name.to_string()),
        }
        self.calls.push(Calls::default());
        let bound = self.shown(select, &row.scope);
        self.calls.pop();
        let (filter, items) = bound?;
        let mut step = Step {
            filter,
            computed: Vec::new(),
        };
        let mut columns = Vec::with_capacity(items.len());
        let mut from = Vec::with_capacity(items.len());
        let mut defaults = Vec::with_capacity(items.len());
        for (at, (mut found, value)) in items.into_iter().enumerate() {
            if let Some(name) = view.columns.get(at) {
                found.name.clone_from(name);
            }
            let below = match &value.expr {
                Expr::Column(named) => {
                    let mut all = row.scope.columns.iter();
                    all.position(|column| column.column == named.name)
                }
                _ => None,
            };
            let own = u32::try_from(at).ok();
            let own = own.and_then(|at| view.defaults.get(&at)).cloned();
            defaults.push(own.or_else(|| row.defaults.get(below?).cloned().flatten()));
            let (column, came) = match below.and_then(|at| row.from.get(at)) {
                Some(came) => match &value.expr {
                    Expr::Column(named) => (named.name.clone(), came.clone()),
                    _ => return Err(Error::internal("a column that is none")),
                },
                None => {
                    let column = self.fresh_as(&found.name);
                    step.computed.push((column.clone(), value.expr));
                    let came = From::View {
                        view: view.name.clone(),
                        column: found.name.clone(),
                    };
                    (column, came)
                }
            };
            from.push(came);
            columns.push(ScopeColumn {
                table: Some(view.name.clone()),
                schema: Some(view.schema.clone()),
                column,
                ty: value.ty,
                arrow: value.arrow,
                origin: None,
                visible: true,
                name: found.name,
            });
        }
        row.steps.push(step);
        Ok(Row {
            base: row.base,
            steps: row.steps,
            from,
            defaults,
            scope: Scope {
                columns,
                relations: vec![Alias {
                    name: view.name.clone(),
                    schema: Some(view.schema.clone()),
                    hides: None,
                }],
            },
        })
    }

    /// What a view asks of the rows below it, and what it shows of them.
    fn shown(&mut self, select: &ast::Select, scope: &Scope) -> Result<Shown> {
        let filter = match &select.selection {
            None => None,
            Some(condition) => {
                let place = Place {
                    scope,
                    clause: Clause::Where,
                };
                let value = self.expr(place, condition)?;
                Some(self.condition(value, "WHERE", position(condition))?)
            }
        };
        let items = self.items(scope, &select.projection, None, Clause::Select)?;
        let mut shown = Vec::with_capacity(items.len());
        for item in items {
            let value = self.settled(item.value)?;
            shown.push((item.column, value));
        }
        Ok((filter, shown))
    }

    /// Binds what a view's text says: it sees neither WITH nor the columns around it.
    fn inside<T>(
        &mut self,
        view: &WrittenView,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let outer = std::mem::take(&mut self.outer);
        let ctes = std::mem::take(&mut self.ctes);
        let frames = std::mem::take(&mut self.frames);
        let around = self.view.replace(view.oid);
        self.views += 1;
        let bound = self.deeper(bind);
        self.views -= 1;
        self.view = around;
        self.outer = outer;
        self.ctes = ctes;
        self.frames = frames;
        bound.map_err(|mut error| {
            // Positions are in the view's text, not in the client's.
            error.position = None;
            error
        })
    }

    /// The relation that rows are written to through a view.
    pub(super) fn below(&mut self, view: &WrittenView, verb: &str) -> Result<Base> {
        let base = self.inside(view, |binder| binder.base_of(&view.query, verb != "DELETE"))?;
        base.map_err(|why| cannot(&view.name, verb, why))
    }

    /// The relation that a query shows the rows of, or why it is not one to write through.
    fn base_of(
        &mut self,
        query: &ast::Query,
        written: bool,
    ) -> Result<std::result::Result<Base, &'static str>> {
        const SINGLE: &str =
            "Views that do not select from a single table or view are not automatically updatable.";
        let why = match query.body.as_ref() {
            SetExpr::Select(select) => unsuited(query, Some(select)),
            SetExpr::SetOperation { .. } => Some(
                "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable.",
            ),
            _ => unsuited(query, None).or(Some(SINGLE)),
        };
        let select = match (why, select_of(query)) {
            (Some(why), _) => return Ok(Err(why)),
            (None, Some(select)) => select,
            (None, None) => return Ok(Err(SINGLE)),
        };
        let plain = |item: &SelectItem| {
            matches!(
                item,
                SelectItem::UnnamedExpr(
                    ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)
                ) | SelectItem::ExprWithAlias {
                    expr: ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_),
                    ..
                } | SelectItem::Wildcard(_)
                    | SelectItem::QualifiedWildcard(..)
            )
        };
        if !select.projection.iter().all(plain) {
            let from = self.from(&select.from)?;
            self.calls.push(Calls::default());
            let bound = self.items(&from.scope, &select.projection, None, Clause::Select);
            let calls = self.calls.pop().unwrap_or_default();
            let items = bound?;
            if let Some(why) = calling(&calls) {
                return Ok(Err(why));
            }
            let known = |value: &Expr| match value {
                Expr::Column(named) => from.scope.internal(&named.name).is_some(),
                _ => false,
            };
            if written
                && factor_of(query).is_some()
                && !items.iter().any(|item| known(&item.value.expr))
            {
                return Ok(Err(
                    "Views that have no updatable columns are not automatically updatable.",
                ));
            }
        }
        let Some(TableFactor::Table { name, sample, .. }) = factor_of(query) else {
            return Ok(Err(SINGLE));
        };
        if sample.is_some() {
            return Ok(Err(
                "Views containing TABLESAMPLE are not automatically updatable.",
            ));
        }
        let parts = name.0.iter().filter_map(|part| part.as_ident());
        let parts: Vec<&str> = parts.map(|ident| ident.value.as_str()).collect();
        let (schema, name) = match parts.as_slice() {
            [name] => (None, (*name).to_owned()),
            [.., schema, name] => (Some((*schema).to_owned()), (*name).to_owned()),
            [] => return Ok(Err(SINGLE)),
        };
        match self.names.takes_rows(schema.as_deref(), &name)? {
            true => Ok(Ok((schema, name))),
            false => Ok(Err(SINGLE)),
        }
    }

    /// What rows that are written through views are held against, over the table's columns.
    pub(super) fn held_rows(&mut self, target: &ChangeTarget) -> Result<Vec<Held>> {
        let mut held = Vec::new();
        let mut cascaded = false;
        for (at, view) in target.views.iter().enumerate() {
            match view.check {
                None if !cascaded => continue,
                // What holds the rows of a view so holds those of all below it.
                check => cascaded = cascaded || check == Some(CheckOption::Cascaded),
            }
            let views = target.views.get(at..).unwrap_or_default();
            let base = self.row_of_table(&target.table, None);
            let row = self.through(views, base)?;
            let Some(filter) = row.steps.last().and_then(|step| step.filter.clone()) else {
                continue;
            };
            let below = row.steps.len().saturating_sub(1);
            let steps = row.steps.get(..below).unwrap_or_default();
            let columns: Vec<Expr> = row.base.columns.iter().map(|c| typed(c).expr).collect();
            let missed = Expr::IsNotTrue(Box::new(filter));
            let over: Over = self.over_row(&row.base.columns, steps, Some(missed), columns)?;
            held.push(Held {
                subject: Subject::New,
                broken: Broken::View(view.name.clone()),
                over,
            });
        }
        // Those of views below come first.
        held.reverse();
        Ok(held)
    }

    /// Who reads a view reads what is below it.
    pub(super) fn reads_below(&mut self, target: &ChangeTarget) {
        let Some(first) = target.views.first() else {
            return;
        };
        let read = |used: &Use| (used.relation, used.view) == (first.oid, None);
        if !self.uses.iter().any(read) {
            return;
        }
        // The owner of a view that is written through is asked for all of what is below.
        let columns = target.catalog.columns.iter().map(|column| column.id.0);
        let of_table: Vec<u32> = columns.collect();
        let below = target.views.iter().skip(1).map(|view| view.oid);
        for (view, relation) in target.views.iter().zip(below.chain([target.table.oid])) {
            if let Some(used) = self.use_of(relation, Some(view.oid))
                && relation == target.table.oid
            {
                used.columns.extend(of_table.iter().copied());
            }
        }
    }
}

/// Why a view's query is not one to write through; None for one that is. Its columns count where
/// rows are inserted or updated, not where they are deleted.
///
/// # Errors
/// What binding the query meets.
pub(crate) fn unwritable(
    names: &dyn Names,
    query: &ast::Query,
    columns: bool,
) -> Result<Option<&'static str>> {
    let mut binder = Binder::new(names, &[]);
    Ok(binder.base_of(query, columns)?.err())
}

/// What can be written through a view.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// Whether rows can be deleted.
    pub(crate) deletes: bool,
    /// Which columns can be given values.
    pub(crate) columns: Vec<bool>,
    /// What can be done with INSTEAD OF triggers.
    pub(crate) triggered: Triggered,
}

/// What can be done to a relation with INSTEAD OF triggers, by its own or those of a view below it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Triggered {
    pub(crate) insert: bool,
    pub(crate) update: bool,
    pub(crate) delete: bool,
}

impl Writes {
    /// Those of a view; none of one that cannot be bound.
    pub(crate) fn of(names: &dyn Names, schema: &str, name: &str) -> Self {
        let mut binder = Binder::new(names, &[]);
        let triggered = binder.triggered(schema, name);
        let Ok((views, base)) = binder.chain(Some(schema), name, "DELETE", false) else {
            return Self {
                triggered,
                ..Self::default()
            };
        };
        let row = names.target(base.0.as_deref(), &base.1, "UPDATE");
        let row = row.and_then(|target| {
            let base = binder.row_of_table(&target.table, None);
            binder.through(&views, base)
        });
        Self {
            deletes: row.is_ok(),
            triggered,
            columns: row.map_or_else(
                |_| Vec::new(),
                |row| {
                    let from = row.from.iter();
                    from.map(|from| matches!(from, From::Table(_))).collect()
                },
            ),
        }
    }

    /// Whether rows can be inserted and updated.
    pub(crate) fn updates(&self) -> bool {
        self.columns.contains(&true)
    }

    /// The events as `pg_relation_is_updatable` has them.
    pub(crate) fn events(&self, triggers: bool) -> i32 {
        const UPDATE: i32 = 1 << 2;
        const INSERT: i32 = 1 << 3;
        const DELETE: i32 = 1 << 4;
        let by = match triggers {
            true => self.triggered,
            false => Triggered::default(),
        };
        let bit = |on: bool, bit: i32| if on { bit } else { 0 };
        bit(self.updates() || by.update, UPDATE)
            | bit(self.updates() || by.insert, INSERT)
            | bit(self.deletes || by.delete, DELETE)
    }
}

/// 55000 for a view that rows are not written through.
fn cannot(view: &str, verb: &str, why: &str) -> Error {
    let (what, doing, event) = match verb {
        "INSERT" => ("insert into", "inserting into", "INSERT"),
        "DELETE" => ("delete from", "deleting from", "DELETE"),
        _ => ("update", "updating", "UPDATE"),
    };
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("cannot {what} view \"{view}\""),
    )
    .detail(why)
    .hint(format!(
        "To enable {doing} the view, provide an INSTEAD OF {event} trigger or an unconditional ON {event} DO INSTEAD rule."
    ))
}

/// The relation goes by another name.
fn rename(scope: &mut Scope, alias: &str) {
    let hides = match scope.relations.as_slice() {
        [one] if one.name != alias => Some(one.name.clone()),
        _ => None,
    };
    for column in &mut scope.columns {
        column.table = Some(alias.to_owned());
        column.schema = None;
    }
    scope.relations = vec![Alias {
        name: alias.to_owned(),
        schema: None,
        hides,
    }];
}

fn select_of(query: &ast::Query) -> Option<&ast::Select> {
    match query.body.as_ref() {
        SetExpr::Select(select) => Some(select),
        _ => None,
    }
}

/// The one thing in FROM.
fn factor_of(query: &ast::Query) -> Option<&TableFactor> {
    match select_of(query)?.from.as_slice() {
        [one] if one.joins.is_empty() => match &one.relation {
            table @ TableFactor::Table { args: None, .. } => Some(table),
            _ => None,
        },
        _ => None,
    }
}

/// What a query says that no view that is written through says, in PostgreSQL's order.
fn unsuited(query: &ast::Query, select: Option<&ast::Select>) -> Option<&'static str> {
    if let Some(select) = select {
        if select.distinct.is_some() {
            return Some("Views containing DISTINCT are not automatically updatable.");
        }
        let grouped = match &select.group_by {
            ast::GroupByExpr::All(_) => true,
            ast::GroupByExpr::Expressions(keys, more) => !keys.is_empty() || !more.is_empty(),
        };
        if grouped {
            return Some("Views containing GROUP BY are not automatically updatable.");
        }
        if select.having.is_some() {
            return Some("Views containing HAVING are not automatically updatable.");
        }
    }
    if query.with.is_some() {
        return Some("Views containing WITH are not automatically updatable.");
    }
    if query.limit_clause.is_some() || query.fetch.is_some() {
        return Some("Views containing LIMIT or OFFSET are not automatically updatable.");
    }
    None
}

/// What a select list calls that no view that is written through calls.
fn calling(calls: &Calls) -> Option<&'static str> {
    if !calls.aggregates.is_empty() {
        return Some("Views that return aggregate functions are not automatically updatable.");
    }
    if !calls.windows.is_empty() {
        return Some("Views that return window functions are not automatically updatable.");
    }
    if !calls.sets.is_empty() {
        return Some("Views that return set-returning functions are not automatically updatable.");
    }
    None
}
