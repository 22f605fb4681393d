//! nextval and its kin. What they do is done at once, and no rollback takes it back.

use std::collections::VecDeque;
use std::sync::Arc;

use chronolith_catalog::{Rights, Securable, Sequence};
use chronolith_engine::Draw;
use chronolith_types::{SqlState, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, text};
use crate::catalogs::{describe, sequences};
use crate::ddl::not_a_sequence;
use crate::error::Error;
use crate::rights::denied;
use crate::session::{Shared, blocking};

/// The numbers that a session got last.
#[derive(Debug, Clone, Default)]
pub(crate) struct SessionSequences {
    values: std::collections::HashMap<TableId, i64>,
    last: Option<TableId>,
    /// Numbers that were taken ahead, and of which sequence as it was.
    ahead: std::collections::HashMap<TableId, (How, VecDeque<i64>)>,
    /// What was drawn since somebody began to watch.
    watched: Option<Vec<Draw>>,
}

/// What sequences had given before something was tried.
#[derive(Debug)]
pub(crate) struct Watched(SessionSequences);

impl Watched {
    /// Notes from now on what is drawn.
    pub(crate) fn begin(shared: &Shared) -> Self {
        shared.with(|state| {
            let before = state.sequences.clone();
            state.sequences.watched = Some(Vec::new());
            Self(before)
        })
    }

    /// Whether each sequence was drawn from once at most: then its numbers went to the rows in their
    /// order.
    pub(crate) fn drew_once(&self, shared: &Shared) -> bool {
        shared.with(|state| {
            let draws = state.sequences.watched.as_deref().unwrap_or_default();
            let mut seen = std::collections::HashSet::new();
            draws.iter().all(|draw| seen.insert(draw.sequence()))
        })
    }

    /// It is done, and keeps what it drew.
    pub(crate) fn keep(self, shared: &Shared) {
        shared.with(|state| state.sequences.watched = self.0.watched);
    }

    /// It came to nothing: numbers that nobody else was given later go back.
    pub(crate) fn undo(self, shared: &Shared) -> Result<(), Error> {
        let draws = shared.with(|state| {
            let draws = state.sequences.watched.take();
            state.sequences = self.0;
            draws
        });
        for draw in draws.unwrap_or_default().iter().rev() {
            shared.transact(|transaction| transaction.take_back(draw))?;
        }
        Ok(())
    }
}

/// How a sequence counts: numbers that were taken before it was altered are not given after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct How {
    count: u32,
    increment: i64,
    min: i64,
    max: i64,
}

impl How {
    fn of(sequence: &Sequence) -> Self {
        Self {
            count: sequence.count,
            increment: sequence.increment,
            min: sequence.min,
            max: sequence.max,
        }
    }
}

/// The answer of such a function; None for a function that is none of them.
pub(super) fn call(
    shared: &Arc<Shared>,
    name: &str,
    args: Args<'_>,
) -> Result<Option<ScalarValue>, Error> {
    let oid = || args.oid(0).unwrap_or(0);
    Ok(Some(match name {
        "nextval" => {
            let numbers = next(shared, oid(), 1)?;
            number(numbers.first().copied())
        }
        "currval" => current(shared, oid())?,
        "lastval" => last(shared)?,
        "setval" => {
            let called = args.bool(2).unwrap_or(true);
            set(shared, oid(), args.integer(1).unwrap_or(0), called)?
        }
        "pg_sequence_last_value" => {
            let sequence = sequence(shared, oid())?;
            let (last, called) =
                shared.transact(|transaction| transaction.sequence_value(sequence.id))?;
            number(called.then_some(last))
        }
        "pg_get_serial_sequence" => serial(shared, args)?,
        _ => return Ok(None),
    }))
}

/// nextval for many rows: those of one sequence are taken together.
pub(super) fn next_all(
    shared: &Arc<Shared>,
    rows: &[Vec<ScalarValue>],
) -> Result<Vec<ScalarValue>, Error> {
    let mut answers = Vec::with_capacity(rows.len());
    for run in rows.chunk_by(|one, other| one == other) {
        let oid = run.first().and_then(|args| Args(args).oid(0));
        let numbers = next(shared, oid.unwrap_or(0), run.len())?;
        answers.extend(numbers.into_iter().map(|value| number(Some(value))));
    }
    Ok(answers)
}

fn number(value: Option<i64>) -> ScalarValue {
    ScalarValue::Int64(value)
}

/// The sequence of an oid.
fn sequence(shared: &Arc<Shared>, oid: u32) -> Result<Arc<Sequence>, Error> {
    let home = shared.home()?;
    if let Some(found) = home.sequences.get(&TableId(oid)) {
        return Ok(Arc::clone(found));
    }
    let context = shared.catalog_context();
    let name = describe::regclass_out(&context, oid)?;
    Err(match name.parse::<u32>() {
        Ok(_) => Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("could not open relation with OID {oid}"),
        ),
        Err(_) => not_a_sequence(&name),
    })
}

/// 42501 unless the current role has one of some rights on a sequence.
fn check(shared: &Shared, sequence: &Sequence, rights: &[Rights]) -> Result<(), Error> {
    let catalog = shared.catalog();
    let role = shared.role(&catalog)?;
    let home = shared.home()?;
    let acl = home.acls.get(&sequence.id.0);
    let has = catalog.rights(role, Securable::Sequence, sequence.owner, acl);
    match rights.iter().any(|right| has.has(*right)) {
        true => Ok(()),
        false => Err(denied("sequence", &sequence.name)),
    }
}

fn refuse_read_only(shared: &Shared, name: &str) -> Result<(), Error> {
    let read_only = shared.with(|state| state.settings.on("transaction_read_only"));
    match read_only {
        true => Err(Error::new(
            SqlState::READ_ONLY_SQL_TRANSACTION,
            format!("cannot execute {name}() in a read-only transaction"),
        )),
        false => Ok(()),
    }
}

/// The next numbers of a sequence.
fn next(shared: &Arc<Shared>, oid: u32, many: usize) -> Result<Vec<i64>, Error> {
    let sequence = sequence(shared, oid)?;
    check(shared, &sequence, &[Rights::USAGE, Rights::UPDATE])?;
    refuse_read_only(shared, "nextval")?;
    let numbers = match sequence.cache {
        ..=1 => take(shared, &sequence, many)?,
        cache => cached(shared, &sequence, many, cache)?,
    };
    if let Some(value) = numbers.last() {
        shared.with(|state| {
            state.sequences.values.insert(sequence.id, *value);
            state.sequences.last = Some(sequence.id);
        });
    }
    Ok(numbers)
}

fn take(shared: &Arc<Shared>, sequence: &Sequence, many: usize) -> Result<Vec<i64>, Error> {
    let id = sequence.id;
    let (draw, numbers) =
        blocking(|| shared.transact(|transaction| Ok::<_, Error>(transaction.draw(id, many))))?;
    if let Some(draw) = draw {
        shared.with(|state| {
            if let Some(draws) = &mut state.sequences.watched {
                draws.push(draw);
            }
        });
    }
    Ok(numbers?)
}

/// How many numbers a sequence has to its end.
fn left(shared: &Arc<Shared>, sequence: &Sequence) -> Result<usize, Error> {
    let (last, called) = shared.transact(|transaction| transaction.sequence_value(sequence.id))?;
    let up = sequence.increment > 0;
    let end = i128::from(if up { sequence.max } else { sequence.min });
    let steps = (end - i128::from(last))
        / i128::from(
            sequence
                .increment
                .max(1)
                .max(sequence.increment.saturating_neg()),
        );
    let steps = if up { steps } else { -steps } + i128::from(!called);
    Ok(usize::try_from(steps.max(0)).unwrap_or(usize::MAX))
}

/// Numbers of a sequence of which a session takes several at once.
fn cached(
    shared: &Arc<Shared>,
    sequence: &Sequence,
    many: usize,
    cache: i64,
) -> Result<Vec<i64>, Error> {
    /// So many are taken at once at most.
    const AHEAD_MAX: usize = 1 << 16;
    let how = How::of(sequence);
    let mut ahead = shared
        .with(|state| state.sequences.ahead.remove(&sequence.id))
        .filter(|(known, _)| *known == how)
        .map_or_else(VecDeque::new, |(_, ahead)| ahead);
    while ahead.len() < many {
        let missing = many - ahead.len();
        let cache = usize::try_from(cache).unwrap_or(AHEAD_MAX).min(AHEAD_MAX);
        // Where fewer are left, those.
        let cache = cache.min(left(shared, sequence)?);
        ahead.extend(take(shared, sequence, missing.max(cache))?);
    }
    let numbers = ahead.drain(..many).collect();
    shared.with(|state| state.sequences.ahead.insert(sequence.id, (how, ahead)));
    Ok(numbers)
}

fn current(shared: &Arc<Shared>, oid: u32) -> Result<ScalarValue, Error> {
    let sequence = sequence(shared, oid)?;
    check(shared, &sequence, &[Rights::SELECT, Rights::USAGE])?;
    let value = shared.with(|state| state.sequences.values.get(&sequence.id).copied());
    let value = value.ok_or_else(|| {
        Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!(
                "currval of sequence \"{}\" is not yet defined in this session",
                sequence.name
            ),
        )
    })?;
    Ok(number(Some(value)))
}

fn last(shared: &Arc<Shared>) -> Result<ScalarValue, Error> {
    let undefined = || {
        Error::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "lastval is not yet defined in this session",
        )
    };
    let last = shared.with(|state| {
        let id = state.sequences.last?;
        Some((id, *state.sequences.values.get(&id)?))
    });
    let (id, value) = last.ok_or_else(undefined)?;
    let home = shared.home()?;
    let sequence = home.sequences.get(&id).ok_or_else(undefined)?;
    check(shared, sequence, &[Rights::SELECT, Rights::USAGE])?;
    Ok(number(Some(value)))
}

fn set(shared: &Arc<Shared>, oid: u32, value: i64, called: bool) -> Result<ScalarValue, Error> {
    let sequence = sequence(shared, oid)?;
    check(shared, &sequence, &[Rights::UPDATE])?;
    refuse_read_only(shared, "setval")?;
    blocking(|| shared.transact(|transaction| transaction.set_value(sequence.id, value, called)))?;
    shared.with(|state| {
        state.sequences.ahead.remove(&sequence.id);
        if called {
            state.sequences.values.insert(sequence.id, value);
        }
    });
    Ok(number(Some(value)))
}

/// `pg_get_serial_sequence(table, column)`.
fn serial(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let (Some(table), Some(column)) = (args.text(0), args.text(1)) else {
        return Ok(ScalarValue::Utf8View(None));
    };
    let context = shared.catalog_context();
    let id = TableId(describe::regclass_in(&context, table)?);
    let home = shared.home()?;
    let found = home.tables.get(&id).ok_or_else(|| not_a_table(table))?;
    let (_, found_column) = found
        .column_named(column)
        .ok_or_else(|| crate::insert::undefined_column(column, &found.name))?;
    let name = sequences::serial_of(&context, id, found_column.id)?;
    Ok(name.map_or(ScalarValue::Utf8View(None), text))
}

fn not_a_table(name: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not a table"),
    )
}
