//! The tables that the binder binds by: functions, operators and casts with PostgreSQL's numbers.
//!
//! The facts of PostgreSQL's own functions are in `procs.tsv`, `operators.tsv` and `casts.tsv`
//! (recorded from its catalogs); a row is offered only when this crate implements it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use chronolith_types::SqlType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{AggregateUDF, Expr, WindowFunctionDefinition};

use super::error::FunctionError;
use super::udf::{self, RowFn};
use super::vars::SessionVars;
use super::{aggregates, casts, operators as ops, scalars, timescale, windows};

/// A bound expression.
#[derive(Debug, Clone)]
pub struct Typed {
    /// What computes it.
    pub expr: Expr,
    /// Its SQL type.
    pub ty: SqlType,
    /// The Arrow type it has, which for a computed numeric says more than the SQL type.
    pub arrow: DataType,
}

impl Typed {
    /// An expression whose Arrow type is the one of its SQL type.
    pub fn new(expr: Expr, ty: SqlType) -> Self {
        let arrow = ty.arrow();
        Self { expr, ty, arrow }
    }

    /// A literal; its Arrow type is the value's.
    pub fn literal(value: ScalarValue, ty: SqlType) -> Self {
        let arrow = value.data_type();
        Self {
            expr: Expr::Literal(value, None),
            ty,
            arrow,
        }
    }

    /// The value, if it is a literal.
    pub fn as_literal(&self) -> Option<&ScalarValue> {
        match &self.expr {
            Expr::Literal(value, _) => Some(value),
            _ => None,
        }
    }
}

/// What kind of thing a call of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcKind {
    /// One value for each row.
    Scalar,
    /// One value for each group.
    Aggregate,
    /// One value for each row from its window.
    Window,
    /// A list for each row, to be unnested by the binder.
    SetReturning,
    /// Something for CALL.
    Procedure,
}

/// How much a result may change between calls with equal arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volatile {
    /// Never.
    Immutable,
    /// Not within a statement.
    Stable,
    /// At any call.
    Volatile,
}

/// An aggregate as the plan uses it.
#[derive(Debug, Clone)]
pub struct AggregateUse {
    /// DataFusion's function.
    pub udf: Arc<AggregateUDF>,
    /// Its arguments, cast as it needs them.
    pub args: Vec<Expr>,
    /// The SQL type of the result.
    pub ty: SqlType,
    /// The Arrow type of the result.
    pub arrow: DataType,
}

/// A window function as the plan uses it.
#[derive(Debug, Clone)]
pub struct WindowUse {
    /// DataFusion's function.
    pub definition: WindowFunctionDefinition,
    /// Its arguments, cast as it needs them.
    pub args: Vec<Expr>,
    /// The SQL type of the result.
    pub ty: SqlType,
    /// The Arrow type of the result as DataFusion gives it: cast it to `ty.arrow()` when different.
    pub arrow: DataType,
}

/// How a function is built; see [`Proc::scalar`], [`Proc::aggregate`] and [`Proc::window`].
#[derive(Clone, Copy)]
pub enum Imp {
    /// Built from its arguments and the result type found for polymorphic rows.
    Scalar(fn(Vec<Typed>, &SqlType) -> Result<Typed, FunctionError>),
    /// Computed value by value.
    #[allow(private_interfaces, reason = "row functions are built only here")]
    Rows(RowFn),
    /// An aggregate; `order_by` of WITHIN GROUP comes as the leading arguments.
    Aggregate(fn(&[Typed], &SqlType) -> Result<AggregateUse, FunctionError>),
    /// A window function.
    Window(fn(&[Typed], &SqlType) -> Result<WindowUse, FunctionError>),
    /// Done by the session: [`super::Effects::call`] under this name.
    Effect(&'static str),
}

impl fmt::Debug for Imp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar(_) => "Scalar",
            Self::Rows(_) => "Rows",
            Self::Aggregate(_) => "Aggregate",
            Self::Window(_) => "Window",
            Self::Effect(name) => name,
        })
    }
}

/// A row of `pg_proc`.
#[derive(Debug, Clone)]
pub struct Proc {
    /// PostgreSQL's number for its own functions; others count from 9000.
    pub oid: u32,
    /// Its name.
    pub name: &'static str,
    /// `pg_catalog`, `public` or `timescaledb_experimental`.
    pub schema: &'static str,
    /// What it is.
    pub kind: ProcKind,
    /// The types of its arguments; of a variadic one, the last is the array.
    pub args: Vec<SqlType>,
    /// The names of its arguments; empty when they have none.
    pub arg_names: Vec<&'static str>,
    /// How many of the last arguments may be left out.
    pub defaults: usize,
    /// The element type of a variadic function; [`SqlType::Any`] takes each argument as it is.
    pub variadic: Option<SqlType>,
    /// The type of the result, of one row for a set.
    pub result: SqlType,
    /// Names and types of the columns of a result that is a record.
    pub columns: Vec<(&'static str, SqlType)>,
    /// Null for any null argument.
    pub strict: bool,
    /// How it may change.
    pub volatility: Volatile,
    /// An ordered-set aggregate: WITHIN GROUP.
    pub ordered_set: bool,
    /// How it is built.
    pub imp: Imp,
}

impl Proc {
    /// What an argument is when it is left out, as text; none where that is null.
    pub fn default_of(&self, slot: usize) -> Option<&'static str> {
        match (self.name, slot) {
            ("make_interval", 0..=6) | ("pg_stat_statements_reset", 0..=2) => Some("0"),
            ("jsonb_set", 3) | ("jsonb_set_lax", 3) | ("parse_ident", 1) => Some("true"),
            ("jsonb_insert", 3) => Some("false"),
            ("jsonb_set_lax", 4) => Some("use_json_null"),
            ("normalize" | "is_normalized", 1) => Some("NFC"),
            (
                "jsonb_path_exists"
                | "jsonb_path_match"
                | "jsonb_path_query"
                | "jsonb_path_query_array"
                | "jsonb_path_query_first",
                2,
            ) => Some("{}"),
            (
                "jsonb_path_exists"
                | "jsonb_path_match"
                | "jsonb_path_query"
                | "jsonb_path_query_array"
                | "jsonb_path_query_first",
                3,
            ) => Some("false"),
            _ => None,
        }
    }

    /// What PostgreSQL calls the one column of its rows; none where that is the function's name.
    pub fn output_name(&self) -> Option<&'static str> {
        match self.name {
            "json_array_elements"
            | "jsonb_array_elements"
            | "json_array_elements_text"
            | "jsonb_array_elements_text" => Some("value"),
            _ => None,
        }
    }

    /// A call of a scalar, set-returning or effect function or procedure.
    ///
    /// `args` are already cast to the argument types (polymorphic and variadic ones resolved;
    /// variadic arguments follow one another, unless the call said VARIADIC: then the array comes
    /// last). `result` is the resolved result type; for a set, of one row, while the expression
    /// returned is its list with `ty` = array of `result` (record: a list of structs).
    ///
    /// # Errors
    /// When the arguments can be seen to be wrong.
    pub fn scalar(
        &'static self,
        args: Vec<Typed>,
        result: &SqlType,
    ) -> Result<Typed, FunctionError> {
        let set = self.kind == ProcKind::SetReturning;
        match self.imp {
            Imp::Scalar(build) => build(args, result),
            Imp::Rows(function) => {
                let (ty, arrow) = self.result_form(result, &args);
                let call = udf::Row {
                    name: self.name,
                    function,
                    strict: self.strict,
                    volatility: self.volatility,
                    ty,
                    arrow,
                };
                udf::row_call(call, args)
            }
            Imp::Effect(name) => {
                let (ty, arrow) = self.result_form(result, &args);
                Ok(udf::effect_call(
                    name,
                    self.volatility,
                    self.strict && !set,
                    ty,
                    arrow,
                    args,
                ))
            }
            Imp::Aggregate(_) | Imp::Window(_) => Err(FunctionError::internal(format!(
                "{} is no scalar function",
                self.name
            ))),
        }
    }

    /// A call of an aggregate; of an ordered-set one with the direct arguments first.
    ///
    /// # Errors
    /// When the arguments are wrong.
    pub fn aggregate(
        &self,
        args: &[Typed],
        result: &SqlType,
    ) -> Result<AggregateUse, FunctionError> {
        match self.imp {
            Imp::Aggregate(build) => build(args, result),
            _ => Err(FunctionError::internal(format!(
                "{} is no aggregate",
                self.name
            ))),
        }
    }

    /// A call of a window function. An aggregate over a window is its [`AggregateUse::udf`].
    ///
    /// # Errors
    /// When the arguments are wrong.
    pub fn window(&self, args: &[Typed], result: &SqlType) -> Result<WindowUse, FunctionError> {
        match self.imp {
            Imp::Window(build) => build(args, result),
            Imp::Aggregate(build) => {
                let call = build(args, result)?;
                Ok(WindowUse {
                    definition: WindowFunctionDefinition::AggregateUDF(call.udf),
                    args: call.args,
                    ty: call.ty,
                    arrow: call.arrow,
                })
            }
            _ => Err(FunctionError::internal(format!(
                "{} is no window function",
                self.name
            ))),
        }
    }

    /// SQL and Arrow type of what the expression returns.
    fn result_form(&self, result: &SqlType, args: &[Typed]) -> (SqlType, DataType) {
        let (ty, arrow) = if self.columns.is_empty() {
            (result.clone(), form_like(result, args))
        } else {
            let fields = self
                .columns
                .iter()
                .map(|(name, ty)| arrow::datatypes::Field::new(*name, ty.arrow(), true))
                .collect::<Vec<_>>();
            (SqlType::Record, DataType::Struct(fields.into()))
        };
        if self.kind == ProcKind::SetReturning {
            let item = arrow::datatypes::Field::new("item", arrow, true);
            (ty.array_of(), DataType::List(Arc::new(item)))
        } else {
            (ty, arrow)
        }
    }
}

/// The form of a result; rows, and lists of them, have that of the arguments they come from.
pub(super) fn form_like(result: &SqlType, args: &[Typed]) -> DataType {
    let rows = args.iter().find_map(|arg| match (&arg.ty, &arg.arrow) {
        (SqlType::Record, DataType::Struct(_)) => Some(&arg.arrow),
        (SqlType::Array(item), DataType::List(field)) if **item == SqlType::Record => {
            Some(field.data_type()).filter(|form| matches!(form, DataType::Struct(_)))
        }
        _ => None,
    });
    match (result, rows) {
        (SqlType::Record, Some(form)) => form.clone(),
        (SqlType::Array(item), Some(form)) if **item == SqlType::Record => DataType::List(
            Arc::new(arrow::datatypes::Field::new("item", form.clone(), true)),
        ),
        _ => result.arrow(),
    }
}

/// A row of `pg_operator`.
#[derive(Debug, Clone)]
pub struct Operator {
    /// PostgreSQL's number.
    pub oid: u32,
    /// Its symbol: `+`, `~~` for LIKE.
    pub name: &'static str,
    /// The type to the left; none for a prefix operator.
    pub left: Option<SqlType>,
    /// The type to the right.
    pub right: SqlType,
    /// The type of the result.
    pub result: SqlType,
    /// The name of the function behind it (`pg_operator.oprcode`).
    pub code: &'static str,
}

impl Operator {
    /// The operator applied to operands already cast to its types.
    ///
    /// # Errors
    /// When literal operands can be seen to be wrong.
    pub fn apply(&self, args: Vec<Typed>, result: &SqlType) -> Result<Typed, FunctionError> {
        ops::apply(self, args, result)
    }
}

/// Where a cast is made without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CastContext {
    /// In any expression.
    Implicit,
    /// When stored into a column.
    Assignment,
    /// Only by CAST.
    Explicit,
}

/// A row of `pg_cast`, or a conversion through text.
#[derive(Debug, Clone)]
pub struct Cast {
    /// From.
    pub source: SqlType,
    /// To.
    pub target: SqlType,
    /// When it is made.
    pub context: CastContext,
}

/// The functions of a (lower-case) name, without their schemas told apart.
pub fn procs(name: &str) -> &'static [Proc] {
    TABLES.procs.get(name).map_or(&[], Vec::as_slice)
}

/// All functions.
pub fn all_procs() -> impl Iterator<Item = &'static Proc> {
    TABLES.procs.values().flatten()
}

/// The operators of a symbol.
pub fn operators(name: &str) -> &'static [Operator] {
    TABLES.operators.get(name).map_or(&[], Vec::as_slice)
}

/// All operators.
pub fn all_operators() -> impl Iterator<Item = &'static Operator> {
    TABLES.operators.values().flatten()
}

/// All casts of `pg_cast`.
pub fn all_casts() -> impl Iterator<Item = &'static Cast> {
    TABLES.casts.iter()
}

/// The way from one type to another, modifiers aside; none when there is none.
pub fn cast(source: &SqlType, target: &SqlType) -> Option<Cast> {
    let (source, target) = (
        source.plain().without_typmod(),
        target.plain().without_typmod(),
    );
    let found = |context| {
        Some(Cast {
            source: source.clone(),
            target: target.clone(),
            context,
        })
    };
    if source == target || source == SqlType::Unknown {
        return found(CastContext::Implicit);
    }
    if let (SqlType::Array(from), SqlType::Array(to)) = (&source, &target) {
        return cast(from, to).and_then(|element| found(element.context));
    }
    let contexts = TABLES.contexts.get(&source);
    if let Some((_, context)) = contexts.and_then(|of| of.iter().find(|(to, _)| *to == target)) {
        return found(*context);
    }
    // The vectors of the catalogs are arrays too.
    if let (Some(from), SqlType::Array(to)) = (vector_element(&source), &target) {
        return cast(&from, to).and_then(|element| found(element.context));
    }
    let (row, other) = (super::composites::is_composite(&source), &target);
    if (row && *other == SqlType::Record)
        || (source == SqlType::Record && super::composites::is_composite(&target))
    {
        return found(CastContext::Implicit);
    }
    let record = source == SqlType::Record && target.is_text();
    if !record && (source.is_pseudo() || target.is_pseudo()) {
        return None;
    }
    // PostgreSQL's conversions through text: to a string when assigned, from one when asked for.
    if target.is_text() {
        return found(CastContext::Assignment);
    }
    if source.is_text() {
        return found(CastContext::Explicit);
    }
    None
}

/// Casts an expression to a type with its modifier; literals are folded where the session does
/// not matter.
///
/// # Errors
/// `42846` when there is no cast; for a literal also what its value says.
pub fn apply_cast(
    mut value: Typed,
    target: &SqlType,
    explicit: bool,
) -> Result<Typed, FunctionError> {
    if let (Some(element), SqlType::Array(_)) = (vector_element(&value.ty), target) {
        value.ty = element.array_of();
    }
    casts::apply(value, target, explicit)
}

/// What an `int2vector` or `oidvector` holds.
fn vector_element(ty: &SqlType) -> Option<SqlType> {
    match ty {
        SqlType::Int2Vector => Some(SqlType::Int2),
        SqlType::OidVector => Some(SqlType::Oid),
        _ => None,
    }
}

/// The expression in the one Arrow form that columns of its type have.
///
/// # Errors
/// When a literal cannot be had in it.
pub fn canonical_form(value: Typed) -> Result<Typed, FunctionError> {
    casts::canonical(value)
}

/// The value that an untyped literal has as a type, in its physical form.
///
/// # Errors
/// What PostgreSQL says of that text for that type.
pub fn literal_from_text(
    text: &str,
    ty: &SqlType,
    vars: &SessionVars,
) -> Result<ScalarValue, FunctionError> {
    casts::from_text(text, ty, vars)
}

struct Tables {
    procs: HashMap<&'static str, Vec<Proc>>,
    operators: HashMap<&'static str, Vec<Operator>>,
    casts: Vec<Cast>,
    /// The same by their sources: a binder asks for each operator that a name has.
    contexts: HashMap<SqlType, Vec<(SqlType, CastContext)>>,
}

static TABLES: LazyLock<Tables> = LazyLock::new(|| {
    let mut procs: HashMap<&'static str, Vec<Proc>> = HashMap::new();
    let rows = include_str!("procs.tsv").lines().filter_map(proc_of_line);
    for proc in rows.chain(timescale::procs()) {
        procs.entry(proc.name).or_default().push(proc);
    }
    let mut operators: HashMap<&'static str, Vec<Operator>> = HashMap::new();
    for operator in include_str!("operators.tsv")
        .lines()
        .filter_map(operator_of_line)
    {
        operators.entry(operator.name).or_default().push(operator);
    }
    let casts: Vec<Cast> = include_str!("casts.tsv")
        .lines()
        .filter_map(cast_of_line)
        .collect();
    let mut contexts: HashMap<SqlType, Vec<(SqlType, CastContext)>> = HashMap::new();
    for cast in &casts {
        let of = contexts.entry(cast.source.clone()).or_default();
        of.push((cast.target.clone(), cast.context));
    }
    Tables {
        procs,
        operators,
        casts,
        contexts,
    }
});

/// A type of the recorded tables, which name the bare type `character`.
pub(super) fn type_of(name: &str) -> Option<SqlType> {
    Some(SqlType::parse_name(name)?.without_typmod())
}

fn types_of(names: &str) -> Option<Vec<SqlType>> {
    names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(type_of)
        .collect()
}

fn proc_of_line(line: &'static str) -> Option<Proc> {
    let mut fields = line.split('\t');
    let oid = fields.next()?.parse().ok()?;
    let name = fields.next()?;
    let kind = fields.next()?;
    let set = fields.next()? == "t";
    let strict = fields.next()? == "t";
    let volatility = match fields.next()? {
        "i" => Volatile::Immutable,
        "s" => Volatile::Stable,
        _ => Volatile::Volatile,
    };
    let mut args = types_of(fields.next()?)?;
    let result = type_of(fields.next()?)?;
    let defaults = fields.next()?.parse().ok()?;
    let variadic = match fields.next()? {
        "" => None,
        name => Some(type_of(name)?),
    };
    let arg_names = fields
        .next()?
        .split(',')
        .filter(|name| !name.is_empty())
        .collect();
    if variadic == Some(SqlType::Any) {
        args.pop();
        args.push(SqlType::Any);
    }
    let kind = match kind {
        "a" => ProcKind::Aggregate,
        "w" => ProcKind::Window,
        "p" => ProcKind::Procedure,
        _ if set => ProcKind::SetReturning,
        _ => ProcKind::Scalar,
    };
    let mut columns = Vec::new();
    let imp = match kind {
        ProcKind::Aggregate => Imp::Aggregate(aggregates::imp(name)?),
        ProcKind::Window => Imp::Window(windows::imp(name)?),
        _ => {
            columns = scalars::columns(name);
            scalars::imp(name, &args, &result)?
        }
    };
    Some(Proc {
        oid,
        name,
        schema: if name.starts_with("_pg_") {
            "information_schema"
        } else {
            "pg_catalog"
        },
        kind,
        args,
        arg_names,
        defaults,
        variadic,
        result,
        columns,
        strict,
        volatility,
        ordered_set: aggregates::ordered_set(name) && kind == ProcKind::Aggregate,
        imp,
    })
}

fn operator_of_line(line: &'static str) -> Option<Operator> {
    let mut fields = line.split('\t');
    let oid = fields.next()?.parse().ok()?;
    let name = fields.next()?;
    let left = match fields.next()? {
        "" => None,
        left => Some(type_of(left)?),
    };
    let right = type_of(fields.next()?)?;
    let result = type_of(fields.next()?)?;
    let code = fields.next()?;
    let operator = Operator {
        oid,
        name,
        left,
        right,
        result,
        code,
    };
    ops::implements(&operator).then_some(operator)
}

fn cast_of_line(line: &'static str) -> Option<Cast> {
    let mut fields = line.split('\t');
    let source = type_of(fields.next()?)?;
    let target = type_of(fields.next()?)?;
    let context = match fields.next()? {
        "i" => CastContext::Implicit,
        "a" => CastContext::Assignment,
        _ => CastContext::Explicit,
    };
    // A cast from a type to itself only applies its modifier.
    (source != target).then_some(Cast {
        source,
        target,
        context,
    })
}
