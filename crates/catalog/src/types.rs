//! Types that users made.

use std::sync::Arc;

use chronolith_types::{RoleId, SchemaId, SqlType, TypeId, UserKind, UserType};
use serde::{Deserialize, Serialize};

use crate::table::Constraint;

/// A type that a user made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Type {
    /// Its oid.
    pub id: TypeId,
    /// The oid of its array.
    pub array: u32,
    /// Where it lies.
    pub schema: SchemaId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// What its values are.
    pub body: TypeBody,
}

/// What the values of a type are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TypeBody {
    /// One of some labels.
    Enum {
        /// The least first.
        labels: Vec<Label>,
    },
    /// Those of another type that it lets in.
    Domain(Domain),
    /// Fields with names.
    Composite {
        /// The oid by which `pg_class` lists it.
        relation: u32,
        /// The fields, in order.
        fields: Vec<(String, SqlType)>,
    },
}

/// A label of an enum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Its oid.
    pub oid: u32,
    /// Its text.
    pub name: String,
    /// `pg_enum.enumsortorder`.
    pub order: f64,
}

/// What a domain asks of the values of its base type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// The type of the values: no domain itself.
    pub base: SqlType,
    /// The domain that it was made from, whose demands are its own too.
    #[serde(default)]
    pub over: Option<TypeId>,
    /// The default's SQL, of columns without one of their own.
    #[serde(default)]
    pub default: Option<String>,
    /// Whether NULL is refused.
    #[serde(default)]
    pub not_null: bool,
    /// Checks of VALUE.
    #[serde(default)]
    pub checks: Vec<Constraint>,
}

impl Type {
    /// The type of expressions: a domain's values are those of its base.
    #[must_use]
    pub fn sql_type(&self) -> SqlType {
        match &self.body {
            TypeBody::Domain(domain) => domain.base.clone(),
            _ => self.item_type(),
        }
    }

    /// The type of what arrays hold and of fields of rows: a domain is one of its own there.
    #[must_use]
    pub fn item_type(&self) -> SqlType {
        let kind = match &self.body {
            TypeBody::Enum { labels } => {
                UserKind::Enum(labels.iter().map(|label| label.name.clone()).collect())
            }
            TypeBody::Composite { fields, .. } => UserKind::Composite(fields.clone()),
            TypeBody::Domain(domain) => UserKind::Domain(domain.base.clone()),
        };
        SqlType::User(Arc::new(UserType {
            oid: self.id.0,
            array: self.array,
            name: self.name.clone(),
            kind,
        }))
    }

    /// What it is called in messages and tags.
    #[must_use]
    pub fn domain(&self) -> Option<&Domain> {
        match &self.body {
            TypeBody::Domain(domain) => Some(domain),
            _ => None,
        }
    }

    /// The fields, in order, if it is composite.
    #[must_use]
    pub fn fields(&self) -> &[(String, SqlType)] {
        match &self.body {
            TypeBody::Composite { fields, .. } => fields,
            _ => &[],
        }
    }

    /// The oid by which `pg_class` lists it, if it is composite.
    #[must_use]
    pub fn relation(&self) -> Option<u32> {
        match &self.body {
            TypeBody::Composite { relation, .. } => Some(*relation),
            _ => None,
        }
    }

    /// All numbers that it takes.
    pub(crate) fn oids(&self) -> impl Iterator<Item = u32> {
        let (labels, checks): (&[Label], &[Constraint]) = match &self.body {
            TypeBody::Enum { labels } => (labels, &[]),
            TypeBody::Domain(domain) => (&[], &domain.checks),
            TypeBody::Composite { .. } => (&[], &[]),
        };
        [self.id.0, self.array]
            .into_iter()
            .chain(self.relation())
            .chain(labels.iter().map(|label| label.oid))
            .chain(checks.iter().map(|check| check.id))
    }
}
