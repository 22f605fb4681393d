//! Publications: what of a database is meant for subscribers.

use chronolith_types::{ColumnId, RoleId, SchemaId, TableId};
use serde::{Deserialize, Serialize};

/// CREATE PUBLICATION.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Its oid.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// FOR ALL TABLES.
    #[serde(default)]
    pub all: bool,
    /// FOR TABLE; those that are dropped since are none of it any more.
    #[serde(default)]
    pub tables: Vec<PublishedTable>,
    /// FOR TABLES IN SCHEMA, each with the oid of its membership.
    #[serde(default)]
    pub schemas: Vec<(u32, SchemaId)>,
    /// Which of INSERT, UPDATE, DELETE and TRUNCATE it tells of.
    pub operations: [bool; 4],
    /// `publish_via_partition_root`.
    #[serde(default)]
    pub via_root: bool,
}

/// A table of a publication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTable {
    /// The oid of its membership.
    pub id: u32,
    /// The table.
    pub table: TableId,
    /// Which of its columns; all of them when empty.
    #[serde(default)]
    pub columns: Vec<ColumnId>,
}
