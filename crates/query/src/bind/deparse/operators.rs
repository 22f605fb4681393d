//! Operators and tests to what is shown of them.

use std::rc::Rc;

use chronolith_sql::ast::{self, BinaryOperator, UnaryOperator};
use chronolith_types::SqlType;

use super::read::{Reader, Typed, cast};
use super::shown::{Piece, Shown, Sublink};
use crate::bind::expr::{row_of, symbol_of};
use crate::bind::operate::declared;
use crate::bind::resolve::Poly;
use crate::bind::state::{Place, Result, unsupported};
use crate::error::Error;

impl Reader<'_, '_> {
    pub(super) fn unary(&mut self, op: UnaryOperator, inner: &ast::Expr) -> Result<Typed> {
        if op == UnaryOperator::Not {
            let (shown, _) = self.read(inner)?;
            return Ok((Shown::Not(Box::new(shown)), SqlType::Bool));
        }
        let (shown, ty) = self.read(inner)?;
        // `-5` is one constant.
        if op == UnaryOperator::Minus
            && let (Shown::Constant(Some(digits), _), ast::Expr::Value(_)) = (&shown, inner)
            && ty != SqlType::Unknown
        {
            let shown = Shown::Constant(Some(format!("-{digits}")), ty.clone());
            return Ok((shown, ty));
        }
        let found = self
            .binder
            .find_operator(&op.to_string(), std::slice::from_ref(&ty))?;
        let shown = self.as_type(shown, &ty, &found.right);
        let shown = shown.ok_or_else(|| unsupported("showing this operand"))?;
        let prefixed = Shown::Prefixed(op.to_string(), Box::new(shown));
        Ok((prefixed, found.result.clone()))
    }

    pub(super) fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed> {
        if let (Some(lefts), Some(rights)) = (row_of(left), row_of(right)) {
            return self.rows(lefts, op, rights);
        }
        match op {
            BinaryOperator::And | BinaryOperator::Or => {
                // A chain is read from the left, whose parentheses do not count.
                let mut parts = vec![right];
                let mut rest = left;
                loop {
                    match rest {
                        ast::Expr::Nested(inner) => match inner.as_ref() {
                            ast::Expr::BinaryOp { op: own, .. } if own == op => rest = inner,
                            ast::Expr::Nested(_) => rest = inner,
                            _ => break,
                        },
                        ast::Expr::BinaryOp {
                            left,
                            op: own,
                            right,
                        } if own == op => {
                            parts.push(right);
                            rest = left;
                        }
                        _ => break,
                    }
                }
                parts.push(rest);
                let mut shown = Vec::with_capacity(parts.len());
                for part in parts.into_iter().rev() {
                    let (part, from) = self.read(part)?;
                    shown.push(self.settled(part, &from, &SqlType::Bool)?);
                }
                let joined = match op {
                    BinaryOperator::And => Shown::And(shown),
                    _ => Shown::Or(shown),
                };
                Ok((joined, SqlType::Bool))
            }
            op => {
                let symbol = symbol_shown(op);
                let left = self.read(left)?;
                let right = self.read(right)?;
                self.operation(left, &symbol, right)
            }
        }
    }

    pub(super) fn operation(&mut self, left: Typed, symbol: &str, right: Typed) -> Result<Typed> {
        let given = [left.1.clone(), right.1.clone()];
        let found = self.binder.find_operator(symbol, &given)?;
        let wanted = declared(found);
        let poly = Poly::of(&wanted, &given).map_err(unsupported)?;
        let common = self.binder.common(poly.compatible(), "operator")?;
        let mut types = wanted.iter().map(|ty| poly.resolve(ty, &common));
        let (Some(to_left), Some(to_right)) = (types.next(), types.next()) else {
            return Err(Error::internal("an operator of two without operands"));
        };
        let sides = self
            .as_type(left.0, &left.1, &to_left)
            .zip(self.as_type(right.0, &right.1, &to_right));
        let (left, right) = sides.ok_or_else(|| unsupported("showing this operand"))?;
        let shown = Shown::Operation(Box::new(left), symbol.to_owned(), Box::new(right));
        Ok((shown, poly.resolve(&found.result, &common)))
    }

    pub(super) fn test(&mut self, inner: &ast::Expr, test: &'static str) -> Result<Typed> {
        let (shown, _) = self.read(inner)?;
        Ok((Shown::Test(Box::new(shown), test), SqlType::Bool))
    }

    pub(super) fn in_list(
        &mut self,
        inner: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
    ) -> Result<Typed> {
        let left = self.read(inner)?;
        let symbol = if negated { "<>" } else { "=" };
        if let [one] = list {
            let right = self.read(one)?;
            return self.operation(left, symbol, right);
        }
        let mut items = Vec::with_capacity(list.len());
        let mut others = Vec::new();
        for item in list {
            // Values of columns are compared one by one.
            let before = std::mem::replace(&mut self.touched, false);
            let item = self.read(item)?;
            if self.touched || (self.levels.is_empty() && !is_constant(&item.0)) {
                others.push(item);
            } else {
                items.push(item);
            }
            self.touched |= before;
        }
        if items.len() <= 1 {
            others.splice(0..0, std::mem::take(&mut items));
        }
        if !others.is_empty() {
            let mut parts = Vec::new();
            if !items.is_empty() {
                parts.push(self.any_of(left.clone(), items, negated)?.0);
            }
            for other in others {
                parts.push(self.operation(left.clone(), symbol, other)?.0);
            }
            let joined = match negated {
                true => Shown::And(parts),
                false => Shown::Or(parts),
            };
            return Ok((joined, SqlType::Bool));
        }
        self.any_of(left, items, negated)
    }

    /// `left = ANY (ARRAY[…])`.
    pub(super) fn any_of(
        &mut self,
        left: Typed,
        items: Vec<Typed>,
        negated: bool,
    ) -> Result<Typed> {
        let symbol = if negated { "<>" } else { "=" };
        let types = items.iter().map(|(_, ty)| ty.clone());
        let types: Vec<SqlType> = std::iter::once(left.1.without_typmod())
            .chain(types)
            .collect();
        let common = self.binder.common(&types, "IN")?;
        let found = self
            .binder
            .find_operator(symbol, &[left.1.clone(), common.clone()])?;
        let to_left = found.left.clone().unwrap_or_else(|| common.clone());
        let failed = || unsupported("showing this list");
        let mut shown = Vec::with_capacity(items.len());
        for (item, ty) in items {
            shown.push(self.as_type(item, &ty, &common).ok_or_else(failed)?);
        }
        let mut array = Shown::Array(shown);
        if found.right != common {
            let from = common.clone().array_of();
            array = cast(array, &from, &found.right.clone().array_of());
        }
        let left = self.as_type(left.0, &left.1, &to_left).ok_or_else(failed)?;
        let quantifier = if negated { "ALL" } else { "ANY" };
        let shown = Shown::Quantified(
            Box::new(left),
            symbol.to_owned(),
            quantifier,
            Box::new(array),
        );
        Ok((shown, SqlType::Bool))
    }

    /// `left op (SELECT …)`, and IN.
    pub(super) fn compared(
        &mut self,
        left: &ast::Expr,
        symbol: &str,
        words: &str,
        query: &ast::Query,
    ) -> Result<Shown> {
        let scope = Rc::clone(&self.scope);
        let place = Place {
            scope: &scope,
            clause: self.clause,
        };
        let columns = self.binder.inner(place, query)?.scope.columns;
        let lefts = match row_of(left) {
            Some(parts) => parts.iter().collect(),
            None => vec![left],
        };
        let mut shown = Vec::with_capacity(lefts.len());
        for (tree, column) in lefts.iter().zip(&columns) {
            let left = self.read(tree)?;
            let found = self
                .binder
                .find_operator(symbol, &[left.1.clone(), column.ty.clone()])?;
            let to = match &found.left {
                Some(ty) if !ty.is_pseudo() => ty.clone(),
                _ => column.ty.without_typmod(),
            };
            let left = self.as_type(left.0, &left.1, &to);
            shown.push(left.ok_or_else(|| unsupported("showing this comparison"))?);
        }
        let test = match (shown.len(), shown.pop()) {
            (1, Some(one)) => one,
            (_, last) => {
                shown.extend(last);
                Shown::Row(shown)
            }
        };
        let query = Box::new(self.inner(query)?);
        let kind = Sublink::Compared(words.to_owned());
        Ok(Shown::Sublink(Some(Box::new(test)), kind, query))
    }

    /// `(a, b) = (c, d)`: column by column, unless their order counts.
    pub(super) fn rows(
        &mut self,
        left: &[ast::Expr],
        op: &BinaryOperator,
        right: &[ast::Expr],
    ) -> Result<Typed> {
        if *op == BinaryOperator::Overlaps {
            return Err(unsupported("showing OVERLAPS"));
        }
        let symbol = symbol_shown(op);
        let (mut pairs, mut lefts, mut rights) = (Vec::new(), Vec::new(), Vec::new());
        for (left, right) in left.iter().zip(right) {
            let (left, right) = (self.read(left)?, self.read(right)?);
            let pair = self.operation(left, &symbol, right)?.0;
            if let Shown::Operation(left, _, right) = &pair {
                lefts.push(left.as_ref().clone());
                rights.push(right.as_ref().clone());
            }
            pairs.push(pair);
        }
        let shown = match symbol.as_str() {
            "=" => Shown::And(pairs),
            "<>" => Shown::Or(pairs),
            _ => Shown::Spelled(vec![
                Piece::Text("("),
                Piece::Plain(Shown::Row(lefts)),
                Piece::Text(" "),
                Piece::Plain(Shown::Word(symbol)),
                Piece::Text(" "),
                Piece::Plain(Shown::Row(rights)),
                Piece::Text(")"),
            ]),
        };
        Ok((shown, SqlType::Bool))
    }

    pub(super) fn distinct(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        words: &str,
    ) -> Result<Typed> {
        let (left, right) = (self.read(left)?, self.read(right)?);
        match self.operation(left, "=", right)? {
            (Shown::Operation(left, _, right), ty) => {
                Ok((Shown::Operation(left, words.to_owned(), right), ty))
            }
            other => Ok(other),
        }
    }

    /// `left op ANY (array)`.
    pub(super) fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        quantifier: &'static str,
        right: &ast::Expr,
    ) -> Result<Typed> {
        if let ast::Expr::Subquery(query) = right {
            let symbol = symbol_shown(op);
            let words = match (symbol.as_str(), quantifier) {
                ("=", "ANY") => "IN".to_owned(),
                _ => format!("{symbol} {quantifier}"),
            };
            let shown = self.compared(left, &symbol, &words, query)?;
            return Ok((shown, SqlType::Bool));
        }
        let left = self.read(left)?;
        let (array, ty) = self.read(right)?;
        let symbol = symbol_shown(op);
        let failed = || unsupported("showing this comparison");
        let element = match &ty {
            SqlType::Unknown => left.1.without_typmod(),
            ty => ty.element().cloned().ok_or_else(failed)?,
        };
        let found = self
            .binder
            .find_operator(&symbol, &[left.1.clone(), element])?;
        let to_left = found.left.clone().ok_or_else(failed)?;
        let array = self
            .as_type(array, &ty, &found.right.clone().array_of())
            .ok_or_else(failed)?;
        let left = self.as_type(left.0, &left.1, &to_left).ok_or_else(failed)?;
        let (left, array) = (Box::new(left), Box::new(array));
        Ok((
            Shown::Quantified(left, symbol, quantifier, array),
            SqlType::Bool,
        ))
    }
}

/// An operator as `pg_operator` calls it.
fn symbol_shown(op: &BinaryOperator) -> String {
    match symbol_of(op).as_str() {
        "!=" => "<>".to_owned(),
        symbol => symbol.to_owned(),
    }
}

pub(super) fn not(shown: Shown, negated: bool) -> Shown {
    match negated {
        true => Shown::Not(Box::new(shown)),
        false => shown,
    }
}

pub(super) fn is_constant(shown: &Shown) -> bool {
    match shown {
        Shown::Constant(..) => true,
        Shown::Cast(inner, _, _) => is_constant(inner),
        _ => false,
    }
}
