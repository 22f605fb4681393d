//! Expressions.

use arrow::datatypes::DataType;
use chronolith_sql::ast::{self, BinaryOperator, UnaryOperator};
use chronolith_sql::type_of;
use chronolith_types::{SqlState, SqlType};
use datafusion::logical_expr::expr::{Case, InList};
use datafusion::logical_expr::{Expr, lit};

use super::literal::{boolean, null};
use super::scope::{Found, Scope, ScopeColumn};
use super::state::{
    Binder, Clause, Place, Result, field, ident_position, position, typed, unsupported,
};
use crate::error::Error;
use crate::functions::{CastContext, Typed};

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
                let (left, right) = (self.expr(place, left)?, self.expr(place, right)?);
                self.distinct(left, right, false, at)
            }
            ast::Expr::IsNotDistinctFrom(left, right) => {
                let (left, right) = (self.expr(place, left)?, self.expr(place, right)?);
                self.distinct(left, right, true, at)
            }
            ast::Expr::Between {
                expr: inner,
                negated,
                low,
                high,
            } => {
                let value = self.expr(place, inner)?;
                let low = self.expr(place, low)?;
                let high = self.expr(place, high)?;
                let (below, above) = if *negated { ("<", ">") } else { (">=", "<=") };
                let low = self.operate(below, vec![value.clone(), low], at)?;
                let high = self.operate(above, vec![value, high], at)?;
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
            } => self.in_subquery(place, inner, subquery, *negated, at),
            ast::Expr::Exists { subquery, negated } => self.exists(place, subquery, *negated),
            ast::Expr::Subquery(query) => self.scalar_subquery(place, query),
            ast::Expr::AnyOp {
                left,
                compare_op,
                right,
                ..
            } => self.quantified(place, left, compare_op, right, false, at),
            ast::Expr::AllOp {
                left,
                compare_op,
                right,
            } => self.quantified(place, left, compare_op, right, true, at),
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
                let mut args = vec![self.expr(place, pattern)?];
                if let Some(escape) = escape_char {
                    args.push(self.constant(&escape.value, at)?);
                }
                let pattern = self.call_plain("similar_to_escape", args, at)?;
                let symbol = if *negated { "!~" } else { "~" };
                self.operate(symbol, vec![value, pattern], at)
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
                self.call_plain("timezone", args, at)
            }
            ast::Expr::Extract {
                field, expr: inner, ..
            } => {
                let field = self.unknown(&field.to_string().trim_matches('\'').to_lowercase(), at);
                let args = vec![field, self.expr(place, inner)?];
                self.call_plain("extract", args, at)
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
                self.call_plain("position", args, at)
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
                self.call_plain(if *shorthand { "substr" } else { "substring" }, args, at)
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
                self.call_plain(trim_name(*trim_where), args, at)
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
                self.call_plain("overlay", args, at)
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
                    values.push(self.expr(place, part)?);
                }
                self.record(super::call::numbered(values))
            }
            ast::Expr::Wildcard(_) | ast::Expr::QualifiedWildcard(..) => {
                Err(Error::new(SqlState::SYNTAX_ERROR, "* is not allowed here").at(at))
            }
            other => Err(unsupported(format!("the expression {other}")).at(at)),
        }
    }

    // ------------------------------------------------------------------- names

    fn name(&mut self, place: Place<'_>, ident: &ast::Ident) -> Result<Typed> {
        let at = ident_position(ident);
        let name = ident.value.as_str();
        if name == "current_schema" && ident.quote_style.is_none() {
            return self.call_plain(name, Vec::new(), at);
        }
        if let Some(found) = self.look(place, |scope| scope.by_name(name), name, at)? {
            return Ok(found);
        }
        if name == "tableoid"
            && let [only] = place.scope.relations.as_slice()
            && let Some(oid) = place.scope.table_oid(None, &only.name)
        {
            return Ok(table_oid(oid));
        }
        let table = place.scope.has_table(None, name)
            || self.outer.iter().any(|scope| scope.has_table(None, name));
        if table {
            return self.whole_row(place, name);
        }
        if place.clause == Clause::Default {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(at));
        }
        Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" does not exist"),
        )
        .at(at))
    }

    /// A table's row as a value, or the one value that a function's rows are.
    fn whole_row(&mut self, place: Place<'_>, table: &str) -> Result<Typed> {
        let mut columns = place.scope.of_table(None, table);
        if let (Some(only), None) = (columns.next(), columns.next())
            && only.name == "value"
            && only.origin.is_none()
        {
            return Ok(typed(only));
        }
        let fields = |scope: &Scope, make: fn(&ScopeColumn) -> Typed| -> Vec<(String, Typed)> {
            let columns = scope.of_table(None, table);
            columns
                .map(|found| (found.name.clone(), make(found)))
                .collect()
        };
        let found = if place.scope.has_table(None, table) {
            fields(place.scope, typed)
        } else {
            let mut scopes = self.outer.iter().rev();
            let scope = scopes.find(|scope| scope.has_table(None, table));
            scope.map_or_else(Vec::new, |scope| fields(scope, outer))
        };
        self.record(found)
    }

    /// `(row).field`.
    pub(super) fn field_of(
        &mut self,
        place: Place<'_>,
        root: &ast::Expr,
        name: &str,
    ) -> Result<Typed> {
        let mut bare = root;
        while let ast::Expr::Nested(inner) = bare {
            bare = inner;
        }
        if let ast::Expr::Identifier(table) = bare
            && matches!(place.scope.by_name(&table.value), Found::None)
            && place.scope.has_table(None, &table.value)
        {
            return self.qualified(place, &[table.clone(), ast::Ident::new(name)]);
        }
        let value = self.expr(place, root)?;
        take_field(value, name).map_err(|error| error.at(position(root)))
    }

    fn qualified(&mut self, place: Place<'_>, parts: &[ast::Ident]) -> Result<Typed> {
        let at = parts.first().and_then(ident_position);
        let (schema, table, name) = match parts {
            [table, name] => (None, table, name),
            [schema, table, name] => (Some(schema.value.as_str()), table, name),
            [_, schema, table, name] => (Some(schema.value.as_str()), table, name),
            _ => return Err(unsupported("a name of so many parts").at(at)),
        };
        let (table, name) = (table.value.as_str(), name.value.as_str());
        let spelled = format!("{table}.{name}");
        let look = |scope: &Scope| -> bool { scope.has_table(schema, table) };
        let found = self.look(
            place,
            |scope| scope.by_qualified(schema, table, name),
            name,
            at,
        )?;
        if let Some(found) = found {
            return Ok(found);
        }
        if name == "tableoid" {
            let mut scopes = std::iter::once(place.scope).chain(self.outer.iter().rev());
            if let Some(oid) = scopes.find_map(|scope| scope.table_oid(schema, table)) {
                return Ok(table_oid(oid));
            }
        }
        if look(place.scope) || self.outer.iter().any(look) {
            return Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column {spelled} does not exist"),
            )
            .at(at));
        }
        Err(self.missing_from(place.scope, schema, table, at))
    }

    /// 42P01 for a relation that FROM does not name.
    pub(super) fn missing_from(
        &self,
        scope: &Scope,
        schema: Option<&str>,
        table: &str,
        at: Option<u32>,
    ) -> Error {
        let hidden = scope
            .relations
            .iter()
            .find(|alias| alias.hides.as_deref() == Some(table));
        let spelled = match schema {
            Some(schema) => format!("{schema}.{table}"),
            None => table.to_owned(),
        };
        match hidden {
            Some(alias) => Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("invalid reference to FROM-clause entry for table \"{table}\""),
            )
            .hint(format!(
                "Perhaps you meant to reference the table alias \"{}\".",
                alias.name
            ))
            .at(at),
            None => Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("missing FROM-clause entry for table \"{spelled}\""),
            )
            .at(at),
        }
    }

    /// Looks in the scope and then in those around.
    fn look(
        &mut self,
        place: Place<'_>,
        find: impl for<'s> Fn(&'s Scope) -> Found<'s>,
        name: &str,
        at: Option<u32>,
    ) -> Result<Option<Typed>> {
        let ambiguous = || {
            Error::new(
                SqlState::AMBIGUOUS_COLUMN,
                format!("column reference \"{name}\" is ambiguous"),
            )
            .at(at)
        };
        match find(place.scope) {
            Found::One(found) => {
                if let Some(at) = at {
                    self.places.entry(found.column.clone()).or_insert(at);
                }
                return Ok(Some(typed(found)));
            }
            Found::Many => return Err(ambiguous()),
            Found::None => {}
        }
        for scope in self.outer.iter().rev() {
            match find(scope) {
                Found::One(found) => return Ok(Some(outer(found))),
                Found::Many => return Err(ambiguous()),
                Found::None => {}
            }
        }
        Ok(None)
    }

    // ------------------------------------------------------------------- casts

    fn cast(
        &mut self,
        place: Place<'_>,
        inner: &ast::Expr,
        declared: &ast::DataType,
    ) -> Result<Typed> {
        let at = position(inner);
        let to = self.declared(declared, at)?;
        // `'…'::type` and `ARRAY[]::type[]` take their type from the cast.
        if let ast::Expr::Array(array) = inner
            && let SqlType::Array(element) = &to
        {
            return self.array_of(place, &array.elem, element, at);
        }
        // A number written out may have more digits than numeric keeps, but not than a float does.
        if matches!(to, SqlType::Float4 | SqlType::Float8)
            && let Some(digits) = digits_of(inner)
        {
            let value = self.unknown(&digits, at);
            return self.coerce(value, &to, CastContext::Explicit);
        }
        let value = self.expr(place, inner)?;
        let value = self
            .coerce(value, &to, CastContext::Explicit)
            .map_err(|error| error.at(at))?;
        precise(value, declared)
    }

    pub(super) fn declared(&self, declared: &ast::DataType, at: Option<u32>) -> Result<SqlType> {
        match chronolith_sql::check_modifiers(declared) {
            // A column keeps all digits of a time; a value can be rounded to fewer.
            Err((SqlState::FEATURE_NOT_SUPPORTED, _)) | Ok(()) => {}
            Err((code, message)) => return Err(Error::new(code, message).at(at)),
        }
        type_of(declared).ok_or_else(|| {
            let name = match declared {
                ast::DataType::Custom(name, _) => name
                    .0
                    .iter()
                    .filter_map(|part| part.as_ident())
                    .map(|ident| ident.value.as_str())
                    .collect::<Vec<_>>()
                    .join("."),
                other => other.to_string().to_lowercase(),
            };
            let at = position(declared_span(declared)).or(at);
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{name}\" does not exist"),
            )
            .at(at)
        })
    }

    fn typed_literal(
        &mut self,
        declared: &ast::DataType,
        text: Option<&str>,
        at: Option<u32>,
    ) -> Result<Typed> {
        let to = self.declared(declared, at)?;
        let Some(text) = text else {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "syntax error").at(at));
        };
        let value = self.unknown(text, at);
        let value = self.coerce(value, &to, CastContext::Explicit)?;
        precise(value, declared)
    }

    fn interval(&mut self, place: Place<'_>, interval: &ast::Interval) -> Result<Typed> {
        let at = position(interval.value.as_ref());
        let text = match interval.value.as_ref() {
            ast::Expr::Value(value) => text_of(&value.value),
            _ => None,
        };
        let Some(mut text) = text else {
            // `interval $1`, which only looks like a literal.
            let value = self.expr(place, &interval.value)?;
            return self.coerce(value, &SqlType::Interval, CastContext::Explicit);
        };
        if let Some(field) = &interval.leading_field {
            let bare = text.trim().trim_start_matches(['-', '+']);
            if interval.last_field.is_none()
                && bare
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'.')
            {
                text = format!("{text} {field}");
            }
        }
        let value = self.unknown(&text, at);
        self.coerce(value, &SqlType::Interval, CastContext::Explicit)
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
        if let (Some(left), Some(right)) = (row_of(left), row_of(right)) {
            return self.compare_rows(place, left, op, right, at);
        }
        if let (Some(left), ast::Expr::Subquery(query)) = (row_of(left), right) {
            return self.row_subquery(place, left, op, query, at);
        }
        let symbol = symbol_of(op);
        let left = self.expr(place, left)?;
        let right = self.expr(place, right)?;
        self.operate(&symbol, vec![left, right], at)
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
                    self.operate("-", vec![value], at)
                }
            },
            other => {
                let value = self.expr(place, inner)?;
                self.operate(other.to_string().trim(), vec![value], at)
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
        let mut pattern = self.expr(place, pattern)?;
        if let Some(escape) = escape {
            let escape = self.constant(&escape.value, at)?;
            pattern = self.call_plain("like_escape", vec![pattern, escape], at)?;
        }
        self.operate(symbol, vec![value, pattern], at)
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
        self.among(value, items, negated, at)
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
        results.push(match otherwise {
            Some(otherwise) => self.expr(place, otherwise)?,
            None => null(),
        });
        let (mut results, ty) = self.unify(results, "CASE").map_err(|error| {
            error.at(conditions.first().and_then(|case| position(&case.result)))
        })?;
        let otherwise = results.pop();
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

/// One field of a row that is a value.
pub(super) fn take_field(value: Typed, name: &str) -> Result<Typed> {
    let DataType::Struct(fields) = &value.arrow else {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!(
                "column notation .{name} applied to type {}, which is not a composite type",
                value.ty.without_typmod()
            ),
        ));
    };
    let Some(found) = fields.iter().find(|field| field.name() == name) else {
        return Err(Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("could not identify column \"{name}\" in record data type"),
        ));
    };
    let arrow = found.data_type().clone();
    let ty = type_of_form(&arrow);
    let get = datafusion::functions::core::expr_fn::get_field(value.expr, name);
    Ok(Typed {
        expr: get,
        ty,
        arrow,
    })
}

/// The type of a field of which only the form is known.
fn type_of_form(arrow: &DataType) -> SqlType {
    match arrow {
        DataType::Boolean => SqlType::Bool,
        DataType::Int16 => SqlType::Int2,
        DataType::Int32 => SqlType::Int4,
        DataType::Int64 => SqlType::Int8,
        DataType::UInt32 => SqlType::Oid,
        DataType::Float32 => SqlType::Float4,
        DataType::Float64 => SqlType::Float8,
        DataType::Decimal128(..) | DataType::Decimal256(..) => SqlType::Numeric(None),
        DataType::BinaryView => SqlType::Bytea,
        DataType::Date32 => SqlType::Date,
        DataType::Time64(_) => SqlType::Time,
        DataType::Timestamp(_, None) => SqlType::Timestamp,
        DataType::Timestamp(_, Some(_)) => SqlType::Timestamptz,
        DataType::Interval(_) => SqlType::Interval,
        DataType::FixedSizeBinary(16) => SqlType::Uuid,
        DataType::List(item) => type_of_form(item.data_type()).array_of(),
        DataType::Struct(_) => SqlType::Record,
        _ => SqlType::Text,
    }
}

/// The column `tableoid`: a row is in the table that was named.
fn table_oid(oid: u32) -> Typed {
    Typed::literal(
        datafusion::common::ScalarValue::UInt32(Some(oid)),
        SqlType::Oid,
    )
}

/// A column of the query around.
fn outer(found: &ScopeColumn) -> Typed {
    Typed {
        expr: Expr::OuterReferenceColumn(
            std::sync::Arc::new(field(&found.column, &found.arrow)),
            datafusion::common::Column::new_unqualified(&found.column),
        ),
        ty: found.ty.clone(),
        arrow: found.arrow.clone(),
    }
}

pub(super) fn truth(expr: Expr) -> Typed {
    Typed::new(expr, SqlType::Bool)
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

/// A time rounded to the digits that its type declares.
fn precise(value: Typed, declared: &ast::DataType) -> Result<Typed> {
    let digits = match declared {
        ast::DataType::Time(Some(digits), _) | ast::DataType::Timestamp(Some(digits), _) => *digits,
        ast::DataType::Interval {
            precision: Some(digits),
            ..
        } => *digits,
        ast::DataType::Custom(_, modifiers) => match modifiers.as_slice() {
            [digits] => digits.parse().unwrap_or(6),
            _ => 6,
        },
        _ => 6,
    };
    let timed = matches!(
        value.ty,
        SqlType::Time | SqlType::Timestamp | SqlType::Timestamptz | SqlType::Interval
    );
    match u32::try_from(digits) {
        Ok(digits @ 0..6) if timed => {
            crate::functions::time_precision(value, digits).map_err(super::state::told)
        }
        _ => Ok(value),
    }
}

/// The digits of a number that is written with a point or an exponent.
fn digits_of(expr: &ast::Expr) -> Option<String> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Number(digits, _) if digits.contains(['.', 'e', 'E']) => {
                Some(digits.clone())
            }
            _ => None,
        },
        ast::Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr,
        } => digits_of(expr).map(|digits| format!("-{digits}")),
        ast::Expr::Nested(inner) => digits_of(inner),
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

fn declared_span(declared: &ast::DataType) -> &ast::ObjectName {
    static NOTHING: std::sync::LazyLock<ast::ObjectName> =
        std::sync::LazyLock::new(|| ast::ObjectName(Vec::new()));
    match declared {
        ast::DataType::Custom(name, _) => name,
        _ => &NOTHING,
    }
}
