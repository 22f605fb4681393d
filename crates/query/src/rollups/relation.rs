//! A continuous aggregate as plans name it, before they are expanded.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use chronolith_types::TableId;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::datasource::TableType;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;

use super::definition::Definition;

/// The rows that readers of a continuous aggregate see. Plans with it are to be
/// [expanded](super::expand).
#[derive(Debug)]
pub(crate) struct CaggTable {
    view: TableId,
    store: TableId,
    name: String,
    time: String,
    fills: bool,
    schema: SchemaRef,
}

impl CaggTable {
    pub(crate) fn new(view: TableId, store: TableId, name: &str, definition: &Definition) -> Self {
        let fields = definition.outputs.iter();
        let fields = fields.map(|output| Field::new(&output.name, output.ty.arrow(), true));
        Self {
            view,
            store,
            name: name.to_owned(),
            time: definition.shown_bucket().unwrap_or_default().to_owned(),
            fills: definition.gaps.is_some(),
            schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        }
    }

    pub(crate) fn view(&self) -> TableId {
        self.view
    }

    /// The table of its partial rows.
    pub(crate) fn store(&self) -> TableId {
        self.store
    }

    /// Whether it fills gaps.
    pub(crate) fn fills(&self) -> bool {
        self.fills
    }

    /// The column that shows the bucket; empty when none does.
    pub(crate) fn time(&self) -> &str {
        &self.time
    }
}

#[async_trait]
impl TableProvider for CaggTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        _projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Internal(format!(
            "the continuous aggregate {} was not expanded",
            self.name
        )))
    }
}
