//! What domains ask of what is within values: of the items of arrays and of the fields of rows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::composites;
use super::error::{FunctionError, OfDomain};
use super::table::Typed;
use super::value::{self, Value};
use crate::evaluate::computable;

/// The column that a check has its value in.
pub const VALUE: &str = "value";

/// What is asked of what is within values of a type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Within {
    /// Of each item of an array.
    Items(Box<Within>),
    /// Of fields of a row of a type, by their places.
    Fields(SqlType, Vec<(usize, Within)>),
    /// Of the value itself.
    Value(Asked),
}

/// What a domain asks of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The domain's schema.
    pub schema: Option<String>,
    /// Its name.
    pub domain: String,
    /// The type of its values.
    pub base: SqlType,
    /// The names of its checks and those of the domains below it, over the column [`VALUE`]; where
    /// NULL is refused, nothing.
    pub checks: Vec<Option<(String, Expr)>>,
    /// What is asked of what is within the value.
    pub within: Option<Box<Within>>,
}

impl Within {
    /// 23502 or 23514 for the first of some values that has something within it that is refused.
    ///
    /// # Errors
    /// Those, and what a check meets.
    pub(crate) fn hold(
        &self,
        values: &dyn Array,
        props: &ExecutionProps,
    ) -> Result<(), FunctionError> {
        let rows = (0..values.len()).map(|row| value::read(values, row));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        match self.ask(&rows, props) {
            Ok(()) => Ok(()),
            // The first of the rows is told of, whatever is asked first.
            Err(error) => {
                let mut rows = rows.chunks(1);
                rows.try_for_each(|row| self.ask(row, props))?;
                Err(error)
            }
        }
    }

    fn ask(&self, values: &[Value], props: &ExecutionProps) -> Result<(), FunctionError> {
        match self {
            Self::Items(within) => {
                let items = values.iter().flat_map(Value::as_list).cloned();
                within.ask(&items.collect::<Vec<_>>(), props)
            }
            Self::Fields(ty, fields) => {
                let mut columns = vec![Vec::with_capacity(values.len()); fields.len()];
                for value in values.iter().filter(|value| !value.is_null()) {
                    let opened = composites::opened(value.as_str(), ty)?;
                    for ((place, _), column) in fields.iter().zip(&mut columns) {
                        let field = opened.get(*place);
                        column.push(field.map_or(Value::Null, |(_, _, value)| value.clone()));
                    }
                }
                let mut asked = fields.iter().zip(columns);
                asked.try_for_each(|((_, within), column)| within.ask(&column, props))
            }
            Self::Value(asked) => asked.ask(values, props),
        }
    }
}

impl Asked {
    fn ask(&self, values: &[Value], props: &ExecutionProps) -> Result<(), FunctionError> {
        if values.is_empty() {
            return Ok(());
        }
        let form = self.base.arrow();
        let schema = Arc::new(Schema::new(vec![Field::new(VALUE, form.clone(), true)]));
        let columns = DFSchema::try_from(schema.as_ref().clone())?;
        let column = value::write(&form, values.to_vec())?;
        let batch = RecordBatch::try_new(schema, vec![column])?;
        if let Some(within) = &self.within {
            within.ask(values, props)?;
        }
        for check in &self.checks {
            let Some((name, check)) = check else {
                match values.iter().any(Value::is_null) {
                    true => return Err(self.refused(None)),
                    false => continue,
                }
            };
            let check = computable(check, &columns, props)?;
            let answer = check.evaluate(&batch)?.into_array(batch.num_rows())?;
            if answer
                .as_boolean_opt()
                .is_some_and(|answer| answer.false_count() > 0)
            {
                return Err(self.refused(Some(name)));
            }
        }
        Ok(())
    }

    fn refused(&self, check: Option<&String>) -> FunctionError {
        refused(self.schema.clone(), &self.domain, check.cloned())
    }
}

/// 23514 for a value that a check of a domain refuses; without one 23502.
pub(super) fn refused(
    schema: Option<String>,
    domain: &str,
    check: Option<String>,
) -> FunctionError {
    let mut error = match &check {
        None => FunctionError::new(
            SqlState::NOT_NULL_VIOLATION,
            format!("domain {domain} does not allow null values"),
        ),
        Some(check) => FunctionError::new(
            SqlState::CHECK_VIOLATION,
            format!("value for domain {domain} violates check constraint \"{check}\""),
        ),
    };
    error.domain = Some(Box::new(OfDomain {
        schema,
        name: domain.to_owned(),
        check,
    }));
    error
}

/// What lets values through that have nothing within them that is refused.
#[derive(Clone)]
struct Gate {
    within: Within,
    form: DataType,
    signature: Signature,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate")
            .field("within", &self.within)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        self.within == other.within && self.form == other.form
    }
}

impl Eq for Gate {}

impl Hash for Gate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.within.hash(state);
        self.form.hash(state);
    }
}

impl ScalarUDFImpl for Gate {
    fn name(&self) -> &str {
        "held_within"
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
        let mut props = ExecutionProps::new();
        props.config_options = Some(Arc::clone(&args.config_options));
        let mut given = args.args.into_iter();
        let Some(value) = given.next() else {
            return Err(FunctionError::internal("nothing to look into").into());
        };
        match &value {
            ColumnarValue::Array(array) => self.within.hold(array, &props)?,
            ColumnarValue::Scalar(scalar) => self.within.hold(&scalar.to_array()?, &props)?,
        }
        Ok(value)
    }
}

/// A value, if nothing within it is refused.
pub fn held_within(value: Typed, within: Within) -> Typed {
    let gate = Gate {
        within,
        form: value.arrow.clone(),
        // Not folded while planning: it may stand where it is never reached.
        signature: Signature::user_defined(Volatility::Stable),
    };
    let udf = Arc::new(ScalarUDF::new_from_impl(gate));
    Typed {
        expr: Expr::ScalarFunction(ScalarFunction::new_udf(udf, vec![value.expr])),
        ..value
    }
}

/// Whether a function is what looks into values.
pub(super) fn is_gate(udf: &ScalarUDF) -> bool {
    udf.inner().downcast_ref::<Gate>().is_some()
}
