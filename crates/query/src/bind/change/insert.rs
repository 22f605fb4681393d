//! INSERT.

use std::sync::Arc;

use chronolith_catalog::{self as catalog, PolicyCommand, Rights};
use chronolith_sql::ast::{self, OnInsert, TableObject};
use chronolith_types::SqlState;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder};

use super::super::names::{Names, Table};
use super::super::scope::{Alias, Scope, ScopeColumn};
use super::super::state::{Binder, Result, lift, project};
use super::assign::Given;
use super::parts::{NOWHERE, Parts};
use super::secured::Asked;
use super::through::{From, Row};
use super::{Change, Subject, What, named_columns};
use crate::bind::{Target, bind_scalar};
use crate::error::Error;
use crate::functions::Typed;
use crate::insert::{completed, name_of_column, places_of, provided, target_of, undefined_column};
use crate::routines::Event;

impl Binder<'_> {
    pub(super) fn insert(&mut self, insert: &ast::Insert) -> Result<Change> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(Error::unsupported("INSERT into a function"));
        };
        let into = self.change_target(name, "INSERT")?;
        let catalog = Arc::clone(&into.catalog);
        let alias = insert.table_alias.as_ref();
        let alias = alias.map(|alias| alias.alias.value.as_str());
        let row = self.row_of(&into, alias)?;
        let parts = Parts::of(&insert.columns)?;
        let (places, targets) = match into.views.is_empty() {
            true => {
                let places = places_of(&catalog, &parts.columns)?;
                let columns = places
                    .iter()
                    .filter_map(|place| catalog.columns.get(*place));
                let targets = columns
                    .map(|column| target_of(self.names, column))
                    .collect::<Result<Vec<_>>>()?;
                (places, targets)
            }
            false => {
                let shown = shown_places(into.named().1, &row, &parts.columns)?;
                let targets = shown
                    .iter()
                    .map(|at| shown_target(self.names, &catalog, &row, *at))
                    .collect::<Result<Vec<_>>>()?;
                (shown, targets)
            }
        };
        let wholes = targets;
        let targets = parts.targets(&wholes)?;
        let mut places = parts.spread(&places);
        if let Some(source) = &insert.source {
            parts.refuse_defaults(source)?;
        }
        let (mut plan, mut given) = match &insert.source {
            Some(source) => {
                let rel =
                    self.out_of_reach(&row.scope, |binder| binder.insert_source(source, &targets))?;
                (rel.plan, rel.scope.columns.len())
            }
            // DEFAULT VALUES
            None => {
                let one = LogicalPlanBuilder::empty(true).build().map_err(lift)?;
                (one, 0)
            }
        };
        if given < places.len() && !insert.columns.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
            )
            .at(insert
                .columns
                .get(given)
                .and_then(crate::bind::name_position)));
        }
        if parts.any() {
            // Columns of which parts are given come behind those that are given as they are.
            places.truncate(given);
            let known = plan.schema().columns();
            let mut exprs: Vec<Expr> = known.iter().cloned().map(Expr::Column).collect();
            let values: Vec<Typed> = exprs
                .iter()
                .zip(&targets)
                .map(|(expr, target)| Typed {
                    expr: expr.clone(),
                    ty: target.ty.clone(),
                    arrow: target.ty.arrow(),
                })
                .collect();
            for (place, value) in self.gathered(&parts, &wholes, &places, &values)? {
                exprs.push(value.expr.alias(self.fresh_as("part")));
                places.push(place);
                given += 1;
            }
            plan = project(plan, exprs)?;
            for (at, place) in places.iter_mut().enumerate() {
                if parts.is_part(at) {
                    *place = NOWHERE;
                }
            }
        }
        if row.defaults.iter().any(Option::is_some) {
            // What views have defaults for is given where the statement does not.
            places.truncate(given);
            let known = plan.schema().columns();
            let mut exprs: Vec<Expr> = known.into_iter().map(Expr::Column).collect();
            for (at, default) in row.defaults.iter().enumerate() {
                let (Some(default), false) = (default, places.contains(&at)) else {
                    continue;
                };
                let target = shown_target(self.names, &catalog, &row, at)?;
                let value = bind_scalar(self.names, default, Some(&target))?;
                exprs.push(value.expr.alias(self.fresh_as(&target.name)));
                places.push(at);
                given += 1;
            }
            plan = project(plan, exprs)?;
        }
        if !into.views.is_empty() {
            let into = Given::of(self.names, &into, &row, true);
            places = written(&into, places.get(..given).unwrap_or(&places))?;
        }
        let inserted = places.get(..given).unwrap_or(&places).to_vec();
        let provided = provided(insert, &catalog, &places, given)?;
        let plan = completed(self.names, &catalog, plan, &provided)?;
        let mut rights = Rights::INSERT;
        let mut conflict = match &insert.on {
            None => None,
            Some(OnInsert::OnConflict(on)) => {
                let conflict = self.conflict(&into, row.clone(), on)?;
                if conflict.update.is_some() {
                    rights = rights | Rights::UPDATE;
                }
                Some(Box::new(conflict))
            }
            Some(_) => return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error")),
        };
        let returning = match &insert.returning {
            None => None,
            Some(items) => {
                if conflict
                    .as_ref()
                    .is_some_and(|found| found.update.is_some())
                {
                    self.upserted();
                }
                let excluded = Alias {
                    name: "excluded".to_owned(),
                    schema: None,
                    hides: None,
                };
                let met = conflict.as_ref().filter(|found| found.update.is_some());
                let proposed = Scope {
                    columns: Vec::new(),
                    relations: met.map(|_| excluded).into_iter().collect(),
                };
                let bound =
                    self.out_of_reach(&proposed, |binder| binder.returning(items, &row, &[]));
                self.system.upserted = None;
                let (returning, more) = bound?;
                if let Some(conflict) = conflict.as_mut().filter(|_| !more.is_empty()) {
                    conflict.tells = true;
                }
                self.reads_returned(into.named().0, &row.scope, &returning);
                Some(returning)
            }
        };
        let sets = conflict.as_ref().map(|conflict| conflict.sets.clone());
        self.reads_below(&into);
        let read = conflict.is_some() || returning.is_some();
        let mut asked = vec![Asked::made(Subject::Inserted, PolicyCommand::Insert)];
        if read {
            asked.push(Asked::there(Subject::Inserted, PolicyCommand::Select));
        }
        if conflict.as_ref().is_some_and(|on| on.update.is_some()) {
            // Who names keys reads: what is met must be there for both, and what is made of it too.
            asked.extend([
                Asked::there(Subject::Met, PolicyCommand::Update),
                Asked::there(Subject::Met, PolicyCommand::Select),
                Asked::made(Subject::Updated, PolicyCommand::Update),
                Asked::there(Subject::Updated, PolicyCommand::Select),
            ]);
        }
        let mut held = self.held_by_policies(&into, &asked)?;
        held.extend(self.held_rows(&into)?);
        Ok(Change {
            named: into.named().0,
            views: into.views.iter().map(|view| view.oid).collect(),
            held,
            table: catalog,
            rights,
            keyed: conflict.as_ref().is_some_and(|found| found.keyed),
            inserts: named_columns(&into, &row, inserted),
            updates: named_columns(&into, &row, sets.iter().flatten().copied()),
            what: match into.instead {
                true => What::Instead {
                    event: Event::Insert,
                    plan,
                },
                false => What::Insert { plan, conflict },
            },
            by_key: None,
            current: None,
            sets: sets.unwrap_or_default(),
            returning,
            slot: None,
        })
    }

    /// A row of a table, whose columns have names of their own.
    pub(super) fn row_of_table(&mut self, table: &Table, alias: Option<&str>) -> Scope {
        let name = alias.unwrap_or(&table.name);
        let schema = alias.is_none().then(|| table.schema.clone());
        let columns = table.columns.iter().map(|of| ScopeColumn {
            table: Some(name.to_owned()),
            schema: schema.clone(),
            name: of.name.clone(),
            column: self.fresh_as(&of.name),
            ty: of.ty.clone(),
            arrow: of.ty.arrow(),
            origin: Some((table.oid, of.attribute)),
            visible: true,
        });
        Scope {
            columns: columns.collect(),
            relations: vec![Alias {
                name: name.to_owned(),
                schema: schema.clone(),
                hides: alias
                    .filter(|alias| *alias != table.name)
                    .map(|_| table.name.clone()),
            }],
        }
    }
}

/// The places of a view's columns that an INSERT names.
fn shown_places(view: &str, row: &Row, columns: &[ast::ObjectName]) -> Result<Vec<usize>> {
    let shown = &row.scope.columns;
    if columns.is_empty() {
        return Ok((0..shown.len()).collect());
    }
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        let (name, at) = name_of_column(column)?;
        let place = shown.iter().position(|column| column.name == name);
        let place = place.ok_or_else(|| undefined_column(&name, view).at(at))?;
        if places.contains(&place) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{name}\" specified more than once"),
            )
            .at(at));
        }
        places.push(place);
    }
    Ok(places)
}

/// A view's column as what is assigned to it.
fn shown_target(names: &dyn Names, table: &catalog::Table, row: &Row, at: usize) -> Result<Target> {
    let shown = row.scope.columns.get(at);
    let shown = shown.ok_or_else(|| Error::internal("a column that is not there"))?;
    let below = match row.from.get(at) {
        Some(From::Table(place)) => table.columns.get(*place),
        _ => None,
    };
    let target = below.map(|column| target_of(names, column)).transpose()?;
    let target = target.unwrap_or_else(|| Target {
        name: String::new(),
        ty: shown.ty.clone(),
        default: None,
    });
    let own = row.defaults.get(at).cloned().flatten();
    Ok(Target {
        name: shown.name.clone(),
        default: own.or(target.default),
        ty: target.ty,
    })
}

/// The table's columns that some of a view's are.
fn written(into: &Given<'_>, shown: &[usize]) -> Result<Vec<usize>> {
    let mut places = Vec::with_capacity(shown.len());
    for at in shown {
        if *at == NOWHERE {
            places.push(NOWHERE);
            continue;
        }
        let place = into.place_at(*at);
        let place = place.ok_or_else(|| Error::internal("a column that is not there"))??;
        if places.contains(&place) {
            let column = into.table.columns.get(place);
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "multiple assignments to same column \"{}\"",
                    column.map_or("", |column| column.name.as_str())
                ),
            ));
        }
        places.push(place);
    }
    Ok(places)
}
