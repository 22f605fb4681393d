//! LATERAL: queries in FROM that are run for each row beside them.

use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, TableAlias};
use chronolith_types::SqlType;
use datafusion::functions::core;
use datafusion::logical_expr::Expr;

use super::dependent::{Shape, shape};
use super::scope::{Alias, Scope, ScopeColumn};
use super::select::passed;
use super::state::{Binder, Clause, Place, Rel, Result, column, lift, project, told, typed};
use crate::functions::canonical_form;
use crate::nodes::{Expand, SetCall};

impl Binder<'_> {
    /// `left, LATERAL (query) alias`, its rows found for each row of `left`; none when a join can
    /// stand for it. With `keep`, rows of `left` without any stay, as in a left join.
    pub(super) fn lateral(
        &mut self,
        left: &Rel,
        query: &ast::Query,
        alias: Option<&TableAlias>,
        keep: bool,
    ) -> Result<Option<Rel>> {
        let place = Place {
            scope: &left.scope,
            clause: Clause::From,
        };
        let rel = self.inner(place, query)?;
        self.lateral_rows(left, rel, alias, &[], keep)
    }

    /// The same of a query that was bound; `names` are those it goes by without an alias.
    pub(super) fn lateral_rows(
        &mut self,
        left: &Rel,
        rel: Rel,
        alias: Option<&TableAlias>,
        names: &[Alias],
        keep: bool,
    ) -> Result<Option<Rel>> {
        let place = Place {
            scope: &left.scope,
            clause: Clause::From,
        };
        let joins = !self.depends(place, &rel.plan) || (!keep && shape(&rel.plan) == Shape::Plain);
        if joins {
            return Ok(None);
        }
        let mut columns = rel.scope.columns.clone();
        let mut fields = Vec::with_capacity(columns.len());
        for found in &columns {
            let value = canonical_form(typed(found)).map_err(told)?;
            fields.push((found.column.clone(), value));
        }
        let record = self.record(fields)?;
        let form = record.arrow.clone();
        let row = self.project(rel.plan, vec![(record, super::state::unnamed("row"))])?;
        let Some(found) = row.scope.columns.first().cloned() else {
            return Ok(None);
        };
        let (list, _) = self.list_of(place, row.plan, &found)?;
        let plan = project(left.plan.clone(), passed(&left.scope))?;
        let name = self.fresh();
        let call = SetCall::new(name.clone(), list, plan.schema()).map_err(lift)?;
        let plan = Expand::plan(plan, vec![call], None, keep).map_err(lift)?;
        let mut exprs = passed(&left.scope);
        for found in &mut columns {
            let get = core::expr_fn::get_field(column(&name), found.column.as_str());
            found.arrow = form_of(&form, found);
            found.column = self.fresh();
            found.table = names.first().map(|name| name.name.clone());
            found.schema = None;
            found.origin = None;
            exprs.push(Expr::alias(get, &found.column));
        }
        let right = Rel {
            plan: project(plan, exprs)?,
            scope: Scope {
                columns,
                relations: names.to_vec(),
            },
        };
        let right = self.aliased(right, alias)?;
        let mut scope = left.scope.clone();
        scope.columns.extend(right.scope.columns);
        scope.relations.extend(right.scope.relations);
        Ok(Some(Rel {
            plan: right.plan,
            scope,
        }))
    }
}

/// The form that a column has as a field of the record.
fn form_of(record: &DataType, found: &ScopeColumn) -> DataType {
    let field = match record {
        DataType::Struct(fields) => fields.iter().find(|field| *field.name() == found.column),
        _ => None,
    };
    let own = || match found.ty {
        SqlType::Unknown => DataType::Utf8View,
        _ => found.arrow.clone(),
    };
    field.map_or_else(own, |field| field.data_type().clone())
}
