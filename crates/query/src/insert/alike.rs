//! VALUES whose rows are alike but for the literals in them: one row is bound, with parameters where
//! rows differ, and computed for all of them at once.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use chronolith_sql::ast::{
    self, CastKind, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr, Value,
    ValueWithSpan,
};
use chronolith_sql::{AlikeRows, Differing, Literal};
use chronolith_types::{SqlType, TimeZone};

use super::literals::reads_number;
use crate::value::ColumnBuilder;

/// An INSERT of many rows as one of a single row.
pub(crate) struct Alike<'a> {
    /// The INSERT of the first row.
    pub(crate) insert: ast::Insert,
    /// The types of its parameters, as far as literals have some.
    pub(crate) types: Vec<Option<SqlType>>,
    rows: &'a AlikeRows,
}

/// What a literal is before anything is known of where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int4,
    Int8,
    Numeric,
    Bool,
    /// A text, or NULL.
    Unknown,
}

impl<'a> Alike<'a> {
    /// None where a row's literal is of another kind than another's, or stands where a parameter may
    /// not, or the statement has parameters of its own.
    pub(crate) fn of(rows: &'a AlikeRows, types: &[Option<SqlType>]) -> Option<Self> {
        if !types.is_empty() || has_parameters(&rows.insert) {
            return None;
        }
        let SetExpr::Values(values) = rows.insert.source.as_deref()?.body.as_ref() else {
            return None;
        };
        let mut row = values.rows.first()?.clone();
        // Cells that are nothing else take the type of their column.
        let alone = row.iter().filter_map(|cell| match cell {
            Expr::Value(value) => Some(value.span.start.column),
            _ => None,
        });
        let alone: Vec<u64> = alone.collect();
        let (mut types, mut numbers) = (Vec::new(), BTreeMap::new());
        for differing in &rows.differing {
            types.push(type_of(
                rows,
                differing,
                alone.contains(&differing.position),
            )?);
            numbers.insert(differing.position, types.len());
        }
        for cell in row.iter_mut() {
            open(cell, rows, &mut numbers);
        }
        // What is left stands within something that is not looked into.
        if !numbers.is_empty() {
            return None;
        }
        let mut insert = rows.insert.clone_without_rows();
        if let Some(source) = insert.source.as_deref_mut()
            && let SetExpr::Values(values) = source.body.as_mut()
        {
            values.rows.push(row);
        }
        Some(Self {
            insert,
            types,
            rows,
        })
    }

    /// The parameters' columns, once their types are known; None for what has to be read the long
    /// way, which knows the words and the place of each error.
    pub(crate) fn columns(&self, types: &[SqlType], zone: &TimeZone) -> Option<Vec<ArrayRef>> {
        if types.len() != self.rows.differing.len() {
            return None;
        }
        let columns = types.iter().zip(&self.rows.differing).map(|(ty, of)| {
            if matches!(ty, SqlType::Reg(_)) {
                return None;
            }
            let mut builder = ColumnBuilder::new(ty, zone);
            for literal in &of.literals {
                let text = match literal {
                    Literal::Null => {
                        builder.push_null();
                        continue;
                    }
                    Literal::Bool(true) => "true",
                    Literal::Bool(false) => "false",
                    Literal::Quoted(text) => text,
                    Literal::Text(range) => self.rows.slice(range),
                    Literal::Number(range) => {
                        let text = self.rows.slice(range);
                        if !reads_number(ty, text) {
                            return None;
                        }
                        text
                    }
                };
                builder.push_str(text).ok()?;
            }
            Some(builder.finish())
        });
        columns.collect()
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows.rows
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

/// None for what is a number for floats alone, or NULL, which is of each kind.
fn kind(rows: &AlikeRows, literal: &Literal) -> Option<Kind> {
    Some(match literal {
        Literal::Null | Literal::Text(_) | Literal::Quoted(_) => Kind::Unknown,
        Literal::Bool(_) => Kind::Bool,
        Literal::Number(range) => match rows.slice(range) {
            digits if digits.parse::<i32>().is_ok() => Kind::Int4,
            digits if digits.parse::<i64>().is_ok() => Kind::Int8,
            // With an exponent it may be no number of ours but for floats.
            digits if digits.bytes().all(|of| of == b'.' || of.is_ascii_digit()) => Kind::Numeric,
            _ => return None,
        },
    })
}

/// The type of a parameter with these values, if they are of one kind that has one. Texts have the
/// type of their place, and so have numbers of several kinds that are alone in their cells.
#[expect(clippy::option_option, reason = "that there is none is an answer too")]
fn type_of(rows: &AlikeRows, of: &Differing, alone: bool) -> Option<Option<SqlType>> {
    let number = |literal: &Literal| matches!(literal, Literal::Number(_) | Literal::Null);
    let mut kinds = of.literals.iter().map(|literal| kind(rows, literal));
    let first = kinds.next()?;
    match first {
        Some(kind) if kinds.all(|other| other == first) => Some(match kind {
            Kind::Int4 => Some(SqlType::Int4),
            Kind::Int8 => Some(SqlType::Int8),
            Kind::Numeric => Some(SqlType::Numeric(None)),
            Kind::Bool => Some(SqlType::Bool),
            Kind::Unknown => None,
        }),
        _ if alone && of.literals.iter().all(number) => Some(None),
        _ => None,
    }
}

/// Puts parameters in the place of literals, of which the character is known at which they stand;
/// takes those that it finds.
fn open(expr: &mut Expr, rows: &AlikeRows, numbers: &mut BTreeMap<u64, usize>) {
    let mut parameter = |value: &ValueWithSpan| {
        let number = numbers.remove(&value.span.start.column)?;
        Some(Value::Placeholder(format!("${number}")))
    };
    match expr {
        Expr::Value(value) => {
            if let Some(parameter) = parameter(value) {
                value.value = parameter;
            }
        }
        // `date NULL` is no expression.
        Expr::TypedString(typed) if rows.has_null(typed.value.span.start.column) => {}
        Expr::TypedString(typed) => {
            if let Some(parameter) = parameter(&typed.value) {
                let mut value = typed.value.clone();
                value.value = parameter;
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
        | Expr::Cast { expr: inner, .. } => open(inner, rows, numbers),
        Expr::BinaryOp { left, right, .. } => {
            open(left, rows, numbers);
            open(right, rows, numbers);
        }
        Expr::Function(function) => {
            if let FunctionArguments::List(list) = &mut function.args {
                for arg in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(inner)) = arg {
                        open(inner, rows, numbers);
                    }
                }
            }
        }
        _ => {}
    }
}
