//! Routines running: the statements of one, in the transaction of the statement that called it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arrow::array::{Array, ArrayRef, StructArray};
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Database, Routine, Volatility};
use chronolith_sql::Statement as Tree;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use futures::StreamExt;

use super::call::RoutineCall;
use super::check::{body_of, read};
use super::plpgsql::{Machine, Outputs};
use crate::bind::{Target, bind_insert_source, bind_returned, changes, locks_within};
use crate::catalogs::quoted;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::session::{
    Prepared, Ready, Session, SessionNames, Shared, Statement, blocking, ready, refuse, row_of,
    wait_for,
};
use crate::settings::Scope;

/// How deep routines may call routines.
pub(crate) const DEPTH_MAX: usize = 100;
/// What one of them may need of the stack, and what it gets when that is not left.
const STACK_LEFT_BYTES: usize = 4 << 20;
const STACK_MORE_BYTES: usize = 16 << 20;

/// The value of a call: a list for a set.
///
/// # Errors
/// Those of its statements.
pub(crate) fn run(
    shared: &Arc<Shared>,
    level: usize,
    call: &RoutineCall,
    args: &[ScalarValue],
) -> Result<ScalarValue, Error> {
    // A plan may call it on several threads, and the transaction is one.
    let turn = shared.turns.get(level).ok_or_else(too_deep)?;
    let turn = turn.try_lock().unwrap_or_else(|| blocking(|| turn.lock()));
    let args: Vec<ArrayRef> = args
        .iter()
        .map(ScalarValue::to_array)
        .collect::<Result<_, _>>()?;
    let done = stacker::maybe_grow(STACK_LEFT_BYTES, STACK_MORE_BYTES, || {
        wait_for(async {
            let mut session = Session::beside(shared);
            session.value_of(call, &args).await
        })
    });
    drop(turn);
    done
}

/// Work that has stack enough whenever it goes on, however deep within others.
pub(super) struct Roomy<F>(pub(super) Pin<Box<F>>);

impl<F: Future> Future for Roomy<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let work = &mut self.0;
        stacker::maybe_grow(STACK_LEFT_BYTES, STACK_MORE_BYTES, || {
            work.as_mut().poll(context)
        })
    }
}

pub(super) fn too_deep() -> Error {
    Error::new(SqlState::new(b"54001"), "stack depth limit exceeded").hint(
        "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), after \
         ensuring the platform's stack depth limit is adequate.",
    )
}

impl Session {
    async fn value_of(
        &mut self,
        call: &RoutineCall,
        args: &[ArrayRef],
    ) -> Result<ScalarValue, Error> {
        let columns: Vec<SqlType> = match &call.columns {
            Some(columns) => columns.iter().map(|(_, ty)| ty.clone()).collect(),
            None => vec![call.result.clone()],
        };
        let rows = self
            .run_routine_as(&call.routine, &call.types, args, Some(&columns))
            .await?;
        if call.result == SqlType::Void && !call.set {
            return Ok(call.nothing()?);
        }
        let record = call.result == SqlType::Record;
        let one = |batch: &RecordBatch| -> Result<ArrayRef, Error> {
            match (&call.item, record) {
                (DataType::Struct(fields), true) => Ok(Arc::new(StructArray::try_new(
                    fields.clone(),
                    batch.columns().to_vec(),
                    None,
                )?)),
                _ => match batch.columns().first() {
                    Some(column) => Ok(Arc::clone(column)),
                    None => Err(Error::internal("a function without a value")),
                },
            }
        };
        if !call.set {
            let first = rows.iter().find(|batch| batch.num_rows() > 0);
            return match first {
                Some(batch) => Ok(ScalarValue::try_from_array(&one(batch)?, 0)?),
                None => Ok(call.nothing()?),
            };
        }
        let values = rows.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
        if values.is_empty() {
            return Ok(call.nothing()?);
        }
        let all = arrow::compute::concat(&values)?;
        Ok(ScalarValue::List(Arc::new(
            datafusion::common::utils::SingleRowListArrayBuilder::new(all).build_list_array(),
        )))
    }

    /// Runs a routine in the open transaction; the rows of its last statement.
    ///
    /// # Errors
    /// Those of its statements; 0A000 for what none may do.
    pub(crate) async fn run_routine(
        &mut self,
        routine: &Arc<Routine>,
        args: &[ArrayRef],
    ) -> Result<Vec<RecordBatch>, Error> {
        let types: Vec<SqlType> = routine.types().cloned().collect();
        if routine.strict && args.iter().any(|arg| arg.is_null(0)) {
            return Ok(Vec::new());
        }
        self.run_routine_as(routine, &types, args, None).await
    }

    /// The same with arguments of these types, and rows of those.
    async fn run_routine_as(
        &mut self,
        routine: &Arc<Routine>,
        types: &[SqlType],
        args: &[ArrayRef],
        wanted: Option<&[SqlType]>,
    ) -> Result<Vec<RecordBatch>, Error> {
        self.shared.check_execute(routine)?;
        let depth = self.shared.with(|state| state.depth);
        if depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        let caller = match routine.security_definer {
            true => Some(self.shared.act_as(routine.owner)?),
            false => None,
        };
        self.shared.with(|state| state.depth = depth + 1);
        let whole = routine.security_definer
            || !routine.settings.is_empty()
            || routine.result.is_some()
            || routine.language == "sql";
        self.between.whole += usize::from(whole);
        let done = match self.enter_settings(routine) {
            Ok(before) => {
                let done = Roomy(Box::pin(self.run_body(routine, types, args, wanted))).await;
                self.leave_settings(before);
                done
            }
            Err(error) => Err(error),
        };
        self.between.whole -= usize::from(whole);
        self.shared.with(|state| {
            state.depth = depth;
            if let Some(caller) = caller {
                state.user = caller;
            }
        });
        done.map_err(|mut error| {
            error.position = None;
            error
        })
    }

    /// SET of a routine begins; what was before.
    pub(super) fn enter_settings(
        &self,
        routine: &Routine,
    ) -> Result<Vec<(String, Option<String>)>, Error> {
        let mut before = Vec::with_capacity(routine.settings.len());
        for (name, value) in &routine.settings {
            let was = self.shared.may_set(name).and_then(|()| {
                self.shared.with(|state| {
                    let was = state.settings.local(name);
                    state.settings.set(name, value, Scope::Local).map(|()| was)
                })
            });
            match was {
                Ok(was) => before.push((name.clone(), was)),
                Err(error) => {
                    self.leave_settings(before);
                    return Err(error);
                }
            }
        }
        Ok(before)
    }

    pub(super) fn leave_settings(&self, before: Vec<(String, Option<String>)>) {
        self.shared.with(|state| {
            for (name, was) in before.into_iter().rev() {
                state.settings.put_local(&name, was);
            }
        });
    }

    async fn run_body(
        &mut self,
        routine: &Arc<Routine>,
        types: &[SqlType],
        args: &[ArrayRef],
        wanted: Option<&[SqlType]>,
    ) -> Result<Vec<RecordBatch>, Error> {
        if routine.language == "sql" {
            return self.run_statements(routine, types, args, wanted).await;
        }
        let block = body_of(&self.shared, routine)?;
        let home = self.shared.home()?;
        let outputs = outputs_of(&self.shared, &home, routine, wanted);
        let given = types
            .iter()
            .cloned()
            .zip(scalars(args)?)
            .collect::<Vec<_>>();
        let shown: Vec<String> = routine.types().map(SqlType::name).collect();
        let name = format!("{}({})", quoted(&routine.name), shown.join(","));
        let mut machine = Machine::new(self, &name, Some(routine), &given, outputs)?;
        machine.run(&block).await
    }

    /// DO.
    ///
    /// # Errors
    /// Those of its statements.
    pub(crate) async fn run_block(&mut self, language: &str, text: &str) -> Result<(), Error> {
        match language.to_lowercase().as_str() {
            "plpgsql" => {}
            "sql" => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "language \"sql\" does not support inline code execution",
                ));
            }
            other => {
                return Err(Error::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("language \"{other}\" does not exist"),
                ));
            }
        }
        let block = read(text)?;
        let depth = self.shared.with(|state| state.depth);
        if depth >= DEPTH_MAX {
            return Err(too_deep());
        }
        self.shared.with(|state| state.depth = depth + 1);
        let shared = Arc::clone(&self.shared);
        let nothing = Outputs {
            columns: Vec::new(),
            set: false,
            record: false,
            nothing: true,
            named: false,
            trigger: false,
        };
        let done = match Machine::new(self, "inline_code_block", None, &[], nothing) {
            Ok(mut machine) => Roomy(Box::pin(machine.run(&block))).await,
            Err(error) => Err(error),
        };
        shared.with(|state| state.depth = depth);
        done.map(|_| ())
    }

    /// The statements of a body in SQL, one after the other; the rows of the last.
    async fn run_statements(
        &mut self,
        routine: &Arc<Routine>,
        types: &[SqlType],
        args: &[ArrayRef],
        wanted: Option<&[SqlType]>,
    ) -> Result<Vec<RecordBatch>, Error> {
        let types: Vec<Option<SqlType>> = types.iter().cloned().map(Some).collect();
        let statements = chronolith_sql::parse(&routine.body)?;
        let count = statements.len();
        let mut last = Vec::new();
        for (number, parsed) in statements.into_iter().enumerate() {
            refuse(&parsed.statement, &parsed.tag)?;
            self.shared.cancel.check()?;
            // Each sees what those before it did, and what others committed; one that promises not
            // to change anything sees what its caller does.
            if routine.volatility == Volatility::Volatile {
                self.enter()?;
            }
            let text = routine.body.get(parsed.range.clone()).unwrap_or_default();
            let statement = Statement {
                text: text.into(),
                skipped: None,
                constants: None,
                filled: None,
                parsed: Arc::new(parsed),
            };
            let names = SessionNames::of_routine(&self.shared, routine)?;
            let tree = &statement.parsed.statement;
            let wanted = wanted.filter(|_| number + 1 == count);
            let ready = match (tree, wanted) {
                (Tree::Query(query), Some(wanted))
                    if !returns_nothing(wanted) && !changes(query) && !locks_within(query) =>
                {
                    let targets: Vec<Target> = wanted
                        .iter()
                        .map(|ty| Target {
                            name: routine.name.clone(),
                            ty: ty.clone(),
                            default: None,
                        })
                        .collect();
                    let record = routine.result.as_ref();
                    let record = record.is_some_and(|result| result.ty == SqlType::Record);
                    let bind = if record {
                        bind_returned
                    } else {
                        bind_insert_source
                    };
                    Ready::Query(bind(&names, query, &targets, &types)?)
                }
                (tree, Some(wanted)) if !returns_nothing(wanted) => {
                    self.returning(&names, tree, text, wanted, &types)?
                }
                _ => ready(&self.shared, &names, tree, &types)?,
            };
            let prepared = Prepared {
                params: types.iter().flatten().cloned().collect(),
                columns: Vec::new(),
                statement: statement.clone(),
                given: types.clone(),
                ready,
                bound_to: self.bound_to(),
                lasts: false,
                renewed: parking_lot::Mutex::default(),
                point: std::sync::OnceLock::new(),
                normal: std::sync::OnceLock::new(),
            };
            // Boxed: a statement may call another procedure.
            let outcome = Box::pin(self.dispatch(&prepared, args)).await?;
            last = Vec::new();
            if let Outcome::Rows { mut stream, .. } = outcome {
                while let Some(batch) = stream.next().await {
                    last.push(batch?);
                }
            }
        }
        Ok(last)
    }
}

impl Session {
    /// The last statement of a body, one that changes or locks rows, with rows of the types that are
    /// wanted.
    fn returning(
        &self,
        names: &SessionNames,
        tree: &Tree,
        text: &str,
        wanted: &[SqlType],
        types: &[Option<SqlType>],
    ) -> Result<Ready, Error> {
        let found = ready(&self.shared, names, tree, types)?;
        let bare = |types: &[SqlType]| -> Vec<SqlType> {
            types.iter().map(SqlType::without_typmod).collect()
        };
        match found.columns() {
            Some(given) if bare(&given) != bare(wanted) && given.len() == wanted.len() => {}
            _ => return Ok(found),
        }
        let columns: Vec<String> = (0..wanted.len()).map(|at| format!("c{at}")).collect();
        let casts = columns.iter().zip(wanted);
        let casts: Vec<String> = casts
            .map(|(column, ty)| format!("CAST({column} AS {})", ty.name()))
            .collect();
        let text = format!(
            "WITH returned({}) AS ({text}) SELECT {} FROM returned",
            columns.join(", "),
            casts.join(", ")
        );
        let query = Tree::Query(chronolith_sql::query(&text)?);
        ready(&self.shared, names, &query, types)
    }
}

/// What a routine's rows are made of, of the types that its call says.
pub(super) fn outputs_of(
    shared: &Arc<Shared>,
    home: &Database,
    routine: &Routine,
    wanted: Option<&[SqlType]>,
) -> Outputs {
    let result = routine.result.as_ref();
    let ty = result.map(|result| result.ty.clone());
    let named = routine.outputs().next().is_some();
    let mut columns: Vec<(String, SqlType)> = match result.and_then(|result| result.relation) {
        Some(relation) => row_of(shared, home, relation).unwrap_or_default(),
        None if named => routine
            .outputs()
            .map(|arg| (arg.name.clone().unwrap_or_default(), arg.ty.clone()))
            .collect(),
        None => ty
            .iter()
            .map(|ty| (routine.name.clone(), ty.clone()))
            .collect(),
    };
    if let Some(wanted) = wanted {
        columns.resize(wanted.len(), (String::new(), SqlType::Text));
        for ((_, ty), wanted) in columns.iter_mut().zip(wanted) {
            ty.clone_from(wanted);
        }
    }
    Outputs {
        columns,
        set: result.is_some_and(|result| result.set),
        record: ty == Some(SqlType::Record),
        nothing: !named && ty.is_none_or(|ty| ty == SqlType::Void),
        named,
        trigger: routine.is_trigger(),
    }
}

fn scalars(args: &[ArrayRef]) -> Result<Vec<ScalarValue>, Error> {
    args.iter()
        .map(|arg| Ok(ScalarValue::try_from_array(arg, 0)?))
        .collect()
}

fn returns_nothing(wanted: &[SqlType]) -> bool {
    matches!(wanted, [SqlType::Void])
}
