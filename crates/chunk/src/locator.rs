//! Rows by where they lie: for as long as a view of the table is held, and no longer.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type};
use roaring::RoaringBitmap;

/// The name of the column that a scan puts locators into.
pub const LOCATOR_COLUMN: &str = "ctid";

/// The type of a column of locators.
#[must_use]
pub const fn locator_type() -> DataType {
    DataType::Decimal128(38, 0)
}

/// Where a row of a table's view lies. As a value of a column it is
/// `chunk << 64 | source << 32 | row`, so that its order is that of a scan's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locator {
    /// The chunk's number.
    pub chunk: u32,
    /// Which of the chunk's sources: 0 for committed rows in memory, 1 for the transaction's own,
    /// 2 and up for cold parts in the view's order.
    pub source: u32,
    /// The row within it, deleted ones counted.
    pub row: u32,
}

impl Locator {
    /// The source of hot rows that are committed.
    pub const HOT: u32 = 0;
    /// The source of hot rows of the reading transaction.
    pub const OWN: u32 = 1;
    /// The source of the first cold part.
    pub const COLD: u32 = 2;
}

impl From<Locator> for i128 {
    fn from(locator: Locator) -> Self {
        (Self::from(locator.chunk) << 64)
            | (Self::from(locator.source) << 32)
            | Self::from(locator.row)
    }
}

impl From<i128> for Locator {
    fn from(value: i128) -> Self {
        let low = |value: i128| u32::try_from(value & 0xffff_ffff).unwrap_or(0);
        Self {
            chunk: low(value >> 64),
            source: low(value >> 32),
            row: low(value),
        }
    }
}

/// Rows of a table's view; a few bits each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowSet {
    sources: BTreeMap<(u32, u32), RoaringBitmap>,
}

impl RowSet {
    /// Adds a row; false when it is there already.
    pub fn insert(&mut self, locator: i128) -> bool {
        let Locator { chunk, source, row } = locator.into();
        self.sources.entry((chunk, source)).or_default().insert(row)
    }

    /// Adds all locators of a column, which is one of [`locator_type`]; NULLs are of no row.
    pub fn insert_all(&mut self, locators: &dyn Array) {
        if let Some(column) = locators.as_primitive_opt::<Decimal128Type>() {
            for locator in column.iter().flatten() {
                self.insert(locator);
            }
        }
    }

    /// Whether a row is in it.
    #[must_use]
    pub fn contains(&self, locator: i128) -> bool {
        let Locator { chunk, source, row } = locator.into();
        let rows = self.sources.get(&(chunk, source));
        rows.is_some_and(|rows| rows.contains(row))
    }

    /// How many rows are in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.sources.values().map(RoaringBitmap::len).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sources.values().all(RoaringBitmap::is_empty)
    }

    /// Adds all rows of another.
    pub fn extend(&mut self, other: &Self) {
        for (source, rows) in &other.sources {
            *self.sources.entry(*source).or_default() |= rows;
        }
    }

    /// Takes all rows of another away.
    pub fn minus(&mut self, other: &Self) {
        for (source, rows) in &other.sources {
            if let Some(known) = self.sources.get_mut(source) {
                *known -= rows;
            }
        }
        self.sources.retain(|_, rows| !rows.is_empty());
    }

    /// The rows of each source, by chunk and source.
    pub fn sources(&self) -> impl Iterator<Item = ((u32, u32), &RoaringBitmap)> {
        self.sources.iter().map(|(source, rows)| (*source, rows))
    }

    /// Adds rows of a source.
    pub fn insert_rows(&mut self, chunk: u32, source: u32, rows: &RoaringBitmap) {
        *self.sources.entry((chunk, source)).or_default() |= rows;
    }

    /// Every row, in the order of their locators.
    pub fn iter(&self) -> impl Iterator<Item = i128> + '_ {
        self.sources.iter().flat_map(|((chunk, source), rows)| {
            let (chunk, source) = (*chunk, *source);
            rows.iter().map(move |row| {
                let locator = Locator { chunk, source, row };
                locator.into()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locator_is_what_it_was_and_a_set_takes_each_once() {
        let locator = Locator {
            chunk: 3,
            source: u32::MAX,
            row: 1 << 31,
        };
        let value = i128::from(locator);
        assert_eq!(Locator::from(value), locator);
        // It must fit the column's 38 digits.
        assert!(value < 10i128.pow(38));
        let mut set = RowSet::default();
        assert!(set.insert(value) && !set.insert(value) && set.contains(value));
        let mut other = RowSet::default();
        other.insert(7);
        other.extend(&set);
        assert_eq!(other.iter().collect::<Vec<_>>(), vec![7, value]);
        other.minus(&set);
        assert_eq!((other.len(), other.contains(value)), (1, false));
    }
}
