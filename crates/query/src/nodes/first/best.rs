//! The best row of each group, so far.

use arrow::array::ArrayRef;
use arrow::compute::interleave_record_batch;
use arrow::record_batch::RecordBatch;
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{HashMap, Result as DfResult};

/// How many batches are held before their best rows are gathered into one.
const BATCHES_MAX: usize = 16;

/// A group's best row, and its place in the order.
struct Group {
    batch: usize,
    row: usize,
    place: OwnedRow,
}

/// Groups by key, each with its best row.
pub(super) struct Best {
    keys: RowConverter,
    order: Option<RowConverter>,
    found: HashMap<Box<[u8]>, usize>,
    groups: Vec<Group>,
    batches: Vec<RecordBatch>,
}

impl Best {
    /// For keys and orders of those types; without an order the first row that comes is best.
    pub(super) fn new(keys: Vec<SortField>, order: Vec<SortField>) -> DfResult<Self> {
        Ok(Self {
            keys: RowConverter::new(keys)?,
            order: if order.is_empty() {
                None
            } else {
                Some(RowConverter::new(order)?)
            },
            found: HashMap::new(),
            groups: Vec::new(),
            batches: Vec::new(),
        })
    }

    /// Takes the rows of a batch in.
    pub(super) fn add(
        &mut self,
        batch: RecordBatch,
        keys: &[ArrayRef],
        order: &[ArrayRef],
    ) -> DfResult<()> {
        let keys = self.keys.convert_columns(keys)?;
        let places = match &self.order {
            Some(converter) => Some(converter.convert_columns(order)?),
            None => None,
        };
        let number = self.batches.len();
        let mut taken = false;
        // Rows of a series follow each other: most look at the group of the row before.
        let mut last: Option<(usize, usize)> = None;
        for row in 0..batch.num_rows() {
            let key = keys.row(row);
            let group = match last {
                Some((before, group)) if keys.row(before) == key => Some(group),
                _ => self.found.get(key.data()).copied(),
            };
            match group {
                Some(group) => {
                    last = Some((row, group));
                    let Some(places) = &places else {
                        continue;
                    };
                    if let Some(best) = self.groups.get_mut(group)
                        && places.row(row) < best.place.row()
                    {
                        *best = Group {
                            batch: number,
                            row,
                            place: places.row(row).owned(),
                        };
                        taken = true;
                    }
                }
                None => {
                    let place = places.as_ref().map_or(key, |places| places.row(row));
                    let group = self.groups.len();
                    self.groups.push(Group {
                        batch: number,
                        row,
                        place: place.owned(),
                    });
                    self.found.insert(key.data().into(), group);
                    last = Some((row, group));
                    taken = true;
                }
            }
        }
        if taken {
            self.batches.push(batch);
            if self.batches.len() >= BATCHES_MAX {
                let gathered = self.gather()?;
                for (row, group) in self.groups.iter_mut().enumerate() {
                    (group.batch, group.row) = (0, row);
                }
                self.batches = gathered.into_iter().collect();
            }
        }
        Ok(())
    }

    fn gather(&self) -> DfResult<Option<RecordBatch>> {
        if self.groups.is_empty() {
            return Ok(None);
        }
        let rows: Vec<(usize, usize)> = self
            .groups
            .iter()
            .map(|group| (group.batch, group.row))
            .collect();
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        Ok(Some(interleave_record_batch(&batches, &rows)?))
    }

    /// The best rows, in the order in which their groups were met; none when nothing came.
    pub(super) fn finish(self) -> DfResult<Option<RecordBatch>> {
        self.gather()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        // A key and a place are a few dozen bytes on the heap each.
        const GROUP_BYTES: usize = size_of::<Group>() + size_of::<(Box<[u8]>, usize)>() + 128;
        let batches = self.batches.iter().map(RecordBatch::get_array_memory_size);
        batches.sum::<usize>() + self.groups.len() * GROUP_BYTES
    }
}
