//! Statements bound and run, each by its kind.

use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Rights;
use chronolith_engine::EngineError;
use chronolith_sql::{AsSource, Statement as Tree, ast, normalised};
use chronolith_types::{RoleId, SqlState, SqlType};
use datafusion::common::ScalarValue;
use futures::FutureExt;
use parking_lot::Mutex;

use super::block::Block;
use super::call::Procedure;
use super::filled::Filled;
use super::for_update::{self, Locking};
use super::handle::{BoundTo, Prepared, Session, Statement};
use super::names::SessionNames;
use super::present;
use super::recent::repeats;
use super::run;
use super::shared::{Shared, State};
use crate::arrivals;
use crate::audit::{Logging, Slow, Speaker, Spoken, masked, parameters};
use crate::bind::{Bound, bind_call, bind_query, changes, locks_within, set_parameters};
use crate::copy;
use crate::ddl;
use crate::dml::{self, Dml, Given, Ran};
use crate::error::Error;
use crate::explain;
use crate::insert::{self, Alike, InsertPlan, Source};
use crate::outcome::{Outcome, OutputColumn, RowStream};
use crate::routines::{Event, has_triggers};
use crate::statistics::{Counters, Timed};

/// The class of SQLSTATEs that say what is wrong with names.
const NAMES: &str = "42";

/// A statement as far as it goes without running it.
pub(crate) enum Ready {
    Query(Bound),
    Insert(Box<InsertPlan>),
    /// What changes rows beyond a plain INSERT.
    Change(Box<Dml>),
    Explain(Box<Ready>),
    /// COPY TO STDOUT, from what it reads.
    CopyOut(Bound),
    /// The same, from what changes or locks the rows that it gives.
    CopyRows(Box<Ready>),
    /// CALL: the effect is an expression.
    Call(Bound),
    /// SELECT … FOR UPDATE.
    Lock(Box<Locking>),
    /// DECLARE: the cursor's query.
    Declare(Bound),
    /// The same where each row is one of a table's.
    DeclarePlaced(Box<Locking>),
    /// CALL of what runs statements.
    Procedure(Box<Procedure>),
    /// One of a kind that is bound, with its values.
    Filled(Arc<Filled>),
    /// Everything that is done at once.
    Utility,
}

impl Ready {
    /// What a plan within is given before it runs.
    fn params(&self) -> Vec<SqlType> {
        match self {
            Self::Query(bound)
            | Self::CopyOut(bound)
            | Self::Call(bound)
            | Self::Declare(bound) => bound.params.clone(),
            Self::Lock(locking) | Self::DeclarePlaced(locking) => locking.bound.params.clone(),
            Self::Insert(insert) => insert.params.clone(),
            Self::Change(dml) => dml.program.params.clone(),
            Self::Explain(inner) | Self::CopyRows(inner) => inner.params(),
            Self::Procedure(procedure) => procedure.args.params.clone(),
            Self::Filled(_) | Self::Utility => Vec::new(),
        }
    }
}

impl Ready {
    /// The types of the rows that it gives; None when it gives none.
    pub(crate) fn columns(&self) -> Option<Vec<SqlType>> {
        match self {
            Self::Query(bound) => Some(types_of(&bound.columns)),
            Self::Lock(locking) => Some(types_of(&locking.columns)),
            Self::Change(dml) if dml.program.main.is_some() => Some(types_of(&dml.program.columns)),
            Self::Change(dml) => {
                let last = dml.program.changes.last();
                let returns = last.is_some_and(|change| change.returning.is_some());
                returns.then(|| types_of(&dml.program.columns))
            }
            Self::Filled(filled) => filled.of.ready.columns(),
            _ => None,
        }
    }

    /// Looks whether the current role may do it.
    pub(super) fn check(&self, shared: &Shared) -> Result<(), Error> {
        match self {
            Self::Query(bound)
            | Self::CopyOut(bound)
            | Self::Call(bound)
            | Self::Declare(bound) => shared.check_uses(&bound.uses),
            Self::Lock(locking) => locking.check(shared),
            Self::DeclarePlaced(placed) => shared.check_uses(&placed.bound.uses),
            Self::Insert(insert) => {
                shared.check_columns(insert.table, Rights::INSERT, &insert.given)?;
                shared.check_uses(&insert.uses)
            }
            Self::Change(dml) => dml.check(shared),
            Self::Explain(inner) | Self::CopyRows(inner) => inner.check(shared),
            Self::Procedure(procedure) => shared.check_uses(&procedure.args.uses),
            Self::Filled(filled) => filled.of.ready.check(shared),
            Self::Utility => Ok(()),
        }
    }
}

fn types_of(columns: &[OutputColumn]) -> Vec<SqlType> {
    columns.iter().map(|column| column.ty.clone()).collect()
}

impl Session {
    /// Binds a statement; types that the client left open are `None`.
    ///
    /// # Errors
    /// What PostgreSQL says of it.
    #[expect(
        clippy::unused_async,
        reason = "the session's calls are all awaited alike"
    )]
    pub async fn prepare(
        &mut self,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Arc<Prepared>, Error> {
        let prepared = self
            .begin_watch(false)
            .and_then(|()| self.refuse_in_failed(&statement.parsed.statement))
            .and_then(|()| {
                // Names are looked up in what the transaction sees, if there is one. One that failed
                // for what others did would fail again, and could never be ended; and what ends one
                // names nothing: it is the commit that fails then, and the block is over.
                let idle = self.shared.with(|state| state.transaction.is_none());
                let tree = &statement.parsed.statement;
                if !idle && self.block != Block::Failed && !ends_block(tree) {
                    self.enter_for(tree)?;
                }
                self.bind_or_find(statement, types)
            });
        prepared.map_err(|error| self.failed(statement.placed(error)))
    }

    pub(super) fn bind_statement(
        &mut self,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Arc<Prepared>, Error> {
        loop {
            self.shared.named.lock().clear();
            let names = SessionNames::new(&self.shared)?;
            match self.bind_among(&names, statement, types) {
                // What names mean is told of once nobody else is about to change it.
                Err(error) if error.code.class() == NAMES && self.shared.lock_named()? => {}
                bound => return bound,
            }
        }
    }

    pub(crate) fn bind_among(
        &mut self,
        names: &SessionNames,
        statement: &Statement,
        types: &[Option<SqlType>],
    ) -> Result<Arc<Prepared>, Error> {
        let tree = &statement.parsed.statement;
        let momentary = self.momentary();
        let ready = match many(&self.shared, names, tree, types) {
            Some(ready) => ready,
            None => ready(&self.shared, names, tree, types)?,
        };
        let columns = match (&ready, tree) {
            (Ready::Query(bound), _) => present::columns(&bound.columns),
            (Ready::Lock(_), Tree::Declare(_)) => Vec::new(),
            (Ready::Lock(locking), _) => present::columns(&locking.columns),
            (Ready::Change(dml), _) => present::columns(&dml.program.columns),
            (Ready::Explain(_), Tree::Explain(of)) => vec![explain::column(of)],
            (Ready::Procedure(procedure), _) => present::columns(&procedure.outputs()),
            (Ready::Utility, Tree::Show(name)) => self.show_columns(name.as_deref()),
            (Ready::Utility, Tree::Execute { name, .. }) => self.named(name)?.columns.clone(),
            (
                Ready::Utility,
                Tree::Fetch {
                    cursor,
                    only_move: false,
                    ..
                },
            ) => self.cursor_columns(cursor).unwrap_or_default(),
            _ => Vec::new(),
        };
        Ok(Arc::new(Prepared {
            params: ready.params(),
            columns,
            statement: statement.clone(),
            given: types.to_vec(),
            lasts: repeats(&ready) && self.momentary() == momentary,
            ready,
            bound_to: self.bound_to(),
            renewed: Mutex::default(),
            point: OnceLock::new(),
            normal: OnceLock::new(),
        }))
    }

    pub(crate) fn bound_to(&self) -> BoundTo {
        BoundTo {
            version: self.shared.catalog().version,
            user: self.shared.with(|state| state.user.clone()),
            search_path: self.shared.search_path(),
            time_zone: self.shared.with(|state| state.often().time_zone.clone()),
            row_security: self.shared.with(|state| state.often().row_security),
        }
    }

    /// Runs a bound statement.
    ///
    /// # Errors
    /// Whatever it meets; then nothing of it is left, and a block has failed.
    pub async fn execute(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[ArrayRef],
    ) -> Result<Outcome, Error> {
        let timed = self.timed(prepared, params);
        match self.execute_one(prepared, params).await {
            Ok(outcome) => Ok(self.counted(timed, outcome)),
            Err(error) => {
                timed.failed(&error);
                Err(self.failed(prepared.statement.placed(error)))
            }
        }
    }

    /// The same of a statement behind which nothing else comes in its transaction, unless a block is
    /// open: its caller ends the transaction next.
    ///
    /// # Errors
    /// Those of [`Session::execute`].
    pub async fn execute_last(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[ArrayRef],
    ) -> Result<Outcome, Error> {
        self.last = true;
        let outcome = self.execute(prepared, params).await;
        self.last = false;
        outcome
    }

    /// Whether the transaction ends with the statement at hand.
    fn ends_with_this(&self) -> bool {
        (self.simple || self.last) && !self.nested && self.outside_block()
    }

    /// The statement's run begins.
    pub(super) fn timed(&self, prepared: &Prepared, params: &[ArrayRef]) -> Timed {
        let shared = &self.shared;
        let normal = prepared.normal.get_or_init(|| {
            let rows = matches!(
                prepared.ready,
                Ready::Query(_)
                    | Ready::Insert(_)
                    | Ready::Change(_)
                    | Ready::Lock(_)
                    | Ready::Filled(_)
            );
            Arc::new(normalised(&masked(prepared.statement.text()), !rows))
        });
        // A role that was dropped meanwhile has no name either.
        let role = shared.role(&shared.catalog()).unwrap_or(RoleId(0));
        let timed = Timed::begin(
            &shared.instance,
            (role, shared.database),
            Arc::clone(normal),
        );
        let logging = shared.with(State::logging);
        match logging.is_silent() {
            true => timed,
            false => timed.logged(self.logged(prepared, params, logging)),
        }
    }

    /// Logs what is to be logged of a statement that begins.
    fn logged(&self, prepared: &Prepared, params: &[ArrayRef], logging: Logging) -> Option<Slow> {
        let shared = &self.shared;
        let spoken = Spoken {
            by: Speaker::of(shared),
            params: parameters(self, &prepared.params, params, logging.params()),
            how: match self.simple {
                true => "statement".to_owned(),
                false => match self.name_of(prepared) {
                    Some(name) => format!("execute {name}"),
                    None => "execute <unnamed>".to_owned(),
                },
            },
            text: prepared.statement.text().trim().into(),
        };
        let reads = matches!(prepared.ready, Ready::CopyOut(_));
        let tag = prepared.statement.parsed.tag.as_str();
        logging.begin(tag, reads, spoken)
    }

    /// Counts a run when it ends: that of rows when they were taken, that of a COPY with its data.
    fn counted(&mut self, timed: Timed, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Rows {
                columns,
                stream,
                verb,
                counted,
            } => Outcome::Rows {
                columns,
                stream: timed.rows(stream, &verb),
                verb,
                counted,
            },
            Outcome::Command { tag } => {
                timed.end(timed.counters().tag(&tag));
                Outcome::Command { tag }
            }
            Outcome::CopyIn { .. } => {
                self.copy_timed = Some(timed);
                outcome
            }
            Outcome::CopyOut { .. } | Outcome::Empty => {
                timed.end(0);
                outcome
            }
        }
    }

    /// Says the schema of the table that an error of the engine is about: it knows only its number.
    pub(crate) fn name_schema(&self, error: &mut Error) {
        let source = error.source.as_deref();
        let Some(
            EngineError::Unique { schema, .. }
            | EngineError::NotNull { schema, .. }
            | EngineError::NullsThere { schema, .. }
            | EngineError::Duplicates { schema, .. },
        ) = source.and_then(|source| source.downcast_ref::<EngineError>())
        else {
            return;
        };
        if let Ok(home) = self.shared.home() {
            let found = home.schemas.get(schema);
            error.schema = found.map(|schema| schema.name.clone());
        }
    }

    pub(super) fn failed(&mut self, error: Error) -> Error {
        let mut error = self.shared.cancel.told(error);
        self.name_schema(&mut error);
        self.copy = None;
        match self.block {
            Block::Open => self.fail_block(),
            Block::Implicit if !self.several => self.abandon(),
            _ => {}
        }
        error
    }

    /// The COPY FROM STDIN that runs.
    pub(crate) fn copy_mut(&mut self) -> Option<&mut copy::CopyIn> {
        self.copy.as_mut()
    }

    /// The COPY has ended well, with so many rows.
    pub(crate) fn end_copy(&mut self, rows: u64) {
        self.copy = None;
        if let Some(timed) = self.copy_timed.take() {
            Counters::add(&timed.counters().inserted, rows);
            timed.end(rows);
        }
    }

    pub(crate) fn copy_failed(&mut self, error: Error) -> Error {
        self.failed(error)
    }

    pub(super) fn refuse_in_failed(&self, tree: &Tree) -> Result<(), Error> {
        if self.block == Block::Failed && !ends_block(tree) {
            return Err(Error::new(
                SqlState::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        Ok(())
    }

    async fn execute_one(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[ArrayRef],
    ) -> Result<Outcome, Error> {
        let tree = &prepared.statement.parsed.statement;
        self.begin_run(tree)?;
        if let Some(outcome) = self.control(tree).await? {
            return Ok(outcome);
        }
        self.enter_for(tree)?;
        match &prepared.ready {
            Ready::Filled(filled) => self.run_filled(prepared, filled).await,
            _ => self.rerun(prepared, params).await,
        }
    }

    /// A statement's run begins, in whatever transaction.
    pub(super) fn begin_run(&mut self, tree: &Tree) -> Result<(), Error> {
        self.binary_rows = false;
        self.begin_watch(true)?;
        self.refuse_in_failed(tree)?;
        let now = match self.simple {
            // All statements of a message are of the time at which it came.
            true => self.shared.with(|state| state.statement_us),
            false => self.shared.instance.engine.clock().wall_us(),
        };
        self.shared.with(|state| state.statement_us = now);
        self.shared.instance.update(self.shared.pid, |activity| {
            activity.state = "active";
            activity.statement_us = Some(now);
            activity.changed_us = now;
            activity.transaction_us.get_or_insert(now);
        });
        Ok(())
    }

    pub(super) async fn rerun(
        &mut self,
        prepared: &Arc<Prepared>,
        params: &[ArrayRef],
    ) -> Result<Outcome, Error> {
        loop {
            let bound = self.bound_now(prepared)?;
            if !self.shared.lock_tables(&bound.ready)? {
                return self.dispatch(&bound, params).await;
            }
            // What was waited for may have changed what names mean, and the rows.
            self.shared
                .transact(|transaction| transaction.begin_statement())?;
        }
    }

    /// A statement as its names are meant now.
    pub(super) fn bound_now(&mut self, prepared: &Arc<Prepared>) -> Result<Arc<Prepared>, Error> {
        let now = self.bound_to();
        match prepared.bound_to == now {
            true => Ok(Arc::clone(prepared)),
            false => self.bound_anew(prepared, &now),
        }
    }

    /// What names mean may have changed since a statement was bound.
    fn bound_anew(
        &mut self,
        prepared: &Arc<Prepared>,
        now: &BoundTo,
    ) -> Result<Arc<Prepared>, Error> {
        let renewed = prepared.renewed.lock().clone();
        if let Some(renewed) = renewed.filter(|renewed| renewed.bound_to == *now) {
            return Ok(renewed);
        }
        let again = self.bind_statement(&prepared.statement, &prepared.given)?;
        if again.columns != prepared.columns || again.params != prepared.params {
            return Err(Error::changed_plan());
        }
        *prepared.renewed.lock() = Some(Arc::clone(&again));
        Ok(again)
    }

    pub(crate) async fn dispatch(
        &mut self,
        prepared: &Prepared,
        params: &[ArrayRef],
    ) -> Result<Outcome, Error> {
        self.dispatch_values(prepared, run::scalars(params)?).await
    }

    pub(crate) async fn dispatch_values(
        &mut self,
        prepared: &Prepared,
        mut values: Vec<ScalarValue>,
    ) -> Result<Outcome, Error> {
        let shared = Arc::clone(&self.shared);
        present::find_objects(&shared, &prepared.params, &mut values)?;
        let tree = &prepared.statement.parsed.statement;
        shared.refuse_writes(tree, &prepared.statement.parsed.tag)?;
        prepared.ready.check(&shared)?;
        shared.lock_tables(&prepared.ready)?;
        if let Tree::Declare(of) = tree {
            self.may_declare(of)?;
            return Box::pin(self.declare_bound(of, prepared, &values)).await;
        }
        match &prepared.ready {
            Ready::Query(bound) => {
                let found = match prepared.point(&shared, &bound.plan) {
                    Some(point) => point.rows(&shared, &values)?,
                    None => None,
                };
                let stream: RowStream = match found {
                    Some(rows) => Box::pin(futures::stream::iter([Ok(rows)])),
                    None => {
                        let plan = set_parameters(&bound.plan, &values)?;
                        run::run(&shared, &plan).await?
                    }
                };
                Ok(Outcome::Rows {
                    columns: prepared.columns.clone(),
                    stream: present::rows(&shared, &bound.columns, stream),
                    verb: "SELECT".to_owned(),
                    counted: true,
                })
            }
            Ready::Insert(plan) => {
                let rows = insert::run(&shared, plan, &values, None).await?;
                Ok(command(format!("INSERT 0 {rows}")))
            }
            Ready::Change(dml) => {
                if self.ends_with_this()
                    && let Some(rows) = dml::run_alone(&shared, dml, &values).boxed().await?
                {
                    return Ok(changed(&shared, prepared, dml, Ran::of(rows)));
                }
                let ran = dml::run(&shared, dml, &values, None).await?;
                Ok(changed(&shared, prepared, dml, ran))
            }
            Ready::Procedure(procedure) => {
                let answer = Box::pin(self.call(procedure, &values)).await?;
                match answer {
                    Some(answer) if !prepared.columns.is_empty() => {
                        Ok(rows(prepared.columns.clone(), answer, "CALL", false))
                    }
                    _ => Ok(command("CALL")),
                }
            }
            Ready::Call(bound) => {
                self.refuse_refresh_in_block(tree)?;
                let plan = set_parameters(&bound.plan, &values)?;
                run::collect(&shared, &plan).boxed().await?;
                Ok(command("CALL"))
            }
            Ready::Lock(locking) => {
                let rows = locking.run(&shared, &values).boxed().await?;
                Ok(Outcome::Rows {
                    columns: prepared.columns.clone(),
                    stream: present::rows(&shared, &locking.columns, rows),
                    verb: "SELECT".to_owned(),
                    counted: true,
                })
            }
            Ready::Declare(_) | Ready::DeclarePlaced(_) => {
                Err(Error::internal("a cursor of nothing"))
            }
            Ready::Filled(_) => Err(Error::internal("a kind of statement in its own place")),
            Ready::Explain(inner) => {
                let Tree::Explain(of) = tree else {
                    return Err(Error::internal("an explanation of nothing"));
                };
                let lines = match of.inner.as_ref() {
                    // What sqlx asks of each statement that it describes.
                    Tree::Execute { name, args } => {
                        let (named, params) = self.with_arguments(name, args).await?;
                        let bound = self.bound_now(&named)?;
                        let values = run::scalars(&params)?;
                        explain::run(&shared, of, &bound.ready, &values).await?
                    }
                    _ => explain::run(&shared, of, inner, &values).await?,
                };
                Ok(rows(
                    prepared.columns.clone(),
                    explain::batch(&lines)?,
                    "EXPLAIN",
                    false,
                ))
            }
            Ready::CopyOut(bound) => {
                let Tree::Copy(of) = tree else {
                    return Err(Error::internal("a copy of nothing"));
                };
                let plan = set_parameters(&bound.plan, &values)?;
                copy::begin_out(&shared, of, bound, &plan).boxed().await
            }
            Ready::CopyRows(inner) => {
                let Tree::Copy(of) = tree else {
                    return Err(Error::internal("a copy of nothing"));
                };
                let (columns, rows) = match inner.as_ref() {
                    Ready::Change(dml) => match dml::run(&shared, dml, &values, None).await? {
                        Ran::Query(rows)
                        | Ran::Changed {
                            returned: Some(rows),
                            ..
                        } => (&dml.program.columns, rows),
                        Ran::Changed { .. } => return Err(copy::no_rows()),
                    },
                    Ready::Lock(locking) => {
                        (&locking.columns, locking.run(&shared, &values).await?)
                    }
                    _ => return Err(Error::internal("a copy of something else")),
                };
                copy::send(&shared, of, columns, rows)
            }
            Ready::Utility => Box::pin(self.utility(prepared)).await,
        }
    }

    async fn utility(&mut self, prepared: &Prepared) -> Result<Outcome, Error> {
        let tree = &prepared.statement.parsed.statement;
        let tag = &prepared.statement.parsed.tag;
        match tree {
            Tree::Copy(of) => {
                let (copy, outcome) = copy::begin_in(&self.shared, of)?;
                self.copy = Some(copy);
                Ok(outcome)
            }
            Tree::Execute { name, args } => self.execute_named(name, args).await,
            Tree::Do { language, body } => {
                self.run_block(language, body).await?;
                Ok(command("DO"))
            }
            Tree::Fetch {
                cursor,
                direction,
                only_move,
            } => {
                let told = &prepared.columns;
                self.fetch(cursor, direction, *only_move, told).await
            }
            Tree::Close(name) => self.close(name.as_deref()),
            Tree::Lock(lock) => self.lock(lock),
            Tree::Listen(_) | Tree::Unlisten(_) | Tree::Notify { .. } => self.channel(tree),
            Tree::SetConstraints { names, deferred } => {
                self.set_constraints(names, *deferred).await?;
                Ok(command(tag))
            }
            Tree::Prepare { .. }
            | Tree::Deallocate(_)
            | Tree::Set { .. }
            | Tree::Reset(_)
            | Tree::Show(_)
            | Tree::SetTransaction { .. }
            | Tree::SetSnapshot(_)
            | Tree::Discard(_)
            | Tree::Vacuum { .. }
            | Tree::Analyze { .. }
            | Tree::Maintain { .. } => {
                self.refuse_in_block(tree, tag)?;
                self.change_setting(tree, &prepared.statement.text, tag)
            }
            _ => {
                self.refuse_in_block(tree, tag)?;
                let ran = match tree {
                    Tree::CreateTableAs(create)
                        if let AsSource::Execute(name, args) = &create.source =>
                    {
                        let bound = self.executed_query(name, args).await?;
                        ddl::create_as(&self.shared, create, Some(bound)).await
                    }
                    _ => ddl::run(&self.shared, tree, tag).await,
                };
                let text = prepared.statement.text();
                self.shared.audit_statement(tree, tag, text, &ran)?;
                Ok(command(ran?))
            }
        }
    }

    /// BEGIN and its kin, which need no transaction of their own.
    async fn control(&mut self, tree: &Tree) -> Result<Option<Outcome>, Error> {
        let tag = match tree {
            Tree::Begin(modes) => self.begin(modes)?,
            Tree::Start(modes) => {
                self.begin(modes)?;
                "START TRANSACTION".to_owned()
            }
            Tree::Commit { chain } => self.commit(*chain).await?,
            Tree::Rollback { chain } => self.rollback(*chain)?,
            Tree::Savepoint(name) => self.savepoint(name)?,
            Tree::ReleaseSavepoint(name) => self.release(name)?,
            Tree::RollbackTo(name) => self.rollback_to(name)?,
            Tree::PrepareTransaction(_) => self.prepare_transaction().await?,
            Tree::EndPrepared { commit, name } => return Err(self.end_prepared(*commit, name)),
            _ => return Ok(None),
        };
        Ok(Some(command(tag)))
    }

    /// A refresh commits what it has written; TimescaleDB's stands alone.
    fn refuse_refresh_in_block(&self, tree: &Tree) -> Result<(), Error> {
        const NAME: &str = "refresh_continuous_aggregate";
        let Tree::Call(call) = tree else {
            return Ok(());
        };
        let name = call.name.0.last().and_then(|part| part.as_ident());
        let refreshes = name.is_some_and(|name| name.value.eq_ignore_ascii_case(NAME));
        // Procedures, those of jobs among them, may refresh.
        let alone = self.block == Block::Implicit && !self.several;
        if refreshes && !alone && !self.nested {
            return Err(Error::new(
                SqlState::ACTIVE_SQL_TRANSACTION,
                format!("{NAME}() cannot run inside a transaction block"),
            ));
        }
        Ok(())
    }

    /// What cannot be undone stands alone.
    fn refuse_in_block(&self, tree: &Tree, tag: &str) -> Result<(), Error> {
        let alone = match tree {
            Tree::CreateDatabase { .. } | Tree::AlterSystem(_) | Tree::Vacuum { .. } => true,
            Tree::Drop(of) => of.kind == chronolith_sql::ObjectKind::Database,
            Tree::Discard(what) => *what == chronolith_sql::Discard::All,
            _ => false,
        };
        if alone && (self.block != Block::Implicit || self.several) {
            return Err(Error::new(
                SqlState::new(b"25001"),
                format!("{tag} cannot run inside a transaction block"),
            ));
        }
        Ok(())
    }
}

/// Binds an INSERT whose rows are alike, as one row that stands for all of them; None when it is to
/// be bound as it is.
fn many(
    shared: &Arc<Shared>,
    names: &SessionNames,
    tree: &Tree,
    types: &[Option<SqlType>],
) -> Option<Ready> {
    let Tree::InsertAlike(rows) = tree else {
        return None;
    };
    let alike = Alike::of(rows, types)?;
    let one = Tree::Insert(Box::new(alike.insert.clone()));
    let mut ready = ready(shared, names, &one, &alike.types).ok()?;
    let (cells, params) = match &mut ready {
        Ready::Insert(plan) => match &mut plan.source {
            Source::Cells(cells) => (cells, std::mem::take(&mut plan.params)),
            _ => return None,
        },
        Ready::Change(dml) => match dml.given.as_mut_slice() {
            [Some(Given::Cells(cells))] => (cells, std::mem::take(&mut dml.program.params)),
            _ => return None,
        },
        _ => return None,
    };
    let columns = alike.columns(&params, &shared.time_zone())?;
    cells.repeat(columns, alike.rows()).ok()?;
    Some(ready)
}

/// Binds whatever of a statement can be bound.
pub(crate) fn ready(
    shared: &Arc<Shared>,
    names: &SessionNames,
    tree: &Tree,
    types: &[Option<SqlType>],
) -> Result<Ready, Error> {
    Ok(match tree {
        Tree::Query(query) if let Some(counted) = arrivals::counted(query) => {
            Ready::Query(bind_query(names, &counted, types)?)
        }
        Tree::Query(query) if changes(query) => {
            Ready::Change(Box::new(dml::bind_query(names, query, types)?))
        }
        Tree::Query(query) => match for_update::bind(names, query, types)? {
            Some(locking) => Ready::Lock(Box::new(locking)),
            None => match bind_query(names, query, types) {
                Err(error)
                    if error.code == SqlState::FEATURE_NOT_SUPPORTED && locks_within(query) =>
                {
                    Ready::Change(Box::new(dml::bind_query(names, query, types)?))
                }
                bound => Ready::Query(bound?),
            },
        },
        Tree::Insert(insert)
            if insert.on.is_none()
                && insert.returning.is_none()
                && !insert.source.as_deref().is_some_and(locks_within)
                && !insert.columns.iter().any(chronolith_sql::is_part)
                && !is_changed(shared, &insert.table) =>
        {
            Ready::Insert(Box::new(insert::bind(shared, names, insert, types)?))
        }
        Tree::InsertLiterals(literals) if literals.rest.is_some() => {
            let dml = match dml::bind_literals(shared, names, literals, types)? {
                Some(dml) => dml,
                None => dml::bind(names, &Tree::Insert(literals.tree()?), types)?,
            };
            Ready::Change(Box::new(dml))
        }
        Tree::InsertLiterals(literals)
            if shared
                .find_table(literals.schema.as_deref(), &literals.table)
                .is_ok_and(|table| table.is_none_or(|table| is_watched(shared, &table))) =>
        {
            let tree = Tree::Insert(literals.tree()?);
            Ready::Change(Box::new(dml::bind(names, &tree, types)?))
        }
        Tree::InsertLiterals(literals) => {
            Ready::Insert(Box::new(match insert::bind_literals(shared, literals)? {
                Some(insert) => insert,
                None => insert::bind(shared, names, &*literals.tree()?, types)?,
            }))
        }
        Tree::InsertAlike(rows) => ready(shared, names, &Tree::Insert(rows.tree()?), types)?,
        Tree::Explain(of) => Ready::Explain(Box::new(ready(shared, names, &of.inner, types)?)),
        Tree::Declare(of) => {
            super::declare::refuse_writing(&of.query)?;
            match for_update::bind(names, &of.query, types)? {
                Some(locking) => {
                    super::declare::refuse_locking(of)?;
                    Ready::Lock(Box::new(locking))
                }
                None => match for_update::bind_placed(names, &of.query, types) {
                    Some(placed) => Ready::DeclarePlaced(Box::new(placed)),
                    None => Ready::Declare(bind_query(names, &of.query, types)?),
                },
            }
        }
        Tree::Copy(of) if !of.from => match copy::changed(of) {
            None => Ready::CopyOut(copy::bind_out(names, of)?),
            Some(inner) => match ready(shared, names, inner, types)? {
                Ready::Query(bound) => Ready::CopyOut(bound),
                inner if inner.columns().is_some() => Ready::CopyRows(Box::new(inner)),
                _ => return Err(copy::no_rows()),
            },
        },
        Tree::Call(call) => {
            if let Some(procedure) = super::call::find(shared, names, call, types)? {
                return Ok(Ready::Procedure(Box::new(procedure)));
            }
            let (value, params, uses) = bind_call(names, call, types)?;
            let plan = datafusion::logical_expr::LogicalPlanBuilder::empty(true)
                .project([value.expr.alias("value")])?
                .build()?;
            Ready::Call(Bound {
                edits: Vec::new(),
                uses,
                plan,
                columns: Vec::new(),
                params,
            })
        }
        Tree::Insert(_)
        | Tree::Update(_)
        | Tree::Delete(_)
        | Tree::Merge(_)
        | Tree::With { .. } => Ready::Change(Box::new(dml::bind(names, tree, types)?)),
        _ => Ready::Utility,
    })
}

/// Whether triggers fire for rows that are inserted into a table, or it is none but a view.
fn is_changed(shared: &Arc<Shared>, table: &ast::TableObject) -> bool {
    let ast::TableObject::TableName(name) = table else {
        return false;
    };
    let parts: Vec<&str> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| ident.value.as_str())
        .collect();
    let (schema, table) = match parts.as_slice() {
        [table] => (None, *table),
        [.., schema, table] => (Some(*schema), *table),
        [] => return false,
    };
    let found = shared.find_table(schema, table).ok().flatten();
    found.is_none_or(|table| is_watched(shared, &table))
}

/// Whether something looks at each row that is inserted.
fn is_watched(shared: &Arc<Shared>, table: &chronolith_catalog::Table) -> bool {
    has_triggers(shared, table, Some(Event::Insert))
        || shared.has_row_policies(table.id).unwrap_or(true)
}

/// What a client is told of a change.
fn changed(shared: &Arc<Shared>, prepared: &Prepared, dml: &Dml, ran: Ran) -> Outcome {
    let columns = &dml.program.columns;
    let verb = match dml.program.changes.last() {
        _ if dml.program.main.is_some() => "SELECT",
        Some(change) if change.what.verb() == "INSERT" => "INSERT 0",
        Some(change) => change.what.verb(),
        None => "SELECT",
    };
    match ran {
        Ran::Query(stream)
        | Ran::Changed {
            returned: Some(stream),
            ..
        } => Outcome::Rows {
            columns: prepared.columns.clone(),
            stream: present::rows(shared, columns, stream),
            verb: verb.to_owned(),
            counted: true,
        },
        Ran::Changed {
            rows,
            returned: None,
        } => command(format!("{verb} {rows}")),
    }
}

pub(super) fn command(tag: impl Into<String>) -> Outcome {
    Outcome::Command { tag: tag.into() }
}

/// Rows that are there already.
pub(super) fn rows(
    columns: Vec<OutputColumn>,
    batch: RecordBatch,
    verb: &str,
    counted: bool,
) -> Outcome {
    Outcome::Rows {
        columns,
        stream: Box::pin(futures::stream::iter([Ok(batch)])),
        verb: verb.to_owned(),
        counted,
    }
}

/// Whether a statement ends a block, or what was done in it since a savepoint.
fn ends_block(tree: &Tree) -> bool {
    matches!(
        tree,
        Tree::Commit { .. }
            | Tree::Rollback { .. }
            | Tree::RollbackTo(_)
            | Tree::PrepareTransaction(_)
    )
}
