//! What a transaction asks of sequences. Numbers are given at once, and stay given.

use std::sync::Arc;

use chronolith_catalog::{CatalogError, Change, Sequence};
use chronolith_types::TableId;

use super::Transaction;
use crate::error::EngineError;
use crate::sequences::Draw;

impl Transaction {
    /// The next numbers of a sequence, in their order.
    ///
    /// # Errors
    /// 42P01 for a sequence that is not there, 2200H past its end.
    pub fn next_values(&mut self, id: TableId, many: usize) -> Result<Vec<i64>, EngineError> {
        self.draw(id, many).1
    }

    /// The same, with what takes them back; none where nothing was drawn.
    ///
    /// # Errors
    /// As [`Self::next_values`].
    pub fn draw(
        &mut self,
        id: TableId,
        many: usize,
    ) -> (Option<Draw>, Result<Vec<i64>, EngineError>) {
        let sequence = match self.sequence(id) {
            Ok(sequence) => sequence,
            Err(error) => return (None, Err(error)),
        };
        let logged = self.is_committed(&sequence);
        let (draw, numbers) = self
            .engine
            .next_of_sequence(self.database, &sequence, many, logged);
        (Some(draw), numbers)
    }

    /// Takes numbers back that nobody was told of; false where others have drawn since.
    ///
    /// # Errors
    /// 42P01 for a sequence that is not there.
    pub fn take_back(&mut self, draw: &Draw) -> Result<bool, EngineError> {
        let sequence = self.sequence(draw.sequence)?;
        Ok(self.engine.take_back(&sequence, draw))
    }

    /// Makes a number the last one of a sequence, given already (`called`) or the next to be given.
    ///
    /// # Errors
    /// 42P01 for a sequence that is not there, 22003 for a number out of its bounds.
    pub fn set_value(&mut self, id: TableId, value: i64, called: bool) -> Result<(), EngineError> {
        let sequence = self.sequence(id)?;
        if !(sequence.min..=sequence.max).contains(&value) {
            return Err(EngineError::SequenceBounds {
                sequence: sequence.name.clone(),
                value,
                min: sequence.min,
                max: sequence.max,
            });
        }
        let logged = self.is_committed(&sequence);
        self.engine
            .set_sequence(self.database, &sequence, (value, called), logged)
    }

    /// Where a sequence is: its last number, and whether it was given.
    ///
    /// # Errors
    /// 42P01 for a sequence that is not there.
    pub fn sequence_value(&self, id: TableId) -> Result<(i64, bool), EngineError> {
        let sequence = self.sequence(id)?;
        match self.engine.sequences.known(sequence.count) {
            Some(count) => Ok(count.lock().now()),
            None => Ok((sequence.last, sequence.called)),
        }
    }

    fn sequence(&self, id: TableId) -> Result<Arc<Sequence>, EngineError> {
        let database = self.state.catalog.databases.get(&self.database);
        let sequence = database.and_then(|database| database.sequences.get(&id));
        let missing = || CatalogError::NoRelation(id.to_string()).into();
        sequence.cloned().ok_or_else(missing)
    }

    /// Whether others see its count too; of one that the transaction made or restarted, nobody does.
    fn is_committed(&self, sequence: &Sequence) -> bool {
        let catalog = self.engine.catalog();
        let database = catalog.databases.get(&self.database);
        let known = database.and_then(|database| database.sequences.get(&sequence.id));
        known.is_some_and(|known| known.count == sequence.count)
    }

    /// The commit says where counts are that it is the first to tell of.
    pub(super) fn tell_sequences(&mut self) {
        let mut told = Vec::new();
        for change in &self.changes {
            let (Change::CreateSequence { sequence, .. } | Change::ChangeSequence { sequence, .. }) =
                change
            else {
                continue;
            };
            if self.is_committed(sequence) {
                continue;
            }
            if let Some(count) = self.engine.sequences.known(sequence.count) {
                told.push(count.lock().told(sequence.count));
            }
        }
        self.changes.append(&mut told);
    }
}
