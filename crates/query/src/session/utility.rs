//! Statements about the session itself: settings, prepared statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Privilege;
use chronolith_sql::{Discard, SettingChange, Statement as Tree, ast};
use chronolith_types::{SqlState, SqlType};

use super::execute::{command, rows};
use super::handle::{Prepared, Session, Statement};
use super::names::SessionNames;
use super::run;
use crate::bind::{Target, bind_scalar};
use crate::catalogs::PreparedStatement;
use crate::effects::SessionSequences;
use crate::error::Error;
use crate::outcome::{Outcome, OutputColumn};
use crate::settings::{Scope, find, known};

impl Session {
    pub(super) fn change_setting(
        &mut self,
        tree: &Tree,
        whole: &str,
        tag: &str,
    ) -> Result<Outcome, Error> {
        match tree {
            Tree::Set { local, change } => self.set(*local, change)?,
            Tree::Reset(None) => self.shared.with(|state| state.settings.reset_all()),
            Tree::Reset(Some(name)) => self.reset(name)?,
            Tree::Show(name) => return self.show(name.as_deref()),
            Tree::SetTransaction { session, modes } => {
                if *session {
                    self.set_characteristics(modes)?;
                } else {
                    self.set_modes(modes)?;
                }
            }
            Tree::Prepare {
                name,
                types,
                inner,
                text,
            } => self.prepare_named(name, types, inner, text, whole)?,
            Tree::Deallocate(None) => self.forget_prepared(),
            Tree::Deallocate(Some(name)) => {
                if self.prepared.remove(name).is_none() {
                    return Err(no_statement(name));
                }
                let shown = |known: &PreparedStatement| known.name != *name;
                self.shared.with(|state| state.prepared.retain(shown));
            }
            Tree::Discard(what) => {
                if matches!(what, Discard::All | Discard::Temp) {
                    self.shared.discard_temporary()?;
                }
                if *what == Discard::All {
                    self.shared.with(|state| state.settings.reset_all());
                    self.forget_prepared();
                }
                if matches!(what, Discard::All | Discard::Sequences) {
                    self.shared
                        .with(|state| state.sequences = SessionSequences::default());
                }
            }
            // Constraints are never deferred; statistics and dead rows are kept in order by
            // themselves.
            Tree::SetConstraints | Tree::Vacuum { .. } | Tree::Analyze { .. } => {}
            // Nothing is declared or listened to: what clients say to begin anew is done.
            Tree::Close(None) | Tree::Unlisten(_) => {}
            Tree::Close(Some(name)) => {
                return Err(Error::new(
                    SqlState::new(b"34000"),
                    format!("cursor \"{name}\" does not exist"),
                ));
            }
            Tree::Maintain { tag: what, .. } => match *what {
                "CHECKPOINT" => {
                    let engine = Arc::clone(&self.shared.instance.engine);
                    super::shared::blocking(|| engine.checkpoint())?;
                }
                // What is indexed here is part of the chunks, and never in disorder.
                "REINDEX" => {}
                other => return Err(Error::unsupported(other)),
            },
            _ => return Err(Error::unsupported(tag)),
        }
        if matches!(tree, Tree::Set { .. } | Tree::Reset(_) | Tree::Discard(_)) {
            self.shared.tell_name();
        }
        Ok(command(tag))
    }

    fn set(&mut self, local: bool, change: &SettingChange) -> Result<(), Error> {
        let at = u32::try_from(change.position).ok();
        let scope = if local { Scope::Local } else { Scope::Session };
        let Some(value) = &change.value else {
            return self.reset(&change.name);
        };
        match change.name.as_str() {
            "role" | "session_authorization" => self.become_role(&change.name, value, local),
            name => self
                .shared
                .with(|state| state.settings.set(name, value, scope))
                .map_err(|error| error.at(at)),
        }
    }

    fn reset(&mut self, name: &str) -> Result<(), Error> {
        match name {
            "role" | "session_authorization" => {
                self.shared.with(|state| {
                    let own = state.session_user.clone();
                    state.become_role(&own, false);
                });
                Ok(())
            }
            name => self.shared.with(|state| state.settings.reset(name)),
        }
    }

    /// SET ROLE and SET SESSION AUTHORIZATION.
    fn become_role(&mut self, what: &str, name: &str, local: bool) -> Result<(), Error> {
        if name == "none" && what == "role" {
            return self.reset(what);
        }
        let catalog = self.shared.catalog();
        let role = catalog.role_named(name).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("role \"{name}\" does not exist"),
            )
        })?;
        let session_user = self.shared.with(|state| state.session_user.clone());
        let own = catalog.role_named(&session_user);
        let superuser = own.is_some_and(|own| own.may(Privilege::Superuser));
        let may = own.is_some_and(|own| catalog.acts_as(own.id, role.id));
        if what == "session_authorization" && !superuser && session_user != name {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to set session authorization",
            ));
        }
        if !may {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to set role \"{name}\""),
            ));
        }
        self.shared
            .with(|state| state.become_role(&role.name, local));
        Ok(())
    }

    fn set_characteristics(
        &mut self,
        modes: &chronolith_sql::TransactionModes,
    ) -> Result<(), Error> {
        self.shared.with(|state| {
            let set = &mut state.settings;
            if let Some(level) = &modes.isolation {
                set.set("default_transaction_isolation", level, Scope::Session)?;
            }
            if let Some(read_only) = modes.read_only {
                let value = if read_only { "on" } else { "off" };
                set.set("default_transaction_read_only", value, Scope::Session)?;
            }
            Ok(())
        })
    }

    pub(super) fn show_columns(&self, name: Option<&str>) -> Vec<OutputColumn> {
        let column = |name: &str| OutputColumn {
            name: name.to_owned(),
            ty: SqlType::Text,
            table_oid: 0,
            attribute: 0,
        };
        match name {
            Some(name) => vec![column(find(name).map_or(name, |known| known.name))],
            None => ["name", "setting", "description"].map(column).to_vec(),
        }
    }

    fn show(&self, name: Option<&str>) -> Result<Outcome, Error> {
        let columns = self.show_columns(name);
        let values = match name {
            Some("session_authorization" | "role") => {
                vec![vec![self.shared.with(|state| state.user.clone())]]
            }
            Some(name) => vec![vec![self.shared.with(|state| state.settings.show(name))?]],
            None => self.shared.with(|state| {
                let all = known().iter().map(|known| {
                    let value = state.settings.show(known.name).unwrap_or_default();
                    vec![known.name.to_owned(), value, String::new()]
                });
                all.collect()
            }),
        };
        let arrays = (0..columns.len())
            .map(|place| {
                let texts = values.iter().map(|row| row.get(place).map(String::as_str));
                Arc::new(texts.collect::<StringViewArray>()) as ArrayRef
            })
            .collect();
        let fields: Vec<Field> = columns
            .iter()
            .map(|column| Field::new(&column.name, DataType::Utf8View, true))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?;
        Ok(rows(columns, batch, "SHOW", false))
    }

    fn prepare_named(
        &mut self,
        name: &str,
        types: &[SqlType],
        inner: &Tree,
        text: &str,
        whole: &str,
    ) -> Result<(), Error> {
        if self.prepared.contains_key(name) {
            return Err(Error::new(
                SqlState::new(b"42P05"),
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
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
        };
        let given = types
            .iter()
            .map(|ty| self.shared.declared_type(ty).map(Some));
        let given = given.collect::<Result<Vec<Option<SqlType>>, _>>()?;
        let prepared = self.bind_statement(&statement, &given)?;
        self.shared.with(|state| {
            state.prepared.push(PreparedStatement {
                name: name.to_owned(),
                text: whole.to_owned(),
                prepared_us: state.statement_us,
                params: prepared.params.clone(),
                from_sql: true,
            });
        });
        self.prepared.insert(name.to_owned(), prepared);
        Ok(())
    }

    fn forget_prepared(&mut self) {
        self.prepared.clear();
        self.shared.with(|state| state.prepared.clear());
    }

    pub(super) fn named(&self, name: &str) -> Result<Arc<Prepared>, Error> {
        self.prepared
            .get(name)
            .cloned()
            .ok_or_else(|| no_statement(name))
    }

    pub(super) async fn execute_named(
        &mut self,
        name: &str,
        args: &[ast::Expr],
    ) -> Result<Outcome, Error> {
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
        // Boxed: a prepared EXECUTE could run another one.
        Box::pin(self.rerun(&prepared, &values)).await
    }
}

fn no_statement(name: &str) -> Error {
    Error::new(
        SqlState::new(b"26000"),
        format!("prepared statement \"{name}\" does not exist"),
    )
}
