//! Arrays: constructors, subscripts, `ANY` and `ALL`.

use std::any::Any;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, UInt64Array};
use arrow::compute::kernels::cmp;
use arrow::compute::take;
use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, AccessExpr, BinaryOperator, Subscript};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::functions_nested::expr_fn::{array_element, array_slice};
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::expr::{BinaryExpr, Case, InList, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator as Op, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility, lit,
};

use super::expr::{symbol_of, truth};
use super::state::{Binder, Place, Result, lift, position, told, unsupported};
use crate::error::Error;
use crate::functions::{CastContext, Typed, canonical_form};

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
        let (values, ty) = self.unify(values, "ARRAY").map_err(|error| error.at(at))?;
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
        for item in items {
            let value = self.expr(place, item)?;
            values.push(
                self.coerce(value, element, CastContext::Explicit)
                    .map_err(|error| error.at(position(item)))?,
            );
        }
        make(values, element.clone(), at)
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
        for access in chain {
            let subscript = match access {
                AccessExpr::Subscript(subscript) => subscript,
                AccessExpr::Dot(ast::Expr::Identifier(field)) => {
                    value = super::reference::take_field(value, &field.value)
                        .map_err(|error| error.at(at))?;
                    continue;
                }
                AccessExpr::Dot(_) => return Err(unsupported("this field of a row").at(at)),
            };
            let element = match &value.ty {
                SqlType::Array(element) => element.as_ref().clone(),
                SqlType::Int2Vector => SqlType::Int2,
                SqlType::OidVector => SqlType::Oid,
                SqlType::Jsonb | SqlType::Json => {
                    let Subscript::Index { index } = subscript else {
                        return Err(unsupported("a slice of jsonb").at(at));
                    };
                    let index = self.expr(place, index)?;
                    value = self.operate("->", vec![value, index], at)?;
                    continue;
                }
                // A name is its bytes, counted from 0.
                SqlType::Name => {
                    let Subscript::Index { index } = subscript else {
                        return Err(unsupported("a slice of a name").at(at));
                    };
                    let one = || {
                        let one = datafusion::common::ScalarValue::Int32(Some(1));
                        Typed::literal(one, SqlType::Int4)
                    };
                    let index = self.expr(place, index)?;
                    let from = self.operate("+", vec![index, one()], at)?;
                    let text = self.coerce(value, &SqlType::Text, CastContext::Explicit)?;
                    let byte = self.call_plain("substr", vec![text, from, one()], at)?;
                    value = self.coerce(byte, &SqlType::InternalChar, CastContext::Explicit)?;
                    continue;
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
            };
            let item = item_of(&value.arrow);
            match subscript {
                Subscript::Index { index } => {
                    let index = self.expr(place, index)?;
                    let index = self
                        .coerce(index, &SqlType::Int8, CastContext::Assignment)?
                        .expr;
                    // From the end DataFusion counts with negative ones; PostgreSQL has none there.
                    // The vectors of the catalogs count from 0.
                    let vector = !matches!(value.ty, SqlType::Array(_));
                    let (least, index) = if vector {
                        (0_i64, index + lit(1_i64))
                    } else {
                        (1, index)
                    };
                    let least = if vector { least + 1 } else { least };
                    value = Typed {
                        expr: Expr::Case(Case {
                            expr: None,
                            when_then_expr: vec![(
                                Box::new(index.clone().gt_eq(lit(least))),
                                Box::new(array_element(value.expr, index)),
                            )],
                            else_expr: None,
                        }),
                        ty: element,
                        arrow: item,
                    };
                }
                Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    ..
                } => {
                    let mut bound = |bound: &Option<ast::Expr>, or: i64| match bound {
                        None => Ok(lit(or)),
                        Some(bound) => {
                            let bound = self.expr(place, bound)?;
                            let bound =
                                self.coerce(bound, &SqlType::Int8, CastContext::Assignment)?;
                            Ok::<_, Error>(bound.expr)
                        }
                    };
                    let lower = bound(lower_bound, 1)?;
                    let upper = bound(upper_bound, i64::from(i32::MAX))?;
                    let lower = Expr::Case(Case {
                        expr: None,
                        when_then_expr: vec![(
                            Box::new(lower.clone().gt_eq(lit(1_i64))),
                            Box::new(lower),
                        )],
                        else_expr: Some(Box::new(lit(1_i64))),
                    });
                    value = Typed {
                        expr: array_slice(value.expr, lower, upper, None),
                        ..value
                    };
                }
            }
        }
        Ok(value)
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
            SqlType::Array(element) => element.as_ref().clone(),
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
            let items = scalars(&array.value(0))?;
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
                let items = scalars(&array.value(0))?
                    .into_iter()
                    .map(|item| Typed::literal(item, element.clone()))
                    .collect();
                return self.each(value, symbol, items, all, at);
            }
            return Err(unsupported(format!("{symbol} with ANY or ALL of an array")).at(at));
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
        let udf = ScalarUDF::new_from_impl(OverArray::new(op, all));
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
        return Err(unsupported("an array of more than one dimension").at(at));
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

fn native(symbol: &str) -> Option<Op> {
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

/// `value op ANY (list)` or `ALL`: three-valued, a list at a time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OverArray {
    op: Op,
    all: bool,
    signature: Signature,
}

impl OverArray {
    fn new(op: Op, all: bool) -> Self {
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
    ) -> std::result::Result<BooleanArray, DataFusionError> {
        Ok(match self.op {
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
        for row in 0..rows {
            if list.is_valid(row) {
                let offsets = list.value_offsets();
                let range = offsets.get(row).zip(offsets.get(row + 1));
                if let Some((start, end)) = range {
                    for element in *start..*end {
                        owners.push(row as u64);
                        elements.push(u64::try_from(element).unwrap_or(0));
                    }
                }
            }
        }
        let owners = UInt64Array::from(owners);
        let left = take(&value, &owners, None)?;
        let right = take(list.values(), &UInt64Array::from(elements), None)?;
        let compared = self.compare(&left, &right)?;
        let mut answer = BooleanBuilder::with_capacity(rows);
        let mut at = 0;
        for row in 0..rows {
            if list.is_null(row) {
                answer.append_null();
                continue;
            }
            let count = usize::try_from(list.value_length(row)).unwrap_or(0);
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
    let negated = match (over.op, over.all) {
        (Op::Eq, false) => false,
        (Op::NotEq, true) => true,
        _ => return expr,
    };
    if list.len() != 1 || list.is_null(0) || list.value(0).is_empty() {
        return expr;
    }
    let Ok(items) = scalars(&list.value(0)) else {
        return expr;
    };
    let mut items = items
        .into_iter()
        .map(|item| Expr::Literal(item, None))
        .collect::<Vec<_>>();
    if items.len() == 1
        && let Some(item) = items.pop()
    {
        return Expr::BinaryExpr(BinaryExpr::new(
            Box::new(value.clone()),
            over.op,
            Box::new(item),
        ));
    }
    Expr::InList(InList::new(Box::new(value.clone()), items, negated))
}
