//! The system columns of tables: ctid, tableoid, xmin, xmax, cmin, cmax.
//!
//! Tables are read without them until a statement names one; then it is bound anew.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use chronolith_types::{SqlState, SqlType, TableId};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::Expr;

use super::names::Table;
use super::reference::outer;
use super::scope::{Scope, ScopeColumn};
use super::state::{Binder, Clause, Place, Result, typed, unnamed};
use crate::error::Error;
use crate::functions::Typed;

/// What the binder knows of system columns.
#[derive(Debug, Default)]
pub(super) struct System {
    /// Whether scans have them.
    pub read: bool,
    /// A statement named one that scans have not.
    pub wanted: bool,
    /// Those of a scan, by the internal name of each of its columns.
    of: HashMap<String, Scanned>,
    /// Their forms, by internal names.
    hidden: HashMap<String, DataType>,
    /// The column of RETURNING that says whether a row was updated.
    pub upserted: Option<String>,
}

#[derive(Debug, Clone)]
struct Scanned {
    ctid: String,
    tableoid: String,
    xmin: String,
}

/// Where such a column is looked for.
enum Found {
    Here(Typed),
    None,
}

impl Binder<'_> {
    /// Adds the system columns of a scan to what it gives.
    pub(super) fn scan_system(
        &mut self,
        scan: &str,
        columns: &[ScopeColumn],
        fields: &arrow::datatypes::Fields,
    ) -> Vec<Expr> {
        let scanned = Scanned {
            ctid: self.fresh_as("ctid"),
            tableoid: self.fresh_as("tableoid"),
            xmin: self.fresh_as("xmin"),
        };
        for column in columns {
            self.system
                .of
                .insert(column.column.clone(), scanned.clone());
        }
        let from = fields.len().saturating_sub(3);
        let names = [scanned.ctid, scanned.tableoid, scanned.xmin];
        let fields = fields.iter().skip(from);
        let mut exprs = Vec::new();
        for (name, field) in names.into_iter().zip(fields) {
            let source = Column::new(Some(scan.to_owned()), field.name());
            exprs.push(Expr::Column(source).alias(&name));
            self.system.hidden.insert(name, field.data_type().clone());
        }
        exprs
    }

    /// A table as it is to be scanned.
    pub(super) fn with_system(&self, table: &Table) -> Option<Table> {
        if !self.system.read {
            return None;
        }
        let source = self.names.system_columns(TableId(table.oid), table.chunk)?;
        Some(Table {
            source,
            ..table.clone()
        })
    }

    /// A system column under an internal name, if it is one.
    pub(super) fn hidden(&self, name: &str) -> Option<ScopeColumn> {
        let arrow = self.system.hidden.get(name)?;
        Some(ScopeColumn {
            column: name.to_owned(),
            arrow: arrow.clone(),
            ..unnamed(name)
        })
    }

    /// The column of RETURNING that says whether a row was updated.
    pub(super) fn upserted(&mut self) -> String {
        let name = self.fresh_as("xmax");
        self.system.hidden.insert(name.clone(), DataType::UInt32);
        self.system.upserted = Some(name.clone());
        name
    }

    /// A system column of a relation by its name; None for any other name, and where there is no
    /// such relation.
    pub(super) fn system_column(
        &mut self,
        place: Place<'_>,
        schema: Option<&str>,
        table: Option<&str>,
        name: &str,
        at: Option<u32>,
    ) -> Result<Option<Typed>> {
        if !is_system(name) {
            return Ok(None);
        }
        let mut around: Vec<Scope> = self.outer.clone();
        around.reverse();
        let scopes = std::iter::once((place.scope, false));
        let scopes = scopes.chain(around.iter().map(|scope| (scope, true)));
        for (scope, is_outer) in scopes {
            let relation = match (table, scope.relations.as_slice()) {
                (Some(table), _) if scope.has_table(schema, table) => table,
                (Some(_), _) | (None, []) => continue,
                (None, [only]) => only.name.as_str(),
                (None, relations) => {
                    let has = |name: &str| self.table_of(scope, None, name).is_some();
                    let mut with = relations.iter().filter(|alias| has(&alias.name));
                    match (with.next(), with.next()) {
                        (Some(one), None) => one.name.as_str(),
                        (Some(_), Some(_)) if place.clause == Clause::Returning => {
                            relations.first().map_or("", |alias| alias.name.as_str())
                        }
                        (Some(_), Some(_)) => {
                            return Err(Error::new(
                                SqlState::AMBIGUOUS_COLUMN,
                                format!("column reference \"{name}\" is ambiguous"),
                            )
                            .at(at));
                        }
                        _ => continue,
                    }
                }
            };
            let found = self.of_relation(place, scope, schema, relation, name, is_outer)?;
            if let Found::Here(found) = found {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The table that an alias stands for; none for a view.
    pub(super) fn table_of(&self, scope: &Scope, schema: Option<&str>, table: &str) -> Option<u32> {
        let found = scope.table_oid(schema, table);
        found.filter(|oid| !self.shown.contains(oid))
    }

    fn of_relation(
        &mut self,
        place: Place<'_>,
        scope: &Scope,
        schema: Option<&str>,
        table: &str,
        name: &str,
        is_outer: bool,
    ) -> Result<Found> {
        let Some(oid) = self.table_of(scope, schema, table) else {
            return Ok(Found::None);
        };
        // Columns of the system are read by whoever may read all of the table.
        let first = scope
            .of_table(schema, table)
            .next()
            .map(|column| column.column.clone());
        let read = first.and_then(|first| self.readable.get(&first).cloned());
        for (relation, view, _) in read.unwrap_or_default() {
            if let Some(used) = self.use_of(relation, view) {
                used.columns.insert(0);
            }
        }
        let xid = |number: u32| Typed::literal(ScalarValue::UInt32(Some(number)), SqlType::Xid);
        let returned = place.clause == Clause::Returning;
        let scanned = scope
            .of_table(schema, table)
            .find_map(|column| self.system.of.get(&column.column))
            .cloned();
        match (name, &self.system.upserted) {
            ("xmax", Some(column)) if returned => {
                let column = self.hidden(column);
                let column = column.ok_or_else(|| Error::internal("a column that is gone"))?;
                return Ok(Found::Here(typed(&ScopeColumn {
                    ty: SqlType::Xid,
                    ..column
                })));
            }
            ("xmax" | "cmin" | "cmax", _) => return Ok(Found::Here(xid(0))),
            _ => {}
        }
        let Some(scanned) = scanned else {
            let plain = || {
                let oid = ScalarValue::UInt32(Some(oid));
                Found::Here(Typed::literal(oid, SqlType::Oid))
            };
            if self.names.system_columns(TableId(oid), None).is_none() {
                return Ok(match name {
                    "tableoid" => plain(),
                    _ => Found::None,
                });
            }
            if !self.system.read {
                self.system.wanted = true;
            } else if name == "tableoid" {
                return Ok(plain());
            } else if returned {
                return Err(Error::unsupported(format!(
                    "the column {name} of a row that was written"
                )));
            }
            return Ok(Found::None);
        };
        let (internal, ty) = match name {
            "ctid" => (scanned.ctid, SqlType::Text),
            "tableoid" => (scanned.tableoid, SqlType::Oid),
            _ => (scanned.xmin, SqlType::Xid),
        };
        let Some(column) = self.hidden(&internal) else {
            return Ok(Found::None);
        };
        let column = ScopeColumn {
            ty,
            name: name.to_owned(),
            ..column
        };
        Ok(Found::Here(match is_outer {
            true => outer(&column),
            false => typed(&column),
        }))
    }
}

/// Whether every table has a column of that name beside its own.
pub(super) fn is_system(name: &str) -> bool {
    matches!(
        name,
        "ctid" | "tableoid" | "xmin" | "xmax" | "cmin" | "cmax"
    )
}
