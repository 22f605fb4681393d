//! SECURITY LABEL: a table, view or routine becomes what its label says.

use std::sync::Arc;

use chronolith_catalog::{
    Change, Chunk, Compression, Dimension, DimensionKind, Hypertable, Index, Job, JobChange,
    OrderBy, Skipping, SparseIndex, Table, View,
};
use chronolith_sql::{Label as Statement, ObjectKind, quoted};
use chronolith_types::{ChunkId, ColumnId, IndexId, SqlState, TableId};
use serde_json::Value;

use super::restore;
use super::{Aggregate, HYPERTABLE_KEYS, Label, PROVIDER, Series};
use crate::ddl::hypertable::{self, Plan, Width, table_of};
use crate::ddl::{owner, routine_there};
use crate::error::Error;
use crate::insert::{undefined_column, undefined_table};
use crate::jobs::{self, Config};
use crate::rollups;
use crate::session::Shared;

/// More chunks no label makes: whoever writes one by hand is not to keep a server busy for ever.
const CHUNKS_MAX: i64 = 1 << 20;

/// Reads a label and does what it says.
///
/// # Errors
/// 22023 for another's label or one that cannot be read, and those of what it makes.
pub(crate) fn run(shared: &Arc<Shared>, of: &Statement) -> Result<(), Error> {
    if let Some(provider) = of.provider.as_deref().filter(|name| *name != PROVIDER) {
        return Err(invalid(format!(
            "security label provider \"{provider}\" is not loaded"
        )));
    }
    let Some(text) = &of.text else {
        return Err(Error::unsupported("taking a security label away"));
    };
    let label: Label = serde_json::from_str(text)
        .map_err(|error| invalid("invalid security label".to_owned()).detail(error.to_string()))?;
    let (schema, name) = (of.name.schema(), of.name.name());
    let missing = || undefined_table(schema, name).at(u32::try_from(of.name.position).ok());
    match (of.kind, label) {
        (
            ObjectKind::Table,
            Label {
                hypertable: Some(series),
                continuous: None,
                jobs,
            },
        ) => {
            let table = shared.find_table(schema, name)?.ok_or_else(missing)?;
            shared.check_owner(table.id)?;
            make_hypertable(shared, &table, &series)?;
            add_jobs(shared, &jobs, Of::Relation(table.id))
        }
        (
            ObjectKind::View | ObjectKind::MaterializedView,
            Label {
                hypertable: None,
                continuous: Some(aggregate),
                jobs,
            },
        ) => {
            let view = shared.find_view(schema, name)?.ok_or_else(missing)?;
            shared.check_owner(view.id)?;
            let store = make_continuous(shared, &view, &aggregate)?;
            add_jobs(shared, &jobs, Of::Relation(store))
        }
        (
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine,
            Label {
                hypertable: None,
                continuous: None,
                jobs,
            },
        ) => {
            let routine = routine_there(shared, of.kind, &of.name, of.signature.as_deref())?;
            let home = shared.home()?;
            let schema = home.schemas.get(&routine.schema);
            let place = schema.map(|schema| (schema.name.clone(), routine.name.clone()));
            add_jobs(shared, &jobs, Of::Routine(place.unwrap_or_default()))
        }
        _ => Err(invalid(format!(
            "this security label does not belong to \"{name}\""
        ))),
    }
}

fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn make_hypertable(shared: &Arc<Shared>, table: &Table, series: &Series) -> Result<(), Error> {
    let plan = Plan {
        table: table.id,
        column: series.column.clone(),
        width: Some(Width::Number(series.chunk_interval)),
        // A dump has the table's indexes.
        default_indexes: false,
        if_not_exists: true,
        migrate_data: true,
        number: None,
    };
    hypertable::make(shared, &plan)?;
    settle(shared, table.id, series)
}

/// Gives a hypertable the properties that its label says.
pub(crate) fn settle(shared: &Arc<Shared>, id: TableId, series: &Series) -> Result<(), Error> {
    let table = table_of(shared, id)?;
    let column = |name: &String| -> Result<ColumnId, Error> {
        let found = table.column_named(name);
        let found = found.ok_or_else(|| undefined_column(name, &table.name))?;
        Ok(found.1.id)
    };
    let columns = |names: &[String]| names.iter().map(column).collect::<Result<Vec<_>, _>>();
    let known = table.hypertable.clone().unwrap_or_default();
    let mut dimensions = Vec::new();
    for (id, cut) in (shared.home()?.next_dimension()..).zip(&series.dimensions) {
        let kind = match (cut.partitions, cut.interval) {
            (Some(partitions), None) => DimensionKind::Hash { partitions },
            (None, Some(interval)) => DimensionKind::Range { interval },
            _ => return Err(invalid(format!("invalid dimension \"{}\"", cut.column))),
        };
        dimensions.push(Dimension {
            id,
            column: column(&cut.column)?,
            kind,
        });
    }
    let compression = match &series.compression {
        None => None,
        Some(packed) => {
            let mut order_by = Vec::new();
            for order in &packed.order_by {
                order_by.push(OrderBy {
                    column: column(&order.column)?,
                    descending: order.descending,
                    nulls_first: order.nulls_first,
                });
            }
            let sparse = |index: &super::Sparse| -> Result<SparseIndex, Error> {
                Ok(SparseIndex {
                    kind: index.kind.clone(),
                    columns: columns(&index.columns)?,
                })
            };
            let indexes = packed.indexes.as_ref();
            let indexes = indexes.map(|all| all.iter().map(sparse).collect::<Result<_, _>>());
            Some(Compression {
                segment_by: columns(packed.segment_by.as_deref().unwrap_or_default())?,
                order_by,
                automatic_segments: packed.segment_by.is_none(),
                chunk_interval: packed.chunk_interval,
                indexes: indexes.transpose()?,
            })
        }
    };
    let mut skipping = Vec::new();
    for (id, name) in (1..).zip(&series.skipping) {
        skipping.push(Skipping {
            id,
            column: column(name)?,
        });
    }
    shared.change(Change::ChangeHypertable {
        database: shared.database,
        table: id,
        hypertable: Hypertable {
            interval: series.chunk_interval.max(1),
            integer_now: series.integer_now.clone(),
            dimensions,
            compression: compression.clone(),
            skipping,
            tablespaces: series.tablespaces.clone(),
            restored: series.compressed.clone(),
            ..known
        },
    })?;
    shared.change(Change::SetCompression {
        database: shared.database,
        table: id,
        compression,
    })?;
    add_chunks(shared, id, &series.chunks)
}

/// Makes the chunks that there were, where none are.
fn add_chunks(shared: &Arc<Shared>, id: TableId, runs: &[(i64, i64, i64)]) -> Result<(), Error> {
    let wrong = || invalid("invalid chunks in a security label".to_owned());
    let counts = runs.iter().map(|(_, _, count)| *count);
    if counts.fold(0_i64, i64::saturating_add) > CHUNKS_MAX {
        return Err(wrong());
    }
    for (start, width, count) in runs {
        for place in 0..*count {
            let start = width
                .checked_mul(place)
                .and_then(|of| start.checked_add(of));
            let end = start.and_then(|start| start.checked_add(*width));
            let range = start.zip(end).filter(|(start, end)| start < end);
            let range = range.map(|(start, end)| start..end).ok_or_else(wrong)?;
            let table = table_of(shared, id)?;
            let meets =
                |chunk: &Arc<Chunk>| chunk.range.start < range.end && range.start < chunk.range.end;
            if table.chunks.values().any(meets) {
                continue;
            }
            let oid = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
            shared.change(Change::AddChunk {
                database: shared.database,
                table: id,
                chunk: ChunkId(shared.home()?.next_chunk),
                oid,
                range,
                created_us: shared.instance.engine.clock().wall_us(),
            })?;
        }
    }
    Ok(())
}

/// What a view is to be as a continuous aggregate.
#[derive(Debug)]
pub(crate) struct Made<'a> {
    /// Its query.
    pub(crate) query: &'a str,
    pub(crate) materialized_only: bool,
    /// WITH DATA.
    pub(crate) populated: bool,
    /// What its times without a zone are of.
    pub(crate) time_zone: &'a str,
}

/// Makes a view a continuous aggregate; the table of its rows.
///
/// # Errors
/// 42809 for one that is one already, and those of CREATE MATERIALIZED VIEW.
pub(crate) fn convert(
    shared: &Arc<Shared>,
    view: &View,
    made: &Made<'_>,
) -> Result<TableId, Error> {
    if view.materialized.is_some() {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a view", view.name),
        ));
    }
    let home = shared.home()?;
    let schema = home.schemas.get(&view.schema);
    let schema = schema.map_or("", |schema| schema.name.as_str());
    let columns: Vec<String> = view.columns.iter().map(|name| quoted(name)).collect();
    let columns = match columns.is_empty() {
        true => String::new(),
        false => format!(" ({})", columns.join(", ")),
    };
    let text = format!(
        "CREATE MATERIALIZED VIEW {}.{}{columns} WITH (timescaledb.continuous, \
         timescaledb.materialized_only = {}) AS {} {}",
        quoted(schema),
        quoted(&view.name),
        made.materialized_only,
        made.query.trim_end().trim_end_matches(';'),
        match made.populated {
            true => "WITH DATA",
            false => "WITH NO DATA",
        },
    );
    let parsed = chronolith_sql::parse(&text)?;
    let Some(chronolith_sql::Statement::CreateView(create)) =
        parsed.into_iter().next().map(|parsed| parsed.statement)
    else {
        return Err(Error::internal("a view's text that makes none"));
    };
    rollups::convert(shared, &create, view, made.time_zone)?;
    let home = shared.home()?;
    let made = home.views.get(&view.id);
    let made = made.and_then(|view| view.materialized.as_ref());
    let store = made.ok_or_else(|| Error::internal("a store that is not there"))?;
    Ok(store.table)
}

/// A view that was dumped as one becomes a continuous aggregate again; the table of its rows.
fn make_continuous(
    shared: &Arc<Shared>,
    view: &View,
    aggregate: &Aggregate,
) -> Result<TableId, Error> {
    let made = Made {
        query: &view.query,
        materialized_only: aggregate.materialized_only,
        populated: aggregate.populated,
        time_zone: aggregate.time_zone.as_deref().unwrap_or("UTC"),
    };
    let store = convert(shared, view, &made)?;
    settle(shared, store, &aggregate.store)?;
    indexes(shared, store, &aggregate.indexes)?;
    restore::freeze(shared, store, aggregate)?;
    Ok(store)
}

/// The indexes of a continuous aggregate: those that it was made with, and others.
fn indexes(shared: &Arc<Shared>, store: TableId, wanted: &[Index]) -> Result<(), Error> {
    let table = table_of(shared, store)?;
    let named = |index: &Index| match index.name.strip_prefix('*') {
        Some(rest) => format!("{}{rest}", table.name),
        None => index.name.clone(),
    };
    for index in &table.indexes {
        if !wanted.iter().any(|want| named(want) == index.name) {
            shared.change(Change::DropIndex {
                database: shared.database,
                table: store,
                id: index.id,
            })?;
        }
    }
    for index in wanted {
        let name = named(index);
        if table.indexes.iter().any(|known| known.name == name) {
            continue;
        }
        let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
        shared.change(Change::CreateIndex {
            database: shared.database,
            table: store,
            index: Index {
                id: IndexId(id),
                name,
                ..index.clone()
            },
        })?;
    }
    Ok(())
}

/// What jobs are for.
#[derive(Debug)]
pub(crate) enum Of {
    /// Policies, which look after it.
    Relation(TableId),
    /// Those that run a routine of a schema and name.
    Routine((String, String)),
}

/// Makes jobs anew. They keep their numbers where these are free, and begin with their next turn.
pub(crate) fn add_jobs(shared: &Arc<Shared>, told: &[Value], of: Of) -> Result<(), Error> {
    for told in told {
        let unreadable =
            |error: serde_json::Error| invalid(format!("invalid job in a security label: {error}"));
        let mut told = told.clone();
        let Value::Object(fields) = &mut told else {
            return Err(invalid("invalid job in a security label".to_owned()));
        };
        let name = fields.get("owner").and_then(Value::as_str);
        let role = name.and_then(|name| shared.catalog().role_named(name).map(|role| role.id));
        // Who restores owns what nobody here could.
        let role = match role {
            Some(role) => role,
            None => owner(shared)?,
        };
        if !jobs::belongs(shared, role) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to make a job of another role",
            ));
        }
        fields.insert("owner".to_owned(), role.0.into());
        if let Some(config) = fields.get("config") {
            let mut config = Config::read(Some(&config.to_string()))?;
            if let Of::Relation(id) = of {
                let table = table_of(shared, id)?;
                let number = table.hypertable.as_ref().map_or(0, |known| known.id.0);
                for key in HYPERTABLE_KEYS {
                    if config.number(key).is_some() {
                        config = config.with(key, number);
                    }
                }
            }
            fields.insert("config".to_owned(), config.text()?.into());
        }
        let mut job: Job = serde_json::from_value(told).map_err(unreadable)?;
        let fits = match &of {
            Of::Relation(id) => {
                job.relation = Some(*id);
                job.proc_schema == jobs::POLICY_SCHEMA
            }
            Of::Routine((schema, name)) => {
                job.relation = None;
                (&job.proc_schema, &job.proc_name) == (schema, name)
            }
        };
        if !fits {
            return Err(invalid(format!(
                "job {} does not belong to what is labelled",
                job.id
            )));
        }
        let home = shared.home()?;
        if home.jobs.all.contains_key(&job.id) {
            let own = format!(" [{}]", job.id);
            let free = shared.instance.job_number(shared.database, home.jobs.next);
            if let Some(name) = job.application_name.strip_suffix(&own) {
                job.application_name = format!("{name} [{free}]");
            }
            job.id = free;
        }
        let now = shared.with(|state| state.transaction_us);
        job.stats.next_start = Some(jobs::regular(&job, now));
        shared.change(Change::Job {
            database: shared.database,
            change: JobChange::Set(Box::new(job)),
        })?;
    }
    Ok(())
}
