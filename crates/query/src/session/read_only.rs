//! What may not be done in a transaction that only reads.

use chronolith_sql::{Statement as Tree, ast};
use chronolith_types::SqlState;

use super::shared::Shared;
use crate::error::Error;

/// Functions that write, by the names that their refusal has.
const WRITING: &[&str] = &[
    "add_dimension",
    "attach_tablespace",
    "create_hypertable",
    "detach_tablespace",
    "detach_tablespaces",
    "disable_chunk_skipping",
    "drop_chunks",
    "enable_chunk_skipping",
    "merge_chunks",
    "move_chunk",
    "nextval",
    "refresh_continuous_aggregate",
    "reorder_chunk",
    "set_chunk_time_interval",
    "set_number_partitions",
    "set_partitioning_interval",
    "setval",
    "split_chunk",
    "timescaledb_post_restore",
];

impl Shared {
    /// Whether the open transaction only reads.
    pub(crate) fn read_only(&self) -> bool {
        self.with(|state| state.transaction.is_some() && state.modes.read_only)
    }

    /// 25006 for a function that writes, in a transaction that only reads.
    pub(crate) fn refuse_writing_function(&self, name: &str) -> Result<(), Error> {
        if self.read_only() && WRITING.contains(&name) {
            return Err(refused(&format!("{name}()")));
        }
        Ok(())
    }

    /// 25006 for a statement that writes, in a transaction that only reads.
    pub(crate) fn refuse_writes(&self, tree: &Tree, tag: &str) -> Result<(), Error> {
        if !self.read_only() {
            return Ok(());
        }
        match writes(tree, tag) {
            Some(what) => Err(refused(&what)),
            None => Ok(()),
        }
    }
}

pub(super) fn refused(what: &str) -> Error {
    Error::new(
        SqlState::READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {what} in a read-only transaction"),
    )
}

/// What a statement would do that changes something.
fn writes(tree: &Tree, tag: &str) -> Option<String> {
    let word = match tree {
        Tree::Query(query) => return query_writes(query).map(str::to_owned),
        Tree::With { inner, .. } => return writes(inner, tag),
        Tree::Explain(of) => {
            let analyze = of
                .options
                .iter()
                .any(|option| option.name == "analyze" && option.bool() != Some(false));
            return writes(&of.inner, tag).filter(|_| analyze);
        }
        Tree::Copy(of) if !of.from => {
            return writes(crate::copy::changed(of)?, tag);
        }
        Tree::Insert(_) | Tree::InsertLiterals(_) | Tree::InsertAlike(_) => "INSERT",
        Tree::Update(_) => "UPDATE",
        Tree::Delete(_) => "DELETE",
        Tree::Merge(_) => "MERGE",
        Tree::Copy(_) => "COPY FROM",
        Tree::Set { .. }
        | Tree::Reset(_)
        | Tree::Show(_)
        | Tree::SetTransaction { .. }
        | Tree::SetSnapshot(_)
        | Tree::SetConstraints { .. }
        | Tree::Prepare { .. }
        | Tree::Execute { .. }
        | Tree::Deallocate(_)
        | Tree::Declare(_)
        | Tree::Fetch { .. }
        | Tree::Close(_)
        | Tree::Discard(_)
        | Tree::Listen(_)
        | Tree::Unlisten(_)
        | Tree::Notify { .. }
        | Tree::Call(_)
        | Tree::Do { .. }
        | Tree::Vacuum { .. }
        | Tree::Analyze { .. }
        | Tree::Maintain { .. }
        | Tree::Lock(_) => return None,
        control if control.is_transaction_command() => return None,
        _ => tag,
    };
    Some(word.to_owned())
}

/// What a query, or one that stands in its WITH, would write or lock.
fn query_writes(query: &ast::Query) -> Option<&'static str> {
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    let within = tables.into_iter().find_map(|cte| query_writes(&cte.query));
    let own = match query.body.as_ref() {
        ast::SetExpr::Insert(_) => Some("INSERT"),
        ast::SetExpr::Update(_) => Some("UPDATE"),
        ast::SetExpr::Delete(_) => Some("DELETE"),
        ast::SetExpr::Merge(_) => Some("MERGE"),
        _ => None,
    };
    within.or(own).or_else(|| {
        let lock = query.locks.first()?;
        let (_, weaker) = super::for_update::clause(lock);
        Some(match (lock.lock_type, weaker) {
            (ast::LockType::Share, false) => "SELECT FOR SHARE",
            (ast::LockType::Share, true) => "SELECT FOR KEY SHARE",
            (ast::LockType::Update, false) => "SELECT FOR UPDATE",
            (ast::LockType::Update, true) => "SELECT FOR NO KEY UPDATE",
        })
    })
}

/// Whether PostgreSQL takes a snapshot for a statement.
pub(super) fn looks(tree: &Tree) -> bool {
    let control = tree.is_transaction_command();
    !control
        && !matches!(
            tree,
            Tree::Lock(_)
                | Tree::Set { .. }
                | Tree::Reset(_)
                | Tree::Show(_)
                | Tree::SetTransaction { .. }
                | Tree::SetSnapshot(_)
                | Tree::SetConstraints { .. }
                | Tree::Fetch { .. }
                | Tree::Close(_)
                | Tree::Deallocate(_)
                | Tree::Listen(_)
                | Tree::Unlisten(_)
                | Tree::Notify { .. }
        )
}
