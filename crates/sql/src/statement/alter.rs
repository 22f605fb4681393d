//! What is changed of a table, view or index.

use chronolith_types::SqlType;

use crate::{ColumnDef, Constraint, Name, ObjectKind, Opt, Spelled, SqlText, Timing};

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

/// One action of ALTER TABLE.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "one statement is held at a time: boxes would cost more reading than they save"
)]
pub enum AlterAction {
    /// ENABLE, DISABLE, FORCE and NO FORCE ROW LEVEL SECURITY.
    RowSecurity {
        enabled: Option<bool>,
        forced: Option<bool>,
    },
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
    /// CLUSTER ON; SET WITHOUT CLUSTER (`None`).
    Cluster(Option<Spelled>),
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
