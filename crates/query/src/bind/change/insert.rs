//! INSERT.

use chronolith_catalog::Rights;
use chronolith_sql::ast::{self, OnInsert, TableObject};
use chronolith_types::SqlState;
use datafusion::logical_expr::LogicalPlanBuilder;

use super::super::names::Table;
use super::super::scope::{Alias, Scope, ScopeColumn};
use super::super::state::{Binder, Result, lift};
use super::{Change, ChangeTarget, What};
use crate::error::Error;
use crate::insert::{completed, places_of, provided, target_of};

impl Binder<'_> {
    pub(super) fn insert(&mut self, insert: &ast::Insert) -> Result<Change> {
        let TableObject::TableName(name) = &insert.table else {
            return Err(Error::unsupported("INSERT into a function"));
        };
        let ChangeTarget { table, catalog } = self.change_target(name, "INSERT")?;
        let places = places_of(&catalog, &insert.columns)?;
        let targets = places
            .iter()
            .filter_map(|place| catalog.columns.get(*place))
            .map(target_of)
            .collect::<Result<Vec<_>>>()?;
        let (plan, given) = match &insert.source {
            Some(source) => {
                let rel = self.insert_source(source, &targets)?;
                (rel.plan, rel.scope.columns.len())
            }
            // DEFAULT VALUES
            None => {
                let one = LogicalPlanBuilder::empty(true).build().map_err(lift)?;
                (one, 0)
            }
        };
        if given < places.len() && !insert.columns.is_empty() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "INSERT has more target columns than expressions",
            ));
        }
        let provided = provided(insert, &catalog, &places, given)?;
        let plan = completed(self.names, &catalog, plan, &provided)?;
        let alias = insert.table_alias.as_ref();
        let alias = alias.map(|alias| alias.alias.value.as_str());
        let mut rights = Rights::INSERT;
        let conflict = match &insert.on {
            None => None,
            Some(OnInsert::OnConflict(on)) => {
                let conflict = self.conflict(&table, &catalog, alias, on)?;
                if conflict.update.is_some() {
                    rights = rights | Rights::UPDATE;
                }
                if conflict.constraints.is_some() {
                    rights = rights | Rights::SELECT;
                }
                Some(Box::new(conflict))
            }
            Some(_) => return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error")),
        };
        let returning = match &insert.returning {
            None => None,
            Some(items) => {
                let scope = self.row_of_table(&table, alias);
                let width = scope.columns.len();
                let (returning, _) = self.returning(items, &scope, width)?;
                self.reads_returned(table.oid, &scope, width, &returning);
                Some(returning)
            }
        };
        let sets = conflict.as_ref().map(|conflict| conflict.sets.clone());
        Ok(Change {
            table: catalog,
            rights,
            what: What::Insert { plan, conflict },
            by_key: None,
            sets: sets.unwrap_or_default(),
            returning,
            slot: None,
        })
    }

    /// A row of a table, whose columns have names of their own.
    pub(super) fn row_of_table(&mut self, table: &Table, alias: Option<&str>) -> Scope {
        let name = alias.unwrap_or(&table.name);
        let schema = alias.is_none().then(|| table.schema.clone());
        let columns = table.columns.iter().map(|of| ScopeColumn {
            table: Some(name.to_owned()),
            schema: schema.clone(),
            name: of.name.clone(),
            column: self.fresh_as(&of.name),
            ty: of.ty.clone(),
            arrow: of.ty.arrow(),
            origin: Some((table.oid, of.attribute)),
            visible: true,
        });
        Scope {
            columns: columns.collect(),
            relations: vec![Alias {
                name: name.to_owned(),
                schema: schema.clone(),
                hides: alias
                    .filter(|alias| *alias != table.name)
                    .map(|_| table.name.clone()),
            }],
        }
    }
}
