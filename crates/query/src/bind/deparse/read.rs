//! Trees to what is shown of them, with the types that the binder finds.

use chronolith_sql::ast::{self, BinaryOperator, UnaryOperator};
use chronolith_types::{SqlType, TimeZone};

use super::shown::Shown;
use crate::bind::call::{Arg, function_name};
use crate::bind::expr::{symbol_of, text_of};
use crate::bind::operate::declared;
use crate::bind::resolve::Poly;
use crate::bind::scope::Scope;
use crate::bind::state::{Binder, Clause, Place, Result, unsupported};
use crate::catalogs::quoted;
use crate::error::Error;
use crate::value::{value_from_text, write_text};

pub(super) struct Reader<'b, 'n, 's> {
    pub(super) binder: &'b mut Binder<'n>,
    pub(super) scope: &'s Scope,
    pub(super) clause: Clause,
}

type Typed = (Shown, SqlType);

/// The value as another type; an untyped constant becomes one of it.
pub(super) fn as_type(shown: Shown, from: &SqlType, to: &SqlType) -> Option<Shown> {
    match shown {
        Shown::Constant(text, SqlType::Unknown) => {
            let text = match text {
                Some(text) => Some(canonical(&text, to)?),
                None => None,
            };
            Some(Shown::Constant(text, to.clone()))
        }
        shown if from.without_typmod() == *to => Some(shown),
        shown => Some(Shown::Cast(Box::new(shown), to.clone())),
    }
}

/// A text as the type writes what it reads from it.
fn canonical(text: &str, ty: &SqlType) -> Option<String> {
    let value = value_from_text(ty, Some(text)).ok()?;
    let mut out = Vec::new();
    let zone = TimeZone::default();
    write_text(&value, 0, ty, &zone, &mut out).ok()?;
    String::from_utf8(out).ok()
}

impl Reader<'_, '_, '_> {
    /// The type that the binder gives an expression.
    fn type_of(&mut self, tree: &ast::Expr) -> Result<SqlType> {
        let place = Place {
            scope: self.scope,
            clause: self.clause,
        };
        Ok(self.binder.expr(place, tree)?.ty)
    }

    pub(super) fn read(&mut self, tree: &ast::Expr) -> Result<Typed> {
        match tree {
            ast::Expr::Nested(inner) => self.read(inner),
            ast::Expr::Identifier(name) => {
                let ty = self.type_of(tree)?;
                Ok((Shown::Word(quoted(&name.value).into_owned()), ty))
            }
            ast::Expr::Value(value) => self.constant(&value.value),
            ast::Expr::TypedString(typed) => {
                let text = text_of(&typed.value.value);
                self.typed(text, &typed.data_type)
            }
            ast::Expr::Interval(interval) => {
                let ast::Expr::Value(value) = interval.value.as_ref() else {
                    return Err(unsupported("this interval"));
                };
                let unit = match &interval.leading_field {
                    Some(field) => format!(" {field}"),
                    None => String::new(),
                };
                let text = text_of(&value.value).map(|text| format!("{text}{unit}"));
                let text = text.and_then(|text| canonical(&text, &SqlType::Interval));
                let text = text.ok_or_else(|| unsupported("this interval"))?;
                Ok((
                    Shown::Constant(Some(text), SqlType::Interval),
                    SqlType::Interval,
                ))
            }
            ast::Expr::Cast {
                expr: inner,
                data_type,
                ..
            } => self.cast(inner, data_type),
            ast::Expr::UnaryOp { op, expr: inner } => self.unary(*op, inner),
            ast::Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            ast::Expr::IsNull(inner) => self.test(inner, "IS NULL"),
            ast::Expr::IsNotNull(inner) => self.test(inner, "IS NOT NULL"),
            ast::Expr::IsTrue(inner) => self.test(inner, "IS TRUE"),
            ast::Expr::IsNotTrue(inner) => self.test(inner, "IS NOT TRUE"),
            ast::Expr::IsFalse(inner) => self.test(inner, "IS FALSE"),
            ast::Expr::IsNotFalse(inner) => self.test(inner, "IS NOT FALSE"),
            ast::Expr::Between {
                expr: inner,
                negated,
                low,
                high,
            } => {
                let value = self.read(inner)?;
                let (low, high) = (self.read(low)?, self.read(high)?);
                let (below, above) = if *negated { ("<", ">") } else { (">=", "<=") };
                let low = self.operation(value.clone(), below, low)?.0;
                let high = self.operation(value, above, high)?.0;
                let shown = if *negated {
                    Shown::Or(vec![low, high])
                } else {
                    Shown::And(vec![low, high])
                };
                Ok((shown, SqlType::Bool))
            }
            ast::Expr::Like {
                negated,
                expr: inner,
                pattern,
                escape_char: None,
                ..
            } => {
                let (left, right) = (self.read(inner)?, self.read(pattern)?);
                self.operation(left, if *negated { "!~~" } else { "~~" }, right)
            }
            ast::Expr::ILike {
                negated,
                expr: inner,
                pattern,
                escape_char: None,
                ..
            } => {
                let (left, right) = (self.read(inner)?, self.read(pattern)?);
                self.operation(left, if *negated { "!~~*" } else { "~~*" }, right)
            }
            ast::Expr::IsDistinctFrom(left, right) => {
                self.distinct(left, right, "IS DISTINCT FROM")
            }
            ast::Expr::IsNotDistinctFrom(left, right) => {
                // As PostgreSQL reads it: the negation of the other.
                let (shown, ty) = self.distinct(left, right, "IS DISTINCT FROM")?;
                Ok((Shown::Not(Box::new(shown)), ty))
            }
            ast::Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.quantified(left, compare_op, "ANY", right),
            ast::Expr::AllOp {
                left,
                compare_op,
                right,
            } => self.quantified(left, compare_op, "ALL", right),
            ast::Expr::Substring {
                expr: inner,
                substring_from: Some(from),
                substring_for,
                special: true,
                shorthand,
            } => {
                let name = if *shorthand { "substr" } else { "substring" };
                let mut args = vec![inner.as_ref(), from.as_ref()];
                args.extend(substring_for.as_deref());
                let result = self.type_of(tree)?;
                Ok((self.call_of(name, &args)?, result))
            }
            ast::Expr::InList {
                expr: inner,
                list,
                negated,
            } => self.in_list(inner, list, *negated),
            ast::Expr::Case {
                operand: None,
                conditions,
                else_result,
                ..
            } => self.case(tree, conditions, else_result.as_deref()),
            ast::Expr::Array(array) => {
                let ty = self.type_of(tree)?;
                let element = ty.element().cloned().unwrap_or(SqlType::Text);
                let items = self.all_as(&array.elem, &element)?;
                Ok((Shown::Array(items), ty))
            }
            ast::Expr::Function(function) => self.call(tree, function),
            other => Err(unsupported(format!("showing {other}"))),
        }
    }

    fn constant(&mut self, value: &ast::Value) -> Result<Typed> {
        if let ast::Value::Number(digits, _) = value {
            let ty = self.binder.constant(value, None)?.ty;
            return Ok((Shown::Constant(Some(digits.clone()), ty.clone()), ty));
        }
        let (text, ty) = match value {
            ast::Value::Boolean(true) => (Some("t".to_owned()), SqlType::Bool),
            ast::Value::Boolean(false) => (Some("f".to_owned()), SqlType::Bool),
            ast::Value::Null => (None, SqlType::Unknown),
            other => match text_of(other) {
                Some(text) => (Some(text), SqlType::Unknown),
                None => return Err(unsupported(format!("showing {other}"))),
            },
        };
        Ok((Shown::Constant(text, ty.clone()), ty))
    }

    fn typed(&mut self, text: Option<String>, declared: &ast::DataType) -> Result<Typed> {
        let ty = chronolith_sql::type_of(declared);
        let (Some(ty), Some(text)) = (ty, text) else {
            return Err(unsupported("showing this literal"));
        };
        let bare = ty.without_typmod();
        let text = canonical(&text, &bare).ok_or_else(|| unsupported("showing this literal"))?;
        let shown = Shown::Constant(Some(text), bare.clone());
        if bare == ty {
            return Ok((shown, ty));
        }
        Ok((Shown::Cast(Box::new(shown), ty.clone()), ty))
    }

    fn cast(&mut self, inner: &ast::Expr, declared: &ast::DataType) -> Result<Typed> {
        let to = chronolith_sql::type_of(declared);
        let to = to.ok_or_else(|| unsupported("showing this type"))?;
        if let (ast::Expr::Array(array), Some(element)) = (inner, to.element()) {
            let items = self.all_as(&array.elem, &element.without_typmod())?;
            return Ok((Shown::Array(items), to));
        }
        let (shown, from) = self.read(inner)?;
        if let Shown::Constant(text, SqlType::Unknown) = shown {
            return match text {
                Some(text) => self.typed(Some(text), declared),
                None => Ok((Shown::Constant(None, to.clone()), to)),
            };
        }
        if from == to {
            return Ok((shown, to));
        }
        Ok((Shown::Cast(Box::new(shown), to.clone()), to))
    }

    fn unary(&mut self, op: UnaryOperator, inner: &ast::Expr) -> Result<Typed> {
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
        let shown = as_type(shown, &ty, &found.right);
        let shown = shown.ok_or_else(|| unsupported("showing this operand"))?;
        let prefixed = Shown::Prefixed(op.to_string(), Box::new(shown));
        Ok((prefixed, found.result.clone()))
    }

    fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed> {
        let left = self.read(left)?;
        let right = self.read(right)?;
        match op {
            BinaryOperator::And => {
                let mut parts = Vec::new();
                for side in [left.0, right.0] {
                    match side {
                        Shown::And(inner) => parts.extend(inner),
                        other => parts.push(other),
                    }
                }
                Ok((Shown::And(parts), SqlType::Bool))
            }
            BinaryOperator::Or => {
                let mut parts = Vec::new();
                for side in [left.0, right.0] {
                    match side {
                        Shown::Or(inner) => parts.extend(inner),
                        other => parts.push(other),
                    }
                }
                Ok((Shown::Or(parts), SqlType::Bool))
            }
            op => {
                let symbol = match symbol_of(op).as_str() {
                    "!=" => "<>".to_owned(),
                    symbol => symbol.to_owned(),
                };
                self.operation(left, &symbol, right)
            }
        }
    }

    fn operation(&mut self, left: Typed, symbol: &str, right: Typed) -> Result<Typed> {
        let given = [left.1.clone(), right.1.clone()];
        let found = self.binder.find_operator(symbol, &given)?;
        let wanted = declared(found);
        let poly = Poly::of(&wanted, &given).map_err(unsupported)?;
        let common = self.binder.common(poly.compatible(), "operator")?;
        let mut types = wanted.iter().map(|ty| poly.resolve(ty, &common));
        let (Some(to_left), Some(to_right)) = (types.next(), types.next()) else {
            return Err(Error::internal("an operator of two without operands"));
        };
        let sides = as_type(left.0, &left.1, &to_left).zip(as_type(right.0, &right.1, &to_right));
        let (left, right) = sides.ok_or_else(|| unsupported("showing this operand"))?;
        let shown = Shown::Operation(Box::new(left), symbol.to_owned(), Box::new(right));
        Ok((shown, poly.resolve(&found.result, &common)))
    }

    fn test(&mut self, inner: &ast::Expr, test: &'static str) -> Result<Typed> {
        let (shown, _) = self.read(inner)?;
        Ok((Shown::Test(Box::new(shown), test), SqlType::Bool))
    }

    fn in_list(&mut self, inner: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let left = self.read(inner)?;
        let symbol = if negated { "<>" } else { "=" };
        if let [one] = list {
            let right = self.read(one)?;
            return self.operation(left, symbol, right);
        }
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.read(item)?);
        }
        if !items
            .iter()
            .all(|(shown, _)| matches!(shown, Shown::Constant(..)))
        {
            return Err(unsupported("showing this list"));
        }
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
            shown.push(as_type(item, &ty, &common).ok_or_else(failed)?);
        }
        let mut array = Shown::Array(shown);
        if found.right != common {
            array = Shown::Cast(Box::new(array), found.right.clone().array_of());
        }
        let left = as_type(left.0, &left.1, &to_left).ok_or_else(failed)?;
        let quantifier = if negated { "ALL" } else { "ANY" };
        let shown = Shown::Quantified(
            Box::new(left),
            symbol.to_owned(),
            quantifier,
            Box::new(array),
        );
        Ok((shown, SqlType::Bool))
    }

    fn case(
        &mut self,
        tree: &ast::Expr,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let ty = self.type_of(tree)?;
        let failed = || unsupported("showing this CASE");
        let mut branches = Vec::with_capacity(conditions.len());
        for branch in conditions {
            let (when, _) = self.read(&branch.condition)?;
            let (then, from) = self.read(&branch.result)?;
            branches.push((when, as_type(then, &from, &ty).ok_or_else(failed)?));
        }
        let otherwise = match otherwise {
            Some(otherwise) => {
                let (shown, from) = self.read(otherwise)?;
                Some(Box::new(as_type(shown, &from, &ty).ok_or_else(failed)?))
            }
            None => Some(Box::new(Shown::Constant(None, ty.clone()))),
        };
        Ok((Shown::Case(None, branches, otherwise), ty))
    }

    fn all_as(&mut self, items: &[ast::Expr], ty: &SqlType) -> Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(items.len());
        for item in items {
            let (item, from) = self.read(item)?;
            let item = as_type(item, &from, ty);
            shown.push(item.ok_or_else(|| unsupported("showing this item"))?);
        }
        Ok(shown)
    }

    fn call(&mut self, tree: &ast::Expr, function: &ast::Function) -> Result<Typed> {
        let result = self.type_of(tree)?;
        let name = function_name(function)?;
        let list = match &function.args {
            ast::FunctionArguments::None => return Ok((Shown::Word(name.to_uppercase()), result)),
            ast::FunctionArguments::List(list)
                if function.over.is_none()
                    && function.filter.is_none()
                    && function.within_group.is_empty()
                    && list.duplicate_treatment.is_none()
                    && list.clauses.is_empty() =>
            {
                list
            }
            _ => return Err(unsupported("showing this call")),
        };
        let mut trees = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(value)) => trees.push(value),
                _ => return Err(unsupported("showing this argument")),
            }
        }
        if matches!(name.as_str(), "coalesce" | "greatest" | "least") {
            let mut shown = Vec::with_capacity(trees.len());
            for tree in trees {
                let (item, from) = self.read(tree)?;
                let item = as_type(item, &from, &result.without_typmod());
                shown.push(item.ok_or_else(|| unsupported("showing this argument"))?);
            }
            return Ok((Shown::Call(name.to_uppercase(), shown), result));
        }
        if matches!(name.as_str(), "nullif" | "row" | "grouping") {
            return Err(unsupported("showing this call"));
        }
        Ok((self.call_of(&name, &trees)?, result))
    }

    fn call_of(&mut self, name: &str, trees: &[&ast::Expr]) -> Result<Shown> {
        let mut args = Vec::with_capacity(trees.len());
        for tree in trees {
            let place = Place {
                scope: self.scope,
                clause: self.clause,
            };
            args.push(Arg {
                name: None,
                value: self.binder.expr(place, tree)?,
                variadic: false,
            });
        }
        let resolved = self.binder.resolve(name, args, None)?;
        let mut shown = Vec::with_capacity(trees.len());
        for (tree, to) in trees.iter().zip(&resolved.args) {
            let (arg, from) = self.read(tree)?;
            let arg = as_type(arg, &from, &to.ty.without_typmod());
            shown.push(arg.ok_or_else(|| unsupported("showing this argument"))?);
        }
        Ok(Shown::Call(quoted(name).into_owned(), shown))
    }

    fn distinct(&mut self, left: &ast::Expr, right: &ast::Expr, words: &str) -> Result<Typed> {
        let (left, right) = (self.read(left)?, self.read(right)?);
        match self.operation(left, "=", right)? {
            (Shown::Operation(left, _, right), ty) => {
                Ok((Shown::Operation(left, words.to_owned(), right), ty))
            }
            other => Ok(other),
        }
    }

    /// `left op ANY (array)`.
    fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        quantifier: &'static str,
        right: &ast::Expr,
    ) -> Result<Typed> {
        let left = self.read(left)?;
        let (array, ty) = self.read(right)?;
        let symbol = match symbol_of(op).as_str() {
            "!=" => "<>".to_owned(),
            symbol => symbol.to_owned(),
        };
        let failed = || unsupported("showing this comparison");
        let element = match &ty {
            SqlType::Unknown => left.1.without_typmod(),
            ty => ty.element().cloned().ok_or_else(failed)?,
        };
        let found = self
            .binder
            .find_operator(&symbol, &[left.1.clone(), element])?;
        let to_left = found.left.clone().ok_or_else(failed)?;
        let array = as_type(array, &ty, &found.right.clone().array_of()).ok_or_else(failed)?;
        let left = as_type(left.0, &left.1, &to_left).ok_or_else(failed)?;
        let (left, array) = (Box::new(left), Box::new(array));
        Ok((
            Shown::Quantified(left, symbol, quantifier, array),
            SqlType::Bool,
        ))
    }
}
