//! The words all rooms share: ids, SQL types, and the codes of what can go wrong.
//!
//! Knows no files, no tables and no SQL text beyond single values. Start at [`SqlType`].
//!
//! # Invariants
//! - A [`SqlType`] has one physical form, [`SqlType::arrow`], from the socket to the disk.
//! - Numbers of types are PostgreSQL's own and never change.

pub mod array;
pub mod binary;
pub mod datetime;
mod digits;
mod form;
mod ids;
pub mod interval;
mod json_fault;
pub mod numeric;
pub mod packed;
pub mod precision;
pub mod range;
pub mod row;
mod sqlstate;
mod sqltype;
mod stored;
pub mod text;
mod user;
mod value;
pub mod zone;

pub use form::type_of_form;
pub use ids::{
    ChunkId, ColumnId, DatabaseId, HypertableId, IndexId, JobId, Lsn, PartId, RoleId, RoutineId,
    SchemaId, TableId, TypeId,
};
pub use interval::Interval;
pub use numeric::Numeric;
pub use precision::{IntervalFields, IntervalLimit};
pub use range::RangeKind;
pub use sqlstate::SqlState;
pub use sqltype::{NUMERIC_ANY, NUMERIC_ANY_SCALE, RegKind, SqlType};
pub use user::{TypeName, UserKind, UserType};
pub use value::ValueError;
pub use zone::TimeZone;
