//! Small files, written whole or not at all.

use std::io;

use crate::disk::{Disk, OpenMode};
use crate::path::RelPath;

/// Suffix of a file that does not have its final name yet; such files are rubbish after a crash.
const TEMPORARY: &str = ".tmp";

/// Writes a file so that after a crash it has its old content or the new, never a mixture.
///
/// # Errors
/// As the disk gives them; the old content then stays, and what was written of the new goes, as far
/// as the disk still does that.
pub fn write_whole(disk: &dyn Disk, path: &RelPath, bytes: &[u8]) -> io::Result<()> {
    write_unnamed(disk, path, bytes)?;
    // A synced file can still vanish: its name lives in the directory, synced apart.
    disk.sync_dir(&path.parent())
}

/// The same, but that after a crash the file may still have its old content until the caller has
/// synced its directory: one sync does for several files.
///
/// # Errors
/// As [`write_whole`].
pub fn write_unnamed(disk: &dyn Disk, path: &RelPath, bytes: &[u8]) -> io::Result<()> {
    let temporary = RelPath::new(&format!("{path}{TEMPORARY}")).map_err(io::Error::other)?;
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = disk
        .open(&temporary, OpenMode::CreateNew)
        .and_then(|file| {
            file.write_at(bytes, 0)?;
            file.sync()
        })
        .and_then(|()| disk.rename(&temporary, path));
    if let Err(error) = written {
        // Half of a file on a full disk would keep it full.
        drop(disk.remove(&temporary));
        return Err(error);
    }
    Ok(())
}

/// Reads a file whole.
///
/// # Errors
/// As the disk gives them.
pub fn read_whole(disk: &dyn Disk, path: &RelPath) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}
