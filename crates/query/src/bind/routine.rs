//! Calls of functions that users made.
//!
//! One in SQL whose body is a query is bound where it stands, as a view is, so that the optimiser
//! sees through it; any other becomes a call that runs its statements.

use std::sync::Arc;

use chronolith_catalog::{ArgMode, Routine, Volatility};
use chronolith_sql::ast::{self, TableAlias};
use chronolith_sql::quoted;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::{Expr, LogicalPlan, when};

use super::call::Arg;
use super::call::no_set;
use super::dependent::normalised;
use super::from::Rows;
use super::function_parts::FunctionParts;
use super::inline::{bare, volatile, volatile_plan};
use super::names::Variable;
use super::resolve::{Candidate, Choice, Poly, choose};
use super::scope::{Alias, Scope, ScopeColumn};
use super::state::{Binder, Clause, Place, Rel, Result, column, lift, project, told, unnamed};
use super::subquery::subquery;
use crate::error::Error;
use crate::evaluate::{has_query, is_query};
use crate::functions::{CastContext, Typed, canonical_form, procs};
use crate::routines::RoutineCall;

/// A routine whose body is being bound, with what its arguments stand for.
pub(super) struct Frame {
    pub routine: Arc<Routine>,
    pub args: Vec<Typed>,
}

/// What a name was found to call.
#[derive(Clone)]
enum Callee {
    System,
    Own(Arc<Routine>, Vec<usize>),
}

/// A call of a routine, its arguments cast.
pub(super) struct OwnCall {
    pub routine: Arc<Routine>,
    pub args: Vec<Typed>,
    /// The type of its value or of one of them.
    pub result: SqlType,
    /// What a row of it is made of; None when it is one value.
    pub columns: Option<Vec<(String, SqlType)>>,
}

impl Binder<'_> {
    /// The call of a user's function, if that is what a name means for such arguments.
    pub(super) fn own_call(
        &mut self,
        schema: Option<&str>,
        name: &str,
        args: Vec<Arg>,
        at: Option<u32>,
    ) -> Result<std::result::Result<OwnCall, Vec<Arg>>> {
        let own = self.names.routines(schema, name)?;
        if own.is_empty() {
            return Ok(Err(args));
        }
        let given: Vec<SqlType> = args
            .iter()
            .map(|arg| arg.value.ty.without_typmod())
            .collect();
        let names: Vec<Option<String>> = args.iter().map(|arg| arg.name.clone()).collect();
        let variadic = args.last().is_some_and(|arg| arg.variadic);
        let system = schema.is_none_or(|schema| {
            procs(name).iter().any(|proc| proc.schema == schema) || schema == "pg_catalog"
        });
        let mut candidates = Vec::new();
        for proc in procs(name).iter().filter(|_| system) {
            let found = super::overload::candidate(proc, &names, variadic);
            candidates.extend(found.map(|found| Candidate {
                args: found.args,
                what: Callee::System,
            }));
        }
        for routine in &own {
            candidates.extend(candidate(routine, &names, variadic));
        }
        let found = match choose(candidates, &given) {
            Choice::One(found) => found,
            Choice::Many => {
                return Err(Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("function {} is not unique", called(schema, name, &given)),
                )
                .hint(
                    "Could not choose a best candidate function. \
                     You might need to add explicit type casts.",
                )
                .at(at));
            }
            Choice::None if system => return Ok(Err(args)),
            Choice::None => {
                return Err(Error::new(
                    SqlState::UNDEFINED_FUNCTION,
                    format!("function {} does not exist", called(schema, name, &given)),
                )
                .hint(
                    "No function matches the given name and argument types. \
                     You might need to add explicit type casts.",
                )
                .at(at));
            }
        };
        let (routine, slots) = match found.what {
            Callee::System => return Ok(Err(args)),
            Callee::Own(routine, slots) => (routine, slots),
        };
        if routine.is_procedure() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is a procedure", called(schema, name, &given)),
            )
            .hint("To call a procedure, use CALL.")
            .at(at));
        }
        if routine.is_trigger() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "trigger functions can only be called as triggers",
            )
            .at(at));
        }
        self.names.may_execute(&routine)?;
        if schema.is_none() && self.views == 0 {
            let place = usize::try_from(at.unwrap_or(0)).unwrap_or(0);
            let home = self.names.schema_of(&routine);
            self.edits
                .extend(home.map(|home| (place, place, format!("{}.", quoted(&home)))));
        }
        let call = self.own_arguments(routine, &slots, &found.args, args, at)?;
        Ok(Ok(call))
    }

    /// The arguments as the routine takes them, defaults put in.
    fn own_arguments(
        &mut self,
        routine: Arc<Routine>,
        slots: &[usize],
        declared: &[SqlType],
        args: Vec<Arg>,
        at: Option<u32>,
    ) -> Result<OwnCall> {
        let given: Vec<SqlType> = args.iter().map(|arg| arg.value.ty.clone()).collect();
        let poly = Poly::of(declared, &given)
            .map_err(|message| Error::new(SqlState::DATATYPE_MISMATCH, message).at(at))?;
        let common = self.common(poly.compatible(), "ARRAY")?;
        let inputs: Vec<_> = routine.inputs().cloned().collect();
        let mut values: Vec<Option<Typed>> = inputs.iter().map(|_| None).collect();
        // What a variadic argument takes one by one.
        let mut rest: Vec<Typed> = Vec::new();
        let spread = args.len() > inputs.len()
            || inputs.last().is_some_and(|last| {
                last.mode == ArgMode::Variadic
                    && args.len() == inputs.len()
                    && !args
                        .last()
                        .is_some_and(|arg| arg.variadic || arg.name.is_some())
            });
        let fixed = inputs.len().saturating_sub(1);
        for ((arg, to), slot) in args.into_iter().zip(declared).zip(slots) {
            let to = self.row_as_now(poly.resolve(to, &common));
            let value = if arg.value.ty != SqlType::Unknown && arg.value.ty.without_typmod() == to {
                arg.value
            } else {
                self.coerce(arg.value, &to, CastContext::Implicit)
                    .map_err(|error| error.at(at))?
            };
            let mut value = canonical_form(value).map_err(|error| told(error).at(at))?;
            if let Some(domain) = inputs.get(*slot).and_then(|arg| arg.domain) {
                let chain = self.names.domain_chain(domain);
                value = self.held(value, &chain).map_err(|error| error.at(at))?;
            }
            if spread && *slot >= fixed {
                rest.push(value);
            } else if let Some(place) = values.get_mut(*slot) {
                *place = Some(value);
            }
        }
        if spread && let Some(last) = values.last_mut() {
            let element = rest.first().map_or(SqlType::Text, |value| value.ty.clone());
            *last = Some(super::array::make(rest, element.without_typmod(), at)?);
        }
        let mut bound = Vec::with_capacity(values.len());
        for (value, arg) in values.into_iter().zip(&inputs) {
            let ty = poly.resolve(&arg.ty, &common);
            bound.push(match (value, &arg.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.default_argument(default, &ty)?,
                (None, None) => Typed::literal(
                    ScalarValue::try_from(&ty.arrow()).map_err(lift)?,
                    ty.clone(),
                ),
            });
        }
        let Some(declared) = &routine.result else {
            return Err(Error::internal("a procedure among functions"));
        };
        let outputs: Vec<_> = routine.outputs().collect();
        let columns = match declared.relation {
            Some(relation) => self.names.row_of(relation),
            None if outputs.is_empty() => None,
            None => Some(
                outputs
                    .iter()
                    .map(|arg| {
                        let name = arg.name.clone().unwrap_or_default();
                        (name, poly.resolve(&arg.ty, &common))
                    })
                    .collect(),
            ),
        };
        let result = poly.resolve(&declared.ty, &common);
        Ok(OwnCall {
            result,
            columns,
            args: bound,
            routine,
        })
    }

    /// The rows of a relation may have got columns since a routine was declared to take them.
    fn row_as_now(&self, ty: SqlType) -> SqlType {
        let relation = match &ty {
            SqlType::User(user) => crate::catalogs::relation_of_row(user.oid),
            _ => None,
        };
        let now = relation.and_then(|of| self.names.row_type(of));
        now.unwrap_or(ty)
    }

    fn default_argument(&mut self, default: &str, ty: &SqlType) -> Result<Typed> {
        let tree = chronolith_sql::expression(default)?;
        let nothing = Scope::default();
        let place = Place {
            scope: &nothing,
            clause: Clause::Default,
        };
        let outer = std::mem::take(&mut self.outer);
        let frames = std::mem::take(&mut self.frames);
        self.views += 1;
        let value = self.expr(place, &tree);
        self.views -= 1;
        self.outer = outer;
        self.frames = frames;
        let value = value.and_then(|value| self.coerce(value, ty, CastContext::Assignment));
        let value = value.map_err(|mut error| {
            error.position = None;
            error
        })?;
        canonical_form(value).map_err(told)
    }

    /// What a name that no column has means in the body of a routine.
    pub(super) fn argument(&mut self, of: Option<&str>, name: &str) -> Result<Option<Typed>> {
        match self.frames.last() {
            Some(frame) => {
                let argument = |name: &str| {
                    let mut inputs = frame.routine.inputs();
                    let place = inputs.position(|arg| arg.name.as_deref() == Some(name));
                    place.and_then(|place| frame.args.get(place).cloned())
                };
                match of.filter(|of| *of != frame.routine.name) {
                    // A field of an argument that is a row.
                    Some(of) => match argument(of) {
                        Some(row) if row.ty.fields().is_some() => {
                            super::reference::take_field(row, name).map(Some)
                        }
                        _ => Ok(None),
                    },
                    None => Ok(argument(name)),
                }
            }
            // The text of a view is nobody's statement.
            None if self.views > 0 => Ok(None),
            None => {
                if let Some(number) = self.names.parameter(of, name) {
                    return Ok(Some(self.params.expr(number)));
                }
                if let Some(number) = of.and_then(|of| self.names.parameter(None, of)) {
                    let row = self.params.expr(number);
                    if row.ty.fields().is_some() {
                        return super::reference::take_field(row, name).map(Some);
                    }
                }
                let found = match (self.names.variable(of, name), of) {
                    (Ok(None), Some(of)) => match self.names.variable(None, of) {
                        Ok(Some(Variable::Value(number, ty))) if ty.fields().is_some() => {
                            let row = self.params.typed(number, &ty);
                            return super::reference::take_field(row, name).map(Some);
                        }
                        _ => None,
                    },
                    (found, _) => found?,
                };
                match found {
                    None => Ok(None),
                    Some(Variable::Value(number, ty)) => Ok(Some(self.params.typed(number, &ty))),
                    Some(Variable::Row(there, columns)) => {
                        let fields = columns
                            .into_iter()
                            .map(|(name, number, ty)| (name, self.params.typed(number, &ty)))
                            .collect();
                        let row = self.record(fields)?;
                        let there = self.params.typed(there, &SqlType::Int4).expr.is_not_null();
                        Ok(Some(Typed {
                            expr: when(there, row.expr).end().map_err(lift)?,
                            ..row
                        }))
                    }
                }
            }
        }
    }

    /// The columns of a variable that is a row.
    pub(super) fn row_variable(&mut self, name: &str) -> Result<Option<Vec<(ScopeColumn, Typed)>>> {
        if self.views > 0 || !self.frames.is_empty() {
            return Ok(None);
        }
        let Some(Variable::Row(_, columns)) = self.names.variable(None, name)? else {
            return Ok(None);
        };
        let columns = columns.into_iter().map(|(name, number, ty)| {
            let value = self.params.typed(number, &ty);
            let column = ScopeColumn {
                ty,
                arrow: value.arrow.clone(),
                ..unnamed(&name)
            };
            (column, value)
        });
        Ok(Some(columns.collect()))
    }

    /// `$n`.
    pub(super) fn numbered_argument(&mut self, number: usize, at: Option<u32>) -> Result<Typed> {
        let Some(frame) = self.frames.last() else {
            let value = self.params.expr(number);
            let ty = value.ty.clone();
            return match ty.demands() {
                true => self.restricted(value, &ty),
                false => Ok(value),
            };
        };
        let found = frame.args.get(number.saturating_sub(1)).cloned();
        found.ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_PARAMETER,
                format!("there is no parameter ${number}"),
            )
            .at(at)
        })
    }

    // -------------------------------------------------------------------------- in expressions

    /// A call where a value stands.
    pub(super) fn own_value(
        &mut self,
        place: Place<'_>,
        call: OwnCall,
        at: Option<u32>,
    ) -> Result<Typed> {
        let set = call
            .routine
            .result
            .as_ref()
            .is_some_and(|result| result.set);
        if !set {
            let domain = call
                .routine
                .result
                .as_ref()
                .and_then(|result| result.domain);
            let value = self.own_scalar(place, call, at)?;
            return match domain.map(|domain| self.names.domain_chain(domain)) {
                None => Ok(value),
                Some(chain) => self.held(value, &chain).map_err(|error| error.at(at)),
            };
        }
        if !matches!(place.clause, Clause::Select | Clause::OrderBy) {
            return Err(no_set(place.clause).at(at));
        }
        let list = self.own_list(place, call, at)?;
        let name = self.fresh();
        if let Some(calls) = self.calls.last_mut() {
            calls.sets.push((name.clone(), list.expr));
        }
        Ok(Typed {
            expr: column(&name),
            arrow: super::array::item_of(&list.arrow),
            ty: list.ty,
        })
    }

    /// The one value of a call; a record where it has several.
    fn own_scalar(&mut self, place: Place<'_>, call: OwnCall, at: Option<u32>) -> Result<Typed> {
        if call.args.iter().any(|arg| volatile(&arg.expr)) {
            return self.own_run(call, at);
        }
        let Some(query) = self.inlinable(&call.routine) else {
            return self.own_run(call, at);
        };
        let strict = call.routine.strict;
        let (inner, opaque) = self.inward(place, &call.args, false);
        let rel = match self.body_of(place, &call, &query, inner)? {
            Some(rel) => rel,
            None => return self.own_run(call, at),
        };
        let (mut rel, found) = self.one_value(rel, &call)?;
        rel.plan = normalised(rel.plan, &mut || self.fresh()).map_err(lift)?;
        let mut value = Typed {
            expr: column(&found.column),
            ty: found.ty.clone(),
            arrow: found.arrow.clone(),
        };
        let bare =
            bare(&rel.plan, &found.column).filter(|expr| opaque.is_empty() || !has_query(expr));
        match bare {
            Some(expr) => {
                value.expr = self.outward_of(place, expr, &opaque)?;
            }
            None => {
                if call.routine.volatility == Volatility::Volatile && volatile_plan(&rel.plan) {
                    return self.own_run(call, at);
                }
                value.expr = self.first_value(place, rel.plan, &found, &opaque)?;
            }
        }
        if strict {
            let nulls = call.args.iter().map(|arg| arg.expr.clone().is_null());
            if let Some(any) = nulls.reduce(Expr::or) {
                let nothing = ScalarValue::try_from(&value.arrow).map_err(lift)?;
                value.expr = Expr::Case(Case::new(
                    None,
                    vec![(Box::new(any), Box::new(Expr::Literal(nothing, None)))],
                    Some(Box::new(value.expr)),
                ));
            }
        }
        Ok(value)
    }

    /// All values of a call, as a list; its type is that of one.
    fn own_list(&mut self, place: Place<'_>, call: OwnCall, at: Option<u32>) -> Result<Typed> {
        let unfit = call.args.iter().any(|arg| volatile(&arg.expr)) || call.routine.strict;
        let (inner, opaque) = self.inward(place, &call.args, false);
        if unfit || !opaque.is_empty() {
            return self.own_run(call, at);
        }
        let Some(query) = self.inlinable(&call.routine) else {
            return self.own_run(call, at);
        };
        let Some(rel) = self.body_of(place, &call, &query, inner)? else {
            return self.own_run(call, at);
        };
        if call.routine.volatility == Volatility::Volatile && volatile_plan(&rel.plan) {
            return self.own_run(call, at);
        }
        let (rel, found) = self.one_value(rel, &call)?;
        let (expr, arrow) = self.list_of(place, rel.plan, &found)?;
        Ok(Typed {
            expr,
            ty: found.ty,
            arrow,
        })
    }

    /// A call that runs the routine's statements; a list of its values when it has several.
    fn own_run(&mut self, call: OwnCall, at: Option<u32>) -> Result<Typed> {
        let set = call
            .routine
            .result
            .as_ref()
            .is_some_and(|result| result.set);
        if call.result == SqlType::Record && call.columns.is_none() {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "a function that returns record is not supported without a column definition list",
            )
            .at(at));
        }
        Ok(RoutineCall::new(call.routine, call.result, call.columns, set).call(call.args))
    }

    // ---------------------------------------------------------------------------------- in FROM

    /// `FROM f(…)` of a user's function.
    pub(super) fn own_rows(
        &mut self,
        left: Option<Rel>,
        mut call: OwnCall,
        parts: &FunctionParts<'_>,
        keep: bool,
    ) -> Result<Rel> {
        let set = call
            .routine
            .result
            .as_ref()
            .is_some_and(|result| result.set);
        let listed = self.column_list(&mut call, parts)?;
        let mut alias = parts.alias.cloned();
        if listed && let Some(alias) = &mut alias {
            alias.columns.clear();
        }
        let parts = FunctionParts {
            alias: alias.as_ref(),
            ..parts.clone()
        };
        let unfit = !set || parts.ordinality || call.args.iter().any(|arg| volatile(&arg.expr));
        let query = match unfit {
            true => None,
            false => self.inlinable(&call.routine),
        };
        let Some(query) = query else {
            return self.own_unnested(left, call, &parts, keep);
        };
        // What is computed from the rows beside it is a column of theirs.
        let (left, args) = match left {
            Some(left) => {
                let (left, args) = self.beside(left, call.args)?;
                (Some(left), args)
            }
            None => (None, call.args),
        };
        call.args = args;
        let nothing = Scope::default();
        let place = Place {
            scope: left.as_ref().map_or(&nothing, |left| &left.scope),
            clause: Clause::From,
        };
        let (inner, opaque) = self.inward(place, &call.args, true);
        let rel = match opaque.is_empty() {
            true => self.body_of(place, &call, &query, inner)?,
            false => None,
        };
        let rel = rel.filter(|rel| {
            call.routine.volatility != Volatility::Volatile || !volatile_plan(&rel.plan)
        });
        let Some(mut rel) = rel else {
            return self.own_unnested(left, call, &parts, keep);
        };
        if call.routine.strict {
            let (inner, _) = self.inward(place, &call.args, true);
            let given = inner.into_iter().map(|arg| arg.expr.is_not_null());
            if let Some(all) = given.reduce(Expr::and) {
                rel.plan = super::select::filtered(rel.plan, all)?;
            }
        }
        let table = parts.table();
        let several = call.columns.is_some();
        for found in &mut rel.scope.columns {
            if !several {
                found.name.clone_from(&table);
            }
            found.table = Some(table.clone());
            found.schema = None;
            found.origin = None;
            found.visible = true;
        }
        rel.scope.relations = vec![Alias {
            name: table,
            schema: None,
            hides: None,
        }];
        let Some(left) = left else {
            return self.aliased(rel, parts.alias);
        };
        self.beside_rows(left, rel, parts.alias, keep)
    }

    /// The columns of a function that returns `record`, as the call lists them.
    fn column_list(&mut self, call: &mut OwnCall, parts: &FunctionParts<'_>) -> Result<bool> {
        let defs: &[ast::TableAliasColumnDef] = parts.alias.map_or(&[], |alias| &alias.columns);
        let typed = parts.is_defined();
        let anonymous = call.result == SqlType::Record && call.columns.is_none();
        match (anonymous, typed) {
            (false, false) => Ok(false),
            (false, true) => Err(parts.defined_in_vain()),
            (true, false) => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "a column definition list is required for functions returning \"record\"",
            )
            .at(parts.at)),
            (true, true) => {
                let mut columns = Vec::with_capacity(defs.len());
                for def in defs {
                    let ty = match &def.data_type {
                        Some(declared) => self.declared(declared, parts.at)?,
                        None => SqlType::Text,
                    };
                    columns.push((def.name.value.clone(), ty));
                }
                call.columns = Some(columns);
                Ok(true)
            }
        }
    }

    /// The call as one that gives a list, or a value, for each row beside it.
    fn own_unnested(
        &mut self,
        left: Option<Rel>,
        call: OwnCall,
        parts: &FunctionParts<'_>,
        keep: bool,
    ) -> Result<Rel> {
        let left = match left {
            Some(left) => left,
            None => self.from(&[])?,
        };
        let set = call
            .routine
            .result
            .as_ref()
            .is_some_and(|result| result.set);
        let columns = call.columns.clone();
        let record = call.result == SqlType::Record;
        let result = call.result.clone();
        let place = Place {
            scope: &left.scope,
            clause: Clause::From,
        };
        let value = match set {
            true => self.own_list(place, call, parts.at)?,
            false => self.own_scalar(place, call, parts.at)?,
        };
        let mut output = None;
        let columns = match columns {
            Some(mut columns) if !record => {
                output = columns.pop().map(|(name, _)| name);
                Vec::new()
            }
            Some(columns) => columns,
            None => Vec::new(),
        };
        // Computed once, however many of its columns are named.
        let once = !set && volatile(&value.expr);
        let value = match once {
            true => {
                let item = arrow::datatypes::Field::new("item", value.arrow.clone(), true);
                Typed {
                    expr: datafusion::functions_nested::expr_fn::make_array(vec![value.expr]),
                    ty: value.ty,
                    arrow: arrow::datatypes::DataType::List(Arc::new(item)),
                }
            }
            false => value,
        };
        let rows = Rows {
            value,
            set: set || once,
            ty: result,
            columns,
            output,
            name: None,
        };
        self.unnested(left, vec![rows], parts, keep)
    }

    /// Arguments that are no columns, as columns of the rows beside the call.
    fn beside(&mut self, left: Rel, args: Vec<Typed>) -> Result<(Rel, Vec<Typed>)> {
        let plain = |arg: &Typed| {
            let mut columns = false;
            let _ = arg.expr.apply(|node| {
                columns |= matches!(node, Expr::Column(_)) || is_query(node);
                Ok(TreeNodeRecursion::Continue)
            });
            !columns || matches!(arg.expr, Expr::Column(_))
        };
        if args.iter().all(plain) {
            return Ok((left, args));
        }
        let mut exprs = super::select::passed(&left.scope);
        let mut scope = left.scope;
        let mut moved = Vec::with_capacity(args.len());
        for arg in args {
            if plain(&arg) {
                moved.push(arg);
                continue;
            }
            let name = self.fresh_as("argument");
            exprs.push(arg.expr.alias(&name));
            scope.columns.push(ScopeColumn {
                column: name.clone(),
                ty: arg.ty.clone(),
                arrow: arg.arrow.clone(),
                visible: false,
                ..unnamed("")
            });
            moved.push(Typed {
                expr: column(&name),
                ..arg
            });
        }
        let plan = project(left.plan, exprs)?;
        Ok((Rel { plan, scope }, moved))
    }

    /// `left, LATERAL rel alias`.
    fn beside_rows(
        &mut self,
        left: Rel,
        rel: Rel,
        alias: Option<&TableAlias>,
        keep: bool,
    ) -> Result<Rel> {
        let place = Place {
            scope: &left.scope,
            clause: Clause::From,
        };
        if !self.depends(place, &rel.plan) {
            let right = self.aliased(rel, alias)?;
            return self.joined_to(left, right, keep);
        }
        let names = rel.scope.relations.clone();
        if let Some(found) = self.lateral_rows(&left, rel.clone(), alias, &names, keep)? {
            return Ok(found);
        }
        let mut right = self.aliased(rel, alias)?;
        right.plan = LogicalPlan::Subquery(subquery(right.plan));
        self.joined_to(left, right, keep)
    }
}

/// How a call can be one of a user's routine.
fn candidate(
    routine: &Arc<Routine>,
    names: &[Option<String>],
    variadic: bool,
) -> Option<Candidate<Callee>> {
    let inputs: Vec<_> = routine.inputs().collect();
    let count = names.len();
    let named = names.iter().any(Option::is_some);
    let what = |slots: Vec<usize>| Callee::Own(Arc::clone(routine), slots);
    let last = inputs.last().filter(|last| last.mode == ArgMode::Variadic);
    if let Some(last) = last
        && !variadic
        && !named
    {
        let fixed = inputs.len() - 1;
        // There is at least one variadic argument.
        if count <= fixed {
            return None;
        }
        let element = last.ty.element().cloned().unwrap_or(SqlType::Any);
        let args = inputs.iter().take(fixed).map(|arg| arg.ty.clone());
        let args = args.chain(std::iter::repeat_n(element, count - fixed));
        return Some(Candidate {
            args: args.collect(),
            what: what((0..count).collect()),
        });
    }
    if (variadic && last.is_none()) || count > inputs.len() {
        return None;
    }
    let mut slots = Vec::with_capacity(count);
    for (at, name) in names.iter().enumerate() {
        let slot = match name {
            None => at,
            Some(name) => inputs
                .iter()
                .position(|arg| arg.name.as_ref() == Some(name))?,
        };
        if slots.contains(&slot) {
            return None;
        }
        slots.push(slot);
    }
    let missing = |(slot, arg): (usize, &&chronolith_catalog::RoutineArg)| {
        !slots.contains(&slot) && arg.default.is_none()
    };
    if inputs.iter().enumerate().any(missing) {
        return None;
    }
    let args = slots
        .iter()
        .map(|slot| inputs.get(*slot).map(|arg| arg.ty.clone()))
        .collect::<Option<Vec<_>>>()?;
    Some(Candidate {
        args,
        what: what(slots),
    })
}

fn called(schema: Option<&str>, name: &str, types: &[SqlType]) -> String {
    let types: Vec<String> = types.iter().map(SqlType::name).collect();
    let schema = schema.map_or_else(String::new, |schema| format!("{schema}."));
    format!("{schema}{name}({})", types.join(", "))
}
