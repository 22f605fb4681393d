//! RETURNING, and what reads its rows.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use chronolith_sql::ast::SelectItem;
use chronolith_types::SqlType;
use datafusion::common::{Column, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};

use super::super::entry::output_columns;
use super::super::scope::{Scope, ScopeColumn};
use super::super::select::filtered;
use super::super::state::{Binder, Clause, Rel, Result, field, lift, project, told, unnamed};
use super::target::named;
use super::through::{Row, Step, lowered, stepped};
use super::{Direct, Over, Returning};
use crate::dml::nullable;
use crate::evaluate::{Planned, has_query};
use crate::functions::canonical_form;
use crate::scan::SlotTable;

impl Binder<'_> {
    /// RETURNING over a row, the table's columns of which are there in any case, and others beside
    /// it. With it those of the others that it names.
    pub(super) fn returning(
        &mut self,
        items: &[SelectItem],
        row: &Row,
        others: &[ScopeColumn],
    ) -> Result<(Returning, Vec<String>)> {
        let mut scope = row.scope.clone();
        scope.columns.extend(others.iter().cloned());
        let items = self.items(&scope, items, None, Clause::Returning)?;
        let mut exprs = Vec::with_capacity(items.len());
        let mut columns = Vec::with_capacity(items.len());
        for item in items {
            let mut value = self.settled(item.value)?;
            if !matches!(value.ty, SqlType::Record | SqlType::Void) {
                value = canonical_form(value).map_err(told)?;
            }
            let name = self.fresh_as(&item.column.name);
            exprs.push(value.expr.alias(&name));
            columns.push(ScopeColumn {
                column: name,
                ty: value.ty,
                arrow: value.arrow,
                ..item.column
            });
        }
        let mut input = row.base.columns.clone();
        let mut more = Vec::new();
        let wanted: Vec<String> = exprs.iter().flat_map(named).collect();
        for found in others {
            if wanted.contains(&found.column) && !more.contains(&found.column) {
                input.push(found.clone());
                more.push(found.column.clone());
            }
        }
        for name in wanted {
            let known = |column: &ScopeColumn| column.column == name;
            if let Some(found) = self.hidden(&name).filter(|_| !input.iter().any(known)) {
                input.push(found);
                more.push(name);
            }
        }
        let over = self.over_row(&input, &row.steps, None, exprs)?;
        let scope = Scope {
            columns,
            relations: Vec::new(),
        };
        let returning = Returning {
            over,
            columns: output_columns(&scope),
        };
        Ok((returning, more))
    }

    /// Notes that RETURNING reads the target's columns, if it does.
    pub(super) fn reads_returned(&mut self, oid: u32, target: &Scope, returning: &Returning) {
        if let LogicalPlan::Projection(projection) = &returning.over.plan {
            self.reads(oid, target, &projection.expr);
        }
    }

    /// Expressions over the columns of rows that are there when the statement runs.
    pub(super) fn over(
        &mut self,
        input: SchemaRef,
        filter: Option<Expr>,
        exprs: Vec<Expr>,
    ) -> Result<Over> {
        let slot = self.slot();
        let mut plan = self.read_slot(slot, &input)?;
        if let Some(filter) = &filter {
            plan = filtered(plan, filter.clone())?;
        }
        let plan = project(plan, exprs.clone())?;
        let direct = match exprs.iter().chain(&filter).any(has_query) {
            true => None,
            false => Some(Direct {
                filter,
                exprs: exprs.into_iter().map(Expr::unalias).collect(),
                output: nullable(plan.schema().as_arrow()),
                planned: Planned::default(),
            }),
        };
        Ok(Over {
            slot,
            input,
            plan,
            direct,
        })
    }

    /// The same over columns of which views make others; the expressions may name both.
    pub(super) fn over_row(
        &mut self,
        columns: &[ScopeColumn],
        steps: &[Step],
        filter: Option<Expr>,
        exprs: Vec<Expr>,
    ) -> Result<Over> {
        let fields: Vec<Field> = columns.iter().map(|c| field(&c.column, &c.arrow)).collect();
        let input = Arc::new(Schema::new(fields));
        if steps.iter().all(|step| step.computed.is_empty()) {
            return self.over(input, filter, exprs);
        }
        let slot = self.slot();
        let mut plan = stepped(self.read_slot(slot, &input)?, steps, false)?;
        if let Some(filter) = &filter {
            plan = filtered(plan, filter.clone())?;
        }
        let plan = project(plan, exprs.clone())?;
        let low = |expr: Expr| lowered(&expr, steps);
        let flat: Option<Vec<Expr>> = exprs
            .into_iter()
            .map(|expr| low(expr.unalias()))
            .collect::<Result<_>>()?;
        let direct = match (flat, filter.map(low).transpose()?) {
            (Some(exprs), filter) if filter != Some(None) => {
                let filter = filter.flatten();
                match exprs.iter().chain(&filter).any(has_query) {
                    true => None,
                    false => Some(Direct {
                        filter,
                        exprs,
                        output: nullable(plan.schema().as_arrow()),
                        planned: Planned::default(),
                    }),
                }
            }
            _ => None,
        };
        Ok(Over {
            slot,
            input,
            plan,
            direct,
        })
    }

    /// The rows of a slot under their own names.
    pub(in crate::bind) fn read_slot(
        &mut self,
        slot: usize,
        input: &SchemaRef,
    ) -> Result<LogicalPlan> {
        let scan = format!("t{}", self.fresh());
        let source = provider_as_source(Arc::new(SlotTable::new(slot, Arc::clone(input))));
        let plan = LogicalPlanBuilder::scan(TableReference::bare(scan.clone()), source, None)
            .map_err(lift)?
            .build()
            .map_err(lift)?;
        let columns = input.fields().iter().map(|field| {
            Expr::Column(Column::new(Some(scan.clone()), field.name())).alias(field.name())
        });
        project(plan, columns.collect())
    }

    /// What RETURNING gave, as a relation.
    pub(super) fn returned(&mut self, slot: usize, returning: &Returning) -> Result<Rel> {
        let input = Arc::new(returning.over.plan.schema().as_arrow().clone());
        let fields = input.fields().iter();
        let columns = fields
            .zip(&returning.columns)
            .map(|(field, output)| ScopeColumn {
                column: field.name().clone(),
                ty: output.ty.clone(),
                arrow: field.data_type().clone(),
                origin: (output.table_oid != 0).then_some((output.table_oid, output.attribute)),
                ..unnamed(&output.name)
            });
        let columns = columns.collect();
        // Each use takes names of its own.
        let scan = self.read_slot(slot, &input)?;
        Ok(Rel {
            plan: scan,
            scope: Scope {
                columns,
                relations: Vec::new(),
            },
        })
    }
}
