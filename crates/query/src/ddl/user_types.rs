//! Types of users: CREATE and ALTER of enums, domains and composite types.

use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use chronolith_catalog::{
    Change, Column, Constraint, ConstraintKind, ConstraintMarks, Database, Domain, Label, Table,
    Type, TypeBody,
};
use chronolith_sql::{
    AlterType, CreateDomain, CreateType, DeclaredType, DomainCheck, Name, TypeAction,
};
use chronolith_types::{SchemaId, SqlState, TypeId};

use super::alter::role_of;
use super::alter_type::{relabel, rewrite};
use super::attributes;
use super::drop_type::missing;
use super::held::{hold_all, refuse_within};
use super::hypertable::table_of;
use super::run::owner;
use super::table::{check_default, check_name, default_text, free_name};
use super::view::readers;
use crate::bind::bind_value;
use crate::error::Error;
use crate::outcome::Severity;
use crate::session::{SessionNames, Shared};

const LABEL_BYTES_MAX: usize = 63;

pub(super) fn create(shared: &Arc<Shared>, create: &CreateType) -> Result<(), Error> {
    let (schema, name) = place(shared, &create.name)?;
    let body = match &create.body {
        DeclaredType::Enum(names) => enum_body(shared, names)?,
        DeclaredType::Composite(fields) => attributes::body(shared, fields)?,
    };
    made(shared, schema, name, body)
}

fn enum_body(shared: &Arc<Shared>, names: &[String]) -> Result<TypeBody, Error> {
    let mut labels: Vec<Label> = Vec::with_capacity(names.len());
    let mut order = 0.0;
    for name in names {
        check_label(name)?;
        if labels.iter().any(|known| known.name == *name) {
            let mut error = Error::new(
                SqlState::UNIQUE_VIOLATION,
                "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"",
            );
            error.schema = Some("pg_catalog".to_owned());
            error.table = Some("pg_enum".to_owned());
            error.constraint = Some("pg_enum_typid_label_index".to_owned());
            return Err(error);
        }
        order += 1.0;
        labels.push(Label {
            oid: oid(shared)?,
            name: name.clone(),
            order,
        });
    }
    Ok(TypeBody::Enum { labels })
}

fn check_label(label: &str) -> Result<(), Error> {
    if label.is_empty() || label.len() > LABEL_BYTES_MAX {
        return Err(Error::new(
            SqlState::INVALID_NAME,
            format!("invalid enum label \"{label}\""),
        )
        .detail("Labels must be 63 bytes or less."));
    }
    Ok(())
}

pub(super) fn oid(shared: &Arc<Shared>) -> Result<u32, Error> {
    shared.transact(|transaction| Ok::<_, Error>(transaction.allocate_oid()))
}

/// Where a new type goes, and its name, which neither a type nor a relation has there.
fn place<'n>(shared: &Arc<Shared>, name: &'n Name) -> Result<(SchemaId, &'n str), Error> {
    check_name(name.name())?;
    let schema = shared.creation_schema(name.schema())?;
    check_free(shared, schema, name.name())?;
    Ok((schema, name.name()))
}

fn check_free(shared: &Arc<Shared>, schema: SchemaId, name: &str) -> Result<(), Error> {
    let home = shared.home()?;
    // The rows of a relation have a type of its name.
    let relation =
        home.table_named(schema, name).is_some() || home.view_named(schema, name).is_some();
    match relation || home.type_named(schema, name).is_some() {
        true => Err(Error::new(
            SqlState::DUPLICATE_OBJECT,
            format!("type \"{name}\" already exists"),
        )),
        false => Ok(()),
    }
}

fn made(shared: &Arc<Shared>, schema: SchemaId, name: &str, body: TypeBody) -> Result<(), Error> {
    let ty = Type {
        id: TypeId(oid(shared)?),
        array: oid(shared)?,
        schema,
        name: name.to_owned(),
        owner: owner(shared)?,
        body,
    };
    shared.change(Change::CreateType {
        database: shared.database,
        ty: Box::new(ty),
    })
}

// ------------------------------------------------------------------------------------- domains

pub(super) fn create_domain(shared: &Arc<Shared>, create: &CreateDomain) -> Result<(), Error> {
    let (schema, name) = place(shared, &create.name)?;
    let base = shared.declared(&create.ty)?;
    if base.ty.is_pseudo() {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("\"{}\" is not a valid base type for a domain", base.ty),
        ));
    }
    let mut domain = Domain {
        base: base.ty,
        over: base.domain,
        default: None,
        not_null: create.not_null,
        checks: Vec::new(),
    };
    match &create.default {
        Some(default) => {
            check_default(shared, name, &domain.base, &default.expr)?;
            domain.default = default_text(shared, default)?;
        }
        // What that below has when this one is made.
        None => {
            let below = base
                .domain
                .and_then(|id| shared.home().ok()?.types.get(&id).cloned());
            let below = below.as_ref().and_then(|ty| ty.domain());
            domain.default = below.and_then(|domain| domain.default.clone());
        }
    }
    for check in &create.checks {
        let check = check_of(shared, name, &domain, check)?;
        domain.checks.push(check);
    }
    made(shared, schema, name, TypeBody::Domain(domain))
}

/// A check of a domain as the catalog has it.
fn check_of(
    shared: &Arc<Shared>,
    name: &str,
    domain: &Domain,
    declared: &DomainCheck,
) -> Result<Constraint, Error> {
    let text = &declared.check.text;
    let bound = bind_value(&SessionNames::new(shared)?, text, "value", &domain.base);
    bound.map_err(|mut error| {
        // Its places are those of the check alone.
        error.position = None;
        error
    })?;
    let taken = |name: &str| domain.checks.iter().any(|check| check.name == name);
    let given = match &declared.name {
        Some(given) if taken(&given.value) => {
            return Err(Error::new(
                SqlState::DUPLICATE_OBJECT,
                format!(
                    "constraint \"{}\" for domain \"{name}\" already exists",
                    given.value
                ),
            ));
        }
        Some(given) => given.value.clone(),
        None => free_name(name, &[], "check", taken),
    };
    Ok(Constraint {
        id: oid(shared)?,
        name: given,
        kind: ConstraintKind::Check {
            expression: text.clone(),
        },
        marks: ConstraintMarks::default(),
    })
}

// --------------------------------------------------------------------------------------- ALTER

pub(super) fn alter(shared: &Arc<Shared>, of: &AlterType) -> Result<(), Error> {
    let found = shared.find_type(of.name.schema(), of.name.name())?;
    let found = found.ok_or_else(|| missing(&of.name))?;
    if of.domain && found.domain().is_none() {
        return Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{} is not a domain", found.name),
        ));
    }
    let mut ty = Type::clone(&found);
    match &of.action {
        TypeAction::AddValue {
            if_not_exists,
            label,
            place,
        } => {
            if !add_value(shared, &mut ty, *if_not_exists, label, place.as_ref())? {
                return Ok(());
            }
        }
        TypeAction::RenameValue { from, to } => return rename_value(shared, &mut ty, from, to),
        TypeAction::RenameTo(to) => {
            check_name(&to.value)?;
            check_free(shared, ty.schema, &to.value)?;
            check_unwritten(shared, &ty)?;
            ty.name.clone_from(&to.value);
        }
        TypeAction::SetSchema(schema) => {
            let schema = shared.creation_schema(Some(&schema.value))?;
            if schema == ty.schema {
                return Ok(());
            }
            check_free(shared, schema, &ty.name)?;
            check_unwritten(shared, &ty)?;
            ty.schema = schema;
        }
        TypeAction::OwnerTo(role) => ty.owner = role_of(shared, &role.value)?,
        TypeAction::SetDefault(default) => {
            let (name, domain) = domain_mut(&mut ty)?;
            domain.default = match default {
                Some(default) => {
                    check_default(shared, &name, &domain.base, &default.expr)?;
                    default_text(shared, default)?
                }
                None => None,
            };
        }
        TypeAction::SetNotNull(not_null) => domain_mut(&mut ty)?.1.not_null = *not_null,
        TypeAction::AddCheck { check, valid } => {
            let (name, domain) = domain_mut(&mut ty)?;
            let mut check = check_of(shared, &name, domain, check)?;
            check.marks.not_valid = !valid;
            domain.checks.push(check);
        }
        TypeAction::DropCheck { name, if_exists } => {
            let of = ty.name.clone();
            let (_, domain) = domain_mut(&mut ty)?;
            let before = domain.checks.len();
            domain.checks.retain(|check| check.name != name.value);
            if domain.checks.len() == before {
                let error = no_check(&name.value, &of);
                if !if_exists {
                    return Err(error);
                }
                let message = format!("{}, skipping", error.message);
                let notice = Error::new(SqlState::SUCCESSFUL_COMPLETION, message);
                shared.notice(Severity::Notice, notice);
                return Ok(());
            }
        }
        TypeAction::RenameCheck { from, to } => {
            let of = ty.name.clone();
            let (_, domain) = domain_mut(&mut ty)?;
            if domain.checks.iter().any(|check| check.name == to.value) {
                return Err(Error::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!(
                        "constraint \"{}\" for domain \"{of}\" already exists",
                        to.value
                    ),
                ));
            }
            let mut checks = domain.checks.iter_mut();
            let check = checks.find(|check| check.name == from.value);
            let check = check.ok_or_else(|| no_check(&from.value, &of))?;
            check.name.clone_from(&to.value);
        }
        TypeAction::Validate(name) => {
            let of = ty.name.clone();
            let (_, domain) = domain_mut(&mut ty)?;
            let mut checks = domain.checks.iter_mut();
            let check = checks.find(|check| check.name == name.value);
            let check = check.ok_or_else(|| no_check(&name.value, &of))?;
            if !std::mem::take(&mut check.marks.not_valid) {
                return Ok(());
            }
        }
        TypeAction::RenameAttribute { from, to } => {
            attributes::rename(&mut ty, &from.value, &to.value)?;
        }
        TypeAction::Attributes(actions) => return attributes::change(shared, ty, actions),
        TypeAction::Other(words) => {
            return Err(Error::unsupported(format!("ALTER TYPE … {words}")));
        }
    }
    let stricter = matches!(
        of.action,
        TypeAction::SetNotNull(true)
            | TypeAction::AddCheck { valid: true, .. }
            | TypeAction::Validate(_)
    );
    let id = ty.id;
    if stricter {
        refuse_within(shared, id)?;
    }
    shared.change(Change::ChangeType {
        database: shared.database,
        ty: Box::new(ty),
    })?;
    match stricter {
        true => hold_all(shared, id, &of.action),
        false => Ok(()),
    }
}

fn domain_mut(ty: &mut Type) -> Result<(String, &mut Domain), Error> {
    let name = ty.name.clone();
    match &mut ty.body {
        TypeBody::Domain(domain) => Ok((name, domain)),
        _ => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{name} is not a domain"),
        )),
    }
}

fn no_check(name: &str, domain: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{name}\" of domain \"{domain}\" does not exist"),
    )
}

fn labels_mut(ty: &mut Type) -> Result<&mut Vec<Label>, Error> {
    match &mut ty.body {
        TypeBody::Enum { labels } => Ok(labels),
        _ => Err(Error::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{} is not an enum", ty.name),
        )),
    }
}

fn label_taken(label: &str) -> Error {
    Error::new(
        SqlState::DUPLICATE_OBJECT,
        format!("enum label \"{label}\" already exists"),
    )
}

fn no_label(label: &str) -> Error {
    Error::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("\"{label}\" is not an existing enum label"),
    )
}

/// Whether there is anything to change.
fn add_value(
    shared: &Arc<Shared>,
    ty: &mut Type,
    if_not_exists: bool,
    label: &str,
    place: Option<&(bool, String)>,
) -> Result<bool, Error> {
    check_label(label)?;
    let labels = labels_mut(ty)?;
    if labels.iter().any(|known| known.name == label) {
        let taken = label_taken(label);
        if !if_not_exists {
            return Err(taken);
        }
        let message = format!("{}, skipping", taken.message);
        shared.notice(Severity::Notice, Error::new(taken.code, message));
        return Ok(false);
    }
    let at = match place {
        None => labels.len(),
        Some((before, neighbour)) => {
            let found = labels.iter().position(|known| known.name == *neighbour);
            let found = found.ok_or_else(|| no_label(neighbour))?;
            if *before { found } else { found + 1 }
        }
    };
    let order = |at: Option<usize>| at.and_then(|at| labels.get(at)).map(|label| label.order);
    let order = match (order(at.checked_sub(1)), order(Some(at))) {
        (Some(before), Some(after)) => f64::midpoint(before, after),
        (Some(before), None) => before + 1.0,
        (None, Some(after)) => after - 1.0,
        (None, None) => 1.0,
    };
    let oid = oid(shared)?;
    labels.insert(
        at,
        Label {
            oid,
            name: label.to_owned(),
            order,
        },
    );
    Ok(true)
}

fn rename_value(shared: &Arc<Shared>, ty: &mut Type, from: &str, to: &str) -> Result<(), Error> {
    check_label(to)?;
    let (id, name) = (ty.id, ty.name.clone());
    let labels = labels_mut(ty)?;
    let found = labels.iter().position(|known| known.name == from);
    let found = found.ok_or_else(|| no_label(from))?;
    if labels.iter().any(|known| known.name == to) {
        return Err(label_taken(to));
    }
    if let Some(label) = labels.get_mut(found) {
        to.clone_into(&mut label.name);
    }
    let ty = ty.clone();
    let database = shared.database;
    let change = || {
        shared.change(Change::ChangeType {
            database,
            ty: Box::new(ty.clone()),
        })
    };
    // Rows hold their labels themselves.
    let mut changed = false;
    let home = shared.home()?;
    refuse_written(&home, from)?;
    for (table, column) in columns_of(&home, id) {
        if column.ty.labels().is_none() {
            return Err(Error::unsupported(format!(
                "renaming a value of enum \"{name}\", which column \"{}\" of table \"{}\" has in \
                 arrays or rows",
                column.name, table.name
            )));
        }
        let place = table.columns.iter().position(|known| known.id == column.id);
        let compute = |batch: &RecordBatch| {
            let values = place.and_then(|place| batch.columns().get(place));
            let values = values.ok_or_else(|| Error::internal("a column is gone"))?;
            relabel(values, from, to)
        };
        let table = table_of(shared, table.id)?;
        rewrite(shared, &table, &[column.id], &compute, || match changed {
            true => Ok(()),
            false => change(),
        })?;
        changed = true;
    }
    match changed {
        true => Ok(()),
        false => change(),
    }
}

/// So do views, defaults and checks, where the label stands as it was written.
fn refuse_written(home: &Database, label: &str) -> Result<(), Error> {
    let label = format!("'{}'", label.replace('\'', "''"));
    let views = home.views.values().map(|view| (&view.name, &view.query));
    let tables = home.tables.values().flat_map(|table| {
        let checks = table.constraints.iter().filter_map(|c| match &c.kind {
            ConstraintKind::Check { expression } => Some(expression),
            _ => None,
        });
        let defaults = table.columns.iter().filter_map(|c| c.default.as_ref());
        let texts = checks.chain(defaults);
        texts.map(|text| (&table.name, text)).collect::<Vec<_>>()
    });
    match views.chain(tables).find(|(_, text)| text.contains(&label)) {
        None => Ok(()),
        Some((name, _)) => Err(Error::unsupported(format!(
            "renaming enum label {label}, which is written in \"{name}\","
        ))),
    }
}

/// Views, defaults and checks are kept as text: what they name has to go on under its name.
fn check_unwritten(shared: &Arc<Shared>, ty: &Type) -> Result<(), Error> {
    let home = shared.home()?;
    let in_use = |what: String| Error::unsupported(format!("renaming a type that {what} names"));
    if let Some(view) = readers(&home, ty.schema, &ty.name).next() {
        return Err(in_use(format!("view \"{}\"", view.name)));
    }
    for table in home.tables.values() {
        let checks = table.constraints.iter().filter_map(|c| match &c.kind {
            ConstraintKind::Check { expression } => Some(expression),
            _ => None,
        });
        let defaults = table.columns.iter().filter_map(|c| c.default.as_ref());
        for text in checks.chain(defaults) {
            if chronolith_sql::names_word(text, &ty.name)? {
                return Err(in_use(format!("table \"{}\"", table.name)));
            }
        }
    }
    Ok(())
}

/// The columns whose values are of a type.
pub(super) fn columns_of(home: &Database, id: TypeId) -> Vec<(Arc<Table>, Column)> {
    let of_it = |column: &&Column| column.domain == Some(id) || column.ty.mentions(id.0);
    let columns = |table: &Arc<Table>| {
        let columns = table.columns.iter().filter(of_it);
        let found: Vec<_> = columns
            .map(|column| (Arc::clone(table), column.clone()))
            .collect();
        found
    };
    home.tables.values().flat_map(columns).collect()
}
