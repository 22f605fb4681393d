//! SET.

use chronolith_catalog as catalog;
use chronolith_sql::ast::{self, Assignment, AssignmentTarget};
use chronolith_types::SqlState;

use super::super::insert::{Target, is_default};
use super::super::literal::null;
use super::super::scope::Scope;
use super::super::state::{Binder, Clause, Place, Result, ident_position, position};
use crate::error::Error;
use crate::functions::Typed;
use crate::insert::target_of;

impl Binder<'_> {
    /// What each column of a table is set to, None for those that stay.
    pub(super) fn assignments(
        &mut self,
        scope: &Scope,
        table: &catalog::Table,
        list: &[Assignment],
    ) -> Result<Vec<Option<Typed>>> {
        let mut set: Vec<Option<Typed>> = table.columns.iter().map(|_| None).collect();
        let place = Place {
            scope,
            clause: Clause::Update,
        };
        for assignment in list {
            match &assignment.target {
                AssignmentTarget::ColumnName(name) => {
                    let (at, target) = column_of(table, name)?;
                    takes(table, at, Some(&assignment.value))?;
                    let value = self.assigned(place, &assignment.value, &target)?;
                    put(&mut set, at, &target, value, name)?;
                }
                AssignmentTarget::Tuple(names) => {
                    let values = self.row(place, table, names, &assignment.value)?;
                    for (name, (at, target, value)) in names.iter().zip(values) {
                        put(&mut set, at, &target, value, name)?;
                    }
                }
            }
        }
        Ok(set)
    }

    /// One value as its column takes it; DEFAULT is the column's.
    pub(super) fn assigned(
        &mut self,
        place: Place<'_>,
        tree: &ast::Expr,
        target: &Target,
    ) -> Result<Typed> {
        let value = match (is_default(tree), &target.default) {
            (false, _) => self.expr(place, tree)?,
            (true, Some(default)) => {
                let nothing = Scope::default();
                let place = Place {
                    scope: &nothing,
                    clause: Clause::Default,
                };
                self.expr(place, default)?
            }
            (true, None) => null(),
        };
        self.assign(value, target, position(tree))
    }

    /// `(a, b) = (1, 2)` and `(a, b) = (SELECT …)`.
    fn row(
        &mut self,
        place: Place<'_>,
        table: &catalog::Table,
        names: &[ast::ObjectName],
        tree: &ast::Expr,
    ) -> Result<Vec<(usize, Target, Typed)>> {
        let differ = || {
            Error::new(
                SqlState::SYNTAX_ERROR,
                "number of columns does not match number of values",
            )
            .at(position(tree))
        };
        let mut made = Vec::with_capacity(names.len());
        match tree {
            ast::Expr::Tuple(values) => {
                if values.len() != names.len() {
                    return Err(differ());
                }
                for (name, value) in names.iter().zip(values) {
                    let (at, target) = column_of(table, name)?;
                    takes(table, at, Some(value))?;
                    let value = self.assigned(place, value, &target)?;
                    made.push((at, target, value));
                }
            }
            ast::Expr::Subquery(query) => {
                for (number, name) in names.iter().enumerate() {
                    let (at, target) = column_of(table, name)?;
                    takes(table, at, None)?;
                    let value = self.one_of_row(place, query, number, names.len());
                    let value = value?.ok_or_else(differ)?;
                    let value = self.assign(value, &target, position(query.as_ref()))?;
                    made.push((at, target, value));
                }
            }
            _ => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
                )
                .at(position(tree)));
            }
        }
        Ok(made)
    }
}

/// Whether a column of a key is set, or computed of what may be.
pub(super) fn sets_key(table: &catalog::Table, set: &[Option<Typed>]) -> bool {
    let keys = table.unique_keys();
    let mut places = keys.iter().flat_map(|(_, places)| places);
    places.any(|place| {
        let column = table.columns.get(*place);
        set.get(*place).is_some_and(Option::is_some)
            || column.is_some_and(|column| column.generated.is_some())
    })
}

fn put(
    set: &mut [Option<Typed>],
    at: usize,
    target: &Target,
    value: Typed,
    name: &ast::ObjectName,
) -> Result<()> {
    match set.get_mut(at) {
        Some(slot @ None) => {
            *slot = Some(value);
            Ok(())
        }
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("multiple assignments to same column \"{}\"", target.name),
        )
        .at(position(name))),
    }
}

/// 428C9 for a value that a column does not take.
fn takes(table: &catalog::Table, at: usize, tree: Option<&ast::Expr>) -> Result<()> {
    let Some(column) = table.columns.get(at) else {
        return Ok(());
    };
    let always = column.identity.is_some_and(|identity| identity.always);
    if tree.is_some_and(is_default) || !(always || column.generated.is_some()) {
        return Ok(());
    }
    let what = match column.generated {
        Some(_) => "a generated column",
        None => "an identity column defined as GENERATED ALWAYS",
    };
    Err(Error::new(
        SqlState::GENERATED_ALWAYS,
        format!("column \"{}\" can only be updated to DEFAULT", column.name),
    )
    .detail(format!("Column \"{}\" is {what}.", column.name)))
}

/// The column that an assignment names.
fn column_of(table: &catalog::Table, name: &ast::ObjectName) -> Result<(usize, Target)> {
    let idents = name.0.iter().filter_map(|part| part.as_ident());
    let idents = idents.collect::<Vec<_>>();
    let Some(first) = idents.first() else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "a name is missing"));
    };
    let found = table.column_named(&first.value).ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!(
                "column \"{}\" of relation \"{}\" does not exist",
                first.value, table.name
            ),
        )
        .at(ident_position(first))
    })?;
    if idents.len() > 1 {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "cannot assign to field \"{}\" of column \"{}\" because its type {} is not a composite type",
                idents.get(1).map_or("", |ident| ident.value.as_str()),
                first.value,
                found.1.ty.without_typmod()
            ),
        )
        .at(ident_position(first)));
    }
    Ok((found.0, target_of(found.1)?))
}
