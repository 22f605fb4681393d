//! Operators.

use chronolith_types::{SqlState, SqlType};
use datafusion::logical_expr::expr::BinaryExpr;
use datafusion::logical_expr::{Expr, Operator as Op};

use super::resolve::{Candidate, Choice, Poly, choose_operator};
use super::state::{Binder, Result, told};
use crate::error::Error;
use crate::functions::{CastContext, Operator, Typed, is_composite, operators};

impl Binder<'_> {
    /// An operator of a symbol over operands of any types.
    pub(super) fn operate(
        &mut self,
        symbol: &str,
        operands: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let symbol = if symbol == "!=" { "<>" } else { symbol };
        // What is joined to a row is no row.
        let operands = match symbol {
            "||" => operands,
            _ => self.as_rows(operands).map_err(|error| error.at(at))?,
        };
        let text = |of: &Typed| of.ty.is_text() || of.ty == SqlType::Unknown;
        let operands = match symbol == "||" && operands.iter().any(text) {
            true => {
                let told = operands.into_iter().map(|row| self.told_row(row));
                told.collect::<Result<Vec<_>>>().map_err(|e| e.at(at))?
            }
            false => operands,
        };
        let given = operands
            .iter()
            .map(|operand| operand.ty.without_typmod())
            .collect::<Vec<_>>();
        let found = self.find_operator(symbol, &given).map_err(|e| e.at(at))?;
        let declared = declared(found);
        let poly = Poly::of(&declared, &given)
            .map_err(|message| Error::new(SqlState::DATATYPE_MISMATCH, message).at(at))?;
        let common = self
            .common(poly.compatible(), "operator")
            .map_err(|e| e.at(at))?;
        let mut args = Vec::with_capacity(operands.len());
        for (operand, to) in operands.into_iter().zip(&declared) {
            let to = poly.resolve(to, &common);
            args.push(self.operand(operand, &to).map_err(|e| e.at(at))?);
        }
        let result = poly.resolve(&found.result, &common);
        found
            .apply(args, &result)
            .map_err(|error| told(error).at(at))
    }

    /// A row of unnamed type as its text, an object's number as its name, anything else as it is.
    pub(super) fn told_row(&mut self, value: Typed) -> Result<Typed> {
        match value.ty {
            SqlType::Record | SqlType::Reg(_) => {
                self.coerce(value, &SqlType::Text, CastContext::Explicit)
            }
            _ => Ok(value),
        }
    }

    /// A row beside one of a composite type is of that type.
    fn as_rows(&mut self, operands: Vec<Typed>) -> Result<Vec<Typed>> {
        let [left, right] = operands.as_slice() else {
            return Ok(operands);
        };
        let open = |ty: &SqlType| matches!(ty, SqlType::Record | SqlType::Unknown);
        let ty = match (is_composite(&left.ty), is_composite(&right.ty)) {
            (true, false) if open(&right.ty) => left.ty.clone(),
            (false, true) if open(&left.ty) => right.ty.clone(),
            _ => return Ok(operands),
        };
        let rows = operands.into_iter();
        rows.map(|row| self.coerce(row, &ty, CastContext::Explicit))
            .collect()
    }

    /// An operand as its operator wants it. A value already of that type keeps its modifier, so
    /// that the operator sees the Arrow form it has.
    fn operand(&mut self, operand: Typed, to: &SqlType) -> Result<Typed> {
        if operand.ty.without_typmod() == *to {
            return Ok(operand);
        }
        self.coerce(operand, to, CastContext::Implicit)
    }

    pub(super) fn find_operator(
        &self,
        symbol: &str,
        given: &[SqlType],
    ) -> Result<&'static Operator> {
        let candidates = operators(symbol)
            .iter()
            .filter(|operator| operator.left.is_some() == (given.len() == 2))
            .map(|operator| Candidate {
                args: declared(operator),
                what: operator,
            })
            .collect::<Vec<_>>();
        let missing = || {
            let names = given.iter().map(SqlType::name).collect::<Vec<_>>();
            let call = match names.as_slice() {
                [left, right] => format!("{left} {symbol} {right}"),
                _ => format!("{symbol} {}", names.join(" ")),
            };
            (call, SqlState::UNDEFINED_FUNCTION)
        };
        let hint = "No operator matches the given name and argument types. \
                    You might need to add explicit type casts.";
        match choose_operator(candidates, given) {
            Choice::One(found) => Ok(found.what),
            Choice::None => {
                let (call, code) = missing();
                let mut error = Error::new(code, format!("operator does not exist: {call}"));
                error.hint = Some(if given.len() == 2 {
                    hint.to_owned()
                } else {
                    "No operator matches the given name and argument type. \
                     You might need to add an explicit type cast."
                        .to_owned()
                });
                Err(error)
            }
            Choice::Many => {
                let (call, _) = missing();
                Err(Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("operator is not unique: {call}"),
                )
                .hint(
                    "Could not choose a best candidate operator. \
                     You might need to add explicit type casts.",
                ))
            }
        }
    }

    /// `a IS [NOT] DISTINCT FROM b`.
    pub(super) fn distinct(
        &mut self,
        left: Typed,
        right: Typed,
        negated: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        let (l, r) = (left.expr.clone(), right.expr.clone());
        let equal = self.operate("=", vec![left, right], at)?;
        let expr = match equal.expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Op::Eq,
                right,
            }) => {
                let op = if negated {
                    Op::IsNotDistinctFrom
                } else {
                    Op::IsDistinctFrom
                };
                Expr::BinaryExpr(BinaryExpr { left, op, right })
            }
            other => {
                // Null only when one side is: then the same just if both are.
                let both = l.clone().is_null().and(r.clone().is_null());
                let same = both.or(l.is_not_null().and(r.is_not_null()).and(other));
                if negated {
                    same
                } else {
                    Expr::Not(Box::new(same))
                }
            }
        };
        Ok(Typed::new(expr, SqlType::Bool))
    }
}

pub(super) fn declared(operator: &Operator) -> Vec<SqlType> {
    operator
        .left
        .iter()
        .chain(std::iter::once(&operator.right))
        .cloned()
        .collect()
}
