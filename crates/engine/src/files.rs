//! Where things lie in the data directory: numbers, never names that users gave.

use chronolith_platform::{Disk, PathError, RelPath};
use chronolith_types::{Lsn, PartId};

pub(crate) const LOG_DIR: &str = "wal";
pub(crate) const PARTS_DIR: &str = "parts";
pub(crate) const CHECKPOINTS_DIR: &str = "checkpoints";
pub(crate) const LOCK: &str = "chronolith.lock";

const DATA: &str = ".parquet";
const DIRECTORY: &str = ".series";
const CHECKPOINT: &str = ".catalog";

pub(crate) fn data(part: PartId) -> Result<RelPath, PathError> {
    RelPath::new(&format!("{PARTS_DIR}/{:012}{DATA}", part.0))
}

pub(crate) fn directory(part: PartId) -> Result<RelPath, PathError> {
    RelPath::new(&format!("{PARTS_DIR}/{:012}{DIRECTORY}", part.0))
}

/// The part that a file in the parts' directory belongs to.
pub(crate) fn parse_part(name: &str) -> Option<PartId> {
    let digits = name
        .strip_suffix(DATA)
        .or_else(|| name.strip_suffix(DIRECTORY))?;
    digits.parse().ok().map(PartId)
}

/// Removes a part's files, as far as they are there and the disk lets them go: one that stays is
/// removed when the engine is opened next.
pub(crate) fn remove_part(disk: &dyn Disk, part: PartId) {
    for path in [data(part), directory(part)].into_iter().flatten() {
        drop(disk.remove(&path));
    }
}

pub(crate) fn checkpoint(lsn: Lsn) -> Result<RelPath, PathError> {
    RelPath::new(&format!("{CHECKPOINTS_DIR}/{:020}{CHECKPOINT}", lsn.0))
}

pub(crate) fn parse_checkpoint(name: &str) -> Option<Lsn> {
    name.strip_suffix(CHECKPOINT)?.parse().ok().map(Lsn)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn names_are_read_as_they_are_built() {
        for id in [1, 999_999_999_999, u64::MAX] {
            assert_eq!(
                parse_part(data(PartId(id)).unwrap().name()),
                Some(PartId(id))
            );
            assert_eq!(
                parse_part(directory(PartId(id)).unwrap().name()),
                Some(PartId(id))
            );
            assert_eq!(
                parse_checkpoint(checkpoint(Lsn(id)).unwrap().name()),
                Some(Lsn(id))
            );
        }
        assert_eq!(parse_part("000000000001.parquet.tmp"), None);
    }
}
