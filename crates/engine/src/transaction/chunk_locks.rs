//! Chunks that a transaction has rows for, or locks rows of: whoever drops, splits or merges one waits
//! until it is done, and it waits for them.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::RowSet;
use chronolith_types::{ChunkId, TableId};

use super::{Isolation, Transaction};
use crate::error::EngineError;
use crate::layout::layout_for;
use crate::locks::{LockMode, LockTarget, RowMode, Wait};
use crate::record::TableKey;
use crate::route::{self, Routed};
use crate::state::State;
use crate::view::TableView;

impl Transaction {
    /// A table's new rows by the chunks that they go to, which stay as they are until the transaction
    /// ends. After a wait it goes on with what is there then.
    ///
    /// # Errors
    /// 40001 at REPEATABLE READ for a chunk that went meanwhile; 23502; 55P03, 57014, 40P01; 42P01.
    pub(super) fn route(
        &mut self,
        table: TableId,
        rows: &RecordBatch,
    ) -> Result<(Arc<Table>, Vec<Routed>), EngineError> {
        loop {
            let table = self.found(table)?;
            let layout = layout_for(&table);
            let batch = route::fitting(&table, &layout, rows)?;
            let routed = route::split(&table, &layout, &batch)?;
            let starts = routed.iter().map(|(range, _)| range.start);
            if self.keep_chunks(&table, starts)? {
                return Ok((table, routed));
            }
            self.go_on(&table)?;
        }
    }

    /// What it went by is not so any more: it goes on with what is.
    pub(super) fn go_on(&mut self, table: &Table) -> Result<(), EngineError> {
        match self.isolation == Isolation::RepeatableRead || !self.rewrites.is_empty() {
            true => Err(EngineError::Overtaken(table.name.clone())),
            false => self.begin_statement(),
        }
    }

    /// Locks the chunks of some times; whether they are what the transaction takes them for.
    pub(super) fn keep_chunks(
        &mut self,
        table: &Arc<Table>,
        starts: impl Iterator<Item = i64>,
    ) -> Result<bool, EngineError> {
        // What continuous aggregates have of rows goes and comes with them.
        if table.hypertable.is_none() || table.rollup.is_some() {
            return Ok(true);
        }
        let key = TableKey::new(self.database, table.id);
        let mut kept = true;
        for start in starts {
            let Some(chunk) = table.chunk_at(start) else {
                continue;
            };
            // Who has rows in it has locked it.
            let known = chunk.oid;
            if self.own.contains_key(&key.place(chunk.id)) {
                continue;
            }
            self.lock_chunk(TableId(chunk.oid), LockMode::RowExclusive)?;
            let latest = self.engine.state();
            let chunk_in = |state: &State| {
                let chunk = state.table(key)?.chunks.get(&chunk.id)?;
                (chunk.oid == known).then(|| chunk.range.clone())
            };
            // One of its own is nobody else's.
            let before = chunk_in(&self.snapshot);
            kept &= before.is_none() || chunk_in(&latest) == before;
        }
        Ok(kept)
    }

    /// Locks the chunks that rows are to be locked in.
    pub(super) fn keep_chunks_of(
        &mut self,
        view: &TableView,
        rows: &RowSet,
        mode: RowMode,
    ) -> Result<(), EngineError> {
        if view.table.hypertable.is_none() || mode == RowMode::Settled {
            return Ok(());
        }
        let mode = match mode {
            RowMode::Changed | RowMode::Gone => LockMode::RowExclusive,
            _ => LockMode::RowShare,
        };
        let mut last = None;
        for ((chunk, _), _) in rows.sources() {
            let id = ChunkId(i32::try_from(chunk).unwrap_or(i32::MAX));
            if last.replace(id) == Some(id) {
                continue;
            }
            if let Some(chunk) = view.table.chunks.get(&id) {
                self.lock_chunk(TableId(chunk.oid), mode)?;
            }
        }
        Ok(())
    }

    /// Who will not wait for rows waits for this all the same.
    fn lock_chunk(&mut self, chunk: TableId, mode: LockMode) -> Result<(), EngineError> {
        let target = LockTarget::Table {
            database: self.database,
            table: chunk,
        };
        self.locker().lock(target, mode, Wait::Block)?;
        Ok(())
    }
}
