//! Calls of functions, aggregates among them.

use chronolith_sql::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments,
};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::TreeNode;
use datafusion::functions::core;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{AggregateFunction, Case, ScalarFunction, Sort};

use super::literal::null;
use super::resolve::{Candidate, Choice, Poly, choose};
use super::state::{
    Binder, Clause, Place, Result, column, ident_position, position, told, unsupported,
};
use crate::error::Error;
use crate::functions::{CastContext, Proc, ProcKind, Typed, procs};

/// An argument as it was written.
pub(super) struct Arg {
    pub name: Option<String>,
    pub value: Typed,
    pub variadic: bool,
}

/// A function found for a call, with its arguments cast.
pub(super) struct Resolved {
    pub proc: &'static Proc,
    pub args: Vec<Typed>,
    pub result: SqlType,
}

impl Resolved {
    /// `min` and `max` of an enum are of the places of its labels: the enum, when it is one.
    pub(super) fn by_rank(&mut self) -> Result<Option<SqlType>> {
        let extreme = matches!(self.proc.name, "min" | "max");
        let Some(arg) = self.args.first_mut().filter(|_| extreme) else {
            return Ok(None);
        };
        if arg.ty.labels().is_none() {
            return Ok(None);
        }
        let labels = std::mem::replace(&mut self.result, SqlType::Int4);
        *arg = crate::functions::sort_key(arg.clone()).map_err(told)?;
        Ok(Some(labels))
    }
}

impl Binder<'_> {
    pub(super) fn function(&mut self, place: Place<'_>, function: &ast::Function) -> Result<Typed> {
        let at = function
            .name
            .0
            .first()
            .and_then(|part| part.as_ident())
            .and_then(ident_position);
        let (schema, name) = spelled(function);
        let around = std::mem::replace(&mut self.documents, name.contains("json"));
        let bound = match self.names.routines(schema.as_deref(), &name) {
            Ok(own) if own.is_empty() => function_name(function)
                .map_err(|error| error.at(at))
                .and_then(|name| self.named_call(place, None, &name, function, at)),
            Ok(_) => self.named_call(place, schema.as_deref(), &name, function, at),
            Err(error) => Err(error.at(at)),
        };
        self.documents = around;
        bound
    }

    fn named_call(
        &mut self,
        place: Place<'_>,
        schema: Option<&str>,
        name: &str,
        function: &ast::Function,
        at: Option<u32>,
    ) -> Result<Typed> {
        if let Some(special) = self.special(place, name, function, at)? {
            return Ok(special);
        }
        let list = match &function.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::None => return self.keyword(name, at),
            FunctionArguments::Subquery(query) => {
                if name == "array" {
                    return self.array_subquery(place, query);
                }
                let value = self.scalar_subquery(place, query)?;
                return self.call_plain(name, vec![value], at);
            }
        };
        let found = procs(name);
        let aggregate = found.iter().any(|proc| proc.kind == ProcKind::Aggregate);
        let window = found.iter().any(|proc| proc.kind == ProcKind::Window);
        if let Some(over) = &function.over {
            if !aggregate && !window {
                let args = self.arguments(place, &list.args)?;
                self.resolve(name, args, at)?;
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "OVER specified, but {name} is not a window function nor an aggregate function"
                    ),
                )
                .at(at));
            }
            return self.window_call(place, name, function, list, over, at);
        }
        if aggregate {
            return self.aggregate_call(place, name, function, list, at);
        }
        if window && !function.within_group.is_empty() {
            return self.hypothetical(place, name, function, list, at);
        }
        if window {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("window function {name} requires an OVER clause"),
            )
            .at(at));
        }
        if function.filter.is_some() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("FILTER specified, but {name} is not an aggregate function"),
            )
            .at(at));
        }
        if list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("DISTINCT specified, but {name} is not an aggregate function"),
            )
            .at(at));
        }
        let args = self.arguments(place, &list.args)?;
        match self.own_call(schema, name, args, at)? {
            Ok(call) => self.own_value(place, call, at),
            Err(args) => {
                let call = self.resolve(name, args, at)?;
                self.finish_call(place, call, at)
            }
        }
    }

    /// A call with positional arguments, of a name of ours.
    pub(super) fn call_plain(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let args = args
            .into_iter()
            .map(|value| Arg {
                name: None,
                value,
                variadic: false,
            })
            .collect();
        let call = self.resolve(name, args, at)?;
        call.proc
            .scalar(call.args, &call.result)
            .map_err(|error| told(error).at(at))
    }

    /// What CALL calls.
    pub(super) fn procedure(&mut self, function: &ast::Function) -> Result<Typed> {
        let at = function
            .name
            .0
            .first()
            .and_then(|part| part.as_ident())
            .and_then(ident_position);
        let name = function_name(function).map_err(|error| error.at(at))?;
        let nothing = super::scope::Scope::default();
        let place = Place {
            scope: &nothing,
            clause: Clause::Default,
        };
        let args = match &function.args {
            FunctionArguments::List(list) => self.arguments(place, &list.args)?,
            _ => Vec::new(),
        };
        let call = self.resolve(&name, args, at).map_err(|mut error| {
            if error.code == SqlState::UNDEFINED_FUNCTION {
                error.message = error.message.replacen("function", "procedure", 1);
                error.hint = error
                    .hint
                    .map(|hint| hint.replacen("function", "procedure", 1));
            }
            error
        })?;
        if call.proc.kind != ProcKind::Procedure {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is not a procedure", signature(&name, &call.args)),
            )
            .hint("To call a function, use SELECT.")
            .at(at));
        }
        call.proc
            .scalar(call.args, &call.result)
            .map_err(|error| told(error).at(at))
    }

    fn finish_call(&mut self, place: Place<'_>, call: Resolved, at: Option<u32>) -> Result<Typed> {
        match call.proc.kind {
            ProcKind::Scalar => call
                .proc
                .scalar(call.args, &call.result)
                .map_err(|error| told(error).at(at)),
            ProcKind::SetReturning => self.set_call(place, call, at),
            ProcKind::Procedure => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is a procedure", signature(call.proc.name, &call.args)),
            )
            .hint("To call a procedure, use CALL.")
            .at(at)),
            ProcKind::Aggregate | ProcKind::Window => {
                Err(Error::internal("an aggregate is no scalar function"))
            }
        }
    }

    /// A function that returns rows, in a select list.
    fn set_call(&mut self, place: Place<'_>, call: Resolved, at: Option<u32>) -> Result<Typed> {
        if !matches!(place.clause, Clause::Select | Clause::OrderBy) {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "set-returning functions are not allowed in {}",
                    place.clause.words()
                ),
            )
            .at(at));
        }
        let result = call.result.clone();
        let list = call
            .proc
            .scalar(call.args, &call.result)
            .map_err(|error| told(error).at(at))?;
        let arrow = match &list.arrow {
            arrow::datatypes::DataType::List(item) => item.data_type().clone(),
            other => other.clone(),
        };
        let ty = list.ty.element().cloned().unwrap_or(result);
        let name = self.fresh();
        if let Some(calls) = self.calls.last_mut() {
            calls.sets.push((name.clone(), list.expr));
        }
        Ok(Typed {
            expr: column(&name),
            ty,
            arrow,
        })
    }

    pub(super) fn arguments(&mut self, place: Place<'_>, args: &[FunctionArg]) -> Result<Vec<Arg>> {
        let mut bound = Vec::with_capacity(args.len());
        for arg in args {
            let (name, value) = match arg {
                FunctionArg::Unnamed(value) => (None, value),
                FunctionArg::Named { name, arg, .. } => (Some(name.value.clone()), arg),
                FunctionArg::ExprNamed { name, arg, .. } => (Some(name.to_string()), arg),
            };
            let value = match value {
                FunctionArgExpr::Expr(value) => self.expr(place, value)?,
                FunctionArgExpr::QualifiedWildcard(of)
                    if let [table] = of.0.as_slice()
                        && let Some(table) = table.as_ident()
                        && place.scope.has_table(None, &table.value) =>
                {
                    self.whole_row(place, &table.value)?
                }
                _ => return Err(unsupported("* as an argument")),
            };
            let variadic = name.as_deref() == Some("variadic");
            bound.push(Arg {
                name: name.filter(|_| !variadic),
                value,
                variadic,
            });
        }
        Ok(bound)
    }

    /// Which function of a name a call means.
    pub(super) fn resolve(
        &mut self,
        name: &str,
        args: Vec<Arg>,
        at: Option<u32>,
    ) -> Result<Resolved> {
        let mut args = args;
        if matches!(
            name,
            "concat" | "concat_ws" | "format" | "quote_literal" | "quote_nullable"
        ) {
            // Functions of any values' texts know no fields.
            for arg in &mut args {
                arg.value = self.told_row(arg.value.clone()).map_err(|e| e.at(at))?;
            }
        }
        let variadic = args.last().is_some_and(|arg| arg.variadic);
        let names = args.iter().map(|arg| arg.name.clone()).collect::<Vec<_>>();
        let given = args
            .iter()
            .map(|arg| arg.value.ty.without_typmod())
            .collect::<Vec<_>>();
        let mut candidates = Vec::new();
        for proc in procs(name) {
            candidates.extend(candidate(proc, &names, variadic));
        }
        let values = args.into_iter().map(|arg| arg.value).collect::<Vec<_>>();
        let found = match choose(candidates, &given) {
            Choice::One(found) => found,
            Choice::Many => {
                return Err(Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("function {} is not unique", signature(name, &values)),
                )
                .hint(
                    "Could not choose a best candidate function. \
                     You might need to add explicit type casts.",
                )
                .at(at));
            }
            Choice::None => return self.no_function(name, values, at),
        };
        self.cast_arguments(found, values, at)
    }

    fn cast_arguments(
        &mut self,
        found: Candidate<(&'static Proc, Vec<usize>)>,
        values: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Resolved> {
        let (proc, order) = found.what;
        let given = values
            .iter()
            .map(|value| value.ty.clone())
            .collect::<Vec<_>>();
        let poly = Poly::of(&found.args, &given)
            .map_err(|message| Error::new(SqlState::DATATYPE_MISMATCH, message).at(at))?;
        let mut common = self
            .common(poly.compatible(), "ARRAY")
            .map_err(|error| error.at(at))?;
        // Values of different types keep no modifier.
        if poly.compatible().iter().any(|ty| *ty != common) {
            common = common.without_typmod();
        }
        let mut slots: Vec<Option<Typed>> = Vec::new();
        for ((value, to), slot) in values.into_iter().zip(&found.args).zip(&order) {
            let to = match to {
                // Takes whatever comes, in its own type.
                SqlType::Any | SqlType::Cstring => value.ty.clone(),
                // The vectors of the catalogs are arrays that count from 0.
                SqlType::AnyArray
                    if matches!(value.ty, SqlType::Int2Vector | SqlType::OidVector) =>
                {
                    value.ty.clone()
                }
                to => poly.resolve(to, &common),
            };
            let value = if value.ty != SqlType::Unknown && value.ty.without_typmod() == to {
                value
            } else {
                self.coerce(value, &to, CastContext::Implicit)
                    .map_err(|error| error.at(at))?
            };
            if slots.len() <= *slot {
                slots.resize_with(slot + 1, || None);
            }
            if let Some(place) = slots.get_mut(*slot) {
                *place = Some(value);
            }
        }
        // Defaults between named arguments are nulls, which functions of ours take as "not given",
        // but for the strict ones.
        let args = slots
            .into_iter()
            .zip(proc.args.iter().map(Some).chain(std::iter::repeat(None)))
            .enumerate()
            .map(
                |(slot, (value, declared))| match (value, proc.default_of(slot)) {
                    (Some(value), _) => Ok(value),
                    (None, Some(default)) => {
                        let value = self.unknown(default, None);
                        self.settle(value, declared.unwrap_or(&SqlType::Text))
                    }
                    (None, None) => self.settle(null(), declared.unwrap_or(&SqlType::Text)),
                },
            )
            .collect::<Result<Vec<_>>>()?;
        let result = poly.resolve(&proc.result, &common);
        Ok(Resolved { proc, args, result })
    }

    /// No function of that name and these types: a cast spelled as one, or an error.
    fn no_function(
        &mut self,
        name: &str,
        mut values: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Resolved> {
        let call = signature(name, &values);
        if values.len() == 1
            && let Some(to) = SqlType::parse_name(name)
            && !to.is_pseudo()
            && let Some(value) = values.pop()
        {
            let cast = self
                .coerce(value, &to.without_typmod(), CastContext::Explicit)
                .map_err(|error| error.at(at))?;
            // The identity function of any type gives it the shape of a call.
            return match IDENTITY.as_ref() {
                Some(proc) => Ok(Resolved {
                    proc,
                    result: cast.ty.clone(),
                    args: vec![cast],
                }),
                None => Err(Error::internal("no identity function")),
            };
        }
        let hint = "No function matches the given name and argument types. \
                    You might need to add explicit type casts.";
        Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {call} does not exist"),
        )
        .hint(hint)
        .at(at))
    }

    // ------------------------------------------------------------- special forms

    /// Calls that are not functions of `pg_proc`.
    fn special(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        at: Option<u32>,
    ) -> Result<Option<Typed>> {
        let FunctionArguments::List(list) = &function.args else {
            return Ok(None);
        };
        // Its value is not looked at, so nothing types a literal there.
        if name == "pg_typeof"
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(literal)))] =
                list.args.as_slice()
            && matches!(
                literal.value,
                ast::Value::SingleQuotedString(_) | ast::Value::Null
            )
        {
            let number = ScalarValue::UInt32(Some(SqlType::Unknown.oid()));
            let ty = SqlType::Reg(chronolith_types::RegKind::Type);
            return Ok(Some(Typed::literal(number, ty)));
        }
        if !matches!(
            name,
            "coalesce" | "nullif" | "greatest" | "least" | "row" | "grouping"
        ) {
            return Ok(None);
        }
        if name == "row"
            && let [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(of))] =
                list.args.as_slice()
            && let [table] = of.0.as_slice()
            && let Some(table) = table.as_ident()
        {
            self.touch_all(place.scope.of_table(None, &table.value));
            let columns = place.scope.of_table(None, &table.value);
            let columns = numbered(columns.map(super::state::typed).collect());
            return self.record(columns).map(Some);
        }
        let mut args = self
            .arguments(place, &list.args)?
            .into_iter()
            .map(|arg| arg.value)
            .collect::<Vec<_>>();
        match name {
            "coalesce" | "greatest" | "least" => {
                let of = name.to_uppercase();
                let (args, ty) = self.unify(args, &of).map_err(|error| error.at(at))?;
                let arrow = args
                    .first()
                    .map_or_else(|| ty.arrow(), |value| value.arrow.clone());
                if name != "coalesce" && args.len() > 1 {
                    let extreme = crate::functions::extreme(args, ty, name == "greatest");
                    return extreme.map(Some).map_err(told);
                }
                let udf = core::coalesce();
                let mut exprs = args.into_iter().map(|arg| arg.expr).collect::<Vec<_>>();
                if exprs.len() == 1
                    && let Some(expr) = exprs.pop()
                {
                    return Ok(Some(Typed { expr, ty, arrow }));
                }
                Ok(Some(Typed {
                    expr: Expr::ScalarFunction(ScalarFunction::new_udf(udf, exprs)),
                    ty,
                    arrow,
                }))
            }
            "nullif" => {
                let (Some(right), Some(left), true) = (args.pop(), args.pop(), args.is_empty())
                else {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(at));
                };
                let left = if left.ty == SqlType::Unknown {
                    let ty = if right.ty == SqlType::Unknown {
                        SqlType::Text
                    } else {
                        right.ty.without_typmod()
                    };
                    self.settle(left, &ty)?
                } else {
                    left
                };
                let equal = self.operate("=", vec![left.clone(), right], at)?;
                let none = datafusion::common::ScalarValue::try_from(&left.arrow)
                    .map_err(super::state::lift)?;
                Ok(Some(Typed {
                    expr: Expr::Case(Case {
                        expr: None,
                        when_then_expr: vec![(
                            Box::new(equal.expr),
                            Box::new(Expr::Literal(none, None)),
                        )],
                        else_expr: Some(Box::new(left.expr)),
                    }),
                    ty: left.ty,
                    arrow: left.arrow,
                }))
            }
            "row" => self.record(numbered(args)).map(Some),
            _ => self.grouping_call(place, args, at).map(Some),
        }
    }

    /// A row as a value.
    pub(super) fn record(&mut self, fields: Vec<(String, Typed)>) -> Result<Typed> {
        if self.documents {
            let mut settled = Vec::with_capacity(fields.len());
            for (name, value) in fields {
                settled.push((name, self.settled(value)?));
            }
            return crate::functions::row_as_json(settled).map_err(told);
        }
        let mut args = Vec::with_capacity(2 * fields.len());
        let mut form = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let value = crate::functions::row_part(self.settled(value)?).map_err(told)?;
            form.push(super::state::field(&name, &value.arrow));
            args.push(datafusion::logical_expr::lit(name));
            args.push(value.expr);
        }
        if args.is_empty() {
            return Err(unsupported("a row without columns"));
        }
        Ok(Typed {
            expr: Expr::ScalarFunction(ScalarFunction::new_udf(core::named_struct(), args)),
            ty: SqlType::Record,
            arrow: arrow::datatypes::DataType::Struct(form.into()),
        })
    }

    /// `GROUPING(a, b)`: which of the keys a row of a grouping set is without.
    fn grouping_call(
        &mut self,
        place: Place<'_>,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Typed> {
        if !matches!(
            place.clause,
            Clause::Select | Clause::Having | Clause::OrderBy | Clause::Window
        ) {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                format!(
                    "grouping operations are not allowed in {}",
                    place.clause.words()
                ),
            )
            .at(at));
        }
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
            datafusion::functions_aggregate::grouping::grouping_udaf(),
            args.into_iter().map(|arg| arg.expr).collect(),
            false,
            None,
            Vec::new(),
            None,
        ));
        let name = self.fresh();
        if let Some(calls) = self.calls.last_mut() {
            calls.aggregates.push((name.clone(), expr));
        }
        if let Some(at) = at {
            self.places.insert(name.clone(), at);
        }
        Ok(Typed {
            expr: column(&name),
            ty: SqlType::Int4,
            arrow: arrow::datatypes::DataType::Int32,
        })
    }

    /// Functions that are called without parentheses.
    fn keyword(&mut self, name: &str, at: Option<u32>) -> Result<Typed> {
        let explicit = CastContext::Explicit;
        match name {
            "current_timestamp" => self.call_plain("now", Vec::new(), at),
            "localtimestamp" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Timestamp, explicit)
            }
            "current_date" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Date, explicit)
            }
            "localtime" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Time, explicit)
            }
            "current_time" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Timetz, explicit)
            }
            "current_catalog" => self.call_plain("current_database", Vec::new(), at),
            "current_role" | "user" => self.call_plain("current_user", Vec::new(), at),
            other => self.call_plain(other, Vec::new(), at),
        }
    }

    // ----------------------------------------------------------------- aggregates

    fn aggregate_call(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        at: Option<u32>,
    ) -> Result<Typed> {
        match place.clause {
            Clause::Select | Clause::Having | Clause::OrderBy | Clause::Window => {}
            Clause::Aggregate => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot be nested",
                )
                .at(at));
            }
            other => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    format!("aggregate functions are not allowed in {}", other.words()),
                )
                .at(at));
            }
        }
        let (mut call, params) = self.aggregate_parts(place, name, function, list, at)?;
        if params.distinct {
            for arg in &mut call.args {
                *arg = self.groupable(arg.clone())?;
            }
        }
        let labels = call.by_rank().map_err(|error| error.at(at))?;
        let built = call
            .proc
            .aggregate(&call.args, &call.result)
            .map_err(|error| told(error).at(at))?;
        let expr = Expr::AggregateFunction(AggregateFunction::new_udf(
            built.udf,
            built.args,
            params.distinct,
            params.filter.map(Box::new),
            params.order_by,
            None,
        ));
        let fresh = self.fresh();
        let Some(calls) = self.calls.last_mut() else {
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed here",
            )
            .at(at));
        };
        let name = match calls.aggregates.iter().find(|(_, known)| *known == expr) {
            Some((name, _)) => name.clone(),
            None => {
                calls.aggregates.push((fresh.clone(), expr));
                fresh
            }
        };
        let made = Typed {
            expr: column(&name),
            ty: built.ty,
            arrow: built.arrow,
        };
        Ok(match labels {
            Some(labels) => crate::functions::label(made, &labels),
            None => made,
        })
    }

    /// Arguments, DISTINCT, ORDER BY, WITHIN GROUP and FILTER of an aggregate.
    pub(super) fn aggregate_parts(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        at: Option<u32>,
    ) -> Result<(Resolved, AggregateParts)> {
        // Over a window, an aggregate's arguments may hold aggregates of the group.
        let inner = Place {
            scope: place.scope,
            clause: if function.over.is_some() {
                Clause::Window
            } else {
                Clause::Aggregate
            },
        };
        let mut args = if star(list) {
            Vec::new()
        } else {
            self.arguments(inner, &list.args)?
        };
        let mut order_by = Vec::new();
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::OrderBy(keys) => {
                    for key in keys {
                        let value = self.expr(inner, &key.expr)?;
                        order_by.push(self.sort_of(value, &key.options)?);
                    }
                }
                other => return Err(unsupported(format!("{other} in an aggregate")).at(at)),
            }
        }
        let within = &function.within_group;
        if !within.is_empty() {
            for key in within {
                if key.options.asc == Some(false) {
                    return Err(unsupported("WITHIN GROUP (ORDER BY … DESC)").at(at));
                }
                let value = self.expr(inner, &key.expr)?;
                args.push(Arg {
                    name: None,
                    value,
                    variadic: false,
                });
            }
        }
        let mut call = self.resolve(name, args, at)?;
        if call.proc.kind != ProcKind::Aggregate && call.proc.kind != ProcKind::Window {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name} is no aggregate of these arguments"),
            )
            .at(at));
        }
        if call.proc.ordered_set && within.is_empty() {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
            )
            .at(at));
        }
        let filter = match &function.filter {
            Some(filter) => {
                let place = Place {
                    scope: place.scope,
                    clause: Clause::Filter,
                };
                let value = self.expr(place, filter)?;
                Some(self.condition(value, "FILTER", position(filter.as_ref()))?)
            }
            None => None,
        };
        // An argument that may fail is computed for the rows that FILTER leaves alone.
        if let Some(filter) = &filter {
            for arg in call.args.iter_mut().filter(|arg| may_fail(&arg.expr)) {
                let computed =
                    std::mem::replace(&mut arg.expr, Expr::Literal(ScalarValue::Null, None));
                arg.expr = Expr::Case(Case::new(
                    None,
                    vec![(Box::new(filter.clone()), Box::new(computed))],
                    None,
                ));
            }
        }
        let distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
        Ok((
            call,
            AggregateParts {
                distinct,
                filter,
                order_by,
            },
        ))
    }
}

/// What an aggregate call has beside its arguments.
pub(super) struct AggregateParts {
    pub distinct: bool,
    pub filter: Option<Expr>,
    pub order_by: Vec<Sort>,
}

/// The fields of a row that nobody named.
pub(super) fn numbered(values: Vec<Typed>) -> Vec<(String, Typed)> {
    let names = (1..).map(|number: usize| format!("f{number}"));
    names.zip(values).collect()
}

/// `f(*)`.
fn star(list: &ast::FunctionArgumentList) -> bool {
    matches!(
        list.args.as_slice(),
        [FunctionArg::Unnamed(
            FunctionArgExpr::Wildcard | FunctionArgExpr::WildcardWithOptions(_)
        )]
    )
}

/// The schema and the name of a function as they were written.
pub(super) fn spelled(function: &ast::Function) -> (Option<String>, String) {
    let mut parts = function.name.0.iter().rev();
    let mut next = || {
        let ident = parts.next().and_then(|part| part.as_ident())?;
        Some(ident.value.clone())
    };
    let name = next().unwrap_or_default();
    (next(), name)
}

/// The name of a function; its schema may be one whose functions all can call.
pub(super) fn function_name(function: &ast::Function) -> Result<String> {
    let parts = function
        .name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| ident.value.clone())
        .collect::<Vec<_>>();
    match parts.as_slice() {
        [name] => Ok(name.clone()),
        [schema, name]
            if procs(name).iter().any(|proc| proc.schema == schema)
                || matches!(schema.as_str(), "pg_catalog" | "public") =>
        {
            Ok(name.clone())
        }
        _ => Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {}() does not exist", parts.join(".")),
        )),
    }
}

fn signature(name: &str, values: &[Typed]) -> String {
    let types = values
        .iter()
        .map(|value| value.ty.without_typmod().name())
        .collect::<Vec<_>>();
    format!("{name}({})", types.join(", "))
}

/// Whether an expression may fail for some row.
fn may_fail(expr: &Expr) -> bool {
    expr.exists(|part| {
        Ok(matches!(part, Expr::ScalarFunction(call) if crate::functions::can_fail(&call.func)))
    })
    .unwrap_or(true)
}

/// How a call can be one of this function: the declared types by argument, and where each goes.
pub(super) fn candidate(
    proc: &'static Proc,
    names: &[Option<String>],
    variadic: bool,
) -> Option<Candidate<(&'static Proc, Vec<usize>)>> {
    let count = names.len();
    let declared = proc.args.len();
    let named = names.iter().any(Option::is_some);
    if let Some(element) = &proc.variadic
        && !variadic
        && !named
    {
        let fixed = declared.saturating_sub(1);
        // There is at least one variadic argument.
        if count <= fixed {
            return None;
        }
        let args = proc
            .args
            .iter()
            .take(fixed)
            .chain(std::iter::repeat_n(element, count - fixed));
        return Some(Candidate {
            args: args.cloned().collect(),
            what: (proc, (0..count).collect()),
        });
    }
    if variadic && proc.variadic.is_none() {
        return None;
    }
    if count > declared || count + proc.defaults < declared {
        return None;
    }
    let mut slots = Vec::with_capacity(count);
    for (at, name) in names.iter().enumerate() {
        let slot = match name {
            None => at,
            Some(name) => proc.arg_names.iter().position(|arg| arg == name)?,
        };
        if slots.contains(&slot) {
            return None;
        }
        slots.push(slot);
    }
    // What is not given must have a default.
    let required = declared - proc.defaults;
    if (0..required).any(|slot| !slots.contains(&slot)) {
        return None;
    }
    let args = slots
        .iter()
        .map(|slot| proc.args.get(*slot).cloned())
        .collect::<Option<Vec<_>>>()?;
    Some(Candidate {
        args,
        what: (proc, slots),
    })
}

/// A function that returns its argument: what a cast spelled as a function is.
static IDENTITY: std::sync::LazyLock<Option<Proc>> = std::sync::LazyLock::new(|| {
    Some(Proc {
        oid: 0,
        name: "cast",
        schema: "pg_catalog",
        kind: ProcKind::Scalar,
        args: vec![SqlType::Any],
        arg_names: Vec::new(),
        defaults: 0,
        variadic: None,
        result: SqlType::AnyElement,
        columns: Vec::new(),
        strict: true,
        volatility: crate::functions::Volatile::Immutable,
        ordered_set: false,
        imp: crate::functions::Imp::Scalar(|mut args, _| {
            args.pop()
                .ok_or_else(|| crate::functions::FunctionError::internal("a cast has an argument"))
        }),
    })
});
