//! How large things are.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::{Chunk, Database, Part, Table};
use chronolith_chunk::{ChunkView, HotPart};
use chronolith_engine::{Isolation, TableView};
use chronolith_types::{DatabaseId, SqlState, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, bigint, records, text};
use crate::ddl::hypertable::{not_hypertable, table_of};
use crate::error::Error;
use crate::session::Shared;

/// Bytes of a chunk: its parts on disk and its rows in memory.
fn chunk_bytes(chunk: &ChunkView) -> u64 {
    let cold: u64 = chunk.cold.iter().map(|part| part.bytes()).sum();
    let hot: usize = chunk.hot.iter().map(HotPart::bytes).sum();
    cold + hot as u64
}

fn table_bytes(view: &TableView) -> u64 {
    view.chunks
        .iter()
        .map(|(_, chunk)| chunk_bytes(chunk))
        .sum()
}

pub(super) fn call(shared: &Arc<Shared>, name: &str, args: Args<'_>) -> Result<ScalarValue, Error> {
    match name {
        "pg_database_size" => return database_size(shared, args),
        "pg_tablespace_size" => return tablespace_size(shared, args),
        "hypertable_index_size" => return index_size(shared, args),
        _ => {}
    }
    if name == "pg_relation_size" && !is_main(args.text(1))? {
        return Ok(ScalarValue::Int64(Some(0)));
    }
    let Some(oid) = args.oid(0) else {
        return Ok(ScalarValue::Null);
    };
    let home = shared.home()?;
    let view_of = |table: &Arc<Table>| -> Result<Option<TableView>, Error> {
        shared.transact(|transaction| Ok::<_, Error>(transaction.table(table.id)))
    };
    let view = home.views.get(&TableId(oid));
    let id = match view.and_then(|view| view.materialized.as_ref()) {
        Some(kept) => kept.table,
        None => TableId(oid),
    };
    let Some(table) = home.tables.get(&id) else {
        return of_chunk(shared, &home, name, oid);
    };
    let Some(view) = view_of(table)? else {
        return Ok(ScalarValue::Null);
    };
    let whole = table_bytes(&view);
    let nothing = || ScalarValue::Int64(Some(0));
    match name {
        "approximate_row_count" => Ok(bigint(view.rows())),
        "pg_relation_size" | "pg_table_size" | "pg_total_relation_size" => Ok(bigint(whole)),
        // There are none apart from the parts themselves.
        "pg_indexes_size" => Ok(nothing()),
        _ if table.hypertable.is_none() => Err(not_hypertable(&table.name)),
        "hypertable_size" | "hypertable_approximate_size" => Ok(bigint(whole)),
        "hypertable_detailed_size" => records(
            &[
                ("table_bytes", DataType::Int64),
                ("index_bytes", DataType::Int64),
                ("toast_bytes", DataType::Int64),
                ("total_bytes", DataType::Int64),
                ("node_name", DataType::Utf8View),
            ],
            &[vec![
                bigint(whole),
                nothing(),
                nothing(),
                bigint(whole),
                ScalarValue::Utf8View(None),
            ]],
        ),
        "hypertable_approximate_detailed_size" => records(
            &[
                ("table_bytes", DataType::Int64),
                ("index_bytes", DataType::Int64),
                ("toast_bytes", DataType::Int64),
                ("total_bytes", DataType::Int64),
            ],
            &[vec![bigint(whole), nothing(), nothing(), bigint(whole)]],
        ),
        "chunk_compression_stats" | "chunk_columnstore_stats" => chunk_stats(table),
        "hypertable_compression_stats" | "hypertable_columnstore_stats" => hypertable_stats(table),
        _ => {
            let id = table.hypertable.as_ref().map(|h| h.id).unwrap_or_default();
            let rows: Vec<Vec<ScalarValue>> = view
                .chunks
                .iter()
                .filter_map(|(chunk, view)| Some((table.chunks.get(chunk)?, view)))
                .map(|(chunk, view)| {
                    let bytes = chunk_bytes(view);
                    vec![
                        text(Database::INTERNAL_SCHEMA),
                        text(chunk.name(id)),
                        bigint(bytes),
                        nothing(),
                        nothing(),
                        bigint(bytes),
                        ScalarValue::Utf8View(None),
                    ]
                })
                .collect();
            records(
                &[
                    ("chunk_schema", DataType::Utf8View),
                    ("chunk_name", DataType::Utf8View),
                    ("table_bytes", DataType::Int64),
                    ("index_bytes", DataType::Int64),
                    ("toast_bytes", DataType::Int64),
                    ("total_bytes", DataType::Int64),
                    ("node_name", DataType::Utf8View),
                ],
                &rows,
            )
        }
    }
}

/// Bytes of a compressed chunk's rows as columns in memory, and of its parts.
fn before_and_after(chunk: &Chunk) -> (u64, u64) {
    let bytes = |part: &Arc<Part>| (part.unpacked, part.data.bytes + part.directory.bytes);
    let parts = chunk.parts.iter().map(bytes);
    parts.fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1))
}

/// Table, index, TOAST and all bytes: first those before, then those after.
fn stats_columns(leading: &[(&'static str, DataType)]) -> Vec<(&'static str, DataType)> {
    let sizes = [
        "before_compression_table_bytes",
        "before_compression_index_bytes",
        "before_compression_toast_bytes",
        "before_compression_total_bytes",
        "after_compression_table_bytes",
        "after_compression_index_bytes",
        "after_compression_toast_bytes",
        "after_compression_total_bytes",
    ];
    let mut columns = leading.to_vec();
    columns.extend(sizes.map(|name| (name, DataType::Int64)));
    columns.push(("node_name", DataType::Utf8View));
    columns
}

/// The same columns' values; NULL where nothing is compressed.
fn stats_row(mut leading: Vec<ScalarValue>, sizes: Option<(u64, u64)>) -> Vec<ScalarValue> {
    match sizes {
        Some((before, after)) => {
            for bytes in [before, after] {
                leading.extend([bigint(bytes), bigint(0), bigint(0), bigint(bytes)]);
            }
        }
        None => leading.extend(std::iter::repeat_n(ScalarValue::Int64(None), 8)),
    }
    leading.push(ScalarValue::Utf8View(None));
    leading
}

fn chunk_stats(table: &Table) -> Result<ScalarValue, Error> {
    let id = table.hypertable.as_ref().map(|h| h.id).unwrap_or_default();
    let row = |chunk: &Arc<Chunk>| {
        let status = match chunk.compressed {
            true => "Compressed",
            false => "Uncompressed",
        };
        let schema = text(Database::INTERNAL_SCHEMA);
        let leading = vec![schema, text(chunk.name(id)), text(status)];
        stats_row(leading, chunk.compressed.then(|| before_and_after(chunk)))
    };
    let rows: Vec<Vec<ScalarValue>> = table.chunks.values().map(row).collect();
    let columns = stats_columns(&[
        ("chunk_schema", DataType::Utf8View),
        ("chunk_name", DataType::Utf8View),
        ("compression_status", DataType::Utf8View),
    ]);
    records(&columns, &rows)
}

fn hypertable_stats(table: &Table) -> Result<ScalarValue, Error> {
    let compressed = table.chunks.values().filter(|chunk| chunk.compressed);
    let sizes: Vec<(u64, u64)> = compressed.map(|chunk| before_and_after(chunk)).collect();
    let add = |sum: (u64, u64), of: (u64, u64)| (sum.0 + of.0, sum.1 + of.1);
    let count = |count: usize| bigint(u64::try_from(count).unwrap_or(u64::MAX));
    let leading = vec![count(table.chunks.len()), count(sizes.len())];
    let row = stats_row(leading, sizes.into_iter().reduce(add));
    let columns = stats_columns(&[
        ("total_chunks", DataType::Int64),
        ("number_compressed_chunks", DataType::Int64),
    ]);
    records(&columns, &[row])
}

fn of_chunk(
    shared: &Arc<Shared>,
    home: &Database,
    name: &str,
    oid: u32,
) -> Result<ScalarValue, Error> {
    for table in home.tables.values() {
        let Some(chunk) = table.chunks.values().find(|c| c.oid == oid && oid != 0) else {
            continue;
        };
        let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(table.id)))?;
        let found = view.iter().flat_map(|view| view.chunks.iter());
        let found = found
            .filter(|(id, _)| *id == chunk.id)
            .map(|(_, view)| view);
        return Ok(match name {
            "pg_indexes_size" => ScalarValue::Int64(Some(0)),
            "approximate_row_count" => bigint(found.map(ChunkView::rows).sum()),
            _ => bigint(found.map(chunk_bytes).sum()),
        });
    }
    if name.starts_with("pg_") {
        // Views and system relations take no room of their own.
        return Ok(ScalarValue::Int64(Some(0)));
    }
    table_of(shared, TableId(oid)).map(|_| ScalarValue::Null)
}

/// PostgreSQL's other forks of a relation have nothing here.
fn is_main(fork: Option<&str>) -> Result<bool, Error> {
    match fork {
        None | Some("main") => Ok(true),
        Some("fsm" | "vm" | "init") => Ok(false),
        Some(_) => Err(
            Error::new(SqlState::INVALID_PARAMETER_VALUE, "invalid fork name")
                .hint("Valid fork names are \"main\", \"fsm\", \"vm\", and \"init\"."),
        ),
    }
}

/// An index of a hypertable takes no room of its own.
fn index_size(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let Some(oid) = args.oid(0) else {
        return Ok(ScalarValue::Null);
    };
    let home = shared.home()?;
    let has = |table: &&Arc<Table>| table.indexes.iter().any(|index| index.id.0 == oid);
    match home.tables.values().find(has) {
        Some(table) if table.hypertable.is_some() => Ok(ScalarValue::Int64(Some(0))),
        Some(table) => Err(not_hypertable(&table.name)),
        None => {
            let table = table_of(shared, TableId(oid))?;
            Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not an index", table.name),
            ))
        }
    }
}

fn database_size(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let catalog = shared.catalog();
    let missing = |message: String| Error::new(SqlState::INVALID_CATALOG_NAME, message);
    let database = match args.text(0) {
        Some(name) => catalog
            .database_named(name)
            .ok_or_else(|| missing(format!("database \"{name}\" does not exist")))?,
        None => {
            let id = DatabaseId(args.oid(0).unwrap_or(0));
            let known = catalog.databases.get(&id);
            known.ok_or_else(|| missing(format!("database with OID {id} does not exist")))?
        }
    };
    // Without the database there would be no log and no catalog: they count, though others share them.
    let own = database_bytes(shared, database)?;
    Ok(bigint(own + shared.instance.engine.shared_bytes()))
}

/// Everything lies in the one tablespace.
fn tablespace_size(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    /// `pg_default` and `pg_global`.
    const OIDS: [u32; 2] = [1663, 1664];
    let missing = |message: String| Error::new(SqlState::UNDEFINED_OBJECT, message);
    let default = match (args.text(0), args.oid(0)) {
        (Some("pg_default"), _) => true,
        (Some("pg_global"), _) => false,
        (Some(name), _) => {
            return Err(missing(format!("tablespace \"{name}\" does not exist")));
        }
        (None, Some(oid)) if OIDS.contains(&oid) => oid == OIDS[0],
        (None, oid) => {
            let oid = oid.unwrap_or(0);
            return Err(missing(format!("tablespace with OID {oid} does not exist")));
        }
    };
    if !default {
        return Ok(bigint(shared.instance.engine.shared_bytes()));
    }
    let catalog = shared.catalog();
    let mut bytes = 0;
    for database in catalog.databases.values() {
        bytes += database_bytes(shared, database)?;
    }
    Ok(bigint(bytes))
}

/// Of all tables: those of the session's own database as it sees them.
fn database_bytes(shared: &Arc<Shared>, database: &Database) -> Result<u64, Error> {
    let mut bytes = 0;
    if database.id == shared.database {
        for id in database.tables.keys() {
            let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(*id)))?;
            bytes += view.as_ref().map_or(0, table_bytes);
        }
        return Ok(bytes);
    }
    let other = shared
        .instance
        .engine
        .begin(database.id, Isolation::ReadCommitted);
    for id in database.tables.keys() {
        bytes += other.table(*id).as_ref().map_or(0, table_bytes);
    }
    Ok(bytes)
}
