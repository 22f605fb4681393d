//! What domains ask of the items of arrays and of the fields of rows, where a value becomes such.

use std::sync::Arc;

use chronolith_catalog::{ConstraintKind, Type};
use chronolith_types::{SqlType, TypeId, UserKind, UserType};

use super::bind_value;
use super::names::Names;
use super::state::{Binder, Result, told};
use crate::functions::{self, Asked, Typed, VALUE, Within, canonical_form};

/// What is asked of what is within values of a type; nothing for most.
///
/// # Errors
/// Those of binding a check.
pub(crate) fn asked_within(names: &dyn Names, ty: &SqlType) -> Result<Option<Within>> {
    match ty {
        SqlType::Array(element) => {
            let within = asked_within(names, element)?;
            Ok(within.map(|within| Within::Items(Box::new(within))))
        }
        SqlType::User(user) => asked_of(names, ty, user),
        _ => Ok(None),
    }
}

fn asked_of(names: &dyn Names, ty: &SqlType, user: &UserType) -> Result<Option<Within>> {
    match &user.kind {
        UserKind::Enum(_) => Ok(None),
        UserKind::Composite(fields) => {
            let mut asked = Vec::new();
            for (place, (_, field)) in fields.iter().enumerate() {
                asked.extend(asked_within(names, field)?.map(|within| (place, within)));
            }
            Ok((!asked.is_empty()).then(|| Within::Fields(ty.clone(), asked)))
        }
        UserKind::Domain(base) => {
            let chain = names.domain_chain(TypeId(user.oid));
            let asked = Asked {
                schema: chain.last().and_then(|ty| names.schema_of_type(ty)),
                domain: user.shown(),
                base: base.clone(),
                checks: checks(names, &chain, base)?,
                within: asked_within(names, base)?.map(Box::new),
            };
            let any = !asked.checks.is_empty() || asked.within.is_some();
            Ok(any.then_some(Within::Value(asked)))
        }
    }
}

fn checks(
    names: &dyn Names,
    chain: &[Arc<Type>],
    base: &SqlType,
) -> Result<Vec<Option<(String, datafusion::logical_expr::Expr)>>> {
    let mut checks = Vec::new();
    for domain in chain.iter().filter_map(|ty| ty.domain()) {
        checks.extend(domain.not_null.then_some(None));
        for check in &domain.checks {
            if let ConstraintKind::Check { expression } = &check.kind {
                let holds = bind_value(names, expression, VALUE, base)?;
                checks.push(Some((check.name.clone(), holds)));
            }
        }
    }
    Ok(checks)
}

impl Binder<'_> {
    /// A value that has just become one of a type, but for what domains ask of it.
    pub(super) fn restricted(&mut self, value: Typed, to: &SqlType) -> Result<Typed> {
        let ty = to.base().clone();
        let value = canonical_form(value).map_err(told)?;
        let value = match asked_within(self.names, to)? {
            // NULL is asked nothing but by the domain itself.
            Some(Within::Items(_) | Within::Fields(..))
                if value.as_literal().is_some_and(|literal| literal.is_null()) =>
            {
                value
            }
            Some(within) => functions::held_within(value, within),
            None => value,
        };
        Ok(Typed { ty, ..value })
    }
}
