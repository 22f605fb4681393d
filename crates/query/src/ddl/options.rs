//! Options in WITH (…), SET (…) and RESET (…) of relations: TimescaleDB's, and PostgreSQL's of
//! storage.

use chronolith_sql::Opt;
use chronolith_types::SqlState;

use crate::error::Error;

/// How chunks are to be kept; a table's options and a continuous aggregate's have these alike.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StorageOptions {
    pub(crate) chunk_interval: Option<String>,
    /// `compress`, `columnstore`.
    pub(crate) compress: Option<bool>,
    pub(crate) segment_by: Option<String>,
    pub(crate) order_by: Option<String>,
    /// The width that compressed chunks grow to.
    pub(crate) compressed_interval: Option<String>,
    /// Sparse indexes.
    pub(crate) index: Option<String>,
    /// Whether large inserts go straight to cold parts; here they do.
    direct: Option<bool>,
}

/// What a table's options ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableOptions {
    pub(crate) hypertable: bool,
    pub(crate) partition_column: Option<String>,
    pub(crate) create_default_indexes: bool,
    pub(crate) storage: StorageOptions,
}

/// Settings that RESET gives back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reset {
    pub(crate) compress: bool,
    pub(crate) segment_by: bool,
    pub(crate) order_by: bool,
    pub(crate) compressed_interval: bool,
    pub(crate) index: bool,
}

/// Options of TimescaleDB by any of their names; the first is how a hint calls one.
const STORAGE: &[&[&str]] = &[
    &["chunk_interval", "chunk_time_interval"],
    &["compress", "columnstore", "enable_columnstore"],
    &["compress_segmentby", "segmentby", "segment_by"],
    &["compress_orderby", "orderby", "order_by"],
    &["compress_chunk_interval", "compress_chunk_time_interval"],
    &[
        "compress_index",
        "compress_sparse_index",
        "index",
        "sparse_index",
    ],
    &["direct_compress"],
];

/// Those that make a table a hypertable.
const TABLE: &[&[&str]] = &[
    &["hypertable"],
    &["partition_column", "partitioning_column", "time_column"],
    &["create_default_indexes"],
    &["associated_schema"],
    &["associated_table_prefix"],
    &["direct_compress_schedule_interval"],
];

/// What an option of TimescaleDB's is called by first; None where there is none of the name.
fn named(name: &str, tables: bool) -> Option<&'static str> {
    let all = STORAGE.iter().chain(if tables { TABLE } else { &[] });
    let mut found = all.filter(|names| names.contains(&name));
    found.next().and_then(|names| names.first()).copied()
}

/// The name of an option behind `timescaledb.` or `tsdb.`; None for one of PostgreSQL's.
///
/// # Errors
/// 22023 for another namespace.
pub(crate) fn in_namespace(option: &Opt) -> Result<Option<&str>, Error> {
    match option.name.split_once('.') {
        None => Ok(None),
        Some(("timescaledb" | "tsdb", name)) => Ok(Some(name)),
        Some((space, _)) => Err(invalid(
            option,
            format!("unrecognized parameter namespace \"{space}\""),
        )),
    }
}

impl StorageOptions {
    /// Takes an option of TimescaleDB's, where it is one of these; false where it is another.
    ///
    /// # Errors
    /// 22023 for a value it does not take, 42P08 for one that was given already.
    pub(crate) fn take(&mut self, name: &str, option: &Opt) -> Result<bool, Error> {
        let Some(name) = named(name, false) else {
            return Ok(false);
        };
        match name {
            "chunk_interval" => once(option, &mut self.chunk_interval, text(option)?)?,
            "compress" => once(option, &mut self.compress, boolean(option)?)?,
            "compress_segmentby" => once(option, &mut self.segment_by, text(option)?)?,
            "compress_orderby" => once(option, &mut self.order_by, text(option)?)?,
            "compress_chunk_interval" => {
                once(option, &mut self.compressed_interval, text(option)?)?;
            }
            "compress_index" => once(option, &mut self.index, text(option)?)?,
            "direct_compress" => once(option, &mut self.direct, boolean(option)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether they say anything of how chunks are compressed.
    pub(crate) fn compresses(&self) -> bool {
        self.compress.is_some()
            || self.segment_by.is_some()
            || self.order_by.is_some()
            || self.compressed_interval.is_some()
            || self.index.is_some()
    }
}

impl TableOptions {
    /// Reads those of CREATE TABLE.
    ///
    /// # Errors
    /// 22023 for an option nobody knows or a value it does not take.
    pub(crate) fn read(options: &[Opt]) -> Result<Self, Error> {
        let mut read = Self {
            create_default_indexes: true,
            ..Self::default()
        };
        let (mut hypertable, mut indexes) = (None, None);
        for option in options {
            let Some(name) = in_namespace(option)? else {
                storage(option)?;
                continue;
            };
            if read.storage.take(name, option)? {
                continue;
            }
            match named(name, true) {
                Some("hypertable") => once(option, &mut hypertable, boolean(option)?)?,
                Some("partition_column") => {
                    once(option, &mut read.partition_column, text(option)?)?;
                }
                Some("create_default_indexes") => once(option, &mut indexes, boolean(option)?)?,
                // Where chunks are called so anyway.
                Some("associated_schema")
                    if option.value.as_deref() == Some("_timescaledb_internal") => {}
                Some(_) => {
                    return Err(Error::unsupported(format!("option \"{}\"", option.name)));
                }
                None => return Err(unrecognised(option, true)),
            }
        }
        read.hypertable = hypertable.unwrap_or(false);
        read.create_default_indexes = indexes.unwrap_or(true);
        Ok(read)
    }

    /// Reads those of ALTER TABLE … SET.
    ///
    /// # Errors
    /// 22023 for an option nobody knows or a value it does not take.
    pub(crate) fn altered(options: &[Opt]) -> Result<StorageOptions, Error> {
        let mut read = StorageOptions::default();
        for option in options {
            match in_namespace(option)? {
                None => storage(option)?,
                Some(name) => {
                    if !read.take(name, option)? {
                        return Err(unrecognised(option, false));
                    }
                }
            }
        }
        Ok(read)
    }

    /// Whether any of them makes sense for a hypertable alone.
    pub(crate) fn is_for_hypertables(&self) -> bool {
        self.partition_column.is_some() || self.storage != StorageOptions::default()
    }

    /// 0A000 where only an ordinary table can be made.
    pub(crate) fn refuse_hypertable(&self) -> Result<(), Error> {
        if self.hypertable {
            return Err(Error::unsupported("a hypertable by CREATE TABLE AS"));
        }
        Ok(())
    }
}

impl Reset {
    /// Reads the options of RESET, which have no values.
    ///
    /// # Errors
    /// 22023 for an option nobody knows, 42P08 for one that stands there twice, 0A000 for one
    /// that has no value to go back to.
    pub(crate) fn read(options: &[Opt]) -> Result<Self, Error> {
        let mut read = Self::default();
        for option in options {
            let Some(name) = in_namespace(option)? else {
                storage(option)?;
                continue;
            };
            let place = match named(name, false) {
                Some("compress") => &mut read.compress,
                Some("compress_segmentby") => &mut read.segment_by,
                Some("compress_orderby") => &mut read.order_by,
                Some("compress_chunk_interval") => &mut read.compressed_interval,
                Some("compress_index") => &mut read.index,
                Some("direct_compress") => continue,
                Some(_) => {
                    return Err(Error::unsupported(format!("RESET of \"{}\"", option.name)));
                }
                None => return Err(unrecognised(option, false)),
            };
            if std::mem::replace(place, true) {
                return Err(twice(option));
            }
        }
        Ok(read)
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

pub(crate) fn invalid(option: &Opt, message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(u32::try_from(option.position).ok())
}

fn unrecognised(option: &Opt, tables: bool) -> Error {
    let all = STORAGE.iter().chain(if tables { TABLE } else { &[] });
    let names: Vec<&str> = all.filter_map(|names| names.first().copied()).collect();
    invalid(
        option,
        format!("unrecognized parameter \"{}\"", option.name),
    )
    .hint(format!(
        "Valid timescaledb parameters are: {}",
        names.join(", ")
    ))
}

fn twice(option: &Opt) -> Error {
    Error::new(
        SqlState::new(b"42P08"),
        format!("duplicate parameter \"{}\"", option.name),
    )
    .at(u32::try_from(option.position).ok())
}

fn once<T>(option: &Opt, place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice(option)),
    }
}

fn text(option: &Opt) -> Result<String, Error> {
    option.value.clone().ok_or_else(|| {
        invalid(
            option,
            format!("parameter \"{}\" must have a value", option.name),
        )
    })
}

pub(crate) fn boolean(option: &Opt) -> Result<bool, Error> {
    option.bool().ok_or_else(|| {
        invalid(
            option,
            format!(
                "invalid value for {} '{}'",
                option.name,
                option.value.as_deref().unwrap_or_default()
            ),
        )
        .hint(format!("{} must be a valid bool", option.name))
    })
}
