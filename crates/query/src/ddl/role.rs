//! Roles: CREATE and ALTER ROLE.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_catalog::{Change, Privilege, Role};
use chronolith_sql::{Opt, SettingChange, Spelled};
use chronolith_types::datetime::parse_timestamptz;
use chronolith_types::{RoleId, SqlState};

use super::run::demand;
use super::schema::{no_database, no_role, set_of_role};
use super::table::check_name;
use crate::error::Error;
use crate::password;
use crate::session::Shared;

pub(super) fn create(
    shared: &Arc<Shared>,
    name: &str,
    user: bool,
    options: &[Opt],
) -> Result<(), Error> {
    demand(shared, Privilege::CreateRole, "create role")?;
    check_name(name)?;
    if matches!(name, "public" | "none") {
        return Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("role name \"{name}\" is reserved"),
        ));
    }
    if name.starts_with("pg_") {
        return Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("role name \"{name}\" is reserved"),
        )
        .detail("Role names starting with \"pg_\" are reserved."));
    }
    if shared.catalog().role_named(name).is_some() {
        return Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!("role \"{name}\" already exists"),
        ));
    }
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    let mut role = Role {
        id: RoleId(id),
        name: name.to_owned(),
        privileges: Vec::new(),
        verifier: None,
        member_of: Vec::new(),
        admin_of: Vec::new(),
        settings_in: BTreeMap::new(),
        noinherit: false,
        settings: BTreeMap::new(),
        sessions_max: None,
        valid_until_us: None,
    };
    if user {
        role.privileges.push(Privilege::Login);
    }
    apply(shared, &mut role, options)?;
    shared.change_unguarded(Change::CreateRole { role })?;
    super::grant::let_in(shared, name, options)
}

pub(super) fn alter(
    shared: &Arc<Shared>,
    name: &str,
    options: &[Opt],
    rename: Option<&Spelled>,
    (set, database): (Option<&SettingChange>, Option<&Spelled>),
) -> Result<(), Error> {
    let catalog = shared.catalog();
    let current = shared.with(|state| state.user.clone());
    let name = match name {
        "current_user" | "current_role" | "session_user" => current.as_str(),
        name => name,
    };
    let own_password = name == current
        && options.iter().all(|option| option.name == "password")
        && rename.is_none();
    let own_setting = name == current && options.is_empty() && rename.is_none() && set.is_some();
    let mut role = catalog
        .role_named(name)
        .map(|role| Role::clone(role))
        .ok_or_else(|| no_role(name))?;
    if role.may(Privilege::Superuser) {
        superuser_only(
            shared,
            match rename {
                Some(_) => "must be superuser to rename superusers",
                None => "must be superuser to alter superuser roles or change superuser attribute",
            },
        )?;
    }
    if !own_password && !own_setting {
        demand(shared, Privilege::CreateRole, "alter role")?;
    }
    apply(shared, &mut role, options)?;
    if let Some(rename) = rename {
        check_name(&rename.value)?;
        refuse_reserved(&role)?;
        if catalog.role_named(&rename.value).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!("role \"{}\" already exists", rename.value),
            ));
        }
        role.name.clone_from(&rename.value);
    }
    if let Some(set) = set {
        let settings = match database {
            None => &mut role.settings,
            Some(name) => {
                let found = catalog.database_named(&name.value);
                let found = found.ok_or_else(|| no_database(&name.value))?;
                role.settings_in.entry(found.id).or_default()
            }
        };
        set_of_role(shared, settings, set)?;
        role.settings_in.retain(|_, settings| !settings.is_empty());
    }
    shared.change_unguarded(Change::ChangeRole { role })
}

/// 42501 in these words unless the current role is a superuser.
pub(super) fn superuser_only(shared: &Shared, words: &str) -> Result<(), Error> {
    let catalog = shared.catalog();
    match catalog.is_superuser(shared.role(&catalog)?) {
        true => Ok(()),
        false => Err(Error::new(SqlState::INSUFFICIENT_PRIVILEGE, words)),
    }
}

/// 42939 for a role that every server has.
fn refuse_reserved(role: &Role) -> Result<(), Error> {
    match role.name.starts_with("pg_") {
        false => Ok(()),
        true => Err(Error::new(
            SqlState::RESERVED_NAME,
            format!("role name \"{}\" is reserved", role.name),
        )
        .detail("Role names starting with \"pg_\" are reserved.")),
    }
}

fn apply(shared: &Arc<Shared>, role: &mut Role, options: &[Opt]) -> Result<(), Error> {
    for option in options {
        let (on, word) = match option.name.strip_prefix("no") {
            Some(word) => (false, word),
            None => (true, option.name.as_str()),
        };
        let privilege = match word {
            "superuser" => Privilege::Superuser,
            "login" => Privilege::Login,
            "createdb" => Privilege::CreateDatabase,
            "createrole" => Privilege::CreateRole,
            "replication" => Privilege::Replication,
            "bypassrls" => Privilege::BypassRowSecurity,
            "password" => {
                role.verifier = match option.value.as_deref() {
                    None | Some("") => None,
                    Some(text) => Some(password::verifier_of(text)?),
                };
                continue;
            }
            "connection limit" => {
                let limit = option.value.as_deref().unwrap_or_default();
                let limit = limit.parse::<i64>().ok().filter(|limit| *limit >= -1);
                let limit = limit.and_then(|limit| i32::try_from(limit).ok());
                let limit = limit.ok_or_else(|| {
                    let given = option.value.as_deref().unwrap_or_default();
                    let message = format!("invalid connection limit: {given}");
                    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
                })?;
                role.sessions_max = u32::try_from(limit).ok();
                continue;
            }
            "valid until" => {
                let text = option.value.as_deref().unwrap_or_default().trim();
                let until = parse_timestamptz(text.as_bytes(), &shared.time_zone())?;
                role.valid_until_us = Some(until);
                continue;
            }
            "inherit" => {
                role.noinherit = !on;
                continue;
            }
            "encrypted" if on => continue,
            // Members and groups, which are let in once the role is there.
            "in role" | "role" | "user" | "admin" if on => continue,
            other => {
                return Err(Error::unsupported(format!(
                    "role option {}",
                    other.to_uppercase()
                )));
            }
        };
        match privilege {
            Privilege::Superuser => superuser_only(
                shared,
                "must be superuser to alter superuser roles or change superuser attribute",
            )?,
            Privilege::Replication => superuser_only(
                shared,
                "must be superuser to alter replication roles or change replication attribute",
            )?,
            Privilege::BypassRowSecurity => {
                superuser_only(shared, "must be superuser to change bypassrls attribute")?;
            }
            _ => {}
        }
        role.privileges.retain(|known| *known != privilege);
        if on {
            role.privileges.push(privilege);
        }
    }
    Ok(())
}
