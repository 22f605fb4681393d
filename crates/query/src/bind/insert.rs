//! Where the rows of INSERT come from.

use chronolith_catalog as catalog;
use chronolith_sql::ast::{self, SetExpr};
use chronolith_types::{SqlState, SqlType};

use super::coerce::{castable, read_as};
use super::entry::Bound;
use super::literal::null;
use super::names::Names;
use super::scope::{Alias, Scope, ScopeColumn};
use super::state::{Binder, Clause, Place, Result, position, told, typed, unnamed};
use crate::error::Error;
use crate::functions::{CastContext, Typed, apply_cast, canonical_form};

/// A column that an INSERT gives values to.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// What DEFAULT in VALUES stands for; NULL when there is none.
    pub default: Option<ast::Expr>,
}

/// The source of an INSERT into some columns: a plan whose output has exactly these types, in the
/// physical form of columns. There may be fewer outputs than targets, never more.
///
/// # Errors
/// `42804` for a value that cannot be assigned, `42601` for more values than columns, and whatever
/// the query says.
pub fn bind_insert_source(
    names: &dyn Names,
    source: &ast::Query,
    targets: &[Target],
    params: &[Option<SqlType>],
) -> Result<Bound> {
    super::entry::twice(names, params, |binder| {
        let rel = binder.insert_source(source, targets)?;
        super::entry::finish(binder, rel)
    })
}

/// The same into a table, which goes by an alias or its name: who names it, or a column of it, is told
/// that the source sees neither.
///
/// # Errors
/// As [`bind_insert_source`].
pub(crate) fn bind_inserted(
    names: &dyn Names,
    source: &ast::Query,
    targets: &[Target],
    params: &[Option<SqlType>],
    into: (&catalog::Table, Option<&str>),
) -> Result<Bound> {
    match bind_insert_source(names, source, targets, params) {
        Err(error)
            if matches!(
                error.code,
                SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN
            ) =>
        {
            let target = target_scope(into.0, into.1);
            super::entry::twice(names, params, |binder| {
                let rel =
                    binder.out_of_reach(&target, |binder| binder.insert_source(source, targets))?;
                super::entry::finish(binder, rel)
            })
        }
        bound => bound,
    }
}

/// A table's columns as messages tell of them.
fn target_scope(table: &catalog::Table, alias: Option<&str>) -> Scope {
    let name = alias.unwrap_or(&table.name);
    let columns = table.columns.iter().map(|column| ScopeColumn {
        table: Some(name.to_owned()),
        ..unnamed(&column.name)
    });
    Scope {
        columns: columns.collect(),
        relations: vec![Alias {
            name: name.to_owned(),
            schema: None,
            hides: alias.map(|_| table.name.clone()),
        }],
    }
}

/// The rows that the last query of a routine's body gives, as values of some types; a query of one
/// column gives rows, where more is wanted.
///
/// # Errors
/// As [`bind_insert_source`].
pub(crate) fn bind_returned(
    names: &dyn Names,
    source: &ast::Query,
    targets: &[Target],
    params: &[Option<SqlType>],
) -> Result<Bound> {
    let mut binder = Binder::new(names, params);
    let types: Vec<_> = targets.iter().map(|of| read_as(&of.ty)).collect();
    let rel = binder.query(source, Some(&types))?;
    let rel = binder.opened(rel, targets.len())?;
    let mismatch = |detail: String| {
        let name = targets.first().map_or("", |target| target.name.as_str());
        Error::new(
            SqlState::new(b"42P13"),
            "return type mismatch in function declared to return record",
        )
        .detail(detail)
        .context(format!("SQL function \"{name}\" during startup"))
    };
    let mut items = Vec::with_capacity(targets.len());
    for (at, (found, target)) in rel.scope.columns.iter().zip(targets).enumerate() {
        let mut value = typed(found);
        if value.ty == SqlType::Unknown {
            value.ty = SqlType::Text;
        }
        if !super::assignable(&value.ty, &target.ty) {
            return Err(mismatch(format!(
                "Final statement returns {} instead of {} at column {}.",
                value.ty,
                target.ty.without_typmod(),
                at + 1
            )));
        }
        let value = binder.assign(value, target, None)?;
        items.push((value, unnamed(&target.name)));
    }
    let given = rel.scope.columns.len();
    if given != targets.len() {
        let few = if given < targets.len() { "few" } else { "many" };
        return Err(mismatch(format!(
            "Final statement returns too {few} columns."
        )));
    }
    let rel = binder.project(rel.plan, items)?;
    super::entry::finish(&mut binder, rel)
}

impl Binder<'_> {
    /// The source of an INSERT as the columns that it gives values to.
    pub(super) fn insert_source(
        &mut self,
        source: &ast::Query,
        targets: &[Target],
    ) -> Result<super::state::Rel> {
        let binder = self;
        let plain = source.with.is_none()
            && source.order_by.is_none()
            && source.limit_clause.is_none()
            && source.fetch.is_none();
        let rel = match source.body.as_ref() {
            SetExpr::Values(values) if plain => binder.insert_values(values, targets)?,
            _ => {
                let types = targets
                    .iter()
                    .map(|target| read_as(&target.ty))
                    .collect::<Vec<_>>();
                let rel = binder.query(source, Some(&types))?;
                let place = |number| super::sets::place_of_column(&source.body, number);
                check_width(rel.scope.columns.len(), targets.len(), place(targets.len()))?;
                let mut items = Vec::with_capacity(targets.len());
                for (number, (found, target)) in rel.scope.columns.iter().zip(targets).enumerate() {
                    let mut value = typed(found);
                    if value.ty == SqlType::Unknown {
                        value.ty = SqlType::Text;
                    }
                    let value = binder.assign(value, target, place(number))?;
                    items.push((value, unnamed(&target.name)));
                }
                binder.project(rel.plan, items)?
            }
        };
        Ok(rel)
    }

    fn insert_values(
        &mut self,
        values: &ast::Values,
        targets: &[Target],
    ) -> Result<super::state::Rel> {
        let nothing = Scope::default();
        if let Some(first) = values.rows.first() {
            let beyond = first.get(targets.len()).and_then(position);
            check_width(first.len(), targets.len(), beyond)?;
        }
        let columns = self.cells(values, |binder, at, cell| {
            let target = targets.get(at);
            let target = target.ok_or_else(|| Error::internal("a cell without a column"))?;
            let (tree, clause) = match (is_default(cell), &target.default) {
                (false, _) => (Some(cell), Clause::Values),
                (true, Some(default)) => (Some(default), Clause::Default),
                (true, None) => (None, Clause::Default),
            };
            let place = Place {
                scope: &nothing,
                clause,
            };
            let value = match tree {
                Some(tree) => binder.expr(place, tree)?,
                None => null(),
            };
            binder.assign(value, target, position(cell))
        })?;
        let columns = columns
            .into_iter()
            .zip(targets)
            .map(|(cells, target)| (cells, target.ty.clone()))
            .collect();
        self.values_of(columns, values.rows.len())
    }

    /// A value as a column takes it.
    pub(super) fn assign(
        &mut self,
        value: Typed,
        target: &Target,
        at: Option<u32>,
    ) -> Result<Typed> {
        if value.ty != SqlType::Unknown && !castable(&value.ty, &target.ty, CastContext::Assignment)
        {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{}\" is of type {} but expression is of type {}",
                    target.name,
                    target.ty.without_typmod(),
                    value.ty.without_typmod()
                ),
            )
            .hint("You will need to rewrite or cast the expression.")
            .at(at));
        }
        let value = if value.ty == SqlType::Unknown {
            self.settle(value, &read_as(&target.ty))
                .map_err(|error| error.at(at))?
        } else {
            value
        };
        let asked = target.ty.demands() && value.ty.without_typmod() != target.ty.without_typmod();
        // What a value of the type is refused for is met as it is stored, and points nowhere.
        let value = apply_cast(value, &target.ty, false).map_err(told)?;
        match asked {
            true => self.restricted(value, &target.ty),
            false => canonical_form(value).map_err(told),
        }
    }
}

pub(super) fn is_default(cell: &ast::Expr) -> bool {
    matches!(cell, ast::Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value == "default")
}

fn check_width(given: usize, targets: usize, at: Option<u32>) -> Result<()> {
    if given > targets {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "INSERT has more expressions than target columns",
        )
        .at(at));
    }
    Ok(())
}
