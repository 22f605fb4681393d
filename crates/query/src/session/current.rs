//! Where the rows lie that a cursor gives: for WHERE CURRENT OF.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Decimal128Type;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_engine::TableView;
use chronolith_types::SqlState;
use parking_lot::Mutex;

use super::cursor::Standing;
use super::shared::Shared;
use crate::error::Error;

/// The tables of a cursor's rows: the last columns of its batches are locators, one for each.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// As the cursor sees them.
    pub(super) views: Vec<TableView>,
    /// Whether its rows are locked.
    pub(super) locking: bool,
    /// What became of rows by statements that named the cursor.
    became: Arc<Mutex<HashMap<(usize, i128), Became>>>,
}

/// What became of a row.
#[derive(Debug, Clone, Default)]
struct Became {
    /// Where its new versions were put, all of them the transaction's own.
    later: Vec<i128>,
    deleted: bool,
}

/// The row of a table that a cursor stands on.
#[derive(Debug)]
pub(crate) struct CursorRow {
    pub(crate) view: TableView,
    pub(crate) locator: i128,
    /// Where statements that named the cursor have put new versions of it.
    pub(crate) later: Vec<i128>,
    /// Whether one of them deleted it.
    pub(crate) deleted: bool,
    place: usize,
    became: Arc<Mutex<HashMap<(usize, i128), Became>>>,
}

impl CursorRow {
    /// A statement put a new version of it somewhere, or deleted it.
    pub(crate) fn became(&self, now: Option<i128>) {
        let mut became = self.became.lock();
        let known = became.entry((self.place, self.locator)).or_default();
        match now {
            Some(now) => known.later.push(now),
            None => known.deleted = true,
        }
    }
}

impl Origins {
    pub(super) fn new(views: Vec<TableView>, locking: bool) -> Self {
        Self {
            views,
            locking,
            became: Arc::default(),
        }
    }

    /// A batch without the locators behind its columns.
    pub(super) fn shown(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        match self.views.len() {
            0 => Ok(batch.clone()),
            hidden => {
                let shown = batch.num_columns().saturating_sub(hidden);
                Ok(batch.project(&(0..shown).collect::<Vec<_>>())?)
            }
        }
    }

    /// The row of a table in a batch of one.
    fn row(&self, cursor: &str, table: &Table, standing: &Standing) -> Result<CursorRow, Error> {
        let state = |words: String| Error::new(SqlState::new(b"24000"), words);
        let name = &table.name;
        let places = self.views.iter().enumerate();
        let mut places = places.filter(|(_, view)| view.table.id == table.id);
        let (place, view) = match (places.next(), places.next(), self.locking) {
            (Some(found), None, _) => found,
            (Some(_), Some(_), true) => {
                return Err(state(format!(
                    "cursor \"{cursor}\" has multiple FOR UPDATE/SHARE references to table \"{name}\""
                )));
            }
            (None, _, true) => {
                return Err(state(format!(
                    "cursor \"{cursor}\" does not have a FOR UPDATE/SHARE reference to table \"{name}\""
                )));
            }
            _ => {
                return Err(state(format!(
                    "cursor \"{cursor}\" is not a simply updatable scan of table \"{name}\""
                )));
            }
        };
        let unplaced = || state(format!("cursor \"{cursor}\" is not positioned on a row"));
        let Standing::On(row) = standing else {
            return Err(unplaced());
        };
        let column = row.num_columns().checked_sub(self.views.len() - place);
        let column = column.and_then(|column| row.columns().get(column));
        let column = column.and_then(|column| column.as_primitive_opt::<Decimal128Type>());
        let locator = column.and_then(|column| column.iter().next().flatten());
        let locator = locator.ok_or_else(unplaced)?;
        let became = self.became.lock().get(&(place, locator)).cloned();
        let Became { later, deleted } = became.unwrap_or_default();
        Ok(CursorRow {
            view: view.clone(),
            locator,
            later,
            deleted,
            place,
            became: Arc::clone(&self.became),
        })
    }
}

impl Shared {
    /// The row of a table that an open cursor stands on.
    ///
    /// # Errors
    /// 34000 without such a cursor, 24000 where it stands on no row of the table, or is held from a
    /// transaction before.
    pub(crate) fn cursor_row(&self, name: &str, table: &Table) -> Result<CursorRow, Error> {
        let cursor = self.with(|state| state.cursors.get(name).cloned());
        let cursor = cursor.ok_or_else(|| super::declare::no_cursor(name))?;
        let standing = cursor.standing()?;
        if matches!(standing, Standing::Held) {
            return Err(Error::new(
                SqlState::new(b"24000"),
                format!("cursor \"{name}\" is held from a previous transaction"),
            ));
        }
        cursor.origins.row(name, table, &standing)
    }
}
