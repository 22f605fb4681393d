//! The relations there are: PostgreSQL's and TimescaleDB's, with their columns.
//!
//! `relations.tsv` is recorded from PostgreSQL 15 and TimescaleDB 2.28, one line a relation: schema,
//! name, oid, kind, oid of its row type and of that one's array, and its columns, where `!` is NOT NULL.
//! TimescaleDB's oids, which differ from server to server, are 15000 and up here. What is in
//! `_timescaledb_internal` lies in a schema of each database's own: there are its chunks.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, ListArray, StructArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use arrow::record_batch::RecordBatch;
use chronolith_types::SqlType;
use datafusion::common::ScalarValue;

use super::context::Context;
use super::rows::Rows;
use super::{
    activity, attributes, classes, constraints, depends, information_schema, jobs, locks,
    privileges, routines, sequences, server, timescale, types, user_types,
};
use crate::error::Error;
use crate::scan::Wanted;

/// Makes a relation's rows.
pub(super) type Fill = for<'a> fn(&'a Context, &mut Rows<'a>) -> Result<(), Error>;

/// A column of a system relation.
#[derive(Debug)]
pub(super) struct SystemColumn {
    pub(super) name: &'static str,
    pub(super) ty: SqlType,
    pub(super) not_null: bool,
}

/// A relation that every database has.
pub(crate) struct SystemRelation {
    oid: u32,
    schema: &'static str,
    name: &'static str,
    kind: char,
    /// Oids of its row type and of the array of that.
    pub(super) row_types: (u32, u32),
    pub(super) columns: Vec<SystemColumn>,
    /// None for a kind of thing that there is none of.
    fill: Option<Fill>,
}

impl std::fmt::Debug for SystemRelation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SystemRelation({}.{})", self.schema, self.name)
    }
}

impl SystemRelation {
    /// Its oid: PostgreSQL's own, or below 16384.
    pub(crate) fn oid(&self) -> u32 {
        self.oid
    }

    /// Its schema's name.
    pub(crate) fn schema(&self) -> &'static str {
        self.schema
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// `r` for a table, `v` for a view.
    pub(crate) fn kind(&self) -> char {
        self.kind
    }

    /// Its columns, in the order of `SELECT *`.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'static str, SqlType)> {
        self.columns
            .iter()
            .map(|column| (column.name, column.ty.clone()))
    }

    /// All its rows as a list of records, which a function returns.
    ///
    /// # Errors
    /// Those of [`Self::rows`].
    pub(crate) fn list(&self, context: &Context) -> Result<ScalarValue, Error> {
        let all = Wanted {
            columns: (0..self.columns.len()).collect(),
            equal: Vec::new(),
        };
        let records: ArrayRef = Arc::new(StructArray::from(self.rows(context, &all)?));
        let item = Arc::new(Field::new_list_field(records.data_type().clone(), true));
        let offsets = OffsetBuffer::from_lengths([records.len()]);
        let list = ListArray::try_new(item, offsets, records, None)?;
        Ok(ScalarValue::List(Arc::new(list)))
    }

    /// Its rows of this moment: the columns that are wanted, in their order.
    ///
    /// # Errors
    /// 42501 for what holds secrets.
    pub(crate) fn rows(&self, context: &Context, wanted: &Wanted) -> Result<RecordBatch, Error> {
        let mut rows = Rows::new(self.columns.len(), wanted);
        if let Some(fill) = self.fill {
            fill(context, &mut rows)?;
        }
        rows.finish(self.columns())
    }
}

/// A schema that every database has, besides those in the catalog.
#[derive(Debug)]
pub(super) struct SystemSchema {
    pub(super) oid: u32,
    pub(super) name: &'static str,
}

pub(super) const SCHEMAS: &[SystemSchema] = &[
    SystemSchema {
        oid: 11,
        name: "pg_catalog",
    },
    SystemSchema {
        oid: 13_207,
        name: "information_schema",
    },
    SystemSchema {
        oid: 14_990,
        name: "timescaledb_information",
    },
    SystemSchema {
        oid: 14_991,
        name: "timescaledb_experimental",
    },
    SystemSchema {
        oid: 14_992,
        name: "_timescaledb_catalog",
    },
    SystemSchema {
        oid: 14_993,
        name: "_timescaledb_functions",
    },
    SystemSchema {
        oid: 14_994,
        name: "_timescaledb_config",
    },
    SystemSchema {
        oid: 14_989,
        name: "_timescaledb_cache",
    },
];

/// The oid of `pg_catalog`.
pub(super) const PG_CATALOG: u32 = 11;

struct Relations {
    all: Vec<SystemRelation>,
    by_name: HashMap<(&'static str, &'static str), usize>,
    by_oid: HashMap<u32, usize>,
}

static RELATIONS: LazyLock<Relations> = LazyLock::new(|| {
    let all: Vec<_> = include_str!("relations.tsv")
        .lines()
        .filter_map(parse_line)
        .collect();
    let by_name = all
        .iter()
        .enumerate()
        .map(|(place, relation)| ((relation.schema, relation.name), place))
        .collect();
    let by_oid = all
        .iter()
        .enumerate()
        .map(|(place, relation)| (relation.oid, place))
        .collect();
    Relations {
        all,
        by_name,
        by_oid,
    }
});

fn parse_line(line: &'static str) -> Option<SystemRelation> {
    let mut fields = line.split('\t');
    let schema = fields.next()?;
    let name = fields.next()?;
    let oid = fields.next()?.parse().ok()?;
    let kind = fields.next()?.chars().next()?;
    let row_types = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let columns = fields
        .next()?
        .split(',')
        .filter(|column| !column.is_empty())
        .map(|column| {
            let (name, ty) = column.split_once(' ')?;
            let bare = ty.strip_suffix('!');
            Some(SystemColumn {
                name,
                ty: SqlType::parse_name(bare.unwrap_or(ty))?,
                not_null: bare.is_some(),
            })
        })
        .collect::<Option<Vec<_>>>()?;
    let fill = match schema {
        "pg_catalog" => classes::fill(name)
            .or_else(|| attributes::fill(name))
            .or_else(|| types::fill(name))
            .or_else(|| user_types::fill(name))
            .or_else(|| routines::fill(name))
            .or_else(|| constraints::fill(name))
            .or_else(|| depends::fill(name))
            .or_else(|| sequences::fill(name))
            .or_else(|| super::triggers::fill(name))
            .or_else(|| super::policies::fill(name))
            .or_else(|| super::publications::fill(name))
            .or_else(|| server::fill(name))
            .or_else(|| super::files::fill(name))
            .or_else(|| super::audit::fill(name))
            .or_else(|| super::extensions::fill(name))
            .or_else(|| super::statistics::fill(name))
            .or_else(|| activity::fill(name))
            .or_else(|| locks::fill(name)),
        "" => routines::fill_function(name).or_else(|| super::statistics::fill_function(name)),
        "information_schema" => information_schema::fill(name)
            .or_else(|| sequences::fill(name))
            .or_else(|| super::standard_triggers::fill(name))
            .or_else(|| privileges::fill(name)),
        // Where bgw_job was until 2.28.
        "_timescaledb_config" => jobs::fill("_timescaledb_catalog", name),
        _ => timescale::fill(schema, name).or_else(|| jobs::fill(schema, name)),
    };
    Some(SystemRelation {
        oid,
        schema,
        name,
        kind,
        row_types,
        columns,
        fill,
    })
}

/// The relation of a name.
pub(crate) fn find(schema: &str, name: &str) -> Option<&'static SystemRelation> {
    let relations = &*RELATIONS;
    relations.all.get(*relations.by_name.get(&(schema, name))?)
}

/// The relation of an oid.
pub(super) fn by_oid(oid: u32) -> Option<&'static SystemRelation> {
    let relations = &*RELATIONS;
    relations.all.get(*relations.by_oid.get(&oid)?)
}

/// Every relation, those of a schema together.
pub(crate) fn all() -> impl Iterator<Item = &'static SystemRelation> {
    RELATIONS.all.iter()
}

/// The relation whose rows a function of `pg_catalog` gives.
pub(crate) fn of_function(name: &str) -> Option<&'static SystemRelation> {
    static KEYWORDS: LazyLock<Option<SystemRelation>> = LazyLock::new(|| {
        parse_line(
            "\tpg_get_keywords\t0\tf\t0\t0\tword text,catcode \"char\",barelabel boolean,catdesc text,baredesc text",
        )
    });
    static STATEMENTS: LazyLock<Option<SystemRelation>> = LazyLock::new(|| {
        parse_line(concat!(
            "\tpg_stat_statements\t0\tf\t0\t0\t",
            "userid oid,dbid oid,toplevel boolean,queryid bigint,query text,plans bigint,",
            "total_plan_time double precision,min_plan_time double precision,",
            "max_plan_time double precision,mean_plan_time double precision,",
            "stddev_plan_time double precision,calls bigint,total_exec_time double precision,",
            "min_exec_time double precision,max_exec_time double precision,",
            "mean_exec_time double precision,stddev_exec_time double precision,rows bigint,",
            "shared_blks_hit bigint,shared_blks_read bigint,shared_blks_dirtied bigint,",
            "shared_blks_written bigint,local_blks_hit bigint,local_blks_read bigint,",
            "local_blks_dirtied bigint,local_blks_written bigint,temp_blks_read bigint,",
            "temp_blks_written bigint,blk_read_time double precision,",
            "blk_write_time double precision,temp_blk_read_time double precision,",
            "temp_blk_write_time double precision,wal_records bigint,wal_fpi bigint,",
            "wal_bytes numeric,jit_functions bigint,jit_generation_time double precision,",
            "jit_inlining_count bigint,jit_inlining_time double precision,",
            "jit_optimization_count bigint,jit_optimization_time double precision,",
            "jit_emission_count bigint,jit_emission_time double precision",
        ))
    });
    static STATEMENTS_INFO: LazyLock<Option<SystemRelation>> = LazyLock::new(|| {
        parse_line(
            "\tpg_stat_statements_info\t0\tf\t0\t0\tdealloc bigint,stats_reset timestamp with time zone",
        )
    });
    static PARTITIONS: LazyLock<Option<SystemRelation>> = LazyLock::new(|| {
        parse_line(
            "\tpg_partition_tree\t0\tf\t0\t0\trelid regclass,parentrelid regclass,isleaf boolean,level integer",
        )
    });
    let view = match name {
        // No table is a partition.
        "pg_partition_tree" => return PARTITIONS.as_ref(),
        "pg_get_keywords" => return KEYWORDS.as_ref(),
        "pg_stat_statements" => return STATEMENTS.as_ref(),
        "pg_stat_statements_info" => return STATEMENTS_INFO.as_ref(),
        "pg_cursor" => "pg_cursors",
        "pg_hba_file_rules" => "pg_hba_file_rules",
        "pg_ident_file_mappings" => "pg_ident_file_mappings",
        "pg_show_all_file_settings" => "pg_file_settings",
        "pg_lock_status" => "pg_locks",
        "pg_prepared_statement" => "pg_prepared_statements",
        "pg_show_all_settings" => "pg_settings",
        "pg_timezone_names" => "pg_timezone_names",
        _ => return None,
    };
    find("pg_catalog", view)
}

/// Whether every database has a schema of that name, besides those in the catalog.
pub(crate) fn is_system_schema(name: &str) -> bool {
    SCHEMAS.iter().any(|schema| schema.name == name)
}
