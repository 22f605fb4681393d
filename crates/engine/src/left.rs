//! What a clean shutdown leaves for the next start beside log and parts: a few bytes that nobody
//! misses when they are lost, such as statistics.
//!
//! The file is there only between a clean shutdown and the start after it. Whoever starts takes it
//! away before anything else is done, so that after a crash no old one is found.

use std::io;

use chronolith_platform::{OpenMode, RelPath};

use crate::engine::Engine;

const NAME: &str = "statistics";
const MAKING: &str = "statistics.tmp";
/// No more is read.
const BYTES_MAX: u64 = 256 << 20;

impl Engine {
    /// Leaves bytes for the next start; called once the engine is closed.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn leave(&self, bytes: &[u8]) -> io::Result<()> {
        if self.poisoned() {
            return Ok(());
        }
        let disk = &self.platform.disk;
        let (name, making, root) = paths()?;
        forget(disk.remove(&making))?;
        let file = disk.open(&making, OpenMode::CreateNew)?;
        file.write_at(bytes, 0)?;
        file.sync()?;
        disk.rename(&making, &name)?;
        disk.sync_dir(&root)
    }

    /// What was left, which is gone from then on.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn take_left(&self) -> io::Result<Option<Vec<u8>>> {
        let disk = &self.platform.disk;
        let (name, making, root) = paths()?;
        forget(disk.remove(&making))?;
        let file = match disk.open(&name, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = read(&*file);
        drop(file);
        disk.remove(&name)?;
        // Its name must not come back by a crash, with counts that go on from there.
        disk.sync_dir(&root)?;
        bytes.map(Some)
    }
}

fn read(file: &dyn chronolith_platform::File) -> io::Result<Vec<u8>> {
    let length = file.len()?;
    if length > BYTES_MAX {
        return Err(io::Error::other("the file of statistics is too large"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            some => done += some,
        }
    }
    Ok(bytes)
}

fn forget(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn paths() -> io::Result<(RelPath, RelPath, RelPath)> {
    let path = |name: &str| RelPath::new(name).map_err(io::Error::other);
    Ok((path(NAME)?, path(MAKING)?, RelPath::root()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use chronolith_platform::Platform;
    use chronolith_platform::sim::SimDisk;

    use super::*;
    use crate::EngineConfig;

    fn engine(disk: &SimDisk) -> std::sync::Arc<Engine> {
        let platform = Platform::simulated(disk.clone(), 3);
        Engine::open(platform, EngineConfig::default()).unwrap()
    }

    #[test]
    fn what_is_left_is_taken_once() {
        let disk = SimDisk::new(3);
        let first = engine(&disk);
        assert_eq!(first.take_left().unwrap(), None);
        first.close().unwrap();
        first.leave(b"counts").unwrap();
        drop(first);
        let second = engine(&disk);
        assert_eq!(second.take_left().unwrap().as_deref(), Some(&b"counts"[..]));
        assert_eq!(second.take_left().unwrap(), None);
    }
}
