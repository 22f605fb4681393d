//! Expressions and statements bound once, and run with the variables' values.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{Field as ArrowField, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_sql::plpgsql::{Command, Sql};
use chronolith_sql::{Parsed, Statement as Tree};
use chronolith_types::{SqlState, SqlType, TypeId};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, Expr};
use datafusion::physical_plan::PhysicalExpr;
use futures::StreamExt;

use super::frame::{Datum, Locals, Place};
use super::machine::Machine;
use crate::bind::{Names as _, bind_among_variables, bind_cast, bind_held, number_of};
use crate::error::Error;
use crate::evaluate::{chosen, computable};
use crate::functions::Typed;
use crate::outcome::{Outcome, OutputColumn};
use crate::session::{BoundTo, Prepared, Ready, SessionNames, Shared, Statement};

/// What a statement was bound to: what holds for one statement of the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    bound_to: BoundTo,
    transaction_us: i64,
    statement_us: i64,
    /// How many routines run: what is called from there is one deeper.
    depth: usize,
    /// The tables that a trigger sees beside all others.
    transitions: Option<u64>,
}

impl Moment {
    pub(super) fn now(shared: &Arc<Shared>, bound_to: BoundTo) -> Self {
        let (transaction_us, statement_us, depth) =
            shared.with(|state| (state.transaction_us, state.statement_us, state.depth));
        let transitions = shared.with(|state| state.transitions.as_ref().map(|of| of.serial));
        Self {
            bound_to,
            depth,
            transitions,
            transaction_us,
            statement_us,
        }
    }
}

/// A piece of SQL, ready to be run again.
#[derive(Clone)]
pub(crate) struct Compiled {
    moment: Moment,
    /// The types of the variables it was bound with.
    types: Vec<Option<SqlType>>,
    /// The fields it names, with their names and types.
    fields: Vec<(Place, String, SqlType)>,
    /// All that it names.
    used: Vec<Place>,
    what: What,
}

#[derive(Clone)]
enum What {
    Value {
        expr: Arc<dyn PhysicalExpr>,
        ty: SqlType,
        /// Numbers of parameters, in the order of the schema.
        inputs: Vec<usize>,
        schema: Arc<Schema>,
    },
    Statement(Arc<Prepared>),
}

/// What a statement gave.
pub(super) struct Ran {
    pub columns: Vec<OutputColumn>,
    pub batches: Vec<RecordBatch>,
    /// It has rows, however few.
    pub rows: bool,
    /// Rows given or changed.
    pub count: u64,
    /// It changes rows, or may.
    pub changes: bool,
}

impl Ran {
    /// The values of a row.
    pub(super) fn row(&self, mut at: usize) -> Result<Option<Vec<ScalarValue>>, Error> {
        for batch in &self.batches {
            if at < batch.num_rows() {
                let values = batch
                    .columns()
                    .iter()
                    .map(|column| ScalarValue::try_from_array(column, at))
                    .collect::<Result<_, _>>()?;
                return Ok(Some(values));
            }
            at -= batch.num_rows();
        }
        Ok(None)
    }
}

impl Machine<'_> {
    fn fits(&self, compiled: &Compiled) -> bool {
        if compiled.moment != self.moment || compiled.types.len() > self.frame.data.len() {
            return false;
        }
        let same = compiled.types.iter().zip(&self.frame.data);
        let same = same.into_iter().all(|(ty, datum)| match datum {
            Datum::Value(slot) => ty.as_ref() == Some(&slot.ty),
            Datum::Row(_) => true,
        });
        same && compiled.fields.iter().all(|(place, name, ty)| {
            match (self.frame.data.get(place.datum), place.field) {
                (Some(Datum::Row(row)), Some(at)) => {
                    let fields = row.fields.as_ref();
                    let field = fields.and_then(|fields| fields.get(at));
                    field.is_some_and(|field| field.name == *name && field.ty == *ty)
                }
                _ => false,
            }
        })
    }

    pub(super) fn moment_depth(&self) -> usize {
        self.moment.depth
    }

    fn known(&self, id: u64) -> Option<Compiled> {
        let known = self.session.shared.compiled.lock();
        known
            .get(&(id, self.moment.depth))
            .filter(|known| self.fits(known))
            .cloned()
    }

    fn keep(&self, id: u64, compiled: Compiled) {
        const KEPT_MAX: usize = 4096;
        let mut known = self.session.shared.compiled.lock();
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert((id, self.moment.depth), compiled);
    }

    fn fields_of(&self, places: &[Place]) -> Vec<(Place, String, SqlType)> {
        places
            .iter()
            .filter_map(|place| match self.frame.data.get(place.datum) {
                Some(Datum::Row(row)) => {
                    let field = row.fields.as_ref()?.get(place.field?)?;
                    Some((*place, field.name.clone(), field.ty.base().clone()))
                }
                _ => None,
            })
            .collect()
    }

    /// The value of parameter `number`.
    fn parameter(&self, number: usize, fields: &[(Place, String, SqlType)]) -> ScalarValue {
        let count = self.bound;
        let found = match number.checked_sub(1) {
            Some(at) if at < count => match self.frame.data.get(at) {
                Some(Datum::Value(slot)) => Some(&slot.value),
                // Whether there is a row.
                Some(Datum::Row(row)) => return ScalarValue::Int32((!row.absent).then_some(1)),
                None => return ScalarValue::Int32(None),
            },
            Some(at) => {
                let place = fields.get(at - count).map(|(place, ..)| *place);
                place.and_then(|place| match self.frame.data.get(place.datum) {
                    Some(Datum::Row(row)) => {
                        let field = row.fields.as_ref()?.get(place.field?)?;
                        Some(&field.value)
                    }
                    _ => None,
                })
            }
            None => None,
        };
        found.cloned().unwrap_or(ScalarValue::Null)
    }

    /// The value of an expression, as a type if one is given.
    pub(super) async fn value(
        &mut self,
        sql: &Sql,
        target: Option<&SqlType>,
    ) -> Result<(ScalarValue, SqlType), Error> {
        self.session.shared.cancel.check()?;
        if let Some(expr) = &sql.expr {
            let compiled = match self.known(sql.id) {
                Some(known) => Some(known),
                None => self.compile(sql, expr, target)?,
            };
            if let Some(compiled) = compiled
                && let What::Value {
                    expr,
                    ty,
                    inputs,
                    schema,
                } = &compiled.what
            {
                self.bound = compiled.types.len();
                let columns: Vec<ArrayRef> = inputs
                    .iter()
                    .zip(schema.fields())
                    .map(|(number, field)| {
                        let value = self.parameter(*number, &compiled.fields);
                        match value.is_null() {
                            true => Ok(arrow::array::new_null_array(field.data_type(), 1)),
                            false => value.to_array(),
                        }
                    })
                    .collect::<Result<_, _>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(1));
                let batch =
                    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
                let value = match expr.evaluate(&batch)? {
                    ColumnarValue::Scalar(value) => value,
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0)?,
                };
                return Ok((value, ty.clone()));
            }
        }
        let ran = self.query(sql).await?;
        let [column] = ran.columns.as_slice() else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "query \"{}\" returned {} columns",
                    sql.text,
                    ran.columns.len()
                ),
            ));
        };
        if ran.count > 1 {
            return Err(Error::new(
                SqlState::new(b"21000"),
                format!("query \"{}\" returned more than one row", sql.text),
            ));
        }
        let value = ran.row(0)?.and_then(|row| row.into_iter().next());
        let value = match value {
            Some(value) => value,
            None => super::frame::null(&column.ty)?,
        };
        match target {
            Some(target) => Ok((self.cast(value, &column.ty, target)?, target.clone())),
            None => Ok((value, column.ty.clone())),
        }
    }

    /// The expression for values alone; None where it takes a plan.
    fn compile(
        &mut self,
        sql: &Sql,
        expr: &chronolith_sql::ast::Expr,
        target: Option<&SqlType>,
    ) -> Result<Option<Compiled>, Error> {
        let shared = Arc::clone(&self.session.shared);
        let locals = Locals::of(&self.frame);
        let types = locals.types();
        let names = SessionNames::among(&shared, locals)?;
        let bound = bind_among_variables(&names, expr, target, &types);
        let (typed, uses) = bound.map_err(|mut error| {
            error.position = None;
            error
        })?;
        if !uses.is_empty() || !is_plain(&typed.expr) {
            return Ok(None);
        }
        let locals = names.into_locals();
        let of =
            |places: fn(&Locals) -> Vec<Place>| locals.as_ref().map(places).unwrap_or_default();
        let (places, used) = (of(Locals::named), of(Locals::used));
        let fields = self.fields_of(&places);
        let mut inputs: Vec<usize> = Vec::new();
        let mut schema: Vec<ArrowField> = Vec::new();
        let form = |number: usize| -> SqlType {
            match types.get(number - 1) {
                Some(Some(ty)) => ty.clone(),
                _ => fields
                    .get(number - 1 - types.len())
                    .map_or(SqlType::Text, |(_, _, ty)| ty.clone()),
            }
        };
        let over = typed.expr.transform_up(|node| {
            let Some(number) = number_of(&node) else {
                return Ok(chosen(node));
            };
            let name = format!("${number}");
            if !inputs.contains(&number) {
                inputs.push(number);
                schema.push(ArrowField::new(&name, form(number).arrow(), true));
            }
            Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
                name,
            ))))
        })?;
        let schema = Arc::new(Schema::new(schema));
        let known = DFSchema::try_from(schema.as_ref().clone())?;
        let planner = shared.planner(shared.vars());
        let expr = computable(&over.data, &known, planner.execution_props())?;
        let compiled = Compiled {
            moment: self.moment.clone(),
            types,
            fields,
            used,
            what: What::Value {
                expr,
                ty: typed.ty,
                inputs,
                schema,
            },
        };
        self.keep(sql.id, compiled.clone());
        Ok(Some(compiled))
    }

    /// A value of one type as another.
    pub(super) fn cast(
        &self,
        value: ScalarValue,
        from: &SqlType,
        to: &SqlType,
    ) -> Result<ScalarValue, Error> {
        let bare = from.without_typmod();
        if value.is_null() && !matches!(to, SqlType::Record) {
            return super::frame::null(to);
        }
        if bare == *to && value.data_type() == to.arrow() {
            return Ok(value);
        }
        let shared = &self.session.shared;
        let names = SessionNames::new(shared)?;
        let given = Typed {
            arrow: value.data_type(),
            expr: Expr::Literal(value, None),
            ty: bare,
        };
        let cast = bind_cast(&names, given, to)?;
        self.evaluated(&cast.expr)
    }

    /// 23502 or 23514 for a value that a domain does not let in.
    pub(super) fn hold(
        &self,
        value: &ScalarValue,
        ty: &SqlType,
        domain: TypeId,
    ) -> Result<(), Error> {
        let names = SessionNames::new(&self.session.shared)?;
        let value = Typed::literal(value.clone(), ty.clone());
        let held = bind_held(&names, value, &names.domain_chain(domain))?;
        self.evaluated(&held.expr).map(|_| ())
    }

    /// The value of an expression without columns.
    fn evaluated(&self, expr: &Expr) -> Result<ScalarValue, Error> {
        if let Expr::Literal(value, _) = expr {
            return Ok(value.clone());
        }
        let shared = &self.session.shared;
        let planner = shared.planner(shared.vars());
        let nothing = DFSchema::empty();
        let expr = computable(expr, &nothing, planner.execution_props())?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let batch =
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
        Ok(match expr.evaluate(&batch)? {
            ColumnarValue::Scalar(value) => value,
            ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0)?,
        })
    }

    /// The rows of a piece that is a query.
    pub(super) async fn query(&mut self, sql: &Sql) -> Result<Ran, Error> {
        let parsed = Arc::new(Parsed {
            statement: Tree::Query(sql.query.clone()),
            range: 0..0,
            tag: "SELECT".to_owned(),
        });
        self.statement(sql.id, &sql.text, &parsed).await
    }

    pub(super) async fn command(&mut self, command: &Command) -> Result<Ran, Error> {
        self.statement(command.id, &command.text, &command.parsed)
            .await
    }

    /// Runs a statement among the variables.
    pub(super) async fn statement(
        &mut self,
        id: u64,
        text: &str,
        parsed: &Arc<Parsed>,
    ) -> Result<Ran, Error> {
        self.before(&parsed.statement, &parsed.tag, false)?;
        let (prepared, values) = self.bound_to_variables(id, text, parsed)?;
        self.finished(&prepared, values).await
    }

    /// A statement bound among the variables, and the values of these.
    pub(super) fn bound_to_variables(
        &mut self,
        id: u64,
        text: &str,
        parsed: &Arc<Parsed>,
    ) -> Result<(Arc<Prepared>, Vec<ScalarValue>), Error> {
        let compiled = match self.known(id) {
            Some(known) => known,
            None => {
                let locals = Locals::of(&self.frame);
                let types = locals.types();
                let names = SessionNames::among(&self.session.shared, locals)?;
                let statement = Statement {
                    text: text.into(),
                    skipped: None,
                    constants: None,
                    filled: None,
                    parsed: Arc::clone(parsed),
                };
                let prepared = self.session.bind_among(&names, &statement, &types);
                let prepared = prepared.map_err(|mut error| {
                    error.position = None;
                    error
                })?;
                let locals = names.into_locals();
                let of = |places: fn(&Locals) -> Vec<Place>| {
                    locals.as_ref().map(places).unwrap_or_default()
                };
                let compiled = Compiled {
                    moment: self.moment.clone(),
                    fields: self.fields_of(&of(Locals::named)),
                    used: of(Locals::used),
                    types,
                    what: What::Statement(prepared),
                };
                self.keep(id, compiled.clone());
                compiled
            }
        };
        let What::Statement(prepared) = &compiled.what else {
            return Err(Error::internal("a statement that is a value"));
        };
        self.bound = compiled.types.len();
        let count = compiled.types.len() + compiled.fields.len();
        let values = (1..=count)
            .map(|number| self.parameter(number, &compiled.fields))
            .collect();
        Ok((Arc::clone(prepared), values))
    }

    /// A statement bound with values for its parameters alone.
    pub(super) fn bound_with(
        &mut self,
        text: &str,
        parsed: Arc<Parsed>,
        using: &[(ScalarValue, SqlType)],
    ) -> Result<(Arc<Prepared>, Vec<ScalarValue>), Error> {
        let types: Vec<Option<SqlType>> = using.iter().map(|(_, ty)| Some(ty.clone())).collect();
        let names = SessionNames::new(&self.session.shared)?;
        let statement = Statement {
            text: text.into(),
            skipped: Some(0),
            constants: None,
            filled: None,
            parsed,
        };
        let prepared = self.session.bind_among(&names, &statement, &types)?;
        let mut values: Vec<ScalarValue> = using.iter().map(|(value, _)| value.clone()).collect();
        values.resize(prepared.params.len().max(values.len()), ScalarValue::Null);
        Ok((prepared, values))
    }

    /// Runs what a text says, with values for its parameters.
    pub(super) async fn dynamic(
        &mut self,
        text: &str,
        using: Vec<(ScalarValue, SqlType)>,
    ) -> Result<Ran, Error> {
        let mut last = Ran {
            columns: Vec::new(),
            batches: Vec::new(),
            rows: false,
            count: 0,
            changes: false,
        };
        for parsed in chronolith_sql::parse(text)? {
            self.before(&parsed.statement, &parsed.tag, true)?;
            let text = text.get(parsed.range.clone()).unwrap_or(text);
            let (prepared, values) = self.bound_with(text, Arc::new(parsed), &using)?;
            self.session.between.whole += 1;
            let done = self.finished(&prepared, values).await;
            self.session.between.whole -= 1;
            last = done?;
        }
        Ok(last)
    }

    /// Looks whether a statement may be run here, and gives it its snapshot.
    pub(super) fn before(&mut self, tree: &Tree, tag: &str, made: bool) -> Result<(), Error> {
        self.session.shared.cancel.check()?;
        let unfit = match tree {
            control if control.is_transaction_command() => Some(match made {
                true => "EXECUTE of transaction commands is not implemented".to_owned(),
                false => "unsupported transaction command in PL/pgSQL".to_owned(),
            }),
            Tree::Copy(_) => Some("cannot COPY to/from client in PL/pgSQL".to_owned()),
            Tree::Prepare { .. }
            | Tree::Execute { .. }
            | Tree::Vacuum { .. }
            | Tree::CreateDatabase { .. }
            | Tree::AlterSystem(_) => Some(format!("{tag} cannot be executed from a function")),
            _ => None,
        };
        if let Some(message) = unfit {
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        self.session.shared.refuse_writes(tree, tag)?;
        if self.volatile {
            return self.session.enter();
        }
        let reads = matches!(tree, Tree::Query(_) | Tree::Explain(_) | Tree::Show(_));
        match reads {
            true => Ok(()),
            false => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{tag} is not allowed in a non-volatile function"),
            )),
        }
    }

    async fn finished(
        &mut self,
        prepared: &Arc<Prepared>,
        values: Vec<ScalarValue>,
    ) -> Result<Ran, Error> {
        // A procedure may have ended the transaction.
        let anew = matches!(prepared.ready, Ready::Utility | Ready::Procedure(_));
        let call = Box::pin(self.session.dispatch_values(prepared, values));
        let outcome = call.await?;
        let mut ran = Ran {
            columns: Vec::new(),
            batches: Vec::new(),
            rows: false,
            count: 0,
            changes: false,
        };
        match outcome {
            Outcome::Rows {
                columns,
                mut stream,
                ..
            } => {
                while let Some(batch) = stream.next().await {
                    let batch = batch?;
                    ran.count += batch.num_rows() as u64;
                    ran.batches.push(batch);
                }
                ran.columns = columns;
                ran.rows = true;
            }
            Outcome::Command { tag } => {
                let count = tag.rsplit(' ').next().and_then(|last| last.parse().ok());
                ran.count = count.unwrap_or(0);
            }
            _ => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot COPY to/from client in PL/pgSQL",
                ));
            }
        }
        ran.changes = matches!(prepared.ready, Ready::Change(_) | Ready::Insert(_));
        if anew {
            // It may have changed what names mean.
            self.refresh();
        }
        Ok(ran)
    }

    /// What a piece that has run names.
    pub(super) fn named_by(&self, id: u64) -> Vec<Place> {
        self.known(id).map(|known| known.used).unwrap_or_default()
    }

    /// Where a CALL puts what comes out, with the names of these arguments.
    pub(super) fn call_targets(&self, id: u64) -> Vec<(Option<String>, chronolith_sql::ast::Expr)> {
        match self.known(id).map(|known| known.what) {
            Some(What::Statement(prepared)) => match &prepared.ready {
                Ready::Procedure(procedure) => procedure.targets(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// Whether an expression is computed from values alone.
fn is_plain(expr: &Expr) -> bool {
    let query = expr.exists(|node| {
        Ok(matches!(
            node,
            Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_)
                | Expr::SetComparison(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::Column(_)
        ))
    });
    !query.unwrap_or(true)
}
