//! Who may do what with something, as GRANT and REVOKE say it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{BitAnd, BitOr, Not};

use chronolith_types::{DatabaseId, RoleId, SchemaId, TableId};
use serde::{Deserialize, Serialize};

use crate::model::{Catalog, Database, Privilege, Role};

/// A set of rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rights(u16);

impl Rights {
    /// No right.
    pub const NONE: Self = Self(0);
    /// INSERT.
    pub const INSERT: Self = Self(1);
    /// SELECT.
    pub const SELECT: Self = Self(1 << 1);
    /// UPDATE.
    pub const UPDATE: Self = Self(1 << 2);
    /// DELETE.
    pub const DELETE: Self = Self(1 << 3);
    /// TRUNCATE.
    pub const TRUNCATE: Self = Self(1 << 4);
    /// REFERENCES.
    pub const REFERENCES: Self = Self(1 << 5);
    /// TRIGGER.
    pub const TRIGGER: Self = Self(1 << 6);
    /// EXECUTE.
    pub const EXECUTE: Self = Self(1 << 7);
    /// USAGE.
    pub const USAGE: Self = Self(1 << 8);
    /// CREATE.
    pub const CREATE: Self = Self(1 << 9);
    /// TEMPORARY.
    pub const TEMPORARY: Self = Self(1 << 10);
    /// CONNECT.
    pub const CONNECT: Self = Self(1 << 11);

    /// Each right with its letter in an aclitem and its name, in the order of aclitems.
    pub const ALL: [(Self, char, &'static str); 12] = [
        (Self::INSERT, 'a', "INSERT"),
        (Self::SELECT, 'r', "SELECT"),
        (Self::UPDATE, 'w', "UPDATE"),
        (Self::DELETE, 'd', "DELETE"),
        (Self::TRUNCATE, 'D', "TRUNCATE"),
        (Self::REFERENCES, 'x', "REFERENCES"),
        (Self::TRIGGER, 't', "TRIGGER"),
        (Self::EXECUTE, 'X', "EXECUTE"),
        (Self::USAGE, 'U', "USAGE"),
        (Self::CREATE, 'C', "CREATE"),
        (Self::TEMPORARY, 'T', "TEMPORARY"),
        (Self::CONNECT, 'c', "CONNECT"),
    ];

    /// The right of a name in any case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = name.to_uppercase();
        let name = if name == "TEMP" { "TEMPORARY" } else { &name };
        let mut all = Self::ALL.iter();
        all.find_map(|(right, _, known)| (*known == name).then_some(*right))
    }

    /// Whether all of some rights are among these.
    #[must_use]
    pub fn has(self, rights: Self) -> bool {
        self & rights == rights
    }

    /// Whether any of some rights is among these.
    #[must_use]
    pub fn meets(self, rights: Self) -> bool {
        self & rights != Self::NONE
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Each of them, in the order of aclitems: itself, its letter and its name.
    pub fn each(self) -> impl Iterator<Item = (Self, char, &'static str)> {
        let all = Self::ALL.into_iter();
        all.filter(move |(right, ..)| self.has(*right))
    }
}

impl BitOr for Rights {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Rights {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

/// Kinds of things that rights are granted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Securable {
    /// A table or view.
    Relation,
    /// A sequence.
    Sequence,
    /// A function or procedure.
    Routine,
    /// A schema.
    Schema,
    /// A database.
    Database,
    /// A column of a table or view.
    Column,
    /// A type.
    Type,
    /// A language.
    Language,
}

impl Securable {
    /// The rights there are on it.
    #[must_use]
    pub fn rights(self) -> Rights {
        match self {
            Self::Relation => Rights(0b111_1111),
            Self::Sequence => Rights::SELECT | Rights::UPDATE | Rights::USAGE,
            Self::Routine => Rights::EXECUTE,
            Self::Schema => Rights::USAGE | Rights::CREATE,
            Self::Database => Rights::CREATE | Rights::TEMPORARY | Rights::CONNECT,
            Self::Column => Rights::INSERT | Rights::SELECT | Rights::UPDATE | Rights::REFERENCES,
            Self::Type | Self::Language => Rights::USAGE,
        }
    }

    /// What everybody may do with it unless somebody says otherwise.
    #[must_use]
    pub fn public_rights(self) -> Rights {
        match self {
            Self::Relation | Self::Sequence | Self::Schema | Self::Column => Rights::NONE,
            Self::Routine => Rights::EXECUTE,
            Self::Type | Self::Language => Rights::USAGE,
            Self::Database => Rights::TEMPORARY | Rights::CONNECT,
        }
    }
}

/// What one role granted to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// To whom; None for everybody.
    pub to: Option<RoleId>,
    /// By whom.
    pub by: RoleId,
    /// The rights.
    pub rights: Rights,
    /// Those of them that may be handed on.
    #[serde(default)]
    pub grantable: Rights,
}

/// All that was granted on one thing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Acl(pub Vec<Grant>);

impl Acl {
    /// What holds for a thing until somebody says otherwise.
    #[must_use]
    pub fn default_of(kind: Securable, owner: RoleId) -> Self {
        let mut grants = Vec::new();
        if !kind.public_rights().is_empty() {
            grants.push(Grant {
                to: None,
                by: owner,
                rights: kind.public_rights(),
                grantable: Rights::NONE,
            });
        }
        // A column's owner has it by the whole relation.
        if kind != Securable::Column {
            grants.push(Grant {
                to: Some(owner),
                by: owner,
                rights: kind.rights(),
                grantable: Rights::NONE,
            });
        }
        Self(grants)
    }

    /// The rights that somebody has who acts as these roles.
    #[must_use]
    pub fn rights_of(&self, roles: &BTreeSet<RoleId>) -> Rights {
        self.sum(roles, true, |grant| grant.rights)
    }

    /// Those of them that they may hand on.
    #[must_use]
    pub fn grantable_by(&self, roles: &BTreeSet<RoleId>) -> Rights {
        self.sum(roles, false, |grant| grant.grantable)
    }

    fn sum(&self, roles: &BTreeSet<RoleId>, public: bool, of: impl Fn(&Grant) -> Rights) -> Rights {
        let holds = |grant: &&Grant| match grant.to {
            None => public,
            Some(role) => roles.contains(&role),
        };
        let held = self.0.iter().filter(holds);
        held.fold(Rights::NONE, |all, grant| all | of(grant))
    }

    /// Adds rights.
    pub fn grant(&mut self, to: Option<RoleId>, by: RoleId, rights: Rights, option: bool) {
        if rights.is_empty() {
            return;
        }
        let option = if option { rights } else { Rights::NONE };
        let known = self
            .0
            .iter_mut()
            .find(|item| (item.to, item.by) == (to, by));
        match known {
            Some(item) => {
                item.rights = item.rights | rights;
                item.grantable = item.grantable | option;
            }
            None => self.0.push(Grant {
                to,
                by,
                rights,
                grantable: option,
            }),
        }
    }

    /// Takes rights away, or with `option` only the right to hand them on. What was handed on by
    /// virtue of them goes too, if it may.
    ///
    /// # Errors
    /// When it may not.
    pub fn revoke(
        &mut self,
        to: Option<RoleId>,
        by: RoleId,
        rights: Rights,
        option: bool,
        cascade: bool,
        owner: RoleId,
    ) -> Result<(), DependentGrants> {
        for item in &mut self.0 {
            if (item.to, item.by) == (to, by) {
                item.grantable = item.grantable & !rights;
                if !option {
                    item.rights = item.rights & !rights;
                }
            }
        }
        self.0.retain(|item| !item.rights.is_empty());
        let Some(role) = to.filter(|role| *role != owner) else {
            return Ok(());
        };
        // The same right may have been given by somebody else.
        let lost = rights & !self.grantable_by(&BTreeSet::from([role]));
        let dependents: Vec<Grant> = self
            .0
            .iter()
            .filter(|item| item.by == role && item.rights.meets(lost))
            .cloned()
            .collect();
        for item in dependents {
            if !cascade {
                return Err(DependentGrants);
            }
            self.revoke(item.to, role, lost & item.rights, false, true, owner)?;
        }
        Ok(())
    }

    /// Another role owns the thing: what was the old owner's is the new one's.
    pub fn change_owner(&mut self, from: RoleId, to: RoleId) {
        let items = std::mem::take(&mut self.0);
        let new = |role: RoleId| if role == from { to } else { role };
        for item in items {
            let (holder, by) = (item.to.map(new), new(item.by));
            self.grant(holder, by, item.rights, false);
            if let Some(known) = self
                .0
                .iter_mut()
                .find(|known| (known.to, known.by) == (holder, by))
            {
                known.grantable = known.grantable | item.grantable;
            }
        }
    }

    /// Whether it names a role.
    #[must_use]
    pub fn names(&self, role: RoleId) -> bool {
        let mut items = self.0.iter();
        items.any(|item| item.to == Some(role) || item.by == role)
    }
}

/// Rights were handed on that would be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DependentGrants;

/// What ALTER DEFAULT PRIVILEGES says of things that a role will make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultAcl {
    /// Its oid.
    pub id: u32,
    /// Who makes them.
    pub role: RoleId,
    /// In which schema; None for any.
    #[serde(default)]
    pub schema: Option<SchemaId>,
    /// What they are.
    pub kind: Securable,
    /// All that holds for them, or with a schema what comes on top of it.
    pub acl: Acl,
}

/// Roles that every server has: number, name, and those that they are members of.
pub(crate) const PREDEFINED_ROLES: [(u32, &str, &[u32]); 12] = [
    (6171, "pg_database_owner", &[]),
    (6181, "pg_read_all_data", &[]),
    (6182, "pg_write_all_data", &[]),
    (3373, "pg_monitor", &[3374, 3375, 3377]),
    (3374, "pg_read_all_settings", &[]),
    (3375, "pg_read_all_stats", &[]),
    (3377, "pg_stat_scan_tables", &[]),
    (4569, "pg_read_server_files", &[]),
    (4570, "pg_write_server_files", &[]),
    (4571, "pg_execute_server_program", &[]),
    (4200, "pg_signal_backend", &[]),
    (4544, "pg_checkpoint", &[]),
];

const READ_ALL_DATA: RoleId = RoleId(6181);
const WRITE_ALL_DATA: RoleId = RoleId(6182);
/// The schemas that everybody may use unless somebody says otherwise: `public` and that of chunks.
const OPEN_SCHEMAS: [SchemaId; 2] = [SchemaId(2200), SchemaId(16_000)];

impl Catalog {
    /// A role and all whose rights it has: those that it is a member of, however far, but not by a
    /// role that does not inherit.
    #[must_use]
    pub fn roles_of(&self, role: RoleId) -> BTreeSet<RoleId> {
        self.groups_of(role, |role| !role.noinherit)
    }

    /// A role and all that it is a member of, however far: those that it may become.
    #[must_use]
    pub fn memberships_of(&self, role: RoleId) -> BTreeSet<RoleId> {
        self.groups_of(role, |_| true)
    }

    /// Whether a role may become another one.
    #[must_use]
    pub fn is_member(&self, role: RoleId, other: RoleId) -> bool {
        role == other || self.is_superuser(role) || self.memberships_of(role).contains(&other)
    }

    fn groups_of(&self, role: RoleId, passes: impl Fn(&Role) -> bool) -> BTreeSet<RoleId> {
        let mut found = BTreeSet::from([role]);
        let mut open = vec![role];
        while let Some(next) = open.pop() {
            let role = self.roles.get(&next).filter(|role| passes(role));
            for group in role.into_iter().flat_map(|role| role.member_of.clone()) {
                if found.insert(group) {
                    open.push(group);
                }
            }
        }
        found
    }

    /// Whether a role may do all.
    #[must_use]
    pub fn is_superuser(&self, role: RoleId) -> bool {
        let role = self.roles.get(&role);
        role.is_some_and(|role| role.may(Privilege::Superuser))
    }

    /// Whether a role has what another one has: it is that, a member of it, or a superuser.
    #[must_use]
    pub fn acts_as(&self, role: RoleId, other: RoleId) -> bool {
        role == other || self.is_superuser(role) || self.roles_of(role).contains(&other)
    }

    /// The rights that a role has on a thing.
    #[must_use]
    pub fn rights(
        &self,
        role: RoleId,
        kind: Securable,
        owner: RoleId,
        acl: Option<&Acl>,
    ) -> Rights {
        if self.is_superuser(role) {
            return kind.rights();
        }
        let roles = self.roles_of(role);
        let mut rights = match acl {
            Some(acl) => acl.rights_of(&roles),
            None => Acl::default_of(kind, owner).rights_of(&roles),
        };
        if roles.contains(&READ_ALL_DATA) {
            rights = rights
                | match kind {
                    Securable::Relation | Securable::Sequence | Securable::Column => Rights::SELECT,
                    Securable::Schema => Rights::USAGE,
                    _ => Rights::NONE,
                };
        }
        if roles.contains(&WRITE_ALL_DATA) {
            rights = rights
                | match kind {
                    Securable::Relation => Rights::INSERT | Rights::UPDATE | Rights::DELETE,
                    Securable::Column => Rights::INSERT | Rights::UPDATE,
                    Securable::Sequence => Rights::UPDATE,
                    Securable::Schema => Rights::USAGE,
                    _ => Rights::NONE,
                };
        }
        rights
    }

    /// The rights that a role has on a table or view; none on one that is not there.
    #[must_use]
    pub fn relation_rights(&self, role: RoleId, database: DatabaseId, id: TableId) -> Rights {
        let Some(home) = self.databases.get(&database) else {
            return Rights::NONE;
        };
        match home.relation_owner(id) {
            Some(owner) => self.rights(role, Securable::Relation, owner, home.acls.get(&id.0)),
            None => Rights::NONE,
        }
    }

    /// The rights that a role was granted on a column of a relation, beside those on all of it.
    #[must_use]
    pub fn column_rights(
        &self,
        role: RoleId,
        database: DatabaseId,
        id: TableId,
        column: u32,
    ) -> Rights {
        let home = self.databases.get(&database);
        let acl = home.and_then(|home| home.column_acl(id.0, column));
        acl.map_or(Rights::NONE, |acl| acl.rights_of(&self.roles_of(role)))
    }

    /// Whether a role has rights on columns of a relation: on each of them, or, where none is named,
    /// on one at least.
    #[must_use]
    pub fn has_on_columns(
        &self,
        role: RoleId,
        database: DatabaseId,
        id: TableId,
        rights: Rights,
        columns: &BTreeSet<u32>,
    ) -> bool {
        if self.relation_rights(role, database, id).has(rights) {
            return true;
        }
        let home = self.databases.get(&database);
        let Some(listed) = home.and_then(|home| home.column_acls.get(&id.0)) else {
            return false;
        };
        let roles = self.roles_of(role);
        let has = |acl: &Acl| acl.rights_of(&roles).has(rights);
        match columns.is_empty() {
            true => listed.values().any(has),
            false => columns
                .iter()
                .all(|column| listed.get(column).is_some_and(has)),
        }
    }

    /// The rights that a role has on a schema; none on one that is not there.
    #[must_use]
    pub fn schema_rights(&self, role: RoleId, database: DatabaseId, id: SchemaId) -> Rights {
        let Some(home) = self.databases.get(&database) else {
            return Rights::NONE;
        };
        match home.schemas.get(&id) {
            Some(schema) => {
                let acl = home.schema_acl(id);
                self.rights(role, Securable::Schema, schema.owner, acl.as_ref())
            }
            None => Rights::NONE,
        }
    }

    /// The rights that a role has on a database; none on one that is not there.
    #[must_use]
    pub fn database_rights(&self, role: RoleId, database: DatabaseId) -> Rights {
        match self.databases.get(&database) {
            Some(home) => {
                let acl = home.acls.get(&home.id.0);
                self.rights(role, Securable::Database, home.owner, acl)
            }
            None => Rights::NONE,
        }
    }
}

impl Database {
    /// Who owns a table or view; the store of a continuous aggregate belongs to whom that belongs.
    #[must_use]
    pub fn relation_owner(&self, id: TableId) -> Option<RoleId> {
        if let Some(view) = self.views.get(&id) {
            return Some(view.owner);
        }
        if let Some(sequence) = self.sequences.get(&id) {
            return Some(sequence.owner);
        }
        let table = self.tables.get(&id)?;
        let view = table.rollup.as_ref();
        let view = view.and_then(|rollup| self.views.get(&rollup.view));
        Some(view.map_or(table.owner, |view| view.owner))
    }

    /// What was granted on a schema, or holds because nobody said otherwise; None for its owner's
    /// rights alone.
    #[must_use]
    pub fn schema_acl(&self, id: SchemaId) -> Option<Acl> {
        if let Some(acl) = self.acls.get(&id.0) {
            return Some(acl.clone());
        }
        let owner = self.schemas.get(&id)?.owner;
        OPEN_SCHEMAS.contains(&id).then(|| {
            let mut acl = Acl::default_of(Securable::Schema, owner);
            acl.grant(None, owner, Rights::USAGE, false);
            acl
        })
    }

    /// What was granted on a column.
    #[must_use]
    pub fn column_acl(&self, relation: u32, column: u32) -> Option<&Acl> {
        self.column_acls.get(&relation)?.get(&column)
    }

    /// What holds for a thing that a role makes in a schema; None for its owner's rights alone.
    #[must_use]
    pub fn initial_acl(
        &self,
        role: RoleId,
        schema: Option<SchemaId>,
        kind: Securable,
    ) -> Option<Acl> {
        let of = |place: Option<SchemaId>| {
            let mut all = self.default_acls.iter();
            all.find(|found| (found.role, found.schema, found.kind) == (role, place, kind))
        };
        let everywhere = of(None).map(|found| found.acl.clone());
        let here = schema.and_then(|schema| of(Some(schema)));
        let Some(here) = here else {
            return everywhere;
        };
        let mut acl = everywhere.unwrap_or_else(|| Acl::default_of(kind, role));
        for item in &here.acl.0 {
            acl.grant(item.to, item.by, item.rights & !item.grantable, false);
            acl.grant(item.to, item.by, item.grantable, true);
        }
        acl.0.retain(|item| !item.rights.is_empty());
        Some(acl)
    }

    /// Whether anything granted in it names a role.
    #[must_use]
    pub fn grants_name(&self, role: RoleId) -> bool {
        self.acls.values().any(|acl| acl.names(role))
            || self
                .column_acls
                .values()
                .flat_map(BTreeMap::values)
                .any(|acl| acl.names(role))
            || self
                .default_acls
                .iter()
                .any(|default| default.role == role || default.acl.names(role))
    }
}

/// What is granted, by the oids of things.
pub(crate) type Acls = BTreeMap<u32, Acl>;

/// What is granted on columns, by the oids of relations and the columns' attribute numbers.
pub(crate) type ColumnAcls = BTreeMap<u32, BTreeMap<u32, Acl>>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const OWNER: RoleId = RoleId(1);
    const A: RoleId = RoleId(2);
    const B: RoleId = RoleId(3);

    fn only(role: RoleId) -> BTreeSet<RoleId> {
        BTreeSet::from([role])
    }

    #[test]
    fn rights_are_those_of_the_role_and_of_everybody() {
        let mut acl = Acl::default_of(Securable::Relation, OWNER);
        acl.grant(Some(A), OWNER, Rights::SELECT, false);
        acl.grant(None, OWNER, Rights::INSERT, false);
        assert_eq!(acl.rights_of(&only(A)), Rights::SELECT | Rights::INSERT);
        assert_eq!(acl.rights_of(&only(B)), Rights::INSERT);
        assert_eq!(acl.rights_of(&only(OWNER)), Securable::Relation.rights());
    }

    #[test]
    fn what_was_handed_on_keeps_a_right_or_goes_with_it() {
        let mut acl = Acl::default();
        acl.grant(Some(A), OWNER, Rights::SELECT, true);
        acl.grant(Some(B), A, Rights::SELECT, false);
        let mut kept = acl.clone();
        let refused = kept.revoke(Some(A), OWNER, Rights::SELECT, false, false, OWNER);
        assert_eq!(refused, Err(DependentGrants));
        acl.revoke(Some(A), OWNER, Rights::SELECT, true, true, OWNER)
            .unwrap();
        assert_eq!(acl.rights_of(&only(A)), Rights::SELECT);
        assert_eq!(acl.rights_of(&only(B)), Rights::NONE);
    }

    #[test]
    fn a_new_owner_gets_what_the_old_one_had() {
        let mut acl = Acl::default_of(Securable::Schema, OWNER);
        acl.grant(Some(A), OWNER, Rights::USAGE, false);
        acl.change_owner(OWNER, A);
        assert_eq!(acl.rights_of(&only(A)), Securable::Schema.rights());
        assert!(!acl.names(OWNER));
    }

    #[test]
    fn membership_reaches_as_far_as_it_goes() {
        let mut catalog = Catalog::default();
        for (id, groups) in [(OWNER, vec![]), (A, vec![OWNER]), (B, vec![A])] {
            let mut role = crate::model::Role::clone(catalog.roles.values().next().unwrap());
            role.id = id;
            role.privileges = Vec::new();
            role.member_of = groups;
            catalog.roles.insert(id, std::sync::Arc::new(role));
        }
        assert!(catalog.acts_as(B, OWNER));
        assert!(!catalog.acts_as(OWNER, B));
        assert!(catalog.acts_as(RoleId(10), B), "a superuser is everybody");
        let all = Securable::Relation;
        assert_eq!(catalog.rights(B, all, OWNER, None), all.rights());
        assert_eq!(catalog.rights(OWNER, all, B, None), Rights::NONE);
    }
}
