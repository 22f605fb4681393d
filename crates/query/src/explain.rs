//! EXPLAIN: the plan, with what is read and what is skipped.

mod json;
mod measured;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::StringViewArray;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_sql::Explain;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;
use futures::StreamExt;

use crate::bind::set_parameters;
use crate::dml::{self, Ran};
use crate::error::Error;
use crate::insert;
use crate::outcome::OutputColumn;
use crate::session::{Ready, Shared, expanded, physical, stream};
use measured::{measured, suffix};

/// The one column of its result.
pub(crate) fn column(of: &Explain) -> OutputColumn {
    OutputColumn {
        name: "QUERY PLAN".to_owned(),
        ty: match of.format.as_str() {
            "json" => SqlType::Json,
            _ => SqlType::Text,
        },
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

/// Plans a statement, and with ANALYZE runs it; the plan's lines, or one row of JSON.
///
/// # Errors
/// Those of the statement; 0A000 for XML and YAML, 22023 for what is no format.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    of: &Explain,
    inner: &Ready,
    values: &[ScalarValue],
) -> Result<Vec<String>, Error> {
    match of.format.as_str() {
        "text" | "json" => {}
        "xml" | "yaml" => {
            let format = of.format.to_uppercase();
            return Err(Error::unsupported(format!("EXPLAIN (FORMAT {format})")));
        }
        other => {
            let message = format!("unrecognized value for EXPLAIN option \"format\": \"{other}\"");
            return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        }
    }
    let reports = reports(shared, of, inner, values).await?;
    Ok(match of.format.as_str() {
        "json" => vec![json::document(&reports, of)],
        _ => reports.iter().flat_map(|report| report.lines(of)).collect(),
    })
}

/// What one change, or a query, does.
struct Report {
    /// The change and its table: `Insert`, `Update` …
    change: Option<(String, String)>,
    /// Where its rows come from; None for rows that are there as they are given.
    plan: Option<Planned>,
    /// How many rows it gave or changed, where it was run.
    rows: Option<u64>,
}

struct Planned {
    physical: Arc<dyn ExecutionPlan>,
    /// Continuous aggregates that answer in the place of raw rows.
    used: Vec<String>,
    /// When the plan began to run, µs since 1970.
    began_us: i64,
    planning_ms: f64,
    /// With ANALYZE.
    execution_ms: Option<f64>,
}

async fn reports(
    shared: &Arc<Shared>,
    of: &Explain,
    inner: &Ready,
    values: &[ScalarValue],
) -> Result<Vec<Report>, Error> {
    match inner {
        Ready::Query(bound) => {
            let source = set_parameters(&bound.plan, values)?;
            let (plan, rows) = plan(shared, of.analyze, &source).await?;
            Ok(vec![Report {
                change: None,
                plan: Some(plan),
                rows,
            }])
        }
        Ready::Insert(insert) => {
            let table = shared.catalog();
            let table = table.table(shared.database, insert.table);
            let table = table.map(|table| table.name.clone()).unwrap_or_default();
            let rows = match of.analyze {
                true => Some(insert::run(shared, insert, values, None).await?),
                false => None,
            };
            let plan = match &insert.source {
                insert::Source::Plan(source) => {
                    let source = set_parameters(source, values)?;
                    Some(plan(shared, false, &source).await?.0)
                }
                insert::Source::Cells(_) | insert::Source::Rows(..) => None,
            };
            Ok(vec![Report {
                change: Some(("Insert".to_owned(), table)),
                plan,
                rows,
            }])
        }
        Ready::Change(dml) => {
            let mut reports = Vec::with_capacity(dml.program.changes.len());
            for change in &dml.program.changes {
                let verb = change.what.verb();
                let verb = format!("{}{}", &verb[..1], verb[1..].to_lowercase());
                let source = set_parameters(change.what.plan(), values)?;
                reports.push(Report {
                    change: Some((verb, change.table.name.clone())),
                    plan: Some(plan(shared, false, &source).await?.0),
                    rows: None,
                });
            }
            if of.analyze {
                let rows = match dml::run(shared, dml, values, None).await? {
                    Ran::Changed { rows, .. } => rows,
                    Ran::Query(mut stream) => {
                        let mut rows = 0;
                        while let Some(batch) = stream.next().await {
                            rows += batch?.num_rows() as u64;
                        }
                        rows
                    }
                };
                if let Some(last) = reports.last_mut() {
                    last.rows = Some(rows);
                }
            }
            Ok(reports)
        }
        _ => Err(Error::unsupported("EXPLAIN of this statement")),
    }
}

/// Plans, and with `analyze` runs the plan and counts its rows.
async fn plan(
    shared: &Arc<Shared>,
    analyze: bool,
    plan: &LogicalPlan,
) -> Result<(Planned, Option<u64>), Error> {
    let clock = shared.instance.engine.clock();
    let began = clock.wall_us();
    let planner = shared.planner(shared.vars());
    let used = expanded(shared, &planner, plan)?.map(|expanded| expanded.used);
    let physical = physical(shared, &planner, plan).await?;
    let planned = clock.wall_us();
    let mut rows = None;
    if analyze {
        let mut stream = stream(shared, &planner, Arc::clone(&physical))?;
        let mut count = 0;
        while let Some(batch) = stream.next().await {
            count += batch?.num_rows() as u64;
        }
        rows = Some(count);
    }
    let ended = clock.wall_us();
    let span = |from: i64, to: i64| {
        let us = u64::try_from(to - from).unwrap_or(0);
        Duration::from_micros(us).as_secs_f64() * 1000.0
    };
    let planned = Planned {
        physical,
        used: used
            .into_iter()
            .flatten()
            .map(|name| name.to_string())
            .collect(),
        began_us: planned,
        planning_ms: span(began, planned),
        execution_ms: analyze.then(|| span(planned, ended)),
    };
    Ok((planned, rows))
}

impl Planned {
    /// One line an operator, with what it took and gave; with VERBOSE another with all its measures.
    fn measured_lines(&self, of: &Explain, indent: &str, lines: &mut Vec<String>) {
        let timing = of.on("timing", true);
        let mut open: Vec<(usize, &Arc<dyn ExecutionPlan>)> = vec![(0, &self.physical)];
        while let Some((depth, plan)) = open.pop() {
            let line = DisplayableExecutionPlan::new(plan.as_ref()).one_line();
            let line = line.to_string();
            let taken = suffix(&measured(plan.as_ref(), self.began_us), timing);
            let space = "  ".repeat(depth);
            lines.push(format!("{indent}{space}{}{taken}", line.trim_end()));
            if let Some(metrics) = plan.metrics().filter(|_| of.verbose) {
                let metrics = metrics.aggregate_by_name().sorted_for_display();
                lines.push(format!("{indent}{space}  Metrics: {metrics}"));
            }
            let below = plan.children().into_iter().rev();
            open.extend(below.map(|child| (depth + 1, child)));
        }
    }
}

impl Report {
    fn lines(&self, of: &Explain) -> Vec<String> {
        let mut lines = Vec::new();
        let mut indent = "";
        if let Some((verb, table)) = &self.change {
            lines.push(format!("{verb} on {table}"));
            indent = "  ";
        }
        match &self.plan {
            None => lines.push(format!("{indent}Values")),
            Some(plan) => {
                match plan.execution_ms {
                    Some(_) => plan.measured_lines(of, indent, &mut lines),
                    None => {
                        let shown = DisplayableExecutionPlan::new(plan.physical.as_ref());
                        let text = shown.indent(of.verbose).to_string();
                        lines.extend(text.lines().map(|line| format!("{indent}{line}")));
                    }
                }
                for name in &plan.used {
                    let text = "Answered from continuous aggregate";
                    lines.push(format!("{indent}{text}: {name}"));
                }
            }
        }
        if let Some(rows) = self.rows {
            lines.push(format!("Rows: {rows}"));
        }
        if let Some(plan) = &self.plan
            && let Some(execution) = plan.execution_ms
            && of.on("summary", true)
        {
            lines.push(format!("Planning Time: {:.3} ms", plan.planning_ms));
            lines.push(format!("Execution Time: {execution:.3} ms"));
        }
        lines
    }
}
