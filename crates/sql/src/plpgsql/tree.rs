//! What a body says.

use std::sync::Arc;

use sqlparser::ast;

use crate::statement::FetchDirection;
use crate::targets::part_of;
use crate::{Parsed, TypeRef};

/// A piece of SQL: an expression, or a query that gives its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sql {
    /// No other piece has it, in whatever body.
    pub id: u64,
    /// As it was written.
    pub text: String,
    /// The expression, where it is one alone.
    pub expr: Option<Box<ast::Expr>>,
    /// `SELECT` and the text.
    pub query: Box<ast::Query>,
}

impl Sql {
    /// What a variable becomes of which a part gets the value.
    pub(super) fn of_part(mut self, part: &str) -> Self {
        self.text = format!("{part} := {}", self.text);
        if let Some(value) = self.expr.take() {
            self.expr = Some(Box::new(part_of(part, *value)));
        }
        if let ast::SetExpr::Select(select) = self.query.body.as_mut()
            && let Some(
                ast::SelectItem::UnnamedExpr(value)
                | ast::SelectItem::ExprWithAlias { expr: value, .. },
            ) = select.projection.first_mut()
        {
            *value = part_of(part, value.clone());
        }
        self
    }
}

/// A statement of SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// No other piece has it.
    pub id: u64,
    /// Its text, without INTO.
    pub text: String,
    /// What it is.
    pub parsed: std::sync::Arc<Parsed>,
}

/// What is assigned to: a variable, a field of a record, an item of an array.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// `a`, `a.b`, `label.a.b`.
    pub parts: Vec<String>,
    /// The subscript.
    pub index: Option<Sql>,
}

/// INTO.
#[derive(Debug, Clone, PartialEq)]
pub struct Into {
    /// STRICT.
    pub strict: bool,
    /// Where the values go.
    pub targets: Vec<Target>,
}

/// A query that is run.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// As it stands.
    Fixed(Command),
    /// What EXECUTE runs, with USING.
    Made(Sql, Vec<Sql>),
}

/// The type of a variable.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredType {
    /// A type.
    Type(TypeRef),
    /// Whatever is put in.
    Record,
    /// Another name of a variable.
    Alias(String),
    /// A cursor with its query.
    Cursor(Arc<Bound>),
}

/// A cursor that is declared with its query.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    /// The variable's name, which the cursor gets too.
    pub name: String,
    /// Its arguments, which the query may name.
    pub args: Vec<(String, TypeRef)>,
    /// SCROLL or NO SCROLL.
    pub scroll: Option<bool>,
    /// The query.
    pub query: Command,
}

/// How a cursor is opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Open {
    /// With the query that it was declared with, and its arguments.
    Bound(Arc<Bound>, Vec<Sql>),
    /// With a query of its own.
    Fixed(Option<bool>, Command),
    /// With what EXECUTE would run, with USING.
    Made(Option<bool>, Sql, Vec<Sql>),
}

/// Where FETCH and MOVE go.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "PostgreSQL's own words")]
pub enum Direction {
    Fixed(FetchDirection),
    Absolute(Sql),
    Relative(Sql),
    Forward(Sql),
    Backward(Sql),
}

/// DECLARE.
#[derive(Debug, Clone, PartialEq)]
pub struct Declaration {
    /// Its name.
    pub name: String,
    /// CONSTANT.
    pub constant: bool,
    /// Its type.
    pub ty: DeclaredType,
    /// NOT NULL.
    pub not_null: bool,
    /// What it begins with.
    pub default: Option<Sql>,
    /// Its line.
    pub line: usize,
}

/// WHEN of EXCEPTION.
#[derive(Debug, Clone, PartialEq)]
pub struct Handler {
    /// Names, and SQLSTATEs behind a `#`.
    pub conditions: Vec<String>,
    /// What is done.
    pub body: Vec<Stmt>,
}

/// BEGIN … END.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// `<<label>>`.
    pub label: Option<String>,
    /// DECLARE.
    pub declarations: Vec<Declaration>,
    /// The statements.
    pub body: Vec<Stmt>,
    /// EXCEPTION.
    pub handlers: Vec<Handler>,
    /// What the whole body asks for.
    pub options: Options,
}

/// Options of a body, each a line of its own before the block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// `#variable_conflict`: which of a variable and a column of one name is meant.
    pub conflict: Option<Conflict>,
    /// `#print_strict_params`: whether errors of INTO STRICT tell the values that were asked with.
    pub strict_params: Option<bool>,
}

/// `#variable_conflict`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "PostgreSQL's own words")]
pub enum Conflict {
    #[default]
    Error,
    UseVariable,
    UseColumn,
}

/// A condition with its statements.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    /// The condition, or the values of a CASE.
    pub when: Vec<Sql>,
    /// The statements.
    pub then: Vec<Stmt>,
}

/// How grave a RAISE is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the level of its name")]
pub enum Level {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Exception,
}

/// RAISE.
#[derive(Debug, Clone, PartialEq)]
pub struct Raise {
    /// The level.
    pub level: Level,
    /// A condition's name, or an SQLSTATE behind a `#`.
    pub condition: Option<String>,
    /// The message, with a `%` for each argument.
    pub format: Option<String>,
    /// The arguments.
    pub args: Vec<Sql>,
    /// USING, names in lower case.
    pub options: Vec<(String, Sql)>,
    /// RAISE alone: the error that is handled goes on.
    pub again: bool,
}

/// A statement with its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Stmt {
    /// Where it begins, from 1.
    pub line: usize,
    /// What it is.
    pub kind: StmtKind,
}

/// What a statement does.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    missing_docs,
    reason = "the fields are the parts of the statement of that name"
)]
pub enum StmtKind {
    Block(Block),
    Assign {
        target: Target,
        value: Sql,
    },
    If {
        arms: Vec<Arm>,
        otherwise: Vec<Stmt>,
    },
    Case {
        operand: Option<Sql>,
        arms: Vec<Arm>,
        otherwise: Option<Vec<Stmt>>,
    },
    Loop {
        label: Option<String>,
        body: Vec<Stmt>,
    },
    While {
        label: Option<String>,
        condition: Sql,
        body: Vec<Stmt>,
    },
    ForRange {
        label: Option<String>,
        variable: String,
        reverse: bool,
        from: Sql,
        to: Sql,
        by: Option<Sql>,
        body: Vec<Stmt>,
    },
    ForQuery {
        label: Option<String>,
        targets: Vec<Target>,
        query: Wanted,
        body: Vec<Stmt>,
    },
    ForEach {
        label: Option<String>,
        targets: Vec<Target>,
        /// How many dimensions what it gives has; 0 for items.
        slice: u32,
        array: Sql,
        body: Vec<Stmt>,
    },
    ForCursor {
        label: Option<String>,
        variable: String,
        cursor: String,
        bound: Arc<Bound>,
        args: Vec<Sql>,
        body: Vec<Stmt>,
    },
    Open {
        cursor: String,
        how: Open,
    },
    /// FETCH, and MOVE where nothing is taken.
    Fetch {
        cursor: String,
        direction: Direction,
        into: Option<Into>,
    },
    Close {
        cursor: String,
    },
    Exit {
        /// CONTINUE.
        next: bool,
        label: Option<String>,
        condition: Option<Sql>,
    },
    Return(Option<Sql>),
    ReturnNext(Option<Sql>),
    ReturnQuery(Wanted),
    Perform(Command),
    Execute {
        text: Sql,
        into: Option<Into>,
        using: Vec<Sql>,
    },
    Command {
        command: Command,
        into: Option<Into>,
    },
    Diagnostics {
        stacked: bool,
        items: Vec<(Target, String)>,
    },
    Raise(Raise),
    Assert {
        condition: Sql,
        message: Option<Sql>,
    },
    /// COMMIT, and ROLLBACK otherwise.
    End {
        commit: bool,
        chain: bool,
    },
    Null,
}

impl StmtKind {
    /// What an error's context calls it.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self {
            Self::Block(_) => "statement block",
            Self::Assign { .. } => "assignment",
            Self::If { .. } => "IF",
            Self::Case { .. } => "CASE",
            Self::Loop { .. } => "LOOP",
            Self::While { .. } => "WHILE",
            Self::ForRange { .. } => "FOR with integer loop variable",
            Self::ForQuery { query, .. } => match query {
                Wanted::Fixed(_) => "FOR over SELECT rows",
                Wanted::Made(..) => "FOR over EXECUTE statement",
            },
            Self::ForEach { .. } => "FOREACH over array",
            Self::ForCursor { .. } => "FOR over cursor",
            Self::Open { .. } => "OPEN",
            Self::Fetch { into: Some(_), .. } => "FETCH",
            Self::Fetch { into: None, .. } => "MOVE",
            Self::Close { .. } => "CLOSE",
            Self::Exit { next: false, .. } => "EXIT",
            Self::Exit { next: true, .. } => "CONTINUE",
            Self::Return(_) => "RETURN",
            Self::ReturnNext(_) => "RETURN NEXT",
            Self::ReturnQuery(_) => "RETURN QUERY",
            Self::Perform(_) => "PERFORM",
            Self::Execute { .. } => "EXECUTE",
            Self::Command { command, .. } => match command.parsed.statement {
                crate::Statement::Call(_) => "CALL",
                crate::Statement::Do { .. } => "DO",
                _ => "SQL statement",
            },
            Self::Diagnostics { .. } => "GET DIAGNOSTICS",
            Self::Raise(_) => "RAISE",
            Self::Assert { .. } => "ASSERT",
            Self::End { commit: true, .. } => "COMMIT",
            Self::End { commit: false, .. } => "ROLLBACK",
            Self::Null => "NULL",
        }
    }
}
