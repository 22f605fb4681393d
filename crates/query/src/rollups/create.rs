//! CREATE MATERIALIZED VIEW … WITH (timescaledb.continuous).

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_catalog::{
    Change, Column, Continuous, Hypertable, Index, Materialized, Rollup, Table, View,
};
use chronolith_sql::CreateView;
use chronolith_types::{ColumnId, HypertableId, IndexId, SqlState, SqlType, TableId};

use super::definition::{Definition, Source};
use super::options::CaggOptions;
use super::registry::continuous;
use crate::bind::bind_kept;
use crate::ddl::{columnstore, owner, view_columns, view_text};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared};

/// A store's chunks are as wide as this many of its source's.
const CHUNKS_PER_CHUNK: i64 = 10;

/// Makes a continuous aggregate; it is right from its first read, and filled behind.
///
/// # Errors
/// What PostgreSQL says of names, TimescaleDB of options and queries.
pub(crate) fn create(shared: &Arc<Shared>, create: &CreateView) -> Result<(), Error> {
    let zone = shared.vars().time_zone;
    make(shared, create, None, &zone)
}

/// Makes a view a continuous aggregate: it keeps its number and its owner.
///
/// # Errors
/// As [`create`].
pub(crate) fn convert(
    shared: &Arc<Shared>,
    create: &CreateView,
    known: &View,
    zone: &str,
) -> Result<(), Error> {
    make(shared, create, Some(known), zone)
}

/// `zone` is what times without a zone are of.
fn make(
    shared: &Arc<Shared>,
    create: &CreateView,
    known: Option<&View>,
    zone: &str,
) -> Result<(), Error> {
    let options = CaggOptions::read(&create.options)?;
    let name = create.name.name();
    let names = SessionNames::new(shared)?;
    let bound = bind_kept(&names, &create.query)?;
    let home = shared.home()?;
    let secured = |of: &crate::bind::Use| {
        let security = home
            .row_security
            .get(&chronolith_types::TableId(of.relation));
        security.is_some_and(|security| security.enabled)
    };
    if bound.uses.iter().any(secured) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot create continuous aggregate on hypertable with row security",
        ));
    }
    shared.refuse_temporary(&bound.uses)?;
    // It is kept up without anybody's rights from here on.
    shared.check_uses(&bound.uses)?;
    let columns = view_columns(create, &bound)?;
    let schema = shared.creation_schema(create.name.schema())?;
    let home = shared.home()?;
    if known.is_none() && home.relation_exists(schema, name) {
        let message = format!("relation \"{name}\" already exists");
        if create.if_not_exists {
            shared.notice(
                Severity::Notice,
                Error::new(
                    SqlState::DUPLICATE_TABLE,
                    format!("continuous aggregate \"{name}\" already exists, skipping"),
                ),
            );
            return Ok(());
        }
        return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
    }
    let allocate = || shared.transact(|tx| Ok::<_, Error>(tx.allocate_oid()));
    let mut view = View {
        id: match known {
            Some(known) => known.id,
            None => TableId(allocate()?),
        },
        schema,
        name: name.to_owned(),
        owner: match known {
            Some(known) => known.owner,
            None => owner(shared)?,
        },
        query: view_text(shared, create)?,
        columns,
        materialized: None,
        check: None,
        invoker: None,
        barrier: None,
        defaults: Default::default(),
    };
    let registry = &shared.instance.registry;
    let definition = Definition::of_view_in(&home, &view, registry, Some(zone))?;
    let bucket = definition.groups.get(definition.bucket);
    if bucket.is_some_and(|group| group.ty == SqlType::Date)
        && !definition.buckets.begin_with_days()
    {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "time buckets of a continuous aggregate over dates must begin with days",
        )
        .detail("A bucket that begins within a day is called by the date before its first."));
    }
    let (source, parent) = match definition.source {
        Source::Table(table) => (table, None),
        Source::Partials(parent) | Source::View(parent) => {
            let found = home.views.get(&parent).and_then(|view| continuous(view));
            let found = found.ok_or_else(|| Error::internal("a parent that is gone"))?;
            check_widths(&definition, &*registry.definition(&home, parent)?)?;
            (found.table, Some(parent))
        }
    };
    let source = home.tables.get(&source);
    let source = source.ok_or_else(|| Error::internal("a source that is gone"))?;
    let hypertable = free_number(&home);
    let store = TableId(allocate()?);
    let table = store_of(&definition, hypertable, store, &view, &home)?;
    let column = |name: &str| table.column_named(name).map(|(_, column)| column.id);
    let time = column(definition.bucket_name());
    let time = time.ok_or_else(|| Error::internal("a store without its bucket"))?;
    let width = source.hypertable.as_ref().map_or(0, |known| known.interval);
    let width = match parent {
        None => width.saturating_mul(CHUNKS_PER_CHUNK),
        Some(_) => width,
    };
    let interval = options
        .interval(&table, definition.bucket_name())?
        .unwrap_or(width);
    let groups = definition.groups.iter();
    let groups = groups
        .filter(|group| group.name != definition.bucket_name() && series(&group.ty))
        .filter_map(|group| column(&group.name));
    let rollup = Rollup {
        groups: groups.collect(),
        reads: definition.beside(source.id),
        ..Rollup::new(view.id, source.id)
    };
    let database = shared.database;
    let indexes = indexes_of(&definition, &table, options.group_indexes, allocate)?;
    let columns = definition.outputs.iter().map(|output| output.name.clone());
    view.columns = columns.collect();
    view.materialized = Some(Materialized {
        table: store,
        populated: create.with_data,
        continuous: Some(Continuous {
            source: source.id,
            parent,
            materialized_only: options.materialized_only.unwrap_or(true),
            time_zone: (zone != "UTC").then(|| zone.to_string()),
        }),
    });
    let changes = [
        Change::CreateTable {
            database,
            table: Box::new(table),
        },
        Change::MakeHypertable {
            database,
            table: store,
            hypertable: Hypertable {
                id: hypertable,
                time,
                interval: interval.max(1),
                dimension: shared.home()?.next_dimension(),
                ..Hypertable::default()
            },
        },
        // Before the store follows its source: what the transaction did to that is held against it
        // with the next change, and for that its definition is read.
        Change::CreateView {
            database,
            view,
            replace: known.is_some(),
        },
        Change::SetRollup {
            database,
            table: store,
            rollup: Some(rollup),
        },
    ];
    for change in changes {
        shared.change(change)?;
    }
    for index in indexes {
        shared.change(Change::CreateIndex {
            database,
            table: store,
            index,
        })?;
    }
    let mut storage = options.table.storage.clone();
    storage.chunk_interval = None;
    columnstore::set(shared, store, &storage)?;
    let rows = shared.transact(|tx| Ok::<_, Error>(tx.table(source.id)))?;
    let owed = source
        .rollup
        .as_ref()
        .is_some_and(|rollup| !rollup.invalid.is_empty());
    if owed || rows.is_some_and(|rows| rows.rows() > 0) {
        shared.change(Change::Invalidate {
            database,
            table: store,
            range: i64::MIN..i64::MAX,
        })?;
    }
    if create.with_data && known.is_none() {
        let told = format!("refreshing continuous aggregate \"{name}\"");
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::SUCCESSFUL_COMPLETION, told).hint(
                "Use WITH NO DATA if you do not want to refresh the continuous aggregate on creation.",
            ),
        );
    }
    Ok(())
}

/// Whether a column of a type may be one of those that make a series.
fn series(ty: &SqlType) -> bool {
    matches!(
        ty,
        SqlType::Text
            | SqlType::Varchar(_)
            | SqlType::Bool
            | SqlType::Int2
            | SqlType::Int4
            | SqlType::Int8
            | SqlType::Uuid
            | SqlType::Date
    )
}

/// Buckets of a continuous aggregate over another are made of whole ones of the other's.
fn check_widths(child: &Definition, parent: &Definition) -> Result<(), Error> {
    use super::buckets::Width;
    let refused = |message: String| Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
    let fits = match (child.buckets.width(), parent.buckets.width()) {
        (Width::Time(own), Width::Time(theirs)) => {
            if theirs.months != 0 && own.months == 0 {
                return refused(
                    "cannot create continuous aggregate with fixed-width bucket on top of one \
                     using variable-width bucket"
                        .to_owned(),
                );
            }
            match (own.months, theirs.months) {
                (0, _) => {
                    child.buckets.width().length() % parent.buckets.width().length().max(1) == 0
                }
                (_, 0) => {
                    chronolith_types::datetime::US_PER_DAY % parent.buckets.width().length().max(1)
                        == 0
                }
                (own, theirs) => own % theirs == 0,
            }
        }
        (Width::Integer(own), Width::Integer(theirs)) => own % theirs.max(1) == 0,
        _ => false,
    };
    let (own, theirs) = (child.buckets.width(), parent.buckets.width());
    if own.length() < theirs.length() {
        return refused(
            "cannot create continuous aggregate with incompatible bucket width".to_owned(),
        )
        .map_err(|error: Error| {
            error.detail("Time bucket width of a continuous aggregate should be greater or equal to the time bucket width of the one it is defined over.")
        });
    }
    match fits {
        true => Ok(()),
        false => refused(
            "cannot create continuous aggregate with incompatible bucket width".to_owned(),
        )
        .map_err(|error: Error| {
            error.detail("Time bucket width of a continuous aggregate should be multiple of the time bucket width of the one it is defined over.")
        }),
    }
}

/// The number of a new store, which is part of its name: a table that a dump brought may have that.
fn free_number(home: &chronolith_catalog::Database) -> HypertableId {
    let schema = home.schema_named(chronolith_catalog::Database::INTERNAL_SCHEMA);
    let taken = |number: &i32| {
        let name = store_name(HypertableId(*number));
        schema.is_some_and(|schema| home.relation_exists(schema.id, &name))
    };
    let mut numbers = home.next_hypertable..i32::MAX;
    HypertableId(numbers.find(|number| !taken(number)).unwrap_or(i32::MAX))
}

fn store_name(hypertable: HypertableId) -> String {
    format!("_materialized_hypertable_{hypertable}")
}

fn store_of(
    definition: &Definition,
    hypertable: HypertableId,
    id: TableId,
    view: &View,
    home: &chronolith_catalog::Database,
) -> Result<Table, Error> {
    let schema = home
        .schema_named(chronolith_catalog::Database::INTERNAL_SCHEMA)
        .ok_or_else(|| Error::internal("the internal schema is gone"))?;
    let mut columns = Vec::new();
    let mut next_column = ColumnId(1);
    for (name, ty) in definition.store_columns() {
        columns.push(Column {
            id: next_column,
            not_null: name == definition.bucket_name(),
            name,
            ty,
            domain: None,
            default: None,
            missing: None,
            identity: None,
            generated: None,
            comment: None,
        });
        next_column.0 += 1;
    }
    Ok(Table {
        id,
        schema: schema.id,
        name: store_name(hypertable),
        owner: view.owner,
        columns,
        next_column,
        constraints: Vec::new(),
        indexes: Vec::new(),
        hypertable: None,
        chunks: BTreeMap::new(),
        comment: None,
        acl: None,
        rollup: None,
        persistence: chronolith_catalog::Persistence::default(),
    })
}

fn indexes_of(
    definition: &Definition,
    table: &Table,
    of_groups: bool,
    allocate: impl Fn() -> Result<u32, Error>,
) -> Result<Vec<Index>, Error> {
    let bucket = definition.bucket_name();
    let quoted = chronolith_sql::quoted;
    let mut wanted = vec![(
        format!("{}_{bucket}_idx", table.name),
        vec![format!("{} DESC", quoted(bucket))],
    )];
    if of_groups {
        for group in &definition.groups {
            if group.name != bucket {
                wanted.push((
                    format!("{}_{}_{bucket}_idx", table.name, group.name),
                    vec![quoted(&group.name), format!("{} DESC", quoted(bucket))],
                ));
            }
        }
    }
    let mut indexes = Vec::with_capacity(wanted.len());
    for (name, keys) in wanted {
        indexes.push(Index {
            id: IndexId(allocate()?),
            name,
            method: "btree".to_owned(),
            keys,
            unique: false,
            constraint: false,
            predicate: None,
            include: Vec::new(),
            nulls_alike: false,
            options: Vec::new(),
            marks: Vec::new(),
        });
    }
    Ok(indexes)
}
