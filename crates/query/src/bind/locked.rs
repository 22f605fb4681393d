//! FOR UPDATE and FOR SHARE within a statement: in a subquery, or in WITH.
//!
//! Such a query runs by itself before the statement, which reads the rows that were locked; so it
//! can name no column of the queries around it.

use std::rc::Rc;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType};

use super::cte::Cte;
use super::scope::{Scope, ScopeColumn};
use super::state::{Binder, Rel, Result, field, unnamed, unsupported};
use crate::error::Error;

impl Binder<'_> {
    pub(super) fn locked(&mut self, query: &ast::Query) -> Result<Rel> {
        let refused = || unsupported("FOR UPDATE and FOR SHARE");
        if !self.changing || self.views > 0 || !self.frames.is_empty() {
            return Err(refused());
        }
        let mut found = self.names.locking(query, &self.params.known());
        let missed = |error: &Error| error.code == SqlState::UNDEFINED_TABLE;
        if found.as_ref().is_err_and(missed) && self.outer.is_empty() {
            // What it names may be in WITH of the query around it, which it is then given itself.
            if let Some(whole) = self.with_around(query) {
                found = self.names.locking(&whole, &self.params.known());
            }
        }
        let locking = found.map_err(|error| {
            let outside = matches!(
                error.code,
                SqlState::UNDEFINED_COLUMN | SqlState::UNDEFINED_TABLE
            );
            match outside && !(self.outer.is_empty() && self.ctes.is_empty()) {
                true => unsupported(
                    "FOR UPDATE in a subquery that names columns or WITH of the query around it",
                ),
                false => error,
            }
        })?;
        let locking = locking.ok_or_else(refused)?;
        for (number, ty) in (1..).zip(&locking.bound.params) {
            if *ty != SqlType::Unknown {
                self.params.typed(number, ty);
            }
        }
        self.uses_too(&locking.bound.uses);
        let slot = self.slot();
        let columns = locking.columns.iter().map(|output| ScopeColumn {
            column: self.fresh_as(&output.name),
            ty: output.ty.clone(),
            arrow: output.ty.arrow(),
            origin: (output.table_oid != 0).then_some((output.table_oid, output.attribute)),
            ..unnamed(&output.name)
        });
        let columns: Vec<ScopeColumn> = columns.collect();
        let fields: Vec<Field> = columns.iter().map(|c| field(&c.column, &c.arrow)).collect();
        let plan = self.read_slot(slot, &Arc::new(Schema::new(fields)))?;
        self.locks.push((slot, locking));
        Ok(Rel {
            plan,
            scope: Scope {
                columns,
                relations: Vec::new(),
            },
        })
    }
}

impl Binder<'_> {
    /// A query with what WITH around it names, as far as that is plain queries.
    fn with_around(&self, query: &ast::Query) -> Option<ast::Query> {
        let tree = |cte: &Rc<Cte>| {
            let mut trees = self.cte_trees.iter();
            let found = trees.find(|(known, _)| Rc::ptr_eq(known, cte));
            found.map(|(_, tree)| tree.clone())
        };
        let around = self.ctes.iter().filter_map(|(_, cte)| tree(cte));
        let mut tables: Vec<ast::Cte> = around.collect();
        if tables.is_empty() {
            return None;
        }
        let mut whole = query.clone();
        match &mut whole.with {
            Some(with) => {
                tables.append(&mut with.cte_tables);
                with.cte_tables = tables;
            }
            None => {
                whole.with = Some(ast::With {
                    with_token: ast::helpers::attached_token::AttachedToken::empty(),
                    recursive: false,
                    cte_tables: tables,
                });
            }
        }
        Some(whole)
    }
}

/// Whether a query locks rows somewhere within it.
pub(crate) fn locks_within(query: &ast::Query) -> bool {
    let text = query.to_string().to_uppercase();
    text.contains("FOR UPDATE") || text.contains("FOR SHARE")
}
