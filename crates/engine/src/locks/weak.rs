//! Weak locks of tables, which every statement takes and which hardly ever stand in anybody's way:
//! each owner notes its own, and only who wants a strong one looks at what all have noted.
//!
//! # Invariants
//! - A weak lock is noted only while nobody has or wants a strong one of its kind, which is looked at
//!   under the notes' mutex. Who wants a strong one says so first, and then goes through all notes.
//! - A note that was gone through ([`Note::moved`]) is a grant among the others' as well.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use parking_lot::Mutex;

use super::modes::{LockMode, LockTarget};

/// Tables share these: that others wait without need is rare.
const KINDS: usize = 32;

/// How many have or want a strong lock, by kinds of tables.
#[derive(Debug, Default)]
pub(super) struct Strong([AtomicU32; KINDS]);

/// A weak lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) target: LockTarget,
    pub(super) mode: LockMode,
    /// It is a grant as well, made of this note.
    pub(super) moved: bool,
}

/// The weak locks of one owner, in order.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) pid: i32,
    pub(super) all: Mutex<Noted>,
}

/// Notes in order. A statement may lock thousands of chunks, so that none is looked for in the list.
#[derive(Debug, Default)]
pub(super) struct Noted {
    list: Vec<Note>,
    /// The bits of the modes that are noted of each target.
    modes: HashMap<LockTarget, u8>,
}

/// Those of all owners.
pub(super) type AllNotes = BTreeMap<u64, Arc<Notes>>;

impl LockMode {
    /// Those that get on with each other.
    pub(super) const fn is_weak(self) -> bool {
        matches!(
            self,
            Self::AccessShare | Self::RowShare | Self::RowExclusive
        )
    }

    /// Those that some weak one does not get on with.
    pub(super) const fn is_strong(self) -> bool {
        !self.is_weak() && !matches!(self, Self::ShareUpdateExclusive)
    }
}

impl Strong {
    fn of(&self, target: LockTarget) -> Option<&AtomicU32> {
        match target {
            LockTarget::Table { table, .. } => self.0.get(table.0 as usize % KINDS),
            _ => None,
        }
    }

    pub(super) fn add(&self, target: LockTarget) {
        if let Some(count) = self.of(target) {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn subtract(&self, target: LockTarget) {
        if let Some(count) = self.of(target) {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn none(&self, target: LockTarget) -> bool {
        let count = self.of(target);
        count.is_some_and(|count| count.load(Ordering::SeqCst) == 0)
    }
}

impl Notes {
    pub(super) fn new(pid: i32) -> Arc<Self> {
        let all = Mutex::default();
        Arc::new(Self { pid, all })
    }

    /// Notes a lock; false where it is to be had like any other.
    pub(super) fn take(&self, strong: &Strong, target: LockTarget, mode: LockMode) -> bool {
        let mut all = self.all.lock();
        if all.modes_of(target) & mode.bit() != 0 {
            return true;
        }
        let free = mode.is_weak() && strong.none(target);
        if free {
            all.push(target, mode);
        }
        free
    }

    pub(super) fn holds(&self, target: LockTarget, covers: impl Fn(LockMode) -> bool) -> bool {
        let modes = self.all.lock().modes_of(target);
        let mut all = LockMode::ALL.iter();
        all.any(|mode| modes & mode.bit() != 0 && covers(*mode))
    }

    pub(super) fn count(&self) -> usize {
        self.all.lock().list.len()
    }
}

impl Noted {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Note> {
        self.list.iter()
    }

    fn modes_of(&self, target: LockTarget) -> u8 {
        self.modes.get(&target).copied().unwrap_or(0)
    }

    fn push(&mut self, target: LockTarget, mode: LockMode) {
        *self.modes.entry(target).or_default() |= mode.bit();
        self.list.push(Note {
            target,
            mode,
            moved: false,
        });
    }

    /// The notes of one target.
    pub(super) fn of(&mut self, target: LockTarget) -> impl Iterator<Item = &mut Note> {
        let noted = self.modes.contains_key(&target);
        let list = if noted {
            self.list.as_mut_slice()
        } else {
            &mut []
        };
        list.iter_mut().filter(move |note| note.target == target)
    }

    /// Forgets all but the first, and gives those that were grants as well.
    pub(super) fn cut(&mut self, count: usize) -> Vec<Note> {
        let mut moved = Vec::new();
        for note in self.list.drain(count.min(self.list.len())..) {
            if let Some(modes) = self.modes.get_mut(&note.target) {
                *modes &= !note.mode.bit();
                if *modes == 0 {
                    self.modes.remove(&note.target);
                }
            }
            if note.moved {
                moved.push(note);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use chronolith_types::{DatabaseId, TableId};

    use super::*;

    fn target(table: u32) -> LockTarget {
        LockTarget::Table {
            database: DatabaseId(1),
            table: TableId(table),
        }
    }

    #[test]
    fn notes_that_are_cut_are_known_no_more() {
        let (notes, strong) = (Notes::new(1), Strong::default());
        let had = |table, mode| notes.holds(target(table), |held| held == mode);
        for table in 0..3000 {
            assert!(notes.take(&strong, target(table), LockMode::RowShare));
        }
        assert!(notes.take(&strong, target(7), LockMode::RowExclusive));
        assert!(notes.take(&strong, target(7), LockMode::RowShare));
        assert_eq!(notes.count(), 3001, "what is held is not noted again");
        for note in notes.all.lock().of(target(7)) {
            note.moved = true;
        }
        let gone = notes.all.lock().cut(3000);
        assert_eq!(gone.len(), 1);
        assert!(had(7, LockMode::RowShare) && !had(7, LockMode::RowExclusive));
        let gone = notes.all.lock().cut(0);
        assert_eq!(gone.len(), 1);
        assert!(!had(7, LockMode::RowShare) && !had(2999, LockMode::RowShare));
        assert_eq!(notes.count(), 0);
    }
}
