//! Cursors: OPEN, FETCH, MOVE, CLOSE, and loops over them.

use std::sync::Arc;

use chronolith_sql::plpgsql::{Bound, Command, Direction, Into, Open, Sql, Stmt, Target};
use chronolith_sql::{Declare, FetchDirection, Parsed, Statement as Tree, TypeRef};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::bind::Ran;
use super::exec::{Flow, Work, named};
use super::frame::{Datum, Names, Row, Slot};
use super::loops::Turn;
use super::machine::Machine;
use crate::bind::changes;
use crate::ddl::declared;
use crate::error::Error;

/// A loop over a cursor.
pub(super) struct Over<'a> {
    pub label: Option<&'a str>,
    pub variable: &'a str,
    pub cursor: &'a str,
    pub bound: &'a Bound,
    pub args: &'a [Sql],
    pub body: &'a [Stmt],
}

impl Machine<'_> {
    /// The name of the cursor in a variable; None where it is NULL.
    fn cursor_in(&self, variable: &str) -> Result<Option<String>, Error> {
        let place = self.place(&[variable.to_owned()])?;
        let unfit = || {
            Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("variable \"{variable}\" must be of type cursor or refcursor"),
            )
        };
        match (self.frame.data.get(place.datum), place.field) {
            (Some(Datum::Value(slot)), None) if slot.ty == SqlType::Refcursor => {
                match &slot.value {
                    ScalarValue::Utf8View(name) => Ok(name.clone()),
                    _ => Ok(None),
                }
            }
            _ => Err(unfit()),
        }
    }

    fn name_cursor(&mut self, variable: &str, name: Option<String>) -> Result<(), Error> {
        let place = self.place(&[variable.to_owned()])?;
        self.put(place, ScalarValue::Utf8View(name), &SqlType::Refcursor)
    }

    fn open_one(&self, variable: &str) -> Result<String, Error> {
        self.cursor_in(variable)?.ok_or_else(|| {
            Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("cursor variable \"{variable}\" is null"),
            )
        })
    }

    /// OPEN.
    pub(super) async fn open(&mut self, variable: &str, how: &Open) -> Result<(), Error> {
        let given = self.cursor_in(variable)?;
        let name = match &given {
            Some(name) => name.clone(),
            None => self.session.unnamed_cursor(),
        };
        if self.session.cursor_columns(&name).is_some() {
            return Err(Error::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already in use"),
            ));
        }
        match how {
            Open::Bound(bound, args) => self.open_bound(&name, bound, args).await?,
            Open::Fixed(scroll, query) => self.open_query(&name, *scroll, query).await?,
            Open::Made(scroll, text, using) => {
                let (text, values) = self.dynamic_text(text, using).await?;
                self.open_made(&name, *scroll, &text, values).await?;
            }
        }
        match given {
            Some(_) => Ok(()),
            None => self.name_cursor(variable, Some(name)),
        }
    }

    /// The query of a cursor, with its arguments as variables.
    async fn open_bound(&mut self, name: &str, of: &Bound, args: &[Sql]) -> Result<(), Error> {
        let shared = Arc::clone(&self.session.shared);
        let mut slots = Vec::with_capacity(args.len());
        for ((arg, ty), value) in of.args.iter().zip(args) {
            let home = shared.home()?;
            let ty = match ty {
                TypeRef::Known(ty) => shared.declared_type(ty)?,
                other => declared(&shared, &home, other)?.0,
            };
            let (value, _) = self.value(value, Some(&ty)).await?;
            let mut slot = Slot::null(arg, ty)?;
            if !value.is_null() {
                slot.value = value;
            }
            slots.push(slot);
        }
        let data = self.frame.data.len();
        self.frame.scopes.push(Names {
            label: Some(of.name.clone()),
            names: Vec::new(),
        });
        for slot in slots {
            let arg = slot.name.clone();
            self.frame.declare(&arg, Datum::Value(slot));
        }
        let opened = self.open_query(name, of.scroll, &of.query).await;
        self.frame.scopes.pop();
        self.frame.data.truncate(data);
        opened
    }

    async fn open_query(
        &mut self,
        name: &str,
        scroll: Option<bool>,
        command: &Command,
    ) -> Result<(), Error> {
        let tree = &command.parsed.statement;
        let done = match as_declared(tree, scroll, &command.text) {
            Some(parsed) => {
                self.before(tree, &command.parsed.tag, false)?;
                let bound = self.bound_to_variables(command.id, &command.text, &parsed);
                match bound {
                    Ok((prepared, values)) => {
                        let opened = self.session.open_as(&prepared, name, values);
                        Box::pin(opened).await
                    }
                    Err(error) => Err(error),
                }
            }
            None => match self.command(command).await {
                Ok(ran) => self.open_rows(name, scroll, &command.parsed.tag, &command.text, ran),
                Err(error) => Err(error),
            },
        };
        done.map_err(|error| super::exec::quoted(error, &command.text))
    }

    async fn open_made(
        &mut self,
        name: &str,
        scroll: Option<bool>,
        text: &str,
        using: Vec<(ScalarValue, SqlType)>,
    ) -> Result<(), Error> {
        let mut parsed = chronolith_sql::parse(text)?;
        let one = parsed.pop().filter(|_| parsed.is_empty());
        let one = one.ok_or_else(|| {
            Error::new(
                SqlState::INVALID_CURSOR_DEFINITION,
                "cannot open multi-query plan as cursor",
            )
        })?;
        let done = match as_declared(&one.statement, scroll, text) {
            Some(parsed) => {
                self.before(&one.statement, &one.tag, true)?;
                let bound = self.bound_with(text, parsed, &using);
                match bound {
                    Ok((prepared, values)) => {
                        let opened = self.session.open_as(&prepared, name, values);
                        Box::pin(opened).await
                    }
                    Err(error) => Err(error),
                }
            }
            None => match self.dynamic(text, using).await {
                Ok(ran) => self.open_rows(name, scroll, &one.tag, text, ran),
                Err(error) => Err(error),
            },
        };
        done.map_err(|error| super::exec::quoted(error, text))
    }

    /// A cursor over rows that a statement gave which did something else beside.
    fn open_rows(
        &mut self,
        name: &str,
        scroll: Option<bool>,
        tag: &str,
        text: &str,
        ran: Ran,
    ) -> Result<(), Error> {
        if !ran.rows {
            let verb = tag.split(' ').next().unwrap_or(tag);
            return Err(Error::new(
                SqlState::INVALID_CURSOR_DEFINITION,
                format!("cannot open {verb} query as cursor"),
            ));
        }
        self.session
            .open_over(name, scroll, text, ran.columns, ran.batches)
    }

    /// FETCH and MOVE.
    pub(super) async fn fetch(
        &mut self,
        variable: &str,
        direction: &Direction,
        into: Option<&Into>,
    ) -> Result<(), Error> {
        let name = self.open_one(variable)?;
        let direction = self.direction(direction).await?;
        let ran = self.fetched(&name, &direction).await?;
        self.row_count = ran.count;
        self.set_found(ran.count > 0);
        match into {
            None => Ok(()),
            Some(into) => {
                let columns = named(&ran.columns);
                self.spread(&into.targets, &columns, ran.row(0)?).await
            }
        }
    }

    async fn fetched(&mut self, name: &str, direction: &FetchDirection) -> Result<Ran, Error> {
        let (columns, batches) = self.session.fetch_all(name, direction).await?;
        Ok(Ran {
            columns,
            count: batches.iter().map(|batch| batch.num_rows() as u64).sum(),
            batches,
            rows: true,
            changes: false,
        })
    }

    async fn direction(&mut self, of: &Direction) -> Result<FetchDirection, Error> {
        let (count, make): (&Sql, fn(i64) -> FetchDirection) = match of {
            Direction::Fixed(direction) => return Ok(*direction),
            Direction::Absolute(count) => (count, FetchDirection::Absolute),
            Direction::Relative(count) => (count, FetchDirection::Relative),
            Direction::Forward(count) => (count, FetchDirection::Forward),
            Direction::Backward(count) => (count, |count| FetchDirection::Forward(-count)),
        };
        match self.value(count, Some(&SqlType::Int4)).await? {
            (ScalarValue::Int32(Some(count)), _) => Ok(make(count.into())),
            _ => Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "relative or absolute cursor position is null",
            )),
        }
    }

    /// CLOSE.
    pub(super) fn close(&mut self, variable: &str) -> Result<(), Error> {
        let name = self.open_one(variable)?;
        match self.session.cursor_close(&name) {
            true => Ok(()),
            false => Err(Error::new(
                SqlState::INVALID_CURSOR_NAME,
                format!("cursor \"{name}\" does not exist"),
            )),
        }
    }

    /// A loop over a cursor, which it opens and closes.
    pub(super) fn over_cursor<'a>(&'a mut self, of: Over<'a>) -> Work<'a, Flow> {
        Box::pin(async move {
            let given = self.cursor_in(of.cursor)?;
            // Only the query is asked for: what the loop opens has the name of its variable.
            let bound = Open::Bound(Arc::new(of.bound.clone()), of.args.to_vec());
            self.open(of.cursor, &bound).await?;
            let name = self.open_one(of.cursor)?;
            self.session.between.looped.push(name.clone());
            let (data, scopes) = (self.frame.data.len(), self.frame.scopes.len());
            self.frame.scopes.push(Names {
                label: of.label.map(str::to_owned),
                names: Vec::new(),
            });
            let row = Datum::Row(Row::record(of.variable));
            self.frame.declare(of.variable, row);
            let done = self.cursor_turns(&name, &of).await;
            self.frame.scopes.truncate(scopes);
            self.frame.data.truncate(data);
            self.session.between.looped.pop();
            self.session.cursor_close(&name);
            let (flow, any) = done?;
            if given.is_none() {
                self.name_cursor(of.cursor, None)?;
            }
            self.set_found(any);
            Ok(flow)
        })
    }

    async fn cursor_turns(&mut self, name: &str, of: &Over<'_>) -> Result<(Flow, bool), Error> {
        let target = [Target {
            parts: vec![of.variable.to_owned()],
            index: None,
        }];
        let mut any = false;
        loop {
            let ran = self.fetched(name, &FetchDirection::Forward(1)).await?;
            let row = ran.row(0)?;
            let last = row.is_none();
            if !last || !any {
                self.spread(&target, &named(&ran.columns), row).await?;
            }
            if last {
                return Ok((Flow::Next, any));
            }
            any = true;
            if let Turn::Out(flow) = self.turn(of.label, of.body).await? {
                return Ok((flow, any));
            }
        }
    }

    /// Cursors that were opened since go with what is undone.
    pub(super) fn close_since(&mut self, known: &[String]) {
        let open = self.open_cursors();
        for name in open.iter().filter(|name| !known.contains(name)) {
            self.session.cursor_close(name);
        }
    }

    pub(super) fn open_cursors(&self) -> Vec<String> {
        let shared = &self.session.shared;
        shared.with(|state| state.cursors.keys().cloned().collect())
    }
}

/// A query as a DECLARE of a cursor; None for what does something beside giving rows.
fn as_declared(tree: &Tree, scroll: Option<bool>, text: &str) -> Option<Arc<Parsed>> {
    let Tree::Query(query) = tree else {
        return None;
    };
    if changes(query) {
        return None;
    }
    let declare = Declare {
        name: String::new(),
        binary: false,
        hold: false,
        scroll,
        query: query.clone(),
        text: text.to_owned(),
    };
    Some(Arc::new(Parsed {
        statement: Tree::Declare(Box::new(declare)),
        range: 0..0,
        tag: "DECLARE CURSOR".to_owned(),
    }))
}
