//! One series' candles, straight from the bound plan: planning takes ten times as long as finding and
//! merging them.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::{
    SortColumn, SortOptions, and, filter_record_batch, lexsort_to_indices, take_record_batch,
};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_chunk::{Layout, ScanRequest};
use chronolith_engine::TableView;
use chronolith_types::TableId;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, SkipType};

use super::definition::{Definition, substituted};
use super::registry::Registry;
use super::relation::CaggTable;
use crate::error::Error;
use crate::scan::asks_for;
use crate::shape::over_scan;

/// More rows of the store than these are better planned for.
const ROWS_MAX: usize = 20_000;

/// `SELECT columns FROM aggregate WHERE … [ORDER BY …] [LIMIT n]`, asking for a series or a few.
#[derive(Debug)]
pub(crate) struct CandleRows {
    pub(crate) view: TableId,
    pub(crate) store: TableId,
    /// Names of the columns that readers see, in the order that is asked for.
    columns: Vec<String>,
    filters: Vec<Expr>,
    order: Vec<(usize, SortOptions)>,
    limit: Option<usize>,
    schema: SchemaRef,
}

impl CandleRows {
    /// None for any other plan.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<Self> {
        let (limit, plan) = match plan {
            LogicalPlan::Limit(limit) => match (limit.get_skip_type(), limit.get_fetch_type()) {
                (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(count)))) => {
                    (Some(count), limit.input.as_ref())
                }
                _ => return None,
            },
            plan => (None, plan),
        };
        let (keys, plan) = match plan {
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                (sort.expr.as_slice(), sort.input.as_ref())
            }
            plan => (&[][..], plan),
        };
        let (above, scan) = over_scan(plan)?;
        if above.sorted {
            return None;
        }
        let provider = source_as_provider(&scan.source).ok()?;
        let cagg = provider.downcast_ref::<CaggTable>()?;
        let name = |expr: &Expr| match expr {
            Expr::Column(found) => Some(found.name.clone()),
            _ => None,
        };
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            let Expr::Column(column) = &key.expr else {
                return None;
            };
            let place = plan.schema().index_of_column(column).ok()?;
            let options = SortOptions {
                descending: !key.asc,
                nulls_first: key.nulls_first,
            };
            order.push((place, options));
        }
        let columns: Option<Vec<String>> = above.outputs.iter().map(name).collect();
        Some(Self {
            view: cagg.view(),
            store: cagg.store(),
            columns: columns?,
            filters: above.filters,
            order,
            limit,
            schema: Arc::new(plan.schema().as_arrow().clone()),
        })
    }

    /// What is to be read of the store; None when conditions ask for more than groups and times.
    pub(crate) fn request(
        &self,
        definition: &Definition,
        layout: &Layout,
    ) -> Result<Option<ScanRequest>, Error> {
        if definition.gaps.is_some() {
            return Ok(None);
        }
        let mut known = std::collections::HashMap::new();
        for output in &definition.outputs {
            if let Expr::Column(found) = &output.expr
                && definition
                    .groups
                    .iter()
                    .any(|group| group.name == found.name)
            {
                known.insert(output.name.clone(), output.expr.clone());
            }
        }
        let mut request = ScanRequest::all((0..layout.columns.len()).collect());
        for filter in self.filters.iter().flat_map(split_conjunction) {
            let of_groups = filter
                .column_refs()
                .iter()
                .all(|column| known.contains_key(&column.name));
            if !of_groups || !asks_for(layout, &substituted(filter, &known)?, &mut request) {
                return Ok(None);
            }
        }
        // All series at once are the business of every core.
        let narrow = request.time != (i64::MIN..i64::MAX) || !request.equals.is_empty();
        Ok(narrow.then_some(request))
    }

    /// The rows; None when there turn out to be many, or to be ordered by what only a plan orders.
    pub(crate) fn run(
        &self,
        registry: &Registry,
        definition: &Definition,
        view: &TableView,
        request: &ScanRequest,
    ) -> Result<Option<RecordBatch>, Error> {
        let mut batches = Vec::new();
        let mut rows = 0;
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, request) {
                let batch = matching(&batch?, request)?;
                rows += batch.num_rows();
                if rows > ROWS_MAX {
                    return Ok(None);
                }
                if batch.num_rows() > 0 {
                    batches.push(batch);
                }
            }
        }
        let merged = registry.merged(definition, batches, view.layout.schema())?;
        let mut columns = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let place = definition
                .outputs
                .iter()
                .position(|output| output.name == *name);
            let column = place.and_then(|place| merged.columns().get(place));
            let Some(column) = column else {
                return Ok(None);
            };
            columns.push(Arc::clone(column));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(merged.num_rows()));
        let rows = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        self.ordered(&rows)
    }

    fn ordered(&self, rows: &RecordBatch) -> Result<Option<RecordBatch>, Error> {
        let mut keys = Vec::with_capacity(self.order.len());
        for (place, options) in &self.order {
            let Some(column) = rows.columns().get(*place) else {
                return Ok(None);
            };
            // Of these Arrow's order is PostgreSQL's.
            if !matches!(
                column.data_type(),
                DataType::Timestamp(..)
                    | DataType::Date32
                    | DataType::Int16
                    | DataType::Int32
                    | DataType::Int64
                    | DataType::Utf8View
            ) {
                return Ok(None);
            }
            keys.push(SortColumn {
                values: Arc::clone(column),
                options: Some(*options),
            });
        }
        if keys.is_empty() {
            let count = self.limit.unwrap_or(usize::MAX).min(rows.num_rows());
            return Ok(Some(rows.slice(0, count)));
        }
        let places = lexsort_to_indices(&keys, self.limit)?;
        Ok(Some(take_record_batch(rows, &places)?))
    }
}

/// The rows of a batch that have the values asked for: a scan may give more.
fn matching(batch: &RecordBatch, request: &ScanRequest) -> Result<RecordBatch, Error> {
    let mut keep: Option<BooleanArray> = None;
    for (place, values) in &request.equals {
        let Some(column) = batch.columns().get(*place) else {
            return Err(Error::internal("a column that the store has not"));
        };
        let Some(texts) = column.as_string_view_opt() else {
            return Err(Error::internal("a text that is none"));
        };
        let fits: BooleanArray = (0..texts.len())
            .map(|row| {
                let there = texts.is_valid(row);
                Some(there && values.iter().any(|value| value == texts.value(row)))
            })
            .collect();
        keep = Some(match keep {
            Some(before) => and(&before, &fits)?,
            None => fits,
        });
    }
    match keep {
        Some(keep) => Ok(filter_record_batch(batch, &keep)?),
        None => Ok(batch.clone()),
    }
}
