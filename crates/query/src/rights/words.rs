//! What is said to those who may not.

use chronolith_catalog::{Database, Table};
use chronolith_types::{SqlState, TableId};

use crate::error::Error;

/// 42501: a right is missing.
pub(crate) fn denied(kind: &str, name: &str) -> Error {
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("permission denied for {kind} {name}"),
    )
}

/// 42501: it belongs to somebody else.
pub(crate) fn not_owner(kind: &str, name: &str) -> Error {
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must be owner of {kind} {name}"),
    )
}

/// 42501: of a hypertable, in TimescaleDB's words.
pub(super) fn not_owner_of_hypertable(name: &str) -> Error {
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must be owner of hypertable \"{name}\""),
    )
}

/// 42501: membership is missing.
pub(super) fn not_member(role: &str) -> Error {
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must be member of role \"{role}\""),
    )
}

/// What a relation is, and its name; a store is called by its own.
pub(super) fn called(home: &Database, id: TableId) -> (&'static str, &str) {
    if let Some(view) = home.views.get(&id) {
        let continuous = |of: &chronolith_catalog::Materialized| of.continuous.is_some();
        let kind = match &view.materialized {
            Some(materialized) if !continuous(materialized) => "materialized view",
            _ => "view",
        };
        return (kind, &view.name);
    }
    let table: Option<&Table> = home.tables.get(&id).map(AsRef::as_ref);
    ("table", table.map_or("", |table| table.name.as_str()))
}
