//! What domains ask of the values of their columns.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Column, ConstraintKind, Database, Table, Type};
use chronolith_types::{SqlState, TypeId};
use datafusion::common::DFSchema;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::physical_expr::PhysicalExpr;

use crate::bind::{Names, asked_within, bind_value};
use crate::error::Error;
use crate::evaluate::props_of;
use crate::functions::Within;
use crate::session::{SessionNames, Shared};

/// What the domains of a table's columns ask, ready to be held against rows.
pub(super) struct Domains {
    demands: Vec<Demand>,
    /// What is asked of the items and fields of columns, by their places.
    within: Vec<(usize, Within)>,
    props: ExecutionProps,
}

struct Demand {
    schema: Option<String>,
    domain: String,
    column: usize,
    /// Name and expression of a check; None where only NULL is refused.
    check: Option<(String, Arc<dyn PhysicalExpr>)>,
}

impl Domains {
    /// Whether no column's type asks anything of its values.
    pub(super) fn is_empty(&self) -> bool {
        self.demands.is_empty() && self.within.is_empty()
    }

    pub(super) fn of(shared: &Arc<Shared>, table: &Table) -> Result<Self, Error> {
        let mut asked = Self {
            demands: Vec::new(),
            within: Vec::new(),
            props: ExecutionProps::new(),
        };
        let asks = |column: &Column| column.domain.is_some() || column.ty.demands();
        if !table.columns.iter().any(asks) {
            return Ok(asked);
        }
        asked.props = props_of(shared.vars());
        let home = shared.home()?;
        let names = SessionNames::new(shared)?;
        let planner = shared.planner(names.vars().clone());
        let layout = chronolith_engine::layout_of(table);
        let schema = DFSchema::try_from(layout.schema().as_ref().clone())?;
        for (place, column) in table.columns.iter().enumerate() {
            let chain = chain(&home, column.domain);
            let name = chain.last().map_or("", |ty| ty.name.as_str());
            let schema_name = chain.last().and_then(|ty| home.schemas.get(&ty.schema));
            let schema_name = schema_name.map(|schema| schema.name.clone());
            for ty in &chain {
                let Some(domain) = ty.domain() else {
                    continue;
                };
                let demand = |check| Demand {
                    schema: schema_name.clone(),
                    domain: name.to_owned(),
                    column: place,
                    check,
                };
                if domain.not_null {
                    asked.demands.push(demand(None));
                }
                for check in &domain.checks {
                    let ConstraintKind::Check { expression } = &check.kind else {
                        continue;
                    };
                    let expr = bind_value(&names, expression, &column.name, &column.ty)?;
                    let expr = planner.create_physical_expr(expr, &schema)?;
                    let check = Some((check.name.clone(), expr));
                    asked.demands.push(demand(check));
                }
            }
            let within = asked_within(&names, &column.ty)?;
            asked.within.extend(within.map(|within| (place, within)));
        }
        Ok(asked)
    }

    /// 23502 or 23514 for the first column that has within a value what a domain refuses. Whoever
    /// makes a value asks so: this is for rows that come as they are.
    pub(super) fn hold_within(&self, batch: &RecordBatch) -> Result<(), Error> {
        for (place, within) in &self.within {
            if let Some(values) = batch.columns().get(*place) {
                within.hold(values, &self.props)?;
            }
        }
        Ok(())
    }

    /// 23502 or 23514 for the first column with a value that its domain refuses.
    pub(super) fn hold(&self, batch: &RecordBatch) -> Result<(), Error> {
        for demand in &self.demands {
            let Some((name, check)) = &demand.check else {
                let values = batch.columns().get(demand.column);
                if values.is_some_and(|values| values.null_count() > 0) {
                    return Err(demand.null_refused());
                }
                continue;
            };
            let answer = check.evaluate(batch)?.into_array(batch.num_rows())?;
            let answer = answer.as_boolean_opt();
            if answer.is_some_and(|answer| answer.false_count() > 0) {
                return Err(demand.refused(name));
            }
        }
        Ok(())
    }
}

/// A domain with those that it was made from, the innermost first.
pub(crate) fn chain(home: &Database, domain: Option<TypeId>) -> Vec<Arc<Type>> {
    let mut found: Vec<Arc<Type>> = Vec::new();
    let mut next = domain;
    while let Some(ty) = next.and_then(|id| home.types.get(&id)) {
        next = ty.domain().and_then(|domain| domain.over);
        found.push(Arc::clone(ty));
    }
    found.reverse();
    found
}

impl Demand {
    fn null_refused(&self) -> Error {
        let message = format!("domain {} does not allow null values", self.domain);
        self.of(SqlState::NOT_NULL_VIOLATION, message)
    }

    fn refused(&self, check: &str) -> Error {
        let domain = &self.domain;
        let message = format!("value for domain {domain} violates check constraint \"{check}\"");
        let mut error = self.of(SqlState::CHECK_VIOLATION, message);
        error.constraint = Some(check.to_owned());
        error
    }

    fn of(&self, code: SqlState, message: String) -> Error {
        let mut error = Error::new(code, message);
        error.schema.clone_from(&self.schema);
        error.datatype = Some(self.domain.clone());
        error
    }
}
