//! What a chunk must know of its table.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use arrow::array::{ArrayRef, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use chronolith_types::{ColumnId, SqlType};
use parking_lot::Mutex;

use crate::constant::repeated;
use crate::error::ChunkError;
use crate::key::KeyEncoder;

/// A table's columns and how its rows are packed.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The columns, in the table's order.
    pub columns: Vec<LayoutColumn>,
    /// The place of the time column, for a hypertable.
    pub time: Option<usize>,
    /// Places of the columns that make a series.
    pub segment_by: Vec<usize>,
    /// The order within a series; empty keeps the order of arrival.
    pub order_by: Vec<SortColumn>,
    /// What rows older than a column have in it, as columns of one row; NULL where there is none.
    missing: Vec<Option<ArrayRef>>,
    /// Whether files are packed for the time being, quickly and to be read quickly.
    lightly: bool,
    /// The Arrow schema of a batch with all columns.
    schema: SchemaRef,
    encoders: Encoders,
    nothing: OnceLock<Vec<ArrayRef>>,
}

/// Encoders of a layout's keys, each made when it is first asked for: to make one costs more than to
/// encode the key of a row.
#[derive(Debug, Default)]
struct Encoders(Mutex<Vec<(Vec<usize>, Arc<KeyEncoder>)>>);

impl Clone for Encoders {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutColumn {
    /// Its number, by which files know it.
    pub id: ColumnId,
    /// Its name at this time.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
}

/// A column of a sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortColumn {
    /// Its place.
    pub column: usize,
    /// Greatest first.
    pub descending: bool,
    /// NULLs first.
    pub nulls_first: bool,
}

/// A NULL of a type, as a column: made once for all layouts, as those are made anew whenever their
/// tables change.
fn null_of(form: &DataType) -> ArrayRef {
    static NULLS: LazyLock<Mutex<HashMap<DataType, ArrayRef>>> = LazyLock::new(Mutex::default);
    let mut nulls = NULLS.lock();
    if let Some(null) = nulls.get(form) {
        return Arc::clone(null);
    }
    let null = new_null_array(form, 1);
    nulls.insert(form.clone(), Arc::clone(&null));
    null
}

impl Layout {
    /// A layout.
    #[must_use]
    pub fn new(
        columns: Vec<LayoutColumn>,
        time: Option<usize>,
        segment_by: Vec<usize>,
        order_by: Vec<SortColumn>,
    ) -> Self {
        let field = |column: &LayoutColumn| Field::new(&column.name, column.ty.arrow(), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Self {
            columns,
            time,
            segment_by,
            order_by,
            missing: Vec::new(),
            lightly: false,
            schema,
            encoders: Encoders::default(),
            nothing: OnceLock::new(),
        }
    }

    /// A row of NULLs.
    #[must_use]
    pub fn nothing(&self) -> &[ArrayRef] {
        self.nothing.get_or_init(|| {
            let fields = self.schema.fields().iter();
            fields.map(|field| null_of(field.data_type())).collect()
        })
    }

    /// What makes keys of the columns at some places.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn encoder(&self, columns: &[usize]) -> Result<Arc<KeyEncoder>, ChunkError> {
        let mut known = self.encoders.0.lock();
        if let Some((_, encoder)) = known.iter().find(|(of, _)| of == columns) {
            return Ok(Arc::clone(encoder));
        }
        let encoder = Arc::new(KeyEncoder::new(self, columns)?);
        known.push((columns.to_vec(), Arc::clone(&encoder)));
        Ok(encoder)
    }

    /// The same for files that are packed quickly and read a few rows at a time, or as small as can
    /// be.
    #[must_use]
    pub fn packed(mut self, lightly: bool) -> Self {
        self.lightly = lightly;
        self
    }

    /// Whether files are packed quickly.
    #[must_use]
    pub fn is_packed_lightly(&self) -> bool {
        self.lightly
    }

    /// The same with the values, one-row columns, that rows older than a column have in it.
    #[must_use]
    pub fn with_missing(mut self, missing: Vec<Option<ArrayRef>>) -> Self {
        self.missing = missing;
        self
    }

    /// The column at a place for rows that are older than it.
    #[must_use]
    pub fn absent(&self, place: usize, rows: usize) -> Option<ArrayRef> {
        let ty = self.columns.get(place)?.ty.arrow();
        let value = self.missing.get(place).and_then(Option::as_ref);
        Some(repeated(value, &ty, rows))
    }

    /// The value, a column of one row, that rows older than the column at a place have in it.
    #[must_use]
    pub fn missing(&self, place: usize) -> Option<&ArrayRef> {
        self.missing.get(place).and_then(Option::as_ref)
    }

    /// The Arrow schema of a batch with all columns.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The Arrow schema of some of them.
    #[must_use]
    pub fn projected(&self, projection: &[usize]) -> SchemaRef {
        let field = |place: &usize| self.schema.fields().get(*place).cloned();
        let fields: Vec<_> = projection.iter().filter_map(field).collect();
        Arc::new(Schema::new(fields))
    }
}
