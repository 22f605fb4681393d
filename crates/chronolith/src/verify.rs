//! Checking every byte of a data directory.

use std::path::Path;

use chronolith_engine::{AuditLog, AuditReport};
use chronolith_platform::Platform;
use chronolith_types::SqlState;

use crate::database::Database;
use crate::error::Error;

/// What [`verify`] found.
#[derive(Debug, Default)]
pub struct Verification {
    /// Cold parts that were read.
    pub parts: u64,
    /// Their bytes, all of which were compared with checksums.
    pub bytes: u64,
    /// What is damaged: XX001, each naming its file and the place in it.
    pub damages: Vec<Error>,
}

/// Checks the chain of a data directory's audit log. The directory may be in use.
///
/// # Errors
/// 58030 when it cannot be read.
pub fn verify_audit(path: impl AsRef<Path>, head: Option<&str>) -> Result<AuditReport, Error> {
    let path = path.as_ref();
    let platform = Platform::real(path).map_err(|source| Error {
        source: Some(Box::new(source)),
        ..Error::new(
            SqlState::IO_ERROR,
            format!("could not open data directory \"{}\"", path.display()),
        )
    })?;
    Ok(AuditLog::verify(&platform, head)?)
}

/// Compares every byte of the log, the checkpoint and the cold parts of a data directory with its
/// checksums. Damage that keeps the directory from opening is reported, not returned as an error.
///
/// ```
/// use chronolith::{Database, verify};
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let db = Database::open(dir.path())?;
/// db.connect()?.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)")?;
/// db.close()?;
/// let found = verify(dir.path())?;
/// assert_eq!(found.parts, 1);
/// assert!(found.damages.is_empty());
/// # Ok::<(), chronolith::Error>(())
/// ```
///
/// # Errors
/// F0001 when another process holds the directory, 58030 when it cannot be read.
pub fn verify(path: impl AsRef<Path>) -> Result<Verification, Error> {
    // Opening reads the newest checkpoint and all of the log behind it, checksums and all.
    let db = match Database::builder().jobs(false).open(path) {
        Ok(db) => db,
        Err(error) if error.code == SqlState::DATA_CORRUPTED => {
            return Ok(Verification {
                damages: vec![error],
                ..Verification::default()
            });
        }
        Err(error) => return Err(error),
    };
    let catalog = db.engine().catalog();
    Ok(Verification {
        parts: catalog.parts().map(|_| 1).sum(),
        bytes: catalog
            .parts()
            .map(|part| part.data.bytes + part.directory.bytes)
            .sum(),
        damages: db.engine().verify().into_iter().map(Error::from).collect(),
    })
}
