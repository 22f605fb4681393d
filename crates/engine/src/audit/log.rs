//! The file, and the end of its chain.

use std::io;

use chronolith_platform::{File, OpenMode, Platform, RelPath};
use parking_lot::Mutex;

use super::FILE;
use super::record::{AuditKind, AuditRecord, Hash, line, link};
use super::verify::{AuditReport, check, read_lines, torn};
use crate::error::{EngineError, io_error};

/// How much of the file's end is looked at when it is opened.
const TAIL_BYTES: u64 = 256 << 10;

/// The audit log of an open data directory. Nothing is on the disk before its first record.
#[derive(Debug)]
pub struct AuditLog {
    platform: Platform,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Box<dyn File>>,
    length: u64,
    /// The number of the next record.
    number: u64,
    /// The hash of the last.
    hash: Hash,
    /// A write or a sync failed: what the disk holds is not known before it is opened again.
    broken: bool,
}

fn path() -> io::Result<RelPath> {
    RelPath::new(FILE).map_err(io::Error::other)
}

impl AuditLog {
    /// Finds the end of what is there. What a crash left of a last record is cut off, and a record
    /// says so.
    ///
    /// # Errors
    /// When the file cannot be read or cut.
    pub fn open(platform: Platform) -> Result<Self, EngineError> {
        let log = Self {
            state: Mutex::new(State {
                number: 1,
                ..State::default()
            }),
            platform,
        };
        let file = path().and_then(|path| log.platform.disk.open(&path, OpenMode::ReadWrite));
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(log),
            Err(error) => return Err(io_error("open the audit log")(error)),
        };
        let cut = log.find_end(file).map_err(io_error("read the audit log"))?;
        if cut > 0 {
            let text = format!("{cut} bytes of an unfinished record were cut off");
            tracing::warn!("audit log: {text}");
            log.write(&AuditRecord {
                kind: AuditKind::Recovery,
                user: "",
                database: "",
                client: None,
                pid: None,
                outcome: "ok",
                action: "recover",
                text: &text,
            })?;
        }
        Ok(log)
    }

    /// Where the chain ends; how many bytes of an unfinished record there were.
    fn find_end(&self, file: Box<dyn File>) -> io::Result<u64> {
        let length = file.len()?;
        let from = length.saturating_sub(TAIL_BYTES);
        let mut tail = vec![0; usize::try_from(length - from).map_err(io::Error::other)?];
        file.read_exact_at(&mut tail, from)?;
        let mut state = self.state.lock();
        let mut whole = length;
        for (start, text, ended) in read_lines(&tail) {
            if torn(text, ended) {
                whole = from + start as u64;
                break;
            }
            // A line that begins before the tail is none; one that somebody changed still says
            // where it stood, and the chain goes on behind it. Verifying finds it.
            if let Some(link) = link(text) {
                (state.number, state.hash) = (link.number + 1, link.hash);
            }
        }
        if whole < length {
            file.set_len(whole)?;
            file.sync()?;
        }
        state.length = whole;
        state.file = Some(file);
        Ok(length - whole)
    }

    /// Adds a record, and returns when it is safe.
    ///
    /// # Errors
    /// 53100 for a full disk, 58030 for one that fails; then no record can be written before the
    /// directory is opened again.
    pub fn write(&self, record: &AuditRecord<'_>) -> Result<(), EngineError> {
        let mut state = self.state.lock();
        if state.broken {
            let why = io::Error::other("an earlier write failed: open the data directory again");
            return Err(io_error("write the audit log")(why));
        }
        let time_us = self.platform.clock.wall_us();
        let (mut text, hash) = line(state.number, time_us, &state.hash, record);
        text.push('\n');
        if let Err(error) = self.append(&mut state, text.as_bytes()) {
            // On a full disk the half of a record goes, and the next may fit.
            let full = error.kind() == io::ErrorKind::StorageFull;
            let length = state.length;
            let undone = state.file.as_ref().map(|file| file.set_len(length));
            state.broken = !full || !matches!(undone, Some(Ok(())));
            return Err(io_error("write the audit log")(error));
        }
        state.length += text.len() as u64;
        state.number += 1;
        state.hash = hash;
        Ok(())
    }

    fn append(&self, state: &mut State, bytes: &[u8]) -> io::Result<()> {
        let disk = &self.platform.disk;
        let (file, new) = match state.file.take() {
            Some(file) => (file, false),
            None => (disk.open(&path()?, OpenMode::CreateNew)?, true),
        };
        let file = state.file.insert(file);
        file.write_at(bytes, state.length)?;
        file.sync()?;
        if new {
            disk.sync_dir(&path()?.parent())?;
        }
        Ok(())
    }

    /// The records as they stand in the file, a line of JSON each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn lines(&self) -> Result<Vec<String>, EngineError> {
        let length = self.state.lock().length;
        let bytes = self.bytes().map_err(io_error("read the audit log"))?;
        let end = usize::try_from(length).unwrap_or(usize::MAX);
        let whole = bytes.get(..end).unwrap_or(&bytes);
        let lines = read_lines(whole).filter(|(_, text, _)| link(text).is_some());
        Ok(lines
            .map(|(_, text, _)| String::from_utf8_lossy(text).into_owned())
            .collect())
    }

    /// Checks the whole chain, and whether a record of a hash is in it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn verify(platform: &Platform, head: Option<&str>) -> Result<AuditReport, EngineError> {
        let log = Self {
            platform: platform.clone(),
            state: Mutex::default(),
        };
        Ok(check(
            &log.bytes().map_err(io_error("read the audit log"))?,
            head,
        ))
    }

    /// The whole file; empty without one.
    fn bytes(&self) -> io::Result<Vec<u8>> {
        match chronolith_platform::read_whole(&*self.platform.disk, &path()?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }
}
