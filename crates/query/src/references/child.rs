//! Rows that refer to others: what they refer to is looked up when the statement's rows are in.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Constraint, Table};
use chronolith_chunk::ScanRequest;
use chronolith_engine::{EngineError, Refused, TableView, Transaction};
use chronolith_types::SqlState;
use parking_lot::Mutex;

use super::keys::{KeySet, Link, columns_at, project, shown};
use crate::error::Error;
use crate::routines::{hold_later, is_deferred};
use crate::session::Shared;

/// What the rows of a statement refer to.
#[derive(Debug)]
pub(crate) struct Outgoing {
    links: Vec<(Arc<Link>, Mutex<KeySet>)>,
}

impl Outgoing {
    /// The foreign keys of a table; None when it has none.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub(crate) fn of(shared: &Shared, table: &Table) -> Result<Option<Self>, Error> {
        let is = |of: &&Constraint| of.kind.reference().is_some();
        if !table.constraints.iter().any(|of| is(&of)) {
            return Ok(None);
        }
        let child = Arc::new(table.clone());
        Self::of_some(shared, &child, table.constraints.iter().filter(is))
    }

    fn of_some<'c>(
        shared: &Shared,
        child: &Arc<Table>,
        constraints: impl Iterator<Item = &'c Constraint>,
    ) -> Result<Option<Self>, Error> {
        let home = shared.home()?;
        let mut links = Vec::new();
        for constraint in constraints {
            let Some(reference) = constraint.kind.reference() else {
                continue;
            };
            let parent = match reference.table == child.id {
                true => Some(child),
                false => home.tables.get(&reference.table),
            };
            let parent = parent.ok_or_else(|| Error::internal("what is referred to is gone"))?;
            if let Some(link) = Link::new(&home, child, constraint, parent)? {
                links.push((Arc::new(link), Mutex::default()));
            }
        }
        Ok((!links.is_empty()).then_some(Self { links }))
    }

    /// Leaves out what rows refer to by columns that a change leaves alone: they referred to it before.
    /// None when nothing is left.
    pub(crate) fn of_set(mut self, table: &Table, sets: &[usize]) -> Option<Self> {
        let generated = |place: &usize| {
            let column = table.columns.get(*place);
            column.is_none_or(|column| column.generated.is_some())
        };
        self.links.retain(|(link, _)| {
            let mut places = link.child_places.iter();
            places.any(|place| sets.contains(place) || generated(place))
        });
        (!self.links.is_empty()).then_some(self)
    }

    /// Takes note of new rows.
    ///
    /// # Errors
    /// 23503 for a key that is partly NULL where it must not be.
    pub(crate) fn note(&self, batch: &RecordBatch) -> Result<(), Error> {
        for (link, keys) in &self.links {
            let columns = project(batch, &link.child_places);
            if link.reference.full {
                refuse_mixed(link, &columns)?;
            }
            link.pairing.add(&mut keys.lock(), columns)?;
        }
        Ok(())
    }

    /// All rows are in: looks up what they refer to.
    ///
    /// # Errors
    /// 23503 for what is not there.
    pub(crate) fn settle(&self, shared: &Shared) -> Result<(), Error> {
        for (link, keys) in &self.links {
            let keys = Arc::new(std::mem::take(&mut *keys.lock()));
            if keys.keys.is_empty() {
                continue;
            }
            let (id, marks) = (link.constraint.id, link.constraint.marks);
            if is_deferred(shared, id, marks) {
                let link = Arc::clone(link);
                let hold = move |transaction: &mut Transaction| {
                    let keys = still_there(&link, &keys, transaction)?;
                    hold_keys(&link, keys, transaction)
                };
                hold_later(shared, id, marks, Arc::new(hold));
                continue;
            }
            shared.away(keys.keys.len(), |transaction| {
                hold_keys(link, keys, transaction)
            })?;
        }
        Ok(())
    }
}

/// Looks for keys now, and has them looked for again at the commit.
fn hold_keys(
    link: &Arc<Link>,
    keys: Arc<KeySet>,
    transaction: &mut Transaction,
) -> Result<(), EngineError> {
    let parent = link.parent.id;
    if let Some((key, sought)) = link.sought(&keys)? {
        let there = transaction.share_keys(parent, key, &sought.rows)?;
        let mut pairs = sought.keys.iter().zip(there);
        if let Some((missing, _)) = pairs.find(|(_, there)| !there) {
            return Err(not_present(link, &keys, missing));
        }
        // The lock goes where an update that leaves the key alone puts the row; where it could not, the
        // commit sees it.
    } else {
        let view = transaction.table(parent);
        look(link, &keys, view.as_ref())?;
    }
    let link = Arc::clone(link);
    let hold = move |view: &TableView| look(&link, &keys, Some(view));
    transaction.watch(parent, true, Arc::new(hold));
    Ok(())
}

/// Those of some keys that rows refer to still.
fn still_there(
    link: &Link,
    keys: &KeySet,
    transaction: &mut Transaction,
) -> Result<Arc<KeySet>, EngineError> {
    let mut left = KeySet::default();
    if let Some(view) = transaction.table(link.child.id) {
        link.pairing.look(&view, &link.child_places, keys, |key| {
            if let Some(place) = keys.keys.get(key) {
                left.keys.insert(key.to_vec(), *place);
            }
            left.keys.len() < keys.keys.len()
        })?;
    }
    left.batches.clone_from(&keys.batches);
    Ok(Arc::new(left))
}

/// 23503 for the first key that no row of the parent has.
fn look(link: &Link, keys: &KeySet, view: Option<&TableView>) -> Result<(), EngineError> {
    let missing = link.pairing.missing(view, &link.parent_places, keys)?;
    match missing.first() {
        Some(first) => Err(not_present(link, keys, first)),
        None => Ok(()),
    }
}

/// 23503 for a key.
fn not_present(link: &Link, keys: &KeySet, key: &[u8]) -> EngineError {
    let first = keys.keys.get(key).copied().unwrap_or_default();
    let values = keys.batches.get(first.0).map_or(&[][..], Vec::as_slice);
    let names = columns_at(&link.child, &link.child_places);
    let detail = format!(
        "Key {} is not present in table \"{}\".",
        shown(&names, values, first.1),
        link.parent.name
    );
    refused(link, detail)
}

fn refused(link: &Link, detail: String) -> EngineError {
    EngineError::Refused(Box::new(Refused {
        sqlstate: SqlState::FOREIGN_KEY_VIOLATION,
        message: format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            link.child.name, link.constraint.name
        ),
        detail: Some(detail),
        schema: Some(link.child_schema.clone()),
        table: Some(link.child.name.clone()),
        constraint: Some(link.constraint.name.clone()),
    }))
}

/// MATCH FULL: a key is NULL as a whole or not at all.
fn refuse_mixed(link: &Link, columns: &[ArrayRef]) -> Result<(), Error> {
    let rows = columns.first().map_or(0, |column| column.len());
    let mixed = |row: &usize| {
        let nulls = columns.iter().filter(|column| column.is_null(*row)).count();
        nulls > 0 && nulls < columns.len()
    };
    match (0..rows).find(mixed) {
        None => Ok(()),
        Some(_) => {
            let words = "MATCH FULL does not allow mixing of null and nonnull key values.";
            Err(refused(link, words.to_owned()).into())
        }
    }
}

/// Holds a foreign key against all rows that are there.
///
/// # Errors
/// 23503
pub(crate) fn hold_all(
    shared: &Shared,
    table: &Arc<Table>,
    constraint: &Constraint,
) -> Result<(), Error> {
    let one = std::iter::once(constraint);
    let Some(outgoing) = Outgoing::of_some(shared, table, one)? else {
        return Ok(());
    };
    let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(table.id)))?;
    let Some(view) = view else {
        return Ok(());
    };
    let all = ScanRequest::all((0..view.layout.columns.len()).collect());
    for (_, chunk) in view.chunks.iter() {
        for batch in chunk.scan(&view.layout, &all) {
            outgoing.note(&batch?)?;
        }
    }
    outgoing.settle(shared)
}
