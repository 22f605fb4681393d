//! CREATE TABLE.

use std::sync::Arc;

use chronolith_catalog::{
    Change, Column, Constraint, ConstraintKind, ConstraintMarks, Identity, Index,
    OnCommit as AtCommit, Persistence, Rights, Table,
};
use chronolith_sql::{
    AsSource, ColumnDef, Constraint as Declared, ConstraintKind as DeclaredKind, CreateTable,
    CreateTableAs, Like, Name, OnCommit, Spelled,
};
use chronolith_types::{ColumnId, IndexId, SchemaId, SqlState, SqlType, TableId};

use super::exclude;
use super::hypertable;
use super::index::{told_apart, word_of};
use super::materialized::table_or_rows;
use super::options::{self, TableOptions};
use super::run::owner;
use super::sequence;
use crate::bind::{Bound, Target, bind_query, bind_scalar};
use crate::catalogs::columns_named;
use crate::catalogs::sequences::stored;
use crate::error::Error;
use crate::insert::{self, InsertPlan, check_expr, generated_expr, undefined_table};
use crate::outcome::{OutputColumn, Severity};
use crate::references;
use crate::session::{SessionNames, Shared};

/// PostgreSQL's NAMEDATALEN less one.
pub(super) const NAME_BYTES_MAX: usize = 63;

pub(crate) fn create(shared: &Arc<Shared>, create: &CreateTable) -> Result<(), Error> {
    for (asked, what) in [
        (!create.inherits.is_empty(), "INHERITS"),
        (create.partition_by.is_some(), "PARTITION BY"),
        (create.partition_of.is_some(), "PARTITION OF"),
    ] {
        if asked {
            return Err(Error::unsupported(what));
        }
    }
    let kind = persistence(create.temporary, create.unlogged, create.on_commit)?;
    let Some(mut table) = begin_as(shared, &create.name, create.if_not_exists, kind)? else {
        return Ok(());
    };
    let options = TableOptions::read(&create.options)?;
    let likes = |place: usize| create.like.iter().filter(move |like| like.place == place);
    for like in likes(0) {
        copy_columns(shared, &mut table, like)?;
    }
    for (place, column) in (1..).zip(&create.columns) {
        let column = column_of(shared, &table, column)?;
        table.next_column.0 += 1;
        table.columns.push(column);
        for like in likes(place) {
            copy_columns(shared, &mut table, like)?;
        }
    }
    for declared in &create.constraints {
        add_constraint(shared, &mut table, declared)?;
    }
    let id = table.id;
    let checks: Vec<String> = table
        .constraints
        .iter()
        .filter_map(|constraint| match &constraint.kind {
            ConstraintKind::Check { expression } => Some(expression.clone()),
            _ => None,
        })
        .collect();
    let names = SessionNames::new(shared)?;
    for column in &table.columns {
        if let Some(text) = &column.generated {
            generated_expr(&names, &table, column, text)?;
        }
    }
    for check in &checks {
        check_expr(&names, &table, check)?;
    }
    shared.change(Change::CreateTable {
        database: shared.database,
        table: Box::new(table),
    })?;
    if options.hypertable {
        return hypertable::from_options(shared, id, &options);
    }
    if options.is_for_hypertables() {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "timescaledb options requires hypertable option",
        )
        .hint("Use \"timescaledb.hypertable\" to enable creating a hypertable."));
    }
    Ok(())
}

fn persistence(
    temporary: bool,
    unlogged: bool,
    on_commit: Option<OnCommit>,
) -> Result<Persistence, Error> {
    Ok(match on_commit {
        Some(_) if !temporary => {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                "ON COMMIT can only be used on temporary tables",
            ));
        }
        _ if unlogged => Persistence::Unlogged,
        None if !temporary => Persistence::Permanent,
        None | Some(OnCommit::PreserveRows) => Persistence::Temporary(AtCommit::Preserve),
        Some(OnCommit::DeleteRows) => Persistence::Temporary(AtCommit::Delete),
        Some(OnCommit::Drop) => Persistence::Temporary(AtCommit::Drop),
    })
}

/// As [`begin`], for a table that may be temporary: then it goes to the session's own schema.
fn begin_as(
    shared: &Arc<Shared>,
    name: &Name,
    if_not_exists: bool,
    mut kind: Persistence,
) -> Result<Option<Table>, Error> {
    let mut schema = name.schema();
    if schema == Some("pg_temp") && kind == Persistence::Permanent {
        kind = Persistence::Temporary(AtCommit::Preserve);
    }
    let own = shared.temporary_name();
    if matches!(kind, Persistence::Temporary(_)) {
        let place = shared.temporary_place(schema);
        place.map_err(|error| error.at(u32::try_from(name.position).ok()))?;
        schema = Some(&own);
    }
    let begun = begin(shared, schema, name.name(), if_not_exists)?;
    Ok(begun.map(|table| Table {
        persistence: kind,
        ..table
    }))
}

/// A table without columns under a free name; None when it is there and may be.
pub(super) fn begin(
    shared: &Arc<Shared>,
    schema: Option<&str>,
    name: &str,
    if_not_exists: bool,
) -> Result<Option<Table>, Error> {
    check_name(name)?;
    let schema = shared.creation_schema(schema)?;
    if shared.home()?.relation_exists(schema, name) {
        let exists = Error::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists"),
        );
        if !if_not_exists {
            return Err(exists);
        }
        let message = format!("{}, skipping", exists.message);
        shared.notice(
            Severity::Notice,
            Error::new(SqlState::DUPLICATE_TABLE, message),
        );
        return Ok(None);
    }
    refuse_type(shared, schema, name)?;
    let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
    let owner = owner(shared)?;
    Ok(Some(Table::named(TableId(id), schema, name, owner)))
}

/// 42710 for a relation with the name of a type: its rows have a type of that name.
pub(super) fn refuse_type(shared: &Shared, schema: SchemaId, name: &str) -> Result<(), Error> {
    match shared.home()?.type_named(schema, name) {
        None => Ok(()),
        Some(_) => Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!("type \"{name}\" already exists"),
        )
        .hint(
            "A relation has an associated type of the same name, so you must use a name that \
             doesn't conflict with any existing type.",
        )),
    }
}

/// PostgreSQL cuts longer names silently; a name that is not what was written surprises more.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::new(
            SqlState::NAME_TOO_LONG,
            format!("identifier \"{name}\" is longer than {NAME_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

fn copy_columns(shared: &Arc<Shared>, table: &mut Table, like: &Like) -> Result<(), Error> {
    let source = table_or_rows(shared, like.table.schema(), like.table.name())?
        .ok_or_else(|| undefined_table(like.table.schema(), like.table.name()))?;
    shared.check_relation(source.id, Rights::SELECT)?;
    let including = |what: &str| like.including.iter().any(|word| word == what);
    for column in &source.columns {
        refuse_twice(table, &column.name, None)?;
        table.columns.push(Column {
            id: table.next_column,
            default: column.default.clone().filter(|_| including("defaults")),
            missing: None,
            identity: like_identity(shared, table, &source, column, including("identity"))?,
            generated: column.generated.clone().filter(|_| including("generated")),
            comment: column.comment.clone().filter(|_| including("comments")),
            ..column.clone()
        });
        table.next_column.0 += 1;
    }
    for constraint in &source.constraints {
        let (asked, columns) = match &constraint.kind {
            ConstraintKind::Check { expression } => {
                if including("constraints") {
                    let id = shared.transact(|t| Ok::<_, Error>(t.allocate_oid()))?;
                    table.constraints.push(Constraint {
                        id,
                        name: constraint.name.clone(),
                        kind: ConstraintKind::Check {
                            expression: expression.clone(),
                        },
                        marks: constraint.marks,
                    });
                }
                continue;
            }
            ConstraintKind::ForeignKey(_) => continue,
            ConstraintKind::Exclude { .. } => {
                let index = source.indexes.iter().find(|i| i.name == constraint.name);
                if let Some(index) = index.filter(|_| including("indexes")) {
                    let (constraint, index) = exclude::like(shared, table, constraint, index)?;
                    table.constraints.push(constraint);
                    table.indexes.push(index);
                }
                continue;
            }
            ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns } => {
                (including("indexes"), columns)
            }
        };
        // One that a unique index stands for comes with that.
        let index = source.indexes.iter().find(|i| i.name == constraint.name);
        if !asked || index.is_some_and(|index| !index.constraint) {
            continue;
        }
        let include = index.map_or(&[][..], |index| index.include.as_slice());
        let include = include.iter().map(|name| Spelled {
            value: name.clone(),
            position: 0,
        });
        let names = columns
            .iter()
            .filter_map(|id| source.column(*id))
            .map(|column| Spelled {
                value: column.name.clone(),
                position: 0,
            })
            .collect();
        let kind = match constraint.kind {
            ConstraintKind::PrimaryKey { .. } => DeclaredKind::PrimaryKey(names),
            _ => DeclaredKind::Unique {
                columns: names,
                nulls_alike: constraint.marks.nulls_alike,
            },
        };
        let declared = Declared {
            name: None,
            kind,
            include: include.collect(),
            timing: chronolith_sql::Timing {
                deferrable: constraint.marks.deferrable,
                deferred: constraint.marks.deferred,
                ..chronolith_sql::Timing::default()
            },
            position: 0,
        };
        add_constraint(shared, table, &declared)?;
    }
    if including("indexes") {
        copy_indexes(shared, table, &source)?;
    }
    Ok(())
}

/// Indexes that belong to no key, under names made from the new table's.
fn copy_indexes(shared: &Arc<Shared>, table: &mut Table, source: &Table) -> Result<(), Error> {
    let home = shared.home()?;
    for index in source.indexes.iter().filter(|i| !i.constraint) {
        let word = |key: &String| match key.split(' ').next() {
            Some(column) if !key.starts_with('(') => column.to_owned(),
            _ => word_of(key),
        };
        let behind = index.include.iter().cloned();
        let words = told_apart(index.keys.iter().map(word).chain(behind));
        let taken = |name: &str| {
            table.indexes.iter().any(|known| known.name == name)
                || home.relation_exists(table.schema, name)
        };
        let name = free_name(&table.name, &words, "idx", taken);
        // Uniqueness of columns is kept as a constraint of the index's name.
        let kept = source
            .constraints
            .iter()
            .find(|kept| kept.name == index.name);
        if let Some(kept) = kept
            && let ConstraintKind::Unique { columns } = &kept.kind
        {
            let named = columns.iter().filter_map(|id| source.column(*id));
            let own = named.filter_map(|column| Some(table.column_named(&column.name)?.1.id));
            let columns = own.collect();
            let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
            table.constraints.push(Constraint {
                id,
                name: name.clone(),
                kind: ConstraintKind::Unique { columns },
                marks: kept.marks,
            });
        }
        let id = shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))?;
        table.indexes.push(Index {
            id: IndexId(id),
            name,
            ..index.clone()
        });
    }
    Ok(())
}

/// The identity of a column that is made like another, with a sequence of its own that counts alike.
fn like_identity(
    shared: &Arc<Shared>,
    table: &Table,
    source: &Table,
    column: &Column,
    including: bool,
) -> Result<Option<Identity>, Error> {
    let Some(identity) = column.identity.filter(|_| including) else {
        return Ok(None);
    };
    let home = shared.home()?;
    let Some(of) = home.sequences.get(&identity.sequence) else {
        return Err(Error::internal(format!(
            "the sequence of a column of {} is gone",
            source.name
        )));
    };
    let options = chronolith_sql::SequenceOptions {
        increment: Some(of.increment),
        min: Some(Some(of.min)),
        max: Some(Some(of.max)),
        start: Some(of.start),
        cache: Some(of.cache),
        cycle: Some(of.cycle),
        ..chronolith_sql::SequenceOptions::default()
    };
    let always = identity.always;
    let def = chronolith_sql::IdentityDef { always, options };
    let at = (table.next_column, column.name.as_str());
    sequence::of_identity(shared, table, at, &column.ty, &def).map(Some)
}

fn refuse_twice(table: &Table, name: &str, position: Option<usize>) -> Result<(), Error> {
    if table.column_named(name).is_some() {
        return Err(Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{name}\" specified more than once"),
        )
        .at(position.and_then(|at| u32::try_from(at).ok())));
    }
    Ok(())
}

/// A column as it is declared, under the table's next number.
pub(super) fn column_of(
    shared: &Arc<Shared>,
    table: &Table,
    declared: &ColumnDef,
) -> Result<Column, Error> {
    const COLUMNS_MAX: usize = 1600;
    let name = &declared.name.value;
    check_name(name)?;
    refuse_twice(table, name, Some(declared.name.position))?;
    if table.columns.len() >= COLUMNS_MAX {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("tables can have at most {COLUMNS_MAX} columns"),
        ));
    }
    let system = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];
    if system.contains(&name.as_str()) {
        return Err(Error::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column name \"{name}\" conflicts with a system column name"),
        ));
    }
    let twice = |what: &str| {
        Err(Error::new(
            SqlState::SYNTAX_ERROR,
            format!("{what} for column \"{name}\" of table \"{}\"", table.name),
        )
        .at(u32::try_from(declared.name.position).ok()))
    };
    let default = declared.default.is_some() || declared.sequence;
    match (&declared.identity, &declared.generated) {
        (Some(_), Some(_)) => {
            return twice("both identity and generation expression specified");
        }
        (Some(_), None) if default => return twice("both default and identity specified"),
        (None, Some(_)) if default => {
            return twice("both default and generation expression specified");
        }
        _ if declared.twice || declared.sequence && declared.default.is_some() => {
            return twice("multiple default values specified");
        }
        _ if declared.null && declared.not_null => {
            return twice("conflicting NULL/NOT NULL declarations");
        }
        _ => {}
    }
    if let Some(collation) = &declared.collation
        && !matches!(collation.as_str(), "C" | "POSIX" | "default" | "ucs_basic")
    {
        return Err(Error::unsupported(format!("collation \"{collation}\"")));
    }
    let of = shared.declared(&declared.ty)?;
    if !storable(&of.ty) {
        return Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("column \"{name}\" has pseudo-type {}", of.ty),
        ));
    }
    let default = match &declared.default {
        Some(default) => {
            check_default(shared, name, &of.ty, &default.expr)?;
            default_text(shared, default)?
        }
        None if declared.sequence => {
            let ty = &of.ty;
            Some(sequence::of_serial(
                shared,
                table,
                table.next_column,
                name,
                ty,
            )?)
        }
        None => None,
    };
    let identity = match &declared.identity {
        Some(identity) => {
            let at = (table.next_column, name.as_str());
            Some(sequence::of_identity(shared, table, at, &of.ty, identity)?)
        }
        None => None,
    };
    Ok(Column {
        id: table.next_column,
        name: name.clone(),
        ty: of.ty,
        domain: of.domain,
        not_null: declared.not_null,
        default,
        missing: None,
        identity,
        generated: declared.generated.as_ref().map(|text| text.text.clone()),
        comment: None,
    })
}

/// 42804 and the like for a default that its column does not take.
pub(super) fn check_default(
    shared: &Arc<Shared>,
    name: &str,
    ty: &SqlType,
    expr: &chronolith_sql::ast::Expr,
) -> Result<crate::functions::Typed, Error> {
    let target = Target {
        name: name.to_owned(),
        ty: ty.clone(),
        default: None,
    };
    bind_scalar(&SessionNames::new(shared)?, expr, Some(&target)).map_err(|mut error| {
        if error.code == SqlState::DATATYPE_MISMATCH {
            error.message = error
                .message
                .replace(" but expression is", " but default expression is");
        }
        error
    })
}

fn storable(ty: &SqlType) -> bool {
    match ty {
        SqlType::Array(item) => storable(item),
        SqlType::Record
        | SqlType::Void
        | SqlType::Unknown
        | SqlType::Any
        | SqlType::AnyElement
        | SqlType::AnyArray
        | SqlType::AnyRange
        | SqlType::AnyNonArray
        | SqlType::AnyEnum
        | SqlType::Named(_)
        | SqlType::AnyCompatible
        | SqlType::AnyCompatibleArray
        | SqlType::Trigger
        | SqlType::Internal
        | SqlType::Cstring => false,
        _ => true,
    }
}

/// Adds a constraint, with the index that a key brings.
pub(super) fn add_constraint(
    shared: &Arc<Shared>,
    table: &mut Table,
    declared: &Declared,
) -> Result<(), Error> {
    let (constraint, index) = constraint_of(shared, table, declared)?;
    if let ConstraintKind::PrimaryKey { columns } = &constraint.kind {
        for column in &mut table.columns {
            column.not_null |= columns.contains(&column.id);
        }
    }
    table.constraints.push(constraint);
    table.indexes.extend(index);
    Ok(())
}

/// A constraint as the catalog has it, and the index of a key.
pub(super) fn constraint_of(
    shared: &Arc<Shared>,
    table: &Table,
    declared: &Declared,
) -> Result<(Constraint, Option<Index>), Error> {
    let oid = || shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()));
    let at = u32::try_from(declared.position).ok();
    refuse_marks(declared)?;
    let nulls_alike = matches!(
        declared.kind,
        DeclaredKind::Unique {
            nulls_alike: true,
            ..
        }
    );
    let marks = ConstraintMarks {
        nulls_alike,
        not_valid: declared.timing.not_valid,
        deferrable: declared.timing.deferrable,
        deferred: declared.timing.deferred,
        no_inherit: declared.timing.no_inherit,
    };
    if let DeclaredKind::Exclude(of) = &declared.kind {
        let (constraint, index) = exclude::constraint_of(shared, table, declared, of)?;
        return Ok((constraint, Some(index)));
    }
    let (kind, columns, suffix) = match &declared.kind {
        DeclaredKind::PrimaryKey(columns) => {
            let primary = |c: &Constraint| matches!(c.kind, ConstraintKind::PrimaryKey { .. });
            if table.constraints.iter().any(primary) {
                return Err(Error::new(
                    SqlState::INVALID_TABLE_DEFINITION,
                    format!(
                        "multiple primary keys for table \"{}\" are not allowed",
                        table.name
                    ),
                )
                .at(at));
            }
            let ids = key_columns(table, columns, "primary key")?;
            (
                ConstraintKind::PrimaryKey { columns: ids },
                names_of(columns),
                "pkey",
            )
        }
        DeclaredKind::Unique { columns, .. } => {
            let ids = key_columns(table, columns, "unique")?;
            (
                ConstraintKind::Unique { columns: ids },
                names_of(columns),
                "key",
            )
        }
        DeclaredKind::Check(text) => (
            ConstraintKind::Check {
                expression: text.text.clone(),
            },
            columns_in(table, &text.text),
            "check",
        ),
        DeclaredKind::ForeignKey { .. } => {
            let taken = |name: &str| table.constraints.iter().any(|c| c.name == name);
            let name = |columns: &[String]| match &declared.name {
                Some(name) => name.value.clone(),
                None => free_name(&table.name, columns, "fkey", taken),
            };
            let (kind, columns) = references::of_declared(shared, table, declared, name)?;
            (kind, columns, "fkey")
        }
        DeclaredKind::UsingIndex { .. } => {
            let words = "cannot use an existing index in CREATE TABLE";
            return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, words).at(at));
        }
        DeclaredKind::Exclude(_) => return Err(Error::internal("EXCLUDE as a key")),
    };
    let taken = |name: &str| -> bool {
        let here = table.constraints.iter().any(|c| c.name == name)
            || table.indexes.iter().any(|index| index.name == name);
        here || (!matches!(suffix, "check" | "fkey")
            && shared
                .home()
                .is_ok_and(|home| home.relation_exists(table.schema, name)))
    };
    // The index of a key is a relation, and is made before the constraint.
    let is_relation = |name: &str| {
        let home = shared.home();
        table.indexes.iter().any(|index| index.name == name)
            || home.is_ok_and(|home| home.relation_exists(table.schema, name))
    };
    let name = match &declared.name {
        Some(name) if !matches!(suffix, "check" | "fkey") && is_relation(&name.value) => {
            let message = format!("relation \"{}\" already exists", name.value);
            return Err(Error::new(SqlState::DUPLICATE_TABLE, message));
        }
        Some(name) if taken(&name.value) => {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!(
                    "constraint \"{}\" for relation \"{}\" already exists",
                    name.value, table.name
                ),
            ));
        }
        Some(name) => name.value.clone(),
        None => {
            let mut of = columns.clone();
            match suffix {
                "pkey" => of.clear(),
                _ => of.extend(names_of(&declared.include)),
            }
            let of = &of;
            free_name(&table.name, of, suffix, taken)
        }
    };
    if !matches!(suffix, "check" | "fkey") {
        hypertable::check_key(table, &columns)?;
    }
    let index = if matches!(suffix, "check" | "fkey") {
        None
    } else {
        Some(Index {
            id: IndexId(oid()?),
            name: name.clone(),
            method: "btree".to_owned(),
            keys: columns,
            unique: true,
            constraint: true,
            predicate: None,
            include: included(table, declared)?,
            nulls_alike,
            options: Vec::new(),
            marks: Vec::new(),
        })
    };
    Ok((
        Constraint {
            id: oid()?,
            name,
            kind,
            marks,
        },
        index,
    ))
}

/// INCLUDE: columns that are there.
pub(super) fn included(table: &Table, declared: &Declared) -> Result<Vec<String>, Error> {
    for column in &declared.include {
        if table.column_named(&column.value).is_none() {
            return Err(Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" named in key does not exist", column.value),
            )
            .at(u32::try_from(declared.position).ok()));
        }
    }
    Ok(names_of(&declared.include))
}

/// What may not be said of constraints of a kind.
fn refuse_marks(declared: &Declared) -> Result<(), Error> {
    let timing = declared.timing;
    let kind = match &declared.kind {
        DeclaredKind::PrimaryKey(_) | DeclaredKind::UsingIndex { primary: true, .. } => {
            "PRIMARY KEY"
        }
        DeclaredKind::Unique { .. } | DeclaredKind::UsingIndex { .. } => "UNIQUE",
        DeclaredKind::Check(_) => "CHECK",
        DeclaredKind::ForeignKey { .. } => "FOREIGN KEY",
        DeclaredKind::Exclude(_) => "EXCLUDE",
    };
    let key = !matches!(kind, "CHECK" | "FOREIGN KEY");
    let word = match kind {
        "CHECK" if timing.deferrable => "DEFERRABLE",
        _ if key && timing.not_valid => "NOT VALID",
        _ if kind != "CHECK" && timing.no_inherit => "NO INHERIT",
        _ => return Ok(()),
    };
    Err(Error::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("{kind} constraints cannot be marked {word}"),
    )
    .at(u32::try_from(declared.position).ok()))
}

pub(super) fn names_of(columns: &[Spelled]) -> Vec<String> {
    columns.iter().map(|column| column.value.clone()).collect()
}

/// The one column that a check names, for the check's own name.
fn columns_in(table: &Table, text: &str) -> Vec<String> {
    match columns_named(table, text).as_slice() {
        [one] => table
            .columns
            .iter()
            .filter(|column| column.id.0 == *one)
            .map(|column| column.name.clone())
            .collect(),
        _ => Vec::new(),
    }
}

/// What is kept of a default: nothing of NULL, which every column without one has.
/// Sequences in it are meant by their numbers.
pub(super) fn default_text(
    shared: &Arc<Shared>,
    default: &chronolith_sql::SqlText,
) -> Result<Option<String>, Error> {
    let null = matches!(&default.expr, chronolith_sql::ast::Expr::Value(value) if value.value == chronolith_sql::ast::Value::Null);
    if null {
        return Ok(None);
    }
    if !default.text.to_lowercase().contains("val") {
        return Ok(Some(default.text.clone()));
    }
    stored(&shared.catalog_context(), &default.text).map(Some)
}

fn key_columns(table: &Table, columns: &[Spelled], kind: &str) -> Result<Vec<ColumnId>, Error> {
    let mut ids = Vec::with_capacity(columns.len());
    for column in columns {
        let at = u32::try_from(column.position).ok();
        let (_, found) = table.column_named(&column.value).ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{}\" named in key does not exist", column.value),
            )
            .at(at)
        })?;
        if ids.contains(&found.id) {
            return Err(Error::new(
                SqlState::DUPLICATE_COLUMN,
                format!(
                    "column \"{}\" appears twice in {kind} constraint",
                    column.value
                ),
            )
            .at(at));
        }
        ids.push(found.id);
    }
    Ok(ids)
}

/// `table_column_suffix`, cut to fit, with a number when it is taken.
pub(super) fn free_name(
    table: &str,
    columns: &[String],
    suffix: &str,
    taken: impl Fn(&str) -> bool,
) -> String {
    let middle = columns.join("_");
    for number in 0_u32.. {
        let tail = match number {
            0 => suffix.to_owned(),
            number => format!("{suffix}{number}"),
        };
        let room = NAME_BYTES_MAX.saturating_sub(tail.len() + 1);
        let mut stem = match middle.as_str() {
            "" => table.to_owned(),
            middle => format!("{table}_{middle}"),
        };
        while stem.len() > room {
            stem.pop();
        }
        let name = format!("{stem}_{tail}");
        if !taken(&name) {
            return name;
        }
    }
    String::new()
}

/// CREATE TABLE … AS, of what EXECUTE gives where that is given; the tag.
pub(crate) async fn create_as(
    shared: &Arc<Shared>,
    create: &CreateTableAs,
    executed: Option<Bound>,
) -> Result<String, Error> {
    let kind = persistence(create.temporary, create.unlogged, create.on_commit)?;
    let Some(mut table) = begin_as(shared, &create.name, create.if_not_exists, kind)? else {
        return Ok("CREATE TABLE AS".to_owned());
    };
    options::TableOptions::read(&create.options)?.refuse_hypertable()?;
    let names = SessionNames::new(shared)?;
    let bound = match (&create.source, executed) {
        (_, Some(bound)) => bound,
        (AsSource::Query(query), None) => bind_query(&names, query, &[])?,
        (AsSource::Execute(..), None) => return Err(Error::unsupported("EXECUTE here")),
    };
    shared.check_uses(&bound.uses)?;
    take_columns(&mut table, &create.columns, &bound.columns)?;
    let places: Vec<usize> = (0..table.columns.len()).collect();
    let plan = insert::completed(&names, &table, bound.plan, &places)?;
    let id = table.id;
    shared.change(Change::CreateTable {
        database: shared.database,
        table: Box::new(table),
    })?;
    if !create.with_data {
        return Ok("CREATE TABLE AS".to_owned());
    }
    let filled = InsertPlan::new(id, plan, Vec::new())?;
    let rows = insert::run(shared, &filled, &[], None).await?;
    Ok(format!("SELECT {rows}"))
}

/// A query's columns into a table without any, under the names given to the first of them.
pub(super) fn take_columns(
    table: &mut Table,
    given: &[Spelled],
    columns: &[OutputColumn],
) -> Result<(), Error> {
    if given.len() > columns.len() {
        return Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "too many column names were specified",
        ));
    }
    for (place, column) in columns.iter().enumerate() {
        let name = given.get(place).map_or(&column.name, |given| &given.value);
        refuse_twice(table, name, None)?;
        if !storable(&column.ty) {
            return Err(Error::new(
                SqlState::INVALID_TABLE_DEFINITION,
                format!("column \"{name}\" has pseudo-type {}", column.ty),
            ));
        }
        table.columns.push(Column {
            id: table.next_column,
            name: name.clone(),
            ty: column.ty.clone(),
            domain: None,
            not_null: false,
            default: None,
            missing: None,
            identity: None,
            generated: None,
            comment: None,
        });
        table.next_column.0 += 1;
    }
    Ok(())
}
