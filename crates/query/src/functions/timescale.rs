//! TimescaleDB's functions: buckets and the ends of groups computed in this room, the rest by the
//! session.

use chronolith_types::{RegKind, SqlType};

use super::table::{Imp, Proc, ProcKind, Volatile};
use super::value::Value;
use super::{aggregates, gapfill, policies, times, uuids};

fn proc(
    oid: u32,
    name: &'static str,
    kind: ProcKind,
    args: Vec<SqlType>,
    result: SqlType,
    imp: Imp,
) -> Proc {
    Proc {
        oid,
        name,
        schema: "public",
        kind,
        args,
        arg_names: Vec::new(),
        defaults: 0,
        variadic: None,
        result,
        columns: Vec::new(),
        strict: false,
        volatility: Volatile::Volatile,
        ordered_set: false,
        imp,
    }
}

/// Rows of `pg_proc` that PostgreSQL does not have.
pub(super) fn procs() -> Vec<Proc> {
    let mut rows = Vec::new();
    buckets(&mut rows);
    let ends: [(&'static str, Imp); 2] = [
        ("first", Imp::Aggregate(aggregates::first)),
        ("last", Imp::Aggregate(aggregates::last)),
    ];
    for (name, imp) in ends {
        let args = vec![SqlType::AnyElement, SqlType::Any];
        let mut row = proc(
            next(&rows),
            name,
            ProcKind::Aggregate,
            args,
            SqlType::AnyElement,
            imp,
        );
        row.volatility = Volatile::Immutable;
        rows.push(row);
    }
    let mut histogram = proc(
        next(&rows),
        "histogram",
        ProcKind::Aggregate,
        vec![
            SqlType::Float8,
            SqlType::Float8,
            SqlType::Float8,
            SqlType::Int4,
        ],
        SqlType::Int4.array_of(),
        Imp::Aggregate(aggregates::histogram),
    );
    histogram.volatility = Volatile::Immutable;
    rows.push(histogram);
    let first = next(&rows);
    let mut made = gapfill::procs(&mut |name, args, result, imp| {
        proc(0, name, ProcKind::Scalar, args, result, imp)
    });
    for (row, oid) in made.iter_mut().zip(first..) {
        row.oid = oid;
    }
    rows.append(&mut made);
    // A restore needs no preparing here; its scripts call these.
    for (name, imp) in [
        (
            "timescaledb_pre_restore",
            Imp::Rows(|_, _| Ok(Value::Bool(true))),
        ),
        (
            "timescaledb_post_restore",
            Imp::Effect("timescaledb_post_restore"),
        ),
    ] {
        rows.push(proc(
            next(&rows),
            name,
            ProcKind::Scalar,
            Vec::new(),
            SqlType::Bool,
            imp,
        ));
    }
    for line in EFFECTS.lines().chain(policies::CALLS.lines()) {
        if let Some(row) = effect(next(&rows), line.trim()) {
            rows.push(row);
        }
    }
    // Behind all others: a right that was granted on one of those names it by its number.
    for row in uuids::procs(&mut |name, args, result, imp| {
        proc(0, name, ProcKind::Scalar, args, result, imp)
    }) {
        let oid = next(&rows);
        rows.push(Proc { oid, ..row });
    }
    rows
}

fn next(rows: &[Proc]) -> u32 {
    9000 + u32::try_from(rows.len()).unwrap_or(0)
}

/// name | kind (f function, s set, p procedure), `strict`, `stable` | arguments | how many have
/// defaults | result | columns of a record
///
/// `dimension` is what `by_range` and `by_hash` make: text for the session alone.
const EFFECTS: &str = "\
create_hypertable|s|relation regclass,time_column_name name,partitioning_column name,number_partitions integer,associated_schema_name name,associated_table_prefix name,chunk_time_interval any,create_default_indexes boolean,if_not_exists boolean,partitioning_func regproc,migrate_data boolean,time_partitioning_func regproc|10|record|hypertable_id integer,schema_name name,table_name name,created boolean
create_hypertable|s|relation regclass,dimension cstring,create_default_indexes boolean,if_not_exists boolean,migrate_data boolean|3|record|hypertable_id integer,created boolean
refresh_continuous_aggregate|p|continuous_aggregate regclass,window_start any,window_end any,force boolean,options jsonb|2|void|
by_range|f|column_name name,partition_interval any,partition_func regproc|2|cstring|
by_hash|f|column_name name,number_partitions integer,partition_func regproc|1|cstring|
show_chunks|s stable|relation regclass,older_than any,newer_than any,created_before any,created_after any|4|regclass|
drop_chunks|s|relation regclass,older_than any,newer_than any,verbose boolean,created_before any,created_after any|5|text|
compress_chunk|f|uncompressed_chunk regclass,if_not_compressed boolean,recompress boolean|2|regclass|
decompress_chunk|f strict|uncompressed_chunk regclass,if_compressed boolean|1|regclass|
convert_to_columnstore|p|chunk regclass,if_not_columnstore boolean,recompress boolean|2|void|
convert_to_rowstore|p|chunk regclass,if_columnstore boolean|1|void|
recompress_chunk|p|chunk regclass,if_not_compressed boolean|1|void|
set_chunk_time_interval|f|hypertable regclass,chunk_time_interval anyelement,dimension_name name|1|void|
set_partitioning_interval|f|hypertable regclass,partition_interval anyelement,dimension_name name|1|void|
set_number_partitions|f|hypertable regclass,number_partitions integer,dimension_name name|1|void|
add_dimension|s|hypertable regclass,column_name name,number_partitions integer,chunk_time_interval any,partitioning_func regproc,if_not_exists boolean|4|record|dimension_id integer,schema_name name,table_name name,column_name name,created boolean
add_dimension|s|hypertable regclass,dimension cstring,if_not_exists boolean|1|record|dimension_id integer,created boolean
merge_chunks|p|chunk1 regclass,chunk2 regclass,concurrently boolean|1|void|
merge_chunks|p|chunks regclass[]|0|void|
merge_chunks_concurrently|p|chunks regclass[]|0|void|
split_chunk|p|chunk regclass,split_at any|1|void|
attach_chunk|p|hypertable regclass,chunk regclass,slices jsonb|0|void|
detach_chunk|p|chunk regclass|0|void|
attach_tablespace|f|tablespace name,hypertable regclass,if_not_attached boolean|1|void|
detach_tablespace|f|tablespace name,hypertable regclass,if_attached boolean|2|integer|
detach_tablespaces|f|hypertable regclass|0|integer|
show_tablespaces|s strict|hypertable regclass|0|name|
move_chunk|f|chunk regclass,destination_tablespace name,index_destination_tablespace name,reorder_index regclass,verbose boolean|3|void|
reorder_chunk|f|chunk regclass,index regclass,verbose boolean|2|void|
enable_chunk_skipping|s|hypertable regclass,column_name name,if_not_exists boolean|1|record|column_stats_id integer,enabled boolean
disable_chunk_skipping|s|hypertable regclass,column_name name,if_not_exists boolean|1|record|hypertable_id integer,column_name name,disabled boolean
set_integer_now_func|f strict|hypertable regclass,integer_now_func regproc,replace_if_exists boolean|1|void|
hypertable_size|f strict|hypertable regclass|0|bigint|
hypertable_index_size|f strict|index_name regclass|0|bigint|
hypertable_approximate_size|f strict|hypertable regclass|0|bigint|
approximate_row_count|f strict|relation regclass|0|bigint|
hypertable_detailed_size|s strict|hypertable regclass|0|record|table_bytes bigint,index_bytes bigint,toast_bytes bigint,total_bytes bigint,node_name name
hypertable_approximate_detailed_size|s|relation regclass|0|record|table_bytes bigint,index_bytes bigint,toast_bytes bigint,total_bytes bigint
chunks_detailed_size|s strict|hypertable regclass|0|record|chunk_schema name,chunk_name name,table_bytes bigint,index_bytes bigint,toast_bytes bigint,total_bytes bigint,node_name name
chunk_compression_stats|s strict stable|hypertable regclass|0|record|chunk_schema name,chunk_name name,compression_status text,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name
chunk_columnstore_stats|s strict stable|hypertable regclass|0|record|chunk_schema name,chunk_name name,compression_status text,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name
hypertable_compression_stats|s strict stable|hypertable regclass|0|record|total_chunks bigint,number_compressed_chunks bigint,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name
hypertable_columnstore_stats|s strict stable|hypertable regclass|0|record|total_chunks bigint,number_compressed_chunks bigint,before_compression_table_bytes bigint,before_compression_index_bytes bigint,before_compression_toast_bytes bigint,before_compression_total_bytes bigint,after_compression_table_bytes bigint,after_compression_index_bytes bigint,after_compression_toast_bytes bigint,after_compression_total_bytes bigint,node_name name";

fn effect(oid: u32, line: &'static str) -> Option<Proc> {
    let mut fields = line.split('|');
    let name = fields.next()?;
    let (schema, name) = name.split_once('.').unwrap_or(("public", name));
    let mut words = fields.next()?.split(' ');
    let kind = match words.next()? {
        "s" => ProcKind::SetReturning,
        "p" => ProcKind::Procedure,
        _ => ProcKind::Scalar,
    };
    let args = named(fields.next()?)?;
    let defaults = fields.next()?.parse().ok()?;
    let result = named_type(fields.next()?)?;
    let columns = named(fields.next()?)?;
    let types: Vec<SqlType> = args.iter().map(|(_, ty)| ty.clone()).collect();
    let mut row = proc(oid, name, kind, types, result, Imp::Effect(name));
    row.arg_names = args.into_iter().map(|(name, _)| name).collect();
    row.schema = schema;
    row.defaults = defaults;
    row.columns = columns;
    for word in words {
        match word {
            "strict" => row.strict = true,
            "stable" => row.volatility = Volatile::Stable,
            _ => return None,
        }
    }
    // remove_policies takes any number of names.
    if name == "remove_policies" {
        row.variadic = Some(SqlType::Text);
    }
    Some(row)
}

fn named_type(name: &str) -> Option<SqlType> {
    Some(match name {
        "any" => SqlType::Any,
        "regclass" => SqlType::Reg(RegKind::Class),
        "regclass[]" => SqlType::Reg(RegKind::Class).array_of(),
        name => super::table::type_of(name)?,
    })
}

fn named(list: &'static str) -> Option<Vec<(&'static str, SqlType)>> {
    list.split(',')
        .filter(|item| !item.is_empty())
        .map(|item| {
            let (name, ty) = item.split_once(' ')?;
            Some((name, named_type(ty)?))
        })
        .collect()
}

// ------------------------------------------------------------------------------------- buckets

fn buckets(rows: &mut Vec<Proc>) {
    use SqlType::{Date, Int2, Int4, Int8, Interval, Text, Timestamp, Timestamptz};
    let mut add = |args: &[SqlType], names: &[&'static str], defaults: usize, imp: Imp| {
        let result = args
            .get(1)
            .map(SqlType::without_typmod)
            .unwrap_or(Timestamptz(None));
        let mut row = proc(
            next(rows),
            "time_bucket",
            ProcKind::Scalar,
            args.to_vec(),
            result,
            imp,
        );
        row.arg_names = names.to_vec();
        row.defaults = defaults;
        row.volatility = Volatile::Immutable;
        // A default of NULL must not answer NULL.
        row.strict = defaults == 0;
        rows.push(row);
    };
    let width = Imp::Scalar(times::bucket);
    for ts in [Timestamptz(None), Timestamp(None), Date] {
        add(
            &[Interval(None), ts.clone()],
            &["bucket_width", "ts"],
            0,
            width,
        );
        add(
            &[Interval(None), ts.clone(), ts.clone()],
            &["bucket_width", "ts", "origin"],
            0,
            width,
        );
        add(
            &[Interval(None), ts, Interval(None)],
            &["bucket_width", "ts", "offset"],
            0,
            width,
        );
    }
    let zoned = ["bucket_width", "ts", "timezone", "origin", "offset"];
    add(
        &[
            Interval(None),
            Timestamptz(None),
            Text,
            Timestamptz(None),
            Interval(None),
        ],
        &zoned,
        2,
        width,
    );
    for int in [Int2, Int4, Int8] {
        add(
            &[int.clone(), int.clone()],
            &["bucket_width", "ts"],
            0,
            Imp::Scalar(times::integer_bucket),
        );
        add(
            &[int.clone(), int.clone(), int],
            &["bucket_width", "ts", "offset"],
            0,
            Imp::Scalar(times::integer_bucket),
        );
    }
}
