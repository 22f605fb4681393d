//! `set_integer_now_func`: what time it is where times are whole numbers.

use std::sync::Arc;

use chronolith_catalog::{Change, Volatility};
use chronolith_types::{RoutineId, SqlState};
use datafusion::common::ScalarValue;

use super::target::Target;
use crate::effects::{Args, procedure_of};
use crate::error::Error;
use crate::session::Shared;

pub(super) fn set(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    if args.get(0).is_none() || args.get(1).is_none() {
        return Ok(ScalarValue::Null);
    }
    let target = Target::of(shared, args, "hypertable")?;
    let oid = args.need(args.oid(1), "integer_now_func")?;
    if target.hypertable.integer_now.is_some() && args.bool(2) != Some(true) {
        return Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!(
                "custom time function already set for hypertable \"{}\"",
                target.name
            ),
        ));
    }
    if !target.whole() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "custom time function not supported",
        )
        .hint(
            "A custom time function can only be set for hypertables that have integer time \
             dimensions.",
        ));
    }
    let home = shared.home()?;
    let fits = home.routines.get(&RoutineId(oid)).is_some_and(|routine| {
        let result = routine.result.as_ref();
        routine.args.is_empty()
            && routine.volatility != Volatility::Volatile
            && result.is_some_and(|result| !result.set && result.ty == target.time)
    });
    if !fits {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid custom time function",
        )
        .hint(
            "A custom time function must take no arguments, be STABLE, and return the same type \
             as the time dimension of the hypertable.",
        ));
    }
    shared.change(Change::SetIntegerNow {
        database: shared.database,
        table: target.table.id,
        function: Some(procedure_of(shared, oid)?),
    })?;
    Ok(ScalarValue::Null)
}
