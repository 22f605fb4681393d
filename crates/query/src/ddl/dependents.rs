//! What depends on a thing that is dropped: it goes too, or keeps the thing.

use std::collections::HashSet;
use std::sync::Arc;

use chronolith_catalog::{Change, Column, ConstraintKind, Database, Routine, Table, Type, View};
use chronolith_sql::{AttributeAction, Spelled};
use chronolith_types::{ColumnId, RoutineId, SchemaId, SqlState, SqlType, TableId, TypeId};

use super::alter::drop_column;
use super::attributes;
use super::drop::{label, tell_dropped};
use super::drop_type::drop_type;
use super::policy;
use super::routine::{kind_of as routine_kind, signature};
use super::sequence;
use super::view::{kind_of, readers};
use crate::catalogs::{quoted, row_types_of};
use crate::error::Error;
use crate::references::referring;
use crate::session::Shared;

/// Something that depends on another.
#[derive(Debug)]
pub(super) struct Dependent {
    /// What is declared with rows goes last, that with arrays of them behind all; else what is
    /// younger goes first.
    order: (u8, u32, u32),
    what: What,
    /// As messages name it.
    shown: String,
    /// What it depends on, the same way.
    on: String,
}

#[derive(Debug)]
enum What {
    View(Arc<View>),
    /// A foreign key of a table.
    Reference(TableId, String),
    /// A column that is computed from another.
    Computed(TableId, ColumnId),
    /// A column's default that calls a sequence.
    Default(TableId, Box<Column>),
    /// A table's row-level policy.
    Policy(Box<Table>, String),
    /// A routine that takes or gives rows of a table.
    Routine(RoutineId),
    /// A column of such rows.
    Rows(TableId, String),
    /// A field of a composite type.
    Field(TypeId, String),
    /// A domain over such rows.
    Type(TypeId),
}

/// Views that read a relation.
pub(super) fn views(
    shared: &Arc<Shared>,
    home: &Database,
    (schema, name): (SchemaId, &str),
    on: &str,
) -> Vec<Dependent> {
    let readers = readers(home, schema, name);
    readers.map(|view| of_view(shared, view, on)).collect()
}

pub(super) fn of_view(shared: &Arc<Shared>, view: &Arc<View>, on: &str) -> Dependent {
    Dependent {
        order: (2, view.id.0, 0),
        what: What::View(Arc::clone(view)),
        shown: label(shared, kind_of(view), &view.name, view.id.0),
        on: on.to_owned(),
    }
}

/// Foreign keys of others that refer to a table, or all that refer to one of its keys.
pub(super) fn references(
    shared: &Arc<Shared>,
    home: &Database,
    table: &Table,
    key: Option<u32>,
    on: &str,
) -> Vec<Dependent> {
    let mut found = referring(home, table.id);
    found.retain(|(child, constraint)| {
        let reference = constraint.kind.reference();
        let of_key = reference.is_some_and(|of| key.is_none_or(|key| of.key == key));
        of_key && (child.id != table.id || key.is_some())
    });
    let found = found.into_iter().map(|(child, constraint)| {
        let of = label(shared, "table", &child.name, child.id.0);
        Dependent {
            order: (2, constraint.id, 0),
            shown: format!("constraint {} on {of}", constraint.name),
            what: What::Reference(child.id, constraint.name),
            on: on.to_owned(),
        }
    });
    found.collect()
}

/// What is declared with the rows of a table or view: routines, columns, fields and domains.
pub(super) fn rows(
    shared: &Arc<Shared>,
    home: &Database,
    (relation, name): (TableId, &str),
) -> Vec<Dependent> {
    let (row, _) = row_types_of(relation.0);
    let on = label(shared, "type", name, relation.0);
    // Arrays are found before the rows themselves.
    let rank = |ty: &SqlType| match ty {
        SqlType::Array(element) if element.oid() == row => Some((0, format!("{on}[]"))),
        ty if ty.oid() == row => Some((1, on.clone())),
        _ => None,
    };
    let dependent = |ty: &SqlType, oid: u32, sub: u32, what: What, shown: String| {
        let (rank, on) = rank(ty)?;
        Some(Dependent {
            order: (rank, oid, u32::MAX - sub),
            what,
            shown,
            on,
        })
    };
    let mut found = Vec::new();
    for table in home.tables.values() {
        let shown = label(shared, "table", &table.name, table.id.0);
        found.extend(table.columns.iter().filter_map(|column| {
            let what = What::Rows(table.id, column.name.clone());
            let shown = format!("column {} of {shown}", column.name);
            dependent(&column.ty, table.id.0, column.id.0, what, shown)
        }));
    }
    for routine in home.routines.values() {
        let result = routine.result.as_ref();
        let of = result.is_some_and(|result| result.relation == Some(relation));
        let of = of.then_some((1, on.clone()));
        let result = result.and_then(|result| rank(&result.ty));
        if let Some((rank, on)) = routine.types().find_map(rank).or(result).or(of) {
            found.push(Dependent {
                order: (rank, routine.id.0, 0),
                what: What::Routine(routine.id),
                shown: format!("{} {}", routine_kind(routine), signature(routine)),
                on,
            });
        }
    }
    for ty in home.types.values() {
        let oid = ty.id.0;
        let of = |name: &str| label(shared, "composite type", name, ty.relation().unwrap_or(oid));
        for (at, (name, field)) in (0..).zip(ty.fields()) {
            let what = What::Field(ty.id, name.clone());
            let shown = format!("column {name} of {}", of(&ty.name));
            found.extend(dependent(field, oid, at, what, shown));
        }
        if let Some(domain) = ty.domain() {
            let shown = label(shared, "type", &ty.name, oid);
            found.extend(dependent(&domain.base, oid, 0, What::Type(ty.id), shown));
        }
    }
    found
}

/// Columns that are computed from another of their table.
pub(super) fn computed(table: &Table, column: &Column, of: &str) -> Result<Vec<Dependent>, Error> {
    let mut found = Vec::new();
    for other in table.columns.iter().filter(|other| other.id != column.id) {
        if let Some(text) = &other.generated
            && chronolith_sql::names_column(text, &column.name)?
        {
            found.push(Dependent {
                order: (2, table.id.0, 0),
                what: What::Computed(table.id, other.id),
                shown: format!("column {} of {of}", other.name),
                on: format!("column {} of {of}", column.name),
            });
        }
    }
    Ok(found)
}

/// Defaults of other tables that call a sequence which goes with a table, or with one of its columns.
pub(super) fn defaults(
    shared: &Arc<Shared>,
    home: &Database,
    table: &Table,
    column: Option<ColumnId>,
) -> Result<Vec<Dependent>, Error> {
    let mut found = Vec::new();
    for of in sequence::owned(shared, table.id, column)? {
        found.extend(callers(shared, home, of.id, &of.name, Some(table.id)));
    }
    Ok(found)
}

/// Defaults that call a sequence, but those of a table that goes too.
pub(super) fn callers(
    shared: &Arc<Shared>,
    home: &Database,
    sequence: TableId,
    name: &str,
    but: Option<TableId>,
) -> Vec<Dependent> {
    let on = label(shared, "sequence", name, sequence.0);
    let mut users = sequence::users(home, sequence);
    users.retain(|(user, _)| Some(user.id) != but);
    let users = users.into_iter().map(|(user, column)| {
        let of = label(shared, "table", &user.name, user.id.0);
        Dependent {
            order: (2, sequence.0, 0),
            shown: format!("default value for column {} of {of}", column.name),
            what: What::Default(user.id, Box::new(column)),
            on: on.clone(),
        }
    });
    users.collect()
}

/// What calls a function by its name: views, and what tables compute of their rows. A view's text
/// has the schema of what it calls; other texts may have the name alone, and count where it is nobody
/// else's, no built-in function's and no keyword: what goes by CASCADE takes rows' values along. Where
/// a name is that of several functions, nothing is known of which is called.
pub(super) fn calls(shared: &Arc<Shared>, home: &Database, routine: &Routine) -> Vec<Dependent> {
    let named = |other: &&Arc<Routine>| other.name == routine.name;
    if home.routines.values().filter(named).count() > 1 {
        return Vec::new();
    }
    let on = format!("{} {}", routine_kind(routine), signature(routine));
    let mut found = views(shared, home, (routine.schema, &routine.name), &on);
    let name = &routine.name;
    if !crate::functions::procs(name).is_empty() || quoted(name) != *name {
        return found;
    }
    let calls = |text: &Option<String>| {
        text.as_deref()
            .is_some_and(|text| chronolith_sql::calls(text, &routine.name).unwrap_or(false))
    };
    for table in home.tables.values() {
        let of = label(shared, "table", &table.name, table.id.0);
        let mut push = |order: (u32, u32), what: What, shown: String| {
            found.push(Dependent {
                order: (2, order.0, order.1),
                what,
                shown: format!("{shown} of {of}"),
                on: on.clone(),
            });
        };
        for (at, column) in (0..).zip(&table.columns) {
            let order = (table.id.0, at);
            if calls(&column.generated) {
                let what = What::Computed(table.id, column.id);
                push(order, what, format!("column {}", column.name));
            } else if calls(&column.default) {
                let what = What::Default(table.id, Box::new(column.clone()));
                push(
                    order,
                    what,
                    format!("default value for column {}", column.name),
                );
            }
        }
        for constraint in &table.constraints {
            let ConstraintKind::Check { expression, .. } = &constraint.kind else {
                continue;
            };
            if calls(&Some(expression.clone())) {
                found.push(Dependent {
                    order: (2, constraint.id, 0),
                    what: What::Reference(table.id, constraint.name.clone()),
                    shown: format!("constraint {} on {of}", constraint.name),
                    on: on.clone(),
                });
            }
        }
    }
    found
}

/// Policies of a table that name one of its columns.
pub(super) fn policies(
    shared: &Arc<Shared>,
    table: &Table,
    column: &Column,
    of: &str,
) -> Result<Vec<Dependent>, Error> {
    let named = policy::of_column(shared, table, &column.name)?;
    let found = named.into_iter().map(|(oid, name)| Dependent {
        order: (2, oid, 0),
        shown: format!("policy {name} on {of}"),
        what: What::Policy(Box::new(table.clone()), name),
        on: format!("column {} of {of}", column.name),
    });
    Ok(found.collect())
}

/// All that depends on something: what is to go first comes first.
#[derive(Debug)]
pub(super) struct Dependents(Vec<Dependent>);

impl Dependents {
    /// These, and the views that read them, and so on.
    pub(super) fn of(shared: &Arc<Shared>, home: &Database, direct: Vec<Dependent>) -> Self {
        let mut all = Self(Vec::new());
        all.gather(shared, home, direct, &mut HashSet::new());
        all
    }

    /// PostgreSQL's order: younger ones before older ones, each behind what depends on it, and told
    /// the other way round.
    fn gather(
        &mut self,
        shared: &Arc<Shared>,
        home: &Database,
        mut direct: Vec<Dependent>,
        seen: &mut HashSet<TableId>,
    ) {
        direct.sort_by_key(|dependent| dependent.order);
        direct.reverse();
        for dependent in direct {
            if let What::View(view) = &dependent.what {
                if !seen.insert(view.id) {
                    continue;
                }
                let name = (view.schema, view.name.as_str());
                let more = views(shared, home, name, &dependent.shown);
                self.gather(shared, home, more, seen);
            }
            self.0.push(dependent);
        }
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Tells that they go with something, or that it stays because of them.
    ///
    /// # Errors
    /// 2BP01 without CASCADE.
    pub(super) fn settle(
        &self,
        shared: &Shared,
        dropped: &str,
        cascade: bool,
    ) -> Result<(), Error> {
        let told = self.0.iter().rev();
        if cascade || self.is_empty() {
            let gone = told.map(|of| format!("drop cascades to {}", of.shown));
            tell_dropped(shared, gone.collect());
            return Ok(());
        }
        let lines: Vec<String> = told
            .map(|of| format!("{} depends on {}", of.shown, of.on))
            .collect();
        Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop {dropped} because other objects depend on it"),
        )
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."))
    }

    /// Drops them, whoever they belong to.
    pub(super) fn drop(self, shared: &Arc<Shared>) -> Result<(), Error> {
        for dependent in self.0 {
            drop_one(shared, dependent.what)?;
        }
        Ok(())
    }
}

fn drop_one(shared: &Arc<Shared>, what: What) -> Result<(), Error> {
    let database = shared.database;
    shared.change_unguarded(match what {
        What::View(view) => Change::DropView {
            database,
            id: view.id,
        },
        What::Reference(table, name) => Change::DropConstraint {
            database,
            table,
            name,
        },
        What::Computed(table, column) => Change::DropColumn {
            database,
            table,
            column,
        },
        What::Default(table, column) => Change::ChangeColumn {
            database,
            table,
            column: Column {
                default: None,
                ..*column
            },
        },
        What::Policy(table, name) => return policy::drop_named(shared, &table, &name),
        What::Routine(id) => Change::DropRoutine { database, id },
        What::Rows(table, column) => {
            let table = shared.home()?.tables.get(&table).cloned();
            return match table {
                Some(table) => drop_column(shared, &table, &named(column), true, true),
                None => Ok(()),
            };
        }
        What::Field(id, field) => {
            let Some(ty) = shared.home()?.types.get(&id).cloned() else {
                return Ok(());
            };
            let gone = AttributeAction::Drop {
                name: named(field),
                if_exists: true,
            };
            return attributes::change(shared, Type::clone(&ty), &[gone]);
        }
        What::Type(id) => {
            let ty = shared.home()?.types.get(&id).cloned();
            return ty.map_or(Ok(()), |ty| drop_type(shared, &ty, true));
        }
    })
}

fn named(value: String) -> Spelled {
    Spelled { value, position: 0 }
}
