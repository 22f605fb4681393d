//! SET.

use chronolith_catalog as catalog;
use chronolith_sql::Assigned;
use chronolith_sql::ast::{self, Assignment, AssignmentTarget};
use chronolith_types::SqlState;
use datafusion::logical_expr::Expr;

use super::super::insert::{Target, is_default};
use super::super::literal::null;
use super::super::names::Names;
use super::super::part::Source;
use super::super::scope::Scope;
use super::super::state::{Binder, Clause, Place, Result, ident_position, position, typed};
use super::ChangeTarget;
use super::through::{From, Row};
use crate::error::Error;
use crate::functions::{SET_BYTE, SET_ITEM, SET_PART, SET_SLICE, Typed};
use crate::insert::target_of;

impl Binder<'_> {
    /// What each column of a table is set to, None for those that stay.
    pub(super) fn assignments(
        &mut self,
        scope: &Scope,
        given: &Given<'_>,
        list: &[Assignment],
    ) -> Result<Vec<Option<Typed>>> {
        let table = given.table;
        let mut set: Vec<Option<Typed>> = table.columns.iter().map(|_| None).collect();
        let place = Place {
            scope,
            clause: Clause::Update,
        };
        for assignment in list {
            match &assignment.target {
                AssignmentTarget::ColumnName(name) => {
                    let value = Source::Tree(&assignment.value);
                    self.assign_to(place, given, &mut set, name, &value)?;
                }
                AssignmentTarget::Tuple(names) => {
                    let values = self.row(place, names, &assignment.value)?;
                    for (name, value) in names.iter().zip(&values) {
                        self.assign_to(place, given, &mut set, name, value)?;
                    }
                }
            }
        }
        Ok(set)
    }

    /// A value for a column, or a part of one.
    fn assign_to(
        &mut self,
        place: Place<'_>,
        given: &Given<'_>,
        set: &mut [Option<Typed>],
        name: &ast::ObjectName,
        value: &Source<'_>,
    ) -> Result<()> {
        let table = given.table;
        let tree = match value {
            Source::Tree(tree) => Some(*tree),
            Source::Made(..) => None,
        };
        let Assigned { column, path } = chronolith_sql::assigned(name)?;
        let (at, target) = given.column(&ast::ObjectName::from(vec![column.clone()]))?;
        takes(table, at, tree)?;
        if path.is_empty() {
            let value = match value {
                Source::Tree(tree) => self.assigned(place, tree, &target)?,
                Source::Made(value, position) => self.assign(value.clone(), &target, *position)?,
            };
            return put(given, set, at, value);
        }
        // What was set of it before stays; but all of it is not set beside a part.
        let whole = match set.get(at).cloned().flatten() {
            Some(before) if is_part(&before.expr) => before,
            Some(before) => return put(given, set, at, before),
            None => match given
                .shown
                .unwrap_or(place.scope)
                .columns
                .get(given.shown_at(at))
            {
                Some(own) => typed(own),
                None => return Err(Error::internal("a column that is not in scope")),
            },
        };
        let at_name = ident_position(&column);
        let value = self.with_part(place, whole, &path, value, &column, at_name)?;
        if let Some(slot) = set.get_mut(at) {
            *slot = Some(value);
        }
        Ok(())
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
    fn row<'t>(
        &mut self,
        place: Place<'_>,
        names: &[ast::ObjectName],
        tree: &'t ast::Expr,
    ) -> Result<Vec<Source<'t>>> {
        let differ = || {
            Error::new(
                SqlState::SYNTAX_ERROR,
                "number of columns does not match number of values",
            )
            .at(position(tree))
        };
        match tree {
            ast::Expr::Tuple(values) => match values.len() == names.len() {
                true => Ok(values.iter().map(Source::Tree).collect()),
                false => Err(differ()),
            },
            ast::Expr::Subquery(query) => {
                let mut made = Vec::with_capacity(names.len());
                for number in 0..names.len() {
                    let value = self.one_of_row(place, query, number, names.len());
                    let value = value?.ok_or_else(differ)?;
                    made.push(Source::Made(value, position(query.as_ref())));
                }
                Ok(made)
            }
            _ => Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression",
            )
            .at(position(tree))),
        }
    }
}

/// Whether a column's value is its own but for parts.
fn is_part(value: &Expr) -> bool {
    matches!(value, Expr::ScalarFunction(call)
        if ["row_with", SET_BYTE, SET_ITEM, SET_PART, SET_SLICE].contains(&call.func.name()))
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

fn put(given: &Given<'_>, set: &mut [Option<Typed>], at: usize, value: Typed) -> Result<()> {
    match set.get_mut(at) {
        Some(slot @ None) => {
            *slot = Some(value);
            Ok(())
        }
        _ => {
            let column = given.table.columns.get(at);
            let column = column.map_or("", |column| column.name.as_str());
            Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("multiple assignments to same column \"{column}\""),
            ))
        }
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

/// What values are assigned to.
pub(super) struct Given<'a> {
    /// What domains say of columns.
    pub names: &'a dyn Names,
    /// The table.
    pub table: &'a catalog::Table,
    /// What the statement names it by.
    pub name: &'a str,
    /// Its row as a view shows it, if it is named by one.
    pub row: Option<&'a Row>,
    /// What the statement sees of a row.
    pub shown: Option<&'a Scope>,
    /// Whether the statement is an INSERT.
    pub insert: bool,
}

impl<'a> Given<'a> {
    pub(super) fn of(
        names: &'a dyn Names,
        target: &'a ChangeTarget,
        row: &'a Row,
        insert: bool,
    ) -> Self {
        Self {
            names,
            table: &target.catalog,
            name: target.named().1,
            row: (!target.views.is_empty()).then_some(row),
            shown: Some(&row.scope),
            insert,
        }
    }

    /// A table that is named as it is, and its row.
    pub(super) fn plain(names: &'a dyn Names, table: &'a catalog::Table, row: &'a Scope) -> Self {
        Self {
            names,
            table,
            name: &table.name,
            row: None,
            shown: Some(row),
            insert: false,
        }
    }

    /// The place of the column that a name means; an error that says where it comes from if it is
    /// none of the table's.
    pub(super) fn place(&self, name: &str) -> Option<std::result::Result<usize, Error>> {
        let Some(row) = self.row else {
            return self.table.column_named(name).map(|(at, _)| Ok(at));
        };
        let mut columns = row.scope.columns.iter();
        let at = columns.position(|column| column.name == name)?;
        self.place_at(at)
    }

    /// Where the statement sees the table's column that stands somewhere.
    fn shown_at(&self, place: usize) -> usize {
        let Some(row) = self.row else {
            return place;
        };
        let mut from = row.from.iter();
        let shown = from.position(|from| matches!(from, From::Table(at) if *at == place));
        shown.unwrap_or(usize::MAX)
    }

    /// The same of the column that stands somewhere.
    pub(super) fn place_at(&self, at: usize) -> Option<std::result::Result<usize, Error>> {
        let Some(row) = self.row else {
            return (at < self.table.columns.len()).then_some(Ok(at));
        };
        Some(match row.from.get(at)? {
            From::Table(place) => Ok(*place),
            From::View { view, column } => {
                let verb = if self.insert { "insert into" } else { "update" };
                Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("cannot {verb} column \"{column}\" of view \"{view}\""),
                )
                .detail(
                    "View columns that are not columns of their base relation are not updatable.",
                ))
            }
        })
    }

    /// The column that an assignment names.
    fn column(&self, name: &ast::ObjectName) -> Result<(usize, Target)> {
        let idents = name.0.iter().filter_map(|part| part.as_ident());
        let idents = idents.collect::<Vec<_>>();
        let Some(first) = idents.first() else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "a name is missing"));
        };
        let at = self.place(&first.value).ok_or_else(|| {
            if super::super::system::is_system(&first.value) {
                return Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("cannot assign to system column \"{}\"", first.value),
                )
                .at(ident_position(first));
            }
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{}\" of relation \"{}\" does not exist",
                    first.value, self.name
                ),
            )
            .at(ident_position(first))
        })??;
        let column = self.table.columns.get(at);
        let column = column.ok_or_else(|| Error::internal("a column that is not there"))?;
        if idents.len() > 1 {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot assign to field \"{}\" of column \"{}\" because its type {} is not a composite type",
                    idents.get(1).map_or("", |ident| ident.value.as_str()),
                    first.value,
                    column.ty.without_typmod()
                ),
            )
            .at(ident_position(first)));
        }
        let target = target_of(self.names, column)?;
        Ok((
            at,
            match self.row {
                None => target,
                // What a view says of its column; nothing of the table's.
                Some(row) => {
                    let mut columns = row.scope.columns.iter();
                    let shown = columns.position(|column| column.name == first.value);
                    let own = shown.and_then(|at| row.defaults.get(at));
                    Target {
                        name: first.value.clone(),
                        default: own.cloned().flatten(),
                        ..target
                    }
                }
            },
        ))
    }
}
