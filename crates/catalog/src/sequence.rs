//! Sequences: numbers given one after another.

use chronolith_types::{ColumnId, RoleId, SchemaId, SqlType, TableId};
use serde::{Deserialize, Serialize};

/// A sequence: how it counts, and how far it may have come.
///
/// Numbers are given without a transaction, and are never taken back. So that one is not given
/// twice after a crash, `last` runs ahead of what was given: the log hears of many numbers at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Its oid.
    pub id: TableId,
    /// Where it lies.
    pub schema: SchemaId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// `smallint`, `integer` or `bigint`.
    pub ty: SqlType,
    /// The first number, also after a restart.
    pub start: i64,
    /// The step, never 0.
    pub increment: i64,
    /// The least number.
    pub min: i64,
    /// The greatest number.
    pub max: i64,
    /// How many numbers a session may take at once.
    pub cache: i64,
    /// Whether it begins anew past its end.
    pub cycle: bool,
    /// The column that it goes with.
    #[serde(default)]
    pub owned_by: Option<OwnedBy>,
    /// The number of its present count: a restart begins another, as PostgreSQL does, so that it can
    /// be taken back.
    pub count: u32,
    /// The last number of that count that may have been given, or the next one.
    pub last: i64,
    /// Whether `last` was given.
    pub called: bool,
}

/// A column that a sequence goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedBy {
    /// The table.
    pub table: TableId,
    /// Its column.
    pub column: ColumnId,
    /// The sequence is what makes the column an identity column.
    #[serde(default)]
    pub internal: bool,
}

/// What an identity column says to values that are given for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// GENERATED ALWAYS: they are refused. BY DEFAULT: they are taken.
    pub always: bool,
    /// Where its own values come from.
    pub sequence: TableId,
}
