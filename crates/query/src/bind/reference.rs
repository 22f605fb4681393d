//! Names in expressions: columns, whole rows, fields of rows.

use arrow::datatypes::DataType;
use chronolith_sql::ast;
use chronolith_sql::plpgsql::Conflict;
use chronolith_types::{SqlState, SqlType, TableId, type_of_form};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Case;

use super::call::Arg;
use super::mistaken;
use super::scope::{Alias, Found, Scope, ScopeColumn};
use super::state::{
    Binder, Clause, Place, Result, field, ident_position, lift, position, told, typed,
};
use crate::error::Error;
use crate::functions::{CastContext, Typed, row_field};

impl Binder<'_> {
    pub(super) fn name(&mut self, place: Place<'_>, ident: &ast::Ident) -> Result<Typed> {
        let at = ident_position(ident);
        let name = ident.value.as_str();
        if name == "current_schema" && ident.quote_style.is_none() {
            return self.call_plain(name, Vec::new(), at);
        }
        if let Some(found) = self.look(place, |scope| scope.by_name(name), name, at)? {
            if self.frames.is_empty()
                && self.views == 0
                && self.names.conflict() != Conflict::UseColumn
                && matches!(self.names.variable(None, name), Ok(Some(_)))
            {
                if self.names.conflict() == Conflict::UseVariable
                    && let Some(variable) = self.argument(None, name)?
                {
                    return Ok(variable);
                }
                return Err(Error::new(
                    SqlState::AMBIGUOUS_COLUMN,
                    format!("column reference \"{name}\" is ambiguous"),
                )
                .detail("It could refer to either a PL/pgSQL variable or a table column.")
                .at(at));
            }
            return Ok(found);
        }
        if let Some(found) = self.system_column(place, None, None, name, at)? {
            return Ok(found);
        }
        let table = place.scope.has_table(None, name)
            || self.outer.iter().any(|scope| scope.has_table(None, name));
        if table {
            return self.whole_row(place, name);
        }
        if let Some(found) = self.argument(None, name)? {
            return Ok(found);
        }
        if super::insert::is_default(&ast::Expr::Identifier(ident.clone())) {
            let message = "DEFAULT is not allowed in this context";
            return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at));
        }
        if place.clause == Clause::Default {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in DEFAULT expression",
            )
            .at(at));
        }
        let error = Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" does not exist"),
        );
        Err(
            match mistaken::hint(self.in_text(place.scope), None, name) {
                Some(hint) => error.hint(hint).at(at),
                None => error.at(at),
            },
        )
    }

    /// A table's row as a value, or the one value that a function's rows are.
    pub(super) fn whole_row(&mut self, place: Place<'_>, table: &str) -> Result<Typed> {
        self.touch_row(place, table);
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
        let scopes = std::iter::once(place.scope).chain(self.outer.iter().rev());
        let mut scopes = scopes.filter(|scope| scope.has_table(None, table));
        let relation = scopes
            .next()
            .and_then(|scope| self.table_of(scope, None, table));
        let Some(relation) = relation.map(TableId) else {
            return self.record(found);
        };
        let own = self.names.row_type(relation);
        // One whose columns a join has merged is no row of its table.
        let Some(own) = own.filter(|ty| ty.fields().map(<[_]>::len) == Some(found.len())) else {
            return self.record(found);
        };
        let place = self.names.required(relation);
        let required = place.and_then(|place| found.get(place));
        let absent = required.map(|(_, value)| value.expr.clone().is_null());
        let mut row = self.record(found)?;
        if !self.documents {
            row = self.coerce(row, &own, CastContext::Implicit)?;
        }
        // A column that is never NULL tells a row that an outer join left out.
        if let Some(absent) = absent {
            let none = Expr::Literal(ScalarValue::try_new_null(&row.arrow).map_err(lift)?, None);
            row.expr = Expr::Case(Case {
                expr: None,
                when_then_expr: vec![(Box::new(absent), Box::new(none))],
                else_expr: Some(Box::new(row.expr)),
            });
        }
        Ok(row)
    }

    /// Notes that a whole row is named.
    fn touch_row(&mut self, place: Place<'_>, table: &str) {
        if place.scope.has_table(None, table) {
            return self.touch_all(place.scope.of_table(None, table));
        }
        let mut scopes = self.outer.iter().rev();
        let scope = scopes.find(|scope| scope.has_table(None, table));
        let columns = scope
            .into_iter()
            .flat_map(|scope| scope.of_table(None, table));
        let columns: Vec<String> = columns.map(|found| found.column.clone()).collect();
        columns.iter().for_each(|internal| self.touch(internal));
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
            && place.scope.has_table(None, &table.value)
            && (matches!(place.scope.by_name(&table.value), Found::None)
                // `a.b` is first of all the column of a table, `(a).b` is none.
                || (matches!(root, ast::Expr::Identifier(_))
                    && !matches!(
                        place.scope.by_qualified(None, &table.value, name),
                        Found::None
                    )))
        {
            return self.qualified(place, &[table.clone(), ast::Ident::new(name)]);
        }
        let documents = std::mem::replace(&mut self.documents, false);
        let value = self.expr(place, root);
        self.documents = documents;
        let value = value?;
        take_field(value, name).map_err(|error| error.at(position(root)))
    }

    pub(super) fn qualified(&mut self, place: Place<'_>, parts: &[ast::Ident]) -> Result<Typed> {
        let at = parts.first().and_then(ident_position);
        let (schema, table, name) = match parts {
            [table, name] => (None, table, name),
            [schema, table, name] => (Some(schema.value.as_str()), table, name),
            [database, schema, table, name] if database.value == self.names.vars().database => {
                (Some(schema.value.as_str()), table, name)
            }
            _ => {
                let name = parts.iter().map(ToString::to_string).collect::<Vec<_>>();
                return Err(super::call::too_far(parts.len(), &name.join(".")).at(at));
            }
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
        if let Some(found) = self.system_column(place, schema, Some(table), name, at)? {
            return Ok(found);
        }
        if look(place.scope) || self.outer.iter().any(look) {
            if let Some(found) = self.called_of(place, schema, table, name)? {
                return Ok(found);
            }
            let error = Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column {spelled} does not exist"),
            );
            return Err(
                match mistaken::hint(self.in_text(place.scope), Some(table), name) {
                    Some(hint) => error.hint(hint).at(at),
                    None => error.at(at),
                },
            );
        }
        if schema.is_none()
            && let Some(found) = self.argument(Some(table), name)?
        {
            return Ok(found);
        }
        Err(self.missing_from(place.scope, table, at))
    }

    /// `row.f`: what a function makes of a table's row.
    fn called_of(
        &mut self,
        place: Place<'_>,
        schema: Option<&str>,
        table: &str,
        name: &str,
    ) -> Result<Option<Typed>> {
        if schema.is_some() || self.names.routines(None, name)?.is_empty() {
            return Ok(None);
        }
        let row = self.whole_row(place, table)?;
        let arg = Arg {
            name: None,
            value: row,
            variadic: false,
        };
        match self.own_call(None, name, vec![arg], None)? {
            Ok(call) => self.own_value(place, call, None).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// 42P01 for a relation that FROM does not name.
    pub(super) fn missing_from(&self, scope: &Scope, table: &str, at: Option<u32>) -> Error {
        let named = |alias: &&Alias| {
            let of = |name: &str| name == table;
            alias.hides.as_deref().is_some_and(of) || of(&alias.name)
        };
        let mut relations = self.in_text(scope).flat_map(|scope| &scope.relations);
        let Some(found) = relations.find(named) else {
            return Error::new(
                SqlState::UNDEFINED_TABLE,
                format!("missing FROM-clause entry for table \"{table}\""),
            )
            .at(at);
        };
        let error = Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("invalid reference to FROM-clause entry for table \"{table}\""),
        );
        let hint = match found.name == table {
            false => format!(
                "Perhaps you meant to reference the table alias \"{}\".",
                found.name
            ),
            true => format!(
                "There is an entry for table \"{table}\", but it cannot be referenced from this part of the query."
            ),
        };
        error.hint(hint).at(at)
    }

    /// The scopes that the text has here, the nearest first, with those that cannot be named.
    fn in_text<'s>(&'s self, scope: &'s Scope) -> impl Iterator<Item = &'s Scope> {
        let near = std::iter::once(scope).chain(self.barred.iter().rev());
        near.chain(self.outer.iter().rev())
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
                self.touch(&found.column);
                self.follow_name(&found.column, at);
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
                Found::One(found) => {
                    let value = outer(found);
                    let internal = found.column.clone();
                    self.touch(&internal);
                    self.follow_name(&internal, at);
                    return Ok(Some(value));
                }
                Found::Many => return Err(ambiguous()),
                Found::None => {}
            }
        }
        Ok(None)
    }
}

/// One field of a row that is a value.
pub(super) fn take_field(value: Typed, name: &str) -> Result<Typed> {
    if let SqlType::User(user) = &value.ty
        && let Some(fields) = user.fields()
    {
        let place = fields.iter().position(|(field, _)| field == name);
        let found = place.map(|place| row_field(value.clone(), place));
        return found.transpose().map_err(told)?.flatten().ok_or_else(|| {
            let message = format!("column \"{name}\" not found in data type {}", user.shown());
            Error::new(SqlState::UNDEFINED_COLUMN, message)
        });
    }
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

/// A column of the query around.
pub(super) fn outer(found: &ScopeColumn) -> Typed {
    Typed {
        expr: Expr::OuterReferenceColumn(
            std::sync::Arc::new(field(&found.column, &found.arrow)),
            datafusion::common::Column::new_unqualified(&found.column),
        ),
        ty: found.ty.clone(),
        arrow: found.arrow.clone(),
    }
}
