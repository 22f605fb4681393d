//! What a clean shutdown leaves for the next start beside log and parts: a few bytes that nobody
//! misses when they are lost, such as statistics.
//!
//! The file is there only between a clean shutdown and the start after it. Whoever starts takes it
//! away before anything else is done, so that after a crash no old one is found.

use std::io;

use chronolith_platform::{OpenMode, RelPath, read_whole, write_whole};

use crate::engine::Engine;

const NAME: &str = "statistics";
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
        write_whole(&*self.platform.disk, &name()?, bytes)
    }

    /// What was left, which is gone from then on.
    ///
    /// # Errors
    /// As the disk gives them.
    pub fn take_left(&self) -> io::Result<Option<Vec<u8>>> {
        let (disk, name) = (&*self.platform.disk, name()?);
        let length = match disk.open(&name, OpenMode::Read) {
            Ok(file) => file.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = match length? {
            ..=BYTES_MAX => read_whole(disk, &name),
            _ => Err(io::Error::other("the file of statistics is too large")),
        };
        disk.remove(&name)?;
        // Its name must not come back by a crash, with counts that go on from there.
        disk.sync_dir(&name.parent())?;
        bytes.map(Some)
    }
}

fn name() -> io::Result<RelPath> {
    RelPath::new(NAME).map_err(io::Error::other)
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
