//! What there is to be told in labels.

use chronolith_catalog::{Catalog, Database, DimensionKind, Hypertable, Job, Table};
use chronolith_types::{ColumnId, IndexId, SchemaId};
use serde_json::Value;

use super::restore::is_dumped;
use super::{Aggregate, Cut, HYPERTABLE_KEYS, Label, Ordered, Packed, Series, Sparse};
use crate::error::Error;

/// A label and what it belongs to.
#[derive(Debug)]
pub(crate) struct Labelled {
    /// The catalog that lists the object.
    pub(crate) class: &'static str,
    /// What kind of object, in words.
    pub(crate) kind: &'static str,
    /// Its oid.
    pub(crate) oid: u32,
    /// Its schema.
    pub(crate) schema: SchemaId,
    /// Its name.
    pub(crate) name: String,
    /// What the label says.
    pub(crate) text: String,
}

/// All labels of a database.
///
/// # Errors
/// XX000 for a job whose config is none.
pub(crate) fn all(catalog: &Catalog, home: &Database) -> Result<Vec<Labelled>, Error> {
    let mut found = Vec::new();
    for table in home.tables.values() {
        let Some(hypertable) = &table.hypertable else {
            continue;
        };
        if table.rollup.is_some() {
            continue;
        }
        let label = Label {
            hypertable: Some(series(table, hypertable)),
            continuous: None,
            jobs: jobs(catalog, home, |job| job.relation == Some(table.id))?,
        };
        found.push(Labelled {
            class: "pg_class",
            kind: "table",
            oid: table.id.0,
            schema: table.schema,
            name: table.name.clone(),
            text: text_of(&label)?,
        });
    }
    for view in home.views.values() {
        let Some(kept) = &view.materialized else {
            continue;
        };
        let Some(continuous) = &kept.continuous else {
            continue;
        };
        let Some(store) = home.tables.get(&kept.table) else {
            continue;
        };
        let Some(hypertable) = &store.hypertable else {
            continue;
        };
        let rollup = store.rollup.iter();
        let frozen = rollup.flat_map(|rollup| rollup.frozen.iter());
        let mut indexes = store.indexes.clone();
        indexes.iter_mut().for_each(|index| index.id = IndexId(0));
        for index in &mut indexes {
            // The rest of a name that begins with the store's, whose number is another elsewhere.
            if let Some(rest) = index.name.strip_prefix(&store.name) {
                index.name = format!("*{rest}");
            }
        }
        let label = Label {
            hypertable: None,
            continuous: Some(Aggregate {
                materialized_only: continuous.materialized_only,
                time_zone: continuous.time_zone.clone(),
                populated: kept.populated,
                store: match is_dumped(store) {
                    true => series(store, hypertable),
                    // Its chunks come with the rows that are computed anew, whenever that is.
                    false => Series {
                        chunks: Vec::new(),
                        ..series(store, hypertable)
                    },
                },
                indexes,
                frozen: frozen.map(|range| (range.start, range.end)).collect(),
                rows: is_dumped(store).then(|| store.name.clone()),
            }),
            jobs: jobs(catalog, home, |job| job.relation == Some(store.id))?,
        };
        found.push(Labelled {
            class: "pg_class",
            kind: "view",
            oid: view.id.0,
            schema: view.schema,
            name: view.name.clone(),
            text: text_of(&label)?,
        });
    }
    for routine in home.routines.values() {
        let schema = home.schemas.get(&routine.schema);
        let schema = schema.map_or("", |schema| schema.name.as_str());
        let jobs = jobs(catalog, home, |job| {
            let own = job.proc_schema == schema && job.proc_name == routine.name;
            own && job.relation.is_none()
        })?;
        if jobs.is_empty() {
            continue;
        }
        found.push(Labelled {
            class: "pg_proc",
            kind: match routine.result {
                Some(_) => "function",
                None => "procedure",
            },
            oid: routine.id.0,
            schema: routine.schema,
            name: routine.name.clone(),
            text: text_of(&Label {
                jobs,
                ..Label::default()
            })?,
        });
    }
    Ok(found)
}

fn text_of(label: &Label) -> Result<String, Error> {
    serde_json::to_string(label).map_err(|error| Error::internal(error.to_string()))
}

fn series(table: &Table, hypertable: &Hypertable) -> Series {
    let name = |id: ColumnId| table.column(id).map(|column| column.name.clone());
    let names = |ids: &[ColumnId]| ids.iter().filter_map(|id| name(*id)).collect();
    let cut = |dimension: &chronolith_catalog::Dimension| {
        let column = name(dimension.column)?;
        Some(match dimension.kind {
            DimensionKind::Hash { partitions } => Cut {
                column,
                partitions: Some(partitions),
                interval: None,
            },
            DimensionKind::Range { interval } => Cut {
                column,
                partitions: None,
                interval: Some(interval),
            },
        })
    };
    let compression = hypertable.compression.as_ref().map(|known| Packed {
        segment_by: (!known.automatic_segments).then(|| names(&known.segment_by)),
        order_by: known
            .order_by
            .iter()
            .filter_map(|order| {
                Some(Ordered {
                    column: name(order.column)?,
                    descending: order.descending,
                    nulls_first: order.nulls_first,
                })
            })
            .collect(),
        chunk_interval: known.chunk_interval,
        indexes: known.indexes.as_ref().map(|indexes| {
            let sparse = |index: &chronolith_catalog::SparseIndex| Sparse {
                kind: index.kind.clone(),
                columns: names(&index.columns),
            };
            indexes.iter().map(sparse).collect()
        }),
    });
    Series {
        column: name(hypertable.time).unwrap_or_default(),
        chunk_interval: hypertable.interval,
        integer_now: hypertable.integer_now.clone(),
        dimensions: hypertable.dimensions.iter().filter_map(cut).collect(),
        compression,
        skipping: hypertable
            .skipping
            .iter()
            .filter_map(|known| name(known.column))
            .collect(),
        tablespaces: hypertable.tablespaces.clone(),
        compressed: compressed(table),
        chunks: chunks(table),
    }
}

/// The ranges of chunks, those alike that touch as one: they may be cut by other widths than the
/// next will be, and some have no rows that would bring them.
fn chunks(table: &Table) -> Vec<(i64, i64, i64)> {
    let chunks = table.chunks.values();
    let mut ranges: Vec<(i64, i64)> = chunks
        .map(|chunk| (chunk.range.start, chunk.range.end))
        .collect();
    ranges.sort_unstable();
    let mut runs: Vec<(i64, i64, i64)> = Vec::new();
    for (start, end) in ranges {
        let Some(width) = end.checked_sub(start) else {
            continue;
        };
        match runs.last_mut() {
            Some((first, of, count)) if *of == width && *first + *of * *count == start => {
                *count += 1;
            }
            _ => runs.push((start, width, 1)),
        }
    }
    runs
}

/// The times of compressed chunks, those that touch as one.
fn compressed(table: &Table) -> Vec<(i64, i64)> {
    let chunks = table.chunks.values().filter(|chunk| chunk.compressed);
    let mut ranges: Vec<(i64, i64)> = chunks
        .map(|chunk| (chunk.range.start, chunk.range.end))
        .collect();
    ranges.sort_unstable();
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (start, end) in ranges {
        match joined.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// Jobs without what belongs to this database alone: how they went, and numbers of hypertables.
fn jobs(
    catalog: &Catalog,
    home: &Database,
    of: impl Fn(&Job) -> bool,
) -> Result<Vec<Value>, Error> {
    let all = home.jobs.all.values().filter(|job| of(job));
    let told = all.map(|job| {
        let fails = |error: serde_json::Error| Error::internal(error.to_string());
        let mut told = serde_json::to_value(&**job).map_err(fails)?;
        let Value::Object(fields) = &mut told else {
            return Err(Error::internal("a job that is no object"));
        };
        for own in ["stats", "relation"] {
            fields.shift_remove(own);
        }
        let owner = catalog.roles.get(&job.owner);
        let owner = owner.map(|role| role.name.clone()).unwrap_or_default();
        fields.insert("owner".to_owned(), owner.into());
        if let Some(config) = &job.config {
            let mut config: Value = serde_json::from_str(config).map_err(fails)?;
            if let (Value::Object(config), true) = (&mut config, job.relation.is_some()) {
                for key in HYPERTABLE_KEYS {
                    if let Some(number) = config.get_mut(key) {
                        *number = 0.into();
                    }
                }
            }
            fields.insert("config".to_owned(), config);
        }
        fields.retain(|_, value| !value.is_null());
        Ok(told)
    });
    told.collect()
}
