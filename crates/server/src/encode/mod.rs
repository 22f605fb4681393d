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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

    use super::*;
    use arrow::datatypes::{IntervalMonthDayNano, i256};

    fn written(write: impl FnOnce(&mut BytesMut)) -> String {
        let mut out = BytesMut::new();
        write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn floats_are_laid_out_as_postgresql_does() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.25e300, "1.25e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(written(|out| text::float8(out, value, 1)), text);
        }
        assert_eq!(written(|out| text::float8(out, 0.1 + 0.2, 0)), "0.3");
        assert_eq!(written(|out| text::float4(out, 1e6, 1)), "1e+06");
    }

    #[test]
    fn numerics_show_their_scale_in_text_and_binary() {
        assert_eq!(written(|out| text::decimal(out, -5, 8)), "-0.00000005");
        assert_eq!(
            written(|out| text::decimal(out, 18_715_000_000, 8)),
            "187.15000000"
        );
        let scale = i256::from_i128(10_i128.pow(36));
        let code = i256::from_i128(-3)
            .wrapping_mul(scale)
            .wrapping_mul(i256::from_i128(64));
        let code = code.wrapping_add(i256::from_i128(2));
        assert_eq!(written(|out| text::any_numeric(out, code)), "-3.00");
        let mut out = BytesMut::new();
        binary::decimal(&mut out, 1_234_567_800, 4);
        // 123456.78 of scale 4: groups 12, 3456, 7800.
        assert_eq!(
            out.as_ref(),
            [0, 3, 0, 1, 0, 0, 0, 4, 0, 12, 0x0d, 0x80, 0x1e, 0x78]
        );
    }

    #[test]
    fn times_before_christ_and_intervals_of_mixed_sign_are_readable() {
        assert_eq!(written(|out| text::date(out, -719_163)), "0001-12-31 BC");
        let zone: ZoneOffset = Arc::new(|_| 20_700);
        assert_eq!(
            written(|out| text::timestamp(out, 1_500_000, Some(&zone))),
            "1970-01-01 05:45:01.5+05:45"
        );
        let value = IntervalMonthDayNano::new(14, -3, 3_600_000_000_000);
        assert_eq!(
            written(|out| text::interval(out, value)),
            "1 year 2 mons -3 days +01:00:00"
        );
    }
}
