//! What statements cost, told together by their texts without constants (`pg_stat_statements`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use chronolith_sql::Normalised;
use chronolith_types::{DatabaseId, RoleId};
use parking_lot::Mutex;

/// How many statements are kept, PostgreSQL's `pg_stat_statements.max`: beyond them the least called
/// twentieth is forgotten.
const ENTRIES_MAX: usize = 5000;
/// Locks that different statements take.
const SHARDS: usize = 16;
/// Bytes of a text that are kept.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Who ran what, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) role: RoleId,
    pub(crate) database: DatabaseId,
    pub(crate) id: i64,
}

/// Times of one kind, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spread {
    /// How many there were.
    pub(crate) count: u64,
    /// Their sum.
    pub(crate) total: f64,
    /// The least.
    pub(crate) min: f64,
    /// The greatest.
    pub(crate) max: f64,
    mean: f64,
    /// Squares of their distances from the mean, summed.
    squares: f64,
}

impl Spread {
    /// Counts one, by Welford's method.
    pub(crate) fn add(&mut self, ms: f64) {
        self.count += 1;
        self.total += ms;
        (self.min, self.max) = match self.count {
            1 => (ms, ms),
            _ => (self.min.min(ms), self.max.max(ms)),
        };
        let apart = ms - self.mean;
        self.mean += apart / self.count as f64;
        self.squares += apart * (ms - self.mean);
    }

    /// All but the count: sum, least, greatest, mean, squares.
    pub(super) fn parts(&self) -> [f64; 5] {
        [self.total, self.min, self.max, self.mean, self.squares]
    }

    /// Of so many, with its other parts.
    pub(super) fn of(count: u64, [total, min, max, mean, squares]: [f64; 5]) -> Self {
        Self {
            count,
            total,
            min,
            max,
            mean,
            squares,
        }
    }

    /// Their mean; 0 without any.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// Their standard deviation, of the whole population.
    pub(crate) fn deviation(&self) -> f64 {
        match self.count {
            0 | 1 => 0.0,
            count => (self.squares / count as f64).sqrt(),
        }
    }
}

/// What one statement cost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    /// Its text, constants taken out.
    pub(crate) text: String,
    /// Its runs, from its start until its last row was taken.
    pub(crate) runs: Spread,
    /// Rows given or changed.
    pub(crate) rows: u64,
}

/// Which statements are to be forgotten; those that agree with all that is said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reset {
    pub(crate) role: Option<RoleId>,
    pub(crate) database: Option<DatabaseId>,
    pub(crate) id: Option<i64>,
}

/// What all statements cost.
#[derive(Debug)]
pub(crate) struct Statements {
    shards: Vec<Mutex<HashMap<Key, Entry>>>,
    forgotten: AtomicU64,
    reset_us: AtomicI64,
}

impl Default for Statements {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            forgotten: AtomicU64::new(0),
            reset_us: AtomicI64::new(0),
        }
    }
}

impl Statements {
    /// With what was counted before.
    pub(super) fn of(all: Vec<(Key, Entry)>, forgotten: u64, reset_us: i64) -> Self {
        let statements = Self::default();
        statements.forgotten.store(forgotten, Ordering::Relaxed);
        statements.reset_us.store(reset_us, Ordering::Relaxed);
        for (key, entry) in all {
            if let Some(shard) = statements.shards.get(place_of(key.id)) {
                shard.lock().insert(key, entry);
            }
        }
        statements
    }

    /// Counts runs of a statement that took as long.
    pub(crate) fn add(
        &self,
        (role, database): (RoleId, DatabaseId),
        of: &Normalised,
        ms: f64,
        runs: u64,
        rows: u64,
    ) {
        let key = Key {
            role,
            database,
            id: of.id,
        };
        let Some(shard) = self.shards.get(place_of(of.id)) else {
            return;
        };
        let mut shard = shard.lock();
        if shard.len() >= ENTRIES_MAX / SHARDS && !shard.contains_key(&key) {
            self.forget_least(&mut shard);
        }
        let entry = shard.entry(key).or_insert_with(|| Entry {
            text: cut(&of.text),
            ..Entry::default()
        });
        for _ in 0..runs {
            entry.runs.add(ms);
        }
        entry.rows += rows;
    }

    fn forget_least(&self, shard: &mut HashMap<Key, Entry>) {
        let mut calls: Vec<_> = shard
            .iter()
            .map(|(key, entry)| (entry.runs.count, *key))
            .collect();
        calls.sort_unstable();
        for (_, key) in calls.iter().take((shard.len() / 20).max(1)) {
            shard.remove(key);
        }
        self.forgotten.fetch_add(1, Ordering::Relaxed);
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<(Key, Entry)> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            all.extend(shard.iter().map(|(key, entry)| (*key, entry.clone())));
        }
        all
    }

    /// How often some had to be forgotten, and when all were told to be: µs since 1970, 0 for never.
    pub(crate) fn info(&self) -> (u64, i64) {
        let forgotten = self.forgotten.load(Ordering::Relaxed);
        (forgotten, self.reset_us.load(Ordering::Relaxed))
    }

    /// Forgets.
    pub(crate) fn reset(&self, which: Reset, now_us: i64) {
        let meant = |key: &Key| {
            which.role.is_none_or(|role| role == key.role)
                && which
                    .database
                    .is_none_or(|database| database == key.database)
                && which.id.is_none_or(|id| id == key.id)
        };
        for shard in &self.shards {
            shard.lock().retain(|key, _| !meant(key));
        }
        if which.role.is_none() && which.database.is_none() && which.id.is_none() {
            self.forgotten.store(0, Ordering::Relaxed);
            self.reset_us.store(now_us, Ordering::Relaxed);
        }
    }
}

/// The lock of a statement.
fn place_of(id: i64) -> usize {
    usize::from(id.to_le_bytes()[0]) % SHARDS
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use chronolith_sql::normalised;

    use super::*;

    const WHO: (RoleId, DatabaseId) = (RoleId(10), DatabaseId(5));

    #[test]
    fn times_are_spread() {
        let mut spread = Spread::default();
        for ms in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            spread.add(ms);
        }
        assert_eq!((spread.count, spread.total), (8, 40.0));
        assert_eq!((spread.min, spread.max), (2.0, 9.0));
        assert!((spread.mean() - 5.0).abs() < 1e-9);
        assert!((spread.deviation() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn the_least_called_are_forgotten() {
        let statements = Statements::default();
        let often = normalised("SELECT often", false);
        for _ in 0..3 {
            statements.add(WHO, &often, 1.0, 1, 1);
        }
        for number in 0..2 * ENTRIES_MAX {
            let text = format!("SELECT c{number}");
            statements.add(WHO, &normalised(&text, false), 1.0, 1, 1);
        }
        let all = statements.all();
        assert!(all.len() <= ENTRIES_MAX);
        assert!(
            all.iter()
                .any(|(key, entry)| key.id == often.id && entry.rows == 3)
        );
        assert!(statements.info().0 > 0);
    }

    #[test]
    fn reset_takes_what_it_names() {
        let statements = Statements::default();
        let (one, two) = (normalised("SELECT a", false), normalised("SELECT b", false));
        statements.add(WHO, &one, 1.0, 1, 1);
        statements.add(WHO, &two, 1.0, 1, 1);
        let of_one = Reset {
            id: Some(one.id),
            ..Reset::default()
        };
        statements.reset(of_one, 7);
        assert_eq!(statements.all().len(), 1);
        assert_eq!(statements.info(), (0, 0));
        statements.reset(Reset::default(), 7);
        assert!(statements.all().is_empty());
        assert_eq!(statements.info(), (0, 7));
    }
}
