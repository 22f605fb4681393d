//! Each unkindness of the disk, by itself. Whether they suffice, `tests/planted` tells.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;

use super::*;
use crate::whole::read_whole;

fn path(text: &str) -> RelPath {
    RelPath::new(text).unwrap()
}

/// A disk with one safe file of `length` bytes 1.
fn with_file(seed: u64, length: usize) -> (SimDisk, Box<dyn File>) {
    let disk = SimDisk::new(seed);
    let file = disk.open(&path("one"), OpenMode::CreateNew).unwrap();
    file.write_at(&vec![1; length], 0).unwrap();
    file.sync().unwrap();
    disk.sync_dir(&RelPath::root()).unwrap();
    (disk, file)
}

fn content(disk: &SimDisk) -> Vec<u8> {
    read_whole(disk, &path("one")).unwrap()
}

#[test]
fn what_is_synced_survives_and_the_rest_may_be_lost_reordered_or_torn() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..300 {
        let (disk, file) = with_file(seed, 1024);
        file.write_at(&[2; 1024], 0).unwrap();
        let after = content(&disk.crash());
        assert_eq!(after.len(), 1024);
        let first = after.iter().take(512).filter(|byte| **byte == 2).count();
        let second = after.iter().skip(512).filter(|byte| **byte == 2).count();
        let kind = |count| match count {
            0 => "lost",
            512 => "kept",
            _ => "torn",
        };
        outcomes.insert((kind(first), kind(second)));
    }
    for expected in [
        ("lost", "lost"),
        ("kept", "kept"),
        ("lost", "kept"),
        ("kept", "lost"),
        ("torn", "kept"),
    ] {
        assert!(outcomes.contains(&expected), "never {expected:?}");
    }
}

#[test]
fn a_failed_sync_shows_the_new_and_keeps_the_old() {
    let (disk, file) = with_file(1, 8);
    file.write_at(&[2; 8], 0).unwrap();
    disk.plan(disk.operations(), Fault::Io);
    assert!(file.sync().is_err());
    file.sync().unwrap();
    assert_eq!(content(&disk), [2; 8]);
    assert_eq!(
        content(&disk.restart()),
        [2; 8],
        "the cache outlives the process"
    );
    assert_eq!(content(&disk.restart().crash()), [1; 8]);
}

#[test]
fn a_length_may_survive_without_its_bytes() {
    let mut zeros = 0;
    for seed in 0..100 {
        let (disk, file) = with_file(seed, 8);
        file.write_at(&[2; 8], 8).unwrap();
        zeros +=
            u32::from(content(&disk.crash()) == [1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
    assert!(zeros > 0);
}

#[test]
fn names_survive_in_order_and_only_as_far_as_synced() {
    let mut seen = BTreeSet::new();
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        for name in ["a", "b", "c"] {
            disk.open(&path(name), OpenMode::CreateNew).unwrap();
        }
        disk.rename(&path("b"), &path("d")).unwrap();
        seen.insert(disk.crash().list(&RelPath::root()).unwrap().concat());
        disk.restart().sync_dir(&RelPath::root()).unwrap();
    }
    let expected = ["", "a", "ab", "abc", "acd"].map(str::to_owned);
    assert_eq!(seen, BTreeSet::from(expected));
}

#[test]
fn a_full_disk_refuses_and_takes_again_when_there_is_room() {
    let (disk, file) = with_file(1, 100);
    disk.set_capacity(150);
    assert_eq!(disk.free_bytes().unwrap(), 50);
    let refused = file.write_at(&[2; 80], 100).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    file.set_len(10).unwrap();
    file.write_at(&[2; 80], 10).unwrap();
}

#[test]
fn reads_are_short_or_fail_when_told() {
    let (disk, file) = with_file(1, 1000);
    disk.set_short_reads();
    let mut buffer = [0; 1000];
    let counts: BTreeSet<usize> = (0..20)
        .map(|_| file.read_at(&mut buffer, 0).unwrap())
        .collect();
    assert!(counts.len() > 5 && !counts.contains(&0));
    assert_eq!(content(&disk), [1; 1000], "whole reads read on");
    disk.make_unreadable(&path("one")).unwrap();
    assert!(file.read_at(&mut buffer, 0).is_err());
    assert!(disk.map(&path("one")).is_err());
    assert_eq!(content(&disk.restart()), [1; 1000]);
}

#[test]
fn a_misdirected_write_succeeds_elsewhere() {
    let (disk, file) = with_file(1, 1024);
    disk.plan(disk.operations(), Fault::Misdirected);
    file.write_at(&[2; 4], 0).unwrap();
    let after = content(&disk);
    assert_eq!(after.first(), Some(&1));
    assert_eq!(after.get(512..516), Some([2; 4].as_slice()));
}

#[test]
fn a_seed_determines_all_and_a_fork_goes_its_own_way() {
    let run = |seed| {
        let (disk, file) = with_file(seed, 4096);
        file.write_at(&[2; 4096], 0).unwrap();
        let fork = disk.fork();
        let file = fork.open(&path("one"), OpenMode::ReadWrite).unwrap();
        file.write_at(&[3; 4096], 0).unwrap();
        assert_eq!(content(&disk), [2; 4096]);
        (content(&disk.crash()), content(&fork.crash()))
    };
    for seed in 0..20 {
        assert_eq!(run(seed), run(seed));
    }
}

#[test]
fn handles_of_a_dead_process_do_nothing() {
    let (disk, file) = with_file(1, 8);
    let lock = disk.lock(&path("lock")).unwrap();
    assert!(disk.lock(&path("lock")).is_err());
    let next = disk.restart();
    assert!(file.write_at(&[9; 8], 0).is_err());
    let held = next.lock(&path("lock")).unwrap();
    drop(lock);
    assert!(
        next.lock(&path("lock")).is_err(),
        "a dead holder lets nothing go"
    );
    drop(held);
    assert_eq!(content(&next), [1; 8]);
}
