//! `(row).*`: the fields of a row that is a value, as columns.

use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, AccessExpr};
use chronolith_types::{SqlState, SqlType};

use super::reference::take_field;
use super::scope::{Found, ScopeColumn};
use super::select::Item;
use super::state::{Binder, Place, Rel, Result, position, typed, unnamed};
use crate::error::Error;
use crate::functions::Typed;

/// The names of the fields of a row.
fn names(value: &Typed) -> Option<Vec<String>> {
    match (&value.ty, &value.arrow) {
        (SqlType::User(user), _) => {
            let fields = user.fields()?.iter();
            Some(fields.map(|(name, _)| name.clone()).collect())
        }
        (_, DataType::Struct(fields)) => {
            let fields = fields.iter();
            Some(fields.map(|field| field.name().clone()).collect())
        }
        _ => None,
    }
}

/// What stands before `.*`: a row, and the path to a field of it.
pub(super) fn starred(tree: &ast::Expr) -> Option<(&ast::Expr, &[AccessExpr])> {
    let ast::Expr::CompoundFieldAccess { root, access_chain } = tree else {
        return None;
    };
    let (last, path) = access_chain.split_last()?;
    match last {
        AccessExpr::Dot(ast::Expr::Identifier(star))
            if star.value == "*" && star.quote_style.is_some() =>
        {
            Some((root, path))
        }
        _ => None,
    }
}

impl Binder<'_> {
    /// Rows that are one value each, a row of so many fields, as their fields.
    pub(super) fn opened(&mut self, rel: Rel, fields: usize) -> Result<Rel> {
        let [only] = rel.scope.columns.as_slice() else {
            return Ok(rel);
        };
        let row = typed(only);
        let Some(names) = names(&row).filter(|names| names.len() == fields) else {
            return Ok(rel);
        };
        let mut items = Vec::with_capacity(fields);
        for name in names {
            items.push((take_field(row.clone(), &name)?, unnamed(&name)));
        }
        self.project(rel.plan, items)
    }

    /// The fields of a row as items of a select list.
    pub(super) fn fields_of<'q>(
        &mut self,
        place: Place<'_>,
        root: &ast::Expr,
        path: &[AccessExpr],
    ) -> Result<Vec<Item<'q>>> {
        let at = position(root);
        let mut bare = root;
        while let ast::Expr::Nested(inner) = bare {
            bare = inner;
        }
        // `(t).*` of a table is `t.*`.
        if path.is_empty()
            && let ast::Expr::Identifier(table) = bare
            && matches!(place.scope.by_name(&table.value), Found::None)
            && place.scope.has_table(None, &table.value)
        {
            self.touch_all(place.scope.of_table(None, &table.value));
            let columns = place.scope.of_table(None, &table.value);
            return Ok(columns
                .map(|found| Item {
                    column: unnamed(&found.name),
                    tree: None,
                    value: typed(found),
                })
                .collect());
        }
        let documents = std::mem::replace(&mut self.documents, false);
        let value = match path {
            [] => self.expr(place, root),
            path => self.subscripts(place, root, path),
        };
        self.documents = documents;
        let value = value?;
        let Some(names) = names(&value) else {
            return Err(match value.ty {
                SqlType::Record => Error::new(
                    SqlState::new(b"42601"),
                    "record type has not been registered",
                ),
                ty => Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("type {} is not composite", ty.without_typmod()),
                ),
            }
            .at(at));
        };
        let fields = names.into_iter().map(|name| {
            let column: ScopeColumn = unnamed(&name);
            let value = take_field(value.clone(), &name).map_err(|error| error.at(at))?;
            Ok(Item {
                column,
                tree: None,
                value,
            })
        });
        fields.collect()
    }
}
