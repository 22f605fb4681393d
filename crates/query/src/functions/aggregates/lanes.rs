//! States as columns: one aggregate's states of all groups in vectors, and the three ways in which
//! DataFusion asks for them: by group, alone, and over a sliding frame.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::NullBuffer;
use arrow::compute::concat;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use super::super::error::FunctionError;

/// The states of one aggregate, one per group.
pub(super) trait Lanes: Debug + Send + Sync {
    /// Makes room for groups up to `groups`, new ones empty.
    fn grow(&mut self, groups: usize);

    /// Takes rows in: `groups[row]` is the group of a row, `keep` the rows that count.
    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        keep: Option<&BooleanArray>,
    ) -> Result<(), FunctionError>;

    /// Takes states in, one a row.
    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<(), FunctionError>;

    /// Whether [`Lanes::retract`] undoes [`Lanes::update`] exactly.
    fn invertible(&self) -> bool {
        false
    }

    /// Takes rows of group 0 out again.
    fn retract(&mut self, _values: &[ArrayRef]) -> Result<(), FunctionError> {
        Err(FunctionError::internal("this aggregate is not invertible"))
    }

    /// The states of the first `count` groups.
    fn states(&self, count: usize) -> Result<Vec<ArrayRef>, FunctionError>;

    /// The answers of the first `count` groups.
    fn answers(&self, count: usize) -> Result<ArrayRef, FunctionError>;

    /// Drops the first `count` groups; those that follow move down.
    fn forget(&mut self, count: usize);

    /// Memory held.
    fn bytes(&self) -> usize;
}

/// Calls `take` with each row that is neither null nor left out, and its group.
#[inline]
pub(super) fn each<E>(
    groups: &[usize],
    nulls: Option<&NullBuffer>,
    keep: Option<&BooleanArray>,
    mut take: impl FnMut(usize, usize) -> Result<(), E>,
) -> Result<(), E> {
    let kept = keep.map(|keep| {
        let values = keep.values().clone();
        NullBuffer::new(match keep.nulls() {
            Some(valid) => &values & valid.inner(),
            None => values,
        })
    });
    match NullBuffer::union(nulls.filter(|nulls| nulls.null_count() > 0), kept.as_ref()) {
        None => {
            for (row, group) in groups.iter().enumerate() {
                take(row, *group)?;
            }
        }
        Some(valid) => {
            for row in valid.valid_indices() {
                if let Some(group) = groups.get(row) {
                    take(row, *group)?;
                }
            }
        }
    }
    Ok(())
}

/// The column of an argument or a state.
pub(super) fn column(values: &[ArrayRef], index: usize) -> Result<&ArrayRef, FunctionError> {
    values
        .get(index)
        .ok_or_else(|| FunctionError::internal("an aggregate has too few columns"))
}

/// Makes empty lanes of one aggregate.
pub(super) type Make = Arc<dyn Fn() -> Box<dyn Lanes> + Send + Sync>;

/// Lanes as DataFusion groups with them.
pub(super) struct Grouped {
    make: Make,
    lanes: Box<dyn Lanes>,
    groups: usize,
}

impl Grouped {
    pub(super) fn new(make: Make) -> Self {
        Self {
            lanes: make(),
            make,
            groups: 0,
        }
    }

    fn grow(&mut self, groups: usize) {
        if groups > self.groups {
            self.lanes.grow(groups);
            self.groups = groups;
        }
    }

    fn count(&self, emit: EmitTo) -> usize {
        match emit {
            EmitTo::All => self.groups,
            EmitTo::First(count) => count.min(self.groups),
        }
    }

    fn forget(&mut self, count: usize) {
        if count == self.groups {
            self.lanes = (self.make)();
        } else {
            self.lanes.forget(count);
        }
        self.groups -= count;
    }
}

impl GroupsAccumulator for Grouped {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> DfResult<()> {
        self.grow(total_num_groups);
        Ok(self.lanes.update(values, group_indices, opt_filter)?)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> DfResult<()> {
        self.grow(total_num_groups);
        Ok(self.lanes.merge(values, group_indices)?)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        let count = self.count(emit_to);
        let answers = self.lanes.answers(count)?;
        self.forget(count);
        Ok(answers)
    }

    fn state(&mut self, emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let count = self.count(emit_to);
        let states = self.lanes.states(count)?;
        self.forget(count);
        Ok(states)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |column| column.len());
        let mut lanes = (self.make)();
        lanes.grow(rows);
        let groups: Vec<usize> = (0..rows).collect();
        lanes.update(values, &groups, opt_filter)?;
        Ok(lanes.states(rows)?)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.lanes.bytes()
    }
}

/// Lanes of one group.
#[derive(Debug)]
pub(super) struct Single {
    lanes: Box<dyn Lanes>,
    /// As many zeros as the longest batch has rows.
    zeros: Vec<usize>,
}

impl Single {
    pub(super) fn new(mut lanes: Box<dyn Lanes>) -> Self {
        lanes.grow(1);
        Self {
            lanes,
            zeros: Vec::new(),
        }
    }

    fn zeros(&mut self, rows: usize) {
        if self.zeros.len() < rows {
            self.zeros.resize(rows, 0);
        }
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let rows = values.first().map_or(0, |column| column.len());
        self.zeros(rows);
        let groups = self.zeros.get(..rows).unwrap_or_default();
        Ok(self.lanes.update(values, groups, None)?)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let rows = states.first().map_or(0, |column| column.len());
        self.zeros(rows);
        let groups = self.zeros.get(..rows).unwrap_or_default();
        Ok(self.lanes.merge(states, groups)?)
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        ScalarValue::try_from_array(&self.lanes.answers(1)?, 0)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        self.lanes
            .states(1)?
            .iter()
            .map(|state| ScalarValue::try_from_array(state, 0))
            .collect()
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        Ok(self.lanes.retract(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.lanes.invertible()
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.lanes.bytes() + self.zeros.capacity() * size_of::<usize>()
    }
}

/// Makes an accumulator that has seen nothing.
pub(super) type Fresh = Box<dyn Fn() -> Box<dyn Accumulator> + Send + Sync>;

/// A frame whose rows are kept and aggregated anew for each answer, as PostgreSQL does with
/// aggregates that cannot take a row back exactly.
pub(super) struct Frame {
    fresh: Fresh,
    /// The arguments of the rows in the frame, in their order.
    pieces: Vec<Vec<ArrayRef>>,
}

impl Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frame")
            .field("pieces", &self.pieces.len())
            .finish_non_exhaustive()
    }
}

impl Frame {
    pub(super) fn new(fresh: Fresh) -> Self {
        Self {
            fresh,
            pieces: Vec::new(),
        }
    }

    /// All rows of the frame as one piece.
    fn joined(&mut self) -> DfResult<Option<&[ArrayRef]>> {
        if self.pieces.len() > 1 {
            let columns = self.pieces.first().map_or(0, Vec::len);
            let joined = (0..columns)
                .map(|index| {
                    let parts: Vec<&dyn Array> = self
                        .pieces
                        .iter()
                        .filter_map(|piece| piece.get(index))
                        .map(AsRef::as_ref)
                        .collect();
                    concat(&parts)
                })
                .collect::<Result<Vec<_>, _>>()?;
            self.pieces = vec![joined];
        }
        Ok(self.pieces.first().map(Vec::as_slice))
    }
}

impl Accumulator for Frame {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        if values.first().is_some_and(|column| !column.is_empty()) {
            self.pieces.push(values.to_vec());
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let mut gone = values.first().map_or(0, |column| column.len());
        while let Some(piece) = self.pieces.first_mut() {
            let rows = piece.first().map_or(0, |column| column.len());
            if rows > gone {
                for column in piece {
                    *column = column.slice(gone, rows - gone);
                }
                break;
            }
            gone -= rows;
            self.pieces.remove(0);
            if gone == 0 {
                break;
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut fresh = (self.fresh)();
        if let Some(values) = self.joined()? {
            fresh.update_batch(values)?;
        }
        fresh.evaluate()
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> DfResult<()> {
        Err(FunctionError::internal("a window frame has no partial states").into())
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Err(FunctionError::internal("a window frame has no partial states").into())
    }

    fn size(&self) -> usize {
        let columns = self.pieces.iter().flatten();
        size_of_val(self)
            + columns
                .map(|column| column.get_array_memory_size())
                .sum::<usize>()
    }
}
