//! The newest rows of a table, straight from the bound plan: planning takes ten times as long as
//! finding them.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::UInt32Array;
use arrow::compute::{SortOptions, concat_batches, sort_to_indices, take_record_batch};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_chunk::{ChunkView, Latest, LatestRequest, Layout, ScanRequest, latest_rows};
use chronolith_engine::TableView;
use chronolith_types::TableId;
use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, SkipType};

use crate::error::Error;
use crate::scan::{ChunkTable, asks_for};

/// More rows than these are better planned for.
const ROWS_MAX: usize = 1000;

/// The newest or oldest rows of one table that have some values.
#[derive(Debug)]
pub(crate) struct NewestRows {
    table: TableId,
    layout: Arc<Layout>,
    pub(super) request: LatestRequest,
    /// How many columns are asked for; the time comes behind them.
    columns: usize,
    schema: arrow::datatypes::SchemaRef,
}

impl NewestRows {
    /// Reads `SELECT columns FROM table WHERE … ORDER BY time LIMIT n`; None for any other plan.
    pub(crate) fn of(plan: &LogicalPlan) -> Option<Self> {
        let LogicalPlan::Limit(limit) = plan else {
            return None;
        };
        let (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(count)))) =
            (limit.get_skip_type(), limit.get_fetch_type())
        else {
            return None;
        };
        let LogicalPlan::Sort(sort) = limit.input.as_ref() else {
            return None;
        };
        let [by] = sort.expr.as_slice() else {
            return None;
        };
        if count > ROWS_MAX || sort.fetch.is_some() {
            return None;
        }
        let (shown, filter, inner) = below(&sort.input)?;
        let LogicalPlan::TableScan(scan) = inner.last()? else {
            return None;
        };
        if scan.projection.is_some() || !scan.filters.is_empty() || scan.fetch.is_some() {
            return None;
        }
        let provider = source_as_provider(&scan.source).ok()?;
        let table = provider.downcast_ref::<ChunkTable>()?;
        let layout = table.layout();
        let place_of = |expr: &Expr| -> Option<usize> {
            let mut expr = expr;
            // From the projection that shows it down to the scan.
            let mut name = loop {
                match expr {
                    Expr::Alias(alias) => expr = &alias.expr,
                    Expr::Column(column) => break column.name.clone(),
                    _ => return None,
                }
            };
            for plan in &inner {
                if let LogicalPlan::Projection(projection) = plan {
                    let found = projection.expr.iter().find_map(|one| match one {
                        Expr::Alias(alias) if alias.name == name => match alias.expr.as_ref() {
                            Expr::Column(column) => Some(column.name.clone()),
                            _ => None,
                        },
                        Expr::Column(column) if column.name == name => Some(column.name.clone()),
                        _ => None,
                    });
                    name = found?;
                }
            }
            layout.columns.iter().position(|column| column.name == name)
        };
        let mut projection = Vec::new();
        let mut sorted_by = None;
        let Expr::Column(key) = &by.expr else {
            return None;
        };
        for expr in shown {
            let name = match expr {
                Expr::Alias(alias) => &alias.name,
                Expr::Column(column) => &column.name,
                _ => return None,
            };
            let place = place_of(expr)?;
            if *name == key.name {
                sorted_by = Some(place);
            }
            projection.push(place);
        }
        let time = layout.time?;
        if sorted_by != Some(time) {
            return None;
        }
        let mut wanted = ScanRequest::all(Vec::new());
        for one in filter.into_iter().flat_map(split_conjunction) {
            let mut unknown = false;
            let named = one.clone().transform_up(|expr| {
                let Expr::Column(_) = &expr else {
                    return Ok(Transformed::no(expr));
                };
                let column = place_of(&expr).and_then(|place| layout.columns.get(place));
                match column {
                    Some(column) => {
                        let column = Column::from_name(column.name.as_str());
                        Ok(Transformed::yes(Expr::Column(column)))
                    }
                    None => {
                        unknown = true;
                        Ok(Transformed::no(expr))
                    }
                }
            });
            let named = named.ok().filter(|_| !unknown)?.data;
            if !asks_for(layout, &named, &mut wanted) {
                return None;
            }
        }
        let columns = projection.len();
        projection.push(time);
        Some(Self {
            table: table.id(),
            layout: Arc::clone(layout),
            request: LatestRequest {
                projection,
                time: wanted.time,
                equals: wanted.equals,
                newest: !by.asc,
                of: Latest::Rows { count, ties: false },
            },
            columns,
            schema: Arc::clone(plan.schema().inner()),
        })
    }

    pub(crate) fn table(&self) -> TableId {
        self.table
    }

    pub(crate) fn times(&self) -> &Range<i64> {
        &self.request.time
    }

    /// The rows, in their order; None where they are to be planned for after all.
    pub(crate) fn run(&self, view: &TableView) -> Result<Option<RecordBatch>, Error> {
        let chunks: Vec<&ChunkView> = view.chunks.iter().map(|(_, chunk)| chunk).collect();
        // Of a table without rows, or changed meanwhile, less is known than a plan asks for.
        if !self.request.is_supported(&view.layout, &chunks)
            || view.layout.schema() != self.layout.schema()
        {
            return Ok(None);
        }
        let found = latest_rows(&view.layout, &chunks, &self.request)?;
        let all = concat_batches(&view.layout.projected(&self.request.projection), &found)?;
        let by = SortOptions {
            descending: self.request.newest,
            nulls_first: false,
        };
        let order: UInt32Array = sort_to_indices(all.column(self.columns), Some(by), None)?;
        let sorted = take_record_batch(&all, &order)?;
        let columns = sorted
            .columns()
            .iter()
            .take(self.columns)
            .cloned()
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(sorted.num_rows()));
        let schema = Arc::clone(&self.schema);
        Ok(Some(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?))
    }
}

/// The columns shown, the filter, and the plans under both down to the scan.
type Below<'a> = (&'a [Expr], Option<&'a Expr>, Vec<&'a LogicalPlan>);

fn below(plan: &LogicalPlan) -> Option<Below<'_>> {
    let LogicalPlan::Projection(shown) = plan else {
        return None;
    };
    let (filter, mut plan) = match shown.input.as_ref() {
        LogicalPlan::Filter(filter) => (Some(&filter.predicate), filter.input.as_ref()),
        other => (None, other),
    };
    let mut inner = Vec::new();
    loop {
        inner.push(plan);
        match plan {
            LogicalPlan::Projection(projection) => plan = projection.input.as_ref(),
            LogicalPlan::TableScan(_) => return Some((&shown.expr, filter, inner)),
            _ => return None,
        }
    }
}
