//! EXPLAIN (FORMAT JSON): PostgreSQL's names where a plan has what they name.

use chronolith_sql::Explain;
use chronolith_types::text::write_json_string;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::display::DisplayableExecutionPlan;

use super::Report;
use super::measured::measured;

/// A value to be written.
enum Json {
    Text(String),
    /// Digits, as they are.
    Number(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

/// The whole answer: a list with one object a query or change.
pub(super) fn document(reports: &[Report], of: &Explain) -> String {
    let reports = reports.iter().map(|report| object(report, of)).collect();
    let mut out = String::new();
    Json::List(reports).write(0, &mut out);
    out
}

fn object(report: &Report, of: &Explain) -> Json {
    let mut fields = Vec::new();
    let source = report.plan.as_ref();
    let source = source.map(|plan| {
        let began = plan.execution_ms.map(|_| plan.began_us);
        node(plan.physical.as_ref(), of, began)
    });
    let plan = match &report.change {
        None => source,
        Some((verb, table)) => {
            let mut change = vec![
                ("Node Type", Json::Text("ModifyTable".to_owned())),
                ("Operation", Json::Text(verb.clone())),
                ("Relation Name", Json::Text(table.clone())),
            ];
            change.extend(report.rows.map(|rows| ("Actual Rows", number(rows))));
            change.extend(source.map(|source| ("Plans", Json::List(vec![source]))));
            Some(Json::Object(change))
        }
    };
    fields.extend(plan.map(|plan| ("Plan", plan)));
    if let Some(plan) = &report.plan {
        if !plan.used.is_empty() {
            let names = plan.used.iter().cloned().map(Json::Text).collect();
            fields.push(("Continuous Aggregates", Json::List(names)));
        }
        if let Some(execution) = plan.execution_ms {
            fields.push(("Planning Time", milliseconds(plan.planning_ms)));
            fields.push(("Triggers", Json::List(Vec::new())));
            fields.push(("Execution Time", milliseconds(execution)));
        }
    }
    Json::Object(fields)
}

/// An operator with those below it, and where it was run, its measures; `began_us` is when.
fn node(plan: &dyn ExecutionPlan, of: &Explain, began_us: Option<i64>) -> Json {
    let mut fields = vec![("Node Type", Json::Text(plan.name().to_owned()))];
    let line = DisplayableExecutionPlan::new(plan).one_line().to_string();
    let line = line.trim();
    // The line begins with the node's name.
    let detail = line.split_once(": ").map_or("", |(_, detail)| detail);
    if !detail.is_empty() {
        fields.push(("Details", Json::Text(detail.to_owned())));
    }
    if of.verbose {
        let schema = plan.schema();
        let names = schema.fields().iter();
        let names = names
            .map(|field| Json::Text(field.name().clone()))
            .collect();
        fields.push(("Output", Json::List(names)));
    }
    if let Some(began_us) = began_us {
        let taken = measured(plan, began_us);
        if of.on("timing", true) {
            fields.push(("Actual Startup Time", milliseconds(taken.began_ms)));
            fields.push(("Actual Total Time", milliseconds(taken.ended_ms)));
        }
        fields.push(("Actual Rows", number(taken.rows)));
        fields.push(("Actual Loops", number(1)));
    }
    let children = plan.children().into_iter();
    let children: Vec<Json> = children
        .map(|child| node(child.as_ref(), of, began_us))
        .collect();
    if !children.is_empty() {
        fields.push(("Plans", Json::List(children)));
    }
    Json::Object(fields)
}

fn number(value: u64) -> Json {
    Json::Number(value.to_string())
}

fn milliseconds(value: f64) -> Json {
    Json::Number(format!("{value:.3}"))
}

impl Json {
    fn write(&self, depth: usize, out: &mut String) {
        let line = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        };
        match self {
            Self::Text(text) => write_json_string(text, out),
            Self::Number(digits) => out.push_str(digits),
            Self::List(items) if items.is_empty() => out.push_str("[]"),
            Self::List(items) => {
                for (place, item) in items.iter().enumerate() {
                    out.push(if place == 0 { '[' } else { ',' });
                    line(depth + 1, out);
                    item.write(depth + 1, out);
                }
                line(depth, out);
                out.push(']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (place, (name, value)) in fields.iter().enumerate() {
                    if place > 0 {
                        out.push(',');
                    }
                    line(depth + 1, out);
                    write_json_string(name, out);
                    out.push_str(": ");
                    value.write(depth + 1, out);
                }
                line(depth, out);
                out.push('}');
            }
        }
    }
}
