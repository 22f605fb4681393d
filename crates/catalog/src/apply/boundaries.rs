//! Chunks that become one, and one that becomes two. No row moves: parts go with their times.

use std::sync::Arc;

use chronolith_types::ChunkId;

use crate::error::CatalogError;
use crate::table::{Chunk, Part, Table};

impl Table {
    /// Joins chunks whose ranges follow upon each other; the first that is named stays.
    pub(super) fn merge_chunks(&mut self, chunks: &[ChunkId]) -> Result<(), CatalogError> {
        let mut merged: Vec<Arc<Chunk>> = Vec::with_capacity(chunks.len());
        for id in chunks {
            let missing = || CatalogError::NoChunk(id.to_string());
            merged.push(self.chunks.get(id).cloned().ok_or_else(missing)?);
        }
        merged.sort_by_key(|chunk| chunk.range.start);
        let follow = |pair: &[Arc<Chunk>]| match pair {
            [one, next] => one.range.end == next.range.start,
            _ => true,
        };
        let (Some(first), Some(last), Some(stays)) =
            (merged.first(), merged.last(), chunks.first())
        else {
            return Err(CatalogError::ChunksApart(self.name.clone()));
        };
        if merged.len() < 2 || !merged.windows(2).all(follow) {
            return Err(CatalogError::ChunksApart(self.name.clone()));
        }
        let range = first.range.start..last.range.end;
        let parts: Vec<Arc<Part>> = merged
            .iter()
            .flat_map(|chunk| chunk.parts.clone())
            .collect();
        let compressed = merged.iter().all(|chunk| chunk.compressed);
        self.chunks
            .retain(|id, _| id == stays || !chunks.contains(id));
        let chunk = self.chunk(*stays)?;
        chunk.range = range;
        chunk.parts = parts;
        chunk.compressed = compressed;
        Ok(())
    }

    /// Cuts a chunk in two: it keeps what lies before `at`, and `new` gets the rest.
    pub(super) fn split_chunk(
        &mut self,
        id: ChunkId,
        at: i64,
        new: Chunk,
    ) -> Result<(), CatalogError> {
        let overlap = || CatalogError::ChunkOverlap(self.name.clone());
        if self.chunks.contains_key(&new.id) {
            return Err(overlap());
        }
        let known = self.chunks.get(&id);
        let known = known.ok_or_else(|| CatalogError::NoChunk(id.to_string()))?;
        if at <= known.range.start || at >= known.range.end {
            return Err(overlap());
        }
        let (mut before, mut behind) = (Vec::new(), Vec::new());
        for part in &known.parts {
            match part.times {
                Some((first, last)) if first < at && last >= at => {
                    return Err(CatalogError::PartAcross(self.name.clone()));
                }
                Some((first, _)) if first >= at => behind.push(Arc::clone(part)),
                _ => before.push(Arc::clone(part)),
            }
        }
        let end = known.range.end;
        let new = Chunk {
            range: at..end,
            parts: behind,
            compressed: known.compressed,
            ..new
        };
        let chunk = self.chunk(id)?;
        chunk.range.end = at;
        chunk.parts = before;
        self.chunks.insert(new.id, Arc::new(new));
        Ok(())
    }
}
