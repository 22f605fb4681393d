//! Functions that do something to a relation, and who may call them.

use chronolith_types::TableId;

use super::words::{called, not_owner, not_owner_of_hypertable};
use crate::error::Error;
use crate::session::Shared;

/// Functions whose first argument is the relation or chunk that they do something to.
const OF_OWNERS: &[&str] = &[
    "add_columnstore_policy",
    "add_compression_policy",
    "add_continuous_aggregate_policy",
    "add_dimension",
    "add_reorder_policy",
    "add_retention_policy",
    "attach_chunk",
    "attach_tablespace",
    "cagg_migrate",
    "compress_chunk",
    "convert_to_columnstore",
    "convert_to_rowstore",
    "create_hypertable",
    "decompress_chunk",
    "detach_chunk",
    "detach_tablespaces",
    "disable_chunk_skipping",
    "drop_chunks",
    "enable_chunk_skipping",
    "merge_chunks",
    "move_chunk",
    "recompress_chunk",
    "refresh_continuous_aggregate",
    "remove_columnstore_policy",
    "remove_compression_policy",
    "remove_continuous_aggregate_policy",
    "remove_reorder_policy",
    "remove_retention_policy",
    "reorder_chunk",
    "set_adaptive_chunking",
    "set_chunk_time_interval",
    "set_integer_now_func",
    "set_number_partitions",
    "set_partitioning_interval",
    "split_chunk",
];

/// Whether a function is one that the audit log is told of.
pub(crate) fn changes_what_exists(name: &str) -> bool {
    // These move rows, or tell of themselves.
    const OTHERS: &[&str] = &[
        "compress_chunk",
        "convert_to_columnstore",
        "convert_to_rowstore",
        "decompress_chunk",
        "drop_chunks",
        "recompress_chunk",
        "refresh_continuous_aggregate",
        "reorder_chunk",
    ];
    OF_OWNERS.contains(&name) && !OTHERS.contains(&name)
}

/// Looks whether the current role may call a function with that relation as its first argument.
///
/// # Errors
/// 42501 for somebody else's.
pub(crate) fn guard_call(shared: &Shared, name: &str, oid: Option<u32>) -> Result<(), Error> {
    let Some(oid) = oid.filter(|_| OF_OWNERS.contains(&name)) else {
        return Ok(());
    };
    let catalog = shared.catalog();
    let role = shared.role(&catalog)?;
    let home = shared.home()?;
    let id = TableId(oid);
    let id = match home.relation_owner(id) {
        Some(_) => id,
        None => {
            let has = |chunk: &chronolith_catalog::Chunk| chunk.oid == oid;
            let mut tables = home.tables.values();
            match tables.find(|table| table.chunks.values().any(|chunk| has(chunk))) {
                Some(table) => table.id,
                None => return Ok(()),
            }
        }
    };
    match home.relation_owner(id) {
        Some(owner) if !catalog.acts_as(role, owner) => {
            let (kind, relation) = called(&home, id);
            let hypertable = home.tables.get(&id);
            let hypertable = hypertable.is_some_and(|table| table.hypertable.is_some());
            Err(match hypertable {
                true => not_owner_of_hypertable(relation),
                false => not_owner(kind, relation),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_names_each_once() {
        assert!(OF_OWNERS.is_sorted());
    }
}
