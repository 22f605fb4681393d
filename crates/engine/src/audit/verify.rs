//! Whether a chain is whole, and where it is not.

use super::record::{Hash, hex, link};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditReport {
    /// Records that hold, from the first.
    pub records: u64,
    /// The hash of the last of them, by which later checks know that nothing was taken off the end.
    pub head: String,
    /// Whether a record had the hash that was looked for; None when none was.
    pub seen: Option<bool>,
    /// What is wrong behind them.
    pub problem: Option<AuditProblem>,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditProblem {
    /// The last record was being written when the power went. The next start cuts it off.
    #[error(
        "the end is torn: {bytes} bytes of record {record}, at byte {offset}, were not written whole"
    )]
    Torn {
        /// The record's number.
        record: u64,
        /// Where it begins.
        offset: u64,
        /// How much of it there is.
        bytes: u64,
    },
    /// Somebody changed the file.
    #[error("record {record}, at byte {offset}, {reason}")]
    Broken {
        /// The first number that does not hold.
        record: u64,
        /// Where it begins, or should.
        offset: u64,
        /// Why it does not hold.
        reason: String,
    },
}

/// The lines of a file: where each begins, what it says, and whether it has an end.
pub(super) fn read_lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8], bool)> {
    let mut start = 0;
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(move |line| {
            let begin = start;
            start += line.len();
            match line.strip_suffix(b"\n") {
                Some(text) => (begin, text, true),
                None => (begin, line, false),
            }
        })
}

/// Whether a line was not written whole: records are synced one by one, so that only the last can
/// lack its end, or have holes where sectors did not reach the disk.
pub(super) fn torn(text: &[u8], ended: bool) -> bool {
    !ended || text.contains(&0)
}

/// Follows the chain from its beginning.
pub(super) fn check(bytes: &[u8], head: Option<&str>) -> AuditReport {
    let mut previous: Hash = [0; 32];
    let mut records = 0;
    let head = head.map(|head| (head.to_lowercase(), std::cell::Cell::new(false)));
    let report = |records, previous: &Hash, problem| AuditReport {
        seen: head.as_ref().map(|(_, seen)| seen.get()),
        records,
        head: hex(previous),
        problem,
    };
    for (start, text, ended) in read_lines(bytes) {
        let (record, offset) = (records + 1, start as u64);
        let last = start + text.len() + usize::from(ended) == bytes.len();
        let broken = |reason: String| AuditProblem::Broken {
            record,
            offset,
            reason,
        };
        let problem = match link(text).filter(|_| ended) {
            None if last && torn(text, ended) => AuditProblem::Torn {
                record,
                offset,
                bytes: (bytes.len() - start) as u64,
            },
            None => broken("is no record".to_owned()),
            Some(link) if !link.whole => broken("was changed: its hash is another's".to_owned()),
            Some(link) if link.number != record => {
                broken(format!("is missing: record {} stands there", link.number))
            }
            Some(link) if link.previous != previous => {
                broken("does not follow the record before it, which was changed".to_owned())
            }
            Some(link) => {
                previous = link.hash;
                records = record;
                if let Some((wanted, seen)) = &head
                    && *wanted == hex(&previous)
                {
                    seen.set(true);
                }
                continue;
            }
        };
        return report(records, &previous, Some(problem));
    }
    report(records, &previous, None)
}
