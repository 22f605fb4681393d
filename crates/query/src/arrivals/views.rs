//! CREATE VIEW of what continuous aggregates are made of, and the continuous aggregates.

use std::sync::Arc;

use chronolith_catalog::{ArrivalChange, ArrivedAggregate, Change, Database, View};
use chronolith_sql::{CreateView, ast};
use chronolith_types::TableId;

use super::{candles, change, key, numbered};
use crate::bind::bind_kept;
use crate::ddl;
use crate::error::Error;
use crate::insert::undefined_table;
use crate::labels;
use crate::session::{SessionNames, Shared};

/// The view that has the query of a continuous aggregate.
const DIRECT: &str = "_direct_view_";
/// The view that TimescaleDB computes candles by.
const PARTIAL: &str = "_partial_view_";

pub(super) fn create(shared: &Arc<Shared>, create: &CreateView) -> Result<bool, Error> {
    let (schema, name) = (create.name.schema(), create.name.name());
    if schema == Some(Database::INTERNAL_SCHEMA) {
        if numbered(name, PARTIAL).is_some() {
            let name = key(Database::INTERNAL_SCHEMA, name);
            change(shared, ArrivalChange::Aside { name })?;
            return Ok(true);
        }
        if numbered(name, DIRECT).is_some() {
            ddl::create_view(shared, create)?;
            settle(shared)?;
            return Ok(true);
        }
    }
    let Some(number) = reads_candles(&create.query) else {
        return Ok(false);
    };
    let table = format!("_materialized_hypertable_{number}");
    let rows = shared.find_table(Some(Database::INTERNAL_SCHEMA), &table)?;
    let rows = rows.ok_or_else(|| undefined_table(Some(Database::INTERNAL_SCHEMA), &table))?;
    let mut plain = create.clone();
    let materialized_only = match stored_half(&plain.query) {
        None => true,
        Some(half) => {
            plain.text = half.to_string();
            *plain.query = half;
            false
        }
    };
    ddl::create_view(shared, &plain)?;
    let view = shared.find_view(schema, name)?;
    let view = view.ok_or_else(|| Error::internal("a view that was not made"))?;
    let aggregate = ArrivedAggregate {
        view: view.id,
        rows: rows.id,
        columns: Vec::new(),
        materialized_only,
        store: None,
        taken: false,
    };
    change(shared, ArrivalChange::Aggregate { number, aggregate })?;
    settle(shared)?;
    Ok(true)
}

/// The continuous aggregate whose rows a query gives: it reads them first, and joins nothing to them.
fn reads_candles(query: &ast::Query) -> Option<i32> {
    let select = first(query)?;
    let [from] = select.from.as_slice() else {
        return None;
    };
    let ast::TableFactor::Table { name, .. } = &from.relation else {
        return None;
    };
    let mut parts = name.0.iter().filter_map(|part| part.as_ident());
    let (schema, name) = (parts.next()?, parts.next()?);
    candles(Some(&schema.value), &name.value).filter(|_| from.joins.is_empty())
}

fn first(query: &ast::Query) -> Option<&ast::Select> {
    match query.body.as_ref() {
        ast::SetExpr::Select(select) => Some(select),
        ast::SetExpr::SetOperation { left, .. } => match left.as_ref() {
            ast::SetExpr::Select(select) => Some(select),
            _ => None,
        },
        _ => None,
    }
}

/// Of a query that adds fresh rows to stored candles, the half that gives the candles, all of them.
fn stored_half(query: &ast::Query) -> Option<ast::Query> {
    let ast::SetExpr::SetOperation { left, right, .. } = query.body.as_ref() else {
        return None;
    };
    // What is fresh begins where the candles end, which is asked of a function.
    if !right.to_string().contains("cagg_watermark(") {
        return None;
    }
    let ast::SetExpr::Select(select) = left.as_ref() else {
        return None;
    };
    let mut select = select.clone();
    select.selection = None;
    let mut half = query.clone();
    *half.body = ast::SetExpr::Select(select);
    Some(half)
}

/// Makes continuous aggregates of all that have come with what they read.
pub(super) fn settle(shared: &Arc<Shared>) -> Result<(), Error> {
    loop {
        let home = shared.home()?;
        let mut found = None;
        for (number, aggregate) in &home.arrival.aggregates {
            if aggregate.store.is_none()
                && let Some(direct) = readable(shared, &home, *number)?
            {
                found = Some((*number, aggregate.clone(), direct));
                break;
            }
        }
        let Some((number, aggregate, direct)) = found else {
            return Ok(());
        };
        convert(shared, number, aggregate, &direct)?;
    }
}

/// The view with the query of an aggregate, when all that it reads is what it was.
fn readable(
    shared: &Arc<Shared>,
    home: &Database,
    number: i32,
) -> Result<Option<Arc<View>>, Error> {
    let name = format!("{DIRECT}{number}");
    let Some(direct) = shared.find_view(Some(Database::INTERNAL_SCHEMA), &name)? else {
        return Ok(None);
    };
    let names = SessionNames::new(shared)?;
    let query = chronolith_sql::query(&direct.query)?;
    let bound = bind_kept(&names, &query)?;
    let mut sources = false;
    for used in &bound.uses {
        let id = TableId(used.relation);
        let mut waiting = home.arrival.aggregates.values();
        if waiting.any(|of| of.view == id && of.store.is_none()) {
            return Ok(None);
        }
        let table = home.tables.get(&id);
        sources |= table.is_some_and(|table| table.hypertable.is_some());
        let view = home.views.get(&id).and_then(|of| of.materialized.as_ref());
        sources |= view.is_some_and(|kept| kept.continuous.is_some());
    }
    Ok(sources.then_some(direct))
}

fn convert(
    shared: &Arc<Shared>,
    number: i32,
    aggregate: ArrivedAggregate,
    direct: &View,
) -> Result<(), Error> {
    let home = shared.home()?;
    let gone = || Error::internal("a view that is gone");
    let view = home.views.get(&aggregate.view).ok_or_else(gone)?;
    let columns = match home.tables.get(&aggregate.rows) {
        Some(rows) => shown(view, rows)?,
        None => Vec::new(),
    };
    let made = labels::Made {
        query: &direct.query,
        materialized_only: aggregate.materialized_only,
        populated: true,
        time_zone: "UTC",
    };
    let store = labels::convert(shared, view, &made)?;
    shared.change_unguarded(Change::DropView {
        database: shared.database,
        id: direct.id,
    })?;
    let name = key(Database::INTERNAL_SCHEMA, &direct.name);
    change(shared, ArrivalChange::Aside { name })?;
    let aggregate = ArrivedAggregate {
        store: Some(store),
        columns,
        ..aggregate
    };
    change(shared, ArrivalChange::Aggregate { number, aggregate })
}

/// Which columns of the table of its candles a view shows, in their order.
fn shown(view: &View, rows: &chronolith_catalog::Table) -> Result<Vec<String>, Error> {
    let query = chronolith_sql::query(&view.query)?;
    let select = first(&query).map_or(&[][..], |select| select.projection.as_slice());
    let column = |item: &ast::SelectItem| {
        let expr = match item {
            ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. } => {
                expr
            }
            _ => return None,
        };
        let name = match expr {
            ast::Expr::Identifier(name) => name,
            ast::Expr::CompoundIdentifier(parts) => parts.last()?,
            _ => return None,
        };
        rows.column_named(&name.value).map(|_| name.value.clone())
    };
    Ok(select.iter().filter_map(column).collect())
}
