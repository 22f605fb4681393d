//! Each statement to the file that knows it.

use std::sync::Arc;

use chronolith_catalog::Privilege;
use chronolith_sql::{AlterAction, AlterTable, Statement};
use chronolith_types::{RoleId, SqlState};

use super::{
    alter, comment, drop, extension, grant, index, materialized, owned, policy, publication, role,
    routine, schema, sequence, table, trigger, user_types, view,
};
use crate::arrivals;
use crate::error::Error;
use crate::labels;
use crate::session::Shared;

/// Runs a statement; its command tag.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub(crate) async fn run(
    shared: &Arc<Shared>,
    statement: &Statement,
    tag: &str,
) -> Result<String, Error> {
    if arrivals::run(shared, statement)? {
        return Ok(tag.to_owned());
    }
    shared.lock_defined(statement)?;
    match statement {
        Statement::CreateTable(create) => table::create(shared, create)?,
        Statement::CreateTableAs(create) => return table::create_as(shared, create, None).await,
        Statement::CreateView(create) if create.materialized => {
            return materialized::create(shared, create, tag).await;
        }
        Statement::CreateView(create) => view::create(shared, create)?,
        Statement::Refresh {
            name,
            concurrently,
            with_data,
        } => materialized::refresh(shared, name, *concurrently, *with_data).await?,
        Statement::CreateIndex(create) => index::create(shared, create)?,
        Statement::CreateRoutine(create) => routine::create(shared, create)?,
        Statement::CreateType(create) => user_types::create(shared, create)?,
        Statement::CreateDomain(create) => user_types::create_domain(shared, create)?,
        Statement::AlterType(of) => user_types::alter(shared, of)?,
        Statement::CreateSequence(create) => sequence::create(shared, create)?,
        Statement::AlterSequence(of) => sequence::alter(shared, of)?,
        Statement::CreatePublication(create) => publication::create(shared, create)?,
        Statement::AlterPublication(of) => publication::alter(shared, of)?,
        Statement::CreateTrigger(create) => trigger::create(shared, create)?,
        Statement::DropTrigger {
            name,
            table,
            if_exists,
        } => trigger::drop(shared, name, table, *if_exists)?,
        Statement::AlterTrigger { name, table, to } => trigger::rename(shared, name, table, to)?,
        Statement::Policy(of) => policy::run(shared, of)?,
        Statement::DropPolicy {
            name,
            table,
            if_exists,
        } => policy::drop(shared, name, table, *if_exists)?,
        Statement::AlterRoutine(alter) => routine::alter(shared, alter)?,
        Statement::CreateSchema(create) => schema::create(shared, create)?,
        Statement::CreateDatabase { name, options } => {
            schema::create_database(shared, &name.value, options)?;
        }
        Statement::CreateExtension {
            name,
            if_not_exists,
            options,
        } => extension::create(shared, &name.value, *if_not_exists, options)?,
        Statement::AlterExtension { name, version } => {
            extension::update(shared, &name.value, version.as_deref())?;
        }
        Statement::CreateRole {
            name,
            user,
            options,
        } => role::create(shared, &name.value, *user, options)?,
        Statement::AlterRole {
            name,
            options,
            rename,
            set,
            database,
        } => {
            let set = (set.as_ref(), database.as_ref());
            role::alter(shared, &name.value, options, rename.as_ref(), set)?;
        }
        Statement::AlterDatabase {
            name,
            options,
            rename,
            owner,
            set,
        } => {
            if !options.is_empty() {
                return Err(Error::unsupported("this form of ALTER DATABASE"));
            }
            let change = schema::DatabaseChange {
                rename: rename.as_ref(),
                owner: owner.as_ref(),
                set: set.as_ref(),
            };
            schema::alter_database(shared, &name.value, change)?;
        }
        Statement::AlterSchema {
            name,
            rename,
            owner,
        } => schema::alter(shared, &name.value, rename.as_ref(), owner.as_ref())?,
        Statement::Grant(of) => grant::run(shared, of)?,
        Statement::Owned { roles, to, cascade } => {
            owned::run(shared, roles, to.as_ref(), *cascade)?;
        }
        Statement::DefaultPrivileges(of) => grant::defaults(shared, of)?,
        Statement::AlterSystem(set) => schema::set_of_system(shared, set)?,
        Statement::AlterTable(of) => alter::run(shared, of)
            .await
            .map_err(|error| unplaced(of, error))?,
        Statement::Drop(of) => drop::run(shared, of)?,
        Statement::Truncate {
            tables,
            cascade,
            restart_identity,
            only: _,
        } => drop::truncate(shared, tables, *cascade, *restart_identity).await?,
        Statement::Comment {
            kind,
            name,
            signature,
            text,
        } => comment::run(shared, *kind, name, signature.as_deref(), text.as_deref())?,
        Statement::Label(of) => labels::run(shared, of)?,
        _ => return Err(Error::unsupported(tag)),
    }
    Ok(tag.to_owned())
}

/// What ALTER TABLE says of names and values points nowhere; only its types and USING do.
fn unplaced(of: &AlterTable, mut error: Error) -> Error {
    let typed = of
        .actions
        .iter()
        .any(|action| matches!(action, AlterAction::SetType { using: Some(_), .. }));
    let of_type = error.code == SqlState::UNDEFINED_OBJECT && error.message.starts_with("type ");
    if !typed && !of_type {
        error.position = None;
    }
    error
}

/// The role that what is made belongs to.
pub(crate) fn owner(shared: &Shared) -> Result<RoleId, Error> {
    let user = shared.with(|state| state.user.clone());
    shared
        .catalog()
        .role_named(&user)
        .map(|role| role.id)
        .ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("role \"{user}\" does not exist"),
            )
        })
}

/// 42501 unless the current role has an attribute.
pub(super) fn demand(shared: &Shared, privilege: Privilege, what: &str) -> Result<(), Error> {
    let user = shared.with(|state| state.user.clone());
    let catalog = shared.catalog();
    match catalog.role_named(&user) {
        Some(role) if role.may(privilege) => Ok(()),
        _ => Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to {what}"),
        )),
    }
}
