//! Pages of a part's columns, unpacked by a context that the thread keeps: the library makes one for
//! packing and one for unpacking for each column of each row group, which takes longer than to unpack
//! a page.
//!
//! The library is told that columns packed with zstd are not packed at all, so that its pages come as
//! they lie in the file; here they are unpacked. A thread keeps the pages that it unpacked last for a
//! few rows: who looks up a row by its key compares the key, and then reads the row.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parquet::arrow::arrow_reader::RowGroups;
use parquet::basic::Compression;
use parquet::column::page::{Page, PageIterator, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;
use zstd::bulk::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

/// A file's metadata as the library is to see it, and which columns of which row groups are packed
/// with zstd.
#[derive(Debug, Clone)]
pub(crate) struct Unpacking {
    metadata: Arc<ParquetMetaData>,
    /// Of each column of each row group, one group after another.
    packed: Arc<[bool]>,
    /// Of this file alone, as long as the process lives.
    file: Arc<FileNumber>,
}

/// A file's number. What is kept of the file goes with it.
#[derive(Debug)]
struct FileNumber(u64);

impl Drop for FileNumber {
    fn drop(&mut self) {
        crate::blocks::forget(self.0);
    }
}

impl Unpacking {
    /// # Errors
    /// When the metadata cannot be put together again.
    pub(crate) fn new(metadata: ParquetMetaData) -> Result<Self> {
        let mut packed = Vec::new();
        let mut builder = metadata.into_builder();
        let mut groups = Vec::new();
        for group in builder.take_row_groups() {
            let mut columns = Vec::with_capacity(group.num_columns());
            for column in group.columns() {
                let zstd = matches!(column.compression(), Compression::ZSTD(_));
                packed.push(zstd);
                let column = column.clone();
                columns.push(match zstd {
                    true => column
                        .into_builder()
                        .set_compression(Compression::UNCOMPRESSED)
                        .build()?,
                    false => column,
                });
            }
            let group = group.into_builder().set_column_metadata(columns);
            groups.push(group.build()?);
        }
        static FILES: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            metadata: Arc::new(builder.set_row_groups(groups).build()),
            packed: packed.into(),
            file: Arc::new(FileNumber(FILES.fetch_add(1, Ordering::Relaxed))),
        })
    }

    /// The file's number.
    pub(crate) fn file(&self) -> u64 {
        self.file.0
    }

    /// What the library is told.
    pub(crate) fn metadata(&self) -> &Arc<ParquetMetaData> {
        &self.metadata
    }

    /// The pages of a column in a row group, which the thread is to keep or not; None where there is
    /// none.
    ///
    /// # Errors
    /// What the library finds wrong with the metadata.
    pub(crate) fn pages<R: ChunkReader + 'static>(
        &self,
        input: &Arc<R>,
        group: usize,
        leaf: usize,
        keep: bool,
    ) -> Result<Option<Pages<R>>> {
        let Some(rows) = self.metadata.row_groups().get(group) else {
            return Ok(None);
        };
        let Some(column) = rows.columns().get(leaf) else {
            return Ok(None);
        };
        let locations = self
            .metadata
            .offset_index()
            .and_then(|index| Some(index.get(group)?.get(leaf)?.page_locations().clone()))
            .filter(|pages| !pages.is_empty());
        let count = usize::try_from(rows.num_rows())?;
        let at = group
            .saturating_mul(rows.num_columns())
            .saturating_add(leaf);
        Ok(Some(Pages {
            inner: SerializedPageReader::new(Arc::clone(input), column, count, locations)?,
            packed: self.packed.get(at).copied().unwrap_or(false),
            keep,
            next: PageOf {
                file: self.file.0,
                column: at,
                number: 0,
            },
        }))
    }
}

/// Some row groups of a file.
pub(crate) struct Groups<R> {
    pub(crate) input: Arc<R>,
    pub(crate) of: Unpacking,
    pub(crate) numbers: Arc<[usize]>,
    /// A few of their rows are read, perhaps not for the last time.
    pub(crate) keep: bool,
}

impl<R: ChunkReader + 'static> RowGroups for Groups<R> {
    fn num_rows(&self) -> usize {
        let rows = self.row_groups().map(RowGroupMetaData::num_rows);
        usize::try_from(rows.sum::<i64>()).unwrap_or(0)
    }

    fn column_chunks(&self, leaf: usize) -> Result<Box<dyn PageIterator>> {
        Ok(Box::new(Chunks {
            input: Arc::clone(&self.input),
            of: self.of.clone(),
            numbers: Arc::clone(&self.numbers),
            next: 0,
            leaf,
            keep: self.keep,
        }))
    }

    fn row_groups(&self) -> Box<dyn Iterator<Item = &RowGroupMetaData> + '_> {
        let groups = self.of.metadata.row_groups();
        Box::new(self.numbers.iter().filter_map(|number| groups.get(*number)))
    }

    fn metadata(&self) -> &ParquetMetaData {
        &self.of.metadata
    }
}

/// A column in some row groups.
struct Chunks<R> {
    input: Arc<R>,
    of: Unpacking,
    numbers: Arc<[usize]>,
    next: usize,
    leaf: usize,
    keep: bool,
}

impl<R: ChunkReader + 'static> Iterator for Chunks<R> {
    type Item = Result<Box<dyn PageReader>>;

    fn next(&mut self) -> Option<Self::Item> {
        let group = *self.numbers.get(self.next)?;
        self.next += 1;
        let pages = self.of.pages(&self.input, group, self.leaf, self.keep);
        let pages = pages.transpose()?;
        Some(pages.map(|pages| Box::new(pages) as Box<dyn PageReader>))
    }
}

impl<R: ChunkReader + 'static> PageIterator for Chunks<R> {}

/// Which page of which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PageOf {
    file: u64,
    /// Counted through all row groups.
    column: usize,
    /// In the order in which they lie in the file, a dictionary first.
    number: usize,
}

/// Pages of a column in a row group.
pub(crate) struct Pages<R: ChunkReader> {
    inner: SerializedPageReader<R>,
    packed: bool,
    keep: bool,
    next: PageOf,
}

impl<R: ChunkReader> Iterator for Pages<R> {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl<R: ChunkReader> PageReader for Pages<R> {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.next;
        self.next.number += 1;
        match self.inner.get_next_page()? {
            Some(packed) if self.packed => unpacked(packed, self.keep.then_some(page)).map(Some),
            page => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.next.number += 1;
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}

fn unpacked(page: Page, of: Option<PageOf>) -> Result<Page> {
    Ok(match page {
        Page::DataPage {
            buf,
            num_values,
            encoding,
            def_level_encoding,
            rep_level_encoding,
            statistics,
        } => Page::DataPage {
            buf: kept(of, &buf, 0)?,
            num_values,
            encoding,
            def_level_encoding,
            rep_level_encoding,
            statistics,
        },
        Page::DataPageV2 {
            buf,
            num_values,
            encoding,
            num_nulls,
            num_rows,
            def_levels_byte_len,
            rep_levels_byte_len,
            is_compressed: true,
            statistics,
        } => {
            // The levels lie before the values, and are not packed.
            let levels = u64::from(def_levels_byte_len) + u64::from(rep_levels_byte_len);
            Page::DataPageV2 {
                buf: kept(of, &buf, usize::try_from(levels)?)?,
                num_values,
                encoding,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed: true,
                statistics,
            }
        }
        Page::DictionaryPage {
            buf,
            num_values,
            encoding,
            is_sorted,
        } => Page::DictionaryPage {
            buf: kept(of, &buf, 0)?,
            num_values,
            encoding,
            is_sorted,
        },
        page @ Page::DataPageV2 { .. } => page,
    })
}

/// What a thread keeps of pages that it unpacked, bytes; a page that takes more than a part of that
/// is not kept.
const KEPT_BYTES_MAX: usize = 1 << 20;
const KEPT_PAGE_BYTES_MAX: usize = KEPT_BYTES_MAX / 4;
/// How many: they are searched one by one.
const KEPT_MAX: usize = 16;

/// The pages that a thread unpacked last, the newest first.
#[derive(Default)]
struct Kept {
    pages: VecDeque<(PageOf, Bytes)>,
    bytes: usize,
}

impl Kept {
    fn find(&self, of: PageOf) -> Option<Bytes> {
        let found = self.pages.iter().find(|(page, _)| *page == of);
        found.map(|(_, bytes)| bytes.clone())
    }

    fn keep(&mut self, of: PageOf, bytes: &Bytes) {
        if bytes.len() > KEPT_PAGE_BYTES_MAX {
            return;
        }
        self.pages.push_front((of, bytes.clone()));
        self.bytes += bytes.len();
        while self.pages.len() > KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            let Some((_, oldest)) = self.pages.pop_back() else {
                return;
            };
            self.bytes -= oldest.len();
        }
    }
}

thread_local! {
    static CONTEXT: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// A page unpacked, now or, if it is to be kept, a moment ago.
fn kept(of: Option<PageOf>, bytes: &Bytes, from: usize) -> Result<Bytes> {
    let Some(of) = of else {
        return unpack(bytes, from);
    };
    if let Some(found) = KEPT.with_borrow(|kept| kept.find(of)) {
        return Ok(found);
    }
    let unpacked = unpack(bytes, from)?;
    KEPT.with_borrow_mut(|kept| kept.keep(of, &unpacked));
    Ok(unpacked)
}

/// Bytes behind an offset unpacked, and those before it as they are.
fn unpack(bytes: &Bytes, from: usize) -> Result<Bytes> {
    /// A page's header gives its size in 31 bits.
    const BYTES_MAX: u64 = i32::MAX as u64;
    let wrong = |what: &str| ParquetError::General(format!("a page packed with zstd: {what}"));
    let (before, packed) = bytes
        .split_at_checked(from)
        .ok_or_else(|| wrong("it is shorter than its levels"))?;
    if packed.is_empty() {
        return Ok(bytes.clone());
    }
    let size = get_frame_content_size(packed).ok().flatten();
    let size = size.filter(|size| *size <= BYTES_MAX);
    let size = size.ok_or_else(|| wrong("it does not say its size"))?;
    let size = usize::try_from(size)?;
    let mut into = Vec::new();
    into.try_reserve_exact(from.saturating_add(size))
        .map_err(|_| wrong("there is no memory for it"))?;
    into.extend_from_slice(before);
    let mut cursor = Cursor::new(&mut into);
    cursor.set_position(from as u64);
    let written = CONTEXT.with_borrow_mut(|context| {
        let context = match context {
            Some(context) => context,
            None => context.insert(Decompressor::new()?),
        };
        context.decompress_to_buffer(packed, &mut cursor)
    })?;
    match written == size {
        true => Ok(Bytes::from(into)),
        false => Err(wrong("it is not as long as it says")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn what_was_packed_comes_back_behind_what_was_not() {
        let text: Vec<u8> = (0..10_000u32).flat_map(u32::to_le_bytes).collect();
        let packed = zstd::bulk::compress(&text, 3).unwrap();
        let got = unpack(&Bytes::from(packed.clone()), 0).unwrap();
        assert_eq!(&got[..], &text[..]);
        let with_levels: Bytes = [&[1, 2, 3][..], &packed].concat().into();
        let got = unpack(&with_levels, 3).unwrap();
        assert_eq!((&got[..3], &got[3..]), (&[1, 2, 3][..], &text[..]));
        assert_eq!(unpack(&Bytes::new(), 0).unwrap(), Bytes::new());
        let nothing = zstd::bulk::compress(&[], 3).unwrap();
        assert!(unpack(&nothing.into(), 0).unwrap().is_empty());
    }

    #[test]
    fn a_page_is_unpacked_once_while_it_is_among_the_last() {
        let page = |number| PageOf {
            file: u64::MAX,
            column: 3,
            number,
        };
        let packed = |byte: u8| Bytes::from(zstd::bulk::compress(&[byte; 5000], 3).unwrap());
        let kept = |of, packed: &Bytes| kept(Some(of), packed, 0);
        let first = kept(page(0), &packed(7)).unwrap();
        // Had it been unpacked again, it would be other bytes.
        let again = kept(page(0), &packed(8)).unwrap();
        assert_eq!((first.as_ptr(), again[0]), (again.as_ptr(), 7));
        for other in [
            PageOf { file: 0, ..page(0) },
            PageOf {
                column: 4,
                ..page(0)
            },
            page(1),
        ] {
            assert_eq!(kept(other, &packed(9)).unwrap()[0], 9);
        }
        for number in 2..=KEPT_MAX {
            kept(page(number), &packed(1)).unwrap();
        }
        assert_eq!(kept(page(0), &packed(8)).unwrap()[0], 8);
        // However large they are, no more is kept than is allowed.
        let large = vec![5; KEPT_PAGE_BYTES_MAX];
        for number in 100..110 {
            let large = Bytes::from(zstd::bulk::compress(&large, 3).unwrap());
            kept(page(number), &large).unwrap();
        }
        KEPT.with_borrow(|kept| {
            let bytes: usize = kept.pages.iter().map(|(_, page)| page.len()).sum();
            assert_eq!((kept.bytes, kept.bytes <= KEPT_BYTES_MAX), (bytes, true));
        });
        let larger = vec![6; KEPT_PAGE_BYTES_MAX + 1];
        let larger = Bytes::from(zstd::bulk::compress(&larger, 3).unwrap());
        kept(page(200), &larger).unwrap();
        assert!(KEPT.with_borrow(|kept| kept.find(page(200))).is_none());
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let packed = zstd::bulk::compress(&[7; 5000], 3).unwrap();
        for length in 0..packed.len() {
            let cut = Bytes::copy_from_slice(&packed[..length]);
            assert!(length == 0 || unpack(&cut, 0).is_err(), "{length}");
        }
        for at in 0..packed.len() {
            let mut bytes = packed.clone();
            bytes[at] ^= 0x55;
            // It may well be unpacked to something else, but never beyond what it says.
            let _ = unpack(&bytes.into(), 0);
        }
        assert!(unpack(&packed.into(), 9999).is_err());
    }
}
