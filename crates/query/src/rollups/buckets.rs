//! The buckets of a continuous aggregate.

use std::ops::Range;

use chronolith_rollup::bucket::{BucketOptions, Bucketer};
use chronolith_types::datetime::{US_PER_DAY, write_date, write_timestamp, write_timestamptz};
use chronolith_types::{Interval, SqlState, SqlType, TimeZone};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::ScalarFunction;

use crate::error::Error;
use crate::functions::{arg_types, bucket_zone};

/// What times fall into: whole numbers, or µs since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Buckets {
    bucketer: Bucketer,
    width: Width,
    /// Buckets of the same width on clocks that are never changed.
    local: Bucketer,
    zone: Option<TimeZone>,
    /// Whether they count from where they do by themselves.
    plain: bool,
    zoned: bool,
}

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    /// Months, and time besides.
    Time(Interval),
    Integer(i64),
}

impl Width {
    /// About how long a bucket is, in the unit of its times.
    pub(crate) fn length(self) -> i64 {
        match self {
            Self::Time(span) => (i64::from(span.months) * 30 + i64::from(span.days))
                .saturating_mul(US_PER_DAY)
                .saturating_add(span.us),
            Self::Integer(width) => width,
        }
    }
}

impl Buckets {
    /// Of a call of `time_bucket` with constants; the time is its second argument.
    ///
    /// # Errors
    /// `0A000` when width, origin, offset or zone are no constants, and what `time_bucket` says of
    /// their values.
    pub(crate) fn of(call: &ScalarFunction) -> Result<Self, Error> {
        let constant = |arg: &Expr| match arg {
            Expr::Literal(value, _) => Ok(value.clone()),
            _ => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "only immutable expressions allowed in time bucket function",
            )
            .hint("Use an immutable expression as first argument to the time bucket function.")),
        };
        let [width, _, rest @ ..] = call.args.as_slice() else {
            return Err(Error::internal("time_bucket has two arguments"));
        };
        let mut options = BucketOptions::default();
        let mut integer_offset = 0;
        for arg in rest {
            match constant(arg)? {
                value if value.is_null() => {}
                ScalarValue::Utf8View(Some(name)) | ScalarValue::Utf8(Some(name)) => {
                    options.zone = Some(bucket_zone(&name).map_err(Error::from)?);
                }
                ScalarValue::IntervalMonthDayNano(Some(span)) => {
                    options.offset = Some(interval(span));
                }
                ScalarValue::TimestampMicrosecond(Some(origin), _) => {
                    options.origin = Some(origin);
                }
                ScalarValue::Date32(Some(days)) => {
                    options.origin = Some(i64::from(days).saturating_mul(US_PER_DAY));
                }
                value => integer_offset = integer(&value).unwrap_or(0),
            }
        }
        Ok(match constant(width)? {
            ScalarValue::IntervalMonthDayNano(Some(span)) => Self {
                bucketer: Bucketer::new(interval(span), options).map_err(Error::from)?,
                local: Bucketer::new(
                    interval(span),
                    BucketOptions {
                        zone: None,
                        ..options
                    },
                )
                .map_err(Error::from)?,
                zone: options.zone,
                plain: options.origin.is_none() && options.offset.is_none(),
                width: Width::Time(interval(span)),
                zoned: options.zone.is_some()
                    || options.offset.is_some_and(|offset| offset.months != 0),
            },
            value => {
                let width = integer(&value)
                    .ok_or_else(|| Error::unsupported("a time bucket of no width"))?;
                Self {
                    bucketer: Bucketer::integers(width, integer_offset).map_err(Error::from)?,
                    local: Bucketer::integers(width, integer_offset).map_err(Error::from)?,
                    zone: None,
                    plain: integer_offset == 0,
                    width: Width::Integer(width),
                    zoned: false,
                }
            }
        })
    }

    pub(crate) fn width(&self) -> Width {
        self.width
    }

    /// Whose clocks they go by, if not UTC's.
    pub(super) fn zone(&self) -> Option<TimeZone> {
        self.zone
    }

    /// Whether they have neither an origin nor an offset of their own.
    pub(super) fn plain(&self) -> bool {
        self.plain
    }

    /// Whether clocks or months decide where they begin, so that a time may lie before its bucket.
    pub(super) fn zoned(&self) -> bool {
        self.zoned
    }

    /// Whether each day's bucket begins with a day.
    pub(super) fn begin_with_days(&self) -> bool {
        let length = self.width.length().max(1);
        let whole = match self.width {
            Width::Time(span) if span.months != 0 => true,
            _ => length % US_PER_DAY == 0 || US_PER_DAY % length == 0,
        };
        whole && self.start(0).is_some_and(|at| at % US_PER_DAY == 0)
    }

    /// The start of the bucket of what clocks show, by the same clocks.
    pub(super) fn local_start(&self, at: i64) -> Option<i64> {
        self.local.bucket(at).ok()
    }

    /// The start of the bucket of a time.
    pub(crate) fn start(&self, at: i64) -> Option<i64> {
        self.bucketer.bucket(at).ok()
    }

    /// The start of the next bucket.
    pub(crate) fn next(&self, at: i64) -> Option<i64> {
        self.bucketer.next(at).ok()
    }

    /// The starts of all buckets that times of a range may fall in, as a range of whole buckets.
    pub(crate) fn cover(&self, times: &Range<i64>) -> Range<i64> {
        let slack = if self.zoned { US_PER_DAY } else { 0 };
        let start = match times.start {
            i64::MIN => i64::MIN,
            at => self.start(at.saturating_sub(slack)).unwrap_or(i64::MIN),
        };
        let end = match times.end {
            i64::MAX => i64::MAX,
            at => {
                let last = at.saturating_sub(1).saturating_add(slack);
                self.next(last).unwrap_or(i64::MAX)
            }
        };
        start..end
    }

    /// The times that may fall into a range of whole buckets; with whether others may, too.
    pub(crate) fn times(&self, buckets: &Range<i64>) -> (Range<i64>, bool) {
        if !self.zoned {
            return (buckets.clone(), false);
        }
        let widen = |at: i64, by: i64| match at {
            i64::MIN | i64::MAX => at,
            at => at.saturating_add(by),
        };
        // A bucket that begins in an hour that clocks show twice begins at its second showing.
        (
            widen(buckets.start, -US_PER_DAY)..widen(buckets.end, US_PER_DAY),
            true,
        )
    }
}

/// A call of `time_bucket`, as the catalogs show it.
#[derive(Debug, Clone)]
pub(crate) struct BucketCall {
    /// The function with the types of its arguments.
    pub(crate) function: String,
    pub(crate) width: String,
    pub(crate) origin: Option<String>,
    pub(crate) offset: Option<String>,
    pub(crate) zone: Option<String>,
    /// Whether all buckets are of one length.
    pub(crate) fixed: bool,
}

impl BucketCall {
    /// The call that an expression is.
    pub(super) fn of(expr: &Expr) -> Option<Self> {
        let Expr::ScalarFunction(call) = expr else {
            return None;
        };
        let mut types = arg_types(&call.func)?.to_vec();
        if types.get(2) == Some(&SqlType::Text) {
            // Its last two may be left out.
            types.truncate(3);
            types.extend([SqlType::Timestamptz(None), SqlType::Interval(None)]);
        }
        let types: Vec<String> = types.iter().map(ToString::to_string).collect();
        let mut made = Self {
            function: format!("{}({})", call.func.name(), types.join(",")),
            width: String::new(),
            origin: None,
            offset: None,
            zone: None,
            fixed: true,
        };
        for (place, arg) in call.args.iter().enumerate() {
            let Expr::Literal(value, _) = arg else {
                continue;
            };
            let Some(text) = shown(value) else {
                continue;
            };
            match (place, value) {
                (0, ScalarValue::IntervalMonthDayNano(Some(span))) => {
                    made.fixed &= span.months == 0;
                    made.width = text;
                }
                (0, _) => made.width = text,
                (_, ScalarValue::Utf8View(_) | ScalarValue::Utf8(_)) => {
                    made.fixed = false;
                    made.zone = Some(text);
                }
                (_, ScalarValue::TimestampMicrosecond(..) | ScalarValue::Date32(_)) => {
                    made.origin = Some(text);
                }
                _ => made.offset = Some(text),
            }
        }
        Some(made)
    }
}

/// A constant as text; None for NULL.
fn shown(value: &ScalarValue) -> Option<String> {
    let mut text = Vec::new();
    match value {
        ScalarValue::IntervalMonthDayNano(Some(span)) => interval(*span).write(&mut text),
        ScalarValue::TimestampMicrosecond(Some(at), Some(_)) => {
            write_timestamptz(*at, &TimeZone::Utc, &mut text);
        }
        ScalarValue::TimestampMicrosecond(Some(at), None) => write_timestamp(*at, &mut text),
        ScalarValue::Date32(Some(day)) => write_date(*day, &mut text),
        ScalarValue::Utf8View(Some(name)) | ScalarValue::Utf8(Some(name)) => {
            return Some(name.clone());
        }
        other => return integer(other).map(|number| number.to_string()),
    }
    String::from_utf8(text).ok()
}

fn interval(span: arrow::datatypes::IntervalMonthDayNano) -> Interval {
    Interval {
        months: span.months,
        days: span.days,
        us: span.nanoseconds / 1000,
    }
}

fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(value) => *value,
        ScalarValue::Int32(value) => value.map(i64::from),
        ScalarValue::Int16(value) => value.map(i64::from),
        _ => None,
    }
}
