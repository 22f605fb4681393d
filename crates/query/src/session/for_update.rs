//! SELECT … FOR UPDATE and FOR SHARE: rows that are locked before they are given.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Decimal128Type};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Rights;
use chronolith_chunk::RowSet;
use chronolith_engine::{RowMode, RowsLocked, TableView, Wait};
use chronolith_sql::{WEAKER_LOCK, ast};
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::logical_expr::{Expr, LogicalPlan};
use futures::StreamExt;

use super::locators::{LOCATOR, Locators};
use super::lockable::{Bare, From, Named, open, over, unfit};
use super::names::SessionNames;
use super::run;
use super::shared::Shared;
use crate::bind::{Bound, Names, bind_query, set_parameters};
use crate::dml::{Held, Sight, value_of};
use crate::error::Error;
use crate::outcome::{OutputColumn, RowStream};

/// A query that locks the rows of tables, bound.
#[derive(Debug)]
pub struct Locking {
    pub(crate) bound: Bound,
    /// What the client is told of its columns.
    pub(crate) columns: Vec<OutputColumn>,
    /// Their places in the plan's rows.
    places: Vec<usize>,
    /// The tables, and the places of the columns that say where their rows lie.
    tables: Vec<Target>,
}

/// A table whose rows are locked.
#[derive(Debug, Clone)]
struct Target {
    table: TableId,
    /// The views that it is named through, the outermost first.
    views: Vec<TableId>,
    /// Which column says where its rows lie.
    place: usize,
    mode: RowMode,
    wait: Wait,
}

/// The table that a clause names, and whether it is the weaker one of its kind.
pub(super) fn clause(lock: &ast::LockClause) -> (Option<&str>, bool) {
    let parts = lock.of.iter().flat_map(|of| &of.0);
    let mut parts = parts.filter_map(|part| part.as_ident());
    let mark = |ident: &ast::Ident| ident.value == WEAKER_LOCK;
    let weaker = parts.clone().next().is_some_and(mark);
    let last = parts.next_back().filter(|ident| !mark(ident));
    (last.map(|ident| ident.value.as_str()), weaker)
}

/// Binds a query with a locking clause at its end; None when there is none.
///
/// # Errors
/// What PostgreSQL says of it; 0A000 for what is not served.
pub(super) fn bind(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
) -> Result<Option<Locking>, Error> {
    bind_by(names, query, types, bind_query)
}

/// The same of a query within a statement.
///
/// # Errors
/// As [`bind`].
pub(super) fn bind_part(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
) -> Result<Option<Locking>, Error> {
    bind_by(names, query, types, crate::bind::bind_part)
}

/// Binds a query of a cursor such that it says where its rows lie; None when they are not those of one
/// table, each once.
pub(super) fn bind_placed(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
) -> Option<Locking> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else {
        return None;
    };
    let grouped = match &select.group_by {
        ast::GroupByExpr::All(_) => true,
        ast::GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    };
    let [from] = select.from.as_slice() else {
        return None;
    };
    let plain = from.joins.is_empty() && query.with.is_none();
    if !plain || grouped || select.distinct.is_some() || select.having.is_some() {
        return None;
    }
    let table = Named::of(&from.relation)?;
    let all = [(&table, RowMode::KeyShare, Wait::Block)];
    bind_named(names, query, types, bind_query, &all, "").ok()
}

type Bind = fn(&dyn Names, &ast::Query, &[Option<SqlType>]) -> Result<Bound, Error>;

fn bind_by(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
    bind: Bind,
) -> Result<Option<Locking>, Error> {
    let Some(first) = query.locks.first() else {
        return Ok(None);
    };
    let (verb, _) = said(first);
    let refused = |what: &str| {
        let words = format!("{verb} is not allowed with {what}");
        Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, words))
    };
    let ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
    let skips = |lock: &ast::LockClause| lock.nonblock == Some(ast::NonBlock::SkipLocked);
    if ties && query.locks.iter().any(skips) {
        let words = "SKIP LOCKED and WITH TIES options cannot be used together";
        return Err(Error::new(SqlState::SYNTAX_ERROR, words));
    }
    let mut query = query.clone();
    open(&mut query);
    if matches!(query.body.as_ref(), ast::SetExpr::Values(_)) {
        return refused_of(verb, "VALUES");
    }
    if let Some(what) = unfit(&query) {
        return refused(what);
    }
    let with = query.with.iter().flat_map(|with| &with.cte_tables);
    let with: Vec<String> = with.map(|cte| cte.alias.name.value.clone()).collect();
    let found = From::of(names, &mut query, &with)?;
    let (named, known): (Vec<_>, Vec<_>) = found
        .tables
        .into_iter()
        .partition(|table| table.schema.is_none() && with.contains(&table.table));
    let mut all: Vec<(&Named, RowMode, Wait)> = Vec::new();
    for lock in &query.locks {
        let (verb, mode) = said(lock);
        let wait = match lock.nonblock {
            None => Wait::Block,
            Some(ast::NonBlock::Nowait) => Wait::NoWait,
            Some(ast::NonBlock::SkipLocked) => Wait::Skip,
        };
        let (wanted, _) = clause(lock);
        let meant = |table: &&Named| wanted.is_none_or(|wanted| table.alias == wanted);
        if wanted.is_some() && named.iter().any(|table| meant(&table)) {
            return refused_of(verb, "a WITH query");
        }
        let meant: Vec<&Named> = known.iter().filter(meant).collect();
        if let (Some(wanted), []) = (wanted, meant.as_slice()) {
            match found.bare.iter().find(|bare| bare.alias == wanted) {
                Some(Bare {
                    what: Some(what), ..
                }) => return refused_of(verb, what),
                Some(bare) if !bare.nullable => continue,
                Some(_) => return refused_of(verb, NULLABLE),
                None => {}
            }
            let words = format!("relation \"{wanted}\" in {verb} clause not found in FROM clause");
            return Err(Error::new(SqlState::UNDEFINED_TABLE, words));
        }
        let bare = found.bare.iter();
        let mut bare = bare.filter(|bare| wanted.is_none() && bare.what.is_none());
        if meant.iter().any(|table| table.nullable) || bare.any(|bare| bare.nullable) {
            return refused_of(verb, NULLABLE);
        }
        for table in meant {
            // Of several clauses for one table the strongest counts, and none waits if one does not.
            match all
                .iter_mut()
                .find(|(other, ..)| (&other.alias, &other.column) == (&table.alias, &table.column))
            {
                None => all.push((table, mode, wait)),
                Some((_, known, waits)) => {
                    let strengths = [
                        RowMode::Update,
                        RowMode::NoKeyUpdate,
                        RowMode::Share,
                        RowMode::KeyShare,
                    ];
                    let mut strongest = strengths.into_iter();
                    let strongest = strongest.find(|found| [*known, mode].contains(found));
                    *known = strongest.unwrap_or(mode);
                    *waits = match (*waits, wait) {
                        (Wait::NoWait, _) | (_, Wait::NoWait) => Wait::NoWait,
                        (Wait::Skip, _) | (_, Wait::Skip) => Wait::Skip,
                        _ => Wait::Block,
                    };
                }
            }
        }
    }
    bind_named(names, &query, types, bind, &all, verb).map(Some)
}

/// A query with where the rows of some of its tables lie.
fn bind_named(
    names: &SessionNames,
    query: &ast::Query,
    types: &[Option<SqlType>],
    bind: Bind,
    all: &[(&Named, RowMode, Wait)],
    verb: &'static str,
) -> Result<Locking, Error> {
    let wanted = all.iter().map(|(named, ..)| named.table.as_str());
    let locators = Locators::new(names, verb, wanted);
    let mut query = query.clone();
    query.locks.clear();
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        let item = |(named, ..): &(&Named, RowMode, Wait)| {
            let parts = [named.alias.as_str(), named.column.as_str()];
            let parts = parts.map(|part| ast::Ident::with_quote('"', part));
            ast::SelectItem::UnnamedExpr(ast::Expr::CompoundIdentifier(parts.to_vec()))
        };
        select.projection.extend(all.iter().map(item));
    }
    let bound = bind(&locators, &query, types).map_err(|error| {
        // The column that was put in is the only one that is not grouped.
        match error.code == SqlState::GROUPING_ERROR {
            true => Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{verb} is not allowed with aggregate functions"),
            ),
            false => error,
        }
    })?;
    let window = |plan: &LogicalPlan| Ok(matches!(plan, LogicalPlan::Window(_)));
    if over(&query) && bound.plan.exists(window)? {
        let words = format!("{verb} is not allowed with window functions");
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, words));
    }
    let first = bound.columns.len().saturating_sub(all.len());
    let tables = all
        .iter()
        .zip(first..)
        .filter_map(|((named, mode, wait), place)| {
            let mut found = locators.found(&named.table).into_iter();
            let (table, views) = found.nth(named.number)?;
            Some(Target {
                table,
                views,
                place,
                mode: *mode,
                wait: *wait,
            })
        })
        .collect();
    let shown = |(_, column): &(usize, &OutputColumn)| !column.name.starts_with(LOCATOR);
    let (places, columns) = bound
        .columns
        .iter()
        .enumerate()
        .filter(shown)
        .map(|(place, column)| (place, column.clone()))
        .unzip();
    Ok(Locking {
        bound,
        columns,
        places,
        tables,
    })
}

/// What an outer join may leave without a row.
const NULLABLE: &str = "the nullable side of an outer join";

fn refused_of(verb: &str, what: &str) -> Result<Option<Locking>, Error> {
    let words = format!("{verb} cannot be applied to {what}");
    Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, words))
}

/// What a clause is called, and how strong it is.
pub(crate) fn said(lock: &ast::LockClause) -> (&'static str, RowMode) {
    let (_, weaker) = clause(lock);
    match (lock.lock_type, weaker) {
        (ast::LockType::Update, false) => ("FOR UPDATE", RowMode::Update),
        (ast::LockType::Update, true) => ("FOR NO KEY UPDATE", RowMode::NoKeyUpdate),
        (ast::LockType::Share, false) => ("FOR SHARE", RowMode::Share),
        (ast::LockType::Share, true) => ("FOR KEY SHARE", RowMode::KeyShare),
    }
}

/// A plan without the LIMIT and OFFSET at its end, and of subqueries that are all of it; and these.
fn unlimited(
    shared: &Arc<Shared>,
    plan: LogicalPlan,
) -> Result<(LogicalPlan, usize, usize), Error> {
    // What is not written as a number is worked out now, its parameters are in.
    let number = |expr: &Expr, clause: &str| {
        let value = value_of(shared, expr, &[])?.cast_to(&DataType::Int64)?;
        match value {
            ScalarValue::Int64(Some(value)) => usize::try_from(value).map(Some).map_err(|_| {
                let state = match clause {
                    "LIMIT" => SqlState::new(b"2201W"),
                    _ => SqlState::new(b"2201X"),
                };
                Error::new(state, format!("{clause} must not be negative"))
            }),
            _ => Ok(None),
        }
    };
    let cut = |limit: &datafusion::logical_expr::Limit| {
        let skip = limit.skip.as_deref().map(|expr| number(expr, "OFFSET"));
        let fetch = limit.fetch.as_deref().map(|expr| number(expr, "LIMIT"));
        Ok::<_, Error>((
            skip.transpose()?.flatten().unwrap_or(0),
            fetch.transpose()?.flatten().unwrap_or(usize::MAX),
        ))
    };
    match &plan {
        LogicalPlan::Limit(limit) => {
            let (skip, fetch) = cut(limit)?;
            // Of a subquery's some rows, some: those that are left of its own.
            let (input, before, left) = unlimited(shared, LogicalPlan::clone(&limit.input))?;
            let fetch = fetch.min(left.saturating_sub(skip));
            Ok((input, before.saturating_add(skip), fetch))
        }
        LogicalPlan::Projection(over) => {
            let (input, skip, fetch) = unlimited(shared, LogicalPlan::clone(&over.input))?;
            let plan = plan.with_new_exprs(plan.expressions(), vec![input])?;
            Ok((plan, skip, fetch))
        }
        _ => Ok((plan, 0, usize::MAX)),
    }
}

impl Locking {
    /// The tables whose rows it locks.
    pub(super) fn tables(&self) -> impl Iterator<Item = TableId> {
        self.tables.iter().map(|target| target.table)
    }

    /// Looks whether the current role may lock rows of the tables.
    pub(crate) fn check(&self, shared: &Shared) -> Result<(), Error> {
        for target in &self.tables {
            let named = *target.views.first().unwrap_or(&target.table);
            shared.check_columns(named, Rights::UPDATE, &BTreeSet::new())?;
            let below = target.views.iter().skip(1).chain([&target.table]);
            for (view, relation) in target.views.iter().zip(below) {
                shared.check_below(*view, *relation, Rights::UPDATE)?;
            }
        }
        shared.check_uses(&self.bound.uses)
    }

    /// The rows, locked.
    ///
    /// # Errors
    /// 55P03, 40P01, 57014; 40001 at REPEATABLE READ for rows that others have changed.
    pub(super) async fn run(
        &self,
        shared: &Arc<Shared>,
        params: &[ScalarValue],
    ) -> Result<RowStream, Error> {
        self.attempts(shared, params, false)
            .await
            .map(|(rows, _)| rows)
    }

    /// The same with where each row lies behind its columns, and the views that tell so.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) async fn run_placed(
        &self,
        shared: &Arc<Shared>,
        params: &[ScalarValue],
    ) -> Result<(RowStream, Vec<TableView>), Error> {
        self.attempts(shared, params, true).await
    }

    async fn attempts(
        &self,
        shared: &Arc<Shared>,
        params: &[ScalarValue],
        placed: bool,
    ) -> Result<(RowStream, Vec<TableView>), Error> {
        let shown = match placed {
            true => self.places_and_locators(),
            false => self.places.clone(),
        };
        loop {
            shared.cancel.check()?;
            shared.transact(|transaction| transaction.begin_change())?;
            // Somebody changed a row between its reading and its locking: all is read anew.
            let sight = Arc::new(Sight::default());
            let _held = Held::new(shared, Some(Arc::clone(&sight)));
            if let Some(rows) = self.once_of(shared, &sight, params, &shown).await? {
                let rows = Box::pin(futures::stream::iter(rows.into_iter().map(Ok)));
                return Ok((rows, self.views(shared, &sight)?));
            }
        }
    }

    fn places_and_locators(&self) -> Vec<usize> {
        let locators = self.tables.iter().map(|target| target.place);
        self.places.iter().copied().chain(locators).collect()
    }

    fn views(&self, shared: &Shared, sight: &Sight) -> Result<Vec<TableView>, Error> {
        let view = |target: &Target| {
            let view = sight.view(shared, target.table);
            view.ok_or_else(|| Error::internal("a table that is locked is gone"))
        };
        self.tables.iter().map(view).collect()
    }

    /// The rows, not locked, with where each lies behind its columns; and the views that tell so.
    ///
    /// # Errors
    /// What the query meets.
    pub(super) async fn open(
        &self,
        shared: &Arc<Shared>,
        params: &[ScalarValue],
    ) -> Result<(RowStream, Vec<TableView>), Error> {
        // From now on its rows can be found wherever they move.
        shared.transact(|transaction| transaction.begin_change())?;
        let sight = Arc::new(Sight::default());
        let _held = Held::new(shared, Some(Arc::clone(&sight)));
        let views = self.views(shared, &sight)?;
        let plan = set_parameters(&self.bound.plan, params)?;
        let rows = run::run(shared, &plan).await?;
        let shown = self.places_and_locators();
        let rows = rows.map(move |batch| Ok(batch?.project(&shown)?));
        Ok((Box::pin(rows), views))
    }

    /// One attempt, with what the statement sees; None when rows were changed by others meanwhile.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) async fn once(
        &self,
        shared: &Arc<Shared>,
        sight: &Sight,
        params: &[ScalarValue],
    ) -> Result<Option<Vec<RecordBatch>>, Error> {
        self.once_of(shared, sight, params, &self.places).await
    }

    /// The same, of some columns.
    async fn once_of(
        &self,
        shared: &Arc<Shared>,
        sight: &Sight,
        params: &[ScalarValue],
        shown: &[usize],
    ) -> Result<Option<Vec<RecordBatch>>, Error> {
        let views = self.views(shared, sight)?.into_iter();
        let views: Vec<(TableView, Target)> = views.zip(self.tables.iter().cloned()).collect();
        let plan = set_parameters(&self.bound.plan, params)?;
        let skips = self.tables.iter().any(|target| target.wait == Wait::Skip);
        let (plan, mut skip, mut fetch) = match skips {
            true => unlimited(shared, plan)?,
            false => (plan, 0, usize::MAX),
        };
        let planner = shared.planner(shared.vars());
        let physical = run::physical(shared, &planner, &plan).await?;
        let mut stream = run::stream(shared, &planner, physical)?;
        let pool = &shared.instance.runtime.memory_pool;
        let reservation = MemoryConsumer::new("locked rows").register(pool);
        let mut batches = Vec::new();
        let mut rows: Vec<RowSet> = views.iter().map(|_| RowSet::default()).collect();
        while fetch > 0 {
            let Some(batch) = stream.next().await else {
                break;
            };
            let batch = batch?;
            let mut at = 0;
            while at < batch.num_rows() && fetch > 0 {
                let some = skip.saturating_add(fetch).min(batch.num_rows() - at);
                let mut piece = batch.slice(at, some);
                at += some;
                if skips {
                    let Some(free) = self.lock_free(shared, &views, &piece)? else {
                        return Ok(None);
                    };
                    piece = free;
                } else {
                    for ((_, target), rows) in views.iter().zip(&mut rows) {
                        rows.insert_all(piece.column(target.place));
                    }
                }
                let over = skip.min(piece.num_rows());
                skip -= over;
                let piece = piece.slice(over, piece.num_rows() - over);
                fetch = fetch.saturating_sub(piece.num_rows());
                let piece = piece.project(shown)?;
                reservation.try_grow(piece.get_array_memory_size())?;
                batches.push(piece);
            }
        }
        drop(stream);
        for ((view, target), rows) in views.iter().zip(&rows) {
            if !rows.is_empty() && lock(shared, view, rows, target)? == RowsLocked::Again {
                return Ok(None);
            }
        }
        Ok(Some(batches))
    }

    /// SKIP LOCKED: those of some rows that could be locked; None when one was changed meanwhile.
    fn lock_free(
        &self,
        shared: &Arc<Shared>,
        views: &[(TableView, Target)],
        batch: &RecordBatch,
    ) -> Result<Option<RecordBatch>, Error> {
        let mut keep = vec![true; batch.num_rows()];
        for (view, target) in views {
            let locators = batch.column(target.place);
            let mut rows = RowSet::default();
            rows.insert_all(locators);
            match lock(shared, view, &rows, target)? {
                RowsLocked::All => {}
                RowsLocked::Again => return Ok(None),
                RowsLocked::Without(busy) => {
                    let locators = locators.as_primitive::<Decimal128Type>();
                    for (row, keep) in keep.iter_mut().enumerate() {
                        *keep &= locators.is_null(row) || !busy.contains(locators.value(row));
                    }
                }
            }
        }
        let keep = BooleanArray::from(keep);
        Ok(Some(arrow::compute::filter_record_batch(batch, &keep)?))
    }
}

fn lock(
    shared: &Arc<Shared>,
    view: &TableView,
    rows: &RowSet,
    target: &Target,
) -> Result<RowsLocked, Error> {
    let count = usize::try_from(rows.len()).unwrap_or(usize::MAX);
    shared.away(count, |transaction| {
        transaction.lock_rows(view, rows, target.mode, target.wait)
    })
}
