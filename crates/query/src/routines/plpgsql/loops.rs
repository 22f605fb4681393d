//! Loops.

use chronolith_sql::plpgsql::{Sql, Stmt, StmtKind, Target, Wanted};
use chronolith_types::array::Shape;
use chronolith_types::text::write_array_item;
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::bind::Ran;
use super::cursors::Over;
use super::exec::{Flow, Work, named};
use super::frame::{Datum, Names, Slot};
use super::machine::{Machine, items};
use crate::error::Error;

/// What a turn of a loop leads to.
pub(super) enum Turn {
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
                StmtKind::ForCursor {
                    label,
                    variable,
                    cursor,
                    bound,
                    args,
                    body,
                } => {
                    let label = label.as_deref();
                    self.over_cursor(Over {
                        label,
                        variable,
                        cursor,
                        bound,
                        args,
                        body,
                    })
                    .await
                }
                StmtKind::ForEach {
                    label,
                    targets,
                    slice,
                    array,
                    body,
                } => {
                    let what = (targets.as_slice(), *slice);
                    self.each(label.as_deref(), what, array, body).await
                }
                _ => Err(Error::internal("a loop of no kind")),
            }
        })
    }

    /// Runs the body of a loop once.
    pub(super) async fn turn(&mut self, label: Option<&str>, body: &[Stmt]) -> Result<Turn, Error> {
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
        self.session.between.changing += usize::from(ran.changes);
        let done = self.over(label, targets, &ran, body).await;
        self.session.between.changing -= usize::from(ran.changes);
        done
    }

    /// The body of a loop for each row that a query gave.
    async fn over(
        &mut self,
        label: Option<&str>,
        targets: &[Target],
        ran: &Ran,
        body: &[Stmt],
    ) -> Result<Flow, Error> {
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
        (targets, slice): (&[Target], u32),
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
        let SqlType::Array(element) = &ty else {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                format!("FOREACH expression must yield an array, not type {ty}"),
            ));
        };
        let (given, item) = match slice {
            0 => (items(Some(&array))?, element.base().clone()),
            slice => (self.slices(&array, &ty, slice)?, ty.clone()),
        };
        if let [only] = targets
            && only.index.is_none()
            && let Some(of) = self.type_of(self.place(&only.parts)?)
            && of.element().is_some() != (slice > 0)
        {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                match slice {
                    0 => "FOREACH loop variable must not be of an array type",
                    _ => "FOREACH ... SLICE loop variable must be of an array type",
                },
            ));
        }
        let columns = [("item".to_owned(), item)];
        let mut any = false;
        let mut flow = Flow::Next;
        for item in given {
            any = true;
            if targets.len() > 1 {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    "cannot assign non-composite value to a row variable",
                ));
            }
            self.spread(targets, &columns, Some(vec![item])).await?;
            if let Turn::Out(out) = self.turn(label, body).await? {
                flow = out;
                break;
            }
        }
        self.set_found(any);
        Ok(flow)
    }

    /// The parts of an array that have so many of its last dimensions.
    fn slices(
        &self,
        array: &ScalarValue,
        ty: &SqlType,
        slice: u32,
    ) -> Result<Vec<ScalarValue>, Error> {
        let text = self.text(array, ty)?;
        let (shape, items) = chronolith_types::array::parse(text.as_bytes())?;
        let all = shape.dimensions();
        let first = usize::try_from(slice)
            .ok()
            .and_then(|slice| all.len().checked_sub(slice));
        let Some(within) = first.and_then(|first| all.get(first..)) else {
            return Err(Error::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                format!(
                    "slice dimension ({slice}) is out of the valid range 0..{}",
                    all.len()
                ),
            ));
        };
        let shape = Shape::new(within.to_vec())?;
        let count = shape.count().max(1);
        let texts = items.chunks(count).map(|items| {
            let mut out = Vec::new();
            shape.write(&mut out, |place, out| {
                let item = items.get(place).and_then(Option::as_deref);
                write_array_item(item, out);
                Ok::<_, Error>(())
            })?;
            let out = String::from_utf8(out);
            let text = out.map_err(|_| Error::internal("an array's text is not UTF-8"))?;
            let text = ScalarValue::Utf8View(Some(text));
            self.cast(text, &SqlType::Text, ty)
        });
        texts.collect()
    }
}
