//! Rows into a table as fast as they come.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use chronolith_engine::Isolation;
use chronolith_query::value::ColumnBuilder;
use chronolith_types::{DatabaseId, SqlState, TableId, TimeZone};

use crate::append::Append;
use crate::database::Database;
use crate::error::Error;

/// Rows of one commit. Enough to spread the cost of a sync; little enough to stay in cache.
const ROWS_PER_COMMIT: usize = 65_536;

/// Takes rows past SQL: values go straight into columns, and every 65,536 rows are one durable
/// commit.
///
/// Rows name all columns of the table in order; column defaults are not applied. What was pushed
/// since the last commit is gone when an appender is dropped: end with [`Appender::finish`].
///
/// ```
/// use chronolith::{Database, Timestamp};
/// use rust_decimal::Decimal;
///
/// let dir = tempfile::tempdir().expect("a temporary directory");
/// let db = Database::open(dir.path())?;
/// let mut connection = db.connect()?;
/// connection.execute("CREATE TABLE ticks (ts timestamptz NOT NULL, symbol text, price numeric(12,4))")?;
///
/// let mut appender = db.appender("ticks")?;
/// for i in 0..1000_i64 {
///     let ts = Timestamp(1_767_346_200_000_000 + i * 1_000_000);
///     appender.push(&[&ts, &"AAPL", &Decimal::new(1_871_500 + i, 4)])?;
/// }
/// assert_eq!(appender.finish()?, 1000);
///
/// let last = connection.query("SELECT max(price) FROM ticks")?.single::<Decimal>()?;
/// assert_eq!(last.to_string(), "187.2499");
/// # Ok::<(), chronolith::Error>(())
/// ```
#[derive(Debug)]
pub struct Appender {
    db: Database,
    database: DatabaseId,
    table: TableId,
    table_name: String,
    schema: SchemaRef,
    not_null: Vec<bool>,
    columns: Vec<ColumnBuilder>,
    pending: usize,
    committed: u64,
}

impl Appender {
    pub(crate) fn new(db: Database, database: &str, name: &str) -> Result<Self, Error> {
        let (schema_name, table_name) = name.split_once('.').unwrap_or(("public", name));
        let catalog = db.engine().catalog();
        let found = catalog
            .databases
            .values()
            .find(|found| found.name == database)
            .ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_CATALOG_NAME,
                    format!("database \"{database}\" does not exist"),
                )
            })?;
        let missing = || {
            Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation \"{name}\" does not exist"),
            )
        };
        let schema_id = found
            .schemas
            .values()
            .find(|schema| schema.name == schema_name)
            .ok_or_else(missing)?
            .id;
        let table = found
            .table_named(schema_id, table_name)
            .ok_or_else(missing)?;
        if table.constraints.iter().any(needs_sql) {
            return Err(Error::unsupported(format!(
                "appending to table \"{table_name}\", which has check constraints or foreign keys,"
            ))
            .hint("Use INSERT or COPY."));
        }
        let asks =
            |column: &chronolith_catalog::Column| column.domain.is_some() || column.ty.demands();
        if table.columns.iter().any(asks) {
            return Err(Error::unsupported(format!(
                "appending to table \"{table_name}\", which has columns of domains,"
            ))
            .hint("Use INSERT or COPY."));
        }
        let by_columns = |index: &chronolith_catalog::Index| {
            let mut constraints = table.constraints.iter();
            !index.unique || constraints.any(|of| of.name == index.name)
        };
        if !table.indexes.iter().all(by_columns) {
            return Err(Error::unsupported(format!(
                "appending to table \"{table_name}\", which has a unique index over expressions or of some rows,"
            ))
            .hint("Use INSERT or COPY."));
        }
        let computed = |column: &chronolith_catalog::Column| column.generated.is_some();
        if table.columns.iter().any(computed) {
            return Err(Error::unsupported(format!(
                "appending to table \"{table_name}\", which has generated columns,"
            ))
            .hint("Use INSERT or COPY."));
        }
        let fields: Vec<Field> = table
            .columns
            .iter()
            .map(|column| Field::new(column.name.as_str(), column.ty.arrow(), true))
            .collect();
        Ok(Self {
            database: found.id,
            table: table.id,
            table_name: table.name.clone(),
            schema: Arc::new(Schema::new(fields)),
            not_null: table.columns.iter().map(|column| column.not_null).collect(),
            columns: table
                .columns
                .iter()
                .map(|column| ColumnBuilder::new(&column.ty, &TimeZone::Utc))
                .collect(),
            pending: 0,
            committed: 0,
            db,
        })
    }

    /// Adds a row: one value for each column of the table, in order.
    ///
    /// # Errors
    /// 42601 for too many or too few values; 22003, 22001, 22P02 and the like for a value that its
    /// column does not take, and then nothing of the row is kept; the errors of
    /// [`Appender::flush`].
    pub fn push(&mut self, row: &[&dyn Append]) -> Result<(), Error> {
        self.check_width(row.len())?;
        for (index, value) in row.iter().enumerate() {
            let Some(column) = self.columns.get_mut(index) else {
                continue;
            };
            if let Err(error) = value.append(column) {
                for column in self.columns.iter_mut() {
                    column.truncate(self.pending)?;
                }
                let name = self.schema.field(index).name();
                return Err(error.context(format!("column \"{name}\"")));
            }
        }
        self.pending += 1;
        if self.pending >= ROWS_PER_COMMIT {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds the rows of an Arrow batch, whose columns are the table's in order and in the physical
    /// form of their types, as one commit. Their values are taken as they are: that a text is no longer
    /// than its column takes, and a time has no more digits, is for the caller to see to.
    ///
    /// # Errors
    /// 42804 for a column of another form; the errors of [`Appender::flush`].
    pub fn append_batch(&mut self, batch: &RecordBatch) -> Result<(), Error> {
        self.flush()?;
        self.check_width(batch.num_columns())?;
        for (array, field) in batch.columns().iter().zip(self.schema.fields()) {
            if array.data_type() != field.data_type() {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "column \"{}\" takes Arrow arrays of {}, not {}",
                        field.name(),
                        field.data_type(),
                        array.data_type()
                    ),
                ));
            }
        }
        self.commit(batch.columns().to_vec())
    }

    /// Commits the rows pushed so far; when it returns they survive power loss.
    ///
    /// # Errors
    /// 23505 for a key that exists, 23502 for NULL where it may not be, 53100 for a full disk:
    /// then none of the rows since the last commit is kept.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.pending == 0 {
            return Ok(());
        }
        self.pending = 0;
        let columns = self.columns.iter_mut().map(ColumnBuilder::finish).collect();
        self.commit(columns)
    }

    /// Commits what is left; how many rows were appended in all.
    ///
    /// # Errors
    /// As [`Appender::flush`].
    pub fn finish(mut self) -> Result<u64, Error> {
        self.flush()?;
        Ok(self.committed)
    }

    fn commit(&mut self, columns: Vec<ArrayRef>) -> Result<(), Error> {
        for ((array, not_null), field) in
            columns.iter().zip(&self.not_null).zip(self.schema.fields())
        {
            if *not_null && array.null_count() > 0 {
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                        field.name(),
                        self.table_name
                    ),
                ));
            }
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        let rows = u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        let engine = self.db.engine();
        let mut transaction = engine.begin(self.database, Isolation::ReadCommitted);
        transaction.insert(self.table, &batch)?;
        transaction.commit()?;
        self.committed += rows;
        Ok(())
    }

    fn check_width(&self, given: usize) -> Result<(), Error> {
        let wanted = self.columns.len();
        if given == wanted {
            return Ok(());
        }
        Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!(
                "table \"{}\" has {wanted} columns, but the row has {given} values",
                self.table_name
            ),
        ))
    }
}

/// Whether keeping a constraint takes evaluating SQL, which an appender does not.
fn needs_sql(constraint: &chronolith_catalog::Constraint) -> bool {
    use chronolith_catalog::ConstraintKind;
    match constraint.kind {
        ConstraintKind::Check { .. }
        | ConstraintKind::ForeignKey(_)
        | ConstraintKind::Exclude { .. } => true,
        ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn an_appender_refuses_columns_of_domains() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open(dir.path()).unwrap();
        let mut connection = db.connect().unwrap();
        for statement in [
            "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
            "CREATE TYPE pair AS (x positive)",
            "CREATE TABLE whole (v positive)",
            "CREATE TABLE items (v positive[])",
            "CREATE TABLE fields (v pair)",
            "CREATE TABLE plain (v int[])",
        ] {
            connection.execute(statement).unwrap();
        }
        for table in ["whole", "items", "fields"] {
            let refused = db.appender(table).unwrap_err();
            assert_eq!(refused.code, SqlState::FEATURE_NOT_SUPPORTED, "{table}");
        }
        assert!(db.appender("plain").is_ok());
    }
}
