//! Arrays: constructors, subscripts, `ANY` and `ALL`.

use std::any::Any;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, UInt64Array};
use arrow::compute::kernels::cmp;
use arrow::compute::take;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use chronolith_sql::ast::{self, AccessExpr, BinaryOperator, Subscript};
use chronolith_types::array::{DIMENSIONS_MAX, Shape};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::{BinaryExpr, InList, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator as Op, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::expr::{symbol_of, truth};
use super::state::{Binder, Place, Result, column, field, lift, position, told, unsupported};
use super::steps::unsupported_slice;
use crate::error::Error;
use crate::evaluate::computable;
use crate::functions::{self, CastContext, Typed, canonical_form};

impl Binder<'_> {
    /// `ARRAY[…]`.
    pub(super) fn array(
        &mut self,
        place: Place<'_>,
        items: &[ast::Expr],
        at: Option<u32>,
    ) -> Result<Typed> {
        if items.is_empty() {
            return Err(Error::new(
                SqlState::new(b"42P18"),
                "cannot determine type of empty array",
            )
            .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[].")
            .at(at));
        }
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.expr(place, item)?);
        }
        let places: Vec<_> = items.iter().map(position).collect();
        let (values, ty) = self
            .unify_at(values, "ARRAY", &places)
            .map_err(|error| error.at(at))?;
        make(values, ty, at)
    }

    /// `ARRAY[…]::type[]`.
    pub(super) fn array_of(
        &mut self,
        place: Place<'_>,
        items: &[ast::Expr],
        element: &SqlType,
        at: Option<u32>,
    ) -> Result<Typed> {
        let mut values = Vec::with_capacity(items.len());
        let mut deep = false;
        for item in items {
            // Arrays within are of the same type.
            if let ast::Expr::Array(inner) = item {
                values.push(self.array_of(place, &inner.elem, element, position(item))?);
                deep = true;
                continue;
            }
            values.push(self.expr(place, item)?);
            deep = deep || matches!(values.last().map(|of| &of.ty), Some(SqlType::Array(_)));
        }
        let ty = match deep {
            true => element.clone().array_of(),
            false => element.clone(),
        };
        let values = values.into_iter().zip(items).map(|(value, item)| {
            self.coerce(value, &ty, CastContext::Explicit)
                .map_err(|error| error.at(position(item)))
        });
        let values = values.collect::<Result<Vec<_>>>()?;
        make(values, ty, at)
    }

    pub(super) fn subscripts(
        &mut self,
        place: Place<'_>,
        root: &ast::Expr,
        chain: &[AccessExpr],
    ) -> Result<Typed> {
        let at = position(root);
        let (mut value, chain) = match chain {
            [AccessExpr::Dot(ast::Expr::Identifier(field)), rest @ ..] => {
                (self.field_of(place, root, &field.value)?, rest)
            }
            _ => (self.expr(place, root)?, chain),
        };
        let mut chain = chain.iter().peekable();
        while let Some(access) = chain.next() {
            let subscript = match access {
                AccessExpr::Subscript(subscript) => subscript,
                AccessExpr::Dot(ast::Expr::Identifier(field)) => {
                    value = super::reference::take_field(value, &field.value)
                        .map_err(|error| error.at(at))?;
                    continue;
                }
                AccessExpr::Dot(_) => return Err(unsupported("this field of a row").at(at)),
            };
            match &value.ty {
                SqlType::Array(_) | SqlType::Int2Vector | SqlType::OidVector => {
                    let mut all = vec![subscript];
                    while let Some(AccessExpr::Subscript(subscript)) =
                        chain.next_if(|next| matches!(next, AccessExpr::Subscript(_)))
                    {
                        all.push(subscript);
                    }
                    value = self
                        .part_of(place, value, &all)
                        .map_err(|error| error.at(at))?;
                }
                SqlType::Jsonb => {
                    let mut all = vec![subscript];
                    while let Some(AccessExpr::Subscript(subscript)) =
                        chain.next_if(|next| matches!(next, AccessExpr::Subscript(_)))
                    {
                        all.push(subscript);
                    }
                    let steps = self.json_steps(place, &all, at)?;
                    value = functions::json_part(value, steps).map_err(told)?;
                }
                // A name is its bytes, counted from 0.
                SqlType::Name => {
                    if matches!(subscript, Subscript::Slice { .. }) {
                        return Err(unsupported_slice("slices"));
                    }
                    let (_, bounds) = self.bounds(place, &[subscript])?;
                    value = functions::byte(value, bounds).map_err(told)?;
                }
                other => {
                    return Err(Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "cannot subscript type {} because it does not support subscripting",
                            other.without_typmod()
                        ),
                    )
                    .at(at));
                }
            }
        }
        Ok(value)
    }

    /// The item or the slice of an array that its subscripts name.
    pub(super) fn part_of(
        &mut self,
        place: Place<'_>,
        list: Typed,
        subscripts: &[&Subscript],
    ) -> Result<Typed> {
        let (sliced, bounds) = self.bounds(place, subscripts)?;
        match sliced {
            true => functions::slice(list, bounds).map_err(told),
            false => Ok(functions::item(list, bounds)),
        }
    }

    /// Subscripts as whole numbers: one for each dimension, or with slices among them two for each,
    /// and whether there are.
    pub(super) fn bounds(
        &mut self,
        place: Place<'_>,
        subscripts: &[&Subscript],
    ) -> Result<(bool, Vec<Typed>)> {
        if subscripts.len() > DIMENSIONS_MAX {
            let count = subscripts.len();
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                format!(
                    "number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"
                ),
            ));
        }
        let mut whole = |expr: &ast::Expr| {
            let value = self.expr(place, expr)?;
            self.coerce(value, &SqlType::Int4, CastContext::Assignment)
                .and_then(|value| self.coerce(value, &SqlType::Int8, CastContext::Implicit))
                .map_err(|error| error.at(position(expr)))
        };
        let sliced = |of: &&&Subscript| matches!(of, Subscript::Slice { .. });
        if !subscripts.iter().any(|of| sliced(&of)) {
            let mut indexes = Vec::with_capacity(subscripts.len());
            for subscript in subscripts {
                if let Subscript::Index { index } = subscript {
                    indexes.push(whole(index)?);
                }
            }
            return Ok((false, indexes));
        }
        let fixed = |bound: i64| Typed::literal(ScalarValue::Int64(Some(bound)), SqlType::Int8);
        let mut bounds = Vec::with_capacity(subscripts.len() * 2);
        for subscript in subscripts {
            match subscript {
                // Beside slices, a number is the end of one.
                Subscript::Index { index } => {
                    bounds.push(fixed(1));
                    bounds.push(whole(index)?);
                }
                Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    ..
                } => {
                    for bound in [lower_bound, upper_bound] {
                        bounds.push(match bound {
                            Some(bound) => whole(bound)?,
                            None => fixed(functions::OMITTED),
                        });
                    }
                }
            }
        }
        Ok((true, bounds))
    }

    /// `left op ANY (right)` and `ALL`.
    pub(super) fn quantified(
        &mut self,
        place: Place<'_>,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        all: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let mut inner = right;
        while let ast::Expr::Nested(nested) = inner {
            inner = nested;
        }
        if let ast::Expr::Subquery(query) = inner {
            return self.quantified_subquery(place, left, op, query, all, at);
        }
        let symbol = symbol_of(op);
        let value = self.expr(place, left)?;
        // A constructor of constants is a list.
        if let ast::Expr::Array(array) = inner
            && matches!((symbol.as_str(), all), ("=", false) | ("<>", true))
            && !array.elem.is_empty()
        {
            let mut items = Vec::with_capacity(array.elem.len());
            for item in &array.elem {
                items.push(self.expr(place, item)?);
            }
            return self.among(value, items, all, at);
        }
        if native(&symbol).is_none()
            && let ast::Expr::Array(array) = inner
        {
            let mut items = Vec::with_capacity(array.elem.len());
            for item in &array.elem {
                items.push(self.expr(place, item)?);
            }
            return self.each(value, &symbol, items, all, at);
        }
        let list = self.expr(place, right)?;
        let list = if list.ty == SqlType::Unknown {
            let element = if value.ty == SqlType::Unknown {
                SqlType::Text
            } else {
                value.ty.without_typmod()
            };
            self.settle(list, &element.array_of())?
        } else {
            list
        };
        let element = match &list.ty {
            SqlType::Array(element) => element.base().clone(),
            SqlType::Int2Vector => SqlType::Int2,
            SqlType::OidVector => SqlType::Oid,
            _ => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "op ANY/ALL (array) requires array on right side",
                )
                .at(at));
            }
        };
        self.over_array(value, &symbol, list, element, all, at)
    }

    fn over_array(
        &mut self,
        value: Typed,
        symbol: &str,
        list: Typed,
        element: SqlType,
        all: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        // A literal array is a list of its elements.
        if let Some(ScalarValue::List(array)) = list.as_literal()
            && matches!((symbol, all), ("=", false) | ("<>", true))
            && array.len() == 1
            && array.is_valid(0)
        {
            let items = scalars(&functions::constant_items(array.as_ref()).0)?;
            if !items.is_empty() {
                let items = items
                    .into_iter()
                    .map(|item| Typed::literal(item, element.clone()))
                    .collect();
                return self.among(value, items, all, at);
            }
        }
        let Some(op) = native(symbol) else {
            if let Some(ScalarValue::List(array)) = list.as_literal()
                && array.len() == 1
                && array.is_valid(0)
            {
                let items = scalars(&functions::constant_items(array.as_ref()).0)?
                    .into_iter()
                    .map(|item| Typed::literal(item, element.clone()))
                    .collect();
                return self.each(value, symbol, items, all, at);
            }
            return self.over_each(value, symbol, list, element, all, at);
        };
        // What the operator makes of two values says which type both are compared in.
        let value = self.settled_as(value, &element)?;
        let (value, list) = if value.ty.without_typmod() == element.without_typmod() {
            (value, list)
        } else {
            let ty = self
                .common(&[value.ty.clone(), element.clone()], "ANY")
                .map_err(|error| error.at(at))?
                .without_typmod();
            let value = self.coerce(value, &ty, CastContext::Implicit)?;
            let list = self.coerce(list, &ty.array_of(), CastContext::Implicit)?;
            (value, list)
        };
        let (value, list) = if value.arrow == item_of(&list.arrow) {
            (value, list)
        } else {
            (
                canonical_form(value).map_err(told)?,
                canonical_form(list).map_err(told)?,
            )
        };
        let udf = ScalarUDF::new_from_impl(OverArray::new(Compared::Natively(op), all));
        Ok(truth(Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(udf),
            vec![value.expr, list.expr],
        ))))
    }

    /// An operator that is an expression with each element of a list.
    pub(super) fn over_each(
        &mut self,
        value: Typed,
        symbol: &str,
        list: Typed,
        element: SqlType,
        all: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let value = self.settled_as(value, &element)?;
        let named = |name: &str, ty: SqlType, arrow: DataType| Typed {
            expr: column(name),
            ty,
            arrow,
        };
        let item = item_of(&list.arrow);
        let fields = [(VALUE, &value.arrow), (ITEM, &item)];
        let fields = fields.map(|(name, arrow)| field(name, arrow));
        let operands = vec![
            named(VALUE, value.ty.clone(), value.arrow.clone()),
            named(ITEM, element, item.clone()),
        ];
        let compared = self.operate(symbol, operands, at)?;
        if compared.ty != SqlType::Bool {
            let words = "op ANY/ALL (array) requires operator to yield boolean";
            return Err(Error::new(SqlState::WRONG_OBJECT_TYPE, words).at(at));
        }
        let compared = Compared::By(compared.expr, Arc::new(Schema::new(fields.to_vec())));
        let udf = ScalarUDF::new_from_impl(OverArray::new(compared, all));
        Ok(truth(Expr::ScalarFunction(ScalarFunction::new_udf(
            Arc::new(udf),
            vec![value.expr, list.expr],
        ))))
    }

    /// An operator with each of several values: patterns, for the most part.
    fn each(
        &mut self,
        value: Typed,
        symbol: &str,
        items: Vec<Typed>,
        all: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let mut found: Option<Expr> = None;
        for item in items {
            let one = self.operate(symbol, vec![value.clone(), item], at)?.expr;
            found = Some(match found {
                None => one,
                Some(so_far) if all => so_far.and(one),
                Some(so_far) => so_far.or(one),
            });
        }
        Ok(truth(found.unwrap_or(Expr::Literal(
            ScalarValue::Boolean(Some(all)),
            None,
        ))))
    }

    pub(super) fn settled_as(&mut self, value: Typed, ty: &SqlType) -> Result<Typed> {
        if value.ty == SqlType::Unknown {
            self.settle(value, &ty.without_typmod())
        } else {
            Ok(value)
        }
    }
}

/// A list of values, at once when all are constants.
pub(super) fn make(values: Vec<Typed>, ty: SqlType, at: Option<u32>) -> Result<Typed> {
    if matches!(ty, SqlType::Array(_)) {
        return functions::stack(values, ty).map_err(|error| told(error).at(at));
    }
    let item = values
        .first()
        .map_or_else(|| ty.arrow(), |value| value.arrow.clone());
    let field = arrow::datatypes::Field::new("item", item.clone(), true);
    let form = DataType::List(Arc::new(field));
    let ty = ty.array_of();
    let constants = values
        .iter()
        .map(|value| value.as_literal().cloned())
        .collect::<Option<Vec<_>>>();
    if let Some(constants) = constants {
        let list = ScalarValue::new_list_nullable(&constants, &item);
        return Ok(Typed {
            expr: Expr::Literal(ScalarValue::List(list), None),
            ty,
            arrow: form,
        });
    }
    let items = values.into_iter().map(|value| value.expr).collect();
    Ok(Typed {
        expr: Expr::ScalarFunction(ScalarFunction::new_udf(make_array_udf(), items)),
        ty,
        arrow: form,
    })
}

pub(super) fn item_of(arrow: &DataType) -> DataType {
    match arrow {
        DataType::List(item) => item.data_type().clone(),
        other => other.clone(),
    }
}

fn scalars(values: &ArrayRef) -> Result<Vec<ScalarValue>> {
    (0..values.len())
        .map(|at| ScalarValue::try_from_array(values, at).map_err(lift))
        .collect()
}

pub(super) fn native(symbol: &str) -> Option<Op> {
    Some(match symbol {
        "=" => Op::Eq,
        "<>" => Op::NotEq,
        "<" => Op::Lt,
        "<=" => Op::LtEq,
        ">" => Op::Gt,
        ">=" => Op::GtEq,
        _ => return None,
    })
}

/// What the two operands are called in an expression that compares them.
const VALUE: &str = "value";
const ITEM: &str = "item";

/// How a value is compared with each element of a list.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Compared {
    Natively(Op),
    /// By an expression over columns.
    By(Expr, SchemaRef),
}

/// `value op ANY (list)` or `ALL`: three-valued, a list at a time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OverArray {
    op: Compared,
    all: bool,
    signature: Signature,
}

impl OverArray {
    fn new(op: Compared, all: bool) -> Self {
        Self {
            op,
            all,
            signature: Signature::any(2, Volatility::Immutable),
        }
    }

    fn compare(
        &self,
        left: &ArrayRef,
        right: &ArrayRef,
        options: &Arc<ConfigOptions>,
    ) -> std::result::Result<BooleanArray, DataFusionError> {
        let op = match &self.op {
            Compared::Natively(op) => op,
            Compared::By(expr, schema) => {
                let columns = vec![Arc::clone(left), Arc::clone(right)];
                let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
                let mut props = ExecutionProps::new();
                props.config_options = Some(Arc::clone(options));
                let named = DFSchema::try_from(schema.as_ref().clone())?;
                let physical = computable(expr, &named, &props)?;
                let made = physical.evaluate(&batch)?.into_array(batch.num_rows())?;
                let made = made.as_boolean_opt().cloned();
                return made.ok_or_else(|| DataFusionError::Internal("no truth value".into()));
            }
        };
        Ok(match op {
            Op::Eq => cmp::eq(left, right)?,
            Op::NotEq => cmp::neq(left, right)?,
            Op::Lt => cmp::lt(left, right)?,
            Op::LtEq => cmp::lt_eq(left, right)?,
            Op::Gt => cmp::gt(left, right)?,
            _ => cmp::gt_eq(left, right)?,
        })
    }
}

impl ScalarUDFImpl for OverArray {
    fn name(&self) -> &str {
        if self.all { "over_all" } else { "over_any" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> std::result::Result<DataType, DataFusionError> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(
        &self,
        args: ScalarFunctionArgs,
    ) -> std::result::Result<ColumnarValue, DataFusionError> {
        let rows = args.number_rows;
        let [value, list] = args.args.as_slice() else {
            return Err(DataFusionError::Internal("two arguments".into()));
        };
        let value = value.to_array(rows)?;
        let list = list.to_array(rows)?;
        let Some(list) = list.as_list_opt::<i32>() else {
            return Err(DataFusionError::Internal("the second is a list".into()));
        };
        // Each element beside the value of its row.
        let mut owners = Vec::new();
        let mut elements = Vec::new();
        let mut counts = Vec::with_capacity(rows);
        let offsets = list.value_offsets();
        for row in 0..rows {
            let range = offsets.get(row).zip(offsets.get(row + 1));
            let (Some((start, end)), true) = (range, list.is_valid(row)) else {
                counts.push(0);
                continue;
            };
            let start = usize::try_from(*start).unwrap_or(0);
            let end = usize::try_from(*end).unwrap_or(start);
            let shape = Shape::kept(list.values().nulls(), start, end);
            let count = shape.map_or(end - start, |shape| shape.count());
            for element in start..start + count {
                owners.push(row as u64);
                elements.push(element as u64);
            }
            counts.push(count);
        }
        let owners = UInt64Array::from(owners);
        let left = take(&value, &owners, None)?;
        let right = take(list.values(), &UInt64Array::from(elements), None)?;
        let compared = self.compare(&left, &right, &args.config_options)?;
        let mut answer = BooleanBuilder::with_capacity(rows);
        let mut at = 0;
        for (row, count) in counts.into_iter().enumerate() {
            if list.is_null(row) {
                answer.append_null();
                continue;
            }
            let (mut decided, mut unknown) = (false, false);
            for element in at..at + count {
                if compared.is_null(element) {
                    unknown = true;
                } else if compared.value(element) != self.all {
                    decided = true;
                }
            }
            at += count;
            match (decided, unknown) {
                (true, _) => answer.append_value(!self.all),
                (false, true) => answer.append_null(),
                (false, false) => answer.append_value(self.all),
            }
        }
        Ok(ColumnarValue::Array(Arc::new(answer.finish())))
    }
}

/// `value = ANY (list)` whose list became a constant is `value IN (…)`, which scans can prune by.
pub(super) fn listed(expr: Expr) -> Expr {
    let Expr::ScalarFunction(call) = &expr else {
        return expr;
    };
    let any: &dyn Any = call.func.inner().as_ref();
    let Some(over) = any.downcast_ref::<OverArray>() else {
        return expr;
    };
    let [value, Expr::Literal(ScalarValue::List(list), _)] = call.args.as_slice() else {
        return expr;
    };
    let (op, negated) = match (&over.op, over.all) {
        (Compared::Natively(op @ Op::Eq), false) => (*op, false),
        (Compared::Natively(op @ Op::NotEq), true) => (*op, true),
        _ => return expr,
    };
    if list.len() != 1 || list.is_null(0) || list.value(0).is_empty() {
        return expr;
    }
    let Ok(items) = scalars(&functions::constant_items(list.as_ref()).0) else {
        return expr;
    };
    let mut items = items
        .into_iter()
        .map(|item| Expr::Literal(item, None))
        .collect::<Vec<_>>();
    if items.len() == 1
        && let Some(item) = items.pop()
    {
        return Expr::BinaryExpr(BinaryExpr::new(Box::new(value.clone()), op, Box::new(item)));
    }
    Expr::InList(InList::new(Box::new(value.clone()), items, negated))
}
