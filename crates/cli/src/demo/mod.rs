//! `chronolith demo`: the whole way of market data, in a minute.
//!
//! Written against the embedding API as any program would be. Start at [`run`]; [`Feed`] makes the
//! ticks, [`chart`] draws the candles.

mod chart;
mod feed;
mod show;

pub(crate) use show::run;

use feed::Feed;
