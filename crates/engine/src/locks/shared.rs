//! Locks on the keys of rows, which outlive the rows that they were taken of.

use roaring::RoaringBitmap;

use super::held::{Locks, RowGrant, Taken};
use super::modes::{RowMode, RowSpace};

impl Locks {
    /// Whether anybody has locked the key of a row.
    pub(super) fn has_shared(&mut self) -> bool {
        let shared = |grant: &RowGrant| grant.mode == RowMode::KeyShare;
        // Looked for only until there is none.
        self.has_shared = self.has_shared && self.rows.values().flatten().any(shared);
        self.has_shared
    }

    /// Which of some rows have keys that somebody has locked.
    pub(super) fn shared(&self, space: RowSpace, rows: &RoaringBitmap) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        for grant in self.rows.get(&space).into_iter().flatten() {
            if grant.mode == RowMode::KeyShare {
                found |= &grant.rows & rows;
            }
        }
        found
    }

    /// Whoever has locked a row's key has locked it where the row's next version is. Nobody is woken:
    /// who waits for the row waits for the one who has changed it.
    pub(super) fn follow(&mut self, from: (RowSpace, u32), to: (RowSpace, u32)) {
        let mut owners = Vec::new();
        let Some(grants) = self.rows.get_mut(&from.0) else {
            return;
        };
        for grant in grants.iter_mut() {
            if grant.mode == RowMode::KeyShare && grant.rows.remove(from.1) {
                owners.push(grant.owner);
            }
        }
        grants.retain(|grant| !grant.rows.is_empty());
        if grants.is_empty() {
            self.rows.remove(&from.0);
        }
        for owner in owners {
            let grants = self.rows.entry(to.0).or_default();
            let same =
                |known: &&mut RowGrant| known.owner == owner && known.mode == RowMode::KeyShare;
            match grants.iter_mut().find(same) {
                Some(known) => drop(known.rows.insert(to.1)),
                None => grants.push(RowGrant {
                    owner,
                    mode: RowMode::KeyShare,
                    rows: std::iter::once(to.1).collect(),
                }),
            }
            let taken = self.owners.get_mut(&owner).map(|known| &mut known.taken);
            for taken in taken.into_iter().flatten() {
                let Taken::Rows(RowMode::KeyShare, rows) = taken else {
                    continue;
                };
                if rows
                    .get_mut(&from.0)
                    .is_some_and(|rows| rows.remove(from.1))
                {
                    rows.entry(to.0).or_default().insert(to.1);
                }
            }
        }
    }
}
