//! An UPDATE of one row that is a transaction by itself: the row's next version is made where the log
//! is written ([`chronolith_engine::Transaction::amend`]), from the row as it is then.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::locator_type;
use chronolith_engine::{Amended, LockMode, MakeNext, Next, Wait};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use parking_lot::Mutex;

use super::plan::Dml;
use super::rows::{compact, of_table};
use crate::bind::{ByKey, Change, What};
use crate::error::Error;
use crate::evaluate::{Formula, has_query};
use crate::functions::{SessionVars, only_computes};
use crate::insert::Checks;
use crate::references::Incoming;
use crate::routines::has_triggers;
use crate::session::{Shared, blocking, others_work};
use crate::statistics::{Operation, Rows};

/// Runs a statement that ends its transaction; how many rows it changed. None where it is to be run as
/// any other: nothing was done then.
///
/// # Errors
/// Whatever the statement meets.
pub(crate) async fn run_alone(
    shared: &Arc<Shared>,
    dml: &Dml,
    params: &[ScalarValue],
) -> Result<Option<u64>, Error> {
    let Some((change, by_key)) = candidate(dml) else {
        return Ok(None);
    };
    shared.lock_table(
        change.table.id,
        &change.table.name,
        LockMode::RowExclusive,
        Wait::Block,
    )?;
    let table = shared.catalog();
    let Some(table) = table.table(shared.database, change.table.id).cloned() else {
        return Ok(None);
    };
    if has_triggers(shared, &table, None) || Incoming::of(shared, &table)?.is_some() {
        return Ok(None);
    }
    let checks = Checks::of(shared, &table)?.of_set(&change.sets);
    if !checks.only_compute() {
        return Ok(None);
    }
    let Some(direct) = &by_key.over.direct else {
        return Ok(None);
    };
    let formula = direct.planned.formula(
        &by_key.over.input,
        direct.filter.as_ref(),
        direct.exprs.iter(),
        params,
    );
    let Some(formula) = formula else {
        return Ok(None);
    };
    let vars = Arc::new(shared.vars());
    let layout = chronolith_engine::layout_for(&table);
    let key = by_key
        .key
        .row(shared, || Arc::clone(&vars), params, &layout)?;
    let Some(key) = key else {
        return Ok(Some(0));
    };
    let refused = Arc::new(Mutex::new(None));
    let version = Version {
        table: Arc::clone(&table),
        formula,
        vars,
        params: params.to_vec(),
        checks,
    };
    let said = Arc::clone(&refused);
    let make: Box<MakeNext> = Box::new(move |old| match version.of(old) {
        Ok(Some(new)) => Next::Version(new),
        Ok(None) => Next::Same,
        Err(error) => {
            *said.lock() = Some(error);
            Next::Refused
        }
    });
    let amending = shared
        .transact(|transaction| transaction.amend(table.id, by_key.key.constraint(), &key, make))?;
    let Some(amending) = amending else {
        return Ok(None);
    };
    let amended = match others_work() {
        true => amending.await?,
        false => blocking(|| amending.wait())?,
    };
    let updated = match amended {
        Amended::Changed => 1,
        Amended::Nothing => 0,
        Amended::Refused => {
            let error = refused.lock().take();
            return Err(error.unwrap_or_else(|| Error::internal("a row that was refused")));
        }
        Amended::Otherwise => return Ok(None),
    };
    let rows = Rows {
        updated,
        ..Rows::default()
    };
    shared.count_rows(table.id, Operation::Update, rows)?;
    Ok(Some(updated))
}

/// The change of one row that a statement may come to, as far as the statement says.
fn candidate(dml: &Dml) -> Option<(&Change, &ByKey)> {
    let program = &dml.program;
    let [change] = program.changes.as_slice() else {
        return None;
    };
    let by_key = change.by_key.as_ref()?;
    let plain = matches!(change.what, What::Update(_))
        && program.main.is_none()
        && program.locks.is_empty()
        && change.current.is_none()
        && change.held.is_empty()
        && change.returning.is_none()
        && change.slot.is_none()
        && !change.keyed;
    let direct = by_key.over.direct.as_ref().filter(|_| plain)?;
    let mut exprs = direct.exprs.iter().chain(&direct.filter);
    let computes = *by_key.computes.get_or_init(|| exprs.all(computes));
    computes.then_some((change, by_key))
}

/// Whether an expression computes its value of what it is given, and asks nobody.
pub(crate) fn computes(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;

    let asks = expr.exists(|node| {
        Ok(match node {
            Expr::ScalarFunction(call) => !only_computes(&call.func),
            _ => false,
        })
    });
    !has_query(expr) && asks.is_ok_and(|asks| !asks)
}

/// What makes a row's next version.
struct Version {
    table: Arc<Table>,
    formula: Arc<Formula>,
    vars: Arc<SessionVars>,
    params: Vec<ScalarValue>,
    checks: Checks,
}

impl Version {
    /// The next version; None of a row that is not to change.
    fn of(&self, old: &RecordBatch) -> Result<Option<RecordBatch>, Error> {
        let mut given: Vec<ArrayRef> = Vec::with_capacity(old.num_columns() + 1);
        // Where the row lies is for others to know.
        let place = Decimal128Array::from_value(0, 1).with_data_type(locator_type());
        given.push(Arc::new(place));
        given.extend_from_slice(old.columns());
        let (made, rows) = self.formula.evaluate(&self.vars, given, 1, &self.params)?;
        if rows == 0 {
            return Ok(None);
        }
        let made = made.into_iter().skip(1).take(self.table.columns.len());
        let new = of_table(&self.table, made.collect(), rows)?;
        let new = self.checks.complete(&new)?;
        Ok(Some(compact(new)?))
    }
}
