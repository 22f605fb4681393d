//! Chunks that become tables of their own, and tables that become chunks.
//!
//! Rows are copied, so that whatever holds for rows that come or go holds here: keys, loads that
//! outgrow memory, buckets of continuous aggregates. Nobody else writes to either table meanwhile.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{
    Change, Chunk, Column, Constraint, ConstraintKind, DimensionKind, Hypertable, Index, Reference,
    Table,
};
use chronolith_chunk::{ScanRequest, cold};
use chronolith_engine::{EngineError, Isolation, LockMode, TableView};
use chronolith_types::{ChunkId, ColumnId, IndexId, SqlState, TableId};
use datafusion::common::ScalarValue;
use serde_json::{Map, Value};

use super::args::Args;
use super::chunks::{chunk_of, point};
use crate::ddl::drop_table;
use crate::ddl::hypertable::{hypertable_of, table_of};
use crate::error::Error;
use crate::insert::{Checks, Uniques};
use crate::references::{hold_all, referring};
use crate::session::{Shared, blocking};

/// Two chunks of one range: TimescaleDB's own code.
const CHUNK_COLLISION: SqlState = SqlState::new(b"TS503");

fn invalid(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn mismatch(message: String) -> Error {
    Error::new(SqlState::DATATYPE_MISMATCH, message)
}

/// Keeps others from writing to tables until the transaction ends, and sees what they wrote.
fn lock(shared: &Arc<Shared>, tables: &[(TableId, LockMode)]) -> Result<(), Error> {
    for (table, mode) in tables {
        shared.lock_waiting(*table, *mode)?;
    }
    if shared.with(|state| state.modes.isolation()) == Isolation::ReadCommitted {
        return shared.transact(|transaction| transaction.begin_statement());
    }
    // The snapshot stays as it was: what came since would be lost.
    for (table, _) in tables {
        let id = *table;
        let refuse = move |_: &TableView| Err(EngineError::Overtaken(id.to_string()));
        shared.transact(|transaction| {
            transaction.watch(id, true, Arc::new(refuse));
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

fn rows(view: &TableView, of: Option<ChunkId>) -> impl Iterator<Item = Result<RecordBatch, Error>> {
    let all = ScanRequest::all((0..view.layout.columns.len()).collect());
    let chunks = view.chunks.iter();
    let chunks = chunks.filter(move |(id, _)| of.is_none_or(|wanted| *id == wanted));
    let batches = chunks.flat_map(move |(_, chunk)| chunk.scan(&view.layout, &all));
    batches.map(|batch| Ok(batch?))
}

fn view_of(shared: &Arc<Shared>, table: TableId) -> Result<TableView, Error> {
    let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(table)))?;
    view.ok_or_else(|| Error::internal("a table without rows"))
}

fn put(
    shared: &Arc<Shared>,
    table: TableId,
    batches: impl Iterator<Item = Result<RecordBatch, Error>>,
) -> Result<(), Error> {
    let mut intake = shared.transact(|transaction| transaction.intake(table))?;
    for batch in batches {
        blocking(|| intake.push(batch?).map_err(Error::from))?;
    }
    blocking(|| {
        let finish = |transaction: &mut _| intake.finish(transaction).map_err(|(_, error)| error);
        shared.transact(finish)
    })?;
    Ok(())
}

/// `detach_chunk`: the chunk becomes a table with its name, its rows, and the keys, checks and
/// indexes of its hypertable.
pub(super) fn detach(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let oid = args.need(args.oid(0), "chunk")?;
    let (table, _) = chunk_of(shared, oid)?;
    lock(shared, &[(table.id, LockMode::AccessExclusive)])?;
    let (table, chunk) = chunk_of(shared, oid)?;
    let Some(hypertable) = &table.hypertable else {
        return Err(Error::internal("a chunk of no hypertable"));
    };
    if table.rollup.is_some() {
        return Err(Error::unsupported(
            "detach_chunk of a continuous aggregate's chunk",
        ));
    }
    let home = shared.home()?;
    let parents = referring(&home, table.id);
    if parents.iter().any(|(child, _)| child.id != table.id) {
        return Err(Error::unsupported(
            "detach_chunk of a hypertable that foreign keys refer to",
        ));
    }
    let internal = home.schema_named(chronolith_catalog::Database::INTERNAL_SCHEMA);
    let internal = internal.ok_or_else(|| Error::internal("no schema of chunks"))?;
    let view = view_of(shared, table.id)?;
    let mut plain = alone(shared, &table, hypertable, &chunk)?;
    plain.schema = internal.id;
    shared.change(Change::DetachChunk {
        database: shared.database,
        table: table.id,
        chunk: chunk.id,
    })?;
    let id = plain.id;
    // Who owns the hypertable need not be let into the schema of chunks.
    shared.change_unguarded(Change::CreateTable {
        database: shared.database,
        table: Box::new(plain),
    })?;
    put(shared, id, rows(&view, Some(chunk.id)))?;
    Ok(ScalarValue::Null)
}

/// A chunk as a table of its own, without its rows. It keeps its number, so that what is known of
/// it by that still is.
fn alone(
    shared: &Arc<Shared>,
    table: &Table,
    hypertable: &Hypertable,
    chunk: &Chunk,
) -> Result<Table, Error> {
    let oid = || shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()));
    let name = chunk.name(hypertable.id);
    let mut plain = Table::named(TableId(chunk.oid), table.schema, &name, table.owner);
    plain.columns.clone_from(&table.columns);
    for column in &mut plain.columns {
        // What gives it its numbers belongs to the hypertable.
        column.identity = None;
    }
    plain.next_column = table.next_column;
    plain.comment.clone_from(&table.comment);
    for (number, of) in (1..).zip(&table.constraints) {
        let own = of.kind.reference().is_some_and(|of| of.table == table.id);
        if own {
            continue;
        }
        let key = of.kind.unique_columns().is_some() || of.kind.operators().is_some();
        plain.constraints.push(Constraint {
            id: oid()?,
            name: match key || of.kind.reference().is_some() {
                true => key_name(chunk, number, &of.name),
                false => of.name.clone(),
            },
            ..of.clone()
        });
    }
    for index in &table.indexes {
        let mut constraints = (1..).zip(&table.constraints);
        let of_key = constraints.find(|(_, of)| index.constraint && of.name == index.name);
        plain.indexes.push(Index {
            id: IndexId(oid()?),
            name: match of_key {
                Some((number, of)) => key_name(chunk, number, &of.name),
                None => format!("{name}_{}", index.name),
            },
            ..index.clone()
        });
    }
    Ok(plain)
}

/// The name of a chunk's own key, as TimescaleDB makes it.
fn key_name(chunk: &Chunk, number: usize, name: &str) -> String {
    format!("{}_{number}_{name}", chunk.id)
}

/// `attach_chunk`: a table's rows become a chunk of a range, and the table is no more.
pub(super) fn attach(shared: &Arc<Shared>, args: Args<'_>) -> Result<ScalarValue, Error> {
    let hypertable = args.need(args.oid(0), "hypertable")?;
    let oid = args.need(args.oid(1), "chunk")?;
    let slices = args.need(args.text(2), "slices")?;
    let parent = hypertable_of(shared, TableId(hypertable))?;
    let child = attachable(shared, oid)?;
    let mode = LockMode::AccessExclusive;
    lock(shared, &[(parent.id, mode), (child.id, mode)])?;
    let parent = table_of(shared, parent.id)?;
    let child = table_of(shared, child.id)?;
    let Some(known) = &parent.hypertable else {
        return Err(Error::internal("a hypertable that is none"));
    };
    if parent.rollup.is_some() {
        return Err(Error::unsupported("attach_chunk to a continuous aggregate"));
    }
    let time = parent.column(known.time);
    let time = time.ok_or_else(|| Error::internal("a hypertable without its time"))?;
    let slices = Slices::read(&parent, slices)?;
    let range = slices.range(shared, time)?;
    // Chunks are cut by time alone: who has further dimensions brings a slice of a chunk.
    let same = |chunk: &&Arc<Chunk>| !known.dimensions.is_empty() && chunk.range == range;
    let there = parent.chunks.values().find(same).map(|chunk| chunk.id);
    let meets = |chunk: &Arc<Chunk>| chunk.range.start < range.end && range.start < chunk.range.end;
    if there.is_none() && parent.chunks.values().any(meets) {
        return Err(Error::new(
            CHUNK_COLLISION,
            "chunk creation failed due to collision",
        ));
    }
    let places = fit(&parent, &child)?;
    let next = ChunkId(shared.home()?.next_chunk);
    let view = view_of(shared, child.id)?;
    let at = places[place_of(&parent, known.time)];
    hold_range(&view, &child, at, &range, there.unwrap_or(next))?;
    for dimension in &known.dimensions {
        let column = parent.column(dimension.column);
        let column = column.ok_or_else(|| Error::internal("a dimension without its column"))?;
        let range = slices.range(shared, column)?;
        // Rows of all hashes lie in one chunk here.
        if matches!(dimension.kind, DimensionKind::Range { .. }) {
            let at = places[place_of(&parent, dimension.column)];
            hold_range(&view, &child, at, &range, there.unwrap_or(next))?;
        }
    }
    hold_rules(shared, &parent, &child)?;
    drop_table(shared, &child, false)?;
    if there.is_none() {
        let oid = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
        shared.change(Change::AddChunk {
            database: shared.database,
            table: parent.id,
            chunk: next,
            oid,
            range,
            created_us: shared.instance.engine.clock().wall_us(),
        })?;
    }
    let schema = view_of(shared, parent.id)?.layout.projected(&all(&parent));
    let ordered = rows(&view, None).map(|batch| {
        let batch = batch?;
        let columns = places.iter().map(|place| Arc::clone(batch.column(*place)));
        Ok(RecordBatch::try_new(
            Arc::clone(&schema),
            columns.collect(),
        )?)
    });
    put(shared, parent.id, ordered)?;
    // Chunks keep most keys by themselves.
    if let Some(uniques) = Uniques::of(shared, &parent)? {
        uniques.hold_all(shared)?;
    }
    // Its rows may refer to each other.
    let parent = table_of(shared, parent.id)?;
    for constraint in &parent.constraints {
        let reference = constraint.kind.reference();
        if reference.is_some_and(|reference| reference.table == parent.id) {
            hold_all(shared, &parent, constraint)?;
        }
    }
    Ok(ScalarValue::Null)
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.columns.len()).collect()
}

fn place_of(table: &Table, id: ColumnId) -> usize {
    let found = table.columns.iter().position(|column| column.id == id);
    found.unwrap_or_default()
}

/// The table that is to be a chunk.
fn attachable(shared: &Arc<Shared>, oid: u32) -> Result<Arc<Table>, Error> {
    if let Ok((table, chunk)) = chunk_of(shared, oid) {
        let number = table
            .hypertable
            .as_ref()
            .map(|of| of.id)
            .unwrap_or_default();
        let name = chunk.name(number);
        return Err(invalid(format!(
            "chunk \"{name}\" is already attached to hypertable \"{}\"",
            table.name
        ))
        .hint("Detach it first with detach_chunk."));
    }
    let home = shared.home()?;
    let wrong = |name: &str| {
        Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{name}\" is not a table"),
        )
    };
    if let Some(view) = home.views.get(&TableId(oid)) {
        return Err(wrong(&view.name));
    }
    let table = table_of(shared, TableId(oid))?;
    shared.check_owner(table.id)?;
    if table.hypertable.is_some() {
        return Err(invalid(format!(
            "cannot attach hypertable \"{}\" as a chunk",
            table.name
        )));
    }
    if shared.is_temporary(table.id) {
        return Err(invalid(format!(
            "cannot attach temporary table \"{}\" as a chunk",
            table.name
        )));
    }
    Ok(table)
}

/// The ranges of a chunk, from JSON: for each dimension's column two bounds, as numbers in the unit
/// that it is cut in, or as texts that the column's type reads.
struct Slices {
    hypertable: String,
    of: Map<String, Value>,
}

impl Slices {
    fn read(table: &Table, slices: &str) -> Result<Self, Error> {
        let (read, hypertable) = (serde_json::from_str(slices), table.name.clone());
        let not_read = read.is_err();
        let of = read.unwrap_or_default();
        let slices = Self { hypertable, of };
        if not_read {
            return Err(slices.wrong("The slices are not a JSON object."));
        }
        let hypertable = table.hypertable.as_ref();
        let further = hypertable.map(|of| of.dimensions.iter());
        let further = further.into_iter().flatten().map(|of| of.column);
        let columns = hypertable.map(|of| of.time).into_iter().chain(further);
        let columns = columns.filter_map(|id| table.column(id));
        let known: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        match slices
            .of
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            Some(other) => {
                let detail = format!("Column \"{other}\" is no dimension of the hypertable.");
                Err(slices.wrong(detail))
            }
            None => Ok(slices),
        }
    }

    fn wrong(&self, detail: impl Into<String>) -> Error {
        let message = format!("invalid hypercube for hypertable \"{}\"", self.hypertable);
        invalid(message).detail(detail)
    }

    /// The slice of a dimension.
    fn range(&self, shared: &Arc<Shared>, column: &Column) -> Result<Range<i64>, Error> {
        let name = &column.name;
        let bounds = self.of.get(name).and_then(Value::as_array);
        let Some([start, end]) = bounds.map(Vec::as_slice) else {
            return Err(self.wrong(format!(
                "Dimension \"{name}\" needs an array of a start and an end."
            )));
        };
        let bound = |value: &Value| match value {
            Value::Number(number) => number
                .as_i64()
                .ok_or_else(|| self.wrong(format!("Bound {number} is not a whole number."))),
            Value::String(text) => {
                let text = ScalarValue::Utf8View(Some(text.clone()));
                point(shared, &text, &column.ty)
            }
            other => Err(self.wrong(format!("Bound {other} is neither a number nor a text."))),
        };
        let (start, end) = (bound(start)?, bound(end)?);
        match start < end {
            true => Ok(start..end),
            false => Err(self.wrong(format!("Dimension \"{name}\" ends before it starts."))),
        }
    }
}

/// Where each of a hypertable's columns is in a table that is to be its chunk.
fn fit(parent: &Table, child: &Table) -> Result<Vec<usize>, Error> {
    let time = parent.hypertable.as_ref().map(|hypertable| hypertable.time);
    let mut places = Vec::with_capacity(parent.columns.len());
    for column in &parent.columns {
        let found = child.column_named(&column.name);
        let (place, own) = found.ok_or_else(|| {
            mismatch(format!("child table is missing column \"{}\"", column.name))
        })?;
        if own.ty != column.ty || own.domain != column.domain {
            return Err(mismatch(format!(
                "child table \"{}\" has different type for column \"{}\"",
                child.name, column.name
            )));
        }
        if column.not_null && !own.not_null && Some(column.id) != time {
            return Err(mismatch(format!(
                "column \"{}\" in child table must be marked NOT NULL",
                column.name
            )));
        }
        if own.generated.is_some() != column.generated.is_some() {
            return Err(mismatch(format!(
                "column \"{}\" in child table must {}be a generated column",
                column.name,
                if column.generated.is_some() {
                    ""
                } else {
                    "not "
                }
            )));
        }
        places.push(place);
    }
    let more = child
        .columns
        .iter()
        .find(|column| parent.column_named(&column.name).is_none());
    match more {
        Some(column) => Err(mismatch(format!(
            "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
            child.name, column.name, parent.name
        ))),
        None => Ok(places),
    }
}

/// Refuses rows without a time, or with one outside of the range.
fn hold_range(
    view: &TableView,
    child: &Table,
    at: usize,
    range: &Range<i64>,
    chunk: ChunkId,
) -> Result<(), Error> {
    let only = ScanRequest::all(vec![at]);
    for (_, part) in view.chunks.iter() {
        for batch in part.scan(&view.layout, &only) {
            let batch = batch?;
            let column = batch.column(0);
            if column.null_count() > 0 {
                let name = child.columns.get(at).map_or("", |column| &column.name);
                return Err(Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "column \"{name}\" of relation \"{}\" contains null values",
                        child.name
                    ),
                ));
            }
            let times = cold::times(column)?;
            if times.iter().any(|time| !range.contains(time)) {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "check constraint \"constraint_{chunk}\" of relation \"{}\" is violated by \
                         some row",
                        child.name
                    ),
                ));
            }
        }
    }
    Ok(())
}

/// Holds a table's rows against the checks and foreign keys of the hypertable that gets them.
fn hold_rules(shared: &Arc<Shared>, parent: &Table, child: &Table) -> Result<(), Error> {
    let column = |id: &ColumnId| -> Result<ColumnId, Error> {
        let name = parent.column(*id).map(|column| &column.name);
        let own = name.and_then(|name| child.column_named(name));
        own.map(|(_, own)| own.id)
            .ok_or_else(|| Error::internal("a column that does not fit"))
    };
    for constraint in &parent.constraints {
        let mut asked = child.clone();
        asked.constraints.clear();
        match &constraint.kind {
            ConstraintKind::Check { .. } => {
                asked.constraints.push(constraint.clone());
                let checks = Checks::of(shared, &Arc::new(asked))?;
                checks.hold_all(shared).map_err(|error| {
                    let message = format!(
                        "check constraint \"{}\" of relation \"{}\" is violated by some row",
                        constraint.name, child.name
                    );
                    Error::new(error.code, message)
                })?;
            }
            // Held once the rows are there.
            ConstraintKind::ForeignKey(reference) if reference.table == parent.id => {}
            ConstraintKind::ForeignKey(reference) => {
                let columns = reference.columns.iter().map(column);
                let own = Constraint {
                    kind: ConstraintKind::ForeignKey(Box::new(Reference {
                        columns: columns.collect::<Result<_, _>>()?,
                        set: Vec::new(),
                        ..Reference::clone(reference)
                    })),
                    ..constraint.clone()
                };
                asked.constraints.push(own.clone());
                hold_all(shared, &Arc::new(asked), &own)?;
            }
            ConstraintKind::PrimaryKey { .. }
            | ConstraintKind::Unique { .. }
            | ConstraintKind::Exclude { .. } => {}
        }
    }
    Ok(())
}
