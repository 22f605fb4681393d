//! Tables and system relations, as DataFusion plans over them.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{Fields, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use chronolith_chunk::{Layout, ScanRequest};
use chronolith_engine::TableView;
use chronolith_types::{ChunkId, SqlState, TableId};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use parking_lot::Mutex;

use super::exec::ChunkScan;
use super::filter::{self, Pushed};
use super::system::SystemColumn;
use crate::error::Error;

/// What a statement's scans see, as an extension of DataFusion's session.
///
/// Gives a table's chunks that may have rows of some times.
pub(crate) struct Snapshot(pub(crate) Box<View>);

type View = dyn Fn(TableId, &Range<i64>) -> Option<TableView> + Send + Sync;

/// A table of chunks. Holds no rows: a plan made over it can be kept.
#[derive(Debug)]
pub(crate) struct ChunkTable {
    id: TableId,
    name: String,
    layout: Arc<Layout>,
    /// Its columns, and the locators behind them when they are asked for.
    schema: SchemaRef,
}

impl ChunkTable {
    pub(crate) fn new(id: TableId, name: &str, layout: Arc<Layout>) -> Self {
        Self {
            id,
            name: name.to_owned(),
            schema: Arc::clone(layout.schema()),
            layout,
        }
    }

    /// The table with the locator of each row as its last column.
    pub(crate) fn with_locators(self) -> Self {
        self.with(&[SystemColumn::Locator])
    }

    /// The table with all that the system has of each row behind its columns.
    pub(crate) fn with_system(self) -> Self {
        self.with(&SystemColumn::ALL)
    }

    fn with(self, columns: &[SystemColumn]) -> Self {
        let fields = self.layout.schema().fields().iter().cloned();
        let more = columns.iter().map(|column| Arc::new(column.field()));
        let fields: Fields = fields.chain(more).collect();
        Self {
            schema: Arc::new(Schema::new(fields)),
            ..self
        }
    }

    pub(crate) fn id(&self) -> TableId {
        self.id
    }

    pub(crate) fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }
}

#[async_trait]
impl TableProvider for ChunkTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match filter::read(&self.layout, filter) {
            Pushed::Time(_) => TableProviderFilterPushDown::Exact,
            Pushed::Equals(..) => TableProviderFilterPushDown::Inexact,
            Pushed::Nothing => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.plan(state, projection, filters, limit, None)
    }
}

/// A chunk that is read by its own name. What knows how to answer from tables as they are, or from
/// continuous aggregates over them, does not see the table in it.
#[derive(Debug)]
pub(crate) struct OneChunk {
    of: ChunkTable,
    chunk: ChunkId,
}

impl OneChunk {
    pub(crate) fn new(of: ChunkTable, chunk: ChunkId) -> Self {
        Self { of, chunk }
    }
}

#[async_trait]
impl TableProvider for OneChunk {
    fn schema(&self) -> SchemaRef {
        self.of.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        self.of.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.of
            .plan(state, projection, filters, limit, Some(self.chunk))
    }
}

impl ChunkTable {
    /// A scan of all its chunks, or of one.
    fn plan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
        only: Option<ChunkId>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let snapshot = state
            .config()
            .get_extension::<Snapshot>()
            .ok_or_else(|| DataFusionError::Internal("a scan without a snapshot".into()))?;
        let mut places = match projection {
            Some(places) => places.clone(),
            None => (0..self.schema.fields().len()).collect(),
        };
        // What the system has comes last, of the table and of what is asked for.
        let columns = self.layout.columns.len();
        let own = places.iter().take_while(|place| **place < columns).count();
        let mut system = Vec::new();
        for place in places.split_off(own) {
            let found = place.checked_sub(columns);
            let found = found.and_then(|place| SystemColumn::ALL.get(place));
            system.push(*found.ok_or_else(|| {
                DataFusionError::Internal("a column of the system between others".into())
            })?);
        }
        let mut request = ScanRequest::all(places);
        request.locators = !system.is_empty();
        request.batch_rows = state.config().batch_size();
        filter::apply(&self.layout, filters, &mut request);
        let view = (snapshot.0)(self.id, &request.time).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{}\" does not exist", self.name),
            )
        })?;
        let view = match only {
            Some(chunk) => view.only(chunk),
            None => view,
        };
        // A filter that may let more through must see the rows before they are counted.
        let limit = limit.filter(|_| request.equals.is_empty());
        Ok(Arc::new(ChunkScan::new(
            view,
            request,
            limit,
            state.config().target_partitions(),
            system,
        )))
    }
}

type Rows = dyn Fn(&Wanted) -> Result<RecordBatch, Error> + Send + Sync;

/// What a scan wants of a system relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    /// The places of its columns.
    pub(crate) columns: Vec<usize>,
    /// Columns, by their places, and the number that each has in every row that counts.
    pub(crate) equal: Vec<(usize, i64)>,
}

/// The rows that a statement has read of system relations, by oid and what was wanted, as an
/// extension of DataFusion's session: a relation that is named twice is made once.
#[derive(Default)]
pub(crate) struct SystemRows(Mutex<HashMap<(u32, Wanted), RecordBatch>>);

/// A relation whose rows are made when it is read.
pub(crate) struct SystemTable {
    oid: u32,
    name: String,
    schema: SchemaRef,
    rows: Box<Rows>,
}

impl SystemTable {
    /// `rows` makes those columns of it that are wanted, in their order, and at least those rows.
    pub(crate) fn new(oid: u32, name: &str, schema: Schema, rows: Box<Rows>) -> Self {
        Self {
            oid,
            name: name.to_owned(),
            schema: Arc::new(schema),
            rows,
        }
    }
}

impl SystemTable {
    /// The column's place and the number of `column = number`.
    fn number_in(&self, filter: &Expr) -> Option<(usize, i64)> {
        let Expr::BinaryExpr(equal) = filter else {
            return None;
        };
        let (column, value) = match (equal.left.as_ref(), equal.op, equal.right.as_ref()) {
            (Expr::Column(column), Operator::Eq, Expr::Literal(value, _))
            | (Expr::Literal(value, _), Operator::Eq, Expr::Column(column)) => (column, value),
            _ => return None,
        };
        let number = match value {
            ScalarValue::UInt32(Some(number)) => i64::from(*number),
            ScalarValue::Int16(Some(number)) => i64::from(*number),
            ScalarValue::Int32(Some(number)) => i64::from(*number),
            _ => return None,
        };
        Some((self.schema.index_of(&column.name).ok()?, number))
    }
}

impl fmt::Debug for SystemTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemTable")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> DfResult<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match self.number_in(filter) {
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let wanted = Wanted {
            columns: match projection {
                Some(places) => places.clone(),
                None => (0..self.schema.fields().len()).collect(),
            },
            equal: filters
                .iter()
                .filter_map(|filter| self.number_in(filter))
                .collect(),
        };
        let known = state.config().get_extension::<SystemRows>();
        let key = (self.oid, wanted);
        let found = known
            .as_ref()
            .and_then(|known| known.0.lock().get(&key).cloned());
        let rows = match found {
            Some(rows) => rows,
            None => {
                let rows = (self.rows)(&key.1)?;
                if let Some(known) = &known {
                    known.0.lock().insert(key, rows.clone());
                }
                rows
            }
        };
        let schema = rows.schema();
        let plan = MemorySourceConfig::try_new_exec(&[vec![rows]], schema, None)?;
        Ok(plan)
    }
}
