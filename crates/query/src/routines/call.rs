//! A call of a user's function as DataFusion sees it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use chronolith_catalog::{Routine, Volatility as Declared};
use chronolith_types::SqlType;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::functions::{FunctionError, SessionVars, Typed};

/// A function with the types of one call.
#[derive(Debug, Clone)]
pub struct RoutineCall {
    pub(crate) routine: Arc<Routine>,
    /// The types of the arguments.
    pub(crate) types: Vec<SqlType>,
    /// The type of its value, or of one of them.
    pub(crate) result: SqlType,
    /// What a row of it is made of; None when it is one value.
    pub(crate) columns: Option<Vec<(String, SqlType)>>,
    /// Its values are a list.
    pub(crate) set: bool,
    /// The form of one value.
    pub(crate) item: DataType,
    form: DataType,
    signature: Signature,
}

impl RoutineCall {
    pub(crate) fn new(
        routine: Arc<Routine>,
        result: SqlType,
        columns: Option<Vec<(String, SqlType)>>,
        set: bool,
    ) -> Self {
        let item = match &columns {
            Some(columns) if result == SqlType::Record => {
                let fields = columns
                    .iter()
                    .map(|(name, ty)| Field::new(name, ty.arrow(), true));
                DataType::Struct(fields.collect())
            }
            _ => result.arrow(),
        };
        let form = match set {
            true => DataType::List(Arc::new(Field::new("item", item.clone(), true))),
            false => item.clone(),
        };
        let volatility = match routine.volatility {
            Declared::Immutable => Volatility::Immutable,
            Declared::Stable => Volatility::Stable,
            Declared::Volatile => Volatility::Volatile,
        };
        Self {
            routine,
            types: Vec::new(),
            result,
            columns,
            set,
            item,
            form,
            signature: Signature::user_defined(volatility),
        }
    }

    /// The call with its arguments: a list for a set, whose type is that of one value.
    pub(crate) fn call(mut self, args: Vec<Typed>) -> Typed {
        self.types = args.iter().map(|arg| arg.ty.clone()).collect();
        let (ty, arrow) = (self.result.clone(), self.form.clone());
        let args = args.into_iter().map(|arg| arg.expr).collect();
        Typed {
            expr: Expr::ScalarFunction(ScalarFunction::new_udf(
                Arc::new(ScalarUDF::new_from_impl(self)),
                args,
            )),
            ty,
            arrow,
        }
    }

    /// What it is without a value: NULL, or no rows.
    pub(crate) fn nothing(&self) -> DfResult<ScalarValue> {
        match self.set {
            true => Ok(ScalarValue::List(ScalarValue::new_list_nullable(
                &[],
                &self.item,
            ))),
            false => ScalarValue::try_from(&self.form),
        }
    }
}

/// Whether a function is a user's.
pub(crate) fn is_routine(function: &ScalarUDF) -> bool {
    function.inner().downcast_ref::<RoutineCall>().is_some()
}

impl PartialEq for RoutineCall {
    fn eq(&self, other: &Self) -> bool {
        self.routine.id == other.routine.id
            && self.types == other.types
            && self.form == other.form
            && self.set == other.set
    }
}

impl Eq for RoutineCall {}

impl Hash for RoutineCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.routine.id.hash(state);
        self.types.hash(state);
        self.form.hash(state);
    }
}

impl ScalarUDFImpl for RoutineCall {
    fn name(&self) -> &str {
        &self.routine.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> DfResult<DataType> {
        Ok(self.form.clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        Ok(Arc::new(Field::new(self.name(), self.form.clone(), true)))
    }

    fn coerce_types(&self, args: &[DataType]) -> DfResult<Vec<DataType>> {
        Ok(args.to_vec())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let vars = SessionVars::of(&args.config_options);
        let effects = vars
            .effects
            .as_ref()
            .ok_or_else(|| FunctionError::unsupported("a function cannot be run here"))?;
        let constant = self.signature.volatility != Volatility::Volatile
            && args
                .args
                .iter()
                .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let given = args
                .args
                .iter()
                .map(|arg| match arg {
                    ColumnarValue::Scalar(value) => Ok(value.clone()),
                    ColumnarValue::Array(array) => ScalarValue::try_from_array(array, row),
                })
                .collect::<DfResult<Vec<_>>>()?;
            if self.routine.strict && given.iter().any(ScalarValue::is_null) {
                values.push(self.nothing()?);
                continue;
            }
            values.push(effects.routine(self, &given)?);
        }
        match (constant, values.is_empty()) {
            (true, _) => Ok(ColumnarValue::Scalar(match values.pop() {
                Some(value) => value,
                None => self.nothing()?,
            })),
            (false, true) => Ok(ColumnarValue::Array(arrow::array::new_empty_array(
                &self.form,
            ))),
            (false, false) => Ok(ColumnarValue::Array(ScalarValue::iter_to_array(values)?)),
        }
    }
}
