//! LOCK TABLE.

use sqlparser::tokenizer::Token;

use crate::cursor::Cursor;
use crate::{Name, SqlError, Statement};

/// How LOCK TABLE locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are PostgreSQL's own")]
pub enum LockKind {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// LOCK TABLE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The tables.
    pub tables: Vec<Name>,
    /// IN … MODE; ACCESS EXCLUSIVE where nothing is said.
    pub kind: LockKind,
    /// NOWAIT.
    pub nowait: bool,
}

/// The longer of two modes that begin alike comes first.
const KINDS: [(&[&str], LockKind); 8] = [
    (&["access", "share"], LockKind::AccessShare),
    (&["access", "exclusive"], LockKind::AccessExclusive),
    (&["row", "share"], LockKind::RowShare),
    (&["row", "exclusive"], LockKind::RowExclusive),
    (
        &["share", "update", "exclusive"],
        LockKind::ShareUpdateExclusive,
    ),
    (&["share", "row", "exclusive"], LockKind::ShareRowExclusive),
    (&["share"], LockKind::Share),
    (&["exclusive"], LockKind::Exclusive),
];

pub(crate) fn lock(c: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    c.expect(&["lock"])?;
    c.accept(&["table"]);
    let tables = c.list(|c| {
        c.accept(&["only"]);
        let name = c.name();
        c.take(&Token::Mul);
        name
    })?;
    let mut kind = LockKind::AccessExclusive;
    if c.accept(&["in"]) {
        let found = KINDS.iter().find(|(words, _)| c.accept(words));
        kind = found.map(|(_, kind)| *kind).ok_or_else(|| c.unexpected())?;
        c.expect(&["mode"])?;
    }
    let nowait = c.accept(&["nowait"]);
    Ok(Statement::Lock(Lock {
        tables,
        kind,
        nowait,
    }))
}
