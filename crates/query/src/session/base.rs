//! What a session starts with, and what of it changes when the files of settings are read again.

use std::collections::BTreeMap;

use chronolith_catalog::{Catalog, Database, Privilege, Role};

use super::shared::Shared;
use crate::error::Error;
use crate::instance::Instance;
use crate::settings::{Base, may_set};

/// The settings of the server, the database and the role, one over the other.
pub(super) fn base_of(
    instance: &Instance,
    catalog: &Catalog,
    database: &Database,
    role: &Role,
) -> Base {
    let mut base = Base::default();
    let superuser = role.privileges.contains(&Privilege::Superuser);
    let own = [
        ("is_superuser", if superuser { "on" } else { "off" }),
        ("session_authorization", role.name.as_str()),
    ];
    base.add("configuration file", instance.conf().values());
    base.add("command line", pairs(&instance.settings.read()));
    // Of data directories from before there was a file that ALTER SYSTEM writes.
    base.add("configuration file", pairs(&catalog.settings));
    base.add("database", pairs(&database.settings));
    base.add("user", pairs(&role.settings));
    if let Some(settings) = role.settings_in.get(&database.id) {
        base.add("database user", pairs(settings));
    }
    base.add("override", own.into_iter());
    base
}

fn pairs(layer: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    let all = layer.iter();
    all.map(|(name, value)| (name.as_str(), value.as_str()))
}

impl Shared {
    /// Takes over what the files of settings say now, if they were read again.
    pub(super) fn follow_conf(&self) {
        let revision = self.instance.conf_revision();
        let login = self.with(|state| match state.conf_revision == revision {
            true => None,
            false => {
                state.conf_revision = revision;
                Some(state.login.clone())
            }
        });
        let Some(login) = login else {
            return;
        };
        let catalog = self.instance.engine.catalog();
        let database = catalog.databases.get(&self.database);
        if let (Some(database), Some(role)) = (database, catalog.role_named(&login)) {
            let base = base_of(&self.instance, &catalog, database, role);
            self.with(|state| state.settings.set_base(base));
        }
    }

    /// Looks whether the current role may set a parameter now.
    ///
    /// # Errors
    /// 42501 for a superuser's, 55P02 for one that is set when a session starts.
    pub(crate) fn may_set(&self, name: &str) -> Result<(), Error> {
        let catalog = self.catalog();
        may_set(name, catalog.is_superuser(self.role(&catalog)?), true)
    }
}
