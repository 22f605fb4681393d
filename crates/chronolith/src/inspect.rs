//! What an open database holds, table by table.

use chronolith_types::{SqlType, datetime};

use crate::database::Database;

/// One database of a data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSummary {
    /// Its name.
    pub name: String,
    /// Its tables, by schema and name.
    pub tables: Vec<TableSummary>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSummary {
    /// The schema it lies in.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Whether it is a hypertable.
    pub hypertable: bool,
    /// Its chunks in the order of their ranges; a plain table has one.
    pub chunks: Vec<ChunkSummary>,
}

/// One chunk, as far as it lies in cold parts: rows that are only in memory and in the log are
/// not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSummary {
    /// Its name; a plain table's has none.
    pub name: String,
    /// The first value of its range, as its column's type shows it.
    pub start: String,
    /// Where its range ends, excluded.
    pub end: String,
    /// How many cold parts it has.
    pub parts: usize,
    /// Rows in them, deleted ones included.
    pub rows: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Whether it is compressed.
    pub compressed: bool,
}

impl Database {
    /// What is in the databases of this directory.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().expect("a temporary directory");
    /// # let db = chronolith::Database::open(dir.path())?;
    /// db.connect()?.execute("CREATE TABLE notes (body text)")?;
    /// let databases = db.inspect();
    /// let postgres = databases.iter().find(|database| database.name == "postgres");
    /// assert_eq!(postgres.expect("born with it").tables[0].name, "notes");
    /// # Ok::<(), chronolith::Error>(())
    /// ```
    #[must_use]
    pub fn inspect(&self) -> Vec<DatabaseSummary> {
        let catalog = self.engine().catalog();
        let databases = catalog.databases.values();
        databases
            .map(|database| {
                let mut tables: Vec<TableSummary> = database
                    .tables
                    .values()
                    .map(|table| summary(database, table))
                    .collect();
                tables.sort_by(|a, b| (&a.schema, &a.name).cmp(&(&b.schema, &b.name)));
                DatabaseSummary {
                    name: database.name.clone(),
                    tables,
                }
            })
            .collect()
    }
}

fn summary(
    database: &chronolith_catalog::Database,
    table: &chronolith_catalog::Table,
) -> TableSummary {
    let hypertable = table.hypertable.as_ref();
    let time = hypertable
        .and_then(|hypertable| table.column(hypertable.time))
        .map(|column| &column.ty);
    let mut chunks: Vec<_> = table.chunks.values().collect();
    chunks.sort_by_key(|chunk| chunk.range.start);
    TableSummary {
        schema: database
            .schemas
            .get(&table.schema)
            .map_or_else(String::new, |schema| schema.name.clone()),
        name: table.name.clone(),
        hypertable: hypertable.is_some(),
        chunks: chunks
            .into_iter()
            .map(|chunk| ChunkSummary {
                name: hypertable.map_or_else(String::new, |hypertable| chunk.name(hypertable.id)),
                start: bound(chunk.range.start, time),
                end: bound(chunk.range.end, time),
                parts: chunk.parts.len(),
                rows: chunk.parts.iter().map(|part| part.rows).sum(),
                bytes: chunk
                    .parts
                    .iter()
                    .map(|part| part.data.bytes + part.directory.bytes)
                    .sum(),
                compressed: chunk.compressed,
            })
            .collect(),
    }
}

/// A bound of a range as the time column's type shows it: ranges are counted in µs, or in the
/// numbers of an integer column.
fn bound(value: i64, ty: Option<&SqlType>) -> String {
    match (value, ty) {
        (i64::MIN, _) => "-infinity".to_owned(),
        (i64::MAX, _) => "infinity".to_owned(),
        (us, Some(SqlType::Timestamptz(_) | SqlType::Timestamp(_) | SqlType::Date)) => {
            let mut out = Vec::new();
            datetime::write_timestamp(us, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_shown_as_their_column_shows_them() {
        let timestamptz = Some(&SqlType::Timestamptz(None));
        assert_eq!(
            bound(1_767_571_200_000_000, timestamptz),
            "2026-01-05 00:00:00"
        );
        assert_eq!(bound(-1, timestamptz), "1969-12-31 23:59:59.999999");
        assert_eq!(
            bound(951_782_400_000_000, timestamptz),
            "2000-02-29 00:00:00"
        );
        assert_eq!(bound(1000, Some(&SqlType::Int8)), "1000");
        assert_eq!(bound(i64::MIN, None), "-infinity");
    }
}
