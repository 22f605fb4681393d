//! Functions and procedures that users made.

use chronolith_types::{RoleId, RoutineId, SchemaId, SqlType, TableId, TypeId};
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
    /// SET: settings that hold while it runs, as SET takes them.
    #[serde(default)]
    pub settings: Vec<(String, String)>,
    /// The body stood in the statement itself: RETURN, or BEGIN ATOMIC.
    #[serde(default)]
    pub plain_body: bool,
    /// What planners are promised, kept to be shown.
    #[serde(default)]
    pub promises: Promises,
}

/// What a function promises planners: of no use here, but shown and dumped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Promises {
    /// COST, where it was given.
    #[serde(default)]
    pub cost: Option<String>,
    /// ROWS, where it was given.
    #[serde(default)]
    pub rows: Option<String>,
    /// PARALLEL SAFE or RESTRICTED: `s` or `r`.
    #[serde(default)]
    pub parallel: Option<char>,
    /// LEAKPROOF.
    #[serde(default)]
    pub leakproof: bool,
}

/// What a function answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutineResult {
    /// The type of its value, or of one of them.
    pub ty: SqlType,
    /// RETURNS SETOF, and RETURNS TABLE.
    #[serde(default)]
    pub set: bool,
    /// The table or view whose rows it gives, or the number by which a composite type is listed;
    /// its type is then `record`.
    #[serde(default)]
    pub relation: Option<TableId>,
    /// The domain that its value is held against; its type is then that of the domain.
    #[serde(default)]
    pub domain: Option<TypeId>,
}

/// Which way an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ArgMode {
    /// In.
    #[default]
    In,
    /// Out: part of the result.
    Out,
    /// In, and part of the result.
    InOut,
    /// All that is left, as an array.
    Variadic,
    /// A column of RETURNS TABLE.
    Table,
}

impl ArgMode {
    /// Whether a call gives it.
    #[must_use]
    pub fn goes_in(self) -> bool {
        matches!(self, Self::In | Self::InOut | Self::Variadic)
    }

    /// Whether it is part of the result.
    #[must_use]
    pub fn comes_out(self) -> bool {
        matches!(self, Self::Out | Self::InOut | Self::Table)
    }

    /// Its letter in `pg_proc`.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::In => "i",
            Self::Out => "o",
            Self::InOut => "b",
            Self::Variadic => "v",
            Self::Table => "t",
        }
    }
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
    /// Which way it goes.
    #[serde(default)]
    pub mode: ArgMode,
    /// The domain that its value is held against; its type is then that of the domain.
    #[serde(default)]
    pub domain: Option<TypeId>,
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
        self.inputs().map(|arg| &arg.ty)
    }

    /// What a call gives, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &RoutineArg> {
        self.args.iter().filter(|arg| arg.mode.goes_in())
    }

    /// What makes up its result, in order: none when that is one value of its type.
    pub fn outputs(&self) -> impl Iterator<Item = &RoutineArg> {
        self.args.iter().filter(|arg| arg.mode.comes_out())
    }

    /// It is a procedure.
    #[must_use]
    pub fn is_procedure(&self) -> bool {
        self.result.is_none()
    }

    /// It is called by triggers alone.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        self.result
            .as_ref()
            .is_some_and(|result| result.ty == SqlType::Trigger)
    }
}
