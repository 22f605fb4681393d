//! What a session shares with the functions and scans that it runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use chronolith_catalog::{Catalog, Change, Database, Rights, Table, View};
use chronolith_engine::{Isolation, Locker, TableView, Transaction};
use chronolith_sql::plpgsql::Block;
use chronolith_types::{ChunkId, DatabaseId, RoutineId, SchemaId, SqlState, TableId, TimeZone};
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::prelude::SessionConfig;
use parking_lot::Mutex;

use super::cursor::Cursor;
use super::limits::Limits;
use super::modes::Modes;
use super::notify::Said;
use super::often::Often;
use super::portal::Portal;
use crate::audit::Logging;
use crate::cancel::Cancel;
use crate::catalogs::PreparedStatement;
use crate::dml::Sight;
use crate::effects::{SessionEffects, SessionSequences};
use crate::error::Error;
use crate::functions::{Random, SessionVars};
use crate::insert::{BoundUniques, Rules};
use crate::instance::Instance;
use crate::nodes::Planner;
use crate::notify::Mailbox;
use crate::outcome::{Notice, Severity};
use crate::rights::guard;
use crate::routines::{Compiled, DEPTH_MAX, Deferred, Transitions};
use crate::scan::{Snapshot, SystemRows};
use crate::settings::Settings;
use crate::statistics::Counters;

/// One session, as all its parts see it.
pub(crate) struct Shared {
    pub(crate) instance: Arc<Instance>,
    pub(crate) pid: i32,
    pub(crate) database: DatabaseId,
    pub(crate) database_name: String,
    pub(crate) cancel: Arc<Cancel>,
    /// What it has locked. Never waited for with `state` locked.
    pub(crate) locker: Arc<Locker>,
    pub(crate) mailbox: Arc<Mailbox>,
    /// The tables that the names of the statement that was bound last meant.
    pub(super) named: Mutex<Vec<TableId>>,
    state: Mutex<State>,
    /// Whose turn it is to run a routine, for each depth.
    pub(crate) turns: Vec<Mutex<()>>,
    /// Bodies in PL/pgSQL as they were read, by their text.
    pub(crate) bodies: Mutex<HashMap<RoutineId, (String, Arc<Block>)>>,
    /// Pieces of them that were bound, by their number and the depth at which they run.
    pub(crate) compiled: Mutex<HashMap<(u64, usize), Compiled>>,
    planner: SessionState,
}

/// `current_user` and `session_user`.
pub(crate) type Roles = (String, String);

/// The schemas of a search path, and what they depend on.
struct SearchPath {
    /// The catalog's.
    version: u64,
    /// The settings'.
    revision: u64,
    temporary: bool,
    user: String,
    path: Arc<[String]>,
}

/// What changes while a session lives.
pub(crate) struct State {
    /// `current_user`; SET ROLE changes it.
    pub(crate) user: String,
    /// `session_user`; SET SESSION AUTHORIZATION changes it.
    pub(crate) session_user: String,
    /// Its random numbers, which `setseed` begins anew.
    pub(crate) random: Arc<Random>,
    /// How much of what was bound was true of the moment alone.
    pub(crate) momentary: Arc<AtomicU64>,
    /// Who has logged in.
    pub(crate) login: String,
    /// What both are after the open transaction: when it is rolled back, and when it is committed.
    pub(crate) user_after: Option<(Roles, Roles)>,
    pub(crate) settings: Settings,
    pub(crate) transaction: Option<Transaction>,
    /// When the transaction began, µs since 1970.
    pub(crate) transaction_us: i64,
    /// When the statement arrived.
    pub(crate) statement_us: i64,
    pub(crate) notices: Vec<Notice>,
    /// Chunks that the transaction marked as compressed, by a time of theirs: packed after it.
    pub(crate) to_compress: Vec<(TableId, i64)>,
    /// What a statement that changes rows sees, while it runs.
    pub(crate) sight: Option<Arc<Sight>>,
    /// What tables ask of new rows, as it was bound last.
    pub(crate) rules: HashMap<TableId, Arc<Rules>>,
    /// Keys of tables that no chunk keeps, as they were bound last.
    pub(crate) uniques: HashMap<TableId, BoundUniques>,
    /// What nextval gave it.
    pub(crate) sequences: SessionSequences,
    /// How many routines are running, one within another.
    pub(crate) depth: usize,
    /// How many of them triggers have called.
    pub(crate) trigger_depth: i32,
    /// What PREPARE has made, as the catalog shows it.
    pub(crate) prepared: Vec<PreparedStatement>,
    /// Named portals whose queries have not run.
    pub(crate) portals: BTreeMap<String, Portal>,
    /// Open cursors.
    pub(crate) cursors: BTreeMap<String, Arc<Cursor>>,
    /// How many cursors without a name were opened.
    pub(crate) unnamed: u64,
    /// The number of the open transaction, once somebody has asked for it.
    pub(crate) transaction_number: Option<i64>,
    /// How many savepoints the client's block has.
    pub(crate) points: usize,
    /// The open transaction's modes.
    pub(crate) modes: Modes,
    /// Whether it has run anything that looks at rows.
    pub(crate) queried: bool,
    /// Whether its isolation was changed after it began.
    pub(crate) stale: bool,
    /// What it said on channels.
    pub(crate) said: Said,
    /// The channels that the session listens to.
    pub(crate) listens: BTreeSet<String>,
    /// Limits of times, and the settings' revision that they are of.
    pub(crate) limits: (u64, Limits),
    pub(crate) often: Often,
    /// When the files of settings were read whose values it has.
    pub(crate) conf_revision: u64,
    /// What is logged of statements, and the settings' revision that it is of.
    pub(crate) logging: (u64, Logging),
    /// Whether the session may have a schema of its own.
    pub(crate) temporary: bool,
    /// The schemas of the search path, as they were looked up last.
    search_path: Option<SearchPath>,
    /// What waits for the transaction's end.
    pub(crate) deferred: Deferred,
    /// The audit log was told of something that the open transaction did.
    pub(crate) audited: bool,
    /// What the trigger that runs calls the rows that its statement changed.
    pub(crate) transitions: Option<Arc<Transitions>>,
}

impl State {
    /// A transaction begins.
    pub(crate) fn begin_roles(&mut self) {
        let now = (self.user.clone(), self.session_user.clone());
        self.user_after = Some((now.clone(), now));
    }

    /// Another role, until the session or only the transaction ends; with `session` the session is
    /// that role's too.
    pub(crate) fn become_role(&mut self, name: &str, session: bool, local: bool) {
        name.clone_into(&mut self.user);
        if session {
            name.clone_into(&mut self.session_user);
        }
        let now = (self.user.clone(), self.session_user.clone());
        if let Some((_, committed)) = self.user_after.as_mut().filter(|_| !local) {
            *committed = now;
        }
    }

    /// The transaction has ended.
    pub(crate) fn end_roles(&mut self, committed: bool) {
        if let Some((before, after)) = self.user_after.take() {
            (self.user, self.session_user) = if committed { after } else { before };
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("pid", &self.pid)
            .field("database", &self.database_name)
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.hang_up();
        self.instance.leave(self.pid);
    }
}

impl Shared {
    /// Counts the end of a transaction.
    pub(crate) fn count_end(&self, committed: bool) {
        self.audit_end(committed);
        let counters = self.instance.statistics.databases.of(self.database);
        match committed {
            true => Counters::add(&counters.commits, 1),
            false => Counters::add(&counters.rollbacks, 1),
        }
    }

    pub(crate) fn new(
        instance: Arc<Instance>,
        pid: i32,
        database: &Database,
        cancel: Arc<Cancel>,
        mailbox: &Arc<Mailbox>,
        user: &str,
        settings: Settings,
    ) -> Self {
        let now = instance.engine.clock().wall_us();
        let mut config = SessionConfig::new()
            .with_target_partitions(instance.options.threads.max(1))
            // Rows dealt out again above a sort would lose their order; scans split themselves.
            .with_round_robin_repartition(false)
            .with_information_schema(false);
        // What a plan was bound to must stay: the binder has put every cast where it belongs.
        config.options_mut().optimizer.skip_failed_rules = false;
        config.options_mut().execution.collect_statistics = true;
        let planner = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(Arc::clone(&instance.runtime))
            .with_analyzer_rule(Arc::new(crate::bind::Embedded))
            .with_optimizer_rules(super::stops::logical(&cancel))
            .with_physical_optimizer_rules(super::stops::physical(&cancel))
            .with_query_planner(Arc::new(Planner))
            .build();
        let locker = instance.engine.locks().locker(pid);
        let asked = Arc::clone(&cancel);
        locker.set_interrupted(Arc::new(move || asked.asked()));
        cancel.ends_waits_of(&locker);
        locker.set_blocking(Arc::new(|wait: &mut dyn FnMut()| blocking(wait)));
        Self {
            pid,
            locker,
            mailbox: Arc::clone(mailbox),
            database: database.id,
            database_name: database.name.clone(),
            cancel,
            named: Mutex::default(),
            state: Mutex::new(State {
                random: Arc::default(),
                momentary: Arc::default(),
                user: user.to_owned(),
                session_user: user.to_owned(),
                login: user.to_owned(),
                user_after: None,
                settings,
                transaction: None,
                transaction_us: now,
                statement_us: now,
                notices: Vec::new(),
                to_compress: Vec::new(),
                sight: None,
                rules: HashMap::new(),
                sequences: SessionSequences::default(),
                depth: 0,
                trigger_depth: 0,
                prepared: Vec::new(),
                portals: BTreeMap::new(),
                cursors: BTreeMap::new(),
                unnamed: 0,
                transaction_number: None,
                points: 0,
                modes: Modes::default(),
                queried: false,
                stale: false,
                said: Said::default(),
                listens: BTreeSet::new(),
                limits: (u64::MAX, Limits::default()),
                often: Often::default(),
                logging: (u64::MAX, Logging::default()),
                conf_revision: instance.conf_revision(),
                temporary: false,
                search_path: None,
                uniques: HashMap::new(),
                deferred: Deferred::default(),
                audited: false,
                transitions: None,
            }),
            bodies: Mutex::default(),
            compiled: Mutex::default(),
            turns: (0..=DEPTH_MAX).map(|_| Mutex::new(())).collect(),
            planner,
            instance,
        }
    }

    /// Reads or changes the session's state. Nothing that waits belongs in `look`.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock())
    }

    /// What exists for this session now, its own changes included.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        self.with(|state| match &state.transaction {
            Some(transaction) => transaction.catalog(),
            None => self.instance.engine.catalog(),
        })
    }

    /// The session's database.
    ///
    /// # Errors
    /// 3D000 when it was dropped.
    pub(crate) fn home(&self) -> Result<Arc<Database>, Error> {
        self.catalog()
            .databases
            .get(&self.database)
            .cloned()
            .ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_CATALOG_NAME,
                    format!("database \"{}\" does not exist", self.database_name),
                )
            })
    }

    /// The number of the open transaction.
    pub(crate) fn transaction_number(&self) -> i64 {
        self.with(|state| {
            let number = state.transaction_number;
            let number = number.unwrap_or_else(|| self.instance.number_transaction());
            state.transaction_number = Some(number);
            number
        })
    }

    /// Runs something in the open transaction.
    ///
    /// # Errors
    /// Those of `change`; XX000 when none is open.
    pub(crate) fn transact<T, E: Into<Error>>(
        &self,
        change: impl FnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, Error> {
        self.with(|state| match &mut state.transaction {
            Some(transaction) => change(transaction).map_err(Into::into),
            None => Err(Error::internal("there is no transaction")),
        })
    }

    /// Runs something in the open transaction that may wait for others, or take long for so many
    /// rows: the session's state is free meanwhile, and without a transaction. Locks step aside
    /// themselves while they wait.
    ///
    /// # Errors
    /// Those of `work`; XX000 when none is open.
    pub(crate) fn away<T, E: Into<Error>>(
        &self,
        rows: usize,
        work: impl FnOnce(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, Error> {
        let taken = self.with(|state| state.transaction.take());
        let Some(mut transaction) = taken else {
            return Err(Error::internal("there is no transaction"));
        };
        let done = blocking_for(rows, || work(&mut transaction));
        self.with(|state| state.transaction = Some(transaction));
        done.map_err(Into::into)
    }

    /// Changes what exists, in the open transaction, if the current role may.
    ///
    /// # Errors
    /// 42501, and when the change does not fit.
    pub(crate) fn change(&self, change: Change) -> Result<(), Error> {
        let catalog = self.catalog();
        guard(&catalog, self.database, self.role(&catalog)?, &change)?;
        self.change_unguarded(change)
    }

    /// Changes what exists. That the current role may has been looked at before, or follows: what
    /// depends on a thing goes with it, whoever it belongs to.
    ///
    /// # Errors
    /// When the change does not fit.
    pub(crate) fn change_unguarded(&self, change: Change) -> Result<(), Error> {
        self.transact(|transaction| transaction.change(change))
    }

    /// A message beside the result.
    pub(crate) fn notice(&self, severity: Severity, body: Error) {
        self.with(|state| {
            let least = state.settings.get("client_min_messages");
            if !severity.is_told(least.unwrap_or("notice")) {
                return;
            }
            state.notices.push(Notice {
                severity,
                body: Arc::new(body),
            });
        });
    }

    /// Tells of what is not there and need not be.
    pub(crate) fn skip(&self, missing: &Error) {
        let message = format!("{}, skipping", missing.message);
        let body = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
        self.notice(Severity::Notice, body);
    }

    pub(crate) fn time_zone(&self) -> TimeZone {
        self.with(|state| state.often().zone)
    }

    /// The schemas of the search path that exist, in order; that of the session's temporary tables
    /// is the first unless the path says where it comes.
    pub(crate) fn search_path(&self) -> Arc<[String]> {
        let catalog = self.catalog();
        let known = self.with(|state| {
            let known = state.search_path.as_ref()?;
            let same = known.version == catalog.version
                && known.revision == state.settings.revision()
                && known.temporary == state.temporary
                && known.user == state.user;
            same.then(|| Arc::clone(&known.path))
        });
        known.unwrap_or_else(|| self.search_path_in(&catalog))
    }

    /// The same, looked up anew.
    fn search_path_in(&self, catalog: &Catalog) -> Arc<[String]> {
        let (path, user, temporary, revision) = self.with(|state| {
            let path = state.settings.get("search_path").unwrap_or_default();
            let revision = state.settings.revision();
            (
                path.to_owned(),
                state.user.clone(),
                state.temporary,
                revision,
            )
        });
        let own = self.temporary_name();
        let Some(home) = catalog.databases.get(&self.database) else {
            return Arc::default();
        };
        let role = catalog.role_named(&user).map(|role| role.id);
        // A schema that the role may not use is not there for it.
        let usable = |name: &String| match home.schema_named(name) {
            Some(_) if *name == own => true,
            Some(schema) => role.is_some_and(|role| {
                let rights = catalog.schema_rights(role, self.database, schema.id);
                rights.has(Rights::USAGE)
            }),
            None => crate::catalogs::is_system_schema(name),
        };
        let mut path: Vec<String> = path
            .split(',')
            .map(|name| match name.trim().trim_matches('"') {
                "$user" => user.clone(),
                name => self.schema_meant(name).into_owned(),
            })
            .collect();
        if temporary && !path.contains(&own) {
            path.insert(0, own.clone());
        }
        path.retain(usable);
        let path: Arc<[String]> = path.into();
        self.with(|state| {
            state.search_path = Some(SearchPath {
                version: catalog.version,
                revision,
                temporary,
                user,
                path: Arc::clone(&path),
            });
        });
        path
    }

    /// What functions see of the session.
    pub(crate) fn vars(self: &Arc<Self>) -> SessionVars {
        let search_path = self.search_path();
        let depth = self.with(|state| state.depth);
        let effects = SessionEffects::new(Arc::downgrade(self), depth);
        self.with(|state| SessionVars {
            time_zone: state.often().time_zone.clone(),
            user: state.user.clone(),
            session_user: state.session_user.clone(),
            database: self.database_name.clone(),
            search_path,
            transaction_us: state.transaction_us,
            statement_us: state.statement_us,
            backend_pid: self.pid,
            trigger_depth: state.trigger_depth,
            version: env!("CARGO_PKG_VERSION"),
            settings: state.settings.all_shown(),
            effects: Some(Arc::new(effects)),
            random: Arc::clone(&state.random),
            momentary: Arc::clone(&state.momentary),
        })
    }

    /// A table's rows as the statement that runs sees them.
    pub(crate) fn table_seen(&self, table: TableId) -> Option<TableView> {
        let sight = self.with(|state| state.sight.clone());
        match sight {
            Some(sight) => sight.view(self, table),
            None => self.with(|state| state.transaction.as_ref()?.table(table)),
        }
    }

    /// DataFusion's state for one statement: functions see the session, scans its snapshot.
    pub(crate) fn planner(self: &Arc<Self>, vars: SessionVars) -> SessionState {
        let mut planner = self.planner.clone();
        // What is kept of a routine knows the state that it was planned with: it must not keep the
        // session, which keeps it.
        let shared = Arc::downgrade(self);
        let sight = self.with(|state| state.sight.clone());
        let slots = sight.as_ref().map(|sight| Arc::clone(&sight.slots));
        let view = move |table: TableId, times: &Range<i64>| {
            let shared = shared.upgrade()?;
            match &sight {
                Some(sight) => sight.view(&shared, table),
                None => {
                    shared.with(|state| state.transaction.as_ref()?.table_between(table, times))
                }
            }
        };
        let config = planner.config_mut();
        config.options_mut().extensions.insert(vars);
        config.set_extension(Arc::new(Snapshot(Box::new(view))));
        config.set_extension(Arc::new(SystemRows::default()));
        if let Some(slots) = slots {
            config.set_extension(slots);
        }
        // Functions read the session's variables from what is marked here.
        planner.mark_start_execution();
        planner
    }

    /// The first schema of the search path, where new objects go.
    ///
    /// # Errors
    /// 3F000 when there is none, 42501 when the current role may make nothing there.
    pub(crate) fn creation_schema(&self, schema: Option<&str>) -> Result<SchemaId, Error> {
        let home = self.home()?;
        let named = |name: &str| home.schema_named(name).map(|schema| schema.id);
        if schema == Some("pg_temp") {
            return self.need_temporary_schema();
        }
        let found = match schema {
            Some(name) if crate::catalogs::is_system_schema(name) => Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied for schema {name}"),
            )),
            Some(name) => named(name).ok_or_else(|| no_schema(name)),
            None => self
                .search_path()
                .iter()
                .filter(|name| !name.starts_with(super::temporary::TEMPORARY))
                .find_map(|name| named(name))
                .ok_or_else(|| {
                    Error::new(
                        SqlState::INVALID_SCHEMA_NAME,
                        "no schema has been selected to create in",
                    )
                }),
        }?;
        self.check_schema(found, Rights::CREATE)?;
        Ok(found)
    }

    /// Looks whether things of a schema may be named.
    ///
    /// # Errors
    /// 42501 when they may not.
    pub(crate) fn enter(&self, schema: &str) -> Result<(), Error> {
        if *schema == self.temporary_name() {
            return Ok(());
        }
        match self.home()?.schema_named(schema) {
            Some(found) => self.check_schema(found.id, Rights::USAGE),
            None => Ok(()),
        }
    }

    /// `application_name` may have changed: others see it.
    pub(crate) fn tell_name(&self) {
        if let Ok(name) = self.with(|state| state.settings.show("application_name")) {
            self.instance
                .update(self.pid, |activity| activity.application_name = name);
        }
    }

    /// A view of a name, by the search path when it has no schema; None also where a table of that
    /// name comes before it.
    ///
    /// # Errors
    /// 3F000 for a schema that does not exist.
    pub(crate) fn find_view(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<View>>, Error> {
        let home = self.home()?;
        if let Some(schema) = schema.map(|schema| self.schema_meant(schema)) {
            let found = home.schema_named(&schema);
            let schema = found.ok_or_else(|| no_schema(&schema))?;
            return Ok(home.view_named(schema.id, name).cloned());
        }
        let path = self.search_path();
        let mut schemas = path.iter().filter_map(|path| home.schema_named(path));
        let first = schemas.find(|schema| {
            home.table_named(schema.id, name).is_some()
                || home.view_named(schema.id, name).is_some()
        });
        Ok(first.and_then(|schema| home.view_named(schema.id, name).cloned()))
    }

    /// The chunk of a name with its schema, and the hypertable that it belongs to.
    ///
    /// # Errors
    /// When the session's database is gone.
    pub(crate) fn chunk_named(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<(Arc<Table>, ChunkId)>, Error> {
        if schema != Some(Database::INTERNAL_SCHEMA) {
            return Ok(None);
        }
        let home = self.home()?;
        let found = crate::catalogs::chunk_of(&home, name);
        Ok(found.map(|(table, chunk)| (Arc::clone(table), chunk)))
    }

    /// A table of a name, by the search path when it has no schema.
    ///
    /// # Errors
    /// 3F000 for a schema that does not exist.
    pub(crate) fn find_table(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<Arc<Table>>, Error> {
        let home = self.home()?;
        if let Some(schema) = schema.map(|schema| self.schema_meant(schema)) {
            self.enter(&schema)?;
            let found = home.schema_named(&schema);
            let id = found.ok_or_else(|| no_schema(&schema))?.id;
            if self.chunk_named(Some(&schema), name)?.is_some() {
                return Err(changes_chunk(name));
            }
            return Ok(self.meant(home.table_named(id, name)));
        }
        Ok(self.search_path().iter().find_map(|path| {
            let schema = home.schema_named(path)?;
            self.meant(home.table_named(schema.id, name))
        }))
    }

    /// Notes the table that a name means.
    pub(super) fn meant(&self, table: Option<&Arc<Table>>) -> Option<Arc<Table>> {
        let table = table?;
        let mut named = self.named.lock();
        if !named.contains(&table.id) {
            named.push(table.id);
        }
        Some(Arc::clone(table))
    }
}

/// Why a chunk is not changed by its own name.
pub(crate) fn changes_chunk(name: &str) -> Error {
    Error::unsupported(format!("changing the chunk \"{name}\" by its own name"))
        .hint("Change its rows by the hypertable's name, and chunks by drop_chunks and its kin.")
}

pub(crate) fn no_schema(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_SCHEMA_NAME,
        format!("schema \"{name}\" does not exist"),
    )
}

pub(crate) fn isolation_of(level: &str) -> Isolation {
    match level {
        "repeatable read" | "serializable" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    }
}

/// So many rows are dealt with sooner than another thread would have taken over this one's tasks.
const BRIEF_ROWS: usize = 256;

/// Runs what is brief for a few rows, and else blocks.
pub(crate) fn blocking_for<T>(rows: usize, work: impl FnOnce() -> T) -> T {
    match rows <= BRIEF_ROWS {
        true => work(),
        false => blocking(work),
    }
}

/// Runs a commit, which itself steps aside where it waits or has much to do; where nobody else could
/// take up this thread's tasks, it does so at once.
pub(crate) fn committing<T>(work: impl FnOnce() -> T) -> T {
    match others_work() {
        true => work(),
        false => blocking(work),
    }
}

/// Whether other threads can take up this one's tasks.
pub(crate) fn others_work() -> bool {
    tokio::runtime::Handle::try_current().is_ok_and(|handle| handle.metrics().num_workers() > 1)
}

/// Runs what blocks: a sync, a merge of parts. The thread's other tasks move on meanwhile, which
/// costs two switches between threads.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
