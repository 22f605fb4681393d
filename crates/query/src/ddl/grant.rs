//! GRANT, REVOKE and ALTER DEFAULT PRIVILEGES.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronolith_catalog::{
    Acl, Catalog, Change, Database, DefaultAcl, Privilege, Rights, Role, Securable,
};
use chronolith_sql::{
    DefaultPrivileges, Grant, GrantTarget, Granted, GrantedRight, Name, ObjectKind, Opt, Spelled,
};
use chronolith_types::{DatabaseId, RoleId, SchemaId, SqlState};

mod columns;

use super::drop::schemas;
use super::named::routine_there;
use super::schema::no_role;
use super::sequence;
use crate::error::Error;
use crate::insert::undefined_table;
use crate::outcome::Severity;
use crate::rights::denied;
use crate::session::{Shared, changes_chunk, no_schema};

const INVALID_GRANT_OPERATION: SqlState = SqlState::new(b"0LP01");
const PRIVILEGE_NOT_GRANTED: SqlState = SqlState::new(b"01007");
const PRIVILEGE_NOT_REVOKED: SqlState = SqlState::new(b"01006");
const DEPENDENT_PRIVILEGES: SqlState = SqlState::new(b"2BP01");

pub(super) fn run(shared: &Arc<Shared>, grant: &Grant) -> Result<(), Error> {
    match &grant.granted {
        Granted::Roles(roles) => membership(shared, grant, roles),
        Granted::Rights { rights, on } => {
            let of = kind_of(on)?;
            let asked = rights_of(rights, of)?;
            let to = grantees(shared, &grant.to)?;
            refuse_options_to_all(grant, &to)?;
            if let Some(by) = &grant.by {
                let catalog = shared.catalog();
                if role_of(shared, &catalog, by)?.id != shared.role(&catalog)? {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "grantor must be current user",
                    ));
                }
            }
            for thing in things(shared, on)? {
                one(shared, grant, &thing, &asked, &to)?;
            }
            Ok(())
        }
    }
}

/// Something that rights are granted on.
struct Thing {
    oid: u32,
    kind: Securable,
    /// What it is called, and what kind of thing that is.
    name: String,
    word: &'static str,
    owner: RoleId,
    acl: Acl,
}

fn kind_of(on: &GrantTarget) -> Result<Securable, Error> {
    let (GrantTarget::Objects { kind, .. } | GrantTarget::AllIn { kind, .. }) = on;
    Ok(match kind {
        ObjectKind::Table => Securable::Relation,
        ObjectKind::Sequence => Securable::Sequence,
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => Securable::Routine,
        ObjectKind::Schema => Securable::Schema,
        ObjectKind::Database => Securable::Database,
        ObjectKind::Type | ObjectKind::Domain => Securable::Type,
        ObjectKind::Language => Securable::Language,
        _ => return Err(Error::unsupported("GRANT on this kind of object")),
    })
}

/// What a statement grants or takes.
struct Asked {
    /// On the whole; None for all there are.
    whole: Option<Rights>,
    /// On columns: these rights, all if there are none, on those.
    columns: Vec<(Option<Rights>, Vec<Spelled>)>,
}

/// The rights that are named.
fn rights_of(named: &[GrantedRight], kind: Securable) -> Result<Asked, Error> {
    let mut asked = Asked {
        whole: None,
        columns: Vec::new(),
    };
    for GrantedRight { name, columns } in named {
        if !columns.is_empty() {
            if kind != Securable::Relation {
                return Err(Error::new(
                    INVALID_GRANT_OPERATION,
                    "column privileges are only valid for relations",
                ));
            }
            let right = match name.value.as_str() {
                "all" => None,
                _ => Some(right_of(name, Securable::Column)?),
            };
            asked.columns.push((right, columns.clone()));
            continue;
        }
        let right = right_of(name, kind)?;
        asked.whole = Some(asked.whole.unwrap_or(Rights::NONE) | right);
    }
    if asked.whole.is_none() && !asked.columns.is_empty() {
        asked.whole = Some(Rights::NONE);
    }
    Ok(asked)
}

fn right_of(name: &Spelled, kind: Securable) -> Result<Rights, Error> {
    let right = Rights::named(&name.value).ok_or_else(|| {
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("unrecognized privilege type \"{}\"", name.value),
        )
    })?;
    if kind.rights().has(right) {
        return Ok(right);
    }
    let of = match kind {
        Securable::Relation => "relation",
        Securable::Sequence => "sequence",
        Securable::Routine => "function",
        Securable::Schema => "schema",
        Securable::Database => "database",
        Securable::Column => "column",
        Securable::Type => "type",
        Securable::Language => "language",
    };
    let right = name.value.to_uppercase();
    Err(Error::new(
        INVALID_GRANT_OPERATION,
        format!("invalid privilege type {right} for {of}"),
    ))
}

fn role_of<'c>(
    shared: &Shared,
    catalog: &'c Catalog,
    named: &Spelled,
) -> Result<&'c Arc<Role>, Error> {
    let (user, session_user) =
        shared.with(|state| (state.user.clone(), state.session_user.clone()));
    let name = match named.value.as_str() {
        "current_user" | "current_role" => user.as_str(),
        "session_user" => session_user.as_str(),
        name => name,
    };
    catalog.role_named(name).ok_or_else(|| no_role(name))
}

/// Who gets or loses; None is everybody.
fn grantees(shared: &Shared, named: &[Spelled]) -> Result<Vec<Option<RoleId>>, Error> {
    let catalog = shared.catalog();
    let one = |name: &Spelled| match name.value.as_str() {
        "public" => Ok(None),
        _ => role_of(shared, &catalog, name).map(|role| Some(role.id)),
    };
    named.iter().map(one).collect()
}

fn refuse_options_to_all(grant: &Grant, to: &[Option<RoleId>]) -> Result<(), Error> {
    if grant.with_option && to.contains(&None) {
        return Err(Error::new(
            INVALID_GRANT_OPERATION,
            "grant options can only be granted to roles",
        ));
    }
    Ok(())
}

fn things(shared: &Arc<Shared>, on: &GrantTarget) -> Result<Vec<Thing>, Error> {
    let home = shared.home()?;
    match on {
        GrantTarget::AllIn { kind, schemas } => {
            let mut all = Vec::new();
            for schema in schemas {
                let found = home.schema_named(&schema.value);
                let schema = found.ok_or_else(|| no_schema(&schema.value))?.id;
                all.extend(all_in(&home, *kind, schema));
            }
            Ok(all)
        }
        GrantTarget::Objects {
            kind,
            names,
            signatures,
        } => {
            let mut all = Vec::new();
            for (place, name) in names.iter().enumerate() {
                all.push(match kind {
                    ObjectKind::Schema => schema_of(&home, name.name())?,
                    ObjectKind::Database => database_of(&shared.catalog(), name.name())?,
                    ObjectKind::Type | ObjectKind::Domain => type_of(shared, &home, name, *kind)?,
                    ObjectKind::Language => language_of(&home, name.name())?,
                    ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
                        let types = signatures.get(place).and_then(Option::as_deref);
                        routine(&home, &*routine_there(shared, *kind, name, types)?)
                    }
                    ObjectKind::Sequence => {
                        let found = sequence::find(shared, name)?;
                        let thing = relation(&home, found.id.0);
                        thing.ok_or_else(|| undefined_table(name.schema(), name.name()))?
                    }
                    _ => relation_of(shared, &home, name)?,
                });
            }
            Ok(all)
        }
    }
}

fn all_in(home: &Database, kind: ObjectKind, schema: SchemaId) -> Vec<Thing> {
    match kind {
        ObjectKind::Table => {
            let tables = home.tables.values().filter(|table| table.schema == schema);
            let tables = tables.map(|table| table.id.0);
            let views = home.views.values().filter(|view| view.schema == schema);
            let views = views.map(|view| view.id.0);
            tables
                .chain(views)
                .filter_map(|oid| relation(home, oid))
                .collect()
        }
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => home
            .routines
            .values()
            .filter(|routine| routine.schema == schema)
            .filter(|routine| match kind {
                ObjectKind::Function => routine.result.is_some(),
                ObjectKind::Procedure => routine.result.is_none(),
                _ => true,
            })
            .map(|found| routine(home, found))
            .collect(),
        ObjectKind::Sequence => home
            .sequences
            .values()
            .filter(|sequence| sequence.schema == schema)
            .filter_map(|sequence| relation(home, sequence.id.0))
            .collect(),
        _ => Vec::new(),
    }
}

fn relation(home: &Database, oid: u32) -> Option<Thing> {
    let id = chronolith_types::TableId(oid);
    let owner = home.relation_owner(id)?;
    let acl = home.acls.get(&oid).cloned();
    if let Some(sequence) = home.sequences.get(&id) {
        return Some(Thing {
            oid,
            kind: Securable::Sequence,
            name: sequence.name.clone(),
            word: "sequence",
            owner,
            acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Sequence, owner)),
        });
    }
    let view = home.views.get(&id).map(|view| view.name.clone());
    let word = if view.is_some() { "view" } else { "table" };
    let table = || home.tables.get(&id).map(|table| table.name.clone());
    Some(Thing {
        oid,
        kind: Securable::Relation,
        name: view.or_else(table)?,
        word,
        owner,
        acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Relation, owner)),
    })
}

fn relation_of(shared: &Shared, home: &Database, name: &Name) -> Result<Thing, Error> {
    if shared.chunk_named(name.schema(), name.name())?.is_some() {
        return Err(changes_chunk(name.name()));
    }
    for schema in schemas(shared, home, name.schema())? {
        let table = home.table_named(schema, name.name()).map(|table| table.id);
        let found = table
            .or_else(|| home.view_named(schema, name.name()).map(|view| view.id))
            .or_else(|| {
                home.sequence_named(schema, name.name())
                    .map(|found| found.id)
            });
        if let Some(thing) = found.and_then(|id| relation(home, id.0)) {
            return Ok(thing);
        }
    }
    Err(undefined_table(name.schema(), name.name()))
}

fn routine(home: &Database, found: &chronolith_catalog::Routine) -> Thing {
    let acl = home.acls.get(&found.id.0).cloned();
    Thing {
        oid: found.id.0,
        kind: Securable::Routine,
        name: found.name.clone(),
        word: "function",
        owner: found.owner,
        acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Routine, found.owner)),
    }
}

fn type_of(
    shared: &Shared,
    home: &Database,
    name: &Name,
    kind: ObjectKind,
) -> Result<Thing, Error> {
    let missing = || {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("type \"{name}\" does not exist"),
        )
    };
    let found = shared.find_type(name.schema(), name.name())?;
    let found = found.ok_or_else(missing)?;
    if kind == ObjectKind::Domain && found.domain().is_none() {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a domain", found.name),
        ));
    }
    let acl = home.acls.get(&found.id.0).cloned();
    Ok(Thing {
        oid: found.id.0,
        kind: Securable::Type,
        name: found.name.clone(),
        word: "type",
        owner: found.owner,
        acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Type, found.owner)),
    })
}

fn language_of(home: &Database, name: &str) -> Result<Thing, Error> {
    let Some((oid, trusted)) = crate::catalogs::language(name) else {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("language \"{name}\" does not exist"),
        ));
    };
    if !trusted {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("language \"{name}\" is not trusted"),
        )
        .detail(
            "GRANT and REVOKE are not allowed on untrusted languages, because only superusers can \
             use untrusted languages.",
        ));
    }
    let owner = RoleId(10);
    let acl = home.acls.get(&oid).cloned();
    Ok(Thing {
        oid,
        kind: Securable::Language,
        name: name.to_owned(),
        word: "language",
        owner,
        acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Language, owner)),
    })
}

fn schema_of(home: &Database, name: &str) -> Result<Thing, Error> {
    let found = home.schema_named(name).ok_or_else(|| no_schema(name))?;
    let acl = home.schema_acl(found.id);
    Ok(Thing {
        oid: found.id.0,
        kind: Securable::Schema,
        name: name.to_owned(),
        word: "schema",
        owner: found.owner,
        acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Schema, found.owner)),
    })
}

fn database_of(catalog: &Catalog, name: &str) -> Result<Thing, Error> {
    let found = catalog.database_named(name).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_CATALOG_NAME,
            format!("database \"{name}\" does not exist"),
        )
    })?;
    let acl = found.acls.get(&found.id.0).cloned();
    Ok(Thing {
        oid: found.id.0,
        kind: Securable::Database,
        name: name.to_owned(),
        word: "database",
        owner: found.owner,
        acl: acl.unwrap_or_else(|| Acl::default_of(Securable::Database, found.owner)),
    })
}

/// Who grants: the owner, if the current role acts as that, or the one of its roles that may hand on
/// most of what is asked for.
fn grantor(catalog: &Catalog, role: RoleId, thing: &Thing, rights: Rights) -> (RoleId, Rights) {
    if catalog.acts_as(role, thing.owner) {
        return (thing.owner, thing.kind.rights());
    }
    let may = |role: RoleId| thing.acl.grantable_by(&BTreeSet::from([role]));
    let mut best = (role, may(role));
    for other in catalog.roles_of(role) {
        let options = may(other);
        let count = |options: Rights| (options & rights).each().count();
        if count(options) > count(best.1) {
            best = (other, options);
        }
    }
    best
}

fn one(
    shared: &Arc<Shared>,
    grant: &Grant,
    thing: &Thing,
    asked: &Asked,
    to: &[Option<RoleId>],
) -> Result<(), Error> {
    let rights = asked.whole.unwrap_or_else(|| thing.kind.rights());
    if thing.kind == Securable::Relation {
        columns::run(shared, grant, thing, asked, to)?;
    }
    match rights.is_empty() {
        true => Ok(()),
        false => whole(shared, grant, thing, asked.whole, to),
    }
}

fn whole(
    shared: &Arc<Shared>,
    grant: &Grant,
    thing: &Thing,
    asked: Option<Rights>,
    to: &[Option<RoleId>],
) -> Result<(), Error> {
    let catalog = shared.catalog();
    let role = shared.role(&catalog)?;
    let all = asked.is_none();
    let rights = asked.unwrap_or_else(|| thing.kind.rights());
    let (by, options) = grantor(&catalog, role, thing, rights);
    if options.is_empty() {
        let own = thing.acl.rights_of(&catalog.roles_of(role));
        if own.is_empty() {
            return Err(denied(thing.word, &thing.name));
        }
    }
    let may = rights & options;
    warn(
        shared,
        grant,
        (rights, may, all),
        &format!("\"{}\"", thing.name),
    );
    let mut acl = thing.acl.clone();
    apply(&mut acl, grant, may, to, by, thing.owner)?;
    // Also when nothing changes: from now on it is said, as PostgreSQL shows it.
    // What was granted on a database is kept within it.
    let database = match thing.kind {
        Securable::Database => DatabaseId(thing.oid),
        _ => shared.database,
    };
    shared.change_unguarded(Change::SetAcl {
        database,
        oid: thing.oid,
        acl: Some(acl),
    })
}

/// Says so when not all rights that were asked for could be granted or taken.
fn warn(shared: &Shared, grant: &Grant, (rights, may, all): (Rights, Rights, bool), of: &str) {
    if may == rights || (all && !may.is_empty()) {
        return;
    }
    let (code, words) = match (grant.revoke, may.is_empty()) {
        (false, true) => (PRIVILEGE_NOT_GRANTED, "no privileges were granted for"),
        (false, false) => (PRIVILEGE_NOT_GRANTED, "not all privileges were granted for"),
        (true, true) => (PRIVILEGE_NOT_REVOKED, "no privileges could be revoked for"),
        (true, false) => (
            PRIVILEGE_NOT_REVOKED,
            "not all privileges could be revoked for",
        ),
    };
    shared.notice(Severity::Warning, Error::new(code, format!("{words} {of}")));
}

fn apply(
    acl: &mut Acl,
    grant: &Grant,
    rights: Rights,
    to: &[Option<RoleId>],
    by: RoleId,
    owner: RoleId,
) -> Result<(), Error> {
    for to in to {
        if !grant.revoke {
            acl.grant(*to, by, rights, grant.with_option);
            continue;
        }
        acl.revoke(*to, by, rights, grant.option_only, grant.cascade, owner)
            .map_err(|_| {
                Error::new(DEPENDENT_PRIVILEGES, "dependent privileges exist")
                    .hint("Use CASCADE to revoke them too.")
            })?;
    }
    Ok(())
}

// ------------------------------------------------------------------------------ default privileges

pub(super) fn defaults(shared: &Arc<Shared>, of: &DefaultPrivileges) -> Result<(), Error> {
    let Granted::Rights { rights, on } = &of.grant.granted else {
        return Err(Error::unsupported("default membership"));
    };
    let kind = kind_of(on)?;
    let asked = rights_of(rights, kind)?;
    if !asked.columns.is_empty() {
        return Err(Error::new(
            INVALID_GRANT_OPERATION,
            "default privileges cannot be set for columns",
        ));
    }
    let rights = asked.whole.unwrap_or_else(|| kind.rights());
    if kind == Securable::Schema && !of.schemas.is_empty() {
        return Err(Error::new(
            INVALID_GRANT_OPERATION,
            "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS",
        ));
    }
    let to = grantees(shared, &of.grant.to)?;
    refuse_options_to_all(&of.grant, &to)?;
    let catalog = shared.catalog();
    let me = shared.role(&catalog)?;
    let mut makers = Vec::new();
    for named in &of.roles {
        let role = role_of(shared, &catalog, named)?;
        if !catalog.is_member(me, role.id) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("must be member of role \"{}\"", role.name),
            ));
        }
        makers.push(role.id);
    }
    if makers.is_empty() {
        makers.push(me);
    }
    let home = shared.home()?;
    let mut places = Vec::new();
    for name in &of.schemas {
        let schema = home.schema_named(&name.value);
        places.push(Some(schema.ok_or_else(|| no_schema(&name.value))?.id));
    }
    if places.is_empty() {
        places.push(None);
    }
    let mut all = home.default_acls.clone();
    for maker in makers {
        for place in &places {
            let key = (maker, *place, kind);
            let known = all
                .iter()
                .position(|known| (known.role, known.schema, known.kind) == key);
            // Those of a schema come on top of what holds anyway.
            let nothing = match place {
                None => Acl::default_of(kind, maker),
                Some(_) => Acl::default(),
            };
            let known = known.map(|known| all.remove(known));
            let (id, mut acl) = match known {
                Some(known) => (known.id, known.acl),
                None => {
                    let id = shared.transact(|tx| Ok::<_, Error>(tx.allocate_oid()))?;
                    (id, nothing.clone())
                }
            };
            apply(&mut acl, &of.grant, rights, &to, maker, maker)?;
            if acl != nothing {
                all.push(DefaultAcl {
                    id,
                    role: maker,
                    schema: *place,
                    kind,
                    acl,
                });
            }
        }
    }
    shared.change_unguarded(Change::SetDefaultAcls {
        database: shared.database,
        acls: all,
    })
}

// -------------------------------------------------------------------------------------- membership

fn membership(shared: &Arc<Shared>, grant: &Grant, roles: &[Spelled]) -> Result<(), Error> {
    for group in roles {
        for member in &grant.to {
            let catalog = shared.catalog();
            let group = Arc::clone(role_of(shared, &catalog, group)?);
            let member = Arc::clone(role_of(shared, &catalog, member)?);
            may_let_in(shared, &catalog, &group)?;
            let implicit = |role: &Role| role.name == "pg_database_owner";
            let words = match (implicit(&group), implicit(&member)) {
                (true, _) => "cannot have explicit members",
                (false, true) => "cannot be a member of any role",
                (false, false) => "",
            };
            if !words.is_empty() && !grant.revoke {
                return Err(Error::internal(format!(
                    "role \"pg_database_owner\" {words}"
                )));
            }
            let mut changed = Role::clone(&member);
            let known = changed.member_of.contains(&group.id);
            if grant.revoke {
                if !known {
                    let message = format!(
                        "role \"{}\" is not a member of role \"{}\"",
                        member.name, group.name
                    );
                    let body = Error::new(SqlState::new(b"01000"), message);
                    shared.notice(Severity::Warning, body);
                    continue;
                }
                changed.admin_of.retain(|role| *role != group.id);
                if !grant.option_only {
                    changed.member_of.retain(|role| *role != group.id);
                }
            } else {
                if catalog.memberships_of(group.id).contains(&member.id) {
                    return Err(Error::new(
                        INVALID_GRANT_OPERATION,
                        format!(
                            "role \"{}\" is a member of role \"{}\"",
                            group.name, member.name
                        ),
                    ));
                }
                let admin = changed.admin_of.contains(&group.id);
                if known && (admin || !grant.with_option) {
                    let message = format!(
                        "role \"{}\" is already a member of role \"{}\"",
                        member.name, group.name
                    );
                    let body = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
                    shared.notice(Severity::Notice, body);
                    continue;
                }
                if !known {
                    changed.member_of.push(group.id);
                }
                if grant.with_option {
                    changed.admin_of.push(group.id);
                }
            }
            shared.change_unguarded(Change::ChangeRole { role: changed })?;
        }
    }
    Ok(())
}

/// IN ROLE, ROLE and ADMIN of CREATE ROLE.
pub(super) fn let_in(shared: &Arc<Shared>, name: &str, options: &[Opt]) -> Result<(), Error> {
    let spelled = |name: &str| Spelled {
        value: name.to_owned(),
        position: 0,
    };
    for option in options {
        let named = option.value.as_deref().unwrap_or_default().split(", ");
        let named: Vec<Spelled> = named.filter(|name| !name.is_empty()).map(spelled).collect();
        let own = vec![spelled(name)];
        let (groups, members, admin) = match option.name.as_str() {
            "in role" => (named, own, false),
            "role" | "user" => (own, named, false),
            "admin" => (own, named, true),
            _ => continue,
        };
        let grant = Grant {
            revoke: false,
            option_only: false,
            with_option: admin,
            cascade: false,
            granted: Granted::Roles(groups.clone()),
            to: members,
            by: None,
        };
        membership(shared, &grant, &groups)?;
    }
    Ok(())
}

/// A superuser may let into any role, CREATEROLE into any but superusers', an admin into his.
fn may_let_in(shared: &Shared, catalog: &Catalog, group: &Role) -> Result<(), Error> {
    let me = shared.role(catalog)?;
    if catalog.is_superuser(me) {
        return Ok(());
    }
    if group.may(Privilege::Superuser) {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            "must be superuser to alter superusers",
        ));
    }
    let own = catalog.roles.get(&me);
    let creates = own.is_some_and(|role| role.may(Privilege::CreateRole));
    let admin = catalog.memberships_of(me).iter().any(|role| {
        let role = catalog.roles.get(role);
        role.is_some_and(|role| role.admin_of.contains(&group.id))
    });
    if creates || admin {
        return Ok(());
    }
    Err(Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must have admin option on role \"{}\"", group.name),
    ))
}
