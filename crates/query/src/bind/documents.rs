//! `json_to_record(j) AS t(a int, b text)` and its kin, as the subquery that says the same; and
//! TABLESAMPLE.

use chronolith_sql::ast::{self, TableFactor};
use chronolith_types::{SqlState, SqlType};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, Operator, binary_expr, lit};

use super::state::{Binder, Rel, Result, lift, unsupported};
use crate::error::Error;

/// The rows of a document that a column definition list spells, as a lateral subquery.
pub(super) fn rows_of_document(factor: &TableFactor) -> Option<TableFactor> {
    let (name, args, alias) = match factor {
        TableFactor::Table {
            name,
            alias,
            args: Some(args),
            with_ordinality: false,
            ..
        } => (name, &args.args, alias.as_ref()?),
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality: false,
            ..
        } => (name, args, alias.as_ref()?),
        _ => return None,
    };
    let name = name.0.last()?.as_ident()?.value.as_str();
    let (kind, set) = match name {
        "json_to_record" => ("json", false),
        "jsonb_to_record" => ("jsonb", false),
        "json_to_recordset" => ("json", true),
        "jsonb_to_recordset" => ("jsonb", true),
        _ => return None,
    };
    let [document] = args.as_slice() else {
        return None;
    };
    let mut columns = Vec::with_capacity(alias.columns.len());
    for column in &alias.columns {
        let declared = column.data_type.as_ref()?;
        let key = column.name.value.replace('\'', "''");
        let field = match chronolith_sql::type_of(declared) {
            Some(SqlType::Json | SqlType::Jsonb) => format!("(d.v -> '{key}')"),
            // An array of a document lists its items.
            Some(SqlType::Array(_)) => format!(
                "CASE WHEN {kind}_typeof(d.v -> '{key}') = 'array' THEN ARRAY(SELECT i FROM \
                 {kind}_array_elements_text(d.v -> '{key}') i) END"
            ),
            _ => format!("(d.v ->> '{key}')"),
        };
        let named = column.name.value.replace('"', "\"\"");
        columns.push(format!("CAST({field} AS {declared}) AS \"{named}\""));
    }
    let from = match set {
        true => format!("{kind}_array_elements(CAST({document} AS {kind})) AS d(v)"),
        false => format!("(SELECT CAST({document} AS {kind}) AS v) AS d"),
    };
    let text = format!("SELECT {} FROM {from}", columns.join(", "));
    let subquery = chronolith_sql::query(&text).ok()?;
    let mut alias = alias.clone();
    alias.columns.clear();
    Some(TableFactor::Derived {
        lateral: true,
        subquery,
        alias: Some(alias),
        sample: None,
    })
}

impl Binder<'_> {
    /// Some of a relation's rows: each with the chance that TABLESAMPLE says.
    pub(super) fn sampled(
        &mut self,
        rel: Rel,
        sample: &ast::TableSampleKind,
        at: Option<u32>,
    ) -> Result<Rel> {
        const ALL: f64 = 100.0;
        let (ast::TableSampleKind::BeforeTableAlias(sample)
        | ast::TableSampleKind::AfterTableAlias(sample)) = sample;
        if !matches!(
            sample.name,
            Some(ast::TableSampleMethod::Bernoulli | ast::TableSampleMethod::System)
        ) {
            return Err(unsupported("this TABLESAMPLE method").at(at));
        }
        let percentage = match &sample.quantity {
            Some(quantity) => quantity.value.to_string().parse::<f64>().ok(),
            None => None,
        };
        let Some(percentage) = percentage else {
            return Err(unsupported("TABLESAMPLE of no constant").at(at));
        };
        if !(0.0..=ALL).contains(&percentage) {
            return Err(Error::new(
                SqlState::new(b"2202H"),
                "sample percentage must be between 0 and 100",
            )
            .at(at));
        }
        if percentage >= ALL {
            return Ok(rel);
        }
        if sample.seed.is_some() && percentage > 0.0 {
            return Err(unsupported("TABLESAMPLE … REPEATABLE").at(at));
        }
        let chance = if percentage > 0.0 {
            let number = self.call_plain("random", Vec::new(), at)?;
            binary_expr(number.expr, Operator::Lt, lit(percentage / ALL))
        } else {
            Expr::Literal(datafusion::common::ScalarValue::Boolean(Some(false)), None)
        };
        let plan = LogicalPlanBuilder::from(rel.plan)
            .filter(chance)
            .and_then(LogicalPlanBuilder::build)
            .map_err(lift)?;
        Ok(Rel { plan, ..rel })
    }
}
