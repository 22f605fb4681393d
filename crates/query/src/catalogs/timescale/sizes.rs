//! The views that TimescaleDB's size functions read, which monitoring reads too.

use chronolith_catalog::Chunk;

use super::{entries, internal};
use crate::catalogs::context::Context;
use crate::catalogs::objects;
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{NULL, Rows, count, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "hypertable_chunk_local_size" => chunks,
        "compressed_chunk_stats" => compressed,
        _ => return None,
    })
}

/// Bytes of a compressed chunk's parts, and of their rows as columns in memory.
fn packed_and_unpacked(chunk: &Chunk) -> (u64, u64) {
    let parts = || chunk.parts.iter();
    let packed = parts().map(|part| part.data.bytes + part.directory.bytes);
    (packed.sum(), parts().map(|part| part.unpacked).sum())
}

/// What is compressed is told apart from what is not. There are no index or TOAST bytes.
fn chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            let whole = (context.size)(entry.table.id, chunk.id).bytes;
            let packed = match chunk.compressed {
                true => packed_and_unpacked(chunk).0,
                false => 0,
            };
            let loose = count(whole.saturating_sub(packed));
            let packed = count(packed);
            rows.push(row![
                entry.schema,
                &entry.table.name,
                hypertable.id.0,
                chunk.id.0,
                internal(),
                chunk.name(hypertable.id),
                loose,
                loose,
                0,
                0,
                packed,
                packed,
                0,
                0,
            ]);
        }
    }
    Ok(())
}

/// Chunks of hypertables that may be compressed.
fn compressed<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let able = |entry: &super::Entry<'_>| entry.hypertable.compression.is_some();
    for entry in entries(context)?.filter(able) {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            let name = chunk.name(hypertable.id);
            if !chunk.compressed {
                rows.push(row![
                    entry.schema,
                    &entry.table.name,
                    internal(),
                    name,
                    "Uncompressed",
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                ]);
                continue;
            }
            let (packed, unpacked) = packed_and_unpacked(chunk);
            let (packed, unpacked) = (count(packed), count(unpacked));
            rows.push(row![
                entry.schema,
                &entry.table.name,
                internal(),
                name,
                "Compressed",
                unpacked,
                0,
                0,
                unpacked,
                packed,
                0,
                0,
                packed,
            ]);
        }
    }
    Ok(())
}
