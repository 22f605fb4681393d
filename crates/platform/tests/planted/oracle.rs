//! What a store must still have after each death, and lives that end in all kinds of them.

use std::io;

use chronolith_platform::sim::{Fault, SimDisk};
use chronolith_platform::{Random, SimRandom};

use crate::store::{Bug, Row, Store, Trouble, part_path};

/// What was told to the store and what it said.
#[derive(Debug, Default)]
struct Oracle {
    /// Rows of acknowledged transactions, in order.
    acknowledged: Vec<Row>,
    /// Transactions of which nobody knows: a prefix of them may be there.
    unknown: Vec<Vec<Row>>,
    transactions: u32,
}

impl Oracle {
    /// Compares what a store holds; from then on that is what it must hold.
    fn check(&mut self, rows: &[Row]) -> Result<(), String> {
        let mut expected = self.acknowledged.clone();
        let mut unknown = self.unknown.drain(..);
        loop {
            if expected == rows {
                self.acknowledged = expected;
                return Ok(());
            }
            match unknown.next() {
                Some(transaction) => expected.extend(transaction),
                None => break,
            }
        }
        let first = rows
            .iter()
            .zip(&expected)
            .position(|(found, expected)| found != expected);
        Err(format!(
            "{} rows acknowledged, {} with all that may be there, {} found; first other: {first:?}",
            self.acknowledged.len(),
            expected.len(),
            rows.len(),
        ))
    }

    fn group(&mut self, chance: &SimRandom) -> Vec<Vec<Row>> {
        let mut transaction = || {
            self.transactions += 1;
            let number = self.transactions;
            let rows = 1 + chance.below(3);
            (0..rows).map(|_| (number, chance.next_u64())).collect()
        };
        (0..1 + chance.below(3)).map(|_| transaction()).collect()
    }
}

/// Whether an error is one that was planned.
fn planned(disk: &SimDisk, error: &io::Error) -> bool {
    const EIO: i32 = 5;
    disk.is_off() || error.raw_os_error() == Some(EIO) || error.kind() == io::ErrorKind::StorageFull
}

/// A process: opens the store and works until something stops it.
fn live(
    disk: &SimDisk,
    chance: &SimRandom,
    bug: Option<Bug>,
    oracle: &mut Oracle,
) -> Result<(), String> {
    let fault = |trouble: Trouble| match trouble {
        Trouble::Disk(error) if planned(disk, &error) => Ok(()),
        trouble => Err(trouble.to_string()),
    };
    let mut store = match Store::open(disk, bug) {
        Ok(store) => store,
        Err(trouble) => return fault(trouble),
    };
    oracle.check(&store.rows())?;
    for _ in 0..chance.below(25) {
        if chance.one_in(4) {
            if let Err(trouble) = store.flush() {
                return fault(trouble);
            }
            continue;
        }
        let group = oracle.group(chance);
        match store.commit(&group) {
            Ok(()) => oracle.acknowledged.extend(group.iter().flatten()),
            Err(Trouble::Full) => {}
            Err(trouble) => {
                oracle.unknown = group;
                return fault(trouble);
            }
        }
    }
    Ok(())
}

/// Several lives of a store on one disk, as `seed` has it. What is wrong, if anything; otherwise how
/// many rows there are in the end.
pub(crate) fn run(seed: u64, bug: Option<Bug>) -> Result<usize, String> {
    let chance = SimRandom::new(seed);
    let mut disk = SimDisk::new(chance.next_u64());
    let mut oracle = Oracle::default();
    for _ in 0..2 + chance.below(4) {
        // Every fault may also come too late.
        let from = disk.operations();
        disk.plan(from + chance.below(80), Fault::PowerCut);
        if chance.one_in(3) {
            disk.plan(from + chance.below(40), Fault::NoSpace);
        }
        if chance.one_in(4) {
            disk.plan(from + chance.below(40), Fault::Io);
        }
        if chance.one_in(4) {
            disk.set_short_reads();
        }
        live(&disk, &chance, bug, &mut oracle)?;
        disk = if chance.one_in(3) {
            // Only the process dies.
            disk.restart()
        } else {
            disk.crash()
        };
    }
    let open = |oracle: &mut Oracle| {
        let store = Store::open(&disk, bug).map_err(|trouble| trouble.to_string())?;
        oracle.check(&store.rows())?;
        Ok::<_, String>(store)
    };
    open(&mut oracle)?;
    let store = open(&mut oracle).map_err(|violation| format!("opened twice: {violation}"))?;
    // A rotten bit is reported, or harmless.
    if let Some(part) = store.parts().first() {
        let bit = u8::try_from(chance.below(8)).expect("small");
        let offset = usize::try_from(chance.below(24)).expect("small");
        disk.flip_bit(&part_path(*part), offset, bit)
            .map_err(|error| error.to_string())?;
        match Store::open(&disk, bug) {
            Ok(store) => oracle
                .check(&store.rows())
                .map_err(|violation| format!("bit rot: {violation}"))?,
            Err(Trouble::Damaged(_)) => {}
            Err(trouble) => return Err(format!("bit rot: {trouble}")),
        }
    }
    Ok(oracle.acknowledged.len())
}
