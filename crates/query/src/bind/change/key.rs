//! Changes of the one row that has a key: no plan is needed to find it.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{Field, Schema};
use chronolith_catalog as catalog;
use chronolith_chunk::locator_type;
use datafusion::logical_expr::Expr;

use super::super::state::{Binder, Result, field};
use super::ByKey;
use super::target::named;
use super::through::Row;
use crate::evaluate::has_query;
use crate::keyed::Key;

impl Binder<'_> {
    /// The change of a row that is named by a key of its table, if the condition does so; `exprs`
    /// are what is made of it.
    pub(super) fn by_key(
        &mut self,
        table: &catalog::Table,
        row: &Row,
        locator: &str,
        condition: Option<&Expr>,
        exprs: &[Expr],
    ) -> Result<Option<ByKey>> {
        let own = &row.base;
        let Some(condition) = condition.filter(|_| !row.computes()) else {
            return Ok(None);
        };
        // What the views show is wanted too.
        let shown = row.filters().cloned();
        let condition = &shown.fold(condition.clone(), Expr::and);
        let own_alone = |name: &String| self.hidden(name).is_none();
        if !exprs
            .iter()
            .chain([condition])
            .flat_map(named)
            .all(|name| own_alone(&name))
        {
            return Ok(None);
        }
        let place = |name: &str| own.columns.iter().position(|found| found.column == name);
        let Some((key, rest)) = Key::of(table, condition, place) else {
            return Ok(None);
        };
        if exprs.iter().chain([condition]).any(has_query) {
            return Ok(None);
        }
        let mut fields: Vec<Field> = vec![field(locator, &locator_type())];
        fields.extend(own.columns.iter().map(|c| field(&c.column, &c.arrow)));
        let input = Arc::new(Schema::new(fields));
        let over = self.over(input, rest, exprs.to_vec())?;
        let computes = OnceLock::new();
        Ok(Some(ByKey {
            key,
            over,
            computes,
        }))
    }
}
