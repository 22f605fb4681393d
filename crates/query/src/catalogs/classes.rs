//! Relations of relations: schemas, tables, indexes, views, chunks under their hypertables.

use std::collections::BTreeSet;

use chronolith_catalog::{ConstraintKind, Database, Index, Securable, Table};
use chronolith_types::{SchemaId, SqlType, TableId};

use super::context::{Context, Size};
use super::describe;
use super::objects::{self, Relation, index_keys};
use super::relation::Fill;
use super::rows::{Cell, NULL, Rows, count, row};
use super::{privileges, routines, types};
use crate::error::Error;

const BLOCK_BYTES: u64 = 8192;
const HEAP: u32 = 2;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_namespace" => namespaces,
        "pg_class" => classes,
        "pg_index" => indexes,
        "pg_inherits" => inherits,
        "pg_rewrite" => rewrites,
        "pg_tables" => tables,
        "pg_views" => views,
        "pg_matviews" => materialized_views,
        "pg_indexes" => index_texts,
        _ => return None,
    })
}

fn namespaces<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for (oid, name, owner) in objects::schemas(home) {
        // Everybody may use this one, which PostgreSQL too writes down.
        let acl = match name {
            "public" => home.schema_acl(SchemaId(oid)),
            _ => home.acls.get(&oid).cloned(),
        };
        let acl = acl.map(|acl| context.acl_items(&acl, Securable::Schema));
        rows.push(row![oid, name, owner.0, acl]);
    }
    Ok(())
}

/// The oid of an access method.
pub(super) fn access_method(method: &str) -> u32 {
    match method {
        "hash" => 405,
        "gist" => 783,
        "gin" => 2742,
        "spgist" => 4000,
        "brin" => 3580,
        _ => 403,
    }
}

/// Tables with triggers. A foreign key is two there, one on either side: clients look for foreign keys
/// where `relhastriggers` tells of any.
fn triggered(home: &Database) -> BTreeSet<TableId> {
    let mut found: BTreeSet<TableId> = home.triggers.keys().copied().collect();
    for table in home.tables.values() {
        let references = table.constraints.iter();
        for reference in references.filter_map(|constraint| constraint.kind.reference()) {
            found.extend([table.id, reference.table]);
        }
    }
    found
}

fn classes<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    const OID: usize = 0;
    const PAGES: usize = 9;
    const TUPLES: usize = 10;
    const ATTRIBUTES: usize = 17;
    let home = context.home()?;
    let sized = rows.wants(PAGES) || rows.wants(TUPLES);
    let counted = rows.wants(ATTRIBUTES);
    let triggered = triggered(home);
    for relation in objects::relations(home) {
        let kind = relation.kind();
        let oid = relation.oid();
        if rows.misses(OID, oid) {
            continue;
        }
        let stored = !matches!(kind, 'v' | 'c') && !matches!(relation, Relation::System(_));
        let size = match sized {
            true => relation.size(context),
            false => Size::default(),
        };
        let am = match relation {
            Relation::Index(_, index) => access_method(&index.method),
            _ if matches!(kind, 'r' | 'm') => HEAP,
            _ => 0,
        };
        let columns = match relation {
            Relation::System(system) => system.columns.len(),
            Relation::Table(table) | Relation::Chunk(table, ..) | Relation::Kept(table, _) => table
                .columns
                .iter()
                .map(|column| column.id.0)
                .max()
                .and_then(|last| usize::try_from(last).ok())
                .unwrap_or(0),
            Relation::Index(_, index) => index.keys.len(),
            Relation::View(view) if counted => (context.view_columns)(view).len(),
            Relation::View(_) => 0,
            Relation::Sequence(_) => 3,
            Relation::Composite(ty) => ty.fields().len(),
        };
        let acl = || {
            let acl = privileges::acl_of(home, relation)?;
            let kind = match relation {
                Relation::Sequence(_) => Securable::Sequence,
                _ => Securable::Relation,
            };
            Some(context.acl_items(acl, kind))
        };
        let (checks, acl) = match relation {
            Relation::Table(table) => (
                table
                    .constraints
                    .iter()
                    .filter(|constraint| matches!(constraint.kind, ConstraintKind::Check { .. }))
                    .count(),
                acl(),
            ),
            Relation::Chunk(..) => (1, acl()),
            _ => (0, acl()),
        };
        let has_indexes = matches!(relation, Relation::Table(table) | Relation::Kept(table, _)
            if !table.indexes.is_empty());
        let populated = match relation {
            Relation::Kept(_, view) => view.kept().is_some_and(|kept| kept.populated),
            _ => true,
        };
        let secured = home.row_security.get(&TableId(oid));
        let parent = matches!(relation, Relation::Table(table)
            if table.hypertable.is_some() && !table.chunks.is_empty());
        rows.push(row![
            oid,
            relation.name(),
            relation.schema(home).0,
            relation.row_types().0,
            0,
            relation.owner().0,
            am,
            if stored { oid } else { 0 },
            0,
            i32::try_from(size.bytes.div_ceil(BLOCK_BYTES)).unwrap_or(i32::MAX),
            if stored && matches!(kind, 'r' | 'm') {
                count(size.rows)
            } else {
                0
            },
            0,
            0,
            has_indexes,
            false,
            relation.persistence(home),
            kind,
            count(columns),
            count(checks),
            matches!(kind, 'v' | 'm'),
            triggered.contains(&TableId(oid)),
            parent,
            secured.is_some_and(|of| of.enabled),
            secured.is_some_and(|of| of.forced),
            populated,
            if stored && matches!(kind, 'r' | 'm') {
                'd'
            } else {
                'n'
            },
            false,
            0,
            0,
            0,
            acl,
            options_of(relation),
            NULL,
        ]);
    }
    Ok(())
}

/// What was said of a relation behind WITH, as an array's text.
fn options_of(relation: Relation<'_>) -> Cell<'static> {
    match relation {
        Relation::View(view) => {
            let said = [
                view.invoker.map(|on| format!("security_invoker={on}")),
                view.barrier.map(|on| format!("security_barrier={on}")),
                view.check
                    .map(|check| format!("check_option={}", check.word())),
            ];
            let said: Vec<Cell<'static>> = said.into_iter().flatten().map(Cell::from).collect();
            match said.is_empty() {
                true => Cell::Null,
                false => Cell::List(said),
            }
        }
        _ => Cell::Null,
    }
}

/// Whether an index belongs to the primary key.
pub(super) fn is_primary(table: &Table, index: &Index) -> bool {
    index.constraint
        && table.constraints.iter().any(|constraint| {
            constraint.name == index.name
                && matches!(constraint.kind, ConstraintKind::PrimaryKey { .. })
        })
}

/// Whether an index belongs to EXCLUDE.
fn excludes(table: &Table, index: &Index) -> bool {
    let mut exclusions = table.exclusions();
    exclusions.any(|(_, own)| own.id == index.id)
}

/// Whether what an index promises may be broken until the transaction ends.
fn waits(table: &Table, index: &Index) -> bool {
    let mut constraints = table.constraints.iter().filter(|_| index.constraint);
    constraints.any(|constraint| constraint.name == index.name && constraint.marks.deferrable)
}

fn indexes<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for relation in objects::user_relations(context.home()?) {
        let Relation::Index(table, index) = relation else {
            continue;
        };
        let keys = index_keys(table, index);
        let method = access_method(&index.method);
        let included: Vec<u32> = index
            .include
            .iter()
            .filter_map(|name| Some(table.column_named(name)?.1.id.0))
            .collect();
        let expressions = describe::key_expressions(context, table, index);
        let types: Vec<Option<SqlType>> = keys
            .iter()
            .map(|key| objects::key_type(context, table, key))
            .collect();
        let collations: Vec<u32> = keys
            .iter()
            .zip(&types)
            .map(|(key, ty)| {
                let named = key.marks.and_then(|marks| marks.collation.as_deref());
                let named = named.and_then(routines::collation_named);
                named.unwrap_or_else(|| ty.as_ref().map_or(0, |ty| types::collation(ty.oid())))
            })
            .collect();
        let classes: Vec<u32> = keys
            .iter()
            .zip(&types)
            .map(|(key, ty)| {
                let Some(ty) = ty else { return 0 };
                let named = key.marks.and_then(|marks| marks.class.as_deref());
                let named = named.and_then(|name| routines::class_named(&index.method, name, ty));
                match named {
                    Some(Ok((oid, _))) => oid,
                    _ => routines::operator_class(method, ty),
                }
            })
            .collect();
        let options: Vec<i64> = keys
            .iter()
            .map(|key| i64::from(key.descending) + 2 * i64::from(key.nulls_first))
            .collect();
        rows.push(row![
            index.id.0,
            table.id.0,
            count(keys.len() + included.len()),
            count(keys.len()),
            index.unique,
            index.nulls_alike,
            is_primary(table, index),
            excludes(table, index),
            !waits(table, index),
            false,
            true,
            false,
            true,
            true,
            false,
            keys.iter()
                .map(|key| key.attribute)
                .chain(included)
                .collect::<Vec<_>>(),
            collations,
            classes,
            options,
            expressions,
            index
                .predicate
                .as_ref()
                .map(|predicate| (context.expression)(table, predicate, None, false)),
        ]);
    }
    Ok(())
}

fn inherits<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for table in context.home()?.tables.values() {
        for (_, chunk) in objects::chunks(table) {
            rows.push(row![chunk.oid, table.id.0, 1, false]);
        }
    }
    Ok(())
}

fn rewrites<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for view in context.home()?.views.values() {
        rows.push(row![
            objects::rule(view.id.0),
            "_RETURN",
            view.id.0,
            '1',
            'O',
            true,
            "<>",
            &view.query,
        ]);
    }
    Ok(())
}

fn tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::relations(home).filter(|relation| relation.kind() == 'r') {
        let indexed = matches!(relation, Relation::Table(table) if !table.indexes.is_empty());
        rows.push(row![
            relation.schema(home).1,
            relation.name(),
            context.role_name(relation.owner()),
            NULL,
            indexed,
            false,
            false,
            false,
        ]);
    }
    Ok(())
}

fn views<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::relations(home).filter(|relation| relation.kind() == 'v') {
        // A system view is made by the program, not by a query.
        let text = match relation {
            Relation::View(view) => Some(describe::view_text(context, view)),
            _ => None,
        };
        rows.push(row![
            relation.schema(home).1,
            relation.name(),
            context.role_name(relation.owner()),
            text,
        ]);
    }
    Ok(())
}

fn materialized_views<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        if let Relation::Kept(table, view) = relation {
            rows.push(row![
                relation.schema(home).1,
                relation.name(),
                context.role_name(relation.owner()),
                NULL,
                !table.indexes.is_empty(),
                view.kept().is_some_and(|kept| kept.populated),
                describe::view_text(context, view),
            ]);
        }
    }
    Ok(())
}

fn index_texts<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        if let Relation::Index(table, index) = relation {
            rows.push(row![
                relation.schema(home).1,
                &table.name,
                &index.name,
                NULL,
                describe::index_text(context, table, index, true),
            ]);
        }
    }
    Ok(())
}
