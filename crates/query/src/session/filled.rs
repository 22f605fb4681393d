//! Statements of the simple protocol that differ from earlier ones in their constants alone.
//!
//! A driver that writes values into its texts sends another text each time. The third of a kind is
//! neither read nor bound: its constants are the parameters of the statement that was bound for the
//! kind. Wherever that does not work out, the text is read as it stands, and what is wrong with it is
//! told of as ever.

use std::sync::{Arc, OnceLock};

use arrow::array::ArrayRef;
use chronolith_sql::{Constants, constants_apart, normalised};
use parking_lot::Mutex;

use super::execute::Ready;
use super::handle::{Prepared, Session, Statement};
use super::names::SessionNames;
use crate::audit::masked;
use crate::error::Error;
use crate::outcome::Outcome;

/// A statement of a kind, and the values of its constants.
#[derive(Debug)]
pub(crate) struct Filled {
    /// The kind's own, with parameters.
    pub(super) of: Arc<Prepared>,
    pub(super) values: Vec<ArrayRef>,
}

impl Filled {
    /// It as a bound statement without parameters.
    pub(super) fn prepared(self: &Arc<Self>, statement: &Statement) -> Arc<Prepared> {
        // All of a kind are one statement to those who count them.
        let normal = self.of.normal.get_or_init(|| {
            let text = masked(&statement.text);
            Arc::new(normalised(&text, false))
        });
        let normal = OnceLock::from(Arc::clone(normal));
        Arc::new(Prepared {
            params: Vec::new(),
            columns: self.of.columns.clone(),
            statement: statement.clone(),
            given: Vec::new(),
            ready: Ready::Filled(Arc::clone(self)),
            bound_to: self.of.bound_to.clone(),
            lasts: false,
            renewed: Mutex::default(),
            point: OnceLock::new(),
            normal,
        })
    }
}

impl Session {
    /// As [`Session::parse`], for a message of the simple protocol: one that is of a kind that came
    /// before is not read.
    ///
    /// # Errors
    /// 42601 for the first statement that is none.
    pub fn parse_message(&mut self, sql: &str) -> Result<Vec<Statement>, Error> {
        let constants = match self.recent.statements(sql) {
            Some(_) => None,
            None => constants_apart(sql),
        };
        // A kind that cannot be bound may have texts that come again as they stand.
        let constants = constants.filter(|of| !self.recent.is_refused(&kind(of)));
        let Some(constants) = constants else {
            return self.parse(sql);
        };
        self.arrives(sql)?;
        if let Some(statement) = self.filled(sql, &constants) {
            return Ok(vec![statement]);
        }
        let mut statements = self.read(sql)?;
        if let [statement] = statements.as_mut_slice() {
            statement.constants = Some(Arc::new(constants));
        }
        Ok(statements)
    }

    /// A statement of a kind that is bound.
    fn filled(&mut self, sql: &str, constants: &Constants) -> Option<Statement> {
        let of = Arc::clone(self.recent.bound_as(&kind(constants))?);
        if of.bound_to != self.bound_to() || self.has_own_catalog() {
            return None;
        }
        let values = constants.values.iter();
        let values = values.map(|value| (false, Some(value.as_bytes())));
        let values = self.parameters(&of, values).ok()?;
        Some(Statement {
            parsed: Arc::clone(&of.statement.parsed),
            text: sql.into(),
            skipped: None,
            constants: None,
            filled: Some(Arc::new(Filled { of, values })),
        })
    }

    /// A statement was bound as it stands: if others of its kind came, so is the kind.
    pub(super) fn learn(&mut self, prepared: &Prepared) {
        let Some(constants) = &prepared.statement.constants else {
            return;
        };
        let text = kind(constants);
        let again = prepared.lasts && self.recent.comes_again(&text);
        if !again || self.has_own_catalog() {
            return;
        }
        let now = &prepared.bound_to;
        let known = self.recent.bound_as(&text);
        if known.is_some_and(|known| known.bound_to == *now) || self.recent.is_refused(&text) {
            return;
        }
        match self.kind_of(constants, prepared) {
            Some(of) => {
                self.recent.add(&text, std::slice::from_ref(&of.statement));
                self.recent.keep(&of);
            }
            None => self.recent.add(&text, &[]),
        }
    }

    /// A statement's kind, bound; None where a parameter is not as good as a constant.
    fn kind_of(&mut self, constants: &Constants, one: &Prepared) -> Option<Arc<Prepared>> {
        let mut parsed = chronolith_sql::parse(&constants.shape).ok()?;
        let parsed = parsed.pop().filter(|_| parsed.is_empty())?;
        let statement = Statement {
            parsed: Arc::new(parsed),
            text: constants.shape.as_str().into(),
            skipped: Some(0),
            constants: None,
            filled: None,
        };
        let names = SessionNames::new(&self.shared).ok()?;
        let of = self.bind_among(&names, &statement, &constants.types).ok()?;
        let same = of.columns == one.columns && of.params.len() == constants.types.len();
        (same && of.lasts).then_some(of)
    }

    /// Runs one that was bound before: as it stands, if names have come to mean something else.
    pub(super) async fn run_filled(
        &mut self,
        prepared: &Prepared,
        filled: &Filled,
    ) -> Result<Outcome, Error> {
        if filled.of.bound_to == self.bound_to() {
            return self.rerun(&filled.of, &filled.values).await;
        }
        let text = Arc::clone(&prepared.statement.text);
        let statements = self.read(&text)?;
        let statement = statements.first();
        let statement = statement.ok_or_else(|| Error::internal("a statement of nothing"))?;
        let again = self.bind_statement(statement, &[]);
        let again = again.map_err(|error| statement.placed(error))?;
        self.rerun(&again, &[]).await
    }
}

/// What a kind is kept by: its text, and the types and sizes of its constants.
fn kind(constants: &Constants) -> String {
    let mut text = constants.shape.clone();
    for size in &constants.sizes {
        // No text of a statement has it: it would end there. Sizes of different types differ.
        text.push('\0');
        text.push_str(&size.to_string());
    }
    text
}
