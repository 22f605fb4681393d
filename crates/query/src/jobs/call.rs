//! From a function's name to what it does.

use std::sync::Arc;

use datafusion::common::ScalarValue;

use super::{define, integer_now, policy};
use crate::effects::Args;
use crate::error::Error;
use crate::session::Shared;

/// What a function about jobs does; None for the name of another.
///
/// # Errors
/// What TimescaleDB says of the call.
pub(crate) fn call(
    shared: &Arc<Shared>,
    name: &str,
    args: Args<'_>,
) -> Result<Option<ScalarValue>, Error> {
    Ok(Some(match name {
        "add_job" => define::add_job(shared, args)?,
        "alter_job" => define::alter_job(shared, args)?,
        "set_integer_now_func" => integer_now::set(shared, args)?,
        "delete_job" => define::delete_job(shared, args)?,
        "add_retention_policy" => policy::retention::add(shared, args)?,
        "remove_retention_policy" => policy::retention::remove(shared, args)?,
        "add_compression_policy" | "add_columnstore_policy" => {
            policy::compression::add(shared, name, args)?
        }
        "remove_compression_policy" | "remove_columnstore_policy" => {
            policy::compression::remove(shared, name, args)?
        }
        "add_reorder_policy" => policy::reorder::add(shared, args)?,
        "remove_reorder_policy" => policy::reorder::remove(shared, args)?,
        "add_continuous_aggregate_policy" => policy::refresh::add(shared, args)?,
        "remove_continuous_aggregate_policy" => policy::refresh::remove(shared, args)?,
        "add_policies" => policy::experimental::add(shared, args)?,
        "alter_policies" => policy::experimental::alter(shared, args)?,
        "remove_policies" => policy::experimental::remove(shared, args)?,
        "remove_all_policies" => policy::experimental::remove_all(shared, args)?,
        "show_policies" => policy::experimental::show(shared, args)?,
        "policy_retention_check"
        | "policy_compression_check"
        | "policy_reorder_check"
        | "policy_refresh_continuous_aggregate_check" => {
            policy::check(shared, name, args.text(0))?;
            ScalarValue::Null
        }
        _ => return Ok(None),
    }))
}
