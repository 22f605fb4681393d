//! One random history, and what must hold after each step of it.

use std::fmt::Write as _;

use chronolith_platform::SimRandom;
use chronolith_query::Error;

use super::bench::{Answer, Bench};
use super::queries;
use super::views::{Spec, TABLES, THEMES, Theme, columns};

/// How a history is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// On the simulated disk, without threads: a seed tells all that happens.
    Simulated,
    /// The same, and the power goes now and then.
    Crashing,
    /// On the real disk, with views that are filled behind.
    Real,
}

/// A view that is there.
struct View {
    spec: &'static Spec,
    /// Rows of it that stay whatever happens to the hypertable's: from a time, up to another.
    frozen: Vec<(String, String)>,
}

pub(crate) struct History {
    kind: Kind,
    pub(super) random: SimRandom,
    bench: Bench,
    theme: &'static Theme,
    views: Vec<View>,
    /// Whether a transaction is open.
    inside: bool,
    steps: u64,
    checks: u64,
    asked: u64,
    answered: u64,
    crashes: u64,
}

pub(super) type Outcome = Result<(), String>;

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

/// A time among those of the rows, or at the edge of a bucket.
pub(crate) fn moment(random: &SimRandom) -> String {
    let (day, hour) = (random.below(7), random.below(24));
    let minute = match random.below(4) {
        0 => 0,
        1 => random.below(12) * 5,
        _ => random.below(60),
    };
    let second = if random.below(3) == 0 {
        random.below(60)
    } else {
        0
    };
    let date = [
        "2025-03-27",
        "2025-03-28",
        "2025-03-29",
        "2025-03-30",
        "2025-03-31",
        "2025-04-01",
        "2025-04-02",
    ];
    let date = date[usize::try_from(day).unwrap()];
    let hour = if random.below(2) == 0 {
        random.below(4)
    } else {
        hour
    };
    format!("{date} {hour:02}:{minute:02}:{second:02}+00")
}

impl History {
    pub(crate) fn new(seed: u64, kind: Kind) -> Self {
        let random = SimRandom::new(seed);
        let bench = match kind {
            Kind::Real => Bench::real(),
            _ => Bench::simulated(seed),
        };
        let theme = &THEMES[usize::try_from(random.below(THEMES.len() as u64)).unwrap()];
        Self {
            kind,
            random,
            bench,
            theme,
            views: Vec::new(),
            inside: false,
            steps: 0,
            checks: 0,
            asked: 0,
            answered: 0,
            crashes: 0,
        }
    }

    /// Steps done, views compared, queries asked, those of them that views answered, and crashes.
    pub(crate) fn counts(&self) -> [u64; 5] {
        [
            self.steps,
            self.checks,
            self.asked,
            self.answered,
            self.crashes,
        ]
    }

    /// All that was done, as SQL.
    pub(crate) fn told(&self) -> String {
        self.bench.log.join("\n")
    }

    pub(crate) fn run(&mut self) -> Outcome {
        for sql in TABLES {
            self.must(sql)?;
        }
        if self.random.below(2) == 0 {
            self.insert_some()?;
        }
        for spec in self.theme.views {
            if self.random.below(4) > 0 {
                self.create(spec)?;
            }
        }
        let steps = 8 + self.random.below(16);
        for _ in 0..steps {
            self.steps += 1;
            let here = self.bench.log.len();
            self.bench.log.push(format!("-- step {}", self.steps));
            self.step()?;
            if self.bench.log.len() > here + 1 {
                self.check(2)?;
            }
            self.compare()?;
        }
        self.check(usize::MAX)?;
        for _ in 0..3 {
            self.compare()?;
        }
        Ok(())
    }

    pub(super) fn must(&mut self, sql: &str) -> Outcome {
        match self.bench.run(sql) {
            Ok(_) => Ok(()),
            Err(error) => Err(wrong(sql, &error)),
        }
    }

    pub(super) fn raw(&self) -> &'static str {
        self.theme.raw
    }

    fn create(&mut self, spec: &'static Spec) -> Outcome {
        let there = |name: &str| self.views.iter().any(|view| view.spec.name == name);
        if there(spec.name) || spec.over.is_some_and(|parent| !there(parent)) {
            return Ok(());
        }
        let with_data = self.random.below(2) == 0;
        self.must(&spec.create(self.raw(), with_data))?;
        self.views.push(View {
            spec,
            frozen: Vec::new(),
        });
        Ok(())
    }

    fn some_view(&self) -> Option<&'static str> {
        if self.views.is_empty() {
            return None;
        }
        let at = self.random.below(self.views.len() as u64);
        Some(self.views[usize::try_from(at).unwrap()].spec.name)
    }

    fn step(&mut self) -> Outcome {
        let raw = self.raw();
        match self.random.below(40) {
            36..=38 => self.reshape(),
            39 => self.truncate_view(),
            30..=33 => self.change_rows(),
            34 | 35 => self.upsert(),
            0..=9 => self.insert_some(),
            10 | 11 => self.load(),
            12 | 13 => self.transaction(),
            14 | 15 => self.bench.flush().map_err(|error| wrong("flush", &error)),
            16 => self.must(&format!(
                "SELECT compress_chunk(c, true) FROM show_chunks('{raw}') c"
            )),
            17 => self.must(&format!(
                "SELECT decompress_chunk(c, true) FROM show_chunks('{raw}') c"
            )),
            18 | 19 => self.refresh(),
            20 => {
                self.bench.reopen();
                Ok(())
            }
            21 => self.truncate(),
            22 | 23 => self.drop_chunks(),
            24 => self.compress_store(),
            25 | 26 => {
                let at = self.random.below(self.theme.views.len() as u64);
                self.create(&self.theme.views[usize::try_from(at).unwrap()])
            }
            27 => match self.kind {
                Kind::Crashing => self.crash(),
                _ => self.drop_view(),
            },
            _ => match (self.kind, raw) {
                (Kind::Crashing, _) => self.crash(),
                (_, "ticks") => self.change_names(),
                _ => self.insert_some(),
            },
        }
    }

    /// Rows are deleted, changed, moved to another time, or put in the place of others.
    fn change_rows(&mut self) -> Outcome {
        // What rows of dropped chunks left behind cannot be computed again.
        if self.frozen_any() {
            return Ok(());
        }
        let (raw, random) = (self.raw(), &self.random);
        let where_ = match (raw, random.below(4)) {
            ("ticks", 0) => format!("size % {} = 1", 2 + random.below(8)),
            ("ticks", 1) => format!("symbol = 's{}'", random.below(4)),
            ("ticks", 2) => format!("exchange IS NULL AND time > '{}'", moment(random)),
            ("ticks", _) => {
                let (from, hours) = (moment(random), 1 + random.below(30));
                format!(
                    "time >= '{from}' AND time < timestamptz '{from}' + interval '{hours} hours'"
                )
            }
            ("counts", 0) => format!("k = {}", random.below(3)),
            ("counts", 1) => format!("at % {} = 0", 2 + random.below(9)),
            ("counts", _) => {
                let from = random.below(600);
                format!("at BETWEEN {from} AND {}", from + random.below(60))
            }
            ("bars", 0) => format!("n % {} = 1", 2 + random.below(8)),
            ("bars", 1) => format!(
                "k = '{}'",
                ["a", "b", "c", "d"][usize::try_from(random.below(4)).unwrap()]
            ),
            ("bars", _) => {
                let (from, hours) = (moment(random), 1 + random.below(40));
                format!("ts >= '{from}' AND ts < timestamptz '{from}' + interval '{hours} hours'")
            }
            (_, 0) => "k = 'b'".to_owned(),
            (_, 1) => "v < 30".to_owned(),
            _ => format!("day < '2025-0{}-15'", 1 + random.below(6)),
        };
        let set = match (raw, random.below(3)) {
            ("ticks", 0) => "price = price + 1, note = NULL",
            ("ticks", 1) => "time = time + interval '1 hour'",
            ("ticks", _) => "volume = 2, weight = NULL, size = size + 1",
            ("counts", 0) => "at = at + 7",
            ("counts", _) => "v = v - 1",
            // Rows of even minutes stay on even ones: keys would meet else.
            ("bars", 0) => "ts = ts + interval '1000 days'",
            ("bars", 1) => "v = v + 1, n = NULL",
            // Its part of a second tells a row's key: see `row`.
            ("bars", _) => "k = k || 'x', ts = ts + interval '4 microseconds', n = n + 1",
            (_, 0) => "day = day + 31",
            _ => "v = v * 2 + 1",
        };
        let sql = match random.below(5) {
            0 | 1 => format!("DELETE FROM {raw} WHERE {where_}"),
            2 if raw == "counts" => {
                let (at, v) = (random.below(600), random.below(50));
                format!(
                    "MERGE INTO counts AS c USING (SELECT {at} + i AS at, i % 3 AS k FROM generate_series(0, {v}) AS i) AS s \
                     ON c.at = s.at AND c.k = s.k WHEN MATCHED THEN UPDATE SET v = {v} \
                     WHEN NOT MATCHED THEN INSERT VALUES (s.at, s.k, {v})"
                )
            }
            _ => format!("UPDATE {raw} SET {set} WHERE {where_}"),
        };
        match raw {
            "bars" => self.attempt(&sql),
            _ => self.must(&sql),
        }
    }

    /// Rows are put in the place of those that have their keys.
    fn upsert(&mut self) -> Outcome {
        if self.raw() != "bars" {
            return self.change_rows();
        }
        if self.frozen_any() {
            return self.insert_some();
        }
        let random = &self.random;
        let keys = 1 + random.below(4);
        let rows = format!(
            "SELECT timestamptz '{}' + i * interval '{} minutes' + (i % {keys}) * interval '1 microsecond' AS ts, \
             chr((97 + i % {keys})::int) AS k, {} + i % 13 AS v, i::int AS n FROM generate_series(1, {}) AS i",
            moment(random),
            1 + random.below(30),
            random.below(90),
            1 + random.below(40)
        );
        let sql = match random.below(5) {
            0 => format!(
                "INSERT INTO bars {rows} ON CONFLICT (k, ts) DO UPDATE SET v = bars.v + excluded.v, n = excluded.n"
            ),
            1 => format!(
                "INSERT INTO bars {rows} ON CONFLICT (k, ts) DO UPDATE SET ts = bars.ts + interval '500 days' WHERE bars.n > 5"
            ),
            2 => format!(
                "MERGE INTO bars USING ({rows}) AS s ON bars.k = s.k AND bars.ts = s.ts \
                 WHEN MATCHED AND s.n % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v, n = bars.n + 1 \
                 WHEN NOT MATCHED AND s.n % 4 > 0 THEN INSERT VALUES (s.ts, s.k, s.v, s.n)"
            ),
            3 => format!(
                "WITH gone AS (DELETE FROM bars WHERE ts < '{}' RETURNING ts, k, v, n) \
                 INSERT INTO bars SELECT ts + interval '2000 days', k, v, n FROM gone ON CONFLICT DO NOTHING",
                moment(random)
            ),
            _ => format!("INSERT INTO bars {rows} ON CONFLICT DO NOTHING"),
        };
        self.attempt(&sql)
    }

    /// Runs what a key may refuse, and then does nothing.
    fn attempt(&mut self, sql: &str) -> Outcome {
        if self.inside {
            self.must("SAVEPOINT attempt")?;
        }
        match self.bench.run(sql) {
            Ok(_) => Ok(()),
            Err(error) if error.code.as_str() == "23505" => {
                self.bench.log.push("-- refused".to_owned());
                match self.inside {
                    true => self.must("ROLLBACK TO attempt"),
                    false => Ok(()),
                }
            }
            Err(error) => Err(wrong(sql, &error)),
        }
    }

    fn drop_view(&mut self) -> Outcome {
        let Some(name) = self.some_view() else {
            return Ok(());
        };
        let child = |view: &View| view.spec.over == Some(name);
        if self.views.iter().any(child) || self.random.below(2) == 0 {
            return Ok(());
        }
        self.must(&format!("DROP MATERIALIZED VIEW {name}"))?;
        self.drop_kept(name)?;
        self.views.retain(|view| view.spec.name != name);
        Ok(())
    }

    fn change_names(&mut self) -> Outcome {
        if self.random.below(4) == 0 {
            return self.must("TRUNCATE names");
        }
        let (symbol, sector) = (self.random.below(5), self.random.below(2));
        self.must(&format!(
            "INSERT INTO names VALUES ('s{symbol}', 'of {sector}')"
        ))
    }

    fn refresh(&mut self) -> Outcome {
        let Some(name) = self.some_view() else {
            return Ok(());
        };
        let bounds = match (self.raw(), self.random.below(3)) {
            (_, 0) => "NULL, NULL".to_owned(),
            ("ticks", 1) => format!("NULL, '{}'", moment(&self.random)),
            ("ticks", _) => format!("'{}', NULL", moment(&self.random)),
            ("counts", _) => format!("{}, NULL", self.random.below(600)),
            _ => "'2025-02-03', NULL".to_owned(),
        };
        self.must(&format!(
            "CALL refresh_continuous_aggregate('{name}', {bounds})"
        ))
    }

    /// The store of a view is compressed.
    fn compress_store(&mut self) -> Outcome {
        let found = self.ask(
            "SELECT relname FROM pg_class WHERE relname LIKE '\\_materialized\\_hypertable\\_%' \
             AND relkind = 'r' ORDER BY 1",
        )?;
        if found.rows.is_empty() {
            return Ok(());
        }
        let at = usize::try_from(self.random.below(found.rows.len() as u64)).unwrap();
        let store = found.rows[at][0].clone().unwrap();
        self.must(&format!(
            "SELECT compress_chunk(c, true) FROM show_chunks('_timescaledb_internal.{store}') c"
        ))
    }

    fn crash(&mut self) -> Outcome {
        let after = self.random.below(60);
        self.bench.plan_crash(after);
        for _ in 0..6 {
            let done = match self.random.below(10) {
                8 | 9 => self.change_rows(),
                0..=3 => self.insert_some(),
                4 => self.load(),
                5 => self.bench.flush().map_err(|error| wrong("flush", &error)),
                6 => self.refresh(),
                _ => {
                    let raw = self.raw();
                    self.must(&format!(
                        "SELECT compress_chunk(c, true) FROM show_chunks('{raw}') c"
                    ))
                }
            };
            if done.is_err() {
                break;
            }
        }
        let again = (self.random.below(2) == 0).then(|| self.random.below(20));
        self.crashes += 1;
        self.bench.crash(again);
        Ok(())
    }

    pub(super) fn ask(&mut self, sql: &str) -> Result<Answer, String> {
        self.bench.ask(sql).map_err(|error| wrong(sql, &error))
    }

    /// What a transaction does is seen by itself, and not at all when it is rolled back.
    fn transaction(&mut self) -> Outcome {
        self.must("BEGIN")?;
        self.inside = true;
        for _ in 0..=self.random.below(3) {
            self.insert_some()?;
            if self.random.below(3) == 0 {
                self.change_rows()?;
            }
            if self.random.below(3) == 0 {
                self.upsert()?;
            }
            if self.random.below(3) == 0 {
                self.check(1)?;
            }
            if self.random.below(2) == 0 {
                self.must("SAVEPOINT s")?;
                self.insert_some()?;
                if self.random.below(2) == 0 {
                    self.change_rows()?;
                }
                if self.random.below(3) == 0 && !self.frozen_any() {
                    let truncated = match (self.random.below(2), self.some_view()) {
                        (0, Some(view)) => view,
                        _ => self.raw(),
                    };
                    self.must(&format!("TRUNCATE {truncated}"))?;
                    self.insert_some()?;
                }
                if self.random.below(2) == 0 {
                    self.check(1)?;
                }
                self.must("ROLLBACK TO s")?;
                if self.random.below(3) == 0 {
                    self.check(1)?;
                }
            }
        }
        self.inside = false;
        match self.random.below(3) {
            0 => self.must("ROLLBACK"),
            _ => self.must("COMMIT"),
        }
    }

    pub(super) fn frozen_any(&self) -> bool {
        self.views.iter().any(|view| !view.frozen.is_empty())
    }

    fn truncate(&mut self) -> Outcome {
        let frozen = |view: &&View| !view.frozen.is_empty();
        // Which months stay of those of which a day is gone nobody needs to know.
        if self
            .views
            .iter()
            .filter(frozen)
            .any(|view| view.spec.bucket.is_none())
        {
            return Ok(());
        }
        let raw = self.raw();
        let mut keep = Vec::new();
        for view in self.views.iter().filter(frozen) {
            let Some((bucket, width)) = view.spec.bucket else {
                continue;
            };
            if view.spec.recomputed {
                continue;
            }
            let frozen = within(bucket, width, &view.frozen);
            let name = view.spec.name;
            keep.push(format!(
                "INSERT INTO ghost_{name} SELECT * FROM {raw} WHERE {frozen}"
            ));
        }
        for sql in keep {
            self.must(&sql)?;
        }
        self.must(&format!("TRUNCATE {raw}"))
    }

    /// A view forgets what rows of dropped chunks left behind, and is its query over the others.
    fn truncate_view(&mut self) -> Outcome {
        let Some(name) = self.some_view() else {
            return Ok(());
        };
        self.must(&format!("TRUNCATE {name}"))?;
        let Some(view) = self.views.iter_mut().find(|view| view.spec.name == name) else {
            return Ok(());
        };
        view.frozen.clear();
        self.drop_kept(name)
    }

    /// What the test keeps of a view's dropped rows is not needed any more.
    fn drop_kept(&mut self, name: &str) -> Outcome {
        for kept in ["ghost", "shadow", "frozen"] {
            self.must(&format!("DROP TABLE IF EXISTS {kept}_{name}"))?;
        }
        Ok(())
    }

    /// Rows go with their chunks; what was computed from them stays.
    fn drop_chunks(&mut self) -> Outcome {
        let raw = self.raw();
        let (columns, time) = columns(raw);
        let chunks = match raw {
            "counts" => "range_start_integer, range_end_integer",
            _ => "range_start, range_end",
        };
        let found = self.ask(&format!(
            "SELECT {chunks} FROM timescaledb_information.chunks WHERE hypertable_name = '{raw}' ORDER BY 1"
        ))?;
        if found.rows.is_empty() {
            return Ok(());
        }
        let count = 1 + usize::try_from(self.random.below(found.rows.len() as u64)).unwrap();
        let quoted = |text: &Option<String>| match (text, raw) {
            (Some(text), "counts") => text.clone(),
            (Some(text), "days") => format!("date '{}'", &text[..10]),
            (Some(text), _) => format!("timestamptz '{text}'"),
            (None, _) => panic!("a chunk without an end"),
        };
        let ranges: Vec<(String, String)> = found
            .rows
            .iter()
            .take(count)
            .map(|row| (quoted(&row[0]), quoted(&row[1])))
            .collect();
        let older = ranges.last().unwrap().1.clone();
        let roots = self.views.iter().filter(|view| view.spec.over.is_none());
        let mut keep = Vec::new();
        for view in roots {
            let name = view.spec.name;
            if view.spec.recomputed {
                let (_, width) = view.spec.bucket.unwrap();
                let mut fresh = within("bucket", width, &ranges);
                if view.frozen.is_empty() {
                    keep.push(format!(
                        "CREATE TABLE frozen_{name} AS SELECT * FROM {name} WITH NO DATA"
                    ));
                } else {
                    // A chunk that was cut, or is read in another zone, has a range written anew.
                    let frozen = within("bucket", width, &view.frozen);
                    fresh = format!("({fresh}) AND NOT ({frozen})");
                }
                keep.push(format!(
                    "INSERT INTO frozen_{name} SELECT * FROM {name} WHERE {fresh}"
                ));
                continue;
            }
            if view.frozen.is_empty() {
                keep.push(format!("CREATE TABLE ghost_{name} ({columns})"));
                keep.push(format!("CREATE TABLE shadow_{name} ({columns})"));
            }
            keep.push(format!(
                "INSERT INTO ghost_{name} SELECT * FROM {raw} WHERE {time} < {older}"
            ));
        }
        for sql in keep {
            self.must(&sql)?;
        }
        self.must(&format!("SELECT drop_chunks('{raw}', {older})"))?;
        for view in &mut self.views {
            if view.spec.over.is_none() {
                for range in &ranges {
                    if !view.frozen.contains(range) {
                        view.frozen.push(range.clone());
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn insert_some(&mut self) -> Outcome {
        let raw = self.raw();
        // What a table with a key has already stays as it is.
        let else_ = match raw {
            "bars" => " ON CONFLICT DO NOTHING",
            _ => "",
        };
        if self.random.below(5) == 0 {
            let sql = match raw {
                "ticks" => format!(
                    "INSERT INTO ticks SELECT timestamptz '{}' + i * interval '{} seconds' + ((i % 4) * 4 + i % 2) * interval '1 microsecond', 's' || i % 4, 'x' || i % 2, 100 + i % 17, i % 5, i % 11, i / 8.0, i % 3 = 0, 'n' || i % 6 FROM generate_series(1, {}) AS i",
                    moment(&self.random),
                    1 + self.random.below(500),
                    10 + self.random.below(60)
                ),
                "bars" => format!(
                    "INSERT INTO bars SELECT timestamptz '{}' + i * interval '{} seconds' + (i % 4) * interval '1 microsecond', chr((97 + i % 4)::int), 100 + i % 17, i FROM generate_series(1, {}) AS i{else_}",
                    moment(&self.random),
                    1 + self.random.below(500),
                    10 + self.random.below(60)
                ),
                "counts" => format!(
                    "INSERT INTO counts SELECT i * {} % 600, i % 3, i FROM generate_series(1, {}) AS i",
                    1 + self.random.below(7),
                    10 + self.random.below(100)
                ),
                _ => format!(
                    "INSERT INTO days SELECT date '2025-01-01' + i * {} % 180, chr(97 + i % 3), i / 4.0 FROM generate_series(1, {}) AS i",
                    1 + self.random.below(7),
                    10 + self.random.below(100)
                ),
            };
            return self.must(&sql);
        }
        if self.random.below(12) == 0 {
            let filter = match raw {
                "ticks" => format!("size = {}", self.random.below(12)),
                "bars" => format!("n % 7 = {}", self.random.below(7)),
                "counts" => format!("v % 7 = {}", self.random.below(7)),
                _ => "k = 'a'".to_owned(),
            };
            return self.must(&format!(
                "INSERT INTO {raw} SELECT * FROM {raw} WHERE {filter} LIMIT 50{else_}"
            ));
        }
        let count = match self.random.below(3) {
            0 => 1,
            _ => 1 + self.random.below(12),
        };
        let mut sql = format!("INSERT INTO {raw} VALUES ");
        for at in 0..count {
            let row: Vec<String> = self
                .row()
                .into_iter()
                .map(|cell| match cell {
                    Some(text) => format!("'{text}'"),
                    None => "NULL".to_owned(),
                })
                .collect();
            let _ = write!(
                sql,
                "{}({})",
                if at == 0 { "" } else { ", " },
                row.join(", ")
            );
        }
        self.must(&(sql + else_))
    }

    /// So many rows at once that they go to cold parts.
    fn load(&mut self) -> Outcome {
        let mut data = String::new();
        let count = 100 + self.random.below(300);
        let since = self.random.below(1 << 20);
        for at in 0..count {
            let mut row = self.row();
            if self.raw() == "bars" {
                let second = since + at * 67;
                let (day, hour) = (second / 86_400 % 28 + 1, second / 3600 % 24);
                let (minute, second) = (second / 60 % 60, second % 60);
                row[0] = Some(format!(
                    "2025-03-{day:02} {hour:02}:{minute:02}:{second:02}+00"
                ));
            }
            let row: Vec<String> = row
                .into_iter()
                .map(|cell| cell.unwrap_or_else(|| "\\N".to_owned()))
                .collect();
            let _ = writeln!(data, "{}", row.join("\t"));
        }
        let raw = self.raw();
        match self.bench.copy(raw, data) {
            Ok(_) => Ok(()),
            Err(error) if raw == "bars" && error.code.as_str() == "23505" => Ok(()),
            Err(error) => Err(wrong("COPY", &error)),
        }
    }

    fn row(&self) -> Vec<Option<String>> {
        let random = &self.random;
        let none = |text: String| (random.below(8) > 0).then_some(text);
        match self.raw() {
            "ticks" => {
                // Equal times are of equal symbol and exchange: among others nobody knows who was first.
                let (symbol, exchange) = (random.below(5), random.below(4));
                let time = match random.below(40) {
                    0 => "2020-02-29 12:00:00+00".to_owned(),
                    1 => "2099-12-31 23:59:59+00".to_owned(),
                    _ => moment(random),
                };
                let time = time.replace("+00", &format!(".{:06}+00", symbol * 4 + exchange));
                vec![
                    Some(time),
                    (symbol < 4).then(|| format!("s{symbol}")),
                    ["x0", "x1", "X1"]
                        .get(usize::try_from(exchange).unwrap())
                        .map(|&x| x.to_owned()),
                    none(format!("{}.{:04}", random.below(120), random.below(10_000))),
                    none(format!("{}.{}", random.below(9), random.below(1000))),
                    none(random.below(11).to_string()),
                    none(format!(
                        "{}",
                        f64::from(u32::try_from(random.below(200)).unwrap()) / 8.0
                    )),
                    none((random.below(3) > 0).to_string()),
                    none(format!("n{}", random.below(30))),
                ]
            }
            "bars" => {
                // Equal times are of equal keys, for the same reason.
                let key = random.below(4);
                vec![
                    Some(moment(random).replace("+00", &format!(".{key:06}+00"))),
                    Some(["a", "b", "c", "d"][usize::try_from(key).unwrap()].to_owned()),
                    none(format!("{}.{:02}", random.below(100), random.below(100))),
                    none(random.below(20).to_string()),
                ]
            }
            "counts" => vec![
                Some((signed(random.below(640)) - 40).to_string()),
                none(random.below(3).to_string()),
                none((signed(random.below(2000)) - 1000).to_string()),
            ],
            _ => {
                let (month, day) = (1 + random.below(6), 1 + random.below(28));
                vec![
                    Some(format!("2025-{month:02}-{day:02}")),
                    none(["a", "b", "c"][usize::try_from(random.below(3)).unwrap()].to_owned()),
                    Some(format!("{}.{:02}", random.below(100), month * day % 100)),
                ]
            }
        }
    }

    /// Views equal their queries: so many of them, chosen at random.
    pub(super) fn check(&mut self, most: usize) -> Outcome {
        let mut names: Vec<usize> = (0..self.views.len()).collect();
        while names.len() > most {
            let at = self.random.below(names.len() as u64);
            names.remove(usize::try_from(at).unwrap());
        }
        for at in names {
            let view = &self.views[at];
            let spec = view.spec;
            let shown = self.ask(&format!("SELECT * FROM {}", spec.name))?;
            let expected = self.expected(at)?;
            self.checks += 1;
            if let Some(how) = shown.differs(&expected) {
                return Err(format!("{} is not its query: {how}", spec.name));
            }
        }
        Ok(())
    }

    fn root(&self, mut at: usize) -> usize {
        while let Some(parent) = self.views[at].spec.over {
            let found = self.views.iter().position(|view| view.spec.name == parent);
            at = found.unwrap();
        }
        at
    }

    fn expected(&mut self, at: usize) -> Result<Answer, String> {
        let (raw, spec) = (self.raw(), self.views[at].spec);
        self.ask("SET timescaledb.enable_cagg_rewrites = off")?;
        let answer = match (spec.over, spec.direct) {
            (Some(_), None) => self.ask(spec.query)?,
            (_, direct) => {
                let query = direct.unwrap_or(spec.query);
                let root = self.root(at);
                let root = &self.views[root];
                let name = root.spec.name;
                if root.frozen.is_empty() {
                    self.ask(&query.replace("{raw}", raw))?
                } else if spec.recomputed {
                    let (_, width) = spec.bucket.unwrap();
                    let frozen = within("bucket", width, &root.frozen);
                    let query = query.replace("{raw}", raw);
                    self.ask(&format!(
                        "SELECT * FROM frozen_{name} UNION ALL SELECT * FROM ({query}) AS q WHERE NOT ({frozen})"
                    ))?
                } else {
                    let shadow = format!("shadow_{name}");
                    self.ask(&format!("TRUNCATE {shadow}"))?;
                    self.ask(&format!("INSERT INTO {shadow} SELECT * FROM ghost_{name}"))?;
                    self.ask(&format!("INSERT INTO {shadow} SELECT * FROM {raw}"))?;
                    self.ask(&query.replace("{raw}", &shadow))?
                }
            }
        };
        self.ask("SET timescaledb.enable_cagg_rewrites = on")?;
        Ok(answer)
    }

    /// A query over raw rows says the same with views and without.
    fn compare(&mut self) -> Outcome {
        if self.raw() == "ticks" && self.random.below(6) == 0 {
            let zones = [
                "UTC",
                "Europe/Zurich",
                "Australia/Lord_Howe",
                "Asia/Kolkata",
            ];
            let zone = zones[usize::try_from(self.random.below(4)).unwrap()];
            self.must(&format!("SET timezone = '{zone}'"))?;
        }
        let sql = queries::query(&self.random, self.raw(), self.theme.views[0].name);
        let on = self.bench.ask(&sql);
        self.ask("SET timescaledb.enable_cagg_rewrites = off")?;
        let off = self.bench.ask(&sql);
        self.ask("SET timescaledb.enable_cagg_rewrites = on")?;
        self.asked += 1;
        let plan = self.ask(&format!("EXPLAIN {sql}"))?;
        let used = plan
            .rows
            .iter()
            .filter_map(|row| row[0].as_deref())
            .find(|line| line.contains("Answered from"));
        if used.is_some() {
            self.answered += 1;
        }
        match (on, off) {
            (Ok(on), Ok(off)) => match on.differs(&off) {
                None => Ok(()),
                Some(how) => Err(format!("{sql};\n{used:?} is not what the rows say: {how}")),
            },
            (Err(on), Err(off)) if on.code == off.code => Ok(()),
            (on, off) => Err(format!("{sql};\n{used:?}: {:?} {:?}", on.err(), off.err())),
        }
    }
}

fn wrong(sql: &str, error: &Error) -> String {
    format!("{sql};\n{}: {error:?}", error.code.as_str())
}

/// Whether a bucket meets one of some ranges.
fn within(bucket: &str, width: &str, ranges: &[(String, String)]) -> String {
    let meets = ranges
        .iter()
        .map(|(from, to)| format!("({bucket} < {to} AND {bucket} + {width} > {from})"));
    meets.collect::<Vec<_>>().join(" OR ")
}
