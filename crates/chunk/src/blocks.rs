//! Columns of blocks of rows of parts, kept as they were read: who asks for one row after another by
//! their keys, as look-ups and updates of packed rows do, would unpack a page and decode half of it
//! for each of them.
//!
//! A block is read whole when a row of it is asked for the second time, so that rows which lie far
//! from each other cost no more than before. What is kept is of the whole process, and bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray};
use arrow::compute::concat;
use arrow::record_batch::RecordBatch;
use chronolith_types::{ColumnId, SqlType};
use parking_lot::Mutex;

use crate::cold::{ColdPart, Wanted};
use crate::error::ChunkError;
use crate::layout::Layout;

/// Rows of a block: those of a page.
const BLOCK_ROWS: u64 = 8 * 1024;

/// What is kept, bytes.
const KEPT_BYTES_MAX: usize = if cfg!(test) { 2 << 20 } else { 64 << 20 };

/// So many blocks are known to have been asked for once.
const ASKED_MAX: usize = 4096;

/// A column of a block of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct BlockOf {
    file: u64,
    block: u64,
    column: ColumnId,
}

#[derive(Debug)]
struct Kept {
    /// As which type it was read: a column's may change.
    ty: SqlType,
    /// One alone where all rows have the same, as those of a series have its names.
    values: ArrayRef,
    bytes: usize,
    /// Whether it was asked for since it was last passed over.
    used: bool,
}

/// What is kept. When there is no room, blocks are gone through in turn, and one that nobody asked
/// for since the last time goes.
#[derive(Debug, Default)]
struct Blocks {
    kept: HashMap<BlockOf, Kept>,
    turn: VecDeque<BlockOf>,
    bytes: usize,
    /// Blocks by file and number of which one row was asked for, and the same with the oldest first.
    asked: HashSet<(u64, u64)>,
    asked_in_turn: VecDeque<(u64, u64)>,
}

static BLOCKS: LazyLock<Mutex<Blocks>> = LazyLock::new(Mutex::default);

impl Blocks {
    fn find(&mut self, of: BlockOf, ty: &SqlType) -> Option<ArrayRef> {
        let kept = self.kept.get_mut(&of).filter(|kept| kept.ty == *ty)?;
        kept.used = true;
        Some(Arc::clone(&kept.values))
    }

    /// Whether a block was asked for before.
    fn ask(&mut self, file: u64, block: u64) -> bool {
        if !self.asked.insert((file, block)) {
            return true;
        }
        self.asked_in_turn.push_back((file, block));
        if self.asked_in_turn.len() > ASKED_MAX
            && let Some(oldest) = self.asked_in_turn.pop_front()
        {
            self.asked.remove(&oldest);
        }
        false
    }

    fn keep(&mut self, of: BlockOf, ty: &SqlType, values: &ArrayRef) {
        let values = &alike(values);
        let bytes = values.get_array_memory_size();
        if bytes > KEPT_BYTES_MAX / 8 {
            return;
        }
        let kept = Kept {
            ty: ty.clone(),
            values: Arc::clone(values),
            bytes,
            used: false,
        };
        match self.kept.insert(of, kept) {
            Some(before) => self.bytes -= before.bytes,
            None => self.turn.push_back(of),
        }
        self.bytes += bytes;
        while self.bytes > KEPT_BYTES_MAX {
            let Some(next) = self.turn.pop_front() else {
                break;
            };
            match self.kept.get_mut(&next) {
                Some(kept) if kept.used => {
                    kept.used = false;
                    self.turn.push_back(next);
                }
                _ => {
                    if let Some(gone) = self.kept.remove(&next) {
                        self.bytes -= gone.bytes;
                    }
                }
            }
        }
    }

    /// A file is not read any more.
    fn forget(&mut self, file: u64) {
        self.asked.retain(|(of, _)| *of != file);
        self.asked_in_turn.retain(|(of, _)| *of != file);
        self.turn.retain(|of| of.file != file);
        let mut gone = 0;
        self.kept.retain(|of, kept| {
            let stays = of.file != file;
            gone += if stays { 0 } else { kept.bytes };
            stays
        });
        self.bytes -= gone;
    }
}

/// Forgets what is kept of a file, once nobody reads it any more.
pub(crate) fn forget(file: u64) {
    BLOCKS.lock().forget(file);
}

/// Bytes that are kept of a file.
#[cfg(test)]
pub(crate) fn bytes_of(file: u64) -> usize {
    let blocks = BLOCKS.lock();
    let of_file = blocks.kept.iter().filter(|(of, _)| of.file == file);
    of_file.map(|(_, kept)| kept.bytes).sum()
}

/// A row of a part out of its block, in the order of `projection`; None where that is not worth while,
/// or the row is not there, and it is to be read like many.
///
/// # Errors
/// Those of reading it.
pub(crate) fn row(
    part: &ColdPart,
    layout: &Layout,
    projection: &[usize],
    row: u64,
) -> Result<Option<RecordBatch>, ChunkError> {
    if row >= part.all_rows() || projection.is_empty() {
        return Ok(None);
    }
    let file = part.file();
    let block = row / BLOCK_ROWS;
    let of = |place: &usize| {
        let column = layout.columns.get(*place)?;
        let of = BlockOf {
            file,
            block,
            column: column.id,
        };
        Some((of, &column.ty))
    };
    let Some(names) = projection.iter().map(of).collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let mut found: Vec<Option<ArrayRef>> = {
        let mut blocks = BLOCKS.lock();
        let found = names.iter().map(|(of, ty)| blocks.find(*of, ty));
        let found: Vec<_> = found.collect();
        if found.contains(&None) && !blocks.ask(file, block) {
            return Ok(None);
        }
        found
    };
    let missing: Vec<usize> = (0..found.len())
        .filter(|at| found.get(*at).is_some_and(Option::is_none))
        .collect();
    if !missing.is_empty() {
        let places = missing.iter().filter_map(|at| projection.get(*at).copied());
        let within = block * BLOCK_ROWS..((block + 1) * BLOCK_ROWS).min(part.all_rows());
        let read = whole(part, layout, &places.collect::<Vec<_>>(), within)?;
        let mut blocks = BLOCKS.lock();
        for (at, values) in missing.into_iter().zip(read) {
            if let (Some(found), Some((of, ty))) = (found.get_mut(at), names.get(at)) {
                blocks.keep(*of, ty, &values);
                *found = Some(values);
            }
        }
    }
    let Ok(within) = usize::try_from(row % BLOCK_ROWS) else {
        return Ok(None);
    };
    let there = |values: &ArrayRef| match values.len() {
        1 => Some(Arc::clone(values)),
        rows => (within < rows).then(|| values.slice(within, 1)),
    };
    let columns = found.iter().map(|values| values.as_ref().and_then(there));
    let Some(columns) = columns.collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let schema = layout.projected(projection);
    Ok(Some(RecordBatch::try_new(schema, columns)?))
}

/// One of a column's texts where all are alike, and short enough to lie in their views; else the column.
fn alike(values: &ArrayRef) -> ArrayRef {
    let Some(texts) = values.as_string_view_opt() else {
        return Arc::clone(values);
    };
    let short = |view: &u128| view & 0xffff_ffff <= 12;
    match texts.views().split_first() {
        Some((first, rest))
            if short(first) && texts.null_count() == 0 && rest.iter().all(|view| view == first) =>
        {
            // One of its own: a slice would hold on to all of them.
            Arc::new(StringViewArray::from_iter_values([texts.value(0)]))
        }
        _ => Arc::clone(values),
    }
}

/// Columns of all rows of a range, deleted ones too.
fn whole(
    part: &ColdPart,
    layout: &Layout,
    projection: &[usize],
    within: Range<u64>,
) -> Result<Vec<ArrayRef>, ChunkError> {
    let wanted = Wanted {
        projection,
        rows: Some(vec![within]),
        batch_rows: usize::try_from(BLOCK_ROWS).unwrap_or(usize::MAX),
        locate: None,
    };
    let batches = part.undeleted().read(layout, &wanted)?;
    let batches = batches.collect::<Result<Vec<_>, _>>()?;
    if let [batch] = batches.as_slice() {
        return Ok(batch.columns().to_vec());
    }
    let columns = (0..projection.len()).map(|at| {
        let pieces = batches.iter().filter_map(|batch| batch.columns().get(at));
        let pieces: Vec<&dyn Array> = pieces.map(AsRef::as_ref).collect();
        Ok(concat(&pieces)?)
    });
    columns.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn of_texts_that_are_alike_one_is_kept() {
        let texts =
            |texts: Vec<Option<&str>>| -> ArrayRef { Arc::new(StringViewArray::from(texts)) };
        let kept = alike(&texts(vec![Some("BTC"); 100]));
        assert_eq!((kept.len(), kept.as_string_view().value(0)), (1, "BTC"));
        assert!(kept.get_array_memory_size() < 500);
        assert_eq!(alike(&texts(vec![Some(""); 3])).len(), 1);
        let long = "a text that does not lie in its view";
        for others in [
            vec![Some("BTC"), Some("BTC"), Some("ETH")],
            vec![Some("BTC"), None, Some("BTC")],
            vec![None, None],
            vec![Some(long), Some(long)],
        ] {
            let others = texts(others);
            assert_eq!(&alike(&others), &others);
        }
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7, 7]));
        assert_eq!(alike(&numbers).len(), 2);
    }
}
