//! Calls that PostgreSQL's grammar or binder knows by themselves, and rows.

use chronolith_sql::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::functions::core;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::{Case, ScalarFunction};

use super::state::{Binder, Place, Result, told, unsupported};
use crate::error::Error;
use crate::functions::{CastContext, Typed};

/// Where an argument begins.
fn place_of(arg: &FunctionArg) -> Option<u32> {
    match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(value)) => super::state::position(value),
        _ => None,
    }
}

impl Binder<'_> {
    /// Calls that are not functions of `pg_proc`.
    pub(super) fn special(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        at: Option<u32>,
    ) -> Result<Option<Typed>> {
        let FunctionArguments::List(list) = &function.args else {
            return Ok(None);
        };
        if let Some(digits) = clock_digits(name, &list.args) {
            let clock = self.keyword(name, at)?;
            let limited = clock.ty.with_typmod(digits);
            return self
                .coerce(clock, &limited, CastContext::Explicit)
                .map(Some);
        }
        // Its value is not looked at, so nothing types a literal there.
        if name == "pg_typeof"
            && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(literal)))] =
                list.args.as_slice()
            && matches!(
                literal.value,
                ast::Value::SingleQuotedString(_) | ast::Value::Null
            )
        {
            let number = ScalarValue::UInt32(Some(SqlType::Unknown.oid()));
            let ty = SqlType::Reg(chronolith_types::RegKind::Type);
            return Ok(Some(Typed::literal(number, ty)));
        }
        if !matches!(
            name,
            "coalesce" | "nullif" | "greatest" | "least" | "row" | "grouping"
        ) {
            return Ok(None);
        }
        if name == "row"
            && let [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(of))] =
                list.args.as_slice()
            && let [table] = of.0.as_slice()
            && let Some(table) = table.as_ident()
        {
            self.touch_all(place.scope.of_table(None, &table.value));
            let columns = place.scope.of_table(None, &table.value);
            let columns = numbered(columns.map(super::state::typed).collect());
            return self.record(columns).map(Some);
        }
        let mut args = self
            .arguments(place, &list.args)?
            .into_iter()
            .map(|arg| arg.value)
            .collect::<Vec<_>>();
        match name {
            "coalesce" | "greatest" | "least" => {
                let of = name.to_uppercase();
                let places: Vec<_> = list.args.iter().map(place_of).collect();
                let (args, ty) = self
                    .unify_at(args, &of, &places)
                    .map_err(|error| error.at(at))?;
                let arrow = args
                    .first()
                    .map_or_else(|| ty.arrow(), |value| value.arrow.clone());
                if name != "coalesce" && args.len() > 1 {
                    let extreme = crate::functions::extreme(args, ty, name == "greatest");
                    return extreme.map(Some).map_err(told);
                }
                let udf = core::coalesce();
                let mut exprs = args.into_iter().map(|arg| arg.expr).collect::<Vec<_>>();
                if exprs.len() == 1
                    && let Some(expr) = exprs.pop()
                {
                    return Ok(Some(Typed { expr, ty, arrow }));
                }
                Ok(Some(Typed {
                    expr: Expr::ScalarFunction(ScalarFunction::new_udf(udf, exprs)),
                    ty,
                    arrow,
                }))
            }
            "nullif" => {
                let (Some(right), Some(left), true) = (args.pop(), args.pop(), args.is_empty())
                else {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(at));
                };
                let left = if left.ty == SqlType::Unknown {
                    let ty = if right.ty == SqlType::Unknown {
                        SqlType::Text
                    } else {
                        right.ty.without_typmod()
                    };
                    self.settle(left, &ty)?
                } else {
                    left
                };
                let equal = self.operate("=", vec![left.clone(), right], at)?;
                let none = datafusion::common::ScalarValue::try_from(&left.arrow)
                    .map_err(super::state::lift)?;
                Ok(Some(Typed {
                    expr: Expr::Case(Case {
                        expr: None,
                        when_then_expr: vec![(
                            Box::new(equal.expr),
                            Box::new(Expr::Literal(none, None)),
                        )],
                        else_expr: Some(Box::new(left.expr)),
                    }),
                    ty: left.ty,
                    arrow: left.arrow,
                }))
            }
            "row" => self.record(numbered(args)).map(Some),
            _ => self.grouping_call(place, args, at).map(Some),
        }
    }

    /// A row as a value.
    pub(super) fn record(&mut self, fields: Vec<(String, Typed)>) -> Result<Typed> {
        if self.documents {
            let mut settled = Vec::with_capacity(fields.len());
            for (name, value) in fields {
                settled.push((name, self.settled(value)?));
            }
            return crate::functions::row_as_json(settled).map_err(told);
        }
        let mut args = Vec::with_capacity(2 * fields.len());
        let mut form = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let value = crate::functions::row_part(self.settled(value)?).map_err(told)?;
            form.push(super::state::field(&name, &value.arrow));
            args.push(datafusion::logical_expr::lit(name));
            args.push(value.expr);
        }
        if args.is_empty() {
            return Err(unsupported("a row without columns"));
        }
        Ok(Typed {
            expr: Expr::ScalarFunction(ScalarFunction::new_udf(core::named_struct(), args)),
            ty: SqlType::Record,
            arrow: arrow::datatypes::DataType::Struct(form.into()),
        })
    }

    /// Functions that are called without parentheses.
    pub(super) fn keyword(&mut self, name: &str, at: Option<u32>) -> Result<Typed> {
        let explicit = CastContext::Explicit;
        match name {
            "current_timestamp" => self.call_plain("now", Vec::new(), at),
            "localtimestamp" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Timestamp(None), explicit)
            }
            "current_date" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Date, explicit)
            }
            "localtime" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Time(None), explicit)
            }
            "current_time" => {
                let now = self.call_plain("now", Vec::new(), at)?;
                self.coerce(now, &SqlType::Timetz(None), explicit)
            }
            "current_catalog" => self.call_plain("current_database", Vec::new(), at),
            "current_role" | "user" => self.call_plain("current_user", Vec::new(), at),
            other => self.call_plain(other, Vec::new(), at),
        }
    }
}

/// The digits of a second in `current_timestamp(3)` and its kin.
pub(super) fn clock_digits(name: &str, args: &[FunctionArg]) -> Option<i32> {
    let clock = matches!(
        name,
        "current_timestamp" | "current_time" | "localtimestamp" | "localtime"
    );
    match args {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(value)))] if clock => {
            match &value.value {
                ast::Value::Number(digits, _) => digits.parse().ok(),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The fields of a row that nobody named.
pub(super) fn numbered(values: Vec<Typed>) -> Vec<(String, Typed)> {
    let names = (1..).map(|number: usize| format!("f{number}"));
    names.zip(values).collect()
}
