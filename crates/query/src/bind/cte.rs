//! WITH.

use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::Schema;
use chronolith_sql::Recursion;
use chronolith_sql::ast::{self, SetExpr, SetOperator, SetQuantifier};
use chronolith_types::{SqlState, SqlType};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};

use super::recursion::{check_fresh, check_listed, recursion, unsupported_side, widened};
use super::scope::{Alias, Scope, ScopeColumn};
use super::state::{
    Binder, Rel, Result, column, field, ident_position, lift, project, typed, unsupported,
};
use crate::error::Error;
use crate::functions::CastContext;

/// A query that has a name.
#[derive(Debug)]
pub(super) enum Cte {
    /// Bound once; each use is given names of its own.
    Bound(Rel),
    /// A change without RETURNING.
    Silent,
    /// The rows so far of the recursive query that is being bound.
    Working {
        name: String,
        columns: Vec<ScopeColumn>,
    },
}

impl Binder<'_> {
    pub(super) fn with(&mut self, with: &ast::With) -> Result<()> {
        for cte in &with.cte_tables {
            let name = cte.alias.name.value.clone();
            let twice = |other: &&ast::Cte| other.alias.name.value == name;
            if with.cte_tables.iter().filter(twice).count() > 1 {
                let message = format!("WITH query name \"{name}\" specified more than once");
                let last = with.cte_tables.iter().rfind(twice).unwrap_or(cte);
                return Err(Error::new(SqlState::DUPLICATE_ALIAS, message)
                    .at(ident_position(&last.alias.name)));
            }
            let changed = self.changing_cte(cte)?;
            if let Some(None) = changed {
                self.ctes.push((name, Rc::new(Cte::Silent)));
                continue;
            }
            let itself = with.recursive && names_itself(&cte.query, &name);
            let recursion = recursion(cte, itself)?;
            let mut plain = false;
            let mut rel = if let Some(Some(changed)) = changed {
                changed
            } else if itself {
                self.recursive(&name, cte, recursion.as_ref())?
            } else {
                let bound = self.query(&cte.query, None)?;
                plain = true;
                self.settled_rel(bound)?
            };
            rename(&mut rel, &cte.alias)?;
            rel.scope.relations = vec![Alias {
                name: name.clone(),
                schema: None,
                hides: None,
            }];
            let bound = Rc::new(Cte::Bound(rel));
            if plain {
                self.cte_trees.push((Rc::clone(&bound), cte.clone()));
            }
            self.ctes.push((name, bound));
        }
        Ok(())
    }

    /// A use of a name of WITH.
    pub(super) fn cte(&mut self, name: &str) -> Result<Option<Rel>> {
        let found = self.ctes.iter().rev().find(|(known, _)| known == name);
        let Some((_, cte)) = found else {
            return Ok(None);
        };
        let cte = Rc::clone(cte);
        let (plan, known) = match cte.as_ref() {
            Cte::Silent => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("WITH query \"{name}\" does not have a RETURNING clause"),
                ));
            }
            Cte::Bound(rel) => (rel.plan.clone(), rel.scope.columns.clone()),
            Cte::Working { name, columns } => {
                let schema = Arc::new(Schema::new(
                    columns
                        .iter()
                        .map(|found| field(&found.column, &found.arrow))
                        .collect::<Vec<_>>(),
                ));
                let table = CteWorkTable::new(name, schema);
                let source = provider_as_source(Arc::new(table));
                let plan = LogicalPlanBuilder::scan(name.as_str(), source, None)
                    .map_err(lift)?
                    .build()
                    .map_err(lift)?;
                (plan, columns.clone())
            }
        };
        let mut exprs = Vec::with_capacity(known.len());
        let mut columns = Vec::with_capacity(known.len());
        let sources = plan.schema().columns();
        for (at, mut found) in known.into_iter().enumerate() {
            let internal = self.fresh_as(&found.name);
            let source = match cte.as_ref() {
                Cte::Bound(_) | Cte::Silent => column(&found.column),
                Cte::Working { .. } => match sources.get(at) {
                    Some(source) => datafusion::logical_expr::Expr::Column(source.clone()),
                    None => return Err(Error::internal("a working table has too few columns")),
                },
            };
            exprs.push(source.alias(&internal));
            found.column = internal;
            found.table = Some(name.to_owned());
            found.schema = None;
            columns.push(found);
        }
        Ok(Some(Rel {
            plan: project(plan, exprs)?,
            scope: Scope {
                columns,
                relations: vec![Alias {
                    name: name.to_owned(),
                    schema: None,
                    hides: None,
                }],
            },
        }))
    }

    fn recursive(
        &mut self,
        name: &str,
        cte: &ast::Cte,
        recursion: Option<&Recursion>,
    ) -> Result<Rel> {
        let at = ident_position(&cte.alias.name);
        let SetExpr::SetOperation {
            op: SetOperator::Union,
            set_quantifier,
            left,
            right,
        } = cte.query.body.as_ref()
        else {
            return Err(Error::new(
                SqlState::new(b"42P19"),
                format!(
                    "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
                ),
            )
            .at(at));
        };
        if cte.query.with.is_some()
            || cte.query.order_by.is_some()
            || cte.query.limit_clause.is_some()
        {
            return Err(unsupported("ORDER BY or LIMIT in a recursive query").at(at));
        }
        let distinct = !matches!(set_quantifier, SetQuantifier::All);
        let bound = self.body(left, &[], None)?;
        let mut first = self.settled_rel(bound)?;
        rename(&mut first, &cte.alias)?;
        let names: Vec<String> = first
            .scope
            .columns
            .iter()
            .map(|of| of.name.clone())
            .collect();
        let width = names.len();
        let mut right = std::borrow::Cow::Borrowed(right.as_ref());
        if let Some(recursion) = recursion {
            if matches!(left.as_ref(), SetExpr::SetOperation { .. }) {
                return Err(unsupported_side("left", at));
            }
            check_listed(recursion, &first.scope.columns, at)?;
            right = std::borrow::Cow::Owned(widened(recursion, name, &right, at)?);
            first = self.begun(recursion, first)?;
        }
        // Two recursive queries of one name must not share a working table.
        let working = format!("{name}_{}", self.fresh());
        let known = self.ctes.len();
        self.ctes.push((
            name.to_owned(),
            Rc::new(Cte::Working {
                name: working.clone(),
                columns: first.scope.columns.clone(),
            }),
        ));
        let types = first
            .scope
            .columns
            .iter()
            .map(|found| found.ty.without_typmod())
            .collect::<Vec<_>>();
        let next = self.body(&right, &[], Some(&types));
        self.ctes.truncate(known);
        let next = next?;
        if next.scope.columns.len() != types.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "each UNION query must have the same number of columns",
            )
            .at(at));
        }
        let mut values = Vec::with_capacity(types.len());
        for (number, (to, from)) in (1_usize..).zip(
            first
                .scope
                .columns
                .iter()
                .zip(&next.scope.columns)
                .take(width),
        ) {
            let value = self
                .coerce(typed(from), &to.ty.without_typmod(), CastContext::Implicit)
                .ok()
                .filter(|_| {
                    let common = self.common(&[to.ty.clone(), from.ty.clone()], "UNION");
                    common.is_ok_and(|ty| ty.without_typmod() == to.ty.without_typmod())
                });
            let Some(mut value) = value else {
                return Err(mismatch(name, number, &to.ty, &from.ty).at(at));
            };
            if value.arrow != to.arrow {
                value = crate::functions::canonical_form(value).map_err(super::state::told)?;
                if value.arrow != to.arrow {
                    return Err(mismatch(name, number, &to.ty, &from.ty).at(at));
                }
            }
            values.push(value);
        }
        if let Some(recursion) = recursion {
            check_fresh(recursion, &names, at)?;
            let before = next.scope.columns.iter().skip(width);
            let before: Vec<_> = before.map(typed).collect();
            let more = self.continued(recursion, &names, &values, &before)?;
            values.extend(more);
        }
        let targets = first.scope.columns.iter();
        let exprs = values
            .into_iter()
            .zip(targets)
            .map(|(value, to)| value.expr.alias(&to.column))
            .collect();
        let term = project(next.plan, exprs)?;
        first.plan = open(first.plan, &first.scope.columns)?;
        let plan = LogicalPlanBuilder::from(first.plan)
            .to_recursive_query(working, term, distinct)
            .map_err(lift)?
            .build()
            .map_err(lift)?;
        Ok(Rel {
            plan,
            scope: first.scope,
        })
    }
}

/// The first rows of a recursive query, in columns that may be NULL as those of further rows may:
/// the optimiser finds out more of one side than of the other.
fn open(plan: LogicalPlan, columns: &[ScopeColumn]) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let mut exprs = Vec::with_capacity(columns.len());
    for found in columns {
        let value = typed(found);
        let known = schema.field_with_unqualified_name(&found.column);
        let expr = match known.is_ok_and(|field| !field.is_nullable()) {
            true => {
                crate::functions::nullable(value)
                    .map_err(super::state::told)?
                    .expr
            }
            false => value.expr,
        };
        exprs.push(expr.alias(&found.column));
    }
    project(plan, exprs)
}

fn mismatch(name: &str, number: usize, first: &SqlType, overall: &SqlType) -> Error {
    Error::new(
        SqlState::DATATYPE_MISMATCH,
        format!(
            "recursive query \"{name}\" column {number} has type {} in non-recursive term but type {} overall",
            first.without_typmod(),
            overall.without_typmod()
        ),
    )
    .hint("Cast the output of the non-recursive term to the correct type.")
}

/// The columns' names that the alias gives.
fn rename(rel: &mut Rel, alias: &ast::TableAlias) -> Result<()> {
    if alias.columns.len() > rel.scope.columns.len() {
        return Err(Error::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "WITH query \"{}\" has {} columns available but {} columns specified",
                alias.name.value,
                rel.scope.columns.len(),
                alias.columns.len()
            ),
        )
        .at(ident_position(&alias.name)));
    }
    for (found, name) in rel.scope.columns.iter_mut().zip(&alias.columns) {
        found.name.clone_from(&name.name.value);
    }
    Ok(())
}

/// Whether a query names a relation anywhere.
fn names_itself(query: &ast::Query, name: &str) -> bool {
    // Its text is searched, which may find too much: then a query without recursion has the wrong
    // form only if it is no UNION.
    let union = matches!(
        query.body.as_ref(),
        SetExpr::SetOperation {
            op: SetOperator::Union,
            ..
        }
    );
    let text = query.to_string();
    union
        && text
            .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')
            .any(|word| word == name)
}
