//! What a client can ask for.

use chronolith_types::SqlType;
use sqlparser::ast;

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// SELECT, VALUES, TABLE, WITH … of these.
    Query(Box<ast::Query>),
    /// INSERT.
    Insert(Box<ast::Insert>),
    /// INSERT … VALUES of plain literals alone.
    InsertLiterals(Box<crate::Literals>),
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
    },
    /// LOCK TABLE.
    Lock(crate::Lock),
    /// GRANT and REVOKE.
    Grant(Box<Grant>),
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
    Exclude,
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
    pub query: Box<ast::Query>,
    /// Not WITH NO DATA.
    pub with_data: bool,
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
    /// DESC.
    pub desc: bool,
    /// NULLS FIRST, or what DESC implies.
    pub nulls_first: bool,
}

/// CREATE TYPE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateType {
    /// Its name.
    pub name: Name,
    /// What its values are.
    pub body: DeclaredType,
}

/// What the values of a new type are.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredType {
    /// One of these labels, the least first.
    Enum(Vec<String>),
    /// Fields.
    Composite(Vec<(Spelled, SqlType)>),
}

/// CREATE DOMAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateDomain {
    /// Its name.
    pub name: Name,
    /// The type that it is over.
    pub ty: SqlType,
    /// DEFAULT.
    pub default: Option<SqlText>,
    /// NOT NULL.
    pub not_null: bool,
    /// Checks of VALUE.
    pub checks: Vec<DomainCheck>,
}

/// A check of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainCheck {
    /// Its name, if one was given.
    pub name: Option<Spelled>,
    /// What it demands.
    pub check: SqlText,
}

/// ALTER TYPE and ALTER DOMAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterType {
    /// Which.
    pub name: Name,
    /// The word was DOMAIN.
    pub domain: bool,
    /// What to do.
    pub action: TypeAction,
}

/// What ALTER TYPE does with a field of a composite type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the clause of its name")]
pub enum AttributeAction {
    Add { name: Spelled, ty: SqlType },
    Drop { name: Spelled, if_exists: bool },
    Alter { name: Spelled, ty: SqlType },
}

/// What ALTER TYPE or ALTER DOMAIN does.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the clause of its name")]
pub enum TypeAction {
    AddValue {
        if_not_exists: bool,
        label: String,
        /// BEFORE (true) or AFTER which.
        place: Option<(bool, String)>,
    },
    RenameValue {
        from: String,
        to: String,
    },
    RenameAttribute {
        from: Spelled,
        to: Spelled,
    },
    Attributes(Vec<AttributeAction>),
    RenameTo(Spelled),
    OwnerTo(Spelled),
    SetSchema(Spelled),
    SetDefault(Option<SqlText>),
    SetNotNull(bool),
    AddCheck {
        check: DomainCheck,
        /// Not NOT VALID.
        valid: bool,
    },
    DropCheck {
        name: Spelled,
        if_exists: bool,
    },
    RenameCheck {
        from: Spelled,
        to: Spelled,
    },
    Validate(Spelled),
    /// Something else: its words.
    Other(String),
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
    Aggregate,
    Trigger,
    Type,
    Domain,
    Publication,
    Language,
    Other,
}

/// GRANT or REVOKE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// REVOKE.
    pub revoke: bool,
    /// REVOKE … OPTION FOR: only the right to hand on goes.
    pub option_only: bool,
    /// WITH GRANT OPTION, WITH ADMIN OPTION.
    pub with_option: bool,
    /// CASCADE.
    pub cascade: bool,
    /// What.
    pub granted: Granted,
    /// To whom; `public` is everybody.
    pub to: Vec<Spelled>,
    /// GRANTED BY.
    pub by: Option<Spelled>,
}

/// What GRANT grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// Rights on something.
    Rights {
        /// Which; all of them when empty.
        rights: Vec<GrantedRight>,
        /// On what.
        on: GrantTarget,
    },
    /// Membership in roles.
    Roles(Vec<Spelled>),
}

/// A right that is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedRight {
    /// Its name in lower case.
    pub name: Spelled,
    /// On which columns; on the whole when empty.
    pub columns: Vec<Spelled>,
}

/// What rights are granted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantTarget {
    /// Things by their names.
    Objects {
        /// What they are.
        kind: ObjectKind,
        /// Their names.
        names: Vec<Name>,
    },
    /// ALL … IN SCHEMA; of default privileges, those to come.
    AllIn {
        /// What they are.
        kind: ObjectKind,
        /// The schemas.
        schemas: Vec<Spelled>,
    },
}

/// ALTER DEFAULT PRIVILEGES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPrivileges {
    /// FOR ROLE; the current one when empty.
    pub roles: Vec<Spelled>,
    /// IN SCHEMA; any when empty.
    pub schemas: Vec<Spelled>,
    /// GRANT or REVOKE; its target names no schemas.
    pub grant: Grant,
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

/// ALTER TABLE and its kin.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterTable {
    /// The word after ALTER.
    pub kind: ObjectKind,
    /// Which one.
    pub name: Name,
    /// IF EXISTS.
    pub if_exists: bool,
    /// What to do, in order.
    pub actions: Vec<AlterAction>,
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

/// One action of ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one statement is held at a time: boxes would cost more reading than they save"
)]
pub enum AlterAction {
    /// ENABLE and DISABLE TRIGGER.
    Trigger {
        /// As `pg_trigger.tgenabled` says it.
        enabled: char,
        /// Which one; None for all.
        name: Option<Spelled>,
    },
    /// ADD COLUMN.
    AddColumn {
        /// IF NOT EXISTS.
        if_not_exists: bool,
        /// The column.
        column: ColumnDef,
        /// Its constraints.
        constraints: Vec<Constraint>,
    },
    /// DROP COLUMN.
    DropColumn {
        /// Which.
        name: Spelled,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// ALTER COLUMN … TYPE.
    SetType {
        /// Which.
        name: Spelled,
        /// The new type.
        ty: SqlType,
        /// USING.
        using: Option<SqlText>,
    },
    /// ALTER COLUMN … SET DEFAULT, DROP DEFAULT (`None`).
    SetDefault {
        /// Which.
        name: Spelled,
        /// The default.
        default: Option<SqlText>,
    },
    /// ALTER COLUMN … SET NOT NULL, DROP NOT NULL.
    SetNotNull {
        /// Which.
        name: Spelled,
        /// SET.
        not_null: bool,
    },
    /// ALTER COLUMN … ADD, SET and DROP of an identity.
    Identity(crate::ColumnIdentity),
    /// ALTER COLUMN … DROP EXPRESSION.
    DropExpression {
        /// Which.
        name: Spelled,
        /// IF EXISTS.
        if_exists: bool,
    },
    /// VALIDATE CONSTRAINT.
    ValidateConstraint(Spelled),
    /// SET LOGGED, or UNLOGGED.
    SetLogged(bool),
    /// ALTER CONSTRAINT … DEFERRABLE …
    AlterConstraint {
        /// Which.
        name: Spelled,
        /// When it is held from now on.
        timing: Timing,
    },
    /// ADD CONSTRAINT.
    AddConstraint(Constraint),
    /// DROP CONSTRAINT.
    DropConstraint {
        /// Which.
        name: Spelled,
        /// IF EXISTS.
        if_exists: bool,
        /// CASCADE.
        cascade: bool,
    },
    /// RENAME [COLUMN] … TO.
    RenameColumn {
        /// From.
        from: Spelled,
        /// To.
        to: Spelled,
    },
    /// RENAME CONSTRAINT … TO.
    RenameConstraint {
        /// From.
        from: Spelled,
        /// To.
        to: Spelled,
    },
    /// RENAME TO.
    RenameTo(Spelled),
    /// SET SCHEMA.
    SetSchema(Spelled),
    /// OWNER TO.
    OwnerTo(Spelled),
    /// SET (…): `timescaledb.compress` …
    SetOptions(Vec<Opt>),
    /// RESET (…).
    ResetOptions(Vec<Opt>),
    /// Something else: its words, such as `CLUSTER ON`.
    Other(String),
}

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
