//! What policies do when they run.

use std::sync::Arc;

use chronolith_catalog::Chunk;
use chronolith_types::{ChunkId, SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;

use super::config::{Config, Lag, missing};
use super::policy::refresh::{Window, options};
use super::target::Target;
use crate::effects::{Args, drop_chunks, point, refresh};
use crate::error::Error;
use crate::session::{Session, Shared, blocking};

/// The procedures of policies.
pub(crate) const POLICIES: &[&str] = &[
    "policy_compression",
    "policy_retention",
    "policy_reorder",
    "policy_refresh_continuous_aggregate",
];

/// Chunks that may still grow are not worth sorting.
const NEWEST_CHUNKS: usize = 3;

/// Does a policy's work: nothing of it is lost when it fails halfway.
///
/// # Errors
/// Those of what it does; 57014 when it was told to stop.
pub(crate) async fn act(
    session: &mut Session,
    proc: &str,
    config: Option<&str>,
) -> Result<(), Error> {
    let config = Config::read(config)?;
    match proc {
        "policy_retention" => retain(session, &config).await,
        "policy_compression" => compress(session, &config).await,
        "policy_refresh_continuous_aggregate" => renew(session, &config).await,
        "policy_reorder" => reorder(session, &config),
        other => Err(Error::unsupported(format!("policy {other}"))),
    }
}

fn target(session: &Session, config: &Config) -> Result<Target, Error> {
    Target::numbered(&session.shared, config.hypertable("hypertable_id")?)
}

/// Where a distance back from now ends, in the unit of the time column.
async fn bound(session: &mut Session, target: &Target, lag: Lag) -> Result<i64, Error> {
    match lag {
        Lag::Span(_) => point(&session.shared, &value_of(lag), &target.time),
        Lag::Number(number) => {
            let now = session.integer_now(target).await?;
            now.checked_sub(number).ok_or_else(|| {
                Error::new(
                    SqlState::DATETIME_FIELD_OVERFLOW,
                    "integer time out of range",
                )
            })
        }
    }
}

fn value_of(lag: Lag) -> ScalarValue {
    match lag {
        Lag::Number(number) => ScalarValue::Int64(Some(number)),
        Lag::Span(span) => {
            let ns = span.us.saturating_mul(1000);
            ScalarValue::IntervalMonthDayNano(Some(arrow::datatypes::IntervalMonthDayNano::new(
                span.months,
                span.days,
                ns,
            )))
        }
    }
}

async fn renew(session: &mut Session, config: &Config) -> Result<(), Error> {
    let target = Target::numbered(&session.shared, config.hypertable("mat_hypertable_id")?)?;
    let Some(view) = target.view.clone() else {
        return Err(missing("mat_hypertable_id"));
    };
    let window = Window::of(config)?;
    let mut ends = [ScalarValue::Null, ScalarValue::Null];
    for (end, lag) in ends.iter_mut().zip([window.start, window.end]) {
        if let Some(lag) = lag {
            let at = bound(session, &target, lag).await?;
            *end = instant(&target.time, at)?;
        }
    }
    let [start, end] = ends;
    let args = [
        ScalarValue::UInt32(Some(view.id.0)),
        start,
        end,
        ScalarValue::Null,
        ScalarValue::Utf8View(options(config)),
    ];
    refresh(&session.shared, Args(&args))?;
    Ok(())
}

const DAY_US: i64 = 86_400_000_000;

/// A time of a column of a type, in µs or whole numbers.
fn instant(ty: &SqlType, at: i64) -> Result<ScalarValue, Error> {
    Ok(match ty {
        SqlType::Timestamptz(_) => ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())),
        SqlType::Timestamp(_) => ScalarValue::TimestampMicrosecond(Some(at), None),
        SqlType::Date => {
            let days = at.div_euclid(DAY_US);
            ScalarValue::Date32(Some(i32::try_from(days).map_err(|_| {
                Error::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range")
            })?))
        }
        _ => ScalarValue::Int64(Some(at)),
    })
}

async fn retain(session: &mut Session, config: &Config) -> Result<(), Error> {
    let target = target(session, config)?;
    let older = match config.lag("drop_after")? {
        Some(lag @ Lag::Number(_)) => ScalarValue::Int64(Some(bound(session, &target, lag).await?)),
        Some(lag) => value_of(lag),
        None => ScalarValue::Null,
    };
    let created = config.lag("drop_created_before")?;
    if older.is_null() && created.is_none() {
        return Err(missing("drop_after"));
    }
    let created = created.map_or(ScalarValue::Null, value_of);
    let args = [
        ScalarValue::UInt32(Some(target.table.id.0)),
        older,
        ScalarValue::Null,
        ScalarValue::Null,
        created,
        ScalarValue::Null,
    ];
    drop_chunks(&session.shared, Args(&args))?;
    Ok(())
}

async fn compress(session: &mut Session, config: &Config) -> Result<(), Error> {
    let target = target(session, config)?;
    let old: Vec<Arc<Chunk>> = match (
        config.lag("compress_after")?,
        config.lag("compress_created_before")?,
    ) {
        (Some(lag), _) => {
            let end = bound(session, &target, lag).await?;
            let chunks = target.table.chunks.values();
            chunks
                .filter(|chunk| chunk.range.end <= end)
                .cloned()
                .collect()
        }
        (None, Some(lag)) => {
            let before = point(&session.shared, &value_of(lag), &SqlType::Timestamptz(None))?;
            let chunks = target.table.chunks.values();
            chunks
                .filter(|chunk| chunk.created_us < before)
                .cloned()
                .collect()
        }
        (None, None) => return Err(missing("compress_after")),
    };
    let most = config.number("maxchunks_to_compress").unwrap_or(0);
    let most = usize::try_from(most).ok().filter(|most| *most > 0);
    let (mut done, mut failed) = (0_usize, Vec::new());
    for chunk in old {
        session.shared.cancel.check()?;
        // Parts that nobody reads any more go now, and not with the last chunk.
        session.settle()?;
        if most.is_some_and(|most| done >= most) {
            break;
        }
        let engine = Arc::clone(&session.shared.instance.engine);
        let database = session.shared.database;
        let table = target.table.id;
        match blocking(|| engine.compress_chunk(database, table, chunk.id)) {
            Ok(true) => done += 1,
            Ok(false) => {}
            Err(error) => {
                let now = engine.catalog();
                let there = now.table(database, table);
                // One that was dropped meanwhile is nobody's failure, and no other chunk's fault.
                if there.is_some_and(|table| table.chunks.contains_key(&chunk.id)) {
                    failed.push((chunk.name(target.hypertable.id), Error::from(error)));
                }
            }
        }
    }
    let Some((name, first)) = failed.first() else {
        return Ok(());
    };
    Err(Error::new(
        first.code,
        format!(
            "columnstore policy failure: chunk {name}: {}",
            first.message
        ),
    )
    .detail(format!(
        "Failed to convert {} chunks to columnstore. Successfully converted {done} chunks.",
        failed.len(),
    )))
}

/// The oldest chunk that lies in pieces becomes one sorted piece.
fn reorder(session: &Session, config: &Config) -> Result<(), Error> {
    let target = target(session, config)?;
    let id = target.table.id;
    let Some(chunk) = untidy(&session.shared, id)? else {
        return Ok(());
    };
    let compressed = target
        .table
        .chunks
        .get(&chunk)
        .is_some_and(|chunk| chunk.compressed);
    let engine = Arc::clone(&session.shared.instance.engine);
    let database = session.shared.database;
    blocking(|| {
        engine.compress_chunk(database, id, chunk)?;
        if !compressed {
            engine.decompress_chunk(database, id, chunk)?;
        }
        Ok(())
    })
}

/// The first chunk that is not among the newest and has more than one part.
fn untidy(shared: &Shared, table: TableId) -> Result<Option<ChunkId>, Error> {
    let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(table)))?;
    let Some(view) = view else {
        return Ok(None);
    };
    let finished = view.chunks.len().saturating_sub(NEWEST_CHUNKS);
    let mut chunks = view.chunks.iter().take(finished);
    let found = chunks.find(|(_, chunk)| {
        let hot = chunk.hot.iter().any(|part| part.rows() > 0);
        chunk.cold.len() + usize::from(hot) > 1 || hot
    });
    Ok(found.map(|(id, _)| *id))
}
