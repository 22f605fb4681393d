//! What depends on a thing that is dropped: it goes too, or keeps the thing.

use std::collections::HashSet;
use std::sync::Arc;

use chronolith_catalog::{Change, Column, Database, Routine, Table, View};
use chronolith_types::{ColumnId, RoutineId, SchemaId, SqlState, TableId};

use super::drop::{label, tell_dropped};
use super::policy;
use super::routine::{kind_of as routine_kind, signature};
use super::sequence;
use super::view::{kind_of, readers};
use crate::catalogs::row_types_of;
use crate::error::Error;
use crate::references::referring;
use crate::session::Shared;

/// Something that depends on another.
#[derive(Debug)]
pub(super) struct Dependent {
    /// What is younger goes first.
    oid: u32,
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
    Rows(TableId, ColumnId),
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
        oid: view.id.0,
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
            oid: constraint.id,
            shown: format!("constraint {} on {of}", constraint.name),
            what: What::Reference(child.id, constraint.name),
            on: on.to_owned(),
        }
    });
    found.collect()
}

/// Routines over a table's rows, and columns of them.
pub(super) fn rows(shared: &Arc<Shared>, home: &Database, of: &Table) -> Vec<Dependent> {
    let (row, _) = row_types_of(of.id.0);
    let on = label(shared, "type", &of.name, of.id.0);
    let takes = |routine: &&Arc<Routine>| {
        let result = routine.result.as_ref();
        routine.types().any(|ty| ty.mentions(row))
            || result
                .is_some_and(|result| result.relation == Some(of.id) || result.ty.mentions(row))
    };
    let routines = home
        .routines
        .values()
        .filter(takes)
        .map(|routine| Dependent {
            oid: routine.id.0,
            what: What::Routine(routine.id),
            shown: format!("{} {}", routine_kind(routine), signature(routine)),
            on: on.clone(),
        });
    let columns = columns_of_rows(home, of.id)
        .into_iter()
        .map(|(table, column)| {
            let array = if column.ty.element().is_some() {
                "[]"
            } else {
                ""
            };
            let shown = label(shared, "table", &table.name, table.id.0);
            Dependent {
                oid: table.id.0,
                what: What::Rows(table.id, column.id),
                shown: format!("column {} of {shown}", column.name),
                on: format!("{on}{array}"),
            }
        });
    routines.chain(columns).collect()
}

/// The columns of other tables that hold rows of a table.
pub(super) fn columns_of_rows(home: &Database, of: TableId) -> Vec<(Arc<Table>, Column)> {
    let (row, _) = row_types_of(of.0);
    let columns = |table: &Arc<Table>| {
        let columns = table
            .columns
            .iter()
            .filter(|column| column.ty.mentions(row));
        let found: Vec<_> = columns
            .map(|column| (Arc::clone(table), column.clone()))
            .collect();
        found
    };
    home.tables.values().flat_map(columns).collect()
}

/// 0A000 while a column somewhere holds rows of a table: what these are must not change.
pub(super) fn refuse_rows(shared: &Shared, table: &Table) -> Result<(), Error> {
    let home = shared.home()?;
    match columns_of_rows(&home, table.id).first() {
        None => Ok(()),
        Some((holder, column)) => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "cannot alter table \"{}\" because column \"{}.{}\" uses its row type",
                table.name, holder.name, column.name
            ),
        )),
    }
}

/// Columns that are computed from another of their table.
pub(super) fn computed(table: &Table, column: &Column, of: &str) -> Result<Vec<Dependent>, Error> {
    let mut found = Vec::new();
    for other in table.columns.iter().filter(|other| other.id != column.id) {
        if let Some(text) = &other.generated
            && chronolith_sql::names_column(text, &column.name)?
        {
            found.push(Dependent {
                oid: table.id.0,
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
            oid: sequence.0,
            shown: format!("default value for column {} of {of}", column.name),
            what: What::Default(user.id, Box::new(column)),
            on: on.clone(),
        }
    });
    users.collect()
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
        oid,
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
        direct.sort_by_key(|dependent| dependent.oid);
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
        What::Rows(table, column) => Change::DropColumn {
            database,
            table,
            column,
        },
    })
}
