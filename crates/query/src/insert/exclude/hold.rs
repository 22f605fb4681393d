//! A statement's rows held against all that are there.

use std::collections::{HashMap, HashSet};

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use chronolith_chunk::{RowSet, hash};
use chronolith_engine::{EngineError, Met, Refused, TableView, Transaction};

use super::bound::Exclusion;
use super::lookup::Lookup;
use crate::error::Error;
use crate::session::Shared;

/// The rows that a statement adds.
pub(super) struct Noted {
    pub(super) lookup: Lookup,
    /// The first and second row of each key.
    pub(super) own: HashMap<Box<[u8]>, (u32, Option<u32>)>,
    pub(super) hashes: Vec<u64>,
}

/// Two rows that meet.
struct Clash {
    new: String,
    there: String,
    rows: RowSet,
}

impl Exclusion {
    /// Rows that a statement adds, by their keys.
    pub(super) fn noted(&self, rows: &RecordBatch) -> Result<Noted, EngineError> {
        let asked = self.asked(rows)?;
        let mut own: HashMap<Box<[u8]>, (u32, Option<u32>)> = HashMap::new();
        let mut firsts = Vec::new();
        for (row, key) in (0_u32..).zip(&asked.keys) {
            match own.get_mut(key) {
                Some((_, second)) => *second = second.or(Some(row)),
                None => {
                    own.insert(key.clone(), (row, None));
                    firsts.push(row);
                }
            }
        }
        // Rows of different groups never meet.
        let hashes: HashSet<u64> = asked.groups.iter().map(|group| hash(group)).collect();
        Ok(Noted {
            lookup: Lookup::new(asked, firsts),
            own,
            hashes: hashes.into_iter().collect(),
        })
    }

    /// Looks for rows that the statement's rows meet. Waits for those who have added some that are
    /// alike, and for those who are about to take away what was met.
    pub(super) fn hold(
        &self,
        transaction: &mut Transaction,
        noted: &Noted,
    ) -> Result<(), EngineError> {
        let id = self.keyed.table.id;
        transaction.lock_computed(id, self.index, noted.hashes.clone())?;
        let found = std::cell::RefCell::new(None);
        let look = |view: &TableView| {
            let clash = self.clash(view, noted)?;
            Ok(clash.map(|clash| {
                let rows = clash.rows.clone();
                found.replace(Some(clash));
                rows
            }))
        };
        let here = match transaction.table(id) {
            Some(view) => look(&view)?.is_some(),
            None => false,
        };
        if !here && !transaction.is_behind() {
            return Ok(());
        }
        // Nobody can add what these rows meet from here on: the lock is held until all of the
        // transaction is seen.
        let met = match transaction.met_now(id, look)? {
            Met::Nothing => false,
            Met::Rows => true,
            Met::Unknown => here,
        };
        match found.take().filter(|_| met) {
            None => Ok(()),
            Some(clash) => Err(EngineError::Refused(Box::new(Refused {
                message: format!(
                    "conflicting key value violates exclusion constraint \"{}\"",
                    self.name
                ),
                detail: Some(format!(
                    "Key {} conflicts with existing key {}.",
                    clash.new, clash.there
                )),
                ..self.fields()
            }))),
        }
    }

    /// Of the statement's rows the first that meets another, and that.
    fn clash(&self, view: &TableView, noted: &Noted) -> Result<Option<Clash>, EngineError> {
        let lookup = &noted.lookup;
        // Where a row with each key lies, and the rows with the same key that it meets.
        let mut places: HashMap<u32, i128> = HashMap::new();
        let mut alike: HashMap<u32, Vec<i128>> = HashMap::new();
        // Another row that each meets: its first number in the statement, its key and its place.
        let mut hits: HashMap<u32, (Option<u32>, String, i128)> = HashMap::new();
        self.scan(view, lookup, |batch, locators| {
            let others = self.asked(batch)?;
            let at = |other: u32| {
                let row = others.values.row(other as usize);
                locators.get(row).copied().unwrap_or_default()
            };
            for (other, key) in (0_u32..).zip(&others.keys) {
                if let Some((row, _)) = noted.own.get(key) {
                    places.insert(*row, at(other));
                }
            }
            let mut met = Vec::new();
            self.pairs(
                lookup,
                &others,
                |row| hits.contains_key(&row),
                |row, other| {
                    met.push((row, other));
                },
            )?;
            for (row, other) in met {
                let key = others.keys.get(other as usize);
                if key == lookup.asked.keys.get(row as usize) {
                    alike.entry(row).or_default().push(at(other));
                } else {
                    hits.entry(row).or_insert_with(|| {
                        let first = key.and_then(|key| noted.own.get(key)).map(|own| own.0);
                        let shown = self.keyed.shown(&others.values.columns, other as usize);
                        (first, shown, at(other))
                    });
                }
            }
            Ok(true)
        })?;
        let mut first: Option<(u32, Clash)> = None;
        let mut tell = |number: u32, clash: Clash| {
            if first.as_ref().is_none_or(|(before, _)| number < *before) {
                first = Some((number, clash));
            }
        };
        let shown = |row: u32| self.keyed.shown(&lookup.asked.values.columns, row as usize);
        for (row, found) in alike.iter().filter(|(_, found)| found.len() > 1) {
            let key = lookup.asked.keys.get(*row as usize);
            let second = key.and_then(|key| noted.own.get(key)?.1);
            let (new, there) = (shown(*row), shown(*row));
            let rows = rows_of(found.iter().take(2).copied());
            tell(second.unwrap_or(*row), Clash { new, there, rows });
        }
        for (row, (other, text, at)) in hits {
            // A row may be gone again by the end of the transaction.
            let Some(place) = places.get(&row) else {
                continue;
            };
            let rows = rows_of([*place, at].into_iter());
            match other.filter(|other| *other > row) {
                Some(other) => {
                    let (new, there) = (text, shown(row));
                    tell(other, Clash { new, there, rows });
                }
                None => {
                    let (new, there) = (shown(row), text);
                    tell(row, Clash { new, there, rows });
                }
            }
        }
        Ok(first.map(|(_, clash)| clash))
    }

    /// Holds it against all rows that are there.
    pub(in crate::insert) fn hold_all(&self, shared: &Shared) -> Result<(), Error> {
        let id = self.keyed.table.id;
        let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(id)))?;
        let Some(view) = view else {
            return Ok(());
        };
        let mut batches = Vec::new();
        self.keyed.scan(&view, |batch, _| {
            batches.push(batch.clone());
            Ok(true)
        })?;
        let Some(first) = batches.first() else {
            return Ok(());
        };
        let noted = self.noted(&concat_batches(&first.schema(), &batches)?)?;
        match self.clash(&view, &noted)? {
            None => Ok(()),
            Some(clash) => {
                let refused = EngineError::Refused(Box::new(Refused {
                    message: format!("could not create exclusion constraint \"{}\"", self.name),
                    detail: Some(format!(
                        "Key {} conflicts with key {}.",
                        clash.new, clash.there
                    )),
                    ..self.fields()
                }));
                Err(refused.into())
            }
        }
    }
}

fn rows_of(locators: impl Iterator<Item = i128>) -> RowSet {
    let mut rows = RowSet::default();
    for locator in locators {
        rows.insert(locator);
    }
    rows
}
