//! The catalog as bytes: what a checkpoint file holds.
//!
//! Bytes: `docs/formats/manifest.md`.

use std::io::Read;

use chronolith_types::Lsn;

use crate::model::Catalog;

const MAGIC: &[u8; 8] = b"CHRONCAT";
/// The format this program writes; it reads this one and all before it.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
/// A checkpoint that claims to be longer once unpacked is not one of ours.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;
const ZSTD_LEVEL: i32 = 3;

/// A catalog and the record up to which it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Every record up to this one is in it.
    pub lsn: Lsn,
    /// What exists.
    pub catalog: Catalog,
}

/// Why bytes are no checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// They do not begin as one, or end too early.
    #[error("the checkpoint is cut short or not a checkpoint")]
    Short,
    /// A newer program wrote it.
    #[error("the checkpoint is of format {0}, which is newer than this program reads")]
    NewerFormat(u32),
    /// They are not what was written.
    #[error("the checkpoint's checksum does not match")]
    Checksum,
    /// They are what was written, but cannot be unpacked.
    #[error("the checkpoint cannot be unpacked")]
    Packing(#[source] std::io::Error),
    /// They are what was written, but no catalog.
    #[error("the checkpoint holds no catalog")]
    Content(#[source] serde_json::Error),
}

/// A catalog's bytes.
///
/// # Errors
/// When zstd or serde fail, which they have no reason to.
pub fn encode(catalog: &Catalog, lsn: Lsn) -> Result<Vec<u8>, CheckpointError> {
    let text = serde_json::to_vec(catalog).map_err(CheckpointError::Content)?;
    let packed = zstd::bulk::compress(&text, ZSTD_LEVEL).map_err(CheckpointError::Packing)?;
    let mut bytes = Vec::with_capacity(HEADER_BYTES + packed.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&lsn.0.to_le_bytes());
    bytes.extend_from_slice(&(packed.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&packed);
    let crc = crc32c::crc32c_append(
        crc32c::crc32c(bytes.get(..12).unwrap_or_default()),
        bytes.get(16..).unwrap_or_default(),
    );
    if let Some(place) = bytes.get_mut(12..16) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
    Ok(bytes)
}

/// The catalog of some bytes.
///
/// # Errors
/// For bytes that are not a checkpoint as it was written.
pub fn decode(bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let long = |at: usize| -> Option<u64> {
        Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
    };
    if bytes.get(..8) != Some(MAGIC) {
        return Err(CheckpointError::Short);
    }
    let (Some(version), Some(crc), Some(lsn), Some(length)) =
        (word(8), word(12), long(16), long(24))
    else {
        return Err(CheckpointError::Short);
    };
    let packed = bytes.get(HEADER_BYTES..).unwrap_or_default();
    if packed.len() as u64 != length {
        return Err(CheckpointError::Short);
    }
    let found = crc32c::crc32c_append(
        crc32c::crc32c(bytes.get(..12).unwrap_or_default()),
        bytes.get(16..).unwrap_or_default(),
    );
    if found != crc {
        return Err(CheckpointError::Checksum);
    }
    if version > VERSION {
        return Err(CheckpointError::NewerFormat(version));
    }
    let decoder = zstd::stream::Decoder::new(packed).map_err(CheckpointError::Packing)?;
    let mut text = Vec::new();
    decoder
        .take(UNPACKED_BYTES_MAX)
        .read_to_end(&mut text)
        .map_err(CheckpointError::Packing)?;
    let mut catalog: Catalog = serde_json::from_slice(&text).map_err(CheckpointError::Content)?;
    catalog.complete();
    Ok(Checkpoint {
        lsn: Lsn(lsn),
        catalog,
    })
}
