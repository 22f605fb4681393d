//! Expressions.

use arrow::datatypes::DataType;
use chronolith_sql::ast::{
    self, BinaryOperator, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
};
use chronolith_types::{SqlState, SqlType};
use datafusion::functions::core;
use datafusion::logical_expr::expr::{Case, InList};
use datafusion::logical_expr::{Expr, lit};

use super::literal::{boolean, null};
use super::state::{Binder, Place, Result, operand, position, told, typed, unsupported};
use crate::error::{Error, Operand};
use crate::functions::Typed;

/// Conditions in a row that stay one: a longer AND or OR becomes a tree.
const CHAIN_MAX: usize = 16;

impl Binder<'_> {
    pub(super) fn expr(&mut self, place: Place<'_>, expr: &ast::Expr) -> Result<Typed> {
        self.deeper(|binder| binder.expr_here(place, expr))
    }

    #[expect(clippy::too_many_lines, reason = "a table of the grammar")]
    fn expr_here(&mut self, place: Place<'_>, expr: &ast::Expr) -> Result<Typed> {
        let at = position(expr);
        match expr {
            ast::Expr::Identifier(ident) => self.name(place, ident),
            ast::Expr::CompoundIdentifier(parts) => self.qualified(place, parts),
            ast::Expr::CompoundFieldAccess { root, access_chain } => {
                self.subscripts(place, root, access_chain)
            }
            ast::Expr::Value(value) => {
                let at = u32::try_from(value.span.start.column).ok();
                self.constant(&value.value, at.filter(|at| *at > 0))
            }
            ast::Expr::Nested(inner) => self.expr(place, inner),
            ast::Expr::TypedString(typed) => {
                let text = super::expr::text_of(&typed.value.value);
                self.typed_literal(&typed.data_type, text.as_deref(), at)
            }
            ast::Expr::Prefixed { .. } => Err(unsupported("a prefixed literal").at(at)),
            ast::Expr::Interval(interval) => self.interval(place, interval),
            ast::Expr::Cast {
                expr: inner,
                data_type,
                ..
            } => self.cast(place, inner, data_type),
            ast::Expr::BinaryOp { left, op, right } => self.binary(place, left, op, right, at),
            ast::Expr::UnaryOp { op, expr: inner } => self.unary(place, *op, inner, at),
            ast::Expr::IsNull(inner) => self.is_null(place, inner, false),
            ast::Expr::IsNotNull(inner) => self.is_null(place, inner, true),
            ast::Expr::IsTrue(inner) => self.is(place, inner, "IS TRUE", Expr::IsTrue),
            ast::Expr::IsNotTrue(inner) => self.is(place, inner, "IS NOT TRUE", Expr::IsNotTrue),
            ast::Expr::IsFalse(inner) => self.is(place, inner, "IS FALSE", Expr::IsFalse),
            ast::Expr::IsNotFalse(inner) => self.is(place, inner, "IS NOT FALSE", Expr::IsNotFalse),
            ast::Expr::IsUnknown(inner) => self.is(place, inner, "IS UNKNOWN", Expr::IsUnknown),
            ast::Expr::IsNotUnknown(inner) => {
                self.is(place, inner, "IS NOT UNKNOWN", Expr::IsNotUnknown)
            }
            ast::Expr::IsDistinctFrom(left, right) => {
                let (left, other) = (self.expr(place, left)?, self.expr(place, right)?);
                self.distinct(left, other, false, None)
                    .map_err(|error| error.behind(operand(right), at))
            }
            ast::Expr::IsNotDistinctFrom(left, right) => {
                let (left, other) = (self.expr(place, left)?, self.expr(place, right)?);
                self.distinct(left, other, true, None)
                    .map_err(|error| error.behind(operand(right), at))
            }
            ast::Expr::Between {
                expr: inner,
                negated,
                low,
                high,
            } => {
                let value = self.expr(place, inner)?;
                let first = operand(low);
                let low = self.expr(place, low)?;
                let high = self.expr(place, high)?;
                let (below, above) = if *negated { ("<", ">") } else { (">=", "<=") };
                let mut held = |symbol, operands| {
                    self.operate(symbol, operands, None)
                        .map_err(|error| error.behind(first, at))
                };
                let low = held(below, vec![value.clone(), low])?;
                let high = held(above, vec![value, high])?;
                Ok(truth(if *negated {
                    low.expr.or(high.expr)
                } else {
                    low.expr.and(high.expr)
                }))
            }
            ast::Expr::InList {
                expr: inner,
                list,
                negated,
            } => self.in_list(place, inner, list, *negated, at),
            ast::Expr::InSubquery {
                expr: inner,
                subquery,
                negated,
            } => {
                let first = position(subquery.as_ref()).map(|at| Operand { at, signs: 0 });
                self.in_subquery(place, inner, subquery, *negated, None)
                    .map_err(|error| error.behind(first, at))
            }
            ast::Expr::Exists { subquery, negated } => self.exists(place, subquery, *negated),
            ast::Expr::Subquery(query) => self.scalar_subquery(place, query),
            ast::Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self
                .quantified(place, left, compare_op, right, false, None)
                .map_err(|error| error.behind(operand(right), at)),
            ast::Expr::AllOp {
                left,
                compare_op,
                right,
            } => self
                .quantified(place, left, compare_op, right, true, None)
                .map_err(|error| error.behind(operand(right), at)),
            ast::Expr::Like {
                negated,
                any,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let symbol = if *negated { "!~~" } else { "~~" };
                if *any {
                    let op = BinaryOperator::PGCustomBinaryOperator(vec![symbol.to_owned()]);
                    return self.quantified(place, inner, &op, pattern, false, at);
                }
                self.like(place, symbol, inner, pattern, escape_char.as_ref(), at)
            }
            ast::Expr::ILike {
                negated,
                any,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let symbol = if *negated { "!~~*" } else { "~~*" };
                if *any {
                    let op = BinaryOperator::PGCustomBinaryOperator(vec![symbol.to_owned()]);
                    return self.quantified(place, inner, &op, pattern, false, at);
                }
                self.like(place, symbol, inner, pattern, escape_char.as_ref(), at)
            }
            ast::Expr::SimilarTo {
                negated,
                expr: inner,
                pattern,
                escape_char,
            } => {
                let value = self.expr(place, inner)?;
                let right = operand(pattern);
                let mut args = vec![self.expr(place, pattern)?];
                if let Some(escape) = escape_char {
                    args.push(self.constant(&escape.value, at)?);
                }
                let pattern = self.call_plain("similar_to_escape", args, at)?;
                let symbol = if *negated { "!~" } else { "~" };
                self.operate(symbol, vec![value, pattern], None)
                    .map_err(|error| error.behind(right, at))
            }
            ast::Expr::Case {
                operand,
                conditions,
                else_result,
                ..
            } => self.case(
                place,
                operand.as_deref(),
                conditions,
                else_result.as_deref(),
            ),
            ast::Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => {
                let args = vec![self.expr(place, time_zone)?, self.expr(place, timestamp)?];
                self.call_by_grammar("timezone", args, at)
            }
            ast::Expr::Extract {
                field, expr: inner, ..
            } => {
                let field = self.unknown(&field.to_string().trim_matches('\'').to_lowercase(), at);
                let args = vec![field, self.expr(place, inner)?];
                self.call_by_grammar("extract", args, at)
            }
            ast::Expr::Ceil { expr: inner, .. } => {
                let args = vec![self.expr(place, inner)?];
                self.call_plain("ceil", args, at)
            }
            ast::Expr::Floor { expr: inner, .. } => {
                let args = vec![self.expr(place, inner)?];
                self.call_plain("floor", args, at)
            }
            ast::Expr::Position { expr: inner, r#in } => {
                let args = vec![self.expr(place, r#in)?, self.expr(place, inner)?];
                self.call_by_grammar("position", args, at)
            }
            ast::Expr::Substring {
                expr: inner,
                substring_from,
                substring_for,
                shorthand,
                ..
            } => {
                let mut args = vec![self.expr(place, inner)?];
                match (substring_from, substring_for) {
                    (None, Some(_)) => {
                        let one = ast::Value::Number("1".into(), false);
                        args.push(self.constant(&one, None)?);
                    }
                    (Some(from), _) => args.push(self.expr(place, from)?),
                    (None, None) => {}
                }
                if let Some(count) = substring_for {
                    args.push(self.expr(place, count)?);
                }
                match shorthand {
                    true => self.call_plain("substr", args, at),
                    false => self.call_by_grammar("substring", args, at),
                }
            }
            ast::Expr::Trim {
                trim_where,
                trim_what,
                expr: inner,
                trim_characters,
            } => {
                let mut args = vec![self.expr(place, inner)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(place, what)?);
                }
                for what in trim_characters.iter().flatten() {
                    args.push(self.expr(place, what)?);
                }
                self.call_by_grammar(trim_name(*trim_where), args, at)
            }
            ast::Expr::Overlay {
                expr: inner,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                let mut args = Vec::new();
                for part in [
                    Some(inner),
                    Some(overlay_what),
                    Some(overlay_from),
                    overlay_for.as_ref(),
                ]
                .into_iter()
                .flatten()
                {
                    args.push(self.expr(place, part)?);
                }
                self.call_by_grammar("overlay", args, at)
            }
            ast::Expr::Collate { expr: inner, .. } => {
                let value = self.expr(place, inner)?;
                if value.ty.is_text() {
                    return Ok(value);
                }
                Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("collations are not supported by type {}", value.ty),
                )
                .at(at))
            }
            ast::Expr::Function(function) => self.function(place, function),
            ast::Expr::Array(array) => self.array(place, &array.elem, at),
            ast::Expr::Tuple(parts) => {
                let mut values = Vec::with_capacity(parts.len());
                for part in parts {
                    match part {
                        ast::Expr::QualifiedWildcard(name, _)
                            if let [table] = name.0.as_slice()
                                && let Some(table) = table.as_ident() =>
                        {
                            self.touch_all(place.scope.of_table(None, &table.value));
                            let columns = place.scope.of_table(None, &table.value);
                            values.extend(columns.map(typed));
                        }
                        part => values.push(self.expr(place, part)?),
                    }
                }
                self.record(super::special::numbered(values))
            }
            // `t.*` beside an operator is the row.
            ast::Expr::QualifiedWildcard(name, _)
                if let [table] = name.0.as_slice()
                    && let Some(table) = table.as_ident()
                    && place.scope.has_table(None, &table.value) =>
            {
                self.whole_row(place, &table.value)
            }
            ast::Expr::Wildcard(_) | ast::Expr::QualifiedWildcard(..) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "* is not allowed here").at(at))
            }
            other => Err(unsupported(format!("the expression {other}")).at(at)),
        }
    }
    // --------------------------------------------------------------- operators

    fn binary(
        &mut self,
        place: Place<'_>,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
        at: Option<u32>,
    ) -> Result<Typed> {
        if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
            return self.junction(place, left, op, right);
        }
        if let (Some([start1, end1]), Some([start2, end2]), BinaryOperator::Overlaps) =
            (row_of(left), row_of(right), op)
        {
            let mut args = Vec::new();
            for part in [start1, end1, start2, end2] {
                args.push(self.expr(place, part)?);
            }
            return self.call_plain("overlaps", args, at);
        }
        if let (Some(left), Some(parts)) = (row_of(left), row_of(right)) {
            return self
                .compare_rows(place, left, op, parts, None)
                .map_err(|error| error.behind(operand(right), at));
        }
        if let (Some(left), ast::Expr::Subquery(query)) = (row_of(left), bare(right)) {
            return self
                .row_subquery(place, left, op, query, None)
                .map_err(|error| error.behind(operand(right), at));
        }
        if let (Some(left), ast::Expr::Subquery(query)) = (row_of_one(left), bare(right)) {
            let left = std::slice::from_ref(left);
            return self
                .row_subquery(place, left, op, query, None)
                .map_err(|error| error.behind(operand(right), at));
        }
        let symbol = symbol_of(op);
        let left = self.expr(place, left)?;
        let value = self.expr(place, right)?;
        self.operate(&symbol, vec![left, value], None)
            .map_err(|error| error.behind(operand(right), at))
    }

    /// A chain of AND or OR, however long, without nesting.
    fn junction(
        &mut self,
        place: Place<'_>,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed> {
        let mut operands = vec![right];
        let mut next = left;
        while let ast::Expr::BinaryOp {
            left,
            op: inner,
            right,
        } = next
            && inner == op
        {
            operands.push(right);
            next = left;
        }
        operands.push(next);
        let (words, and) = match op {
            BinaryOperator::And => ("AND", true),
            _ => ("OR", false),
        };
        let mut conditions = Vec::with_capacity(operands.len());
        for operand in operands.into_iter().rev() {
            let value = self.expr(place, operand)?;
            conditions.push(self.condition(value, words, position(operand))?);
        }
        // A long chain as a shallow tree, which everybody after us walks.
        while conditions.len() > CHAIN_MAX {
            let mut pairs = Vec::with_capacity(conditions.len().div_ceil(2));
            let mut rest = conditions.into_iter();
            while let Some(first) = rest.next() {
                pairs.push(match rest.next() {
                    Some(second) if and => first.and(second),
                    Some(second) => first.or(second),
                    None => first,
                });
            }
            conditions = pairs;
        }
        let all = conditions.into_iter().reduce(|so_far, condition| {
            if and {
                so_far.and(condition)
            } else {
                so_far.or(condition)
            }
        });
        Ok(all.map_or_else(|| boolean(and), truth))
    }

    fn unary(
        &mut self,
        place: Place<'_>,
        op: UnaryOperator,
        inner: &ast::Expr,
        at: Option<u32>,
    ) -> Result<Typed> {
        match op {
            UnaryOperator::Not => {
                // NOT EXISTS and NOT IN keep their own shapes.
                match inner {
                    ast::Expr::Exists { subquery, negated } => {
                        return self.exists(place, subquery, !negated);
                    }
                    ast::Expr::InSubquery {
                        expr,
                        subquery,
                        negated,
                    } => return self.in_subquery(place, expr, subquery, !negated, at),
                    _ => {}
                }
                let value = self.expr(place, inner)?;
                let condition = self.condition(value, "NOT", position(inner))?;
                Ok(truth(Expr::Not(Box::new(condition))))
            }
            UnaryOperator::Minus => match self.negative(inner) {
                Some(constant) => constant,
                None => {
                    let value = self.expr(place, inner)?;
                    self.operate("-", vec![value], None)
                        .map_err(|error| error.behind(operand(inner), at))
                }
            },
            other => {
                let value = self.expr(place, inner)?;
                self.operate(other.to_string().trim(), vec![value], None)
                    .map_err(|error| error.behind(operand(inner), at))
            }
        }
    }

    fn is(
        &mut self,
        place: Place<'_>,
        inner: &ast::Expr,
        words: &str,
        make: fn(Box<Expr>) -> Expr,
    ) -> Result<Typed> {
        let value = self.expr(place, inner)?;
        let condition = self.condition(value, words, position(inner))?;
        Ok(truth(make(Box::new(condition))))
    }

    fn is_null(&mut self, place: Place<'_>, inner: &ast::Expr, not: bool) -> Result<Typed> {
        if let Some(row) = row_of(inner) {
            let mut all: Option<Expr> = None;
            for part in row {
                let value = self.expr(place, part)?.expr;
                let one = if not {
                    value.is_not_null()
                } else {
                    value.is_null()
                };
                all = Some(all.map_or(one.clone(), |so_far| so_far.and(one)));
            }
            return Ok(all.map_or_else(|| boolean(true), truth));
        }
        let mut value = self.expr(place, inner)?;
        if value.ty == SqlType::Unknown {
            value = self.settle(value, &SqlType::Text)?;
        }
        if crate::functions::is_composite(&value.ty) {
            return crate::functions::row_nulls(value, not).map_err(told);
        }
        if let DataType::Struct(fields) = &value.arrow {
            let mut all: Option<Expr> = None;
            for field in fields {
                let name = field.name().as_str();
                let one = core::expr_fn::get_field(value.expr.clone(), name);
                let one = if not {
                    one.is_not_null()
                } else {
                    one.is_null()
                };
                all = Some(all.map_or(one.clone(), |so_far| so_far.and(one)));
            }
            return Ok(all.map_or_else(|| boolean(true), truth));
        }
        Ok(truth(if not {
            value.expr.is_not_null()
        } else {
            value.expr.is_null()
        }))
    }

    fn like(
        &mut self,
        place: Place<'_>,
        symbol: &str,
        inner: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let value = self.expr(place, inner)?;
        let right = operand(pattern);
        let mut pattern = self.expr(place, pattern)?;
        if let Some(escape) = escape {
            let escape = self.constant(&escape.value, at)?;
            pattern = self.call_plain("like_escape", vec![pattern, escape], at)?;
        }
        self.operate(symbol, vec![value, pattern], None)
            .map_err(|error| error.behind(right, at))
    }

    fn in_list(
        &mut self,
        place: Place<'_>,
        inner: &ast::Expr,
        list: &[ast::Expr],
        negated: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        if let Some(left) = row_of(inner) {
            let mut any: Option<Expr> = None;
            for item in list {
                let Some(right) = row_of(item) else {
                    return Err(unsupported("IN of a row and a value").at(at));
                };
                let equal = self
                    .compare_rows(place, left, &BinaryOperator::Eq, right, at)?
                    .expr;
                any = Some(any.map_or(equal.clone(), |so_far| so_far.or(equal)));
            }
            let any = any.unwrap_or(lit(false));
            return Ok(truth(if negated {
                Expr::Not(Box::new(any))
            } else {
                any
            }));
        }
        let value = self.expr(place, inner)?;
        let mut items = Vec::with_capacity(list.len());
        for item in list {
            items.push(self.expr(place, item)?);
        }
        let first = list.first().and_then(operand);
        self.among(value, items, negated, None)
            .map_err(|error| error.behind(first, at))
    }

    /// `value IN (items)`, as a list where all compare natively in one form.
    pub(super) fn among(
        &mut self,
        value: Typed,
        items: Vec<Typed>,
        negated: bool,
        at: Option<u32>,
    ) -> Result<Typed> {
        // As PostgreSQL, constants of one common type are compared all together.
        let mut types = vec![value.ty.clone()];
        types.extend(items.iter().map(|item| item.ty.clone()));
        let common = self.common(&types, "IN").ok();
        let mut list = Vec::with_capacity(items.len());
        let mut native = true;
        let mut left: Option<Expr> = None;
        let mut any: Option<Expr> = None;
        for item in items {
            let item = match &common {
                Some(ty) if item.ty == SqlType::Unknown => {
                    self.settle(item, &ty.without_typmod())?
                }
                _ => item,
            };
            let symbol = if negated { "<>" } else { "=" };
            let compared = self.operate(symbol, vec![value.clone(), item], at)?.expr;
            match &compared {
                Expr::BinaryExpr(binary) if native => {
                    if left.as_ref().is_some_and(|left| *left != *binary.left) {
                        native = false;
                    }
                    left = Some(binary.left.as_ref().clone());
                    list.push(binary.right.as_ref().clone());
                }
                _ => native = false,
            }
            any = Some(any.map_or(compared.clone(), |so_far| {
                if negated {
                    so_far.and(compared)
                } else {
                    so_far.or(compared)
                }
            }));
        }
        Ok(truth(match (left, any) {
            (Some(left), _) if native && list.len() > 1 => {
                Expr::InList(InList::new(Box::new(left), list, negated))
            }
            (_, Some(any)) => any,
            (_, None) => lit(negated),
        }))
    }

    fn case(
        &mut self,
        place: Place<'_>,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let operand = match operand {
            Some(operand) => {
                let value = self.expr(place, operand)?;
                Some(if value.ty == SqlType::Unknown {
                    self.settle(value, &SqlType::Text)?
                } else {
                    value
                })
            }
            None => None,
        };
        let mut when = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for case in conditions {
            let at = position(&case.condition);
            let condition = self.expr(place, &case.condition)?;
            when.push(match &operand {
                Some(operand) => {
                    self.operate("=", vec![operand.clone(), condition], at)?
                        .expr
                }
                None => self.condition(condition, "CASE/WHEN", at)?,
            });
            results.push(self.expr(place, &case.result)?);
        }
        // What stands last is looked at first, as PostgreSQL does.
        let mut places = vec![otherwise.and_then(position)];
        places.extend(conditions.iter().map(|case| position(&case.result)));
        let last = match otherwise {
            Some(otherwise) => self.expr(place, otherwise)?,
            None => null(),
        };
        results.insert(0, last);
        let (mut results, ty) = self.unify_at(results, "CASE", &places)?;
        let otherwise = (!results.is_empty()).then(|| results.remove(0));
        let arrow = otherwise
            .as_ref()
            .map_or_else(|| ty.arrow(), |value| value.arrow.clone());
        let when_then_expr = when
            .into_iter()
            .zip(results)
            .map(|(when, then)| (Box::new(when), Box::new(then.expr)))
            .collect();
        Ok(Typed {
            expr: Expr::Case(Case {
                expr: None,
                when_then_expr,
                else_expr: otherwise.map(|value| Box::new(value.expr)),
            }),
            ty,
            arrow,
        })
    }

    // -------------------------------------------------------------------- rows

    pub(super) fn compare_rows(
        &mut self,
        place: Place<'_>,
        left: &[ast::Expr],
        op: &BinaryOperator,
        right: &[ast::Expr],
        at: Option<u32>,
    ) -> Result<Typed> {
        if left.len() != right.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "unequal number of entries in row expressions",
            )
            .at(at));
        }
        let mut pairs = Vec::with_capacity(left.len());
        for (left, right) in left.iter().zip(right) {
            pairs.push((self.expr(place, left)?, self.expr(place, right)?));
        }
        self.compare_pairs(pairs, op, at)
    }

    pub(super) fn compare_pairs(
        &mut self,
        pairs: Vec<(Typed, Typed)>,
        op: &BinaryOperator,
        at: Option<u32>,
    ) -> Result<Typed> {
        let symbol = symbol_of(op);
        let strict = match symbol.as_str() {
            "=" | "<>" => {
                let mut all: Option<Expr> = None;
                for (left, right) in pairs {
                    let one = self.operate(&symbol, vec![left, right], at)?.expr;
                    all = Some(all.map_or(one.clone(), |so_far| {
                        if symbol == "=" {
                            so_far.and(one)
                        } else {
                            so_far.or(one)
                        }
                    }));
                }
                return Ok(all.map_or_else(|| boolean(symbol == "="), truth));
            }
            "<" | "<=" => "<",
            ">" | ">=" => ">",
            other => {
                return Err(unsupported(format!("the operator {other} on rows")).at(at));
            }
        };
        // From the last column back: a < x OR (a = x AND rest).
        let mut rest: Option<Expr> = None;
        for (left, right) in pairs.into_iter().rev() {
            let operands = || vec![left.clone(), right.clone()];
            rest = Some(match rest {
                None => self.operate(&symbol, operands(), at)?.expr,
                Some(rest) => {
                    let before = self.operate(strict, operands(), at)?.expr;
                    let same = self.operate("=", operands(), at)?.expr;
                    before.or(same.and(rest))
                }
            });
        }
        Ok(rest.map_or_else(|| boolean(true), truth))
    }
}

pub(super) fn truth(expr: Expr) -> Typed {
    Typed::new(expr, SqlType::Bool)
}

/// What parentheses hold.
fn bare(mut expr: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// The parts of `(a, b)` and `ROW(a, b)`.
pub(super) fn row_of(expr: &ast::Expr) -> Option<&[ast::Expr]> {
    match expr {
        ast::Expr::Tuple(parts) => Some(parts),
        ast::Expr::Nested(inner) => match inner.as_ref() {
            ast::Expr::Tuple(parts) => Some(parts),
            _ => None,
        },
        _ => None,
    }
}

/// The one part of `ROW(a)`.
fn row_of_one(expr: &ast::Expr) -> Option<&ast::Expr> {
    let ast::Expr::Function(function) = bare(expr) else {
        return None;
    };
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let [name] = function.name.0.as_slice() else {
        return None;
    };
    let row = |ident: &ast::Ident| ident.quote_style.is_none() && ident.value == "row";
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(part))] if name.as_ident().is_some_and(row) => {
            Some(part)
        }
        _ => None,
    }
}

/// The symbol by which `pg_operator` knows an operator.
pub(super) fn symbol_of(op: &BinaryOperator) -> String {
    match op {
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

/// The text of a literal that is a string.
pub(super) fn text_of(value: &ast::Value) -> Option<String> {
    match value {
        ast::Value::SingleQuotedString(text)
        | ast::Value::EscapedStringLiteral(text)
        | ast::Value::UnicodeStringLiteral(text)
        | ast::Value::NationalStringLiteral(text) => Some(text.clone()),
        ast::Value::DollarQuotedString(text) => Some(text.value.clone()),
        _ => None,
    }
}

pub(super) fn trim_name(side: Option<ast::TrimWhereField>) -> &'static str {
    match side {
        Some(ast::TrimWhereField::Leading) => "ltrim",
        Some(ast::TrimWhereField::Trailing) => "rtrim",
        _ => "btrim",
    }
}
