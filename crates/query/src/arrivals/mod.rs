//! Dumps of TimescaleDB's databases, on their way in.
//!
//! `pg_dump` finds there what the extension keeps a hypertable in, and dumps that: chunks are tables
//! that inherit from another one, a continuous aggregate is a view over a table of candles and two
//! more views, and what they are is told by rows of TimescaleDB's own tables. Statements about such
//! things are seen here first ([`run`]). A chunk makes its table a hypertable, and its rows are that
//! one's; a view over candles becomes a continuous aggregate with the query that the dump has of it;
//! rows for TimescaleDB's tables ([`Told`]) give widths of chunks, dimensions, settings and jobs. What
//! depends on each other comes in any order: what has come is kept in the catalog
//! ([`chronolith_catalog::Arrival`]), and looked through again when more comes.
//!
//! Candles that outlive their raw rows are taken from the dump ([`loaded`]); all others are computed.
//! `docs/decisions/0016-dumps-of-timescaledb.md` says why.

mod chunks;
mod finals;
mod jobs;
mod pass;
mod run;
mod take;
mod told;
mod views;

pub(crate) use pass::counted;
use run::{alone, candles, change, key, numbered};
pub(crate) use run::{end, part, run};
pub(crate) use take::loaded;
pub(crate) use told::{Told, is_told};
