//! Plans over rows that are at hand: made once, run for each batch.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties, execute_stream,
};
use futures::StreamExt;

use crate::error::Error;

/// The rows that a run is over, as an extension of its session.
struct Feed(Vec<RecordBatch>);

/// A relation whose rows come with each run.
#[derive(Debug)]
pub(super) struct FeedTable {
    schema: SchemaRef,
}

impl FeedTable {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

#[async_trait]
impl TableProvider for FeedTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(places) => Arc::new(self.schema.project(places)?),
            None => Arc::clone(&self.schema),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(FeedExec {
            schema,
            projection: projection.cloned(),
            properties: Arc::new(properties),
        }))
    }
}

#[derive(Debug)]
struct FeedExec {
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
    properties: Arc<PlanProperties>,
}

impl DisplayAs for FeedExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedExec")
    }
}

impl ExecutionPlan for FeedExec {
    fn name(&self) -> &'static str {
        "FeedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        _children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(
        &self,
        _partition: usize,
        context: Arc<TaskContext>,
    ) -> DfResult<SendableRecordBatchStream> {
        let feed = context
            .session_config()
            .get_extension::<Feed>()
            .ok_or_else(|| DataFusionError::Internal("a run without rows".into()))?;
        let projection = self.projection.clone();
        let count = feed.0.len();
        let batches = (0..count).filter_map(move |at| {
            let batch = feed.0.get(at)?;
            Some(match &projection {
                Some(places) => batch.project(places).map_err(DataFusionError::from),
                None => Ok(batch.clone()),
            })
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            futures::stream::iter(batches),
        )))
    }
}

/// A plan that is ready to run over rows at hand.
#[derive(Debug)]
pub(super) struct Program {
    plan: Arc<dyn ExecutionPlan>,
}

impl Program {
    /// Makes a plan over [`FeedTable`]s ready.
    ///
    /// # Errors
    /// As DataFusion plans it.
    pub(super) fn new(planner: &SessionState, plan: &LogicalPlan) -> Result<Self, Error> {
        Ok(Self {
            plan: block_on(planner.create_physical_plan(plan))?,
        })
    }

    /// What the plan makes of some rows, as batches with the columns of `schema`.
    ///
    /// # Errors
    /// When a value cannot be computed.
    pub(super) fn run(
        &self,
        planner: &SessionState,
        rows: Vec<RecordBatch>,
        schema: &SchemaRef,
    ) -> Result<Vec<RecordBatch>, Error> {
        let config = planner
            .config()
            .clone()
            .with_extension(Arc::new(Feed(rows)));
        let context = TaskContext::new(
            None,
            String::new(),
            config,
            std::collections::HashMap::default(),
            std::collections::HashMap::default(),
            std::collections::HashMap::default(),
            std::collections::HashMap::default(),
            Arc::clone(planner.runtime_env()),
        );
        let mut stream = execute_stream(Arc::clone(&self.plan), Arc::new(context))?;
        let mut batches = Vec::new();
        block_on(async {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                if batch.num_rows() > 0 {
                    let columns = batch.columns().to_vec();
                    batches.push(RecordBatch::try_new(Arc::clone(schema), columns)?);
                }
            }
            Ok::<_, Error>(())
        })?;
        Ok(batches)
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for what never leaves this thread: commits are not asynchronous, and have no runtime.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut work = pin!(work);
    loop {
        match work.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}
