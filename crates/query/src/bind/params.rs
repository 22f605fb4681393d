//! Parameters: their types from where they stand, their values when they come.

use std::sync::Arc;

use arrow::datatypes::Field;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::state::{Result, lift};
use crate::error::Error;
use crate::functions::Typed;

/// The types of `$1`, `$2`, …, as far as they are known.
#[derive(Debug, Default, Clone)]
pub(super) struct Params {
    types: Vec<Option<SqlType>>,
}

impl Params {
    pub(super) fn new(types: &[Option<SqlType>]) -> Self {
        let known = |ty: &Option<SqlType>| ty.clone().filter(|ty| *ty != SqlType::Unknown);
        Self {
            types: types.iter().map(known).collect(),
        }
    }

    /// The expression of `$n`.
    pub(super) fn expr(&mut self, number: usize) -> Typed {
        if self.types.len() < number {
            self.types.resize(number, None);
        }
        let known = number.checked_sub(1).and_then(|at| self.types.get(at));
        let ty = known.cloned().flatten().unwrap_or(SqlType::Unknown);
        placeholder(number, ty)
    }

    /// The expression of `$n`, which has a type.
    pub(super) fn typed(&mut self, number: usize, ty: &SqlType) -> Typed {
        if self.types.len() < number {
            self.types.resize(number, None);
        }
        if let Some(slot) = number.checked_sub(1).and_then(|at| self.types.get_mut(at)) {
            *slot = Some(ty.clone());
        }
        placeholder(number, ty.clone())
    }

    /// Gives an untyped `$n` a type.
    pub(super) fn decide(&mut self, number: usize, ty: &SqlType) -> Result<Typed> {
        let bare = ty.without_typmod();
        let Some(slot) = number.checked_sub(1).and_then(|at| self.types.get_mut(at)) else {
            return Err(Error::internal("a parameter was not counted"));
        };
        match slot {
            None => *slot = Some(bare.clone()),
            Some(known) if *known == bare => {}
            Some(known) => {
                return Err(Error::new(
                    SqlState::AMBIGUOUS_PARAMETER,
                    format!("inconsistent types deduced for parameter ${number}"),
                )
                .detail(format!("{known} versus {bare}")));
            }
        }
        Ok(placeholder(number, bare))
    }

    /// The types as far as they are known.
    pub(super) fn known(&self) -> Vec<Option<SqlType>> {
        self.types.clone()
    }

    /// All types, those that are not known as such: a part of a statement says but some.
    pub(super) fn of_part(self) -> Vec<SqlType> {
        let types = self.types.into_iter();
        types.map(|ty| ty.unwrap_or(SqlType::Unknown)).collect()
    }

    /// All types, when the statement is bound.
    pub(super) fn finish(self) -> Result<Vec<SqlType>> {
        (1_usize..)
            .zip(self.types)
            .map(|(number, ty)| {
                ty.ok_or_else(|| {
                    Error::new(
                        SqlState::new(b"42P18"),
                        format!("could not determine data type of parameter ${number}"),
                    )
                })
            })
            .collect()
    }
}

fn placeholder(number: usize, ty: SqlType) -> Typed {
    let id = format!("${number}");
    let field = Field::new(&id, ty.arrow(), true);
    Typed::new(
        Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::new(field)))),
        ty,
    )
}

/// The number of an expression that is a parameter.
pub(crate) fn number_of(expr: &Expr) -> Option<usize> {
    match expr {
        Expr::Placeholder(placeholder) => placeholder.id.strip_prefix('$')?.parse().ok(),
        _ => None,
    }
}

/// The plan with its parameters' values in it, subqueries included.
///
/// # Errors
/// `42P02` when there are too few.
pub fn set_parameters(plan: &LogicalPlan, values: &[ScalarValue]) -> Result<LogicalPlan> {
    let bound = plan
        .clone()
        .transform_up_with_subqueries(|node| {
            let changed = node.map_expressions(|expr| replaced(expr, values))?;
            if changed.transformed {
                let plan = changed.data.recompute_schema()?;
                Ok(Transformed::yes(plan))
            } else {
                Ok(changed)
            }
        })
        .map_err(lift)?;
    Ok(bound.data)
}

/// An expression without queries with its parameters' values in it.
///
/// # Errors
/// `42P02` when there are too few.
pub(crate) fn set_parameters_in(expr: Expr, values: &[ScalarValue]) -> Result<Expr> {
    Ok(replaced(expr, values).map_err(lift)?.data)
}

fn replaced(
    expr: Expr,
    values: &[ScalarValue],
) -> std::result::Result<Transformed<Expr>, DataFusionError> {
    let replace = |expr: Expr| -> std::result::Result<Transformed<Expr>, DataFusionError> {
        match number_of(&expr) {
            None => Ok(Transformed::no(expr)),
            Some(number) => {
                let value = number.checked_sub(1).and_then(|at| values.get(at));
                let value = value.cloned();
                let value = value.ok_or_else(|| Error::no_parameter(number))?;
                Ok(Transformed::yes(Expr::Literal(value, None)))
            }
        }
    };
    expr.transform_up(|expr| Ok(replace(expr)?.update_data(super::array::listed)))
}
