//! Calls of functions, aggregates among them.

use chronolith_sql::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArguments,
};
use chronolith_types::{SqlState, SqlType};

use super::overload::signature;
use super::state::{
    Binder, Clause, Place, Result, column, ident_position, position, told, unsupported,
};
use crate::error::Error;
use crate::functions::{Proc, ProcKind, Typed, procs};

/// An argument as it was written.
pub(super) struct Arg {
    pub name: Option<String>,
    pub value: Typed,
    pub variadic: bool,
}

/// Whether an argument may stand behind others.
fn in_order(before: &[Arg], name: Option<&str>) -> Result<()> {
    let wrong = |message: String| Err(Error::new(SqlState::SYNTAX_ERROR, message));
    let named = |arg: &&Arg| arg.name.is_some();
    match name {
        None if before.iter().any(|arg| named(&arg)) => {
            wrong("positional argument cannot follow named argument".to_owned())
        }
        Some(name) if before.iter().any(|arg| arg.name.as_deref() == Some(name)) => {
            wrong(format!("argument name \"{name}\" used more than once"))
        }
        _ => Ok(()),
    }
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
        if let Some((part, value)) = chronolith_sql::part_call(function)? {
            return self.part_call(place, &part, value);
        }
        let (schema, name) = spelled(function);
        self.near_enough(&function.name)
            .map_err(|error| error.at(at))?;
        let around = std::mem::replace(&mut self.documents, name.contains("json"));
        let bound = match self.names.routines(schema.as_deref(), &name) {
            Ok(own) if own.is_empty() => match function_name(function) {
                Ok(name) => {
                    let bound = self.named_call(place, None, &name, function, at);
                    bound.map_err(|error| of_schema(error, schema.as_deref(), &name, at))
                }
                Err(error) => Err(self.unknown_call(place, function, error).at(at)),
            },
            Ok(_) => self.named_call(place, schema.as_deref(), &name, function, at),
            Err(error) => Err(error.at(at)),
        };
        self.documents = around;
        bound
    }

    /// Looks whether a name of several parts is one of this database.
    fn near_enough(&self, name: &ast::ObjectName) -> Result<()> {
        let mut idents = name.0.iter().filter_map(|part| part.as_ident());
        let database = &self.names.vars().database;
        let of_this = |ident: &ast::Ident| ident.value == *database;
        match name.0.len() {
            0..=2 => Ok(()),
            3 if idents.next().is_some_and(of_this) => Ok(()),
            // One part fewer than a column's name may have.
            count => Err(too_far(count + 1, name)),
        }
    }

    /// What the grammar spells in words of its own is a function of the system.
    pub(super) fn call_by_grammar(
        &mut self,
        name: &str,
        args: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let called = self.call_plain(name, args, at);
        called.map_err(|error| of_schema(error, Some("pg_catalog"), name, at))
    }

    /// What is said of a function that no schema of that name has: of which arguments.
    fn unknown_call(&mut self, place: Place<'_>, function: &ast::Function, error: Error) -> Error {
        let args = match &function.args {
            FunctionArguments::List(list) if star(list) => Ok(Vec::new()),
            FunctionArguments::List(list) => self.arguments(place, &list.args),
            _ => return error,
        };
        let args = match args {
            Ok(args) => args,
            Err(of_args) => return of_args,
        };
        let types: Vec<String> = args.iter().map(|arg| arg.value.ty.name()).collect();
        let (schema, name) = spelled(function);
        let schema = schema.map_or_else(String::new, |schema| format!("{schema}."));
        let call = format!("{schema}{name}({})", types.join(", "));
        let message = format!("function {call} does not exist");
        Error::new(SqlState::UNDEFINED_FUNCTION, message).hint(
            "No function matches the given name and argument types. \
             You might need to add explicit type casts.",
        )
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
            // `rank` and its kin are aggregates too, of whatever stands in their parentheses.
            let hypothetical = matches!(name, "rank" | "dense_rank" | "percent_rank" | "cume_dist");
            let message = match hypothetical && !list.args.is_empty() {
                true => format!("WITHIN GROUP is required for ordered-set aggregate {name}"),
                false => format!("window function {name} requires an OVER clause"),
            };
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message).at(at));
        }
        // Whether it is there at all is asked first.
        let known = !found.is_empty() || !self.names.routines(schema, name)?.is_empty();
        if function.filter.is_some() && known {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("FILTER specified, but {name} is not an aggregate function"),
            )
            .at(at));
        }
        if known && star(list) {
            self.resolve(name, Vec::new(), at)?;
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}(*) specified, but {name} is not an aggregate function"),
            )
            .at(at));
        }
        if known && list.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("DISTINCT specified, but {name} is not an aggregate function"),
            )
            .at(at));
        }
        let args = match star(list) {
            true => Vec::new(),
            false => self.arguments(place, &list.args)?,
        };
        let ordered = |clause: &ast::FunctionArgumentClause| {
            matches!(clause, ast::FunctionArgumentClause::OrderBy(_))
        };
        if known && list.clauses.iter().any(ordered) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("ORDER BY specified, but {name} is not an aggregate function"),
            )
            .at(at));
        }
        match self.own_call(schema, name, args, at)? {
            Ok(call) => self.own_value(place, call, at),
            Err(args) => {
                let row = match args.as_slice() {
                    [
                        Arg {
                            value,
                            name: None,
                            variadic: false,
                        },
                    ] => Some(value.clone()),
                    _ => None,
                };
                match self.resolve(name, args, at) {
                    Ok(call) => self.finish_call(place, call, at),
                    // `f(row)` may be the row's column.
                    Err(error) if error.code == SqlState::UNDEFINED_FUNCTION => {
                        let fields = row.as_ref().and_then(|row| row.ty.fields());
                        let has = fields
                            .is_some_and(|fields| fields.iter().any(|(field, _)| field == name));
                        match row.filter(|_| has && schema.is_none()) {
                            Some(row) => super::reference::take_field(row, name),
                            None => Err(error),
                        }
                    }
                    Err(error) => Err(error),
                }
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
            return Err(no_set(place.clause).at(at));
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
            // JDBC's driver counts the result of {? = call f(?)} among the arguments.
            if value.ty == SqlType::Void
                && matches!(value.expr, datafusion::logical_expr::Expr::Placeholder(_))
            {
                continue;
            }
            let variadic = name.as_deref() == Some("variadic");
            if !variadic {
                in_order(&bound, name.as_deref()).map_err(|error| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => error.at(position(tree)),
                    FunctionArg::Named { name, .. } => error.at(ident_position(name)),
                    _ => error,
                })?;
            }
            bound.push(Arg {
                name: name.filter(|_| !variadic),
                value,
                variadic,
            });
        }
        Ok(bound)
    }

    // ------------------------------------------------------------- special forms

    // ----------------------------------------------------------------- aggregates
}

/// A name with a database in front that is another one, or with more parts than names have.
pub(super) fn too_far(count: usize, name: &impl std::fmt::Display) -> Error {
    match count {
        0..=4 => Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cross-database references are not implemented: {name}"),
        ),
        _ => Error::new(
            SqlState::SYNTAX_ERROR,
            format!("improper qualified name (too many dotted names): {name}"),
        ),
    }
}

/// The error of a function that is not there, told with the schema that it was called by.
pub(super) fn of_schema(
    mut error: Error,
    schema: Option<&str>,
    name: &str,
    at: Option<u32>,
) -> Error {
    if let Some(schema) = schema
        && error.code == SqlState::UNDEFINED_FUNCTION
        && error.position == at
        && let Some(call) = error.message.strip_prefix("function ")
        && call
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('('))
    {
        error.message = format!("function {schema}.{call}");
    }
    error
}

/// `f(*)`.
pub(super) fn star(list: &ast::FunctionArgumentList) -> bool {
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

/// 0A000 for a function that returns rows where there is one value.
pub(super) fn no_set(clause: Clause) -> Error {
    let refused = |message: String| Error::new(SqlState::FEATURE_NOT_SUPPORTED, message);
    match clause {
        Clause::Aggregate => refused(
            "aggregate function calls cannot contain set-returning function calls".to_owned(),
        )
        .hint("You might be able to move the set-returning function into a LATERAL FROM item."),
        other => refused(format!(
            "set-returning functions are not allowed in {}",
            other.words()
        )),
    }
}
