//! Names to types, along the search path.

use std::sync::Arc;

use chronolith_catalog::{Rights, Type};
use chronolith_types::{SqlType, TypeId, TypeName};

use super::shared::{Shared, no_schema};
use crate::ddl::row_type;
use crate::error::Error;

/// What a declaration names: a type, and the domain that lets only some of its values in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) ty: SqlType,
    pub(crate) domain: Option<TypeId>,
}

impl Shared {
    /// A type that a user made.
    ///
    /// # Errors
    /// 3F000 for a schema that does not exist, 42501 for one that may not be entered.
    pub(crate) fn find_type(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Type>>, Error> {
        let home = self.home()?;
        if home.types.is_empty() {
            return Ok(None);
        }
        if let Some(schema) = schema.map(|schema| self.schema_meant(schema)) {
            if crate::catalogs::is_system_schema(&schema) {
                return Ok(None);
            }
            let found = home.schema_named(&schema);
            let found = found.ok_or_else(|| no_schema(&schema))?;
            if found.name != self.temporary_name() {
                self.check_schema(found.id, Rights::USAGE)?;
            }
            return Ok(home.type_named(found.id, name).cloned());
        }
        let path = self.search_path();
        let mut schemas = path.iter().filter_map(|name| home.schema_named(name));
        Ok(schemas.find_map(|schema| home.type_named(schema.id, name).cloned()))
    }

    /// A type with what it names looked up.
    ///
    /// # Errors
    /// 42704 for a type that does not exist.
    pub(crate) fn declared(self: &Arc<Self>, ty: &SqlType) -> Result<Declared, Error> {
        match ty {
            SqlType::Named(name) => {
                let found = self.find_type(name.schema.as_deref(), &name.name)?;
                let Some(found) = found else {
                    let rows = self.rows_of(name)?;
                    let ty = rows.ok_or_else(|| missing(name))?;
                    return Ok(Declared { ty, domain: None });
                };
                self.check_type(&found)?;
                Ok(Declared {
                    ty: found.sql_type(),
                    domain: found.domain().map(|_| found.id),
                })
            }
            SqlType::Array(element) => {
                let element = self.item_type(element)?;
                if let SqlType::Array(_) = element.base() {
                    return Err(Error::unsupported("an array of a domain over arrays"));
                }
                Ok(Declared {
                    ty: element.array_of(),
                    domain: None,
                })
            }
            known => Ok(Declared {
                ty: known.clone(),
                domain: None,
            }),
        }
    }

    /// The type of what an array holds, or of a field of a row: of a domain its own.
    ///
    /// # Errors
    /// 42704 for a type that does not exist.
    pub(crate) fn item_type(self: &Arc<Self>, ty: &SqlType) -> Result<SqlType, Error> {
        let declared = self.declared(ty)?;
        let home = self.home()?;
        let domain = declared.domain.and_then(|domain| home.types.get(&domain));
        Ok(domain.map_or(declared.ty, |domain| domain.item_type()))
    }

    /// The type of a table's or a view's rows.
    fn rows_of(self: &Arc<Self>, name: &TypeName) -> Result<Option<SqlType>, Error> {
        let (schema, name) = (name.schema.as_deref(), name.name.as_str());
        let relation = match self.find_table(schema, name)? {
            Some(table) => Some(table.id),
            None => self.find_view(schema, name)?.map(|view| view.id),
        };
        let home = self.home()?;
        relation
            .map(|relation| row_type(self, &home, relation))
            .transpose()
    }

    /// The same where no domain can stand.
    ///
    /// # Errors
    /// 42704 for a type that does not exist, 0A000 for a domain.
    pub(crate) fn declared_type(self: &Arc<Self>, ty: &SqlType) -> Result<SqlType, Error> {
        let declared = self.declared(ty)?;
        match (declared.domain, ty) {
            (Some(_), SqlType::Named(name)) => Err(Error::unsupported(format!(
                "domain \"{}\" as the type of anything but a column",
                name.name
            ))),
            _ => Ok(declared.ty),
        }
    }

    /// The type of an oid, one that a user made too.
    #[must_use]
    pub(crate) fn type_of_oid(&self, oid: u32) -> Option<SqlType> {
        if let Some(known) = SqlType::from_oid(oid) {
            return Some(known);
        }
        let home = self.home().ok()?;
        if let Some(found) = home.types.get(&TypeId(oid)) {
            return Some(found.sql_type());
        }
        let found = home.types.values().find(|found| found.array == oid)?;
        Some(found.item_type().array_of())
    }
}

fn missing(name: &TypeName) -> Error {
    Error::from(name.missing()).at(u32::try_from(name.position).ok())
}
