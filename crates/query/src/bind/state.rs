//! What the binder remembers while it binds one statement.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use arrow::datatypes::{DataType, Field};
use chronolith_sql::ast::{self, Spanned};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::change::Change;
use super::cte::Cte;
use super::following::Following;
use super::names::Names;
use super::params::Params;
use super::routine::Frame;
use super::scope::{Scope, ScopeColumn};
use super::system::System;
use crate::error::{Error, Operand};
use crate::functions::{FunctionError, Typed};
use crate::session::Locking;

pub(super) type Result<T> = std::result::Result<T, Error>;

/// How deep queries, views and expressions may nest.
const DEPTH_MAX: usize = 900;

/// What one level needs at most, with what DataFusion does at its end; a debug build's frames are
/// large. With less than that left, the next levels get a stack of their own.
const STACK_LEFT_BYTES: usize = 1 << 20;
const STACK_MORE_BYTES: usize = 8 << 20;

pub(super) struct Binder<'a> {
    pub names: &'a dyn Names,
    pub params: Params,
    /// Scopes of the queries around, the outermost first.
    pub outer: Vec<Scope>,
    /// Scopes that the text has and that cannot be named from here, the nearest last: messages tell.
    pub barred: Vec<Scope>,
    /// Names of WITH, the innermost last.
    pub ctes: Vec<(String, Rc<Cte>)>,
    /// The queries of those that neither change rows nor name themselves.
    pub cte_trees: Vec<(Rc<Cte>, chronolith_sql::ast::Cte)>,
    /// What the expressions of the select lists around call, the innermost last.
    pub calls: Vec<Calls>,
    pub named_windows: Vec<Vec<ast::NamedWindowDefinition>>,
    /// Where a column was first named, by its internal name.
    pub places: HashMap<String, u32>,
    /// Where the text of an untyped literal was last seen.
    pub literals: HashMap<String, u32>,
    pub views: usize,
    /// The views that columns come from: rows of theirs have no columns of the system.
    pub shown: BTreeSet<u32>,
    /// The routines whose bodies are being bound, the innermost last.
    pub frames: Vec<Frame>,
    /// The view whose text is being bound.
    pub view: Option<u32>,
    /// What is read, and as whom.
    pub uses: Vec<Use>,
    /// Which column of what is read an internal name stands for: relation, view that reads it,
    /// attribute number.
    pub readable: HashMap<String, Vec<(u32, Option<u32>, u32)>>,
    /// The tables whose policies are being bound.
    pub securing: Vec<u32>,
    /// What the text says when every relation has its schema and every `*` is written out.
    pub edits: Vec<Edit>,
    /// The column that the text is to name otherwise.
    pub following: Option<Following>,
    /// The tables that have a primary key, scan by scan.
    pub keyed: Vec<Keyed>,
    /// Whether rows are arguments of a function that makes json of them.
    pub documents: bool,
    /// Whether WITH may change rows.
    pub changing: bool,
    /// What does.
    pub changes: Vec<Change>,
    /// Queries that lock rows before the statement runs, and where those go.
    pub locks: Vec<(usize, Locking)>,
    /// How many places there are for rows that come when the statement runs.
    pub slots: usize,
    pub depth: usize,
    /// Whether tables are read with what the system has of their rows.
    pub system: System,
    /// Whether it is for the readers of a view to say where its gaps begin and end.
    pub open_gaps: bool,
    next: u32,
}

/// A piece of the text, from one character (from 1) to before another, and what stands for it.
pub(crate) type Edit = (usize, usize, String);

/// A relation that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Its oid.
    pub relation: u32,
    /// The view that reads it, with its owner's rights; none for the statement itself.
    pub view: Option<u32>,
    /// The attribute numbers of the columns that are named; none where only its rows count.
    pub columns: BTreeSet<u32>,
}

/// A scan of a table with a primary key, by internal names.
#[derive(Debug)]
pub(super) struct Keyed {
    pub key: Vec<String>,
    pub columns: Vec<String>,
}

/// Calls that are computed by plans of their own.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub aggregates: Vec<(String, Expr)>,
    pub windows: Vec<(String, Expr)>,
    /// Lists to be unnested, under the name of their column.
    pub sets: Vec<(String, Expr)>,
}

/// Where an expression stands, which says what it may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Select,
    Where,
    On,
    GroupBy,
    Having,
    OrderBy,
    Window,
    /// Arguments of a window function.
    WindowCall,
    Filter,
    /// Arguments of an aggregate.
    Aggregate,
    Limit,
    Values,
    From,
    Default,
    Check,
    /// Another expression that stands alone.
    Alone(Alone),
    /// SET of UPDATE.
    Update,
    Returning,
    MergeWhen,
}

impl Clause {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Where => "WHERE",
            Self::On => "JOIN conditions",
            Self::GroupBy => "GROUP BY",
            Self::Having => "HAVING",
            Self::OrderBy => "ORDER BY",
            Self::Window | Self::WindowCall => "window definitions",
            Self::Filter => "FILTER",
            Self::Aggregate => "aggregate function calls",
            Self::Limit => "LIMIT",
            Self::Values => "VALUES",
            Self::From => "functions in FROM",
            Self::Default => "DEFAULT expressions",
            Self::Check => "check constraints",
            Self::Alone(kind) => kind.words(),
            Self::Update => "UPDATE",
            Self::Returning => "RETURNING",
            Self::MergeWhen => "MERGE WHEN conditions",
        }
    }
}

/// What an expression over the columns of one relation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alone {
    /// A CHECK constraint.
    Check,
    /// The value of a generated column.
    Generated,
    /// A key of an index.
    IndexKey,
    /// Which rows an index has.
    IndexPredicate,
    /// WHEN of a trigger.
    TriggerWhen,
    /// WHERE of COPY FROM.
    CopyWhere,
    /// USING of a change of type.
    Transform,
}

impl Alone {
    /// Several of them.
    fn words(self) -> &'static str {
        match self {
            Self::Check => "check constraints",
            Self::Generated => "column generation expressions",
            Self::IndexKey => "index expressions",
            Self::IndexPredicate => "index predicates",
            Self::TriggerWhen => "trigger WHEN conditions",
            Self::CopyWhere => "COPY FROM WHERE conditions",
            Self::Transform => "transform expressions",
        }
    }

    /// One of them.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Check => "check constraint",
            Self::Generated => "column generation expression",
            Self::IndexKey => "index expression",
            Self::IndexPredicate => "index predicate",
            Self::TriggerWhen => "trigger WHEN condition",
            Self::CopyWhere => "COPY FROM WHERE condition",
            Self::Transform => "transform expression",
        }
    }
}

/// Where an expression is bound.
#[derive(Clone, Copy)]
pub(super) struct Place<'s> {
    pub scope: &'s Scope,
    pub clause: Clause,
}

/// A plan with what its columns are called.
#[derive(Debug, Clone)]
pub(super) struct Rel {
    pub plan: LogicalPlan,
    pub scope: Scope,
}

impl<'a> Binder<'a> {
    pub(super) fn new(names: &'a dyn Names, params: &[Option<SqlType>]) -> Self {
        Self {
            names,
            params: Params::new(params),
            outer: Vec::new(),
            barred: Vec::new(),
            ctes: Vec::new(),
            cte_trees: Vec::new(),
            calls: Vec::new(),
            named_windows: Vec::new(),
            places: HashMap::new(),
            literals: HashMap::new(),
            views: 0,
            shown: BTreeSet::new(),
            frames: Vec::new(),
            view: None,
            uses: Vec::new(),
            readable: HashMap::new(),
            securing: Vec::new(),
            edits: Vec::new(),
            following: None,
            keyed: Vec::new(),
            documents: false,
            changing: false,
            changes: Vec::new(),
            locks: Vec::new(),
            slots: 0,
            system: System::default(),
            open_gaps: false,
            depth: 0,
            next: 0,
        }
    }

    /// Binds what stands beside a scope that it cannot name.
    pub(super) fn out_of_reach<T>(
        &mut self,
        scope: &Scope,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.barred.push(scope.clone());
        let bound = bind(self);
        self.barred.pop();
        bound
    }

    /// A name that no column has yet.
    pub(super) fn fresh(&mut self) -> String {
        self.fresh_as("c")
    }

    /// A name of a plan's column that no other has, after one that users know: EXPLAIN shows it.
    pub(super) fn fresh_as(&mut self, name: &str) -> String {
        self.next += 1;
        format!("{name}#{}", self.next)
    }

    /// Counts one level of nesting while something is bound.
    pub(super) fn deeper<T>(&mut self, bind: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= DEPTH_MAX {
            return Err(
                Error::new(SqlState::new(b"54001"), "stack depth limit exceeded")
                    .hint("Nest fewer expressions and subqueries in one another."),
            );
        }
        self.depth += 1;
        let bound = stacker::maybe_grow(STACK_LEFT_BYTES, STACK_MORE_BYTES, || bind(self));
        self.depth -= 1;
        bound
    }

    /// A projection of typed expressions under fresh names.
    pub(super) fn project(
        &mut self,
        plan: LogicalPlan,
        items: Vec<(Typed, ScopeColumn)>,
    ) -> Result<Rel> {
        let mut exprs = Vec::with_capacity(items.len());
        let mut columns = Vec::with_capacity(items.len());
        for (typed, mut column) in items {
            column.column = self.fresh_as(&column.name);
            column.ty = typed.ty;
            column.arrow = typed.arrow;
            exprs.push(typed.expr.alias(&column.column));
            columns.push(column);
        }
        Ok(Rel {
            plan: project(plan, exprs)?,
            scope: Scope {
                columns,
                relations: Vec::new(),
            },
        })
    }
}

/// A projection; one without columns keeps its rows.
pub(super) fn project(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .project(exprs)
        .and_then(LogicalPlanBuilder::build)
        .map_err(lift)
}

/// The expression of a column.
pub(super) fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The column with its types.
pub(super) fn typed(found: &ScopeColumn) -> Typed {
    Typed {
        expr: column(&found.column),
        ty: found.ty.clone(),
        arrow: found.arrow.clone(),
    }
}

pub(super) fn field(name: &str, arrow: &DataType) -> Field {
    Field::new(name, arrow.clone(), true)
}

/// A column that is none of a table's.
pub(super) fn unnamed(name: &str) -> ScopeColumn {
    ScopeColumn {
        table: None,
        schema: None,
        name: name.to_owned(),
        column: String::new(),
        ty: SqlType::Unknown,
        arrow: DataType::Utf8View,
        origin: None,
        visible: true,
    }
}

/// A piece of a tree that has a place in the text.
pub(super) trait Placed {
    /// The 1-based character at which it starts.
    fn place(&self) -> usize;
}

impl Placed for ast::Expr {
    fn place(&self) -> usize {
        let mut expr = self;
        // The span of a chain of operators is found by walking all of it; it starts where its
        // leftmost operand does.
        while let Self::BinaryOp { left, .. } | Self::Cast { expr: left, .. } = expr {
            expr = left;
        }
        column_of(expr)
    }
}

impl Placed for ast::ObjectName {
    fn place(&self) -> usize {
        column_of(self)
    }
}

impl Placed for ast::Query {
    fn place(&self) -> usize {
        column_of(self)
    }
}

fn column_of(piece: &impl Spanned) -> usize {
    usize::try_from(piece.span().start.column).unwrap_or(0)
}

/// Where a piece of a tree starts in the text.
pub(super) fn position(piece: &impl Placed) -> Option<u32> {
    u32::try_from(piece.place()).ok().filter(|place| *place > 0)
}

/// Where a name of one part or several begins.
pub(crate) fn name_position(name: &ast::ObjectName) -> Option<u32> {
    let first = name.0.first().and_then(|part| part.as_ident());
    first.and_then(ident_position)
}

/// An expression as the right operand of an operator.
pub(super) fn operand(expr: &ast::Expr) -> Option<Operand> {
    let mut expr = expr;
    let mut signs = 0;
    loop {
        expr = match expr {
            ast::Expr::BinaryOp { left, .. } | ast::Expr::Cast { expr: left, .. } => left,
            ast::Expr::Nested(inner) => inner,
            ast::Expr::Tuple(parts) => parts.first()?,
            ast::Expr::UnaryOp { op, expr: inner } if *op != ast::UnaryOperator::Not => {
                signs += 1;
                inner
            }
            ast::Expr::Subquery(query) => {
                return position(query.as_ref()).map(|at| Operand { at, signs });
            }
            _ => break,
        };
    }
    position(expr).map(|at| Operand { at, signs })
}

pub(super) fn ident_position(ident: &ast::Ident) -> Option<u32> {
    u32::try_from(ident.span.start.column)
        .ok()
        .filter(|column| *column > 0)
}

/// The error of a function, as ours.
pub(super) fn told(error: FunctionError) -> Error {
    Error::from(error)
}

/// DataFusion's error, as ours.
pub(super) fn lift(error: DataFusionError) -> Error {
    match FunctionError::find(&error) {
        Some(found) => told(found.clone()),
        None => Error::from(error),
    }
}

pub(super) fn unsupported(what: impl std::fmt::Display) -> Error {
    Error::unsupported(what)
}
