//! LISTEN, NOTIFY and UNLISTEN: said in a transaction, done by its commit.

use std::collections::BTreeSet;
use std::sync::Arc;

use chronolith_sql::Statement as Tree;
use chronolith_types::SqlState;

use super::execute::command;
use super::handle::Session;
use super::shared::Shared;
use crate::error::Error;
use crate::notify::{Mailbox, Notification};
use crate::outcome::Outcome;

/// A payload is shorter than this.
const PAYLOAD_BYTES: usize = 8000;
/// A channel's name is shorter than this.
const NAME_BYTES: usize = 64;

/// What a transaction said, and is done when it commits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// What to listen to, and no longer, in order.
    channels: Vec<Channel>,
    /// Messages, none twice.
    notes: Vec<(String, String)>,
    known: BTreeSet<(String, String)>,
}

impl Said {
    pub(super) fn is_nothing(&self) -> bool {
        self.channels.is_empty() && self.notes.is_empty()
    }
}

#[derive(Debug, Clone)]
enum Channel {
    Listen(String),
    Unlisten(String),
    UnlistenAll,
}

impl Said {
    fn note(&mut self, channel: &str, payload: &str) {
        let note = (channel.to_owned(), payload.to_owned());
        if self.known.insert(note.clone()) {
            self.notes.push(note);
        }
    }
}

impl Shared {
    pub(super) fn listen(&self, channel: &str) {
        self.with(|state| {
            state
                .said
                .channels
                .push(Channel::Listen(channel.to_owned()))
        });
    }

    pub(super) fn unlisten(&self, channel: Option<&str>) {
        self.with(|state| {
            state.said.channels.push(match channel {
                Some(channel) => Channel::Unlisten(channel.to_owned()),
                None => Channel::UnlistenAll,
            });
        });
    }

    /// NOTIFY and `pg_notify`.
    ///
    /// # Errors
    /// 22023 for a name or a payload that is too long, or no name.
    pub(crate) fn note(&self, channel: &str, payload: &str) -> Result<(), Error> {
        let wrong = |words: &str| Error::new(SqlState::INVALID_PARAMETER_VALUE, words);
        if channel.is_empty() {
            return Err(wrong("channel name cannot be empty"));
        }
        if channel.len() >= NAME_BYTES {
            return Err(wrong("channel name too long"));
        }
        if payload.len() >= PAYLOAD_BYTES {
            return Err(wrong("payload string too long"));
        }
        self.with(|state| state.said.note(channel, payload));
        Ok(())
    }

    /// What the session listens to.
    pub(crate) fn channels(&self) -> Vec<String> {
        self.with(|state| state.listens.iter().cloned().collect())
    }

    /// Commits, and then does what was said.
    pub(super) fn speak(
        &self,
        said: Said,
        commit: impl FnOnce() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let channels = &self.instance.channels;
        if said.is_nothing() {
            return commit();
        }
        let turn = match said.notes.is_empty() {
            true => None,
            false => Some(super::shared::blocking(|| channels.turn())),
        };
        commit()?;
        if !said.channels.is_empty() {
            self.change_channels(|listens| {
                for change in said.channels {
                    match change {
                        Channel::Listen(channel) => drop(listens.insert(channel)),
                        Channel::Unlisten(channel) => drop(listens.remove(&channel)),
                        Channel::UnlistenAll => listens.clear(),
                    }
                }
            });
        }
        channels.post(self.database, self.pid, &said.notes);
        drop(turn);
        Ok(())
    }

    fn change_channels(&self, change: impl FnOnce(&mut BTreeSet<String>)) {
        let (before, now) = self.with(|state| {
            let before = state.listens.clone();
            change(&mut state.listens);
            (before, state.listens.clone())
        });
        let (database, pid) = (self.database, self.pid);
        let channels = &self.instance.channels;
        channels.listen(database, pid, &self.mailbox, &before, &now);
    }

    /// The session ends.
    pub(super) fn hang_up(&self) {
        self.change_channels(BTreeSet::clear);
    }
}

impl Session {
    pub(super) fn channel(&mut self, tree: &Tree) -> Result<Outcome, Error> {
        let tag = match tree {
            Tree::Listen(channel) => {
                self.shared.listen(channel);
                "LISTEN"
            }
            Tree::Unlisten(channel) => {
                self.shared.unlisten(channel.as_deref());
                "UNLISTEN"
            }
            Tree::Notify { channel, payload } => {
                let payload = payload.as_deref().unwrap_or_default();
                self.shared.note(channel, payload)?;
                "NOTIFY"
            }
            _ => return Err(Error::internal("a channel of nothing")),
        };
        Ok(command(tag))
    }

    /// What others want it to know; also while it is idle.
    #[must_use]
    pub fn mailbox(&self) -> Arc<Mailbox> {
        Arc::clone(&self.shared.mailbox)
    }

    /// Takes the notifications that have come, unless a transaction is open: they wait for its end.
    pub fn take_notifications(&mut self) -> Vec<Notification> {
        match self.block {
            super::block::Block::Implicit => self.shared.mailbox.take(),
            _ => Vec::new(),
        }
    }
}
