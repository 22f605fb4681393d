//! Rows that are referred to: when they go or get another key, those that refer to them go, change,
//! or keep them.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{cast, concat, take};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{ReferenceAction, Table};
use chronolith_chunk::RowSet;
use chronolith_engine::{EngineError, Refused, TableView, Transaction};
use chronolith_sql::quoted;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use parking_lot::Mutex;

use super::define::referring;
use super::keys::{KeySet, Link, columns_at, project, shown};
use crate::dml;
use crate::error::Error;
use crate::routines::{Fires, hold_later, is_deferred};
use crate::session::{Shared, blocking_for};

/// Who refers to the rows that a statement takes away or changes.
#[derive(Debug)]
pub(crate) struct Incoming {
    links: Vec<Arc<Link>>,
    /// Rows that were changed: where they were, and what they are now.
    changed: Vec<(Vec<i128>, RecordBatch)>,
    /// What they were: of each link, the key's columns of all rows that go.
    old: Vec<Vec<ArrayRef>>,
    /// For each changed row, the key before and after, of each link.
    pairs: Vec<Vec<(Vec<ArrayRef>, Vec<ArrayRef>)>>,
}

/// Who refers to rows that statements of references have taken away or changed, in the order in which
/// they are told: a chain of rows is as long as it likes, and nothing gets deeper with it.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    told: Mutex<VecDeque<Incoming>>,
    /// What fires after such statements: when all that is to happen to rows has happened.
    fires: Mutex<Vec<Fires>>,
}

impl Behind {
    pub(crate) fn push(&self, incoming: Incoming) {
        self.told.lock().push_back(incoming);
    }

    pub(crate) fn fire(&self, fires: Vec<Fires>) {
        self.fires.lock().extend(fires);
    }
}

impl Incoming {
    /// Those of a table; None when nobody refers to it.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub(crate) fn of(shared: &Shared, table: &Arc<Table>) -> Result<Option<Self>, Error> {
        let home = shared.home()?;
        let mut links = Vec::new();
        for (child, constraint) in referring(&home, table.id) {
            links.extend(Link::new(&home, &child, &constraint, table)?.map(Arc::new));
        }
        Ok((!links.is_empty()).then(|| Self {
            old: vec![Vec::new(); links.len()],
            pairs: vec![Vec::new(); links.len()],
            links,
            changed: Vec::new(),
        }))
    }

    /// Takes note of rows that are changed, by their locators, with what they become.
    pub(crate) fn note(&mut self, locators: Vec<i128>, new: RecordBatch) {
        self.changed.push((locators, new));
    }

    /// Reads what the rows were; before they go.
    ///
    /// # Errors
    /// What the disk gives.
    pub(crate) fn read(&mut self, view: &TableView, rows: &RowSet) -> Result<(), Error> {
        for (place, link) in self.links.iter().enumerate() {
            let width = link.parent_places.len();
            for batch in view.rows_of(&link.parent_places, rows)? {
                let columns = project(&batch, &(0..width).collect::<Vec<_>>());
                if let Some(old) = self.old.get_mut(place) {
                    append(old, columns)?;
                }
            }
            for (locators, new) in &self.changed {
                let before = view.rows_at(&link.parent_places, locators)?;
                let before = project(&before, &(0..width).collect::<Vec<_>>());
                let after = project(new, &link.parent_places);
                if let Some(pairs) = self.pairs.get_mut(place) {
                    pairs.push((before, after));
                }
            }
        }
        self.changed.clear();
        Ok(())
    }

    /// The rows are gone or changed: tells those who refer to them, and those who refer to the rows
    /// that go or change with them. Gives what fires after these.
    ///
    /// # Errors
    /// 23503 where they keep them, and whatever their own changes meet.
    pub(crate) async fn settle(self, shared: &Arc<Shared>) -> Result<Vec<Fires>, Error> {
        let behind = Behind::default();
        let mut next = Some(self);
        while let Some(incoming) = next {
            shared.cancel.check()?;
            incoming.tell(shared, &behind).await?;
            next = behind.told.lock().pop_front();
        }
        Ok(behind.fires.into_inner())
    }

    async fn tell(self, shared: &Arc<Shared>, behind: &Behind) -> Result<(), Error> {
        // Who was waited for may have rows by now that refer to these.
        shared.transact(|transaction| transaction.begin_change())?;
        for ((link, old), pairs) in self.links.iter().zip(self.old).zip(self.pairs) {
            let mut gone = KeySet::default();
            if !old.is_empty() {
                link.pairing.add(&mut gone, old)?;
            }
            // A key that a row still has, or has again, is not gone.
            let missing = blocking_for(gone.keys.len(), || {
                shared.transact(|transaction| link.missing(transaction, &gone))
            })?;
            let missing: HashSet<Vec<u8>> = missing.into_iter().collect();
            gone.keys.retain(|key, _| missing.contains(key));
            if gone.keys.is_empty() {
                continue;
            }
            let mut changed = HashSet::new();
            for (before, after) in pairs {
                let mut keys = KeySet::default();
                link.pairing.add(&mut keys, before)?;
                keys.keys.retain(|key, _| gone.keys.contains_key(key));
                for (key, (batch, row)) in &keys.keys {
                    changed.insert(key.clone());
                    if link.reference.on_update == ReferenceAction::Cascade {
                        let before = keys.batches.get(*batch).map_or(&[][..], Vec::as_slice);
                        cascade(shared, link, before, &after, *row, behind).await?;
                    }
                }
            }
            let of = |keep: bool, keys: &KeySet| -> Vec<(usize, usize)> {
                let keys = keys.keys.iter();
                let mut places: Vec<(usize, usize)> = keys
                    .filter(|(key, _)| changed.contains(*key) == keep)
                    .map(|(_, place)| *place)
                    .collect();
                places.sort_unstable();
                places
            };
            let reference = &link.reference;
            act(
                shared,
                link,
                reference.on_delete,
                &gone,
                &of(false, &gone),
                true,
                behind,
            )
            .await?;
            if reference.on_update != ReferenceAction::Cascade {
                act(
                    shared,
                    link,
                    reference.on_update,
                    &gone,
                    &of(true, &gone),
                    false,
                    behind,
                )
                .await?;
            }
            keep_watch(shared, link, gone)?;
        }
        Ok(())
    }
}

fn append(all: &mut Vec<ArrayRef>, more: Vec<ArrayRef>) -> Result<(), Error> {
    if all.is_empty() {
        *all = more;
        return Ok(());
    }
    for (all, more) in all.iter_mut().zip(more) {
        *all = concat(&[all.as_ref(), more.as_ref()])?;
    }
    Ok(())
}

/// No row refers to these keys when the statement ends, and none when the transaction commits.
fn keep_watch(shared: &Shared, link: &Arc<Link>, gone: KeySet) -> Result<(), Error> {
    let (id, marks) = (link.constraint.id, link.constraint.marks);
    // RESTRICT does not wait.
    let strict =
        [link.reference.on_delete, link.reference.on_update].contains(&ReferenceAction::Restrict);
    let deferred = !strict && is_deferred(shared, id, marks);
    let link = Arc::clone(link);
    if deferred {
        let hold = move |transaction: &mut Transaction| refuse_left(&link, &gone, transaction);
        hold_later(shared, id, marks, Arc::new(hold));
        return Ok(());
    }
    shared.transact(|transaction| {
        let child = link.child.id;
        let Some(view) = transaction.table(child) else {
            return Ok(());
        };
        refuse_referred(&link, &gone, &view)?;
        let hold = move |view: &TableView| refuse_referred(&link, &gone, view);
        transaction.watch(child, true, Arc::new(hold));
        Ok::<_, EngineError>(())
    })
}

/// 23503 for a key that is still gone, and that some row still refers to.
fn refuse_left(
    link: &Arc<Link>,
    gone: &KeySet,
    transaction: &mut Transaction,
) -> Result<(), EngineError> {
    let child = link.child.id;
    let missing = link.missing(transaction, gone)?;
    let mut left = KeySet {
        batches: gone.batches.clone(),
        ..KeySet::default()
    };
    for key in missing {
        if let Some(place) = gone.keys.get(&key) {
            left.keys.insert(key, *place);
        }
    }
    let Some(view) = transaction.table(child) else {
        return Ok(());
    };
    refuse_referred(link, &left, &view)?;
    let link = Arc::clone(link);
    let hold = move |view: &TableView| refuse_referred(&link, &left, view);
    transaction.watch(child, true, Arc::new(hold));
    Ok(())
}

/// 23503 for a key that some row refers to.
fn refuse_referred(link: &Link, gone: &KeySet, view: &TableView) -> Result<(), EngineError> {
    let mut found = None;
    link.pairing.look(view, &link.child_places, gone, |key| {
        let place = gone.keys.get(key).copied();
        // Of several the first is told of.
        found = match (found, place) {
            (Some(known), Some(place)) => Some(std::cmp::min(known, place)),
            (known, place) => known.or(place),
        };
        true
    })?;
    found.map_or(Ok(()), |place| Err(still_referred(link, gone, place)))
}

fn still_referred(link: &Link, gone: &KeySet, (batch, row): (usize, usize)) -> EngineError {
    let values = gone.batches.get(batch).map_or(&[][..], Vec::as_slice);
    let names = columns_at(&link.parent, &link.parent_places);
    EngineError::Refused(Box::new(Refused {
        sqlstate: SqlState::FOREIGN_KEY_VIOLATION,
        message: format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            link.parent.name, link.constraint.name, link.child.name
        ),
        detail: Some(format!(
            "Key {} is still referenced from table \"{}\".",
            shown(&names, values, row),
            link.child.name
        )),
        schema: Some(link.child_schema.clone()),
        table: Some(link.child.name.clone()),
        constraint: Some(link.constraint.name.clone()),
    }))
}

/// What becomes of the rows that refer to some of the keys that are gone.
async fn act(
    shared: &Arc<Shared>,
    link: &Link,
    action: ReferenceAction,
    gone: &KeySet,
    places: &[(usize, usize)],
    deleted: bool,
    behind: &Behind,
) -> Result<(), Error> {
    if places.is_empty() {
        return Ok(());
    }
    let table = full_name(link);
    let columns = columns_at(&link.child, &link.child_places);
    let text = match action {
        ReferenceAction::NoAction | ReferenceAction::Restrict => return Ok(()),
        ReferenceAction::Cascade => format!("DELETE FROM {table}"),
        ReferenceAction::SetNull | ReferenceAction::SetDefault => {
            let value = match action {
                ReferenceAction::SetNull => "NULL",
                _ => "DEFAULT",
            };
            let some = &link.reference.set;
            let sets: Vec<String> = columns
                .iter()
                .filter(|column| !deleted || some.is_empty() || some.contains(&column.id))
                .map(|column| format!("{} = {value}", quoted(&column.name)))
                .collect();
            format!("UPDATE {table} SET {}", sets.join(", "))
        }
    };
    if let [column] = columns.as_slice() {
        // All keys at once.
        let mut values: Vec<ScalarValue> = Vec::with_capacity(places.len());
        for place in places {
            values.extend(key_of(gone, *place, &columns)?);
        }
        let ty = column.ty.without_typmod();
        let list = ScalarValue::List(ScalarValue::new_list_nullable(&values, &column.ty.arrow()));
        let text = format!("{text} WHERE {} = ANY ($1)", quoted(&column.name));
        let done = dml::within_reference(shared, behind, &text, &[ty.array_of()], &[list]).await;
        return done.map_err(|error| told(error, link, action, gone));
    }
    let text = format!("{text} WHERE {}", equal(&columns, 1));
    let types: Vec<SqlType> = columns
        .iter()
        .map(|column| column.ty.without_typmod())
        .collect();
    for place in places {
        let key = key_of(gone, *place, &columns)?;
        let done = dml::within_reference(shared, behind, &text, &types, &key).await;
        done.map_err(|error| told(error, link, action, gone))?;
    }
    Ok(())
}

/// Rows whose default is a key that is gone refer to it as before.
fn told(error: Error, link: &Link, action: ReferenceAction, gone: &KeySet) -> Error {
    let own = error.constraint.as_ref() == Some(&link.constraint.name);
    let default = action == ReferenceAction::SetDefault;
    if !own || !default || error.code != SqlState::FOREIGN_KEY_VIOLATION {
        return error;
    }
    let names = columns_at(&link.child, &link.child_places);
    let same = gone.keys.values().find(|(batch, row)| {
        let values = gone.batches.get(*batch).map_or(&[][..], Vec::as_slice);
        let detail = format!(
            "Key {} is not present in table \"{}\".",
            shown(&names, values, *row),
            link.parent.name
        );
        error.detail.as_ref() == Some(&detail)
    });
    match same {
        Some(place) => still_referred(link, gone, *place).into(),
        None => error,
    }
}

/// ON UPDATE CASCADE of one key.
async fn cascade(
    shared: &Arc<Shared>,
    link: &Link,
    before: &[ArrayRef],
    after: &[ArrayRef],
    row: usize,
    behind: &Behind,
) -> Result<(), Error> {
    let columns = columns_at(&link.child, &link.child_places);
    let sets: Vec<String> = (1..)
        .zip(&columns)
        .map(|(number, column)| format!("{} = ${number}", quoted(&column.name)))
        .collect();
    let text = format!(
        "UPDATE {} SET {} WHERE {}",
        full_name(link),
        sets.join(", "),
        equal(&columns, columns.len() + 1)
    );
    let mut params = values_of(after, row, &columns)?;
    params.extend(values_of(before, row, &columns)?);
    let types = columns.iter().map(|column| column.ty.without_typmod());
    let types: Vec<SqlType> = types.clone().chain(types).collect();
    dml::within_reference(shared, behind, &text, &types, &params).await
}

fn full_name(link: &Link) -> String {
    format!(
        "{}.{}",
        quoted(&link.child_schema),
        quoted(&link.child.name)
    )
}

/// `a = $1 AND b = $2`
fn equal(columns: &[&chronolith_catalog::Column], first: usize) -> String {
    let equal = columns.iter().zip(first..);
    let equal = equal.map(|(column, number)| format!("{} = ${number}", quoted(&column.name)));
    equal.collect::<Vec<_>>().join(" AND ")
}

fn key_of(
    keys: &KeySet,
    (batch, row): (usize, usize),
    columns: &[&chronolith_catalog::Column],
) -> Result<Vec<ScalarValue>, Error> {
    let values = keys.batches.get(batch).map_or(&[][..], Vec::as_slice);
    values_of(values, row, columns)
}

/// A row's values as those of the columns that refer to it.
fn values_of(
    values: &[ArrayRef],
    row: usize,
    columns: &[&chronolith_catalog::Column],
) -> Result<Vec<ScalarValue>, Error> {
    let pairs = values.iter().zip(columns);
    pairs
        .map(|(array, column)| {
            let place = arrow::array::UInt64Array::from(vec![row as u64]);
            let one = take(array.as_ref(), &place, None)?;
            let ty = column.ty.arrow();
            let one = match *one.data_type() == ty {
                true => one,
                false => cast(&one, &ty)?,
            };
            Ok(ScalarValue::try_from_array(&one, 0)?)
        })
        .collect()
}
