//! Arrow columns becoming DataRow messages, in text or binary.
//!
//! Each column is looked at once for a batch; each value is then written straight into the
//! connection's buffer. Start at [`rows`].

mod binary;
mod cell;
pub(crate) mod text;

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};

use crate::backend::Column;
use crate::failure::Failure;
use cell::Cells;

/// UTC's offset at an instant (µs since 1970), in seconds east, as the session's zone has it.
pub type ZoneOffset = Arc<dyn Fn(i64) -> i32 + Send + Sync>;

/// How a session wants values written as text.
#[derive(Clone)]
pub struct OutputStyle {
    /// Of its time zone.
    pub zone: ZoneOffset,
    /// bytea_output = escape.
    pub bytea_escape: bool,
    /// extra_float_digits; above 0 the shortest exact text.
    pub extra_float_digits: i32,
}

impl Default for OutputStyle {
    fn default() -> Self {
        Self {
            zone: Arc::new(|_| 0),
            bytea_escape: false,
            extra_float_digits: 1,
        }
    }
}

impl fmt::Debug for OutputStyle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputStyle")
            .field("bytea_escape", &self.bytea_escape)
            .field("extra_float_digits", &self.extra_float_digits)
            .finish_non_exhaustive()
    }
}

/// One batch being sent, possibly over several Executes.
pub(crate) fn rows(
    out: &mut BytesMut,
    batch: &RecordBatch,
    range: std::ops::Range<usize>,
    columns: &[Column],
    binary: &[bool],
    style: &OutputStyle,
) -> Result<(), Failure> {
    if batch.num_columns() != columns.len() {
        return Err(Failure::new(
            chronolith_types::SqlState::INTERNAL_ERROR,
            format!(
                "a result has {} columns where {} were announced",
                batch.num_columns(),
                columns.len()
            ),
        ));
    }
    let cells = batch
        .columns()
        .iter()
        .zip(columns)
        .map(|(array, column)| Cells::new(array, &column.ty))
        .collect::<Result<Vec<_>, _>>()?;
    let width = i16::try_from(columns.len()).unwrap_or(i16::MAX);
    out.reserve(
        range
            .len()
            .saturating_mul(16 * columns.len() + 7)
            .min(1 << 20),
    );
    for row in range {
        out.put_u8(b'D');
        let start = out.len();
        out.put_i32(0);
        out.put_i16(width);
        for (index, cell) in cells.iter().enumerate() {
            if cell.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let at = out.len();
            out.put_i32(0);
            if binary.get(index).copied().unwrap_or(false) {
                cell.binary(out, row)?;
            } else {
                cell.text(out, row, style)?;
            }
            patch(out, at, out.len() - at - 4);
        }
        patch(out, start, out.len() - start);
    }
    Ok(())
}

/// Writes a length into the four bytes kept for it.
pub(crate) fn patch(out: &mut BytesMut, at: usize, length: usize) {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}
