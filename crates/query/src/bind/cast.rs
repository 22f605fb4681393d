//! Casts, and literals that name their type.

use std::sync::Arc;

use chronolith_catalog::{ConstraintKind, Type};
use chronolith_sql::ast::{self, UnaryOperator};
use chronolith_sql::{type_of, type_or_name};
use chronolith_types::{IntervalFields, IntervalLimit, SqlState, SqlType};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::Expr;

use super::bind_value;
use super::expr::text_of;
use super::names::OwnType;
use super::state::{Binder, Place, Placed, Result, lift, position, told, unsupported};
use crate::error::Error;
use crate::functions::{CastContext, Typed, canonical_form, is_composite};

impl Binder<'_> {
    pub(super) fn cast(
        &mut self,
        place: Place<'_>,
        inner: &ast::Expr,
        declared: &ast::DataType,
    ) -> Result<Typed> {
        let at = position(inner);
        let (to, domains) = self.declared_domain(declared, at)?;
        if !domains.is_empty() {
            let value = self.expr(place, inner)?;
            let value = self
                .coerce(value, &to, CastContext::Explicit)
                .and_then(|value| canonical_form(value).map_err(told))
                .map_err(|error| error.at(at))?;
            return self.held(value, &domains).map_err(|error| error.at(at));
        }
        // `'…'::type` and `ARRAY[]::type[]` take their type from the cast.
        if let ast::Expr::Array(array) = inner
            && let SqlType::Array(element) = &to
        {
            let made = self.array_of(place, &array.elem, element.base(), at)?;
            return match to.demands() {
                true => self.restricted(made, &to),
                false => Ok(made),
            };
        }
        // A number written out may have more digits than numeric keeps, but not than a float does.
        if matches!(to, SqlType::Float4 | SqlType::Float8)
            && let Some(digits) = digits_of(inner)
        {
            let value = self.unknown(&digits, at);
            return self.coerce(value, &to, CastContext::Explicit);
        }
        let documents = self.documents && !is_composite(&to);
        let around = std::mem::replace(&mut self.documents, documents);
        let value = self.expr(place, inner);
        self.documents = around;
        let of_text = matches!(inner, ast::Expr::Value(value) if text_of(&value.value).is_some());
        self.coerce(value?, &to, CastContext::Explicit)
            .map_err(|error| match of_text || error.code.class() == "42" {
                true => error.at(at),
                // What a value turns out to be is found when the statement runs.
                false => error,
            })
    }

    /// The type that a declaration names; no domain.
    pub(super) fn declared(
        &mut self,
        declared: &ast::DataType,
        at: Option<u32>,
    ) -> Result<SqlType> {
        let (ty, domains) = self.declared_domain(declared, at)?;
        match domains.is_empty() {
            true => Ok(ty),
            false => Err(unsupported("a domain here").at(at)),
        }
    }

    /// The type that a declaration names, and the domains that it is restricted by.
    pub(super) fn declared_domain(
        &mut self,
        declared: &ast::DataType,
        at: Option<u32>,
    ) -> Result<(SqlType, Vec<Arc<Type>>)> {
        match chronolith_sql::check_modifiers(declared) {
            // A column keeps all digits of a time; a value can be rounded to fewer.
            Err((SqlState::FEATURE_NOT_SUPPORTED, _)) | Ok(()) => {}
            Err((code, message)) => return Err(Error::new(code, message).at(at)),
        }
        if let Some(known) = type_of(declared) {
            return Ok((known, Vec::new()));
        }
        let start = declared_span(declared);
        let found = match type_or_name(declared, start.place()) {
            Some(named) => self.own_type(&named)?,
            None => None,
        };
        found.ok_or_else(|| {
            let name = match declared {
                ast::DataType::Custom(name, _) => name
                    .0
                    .iter()
                    .filter_map(|part| part.as_ident())
                    .map(|ident| ident.value.as_str())
                    .collect::<Vec<_>>()
                    .join("."),
                other => other.to_string().to_lowercase(),
            };
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            )
            .at(position(start).or(at))
        })
    }

    /// A type that only the catalog knows, by its name.
    fn own_type(&mut self, ty: &SqlType) -> Result<Option<(SqlType, Vec<Arc<Type>>)>> {
        match ty {
            SqlType::Array(element) => match self.own_type(element)? {
                Some((element, domains)) => {
                    let element = domains.last().map_or(element, |last| last.item_type());
                    match element.base() {
                        SqlType::Array(_) => Err(unsupported("an array of a domain over arrays")),
                        _ => Ok(Some((element.array_of(), Vec::new()))),
                    }
                }
                None => Ok(None),
            },
            SqlType::Named(name) => {
                let of = (name.schema.as_deref(), name.name.as_str());
                let (schema, found) = match self.names.user_type(of.0, of.1)? {
                    Some(OwnType { schema, chain }) => {
                        let found = chain.last().map(|last| {
                            let ty = last.sql_type();
                            let domain = last.domain().is_some();
                            (ty, if domain { chain.clone() } else { Vec::new() })
                        });
                        (schema, found)
                    }
                    None => match self.names.rows_named(of.0, of.1)? {
                        Some((schema, rows)) => (schema, Some((rows, Vec::new()))),
                        None => return Ok(None),
                    },
                };
                if name.schema.is_none() && self.views == 0 {
                    let before = format!("{}.", chronolith_sql::quoted(&schema));
                    self.edits.push((name.position, name.position, before));
                }
                Ok(found)
            }
            _ => Ok(None),
        }
    }

    /// A value that domains let in, or the error of the first that does not.
    pub(super) fn held(&mut self, value: Typed, domains: &[Arc<Type>]) -> Result<Typed> {
        let mut args = vec![value.clone()];
        let text = |text: &str| {
            let text = datafusion::common::ScalarValue::Utf8View(Some(text.to_owned()));
            Typed::literal(text, SqlType::Text)
        };
        let of = domains.last().map_or("", |ty| ty.name.as_str());
        let schema = domains.last().and_then(|ty| self.names.schema_of_type(ty));
        let schema = schema.unwrap_or_default();
        for ty in domains {
            let Some(domain) = ty.domain() else {
                continue;
            };
            if domain.not_null {
                let there = Typed::new(value.expr.clone().is_not_null(), SqlType::Bool);
                args.extend([text(&schema), text(of), text(""), there]);
            }
            for check in &domain.checks {
                let ConstraintKind::Check { expression } = &check.kind else {
                    continue;
                };
                let name = self.fresh_as("value");
                let holds = bind_value(self.names, expression, &name, &domain.base)?;
                let of_value = |expr: Expr| match &expr {
                    Expr::Column(column) if column.name == name => {
                        Ok(Transformed::yes(value.expr.clone()))
                    }
                    _ => Ok(Transformed::no(expr)),
                };
                let holds = holds.transform(of_value).map_err(lift)?.data;
                let holds = Typed::new(holds, SqlType::Bool);
                args.extend([text(&schema), text(of), text(&check.name), holds]);
            }
        }
        crate::functions::held(args).map_err(told)
    }

    pub(super) fn typed_literal(
        &mut self,
        declared: &ast::DataType,
        text: Option<&str>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let (to, domains) = self.declared_domain(declared, at)?;
        let Some(text) = text else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(at));
        };
        let value = self.unknown(text, at);
        let value = self.coerce(value, &to, CastContext::Explicit)?;
        if !domains.is_empty() {
            return self.held(value, &domains).map_err(|error| error.at(at));
        }
        Ok(value)
    }

    pub(super) fn interval(&mut self, place: Place<'_>, interval: &ast::Interval) -> Result<Typed> {
        let at = position(interval.value.as_ref());
        let to = SqlType::Interval(limit_of(interval).map_err(|error| error.at(at))?);
        let text = match interval.value.as_ref() {
            ast::Expr::Value(value) => text_of(&value.value),
            _ => None,
        };
        let Some(text) = text else {
            // `interval $1`, which only looks like a literal.
            let value = self.expr(place, &interval.value)?;
            return self.coerce(value, &to, CastContext::Explicit);
        };
        let value = self.unknown(&text, at);
        self.coerce(value, &to, CastContext::Explicit)
    }
}

/// The fields and digits that stand behind an interval's text.
pub(super) fn limit_of(interval: &ast::Interval) -> Result<Option<IntervalLimit>> {
    let Some(first) = &interval.leading_field else {
        return Ok(None);
    };
    let name = match &interval.last_field {
        Some(last) => format!("{first} to {last}"),
        None => first.to_string(),
    };
    let fields = IntervalFields::named(&name.to_lowercase()).ok_or_else(|| {
        let message = format!("syntax error at or near \"{}\"", name.to_lowercase());
        Error::new(SqlState::SYNTAX_ERROR, message)
    })?;
    if interval.leading_precision.is_some() && fields != IntervalFields::Second {
        let message = "syntax error at or near \"(\"";
        return Err(Error::new(SqlState::SYNTAX_ERROR, message));
    }
    let digits = interval.fractional_seconds_precision;
    let digits = digits.or(interval.leading_precision);
    let digits = digits.map(|digits| u8::try_from(digits.min(6)).unwrap_or(6));
    Ok(IntervalLimit::of(fields, digits))
}

/// The digits of a number that is written with a point or an exponent.
fn digits_of(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) if digits.contains(['.', 'e', 'E']) => {
                Some(digits.clone())
            }
            _ => None,
        },
        ast::Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => digits_of(expr).map(|digits| {
            // Zero as a number has no sign.
            let zero = !digits.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
            if zero { digits } else { format!("-{digits}") }
        }),
        ast::Expr::Nested(inner) => digits_of(inner),
        _ => None,
    }
}

fn declared_span(declared: &ast::DataType) -> &ast::ObjectName {
    static NOTHING: std::sync::LazyLock<ast::ObjectName> =
        std::sync::LazyLock::new(|| ast::ObjectName(Vec::new()));
    match declared {
        ast::DataType::Custom(name, _) => name,
        ast::DataType::Array(ast::ArrayElemTypeDef::SquareBracket(element, _)) => {
            declared_span(element)
        }
        _ => &NOTHING,
    }
}
