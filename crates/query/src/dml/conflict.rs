//! INSERT … ON CONFLICT: rows are held against the table's keys a batch at a time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ahash::RandomState;
use arrow::array::{Array, ArrayRef, UInt32Array};
use arrow::compute::{concat, take, take_record_batch};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use chronolith_chunk::RowSet;
use chronolith_engine::{Claimed, EngineError, RowMode, RowsLocked, Wait};
use futures::StreamExt;

use super::over::Maker;
use super::rows::{columns, locators, of_table};
use super::run::{Changing, Run, count_of, note_changed, twice};
use crate::bind::{Conflict, Subject};
use crate::error::Error;
use crate::insert::{Exclusion, Unique};
use crate::outcome::RowStream;
use crate::routines::{Event, left};
use crate::session::blocking_for;

const HINT: &str = "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.";

/// A key that rows are held against.
struct Arbiter {
    key: Key,
    /// The keys of rows that the statement adds, by two hashes of each.
    added: HashSet<(u64, u64)>,
    hashes: (RandomState, RandomState),
}

/// Who keeps a key.
enum Key {
    /// The chunks, by the values of columns.
    Columns {
        constraint: u32,
        places: Vec<usize>,
        converter: RowConverter,
    },
    /// An index that is computed.
    Computed(Arc<Unique>),
    /// What EXCLUDE compares, and the rows that the statement adds.
    Excluded(Arc<Exclusion>, Vec<RecordBatch>),
}

/// What of a batch's rows a key says: whether one meets a row that the statement has added, or which
/// of the batch it meets.
enum Told {
    Keys(Vec<Option<(u64, u64)>>),
    Pairs(HashSet<usize>, HashMap<usize, Vec<usize>>),
}

impl Arbiter {
    fn new(key: Key) -> Self {
        Self {
            key,
            added: HashSet::new(),
            hashes: (RandomState::new(), RandomState::new()),
        }
    }

    /// What it says of a batch's rows.
    fn told(&self, batch: &RecordBatch) -> Result<Told, Error> {
        let Key::Excluded(exclusion, added) = &self.key else {
            return self.keys(batch).map(Told::Keys);
        };
        let mut met = HashSet::new();
        for added in added {
            let pairs = exclusion.meeting(batch, added)?;
            met.extend(pairs.into_iter().map(|(row, _)| row));
        }
        let mut before: HashMap<usize, Vec<usize>> = HashMap::new();
        for (row, other) in exclusion.meeting(batch, batch)? {
            if other < row {
                before.entry(row).or_default().push(other);
            }
        }
        Ok(Told::Pairs(met, before))
    }

    /// The hash of each row's key; None for one that nothing equals.
    fn keys(&self, batch: &RecordBatch) -> Result<Vec<Option<(u64, u64)>>, Error> {
        let (first, second) = &self.hashes;
        let hashed = |key: &[u8]| (first.hash_one(key), second.hash_one(key));
        let (places, converter) = match &self.key {
            Key::Columns {
                places, converter, ..
            } => (places, converter),
            Key::Computed(unique) => {
                let keys = unique.keys(batch)?;
                return Ok(keys.iter().map(|key| key.as_deref().map(hashed)).collect());
            }
            Key::Excluded(..) => return Ok(vec![None; batch.num_rows()]),
        };
        let columns: Vec<ArrayRef> = places
            .iter()
            .filter_map(|place| batch.columns().get(*place).cloned())
            .collect();
        let rows = converter.convert_columns(&columns)?;
        let keys = rows.iter().enumerate().map(|(at, row)| {
            let null = columns.iter().any(|column| column.is_null(at));
            (!null).then(|| hashed(row.as_ref()))
        });
        Ok(keys.collect())
    }
}

impl Run<'_> {
    /// Sorts proposed rows into new ones and those that meet rows that are there; false when the
    /// statement is to be run anew.
    pub(super) async fn upsert(
        &self,
        changing: &mut Changing<'_>,
        source: &mut RowStream,
        conflict: &Conflict,
    ) -> Result<bool, Error> {
        let mut arbiters = arbiters(changing, conflict)?;
        let update = match &conflict.update {
            Some(over) => Some(Maker::new(self, over, self.params)?),
            None => None,
        };
        while let Some(batch) = source.next().await {
            let batch = batch?;
            let new = of_table(&changing.table, batch.columns().to_vec(), batch.num_rows())?;
            let new = self.fresh_rows(changing, new).await?;
            let mut met = self.met(changing, &arbiters, &new)?;
            if !self.settle(changing, &mut met)? {
                return Ok(false);
            }
            let fresh = fresh(&mut arbiters, &new, &met, update.is_some())?;
            let added = take_record_batch(&new, &fresh)?;
            if !self.claim(changing, &arbiters, &added)? {
                return Ok(false);
            }
            if let Some(triggers) = &mut changing.triggers {
                triggers.changed(Event::Insert, None, Some(added.clone()));
            }
            let Some(update) = &update else {
                self.add(changing, added, &[]).await?;
                continue;
            };
            let changed = self.changed(changing, update, &new, &met).await?;
            let Some(changed) = changed else {
                return Ok(true);
            };
            // RETURNING gives rows in the order in which they were proposed.
            let mut order: Vec<(u32, u32)> = Vec::with_capacity(added.num_rows());
            order.extend((0..).zip(fresh.values()).map(|(at, row)| (*row, at)));
            let from = u32::try_from(added.num_rows()).unwrap_or(u32::MAX);
            order.extend((from..).zip(&changed.1).map(|(at, row)| (*row, at)));
            order.sort_unstable();
            let order = UInt32Array::from_iter_values(order.into_iter().map(|(_, at)| at));
            let mut all = Vec::with_capacity(new.num_columns());
            for (added, changed) in added.columns().iter().zip(changed.0.columns()) {
                let both = concat(&[added.as_ref(), changed.as_ref()])?;
                all.push(take(&both, &order, None)?);
            }
            let all = of_table(&changing.table, all, order.len())?;
            let mut more: Vec<ArrayRef> = Vec::new();
            if conflict.tells {
                // As `xmax` says it: 0 for a row that is new.
                let updated = |at: &u32| u32::from(*at >= from);
                more.push(Arc::new(UInt32Array::from_iter_values(
                    order.values().iter().map(updated),
                )));
            }
            self.add(changing, all, &more).await?;
        }
        Ok(true)
    }

    /// The row that each proposed one meets.
    fn met(
        &self,
        changing: &Changing<'_>,
        arbiters: &[Arbiter],
        new: &RecordBatch,
    ) -> Result<Vec<Option<i128>>, Error> {
        let mut met: Vec<Option<i128>> = vec![None; new.num_rows()];
        for arbiter in arbiters {
            let found = match &arbiter.key {
                Key::Columns { constraint, .. } => self
                    .shared
                    .transact(|transaction| transaction.find(&changing.view, *constraint, new))?,
                Key::Computed(unique) => blocking_for(new.num_rows(), || {
                    unique.find(&changing.view, &unique.keys(new)?)
                })?,
                Key::Excluded(exclusion, _) => {
                    blocking_for(usize::MAX, || exclusion.find(&changing.view, new))?
                }
            };
            for (met, found) in met.iter_mut().zip(found) {
                *met = met.or(found);
            }
        }
        Ok(met)
    }

    /// Waits for those who are about to change rows that were met; false when one is another by now.
    /// An old snapshot has rows that are there no more: those were not met.
    fn settle(&self, changing: &Changing<'_>, met: &mut [Option<i128>]) -> Result<bool, Error> {
        let mut rows = RowSet::default();
        for locator in met.iter().flatten() {
            rows.insert(*locator);
        }
        if rows.is_empty() {
            return Ok(true);
        }
        let view = &changing.view;
        self.shared.away(count_of(&rows), |transaction| {
            let mut settled = |rows: &RowSet| match transaction.lock_rows(
                view,
                rows,
                RowMode::Settled,
                Wait::Block,
            ) {
                Err(EngineError::Conflict(_)) => Ok(None),
                settled => settled.map(|settled| Some(settled == RowsLocked::All)),
            };
            if let Some(settled) = settled(&rows)? {
                return Ok::<_, Error>(settled);
            }
            for found in met {
                let mut one = RowSet::default();
                let Some(locator) = *found else { continue };
                one.insert(locator);
                if settled(&one)?.is_none() {
                    *found = None;
                }
            }
            Ok(true)
        })
    }

    /// Reserves the keys of rows that met none.
    fn claim(
        &self,
        changing: &Changing<'_>,
        arbiters: &[Arbiter],
        added: &RecordBatch,
    ) -> Result<bool, Error> {
        if added.num_rows() == 0 {
            return Ok(true);
        }
        for arbiter in arbiters {
            let claimed = self
                .shared
                .away(added.num_rows(), |transaction| match &arbiter.key {
                    Key::Columns { constraint, .. } => {
                        transaction.claim(changing.table.id, *constraint, added)
                    }
                    Key::Computed(unique) => unique.claim(transaction, &unique.keys(added)?),
                    Key::Excluded(exclusion, _) => exclusion.claim(transaction, added),
                })?;
            if claimed == Claimed::Again {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The rows that are there as DO UPDATE makes them, and which proposed row each comes from; None
    /// where row-level security refuses one.
    async fn changed(
        &self,
        changing: &mut Changing<'_>,
        update: &Maker,
        new: &RecordBatch,
        met: &[Option<i128>],
    ) -> Result<Option<(RecordBatch, Vec<u32>)>, Error> {
        let width = changing.table.columns.len();
        let touched = self.touched.get(&changing.table.id);
        let mut rows: Vec<(u32, i128)> = Vec::new();
        for (row, locator) in (0_u32..).zip(met) {
            let free = |locator: &i128| touched.is_none_or(|touched| !touched.contains(*locator));
            rows.extend(locator.filter(free).map(|locator| (row, locator)));
        }
        if rows.is_empty() {
            return Ok(Some((new.slice(0, 0), Vec::new())));
        }
        let found: Vec<i128> = rows.iter().map(|(_, locator)| *locator).collect();
        for locator in &found {
            changing.met.insert(*locator);
        }
        let all: Vec<usize> = (0..width).collect();
        let old = blocking_rows(changing, &all, &found)?;
        if changing.asks_of(Subject::Met) {
            // Also those that WHERE would leave as they are, as PostgreSQL sees it.
            let there = of_table(&changing.table, columns(&old, 0..width), old.num_rows())?;
            if !self.allowed(changing, &there, Subject::Met).await? {
                return Ok(None);
            }
        }
        let places = UInt32Array::from_iter_values(rows.iter().map(|(row, _)| *row));
        let proposed = take_record_batch(new, &places)?;
        // The locator comes last there, and first here.
        let mut given: Vec<ArrayRef> = old.columns().last().into_iter().cloned().collect();
        given.extend(columns(&old, 0..width));
        given.extend(proposed.columns().iter().cloned());
        let made = update.make(self, given, found.len()).await?;
        // A row that WHERE refused is not changed, so that it may be met again.
        let mut from = Vec::with_capacity(made.num_rows());
        let origin: HashMap<i128, u32> =
            rows.iter().map(|(row, locator)| (*locator, *row)).collect();
        for locator in locators(&made)?.iter().flatten() {
            if !changing.rows.insert(locator) {
                return Err(twice("ON CONFLICT DO UPDATE", HINT));
            }
            from.extend(origin.get(&locator).copied());
        }
        let rows = of_table(
            &changing.table,
            columns(&made, 1..width + 1),
            made.num_rows(),
        )?;
        let asked = changing.triggers.as_ref();
        if !asked.is_some_and(|triggers| triggers.wants_rows(Event::Update)) {
            let Some(rows) = self.updated(changing, &rows).await? else {
                return Ok(None);
            };
            note_changed(changing, &made, &rows)?;
            return Ok(Some((rows, from)));
        }
        // The old rows in the order of those that are made of them.
        let places: HashMap<i128, u32> = found.iter().copied().zip(0_u32..).collect();
        let order = locators(&made)?;
        let order = order.iter().flatten();
        let order = order.filter_map(|locator| places.get(&locator).copied());
        let order = UInt32Array::from_iter_values(order);
        let old = of_table(&changing.table, columns(&old, 0..width), old.num_rows())?;
        let old = take_record_batch(&old, &order)?;
        let (rows, keep) = self
            .passed(changing, Event::Update, &old, Some(rows), &made)
            .await?;
        let mut stayed = keep.iter();
        from.retain(|_| stayed.next().copied().unwrap_or(true));
        let Some(rows) = self.updated(changing, &rows).await? else {
            return Ok(None);
        };
        note_changed(changing, &left(&made, &keep)?, &rows)?;
        if let Some(triggers) = &mut changing.triggers {
            let old = left(&old, &keep)?;
            triggers.changed(Event::Update, Some(old), Some(rows.clone()));
        }
        Ok(Some((rows, from)))
    }
}

fn blocking_rows(
    changing: &Changing<'_>,
    columns: &[usize],
    found: &[i128],
) -> Result<RecordBatch, Error> {
    Ok(blocking_for(found.len(), || {
        changing.view.rows_at(columns, found)
    })?)
}

/// The keys that rows are held against.
fn arbiters(changing: &Changing<'_>, conflict: &Conflict) -> Result<Vec<Arbiter>, Error> {
    let named = conflict.arbiters.as_ref();
    let mut arbiters = Vec::new();
    for (key, places) in changing.table.unique_keys() {
        if named.is_some_and(|named| !named.constraints.contains(&key.id)) {
            continue;
        }
        let columns = places
            .iter()
            .filter_map(|at| changing.table.columns.get(*at));
        let fields = columns.map(|column| SortField::new(column.ty.arrow()));
        arbiters.push(Arbiter::new(Key::Columns {
            constraint: key.id,
            converter: RowConverter::new(fields.collect())?,
            places,
        }));
    }
    let uniques = changing.proposed.uniques();
    let asked = |index| named.is_none_or(|named| named.indexes.contains(&index));
    for unique in uniques.into_iter().flat_map(|uniques| uniques.arbiters()) {
        if asked(unique.index()) {
            arbiters.push(Arbiter::new(Key::Computed(Arc::clone(unique))));
        }
    }
    for exclusion in uniques.into_iter().flat_map(|uniques| uniques.excluders()) {
        if asked(exclusion.index()) {
            let key = Key::Excluded(Arc::clone(exclusion), Vec::new());
            arbiters.push(Arbiter::new(key));
        }
    }
    Ok(arbiters)
}

/// The proposed rows that meet nothing, neither in the table nor before them in the statement.
fn fresh(
    arbiters: &mut [Arbiter],
    new: &RecordBatch,
    met: &[Option<i128>],
    update: bool,
) -> Result<UInt32Array, Error> {
    let told = arbiters.iter().map(|arbiter| arbiter.told(new));
    let told = told.collect::<Result<Vec<_>, _>>()?;
    let mut fresh = Vec::with_capacity(new.num_rows());
    let mut taken = vec![false; new.num_rows()];
    for (at, (row, met)) in (0_u32..).zip(met).enumerate() {
        if met.is_some() {
            continue;
        }
        let of = |keys: &[Option<(u64, u64)>]| keys.get(at).copied().flatten();
        let known = arbiters
            .iter()
            .zip(&told)
            .any(|(arbiter, told)| match told {
                Told::Keys(keys) => of(keys).is_some_and(|key| arbiter.added.contains(&key)),
                Told::Pairs(met, before) => {
                    let mut others = before.get(&at).into_iter().flatten();
                    met.contains(&at) || others.any(|other| taken.get(*other) == Some(&true))
                }
            });
        if known {
            if update {
                return Err(twice("ON CONFLICT DO UPDATE", HINT));
            }
            continue;
        }
        for (arbiter, told) in arbiters.iter_mut().zip(&told) {
            if let Told::Keys(keys) = told {
                arbiter.added.extend(of(keys));
            }
        }
        if let Some(taken) = taken.get_mut(at) {
            *taken = true;
        }
        fresh.push(row);
    }
    let fresh = UInt32Array::from(fresh);
    for arbiter in arbiters {
        if let Key::Excluded(_, added) = &mut arbiter.key
            && !fresh.is_empty()
        {
            added.push(take_record_batch(new, &fresh)?);
        }
    }
    Ok(fresh)
}
