//! Arrow columns becoming DataRow messages, in text or binary.
//!
//! Each column's type is looked at once for a batch; each value is then written straight into the
//! connection's buffer by the writers of `chronolith_types`. Start at [`rows`].

mod cell;

use arrow::record_batch::RecordBatch;
use bytes::BufMut;
use chronolith_types::TimeZone;

use crate::backend::Column;
use crate::failure::Failure;
use cell::Cells;

/// How a session wants values written as text.
#[derive(Debug, Clone, Copy)]
pub struct OutputStyle {
    /// Of timestamptz values.
    pub zone: TimeZone,
    /// bytea_output = escape.
    pub bytea_escape: bool,
    /// extra_float_digits; above 0 the shortest exact text.
    pub extra_float_digits: i32,
}

impl Default for OutputStyle {
    fn default() -> Self {
        Self {
            zone: TimeZone::Utc,
            bytea_escape: false,
            extra_float_digits: 1,
        }
    }
}

/// The rows of `range`, each as one message.
pub(crate) fn rows(
    out: &mut Vec<u8>,
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
    let mut cells = batch
        .columns()
        .iter()
        .zip(columns)
        .enumerate()
        .map(|(index, (array, column))| {
            let binary = binary.get(index).copied().unwrap_or(false);
            Ok((Cells::new(array, &column.ty)?, binary))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
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
        for (cell, binary) in &mut cells {
            if cell.is_null(row) {
                out.put_i32(-1);
                continue;
            }
            let at = out.len();
            out.put_i32(0);
            if *binary {
                cell.binary(out, row)?;
            } else {
                cell.text(out, row, style)?;
            }
            let length = out.len() - at - 4;
            patch(out, at, length);
        }
        let length = out.len() - start;
        patch(out, start, length);
    }
    Ok(())
}

/// Writes a length into the four bytes kept for it.
pub(crate) fn patch(out: &mut [u8], at: usize, length: usize) {
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    if let Some(slot) = out.get_mut(at..at + 4) {
        slot.copy_from_slice(&length.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
