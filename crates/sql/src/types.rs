//! Types as they are written.

use chronolith_types::SqlType;
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
        DataType::Interval { .. } => Some(SqlType::Interval),
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
