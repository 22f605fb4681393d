//! Results as rows.

use std::fmt;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_query::OutputColumn;
use chronolith_types::{SqlState, TimeZone};

use crate::error::Error;
use crate::value::{Cell, FromValue};

/// A whole result: its columns, and its rows as Arrow batches.
///
/// ```
/// # let dir = tempfile::tempdir().expect("a temporary directory");
/// # let db = chronolith::Database::open(dir.path())?;
/// # let mut connection = db.connect()?;
/// let rows = connection.query("SELECT 1 AS one, 'x' AS letter UNION ALL SELECT 2, NULL ORDER BY one")?;
/// assert_eq!(rows.len(), 2);
/// assert_eq!(rows.columns()[1].name, "letter");
/// let letters: Vec<Option<String>> = rows.iter().map(|row| row.get(1)).collect::<Result<_, _>>()?;
/// assert_eq!(letters, [Some("x".to_owned()), None]);
/// # Ok::<(), chronolith::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Rows {
    columns: Arc<[OutputColumn]>,
    batches: Vec<RecordBatch>,
    tag: String,
    zone: TimeZone,
}

impl Rows {
    pub(crate) fn new(
        columns: Vec<OutputColumn>,
        batches: Vec<RecordBatch>,
        tag: String,
        zone: TimeZone,
    ) -> Self {
        Self {
            columns: columns.into(),
            batches,
            tag,
            zone,
        }
    }

    /// The columns: the names a client sees, which may repeat, and their SQL types.
    #[must_use]
    pub fn columns(&self) -> &[OutputColumn] {
        &self.columns
    }

    /// The rows as Arrow batches, in order.
    #[must_use]
    pub fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// The batches themselves.
    #[must_use]
    pub fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// PostgreSQL's command tag: `SELECT 2`.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows, one by one.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.batches.iter().flat_map(|batch| {
            (0..batch.num_rows()).map(|index| Row {
                columns: &self.columns,
                zone: &self.zone,
                batch,
                index,
            })
        })
    }

    /// The only value of a result of one row and one column.
    ///
    /// # Errors
    /// 02000 when there is no row, 21000 when there are several.
    pub fn single<T: FromValue>(&self) -> Result<T, Error> {
        let mut rows = self.iter();
        match (rows.next(), rows.next()) {
            (Some(row), None) => row.get(0),
            (None, _) => Err(Error::new(SqlState::NO_DATA, "query returned no rows")),
            (Some(_), Some(_)) => Err(Error::new(
                SqlState::CARDINALITY_VIOLATION,
                "query returned more than one row",
            )),
        }
    }
}

/// One row of a result.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    columns: &'a [OutputColumn],
    zone: &'a TimeZone,
    batch: &'a RecordBatch,
    index: usize,
}

impl Row<'_> {
    /// The value of column `column`, counted from 0. NULL is read as an `Option`'s None.
    ///
    /// # Errors
    /// 42804 when the column's type cannot be read as `T`, 22004 for NULL in a `T` that is no
    /// `Option`, 22003 for a number that does not fit, 42703 for a column that is not there.
    pub fn get<T: FromValue>(&self, column: usize) -> Result<T, Error> {
        let cell = self.cell(column)?;
        T::from_value(cell).map_err(|error| {
            let name = self.columns.get(column).map_or("", |column| &column.name);
            error.context(format!("column \"{name}\""))
        })
    }

    /// The value of the first column of a name.
    ///
    /// # Errors
    /// As [`Row::get`].
    pub fn get_by_name<T: FromValue>(&self, name: &str) -> Result<T, Error> {
        let column = self.columns.iter().position(|column| column.name == name);
        self.get(column.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" does not exist in the result"),
            )
        })?)
    }

    /// The value as PostgreSQL's text, in the session's time zone; None for NULL.
    ///
    /// # Errors
    /// 42703 for a column that is not there.
    pub fn text(&self, column: usize) -> Result<Option<String>, Error> {
        self.cell(column)?.text()
    }

    /// How many columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether the result has no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    fn cell(&self, column: usize) -> Result<Cell<'_>, Error> {
        match (self.batch.columns().get(column), self.columns.get(column)) {
            (Some(array), Some(output)) => Ok(Cell {
                array,
                row: self.index,
                ty: &output.ty,
                zone: self.zone,
            }),
            _ => Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("the result has no column {column}"),
            )
            .hint("Columns are counted from 0.")),
        }
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (index, column) in self.columns.iter().enumerate() {
            map.entry(&column.name, &self.text(index).unwrap_or_default());
        }
        map.finish()
    }
}
