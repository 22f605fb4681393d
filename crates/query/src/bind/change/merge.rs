//! MERGE.

use chronolith_catalog::{PolicyCommand, Rights};
use chronolith_sql::ast::{
    self, JoinConstraint, MergeAction, MergeClause, MergeClauseKind, MergeInsertKind,
};
use chronolith_sql::{DEFAULT_VALUES, DO_NOTHING, OVERRIDING_SYSTEM, OVERRIDING_USER};
use chronolith_types::SqlState;
use datafusion::common::{JoinType, ScalarValue};
use datafusion::logical_expr::{Expr, lit};

use super::super::insert::is_default;
use super::super::part::Source;
use super::super::scope::Scope;
use super::super::state::{
    Binder, Clause, Place, Rel, Result, column, position, project, typed, unsupported,
};
use super::assign::{Given, sets_key};
use super::parts::Parts;
use super::secured::Asked;
use super::target::Changed;
use super::{Action, Change, Subject, What};
use crate::error::Error;
use crate::functions::Typed;
use crate::insert::{Overriding, places_of, refuse_given, target_of};

/// A WHEN clause that was bound.
struct When {
    matched: bool,
    condition: Option<Expr>,
    action: Action,
    /// The columns as they are to be.
    row: Vec<Option<Typed>>,
    /// The places of the columns that are given values.
    given: Vec<usize>,
}

impl Binder<'_> {
    pub(super) fn merge_rows(&mut self, merge: &ast::Merge) -> Result<Change> {
        if merge.output.is_some() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "syntax error at or near \"returning\"",
            ));
        }
        let Changed {
            target: into,
            rel: target,
            locator,
            ..
        } = self.changed(&merge.table, "MERGE", &[PolicyCommand::Select], None)?;
        let table = std::sync::Arc::clone(&into.catalog);
        let own = target.scope.clone();
        let source = self.factor(&merge.source)?;
        let sources = source.scope.clone();
        let inserts = merge.clauses.iter().any(|clause| {
            matches!(&clause.action, MergeAction::Insert(insert) if !is_nothing(&insert.columns))
        });
        let kind = match inserts {
            true => JoinType::Left,
            false => JoinType::Inner,
        };
        let on = JoinConstraint::On(merge.on.as_ref().clone());
        let all = self.combine(source, target, kind, &on)?;
        let mut rights = Rights::NONE;
        let mut whens = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            let when = self.when(clause, &table, &all, &own, &sources)?;
            rights = rights
                | match when.action {
                    Action::Insert => Rights::INSERT,
                    Action::Update => Rights::UPDATE,
                    Action::Delete => Rights::DELETE,
                    Action::Nothing => Rights::NONE,
                };
            unreachable_after(&whens, &when)?;
            whens.push(when);
        }
        let keyed = |when: &When| when.action == Action::Update && sets_key(&table, &when.row);
        let keyed = whens.iter().any(keyed);
        let asked: Vec<Asked> = [Action::Insert, Action::Update, Action::Delete]
            .into_iter()
            .filter(|action| whens.iter().any(|when| when.action == *action))
            .flat_map(asked_of)
            .collect();
        let held = self.held_by_policies(&into, &asked)?;
        let rel = self.choose(all, &locator, &whens)?;
        let plan = self.made(rel, &own, &whens)?;
        let of = |action: Action| {
            let whens = whens.iter().filter(move |when| when.action == action);
            let places = whens.flat_map(|when| when.given.iter());
            let columns = places.filter_map(|place| table.columns.get(*place));
            columns.map(|column| column.id.0).collect()
        };
        let (inserts, updates) = (of(Action::Insert), of(Action::Update));
        Ok(Change {
            named: table.id.0,
            views: Vec::new(),
            held,
            table,
            rights,
            what: What::Merge {
                plan,
                actions: whens.iter().map(|when| when.action).collect(),
            },
            by_key: None,
            current: None,
            inserts,
            updates,
            sets: {
                let updates = whens.iter().filter(|when| when.action == Action::Update);
                let sets: std::collections::BTreeSet<usize> = updates
                    .flat_map(|when| super::set_places(&when.row))
                    .collect();
                sets.into_iter().collect()
            },
            keyed,
            returning: None,
            slot: None,
        })
    }

    fn when(
        &mut self,
        clause: &MergeClause,
        table: &chronolith_catalog::Table,
        all: &Rel,
        own: &Scope,
        sources: &Scope,
    ) -> Result<When> {
        let matched = match clause.clause_kind {
            MergeClauseKind::Matched => true,
            MergeClauseKind::NotMatched => false,
            MergeClauseKind::NotMatchedByTarget | MergeClauseKind::NotMatchedBySource => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "syntax error at or near \"by\"",
                ));
            }
        };
        if !matched {
            self.barred.push(own.clone());
        }
        let when = self.when_clause(clause, table, all, own, sources, matched);
        if !matched {
            self.barred.pop();
        }
        when
    }

    fn when_clause(
        &mut self,
        clause: &MergeClause,
        table: &chronolith_catalog::Table,
        all: &Rel,
        own: &Scope,
        sources: &Scope,
        matched: bool,
    ) -> Result<When> {
        let scope = if matched { &all.scope } else { sources };
        let condition = match &clause.predicate {
            None => None,
            Some(condition) => {
                let place = Place {
                    scope,
                    clause: Clause::MergeWhen,
                };
                let value = self.expr(place, condition)?;
                Some(self.condition(value, "WHEN", position(condition))?)
            }
        };
        let kept = || own.columns.iter().map(|_| None).collect::<Vec<_>>();
        let (action, row, given) = match &clause.action {
            MergeAction::Delete { .. } => (Action::Delete, kept(), Vec::new()),
            MergeAction::Update(update) => {
                if update.update_predicate.is_some() || update.delete_predicate.is_some() {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
                }
                let marked = update.assignments.first().is_some_and(|first| {
                    matches!(&first.target, ast::AssignmentTarget::ColumnName(name)
                        if is_nothing(std::slice::from_ref(name)))
                });
                match marked {
                    true => (Action::Nothing, kept(), Vec::new()),
                    false => {
                        let row = self.assignments(
                            scope,
                            &Given::plain(self.names, table, own),
                            &update.assignments,
                        )?;
                        let given = super::set_places(&row);
                        (Action::Update, row, given)
                    }
                }
            }
            MergeAction::Insert(insert) if is_nothing(&insert.columns) => {
                (Action::Nothing, kept(), Vec::new())
            }
            MergeAction::Insert(insert) => {
                let (row, given) = self.merge_insert(scope, table, insert)?;
                (Action::Insert, row, given)
            }
        };
        Ok(When {
            matched,
            condition,
            action,
            row,
            given,
        })
    }

    /// The row of `INSERT (…) VALUES (…)`, and the places that values are given to.
    fn merge_insert(
        &mut self,
        scope: &Scope,
        table: &chronolith_catalog::Table,
        insert: &ast::MergeInsertExpr,
    ) -> Result<(Vec<Option<Typed>>, Vec<usize>)> {
        let MergeInsertKind::Values(values) = &insert.kind else {
            return Err(unsupported("INSERT ROW"));
        };
        let [given] = values.rows.as_slice() else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
        };
        let (named, overriding) = overriding(&insert.columns);
        let defaults = is(named, DEFAULT_VALUES);
        let parts = match defaults {
            true => Parts::default(),
            false => Parts::of(named)?,
        };
        let places = match defaults {
            true => Vec::new(),
            false => places_of(table, &parts.columns)?,
        };
        let wholes = places.iter().filter_map(|place| table.columns.get(*place));
        let wholes = wholes
            .map(|column| target_of(self.names, column))
            .collect::<Result<Vec<_>>>()?;
        let places = parts.spread(&places);
        let given = match defaults {
            true => Vec::new(),
            false => opened(scope, given),
        };
        if given.len() > places.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more expressions than target columns",
            )
            .at(given.get(places.len()).and_then(position)));
        }
        if given.len() < places.len() && !named.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
            ));
        }
        let place = Place {
            scope,
            clause: Clause::Values,
        };
        let default = ast::Expr::Identifier(ast::Ident::new("default"));
        // What is given for an identity column may count for nothing.
        let user = overriding == Some(Overriding::User);
        for (place, tree) in places.iter().zip(&given) {
            if let Some(column) = table.columns.get(*place)
                && !is_default(tree)
                && !(user && column.identity.is_some())
            {
                refuse_given(column, overriding)?;
            }
        }
        let mut row = Vec::with_capacity(table.columns.len());
        for (at, of) in table.columns.iter().enumerate() {
            let target = target_of(self.names, of)?;
            if let Some(number) = parts.in_parts(&places, at) {
                let trees = given.iter().map(Source::Tree).collect::<Vec<_>>();
                let whole = wholes.get(number);
                let whole = whole.ok_or_else(|| Error::internal("a column that is not there"))?;
                row.push(Some(
                    self.gathered_one(place, &parts, number, whole, &trees)?,
                ));
                continue;
            }
            let found = places.iter().position(|place| *place == at);
            let tree = found.and_then(|found| given.get(found));
            let tree = tree.filter(|_| !(user && of.identity.is_some()));
            let tree = tree.unwrap_or(&default);
            row.push(Some(self.assigned(place, tree, &target)?));
        }
        Ok((row, places.get(..given.len()).unwrap_or_default().to_vec()))
    }

    /// The rows with the number of what is done to each behind them.
    fn choose(&mut self, all: Rel, locator: &str, whens: &[When]) -> Result<Chosen> {
        let matched = column(locator).is_not_null();
        let mut cases = Vec::with_capacity(whens.len());
        for (number, when) in (0_i32..).zip(whens) {
            let mut test = match when.matched {
                true => matched.clone(),
                false => Expr::IsNull(Box::new(column(locator))),
            };
            if let Some(condition) = &when.condition {
                test = test.and(condition.clone());
            }
            let number = match when.action {
                Action::Nothing => None,
                _ => Some(number),
            };
            cases.push((test, lit(ScalarValue::Int32(number))));
        }
        let number = cased(cases, ScalarValue::Int32(None));
        let action = self.fresh_as("action");
        let columns = all.plan.schema().columns();
        let mut exprs: Vec<Expr> = columns.into_iter().map(Expr::Column).collect();
        exprs.push(number.alias(&action));
        Ok(Chosen {
            plan: project(all.plan, exprs)?,
            locator: locator.to_owned(),
            action,
        })
    }

    /// The rows as they are to be.
    fn made(
        &mut self,
        chosen: Chosen,
        own: &Scope,
        whens: &[When],
    ) -> Result<datafusion::logical_expr::LogicalPlan> {
        let action = column(&chosen.action);
        let mut exprs = vec![column(&chosen.locator), action.clone()];
        for (at, old) in own.columns.iter().enumerate() {
            let mut cases = Vec::new();
            for (number, when) in (0_i32..).zip(whens) {
                if !matches!(when.action, Action::Insert | Action::Update) {
                    continue;
                }
                let value = match when.row.get(at) {
                    Some(Some(value)) => value.clone(),
                    _ => typed(old),
                };
                let test = action.clone().eq(lit(number));
                cases.push((test, value.expr));
            }
            let null = ScalarValue::try_from(&old.arrow)?;
            let name = self.fresh_as(&old.name);
            exprs.push(cased(cases, null).alias(name));
        }
        project(chosen.plan, exprs)
    }
}

/// What row-level security is asked of the rows of an action: those that are changed, and what is
/// made of them.
fn asked_of(action: Action) -> Vec<Asked> {
    match action {
        Action::Insert => vec![Asked::made(Subject::Inserted, PolicyCommand::Insert)],
        Action::Update => vec![
            Asked::there(Subject::ToUpdate, PolicyCommand::Update),
            Asked::made(Subject::Updated, PolicyCommand::Update),
            Asked::there(Subject::Updated, PolicyCommand::Select),
        ],
        Action::Delete => vec![Asked::there(Subject::ToDelete, PolicyCommand::Delete)],
        Action::Nothing => Vec::new(),
    }
}

struct Chosen {
    plan: datafusion::logical_expr::LogicalPlan,
    locator: String,
    action: String,
}

/// CASE WHEN … THEN … END.
fn cased(cases: Vec<(Expr, Expr)>, null: ScalarValue) -> Expr {
    if cases.is_empty() {
        return lit(null);
    }
    let cases = cases
        .into_iter()
        .map(|(when, then)| (Box::new(when), Box::new(then)))
        .collect();
    Expr::Case(datafusion::logical_expr::expr::Case::new(
        None,
        cases,
        Some(Box::new(lit(null))),
    ))
}

fn is(columns: &[ast::ObjectName], mark: &str) -> bool {
    let first = columns.first().and_then(|name| name.0.last());
    let first = first.and_then(|part| part.as_ident());
    first.is_some_and(|ident| ident.value == mark)
}

/// The columns that are named, and what is said of OVERRIDING behind them.
fn overriding(columns: &[ast::ObjectName]) -> (&[ast::ObjectName], Option<Overriding>) {
    let Some((last, named)) = columns.split_last() else {
        return (columns, None);
    };
    let last = std::slice::from_ref(last);
    match (is(last, OVERRIDING_SYSTEM), is(last, OVERRIDING_USER)) {
        (true, _) => (named, Some(Overriding::System)),
        (_, true) => (named, Some(Overriding::User)),
        _ => (columns, None),
    }
}

/// Values with the columns of a relation in the place of `s.*`.
fn opened(scope: &Scope, given: &[ast::Expr]) -> Vec<ast::Expr> {
    let mut values = Vec::with_capacity(given.len());
    for tree in given {
        let table = match tree {
            ast::Expr::QualifiedWildcard(name, _) => match name.0.as_slice() {
                [table] => table.as_ident(),
                _ => None,
            },
            _ => None,
        };
        match table.filter(|table| scope.has_table(None, &table.value)) {
            Some(table) => values.extend(scope.of_table(None, &table.value).map(|column| {
                let name = ast::Ident::with_quote('"', &column.name);
                ast::Expr::CompoundIdentifier(vec![table.clone(), name])
            })),
            None => values.push(tree.clone()),
        }
    }
    values
}

fn is_nothing(columns: &[ast::ObjectName]) -> bool {
    is(columns, DO_NOTHING)
}

/// A clause behind one of its kind without a condition is never reached.
fn unreachable_after(before: &[When], when: &When) -> Result<()> {
    let hidden = before
        .iter()
        .any(|earlier| earlier.matched == when.matched && earlier.condition.is_none());
    match hidden {
        true => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "unreachable WHEN clause specified after unconditional WHEN clause",
        )),
        false => Ok(()),
    }
}
