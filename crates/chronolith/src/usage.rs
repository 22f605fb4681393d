//! What an open database uses, for whoever watches it.

use chronolith_catalog::Privilege;

use crate::connection::Connection;
use crate::database::Database;
use crate::error::Error;
use crate::{SessionOptions, SqlState};

/// Memory and disk of an open database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of rows in memory, with those of their keys.
    pub hot_bytes: u64,
    /// Bytes that they may have: `hot_memory`.
    pub hot_bytes_max: u64,
    /// Bytes of the log and of the catalog's checkpoints.
    pub log_bytes: u64,
    /// Bytes that the disk of the directory has left; None when the system does not say.
    pub disk_free_bytes: Option<u64>,
}

impl Database {
    /// What it uses at this moment.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// let usage = db.usage();
    /// assert!(usage.hot_bytes <= usage.hot_bytes_max && usage.log_bytes > 0);
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    #[must_use]
    pub fn usage(&self) -> Usage {
        let engine = self.engine();
        Usage {
            hot_bytes: engine.hot_bytes() as u64,
            hot_bytes_max: self.config().hot_bytes_max,
            log_bytes: engine.shared_bytes(),
            disk_free_bytes: engine.disk_free_bytes(),
        }
    }

    /// Whether the disk has failed it: every write is refused until it is opened anew.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.engine().poisoned()
    }

    /// The names of the databases that can be connected to, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let catalog = self.engine().catalog();
        let databases = catalog.databases.values();
        let mut names: Vec<_> = databases.map(|database| database.name.clone()).collect();
        names.sort();
        names
    }

    /// A connection of the process itself, not of a client: as a superuser, shown as a background
    /// worker of that name, and counted among no clients.
    ///
    /// # Errors
    /// 3D000 for a database that does not exist.
    pub fn connect_as_process(&self, database: &str, name: &str) -> Result<Connection, Error> {
        let catalog = self.engine().catalog();
        let mut roles = catalog.roles.values();
        let superuser = roles.find(|role| role.privileges.contains(&Privilege::Superuser));
        let superuser = superuser.ok_or_else(|| {
            Error::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                "there is no superuser",
            )
        })?;
        let session = self.session(SessionOptions {
            database: database.to_owned(),
            user: superuser.name.clone(),
            application_name: name.to_owned(),
            background: true,
            ..SessionOptions::default()
        })?;
        Ok(Connection::new(self.clone(), session))
    }
}
