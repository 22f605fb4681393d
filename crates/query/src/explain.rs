//! EXPLAIN: the plan as text, with what is read and what is skipped.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::StringViewArray;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_sql::Explain;
use chronolith_types::SqlType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::StreamExt;

use crate::bind::set_parameters;
use crate::dml::{self, Ran};
use crate::error::Error;
use crate::insert;
use crate::outcome::OutputColumn;
use crate::session::{Ready, Shared, expanded, physical, stream};

/// The one column of its result.
pub(crate) fn column() -> OutputColumn {
    OutputColumn {
        name: "QUERY PLAN".to_owned(),
        ty: SqlType::Text,
        table_oid: 0,
        attribute: 0,
    }
}

/// Its lines as rows.
pub(crate) fn batch(lines: &[String]) -> Result<RecordBatch, Error> {
    let field = Field::new("QUERY PLAN", DataType::Utf8View, true);
    let lines: StringViewArray = lines.iter().map(|line| Some(line.as_str())).collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(vec![field])),
        vec![Arc::new(lines)],
    )?)
}

/// Plans a statement, and with ANALYZE runs it; the plan's lines.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    of: &Explain,
    inner: &Ready,
    values: &[ScalarValue],
) -> Result<Vec<String>, Error> {
    if of.format != "text" {
        return Err(Error::unsupported(format!(
            "EXPLAIN (FORMAT {})",
            of.format
        )));
    }
    match inner {
        Ready::Query(bound) => plan(shared, of, &set_parameters(&bound.plan, values)?, 0).await,
        Ready::Insert(insert) => {
            let table = shared
                .catalog()
                .table(shared.database, insert.table)
                .map(|table| table.name.clone())
                .unwrap_or_default();
            let mut lines = vec![format!("Insert on {table}")];
            if of.analyze {
                let rows = insert::run(shared, insert, values).await?;
                lines.push(format!("  Rows: {rows}"));
            }
            let source = Explain {
                analyze: false,
                ..of.clone()
            };
            match &insert.source {
                insert::Source::Plan(of) => {
                    let of_source = set_parameters(of, values)?;
                    lines.extend(plan(shared, &source, &of_source, 1).await?);
                }
                insert::Source::Cells(_) | insert::Source::Rows(..) => {
                    lines.push("  Values".to_owned());
                }
            }
            Ok(lines)
        }
        Ready::Change(dml) => {
            let mut lines = Vec::new();
            for change in &dml.program.changes {
                let verb = change.what.verb();
                let verb = format!("{}{}", &verb[..1], verb[1..].to_lowercase());
                lines.push(format!("{verb} on {}", change.table.name));
                let plan_of = set_parameters(change.what.plan(), values)?;
                let source = Explain {
                    analyze: false,
                    ..of.clone()
                };
                lines.extend(plan(shared, &source, &plan_of, 1).await?);
            }
            if of.analyze {
                let rows = match dml::run(shared, dml, values).await? {
                    Ran::Changed { rows, .. } => rows,
                    Ran::Query(mut stream) => {
                        let mut rows = 0;
                        while let Some(batch) = stream.next().await {
                            rows += batch?.num_rows() as u64;
                        }
                        rows
                    }
                };
                lines.push(format!("Rows: {rows}"));
            }
            Ok(lines)
        }
        _ => Err(Error::unsupported("EXPLAIN of this statement")),
    }
}

async fn plan(
    shared: &Arc<Shared>,
    of: &Explain,
    plan: &LogicalPlan,
    depth: usize,
) -> Result<Vec<String>, Error> {
    let clock = shared.instance.engine.clock();
    let began = clock.wall_us();
    let planner = shared.planner(shared.vars());
    let used = expanded(shared, &planner, plan)?.map(|expanded| expanded.used);
    let physical = physical(shared, &planner, plan).await?;
    let planned = clock.wall_us();
    let mut rows = 0;
    if of.analyze {
        let mut stream = stream(shared, &planner, Arc::clone(&physical))?;
        while let Some(batch) = stream.next().await {
            rows += batch?.num_rows();
        }
    }
    let ended = clock.wall_us();
    let text = if of.analyze {
        DisplayableExecutionPlan::with_metrics(physical.as_ref())
            .indent(of.verbose)
            .to_string()
    } else {
        DisplayableExecutionPlan::new(physical.as_ref())
            .indent(of.verbose)
            .to_string()
    };
    let indent = "  ".repeat(depth);
    let mut lines: Vec<String> = text.lines().map(|line| format!("{indent}{line}")).collect();
    for name in used.iter().flatten() {
        lines.push(format!(
            "{indent}Answered from continuous aggregate: {name}"
        ));
    }
    if of.analyze {
        let span = |from: i64, to: i64| {
            let us = u64::try_from(to - from).unwrap_or(0);
            Duration::from_micros(us).as_secs_f64() * 1000.0
        };
        lines.push(format!("Rows: {rows}"));
        lines.push(format!("Planning Time: {:.3} ms", span(began, planned)));
        lines.push(format!("Execution Time: {:.3} ms", span(planned, ended)));
    }
    Ok(lines)
}
