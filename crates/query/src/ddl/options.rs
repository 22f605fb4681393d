//! Options in WITH (…) and SET (…) of tables: TimescaleDB's, and PostgreSQL's of storage.

use chronolith_catalog::{Compression, OrderBy, Table};
use chronolith_sql::Opt;
use chronolith_types::SqlState;

use crate::error::Error;

/// What a table's options ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableOptions {
    pub(crate) hypertable: bool,
    pub(crate) partition_column: Option<String>,
    pub(crate) chunk_interval: Option<String>,
    pub(crate) create_default_indexes: bool,
    /// `compress`, `columnstore`.
    pub(crate) compress: Option<bool>,
    pub(crate) segment_by: Option<String>,
    pub(crate) order_by: Option<String>,
}

impl TableOptions {
    /// Reads them.
    ///
    /// # Errors
    /// 22023 for an option nobody knows or a value it does not take.
    pub(crate) fn read(options: &[Opt]) -> Result<Self, Error> {
        let mut read = Self {
            create_default_indexes: true,
            ..Self::default()
        };
        for option in options {
            let Some((space, name)) = option.name.split_once('.') else {
                storage(option)?;
                continue;
            };
            if !matches!(space, "timescaledb" | "tsdb") {
                return Err(invalid(
                    option,
                    format!("unrecognized parameter namespace \"{space}\""),
                ));
            }
            let text = || -> Result<Option<String>, Error> {
                match &option.value {
                    Some(value) => Ok(Some(value.clone())),
                    None => Err(invalid(
                        option,
                        format!("parameter \"{}\" must have a value", option.name),
                    )),
                }
            };
            match name {
                "hypertable" => read.hypertable = boolean(option)?,
                "partition_column" => read.partition_column = text()?,
                "compress_chunk_time_interval" => {
                    return Err(Error::unsupported(format!("option \"{}\"", option.name)));
                }
                "chunk_interval" | "chunk_time_interval" => read.chunk_interval = text()?,
                "create_default_indexes" => read.create_default_indexes = boolean(option)?,
                "compress" | "columnstore" | "enable_columnstore" => {
                    read.compress = Some(boolean(option)?);
                }
                "compress_segmentby" | "segmentby" => {
                    read.segment_by = Some(option.value.clone().unwrap_or_default());
                }
                "compress_orderby" | "orderby" => {
                    read.order_by = Some(option.value.clone().unwrap_or_default());
                }
                _ => {
                    return Err(invalid(
                        option,
                        format!("unrecognized parameter \"{}\"", option.name),
                    ));
                }
            }
        }
        Ok(read)
    }

    /// 0A000 where only an ordinary table can be made.
    pub(crate) fn refuse_hypertable(&self) -> Result<(), Error> {
        if self.hypertable {
            return Err(Error::unsupported("a hypertable by CREATE TABLE AS"));
        }
        Ok(())
    }

    /// The compression settings they ask for, over those a table has.
    ///
    /// # Errors
    /// 42703 for a column that is none of the table's.
    pub(crate) fn compression(&self, table: &Table) -> Result<Option<Compression>, Error> {
        let known = table
            .hypertable
            .as_ref()
            .and_then(|hypertable| hypertable.compression.clone());
        let touched =
            self.compress == Some(true) || self.segment_by.is_some() || self.order_by.is_some();
        if !touched {
            return Ok(known);
        }
        let mut compression = known.unwrap_or_default();
        if let Some(list) = &self.segment_by {
            compression.segment_by = split(list)
                .iter()
                .map(|name| column(table, name, "segmentby"))
                .collect::<Result<_, _>>()?;
        }
        if let Some(list) = &self.order_by {
            compression.order_by = split(list)
                .iter()
                .map(|item| order(table, item))
                .collect::<Result<_, _>>()?;
        }
        let both = compression
            .order_by
            .iter()
            .find(|order| compression.segment_by.contains(&order.column));
        if let Some(both) = both {
            let name = table.column(both.column).map_or("", |c| c.name.as_str());
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("cannot use column \"{name}\" for both ordering and segmenting"),
            )
            .hint("Use separate columns for the timescaledb.compress_orderby and timescaledb.compress_segmentby options."));
        }
        Ok(Some(compression))
    }
}

/// Storage parameters of PostgreSQL's heap: they tune what is not here, and change no answer.
fn storage(option: &Opt) -> Result<(), Error> {
    let name = option.name.as_str();
    let known = matches!(
        name,
        "fillfactor" | "parallel_workers" | "toast_tuple_target" | "user_catalog_table"
    ) || name.starts_with("autovacuum_");
    if known {
        return Ok(());
    }
    Err(invalid(
        option,
        format!("unrecognized parameter \"{name}\""),
    ))
}

fn invalid(option: &Opt, message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(u32::try_from(option.position).ok())
}

fn boolean(option: &Opt) -> Result<bool, Error> {
    option.bool().ok_or_else(|| {
        invalid(
            option,
            format!(
                "invalid value for {} '{}'",
                option.name,
                option.value.as_deref().unwrap_or_default()
            ),
        )
    })
}

fn split(list: &str) -> Vec<String> {
    let mut items = Vec::new();
    let (mut item, mut quoted) = (String::new(), false);
    for letter in list.chars() {
        match letter {
            '"' => {
                quoted = !quoted;
                item.push(letter);
            }
            ',' if !quoted => items.push(std::mem::take(&mut item)),
            _ => item.push(letter),
        }
    }
    items.push(item);
    items.retain(|item| !item.trim().is_empty());
    items.iter().map(|item| item.trim().to_owned()).collect()
}

/// A name as SQL spells it: folded unless quoted.
fn folded(name: &str) -> String {
    match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_lowercase(),
    }
}

fn column(table: &Table, name: &str, option: &str) -> Result<chronolith_types::ColumnId, Error> {
    let name = folded(name);
    match table.column_named(&name) {
        Some((_, column)) => Ok(column.id),
        None => Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" does not exist"),
        )
        .hint(format!(
            "The timescaledb.{option} option must reference a valid column."
        ))),
    }
}

fn order(table: &Table, item: &str) -> Result<OrderBy, Error> {
    let (name, rest) = if item.starts_with('"') {
        let end = item.get(1..).and_then(|rest| rest.find('"'));
        item.split_at(end.map_or(item.len(), |end| end + 2))
    } else {
        item.split_once(char::is_whitespace).unwrap_or((item, ""))
    };
    let words: Vec<String> = rest.split_whitespace().map(str::to_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (descending, rest) = match words.as_slice() {
        ["asc", rest @ ..] => (false, rest),
        ["desc", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let nulls_first = match rest {
        [] => descending,
        ["nulls", "first"] => true,
        ["nulls", "last"] => false,
        _ => {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("unable to parse ordering option \"{item}\""),
            )
            .hint("The timescaledb.compress_orderby option must be a set of column names with sort options, separated by commas. It is the same format as an ORDER BY clause."));
        }
    };
    Ok(OrderBy {
        column: column(table, name, "compress_orderby")?,
        descending,
        nulls_first,
    })
}
