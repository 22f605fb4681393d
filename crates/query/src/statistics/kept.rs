//! Counters as a clean shutdown leaves them for the next start: `docs/formats/statistics.md`.

#![warn(clippy::indexing_slicing)]

use std::sync::atomic::{AtomicU64, Ordering};

use chronolith_types::{DatabaseId, RoleId, TableId};

use super::databases::Counters;
use super::statements::{Entry, Key, Spread};
use super::tables::Rows;
use super::{Statistics, statements};

const MAGIC: &[u8; 8] = b"CHRSTAT1";
/// Magic, length, checksum.
const HEAD_BYTES: usize = 8 + 8 + 4;

/// The bytes that tell all that was counted. `began_us` is when the first of it was.
pub(crate) fn encode(statistics: &Statistics, began_us: i64) -> Vec<u8> {
    let mut body = Vec::new();
    let databases = statistics.databases.all();
    put_count(&mut body, databases.len());
    for (id, counters) in &databases {
        body.extend(id.0.to_le_bytes());
        for counter in counters_of(counters) {
            body.extend(counter.load(Ordering::Relaxed).to_le_bytes());
        }
    }
    let tables = statistics.tables.all();
    put_count(&mut body, tables.len());
    for (database, table, rows) in &tables {
        body.extend(database.0.to_le_bytes());
        body.extend(table.0.to_le_bytes());
        for count in [rows.inserted, rows.updated, rows.deleted] {
            body.extend(count.to_le_bytes());
        }
    }
    let (forgotten, reset_us) = statistics.statements.info();
    body.extend(forgotten.to_le_bytes());
    body.extend(if reset_us > 0 { reset_us } else { began_us }.to_le_bytes());
    let mut all = statistics.statements.all();
    all.sort_unstable_by_key(|(key, _)| *key);
    put_count(&mut body, all.len());
    for (key, entry) in &all {
        body.extend(key.role.0.to_le_bytes());
        body.extend(key.database.0.to_le_bytes());
        body.extend(key.id.to_le_bytes());
        body.extend(entry.rows.to_le_bytes());
        body.extend(entry.runs.count.to_le_bytes());
        for part in entry.runs.parts() {
            body.extend(part.to_bits().to_le_bytes());
        }
        put_count(&mut body, entry.text.len());
        body.extend(entry.text.as_bytes());
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    bytes.extend(MAGIC);
    bytes.extend((body.len() as u64).to_le_bytes());
    bytes.extend(crc32c::crc32c(&body).to_le_bytes());
    bytes.extend(body);
    bytes
}

/// What the bytes tell.
///
/// # Errors
/// What is wrong with them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Statistics, &'static str> {
    let mut input = Input(bytes);
    if input.take(MAGIC.len())? != MAGIC {
        return Err("it is no file of statistics, or one of another version");
    }
    let length = input.u64()?;
    let checksum = input.u32()?;
    if length != input.0.len() as u64 {
        return Err("its length is not what it says");
    }
    if checksum != crc32c::crc32c(input.0) {
        return Err("its checksum does not match");
    }
    let statistics = Statistics::default();
    for _ in 0..input.u32()? {
        let counters = statistics.databases.of(DatabaseId(input.u32()?));
        for counter in counters_of(&counters) {
            counter.store(input.u64()?, Ordering::Relaxed);
        }
    }
    for _ in 0..input.u32()? {
        let (database, table) = (DatabaseId(input.u32()?), TableId(input.u32()?));
        let rows = Rows {
            inserted: input.u64()?,
            updated: input.u64()?,
            deleted: input.u64()?,
        };
        statistics.tables.add(database, table, rows);
    }
    let (forgotten, reset_us) = (input.u64()?, input.u64()?.cast_signed());
    let mut all = Vec::new();
    for _ in 0..input.u32()? {
        let key = Key {
            role: RoleId(input.u32()?),
            database: DatabaseId(input.u32()?),
            id: input.u64()?.cast_signed(),
        };
        let rows = input.u64()?;
        let count = input.u64()?;
        let mut parts = [0.0; 5];
        for part in &mut parts {
            *part = f64::from_bits(input.u64()?);
        }
        let length = usize::try_from(input.u32()?).unwrap_or(usize::MAX);
        let text = std::str::from_utf8(input.take(length)?).map_err(|_| "a text is not UTF-8")?;
        let entry = Entry {
            text: text.to_owned(),
            runs: Spread::of(count, parts),
            rows,
        };
        all.push((key, entry));
    }
    if !input.0.is_empty() {
        return Err("something follows its end");
    }
    Ok(Statistics {
        statements: statements::Statements::of(all, forgotten, reset_us),
        ..statistics
    })
}

/// A database's counters in the order of the file.
fn counters_of(counters: &Counters) -> [&AtomicU64; 9] {
    [
        &counters.commits,
        &counters.rollbacks,
        &counters.returned,
        &counters.inserted,
        &counters.updated,
        &counters.deleted,
        &counters.deadlocks,
        &counters.sessions,
        &counters.active_us,
    ]
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    bytes.extend(count.to_le_bytes());
}

/// Bytes that are left to be read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("it is too short")?;
        self.0 = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, &'static str> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it is too short")?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("it is too short")?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        reason = "a test fails by panicking"
    )]

    use chronolith_sql::normalised;

    use super::*;

    fn counted() -> Statistics {
        let statistics = Statistics::default();
        let counters = statistics.databases.of(DatabaseId(5));
        for (number, counter) in (1..).zip(counters_of(&counters)) {
            counter.store(number, Ordering::Relaxed);
        }
        let rows = Rows {
            inserted: 300,
            updated: 2,
            deleted: 1,
        };
        statistics.tables.add(DatabaseId(5), TableId(16_384), rows);
        let who = (RoleId(10), DatabaseId(5));
        let statement = normalised("SELECT 1", false);
        for ms in [1.0, 2.0, 4.5] {
            statistics.statements.add(who, &statement, ms, 1, 1);
        }
        statistics
    }

    fn example() -> Vec<u8> {
        let text = include_str!("../../../../fixtures/formats/statistics/v1.hex");
        let digits: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
            .collect();
        let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2).unwrap(), 16).unwrap();
        (0..digits.len()).step_by(2).map(byte).collect()
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let bytes = encode(&counted(), 7);
        let read = decode(&bytes).unwrap();
        assert_eq!(encode(&read, 0), bytes);
        assert_eq!(read.tables.of(DatabaseId(5), TableId(16_384)).inserted, 300);
        assert_eq!(Counters::of(&read.databases.of(DatabaseId(5)).active_us), 9);
        let (_, entry) = read.statements.all().remove(0);
        assert_eq!((entry.runs.count, entry.runs.max), (3, 4.5));
        assert_eq!(read.statements.info(), (0, 7));
    }

    #[test]
    fn the_example_of_the_format_stays_readable() {
        let bytes = example();
        let read = decode(&bytes).unwrap();
        assert_eq!(encode(&read, 0), bytes);
        assert_eq!(bytes, encode(&counted(), 7));
    }

    #[test]
    fn no_damage_is_believed() {
        let bytes = encode(&counted(), 7);
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(&damaged).is_err(), "byte {at}, bit {bit}");
            }
            assert!(decode(bytes.get(..at).unwrap()).is_err(), "{at} bytes");
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(decode(&longer).is_err());
    }
}
