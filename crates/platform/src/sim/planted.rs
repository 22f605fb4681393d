//! Bugs planted to test the simulator: a disk that is too kind finds none of them.
//!
//! A small store keeps numbers in a log, packs them into a part now and then, and points at the part
//! from a manifest. It is right as it stands; [`Bug`] names what can be broken in it. The test asserts
//! that the right one survives every crash, and that each broken one is caught.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;

use super::{Fault, SimDisk};
use crate::disk::{Disk, File, OpenMode};
use crate::path::RelPath;
use crate::random::SimRandom;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    NoDirSyncAfterCreate,
    NoDirSyncAfterRename,
    NoChecksum,
    ManifestNotSynced,
    AcknowledgeBeforeSync,
    SyncRetried,
    SyncFailureIgnored,
    NoSpaceIgnored,
    TailNotCut,
    LogRemovedBeforeManifest,
    PartNotSynced,
    PartNameNotSynced,
    ZerosAreRecords,
    OldTailReplayed,
    HalfTransactionReplayed,
    OldPartRemovedFirst,
}

const BUGS: [Bug; 16] = [
    Bug::NoDirSyncAfterCreate,
    Bug::NoDirSyncAfterRename,
    Bug::NoChecksum,
    Bug::ManifestNotSynced,
    Bug::AcknowledgeBeforeSync,
    Bug::SyncRetried,
    Bug::SyncFailureIgnored,
    Bug::NoSpaceIgnored,
    Bug::TailNotCut,
    Bug::LogRemovedBeforeManifest,
    Bug::PartNotSynced,
    Bug::PartNameNotSynced,
    Bug::ZerosAreRecords,
    Bug::OldTailReplayed,
    Bug::HalfTransactionReplayed,
    Bug::OldPartRemovedFirst,
];

/// Bytes of one number in a log or part: its checksum, the log it is of, itself.
const RECORD: usize = 16;
/// Numbers of one transaction; together they cross a sector.
const NUMBERS: u64 = 40;

fn path(name: &str) -> RelPath {
    RelPath::new(name).unwrap()
}

fn record(log: u32, number: u64) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[4..8].copy_from_slice(&log.to_le_bytes());
    bytes[8..].copy_from_slice(&number.to_le_bytes());
    let crc = checksum(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// Enough of a checksum for sixteen bytes (FNV-1a, Fowler, Noll and Vo).
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

struct Store {
    disk: SimDisk,
    bug: Option<Bug>,
    log: Box<dyn File>,
    /// The number of the log file and of the part before it.
    generation: u32,
    log_bytes: u64,
    /// How many numbers there are: 0, 1, 2 …
    count: u64,
    /// Whether one was read that is not what was written there.
    wrong: bool,
}

impl Store {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn open(disk: &SimDisk, bug: Option<Bug>) -> io::Result<Self> {
        let root = RelPath::root();
        let names = disk.list(&root)?;
        let manifest = names.iter().any(|name| name == "manifest");
        let generation = if manifest {
            let bytes = disk.map(&path("manifest"))?;
            let bytes: [u8; 4] = bytes[..].try_into().map_err(io::Error::other)?;
            u32::from_le_bytes(bytes)
        } else {
            0
        };
        let mut count = 0;
        if generation > 0 {
            let part = disk.map(&path(&format!("part{generation}")))?;
            for bytes in part.chunks(RECORD) {
                if bytes != record(generation, count) {
                    return Err(io::Error::other("the part is damaged"));
                }
                count += 1;
            }
        }
        let recycled = bug == Some(Bug::OldTailReplayed);
        let name = if recycled {
            "log".to_owned()
        } else {
            format!("log{generation}")
        };
        let there = names.contains(&name);
        let log = if there {
            disk.open(&path(&name), OpenMode::ReadWrite)?
        } else {
            let log = disk.open(&path(&name), OpenMode::CreateNew)?;
            if bug != Some(Bug::NoDirSyncAfterCreate) {
                disk.sync_dir(&root)?;
            }
            log
        };
        let bytes = if there {
            disk.map(&path(&name))?
        } else {
            bytes::Bytes::new()
        };
        let mut good = 0;
        let mut first_wrong = u64::MAX;
        for bytes in bytes.chunks(RECORD) {
            let zeros = bug == Some(Bug::ZerosAreRecords) && bytes == [0; RECORD];
            let stale = recycled && bytes.len() == RECORD && {
                // Whole, and of whichever log: the number is taken at its word.
                checksum(&bytes[4..]).to_le_bytes() == bytes[..4]
            };
            let unchecked = bug == Some(Bug::NoChecksum) && bytes.len() == RECORD;
            if bytes == record(generation, count) || zeros || stale || unchecked {
                if bytes[8..] != count.to_le_bytes() {
                    first_wrong = first_wrong.min(count);
                }
                count += 1;
                good += RECORD as u64;
            } else {
                break;
            }
        }
        if bug != Some(Bug::HalfTransactionReplayed) {
            let half = count % NUMBERS;
            count -= half;
            good -= (half * RECORD as u64).min(good);
        }
        let mut log_bytes = good;
        if bug == Some(Bug::TailNotCut) {
            log_bytes = log.len()?.next_multiple_of(RECORD as u64);
        } else if log.len()? > good && !recycled {
            log.set_len(good)?;
            log.sync()?;
        }
        Ok(Self {
            disk: disk.clone(),
            bug,
            log,
            generation,
            log_bytes,
            count,
            wrong: first_wrong < count,
        })
    }

    /// One transaction; acknowledged when it returns true.
    fn commit(&mut self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        for number in self.count..self.count + NUMBERS {
            bytes.extend_from_slice(&record(self.generation, number));
        }
        match self.log.write_at(&bytes, self.log_bytes) {
            Err(error)
                if error.kind() == io::ErrorKind::StorageFull && self.has(Bug::NoSpaceIgnored) => {}
            other => other?,
        }
        self.log_bytes += bytes.len() as u64;
        self.count += NUMBERS;
        if self.has(Bug::AcknowledgeBeforeSync) {
            return Ok(true);
        }
        match self.log.sync() {
            Err(_) if self.has(Bug::SyncFailureIgnored) => {}
            Err(_) if self.has(Bug::SyncRetried) => self.log.sync()?,
            other => other?,
        }
        Ok(true)
    }

    /// Packs all numbers into a part and begins a new log.
    fn pack(&mut self) -> io::Result<()> {
        let root = RelPath::root();
        let next = self.generation + 1;
        let part = self
            .disk
            .open(&path(&format!("part{next}")), OpenMode::CreateNew)?;
        let bytes: Vec<u8> = (0..self.count)
            .flat_map(|number| record(next, number))
            .collect();
        part.write_at(&bytes, 0)?;
        if !self.has(Bug::PartNotSynced) {
            part.sync()?;
        }
        if !self.has(Bug::PartNameNotSynced) {
            self.disk.sync_dir(&root)?;
        }
        let old_log = path(&format!("log{}", self.generation));
        let old_part = path(&format!("part{}", self.generation));
        let has_old_part = self.generation > 0;
        if self.has(Bug::OldPartRemovedFirst) && has_old_part {
            self.disk.remove(&old_part)?;
            self.disk.sync_dir(&root)?;
        }
        if self.has(Bug::LogRemovedBeforeManifest) {
            self.disk.remove(&old_log)?;
            self.disk.sync_dir(&root)?;
        }
        let manifest = self.disk.open(&path("manifest.tmp"), OpenMode::CreateNew)?;
        manifest.write_at(&next.to_le_bytes(), 0)?;
        if !self.has(Bug::ManifestNotSynced) {
            manifest.sync()?;
        }
        if self.has(Bug::PartNameNotSynced) {
            // Renamed into another directory, its sync would not cover the part's name either.
            self.disk.create_dir(&path("elsewhere"))?;
        }
        self.disk.rename(&path("manifest.tmp"), &path("manifest"))?;
        if !self.has(Bug::NoDirSyncAfterRename) && !self.has(Bug::PartNameNotSynced) {
            self.disk.sync_dir(&root)?;
        }
        self.generation = next;
        self.log_bytes = 0;
        if self.has(Bug::OldTailReplayed) {
            // The log is written over from its start, and what lies behind stays.
            return Ok(());
        }
        self.log = self
            .disk
            .open(&path(&format!("log{next}")), OpenMode::CreateNew)?;
        if self.has(Bug::NoDirSyncAfterCreate)
            || self.has(Bug::NoDirSyncAfterRename)
            || self.has(Bug::PartNameNotSynced)
        {
            return Ok(());
        }
        self.disk.sync_dir(&root)?;
        if !self.has(Bug::LogRemovedBeforeManifest) {
            self.disk.remove(&old_log)?;
        }
        if !self.has(Bug::OldPartRemovedFirst) && has_old_part {
            self.disk.remove(&old_part)?;
        }
        Ok(())
    }
}

/// Runs transactions and packings until the disk fails; gives how many numbers were acknowledged,
/// and how many were begun.
fn run(
    store: &mut Store,
    random: &SimRandom,
    acknowledged: &mut u64,
    begun: &mut u64,
) -> io::Result<()> {
    for _ in 0..6 {
        *begun = (*begun).max(store.count + NUMBERS);
        if store.commit()? {
            *acknowledged = store.count;
        }
        if random.one_in(2) {
            store.pack()?;
        }
    }
    Ok(())
}

/// What is wrong after crashes and faults of a seed, if anything.
fn violation(bug: Option<Bug>, seed: u64) -> Option<String> {
    let random = SimRandom::new(seed);
    let mut disk = SimDisk::new(seed);
    let (mut acknowledged, mut begun) = (0, 0);
    for life in 0..3 {
        let at = disk.operations() + random.below(60);
        let fault = [Fault::PowerCut, Fault::PowerCut, Fault::Io, Fault::NoSpace];
        let fault = fault[usize::try_from(random.below(4)).unwrap()];
        disk.plan(at, fault);
        let mut store = match Store::open(&disk, bug) {
            Ok(store) => store,
            // What was planned may hit the opening.
            Err(_) if disk.operations() > at => {
                disk = disk.crash();
                clean(&disk);
                continue;
            }
            Err(error) => return Some(format!("life {life}: cannot open: {error}")),
        };
        let found = store.count;
        if found < acknowledged {
            return Some(format!(
                "life {life}: {acknowledged} acknowledged, {found} found"
            ));
        }
        if store.wrong || found > begun || found % NUMBERS != 0 {
            return Some(format!("life {life}: {begun} begun, {found} found"));
        }
        acknowledged = found;
        begun = begun.max(found);
        drop(run(&mut store, &random, &mut acknowledged, &mut begun));
        disk = disk.crash();
        clean(&disk);
    }
    let found = match Store::open(&disk, bug) {
        Ok(store) if store.wrong => return Some("a wrong number at the end".to_owned()),
        Ok(store) => store.count,
        Err(error) => return Some(format!("cannot open at the end: {error}")),
    };
    (found < acknowledged || found > begun || found % NUMBERS != 0)
        .then(|| format!("{acknowledged} acknowledged, {begun} begun, {found} found at the end"))
}

/// Removes what a crash left behind and no manifest names.
fn clean(disk: &SimDisk) {
    let names = disk.list(&RelPath::root()).unwrap();
    let generation = match disk.map(&path("manifest")) {
        Ok(bytes) if bytes.len() == 4 => u32::from_le_bytes(bytes[..].try_into().unwrap()),
        _ => 0,
    };
    for name in names {
        let number = name.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let later = number
            .parse::<u32>()
            .is_ok_and(|number| number > generation);
        if later || name.ends_with(".tmp") {
            disk.remove(&path(&name)).unwrap();
        }
    }
    disk.sync_dir(&RelPath::root()).unwrap();
}

/// Seeds within which every bug shows itself.
const SEEDS: u64 = 2_000;

#[test]
fn the_right_store_survives_everything() {
    for seed in 0..SEEDS {
        assert_eq!(violation(None, seed), None, "seed {seed}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    for bug in BUGS {
        let found = (0..SEEDS).find(|seed| violation(Some(bug), *seed).is_some());
        assert!(found.is_some(), "{bug:?} was not found in {SEEDS} seeds");
    }
}
