//! `stat_chunk_activity`: how compressed chunks are packed, and what statements did to them.

use super::entries;
use crate::catalogs::context::Context;
use crate::catalogs::objects;
use crate::catalogs::relation::Fill;
use crate::catalogs::rows::{Cell, Rows, count};
use crate::error::Error;
use crate::statistics::Activity;

pub(super) fn fill(name: &str) -> Option<Fill> {
    match name {
        "stat_chunk_activity" => Some(chunks),
        _ => None,
    }
}

/// What the rows of a chunk's batches come to.
#[derive(Debug, PartialEq)]
struct Spread {
    least: u64,
    greatest: u64,
    mean: u64,
    deviation: f64,
}

impl Spread {
    /// None of nothing.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a mean and a deviation of counts"
    )]
    fn of(values: &[u64]) -> Option<Self> {
        let (least, greatest) = (*values.iter().min()?, *values.iter().max()?);
        let number = values.len() as f64;
        let mean = values.iter().map(|value| *value as f64).sum::<f64>() / number;
        let squares = values.iter().map(|value| (*value as f64 - mean).powi(2));
        let whole = values.iter().sum::<u64>() / u64::try_from(values.len()).ok()?;
        Some(Self {
            least,
            greatest,
            mean: whole,
            deviation: (squares.sum::<f64>() / number).sqrt(),
        })
    }
}

/// A batch is a series of a part here. No batch is unpacked or dropped by a statement, and there are
/// no Bloom filters; what is read is not counted, so that no reader pays for it.
fn chunks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let database = context.home()?.id;
    for entry in entries(context)? {
        for (hypertable, chunk) in objects::chunks(entry.table) {
            if !chunk.compressed {
                continue;
            }
            let packing = (context.packing)(entry.table.id, chunk.id).unwrap_or_default();
            let spread = Spread::of(&packing.series);
            let mut row = vec![
                chunk.oid.into(),
                chunk.oid.into(),
                chunk.id.0.into(),
                hypertable.id.0.into(),
                (&entry.table.name).into(),
                count(packing.series.len()).into(),
                Cell::Null,
            ];
            row.extend(match spread {
                Some(spread) => [
                    count(spread.least).into(),
                    count(spread.greatest).into(),
                    count(spread.mean).into(),
                    spread.deviation.into(),
                ],
                None => [const { Cell::Null }; 4],
            });
            row.resize_with(SIZES_END, || Cell::Null);
            for _ in ["all", "the last"] {
                row.extend(BATCHES);
            }
            let activity = context.statistics.chunks.of(database, chunk.id);
            row.extend(counted(activity));
            rows.push(row);
        }
    }
    Ok(())
}

/// How many columns tell how a chunk is packed.
const SIZES_END: usize = 19;

/// What statements do to batches: deleted, decompressed, rows decompressed, scanned, checked by a
/// Bloom filter, pruned, without one, false positives, filtered compressed and decompressed.
const BATCHES: [Cell<'static>; 10] = [
    Cell::Int(0),
    Cell::Int(0),
    Cell::Int(0),
    Cell::Null,
    Cell::Int(0),
    Cell::Int(0),
    Cell::Null,
    Cell::Int(0),
    Cell::Null,
    Cell::Null,
];

/// Statements that read, inserted, updated and deleted, the first and the last of them.
fn counted(activity: Option<Activity>) -> [Cell<'static>; 6] {
    let Some(of) = activity else {
        let none = || Cell::Int(0);
        return [Cell::Null, none(), none(), none(), Cell::Null, Cell::Null];
    };
    [
        Cell::Null,
        count(of.inserts).into(),
        count(of.updates).into(),
        count(of.deletes).into(),
        of.first_us.into(),
        of.last_us.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_all_batches() {
        let spread = Spread::of(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!(
            spread,
            Some(Spread {
                least: 2,
                greatest: 9,
                mean: 5,
                deviation: 2.0
            })
        );
        assert_eq!(Spread::of(&[]), None);
    }
}
