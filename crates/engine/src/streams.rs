//! Rows as Arrow IPC streams, as records of the log have them.
//!
//! What a stream says of its columns costs more than a row of them, and is the same for every
//! stream of a table: it is written once, and copied.

use std::sync::Arc;

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
        }))
    }

    fn stream(&mut self, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
        *self.writer.get_mut() = self.begin.clone();
        for batch in batches {
            self.writer.write(batch)?;
        }
        let mut stream = std::mem::take(self.writer.get_mut());
        stream.extend_from_slice(&self.end);
        Ok(stream)
    }
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

    use arrow::array::{ArrayRef, Int64Array, StringViewArray};
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
        use arrow::datatypes::Field;
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
}
