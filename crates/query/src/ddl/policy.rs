//! CREATE, ALTER and DROP POLICY, and ALTER TABLE … ROW LEVEL SECURITY.

use std::sync::Arc;

use chronolith_catalog::{Change, Policy, PolicyCommand, RowSecurity, Table};
use chronolith_sql::{Name, PolicyStatement, Spelled, SqlText};
use chronolith_types::{RoleId, SqlState};

use super::alter::role_of;
use super::table::check_name;
use crate::bind::bind_policy;
use crate::error::Error;
use crate::insert::undefined_table;
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared};

fn table_of(shared: &Arc<Shared>, name: &Name) -> Result<Arc<Table>, Error> {
    if let Some(table) = shared.find_table(name.schema(), name.name())? {
        shared.check_owner(table.id)?;
        return Ok(table);
    }
    match shared.find_view(name.schema(), name.name())? {
        Some(view) => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a table", view.name),
        )),
        None => Err(undefined_table(name.schema(), name.name())),
    }
}

fn security_of(shared: &Shared, table: &Table) -> Result<RowSecurity, Error> {
    let home = shared.home()?;
    let known = home.row_security.get(&table.id);
    Ok(known
        .map(|known| RowSecurity::clone(known))
        .unwrap_or_default())
}

fn set(shared: &Arc<Shared>, table: &Table, security: RowSecurity) -> Result<(), Error> {
    shared.change(Change::SetRowSecurity {
        database: shared.database,
        table: table.id,
        security: Box::new(security),
    })
}

/// ENABLE, DISABLE, FORCE and NO FORCE ROW LEVEL SECURITY.
pub(super) fn switch(
    shared: &Arc<Shared>,
    table: &Table,
    enabled: Option<bool>,
    forced: Option<bool>,
) -> Result<(), Error> {
    shared.check_owner(table.id)?;
    let mut security = security_of(shared, table)?;
    security.enabled = enabled.unwrap_or(security.enabled);
    security.forced = forced.unwrap_or(security.forced);
    set(shared, table, security)
}

pub(super) fn run(shared: &Arc<Shared>, of: &PolicyStatement) -> Result<(), Error> {
    let table = table_of(shared, &of.table)?;
    let mut security = security_of(shared, &table)?;
    let name = &of.name.value;
    let place = security
        .policies
        .iter()
        .position(|known| known.name == *name);
    if !of.alter {
        check_name(name)?;
        if place.is_some() {
            return Err(exists(name, &table));
        }
        let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
        let made = made(shared, &table, of, id)?;
        security.policies.push(made);
        return set(shared, &table, security);
    }
    let place = place.ok_or_else(|| missing(name, &table))?;
    if let Some(to) = &of.rename {
        check_name(&to.value)?;
        let mut known = security.policies.iter();
        if known.any(|known| known.name == to.value) {
            return Err(exists(&to.value, &table));
        }
    }
    let roles = of.roles.as_deref().map(|roles| roles_of(shared, roles));
    let roles = roles.transpose()?;
    if let Some(policy) = security.policies.get_mut(place) {
        if let Some(to) = &of.rename {
            policy.name.clone_from(&to.value);
        }
        if let Some(roles) = roles {
            policy.roles = roles;
        }
        refuse_needless(policy.command, of)?;
        if let Some(using) = &of.using {
            policy.using = Some(checked(shared, &table, using)?);
        }
        if let Some(check) = &of.check {
            policy.check = Some(checked(shared, &table, check)?);
        }
    }
    set(shared, &table, security)
}

pub(super) fn drop(
    shared: &Arc<Shared>,
    name: &Spelled,
    table: &Name,
    if_exists: bool,
) -> Result<(), Error> {
    let skip = |message: String| {
        let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
        shared.notice(Severity::Notice, notice);
    };
    let table = match table_of(shared, table) {
        Err(error) if if_exists && error.code == SqlState::UNDEFINED_TABLE => {
            skip(format!("{}, skipping", error.message));
            return Ok(());
        }
        found => found?,
    };
    let mut security = security_of(shared, &table)?;
    let before = security.policies.len();
    security.policies.retain(|known| known.name != name.value);
    if security.policies.len() == before {
        let error = missing(&name.value, &table);
        if !if_exists {
            return Err(error);
        }
        skip(format!(
            "policy \"{}\" for relation \"{}\" does not exist, skipping",
            name.value, table.name
        ));
        return Ok(());
    }
    set(shared, &table, security)
}

/// The policies of a table that name a column, with their oids.
pub(super) fn of_column(
    shared: &Arc<Shared>,
    table: &Table,
    column: &str,
) -> Result<Vec<(u32, String)>, Error> {
    let mut named = Vec::new();
    for policy in security_of(shared, table)?.policies {
        let mut names = false;
        for text in policy.using.iter().chain(&policy.check) {
            names |= chronolith_sql::names_column(text, column)?;
        }
        if names {
            named.push((policy.id, policy.name));
        }
    }
    Ok(named)
}

/// A policy goes with a column that it names.
pub(super) fn drop_named(shared: &Arc<Shared>, table: &Table, name: &str) -> Result<(), Error> {
    let mut security = security_of(shared, table)?;
    security.policies.retain(|policy| policy.name != name);
    set(shared, table, security)
}

/// Policies follow a column to its new name.
pub(super) fn rename_column(
    shared: &Arc<Shared>,
    table: &Table,
    from: &str,
    to: &str,
) -> Result<(), Error> {
    let before = security_of(shared, table)?;
    let mut security = before.clone();
    for policy in &mut security.policies {
        for text in policy.using.iter_mut().chain(&mut policy.check) {
            *text = chronolith_sql::rename_column(text, from, to)?;
        }
    }
    match security == before {
        true => Ok(()),
        false => set(shared, table, security),
    }
}

fn made(
    shared: &Arc<Shared>,
    table: &Table,
    of: &PolicyStatement,
    id: u32,
) -> Result<Policy, Error> {
    let command = match of.command.as_str() {
        "select" => PolicyCommand::Select,
        "insert" => PolicyCommand::Insert,
        "update" => PolicyCommand::Update,
        "delete" => PolicyCommand::Delete,
        _ => PolicyCommand::All,
    };
    refuse_needless(command, of)?;
    let text = |text: &Option<SqlText>| {
        let text = text.as_ref();
        text.map(|text| checked(shared, table, text)).transpose()
    };
    Ok(Policy {
        id,
        name: of.name.value.clone(),
        permissive: !of.restrictive,
        command,
        roles: match &of.roles {
            Some(roles) => roles_of(shared, roles)?,
            None => vec![None],
        },
        using: text(&of.using)?,
        check: text(&of.check)?,
    })
}

/// Rows that are made are checked, those that are there are looked at: not the other way round.
fn refuse_needless(command: PolicyCommand, of: &PolicyStatement) -> Result<(), Error> {
    let words = match command {
        PolicyCommand::Select | PolicyCommand::Delete if of.check.is_some() => match of.alter {
            true => "only USING expression allowed for SELECT, DELETE",
            false => "WITH CHECK cannot be applied to SELECT or DELETE",
        },
        PolicyCommand::Insert if of.using.is_some() => {
            "only WITH CHECK expression allowed for INSERT"
        }
        _ => return Ok(()),
    };
    Err(Error::new(SqlState::SYNTAX_ERROR, words))
}

fn roles_of(shared: &Arc<Shared>, named: &[Spelled]) -> Result<Vec<Option<RoleId>>, Error> {
    if named.iter().any(|role| role.value == "public") {
        if named.len() > 1 {
            let warning = Error::new(
                SqlState::new(b"01000"),
                "ignoring specified roles other than PUBLIC",
            )
            .hint("All roles are members of the PUBLIC role.");
            shared.notice(Severity::Warning, warning);
        }
        return Ok(vec![None]);
    }
    let roles = named.iter();
    roles
        .map(|role| role_of(shared, &role.value).map(Some))
        .collect()
}

/// The condition's text, once it is one.
fn checked(shared: &Arc<Shared>, table: &Table, text: &SqlText) -> Result<String, Error> {
    let names = SessionNames::new(shared)?;
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect();
    bind_policy(&names, &text.expr, &table.name, &columns).map_err(|mut error| {
        error.position = None;
        error
    })?;
    Ok(text.text.clone())
}

fn exists(name: &str, table: &Table) -> Error {
    Error::new(
        SqlState::DUPLICATE_OBJECT,
        format!(
            "policy \"{name}\" for table \"{}\" already exists",
            table.name
        ),
    )
}

fn missing(name: &str, table: &Table) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!(
            "policy \"{name}\" for table \"{}\" does not exist",
            table.name
        ),
    )
}
