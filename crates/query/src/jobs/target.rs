//! What a policy looks after, as the arguments of a call name it.

use std::sync::Arc;

use chronolith_catalog::{Database, Hypertable, Job, Table, View};
use chronolith_types::{HypertableId, Interval, RoleId, SqlState, SqlType, TableId};
use datafusion::common::ScalarValue;

use super::config::Lag;
use crate::effects::{Args, integer};
use crate::error::Error;
use crate::session::Shared;

/// A hypertable.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Whose chunks it has.
    pub(crate) table: Arc<Table>,
    /// What makes it a hypertable.
    pub(crate) hypertable: Hypertable,
    /// What users call it.
    pub(crate) name: String,
    /// The continuous aggregate whose store it is.
    pub(crate) view: Option<Arc<View>>,
    /// The type of its times.
    pub(crate) time: SqlType,
}

impl Target {
    /// The hypertable that the first argument names.
    ///
    /// # Errors
    /// TS001 for what is none, 42501 for one of another's.
    pub(crate) fn of(shared: &Arc<Shared>, args: Args<'_>, name: &str) -> Result<Self, Error> {
        let oid = args.need(args.oid(0), name)?;
        let found = Self::by_oid(shared, oid)?;
        found.owned(shared)?;
        Ok(found)
    }

    fn by_oid(shared: &Arc<Shared>, oid: u32) -> Result<Self, Error> {
        let home = shared.home()?;
        if let Some(table) = home.tables.get(&TableId(oid)) {
            let found = Self::of_table(table).map(|found| found.named(&home));
            return found.ok_or_else(|| no_hypertable(&table.name));
        }
        match home.views.get(&TableId(oid)) {
            Some(view) => aggregate(&home, view).ok_or_else(|| no_hypertable(&view.name)),
            None => Err(Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("relation with OID {oid} does not exist"),
            )),
        }
    }

    fn of_table(table: &Arc<Table>) -> Option<Self> {
        let hypertable = table.hypertable.clone()?;
        let time = table.column(hypertable.time)?.ty.clone();
        Some(Self {
            table: Arc::clone(table),
            hypertable,
            name: table.name.clone(),
            view: None,
            time,
        })
    }

    /// What users call the store of a continuous aggregate.
    fn named(mut self, home: &Database) -> Self {
        let view = self.table.rollup.as_ref().map(|rollup| rollup.view);
        if let Some(view) = view.and_then(|view| home.views.get(&view)) {
            self.name.clone_from(&view.name);
            self.view = Some(Arc::clone(view));
        }
        self
    }

    /// The hypertable of a number, which a config names.
    ///
    /// # Errors
    /// TS001 when there is none.
    pub(crate) fn numbered(shared: &Arc<Shared>, id: HypertableId) -> Result<Self, Error> {
        let home = shared.home()?;
        let has = |table: &&Arc<Table>| table.hypertable.as_ref().is_some_and(|h| h.id == id);
        let table = home.tables.values().find(has);
        let found = table.and_then(Self::of_table);
        found.map(|found| found.named(&home)).ok_or_else(|| {
            Error::new(
                SqlState::HYPERTABLE_NOT_EXIST,
                format!("configuration hypertable id {id} not found"),
            )
        })
    }

    /// 42501 unless the role is its owner's.
    fn owned(&self, shared: &Shared) -> Result<(), Error> {
        if belongs(shared, self.owner()) {
            return Ok(());
        }
        Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("must be owner of {} \"{}\"", self.kind(), self.name),
        ))
    }

    /// What kind of thing users take it for.
    pub(crate) fn kind(&self) -> &'static str {
        match self.view {
            Some(_) => "continuous aggregate",
            None => "hypertable",
        }
    }

    /// Who owns what users see.
    pub(crate) fn owner(&self) -> RoleId {
        self.view
            .as_ref()
            .map_or(self.table.owner, |view| view.owner)
    }

    /// The continuous aggregate that the first argument names.
    ///
    /// # Errors
    /// 42809 for what is none, 42501 for one of another's.
    pub(crate) fn aggregate_of(
        shared: &Arc<Shared>,
        args: Args<'_>,
        name: &str,
    ) -> Result<Self, Error> {
        let oid = args.need(args.oid(0), name)?;
        let home = shared.home()?;
        let view = home.views.get(&TableId(oid));
        let Some(found) = view.and_then(|view| aggregate(&home, view)) else {
            let table = home.tables.get(&TableId(oid)).map(|table| &table.name);
            let name = view.map(|view| &view.name).or(table);
            let name = name.cloned().unwrap_or_else(|| oid.to_string());
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{name}\" is not a continuous aggregate"),
            ));
        };
        found.owned(shared)?;
        Ok(found)
    }

    /// About how long a bucket of the continuous aggregate is, in µs or whole numbers.
    pub(crate) fn bucket(&self, shared: &Shared) -> Result<i64, Error> {
        let Some(view) = &self.view else {
            return Ok(0);
        };
        let home = shared.home()?;
        let definition = shared.instance.registry.definition(&home, view.id)?;
        Ok(definition.buckets.width().length())
    }

    /// Schema and name of what tells the time where times are whole numbers: of a continuous
    /// aggregate, that of the hypertable below.
    pub(crate) fn integer_now(&self, shared: &Shared) -> Result<Option<(String, String)>, Error> {
        let home = shared.home()?;
        let mut table = Arc::clone(&self.table);
        while let Some(source) = table.rollup.as_ref().map(|rollup| rollup.source) {
            match home.tables.get(&source) {
                Some(below) => table = Arc::clone(below),
                None => break,
            }
        }
        let hypertable = table.hypertable.as_ref();
        Ok(hypertable.and_then(|hypertable| hypertable.integer_now.clone()))
    }

    /// Whether its times are whole numbers.
    pub(crate) fn whole(&self) -> bool {
        matches!(self.time, SqlType::Int2 | SqlType::Int4 | SqlType::Int8)
    }

    /// The policy of a kind that looks after it.
    pub(crate) fn policy(&self, shared: &Shared, proc: &str) -> Result<Option<Arc<Job>>, Error> {
        Ok(self.policies(shared, proc)?.into_iter().next())
    }

    /// The policies of a kind that look after it.
    pub(crate) fn policies(&self, shared: &Shared, proc: &str) -> Result<Vec<Arc<Job>>, Error> {
        let home = shared.home()?;
        let jobs = home.jobs.all.values();
        let found = jobs.filter(|job| {
            job.relation == Some(self.table.id)
                && job.proc_schema == POLICY_SCHEMA
                && job.proc_name == proc
        });
        Ok(found.cloned().collect())
    }

    /// An argument that says how far back; None when it is left out. `wrong` says what is asked for.
    pub(crate) fn lag(
        &self,
        args: Args<'_>,
        place: usize,
        wrong: impl Fn() -> Error,
    ) -> Result<Option<Lag>, Error> {
        let Some(value) = args.get(place) else {
            return Ok(None);
        };
        let lag = match value {
            ScalarValue::IntervalMonthDayNano(Some(span)) => Some(Lag::Span(Interval {
                months: span.months,
                days: span.days,
                us: span.nanoseconds / 1000,
            })),
            ScalarValue::Utf8View(Some(text)) | ScalarValue::Utf8(Some(text)) => {
                Some(if self.whole() {
                    let number = text.trim().parse().map_err(|_| wrong())?;
                    Lag::Number(number)
                } else {
                    Lag::Span(Interval::parse(text.as_bytes())?)
                })
            }
            other => integer(other).map(Lag::Number),
        };
        match lag {
            Some(Lag::Span(_)) if self.whole() => Err(wrong()),
            Some(Lag::Number(_)) if !self.whole() => Err(wrong()),
            Some(lag) => Ok(Some(lag)),
            None => Err(wrong()),
        }
    }
}

/// The store of a view that is a continuous aggregate.
fn aggregate(home: &Database, view: &View) -> Option<Target> {
    let kept = view.materialized.as_ref()?;
    kept.continuous.as_ref()?;
    let table = home.tables.get(&kept.table)?;
    Some(Target::of_table(table)?.named(home))
}

/// Where the procedures of policies are.
pub(crate) const POLICY_SCHEMA: &str = "_timescaledb_functions";

/// Whether the session's role is another, a member of it, or a superuser.
pub(crate) fn belongs(shared: &Shared, owner: RoleId) -> bool {
    let catalog = shared.catalog();
    let role = shared.role(&catalog);
    role.is_ok_and(|role| catalog.acts_as(role, owner))
}

fn no_hypertable(name: &str) -> Error {
    Error::new(
        SqlState::HYPERTABLE_NOT_EXIST,
        format!("\"{name}\" is not a hypertable or a continuous aggregate"),
    )
    .hint("The operation is only possible on a hypertable or continuous aggregate.")
}
