//! What a session has beside its rows when a part of a transaction begins that may be undone: that of
//! a savepoint, or of a block with EXCEPTION.

use std::sync::Arc;

use chronolith_engine::LockMark;

use super::modes::Modes;
use super::notify::Said;
use super::shared::{Roles, Shared};
use crate::routines::Deferred;
use crate::settings::Settings;

/// The session as it was; the transaction knows of its own.
pub(crate) struct Before {
    locks: LockMark,
    settings: Settings,
    user: String,
    session_user: String,
    user_after: Option<(Roles, Roles)>,
    said: Said,
    modes: Modes,
    deferred: Deferred,
}

impl Before {
    pub(crate) fn of(shared: &Shared) -> Self {
        let locks = shared.locker.mark();
        shared.with(|state| Self {
            locks,
            settings: state.settings.clone(),
            user: state.user.clone(),
            session_user: state.session_user.clone(),
            user_after: state.user_after.clone(),
            said: state.said.clone(),
            modes: state.modes.clone(),
            deferred: state.deferred.clone(),
        })
    }

    /// Whether nothing could be written then.
    pub(super) fn read_only(&self) -> bool {
        self.modes.read_only
    }

    /// What was locked then.
    pub(super) fn locks(&self) -> LockMark {
        self.locks
    }

    /// Makes the session what it was.
    pub(crate) fn restore(&self, shared: &Arc<Shared>) {
        shared.locker.release_to(self.locks);
        let renamed = shared.with(|state| {
            let changed = state.settings.go_back(&self.settings);
            state.user.clone_from(&self.user);
            state.session_user.clone_from(&self.session_user);
            state.user_after.clone_from(&self.user_after);
            state.said.clone_from(&self.said);
            state.modes.clone_from(&self.modes);
            state.deferred.clone_from(&self.deferred);
            changed
        });
        if renamed {
            shared.tell_name();
        }
    }
}
