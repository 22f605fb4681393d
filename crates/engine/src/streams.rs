//! Rows as Arrow IPC streams, as records of the log have them.
//!
//! What a stream says of its columns costs more than a row of them, and is the same for every
//! stream of a table: it is written once, and copied. So is what it says of a batch of one row: that is
//! the same for every row of the same shape.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, downcast_primitive_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use arrow::record_batch::RecordBatch;

/// What columns of a stream begin at a multiple of: enough for every type, and a quarter of Arrow's
/// own, which would make a row of its own mostly padding.
const ALIGNMENT: usize = 16;

/// Streams of so many tables are known at once; the oldest is forgotten first.
const KNOWN_MAX: usize = 64;

/// The bytes that end a stream: a mark, and no length.
const END_BYTES: usize = 8;

/// Makes streams.
#[derive(Default)]
pub(crate) struct Streams {
    known: Vec<Known>,
}

/// Streams of one schema.
struct Known {
    schema: SchemaRef,
    writer: StreamWriter<Vec<u8>>,
    /// What each of them begins with, and ends with.
    begin: Vec<u8>,
    end: [u8; END_BYTES],
    /// The shape of the row that was written last, and what is said of a batch of such a row.
    last: Option<(Vec<usize>, Vec<u8>)>,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let known = self.known.len();
        f.debug_struct("Streams").field("known", &known).finish()
    }
}

fn begun(schema: &Schema) -> Result<StreamWriter<Vec<u8>>, ArrowError> {
    let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
    StreamWriter::try_new_with_options(Vec::new(), schema, options)
}

impl Known {
    /// None where a stream's batches depend on those before them.
    fn of(schema: &SchemaRef) -> Result<Option<Self>, ArrowError> {
        let fields = schema.flattened_fields();
        let keyed = |form: &DataType| matches!(form, DataType::Dictionary(..));
        if fields.iter().any(|field| keyed(field.data_type())) {
            return Ok(None);
        }
        let mut begin = begun(schema)?.into_inner()?;
        let Some((_, end)) = begin.split_last_chunk::<END_BYTES>() else {
            return Ok(None);
        };
        let end = *end;
        begin.truncate(begin.len() - END_BYTES);
        Ok(Some(Self {
            schema: Arc::clone(schema),
            writer: begun(schema)?,
            begin,
            end,
            last: None,
        }))
    }

    /// A stream of one row, if its columns are of the simpler kinds.
    fn row(&mut self, batch: &RecordBatch) -> Result<Option<Vec<u8>>, ArrowError> {
        let (mut shape, mut body, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        for column in batch.columns() {
            if column.is_null(0) {
                marks.push(body.len());
            }
            if !put_value(column, &mut shape, &mut body) {
                return Ok(None);
            }
        }
        if let Some((known, said)) = &self.last
            && *known == shape
        {
            let parts = [&self.begin, said.as_slice(), &body, &self.end];
            return Ok(Some(parts.concat()));
        }
        let stream = self.written(std::slice::from_ref(batch))?;
        let said = stream.get(self.begin.len()..).and_then(|batch| {
            // A mark, the length of what is said, that, and the body.
            let (head, _) = batch.get(4..)?.split_first_chunk::<4>()?;
            let length = 8 + usize::try_from(u32::from_le_bytes(*head)).ok()?;
            let (said, behind) = batch.split_at_checked(length)?;
            // The library is free to write a body otherwise: then it writes all of them. Of a bitmap
            // of one row only the first bit counts.
            let mut theirs = behind.strip_suffix(&self.end)?.to_vec();
            for at in &marks {
                let (theirs, ours) = (theirs.get_mut(*at)?, body.get(*at)?);
                *theirs = (*theirs & 1) | (*ours & !1);
            }
            (theirs == body).then_some(said)
        });
        self.last = said.map(|said| (shape, said.to_vec()));
        Ok(Some(stream))
    }

    fn stream(&mut self, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
        if let [batch] = batches
            && batch.num_rows() == 1
            && let Some(stream) = self.row(batch)?
        {
            return Ok(stream);
        }
        self.written(batches)
    }

    fn written(&mut self, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
        *self.writer.get_mut() = self.begin.clone();
        for batch in batches {
            self.writer.write(batch)?;
        }
        let mut stream = std::mem::take(self.writer.get_mut());
        stream.extend_from_slice(&self.end);
        Ok(stream)
    }
}

/// Puts the buffers of a column of one value behind a batch's body, as the library does, and into its
/// shape all that what is said of the batch depends on; false for a column of another kind.
fn put_value(column: &ArrayRef, shape: &mut Vec<usize>, body: &mut Vec<u8>) -> bool {
    let mut put = |bytes: &[u8]| {
        shape.push(bytes.len());
        body.extend_from_slice(bytes);
        body.resize(body.len().next_multiple_of(ALIGNMENT), 0);
    };
    // Where nothing is NULL there is no bitmap.
    match column.is_null(0) {
        true => put(&[0]),
        false => put(&[]),
    }
    match column.data_type() {
        DataType::Utf8View => {
            let texts = column.as_string_view();
            put(texts.views().inner());
            texts.data_buffers().iter().for_each(|buffer| put(buffer));
        }
        DataType::BinaryView => {
            let bytes = column.as_binary_view();
            put(bytes.views().inner());
            bytes.data_buffers().iter().for_each(|buffer| put(buffer));
        }
        _ => {
            let value = downcast_primitive_array!(
                column => column.values().inner(),
                _ => return false,
            );
            put(value);
        }
    }
    // How many there were, lest those of two columns be taken for one's.
    shape.push(shape.len());
    shape.push(usize::from(column.is_null(0)));
    true
}

impl Streams {
    /// A stream of some batches, which have the schema of the first of them.
    ///
    /// # Errors
    /// What the library finds wrong with them.
    pub(crate) fn stream(&mut self, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
        let schema = match batches.first() {
            Some(first) => first.schema_ref(),
            None => return Ok(Vec::new()),
        };
        let mut known = self.known.iter_mut();
        if let Some(known) = known.find(|known| Arc::ptr_eq(&known.schema, schema)) {
            return known.stream(batches);
        }
        // A table's schema is made anew when its parts change: the same columns as ever.
        let mut known = self.known.iter_mut();
        if let Some(known) = known.find(|known| known.schema == *schema) {
            known.schema = Arc::clone(schema);
            return known.stream(batches);
        }
        let Some(mut fresh) = Known::of(schema)? else {
            let mut writer = begun(schema)?;
            for batch in batches {
                writer.write(batch)?;
            }
            return writer.into_inner();
        };
        let stream = fresh.stream(batches)?;
        if self.known.len() >= KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push(fresh);
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::{
        BooleanArray, Date32Array, Decimal256Array, Int64Array, StringViewArray,
        TimestampMicrosecondArray,
    };
    use arrow::datatypes::Field;
    use arrow::ipc::reader::StreamReader;

    use super::*;

    fn rows(schema: &SchemaRef, first: i64, count: i64) -> RecordBatch {
        let numbers: Int64Array = (first..first + count).map(Some).collect();
        let texts: StringViewArray = (first..first + count)
            .map(|number| (number % 3 > 0).then(|| format!("a text of some length, {number}")))
            .collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(texts)];
        RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
    }

    #[test]
    fn streams_are_those_of_a_writer_of_their_own() {
        let schema = |number| {
            Arc::new(Schema::new(vec![
                Field::new(format!("n{number}"), DataType::Int64, false),
                Field::new("t", DataType::Utf8View, true),
            ]))
        };
        let mut streams = Streams::default();
        let schemas: Vec<SchemaRef> = (0..KNOWN_MAX + 3).map(schema).collect();
        for round in 0..3 {
            for schema in &schemas {
                let batches = [rows(schema, round, 1), rows(schema, 7, round + 2)];
                let stream = streams.stream(&batches).unwrap();
                let mut alone = begun(schema).unwrap();
                for batch in &batches {
                    alone.write(batch).unwrap();
                }
                assert_eq!(stream, alone.into_inner().unwrap());
                let read = StreamReader::try_new(stream.as_slice(), None).unwrap();
                let read: Vec<RecordBatch> = read.map(Result::unwrap).collect();
                assert_eq!(read, batches);
            }
        }
        assert_eq!(streams.known.len(), KNOWN_MAX);
        // One of the same columns is known.
        let known = streams.known.last().unwrap().begin.as_ptr();
        let again = schema(KNOWN_MAX + 2);
        streams.stream(&[rows(&again, 1, 1)]).unwrap();
        assert_eq!(streams.known.last().unwrap().begin.as_ptr(), known);
        assert!(Arc::ptr_eq(&streams.known.last().unwrap().schema, &again));
    }

    #[test]
    fn a_row_by_itself_is_written_as_the_library_writes_it() {
        let fields = vec![
            Field::new(
                "t",
                DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None),
                true,
            ),
            Field::new("s", DataType::Utf8View, true),
            Field::new("n", DataType::Decimal256(76, 20), true),
            Field::new("d", DataType::Date32, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let times: TimestampMicrosecondArray = (0..40).map(|n| (n % 5 > 0).then_some(n)).collect();
        let texts: StringViewArray = (0..40)
            .map(|n| match n % 4 {
                0 => None,
                1 => Some("short".to_owned()),
                // Of other lengths, so that rows have other shapes.
                _ => Some("a text that has a buffer of its own ".repeat(n % 3 + 1)),
            })
            .collect();
        let numbers: Decimal256Array = (0..40).map(|n| (n % 7 > 0).then(|| n.into())).collect();
        let numbers = numbers.with_precision_and_scale(76, 20).unwrap();
        // One without a bitmap of what is NULL.
        let days = Date32Array::from_iter_values(0..40);
        assert!(days.nulls().is_none());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(times),
            Arc::new(texts),
            Arc::new(numbers),
            Arc::new(days),
        ];
        let all = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        let mut streams = Streams::default();
        let mut copied = 0;
        for row in (0..40).chain(0..40) {
            let mut batch = all.slice(row, 1);
            if row % 2 == 0 {
                let texts = batch.column(1).as_string_view().gc();
                let mut columns = batch.columns().to_vec();
                columns[1] = Arc::new(texts);
                batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
            }
            let stream = streams.stream(std::slice::from_ref(&batch)).unwrap();
            let mut alone = begun(&schema).unwrap();
            alone.write(&batch).unwrap();
            let alone = alone.into_inner().unwrap();
            assert_eq!(stream.len(), alone.len(), "{row}");
            if batch
                .columns()
                .iter()
                .all(|column| column.null_count() == 0)
            {
                assert_eq!(stream, alone, "{row}");
            }
            let read = StreamReader::try_new(stream.as_slice(), None).unwrap();
            let read: Vec<RecordBatch> = read.map(Result::unwrap).collect();
            assert_eq!(read, [batch]);
            copied += usize::from(streams.known[0].last.is_some());
        }
        assert!(copied > 20, "{copied}");
        // Others are left to the library.
        let schema = Arc::new(Schema::new(vec![Field::new("b", DataType::Boolean, true)]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let batch = RecordBatch::try_new(schema, vec![flags]).unwrap();
        let stream = streams.stream(std::slice::from_ref(&batch)).unwrap();
        let mut read = StreamReader::try_new(stream.as_slice(), None).unwrap();
        assert_eq!(read.next().unwrap().unwrap(), batch);
    }
}
