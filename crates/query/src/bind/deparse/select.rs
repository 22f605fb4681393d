//! Queries to what is shown of them.

use std::collections::HashMap;
use std::rc::Rc;

use chronolith_sql::ast::{
    self, Distinct, GroupByExpr, JoinConstraint, JoinOperator, LimitClause, OrderByKind,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier, TableFactor,
    TableWithJoins,
};
use chronolith_types::SqlType;

use super::query::{Arm, Body, From, Group, Item, Join, Query, Select, Set, Target, With};
use super::read::{Level, Reader};
use super::shown::{Shown, Sorted};
use crate::bind::function_parts::function_parts;
use crate::bind::scope::{Found, Scope, ScopeColumn};
use crate::bind::select::{name_of, query_name};
use crate::bind::state::{Calls, Clause, Result, unsupported};
use crate::catalogs::quoted;

/// A relation of FROM, by what it is called there and by what it is shown as.
#[derive(Debug, Clone)]
struct Leaf {
    alias: String,
    /// The schema of a relation without an alias.
    schema: Option<String>,
    shown: String,
}

/// The relations of a query, in the order of its text; those that have been shown are taken off.
struct Leaves {
    all: Vec<Leaf>,
    next: usize,
}

impl Leaves {
    fn take(&mut self) -> Result<Leaf> {
        let leaf = self.all.get(self.next).cloned();
        self.next += 1;
        leaf.ok_or_else(|| unsupported("showing this FROM"))
    }
}

impl Reader<'_, '_> {
    /// A query; `expected` are the types of its untyped constants.
    pub(super) fn query(
        &mut self,
        query: &ast::Query,
        expected: Option<&[SqlType]>,
    ) -> Result<Query> {
        let (named, around) = (self.binder.ctes.len(), self.names.len());
        let read = self.query_here(query, expected);
        self.binder.ctes.truncate(named);
        self.names.truncate(around);
        read
    }

    fn query_here(&mut self, query: &ast::Query, expected: Option<&[SqlType]>) -> Result<Query> {
        if !query.locks.is_empty() {
            return Err(unsupported("showing FOR UPDATE"));
        }
        // Relations in WITH are told apart from those of the query itself.
        let leaves = match query.body.as_ref() {
            SetExpr::Select(select) => self.leaves(&select.from)?,
            _ => Vec::new(),
        };
        let mut with = Vec::new();
        if let Some(list) = &query.with {
            for cte in &list.cte_tables {
                with.push(self.cte(cte, list)?);
            }
        }
        let keys = match query.order_by.as_ref().map(|order| &order.kind) {
            None => &[],
            Some(OrderByKind::Expressions(keys)) => keys.as_slice(),
            Some(OrderByKind::All(_)) => return Err(unsupported("ORDER BY ALL")),
        };
        let (body, order) = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, leaves, keys, expected)?,
            SetExpr::Query(inner) if keys.is_empty() && with.is_empty() => {
                if query.limit_clause.is_some() || query.fetch.is_some() {
                    return Err(unsupported("showing this query"));
                }
                return self.query(inner, expected);
            }
            SetExpr::Values(values) => {
                if !keys.is_empty() {
                    return Err(unsupported("showing sorted VALUES"));
                }
                (self.values(&query.body, values, expected)?, Vec::new())
            }
            SetExpr::SetOperation { .. } => {
                let types = self.types(&query.body, expected)?;
                let columns = self.columns(&query.body)?;
                let order = self.numbered(&columns, keys)?;
                match self.arm(&query.body, &types)? {
                    Arm::Set(set) => (Body::Set(set), order),
                    Arm::Query(_) => return Err(unsupported("showing this query")),
                }
            }
            _ => return Err(unsupported("showing this query")),
        };
        let (offset, limit) = self.limits(query)?;
        Ok(Query {
            recursive: query.with.as_ref().is_some_and(|with| with.recursive),
            with,
            body,
            order,
            offset,
            limit,
        })
    }

    fn cte(&mut self, cte: &ast::Cte, list: &ast::With) -> Result<With> {
        if cte.from.is_some() {
            return Err(unsupported("showing SEARCH and CYCLE"));
        }
        let alone = ast::With {
            cte_tables: vec![cte.clone()],
            ..list.clone()
        };
        // One that reads itself does so by the types it is found to have.
        let query = if list.recursive {
            self.binder.with(&alone)?;
            self.query(&cte.query, None)?
        } else {
            let query = self.query(&cte.query, None)?;
            self.binder.with(&alone)?;
            query
        };
        let columns = cte.alias.columns.iter();
        Ok(With {
            name: cte.alias.name.value.clone(),
            columns: columns.map(|column| column.name.value.clone()).collect(),
            marks: match cte.materialized {
                Some(ast::CteAsMaterialized::Materialized) => "MATERIALIZED ",
                Some(ast::CteAsMaterialized::NotMaterialized) => "NOT MATERIALIZED ",
                None => "",
            },
            query,
        })
    }

    /// The columns that the binder gives a body.
    fn columns(&mut self, body: &SetExpr) -> Result<Vec<ScopeColumn>> {
        Ok(self.binder.body(body, &[], None)?.scope.columns)
    }

    fn types(&mut self, body: &SetExpr, expected: Option<&[SqlType]>) -> Result<Vec<SqlType>> {
        let columns = self.columns(body)?;
        let types = columns.iter().enumerate().map(|(place, column)| {
            if column.ty != SqlType::Unknown {
                return column.ty.without_typmod();
            }
            let expected = expected.and_then(|types| types.get(place));
            expected.cloned().unwrap_or(SqlType::Text)
        });
        Ok(types.collect())
    }

    fn arm(&mut self, body: &SetExpr, types: &[SqlType]) -> Result<Arm> {
        match body {
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => Ok(Arm::Set(Box::new(Set {
                word: match op {
                    SetOperator::Union => "UNION",
                    SetOperator::Intersect => "INTERSECT",
                    SetOperator::Except | SetOperator::Minus => "EXCEPT",
                },
                all: matches!(set_quantifier, SetQuantifier::All),
                left: self.arm(left, types)?,
                right: self.arm(right, types)?,
            }))),
            SetExpr::Query(inner) => {
                let plain = inner.with.is_none()
                    && inner.order_by.is_none()
                    && inner.limit_clause.is_none()
                    && inner.fetch.is_none();
                if plain {
                    return self.arm(&inner.body, types);
                }
                Ok(Arm::Query(self.query(inner, Some(types))?))
            }
            SetExpr::Select(select) => {
                let around = self.names.len();
                let leaves = self.leaves(&select.from)?;
                let body = self.select(select, leaves, &[], Some(types));
                self.names.truncate(around);
                Ok(Arm::Query(bare(body?.0)))
            }
            SetExpr::Values(values) => {
                Ok(Arm::Query(bare(self.values(body, values, Some(types))?)))
            }
            _ => Err(unsupported("showing this query")),
        }
    }

    fn values(
        &mut self,
        body: &SetExpr,
        values: &ast::Values,
        expected: Option<&[SqlType]>,
    ) -> Result<Body> {
        let types = self.types(body, expected)?;
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            let mut cells = Vec::new();
            for (cell, ty) in row.iter().zip(&types) {
                let (shown, from) = self.read(cell)?;
                cells.push(self.settled(shown, &from, ty)?);
            }
            rows.push(cells);
        }
        Ok(Body::Values(rows))
    }

    /// Keys of ORDER BY that can only be columns of the output.
    fn numbered(
        &mut self,
        columns: &[ScopeColumn],
        keys: &[ast::OrderByExpr],
    ) -> Result<Vec<Sorted>> {
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            let found = self.binder.output_key(columns, &key.expr, "ORDER BY")?;
            let found = found.ok_or_else(|| unsupported("showing this ORDER BY"))?;
            order.push(Sorted {
                key: Shown::Word((found + 1).to_string()),
                options: options(&key.options),
                number: true,
            });
        }
        Ok(order)
    }

    fn limits(&mut self, query: &ast::Query) -> Result<(Option<Shown>, Option<Shown>)> {
        let (mut limit, mut offset) = (None, None);
        if let Some(LimitClause::LimitOffset {
            limit: count,
            offset: start,
            ..
        }) = &query.limit_clause
        {
            limit = count.clone();
            offset = start.as_ref().map(|start| start.value.clone());
        }
        if let Some(fetch) = &query.fetch {
            if fetch.with_ties {
                return Err(unsupported("showing WITH TIES"));
            }
            let one = || ast::Expr::value(ast::Value::Number("1".to_owned(), false));
            limit = Some(fetch.quantity.clone().unwrap_or_else(one));
        }
        let scope = std::mem::take(&mut self.scope);
        let mut count = |count: Option<ast::Expr>| -> Result<Option<Shown>> {
            let Some(count) = count else {
                return Ok(None);
            };
            let (shown, from) = self.read(&count)?;
            Ok(Some(self.settled(shown, &from, &SqlType::Int8)?))
        };
        let made = count(offset).and_then(|offset| Ok((offset, count(limit)?)));
        self.scope = scope;
        made
    }

    // --------------------------------------------------------------------- SELECT

    fn select(
        &mut self,
        select: &ast::Select,
        leaves: Vec<Leaf>,
        keys: &[ast::OrderByExpr],
        expected: Option<&[SqlType]>,
    ) -> Result<(Body, Vec<Sorted>)> {
        let rel = self.binder.from(&select.from)?;
        let level = level_of(&rel.scope, &leaves, &select.from);
        let scope = std::mem::replace(&mut self.scope, Rc::new(rel.scope));
        let clause = self.clause;
        self.levels.push(level);
        self.binder.calls.push(Calls::default());
        self.binder.named_windows.push(select.named_window.clone());
        let read = self.select_here(select, leaves, keys, expected);
        self.binder.calls.pop();
        self.binder.named_windows.pop();
        self.levels.pop();
        self.scope = scope;
        self.clause = clause;
        read
    }

    fn select_here(
        &mut self,
        select: &ast::Select,
        leaves: Vec<Leaf>,
        keys: &[ast::OrderByExpr],
        expected: Option<&[SqlType]>,
    ) -> Result<(Body, Vec<Sorted>)> {
        let mut leaves = Leaves {
            all: leaves,
            next: 0,
        };
        self.clause = Clause::From;
        let mut from = Vec::with_capacity(select.from.len());
        for (place, table) in select.from.iter().enumerate() {
            from.push(self.joined(table, &mut leaves, place > 0)?);
        }
        self.clause = Clause::Where;
        let filter = self.condition(select.selection.as_ref())?;
        self.clause = Clause::Select;
        let targets = self.targets(select, expected)?;
        self.clause = Clause::Having;
        let having = self.condition(select.having.as_ref())?;
        self.clause = Clause::GroupBy;
        let group = self.grouping(&targets, &select.group_by)?;
        self.clause = Clause::OrderBy;
        let mut order = Vec::with_capacity(keys.len());
        for key in keys {
            order.push(Sorted {
                key: self.output(&targets, &key.expr)?,
                options: options(&key.options),
                number: false,
            });
        }
        let distinct = match &select.distinct {
            None | Some(Distinct::All) => None,
            Some(Distinct::Distinct) => Some(Vec::new()),
            Some(Distinct::On(keys)) => {
                let mut on = Vec::with_capacity(keys.len());
                for key in keys {
                    on.push(self.output(&targets, key)?);
                }
                Some(on)
            }
        };
        let mut windows = Vec::new();
        for definition in &select.named_window {
            let ast::NamedWindowExpr::WindowSpec(spec) = &definition.1 else {
                return Err(unsupported("showing this window"));
            };
            windows.push((definition.0.value.clone(), self.window(spec)?));
        }
        let body = Body::Select(Box::new(Select {
            distinct,
            targets,
            from,
            filter,
            group_distinct: false,
            group,
            having,
            windows,
        }));
        Ok((body, order))
    }

    fn condition(&mut self, tree: Option<&ast::Expr>) -> Result<Option<Shown>> {
        let Some(tree) = tree else {
            return Ok(None);
        };
        let (shown, from) = self.read(tree)?;
        Ok(Some(self.settled(shown, &from, &SqlType::Bool)?))
    }

    fn targets(
        &mut self,
        select: &ast::Select,
        expected: Option<&[SqlType]>,
    ) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::with_capacity(select.projection.len());
        for item in &select.projection {
            let (tree, name) = match item {
                SelectItem::UnnamedExpr(tree) => match (tree, name_of(tree)) {
                    (ast::Expr::Subquery(query), name) if name == "?column?" => {
                        (tree, query_name(query))
                    }
                    (_, name) => (tree, name),
                },
                SelectItem::ExprWithAlias { expr, alias } => (expr, alias.value.clone()),
                SelectItem::Wildcard(_) => {
                    let scope = Rc::clone(&self.scope);
                    for column in scope.columns.iter().filter(|column| column.visible) {
                        targets.push(self.star(column)?);
                    }
                    continue;
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => {
                    let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
                    let scope = Rc::clone(&self.scope);
                    let (schema, table) = match parts.as_slice() {
                        [table] => (None, *table),
                        [.., schema, table] => (Some(schema.value.as_str()), *table),
                        [] => return Err(unsupported("* of nothing")),
                    };
                    for column in scope.of_table(schema, &table.value) {
                        targets.push(self.star(column)?);
                    }
                    continue;
                }
                _ => return Err(unsupported("showing this column")),
            };
            let (value, from) = self.read(tree)?;
            let expected = expected.and_then(|types| types.get(targets.len()));
            let value = self.settled(value, &from, expected.unwrap_or(&SqlType::Text))?;
            targets.push(Target { value, name });
        }
        Ok(targets)
    }

    fn star(&mut self, column: &ScopeColumn) -> Result<Target> {
        let value = self.column(&column.column);
        Ok(Target {
            value: value.ok_or_else(|| unsupported("showing this *"))?,
            name: column.name.clone(),
        })
    }

    /// A key of ORDER BY or DISTINCT ON: a column of the output, or an expression.
    fn output(&mut self, targets: &[Target], tree: &ast::Expr) -> Result<Shown> {
        if let Some(found) = by_number(targets, tree) {
            return Ok(found.value.clone());
        }
        if let ast::Expr::Identifier(name) = tree
            && let Some(found) = targets.iter().find(|target| target.name == name.value)
        {
            return Ok(found.value.clone());
        }
        self.key(tree)
    }

    /// An expression that rows are sorted or grouped by.
    pub(super) fn key(&mut self, tree: &ast::Expr) -> Result<Shown> {
        let (shown, from) = self.read(tree)?;
        self.settled(shown, &from, &SqlType::Text)
    }

    fn grouping(&mut self, targets: &[Target], group_by: &GroupByExpr) -> Result<Vec<Group>> {
        let GroupByExpr::Expressions(trees, _) = group_by else {
            return Err(unsupported("GROUP BY ALL"));
        };
        let mut group = Vec::with_capacity(trees.len());
        for tree in trees {
            match tree {
                ast::Expr::Rollup(sets) => group.push(self.sets("ROLLUP", targets, sets)?),
                ast::Expr::Cube(sets) => group.push(self.sets("CUBE", targets, sets)?),
                ast::Expr::GroupingSets(sets) => {
                    group.push(self.sets("GROUPING SETS ", targets, sets)?);
                }
                ast::Expr::Tuple(parts) if parts.is_empty() => {
                    group.push(Group::Keys(Vec::new()));
                }
                ast::Expr::Tuple(parts) => {
                    for part in parts {
                        group.push(Group::Key(self.grouped(targets, part)?));
                    }
                }
                other => group.push(Group::Key(self.grouped(targets, other)?)),
            }
        }
        Ok(group)
    }

    fn sets(
        &mut self,
        word: &'static str,
        targets: &[Target],
        sets: &[Vec<ast::Expr>],
    ) -> Result<Group> {
        let mut made = Vec::with_capacity(sets.len());
        for set in sets {
            let mut keys = Vec::with_capacity(set.len());
            for tree in set {
                keys.push(self.grouped(targets, tree)?);
            }
            made.push(keys);
        }
        Ok(Group::Of(word, made))
    }

    fn grouped(&mut self, targets: &[Target], tree: &ast::Expr) -> Result<Shown> {
        if let Some(found) = by_number(targets, tree) {
            return Ok(found.value.clone());
        }
        // A column of the input comes before one of the output.
        if let ast::Expr::Identifier(name) = tree
            && matches!(self.scope.by_name(&name.value), Found::None)
            && let Some(found) = targets.iter().find(|target| target.name == name.value)
        {
            return Ok(found.value.clone());
        }
        self.key(tree)
    }

    // ----------------------------------------------------------------------- FROM

    /// The relations of FROM, under names that no query around has.
    fn leaves(&mut self, tables: &[TableWithJoins]) -> Result<Vec<Leaf>> {
        let mut leaves = Vec::new();
        for table in tables {
            self.leaves_of(table, &mut leaves)?;
        }
        Ok(leaves)
    }

    fn leaves_of(&mut self, table: &TableWithJoins, leaves: &mut Vec<Leaf>) -> Result<()> {
        self.leaf_of(&table.relation, leaves)?;
        for join in &table.joins {
            self.leaf_of(&join.relation, leaves)?;
        }
        Ok(())
    }

    fn leaf_of(&mut self, factor: &TableFactor, leaves: &mut Vec<Leaf>) -> Result<()> {
        let mut schema = None;
        let alias = if let Some(parts) = function_parts(factor) {
            parts.table()
        } else {
            match factor {
                // Nobody shows how a sample is taken.
                TableFactor::Table {
                    sample: Some(_), ..
                } => return Err(unsupported("showing TABLESAMPLE")),
                TableFactor::Table { name, alias, .. } => {
                    let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
                    match (alias, parts.as_slice()) {
                        (Some(alias), _) => alias.name.value.clone(),
                        (None, [table]) => table.value.clone(),
                        (None, [.., of, table]) => {
                            schema = Some(of.value.clone());
                            table.value.clone()
                        }
                        (None, []) => return Err(unsupported("a table without a name")),
                    }
                }
                TableFactor::Derived {
                    alias: Some(alias), ..
                } => alias.name.value.clone(),
                TableFactor::NestedJoin {
                    table_with_joins,
                    alias,
                } => {
                    self.leaves_of(table_with_joins, leaves)?;
                    match alias {
                        Some(alias) => alias.name.value.clone(),
                        None => return Ok(()),
                    }
                }
                _ => return Err(unsupported("showing this FROM")),
            }
        };
        let mut shown = alias.clone();
        let mut number = 0_u32;
        while self.names.contains(&shown) {
            number += 1;
            shown = format!("{alias}_{number}");
        }
        self.names.push(shown.clone());
        leaves.push(Leaf {
            alias,
            schema,
            shown,
        });
        Ok(())
    }

    fn joined(
        &mut self,
        table: &TableWithJoins,
        leaves: &mut Leaves,
        others: bool,
    ) -> Result<From> {
        let mut left = self.factor(&table.relation, leaves, others)?;
        for (place, join) in table.joins.iter().enumerate() {
            let (words, constraint) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => (" JOIN ", on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (" LEFT JOIN ", on),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (" RIGHT JOIN ", on),
                JoinOperator::FullOuter(on) => (" FULL JOIN ", on),
                JoinOperator::CrossJoin(_) => (" CROSS JOIN ", &JoinConstraint::None),
                _ => return Err(unsupported("showing this join")),
            };
            let right = self.factor(&join.relation, leaves, true)?;
            let mut made = Join {
                left,
                words,
                right,
                using: Vec::new(),
                on: None,
                outer: !matches!(words, " JOIN " | " CROSS JOIN "),
            };
            match constraint {
                JoinConstraint::On(on) => made.on = Some(self.on(table, place, on)?),
                JoinConstraint::Using(names) => {
                    for name in names {
                        let name = name.0.last().and_then(|part| part.as_ident());
                        made.using.extend(name.map(|name| name.value.clone()));
                    }
                }
                JoinConstraint::Natural => {
                    made.using = self.common_names(table, place)?;
                    if made.using.is_empty() && !made.outer {
                        made.words = " CROSS JOIN ";
                    }
                }
                JoinConstraint::None => {}
            }
            left = From {
                lateral: false,
                what: Item::Join(Box::new(made)),
                alias: None,
                columns: Vec::new(),
            };
        }
        Ok(left)
    }

    /// A condition of a join, whose names are first looked for among all relations.
    fn on(&mut self, table: &TableWithJoins, place: usize, on: &ast::Expr) -> Result<Shown> {
        let clause = std::mem::replace(&mut self.clause, Clause::On);
        let mut read = self.condition(Some(on));
        if read.is_err()
            && let Some(joins) = table.joins.get(..=place)
        {
            let part = [TableWithJoins {
                relation: table.relation.clone(),
                joins: joins.to_vec(),
            }];
            let rel = self.binder.from(&part)?;
            let known = self.levels.last().map(|level| level.leaves.clone());
            let leaves: Vec<Leaf> = known
                .unwrap_or_default()
                .into_iter()
                .map(|(alias, schema, shown)| Leaf {
                    alias,
                    schema,
                    shown,
                })
                .collect();
            let level = level_of(&rel.scope, &leaves, &part);
            let scope = std::mem::replace(&mut self.scope, Rc::new(rel.scope));
            self.levels.push(level);
            read = self.condition(Some(on));
            self.levels.pop();
            self.scope = scope;
        }
        self.clause = clause;
        read?.ok_or_else(|| unsupported("a join without its condition"))
    }

    /// The columns that NATURAL JOIN joins by.
    fn common_names(&mut self, table: &TableWithJoins, place: usize) -> Result<Vec<String>> {
        let mut left = TableWithJoins {
            relation: table.relation.clone(),
            joins: Vec::new(),
        };
        left.joins
            .extend(table.joins.get(..place).into_iter().flatten().cloned());
        let Some(join) = table.joins.get(place) else {
            return Ok(Vec::new());
        };
        let right = TableWithJoins {
            relation: join.relation.clone(),
            joins: Vec::new(),
        };
        let left = self.binder.from(&[left])?.scope;
        let right = self.binder.from(&[right])?.scope;
        let names = left.columns.iter().filter(|column| column.visible);
        let names = names.filter(|column| {
            let mut others = right.columns.iter().filter(|other| other.visible);
            others.any(|other| other.name == column.name)
        });
        Ok(names.map(|column| column.name.clone()).collect())
    }

    fn factor(&mut self, factor: &TableFactor, leaves: &mut Leaves, others: bool) -> Result<From> {
        if let Some(parts) = function_parts(factor) {
            let leaf = leaves.take()?;
            let before = self.touched;
            self.touched = false;
            let mut calls = Vec::new();
            match parts.array_exprs {
                Some(lists) => {
                    for list in lists {
                        let call = self.call_of("unnest", &[list])?;
                        calls.push(call);
                    }
                }
                None => {
                    calls.push(self.named_call(
                        parts.schema.as_deref(),
                        &parts.name,
                        parts.args,
                    )?);
                }
            }
            let lateral = others && self.touched;
            self.touched = before || self.touched;
            return Ok(From {
                lateral,
                what: Item::Function {
                    calls,
                    ordinality: parts.ordinality,
                },
                columns: self.names_of(&leaf),
                alias: Some(leaf.shown),
            });
        }
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let leaf = leaves.take()?;
                let (shown, own) = self.relation_name(name)?;
                let renamed = alias
                    .as_ref()
                    .is_some_and(|alias| !alias.columns.is_empty());
                Ok(From {
                    lateral: false,
                    what: Item::Relation(shown),
                    columns: if renamed {
                        self.names_of(&leaf)
                    } else {
                        Vec::new()
                    },
                    alias: (alias.is_some() || leaf.shown != own).then_some(leaf.shown),
                })
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                ..
            } => {
                let leaf = leaves.take()?;
                let query = if *lateral {
                    self.inner(subquery)?
                } else {
                    let level = self.levels.pop();
                    let read = self.query(subquery, None);
                    self.levels.extend(level);
                    read?
                };
                let renamed = alias
                    .as_ref()
                    .is_some_and(|alias| !alias.columns.is_empty());
                Ok(From {
                    lateral: *lateral,
                    what: Item::Query(query),
                    columns: if renamed {
                        self.names_of(&leaf)
                    } else {
                        Vec::new()
                    },
                    alias: Some(leaf.shown),
                })
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let mut made = self.joined(table_with_joins, leaves, others)?;
                if let Some(alias) = alias {
                    let leaf = leaves.take()?;
                    if !alias.columns.is_empty() {
                        made.columns = self.names_of(&leaf);
                    }
                    made.alias = Some(leaf.shown);
                }
                Ok(made)
            }
            _ => Err(unsupported("showing this FROM")),
        }
    }

    /// A query that may name the columns of this place.
    pub(super) fn inner(&mut self, query: &ast::Query) -> Result<Query> {
        self.binder.outer.push(Scope::clone(&self.scope));
        let read = self.query(query, None);
        self.binder.outer.pop();
        read
    }

    /// The columns of a relation of FROM, as they are called here.
    fn names_of(&self, leaf: &Leaf) -> Vec<String> {
        let columns = self.scope.of_table(leaf.schema.as_deref(), &leaf.alias);
        columns.map(|column| column.name.clone()).collect()
    }

    /// A relation's name, with its schema where it is not found without; and the name alone.
    fn relation_name(&mut self, name: &ast::ObjectName) -> Result<(String, String)> {
        let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, table.value.as_str()),
            [.., schema, table] => (Some(schema.value.as_str()), table.value.as_str()),
            [] => return Err(unsupported("a table without a name")),
        };
        let hidden = self.binder.ctes.iter().any(|(known, _)| known == table);
        if schema.is_none() && hidden {
            return Ok((quoted(table).into_owned(), table.to_owned()));
        }
        let names = self.binder.names;
        let meant = names.relation(schema, table)?;
        let meant = meant.ok_or_else(|| unsupported("a relation that is not there"))?;
        let found = names.relation(None, table).ok().flatten();
        let visible = found.is_some_and(|found| found.oid() == meant.oid());
        let bare = quoted(table).into_owned();
        let shown = if visible && !hidden {
            bare
        } else {
            format!("{}.{bare}", quoted(meant.schema()))
        };
        Ok((shown, table.to_owned()))
    }
}

fn bare(body: Body) -> Query {
    Query {
        recursive: false,
        with: Vec::new(),
        body,
        order: Vec::new(),
        offset: None,
        limit: None,
    }
}

fn by_number<'t>(targets: &'t [Target], tree: &ast::Expr) -> Option<&'t Target> {
    let ast::Expr::Value(value) = tree else {
        return None;
    };
    let ast::Value::Number(digits, _) = &value.value else {
        return None;
    };
    targets.get(digits.parse::<usize>().ok()?.checked_sub(1)?)
}

/// What is said of a key of ORDER BY beside what everybody expects.
pub(super) fn options(options: &ast::OrderByOptions) -> &'static str {
    match (options.asc, options.nulls_first) {
        (Some(false), Some(false)) => " DESC NULLS LAST",
        (Some(false), _) => " DESC",
        (_, Some(true)) => " NULLS FIRST",
        _ => "",
    }
}

/// How the columns of a scope are shown.
fn level_of(scope: &Scope, leaves: &[Leaf], tables: &[TableWithJoins]) -> Level {
    let mut columns = HashMap::new();
    for column in &scope.columns {
        let table = match &column.table {
            Some(table) => leaves.iter().find(|leaf| {
                leaf.alias == *table
                    && (leaf.schema.is_none() || leaf.schema.as_deref() == column.schema.as_deref())
            }),
            // A column that a join merged is that of the side whose rows it keeps.
            None => {
                let side = tables
                    .iter()
                    .find_map(|table| merged(scope, table, &column.name));
                match side {
                    Some(Side::Of(alias)) => leaves.iter().find(|leaf| leaf.alias == alias),
                    Some(Side::Both) | None => None,
                }
            }
        };
        let table = table.map(|leaf| leaf.shown.clone());
        columns.insert(column.column.clone(), (table, column.name.clone()));
    }
    let leaves = leaves.iter().cloned();
    Level {
        columns,
        leaves: leaves
            .map(|leaf| (leaf.alias, leaf.schema, leaf.shown))
            .collect(),
    }
}

/// Whose column a name is that joins merge.
enum Side {
    Of(String),
    /// The first that is not null.
    Both,
}

fn merged(scope: &Scope, table: &TableWithJoins, name: &str) -> Option<Side> {
    let mut side = merged_in(scope, &table.relation, name);
    for join in &table.joins {
        let right = merged_in(scope, &join.relation, name);
        let (constraint, keeps) = match &join.join_operator {
            JoinOperator::Join(on)
            | JoinOperator::Inner(on)
            | JoinOperator::Left(on)
            | JoinOperator::LeftOuter(on) => (on, 'l'),
            JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (on, 'r'),
            JoinOperator::FullOuter(on) => (on, 'f'),
            _ => (&JoinConstraint::None, 'l'),
        };
        let named = match constraint {
            JoinConstraint::Natural => side.is_some() && right.is_some(),
            JoinConstraint::Using(names) => names.iter().any(|known| {
                let last = known.0.last().and_then(|part| part.as_ident());
                last.is_some_and(|last| last.value == name)
            }),
            _ => false,
        };
        side = match (named, keeps) {
            (true, 'r') => right,
            (true, 'f') => Some(Side::Both),
            (true, _) => side,
            (false, _) => side.or(right),
        };
    }
    side
}

fn merged_in(scope: &Scope, factor: &TableFactor, name: &str) -> Option<Side> {
    let alias = match factor {
        TableFactor::NestedJoin {
            table_with_joins,
            alias: None,
        } => return merged(scope, table_with_joins, name),
        TableFactor::NestedJoin {
            alias: Some(alias), ..
        }
        | TableFactor::Table {
            alias: Some(alias), ..
        }
        | TableFactor::Derived {
            alias: Some(alias), ..
        } => alias.name.value.clone(),
        TableFactor::Table { name, .. } => name.0.last()?.as_ident()?.value.clone(),
        other => function_parts(other)?.table(),
    };
    let known = scope
        .of_table(None, &alias)
        .any(|column| column.name == name);
    known.then_some(Side::Of(alias))
}
