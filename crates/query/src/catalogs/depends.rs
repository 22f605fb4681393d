//! What depends on what, and what came with the extension.

use chronolith_catalog::{Database, Securable, Table, View};
use chronolith_types::TableId;

use super::attributes::each_default;
use super::constraints::{class_oid, referred_index, shown};
use super::context::Context;
use super::describe::quoted;
use super::extensions::TIMESCALEDB;
use super::objects::{self, Relation};
use super::privileges;
use super::relation::{self, Fill};
use super::rows::{Rows, row};
use crate::error::Error;
use crate::functions;
use crate::labels::{self, is_dumped};

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_depend" => depends,
        "pg_init_privs" => initial_privileges,
        "pg_seclabel" => labels_of_objects,
        "pg_seclabels" => named_labels,
        _ => return None,
    })
}

fn depends<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    let class = class_oid("pg_class");
    let extension = class_oid("pg_extension");
    let constraint_class = class_oid("pg_constraint");
    let mut constraint_indexes = Vec::new();
    for shown in shown(context)? {
        let relation = shown.relation().oid();
        for column in shown.columns() {
            rows.push(row![
                constraint_class,
                shown.oid(),
                0,
                class,
                relation,
                i64::from(column),
                'a'
            ]);
        }
        if let Some(reference) = shown.reference() {
            let (fk, parent) = (shown.oid(), reference.table.0);
            for column in &reference.referred {
                let column = i64::from(column.0);
                rows.push(row![constraint_class, fk, 0, class, parent, column, 'n']);
            }
            let index = referred_index(home, shown);
            rows.push(row![constraint_class, fk, 0, class, index, 0, 'n']);
        }
        if shown.index() != 0 {
            constraint_indexes.push(shown.index());
            rows.push(row![
                class,
                shown.index(),
                0,
                constraint_class,
                shown.oid(),
                0,
                'i'
            ]);
        }
    }
    for relation in objects::user_relations(home) {
        let oid = relation.oid();
        let schema = relation.schema(home).0;
        match relation {
            Relation::Index(table, index) => {
                for other in before_indexes(home, table) {
                    rows.push(row![class, oid, 0, class, other, 0, 'n']);
                }
                if !constraint_indexes.contains(&oid) {
                    for key in objects::index_keys(table, index) {
                        let column = i64::from(key.attribute);
                        rows.push(row![class, oid, 0, class, table.id.0, column, 'a']);
                    }
                }
                continue;
            }
            Relation::Chunk(table, ..) => {
                rows.push(row![class, oid, 0, class, table.id.0, 0, 'n']);
                rows.push(row![class, oid, 0, extension, TIMESCALEDB, 0, 'e']);
            }
            Relation::View(_) | Relation::Kept(..) => {
                let made = home.extensions.values();
                let of = made.filter(|made| made.views.contains(&TableId(oid)));
                for made in of {
                    rows.push(row![class, oid, 0, extension, made.id, 0, 'e']);
                }
                let rule = objects::rule(oid);
                let rewrite = class_oid("pg_rewrite");
                rows.push(row![rewrite, rule, 0, class, oid, 0, 'i']);
                if let Some(view) = home.views.get(&TableId(oid)) {
                    for read in read_by(home, view) {
                        rows.push(row![rewrite, rule, 0, class, read, 0, 'n']);
                    }
                    // Its label names the table of rows that cannot be computed again.
                    let kept = view.materialized.as_ref().map(|kept| kept.table);
                    let store = kept.and_then(|kept| home.tables.get(&kept));
                    if let Some(store) = store.filter(|store| is_dumped(store)) {
                        rows.push(row![rewrite, rule, 0, class, store.id.0, 0, 'n']);
                    }
                }
            }
            Relation::Sequence(sequence) => {
                if let Some(by) = sequence.owned_by {
                    let column = i64::from(by.column.0);
                    let kind = if by.internal { 'i' } else { 'a' };
                    rows.push(row![class, oid, 0, class, by.table.0, column, kind]);
                }
            }
            // The rows of a continuous aggregate.
            Relation::Table(table) if table.rollup.is_some() && !is_dumped(table) => {
                rows.push(row![class, oid, 0, extension, TIMESCALEDB, 0, 'e']);
            }
            Relation::System(_) | Relation::Table(_) | Relation::Composite(_) => {}
        }
        rows.push(row![
            class,
            oid,
            0,
            class_oid("pg_namespace"),
            schema,
            0,
            'n'
        ]);
        let (row_type, _) = relation.row_types();
        if row_type == 0 {
            continue;
        }
        rows.push(row![class_oid("pg_type"), row_type, 0, class, oid, 0, 'i']);
    }
    for default in each_default(context)? {
        let column = default.number;
        let (oid, relation) = (default.oid, default.relation);
        let defaults = class_oid("pg_attrdef");
        rows.push(row![defaults, oid, 0, class, relation, column, 'a']);
        for sequence in home.sequences.values() {
            if super::sequences::names_sequence(default.text, sequence.id) {
                rows.push(row![defaults, oid, 0, class, sequence.id.0, 0, 'n']);
            }
        }
    }
    // What belongs to the extension is not dumped with the database.
    for (oid, name, _) in objects::schemas(home) {
        let ours = name.contains("timescaledb") && relation::is_system_schema(name);
        let ours = ours || name == Database::INTERNAL_SCHEMA;
        if ours {
            let namespaces = class_oid("pg_namespace");
            rows.push(row![namespaces, oid, 0, extension, TIMESCALEDB, 0, 'e']);
        }
    }
    for system in relation::all().filter(|system| system.schema().contains("timescaledb")) {
        rows.push(row![class, system.oid(), 0, extension, TIMESCALEDB, 0, 'e']);
    }
    for proc in functions::all_procs().filter(|proc| proc.schema != "pg_catalog") {
        let procs = class_oid("pg_proc");
        rows.push(row![procs, proc.oid, 0, extension, TIMESCALEDB, 0, 'e']);
    }
    Ok(())
}

/// What a dump is to have before the indexes of a store, which end its restoring: the raw rows, and
/// the indexes of the store that it is computed from.
fn before_indexes(home: &Database, store: &Table) -> Vec<u32> {
    let mut found = Vec::new();
    let mut above = store.rollup.as_ref().filter(|_| is_dumped(store));
    while let Some(source) = above.and_then(|rollup| home.tables.get(&rollup.source)) {
        match &source.rollup {
            None => found.push(source.id.0),
            Some(_) if is_dumped(source) => {
                found.extend(source.indexes.iter().map(|index| index.id.0));
            }
            Some(_) => {}
        }
        above = source.rollup.as_ref();
    }
    found
}

/// The oids of the relations that a view's query reads: its text names the schemas of all of them.
fn read_by(home: &Database, view: &View) -> Vec<u32> {
    let mentioned = chronolith_sql::qualified_names(&view.query).unwrap_or_default();
    let relation = |(schema, name): (String, String)| {
        let found = objects::by_name(home, &schema, &name)?;
        (found.kind() != 'i' && found.oid() != view.id.0).then(|| found.oid())
    };
    let mut read: Vec<u32> = mentioned.into_iter().filter_map(relation).collect();
    read.sort_unstable();
    read.dedup();
    read
}

/// Rights that came with the extension: those on chunks and stores are given with the hypertable's or
/// the view's own.
fn initial_privileges<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        let ours = match relation {
            Relation::Chunk(..) => true,
            Relation::Table(table) => table.rollup.is_some(),
            _ => false,
        };
        if !ours {
            continue;
        }
        if let Some(acl) = privileges::acl_of(home, relation) {
            let items = context.acl_items(acl, Securable::Relation);
            rows.push(row![relation.oid(), class_oid("pg_class"), 0, 'e', items]);
        }
    }
    Ok(())
}

/// What makes hypertables, continuous aggregates and jobs, which a dump takes along.
fn labels_of_objects<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for found in labels::all(&context.catalog, context.home()?)? {
        let class = class_oid(found.class);
        rows.push(row![found.oid, class, 0, labels::PROVIDER, found.text]);
    }
    Ok(())
}

fn named_labels<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for found in labels::all(&context.catalog, home)? {
        let schema = home.schemas.get(&found.schema);
        let schema = schema.map_or("", |schema| schema.name.as_str());
        let name = format!("{}.{}", quoted(schema), quoted(&found.name));
        rows.push(row![
            found.oid,
            class_oid(found.class),
            0,
            found.kind,
            found.schema.0,
            name,
            labels::PROVIDER,
            found.text,
        ]);
    }
    Ok(())
}
