//! CREATE, ALTER and DROP SEQUENCE, and the sequences of serial and identity columns.

use std::sync::Arc;

use chronolith_catalog::{Change, Column, Identity, OwnedBy, Sequence, Table};
use chronolith_sql::{
    AlterAction, AlterSequence, AlterTable, CreateSequence, Drop, Name, SequenceOptions,
};
use chronolith_types::{ColumnId, SchemaId, SqlState, SqlType, TableId};

use super::alter::role_of;
use super::dependents::{self, Dependents};
use super::drop::{check_kind, label, schemas};
use super::run::owner;
use super::table::{check_name, free_name};
use crate::catalogs::sequences::names_sequence;
use crate::error::Error;
use crate::insert::{undefined_column, undefined_table};
use crate::outcome::Severity;
use crate::session::Shared;

fn wrong(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn unready(message: &str) -> Error {
    Error::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

/// The least and greatest number of a type.
fn bounds(ty: &SqlType) -> (i64, i64) {
    match ty {
        SqlType::Int2 => (i16::MIN.into(), i16::MAX.into()),
        SqlType::Int4 => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    }
}

/// What options make of a sequence, or of a new one.
fn apply(sequence: &mut Sequence, options: &SequenceOptions, new: bool) -> Result<(), Error> {
    let (mut reset_min, mut reset_max) = (new, new);
    if let Some(ty) = &options.ty {
        if !matches!(ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8) {
            return Err(wrong(
                "sequence type must be smallint, integer, or bigint".to_owned(),
            ));
        }
        let (least, greatest) = bounds(&sequence.ty);
        // Bounds that were the old type's own become those of the new one.
        reset_max |= sequence.max == greatest || (sequence.increment < 0 && sequence.max == -1);
        reset_min |= sequence.min == least || (sequence.increment > 0 && sequence.min == 1);
        sequence.ty = ty.clone();
    }
    if let Some(increment) = options.increment {
        if increment == 0 {
            return Err(wrong("INCREMENT must not be zero".to_owned()));
        }
        sequence.increment = increment;
    }
    sequence.cycle = options.cycle.unwrap_or(sequence.cycle);
    let (least, greatest) = bounds(&sequence.ty);
    let up = sequence.increment > 0;
    match options.max {
        Some(Some(max)) => sequence.max = max,
        Some(None) => sequence.max = if up { greatest } else { -1 },
        None if reset_max => sequence.max = if up { greatest } else { -1 },
        None => {}
    }
    match options.min {
        Some(Some(min)) => sequence.min = min,
        Some(None) => sequence.min = if up { 1 } else { least },
        None if reset_min => sequence.min = if up { 1 } else { least },
        None => {}
    }
    for (what, value) in [("MAXVALUE", sequence.max), ("MINVALUE", sequence.min)] {
        if !(least..=greatest).contains(&value) {
            return Err(wrong(format!(
                "{what} ({value}) is out of range for sequence data type {}",
                sequence.ty
            )));
        }
    }
    let (min, max) = (sequence.min, sequence.max);
    if min >= max {
        return Err(wrong(format!(
            "MINVALUE ({min}) must be less than MAXVALUE ({max})"
        )));
    }
    match options.start {
        Some(start) => sequence.start = start,
        None if new => sequence.start = if up { min } else { max },
        None => {}
    }
    within("START", sequence.start, min, max)?;
    if new {
        (sequence.last, sequence.called) = (sequence.start, false);
    }
    if let Some(restart) = options.restart {
        let at = restart.unwrap_or(sequence.start);
        (sequence.last, sequence.called) = (at, false);
    }
    within("RESTART", sequence.last, min, max)?;
    if let Some(cache) = options.cache {
        if cache <= 0 {
            return Err(wrong(format!("CACHE ({cache}) must be greater than zero")));
        }
        sequence.cache = cache;
    }
    Ok(())
}

fn within(what: &str, value: i64, min: i64, max: i64) -> Result<(), Error> {
    if value < min {
        return Err(wrong(format!(
            "{what} value ({value}) cannot be less than MINVALUE ({min})"
        )));
    }
    if value > max {
        return Err(wrong(format!(
            "{what} value ({value}) cannot be greater than MAXVALUE ({max})"
        )));
    }
    Ok(())
}

/// A sequence that counts from 1, with numbers of its own.
fn fresh(shared: &Shared, schema: SchemaId, name: &str) -> Result<Sequence, Error> {
    let oid = || shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()));
    Ok(Sequence {
        id: TableId(oid()?),
        schema,
        name: name.to_owned(),
        owner: owner(shared)?,
        ty: SqlType::Int8,
        start: 1,
        increment: 1,
        min: 1,
        max: i64::MAX,
        cache: 1,
        cycle: false,
        owned_by: None,
        count: oid()?,
        last: 1,
        called: false,
    })
}

pub(super) fn create(shared: &Arc<Shared>, create: &CreateSequence) -> Result<(), Error> {
    if create.temporary {
        return Err(Error::unsupported("CREATE TEMPORARY SEQUENCE"));
    }
    if create.unlogged {
        return Err(Error::unsupported("CREATE UNLOGGED SEQUENCE"));
    }
    let name = create.name.name();
    check_name(name)?;
    let schema = shared.creation_schema(create.name.schema())?;
    if shared.home()?.relation_exists(schema, name) {
        let message = format!("relation \"{name}\" already exists");
        if !create.if_not_exists {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::DUPLICATE_TABLE, format!("{message}, skipping")),
        );
        return Ok(());
    }
    let mut sequence = fresh(shared, schema, name)?;
    apply(&mut sequence, &create.options, true)?;
    if let Some(owned) = &create.options.owned_by {
        own(shared, &mut sequence, owned.as_ref())?;
    }
    shared.change(Change::CreateSequence {
        database: shared.database,
        sequence: Box::new(sequence),
    })
}

/// OWNED BY.
fn own(shared: &Arc<Shared>, sequence: &mut Sequence, by: Option<&Name>) -> Result<(), Error> {
    let Some(by) = by else {
        sequence.owned_by = None;
        return Ok(());
    };
    let (schema, table, column) = match by.parts.as_slice() {
        [table, column] => (None, table, column),
        [.., schema, table, column] => (Some(schema.as_str()), table, column),
        _ => {
            return Err(
                Error::new(SqlState::SYNTAX_ERROR, "invalid OWNED BY option")
                    .hint("Specify OWNED BY table.column or OWNED BY NONE."),
            );
        }
    };
    let found = shared
        .find_table(schema, table)?
        .ok_or_else(|| undefined_table(schema, table))?;
    if found.owner != sequence.owner {
        return Err(unready(
            "sequence must have same owner as table it is linked to",
        ));
    }
    if found.schema != sequence.schema {
        return Err(unready(
            "sequence must be in same schema as table it is linked to",
        ));
    }
    let (_, column) = found
        .column_named(column)
        .ok_or_else(|| undefined_column(column, table))?;
    sequence.owned_by = Some(OwnedBy {
        table: found.id,
        column: column.id,
        internal: false,
    });
    Ok(())
}

/// A sequence by its name, with the search path.
///
/// # Errors
/// 42P01, or 42809 for another relation.
pub(super) fn find(shared: &Shared, name: &Name) -> Result<Arc<Sequence>, Error> {
    let home = shared.home()?;
    for schema in schemas(shared, &home, name.schema())? {
        if let Some(found) = home.sequence_named(schema, name.name()) {
            return Ok(Arc::clone(found));
        }
        if home.relation_exists(schema, name.name()) {
            return Err(not_a_sequence(name.name()));
        }
    }
    Err(undefined_table(name.schema(), name.name()))
}

pub(crate) fn not_a_sequence(name: &str) -> Error {
    Error::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{name}\" is not a sequence"),
    )
}

fn change(shared: &Arc<Shared>, sequence: Sequence) -> Result<(), Error> {
    shared.change(Change::ChangeSequence {
        database: shared.database,
        sequence: Box::new(sequence),
    })
}

/// The same sequence with other options; with RESTART its count begins anew.
fn altered(
    shared: &Arc<Shared>,
    found: &Sequence,
    options: &SequenceOptions,
) -> Result<Sequence, Error> {
    let mut sequence = Sequence::clone(found);
    (sequence.last, sequence.called) =
        shared.transact(|transaction| transaction.sequence_value(found.id))?;
    apply(&mut sequence, options, false)?;
    if options.restart.is_some() {
        sequence.count =
            shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    }
    Ok(sequence)
}

/// ALTER SEQUENCE with options of its own.
pub(super) fn alter(shared: &Arc<Shared>, of: &AlterSequence) -> Result<(), Error> {
    let Some(found) = find_or_skip(shared, &of.name, of.if_exists)? else {
        return Ok(());
    };
    let mut sequence = altered(shared, &found, &of.options)?;
    if let Some(by) = &of.options.owned_by {
        refuse_internal(shared, &found)?;
        own(shared, &mut sequence, by.as_ref())?;
    }
    change(shared, sequence)
}

fn find_or_skip(
    shared: &Arc<Shared>,
    name: &Name,
    if_exists: bool,
) -> Result<Option<Arc<Sequence>>, Error> {
    match find(shared, name) {
        Err(missing) if if_exists && missing.code == SqlState::UNDEFINED_TABLE => {
            shared.skip(&missing);
            Ok(None)
        }
        found => found.map(Some),
    }
}

fn refuse_internal(shared: &Shared, sequence: &Sequence) -> Result<(), Error> {
    let Some(by) = sequence.owned_by.filter(|by| by.internal) else {
        return Ok(());
    };
    let home = shared.home()?;
    let table = home.tables.get(&by.table);
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cannot change ownership of identity sequence",
    )
    .detail(format!(
        "Sequence \"{}\" is linked to table \"{}\".",
        sequence.name,
        table.map_or("", |table| table.name.as_str())
    )))
}

/// ALTER SEQUENCE … RENAME TO, OWNER TO, SET SCHEMA, as any relation has them.
pub(super) fn alter_relation(shared: &Arc<Shared>, of: &AlterTable) -> Result<(), Error> {
    let Some(found) = find_or_skip(shared, &of.name, of.if_exists)? else {
        return Ok(());
    };
    for action in &of.actions {
        let home = shared.home()?;
        let Some(now) = home.sequences.get(&found.id) else {
            return Err(undefined_table(of.name.schema(), of.name.name()));
        };
        let mut sequence = Sequence::clone(now);
        match action {
            AlterAction::RenameTo(to) => {
                check_name(&to.value)?;
                sequence.name.clone_from(&to.value);
            }
            AlterAction::OwnerTo(role) => {
                refuse_internal(shared, &found)?;
                sequence.owner = role_of(shared, &role.value)?;
            }
            AlterAction::SetSchema(schema) => {
                if sequence.owned_by.is_some() {
                    return Err(Error::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        "cannot move an owned sequence into another schema",
                    ));
                }
                sequence.schema = shared.creation_schema(Some(&schema.value))?;
            }
            _ => return Err(Error::unsupported("this form of ALTER SEQUENCE")),
        }
        change(shared, sequence)?;
    }
    Ok(())
}

/// What keeps its values in a sequence beyond the column that the sequence goes with: tables and
/// columns whose defaults name it.
pub(super) fn users(home: &chronolith_catalog::Database, id: TableId) -> Vec<(Arc<Table>, Column)> {
    let tables = home.tables.values();
    tables
        .flat_map(|table| {
            let columns = table.columns.iter().filter(|column| {
                let text = column.default.as_deref();
                text.is_some_and(|text| names_sequence(text, id))
            });
            columns.map(|column| (Arc::clone(table), column.clone()))
        })
        .collect()
}

/// DROP SEQUENCE of one.
pub(super) fn drop(shared: &Arc<Shared>, name: &Name, of: &Drop) -> Result<(), Error> {
    let home = shared.home()?;
    for schema in schemas(shared, &home, name.schema())? {
        check_kind(&home, schema, name.name(), "sequence")?;
    }
    let found = find(shared, name).map_err(|error| match error.code {
        SqlState::UNDEFINED_TABLE => Error::new(
            SqlState::UNDEFINED_TABLE,
            format!("sequence \"{name}\" does not exist"),
        ),
        _ => error,
    })?;
    shared.check_drop(found.id)?;
    let shown = label(shared, "sequence", &found.name, found.id.0);
    if let Some(by) = found.owned_by.filter(|by| by.internal)
        && let Some(table) = home.tables.get(&by.table)
    {
        let column = table.column(by.column);
        let column = column.map_or("", |column| column.name.as_str());
        let of = format!("column {column} of table {}", table.name);
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop {shown} because {of} requires it"),
        )
        .hint(format!("You can drop {of} instead.")));
    }
    drop_one(shared, &found, of.cascade)
}

/// A sequence with the defaults that name it.
pub(super) fn drop_one(shared: &Arc<Shared>, found: &Sequence, cascade: bool) -> Result<(), Error> {
    let shown = label(shared, "sequence", &found.name, found.id.0);
    let home = shared.home()?;
    let callers = dependents::callers(shared, &home, found.id, &found.name, None);
    let dependents = Dependents::of(shared, &home, callers);
    dependents.settle(shared, &shown, cascade)?;
    dependents.drop(shared)?;
    shared.change(Change::DropSequence {
        database: shared.database,
        id: found.id,
    })
}

/// The sequences that go with a table, or with one of its columns.
pub(super) fn owned(
    shared: &Shared,
    table: TableId,
    column: Option<ColumnId>,
) -> Result<Vec<Arc<Sequence>>, Error> {
    let home = shared.home()?;
    let is = |sequence: &&Arc<Sequence>| {
        sequence
            .owned_by
            .is_some_and(|by| by.table == table && column.is_none_or(|column| by.column == column))
    };
    Ok(home.sequences.values().filter(is).cloned().collect())
}

/// A table's sequences follow it to another schema or owner.
pub(super) fn follow(shared: &Arc<Shared>, table: TableId) -> Result<(), Error> {
    let home = shared.home()?;
    let Some(table) = home.tables.get(&table) else {
        return Ok(());
    };
    for sequence in owned(shared, table.id, None)? {
        let mut moved = Sequence::clone(&sequence);
        (moved.schema, moved.owner) = (table.schema, table.owner);
        if moved != *sequence {
            shared.change_unguarded(Change::ChangeSequence {
                database: shared.database,
                sequence: Box::new(moved),
            })?;
        }
    }
    Ok(())
}

/// TRUNCATE … RESTART IDENTITY.
pub(super) fn restart_of(shared: &Arc<Shared>, table: TableId) -> Result<(), Error> {
    let options = SequenceOptions {
        restart: Some(None),
        ..SequenceOptions::default()
    };
    for sequence in owned(shared, table, None)? {
        change(shared, altered(shared, &sequence, &options)?)?;
    }
    Ok(())
}

/// Makes the sequence of a serial column; the column's default.
pub(super) fn of_serial(
    shared: &Arc<Shared>,
    table: &Table,
    column: ColumnId,
    name: &str,
    ty: &SqlType,
) -> Result<String, Error> {
    let options = SequenceOptions {
        ty: Some(ty.clone()),
        ..SequenceOptions::default()
    };
    let id = of_column(shared, table, (column, name), &options, false)?;
    Ok(format!("nextval('{id}'::regclass)"))
}

fn check_identity_type(ty: &SqlType) -> Result<(), Error> {
    match ty {
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => Ok(()),
        _ => Err(wrong(
            "identity column type must be smallint, integer, or bigint".to_owned(),
        )),
    }
}

/// Makes the sequence of an identity column.
pub(super) fn of_identity(
    shared: &Arc<Shared>,
    table: &Table,
    (column, name): (ColumnId, &str),
    ty: &SqlType,
    identity: &chronolith_sql::IdentityDef,
) -> Result<Identity, Error> {
    check_identity_type(ty)?;
    let mut options = identity.options.clone();
    if options.ty.is_some() || options.owned_by.is_some() {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "conflicting or redundant options",
        ));
    }
    options.ty = Some(ty.clone());
    Ok(Identity {
        always: identity.always,
        sequence: of_column(shared, table, (column, name), &options, true)?,
    })
}

fn of_column(
    shared: &Arc<Shared>,
    table: &Table,
    (column, name): (ColumnId, &str),
    options: &SequenceOptions,
    internal: bool,
) -> Result<TableId, Error> {
    let home = shared.home()?;
    let taken = |name: &str| home.relation_exists(table.schema, name);
    let (schema, name) = match &options.name {
        Some(given) => {
            check_name(given.name())?;
            let schema = match given.schema() {
                Some(schema) => shared.creation_schema(Some(schema))?,
                None => table.schema,
            };
            (schema, given.name().to_owned())
        }
        None => (
            table.schema,
            free_name(&table.name, &[name.to_owned()], "seq", taken),
        ),
    };
    let mut sequence = fresh(shared, schema, &name)?;
    sequence.owner = table.owner;
    apply(&mut sequence, options, true)?;
    sequence.owned_by = Some(OwnedBy {
        table: table.id,
        column,
        internal,
    });
    let id = sequence.id;
    shared.change(Change::CreateSequence {
        database: shared.database,
        sequence: Box::new(sequence),
    })?;
    Ok(id)
}

/// ALTER COLUMN … ADD, SET and DROP of an identity.
pub(super) fn alter_identity(
    shared: &Arc<Shared>,
    table: &Table,
    column: &Column,
    change_of: &chronolith_sql::IdentityChange,
) -> Result<(), Error> {
    use chronolith_sql::IdentityChange;
    let words = |what: &str| {
        format!(
            "column \"{}\" of relation \"{}\" {what}",
            column.name, table.name
        )
    };
    let mut column_now = column.clone();
    match change_of {
        IdentityChange::Add(identity) => {
            check_identity_type(&column.ty)?;
            if !column.not_null {
                return Err(unready(&words(
                    "must be declared NOT NULL before identity can be added",
                )));
            }
            if column.identity.is_some() {
                return Err(unready(&words("is already an identity column")));
            }
            if column.default.is_some() {
                return Err(unready(&words("already has a default value")));
            }
            let at = (column.id, column.name.as_str());
            column_now.identity = Some(of_identity(shared, table, at, &column.ty, identity)?);
        }
        IdentityChange::Set { always, options } => {
            let Some(identity) = &mut column_now.identity else {
                return Err(unready(&words("is not an identity column")));
            };
            if let Some(always) = always {
                identity.always = *always;
            }
            let home = shared.home()?;
            if let Some(sequence) = home.sequences.get(&identity.sequence) {
                change(shared, altered(shared, sequence, options)?)?;
            }
        }
        IdentityChange::Drop { if_exists } => {
            let Some(identity) = column_now.identity.take() else {
                let missing = unready(&words("is not an identity column"));
                if *if_exists {
                    shared.skip(&missing);
                    return Ok(());
                }
                return Err(missing);
            };
            shared.change(Change::DropSequence {
                database: shared.database,
                id: identity.sequence,
            })?;
        }
    }
    shared.change(Change::ChangeColumn {
        database: shared.database,
        table: table.id,
        column: column_now,
    })
}
