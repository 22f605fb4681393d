//! What functions may know of the session that calls them.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use arrow::record_batch::RecordBatch;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigOptions, ExtensionOptions};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::LogicalPlan;

use super::error::FunctionError;
use super::random::Random;
use crate::routines::RoutineCall;

/// The parts of the database that functions with effects reach: made by the session.
pub trait Effects: Send + Sync {
    /// Calls the function of that name; arguments come with their defaults missing at the end.
    ///
    /// # Errors
    /// Whatever the effect says.
    fn call(&self, name: &str, args: &[ScalarValue]) -> Result<ScalarValue, FunctionError>;

    /// Calls it for each of several rows, in their order; some are dearer one by one.
    ///
    /// # Errors
    /// Whatever the effects say.
    fn call_all(
        &self,
        name: &str,
        rows: &[Vec<ScalarValue>],
    ) -> Result<Vec<ScalarValue>, FunctionError> {
        rows.iter().map(|args| self.call(name, args)).collect()
    }

    /// Runs a query that stands inside an expression.
    ///
    /// # Errors
    /// Whatever it meets.
    fn rows(&self, plan: &LogicalPlan) -> Result<Vec<RecordBatch>, FunctionError>;

    /// Runs a user's function once.
    ///
    /// # Errors
    /// Whatever it meets.
    fn routine(
        &self,
        call: &RoutineCall,
        args: &[ScalarValue],
    ) -> Result<ScalarValue, DataFusionError>;
}

/// The session's variables, as an extension of DataFusion's options.
#[derive(Clone)]
pub struct SessionVars {
    /// The session's time zone, as `SHOW timezone` prints it.
    pub time_zone: String,
    /// `current_user`.
    pub user: String,
    /// `session_user`.
    pub session_user: String,
    /// `current_database()`.
    pub database: String,
    /// The existing schemas of the search path, in order, without the implicit ones.
    pub search_path: Arc<[String]>,
    /// When the transaction began: `now()`, µs since 1970.
    pub transaction_us: i64,
    /// When the statement arrived, µs since 1970.
    pub statement_us: i64,
    /// The process id that this session gave its client.
    pub backend_pid: i32,
    /// How many triggers are being run, one within another.
    pub trigger_depth: i32,
    /// The version of this program.
    pub version: &'static str,
    /// What `current_setting` reads, by lower-case name.
    pub settings: Arc<BTreeMap<String, String>>,
    /// The way to the engine, for functions that need it.
    pub effects: Option<Arc<dyn Effects>>,
    /// Its random numbers.
    pub random: Arc<Random>,
    /// Counts the values that are what they are for the moment alone, as `'now'` is: what was bound
    /// with one is not bound for later.
    pub momentary: Arc<AtomicU64>,
}

impl Default for SessionVars {
    fn default() -> Self {
        Self {
            time_zone: "UTC".into(),
            user: "postgres".into(),
            session_user: "postgres".into(),
            database: "postgres".into(),
            search_path: ["public".into()].into(),
            transaction_us: 0,
            statement_us: 0,
            backend_pid: 0,
            trigger_depth: 0,
            version: env!("CARGO_PKG_VERSION"),
            settings: Arc::default(),
            effects: None,
            random: Arc::default(),
            momentary: Arc::default(),
        }
    }
}

impl SessionVars {
    /// The variables that `options` carry; the defaults when they carry none.
    pub fn of(options: &ConfigOptions) -> Known<'_> {
        match options.extensions.get::<Self>() {
            Some(vars) => Known::Carried(vars),
            None => {
                let late = options.extensions.get::<LateVars>();
                let calling = late.and_then(|_| CALLING.with_borrow(|of| of.last().cloned()));
                Known::Callers(calling.unwrap_or_default())
            }
        }
    }
}

/// The variables that a function knows.
#[derive(Debug)]
pub enum Known<'a> {
    /// Those that travel with its plan.
    Carried(&'a SessionVars),
    /// Those of who calls it, or the defaults.
    Callers(Arc<SessionVars>),
}

impl Deref for Known<'_> {
    type Target = SessionVars;

    fn deref(&self) -> &SessionVars {
        match self {
            Self::Carried(vars) => vars,
            Self::Callers(vars) => vars,
        }
    }
}

impl fmt::Debug for SessionVars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionVars")
            .field("time_zone", &self.time_zone)
            .field("user", &self.user)
            .field("database", &self.database)
            .field("search_path", &self.search_path)
            .finish_non_exhaustive()
    }
}

/// Options that travel with a plan and are set as a whole.
macro_rules! options {
    ($options:ty) => {
        impl ExtensionOptions for $options {
            fn as_any(&self) -> &dyn Any {
                self
            }

            fn as_any_mut(&mut self) -> &mut dyn Any {
                self
            }

            fn cloned(&self) -> Box<dyn ExtensionOptions> {
                Box::new(self.clone())
            }

            fn set(&mut self, key: &str, _value: &str) -> Result<(), DataFusionError> {
                Err(
                    FunctionError::internal(format!("session variable {key} is not set this way"))
                        .into(),
                )
            }

            fn entries(&self) -> Vec<ConfigEntry> {
                Vec::new()
            }
        }
    };
}

impl ConfigExtension for SessionVars {
    const PREFIX: &'static str = "chronolith_session";
}

options!(SessionVars);

/// Stands for variables that are known only when a function is called: see [`SessionVars::calling`].
#[derive(Debug, Clone)]
struct LateVars;

impl ConfigExtension for LateVars {
    const PREFIX: &'static str = "chronolith_late";
}

options!(LateVars);

thread_local! {
    /// The variables of who calls functions on this thread just now, the innermost last.
    static CALLING: RefCell<Vec<Arc<SessionVars>>> = const { RefCell::new(Vec::new()) };
}

impl SessionVars {
    /// Options of expressions that outlive a statement: their functions see the variables of whoever
    /// evaluates them within [`SessionVars::calling`].
    pub(crate) fn late() -> Arc<ConfigOptions> {
        static LATE: OnceLock<Arc<ConfigOptions>> = OnceLock::new();
        let late = LATE.get_or_init(|| {
            let mut options = ConfigOptions::new();
            options.extensions.insert(LateVars);
            Arc::new(options)
        });
        Arc::clone(late)
    }

    /// Evaluates expressions that were planned with [`SessionVars::late`].
    pub(crate) fn calling<T>(self: &Arc<Self>, evaluate: impl FnOnce() -> T) -> T {
        struct Caller;
        impl Drop for Caller {
            fn drop(&mut self) {
                CALLING.with_borrow_mut(Vec::pop);
            }
        }
        CALLING.with_borrow_mut(|calling| calling.push(Arc::clone(self)));
        let _caller = Caller;
        evaluate()
    }
}
