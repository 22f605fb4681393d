//! CALL of what runs statements of its own: procedures of users, `run_job`, and policies.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{ArgMode, Job, Routine};
use chronolith_sql::{Statement as Tree, ast};
use chronolith_types::{JobId, SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::between::Between;
use super::block::Block;
use super::handle::Session;
use super::limits::Progress;
use super::names::SessionNames;
use super::recent::Recent;
use super::run;
use super::shared::Shared;
use crate::bind::{Bound, bind_arguments};
use crate::catalogs::quoted;
use crate::error::Error;
use crate::jobs::{self, POLICY_SCHEMA, Target};
use crate::outcome::OutputColumn;

/// A call that was bound.
pub(crate) struct Procedure {
    what: Called,
    /// One row: its arguments.
    pub(super) args: Bound,
    /// The arguments as they were written.
    given: Vec<ast::Expr>,
}

impl Procedure {
    /// The columns of the row that it answers.
    pub(super) fn outputs(&self) -> Vec<OutputColumn> {
        let Called::Own(routine) = &self.what else {
            return Vec::new();
        };
        let outputs = routine.outputs().enumerate();
        outputs
            .map(|(place, arg)| OutputColumn {
                name: arg
                    .name
                    .clone()
                    .unwrap_or_else(|| format!("column{}", place + 1)),
                ty: arg.ty.clone(),
                table_oid: 0,
                attribute: 0,
            })
            .collect()
    }

    /// What was written where a value comes out, in their order, and the names of the arguments.
    pub(crate) fn targets(&self) -> Vec<(Option<String>, ast::Expr)> {
        let Called::Own(routine) = &self.what else {
            return Vec::new();
        };
        let args = routine.args.iter().zip(&self.given);
        args.filter(|(arg, _)| arg.mode.comes_out())
            .map(|(arg, given)| (arg.name.clone(), given.clone()))
            .collect()
    }
}

/// What is called.
#[derive(Debug, Clone)]
enum Called {
    RunJob,
    /// A policy's procedure, by its name.
    Policy(&'static str),
    Own(Arc<Routine>),
}

/// An argument as it was declared.
struct Formal {
    name: Option<String>,
    ty: SqlType,
    default: Option<String>,
}

impl Called {
    fn formals(&self) -> Vec<Formal> {
        let plain = |name: &str, ty: SqlType| Formal {
            name: Some(name.to_owned()),
            ty,
            default: None,
        };
        match self {
            Self::RunJob => vec![plain("job_id", SqlType::Int4)],
            Self::Policy(_) => vec![
                plain("job_id", SqlType::Int4),
                plain("config", SqlType::Jsonb),
            ],
            // What comes out has its place among the arguments, too.
            Self::Own(routine) => routine
                .args
                .iter()
                .filter(|arg| arg.mode != ArgMode::Table)
                .map(|arg| Formal {
                    name: arg.name.clone(),
                    ty: arg.ty.clone(),
                    default: arg.default.clone(),
                })
                .collect(),
        }
    }
}

/// The call, if it is one of those that run statements.
///
/// # Errors
/// 42883 when no procedure of the name takes such arguments, 42809 for a function.
pub(crate) fn find(
    shared: &Shared,
    names: &SessionNames,
    call: &ast::Function,
    types: &[Option<SqlType>],
) -> Result<Option<Procedure>, Error> {
    let mut parts = call.name.0.iter().rev().filter_map(|part| part.as_ident());
    let name = parts.next().map_or("", |ident| ident.value.as_str());
    let schema = parts.next().map(|ident| ident.value.as_str());
    let given = match &call.args {
        ast::FunctionArguments::List(list) => arguments(&list.args)?,
        _ => Vec::new(),
    };
    let found = candidates(shared, schema, name)?;
    let mut misfit = None;
    for what in &found {
        let Some(values) = fit(&what.formals(), &given)? else {
            continue;
        };
        if let Called::Own(routine) = what
            && routine.result.is_some()
        {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is not a procedure", signature(routine)),
            )
            .hint("To call a function, use SELECT.")
            .at(position_of(call)));
        }
        match bind_arguments(names, &values, types) {
            Ok(args) => {
                let what = what.clone();
                return Ok(Some(Procedure {
                    what,
                    args,
                    given: values.into_iter().map(|(value, _)| value).collect(),
                }));
            }
            Err(error) => misfit = misfit.or(Some(error)),
        }
    }
    match misfit {
        Some(error) => Err(error),
        None if found.is_empty() => Ok(None),
        None => Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("procedure {} does not exist", quoted(name)),
        )
        .hint(
            "No procedure matches the given name and argument types. \
             You might need to add explicit type casts.",
        )),
    }
}

fn signature(routine: &Routine) -> String {
    let types: Vec<String> = routine.types().map(SqlType::name).collect();
    format!("{}({})", quoted(&routine.name), types.join(", "))
}

/// What a name may mean: users' own along the search path, before those of the system.
fn candidates(shared: &Shared, schema: Option<&str>, name: &str) -> Result<Vec<Called>, Error> {
    let home = shared.home()?;
    let path = match schema {
        Some(schema) => [schema.to_owned()].into(),
        None => shared.search_path(),
    };
    let mut found = Vec::new();
    for schema in path.iter() {
        if let Some(schema) = home.schema_named(schema) {
            let own = home.routines_named(schema.id, name);
            found.extend(own.map(|routine| Called::Own(Arc::clone(routine))));
        }
    }
    if name == "run_job" && schema.is_none_or(|schema| schema == "public") {
        found.push(Called::RunJob);
    }
    if schema.is_none_or(|schema| schema == POLICY_SCHEMA) {
        let policy = jobs::POLICIES.iter().find(|policy| **policy == name);
        found.extend(policy.map(|policy| Called::Policy(policy)));
    }
    Ok(found)
}

fn arguments(args: &[ast::FunctionArg]) -> Result<Vec<(Option<String>, ast::Expr)>, Error> {
    let value = |arg: &ast::FunctionArgExpr| match arg {
        ast::FunctionArgExpr::Expr(value) => Ok(value.clone()),
        _ => Err(Error::unsupported("* as an argument")),
    };
    args.iter()
        .map(|arg| match arg {
            ast::FunctionArg::Unnamed(arg) => Ok((None, value(arg)?)),
            ast::FunctionArg::Named { name, arg, .. } => {
                Ok((Some(name.value.clone()), value(arg)?))
            }
            ast::FunctionArg::ExprNamed { name, arg, .. } => {
                Ok((Some(name.to_string()), value(arg)?))
            }
        })
        .collect()
}

/// Each argument with its value, given or by default; None when they do not fit.
fn fit(
    formals: &[Formal],
    given: &[(Option<String>, ast::Expr)],
) -> Result<Option<Vec<(ast::Expr, SqlType)>>, Error> {
    let mut slots: Vec<Option<ast::Expr>> = formals.iter().map(|_| None).collect();
    for (place, (name, value)) in given.iter().enumerate() {
        let place = match name {
            None => Some(place),
            Some(name) => formals
                .iter()
                .position(|formal| formal.name.as_ref() == Some(name)),
        };
        match place.and_then(|place| slots.get_mut(place)) {
            Some(slot @ None) => *slot = Some(value.clone()),
            _ => return Ok(None),
        }
    }
    let mut values = Vec::with_capacity(formals.len());
    for (formal, slot) in formals.iter().zip(slots) {
        let value = match (slot, &formal.default) {
            (Some(value), _) => value,
            (None, Some(default)) => chronolith_sql::expression(default)?,
            (None, None) => return Ok(None),
        };
        values.push((value, formal.ty.clone()));
    }
    Ok(Some(values))
}

impl Session {
    pub(super) async fn call(
        &mut self,
        procedure: &Procedure,
        params: &[ScalarValue],
    ) -> Result<Option<RecordBatch>, Error> {
        let plan = crate::bind::set_parameters(&procedure.args.plan, params)?;
        let rows = run::collect(&self.shared, &plan).await?;
        let row = rows
            .iter()
            .find(|batch| batch.num_rows() > 0)
            .ok_or_else(|| Error::internal("a call without arguments"))?;
        // A plan has a column even when there is no argument.
        let count = procedure.what.formals().len();
        let args: Vec<ArrayRef> = row.columns().iter().take(count).cloned().collect();
        match &procedure.what {
            Called::RunJob => {
                let id = args.first().map(|arg| ScalarValue::try_from_array(arg, 0));
                match id.transpose()? {
                    Some(ScalarValue::Int32(Some(id))) => {
                        self.run_job(JobId(id)).await.map(|()| None)
                    }
                    _ => Err(Error::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "job ID cannot be NULL",
                    )),
                }
            }
            Called::Policy(name) => {
                let config = args.get(1).map(|arg| ScalarValue::try_from_array(arg, 0));
                let config = match config.transpose()? {
                    Some(ScalarValue::Utf8View(config)) => config,
                    _ => None,
                };
                jobs::act(self, name, config.as_deref())
                    .await
                    .map(|()| None)
            }
            Called::Own(routine) => {
                let modes = routine.args.iter().map(|arg| arg.mode);
                let args: Vec<ArrayRef> = args
                    .into_iter()
                    .zip(modes)
                    .filter(|(_, mode)| mode.goes_in())
                    .map(|(arg, _)| arg)
                    .collect();
                let answer = self.run_routine(routine, &args).await?;
                Ok(answer.into_iter().find(|batch| batch.num_rows() > 0))
            }
        }
    }

    /// `run_job`: in this session, as its role.
    async fn run_job(&mut self, id: JobId) -> Result<(), Error> {
        let home = self.shared.home()?;
        let job = home.jobs.all.get(&id).cloned();
        let job = job.ok_or_else(|| jobs::no_job(id))?;
        if !jobs::belongs(&self.shared, job.owner) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("insufficient permissions to run job {id}"),
            ));
        }
        self.do_job(&job).await
    }

    /// Commits what a long job has done so far and begins anew, unless it is part of something
    /// larger.
    pub(crate) fn settle(&mut self) -> Result<(), Error> {
        let waits = self.shared.with(|state| !state.deferred.is_empty());
        if self.block != Block::Implicit || self.several || self.nested || waits {
            return Ok(());
        }
        self.complete_here()?;
        self.enter()
    }

    /// A session that runs statements within one of another's, in its transaction.
    pub(crate) fn beside(shared: &Arc<Shared>) -> Self {
        Self {
            shared: Arc::clone(shared),
            block: Block::Implicit,
            several: true,
            simple: false,
            last: false,
            prepared: BTreeMap::new(),
            savepoints: Vec::new(),
            recent: Recent::default(),
            progress: Progress::Run,
            binary_rows: false,
            watched: false,
            copy: None,
            copy_timed: None,
            nested: true,
            between: Between::default(),
        }
    }

    /// Does what a job is there for, in a transaction of its own.
    pub(crate) async fn run_background(&mut self, job: &Job) -> Result<(), Error> {
        let now = self.shared.instance.engine.clock().wall_us();
        self.shared.with(|state| state.statement_us = now);
        self.shared.instance.update(self.shared.pid, |activity| {
            activity.state = "active";
            activity.query = format!(
                "CALL {}.{}()",
                quoted(&job.proc_schema),
                quoted(&job.proc_name)
            );
            activity.statement_us = Some(now);
            activity.transaction_us = Some(now);
        });
        self.enter()?;
        let done = match self.do_job(job).await {
            Ok(()) => self.before_end().await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => self.complete().await,
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Does what a job is there for.
    pub(crate) async fn do_job(&mut self, job: &Job) -> Result<(), Error> {
        if job.proc_schema == POLICY_SCHEMA {
            return jobs::act(self, &job.proc_name, job.config.as_deref()).await;
        }
        let home = self.shared.home()?;
        let schema = home.schema_named(&job.proc_schema);
        let mut own = schema
            .into_iter()
            .flat_map(|schema| home.routines_named(schema.id, &job.proc_name));
        let wanted = [SqlType::Int4, SqlType::Jsonb];
        let found = own.find(|routine| routine.types().eq(&wanted)).cloned();
        let routine = found.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "function or procedure {}.{}(job_id int, config jsonb) not found",
                    job.proc_schema, job.proc_name
                ),
            )
        })?;
        let id = ScalarValue::Int32(Some(job.id.0)).to_array()?;
        let config = ScalarValue::Utf8View(job.config.clone()).to_array()?;
        self.run_routine(&routine, &[id, config]).await?;
        Ok(())
    }

    /// The time of a hypertable whose times are whole numbers.
    pub(crate) async fn integer_now(&mut self, target: &Target) -> Result<i64, Error> {
        let missing = || Error::new(SqlState::UNDEFINED_FUNCTION, "integer_now function not set");
        let now = target.integer_now(&self.shared)?;
        let (schema, name) = now.as_ref().ok_or_else(missing)?;
        let home = self.shared.home()?;
        let own = home
            .schema_named(schema)
            .and_then(|schema| home.routines_named(schema.id, name).next().cloned())
            .ok_or_else(missing)?;
        let rows = self.run_routine(&own, &[]).await?;
        let value = rows
            .iter()
            .find(|batch| batch.num_rows() > 0)
            .and_then(|batch| batch.columns().first())
            .map(|column| ScalarValue::try_from_array(column, 0))
            .transpose()?;
        match value {
            Some(ScalarValue::Int64(Some(now))) => Ok(now),
            Some(ScalarValue::Int32(Some(now))) => Ok(now.into()),
            Some(ScalarValue::Int16(Some(now))) => Ok(now.into()),
            _ => Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("integer_now function {schema}.{name} gave no number"),
            )),
        }
    }
}

/// 0A000 for what a routine in SQL may not do.
pub(crate) fn refuse(tree: &Tree, tag: &str) -> Result<(), Error> {
    let alone = matches!(
        tree,
        Tree::Copy(_)
            | Tree::Prepare { .. }
            | Tree::Execute { .. }
            | Tree::Vacuum { .. }
            | Tree::CreateDatabase { .. }
            | Tree::AlterSystem(_)
    );
    if alone || tree.is_transaction_command() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{tag} is not allowed in an SQL function"),
        ));
    }
    Ok(())
}

/// Where the name that is called stands.
fn position_of(call: &ast::Function) -> Option<u32> {
    let name = call.name.0.first()?.as_ident()?;
    u32::try_from(name.span.start.column).ok()
}
