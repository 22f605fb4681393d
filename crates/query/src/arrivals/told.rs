//! COPY into TimescaleDB's own tables: what a dump says that its tables are.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{ArrivalChange, ArrivedRow, Database, Table};
use chronolith_sql::Name;
use chronolith_types::{SqlState, TableId};

use super::chunks::compressed;
use super::pass::CATALOGS;
use super::{alone, candles, change, jobs, key, views};
use crate::ddl::hypertable::{self, Plan, Width, table_of};
use crate::error::Error;
use crate::labels::{self, Cut, Ordered, Packed, Series};
use crate::session::Shared;

/// The tables whose rows mean something here; all others are read, and say what is known or seen
/// anew: slices and constraints of chunks, watermarks, invalidations, sizes.
const MEANT: [&str; 6] = [
    "bgw_job",
    "chunk",
    "compression_settings",
    "dimension",
    "hypertable",
    "tablespace",
];

/// Whether a table is one of TimescaleDB's own, or there is nothing of it.
///
/// # Errors
/// 3D000 for a database that was dropped.
pub(crate) fn is_told(shared: &Shared, name: &Name) -> Result<bool, Error> {
    let Some(schema) = name.schema() else {
        return Ok(false);
    };
    let known = key(schema, name.name());
    Ok(CATALOGS.contains(&schema) || shared.home()?.arrival.aside.contains(&known))
}

/// Rows for one of TimescaleDB's tables, while they come.
#[derive(Debug)]
pub(crate) struct Told {
    table: String,
    columns: Vec<String>,
    rows: Vec<ArrivedRow>,
}

impl Told {
    pub(crate) fn new(table: &str, columns: &[String]) -> Self {
        Self {
            table: table.to_owned(),
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Takes rows, as texts.
    pub(crate) fn write(&mut self, batch: &RecordBatch) {
        if !MEANT.contains(&self.table.as_str()) {
            return;
        }
        for row in 0..batch.num_rows() {
            let values = batch.columns().iter().map(|column| {
                let column = column.as_string_view_opt();
                let value = column.filter(|column| !column.is_null(row));
                value.map(|column| column.value(row).to_owned())
            });
            self.rows
                .push(self.columns.iter().cloned().zip(values).collect());
        }
    }

    /// All rows have come: what they say is done, as far as all is there.
    ///
    /// # Errors
    /// 0A000 for what cannot be restored.
    pub(crate) fn finish(&mut self, shared: &Arc<Shared>) -> Result<(), Error> {
        alone(shared)?;
        if self.columns.is_empty() && MEANT.contains(&self.table.as_str()) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "COPY to TimescaleDB's own tables without columns is not supported",
            )
            .hint("Dump with pg_dump, which names the columns."));
        }
        if self.table == "chunk" {
            return refuse_compressed(shared, &self.rows);
        }
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let table = self.table.clone();
        change(shared, ArrivalChange::Tell { table, rows })?;
        settle(shared)
    }
}

/// A value of a row.
pub(super) fn text<'r>(row: &'r ArrivedRow, column: &str) -> Option<&'r str> {
    row.get(column)?.as_deref()
}

pub(super) fn number<T: std::str::FromStr>(row: &ArrivedRow, column: &str) -> Option<T> {
    text(row, column)?.parse().ok()
}

/// A row's column that is set.
pub(super) fn is(row: &ArrivedRow, column: &str) -> bool {
    text(row, column) == Some("t")
}

fn refuse_compressed(shared: &Shared, rows: &[ArrivedRow]) -> Result<(), Error> {
    let packed =
        |row: &&ArrivedRow| text(row, "compressed_chunk_id").is_some() && !is(row, "dropped");
    let Some(first) = rows.iter().find(packed) else {
        return Ok(());
    };
    let home = shared.home()?;
    let hypertable = text(first, "hypertable_id");
    let told = home.arrival.told.get("hypertable");
    let mut told = told.into_iter().flatten();
    let of = told.find(|row| text(row, "id") == hypertable);
    let count = rows.iter().filter(packed).count();
    let name = of.and_then(|row| text(row, "table_name")).unwrap_or("?");
    let what = format!("compressed chunks of TimescaleDB ({count}, the first one of \"{name}\")");
    Err(compressed(&what))
}

/// Does what has been told so far.
pub(super) fn settle(shared: &Arc<Shared>) -> Result<(), Error> {
    let home = shared.home()?;
    let told = |table: &str| home.arrival.told.get(table).into_iter().flatten();
    for row in told("hypertable").filter(|row| text(row, "compression_state") != Some("2")) {
        let id = text(row, "id");
        let mut cuts: Vec<&ArrivedRow> = told("dimension")
            .filter(|cut| text(cut, "hypertable_id") == id)
            .collect();
        cuts.sort_by_key(|cut| number::<i32>(cut, "id"));
        let open = |cut: &&ArrivedRow| text(cut, "interval_length").is_some();
        let Some(time) = cuts.iter().position(open) else {
            continue;
        };
        let time = cuts.remove(time);
        let candle = candles(
            text(row, "schema_name"),
            text(row, "table_name").unwrap_or(""),
        );
        if candle.is_none() {
            make(shared, row, time)?;
        }
        views::settle(shared)?;
        let Some(table) = target(shared, row)? else {
            continue;
        };
        let series = series(&table, row, time, &cuts, &told)?;
        labels::settle(shared, table.id, &series)?;
    }
    jobs::settle(shared)
}

/// The hypertable that a row tells of: that of a continuous aggregate is its store.
pub(super) fn target(shared: &Shared, row: &ArrivedRow) -> Result<Option<Arc<Table>>, Error> {
    let home = shared.home()?;
    let (schema, name) = (text(row, "schema_name"), text(row, "table_name"));
    if let Some(number) = candles(schema, name.unwrap_or_default()) {
        let aggregate = home.arrival.aggregates.get(&number);
        let store = aggregate.and_then(|of| of.store);
        return Ok(store.and_then(|store| home.tables.get(&store).cloned()));
    }
    let table = shared.find_table(schema, name.unwrap_or_default())?;
    Ok(table.filter(|table| table.hypertable.is_some()))
}

/// A hypertable that has no chunk is known by its row alone.
fn make(shared: &Arc<Shared>, row: &ArrivedRow, time: &ArrivedRow) -> Result<(), Error> {
    let (schema, name) = (text(row, "schema_name"), text(row, "table_name"));
    let table = shared.find_table(schema, name.unwrap_or_default())?;
    let table =
        table.ok_or_else(|| crate::insert::undefined_table(schema, name.unwrap_or_default()))?;
    if table.hypertable.is_some() {
        return Ok(());
    }
    let plan = Plan {
        table: table.id,
        column: text(time, "column_name").unwrap_or_default().to_owned(),
        width: number(time, "interval_length").map(Width::Number),
        default_indexes: false,
        if_not_exists: true,
        migrate_data: true,
        number: number(row, "id").map(chronolith_types::HypertableId),
    };
    hypertable::make(shared, &plan).map(|_| ())
}

fn series<'r, I: Iterator<Item = &'r ArrivedRow>>(
    table: &Table,
    row: &ArrivedRow,
    time: &ArrivedRow,
    cuts: &[&ArrivedRow],
    told: &impl Fn(&'static str) -> I,
) -> Result<Series, Error> {
    let id = text(row, "id");
    let known = table.hypertable.as_ref();
    let function = |row: &ArrivedRow| {
        let schema = text(row, "integer_now_func_schema")?;
        Some((schema.to_owned(), text(row, "integer_now_func")?.to_owned()))
    };
    let cut = |cut: &&ArrivedRow| {
        Some(Cut {
            column: text(cut, "column_name")?.to_owned(),
            partitions: number(cut, "num_slices"),
            interval: number(cut, "interval_length"),
        })
    };
    let tablespaces = told("tablespace").filter(|of| text(of, "hypertable_id") == id);
    let tablespaces = tablespaces.filter_map(|of| text(of, "tablespace_name"));
    Ok(Series {
        column: known
            .and_then(|known| table.column(known.time))
            .map(|column| column.name.clone())
            .unwrap_or_default(),
        chunk_interval: number(time, "interval_length").unwrap_or(1),
        integer_now: function(time),
        dimensions: cuts.iter().filter_map(cut).collect(),
        compression: match text(row, "compression_state") {
            Some("1") => Some(packed(table, row, time, told("compression_settings"))?),
            _ => None,
        },
        tablespaces: tablespaces.map(str::to_owned).collect(),
        ..Series::default()
    })
}

/// How a hypertable is compressed. Columns that a store calls by other names are left to it.
fn packed<'r>(
    table: &Table,
    row: &ArrivedRow,
    time: &ArrivedRow,
    mut settings: impl Iterator<Item = &'r ArrivedRow>,
) -> Result<Packed, Error> {
    let (schema, name) = (text(row, "schema_name"), text(row, "table_name"));
    let plain = |text: &str| text.replace('"', "");
    let own = [
        format!(
            "{}.{}",
            schema.unwrap_or_default(),
            name.unwrap_or_default()
        ),
        name.unwrap_or_default().to_owned(),
    ];
    let found = settings.find(|of| text(of, "relid").is_some_and(|of| own.contains(&plain(of))));
    let interval = number(time, "compress_interval_length");
    let Some(found) = found else {
        return Ok(Packed {
            chunk_interval: interval,
            ..Packed::default()
        });
    };
    let list = |column: &str| -> Result<Vec<String>, Error> {
        text(found, column).map_or(Ok(Vec::new()), elements)
    };
    let there = |column: &String| table.column_named(column).is_some();
    let flags = |column: &str| Ok::<_, Error>(list(column)?.into_iter().map(|flag| flag == "t"));
    let orders = list("orderby")?
        .into_iter()
        .zip(flags("orderby_desc")?)
        .zip(flags("orderby_nullsfirst")?)
        .map(|((column, descending), nulls_first)| Ordered {
            column,
            descending,
            nulls_first,
        });
    Ok(Packed {
        segment_by: match text(found, "segmentby") {
            None => None,
            Some(_) => Some(list("segmentby")?.into_iter().filter(there).collect()),
        },
        order_by: orders.filter(|order| there(&order.column)).collect(),
        chunk_interval: interval,
        indexes: None,
    })
}

/// The elements of an array of texts.
fn elements(array: &str) -> Result<Vec<String>, Error> {
    let wrong = || Error::internal("an array that is none");
    let inner = array.strip_prefix('{').and_then(|of| of.strip_suffix('}'));
    let mut rest = inner.ok_or_else(wrong)?.chars().peekable();
    let mut all = Vec::new();
    while rest.peek().is_some() {
        let mut element = String::new();
        let quoted = rest.next_if_eq(&'"').is_some();
        while let Some(next) = rest.next() {
            match next {
                '\\' => element.extend(rest.next()),
                '"' if quoted => {
                    rest.next();
                    break;
                }
                ',' if !quoted => break,
                other => element.push(other),
            }
        }
        all.push(element);
    }
    Ok(all)
}

/// The hypertable of a number of the dump.
pub(super) fn hypertable_numbered(
    shared: &Shared,
    home: &Database,
    number: &str,
) -> Result<Option<TableId>, Error> {
    let mut told = home.arrival.told.get("hypertable").into_iter().flatten();
    let Some(row) = told.find(|row| text(row, "id") == Some(number)) else {
        return Ok(None);
    };
    let Some(found) = target(shared, row)? else {
        return Ok(None);
    };
    table_of(shared, found.id).map(|table| Some(table.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_arrays_may_be_quoted() {
        let read = |text: &str| elements(text).unwrap_or_default();
        assert_eq!(read("{}"), Vec::<String>::new());
        assert_eq!(read("{symbol,exchange}"), ["symbol", "exchange"]);
        assert_eq!(read(r#"{"Big Name",b}"#), ["Big Name", "b"]);
        assert_eq!(read(r#"{"a,b","c\"d"}"#), ["a,b", "c\"d"]);
        assert_eq!(read("{t,f}"), ["t", "f"]);
        assert!(elements("x").is_err());
    }
}
