//! One time slice of a table: its hot part in memory and its cold parts on disk.
//!
//! Knows columns and series, not SQL; alone names Parquet. Start at [`HotPart`] for fresh rows, at
//! [`cold::write`] and [`ColdPart`] for packed ones, and at [`ChunkView::scan`] for reading both.
//!
//! # Invariants
//! - Rows of a hot part keep their order of commit; a snapshot of it never changes.
//! - A cold part never changes, and no byte of it is decoded before its checksum matched. Which of
//!   its rows are deleted lies beside it.
//! - Rows of equal sort keys keep their order of arrival, so that `first` and `last` are defined.
//!
//! Bytes: `docs/formats/chunk.md`.

mod aggregate;
mod blocks;
pub mod cold;
mod constant;
mod directory;
mod error;
mod facts;
mod hash;
mod hot;
mod key;
mod latest;
mod layout;
pub mod load;
mod locator;
mod numbers;
mod pack;
mod pages;
mod stored;
mod view;

pub use aggregate::{AggKind, Aggregate, AggregateRequest, Buckets, bucket_aggregate};
pub use cold::ColdPart;
pub use constant::{constant, text_of};
pub use directory::{Directory, Order, Series};
pub use error::ChunkError;
pub use hash::hash;
pub use hot::{HotPart, HotSnapshot, bytes_of};
pub use key::{KeyEncoder, Keys, checksum};
pub use latest::{Latest, LatestRequest, latest_rows};
pub use layout::{Layout, LayoutColumn, SortColumn};
pub use locator::{LOCATOR_COLUMN, Locator, RowSet, locator_type};
pub use view::{BatchIter, ChunkView, ScanRequest};
