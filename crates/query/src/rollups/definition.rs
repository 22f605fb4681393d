//! What a continuous aggregate computes, read from the plan of its query.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use chronolith_catalog::{Column as CatalogColumn, Database, Table, View};
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Distinct, Expr, ExprSchemable, LogicalPlan, TableScan, cast};

use super::buckets::{BucketCall, Buckets};
use super::derive::Programs;
use super::gaps::{Gaps, filled_below};
use super::names::CatalogNames;
use super::registry::Registry;
use super::relation::CaggTable;
use super::shape::{aggregate_below, immutable, names_in, resolve_names, scans};
use crate::bind::{Bound, bind_kept};
use crate::error::Error;
use crate::functions::{
    Parts, StateColumn, Typed, aggregate_name, apply_cast, canonical_form, parts_of, stored_type,
};
use crate::scan::ChunkTable;
use crate::shape::{Above, column, over_scan};

/// Where the rows come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A hypertable.
    Table(TableId),
    /// The partial rows of another continuous aggregate: its view.
    Partials(TableId),
    /// The rows of another continuous aggregate, as its readers see them: its view.
    View(TableId),
}

/// How its rows become groups.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// New rows give new partials. All expressions are over the columns of the source.
    Additive {
        /// What rows must be.
        filter: Option<Expr>,
    },
    /// New rows have their buckets computed again. All expressions are over the columns of the plan,
    /// which has one scan of the source, of that name.
    Recomputed {
        plan: Box<LogicalPlan>,
        scan: String,
    },
}

/// A column of GROUP BY.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    /// The column of the store.
    pub(crate) name: String,
    pub(crate) ty: SqlType,
    pub(crate) expr: Expr,
}

/// An aggregate.
#[derive(Debug, Clone)]
pub(crate) struct Agg {
    pub(crate) parts: Parts,
    /// The call, over the source's columns; for a parent's aggregate what was called of it.
    pub(crate) call: AggregateFunction,
    /// What it says of the rows that all comes from, where one aggregate says it: the call, over
    /// the columns of the hypertable, and its answer over the names of what was merged.
    pub(crate) of_rows: Option<(AggregateFunction, Expr)>,
}

/// A column that readers see.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) ty: SqlType,
    /// Over the names of groups and of the values of merged aggregates; where gaps are filled, over
    /// the columns of that.
    pub(crate) expr: Expr,
}

/// A continuous aggregate's definition.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) source: Source,
    /// The time column of the source.
    pub(crate) time: String,
    pub(crate) rows: Rows,
    pub(crate) groups: Vec<Group>,
    /// Which of the groups is the bucket.
    pub(crate) bucket: usize,
    pub(crate) buckets: Buckets,
    /// How these were called.
    pub(crate) bucket_call: BucketCall,
    pub(crate) aggs: Vec<Agg>,
    /// What groups must be; over the names of groups and of the values of merged aggregates.
    pub(crate) having: Option<Expr>,
    /// How buckets that are missing are filled in.
    pub(crate) gaps: Option<Gaps>,
    pub(crate) outputs: Vec<Output>,
    /// In which order the store has the states of the aggregates, where that is another than theirs.
    order: Vec<usize>,
    /// What it was read from: while those columns are the same, so is the definition.
    pub(crate) reads: Vec<(TableId, Vec<CatalogColumn>)>,
    pub(super) programs: Programs,
}

pub(super) fn refused(message: &str) -> Error {
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn invalid() -> Error {
    refused("invalid continuous aggregate view")
}

impl Definition {
    /// Reads the definition of a view.
    ///
    /// # Errors
    /// What its query cannot be bound for, or made into a continuous aggregate.
    pub(crate) fn of_view(
        database: &Arc<Database>,
        view: &View,
        registry: &Registry,
    ) -> Result<Self, Error> {
        let kept = view.materialized.as_ref();
        let kept = kept.and_then(|kept| kept.continuous.as_ref());
        let zone = kept.and_then(|kept| kept.time_zone.as_deref());
        Self::of_view_in(database, view, registry, zone)
    }

    /// The same of one whose times without a zone are of another than it says.
    pub(crate) fn of_view_in(
        database: &Arc<Database>,
        view: &View,
        registry: &Registry,
        time_zone: Option<&str>,
    ) -> Result<Self, Error> {
        let names = CatalogNames::new(Arc::clone(database), registry, time_zone);
        let query = chronolith_sql::query(&view.query)?;
        let bound = bind_kept(&names, &query)?;
        let mut definition = Self::of(database, &bound, &view.columns, registry)?;
        let store = view.materialized.as_ref();
        if let Some(store) = store.and_then(|kept| database.tables.get(&kept.table)) {
            definition.order_as(store);
        }
        Ok(definition)
    }

    /// Has the states in the order of the store's columns: a column that was added later stands
    /// behind those that only HAVING asks for.
    fn order_as(&mut self, store: &Table) {
        let states = self.aggs.iter().flat_map(|agg| &agg.parts.states);
        let place = |state: &StateColumn| store.column_named(&state.name).map(|(place, _)| place);
        let places: Vec<usize> = states
            .map(|state| place(state).unwrap_or(usize::MAX))
            .collect();
        if !places.is_sorted() {
            self.order = (0..places.len()).collect();
            self.order.sort_by_key(|at| places.get(*at));
        }
    }

    /// Reads the definition that a bound query is; `columns` are what its columns are called.
    ///
    /// # Errors
    /// `0A000` with the reason when it cannot be kept.
    pub(crate) fn of(
        database: &Arc<Database>,
        bound: &Bound,
        columns: &[String],
        registry: &Registry,
    ) -> Result<Self, Error> {
        let filled = filled_below(&bound.plan);
        let found = match &filled {
            // What is shown is of rows and gaps, those of rows alone.
            Some((top, gap)) => aggregate_below(gap.input()).map(|(below, aggregate)| {
                let top = Above {
                    outputs: top.outputs.clone(),
                    ..below
                };
                (top, aggregate)
            }),
            None => aggregate_below(&bound.plan),
        };
        let Some((top, aggregate)) = found else {
            return Err(unfit(&bound.plan));
        };
        let source = source_of(database, &aggregate.input)?;
        if let Source::View(view) = source.source
            && registry.definition(database, view)?.gaps.is_some()
        {
            return Err(refused(
                "continuous aggregates over one that fills gaps are not supported",
            )
            .detail("Which buckets are missing changes with every row."));
        }
        let linear = over_scan(&aggregate.input);
        let names = names_in(&aggregate.input)?;
        let scan_name = source.scan.table_name.to_string();
        let over_source = |expr: &Expr| -> Result<Expr, Error> {
            match &linear {
                Some((above, _)) => place_of(expr, &aggregate.input, above),
                None => Ok(resolve_names(expr, &names)?),
            }
        };
        let groups: Vec<Expr> = aggregate
            .group_expr
            .iter()
            .map(&over_source)
            .collect::<Result<_, _>>()?;
        let (bucket, buckets) = bucket_of(&groups, &source, linear.is_none())?;
        let bucket_call = groups.get(bucket).and_then(BucketCall::of);
        let bucket_call = bucket_call.ok_or_else(invalid)?;
        for expr in &groups {
            check_immutable(expr)?;
        }
        let mut reader = Reader {
            aggregate_schema: aggregate.input.schema(),
            top: &top,
            groups: aggregate.group_expr.as_slice(),
            columns,
        };
        let group_names = reader.group_names(bucket);
        let calls = reader.calls(&aggregate.aggr_expr)?;
        let mut made = None;
        if let Some((above, _)) = &linear {
            let rows = Additive {
                source: &source,
                above,
                groups: &groups,
                names: &group_names,
                calls: &calls,
                input: &aggregate.input,
            };
            made = rows.read(database, registry)?;
        }
        let Read {
            rows,
            groups,
            aggs,
            source: kind,
            time,
        } = match made {
            Some(made) => made,
            None => {
                reader.recomputed(&aggregate.input, &scan_name, &group_names, &calls, &source)?
            }
        };
        for group in &groups {
            check_immutable(&group.expr)?;
        }
        let values: HashMap<String, Expr> = calls
            .iter()
            .zip(&aggs)
            .map(|((name, _), agg)| (name.clone(), agg.parts.value.clone()))
            .chain(
                reader
                    .groups
                    .iter()
                    .zip(&groups)
                    .map(|(expr, group)| (name_of(expr), column(&group.name))),
            )
            .collect();
        let gaps = match &filled {
            None => None,
            Some((_, gap)) => Some(Gaps::of(gap, &values, &groups)?),
        };
        let shown = gaps.as_ref().map_or(&values, |gaps| &gaps.names);
        let mut outputs = Vec::with_capacity(top.outputs.len());
        for (at, expr) in top.outputs.iter().enumerate() {
            check_immutable(expr)?;
            let Some(output) = bound.columns.get(at) else {
                return Err(Error::internal("a column that nobody names"));
            };
            outputs.push(Output {
                name: columns.get(at).unwrap_or(&output.name).clone(),
                ty: output.ty.clone(),
                expr: substituted(expr, shown)?,
            });
        }
        let having = top
            .filters
            .iter()
            .map(|filter| {
                check_immutable(filter)?;
                Ok(substituted(filter, &values)?)
            })
            .collect::<Result<Vec<Expr>, Error>>()?;
        let mut reads = Vec::new();
        for table in tables_in(&bound.plan)? {
            if let Some(table) = database.tables.get(&table) {
                reads.push((table.id, table.columns.clone()));
            }
        }
        Ok(Self {
            source: kind,
            time,
            rows,
            buckets,
            bucket_call,
            groups,
            bucket,
            aggs,
            having: having.into_iter().reduce(Expr::and),
            gaps,
            outputs,
            order: Vec::new(),
            reads,
            programs: Programs::default(),
        })
    }

    /// Whether what it was read from is still what it was.
    pub(crate) fn holds(&self, database: &Database) -> bool {
        self.reads.iter().all(|(table, columns)| {
            let table = database.tables.get(table);
            table.is_some_and(|table| table.columns == *columns)
        })
    }

    /// What the columns of the continuous aggregates are called that it reads.
    pub(crate) fn names_read(&self, database: &Database) -> Vec<Vec<String>> {
        let reads = |table: TableId| self.reads.iter().any(|(of, _)| *of == table);
        let views = database.views.values().filter(|view| {
            let kept = view.materialized.as_ref();
            kept.is_some_and(|kept| reads(kept.table))
        });
        views.map(|view| view.columns.clone()).collect()
    }

    /// The tables that it reads beside its source.
    pub(crate) fn beside(&self, source: TableId) -> Vec<TableId> {
        let reads = self.reads.iter().map(|(table, _)| *table);
        reads.filter(|table| *table != source).collect()
    }

    /// Whether new rows give new partials.
    pub(crate) fn additive(&self) -> bool {
        matches!(self.rows, Rows::Additive { .. })
    }

    /// The columns of the store: bucket and groups, then states.
    pub(crate) fn store_columns(&self) -> Vec<(String, SqlType)> {
        let groups = self
            .groups
            .iter()
            .map(|group| (group.name.clone(), group.ty.clone()));
        let states = self
            .states()
            .map(|state| (state.name.clone(), state.ty.clone()));
        groups.chain(states).collect()
    }

    /// The states, in the order of the store's columns.
    pub(crate) fn states(&self) -> impl Iterator<Item = &StateColumn> {
        let states = self.aggs.iter().flat_map(|agg| &agg.parts.states);
        let mut states: Vec<&StateColumn> = states.collect();
        if !self.order.is_empty() {
            let ordered = self.order.iter().filter_map(|at| states.get(*at).copied());
            states = ordered.collect();
        }
        states.into_iter()
    }

    /// What readers call the bucket, where they see it.
    pub(crate) fn shown_bucket(&self) -> Option<&str> {
        let bucket = column(self.bucket_name());
        let mut outputs = self.outputs.iter();
        let shown = outputs.find(|output| output.expr == bucket)?;
        Some(&shown.name)
    }

    /// The name of the bucket's column in the store.
    pub(crate) fn bucket_name(&self) -> &str {
        self.groups.get(self.bucket).map_or("", |group| &group.name)
    }
}

/// Why a plan is no aggregate over rows.
fn unfit(plan: &LogicalPlan) -> Error {
    let mut reason = None;
    // Walking fails only when the closure does.
    let _ = plan.apply(|node| {
        use datafusion::common::tree_node::TreeNodeRecursion;
        reason = match node {
            LogicalPlan::Window(_) => {
                Some("window functions are not supported by continuous aggregates")
            }
            // UNION is made of both.
            LogicalPlan::Distinct(Distinct::All(input))
                if matches!(**input, LogicalPlan::Union(_)) =>
            {
                Some("set operations are not supported by continuous aggregates")
            }
            LogicalPlan::Distinct(_) => {
                Some("DISTINCT / DISTINCT ON queries are not supported by continuous aggregates")
            }
            LogicalPlan::Limit(_) => {
                Some("LIMIT and LIMIT OFFSET are not supported by continuous aggregates")
            }
            LogicalPlan::Union(_) => {
                Some("set operations are not supported by continuous aggregates")
            }
            _ => None,
        };
        Ok(match reason {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    });
    match reason {
        Some(reason) => invalid().detail(reason),
        None => invalid().hint(
            "Include at least one aggregate function and a GROUP BY clause with time bucket.",
        ),
    }
}

/// The hypertable, or continuous aggregate, that a definition reads.
struct Leaf {
    scan: TableScan,
    source: Source,
    time: String,
}

/// The tables that a plan scans; of a view its own rows' table.
fn tables_in(plan: &LogicalPlan) -> Result<BTreeSet<TableId>, Error> {
    let mut found = BTreeSet::new();
    for scan in scans(plan)? {
        let provider = source_as_provider(&scan.source)?;
        if let Some(table) = provider.downcast_ref::<ChunkTable>() {
            found.insert(table.id());
        } else if let Some(cagg) = provider.downcast_ref::<CaggTable>() {
            found.insert(cagg.store());
        }
    }
    Ok(found)
}

fn source_of(database: &Database, plan: &LogicalPlan) -> Result<Leaf, Error> {
    let mut found: Option<Leaf> = None;
    for scan in scans(plan)? {
        let provider = source_as_provider(&scan.source)?;
        let leaf = if let Some(table) = provider.downcast_ref::<ChunkTable>() {
            let known = database.tables.get(&table.id());
            let Some(time) = known.and_then(|known| time_name(known)) else {
                continue;
            };
            Leaf {
                source: Source::Table(table.id()),
                time,
                scan,
            }
        } else if let Some(cagg) = provider.downcast_ref::<CaggTable>() {
            Leaf {
                source: Source::View(cagg.view()),
                time: cagg.time().to_owned(),
                scan,
            }
        } else {
            return Err(invalid().detail("Continuous aggregates cannot read system relations."));
        };
        if found.is_some() {
            return Err(
                invalid().detail("Only one hypertable is allowed in continuous aggregate view.")
            );
        }
        found = Some(leaf);
    }
    found.ok_or_else(|| {
        refused("invalid continuous aggregate query")
            .hint("Continuous aggregate needs to query hypertable or another continuous aggregate.")
    })
}

fn time_name(table: &Table) -> Option<String> {
    let time = table.hypertable.as_ref()?.time;
    Some(table.column(time)?.name.clone())
}

/// An expression over the aggregate's input, over the scan's columns.
pub(super) fn place_of(expr: &Expr, input: &LogicalPlan, above: &Above<'_>) -> Result<Expr, Error> {
    let resolved = expr.clone().transform_up(|node| {
        let Expr::Column(found) = &node else {
            return Ok(Transformed::no(node));
        };
        let place = input.schema().index_of_column(found)?;
        let known = above.outputs.get(place).cloned();
        Ok(Transformed::yes(known.unwrap_or(node)))
    })?;
    Ok(resolved.data)
}

fn bucket_of(groups: &[Expr], source: &Leaf, qualified: bool) -> Result<(usize, Buckets), Error> {
    let mut found = None;
    for (at, expr) in groups.iter().enumerate() {
        let Expr::ScalarFunction(call) = expr else {
            continue;
        };
        if call.func.name() != "time_bucket" {
            continue;
        }
        let of_time = match call.args.get(1) {
            Some(Expr::Column(column)) => {
                let here = column.relation.as_ref();
                column.name == source.time && (!qualified || here == Some(&source.scan.table_name))
            }
            _ => false,
        };
        if !of_time {
            return Err(refused(
                "time bucket function must reference the primary hypertable dimension column",
            ));
        }
        if found.is_some() {
            return Err(refused(
                "continuous aggregate view cannot contain multiple time bucket functions",
            ));
        }
        found = Some((at, Buckets::of(call)?));
    }
    found.ok_or_else(|| {
        refused("continuous aggregate view must include a valid time bucket function")
    })
}

pub(super) fn check_immutable(expr: &Expr) -> Result<(), Error> {
    match immutable(expr)? {
        true => Ok(()),
        false => Err(
            refused("only immutable functions supported in continuous aggregate view").hint(
                "Make sure all functions in the continuous aggregate definition have IMMUTABLE \
                 volatility. Note that functions or expressions may be IMMUTABLE for one data type, \
                 but STABLE or VOLATILE for another.",
            ),
        ),
    }
}

fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Column(found) => found.name.clone(),
        Expr::Alias(alias) => alias.name.clone(),
        other => other.schema_name().to_string(),
    }
}

pub(super) fn substituted(expr: &Expr, values: &HashMap<String, Expr>) -> DfResult<Expr> {
    let done = expr.clone().transform_up(|node| {
        let Expr::Column(found) = &node else {
            return Ok(Transformed::no(node));
        };
        Ok(match values.get(&found.name) {
            Some(value) => Transformed::yes(value.clone()),
            None => Transformed::no(node),
        })
    })?;
    Ok(done.data)
}

/// What was read.
struct Read {
    rows: Rows,
    groups: Vec<Group>,
    aggs: Vec<Agg>,
    source: Source,
    /// The source's time column.
    time: String,
}

/// Reads names and calls.
struct Reader<'a> {
    aggregate_schema: &'a DFSchema,
    top: &'a Above<'a>,
    groups: &'a [Expr],
    columns: &'a [String],
}

impl Reader<'_> {
    /// What groups are called in the store: as readers call them, where they see them.
    fn group_names(&mut self, bucket: usize) -> Vec<String> {
        let mut taken = BTreeSet::new();
        let mut names = Vec::new();
        for (at, expr) in self.groups.iter().enumerate() {
            let own = column(&name_of(expr));
            let shown = self.top.outputs.iter().position(|output| *output == own);
            let shown = shown.and_then(|place| self.columns.get(place)).cloned();
            let plain = match bucket == at {
                true => "time_partition_col".to_owned(),
                false => format!("grp_{at}"),
            };
            let name = match shown {
                // States have names of this kind.
                Some(name) if !name.starts_with("agg_") && !taken.contains(&name) => name,
                _ => plain,
            };
            taken.insert(name.clone());
            names.push(name);
        }
        names
    }

    fn calls(&self, exprs: &[Expr]) -> Result<Vec<(String, AggregateFunction)>, Error> {
        let mut calls = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let name = name_of(expr);
            let Expr::AggregateFunction(call) = expr.clone().unalias() else {
                return Err(invalid());
            };
            if call.func.name() == "grouping" {
                return Err(invalid().detail(
                    "GROUPING SETS, ROLLUP and CUBE are not supported by continuous aggregates",
                ));
            }
            for arg in call.params.args.iter().chain(call.params.filter.as_deref()) {
                check_immutable(arg)?;
            }
            calls.push((name, call));
        }
        Ok(calls)
    }

    fn recomputed(
        &self,
        input: &LogicalPlan,
        scan: &str,
        names: &[String],
        calls: &[(String, AggregateFunction)],
        source: &Leaf,
    ) -> Result<Read, Error> {
        let groups = groups_of(self.groups, names, self.aggregate_schema)?;
        let aggs = aggs_of(calls, self.aggregate_schema, false)?;
        let rows = Rows::Recomputed {
            plan: Box::new(input.clone()),
            scan: scan.to_owned(),
        };
        Ok(Read {
            rows,
            groups,
            aggs,
            source: source.source,
            time: source.time.clone(),
        })
    }
}

fn groups_of(exprs: &[Expr], names: &[String], schema: &DFSchema) -> Result<Vec<Group>, Error> {
    let mut groups = Vec::with_capacity(exprs.len());
    for (expr, name) in exprs.iter().zip(names) {
        let form = expr.get_type(schema)?;
        let ty = stored_type(&form)
            .ok_or_else(|| invalid().detail(format!("A group of {form} cannot be kept.")))?;
        groups.push(Group {
            name: name.clone(),
            ty,
            expr: expr.clone(),
        });
    }
    Ok(groups)
}

fn aggs_of(
    calls: &[(String, AggregateFunction)],
    schema: &DFSchema,
    of_rows: bool,
) -> Result<Vec<Agg>, Error> {
    let calls = calls.iter().enumerate();
    let aggs = calls.map(|(at, (_, call))| {
        let parts = parts_of(call, schema, &format!("agg_{at}"))?;
        Ok(Agg {
            of_rows: of_rows.then(|| (call.clone(), parts.value.clone())),
            parts,
            call: call.clone(),
        })
    });
    aggs.collect()
}

/// What an additive definition is read from.
struct Additive<'a> {
    source: &'a Leaf,
    above: &'a Above<'a>,
    /// Over the scan's columns.
    groups: &'a [Expr],
    names: &'a [String],
    calls: &'a [(String, AggregateFunction)],
    input: &'a LogicalPlan,
}

impl Additive<'_> {
    /// None when new rows do not just add to what there is.
    fn read(&self, database: &Arc<Database>, registry: &Registry) -> Result<Option<Read>, Error> {
        let filter = self.above.filters.iter().cloned().reduce(Expr::and);
        if let Some(filter) = &filter {
            check_immutable(filter)?;
        }
        let mut calls = Vec::with_capacity(self.calls.len());
        for (name, call) in self.calls {
            let place = |expr: &Expr| place_of(expr, self.input, self.above);
            let mut call = call.clone();
            let params = &mut call.params;
            for arg in &mut params.args {
                *arg = place(arg)?;
            }
            if let Some(filter) = &mut params.filter {
                **filter = place(filter)?;
            }
            for key in &mut params.order_by {
                key.expr = place(&key.expr)?;
            }
            calls.push((name.clone(), call));
        }
        match self.source.source {
            Source::View(view) => {
                let parent = registry.definition(database, view)?;
                self.over_parent(&parent, view, filter, &calls)
            }
            kind => {
                let schema = bare(&self.source.scan)?;
                let groups = groups_of(self.groups, self.names, &schema)?;
                let aggs = aggs_of(&calls, &schema, true)?;
                Ok(Some(Read {
                    rows: Rows::Additive { filter },
                    groups,
                    aggs,
                    source: kind,
                    time: self.source.time.clone(),
                }))
            }
        }
    }

    /// Over the partials of another, if those say enough.
    fn over_parent(
        &self,
        parent: &Definition,
        view: TableId,
        filter: Option<Expr>,
        calls: &[(String, AggregateFunction)],
    ) -> Result<Option<Read>, Error> {
        if !parent.additive() || parent.having.is_some() {
            return Ok(None);
        }
        // What readers see of the parent's groups is what the store has of them.
        let mut known = HashMap::new();
        for output in &parent.outputs {
            if let Expr::Column(found) = &output.expr
                && parent.groups.iter().any(|group| group.name == found.name)
            {
                known.insert(output.name.clone(), output.expr.clone());
            }
        }
        let over_groups = |expr: &Expr| -> Result<Option<Expr>, Error> {
            let of_groups = expr
                .column_refs()
                .iter()
                .all(|column| known.contains_key(&column.name));
            Ok(match of_groups {
                true => Some(substituted(expr, &known)?),
                false => None,
            })
        };
        let filter = match filter {
            None => None,
            Some(filter) => match over_groups(&filter)? {
                Some(filter) => Some(filter),
                None => return Ok(None),
            },
        };
        let mut exprs = Vec::with_capacity(self.groups.len());
        for expr in self.groups {
            match over_groups(expr)? {
                Some(expr) => exprs.push(expr),
                None => return Ok(None),
            }
        }
        let fields = parent.store_columns();
        let fields = fields
            .iter()
            .map(|(name, ty)| (None, Arc::new(Field::new(name, ty.arrow(), true))));
        let schema = DFSchema::new_with_metadata(fields.collect(), HashMap::default())?;
        let groups = groups_of(&exprs, self.names, &schema)?;
        let mut aggs = Vec::with_capacity(calls.len());
        for (at, (_, call)) in calls.iter().enumerate() {
            match composed(parent, &self.source.time, call, &format!("agg_{at}"))? {
                Some(agg) => aggs.push(agg),
                None => return Ok(None),
            }
        }
        Ok(Some(Read {
            rows: Rows::Additive { filter },
            groups,
            aggs,
            source: Source::Partials(view),
            time: parent.bucket_name().to_owned(),
        }))
    }
}

/// The scan's columns by their bare names.
fn bare(scan: &TableScan) -> DfResult<DFSchema> {
    DFSchema::try_from(scan.source.schema().as_ref().clone())
}

/// An aggregate over what another has aggregated, as one over the other's states.
fn composed(
    parent: &Definition,
    time: &str,
    call: &AggregateFunction,
    name: &str,
) -> Result<Option<Agg>, Error> {
    let params = &call.params;
    if params.distinct
        || params.filter.is_some()
        || !params.order_by.is_empty()
        || params.null_treatment.is_some()
    {
        return Ok(None);
    }
    let Some(Expr::Column(arg)) = params.args.first() else {
        return Ok(None);
    };
    let Some(output) = parent.outputs.iter().find(|output| output.name == arg.name) else {
        return Ok(None);
    };
    // Readers see values in the form of their type.
    let shown = match &output.expr {
        Expr::ScalarFunction(reform) if reform.func.name() == "reform" => reform.args.first(),
        _ => None,
    };
    let is_shown = |agg: &&Agg| agg.parts.value == output.expr || Some(&agg.parts.value) == shown;
    let Some(of) = parent.aggs.iter().find(is_shown) else {
        return Ok(None);
    };
    let (own, theirs) = (aggregate_name(&call.func), aggregate_name(&of.call.func));
    let fits = match (own, theirs) {
        ("sum", "sum" | "count") => true,
        ("min", "min") | ("max", "max") => true,
        ("bool_and", "bool_and") | ("bool_or", "bool_or") => true,
        ("bit_and", "bit_and") | ("bit_or", "bit_or") | ("bit_xor", "bit_xor") => true,
        ("first", "first") | ("last", "last") => {
            let by_bucket = params.args.get(1) == Some(&column(time));
            let by_time = of.call.params.args.get(1) == Some(&column(&parent.time));
            by_bucket && by_time && of.call.params.filter.is_none()
        }
        _ => false,
    };
    let plain = !of.call.params.distinct && of.call.params.order_by.is_empty();
    // A state without a type, such as that of a sum of products, is not what readers see.
    let states = of.parts.states.iter();
    let typed = |state: &StateColumn| state.ty != SqlType::Bytea || output.ty == SqlType::Bytea;
    if !fits || !plain || !states.into_iter().all(typed) {
        return Ok(None);
    }
    let renamed: HashMap<String, Expr> = of
        .parts
        .states
        .iter()
        .enumerate()
        .map(|(at, state)| (state.name.clone(), column(&format!("{name}_{at}"))))
        .collect();
    let mut states = Vec::with_capacity(of.parts.states.len());
    for (at, state) in of.parts.states.iter().enumerate() {
        states.push(StateColumn {
            name: format!("{name}_{at}"),
            ty: state.ty.clone(),
            partial: state.fold.clone(),
            fold: substituted(&state.fold, &renamed)?,
        });
    }
    let mut merged = Vec::with_capacity(of.parts.merged.len());
    let mut answers = HashMap::new();
    for (at, (before, expr)) in of.parts.merged.iter().enumerate() {
        let now = format!("{name}_{at}_merged");
        answers.insert(before.clone(), column(&now));
        merged.push((now, substituted(expr, &renamed)?));
    }
    // A sum of bigints is numeric.
    let target = match (own, theirs, &output.ty) {
        ("sum", _, SqlType::Int2 | SqlType::Int4) => SqlType::Int8,
        ("sum", _, SqlType::Int8) => SqlType::Numeric(None),
        _ => output.ty.clone(),
    };
    // Of all these one column is merged, of the type of the first state.
    let (Some((merged_name, _)), Some(state)) = (merged.first(), states.first()) else {
        return Ok(None);
    };
    let value = Typed {
        expr: column(merged_name),
        ty: state.ty.clone(),
        arrow: state.ty.arrow(),
    };
    // What is made of it above expects the form that the function itself answers in.
    let expected = call
        .func
        .return_type(&[output.ty.arrow(), output.ty.arrow()])?;
    let value = match (&value.arrow, &expected) {
        (DataType::Int64, DataType::Decimal128(..)) => Typed {
            expr: cast(value.expr, expected.clone()),
            ty: target,
            arrow: expected.clone(),
        },
        _ => canonical_form(apply_cast(value, &target, true)?)?,
    };
    if expected != value.arrow {
        return Ok(None);
    }
    let of_rows = match &of.of_rows {
        Some((call, answer)) => Some((call.clone(), substituted(answer, &answers)?)),
        None => None,
    };
    Ok(Some(Agg {
        of_rows,
        parts: Parts {
            states,
            merged,
            value: value.expr,
        },
        call: AggregateFunction {
            func: Arc::clone(&call.func),
            params: datafusion::logical_expr::expr::AggregateFunctionParams {
                args: params
                    .args
                    .iter()
                    .enumerate()
                    .map(|(at, arg)| match at {
                        // A grandchild asks whether it goes by this one's source's time.
                        1 => column(parent.bucket_name()),
                        _ => arg.clone(),
                    })
                    .collect(),
                ..params.clone()
            },
        },
    }))
}
