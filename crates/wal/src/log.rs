//! The log as its one writer holds it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chronolith_platform::{Disk, File, OpenMode, Platform, RelPath, read_whole};
use chronolith_types::Lsn;

use crate::error::{Corruption, WalError};
use crate::record::{self, Header};
use crate::replay::{self, End, Stop};
use crate::segment::{self, SegmentHeader};

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment that has grown past this is followed by a new one. One record never spans two, so
    /// a segment may be larger by the last group written to it.
    pub segment_bytes_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Records given to the caller.
    pub records: u64,
    /// Bytes of log read.
    pub bytes: u64,
    /// Bytes of a torn tail, cut off.
    pub cut_bytes: u64,
}

/// The log, open for appending. One writer has it.
#[derive(Debug)]
pub struct Log {
    disk: Arc<dyn Disk>,
    dir: RelPath,
    options: LogOptions,
    epoch: u32,
    /// First record of each segment there is, by the segment's number.
    segments: BTreeMap<u64, Lsn>,
    number: u64,
    file: Box<dyn File>,
    /// Bytes of the current segment that are safe.
    synced_bytes: u64,
    buffer: Vec<u8>,
    durable: Position,
    appended: Position,
    poisoned: bool,
}

/// A place between two records.
#[derive(Debug, Clone, Copy)]
struct Position {
    last: Lsn,
    chain: u32,
}

fn failed(action: &'static str, segment: u64) -> impl Fn(io::Error) -> WalError {
    move |source| WalError::Io {
        action,
        segment,
        source,
    }
}

impl Log {
    /// Opens the log in `dir` (made when missing) and gives every record after `from` to `apply`.
    ///
    /// A torn tail is cut; the log then continues behind its last whole record.
    ///
    /// # Errors
    /// [`WalError::Corrupt`] for damage that no crash explains, and whatever `apply` refuses.
    pub fn open<E>(
        platform: &Platform,
        dir: &RelPath,
        options: LogOptions,
        from: Lsn,
        mut apply: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, Replayed), WalError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let disk = Arc::clone(&platform.disk);
        disk.create_dir(dir).map_err(failed("create", 0))?;
        disk.sync_dir(&dir.parent()).map_err(failed("create", 0))?;
        let names = disk.list(dir).map_err(failed("list", 0))?;
        let numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| segment::parse_file_name(name))
            .collect();
        let mut replayed = Replayed::default();
        let mut segments = BTreeMap::new();
        let mut position: Option<Position> = None;
        for (index, &number) in numbers.iter().enumerate() {
            let newest = index + 1 == numbers.len();
            if index > 0 && numbers.get(index - 1) != Some(&(number - 1)) {
                return Err(corrupt(number, 0, Corruption::MissingSegment));
            }
            let path = segment::path(dir, number).map_err(failed("open", number))?;
            let bytes = read_whole(&*disk, &path).map_err(failed("read", number))?;
            replayed.bytes += bytes.len() as u64;
            let Some(header) = SegmentHeader::decode(&bytes) else {
                // A segment gets records only after its header is safe, and is begun only when the
                // one before it is: a newest one that is torn is one that never was.
                if newest && bytes.len() <= segment::HEADER_BYTES {
                    replayed.cut_bytes += bytes.len() as u64;
                    disk.remove(&path).map_err(failed("remove", number))?;
                    disk.sync_dir(dir).map_err(failed("remove", number))?;
                    break;
                }
                return Err(corrupt(number, 0, Corruption::BadHeader));
            };
            if header.version > segment::VERSION {
                return Err(corrupt(number, 8, Corruption::NewerFormat));
            }
            if header.number != number {
                return Err(corrupt(number, 16, Corruption::BadHeader));
            }
            match position {
                None if header.first.0 > from.0 + 1 => {
                    return Err(corrupt(number, 24, Corruption::MissingSegment));
                }
                Some(before)
                    if header.first.0 != before.last.0 + 1 || header.chain != before.chain =>
                {
                    return Err(corrupt(number, 24, Corruption::BrokenChain));
                }
                _ => {}
            }
            let before = Lsn(header.first.0.saturating_sub(1));
            let end: End = replay::read(
                &bytes,
                header.epoch,
                before,
                header.crc32c,
                |lsn, payload| {
                    if lsn <= from {
                        return Ok(());
                    }
                    replayed.records += 1;
                    apply(lsn, payload).map_err(|error| WalError::Apply {
                        lsn,
                        source: error.into(),
                    })
                },
            )?;
            match end.stop {
                Some(Stop::Damaged(reason)) => {
                    return Err(corrupt(number, end.good_bytes as u64, reason));
                }
                Some(Stop::Torn) if !newest => {
                    return Err(corrupt(
                        number,
                        end.good_bytes as u64,
                        Corruption::BadChecksum,
                    ));
                }
                Some(Stop::Torn) => {
                    let torn = bytes.len().saturating_sub(end.good_bytes);
                    replayed.cut_bytes += torn as u64;
                    let file = disk
                        .open(&path, OpenMode::ReadWrite)
                        .map_err(failed("open", number))?;
                    file.set_len(end.good_bytes as u64)
                        .map_err(failed("cut", number))?;
                    file.sync().map_err(failed("sync", number))?;
                }
                None => {}
            }
            segments.insert(number, header.first);
            position = Some(Position {
                last: end.last,
                chain: end.chain,
            });
        }
        let position = match position {
            Some(found) if found.last < from => {
                // The caller has state that the log never had: part of the log is gone.
                return Err(corrupt(
                    numbers.last().copied().unwrap_or_default(),
                    0,
                    Corruption::MissingSegment,
                ));
            }
            Some(found) => found,
            None => Position {
                last: from,
                chain: 0,
            },
        };
        // Always a new segment: an epoch of its own, and no doubt about what lies behind a cut.
        let number = segments.keys().next_back().map_or(1, |last| last + 1);
        let epoch = u32::try_from(platform.random.next_u64() >> 32).unwrap_or_default();
        let (file, header) = begin(&*disk, dir, epoch, number, position)?;
        segments.insert(number, header.first);
        let position = Position {
            last: position.last,
            chain: header.crc32c,
        };
        let log = Self {
            disk,
            dir: dir.clone(),
            options,
            epoch,
            segments,
            number,
            file,
            synced_bytes: segment::HEADER_BYTES as u64,
            buffer: Vec::new(),
            durable: position,
            appended: position,
            poisoned: false,
        };
        Ok((log, replayed))
    }

    /// Adds a record to the group that the next [`Log::sync`] writes; its number.
    ///
    /// # Errors
    /// When the log is poisoned or the record too large; nothing is added then.
    pub fn append(&mut self, payload: &[u8]) -> Result<Lsn, WalError> {
        self.append_parts(&[payload])
    }

    /// The same for a payload that lies in several pieces.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_parts(&mut self, parts: &[&[u8]]) -> Result<Lsn, WalError> {
        if self.poisoned {
            return Err(WalError::Poisoned);
        }
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let length = u32::try_from(bytes)
            .ok()
            .filter(|_| bytes <= record::PAYLOAD_BYTES_MAX)
            .ok_or(WalError::TooLarge { bytes })?;
        let lsn = Lsn(self.appended.last.0 + 1);
        let behind = u32::try_from(self.appended.last.0 - self.durable.last.0).unwrap_or(u32::MAX);
        let header = Header {
            crc32c: 0,
            length,
            lsn,
            chain: self.appended.chain,
            epoch: self.epoch,
            behind,
        }
        .seal(parts);
        self.buffer.reserve(record::stored_bytes(bytes));
        self.buffer.extend_from_slice(&header.encode());
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        let padded = self.buffer.len().next_multiple_of(record::ALIGNMENT);
        self.buffer.resize(padded, 0);
        self.appended = Position {
            last: lsn,
            chain: header.crc32c,
        };
        Ok(lsn)
    }

    /// Makes every appended record safe; the last of them.
    ///
    /// # Errors
    /// [`WalError::NoSpace`] when the disk is full: none of the group is in the log, which can go
    /// on. Any other failure poisons the log: whether the group survives is for reopening to see.
    pub fn sync(&mut self) -> Result<Lsn, WalError> {
        if self.poisoned {
            return Err(WalError::Poisoned);
        }
        if self.buffer.is_empty() {
            return Ok(self.durable.last);
        }
        if let Err(source) = self.file.write_at(&self.buffer, self.synced_bytes) {
            return Err(self.undo(source));
        }
        if let Err(source) = self.file.sync() {
            // The kernel may have dropped the pages and would call a second sync a success.
            self.poisoned = true;
            return Err(failed("sync", self.number)(source));
        }
        self.synced_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        // One huge group must not hold its memory for ever.
        self.buffer.shrink_to(1 << 20);
        self.durable = self.appended;
        if self.synced_bytes >= self.options.segment_bytes_max {
            self.rotate()?;
        }
        Ok(self.durable.last)
    }

    /// The group could not be written: take back what was.
    fn undo(&mut self, source: io::Error) -> WalError {
        let segment = self.number;
        self.buffer.clear();
        self.appended = self.durable;
        let full = matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        );
        // Without the cut being safe, a crash could bring back records that were refused.
        let undone = self
            .file
            .set_len(self.synced_bytes)
            .and_then(|()| self.file.sync());
        if full && undone.is_ok() {
            return WalError::NoSpace { segment, source };
        }
        self.poisoned = true;
        failed("write", segment)(source)
    }

    fn rotate(&mut self) -> Result<(), WalError> {
        let number = self.number + 1;
        match begin(&*self.disk, &self.dir, self.epoch, number, self.durable) {
            Ok((file, header)) => {
                self.file = file;
                self.number = number;
                self.segments.insert(number, header.first);
                self.synced_bytes = segment::HEADER_BYTES as u64;
                self.durable.chain = header.crc32c;
                self.appended = self.durable;
                Ok(())
            }
            Err(WalError::NoSpace { .. }) => {
                // The old segment may grow on until there is room for a new one.
                Ok(())
            }
            Err(error) => {
                self.poisoned = true;
                Err(error)
            }
        }
    }

    /// Removes segments whose records are all at or below `lsn`; bytes given back.
    ///
    /// # Errors
    /// When a file cannot be removed; the log stays usable.
    pub fn cut_before(&mut self, lsn: Lsn) -> Result<(), WalError> {
        let mut removed = false;
        while let Some((&number, _)) = self.segments.iter().next() {
            let Some((_, next_first)) = self.segments.iter().nth(1) else {
                break;
            };
            if next_first.0 > lsn.0 + 1 {
                break;
            }
            let path = segment::path(&self.dir, number).map_err(failed("remove", number))?;
            self.disk.remove(&path).map_err(failed("remove", number))?;
            // Oldest first, each name gone for good before the next: a crash leaves no hole.
            self.disk
                .sync_dir(&self.dir)
                .map_err(failed("remove", number))?;
            self.segments.remove(&number);
            removed = true;
        }
        debug_assert!(!removed || self.segments.contains_key(&self.number));
        Ok(())
    }

    /// The last record that a crash cannot take.
    #[must_use]
    pub fn durable_lsn(&self) -> Lsn {
        self.durable.last
    }

    /// Whether an earlier failure closed the log for writing.
    #[must_use]
    pub fn poisoned(&self) -> bool {
        self.poisoned
    }

    /// The oldest record that is still in the log's files.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        self.segments.values().next().copied().unwrap_or_default()
    }
}

fn corrupt(segment: u64, offset: u64, reason: Corruption) -> WalError {
    WalError::Corrupt {
        segment,
        offset,
        reason,
    }
}

/// Makes a segment and its name safe, so that records may follow.
fn begin(
    disk: &dyn Disk,
    dir: &RelPath,
    epoch: u32,
    number: u64,
    before: Position,
) -> Result<(Box<dyn File>, SegmentHeader), WalError> {
    let header = SegmentHeader::new(epoch, number, Lsn(before.last.0 + 1), before.chain);
    let path = segment::path(dir, number).map_err(failed("create", number))?;
    let write = || {
        let file = disk.open(&path, OpenMode::CreateNew)?;
        file.write_at(&header.encode(), 0)?;
        file.sync()?;
        // The file was synced, but its name lies in the directory: without this a crash could
        // start from the segment before, and lose acknowledged records.
        disk.sync_dir(dir)?;
        Ok(file)
    };
    match write() {
        Ok(file) => Ok((file, header)),
        Err(source) => {
            let full = io::Error::kind(&source) == io::ErrorKind::StorageFull;
            if full && disk.remove(&path).is_ok() && disk.sync_dir(dir).is_ok() {
                return Err(WalError::NoSpace {
                    segment: number,
                    source,
                });
            }
            Err(failed("create", number)(source))
        }
    }
}

#[cfg(test)]
mod tests;
