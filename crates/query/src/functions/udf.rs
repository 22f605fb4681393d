//! Functions of ours as DataFusion calls them: row by row, by whole columns, or by the session.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use chronolith_types::SqlType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::error::FunctionError;
use super::io::Zone;
use super::table::{Typed, Volatile};
use super::value::{self, Value};
use super::vars::SessionVars;

/// What a row function may ask for besides its arguments.
pub(super) struct Context<'a> {
    pub(super) vars: &'a SessionVars,
    /// The session's time zone.
    pub(super) zone: &'a Zone,
    /// SQL types of the arguments.
    pub(super) args: &'a [SqlType],
    /// SQL type of the result.
    pub(super) result: &'a SqlType,
    /// Kept from row to row of a batch: compiled patterns.
    pub(super) memo: Memo,
}

/// What a function remembers between the rows of a batch.
#[derive(Default)]
pub(super) struct Memo {
    pub(super) pattern: Option<(String, String, regex::Regex)>,
}

/// A function of one row.
pub(super) type RowFn = fn(&mut Context<'_>, &[Value]) -> Result<Value, FunctionError>;

/// A function of whole columns; literals come as arrays of one row.
pub(super) type ColumnFn =
    fn(&ScalarFunctionArgs, &DataType) -> Result<ColumnarValue, FunctionError>;

/// A call of a row function, before its arguments.
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) function: RowFn,
    pub(super) strict: bool,
    pub(super) volatility: Volatile,
    pub(super) ty: SqlType,
    pub(super) arrow: DataType,
}

#[derive(Clone)]
enum Body {
    Row(RowFn),
    Columns(ColumnFn),
    Effect,
}

/// A function with the types of one call bound in.
#[derive(Clone)]
struct Bound {
    name: String,
    body: Body,
    args: Vec<SqlType>,
    ty: SqlType,
    arrow: DataType,
    strict: bool,
    signature: Signature,
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bound")
            .field("name", &self.name)
            .field("args", &self.args)
            .field("ty", &self.ty)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        // The name and the types choose the body.
        self.name == other.name
            && self.args == other.args
            && self.ty == other.ty
            && self.arrow == other.arrow
            && self.signature.volatility == other.signature.volatility
    }
}

impl Eq for Bound {}

impl Hash for Bound {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Common parts of expressions are told apart by this alone: whatever makes them differ.
        self.name.hash(state);
        self.args.hash(state);
        self.ty.hash(state);
        self.arrow.hash(state);
        self.signature.volatility.hash(state);
    }
}

impl ScalarUDFImpl for Bound {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.arrow.clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        Ok(Arc::new(Field::new(&self.name, self.arrow.clone(), true)))
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        match self.body {
            Body::Row(function) => Ok(self.rows(function, &args)?),
            Body::Columns(function) => Ok(function(&args, &self.arrow)?),
            Body::Effect => Ok(self.effect(&args)?),
        }
    }
}

impl Bound {
    fn rows(
        &self,
        function: RowFn,
        args: &ScalarFunctionArgs,
    ) -> Result<ColumnarValue, FunctionError> {
        let vars = SessionVars::of(&args.config_options);
        let zone = Zone::of(&vars);
        let mut context = Context {
            vars: &vars,
            zone: &zone,
            args: &self.args,
            result: &self.ty,
            memo: Memo::default(),
        };
        let volatile = self.signature.volatility == Volatility::Volatile;
        let constant = !volatile
            && args
                .args
                .iter()
                .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        // A literal is read once; a column row by row.
        let mut row = Vec::with_capacity(args.args.len());
        let mut columns: Vec<(usize, &ArrayRef)> = Vec::new();
        for (index, arg) in args.args.iter().enumerate() {
            match arg {
                ColumnarValue::Scalar(scalar) => row.push(read_scalar(scalar)?),
                ColumnarValue::Array(array) => {
                    columns.push((index, array));
                    row.push(Value::Null);
                }
            }
        }
        let mut results = Vec::with_capacity(rows);
        for number in 0..rows {
            for (index, array) in &columns {
                if let Some(slot) = row.get_mut(*index) {
                    *slot = value::read(array, number)?;
                }
            }
            results.push(if self.strict && row.iter().any(Value::is_null) {
                Value::Null
            } else {
                function(&mut context, &row)?
            });
        }
        let array = value::write(&self.arrow, results)?;
        if constant {
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &array, 0,
            )?))
        } else {
            Ok(ColumnarValue::Array(array))
        }
    }

    fn effect(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue, FunctionError> {
        let vars = SessionVars::of(&args.config_options);
        let mut rows = Vec::with_capacity(args.number_rows);
        let mut places = Vec::with_capacity(args.number_rows);
        for number in 0..args.number_rows {
            let row = args
                .args
                .iter()
                .map(|arg| match arg {
                    ColumnarValue::Scalar(scalar) => Ok(scalar.clone()),
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(array, number),
                })
                .collect::<DfResult<Vec<_>>>()?;
            if !(self.strict && row.iter().any(ScalarValue::is_null)) {
                rows.push(row);
                places.push(number);
            }
        }
        let nothing = ScalarValue::try_from(&self.arrow)?;
        let mut results = vec![nothing; args.number_rows];
        if !rows.is_empty() {
            let effects = vars.effects.as_ref().ok_or_else(|| {
                FunctionError::unsupported(format!("{} cannot be called here", self.name))
            })?;
            let answers = effects.call_all(&self.name, &rows)?;
            for (place, answer) in places.into_iter().zip(answers) {
                if let Some(result) = results.get_mut(place).filter(|_| !answer.is_null()) {
                    *result = answer;
                }
            }
        }
        if results.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(
                &self.arrow,
            )));
        }
        Ok(ColumnarValue::Array(ScalarValue::iter_to_array(results)?))
    }
}

/// The types of the arguments of a function of this room; none for one of DataFusion's.
pub(crate) fn arg_types(udf: &ScalarUDF) -> Option<&[SqlType]> {
    let bound = udf.inner().downcast_ref::<Bound>()?;
    Some(&bound.args)
}

/// Whether a call computes its value of its arguments and of what the session is, and asks nobody.
pub(crate) fn only_computes(udf: &ScalarUDF) -> bool {
    let bound = udf.inner().downcast_ref::<Bound>();
    bound.is_some_and(|bound| !matches!(bound.body, Body::Effect))
}

/// Whether a call may fail for some of its rows.
pub fn can_fail(udf: &ScalarUDF) -> bool {
    if super::within::is_gate(udf) {
        return true;
    }
    udf.inner().downcast_ref::<Bound>().is_some_and(|bound| {
        !matches!(
            bound.name.as_str(),
            "equal"
                | "not_equal"
                | "less"
                | "less_or_equal"
                | "greater"
                | "greater_or_equal"
                | "lower"
                | "upper"
                | "length"
                | "time_bucket"
                | "date_trunc"
                | "now"
        )
    })
}

/// A scalar as a value.
pub(super) fn read_scalar(scalar: &ScalarValue) -> Result<Value, FunctionError> {
    value::read(&scalar.to_array()?, 0)
}

fn volatility(volatile: Volatile) -> Volatility {
    match volatile {
        Volatile::Immutable => Volatility::Immutable,
        Volatile::Stable => Volatility::Stable,
        Volatile::Volatile => Volatility::Volatile,
    }
}

fn bound(bound: Bound, args: Vec<Typed>) -> Typed {
    let (ty, arrow) = (bound.ty.clone(), bound.arrow.clone());
    let args = args.into_iter().map(|arg| arg.expr).collect();
    Typed {
        expr: Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(ScalarUDF::new_from_impl(bound)),
            args,
        )),
        ty,
        arrow,
    }
}

/// A call of a row function; folded at once when it is immutable and all arguments are literals.
pub(super) fn row_call(row: Row, args: Vec<Typed>) -> Result<Typed, FunctionError> {
    let call = Bound {
        name: row.name.to_owned(),
        body: Body::Row(row.function),
        args: args.iter().map(|arg| arg.ty.clone()).collect(),
        ty: row.ty,
        arrow: row.arrow,
        strict: row.strict,
        signature: Signature::user_defined(volatility(row.volatility)),
    };
    Ok(bound(call, args))
}

/// A call of a function of columns.
pub(super) fn column_call(
    name: &'static str,
    function: ColumnFn,
    args: Vec<Typed>,
    ty: SqlType,
    arrow: DataType,
) -> Typed {
    let call = Bound {
        name: name.to_owned(),
        body: Body::Columns(function),
        args: args.iter().map(|arg| arg.ty.clone()).collect(),
        ty,
        arrow,
        strict: false,
        signature: Signature::user_defined(Volatility::Immutable),
    };
    bound(call, args)
}

/// A call of a function of columns that asks for the session's time zone.
pub(super) fn stable_column_call(
    name: &'static str,
    function: ColumnFn,
    args: Vec<Typed>,
    ty: SqlType,
    arrow: DataType,
) -> Typed {
    let call = Bound {
        name: name.to_owned(),
        body: Body::Columns(function),
        args: args.iter().map(|arg| arg.ty.clone()).collect(),
        ty,
        arrow,
        strict: false,
        signature: Signature::user_defined(Volatility::Stable),
    };
    bound(call, args)
}

/// A call of something that the session does.
pub(super) fn effect_call(
    name: &'static str,
    volatile: Volatile,
    strict: bool,
    ty: SqlType,
    arrow: DataType,
    args: Vec<Typed>,
) -> Typed {
    let call = Bound {
        name: name.to_owned(),
        body: Body::Effect,
        args: args.iter().map(|arg| arg.ty.clone()).collect(),
        ty,
        arrow,
        strict,
        signature: Signature::user_defined(volatility(volatile)),
    };
    bound(call, args)
}

/// The value of a literal expression of ours, evaluated now; none when it is no constant.
pub(super) fn fold(
    typed: &Typed,
    vars: &SessionVars,
) -> Result<Option<ScalarValue>, FunctionError> {
    let Expr::ScalarFunction(call) = &typed.expr else {
        return Ok(typed.as_literal().cloned());
    };
    let mut args = Vec::with_capacity(call.args.len());
    for arg in &call.args {
        match arg {
            Expr::Literal(value, _) => args.push(ColumnarValue::Scalar(value.clone())),
            _ => return Ok(None),
        }
    }
    let mut options = datafusion::common::config::ConfigOptions::new();
    options.extensions.insert(vars.clone());
    let arg_fields = args
        .iter()
        .map(|arg| Arc::new(Field::new("arg", arg.data_type(), true)))
        .collect();
    let result = call.func.invoke_with_args(ScalarFunctionArgs {
        args,
        arg_fields,
        number_rows: 1,
        return_field: Arc::new(Field::new("result", typed.arrow.clone(), true)),
        config_options: Arc::new(options),
    })?;
    Ok(Some(match result {
        ColumnarValue::Scalar(scalar) => scalar,
        ColumnarValue::Array(array) => ScalarValue::try_from_array(&array, 0)?,
    }))
}
