//! EXPLAIN ANALYZE: what each operator of a plan took and gave.

use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricValue;

/// What one operator did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// When its first thread began, ms after the plan did.
    pub(super) began_ms: f64,
    /// When its last thread ended.
    pub(super) ended_ms: f64,
    /// Rows that it gave.
    pub(super) rows: u64,
}

/// Reads the measures of an operator; one that keeps none is as long at work as those below it, and
/// gives what the one below gives.
pub(super) fn measured(plan: &dyn ExecutionPlan, began_us: i64) -> Measured {
    let below: Vec<_> = plan
        .children()
        .into_iter()
        .map(|child| measured(child.as_ref(), began_us))
        .collect();
    let (mut began, mut ended) = (None::<i64>, None::<i64>);
    let metrics = plan.metrics();
    for metric in metrics.iter().flat_map(|metrics| metrics.iter()) {
        match metric.value() {
            MetricValue::StartTimestamp(at) => {
                let at = at.value().map(|at| at.timestamp_micros());
                began = began.into_iter().chain(at).min();
            }
            MetricValue::EndTimestamp(at) => {
                let at = at.value().map(|at| at.timestamp_micros());
                ended = ended.into_iter().chain(at).max();
            }
            _ => {}
        }
    }
    let since = |at: i64| ((at - began_us).max(0)) as f64 / 1000.0;
    let first = below.iter().map(|child| child.began_ms);
    let last = below.iter().map(|child| child.ended_ms);
    let began_ms = began.map(since).or_else(|| first.reduce(f64::min));
    let ended_ms = ended.map(since).or_else(|| last.reduce(f64::max));
    let began_ms = began_ms.unwrap_or(0.0);
    let own = metrics.as_ref().and_then(|metrics| metrics.output_rows());
    Measured {
        began_ms,
        ended_ms: ended_ms.unwrap_or(0.0).max(began_ms),
        rows: match own {
            Some(rows) => rows as u64,
            None => below.iter().map(|child| child.rows).sum(),
        },
    }
}

/// What stands behind an operator, as PostgreSQL writes it; without times where TIMING is off.
pub(super) fn suffix(of: &Measured, timing: bool) -> String {
    let Measured {
        began_ms,
        ended_ms,
        rows,
    } = of;
    match timing {
        true => format!("  (actual time={began_ms:.3}..{ended_ms:.3} rows={rows} loops=1)"),
        false => format!("  (actual rows={rows} loops=1)"),
    }
}
