//! Chunks: shown, dropped, compressed.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::{Change, Chunk, Table};
use chronolith_engine::AuditKind;
use chronolith_engine::LockMode;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, integer, list, text};
use super::refresh::shown;
use crate::ddl::hypertable::hypertable_of;
use crate::error::Error;
use crate::functions::literal_from_text;
use crate::outcome::Severity;
use crate::rollups::fill_wholly;
use crate::session::{Shared, wait_for};

const DAY_US: i64 = 86_400_000_000;

pub(super) fn show(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let table = hypertable(shared, args)?;
    let bounds = Bounds::read(shared, &table, args, [1, 2, 3, 4])?;
    let chunks = bounds.choose(&table);
    let oids: Vec<ScalarValue> = chunks
        .iter()
        .map(|chunk| ScalarValue::UInt32(Some(chunk.oid)))
        .collect();
    Ok(list(&oids, &DataType::UInt32))
}

pub(crate) fn drop_chunks(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let table = hypertable(shared, args)?;
    let bounds = Bounds::read(shared, &table, args, [1, 2, 4, 5])?;
    if bounds == Bounds::default() {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid time range for dropping chunks",
        )
        .hint("At least one of older_than and newer_than must be provided."));
    }
    let id = table
        .hypertable
        .as_ref()
        .map(|hypertable| hypertable.id)
        .unwrap_or_default();
    let mut dropped = Vec::new();
    let mut table = table;
    let chunks = loop {
        let chunks = bounds.choose(&table);
        let all: Vec<&Arc<Chunk>> = chunks.iter().collect();
        if !lock(shared, &table, &all, LockMode::AccessExclusive)? {
            break chunks;
        }
        shared.transact(|transaction| transaction.begin_statement())?;
        table = hypertable(shared, args)?;
    };
    fill_what_freezes(shared, &table, &chunks)?;
    for chunk in chunks {
        let name = format!("_timescaledb_internal.{}", chunk.name(id));
        if args.bool(3) == Some(true) {
            shared.notice(
                Severity::Info,
                Error::new(
                    SqlState::SUCCESSFUL_COMPLETION,
                    format!("dropping chunk {name}"),
                ),
            );
        }
        shared.change(Change::DropChunk {
            database: shared.database,
            table: table.id,
            chunk: chunk.id,
        })?;
        dropped.push(text(name));
    }
    let told = format!("{}: {} chunks", table.name, dropped.len());
    shared.audit(AuditKind::Retention, "ok", "drop_chunks", &told)?;
    Ok(list(&dropped, &DataType::Utf8View))
}

/// Writes what is still owed of the buckets that rows of some chunks are in: once the rows are gone,
/// nobody can compute it.
fn fill_what_freezes(
    shared: &Arc<Shared>,
    table: &Table,
    chunks: &[Arc<Chunk>],
) -> Result<(), Error> {
    let home = shared.home()?;
    for store in home.stores_of(table.id) {
        let rollup = home
            .tables
            .get(store)
            .and_then(|store| store.rollup.as_ref());
        let Some(rollup) = rollup.filter(|rollup| rollup.source == table.id) else {
            continue;
        };
        let definition = shared.instance.registry.definition(&home, rollup.view)?;
        for chunk in chunks {
            let (instance, cancel) = (Arc::clone(&shared.instance), Arc::clone(&shared.cancel));
            let (database, store) = (shared.database, *store);
            let buckets = definition.buckets.cover(&chunk.range);
            wait_for(async move {
                fill_wholly(&instance, database, store, &buckets, &move || {
                    cancel.asked()
                })
                .await
            })?;
            // What was given up half-way is owed still, and the rows may not go.
            if shared.cancel.asked() {
                return Err(shared.cancel.error());
            }
        }
    }
    Ok(())
}

/// The hypertable that is named, or the one that a continuous aggregate has its rows in.
fn hypertable(shared: &Arc<Shared>, args: Args<'_>) -> Result<Arc<Table>, Error> {
    let id = args.oid(0).ok_or_else(|| {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "invalid hypertable or continuous aggregate",
        )
        .hint("Specify a hypertable or continuous aggregate.")
    })?;
    hypertable_of(shared, TableId(id)).map_err(|error| {
        let named = error.message.strip_prefix("table ");
        match named.and_then(|named| named.strip_suffix(" is not a hypertable")) {
            Some(name) => Error::new(
                error.code,
                format!("{name} is not a hypertable or a continuous aggregate"),
            )
            .hint("The operation is only possible on a hypertable or continuous aggregate."),
            None => error,
        }
    })
}

/// A chunk by its number as a relation, with its hypertable.
///
/// # Errors
/// TS501 where it is no chunk's.
pub(super) fn chunk_of(shared: &Arc<Shared>, oid: u32) -> Result<(Arc<Table>, Arc<Chunk>), Error> {
    let home = shared.home()?;
    for table in home.tables.values() {
        let found = table.chunks.values().find(|chunk| chunk.oid == oid);
        if let Some(chunk) = found.filter(|chunk| chunk.id != Table::PLAIN_CHUNK) {
            return Ok((Arc::clone(table), Arc::clone(chunk)));
        }
    }
    let mut error = Error::new(SqlState::new(b"TS501"), "chunk not found");
    if let Some(table) = home.tables.get(&TableId(oid)) {
        let schema = home.schemas.get(&table.schema);
        error = error.detail(format!(
            "schema_name: {}, table_name: {}",
            schema.map_or("", |schema| schema.name.as_str()),
            table.name
        ));
    }
    Err(error)
}

/// The same, locked until the transaction ends, once nobody else has it or its hypertable locked
/// against that.
///
/// # Errors
/// TS501; 55P03, 57014, 40P01.
pub(super) fn locked_chunk(
    shared: &Arc<Shared>,
    oid: u32,
    mode: LockMode,
) -> Result<(Arc<Table>, Arc<Chunk>), Error> {
    loop {
        let (table, chunk) = chunk_of(shared, oid)?;
        if !lock(shared, &table, &[&chunk], mode)? {
            return Ok((table, chunk));
        }
        // What was waited for may have changed it.
        shared.transact(|transaction| transaction.begin_statement())?;
    }
}

/// Locks chunks; whether it waited.
fn lock(
    shared: &Arc<Shared>,
    table: &Table,
    chunks: &[&Arc<Chunk>],
    mode: LockMode,
) -> Result<bool, Error> {
    let mut waited = shared.lock_waiting(table.id, LockMode::AccessShare)?;
    for chunk in chunks {
        waited |= shared.lock_waiting(TableId(chunk.oid), mode)?;
    }
    Ok(waited)
}

/// Which chunks are meant, in the time column's unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bounds {
    older: Option<i64>,
    newer: Option<i64>,
    created_before: Option<i64>,
    created_after: Option<i64>,
}

impl Bounds {
    /// From the arguments older_than, newer_than, created_before and created_after at some places.
    fn read(
        shared: &Arc<Shared>,
        table: &Table,
        args: Args<'_>,
        [older, newer, before, after]: [usize; 4],
    ) -> Result<Self, Error> {
        let time = table
            .hypertable
            .as_ref()
            .and_then(|hypertable| table.column(hypertable.time))
            .map_or(SqlType::Timestamptz(None), |column| column.ty.clone());
        let of_time = |place: usize| -> Result<Option<i64>, Error> {
            args.get(place)
                .map(|value| point(shared, value, &time))
                .transpose()
        };
        let of_creation = |place: usize| -> Result<Option<i64>, Error> {
            args.get(place)
                .map(|value| point(shared, value, &SqlType::Timestamptz(None)))
                .transpose()
        };
        let bounds = Self {
            older: of_time(older)?,
            newer: of_time(newer)?,
            created_before: of_creation(before)?,
            created_after: of_creation(after)?,
        };
        bounds.check()?;
        Ok(bounds)
    }

    /// Times and creation cannot both be meant, nor can an end before the start.
    fn check(&self) -> Result<(), Error> {
        let invalid = |message: &str| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
        let times = self.older.is_some() || self.newer.is_some();
        if times && (self.created_before.is_some() || self.created_after.is_some()) {
            return Err(invalid(
                "cannot specify \"older_than\" or \"newer_than\" together with \
                 \"created_before\" or \"created_after\"",
            ));
        }
        let backward = |end: Option<i64>, start: Option<i64>| match (end, start) {
            (Some(end), Some(start)) => end <= start,
            _ => false,
        };
        if backward(self.older, self.newer) || backward(self.created_before, self.created_after) {
            return Err(invalid("invalid time range")
                .hint("The start of the time range must be before the end."));
        }
        Ok(())
    }

    fn choose(&self, table: &Table) -> Vec<Arc<Chunk>> {
        let fits = |chunk: &&Arc<Chunk>| {
            self.older.is_none_or(|older| chunk.range.end <= older)
                && self.newer.is_none_or(|newer| chunk.range.start >= newer)
                && self.created_before.is_none_or(|us| chunk.created_us < us)
                && self.created_after.is_none_or(|us| chunk.created_us >= us)
        };
        table.chunks.values().filter(fits).cloned().collect()
    }
}

/// A moment in the unit of a time column, µs or whole numbers; an interval counts back from now.
pub(crate) fn point(
    shared: &Arc<Shared>,
    value: &ScalarValue,
    time: &SqlType,
) -> Result<i64, Error> {
    let whole = matches!(time, SqlType::Int2 | SqlType::Int4 | SqlType::Int8);
    if let (Some(number), true) = (integer(value), whole) {
        return Ok(number);
    }
    // A literal that nobody typed.
    if let (ScalarValue::Utf8View(Some(words)), true) = (value, whole)
        && let Ok(number) = words.trim().parse()
    {
        return Ok(number);
    }
    let zone = shared.time_zone();
    // A moment with a zone and one without meet at the session's wall clock.
    let aware = |us: i64| match time {
        SqlType::Timestamptz(_) => us,
        _ => zone.local(us),
    };
    let naive = |us: i64| match time {
        SqlType::Timestamptz(_) => zone.instant(us),
        _ => us,
    };
    let wrong = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid time argument type \"{}\"", shown(value)),
        )
        .hint(format!("Try casting the argument to \"{time}\"."))
    };
    if whole {
        return Err(wrong());
    }
    match value {
        ScalarValue::TimestampMicrosecond(Some(us), Some(_)) => Ok(aware(*us)),
        ScalarValue::TimestampMicrosecond(Some(us), None) => Ok(naive(*us)),
        ScalarValue::Date32(Some(days)) => Ok(naive(i64::from(*days) * DAY_US)),
        ScalarValue::IntervalMonthDayNano(Some(span)) => {
            let now = shared.with(|state| state.transaction_us);
            let back = chronolith_types::Interval {
                months: span.months,
                days: span.days,
                us: span.nanoseconds / 1000,
            };
            Ok(aware(before(now, back, &zone)))
        }
        ScalarValue::Utf8View(Some(words)) | ScalarValue::Utf8(Some(words)) => {
            let vars = shared.vars();
            let read = literal_from_text(words, time, &vars)
                .or_else(|_| literal_from_text(words, &SqlType::Interval(None), &vars))?;
            point(shared, &read, time)
        }
        _ => Err(wrong()),
    }
}

/// A moment less an interval, by the calendar of a zone.
fn before(us: i64, span: chronolith_types::Interval, zone: &chronolith_types::TimeZone) -> i64 {
    use chronolith_types::datetime::{civil_from_days, days_from_civil, days_in_month};
    let local = zone.local(us);
    let (days, of_day) = (local.div_euclid(DAY_US), local.rem_euclid(DAY_US));
    let (year, month, day) = civil_from_days(days);
    let months = year * 12 + i64::from(month) - 1 - i64::from(span.months);
    let (year, month) = (
        months.div_euclid(12),
        u32::try_from(months.rem_euclid(12)).unwrap_or(0) + 1,
    );
    let day = day.min(days_in_month(year, month));
    let days = days_from_civil(year, month, day) - i64::from(span.days);
    zone.instant(days * DAY_US + of_day) - span.us
}
