//! Nodes of plans that DataFusion has not, each as a logical node and the operator that runs it.
//!
//! Knows plans and batches, not statements and not storage. Start at [`Planner`], which leads from
//! one to the other; then a node: [`barrier`] for row-level security, which
//! only some conditions pass ([`leakproof`]), [`expand`] for functions that return sets, [`first`] for
//! DISTINCT ON, [`gapfill`] for `time_bucket_gapfill`.

mod barrier;
mod expand;
mod first;
mod gapfill;
mod leakproof;
mod planner;

pub(crate) use barrier::Barrier;
pub(crate) use expand::{Expand, SetCall};
pub(crate) use first::{FirstOfEach, FirstOfEachExec};
pub(crate) use gapfill::{Filling, GapFill, LIMITS_HINT, Limit, Refill};
pub(crate) use leakproof::with_barriers;
pub(crate) use planner::Planner;
