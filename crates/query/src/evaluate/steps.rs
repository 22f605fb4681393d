//! Expressions as they are computed over a few rows: what the library looks up anew with each call is
//! looked up once.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

/// An expression, or a part of one.
#[derive(Debug)]
pub(super) enum Step {
    Column(usize),
    Value(ScalarValue),
    Call(Box<Call>),
    /// As the library has it.
    Other(Arc<dyn PhysicalExpr>),
}

/// A function's call.
#[derive(Debug)]
pub(super) struct Call {
    function: ScalarUDF,
    args: Vec<Step>,
    fields: Vec<FieldRef>,
    result: FieldRef,
    options: Arc<ConfigOptions>,
}

impl Step {
    /// An expression over some columns, whose functions are given some options.
    pub(super) fn of(
        expr: &Arc<dyn PhysicalExpr>,
        schema: &Schema,
        options: &Arc<ConfigOptions>,
    ) -> Self {
        if let Some(column) = expr.downcast_ref::<Column>() {
            return Self::Column(column.index());
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return Self::Value(literal.value().clone());
        }
        let call = expr.downcast_ref::<ScalarFunctionExpr>();
        // Without arguments the library tells a value from a row by what comes back.
        let call = call.filter(|call| !call.args().is_empty());
        let call = call.and_then(|call| {
            let args = call.args().iter();
            let fields = args.clone().map(|arg| arg.return_field(schema).ok());
            Some(Call {
                function: call.fun().clone(),
                fields: fields.collect::<Option<_>>()?,
                args: args.map(|arg| Self::of(arg, schema, options)).collect(),
                result: call.return_field(schema).ok()?,
                options: Arc::clone(options),
            })
        });
        match call {
            Some(call) => Self::Call(Box::new(call)),
            None => Self::Other(Arc::clone(expr)),
        }
    }

    /// Its values over the rows of a batch.
    ///
    /// # Errors
    /// What a function meets.
    pub(super) fn array(&self, batch: &RecordBatch) -> DfResult<ArrayRef> {
        self.evaluate(batch)?.into_array(batch.num_rows())
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        match self {
            Self::Column(at) => Ok(ColumnarValue::Array(Arc::clone(batch.column(*at)))),
            Self::Value(value) => Ok(ColumnarValue::Scalar(value.clone())),
            Self::Other(expr) => expr.evaluate(batch),
            Self::Call(call) => {
                let args = call.args.iter().map(|arg| arg.evaluate(batch));
                let args = args.collect::<DfResult<Vec<_>>>()?;
                let constant = |arg: &ColumnarValue| matches!(arg, ColumnarValue::Scalar(_));
                let constant = args.iter().all(constant);
                let made = call.function.invoke_with_args(ScalarFunctionArgs {
                    args,
                    arg_fields: call.fields.clone(),
                    number_rows: batch.num_rows(),
                    return_field: Arc::clone(&call.result),
                    config_options: Arc::clone(&call.options),
                })?;
                match &made {
                    // Of values alone one is that of every row.
                    ColumnarValue::Array(array) if constant && array.len() == 1 => Ok(
                        ColumnarValue::Scalar(ScalarValue::try_from_array(array, 0)?),
                    ),
                    _ => Ok(made),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type};
    use datafusion::common::DFSchema;
    use datafusion::functions::math::expr_fn::{abs, gcd};
    use datafusion::logical_expr::execution_props::ExecutionProps;
    use datafusion::logical_expr::{Expr, col, lit};

    use super::*;
    use crate::evaluate::computable;

    #[test]
    fn steps_give_what_the_library_gives() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let values: Int64Array = [Some(-3), None, Some(4)].into_iter().collect();
        let batch = RecordBatch::try_new(Arc::new(schema.clone()), vec![Arc::new(values)]).unwrap();
        let options = Arc::new(ConfigOptions::new());
        let mut props = ExecutionProps::new();
        props.config_options = Some(Arc::clone(&options));
        let columns = DFSchema::try_from(schema.clone()).unwrap();
        let step = |expr: Expr| {
            let expr = computable(&expr, &columns, &props).unwrap();
            let step = Step::of(&expr, &schema, &options);
            for rows in [0, 1, 3] {
                let some = batch.slice(0, rows);
                let alone = expr.evaluate(&some).unwrap().into_array(rows).unwrap();
                assert_eq!(&step.array(&some).unwrap(), &alone);
            }
            step
        };
        assert!(matches!(step(col("a")), Step::Column(0)));
        assert!(matches!(step(lit(7_i64)), Step::Value(_)));
        assert!(matches!(step(abs(col("a"))), Step::Call(_)));
        let values = step(gcd(abs(lit(-8_i64)), lit(12_i64)));
        assert!(matches!(values, Step::Call(_)));
        assert!(matches!(step(col("a").is_null()), Step::Other(_)));
        let both = step(gcd(abs(col("a")), lit(6_i64)));
        let both = both.array(&batch).unwrap();
        assert_eq!(both.as_primitive::<Int64Type>().value(0), 3);
    }
}
