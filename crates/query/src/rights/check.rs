//! What the current role may do.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronolith_catalog::{Catalog, Database, Rights, Routine, Securable, Type};
use chronolith_types::{RoleId, SchemaId, SqlState, TableId};

use super::words::{called, denied, not_owner};
use crate::bind::Use;
use crate::error::Error;
use crate::session::Shared;

/// Whether the schema of a table or view belongs to a role.
pub(super) fn owns_schema(catalog: &Catalog, home: &Database, role: RoleId, id: TableId) -> bool {
    let table = home.tables.get(&id).map(|table| table.schema);
    let schema = table.or_else(|| home.views.get(&id).map(|view| view.schema));
    let schema = schema.and_then(|schema| home.schemas.get(&schema));
    schema.is_some_and(|schema| catalog.acts_as(role, schema.owner))
}

/// Whether a view reads with the rights of whoever reads it.
pub(super) fn is_invoker(home: &Database, view: TableId) -> bool {
    let view = home.views.get(&view);
    view.is_some_and(|view| view.invoker == Some(true))
}

impl Shared {
    /// The current role.
    ///
    /// # Errors
    /// 42704 when it was dropped.
    pub(crate) fn role(&self, catalog: &Catalog) -> Result<RoleId, Error> {
        self.with(|state| match catalog.role_named(&state.user) {
            Some(role) => Ok(role.id),
            None => Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("role \"{}\" does not exist", state.user),
            )),
        })
    }

    fn catalog_and_role(&self) -> Result<(Arc<Catalog>, RoleId), Error> {
        let catalog = self.catalog();
        let role = self.role(&catalog)?;
        Ok((catalog, role))
    }

    /// Looks whether all that a statement reads may be read.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_uses(&self, uses: &[Use]) -> Result<(), Error> {
        match uses {
            [] => Ok(()),
            uses => self.check_uses_as(self.role(&self.catalog())?, uses),
        }
    }

    /// The same for what runs with a role's rights, whoever the current one is.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_uses_as(&self, role: RoleId, uses: &[Use]) -> Result<(), Error> {
        let catalog = self.catalog();
        let Some(home) = catalog.databases.get(&self.database) else {
            return Ok(());
        };
        for Use {
            relation,
            view,
            columns,
        } in uses
        {
            let relation = TableId(*relation);
            // Relations of the system belong to all.
            if home.relation_owner(relation).is_none() {
                continue;
            }
            let reader = match view {
                None => role,
                Some(view) if is_invoker(home, TableId(*view)) => role,
                Some(view) => home.relation_owner(TableId(*view)).unwrap_or(role),
            };
            let right = Rights::SELECT;
            if !catalog.has_on_columns(reader, self.database, relation, right, columns) {
                let (kind, name) = called(home, relation);
                return Err(denied(kind, name));
            }
        }
        Ok(())
    }

    /// Looks whether the current role has rights on a table or view.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_relation(&self, id: TableId, rights: Rights) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        if catalog.relation_rights(role, self.database, id).has(rights) {
            return Ok(());
        }
        let home = self.home()?;
        let (kind, name) = called(&home, id);
        Err(denied(kind, name))
    }

    /// Looks whether the current role has rights on columns of a table or view, or where none is
    /// named on any of them.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_columns(
        &self,
        id: TableId,
        rights: Rights,
        columns: &BTreeSet<u32>,
    ) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        if catalog.has_on_columns(role, self.database, id, rights, columns) {
            return Ok(());
        }
        let home = self.home()?;
        let (kind, name) = called(&home, id);
        Err(denied(kind, name))
    }

    /// Looks whether the owner of a view has rights on what is written through it.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_below(
        &self,
        view: TableId,
        id: TableId,
        rights: Rights,
    ) -> Result<(), Error> {
        let home = self.home()?;
        let Some(owner) = home.relation_owner(view) else {
            return Ok(());
        };
        let catalog = self.catalog();
        let owner = match is_invoker(&home, view) {
            true => self.role(&catalog)?,
            false => owner,
        };
        if catalog
            .relation_rights(owner, self.database, id)
            .has(rights)
        {
            return Ok(());
        }
        let (kind, name) = called(&home, id);
        Err(denied(kind, name))
    }

    /// Looks whether a table or view belongs to the current role.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_owner(&self, id: TableId) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        let home = self.home()?;
        match home.relation_owner(id) {
            Some(owner) if !catalog.acts_as(role, owner) => {
                let (kind, name) = called(&home, id);
                Err(not_owner(kind, name))
            }
            _ => Ok(()),
        }
    }

    /// Looks whether the current role may drop a table or view: its owner may, and that of its
    /// schema.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_drop(&self, id: TableId) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        match catalog.databases.get(&self.database) {
            Some(home) if owns_schema(&catalog, home, role, id) => Ok(()),
            _ => self.check_owner(id),
        }
    }

    /// Looks whether the current role may run a routine.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_execute(&self, routine: &Routine) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        let home = self.home()?;
        let acl = home.acls.get(&routine.id.0);
        let rights = catalog.rights(role, Securable::Routine, routine.owner, acl);
        let kind = match routine.result {
            Some(_) => "function",
            None => "procedure",
        };
        match rights.has(Rights::EXECUTE) {
            true => Ok(()),
            false => Err(denied(kind, &routine.name)),
        }
    }

    /// Looks whether the current role may declare something with a type.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_type(&self, ty: &Type) -> Result<(), Error> {
        let home = self.home()?;
        let Some(acl) = home.acls.get(&ty.id.0) else {
            return Ok(());
        };
        let (catalog, role) = self.catalog_and_role()?;
        let rights = catalog.rights(role, Securable::Type, ty.owner, Some(acl));
        match rights.has(Rights::USAGE) {
            true => Ok(()),
            false => Err(denied("type", &ty.name)),
        }
    }

    /// Looks whether the current role may write routines in a language.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_language(&self, name: &str) -> Result<(), Error> {
        let home = self.home()?;
        let language = crate::catalogs::language(name);
        let Some(acl) = language.and_then(|(oid, _)| home.acls.get(&oid)) else {
            return Ok(());
        };
        let (catalog, role) = self.catalog_and_role()?;
        let rights = catalog.rights(role, Securable::Language, RoleId(10), Some(acl));
        match rights.has(Rights::USAGE) {
            true => Ok(()),
            false => Err(denied("language", name)),
        }
    }

    /// Takes another role's part; whose it was before, to be given back.
    ///
    /// # Errors
    /// 42704 when there is no such role.
    pub(crate) fn act_as(&self, role: RoleId) -> Result<String, Error> {
        let catalog = self.catalog();
        let name = catalog.roles.get(&role).map(|role| role.name.clone());
        let name = name.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("role with OID {role} does not exist"),
            )
        })?;
        Ok(self.with(|state| std::mem::replace(&mut state.user, name)))
    }

    /// Looks whether a schema belongs to the current role.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_schema_owner(&self, id: SchemaId) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        let home = self.home()?;
        match home.schemas.get(&id) {
            Some(schema) if !catalog.acts_as(role, schema.owner) => {
                Err(not_owner("schema", &schema.name))
            }
            _ => Ok(()),
        }
    }

    /// Looks whether the current role has rights on a schema.
    ///
    /// # Errors
    /// 42501.
    pub(crate) fn check_schema(&self, id: SchemaId, rights: Rights) -> Result<(), Error> {
        let (catalog, role) = self.catalog_and_role()?;
        if catalog.schema_rights(role, self.database, id).has(rights) {
            return Ok(());
        }
        let home = self.home()?;
        let name = home
            .schemas
            .get(&id)
            .map_or("", |found| found.name.as_str());
        Err(denied("schema", name))
    }
}
