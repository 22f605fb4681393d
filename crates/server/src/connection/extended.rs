//! The extended protocol: Parse, Bind, Describe, Execute, Close.

use std::sync::Arc;

use arrow::array::ArrayRef;
use chronolith_types::{SqlState, SqlType};
use pgwire::messages::extendedquery::{Bind, Close, Describe, Execute, Parse};

use super::results::Rows;
use super::{Connection, Running, Stop};
use crate::backend::{Described, Outcome, Parameter};
use crate::failure::Failure;
use crate::out;

/// Texts up to here are kept while they are read, for the log of a failure.
const LOGGED_BYTES_MAX: usize = 1 << 20;

/// A prepared statement; none inside for the empty one.
pub(super) type Prepared = Option<Arc<Described>>;

pub(super) struct Portal {
    statement: Prepared,
    params: Vec<ArrayRef>,
    formats: Vec<bool>,
    state: PortalState,
}

impl Portal {
    /// One that has run.
    pub(super) fn done(statement: Arc<Described>, tag: String) -> Self {
        Self {
            statement: Some(statement),
            params: Vec::new(),
            formats: Vec::new(),
            state: PortalState::Done(tag),
        }
    }
}

enum PortalState {
    Ready,
    /// A query that SQL knows as a cursor.
    Cursor,
    Running(Rows),
    Done(String),
}

impl Connection {
    pub(super) async fn parse(&mut self, message: Parse) -> Result<(), Stop> {
        let name = message.name.unwrap_or_default();
        if name.is_empty() {
            self.unnamed = None;
        } else if self.session.kept(&name).is_some() {
            return Err(Failure::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        let types = message
            .type_oids
            .iter()
            .map(|oid| match *oid {
                0 => Ok(None),
                oid => self
                    .session
                    .type_of_oid(oid)
                    .map(|ty| (ty != SqlType::Unknown).then_some(ty))
                    .ok_or_else(|| {
                        Failure::new(
                            SqlState::UNDEFINED_OBJECT,
                            format!("type with OID {oid} does not exist"),
                        )
                    }),
            })
            .collect::<Result<Vec<_>, _>>()?;
        // Of a long one the log has no need.
        if message.query.len() <= LOGGED_BYTES_MAX {
            self.running = Running::Text(message.query.clone());
        }
        let statements = self.session.parse(&message.query)?;
        let prepared = match statements.as_slice() {
            [] => None,
            [one] => {
                let work = self.session.prepare(one, &types);
                Some(Arc::new(self.wire.watched(work).await??))
            }
            _ => {
                return Err(Failure::new(
                    SqlState::SYNTAX_ERROR,
                    "cannot insert multiple commands into a prepared statement",
                )
                .into());
            }
        };
        match name.is_empty() {
            true => self.unnamed = Some(prepared),
            false => self.session.keep(&name, prepared.as_ref())?,
        }
        out::bare(&mut self.wire.out, b'1');
        Ok(())
    }

    pub(super) fn statement(&mut self, name: &str) -> Result<Prepared, Failure> {
        let found = match name.is_empty() {
            true => self.unnamed.clone(),
            false => self.session.kept(name),
        };
        found.ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Failure::new(SqlState::INVALID_SQL_STATEMENT_NAME, message)
        })
    }

    fn no_portal(name: &str) -> Failure {
        Failure::new(
            SqlState::INVALID_CURSOR_NAME,
            format!("portal \"{name}\" does not exist"),
        )
    }

    pub(super) fn bind(&mut self, message: Bind) -> Result<(), Stop> {
        let portal = message.portal_name.unwrap_or_default();
        let name = message.statement_name.unwrap_or_default();
        let statement = self.statement(&name)?;
        if let Some(statement) = &statement {
            self.running = Running::Statement {
                portal: portal.clone(),
                statement: Arc::clone(statement),
                params: Vec::new(),
            };
        }
        let wanted = statement.as_ref().map_or(0, |s| s.params.len());
        let given = message.parameters.len();
        if given != wanted {
            return Err(Failure::protocol(format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {wanted}"
            ))
            .into());
        }
        let codes = formats(&message.parameter_format_codes, given).ok_or_else(|| {
            Failure::protocol(format!(
                "bind message has {} parameter formats but {given} parameters",
                message.parameter_format_codes.len()
            ))
        })??;
        let width = statement.as_ref().map_or(0, |s| s.columns.len());
        let results = if width == 0 {
            Vec::new()
        } else {
            formats(&message.result_column_format_codes, width).ok_or_else(|| {
                Failure::protocol(format!(
                    "bind message has {} result formats but query has {width} columns",
                    message.result_column_format_codes.len()
                ))
            })??
        };
        let given: Vec<Parameter> = message
            .parameters
            .into_iter()
            .zip(codes)
            .map(|(value, binary)| Parameter { binary, value })
            .collect();
        let params = match &statement {
            Some(statement) => self.session.parameters(statement, &given)?,
            None => Vec::new(),
        };
        self.forget_closed(&portal);
        if portal.is_empty() {
            self.portals.remove("");
        } else if self.portals.contains_key(&portal) || self.session.cursor(&portal).is_some() {
            return Err(Failure::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{portal}\" already exists"),
            )
            .into());
        }
        let mut state = PortalState::Ready;
        if !portal.is_empty()
            && let Some(statement) = &statement
            && self.session.portal(&portal, statement, &params)?
        {
            state = PortalState::Cursor;
        }
        self.portals.insert(
            portal,
            Portal {
                statement,
                params,
                formats: results,
                state,
            },
        );
        out::bare(&mut self.wire.out, b'2');
        Ok(())
    }

    pub(super) fn describe(&mut self, message: &Describe) -> Result<(), Stop> {
        let name = message.name.as_deref().unwrap_or_default();
        let (statement, formats) = if message.target_type == b'S' {
            let statement = self.statement(name)?;
            let params = statement.as_ref().map_or(&[][..], |s| &s.params);
            out::parameters(&mut self.wire.out, params.iter().map(SqlType::oid));
            (statement, &[][..])
        } else {
            self.forget_closed(name);
            match (self.portals.get(name), self.session.cursor(name)) {
                (Some(portal), _) => (portal.statement.clone(), portal.formats.as_slice()),
                (None, Some(columns)) => {
                    out::row_description(&mut self.wire.out, &columns, |_| false);
                    return Ok(());
                }
                (None, None) => return Err(Self::no_portal(name).into()),
            }
        };
        match statement {
            Some(statement) if !statement.columns.is_empty() => {
                out::row_description(&mut self.wire.out, &statement.columns, |index| {
                    formats.get(index).copied().unwrap_or(false)
                });
            }
            _ => out::bare(&mut self.wire.out, b'n'),
        }
        Ok(())
    }

    pub(super) async fn execute(&mut self, message: Execute) -> Result<(), Stop> {
        let name = message.name.unwrap_or_default();
        let limit = usize::try_from(message.max_rows).ok().filter(|n| *n > 0);
        self.forget_closed(&name);
        if self.session.cursor(&name).is_some() {
            let portal = self.portals.get(&name);
            let formats = portal.map_or_else(Vec::new, |portal| portal.formats.clone());
            return self.run_cursor(&name, limit, formats).await;
        }
        // Taken out while it runs: a portal that fails is gone.
        let mut portal = self
            .portals
            .remove(&name)
            .ok_or_else(|| Self::no_portal(&name))?;
        let Some(statement) = portal.statement.clone() else {
            out::bare(&mut self.wire.out, b'I');
            self.portals.insert(name, portal);
            return Ok(());
        };
        self.running = Running::Statement {
            portal: name.clone(),
            statement: Arc::clone(&statement),
            params: portal.params.clone(),
        };
        if matches!(portal.state, PortalState::Ready) {
            let last = self.wire.syncs_next();
            let work = self.session.execute(&statement, &portal.params, last);
            let outcome = self.wire.watched(work).await??;
            portal.state = match outcome {
                Outcome::Rows {
                    columns,
                    stream,
                    verb,
                    counted,
                } => {
                    let formats = portal.formats.clone();
                    PortalState::Running(Rows::new(columns, formats, stream, verb, counted))
                }
                Outcome::Empty => {
                    out::bare(&mut self.wire.out, b'I');
                    self.portals.insert(name, portal);
                    return Ok(());
                }
                other => {
                    let tag = self.other(other).await?;
                    self.notices();
                    out::complete(&mut self.wire.out, &tag);
                    portal.state = PortalState::Done(tag);
                    self.portals.insert(name, portal);
                    return Ok(());
                }
            };
        }
        match &mut portal.state {
            PortalState::Running(rows) => {
                self.session.resume()?;
                let before = rows.sent;
                if self.send(rows, limit).await? {
                    let shown = rows.sent - before;
                    // The tag counts what this Execute gave, as in PostgreSQL.
                    rows.sent = shown;
                    let tag = rows.tag();
                    self.notices();
                    out::complete(&mut self.wire.out, &tag);
                    rows.sent = 0;
                    portal.state = PortalState::Done(rows.tag());
                } else {
                    out::bare(&mut self.wire.out, b's');
                }
            }
            // A finished query gives no more rows; a finished command may not run again.
            PortalState::Done(tag) if !statement.columns.is_empty() => {
                out::complete(&mut self.wire.out, tag);
            }
            PortalState::Done(_) | PortalState::Ready | PortalState::Cursor => {
                return Err(Failure::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("portal \"{name}\" cannot be run"),
                )
                .into());
            }
        }
        self.portals.insert(name, portal);
        Ok(())
    }

    /// Forgets a portal that SQL closed.
    fn forget_closed(&mut self, name: &str) {
        let portal = self.portals.get(name);
        let is_cursor = portal.is_some_and(|portal| matches!(portal.state, PortalState::Cursor));
        if is_cursor && self.session.cursor(name).is_none() {
            self.portals.remove(name);
        }
    }

    /// Execute of a cursor, which a statement declared or a portal is.
    async fn run_cursor(
        &mut self,
        name: &str,
        limit: Option<usize>,
        formats: Vec<bool>,
    ) -> Result<(), Stop> {
        let count = limit.map_or(0, |limit| u64::try_from(limit).unwrap_or(u64::MAX));
        self.session.resume()?;
        let work = self.session.cursor_rows(name, count);
        let outcome = self.wire.watched(work).await??;
        if let Outcome::Rows {
            columns,
            stream,
            verb,
            counted,
        } = outcome
        {
            let mut rows = Rows::new(columns, formats, stream, verb, counted);
            self.send(&mut rows, None).await?;
            self.notices();
            if count > 0 && rows.sent == count {
                out::bare(&mut self.wire.out, b's');
            } else {
                out::complete(&mut self.wire.out, &rows.tag());
            }
        }
        Ok(())
    }

    pub(super) fn close(&mut self, message: &Close) {
        let name = message.name.as_deref().unwrap_or_default();
        match (message.target_type, name) {
            (b'S', "") => self.unnamed = None,
            (b'S', name) => self.session.forget(name),
            (_, name) => {
                self.portals.remove(name);
                self.session.cursor_close(name);
            }
        }
        out::bare(&mut self.wire.out, b'3');
    }
}

/// Format codes for `count` values: none means text, one is for all; None when they do not fit.
pub(super) fn formats(codes: &[i16], count: usize) -> Option<Result<Vec<bool>, Failure>> {
    let binary = |code: &i16| match code {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(Failure::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unsupported format code: {other}"),
        )),
    };
    match codes {
        [] => Some(Ok(vec![false; count])),
        [one] => Some(binary(one).map(|b| vec![b; count])),
        many if many.len() == count => Some(many.iter().map(binary).collect()),
        _ => None,
    }
}
