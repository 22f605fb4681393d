//! Types of users: their rows in `pg_type`, and the labels of enums.

use chronolith_catalog::{Column, Constraint, ConstraintKind, Securable, Table, Type, TypeBody};
use chronolith_types::{ColumnId, TableId};

use super::context::Context;
use super::relation::Fill;
use super::rows::{NULL, Rows, row};
use super::types::{self, ARRAY, ARRAY_ANALYZE, ARRAY_SUBSCRIPT, Ways};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    match name {
        "pg_enum" => Some(labels),
        _ => None,
    }
}

const ENUM: Ways = Ways {
    input: 3506,
    output: 3507,
    receive: 3532,
    send: 3533,
};
const DOMAIN_IN: u32 = 2597;
const DOMAIN_RECEIVE: u32 = 2598;

/// The rows of `pg_type` of all types of users, and of their arrays.
pub(super) fn types<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for ty in context.home()?.types.values() {
        match &ty.body {
            TypeBody::Enum { .. } => plain(context, rows, ty, ('e', 'E'), &ENUM, 0),
            TypeBody::Composite { relation, .. } => {
                plain(context, rows, ty, ('c', 'C'), &types::RECORD, *relation);
            }
            TypeBody::Domain(domain) => {
                let base = domain.base.oid();
                let over = domain.over.map_or(base, |over| over.0);
                let facts = types::facts(base);
                let (output, send) = types::writers(base);
                rows.push(row![
                    ty.id.0,
                    &ty.name,
                    ty.schema.0,
                    ty.owner.0,
                    i64::from(domain.base.typlen()),
                    facts.by_value,
                    'd',
                    domain.base.category(),
                    false,
                    true,
                    ',',
                    0,
                    0,
                    0,
                    ty.array,
                    DOMAIN_IN,
                    output,
                    DOMAIN_RECEIVE,
                    send,
                    0,
                    0,
                    0,
                    facts.align,
                    facts.storage,
                    domain.not_null,
                    over,
                    i64::from(domain.base.typmod()),
                    0,
                    facts.collation,
                    NULL,
                    domain.default.as_deref(),
                    acl_of(context, ty),
                ]);
            }
        }
        array(rows, ty);
    }
    Ok(())
}

fn acl_of(context: &Context, ty: &Type) -> Option<Vec<String>> {
    let acl = context.home().ok()?.acls.get(&ty.id.0)?;
    Some(context.acl_items(acl, Securable::Type))
}

fn plain<'a>(
    context: &Context,
    rows: &mut Rows<'a>,
    ty: &'a Type,
    (kind, category): (char, char),
    ways: &Ways,
    relation: u32,
) {
    let label = kind == 'e';
    rows.push(row![
        ty.id.0,
        &ty.name,
        ty.schema.0,
        ty.owner.0,
        if label { 4 } else { -1 },
        label,
        kind,
        category,
        false,
        true,
        ',',
        relation,
        0,
        0,
        ty.array,
        ways.input,
        ways.output,
        ways.receive,
        ways.send,
        0,
        0,
        0,
        if label { 'i' } else { 'd' },
        if label { 'p' } else { 'x' },
        false,
        0,
        -1,
        0,
        0,
        NULL,
        NULL,
        acl_of(context, ty),
    ]);
}

fn array<'a>(rows: &mut Rows<'a>, ty: &'a Type) {
    let label = matches!(ty.body, TypeBody::Enum { .. });
    let collation = match &ty.body {
        TypeBody::Domain(domain) => types::facts(domain.base.oid()).collation,
        _ => 0,
    };
    rows.push(row![
        ty.array,
        format!("_{}", ty.name),
        ty.schema.0,
        ty.owner.0,
        -1,
        false,
        'b',
        'A',
        false,
        true,
        ',',
        0,
        ARRAY_SUBSCRIPT,
        ty.id.0,
        0,
        ARRAY.input,
        ARRAY.output,
        ARRAY.receive,
        ARRAY.send,
        0,
        0,
        ARRAY_ANALYZE,
        if label { 'i' } else { 'd' },
        'x',
        false,
        0,
        -1,
        0,
        collation,
        NULL,
        NULL,
        NULL,
    ]);
}

fn labels<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for ty in context.home()?.types.values() {
        if let TypeBody::Enum { labels } = &ty.body {
            for label in labels {
                rows.push(row![label.oid, ty.id.0, label.order, &label.name]);
            }
        }
    }
    Ok(())
}

/// The checks of domains, as `pg_constraint` has them.
pub(super) fn checks<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for ty in context.home()?.types.values() {
        for check in ty.domain().map_or(&[][..], |domain| &domain.checks) {
            rows.push(row![
                check.id,
                &check.name,
                ty.schema.0,
                'c',
                false,
                false,
                !check.marks.not_valid,
                0,
                ty.id.0,
                0,
                0,
                0,
                " ",
                " ",
                " ",
                true,
                0,
                false,
                NULL,
                NULL,
                NULL,
                NULL,
                NULL,
                NULL,
                NULL,
                check_text(context, ty, check, false),
            ]);
        }
    }
    Ok(())
}

/// `pg_get_constraintdef` of a check of a domain.
pub(crate) fn domain_check(
    context: &Context,
    oid: u32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let mut checks = context.home()?.types.values().flat_map(|ty| {
        let checks = ty.domain().map_or(&[][..], |domain| &domain.checks);
        checks.iter().map(move |check| (ty, check))
    });
    let found = checks.find(|(_, check)| check.id == oid);
    Ok(found.map(|(ty, check)| {
        let valid = if check.marks.not_valid {
            " NOT VALID"
        } else {
            ""
        };
        format!("CHECK ({}){valid}", check_text(context, ty, check, pretty))
    }))
}

/// A check of a domain, as an expression over a table of one column, which VALUE is.
fn check_text(context: &Context, ty: &Type, check: &Constraint, pretty: bool) -> String {
    let (Some(domain), ConstraintKind::Check { expression }) = (ty.domain(), &check.kind) else {
        return String::new();
    };
    let mut table = Table::named(TableId(ty.id.0), ty.schema, "value", ty.owner);
    table.columns.push(Column {
        id: ColumnId(1),
        name: "value".to_owned(),
        ty: domain.base.clone(),
        domain: None,
        not_null: false,
        default: None,
        missing: None,
        identity: None,
        generated: None,
        comment: None,
    });
    let shown = (context.expression)(&table, expression, None, pretty);
    match chronolith_sql::rename_column(&shown, "value", "VALUE") {
        Ok(renamed) => renamed.replace("\"VALUE\"", "VALUE"),
        Err(_) => shown,
    }
}
