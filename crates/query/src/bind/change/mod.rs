//! Statements that change rows: each becomes a plan whose rows say what is to be changed.
//!
//! Start at [`bind_change`]. A plan's first column is the locator of the row that is changed, where
//! there is one; behind it stand the table's columns as they are to be, and what RETURNING names
//! beside them. RETURNING itself, and the SET of ON CONFLICT, are plans over rows that are there
//! when the statement runs: see [`Over`].

mod assign;
mod conflict;
mod infer;
mod insert;
mod instead;
mod key;
mod merge;
mod parts;
mod returning;
mod secured;
mod target;
mod through;
mod update;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use arrow::datatypes::SchemaRef;
use chronolith_catalog::{Rights, Table};
use chronolith_sql::{Statement, ast};
use chronolith_types::{IndexId, SqlState, SqlType};
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::entry::{Bound, finish, twice};
use super::names::Names;
use super::state::{Binder, Rel, Result, Use, ident_position};
use crate::error::Error;
use crate::evaluate::Planned;
use crate::keyed::Key;
use crate::outcome::OutputColumn;
use crate::routines::Event;
use crate::session::Locking;

pub use target::ChangeTarget;
pub use through::WrittenView;
pub(crate) use through::{Writes, unwritable};

/// A statement that changes rows, with those in its WITH.
#[derive(Debug)]
pub(crate) struct Program {
    /// In the order in which they run; the statement itself is the last unless it is a query.
    pub(crate) changes: Vec<Change>,
    /// What locks rows before all of them, and where those go.
    pub(crate) locks: Vec<(usize, Locking)>,
    /// The query that reads what they return.
    pub(crate) main: Option<Bound>,
    /// What the columns of its rows are called; none without RETURNING.
    pub(crate) columns: Vec<OutputColumn>,
    /// The types of its parameters.
    pub(crate) params: Vec<SqlType>,
    /// What it reads.
    pub(crate) uses: Vec<Use>,
}

/// One change of one table's rows.
#[derive(Debug)]
pub(crate) struct Change {
    /// The table.
    pub(crate) table: Arc<Table>,
    /// What the statement names it by: itself, or a view that shows its rows.
    pub(crate) named: u32,
    /// The views between the two, the outermost first.
    pub(crate) views: Vec<u32>,
    /// What the current role must have on what is named, and owners of views on what is below.
    pub(crate) rights: Rights,
    /// What the views hold new rows against.
    pub(crate) held: Vec<Held>,
    /// What is done.
    pub(crate) what: What,
    /// The cursor whose row alone it changes.
    pub(crate) current: Option<CurrentOf>,
    /// The same for one row that is found by its key.
    pub(crate) by_key: Option<ByKey>,
    /// The places of the columns that it sets in rows that are there.
    pub(crate) sets: Vec<usize>,
    /// The attribute numbers of what is named: those that new rows are given.
    pub(crate) inserts: BTreeSet<u32>,
    /// The same of those that are set.
    pub(crate) updates: BTreeSet<u32>,
    /// Whether rows that are there may get another key.
    pub(crate) keyed: bool,
    /// RETURNING.
    pub(crate) returning: Option<Returning>,
    /// Where its rows go, for the rest of the statement to read.
    pub(crate) slot: Option<usize>,
}

/// What rows are held against: WITH CHECK OPTION of a view, row-level security.
#[derive(Debug)]
pub(crate) struct Held {
    /// Which rows.
    pub(crate) subject: Subject,
    /// What a row breaks.
    pub(crate) broken: Broken,
    /// Over the table's columns; its rows are those that break it.
    pub(crate) over: Over,
}

/// Rows that are held against something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// All that are made.
    New,
    /// Those that are to be inserted, also where one like them is there already.
    Inserted,
    /// What an update makes of them.
    Updated,
    /// Those that are there and are met by ones to be inserted.
    Met,
    /// Those that MERGE is about to update.
    ToUpdate,
    /// Those that MERGE is about to delete.
    ToDelete,
}

/// What a row breaks.
#[derive(Debug, Clone)]
pub(crate) enum Broken {
    /// WITH CHECK OPTION of a view.
    View(String),
    /// Row-level security of a table: a restrictive policy, or all that permit.
    Policy {
        table: String,
        policy: Option<String>,
    },
}

/// WHERE CURRENT OF.
#[derive(Debug, Clone)]
pub(crate) struct CurrentOf {
    /// Where the plan reads the row: its columns and its locator.
    pub(crate) slot: usize,
    pub(crate) cursor: String,
    /// The variable that has its name, by its number.
    pub(crate) variable: Option<usize>,
}

/// A change of the row that has a key.
#[derive(Debug)]
pub(crate) struct ByKey {
    pub(crate) key: Key,
    /// Over locator and columns; its rows are those of the plan.
    pub(crate) over: Over,
    /// Whether what is made of the row is computed of it alone, once somebody asked.
    pub(crate) computes: OnceLock<bool>,
}

/// What is done to rows.
#[derive(Debug)]
pub(crate) enum What {
    /// The plan's rows are the table's columns in order.
    Insert {
        plan: LogicalPlan,
        conflict: Option<Box<Conflict>>,
    },
    /// Locator, the table's columns as they are to be, columns for RETURNING.
    Update(LogicalPlan),
    /// Locator, columns for RETURNING.
    Delete(LogicalPlan),
    /// What triggers of a view are called for: its columns as they are (but for INSERT), as they are
    /// to be (but for DELETE), columns for RETURNING.
    Instead { event: Event, plan: LogicalPlan },
    /// Locator or NULL, number of the action or NULL, the table's columns as they are to be.
    Merge {
        plan: LogicalPlan,
        actions: Vec<Action>,
    },
}

impl What {
    /// The word of its tag.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Insert { .. } => "INSERT",
            Self::Update(_) => "UPDATE",
            Self::Delete(_) => "DELETE",
            Self::Instead { event, .. } => event.word(),
            Self::Merge { .. } => "MERGE",
        }
    }

    /// Its plan.
    pub(crate) fn plan(&self) -> &LogicalPlan {
        match self {
            Self::Insert { plan, .. }
            | Self::Update(plan)
            | Self::Delete(plan)
            | Self::Instead { plan, .. }
            | Self::Merge { plan, .. } => plan,
        }
    }
}

/// The places of columns that are set.
fn set_places<T>(set: &[Option<T>]) -> Vec<usize> {
    let places = set.iter().enumerate();
    places
        .filter_map(|(place, value)| value.as_ref().map(|_| place))
        .collect()
}

/// The attribute numbers of what a statement names, of the columns at these places of the table.
fn named_columns(
    into: &ChangeTarget,
    row: &through::Row,
    places: impl IntoIterator<Item = usize>,
) -> BTreeSet<u32> {
    let places = places.into_iter();
    if into.views.is_empty() {
        let columns = places.filter_map(|place| into.catalog.columns.get(place));
        return columns.map(|column| column.id.0).collect();
    }
    let shown = |place: usize| {
        let mut from = (1_u32..).zip(&row.from);
        let found = from.find(|(_, from)| matches!(from, through::From::Table(at) if *at == place));
        found.map(|(number, _)| number)
    };
    places.filter_map(shown).collect()
}

/// What WHEN of MERGE does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Insert,
    Update,
    Delete,
    Nothing,
}

/// ON CONFLICT.
#[derive(Debug)]
pub(crate) struct Conflict {
    /// What rows are held against; None for all keys of the table.
    pub(crate) arbiters: Option<Arbiters>,
    /// Whether DO UPDATE may give rows another key.
    pub(crate) keyed: bool,
    /// Whether RETURNING asks which rows were updated.
    pub(crate) tells: bool,
    /// DO UPDATE: over locator, old columns and proposed columns; its rows are the locator and the
    /// new columns.
    pub(crate) update: Option<Over>,
    /// The places of the columns that DO UPDATE sets.
    pub(crate) sets: Vec<usize>,
}

/// The keys that a conflict's target means.
#[derive(Debug, Default)]
pub(crate) struct Arbiters {
    /// Constraints that the chunks keep.
    pub(crate) constraints: Vec<u32>,
    /// Indexes that are computed: of expressions, of some rows, with NULLs alike.
    pub(crate) indexes: Vec<IndexId>,
}

/// RETURNING: over the table's columns as they are now, and those that the plan has for it.
#[derive(Debug)]
pub(crate) struct Returning {
    pub(crate) over: Over,
    pub(crate) columns: Vec<OutputColumn>,
}

/// Rows made of rows that are there when the statement runs.
#[derive(Debug)]
pub(crate) struct Over {
    /// Where the plan reads them.
    pub(crate) slot: usize,
    /// Their columns.
    pub(crate) input: SchemaRef,
    /// What is made of them.
    pub(crate) plan: LogicalPlan,
    /// The same without a plan, when no query is in it.
    pub(crate) direct: Option<Direct>,
}

/// Expressions over the columns of rows.
#[derive(Debug)]
pub(crate) struct Direct {
    /// Which rows.
    pub(crate) filter: Option<Expr>,
    /// What is made of each.
    pub(crate) exprs: Vec<Expr>,
    /// The columns of the outcome, any of which may be NULL.
    pub(crate) output: SchemaRef,
    /// The same planned, once it was run.
    pub(crate) planned: Planned,
}

/// A statement that changes rows.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind_change(
    names: &dyn Names,
    statement: &Statement,
    params: &[Option<SqlType>],
) -> Result<Program> {
    twice(names, params, |binder| change_of(binder, statement))
}

fn change_of(binder: &mut Binder<'_>, statement: &Statement) -> Result<Program> {
    binder.changing = true;
    let statement = match statement {
        Statement::With { with, inner } => {
            binder.with(with)?;
            inner
        }
        other => other,
    };
    let change = match statement {
        Statement::Insert(insert) => binder.insert(insert)?,
        Statement::Update(update) => binder.update(update)?,
        Statement::Delete(delete) => binder.delete(delete)?,
        Statement::Merge(merge) => binder.merge_rows(merge)?,
        _ => return Err(Error::internal("a change of nothing")),
    };
    let columns = change.returning.as_ref();
    let columns = columns.map_or_else(Vec::new, |returning| returning.columns.clone());
    binder.changes.push(change);
    Ok(Program {
        columns,
        main: None,
        locks: std::mem::take(&mut binder.locks),
        changes: std::mem::take(&mut binder.changes),
        uses: std::mem::take(&mut binder.uses),
        params: binder.params.clone().finish()?,
    })
}

/// A query whose WITH changes rows.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) fn bind_changing_query(
    names: &dyn Names,
    query: &ast::Query,
    params: &[Option<SqlType>],
) -> Result<Program> {
    twice(names, params, |binder| {
        binder.changing = true;
        let rel = super::entry::query_of(binder, query)?;
        let changes = std::mem::take(&mut binder.changes);
        let locks = std::mem::take(&mut binder.locks);
        let mut main = finish(binder, rel)?;
        Ok(Program {
            changes,
            locks,
            columns: main.columns.clone(),
            params: main.params.clone(),
            uses: std::mem::take(&mut main.uses),
            main: Some(main),
        })
    })
}

/// Whether the WITH of a query changes rows.
pub(crate) fn changes(query: &ast::Query) -> bool {
    let with = query.with.iter().flat_map(|with| &with.cte_tables);
    with.into_iter().any(|cte| is_change(&cte.query.body))
}

fn is_change(body: &ast::SetExpr) -> bool {
    matches!(
        body,
        ast::SetExpr::Insert(_)
            | ast::SetExpr::Update(_)
            | ast::SetExpr::Delete(_)
            | ast::SetExpr::Merge(_)
    )
}

impl Binder<'_> {
    /// A name of WITH that changes rows, with what it returns; None for any other.
    pub(super) fn changing_cte(&mut self, cte: &ast::Cte) -> Result<Option<Option<Rel>>> {
        let body = cte.query.body.as_ref();
        if !is_change(body) {
            return Ok(None);
        }
        let at = ident_position(&cte.alias.name);
        if !self.changing || self.depth > 1 || !self.outer.is_empty() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "WITH clause containing a data-modifying statement must be at the top level",
            )
            .at(at));
        }
        let named = self.ctes.len();
        if let Some(with) = &cte.query.with {
            self.with(with)?;
        }
        let bound = match body {
            ast::SetExpr::Insert(ast::Statement::Insert(insert)) => self.insert(insert),
            ast::SetExpr::Update(ast::Statement::Update(update)) => self.update(update),
            ast::SetExpr::Delete(ast::Statement::Delete(delete)) => self.delete(delete),
            _ => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "MERGE not supported in WITH query",
            )
            .at(at)),
        };
        self.ctes.truncate(named);
        let mut change = bound?;
        let rel = match &change.returning {
            None => None,
            Some(returning) => {
                let slot = self.slot();
                change.slot = Some(slot);
                Some(self.returned(slot, returning)?)
            }
        };
        self.changes.push(change);
        Ok(Some(rel))
    }

    /// A number under which rows are found when the statement runs.
    pub(super) fn slot(&mut self) -> usize {
        self.slots += 1;
        self.slots
    }
}
