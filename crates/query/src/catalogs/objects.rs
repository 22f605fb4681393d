//! The relations of a database, whatever they are, and their numbers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use chronolith_catalog::{
    Catalog, Chunk, Database, Hypertable, Index, KeyMarks, Persistence, Sequence, Table, Type, View,
};
use chronolith_types::{ChunkId, DatabaseId, RoleId, SqlType, TableId};

use super::context::{Context, Size};
use super::relation::{self, SCHEMAS, SystemRelation};
use crate::error::Error;
use crate::session::TEMPORARY;

/// The role that owns what nobody made.
pub(super) const BOOTSTRAP_ROLE: RoleId = RoleId(10);

/// Numbers of things that PostgreSQL numbers and the catalog does not, apart from all others by their
/// range. They stay below 2^31, which some drivers take oids to be.
const ROW_TYPE: u32 = 0x4000_0000;
const ROW_ARRAY: u32 = 0x5000_0000;
const RULE: u32 = 0x6000_0000;
const CHUNK_CHECK: u32 = 0x7000_0000;
const DEFAULT: u32 = 0x2000_0000;

/// The oid of the type of a relation's rows.
pub(super) fn row_type(relation: u32) -> u32 {
    relation | ROW_TYPE
}

/// The oid of the array of it.
pub(super) fn row_array(relation: u32) -> u32 {
    relation | ROW_ARRAY
}

/// The oids of the row type of what users made and of its array.
pub(crate) fn row_types_of(relation: u32) -> (u32, u32) {
    (row_type(relation), row_array(relation))
}

/// The relation whose rows have a type; none for any other type.
pub(crate) fn relation_of_row(ty: u32) -> Option<TableId> {
    let relation = ty & !ROW_TYPE;
    (ty & ROW_TYPE != 0 && row_type(relation) == ty).then_some(TableId(relation))
}

/// The oid of a view's rule.
pub(super) fn rule(view: u32) -> u32 {
    view | RULE
}

/// The oid of the check that keeps a chunk's rows in its range.
pub(super) fn chunk_check(chunk: u32) -> u32 {
    chunk | CHUNK_CHECK
}

/// The oid of a column's default, by its place among all defaults.
pub(super) fn default(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(0) | DEFAULT
}

/// Anything that `pg_class` shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Relation<'a> {
    System(&'static SystemRelation),
    Table(&'a Table),
    Chunk(&'a Table, &'a Hypertable, &'a Chunk),
    Index(&'a Table, &'a Index),
    View(&'a View),
    Sequence(&'a Sequence),
    /// An ordinary materialized view, and the table of its rows under the view's own number and name.
    Kept(&'a Table, &'a View),
    /// A composite type.
    Composite(&'a Type),
}

/// The catalog as clients see it: a materialized view is a table of its own number and name, and
/// the table that has its rows is not there.
pub(crate) fn shown(catalog: Arc<Catalog>, database: DatabaseId) -> Arc<Catalog> {
    let Some(home) = catalog.databases.get(&database) else {
        return catalog;
    };
    if home.views.values().all(|view| view.kept().is_none()) {
        return catalog;
    }
    let mut home = Database::clone(home);
    for view in home.views.values() {
        let Some(table) = view.kept().and_then(|kept| home.tables.remove(&kept.table)) else {
            continue;
        };
        let mut table = Table::clone(&table);
        table.id = view.id;
        table.name.clone_from(&view.name);
        home.tables.insert(view.id, Arc::new(table));
    }
    let mut catalog = Catalog::clone(&catalog);
    catalog.databases.insert(database, Arc::new(home));
    Arc::new(catalog)
}

/// A table, or what is one to its readers.
fn table_or_kept<'a>(home: &'a Database, table: &'a Table) -> Relation<'a> {
    match home.views.get(&table.id) {
        Some(view) => Relation::Kept(table, view),
        None => Relation::Table(table),
    }
}

impl<'a> Relation<'a> {
    pub(super) fn oid(self) -> u32 {
        match self {
            Self::System(relation) => relation.oid(),
            Self::Table(table) | Self::Kept(table, _) => table.id.0,
            Self::Chunk(_, _, chunk) => chunk.oid,
            Self::Index(_, index) => index.id.0,
            Self::View(view) => view.id.0,
            Self::Sequence(sequence) => sequence.id.0,
            Self::Composite(ty) => ty.relation().unwrap_or_default(),
        }
    }

    pub(super) fn name(self) -> Cow<'a, str> {
        match self {
            Self::System(relation) => relation.name().into(),
            Self::Table(table) | Self::Kept(table, _) => table.name.as_str().into(),
            Self::Chunk(_, hypertable, chunk) => chunk.name(hypertable.id).into(),
            Self::Index(_, index) => index.name.as_str().into(),
            Self::View(view) => view.name.as_str().into(),
            Self::Sequence(sequence) => sequence.name.as_str().into(),
            Self::Composite(ty) => ty.name.as_str().into(),
        }
    }

    /// `pg_class.relkind`.
    pub(super) fn kind(self) -> char {
        match self {
            Self::System(relation) => relation.kind(),
            Self::Table(_) | Self::Chunk(..) => 'r',
            Self::Index(..) => 'i',
            Self::View(_) => 'v',
            Self::Sequence(_) => 'S',
            Self::Kept(..) => 'm',
            Self::Composite(_) => 'c',
        }
    }

    /// `pg_class.relpersistence`; what lies in a session's own schema is gone with it.
    pub(super) fn persistence(self, home: &Database) -> char {
        let table = match self {
            Self::Table(table) | Self::Chunk(table, ..) | Self::Index(table, _) => table,
            _ if self.schema(home).1.starts_with(TEMPORARY) => return 't',
            _ => return 'p',
        };
        match table.persistence {
            Persistence::Permanent => 'p',
            Persistence::Unlogged => 'u',
            Persistence::Temporary(_) => 't',
        }
    }

    pub(super) fn owner(self) -> RoleId {
        match self {
            Self::System(_) => BOOTSTRAP_ROLE,
            Self::Table(table) | Self::Chunk(table, ..) | Self::Index(table, _) => table.owner,
            Self::View(view) | Self::Kept(_, view) => view.owner,
            Self::Sequence(sequence) => sequence.owner,
            Self::Composite(ty) => ty.owner,
        }
    }

    /// Oid and name of its schema.
    pub(super) fn schema(self, home: &'a Database) -> (u32, &'a str) {
        let id = match self {
            Self::System(relation) if relation.schema() != Database::INTERNAL_SCHEMA => {
                return system_schema(relation.schema());
            }
            Self::System(_) | Self::Chunk(..) => {
                let internal = home.schema_named(Database::INTERNAL_SCHEMA);
                return internal.map_or((0, Database::INTERNAL_SCHEMA), |schema| {
                    (schema.id.0, Database::INTERNAL_SCHEMA)
                });
            }
            Self::Table(table) | Self::Index(table, _) => table.schema,
            Self::View(view) | Self::Kept(_, view) => view.schema,
            Self::Sequence(sequence) => sequence.schema,
            Self::Composite(ty) => ty.schema,
        };
        let name = home
            .schemas
            .get(&id)
            .map_or("", |schema| schema.name.as_str());
        (id.0, name)
    }

    /// Oids of its row type and the array of that; 0 for an index.
    pub(super) fn row_types(self) -> (u32, u32) {
        match self {
            Self::System(relation) => relation.row_types,
            Self::Index(..) | Self::Sequence(_) => (0, 0),
            Self::Composite(ty) => (ty.id.0, ty.array),
            other => (row_type(other.oid()), row_array(other.oid())),
        }
    }

    /// How much there is of it; of a hypertable, with its chunks.
    pub(super) fn size(self, context: &Context) -> Size {
        match self {
            Self::Table(table) => {
                let mut total = Size::default();
                for chunk in table.chunks.keys() {
                    total += (context.size)(table.id, *chunk);
                }
                // A plain table's chunk is there before its first row.
                if table.chunks.is_empty() && table.hypertable.is_none() {
                    total += (context.size)(table.id, ChunkId(0));
                }
                total
            }
            Self::Chunk(table, _, chunk) => (context.size)(table.id, chunk.id),
            Self::Kept(_, view) => view.kept().map_or_else(Size::default, |kept| {
                (context.size)(kept.table, Table::PLAIN_CHUNK)
            }),
            Self::System(_)
            | Self::Index(..)
            | Self::View(_)
            | Self::Sequence(_)
            | Self::Composite(_) => Size::default(),
        }
    }
}

/// Oid and name of a schema that every database has.
pub(super) fn system_schema(name: &'static str) -> (u32, &'static str) {
    let found = SCHEMAS.iter().find(|schema| schema.name == name);
    (found.map_or(0, |schema| schema.oid), name)
}

/// A table's hypertable with its chunks, without the one chunk of a plain table.
pub(super) fn chunks(table: &Table) -> impl Iterator<Item = (&Hypertable, &Chunk)> {
    let hypertable = table.hypertable.as_ref();
    let chunks = table.chunks.values().map(AsRef::as_ref);
    hypertable
        .into_iter()
        .flat_map(move |hypertable| chunks.clone().map(move |chunk| (hypertable, chunk)))
}

/// What users made in a database.
pub(super) fn user_relations(home: &Database) -> impl Iterator<Item = Relation<'_>> {
    let tables = home.tables.values().flat_map(|table| {
        let indexes = table
            .indexes
            .iter()
            .map(|index| Relation::Index(table, index));
        let chunks =
            chunks(table).map(|(hypertable, chunk)| Relation::Chunk(table, hypertable, chunk));
        std::iter::once(table_or_kept(home, table))
            .chain(indexes)
            .chain(chunks)
    });
    let views = home.views.values();
    let views = views.filter(|view| view.kept().is_none());
    let views = views.map(|view| Relation::View(view));
    let sequences = home.sequences.values();
    let sequences = sequences.map(|sequence| Relation::Sequence(sequence));
    let types = home.types.values().filter(|ty| ty.relation().is_some());
    let types = types.map(|ty| Relation::Composite(ty));
    tables.chain(views).chain(sequences).chain(types)
}

/// Everything that `pg_class` shows.
pub(super) fn relations(home: &Database) -> impl Iterator<Item = Relation<'_>> {
    relation::all()
        .map(Relation::System)
        .chain(user_relations(home))
}

/// Where indexes and chunks are, by their oids: they lie within their tables.
#[derive(Debug, Default)]
pub(crate) struct Inner(HashMap<u32, InnerPlace>);

#[derive(Debug, Clone, Copy)]
enum InnerPlace {
    Index(TableId, usize),
    Chunk(TableId, ChunkId),
}

impl Inner {
    pub(super) fn of(home: &Database) -> Self {
        let mut places = HashMap::new();
        for table in home.tables.values() {
            for (place, index) in table.indexes.iter().enumerate() {
                places.insert(index.id.0, InnerPlace::Index(table.id, place));
            }
            for (_, chunk) in chunks(table) {
                places.insert(chunk.oid, InnerPlace::Chunk(table.id, chunk.id));
            }
        }
        Self(places)
    }

    fn find<'a>(&self, home: &'a Database, oid: u32) -> Option<Relation<'a>> {
        match *self.0.get(&oid)? {
            InnerPlace::Index(table, place) => {
                let table = home.tables.get(&table)?;
                Some(Relation::Index(table, table.indexes.get(place)?))
            }
            InnerPlace::Chunk(table, chunk) => {
                let table = home.tables.get(&table)?;
                let hypertable = table.hypertable.as_ref()?;
                Some(Relation::Chunk(
                    table,
                    hypertable,
                    table.chunks.get(&chunk)?,
                ))
            }
        }
    }
}

/// The relation of an oid.
pub(super) fn by_oid(context: &Context, oid: u32) -> Result<Option<Relation<'_>>, Error> {
    let home = context.home()?;
    if let Some(table) = home.tables.get(&TableId(oid)) {
        return Ok(Some(table_or_kept(home, table)));
    }
    if let Some(view) = home.views.get(&TableId(oid)) {
        return Ok(Some(Relation::View(view)));
    }
    if let Some(sequence) = home.sequences.get(&TableId(oid)) {
        return Ok(Some(Relation::Sequence(sequence)));
    }
    if let Some(system) = relation::by_oid(oid) {
        return Ok(Some(Relation::System(system)));
    }
    let mut types = home.types.values();
    if let Some(ty) = types.find(|ty| ty.relation() == Some(oid)) {
        return Ok(Some(Relation::Composite(ty)));
    }
    let inner = context.inner.get_or_init(|| Inner::of(home));
    Ok(inner.find(home, oid))
}

/// The relation of a name in a schema.
pub(super) fn by_name<'a>(home: &'a Database, schema: &str, name: &str) -> Option<Relation<'a>> {
    if let Some(found) = relation::find(schema, name) {
        return Some(Relation::System(found));
    }
    let id = home.schema_named(schema)?.id;
    if let Some(table) = home.table_named(id, name) {
        return Some(table_or_kept(home, table));
    }
    if let Some(view) = home.view_named(id, name) {
        return Some(Relation::View(view));
    }
    if let Some(sequence) = home.sequence_named(id, name) {
        return Some(Relation::Sequence(sequence));
    }
    let composite = home
        .type_named(id, name)
        .filter(|ty| ty.relation().is_some());
    if let Some(ty) = composite {
        return Some(Relation::Composite(ty));
    }
    if schema == Database::INTERNAL_SCHEMA {
        return chunk_named(home, name);
    }
    let tables = home.tables.values().filter(|table| table.schema == id);
    tables.into_iter().find_map(|table| {
        let index = table.indexes.iter().find(|index| index.name == name)?;
        Some(Relation::Index(table, index))
    })
}

/// A chunk by its name, which holds its numbers, and the hypertable that it belongs to.
pub(crate) fn chunk_of<'a>(home: &'a Database, name: &str) -> Option<(&'a Arc<Table>, ChunkId)> {
    let numbers = name.strip_prefix("_hyper_")?.strip_suffix("_chunk")?;
    let (_, chunk) = numbers.split_once('_')?;
    let id = ChunkId(chunk.parse().ok()?);
    home.tables.values().find_map(|table| {
        let hypertable = table.hypertable.as_ref()?;
        let chunk = table.chunks.get(&id)?;
        (chunk.name(hypertable.id) == name).then_some((table, id))
    })
}

fn chunk_named<'a>(home: &'a Database, name: &str) -> Option<Relation<'a>> {
    let (table, id) = chunk_of(home, name)?;
    let hypertable = table.hypertable.as_ref()?;
    Some(Relation::Chunk(table, hypertable, table.chunks.get(&id)?))
}

/// Oids and names of all schemas.
pub(super) fn schemas(home: &Database) -> impl Iterator<Item = (u32, &str, RoleId)> {
    let system = SCHEMAS
        .iter()
        .map(|schema| (schema.oid, schema.name, BOOTSTRAP_ROLE));
    let own = home
        .schemas
        .values()
        .map(|schema| (schema.id.0, schema.name.as_str(), schema.owner));
    system.chain(own)
}

/// The key of an index: a column or an expression, and its order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IndexKey<'a> {
    /// The column's number; 0 for an expression.
    pub(super) attribute: u32,
    /// The column's name, or the expression in parentheses.
    pub(super) text: &'a str,
    /// The type of the column.
    pub(super) ty: Option<&'a SqlType>,
    pub(super) descending: bool,
    pub(super) nulls_first: bool,
    /// COLLATE and the class of operators, where they were said.
    pub(super) marks: Option<&'a KeyMarks>,
}

/// The column, quoted, or the expression of a key, without its order.
pub(crate) fn key_of_index(table: &Table, key: &str) -> String {
    const ORDERS: [&str; 4] = [" DESC NULLS LAST", " DESC", " NULLS FIRST", ""];
    let splits = || ORDERS.iter().filter_map(|order| key.strip_suffix(order));
    let column = splits().find(|name| table.column_named(name).is_some());
    match column {
        Some(name) => super::quoted(name).into_owned(),
        None => splits().next().unwrap_or(key).to_owned(),
    }
}

/// The keys of an index, taken apart. Names of columns stand in them as they are, without quotes.
pub(super) fn index_keys<'a>(table: &'a Table, index: &'a Index) -> Vec<IndexKey<'a>> {
    const ORDERS: [(&str, bool, bool); 4] = [
        (" DESC NULLS LAST", true, false),
        (" DESC", true, true),
        (" NULLS FIRST", false, true),
        ("", false, false),
    ];
    let read = |(place, key): (usize, &'a String)| {
        let marks = index.marks.get(place);
        // A column's name may end in what looks like an order, so names are tried first.
        let splits = || {
            ORDERS.iter().filter_map(|(suffix, desc, first)| {
                Some((key.strip_suffix(suffix)?, *desc, *first))
            })
        };
        let column = splits().find_map(|(name, descending, nulls_first)| {
            let (_, column) = table.column_named(name)?;
            Some(IndexKey {
                attribute: column.id.0,
                text: &column.name,
                ty: Some(&column.ty),
                descending,
                nulls_first,
                marks,
            })
        });
        column.or_else(|| {
            splits()
                .next()
                .map(|(text, descending, nulls_first)| IndexKey {
                    attribute: 0,
                    text,
                    ty: None,
                    descending,
                    nulls_first,
                    marks,
                })
        })
    };
    index.keys.iter().enumerate().filter_map(read).collect()
}

/// The type of a key: a column's, or what its expression gives.
pub(super) fn key_type(context: &Context, table: &Table, key: &IndexKey<'_>) -> Option<SqlType> {
    match key.ty {
        Some(ty) => Some(ty.clone()),
        None => (context.expression_type)(table, key.text),
    }
}

/// The names that an index has its keys under: those of columns, of functions and the like.
pub(super) fn index_columns(keys: &[IndexKey<'_>]) -> Vec<String> {
    crate::ddl::told_apart(keys.iter().map(|key| match key.attribute {
        0 => crate::ddl::word_of(key.text),
        _ => key.text.to_owned(),
    }))
}

/// A time or number of a hypertable's dimension in µs; none for a dimension of numbers.
pub(super) fn dimension_us(ty: &SqlType, value: i64) -> Option<i64> {
    // Dates too are counted so wherever rows lie.
    match ty {
        SqlType::Timestamptz(_) | SqlType::Timestamp(_) | SqlType::Date => Some(value),
        _ => None,
    }
}
