//! Calls of functions as relations, taken apart.

use chronolith_sql::ast::{self, FunctionArg, TableAlias, TableFactor};
use chronolith_types::SqlState;

use super::state::position;
use crate::error::Error;

#[derive(Clone)]
pub(super) struct FunctionParts<'f> {
    pub schema: Option<String>,
    pub name: String,
    pub args: &'f [FunctionArg],
    pub array_exprs: Option<&'f [ast::Expr]>,
    pub ordinality: bool,
    pub alias: Option<&'f TableAlias>,
    pub at: Option<u32>,
}

impl FunctionParts<'_> {
    /// What its rows go by.
    pub(super) fn table(&self) -> String {
        let alias = self.alias.map(|alias| alias.name.value.clone());
        alias.unwrap_or_else(|| self.name.clone())
    }

    fn definitions(&self) -> &[ast::TableAliasColumnDef] {
        self.alias.map_or(&[], |alias| &alias.columns)
    }

    /// Whether its columns are listed with their types.
    pub(super) fn is_defined(&self) -> bool {
        let mut definitions = self.definitions().iter();
        definitions.any(|definition| definition.data_type.is_some())
    }

    /// 42601 for a function whose columns are known.
    pub(super) fn defined_in_vain(&self) -> Error {
        let first = self.definitions().first();
        let at = first.and_then(|first| u32::try_from(first.name.span.start.column).ok());
        Error::new(
            SqlState::SYNTAX_ERROR,
            "a column definition list is only allowed for functions returning \"record\"",
        )
        .at(at)
    }
}

/// The call of a relation that is one.
pub(super) fn function_parts(factor: &TableFactor) -> Option<FunctionParts<'_>> {
    let last = |name: &ast::ObjectName| {
        name.0
            .last()
            .and_then(|part| part.as_ident())
            .map(|ident| ident.value.clone())
    };
    let before_last = |name: &ast::ObjectName| {
        let place = name.0.len().checked_sub(2)?;
        let ident = name.0.get(place)?.as_ident()?;
        Some(ident.value.clone())
    };
    match factor {
        TableFactor::Table {
            name,
            alias,
            args: Some(args),
            with_ordinality,
            ..
        } => Some(FunctionParts {
            schema: before_last(name),
            name: last(name)?,
            args: &args.args,
            array_exprs: None,
            ordinality: *with_ordinality,
            alias: alias.as_ref(),
            at: position(name),
        }),
        TableFactor::Function {
            name,
            args,
            with_ordinality,
            alias,
            ..
        } => Some(FunctionParts {
            schema: before_last(name),
            name: last(name)?,
            args,
            array_exprs: None,
            ordinality: *with_ordinality,
            alias: alias.as_ref(),
            at: position(name),
        }),
        TableFactor::UNNEST {
            alias,
            array_exprs,
            with_ordinality,
            ..
        } => Some(FunctionParts {
            schema: None,
            name: "unnest".to_owned(),
            args: &[],
            array_exprs: Some(array_exprs),
            ordinality: *with_ordinality,
            alias: alias.as_ref(),
            at: array_exprs.first().and_then(position),
        }),
        _ => None,
    }
}
