//! `refresh_continuous_aggregate`: what is owed is written now, and nothing else.

use std::ops::Range;
use std::sync::Arc;

use chronolith_catalog::Change;
use chronolith_engine::Isolation;
use chronolith_types::datetime::US_PER_DAY;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;

use super::args::{Args, integer};
use crate::error::Error;
use crate::functions::literal_from_text;
use crate::outcome::Severity;
use crate::rollups::{Definition, continuous, fill};
use crate::session::{Shared, wait_for};

pub(crate) fn refresh(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let relation = TableId(args.need(args.oid(0), "continuous_aggregate")?);
    let home = shared.home()?;
    let view = home.views.get(&relation);
    let Some((view, store)) = view.and_then(|view| Some((view, continuous(view)?.table))) else {
        let table = home.tables.get(&relation).map(|table| table.name.clone());
        let name = view.map(|view| view.name.clone()).or(table);
        let name = name.unwrap_or_else(|| relation.to_string());
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("relation \"{name}\" is not a continuous aggregate"),
        ));
    };
    options(args)?;
    let definition = shared.instance.registry.definition(&home, relation)?;
    let window = window(shared, &definition, args)?;
    let database = shared.database;
    if args.bool(3) == Some(true) {
        let engine = &shared.instance.engine;
        let mut transaction = engine.begin(database, Isolation::ReadCommitted);
        transaction.change(Change::Invalidate {
            database,
            table: store,
            range: window.clone(),
        })?;
        transaction.commit()?;
    }
    let instance = Arc::clone(&shared.instance);
    let cancel = Arc::clone(&shared.cancel);
    let stop = move || cancel.asked();
    let any = wait_for(async move { fill(&instance, database, store, &window, &stop).await })?;
    if !any {
        shared.notice(
            Severity::Notice,
            Error::new(
                SqlState::SUCCESSFUL_COMPLETION,
                format!(
                    "continuous aggregate \"{}\" is already up-to-date",
                    view.name
                ),
            ),
        );
    }
    Ok(ScalarValue::Null)
}

/// Options say in what steps to refresh; each must be one that there is.
fn options(args: Args<'_>) -> Result<(), Error> {
    let Some(text) = args.text(4) else {
        return Ok(());
    };
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    let read: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| Error::new(SqlState::INVALID_TEXT_REPRESENTATION, error.to_string()))?;
    let Some(fields) = read.as_object() else {
        return Err(invalid("invalid refresh options: not an object".to_owned()));
    };
    for (name, value) in fields {
        let fits = match name.as_str() {
            "buckets_per_batch" | "max_batches_per_execution" => {
                value.as_i64().is_some_and(|number| number >= 0)
            }
            "refresh_newest_first" | "force" | "process_hypertable_invalidations" => {
                value.is_boolean()
            }
            _ => return Err(invalid(format!("invalid refresh option \"{name}\""))),
        };
        if !fits {
            return Err(invalid(format!("invalid value for \"{name}\"")));
        }
    }
    Ok(())
}

/// The window, shrunk to whole buckets.
fn window(shared: &Shared, definition: &Definition, args: Args<'_>) -> Result<Range<i64>, Error> {
    let bucket = definition.groups.get(definition.bucket);
    let ty = bucket.map_or(SqlType::Timestamptz(None), |group| group.ty.clone());
    let start = instant(shared, args.get(1), &ty)?.unwrap_or(i64::MIN);
    let end = instant(shared, args.get(2), &ty)?.unwrap_or(i64::MAX);
    let buckets = &definition.buckets;
    let from = match start {
        i64::MIN => start,
        at if buckets.start(at) == Some(at) => at,
        at => buckets.next(at).unwrap_or(i64::MAX),
    };
    let to = match end {
        i64::MAX => end,
        at => buckets.start(at).unwrap_or(i64::MIN),
    };
    if start >= end || from >= to {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "refresh window too small",
        )
        .detail("The refresh window must cover at least one bucket of data.")
        .hint("Align the refresh window with the bucket time zone or use at least two buckets."));
    }
    Ok(from..to)
}

/// A time in the unit of the bucket's column.
fn instant(
    shared: &Shared,
    value: Option<&ScalarValue>,
    ty: &SqlType,
) -> Result<Option<i64>, Error> {
    let Some(value) = value else {
        return Ok(None);
    };
    let whole = matches!(ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8);
    let invalid = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid time argument type \"{}\"", shown(value)),
        )
        .hint(format!("Try casting the argument to \"{ty}\"."))
    };
    match value {
        ScalarValue::TimestampMicrosecond(Some(us), _) if !whole => Ok(Some(*us)),
        ScalarValue::Date32(Some(days)) if !whole => {
            Ok(Some(i64::from(*days).saturating_mul(US_PER_DAY)))
        }
        ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => {
            let vars = crate::functions::SessionVars {
                time_zone: shared
                    .with(|state| state.settings.get("timezone").unwrap_or("UTC").to_owned()),
                ..Default::default()
            };
            let read = literal_from_text(text, ty, &vars).map_err(Error::from)?;
            instant(shared, Some(&read), ty)
        }
        other => match integer(other) {
            Some(number) if whole => Ok(Some(number)),
            _ => Err(invalid()),
        },
    }
}

/// The type of a moment, as messages name it.
pub(super) fn shown(value: &ScalarValue) -> &'static str {
    match value {
        ScalarValue::IntervalMonthDayNano(_) => "interval",
        ScalarValue::TimestampMicrosecond(_, Some(_)) => "timestamp with time zone",
        ScalarValue::TimestampMicrosecond(..) => "timestamp without time zone",
        ScalarValue::Date32(_) => "date",
        ScalarValue::Int64(_) => "bigint",
        ScalarValue::Int32(_) => "integer",
        ScalarValue::Int16(_) => "smallint",
        ScalarValue::Float64(_) => "double precision",
        ScalarValue::Float32(_) => "real",
        ScalarValue::Boolean(_) => "boolean",
        ScalarValue::Decimal128(..) | ScalarValue::Decimal256(..) => "numeric",
        _ => "text",
    }
}
