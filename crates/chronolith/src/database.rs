//! An open data directory.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use chronolith_engine::{Engine, EngineConfig, EngineError};
use chronolith_platform::Platform;
use chronolith_types::SqlState;

/// Why something could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory can neither be found nor made.
    #[error("could not open the data directory")]
    Directory(#[source] io::Error),
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Error {
    /// The SQLSTATE.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::Directory(_) => SqlState::IO_ERROR,
            Self::Engine(error) => error.sqlstate(),
        }
    }
}

/// An open data directory; clones are handles to the same.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// let database = chronolith::Database::open(dir.path())?;
/// assert_eq!(database.overview().databases, ["template1", "postgres"]);
/// database.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Database {
    engine: Arc<Engine>,
}

/// What is in a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The databases' names, oldest first.
    pub databases: Vec<String>,
    /// Tables of all databases.
    pub tables: usize,
    /// Chunks of all hypertables.
    pub chunks: usize,
    /// Cold parts.
    pub parts: usize,
    /// Rows in cold parts.
    pub cold_rows: u64,
    /// Bytes of cold parts.
    pub cold_bytes: u64,
    /// Bytes of rows in memory.
    pub hot_bytes: usize,
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "databases   {}", self.databases.join(", "))?;
        writeln!(f, "tables      {}", self.tables)?;
        writeln!(f, "chunks      {}", self.chunks)?;
        writeln!(f, "cold parts  {}", self.parts)?;
        writeln!(f, "cold rows   {}", self.cold_rows)?;
        writeln!(f, "cold bytes  {}", self.cold_bytes)?;
        write!(f, "hot bytes   {}", self.hot_bytes)
    }
}

impl Database {
    /// Opens a data directory, making it when it is missing.
    ///
    /// # Errors
    /// F0001 when another process has it, XX001 when it is damaged, 58030 when the disk fails.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let platform = Platform::real(path.as_ref()).map_err(Error::Directory)?;
        let engine = Engine::open(platform, EngineConfig::default())?;
        Ok(Self { engine })
    }

    /// What is in it.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let catalog = self.engine.catalog();
        let tables = || {
            catalog
                .databases
                .values()
                .flat_map(|database| database.tables.values())
        };
        let hypertables = || tables().filter(|table| table.hypertable.is_some());
        Overview {
            databases: catalog
                .databases
                .values()
                .map(|database| database.name.clone())
                .collect(),
            tables: tables().count(),
            chunks: hypertables().map(|table| table.chunks.len()).sum(),
            parts: catalog.parts().count(),
            cold_rows: catalog.parts().map(|part| part.rows).sum(),
            cold_bytes: catalog
                .parts()
                .map(|part| part.data.bytes + part.directory.bytes)
                .sum(),
            hot_bytes: self.engine.hot_bytes(),
        }
    }

    /// Checks every byte of every cold part; the log and the checkpoint were checked on opening.
    /// Gives what is damaged.
    #[must_use]
    pub fn verify(&self) -> Vec<Error> {
        self.engine.verify().into_iter().map(Error::from).collect()
    }

    /// Packs what is in memory and writes a checkpoint, so that the next start replays nothing.
    ///
    /// # Errors
    /// 53100 and 58030; nothing is lost then.
    pub fn close(&self) -> Result<(), Error> {
        Ok(self.engine.close()?)
    }
}
