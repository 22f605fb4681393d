//! Types, domains and what is changed of them.

use chronolith_types::SqlType;

use crate::{Name, Spelled, SqlText};

/// CREATE TYPE.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateType {
    /// Its name.
    pub name: Name,
    /// What its values are.
    pub body: DeclaredType,
}

/// What the values of a new type are.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredType {
    /// One of these labels, the least first.
    Enum(Vec<String>),
    /// Fields.
    Composite(Vec<(Spelled, SqlType)>),
}

/// CREATE DOMAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateDomain {
    /// Its name.
    pub name: Name,
    /// The type that it is over.
    pub ty: SqlType,
    /// DEFAULT.
    pub default: Option<SqlText>,
    /// NOT NULL.
    pub not_null: bool,
    /// Checks of VALUE.
    pub checks: Vec<DomainCheck>,
}

/// A check of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainCheck {
    /// Its name, if one was given.
    pub name: Option<Spelled>,
    /// What it demands.
    pub check: SqlText,
}

/// ALTER TYPE and ALTER DOMAIN.
#[derive(Debug, Clone, PartialEq)]
pub struct AlterType {
    /// Which.
    pub name: Name,
    /// The word was DOMAIN.
    pub domain: bool,
    /// What to do.
    pub action: TypeAction,
}

/// What ALTER TYPE does with a field of a composite type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the clause of its name")]
pub enum AttributeAction {
    Add { name: Spelled, ty: SqlType },
    Drop { name: Spelled, if_exists: bool },
    Alter { name: Spelled, ty: SqlType },
}

/// What ALTER TYPE or ALTER DOMAIN does.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each is the clause of its name")]
pub enum TypeAction {
    AddValue {
        if_not_exists: bool,
        label: String,
        /// BEFORE (true) or AFTER which.
        place: Option<(bool, String)>,
    },
    RenameValue {
        from: String,
        to: String,
    },
    RenameAttribute {
        from: Spelled,
        to: Spelled,
    },
    Attributes(Vec<AttributeAction>),
    RenameTo(Spelled),
    OwnerTo(Spelled),
    SetSchema(Spelled),
    SetDefault(Option<SqlText>),
    SetNotNull(bool),
    AddCheck {
        check: DomainCheck,
        /// Not NOT VALID.
        valid: bool,
    },
    DropCheck {
        name: Spelled,
        if_exists: bool,
    },
    RenameCheck {
        from: Spelled,
        to: Spelled,
    },
    Validate(Spelled),
    /// Something else: its words.
    Other(String),
}
