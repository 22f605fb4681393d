//! Rows of a part or of a chunk's memory, by their places.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use roaring::RoaringBitmap;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Places of rows; copies share them. Serialised as a roaring bitmap (its portable format) in
/// base64.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RowBits(pub Arc<RoaringBitmap>);

impl Eq for RowBits {}

impl RowBits {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }
}

impl From<RoaringBitmap> for RowBits {
    fn from(rows: RoaringBitmap) -> Self {
        Self(Arc::new(rows))
    }
}

impl Serialize for RowBits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(self.0.serialized_size());
        let written = self.0.serialize_into(&mut bytes);
        written.map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }
}

/// Earlier releases wrote an empty list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl<'de> Deserialize<'de> for RowBits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match Written::deserialize(deserializer)? {
            Written::Text(text) => BASE64_STANDARD.decode(text).map_err(D::Error::custom)?,
            Written::Bytes(bytes) => bytes,
        };
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let rows = RoaringBitmap::deserialize_from(bytes.as_slice());
        Ok(rows.map_err(D::Error::custom)?.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn rows_come_back_and_an_empty_list_is_no_rows() {
        let rows: RowBits = (0..70_000).step_by(3).collect::<RoaringBitmap>().into();
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(serde_json::from_str::<RowBits>(&text).unwrap(), rows);
        assert!(serde_json::from_str::<RowBits>("[]").unwrap().is_empty());
        assert!(serde_json::from_str::<RowBits>("\"AAAA\"").is_err());
    }
}
