//! Statements, one after the other.

use std::pin::Pin;
use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_sql::ast;
use chronolith_sql::plpgsql::{
    Block, Command, Declaration, DeclaredType, Into, Sql, Stmt, StmtKind, Target, Wanted,
};
use chronolith_sql::{Statement as Tree, TypeRef};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

use super::bind::Ran;
use super::fields::fields_of;
use super::frame::{Datum, Names, Row, Slot};
use super::machine::Machine;
use crate::ddl::{declared, domain_of};
use crate::error::Error;
use crate::outcome::OutputColumn;
use crate::session::row_of;

/// Where it goes on.
#[derive(Debug)]
pub(super) enum Flow {
    /// With the next statement.
    Next,
    Exit(Option<String>),
    Continue(Option<String>),
    Return,
}

/// What a query of INTO was asked with.
enum Asked<'a> {
    /// The variables that the piece of this number names.
    Among(u64),
    /// The values of USING.
    With(&'a [(ScalarValue, SqlType)]),
}

pub(super) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl Machine<'_> {
    /// Statements in their order.
    pub(super) fn statements<'a>(&'a mut self, body: &'a [Stmt]) -> Work<'a, Flow> {
        Box::pin(async move {
            for statement in body {
                match self.one(statement).await? {
                    Flow::Next => {}
                    other => return Ok(other),
                }
            }
            Ok(Flow::Next)
        })
    }

    async fn one(&mut self, statement: &Stmt) -> Result<Flow, Error> {
        self.session.shared.cancel.check()?;
        let done = self.kind(statement).await;
        done.map_err(|error| self.tell(error, statement.line, statement.kind.words()))
    }

    /// The error with the place where it came up.
    pub(super) fn tell(&mut self, mut error: Error, line: usize, words: &str) -> Error {
        if !self.told {
            self.told = true;
            let here = format!(
                "PL/pgSQL function {} line {line} at {words}",
                self.signature
            );
            error.context = Some(match error.context.take() {
                Some(inner) => format!("{inner}\n{here}"),
                None => here,
            });
            error.position = None;
        }
        error
    }

    async fn kind(&mut self, statement: &Stmt) -> Result<Flow, Error> {
        match &statement.kind {
            StmtKind::Block(block) => return Box::pin(self.block(block, statement.line)).await,
            StmtKind::Assign { target, value } => self.assignment(target, value).await?,
            StmtKind::If { arms, otherwise } => {
                for arm in arms {
                    let Some(when) = arm.when.first() else {
                        continue;
                    };
                    if self.truth(when).await? {
                        return self.statements(&arm.then).await;
                    }
                }
                return self.statements(otherwise).await;
            }
            StmtKind::Case {
                operand,
                arms,
                otherwise,
            } => {
                for arm in arms {
                    for when in &arm.when {
                        let fits = match operand {
                            None => self.truth(when).await?,
                            Some(operand) => self.equal(operand, when).await?,
                        };
                        if fits {
                            return self.statements(&arm.then).await;
                        }
                    }
                }
                return match otherwise {
                    Some(otherwise) => self.statements(otherwise).await,
                    None => Err(Error::new(SqlState::new(b"20000"), "case not found")
                        .hint("CASE statement is missing ELSE part.")),
                };
            }
            StmtKind::Loop { .. }
            | StmtKind::While { .. }
            | StmtKind::ForRange { .. }
            | StmtKind::ForQuery { .. }
            | StmtKind::ForCursor { .. }
            | StmtKind::ForEach { .. } => return self.looping(&statement.kind).await,
            StmtKind::Exit {
                next,
                label,
                condition,
            } => {
                let goes = match condition {
                    Some(condition) => self.truth(condition).await?,
                    None => true,
                };
                return Ok(match (goes, next) {
                    (false, _) => Flow::Next,
                    (true, false) => Flow::Exit(label.clone()),
                    (true, true) => Flow::Continue(label.clone()),
                });
            }
            StmtKind::Return(value) => {
                self.returning(value.as_ref()).await?;
                return Ok(Flow::Return);
            }
            StmtKind::ReturnNext(value) => self.return_next(value.as_ref()).await?,
            StmtKind::ReturnQuery(query) => self.return_query(query).await?,
            StmtKind::Perform(command) => {
                let ran = self.ran(command).await?;
                self.set_found(ran.count > 0);
                self.row_count = ran.count;
            }
            StmtKind::Execute { text, into, using } => {
                let (text, values) = self.dynamic_text(text, using).await?;
                let ran = self.dynamic(&text, values.clone()).await;
                let ran = ran.map_err(|error| quoted(error, &text))?;
                self.row_count = ran.count;
                if let Some(into) = into {
                    self.into(&ran, into, Asked::With(&values)).await?;
                }
            }
            StmtKind::Command { command, into } => self.sql(command, into.as_ref()).await?,
            StmtKind::Diagnostics { stacked, items } => {
                self.diagnose(*stacked, statement.line, items).await?;
            }
            StmtKind::Raise(raise) => self.raise(raise).await?,
            StmtKind::Assert { condition, message } => {
                self.assert(condition, message.as_ref()).await?;
            }
            StmtKind::Open { cursor, how } => self.open(cursor, how).await?,
            StmtKind::Fetch {
                cursor,
                direction,
                into,
            } => self.fetch(cursor, direction, into.as_ref()).await?,
            StmtKind::Close { cursor } => self.close(cursor)?,
            StmtKind::End { commit, chain } => {
                self.session.end_within(*commit, *chain).await?;
                self.refresh();
            }
            StmtKind::Null => {}
        }
        Ok(Flow::Next)
    }

    async fn assignment(&mut self, target: &Target, value: &Sql) -> Result<(), Error> {
        let place = self.place(&target.parts)?;
        if target.index.is_none()
            && self.type_of(place).is_none()
            && let Some(row) = self.row_named(value)
        {
            match row.absent {
                true => self.put(place, ScalarValue::Null, &SqlType::Record)?,
                false => {
                    let fields = row.fields.unwrap_or_default();
                    self.put_fields(place.datum, fields)?;
                }
            }
            return Ok(());
        }
        let wanted = match target.index {
            None => self.type_of(place),
            Some(_) => None,
        };
        let (value, ty) = self.value(value, wanted.as_ref()).await?;
        self.assign(target, value, &ty).await
    }

    /// The record that an expression is the name of.
    pub(super) fn row_named(&self, sql: &Sql) -> Option<Row> {
        let name = match sql.expr.as_deref()? {
            ast::Expr::Identifier(name) => vec![name.value.clone()],
            _ => return None,
        };
        match self.frame.find(&name) {
            super::frame::Found::Place(place) => match self.frame.data.get(place.datum) {
                Some(Datum::Row(row)) => Some(row.clone()),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) async fn truth(&mut self, condition: &Sql) -> Result<bool, Error> {
        let (value, _) = self.value(condition, Some(&SqlType::Bool)).await?;
        Ok(matches!(value, ScalarValue::Boolean(Some(true))))
    }

    /// Whether the operand of a CASE is what a WHEN says.
    async fn equal(&mut self, operand: &Sql, when: &Sql) -> Result<bool, Error> {
        let (Some(left), Some(right)) = (&operand.expr, &when.expr) else {
            return Err(Error::unsupported("CASE over a query in PL/pgSQL"));
        };
        let nested = |expr: &ast::Expr| Box::new(ast::Expr::Nested(Box::new(expr.clone())));
        let same = Sql {
            // Each pair is told from every other.
            id: operand.id.wrapping_shl(32) ^ when.id,
            text: format!("({}) = ({})", operand.text, when.text),
            expr: Some(Box::new(ast::Expr::BinaryOp {
                left: nested(left),
                op: ast::BinaryOperator::Eq,
                right: nested(right),
            })),
            query: when.query.clone(),
        };
        self.truth(&same).await
    }

    // ---------------------------------------------------------------------------------- blocks

    pub(super) async fn block(&mut self, block: &Block, line: usize) -> Result<Flow, Error> {
        let data = self.frame.data.len();
        let scopes = self.frame.scopes.len();
        self.frame.scopes.push(Names {
            label: block.label.clone(),
            names: Vec::new(),
        });
        let flow = match block.handlers.is_empty() {
            true => self.inner(block).await,
            false => Box::pin(self.guarded(block)).await,
        };
        self.frame.data.truncate(data);
        self.frame.scopes.truncate(scopes);
        match flow {
            Ok(Flow::Exit(Some(label))) if block.label.as_ref() == Some(&label) => Ok(Flow::Next),
            Ok(other) => Ok(other),
            Err(error) => Err(self.tell(error, line, "statement block")),
        }
    }

    pub(super) async fn inner(&mut self, block: &Block) -> Result<Flow, Error> {
        for declaration in &block.declarations {
            let declared = self.declare(declaration).await;
            declared.map_err(|mut error| {
                if !self.told {
                    self.told = true;
                    error.position = None;
                    error.context = Some(format!(
                        "PL/pgSQL function {} line {} during statement block local variable \
                         initialization",
                        self.signature, declaration.line
                    ));
                }
                error
            })?;
        }
        self.statements(&block.body).await
    }

    async fn declare(&mut self, declaration: &Declaration) -> Result<(), Error> {
        let name = declaration.name.as_str();
        let datum = match &declaration.ty {
            DeclaredType::Alias(of) => {
                let place = self.place(std::slice::from_ref(of))?;
                self.frame.alias(name, place.datum);
                return Ok(());
            }
            DeclaredType::Record => Datum::Row(Row::record(name)),
            DeclaredType::Cursor(_) => {
                let mut slot = Slot::null(name, SqlType::Refcursor)?;
                slot.value = ScalarValue::Utf8View(Some(name.to_owned()));
                Datum::Value(slot)
            }
            DeclaredType::Type(TypeRef::Like(of))
                if let Ok(place) = self.place(&of.parts)
                    && let Some(ty) = self.type_of(place) =>
            {
                Datum::Value(Slot::null(name, ty)?)
            }
            DeclaredType::Type(ty) => {
                let declared_as = ty;
                let shared = Arc::clone(&self.session.shared);
                let home = shared.home()?;
                // With its length or precision, which arguments and results do without.
                let modified = match ty {
                    TypeRef::Known(ty) => Some(shared.declared_type(ty)?),
                    _ => None,
                };
                match declared(&shared, &home, ty)? {
                    (_, Some(relation)) => {
                        let columns = row_of(&shared, &home, relation).unwrap_or_default();
                        Datum::Row(Row::of(name, columns)?)
                    }
                    (ty, None) => {
                        let ty = modified.unwrap_or(ty);
                        if ty.is_pseudo() && ty != SqlType::Record {
                            return Err(Error::new(
                                SqlState::FEATURE_NOT_SUPPORTED,
                                format!("variable \"{name}\" has pseudo-type {ty}"),
                            ));
                        }
                        let mut slot = Slot::null(name, ty)?;
                        slot.domain = domain_of(&shared, declared_as)?;
                        Datum::Value(slot)
                    }
                }
            }
        };
        // The default does not see the name.
        let parts = [name.to_owned()];
        let value = match (&declaration.default, &datum) {
            (Some(default), Datum::Value(slot)) => {
                let ty = slot.ty.clone();
                Some(self.value(default, Some(&ty)).await?)
            }
            (Some(default), Datum::Row(_)) => match self.row_named(default) {
                Some(row) => {
                    let place = self.frame.declare(name, datum);
                    return self.put_fields(place, row.fields.unwrap_or_default());
                }
                None => Some(self.value(default, None).await?),
            },
            (None, _) => None,
        };
        self.frame.declare(name, datum);
        let place = self.place(&parts)?;
        if declaration.not_null && value.as_ref().is_some_and(|(value, _)| value.is_null()) {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("null value cannot be assigned to variable \"{name}\" declared NOT NULL"),
            ));
        }
        if let Some((value, ty)) = value {
            self.put(place, value, &ty)?;
        }
        if let Some(Datum::Value(slot)) = self.frame.data.get_mut(place.datum) {
            slot.constant = declaration.constant;
            slot.not_null = declaration.not_null;
        }
        Ok(())
    }

    // ----------------------------------------------------------------------------------- SQL

    /// A statement of SQL, with its text where it fails.
    pub(super) async fn ran(&mut self, command: &Command) -> Result<Ran, Error> {
        let ran = self.command(command).await;
        ran.map_err(|error| quoted(error, &command.text))
    }

    async fn sql(&mut self, command: &Command, into: Option<&Into>) -> Result<(), Error> {
        let tree = &command.parsed.statement;
        let ran = self.ran(command).await?;
        if let Tree::Call(_) = tree {
            return self.called(command, &ran).await;
        }
        self.row_count = ran.count;
        match (into, ran.rows) {
            (Some(into), true) => {
                self.into(&ran, into, Asked::Among(command.id)).await?;
                self.set_found(ran.count > 0);
            }
            (Some(_), false) => {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "INTO used with a command that cannot return data",
                ));
            }
            (None, true) => {
                let error = Error::new(
                    SqlState::SYNTAX_ERROR,
                    "query has no destination for result data",
                );
                return Err(match tree {
                    Tree::Query(_) => error.hint(
                        "If you want to discard the results of a SELECT, use PERFORM instead.",
                    ),
                    _ => error,
                });
            }
            (None, false) => {
                if matches!(
                    tree,
                    Tree::Insert(_) | Tree::Update(_) | Tree::Delete(_) | Tree::Merge(_)
                ) {
                    self.set_found(ran.count > 0);
                }
            }
        }
        Ok(())
    }

    /// What comes out of a procedure goes where its arguments stood.
    async fn called(&mut self, command: &Command, ran: &Ran) -> Result<(), Error> {
        let Some(values) = ran.row(0)? else {
            return Ok(());
        };
        let targets = self.call_targets(command.id);
        for (((name, given), column), value) in targets.iter().zip(&ran.columns).zip(values) {
            let parts = match given {
                ast::Expr::Identifier(name) => vec![name.value.clone()],
                ast::Expr::CompoundIdentifier(names) => {
                    names.iter().map(|name| name.value.clone()).collect()
                }
                _ => {
                    let name = name.as_ref().map(|name| format!(" \"{name}\""));
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!(
                            "procedure parameter{} is an output parameter but corresponding \
                             argument is not writable",
                            name.unwrap_or_default()
                        ),
                    ));
                }
            };
            let target = Target { parts, index: None };
            self.assign(&target, value, &column.ty).await?;
        }
        Ok(())
    }

    pub(super) async fn made(&mut self, text: &Sql, using: &[Sql]) -> Result<Ran, Error> {
        let (text, values) = self.dynamic_text(text, using).await?;
        let ran = self.dynamic(&text, values).await;
        ran.map_err(|error| quoted(error, &text))
    }

    /// What EXECUTE runs, and its values.
    pub(super) async fn dynamic_text(
        &mut self,
        text: &Sql,
        using: &[Sql],
    ) -> Result<(String, Vec<(ScalarValue, SqlType)>), Error> {
        let (text, _) = self.value(text, Some(&SqlType::Text)).await?;
        let ScalarValue::Utf8View(Some(text)) = text else {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "query string argument of EXECUTE is null",
            ));
        };
        let mut values = Vec::with_capacity(using.len());
        for value in using {
            values.push(self.value(value, None).await?);
        }
        Ok((text, values))
    }

    /// The first row to its targets.
    async fn into(&mut self, ran: &Ran, into: &Into, asked: Asked<'_>) -> Result<(), Error> {
        let refused = match ran.count {
            0 if into.strict => Some(Error::new(
                SqlState::new(b"P0002"),
                "query returned no rows",
            )),
            1.. if into.strict && ran.count > 1 => Some(
                Error::new(SqlState::new(b"P0003"), "query returned more than one row")
                    .hint("Make sure the query returns a single row, or use LIMIT 1."),
            ),
            _ => None,
        };
        if let Some(mut error) = refused {
            if self.strict_params {
                error.detail = self.params(asked)?;
            }
            return Err(error);
        }
        let columns = named(&ran.columns);
        self.spread(&into.targets, &columns, ran.row(0)?).await
    }

    /// What an INTO STRICT was asked with, for `print_strict_params`.
    fn params(&self, asked: Asked<'_>) -> Result<Option<String>, Error> {
        let mut told = Vec::new();
        let mut tell = |name: &str, value: &ScalarValue, ty: &SqlType| {
            told.push(match value.is_null() {
                true => format!("{name} = NULL"),
                false => format!("{name} = '{}'", self.text(value, ty)?.replace('\'', "''")),
            });
            Ok::<_, Error>(())
        };
        match asked {
            Asked::With(values) => {
                for (at, (value, ty)) in values.iter().enumerate() {
                    tell(&format!("${}", at + 1), value, ty)?;
                }
            }
            Asked::Among(id) => {
                for place in self.named_by(id) {
                    if let (Some(value), Some(ty)) = (self.current(place), self.type_of(place)) {
                        tell(&self.name_of(place), value, &ty)?;
                    }
                }
            }
        }
        Ok((!told.is_empty()).then(|| format!("parameters: {}", told.join(", "))))
    }

    // ---------------------------------------------------------------------------------- answers

    async fn returning(&mut self, value: Option<&Sql>) -> Result<(), Error> {
        if self.outputs.trigger {
            return self.return_row(value).await;
        }
        let Some(value) = value else {
            let fits = self.outputs.nothing || self.outputs.set || self.outputs.named;
            return match fits {
                true => Ok(()),
                false => Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    "missing expression at or near \";\"",
                )),
            };
        };
        if self.outputs.nothing || self.outputs.set || self.outputs.named {
            let (what, hint) = match (self.outputs.set, self.outputs.named) {
                (true, _) => (
                    "RETURN cannot have a parameter in function returning set",
                    Some("Use RETURN NEXT or RETURN QUERY."),
                ),
                (_, true) => (
                    "RETURN cannot have a parameter in function with OUT parameters",
                    None,
                ),
                _ => (
                    "RETURN cannot have a parameter in function returning void",
                    None,
                ),
            };
            let mut error = Error::new(SqlState::DATATYPE_MISMATCH, what);
            error.hint = hint.map(str::to_owned);
            return Err(error);
        }
        self.answer.clear();
        self.answered(value).await
    }

    /// Adds the row that an expression is to the answer.
    async fn answered(&mut self, value: &Sql) -> Result<(), Error> {
        if !self.outputs.record {
            let ty = self.outputs.columns.first().map(|(_, ty)| ty.clone());
            let ty = ty.unwrap_or(SqlType::Text);
            let (value, _) = self.value(value, Some(&ty)).await?;
            return self.push(vec![value]);
        }
        let fields = match self.row_named(value) {
            Some(row) if row.absent && !row.fixed && row.fields.is_none() => {
                return Err(super::frame::unassigned(&row.name));
            }
            Some(row) => row.fields.unwrap_or_default(),
            None => {
                let (value, ty) = self.value(value, None).await?;
                if value.is_null() {
                    return match self.outputs.set {
                        true => self.push(vec![ScalarValue::Null; self.outputs.columns.len()]),
                        false => Ok(()),
                    };
                }
                let fields = fields_of(&value, &ty)?;
                fields.ok_or_else(|| {
                    Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        "cannot return non-composite value from function returning composite type",
                    )
                })?
            }
        };
        let wanted = self.outputs.columns.clone();
        if fields.len() != wanted.len() {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "returned record type does not match expected record type",
            )
            .detail(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                fields.len(),
                wanted.len()
            )));
        }
        let mut row = Vec::with_capacity(wanted.len());
        for (field, (_, ty)) in fields.into_iter().zip(&wanted) {
            row.push(self.cast(field.value, &field.ty, ty)?);
        }
        self.push(row)
    }

    async fn return_row(&mut self, value: Option<&Sql>) -> Result<(), Error> {
        let Some(value) = value else {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "missing expression at or near \";\"",
            ));
        };
        self.returned = match self.row_named(value) {
            Some(row) if row.absent => None,
            Some(row) => row.fields,
            None => {
                let (value, ty) = self.value(value, None).await?;
                match value.is_null() {
                    true => None,
                    false => match fields_of(&value, &ty)? {
                        Some(fields) => Some(fields),
                        None => {
                            return Err(Error::new(
                                SqlState::DATATYPE_MISMATCH,
                                "cannot return non-composite value from function returning \
                                 composite type",
                            ));
                        }
                    },
                }
            }
        };
        Ok(())
    }

    async fn return_next(&mut self, value: Option<&Sql>) -> Result<(), Error> {
        if !self.outputs.set {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot use RETURN NEXT in a non-SETOF function",
            ));
        }
        match value {
            Some(_) if self.outputs.named => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "RETURN NEXT cannot have a parameter in function with OUT parameters",
            )),
            Some(value) => self.answered(value).await,
            None => {
                let row = self.out_values();
                self.push(row)
            }
        }
    }

    async fn return_query(&mut self, query: &Wanted) -> Result<(), Error> {
        if !self.outputs.set {
            return Err(Error::new(
                SqlState::SYNTAX_ERROR,
                "cannot use RETURN QUERY in a non-SETOF function",
            ));
        }
        let (ran, text) = match query {
            Wanted::Fixed(command) => (self.ran(command).await?, command.text.clone()),
            Wanted::Made(text, using) => {
                let (text, values) = self.dynamic_text(text, using).await?;
                let ran = self.dynamic(&text, values).await;
                (ran.map_err(|error| quoted(error, &text))?, text)
            }
        };
        let wanted = self.outputs.columns.clone();
        let mismatch = |detail: String| {
            let error = Error::new(
                SqlState::DATATYPE_MISMATCH,
                "structure of query does not match function result type",
            );
            quoted(error.detail(detail), &text)
        };
        for (at, (found, (_, ty))) in ran.columns.iter().zip(&wanted).enumerate() {
            if found.ty.without_typmod() != ty.without_typmod() {
                return Err(mismatch(format!(
                    "Returned type {} does not match expected type {ty} in column {}.",
                    found.ty,
                    at + 1
                )));
            }
        }
        if ran.columns.len() != wanted.len() {
            return Err(mismatch(format!(
                "Number of returned columns ({}) does not match expected column count ({}).",
                ran.columns.len(),
                wanted.len()
            )));
        }
        self.row_count = ran.count;
        self.set_found(ran.count > 0);
        for batch in ran.batches {
            let fields: Vec<_> = batch
                .columns()
                .iter()
                .enumerate()
                .map(|(at, column)| {
                    arrow::datatypes::Field::new(format!("c{at}"), column.data_type().clone(), true)
                })
                .collect();
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            self.answer.push(RecordBatch::try_new_with_options(
                Arc::new(Schema::new(fields)),
                batch.columns().to_vec(),
                &options,
            )?);
        }
        Ok(())
    }
}

/// The names and types of a result's columns.
pub(super) fn named(columns: &[OutputColumn]) -> Vec<(String, SqlType)> {
    columns
        .iter()
        .map(|column| (column.name.clone(), column.ty.clone()))
        .collect()
}

/// The error with the statement that it is of.
pub(super) fn quoted(mut error: Error, text: &str) -> Error {
    let here = format!("SQL statement \"{}\"", text.trim());
    error.context = Some(match error.context.take() {
        Some(inner) => format!("{inner}\n{here}"),
        None => here,
    });
    error.position = None;
    error
}
