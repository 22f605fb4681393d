//! A table with all that belongs to it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use chronolith_types::{
    ChunkId, ColumnId, HypertableId, IndexId, PartId, RoleId, SchemaId, SqlType, TableId, TypeId,
};
use serde::{Deserialize, Serialize};

use crate::rollup::Rollup;
use crate::rows::RowBits;
use crate::sequence::Identity;

/// A table: its columns, keys, chunks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its oid.
    pub id: TableId,
    /// Where it lies.
    pub schema: SchemaId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// The columns there are, in the order of `SELECT *`.
    pub columns: Vec<Column>,
    /// The number the next column gets.
    pub next_column: ColumnId,
    /// Keys, checks and references.
    #[serde(default)]
    pub constraints: Vec<Constraint>,
    /// Indexes, those of keys too.
    #[serde(default)]
    pub indexes: Vec<Index>,
    /// What makes it a hypertable.
    #[serde(default)]
    pub hypertable: Option<Hypertable>,
    /// Its chunks by number; a plain table has the one of number 0.
    #[serde(default)]
    pub chunks: BTreeMap<ChunkId, Arc<Chunk>>,
    /// COMMENT ON.
    #[serde(default)]
    pub comment: Option<String>,
    /// Grants, in PostgreSQL's aclitem form; None for the owner's alone.
    #[serde(default)]
    pub acl: Option<Vec<String>>,
    /// What makes it the store of a continuous aggregate.
    #[serde(default)]
    pub rollup: Option<Rollup>,
    /// How long it is to last.
    #[serde(default)]
    pub persistence: Persistence,
}

/// How long a table is to last. Rows of all kinds are logged alike: what is unlogged here survives
/// a crash too, and a temporary table's rows take part in transactions like all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Persistence {
    /// For ever.
    #[default]
    Permanent,
    /// UNLOGGED, as it was asked for.
    Unlogged,
    /// As long as its session, whose schema it lies in.
    Temporary(OnCommit),
}

/// What a commit does with a temporary table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum OnCommit {
    /// PRESERVE ROWS.
    #[default]
    Preserve,
    /// DELETE ROWS.
    Delete,
    /// DROP.
    Drop,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its number, kept for life.
    pub id: ColumnId,
    /// Its name.
    pub name: String,
    /// Its type; of a domain's column, the domain's base type.
    pub ty: SqlType,
    /// The domain that it is declared with.
    #[serde(default)]
    pub domain: Option<TypeId>,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// The default's SQL.
    #[serde(default)]
    pub default: Option<String>,
    /// The value, as text, of rows older than the column.
    #[serde(default)]
    pub missing: Option<String>,
    /// GENERATED … AS IDENTITY.
    #[serde(default)]
    pub identity: Option<Identity>,
    /// GENERATED ALWAYS AS (…) STORED: the expression's SQL.
    #[serde(default)]
    pub generated: Option<String>,
    /// COMMENT ON.
    #[serde(default)]
    pub comment: Option<String>,
}

/// A constraint with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraint {
    /// Its oid.
    pub id: u32,
    /// Its name, unique in its table.
    pub name: String,
    /// What it asks.
    pub kind: ConstraintKind,
    /// When it is held, and against which rows.
    #[serde(default)]
    pub marks: ConstraintMarks,
}

/// When a constraint is held, and against which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ConstraintMarks {
    /// NOT VALID: rows that were there before may break it.
    #[serde(default)]
    pub not_valid: bool,
    /// DEFERRABLE.
    #[serde(default)]
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    #[serde(default)]
    pub deferred: bool,
    /// NO INHERIT.
    #[serde(default)]
    pub no_inherit: bool,
    /// NULLS NOT DISTINCT.
    #[serde(default)]
    pub nulls_alike: bool,
}

/// What a constraint asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConstraintKind {
    /// No two rows alike in these columns, none of them NULL.
    PrimaryKey {
        /// The columns, in the key's order.
        columns: Vec<ColumnId>,
    },
    /// No two rows alike in these columns, where none is NULL.
    Unique {
        /// The columns, in the key's order.
        columns: Vec<ColumnId>,
    },
    /// The expression is not false.
    Check {
        /// Its SQL.
        expression: String,
    },
    /// Rows of another table, or of the same, have these columns' values as their key.
    ForeignKey(Box<Reference>),
    /// No two rows of whose keys all operators say yes. The keys, and which rows are asked, are those
    /// of the index of its name.
    Exclude {
        /// An operator for each key.
        operators: Vec<String>,
    },
}

/// What a foreign key refers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The columns that refer.
    pub columns: Vec<ColumnId>,
    /// The table that they refer to.
    pub table: TableId,
    /// Its columns, in the order of those that refer.
    pub referred: Vec<ColumnId>,
    /// The key of that table that they are.
    pub key: u32,
    /// MATCH FULL.
    #[serde(default)]
    pub full: bool,
    /// ON DELETE.
    #[serde(default)]
    pub on_delete: ReferenceAction,
    /// ON UPDATE.
    #[serde(default)]
    pub on_update: ReferenceAction,
    /// The columns that ON DELETE SET … sets; all of them when empty.
    #[serde(default)]
    pub set: Vec<ColumnId>,
}

/// What becomes of rows that refer to one that goes or gets another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ReferenceAction {
    /// It must not go, unless they go too before the statement ends.
    #[default]
    NoAction,
    /// It must not go.
    Restrict,
    /// They go or change with it.
    Cascade,
    /// They refer to nothing.
    SetNull,
    /// They refer to what their columns' defaults say.
    SetDefault,
}

impl Constraint {
    /// Whether chunks keep its key by themselves, at any moment.
    #[must_use]
    pub fn is_kept_by_chunks(&self) -> bool {
        !self.marks.deferrable && !self.marks.nulls_alike
    }
}

impl ConstraintKind {
    /// The columns that must be unique together.
    #[must_use]
    pub fn unique_columns(&self) -> Option<&[ColumnId]> {
        match self {
            Self::PrimaryKey { columns } | Self::Unique { columns } => Some(columns),
            Self::Check { .. } | Self::ForeignKey(_) | Self::Exclude { .. } => None,
        }
    }

    /// The operators of EXCLUDE.
    #[must_use]
    pub fn operators(&self) -> Option<&[String]> {
        match self {
            Self::Exclude { operators } => Some(operators),
            _ => None,
        }
    }

    /// What a foreign key refers to.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::ForeignKey(reference) => Some(reference),
            _ => None,
        }
    }
}

/// An index as it was declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its oid.
    pub id: IndexId,
    /// Its name.
    pub name: String,
    /// The access method's name.
    pub method: String,
    /// Its columns or expressions, as SQL with their order.
    pub keys: Vec<String>,
    /// Whether it refuses rows that are alike.
    pub unique: bool,
    /// Whether it belongs to a key.
    pub constraint: bool,
    /// The predicate's SQL.
    #[serde(default)]
    pub predicate: Option<String>,
    /// INCLUDE: names of columns.
    #[serde(default)]
    pub include: Vec<String>,
    /// NULLS NOT DISTINCT.
    #[serde(default)]
    pub nulls_alike: bool,
    /// WITH: names and values.
    #[serde(default)]
    pub options: Vec<(String, String)>,
    /// What the keys are compared by, where it is not what their types are compared by: as many as
    /// keys, or none.
    #[serde(default)]
    pub marks: Vec<KeyMarks>,
}

/// COLLATE and the class of operators of one key of an index.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KeyMarks {
    /// COLLATE.
    #[serde(default)]
    pub collation: Option<String>,
    /// The class of operators.
    #[serde(default)]
    pub class: Option<String>,
}

/// What makes a table a hypertable.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Hypertable {
    /// Counted from 1 in each database.
    pub id: HypertableId,
    /// The column whose ranges the chunks are.
    pub time: ColumnId,
    /// A chunk's width: µs, or whole numbers for an integer column.
    pub interval: i64,
    /// Schema and name of the function that tells the time, where times are whole numbers.
    #[serde(default)]
    pub integer_now: Option<(String, String)>,
    /// How chunks are compressed; None until somebody said.
    #[serde(default)]
    pub compression: Option<Compression>,
    /// The number of its time dimension; 0 for that of the hypertable.
    #[serde(default)]
    pub dimension: i32,
    /// Dimensions beside that of time, in the order that they were added. Chunks are not cut by
    /// them: the series directories tell more.
    #[serde(default)]
    pub dimensions: Vec<Dimension>,
    /// Tablespaces attached to it; there is one that files can lie in.
    #[serde(default)]
    pub tablespaces: Vec<String>,
    /// Columns that chunks are skipped by because somebody asked for it.
    #[serde(default)]
    pub skipping: Vec<Skipping>,
    /// Times at which chunks were compressed where a dump was made that is being restored: chunks
    /// that come within them are, too. Half-open, and gone once their chunks are there.
    #[serde(default)]
    pub restored: Vec<(i64, i64)>,
}

impl Hypertable {
    /// Takes the times of a new chunk out of [`Hypertable::restored`]; whether it is to be compressed.
    pub fn restores(&mut self, range: &Range<i64>) -> bool {
        let within = |(start, end): &(i64, i64)| *start <= range.start && range.end <= *end;
        let Some(place) = self.restored.iter().position(within) else {
            return false;
        };
        let (start, end) = self.restored.remove(place);
        let rest = [(start, range.start), (range.end, end)];
        let rest = rest.into_iter().filter(|(start, end)| start < end);
        self.restored.extend(rest);
        true
    }
}

/// A dimension beside that of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimension {
    /// Counted with those of all hypertables of a database.
    pub id: i32,
    /// Its column.
    pub column: ColumnId,
    /// How it is cut.
    pub kind: DimensionKind,
}

/// How a dimension is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DimensionKind {
    /// By the hash of its values.
    Hash {
        /// Into so many partitions.
        partitions: i16,
    },
    /// By ranges of its values.
    Range {
        /// Their width, in the column's unit.
        interval: i64,
    },
}

/// A column whose least and greatest values are to be known of each chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipping {
    /// Counted in its hypertable.
    pub id: i32,
    /// The column.
    pub column: ColumnId,
}

/// A cold part's sort key.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Compression {
    /// The columns that make a series.
    pub segment_by: Vec<ColumnId>,
    /// The order within a series; empty for that of time.
    pub order_by: Vec<OrderBy>,
    /// Nobody named the columns that make a series: [`Table::segment_by`] finds them.
    #[serde(default)]
    pub automatic_segments: bool,
    /// Chunks that are compressed grow to this width, in the time column's unit.
    #[serde(default)]
    pub chunk_interval: Option<i64>,
    /// Sparse indexes that were asked for; None where nobody said.
    #[serde(default)]
    pub indexes: Option<Vec<SparseIndex>>,
}

/// What is to be known of a column's values in each batch of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SparseIndex {
    /// `bloom`, `minmax` or `firstlast`.
    pub kind: String,
    /// Of which columns together.
    pub columns: Vec<ColumnId>,
}

/// One column of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderBy {
    /// The column.
    pub column: ColumnId,
    /// Greatest first.
    pub descending: bool,
    /// NULLs first.
    pub nulls_first: bool,
}

/// A chunk: the rows of one time range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Counted from 1 in each database; 0 for a plain table's.
    pub id: ChunkId,
    /// Its oid, as a relation; 0 for a plain table's.
    pub oid: u32,
    /// Half-open.
    pub range: Range<i64>,
    /// Its cold parts, oldest first.
    #[serde(default)]
    pub parts: Vec<Arc<Part>>,
    /// Whether a user compressed it.
    #[serde(default)]
    pub compressed: bool,
    /// When it was made, µs since 1970.
    pub created_us: i64,
}

impl Chunk {
    /// The name of a hypertable's chunk, in the schema `_timescaledb_internal`.
    #[must_use]
    pub fn name(&self, hypertable: HypertableId) -> String {
        format!("_hyper_{hypertable}_{}_chunk", self.id)
    }
}

/// A cold part, as the catalog knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number.
    pub id: PartId,
    /// How many rows it holds, deleted ones too.
    pub rows: u64,
    /// First and last time of its rows; None without a time column or rows.
    pub times: Option<(i64, i64)>,
    /// Its Parquet file.
    pub data: PartFile,
    /// Its series directory.
    pub directory: PartFile,
    /// Bytes its rows took unpacked, as columns in memory; 0 where nobody counted.
    #[serde(default)]
    pub unpacked: u64,
    /// Rows that are deleted, by their places in the file.
    #[serde(default)]
    pub deleted: RowBits,
}

/// A file and what its bytes must be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PartFile {
    /// Its length.
    pub bytes: u64,
    /// Checksums of all its regions, in order and without gaps.
    pub regions: Vec<Region>,
}

/// Some bytes of a file and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
    /// CRC-32C of them.
    pub crc32c: u32,
}

impl Part {
    /// How many of its rows are not deleted.
    #[must_use]
    pub fn live_rows(&self) -> u64 {
        self.rows.saturating_sub(self.deleted.len())
    }
}

impl Table {
    /// A table without columns.
    #[must_use]
    pub fn named(id: TableId, schema: SchemaId, name: &str, owner: RoleId) -> Self {
        Self {
            id,
            schema,
            name: name.to_owned(),
            owner,
            columns: Vec::new(),
            next_column: ColumnId(1),
            constraints: Vec::new(),
            indexes: Vec::new(),
            hypertable: None,
            chunks: BTreeMap::new(),
            comment: None,
            acl: None,
            rollup: None,
            persistence: Persistence::default(),
        }
    }

    /// The chunk number of a plain table's rows.
    pub const PLAIN_CHUNK: ChunkId = ChunkId(0);

    /// A column by its number.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns.iter().find(|column| column.id == id)
    }

    /// A column and its place by its name.
    #[must_use]
    pub fn column_named(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns
            .iter()
            .enumerate()
            .find(|(_, column)| column.name == name)
    }

    /// The places of columns that are unique together at any moment, one list a key: those that may
    /// be broken for a while, or whose NULLs are alike, are not among them.
    #[must_use]
    pub fn unique_keys(&self) -> Vec<(&Constraint, Vec<usize>)> {
        let mut keys = self.all_keys();
        keys.retain(|(constraint, _)| constraint.is_kept_by_chunks());
        keys
    }

    /// The places of columns that must be unique together, one list a key.
    #[must_use]
    pub fn all_keys(&self) -> Vec<(&Constraint, Vec<usize>)> {
        self.constraints
            .iter()
            .filter_map(|constraint| {
                let columns = constraint.kind.unique_columns()?;
                let place = |id: &ColumnId| self.columns.iter().position(|c| c.id == *id);
                Some((
                    constraint,
                    columns.iter().map(place).collect::<Option<Vec<_>>>()?,
                ))
            })
            .collect()
    }

    /// The constraints that EXCLUDE made, each with the index that says of what.
    pub fn exclusions(&self) -> impl Iterator<Item = (&Constraint, &Index)> {
        let of = self.constraints.iter();
        let of = of.filter(|constraint| constraint.kind.operators().is_some());
        of.filter_map(|constraint| {
            let mut indexes = self.indexes.iter();
            Some((constraint, indexes.find(|of| of.name == constraint.name)?))
        })
    }

    /// The chunk whose range holds a time.
    #[must_use]
    pub fn chunk_at(&self, time: i64) -> Option<&Arc<Chunk>> {
        self.chunks
            .values()
            .find(|chunk| chunk.range.contains(&time))
    }
}
