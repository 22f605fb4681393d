//! A batch's deleted rows.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use roaring::RoaringBitmap;

use super::kept;

/// So many deleted rows are told beside the others: each deletion of a row copies them all, and the
/// others once in so many.
const LATE_MAX: u64 = 128;

/// The places of a batch's deleted rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gone {
    /// Shared by the versions of the batch.
    early: Arc<RoaringBitmap>,
    /// Those that were deleted since; none of them is among the early ones.
    late: RoaringBitmap,
}

impl Gone {
    pub(crate) fn contains(&self, row: u32) -> bool {
        self.early.contains(row) || self.late.contains(row)
    }

    pub(crate) fn len(&self) -> u64 {
        self.early.len() + self.late.len()
    }

    fn is_empty(&self) -> bool {
        self.early.is_empty() && self.late.is_empty()
    }

    /// In no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        self.early.iter().chain(&self.late)
    }

    /// Those in a range, in no order.
    pub(super) fn range(&self, range: Range<u32>) -> impl Iterator<Item = u32> {
        let late = self.late.range(range.clone());
        self.early.range(range).chain(late)
    }

    /// With some more, which may be among them.
    fn and(&self, rows: impl Iterator<Item = u32>) -> Self {
        let mut more = self.clone();
        more.late
            .extend(rows.filter(|row| !self.early.contains(*row)));
        if more.late.len() > LATE_MAX {
            let late = std::mem::take(&mut more.late);
            *Arc::make_mut(&mut more.early) |= late;
        }
        more
    }
}

impl FromIterator<u32> for Gone {
    fn from_iter<I: IntoIterator<Item = u32>>(rows: I) -> Self {
        Self {
            early: Arc::new(rows.into_iter().collect()),
            late: RoaringBitmap::new(),
        }
    }
}

/// A batch's deleted rows, and what is left without them.
#[derive(Debug, Clone, Default)]
pub(super) struct Marked {
    rows: Gone,
    /// The batch without them, once somebody asked.
    live: OnceLock<RecordBatch>,
}

impl Marked {
    /// The deleted rows of a batch that are told; None of none.
    pub(super) fn of(rows: Gone) -> Option<Self> {
        (!rows.is_empty()).then(|| Self {
            rows,
            live: OnceLock::new(),
        })
    }

    pub(super) fn rows(&self) -> &Gone {
        &self.rows
    }

    /// With some more deleted rows.
    pub(super) fn and(&self, rows: impl Iterator<Item = u32>) -> Self {
        Self {
            rows: self.rows.and(rows),
            live: OnceLock::new(),
        }
    }

    /// The batch without these rows of it.
    pub(super) fn live(&self, batch: &RecordBatch) -> &RecordBatch {
        self.live.get_or_init(|| {
            let kept: BooleanArray = kept(self.rows.iter(), batch.num_rows());
            // A mask of the batch's own length fits every batch.
            filter_record_batch(batch, &kept).unwrap_or_else(|_| batch.slice(0, 0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_deleted_one_by_one_are_those_of_one_go() {
        let mut one_by_one = Gone::default();
        let mut known = RoaringBitmap::new();
        for step in 0..3000_u32 {
            // Some of them twice.
            let row = step * 7919 % 2000;
            let before = one_by_one.len();
            one_by_one = one_by_one.and(std::iter::once(row));
            assert_eq!(known.insert(row), one_by_one.len() > before, "{row}");
        }
        assert_eq!(one_by_one.len(), known.len());
        assert!((0..2001).all(|row| one_by_one.contains(row) == known.contains(row)));
        assert_eq!(one_by_one.iter().collect::<RoaringBitmap>(), known);
        let some: RoaringBitmap = one_by_one.range(100..700).collect();
        assert_eq!(some, known.range(100..700).collect());
        assert!(one_by_one.late.len() <= LATE_MAX);
    }
}
