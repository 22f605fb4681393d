//! Stopping a statement that runs.

use std::sync::atomic::{AtomicBool, Ordering};

use chronolith_types::SqlState;
use tokio::sync::Notify;

use crate::error::Error;

/// A statement's off switch; one a session, armed anew for each statement.
#[derive(Debug, Default)]
pub struct Cancel {
    asked: AtomicBool,
    notify: Notify,
}

impl Cancel {
    /// Ask the running statement to stop.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// A new statement begins: what was asked before is over.
    pub fn arm(&self) {
        self.asked.store(false, Ordering::Release);
    }

    /// Whether the statement was asked to stop.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    /// 57014 when the statement was asked to stop.
    ///
    /// # Errors
    /// 57014.
    pub fn check(&self) -> Result<(), Error> {
        if self.asked() {
            Err(cancelled())
        } else {
            Ok(())
        }
    }

    /// Waits until the statement is asked to stop.
    pub async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            if self.asked() {
                return;
            }
            notified.await;
        }
    }
}

/// 57014, as PostgreSQL words it.
#[must_use]
pub fn cancelled() -> Error {
    Error::new(
        SqlState::QUERY_CANCELED,
        "canceling statement due to user request",
    )
}
