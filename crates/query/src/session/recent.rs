//! The statements that a session was given again: read and bound once, found by their texts.
//!
//! A pooler or a driver that prepares nothing sends the same text each time. Reading and binding a
//! short statement costs many times what running it does; the second time that a text comes it is
//! kept, and from the third on it is neither read nor bound.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronolith_types::SqlType;

use super::execute::Ready;
use super::handle::{BoundTo, Prepared, Session, Statement};

/// How many statements are kept: what one connection of a program repeats.
const KEPT_MAX: usize = 32;
/// The longest text that is kept, bytes: longer ones hold their rows, and come once.
const TEXT_BYTES_MAX: usize = 4096;
/// How many texts are remembered by their hashes, to know one that comes again.
const SEEN: usize = 64;

/// A statement that came more than once.
struct Kept {
    text: Box<str>,
    statement: Statement,
    /// As it was bound last, where nobody has it under a name.
    bound: Option<Arc<Prepared>>,
    /// When it was asked for last: the count of all askings then.
    used: u64,
}

/// A session's repeated statements.
pub(super) struct Recent {
    kept: Vec<Kept>,
    seen: [u64; SEEN],
    hasher: std::hash::RandomState,
    asked: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            seen: [0; SEEN],
            hasher: std::hash::RandomState::new(),
            asked: 0,
        }
    }
}

impl Recent {
    /// The statement of a text that is kept.
    pub(super) fn statement(&mut self, text: &str) -> Option<&Statement> {
        self.asked += 1;
        let kept = self.kept.iter_mut().find(|kept| *kept.text == *text)?;
        kept.used = self.asked;
        Some(&kept.statement)
    }

    /// Keeps a text's only statement, if the text has come before.
    pub(super) fn offer(&mut self, text: &str, statement: &Statement) {
        if text.len() > TEXT_BYTES_MAX {
            return;
        }
        let hash = self.hasher.hash_one(text);
        let place = usize::try_from(hash % SEEN as u64).unwrap_or(0);
        let Some(seen) = self.seen.get_mut(place) else {
            return;
        };
        if *seen != hash {
            *seen = hash;
            return;
        }
        if self.kept.len() == KEPT_MAX {
            let oldest = (0..KEPT_MAX).min_by_key(|at| self.kept.get(*at).map(|kept| kept.used));
            self.kept.swap_remove(oldest.unwrap_or(0));
        }
        self.kept.push(Kept {
            text: text.into(),
            statement: statement.clone(),
            bound: None,
            used: self.asked,
        });
    }

    fn of(&mut self, statement: &Statement) -> Option<&mut Kept> {
        let same = |kept: &&mut Kept| Arc::ptr_eq(&kept.statement.parsed, &statement.parsed);
        self.kept.iter_mut().find(same)
    }

    /// A statement as it was bound before, if that was with these types and its names meant the same.
    fn bound(
        &mut self,
        statement: &Statement,
        types: &[Option<SqlType>],
        now: &BoundTo,
    ) -> Option<Arc<Prepared>> {
        let bound = self.of(statement)?.bound.as_ref()?;
        (bound.given == types && bound.bound_to == *now).then(|| Arc::clone(bound))
    }

    /// Keeps a statement as it is bound now, where it means the same the next time.
    pub(super) fn keep(&mut self, prepared: &Arc<Prepared>) {
        let kept = self.of(&prepared.statement);
        if let Some(kept) = kept.filter(|_| prepared.lasts) {
            kept.bound = Some(Arc::clone(prepared));
        }
    }

    /// A name has it now: it is kept there.
    pub(super) fn give(&mut self, prepared: &Arc<Prepared>) {
        if let Some(kept) = self.of(&prepared.statement) {
            kept.bound.take_if(|bound| Arc::ptr_eq(bound, prepared));
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
    }
}

impl Session {
    /// Binds a statement, or finds it as it was bound before.
    pub(super) fn bind_or_find(
        &mut self,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Arc<Prepared>, crate::error::Error> {
        if self.recent.of(statement).is_none() || self.has_own_catalog() {
            return self.bind_statement(statement, types);
        }
        let now = self.bound_to();
        if let Some(bound) = self.recent.bound(statement, types, &now) {
            return Ok(bound);
        }
        let prepared = self.bind_statement(statement, types)?;
        self.recent.keep(&prepared);
        Ok(prepared)
    }

    /// How much of what was bound so far was true of the moment alone.
    pub(super) fn momentary(&self) -> u64 {
        self.shared
            .with(|state| state.momentary.load(Ordering::Relaxed))
    }

    /// Whether the open transaction sees another catalog than who comes next: it changed its own,
    /// or looks at an older one. Versions alone do not tell these apart.
    fn has_own_catalog(&self) -> bool {
        let committed = self.shared.instance.engine.catalog();
        !Arc::ptr_eq(&self.shared.catalog(), &committed)
    }
}

/// Whether a statement means the same each time as long as its names do. What utilities tell of
/// their rows may depend on cursors, statements and settings of the moment.
pub(super) fn repeats(ready: &Ready) -> bool {
    match ready {
        Ready::Query(_) | Ready::Insert(_) | Ready::Change(_) | Ready::Lock(_) => true,
        Ready::Explain(_)
        | Ready::CopyOut(_)
        | Ready::CopyRows(_)
        | Ready::Call(_)
        | Ready::Declare(_)
        | Ready::DeclarePlaced(_)
        | Ready::Procedure(_)
        | Ready::Utility => false,
    }
}
