//! A cold part's series: where each lies in the file, and between which times.

use std::io;

use chronolith_platform::{Disk, RelPath, write_unnamed};
use chronolith_types::ColumnId;
use serde::{Deserialize, Serialize};

use crate::error::ChunkError;
use crate::layout::Layout;

const VERSION: u32 = 1;
const ZSTD_LEVEL: i32 = 3;
const UNPACKED_BYTES_MAX: usize = 1 << 30;

/// What a part knows of its series, in the order of its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Directory {
    version: u32,
    /// The segment-by columns that its rows were sorted by. A table's may be others since.
    #[serde(default)]
    pub columns: Vec<ColumnId>,
    /// The order of the rows of a series, as it was then.
    #[serde(default)]
    pub order: Vec<Order>,
    /// The series.
    pub series: Vec<Series>,
}

/// A column of the order within a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The column.
    pub column: ColumnId,
    /// Greatest first.
    pub descending: bool,
    /// NULLs first.
    pub nulls_first: bool,
}

/// One series of a part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Series {
    /// The segment-by columns' values as text; None is NULL.
    pub values: Vec<Option<String>>,
    /// Its first row.
    pub start: u64,
    /// How many rows it has.
    pub rows: u64,
    /// First and last time; None without a time column.
    pub times: Option<(i64, i64)>,
}

impl Directory {
    /// A directory of the series of rows that were sorted as a layout says.
    #[must_use]
    pub fn new(layout: &Layout, series: Vec<Series>) -> Self {
        Self {
            version: VERSION,
            columns: columns_of(layout),
            order: order_of(layout),
            series,
        }
    }

    /// Whether its rows are sorted as a layout says: by the same columns, in the same order.
    #[must_use]
    pub fn is_sorted_as(&self, layout: &Layout) -> bool {
        self.columns == columns_of(layout) && self.order == order_of(layout)
    }

    /// Where a column's value is among those of a series; None for a column that makes none.
    #[must_use]
    pub fn place_of(&self, column: ColumnId) -> Option<usize> {
        self.columns.iter().position(|known| *known == column)
    }

    /// Writes it; its length and checksum. Its name is safe once the caller has synced its
    /// directory.
    pub(crate) fn write(&self, disk: &dyn Disk, path: &RelPath) -> Result<(u64, u32), ChunkError> {
        let bytes = self.encode().map_err(|source| ChunkError::Directory {
            file: path.to_string(),
            source,
        })?;
        write_unnamed(disk, path, &bytes).map_err(|source| ChunkError::Io {
            action: "write",
            file: path.to_string(),
            source,
        })?;
        Ok((bytes.len() as u64, crc32c(&bytes)))
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let text = serde_json::to_vec(self)?;
        zstd::bulk::compress(&text, ZSTD_LEVEL)
    }

    /// From bytes whose checksum has matched.
    pub(crate) fn decode(bytes: &[u8], path: &RelPath) -> Result<Self, ChunkError> {
        let unpack = || -> io::Result<Self> {
            let text = zstd::bulk::decompress(bytes, UNPACKED_BYTES_MAX)?;
            Ok(serde_json::from_slice(&text)?)
        };
        unpack().map_err(|source| ChunkError::Directory {
            file: path.to_string(),
            source,
        })
    }
}

fn columns_of(layout: &Layout) -> Vec<ColumnId> {
    let places = layout.segment_by.iter();
    let columns = places.filter_map(|place| layout.columns.get(*place));
    columns.map(|column| column.id).collect()
}

fn order_of(layout: &Layout) -> Vec<Order> {
    let orders = layout.order_by.iter().filter_map(|order| {
        let column = layout.columns.get(order.column)?.id;
        Some(Order {
            column,
            descending: order.descending,
            nulls_first: order.nulls_first,
        })
    });
    orders.collect()
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn example() -> Directory {
        let series = vec![
            Series {
                values: vec![Some("binance".to_owned()), Some("BTCUSDT".to_owned())],
                start: 0,
                rows: 3,
                times: Some((1_740_960_000_000_000, 1_740_960_000_000_002)),
            },
            Series {
                values: vec![Some("okx".to_owned()), None],
                start: 3,
                rows: 1,
                times: Some((1_740_960_000_000_001, 1_740_960_000_000_001)),
            },
        ];
        Directory {
            version: VERSION,
            columns: vec![ColumnId(2), ColumnId(3)],
            order: vec![Order {
                column: ColumnId(1),
                descending: false,
                nulls_first: false,
            }],
            series,
        }
    }

    #[test]
    fn the_documented_directory_is_read() {
        let bytes: Vec<u8> = include_str!("../../../fixtures/formats/chunk/v1.hex")
            .split_whitespace()
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let path = RelPath::new("parts/000000000001.series").unwrap();
        assert_eq!(Directory::decode(&bytes, &path).unwrap(), example());
        let again = example().encode().unwrap();
        assert_eq!(Directory::decode(&again, &path).unwrap(), example());
    }

    #[test]
    #[ignore = "writes the example of docs/formats/chunk.md"]
    fn bless_the_documented_directory() {
        let hex: Vec<String> = example()
            .encode()
            .unwrap()
            .chunks(32)
            .map(|line| {
                line.iter()
                    .map(|b| format!("{b:02x}"))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../fixtures/formats/chunk/v1.hex"
        );
        std::fs::write(path, hex.join("\n") + "\n").unwrap();
    }
}
