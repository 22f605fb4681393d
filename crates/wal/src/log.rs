//! The log as its one writer holds it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chronolith_platform::{Disk, File, OpenMode, Platform, RelPath};
use chronolith_types::Lsn;

use crate::error::{WalError, failed};
use crate::record::{self, Header};
use crate::recover::{Held, Position, Recovered, recover};
use crate::segment::{self, SegmentHeader};

/// Pieces at least this long go to the file as they are, when they are appended: a bulk load's
/// records are not copied, and a group's memory is bounded. Small in tests, so that crashes of
/// small logs meet this way too.
const THROUGH_BYTES: usize = if cfg!(test) { 300 } else { 256 << 10 };

/// Room of zeros that is made behind a small group, so that the syncs of those after it have no
/// new length and no new blocks to write: on ext4 they take two thirds to half of the time. A group
/// of a quarter of it makes none, as its own bytes cost more than that.
const RESERVED_BYTES: u64 = if cfg!(test) { 1200 } else { 256 << 10 };

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
    /// The segments there are, by their numbers.
    segments: BTreeMap<u64, Held>,
    number: u64,
    file: Box<dyn File>,
    /// Bytes of the current segment that are safe.
    synced_bytes: u64,
    /// Bytes of the current segment that are written; past the safe ones, those of a group.
    written_bytes: u64,
    /// Up to where the current segment has room, or what is written where that is more.
    reserved_bytes: u64,
    /// What comes behind them.
    buffer: Vec<u8>,
    /// What befell the group in writing: the next sync tells.
    failure: Option<io::Error>,
    durable: Position,
    appended: Position,
    poisoned: bool,
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
        apply: impl FnMut(Lsn, &[u8]) -> Result<(), E>,
    ) -> Result<(Self, Replayed), WalError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let disk = Arc::clone(&platform.disk);
        disk.create_dir(dir).map_err(failed("create", 0))?;
        disk.sync_dir(&dir.parent()).map_err(failed("create", 0))?;
        let Recovered {
            mut segments,
            position,
            replayed,
        } = recover(&*disk, dir, from, apply)?;
        // Always a new segment: an epoch of its own, and no doubt about what lies behind a cut.
        let number = segments.keys().next_back().map_or(1, |last| last + 1);
        let epoch = u32::try_from(platform.random.next_u64() >> 32).unwrap_or_default();
        let (file, header) = begin(&*disk, dir, epoch, number, position)?;
        segments.insert(number, held(&header));
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
            written_bytes: segment::HEADER_BYTES as u64,
            reserved_bytes: segment::HEADER_BYTES as u64,
            buffer: Vec::new(),
            failure: None,
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
        self.put(&header.encode());
        for part in parts {
            self.put(part);
        }
        self.put(record::padding(bytes));
        self.appended = Position {
            last: lsn,
            chain: header.crc32c,
        };
        Ok(lsn)
    }

    /// Puts bytes behind the group's, in the buffer or at once in the file.
    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() >= THROUGH_BYTES {
            self.write_buffer();
            self.write(bytes);
            return;
        }
        if self.buffer.len() + bytes.len() > THROUGH_BYTES * 4 {
            self.write_buffer();
        }
        self.buffer.extend_from_slice(bytes);
    }

    fn write_buffer(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        if !buffer.is_empty() {
            self.write(&buffer);
        }
        buffer.clear();
        self.buffer = buffer;
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.failure.is_some() {
            // The group is lost already; its sync says so.
            return;
        }
        match self.file.write_at(bytes, self.written_bytes) {
            Ok(()) => self.written_bytes += bytes.len() as u64,
            Err(error) => self.failure = Some(error),
        }
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
        if self.appended.last == self.durable.last {
            return Ok(self.durable.last);
        }
        self.write_buffer();
        if let Some(source) = self.failure.take() {
            return Err(self.undo(source));
        }
        self.reserve();
        if let Err(source) = self.file.sync() {
            // The kernel may have dropped the pages and would call a second sync a success.
            self.poisoned = true;
            return Err(failed("sync", self.number)(source));
        }
        self.synced_bytes = self.written_bytes;
        if let Some(held) = self.segments.get_mut(&self.number) {
            held.bytes = self.synced_bytes;
        }
        self.durable = self.appended;
        if self.synced_bytes >= self.options.segment_bytes_max {
            self.rotate()?;
        }
        Ok(self.durable.last)
    }

    /// Makes room behind a group that has used up what there was; its own sync makes it safe too,
    /// so that nothing but zeros and records can lie behind what is synced.
    fn reserve(&mut self) {
        let group = self.written_bytes - self.synced_bytes;
        if self.written_bytes <= self.reserved_bytes || group >= RESERVED_BYTES / 4 {
            return;
        }
        let left = self
            .options
            .segment_bytes_max
            .saturating_sub(self.written_bytes);
        let room = usize::try_from(left.min(RESERVED_BYTES)).unwrap_or_default();
        match self.file.write_at(&vec![0; room], self.written_bytes) {
            Ok(()) => self.reserved_bytes = self.written_bytes + room as u64,
            // The log does without. What was written of it is zeros, and the disk may need them.
            Err(_) => drop(self.file.set_len(self.written_bytes)),
        }
    }

    /// The group could not be written: take back what was.
    fn undo(&mut self, source: io::Error) -> WalError {
        let segment = self.number;
        self.appended = self.durable;
        self.written_bytes = self.synced_bytes;
        self.reserved_bytes = self.synced_bytes;
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
                // Zeros that nobody will fill; where the cut is lost they do no harm.
                drop(self.file.set_len(self.synced_bytes));
                self.file = file;
                self.number = number;
                self.segments.insert(number, held(&header));
                self.synced_bytes = segment::HEADER_BYTES as u64;
                self.written_bytes = self.synced_bytes;
                self.reserved_bytes = self.synced_bytes;
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

    /// Removes segments whose records are all at or below `lsn`.
    ///
    /// # Errors
    /// When a file cannot be removed; the log stays usable.
    pub fn cut_before(&mut self, lsn: Lsn) -> Result<(), WalError> {
        while let Some((&number, _)) = self.segments.iter().next() {
            let Some((_, next)) = self.segments.iter().nth(1) else {
                break;
            };
            if next.first.0 > lsn.0.saturating_add(1) {
                break;
            }
            let path = segment::path(&self.dir, number).map_err(failed("remove", number))?;
            self.disk.remove(&path).map_err(failed("remove", number))?;
            // Oldest first, each name gone for good before the next: a crash leaves no hole.
            self.disk
                .sync_dir(&self.dir)
                .map_err(failed("remove", number))?;
            self.segments.remove(&number);
        }
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
        let oldest = self.segments.values().next();
        oldest.map(|held| held.first).unwrap_or_default()
    }

    /// Safe bytes of the segments with records after `lsn`: what a replay from there would read.
    #[must_use]
    pub fn size_bytes_since(&self, lsn: Lsn) -> u64 {
        let mut bytes = 0;
        for held in self.segments.values().rev() {
            bytes += held.bytes;
            if held.first <= lsn {
                break;
            }
        }
        bytes
    }
}

fn held(header: &SegmentHeader) -> Held {
    Held {
        first: header.first,
        bytes: segment::HEADER_BYTES as u64,
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
