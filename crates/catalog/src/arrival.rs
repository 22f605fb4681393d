//! A dump of TimescaleDB's on its way in.
//!
//! Such a dump has chunks, and what continuous aggregates are kept in, as tables of their own, and
//! says in rows of TimescaleDB's tables what they are. What has been read of it so far is here until
//! all that belongs together has come.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use chronolith_types::TableId;
use serde::{Deserialize, Serialize};

/// A row of one of TimescaleDB's tables, by the names of its columns.
pub type ArrivedRow = BTreeMap<String, Option<String>>;

/// What has come of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arrival {
    /// Tables of the dump whose rows another table gets, by schema and name.
    #[serde(default)]
    pub parts: BTreeMap<String, ArrivedPart>,
    /// Continuous aggregates, by the number of the hypertable that the dump has their rows in.
    #[serde(default)]
    pub aggregates: BTreeMap<i32, ArrivedAggregate>,
    /// Things of the dump that there is nothing of, by schema and name.
    #[serde(default)]
    pub aside: BTreeSet<String>,
    /// Rows of TimescaleDB's tables, by the name of the table.
    #[serde(default)]
    pub told: BTreeMap<String, Vec<ArrivedRow>>,
}

/// A table of a dump whose rows another table gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivedPart {
    /// The table that gets them.
    pub table: TableId,
    /// Which times they have, where that is known.
    #[serde(default)]
    pub range: Option<Range<i64>>,
    /// Whether they have come.
    #[serde(default)]
    pub loaded: bool,
}

/// A continuous aggregate of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrivedAggregate {
    /// Its view.
    pub view: TableId,
    /// The plain table that gets the rows which the dump has of it.
    pub rows: TableId,
    /// What its columns are called there, in the order of the view's.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Whether it was read from its rows alone.
    pub materialized_only: bool,
    /// Its own store, once it is a continuous aggregate.
    #[serde(default)]
    pub store: Option<TableId>,
    /// Whether its store has what it needs of those rows.
    #[serde(default)]
    pub taken: bool,
}

/// A change of what has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArrivalChange {
    /// A part is this from now on.
    Part {
        /// Schema and name.
        name: String,
        /// The part.
        part: ArrivedPart,
    },
    /// A continuous aggregate is this from now on.
    Aggregate {
        /// Its number.
        number: i32,
        /// The aggregate.
        aggregate: ArrivedAggregate,
    },
    /// There is nothing of a thing.
    Aside {
        /// Schema and name.
        name: String,
    },
    /// Rows have come of a table of TimescaleDB's.
    Tell {
        /// The table.
        table: String,
        /// The rows.
        rows: Vec<ArrivedRow>,
    },
    /// These are all that is left to be done of a table of TimescaleDB's.
    Left {
        /// The table.
        table: String,
        /// The rows.
        rows: Vec<ArrivedRow>,
    },
    /// All has come that will: what is named from now on is what is there.
    Ended,
}

impl Arrival {
    /// Whether nothing has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn change(&mut self, change: &ArrivalChange) {
        match change {
            ArrivalChange::Part { name, part } => {
                self.parts.insert(name.clone(), part.clone());
            }
            ArrivalChange::Aggregate { number, aggregate } => {
                self.aggregates.insert(*number, aggregate.clone());
            }
            ArrivalChange::Aside { name } => {
                self.parts.remove(name);
                self.aside.insert(name.clone());
            }
            ArrivalChange::Tell { table, rows } => {
                let told = self.told.entry(table.clone()).or_default();
                told.extend(rows.iter().cloned());
            }
            ArrivalChange::Ended => *self = Self::default(),
            ArrivalChange::Left { table, rows } => {
                match rows.is_empty() {
                    true => self.told.remove(table),
                    false => self.told.insert(table.clone(), rows.clone()),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> ArrivedRow {
        BTreeMap::from([("id".to_owned(), Some(id.to_owned()))])
    }

    #[test]
    fn nothing_is_left_when_all_has_come() {
        let mut arrival = Arrival::default();
        arrival.change(&ArrivalChange::Tell {
            table: "chunk".to_owned(),
            rows: vec![row("1")],
        });
        arrival.change(&ArrivalChange::Aside {
            name: "a.b".to_owned(),
        });
        assert!(!arrival.is_empty());
        arrival.change(&ArrivalChange::Ended);
        assert!(arrival.is_empty());
    }

    #[test]
    fn what_is_told_gathers_until_it_is_done() {
        let mut arrival = Arrival::default();
        let tell = |id: &str| ArrivalChange::Tell {
            table: "bgw_job".to_owned(),
            rows: vec![row(id)],
        };
        arrival.change(&tell("1000"));
        arrival.change(&tell("1001"));
        assert_eq!(arrival.told["bgw_job"], [row("1000"), row("1001")]);
        arrival.change(&ArrivalChange::Left {
            table: "bgw_job".to_owned(),
            rows: Vec::new(),
        });
        assert!(arrival.is_empty());
    }

    #[test]
    fn what_is_set_aside_is_no_part() {
        let mut arrival = Arrival::default();
        let name = "_timescaledb_internal._materialized_hypertable_3".to_owned();
        arrival.change(&ArrivalChange::Part {
            name: name.clone(),
            part: ArrivedPart {
                table: TableId(20_000),
                range: Some(0..10),
                loaded: false,
            },
        });
        arrival.change(&ArrivalChange::Aside { name: name.clone() });
        assert!(arrival.parts.is_empty());
        assert!(arrival.aside.contains(&name));
    }
}
