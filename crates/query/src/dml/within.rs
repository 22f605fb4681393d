//! A changing statement that another statement runs, whoever the current role is.

use std::sync::Arc;

use chronolith_types::SqlType;
use datafusion::common::ScalarValue;

use super::{bind, run};
use crate::error::Error;
use crate::session::{SessionNames, Shared};

/// Runs a statement within the one that runs: nobody looks whether the current role may.
///
/// # Errors
/// Whatever it meets.
pub(crate) async fn within(
    shared: &Arc<Shared>,
    text: &str,
    types: &[SqlType],
    params: &[ScalarValue],
) -> Result<(), Error> {
    let parsed = chronolith_sql::parse(text)?;
    let Some(statement) = parsed.first() else {
        return Err(Error::internal(
            "a statement within another that says nothing",
        ));
    };
    let names = SessionNames::new(shared)?;
    let types: Vec<Option<SqlType>> = types.iter().cloned().map(Some).collect();
    let bound = bind(&names, &statement.statement, &types)?;
    // What it does may have others run within it.
    Box::pin(run(shared, &bound, params, None)).await?;
    Ok(())
}
