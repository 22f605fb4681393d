//! Bugs planted one by one in a small store, each of which the simulated disk must bring to light;
//! and the store without them, which must come through everything.
//!
//! This tests the simulator: one that is too kind finds nothing, and looks as if all were well. A
//! new unkindness of [`SimDisk`] should come with the bug that it finds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bytes;
mod oracle;
mod store;

use oracle::run;
use store::Bug;

/// Within so many seeds each bug is found. Most need fewer than a hundred; those that ask for a
/// sector lost between two that were kept, and for records of equal lengths, thousands.
const SEEDS: u64 = 10_000;

const BUGS: &[Bug] = &[
    Bug::LogNameNotSynced,
    Bug::ManifestNameNotSynced,
    Bug::NoRecordChecksum,
    Bug::LengthTrusted,
    Bug::ManifestNotSynced,
    Bug::ManifestInPlace,
    Bug::ManifestRemovedFirst,
    Bug::AcknowledgedBeforeSync,
    Bug::SyncRetried,
    Bug::SyncErrorSwallowed,
    Bug::NoSpaceSwallowed,
    Bug::RefusedGroupNotCut,
    Bug::TailNotCut,
    Bug::TailNotMadeSafe,
    Bug::LogRemovedFirst,
    Bug::PartNotSynced,
    Bug::FlushInTwoSteps,
    Bug::StaleTail,
    Bug::PartialTransaction,
    Bug::PartUnchecked,
];

#[test]
fn the_store_without_a_bug_survives_every_seed() {
    for seed in 0..SEEDS {
        if let Err(violation) = run(seed, None) {
            panic!("seed {seed}: {violation}");
        }
    }
}

#[test]
fn every_planted_bug_is_found() {
    let find = |bug| (0..SEEDS).find_map(|seed| Some((seed, run(seed, Some(bug)).err()?)));
    let found: Vec<_> = BUGS.iter().map(|bug| (bug, find(*bug))).collect();
    let missed = found.iter().any(|(_, at)| at.is_none());
    assert!(!missed, "the simulator is too kind: {found:#?}");
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for bug in [None, Some(Bug::TailNotCut), Some(Bug::NoRecordChecksum)] {
        for seed in 0..50 {
            assert_eq!(run(seed, bug), run(seed, bug), "seed {seed}");
        }
    }
}
