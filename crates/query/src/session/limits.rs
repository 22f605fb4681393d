//! How long a statement, a wait or an idle session may last.

use std::time::Duration;

use chronolith_types::SqlState;

use super::block::Block;
use super::handle::Session;
use super::shared::State;
use crate::cancel::Watchdog;
use crate::error::Error;

/// The settings that limit times; none where there is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    statement: Option<Duration>,
    lock: Option<Duration>,
    idle_in_transaction: Option<Duration>,
    idle: Option<Duration>,
}

/// How far the statements of a message have got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// None has come.
    Idle,
    /// One has been read.
    Begun,
    /// One has been run.
    Run,
}

impl State {
    /// The limits as the settings have them; looked up when a setting has changed.
    fn limits(&mut self) -> Limits {
        let revision = self.settings.revision();
        if self.limits.0 != revision {
            let limit = |name| {
                let ms = self.settings.integer(name).unwrap_or(0);
                let ms = u64::try_from(ms).unwrap_or(0);
                (ms > 0).then(|| Duration::from_millis(ms))
            };
            let limits = Limits {
                statement: limit("statement_timeout"),
                lock: limit("lock_timeout"),
                idle_in_transaction: limit("idle_in_transaction_session_timeout"),
                idle: limit("idle_session_timeout"),
            };
            self.limits = (revision, limits);
        }
        self.limits.1
    }
}

impl Session {
    /// A message of the client's is read, or a statement of it begins.
    pub(super) fn begin_watch(&mut self, runs: bool) -> Result<(), Error> {
        let begins = match (self.progress, runs) {
            (Progress::Idle, _) => {
                self.shared.cancel.arm();
                true
            }
            // Each statement of a text has its own time.
            (Progress::Run, true) => true,
            _ => false,
        };
        self.progress = match runs {
            true => Progress::Run,
            false => self.progress.max_begun(),
        };
        if !begins {
            return Ok(());
        }
        self.shared.mailbox.check()?;
        self.shared.follow_conf();
        let limits = self.shared.with(State::limits);
        self.shared.locker.set_timeout(limits.lock);
        let dog = &self.shared.instance.watchdog;
        match limits.statement {
            Some(longest) => {
                if !self.watched {
                    dog.watch(&self.shared.cancel)?;
                    self.watched = true;
                }
                dog.limit(&self.shared.cancel, longest);
            }
            None if self.watched => Watchdog::unlimit(&self.shared.cancel),
            None => {}
        }
        Ok(())
    }

    /// A message continues what an earlier one began: its time counts anew.
    ///
    /// # Errors
    /// 57P01 when the session is to end.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.begin_watch(true)
    }

    /// The client is waited for.
    pub(super) fn rest(&mut self) {
        self.progress = Progress::Idle;
        if self.watched {
            Watchdog::unlimit(&self.shared.cancel);
        }
        let state = match self.block {
            Block::Implicit => "idle",
            Block::Open => "idle in transaction",
            Block::Failed => "idle in transaction (aborted)",
        };
        let now = self.shared.instance.engine.clock().wall_us();
        self.shared.instance.update(self.shared.pid, |activity| {
            activity.state = state;
            activity.changed_us = now;
            if self.block == Block::Implicit {
                activity.transaction_us = None;
            }
        });
    }

    /// How long the client may leave the session idle now, and what it is told then.
    #[must_use]
    pub fn idle_limit(&self) -> Option<(Duration, Error)> {
        let limits = self.shared.with(State::limits);
        match self.block {
            Block::Implicit => limits.idle.map(|longest| {
                let words = "terminating connection due to idle-session timeout";
                (longest, Error::new(SqlState::IDLE_SESSION_TIMEOUT, words))
            }),
            Block::Open | Block::Failed => limits.idle_in_transaction.map(|longest| {
                let words = "terminating connection due to idle-in-transaction timeout";
                let code = SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT;
                (longest, Error::new(code, words))
            }),
        }
    }
}

impl Progress {
    fn max_begun(self) -> Self {
        match self {
            Self::Idle => Self::Begun,
            other => other,
        }
    }
}
