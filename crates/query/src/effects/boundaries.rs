//! Chunks merged and split.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;
use chronolith_catalog::Table;
use chronolith_engine::LockMode;
use chronolith_types::{ChunkId, SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::args::Args;
use super::chunks::{locked_chunk, point};
use crate::error::Error;
use crate::session::{Shared, blocking};

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The chunks that are named, in an array or one by one.
fn named(args: Args<'_>) -> Result<Vec<u32>, Error> {
    let none = || invalid("chunk to merge cannot be NULL");
    let Some(ScalarValue::List(chunks)) = args.get(0) else {
        let first = args.oid(0).ok_or_else(none)?;
        return Ok(vec![first, args.oid(1).ok_or_else(none)?]);
    };
    let chunks = chunks.value(0);
    let oids = chunks
        .as_primitive_opt::<UInt32Type>()
        .ok_or_else(|| Error::internal("an object's number of another form"))?;
    oids.iter().map(|oid| oid.ok_or_else(none)).collect()
}

/// `merge_chunks` and `merge_chunks_concurrently`: readers do not wait either way, writers do.
pub(super) fn merge(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let oids = named(args)?;
    if oids.len() < 2 {
        return Err(invalid("must specify at least two chunks to merge"));
    }
    let mut of: Option<Arc<Table>> = None;
    let mut chunks = Vec::with_capacity(oids.len());
    for oid in oids {
        let (table, chunk) = locked_chunk(shared, oid, LockMode::AccessExclusive)?;
        if of.as_ref().is_some_and(|of| of.id != table.id) {
            return Err(invalid("cannot merge chunks across different hypertables"));
        }
        if chunks.iter().any(|(id, _)| *id == chunk.id) {
            return Err(invalid("duplicate chunk arguments"));
        }
        chunks.push((chunk.id, chunk.range.start));
        of = Some(table);
    }
    // The earliest stays.
    chunks.sort_by_key(|(_, start)| *start);
    let ids: Vec<ChunkId> = chunks.into_iter().map(|(id, _)| id).collect();
    let Some(table) = of else {
        return Ok(ScalarValue::Null);
    };
    shared.transact(|transaction| transaction.merge_chunks(table.id, &ids))?;
    Ok(ScalarValue::Null)
}

/// `split_chunk`: where nobody says, in the middle.
pub(super) fn split(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let oid = args.oid(0);
    let oid = oid.ok_or_else(|| invalid("chunk cannot be NULL"))?;
    let (table, chunk) = locked_chunk(shared, oid, LockMode::AccessExclusive)?;
    let hypertable = table.hypertable.as_ref();
    let time = hypertable.and_then(|hypertable| table.column(hypertable.time));
    let ty = time.map_or(SqlType::Timestamptz(None), |column| column.ty.clone());
    let range = &chunk.range;
    let at = match args.get(1) {
        Some(at) => point(shared, at, &ty)?,
        None => range.start + (range.end - range.start) / 2,
    };
    if at <= range.start || at >= range.end {
        let number = hypertable.map(|h| h.id).unwrap_or_default();
        return Err(invalid(format!(
            "cannot split chunk \"{}\" at a point outside of its range",
            chunk.name(number)
        ))
        .hint("The point must lie between the chunk's range_start and range_end."));
    }
    blocking(|| shared.transact(|transaction| transaction.split_chunk(table.id, chunk.id, at)))?;
    Ok(ScalarValue::Null)
}
