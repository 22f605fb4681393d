//! The storage engine: transactions over tables, chunks, the log and checkpoints.
//!
//! Knows batches of columns and the catalog; never reads SQL. Start at [`Engine::open`],
//! [`Engine::begin`] and [`Transaction`].
//!
//! # Invariants
//! - A commit is acknowledged after its log record is synced, and is visible whole or not at all.
//! - Transactions become visible in the order of the log.
//! - What a reader holds never changes: files go only when nobody reads them.
//! - After a failed sync nothing more is written until the engine is opened anew.

mod amend;
mod audit;
mod background;
mod boundaries;
mod check;
mod clash;
mod coldkeys;
mod commit;
mod compress;
mod config;
mod dependants;
mod engine;
mod error;
mod files;
mod follow;
mod intake;
mod keys;
mod layout;
mod left;
mod load;
mod locks;
mod maintain;
mod moves;
mod queue;
mod record;
mod recover;
mod rollups;
mod route;
mod sequences;
mod state;
mod streams;
mod transaction;
mod view;
mod watch;

pub use amend::{Amended, Amending, MakeNext, Next};
pub use audit::{AuditKind, AuditLog, AuditProblem, AuditRecord, AuditReport};
pub use config::EngineConfig;
pub use engine::Engine;
pub use error::{EngineError, Refused};
pub use intake::Intake;
pub use layout::{layout_for, layout_of};
pub use load::BulkLoader;
pub use locks::{
    Blocking, Gained, Interrupted, KeySpace, LockError, LockManager, LockMark, LockMode,
    LockTarget, Locked, LockedThing, Locker, RowMode, RowSpace, Wait,
};
pub use rollups::{Derived, RollupError, Rollups};
pub use route::check_not_null;
pub use sequences::Draw;
pub use transaction::{Claimed, Exported, Isolation, Met, RowsLocked, Seen, Touched, Transaction};
pub use view::TableView;
pub use watch::Hold;
