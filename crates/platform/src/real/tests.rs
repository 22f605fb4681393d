#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::whole::{read_whole, write_whole};

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn files_are_for_their_owner_alone() {
    let above = tempfile::tempdir().unwrap();
    let root = above.path().join("a/b");
    let disk = RealDisk::open(&root).unwrap();
    disk.create_dir(&path("wal")).unwrap();
    disk.create_dir(&path("wal")).unwrap();
    write_whole(&disk, &path("wal/one"), b"1").unwrap();
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("wal")), 0o700);
    assert_eq!(mode(&root.join("wal/one")), 0o600);
    assert_eq!(disk.list(&path("wal")).unwrap(), ["one"]);
    assert!(disk.free_bytes().unwrap() > 0);
}

#[test]
fn a_second_holder_of_the_lock_is_turned_away() {
    let root = tempfile::tempdir().unwrap();
    let first = RealDisk::open(root.path()).unwrap();
    let second = RealDisk::open(root.path()).unwrap();
    let lock = first.lock(&path("lock")).unwrap();
    let refused = second.lock(&path("lock")).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    drop(lock);
    second.lock(&path("lock")).unwrap();
}

#[test]
fn what_is_written_whole_is_read_and_mapped_whole() {
    let root = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(root.path()).unwrap();
    for bytes in [b"".as_slice(), b"first", b"second, longer"] {
        write_whole(&disk, &path("one"), bytes).unwrap();
        assert_eq!(read_whole(&disk, &path("one")).unwrap(), bytes);
        assert_eq!(disk.map(&path("one")).unwrap(), bytes);
    }
    assert_eq!(disk.list(&RelPath::root()).unwrap(), ["one"]);
    // What was mapped stays readable when its name is gone.
    let mapped = disk.map(&path("one")).unwrap();
    disk.remove(&path("one")).unwrap();
    assert_eq!(mapped, b"second, longer".as_slice());
}

#[test]
fn a_file_that_exists_is_not_created_again() {
    let root = tempfile::tempdir().unwrap();
    let disk = RealDisk::open(root.path()).unwrap();
    disk.open(&path("one"), OpenMode::CreateNew).unwrap();
    let again = disk.open(&path("one"), OpenMode::CreateNew).unwrap_err();
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    let read = disk.open(&path("one"), OpenMode::Read).unwrap();
    assert!(read.write_at(b"x", 0).is_err());
    let missing = disk.open(&path("two"), OpenMode::ReadWrite).unwrap_err();
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
}
