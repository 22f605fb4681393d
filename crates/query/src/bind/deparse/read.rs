//! Trees to what is shown of them, with the types that the binder finds.

use std::collections::HashMap;
use std::rc::Rc;

use chronolith_sql::ast;
use chronolith_types::{SqlType, TimeZone};
use datafusion::logical_expr::Expr;

use super::operators::not;
use super::shown::{Piece, Shown, Sublink, Subscript, Way};
use crate::bind::cast::limit_of;
use crate::bind::coerce::read_as;
use crate::bind::expr::text_of;
use crate::bind::scope::Scope;
use crate::bind::state::{Binder, Clause, Place, Result, told, unsupported};
use crate::functions::literal_from_text;
use crate::value::write_text;

pub(super) struct Reader<'b, 'n> {
    pub(super) binder: &'b mut Binder<'n>,
    pub(super) scope: Rc<Scope>,
    pub(super) clause: Clause,
    /// What columns are shown as, query by query, the innermost last.
    pub(super) levels: Vec<Level>,
    /// The names that relations have in the queries around and in this one.
    pub(super) names: Vec<String>,
    /// Whether a column of the innermost query was named.
    pub(super) touched: bool,
}

/// The columns of a query by their internal names: the relation's name and their own.
#[derive(Debug, Default)]
pub(super) struct Level {
    pub(super) columns: HashMap<String, (Option<String>, String)>,
    /// Aliases, schemas and names shown of the relations.
    pub(super) leaves: Vec<(String, Option<String>, String)>,
}

pub(super) type Typed = (Shown, SqlType);

/// How PostgreSQL casts one type to another.
fn way(from: &SqlType, to: &SqlType) -> Way {
    use SqlType as T;
    let (from, to) = (from.without_typmod(), to.without_typmod());
    let number = |ty: &T| {
        matches!(
            ty,
            T::Int2 | T::Int4 | T::Int8 | T::Float4 | T::Float8 | T::Numeric(_)
        )
    };
    let time = |ty: &T| {
        matches!(
            ty,
            T::Date | T::Time(_) | T::Timestamp(_) | T::Timestamptz(_) | T::Interval(_)
        )
    };
    let function = from == to
        || (number(&from) && number(&to))
        || (time(&from) && time(&to))
        || matches!(
            (&from, &to),
            (T::Bool, T::Int4 | T::Text | T::Varchar(_))
                | (T::Int4, T::Bool)
                | (T::Char(_) | T::Name | T::InternalChar, T::Text)
                | (T::Text, T::Char(_) | T::Name | T::InternalChar)
                | (T::Jsonb, T::Bool)
        )
        || (from == T::Jsonb && number(&to));
    if function { Way::Function } else { Way::Text }
}

pub(super) fn cast(shown: Shown, from: &SqlType, to: &SqlType) -> Shown {
    Shown::Cast(Box::new(shown), to.clone(), way(from, to))
}

impl Reader<'_, '_> {
    /// The type that the binder gives an expression.
    fn type_of(&mut self, tree: &ast::Expr) -> Result<SqlType> {
        Ok(self.bound(tree)?.ty)
    }

    /// What the binder makes of an expression here.
    pub(super) fn bound(&mut self, tree: &ast::Expr) -> Result<crate::functions::Typed> {
        let scope = Rc::clone(&self.scope);
        let place = Place {
            scope: &scope,
            clause: self.clause,
        };
        self.binder.expr(place, tree)
    }

    /// The value as another type; an untyped constant becomes one of it.
    pub(super) fn as_type(&self, shown: Shown, from: &SqlType, to: &SqlType) -> Option<Shown> {
        match shown {
            Shown::Constant(text, SqlType::Unknown) if *to != SqlType::Unknown => {
                let text = match text {
                    Some(text) => Some(self.canonical(&text, to)?),
                    None => None,
                };
                Some(Shown::Constant(text, to.clone()))
            }
            shown if from.without_typmod() == *to => Some(shown),
            // Functions of arrays take those of a domain as they are.
            shown if from.plain().without_typmod() == *to => Some(shown),
            shown => Some(cast(shown, from, to)),
        }
    }

    /// An untyped constant as one of a type; any other value as it is.
    pub(super) fn settled(&self, shown: Shown, from: &SqlType, to: &SqlType) -> Result<Shown> {
        if *from != SqlType::Unknown {
            return Ok(shown);
        }
        let settled = self.as_type(shown, from, &read_as(to));
        settled.ok_or_else(|| unsupported("showing this constant"))
    }

    /// A text as the type writes what it reads from it, in the session's zone.
    fn canonical(&self, text: &str, ty: &SqlType) -> Option<String> {
        // The name of an object, as the text has it.
        if matches!(ty, SqlType::Reg(_)) && !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(text.to_owned());
        }
        let vars = self.binder.names.vars();
        let value = literal_from_text(text, ty, vars).map_err(told).ok()?;
        let value = value.to_array().ok()?;
        let mut out = Vec::new();
        let zone = TimeZone::parse(&vars.time_zone).unwrap_or_default();
        write_text(&value, 0, ty, &zone, &mut out).ok()?;
        String::from_utf8(out).ok()
    }

    /// What a column of an internal name is shown as.
    pub(super) fn column(&mut self, internal: &str) -> Option<Shown> {
        for (depth, level) in self.levels.iter().rev().enumerate() {
            if let Some((table, name)) = level.columns.get(internal) {
                let shown = Shown::Column(table.clone(), name.clone());
                self.touched |= depth == 0;
                return Some(shown);
            }
        }
        None
    }

    fn named(&mut self, tree: &ast::Expr) -> Result<Typed> {
        let bound = self.bound(tree)?;
        let internal = match &bound.expr {
            Expr::Column(column) | Expr::OuterReferenceColumn(_, column) => column.name.clone(),
            _ => return Err(unsupported(format!("showing {tree}"))),
        };
        if let Some(shown) = self.column(&internal) {
            return Ok((shown, bound.ty));
        }
        match tree {
            ast::Expr::Identifier(name) if self.levels.is_empty() => {
                Ok((Shown::Column(None, name.value.clone()), bound.ty))
            }
            _ => Err(unsupported(format!("showing {tree}"))),
        }
    }

    /// The type that a declaration names.
    fn declared(&mut self, declared: &ast::DataType) -> Result<SqlType> {
        if let Some(ty) = chronolith_sql::type_of(declared) {
            return Ok(ty);
        }
        self.binder.declared(declared, None)
    }

    pub(super) fn read(&mut self, tree: &ast::Expr) -> Result<Typed> {
        match tree {
            ast::Expr::Nested(inner) => self.read(inner),
            ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_) => self.named(tree),
            ast::Expr::CompoundFieldAccess { root, access_chain } => {
                self.subscripts(tree, root, access_chain)
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
                let ty = SqlType::Interval(limit_of(interval)?);
                let text = text_of(&value.value);
                let text = text.and_then(|text| self.canonical(&text, &ty));
                let text = text.ok_or_else(|| unsupported("this interval"))?;
                let shown = Shown::Constant(Some(text), SqlType::Interval(None));
                Ok(match ty {
                    SqlType::Interval(None) => (shown, ty),
                    _ => (cast(shown, &SqlType::Interval(None), &ty), ty),
                })
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
                any: false,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let left = self.read(inner)?;
                let right = match escape_char {
                    None => self.read(pattern)?,
                    Some(escape) => {
                        let escape = ast::Expr::Value(escape.clone());
                        self.calling("like_escape", &[pattern, &escape])?
                    }
                };
                self.operation(left, if *negated { "!~~" } else { "~~" }, right)
            }
            ast::Expr::ILike {
                negated,
                any: false,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let left = self.read(inner)?;
                let right = match escape_char {
                    None => self.read(pattern)?,
                    Some(escape) => {
                        let escape = ast::Expr::Value(escape.clone());
                        self.calling("like_escape", &[pattern, &escape])?
                    }
                };
                self.operation(left, if *negated { "!~~*" } else { "~~*" }, right)
            }
            ast::Expr::SimilarTo {
                negated,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let left = self.read(inner)?;
                let escape = escape_char.clone().map(ast::Expr::Value);
                let mut args = vec![pattern.as_ref()];
                args.extend(&escape);
                let right = self.calling("similar_to_escape", &args)?;
                self.operation(left, if *negated { "!~" } else { "~" }, right)
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
                operand,
                conditions,
                else_result,
                ..
            } => self.case(tree, operand.as_deref(), conditions, else_result.as_deref()),
            ast::Expr::Array(array) => {
                let ty = self.type_of(tree)?;
                let items = self.items_of(&array.elem, &ty)?;
                Ok((items, ty))
            }
            ast::Expr::IsUnknown(inner) => self.test(inner, "IS UNKNOWN"),
            ast::Expr::IsNotUnknown(inner) => self.test(inner, "IS NOT UNKNOWN"),
            ast::Expr::Tuple(parts) => self.row(tree, parts),
            ast::Expr::Collate {
                expr: inner,
                collation,
            } => {
                let (shown, ty) = self.read(inner)?;
                let shown = self.settled(shown, &ty, &SqlType::Text)?;
                let ty = match ty {
                    SqlType::Unknown => SqlType::Text,
                    known => known,
                };
                Ok((Shown::Collate(Box::new(shown), collation.to_string()), ty))
            }
            ast::Expr::Exists { subquery, negated } => {
                let query = Box::new(self.inner(subquery)?);
                let shown = Shown::Sublink(None, Sublink::Exists, query);
                Ok((not(shown, *negated), SqlType::Bool))
            }
            ast::Expr::Subquery(query) => {
                let ty = self.type_of(tree)?;
                let query = Box::new(self.inner(query)?);
                Ok((Shown::Sublink(None, Sublink::Value, query), ty))
            }
            ast::Expr::InSubquery {
                expr: inner,
                subquery,
                negated,
            } => {
                let shown = self.compared(inner, "=", "IN", subquery)?;
                Ok((not(shown, *negated), SqlType::Bool))
            }
            ast::Expr::AtTimeZone { .. }
            | ast::Expr::Extract { .. }
            | ast::Expr::Position { .. }
            | ast::Expr::Overlay { .. }
            | ast::Expr::Trim { .. }
            | ast::Expr::Substring { .. }
            | ast::Expr::Ceil { .. }
            | ast::Expr::Floor { .. } => self.spelled(tree),
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
        let ty = self.declared(declared)?;
        let Some(text) = text else {
            return Err(unsupported("showing this literal"));
        };
        let bare = ty.without_typmod();
        let text = self
            .canonical(&text, &read_as(&ty))
            .ok_or_else(|| unsupported("showing this literal"))?;
        let shown = Shown::Constant(Some(text), bare.clone());
        if bare == ty {
            return Ok((shown, ty));
        }
        Ok((cast(shown, &bare, &ty), ty))
    }

    /// `ARRAY[…]` of a type.
    fn items_of(&mut self, items: &[ast::Expr], ty: &SqlType) -> Result<Shown> {
        let Some(first) = items.first() else {
            return Ok(Shown::NoItems(ty.without_typmod()));
        };
        let mut bare = first;
        while let ast::Expr::Nested(within) = bare {
            bare = within;
        }
        // An array of arrays has the type of its items.
        let item = match (bare, ty.element()) {
            (ast::Expr::Array(_), _) => ty.without_typmod(),
            (_, Some(element)) => element.without_typmod(),
            (_, None) => SqlType::Text,
        };
        Ok(Shown::Array(self.all_as(items, &item)?))
    }

    fn cast(&mut self, inner: &ast::Expr, declared: &ast::DataType) -> Result<Typed> {
        let to = self.declared(declared)?;
        let mut bare = inner;
        while let ast::Expr::Nested(within) = bare {
            bare = within;
        }
        if let (ast::Expr::Array(array), Some(_)) = (bare, to.element()) {
            let items = self.items_of(&array.elem, &to)?;
            return Ok((items, to));
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
        Ok((cast(shown, &from, &to), to))
    }

    fn case(
        &mut self,
        tree: &ast::Expr,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let ty = self.type_of(tree)?;
        let failed = || unsupported("showing this CASE");
        let operand = match operand {
            Some(operand) => {
                let (shown, from) = self.read(operand)?;
                let shown = self.settled(shown, &from, &SqlType::Text)?;
                let from = match from {
                    SqlType::Unknown => SqlType::Text,
                    known => known,
                };
                Some((shown, from))
            }
            None => None,
        };
        let mut branches = Vec::with_capacity(conditions.len());
        for branch in conditions {
            let (mut when, from) = self.read(&branch.condition)?;
            if let Some(operand) = &operand {
                when = match self.operation(operand.clone(), "=", (when, from))?.0 {
                    Shown::Operation(_, _, right) => *right,
                    other => other,
                };
            }
            let (then, from) = self.read(&branch.result)?;
            branches.push((when, self.as_type(then, &from, &ty).ok_or_else(failed)?));
        }
        let otherwise = match otherwise {
            Some(otherwise) => {
                let (shown, from) = self.read(otherwise)?;
                Some(Box::new(
                    self.as_type(shown, &from, &ty).ok_or_else(failed)?,
                ))
            }
            None => Some(Box::new(Shown::Constant(None, ty.clone()))),
        };
        let operand = operand.map(|(shown, _)| Box::new(shown));
        Ok((Shown::Case(operand, branches, otherwise), ty))
    }

    fn all_as(&mut self, items: &[ast::Expr], ty: &SqlType) -> Result<Vec<Shown>> {
        let mut shown = Vec::with_capacity(items.len());
        for item in items {
            let (item, from) = self.read(item)?;
            let item = self.as_type(item, &from, ty);
            shown.push(item.ok_or_else(|| unsupported("showing this item"))?);
        }
        Ok(shown)
    }

    fn row(&mut self, tree: &ast::Expr, parts: &[ast::Expr]) -> Result<Typed> {
        let ty = self.type_of(tree)?;
        let mut shown = Vec::with_capacity(parts.len());
        for part in parts {
            shown.push(self.key(part)?);
        }
        Ok((Shown::Row(shown), ty))
    }

    fn subscripts(
        &mut self,
        tree: &ast::Expr,
        root: &ast::Expr,
        chain: &[ast::AccessExpr],
    ) -> Result<Typed> {
        let ty = self.type_of(tree)?;
        // `t.list[1]` begins with a column.
        let column = match (root, chain) {
            (
                ast::Expr::Identifier(table),
                [ast::AccessExpr::Dot(ast::Expr::Identifier(name)), ..],
            ) => Some(vec![table.clone(), name.clone()]),
            _ => None,
        };
        let chain = if column.is_some() {
            chain.get(1..).unwrap_or_default()
        } else {
            chain
        };
        let (shown, from) = match column {
            Some(parts) => self.read(&ast::Expr::CompoundIdentifier(parts))?,
            None => self.read(root)?,
        };
        let json = from.without_typmod() == SqlType::Jsonb;
        if from.element().is_none() && !json {
            return Err(unsupported("showing this subscript"));
        }
        let mut subscripts = Vec::with_capacity(chain.len());
        for access in chain {
            let ast::AccessExpr::Subscript(subscript) = access else {
                return Err(unsupported("showing this field"));
            };
            subscripts.push(match subscript {
                ast::Subscript::Index { index } if json => {
                    let (shown, from) = self.read(index)?;
                    Subscript::Index(self.settled(shown, &from, &SqlType::Text)?)
                }
                ast::Subscript::Index { index } => Subscript::Index(self.read(index)?.0),
                ast::Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    ..
                } => {
                    let mut bound = |bound: &Option<ast::Expr>| -> Result<Option<Shown>> {
                        match bound {
                            Some(bound) => Ok(Some(self.read(bound)?.0)),
                            None => Ok(None),
                        }
                    };
                    Subscript::Slice(bound(lower_bound)?, bound(upper_bound)?)
                }
            });
        }
        Ok((Shown::Subscript(Box::new(shown), subscripts), ty))
    }

    /// A function called by words of its own.
    fn spelled(&mut self, tree: &ast::Expr) -> Result<Typed> {
        use Piece::{Operand, Plain, Text};
        let ty = self.type_of(tree)?;
        let pieces = match tree {
            ast::Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => vec![
                Text("("),
                Operand(self.as_text(timestamp, &SqlType::Timestamptz(None))?),
                Text(" AT TIME ZONE "),
                Operand(self.as_text(time_zone, &SqlType::Text)?),
                Text(")"),
            ],
            ast::Expr::Extract { field, expr, .. } => {
                let field = field.to_string().trim_matches('\'').to_lowercase();
                let from = self.read(expr)?;
                let from = self.settled(from.0, &from.1, &SqlType::Timestamptz(None))?;
                vec![
                    Text("EXTRACT("),
                    Plain(Shown::Word(field)),
                    Text(" FROM "),
                    Plain(from),
                    Text(")"),
                ]
            }
            ast::Expr::Position { expr, r#in } => vec![
                Text("POSITION(("),
                Plain(self.as_text(expr, &SqlType::Text)?),
                Text(") IN ("),
                Plain(self.as_text(r#in, &SqlType::Text)?),
                Text("))"),
            ],
            ast::Expr::Overlay {
                expr,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                let mut pieces = vec![
                    Text("OVERLAY("),
                    Plain(self.as_text(expr, &SqlType::Text)?),
                    Text(" PLACING "),
                    Plain(self.as_text(overlay_what, &SqlType::Text)?),
                    Text(" FROM "),
                    Plain(self.as_text(overlay_from, &SqlType::Int4)?),
                ];
                if let Some(count) = overlay_for {
                    pieces.push(Text(" FOR "));
                    pieces.push(Plain(self.as_text(count, &SqlType::Int4)?));
                }
                pieces.push(Text(")"));
                pieces
            }
            ast::Expr::Trim {
                trim_where,
                trim_what,
                expr,
                trim_characters: None,
            } => {
                let mut pieces = vec![Text(match trim_where {
                    Some(ast::TrimWhereField::Leading) => "TRIM(LEADING",
                    Some(ast::TrimWhereField::Trailing) => "TRIM(TRAILING",
                    _ => "TRIM(BOTH",
                })];
                if let Some(what) = trim_what {
                    pieces.push(Text(" "));
                    pieces.push(Plain(self.as_text(what, &SqlType::Text)?));
                }
                pieces.push(Text(" FROM "));
                pieces.push(Plain(self.as_text(expr, &SqlType::Text)?));
                pieces.push(Text(")"));
                pieces
            }
            ast::Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let one = ast::Expr::value(ast::Value::Number("1".to_owned(), false));
                let from = substring_from.as_deref().unwrap_or(&one);
                let mut pieces = vec![
                    Text("SUBSTRING("),
                    Plain(self.as_text(expr, &SqlType::Text)?),
                    Text(" FROM "),
                    Plain(self.as_text(from, &SqlType::Text)?),
                ];
                if let Some(count) = substring_for {
                    pieces.push(Text(" FOR "));
                    pieces.push(Plain(self.as_text(count, &SqlType::Int4)?));
                }
                pieces.push(Text(")"));
                pieces
            }
            ast::Expr::Ceil { expr, .. } => return Ok((self.call_of("ceil", &[expr])?, ty)),
            ast::Expr::Floor { expr, .. } => return Ok((self.call_of("floor", &[expr])?, ty)),
            other => return Err(unsupported(format!("showing {other}"))),
        };
        Ok((Shown::Spelled(pieces), ty))
    }

    /// An argument in a spelling that hides what it is cast to.
    fn as_text(&mut self, tree: &ast::Expr, ty: &SqlType) -> Result<Shown> {
        let (shown, from) = self.read(tree)?;
        self.settled(shown, &from, ty)
    }
}
