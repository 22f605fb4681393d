//! Counters: what was done since the first start after a crash, as the `pg_stat_…` views show it.

use chronolith_types::TableId;

use super::context::Context;
use super::objects::{self, Relation};
use super::relation::Fill;
use super::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;
use crate::statistics::Counters;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_stat_database" => databases,
        "pg_stat_user_tables" | "pg_stat_all_tables" => tables,
        "pg_stat_user_indexes" | "pg_stat_all_indexes" => indexes,
        "pg_statio_user_tables" | "pg_statio_all_tables" => tables_read,
        "pg_statio_user_indexes" | "pg_statio_all_indexes" => indexes_read,
        "pg_stat_bgwriter" => writer,
        "pg_stat_database_conflicts" => conflicts,
        "pg_stat_archiver" => archiver,
        "pg_stat_wal" => nothing_counted,
        _ => return None,
    })
}

/// Makes the rows of a function that has no view of its own.
pub(super) fn fill_function(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_stat_statements" => statements,
        "pg_stat_statements_info" => statements_info,
        _ => return None,
    })
}

/// What is not met here, such as conflicts with a recovery, stays 0 as in PostgreSQL; what nobody
/// counts is NULL.
fn databases<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for database in context.catalog.databases.values() {
        let sessions = context.sessions.iter();
        let backends = sessions.filter(|session| session.database == database.name);
        let counters = context.statistics.databases.of(database.id);
        let of = Counters::of;
        let reads = context.reads.iter();
        let (read, hit) = reads
            .filter(|((of, _), _)| *of == database.id)
            .fold((0, 0), |sum, (_, (read, hit))| (sum.0 + read, sum.1 + hit));
        rows.push(row![
            database.id.0,
            &database.name,
            count(backends.count()),
            of(&counters.commits),
            of(&counters.rollbacks),
            count(read),
            count(hit),
            of(&counters.returned),
            of(&counters.returned),
            of(&counters.inserted),
            of(&counters.updated),
            of(&counters.deleted),
            0,
            NULL,
            NULL,
            of(&counters.deadlocks),
            0,
            NULL,
            NULL,
            NULL,
            NULL,
            of(&counters.active_us) as f64 / 1000.0,
            NULL,
            of(&counters.sessions),
            0,
            NULL,
            NULL,
            NULL,
        ]);
    }
    Ok(())
}

/// The place of `wal_bytes`, the one numeric of `pg_stat_statements`.
const WAL_BYTES: usize = 34;

/// The texts of others are for those alone who may watch them. Blocks, log and JIT are not counted by
/// statement, and stay 0.
fn statements<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (key, entry) in context.statistics.statements.all() {
        let shown = context.may_watch(Some(key.role));
        let mut row = row![
            key.role.0,
            key.database.0,
            true,
            shown.then_some(key.id),
            if shown {
                entry.text
            } else {
                "<insufficient privilege>".to_owned()
            },
            0,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
            count(entry.runs.count),
            entry.runs.total,
            entry.runs.min,
            entry.runs.max,
            entry.runs.mean(),
            entry.runs.deviation(),
            count(entry.rows),
        ];
        row.resize(WAL_BYTES, Cell::Int(0));
        row.push(Cell::Null);
        row.resize(rows.width(), Cell::Int(0));
        rows.push(row);
    }
    Ok(())
}

fn statements_info<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let (forgotten, reset_us) = context.statistics.statements.info();
    let reset_us = (reset_us > 0).then_some(reset_us);
    rows.push(row![
        count(forgotten),
        reset_us.unwrap_or(context.started_us)
    ]);
    Ok(())
}

fn tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home).filter(|relation| relation.kind() == 'r') {
        let mut row = row![relation.oid(), relation.schema(home).1, relation.name()];
        let counted = context
            .statistics
            .tables
            .of(context.database, TableId(relation.oid()));
        row.resize(7, Cell::Null);
        for rows in [counted.inserted, counted.updated, counted.deleted] {
            row.push(count(rows).into());
        }
        row.push(Cell::Null);
        row.push(count(relation.size(context).rows).into());
        row.resize(23, Cell::Null);
        rows.push(row);
    }
    Ok(())
}

fn indexes<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        if let Relation::Index(table, index) = relation {
            rows.push(row![
                table.id.0,
                index.id.0,
                relation.schema(home).1,
                &table.name,
                &index.name,
                NULL,
                NULL,
                NULL,
            ]);
        }
    }
    Ok(())
}

fn tables_read<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home).filter(|relation| relation.kind() == 'r') {
        let key = (context.database, TableId(relation.oid()));
        let (read, hit) = context.reads.get(&key).copied().unwrap_or_default();
        let mut row = row![
            relation.oid(),
            relation.schema(home).1,
            relation.name(),
            count(read),
            count(hit),
        ];
        row.resize(rows.width(), Cell::Null);
        rows.push(row);
    }
    Ok(())
}

fn indexes_read<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        if let Relation::Index(table, index) = relation {
            let schema = relation.schema(home).1;
            let mut row = row![table.id.0, index.id.0, schema, &table.name, &index.name];
            row.resize(rows.width(), Cell::Null);
            rows.push(row);
        }
    }
    Ok(())
}

/// The one row of a view of counters that nobody counts.
/// No buffers are written behind anybody's back: those who watch PostgreSQL take no NULL for that.
fn writer<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let mut row = row![0, 0, 0.0, 0.0];
    row.resize(rows.width() - 1, Cell::Int(0));
    row.push(context.started_us.into());
    rows.push(row);
    Ok(())
}

/// Nothing is recovered beside what reads.
fn conflicts<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for database in context.catalog.databases.values() {
        rows.push(row![database.id.0, &database.name, 0, 0, 0, 0, 0]);
    }
    Ok(())
}

/// Nothing is archived.
fn archiver<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    rows.push(row![0, NULL, NULL, 0, NULL, NULL, context.started_us]);
    Ok(())
}

fn nothing_counted<'a>(_: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    rows.push(vec![Cell::Null; rows.width()]);
    Ok(())
}
