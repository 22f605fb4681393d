//! COPY, EXPLAIN, settings, transactions and cursors.

use sqlparser::ast;

use crate::{Name, Opt, Spelled, Statement};

/// COPY.
#[derive(Debug, Clone, PartialEq)]
pub struct Copy {
    /// What is copied.
    pub source: CopySource,
    /// FROM rather than TO.
    pub from: bool,
    /// The other end.
    pub target: CopyTarget,
    /// In both syntaxes: `format`, `header`, `delimiter`, `null`, `quote`, `escape`, `encoding`,
    /// `force_quote`, `force_not_null`, `force_null`, `freeze`.
    pub options: Vec<Opt>,
    /// WHERE of COPY FROM.
    pub filter: Option<Box<ast::Expr>>,
}

/// What COPY copies.
#[derive(Debug, Clone, PartialEq)]
pub enum CopySource {
    /// A table.
    Table {
        /// Which.
        name: Name,
        /// Its columns; all when empty.
        columns: Vec<Spelled>,
    },
    /// The rows of a statement.
    Query(Box<Statement>),
}

/// The other end of COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyTarget {
    /// STDIN or STDOUT: the client.
    Client,
    /// A file on the server.
    File(String),
    /// A program on the server.
    Program(String),
}

/// EXPLAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct Explain {
    /// ANALYZE.
    pub analyze: bool,
    /// VERBOSE.
    pub verbose: bool,
    /// COSTS, on unless turned off.
    pub costs: bool,
    /// FORMAT: `text`, `json`, `xml` or `yaml`.
    pub format: String,
    /// All options as written.
    pub options: Vec<Opt>,
    /// What is explained.
    pub inner: Box<Statement>,
}

impl Explain {
    /// Whether an option is on; `unless` where it is not given.
    #[must_use]
    pub fn on(&self, name: &str, unless: bool) -> bool {
        let mut given = self.options.iter().rev();
        let given = given.find(|option| option.name == name);
        given.and_then(Opt::bool).unwrap_or(unless)
    }
}

/// SET of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingChange {
    /// In lower case; `timezone`, `client_encoding`, `session_authorization`, `role` for their own
    /// syntaxes; `all` of RESET ALL.
    pub name: String,
    /// The value; none for DEFAULT and RESET. A list is joined by `, `, each part quoted if need be.
    pub value: Option<String>,
    /// 1-based character position of the name.
    pub position: usize,
}

/// Modes of a transaction; none when not said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionModes {
    /// `read committed`, `repeatable read` …
    pub isolation: Option<String>,
    /// READ ONLY or READ WRITE.
    pub read_only: Option<bool>,
    /// [NOT] DEFERRABLE.
    pub deferrable: Option<bool>,
}

/// DECLARE … CURSOR.
#[derive(Debug, Clone, PartialEq)]
pub struct Declare {
    /// Its name.
    pub name: String,
    /// BINARY.
    pub binary: bool,
    /// WITH HOLD.
    pub hold: bool,
    /// SCROLL or NO SCROLL.
    pub scroll: Option<bool>,
    /// FOR.
    pub query: Box<ast::Query>,
    /// The text of the query.
    pub text: String,
}

/// Which rows FETCH fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "PostgreSQL's own names")]
pub enum FetchDirection {
    /// NEXT is `Forward(1)`, PRIOR is `Forward(-1)`.
    Forward(i64),
    ForwardAll,
    BackwardAll,
    First,
    Last,
    Absolute(i64),
    Relative(i64),
}

/// What DISCARD discards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "PostgreSQL's own names")]
pub enum Discard {
    All,
    Plans,
    Sequences,
    Temp,
}
