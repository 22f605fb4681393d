//! Types as files have them.
//!
//! Types of time had no digits once. Those without are written as then, so that old files are read
//! and new ones are as before.

use std::fmt;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::sqltype::SqlType;

/// The types of time, without digits, by the names of their variants.
const PLAIN: [(&str, SqlType); 5] = [
    ("Time", SqlType::Time(None)),
    ("Timetz", SqlType::Timetz(None)),
    ("Timestamp", SqlType::Timestamp(None)),
    ("Timestamptz", SqlType::Timestamptz(None)),
    ("Interval", SqlType::Interval(None)),
];

impl Serialize for SqlType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match PLAIN.iter().find(|(_, plain)| plain == self) {
            Some((name, _)) => to.serialize_str(name),
            // The derived one, which the attribute `remote` makes a function of the type's own.
            None => Self::serialize(self, to),
        }
    }
}

impl<'de> Deserialize<'de> for SqlType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Stored)
    }
}

struct Stored;

impl<'de> Visitor<'de> for Stored {
    type Value = SqlType;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SQL type")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<SqlType, E> {
        if let Some((_, plain)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            return Ok(plain.clone());
        }
        let name: StrDeserializer<'_, E> = name.into_deserializer();
        SqlType::deserialize(name)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SqlType, A::Error> {
        SqlType::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn types_are_stored_as_before_and_read_back() {
        for (name, stored) in [
            ("timestamp without time zone", "\"Timestamp\""),
            ("timestamp(3) with time zone", "{\"Timestamptz\":3}"),
            ("interval", "\"Interval\""),
            (
                "interval second(2)",
                "{\"Interval\":{\"fields\":\"Second\",\"digits\":2}}",
            ),
            ("time(0) with time zone", "{\"Timetz\":0}"),
            ("numeric(20,8)", "{\"Numeric\":[20,8]}"),
            (
                "timestamp(3) without time zone[]",
                "{\"Array\":{\"Timestamp\":3}}",
            ),
            ("text[]", "{\"Array\":\"Text\"}"),
            ("character varying", "{\"Varchar\":null}"),
        ] {
            let ty = SqlType::parse_name(name).unwrap();
            assert_eq!(serde_json::to_string(&ty).unwrap(), stored, "{name}");
            assert_eq!(
                serde_json::from_str::<SqlType>(stored).unwrap(),
                ty,
                "{name}"
            );
            let value = serde_json::to_value(&ty).unwrap();
            assert_eq!(
                serde_json::from_value::<SqlType>(value).unwrap(),
                ty,
                "{name}"
            );
        }
        assert!(serde_json::from_str::<SqlType>("\"Nothing\"").is_err());
    }
}
