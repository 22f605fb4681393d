//! COMMIT and ROLLBACK of a procedure or a block of DO, which run in no block of the client's.

use std::sync::Arc;

use chronolith_types::SqlState;

use super::block::Block;
use super::cursor::Cursor;
use super::handle::Session;
use crate::error::Error;

/// What stands between a routine and the end of the transaction that it runs in.
#[derive(Debug, Default)]
pub(crate) struct Between {
    /// Calls that are part of something that must be whole: functions, routines with settings or
    /// rights of their own, EXECUTE.
    pub(crate) whole: usize,
    /// Blocks that handle what fails in them.
    pub(crate) guards: usize,
    /// Loops over the rows of a statement that changes some.
    pub(crate) changing: usize,
    /// Cursors that loops go over.
    pub(crate) looped: Vec<String>,
}

impl Session {
    /// Ends the transaction from within, and begins the next; the same modes hold where it is
    /// chained.
    ///
    /// # Errors
    /// 2D000 where it may not end, 55000 within loops that change rows; those of a commit.
    pub(crate) async fn end_within(&mut self, commit: bool, chain: bool) -> Result<(), Error> {
        let invalid = |words: &str| Error::new(SqlState::new(b"2D000"), words);
        let alone = self.block == Block::Implicit && !self.several && !self.nested;
        if !alone || self.between.whole > 0 {
            return Err(invalid("invalid transaction termination"));
        }
        if self.between.guards > 0 {
            return Err(invalid(match commit {
                true => "cannot commit while a subtransaction is active",
                false => "cannot roll back while a subtransaction is active",
            }));
        }
        if self.between.changing > 0 {
            return Err(Error::new(
                SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                "cannot perform transaction commands inside a cursor loop that is not read-only",
            ));
        }
        let looped: Vec<Arc<Cursor>> = self.shared.with(|state| {
            let names = self.between.looped.iter();
            let cursors = names.filter_map(|name| state.cursors.get(name).cloned());
            cursors.collect()
        });
        for cursor in looped {
            cursor.keep().await?;
        }
        let modes = self.shared.with(|state| state.modes.clone());
        match commit {
            true => {
                self.before_end().await?;
                self.complete().await?;
            }
            false => self.abandon(),
        }
        let modes = if chain { modes } else { self.default_modes()? };
        self.begin_with(modes);
        let now = self.shared.instance.engine.clock().wall_us();
        self.shared.with(|state| state.transaction_us = now);
        self.enter()
    }
}
