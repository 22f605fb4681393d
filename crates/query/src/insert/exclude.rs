//! EXCLUDE: no two rows of whose keys all operators say yes.
//!
//! A statement's rows are noted while it runs, and held against all rows that are there when all are
//! in. Rows that may meet are found by the keys that `=` compares, and within those by the ranges
//! that `&&` compares; the operators are asked of these pairs alone. Whoever adds rows locks what
//! they are alike by until the transaction ends, so that two transactions never both add rows that
//! meet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Constraint, ConstraintMarks, Index, Table};
use chronolith_chunk::{ChunkError, KeyEncoder, RowSet, hash};
use chronolith_engine::{Claimed, EngineError, Met, Refused, TableView, Transaction};
use chronolith_types::range::{self, Bound, Range};
use chronolith_types::{IndexId, RangeKind, SqlState, SqlType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;
use parking_lot::Mutex;

use super::keyed::{Keyed, Values, lift};
use crate::bind::bind_over;
use crate::error::Error;
use crate::evaluate::{computable, props_of};
use crate::routines::{hold_later, is_deferred};
use crate::session::{SessionNames, Shared};

/// One in a statement.
#[derive(Debug)]
pub(super) struct Excluding {
    pub(super) exclusion: Arc<Exclusion>,
    /// It may be broken until the transaction ends.
    deferred: bool,
    /// The columns of the statement's rows that it is computed from.
    noted: Mutex<Vec<RecordBatch>>,
}

/// An exclusion constraint, bound.
pub(crate) struct Exclusion {
    constraint: u32,
    marks: ConstraintMarks,
    index: IndexId,
    name: String,
    keyed: Keyed,
    /// All keys as bytes.
    all: KeyEncoder,
    /// Which keys `=` compares, and those as bytes.
    equal: Option<(Vec<usize>, KeyEncoder)>,
    /// A key whose ranges must share something.
    shared: Option<(usize, RangeKind)>,
    /// Whether two rows meet: over the keys of one, and then of another.
    meet: Arc<dyn PhysicalExpr>,
    both: SchemaRef,
}

impl std::fmt::Debug for Exclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exclusion")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Rows none of whose keys is NULL.
struct Asked {
    values: Values,
    keys: Vec<Box<[u8]>>,
    /// What `=` compares.
    groups: Vec<Box<[u8]>>,
    /// What `&&` compares; an empty range meets nothing.
    ranges: Option<Vec<Range>>,
}

/// Rows by what they may meet others by.
struct Lookup {
    asked: Asked,
    /// By what `=` compares; ordered by where the ranges begin.
    groups: HashMap<Box<[u8]>, Group>,
}

#[derive(Default)]
struct Group {
    rows: Vec<u32>,
    /// Where the ranges up to each end at the latest.
    ends: Vec<Bound>,
}

/// The rows that a statement adds.
struct Noted {
    lookup: Lookup,
    /// The first and second row of each key.
    own: HashMap<Box<[u8]>, (u32, Option<u32>)>,
    hashes: Vec<u64>,
}

/// Two rows that meet.
struct Clash {
    new: String,
    there: String,
    rows: RowSet,
}

/// Pairs that the operators are asked of at a time.
const PAIRS: usize = 8192;

impl Excluding {
    pub(super) fn new(shared: &Shared, exclusion: Arc<Exclusion>) -> Self {
        Self {
            deferred: is_deferred(shared, exclusion.constraint, exclusion.marks),
            exclusion,
            noted: Mutex::default(),
        }
    }

    pub(super) fn note(&self, batch: &RecordBatch) -> Result<(), Error> {
        let columns = batch.project(&self.exclusion.keyed.places)?;
        self.noted.lock().push(columns);
        Ok(())
    }

    /// All rows are in: looks for others that they meet, now or when the transaction ends.
    pub(super) fn settle(&self, shared: &Shared) -> Result<(), Error> {
        let batches = std::mem::take(&mut *self.noted.lock());
        let Some(first) = batches.first() else {
            return Ok(());
        };
        let exclusion = Arc::clone(&self.exclusion);
        let rows = concat_batches(&first.schema(), &batches)?;
        let noted = exclusion.noted(&rows)?;
        if noted.own.is_empty() {
            return Ok(());
        }
        let (constraint, marks) = (exclusion.constraint, exclusion.marks);
        let hold = move |transaction: &mut Transaction| exclusion.hold(transaction, &noted);
        match self.deferred {
            true => {
                hold_later(shared, constraint, marks, Arc::new(hold));
                Ok(())
            }
            false => Ok(shared.away(usize::MAX, hold)?),
        }
    }

    /// Whether it is computed from one of some columns.
    pub(super) fn is_of(&self, sets: &[usize]) -> bool {
        let keyed = &self.exclusion.keyed;
        let generated = |place: &usize| {
            let column = keyed.table.columns.get(*place);
            column.is_none_or(|column| column.generated.is_some())
        };
        let mut places = keyed.places.iter();
        places.any(|place| sets.contains(place) || generated(place))
    }
}

impl Exclusion {
    pub(super) fn of(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        constraint: &Constraint,
        index: &Index,
    ) -> Result<Self, Error> {
        let keyed = Keyed::of(shared, table, index)?;
        let operators = constraint.kind.operators().unwrap_or_default();
        let names = SessionNames::new(shared)?;
        let mut meets: Option<Expr> = None;
        let mut equal = Vec::new();
        let mut range = None;
        for (place, (operator, ty)) in operators.iter().zip(&keyed.types).enumerate() {
            let (one, other) = (format!("one{place}"), format!("other{place}"));
            let tree = chronolith_sql::expression(&format!("{one} {operator} {other}"))?;
            let sides = [
                (one, ty.clone(), ty.arrow()),
                (other, ty.clone(), ty.arrow()),
            ];
            let typed = bind_over(&names, &tree, "", &sides)?;
            meets = Some(match meets {
                None => typed.expr,
                Some(before) => before.and(typed.expr),
            });
            match (operator.as_str(), ty) {
                ("=", _) => equal.push(place),
                ("&&", SqlType::Range(kind)) => range = range.or(Some((place, *kind))),
                _ => {}
            }
        }
        let meets = meets.ok_or_else(|| Error::internal("an exclusion of nothing"))?;
        let side = |name: &'static str| {
            let forms = keyed.forms.iter().enumerate();
            forms.map(move |(place, form)| Field::new(format!("{name}{place}"), form.clone(), true))
        };
        let fields: Vec<Field> = side("one").chain(side("other")).collect();
        let both = Arc::new(Schema::new(fields));
        let schema = DFSchema::try_from(both.as_ref().clone())?;
        let compared = equal.iter().filter_map(|place| keyed.forms.get(*place));
        let compared: Vec<_> = compared.cloned().collect();
        Ok(Self {
            constraint: constraint.id,
            marks: constraint.marks,
            index: index.id,
            name: constraint.name.clone(),
            all: KeyEncoder::of_types(&keyed.forms)?,
            equal: match equal.is_empty() {
                true => None,
                false => Some((equal, KeyEncoder::of_types(&compared)?)),
            },
            shared: range,
            meet: computable(&meets, &schema, &props_of(shared.vars()))?,
            both,
            keyed,
        })
    }

    /// The index that it has.
    pub(crate) fn index(&self) -> IndexId {
        self.index
    }

    /// Whether ON CONFLICT may ask for it.
    pub(crate) fn is_arbiter(&self) -> bool {
        !self.marks.deferrable
    }

    /// The keys of rows that have the columns it is computed from.
    fn asked(&self, rows: &RecordBatch) -> Result<Asked, EngineError> {
        let mut values = self.keyed.values(rows)?;
        let mut keys = self.all.keys_of(&values.columns)?;
        if keys.iter().any(|key| key.is_none()) {
            let known = (0_u32..).zip(keys.iter());
            let known = known.filter_map(|(row, key)| key.map(|_| row));
            values = self.part(&values, &UInt32Array::from_iter_values(known))?;
            keys = self.all.keys_of(&values.columns)?;
        }
        let groups = match &self.equal {
            None => vec![Box::default(); values.count],
            Some((places, encoder)) => {
                let compared = places.iter().filter_map(|place| values.columns.get(*place));
                let compared: Vec<ArrayRef> = compared.cloned().collect();
                let groups = encoder.keys_of(&compared)?;
                groups
                    .iter()
                    .map(|of| of.unwrap_or_default().into())
                    .collect()
            }
        };
        let ranges = self.shared.and_then(|(place, kind)| {
            let column = values.columns.get(place)?.as_binary_view_opt()?;
            let each = (0..column.len()).map(|row| range::of_kept(kind, column.value(row)));
            Some(each.collect())
        });
        let keys = keys.iter().map(|key| key.unwrap_or_default().into());
        Ok(Asked {
            keys: keys.collect(),
            values,
            groups,
            ranges,
        })
    }

    /// The keys of some of the rows.
    fn part(&self, values: &Values, rows: &UInt32Array) -> Result<Values, EngineError> {
        let columns = values.columns.iter().map(|column| take(column, rows, None));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let places = rows.values().iter().map(|row| values.row(*row as usize));
        Ok(Values::of(
            columns.map_err(ChunkError::from)?,
            places.collect(),
        ))
    }

    fn noted(&self, rows: &RecordBatch) -> Result<Noted, EngineError> {
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

    /// Calls `take` with pairs of rows that meet, a row of a lookup first, until it has enough; pairs
    /// that `skip` says nobody asks for are left out.
    fn pairs(
        &self,
        lookup: &Lookup,
        others: &Asked,
        skip: impl Fn(u32) -> bool,
        mut take: impl FnMut(u32, u32),
    ) -> Result<(), EngineError> {
        let (mut these, mut those) = (Vec::new(), Vec::new());
        for (other, group) in (0_u32..).zip(&others.groups) {
            let ranges = others.ranges.as_ref();
            let range = ranges.map(|ranges| ranges.get(other as usize).copied().flatten());
            lookup.candidates(group, range, |row| {
                if !skip(row) {
                    these.push(row);
                    those.push(other);
                }
            });
            if these.len() >= PAIRS {
                self.ask(lookup, others, (&mut these, &mut those), &mut take)?;
            }
        }
        self.ask(lookup, others, (&mut these, &mut those), &mut take)
    }

    fn ask(
        &self,
        lookup: &Lookup,
        others: &Asked,
        (these, those): (&mut Vec<u32>, &mut Vec<u32>),
        hit: &mut impl FnMut(u32, u32),
    ) -> Result<(), EngineError> {
        let (these, those) = (std::mem::take(these), std::mem::take(those));
        for (these, those) in these.chunks(PAIRS).zip(those.chunks(PAIRS)) {
            let mut columns = Vec::with_capacity(self.both.fields().len());
            for (values, rows) in [(&lookup.asked.values, these), (&others.values, those)] {
                let rows = UInt32Array::from(rows.to_vec());
                for column in &values.columns {
                    columns.push(take(column, &rows, None).map_err(ChunkError::from)?);
                }
            }
            let batch = RecordBatch::try_new(Arc::clone(&self.both), columns);
            let batch = batch.map_err(ChunkError::from)?;
            let answer = self.meet.evaluate(&batch);
            let answer = answer.and_then(|of| of.into_array(these.len()));
            let answer = answer.map_err(lift)?;
            let Some(answer) = answer.as_boolean_opt() else {
                continue;
            };
            for (place, (one, other)) in these.iter().zip(those).enumerate() {
                if answer.is_valid(place) && answer.value(place) {
                    hit(*one, *other);
                }
            }
        }
        Ok(())
    }

    /// Looks for rows that the statement's rows meet. Waits for those who have added some that are
    /// alike, and for those who are about to take away what was met.
    fn hold(&self, transaction: &mut Transaction, noted: &Noted) -> Result<(), EngineError> {
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
        self.keyed.scan(view, |batch, locators| {
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
    pub(super) fn hold_all(&self, shared: &Shared) -> Result<(), Error> {
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

    fn fields(&self) -> Refused {
        Refused {
            sqlstate: SqlState::new(b"23P01"),
            schema: Some(self.keyed.schema.clone()),
            table: Some(self.keyed.table.name.clone()),
            constraint: Some(self.name.clone()),
            ..Refused::default()
        }
    }

    // ------------------------------------------------------------------------------ ON CONFLICT

    /// Where a row of a view lies that each of some rows of the table meets.
    ///
    /// # Errors
    /// What the disk gives, and what an operator meets.
    pub(crate) fn find(
        &self,
        view: &TableView,
        rows: &RecordBatch,
    ) -> Result<Vec<Option<i128>>, EngineError> {
        let mut found = vec![None; rows.num_rows()];
        let columns = rows.project(&self.keyed.places).map_err(ChunkError::from)?;
        let lookup = Lookup::all(self.asked(&columns)?);
        if lookup.groups.is_empty() {
            return Ok(found);
        }
        let mut met: HashMap<u32, i128> = HashMap::new();
        self.keyed.scan(view, |batch, locators| {
            let others = self.asked(batch)?;
            let mut hits = Vec::new();
            self.pairs(
                &lookup,
                &others,
                |row| met.contains_key(&row),
                |row, other| {
                    hits.push((row, other));
                },
            )?;
            for (row, other) in hits {
                let place = others.values.row(other as usize);
                if let Some(locator) = locators.get(place) {
                    met.entry(row).or_insert(*locator);
                }
            }
            Ok(true)
        })?;
        for (row, locator) in met {
            if let Some(slot) = found.get_mut(lookup.asked.values.row(row as usize)) {
                *slot = Some(locator);
            }
        }
        Ok(found)
    }

    /// Pairs of rows of a table that meet, one of some rows and one of others.
    ///
    /// # Errors
    /// What an operator meets.
    pub(crate) fn meeting(
        &self,
        these: &RecordBatch,
        those: &RecordBatch,
    ) -> Result<Vec<(usize, usize)>, EngineError> {
        let asked = |rows: &RecordBatch| {
            let columns = rows.project(&self.keyed.places).map_err(ChunkError::from)?;
            self.asked(&columns)
        };
        let (lookup, others) = (Lookup::all(asked(these)?), asked(those)?);
        let mut pairs = Vec::new();
        self.pairs(
            &lookup,
            &others,
            |_| false,
            |row, other| {
                let row = lookup.asked.values.row(row as usize);
                pairs.push((row, others.values.row(other as usize)));
            },
        )?;
        Ok(pairs)
    }

    /// Keeps others from adding what rows that met none meet.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ when somebody has committed one, 55P03, 57014, 40P01.
    pub(crate) fn claim(
        &self,
        transaction: &mut Transaction,
        rows: &RecordBatch,
    ) -> Result<Claimed, EngineError> {
        let columns = rows.project(&self.keyed.places).map_err(ChunkError::from)?;
        let groups = self.asked(&columns)?.groups;
        let hashes: HashSet<u64> = groups.iter().map(|group| hash(group)).collect();
        let hashes = hashes.into_iter().collect();
        transaction.claim_computed(self.keyed.table.id, self.index, hashes, |view| {
            Ok(self.find(view, rows)?.iter().any(Option::is_some))
        })
    }
}

impl Lookup {
    fn all(asked: Asked) -> Self {
        let rows = (0_u32..).zip(&asked.keys).map(|(row, _)| row);
        let rows = rows.collect();
        Self::new(asked, rows)
    }

    fn new(asked: Asked, rows: Vec<u32>) -> Self {
        let mut groups: HashMap<Box<[u8]>, Group> = HashMap::new();
        for row in rows {
            if let Some(group) = asked.groups.get(row as usize) {
                groups.entry(group.clone()).or_default().rows.push(row);
            }
        }
        if let Some(ranges) = &asked.ranges {
            let range = |row: &u32| ranges.get(*row as usize).copied().flatten();
            for group in groups.values_mut() {
                group.rows.retain(|row| range(row).is_some());
                group
                    .rows
                    .sort_by_key(|row| range(row).map(|(from, _)| from));
                let mut end: Option<Bound> = None;
                for (_, to) in group.rows.iter().filter_map(range) {
                    end = end.max(Some(to));
                    group.ends.extend(end);
                }
            }
        }
        Self { asked, groups }
    }

    /// Calls `take` with the rows that another may meet, by what it is alike by and its range.
    fn candidates(&self, group: &[u8], range: Option<Range>, mut take: impl FnMut(u32)) {
        let Some(group) = self.groups.get(group) else {
            return;
        };
        let (Some(ranges), Some(range)) = (&self.asked.ranges, range) else {
            group.rows.iter().copied().for_each(take);
            return;
        };
        let Some((from, to)) = range else {
            return;
        };
        let own = |row: &u32| ranges.get(*row as usize).copied().flatten();
        let begins = |row: &u32| own(row).is_some_and(|(begin, _)| begin <= to);
        let first = group.rows.partition_point(begins);
        for (row, end) in group.rows.iter().zip(&group.ends).take(first).rev() {
            if *end < from {
                break;
            }
            if own(row).is_some_and(|(_, end)| end >= from) {
                take(*row);
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
