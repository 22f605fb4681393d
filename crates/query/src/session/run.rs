//! Plans running: to a stream, to batches, to one value.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::shared::Shared;
use crate::error::Error;
use crate::fast::{self, NewestRows};
use crate::functions::Typed;
use crate::outcome::RowStream;
use crate::rollups::{self, CandleRows, Planning, reads_any};

/// The values of parameters as the binder puts them into plans.
pub(crate) fn scalars(params: &[ArrayRef]) -> Result<Vec<ScalarValue>, Error> {
    params
        .iter()
        .map(|value| Ok(ScalarValue::try_from_array(value, 0)?))
        .collect()
}

/// Optimises a plan and makes it ready to run.
pub(crate) async fn physical(
    shared: &Shared,
    planner: &SessionState,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>, Error> {
    let expanded = expanded(shared, planner, plan)?;
    let plan = expanded.as_ref().map_or(plan, |expanded| &expanded.plan);
    Ok(planner.create_physical_plan(plan).await?)
}

/// A plan over what continuous aggregates keep.
pub(crate) struct Expanded {
    pub(crate) plan: LogicalPlan,
    /// Those that take the place of raw rows.
    pub(crate) used: Vec<String>,
}

/// The plan over what continuous aggregates keep, where it reads any or they can answer it.
pub(crate) fn expanded(
    shared: &Shared,
    planner: &SessionState,
    plan: &LogicalPlan,
) -> Result<Option<Expanded>, Error> {
    // The transaction's own rows are in them too.
    shared.with(|state| match &mut state.transaction {
        Some(transaction) => transaction.derive(),
        None => Ok(()),
    })?;
    let home = shared.home()?;
    let planning = Planning {
        database: &home,
        registry: &shared.instance.registry,
    };
    if !planning.any() {
        return Ok(None);
    }
    let off = shared.with(|state| state.settings.get(rollups::REWRITES) == Some("off"));
    let rewritten = match off {
        true => None,
        false => planning.rewritten(plan, planner)?,
    };
    let (plan, used) = match &rewritten {
        Some((plan, used)) => (plan, used.clone()),
        None => (plan, Vec::new()),
    };
    if reads_any(plan)? {
        return Ok(Some(Expanded {
            plan: planning.expanded(plan)?,
            used,
        }));
    }
    Ok(rewritten.map(|(plan, used)| Expanded { plan, used }))
}

/// Runs a plan; it ends early when the statement is cancelled.
pub(crate) async fn run(shared: &Arc<Shared>, plan: &LogicalPlan) -> Result<RowStream, Error> {
    shared.cancel.check()?;
    if let Some(rows) = newest_rows(shared, plan)? {
        return Ok(Box::pin(futures::stream::iter([Ok(rows)])));
    }
    if let Some(rows) = candle_rows(shared, plan)? {
        return Ok(Box::pin(futures::stream::iter([Ok(rows)])));
    }
    let planner = shared.planner(shared.vars());
    let physical = physical(shared, &planner, plan).await?;
    stream(shared, &planner, physical)
}

/// The rows of a plan that asks for a few series of a continuous aggregate that owes nothing.
fn candle_rows(shared: &Shared, plan: &LogicalPlan) -> Result<Option<RecordBatch>, Error> {
    let Some(candles) = CandleRows::of(plan) else {
        return Ok(None);
    };
    if shared.with(|state| state.settings.get(fast::SETTING) == Some("off")) {
        return Ok(None);
    }
    shared.with(|state| match &mut state.transaction {
        Some(transaction) => transaction.derive(),
        None => Ok(()),
    })?;
    let home = shared.home()?;
    let store = home.tables.get(&candles.store);
    let owes = |store: &Arc<chronolith_catalog::Table>| {
        let rollup = store.rollup.as_ref();
        rollup.is_none_or(|rollup| !rollup.invalid.is_empty())
    };
    if store.is_none_or(owes) {
        return Ok(None);
    }
    let registry = &shared.instance.registry;
    let definition = registry.definition(&home, candles.view)?;
    let view = |times: &std::ops::Range<i64>| {
        shared.with(|state| {
            let transaction = state.transaction.as_ref();
            transaction.and_then(|transaction| transaction.table_between(candles.store, times))
        })
    };
    let Some(layout) = view(&(0..0)).map(|view| view.layout) else {
        return Ok(None);
    };
    let Some(request) = candles.request(&definition, &layout)? else {
        return Ok(None);
    };
    match view(&request.time) {
        Some(view) => candles.run(registry, &definition, &view, &request),
        None => Ok(None),
    }
}

/// The rows of a plan that asks for the newest of one table, which need no planning.
fn newest_rows(shared: &Shared, plan: &LogicalPlan) -> Result<Option<RecordBatch>, Error> {
    let Some(newest) = NewestRows::of(plan) else {
        return Ok(None);
    };
    let view = shared.with(|state| {
        let off = state.settings.get(fast::SETTING) == Some("off");
        let transaction = state.transaction.as_ref().filter(|_| !off)?;
        transaction.table_between(newest.table(), newest.times())
    });
    match view {
        Some(view) => newest.run(&view),
        None => Ok(None),
    }
}

/// The rows of a physical plan.
pub(crate) fn stream(
    shared: &Arc<Shared>,
    planner: &SessionState,
    physical: Arc<dyn ExecutionPlan>,
) -> Result<RowStream, Error> {
    let rows = execute_stream(physical, planner.task_ctx())?;
    let cancel = Arc::clone(&shared.cancel);
    let stopped = async move { cancel.wait().await };
    let by = Arc::clone(&shared.cancel);
    let told = move |error| by.told(Error::from(error));
    let rows = rows
        .map(move |batch| batch.map_err(&told))
        .take_until(stopped);
    let cancel = Arc::clone(&shared.cancel);
    // A stream that was stopped must not look like one that ended.
    let end = futures::stream::once(async move {
        if cancel.asked() {
            Some(Err(cancel.error()))
        } else {
            None
        }
    })
    .filter_map(|end| async move { end });
    Ok(Box::pin(rows.chain(end)))
}

/// Runs a plan and gathers its rows.
pub(crate) async fn collect(
    shared: &Arc<Shared>,
    plan: &LogicalPlan,
) -> Result<Vec<RecordBatch>, Error> {
    let mut rows = run(shared, plan).await?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        batches.push(batch?);
    }
    Ok(batches)
}

/// Runs a plan while another waits for it, on the thread that asks.
pub(crate) fn collect_now(
    shared: &Arc<Shared>,
    planner: &SessionState,
    plan: &LogicalPlan,
) -> Result<Vec<RecordBatch>, Error> {
    let work = async {
        let physical = physical(shared, planner, plan).await?;
        let mut rows = stream(shared, planner, physical)?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    };
    wait_for(work)
}

/// Waits for work, on the thread that asks.
///
/// # Errors
/// Those of the work; XX000 when it panics.
pub(crate) fn wait_for<T: Send>(
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(|| runtime.block_on(work))
        }
        // A runtime of one thread cannot wait for itself: another thread has its own.
        _ => std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let runtime = runtime.map_err(|error| Error::internal(error.to_string()))?;
                runtime.block_on(work)
            });
            let joined = thread.join();
            joined.unwrap_or_else(|_| Err(Error::internal("a query inside an expression panicked")))
        }),
    }
}

/// The value of an expression without columns.
pub(crate) async fn evaluate(shared: &Arc<Shared>, value: &Typed) -> Result<ArrayRef, Error> {
    let plan = LogicalPlanBuilder::empty(true)
        .project([value.expr.clone().alias("value")])?
        .build()?;
    let batches = collect(shared, &plan).await?;
    let column = batches
        .iter()
        .find(|batch| batch.num_rows() > 0)
        .and_then(|batch| batch.columns().first());
    column
        .cloned()
        .ok_or_else(|| Error::internal("an expression without a value"))
}
