//! A hot part: rows in memory, in the order of their commits.

mod marked;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use roaring::RoaringBitmap;

use crate::error::ChunkError;
use crate::facts::{Facts, Lazy, rows_among};
use crate::layout::Layout;
use marked::{Gone, Marked};

/// Small batches are joined until they have this many rows.
const JOINED_ROWS_MAX: usize = 32_768;

/// Rows that wait in memory to be packed. Grows only at its end; rows that are deleted stay where
/// they are, marked, until they would be packed.
#[derive(Debug, Clone)]
pub struct HotPart {
    /// Shared by its versions, of which there is one a commit: what a commit does not touch is copied
    /// by nobody.
    pieces: Arc<Vec<Arc<Piece>>>,
    rows: usize,
    /// How many of them are deleted.
    gone: usize,
    bytes: usize,
    /// Another for each part whose first rows are others.
    generation: u64,
    /// Whose rows it counts, and how many of those have left it at the front.
    origin: u64,
    left: u64,
}

/// Rows that lie together.
#[derive(Debug, Clone)]
struct Piece {
    batch: RecordBatch,
    /// What is known of the batch, once somebody asked: of its deleted rows too.
    facts: Lazy,
    /// None as long as no row is deleted.
    marked: Option<Marked>,
}

impl Piece {
    /// A batch, some of whose rows are deleted.
    fn new(batch: RecordBatch, gone: Gone) -> Arc<Self> {
        Arc::new(Self {
            batch,
            facts: Lazy::default(),
            marked: Marked::of(gone),
        })
    }

    fn gone(&self) -> Option<&Gone> {
        self.marked.as_ref().map(Marked::rows)
    }

    fn gone_rows(&self) -> usize {
        let gone = self.gone().map_or(0, Gone::len);
        usize::try_from(gone).unwrap_or(usize::MAX)
    }

    /// The batch without deleted rows.
    fn live(&self) -> &RecordBatch {
        match &self.marked {
            Some(marked) => marked.live(&self.batch),
            None => &self.batch,
        }
    }
}

impl Default for HotPart {
    fn default() -> Self {
        Self {
            pieces: Arc::default(),
            rows: 0,
            gone: 0,
            bytes: 0,
            generation: next_generation(),
            origin: next_generation(),
            left: 0,
        }
    }
}

/// A mask of a batch's rows that are not deleted.
fn kept(gone: impl Iterator<Item = u32>, rows: usize) -> BooleanArray {
    let mut kept = vec![true; rows];
    for row in gone {
        if let Some(kept) = usize::try_from(row).ok().and_then(|row| kept.get_mut(row)) {
            *kept = false;
        }
    }
    BooleanArray::from(kept)
}

/// Bytes that a batch's rows take, as columns of their own: what they share with others of the
/// buffers that they came in counts as theirs alone.
#[must_use]
pub fn bytes_of(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

fn column_bytes(column: &ArrayRef) -> usize {
    let nulls = column.nulls().map_or(0, |_| column.len().div_ceil(8));
    let values = match column.data_type() {
        DataType::Boolean => column.len().div_ceil(8),
        DataType::Utf8View => {
            let views = column.as_string_view();
            views.len() * 16 + long_bytes(views.views())
        }
        DataType::BinaryView => {
            let views = column.as_binary_view();
            views.len() * 16 + long_bytes(views.views())
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let ends = list.value_offsets();
            let (first, last) = (ends.first().copied(), ends.last().copied());
            let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
            let (from, to) = (usize::try_from(first), usize::try_from(last));
            let items = match (from, to) {
                (Ok(from), Ok(to)) => list.values().slice(from, to.saturating_sub(from)),
                _ => Arc::clone(list.values()),
            };
            list.len() * 4 + column_bytes(&items)
        }
        ty => ty.primitive_width().map_or_else(
            || match ty {
                DataType::FixedSizeBinary(width) => {
                    column.len() * usize::try_from(*width).unwrap_or(0)
                }
                _ => 0,
            },
            |width| column.len() * width,
        ),
    };
    nulls + values
}

/// Bytes of the strings that do not lie in their views; the view's first four bytes are the length.
fn long_bytes(views: &[u128]) -> usize {
    let length = |view: &u128| usize::try_from(view & 0xffff_ffff).unwrap_or(0);
    views.iter().map(length).filter(|length| *length > 12).sum()
}

/// Texts and bytes whose buffers are many, or hold nothing, copied into a few: every copy of a row
/// would hold on to all of them, and batches that are joined to those of all their rows.
fn tidied(batch: RecordBatch) -> Result<RecordBatch, ChunkError> {
    if !batch.columns().iter().any(is_scattered) {
        return Ok(batch);
    }
    let columns = batch.columns().iter().map(|column| {
        let texts = column.as_string_view_opt().filter(|_| is_scattered(column));
        let bytes = column.as_binary_view_opt().filter(|_| is_scattered(column));
        match (texts, bytes) {
            (Some(texts), _) => Arc::new(texts.gc()) as ArrayRef,
            (_, Some(bytes)) => Arc::new(bytes.gc()) as ArrayRef,
            _ => Arc::clone(column),
        }
    });
    let columns = columns.collect();
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = batch.schema();
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

fn is_scattered(column: &ArrayRef) -> bool {
    /// Texts of many rows come in blocks.
    const ROWS_A_BUFFER: usize = 1024;
    let few = 1 + column.len() / ROWS_A_BUFFER;
    let scattered =
        |buffers: usize, views: &[u128]| buffers > few || (buffers > 0 && long_bytes(views) == 0);
    if let Some(texts) = column.as_string_view_opt() {
        return scattered(texts.data_buffers().len(), texts.views());
    }
    let bytes = column.as_binary_view_opt();
    bytes.is_some_and(|bytes| scattered(bytes.data_buffers().len(), bytes.views()))
}

pub(crate) fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A hot part as it was at one moment; later rows are not in it.
pub type HotSnapshot = HotPart;

impl HotPart {
    /// Adds the rows of a commit.
    ///
    /// A batch is joined with the one before it when that is not twice its size, so that n commits
    /// of one row each leave log n batches, and no row is copied more than log n times.
    ///
    /// # Errors
    /// When the batch has other columns.
    pub fn append(&mut self, batch: RecordBatch) -> Result<(), ChunkError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        self.rows += batch.num_rows();
        self.bytes += bytes_of(&batch);
        let batch = tidied(batch)?;
        let pieces = Arc::make_mut(&mut self.pieces);
        let (mut from, mut rows) = (pieces.len(), batch.num_rows());
        while let Some(before) = from.checked_sub(1).and_then(|at| pieces.get(at)) {
            let before = before.batch.num_rows();
            let joined = before + rows;
            if before > 2 * rows || joined > JOINED_ROWS_MAX {
                break;
            }
            (from, rows) = (from - 1, joined);
        }
        if from == pieces.len() {
            pieces.push(Piece::new(batch, Gone::default()));
            return Ok(());
        }
        // All in one go: each row is copied once, however many batches end here.
        let joined = pieces.split_off(from);
        let mut gone = Vec::new();
        let mut first = 0;
        for piece in &joined {
            let rows = piece.gone().into_iter().flat_map(Gone::iter);
            gone.extend(rows.map(|row| row + first));
            first += number(piece.batch.num_rows());
        }
        let known = joined.iter().map(|piece| (&piece.facts, &piece.batch));
        let facts = Lazy::joined(known, batch.num_rows());
        let all = joined.iter().map(|piece| &piece.batch).chain([&batch]);
        pieces.push(Arc::new(Piece {
            batch: tidied(concat_batches(batch.schema_ref(), all)?)?,
            facts,
            marked: Marked::of(gone.into_iter().collect()),
        }));
        Ok(())
    }

    /// Deletes rows, by their places in [`HotPart::all_batches`]; how many were there still.
    pub fn delete(&mut self, rows: &RoaringBitmap) -> u64 {
        let found = self.pieces_of(rows);
        let pieces = Arc::make_mut(&mut self.pieces);
        let mut count = 0;
        for (at, within) in found {
            let Some(piece) = pieces.get_mut(at) else {
                continue;
            };
            let before = piece.gone_rows();
            let more = rows.range(within.clone()).map(|row| row - within.start);
            let marked = match &piece.marked {
                Some(marked) => Some(marked.and(more)),
                None => Marked::of(more.collect()),
            };
            let next = Piece {
                batch: piece.batch.clone(),
                facts: piece.facts.clone(),
                marked,
            };
            count += next.gone_rows() - before;
            *piece = Arc::new(next);
        }
        self.gone += count;
        count as u64
    }

    /// The pieces that have any of some rows, and which rows are theirs: few rows need not be looked
    /// for in all of them.
    fn pieces_of(&self, rows: &RoaringBitmap) -> Vec<(usize, Range<u32>)> {
        let mut found = Vec::new();
        let (mut first, mut next) = (0u32, rows.min());
        for (at, piece) in self.pieces.iter().enumerate() {
            let Some(row) = next else {
                break;
            };
            let end = first.saturating_add(number(piece.batch.num_rows()));
            if row < end {
                found.push((at, first..end));
                next = rows.range(end..).next();
            }
            first = end;
        }
        found
    }

    /// The piece that has a row, by its place in [`HotPart::all_batches`], and its place in that.
    fn piece_of(&self, row: u32) -> Option<(&Piece, u32)> {
        let mut within = row;
        for piece in self.pieces.iter() {
            let rows = number(piece.batch.num_rows());
            if within < rows {
                return Some((piece, within));
            }
            within -= rows;
        }
        None
    }

    /// Whether a row is deleted, by its place in [`HotPart::all_batches`].
    #[must_use]
    pub fn is_deleted(&self, row: u32) -> bool {
        if self.gone == 0 {
            return false;
        }
        let gone = |(piece, within): (&Piece, u32)| piece.gone()?.contains(within).then_some(());
        self.piece_of(row).and_then(gone).is_some()
    }

    /// Which of some rows are deleted, by their places.
    #[must_use]
    pub fn deleted_among(&self, rows: &RoaringBitmap) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        if self.gone == 0 {
            return found;
        }
        for (at, within) in self.pieces_of(rows) {
            if let Some(gone) = self.pieces.get(at).and_then(|piece| piece.gone()) {
                let asked = rows.range(within.clone());
                found.extend(asked.filter(|row| gone.contains(row - within.start)));
            }
        }
        found
    }

    /// All deleted rows, by their places.
    #[must_use]
    pub fn deleted(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        let mut first = 0;
        for piece in self.pieces.iter() {
            let gone = piece.gone().into_iter().flat_map(Gone::iter);
            all.extend(gone.map(|row| row + first));
            first += number(piece.batch.num_rows());
        }
        all
    }

    /// Each batch that has any of some rows, its rows that are deleted, and the places of its first
    /// row and of the one behind its last.
    pub(crate) fn marked_among(
        &self,
        rows: &RoaringBitmap,
    ) -> impl Iterator<Item = (&RecordBatch, Option<&Gone>, Range<u32>)> {
        let pieces = self.pieces_of(rows).into_iter();
        pieces.filter_map(|(at, within)| {
            let piece = self.pieces.get(at)?;
            Some((&piece.batch, piece.gone(), within))
        })
    }

    /// A row, by its place in [`HotPart::all_batches`], deleted or not.
    #[must_use]
    pub fn row(&self, row: u32) -> Option<RecordBatch> {
        let (batch, within) = self.batch_of(row)?;
        Some(batch.slice(within, 1))
    }

    /// The batch that has a row, by its place in [`HotPart::all_batches`], and its place in that.
    #[must_use]
    pub fn batch_of(&self, row: u32) -> Option<(&RecordBatch, usize)> {
        let (piece, within) = self.piece_of(row)?;
        Some((&piece.batch, usize::try_from(within).ok()?))
    }

    /// What is in it now; free of cost, and never changed by what is appended later.
    #[must_use]
    pub fn snapshot(&self) -> HotSnapshot {
        self.clone()
    }

    /// Its rows, oldest first, without deleted ones.
    pub fn batches(&self) -> impl ExactSizeIterator<Item = &RecordBatch> + Clone {
        self.pieces.iter().map(|piece| piece.live())
    }

    /// Its rows, oldest first, deleted ones too.
    pub fn all_batches(&self) -> impl ExactSizeIterator<Item = &RecordBatch> + Clone {
        self.pieces.iter().map(|piece| &piece.batch)
    }

    /// Its batches, without deleted rows, and of each the rows among which are all that have some
    /// values; None for all of a batch's.
    pub(crate) fn asked(
        &self,
        layout: &Layout,
        equals: &[(usize, Vec<String>)],
    ) -> Vec<(RecordBatch, Option<UInt32Array>)> {
        let asked = self.pieces.iter().map(|piece| {
            match rows_among(layout, equals, &piece.batch, &piece.facts) {
                None => (piece.live().clone(), None),
                Some(mut rows) => {
                    let gone = piece.gone();
                    rows.retain(|row| gone.is_none_or(|gone| !gone.contains(*row)));
                    (piece.batch.clone(), Some(UInt32Array::from(rows)))
                }
            }
        });
        asked.collect()
    }

    /// Its batches with their deleted rows, and of each the live rows among which are all that have
    /// some values; None for all of a batch's.
    pub(crate) fn asked_places(
        &self,
        layout: &Layout,
        equals: &[(usize, Vec<String>)],
    ) -> impl Iterator<Item = (&RecordBatch, Option<Vec<u32>>)> {
        self.pieces.iter().map(move |piece| {
            let among = rows_among(layout, equals, &piece.batch, &piece.facts);
            let rows = match (among, piece.gone()) {
                (Some(mut rows), Some(gone)) => {
                    rows.retain(|row| !gone.contains(*row));
                    Some(rows)
                }
                (None, Some(gone)) => {
                    let kept = kept(gone.iter(), piece.batch.num_rows());
                    Some(kept.values().set_indices_u32().collect())
                }
                (rows, None) => rows,
            };
            (&piece.batch, rows)
        })
    }

    /// What is known of each batch, found out when it is first asked for.
    pub(crate) fn facts(&self, layout: &Layout) -> Vec<Arc<Facts>> {
        let known = self.pieces.iter();
        known
            .map(|piece| Arc::clone(piece.facts.of(layout, &piece.batch)))
            .collect()
    }

    /// The last of the times that its rows have or had: those of deleted ones too.
    pub(crate) fn last_time(&self, layout: &Layout) -> Option<i64> {
        let facts = self.facts(layout);
        let times = facts.iter().filter_map(|facts| facts.times);
        times.map(|(_, last)| last).max()
    }

    /// A number that two hot parts share only when the rows of one are the first rows of the other.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many rows it has that are not deleted.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows - self.gone
    }

    /// How many rows it has, deleted ones too.
    #[must_use]
    pub fn all_rows(&self) -> usize {
        self.rows
    }

    /// Whose rows it counts: two hot parts of one origin are one at two times.
    #[must_use]
    pub fn origin(&self) -> u64 {
        self.origin
    }

    /// How many rows of its origin have left it: its first row has this number.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Bytes of memory its columns take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same rows with other columns: each batch as `make` makes it, which keeps its rows in
    /// number and order.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn rebuilt<E>(
        &self,
        make: impl Fn(&RecordBatch) -> Result<RecordBatch, E>,
    ) -> Result<Self, E> {
        let pieces = self.pieces.iter().map(|piece| {
            let gone = piece.gone().cloned();
            Ok(Piece::new(make(&piece.batch)?, gone.unwrap_or_default()))
        });
        let pieces: Vec<_> = pieces.collect::<Result<_, E>>()?;
        Ok(Self {
            rows: self.rows,
            gone: self.gone,
            bytes: pieces.iter().map(|piece| bytes_of(&piece.batch)).sum(),
            pieces: Arc::new(pieces),
            generation: next_generation(),
            origin: self.origin,
            left: self.left,
        })
    }

    /// Takes away the first `rows` rows, deleted ones counted: they have become a cold part.
    ///
    /// # Panics
    /// When it has fewer: rows would be lost.
    #[must_use]
    pub fn without_first(&self, rows: usize) -> Self {
        // A flush that took rows which are not there would have written rows twice.
        assert!(rows <= self.rows, "{rows} of {} rows flushed", self.rows);
        let mut skip = rows;
        let mut left = Vec::new();
        for piece in self.pieces.iter() {
            let all = piece.batch.num_rows();
            if skip >= all {
                skip -= all;
                continue;
            }
            let first = number(skip);
            let gone = piece.gone().into_iter();
            let gone = gone.flat_map(|gone| gone.range(first..u32::MAX));
            let gone = gone.map(|row| row - first).collect();
            left.push(Piece::new(piece.batch.slice(skip, all - skip), gone));
            skip = 0;
        }
        Self {
            rows: self.rows - rows,
            gone: left.iter().map(|piece| piece.gone_rows()).sum(),
            bytes: left.iter().map(|piece| bytes_of(&piece.batch)).sum(),
            pieces: Arc::new(left),
            generation: next_generation(),
            origin: self.origin,
            left: self.left + rows as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::{Int64Array, StringViewArray, StringViewBuilder};
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn rows_that_come_one_by_one_share_their_buffers() {
        let schema = Schema::new(vec![Field::new("t", DataType::Utf8View, true)]);
        let schema = Arc::new(schema);
        let mut hot = HotPart::default();
        let mut texts = Vec::new();
        for row in 0..1000 {
            let text = match row % 2 {
                0 => format!("{row}"),
                _ => format!("a text that is longer than a view: {row}"),
            };
            let mut builder = StringViewBuilder::new();
            builder.append_value("a text that somebody else had in the same buffer");
            builder.append_value(&text);
            let column: ArrayRef = Arc::new(builder.finish().slice(1, 1));
            hot.append(RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap())
                .unwrap();
            texts.push(text);
        }
        let views = |batch: &RecordBatch| batch.column(0).as_string_view().clone();
        let buffers = |of: &StringViewArray| of.data_buffers().len();
        let all: Vec<StringViewArray> = hot.batches().map(views).collect();
        assert!(all.iter().all(|batch| buffers(batch) <= 1));
        let known = all.iter().flat_map(|batch| batch.iter().flatten());
        assert!(known.eq(texts.iter().map(String::as_str)));
    }

    #[test]
    fn deleted_rows_stay_so_while_batches_are_joined() {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        let schema = Arc::new(schema);
        let mut hot = HotPart::default();
        let mut gone: Vec<bool> = Vec::new();
        for step in 0..400_usize {
            let rows = 1 + step * 7919 % 5;
            let column: ArrayRef = Arc::new(Int64Array::from(vec![0; rows]));
            hot.append(RecordBatch::try_new(Arc::clone(&schema), vec![column]).unwrap())
                .unwrap();
            gone.resize(gone.len() + rows, false);
            if step % 3 == 0 {
                let places = [step * 31 % gone.len(), gone.len() - 1, gone.len() / 2];
                hot.delete(&places.iter().map(|&at| number(at)).collect());
                for at in places {
                    gone[at] = true;
                }
            }
            let told: Vec<bool> = (0..gone.len())
                .map(|at| hot.is_deleted(number(at)))
                .collect();
            assert_eq!(told, gone, "step {step}");
        }
    }
}
