//! What tables, views and indexes are made with.

use chronolith_types::SqlType;
use sqlparser::ast;

use crate::{Name, Opt, Spelled, SqlText};

/// A column as it is declared.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDef {
    /// Its name.
    pub name: Spelled,
    /// Its type.
    pub ty: SqlType,
    /// `serial`, `bigserial` …: the default is a sequence.
    pub sequence: bool,
    /// GENERATED … AS IDENTITY.
    pub identity: Option<crate::IdentityDef>,
    /// NOT NULL was said.
    pub not_null: bool,
    /// DEFAULT.
    pub default: Option<SqlText>,
    /// GENERATED ALWAYS AS (…) STORED.
    pub generated: Option<SqlText>,
    /// COLLATE.
    pub collation: Option<String>,
    /// NULL.
    pub null: bool,
    /// More than one DEFAULT.
    pub twice: bool,
}

/// A constraint of a table; one of a column names that column.
#[derive(Debug, Clone, PartialEq)]
pub struct Constraint {
    /// Its name, if one was given.
    pub name: Option<Spelled>,
    /// What it demands.
    pub kind: ConstraintKind,
    /// When.
    pub timing: Timing,
    /// INCLUDE of a key.
    pub include: Vec<Spelled>,
    /// 1-based character position.
    pub position: usize,
}

/// When a constraint is held, and against which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// DEFERRABLE.
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    pub deferred: bool,
    /// NOT VALID.
    pub not_valid: bool,
    /// NO INHERIT.
    pub no_inherit: bool,
}

/// What becomes of rows that refer to one that goes or gets another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "PostgreSQL's own names")]
pub enum ReferenceAction {
    #[default]
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

/// What a constraint demands.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one statement is held at a time: boxes would cost more reading than they save"
)]
pub enum ConstraintKind {
    /// PRIMARY KEY.
    PrimaryKey(Vec<Spelled>),
    /// UNIQUE.
    Unique {
        /// The columns.
        columns: Vec<Spelled>,
        /// NULLS NOT DISTINCT.
        nulls_alike: bool,
    },
    /// CHECK.
    Check(SqlText),
    /// FOREIGN KEY.
    ForeignKey {
        /// The referencing columns.
        columns: Vec<Spelled>,
        /// The referenced table.
        table: Name,
        /// The referenced columns; its primary key when empty.
        referred: Vec<Spelled>,
        /// MATCH FULL.
        full: bool,
        /// ON DELETE.
        on_delete: ReferenceAction,
        /// ON UPDATE.
        on_update: ReferenceAction,
        /// The columns that ON DELETE SET … sets; all of them when empty.
        set: Vec<Spelled>,
    },
    /// PRIMARY KEY or UNIQUE USING INDEX.
    UsingIndex {
        /// PRIMARY KEY.
        primary: bool,
        /// The index.
        index: Spelled,
    },
    /// EXCLUDE.
    Exclude(Box<Exclude>),
}

/// EXCLUDE: no two rows of whose keys all operators say yes.
#[derive(Debug, Clone, PartialEq)]
pub struct Exclude {
    /// USING; `btree` when not said.
    pub method: String,
    /// The keys, each with the operator behind WITH.
    pub keys: Vec<(IndexKey, String)>,
    /// WITH (…).
    pub options: Vec<Opt>,
    /// WHERE.
    pub predicate: Option<SqlText>,
}

/// CREATE TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTable {
    /// Its name.
    pub name: Name,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// UNLOGGED.
    pub unlogged: bool,
    /// The columns.
    pub columns: Vec<ColumnDef>,
    /// The constraints, those of columns included.
    pub constraints: Vec<Constraint>,
    /// LIKE clauses.
    pub like: Vec<Like>,
    /// INHERITS.
    pub inherits: Vec<Name>,
    /// PARTITION BY: its text.
    pub partition_by: Option<String>,
    /// PARTITION OF.
    pub partition_of: Option<Name>,
    /// WITH (…): `tsdb.hypertable`, `fillfactor` …
    pub options: Vec<Opt>,
    /// ON COMMIT.
    pub on_commit: Option<OnCommit>,
}

/// What a commit does with a temporary table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "PostgreSQL's own names")]
pub enum OnCommit {
    PreserveRows,
    DeleteRows,
    Drop,
}

/// LIKE in CREATE TABLE.
#[derive(Debug, Clone, PartialEq)]
pub struct Like {
    /// The table to be like.
    pub table: Name,
    /// How many columns are declared before it.
    pub place: usize,
    /// INCLUDING: `defaults`, `constraints`, `indexes` …, ALL of them written out.
    pub including: Vec<String>,
}

/// CREATE TABLE … AS.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTableAs {
    /// Its name.
    pub name: Name,
    /// The names of its columns, if given.
    pub columns: Vec<Spelled>,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// UNLOGGED.
    pub unlogged: bool,
    /// ON COMMIT.
    pub on_commit: Option<OnCommit>,
    /// WITH (…).
    pub options: Vec<Opt>,
    /// AS.
    pub source: AsSource,
    /// Not WITH NO DATA.
    pub with_data: bool,
}

/// What the rows of CREATE TABLE AS are.
#[derive(Debug, Clone, PartialEq)]
pub enum AsSource {
    /// Those of a query.
    Query(Box<ast::Query>),
    /// Those of a prepared statement, with its arguments.
    Execute(String, Vec<ast::Expr>),
}

/// CREATE [MATERIALIZED] VIEW.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// The names of its columns, if given.
    pub columns: Vec<Spelled>,
    /// OR REPLACE.
    pub or_replace: bool,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// TEMPORARY.
    pub temporary: bool,
    /// MATERIALIZED.
    pub materialized: bool,
    /// UNLOGGED, which PostgreSQL reads before MATERIALIZED and refuses.
    pub unlogged: bool,
    /// USING: the way that rows are kept.
    pub method: Option<Spelled>,
    /// WITH (…): `timescaledb.continuous` …
    pub options: Vec<Opt>,
    /// AS.
    pub query: Box<ast::Query>,
    /// The text of the query.
    pub text: String,
    /// Not WITH NO DATA.
    pub with_data: bool,
}

/// CREATE INDEX.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateIndex {
    /// Its name, if one was given.
    pub name: Option<Spelled>,
    /// On which table.
    pub table: Name,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// UNIQUE.
    pub unique: bool,
    /// CONCURRENTLY.
    pub concurrently: bool,
    /// USING; `btree` when not said.
    pub method: String,
    /// The keys.
    pub keys: Vec<IndexKey>,
    /// NULLS NOT DISTINCT.
    pub nulls_alike: bool,
    /// INCLUDE.
    pub include: Vec<Spelled>,
    /// WHERE.
    pub predicate: Option<SqlText>,
    /// WITH (…).
    pub options: Vec<Opt>,
}

/// A key of an index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexKey {
    /// The column or expression.
    pub expr: SqlText,
    /// The column, when it is one.
    pub column: Option<Spelled>,
    /// COLLATE.
    pub collation: Option<Name>,
    /// The class of operators.
    pub class: Option<Name>,
    /// DESC.
    pub desc: bool,
    /// NULLS FIRST, or what DESC implies.
    pub nulls_first: bool,
}
