//! The rows that RETURNING gave so far: few in memory, many on disk.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::spill_file::SpillFile;
use datafusion::physical_plan::SpillManager;
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use futures::{StreamExt, TryStreamExt};

use super::rows::compact;
use crate::error::Error;
use crate::outcome::RowStream;
use crate::session::{Shared, blocking};

/// So many bytes wait in memory before they go to a file.
const GATHERED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Rows that draw on the memory of queries, and on disk when they are many.
pub(super) struct Returned {
    batches: Vec<RecordBatch>,
    /// What came before them, oldest first.
    files: Vec<Arc<dyn SpillFile>>,
    runtime: Arc<RuntimeEnv>,
    /// Makes the files, once there is one.
    spill: Option<SpillManager>,
    /// How many bytes gather; None where all are wanted in memory.
    bytes_max: Option<usize>,
    reservation: MemoryReservation,
}

impl std::fmt::Debug for Returned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Returned")
            .field("batches", &self.batches.len())
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl Returned {
    /// None yet. What the rest of the statement reads stays in memory, what is given to the client
    /// does not.
    pub(super) fn new(shared: &Shared, to_client: bool) -> Self {
        let runtime = Arc::clone(&shared.instance.runtime);
        let share = shared.instance.options.memory_bytes_max / 16;
        Self {
            batches: Vec::new(),
            files: Vec::new(),
            spill: None,
            bytes_max: to_client.then_some(share.min(GATHERED_BYTES_MAX)),
            reservation: MemoryConsumer::new("RETURNING").register(&runtime.memory_pool),
            runtime,
        }
    }

    /// # Errors
    /// 53200 where rows stay in memory; 53100 when the disk is full.
    pub(super) fn push(&mut self, batch: RecordBatch) -> Result<(), Error> {
        let batch = compact(batch)?;
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let bytes = batch.get_array_memory_size();
        let Some(bytes_max) = self.bytes_max else {
            self.reservation.try_grow(bytes)?;
            self.batches.push(batch);
            return Ok(());
        };
        // Others may have all the rest.
        let has_room = self.reservation.try_grow(bytes).is_ok();
        self.batches.push(batch);
        if !has_room || self.reservation.size() > bytes_max {
            blocking(|| self.write())?;
        }
        Ok(())
    }

    /// What gathered goes to a file.
    fn write(&mut self) -> Result<(), Error> {
        let Some(first) = self.batches.first() else {
            return Ok(());
        };
        let spill = self.spill.get_or_insert_with(|| {
            let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
            SpillManager::new(Arc::clone(&self.runtime), metrics, first.schema())
        });
        let file = spill.spill_record_batch_and_finish(&self.batches, "RETURNING")?;
        self.files.extend(file);
        self.batches.clear();
        self.reservation.free();
        Ok(())
    }

    /// All of them, where they stay in memory.
    pub(super) fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// All of them, read again as they are asked for.
    ///
    /// # Errors
    /// What the disk gives.
    pub(super) fn stream(self) -> Result<RowStream, Error> {
        let mut parts: Vec<RowStream> = Vec::with_capacity(self.files.len() + 1);
        for file in &self.files {
            if let Some(spill) = &self.spill {
                let rows = spill.read_spill_as_stream(Arc::clone(file), None)?;
                parts.push(Box::pin(rows.map_err(Error::from)));
            }
        }
        // What the rows in memory take is given back as they go.
        parts.push(Box::pin(futures::stream::iter(
            self.batches.into_iter().map(Ok),
        )));
        match parts.len() {
            1 => parts
                .pop()
                .ok_or_else(|| Error::internal("no rows to give")),
            _ => Ok(Box::pin(futures::stream::iter(parts).flatten())),
        }
    }
}
