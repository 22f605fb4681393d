//! Chunks compressed and decompressed, all those of a statement together.

use std::sync::Arc;

use chronolith_catalog::{Change, Chunk, Table};
use chronolith_engine::LockMode;
use chronolith_types::{ChunkId, SqlState, TableId};
use datafusion::common::ScalarValue;

use super::args::Args;
use super::chunks::locked_chunk;
use crate::ddl::columnstore::automatic;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, blocking};

/// Which of the functions was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Compress,
    ConvertToColumnstore,
    Recompress,
    Decompress,
    ConvertToRowstore,
}

impl Call {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "compress_chunk" => Self::Compress,
            "convert_to_columnstore" => Self::ConvertToColumnstore,
            "recompress_chunk" => Self::Recompress,
            "decompress_chunk" => Self::Decompress,
            "convert_to_rowstore" => Self::ConvertToRowstore,
            _ => return None,
        })
    }

    fn packs(self) -> bool {
        !matches!(self, Self::Decompress | Self::ConvertToRowstore)
    }

    /// Functions give the chunk that they worked on, and NULL for NULL; procedures nothing.
    fn is_strict(self) -> bool {
        matches!(self, Self::Compress | Self::Decompress)
    }
}

/// One chunk of a call.
struct Item {
    table: Arc<Table>,
    chunk: Arc<Chunk>,
    /// A chunk that is as it should be is worth a notice, and no error.
    lenient: bool,
    again: bool,
}

pub(super) fn run(
    shared: &Arc<Shared>,
    call: Call,
    rows: &[Vec<ScalarValue>],
) -> Result<Vec<ScalarValue>, Error> {
    let mut items = Vec::with_capacity(rows.len());
    let mut answers = vec![ScalarValue::Null; rows.len()];
    for (row, answer) in rows.iter().zip(&mut answers) {
        let args = Args(row);
        if call.is_strict() && args.get(0).is_none() {
            continue;
        }
        let oid = args.need(args.oid(0), "chunk")?;
        let (table, chunk) = locked_chunk(shared, oid, LockMode::ShareUpdateExclusive)?;
        // What was not compressed is not decompressed, and is not named as such.
        if call.is_strict() && (call.packs() || chunk.compressed) {
            *answer = ScalarValue::UInt32(Some(oid));
        }
        items.push(Item {
            table,
            chunk,
            lenient: args.bool(1) != Some(false),
            again: call.packs() && args.bool(2) == Some(true),
        });
    }
    if call == Call::Recompress {
        shared.notice(
            Severity::Warning,
            Error::new(
                SqlState::new(b"01000"),
                "procedure public.recompress_chunk(regclass,boolean) is deprecated and the \
                 functionality is now included in public.compress_chunk. this compatibility \
                 function will be removed in a future version.",
            ),
        );
    }
    // Chunks and settings that nobody else sees yet wait for the transaction's end.
    let committed = shared.instance.engine.catalog();
    let settled = |item: &Item| {
        let known = committed.table(shared.database, item.table.id);
        known.is_some_and(|known| Arc::ptr_eq(known, &item.table))
    };
    let (now, later): (Vec<&Item>, Vec<&Item>) = items.iter().partition(|item| settled(item));
    for again in [false, true] {
        let group: Vec<&Item> = now.iter().filter(|i| i.again == again).copied().collect();
        at_once(shared, call, &group, again)?;
    }
    for item in later {
        at_commit(shared, call, item)?;
    }
    if call.packs() {
        enable(shared, &items)?;
    }
    Ok(answers)
}

fn at_once(shared: &Arc<Shared>, call: Call, items: &[&Item], again: bool) -> Result<(), Error> {
    if items.is_empty() {
        return Ok(());
    }
    let engine = Arc::clone(&shared.instance.engine);
    let database = shared.database;
    let chunks: Vec<(TableId, ChunkId)> = items.iter().map(|i| (i.table.id, i.chunk.id)).collect();
    if !call.packs() {
        // A chunk that is to be told of is to be told of before any is touched.
        for item in items {
            told(shared, call, item, item.chunk.compressed)?;
        }
        blocking(|| engine.decompress_chunks(database, &chunks))?;
        return Ok(());
    }
    let done = blocking(|| engine.compress_chunks(database, &chunks, again))?;
    for (item, done) in items.iter().zip(done) {
        told(shared, call, item, done)?;
    }
    Ok(())
}

/// A chunk that only this transaction sees as it is: marked now, packed once it is there.
fn at_commit(shared: &Arc<Shared>, call: Call, item: &Item) -> Result<(), Error> {
    let done = item.chunk.compressed != call.packs() || item.again;
    told(shared, call, item, done)?;
    if done {
        shared.change(Change::ReplaceParts {
            database: shared.database,
            table: item.table.id,
            chunk: item.chunk.id,
            removed: Vec::new(),
            added: Vec::new(),
            compressed: Some(call.packs()),
        })?;
    }
    if call.packs() {
        let of = (item.table.id, item.chunk.range.start);
        shared.with(|state| state.to_compress.push(of));
    }
    Ok(())
}

/// Says of a chunk that there was nothing to do, where that is so.
fn told(shared: &Arc<Shared>, call: Call, item: &Item, done: bool) -> Result<(), Error> {
    if done {
        return Ok(());
    }
    let hypertable = item.table.hypertable.as_ref();
    let id = hypertable.map(|h| h.id).unwrap_or_default();
    let state = match call.packs() {
        true => "already converted to columnstore",
        false => "not converted to columnstore",
    };
    let message = format!("chunk \"{}\" is {state}", item.chunk.name(id));
    let error = Error::new(SqlState::DUPLICATE_OBJECT, message);
    if !item.lenient {
        return Err(error);
    }
    shared.notice(Severity::Notice, error);
    Ok(())
}

/// A hypertable whose chunks are compressed has a columnstore, also where nobody said how.
fn enable(shared: &Arc<Shared>, items: &[Item]) -> Result<(), Error> {
    let mut seen: Vec<TableId> = Vec::new();
    for item in items {
        if seen.contains(&item.table.id) {
            continue;
        }
        seen.push(item.table.id);
        let hypertable = item.table.hypertable.as_ref();
        if hypertable.is_some_and(|hypertable| hypertable.compression.is_none()) {
            shared.change(Change::SetCompression {
                database: shared.database,
                table: item.table.id,
                compression: Some(automatic()),
            })?;
        }
    }
    Ok(())
}

/// Packs what a transaction marked that is committed now. A failure is told, but undoes nothing:
/// the rows are where they were.
pub(crate) fn after_commit(shared: &Arc<Shared>, marked: &[(TableId, i64)]) {
    let catalog = shared.instance.engine.catalog();
    let chunks: Vec<(TableId, ChunkId)> = marked
        .iter()
        .filter_map(|(table, start)| {
            let known = catalog.table(shared.database, *table)?;
            let chunk = known.chunk_at(*start).filter(|chunk| chunk.compressed)?;
            Some((*table, chunk.id))
        })
        .collect();
    let engine = Arc::clone(&shared.instance.engine);
    let packed = blocking(|| engine.compress_chunks(shared.database, &chunks, false));
    if let Err(error) = packed {
        shared.notice(Severity::Warning, error.into());
    }
}
