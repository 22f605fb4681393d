//! The simulated disk as programs see it, and the handles by which tests torment it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::state::State;
use crate::disk::{Disk, File, Lock, OpenMode};
use crate::path::RelPath;
use crate::random::SimRandom;

/// Something that goes wrong once, at one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes before the operation: it and all later ones fail.
    PowerCut,
    /// The operation fails with EIO. A sync that fails drops what it was to write.
    Io,
    /// A write stops half way with ENOSPC.
    NoSpace,
    /// A write lands one sector too far, unnoticed.
    Misdirected,
}

#[derive(Debug)]
struct Inner {
    state: State,
    random: SimRandom,
    operations: u64,
    faults: Vec<(u64, Fault)>,
    off: bool,
    locked: Vec<RelPath>,
    capacity: u64,
    short_reads: bool,
    /// Files that cannot be read.
    unreadable: Vec<usize>,
    /// A disk that was left behind by a reboot does nothing more.
    generation: u64,
}

/// A simulated disk; clones are handles to the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
    generation: u64,
}

impl SimDisk {
    /// An empty disk whose crashes follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::over(State::default(), SimRandom::new(seed), u64::MAX)
    }

    fn over(state: State, random: SimRandom, capacity: u64) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                state,
                random,
                operations: 0,
                faults: Vec::new(),
                off: false,
                locked: Vec::new(),
                capacity,
                short_reads: false,
                unreadable: Vec::new(),
                generation: 0,
            })),
            generation: 0,
        }
    }

    /// Operations so far that change the disk or sync it; the next has this number.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.inner.lock().operations
    }

    /// Something goes wrong at the operation of a number (see [`SimDisk::operations`]).
    pub fn plan(&self, operation: u64, fault: Fault) {
        self.inner.lock().faults.push((operation, fault));
    }

    /// The disk takes no more than `bytes`, now and after a crash.
    pub fn set_capacity(&self, bytes: u64) {
        self.inner.lock().capacity = bytes;
    }

    /// From now on a read gives as many bytes as it likes, but at least one.
    pub fn set_short_reads(&self) {
        self.inner.lock().short_reads = true;
    }

    /// From now on reads of a file fail with EIO, until the machine or the process starts anew.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn make_unreadable(&self, path: &RelPath) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let number = inner.state.find(path)?;
        inner.unreadable.push(number);
        Ok(())
    }

    /// Whether a planned power cut has come.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.inner.lock().off
    }

    /// The power goes now: the disk as the next boot finds it. This one does nothing more.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut inner = self.inner.lock();
        inner.off = true;
        let mut state = inner.state.clone();
        state.crash(&inner.random);
        // A fork crashed twice must not crash alike.
        Self::over(state, inner.random.clone(), inner.capacity)
    }

    /// The process dies, not the machine: the same disk, with nothing lost and no lock held. The
    /// dead process's handles do nothing more.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut inner = self.inner.lock();
        inner.locked.clear();
        inner.off = false;
        inner.faults.clear();
        inner.short_reads = false;
        inner.unreadable.clear();
        inner.generation += 1;
        Self {
            inner: Arc::clone(&self.inner),
            generation: inner.generation,
        }
    }

    /// A copy of the disk as it is, which goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        let inner = self.inner.lock();
        Self::over(inner.state.clone(), inner.random.clone(), inner.capacity)
    }

    /// Flips one bit of a file, in what is seen and in what survives.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn flip_bit(&self, path: &RelPath, offset: usize, bit: u8) -> io::Result<()> {
        let mut inner = self.inner.lock();
        let number = inner.state.find(path)?;
        inner.state.inode_mut(number)?.flip(offset, bit);
        Ok(())
    }

    /// Does an operation, unless something was planned for it.
    fn operate<T>(
        &self,
        act: impl FnOnce(&mut Inner, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut inner = self.inner.lock();
        self.check(&inner)?;
        let number = inner.operations;
        inner.operations += 1;
        let fault = inner
            .faults
            .iter()
            .find(|(at, _)| *at == number)
            .map(|(_, fault)| *fault);
        if fault == Some(Fault::PowerCut) {
            inner.off = true;
            return Err(off());
        }
        act(&mut inner, fault)
    }

    fn look<T>(&self, act: impl FnOnce(&mut Inner) -> io::Result<T>) -> io::Result<T> {
        let mut inner = self.inner.lock();
        self.check(&inner)?;
        act(&mut inner)
    }

    fn check(&self, inner: &Inner) -> io::Result<()> {
        if inner.off || inner.generation != self.generation {
            return Err(off());
        }
        Ok(())
    }
}

fn off() -> io::Error {
    io::Error::other("the simulated machine is off")
}

fn eio() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

fn plain(fault: Option<Fault>) -> io::Result<()> {
    match fault {
        Some(Fault::Io) => Err(eio()),
        Some(Fault::NoSpace) => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

fn index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

fn check_readable(inner: &Inner, number: usize) -> io::Result<()> {
    if inner.unreadable.contains(&number) {
        return Err(eio());
    }
    Ok(())
}

impl Disk for SimDisk {
    fn open(&self, path: &RelPath, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let number = match mode {
            OpenMode::CreateNew => self.operate(|inner, fault| {
                plain(fault)?;
                inner.state.create(path)
            })?,
            OpenMode::Read | OpenMode::ReadWrite => self.look(|inner| inner.state.find(path))?,
        };
        Ok(Box::new(SimFile {
            disk: self.clone(),
            number,
            writable: mode != OpenMode::Read,
        }))
    }

    fn rename(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        self.operate(|inner, fault| {
            plain(fault)?;
            inner.state.rename(from, to)
        })
    }

    fn remove(&self, path: &RelPath) -> io::Result<()> {
        self.operate(|inner, fault| {
            plain(fault)?;
            inner.state.remove(path)
        })
    }

    fn list(&self, dir: &RelPath) -> io::Result<Vec<String>> {
        self.look(|inner| inner.state.list(dir))
    }

    fn create_dir(&self, dir: &RelPath) -> io::Result<()> {
        self.operate(|inner, fault| {
            plain(fault)?;
            inner.state.create_dir(dir)
        })
    }

    fn remove_dir(&self, dir: &RelPath) -> io::Result<()> {
        self.operate(|inner, fault| {
            plain(fault)?;
            inner.state.remove_dir(dir)
        })
    }

    fn sync_dir(&self, dir: &RelPath) -> io::Result<()> {
        self.operate(|inner, fault| {
            plain(fault)?;
            inner.state.sync_dir(dir);
            Ok(())
        })
    }

    fn lock(&self, path: &RelPath) -> io::Result<Box<dyn Lock>> {
        self.look(|inner| {
            if inner.locked.contains(path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            inner.locked.push(path.clone());
            Ok(())
        })?;
        Ok(Box::new(SimLock {
            disk: self.clone(),
            path: path.clone(),
        }))
    }

    fn free_bytes(&self) -> io::Result<u64> {
        self.look(|inner| Ok(inner.capacity.saturating_sub(inner.state.used())))
    }

    fn map(&self, path: &RelPath) -> io::Result<Bytes> {
        self.look(|inner| {
            let number = inner.state.find(path)?;
            check_readable(inner, number)?;
            Ok(Bytes::copy_from_slice(inner.state.inode(number)?.live()))
        })
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    number: usize,
    writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }
}

impl File for SimFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.look(|inner| {
            check_readable(inner, self.number)?;
            let content = inner.state.inode(self.number)?.live();
            let rest = content.get(index(offset)?..).unwrap_or_default();
            let mut count = rest.len().min(buffer.len());
            if inner.short_reads && count > 1 {
                count = 1 + index(inner.random.below(count as u64))?;
            }
            if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
                to.copy_from_slice(from);
            }
            Ok(count)
        })
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let offset = index(offset)?;
        self.disk.operate(|inner, fault| {
            let used = inner.state.used();
            let capacity = inner.capacity;
            let inode = inner.state.inode_mut(self.number)?;
            let grows = (offset + bytes.len()).saturating_sub(inode.live().len()) as u64;
            match fault {
                Some(Fault::Io) => return Err(eio()),
                Some(Fault::Misdirected) => {
                    inode.write(offset + super::state::SECTOR, bytes);
                    return Ok(());
                }
                _ => {}
            }
            if fault == Some(Fault::NoSpace) || used + grows > capacity {
                let half = bytes.get(..bytes.len() / 2).unwrap_or_default();
                if used + half.len() as u64 <= capacity {
                    inode.write(offset, half);
                }
                return Err(io::ErrorKind::StorageFull.into());
            }
            inode.write(offset, bytes);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.operate(|inner, fault| {
            let inode = inner.state.inode_mut(self.number)?;
            if matches!(fault, Some(Fault::Io | Fault::NoSpace)) {
                inode.drop_pending();
                return plain(fault);
            }
            inode.sync();
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.check_writable()?;
        self.disk.operate(|inner, fault| {
            plain(fault)?;
            inner.state.inode_mut(self.number)?.set_len(index(length)?);
            Ok(())
        })
    }

    fn len(&self) -> io::Result<u64> {
        self.disk
            .look(|inner| Ok(inner.state.inode(self.number)?.live().len() as u64))
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: RelPath,
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut inner = self.disk.inner.lock();
        if inner.generation == self.disk.generation {
            inner.locked.retain(|held| *held != self.path);
        }
    }
}

#[cfg(test)]
mod tests;
