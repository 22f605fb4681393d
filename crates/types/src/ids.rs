//! The names of things in numbers: each its own type, so that none stands in for another.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A place in the log: the number of its record, from 1; 0 is before the first.
    Lsn(u64)
);
id!(
    /// A database; its oid.
    DatabaseId(u32)
);
id!(
    /// A schema; its oid.
    SchemaId(u32)
);
id!(
    /// A table, view, index or sequence; its oid.
    TableId(u32)
);
id!(
    /// An index; its oid.
    IndexId(u32)
);
id!(
    /// A role; its oid.
    RoleId(u32)
);
id!(
    /// A column of a table, never used again after it is dropped; PostgreSQL's attribute number.
    ColumnId(u32)
);
id!(
    /// A hypertable, counted from 1 in each database.
    HypertableId(i32)
);
id!(
    /// A chunk, counted from 1 in each database; 0 is the one chunk of a plain table.
    ChunkId(i32)
);
id!(
    /// A job, counted from 1000 in each database.
    JobId(i32)
);
id!(
    /// A function or procedure of a user; its oid.
    RoutineId(u32)
);
id!(
    /// A type of a user; its oid.
    TypeId(u32)
);
id!(
    /// A cold part, never used again in this data directory.
    PartId(u64)
);
