//! How an engine is run.

use chronolith_wal::LogOptions;

/// Limits of an engine; all may change when it is reopened.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Bytes of hot rows past which a commit flushes the largest chunks. One GiB holds some ten
    /// million ticks, and a restart replays them in seconds.
    pub hot_bytes_max: usize,
    /// Bytes of log past which a commit takes a checkpoint, so that a restart replays no more.
    pub log_bytes_max: u64,
    /// The log's own.
    pub log: LogOptions,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            hot_bytes_max: 1 << 30,
            log_bytes_max: 512 << 20,
            log: LogOptions::default(),
        }
    }
}
