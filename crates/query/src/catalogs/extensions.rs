//! Extensions: those that every database has, and those that it was told to offer.

use chronolith_catalog::Database;

use super::context::Context;
use super::objects::BOOTSTRAP_ROLE;
use super::relation::{Fill, PG_CATALOG};
use super::rows::{NULL, Rows, row};
use super::server::TIMESCALEDB_VERSION;
use crate::error::Error;

/// The oid of the extension `timescaledb`.
pub(super) const TIMESCALEDB: u32 = 14_995;
/// The oid of the extension `plpgsql`.
const PLPGSQL: u32 = 13_559;
const PUBLIC: u32 = 2200;

/// An extension that is built in.
struct BuiltIn {
    oid: u32,
    name: &'static str,
    schema: u32,
    version: &'static str,
    comment: &'static str,
}

const BUILT_IN: [BuiltIn; 2] = [
    BuiltIn {
        oid: PLPGSQL,
        name: "plpgsql",
        schema: PG_CATALOG,
        version: "1.0",
        comment: "PL/pgSQL procedural language",
    },
    BuiltIn {
        oid: TIMESCALEDB,
        name: "timescaledb",
        schema: PUBLIC,
        version: TIMESCALEDB_VERSION,
        comment: "Enables scalable inserts and complex queries for time-series data",
    },
];

/// Name, version and comment of the extension that shows what statements cost.
pub(crate) const STAT_STATEMENTS: (&str, &str, &str) = (
    "pg_stat_statements",
    "1.10",
    "track planning and execution statistics of all SQL statements executed",
);

/// The same of the extension by which EXCLUDE USING gist compares numbers, texts and times.
pub(crate) const BTREE_GIST: (&str, &str, &str) = (
    "btree_gist",
    "1.7",
    "support for indexing common datatypes in GiST",
);

/// Those that a database has where it is told to.
pub(crate) const OFFERED: [(&str, &str, &str); 2] = [BTREE_GIST, STAT_STATEMENTS];

/// The version of an extension that a database has.
pub(crate) fn extension_version(home: &Database, name: &str) -> Option<String> {
    let built_in = BUILT_IN.iter().find(|known| known.name == name);
    let made = home.extensions.values().find(|known| known.name == name);
    let made = made.map(|known| known.version.clone());
    built_in.map(|known| known.version.to_owned()).or(made)
}

/// Oid and comment of each extension that every database has.
pub(super) fn extension_comments() -> impl Iterator<Item = (u32, &'static str)> {
    BUILT_IN.iter().map(|known| (known.oid, known.comment))
}

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_extension" => extensions,
        "pg_available_extensions" => available,
        "pg_available_extension_versions" => versions,
        _ => return None,
    })
}

fn extensions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for known in &BUILT_IN {
        rows.push(row![
            known.oid,
            known.name,
            BOOTSTRAP_ROLE.0,
            known.schema,
            false,
            known.version,
            NULL,
            NULL
        ]);
    }
    for made in context.home()?.extensions.values() {
        rows.push(row![
            made.id,
            &made.name,
            made.owner.0,
            made.schema.0,
            true,
            &made.version,
            NULL,
            NULL
        ]);
    }
    Ok(())
}

fn available<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for known in &BUILT_IN {
        rows.push(row![
            known.name,
            known.version,
            known.version,
            known.comment
        ]);
    }
    for (name, version, comment) in OFFERED {
        let installed = extension_version(context.home()?, name);
        rows.push(row![name, version, installed, comment]);
    }
    Ok(())
}

fn versions<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for known in &BUILT_IN {
        let schema = (known.oid == PLPGSQL).then_some("pg_catalog");
        rows.push(row![
            known.name,
            known.version,
            true,
            true,
            true,
            false,
            schema,
            NULL,
            known.comment
        ]);
    }
    for (name, version, comment) in OFFERED {
        let installed = extension_version(context.home()?, name).is_some();
        // Who may create objects may have what only helps indexes.
        let trusted = name == BTREE_GIST.0;
        rows.push(row![
            name, version, installed, true, trusted, true, NULL, NULL, comment
        ]);
    }
    Ok(())
}
