//! What a client can ask for.

mod alter;
mod grants;
mod session;
mod tables;
mod types;

use chronolith_types::SqlType;
use sqlparser::ast;

pub use alter::*;
pub use grants::*;
pub use session::*;
pub use tables::*;
pub use types::*;

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH … of these.
    Query(Box<ast::Query>),
    /// INSERT.
    Insert(Box<ast::Insert>),
    /// INSERT … VALUES of plain literals alone.
    InsertLiterals(Box<crate::Literals>),
    /// INSERT of rows that are alike but for their literals.
    InsertAlike(Box<crate::AlikeRows>),
    /// UPDATE.
    Update(Box<ast::Update>),
    /// DELETE.
    Delete(Box<ast::Delete>),
    /// MERGE.
    Merge(Box<ast::Merge>),
    /// WITH before one of these.
    With {
        /// The queries with names.
        with: Box<ast::With>,
        /// The statement.
        inner: Box<Statement>,
    },
    /// CREATE TABLE with columns.
    CreateTable(Box<CreateTable>),
    /// CREATE TABLE … AS, and SELECT … INTO.
    CreateTableAs(Box<CreateTableAs>),
    /// CREATE [MATERIALIZED] VIEW.
    CreateView(Box<CreateView>),
    /// REFRESH MATERIALIZED VIEW.
    Refresh {
        /// Which view.
        name: Name,
        /// CONCURRENTLY.
        concurrently: bool,
        /// Not WITH NO DATA.
        with_data: bool,
    },
    /// CREATE INDEX.
    CreateIndex(Box<CreateIndex>),
    /// CREATE FUNCTION and CREATE PROCEDURE.
    CreateRoutine(Box<crate::CreateRoutine>),
    /// CREATE TYPE.
    CreateType(Box<CreateType>),
    /// CREATE DOMAIN.
    CreateDomain(Box<CreateDomain>),
    /// ALTER TYPE and ALTER DOMAIN.
    AlterType(Box<AlterType>),
    /// CREATE SEQUENCE.
    CreateSequence(Box<crate::CreateSequence>),
    /// ALTER SEQUENCE with options of its own.
    AlterSequence(Box<crate::AlterSequence>),
    /// CREATE TRIGGER.
    CreateTrigger(Box<crate::CreateTrigger>),
    /// CREATE PUBLICATION.
    CreatePublication(Box<crate::CreatePublication>),
    /// ALTER PUBLICATION.
    AlterPublication(Box<crate::AlterPublication>),
    /// DROP TRIGGER.
    DropTrigger {
        /// Its name.
        name: Spelled,
        /// Its table.
        table: Name,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// CREATE POLICY and ALTER POLICY.
    Policy(Box<crate::PolicyStatement>),
    /// DROP POLICY.
    DropPolicy {
        /// Its name.
        name: Spelled,
        /// Its table.
        table: Name,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// ALTER TRIGGER … RENAME TO.
    AlterTrigger {
        /// Its name.
        name: Spelled,
        /// Its table.
        table: Name,
        /// The new name.
        to: Spelled,
    },
    /// ALTER FUNCTION, PROCEDURE and ROUTINE.
    AlterRoutine(Box<crate::AlterRoutine>),
    /// CREATE SCHEMA.
    CreateSchema(CreateSchema),
    /// CREATE DATABASE.
    CreateDatabase {
        /// Its name.
        name: Spelled,
        /// OWNER, TEMPLATE, ENCODING …
        options: Vec<Opt>,
    },
    /// CREATE EXTENSION.
    CreateExtension {
        /// Its name.
        name: Spelled,
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// SCHEMA, VERSION, CASCADE.
        options: Vec<Opt>,
    },
    /// CREATE ROLE, USER or GROUP.
    CreateRole {
        /// Its name.
        name: Spelled,
        /// The verb was USER, which implies LOGIN.
        user: bool,
        /// LOGIN, NOSUPERUSER, PASSWORD …: the names are as written, in lower case.
        options: Vec<Opt>,
    },
    /// ALTER ROLE or USER with options, RENAME TO (`rename`), SET and RESET (`set`).
    AlterRole {
        /// Its name.
        name: Spelled,
        /// LOGIN, PASSWORD …
        options: Vec<Opt>,
        /// RENAME TO.
        rename: Option<Spelled>,
        /// SET or RESET of a setting.
        set: Option<SettingChange>,
        /// IN DATABASE: the setting is for sessions there alone.
        database: Option<Spelled>,
    },
    /// ALTER DATABASE.
    AlterDatabase {
        /// Its name.
        name: Spelled,
        /// CONNECTION LIMIT and the like.
        options: Vec<Opt>,
        /// RENAME TO.
        rename: Option<Spelled>,
        /// OWNER TO.
        owner: Option<Spelled>,
        /// SET or RESET of a setting.
        set: Option<SettingChange>,
    },
    /// ALTER SYSTEM.
    AlterSystem(SettingChange),
    /// ALTER SCHEMA … RENAME TO / OWNER TO.
    AlterSchema {
        /// Its name.
        name: Spelled,
        /// RENAME TO.
        rename: Option<Spelled>,
        /// OWNER TO.
        owner: Option<Spelled>,
    },
    /// ALTER EXTENSION … UPDATE [TO version].
    AlterExtension {
        /// Its name.
        name: Spelled,
        /// TO.
        version: Option<String>,
    },
    /// ALTER TABLE, VIEW, MATERIALIZED VIEW, INDEX.
    AlterTable(Box<AlterTable>),
    /// DROP of anything.
    Drop(Drop),
    /// TRUNCATE.
    Truncate {
        /// The tables.
        tables: Vec<Name>,
        /// ONLY, of all of them.
        only: bool,
        /// CASCADE.
        cascade: bool,
        /// RESTART IDENTITY.
        restart_identity: bool,
    },
    /// COPY.
    Copy(Box<Copy>),
    /// EXPLAIN.
    Explain(Box<Explain>),
    /// SET.
    Set {
        /// LOCAL.
        local: bool,
        /// What is set.
        change: SettingChange,
    },
    /// RESET name, RESET ALL (`None`).
    Reset(Option<String>),
    /// SHOW name, SHOW ALL (`None`).
    Show(Option<String>),
    /// SET TRANSACTION and SET SESSION CHARACTERISTICS AS TRANSACTION.
    SetTransaction {
        /// The latter.
        session: bool,
        /// The modes.
        modes: TransactionModes,
    },
    /// SET CONSTRAINTS.
    SetConstraints {
        /// Which; none for ALL.
        names: Vec<Name>,
        /// DEFERRED, and not IMMEDIATE.
        deferred: bool,
    },
    /// BEGIN.
    Begin(TransactionModes),
    /// START TRANSACTION, which answers with a tag of its own.
    Start(TransactionModes),
    /// COMMIT, END.
    Commit {
        /// AND CHAIN.
        chain: bool,
    },
    /// ROLLBACK, ABORT.
    Rollback {
        /// AND CHAIN.
        chain: bool,
    },
    /// SAVEPOINT.
    Savepoint(String),
    /// RELEASE SAVEPOINT.
    ReleaseSavepoint(String),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(String),
    /// PREPARE TRANSACTION.
    PrepareTransaction(String),
    /// COMMIT PREPARED and ROLLBACK PREPARED.
    EndPrepared {
        /// Which of the two.
        commit: bool,
        /// The transaction's name.
        name: String,
    },
    /// PREPARE.
    Prepare {
        /// Its name.
        name: String,
        /// The types of its parameters.
        types: Vec<SqlType>,
        /// What it prepares.
        inner: Box<Statement>,
        /// The text of that.
        text: String,
    },
    /// EXECUTE.
    Execute {
        /// The prepared statement.
        name: String,
        /// Its arguments.
        args: Vec<ast::Expr>,
    },
    /// DEALLOCATE name, DEALLOCATE ALL (`None`).
    Deallocate(Option<String>),
    /// DECLARE … CURSOR.
    Declare(Box<Declare>),
    /// FETCH and MOVE.
    Fetch {
        /// Of which cursor.
        cursor: String,
        /// Which rows.
        direction: FetchDirection,
        /// MOVE: rows are counted, not sent.
        only_move: bool,
    },
    /// CLOSE name, CLOSE ALL (`None`).
    Close(Option<String>),
    /// DISCARD.
    Discard(Discard),
    /// LISTEN.
    Listen(String),
    /// UNLISTEN name, UNLISTEN * (`None`).
    Unlisten(Option<String>),
    /// NOTIFY.
    Notify {
        /// The channel.
        channel: String,
        /// The payload.
        payload: Option<String>,
    },
    /// CALL.
    Call(Box<ast::Function>),
    /// DO.
    Do {
        /// `plpgsql` unless said.
        language: String,
        /// The code.
        body: String,
    },
    /// COMMENT ON.
    Comment {
        /// On what kind of thing.
        kind: ObjectKind,
        /// The thing; of a column, constraint or trigger, `table.column`.
        name: Name,
        /// Of a function, the types of its arguments.
        signature: Option<Vec<SqlType>>,
        /// The text; none takes it away.
        text: Option<String>,
    },
    /// SECURITY LABEL.
    Label(Box<Label>),
    /// SET TRANSACTION SNAPSHOT.
    SetSnapshot(String),
    /// VACUUM: accepted.
    Vacuum {
        /// FULL, ANALYZE …
        options: Vec<Opt>,
        /// Which tables; all when empty.
        tables: Vec<Name>,
    },
    /// ANALYZE: accepted.
    Analyze {
        /// Which tables; all when empty.
        tables: Vec<Name>,
    },
    /// REINDEX, CLUSTER, CHECKPOINT: the tag says which.
    Maintain {
        /// `REINDEX`, `CLUSTER` or `CHECKPOINT`.
        tag: &'static str,
        /// What it names.
        name: Option<Name>,
        /// USING: the index that CLUSTER is to order by.
        index: Option<Spelled>,
    },
    /// LOCK TABLE.
    Lock(crate::Lock),
    /// GRANT and REVOKE.
    Grant(Box<Grant>),
    /// REASSIGN OWNED, or DROP OWNED when nobody is to have it.
    Owned {
        roles: Vec<Spelled>,
        to: Option<Spelled>,
        cascade: bool,
    },
    /// ALTER DEFAULT PRIVILEGES.
    DefaultPrivileges(Box<DefaultPrivileges>),
    /// A statement of PostgreSQL that is recognised and not served: its tag.
    Other(String),
}

/// A name with its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled {
    /// Folded unless it was quoted.
    pub value: String,
    /// 1-based character position.
    pub position: usize,
}

/// A possibly qualified name, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// From the outermost to the object itself; never empty.
    pub parts: Vec<String>,
    /// 1-based character position of the first part.
    pub position: usize,
}

impl Name {
    /// The schema, if one is named.
    #[must_use]
    pub fn schema(&self) -> Option<&str> {
        let count = self.parts.len();
        count
            .checked_sub(2)
            .and_then(|at| self.parts.get(at))
            .map(String::as_str)
    }

    /// The object's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parts.join("."))
    }
}

/// `name [= value]` of WITH (…), SET (…), COPY (…), EXPLAIN (…), roles …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opt {
    /// In lower case, dots kept: `timescaledb.compress_segmentby`.
    pub name: String,
    /// Identifiers folded, strings unescaped, numbers as written; a list is joined by `, `.
    pub value: Option<String>,
    /// 1-based character position of the name.
    pub position: usize,
}

impl Opt {
    /// The value as a boolean: a bare option is true.
    #[must_use]
    pub fn bool(&self) -> Option<bool> {
        let Some(value) = &self.value else {
            return Some(true);
        };
        match value.to_lowercase().as_str() {
            "true" | "on" | "yes" | "1" | "t" | "y" => Some(true),
            "false" | "off" | "no" | "0" | "f" | "n" => Some(false),
            _ => None,
        }
    }
}

/// An expression with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlText {
    /// The tree.
    pub expr: ast::Expr,
    /// What was written.
    pub text: String,
}

/// CREATE SCHEMA.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateSchema {
    /// Its name; the role's when not given.
    pub name: Spelled,
    /// IF NOT EXISTS.
    pub if_not_exists: bool,
    /// AUTHORIZATION.
    pub owner: Option<Spelled>,
    /// What is made in it, each as its statement, in the order in which they are to run.
    pub elements: Vec<Statement>,
}

impl Statement {
    /// Whether it begins or ends a transaction, or a part of one.
    #[must_use]
    pub fn is_transaction_command(&self) -> bool {
        matches!(
            self,
            Self::Begin(_)
                | Self::Start(_)
                | Self::Commit { .. }
                | Self::Rollback { .. }
                | Self::Savepoint(_)
                | Self::ReleaseSavepoint(_)
                | Self::RollbackTo(_)
                | Self::PrepareTransaction(_)
                | Self::EndPrepared { .. }
        )
    }
}

/// Kinds of things that DROP and COMMENT name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the kind of its name")]
pub enum ObjectKind {
    Table,
    View,
    MaterializedView,
    Index,
    Schema,
    Database,
    Role,
    Extension,
    Sequence,
    Column,
    Constraint,
    Function,
    Procedure,
    /// Either of both.
    Routine,
    Aggregate,
    Trigger,
    Type,
    Domain,
    Publication,
    Language,
    Other,
}

/// DROP.
#[derive(Debug, Clone, PartialEq)]
pub struct Drop {
    /// Which kind.
    pub kind: ObjectKind,
    /// Which ones.
    pub names: Vec<Name>,
    /// Of a function, the types of its arguments; None where they are left out.
    pub signatures: Vec<Option<Vec<SqlType>>>,
    /// IF EXISTS.
    pub if_exists: bool,
    /// CASCADE.
    pub cascade: bool,
}

/// SECURITY LABEL.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// FOR: who understands it.
    pub provider: Option<String>,
    /// On what kind of thing.
    pub kind: ObjectKind,
    /// The thing; of a column, `table.column`.
    pub name: Name,
    /// Of a function, the types of its arguments.
    pub signature: Option<Vec<SqlType>>,
    /// The text; none takes it away.
    pub text: Option<String>,
}
