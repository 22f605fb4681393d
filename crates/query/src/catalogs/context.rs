//! What the rows of system relations are made from.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use chronolith_catalog::{Catalog, Database, OrderBy, Privilege, Table, View};
use chronolith_engine::Locked;
use chronolith_types::{ChunkId, ColumnId, DatabaseId, RoleId, SqlState, SqlType, TableId};

use super::objects::Inner;
use crate::bind::Writes;
use crate::error::Error;
use crate::instance::{Activity, Instance};
use crate::rollups::BucketCall;
use crate::session::Cursor;
use crate::settings::Settings;
use crate::statistics::Statistics;

/// How much there is of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Rows that are not deleted, or nearly so.
    pub(crate) rows: u64,
    /// Bytes on disk and in memory.
    pub(crate) bytes: u64,
}

impl std::ops::AddAssign for Size {
    fn add_assign(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// By what rows are sorted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sorting {
    /// The columns that make a series.
    pub(crate) segment_by: Vec<ColumnId>,
    /// The order within a series.
    pub(crate) order_by: Vec<OrderBy>,
}

/// How the rows of a chunk are packed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Packing {
    /// How its first part is sorted; None without one.
    pub(crate) sorting: Option<Sorting>,
    /// The rows of each series of its parts.
    pub(crate) series: Vec<u64>,
    /// Whether there are rows outside of one sorted part.
    pub(crate) loose: bool,
}

/// A prepared statement of the session, as `pg_prepared_statements` shows it.
#[derive(Debug, Clone)]
pub(crate) struct PreparedStatement {
    /// Its name.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
    /// When it was prepared, µs since 1970.
    pub(crate) prepared_us: i64,
    /// The types of its parameters.
    pub(crate) params: Vec<SqlType>,
    /// By PREPARE, not by the protocol.
    pub(crate) from_sql: bool,
}

/// What a statement that reads system relations knows.
pub(crate) struct Context {
    /// The catalog as the statement's transaction sees it.
    pub(crate) catalog: Arc<Catalog>,
    /// The session's database.
    pub(crate) database: DatabaseId,
    /// The session's role.
    pub(crate) user: String,
    /// The existing schemas of the search path, without the implicit ones.
    pub(crate) search_path: Arc<[String]>,
    /// When the statement began, µs since 1970.
    pub(crate) now_us: i64,
    /// When the engine was opened, µs since 1970.
    pub(crate) started_us: i64,
    /// What all sessions share.
    pub(crate) instance: Arc<Instance>,
    /// Who is connected.
    pub(crate) sessions: Lazy<Vec<Activity>>,
    /// The session's settings.
    pub(crate) settings: Lazy<Settings>,
    /// The session's prepared statements.
    pub(crate) prepared: Lazy<Vec<PreparedStatement>>,
    /// The session's open cursors.
    pub(crate) cursors: Lazy<Vec<Arc<Cursor>>>,
    /// What was done since the start.
    pub(crate) statistics: Arc<Statistics>,
    /// How often cold parts of a table were read, and were known already.
    pub(crate) reads: Lazy<HashMap<(DatabaseId, TableId), (u64, u64)>>,
    /// The locks of all sessions.
    pub(crate) locks: Lazy<Vec<Locked>>,
    /// How much there is of a chunk.
    pub(crate) size: Box<Sizes>,
    /// How the rows of a chunk are packed.
    pub(crate) packing: Box<Packings>,
    /// Names and types of a view's columns; none when its query no longer binds.
    pub(crate) view_columns: Box<ViewColumns>,
    /// What can be written through a view.
    pub(crate) view_writes: Box<ViewWrites>,
    /// The buckets of a continuous aggregate; none when its query no longer binds.
    pub(crate) buckets: Box<BucketCalls>,
    /// Where the last bucket of a continuous aggregate ends; none without one.
    pub(crate) last_bucket_end: Box<LastBucketEnds>,
    /// What is shown of an expression over a table's columns.
    pub(crate) expression: Box<Expressions>,
    /// The type of an expression over a table's columns; None when it no longer binds.
    pub(crate) expression_type: Box<ExpressionTypes>,
    /// What is shown of a trigger's condition; None when it is not understood.
    pub(crate) condition: Box<Conditions>,
    /// What is shown of a view's query.
    pub(crate) view_query: Box<ViewQueries>,
    /// Where a sequence is.
    pub(crate) sequence_value: Box<SequenceValues>,
    /// Where indexes and chunks are, once somebody has asked.
    pub(crate) inner: OnceLock<Inner>,
}

/// How much there is of a chunk.
pub(crate) type Sizes = dyn Fn(TableId, ChunkId) -> Size + Send + Sync;

/// How the rows of a chunk are packed; None for one that is not there.
pub(crate) type Packings = dyn Fn(TableId, ChunkId) -> Option<Packing> + Send + Sync;

/// Where a sequence is: its last number, and whether it was given.
pub(crate) type SequenceValues = dyn Fn(TableId) -> Option<(i64, bool)> + Send + Sync;

/// The buckets of a continuous aggregate.
pub(crate) type BucketCalls = dyn Fn(TableId) -> Option<BucketCall> + Send + Sync;

/// Where the last bucket of a continuous aggregate ends, which a view and its store are.
pub(crate) type LastBucketEnds = dyn Fn(TableId, TableId) -> Option<i64> + Send + Sync;

/// Names and types of a view's columns.
pub(crate) type ViewColumns = dyn Fn(&View) -> Vec<(String, SqlType)> + Send + Sync;

/// What can be written through a view.
pub(crate) type ViewWrites = dyn Fn(&View) -> Writes + Send + Sync;

/// What is shown of an expression over a table's columns, assigned to a column of a type if one is
/// given: in pretty form or with all parentheses.
pub(crate) type Expressions = dyn Fn(&Table, &str, Option<&SqlType>, bool) -> String + Send + Sync;

/// The type of an expression over a table's columns.
pub(crate) type ExpressionTypes = dyn Fn(&Table, &str) -> Option<SqlType> + Send + Sync;

/// What is shown of a condition over OLD and NEW of a table: in pretty form or with all parentheses.
pub(crate) type Conditions = dyn Fn(&Table, &str, bool) -> Option<String> + Send + Sync;

/// What is shown of a view's query: in pretty form or with all parentheses, its lists broken where
/// lines get longer than so many bytes, or nowhere.
pub(crate) type ViewQueries = dyn Fn(&View, bool, Option<usize>) -> String + Send + Sync;

/// What few relations show and is found when it is looked at.
pub(crate) type Lazy<T> = LazyLock<T, Box<dyn FnOnce() -> T + Send>>;

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("database", &self.database)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// The session's database.
    pub(super) fn home(&self) -> Result<&Database, Error> {
        let home = self.catalog.databases.get(&self.database);
        home.map(Arc::as_ref).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_CATALOG_NAME,
                "the session's database no longer exists",
            )
        })
    }

    /// 42501 for what holds secrets, unless the role is a superuser.
    pub(super) fn superuser_only(&self, kind: &str, relation: &str) -> Result<(), Error> {
        let superuser = self
            .catalog
            .role_named(&self.user)
            .is_some_and(|role| role.may(Privilege::Superuser));
        if superuser {
            return Ok(());
        }
        Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied for {kind} {relation}"),
        ))
    }

    /// Whether the session's role may see what a role's sessions do.
    pub(super) fn may_watch(&self, owner: Option<RoleId>) -> bool {
        const READ_ALL_STATS: RoleId = RoleId(3375);
        let Some(own) = self.catalog.role_named(&self.user) else {
            return false;
        };
        let watched = [owner, Some(READ_ALL_STATS)];
        let mut watched = watched.into_iter().flatten();
        watched.any(|role| self.catalog.acts_as(own.id, role))
    }

    /// A role's name, as functions of PostgreSQL print it.
    pub(super) fn role_name(&self, role: chronolith_types::RoleId) -> String {
        match self.catalog.roles.get(&role) {
            Some(role) => role.name.clone(),
            None => format!("unknown (OID={role})"),
        }
    }
}
