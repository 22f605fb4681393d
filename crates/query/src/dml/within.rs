//! A changing statement that another statement runs, whoever the current role is.

use std::pin::Pin;
use std::sync::Arc;

use chronolith_types::SqlType;
use datafusion::common::ScalarValue;

use super::bind;
use super::program::run_among;
use crate::error::Error;
use crate::references::Behind;
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
    one(shared, None, text, types, params).await
}

/// The same of what a reference does with rows that refer: who refers to these is told behind it.
///
/// # Errors
/// Likewise.
pub(crate) async fn within_reference(
    shared: &Arc<Shared>,
    behind: &Behind,
    text: &str,
    types: &[SqlType],
    params: &[ScalarValue],
) -> Result<(), Error> {
    one(shared, Some(behind), text, types, params).await
}

/// Boxed by its type: what it does may have others run within it.
fn one<'a>(
    shared: &'a Arc<Shared>,
    behind: Option<&'a Behind>,
    text: &'a str,
    types: &'a [SqlType],
    params: &'a [ScalarValue],
) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>> {
    Box::pin(async move {
        let parsed = chronolith_sql::parse(text)?;
        let Some(statement) = parsed.first() else {
            return Err(Error::internal(
                "a statement within another that says nothing",
            ));
        };
        let names = SessionNames::new(shared)?;
        let types: Vec<Option<SqlType>> = types.iter().cloned().map(Some).collect();
        let bound = bind(&names, &statement.statement, &types)?;
        run_among(shared, &bound, params, None, behind).await?;
        Ok(())
    })
}
