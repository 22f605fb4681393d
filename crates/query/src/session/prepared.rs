//! Prepared statements by their names: those of PREPARE and those of the protocol are one set.

use std::sync::Arc;

use arrow::array::ArrayRef;
use chronolith_sql::{Statement as Tree, ast};
use chronolith_types::{SqlState, SqlType};

use super::execute::Ready;
use super::handle::{Prepared, Session, Statement};
use super::names::SessionNames;
use super::run;
use crate::bind::{Bound, Target, bind_scalar, set_parameters};
use crate::catalogs::PreparedStatement;
use crate::error::Error;
use crate::outcome::Outcome;

impl Session {
    pub(super) fn prepare_named(
        &mut self,
        name: &str,
        types: &[SqlType],
        inner: &Tree,
        text: &str,
        whole: &str,
    ) -> Result<(), Error> {
        self.check_new(name)?;
        let tag = chronolith_sql::parse(text)
            .ok()
            .and_then(|parsed| parsed.into_iter().next())
            .map(|parsed| parsed.tag)
            .unwrap_or_default();
        let statement = Statement {
            parsed: Arc::new(chronolith_sql::Parsed {
                statement: inner.clone(),
                range: 0..text.len(),
                tag,
            }),
            text: text.into(),
            skipped: None,
            constants: None,
            filled: None,
        };
        let given = types.iter().map(|ty| match ty {
            SqlType::Unknown => Ok(None),
            ty => self.shared.declared_type(ty).map(Some),
        });
        let given = given.collect::<Result<Vec<Option<SqlType>>, _>>()?;
        let prepared = self.bind_statement(&statement, &given)?;
        self.show_prepared(name, whole, &prepared.params, true);
        self.prepared.insert(name.to_owned(), Some(prepared));
        Ok(())
    }

    fn check_new(&self, name: &str) -> Result<(), Error> {
        if self.prepared.contains_key(name) {
            return Err(Error::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        Ok(())
    }

    fn show_prepared(&self, name: &str, text: &str, params: &[SqlType], from_sql: bool) {
        self.shared.with(|state| {
            state.prepared.push(PreparedStatement {
                name: name.to_owned(),
                text: text.to_owned(),
                prepared_us: state.statement_us,
                params: params.to_vec(),
                from_sql,
            });
        });
    }

    /// Keeps a statement of the protocol under a name, which PREPARE's share; None for the empty
    /// one.
    ///
    /// # Errors
    /// 42P05 when the name is taken.
    pub fn keep(&mut self, name: &str, statement: Option<&Arc<Prepared>>) -> Result<(), Error> {
        self.check_new(name)?;
        let (text, params) = match statement {
            Some(prepared) => (prepared.statement.text(), prepared.params.as_slice()),
            None => ("", &[][..]),
        };
        self.show_prepared(name, text, params, false);
        if let Some(prepared) = statement {
            self.recent.give(prepared);
        }
        self.prepared.insert(name.to_owned(), statement.cloned());
        Ok(())
    }

    /// The statement of a name, of PREPARE or of the protocol; inside None for the empty one.
    #[must_use]
    pub fn kept(&self, name: &str) -> Option<Option<&Arc<Prepared>>> {
        self.prepared.get(name).map(Option::as_ref)
    }

    /// The name that a statement is kept under.
    pub(super) fn name_of(&self, prepared: &Prepared) -> Option<&str> {
        let mut kept = self.prepared.iter();
        let same = |known: &Arc<Prepared>| std::ptr::eq(Arc::as_ptr(known), prepared);
        let (name, _) = kept.find(|(_, known)| known.as_ref().is_some_and(same))?;
        Some(name)
    }

    /// Forgets the statement of a name; false where there is none.
    pub fn forget(&mut self, name: &str) -> bool {
        let shown = |known: &PreparedStatement| known.name != name;
        self.shared.with(|state| state.prepared.retain(shown));
        let found = self.prepared.remove(name);
        if let Some(Some(prepared)) = &found {
            // Who makes up a name for each run comes back with another.
            self.recent.keep(prepared);
        }
        found.is_some()
    }

    pub(super) fn deallocate(&mut self, name: Option<&str>) -> Result<(), Error> {
        match name {
            None => self.forget_prepared(),
            Some(name) if !self.forget(name) => return Err(no_statement(name)),
            Some(_) => {}
        }
        Ok(())
    }

    pub(super) fn forget_prepared(&mut self) {
        for prepared in std::mem::take(&mut self.prepared).into_values().flatten() {
            self.recent.keep(&prepared);
        }
        self.shared.with(|state| state.prepared.clear());
    }

    pub(super) fn named(&self, name: &str) -> Result<Arc<Prepared>, Error> {
        match self.prepared.get(name) {
            Some(Some(prepared)) => Ok(Arc::clone(prepared)),
            Some(None) => Err(Error::new(
                SqlState::INTERNAL_ERROR,
                "cannot execute the empty statement",
            )),
            None => Err(no_statement(name)),
        }
    }

    pub(super) async fn execute_named(
        &mut self,
        name: &str,
        args: &[ast::Expr],
    ) -> Result<Outcome, Error> {
        let (prepared, values) = self.with_arguments(name, args).await?;
        // Boxed: a prepared EXECUTE could run another one.
        Box::pin(self.rerun(&prepared, &values)).await
    }

    /// The query that a prepared statement is, with its arguments.
    pub(super) async fn executed_query(
        &mut self,
        name: &str,
        args: &[ast::Expr],
    ) -> Result<Bound, Error> {
        let (prepared, values) = self.with_arguments(name, args).await?;
        let prepared = self.bound_now(&prepared)?;
        let Ready::Query(bound) = &prepared.ready else {
            return Err(match &prepared.ready {
                Ready::Lock(_) => Error::unsupported("CREATE TABLE AS EXECUTE of a locking query"),
                _ => Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "prepared statement is not a SELECT",
                ),
            });
        };
        let plan = set_parameters(&bound.plan, &run::scalars(&values)?)?;
        Ok(Bound {
            plan,
            ..bound.clone()
        })
    }

    /// A prepared statement, and what EXECUTE gives it.
    pub(super) async fn with_arguments(
        &self,
        name: &str,
        args: &[ast::Expr],
    ) -> Result<(Arc<Prepared>, Vec<ArrayRef>), Error> {
        let prepared = self.named(name)?;
        if args.len() != prepared.params.len() {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                prepared.params.len(),
                args.len()
            )));
        }
        let names = SessionNames::new(&self.shared)?;
        let mut values = Vec::with_capacity(args.len());
        for (arg, ty) in args.iter().zip(&prepared.params) {
            let target = Target {
                name: name.to_owned(),
                ty: ty.clone(),
                default: None,
            };
            let typed = bind_scalar(&names, arg, Some(&target))?;
            values.push(run::evaluate(&self.shared, &typed).await?);
        }
        Ok((prepared, values))
    }
}

fn no_statement(name: &str) -> Error {
    Error::new(
        SqlState::INVALID_SQL_STATEMENT_NAME,
        format!("prepared statement \"{name}\" does not exist"),
    )
}
