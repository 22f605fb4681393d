//! Window functions.

use arrow::datatypes::DataType;
use chronolith_sql::ast;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{Cast, Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::frame::Framing;
use super::state::{Binder, Clause, Place, Result, column, ident_position, told, unsupported};
use crate::error::Error;
use crate::functions::{ProcKind, Typed, framed as framed_call};

impl Binder<'_> {
    pub(super) fn window_call(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        over: &ast::WindowType,
        at: Option<u32>,
    ) -> Result<Typed> {
        match place.clause {
            Clause::Select | Clause::OrderBy => {}
            Clause::WindowCall => {
                return Err(Error::new(
                    SqlState::new(b"42P20"),
                    "window function calls cannot be nested",
                )
                .at(at));
            }
            Clause::Aggregate => {
                return Err(Error::new(
                    SqlState::GROUPING_ERROR,
                    "aggregate function calls cannot contain window function calls",
                )
                .at(at));
            }
            other => {
                return Err(Error::new(
                    SqlState::new(b"42P20"),
                    format!("window functions are not allowed in {}", other.words()),
                )
                .at(at));
            }
        }
        let (mut call, parts) = self.aggregate_parts(place, name, function, list, at)?;
        if parts.distinct {
            let message = "DISTINCT is not implemented for window functions";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(at));
        }
        if parts.filter.is_some() && call.proc.kind == ProcKind::Window {
            let message = "FILTER is not implemented for non-aggregate window functions";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(at));
        }
        if !parts.order_by.is_empty() {
            let message = "aggregate ORDER BY is not implemented for window functions";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(at));
        }
        let labels = call.by_rank().map_err(|error| error.at(at))?;
        let built = call
            .proc
            .window(&call.args, &call.result)
            .map_err(|error| told(error).at(at))?;
        let spec = self.window_spec(over)?;
        let inner = Place {
            scope: place.scope,
            clause: Clause::Window,
        };
        let mut partition_by = Vec::with_capacity(spec.partition_by.len());
        for key in &spec.partition_by {
            let value = self.expr(inner, key)?;
            let value = self.settled(value)?;
            partition_by.push(self.groupable(value)?.expr);
        }
        let ranged = spec.window_frame.as_ref().is_some_and(super::frame::ranged);
        let mut order_by = Vec::with_capacity(spec.order_by.len());
        let mut of = None;
        for key in &spec.order_by {
            let value = self.expr(inner, &key.expr)?;
            of.get_or_insert_with(|| value.ty.clone());
            let value = match ranged {
                true => self.measurable(value)?,
                false => value,
            };
            order_by.push((self.sort_of(value.clone(), &key.options)?, value));
        }
        let framed = self.frame(
            inner,
            spec.window_frame.as_ref(),
            &order_by,
            of.as_ref(),
            at,
        )?;
        let (built, window_frame, filter) = match framed {
            Framing::Known(frame) => (built, frame, parts.filter),
            Framing::Own { frame, bounds } => {
                let (built, filter) = framed_call(built, frame, bounds, parts.filter);
                // It looks at no other.
                let start = WindowFrameBound::Preceding(ScalarValue::UInt64(None));
                let end = WindowFrameBound::CurrentRow;
                let window_frame = WindowFrame::new_bounds(WindowFrameUnits::Rows, start, end);
                (built, window_frame, filter)
            }
        };
        let ignore = match &function.null_treatment {
            Some(ast::NullTreatment::IgnoreNulls) => {
                return Err(unsupported("IGNORE NULLS").at(at));
            }
            _ => None,
        };
        let expr = Expr::WindowFunction(Box::new(WindowFunction {
            fun: built.definition,
            params: WindowFunctionParams {
                args: built.args,
                partition_by,
                order_by: order_by.into_iter().map(|(sort, _)| sort).collect(),
                window_frame,
                filter: filter.map(Box::new),
                null_treatment: ignore,
                distinct: false,
            },
        }));
        let fresh = self.fresh();
        let Some(calls) = self.calls.last_mut() else {
            return Err(Error::new(
                SqlState::new(b"42P20"),
                "window functions are not allowed here",
            )
            .at(at));
        };
        let name = match calls.windows.iter().find(|(_, known)| *known == expr) {
            Some((name, _)) => name.clone(),
            None => {
                calls.windows.push((fresh.clone(), expr));
                fresh
            }
        };
        let wanted = built.ty.arrow();
        // Numerics have a form of their own, and so have rows.
        let own = matches!(built.ty, SqlType::Numeric(_))
            || matches!(&built.arrow, DataType::Struct(_))
            || matches!(&built.arrow, DataType::List(item) if matches!(item.data_type(), DataType::Struct(_)));
        let (expr, arrow) = if built.arrow == wanted || own {
            (column(&name), built.arrow)
        } else {
            let cast = Cast::new(Box::new(column(&name)), wanted.clone());
            (Expr::Cast(cast), wanted)
        };
        let made = Typed {
            expr,
            ty: built.ty,
            arrow,
        };
        Ok(match labels {
            Some(labels) => crate::functions::label(made, &labels),
            None => made,
        })
    }

    /// A window with what it takes from a named one.
    fn window_spec(&self, over: &ast::WindowType) -> Result<ast::WindowSpec> {
        match over {
            ast::WindowType::NamedWindow(name) => self.named_window(name, 0),
            ast::WindowType::WindowSpec(spec) => self.complete(spec.clone(), 0),
        }
    }

    fn named_window(&self, name: &ast::Ident, depth: usize) -> Result<ast::WindowSpec> {
        let definition = self
            .named_windows
            .last()
            .into_iter()
            .flatten()
            .find(|definition| definition.0.value == name.value);
        let missing = || {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("window \"{}\" does not exist", name.value),
            )
            .at(ident_position(name))
        };
        if depth > 20 {
            return Err(missing());
        }
        match definition.map(|definition| &definition.1) {
            None => Err(missing()),
            Some(ast::NamedWindowExpr::NamedWindow(other)) => self.named_window(other, depth + 1),
            Some(ast::NamedWindowExpr::WindowSpec(spec)) => self.complete(spec.clone(), depth),
        }
    }

    fn complete(&self, mut spec: ast::WindowSpec, depth: usize) -> Result<ast::WindowSpec> {
        let Some(name) = spec.window_name.take() else {
            return Ok(spec);
        };
        let base = self.named_window(&name, depth + 1)?;
        if !spec.partition_by.is_empty() || (!spec.order_by.is_empty() && !base.order_by.is_empty())
        {
            let clause = if spec.partition_by.is_empty() {
                "ORDER BY"
            } else {
                "PARTITION BY"
            };
            return Err(Error::new(
                SqlState::new(b"42P20"),
                format!(
                    "cannot override {clause} clause of window \"{}\"",
                    name.value
                ),
            )
            .at(ident_position(&name)));
        }
        spec.partition_by = base.partition_by;
        if spec.order_by.is_empty() {
            spec.order_by = base.order_by;
        }
        spec.window_frame = spec.window_frame.or(base.window_frame);
        Ok(spec)
    }

    /// A value whose type is known: text when nothing said otherwise.
    pub(super) fn settled(&mut self, value: Typed) -> Result<Typed> {
        if value.ty == SqlType::Unknown {
            self.settle(value, &SqlType::Text)
        } else {
            Ok(value)
        }
    }

    /// A sort key.
    pub(super) fn sort_of(&mut self, value: Typed, options: &ast::OrderByOptions) -> Result<Sort> {
        if super::group::has_no_equality(&value.ty) {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!(
                    "could not identify an ordering operator for type {}",
                    value.ty
                ),
            )
            .hint("Use an explicit ordering operator or modify the query."));
        }
        let value = crate::functions::sort_key(self.settled(value)?).map_err(told)?;
        let ascending = options.asc.unwrap_or(true);
        let nulls_first = options.nulls_first.unwrap_or(!ascending);
        Ok(Sort::new(value.expr, ascending, nulls_first))
    }
}
