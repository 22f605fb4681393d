//! The variables of a running routine.

use std::cell::RefCell;
use std::collections::BTreeSet;

use chronolith_sql::plpgsql::Conflict;
use chronolith_types::{SqlState, SqlType, TypeId};
use datafusion::common::ScalarValue;

use crate::bind::Variable;
use crate::error::Error;

/// A variable.
#[derive(Debug, Clone)]
pub(super) enum Datum {
    Value(Slot),
    Row(Row),
}

/// A variable of one value.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub name: String,
    pub ty: SqlType,
    /// The domain that its values are held against.
    pub domain: Option<TypeId>,
    pub value: ScalarValue,
    pub constant: bool,
    pub not_null: bool,
}

/// A record.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub name: String,
    /// None until something was put in.
    pub fields: Option<Vec<Field>>,
    /// Its columns are those of a relation.
    pub fixed: bool,
    /// The row itself is NULL.
    pub absent: bool,
}

/// A column of a record.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub name: String,
    pub ty: SqlType,
    pub value: ScalarValue,
}

/// Names of a block.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub label: Option<String>,
    pub names: Vec<(String, usize)>,
}

/// All variables, and what they are called here.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub data: Vec<Datum>,
    pub scopes: Vec<Names>,
    /// Which of a variable and a column of one name is meant.
    pub conflict: Conflict,
}

/// Where a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub datum: usize,
    pub field: Option<usize>,
}

/// What a name stands for.
pub(super) enum Found {
    Place(Place),
    /// A field that the record has not.
    NoField(usize),
    /// A record without columns.
    Unassigned(usize),
    None,
}

impl Slot {
    /// A variable that is NULL.
    pub(super) fn null(name: &str, ty: SqlType) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            value: null(&ty)?,
            ty,
            domain: None,
            constant: false,
            not_null: false,
        })
    }
}

impl Row {
    pub(super) fn record(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            fields: None,
            fixed: false,
            absent: true,
        }
    }

    /// A row of a relation, all NULL.
    pub(super) fn of(name: &str, columns: Vec<(String, SqlType)>) -> Result<Self, Error> {
        let fields = columns
            .into_iter()
            .map(|(name, ty)| {
                Ok(Field {
                    value: null(&ty)?,
                    name,
                    ty,
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(Self {
            name: name.to_owned(),
            fields: Some(fields),
            fixed: true,
            absent: true,
        })
    }
}

/// NULL of a type.
pub(super) fn null(ty: &SqlType) -> Result<ScalarValue, Error> {
    Ok(ScalarValue::try_from(&ty.arrow())?)
}

impl Frame {
    /// Declares a variable in the innermost block.
    pub(super) fn declare(&mut self, name: &str, datum: Datum) -> usize {
        let place = self.data.len();
        self.data.push(datum);
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.push((name.to_owned(), place));
        }
        place
    }

    /// Another name of a variable.
    pub(super) fn alias(&mut self, name: &str, datum: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.names.push((name.to_owned(), datum));
        }
    }

    pub(super) fn find(&self, parts: &[String]) -> Found {
        let fields = |datum: usize| match self.data.get(datum) {
            Some(Datum::Row(row)) => Some(row.fields.as_ref().map(|fields| {
                fields
                    .iter()
                    .map(|field| field.name.as_str())
                    .collect::<Vec<_>>()
            })),
            _ => None,
        };
        find(&self.scopes, parts, fields)
    }
}

fn find<'n>(
    scopes: &[Names],
    parts: &[String],
    fields: impl Fn(usize) -> Option<Option<Vec<&'n str>>>,
) -> Found {
    let known = |scope: &Names, name: &str| {
        let mut names = scope.names.iter().rev();
        names.find_map(|(known, datum)| (known == name).then_some(*datum))
    };
    let field = |datum: usize, name: &str| match fields(datum) {
        Some(Some(fields)) => match fields.iter().position(|field| *field == name) {
            Some(place) => Found::Place(Place {
                datum,
                field: Some(place),
            }),
            None => Found::NoField(datum),
        },
        Some(None) => Found::Unassigned(datum),
        None => Found::None,
    };
    let whole = |datum| Found::Place(Place { datum, field: None });
    let labelled = |label: &str| {
        let mut scopes = scopes.iter().rev();
        scopes.find(|scope| scope.label.as_deref() == Some(label))
    };
    match parts {
        [name] => {
            let mut scopes = scopes.iter().rev();
            match scopes.find_map(|scope| known(scope, name)) {
                Some(datum) => whole(datum),
                None => Found::None,
            }
        }
        [of, name] => {
            let mut all = scopes.iter().rev();
            if let Some(datum) = all.find_map(|scope| known(scope, of))
                && fields(datum).is_some()
            {
                return field(datum, name);
            }
            match labelled(of).and_then(|scope| known(scope, name)) {
                Some(datum) => whole(datum),
                None => Found::None,
            }
        }
        [label, of, name] => match labelled(label).and_then(|scope| known(scope, of)) {
            Some(datum) => field(datum, name),
            None => Found::None,
        },
        _ => Found::None,
    }
}

/// The types of variables, for the binder.
#[derive(Debug, Clone)]
enum Seen {
    Value(SqlType),
    Row(String, Option<Vec<(String, SqlType)>>),
}

/// What a statement may name, and what it named.
#[derive(Debug)]
pub(crate) struct Locals {
    seen: Vec<Seen>,
    scopes: Vec<Names>,
    /// Fields of records that were named: the parameters behind those of the variables.
    fields: RefCell<Vec<Place>>,
    /// All that was named.
    used: RefCell<BTreeSet<Place>>,
    conflict: Conflict,
}

impl Locals {
    pub(super) fn of(frame: &Frame) -> Self {
        let seen = frame.data.iter().map(|datum| match datum {
            Datum::Value(slot) => Seen::Value(slot.ty.clone()),
            Datum::Row(row) => Seen::Row(
                row.name.clone(),
                row.fields.as_ref().map(|fields| {
                    fields
                        .iter()
                        .map(|field| (field.name.clone(), field.ty.clone()))
                        .collect()
                }),
            ),
        });
        Self {
            seen: seen.collect(),
            scopes: frame.scopes.clone(),
            fields: RefCell::default(),
            used: RefCell::default(),
            conflict: frame.conflict,
        }
    }

    pub(crate) fn conflict(&self) -> Conflict {
        self.conflict
    }

    /// The types of the parameters that variables are.
    pub(super) fn types(&self) -> Vec<Option<SqlType>> {
        let ty = |seen: &Seen| match seen {
            Seen::Value(ty) => ty.clone(),
            // Whether there is a row.
            Seen::Row(..) => SqlType::Int4,
        };
        self.seen.iter().map(|seen| Some(ty(seen))).collect()
    }

    /// The fields that were named.
    pub(super) fn named(&self) -> Vec<Place> {
        self.fields.borrow().clone()
    }

    /// All variables and fields that were named, in the order in which they were declared.
    pub(super) fn used(&self) -> Vec<Place> {
        self.used.borrow().iter().copied().collect()
    }

    fn number(&self, place: Place) -> usize {
        let mut fields = self.fields.borrow_mut();
        let known = fields.iter().position(|known| *known == place);
        let at = known.unwrap_or_else(|| {
            fields.push(place);
            fields.len() - 1
        });
        self.seen.len() + at + 1
    }

    pub(crate) fn variable(&self, of: Option<&str>, name: &str) -> Result<Option<Variable>, Error> {
        let parts: Vec<String> = of.into_iter().chain([name]).map(str::to_owned).collect();
        let fields = |datum: usize| match self.seen.get(datum) {
            Some(Seen::Row(_, fields)) => Some(fields.as_ref().map(|fields| {
                fields
                    .iter()
                    .map(|(name, _)| name.as_str())
                    .collect::<Vec<_>>()
            })),
            _ => None,
        };
        let name_of = |datum: usize| match self.seen.get(datum) {
            Some(Seen::Row(name, _)) => name.clone(),
            _ => String::new(),
        };
        let place = match find(&self.scopes, &parts, fields) {
            Found::None => return Ok(None),
            Found::NoField(datum) => return Err(no_field(&name_of(datum), name)),
            Found::Unassigned(datum) => return Err(unassigned(&name_of(datum))),
            Found::Place(place) => place,
        };
        self.used.borrow_mut().insert(place);
        Ok(Some(match (self.seen.get(place.datum), place.field) {
            (Some(Seen::Value(ty)), None) => Variable::Value(place.datum + 1, ty.clone()),
            (Some(Seen::Row(_, Some(fields))), Some(at)) => match fields.get(at) {
                Some((_, ty)) => Variable::Value(self.number(place), ty.clone()),
                None => return Ok(None),
            },
            (Some(Seen::Row(_, Some(fields))), None) => Variable::Row(
                place.datum + 1,
                fields
                    .iter()
                    .enumerate()
                    .map(|(at, (name, ty))| {
                        let place = Place {
                            datum: place.datum,
                            field: Some(at),
                        };
                        (name.clone(), self.number(place), ty.clone())
                    })
                    .collect(),
            ),
            (Some(Seen::Row(name, None)), _) => return Err(unassigned(name)),
            _ => return Ok(None),
        }))
    }
}

pub(super) fn no_field(record: &str, field: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_COLUMN,
        format!("record \"{record}\" has no field \"{field}\""),
    )
}

pub(super) fn unassigned(record: &str) -> Error {
    Error::new(
        SqlState::new(b"55000"),
        format!("record \"{record}\" is not assigned yet"),
    )
    .detail("The tuple structure of a not-yet-assigned record is indeterminate.")
}
