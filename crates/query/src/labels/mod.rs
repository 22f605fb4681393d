//! Security labels: what a dump takes along of hypertables, continuous aggregates and jobs.
//!
//! PostgreSQL knows none of these, but it knows labels that belong to an object and that only their
//! provider understands, and `pg_dump` writes them behind the object. Nothing is stored as a label
//! here: [`all`] tells what is there, and [`run`] makes a table, view or routine what its label says.
mod apply;
mod describe;
mod restore;

use chronolith_catalog::Index;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(crate) use apply::{Made, Of, add_jobs, convert, run, settle};
pub(crate) use describe::all;
pub(crate) use restore::{before_index, indexed, is_dumped, replace};

/// Who understands the labels.
pub(crate) const PROVIDER: &str = "chronolith";

/// What the config of a policy calls the hypertable that it looks after.
const HYPERTABLE_KEYS: [&str; 2] = ["hypertable_id", "mat_hypertable_id"];

/// What a label says. Columns go by their names: their numbers differ between databases.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Label {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hypertable: Option<Series>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    continuous: Option<Aggregate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<Value>,
}

/// A hypertable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Series {
    pub(crate) column: String,
    /// µs, or whole numbers.
    pub(crate) chunk_interval: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) integer_now: Option<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) dimensions: Vec<Cut>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) compression: Option<Packed>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) skipping: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) tablespaces: Vec<String>,
    /// Times at which chunks are compressed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) compressed: Vec<(i64, i64)>,
    /// Its chunks: where one begins, how wide it is, and how many of that width follow upon each
    /// other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) chunks: Vec<(i64, i64, i64)>,
}

/// A dimension beside that of time: one of the two is there.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cut {
    pub(crate) column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) partitions: Option<i16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) interval: Option<i64>,
}

/// How chunks are compressed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packed {
    /// None where nobody named them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) segment_by: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) order_by: Vec<Ordered>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chunk_interval: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) indexes: Option<Vec<Sparse>>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ordered {
    pub(crate) column: String,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sparse {
    pub(crate) kind: String,
    pub(crate) columns: Vec<String>,
}

/// A continuous aggregate, whose query is its view's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Aggregate {
    materialized_only: bool,
    /// What its times without a zone are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_zone: Option<String>,
    populated: bool,
    /// The hypertable of its rows.
    store: Series,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<Index>,
    /// Where the source's rows are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    frozen: Vec<(i64, i64)>,
    /// The table that the dump has their rows in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<String>,
}
