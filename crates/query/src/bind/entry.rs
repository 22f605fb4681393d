//! The ways in.

use std::sync::Arc;

use arrow::datatypes::DataType;
use chronolith_catalog::Type;
use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::coerce::castable;
use super::insert::Target;
use super::names::Names;
use super::scope::{Scope, ScopeColumn};
use super::state::{Alone, Binder, Clause, Place, Rel, Result, Use, unnamed};
use crate::error::Error;
use crate::functions::{CastContext, Typed, apply_cast, canonical_form};
use crate::outcome::OutputColumn;

/// A statement that can be run.
#[derive(Debug, Clone)]
pub struct Bound {
    /// What DataFusion optimises and runs. Parameters in it are placeholders: see
    /// [`super::set_parameters`].
    pub plan: LogicalPlan,
    /// What the columns of its output are called.
    pub columns: Vec<OutputColumn>,
    /// The types of its parameters.
    pub params: Vec<SqlType>,
    /// What it reads: whoever runs it looks whether that may be read.
    pub uses: Vec<Use>,
    /// What makes the text say the same wherever and whenever it is read.
    pub edits: Vec<(usize, usize, String)>,
}

/// A query. Its output columns have the physical form of their types.
///
/// # Errors
/// What PostgreSQL says of it; `0A000` for what is not served.
pub fn bind_query(
    names: &dyn Names,
    query: &ast::Query,
    params: &[Option<SqlType>],
) -> Result<Bound> {
    bind_with(names, query, params, false)
}

/// The query of a view that is kept: where its gaps begin and end is for its readers to say.
///
/// # Errors
/// As [`bind_query`].
pub fn bind_kept(names: &dyn Names, query: &ast::Query) -> Result<Bound> {
    bind_with(names, query, &[], true)
}

/// A query within a statement: the rest of it may say what its parameters are.
///
/// # Errors
/// As [`bind_query`].
pub(crate) fn bind_part(
    names: &dyn Names,
    query: &ast::Query,
    params: &[Option<SqlType>],
) -> Result<Bound> {
    twice(names, params, |binder| {
        let rel = query_of(binder, query)?;
        Ok(Bound {
            columns: output_columns(&rel.scope),
            plan: rel.plan,
            edits: Vec::new(),
            uses: std::mem::take(&mut binder.uses),
            params: binder.params.clone().of_part(),
        })
    })
}

fn bind_with(
    names: &dyn Names,
    query: &ast::Query,
    params: &[Option<SqlType>],
    open_gaps: bool,
) -> Result<Bound> {
    twice(names, params, |binder| {
        binder.open_gaps = open_gaps;
        let rel = query_of(binder, query)?;
        finish(binder, rel)
    })
}

/// Binds, and once more if what is bound names system columns.
pub(super) fn twice<T>(
    names: &dyn Names,
    params: &[Option<SqlType>],
    bind: impl Fn(&mut Binder<'_>) -> Result<T>,
) -> Result<T> {
    let mut binder = Binder::new(names, params);
    match bind(&mut binder) {
        Err(_) if binder.system.wanted => {
            let mut binder = Binder::new(names, params);
            binder.system.read = true;
            bind(&mut binder)
        }
        bound => bound,
    }
}

/// The query itself, once what it needs is at hand.
pub(super) fn query_of(binder: &mut Binder<'_>, query: &ast::Query) -> Result<Rel> {
    let params = binder.params.clone();
    let mut rel = binder.query(query, None)?;
    let canonical = rel
        .scope
        .columns
        .iter()
        .all(|found| found.ty != SqlType::Unknown && found.arrow == found.ty.arrow());
    let untyped_parameter = rel
        .scope
        .columns
        .iter()
        .any(|found| found.ty == SqlType::Unknown);
    if untyped_parameter {
        // `SELECT $1`: text, as is any constant that nobody typed.
        let texts = vec![SqlType::Text; rel.scope.columns.len()];
        let mut again = Binder::new(binder.names, &[]);
        again.params = params;
        again.changing = binder.changing;
        again.open_gaps = binder.open_gaps;
        again.system.read = binder.system.read;
        rel = again.query(query, Some(&texts))?;
        *binder = again;
    }
    if !canonical {
        let mut items = Vec::with_capacity(rel.scope.columns.len());
        for found in &rel.scope.columns {
            let mut value = super::state::typed(found);
            if value.ty == SqlType::Unknown {
                value.ty = SqlType::Text;
            }
            if !matches!(value.ty, SqlType::Record | SqlType::Void) {
                value = canonical_form(value).map_err(super::state::told)?;
            }
            items.push((value, found.clone()));
        }
        rel = binder.project(rel.plan, items)?;
    }
    Ok(rel)
}

/// A constant expression: a default, an argument of EXECUTE or CALL, a setting. With a target it is
/// assigned to it, in the physical form of a column.
///
/// # Errors
/// What PostgreSQL says of it.
pub fn bind_scalar(names: &dyn Names, expr: &ast::Expr, target: Option<&Target>) -> Result<Typed> {
    let mut binder = Binder::new(names, &[]);
    let nothing = Scope::default();
    let place = Place {
        scope: &nothing,
        clause: Clause::Default,
    };
    let value = binder.expr(place, expr)?;
    refuse_queries(&binder, &value, expr, "DEFAULT expression")?;
    match target {
        Some(target) => binder.assign(value, target, super::state::position(expr)),
        None => binder.settled(value),
    }
}

/// As [`bind_over`], as a column of that relation takes it: a generated column.
///
/// # Errors
/// What PostgreSQL says of it.
pub fn bind_assigned(
    names: &dyn Names,
    expr: &ast::Expr,
    relation: &str,
    columns: &[(String, SqlType, DataType)],
    target: &Target,
    kind: Alone,
) -> Result<Typed> {
    let mut binder = Binder::new(names, &[]);
    let value = over(&mut binder, expr, relation, columns, kind)?;
    binder.assign(value, target, super::state::position(expr))
}

/// An expression over the columns of one relation, whose internal names are their own: a check, a
/// generated column, the predicate of an index.
///
/// # Errors
/// What PostgreSQL says of it.
pub fn bind_over(
    names: &dyn Names,
    expr: &ast::Expr,
    relation: &str,
    columns: &[(String, SqlType, DataType)],
) -> Result<Typed> {
    bind_alone(names, expr, relation, columns, Alone::Check)
}

/// The same, which messages call what it is for.
///
/// # Errors
/// As [`bind_over`].
pub fn bind_alone(
    names: &dyn Names,
    expr: &ast::Expr,
    relation: &str,
    columns: &[(String, SqlType, DataType)],
    kind: Alone,
) -> Result<Typed> {
    let mut binder = Binder::new(names, &[]);
    let value = over(&mut binder, expr, relation, columns, kind)?;
    binder.settled(value)
}

/// The condition of a policy, over the columns of its table; it may read other relations.
///
/// # Errors
/// What PostgreSQL says of it.
pub(crate) fn bind_policy(
    names: &dyn Names,
    expr: &ast::Expr,
    relation: &str,
    columns: &[(String, SqlType, DataType)],
) -> Result<()> {
    let mut binder = Binder::new(names, &[]);
    let scope = scope_of(relation, columns);
    let place = Place {
        scope: &scope,
        clause: Clause::Where,
    };
    let value = binder.expr(place, expr)?;
    binder.condition(value, "POLICY", super::state::position(expr))?;
    Ok(())
}

/// The same, whose type may be open yet.
fn over(
    binder: &mut Binder<'_>,
    expr: &ast::Expr,
    relation: &str,
    columns: &[(String, SqlType, DataType)],
    kind: Alone,
) -> Result<Typed> {
    let scope = scope_of(relation, columns);
    let place = Place {
        scope: &scope,
        clause: Clause::Alone(kind),
    };
    let value = binder.expr(place, expr)?;
    refuse_queries(binder, &value, expr, kind.word())?;
    Ok(value)
}

fn scope_of(relation: &str, columns: &[(String, SqlType, DataType)]) -> Scope {
    Scope {
        columns: columns
            .iter()
            .map(|(name, ty, arrow)| ScopeColumn {
                table: Some(relation.to_owned()),
                column: name.clone(),
                ty: ty.clone(),
                arrow: arrow.clone(),
                ..unnamed(name)
            })
            .collect(),
        relations: vec![super::scope::Alias {
            name: relation.to_owned(),
            schema: None,
            hides: None,
        }],
    }
}

/// A check of a domain, over the column or other plan's column that has the value.
///
/// # Errors
/// What PostgreSQL says of it; 42804 when it is not a Boolean.
pub fn bind_value(names: &dyn Names, text: &str, column: &str, ty: &SqlType) -> Result<Expr> {
    let tree = chronolith_sql::expression(text)?;
    let mut binder = Binder::new(names, &[]);
    let scope = Scope {
        columns: vec![ScopeColumn {
            column: column.to_owned(),
            ty: ty.clone(),
            arrow: ty.arrow(),
            ..unnamed("value")
        }],
        relations: Vec::new(),
    };
    let place = Place {
        scope: &scope,
        clause: Clause::Check,
    };
    let value = binder.expr(place, &tree)?;
    refuse_queries(&binder, &value, &tree, "check constraint")?;
    let value = binder.settled(value)?;
    match value.ty {
        SqlType::Bool => Ok(value.expr),
        other => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("argument of CHECK must be type boolean, not type {other}"),
        )),
    }
}

/// Nobody looks whether an expression of its own may read what it does: so it may read nothing.
fn refuse_queries(binder: &Binder<'_>, value: &Typed, expr: &ast::Expr, what: &str) -> Result<()> {
    let queries = value.expr.exists(|node| {
        Ok(matches!(
            node,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_)
        ))
    });
    match binder.uses.is_empty() && !queries.unwrap_or(true) {
        true => Ok(()),
        false => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot use subquery in {what}"),
        )
        .at(super::state::position(expr))),
    }
}

/// The call of a procedure: the function found and its arguments as one expression, the types of
/// parameters, and what is read.
///
/// # Errors
/// `42883` when there is none, `42809` when it is a function.
pub fn bind_call(
    names: &dyn Names,
    call: &ast::Function,
    params: &[Option<SqlType>],
) -> Result<(Typed, Vec<SqlType>, Vec<Use>)> {
    let mut binder = Binder::new(names, params);
    let value = binder.procedure(call)?;
    Ok((value, binder.params.finish()?, binder.uses))
}

/// The arguments of a call, cast to what it takes: a plan of one row.
///
/// # Errors
/// What PostgreSQL says of them.
pub fn bind_arguments(
    names: &dyn Names,
    args: &[(ast::Expr, SqlType)],
    params: &[Option<SqlType>],
) -> Result<Bound> {
    let mut binder = Binder::new(names, params);
    let nothing = Scope::default();
    let place = Place {
        scope: &nothing,
        clause: Clause::Default,
    };
    let mut values = Vec::with_capacity(args.len());
    for (number, (arg, ty)) in args.iter().enumerate() {
        let value = binder.expr(place, arg)?;
        let target = Target {
            name: format!("argument {}", number + 1),
            ty: ty.clone(),
            default: None,
        };
        let value = binder.assign(value, &target, super::state::position(arg))?;
        values.push(value.expr.alias(format!("argument {}", number + 1)));
    }
    if values.is_empty() {
        let nothing = datafusion::logical_expr::lit(datafusion::common::ScalarValue::Null);
        values.push(nothing.alias("nothing"));
    }
    let plan = LogicalPlanBuilder::empty(true)
        .project(values)
        .and_then(LogicalPlanBuilder::build)?;
    Ok(Bound {
        plan,
        columns: Vec::new(),
        params: binder.params.finish()?,
        edits: binder.edits,
        uses: binder.uses,
    })
}

/// An expression of a routine's statement over its variables, as a type if one is given. What has
/// no cast to it goes by its text, as PL/pgSQL assigns.
///
/// # Errors
/// What PostgreSQL says of it.
pub fn bind_among_variables(
    names: &dyn Names,
    expr: &ast::Expr,
    target: Option<&SqlType>,
    params: &[Option<SqlType>],
) -> Result<(Typed, Vec<Use>)> {
    let mut binder = Binder::new(names, params);
    let nothing = Scope::default();
    let place = Place {
        scope: &nothing,
        clause: Clause::Values,
    };
    let value = binder.expr(place, expr)?;
    let value = match target {
        Some(target) => binder.taken_as(value, target)?,
        None => binder.settled(value)?,
    };
    let value = match value.ty {
        SqlType::Record | SqlType::Void => value,
        _ => canonical_form(value).map_err(super::state::told)?,
    };
    Ok((value, binder.uses))
}

/// A value of one type as another, as PL/pgSQL assigns.
///
/// # Errors
/// What PostgreSQL says of it.
pub fn bind_cast(names: &dyn Names, value: Typed, target: &SqlType) -> Result<Typed> {
    let mut binder = Binder::new(names, &[]);
    let value = binder.taken_as(value, target)?;
    canonical_form(value).map_err(super::state::told)
}

/// A value that domains let in, the innermost first.
///
/// # Errors
/// Those of binding what they ask.
pub(crate) fn bind_held(names: &dyn Names, value: Typed, domains: &[Arc<Type>]) -> Result<Typed> {
    Binder::new(names, &[]).held(value, domains)
}

impl Binder<'_> {
    fn taken_as(&mut self, value: Typed, target: &SqlType) -> Result<Typed> {
        if matches!(target, SqlType::Record | SqlType::Void) {
            return self.settled(value);
        }
        let row = value.ty == SqlType::Record && target.fields().is_some();
        if matches!(value.ty, SqlType::Record | SqlType::Void) && !row {
            return Err(Error::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type {} to {target}", value.ty),
            ));
        }
        let assignable = castable(&value.ty, target, CastContext::Assignment);
        match assignable {
            true => {
                let value =
                    self.coerce(value, &target.without_typmod(), CastContext::Assignment)?;
                apply_cast(value, target, false).map_err(super::state::told)
            }
            false => {
                let text = self.coerce(value, &SqlType::Text, CastContext::Explicit)?;
                self.coerce(text, target, CastContext::Explicit)
            }
        }
    }
}

pub(super) fn finish(binder: &mut Binder<'_>, rel: Rel) -> Result<Bound> {
    Ok(Bound {
        columns: output_columns(&rel.scope),
        plan: rel.plan,
        edits: std::mem::take(&mut binder.edits),
        uses: std::mem::take(&mut binder.uses),
        params: binder.params.clone().finish()?,
    })
}

/// What the columns of a scope are called.
pub(super) fn output_columns(scope: &Scope) -> Vec<OutputColumn> {
    let columns = scope.columns.iter().map(|found| {
        let (table_oid, attribute) = found.origin.unwrap_or((0, 0));
        OutputColumn {
            name: found.name.clone(),
            // A domain's value by itself is of its base type, for clients too.
            ty: found.ty.base().clone(),
            table_oid,
            attribute,
        }
    });
    columns.collect()
}
