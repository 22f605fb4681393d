//! Extensions: what a database was told to offer beside what every one has.

use chronolith_types::{RoleId, SchemaId, TableId};
use serde::{Deserialize, Serialize};

/// CREATE EXTENSION.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Its oid.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub owner: RoleId,
    /// Where its views are.
    pub schema: SchemaId,
    /// Its version.
    pub version: String,
    /// Its views: they go with it alone.
    #[serde(default)]
    pub views: Vec<TableId>,
}
