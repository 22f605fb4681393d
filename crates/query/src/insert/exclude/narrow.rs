//! Which rows of a table may meet some others: by the columns that `=` compares.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::record_batch::RecordBatch;
use chronolith_chunk::{ChunkError, ScanRequest};
use chronolith_engine::{EngineError, TableView};
use chronolith_types::SqlType;

use super::super::keyed::Keyed;
use super::bound::Exclusion;
use super::lookup::Lookup;

/// More values are not looked for one by one.
const VALUES_MAX: usize = 1000;

/// Of keys that `=` compares those that are columns as they are, of texts whose bytes are the same
/// when they are equal, or of times: which key, and which column of the table.
pub(super) fn plain_of(equal: &[usize], keyed: &Keyed) -> Vec<(usize, usize)> {
    let told = |ty: &SqlType| {
        ty.is_text() || matches!(ty, SqlType::Timestamp(_) | SqlType::Timestamptz(_))
    };
    let plain = equal
        .iter()
        .filter(|key| keyed.types.get(**key).is_some_and(told))
        .map(|key| Some((*key, keyed.column_of(*key)?)));
    plain.flatten().collect()
}

impl Exclusion {
    /// Calls `take` with the rows of a view that may meet some others, as [`Keyed::scan`] does.
    pub(super) fn scan(
        &self,
        view: &TableView,
        others: &Lookup,
        mut take: impl FnMut(&RecordBatch, &[i128]) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        let mut request = ScanRequest::all(self.keyed.places.clone());
        narrow(
            &mut request,
            view.layout.time,
            &self.plain,
            &others.asked.values.columns,
        );
        self.keyed.scan_asked(view, request, |batch, locators| {
            let Some(rows) = self.alike(batch, others)? else {
                return take(batch, locators);
            };
            let some = take_record_batch(batch, &rows).map_err(ChunkError::from)?;
            let places = rows.values().iter();
            let locators = places.filter_map(|row| locators.get(*row as usize).copied());
            take(&some, &locators.collect::<Vec<_>>())
        })
    }

    /// The rows of a batch that `=` finds alike to some of a lookup; None where nothing is compared
    /// by it. What more is asked of rows costs more.
    fn alike(
        &self,
        batch: &RecordBatch,
        others: &Lookup,
    ) -> Result<Option<UInt32Array>, EngineError> {
        let Some((places, encoder)) = &self.equal else {
            return Ok(None);
        };
        let values = self.keyed.values(batch)?;
        let compared = places.iter().filter_map(|place| values.columns.get(*place));
        let compared: Vec<ArrayRef> = compared.cloned().collect();
        let keys = encoder.keys_of(&compared)?;
        let known = |key: Option<&[u8]>| key.is_some_and(|key| others.groups.contains_key(key));
        let alike = keys.iter().enumerate().filter(|(_, key)| known(*key));
        let rows = alike.filter_map(|(place, _)| u32::try_from(values.row(place)).ok());
        Ok(Some(UInt32Array::from_iter_values(rows)))
    }
}

/// Asks for rows alone that have in some columns what the keys beside them have: of texts the
/// values, of the time the first to the last.
fn narrow(
    request: &mut ScanRequest,
    time: Option<usize>,
    plain: &[(usize, usize)],
    keys: &[ArrayRef],
) {
    for (key, place) in plain {
        let Some(values) = keys.get(*key) else {
            continue;
        };
        if let Some(texts) = values.as_string_view_opt() {
            let mut known = BTreeSet::new();
            let few = texts.iter().flatten().all(|text| {
                known.insert(text);
                known.len() <= VALUES_MAX
            });
            if few {
                let known = known.into_iter().map(str::to_owned).collect();
                request.equals.push((*place, known));
            }
        } else if time == Some(*place)
            && let Some(times) = values.as_primitive_opt::<TimestampMicrosecondType>()
            && let Some(first) = times.iter().flatten().min()
            && let Some(end) = times
                .iter()
                .flatten()
                .max()
                .and_then(|last| last.checked_add(1))
        {
            request.time = first..end;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringViewArray, TimestampMicrosecondArray};

    use super::*;

    fn asked(texts: &[&str], times: &[i64]) -> ScanRequest {
        let texts: ArrayRef = Arc::new(StringViewArray::from(texts.to_vec()));
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()));
        let rooms: ArrayRef = Arc::new(Int32Array::from(vec![1; times.len()]));
        let mut request = ScanRequest::all(vec![0, 1, 2]);
        // The keys are the room, the name and the time; the table has the time first.
        let keys = [rooms, texts, times];
        narrow(&mut request, Some(0), &[(0, 2), (1, 1), (2, 0)], &keys);
        request
    }

    #[test]
    fn only_rows_with_a_statements_values_are_asked_for() {
        let request = asked(&["b", "a", "b"], &[30, 10, 20]);
        let wanted = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(request.equals, [(1, wanted)]);
        assert_eq!(request.time, 10..31);
    }

    #[test]
    fn what_is_too_much_to_tell_is_not_asked_for() {
        let names: Vec<String> = (0..=VALUES_MAX).map(|n| format!("n{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let request = asked(&names, &vec![i64::MAX; names.len()]);
        assert!(request.equals.is_empty());
        assert_eq!(request.time, i64::MIN..i64::MAX);
        // Few values of many rows are told.
        let request = asked(&vec!["a"; 3 * VALUES_MAX], &vec![5; 3 * VALUES_MAX]);
        assert_eq!(request.equals, [(1, vec!["a".to_owned()])]);
    }
}
