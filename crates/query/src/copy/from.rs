//! COPY FROM STDIN: blocks of rows parsed by several threads, written in their order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, new_null_array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::{Bytes, BytesMut};
use chronolith_catalog::{Rights, Table};
use chronolith_engine::{Intake, LockMode, Wait};
use chronolith_sql::{Copy, CopySource, CopyTarget};
use chronolith_types::{SqlState, SqlType, TimeZone};
use datafusion::common::DFSchema;
use datafusion::physical_expr::PhysicalExpr;
use tokio::task::JoinHandle;

use super::binary;
use super::lines::{Fields, LineError, Splitter, parse_block};
use super::options::CopyOptions;
use super::parse_options;
use crate::arrivals::{self, Told};
use crate::bind::{Alone, Names, Target, bind_alone, bind_scalar};
use crate::error::Error;
use crate::insert::{Checks, find_target, target_of, undefined_column};
use crate::outcome::{CopyFormat, Outcome};
use crate::routines::{Event, Triggers, has_triggers};
use crate::session::{Session, SessionNames, Shared, blocking};
use crate::value::ColumnBuilder;

/// Bytes of rows that one thread parses at a time: enough to spread what a block costs, little
/// enough that all threads have one early.
const BLOCK_BYTES: usize = 1 << 20;

/// A COPY FROM STDIN that runs.
pub(crate) struct CopyIn {
    shared: Arc<Shared>,
    form: Arc<Form>,
    sink: Destination,
    buffer: BytesMut,
    splitter: Splitter,
    /// Bytes of the buffer known to be whole rows; in the binary format.
    whole: usize,
    /// Nothing was cut off the data's start yet.
    first: bool,
    /// The end mark was met: what follows is not read.
    ended: bool,
    /// Blocks being parsed, in the order of the data.
    parsing: VecDeque<JoinHandle<Result<Parsed, LineError>>>,
    /// Lines before those being parsed.
    lines: u64,
    rows: u64,
}

/// What the threads must know to parse.
struct Form {
    options: CopyOptions,
    relation: String,
    names: Vec<String>,
    types: Vec<SqlType>,
    zone: TimeZone,
    schema: SchemaRef,
}

struct Parsed {
    batch: RecordBatch,
    lines: u64,
    ended: bool,
}

/// What the rows are for.
enum Destination {
    Table(Box<Sink>),
    /// What a dump of TimescaleDB's tells.
    Told(Told),
}

/// Where parsed rows go.
struct Sink {
    table: Arc<Table>,
    schema: SchemaRef,
    /// For each column of the table, its place in the data, or what stands for it.
    sources: Vec<Source>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    checks: Checks,
    /// What fires for its rows; whether it has begun to.
    triggers: Option<Triggers>,
    fires: bool,
    /// Whether it is a view, whose triggers take the rows.
    instead: bool,
    /// Rows that were read; None before the first.
    rows: Option<Intake>,
    /// Where they stood in the data.
    read: Vec<Stood>,
    /// The schema and name of the table of a dump that they are of, where a part of this one was
    /// that.
    arrives: Option<(String, String)>,
}

/// Where rows of a block stood in the data.
struct Stood {
    /// Lines before the block's first row.
    lines: u64,
    /// Rows of it that the table gets.
    rows: u64,
    /// Which rows those are, where some are not.
    kept: Option<BooleanArray>,
}

impl Stood {
    /// The line of one of the rows.
    fn line(&self, row: u64) -> u64 {
        let place = match &self.kept {
            None => Some(row),
            Some(kept) => {
                let mut places = (0_u64..).zip(kept).filter(|(_, kept)| *kept == Some(true));
                let nth = usize::try_from(row).ok().and_then(|row| places.nth(row));
                nth.map(|(place, _)| place)
            }
        };
        self.lines + place.unwrap_or(row) + 1
    }
}

enum Source {
    Data(usize),
    Default(Arc<dyn PhysicalExpr>),
    Null,
}

/// Begins to take rows.
///
/// # Errors
/// 42P01, 42703, 42601 and 22023 for what the statement names or asks wrongly.
pub(crate) fn begin_in(shared: &Arc<Shared>, copy: &Copy) -> Result<(CopyIn, Outcome), Error> {
    if copy.target != CopyTarget::Client {
        return Err(
            Error::unsupported("COPY from a file or program of the server")
                .hint("Copy from STDIN; psql's \\copy does that."),
        );
    }
    let CopySource::Table { name, columns } = &copy.source else {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "COPY FROM takes a table",
        ));
    };
    if arrivals::is_told(shared, name)? {
        return begin_told(shared, copy, name.name(), columns);
    }
    let part = arrivals::part(shared, name)?;
    let view = match part {
        None => shared.find_view(name.schema(), name.name())?,
        Some(_) => None,
    };
    if view.is_some_and(|view| view.kept().is_some()) {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot copy to materialized view \"{}\"", name.name()),
        ));
    }
    let arrives = part.as_ref().and(name.schema());
    let arrives = arrives.map(|schema| (schema.to_owned(), name.name().to_owned()));
    let found = part.map_or_else(|| find_target(shared, name.schema(), name.name()), Ok);
    let table = found.map_err(|error| error.at(u32::try_from(name.position).ok()))?;
    let named = columns
        .iter()
        .map(|column| table.column_named(&column.value));
    let named: BTreeSet<u32> = match columns.is_empty() {
        true => table.columns.iter().map(|column| column.id.0).collect(),
        false => named.flatten().map(|(_, column)| column.id.0).collect(),
    };
    shared.check_columns(table.id, Rights::INSERT, &named)?;
    if shared.has_row_policies(table.id)? {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "COPY FROM not supported with row-level security",
        )
        .hint("Use INSERT statements instead."));
    }
    shared.lock_table(table.id, &table.name, LockMode::RowExclusive, Wait::Block)?;
    let mut places = Vec::new();
    for column in columns {
        let (place, _) = table
            .column_named(&column.value)
            .ok_or_else(|| undefined_column(&column.value, &table.name))?;
        refuse_generated(&table, place)?;
        if places.contains(&place) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", column.value),
            ));
        }
        places.push(place);
    }
    if columns.is_empty() {
        // Those that are computed are not in the data.
        let given = |place: &usize| {
            let column = table.columns.get(*place);
            column.is_some_and(|column| column.generated.is_none())
        };
        places = (0..table.columns.len()).filter(given).collect();
    }
    let of_data = || places.iter().filter_map(|place| table.columns.get(*place));
    let names: Vec<String> = of_data().map(|column| column.name.clone()).collect();
    let types: Vec<SqlType> = of_data().map(|column| column.ty.clone()).collect();
    let options = parse_options(copy, &names)?;
    let outcome = Outcome::CopyIn {
        format: options.format,
        columns: names.len(),
    };
    let layout = chronolith_engine::layout_of(&table);
    let form = Form {
        options,
        relation: table.name.clone(),
        names,
        types,
        zone: shared.time_zone(),
        schema: layout.projected(&places),
    };
    let mut sink = Sink::new(shared, table, &places, copy)?;
    sink.arrives = arrives;
    let sink = Destination::Table(Box::new(sink));
    Ok((CopyIn::new(shared, form, sink), outcome))
}

/// Begins to take rows for a table of TimescaleDB's: texts, whatever they are there.
fn begin_told(
    shared: &Arc<Shared>,
    copy: &Copy,
    table: &str,
    columns: &[chronolith_sql::Spelled],
) -> Result<(CopyIn, Outcome), Error> {
    let names: Vec<String> = columns.iter().map(|column| column.value.clone()).collect();
    let options = parse_options(copy, &names)?;
    if options.format == CopyFormat::Binary {
        return Err(
            Error::unsupported("COPY of binary rows to TimescaleDB's own tables")
                .hint("Dump with pg_dump, which writes texts."),
        );
    }
    let outcome = Outcome::CopyIn {
        format: options.format,
        columns: names.len(),
    };
    let fields = names
        .iter()
        .map(|name| Field::new(name, SqlType::Text.arrow(), true));
    let form = Form {
        options,
        relation: table.to_owned(),
        types: vec![SqlType::Text; names.len()],
        zone: shared.time_zone(),
        schema: Arc::new(Schema::new(fields.collect::<Vec<_>>())),
        names,
    };
    let sink = Destination::Told(Told::new(table, &form.names));
    Ok((CopyIn::new(shared, form, sink), outcome))
}

/// 42P10 for a column that is computed.
fn refuse_generated(table: &Table, place: usize) -> Result<(), Error> {
    match table.columns.get(place) {
        Some(column) if column.generated.is_some() => Err(generated(&column.name)),
        _ => Ok(()),
    }
}

pub(super) fn generated(column: &str) -> Error {
    Error::new(
        SqlState::INVALID_COLUMN_REFERENCE,
        format!("column \"{column}\" is a generated column"),
    )
    .detail("Generated columns cannot be used in COPY.")
}

impl CopyIn {
    fn new(shared: &Arc<Shared>, form: Form, sink: Destination) -> Self {
        Self {
            shared: Arc::clone(shared),
            form: Arc::new(form),
            sink,
            buffer: BytesMut::new(),
            splitter: Splitter::default(),
            whole: 0,
            first: true,
            ended: false,
            parsing: VecDeque::new(),
            lines: 0,
            rows: 0,
        }
    }

    /// Takes a piece of the data.
    async fn data(&mut self, data: &Bytes) -> Result<(), Error> {
        self.shared.cancel.check()?;
        if self.ended {
            return Ok(());
        }
        self.buffer.extend_from_slice(data);
        if self.buffer.len() < BLOCK_BYTES {
            return Ok(());
        }
        let length = self.whole_rows()?;
        if length > 0 {
            self.cut(length).await?;
        }
        Ok(())
    }

    fn whole_rows(&mut self) -> Result<usize, Error> {
        if self.form.options.format != CopyFormat::Binary {
            return Ok(self.splitter.whole_rows(&self.buffer, &self.form.options));
        }
        if self.first {
            match binary::header(&self.buffer)? {
                Some(length) => {
                    drop(self.buffer.split_to(length));
                    self.first = false;
                }
                None => return Ok(0),
            }
        }
        self.whole = binary::whole_rows(&self.buffer, self.whole);
        Ok(self.whole)
    }

    /// Has the first bytes of the buffer parsed.
    async fn cut(&mut self, length: usize) -> Result<(), Error> {
        let block = self.buffer.split_to(length).freeze();
        if self.form.options.format == CopyFormat::Binary {
            self.whole = 0;
        } else {
            self.splitter.taken(length);
        }
        let first = std::mem::take(&mut self.first);
        let form = Arc::clone(&self.form);
        // The threads that run this COPY's queries are few; parsing has its own.
        self.parsing.push_back(tokio::task::spawn_blocking(move || {
            form.parse(&block, first)
        }));
        let most = self.shared.instance.options.threads.max(1) + 1;
        while self.parsing.len() > most {
            self.write_oldest().await?;
        }
        Ok(())
    }

    async fn write_oldest(&mut self) -> Result<(), Error> {
        let Some(oldest) = self.parsing.pop_front() else {
            return Ok(());
        };
        let parsed = oldest
            .await
            .map_err(|_| Error::internal("a thread that parsed rows failed"))?;
        let parsed = parsed.map_err(|error| self.form.explain(error, self.lines))?;
        if self.ended {
            return Ok(());
        }
        let before = self.lines;
        self.lines += parsed.lines;
        self.ended = parsed.ended;
        // A header is a line, but no row.
        let header = parsed.lines.saturating_sub(parsed.batch.num_rows() as u64);
        let rows = match &mut self.sink {
            Destination::Told(told) => {
                told.write(&parsed.batch);
                Ok(parsed.batch.num_rows() as u64)
            }
            Destination::Table(sink) => {
                let batch = &parsed.batch;
                sink.write(&self.shared, batch, before + header).await
            }
        };
        self.rows += rows.map_err(|(line, error)| {
            let line = line.unwrap_or(self.lines);
            error.context(format!("COPY {}, line {line}", self.form.relation))
        })?;
        Ok(())
    }

    /// The data has ended; how many rows there were.
    async fn done(&mut self) -> Result<u64, Error> {
        if self.form.options.format == CopyFormat::Binary {
            let length = self.whole_rows()?;
            if length > 0 {
                self.cut(length).await?;
            }
            if !self.buffer.is_empty() && !self.ended {
                return Err(Error::new(
                    SqlState::new(b"22P04"),
                    "unexpected EOF in COPY data",
                ));
            }
        } else if !self.buffer.is_empty() {
            let length = self.buffer.len();
            // The last line may lack its end, which a splitter waits for.
            self.splitter = Splitter::default();
            let first = std::mem::take(&mut self.first);
            let block = self.buffer.split_to(length).freeze();
            let form = Arc::clone(&self.form);
            self.parsing.push_back(tokio::task::spawn_blocking(move || {
                form.parse(&block, first)
            }));
        }
        while !self.parsing.is_empty() {
            self.write_oldest().await?;
        }
        let finished = match &mut self.sink {
            Destination::Told(told) => told.finish(&self.shared).map_err(|error| (None, error)),
            Destination::Table(sink) => sink.finish(&self.shared).await,
        };
        finished.map_err(|(line, error)| {
            let relation = &self.form.relation;
            error.context(match line {
                Some(line) => format!("COPY {relation}, line {line}"),
                None => format!("COPY {relation}"),
            })
        })?;
        Ok(self.rows)
    }
}

impl Drop for CopyIn {
    fn drop(&mut self) {
        for task in &self.parsing {
            task.abort();
        }
    }
}

impl Form {
    fn parse(&self, block: &[u8], first: bool) -> Result<Parsed, LineError> {
        let mut columns = Columns {
            builders: self
                .types
                .iter()
                .map(|ty| ColumnBuilder::new(ty, &self.zone))
                .collect(),
            names: &self.names,
            binary: self.options.format == CopyFormat::Binary,
            rows: 0,
        };
        let count = self.names.len();
        let (lines, ended) = if columns.binary {
            binary::parse_block(block, count, &mut columns)?
        } else {
            parse_block(block, &self.options, count, first, &mut columns)?
        };
        let arrays: Vec<ArrayRef> = columns
            .builders
            .iter_mut()
            .map(ColumnBuilder::finish)
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(columns.rows));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, arrays, &options);
        Ok(Parsed {
            batch: batch.map_err(|error| LineError {
                line: 0,
                field: None,
                error: Error::from(error),
                text: None,
            })?,
            lines,
            ended,
        })
    }

    /// An error with where in the data it is.
    fn explain(&self, error: LineError, lines_before: u64) -> Error {
        let line = lines_before + error.line + 1;
        let place = format!("COPY {}, line {line}", self.relation);
        let context = match (&error.field, &error.text) {
            (Some((column, text)), _) => {
                let name = self.names.get(*column).map_or("", String::as_str);
                if self.options.format == CopyFormat::Binary {
                    format!("{place}, column {name}")
                } else {
                    format!("{place}, column {name}: \"{text}\"")
                }
            }
            (None, Some(text)) => format!("{place}: \"{text}\""),
            (None, None) => place,
        };
        error.error.context(context)
    }
}

/// The columns of one block while it is parsed.
struct Columns<'f> {
    builders: Vec<ColumnBuilder>,
    names: &'f [String],
    binary: bool,
    rows: usize,
}

impl Fields for Columns<'_> {
    fn field(&mut self, column: usize, value: Option<&[u8]>) -> Result<(), Error> {
        let Some(builder) = self.builders.get_mut(column) else {
            return Err(Error::internal("a field of no column"));
        };
        match value {
            Some(value) if self.binary => builder.push_binary(value),
            Some(value) => builder.push_text(value),
            None => {
                builder.push_null();
                Ok(())
            }
        }
    }

    fn end_row(&mut self) -> Result<(), Error> {
        self.rows += 1;
        Ok(())
    }

    fn name(&self, column: usize) -> &str {
        self.names.get(column).map_or("", String::as_str)
    }
}

impl Sink {
    fn new(
        shared: &Arc<Shared>,
        table: Arc<Table>,
        places: &[usize],
        copy: &Copy,
    ) -> Result<Self, Error> {
        let names = SessionNames::new(shared)?;
        let planner = shared.planner(names.vars().clone());
        let nothing = DFSchema::empty();
        let mut sources = Vec::with_capacity(table.columns.len());
        for (place, column) in table.columns.iter().enumerate() {
            let of_data = places.iter().position(|given| *given == place);
            let default = target_of(&names, column)?.default;
            sources.push(match (of_data, default) {
                (Some(index), _) => Source::Data(index),
                (None, None) => Source::Null,
                (None, Some(tree)) => {
                    let target = Target {
                        name: column.name.clone(),
                        ty: column.ty.clone(),
                        default: None,
                    };
                    let value = bind_scalar(&names, &tree, Some(&target))?;
                    Source::Default(planner.create_physical_expr(value.expr, &nothing)?)
                }
            });
        }
        let layout = chronolith_engine::layout_of(&table);
        let schema = Arc::clone(layout.schema());
        let filter = match &copy.filter {
            None => None,
            Some(tree) => {
                let columns: Vec<_> = table
                    .columns
                    .iter()
                    .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
                    .collect();
                let kind = Alone::CopyWhere;
                let typed = bind_alone(&names, tree, &table.name, &columns, kind)?;
                if typed.ty != SqlType::Bool {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "argument of WHERE must be type boolean, not type {}",
                            typed.ty
                        ),
                    ));
                }
                let of_table = DFSchema::try_from(Schema::clone(&schema))?;
                Some(planner.create_physical_expr(typed.expr, &of_table)?)
            }
        };
        Ok(Self {
            checks: Checks::of(shared, &table)?,
            triggers: match has_triggers(shared, &table, Some(Event::Insert)) {
                true => Triggers::of(shared, &table, None)?,
                false => None,
            },
            fires: false,
            instead: triggers_take(shared, &table),
            table,
            schema,
            sources,
            filter,
            rows: None,
            read: Vec::new(),
            arrives: None,
        })
    }

    /// Takes rows that stand behind so many lines; how many the table gets. An error comes with the
    /// line that is at fault, where one is.
    async fn write(
        &mut self,
        shared: &Shared,
        data: &RecordBatch,
        lines: u64,
    ) -> Result<u64, (Option<u64>, Error)> {
        if data.num_rows() == 0 {
            return Ok(0);
        }
        self.fire_before().await.map_err(|error| (None, error))?;
        let (mut batch, kept) = self.complete(data).map_err(|error| (None, error))?;
        let mut stood = Stood {
            lines,
            rows: batch.num_rows() as u64,
            kept,
        };
        if let Some(triggers) = &self.triggers {
            batch = fired(triggers, &batch, &mut stood).await?;
            if self.instead {
                return Ok(batch.num_rows() as u64);
            }
            let computed = self.checks.computed(&batch);
            batch = computed.map_err(|error| (None, error))?;
        }
        let rows = batch.num_rows() as u64;
        self.hold(&batch)
            .map_err(|(row, error)| (Some(stood.line(row as u64)), error))?;
        self.checks.note(&batch).map_err(|error| (None, error))?;
        if self.rows.is_none() {
            let begun = shared.transact(|transaction| transaction.intake(self.table.id));
            self.rows = Some(begun.map_err(|error| (None, error))?);
        }
        self.read.push(stood);
        if let Some(triggers) = &mut self.triggers {
            triggers.changed(Event::Insert, None, Some(batch.clone()));
        }
        if let Some(intake) = &mut self.rows {
            let pushed = blocking(|| intake.push(batch));
            pushed.map_err(|error| (None, error.into()))?;
        }
        Ok(rows)
    }

    /// Refuses rows with NULL where there may be none, and those that a check refuses; with the
    /// first row that is at fault.
    fn hold(&self, batch: &RecordBatch) -> Result<(), (usize, Error)> {
        let held = |from: usize, rows: usize| -> Result<(), Error> {
            let rows = batch.slice(from, rows);
            self.checks.hold_read(&rows)
        };
        let Err(mut error) = held(0, batch.num_rows()) else {
            return Ok(());
        };
        // Each row is held by itself, so the first one at fault ends the shortest piece that fails.
        let (mut good, mut bad) = (0, batch.num_rows());
        while bad - good > 1 {
            let middle = usize::midpoint(good, bad);
            match held(good, middle - good) {
                Ok(()) => good = middle,
                Err(earlier) => (bad, error) = (middle, earlier),
            }
        }
        Err((good, error))
    }

    /// The data has ended. An error comes with the line that is at fault, where it is known.
    async fn finish(&mut self, shared: &Arc<Shared>) -> Result<(), (Option<u64>, Error)> {
        self.fire_before().await.map_err(|error| (None, error))?;
        if let Some(rows) = self.rows.take() {
            self.hand_over(shared, rows)?;
        }
        if let Some(triggers) = &mut self.triggers {
            triggers.after().await.map_err(|error| (None, error))?;
            let done = triggers.statement(Event::Insert, false).await;
            done.map_err(|error| (None, error))?;
        }
        if let Some((schema, name)) = &self.arrives {
            let loaded = arrivals::loaded(shared, schema, name).await;
            loaded.map_err(|error| (None, error))?;
        }
        Ok(())
    }

    /// What fires before the first row, once.
    async fn fire_before(&mut self) -> Result<(), Error> {
        match &self.triggers {
            Some(triggers) if !std::mem::replace(&mut self.fires, true) => {
                triggers.statement(Event::Insert, true).await
            }
            _ => Ok(()),
        }
    }

    /// The transaction gets the rows.
    fn hand_over(&mut self, shared: &Shared, rows: Intake) -> Result<(), (Option<u64>, Error)> {
        let mut at = None;
        let finished = shared.transact(|transaction| {
            blocking(|| rows.finish(transaction)).map_err(|(row, error)| {
                at = row;
                error
            })
        });
        match finished {
            Ok(rows) => {
                let counted = shared.count_inserted(self.table.id, rows);
                let settled = counted.and_then(|()| self.checks.settle(shared));
                settled.map_err(|error| (None, error))
            }
            Err(error) => Err((at.and_then(|row| self.line_of(row)), error)),
        }
    }

    /// The line of one of all rows that the table gets.
    fn line_of(&self, mut row: u64) -> Option<u64> {
        for stood in &self.read {
            if row < stood.rows {
                return Some(stood.line(row));
            }
            row -= stood.rows;
        }
        None
    }

    /// The table's rows from those of the data, without those that the filter takes away, and which
    /// it leaves.
    fn complete(&self, data: &RecordBatch) -> Result<(RecordBatch, Option<BooleanArray>), Error> {
        let rows = data.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let nothing =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        let mut arrays = Vec::with_capacity(self.sources.len());
        for (source, column) in self.sources.iter().zip(&self.table.columns) {
            arrays.push(match source {
                Source::Data(place) => Arc::clone(data.column(*place)),
                Source::Default(value) => value.evaluate(&nothing)?.into_array(rows)?,
                Source::Null => new_null_array(&column.ty.arrow(), rows),
            });
        }
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        let Some(filter) = &self.filter else {
            return Ok((self.checks.computed(&batch)?, None));
        };
        let kept = filter.evaluate(&batch)?.into_array(rows)?;
        let kept = kept
            .as_boolean_opt()
            .ok_or_else(|| Error::internal("a filter that is no Boolean"))?;
        let batch = self.checks.computed(&filter_record_batch(&batch, kept)?)?;
        Ok((batch, Some(kept.clone())))
    }
}

/// Whether a table is but a view.
fn triggers_take(shared: &Shared, table: &Table) -> bool {
    let home = shared.home();
    home.is_ok_and(|home| home.views.contains_key(&table.id))
}

/// Rows on their way through the triggers before them, and which were left.
async fn fired(
    triggers: &Triggers,
    batch: &RecordBatch,
    stood: &mut Stood,
) -> Result<RecordBatch, (Option<u64>, Error)> {
    let passed = triggers.before(Event::Insert, None, Some(batch)).await;
    let (rows, left) = passed.map_err(|error| (None, error))?;
    if rows.num_rows() < batch.num_rows() {
        let places = stood.kept.take();
        let mut left = left.into_iter();
        let mut keep = |there: bool| there && left.next().unwrap_or(false);
        stood.kept = Some(match places {
            Some(places) => places
                .iter()
                .map(|of| Some(keep(of == Some(true))))
                .collect(),
            None => (0..batch.num_rows()).map(|_| Some(keep(true))).collect(),
        });
        stood.rows = rows.num_rows() as u64;
    }
    Ok(rows)
}

impl Session {
    /// Takes a piece of the data of the COPY FROM STDIN that runs.
    ///
    /// # Errors
    /// For the first row that is wrong, with its line and column; nothing of the COPY is kept.
    pub async fn copy_data(&mut self, data: Bytes) -> Result<(), Error> {
        let Some(copy) = self.copy_mut() else {
            return Err(no_copy());
        };
        let taken = copy.data(&data).await;
        taken.map_err(|error| self.copy_failed(error))
    }

    /// The data is complete; the command tag.
    ///
    /// # Errors
    /// As [`Session::copy_data`].
    pub async fn copy_done(&mut self) -> Result<String, Error> {
        let Some(copy) = self.copy_mut() else {
            return Err(no_copy());
        };
        match copy.done().await {
            Ok(rows) => {
                self.end_copy(rows);
                Ok(format!("COPY {rows}"))
            }
            Err(error) => Err(self.copy_failed(error)),
        }
    }

    /// The client gives the COPY up; what it is told.
    pub fn copy_fail(&mut self, reason: &str) -> Error {
        let error = Error::new(
            SqlState::QUERY_CANCELED,
            format!("COPY from stdin failed: {reason}"),
        );
        self.copy_failed(error)
    }
}

fn no_copy() -> Error {
    Error::new(
        SqlState::PROTOCOL_VIOLATION,
        "there is no COPY that takes data",
    )
}
