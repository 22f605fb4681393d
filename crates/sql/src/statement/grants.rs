//! Rights that are given and taken.

use chronolith_types::SqlType;

use crate::{Name, ObjectKind, Spelled};

/// GRANT or REVOKE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// REVOKE.
    pub revoke: bool,
    /// REVOKE … OPTION FOR: only the right to hand on goes.
    pub option_only: bool,
    /// WITH GRANT OPTION, WITH ADMIN OPTION.
    pub with_option: bool,
    /// CASCADE.
    pub cascade: bool,
    /// What.
    pub granted: Granted,
    /// To whom; `public` is everybody.
    pub to: Vec<Spelled>,
    /// GRANTED BY.
    pub by: Option<Spelled>,
}

/// What GRANT grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Granted {
    /// Rights on something.
    Rights {
        /// Which; all of them when empty.
        rights: Vec<GrantedRight>,
        /// On what.
        on: GrantTarget,
    },
    /// Membership in roles.
    Roles(Vec<Spelled>),
}

/// A right that is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedRight {
    /// Its name in lower case.
    pub name: Spelled,
    /// On which columns; on the whole when empty.
    pub columns: Vec<Spelled>,
}

/// What rights are granted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantTarget {
    /// Things by their names.
    Objects {
        /// What they are.
        kind: ObjectKind,
        /// Their names.
        names: Vec<Name>,
        /// The types of arguments of those that have them; None where they are left out.
        signatures: Vec<Option<Vec<SqlType>>>,
    },
    /// ALL … IN SCHEMA; of default privileges, those to come.
    AllIn {
        /// What they are.
        kind: ObjectKind,
        /// The schemas.
        schemas: Vec<Spelled>,
    },
}

/// ALTER DEFAULT PRIVILEGES.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefaultPrivileges {
    /// FOR ROLE; the current one when empty.
    pub roles: Vec<Spelled>,
    /// IN SCHEMA; any when empty.
    pub schemas: Vec<Spelled>,
    /// GRANT or REVOKE; its target names no schemas.
    pub grant: Grant,
}
