//! ALTER, DROP and COMMENT.

use chronolith_types::SqlState;
use sqlparser::tokenizer::Token;

use crate::create::{column, constraint, database_options, role_name, role_options, timing};
use crate::cursor::{Cursor, string_of};
use crate::session::setting;
use crate::{
    AlterAction, AlterTable, ColumnIdentity, Drop, Label, ObjectKind, SettingChange, Spelled,
    SqlError, Statement,
};

/// Kinds of things by their words, the longer ones first.
const KINDS: &[(&[&str], ObjectKind)] = &[
    (&["materialized", "view"], ObjectKind::MaterializedView),
    (&["foreign", "data", "wrapper"], ObjectKind::Other),
    (&["foreign", "table"], ObjectKind::Table),
    (&["event", "trigger"], ObjectKind::Other),
    (&["access", "method"], ObjectKind::Other),
    (&["user", "mapping"], ObjectKind::Other),
    (&["operator", "class"], ObjectKind::Other),
    (&["operator", "family"], ObjectKind::Other),
    (&["text", "search"], ObjectKind::Other),
    (&["table"], ObjectKind::Table),
    (&["view"], ObjectKind::View),
    (&["index"], ObjectKind::Index),
    (&["schema"], ObjectKind::Schema),
    (&["database"], ObjectKind::Database),
    (&["role"], ObjectKind::Role),
    (&["user"], ObjectKind::Role),
    (&["group"], ObjectKind::Role),
    (&["extension"], ObjectKind::Extension),
    (&["sequence"], ObjectKind::Sequence),
    (&["function"], ObjectKind::Function),
    (&["procedure"], ObjectKind::Procedure),
    (&["routine"], ObjectKind::Routine),
    (&["aggregate"], ObjectKind::Aggregate),
    (&["trigger"], ObjectKind::Trigger),
    (&["type"], ObjectKind::Type),
    (&["domain"], ObjectKind::Domain),
    (&["column"], ObjectKind::Column),
    (&["constraint"], ObjectKind::Constraint),
    (&["publication"], ObjectKind::Publication),
    (&["subscription"], ObjectKind::Other),
    (&["policy"], ObjectKind::Other),
    (&["rule"], ObjectKind::Other),
    (&["server"], ObjectKind::Other),
    (&["tablespace"], ObjectKind::Other),
    (&["language"], ObjectKind::Other),
    (&["statistics"], ObjectKind::Other),
    (&["collation"], ObjectKind::Other),
    (&["conversion"], ObjectKind::Other),
    (&["operator"], ObjectKind::Other),
    (&["cast"], ObjectKind::Other),
    (&["transform"], ObjectKind::Other),
    (&["large", "object"], ObjectKind::Other),
];

fn kind(c: &mut Cursor<'_>) -> Result<(ObjectKind, String), SqlError> {
    for (words, kind) in KINDS {
        if c.accept(words) {
            return Ok((*kind, words.join(" ").to_uppercase()));
        }
    }
    Err(c.unexpected())
}

pub(crate) fn drop(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["drop"])?;
    if c.accept(&["owned"]) {
        return crate::grant::drop_owned(c);
    }
    if c.accept(&["trigger"]) {
        return crate::trigger::drop(c);
    }
    if c.accept(&["policy"]) {
        return crate::policy::drop(c);
    }
    let (kind, words) = kind(c)?;
    if matches!(
        kind,
        ObjectKind::Other | ObjectKind::Column | ObjectKind::Constraint
    ) {
        c.rest();
        return Ok(Statement::Other(format!("DROP {words}")));
    }
    c.accept(&["concurrently"]);
    let if_exists = c.accept(&["if", "exists"]);
    let names = c.list(|c| {
        let name = c.name()?;
        if kind == ObjectKind::Aggregate {
            c.parenthesised()?;
            return Ok((name, None));
        }
        Ok((name, crate::routine::signature(c)?))
    })?;
    let (names, signatures) = names.into_iter().unzip();
    if kind == ObjectKind::Database && c.accept(&["with"]) {
        c.options()?;
    }
    let cascade = c.accept_any(&["cascade", "restrict"]) == Some("cascade");
    Ok(Statement::Drop(Drop {
        kind,
        names,
        signatures,
        if_exists,
        cascade,
    }))
}

pub(crate) fn comment(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["comment", "on"])?;
    let (kind, words) = kind(c)?;
    if kind == ObjectKind::Other {
        c.rest();
        return Ok(Statement::Other(format!("COMMENT ON {words}")));
    }
    let mut name = c.name()?;
    let signature = match kind {
        ObjectKind::Aggregate => {
            c.parenthesised()?;
            None
        }
        _ => crate::routine::signature(c)?,
    };
    if matches!(kind, ObjectKind::Constraint | ObjectKind::Trigger) {
        c.expect(&["on"])?;
        if kind == ObjectKind::Constraint && c.accept(&["domain"]) {
            c.rest();
            return Ok(Statement::Other(
                "COMMENT ON CONSTRAINT … ON DOMAIN".to_owned(),
            ));
        }
        let mut of = c.name()?;
        of.parts.append(&mut name.parts);
        name = of;
    }
    c.expect(&["is"])?;
    let text = if c.accept(&["null"]) {
        None
    } else {
        Some(c.string()?)
    };
    Ok(Statement::Comment {
        kind,
        name,
        signature,
        text,
    })
}

pub(crate) fn label(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["security", "label"])?;
    let provider = match c.accept(&["for"]) {
        true => Some(match string_of(&c.peek().token) {
            Some(text) => {
                c.next();
                text
            }
            None => c.ident()?.value,
        }),
        false => None,
    };
    c.expect(&["on"])?;
    let (kind, words) = kind(c)?;
    if matches!(kind, ObjectKind::Other | ObjectKind::Aggregate) {
        c.rest();
        return Ok(Statement::Other(format!("SECURITY LABEL ON {words}")));
    }
    let name = c.name()?;
    let signature = crate::routine::signature(c)?;
    c.expect(&["is"])?;
    let text = match c.accept(&["null"]) {
        true => None,
        false => Some(c.string()?),
    };
    Ok(Statement::Label(Box::new(Label {
        provider,
        kind,
        name,
        signature,
        text,
    })))
}

pub(crate) fn alter(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["alter"])?;
    if c.accept(&["system"]) {
        return match set_or_reset(c)? {
            Some(change) => Ok(Statement::AlterSystem(change)),
            None => Err(c.unexpected()),
        };
    }
    if c.accept(&["policy"]) {
        return crate::policy::policy(c, true);
    }
    if c.accept(&["default", "privileges"]) {
        return crate::grant::defaults(c);
    }
    let (kind, words) = kind(c)?;
    match kind {
        ObjectKind::Role => role(c),
        ObjectKind::Database => database(c),
        ObjectKind::Schema => {
            let name = c.ident()?;
            let (rename, owner) = renamed_or_owned(c)?;
            Ok(Statement::AlterSchema {
                name,
                rename,
                owner,
            })
        }
        ObjectKind::Type | ObjectKind::Domain => {
            crate::user_types::alter(c, kind == ObjectKind::Domain)
        }
        ObjectKind::Extension => {
            let name = c.ident()?;
            c.expect(&["update"])?;
            let version = if c.accept(&["to"]) {
                Some(c.value()?)
            } else {
                None
            };
            Ok(Statement::AlterExtension { name, version })
        }
        ObjectKind::Table
        | ObjectKind::View
        | ObjectKind::MaterializedView
        | ObjectKind::Index
        | ObjectKind::Sequence => table(c, kind),
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
            crate::routine::alter(c, kind)
        }
        ObjectKind::Trigger => crate::trigger::alter(c),
        ObjectKind::Publication => crate::publication::alter(c),
        _ => {
            c.rest();
            Ok(Statement::Other(format!("ALTER {words}")))
        }
    }
}

/// SET name = value, RESET name.
pub(crate) fn set_or_reset(c: &mut Cursor<'_>) -> Result<Option<SettingChange>, SqlError> {
    if c.accept(&["set"]) {
        return setting(c).map(Some);
    }
    let position = c.position();
    if c.accept(&["reset"]) {
        let name = if c.accept(&["all"]) {
            "all".to_owned()
        } else {
            c.name()?.parts.join(".").to_lowercase()
        };
        return Ok(Some(SettingChange {
            name,
            value: None,
            position,
        }));
    }
    Ok(None)
}

fn renamed_or_owned(c: &mut Cursor<'_>) -> Result<(Option<Spelled>, Option<Spelled>), SqlError> {
    if c.accept(&["rename", "to"]) {
        Ok((Some(c.ident()?), None))
    } else if c.accept(&["owner", "to"]) {
        Ok((None, Some(role_name(c)?)))
    } else {
        Err(c.unexpected())
    }
}

fn role(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = role_name(c)?;
    let (mut rename, mut options) = (None, Vec::new());
    let database = match c.accept(&["in", "database"]) {
        true => Some(c.ident()?),
        false => None,
    };
    let set = set_or_reset(c)?;
    if set.is_none() {
        if database.is_some() {
            return Err(c.unexpected());
        }
        if c.accept(&["rename", "to"]) {
            rename = Some(c.ident()?);
        } else {
            options = role_options(c)?;
        }
    }
    Ok(Statement::AlterRole {
        name,
        options,
        rename,
        set,
        database,
    })
}

fn database(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = c.ident()?;
    let (mut rename, mut owner, mut options) = (None, None, Vec::new());
    let set = set_or_reset(c)?;
    if set.is_none() {
        if c.sees(&["rename"]) || c.sees(&["owner"]) {
            (rename, owner) = renamed_or_owned(c)?;
        } else {
            c.accept(&["with"]);
            options = database_options(c)?;
        }
    }
    Ok(Statement::AlterDatabase {
        name,
        options,
        rename,
        owner,
        set,
    })
}

fn table(c: &mut Cursor<'_>, kind: ObjectKind) -> Result<Statement, SqlError> {
    if kind != ObjectKind::View && c.accept(&["all", "in", "tablespace"]) {
        c.rest();
        return Ok(Statement::Other("ALTER … ALL IN TABLESPACE".to_owned()));
    }
    let if_exists = c.accept(&["if", "exists"]);
    c.accept(&["only"]);
    let name = c.name()?;
    if kind == ObjectKind::Sequence
        && let Some(altered) = crate::sequence::alter(c, &name, if_exists)?
    {
        return Ok(altered);
    }
    c.take(&Token::Mul);
    let actions = c.list(action)?;
    Ok(Statement::AlterTable(Box::new(AlterTable {
        kind,
        name,
        if_exists,
        actions,
    })))
}

fn action(c: &mut Cursor<'_>) -> Result<AlterAction, SqlError> {
    let if_exists = |c: &mut Cursor<'_>| c.accept(&["if", "exists"]);
    let cascade = |c: &mut Cursor<'_>| c.accept_any(&["cascade", "restrict"]) == Some("cascade");
    if c.accept(&["add"]) {
        if !c.sees(&["column"])
            && let Some(constraint) = constraint(c)?
        {
            return Ok(AlterAction::AddConstraint(constraint));
        }
        c.accept(&["column"]);
        let if_not_exists = c.accept(&["if", "not", "exists"]);
        let (column, constraints) = column(c)?;
        return Ok(AlterAction::AddColumn {
            if_not_exists,
            column,
            constraints,
        });
    }
    if c.accept(&["drop", "constraint"]) {
        let if_exists = if_exists(c);
        let name = c.ident()?;
        let cascade = cascade(c);
        return Ok(AlterAction::DropConstraint {
            name,
            if_exists,
            cascade,
        });
    }
    if c.accept(&["drop"]) {
        c.accept(&["column"]);
        let if_exists = if_exists(c);
        let name = c.ident()?;
        let cascade = cascade(c);
        return Ok(AlterAction::DropColumn {
            name,
            if_exists,
            cascade,
        });
    }
    if c.accept(&["alter", "constraint"]) {
        let name = c.ident()?;
        let timing = timing(c)?;
        return Ok(AlterAction::AlterConstraint { name, timing });
    }
    if let Some(word) = ["logged", "unlogged"]
        .into_iter()
        .find(|word| c.sees(&["set", word]))
    {
        c.accept(&["set", word]);
        return Ok(AlterAction::SetLogged(word == "logged"));
    }
    if c.accept(&["validate", "constraint"]) {
        return Ok(AlterAction::ValidateConstraint(c.ident()?));
    }
    if c.accept(&["alter"]) {
        c.accept(&["column"]);
        return alter_column(c);
    }
    if c.accept(&["rename"]) {
        return rename(c);
    }
    if c.accept(&["owner", "to"]) {
        return Ok(AlterAction::OwnerTo(role_name(c)?));
    }
    if c.accept(&["set", "schema"]) {
        return Ok(AlterAction::SetSchema(c.ident()?));
    }
    if c.sees(&["set"]) && c.nth(1) == Token::LParen {
        c.next();
        return Ok(AlterAction::SetOptions(c.options()?));
    }
    if c.sees(&["reset"]) && c.nth(1) == Token::LParen {
        c.next();
        return Ok(AlterAction::ResetOptions(c.options()?));
    }
    if c.at_end() || !matches!(c.peek().token, Token::Word(_)) {
        return Err(c.unexpected());
    }
    if let Some(word) = c.word()
        && matches!(word.as_str(), "enable" | "disable")
        && (c.sees(&[&word, "trigger"])
            || c.sees(&[&word, "replica", "trigger"])
            || c.sees(&[&word, "always", "trigger"]))
    {
        c.next();
        let enabled = match c.accept_any(&["replica", "always"]) {
            Some("replica") => 'R',
            Some(_) => 'A',
            None if word == "enable" => 'O',
            None => 'D',
        };
        c.next();
        let all = c.accept_any(&["all", "user"]).is_some();
        let name = match all {
            true => None,
            false => Some(c.ident()?),
        };
        return Ok(AlterAction::Trigger { enabled, name });
    }
    for (words, enabled, forced) in [
        (
            &["enable", "row", "level", "security"][..],
            Some(true),
            None,
        ),
        (&["disable", "row", "level", "security"], Some(false), None),
        (&["force", "row", "level", "security"], None, Some(true)),
        (
            &["no", "force", "row", "level", "security"],
            None,
            Some(false),
        ),
    ] {
        if c.accept(words) {
            return Ok(AlterAction::RowSecurity { enabled, forced });
        }
    }
    if c.accept(&["cluster", "on"]) {
        return Ok(AlterAction::Cluster(Some(c.ident()?)));
    }
    if c.accept(&["set", "without", "cluster"]) {
        return Ok(AlterAction::Cluster(None));
    }
    // ATTACH PARTITION, SET LOGGED …
    let known = [
        "enable", "disable", "attach", "detach", "set", "inherit", "no", "replica", "of", "not",
        "force", "depends",
    ];
    if c.word().is_some_and(|word| known.contains(&word.as_str())) {
        return Ok(AlterAction::Other(c.rest()));
    }
    Err(c.unexpected())
}

fn alter_column(c: &mut Cursor<'_>) -> Result<AlterAction, SqlError> {
    let name = c.ident()?;
    if c.accept(&["set", "default"]) {
        let default = Some(c.sql()?);
        return Ok(AlterAction::SetDefault { name, default });
    }
    if c.accept(&["drop", "default"]) {
        return Ok(AlterAction::SetDefault {
            name,
            default: None,
        });
    }
    if c.accept(&["set", "not", "null"]) {
        return Ok(AlterAction::SetNotNull {
            name,
            not_null: true,
        });
    }
    if c.accept(&["drop", "not", "null"]) {
        return Ok(AlterAction::SetNotNull {
            name,
            not_null: false,
        });
    }
    if c.accept(&["set", "data", "type"]) || c.accept(&["type"]) {
        let ty = c.data_type()?;
        if c.accept(&["collate"]) {
            let position = c.position();
            let name = c.name()?.name().to_owned();
            if !matches!(name.as_str(), "C" | "POSIX" | "default" | "ucs_basic") {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("collation \"{name}\" is not supported"),
                    position,
                ));
            }
        }
        let using = if c.accept(&["using"]) {
            Some(c.sql()?)
        } else {
            None
        };
        return Ok(AlterAction::SetType { name, ty, using });
    }
    if c.accept(&["drop", "expression"]) {
        let if_exists = c.accept(&["if", "exists"]);
        return Ok(AlterAction::DropExpression { name, if_exists });
    }
    if let Some(change) = crate::sequence::identity_change(c)? {
        return Ok(AlterAction::Identity(ColumnIdentity { name, change }));
    }
    if c.sees(&["set"]) || c.sees(&["reset"]) || c.sees(&["add"]) || c.sees(&["drop"]) {
        return Ok(AlterAction::Other(format!("ALTER COLUMN {}", c.rest())));
    }
    Err(c.unexpected())
}

fn rename(c: &mut Cursor<'_>) -> Result<AlterAction, SqlError> {
    if c.accept(&["to"]) {
        return Ok(AlterAction::RenameTo(c.ident()?));
    }
    if c.accept(&["constraint"]) {
        let from = c.ident()?;
        c.expect(&["to"])?;
        let to = c.ident()?;
        return Ok(AlterAction::RenameConstraint { from, to });
    }
    c.accept(&["column"]);
    let from = c.ident()?;
    c.expect(&["to"])?;
    let to = c.ident()?;
    Ok(AlterAction::RenameColumn { from, to })
}
