//! What can go wrong, as a Postgres client would be told.

use chronolith_types::SqlState;

/// Why a call failed: PostgreSQL's code and sentence, and what caused it.
///
/// ```
/// use chronolith::{Database, SqlState};
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let db = Database::open(dir.path())?;
/// let mut connection = db.connect()?;
/// let error = connection.execute("SELECT 1 / 0").unwrap_err();
/// assert_eq!(error.code, SqlState::DIVISION_BY_ZERO);
/// assert_eq!(error.message, "division by zero");
/// # Ok::<(), chronolith::Error>(())
/// ```
pub use chronolith_query::Error;

/// 22023 for a value that a setting does not take.
pub(crate) fn invalid_setting(name: &str, value: &str, hint: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
    .hint(hint)
}
