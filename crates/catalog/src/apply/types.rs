//! Types.

use std::sync::Arc;

use chronolith_types::{SqlType, UserType};

use super::Applied;
use crate::change::Change;
use crate::error::CatalogError;
use crate::model::{Catalog, Database};
use crate::routine::Routine;
use crate::table::Table;
use crate::types::{Type, TypeBody};

impl Catalog {
    pub(super) fn change_types(&mut self, change: &Change) -> Applied {
        match change {
            Change::CreateType { database, ty } => {
                for oid in ty.oids() {
                    self.take_oid(oid)?;
                }
                let database = self.database(*database)?;
                database.check_type_name(ty)?;
                database.types.insert(ty.id, Arc::new(Type::clone(ty)));
                Ok(())
            }
            Change::ChangeType { database, ty } => {
                for oid in ty.oids() {
                    self.next_oid = self.next_oid.max(oid.saturating_add(1));
                }
                let database = self.database(*database)?;
                database.check_type_name(ty)?;
                let Some(known) = database.types.get_mut(&ty.id) else {
                    return Err(CatalogError::NoType(ty.name.clone()));
                };
                let before = known.owner;
                *known = Arc::new(Type::clone(ty));
                database.change_owner(ty.id.0, before, ty.owner);
                if let SqlType::User(user) = ty.item_type() {
                    database.renew(&user);
                }
                Ok(())
            }
            Change::DropType { database, id } => {
                let database = self.database(*database)?;
                match database.types.remove(id) {
                    Some(_) => database.forget(id.0),
                    None => Err(CatalogError::NoType(id.to_string())),
                }
            }
            Change::ChangeRows { database, ty } => {
                self.database(*database)?.renew(ty);
                Ok(())
            }
            // The dispatch names the changes that come here.
            _ => {
                debug_assert!(false, "not a change of types: {change:?}");
                Ok(())
            }
        }
    }
}

impl Database {
    fn check_type_name(&self, ty: &Type) -> Applied {
        if !self.schemas.contains_key(&ty.schema) {
            return Err(CatalogError::NoSchema(ty.schema.to_string()));
        }
        match self.type_named(ty.schema, &ty.name) {
            Some(other) if other.id != ty.id => Err(CatalogError::TypeExists(ty.name.clone())),
            _ => Ok(()),
        }
    }

    /// What is declared with a type knows it as it is now.
    fn renew(&mut self, user: &Arc<UserType>) {
        let named = |ty: &SqlType| ty.mentions(user.oid);
        for table in self.tables.values_mut() {
            if table.columns.iter().any(|column| named(&column.ty)) {
                for column in &mut Arc::<Table>::make_mut(table).columns {
                    column.ty = column.ty.renewed(user);
                }
            }
        }
        for routine in self.routines.values_mut() {
            let result = routine.result.as_ref();
            if routine.types().any(named) || result.is_some_and(|result| named(&result.ty)) {
                let routine = Arc::<Routine>::make_mut(routine);
                for arg in &mut routine.args {
                    arg.ty = arg.ty.renewed(user);
                }
                if let Some(result) = &mut routine.result {
                    result.ty = result.ty.renewed(user);
                }
            }
        }
        let mut changed = Vec::new();
        for ty in self.types.values_mut().filter(|ty| ty.id.0 != user.oid) {
            let named = match &ty.body {
                TypeBody::Composite { fields, .. } => fields.iter().any(|(_, ty)| named(ty)),
                TypeBody::Domain(domain) => named(&domain.base),
                TypeBody::Enum { .. } => false,
            };
            if !named {
                continue;
            }
            let ty = Arc::<Type>::make_mut(ty);
            match &mut ty.body {
                TypeBody::Composite { fields, .. } => {
                    for (_, field) in fields {
                        *field = field.renewed(user);
                    }
                    changed.push(ty.item_type());
                }
                TypeBody::Domain(domain) => {
                    domain.base = domain.base.renewed(user);
                    changed.push(ty.item_type());
                }
                TypeBody::Enum { .. } => {}
            }
        }
        for ty in changed {
            if let SqlType::User(user) = ty {
                self.renew(&user);
            }
        }
    }
}
