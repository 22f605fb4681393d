//! A small store of transactions, made as the real one: a log, parts and a manifest. Each [`Bug`] is
//! a mistake that such stores have had.
//!
//! The log takes transactions as records, one a row and one for the commit. A flush writes all rows
//! in memory to a part, begins the next log in the file of the log before the last (so that stale
//! records lie behind new ones), and names both in a new manifest.

use std::fmt;
use std::io;

use chronolith_platform::sim::SimDisk;
use chronolith_platform::{Disk, File, OpenMode, RelPath, read_whole};

use crate::bytes::{self, Manifest, Record};

/// A mistake that the simulator must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A new log's name is not synced before records in it are acknowledged.
    LogNameNotSynced,
    /// The new manifest's name is not synced before the old log is reused.
    ManifestNameNotSynced,
    /// Records carry no checksum.
    NoRecordChecksum,
    /// The checksum covers a record's head, and its length vouches for the rest.
    LengthTrusted,
    /// The manifest is renamed before its bytes are synced.
    ManifestNotSynced,
    /// The manifest is written over the old one.
    ManifestInPlace,
    /// The old manifest is removed to make room for the rename.
    ManifestRemovedFirst,
    /// A commit is acknowledged before the sync.
    AcknowledgedBeforeSync,
    /// A failed sync is tried again.
    SyncRetried,
    /// A failed sync is passed over.
    SyncErrorSwallowed,
    /// A full disk is passed over.
    NoSpaceSwallowed,
    /// A group that the full disk refused stays half written.
    RefusedGroupNotCut,
    /// A torn tail stays behind the records that follow.
    TailNotCut,
    /// What a dead process left unsynced is built upon.
    TailNotMadeSafe,
    /// The old log goes before the manifest that does without it.
    LogRemovedFirst,
    /// A part is named in the manifest before its bytes are safe.
    PartNotSynced,
    /// The manifest names a part before it names the log without the part's rows.
    FlushInTwoSteps,
    /// Records of a reused file's earlier life are taken for this one's.
    StaleTail,
    /// Rows count without their commit.
    PartialTransaction,
    /// A part's checksum is written and not looked at.
    PartUnchecked,
}

/// Why the store does not open, or not go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The disk refused; nothing of the group stays.
    Full,
    /// The disk failed.
    Disk(io::Error),
    /// What was read is not what was written.
    Damaged(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the disk is full"),
            Self::Disk(error) => write!(f, "{error}"),
            Self::Damaged(what) => write!(f, "{what}"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// A row: its transaction and its value.
pub(crate) type Row = (u32, u64);

pub(crate) struct Store {
    disk: SimDisk,
    bug: Option<Bug>,
    manifest: Manifest,
    log: Box<dyn File>,
    log_bytes: u64,
    /// Rows that only the log has.
    fresh: Vec<Row>,
    parts: Vec<Row>,
    poisoned: bool,
}

fn path(name: &str) -> RelPath {
    RelPath::new(name).expect("a name of ours")
}

fn log_path(number: u32) -> RelPath {
    path(&format!("log-{number}"))
}

pub(crate) fn part_path(number: u32) -> RelPath {
    path(&format!("part-{number}"))
}

fn damaged<T>(what: &str) -> Result<T, Trouble> {
    Err(Trouble::Damaged(what.to_owned()))
}

impl Store {
    pub(crate) fn open(disk: &SimDisk, bug: Option<Bug>) -> Result<Self, Trouble> {
        let root = RelPath::root();
        // What is seen here may be safe in no directory yet.
        if bug != Some(Bug::LogNameNotSynced) {
            disk.sync_dir(&root)?;
        }
        let mut manifest = match read_whole(disk, &path("manifest")) {
            Ok(read) => match Manifest::decode(&read) {
                Some(manifest) => manifest,
                None => return damaged("the manifest is damaged"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Manifest::default(),
            Err(error) => return Err(error.into()),
        };
        let mut parts = Vec::new();
        for number in &manifest.parts {
            let read = read_whole(disk, &part_path(*number));
            let read = match read {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return damaged("a part is missing");
                }
                read => read?,
            };
            match bytes::decode_part(&read, bug != Some(Bug::PartUnchecked)) {
                Some(rows) => parts.extend(rows),
                None => return damaged("a part is damaged"),
            }
        }
        let log_path = log_path(manifest.log);
        let mut fresh = Vec::new();
        let mut log_bytes = 0;
        let log = match read_whole(disk, &log_path) {
            Ok(read) => {
                let end = replay(&read, manifest.log, bug, &mut fresh);
                let log = disk.open(&log_path, OpenMode::ReadWrite)?;
                if bug != Some(Bug::TailNotCut) {
                    log.set_len(end as u64)?;
                }
                if bug != Some(Bug::TailNotMadeSafe) {
                    log.write_at(read.get(..end).unwrap_or_default(), 0)?;
                    log.sync()?;
                }
                log_bytes = end as u64;
                log
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && manifest.log == 0 => {
                let log = disk.open(&log_path, OpenMode::CreateNew)?;
                if bug != Some(Bug::LogNameNotSynced) {
                    disk.sync_dir(&root)?;
                }
                log
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return damaged("the log is missing");
            }
            Err(error) => return Err(error.into()),
        };
        let names = disk.list(&root)?;
        for name in names.iter().filter(|name| !manifest.names(name)) {
            disk.remove(&path(name))?;
        }
        // A flush that did not come to its end may have renamed the spare file.
        let there = |log: &u32| names.iter().any(|name| *name == format!("log-{log}"));
        manifest.spare = manifest.spare.filter(there);
        Ok(Self {
            disk: disk.clone(),
            bug,
            manifest,
            log,
            log_bytes,
            fresh,
            parts,
            poisoned: false,
        })
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = self.parts.clone();
        rows.extend_from_slice(&self.fresh);
        rows
    }

    pub(crate) fn parts(&self) -> &[u32] {
        &self.manifest.parts
    }

    fn is(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    /// Writes transactions, each a list of its rows, and makes them safe with one sync.
    pub(crate) fn commit(&mut self, group: &[Vec<Row>]) -> Result<(), Trouble> {
        assert!(!self.poisoned, "the oracle asks no poisoned store");
        let mut end = self.log_bytes;
        for rows in group {
            let mut encoded = Vec::new();
            for row in rows {
                Record::row(self.manifest.log, *row).encode(self.bug, &mut encoded);
            }
            if let Some((transaction, _)) = rows.first() {
                Record::commit(self.manifest.log, *transaction, rows.len())
                    .encode(self.bug, &mut encoded);
            }
            let written = self.log.write_at(&encoded, end);
            end += encoded.len() as u64;
            match written {
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    if self.is(Bug::NoSpaceSwallowed) {
                        continue;
                    }
                    return self.take_back();
                }
                written => self.or_poison(written)?,
            }
        }
        if !self.is(Bug::AcknowledgedBeforeSync) {
            let mut synced = self.log.sync();
            if synced.is_err() && self.is(Bug::SyncRetried) {
                synced = self.log.sync();
            }
            if synced.is_err() && self.is(Bug::SyncErrorSwallowed) && !self.disk.is_off() {
                synced = Ok(());
            }
            self.or_poison(synced)?;
        }
        self.log_bytes = end;
        self.fresh.extend(group.iter().flatten());
        Ok(())
    }

    fn or_poison<T>(&mut self, outcome: io::Result<T>) -> Result<T, Trouble> {
        self.poisoned |= outcome.is_err();
        Ok(outcome?)
    }

    /// The disk is full: nothing of the group may come back.
    fn take_back(&mut self) -> Result<(), Trouble> {
        if !self.is(Bug::RefusedGroupNotCut) {
            let cut = self.log.set_len(self.log_bytes);
            self.or_poison(cut)?;
            let synced = self.log.sync();
            self.or_poison(synced)?;
        }
        Err(Trouble::Full)
    }

    /// Moves the rows of the log to a part.
    pub(crate) fn flush(&mut self) -> Result<(), Trouble> {
        let flushed = self.try_flush();
        // How far it came is for the next start to see.
        self.poisoned |= flushed.is_err();
        flushed
    }

    fn try_flush(&mut self) -> Result<(), Trouble> {
        let root = RelPath::root();
        let old_log = self.manifest.log;
        let mut next = self.manifest.clone();
        let number = next.parts.last().map_or(1, |last| last + 1);
        next.parts.push(number);
        let part = self.disk.open(&part_path(number), OpenMode::CreateNew)?;
        part.write_at(&bytes::encode_part(&self.fresh), 0)?;
        if !self.is(Bug::PartNotSynced) {
            part.sync()?;
        }
        if self.is(Bug::FlushInTwoSteps) {
            self.write_manifest(&next)?;
        }
        next.log = old_log + 1;
        if self.is(Bug::LogRemovedFirst) {
            self.disk.remove(&log_path(old_log))?;
            self.disk.sync_dir(&root)?;
        }
        next.spare = (!self.is(Bug::LogRemovedFirst)).then_some(old_log);
        // A file of an earlier log serves again: its blocks are there already.
        let log = match self.manifest.spare {
            Some(spare) => {
                self.disk.rename(&log_path(spare), &log_path(next.log))?;
                self.disk.open(&log_path(next.log), OpenMode::ReadWrite)?
            }
            None => self.disk.open(&log_path(next.log), OpenMode::CreateNew)?,
        };
        if !self.is(Bug::LogNameNotSynced) {
            self.disk.sync_dir(&root)?;
        }
        self.write_manifest(&next)?;
        self.manifest = next;
        self.log = log;
        self.log_bytes = 0;
        self.parts.append(&mut self.fresh);
        Ok(())
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), Trouble> {
        let bytes = manifest.encode();
        if self.is(Bug::ManifestInPlace) {
            let file = match self.disk.open(&path("manifest"), OpenMode::ReadWrite) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.disk.open(&path("manifest"), OpenMode::CreateNew)?
                }
                file => file?,
            };
            file.set_len(0)?;
            file.write_at(&bytes, 0)?;
            file.sync()?;
            self.disk.sync_dir(&RelPath::root())?;
            return Ok(());
        }
        let file = self.disk.open(&path("manifest.tmp"), OpenMode::CreateNew)?;
        file.write_at(&bytes, 0)?;
        if !self.is(Bug::ManifestNotSynced) {
            file.sync()?;
        }
        if self.is(Bug::ManifestRemovedFirst) && self.manifest.log > 0 {
            self.disk.remove(&path("manifest"))?;
        }
        self.disk.rename(&path("manifest.tmp"), &path("manifest"))?;
        if !self.is(Bug::ManifestNameNotSynced) {
            self.disk.sync_dir(&RelPath::root())?;
        }
        Ok(())
    }
}

/// Reads a log's records up to the last commit that is whole; where that ends.
fn replay(read: &[u8], epoch: u32, bug: Option<Bug>, rows: &mut Vec<Row>) -> usize {
    let mut end = 0;
    let mut at = 0;
    let mut open: Vec<Row> = Vec::new();
    while let Some((record, length)) = Record::decode(read.get(at..).unwrap_or_default(), bug) {
        if record.epoch != epoch && bug != Some(Bug::StaleTail) {
            break;
        }
        at += length;
        match record.row_value() {
            Some(value) => open.push((record.transaction, value)),
            None if record.counts(&open) => {
                rows.append(&mut open);
                end = at;
            }
            None => break,
        }
    }
    if bug == Some(Bug::PartialTransaction) {
        rows.append(&mut open);
        end = at;
    }
    end
}
