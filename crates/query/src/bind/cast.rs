//! Casts, and literals that name their type.

use chronolith_sql::ast::{self, UnaryOperator};
use chronolith_sql::type_of;
use chronolith_types::{SqlState, SqlType};

use super::expr::text_of;
use super::state::{Binder, Place, Result, position};
use crate::error::Error;
use crate::functions::{CastContext, Typed};

impl Binder<'_> {
    pub(super) fn cast(
        &mut self,
        place: Place<'_>,
        inner: &ast::Expr,
        declared: &ast::DataType,
    ) -> Result<Typed> {
        let at = position(inner);
        let to = self.declared(declared, at)?;
        // `'…'::type` and `ARRAY[]::type[]` take their type from the cast.
        if let ast::Expr::Array(array) = inner
            && let SqlType::Array(element) = &to
        {
            return self.array_of(place, &array.elem, element, at);
        }
        // A number written out may have more digits than numeric keeps, but not than a float does.
        if matches!(to, SqlType::Float4 | SqlType::Float8)
            && let Some(digits) = digits_of(inner)
        {
            let value = self.unknown(&digits, at);
            return self.coerce(value, &to, CastContext::Explicit);
        }
        let value = self.expr(place, inner)?;
        let value = self
            .coerce(value, &to, CastContext::Explicit)
            .map_err(|error| error.at(at))?;
        precise(value, declared)
    }

    pub(super) fn declared(&self, declared: &ast::DataType, at: Option<u32>) -> Result<SqlType> {
        match chronolith_sql::check_modifiers(declared) {
            // A column keeps all digits of a time; a value can be rounded to fewer.
            Err((SqlState::FEATURE_NOT_SUPPORTED, _)) | Ok(()) => {}
            Err((code, message)) => return Err(Error::new(code, message).at(at)),
        }
        type_of(declared).ok_or_else(|| {
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
            let at = position(declared_span(declared)).or(at);
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            )
            .at(at)
        })
    }

    pub(super) fn typed_literal(
        &mut self,
        declared: &ast::DataType,
        text: Option<&str>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let to = self.declared(declared, at)?;
        let Some(text) = text else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(at));
        };
        let value = self.unknown(text, at);
        let value = self.coerce(value, &to, CastContext::Explicit)?;
        precise(value, declared)
    }

    pub(super) fn interval(&mut self, place: Place<'_>, interval: &ast::Interval) -> Result<Typed> {
        let at = position(interval.value.as_ref());
        let text = match interval.value.as_ref() {
            ast::Expr::Value(value) => text_of(&value.value),
            _ => None,
        };
        let Some(mut text) = text else {
            // `interval $1`, which only looks like a literal.
            let value = self.expr(place, &interval.value)?;
            return self.coerce(value, &SqlType::Interval, CastContext::Explicit);
        };
        if let Some(field) = &interval.leading_field {
            let bare = text.trim().trim_start_matches(['-', '+']);
            if interval.last_field.is_none()
                && bare
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'.')
            {
                text = format!("{text} {field}");
            }
        }
        let value = self.unknown(&text, at);
        self.coerce(value, &SqlType::Interval, CastContext::Explicit)
    }
}

/// A time rounded to the digits that its type declares.
fn precise(value: Typed, declared: &ast::DataType) -> Result<Typed> {
    let digits = match declared {
        ast::DataType::Time(Some(digits), _) | ast::DataType::Timestamp(Some(digits), _) => *digits,
        ast::DataType::Interval {
            precision: Some(digits),
            ..
        } => *digits,
        ast::DataType::Custom(_, modifiers) => match modifiers.as_slice() {
            [digits] => digits.parse().unwrap_or(6),
            _ => 6,
        },
        _ => 6,
    };
    let timed = matches!(
        value.ty,
        SqlType::Time | SqlType::Timestamp | SqlType::Timestamptz | SqlType::Interval
    );
    match u32::try_from(digits) {
        Ok(digits @ 0..6) if timed => {
            crate::functions::time_precision(value, digits).map_err(super::state::told)
        }
        _ => Ok(value),
    }
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
        } => digits_of(expr).map(|digits| format!("-{digits}")),
        ast::Expr::Nested(inner) => digits_of(inner),
        _ => None,
    }
}

fn declared_span(declared: &ast::DataType) -> &ast::ObjectName {
    static NOTHING: std::sync::LazyLock<ast::ObjectName> =
        std::sync::LazyLock::new(|| ast::ObjectName(Vec::new()));
    match declared {
        ast::DataType::Custom(name, _) => name,
        _ => &NOTHING,
    }
}
