//! Expressions as they are computed over a few rows: what the library looks up anew with each call is
//! looked up once.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
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

/// Some rows, by their columns. What the library computes needs them as a batch, whose columns are
/// looked at one by one when it is made: most steps do without.
pub(super) struct Rows<'r> {
    columns: &'r [ArrayRef],
    rows: usize,
    schema: &'r SchemaRef,
    batch: OnceCell<RecordBatch>,
}

impl<'r> Rows<'r> {
    pub(super) fn new(schema: &'r SchemaRef, columns: &'r [ArrayRef], rows: usize) -> Self {
        Self {
            columns,
            rows,
            schema,
            batch: OnceCell::new(),
        }
    }

    /// # Errors
    /// When the columns are not those of the schema.
    pub(super) fn batch(&self) -> DfResult<&RecordBatch> {
        if let Some(batch) = self.batch.get() {
            return Ok(batch);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let (schema, columns) = (Arc::clone(self.schema), self.columns.to_vec());
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        Ok(self.batch.get_or_init(|| batch))
    }

    fn column(&self, at: usize) -> DfResult<&ArrayRef> {
        let column = self.columns.get(at);
        column.ok_or_else(|| DataFusionError::Internal("a column that is not there".into()))
    }
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

    /// Its values over some rows.
    ///
    /// # Errors
    /// What a function meets.
    pub(super) fn array(&self, rows: &Rows<'_>) -> DfResult<ArrayRef> {
        match self {
            Self::Column(at) => rows.column(*at).cloned(),
            _ => self.evaluate(rows)?.into_array(rows.rows),
        }
    }

    fn evaluate(&self, rows: &Rows<'_>) -> DfResult<ColumnarValue> {
        match self {
            Self::Column(at) => Ok(ColumnarValue::Array(Arc::clone(rows.column(*at)?))),
            Self::Value(value) => Ok(ColumnarValue::Scalar(value.clone())),
            Self::Other(expr) => expr.evaluate(rows.batch()?),
            Self::Call(call) => {
                let args = call.args.iter().map(|arg| arg.evaluate(rows));
                let args = args.collect::<DfResult<Vec<_>>>()?;
                let constant = |arg: &ColumnarValue| matches!(arg, ColumnarValue::Scalar(_));
                let constant = args.iter().all(constant);
                let made = call.function.invoke_with_args(ScalarFunctionArgs {
                    args,
                    arg_fields: call.fields.clone(),
                    number_rows: rows.rows,
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
        let array = |step: &Step, batch: &RecordBatch| {
            let schema = batch.schema();
            step.array(&Rows::new(&schema, batch.columns(), batch.num_rows()))
        };
        let step = |expr: Expr| {
            let expr = computable(&expr, &columns, &props).unwrap();
            let step = Step::of(&expr, &schema, &options);
            for rows in [0, 1, 3] {
                let some = batch.slice(0, rows);
                let alone = expr.evaluate(&some).unwrap().into_array(rows).unwrap();
                assert_eq!(&array(&step, &some).unwrap(), &alone);
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
        let both = array(&both, &batch).unwrap();
        assert_eq!(both.as_primitive::<Int64Type>().value(0), 3);
    }
}
