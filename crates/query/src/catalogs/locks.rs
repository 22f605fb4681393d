//! What a session has open or waits for: cursors and locks.

use chronolith_engine::{LockTarget, Locked, LockedThing};
use chronolith_types::DatabaseId;

use super::context::Context;
use super::relation::Fill;
use super::rows::{Cell, NULL, Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_cursors" => cursors,
        "pg_locks" => locks,
        _ => return None,
    })
}

fn cursors<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for cursor in context.cursors.iter() {
        rows.push(row![
            &cursor.name,
            &cursor.text,
            cursor.hold,
            cursor.binary,
            cursor.scrolls,
            cursor.created_us,
        ]);
    }
    Ok(())
}

fn locks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for lock in context.locks.iter() {
        let mut row: Vec<Cell<'_>> = match lock.thing {
            LockedThing::Target(target) => of_target(target),
            LockedThing::Transaction(number) => {
                let number = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(0);
                let mut row = row!["transactionid", NULL, NULL, NULL, NULL, NULL, number];
                row.resize(10, Cell::Null);
                row
            }
        };
        row.extend(holder(lock));
        rows.push(row);
    }
    Ok(())
}

fn of_target<'a>(target: LockTarget) -> Vec<Cell<'a>> {
    let shared = |database: DatabaseId| database.0;
    match target {
        LockTarget::Table { database, table } => {
            let mut row = row!["relation", shared(database), table.0];
            row.resize(10, Cell::Null);
            row
        }
        LockTarget::Object {
            database,
            class,
            object,
        } => row![
            "object",
            shared(database),
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            class,
            object,
            0_i64,
        ],
        LockTarget::Advisory {
            database,
            class,
            object,
            kind,
        } => row![
            "advisory",
            shared(database),
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            class,
            object,
            i64::from(kind),
        ],
    }
}

fn holder<'a>(lock: &Locked) -> Vec<Cell<'a>> {
    row![
        format!("{}/{}", lock.pid, lock.owner),
        lock.pid,
        lock.mode.name(),
        lock.granted,
        false,
        lock.since_us,
    ]
}
