//! GROUP BY.

use std::collections::{HashMap, HashSet};

use chronolith_sql::ast::{self, GroupByExpr};
use chronolith_types::{NUMERIC_ANY, SqlState, SqlType};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::expr::{AggregateFunction, GroupingSet};
use datafusion::logical_expr::logical_plan::Aggregate;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};

use super::scope::{Found, Scope};
use super::select::{Item, passed};
use super::state::{
    Binder, Clause, Keyed, Place, Result, column, lift, position, project, told, typed, unsupported,
};
use crate::error::Error;
use crate::functions::{GapCall, Typed};

/// The keys of GROUP BY and which of them make each grouping set.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    keys: Vec<Typed>,
    /// None for a single set of all keys.
    sets: Option<Vec<Vec<usize>>>,
}

/// A plan of groups.
pub(super) struct Grouped {
    pub plan: LogicalPlan,
    /// The columns it has.
    pub names: HashSet<String>,
    /// The key that each expression is.
    keys: Vec<(Expr, String)>,
}

impl Grouping {
    pub(super) fn keys(&self) -> &[Typed] {
        &self.keys
    }

    pub(super) fn has_sets(&self) -> bool {
        self.sets.is_some()
    }

    /// Columns of tables whose primary key is grouped by are of one value in each group: those that
    /// are `named` become keys too.
    pub(super) fn widen<'e>(
        &mut self,
        keyed: &[Keyed],
        scope: &Scope,
        named: impl Iterator<Item = &'e Expr>,
    ) {
        if self.sets.is_some() || self.keys.is_empty() {
            return;
        }
        let known = |name: &String| {
            self.keys
                .iter()
                .any(|key| matches!(&key.expr, Expr::Column(found) if found.name == *name))
        };
        let whole = keyed
            .iter()
            .filter(|table| table.key.iter().all(known))
            .flat_map(|table| &table.columns)
            .filter(|name| !known(name))
            .collect::<HashSet<_>>();
        if whole.is_empty() {
            return;
        }
        let mut wanted = Vec::new();
        for expr in named {
            // Walking fails only when the closure does.
            let _ = expr.apply(|node| {
                let name = match node {
                    Expr::Column(found) => Some(&found.name),
                    _ => None,
                };
                if let Some(name) = name
                    && whole.contains(name)
                    && !wanted.contains(name)
                {
                    wanted.push(name.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            });
        }
        for name in wanted {
            self.keys.extend(scope.internal(&name).map(typed));
        }
    }
}

impl Binder<'_> {
    pub(super) fn grouping(
        &mut self,
        scope: &Scope,
        items: &[Item<'_>],
        group_by: &GroupByExpr,
    ) -> Result<Option<Grouping>> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(unsupported("GROUP BY … WITH"));
        }
        if exprs.is_empty() {
            return Ok(None);
        }
        let mut grouping = Grouping::default();
        let mut all: Vec<Vec<usize>> = vec![Vec::new()];
        let mut plain = true;
        for expr in exprs {
            let sets = match expr {
                ast::Expr::GroupingSets(sets) => {
                    plain = false;
                    let mut made = Vec::with_capacity(sets.len());
                    for set in sets {
                        made.push(self.key_set(scope, items, set, &mut grouping)?);
                    }
                    made
                }
                ast::Expr::Rollup(parts) => {
                    plain = false;
                    let parts = self.key_sets(scope, items, parts, &mut grouping)?;
                    (0..=parts.len())
                        .rev()
                        .map(|count| parts.iter().take(count).flatten().copied().collect())
                        .collect()
                }
                ast::Expr::Cube(parts) => {
                    plain = false;
                    let parts = self.key_sets(scope, items, parts, &mut grouping)?;
                    if parts.len() > 12 {
                        return Err(Error::new(
                            SqlState::new(b"54011"),
                            "CUBE is limited to 12 elements",
                        ));
                    }
                    (0..1_usize << parts.len())
                        .rev()
                        .map(|mask| {
                            let width = parts.len();
                            parts
                                .iter()
                                .enumerate()
                                .filter(|(at, _)| mask >> (width - 1 - at) & 1 == 1)
                                .flat_map(|(_, part)| part.iter().copied())
                                .collect()
                        })
                        .collect()
                }
                ast::Expr::Tuple(parts) => {
                    vec![self.key_set(scope, items, parts, &mut grouping)?]
                }
                other => {
                    let one = std::slice::from_ref(other);
                    vec![self.key_set(scope, items, one, &mut grouping)?]
                }
            };
            // Several elements multiply.
            let mut crossed = Vec::with_capacity(all.len() * sets.len());
            for before in &all {
                for set in &sets {
                    let mut both = before.clone();
                    both.extend(set.iter().filter(|key| !before.contains(key)));
                    crossed.push(both);
                }
            }
            all = crossed;
        }
        grouping.sets = (!plain).then_some(all);
        Ok(Some(grouping))
    }

    fn key_sets(
        &mut self,
        scope: &Scope,
        items: &[Item<'_>],
        parts: &[Vec<ast::Expr>],
        grouping: &mut Grouping,
    ) -> Result<Vec<Vec<usize>>> {
        parts
            .iter()
            .map(|part| self.key_set(scope, items, part, grouping))
            .collect()
    }

    fn key_set(
        &mut self,
        scope: &Scope,
        items: &[Item<'_>],
        exprs: &[ast::Expr],
        grouping: &mut Grouping,
    ) -> Result<Vec<usize>> {
        let mut set = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let key = self.group_key(scope, items, expr)?;
            let at = match grouping
                .keys
                .iter()
                .position(|known| known.expr == key.expr)
            {
                Some(at) => at,
                None => {
                    grouping.keys.push(key);
                    grouping.keys.len() - 1
                }
            };
            if !set.contains(&at) {
                set.push(at);
            }
        }
        Ok(set)
    }

    /// A key: an input column before an output column, a number, or any expression.
    fn group_key(&mut self, scope: &Scope, items: &[Item<'_>], expr: &ast::Expr) -> Result<Typed> {
        let at = position(expr);
        let place = Place {
            scope,
            clause: Clause::GroupBy,
        };
        let mut tree = expr;
        let mut found = None;
        if let Some(number) = super::query::number_of(expr) {
            let number = number
                .parse::<i64>()
                .map_err(|_| super::query::non_integer("GROUP BY", expr))?;
            let item = usize::try_from(number)
                .ok()
                .and_then(|number| number.checked_sub(1))
                .and_then(|at| items.get(at));
            found = Some(item.ok_or_else(|| {
                Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("GROUP BY position {number} is not in select list"),
                )
                .at(at)
            })?);
        }
        match expr {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(..) | ast::Value::Placeholder(_) | ast::Value::Null => {}
                _ => return Err(super::query::non_integer("GROUP BY", expr)),
            },
            ast::Expr::Identifier(ident) if matches!(scope.by_name(&ident.value), Found::None) => {
                let mut named = items.iter().filter(|item| item.column.name == ident.value);
                found = named.next();
                if let Some(first) = found
                    && named.any(|other| other.value.expr != first.value.expr)
                {
                    return Err(Error::new(
                        SqlState::AMBIGUOUS_COLUMN,
                        format!("GROUP BY \"{}\" is ambiguous", ident.value),
                    )
                    .at(at));
                }
            }
            _ => {}
        }
        if let Some(item) = found {
            match item.tree {
                // Bound again, so that an aggregate in it is refused.
                Some(of) => tree = of,
                None => return Ok(item.value.clone()),
            }
        }
        let value = self.expr(place, tree)?;
        self.settled(value)
    }

    /// A value whose equality is that of its physical form.
    pub(super) fn groupable(&mut self, value: Typed) -> Result<Typed> {
        if has_no_equality(&value.ty) {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "could not identify an equality operator for type {}",
                    value.ty
                ),
            ));
        }
        if value.arrow == NUMERIC_ANY {
            return self.call_plain("trim_scale", vec![value], None);
        }
        Ok(value)
    }

    pub(super) fn aggregate(
        &mut self,
        plan: LogicalPlan,
        scope: &Scope,
        grouping: Grouping,
        aggregates: Vec<(String, Expr)>,
    ) -> Result<Grouped> {
        let mut computed = Vec::new();
        let mut keys = Vec::with_capacity(grouping.keys.len());
        for key in grouping.keys {
            let original = key.expr.clone();
            let key = self.groupable(key)?;
            let name = match &key.expr {
                Expr::Column(found) => found.name.clone(),
                expr => {
                    let name = self.fresh();
                    // Where gaps are filled is nothing to the rows that are there.
                    let plain = match GapCall::of(expr) {
                        Some(call) => call.plain().map_err(told)?,
                        None => None,
                    };
                    let expr = plain.unwrap_or_else(|| expr.clone());
                    computed.push(expr.alias(&name));
                    name
                }
            };
            keys.push((original, name));
        }
        let plan = if computed.is_empty() {
            plan
        } else {
            let mut exprs = passed(scope);
            exprs.append(&mut computed);
            project(plan, exprs)?
        };
        let mut names = keys
            .iter()
            .map(|(_, name)| name.clone())
            .collect::<HashSet<_>>();
        let mut made = Vec::with_capacity(aggregates.len());
        for (name, mut expr) in aggregates {
            if let Expr::AggregateFunction(call) = &mut expr
                && call.func.name() == "grouping"
            {
                for arg in &mut call.params.args {
                    let key = keys.iter().find(|(key, _)| key == arg);
                    let (_, key) = key.ok_or_else(|| {
                        Error::new(
                            SqlState::GROUPING_ERROR,
                            "arguments to GROUPING must be grouping expressions of the \
                             associated query level",
                        )
                        .at(self.places.get(&name).copied())
                    })?;
                    *arg = column(key);
                }
            }
            made.push(expr.alias(&name));
            names.insert(name);
        }
        let named = |at: &usize| keys.get(*at).map(|(_, name)| column(name));
        let groups = match &grouping.sets {
            None => keys.iter().map(|(_, name)| column(name)).collect(),
            Some(sets) => {
                let sets = sets
                    .iter()
                    .map(|set| set.iter().filter_map(named).collect())
                    .collect();
                vec![Expr::GroupingSet(GroupingSet::GroupingSets(sets))]
            }
        };
        if groups.is_empty() && made.is_empty() {
            // HAVING alone: one group of all rows.
            let count = Expr::AggregateFunction(AggregateFunction::new_udf(
                datafusion::functions_aggregate::count::count_udaf(),
                vec![lit(1_i64)],
                false,
                None,
                Vec::new(),
                None,
            ));
            made.push(count.alias(self.fresh()));
        }
        let plan = Aggregate::try_new(std::sync::Arc::new(plan), groups, made).map_err(lift)?;
        Ok(Grouped {
            plan: LogicalPlan::Aggregate(plan),
            names,
            keys,
        })
    }
}

impl Grouped {
    /// The column that a key is.
    pub(super) fn key_of(&self, expr: &Expr) -> Option<&str> {
        let found = self.keys.iter().find(|(key, _)| key == expr);
        found.map(|(_, name)| name.as_str())
    }

    pub(super) fn key_names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(_, name)| name.as_str())
    }

    /// An expression over the rows as one over the groups.
    pub(super) fn rewrite(
        &self,
        expr: Expr,
        known: &HashSet<String>,
        scope: &Scope,
        places: &HashMap<String, u32>,
    ) -> Result<Expr> {
        let rewritten = expr
            .transform_down(
                |node| match self.keys.iter().find(|(key, _)| *key == node) {
                    Some((_, name)) => Ok(Transformed::new(
                        column(name),
                        true,
                        TreeNodeRecursion::Jump,
                    )),
                    None => Ok(Transformed::no(node)),
                },
            )
            .map_err(lift)?
            .data;
        let mut stray = None;
        let mut inner = false;
        rewritten
            .apply(|node| {
                match node {
                    Expr::Column(found) if !known.contains(&found.name) => {
                        stray = Some(found.name.clone());
                    }
                    Expr::ScalarSubquery(subquery) => {
                        for reference in &subquery.outer_ref_columns {
                            if let Expr::OuterReferenceColumn(_, found) = reference
                                && scope.internal(&found.name).is_some()
                                && !known.contains(&found.name)
                            {
                                stray = Some(found.name.clone());
                                inner = true;
                            }
                        }
                    }
                    _ => {}
                }
                Ok(if stray.is_some() {
                    TreeNodeRecursion::Stop
                } else {
                    TreeNodeRecursion::Continue
                })
            })
            .map_err(lift)?;
        let Some(stray) = stray else {
            return Ok(rewritten);
        };
        let spelled = match scope.internal(&stray) {
            Some(found) => match &found.table {
                Some(table) => format!("{table}.{}", found.name),
                None => found.name.clone(),
            },
            None => stray.clone(),
        };
        let message = if inner {
            format!("subquery uses ungrouped column \"{spelled}\" from outer query")
        } else {
            format!(
                "column \"{spelled}\" must appear in the GROUP BY clause or be used in an aggregate function"
            )
        };
        Err(Error::new(SqlState::GROUPING_ERROR, message).at(places.get(&stray).copied()))
    }
}

/// Whether values of a type are not compared with each other.
pub(super) fn has_no_equality(ty: &SqlType) -> bool {
    match ty {
        SqlType::Json | SqlType::Jsonpath => true,
        SqlType::Array(item) => has_no_equality(item),
        _ => false,
    }
}
