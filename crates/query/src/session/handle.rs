//! A session as its owner, a connection, drives it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use arrow::array::{ArrayRef, new_null_array};
use chronolith_catalog::{Privilege, Rights};
use chronolith_sql::{Constants, Normalised, Parsed};
use chronolith_types::{SqlState, SqlType, TimeZone};
use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;

use super::base::base_of;
use super::between::Between;
use super::block::{Block, Savepoint};
use super::execute::Ready;
use super::filled::Filled;
use super::limits::Progress;
use super::recent::Recent;
use super::shared::Shared;
use crate::audit::masked;
use crate::cancel::Cancel;
use crate::copy::CopyIn;
use crate::error::Error;
use crate::fast::Point;
use crate::instance::{Activity, Instance};
use crate::notify::Mailbox;
use crate::outcome::{Notice, OutputColumn};
use crate::rights::denied;
use crate::settings::{Reported, Scope, Settings, may_set};
use crate::statistics::{Counters, Timed};
use crate::value::{ColumnBuilder, reg_text};

/// Who connects, and to what.
#[derive(Debug, Clone, Default)]
pub struct SessionOptions {
    /// The database's name.
    pub database: String,
    /// The role's name.
    pub user: String,
    /// What the client calls itself.
    pub application_name: String,
    /// The client's address, where there is one.
    pub client: Option<String>,
    /// The address that it came to.
    pub server: Option<String>,
    /// Settings that the client asks for.
    pub settings: Vec<(String, String)>,
    /// Nobody connects: the process itself acts for the role, which need not be able to log in.
    pub background: bool,
}

/// One statement of a text, read.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) parsed: Arc<Parsed>,
    /// Its own text.
    pub(crate) text: Arc<str>,
    /// How many characters stand before that where places are counted from; None where nobody knows.
    pub(crate) skipped: Option<u32>,
    /// Its constants, where it could be one of a kind.
    pub(crate) constants: Option<Arc<Constants>>,
    /// The kind that it is one of, if that is bound: then the tree is the kind's.
    pub(crate) filled: Option<Arc<Filled>>,
}

impl Statement {
    /// What its completion is called: `SELECT`, `CREATE TABLE` …
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.parsed.tag
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// An error of it that points at the operator it is about.
    pub(crate) fn placed(&self, error: Error) -> Error {
        match self.skipped {
            Some(skipped) => error.placed(&self.text, skipped),
            None => error,
        }
    }
}

/// A statement that was bound: what it takes and gives is known.
pub struct Prepared {
    /// The parameters' types, `$1` first.
    pub params: Vec<SqlType>,
    /// The result's columns; none for a statement that gives no rows.
    pub columns: Vec<OutputColumn>,
    pub(crate) statement: Statement,
    /// The types that the client gave.
    pub(crate) given: Vec<Option<SqlType>>,
    pub(crate) ready: Ready,
    /// What it was bound against: bound anew when that has changed.
    pub(crate) bound_to: BoundTo,
    /// Whether it means the same whenever it is run, as long as that has not changed.
    pub(crate) lasts: bool,
    /// The same statement as it was last bound anew.
    pub(crate) renewed: Mutex<Option<Arc<Prepared>>>,
    /// How it finds its one row without a plan, if it can; known once it has run.
    pub(crate) point: OnceLock<Option<Point>>,
    /// Its text without constants, once it has run.
    pub(crate) normal: OnceLock<Arc<Normalised>>,
}

/// What names in a statement depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoundTo {
    pub(crate) version: u64,
    pub(crate) user: String,
    pub(crate) search_path: Arc<[String]>,
    pub(crate) time_zone: String,
    pub(crate) row_security: bool,
}

impl Prepared {
    /// How its query, whose plan this is, finds its one row without one.
    pub(super) fn point(&self, shared: &Shared, plan: &LogicalPlan) -> Option<&Point> {
        let catalog = || shared.catalog();
        let table = |id| catalog().table(shared.database, id).cloned();
        self.point.get_or_init(|| Point::of(plan, table)).as_ref()
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("statement", &self.statement.text)
            .field("params", &self.params)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// One client's session. Dropped, it rolls back what is open.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(super) block: Block,
    /// The message holds several statements: they are one transaction.
    pub(super) several: bool,
    /// The message is one of the simple protocol.
    pub(super) simple: bool,
    /// The statement at hand is the last of its message, or of what is to be synced.
    pub(super) last: bool,
    /// Statements by their names.
    pub(super) prepared: BTreeMap<String, Option<Arc<Prepared>>>,
    /// The open transaction's savepoints, outermost first.
    pub(super) savepoints: Vec<Savepoint>,
    /// Statements that came more than once, by their texts.
    pub(super) recent: Recent,
    pub(super) progress: Progress,
    /// The last statement's rows are those of a BINARY cursor.
    pub(super) binary_rows: bool,
    /// Whether the watchdog knows it.
    pub(super) watched: bool,
    /// COPY FROM STDIN, while it runs.
    pub(super) copy: Option<CopyIn>,
    /// The time that it takes.
    pub(super) copy_timed: Option<Timed>,
    /// It runs statements within one of another's.
    pub(super) nested: bool,
    /// What stands between a routine that runs and the end of the transaction.
    pub(crate) between: Between,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("shared", &self.shared)
            .field("block", &self.block)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // What runs within another session's statement is part of its transaction.
        if !self.nested {
            self.abandon();
            self.shared.leave_temporary();
            // What was compiled of routines may look at catalogs through the session.
            self.shared.compiled.lock().clear();
        }
    }
}

impl Session {
    /// Begins a session.
    ///
    /// # Errors
    /// 3D000 for a database and 28000 for a role that does not exist; those of the settings asked
    /// for.
    pub fn new(instance: Arc<Instance>, options: SessionOptions) -> Result<Self, Error> {
        let catalog = instance.engine.catalog();
        let database = catalog.database_named(&options.database).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", options.database),
            )
        })?;
        let role = catalog.role_named(&options.user).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{}\" does not exist", options.user),
            )
        })?;
        if !options.background && !role.privileges.contains(&Privilege::Login) {
            return Err(Error::new(
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                format!("role \"{}\" is not permitted to log in", options.user),
            ));
        }
        let superuser = role.privileges.contains(&Privilege::Superuser);
        if let Some(max) = role
            .sessions_max
            .filter(|_| !superuser && !options.background)
        {
            let sessions = instance.activity();
            let own = sessions.iter().filter(|one| one.user == role.name);
            if own.filter(|one| !one.background).count() >= max as usize {
                return Err(Error::new(
                    SqlState::TOO_MANY_CONNECTIONS,
                    format!("too many connections for role \"{}\"", role.name),
                ));
            }
        }
        if !catalog
            .database_rights(role.id, database.id)
            .has(Rights::CONNECT)
        {
            return Err(
                denied("database", &database.name).detail("User does not have CONNECT privilege.")
            );
        }
        let mut settings = Settings::default();
        settings.set_base(base_of(&instance, &catalog, database, role));
        if !options.application_name.is_empty() {
            settings.set(
                "application_name",
                &options.application_name,
                Scope::Session,
            )?;
        }
        for (name, value) in &options.settings {
            may_set(name, superuser || options.background, false)?;
            settings.set(name, value, Scope::Session)?;
        }
        let cancel = Arc::new(Cancel::default());
        let mailbox = Arc::new(Mailbox::default());
        let started_us = instance.engine.clock().wall_us();
        let pid = instance.enter(Activity {
            pid: 0,
            database: options.database.clone(),
            user: options.user.clone(),
            application_name: options.application_name.clone(),
            client: options.client.clone(),
            server: options.server.clone(),
            started_us,
            transaction_us: None,
            statement_us: None,
            state: "idle",
            query: String::new(),
            cancel: Arc::clone(&cancel),
            mailbox: Arc::clone(&mailbox),
            changed_us: started_us,
            background: options.background,
        });
        if !options.background {
            let counters = instance.statistics.databases.of(database.id);
            Counters::add(&counters.sessions, 1);
        }
        let user = &options.user;
        let shared = Shared::new(instance, pid, database, cancel, &mailbox, user, settings);
        Ok(Self {
            shared: Arc::new(shared),
            block: Block::Implicit,
            several: false,
            simple: false,
            last: false,
            prepared: BTreeMap::new(),
            savepoints: Vec::new(),
            recent: Recent::default(),
            progress: Progress::Idle,
            binary_rows: false,
            watched: false,
            copy: None,
            copy_timed: None,
            nested: false,
            between: Between::default(),
        })
    }

    /// Cuts a text into its statements and reads each.
    ///
    /// # Errors
    /// 42601 for the first that is none.
    pub fn parse(&mut self, sql: &str) -> Result<Vec<Statement>, Error> {
        self.arrives(sql)?;
        if let Some(statements) = self.recent.statements(sql) {
            return Ok(statements.to_vec());
        }
        let statements = self.read(sql)?;
        if self.recent.comes_again(sql) {
            self.recent.add(sql, &statements);
        }
        Ok(statements)
    }

    /// A text comes: its time begins, and it is shown as what the session does.
    pub(super) fn arrives(&mut self, sql: &str) -> Result<(), Error> {
        self.begin_watch(false)?;
        let now = self.shared.instance.engine.clock().wall_us();
        self.shared.with(|state| {
            state.statement_us = now;
            if state.transaction.is_none() {
                // A transaction begins with the statement: `'now'` in it is that time.
                state.transaction_us = now;
            }
        });
        self.shared.instance.update(self.shared.pid, |activity| {
            activity.state = "active";
            masked(sql).as_ref().clone_into(&mut activity.query);
            activity.statement_us = Some(now);
        });
        Ok(())
    }

    /// The statements of a text; one that is none fails an open block.
    pub(super) fn read(&mut self, sql: &str) -> Result<Vec<Statement>, Error> {
        let parsed = chronolith_sql::parse(sql).map_err(|error| {
            if self.block == Block::Open {
                self.fail_block();
            }
            Error::from(error)
        })?;
        Ok(parsed
            .into_iter()
            .map(|parsed| Statement {
                text: sql.get(parsed.range.clone()).unwrap_or(sql).into(),
                skipped: sql
                    .get(..parsed.range.start)
                    .and_then(|before| u32::try_from(before.chars().count()).ok()),
                parsed: Arc::new(parsed),
                constants: None,
                filled: None,
            })
            .collect())
    }

    /// Values for a statement's parameters as they came over the wire, each binary or not.
    ///
    /// # Errors
    /// 22P02, 22P03 and the like for bytes that are no value of the type; 25P02 in a transaction
    /// that has failed.
    pub fn parameters<'v>(
        &self,
        prepared: &Prepared,
        given: impl Iterator<Item = (bool, Option<&'v [u8]>)>,
    ) -> Result<Vec<ArrayRef>, Error> {
        if !prepared.params.is_empty() {
            self.refuse_in_failed(&prepared.statement.parsed.statement)?;
        }
        let values = prepared.params.iter().zip(given).enumerate();
        values
            .map(|(index, (ty, (binary, value)))| {
                self.parameter(ty, binary, value)
                    .map_err(|error| match error.context {
                        Some(_) => error,
                        None => error.context(format!("unnamed portal parameter ${}", index + 1)),
                    })
            })
            .collect()
    }

    fn parameter(
        &self,
        ty: &SqlType,
        binary: bool,
        value: Option<&[u8]>,
    ) -> Result<ArrayRef, Error> {
        let Some(value) = value else {
            return Ok(new_null_array(&ty.arrow(), 1));
        };
        let name = std::str::from_utf8(value).ok().filter(|_| !binary);
        if let Some(name) = name.and_then(|name| reg_text(ty, name)) {
            return Ok(name);
        }
        let mut builder = ColumnBuilder::new(ty, &self.shared.time_zone());
        if binary {
            builder.push_binary(value)?;
        } else {
            builder.push_text(value)?;
        }
        Ok(builder.finish())
    }

    /// The type of an oid, one that a user made too.
    #[must_use]
    pub fn type_of_oid(&self, oid: u32) -> Option<SqlType> {
        self.shared.type_of_oid(oid)
    }

    /// The session's time zone.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        self.shared.time_zone()
    }

    /// What SHOW prints of a setting; None for an unknown one.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<String> {
        self.shared.with(|state| state.settings.show(name).ok())
    }

    /// The settings that clients are told of, as they are now: the same list until one changes.
    #[must_use]
    pub fn reported(&self) -> Reported {
        self.shared.with(|state| state.settings.reported())
    }

    /// Takes the messages that came up since the last call, those that the client asked to see.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        self.shared.with(|state| std::mem::take(&mut state.notices))
    }

    /// Its off switch.
    #[must_use]
    pub fn cancel(&self) -> Arc<Cancel> {
        Arc::clone(&self.shared.cancel)
    }

    /// Its number, unique while the database is open.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.shared.pid
    }
}
