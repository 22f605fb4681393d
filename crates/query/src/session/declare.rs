//! DECLARE, FETCH, MOVE and CLOSE; and what becomes of cursors when transactions end.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::record_batch::RecordBatch;
use chronolith_sql::{Declare, FetchDirection, Statement as Tree, ast};
use chronolith_types::SqlState;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;

use super::current::Origins;
use super::cursor::{Back, Cursor, Making, runs_backward};
use super::execute::{Ready, command};
use super::for_update::Locking;
use super::handle::{Prepared, Session};
use super::{present, run};
use crate::bind::{Bound, set_parameters};
use crate::error::Error;
use crate::outcome::{Outcome, OutputColumn, RowStream};

/// 0A000 for a query that writes.
pub(super) fn refuse_writing(query: &ast::Query) -> Result<(), Error> {
    let writes = |body: &ast::SetExpr| {
        matches!(
            body,
            ast::SetExpr::Insert(_)
                | ast::SetExpr::Update(_)
                | ast::SetExpr::Delete(_)
                | ast::SetExpr::Merge(_)
        )
    };
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    if tables.into_iter().any(|cte| writes(&cte.query.body)) {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "DECLARE CURSOR must not contain data-modifying statements in WITH",
        ));
    }
    Ok(())
}

/// 0A000 for a cursor that locks its rows and is held, or goes back.
pub(super) fn refuse_locking(of: &Declare) -> Result<(), Error> {
    let verb = match of.query.locks.first().map(|lock| &lock.lock_type) {
        Some(ast::LockType::Share) => "FOR SHARE",
        _ => "FOR UPDATE",
    };
    let (what, why) = match (of.hold, of.scroll) {
        (true, _) => ("CURSOR WITH HOLD", "Holdable cursors must be READ ONLY."),
        (_, Some(true)) => ("SCROLL CURSOR", "Scrollable cursors must be READ ONLY."),
        _ => return Ok(()),
    };
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("DECLARE {what} ... {verb} is not supported"),
    )
    .detail(why))
}

impl Session {
    pub(super) async fn declare(
        &mut self,
        of: &Declare,
        text: &str,
        bound: &Bound,
        plan: &LogicalPlan,
    ) -> Result<Outcome, Error> {
        self.is_free(&of.name)?;
        let shared = Arc::clone(&self.shared);
        let columns = present::columns(&bound.columns);
        // What it reads is settled here, however late it is read.
        let rows = present::rows(&shared, &bound.columns, run::run(&shared, plan).await?);
        let back = match of.scroll {
            Some(true) => Back::All,
            None if runs_backward(&bound.plan) => Back::Window,
            _ => Back::Never,
        };
        self.declare_rows(of, text, columns, rows, back, Origins::default())
    }

    /// The same of rows that WHERE CURRENT OF can name.
    pub(super) async fn declare_placed(
        &mut self,
        of: &Declare,
        text: &str,
        placed: &Locking,
        params: &[ScalarValue],
    ) -> Result<Outcome, Error> {
        self.is_free(&of.name)?;
        let shared = Arc::clone(&self.shared);
        let back = match of.scroll {
            Some(true) => Back::All,
            None if runs_backward(&placed.bound.plan) => Back::Window,
            _ => Back::Never,
        };
        let (rows, views) = placed.open(&shared, params).await?;
        let rows = present::rows(&shared, &placed.columns, rows);
        let columns = present::columns(&placed.columns);
        let origins = Origins::new(views, false);
        self.declare_rows(of, text, columns, rows, back, origins)
    }

    pub(super) fn may_declare(&self, of: &Declare) -> Result<(), Error> {
        if !of.hold && self.outside_block() {
            return Err(Error::new(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "DECLARE CURSOR can only be used in transaction blocks",
            ));
        }
        self.is_free(&of.name)
    }

    fn is_free(&self, name: &str) -> Result<(), Error> {
        match self.cursor_columns(name) {
            Some(_) => Err(exists(name)),
            None => Ok(()),
        }
    }

    /// A DECLARE that was bound.
    pub(super) async fn declare_bound(
        &mut self,
        of: &Declare,
        prepared: &Prepared,
        values: &[ScalarValue],
    ) -> Result<Outcome, Error> {
        let shared = Arc::clone(&self.shared);
        let text = prepared.statement.text();
        match &prepared.ready {
            Ready::Declare(bound) => {
                let plan = set_parameters(&bound.plan, values)?;
                self.declare(of, text, bound, &plan).await
            }
            Ready::DeclarePlaced(placed) => self.declare_placed(of, text, placed, values).await,
            Ready::Lock(locking) => {
                let (rows, views) = locking.run_placed(&shared, values).await?;
                let rows = present::rows(&shared, &locking.columns, rows);
                let columns = present::columns(&locking.columns);
                let origins = Origins::new(views, true);
                self.declare_rows(of, text, columns, rows, Back::Never, origins)
            }
            _ => Err(Error::internal("a cursor of nothing")),
        }
    }

    /// The same within a routine, under a name that it chose.
    ///
    /// # Errors
    /// 42P03 for a name that another has; those of the query.
    pub(crate) async fn open_as(
        &mut self,
        prepared: &Prepared,
        name: &str,
        mut values: Vec<ScalarValue>,
    ) -> Result<(), Error> {
        let Tree::Declare(of) = &prepared.statement.parsed.statement else {
            return Err(Error::internal("a cursor of nothing"));
        };
        let of = Declare {
            name: name.to_owned(),
            ..Declare::clone(of)
        };
        let shared = Arc::clone(&self.shared);
        present::find_objects(&shared, &prepared.params, &mut values)?;
        prepared.ready.check(&shared)?;
        shared.lock_tables(&prepared.ready)?;
        self.declare_bound(&of, prepared, &values).await.map(drop)
    }

    /// A cursor over rows that are there already.
    ///
    /// # Errors
    /// 42P03 for a name that another has.
    pub(crate) fn open_over(
        &mut self,
        name: &str,
        scroll: Option<bool>,
        text: &str,
        columns: Vec<OutputColumn>,
        batches: Vec<RecordBatch>,
    ) -> Result<(), Error> {
        let of = Declare {
            name: name.to_owned(),
            binary: false,
            hold: false,
            scroll,
            query: chronolith_sql::query("SELECT 1")?,
            text: text.to_owned(),
        };
        let back = match scroll {
            Some(true) => Back::All,
            _ => Back::Never,
        };
        let rows = Box::pin(futures::stream::iter(batches.into_iter().map(Ok)));
        let made = self.declare_rows(&of, text, columns, rows, back, Origins::default());
        made.map(drop)
    }

    /// A name for a cursor that has none.
    pub(crate) fn unnamed_cursor(&self) -> String {
        self.shared.with(|state| {
            state.unnamed += 1;
            format!("<unnamed portal {}>", state.unnamed)
        })
    }

    /// What a cursor gives when it moves.
    ///
    /// # Errors
    /// 34000 without such a cursor; those of its query.
    pub(crate) async fn fetch_all(
        &mut self,
        name: &str,
        direction: &FetchDirection,
    ) -> Result<(Vec<OutputColumn>, Vec<RecordBatch>), Error> {
        self.open_portal(name, true).await?;
        let cursor = self.open_cursor(name)?;
        let mut stream = cursor.fetch(direction).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        Ok((cursor.columns.clone(), batches))
    }

    /// A cursor over rows that come from somewhere.
    pub(super) fn declare_rows(
        &mut self,
        of: &Declare,
        text: &str,
        columns: Vec<OutputColumn>,
        rows: RowStream,
        back: Back,
        origins: Origins,
    ) -> Result<Outcome, Error> {
        self.is_free(&of.name)?;
        let shared = Arc::clone(&self.shared);
        let making = Making {
            name: of.name.clone(),
            text: text.to_owned(),
            columns,
            binary: of.binary,
            hold: of.hold,
            back,
            created_us: shared.with(|state| state.statement_us),
            depth: shared.with(|state| state.points) + 1,
            origins,
        };
        let cursor = Cursor::new(making, rows, &shared.instance.runtime.memory_pool);
        shared.with(|state| state.cursors.insert(of.name.clone(), Arc::new(cursor)));
        Ok(command("DECLARE CURSOR"))
    }

    fn cursor(&self, name: &str) -> Option<Arc<Cursor>> {
        self.shared.with(|state| state.cursors.get(name).cloned())
    }

    fn open_cursor(&self, name: &str) -> Result<Arc<Cursor>, Error> {
        self.cursor(name).ok_or_else(|| no_cursor(name))
    }

    /// What a cursor gives; None where there is none of the name.
    #[must_use]
    pub fn cursor_columns(&self, name: &str) -> Option<Vec<OutputColumn>> {
        let portal = || {
            self.shared
                .with(|state| Some(state.portals.get(name)?.columns()))
        };
        let cursor = self.cursor(name).map(|cursor| cursor.columns.clone());
        cursor.or_else(portal)
    }

    /// The next rows of a cursor, as the protocol's Execute asks for them; 0 for all.
    ///
    /// # Errors
    /// 34000 without such a cursor; those of its query.
    pub async fn cursor_rows(&mut self, name: &str, count: u64) -> Result<Outcome, Error> {
        let direction = match i64::try_from(count) {
            Ok(count) if count > 0 => FetchDirection::Forward(count),
            _ => FetchDirection::ForwardAll,
        };
        self.open_portal(name, false).await?;
        let fetched = match self.open_cursor(name) {
            Ok(cursor) => match cursor.fetch(&direction).await {
                Ok(stream) => Ok(Outcome::Rows {
                    columns: cursor.columns.clone(),
                    stream,
                    verb: "SELECT".to_owned(),
                    counted: true,
                }),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        fetched.map_err(|error| self.failed(error))
    }

    /// Closes a cursor; false where there is none of the name.
    pub fn cursor_close(&mut self, name: &str) -> bool {
        let closed = self
            .shared
            .with(|state| (state.portals.remove(name), state.cursors.remove(name)));
        closed.0.is_some() || closed.1.is_some()
    }

    /// Whether the simple protocol sends the last statement's rows in binary form: those of a
    /// BINARY cursor.
    #[must_use]
    pub fn rows_are_binary(&self) -> bool {
        self.binary_rows
    }

    pub(super) async fn fetch(
        &mut self,
        name: &str,
        direction: &FetchDirection,
        only_move: bool,
        told: &[OutputColumn],
    ) -> Result<Outcome, Error> {
        self.open_portal(name, true).await?;
        let cursor = self.open_cursor(name)?;
        if !only_move && cursor.columns != told {
            return Err(Error::changed_plan());
        }
        let mut stream = cursor.fetch(direction).await?;
        if !only_move {
            self.binary_rows = cursor.binary;
            return Ok(Outcome::Rows {
                columns: cursor.columns.clone(),
                stream,
                verb: "FETCH".to_owned(),
                counted: true,
            });
        }
        let mut count = 0;
        while let Some(batch) = stream.next().await {
            count += batch?.num_rows();
        }
        Ok(command(format!("MOVE {count}")))
    }

    pub(super) fn close(&mut self, name: Option<&str>) -> Result<Outcome, Error> {
        let Some(name) = name else {
            self.close_cursors();
            return Ok(command("CLOSE CURSOR ALL"));
        };
        if !self.cursor_close(name) {
            return Err(no_cursor(name));
        }
        Ok(command("CLOSE CURSOR"))
    }

    pub(super) fn close_cursors(&mut self) {
        let cursors = self.shared.with(|state| {
            state.portals.clear();
            std::mem::take(&mut state.cursors)
        });
        drop(cursors);
    }

    /// Before a commit: cursors that outlive it are read to their end.
    pub(super) async fn hold_cursors(&mut self) -> Result<(), Error> {
        let held = |cursor: &&Arc<Cursor>| cursor.hold && cursor.ends(0);
        let cursors: Vec<Arc<Cursor>> = self
            .shared
            .with(|state| state.cursors.values().filter(held).cloned().collect());
        for cursor in cursors {
            cursor.keep().await?;
        }
        Ok(())
    }

    /// Closes the transaction's cursors that stand behind more savepoints than those.
    pub(super) fn end_cursors(&mut self, depth_max: usize) {
        let gone = self.shared.with(|state| {
            state.portals.retain(|_, portal| !portal.ends(depth_max));
            let cursors = std::mem::take(&mut state.cursors);
            let ends = |cursor: &Arc<Cursor>| cursor.ends(depth_max);
            let (gone, left): (Vec<_>, Vec<_>) =
                cursors.into_iter().partition(|(_, cursor)| ends(cursor));
            state.cursors = left.into_iter().collect();
            gone
        });
        // Streams are dropped without the lock: they may look at the session while they end.
        drop(gone);
    }

    /// Savepoints were released: what stood behind them stands behind fewer.
    pub(super) fn raise_cursors(&mut self, depth_max: usize) {
        self.shared.with(|state| {
            for cursor in state.cursors.values() {
                cursor.depth.fetch_min(depth_max, Ordering::Relaxed);
            }
        });
    }
}

/// 42P03
pub(super) fn exists(name: &str) -> Error {
    Error::new(
        SqlState::DUPLICATE_CURSOR,
        format!("cursor \"{name}\" already exists"),
    )
}

pub(super) fn no_cursor(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_CURSOR_NAME,
        format!("cursor \"{name}\" does not exist"),
    )
}
