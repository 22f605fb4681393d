//! New rows on their way into the stores of continuous aggregates.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::{concat_batches, interleave_record_batch, partition, take_record_batch};
use arrow::datatypes::{
    DataType, Date32Type, Int16Type, Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType,
};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Catalog, Database, Table};
use chronolith_engine::{Derived, RollupError, Rollups, TableView, layout_of};
use chronolith_types::datetime::US_PER_DAY;
use chronolith_types::{DatabaseId, TableId};
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_plan::collect;
use datafusion::prelude::SessionConfig;

use super::definition::Definition;
use super::feed::{FeedTable, Program};
use super::plan::{ALL, folded, partials, rows_of};
use super::registry::Registry;
use super::runs::Runs;
use crate::error::Error;
use crate::fast;
use crate::nodes::Planner;
use crate::scan::Snapshot;
use crate::session::{table_of, wait_for};

/// With more ranges than this at once, they are marked as one.
const RANGES_MAX: usize = 16;

/// What a definition's rows go through, each made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct Programs {
    derive: OnceLock<Program>,
    fold: OnceLock<Program>,
    pub(super) read: OnceLock<Program>,
    /// Of sorted rows; None where they are no help.
    runs: OnceLock<Option<Runs>>,
}

/// Keeps the stores of an engine's continuous aggregates.
pub(crate) struct Maintainer {
    registry: Arc<Registry>,
    planner: SessionState,
    /// The same with the paths that know how parts are packed.
    of_parts: SessionState,
}

impl fmt::Debug for Maintainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maintainer").finish_non_exhaustive()
    }
}

impl Maintainer {
    pub(crate) fn new(registry: Arc<Registry>, runtime: &Arc<RuntimeEnv>) -> Self {
        let builder = || builder(runtime);
        Self {
            registry,
            planner: builder().build(),
            of_parts: builder()
                .with_physical_optimizer_rules(fast::rules())
                .build(),
        }
    }

    /// The partials of a part, where those can be had without a look at each row; else None.
    fn packed(
        &self,
        database: &Arc<Database>,
        store: &Table,
        view: TableId,
        part: &TableView,
    ) -> Result<Option<Vec<RecordBatch>>, Error> {
        let definition = self.registry.definition(database, view)?;
        if !definition.additive() {
            return Ok(None);
        }
        let rows = rows_of("part", table_of("", &part.table).source)?;
        let plan = partials(&definition, rows)?;
        let mut planner = self.of_parts.clone();
        let seen = part.clone();
        let snapshot = Snapshot(Box::new(move |_, _| Some(seen.clone())));
        planner.config_mut().set_extension(Arc::new(snapshot));
        let work = async {
            let plan = planner.create_physical_plan(&plan).await?;
            if !fast::is_fast(&plan) {
                return Ok(None);
            }
            let schema = Arc::clone(layout_of(store).schema());
            let batches = collect(plan, planner.task_ctx()).await?;
            let batches = batches.into_iter().filter(|batch| batch.num_rows() > 0);
            let batches = batches.map(|batch| {
                let columns = batch.columns().to_vec();
                Ok(RecordBatch::try_new(Arc::clone(&schema), columns)?)
            });
            batches.collect::<Result<Vec<_>, Error>>().map(Some)
        };
        // A part is packed by a thread of its own, or by whoever loads it: that may be a statement,
        // whose thread has tasks already.
        if tokio::runtime::Handle::try_current().is_ok() {
            return wait_for(work);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|error| Error::internal(error.to_string()))?;
        runtime.block_on(work)
    }

    /// The partials of rows that lie sorted; None where that is no help.
    fn in_runs(
        &self,
        database: &Arc<Database>,
        store: &Table,
        view: TableId,
        rows: &RecordBatch,
    ) -> Result<Option<RecordBatch>, Error> {
        let definition = self.registry.definition(database, view)?;
        let schema = Arc::clone(layout_of(store).schema());
        let runs = &definition.programs.runs;
        let runs = runs.get_or_init(|| Runs::of(&definition, &rows.schema(), &schema));
        match runs {
            Some(runs) => runs.partials(rows, &schema),
            None => Ok(None),
        }
    }

    fn derived(
        &self,
        database: &Arc<Database>,
        source: &Table,
        store: &Table,
        view: TableId,
        rows: &[RecordBatch],
    ) -> Result<Vec<Derived>, Error> {
        let definition = self.registry.definition(database, view)?;
        if !definition.additive() {
            let ranges = touched(&definition, source, rows)?;
            let mark = |range| Derived {
                store: store.id,
                rows: None,
                invalid: Some(range),
            };
            return Ok(ranges.into_iter().map(mark).collect());
        }
        let program = self.program(&definition.programs.derive, || {
            partials(&definition, fed(layout_of(source).schema())?)
        })?;
        let schema = Arc::clone(layout_of(store).schema());
        let made = program.run(&self.planner, rows.to_vec(), &schema)?;
        let derived = made.into_iter().map(|rows| Derived {
            store: store.id,
            rows: Some(rows),
            invalid: None,
        });
        Ok(derived.collect())
    }

    fn program<'p>(
        &self,
        slot: &'p OnceLock<Program>,
        plan: impl FnOnce() -> Result<datafusion::logical_expr::LogicalPlan, Error>,
    ) -> Result<&'p Program, Error> {
        if let Some(program) = slot.get() {
            return Ok(program);
        }
        let program = Program::new(&self.planner, &plan()?)?;
        Ok(slot.get_or_init(|| program))
    }

    fn one_a_group(
        &self,
        database: &Arc<Database>,
        view: TableId,
        rows: RecordBatch,
    ) -> Result<RecordBatch, Error> {
        let definition = self.registry.definition(database, view)?;
        let schema = rows.schema();
        let groups = definition.groups.iter();
        let groups = groups.filter_map(|group| rows.column_by_name(&group.name).cloned());
        let runs = partition(&groups.collect::<Vec<_>>())?.ranges();
        if runs.len() == rows.num_rows() {
            return Ok(rows);
        }
        let program = self.program(&definition.programs.fold, || {
            folded(&definition, fed(&schema)?)
        })?;
        // Most are alone in their group, and stay as they are.
        let several = || runs.iter().filter(|run| run.len() > 1);
        let places: Vec<u64> = several()
            .flat_map(|run| run.start as u64..run.end as u64)
            .collect();
        let alike = take_record_batch(&rows, &UInt64Array::from(places))?;
        let merged = program.run(&self.planner, vec![alike], &schema)?;
        let merged = concat_batches(&schema, &merged)?;
        if merged.num_rows() != several().count() {
            let folded = program.run(&self.planner, vec![rows], &schema)?;
            return Ok(concat_batches(&schema, &folded)?);
        }
        // Groups come out as they were first seen.
        let mut next = 0;
        let mut order = Vec::with_capacity(runs.len());
        for run in &runs {
            if run.len() == 1 {
                order.push((0, run.start));
            } else {
                order.push((1, next));
                next += 1;
            }
        }
        Ok(interleave_record_batch(&[&rows, &merged], &order)?)
    }
}

pub(super) fn fed(schema: &SchemaRef) -> Result<datafusion::logical_expr::LogicalPlan, Error> {
    let table = FeedTable::new(Arc::clone(schema));
    rows_of("feed", provider_as_source(Arc::new(table)))
}

/// Of what plans for one thread: that of whoever commits or reads.
pub(super) fn builder(runtime: &Arc<RuntimeEnv>) -> SessionStateBuilder {
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false);
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(Arc::clone(runtime))
        .with_query_planner(Arc::new(Planner))
}

fn told(error: Error) -> RollupError {
    RollupError {
        sqlstate: error.code,
        message: error.message,
    }
}

fn home(catalog: &Catalog, database: DatabaseId) -> Result<&Arc<Database>, RollupError> {
    let found = catalog.databases.get(&database);
    found.ok_or_else(|| told(Error::internal(format!("database {database} is gone"))))
}

fn table(database: &Database, id: TableId) -> Result<&Arc<Table>, RollupError> {
    let found = database.tables.get(&id);
    found.ok_or_else(|| told(Error::internal(format!("table {id} is gone"))))
}

impl Rollups for Maintainer {
    fn derive(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        source: TableId,
        rows: &[RecordBatch],
    ) -> Result<Vec<Derived>, RollupError> {
        let database = home(catalog, database)?;
        let source = table(database, source)?;
        let mut derived = Vec::new();
        for store in database.tables.values() {
            let Some(rollup) = &store.rollup else {
                continue;
            };
            if rollup.reads.contains(&source.id) {
                derived.push(Derived {
                    store: store.id,
                    rows: None,
                    invalid: Some(ALL),
                });
            }
            if rollup.source == source.id {
                let made = self.derived(database, source, store, rollup.view, rows);
                derived.append(&mut made.map_err(told)?);
            }
        }
        Ok(derived)
    }

    fn derive_part(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        part: &TableView,
        rows: &RecordBatch,
    ) -> Result<Vec<Derived>, RollupError> {
        let database = home(catalog, database)?;
        let source = table(database, part.table.id)?;
        let mut derived = Vec::new();
        for store in database.tables.values() {
            let Some(rollup) = &store.rollup else {
                continue;
            };
            if rollup.source != source.id {
                continue;
            }
            let in_runs = self.in_runs(database, store, rollup.view, rows);
            if let Some(rows) = in_runs.map_err(told)? {
                derived.push(Derived {
                    store: store.id,
                    rows: Some(rows),
                    invalid: None,
                });
                continue;
            }
            let packed = self.packed(database, store, rollup.view, part);
            match packed.map_err(told)? {
                Some(batches) => derived.extend(batches.into_iter().map(|rows| Derived {
                    store: store.id,
                    rows: Some(rows),
                    invalid: None,
                })),
                None => {
                    let rows = std::slice::from_ref(rows);
                    let made = self.derived(database, source, store, rollup.view, rows);
                    derived.append(&mut made.map_err(told)?);
                }
            }
        }
        Ok(derived)
    }

    fn fold(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        store: TableId,
        rows: RecordBatch,
    ) -> Result<RecordBatch, RollupError> {
        let database = home(catalog, database)?;
        let Some(rollup) = &table(database, store)?.rollup else {
            return Ok(rows);
        };
        self.one_a_group(database, rollup.view, rows).map_err(told)
    }

    fn buckets(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        store: TableId,
        range: Range<i64>,
    ) -> Result<Range<i64>, RollupError> {
        let database = home(catalog, database)?;
        let Some(rollup) = &table(database, store)?.rollup else {
            return Ok(range);
        };
        let definition = self.registry.definition(database, rollup.view);
        Ok(definition.map_err(told)?.buckets.cover(&range))
    }
}

/// The whole buckets that rows of the source lie in.
fn touched(
    definition: &Definition,
    source: &Table,
    rows: &[RecordBatch],
) -> Result<Vec<Range<i64>>, Error> {
    let Some((place, _)) = hypertable_time(source) else {
        return Err(Error::internal("a source without time"));
    };
    let mut found: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut last = 0..0;
    for batch in rows {
        let Some(column) = batch.columns().get(place) else {
            continue;
        };
        for at in times(column)? {
            if !last.contains(&at) {
                last = definition.buckets.cover(&(at..at.saturating_add(1)));
                found.insert((last.start, last.end));
            }
        }
    }
    let mut ranges: Vec<Range<i64>> = Vec::new();
    for (start, end) in found {
        match ranges.last_mut() {
            Some(before) if before.end >= start => before.end = before.end.max(end),
            _ => ranges.push(start..end),
        }
    }
    if ranges.len() > RANGES_MAX
        && let (Some(first), Some(last)) = (ranges.first(), ranges.last())
    {
        let whole = first.start..last.end;
        ranges.clear();
        ranges.push(whole);
    }
    Ok(ranges)
}

fn hypertable_time(table: &Table) -> Option<(usize, &chronolith_catalog::Column)> {
    let time = table.hypertable.as_ref()?.time;
    let mut columns = table.columns.iter().enumerate();
    columns.find(|(_, column)| column.id == time)
}

/// The times of a column, in µs or whole numbers.
fn times(column: &ArrayRef) -> Result<Vec<i64>, Error> {
    macro_rules! of {
        ($ty:ty) => {
            column
                .as_primitive::<$ty>()
                .iter()
                .flatten()
                .map(i64::from)
                .collect()
        };
    }
    Ok(match column.data_type() {
        DataType::Timestamp(..) => of!(TimestampMicrosecondType),
        DataType::Date32 => column
            .as_primitive::<Date32Type>()
            .iter()
            .flatten()
            .map(|day| i64::from(day).saturating_mul(US_PER_DAY))
            .collect(),
        DataType::Int64 => of!(Int64Type),
        DataType::Int32 => of!(Int32Type),
        DataType::Int16 => of!(Int16Type),
        other => return Err(Error::internal(format!("a time of {other}"))),
    })
}
