//! ON CONFLICT.

use std::collections::BTreeSet;

use chronolith_catalog as catalog;
use chronolith_chunk::{LOCATOR_COLUMN, locator_type};
use chronolith_sql::ast::{self, ConflictTarget, OnConflict, OnConflictAction};
use chronolith_types::{ColumnId, SqlState};

use super::super::scope::{Scope, ScopeColumn};
use super::super::state::{Binder, Clause, Place, Result, ident_position, position, unnamed};
use super::assign::{Given, sets_key};
use super::through::Row;
use super::{ChangeTarget, Conflict, named_columns};
use crate::error::Error;

impl Binder<'_> {
    /// ON CONFLICT of an INSERT into a table.
    pub(super) fn conflict(
        &mut self,
        into: &ChangeTarget,
        own: Row,
        on: &OnConflict,
    ) -> Result<Conflict> {
        let given = Given::of(into, &own, true);
        let constraints = self.arbiters(&given, on.conflict_target.as_ref())?;
        self.reads_keys(into, &own, constraints.as_deref().unwrap_or_default());
        let set = match &on.action {
            OnConflictAction::DoNothing => {
                return Ok(Conflict {
                    constraints,
                    keyed: false,
                    tells: false,
                    update: None,
                    sets: Vec::new(),
                });
            }
            OnConflictAction::DoUpdate(set) => set,
        };
        if constraints.is_none() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            )
            .hint("For example, ON CONFLICT (column_name)."));
        }
        let proposed = self.row_of(into, Some("excluded"))?;
        let excluded = proposed.scope.clone();
        let mut scope = own.scope.clone();
        // A bare name means the row that is there.
        scope.columns.extend(proposed.scope.columns);
        scope.relations.extend(proposed.scope.relations);
        let set_to = self.assignments(&scope, &given, &set.assignments)?;
        let filter = match &set.selection {
            None => None,
            Some(condition) => {
                let place = Place {
                    scope: &scope,
                    clause: Clause::Where,
                };
                let value = self.expr(place, condition)?;
                Some(self.condition(value, "WHERE", position(condition))?)
            }
        };
        let keyed = sets_key(&into.catalog, &set_to);
        let locator = self.fresh_as(LOCATOR_COLUMN);
        let sets = super::set_places(&set_to);
        let values = set_to.iter().flatten().map(|value| &value.expr);
        // Who names what was proposed reads the columns too, as PostgreSQL sees it.
        for of in [&own.scope, &excluded] {
            self.reads(into.named().0, of, values.clone().chain(&filter));
        }
        let (exprs, _) = self.new_row(&locator, &own.base, set_to);
        let mut input = vec![ScopeColumn {
            column: locator,
            arrow: locator_type(),
            ..unnamed(LOCATOR_COLUMN)
        }];
        input.extend(own.base.columns);
        input.extend(proposed.base.columns);
        let mut steps = own.steps;
        steps.extend(proposed.steps);
        let update = self.over_row(&input, &steps, filter, exprs)?;
        Ok(Conflict {
            constraints,
            keyed,
            tells: false,
            update: Some(update),
            sets,
        })
    }

    /// Who names keys reads their columns.
    fn reads_keys(&mut self, into: &ChangeTarget, own: &Row, keys: &[u32]) {
        let of = into.catalog.constraints.iter();
        let columns = of
            .filter(|key| keys.contains(&key.id))
            .flat_map(|key| key.kind.unique_columns().unwrap_or_default())
            .filter_map(|id| {
                into.catalog
                    .columns
                    .iter()
                    .position(|column| column.id == *id)
            });
        let columns = named_columns(into, own, columns);
        if let Some(used) = self
            .use_of(into.named().0, None)
            .filter(|_| !keys.is_empty())
        {
            used.columns.extend(columns);
        }
    }

    /// The constraints that a conflict's target names.
    fn arbiters(
        &mut self,
        given: &Given<'_>,
        target: Option<&ConflictTarget>,
    ) -> Result<Option<Vec<u32>>> {
        let catalog = given.table;
        let columns = match target {
            None => {
                let mut keys = catalog.all_keys().into_iter();
                return match keys.any(|(key, _)| key.marks.deferrable) {
                    true => Err(deferrable_arbiter()),
                    false => Ok(None),
                };
            }
            Some(ConflictTarget::OnConstraint(name)) => {
                let ident = name.0.last().and_then(|part| part.as_ident());
                let spelled = ident.map_or("", |ident| ident.value.as_str());
                match chronolith_sql::conflict_target(spelled)? {
                    Some(target) => self.inferred_columns(given, &target)?,
                    None => {
                        let found = catalog.constraints.iter().find(|constraint| {
                            // A view has none.
                            given.row.is_none()
                                && constraint.name == spelled
                                && constraint.kind.unique_columns().is_some()
                        });
                        if found.is_some_and(|key| key.marks.deferrable) {
                            return Err(deferrable_arbiter());
                        }
                        if found.is_some_and(|key| key.marks.nulls_alike) {
                            return Err(Error::unsupported("ON CONFLICT with NULLS NOT DISTINCT"));
                        }
                        let id = found.map(|constraint| constraint.id).ok_or_else(|| {
                            Error::new(
                                SqlState::UNDEFINED_OBJECT,
                                format!(
                                    "constraint \"{spelled}\" for table \"{}\" does not exist",
                                    given.name
                                ),
                            )
                        })?;
                        return Ok(Some(vec![id]));
                    }
                }
            }
            Some(ConflictTarget::Columns(names)) => {
                let mut columns = BTreeSet::new();
                for name in names {
                    let place = given.place(&name.value).ok_or_else(|| {
                        Error::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{}\" does not exist", name.value),
                        )
                        .at(ident_position(name))
                    })?;
                    let column = place.ok().and_then(|place| catalog.columns.get(place));
                    columns.insert(column.ok_or_else(no_arbiter)?.id);
                }
                columns
            }
        };
        let fits = |constraint: &&catalog::Constraint| {
            let key = constraint.kind.unique_columns();
            let key = key.filter(|_| constraint.is_kept_by_chunks());
            key.is_some_and(|key| key.iter().copied().collect::<BTreeSet<_>>() == columns)
        };
        let found: Vec<u32> = catalog
            .constraints
            .iter()
            .filter(fits)
            .map(|constraint| constraint.id)
            .collect();
        let waits = |(key, _): &(&catalog::Constraint, Vec<usize>)| {
            let key_columns = key.kind.unique_columns().unwrap_or_default();
            let same = key_columns.iter().copied().collect::<BTreeSet<_>>() == columns;
            key.marks.deferrable && same
        };
        match found.is_empty() || columns.is_empty() {
            true if catalog.all_keys().iter().any(waits) => Err(deferrable_arbiter()),
            true => Err(no_arbiter()),
            false => Ok(Some(found)),
        }
    }

    /// The columns of a target that is written with more than columns. What it says must be right
    /// even where no index is of that kind.
    fn inferred_columns(
        &mut self,
        given: &Given<'_>,
        target: &chronolith_sql::ConflictTarget,
    ) -> Result<BTreeSet<ColumnId>> {
        let catalog = given.table;
        let nothing = Scope::default();
        let scope = given.shown.unwrap_or(&nothing);
        let place = Place {
            scope,
            clause: Clause::Check,
        };
        let mut columns = BTreeSet::new();
        let mut plain = true;
        for key in &target.keys {
            self.expr(place, key)?;
            let mut bare = key;
            while let ast::Expr::Nested(inner) | ast::Expr::Collate { expr: inner, .. } = bare {
                bare = inner;
            }
            match bare {
                ast::Expr::Identifier(name) => {
                    let found = given.place(&name.value).and_then(|found| found.ok());
                    let found = found.and_then(|place| catalog.columns.get(place));
                    columns.extend(found.map(|column| column.id));
                }
                _ => plain = false,
            }
        }
        if let Some(predicate) = &target.predicate {
            let value = self.expr(place, predicate)?;
            self.condition(value, "WHERE", position(predicate))?;
        }
        // An index without a predicate serves a target with one, as in PostgreSQL.
        match plain {
            true => Ok(columns),
            false => Err(no_arbiter()),
        }
    }
}

fn deferrable_arbiter() -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
    )
}

fn no_arbiter() -> Error {
    Error::new(
        SqlState::INVALID_COLUMN_REFERENCE,
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    )
}
