//! Loops.

use chronolith_sql::plpgsql::{Sql, Stmt, StmtKind, Target, Wanted};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::exec::{Flow, Work, named};
use super::frame::{Datum, Names, Slot};
use super::machine::{Machine, items};
use crate::error::Error;

/// What a turn of a loop leads to.
enum Turn {
    On,
    Out(Flow),
}

/// The bounds of a loop over numbers.
struct Range<'a> {
    variable: &'a str,
    reverse: bool,
    from: &'a Sql,
    to: &'a Sql,
    by: Option<&'a Sql>,
}

impl Machine<'_> {
    pub(super) fn looping<'a>(&'a mut self, statement: &'a StmtKind) -> Work<'a, Flow> {
        Box::pin(async move {
            match statement {
                StmtKind::Loop { label, body } => loop {
                    if let Turn::Out(flow) = self.turn(label.as_deref(), body).await? {
                        return Ok(flow);
                    }
                },
                StmtKind::While {
                    label,
                    condition,
                    body,
                } => {
                    while self.truth(condition).await? {
                        if let Turn::Out(flow) = self.turn(label.as_deref(), body).await? {
                            return Ok(flow);
                        }
                    }
                    Ok(Flow::Next)
                }
                StmtKind::ForRange {
                    label,
                    variable,
                    reverse,
                    from,
                    to,
                    by,
                    body,
                } => {
                    let range = Range {
                        variable,
                        reverse: *reverse,
                        from,
                        to,
                        by: by.as_ref(),
                    };
                    self.numbers(label.as_deref(), &range, body).await
                }
                StmtKind::ForQuery {
                    label,
                    targets,
                    query,
                    body,
                } => self.rows(label.as_deref(), targets, query, body).await,
                StmtKind::ForEach {
                    label,
                    targets,
                    array,
                    body,
                } => self.each(label.as_deref(), targets, array, body).await,
                _ => Err(Error::internal("a loop of no kind")),
            }
        })
    }

    /// Runs the body of a loop once.
    async fn turn(&mut self, label: Option<&str>, body: &[Stmt]) -> Result<Turn, Error> {
        self.session.shared.cancel.check()?;
        let own = |named: &Option<String>| named.is_none() || named.as_deref() == label;
        Ok(match self.statements(body).await? {
            Flow::Next => Turn::On,
            Flow::Exit(named) if own(&named) => Turn::Out(Flow::Next),
            Flow::Continue(named) if own(&named) => Turn::On,
            other => Turn::Out(other),
        })
    }

    async fn bound(&mut self, sql: &Sql, what: &str) -> Result<i32, Error> {
        match self.value(sql, Some(&SqlType::Int4)).await? {
            (ScalarValue::Int32(Some(value)), _) => Ok(value),
            _ => Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("{what} of FOR loop cannot be null"),
            )),
        }
    }

    async fn numbers(
        &mut self,
        label: Option<&str>,
        range: &Range<'_>,
        body: &[Stmt],
    ) -> Result<Flow, Error> {
        let mut at = self.bound(range.from, "lower bound").await?;
        let last = self.bound(range.to, "upper bound").await?;
        let step = match range.by {
            Some(by) => self.bound(by, "BY value").await?,
            None => 1,
        };
        if step <= 0 {
            return Err(Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "BY value of FOR loop must be greater than zero",
            ));
        }
        let data = self.frame.data.len();
        self.frame.scopes.push(Names {
            label: label.map(str::to_owned),
            names: Vec::new(),
        });
        let slot = Slot::null(range.variable, SqlType::Int4)?;
        let place = self.frame.declare(range.variable, Datum::Value(slot));
        let mut done = Ok(Flow::Next);
        let mut any = false;
        while (range.reverse && at >= last) || (!range.reverse && at <= last) {
            any = true;
            if let Some(Datum::Value(slot)) = self.frame.data.get_mut(place) {
                slot.value = ScalarValue::Int32(Some(at));
            }
            match self.turn(label, body).await {
                Ok(Turn::On) => {}
                Ok(Turn::Out(flow)) => {
                    done = Ok(flow);
                    break;
                }
                Err(error) => {
                    done = Err(error);
                    break;
                }
            }
            let next = match range.reverse {
                true => at.checked_sub(step),
                false => at.checked_add(step),
            };
            match next {
                Some(next) => at = next,
                None => break,
            }
        }
        self.frame.scopes.pop();
        self.frame.data.truncate(data);
        self.set_found(any);
        done
    }

    async fn rows(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        query: &Wanted,
        body: &[Stmt],
    ) -> Result<Flow, Error> {
        let ran = match query {
            Wanted::Fixed(command) => self.ran(command).await?,
            Wanted::Made(text, using) => self.made(text, using).await?,
        };
        let columns = named(&ran.columns);
        let mut any = false;
        let mut flow = Flow::Next;
        'rows: for batch in &ran.batches {
            for at in 0..batch.num_rows() {
                any = true;
                let values = batch
                    .columns()
                    .iter()
                    .map(|column| ScalarValue::try_from_array(column, at))
                    .collect::<Result<Vec<_>, _>>()?;
                self.spread(targets, &columns, Some(values)).await?;
                if let Turn::Out(out) = self.turn(label, body).await? {
                    flow = out;
                    break 'rows;
                }
            }
        }
        if !any {
            self.spread(targets, &columns, None).await?;
        }
        self.set_found(any);
        Ok(flow)
    }

    async fn each(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        array: &Sql,
        body: &[Stmt],
    ) -> Result<Flow, Error> {
        let (array, ty) = self.value(array, None).await?;
        if array.is_null() {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "FOREACH expression must not be null",
            ));
        }
        let SqlType::Array(element) = ty else {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("FOREACH expression must yield an array, not type {ty}"),
            ));
        };
        let columns = [("item".to_owned(), *element)];
        let mut any = false;
        let mut flow = Flow::Next;
        for item in items(Some(&array))? {
            any = true;
            self.spread(targets, &columns, Some(vec![item])).await?;
            if let Turn::Out(out) = self.turn(label, body).await? {
                flow = out;
                break;
            }
        }
        self.set_found(any);
        Ok(flow)
    }
}
