//! What a simulated disk holds: what programs see, and what would survive.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use crate::path::RelPath;
use crate::random::SimRandom;

/// What the hardware writes at once, or tears.
pub(super) const SECTOR: usize = 512;

/// A change of a file that a crash may lose.
#[derive(Debug, Clone)]
enum Pending {
    /// Bytes within one sector.
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Length(usize),
}

/// A file's content, whatever its name.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    /// Whether what is seen and what survives may differ.
    dirty: bool,
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

impl Pending {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => put(content, *offset, bytes),
            Self::Length(length) => content.resize(*length, 0),
        }
    }
}

impl Inode {
    pub(super) fn live(&self) -> &[u8] {
        &self.live
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.dirty = true;
        put(&mut self.live, offset, bytes);
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
            self.pending.push(Pending::Write {
                offset: at,
                bytes: piece.to_vec(),
            });
            at += piece.len();
            rest = tail;
        }
    }

    pub(super) fn set_len(&mut self, length: usize) {
        self.dirty = true;
        self.live.resize(length, 0);
        self.pending.push(Pending::Length(length));
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The kernel gives up on what was to be written, and marks it clean.
    pub(super) fn drop_pending(&mut self) {
        self.pending.clear();
    }

    /// Damage that no write did: both what is seen and what survives.
    pub(super) fn flip(&mut self, offset: usize, bit: u8) {
        for content in [&mut self.live, &mut self.durable] {
            if let Some(byte) = content.get_mut(offset) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    fn crash(&mut self, random: &SimRandom) {
        self.dirty = false;
        let length = self.live.len();
        // Nothing, all, or any subset: a scheduler and a cache in between owe no order.
        let kept = random.below(4);
        for change in self.pending.drain(..) {
            let keep = match kept {
                0 => false,
                1 => true,
                _ => random.one_in(2),
            };
            if !keep {
                continue;
            }
            match change {
                Pending::Write { offset, bytes } if random.one_in(10) => {
                    let torn = usize::try_from(random.below(bytes.len() as u64)).unwrap_or(0);
                    put(
                        &mut self.durable,
                        offset,
                        bytes.get(..torn).unwrap_or_default(),
                    );
                }
                change => change.apply(&mut self.durable),
            }
        }
        // File systems may keep a file's new length and lose what was in it: zeros, then.
        if length > self.durable.len() && random.one_in(4) {
            self.durable.resize(length, 0);
        }
        self.live.clone_from(&self.durable);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(usize),
    Dir,
}

#[derive(Debug, Clone)]
enum NameChange {
    Set(RelPath, Entry),
    Remove(RelPath),
    Rename(RelPath, RelPath),
}

type Names = BTreeMap<RelPath, Entry>;

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Set(path, entry) => {
                names.insert(path.clone(), *entry);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(entry) = names.remove(from) {
                    names.insert(to.clone(), entry);
                }
            }
        }
    }
}

/// The whole disk. Copies share the files that neither has changed since.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    inodes: Vec<Arc<Inode>>,
    names: Names,
    durable_names: Names,
    pending_names: Vec<(RelPath, NameChange)>,
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    pub(super) fn inode(&self, number: usize) -> io::Result<&Inode> {
        let inode = self.inodes.get(number).ok_or_else(not_found)?;
        Ok(inode)
    }

    pub(super) fn inode_mut(&mut self, number: usize) -> io::Result<&mut Inode> {
        let inode = self.inodes.get_mut(number).ok_or_else(not_found)?;
        Ok(Arc::make_mut(inode))
    }

    pub(super) fn find(&self, path: &RelPath) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Entry::File(number)) => Ok(*number),
            Some(Entry::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found()),
        }
    }

    fn has_dir(&self, dir: &RelPath) -> bool {
        dir.as_str().is_empty() || self.names.get(dir) == Some(&Entry::Dir)
    }

    fn change(&mut self, dir: RelPath, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push((dir, change));
    }

    pub(super) fn create(&mut self, path: &RelPath) -> io::Result<usize> {
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !self.has_dir(&path.parent()) {
            return Err(not_found());
        }
        let number = self.inodes.len();
        self.inodes.push(Arc::default());
        self.change(
            path.parent(),
            NameChange::Set(path.clone(), Entry::File(number)),
        );
        Ok(number)
    }

    pub(super) fn create_dir(&mut self, dir: &RelPath) -> io::Result<()> {
        if !self.has_dir(&dir.parent()) {
            return Err(not_found());
        }
        if !self.has_dir(dir) {
            self.change(dir.parent(), NameChange::Set(dir.clone(), Entry::Dir));
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &RelPath) -> io::Result<()> {
        if !self.names.contains_key(path) {
            return Err(not_found());
        }
        self.change(path.parent(), NameChange::Remove(path.clone()));
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, dir: &RelPath) -> io::Result<()> {
        if self.names.keys().any(|path| path.parent() == *dir) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.remove(dir)
    }

    pub(super) fn rename(&mut self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        self.find(from)?;
        if !self.has_dir(&to.parent()) {
            return Err(not_found());
        }
        self.change(to.parent(), NameChange::Rename(from.clone(), to.clone()));
        Ok(())
    }

    pub(super) fn list(&self, dir: &RelPath) -> io::Result<Vec<String>> {
        if !self.has_dir(dir) {
            return Err(not_found());
        }
        let inside = |path: &&RelPath| path.parent() == *dir && !path.as_str().is_empty();
        let names = self.names.keys().filter(inside);
        Ok(names.map(|path| path.name().to_owned()).collect())
    }

    pub(super) fn sync_dir(&mut self, dir: &RelPath) {
        let (synced, rest) = std::mem::take(&mut self.pending_names)
            .into_iter()
            .partition(|(of, _)| of == dir);
        self.pending_names = rest;
        let synced: Vec<(RelPath, NameChange)> = synced;
        for (_, change) in synced {
            change.apply(&mut self.durable_names);
        }
    }

    /// Bytes that all files hold.
    pub(super) fn used(&self) -> u64 {
        let length = |entry: &Entry| match entry {
            Entry::File(number) => self.inodes.get(*number).map_or(0, |inode| inode.live.len()),
            Entry::Dir => 0,
        };
        self.names.values().map(|entry| length(entry) as u64).sum()
    }

    /// The power goes: what the next boot finds.
    pub(super) fn crash(&mut self, random: &SimRandom) {
        for inode in self.inodes.iter_mut().filter(|inode| inode.dirty) {
            Arc::make_mut(inode).crash(random);
        }
        // A directory's changes reach the disk in order, so a prefix of them survives.
        let dirs: std::collections::BTreeSet<RelPath> = self
            .pending_names
            .iter()
            .map(|(dir, _)| dir.clone())
            .collect();
        for dir in dirs {
            let changes: Vec<NameChange> = self
                .pending_names
                .iter()
                .filter(|(of, _)| *of == dir)
                .map(|(_, change)| change.clone())
                .collect();
            let kept = random.below(changes.len() as u64 + 1);
            for change in changes.iter().take(usize::try_from(kept).unwrap_or(0)) {
                change.apply(&mut self.durable_names);
            }
        }
        self.pending_names.clear();
        self.names.clone_from(&self.durable_names);
    }
}
