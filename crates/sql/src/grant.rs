//! GRANT, REVOKE and ALTER DEFAULT PRIVILEGES.

use sqlparser::tokenizer::Token;

use crate::create::role_name;
use crate::cursor::Cursor;
use crate::{
    DefaultPrivileges, Grant, GrantTarget, Granted, GrantedRight, ObjectKind, Spelled, SqlError,
    Statement,
};

/// What stands after ON, and in lists after ALL … IN SCHEMA and of default privileges.
const KINDS: &[(&str, &str, ObjectKind)] = &[
    ("table", "tables", ObjectKind::Table),
    ("sequence", "sequences", ObjectKind::Sequence),
    ("function", "functions", ObjectKind::Function),
    ("procedure", "procedures", ObjectKind::Procedure),
    ("routine", "routines", ObjectKind::Routine),
    ("schema", "schemas", ObjectKind::Schema),
    ("type", "types", ObjectKind::Type),
];

pub(crate) fn grant(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let revoke = c.accept_any(&["grant", "revoke"]) == Some("revoke");
    Ok(Statement::Grant(Box::new(body(c, revoke, false)?)))
}

/// REASSIGN OWNED BY … TO ….
pub(crate) fn reassign(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["reassign", "owned", "by"])?;
    let roles = c.list(role_name)?;
    c.expect(&["to"])?;
    let to = Some(role_name(c)?);
    Ok(Statement::Owned {
        roles,
        to,
        cascade: false,
    })
}

/// After DROP OWNED.
pub(crate) fn drop_owned(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["by"])?;
    let roles = c.list(role_name)?;
    let cascade = c.accept_any(&["cascade", "restrict"]) == Some("cascade");
    Ok(Statement::Owned {
        roles,
        to: None,
        cascade,
    })
}

/// After ALTER DEFAULT PRIVILEGES.
pub(crate) fn defaults(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let mut roles = Vec::new();
    let mut schemas = Vec::new();
    loop {
        if c.accept(&["for"]) {
            if c.accept_any(&["role", "user"]).is_none() {
                return Err(c.unexpected());
            }
            roles.extend(c.list(role_name)?);
        } else if c.accept(&["in", "schema"]) {
            schemas.extend(c.list(Cursor::ident)?);
        } else {
            break;
        }
    }
    let revoke = match c.accept_any(&["grant", "revoke"]) {
        Some(word) => word == "revoke",
        None => return Err(c.unexpected()),
    };
    let grant = body(c, revoke, true)?;
    Ok(Statement::DefaultPrivileges(Box::new(DefaultPrivileges {
        roles,
        schemas,
        grant,
    })))
}

fn body(c: &mut Cursor<'_>, revoke: bool, default: bool) -> Result<Grant, SqlError> {
    let mut grant = Grant {
        revoke,
        option_only: false,
        with_option: false,
        cascade: false,
        granted: Granted::Roles(Vec::new()),
        to: Vec::new(),
        by: None,
    };
    if revoke && (c.accept(&["grant", "option", "for"]) || c.accept(&["admin", "option", "for"])) {
        grant.option_only = true;
    }
    let items = items(c)?;
    grant.granted = if c.accept(&["on"]) {
        Granted::Rights {
            rights: items,
            on: if default { plural(c)? } else { target(c)? },
        }
    } else {
        let roles = items.into_iter().map(|item| item.name);
        Granted::Roles(roles.collect())
    };
    c.expect(&[if revoke { "from" } else { "to" }])?;
    grant.to = c.list(|c| {
        c.accept(&["group"]);
        role_name(c)
    })?;
    if !revoke {
        grant.with_option = c.accept(&["with", "grant", "option"])
            || c.accept(&["with", "admin", "option"])
            || c.accept(&["with", "admin", "true"]);
    }
    if c.accept(&["granted", "by"]) {
        grant.by = Some(role_name(c)?);
    }
    if revoke {
        grant.cascade = c.accept_any(&["cascade", "restrict"]) == Some("cascade");
    }
    Ok(grant)
}

/// `ALL [PRIVILEGES]`, or a list of rights or roles; rights are empty for all of them.
fn items(c: &mut Cursor<'_>) -> Result<Vec<GrantedRight>, SqlError> {
    if c.accept(&["all"]) {
        c.accept(&["privileges"]);
        // `ALL (a, b)`: of columns.
        let columns = c.optional_columns()?;
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let name = Spelled {
            value: "all".to_owned(),
            position: c.position(),
        };
        return Ok(vec![GrantedRight { name, columns }]);
    }
    c.list(|c| {
        let position = c.position();
        // SELECT, CREATE and REFERENCES are reserved, and are rights all the same.
        let Token::Word(word) = c.peek().token else {
            return Err(c.unexpected());
        };
        c.next();
        Ok(GrantedRight {
            name: Spelled {
                value: word.value,
                position,
            },
            columns: c.optional_columns()?,
        })
    })
}

/// `TABLES` and the like, of things to come.
fn plural(c: &mut Cursor<'_>) -> Result<GrantTarget, SqlError> {
    for (_, word, kind) in KINDS {
        if c.accept(&[word]) {
            return Ok(GrantTarget::AllIn {
                kind: *kind,
                schemas: Vec::new(),
            });
        }
    }
    Err(c.unexpected())
}

fn target(c: &mut Cursor<'_>) -> Result<GrantTarget, SqlError> {
    if c.accept(&["all"]) {
        for (_, word, kind) in KINDS {
            if c.accept(&[word, "in", "schema"]) {
                return Ok(GrantTarget::AllIn {
                    kind: *kind,
                    schemas: c.list(Cursor::ident)?,
                });
            }
        }
        return Err(c.unexpected());
    }
    for (word, _, kind) in KINDS {
        if c.accept(&[word]) {
            return objects(c, *kind);
        }
    }
    if c.accept(&["database"]) {
        return objects(c, ObjectKind::Database);
    }
    if c.accept(&["language"]) {
        return objects(c, ObjectKind::Language);
    }
    if c.accept(&["domain"]) {
        return objects(c, ObjectKind::Domain);
    }
    for words in [
        &["foreign", "data", "wrapper"][..],
        &["foreign", "server"],
        &["large", "object"],
        &["tablespace"],
        &["parameter"],
    ] {
        if c.accept(words) {
            return objects(c, ObjectKind::Other);
        }
    }
    objects(c, ObjectKind::Table)
}

fn objects(c: &mut Cursor<'_>, kind: ObjectKind) -> Result<GrantTarget, SqlError> {
    let names = c.list(|c| Ok((c.name()?, crate::routine::signature(c)?)))?;
    let (names, signatures) = names.into_iter().unzip();
    Ok(GrantTarget::Objects {
        kind,
        names,
        signatures,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn read(sql: &str) -> Statement {
        crate::parse(sql).unwrap().remove(0).statement
    }

    #[test]
    fn rights_and_roles_are_told_apart_by_what_follows() {
        let Statement::Grant(grant) =
            read("GRANT SELECT, insert (a, b) ON x.t TO u, PUBLIC WITH GRANT OPTION")
        else {
            panic!("no GRANT");
        };
        assert!(grant.with_option && !grant.revoke);
        assert_eq!(
            grant
                .to
                .iter()
                .map(|to| to.value.as_str())
                .collect::<Vec<_>>(),
            ["u", "public"]
        );
        let Granted::Rights { rights, on } = grant.granted else {
            panic!("no rights");
        };
        assert_eq!(rights.len(), 2);
        assert_eq!(rights[1].columns.len(), 2);
        assert!(matches!(
            on,
            GrantTarget::Objects {
                kind: ObjectKind::Table,
                ..
            }
        ));
        let Statement::Grant(grant) = read("REVOKE ADMIN OPTION FOR a, b FROM c CASCADE") else {
            panic!("no REVOKE");
        };
        assert!(grant.option_only && grant.cascade);
        assert!(matches!(grant.granted, Granted::Roles(roles) if roles.len() == 2));
    }

    #[test]
    fn default_privileges_name_what_is_to_come() {
        let sql = "ALTER DEFAULT PRIVILEGES FOR ROLE a IN SCHEMA s GRANT ALL ON TABLES TO b";
        let Statement::DefaultPrivileges(defaults) = read(sql) else {
            panic!("no default privileges");
        };
        assert_eq!((defaults.roles.len(), defaults.schemas.len()), (1, 1));
        let Granted::Rights { rights, on } = defaults.grant.granted else {
            panic!("no rights");
        };
        assert!(rights.is_empty());
        assert!(matches!(
            on,
            GrantTarget::AllIn {
                kind: ObjectKind::Table,
                ..
            }
        ));
    }

    #[test]
    fn a_grant_to_nobody_is_no_statement() {
        assert!(crate::parse("GRANT SELECT ON t").is_err());
        assert!(crate::parse("REVOKE SELECT ON t TO u").is_err());
        assert!(crate::parse("GRANT ON t TO u").is_err());
    }
}
