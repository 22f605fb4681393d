//! Parts of values that others are assigned to: fields of rows, items and slices of arrays.

use chronolith_sql::Assigned;
use chronolith_sql::ast::{self, AccessExpr, Subscript};
use chronolith_types::{SqlState, SqlType};

use super::coerce::castable;
use super::insert::{Target, is_default};
use super::state::{Binder, Place, Result, position, told, unsupported};
use super::steps::unsupported_slice;
use crate::error::Error;
use crate::functions::{self, CastContext, Typed, row_field, row_with_field};

/// What is assigned.
#[derive(Debug, Clone)]
pub(super) enum Source<'a> {
    Tree(&'a ast::Expr),
    /// It is bound already; and its place in the text.
    Made(Typed, Option<u32>),
}

impl Source<'_> {
    fn position(&self) -> Option<u32> {
        match self {
            Self::Tree(tree) => position(*tree),
            Self::Made(_, at) => *at,
        }
    }
}

/// The first subscripts of a path, and what is behind them.
fn subscripts(path: &[AccessExpr]) -> (Vec<&Subscript>, &[AccessExpr]) {
    let subscript = |access: &AccessExpr| matches!(access, AccessExpr::Subscript(_));
    let count = path.iter().take_while(|access| subscript(access)).count();
    let (first, rest) = path.split_at(count);
    let first = first.iter().filter_map(|access| match access {
        AccessExpr::Subscript(subscript) => Some(subscript),
        AccessExpr::Dot(_) => None,
    });
    (first.collect(), rest)
}

fn sliced(subscripts: &[&Subscript]) -> bool {
    let slice = |of: &&Subscript| matches!(of, Subscript::Slice { .. });
    subscripts.iter().any(slice)
}

/// 0A000 for DEFAULT, which parts have none of.
pub(super) fn no_default(path: &[AccessExpr]) -> Error {
    Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        match path.first() {
            Some(AccessExpr::Subscript(_)) => "cannot set an array element to DEFAULT",
            _ => "cannot set a subfield to DEFAULT",
        },
    )
}

/// The field of a row that is assigned to, by its place and with its type.
fn field(
    ty: &SqlType,
    field: &ast::Ident,
    column: &str,
    at: Option<u32>,
) -> Result<(usize, SqlType)> {
    let name = &field.value;
    let shown = ty.without_typmod();
    let fields = match ty {
        SqlType::User(user) => user.fields(),
        _ => None,
    };
    let fields = fields.ok_or_else(|| {
        let message = format!(
            "cannot assign to field \"{name}\" of column \"{column}\" because its type \
             {shown} is not a composite type"
        );
        Error::new(SqlState::DATATYPE_MISMATCH, message).at(at)
    })?;
    let place = fields.iter().position(|(known, _)| known == name);
    let found = place.and_then(|place| Some((place, fields.get(place)?)));
    let (place, (_, ty)) = found.ok_or_else(|| {
        let message = format!(
            "cannot assign to field \"{name}\" of column \"{column}\" because there is no \
             such column in data type {shown}"
        );
        Error::new(SqlState::UNDEFINED_COLUMN, message).at(at)
    })?;
    Ok((place, ty.clone()))
}

/// The type of the items of what is subscripted.
fn element(ty: &SqlType, at: Option<u32>) -> Result<SqlType> {
    match ty {
        SqlType::Array(element) => Ok(element.as_ref().clone()),
        SqlType::Jsonb => Ok(SqlType::Jsonb),
        SqlType::Name => Ok(SqlType::InternalChar),
        SqlType::Int2Vector | SqlType::OidVector => {
            let what = format!("assigning to a part of {}", ty.without_typmod());
            Err(unsupported(what).at(at))
        }
        other => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "cannot subscript type {} because it does not support subscripting",
                other.without_typmod()
            ),
        )
        .at(at)),
    }
}

/// The type of the value that a part takes.
pub(super) fn part_type(
    ty: &SqlType,
    path: &[AccessExpr],
    of: &ast::Ident,
    at: Option<u32>,
) -> Result<SqlType> {
    match path {
        [] => Ok(ty.clone()),
        [AccessExpr::Dot(ast::Expr::Identifier(name)), rest @ ..] => {
            let (_, ty) = field(ty, name, &of.value, at)?;
            part_type(&ty, rest, name, at)
        }
        [AccessExpr::Dot(_), ..] => Err(unsupported("this field of a row")),
        path => {
            let (first, rest) = subscripts(path);
            let element = element(ty, at)?;
            match sliced(&first) {
                true => Ok(ty.clone()),
                false => part_type(&element, rest, of, at),
            }
        }
    }
}

impl Binder<'_> {
    /// A value with another one at the end of a path; `of` is what is assigned to, and `at` where the
    /// text says so.
    pub(super) fn with_part(
        &mut self,
        place: Place<'_>,
        whole: Typed,
        path: &[AccessExpr],
        value: &Source<'_>,
        of: &ast::Ident,
        at: Option<u32>,
    ) -> Result<Typed> {
        if matches!(value, Source::Tree(tree) if is_default(tree)) {
            return Err(no_default(path).at(at));
        }
        match path {
            [] => Err(Error::internal("a part of nothing")),
            [AccessExpr::Dot(ast::Expr::Identifier(name)), rest @ ..] => {
                let (number, ty) = field(&whole.ty, name, &of.value, at)?;
                let value = match rest {
                    [] => {
                        let target = Target {
                            name: name.value.clone(),
                            ty,
                            default: None,
                        };
                        let position = value.position();
                        let value = self.source(place, value)?;
                        self.assign(value, &target, position).map_err(|mut error| {
                            error.message = error.message.replacen("column", "subfield", 1);
                            error
                        })?
                    }
                    rest => {
                        let inner = row_field(whole.clone(), number).map_err(told)?;
                        let inner = inner.ok_or_else(|| Error::internal("a field is gone"))?;
                        self.with_part(place, inner, rest, value, name, at)?
                    }
                };
                row_with_field(whole, number, value).map_err(told)
            }
            [AccessExpr::Dot(_), ..] => Err(unsupported("this field of a row").at(at)),
            path => {
                let (first, rest) = subscripts(path);
                let element = element(&whole.ty, at)?;
                let ty = match sliced(&first) {
                    true => whole.ty.clone(),
                    false => element,
                };
                let (slices, bounds) = match whole.ty {
                    SqlType::Jsonb => (false, self.json_steps(place, &first, at)?),
                    SqlType::Name if sliced(&first) => {
                        return Err(unsupported_slice("updates on slices"));
                    }
                    _ => self.bounds(place, &first)?,
                };
                let value = match rest {
                    [] => {
                        let target = Target {
                            name: of.value.clone(),
                            ty,
                            default: None,
                        };
                        let position = value.position();
                        let value = self.source(place, value)?;
                        let from = value.ty.without_typmod();
                        let refused = format!("column \"{}\" is of", of.value);
                        self.assign(value, &target, position).map_err(|mut error| {
                            if error.message.starts_with(&refused) {
                                error.message = format!(
                                    "subscripted assignment to \"{}\" requires type {} but expression is of type {from}",
                                    of.value,
                                    target.ty.without_typmod()
                                );
                                error.position = at;
                            }
                            error
                        })?
                    }
                    _ if slices => return Err(unsupported("a part of a slice").at(at)),
                    rest if !matches!(whole.ty, SqlType::Array(_)) => {
                        return Err(match rest.first() {
                            Some(AccessExpr::Dot(ast::Expr::Identifier(name))) => {
                                match field(&ty, name, &of.value, at) {
                                    Err(error) => error,
                                    Ok(_) => Error::internal("a scalar that has fields"),
                                }
                            }
                            _ => unsupported("this field of a row").at(at),
                        });
                    }
                    rest => {
                        let inner = functions::item(whole.clone(), bounds.clone());
                        self.with_part(place, inner, rest, value, of, at)?
                    }
                };
                match (&whole.ty, slices) {
                    (SqlType::Jsonb, _) => functions::json_with_part(whole, value, bounds),
                    (SqlType::Name, _) => functions::with_byte(whole, value, bounds),
                    (_, true) => functions::with_slice(whole, value, bounds),
                    (_, false) => functions::with_item(whole, value, bounds),
                }
                .map_err(told)
            }
        }
    }

    fn source(&mut self, place: Place<'_>, source: &Source<'_>) -> Result<Typed> {
        match source {
            Source::Tree(tree) => self.expr(place, tree),
            Source::Made(value, _) => Ok(value.clone()),
        }
    }

    /// What a variable becomes of which a part is assigned to.
    pub(super) fn part_call(
        &mut self,
        place: Place<'_>,
        part: &Assigned,
        value: &ast::Expr,
    ) -> Result<Typed> {
        // What stands before the subscripts is the variable.
        let mut names = vec![part.column.clone()];
        let mut path = part.path.as_slice();
        while let [AccessExpr::Dot(ast::Expr::Identifier(name)), rest @ ..] = path {
            names.push(name.clone());
            path = rest;
        }
        let last = names.last().cloned().unwrap_or_else(|| part.column.clone());
        let whole = match names.as_slice() {
            [name] => self.expr(place, &ast::Expr::Identifier(name.clone()))?,
            _ => self.expr(place, &ast::Expr::CompoundIdentifier(names))?,
        };
        let mut source = Source::Tree(value);
        if !is_default(value) {
            // What nothing else casts becomes the other type by way of its text, as in all assignments
            // of PL/pgSQL.
            let ty = part_type(&whole.ty, path, &last, None)?;
            let bound = self.expr(place, value)?;
            if bound.ty != SqlType::Unknown && !castable(&bound.ty, &ty, CastContext::Assignment) {
                let text = self.coerce(bound, &SqlType::Text, CastContext::Explicit)?;
                let made = self.coerce(text, &ty, CastContext::Explicit)?;
                source = Source::Made(made, None);
            }
        }
        self.with_part(place, whole, path, &source, &last, None)
    }
}
