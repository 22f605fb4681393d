//! Roles, and what they are granted.

use std::sync::Arc;

use chronolith_types::{RoleId, SchemaId};

use super::Applied;
use crate::acl::{Acl, Securable};
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};

impl Catalog {
    pub(super) fn change_roles(&mut self, change: &Change) -> Applied {
        match change {
            Change::SetAcl { database, oid, acl } => {
                self.database(*database)?.set_acl(*oid, acl.as_ref())
            }
            Change::SetColumnAcl {
                database,
                oid,
                column,
                acl,
            } => {
                self.database(*database)?
                    .set_column_acl(*oid, *column, acl.as_ref());
                Ok(())
            }
            Change::SetDefaultAcls { database, acls } => {
                for acl in acls {
                    self.next_oid = self.next_oid.max(acl.id.saturating_add(1));
                }
                self.database(*database)?.default_acls.clone_from(acls);
                Ok(())
            }
            Change::CreateRole { role } => {
                if self.role_named(&role.name).is_some() {
                    return Err(CatalogError::RoleExists(role.name.clone()));
                }
                self.take_oid(role.id.0)?;
                self.roles.insert(role.id, Arc::new(role.clone()));
                Ok(())
            }
            Change::ChangeRole { role } => match self.roles.get_mut(&role.id) {
                Some(known) => {
                    *known = Arc::new(role.clone());
                    Ok(())
                }
                None => Err(CatalogError::NoRole(role.name.clone())),
            },
            Change::DropRole { id } => match self.roles.remove(id) {
                Some(_) => {
                    let members = self.roles.values_mut();
                    for member in members.filter(|role| role.member_of.contains(id)) {
                        let member = Arc::make_mut(member);
                        member.member_of.retain(|group| group != id);
                        member.admin_of.retain(|group| group != id);
                    }
                    Ok(())
                }
                None => Err(CatalogError::NoRole(id.to_string())),
            },
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of roles: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    /// What is granted on a thing of that oid; None when it is gone, or nobody said anything.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "it ends changes, which are applied or not"
    )]
    pub(super) fn set_acl(&mut self, oid: u32, acl: Option<&Acl>) -> Applied {
        let known = self.acls.contains_key(&oid) || self.column_acls.contains_key(&oid);
        if acl.is_none() && !known {
            return Ok(());
        }
        let acls = Arc::make_mut(&mut self.acls);
        match acl {
            Some(acl) => acls.insert(oid, acl.clone()),
            None => acls.remove(&oid),
        };
        // What is gone has no columns.
        if acl.is_none() && self.column_acls.contains_key(&oid) {
            Arc::make_mut(&mut self.column_acls).remove(&oid);
        }
        Ok(())
    }

    /// What is granted on a column; None when it is gone, or nothing is.
    pub(super) fn set_column_acl(&mut self, oid: u32, column: u32, acl: Option<&Acl>) {
        let acl = acl.filter(|acl| !acl.0.is_empty());
        if acl.is_none() && self.column_acl(oid, column).is_none() {
            return;
        }
        let all = Arc::make_mut(&mut self.column_acls);
        let of = all.entry(oid).or_default();
        match acl {
            Some(acl) => of.insert(column, acl.clone()),
            None => of.remove(&column),
        };
        if of.is_empty() {
            all.remove(&oid);
        }
    }

    /// What ALTER DEFAULT PRIVILEGES said of a thing that is new.
    pub(super) fn grant_default(
        &mut self,
        kind: Securable,
        oid: u32,
        owner: RoleId,
        schema: Option<SchemaId>,
    ) -> Applied {
        let acl = self.initial_acl(owner, schema, kind);
        self.set_acl(oid, acl.as_ref())
    }

    /// What the old owner of a thing had is the new one's.
    pub(super) fn change_owner(&mut self, oid: u32, from: RoleId, to: RoleId) {
        if from != to
            && self.acls.contains_key(&oid)
            && let Some(acl) = Arc::make_mut(&mut self.acls).get_mut(&oid)
        {
            acl.change_owner(from, to);
        }
        if from != to
            && self.column_acls.contains_key(&oid)
            && let Some(of) = Arc::make_mut(&mut self.column_acls).get_mut(&oid)
        {
            of.values_mut().for_each(|acl| acl.change_owner(from, to));
        }
    }
}
