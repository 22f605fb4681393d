//! The line of those who wait for one row.
//!
//! The row that was waited for is most often another when the wait is over: who has it looks again,
//! and would then stand in line with all those who have looked meanwhile. So the line goes on to the
//! row's next version as soon as that is there, and whoever is first in it keeps what it was given
//! until it has looked: one is woken for each version, and nobody is passed by.

use roaring::RoaringBitmap;

use super::held::{Locks, RowSet, Taken, Touched, What};
use super::modes::{RowMode, RowSpace};

impl Locks {
    /// Whether anybody waits for a row.
    pub(super) fn has_line(&self) -> bool {
        let mut wishes = self.wishes();
        wishes.any(|(_, wish)| matches!(wish.what, What::Rows { .. }))
    }

    /// Which of some rows are waited for.
    pub(super) fn wanted(&self, space: RowSpace, rows: &RoaringBitmap) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        for (_, wish) in self.wishes() {
            if let What::Rows { rows: wanted, .. } = &wish.what
                && let Some(wanted) = wanted.get(&space)
            {
                found |= wanted & rows;
            }
        }
        found
    }

    /// A row that somebody changes has a next version, which nobody sees yet: whoever waits for the
    /// one waits for the other instead, and who has changed it holds both. Who only waits for the
    /// change to be over still does.
    pub(super) fn follow_line(&mut self, from: (RowSpace, u32), to: (RowSpace, u32)) {
        let grants = self.rows.get(&from.0).into_iter().flatten();
        let mut changes = grants.filter(|grant| {
            matches!(grant.mode, RowMode::Changed | RowMode::Gone) && grant.rows.contains(from.1)
        });
        // Without such a one nobody would wake them.
        let Some((holder, mode)) = changes.next().map(|grant| (grant.owner, grant.mode)) else {
            return;
        };
        let mut followed = false;
        for owner in &self.waiting {
            let known = self.owners.get_mut(owner);
            if let Some(wish) = known.and_then(|known| known.wish.as_mut())
                && let What::Rows { mode, rows, .. } = &mut wish.what
                && *mode != RowMode::Settled
                && let Some(left) = rows.get_mut(&from.0)
                && left.remove(from.1)
            {
                if left.is_empty() {
                    rows.remove(&from.0);
                }
                rows.entry(to.0).or_default().insert(to.1);
                followed = true;
            }
        }
        if followed {
            self.grant_rows(holder, to.0, mode, std::iter::once(to.1).collect());
        }
    }

    /// Gives back what was taken since there was so much, but for the rows that were waited for last:
    /// those are kept until they are locked again, or let go.
    pub(super) fn look_again(&mut self, owner: u64, count: usize) {
        self.let_go(owner);
        if let Some(known) = self.owners.get_mut(&owner)
            && let Some((mode, won)) = known.won.take()
        {
            let mut kept = RowSet::new();
            for taken in known.taken.iter_mut().skip(count) {
                let Taken::Rows(of, rows) = taken else {
                    continue;
                };
                for (space, won) in won.iter().filter(|_| *of == mode) {
                    if let Some(rows) = rows.get_mut(space) {
                        let those = &*rows & won;
                        *rows -= &those;
                        *kept.entry(*space).or_default() |= those;
                    }
                }
            }
            kept.retain(|_, rows| !rows.is_empty());
            known.kept = (!kept.is_empty()).then_some((mode, kept));
        }
        self.release_taken(owner, count);
    }

    /// Which of some rows were kept, and are locked again.
    pub(super) fn take_kept(
        &mut self,
        owner: u64,
        space: RowSpace,
        mode: RowMode,
        rows: &RoaringBitmap,
    ) -> RoaringBitmap {
        let known = self.owners.get_mut(&owner);
        let kept = known.and_then(|known| known.kept.as_mut());
        let Some((_, kept)) = kept.filter(|kept| kept.0 == mode) else {
            return RoaringBitmap::new();
        };
        let Some(kept) = kept.get_mut(&space) else {
            return RoaringBitmap::new();
        };
        let those = &*kept & rows;
        *kept -= &those;
        those
    }

    /// What was kept and not locked again is others'. Who waits keeps nothing: one of those that it
    /// waits for may want that.
    pub(super) fn let_go(&mut self, owner: u64) {
        let kept = self
            .owners
            .get_mut(&owner)
            .and_then(|known| known.kept.take());
        let Some((mode, kept)) = kept else {
            return;
        };
        let mut touched = Touched::default();
        for (space, rows) in kept {
            self.drop_rows(owner, space, mode, &rows);
            touched.rows.insert(space);
        }
        self.settle(&touched);
    }

    /// Somebody who waits looks up.
    pub(super) fn wake(&self, owner: u64) {
        let known = self.owners.get(&owner);
        if let Some(wish) = known.and_then(|known| known.wish.as_ref()) {
            wish.woken.notify_one();
        }
    }
}
