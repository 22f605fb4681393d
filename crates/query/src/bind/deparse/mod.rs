//! Expressions as PostgreSQL writes them: every cast that was meant spelled out.
//!
//! A default, a check or the key of an index is kept as it was written. What is shown of it is read
//! and bound anew: the types found say which constants and operands are cast to what. A kind of
//! expression that is not known here is shown as it was written.

mod read;
mod shown;

use arrow::datatypes::DataType;
use chronolith_types::SqlType;

use super::names::Names;
use super::scope::{Alias, Scope, ScopeColumn};
use super::state::{Binder, Clause, unnamed};

/// An expression over a relation's columns, as `pg_get_expr` shows it; None for one that is not
/// understood. What is assigned to a `target` is of its type.
pub fn deparse(
    names: &dyn Names,
    sql: &str,
    columns: &[(String, SqlType, DataType)],
    target: Option<&SqlType>,
    pretty: bool,
) -> Option<String> {
    let tree = chronolith_sql::expression(sql).ok()?;
    let scope = Scope {
        columns: columns
            .iter()
            .map(|(name, ty, arrow)| ScopeColumn {
                column: name.clone(),
                ty: ty.clone(),
                arrow: arrow.clone(),
                ..unnamed(name)
            })
            .collect(),
        relations: Vec::<Alias>::new(),
    };
    let mut binder = Binder::new(names, &[]);
    let mut reader = read::Reader {
        binder: &mut binder,
        scope: &scope,
        clause: Clause::Check,
    };
    let (mut shown, ty) = reader.read(&tree).ok()?;
    if let Some(target) = target
        && ty == SqlType::Unknown
    {
        shown = read::as_type(shown, &ty, &target.without_typmod())?;
    } else if ty == SqlType::Unknown {
        shown = read::as_type(shown, &ty, &SqlType::Text)?;
    }
    Some(shown.text(pretty))
}
