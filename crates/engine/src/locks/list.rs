//! All locks as `pg_locks` lists them.

use super::held::{Locks, What};
use super::modes::{LockMode, LockTarget};

/// What a lock is on, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockedThing {
    /// A thing by itself.
    Target(LockTarget),
    /// Rows and keys stand for the transaction whose they are: who wants one waits for it to end.
    Transaction(u64),
}

/// One lock, held or waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Locked {
    /// What is locked.
    pub thing: LockedThing,
    /// How.
    pub mode: LockMode,
    /// By which process; 0 where there is none.
    pub pid: i32,
    /// By which locker.
    pub owner: u64,
    /// Held, not waited for.
    pub granted: bool,
    /// Since when it waits, µs since 1970.
    pub since_us: Option<i64>,
}

impl Locks {
    pub(super) fn list(&self) -> Vec<Locked> {
        let mut found = Vec::new();
        for (target, grants) in &self.objects {
            for grant in grants {
                let held = grant.transaction | grant.session;
                for mode in LockMode::ALL {
                    if held & mode.bit() != 0 {
                        found.push(self.held(grant.owner, LockedThing::Target(*target), mode));
                    }
                }
            }
        }
        for (owner, notes) in &self.notes {
            for note in notes.all.lock().iter().filter(|note| !note.moved) {
                found.push(Locked {
                    thing: LockedThing::Target(note.target),
                    mode: note.mode,
                    pid: notes.pid,
                    owner: *owner,
                    granted: true,
                    since_us: None,
                });
            }
        }
        for (owner, known) in &self.owners {
            if known.has_sets() {
                let own = LockedThing::Transaction(*owner);
                found.push(self.held(*owner, own, LockMode::Exclusive));
            }
            let Some(wish) = &known.wish else { continue };
            let (thing, mode) = match &wish.what {
                What::Object { target, mode, .. } => (LockedThing::Target(*target), *mode),
                What::Rows { .. } | What::Keys { .. } => {
                    let whose = self.first_in_way(*owner);
                    (LockedThing::Transaction(whose), LockMode::Share)
                }
            };
            found.push(Locked {
                granted: false,
                since_us: Some(wish.since_us),
                ..self.held(*owner, thing, mode)
            });
        }
        found.sort_by_key(|lock| (lock.pid, lock.owner, !lock.granted));
        found
    }

    fn held(&self, owner: u64, thing: LockedThing, mode: LockMode) -> Locked {
        Locked {
            thing,
            mode,
            pid: self.owners.get(&owner).map_or(0, |known| known.pid),
            owner,
            granted: true,
            since_us: None,
        }
    }
}
