//! What a domain asks now, held against the rows that are there.

use std::sync::Arc;

use chronolith_catalog::{Database, Type};
use chronolith_sql::TypeAction;
use chronolith_types::{SqlState, TypeId};

use super::user_types::columns_of;
use crate::error::Error;
use crate::insert::Checks;
use crate::session::Shared;

/// 0A000 while a column has values of a domain within its own, as PostgreSQL refuses it.
pub(super) fn refuse_within(shared: &Arc<Shared>, id: TypeId) -> Result<(), Error> {
    let home = shared.home()?;
    for domain in with_those_over(&home, id) {
        let mut columns = columns_of(&home, domain).into_iter();
        let within = columns.find(|(_, column)| column.ty.mentions(domain.0));
        let (Some((table, column)), Some(ty)) = (within, home.types.get(&domain)) else {
            continue;
        };
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "cannot alter type \"{}\" because column \"{}.{}\" uses it",
                ty.name, table.name, column.name
            ),
        ));
    }
    Ok(())
}

/// A domain and all that are made from it.
fn with_those_over(home: &Database, id: TypeId) -> Vec<TypeId> {
    let mut domains = vec![id];
    let mut at = 0;
    while let Some(one) = domains.get(at).copied() {
        let over = |ty: &&Arc<Type>| ty.domain().is_some_and(|domain| domain.over == Some(one));
        domains.extend(home.types.values().filter(over).map(|ty| ty.id));
        at += 1;
    }
    domains
}

/// The error of a row that is there and has what a domain refuses now.
///
/// # Errors
/// 23502 or 23514, naming the column.
pub(super) fn hold_all(shared: &Arc<Shared>, id: TypeId, action: &TypeAction) -> Result<(), Error> {
    let home = shared.home()?;
    for id in with_those_over(&home, id) {
        for (table, column) in columns_of(&home, id) {
            let what = match action {
                TypeAction::SetNotNull(_) => "contains null values",
                _ => "contains values that violate the new constraint",
            };
            let refused = |error: Error| {
                let message = format!(
                    "column \"{}\" of table \"{}\" {what}",
                    column.name, table.name
                );
                let mut refused = Error::new(error.code, message);
                refused.table = Some(table.name.clone());
                refused.column = Some(column.name.clone());
                refused
            };
            Checks::of(shared, &table)?
                .hold_all(shared)
                .map_err(refused)?;
        }
    }
    Ok(())
}
