//! SELECT.

use std::collections::HashSet;
use std::sync::Arc;

use chronolith_sql::ast::{
    self, Distinct, OrderByExpr, Select, SelectItem, SelectItemQualifiedWildcardKind,
};
use chronolith_sql::quoted;
use chronolith_types::{SqlState, SqlType};
use datafusion::functions_window::rank::rank_udwf;
use datafusion::functions_window::row_number::row_number_udwf;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::logical_plan::Window;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, WindowFrame, WindowFunctionDefinition,
    WindowUDF,
};

use super::expr::row_of;
use super::gapfill::Gap;
use super::scope::{Scope, ScopeColumn};
use super::state::{
    Binder, Calls, Clause, Place, Rel, Result, column, ident_position, lift, position, typed,
    unnamed, unsupported,
};
use crate::error::Error;
use crate::functions::Typed;
use crate::nodes::{Expand, FirstOfEach, SetCall};

/// PostgreSQL's `MaxTupleAttributeNumber`.
const COLUMNS_MAX: usize = 1664;

/// A column of the select list.
pub(super) struct Item<'q> {
    /// What it is called, of which table it is.
    pub column: ScopeColumn,
    /// Its tree; none for one of `*`.
    pub tree: Option<&'q ast::Expr>,
    pub value: Typed,
}

/// A key of ORDER BY.
enum Key {
    /// An output column.
    Output(usize),
    /// Something else of the input.
    Input(Typed),
}

impl Key {
    /// The expression of an input.
    fn input(&self) -> Option<&Expr> {
        match self {
            Self::Input(value) => Some(&value.expr),
            Self::Output(_) => None,
        }
    }

    fn input_mut(&mut self) -> Option<&mut Expr> {
        match self {
            Self::Input(value) => Some(&mut value.expr),
            Self::Output(_) => None,
        }
    }
}

impl Binder<'_> {
    pub(super) fn select(
        &mut self,
        select: &Select,
        keys: &[OrderByExpr],
        expected: Option<&[SqlType]>,
    ) -> Result<Rel> {
        refuse(select)?;
        for (place, window) in select.named_window.iter().enumerate() {
            let name = &window.0;
            let mut before = select.named_window.iter().take(place);
            if before.any(|other| other.0.value == name.value) {
                return Err(Error::new(
                    SqlState::new(b"42P20"),
                    format!("window \"{}\" is already defined", name.value),
                )
                .at(ident_position(name)));
            }
        }
        self.calls.push(Calls::default());
        self.named_windows.push(select.named_window.clone());
        let documents = self.documents;
        let bound = self.select_here(select, keys, expected);
        self.documents = documents;
        self.calls.pop();
        self.named_windows.pop();
        bound
    }

    fn select_here(
        &mut self,
        select: &Select,
        keys: &[OrderByExpr],
        expected: Option<&[SqlType]>,
    ) -> Result<Rel> {
        // Where a document is made of what is selected, the rows below are rows still.
        let documents = std::mem::replace(&mut self.documents, false);
        let mut rel = self.from(&select.from)?;
        let mut restriction = None;
        if let Some(condition) = &select.selection {
            let place = Place {
                scope: &rel.scope,
                clause: Clause::Where,
            };
            let value = self.kept_by(place, condition)?;
            let condition = self.condition(value, "WHERE", position(condition))?;
            restriction = Some(condition.clone());
            rel.plan = filtered(rel.plan, condition)?;
        }
        self.documents = documents;
        let mut items = self.items(&rel.scope, &select.projection, expected, Clause::Select)?;
        self.documents = false;
        let mut having = match &select.having {
            Some(having) => {
                let place = Place {
                    scope: &rel.scope,
                    clause: Clause::Having,
                };
                let value = self.expr(place, having)?;
                Some(self.condition(value, "HAVING", position(having))?)
            }
            None => None,
        };
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            order.push((
                self.order_key(&rel.scope, &items, &key.expr, "ORDER BY")?,
                key,
            ));
        }
        let mut on = self.distinct_on(&rel.scope, &items, select.distinct.as_ref())?;
        let grouping = self.grouping(&rel.scope, &items, &select.group_by)?;
        let calls = self
            .calls
            .last_mut()
            .map(std::mem::take)
            .unwrap_or_default();
        let Calls {
            aggregates,
            mut windows,
            mut sets,
        } = calls;
        let scope = rel.scope.clone();
        let mut gap = {
            let targets = items.iter().map(|item| &item.value.expr);
            let targets = targets.chain(aggregates.iter().map(|(_, expr)| expr));
            let targets: Vec<&Expr> = targets.collect();
            let others: Vec<&Expr> = order.iter().filter_map(|(key, _)| key.input()).collect();
            let (grouping, condition) = (grouping.as_ref(), restriction.as_ref());
            let open = self.open_gaps && self.calls.len() == 1;
            Gap::of(grouping, &targets, &others, condition, open)?
        };
        if gap.is_some() {
            super::gapfill::check_below(&aggregates)?;
        }
        if grouping.is_some() || !aggregates.is_empty() || having.is_some() {
            let mut grouping = grouping.unwrap_or_default();
            let named = items.iter().map(|item| &item.value.expr).chain(&having);
            let named = named.chain(windows.iter().chain(&sets).map(|(_, expr)| expr));
            let named = named.chain(on.iter().map(|value| &value.expr));
            let keys = order.iter().filter_map(|(key, _)| key.input());
            grouping.widen(&self.keyed, &scope, named.chain(keys));
            let made = self.aggregate(rel.plan, &scope, grouping, aggregates)?;
            rel.plan = made.plan.clone();
            let mut known = made.names.clone();
            known.extend(windows.iter().map(|(name, _)| name.clone()));
            known.extend(sets.iter().map(|(name, _)| name.clone()));
            let rewrite = |binder: &Self, expr: Expr| -> Result<Expr> {
                made.rewrite(expr, &known, &scope, &binder.places)
            };
            for item in &mut items {
                item.value.expr = rewrite(self, item.value.expr.clone())?;
            }
            if let Some(condition) = having.take() {
                having = Some(rewrite(self, condition)?);
            }
            for (_, expr) in windows.iter_mut().chain(&mut sets) {
                *expr = rewrite(self, expr.clone())?;
            }
            for (key, _) in &mut order {
                if let Key::Input(value) = key {
                    value.expr = rewrite(self, value.expr.clone())?;
                }
            }
            for value in &mut on {
                value.expr = rewrite(self, value.expr.clone())?;
            }
            if let Some(gap) = gap.take() {
                // What HAVING leaves out are gaps.
                if let Some(condition) = having.take() {
                    rel.plan = filtered(rel.plan, condition)?;
                }
                let later: HashSet<String> = windows
                    .iter()
                    .chain(&sets)
                    .map(|(name, _)| name.clone())
                    .collect();
                let mut exprs: Vec<&mut Expr> = Vec::new();
                exprs.extend(items.iter_mut().map(|item| &mut item.value.expr));
                exprs.extend(windows.iter_mut().chain(&mut sets).map(|(_, expr)| expr));
                exprs.extend(order.iter_mut().filter_map(|(key, _)| key.input_mut()));
                exprs.extend(on.iter_mut().map(|value| &mut value.expr));
                rel.plan = self.fill_gaps(rel.plan, &made, gap, exprs, &later)?;
            }
        }
        if let Some(condition) = having {
            rel.plan = filtered(rel.plan, condition)?;
        }
        rel.plan = windowed(rel.plan, windows)?;
        rel.plan = expanded(rel.plan, sets)?;
        self.output(rel.plan, items, order, on, select.distinct.as_ref())
    }

    // ------------------------------------------------------------ select list

    pub(super) fn items<'q>(
        &mut self,
        scope: &Scope,
        projection: &'q [SelectItem],
        expected: Option<&[SqlType]>,
        clause: Clause,
    ) -> Result<Vec<Item<'q>>> {
        let mut items = Vec::with_capacity(projection.len());
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(tree)
                    if let Some((root, path)) = super::fields::starred(tree) =>
                {
                    let fields = self.fields_of(Place { scope, clause }, root, path)?;
                    items.extend(fields);
                }
                SelectItem::UnnamedExpr(tree) => {
                    let name = name_of(tree);
                    items.push(self.item(
                        Place { scope, clause },
                        tree,
                        &name,
                        expected,
                        items.len(),
                    )?);
                    self.follow_output(tree, &name);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    items.push(self.item(
                        Place { scope, clause },
                        expr,
                        &alias.value,
                        expected,
                        items.len(),
                    )?);
                }
                SelectItem::Wildcard(options) => {
                    if options.opt_alias.is_some() {
                        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
                    }
                    if scope.columns.is_empty() && scope.relations.is_empty() {
                        return Err(Error::new(
                            SqlState::SYNTAX_ERROR,
                            "SELECT * with no tables specified is not valid",
                        )
                        .at(u32::try_from(options.wildcard_token.0.span.start.column).ok()));
                    }
                    let columns = scope.columns.iter();
                    let visible = columns.filter(|column| column.visible && !column.is_place());
                    let place = star_place(options);
                    self.written_out(place, place, visible.clone());
                    self.touch_all(visible.clone());
                    items.extend(visible.map(star));
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(unsupported("(expression).*"));
                    };
                    let parts = name
                        .0
                        .iter()
                        .filter_map(|part| part.as_ident())
                        .collect::<Vec<_>>();
                    let (schema, table) = match parts.as_slice() {
                        [table] => (None, *table),
                        [.., schema, table] => (Some(schema.value.as_str()), *table),
                        [] => return Err(unsupported("* of nothing")),
                    };
                    if schema.is_none()
                        && !scope.has_table(None, &table.value)
                        && let Some(row) = self.row_variable(&table.value)?
                    {
                        items.extend(row.into_iter().map(|(column, value)| Item {
                            column,
                            tree: None,
                            value,
                        }));
                        continue;
                    }
                    if !scope.has_table(schema, &table.value) {
                        let at = parts.first().and_then(|ident| ident_position(ident));
                        return Err(self.missing_from(scope, &table.value, at));
                    }
                    let start = super::state::Placed::place(name);
                    let columns = scope.of_table(schema, &table.value);
                    let columns: Vec<_> = columns.filter(|column| !column.is_place()).collect();
                    self.written_out(start, star_place(options), columns.iter().copied());
                    self.touch_all(columns.iter().copied());
                    items.extend(columns.into_iter().map(star));
                }
                SelectItem::ExprWithAliases { .. } => {
                    return Err(unsupported("several aliases of one expression"));
                }
            }
        }
        if items.len() > COLUMNS_MAX {
            return Err(Error::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("target lists can have at most {COLUMNS_MAX} entries"),
            ));
        }
        Ok(items)
    }

    /// Notes what a `*` that ends at a character stands for.
    fn written_out<'s>(
        &mut self,
        start: usize,
        end: usize,
        columns: impl Iterator<Item = &'s ScopeColumn>,
    ) {
        if self.views > 0 || start == 0 || end < start {
            return;
        }
        let names = columns
            .map(|found| match &found.table {
                Some(table) => format!("{}.{}", quoted(table), quoted(&found.name)),
                None => quoted(&found.name),
            })
            .collect::<Vec<_>>();
        if !names.is_empty() {
            self.edits.push((start, end + 1, names.join(", ")));
        }
    }

    fn item<'q>(
        &mut self,
        place: Place<'_>,
        tree: &'q ast::Expr,
        name: &str,
        expected: Option<&[SqlType]>,
        at: usize,
    ) -> Result<Item<'q>> {
        let mut value = self.expr(place, tree)?;
        if value.ty == SqlType::Unknown
            && let Some(ty) = expected.and_then(|types| types.get(at))
        {
            value = self.settle(value, ty)?;
        }
        let name = match tree {
            // A subquery is called as its column.
            ast::Expr::Subquery(query) if name == "?column?" => query_name(query),
            _ => name.to_owned(),
        };
        let mut column = unnamed(&name);
        if let Expr::Column(found) = &value.expr
            && let Some(found) = place.scope.internal(&found.name)
        {
            column.origin = found.origin;
        }
        Ok(Item {
            column,
            tree: Some(tree),
            value,
        })
    }

    // ----------------------------------------------------- ORDER BY and DISTINCT

    fn order_key(
        &mut self,
        scope: &Scope,
        items: &[Item<'_>],
        key: &ast::Expr,
        clause: &str,
    ) -> Result<Key> {
        let columns = items
            .iter()
            .map(|item| item.column.clone())
            .collect::<Vec<_>>();
        let found = match self.output_key(&columns, key, clause) {
            // Two columns of one name are the same when their expressions are.
            Err(error) if error.code == SqlState::AMBIGUOUS_COLUMN => {
                let ast::Expr::Identifier(ident) = key else {
                    return Err(error);
                };
                let mut same = items
                    .iter()
                    .enumerate()
                    .filter(|(_, item)| item.column.name == ident.value);
                let first = same.next();
                match first {
                    Some((at, first))
                        if same.all(|(_, item)| item.value.expr == first.value.expr) =>
                    {
                        Some(at)
                    }
                    _ => return Err(error),
                }
            }
            found => found?,
        };
        if let Some(at) = found {
            return Ok(Key::Output(at));
        }
        let place = Place {
            scope,
            clause: Clause::OrderBy,
        };
        let value = self.expr(place, key)?;
        let value = self.settled(value)?;
        // What stands in the select list is computed once.
        Ok(
            match items.iter().position(|item| item.value.expr == value.expr) {
                Some(at) => Key::Output(at),
                None => Key::Input(value),
            },
        )
    }

    fn distinct_on(
        &mut self,
        scope: &Scope,
        items: &[Item<'_>],
        distinct: Option<&Distinct>,
    ) -> Result<Vec<Typed>> {
        let Some(Distinct::On(keys)) = distinct else {
            return Ok(Vec::new());
        };
        let mut on = Vec::with_capacity(keys.len());
        for key in keys {
            let key = match key {
                ast::Expr::Nested(inner) => inner,
                other => other,
            };
            match self.order_key(scope, items, key, "DISTINCT ON")? {
                Key::Output(at) => on.extend(items.get(at).map(|item| item.value.clone())),
                Key::Input(value) => on.push(value),
            }
        }
        Ok(on)
    }

    /// The last steps: projection, DISTINCT and ORDER BY.
    fn output(
        &mut self,
        plan: LogicalPlan,
        items: Vec<Item<'_>>,
        order: Vec<(Key, &OrderByExpr)>,
        on: Vec<Typed>,
        distinct: Option<&Distinct>,
    ) -> Result<Rel> {
        let plain = matches!(distinct, Some(Distinct::Distinct));
        let width = items.len();
        let mut projected = Vec::with_capacity(width + order.len());
        for item in items {
            let value = if plain {
                let value = self.settled(item.value)?;
                self.groupable(value)?
            } else {
                item.value
            };
            projected.push((value, item.column));
        }
        let mut sort_at = Vec::with_capacity(order.len());
        for (key, tree) in order {
            let at = match key {
                Key::Output(at) => at,
                Key::Input(_) if plain => {
                    return Err(Error::new(
                        SqlState::INVALID_COLUMN_REFERENCE,
                        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                    )
                    .at(position(&tree.expr)));
                }
                Key::Input(value) => {
                    projected.push((value, unnamed("?sort?")));
                    projected.len() - 1
                }
            };
            sort_at.push((at, tree));
        }
        let on_from = projected.len();
        let count = on.len();
        for value in on {
            let value = self.groupable(value)?;
            projected.push((value, unnamed("?on?")));
        }
        let extra = projected.len() > width;
        let mut rel = self.project(plan, projected)?;
        let mut sorts = Vec::with_capacity(sort_at.len());
        for (at, tree) in &sort_at {
            if let Some(found) = rel.scope.columns.get(*at) {
                sorts.push(self.sort_of(typed(found), &tree.options)?);
            }
        }
        if plain {
            rel.plan = LogicalPlanBuilder::from(rel.plan)
                .distinct()
                .map_err(lift)?
                .build()
                .map_err(lift)?;
        }
        if count > 0 {
            self.check_on(&rel, on_from, count, &sort_at)?;
            let on = rel.scope.columns.iter().skip(on_from);
            let keys = on.map(|found| column(&found.column)).collect();
            rel.plan = FirstOfEach::plan(rel.plan, keys, sorts.clone());
        }
        if !sorts.is_empty() {
            rel = self.sort_plan(rel, sorts)?;
        }
        if extra {
            rel.scope.columns.truncate(width);
            let exprs = rel
                .scope
                .columns
                .iter()
                .map(|found| column(&found.column))
                .collect();
            rel.plan = super::state::project(rel.plan, exprs)?;
        }
        Ok(rel)
    }

    /// SELECT DISTINCT ON wants its expressions first in ORDER BY.
    fn check_on(
        &self,
        rel: &Rel,
        on_from: usize,
        count: usize,
        sort_at: &[(usize, &OrderByExpr)],
    ) -> Result<()> {
        let LogicalPlan::Projection(projection) = &rel.plan else {
            return Ok(());
        };
        let bare = |at: usize| projection.expr.get(at).map(|expr| expr.clone().unalias());
        let on = (on_from..on_from + count).map(bare).collect::<Vec<_>>();
        for (at, tree) in sort_at.iter().take(count) {
            if !on.contains(&bare(*at)) {
                return Err(Error::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
                )
                .at(position(&tree.expr)));
            }
        }
        Ok(())
    }
}

/// The rows numbered from 1 within each partition.
pub(super) fn numbered(
    plan: LogicalPlan,
    partition_by: Vec<Expr>,
    order_by: Vec<SortExpr>,
    name: &str,
) -> Result<LogicalPlan> {
    let number = window(row_number_udwf(), partition_by, order_by);
    windowed(plan, vec![(name.to_owned(), number)])
}

/// The rows numbered from 1 in an order, and ranked: those that are alike in it have the same rank.
pub(super) fn numbered_and_ranked(
    plan: LogicalPlan,
    order_by: &[SortExpr],
    number: &str,
    rank: &str,
) -> Result<LogicalPlan> {
    let one = window(row_number_udwf(), Vec::new(), order_by.to_vec());
    let other = window(rank_udwf(), Vec::new(), order_by.to_vec());
    let windows = vec![(number.to_owned(), one), (rank.to_owned(), other)];
    windowed(plan, windows)
}

fn window(of: Arc<WindowUDF>, partition_by: Vec<Expr>, order_by: Vec<SortExpr>) -> Expr {
    let window_frame = WindowFrame::new((!order_by.is_empty()).then_some(false));
    Expr::WindowFunction(Box::new(WindowFunction {
        fun: WindowFunctionDefinition::WindowUDF(of),
        params: WindowFunctionParams {
            args: Vec::new(),
            partition_by,
            order_by,
            window_frame,
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    }))
}

pub(super) fn filtered(plan: LogicalPlan, condition: Expr) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .filter(condition)
        .map_err(lift)?
        .build()
        .map_err(lift)
}

/// The keys of partitions as columns, each key once: of several that come to the same the library does
/// not see that rows are ordered by them, unless they are columns.
fn with_keys(plan: LogicalPlan, windows: &mut [(String, Expr)]) -> Result<LogicalPlan> {
    let mut made: Vec<(Expr, String)> = Vec::new();
    for (name, expr) in windows {
        let Expr::WindowFunction(call) = expr else {
            continue;
        };
        let mut keys: Vec<Expr> = Vec::with_capacity(call.params.partition_by.len());
        for key in std::mem::take(&mut call.params.partition_by) {
            let key = match (&key, made.iter().find(|(known, _)| *known == key)) {
                (Expr::Column(_), _) => key,
                (_, Some((_, known))) => column(known),
                (_, None) => {
                    let fresh = format!("{name} {}", made.len());
                    made.push((key, fresh.clone()));
                    column(&fresh)
                }
            };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        call.params.partition_by = keys;
    }
    if made.is_empty() {
        return Ok(plan);
    }
    let columns = plan.schema().columns().into_iter().map(Expr::Column);
    let made = made.into_iter().map(|(key, name)| key.alias(name));
    let all: Vec<Expr> = columns.chain(made).collect();
    super::state::project(plan, all)
}

/// Window functions, those of one partition and order together.
fn windowed(plan: LogicalPlan, mut windows: Vec<(String, Expr)>) -> Result<LogicalPlan> {
    let mut plan = with_keys(plan, &mut windows)?;
    let mut groups: Vec<(Vec<Expr>, Vec<SortExpr>, Vec<Expr>)> = Vec::new();
    for (name, expr) in windows {
        let (partition, order) = match &expr {
            Expr::WindowFunction(call) => (
                call.params.partition_by.clone(),
                call.params.order_by.clone(),
            ),
            _ => return Err(Error::internal("no window function")),
        };
        let expr = expr.alias(name);
        match groups
            .iter_mut()
            .find(|group| group.0 == partition && group.1 == order)
        {
            Some(group) => group.2.push(expr),
            None => groups.push((partition, order, vec![expr])),
        }
    }
    for (_, _, exprs) in groups {
        let window = Window::try_new(exprs, std::sync::Arc::new(plan)).map_err(lift)?;
        plan = LogicalPlan::Window(window);
    }
    Ok(plan)
}

/// Sets of the select list, side by side; one whose arguments are another's rows comes after it.
fn expanded(mut plan: LogicalPlan, mut sets: Vec<(String, Expr)>) -> Result<LogicalPlan> {
    while !sets.is_empty() {
        let known = Arc::clone(plan.schema());
        let (now, later): (Vec<_>, Vec<_>) = sets.into_iter().partition(|(_, list)| {
            let columns = list.column_refs();
            columns.into_iter().all(|column| known.has_column(column))
        });
        if now.is_empty() {
            return Err(Error::internal("a set of columns that nothing makes"));
        }
        let calls = now
            .into_iter()
            .map(|(name, list)| SetCall::new(name, list, &known))
            .collect::<datafusion::common::Result<_>>()
            .map_err(lift)?;
        plan = Expand::plan(plan, calls, None, false).map_err(lift)?;
        sets = later;
    }
    Ok(plan)
}

fn star_place(options: &ast::WildcardAdditionalOptions) -> usize {
    usize::try_from(options.wildcard_token.0.span.start.column).unwrap_or(0)
}

fn star<'q>(found: &ScopeColumn) -> Item<'q> {
    Item {
        column: ScopeColumn {
            table: None,
            schema: None,
            visible: true,
            ..found.clone()
        },
        tree: None,
        value: typed(found),
    }
}

/// What PostgreSQL has no words for, or we none yet.
fn refuse(select: &Select) -> Result<()> {
    if let Some(into) = &select.into {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "SELECT ... INTO is not allowed here",
        )
        .at(position(&into.name)));
    }
    if select.top.is_some()
        || select.qualify.is_some()
        || select.prewhere.is_some()
        || !select.lateral_views.is_empty()
        || !select.connect_by.is_empty()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || select.value_table_mode.is_some()
        || select.exclude.is_some()
    {
        return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error"));
    }
    Ok(())
}

/// All columns of a scope, each once.
pub(super) fn passed(scope: &Scope) -> Vec<Expr> {
    let mut seen = HashSet::new();
    scope
        .columns
        .iter()
        .filter(|found| seen.insert(found.column.as_str()))
        .map(|found| column(&found.column))
        .collect()
}

/// What a column is called that nobody named: PostgreSQL's `FigureColname`.
pub(crate) fn name_of(tree: &ast::Expr) -> String {
    figure(tree).map_or("?column?".to_owned(), |(name, _)| name)
}

/// A name, and whether it gives way to that of a type its expression is cast to.
fn figure(tree: &ast::Expr) -> Option<(String, bool)> {
    let strong = |name: String| Some((name, false));
    match tree {
        ast::Expr::Identifier(ident) => strong(ident.value.clone()),
        ast::Expr::CompoundIdentifier(parts) => strong(parts.last()?.value.clone()),
        ast::Expr::CompoundFieldAccess { root, access_chain } => {
            let mut fields = access_chain.iter().rev().filter_map(|access| match access {
                ast::AccessExpr::Dot(ast::Expr::Identifier(field)) => Some(field.value.clone()),
                _ => None,
            });
            match fields.next() {
                Some(field) => strong(field),
                None => figure(root),
            }
        }
        ast::Expr::Nested(inner) if row_of(tree).is_none() => figure(inner),
        ast::Expr::Function(function) => strong(function.name.0.last()?.as_ident()?.value.clone()),
        ast::Expr::Cast {
            expr, data_type, ..
        } => match figure(expr) {
            Some((name, false)) => strong(name),
            _ => {
                let name = chronolith_sql::type_or_name(data_type, 0)?.typname();
                Some((name.trim_start_matches('_').to_owned(), true))
            }
        },
        ast::Expr::TypedString(typed) => {
            let name = chronolith_sql::type_or_name(&typed.data_type, 0)?.typname();
            Some((name, true))
        }
        ast::Expr::Interval(_) => Some(("interval".to_owned(), true)),
        ast::Expr::Case { else_result, .. } => match else_result.as_deref().and_then(figure) {
            Some((name, false)) => strong(name),
            _ => Some(("case".to_owned(), true)),
        },
        ast::Expr::Substring { shorthand, .. } => {
            strong(if *shorthand { "substr" } else { "substring" }.to_owned())
        }
        ast::Expr::Trim { trim_where, .. } => {
            strong(super::expr::trim_name(*trim_where).to_owned())
        }
        ast::Expr::Collate { expr, .. } => figure(expr),
        other => strong(keyword_name(other)?.to_owned()),
    }
}

fn keyword_name(tree: &ast::Expr) -> Option<&'static str> {
    Some(match tree {
        ast::Expr::Exists { negated: false, .. } => "exists",
        ast::Expr::Array(_) => "array",
        ast::Expr::Tuple(_) => "row",
        ast::Expr::Extract { .. } => "extract",
        ast::Expr::AtTimeZone { .. } => "timezone",
        ast::Expr::Position { .. } => "position",
        ast::Expr::Overlay { .. } => "overlay",
        ast::Expr::Ceil { .. } => "ceil",
        ast::Expr::Floor { .. } => "floor",
        _ => return None,
    })
}

pub(super) fn query_name(query: &ast::Query) -> String {
    let ast::SetExpr::Select(select) = query.body.as_ref() else {
        return match query.body.as_ref() {
            ast::SetExpr::Values(_) => "column1".to_owned(),
            _ => "?column?".to_owned(),
        };
    };
    match select.projection.first() {
        Some(SelectItem::UnnamedExpr(tree)) => name_of(tree),
        Some(SelectItem::ExprWithAlias { alias, .. }) => alias.value.clone(),
        _ => "?column?".to_owned(),
    }
}
