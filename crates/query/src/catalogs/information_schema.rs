//! The SQL standard's views, as PostgreSQL fills them.

use std::borrow::Cow;

use chronolith_catalog::{CheckOption, Database, Sequence};
use chronolith_types::{ColumnId, SqlType, TypeId};

use super::attributes;
use super::constraints::{self, Shown};
use super::context::Context;
use super::describe;
use super::objects::{self, Relation};
use super::recorded;
use super::relation::{Fill, SystemRelation};
use super::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;
use crate::functions::{self, ProcKind, Volatile};

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "information_schema_catalog_name" => catalog_name,
        "schemata" => schemata,
        "tables" => tables,
        "columns" => columns,
        "views" => views,
        "table_constraints" => table_constraints,
        "check_constraints" => check_constraints,
        "key_column_usage" => key_columns,
        "constraint_column_usage" => constraint_columns,
        "constraint_table_usage" => constraint_tables,
        "routines" => routines,
        "parameters" => parameters,
        "enabled_roles" => enabled_roles,
        "applicable_roles" => applicable_roles,
        "element_types" => element_types,
        "character_sets" => character_sets,
        "collations" => collations,
        _ => return None,
    })
}

fn yes(value: bool) -> &'static str {
    if value { "YES" } else { "NO" }
}

fn catalog_name<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    rows.push(row![&context.home()?.name]);
    Ok(())
}

fn schemata<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for (_, name, owner) in objects::schemas(home) {
        rows.push(row![
            &home.name,
            name,
            context.role_name(owner),
            NULL,
            NULL,
            NULL,
            NULL
        ]);
    }
    Ok(())
}

fn tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::relations(home) {
        let (kind, writable) = match relation {
            // The standard knows no materialized views.
            Relation::Index(..)
            | Relation::Kept(..)
            | Relation::Sequence(_)
            | Relation::Composite(_) => continue,
            Relation::Table(_) | Relation::Chunk(..) => ("BASE TABLE", true),
            Relation::View(view) => ("VIEW", (context.view_writes)(view).updates()),
            Relation::System(system) if system.kind() == 'v' => ("VIEW", false),
            Relation::System(_) => ("BASE TABLE", false),
        };
        rows.push(row![
            &home.name,
            relation.schema(home).1,
            relation.name(),
            kind,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            yes(writable),
            "NO",
            NULL,
        ]);
    }
    Ok(())
}

/// The name of the schema that a type lies in.
fn type_schema<'a>(home: &'a Database, ty: &SqlType) -> &'a str {
    let ty = ty.element().unwrap_or(ty);
    let own = home.types.get(&TypeId(ty.oid()));
    let schema = own.and_then(|own| home.schemas.get(&own.schema));
    schema.map_or("pg_catalog", |schema| schema.name.as_str())
}

/// Schema and name of a domain.
fn domain_name(home: &Database, id: TypeId) -> Option<(&str, &str)> {
    let domain = home.types.get(&id)?;
    let schema = home.schemas.get(&domain.schema)?;
    Some((&schema.name, &domain.name))
}

/// What the standard asks of a type: its name, lengths, precisions.
struct Described {
    name: String,
    characters: Option<i64>,
    octets: Option<i64>,
    precision: Option<i64>,
    radix: Option<i64>,
    scale: Option<i64>,
    fractions: Option<i64>,
    /// The fields of an interval.
    interval: Option<String>,
    collation: Option<&'static str>,
}

/// Bytes of a text without a length, and of a character.
const OCTETS_MAX: i64 = 1 << 30;
const CHARACTER_BYTES: i64 = 4;

fn described(ty: &SqlType) -> Described {
    let name = match ty {
        SqlType::Array(_) => "ARRAY".to_owned(),
        SqlType::User(_) => "USER-DEFINED".to_owned(),
        other => other.without_typmod().name(),
    };
    let mut described = Described {
        name,
        characters: None,
        octets: None,
        precision: None,
        radix: None,
        scale: None,
        fractions: None,
        interval: None,
        collation: None,
    };
    let mut binary = |bits: i64, scale: Option<i64>| {
        described.precision = Some(bits);
        described.radix = Some(2);
        described.scale = scale;
    };
    match ty {
        SqlType::Int2 => binary(16, Some(0)),
        SqlType::Int4 => binary(32, Some(0)),
        SqlType::Int8 => binary(64, Some(0)),
        SqlType::Float4 => binary(24, None),
        SqlType::Float8 => binary(53, None),
        SqlType::Numeric(modifier) => {
            described.radix = Some(10);
            described.precision = modifier.map(|(precision, _)| precision.into());
            described.scale = modifier.map(|(_, scale)| scale.into());
        }
        SqlType::Varchar(length) | SqlType::Char(length) => {
            described.characters = length.map(i64::from);
            let octets = described.characters.map(|n| n * CHARACTER_BYTES);
            described.octets = Some(octets.unwrap_or(OCTETS_MAX));
        }
        SqlType::Text => described.octets = Some(OCTETS_MAX),
        SqlType::Name => described.collation = Some("C"),
        SqlType::Time(digits)
        | SqlType::Timetz(digits)
        | SqlType::Timestamp(digits)
        | SqlType::Timestamptz(digits) => {
            described.fractions = Some(digits.unwrap_or(6).into());
        }
        SqlType::Interval(limit) => {
            let digits = limit.and_then(|limit| limit.digits);
            described.fractions = Some(digits.unwrap_or(6).into());
            described.interval = limit
                .map(|limit| limit.shown().trim().to_uppercase())
                .filter(|shown| !shown.starts_with('(') && !shown.is_empty());
        }
        SqlType::Date => described.fractions = Some(0),
        _ => {}
    }
    described
}

struct Place<'a> {
    catalog: &'a str,
    schema: &'a str,
    table: Cow<'a, str>,
}

struct ColumnRow<'a> {
    /// The schema of its type.
    type_schema: &'a str,
    /// Schema and name of its domain.
    domain: Option<(&'a str, &'a str)>,
    name: Cow<'a, str>,
    number: i64,
    ty: Cow<'a, SqlType>,
    not_null: bool,
    default: Option<String>,
    generated: Option<String>,
    /// Whether it is ALWAYS, and its sequence.
    identity: Option<(bool, Option<&'a Sequence>)>,
    writable: bool,
}

fn push_column<'a>(rows: &mut Rows<'a>, place: &Place<'a>, column: ColumnRow<'a>) {
    let described = described(&column.ty);
    let collation = described.collation;
    let sequence = column.identity.and_then(|(_, sequence)| sequence);
    let number = |of: fn(&Sequence) -> i64| sequence.map(|sequence| of(sequence).to_string());
    let kind = column.identity.map(|(always, _)| match always {
        true => "ALWAYS",
        false => "BY DEFAULT",
    });
    rows.push(row![
        place.catalog,
        place.schema,
        place.table.clone(),
        column.name,
        column.number,
        column.default,
        yes(!column.not_null),
        described.name,
        described.characters,
        described.octets,
        described.precision,
        described.radix,
        described.scale,
        described.fractions,
        described.interval,
        NULL,
        NULL,
        NULL,
        NULL,
        collation.map(|_| place.catalog),
        collation.map(|_| "pg_catalog"),
        collation,
        column.domain.map(|_| place.catalog),
        column.domain.map(|domain| domain.0),
        column.domain.map(|domain| domain.1),
        place.catalog,
        column.type_schema,
        column.ty.typname(),
        NULL,
        NULL,
        NULL,
        NULL,
        column.number.to_string(),
        "NO",
        yes(column.identity.is_some()),
        kind,
        number(|of| of.start),
        number(|of| of.increment),
        number(|of| of.max),
        number(|of| of.min),
        yes(sequence.is_some_and(|of| of.cycle)),
        if column.generated.is_some() {
            "ALWAYS"
        } else {
            "NEVER"
        },
        column.generated,
        yes(column.writable),
    ]);
}

fn system_columns<'a>(rows: &mut Rows<'a>, place: &Place<'a>, system: &'static SystemRelation) {
    for (number, column) in (1..).zip(&system.columns) {
        let row = ColumnRow {
            type_schema: "pg_catalog",
            domain: None,
            name: column.name.into(),
            number,
            ty: Cow::Borrowed(&column.ty),
            not_null: column.not_null,
            default: None,
            generated: None,
            identity: None,
            writable: false,
        };
        push_column(rows, place, row);
    }
}

fn columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::relations(home) {
        let place = Place {
            catalog: &home.name,
            schema: relation.schema(home).1,
            table: relation.name(),
        };
        match relation {
            Relation::Index(..)
            | Relation::Kept(..)
            | Relation::Sequence(_)
            | Relation::Composite(_) => {}
            Relation::System(system) => system_columns(rows, &place, system),
            Relation::Table(table) | Relation::Chunk(table, ..) => {
                for column in &table.columns {
                    let text = attributes::default_text(context, table, column);
                    let row = ColumnRow {
                        type_schema: type_schema(home, &column.ty),
                        domain: column.domain.and_then(|id| domain_name(home, id)),
                        name: column.name.as_str().into(),
                        number: column.id.0.into(),
                        ty: Cow::Borrowed(&column.ty),
                        not_null: column.not_null,
                        default: text.clone().filter(|_| column.generated.is_none()),
                        generated: text.filter(|_| column.generated.is_some()),
                        identity: column.identity.map(|of| {
                            let sequence = home.sequences.get(&of.sequence);
                            (of.always, sequence.map(AsRef::as_ref))
                        }),
                        writable: true,
                    };
                    push_column(rows, &place, row);
                }
            }
            Relation::View(view) => {
                let mut writes = (context.view_writes)(view).columns.into_iter();
                for (number, (name, ty)) in (1..).zip((context.view_columns)(view)) {
                    let row = ColumnRow {
                        type_schema: type_schema(home, &ty),
                        domain: None,
                        name: name.into(),
                        number,
                        ty: Cow::Owned(ty),
                        not_null: false,
                        default: attributes::view_default(context, view, number),
                        generated: None,
                        identity: None,
                        writable: writes.next().unwrap_or(false),
                    };
                    push_column(rows, &place, row);
                }
            }
        }
    }
    Ok(())
}

fn views<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::relations(home).filter(|relation| relation.kind() == 'v') {
        let mut taken = Vec::new();
        let (text, check, writes) = match relation {
            Relation::View(view) => {
                taken = crate::session::taken(home, view.id);
                (
                    Some(describe::view_text(context, view)),
                    view.check.map_or("NONE", |check| match check {
                        CheckOption::Local => "LOCAL",
                        CheckOption::Cascaded => "CASCADED",
                    }),
                    (context.view_writes)(view).updates(),
                )
            }
            _ => (None, "NONE", false),
        };
        rows.push(row![
            &home.name,
            relation.schema(home).1,
            relation.name(),
            text,
            check,
            yes(writes),
            yes(writes),
            yes(taken.contains(&"UPDATE")),
            yes(taken.contains(&"DELETE")),
            yes(taken.contains(&"INSERT")),
        ]);
    }
    Ok(())
}

fn table_constraints<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for shown in constraints::shown(context)? {
        let relation = shown.relation();
        let schema = relation.schema(home).1;
        let (kind, distinct) = match shown.kind() {
            'p' => ("PRIMARY KEY", None),
            'u' => ("UNIQUE", Some("YES")),
            'f' => ("FOREIGN KEY", None),
            // The standard has none such.
            'x' => continue,
            _ => ("CHECK", None),
        };
        rows.push(row![
            &home.name,
            schema,
            shown.name(),
            &home.name,
            schema,
            relation.name(),
            kind,
            "NO",
            "NO",
            "YES",
            distinct,
        ]);
    }
    // The standard has NOT NULL as a check, which PostgreSQL names by numbers.
    for (relation, schema, number, _) in not_nulls(context)? {
        rows.push(row![
            &home.name,
            schema.1,
            not_null_name(schema.0, relation, number),
            &home.name,
            schema.1,
            relation.name(),
            "CHECK",
            "NO",
            "NO",
            "YES",
            NULL,
        ]);
    }
    Ok(())
}

type NotNull<'a> = (Relation<'a>, (u32, &'a str), u32, &'a str);

/// Relation, its schema, number and name of each column of a table that refuses NULL.
fn not_nulls(context: &Context) -> Result<impl Iterator<Item = NotNull<'_>>, Error> {
    let home = context.home()?;
    Ok(objects::user_relations(home)
        .filter_map(|relation| match relation {
            Relation::Table(table) | Relation::Chunk(table, ..) => Some((relation, table)),
            _ => None,
        })
        .flat_map(move |(relation, table)| {
            let schema = relation.schema(home);
            table
                .columns
                .iter()
                .filter(|column| column.not_null)
                .map(move |column| (relation, schema, column.id.0, column.name.as_str()))
        }))
}

fn not_null_name(schema: u32, relation: Relation<'_>, number: u32) -> String {
    format!("{schema}_{}_{number}_not_null", relation.oid())
}

fn check_constraints<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for shown in constraints::shown(context)?.filter(|shown| shown.kind() == 'c') {
        let relation = shown.relation();
        let text = describe::check_text(context, shown, false).unwrap_or_default();
        rows.push(row![
            &home.name,
            relation.schema(home).1,
            shown.name(),
            format!("({text})"),
        ]);
    }
    for (relation, schema, number, column) in not_nulls(context)? {
        rows.push(row![
            &home.name,
            schema.1,
            not_null_name(schema.0, relation, number),
            format!("{} IS NOT NULL", describe::quoted(column)),
        ]);
    }
    Ok(())
}

/// The names of a constraint's columns, in the key's order.
fn column_names<'a>(shown: Shown<'a>) -> Vec<&'a str> {
    let (Relation::Table(table) | Relation::Chunk(table, ..)) = shown.relation() else {
        return Vec::new();
    };
    let name = |number: u32| {
        let found = table.columns.iter().find(|column| column.id.0 == number);
        found.map(|column| column.name.as_str())
    };
    shown.columns().into_iter().filter_map(name).collect()
}

fn key_columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for shown in constraints::shown(context)?.filter(|shown| shown.kind() != 'c') {
        let relation = shown.relation();
        let schema = relation.schema(home).1;
        for (place, column) in (1..).zip(column_names(shown)) {
            rows.push(row![
                &home.name,
                schema,
                shown.name(),
                &home.name,
                schema,
                relation.name(),
                column,
                place,
                NULL,
            ]);
        }
    }
    Ok(())
}

fn constraint_columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for shown in constraints::shown(context)? {
        let relation = shown.relation();
        let schema = relation.schema(home).1;
        // A foreign key uses the columns that it refers to.
        let (used, columns) = match shown.reference() {
            None => (relation, column_names(shown)),
            Some(reference) => {
                let Some(table) = home.tables.get(&reference.table) else {
                    continue;
                };
                let columns = reference.referred.iter();
                let name = |column: &ColumnId| Some(table.column(*column)?.name.as_str());
                (Relation::Table(table), columns.filter_map(name).collect())
            }
        };
        for column in columns {
            rows.push(row![
                &home.name,
                used.schema(home).1,
                used.name(),
                column,
                &home.name,
                schema,
                shown.name(),
            ]);
        }
    }
    Ok(())
}

fn constraint_tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for shown in constraints::shown(context)?.filter(|shown| shown.kind() != 'c') {
        let schema = shown.relation().schema(home).1;
        let used = shown.reference();
        let used = used.and_then(|reference| home.tables.get(&reference.table));
        let used = used.map_or(shown.relation(), |table| Relation::Table(table));
        rows.push(row![
            &home.name,
            used.schema(home).1,
            used.name(),
            &home.name,
            schema,
            shown.name(),
        ]);
    }
    Ok(())
}

/// How many columns `routines` and `parameters` have.
const ROUTINE_COLUMNS: usize = 82;
const PARAMETER_COLUMNS: usize = 32;

fn routines<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for proc in functions::all_procs() {
        let (kind, ty) = match proc.kind {
            ProcKind::Scalar | ProcKind::SetReturning => ("FUNCTION", Some(&proc.result)),
            ProcKind::Procedure => ("PROCEDURE", None),
            // The standard has no aggregates.
            ProcKind::Aggregate | ProcKind::Window => continue,
        };
        let mut row = row![
            &home.name,
            proc.schema,
            format!("{}_{}", proc.name, proc.oid),
            &home.name,
            proc.schema,
            proc.name,
            kind,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            ty.map(|ty| described(ty).name),
        ];
        row.resize(28, Cell::Null);
        row.extend(row![
            ty.map(|_| &home.name),
            ty.map(|_| "pg_catalog"),
            ty.map(SqlType::typname),
            NULL,
            NULL,
            NULL,
            NULL,
            ty.map(|_| "0"),
            "EXTERNAL",
            NULL,
            NULL,
            "INTERNAL",
            "GENERAL",
            yes(proc.volatility == Volatile::Immutable),
            "MODIFIES",
            yes(proc.strict),
            NULL,
            "YES",
            0,
            NULL,
            NULL,
            "INVOKER",
            NULL,
            NULL,
            NULL,
            "NO",
            NULL,
            NULL,
            NULL,
            "NO",
        ]);
        row.resize(ROUTINE_COLUMNS, Cell::Null);
        rows.push(row);
    }
    Ok(())
}

fn parameters<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for proc in functions::all_procs() {
        if matches!(proc.kind, ProcKind::Aggregate | ProcKind::Window) {
            continue;
        }
        for (place, ty) in proc.args.iter().enumerate() {
            let name = proc.arg_names.get(place).filter(|name| !name.is_empty());
            let mut row = row![
                &home.name,
                proc.schema,
                format!("{}_{}", proc.name, proc.oid),
                count(place + 1),
                "IN",
                "NO",
                "NO",
                name.copied(),
                described(ty).name,
            ];
            row.resize(23, Cell::Null);
            row.extend(row![&home.name, "pg_catalog", ty.typname()]);
            row.resize(30, Cell::Null);
            row.push((place + 1).to_string().into());
            row.resize(PARAMETER_COLUMNS, Cell::Null);
            rows.push(row);
        }
    }
    Ok(())
}

/// The elements of columns that are arrays.
fn element_types<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    const COLLATION: usize = 11;
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        let (Relation::Table(table) | Relation::Chunk(table, ..)) = relation else {
            continue;
        };
        for column in &table.columns {
            let SqlType::Array(element) = &column.ty else {
                continue;
            };
            let mut row = row![
                &home.name,
                relation.schema(home).1,
                relation.name(),
                "TABLE",
                column.id.0.to_string(),
                described(element).name,
            ];
            row.resize(COLLATION, Cell::Null);
            let collation = described(element).collation;
            row.extend(row![
                collation.map(|_| &home.name),
                collation.map(|_| "pg_catalog"),
                collation,
            ]);
            row.resize(21, Cell::Null);
            row.extend(row![&home.name, "pg_catalog", element.typname()]);
            row.resize(28, Cell::Null);
            row.push(format!("a{}", column.id.0).into());
            rows.push(row);
        }
    }
    Ok(())
}

fn character_sets<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    rows.push(row![
        NULL,
        NULL,
        "UTF8",
        "UCS",
        "UTF8",
        &context.home()?.name,
        NULL,
        NULL,
    ]);
    Ok(())
}

fn collations<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for fields in recorded::lines(include_str!("recorded/pg_collation.tsv")) {
        rows.push(row![
            &home.name,
            "pg_catalog",
            fields.get(1).copied(),
            "NO PAD"
        ]);
    }
    Ok(())
}

fn enabled_roles<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    if let Some(user) = context.catalog.role_named(&context.user) {
        let roles = context.catalog.roles.values();
        for role in roles.filter(|role| context.catalog.acts_as(user.id, role.id)) {
            rows.push(row![&role.name]);
        }
    }
    Ok(())
}

fn applicable_roles<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    if let Some(user) = context.catalog.role_named(&context.user) {
        for role in context.catalog.roles_of(user.id) {
            let Some(role) = context.catalog.roles.get(&role) else {
                continue;
            };
            for group in &role.member_of {
                let admin = yes(role.admin_of.contains(group));
                rows.push(row![&role.name, context.role_name(*group), admin]);
            }
        }
    }
    Ok(())
}
