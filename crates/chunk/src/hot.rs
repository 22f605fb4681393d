//! A hot part: rows in memory, in the order of their commits.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::DataType;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use roaring::RoaringBitmap;

use crate::error::ChunkError;
use crate::facts::{Facts, Lazy, rows_among};
use crate::layout::Layout;

/// Small batches are joined until they have this many rows.
const JOINED_ROWS_MAX: usize = 32_768;

/// So few rows are marked one by one.
const FEW: u64 = 64;

/// Rows that wait in memory to be packed. Grows only at its end; rows that are deleted stay where
/// they are, marked, until they would be packed.
#[derive(Debug, Clone)]
pub struct HotPart {
    batches: Arc<Vec<RecordBatch>>,
    /// What is known of each batch, once somebody asked: of its deleted rows too.
    facts: Arc<Vec<Lazy>>,
    /// None as long as no row is deleted.
    gone: Option<Arc<Gone>>,
    rows: usize,
    bytes: usize,
    /// Another for each part whose first rows are others.
    generation: u64,
    /// Whose rows it counts, and how many of those have left it at the front.
    origin: u64,
    left: u64,
}

/// Deleted rows of a hot part.
#[derive(Debug, Default)]
struct Gone {
    /// Of each batch.
    of: Vec<Option<Arc<Marked>>>,
    count: usize,
    /// All batches without them.
    live: OnceLock<Vec<RecordBatch>>,
}

/// A batch's deleted rows.
#[derive(Debug)]
struct Marked {
    rows: RoaringBitmap,
    /// The batch without them, once somebody asked.
    live: OnceLock<RecordBatch>,
}

impl Default for HotPart {
    fn default() -> Self {
        Self {
            batches: Arc::default(),
            facts: Arc::default(),
            gone: None,
            rows: 0,
            bytes: 0,
            generation: next_generation(),
            origin: next_generation(),
            left: 0,
        }
    }
}

impl Marked {
    fn new(rows: RoaringBitmap) -> Option<Arc<Self>> {
        (!rows.is_empty()).then(|| {
            Arc::new(Self {
                rows,
                live: OnceLock::new(),
            })
        })
    }

    /// A batch without these rows of it.
    fn live(&self, batch: &RecordBatch) -> RecordBatch {
        let filtered = self.live.get_or_init(|| {
            let kept = kept(&self.rows, batch.num_rows());
            // A mask of the batch's own length fits every batch.
            filter_record_batch(batch, &kept).unwrap_or_else(|_| batch.slice(0, 0))
        });
        filtered.clone()
    }
}

impl Gone {
    fn of(marks: Vec<Option<Arc<Marked>>>) -> Option<Arc<Self>> {
        let count = marks.iter().flatten().map(|marked| marked.rows.len());
        let count = usize::try_from(count.sum::<u64>()).unwrap_or(usize::MAX);
        (count > 0).then(|| {
            Arc::new(Self {
                of: marks,
                count,
                live: OnceLock::new(),
            })
        })
    }
}

/// A mask of a batch's rows that are not deleted.
pub(crate) fn kept(gone: &RoaringBitmap, rows: usize) -> BooleanArray {
    let mut kept = vec![true; rows];
    for row in gone {
        if let Some(kept) = usize::try_from(row).ok().and_then(|row| kept.get_mut(row)) {
            *kept = false;
        }
    }
    BooleanArray::from(kept)
}

/// The members of a set between two numbers, counted from the first of these.
fn between(rows: &RoaringBitmap, from: u32, to: u32) -> RoaringBitmap {
    rows.range(from..to).map(|row| row - from).collect()
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
        let batches = Arc::make_mut(&mut self.batches);
        let facts = Arc::make_mut(&mut self.facts);
        let mut marks = self.gone.take().map(|gone| gone.of.clone());
        let (mut from, mut rows) = (batches.len(), batch.num_rows());
        while let Some(before) = from.checked_sub(1).and_then(|at| batches.get(at)) {
            let joined = before.num_rows() + rows;
            if before.num_rows() > 2 * rows || joined > JOINED_ROWS_MAX {
                break;
            }
            (from, rows) = (from - 1, joined);
        }
        // All in one go: each row is copied once, however many batches end here.
        let joined = batches.split_off(from);
        let known = facts.split_off(from);
        let mut mark: Option<RoaringBitmap> = None;
        if let Some(marks) = &mut marks {
            let mut first = 0;
            for (marked, batch) in marks.split_off(from).into_iter().zip(&joined) {
                if let Some(marked) = marked {
                    let rows = marked.rows.iter().map(|row| row + first);
                    mark.get_or_insert_default().extend(rows);
                }
                first += number(batch.num_rows());
            }
        }
        let last = match joined.first() {
            Some(one) => tidied(concat_batches(
                &one.schema(),
                joined.iter().chain([&batch]),
            )?)?,
            None => batch,
        };
        let added = last.num_rows() - joined.iter().map(RecordBatch::num_rows).sum::<usize>();
        batches.push(last);
        facts.push(Lazy::joined(known.iter().zip(&joined), added));
        if let Some(mut marks) = marks {
            marks.push(mark.and_then(Marked::new));
            self.gone = Gone::of(marks);
        }
        Ok(())
    }

    /// Deletes rows, by their places in [`HotPart::all_batches`]; how many were there still.
    pub fn delete(&mut self, rows: &RoaringBitmap) -> u64 {
        let mut marks = match &self.gone {
            Some(gone) => gone.of.clone(),
            None => vec![None; self.batches.len()],
        };
        let mut count = 0;
        for (at, within) in self.batches_of(rows) {
            let Some(mark) = marks.get_mut(at) else {
                continue;
            };
            let mut known = match mark {
                Some(marked) => marked.rows.clone(),
                None => RoaringBitmap::new(),
            };
            let before = known.len();
            match rows.range_cardinality(within.clone()) <= FEW {
                true => known.extend(rows.range(within.clone()).map(|row| row - within.start)),
                false => known |= between(rows, within.start, within.end),
            }
            count += known.len() - before;
            *mark = Marked::new(known);
        }
        self.gone = Gone::of(marks);
        count
    }

    /// The batches that have any of some rows, and which rows are theirs: few rows need not be looked
    /// for in all batches.
    fn batches_of(&self, rows: &RoaringBitmap) -> Vec<(usize, Range<u32>)> {
        let mut found = Vec::new();
        let (mut first, mut next) = (0u32, rows.min());
        for (at, batch) in self.batches.iter().enumerate() {
            let Some(row) = next else {
                break;
            };
            let end = first.saturating_add(number(batch.num_rows()));
            if row < end {
                found.push((at, first..end));
                next = rows.range(end..).next();
            }
            first = end;
        }
        found
    }

    /// Whether a row is deleted, by its place in [`HotPart::all_batches`].
    #[must_use]
    pub fn is_deleted(&self, row: u32) -> bool {
        let Some(gone) = &self.gone else {
            return false;
        };
        let mut first = 0;
        for (batch, mark) in self.batches.iter().zip(&gone.of) {
            let end = first + number(batch.num_rows());
            if row < end {
                return mark
                    .as_ref()
                    .is_some_and(|marked| marked.rows.contains(row - first));
            }
            first = end;
        }
        false
    }

    /// Which of some rows are deleted, by their places.
    #[must_use]
    pub fn deleted_among(&self, rows: &RoaringBitmap) -> RoaringBitmap {
        let mut found = RoaringBitmap::new();
        let Some(gone) = &self.gone else {
            return found;
        };
        for (at, within) in self.batches_of(rows) {
            if let Some(Some(marked)) = gone.of.get(at) {
                let asked = rows.range(within.clone());
                found.extend(asked.filter(|row| marked.rows.contains(row - within.start)));
            }
        }
        found
    }

    /// All deleted rows, by their places.
    #[must_use]
    pub fn deleted(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        let Some(gone) = &self.gone else {
            return all;
        };
        let mut first = 0;
        for (batch, mark) in self.batches.iter().zip(&gone.of) {
            if let Some(marked) = mark {
                all.extend(marked.rows.iter().map(|row| row + first));
            }
            first += number(batch.num_rows());
        }
        all
    }

    /// Each batch that has any of some rows, its rows that are deleted, and the places of its first
    /// row and of the one behind its last.
    pub(crate) fn marked_among(
        &self,
        rows: &RoaringBitmap,
    ) -> impl Iterator<Item = (&RecordBatch, Option<&RoaringBitmap>, Range<u32>)> {
        let batches = self.batches_of(rows).into_iter();
        batches.filter_map(|(at, within)| {
            let deleted = self.mark(at).map(|marked| &marked.rows);
            Some((self.batches.get(at)?, deleted, within))
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
        let mut within = usize::try_from(row).ok()?;
        for batch in self.batches.iter() {
            if within < batch.num_rows() {
                return Some((batch, within));
            }
            within -= batch.num_rows();
        }
        None
    }

    /// What is in it now; free of cost, and never changed by what is appended later.
    #[must_use]
    pub fn snapshot(&self) -> HotSnapshot {
        self.clone()
    }

    /// Its rows, oldest first, without deleted ones.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        let Some(gone) = &self.gone else {
            return &self.batches;
        };
        gone.live.get_or_init(|| {
            let batches = self.batches.iter().zip(&gone.of);
            let live = batches.map(|(batch, mark)| match mark {
                Some(marked) => marked.live(batch),
                None => batch.clone(),
            });
            live.collect()
        })
    }

    /// Its rows, oldest first, deleted ones too.
    #[must_use]
    pub fn all_batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Its batches, without deleted rows, and of each the rows among which are all that have some
    /// values; None for all of a batch's.
    pub(crate) fn asked(
        &self,
        layout: &Layout,
        equals: &[(usize, Vec<String>)],
    ) -> Vec<(RecordBatch, Option<UInt32Array>)> {
        let known = self.batches.iter().zip(self.facts.iter()).enumerate();
        let asked = known.map(|(at, (batch, lazy))| {
            let marked = self.mark(at);
            match (rows_among(layout, equals, batch, lazy), marked) {
                (None, None) => (batch.clone(), None),
                (None, Some(marked)) => (marked.live(batch), None),
                (Some(mut rows), marked) => {
                    rows.retain(|row| marked.is_none_or(|marked| !marked.rows.contains(*row)));
                    (batch.clone(), Some(UInt32Array::from(rows)))
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
        let known = self.batches.iter().zip(self.facts.iter()).enumerate();
        known.map(move |(at, (batch, lazy))| {
            let gone = self.mark(at).map(|marked| &marked.rows);
            let rows = match (rows_among(layout, equals, batch, lazy), gone) {
                (Some(mut rows), Some(gone)) => {
                    rows.retain(|row| !gone.contains(*row));
                    Some(rows)
                }
                (None, Some(gone)) => {
                    let kept = kept(gone, batch.num_rows());
                    Some(kept.values().set_indices_u32().collect())
                }
                (rows, None) => rows,
            };
            (batch, rows)
        })
    }

    /// The deleted rows of a batch.
    fn mark(&self, at: usize) -> Option<&Arc<Marked>> {
        self.gone.as_ref()?.of.get(at)?.as_ref()
    }

    /// What is known of each batch, found out when it is first asked for.
    pub(crate) fn facts(&self, layout: &Layout) -> Vec<Arc<Facts>> {
        let known = self.batches.iter().zip(self.facts.iter());
        known
            .map(|(batch, lazy)| Arc::clone(lazy.of(layout, batch)))
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
        self.rows - self.gone.as_ref().map_or(0, |gone| gone.count)
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
        let batches: Vec<RecordBatch> = self.batches.iter().map(make).collect::<Result<_, E>>()?;
        let marks = self.gone.iter().flat_map(|gone| &gone.of);
        let marks = marks.map(|mark| Marked::new(mark.as_ref()?.rows.clone()));
        Ok(Self {
            rows: self.rows,
            bytes: batches.iter().map(bytes_of).sum(),
            facts: Arc::new(batches.iter().map(|_| Lazy::default()).collect()),
            gone: Gone::of(marks.collect()),
            batches: Arc::new(batches),
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
        let (mut kept, mut marks) = (Vec::new(), Vec::new());
        for (at, batch) in self.batches.iter().enumerate() {
            if skip >= batch.num_rows() {
                skip -= batch.num_rows();
                continue;
            }
            marks.push(match (self.mark(at), skip) {
                (Some(marked), 0) => Some(Arc::clone(marked)),
                (Some(marked), _) => Marked::new(between(&marked.rows, number(skip), u32::MAX)),
                (None, _) => None,
            });
            kept.push(batch.slice(skip, batch.num_rows() - skip));
            skip = 0;
        }
        let bytes = kept.iter().map(bytes_of).sum();
        Self {
            rows: self.rows - rows,
            bytes,
            facts: Arc::new(kept.iter().map(|_| Lazy::default()).collect()),
            batches: Arc::new(kept),
            gone: Gone::of(marks),
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
        let all: Vec<StringViewArray> = hot.batches().iter().map(views).collect();
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
