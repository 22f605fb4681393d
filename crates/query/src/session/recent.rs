//! The statements that a session was given again: read and bound once, found by their texts.
//!
//! A pooler or a driver that prepares nothing sends the same text each time. Reading and binding a
//! short statement costs many times what running it does; the second time that a text comes it is
//! kept, and from the third on it is neither read nor bound.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chronolith_engine::Transaction;
use chronolith_types::SqlType;

use super::execute::Ready;
use super::handle::{Prepared, Session, Statement};

/// How many texts are kept: what one connection of a program repeats.
const KEPT_MAX: usize = 64;
/// The longest text that is kept, bytes: longer ones hold their rows, and come once.
const TEXT_BYTES_MAX: usize = 4096;
/// How many texts are remembered by their hashes, to know one that comes again.
const SEEN: usize = 128;

/// A text that came more than once.
struct Kept {
    text: Box<str>,
    statements: Vec<Statement>,
    /// Each as it was bound last, where nobody has it under a name.
    bound: Vec<Option<Arc<Prepared>>>,
    /// When it was asked for last: the count of all askings then.
    used: u64,
}

/// A session's repeated statements.
pub(super) struct Recent {
    kept: Vec<Kept>,
    seen: Vec<u64>,
    hasher: std::hash::RandomState,
    asked: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self {
            kept: Vec::new(),
            seen: Vec::new(),
            hasher: std::hash::RandomState::new(),
            asked: 0,
        }
    }
}

impl Recent {
    fn find(&mut self, text: &str) -> Option<&mut Kept> {
        self.asked += 1;
        let kept = self.kept.iter_mut().find(|kept| *kept.text == *text)?;
        kept.used = self.asked;
        Some(kept)
    }

    /// The statements of a text that is kept.
    pub(super) fn statements(&mut self, text: &str) -> Option<&[Statement]> {
        Some(&self.find(text)?.statements)
    }

    /// The only statement of a text that is kept, as it was bound last.
    pub(super) fn bound_as(&mut self, text: &str) -> Option<&Arc<Prepared>> {
        self.find(text)?.bound.first()?.as_ref()
    }

    /// Whether a text is kept as one that has no statement.
    pub(super) fn is_refused(&mut self, text: &str) -> bool {
        self.find(text)
            .is_some_and(|kept| kept.statements.is_empty())
    }

    /// Whether a text is to be kept: it is short, and has come before.
    pub(super) fn comes_again(&mut self, text: &str) -> bool {
        if text.len() > TEXT_BYTES_MAX {
            return false;
        }
        let hash = self.hasher.hash_one(text);
        self.seen.resize(SEEN, 0);
        let place = usize::try_from(hash % SEEN as u64).unwrap_or(0);
        let seen = self.seen.get_mut(place);
        seen.is_some_and(|seen| std::mem::replace(seen, hash) == hash)
    }

    /// Keeps a text's statements, instead of those that it had.
    pub(super) fn add(&mut self, text: &str, statements: &[Statement]) {
        self.kept.retain(|kept| *kept.text != *text);
        if self.kept.len() == KEPT_MAX {
            let oldest = (0..KEPT_MAX).min_by_key(|at| self.kept.get(*at).map(|kept| kept.used));
            self.kept.swap_remove(oldest.unwrap_or(0));
        }
        self.kept.push(Kept {
            text: text.into(),
            statements: statements.to_vec(),
            bound: vec![None; statements.len()],
            used: self.asked,
        });
    }

    /// Where a statement is kept, bound or not.
    fn of(&mut self, statement: &Statement) -> Option<&mut Option<Arc<Prepared>>> {
        self.kept.iter_mut().find_map(|kept| {
            let mut pairs = kept.statements.iter().zip(&mut kept.bound);
            let same = |known: &Statement| Arc::ptr_eq(&known.parsed, &statement.parsed);
            pairs.find_map(|(known, bound)| same(known).then_some(bound))
        })
    }

    /// Keeps a statement as it is bound now, where it means the same the next time.
    pub(super) fn keep(&mut self, prepared: &Arc<Prepared>) {
        if let Some(bound) = self.of(&prepared.statement).filter(|_| prepared.lasts) {
            *bound = Some(Arc::clone(prepared));
        }
    }

    /// A name has it now: it is kept there.
    pub(super) fn give(&mut self, prepared: &Arc<Prepared>) {
        if let Some(bound) = self.of(&prepared.statement) {
            bound.take_if(|bound| Arc::ptr_eq(bound, prepared));
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
        if let Some(filled) = &statement.filled {
            return Ok(filled.prepared(statement));
        }
        let known = self.recent.of(statement).map(|bound| bound.clone());
        let Some(bound) = known.filter(|_| !self.has_own_catalog()) else {
            let prepared = self.bind_statement(statement, types)?;
            self.learn(&prepared);
            return Ok(prepared);
        };
        if let Some(bound) = bound.filter(|bound| bound.given == types)
            && bound.bound_to == self.bound_to()
        {
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

    /// Whether the open transaction has changed what names mean: what is bound in it is bound for it.
    pub(super) fn has_own_catalog(&self) -> bool {
        self.shared.with(|state| {
            let transaction = state.transaction.as_ref();
            transaction.is_some_and(Transaction::has_own_catalog)
        })
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
        | Ready::Filled(_)
        | Ready::Utility => false,
    }
}
