//! A market that never was: the same seed gives the same ticks.

use chronolith::Timestamp;
use rust_decimal::Decimal;

/// 2026-01-05 00:00 UTC, a Monday.
const START_US: i64 = 1_767_571_200_000_000;
const DAY_US: i64 = 86_400_000_000;

/// Where the symbols trade.
pub(super) const EXCHANGES: [&str; 5] = ["XNAS", "XNYS", "ARCX", "BATS", "IEXG"];

const NAMES: [&str; 40] = [
    "AAPL", "MSFT", "NVDA", "AMZN", "GOOG", "META", "TSLA", "AVGO", "COST", "NFLX", "AMD", "INTC",
    "QCOM", "TXN", "CSCO", "ADBE", "PEP", "AMGN", "HON", "SBUX", "JPM", "BAC", "WFC", "GS", "MS",
    "XOM", "CVX", "COP", "JNJ", "PFE", "MRK", "KO", "WMT", "HD", "MCD", "NKE", "DIS", "BA", "CAT",
    "GE",
];

/// One trade.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tick {
    pub(super) ts: Timestamp,
    /// Index of the symbol.
    pub(super) symbol: usize,
    pub(super) exchange: &'static str,
    pub(super) price: Decimal,
    pub(super) size: i32,
}

/// The feed: ticks in the order of their times, no two of one symbol at one time.
#[derive(Debug)]
pub(super) struct Feed {
    random: Random,
    symbols: Vec<Symbol>,
    rows: u64,
    next: u64,
    span_us: i64,
    /// How far the whole market has moved, which every symbol follows a little.
    market: f64,
}

#[derive(Debug)]
struct Symbol {
    name: String,
    /// Cents.
    price: f64,
    home: usize,
    last_us: i64,
}

impl Feed {
    pub(super) fn new(seed: u64, rows: u64, days: u32, symbols: u32) -> Self {
        let mut random = Random(seed);
        let symbols = (0..usize::try_from(symbols).unwrap_or(1))
            .map(|index| Symbol {
                name: name(index),
                price: 2_000.0 + 48_000.0 * random.unit(),
                home: index % EXCHANGES.len(),
                last_us: i64::MIN,
            })
            .collect();
        Self {
            random,
            symbols,
            rows,
            next: 0,
            span_us: i64::from(days) * DAY_US,
            market: 0.0,
        }
    }

    /// The name of a tick's symbol.
    pub(super) fn name(&self, symbol: usize) -> &str {
        self.symbols.get(symbol).map_or("", |symbol| &symbol.name)
    }
}

impl Iterator for Feed {
    type Item = Tick;

    fn next(&mut self) -> Option<Tick> {
        if self.next >= self.rows {
            return None;
        }
        // Evenly over the days, but never quite on the beat.
        let step = i128::from(self.span_us) * i128::from(self.next) / i128::from(self.rows);
        let gap = (self.span_us / i64::try_from(self.rows).unwrap_or(1)).max(1);
        let jitter = i64::try_from(self.random.next() % gap.unsigned_abs()).unwrap_or(0);
        self.next += 1;
        // A few symbols trade much more than the others: the square of a uniform number leans low.
        let pick = self.random.unit();
        let drift = self.random.normal() * 0.000_02;
        self.market = self.market * 0.999_9 + drift;
        let count = self.symbols.len();
        let index = scaled(pick * pick, count);
        let shock = self.random.normal() * 0.000_35 + self.market * 0.02;
        let away = self.random.unit();
        let elsewhere = self.random.below(EXCHANGES.len());
        let lots = 1 + self.random.below(9) * self.random.below(4);
        let odd = self.random.below(7) == 0;
        let symbol = self.symbols.get_mut(index)?;
        symbol.price = (symbol.price * (1.0 + shock)).clamp(100.0, 10_000_000.0);
        let ts = (START_US + i64::try_from(step).unwrap_or(0) + jitter).max(symbol.last_us + 1);
        symbol.last_us = ts;
        let venue = if away < 0.6 { symbol.home } else { elsewhere };
        let lots = i32::try_from(lots).unwrap_or(1);
        Some(Tick {
            ts: Timestamp(ts),
            symbol: index,
            exchange: EXCHANGES.get(venue).copied().unwrap_or("XNAS"),
            price: Decimal::new(whole(symbol.price), 2),
            size: if odd { lots * 7 } else { lots * 100 },
        })
    }
}

fn name(index: usize) -> String {
    match NAMES.get(index) {
        Some(name) => (*name).to_owned(),
        None => format!("SYM{index:03}"),
    }
}

fn whole(value: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "prices stay below 10 million cents"
    )]
    let cents = value.round() as i64;
    cents
}

/// The index below `count` that a number from 0 to 1 falls on.
fn scaled(unit: f64, count: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index among at most 1000"
    )]
    let index = (unit * count as f64) as usize;
    index.min(count.saturating_sub(1))
}

/// SplitMix64: small, and the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1, 1 excluded.
    fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let value = (self.next() >> 11) as f64;
        value / 9_007_199_254_740_992.0
    }

    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(self.next() % end).unwrap_or(0)
    }

    /// Near enough to a normal distribution, and made of sums alone, so that no machine's
    /// logarithm can change the feed.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_same_seed_gives_the_same_feed_and_another_another() {
        let feed = |seed| Feed::new(seed, 1000, 3, 40).collect::<Vec<_>>();
        assert_eq!(feed(42), feed(42));
        assert_ne!(feed(42), feed(43));
    }

    #[test]
    fn no_symbol_trades_twice_at_one_time_and_all_lie_in_the_days() {
        let mut seen = HashSet::new();
        let mut count = 0;
        for tick in Feed::new(7, 50_000, 1, 3) {
            assert!(seen.insert((tick.symbol, tick.ts)), "{tick:?}");
            assert!(
                tick.ts.0 >= START_US && tick.ts.0 < START_US + DAY_US,
                "{tick:?}"
            );
            assert!(tick.price > Decimal::ZERO && tick.size > 0);
            count += 1;
        }
        assert_eq!(count, 50_000);
    }

    #[test]
    fn more_rows_than_microseconds_still_have_times_of_their_own() {
        let ticks: HashSet<_> = Feed::new(1, 1000, 1, 1).map(|tick| tick.ts).collect();
        assert_eq!(ticks.len(), 1000);
    }
}
