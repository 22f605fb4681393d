//! `ROWS FROM (f(…), g(…))`: functions whose rows stand side by side.

use chronolith_sql::ast::{self, FunctionArg, FunctionArgExpr};
use chronolith_types::SqlState;

use super::call::spelled;
use super::from::Rows;
use super::function_parts::FunctionParts;
use super::scope::Scope;
use super::state::{Binder, Clause, Place, Rel, Result, position, unsupported};
use crate::error::Error;

impl Binder<'_> {
    pub(super) fn rows_from(
        &mut self,
        left: Option<Rel>,
        parts: &FunctionParts<'_>,
        keep: bool,
    ) -> Result<Rel> {
        let left = match left {
            Some(left) => left,
            None => self.from(&[])?,
        };
        let mut lists = Vec::with_capacity(parts.args.len());
        let mut first = None;
        for arg in parts.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Function(call))) = arg else {
                return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(parts.at));
            };
            let (schema, name) = spelled(call);
            first.get_or_insert_with(|| name.clone());
            let found = self.side(&left.scope, call, schema.as_deref(), &name)?;
            lists.extend(found);
        }
        let parts = FunctionParts {
            name: first.unwrap_or_default(),
            args: &[],
            ..parts.clone()
        };
        self.unnested(left, lists, &parts, keep)
    }

    /// The rows of one of the functions; `unnest` of several lists is as many.
    fn side(
        &mut self,
        scope: &Scope,
        call: &ast::Function,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Vec<Rows>> {
        let at = position(&ast::Expr::Function(call.clone()));
        let place = Place {
            scope,
            clause: Clause::From,
        };
        let given: &[FunctionArg] = match &call.args {
            ast::FunctionArguments::List(list) if list.duplicate_treatment.is_none() => &list.args,
            ast::FunctionArguments::None => &[],
            _ => return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(at)),
        };
        let args = self.arguments(place, given)?;
        let args = match self.own_call(schema, name, args, at)? {
            Ok(_) => return Err(unsupported("a function of users within ROWS FROM").at(at)),
            Err(args) => args,
        };
        let mut lists = Vec::new();
        if name == "unnest" && args.len() > 1 {
            for arg in args {
                lists.push(self.rows_of(name, vec![arg], at)?);
            }
        } else {
            lists.push(self.rows_of(name, args, at)?);
        }
        for list in &mut lists {
            list.name = Some(name.to_owned());
        }
        Ok(lists)
    }
}
