//! Candles in a terminal.

use std::fmt::Write as _;

/// One candle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candle {
    pub(super) open: f64,
    pub(super) high: f64,
    pub(super) low: f64,
    pub(super) close: f64,
}

const GREEN: &str = "\u{1b}[32m";
const RED: &str = "\u{1b}[31m";
const PLAIN: &str = "\u{1b}[0m";

/// What a candle shows in one cell of the chart, whose height is two half cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Blank,
    Wick,
    Body,
    /// The body fills the upper or the lower half.
    Upper,
    Lower,
}

impl Cell {
    fn glyph(self) -> char {
        match self {
            Self::Blank => ' ',
            Self::Wick => '│',
            Self::Body => '█',
            Self::Upper => '▀',
            Self::Lower => '▄',
        }
    }
}

/// Draws candles side by side over `height` lines, with the prices at the right.
pub(super) fn draw(candles: &[Candle], height: usize, colours: bool) -> String {
    let high = candles.iter().map(|c| c.high).fold(f64::MIN, f64::max);
    let low = candles.iter().map(|c| c.low).fold(f64::MAX, f64::min);
    if candles.is_empty() || height == 0 {
        return String::new();
    }
    // A market that stood still is drawn as one line in the middle.
    let span = if high > low { high - low } else { 1.0 };
    let level_height = span / float(height);
    let mut out = String::new();
    for line in 0..height {
        let top = high - float(line) * level_height;
        let bottom = top - level_height;
        out.push_str("  ");
        for candle in candles {
            let glyph = cell(candle, top, bottom).glyph();
            if glyph == ' ' || !colours {
                out.push(glyph);
            } else {
                let colour = if candle.close >= candle.open {
                    GREEN
                } else {
                    RED
                };
                let _ = write!(out, "{colour}{glyph}{PLAIN}");
            }
        }
        if line == 0 || line + 1 == height || line == height / 2 {
            let price = f64::midpoint(top, bottom);
            let _ = write!(out, "  {price:.2}");
        }
        out.push('\n');
    }
    out
}

fn cell(candle: &Candle, top: f64, bottom: f64) -> Cell {
    let middle = f64::midpoint(top, bottom);
    let body_top = candle.open.max(candle.close);
    let body_bottom = candle.open.min(candle.close);
    let upper = body_top > middle && body_bottom < top;
    let lower = body_top > bottom && body_bottom < middle;
    match (upper, lower) {
        (true, true) => Cell::Body,
        (true, false) => Cell::Upper,
        (false, true) => Cell::Lower,
        (false, false) if body_top == body_bottom && body_top >= bottom && body_top < top => {
            Cell::Lower
        }
        (false, false) if candle.high > bottom && candle.low < top => Cell::Wick,
        (false, false) => Cell::Blank,
    }
}

fn float(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a terminal has few lines")]
    let value = count as f64;
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wicks_reach_beyond_bodies() {
        let rising = Candle {
            open: 1.0,
            high: 4.0,
            low: 0.0,
            close: 3.0,
        };
        let falling = Candle {
            open: 4.0,
            high: 4.0,
            low: 2.0,
            close: 2.0,
        };
        let chart = draw(&[rising, falling], 4, false);
        let drawn: Vec<String> = chart
            .lines()
            .map(|line| line.chars().skip(2).take(2).collect())
            .collect();
        assert_eq!(drawn, ["│█", "██", "█ ", "│ "]);
    }

    #[test]
    fn no_candles_and_a_market_that_stood_still_do_not_fail() {
        assert_eq!(draw(&[], 5, true), "");
        let still = Candle {
            open: 5.0,
            high: 5.0,
            low: 5.0,
            close: 5.0,
        };
        assert_eq!(draw(&[still], 3, false).lines().count(), 3);
    }
}
