//! VALUES whose rows are alike but for the literals in them: one row is bound, with parameters where
//! rows differ, and computed for all of them at once.

use arrow::array::ArrayRef;
use chronolith_sql::ast::{
    self, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr, Value,
};
use chronolith_types::{SqlType, TimeZone};

use crate::value::ColumnBuilder;

/// Fewer rows are bound one by one.
const ROWS_MIN: usize = 4;
/// Expressions that nest deeper are bound one by one.
const DEPTH_MAX: usize = 50;

/// An INSERT of many rows as one of a single row.
pub(crate) struct Alike<'a> {
    /// The INSERT of the first row.
    pub(crate) insert: ast::Insert,
    /// The types of its parameters, as far as literals have some.
    pub(crate) types: Vec<Option<SqlType>>,
    /// Of each parameter, each row's literal.
    literals: Vec<Vec<&'a Value>>,
    rows: usize,
}

/// What a literal is before anything is known of where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int4,
    Int8,
    Numeric,
    /// A text, or NULL.
    Unknown,
    Other,
}

impl<'a> Alike<'a> {
    /// None where rows are few, or are not alike, or the statement has parameters of its own.
    pub(crate) fn of(insert: &'a ast::Insert, types: &[Option<SqlType>]) -> Option<Self> {
        let source = insert.source.as_deref()?;
        let SetExpr::Values(values) = source.body.as_ref() else {
            return None;
        };
        let plain = source.with.is_none()
            && source.order_by.is_none()
            && source.limit_clause.is_none()
            && source.fetch.is_none();
        let (first, rows) = (values.rows.first()?, values.rows.len());
        if !plain || rows < ROWS_MIN || !types.is_empty() || has_parameters(insert) {
            return None;
        }
        let mut found: Vec<Vec<&Value>> = Vec::new();
        let mut of_row = Vec::new();
        for row in &values.rows {
            if row.len() != first.len() {
                return None;
            }
            of_row.clear();
            for (one, other) in first.iter().zip(row.iter()) {
                if !pair(one, other, &mut of_row, 0) {
                    return None;
                }
            }
            if found.is_empty() {
                found = of_row.iter().map(|_| Vec::with_capacity(rows)).collect();
            }
            if of_row.len() != found.len() {
                return None;
            }
            for (known, literal) in found.iter_mut().zip(&of_row) {
                known.push(literal);
            }
        }
        let (mut types, mut literals) = (Vec::new(), Vec::new());
        let mut places = Vec::with_capacity(found.len());
        for known in found {
            let one = known.first()?;
            if known.iter().all(|other| other == one) {
                places.push(None);
                continue;
            }
            let kind = kind(one);
            if known.iter().any(|other| self::kind(other) != kind) {
                return None;
            }
            types.push(match kind {
                Kind::Int4 => Some(SqlType::Int4),
                Kind::Int8 => Some(SqlType::Int8),
                Kind::Numeric => Some(SqlType::Numeric(None)),
                Kind::Unknown => None,
                Kind::Other => return None,
            });
            places.push(Some(types.len()));
            literals.push(known);
        }
        let mut insert = insert.clone_without_rows();
        let mut row = first.clone();
        let mut places = places.into_iter();
        for cell in row.iter_mut() {
            open(cell, &mut places);
        }
        if let Some(source) = insert.source.as_deref_mut()
            && let SetExpr::Values(values) = source.body.as_mut()
        {
            values.rows.push(row);
        }
        Some(Self {
            insert,
            types,
            literals,
            rows,
        })
    }

    /// The parameters' columns, once their types are known; None for what has to be read the long
    /// way, which knows the words and the place of each error.
    pub(crate) fn columns(&self, types: &[SqlType], zone: &TimeZone) -> Option<Vec<ArrayRef>> {
        if types.len() != self.literals.len() {
            return None;
        }
        let columns = types.iter().zip(&self.literals).map(|(ty, literals)| {
            if matches!(ty, SqlType::Reg(_)) {
                return None;
            }
            let mut builder = ColumnBuilder::new(ty, zone);
            for literal in literals {
                match literal {
                    Value::Null => builder.push_null(),
                    Value::Number(text, _) | Value::SingleQuotedString(text) => {
                        builder.push_str(text).ok()?;
                    }
                    _ => return None,
                }
            }
            Some(builder.finish())
        });
        columns.collect()
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

/// A copy without what is long: VALUES.
trait WithoutRows {
    fn clone_without_rows(&self) -> Self;
}

impl WithoutRows for ast::Insert {
    fn clone_without_rows(&self) -> Self {
        let source = self.source.as_deref().map(|source| {
            let body = match source.body.as_ref() {
                SetExpr::Values(values) => SetExpr::Values(ast::Values {
                    rows: Vec::new(),
                    ..*values
                }),
                other => other.clone(),
            };
            Box::new(ast::Query {
                with: source.with.clone(),
                body: Box::new(body),
                order_by: source.order_by.clone(),
                limit_clause: source.limit_clause.clone(),
                fetch: source.fetch.clone(),
                locks: source.locks.clone(),
                for_clause: source.for_clause.clone(),
                settings: source.settings.clone(),
                format_clause: source.format_clause.clone(),
                pipe_operators: source.pipe_operators.clone(),
            })
        });
        Self {
            source,
            insert_token: self.insert_token.clone(),
            optimizer_hints: self.optimizer_hints.clone(),
            or: self.or,
            table: self.table.clone(),
            table_alias: self.table_alias.clone(),
            columns: self.columns.clone(),
            assignments: self.assignments.clone(),
            partitioned: self.partitioned.clone(),
            after_columns: self.after_columns.clone(),
            on: self.on.clone(),
            returning: self.returning.clone(),
            output: self.output.clone(),
            priority: self.priority,
            insert_alias: self.insert_alias.clone(),
            settings: self.settings.clone(),
            format_clause: self.format_clause.clone(),
            multi_table_insert_type: self.multi_table_insert_type.clone(),
            multi_table_into_clauses: self.multi_table_into_clauses.clone(),
            multi_table_when_clauses: self.multi_table_when_clauses.clone(),
            multi_table_else_clause: self.multi_table_else_clause.clone(),
            ignore: self.ignore,
            into: self.into,
            overwrite: self.overwrite,
            has_table_keyword: self.has_table_keyword,
            replace_into: self.replace_into,
        }
    }
}

fn has_parameters(insert: &ast::Insert) -> bool {
    let on = insert.on.as_ref().map(ToString::to_string);
    let returning = insert.returning.iter().flatten().map(ToString::to_string);
    returning.chain(on).any(|text| text.contains('$'))
}

fn kind(literal: &Value) -> Kind {
    match literal {
        Value::Number(digits, _) if digits.parse::<i32>().is_ok() => Kind::Int4,
        Value::Number(digits, _) if digits.parse::<i64>().is_ok() => Kind::Int8,
        // With an exponent it may be no number of ours but for floats.
        Value::Number(digits, _) if digits.bytes().all(|of| of == b'.' || of.is_ascii_digit()) => {
            Kind::Numeric
        }
        Value::SingleQuotedString(_) | Value::Null => Kind::Unknown,
        _ => Kind::Other,
    }
}

/// Whether an expression is another but for literals; takes those of the other.
fn pair<'a>(one: &Expr, other: &'a Expr, literals: &mut Vec<&'a Value>, depth: usize) -> bool {
    let deeper = depth + 1;
    if deeper > DEPTH_MAX {
        return false;
    }
    match (one, other) {
        (Expr::Value(_), Expr::Value(value)) => {
            literals.push(&value.value);
            !matches!(value.value, Value::Placeholder(_))
        }
        (Expr::TypedString(one), Expr::TypedString(other)) => {
            literals.push(&other.value.value);
            one.data_type == other.data_type && one.uses_odbc_syntax == other.uses_odbc_syntax
        }
        (Expr::Identifier(_), Expr::Identifier(_)) | (Expr::Interval(_), Expr::Interval(_)) => {
            one == other
        }
        (Expr::Nested(one), Expr::Nested(other)) => pair(one, other, literals, deeper),
        (
            Expr::UnaryOp { op, expr },
            Expr::UnaryOp {
                op: other_op,
                expr: other,
            },
        ) => op == other_op && pair(expr, other, literals, deeper),
        (
            Expr::BinaryOp { left, op, right },
            Expr::BinaryOp {
                left: other_left,
                op: other_op,
                right: other_right,
            },
        ) => {
            op == other_op
                && pair(left, other_left, literals, deeper)
                && pair(right, other_right, literals, deeper)
        }
        (
            Expr::Cast {
                kind,
                expr,
                data_type,
                array: false,
                format: None,
            },
            Expr::Cast {
                kind: other_kind,
                expr: other,
                data_type: other_type,
                array: false,
                format: None,
            },
        ) => kind == other_kind && data_type == other_type && pair(expr, other, literals, deeper),
        (Expr::Function(one), Expr::Function(other)) => {
            let plain = |of: &ast::Function| {
                of.filter.is_none()
                    && of.over.is_none()
                    && of.null_treatment.is_none()
                    && of.within_group.is_empty()
                    && of.parameters == FunctionArguments::None
            };
            let (Some(args), Some(others)) = (args_of(one), args_of(other)) else {
                return false;
            };
            let mut pairs = args.iter().zip(others);
            plain(one)
                && plain(other)
                && one.name == other.name
                && args.len() == others.len()
                && pairs.all(|(one, other)| match (one, other) {
                    (
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(one)),
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(other)),
                    ) => pair(one, other, literals, deeper),
                    _ => false,
                })
        }
        _ => false,
    }
}

fn args_of(function: &ast::Function) -> Option<&[FunctionArg]> {
    match &function.args {
        FunctionArguments::List(list)
            if list.duplicate_treatment.is_none() && list.clauses.is_empty() =>
        {
            Some(&list.args)
        }
        _ => None,
    }
}

/// Puts parameters in the place of literals, in the order in which [`pair`] meets them.
fn open(expr: &mut Expr, places: &mut impl Iterator<Item = Option<usize>>) {
    let parameter = |number: usize| Value::Placeholder(format!("${number}"));
    match expr {
        Expr::Value(value) => {
            if let Some(number) = places.next().flatten() {
                value.value = parameter(number);
            }
        }
        Expr::TypedString(typed) => {
            if let Some(number) = places.next().flatten() {
                let mut value = typed.value.clone();
                value.value = parameter(number);
                *expr = Expr::Cast {
                    kind: CastKind::Cast,
                    expr: Box::new(Expr::Value(value)),
                    data_type: typed.data_type.clone(),
                    array: false,
                    format: None,
                };
            }
        }
        Expr::Nested(inner)
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::Cast { expr: inner, .. } => open(inner, places),
        Expr::BinaryOp { left, right, .. } => {
            open(left, places);
            open(right, places);
        }
        Expr::Function(function) => {
            if let FunctionArguments::List(list) = &mut function.args {
                for arg in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) = arg {
                        open(inner, places);
                    }
                }
            }
        }
        _ => {}
    }
}
