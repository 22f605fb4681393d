//! Channels: who listens, and what waits for whom.
//!
//! Knows sessions by their mailboxes, not what they do. A transaction's messages are posted when it
//! has committed; transactions that say something commit one after the other, so that all listeners
//! hear them in the order of their commits.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use chronolith_types::{DatabaseId, SqlState};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::error::Error;

/// A message of NOTIFY, as a listener gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Who sent it: the session's number.
    pub pid: i32,
    /// The channel.
    pub channel: String,
    /// The payload; empty when none was given.
    pub payload: String,
}

/// What others want a session to know, whether or not it runs anything.
#[derive(Debug, Default)]
pub struct Mailbox {
    inside: Mutex<Inside>,
    /// For those who wait on a thread.
    arrived: Condvar,
    /// For those who wait in a task.
    notify: Notify,
}

#[derive(Debug, Default)]
struct Inside {
    notifications: VecDeque<Notification>,
    /// Somebody ended the session.
    terminated: bool,
}

impl Mailbox {
    fn change(&self, change: impl FnOnce(&mut Inside)) {
        change(&mut self.inside.lock());
        self.arrived.notify_all();
        self.notify.notify_one();
    }

    /// Asks the session to end.
    pub(crate) fn terminate(&self) {
        self.change(|inside| inside.terminated = true);
    }

    /// 57P01 when somebody ended the session.
    ///
    /// # Errors
    /// 57P01
    pub fn check(&self) -> Result<(), Error> {
        if self.inside.lock().terminated {
            return Err(terminated());
        }
        Ok(())
    }

    /// Takes the notifications that have come.
    #[must_use]
    pub fn take(&self) -> Vec<Notification> {
        self.inside.lock().notifications.drain(..).collect()
    }

    /// Takes the oldest notification; waits for one, at most for so long.
    #[must_use]
    pub fn wait_one(&self, longest: Duration) -> Option<Notification> {
        let mut inside = self.inside.lock();
        if inside.notifications.is_empty() {
            let waits = |inside: &mut Inside| inside.notifications.is_empty() && !inside.terminated;
            self.arrived.wait_while_for(&mut inside, waits, longest);
        }
        inside.notifications.pop_front()
    }

    /// Returns when there is something in it.
    pub async fn wait(&self) {
        loop {
            let notified = self.notify.notified();
            {
                let inside = self.inside.lock();
                if inside.terminated || !inside.notifications.is_empty() {
                    return;
                }
            }
            notified.await;
        }
    }
}

/// 57P01, as PostgreSQL words it.
pub(crate) fn terminated() -> Error {
    Error::new(
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

/// Sessions that listen to one channel, by their numbers.
type Listeners = BTreeMap<i32, Weak<Mailbox>>;

/// Who listens to what.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    listeners: Mutex<HashMap<(DatabaseId, String), Listeners>>,
    turn: Mutex<()>,
}

impl Channels {
    /// Held while a transaction that says something commits.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock()
    }

    /// Posts messages to all who listen.
    pub(crate) fn post(&self, database: DatabaseId, pid: i32, notes: &[(String, String)]) {
        let listeners = self.listeners.lock();
        for (channel, payload) in notes {
            let found = listeners.get(&(database, channel.clone()));
            for mailbox in found.into_iter().flat_map(BTreeMap::values) {
                if let Some(mailbox) = mailbox.upgrade() {
                    mailbox.change(|inside| {
                        inside.notifications.push_back(Notification {
                            pid,
                            channel: channel.clone(),
                            payload: payload.clone(),
                        });
                    });
                }
            }
        }
    }

    /// A session listens to these channels, and to no other.
    pub(crate) fn listen(
        &self,
        database: DatabaseId,
        pid: i32,
        mailbox: &Arc<Mailbox>,
        before: &BTreeSet<String>,
        now: &BTreeSet<String>,
    ) {
        let mut listeners = self.listeners.lock();
        for gone in before.difference(now) {
            let key = (database, gone.clone());
            if let Some(who) = listeners.get_mut(&key) {
                who.remove(&pid);
                if who.is_empty() {
                    listeners.remove(&key);
                }
            }
        }
        for new in now.difference(before) {
            let who = listeners.entry((database, new.clone())).or_default();
            who.insert(pid, Arc::downgrade(mailbox));
        }
    }
}
