//! Subscripts of what is no array: jsonb, and names.

use chronolith_sql::ast::Subscript;
use chronolith_types::{SqlState, SqlType};

use super::coerce::castable;
use super::state::{Binder, Place, Result, position};
use crate::error::Error;
use crate::functions::{CastContext, Typed};

impl Binder<'_> {
    /// The subscripts of jsonb: texts, and whole numbers where they are such.
    pub(super) fn json_steps(
        &mut self,
        place: Place<'_>,
        subscripts: &[&Subscript],
        at: Option<u32>,
    ) -> Result<Vec<Typed>> {
        let mut steps = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            let Subscript::Index { index } = subscript else {
                let slice = "jsonb subscript does not support slices";
                let bound = match subscript {
                    Subscript::Slice {
                        lower_bound,
                        upper_bound,
                        ..
                    } => upper_bound.as_ref().or(lower_bound.as_ref()),
                    Subscript::Index { .. } => None,
                };
                let at = bound.map_or(at, position);
                return Err(Error::new(SqlState::DATATYPE_MISMATCH, slice).at(at));
            };
            let value = self.expr(place, index)?;
            let fits = |ty: &SqlType| castable(&value.ty, ty, CastContext::Implicit);
            let ty = match &value.ty {
                SqlType::Unknown => SqlType::Text,
                _ if fits(&SqlType::Int4) => SqlType::Int4,
                _ if fits(&SqlType::Text) => SqlType::Text,
                other => {
                    let other = other.without_typmod();
                    let message = format!("subscript type {other} is not supported");
                    return Err(Error::new(SqlState::DATATYPE_MISMATCH, message)
                        .hint("jsonb subscript must be coercible to either integer or text.")
                        .at(position(index)));
                }
            };
            steps.push(self.coerce(value, &ty, CastContext::Implicit)?);
        }
        Ok(steps)
    }
}

/// 0A000 for more than one byte of a name.
pub(super) fn unsupported_slice(what: &str) -> Error {
    let message = format!("{what} of fixed-length arrays not implemented");
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}
