//! Steps that change how a hypertable lies, and none of its rows.

use super::history::{History, Outcome};

impl History {
    /// Chunks are merged, cut, taken out and put back, get another width, or columns come and go.
    pub(super) fn reshape(&mut self) -> Outcome {
        let raw = self.raw();
        match self.random.below(6) {
            0 => {
                let chunks = self.chunks()?;
                let pairs: Vec<_> = chunks
                    .windows(2)
                    .filter(|pair| pair[0].end == pair[1].start)
                    .collect();
                let Some(pair) = self.one_of(&pairs) else {
                    return Ok(());
                };
                self.must(&format!(
                    "CALL merge_chunks('{}', '{}')",
                    pair[0].name, pair[1].name
                ))
            }
            1 => {
                let chunks = self.chunks()?;
                let Some(chunk) = self.one_of(&chunks) else {
                    return Ok(());
                };
                self.must(&format!("CALL split_chunk('{}')", chunk.name))
            }
            2 => {
                let widths = match raw {
                    "counts" => ["50", "100", "170"],
                    "days" => ["interval '2 days'", "interval '1 day'", "interval '9 days'"],
                    _ => [
                        "interval '12 hours'",
                        "interval '1 day'",
                        "interval '9 days'",
                    ],
                };
                let Some(width) = self.one_of(&widths) else {
                    return Ok(());
                };
                self.must(&format!("SELECT set_chunk_time_interval('{raw}', {width})"))
            }
            // What dropped chunks left behind is compared in tables of the columns that there were.
            3 if !self.frozen_any() => {
                self.must(&format!("ALTER TABLE {raw} ADD COLUMN extra int DEFAULT 3"))?;
                self.insert_some()?;
                self.check(1)?;
                self.must(&format!("ALTER TABLE {raw} DROP COLUMN extra"))
            }
            _ => self.take_out(),
        }
    }

    /// A chunk becomes a table: its rows are gone. Then they are there again.
    fn take_out(&mut self) -> Outcome {
        if self.frozen_any() {
            return Ok(());
        }
        let raw = self.raw();
        let chunks = self.chunks()?;
        let Some(chunk) = self.one_of(&chunks) else {
            return Ok(());
        };
        let time = match raw {
            "ticks" => "time",
            "counts" => "at",
            "bars" => "ts",
            _ => "day",
        };
        self.must(&format!("CALL detach_chunk('{}')", chunk.name))?;
        self.check(2)?;
        if self.random.below(3) == 0 {
            return self.must(&format!("DROP TABLE {}", chunk.name));
        }
        let edge = |text: &str| match raw {
            "counts" => text.to_owned(),
            _ => format!("\"{text}\""),
        };
        self.must(&format!(
            "CALL attach_chunk('{raw}', '{}', '{{\"{time}\": [{}, {}]}}')",
            chunk.name,
            edge(&chunk.start),
            edge(&chunk.end)
        ))
    }

    fn chunks(&mut self) -> Result<Vec<Lies>, String> {
        let raw = self.raw();
        let ends = match raw {
            "counts" => "range_start_integer::text, range_end_integer::text",
            _ => "range_start::text, range_end::text",
        };
        let found = self.ask(&format!(
            "SELECT format('%I.%I', chunk_schema, chunk_name), {ends} FROM timescaledb_information.chunks \
             WHERE hypertable_name = '{raw}' ORDER BY range_start, range_start_integer"
        ))?;
        let cell = |row: &[Option<String>], at: usize| row[at].clone().unwrap_or_default();
        Ok(found
            .rows
            .iter()
            .map(|row| Lies {
                name: cell(row, 0),
                start: cell(row, 1),
                end: cell(row, 2),
            })
            .collect())
    }

    fn one_of<T: Clone>(&self, all: &[T]) -> Option<T> {
        let count = u64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        all.get(usize::try_from(self.random.below(count)).ok()?)
            .cloned()
    }
}

/// A chunk and its range.
#[derive(Debug, Clone)]
struct Lies {
    name: String,
    start: String,
    end: String,
}
