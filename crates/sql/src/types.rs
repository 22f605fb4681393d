//! Types as they are written.

use std::sync::Arc;

use chronolith_types::{SqlState, SqlType, TypeName};
use sqlparser::ast::{ArrayElemTypeDef, DataType};

/// The SQL type that a declared type names; none for one that does not exist here.
#[must_use]
pub fn type_of(declared: &DataType) -> Option<SqlType> {
    match declared {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
            // Dimensions are not told apart.
            let element = type_of(element)?;
            Some(match element {
                SqlType::Array(_) => element,
                element => element.array_of(),
            })
        }
        DataType::Custom(name, modifiers) => {
            let mut text = match name.0.as_slice() {
                [one] => one.as_ident()?.value.clone(),
                [schema, one] => {
                    let schema = &schema.as_ident()?.value;
                    if schema != "pg_catalog" && schema != "public" {
                        return None;
                    }
                    one.as_ident()?.value.clone()
                }
                _ => return None,
            };
            // Quoted "char" is a type of its own.
            if text == "char"
                && name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .is_some_and(|ident| ident.quote_style.is_some())
            {
                return Some(SqlType::InternalChar);
            }
            match text.as_str() {
                "serial" | "serial4" => return Some(SqlType::Int4),
                "bigserial" | "serial8" => return Some(SqlType::Int8),
                "smallserial" | "serial2" => return Some(SqlType::Int2),
                _ => {}
            }
            if !modifiers.is_empty() {
                text = format!("{text}({})", modifiers.join(","));
            }
            SqlType::parse_name(&text)
        }
        other => SqlType::parse_name(&other.to_string()),
    }
}

/// The type that a declared type names, or its name where only the catalog can know it; none for
/// what is no name.
#[must_use]
pub fn type_or_name(declared: &DataType, position: usize) -> Option<SqlType> {
    if let Some(known) = type_of(declared) {
        return Some(known);
    }
    match declared {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
            let element = type_or_name(element, position)?;
            Some(match element {
                SqlType::Array(_) => element,
                element => element.array_of(),
            })
        }
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            let parts = name.0.iter().map(|part| part.as_ident());
            let parts: Option<Vec<_>> = parts.collect();
            let (schema, name) = match parts?.as_slice() {
                [name] => (None, name.value.clone()),
                [.., schema, name] => (Some(schema.value.clone()), name.value.clone()),
                [] => return None,
            };
            Some(SqlType::Named(Arc::new(TypeName {
                schema,
                name,
                position,
            })))
        }
        _ => None,
    }
}

/// Why a declared type's modifier cannot be had: `22023` as PostgreSQL says it, `0A000` for what is
/// not kept here.
///
/// # Errors
/// The code and the message.
pub fn check_modifiers(declared: &DataType) -> Result<(), (SqlState, String)> {
    const DIGITS_MAX: i64 = 1000;
    const LENGTH_MAX: i64 = 10_485_760;
    let declared = match declared {
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => element.as_ref(),
        other => other,
    };
    if matches!(declared, DataType::Array(_)) {
        return Ok(());
    }
    let text = declared.to_string().to_lowercase();
    let Some((base, rest)) = text.split_once('(') else {
        return Ok(());
    };
    let numbers = rest.split_once(')').map_or("", |(numbers, _)| numbers);
    let first = numbers.split(',').next().unwrap_or("").trim();
    let Ok(first) = first.parse::<i64>() else {
        return Ok(());
    };
    let invalid = |message: String| Err((SqlState::INVALID_PARAMETER_VALUE, message));
    match base.trim() {
        "numeric" | "decimal" | "dec" if !(1..=DIGITS_MAX).contains(&first) => invalid(format!(
            "NUMERIC precision {first} must be between 1 and {DIGITS_MAX}"
        )),
        "numeric" | "decimal" | "dec" if first > 38 => Err((
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("type {text} with more than 38 digits is not supported"),
        )),
        base @ ("varchar" | "character varying" | "char varying" | "char" | "character") => {
            let name = if base.contains("var") {
                "varchar"
            } else {
                "char"
            };
            if first < 1 {
                invalid(format!("length for type {name} must be at least 1"))
            } else if first > LENGTH_MAX {
                invalid(format!("length for type {name} cannot exceed {LENGTH_MAX}"))
            } else {
                Ok(())
            }
        }
        _ => Ok(()),
    }
}
