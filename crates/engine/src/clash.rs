//! Rows of a load that have keys which others have already.
//!
//! Its parts know their series and times, and most of them overlap with nothing that is there: then
//! no row is read.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::new_null_array;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Table;
use chronolith_chunk::{ChunkError, ChunkView, ColdPart, HotPart, Layout, Series, cold};
use chronolith_types::{PartId, SqlType};

use crate::check::{ALL_TIMES, duplicate};
use crate::error::EngineError;
use crate::layout::layout_for;
use crate::record::TableKey;
use crate::route;
use crate::state::{OpenPart, State};

/// Parts that a load adds to a chunk, and the rows there that they were held against: at commit
/// those count that came since.
#[derive(Debug, Clone)]
pub(crate) struct LoadClaim {
    table: Arc<Table>,
    key: TableKey,
    /// A time of the chunk: by the commit it may have another number.
    start: i64,
    fresh: Vec<Arc<OpenPart>>,
    seen: Vec<PartId>,
    /// Generation and rows of the hot part.
    seen_hot: Option<(u64, usize)>,
}

/// A key that a load brings and another row has.
#[derive(Debug)]
pub(crate) struct Clash {
    /// What is said of it.
    pub(crate) error: EngineError,
    pub(crate) constraint: u32,
    /// One row of the table's columns, of which the key's alone have values.
    pub(crate) row: RecordBatch,
}

impl Clash {
    fn of(
        layout: &Layout,
        (constraint, key): (u32, &[usize]),
        (rows, row): (&RecordBatch, usize),
        error: EngineError,
    ) -> Result<Self, EngineError> {
        let columns = layout.columns.iter().enumerate().map(|(place, column)| {
            let of_key = key.iter().position(|of| *of == place);
            match of_key.and_then(|at| rows.columns().get(at)) {
                Some(values) => values.slice(row, 1),
                None => new_null_array(&column.ty.arrow(), 1),
            }
        });
        let named = columns.map(|values| ("", values, true));
        let row = RecordBatch::try_from_iter_with_nullable(named).map_err(ChunkError::from)?;
        Ok(Self {
            error,
            constraint,
            row,
        })
    }
}

/// Rows of one chunk that lie in one place.
struct Source {
    view: ChunkView,
    /// First and last time; None where there are no rows, or no times.
    times: Option<(i64, i64)>,
}

/// Where rows of one source may have a key of another's.
struct Met<'a> {
    /// Times, in order and apart from each other.
    windows: Vec<Range<i64>>,
    /// Whose.
    sources: Vec<&'a Source>,
}

impl Source {
    fn part(part: Arc<ColdPart>) -> Self {
        Self {
            times: part.times(),
            view: ChunkView {
                chunk: 0,
                range: ALL_TIMES,
                hot: Vec::new(),
                cold: vec![part],
            },
        }
    }

    fn hot(layout: &Layout, hot: &HotPart) -> Result<Self, EngineError> {
        let mut times: Option<(i64, i64)> = None;
        if let Some(place) = layout.time {
            for batch in hot.batches() {
                for time in cold::times(batch.column(place))? {
                    let (first, last) = times.unwrap_or((time, time));
                    times = Some((first.min(time), last.max(time)));
                }
            }
        }
        Ok(Self {
            times,
            view: ChunkView {
                chunk: 0,
                range: ALL_TIMES,
                hot: vec![hot.snapshot()],
                cold: Vec::new(),
            },
        })
    }

    /// The series of its rows, where it knows them by the columns that a layout has now and their
    /// texts say which they are.
    fn series(&self, layout: &Layout) -> Option<&[Series]> {
        let directory = self.view.cold.first()?.directory();
        let text = |place: &usize| {
            let ty = layout.columns.get(*place).map(|column| &column.ty);
            matches!(ty, Some(SqlType::Text | SqlType::Varchar(_)))
        };
        let known = directory.is_sorted_as(layout) && layout.segment_by.iter().all(text);
        known.then_some(&directory.series)
    }
}

impl LoadClaim {
    pub(crate) fn new(
        table: Arc<Table>,
        key: TableKey,
        start: i64,
        fresh: Vec<Arc<OpenPart>>,
    ) -> Self {
        Self {
            table,
            key,
            start,
            fresh,
            seen: Vec::new(),
            seen_hot: None,
        }
    }

    /// Holds the keys against all rows of their chunk in a state, and against parts and rows that
    /// wait for the same commit; what they meet, if they do.
    pub(crate) fn hold(
        &mut self,
        state: &State,
        own_parts: impl Iterator<Item = (PartId, Arc<ColdPart>)>,
        own: Option<&HotPart>,
    ) -> Result<Option<Clash>, EngineError> {
        let layout = layout_for(&self.table);
        let mut others = Vec::new();
        let table = state.table(self.key);
        let chunk = table.and_then(|table| table.chunk_at(self.start));
        let parts = chunk.iter().flat_map(|chunk| &chunk.parts);
        let parts = parts.filter_map(|part| Some((part.id, state.cold(self.key, part)?)));
        for (id, part) in parts.chain(own_parts) {
            if !self.seen.contains(&id) {
                self.seen.push(id);
                others.push(Source::part(part));
            }
        }
        let hot = chunk.and_then(|chunk| state.hot(self.key.place(chunk.id)));
        for hot in [hot, own].into_iter().flatten() {
            others.push(Source::hot(&layout, hot)?);
        }
        self.seen_hot = hot.map(|hot| (hot.generation(), hot.all_rows()));
        let fresh = self
            .fresh
            .iter()
            .map(|open| Source::part(Arc::clone(&open.part)));
        self.clash(&layout, &fresh.collect::<Vec<_>>(), &others)
    }

    /// Holds the keys against what came since, in the state that a commit is to make.
    pub(crate) fn check(&self, state: &State) -> Result<(), EngineError> {
        let Some(table) = state.table(self.key) else {
            return Ok(());
        };
        let ours = |id: PartId| self.fresh.iter().any(|open| open.id == id);
        // The transaction itself may have dropped the chunk again.
        let mut chunks = table.chunks.values();
        let chunk = chunks.find(|chunk| chunk.parts.iter().any(|part| ours(part.id)));
        let Some(chunk) = chunk else {
            return Ok(());
        };
        let layout = layout_for(&self.table);
        let mut others = Vec::new();
        for part in &chunk.parts {
            if !ours(part.id)
                && !self.seen.contains(&part.id)
                && let Some(part) = state.cold(self.key, part)
            {
                others.push(Source::part(part));
            }
        }
        if let Some(hot) = state.hot(self.key.place(chunk.id)) {
            let new = match self.seen_hot {
                Some((generation, rows)) if generation == hot.generation() => {
                    hot.without_first(rows.min(hot.all_rows()))
                }
                _ => hot.snapshot(),
            };
            if new.rows() > 0 {
                others.push(Source::hot(&layout, &new)?);
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        // Rows of these may have been deleted by the same transaction.
        let fresh = chunk.parts.iter().filter(|part| ours(part.id));
        let fresh = fresh.filter_map(|part| state.cold(self.key, part));
        let fresh: Vec<Source> = fresh.map(Source::part).collect();
        match self.clash(&layout, &fresh, &others)? {
            Some(clash) => Err(clash.error),
            None => Ok(()),
        }
    }

    fn clash(
        &self,
        layout: &Arc<Layout>,
        fresh: &[Source],
        others: &[Source],
    ) -> Result<Option<Clash>, EngineError> {
        for (constraint, key) in self.table.unique_keys() {
            let sources: Vec<&Source> = fresh.iter().chain(others).collect();
            let Met {
                mut windows,
                sources,
            } = meetings(layout, &key, &sources, fresh.len());
            // The last number there is has no end behind it.
            if windows.iter().any(|window| window.end == i64::MAX) {
                windows = vec![ALL_TIMES];
            }
            let views: Vec<&ChunkView> = sources.iter().map(|source| &source.view).collect();
            for window in windows {
                if let Some((rows, row)) = duplicate(layout, &key, &views, &window)? {
                    let places: Vec<usize> = (0..key.len()).collect();
                    let name = &constraint.name;
                    let error = route::exists(&self.table, name, &key, &places, &rows, row);
                    let of = (constraint.id, key.as_slice());
                    return Clash::of(layout, of, (&rows, row), error).map(Some);
                }
            }
        }
        Ok(None)
    }
}

/// Where one of the first `fresh` sources and any other may have the same key.
fn meetings<'a>(layout: &Layout, key: &[usize], sources: &[&'a Source], fresh: usize) -> Met<'a> {
    let by_time = layout.time.is_some_and(|time| key.contains(&time));
    let by_series = by_time && layout.segment_by.iter().all(|place| key.contains(place));
    let mut found: Vec<Range<i64>> = Vec::new();
    let mut met = vec![false; sources.len()];
    for (at, one) in sources.iter().enumerate().take(fresh) {
        for (behind, other) in sources.iter().enumerate().skip(at + 1) {
            let windows = match (one.times, other.times) {
                _ if one.view.rows() == 0 || other.view.rows() == 0 => Vec::new(),
                (Some(times), Some(others)) if by_time => {
                    match (one.series(layout), other.series(layout)) {
                        (Some(series), Some(others)) if by_series => shared(series, others),
                        _ => common(times, others).into_iter().collect(),
                    }
                }
                _ => vec![ALL_TIMES],
            };
            if !windows.is_empty() {
                for at in [at, behind] {
                    if let Some(met) = met.get_mut(at) {
                        *met = true;
                    }
                }
                found.extend(windows);
            }
        }
    }
    found.sort_unstable_by_key(|window| window.start);
    let mut windows: Vec<Range<i64>> = Vec::new();
    for window in found {
        match windows.last_mut() {
            Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
            _ => windows.push(window),
        }
    }
    let sources = sources.iter().zip(&met);
    let sources = sources.filter(|(_, met)| **met).map(|(source, _)| *source);
    Met {
        windows,
        sources: sources.collect(),
    }
}

/// The times that lie between both firsts and both lasts.
fn common(one: (i64, i64), other: (i64, i64)) -> Option<Range<i64>> {
    let (first, last) = (one.0.max(other.0), one.1.min(other.1));
    (first <= last).then(|| first..last.saturating_add(1))
}

/// Times at which both have rows of one series.
fn shared(series: &[Series], others: &[Series]) -> Vec<Range<i64>> {
    let known: HashMap<&[Option<String>], (i64, i64)> = series
        .iter()
        .filter_map(|of| Some((of.values.as_slice(), of.times?)))
        .collect();
    let windows = others.iter().filter_map(|of| {
        let times = known.get(of.values.as_slice())?;
        common(*times, of.times?)
    });
    windows.collect()
}
