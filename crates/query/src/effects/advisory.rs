//! Advisory locks: numbers that clients agree upon, locked for a session or a transaction.

use std::sync::Arc;

use chronolith_engine::{LockMode, LockTarget, Wait};
use chronolith_types::{DatabaseId, SqlState};
use datafusion::common::ScalarValue;

use super::args::Args;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{Shared, blocking};

/// What a function of the family does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    /// It gives a lock back.
    unlocks: bool,
    /// It does not wait, and says whether it has the lock.
    tries: bool,
    /// Until the transaction ends.
    transaction: bool,
    mode: LockMode,
}

fn call_of(name: &str) -> Option<Call> {
    let (tries, rest) = match name.strip_prefix("pg_try_advisory_") {
        Some(rest) => (true, rest),
        None => (false, name.strip_prefix("pg_advisory_")?),
    };
    let (transaction, rest) = match rest.strip_prefix("xact_") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let (unlocks, mode) = match rest {
        "lock" => (false, LockMode::Exclusive),
        "lock_shared" => (false, LockMode::Share),
        "unlock" if !tries && !transaction => (true, LockMode::Exclusive),
        "unlock_shared" if !tries && !transaction => (true, LockMode::Share),
        _ => return None,
    };
    Some(Call {
        unlocks,
        tries,
        transaction,
        mode,
    })
}

/// The number that is locked: a bigint, or two integers, which never meet.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the two halves of a number, whatever its sign"
)]
fn target(database: DatabaseId, args: Args<'_>) -> Option<LockTarget> {
    let first = args.integer(0)?;
    Some(match args.get(1) {
        None => LockTarget::Advisory {
            database,
            class: (first >> 32) as u32,
            object: first as u32,
            kind: 1,
        },
        Some(_) => LockTarget::Advisory {
            database,
            class: first as u32,
            object: args.integer(1)? as u32,
            kind: 2,
        },
    })
}

/// The function's answer; None when it is none of the family.
pub(super) fn call(
    shared: &Arc<Shared>,
    name: &str,
    args: Args<'_>,
) -> Result<Option<ScalarValue>, Error> {
    let locker = &shared.locker;
    if name == "pg_advisory_unlock_all" {
        locker.unlock_session_all();
        return Ok(Some(ScalarValue::Null));
    }
    let Some(call) = call_of(name) else {
        return Ok(None);
    };
    let boolean = call.tries || call.unlocks;
    let Some(target) = target(shared.database, args) else {
        // STRICT: NULL locks nothing.
        return Ok(Some(match boolean {
            true => ScalarValue::Boolean(None),
            false => ScalarValue::Null,
        }));
    };
    if call.unlocks {
        let had = locker.unlock_session(target, call.mode);
        if !had {
            let words = format!("you don't own a lock of type {}", call.mode.name());
            shared.notice(Severity::Warning, Error::new(SqlState::WARNING, words));
        }
        return Ok(Some(ScalarValue::Boolean(Some(had))));
    }
    let wait = if call.tries { Wait::Skip } else { Wait::Block };
    let had = blocking(|| match call.transaction {
        true => locker.lock(target, call.mode, wait),
        false => locker.lock_session(target, call.mode, wait),
    })?;
    Ok(Some(match boolean {
        true => ScalarValue::Boolean(Some(had)),
        false => ScalarValue::Null,
    }))
}
