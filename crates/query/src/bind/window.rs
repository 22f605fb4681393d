//! Window functions.

use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, WindowFrameUnits as AstUnits};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{Cast, Expr, WindowFrame, WindowFrameBound, WindowFrameUnits};

use super::state::{
    Binder, Clause, Place, Result, column, ident_position, position, told, unsupported,
};
use crate::error::Error;
use crate::functions::{CastContext, Typed};

/// What numerics are brought to where offsets are added to them.
const MEASURED: SqlType = SqlType::Numeric(Some((38, 18)));

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
            Clause::Window => {
                return Err(Error::new(
                    SqlState::new(b"42P20"),
                    "window function calls cannot be nested",
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
        if !parts.order_by.is_empty() {
            return Err(unsupported("ORDER BY within a window function's arguments").at(at));
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
        let measured = spec.window_frame.as_ref().is_some_and(|frame| {
            let bounds = std::iter::once(&frame.start_bound).chain(&frame.end_bound);
            frame.units == AstUnits::Range
                && bounds.into_iter().any(|bound| {
                    use ast::WindowFrameBound::{Following, Preceding};
                    matches!(bound, Preceding(Some(_)) | Following(Some(_)))
                })
        });
        let mut order_by = Vec::with_capacity(spec.order_by.len());
        for key in &spec.order_by {
            let value = self.expr(inner, &key.expr)?;
            let value = match measured {
                true => self.measurable(value)?,
                false => value,
            };
            order_by.push((self.sort_of(value.clone(), &key.options)?, value));
        }
        let window_frame = self.frame(inner, spec.window_frame.as_ref(), &order_by, at)?;
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
                filter: parts.filter.map(Box::new),
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
        let numeric = matches!(built.ty, SqlType::Numeric(_));
        let (expr, arrow) = if built.arrow == wanted || numeric {
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

    fn frame(
        &mut self,
        place: Place<'_>,
        frame: Option<&ast::WindowFrame>,
        order_by: &[(Sort, Typed)],
        at: Option<u32>,
    ) -> Result<WindowFrame> {
        let Some(frame) = frame else {
            return Ok(WindowFrame::new((!order_by.is_empty()).then_some(false)));
        };
        let units = match frame.units {
            AstUnits::Rows => WindowFrameUnits::Rows,
            AstUnits::Range => WindowFrameUnits::Range,
            AstUnits::Groups => WindowFrameUnits::Groups,
        };
        let start = self.bound(place, &frame.start_bound, units, order_by, at)?;
        let end = match &frame.end_bound {
            Some(bound) => self.bound(place, bound, units, order_by, at)?,
            None => WindowFrameBound::CurrentRow,
        };
        let wrong = match (&start, &end) {
            (WindowFrameBound::Following(v), _) if v.is_null() => {
                Some("frame start cannot be UNBOUNDED FOLLOWING")
            }
            (_, WindowFrameBound::Preceding(v)) if v.is_null() => {
                Some("frame end cannot be UNBOUNDED PRECEDING")
            }
            (WindowFrameBound::CurrentRow, WindowFrameBound::Preceding(_)) => {
                Some("frame starting from current row cannot have preceding rows")
            }
            (WindowFrameBound::Following(_), WindowFrameBound::CurrentRow) => {
                Some("frame starting from following row cannot end with current row")
            }
            (WindowFrameBound::Following(_), WindowFrameBound::Preceding(_)) => {
                Some("frame starting from following row cannot have preceding rows")
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Error::new(SqlState::new(b"42P20"), wrong).at(at));
        }
        if units == WindowFrameUnits::Range {
            let offset = |bound: &WindowFrameBound| match bound {
                WindowFrameBound::Preceding(v) | WindowFrameBound::Following(v) => !v.is_null(),
                WindowFrameBound::CurrentRow => false,
            };
            if (offset(&start) || offset(&end)) && order_by.len() != 1 {
                return Err(Error::new(
                    SqlState::new(b"42P20"),
                    "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
                )
                .at(at));
            }
            if order_by.is_empty() {
                // All rows are peers of one another.
                return Ok(WindowFrame::new(None));
            }
        }
        if units == WindowFrameUnits::Groups && order_by.is_empty() {
            return Err(Error::new(
                SqlState::new(b"42P20"),
                "GROUPS mode requires an ORDER BY clause",
            )
            .at(at));
        }
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    fn bound(
        &mut self,
        place: Place<'_>,
        bound: &ast::WindowFrameBound,
        units: WindowFrameUnits,
        order_by: &[(Sort, Typed)],
        at: Option<u32>,
    ) -> Result<WindowFrameBound> {
        let (offset, preceding) = match bound {
            ast::WindowFrameBound::CurrentRow => return Ok(WindowFrameBound::CurrentRow),
            ast::WindowFrameBound::Preceding(offset) => (offset, true),
            ast::WindowFrameBound::Following(offset) => (offset, false),
        };
        let value = match offset {
            None => ScalarValue::UInt64(None),
            Some(offset) => self.offset(place, offset, units, order_by, at)?,
        };
        Ok(if preceding {
            WindowFrameBound::Preceding(value)
        } else {
            WindowFrameBound::Following(value)
        })
    }

    fn offset(
        &mut self,
        place: Place<'_>,
        offset: &ast::Expr,
        units: WindowFrameUnits,
        order_by: &[(Sort, Typed)],
        at: Option<u32>,
    ) -> Result<ScalarValue> {
        let value = self.expr(place, offset)?;
        let at = position(offset).or(at);
        if units != WindowFrameUnits::Range {
            let value = self.coerce(value, &SqlType::Int8, CastContext::Implicit)?;
            return match value.as_literal() {
                Some(ScalarValue::Int64(Some(count))) => match u64::try_from(*count) {
                    Ok(count) => Ok(ScalarValue::UInt64(Some(count))),
                    Err(_) => Err(Error::new(
                        SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                        "frame starting offset must not be negative",
                    )
                    .at(at)),
                },
                _ => Err(unsupported("a frame offset that is no constant").at(at)),
            };
        }
        let key = order_by.first().map(|(_, key)| key.clone());
        let to = match key.as_ref().map(|key| &key.ty) {
            Some(
                SqlType::Date
                | SqlType::Timestamp
                | SqlType::Timestamptz
                | SqlType::Time
                | SqlType::Interval,
            ) => SqlType::Interval,
            Some(SqlType::Numeric(_)) => MEASURED,
            Some(ty) if ty.category() != 'N' => {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                        ty.without_typmod()
                    ),
                )
                .at(at));
            }
            Some(ty) => ty.without_typmod(),
            None => SqlType::Int8,
        };
        let context = match to {
            MEASURED => CastContext::Explicit,
            _ => CastContext::Implicit,
        };
        let value = self.coerce(value, &to, context)?;
        match value.as_literal() {
            Some(literal) if !literal.is_null() => {
                let arrow = key.map_or(DataType::Int64, |key| key.arrow);
                if to == SqlType::Interval {
                    Ok(literal.clone())
                } else {
                    literal.cast_to(&arrow).map_err(super::state::lift)
                }
            }
            _ => Err(unsupported("a frame offset that is no constant").at(at)),
        }
    }

    /// A key that offsets can be added to: a plain numeric's form keeps more than its value.
    fn measurable(&mut self, key: Typed) -> Result<Typed> {
        match key.ty {
            SqlType::Numeric(_) => self.coerce(key, &MEASURED, CastContext::Explicit),
            _ => Ok(key),
        }
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
        let value = crate::functions::sort_key(self.settled(value)?).map_err(told)?;
        let ascending = options.asc.unwrap_or(true);
        let nulls_first = options.nulls_first.unwrap_or(!ascending);
        Ok(Sort::new(value.expr, ascending, nulls_first))
    }
}
