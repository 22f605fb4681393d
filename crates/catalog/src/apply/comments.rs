//! Comments.

use std::sync::Arc;

use super::Applied;
use crate::comment::Comment;
use crate::model::Database;

impl Database {
    pub(super) fn set_comment(&mut self, comment: &Comment) {
        let on = |known: &Comment| known.is_on(comment.class, comment.oid, comment.column);
        let comments = Arc::make_mut(&mut self.comments);
        comments.retain(|known| !on(known));
        if !comment.text.is_empty() {
            comments.push(comment.clone());
        }
    }

    /// What was granted on a thing and said of it goes with it.
    pub(super) fn forget(&mut self, oid: u32) -> Applied {
        self.forget_comments(oid);
        self.set_acl(oid, None)
    }

    pub(super) fn forget_comments(&mut self, oid: u32) {
        if self.comments.iter().any(|comment| comment.oid == oid) {
            Arc::make_mut(&mut self.comments).retain(|comment| comment.oid != oid);
        }
    }
}
