//! A job's config: a JSON object.

use chronolith_types::text::{canonical_jsonb, write_jsonb};
use chronolith_types::{HypertableId, Interval, SqlState};
use serde_json::{Map, Value};

use crate::error::Error;

/// What a job is given.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Config(Map<String, Value>);

/// How far back, in the way of the time column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lag {
    /// Of times.
    Span(Interval),
    /// Of whole numbers.
    Number(i64),
}

impl Lag {
    /// How far, in µs or in whole numbers; a month counts as 30 days.
    pub(crate) fn length(self) -> i128 {
        match self {
            Self::Number(number) => i128::from(number),
            Self::Span(span) => span.span_us(),
        }
    }
}

impl Config {
    /// From the text of a jsonb.
    ///
    /// # Errors
    /// 22023 for what is no object.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Error> {
        match text.map(serde_json::from_str) {
            None => Ok(Self::default()),
            Some(Ok(Value::Object(fields))) => Ok(Self(fields)),
            Some(_) => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "job config must be a JSON object",
            )),
        }
    }

    /// As jsonb keeps it.
    pub(crate) fn text(&self) -> Result<String, Error> {
        let mut out = String::new();
        write_jsonb(&Value::Object(self.0.clone()), &mut out)?;
        // Its keys are in the order that jsonb gives them.
        Ok(canonical_jsonb(out.as_bytes())?)
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn with_lag(self, name: &str, lag: Option<Lag>) -> Self {
        match lag {
            None => self.with(name, Value::Null),
            Some(Lag::Number(number)) => self.with(name, number),
            Some(Lag::Span(span)) => self.with(name, span_text(span)),
        }
    }

    /// The hypertable that a policy looks after.
    ///
    /// # Errors
    /// XX000 when it names none.
    pub(crate) fn hypertable(&self, name: &str) -> Result<HypertableId, Error> {
        self.number(name)
            .and_then(|id| i32::try_from(id).ok())
            .map(HypertableId)
            .ok_or_else(|| missing(name))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.0.get(name)?.as_i64()
    }

    pub(crate) fn text_of(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.0.get(name)?.as_bool()
    }

    /// A distance; None when it is left out or null.
    ///
    /// # Errors
    /// 22007 for a text that is no interval.
    pub(crate) fn lag(&self, name: &str) -> Result<Option<Lag>, Error> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(Lag::Span(Interval::parse(text.as_bytes())?))),
            Some(Value::Number(number)) => number
                .as_i64()
                .map(|number| Some(Lag::Number(number)))
                .ok_or_else(|| missing(name)),
            Some(_) => Err(missing(name)),
        }
    }

    /// The fields of another, which go before those of this one.
    pub(crate) fn merged(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }
}

/// What a policy cannot go without.
pub(crate) fn missing(name: &str) -> Error {
    Error::internal(format!("could not find \"{name}\" in config for job"))
}

/// An interval as PostgreSQL writes it.
pub(crate) fn span_text(span: Interval) -> String {
    let mut out = Vec::new();
    span.write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_config_is_written_as_jsonb_writes_it() {
        let config = Config::default()
            .with("hypertable_id", 1)
            .with_lag(
                "drop_after",
                Some(Lag::Span(Interval::parse(b"10 years").unwrap())),
            )
            .with_lag("end_offset", None);
        assert_eq!(
            config.text().unwrap(),
            r#"{"drop_after": "10 years", "end_offset": null, "hypertable_id": 1}"#
        );
        assert_eq!(Config::read(Some(&config.text().unwrap())).unwrap(), config);
    }

    #[test]
    fn only_an_object_is_a_config() {
        let error = Config::read(Some("[1]")).unwrap_err();
        assert_eq!(error.code, SqlState::INVALID_PARAMETER_VALUE);
    }

    #[test]
    fn what_is_merged_in_goes_before() {
        let old = Config::read(Some(r#"{"a": 1, "b": 2}"#)).unwrap();
        let new = Config::read(Some(r#"{"b": "x"}"#)).unwrap();
        assert_eq!(old.merged(new).text().unwrap(), r#"{"a": 1, "b": "x"}"#);
    }
}
