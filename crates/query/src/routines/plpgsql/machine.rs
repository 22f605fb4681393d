//! One routine running: what it was called with, its variables, and what it answers.

use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{Field as ArrowField, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Routine, Volatility};
use chronolith_sql::plpgsql::{Block, Target};
use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;

pub(crate) use super::bind::Compiled;
use super::bind::Moment;
use super::exec::Flow;
use super::fields::{fields_of, read_row};
use super::frame::{
    Datum, Field, Found, Frame, Names, Place, Row, Slot, no_field, null, unassigned,
};
use crate::error::Error;
use crate::functions::constant_items;
use crate::session::Session;

/// What a routine's rows are made of.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    /// Names and types.
    pub(crate) columns: Vec<(String, SqlType)>,
    /// It returns a set.
    pub(crate) set: bool,
    /// Its value is a row.
    pub(crate) record: bool,
    /// It returns nothing: void, a procedure, a block.
    pub(crate) nothing: bool,
    /// What it returns is what OUT arguments hold.
    pub(crate) named: bool,
    /// A trigger's function: it returns a row, whatever it is made of.
    pub(crate) trigger: bool,
}

/// A routine that runs.
pub(crate) struct Machine<'s> {
    pub(super) session: &'s mut Session,
    pub(super) frame: Frame,
    pub(super) moment: Moment,
    /// How many variables there were when the piece that runs was bound.
    pub(super) bound: usize,
    pub(super) volatile: bool,
    /// What errors call it.
    pub(super) signature: String,
    pub(super) outputs: Outputs,
    /// The variables that hold what OUT arguments give.
    pub(super) outs: Vec<usize>,
    /// The rows that were returned.
    pub(super) answer: Vec<RecordBatch>,
    /// The row that a trigger's function returned: None for NULL.
    pub(super) returned: Option<Vec<Field>>,
    pub(super) found: usize,
    pub(super) row_count: u64,
    /// The errors that are being handled.
    pub(super) handled: Vec<Error>,
    /// The error on its way has its context.
    pub(super) told: bool,
    pub(super) savepoints: usize,
    /// Errors of INTO STRICT tell the values that were asked with.
    pub(super) strict_params: bool,
}

impl<'s> Machine<'s> {
    /// A routine with the types of its arguments and their values.
    ///
    /// # Errors
    /// XX000 when there are not as many of them as it takes.
    pub(crate) fn new(
        session: &'s mut Session,
        name: &str,
        routine: Option<&Routine>,
        args: &[(SqlType, ScalarValue)],
        outputs: Outputs,
    ) -> Result<Self, Error> {
        let mut frame = Frame::default();
        frame.scopes.push(Names {
            label: routine.map(|routine| routine.name.clone()),
            names: Vec::new(),
        });
        for (number, (ty, value)) in args.iter().enumerate() {
            let name = format!("${}", number + 1);
            let mut slot = Slot::null(&name, ty.without_typmod())?;
            if !value.is_null() {
                slot.value = value.clone();
            }
            frame.declare(&name, Datum::Value(slot));
        }
        let mut outs = Vec::new();
        let mut input = 0;
        let mut column = 0;
        for arg in routine.into_iter().flat_map(|routine| &routine.args) {
            let place = match arg.mode.goes_in() {
                true => {
                    input += 1;
                    input - 1
                }
                false => {
                    let ty = outputs.columns.get(column).map(|(_, ty)| ty.clone());
                    let ty = ty.unwrap_or_else(|| arg.ty.clone());
                    let name = arg.name.as_deref().unwrap_or("");
                    let slot = Slot::null(name, ty.without_typmod())?;
                    frame.data.push(Datum::Value(slot));
                    frame.data.len() - 1
                }
            };
            if let Some(name) = &arg.name {
                frame.alias(name, place);
                if let Some(Datum::Value(slot)) = frame.data.get_mut(place) {
                    slot.name.clone_from(name);
                }
            }
            if arg.mode.comes_out() {
                outs.push(place);
                column += 1;
            }
        }
        let mut found = Slot::null("found", SqlType::Bool)?;
        found.value = ScalarValue::Boolean(Some(false));
        let found = frame.declare("found", Datum::Value(found));
        let bound_to = session.bound_to();
        Ok(Self {
            moment: Moment::now(&session.shared, bound_to),
            session,
            frame,
            bound: 0,
            volatile: routine.is_none_or(|routine| routine.volatility == Volatility::Volatile),
            signature: name.to_owned(),
            outputs,
            outs,
            answer: Vec::new(),
            returned: None,
            found,
            row_count: 0,
            handled: Vec::new(),
            told: false,
            savepoints: 0,
            strict_params: false,
        })
    }

    /// What names mean may have changed.
    pub(super) fn refresh(&mut self) {
        let bound_to = self.session.bound_to();
        self.moment = Moment::now(&self.session.shared, bound_to);
    }

    /// A variable that every trigger's function has.
    pub(crate) fn give(
        &mut self,
        name: &str,
        ty: SqlType,
        value: ScalarValue,
    ) -> Result<(), Error> {
        let mut slot = Slot::null(name, ty)?;
        if !value.is_null() {
            slot.value = value;
        }
        self.frame.declare(name, Datum::Value(slot));
        Ok(())
    }

    /// OLD or NEW; without values it is not there.
    pub(crate) fn give_row(
        &mut self,
        name: &str,
        columns: &[(String, SqlType)],
        values: Option<Vec<ScalarValue>>,
    ) -> Result<(), Error> {
        let mut row = Row::of(name, columns.to_vec())?;
        if let (Some(values), Some(fields)) = (values, &mut row.fields) {
            row.absent = false;
            for (field, value) in fields.iter_mut().zip(values) {
                field.value = value;
            }
        }
        self.frame.declare(name, Datum::Row(row));
        Ok(())
    }

    /// Whether a condition over OLD and NEW holds.
    ///
    /// # Errors
    /// What the condition meets.
    pub(crate) async fn holds(&mut self, condition: &str) -> Result<bool, Error> {
        let query = chronolith_sql::query(&format!("SELECT {condition}"))?;
        let sql = chronolith_sql::plpgsql::Sql {
            // Nothing else has it, so that nothing is kept under it for others.
            id: u64::MAX,
            text: condition.to_owned(),
            expr: Some(Box::new(chronolith_sql::expression(condition)?)),
            query,
        };
        let holds = self.truth(&sql).await;
        self.session
            .shared
            .compiled
            .lock()
            .remove(&(u64::MAX, self.moment_depth()));
        holds
    }

    /// The values of a row by its name.
    pub(crate) fn row(&self, name: &str) -> Option<Vec<ScalarValue>> {
        let rows = self.frame.data.iter().find_map(|datum| match datum {
            Datum::Row(row) if row.name == name => row.fields.as_ref(),
            _ => None,
        })?;
        Some(rows.iter().map(|field| field.value.clone()).collect())
    }

    /// A value as a column takes it.
    ///
    /// # Errors
    /// Those of the cast.
    pub(crate) fn fit(
        &self,
        value: ScalarValue,
        from: &SqlType,
        to: &SqlType,
    ) -> Result<ScalarValue, Error> {
        self.cast(value, from, to)
    }

    /// Runs a body; the rows that it answers.
    ///
    /// # Errors
    /// Those of its statements.
    pub(crate) async fn run(&mut self, body: &Block) -> Result<Vec<RecordBatch>, Error> {
        self.frame.conflict = body.options.conflict.unwrap_or_default();
        self.strict_params = body.options.strict_params.unwrap_or_else(|| {
            let set = |setting: Option<&str>| setting == Some("on");
            let shared = &self.session.shared;
            shared.with(|state| set(state.settings.get("plpgsql.print_strict_params")))
        });
        let flow = self.block(body, 1).await?;
        let outputs = &self.outputs;
        match flow {
            Flow::Return => {}
            Flow::Exit(label) | Flow::Continue(label) => {
                let label = label.unwrap_or_default();
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("there is no label \"{label}\" attached to any block or loop"),
                ));
            }
            Flow::Next if outputs.nothing || outputs.set || outputs.named => {}
            Flow::Next => {
                return Err(Error::new(
                    SqlState::new(b"2F005"),
                    match outputs.trigger {
                        true => "control reached end of trigger procedure without RETURN",
                        false => "control reached end of function without RETURN",
                    },
                )
                .context(format!("PL/pgSQL function {}", self.signature)));
            }
        }
        if self.outputs.named && !self.outputs.set {
            self.answer.clear();
            let row = self.out_values();
            self.push(row)?;
        }
        Ok(std::mem::take(&mut self.answer))
    }

    /// The row that a trigger's function returned.
    pub(crate) fn returned(&mut self) -> Option<Vec<(String, SqlType, ScalarValue)>> {
        let fields = self.returned.take()?.into_iter();
        Some(
            fields
                .map(|field| (field.name, field.ty, field.value))
                .collect(),
        )
    }

    /// What OUT arguments hold.
    pub(super) fn out_values(&self) -> Vec<ScalarValue> {
        let value = |place: &usize| match self.frame.data.get(*place) {
            Some(Datum::Value(slot)) => slot.value.clone(),
            _ => ScalarValue::Null,
        };
        self.outs.iter().map(value).collect()
    }

    /// Adds a row to the answer, its values of the types that it has.
    pub(super) fn push(&mut self, row: Vec<ScalarValue>) -> Result<(), Error> {
        let columns = row
            .iter()
            .zip(&self.outputs.columns)
            .map(|(value, (_, ty))| match value.is_null() {
                true => Ok(arrow::array::new_null_array(&ty.arrow(), 1)),
                false => value.to_array(),
            })
            .collect::<Result<Vec<_>, _>>()?;
        let fields: Vec<ArrowField> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| ArrowField::new(format!("c{at}"), column.data_type().clone(), true))
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        let batch =
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        self.answer.push(batch);
        Ok(())
    }

    // ------------------------------------------------------------------------------- variables

    pub(super) fn place(&self, parts: &[String]) -> Result<Place, Error> {
        let name = parts.join(".");
        let row = |datum: usize| match self.frame.data.get(datum) {
            Some(Datum::Row(row)) => row.name.clone(),
            _ => String::new(),
        };
        match self.frame.find(parts) {
            Found::Place(place) => Ok(place),
            Found::NoField(datum) => {
                let field = parts.last().map_or("", String::as_str);
                Err(no_field(&row(datum), field))
            }
            Found::Unassigned(datum) => Err(unassigned(&row(datum))),
            Found::None => Err(Error::new(
                SqlState::SYNTAX_ERROR,
                format!("\"{name}\" is not a known variable"),
            )),
        }
    }

    /// The type that a value is to be of, where the place says so.
    pub(super) fn type_of(&self, place: Place) -> Option<SqlType> {
        match (self.frame.data.get(place.datum)?, place.field) {
            (Datum::Value(slot), _) => Some(slot.ty.clone()),
            (Datum::Row(row), Some(at)) => Some(row.fields.as_ref()?.get(at)?.ty.clone()),
            (Datum::Row(_), None) => None,
        }
    }

    /// The name of a variable or a field.
    pub(super) fn name_of(&self, place: Place) -> String {
        match (self.frame.data.get(place.datum), place.field) {
            (Some(Datum::Value(slot)), _) => slot.name.clone(),
            (Some(Datum::Row(row)), None) => row.name.clone(),
            (Some(Datum::Row(row)), Some(at)) => {
                let field = row.fields.as_ref().and_then(|fields| fields.get(at));
                field.map_or_else(String::new, |field| field.name.clone())
            }
            (None, _) => String::new(),
        }
    }

    pub(super) fn current(&self, place: Place) -> Option<&ScalarValue> {
        match (self.frame.data.get(place.datum)?, place.field) {
            (Datum::Value(slot), _) => Some(&slot.value),
            (Datum::Row(row), Some(at)) => Some(&row.fields.as_ref()?.get(at)?.value),
            (Datum::Row(_), None) => None,
        }
    }

    /// Puts a value where a target says.
    pub(super) async fn assign(
        &mut self,
        target: &Target,
        value: ScalarValue,
        ty: &SqlType,
    ) -> Result<(), Error> {
        let place = self.place(&target.parts)?;
        let Some(index) = &target.index else {
            return self.put(place, value, ty);
        };
        let whole = self.type_of(place);
        let Some(SqlType::Array(element)) = whole else {
            return Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot subscript a variable that is no array",
            ));
        };
        // What a domain asks of an item is asked of the whole.
        let element = element.base().clone();
        let (index, _) = self.value(index, Some(&SqlType::Int4)).await?;
        let ScalarValue::Int32(Some(index)) = index else {
            return Err(Error::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "array subscript in assignment must not be null",
            ));
        };
        let at = usize::try_from(index)
            .ok()
            .and_then(|index| index.checked_sub(1));
        let at = at.ok_or_else(|| Error::unsupported("an array that does not begin at 1"))?;
        let value = self.cast(value, ty, &element)?;
        let mut items = items(self.current(place))?;
        while items.len() <= at {
            items.push(null(&element)?);
        }
        if let Some(item) = items.get_mut(at) {
            *item = value;
        }
        let list = ScalarValue::new_list_nullable(&items, &element.arrow());
        let array = element.array_of();
        self.put(place, ScalarValue::List(list), &array)
    }

    /// Puts a value of a type into a variable.
    pub(super) fn put(
        &mut self,
        place: Place,
        value: ScalarValue,
        ty: &SqlType,
    ) -> Result<(), Error> {
        let Some(target) = self.type_of(place) else {
            return self.put_record(place.datum, value, ty);
        };
        let value = self.cast(value, ty, &target)?;
        if let Some(Datum::Value(slot)) = self.frame.data.get(place.datum)
            && let Some(domain) = slot.domain
        {
            self.hold(&value, &target, domain)?;
        }
        match (self.frame.data.get_mut(place.datum), place.field) {
            (Some(Datum::Value(slot)), _) => {
                if slot.constant {
                    return Err(Error::new(
                        SqlState::new(b"22005"),
                        format!("variable \"{}\" is declared CONSTANT", slot.name),
                    ));
                }
                if slot.not_null && value.is_null() {
                    return Err(Error::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        format!(
                            "null value cannot be assigned to variable \"{}\" declared NOT NULL",
                            slot.name
                        ),
                    ));
                }
                slot.value = value;
            }
            (Some(Datum::Row(row)), Some(at)) => {
                row.absent = false;
                if let Some(field) = row.fields.as_mut().and_then(|fields| fields.get_mut(at)) {
                    field.value = value;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn put_record(&mut self, datum: usize, value: ScalarValue, ty: &SqlType) -> Result<(), Error> {
        if value.is_null() {
            let fields = match self.frame.data.get(datum) {
                Some(Datum::Row(row)) => row.fields.clone(),
                _ => None,
            };
            let nulls = fields.unwrap_or_default().into_iter().map(|field| {
                Ok::<_, Error>(Field {
                    value: null(&field.ty)?,
                    ..field
                })
            });
            let nulls = nulls.collect::<Result<Vec<_>, _>>()?;
            self.put_fields(datum, nulls)?;
            if let Some(Datum::Row(row)) = self.frame.data.get_mut(datum) {
                row.absent = true;
            }
            return Ok(());
        }
        let fields = match fields_of(&value, ty)? {
            None => match self.frame.data.get(datum) {
                Some(Datum::Row(row)) if row.fixed => read_row(row, &value, ty)?,
                _ => None,
            },
            fields => fields,
        };
        match fields {
            Some(fields) => self.put_fields(datum, fields),
            None => Err(Error::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot assign non-composite value to a record variable",
            )),
        }
    }

    /// Puts columns into a record.
    pub(super) fn put_fields(&mut self, datum: usize, given: Vec<Field>) -> Result<(), Error> {
        let fixed = match self.frame.data.get(datum) {
            Some(Datum::Row(row)) if row.fixed => row.fields.clone(),
            _ => None,
        };
        let fields = match fixed {
            None => given
                .into_iter()
                .map(|field| self.kept(field))
                .collect::<Result<_, _>>()?,
            Some(known) => {
                let mut given = given.into_iter();
                let mut fields = Vec::with_capacity(known.len());
                for field in known {
                    let value = match given.next() {
                        Some(given) => self.cast(given.value, &given.ty, &field.ty)?,
                        None => null(&field.ty)?,
                    };
                    fields.push(Field { value, ..field });
                }
                fields
            }
        };
        if let Some(Datum::Row(row)) = self.frame.data.get_mut(datum) {
            row.fields = Some(fields);
            row.absent = false;
        }
        Ok(())
    }

    /// A field as variables keep it: a row of no type as its text.
    fn kept(&self, field: Field) -> Result<Field, Error> {
        let text = match &field.value {
            ScalarValue::Struct(_) if field.value.is_null() => None,
            ScalarValue::Struct(_) => Some(self.text(&field.value, &field.ty)?),
            _ => return Ok(field),
        };
        Ok(Field {
            value: ScalarValue::Utf8View(text),
            ..field
        })
    }

    /// What a FOR, INTO or FETCH gives, to its targets.
    pub(super) async fn spread(
        &mut self,
        targets: &[Target],
        columns: &[(String, SqlType)],
        values: Option<Vec<ScalarValue>>,
    ) -> Result<(), Error> {
        let values = match values {
            Some(values) => values,
            None => columns
                .iter()
                .map(|(_, ty)| null(ty))
                .collect::<Result<_, _>>()?,
        };
        if let [only] = targets
            && only.index.is_none()
        {
            let place = self.place(&only.parts)?;
            if self.type_of(place).is_none() {
                let fields = columns.iter().zip(values).map(|((name, ty), value)| Field {
                    name: name.clone(),
                    ty: ty.clone(),
                    value,
                });
                return self.put_fields(place.datum, fields.collect());
            }
        }
        let mut given = columns.iter().zip(values);
        for target in targets {
            match given.next() {
                Some(((_, ty), value)) => self.assign(target, value, ty).await?,
                None => {
                    self.assign(target, ScalarValue::Null, &SqlType::Unknown)
                        .await?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_found(&mut self, found: bool) {
        if let Some(Datum::Value(slot)) = self.frame.data.get_mut(self.found) {
            slot.value = ScalarValue::Boolean(Some(found));
        }
    }
}

/// The items of an array, none of NULL.
pub(super) fn items(value: Option<&ScalarValue>) -> Result<Vec<ScalarValue>, Error> {
    let Some(ScalarValue::List(list)) = value else {
        return Ok(Vec::new());
    };
    if list.is_empty() || list.is_null(0) {
        return Ok(Vec::new());
    }
    let (values, count) = constant_items(list.as_ref());
    (0..count)
        .map(|at| Ok(ScalarValue::try_from_array(&values, at)?))
        .collect()
}
