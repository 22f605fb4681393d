//! What exists: databases, schemas, tables, chunks, parts, roles and settings.
//!
//! Knows no rows and no files but the names of parts. Plain data: [`Catalog::apply`] is the only way
//! to change it, a [`Change`] is what the log carries, and a checkpoint is the catalog serialised.
//! Start at [`Catalog`].
//!
//! # Invariants
//! - The same changes on the same catalog give the same catalog, whoever applies them and when.
//! - A change that does not fit is refused whole, and leaves nothing behind.
//! - Numbers (oids, column, chunk and part ids) are never given twice.

mod acl;
mod apply;
mod arrival;
mod change;
mod checkpoint;
mod comment;
mod error;
mod extension;
mod job;
mod model;
mod policy;
mod publication;
mod rollup;
mod routine;
mod rows;
mod sequence;
mod series;
mod table;
mod trigger;
mod types;

pub use acl::{Acl, DefaultAcl, DependentGrants, Grant, Rights, Securable};
pub use arrival::{Arrival, ArrivalChange, ArrivedAggregate, ArrivedPart, ArrivedRow};
pub use change::Change;
pub use checkpoint::{Checkpoint, CheckpointError, decode, encode};
pub use comment::Comment;
pub use error::CatalogError;
pub use extension::Extension;
pub use job::{Job, JobChange, JobEnd, JobRun, JobStats, Jobs};
pub use model::{Catalog, CheckOption, Database, FIRST_USER_OID, Privilege, Role, Schema, View};
pub use policy::{Policy, PolicyCommand, RowSecurity};
pub use publication::{Publication, PublishedTable};
pub use rollup::{Continuous, Mark, Materialized, Restoring, Rollup};
pub use routine::{ArgMode, Promises, Routine, RoutineArg, RoutineResult, Volatility};
pub use rows::RowBits;
pub use sequence::{Identity, OwnedBy, Sequence};
pub use table::{
    Chunk, Column, Compression, Constraint, ConstraintKind, ConstraintMarks, Dimension,
    DimensionKind, Hypertable, Index, KeyMarks, OnCommit, OrderBy, Part, PartFile, Persistence,
    Reference, ReferenceAction, Region, Skipping, SparseIndex, Table,
};
pub use trigger::{Trigger, TriggerTiming};
pub use types::{Domain, Label, Type, TypeBody};
