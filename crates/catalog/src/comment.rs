//! What COMMENT ON said.

use serde::{Deserialize, Serialize};

/// A comment on something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comment {
    /// The oid of the catalog that lists things of its kind, such as that of `pg_proc`.
    pub class: u32,
    /// The thing's own.
    pub oid: u32,
    /// A column's number; 0 for the whole.
    pub column: u32,
    /// The text.
    pub text: String,
}

impl Comment {
    /// Whether it is on this.
    #[must_use]
    pub fn is_on(&self, class: u32, oid: u32, column: u32) -> bool {
        (self.class, self.oid, self.column) == (class, oid, column)
    }
}
