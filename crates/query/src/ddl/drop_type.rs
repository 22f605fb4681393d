//! DROP of types and domains, with what is declared with them.

use std::sync::Arc;

use chronolith_catalog::{Change, Column, Database, RoutineArg, Table, Type, TypeBody};
use chronolith_sql::{AttributeAction, Name, ObjectKind, Spelled};
use chronolith_types::{SqlState, SqlType, TableId, TypeId};

use super::alter::drop_column;
use super::attributes;
use super::routine::{kind_of as routine_kind, signature};
use super::user_types::columns_of;
use super::view::{kind_of as view_kind, readers};
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::Shared;

pub(super) fn missing(name: &Name) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("type \"{name}\" does not exist"),
    )
}

/// Something that goes with a type.
enum Dependent {
    Column(Arc<Table>, Column),
    Routine(Arc<chronolith_catalog::Routine>),
    View(Arc<chronolith_catalog::View>),
    Type(Arc<Type>),
    /// A field of a composite type.
    Field(Arc<Type>, Spelled, SqlType),
}

impl Dependent {
    fn shown(&self) -> String {
        match self {
            Self::Column(table, column) => {
                format!("column {} of table {}", column.name, table.name)
            }
            Self::Routine(routine) => format!("{} {}", routine_kind(routine), signature(routine)),
            Self::View(view) => format!("{} {}", view_kind(view), view.name),
            Self::Type(ty) => format!("type {}", ty.name),
            Self::Field(ty, field, _) => {
                format!("column {} of composite type {}", field.value, ty.name)
            }
        }
    }
}

impl Dependent {
    /// What of the type it depends on: it, or its array.
    fn of(&self, ty: &Type) -> String {
        match self {
            Self::Column(_, Column { ty: of, .. }) | Self::Field(_, _, of)
                if matches!(of, SqlType::Array(_)) =>
            {
                format!("{}[]", ty.name)
            }
            Self::Type(other) if matches!(other.sql_type(), SqlType::Array(_)) => {
                format!("{}[]", ty.name)
            }
            _ => ty.name.clone(),
        }
    }
}

pub(super) fn drop(
    shared: &Arc<Shared>,
    kind: ObjectKind,
    name: &Name,
    cascade: bool,
) -> Result<(), Error> {
    let found = shared.find_type(name.schema(), name.name())?;
    let found = found.ok_or_else(|| missing(name))?;
    if kind == ObjectKind::Domain && found.domain().is_none() {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{name}\" is not a domain"),
        ));
    }
    drop_type(shared, &found, cascade)
}

pub(super) fn drop_type(shared: &Arc<Shared>, ty: &Type, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    let dependents = dependents(&home, ty);
    if !cascade && !dependents.is_empty() {
        let lines = dependents
            .iter()
            .map(|found| format!("{} depends on type {}", found.shown(), found.of(ty)));
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!(
                "cannot drop type {} because other objects depend on it",
                ty.name
            ),
        )
        .detail(lines.collect::<Vec<_>>().join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let gone: Vec<String> = dependents
        .iter()
        .map(|found| format!("drop cascades to {}", found.shown()))
        .collect();
    let notice = |message: String| Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
    match gone.as_slice() {
        [] => {}
        [one] => shared.notice(Severity::Notice, notice(one.clone())),
        several => shared.notice(
            Severity::Notice,
            notice(format!("drop cascades to {} other objects", several.len()))
                .detail(several.join("\n")),
        ),
    }
    // The type is there as long as anything is declared with it.
    for found in &dependents {
        let home = shared.home()?;
        match found {
            Dependent::View(view) if home.views.contains_key(&view.id) => {
                shared.change_unguarded(Change::DropView {
                    database: shared.database,
                    id: view.id,
                })?;
            }
            Dependent::Routine(routine) => shared.change_unguarded(Change::DropRoutine {
                database: shared.database,
                id: routine.id,
            })?,
            Dependent::Column(table, column) => {
                let Some(table) = home.tables.get(&table.id) else {
                    continue;
                };
                let name = Spelled {
                    value: column.name.clone(),
                    position: 0,
                };
                drop_column(shared, table, &name, true, true)?;
            }
            Dependent::Type(ty) => drop_type(shared, ty, true)?,
            Dependent::Field(ty, field, _) => {
                let Some(ty) = home.types.get(&ty.id) else {
                    continue;
                };
                let gone = AttributeAction::Drop {
                    name: field.clone(),
                    if_exists: true,
                };
                attributes::change(shared, Type::clone(ty), &[gone])?;
            }
            Dependent::View(_) => {}
        }
    }
    shared.change(Change::DropType {
        database: shared.database,
        id: ty.id,
    })
}

fn dependents(home: &Database, ty: &Type) -> Vec<Dependent> {
    let named = |other: &SqlType| match other {
        SqlType::Array(item) => item.oid() == ty.id.0,
        other => other.oid() == ty.id.0,
    };
    let views = readers(home, ty.schema, &ty.name).map(|view| Dependent::View(Arc::clone(view)));
    let routines = home.routines.values().filter(|routine| {
        let result = routine.result.as_ref();
        let rows = |relation: TableId| ty.relation() == Some(relation.0);
        let is = |domain: Option<TypeId>| domain == Some(ty.id);
        let arg = |arg: &RoutineArg| named(&arg.ty) || is(arg.domain);
        routine.args.iter().any(arg)
            || result.is_some_and(|result| {
                named(&result.ty) || is(result.domain) || result.relation.is_some_and(rows)
            })
    });
    let routines = routines.map(|routine| Dependent::Routine(Arc::clone(routine)));
    let types = home.types.values().filter(|other| match &other.body {
        TypeBody::Domain(domain) => domain.over == Some(ty.id) || named(&domain.base),
        TypeBody::Composite { .. } | TypeBody::Enum { .. } => false,
    });
    let types = types.map(|other| Dependent::Type(Arc::clone(other)));
    let fields = home.types.values().flat_map(|other| {
        let fields = other.fields().iter().filter(|(_, field)| named(field));
        fields.map(|(name, field)| {
            let name = Spelled {
                value: name.clone(),
                position: 0,
            };
            Dependent::Field(Arc::clone(other), name, field.clone())
        })
    });
    // The youngest first, as PostgreSQL finds them.
    let columns = columns_of(home, ty.id).into_iter().rev();
    // A column of rows that have the type in them stays: they lose that field.
    let columns = columns.filter(|(_, column)| column.domain == Some(ty.id) || named(&column.ty));
    let columns = columns.map(|(table, column)| Dependent::Column(table, column));
    let all = columns.chain(fields).chain(routines);
    all.chain(views).chain(types).collect()
}
