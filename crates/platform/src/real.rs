//! The real disk.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::disk::{Disk, File, Lock, OpenMode};
use crate::path::RelPath;

/// A data directory of this machine.
#[derive(Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Opens a data directory, making it (mode 0700) when it is missing.
    ///
    /// # Errors
    /// When it can neither be found nor made.
    pub fn open(root: &Path) -> io::Result<Self> {
        // The last ancestor of a relative path is the empty one: the working directory.
        let missing: Vec<&Path> = root
            .ancestors()
            .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
            .collect();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(root)?;
        // A new data directory could vanish with all that was acknowledged in it: its name lies in
        // the directory above.
        for dir in missing {
            sync_dir(&dir.canonicalize()?.join(".."))?;
        }
        Ok(Self {
            root: root.canonicalize()?,
        })
    }

    fn full(&self, path: &RelPath) -> PathBuf {
        self.root.join(path.as_str())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
fn sync_dir(dir: &Path) -> io::Result<()> {
    fs::File::open(dir)?.sync_all()
}

impl Disk for RealDisk {
    fn open(&self, path: &RelPath, mode: OpenMode) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => {}
            OpenMode::ReadWrite => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        Ok(Box::new(RealFile(options.open(self.full(path))?)))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn rename(&self, from: &RelPath, to: &RelPath) -> io::Result<()> {
        fs::rename(self.full(from), self.full(to))
    }

    fn remove(&self, path: &RelPath) -> io::Result<()> {
        fs::remove_file(self.full(path))
    }

    fn list(&self, dir: &RelPath) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.full(dir))? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create_dir(&self, dir: &RelPath) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o700).create(self.full(dir)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn remove_dir(&self, dir: &RelPath) -> io::Result<()> {
        fs::remove_dir(self.full(dir))
    }

    fn sync_dir(&self, dir: &RelPath) -> io::Result<()> {
        sync_dir(&self.full(dir))
    }

    fn lock(&self, path: &RelPath) -> io::Result<Box<dyn Lock>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.full(path))?;
        // A lock file by its mere existence, or by a process number in it, outlives its process or
        // names a stranger; the kernel's lock ends with its holder.
        file.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
            fs::TryLockError::Error(error) => error,
        })?;
        Ok(Box::new(RealLock { _file: file }))
    }

    #[expect(unsafe_code, reason = "fstatvfs(3) has no safe form in std")]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn free_bytes(&self) -> io::Result<u64> {
        let dir = fs::File::open(&self.root)?;
        // SAFETY: statvfs is plain data for which all zeros is a value.
        let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open while `dir` lives, and `stat` is one writable struct.
        if unsafe { libc::fstatvfs(dir.as_raw_fd(), &raw mut stat) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    #[expect(unsafe_code, reason = "a mapping is unsafe by nature")]
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn map(&self, path: &RelPath) -> io::Result<Bytes> {
        let file = fs::File::open(self.full(path))?;
        if file.metadata()?.len() == 0 {
            return Ok(Bytes::new());
        }
        // SAFETY: only files that never change after they have their name are mapped, and the data
        // directory is locked for this process; what others do to it is beyond any program.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Bytes::from_owner(map))
    }
}

#[derive(Debug)]
struct RealFile(fs::File);

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

#[derive(Debug)]
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}

#[cfg(test)]
mod tests;
