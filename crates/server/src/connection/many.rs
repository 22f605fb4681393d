//! Runs of one statement that a client sends one behind the other, as drivers send `executemany`:
//! made in one go where nobody can tell the difference.

use std::sync::Arc;

use pgwire::messages::PgWireFrontendMessage as Message;
use pgwire::messages::extendedquery::{Bind, TARGET_TYPE_BYTE_PORTAL};

use super::extended::{Portal, formats};
use super::{Connection, Stop};
use crate::backend::{Described, Parameter};
use crate::guard::Incoming;
use crate::out;
use crate::wire::End;

/// What every run of a statement that repeats is told.
const TAG: &str = "INSERT 0 1";

/// One run: what it is given, and whether the client wants its columns described.
struct Run {
    given: Vec<Parameter>,
    described: bool,
}

impl Connection {
    /// Bind, and all that is here already of the runs that begin with it.
    pub(super) async fn bind_or_run(&mut self, first: Bind) -> Result<(), Stop> {
        if self.one_by_one > 0 {
            self.one_by_one -= 1;
            return self.bind(first);
        }
        let Some(statement) = self.repeating(&first) else {
            return self.bind(first);
        };
        let mut runs = Vec::new();
        let mut messages = Vec::new();
        let mut whole = 0;
        let mut given = given(&first, &statement);
        while let Some(of_run) = given.take() {
            let Some(described) = self.executed(&mut messages)? else {
                break;
            };
            runs.push(Run {
                given: of_run,
                described,
            });
            whole = messages.len();
            let Some(next) = self.wire.buffered()? else {
                break;
            };
            if let Incoming::Message(Message::Bind(next)) = &next
                && next.portal_name == first.portal_name
                && next.statement_name == first.statement_name
            {
                given = self::given(next, &statement);
            }
            messages.push(next);
        }
        let rest = messages.split_off(whole);
        self.wire.unread(rest);
        if runs.len() > 1 && self.at_once(&statement, &runs).await? {
            self.portals.insert(
                String::new(),
                Portal::done(Arc::clone(&statement), TAG.to_owned()),
            );
            return Ok(());
        }
        self.wire.unread(messages);
        self.one_by_one = runs.len().saturating_sub(1);
        self.bind(first)
    }

    /// The statement of a Bind, if its runs may be made in one go.
    fn repeating(&mut self, bind: &Bind) -> Option<Arc<Described>> {
        if bind
            .portal_name
            .as_ref()
            .is_some_and(|name| !name.is_empty())
        {
            return None;
        }
        let name = bind.statement_name.as_deref().unwrap_or_default();
        let statement = self.statement(name).ok().flatten()?;
        self.session.repeats(&statement).then_some(statement)
    }

    /// Reads what runs a portal without a name, whether a Describe is before it; None when something
    /// else is next, or nothing yet.
    fn executed(&mut self, messages: &mut Vec<Incoming>) -> Result<Option<bool>, End> {
        let mut described = false;
        while let Some(next) = self.wire.buffered()? {
            let unnamed = |name: &Option<String>| name.as_deref().unwrap_or_default().is_empty();
            let runs = match &next {
                Incoming::Message(Message::Execute(of)) => unnamed(&of.name).then_some(true),
                Incoming::Message(Message::Describe(of))
                    if of.target_type == TARGET_TYPE_BYTE_PORTAL && !described =>
                {
                    unnamed(&of.name).then_some(false)
                }
                _ => None,
            };
            messages.push(next);
            match runs {
                Some(true) => return Ok(Some(described)),
                Some(false) => described = true,
                None => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Makes runs in one go; false when nothing was done.
    async fn at_once(&mut self, statement: &Described, runs: &[Run]) -> Result<bool, Stop> {
        let given: Vec<&[Parameter]> = runs.iter().map(|run| run.given.as_slice()).collect();
        let work = self.session.execute_many(statement, &given);
        if !self.wire.watched(work).await? {
            return Ok(false);
        }
        self.notices();
        for run in runs {
            out::bare(&mut self.wire.out, b'2');
            if run.described {
                out::bare(&mut self.wire.out, b'n');
            }
            out::complete(&mut self.wire.out, TAG);
        }
        Ok(true)
    }
}

/// What a Bind gives a statement's parameters; None where its counts do not fit.
fn given(bind: &Bind, statement: &Described) -> Option<Vec<Parameter>> {
    let count = bind.parameters.len();
    if count != statement.params.len() {
        return None;
    }
    let codes = formats(&bind.parameter_format_codes, count)?.ok()?;
    let values = bind.parameters.iter().zip(codes);
    let values = values.map(|(value, binary)| Parameter {
        binary,
        value: value.clone(),
    });
    Some(values.collect())
}
