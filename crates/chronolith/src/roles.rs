//! What a server must know of roles before it lets them in.

use chronolith_catalog::Privilege;

use crate::database::Database;
use crate::error::Error;
use chronolith_query::password;

/// A role, as authentication sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleSummary {
    /// Its name.
    pub name: String,
    /// Whether it may log in.
    pub login: bool,
    /// Whether it may do everything.
    pub superuser: bool,
    /// What is kept of its password, in the form of [`password::Verifier`]; None when it has none.
    pub verifier: Option<String>,
    /// Whether its password is past its end.
    pub expired: bool,
}

impl Database {
    /// A role by its name.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// let postgres = db.role("postgres").expect("born with it");
    /// assert!(postgres.superuser && postgres.verifier.is_none());
    /// db.set_password("postgres", "s3cret")?;
    /// assert!(db.role("postgres").expect("still there").verifier.is_some());
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    #[must_use]
    pub fn role(&self, name: &str) -> Option<RoleSummary> {
        self.roles().into_iter().find(|role| role.name == name)
    }

    /// All roles.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleSummary> {
        let catalog = self.engine().catalog();
        let now = self.engine().clock().wall_us();
        let roles = catalog.roles.values();
        roles
            .map(|role| RoleSummary {
                name: role.name.clone(),
                login: role.privileges.contains(&Privilege::Login),
                superuser: role.privileges.contains(&Privilege::Superuser),
                verifier: role.verifier.clone(),
                expired: role.valid_until_us.is_some_and(|end| end < now),
            })
            .collect()
    }

    /// Gives a role a password; only its verifier is kept.
    ///
    /// # Errors
    /// 42704 for a role that does not exist.
    pub fn set_password(&self, role: &str, text: &str) -> Result<(), Error> {
        let verifier = password::verifier_of(text)?;
        let role = role.replace('"', "\"\"");
        // A verifier's text holds no quotes.
        let sql = format!("ALTER ROLE \"{role}\" PASSWORD '{verifier}'");
        self.connect()?.execute(&sql).map(|_| ())
    }
}
