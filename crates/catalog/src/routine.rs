//! Functions and procedures that users made.

use chronolith_types::{RoleId, RoutineId, SchemaId, SqlType};
use serde::{Deserialize, Serialize};

/// A function or procedure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Routine {
    /// Its oid.
    pub id: RoutineId,
    /// Where it lies.
    pub schema: SchemaId,
    /// Its name, which others with other arguments may share.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// What gives it a result; None for a procedure.
    #[serde(default)]
    pub result: Option<RoutineResult>,
    /// What it takes, in order.
    #[serde(default)]
    pub args: Vec<RoutineArg>,
    /// `sql`.
    pub language: String,
    /// What it does, in its language.
    pub body: String,
    /// Null for any null argument.
    #[serde(default)]
    pub strict: bool,
    /// How its answer may change.
    #[serde(default)]
    pub volatility: Volatility,
    /// With its owner's rights.
    #[serde(default)]
    pub security_definer: bool,
    /// COMMENT ON.
    #[serde(default)]
    pub comment: Option<String>,
}

/// What a function answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineResult {
    /// The type of its value, or of one of them.
    pub ty: SqlType,
    /// RETURNS SETOF.
    #[serde(default)]
    pub set: bool,
}

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineArg {
    /// Its name, where it has one.
    #[serde(default)]
    pub name: Option<String>,
    /// Its type.
    pub ty: SqlType,
    /// What it is when it is left out, as SQL.
    #[serde(default)]
    pub default: Option<String>,
}

/// How a function's answer may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Volatility {
    /// From row to row.
    #[default]
    Volatile,
    /// From statement to statement.
    Stable,
    /// Never.
    Immutable,
}

impl Routine {
    /// The types by which it is told from others of its name.
    pub fn types(&self) -> impl Iterator<Item = &SqlType> {
        self.args.iter().map(|arg| &arg.ty)
    }
}
