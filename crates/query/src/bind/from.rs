//! FROM: relations, joins and functions that return rows.

use arrow::datatypes::DataType;
use chronolith_catalog::PolicyCommand;
use chronolith_sql::ast::{
    self, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins,
};
use chronolith_sql::{ROWS_FROM, quoted};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::{Column, JoinType};
use datafusion::functions::core;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};

use super::array::item_of;
use super::function_parts::{FunctionParts, function_parts};
use super::names::{Relation, Table, ViewQuery};
use super::scope::{Alias, Found, Scope, ScopeColumn};
use super::select::passed;
use super::state::{
    Binder, Clause, Keyed, Place, Rel, Result, column, ident_position, lift, position, project,
    typed, unnamed, unsupported,
};
use super::subquery::subquery;
use crate::error::Error;
use crate::functions::{ProcKind, Typed, procs, row_field};
use crate::nodes::{Expand, SetCall};

impl Binder<'_> {
    pub(super) fn from(&mut self, tables: &[TableWithJoins]) -> Result<Rel> {
        let mut all: Option<Rel> = None;
        for table in tables {
            all = Some(match all {
                None => self.joined(table, None)?,
                Some(left) => self.joined(table, Some(left))?,
            });
        }
        match all {
            Some(rel) => Ok(rel),
            None => Ok(Rel {
                plan: LogicalPlanBuilder::empty(true).build().map_err(lift)?,
                scope: Scope::default(),
            }),
        }
    }

    /// A relation with its joins; `before` are those earlier in the list, which LATERAL sees.
    fn joined(&mut self, table: &TableWithJoins, before: Option<Rel>) -> Result<Rel> {
        let mut rel = match before {
            None => self.factor(&table.relation)?,
            // `FROM a, b JOIN c`: the join binds tighter, unless b is lateral.
            Some(left) if table.joins.is_empty() => self.cross(left, &table.relation, false)?,
            Some(left) => {
                let nested = TableWithJoins {
                    relation: table.relation.clone(),
                    joins: table.joins.clone(),
                };
                let right =
                    self.out_of_reach(&left.scope, |binder| binder.joined(&nested, None))?;
                return self.combine(left, right, JoinType::Inner, &JoinConstraint::None);
            }
        };
        for join in &table.joins {
            let (kind, constraint) = match &join.join_operator {
                JoinOperator::Join(on) | JoinOperator::Inner(on) => (JoinType::Inner, on),
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (JoinType::Left, on),
                JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (JoinType::Right, on),
                JoinOperator::FullOuter(on) => (JoinType::Full, on),
                JoinOperator::CrossJoin(_) => (JoinType::Inner, &JoinConstraint::None),
                other => return Err(unsupported(format!("the join {other:?}"))),
            };
            let on_true = match constraint {
                JoinConstraint::None => true,
                JoinConstraint::On(ast::Expr::Value(value)) => {
                    value.value == ast::Value::Boolean(true)
                }
                _ => false,
            };
            if on_true
                && matches!(kind, JoinType::Inner | JoinType::Left)
                && is_lateral(&join.relation)
            {
                rel = self.cross(rel, &join.relation, kind == JoinType::Left)?;
                continue;
            }
            let right = self.lateral_factor(&rel, &join.relation)?;
            if matches!(kind, JoinType::Right | JoinType::Full) {
                refuse_outer(&rel.scope, &right.plan)?;
            }
            rel = self.combine(rel, right, kind, constraint)?;
        }
        Ok(rel)
    }

    /// A relation that may name columns of those before it.
    fn lateral_factor(&mut self, left: &Rel, factor: &TableFactor) -> Result<Rel> {
        match factor {
            TableFactor::Derived { lateral: false, .. } => {
                return self.out_of_reach(&left.scope, |binder| binder.factor(factor));
            }
            _ if !is_lateral(factor) => return self.factor(factor),
            _ => {}
        }
        self.outer.push(left.scope.clone());
        let right = self.factor(factor);
        self.outer.pop();
        let mut right = right?;
        let references = right.plan.all_out_ref_exprs();
        if !references.is_empty() {
            right.plan = LogicalPlan::Subquery(subquery(right.plan));
        }
        Ok(right)
    }

    /// `left, right` and `left [LEFT] JOIN LATERAL right ON true`.
    fn cross(&mut self, left: Rel, factor: &TableFactor, keep: bool) -> Result<Rel> {
        if let Some(spelled) = self.rows_of_document(factor) {
            return self.cross(left, &spelled, keep);
        }
        // A function over columns of the left side is unnested beside them.
        if let Some(parts) = function_parts(factor) {
            return self.function_rows(Some(left), &parts, keep);
        }
        if let TableFactor::Derived {
            lateral: true,
            subquery,
            alias,
            ..
        } = factor
            && let Some(rel) = self.lateral(&left, subquery, alias.as_ref(), keep)?
        {
            return Ok(rel);
        }
        let right = self.lateral_factor(&left, factor)?;
        self.joined_to(left, right, keep)
    }

    /// `left, right`; with `keep`, rows of `left` stay without any beside them.
    pub(super) fn joined_to(&mut self, left: Rel, right: Rel, keep: bool) -> Result<Rel> {
        let kind = if keep {
            JoinType::Left
        } else {
            JoinType::Inner
        };
        self.combine(left, right, kind, &JoinConstraint::None)
    }

    pub(super) fn factor(&mut self, factor: &TableFactor) -> Result<Rel> {
        if let Some(spelled) = self.rows_of_document(factor) {
            return self.factor(&spelled);
        }
        if let Some(parts) = function_parts(factor) {
            return self.function_rows(None, &parts, false);
        }
        match factor {
            TableFactor::Table {
                name,
                alias,
                sample,
                ..
            } => {
                let mut rel = self.relation(name)?;
                if let Some(sample) = sample {
                    rel = self.sampled(rel, sample, position(name))?;
                }
                self.aliased(rel, alias.as_ref())
            }
            TableFactor::Derived {
                subquery, alias, ..
            } => {
                let bound = self.query(subquery, None)?;
                let rel = self.settled_rel(bound)?;
                if alias.is_none() {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        "subquery in FROM must have an alias",
                    )
                    .hint("For example, FROM (SELECT ...) [AS] foo.")
                    .at(position(subquery.as_ref())));
                }
                self.aliased(rel, alias.as_ref())
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                let rel = self.joined(table_with_joins, None)?;
                match alias {
                    None => Ok(rel),
                    Some(_) => self.aliased(rel, alias.as_ref()),
                }
            }
            other => Err(unsupported(format!("{other} in FROM"))),
        }
    }

    /// A subquery's columns, untyped ones made text.
    pub(super) fn settled_rel(&mut self, mut rel: Rel) -> Result<Rel> {
        for column in &mut rel.scope.columns {
            if column.ty == SqlType::Unknown {
                column.ty = SqlType::Text;
            }
            column.visible = true;
        }
        Ok(rel)
    }

    fn relation(&mut self, name: &ast::ObjectName) -> Result<Rel> {
        let at = position(name);
        super::names::of_this_database(self.names, name).map_err(|error| error.at(at))?;
        let parts = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|ident| ident.value.as_str())
            .collect::<Vec<_>>();
        let (schema, table) = match parts.as_slice() {
            [table] => (None, *table),
            [schema, table] | [_, schema, table] => (Some(*schema), *table),
            _ => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("improper qualified name (too many dotted names): {name}"),
                )
                .at(at));
            }
        };
        if schema.is_none()
            && let Some(rel) = self.cte(table)?
        {
            return Ok(rel);
        }
        if let Some(schema) = schema
            && self.view.is_none()
        {
            self.names.enter(schema).map_err(|error| error.at(at))?;
        }
        let found = match self.names.relation(schema, table) {
            // Of a schema that is not there no relation is, as PostgreSQL sees it here.
            Err(error) if error.code == SqlState::INVALID_SCHEMA_NAME => None,
            found => found.map_err(|error| error.at(at))?,
        };
        if schema.is_none() && self.views == 0 {
            let home = match &found {
                Some(Relation::Table(table)) => Some(&table.schema),
                Some(Relation::View { schema, .. }) => Some(schema),
                None => None,
            };
            let place = super::state::Placed::place(name);
            self.edits
                .extend(home.map(|home| (place, place, format!("{}.", quoted(home)))));
        }
        match found {
            Some(Relation::Table(found)) => {
                self.uses_of(found.oid);
                let rel = self.scan(&found)?;
                let rel = self.secured(&found, rel, &[PolicyCommand::Select])?;
                self.readable(found.oid, &rel.scope);
                self.follow_relation(found.oid, &rel.scope);
                Ok(rel)
            }
            Some(Relation::View {
                oid,
                schema,
                name,
                columns,
                query,
            }) => {
                self.uses_of(oid);
                let around = self.view.replace(oid);
                let view = self.view(&schema, &name, &columns, query);
                self.view = around;
                let mut view = view?;
                self.shown.insert(oid);
                for (number, column) in (1..).zip(&mut view.scope.columns) {
                    column.origin = Some((oid, number));
                }
                self.readable(oid, &view.scope);
                self.follow_relation(oid, &view.scope);
                Ok(view)
            }
            None => {
                let spelled = parts.join(".");
                Err(Error::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{spelled}\" does not exist"),
                )
                .at(at))
            }
        }
    }

    /// A scan whose columns have internal names.
    pub(super) fn scan(&mut self, table: &Table) -> Result<Rel> {
        let scan_name = format!("t{}", self.fresh());
        let told = self.with_system(table);
        let system = told.is_some();
        let table = told.as_ref().unwrap_or(table);
        let plan = LogicalPlanBuilder::scan(
            datafusion::common::TableReference::bare(scan_name.clone()),
            table.source.clone(),
            None,
        )
        .map_err(lift)?
        .build()
        .map_err(lift)?;
        let schema = table.source.schema();
        let mut exprs = Vec::with_capacity(table.columns.len());
        let mut columns = Vec::with_capacity(table.columns.len());
        for (of, field) in table.columns.iter().zip(schema.fields()) {
            let internal = self.fresh_as(&of.name);
            let source = Column::new(Some(scan_name.clone()), field.name());
            exprs.push(Expr::Column(source).alias(&internal));
            columns.push(ScopeColumn {
                table: Some(table.name.clone()),
                schema: Some(table.schema.clone()),
                name: of.name.clone(),
                column: internal,
                ty: of.ty.clone(),
                arrow: field.data_type().clone(),
                origin: Some((table.oid, of.attribute)),
                visible: true,
            });
        }
        if system {
            exprs.extend(self.scan_system(&scan_name, &columns, schema.fields()));
        }
        if !table.primary_key.is_empty() {
            let key = |found: &&ScopeColumn| {
                let attribute = found.origin.map_or(0, |(_, attribute)| attribute);
                table.primary_key.contains(&attribute)
            };
            let name = |found: &ScopeColumn| found.column.clone();
            self.keyed.push(Keyed {
                key: columns.iter().filter(key).map(name).collect(),
                columns: columns.iter().map(name).collect(),
            });
        }
        Ok(Rel {
            plan: project(plan, exprs)?,
            scope: Scope {
                columns,
                relations: vec![Alias {
                    name: table.name.clone(),
                    schema: Some(table.schema.clone()),
                    hides: None,
                }],
            },
        })
    }

    pub(super) fn view(
        &mut self,
        schema: &str,
        name: &str,
        columns: &[String],
        query: ViewQuery,
    ) -> Result<Rel> {
        const VIEWS_MAX: usize = 50;
        if self.views >= VIEWS_MAX {
            return Err(Error::new(
                SqlState::new(b"42P17"),
                format!("infinite recursion detected in rules for relation \"{name}\""),
            ));
        }
        let query = query
            .tree()
            .map_err(|error| Error::internal(format!("view \"{name}\" cannot be read: {error}")))?;
        // A view sees neither WITH nor the columns around it.
        let outer = std::mem::take(&mut self.outer);
        let ctes = std::mem::take(&mut self.ctes);
        let frames = std::mem::take(&mut self.frames);
        self.views += 1;
        let bound = self.query(&query, None);
        self.views -= 1;
        self.outer = outer;
        self.ctes = ctes;
        self.frames = frames;
        let mut rel = bound.map_err(|mut error| {
            // Positions are in the view's text, not in the client's.
            error.position = None;
            error
        })?;
        rel = self.settled_rel(rel)?;
        for (at, column) in rel.scope.columns.iter_mut().enumerate() {
            column.table = Some(name.to_owned());
            column.schema = Some(schema.to_owned());
            column.origin = None;
            if let Some(name) = columns.get(at) {
                column.name.clone_from(name);
            }
        }
        rel.scope.relations = vec![Alias {
            name: name.to_owned(),
            schema: Some(schema.to_owned()),
            hides: None,
        }];
        Ok(rel)
    }

    pub(super) fn aliased(&mut self, mut rel: Rel, alias: Option<&TableAlias>) -> Result<Rel> {
        let Some(alias) = alias else {
            return Ok(rel);
        };
        let hides = match rel.scope.relations.as_slice() {
            [one] if one.name != alias.name.value => Some(one.name.clone()),
            _ => None,
        };
        rel.scope.columns.retain(|column| column.visible);
        if alias.columns.len() > rel.scope.columns.len() {
            return Err(Error::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "table \"{}\" has {} columns available but {} columns specified",
                    alias.name.value,
                    rel.scope.columns.len(),
                    alias.columns.len()
                ),
            )
            .at(ident_position(&alias.name)));
        }
        self.follow_alias(&rel.scope.columns, alias);
        let mut names = alias.columns.iter();
        for column in &mut rel.scope.columns {
            column.table = Some(alias.name.value.clone());
            column.schema = None;
            if let Some(name) = names.next() {
                column.name.clone_from(&name.name.value);
            }
        }
        rel.scope.relations = vec![Alias {
            name: alias.name.value.clone(),
            schema: None,
            hides,
        }];
        Ok(rel)
    }

    // ------------------------------------------------------------------- joins

    pub(super) fn combine(
        &mut self,
        left: Rel,
        right: Rel,
        kind: JoinType,
        constraint: &JoinConstraint,
    ) -> Result<Rel> {
        for alias in &right.scope.relations {
            if left
                .scope
                .relations
                .iter()
                .any(|other| other.name == alias.name && other.schema == alias.schema)
            {
                return Err(Error::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("table name \"{}\" specified more than once", alias.name),
                ));
            }
        }
        let names = match constraint {
            JoinConstraint::Using(names) => names
                .iter()
                .filter_map(|name| name.0.last().and_then(|part| part.as_ident()))
                .map(|ident| (ident.value.clone(), ident_position(ident)))
                .collect(),
            JoinConstraint::Natural => left
                .scope
                .columns
                .iter()
                .filter(|column| column.visible && !column.is_place())
                .filter(|column| !matches!(right.scope.by_name(&column.name), Found::None))
                .map(|column| (column.name.clone(), None))
                .collect(),
            _ => Vec::new(),
        };
        let mut scope = Scope {
            columns: left.scope.columns.clone(),
            relations: left.scope.relations.clone(),
        };
        scope.columns.extend(right.scope.columns.iter().cloned());
        scope
            .relations
            .extend(right.scope.relations.iter().cloned());
        let mut conditions = Vec::new();
        let mut merged = Vec::new();
        for (place, (name, at)) in names.iter().enumerate() {
            if names.iter().take(place).any(|(before, _)| before == name) {
                return Err(Error::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column name \"{name}\" appears more than once in USING clause"),
                ));
            }
            let a = self.using(&left.scope, name, "left")?;
            let b = self.using(&right.scope, name, "right")?;
            self.touch_all([&a, &b]);
            self.follow_merged([&a, &b]);
            let equal = self.operate("=", vec![typed(&a), typed(&b)], *at)?;
            conditions.push(equal.expr);
            merged.push((a, b));
        }
        if let JoinConstraint::On(on) = constraint {
            let place = Place {
                scope: &scope,
                clause: Clause::On,
            };
            let value = self.expr(place, on)?;
            let condition = self.condition(value, "JOIN/ON", position(on))?;
            conditions.extend(datafusion::logical_expr::utils::split_conjunction_owned(
                condition,
            ));
        }
        let builder = LogicalPlanBuilder::from(left.plan);
        let plan = if conditions.is_empty() && kind == JoinType::Inner {
            builder.cross_join(right.plan)
        } else {
            if conditions.is_empty() {
                conditions.push(lit(true));
            }
            builder.join_on(right.plan, kind, conditions)
        }
        .map_err(lift)?
        .build()
        .map_err(lift)?;
        if merged.is_empty() {
            return Ok(Rel { plan, scope });
        }
        self.merge(plan, scope, merged, kind)
    }

    fn using(&self, scope: &Scope, name: &str, side: &str) -> Result<ScopeColumn> {
        match scope.by_name(name) {
            Found::One(found) => Ok(found.clone()),
            Found::Many => Err(Error::new(
                SqlState::AMBIGUOUS_COLUMN,
                format!("common column name \"{name}\" appears more than once in {side} table"),
            )),
            Found::None => Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{name}\" specified in USING clause does not exist in {side} table"
                ),
            )),
        }
    }

    /// One column for the two of each name of USING.
    fn merge(
        &mut self,
        plan: LogicalPlan,
        mut scope: Scope,
        merged: Vec<(ScopeColumn, ScopeColumn)>,
        kind: JoinType,
    ) -> Result<Rel> {
        let mut computed = Vec::new();
        let mut first = Vec::new();
        for (a, b) in merged {
            for column in &mut scope.columns {
                if column.column == a.column || column.column == b.column {
                    column.visible = false;
                }
            }
            let (side, other) = if kind == JoinType::Right {
                (&b, &a)
            } else {
                (&a, &b)
            };
            let mut one = ScopeColumn {
                table: None,
                schema: None,
                visible: true,
                ..side.clone()
            };
            if kind == JoinType::Full || side.ty.without_typmod() != other.ty.without_typmod() {
                let (values, ty) = self.unify(vec![typed(&a), typed(&b)], "JOIN/USING")?;
                let arrow = values
                    .first()
                    .map_or_else(|| ty.arrow(), |value| value.arrow.clone());
                let mut exprs = values.into_iter().map(|value| value.expr);
                let (left, right) = (exprs.next(), exprs.next());
                let expr = match kind {
                    JoinType::Full => {
                        core::expr_fn::coalesce(left.into_iter().chain(right).collect())
                    }
                    JoinType::Right => right.unwrap_or_else(|| lit(true)),
                    _ => left.unwrap_or_else(|| lit(true)),
                };
                one.column = self.fresh();
                one.ty = ty;
                one.arrow = arrow;
                one.origin = None;
                computed.push(expr.alias(&one.column));
            }
            first.push(one);
        }
        let plan = if computed.is_empty() {
            plan
        } else {
            let mut exprs = passed(&scope);
            exprs.extend(computed);
            project(plan, exprs)?
        };
        // The same internal column may now stand twice: merged and qualified.
        first.append(&mut scope.columns);
        scope.columns = first;
        Ok(Rel { plan, scope })
    }

    // ------------------------------------------------- functions that return rows

    /// `FROM f(…)`, beside the rows of `left` when there are any.
    fn function_rows(
        &mut self,
        left: Option<Rel>,
        parts: &FunctionParts<'_>,
        keep: bool,
    ) -> Result<Rel> {
        if parts.name == ROWS_FROM {
            return self.rows_from(left, parts, keep);
        }
        let at = parts.at;
        let nothing = Scope::default();
        let place = Place {
            scope: left.as_ref().map_or(&nothing, |left| &left.scope),
            clause: Clause::From,
        };
        let mut calls = Vec::new();
        match parts.array_exprs {
            Some(arrays) => {
                for array in arrays {
                    let value = self.expr(place, array)?;
                    calls.push(super::call::Arg {
                        name: None,
                        value,
                        variadic: false,
                    });
                }
            }
            None => calls = self.arguments(place, parts.args)?,
        }
        let name = parts.name.as_str();
        let schema = parts.schema.as_deref();
        if parts.array_exprs.is_none() {
            match self
                .own_call(schema, name, calls, at)
                .map_err(|error| error.at(at))?
            {
                Ok(call) => return self.own_rows(left, call, parts, keep),
                Err(given) => calls = given,
            }
        }
        if parts.is_defined() {
            return Err(parts.defined_in_vain());
        }
        let left = match left {
            Some(left) => left,
            None => self.from(&[])?,
        };
        if !procs(name)
            .iter()
            .any(|proc| matches!(proc.kind, ProcKind::Scalar | ProcKind::SetReturning))
            && calls.len() != 1
        {
            self.resolve(name, calls, at)
                .map_err(|error| super::call::of_schema(error, schema, name, at))?;
            return Err(Error::new(
                SqlState::GROUPING_ERROR,
                "aggregate functions are not allowed in functions in FROM",
            )
            .at(at));
        }
        let mut lists = Vec::new();
        if parts.array_exprs.is_some() && calls.len() > 1 {
            for call in calls {
                lists.push(self.rows_of("unnest", vec![call], at)?);
            }
        } else {
            let rows = self.rows_of(name, calls, at);
            lists.push(rows.map_err(|error| super::call::of_schema(error, schema, name, at))?);
        }
        self.unnested(left, lists, parts, keep)
    }

    pub(super) fn rows_of(
        &mut self,
        name: &str,
        args: Vec<super::call::Arg>,
        at: Option<u32>,
    ) -> Result<Rows> {
        let call = self.resolve(name, args, at)?;
        let set = match call.proc.kind {
            ProcKind::SetReturning => true,
            ProcKind::Scalar => false,
            _ => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate functions are not allowed in functions in FROM",
                )
                .at(at));
            }
        };
        let columns = call
            .proc
            .columns
            .iter()
            .map(|(name, ty)| ((*name).to_owned(), ty.clone()))
            .collect();
        let result = call.result.clone();
        let output = call.proc.output_name().map(str::to_owned);
        let value = call
            .proc
            .scalar(call.args, &call.result)
            .map_err(|error| super::state::told(error).at(at))?;
        let ty = if set {
            value.ty.element().cloned().unwrap_or(result)
        } else {
            value.ty.clone()
        };
        Ok(Rows {
            value,
            set,
            ty,
            columns,
            output,
            name: None,
        })
    }

    pub(super) fn unnested(
        &mut self,
        left: Rel,
        lists: Vec<Rows>,
        parts: &FunctionParts<'_>,
        keep: bool,
    ) -> Result<Rel> {
        let mut exprs = passed(&left.scope);
        let mut sets = Vec::new();
        let mut made = Vec::new();
        let alias = parts.alias.map(|alias| alias.name.value.clone());
        let table = alias.clone().unwrap_or_else(|| parts.name.clone());
        let single = lists.len() == 1;
        for mut rows in lists {
            let internal = self.fresh_as(&parts.name);
            if !single && !rows.set {
                // Beside others it is a row, and not the same in all of theirs.
                rows.value = super::array::make(vec![rows.value], rows.ty.clone(), parts.at)?;
                rows.set = true;
            }
            let arrow = if rows.set {
                sets.push((internal.clone(), rows.value.expr));
                item_of(&rows.value.arrow)
            } else {
                exprs.push(rows.value.expr.alias(&internal));
                rows.value.arrow
            };
            made.push((
                internal,
                arrow,
                rows.ty,
                rows.columns,
                rows.output,
                rows.name,
            ));
        }
        let ordinal = parts.ordinality.then(|| self.fresh());
        let one_row = sets.is_empty();
        if one_row && let Some(ordinal) = &ordinal {
            exprs.push(lit(1_i64).alias(ordinal));
        }
        let mut plan = project(left.plan, exprs)?;
        if !one_row {
            let calls = sets
                .into_iter()
                .map(|(name, list)| SetCall::new(name, list, plan.schema()))
                .collect::<datafusion::common::Result<_>>()
                .map_err(lift)?;
            plan = Expand::plan(plan, calls, ordinal.clone(), keep).map_err(lift)?;
        }
        let mut columns = Vec::new();
        let mut fields = Vec::new();
        for (internal, arrow, ty, record, output, called) in made {
            let new = |name: String, column: String, ty: SqlType, arrow: DataType| ScopeColumn {
                table: Some(table.clone()),
                column,
                ty,
                arrow,
                ..unnamed(&name)
            };
            let rows = ty
                .fields()
                .filter(|_| record.is_empty() && output.is_none());
            if let Some(members) = rows {
                let row = Typed {
                    expr: column(&internal),
                    ty: ty.clone(),
                    arrow,
                };
                for (place, (name, _)) in members.iter().enumerate() {
                    let field = row_field(row.clone(), place).map_err(super::state::told)?;
                    let field = field.ok_or_else(|| Error::internal("a field is gone"))?;
                    let fresh = self.fresh();
                    fields.push(field.expr.alias(&fresh));
                    columns.push(new(name.clone(), fresh, field.ty, field.arrow));
                }
            } else if record.is_empty() {
                let name = match &alias {
                    _ if output.is_some() => output.unwrap_or_default(),
                    Some(alias) if single => alias.clone(),
                    _ => called.unwrap_or_else(|| parts.name.clone()),
                };
                columns.push(new(name, internal, ty, arrow));
            } else {
                for (name, ty) in record {
                    let fresh = self.fresh();
                    let udf = core::get_field();
                    let get = Expr::ScalarFunction(ScalarFunction::new_udf(
                        udf,
                        vec![column(&internal), lit(name.clone())],
                    ));
                    fields.push(get.alias(&fresh));
                    let arrow = ty.arrow();
                    columns.push(new(name, fresh, ty, arrow));
                }
            }
        }
        if let Some(internal) = ordinal {
            columns.push(ScopeColumn {
                table: Some(table.clone()),
                column: internal,
                ty: SqlType::Int8,
                arrow: DataType::Int64,
                ..unnamed("ordinality")
            });
        }
        if !fields.is_empty() {
            let mut exprs = plan
                .schema()
                .fields()
                .iter()
                .map(|field| column(field.name()))
                .collect::<Vec<_>>();
            exprs.append(&mut fields);
            plan = project(plan, exprs)?;
        }
        let rel = Rel {
            plan,
            scope: Scope {
                columns,
                relations: vec![Alias {
                    name: table,
                    schema: None,
                    hides: None,
                }],
            },
        };
        let rel = self.aliased(rel, parts.alias)?;
        let mut scope = left.scope;
        scope.columns.extend(rel.scope.columns);
        scope.relations.extend(rel.scope.relations);
        Ok(Rel {
            plan: rel.plan,
            scope,
        })
    }
}

/// What a function in FROM gives.
pub(super) struct Rows {
    pub value: Typed,
    pub set: bool,
    pub ty: SqlType,
    pub columns: Vec<(String, SqlType)>,
    /// The name of the one column when it is not the function's.
    pub output: Option<String>,
    /// The function's name, where it is another than that of the rows.
    pub name: Option<String>,
}

fn is_lateral(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Derived { lateral, .. } => *lateral,
        other => function_parts(other).is_some(),
    }
}

/// 42P10 for a side of a RIGHT or FULL JOIN that is found for each row of the other.
fn refuse_outer(left: &Scope, right: &LogicalPlan) -> Result<()> {
    let references = match right {
        LogicalPlan::Subquery(subquery) => &subquery.outer_ref_columns,
        _ => return Ok(()),
    };
    let found = references.iter().find_map(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) => left.internal(&column.name),
        _ => None,
    });
    let Some(table) = found.and_then(|column| column.table.as_deref()) else {
        return Ok(());
    };
    Err(Error::new(
        SqlState::INVALID_COLUMN_REFERENCE,
        format!("invalid reference to FROM-clause entry for table \"{table}\""),
    )
    .detail("The combining JOIN type must be INNER or LEFT for a LATERAL reference."))
}
