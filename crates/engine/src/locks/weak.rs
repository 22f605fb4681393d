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
    pub(super) all: Mutex<Vec<Note>>,
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
        if all
            .iter()
            .any(|known| known.target == target && known.mode == mode)
        {
            return true;
        }
        let free = mode.is_weak() && strong.none(target);
        if free {
            let moved = false;
            all.push(Note {
                target,
                mode,
                moved,
            });
        }
        free
    }

    pub(super) fn holds(&self, target: LockTarget, covers: impl Fn(LockMode) -> bool) -> bool {
        let all = self.all.lock();
        all.iter()
            .any(|note| note.target == target && covers(note.mode))
    }

    pub(super) fn count(&self) -> usize {
        self.all.lock().len()
    }
}
