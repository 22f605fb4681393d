//! ON CONFLICT.

use std::collections::BTreeSet;

use chronolith_chunk::{LOCATOR_COLUMN, locator_type};
use chronolith_sql::ast::{ConflictTarget, OnConflict, OnConflictAction};
use chronolith_types::SqlState;

use super::super::scope::ScopeColumn;
use super::super::state::{Binder, Clause, Place, Result, ident_position, position, unnamed};
use super::assign::{Given, sets_key};
use super::infer::Inferred;
use super::through::Row;
use super::{Arbiters, ChangeTarget, Conflict, named_columns};
use crate::error::Error;

impl Binder<'_> {
    /// ON CONFLICT of an INSERT into a table.
    pub(super) fn conflict(
        &mut self,
        into: &ChangeTarget,
        own: Row,
        on: &OnConflict,
    ) -> Result<Conflict> {
        let given = Given::of(self.names, into, &own, true);
        let arbiters = self.arbiters(&given, on.conflict_target.as_ref())?;
        if let Some(arbiters) = &arbiters {
            self.reads_keys(into, &own, arbiters);
        }
        let set = match &on.action {
            OnConflictAction::DoNothing => {
                return Ok(Conflict {
                    arbiters,
                    keyed: false,
                    tells: false,
                    update: None,
                    sets: Vec::new(),
                });
            }
            OnConflictAction::DoUpdate(set) => set,
        };
        if arbiters.is_none() {
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
        let named = arbiters.iter().flat_map(|arbiters| &arbiters.indexes);
        let mut exclusions = into.catalog.exclusions();
        if exclusions.any(|(_, index)| named.clone().any(|id| *id == index.id)) {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                "ON CONFLICT DO UPDATE not supported with exclusion constraints",
            ));
        }
        Ok(Conflict {
            arbiters,
            keyed,
            tells: false,
            update: Some(update),
            sets,
        })
    }

    /// Who names keys reads their columns.
    fn reads_keys(&mut self, into: &ChangeTarget, own: &Row, keys: &Arbiters) {
        let of = into.catalog.constraints.iter();
        let columns = of
            .filter(|key| keys.constraints.contains(&key.id))
            .flat_map(|key| key.kind.unique_columns().unwrap_or_default())
            .filter_map(|id| {
                into.catalog
                    .columns
                    .iter()
                    .position(|column| column.id == *id)
            });
        let columns = named_columns(into, own, columns);
        if let Some(used) = self.use_of(into.named().0, None) {
            used.columns.extend(columns);
            // What an index computes may be of any column.
            used.columns.extend(keys.indexes.first().map(|_| 0));
        }
    }

    /// The keys that a conflict's target means.
    fn arbiters(
        &mut self,
        given: &Given<'_>,
        target: Option<&ConflictTarget>,
    ) -> Result<Option<Arbiters>> {
        let catalog = given.table;
        let inferred = match target {
            None => {
                let keys = catalog.all_keys().into_iter().map(|(key, _)| key);
                let mut all = keys.chain(catalog.exclusions().map(|(of, _)| of));
                return match all.any(|key| key.marks.deferrable) {
                    true => Err(deferrable_arbiter()),
                    false => Ok(None),
                };
            }
            Some(ConflictTarget::OnConstraint(name)) => {
                let ident = name.0.last().and_then(|part| part.as_ident());
                let spelled = ident.map_or("", |ident| ident.value.as_str());
                match chronolith_sql::conflict_target(spelled)? {
                    Some(target) => self.inferred(given, &target)?,
                    None => return constraint(given, spelled).map(Some),
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
                Inferred {
                    columns,
                    ..Inferred::default()
                }
            }
        };
        self.fitting(given, &inferred).map(Some)
    }
}

/// The constraint that ON CONSTRAINT names.
fn constraint(given: &Given<'_>, name: &str) -> Result<Arbiters> {
    let catalog = given.table;
    let found = catalog.constraints.iter().find(|constraint| {
        // A view has none.
        let kind = &constraint.kind;
        let asked = kind.unique_columns().is_some() || kind.operators().is_some();
        given.row.is_none() && constraint.name == name && asked
    });
    let found = found.ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!(
                "constraint \"{name}\" for table \"{}\" does not exist",
                given.name
            ),
        )
    })?;
    if found.marks.deferrable {
        return Err(deferrable_arbiter());
    }
    let mut arbiters = Arbiters::default();
    match found.is_kept_by_chunks() && found.kind.operators().is_none() {
        true => arbiters.constraints.push(found.id),
        false => {
            let mut indexes = catalog.indexes.iter();
            let index = indexes.find(|index| index.name == found.name);
            arbiters.indexes.extend(index.map(|index| index.id));
        }
    }
    Ok(arbiters)
}

pub(super) fn deferrable_arbiter() -> Error {
    Error::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        "ON CONFLICT does not support deferrable unique constraints/exclusion constraints as arbiters",
    )
}

pub(super) fn no_arbiter() -> Error {
    Error::new(
        SqlState::INVALID_COLUMN_REFERENCE,
        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
    )
    .hint("Give the table a primary key or a unique index of just these columns; that of a hypertable has its time column too.")
}
