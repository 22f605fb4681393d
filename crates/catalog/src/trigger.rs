//! Triggers of tables.

use chronolith_types::{ColumnId, RoutineId, TableId};
use serde::{Deserialize, Serialize};

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its oid.
    pub id: u32,
    /// Its name, which no other of the table has.
    pub name: String,
    /// What it calls.
    pub function: RoutineId,
    /// BEFORE, and not AFTER.
    pub before: bool,
    /// INSTEAD OF, which views alone have.
    #[serde(default)]
    pub instead: bool,
    /// FOR EACH ROW, and not STATEMENT.
    pub row: bool,
    /// INSERT.
    #[serde(default)]
    pub insert: bool,
    /// UPDATE.
    #[serde(default)]
    pub update: bool,
    /// DELETE.
    #[serde(default)]
    pub delete: bool,
    /// TRUNCATE.
    #[serde(default)]
    pub truncate: bool,
    /// CONSTRAINT, and when it fires then.
    #[serde(default)]
    pub constraint: Option<TriggerTiming>,
    /// REFERENCING OLD TABLE AS.
    #[serde(default)]
    pub old_table: Option<String>,
    /// REFERENCING NEW TABLE AS.
    #[serde(default)]
    pub new_table: Option<String>,
    /// UPDATE OF: none for any column.
    #[serde(default)]
    pub columns: Vec<ColumnId>,
    /// WHEN, as SQL.
    #[serde(default)]
    pub condition: Option<String>,
    /// What it hands over.
    #[serde(default)]
    pub args: Vec<String>,
    /// As `pg_trigger.tgenabled` says it: `O`, `D`, `R` or `A`.
    pub enabled: char,
}

/// When a constraint trigger fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TriggerTiming {
    /// DEFERRABLE.
    #[serde(default)]
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    #[serde(default)]
    pub deferred: bool,
    /// FROM: the other table.
    #[serde(default)]
    pub from: Option<TableId>,
}

impl Trigger {
    /// Whether it fires in a session of users.
    #[must_use]
    pub fn fires(&self) -> bool {
        matches!(self.enabled, 'O' | 'A')
    }

    /// Whether it is called for each row before, or in the place of, what happens to it, and so says
    /// what becomes of the row.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.row && (self.before || self.instead)
    }

    /// Whether it is called for each row that was changed.
    #[must_use]
    pub fn follows(&self) -> bool {
        self.row && !self.before && !self.instead
    }

    /// `pg_trigger.tgtype`.
    #[must_use]
    pub fn bits(&self) -> i16 {
        let bit = |on: bool, bit: i16| if on { bit } else { 0 };
        bit(self.row, 1)
            | bit(self.before, 2)
            | bit(self.insert, 4)
            | bit(self.delete, 8)
            | bit(self.update, 16)
            | bit(self.truncate, 32)
            | bit(self.instead, 64)
    }
}
