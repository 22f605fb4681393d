//! Statements about the session itself: settings, prepared statements.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::Privilege;
use chronolith_sql::{Discard, SettingChange, Statement as Tree};
use chronolith_types::{SqlState, SqlType};

use super::execute::{command, rows};
use super::handle::Session;
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
                    self.set_transaction(modes)?;
                }
            }
            Tree::SetSnapshot(name) => self.set_snapshot(name)?,
            Tree::Prepare {
                name,
                types,
                inner,
                text,
            } => self.prepare_named(name, types, inner, text, whole)?,
            Tree::Deallocate(name) => self.deallocate(name.as_deref())?,
            Tree::Discard(what) => self.discard(*what)?,
            // Statistics and dead rows are kept in order by themselves.
            Tree::Vacuum { tables, .. } | Tree::Analyze { tables } => {
                self.shared.check_there(tables)?;
            }
            Tree::Maintain {
                tag: what,
                name,
                index,
            } => match *what {
                "CHECKPOINT" => {
                    let engine = Arc::clone(&self.shared.instance.engine);
                    super::shared::blocking(|| engine.checkpoint())?;
                }
                // What is indexed here is part of the chunks, and never in disorder.
                "REINDEX" => {
                    self.shared.check_reindex(name.as_ref())?;
                }
                // Parts are sorted whenever they are packed, by their own order.
                "CLUSTER" => self.shared.check_cluster(name.as_ref(), index.as_ref())?,
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
        let scope = if local { Scope::Local } else { Scope::Session };
        if local && self.outside_block() {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
        }
        self.shared.may_set(&change.name)?;
        let Some(value) = &change.value else {
            return self.reset(&change.name);
        };
        if self.set_mode_named(&change.name, value)? {
            return Ok(());
        }
        match change.name.as_str() {
            "role" | "session_authorization" => self.become_role(&change.name, value, local),
            name => self
                .shared
                .with(|state| state.settings.set(name, value, scope)),
        }
    }

    fn discard(&mut self, what: Discard) -> Result<(), Error> {
        let all = what == Discard::All;
        if all {
            // As if the client had just connected.
            self.close_cursors();
            self.reset("session_authorization")?;
            self.shared.with(|state| state.settings.reset_all());
            self.forget_prepared();
            self.shared.unlisten(None);
            self.shared.locker.unlock_session_all();
        }
        if all || what == Discard::Temp {
            self.shared.discard_temporary()?;
        }
        if all || what == Discard::Sequences {
            self.shared
                .with(|state| state.sequences = SessionSequences::default());
        }
        if what == Discard::Plans {
            // Those under a name are bound anew where what they read has changed.
            self.recent.clear();
        }
        Ok(())
    }

    fn reset(&mut self, name: &str) -> Result<(), Error> {
        match name {
            "role" | "session_authorization" => {
                let session = name == "session_authorization";
                self.shared.with(|state| {
                    let own = match session {
                        true => state.login.clone(),
                        false => state.session_user.clone(),
                    };
                    state.become_role(&own, session, false);
                });
                Ok(())
            }
            name => {
                self.shared.may_set(name)?;
                self.shared.with(|state| state.settings.reset(name))
            }
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
                SqlState::INVALID_PARAMETER_VALUE,
                format!("role \"{name}\" does not exist"),
            )
        })?;
        let session = what == "session_authorization";
        let (login, session_user) = self
            .shared
            .with(|state| (state.login.clone(), state.session_user.clone()));
        // Whoever is a superuser when he logs in may become anybody, and come back.
        let own = catalog.role_named(if session { &login } else { &session_user });
        let superuser = own.is_some_and(|own| own.may(Privilege::Superuser));
        if session && !superuser && login != name {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                "permission denied to set session authorization",
            ));
        }
        let may = session || own.is_some_and(|own| catalog.is_member(own.id, role.id));
        if !may {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to set role \"{name}\""),
            ));
        }
        self.shared
            .with(|state| state.become_role(&role.name, session, local));
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
            if let Some(deferrable) = modes.deferrable {
                let value = if deferrable { "on" } else { "off" };
                set.set("default_transaction_deferrable", value, Scope::Session)?;
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
            Some("session_authorization") => {
                vec![vec![self.shared.with(|state| state.session_user.clone())]]
            }
            Some("role") => {
                let own = |state: &mut super::shared::State| match state.user == state.session_user
                {
                    true => "none".to_owned(),
                    false => state.user.clone(),
                };
                vec![vec![self.shared.with(own)]]
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
}
