//! What storage asks of a disk.

use std::fmt::Debug;
use std::io;

use bytes::Bytes;

use crate::path::RelPath;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// It must exist, and is not written.
    Read,
    /// It must exist.
    ReadWrite,
    /// It must not exist.
    CreateNew,
}

/// A directory tree with the guarantees of a POSIX file system, and no more: what is not synced may
/// be lost, reordered or torn by a crash, names apart from contents.
pub trait Disk: Debug + Send + Sync {
    /// Opens or creates a file. A created file's name is safe only after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the file system gives them.
    fn open(&self, path: &RelPath, mode: OpenMode) -> io::Result<Box<dyn File>>;

    /// Renames a file over whatever has the new name, atomically; safe after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the file system gives them.
    fn rename(&self, from: &RelPath, to: &RelPath) -> io::Result<()>;

    /// Removes a file's name; safe after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the file system gives them.
    fn remove(&self, path: &RelPath) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As the file system gives them.
    fn list(&self, dir: &RelPath) -> io::Result<Vec<String>>;

    /// Creates a directory; one that exists is no error.
    ///
    /// # Errors
    /// As the file system gives them.
    fn create_dir(&self, dir: &RelPath) -> io::Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As the file system gives them.
    fn remove_dir(&self, dir: &RelPath) -> io::Result<()>;

    /// Makes the names in a directory safe.
    ///
    /// # Errors
    /// As the file system gives them; then nothing may be taken for safe any more.
    fn sync_dir(&self, dir: &RelPath) -> io::Result<()>;

    /// Takes the directory for this process until the lock is dropped.
    ///
    /// # Errors
    /// `WouldBlock` when another process has it.
    fn lock(&self, path: &RelPath) -> io::Result<Box<dyn Lock>>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// As the file system gives them.
    fn free_bytes(&self) -> io::Result<u64>;

    /// A file's whole content, mapped into memory where the disk can.
    ///
    /// The file must not change while the bytes are held: only files that never change are mapped.
    ///
    /// # Errors
    /// As the file system gives them.
    fn map(&self, path: &RelPath) -> io::Result<Bytes>;
}

/// An open file. Threads may share it; each write names its place.
pub trait File: Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// As the file system gives them.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`, or fails having written some of them.
    ///
    /// # Errors
    /// As the file system gives them.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Makes the content and the length safe.
    ///
    /// # Errors
    /// As the file system gives them. After a failure the kernel may have dropped what was to be
    /// written and call the next sync a success: never sync again to find out.
    fn sync(&self) -> io::Result<()>;

    /// Cuts or extends (with zeros) the file.
    ///
    /// # Errors
    /// As the file system gives them.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// As the file system gives them.
    fn len(&self) -> io::Result<u64>;

    /// Whether the length is 0.
    ///
    /// # Errors
    /// As the file system gives them.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before that.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let count = match self.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                outcome => outcome?,
            };
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            buffer = buffer.get_mut(count..).unwrap_or_default();
            offset += count as u64;
        }
        Ok(())
    }
}

/// A held lock; dropping it lets go.
pub trait Lock: Debug + Send + Sync {}
