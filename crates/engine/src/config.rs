//! How an engine is run.

use chronolith_wal::LogOptions;

/// Limits of an engine; all may change when it is reopened.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Bytes of hot rows and their keys past which a commit waits until some are flushed; at three
    /// quarters of it the largest chunks are flushed in the background. One GiB holds some ten
    /// million ticks, and a restart replays them in seconds.
    pub hot_bytes_max: usize,
    /// Bytes of log past which a commit takes a checkpoint, so that a restart replays no more.
    pub log_bytes_max: u64,
    /// Rows in memory of one chunk of a continuous aggregate's store past which they are flushed,
    /// which leaves one of each bucket and group: else who reads them merges ever more.
    pub partial_rows_max: usize,
    /// Whether a thread flushes and checkpoints; without it, commits do so themselves. Tests on a
    /// simulated disk do without, so that a seed tells all that happens.
    pub background: bool,
    /// The log's own.
    pub log: LogOptions,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            hot_bytes_max: 1 << 30,
            log_bytes_max: 512 << 20,
            partial_rows_max: 100_000,
            background: true,
            log: LogOptions::default(),
        }
    }
}
