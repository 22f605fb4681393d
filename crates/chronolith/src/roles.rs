//! What a server must know of roles before it lets them in.

use std::collections::BTreeMap;

use chronolith_catalog::{Catalog, Privilege, Role};

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
    /// The roles that it is a member of, also by way of others, and itself.
    pub member_of: Vec<String>,
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
        let catalog = self.engine().catalog();
        let now_us = self.engine().clock().wall_us();
        let role = catalog.role_named(name)?;
        Some(summary(&catalog, role, now_us))
    }

    /// All roles.
    #[must_use]
    pub fn roles(&self) -> Vec<RoleSummary> {
        let catalog = self.engine().catalog();
        let now = self.engine().clock().wall_us();
        let roles = catalog.roles.values();
        roles.map(|role| summary(&catalog, role, now)).collect()
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

fn summary(catalog: &Catalog, role: &Role, now_us: i64) -> RoleSummary {
    let mut member_of = BTreeMap::from([(role.id, role.name.clone())]);
    let mut open = vec![role];
    while let Some(role) = open.pop() {
        for group in role.member_of.iter().filter_map(|id| catalog.roles.get(id)) {
            if member_of.insert(group.id, group.name.clone()).is_none() {
                open.push(group);
            }
        }
    }
    RoleSummary {
        name: role.name.clone(),
        login: role.privileges.contains(&Privilege::Login),
        superuser: role.privileges.contains(&Privilege::Superuser),
        verifier: role.verifier.clone(),
        expired: role.valid_until_us.is_some_and(|end| end < now_us),
        member_of: member_of.into_values().collect(),
    }
}
