//! INSERT into parts of columns: `INSERT INTO t (a[1], a[2], c.x)`. A column of which parts are given
//! begins as NULL.

use chronolith_sql::ast::{self, AccessExpr};
use chronolith_types::SqlState;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

use super::super::insert::{Target, is_default};
use super::super::part::{Source, no_default, part_type};
use super::super::scope::Scope;
use super::super::state::{Binder, Clause, Place, Result, ident_position};
use crate::error::Error;
use crate::functions::Typed;

/// The place of a column that the source gives, and that is none of the table's.
pub(super) const NOWHERE: usize = usize::MAX;

/// What an INSERT gives values to.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The columns, each once.
    pub(super) columns: Vec<ast::ObjectName>,
    /// For each value the number of its column, and which part of it that is.
    given: Vec<(usize, Vec<AccessExpr>)>,
}

impl Parts {
    /// # Errors
    /// 42701 for a column that is given twice.
    pub(super) fn of(columns: &[ast::ObjectName]) -> Result<Self> {
        let mut parts = Self::default();
        let mut names: Vec<ast::Ident> = Vec::new();
        for name in columns {
            let assigned = chronolith_sql::assigned(name)?;
            let known = names
                .iter()
                .position(|known| known.value == assigned.column.value);
            let number = known.unwrap_or(names.len());
            let whole = |(of, path): &(usize, Vec<AccessExpr>)| *of == number && path.is_empty();
            if known.is_some() && (assigned.path.is_empty() || parts.given.iter().any(whole)) {
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!(
                        "column \"{}\" specified more than once",
                        assigned.column.value
                    ),
                )
                .at(ident_position(&assigned.column)));
            }
            if known.is_none() {
                let name = ast::ObjectName::from(vec![assigned.column.clone()]);
                parts.columns.push(name);
                names.push(assigned.column);
            }
            parts.given.push((number, assigned.path));
        }
        Ok(parts)
    }

    /// Whether a part is given at all.
    pub(super) fn any(&self) -> bool {
        self.given.iter().any(|(_, path)| !path.is_empty())
    }

    /// Whether a value is one of a part.
    pub(super) fn is_part(&self, at: usize) -> bool {
        self.given.get(at).is_some_and(|(_, path)| !path.is_empty())
    }

    fn name(&self, number: usize) -> ast::Ident {
        let name = self.columns.get(number).and_then(|name| name.0.first());
        let name = name.and_then(|part| part.as_ident()).cloned();
        name.unwrap_or_else(|| ast::Ident::new(""))
    }

    /// What each value is assigned to, by what the columns are.
    pub(super) fn targets(&self, wholes: &[Target]) -> Result<Vec<Target>> {
        if !self.any() {
            return Ok(wholes.to_vec());
        }
        let mut targets = Vec::with_capacity(self.given.len());
        for (number, path) in &self.given {
            let whole = wholes.get(*number);
            let whole = whole.ok_or_else(|| Error::internal("a column that is not there"))?;
            targets.push(match path.is_empty() {
                true => whole.clone(),
                false => Target {
                    name: whole.name.clone(),
                    ty: part_type(&whole.ty, path, &self.name(*number), None)?,
                    default: None,
                },
            });
        }
        Ok(targets)
    }

    /// The place of each value's column, by the places of the columns.
    pub(super) fn spread(&self, places: &[usize]) -> Vec<usize> {
        if self.given.is_empty() {
            return places.to_vec();
        }
        let numbers = self.given.iter().map(|(number, _)| *number);
        numbers
            .map(|number| places.get(number).copied().unwrap_or(NOWHERE))
            .collect()
    }

    /// 0A000 for DEFAULT where a part is to be given.
    pub(super) fn refuse_defaults(&self, source: &ast::Query) -> Result<()> {
        let ast::SetExpr::Values(values) = source.body.as_ref() else {
            return Ok(());
        };
        for row in &values.rows {
            for (cell, (number, path)) in row.iter().zip(&self.given) {
                if !path.is_empty() && is_default(cell) {
                    return Err(no_default(path).at(ident_position(&self.name(*number))));
                }
            }
        }
        Ok(())
    }

    /// The number of the column at a place, where parts of it are given.
    pub(super) fn in_parts(&self, places: &[usize], place: usize) -> Option<usize> {
        let mut given = self.given.iter().zip(places);
        let part = given.find(|((_, path), at)| **at == place && !path.is_empty());
        part.map(|((number, _), _)| *number)
    }
}

impl Binder<'_> {
    /// The columns of which parts are given, by their places.
    pub(super) fn gathered(
        &mut self,
        parts: &Parts,
        wholes: &[Target],
        places: &[usize],
        values: &[Typed],
    ) -> Result<Vec<(usize, Typed)>> {
        let nothing = Scope::default();
        let scope = Place {
            scope: &nothing,
            clause: Clause::Values,
        };
        let sources = values.iter().cloned();
        let sources: Vec<_> = sources.map(|value| Source::Made(value, None)).collect();
        let mut made = Vec::new();
        for (number, whole) in wholes.iter().enumerate() {
            let mut given = parts.given.iter().zip(places);
            let part = given.find(|((of, path), _)| *of == number && !path.is_empty());
            if let Some((_, place)) = part {
                let value = self.gathered_one(scope, parts, number, whole, &sources)?;
                made.push((*place, value));
            }
        }
        Ok(made)
    }

    /// One column of which parts are given.
    pub(super) fn gathered_one(
        &mut self,
        place: Place<'_>,
        parts: &Parts,
        number: usize,
        whole: &Target,
        values: &[Source<'_>],
    ) -> Result<Typed> {
        let arrow = whole.ty.arrow();
        let mut made = Typed {
            expr: Expr::Literal(ScalarValue::try_from(&arrow)?, None),
            ty: whole.ty.clone(),
            arrow,
        };
        let name = parts.name(number);
        for ((of, path), value) in parts.given.iter().zip(values) {
            if *of == number && !path.is_empty() {
                made = self.with_part(place, made, path, value, &name, ident_position(&name))?;
            }
        }
        Ok(made)
    }
}
