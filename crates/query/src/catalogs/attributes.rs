//! Columns, their defaults, and the comments on relations and columns.

use std::borrow::Cow;

use chronolith_catalog::{Column, Securable, Table, View};
use chronolith_types::SqlType;

use super::context::Context;
use super::describe;
use super::objects::{self, Relation, index_keys};
use super::relation::{self, Fill};
use super::rows::{NULL, Rows, count, row};
use super::types;
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_attribute" => attributes,
        "pg_attrdef" => defaults,
        "pg_description" => descriptions,
        "pg_shdescription" => shared_descriptions,
        _ => return None,
    })
}

/// What `pg_attribute` tells of a column beyond its type.
struct Attribute<'a> {
    relation: u32,
    /// The relation whose grants are its own: of a chunk, its hypertable.
    acls: u32,
    number: i64,
    name: Cow<'a, str>,
    /// None for an expression, whose type only the binder knows.
    ty: Option<Cow<'a, SqlType>>,
    /// The oid of the domain that it is declared with.
    domain: Option<u32>,
    not_null: bool,
    has_default: bool,
    inherited: bool,
    /// `a`, `d` or nothing.
    identity: &'static str,
    /// `s` or nothing.
    generated: &'static str,
}

fn push<'a>(context: &Context, rows: &mut Rows<'a>, attribute: Attribute<'a>) {
    let ty = attribute.ty.as_deref();
    let facts = ty.map_or_else(|| types::facts(0), types::facts_of);
    let oid = attribute.domain.or(ty.map(SqlType::oid)).unwrap_or(0);
    let number = u32::try_from(attribute.number).unwrap_or(0);
    let home = context.home().ok();
    let acl = home.and_then(|home| home.column_acl(attribute.acls, number));
    let acl = acl.map(|acl| context.acl_items(acl, Securable::Column));
    let typmod = match attribute.domain {
        None => ty.map_or(-1, SqlType::typmod),
        Some(_) => -1,
    };
    rows.push(row![
        attribute.relation,
        attribute.name,
        oid,
        -1,
        i64::from(facts.length),
        attribute.number,
        i64::from(matches!(ty, Some(SqlType::Array(_)))),
        -1,
        i64::from(typmod),
        facts.by_value,
        facts.align,
        facts.storage,
        "",
        attribute.not_null,
        attribute.has_default,
        false,
        attribute.identity,
        attribute.generated,
        false,
        !attribute.inherited,
        i64::from(attribute.inherited),
        facts.collation,
        acl,
        NULL,
        NULL,
        NULL,
    ]);
}

fn attributes<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    const RELATION: usize = 0;
    let home = context.home()?;
    for relation in objects::relations(home) {
        let oid = relation.oid();
        if rows.misses(RELATION, oid) {
            continue;
        }
        let acls = match relation {
            Relation::Chunk(table, ..) => table.id.0,
            _ => oid,
        };
        match relation {
            Relation::System(system) => {
                for (number, column) in (1..).zip(&system.columns) {
                    push(
                        context,
                        rows,
                        Attribute {
                            relation: oid,
                            acls,
                            number,
                            name: column.name.into(),
                            ty: Some(Cow::Borrowed(&column.ty)),
                            domain: None,
                            not_null: column.not_null,
                            has_default: false,
                            inherited: false,
                            identity: "",
                            generated: "",
                        },
                    );
                }
            }
            Relation::Table(table) | Relation::Chunk(table, ..) | Relation::Kept(table, _) => {
                for column in &table.columns {
                    push(
                        context,
                        rows,
                        Attribute {
                            relation: oid,
                            acls,
                            number: column.id.0.into(),
                            name: column.name.as_str().into(),
                            ty: Some(Cow::Borrowed(&column.ty)),
                            domain: column.domain.map(|domain| domain.0),
                            not_null: column.not_null,
                            has_default: column.default.is_some() || column.generated.is_some(),
                            inherited: matches!(relation, Relation::Chunk(..)),
                            identity: match &column.identity {
                                Some(identity) if identity.always => "a",
                                Some(_) => "d",
                                None => "",
                            },
                            generated: if column.generated.is_some() { "s" } else { "" },
                        },
                    );
                }
            }
            Relation::Index(table, index) => {
                let keys = index_keys(table, index);
                let names = objects::index_columns(&keys);
                let kept = |ty| match index.method.as_str() {
                    "hash" => SqlType::Int4,
                    _ => ty,
                };
                let own = keys.iter().zip(names).map(|(key, name)| {
                    let ty = objects::key_type(context, table, key);
                    (name, ty.map(kept))
                });
                let behind = index.include.iter().map(|name| {
                    let column = table.column_named(name);
                    (name.clone(), column.map(|(_, column)| column.ty.clone()))
                });
                for (number, (name, ty)) in (1..).zip(own.chain(behind)) {
                    push(
                        context,
                        rows,
                        Attribute {
                            relation: oid,
                            acls,
                            number,
                            name: name.into(),
                            ty: ty.map(Cow::Owned),
                            domain: None,
                            not_null: false,
                            has_default: false,
                            inherited: false,
                            identity: "",
                            generated: "",
                        },
                    );
                }
            }
            Relation::Sequence(_) => {
                let columns = [
                    ("last_value", SqlType::Int8),
                    ("log_cnt", SqlType::Int8),
                    ("is_called", SqlType::Bool),
                ];
                for (number, (name, ty)) in (1..).zip(columns) {
                    push(
                        context,
                        rows,
                        Attribute {
                            relation: oid,
                            acls,
                            number,
                            name: name.into(),
                            ty: Some(Cow::Owned(ty)),
                            domain: None,
                            not_null: true,
                            has_default: false,
                            inherited: false,
                            identity: "",
                            generated: "",
                        },
                    );
                }
            }
            Relation::Composite(composite) => {
                for (number, (name, ty)) in (1..).zip(composite.fields()) {
                    push(
                        context,
                        rows,
                        Attribute {
                            relation: oid,
                            acls,
                            number,
                            name: name.as_str().into(),
                            ty: Some(Cow::Borrowed(ty)),
                            domain: None,
                            not_null: false,
                            has_default: false,
                            inherited: false,
                            identity: "",
                            generated: "",
                        },
                    );
                }
            }
            Relation::View(view) => {
                for (number, (name, ty)) in (1..).zip((context.view_columns)(view)) {
                    push(
                        context,
                        rows,
                        Attribute {
                            relation: oid,
                            acls,
                            number,
                            name: name.into(),
                            ty: Some(Cow::Owned(ty)),
                            domain: None,
                            not_null: false,
                            has_default: view
                                .defaults
                                .keys()
                                .any(|at| i64::from(*at) + 1 == number),
                            inherited: false,
                            identity: "",
                            generated: "",
                        },
                    );
                }
            }
        }
    }
    Ok(())
}

/// A column's default. A chunk's are its hypertable's.
pub(super) struct Default<'a> {
    pub(super) oid: u32,
    /// The oid of the relation.
    pub(super) relation: u32,
    of: Of<'a>,
    /// The column's number.
    pub(super) number: i64,
    /// As it was written.
    pub(super) text: &'a str,
}

/// What a default is of.
enum Of<'a> {
    Table(&'a Table, &'a Column),
    View(&'a View),
}

pub(super) fn each_default(context: &Context) -> Result<impl Iterator<Item = Default<'_>>, Error> {
    let home = context.home()?;
    let all = objects::user_relations(home).filter_map(|relation| match relation {
        Relation::Table(table) | Relation::Chunk(table, ..) => Some((relation.oid(), table)),
        _ => None,
    });
    let of_tables = all.flat_map(|(relation, table)| {
        table.columns.iter().filter_map(move |column| {
            let text = column.default.as_ref().or(column.generated.as_ref())?;
            let number = i64::from(column.id.0);
            Some((relation, Of::Table(table, column), number, text))
        })
    });
    let of_views = home.views.values().flat_map(|view| {
        let defaults = view.defaults.iter();
        defaults.map(move |(at, text)| (view.id.0, Of::View(view), i64::from(*at) + 1, text))
    });
    Ok(of_tables
        .chain(of_views)
        .enumerate()
        .map(|(place, (relation, of, number, text))| Default {
            oid: objects::default(place),
            relation,
            of,
            number,
            text,
        }))
}

/// What is shown of the default of a view's column.
pub(super) fn view_default(context: &Context, view: &View, number: i64) -> Option<String> {
    let table = view.as_table((context.view_columns)(view));
    let mut columns = table.columns.iter();
    let column = columns.find(|column| i64::from(column.id.0) == number)?;
    default_text(context, &table, column)
}

/// What is shown of a column's default.
pub(super) fn default_text(context: &Context, table: &Table, column: &Column) -> Option<String> {
    let text = column.default.as_ref().or(column.generated.as_ref())?;
    let shown = (context.expression)(table, text, Some(&column.ty), false);
    Some(super::sequences::named(context, &shown))
}

fn defaults<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    const RELATION: usize = 1;
    const TEXT: usize = 3;
    let shown = rows.wants(TEXT);
    for default in each_default(context)? {
        if rows.misses(RELATION, default.relation) {
            continue;
        }
        let text = match shown {
            true => match default.of {
                Of::Table(table, column) => default_text(context, table, column),
                Of::View(view) => view_default(context, view, default.number),
            },
            false => Some(default.text.to_owned()),
        };
        rows.push(row![default.oid, default.relation, default.number, text,]);
    }
    Ok(())
}

fn descriptions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (class, oid, text) in describe::recorded_comments() {
        rows.push(row![oid, class, 0, text]);
    }
    for comment in describe::said(context)? {
        rows.push(row![
            comment.oid,
            comment.class,
            count(comment.column),
            &comment.text
        ]);
    }
    let class = relation::find("pg_catalog", "pg_class").map_or(0, |relation| relation.oid());
    for table in context.home()?.tables.values() {
        if let Some(comment) = &table.comment {
            rows.push(row![table.id.0, class, 0, comment]);
        }
        for column in &table.columns {
            if let Some(comment) = &column.comment {
                rows.push(row![table.id.0, class, count(column.id.0), comment]);
            }
        }
    }
    Ok(())
}

fn shared_descriptions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for comment in describe::said_of_shared(context) {
        rows.push(row![comment.oid, comment.class, &comment.text]);
    }
    Ok(())
}
