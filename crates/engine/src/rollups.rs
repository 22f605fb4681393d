//! What tables are computed from others, and who computes it.

use std::fmt::Debug;
use std::ops::Range;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Catalog;
use chronolith_types::{DatabaseId, SqlState, TableId};

use crate::view::TableView;

/// Computes the rows that stores of continuous aggregates get: pure functions of rows.
pub trait Rollups: Send + Sync + Debug {
    /// What stores get of rows that their source gets, in `source`'s columns and in the order of
    /// their arrival. Stores of these stores are asked for by themselves.
    ///
    /// # Errors
    /// When a value cannot be computed: the rows are then refused.
    fn derive(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        source: TableId,
        rows: &[RecordBatch],
    ) -> Result<Vec<Derived>, RollupError>;

    /// The same of rows that lie in a part that was just written, sorted and packed: `part` is the
    /// table as if it had that part alone.
    ///
    /// # Errors
    /// Those of [`Rollups::derive`].
    fn derive_part(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        part: &TableView,
        rows: &RecordBatch,
    ) -> Result<Vec<Derived>, RollupError> {
        self.derive(catalog, database, part.table.id, std::slice::from_ref(rows))
    }

    /// One row a bucket and group of a store's rows, which come sorted as its parts are, those
    /// that are alike in the order of their arrival; and so they are to be given back.
    ///
    /// # Errors
    /// When a value cannot be computed: the rows then stay as they are.
    fn fold(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        store: TableId,
        rows: RecordBatch,
    ) -> Result<RecordBatch, RollupError>;

    /// The whole buckets of a store that times of its source lie in.
    ///
    /// # Errors
    /// When the range is beyond what there are buckets for.
    fn buckets(
        &self,
        catalog: &Catalog,
        database: DatabaseId,
        store: TableId,
        range: Range<i64>,
    ) -> Result<Range<i64>, RollupError>;
}

/// What a store gets of some rows of its source.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The store.
    pub store: TableId,
    /// Rows that it gets, in its columns.
    pub rows: Option<RecordBatch>,
    /// Whole buckets that are to be computed anew.
    pub invalid: Option<Range<i64>>,
}

/// Why something could not be computed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RollupError {
    /// The SQLSTATE a client gets.
    pub sqlstate: SqlState,
    /// What it is told.
    pub message: String,
}

impl RollupError {
    /// Nobody computes what stores get.
    pub(crate) fn nobody() -> Self {
        Self {
            sqlstate: SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            message: "continuous aggregates are not maintained by this program".to_owned(),
        }
    }
}
