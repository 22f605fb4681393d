//! Row-level security: which rows of a table a role sees and makes.

use chronolith_types::RoleId;
use serde::{Deserialize, Serialize};

/// What is said of the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowSecurity {
    /// ENABLE ROW LEVEL SECURITY.
    #[serde(default)]
    pub enabled: bool,
    /// FORCE ROW LEVEL SECURITY: it holds for the table's owner too.
    #[serde(default)]
    pub forced: bool,
    /// Its policies, by name.
    #[serde(default)]
    pub policies: Vec<Policy>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Its oid.
    pub id: u32,
    /// Its name, which no other of the table has.
    pub name: String,
    /// PERMISSIVE, and not RESTRICTIVE.
    pub permissive: bool,
    /// FOR.
    pub command: PolicyCommand,
    /// TO; None is everybody.
    pub roles: Vec<Option<RoleId>>,
    /// USING: the condition's SQL.
    #[serde(default)]
    pub using: Option<String>,
    /// WITH CHECK: the condition's SQL.
    #[serde(default)]
    pub check: Option<String>,
}

/// What a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is the statement of its name")]
pub enum PolicyCommand {
    All,
    Select,
    Insert,
    Update,
    Delete,
}

impl PolicyCommand {
    /// Its letter in `pg_policy`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::All => '*',
            Self::Select => 'r',
            Self::Insert => 'a',
            Self::Update => 'w',
            Self::Delete => 'd',
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }
}

impl RowSecurity {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The policies that a command of somebody who acts as these roles meets.
    pub fn of<'a>(
        &'a self,
        command: PolicyCommand,
        roles: &'a std::collections::BTreeSet<RoleId>,
    ) -> impl Iterator<Item = &'a Policy> {
        self.policies.iter().filter(move |policy| {
            let mut to = policy.roles.iter();
            (policy.command == PolicyCommand::All || policy.command == command)
                && to.any(|role| role.is_none_or(|role| roles.contains(&role)))
        })
    }
}
