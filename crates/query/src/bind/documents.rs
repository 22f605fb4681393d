//! `json_to_record(j) AS t(a int, b text)`, `json_populate_record(NULL::t, j)` and their kin, as the
//! subquery that says the same; and TABLESAMPLE.

use chronolith_sql::ast::{self, FunctionArg, FunctionArgExpr, TableFactor};
use chronolith_types::{SqlState, SqlType};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, Operator, binary_expr, lit};

use super::state::{Binder, Rel, Result, lift, unsupported};
use crate::error::Error;

/// What a function makes rows of, and how.
struct Document<'a> {
    name: &'a str,
    args: &'a [FunctionArg],
    alias: Option<&'a ast::TableAlias>,
}

/// A column of such rows: its name in the document, what it is called, and its type as SQL has it.
struct Field {
    key: String,
    name: String,
    declared: String,
    ty: Option<SqlType>,
}

fn document(factor: &TableFactor) -> Option<Document<'_>> {
    let (name, args, alias) = match factor {
        TableFactor::Table {
            name,
            alias,
            args: Some(args),
            with_ordinality: false,
            ..
        } => (name, args.args.as_slice(), alias.as_ref()),
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality: false,
            ..
        } => (name, args.as_slice(), alias.as_ref()),
        _ => return None,
    };
    let name = name.0.last()?.as_ident()?.value.as_str();
    Some(Document { name, args, alias })
}

/// The fields that a column definition list spells.
fn defined(alias: &ast::TableAlias) -> Option<Vec<Field>> {
    let field = |column: &ast::TableAliasColumnDef| {
        let declared = column.data_type.as_ref()?;
        Some(Field {
            key: column.name.value.clone(),
            name: column.name.value.clone(),
            declared: declared.to_string(),
            ty: chronolith_sql::type_of(declared),
        })
    };
    alias.columns.iter().map(field).collect()
}

/// A field of the document `d.v`, as a column of the subquery.
fn spelled(kind: &str, field: &Field) -> String {
    let key = field.key.replace('\'', "''");
    let value = match field.ty {
        Some(SqlType::Json | SqlType::Jsonb) => format!("(d.v -> '{key}')"),
        // An array of a document lists its items.
        Some(SqlType::Array(_)) => format!(
            "CASE WHEN {kind}_typeof(d.v -> '{key}') = 'array' THEN ARRAY(SELECT i FROM \
             {kind}_array_elements_text(d.v -> '{key}') i) END"
        ),
        _ => format!("(d.v ->> '{key}')"),
    };
    let named = field.name.replace('"', "\"\"");
    format!("CAST({value} AS {}) AS \"{named}\"", field.declared)
}

impl Binder<'_> {
    /// The rows of a document as a lateral subquery: those that a column definition list spells, or
    /// that the type of a NULL has.
    pub(super) fn rows_of_document(&mut self, factor: &TableFactor) -> Option<TableFactor> {
        let Document { name, args, alias } = document(factor)?;
        let (kind, rest) = match name.strip_prefix("jsonb_") {
            Some(rest) => ("jsonb", rest),
            None => ("json", name.strip_prefix("json_")?),
        };
        let (fields, document, set) = match (rest, args) {
            ("to_record" | "to_recordset", [document]) => {
                (defined(alias?)?, document, rest == "to_recordset")
            }
            ("populate_record" | "populate_recordset", [base, document]) => {
                let fields = self.row_fields(base, alias)?;
                (fields, document, rest == "populate_recordset")
            }
            _ => return None,
        };
        let columns: Vec<String> = fields.iter().map(|field| spelled(kind, field)).collect();
        let from = match set {
            true => format!("{kind}_array_elements(CAST({document} AS {kind})) AS d(v)"),
            false => format!("(SELECT CAST({document} AS {kind}) AS v) AS d"),
        };
        let text = format!("SELECT {} FROM {from}", columns.join(", "));
        let subquery = chronolith_sql::query(&text).ok()?;
        let mut alias = alias.cloned().unwrap_or_else(|| ast::TableAlias {
            explicit: false,
            name: ast::Ident::new(name),
            columns: Vec::new(),
            at: None,
        });
        alias.columns.clear();
        Some(TableFactor::Derived {
            lateral: true,
            subquery,
            alias: Some(alias),
            sample: None,
        })
    }

    /// The fields of `NULL::type`, by the names that an alias gives its columns.
    fn row_fields(
        &mut self,
        base: &FunctionArg,
        alias: Option<&ast::TableAlias>,
    ) -> Option<Vec<Field>> {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Cast {
            expr, data_type, ..
        })) = base
        else {
            return None;
        };
        let ast::Expr::Value(value) = expr.as_ref() else {
            return None;
        };
        if value.value != ast::Value::Null {
            return None;
        }
        let (ty, _) = self.declared_domain(data_type, None).ok()?;
        let named = alias.map_or(&[][..], |alias| &alias.columns);
        let fields = ty.fields()?.iter().enumerate();
        let field = |(place, (key, ty)): (usize, &(String, SqlType))| Field {
            key: key.clone(),
            name: named
                .get(place)
                .map_or_else(|| key.clone(), |column| column.name.value.clone()),
            declared: ty.name(),
            ty: Some(ty.clone()),
        };
        Some(fields.map(field).collect())
    }
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
