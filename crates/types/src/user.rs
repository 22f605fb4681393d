//! Types that users made, as far as values of them are read and written.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::sqlstate::SqlState;
use crate::sqltype::SqlType;
use crate::value::ValueError;

/// A type that a user made. Two are one when their oids are: what is in them may have changed
/// between the two looks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserType {
    /// Its oid.
    pub oid: u32,
    /// That of its array.
    pub array: u32,
    /// Its name.
    pub name: String,
    /// What its values are.
    pub kind: UserKind,
}

/// What the values of a type of a user are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum UserKind {
    /// One of some labels, the least first. A value is kept as its label.
    Enum(Vec<String>),
    /// Fields with names.
    Composite(Vec<(String, SqlType)>),
    /// Those of another type that a domain lets in. Only what arrays hold and fields of rows are
    /// of one: a value by itself is of the base type.
    Domain(SqlType),
}

impl UserType {
    /// The labels, if it is an enum.
    #[must_use]
    pub fn labels(&self) -> Option<&[String]> {
        match &self.kind {
            UserKind::Enum(labels) => Some(labels),
            UserKind::Composite(_) | UserKind::Domain(_) => None,
        }
    }

    /// The fields, if it is composite.
    #[must_use]
    pub fn fields(&self) -> Option<&[(String, SqlType)]> {
        match &self.kind {
            UserKind::Composite(fields) => Some(fields),
            UserKind::Enum(_) | UserKind::Domain(_) => None,
        }
    }

    /// The type of its values, if it is a domain.
    #[must_use]
    pub fn domain_base(&self) -> Option<&SqlType> {
        match &self.kind {
            UserKind::Domain(base) => Some(base),
            UserKind::Enum(_) | UserKind::Composite(_) => None,
        }
    }

    /// Whether a text is a value of an enum.
    ///
    /// # Errors
    /// 22P02 for one that is no label.
    pub fn check_label(&self, text: &str) -> Result<(), ValueError> {
        match self.labels() {
            Some(labels) if !labels.iter().any(|label| label == text) => Err(ValueError::new(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("invalid input value for enum {}: \"{text}\"", self.shown()),
            )),
            _ => Ok(()),
        }
    }

    /// Its name as SQL writes it.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut bytes = self.name.bytes();
        let plain = bytes
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_')
            && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        match plain {
            true => self.name.clone(),
            false => format!("\"{}\"", self.name.replace('"', "\"\"")),
        }
    }
}

impl PartialEq for UserType {
    fn eq(&self, other: &Self) -> bool {
        self.oid == other.oid
    }
}

impl Eq for UserType {}

impl Hash for UserType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.oid.hash(state);
    }
}

impl PartialOrd for UserType {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UserType {
    fn cmp(&self, other: &Self) -> Ordering {
        self.oid.cmp(&other.oid)
    }
}

/// The name of a type that nobody has looked up yet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TypeName {
    /// Its schema, if one is named.
    pub schema: Option<String>,
    /// Its name, folded.
    pub name: String,
    /// The character, counted from 1, at which it stands.
    pub position: usize,
}

impl TypeName {
    /// 42704: there is no such type.
    #[must_use]
    pub fn missing(&self) -> ValueError {
        let name = match &self.schema {
            Some(schema) => format!("{schema}.{}", self.name),
            None => self.name.clone(),
        };
        ValueError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{name}\" does not exist"),
        )
    }
}
