//! The catalog itself: persistent data, where a copy shares all that did not change.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_types::{
    ColumnId, DatabaseId, RoleId, RoutineId, SchemaId, SqlType, TableId, TypeId,
};
use serde::{Deserialize, Serialize};

use crate::acl::{Acls, ColumnAcls, DefaultAcl, PREDEFINED_ROLES};
use crate::comment::Comment;
use crate::job::Jobs;
use crate::rollup::Materialized;
use crate::routine::Routine;
use crate::sequence::Sequence;
use crate::table::{Column, Table};
use crate::trigger::Trigger;
use crate::types::Type;

/// Objects of users have oids from here on, as in PostgreSQL.
pub const FIRST_USER_OID: u32 = 16_384;

const POSTGRES_ROLE: RoleId = RoleId(10);
const TEMPLATE1: DatabaseId = DatabaseId(1);
const POSTGRES: DatabaseId = DatabaseId(5);
const PUBLIC: SchemaId = SchemaId(2200);
const INTERNAL: SchemaId = SchemaId(16_000);

/// All that exists, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Catalog {
    /// Goes up with every change but those that no plan knows of: plans made under another version
    /// are stale.
    pub version: u64,
    /// The databases.
    pub databases: BTreeMap<DatabaseId, Arc<Database>>,
    /// The roles.
    pub roles: BTreeMap<RoleId, Arc<Role>>,
    /// ALTER SYSTEM's settings.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The oid the next object gets.
    pub next_oid: u32,
    /// The number the next part gets.
    pub next_part: u64,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Database {
    /// Its oid.
    pub id: DatabaseId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// Its schemas.
    pub schemas: BTreeMap<SchemaId, Arc<Schema>>,
    /// Its tables.
    #[serde(default)]
    pub tables: BTreeMap<TableId, Arc<Table>>,
    /// Its views.
    #[serde(default)]
    pub views: BTreeMap<TableId, Arc<View>>,
    /// The stores of continuous aggregates, by the table whose rows they are computed from. Their
    /// tables say the same; this is there so that a commit need not look through all tables.
    #[serde(default)]
    pub stores: Arc<BTreeMap<TableId, Vec<TableId>>>,
    /// Its types: those that users made.
    #[serde(default)]
    pub types: BTreeMap<TypeId, Arc<Type>>,
    /// Its sequences.
    #[serde(default)]
    pub sequences: BTreeMap<TableId, Arc<Sequence>>,
    /// Its functions and procedures.
    #[serde(default)]
    pub routines: BTreeMap<RoutineId, Arc<Routine>>,
    /// Its extensions beside those that every database has, by their oids.
    #[serde(default)]
    pub extensions: BTreeMap<u32, Arc<crate::extension::Extension>>,
    /// Its publications, by their oids.
    #[serde(default)]
    pub publications: BTreeMap<u32, Arc<crate::publication::Publication>>,
    /// The triggers of tables and views that have any, by name.
    #[serde(default)]
    pub triggers: BTreeMap<TableId, Arc<Vec<Trigger>>>,
    /// Row-level security of tables that have any.
    #[serde(default)]
    pub row_security: BTreeMap<TableId, Arc<crate::policy::RowSecurity>>,
    /// Its jobs.
    #[serde(default)]
    pub jobs: Arc<Jobs>,
    /// What was granted on it and on what is in it, by their oids; what is not here belongs to its
    /// owner alone, but for what everybody may do.
    #[serde(default)]
    pub acls: Arc<Acls>,
    /// What was granted on columns of relations, by the relations' oids.
    #[serde(default)]
    pub column_acls: Arc<ColumnAcls>,
    /// ALTER DEFAULT PRIVILEGES.
    #[serde(default)]
    pub default_acls: Vec<DefaultAcl>,
    /// COMMENT ON whatever is no table and no column of one.
    #[serde(default)]
    pub comments: Arc<Vec<Comment>>,
    /// ALTER DATABASE … SET.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// What has come of a dump of TimescaleDB's.
    #[serde(default, skip_serializing_if = "no_arrival")]
    pub arrival: Arc<crate::arrival::Arrival>,
    /// The number the next hypertable gets.
    pub next_hypertable: i32,
    /// The number the next chunk gets.
    pub next_chunk: i32,
}

/// A schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Its oid.
    pub id: SchemaId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
}

/// A view: a name for a query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Its oid.
    pub id: TableId,
    /// Where it lies.
    pub schema: SchemaId,
    /// Its name.
    pub name: String,
    /// Who owns it.
    pub owner: RoleId,
    /// The query's SQL.
    pub query: String,
    /// Names given to its columns, where the query's own are not used.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Where its rows are kept; None for a view that is its query.
    #[serde(default)]
    pub materialized: Option<Materialized>,
    /// WITH CHECK OPTION: what rows that are written through it are held against.
    #[serde(default)]
    pub check: Option<CheckOption>,
    /// What is said of `security_invoker`: whether what it reads is read with its reader's rights.
    #[serde(default)]
    pub invoker: Option<bool>,
    /// What is said of `security_barrier`.
    #[serde(default)]
    pub barrier: Option<bool>,
    /// Defaults of its own columns, by their places: SQL.
    #[serde(default)]
    pub defaults: BTreeMap<u32, String>,
}

/// WITH CHECK OPTION.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckOption {
    /// Rows must fit the view itself.
    Local,
    /// They must fit the views below it too.
    Cascaded,
}

impl CheckOption {
    /// Its word, as options spell it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Cascaded => "cascaded",
        }
    }
}

impl View {
    /// Where the rows of an ordinary materialized view are; None for any other view.
    #[must_use]
    pub fn kept(&self) -> Option<&Materialized> {
        let materialized = self.materialized.as_ref();
        materialized.filter(|kept| kept.continuous.is_none())
    }

    /// It as a table of these columns, which has no rows of its own: what triggers of it see.
    #[must_use]
    pub fn as_table(&self, columns: Vec<(String, SqlType)>) -> Table {
        let mut table = Table::named(self.id, self.schema, &self.name, self.owner);
        for ((name, ty), place) in columns.into_iter().zip(0..) {
            table.columns.push(Column {
                id: ColumnId(place + 1),
                name,
                ty,
                domain: None,
                not_null: false,
                default: self.defaults.get(&place).cloned(),
                missing: None,
                identity: None,
                generated: None,
                comment: None,
            });
            table.next_column = ColumnId(place + 2);
        }
        table
    }
}

/// What a role may do beyond its grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Privilege {
    /// Everything.
    Superuser,
    /// Connect.
    Login,
    /// Make databases.
    CreateDatabase,
    /// Make roles.
    CreateRole,
    /// Stream the log.
    Replication,
    /// Pass over row security.
    BypassRowSecurity,
}

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// Its oid.
    pub id: RoleId,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub privileges: Vec<Privilege>,
    /// The SCRAM verifier of its password, in PostgreSQL's form.
    #[serde(default)]
    pub verifier: Option<String>,
    /// Roles it is a member of.
    #[serde(default)]
    pub member_of: Vec<RoleId>,
    /// Those of them that it may let others into.
    #[serde(default)]
    pub admin_of: Vec<RoleId>,
    /// ALTER ROLE … SET.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// ALTER ROLE … IN DATABASE … SET.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings_in: BTreeMap<DatabaseId, BTreeMap<String, String>>,
    /// NOINHERIT: what its groups may do it may do only as them.
    #[serde(default)]
    pub noinherit: bool,
    /// CONNECTION LIMIT: so many sessions it may have at once; None for any number.
    #[serde(default)]
    pub sessions_max: Option<u32>,
    /// VALID UNTIL: when its password ends, µs since 1970-01-01 UTC; None for never.
    #[serde(default)]
    pub valid_until_us: Option<i64>,
}

impl Role {
    /// Whether it has an attribute; a superuser has all.
    #[must_use]
    pub fn may(&self, privilege: Privilege) -> bool {
        self.privileges.contains(&privilege)
            || (privilege != Privilege::Login && self.privileges.contains(&Privilege::Superuser))
    }
}

fn no_arrival(arrival: &Arc<crate::arrival::Arrival>) -> bool {
    arrival.is_empty()
}

impl Database {
    /// The schema whose tables are the chunks.
    pub const INTERNAL_SCHEMA: &'static str = "_timescaledb_internal";

    /// A database as CREATE DATABASE makes it.
    #[must_use]
    pub fn new(id: DatabaseId, name: &str, owner: RoleId) -> Self {
        let schemas = [(PUBLIC, "public"), (INTERNAL, Self::INTERNAL_SCHEMA)].map(|(id, name)| {
            let schema = Schema {
                id,
                name: name.to_owned(),
                owner,
            };
            (id, Arc::new(schema))
        });
        Self {
            id,
            name: name.to_owned(),
            owner,
            schemas: schemas.into(),
            tables: BTreeMap::new(),
            views: BTreeMap::new(),
            stores: Arc::default(),
            types: BTreeMap::new(),
            sequences: BTreeMap::new(),
            routines: BTreeMap::new(),
            extensions: BTreeMap::new(),
            publications: BTreeMap::new(),
            triggers: BTreeMap::new(),
            row_security: BTreeMap::new(),
            jobs: Arc::default(),
            acls: Arc::default(),
            column_acls: Arc::default(),
            arrival: Arc::default(),
            default_acls: Vec::new(),
            comments: Arc::default(),
            settings: BTreeMap::new(),
            next_hypertable: 1,
            next_chunk: 1,
        }
    }

    /// A schema by its name.
    #[must_use]
    pub fn schema_named(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.values().find(|schema| schema.name == name)
    }

    /// A table by its schema and name; not one that has the rows of an ordinary materialized view,
    /// which is seen as that view only.
    #[must_use]
    pub fn table_named(&self, schema: SchemaId, name: &str) -> Option<&Arc<Table>> {
        self.tables.values().find(|table| {
            table.schema == schema && table.name == name && self.view_kept_in(table.id).is_none()
        })
    }

    /// The ordinary materialized view whose rows a table has.
    #[must_use]
    pub fn view_kept_in(&self, table: TableId) -> Option<&Arc<View>> {
        self.views
            .values()
            .find(|view| view.kept().is_some_and(|kept| kept.table == table))
    }

    /// A view by its schema and name.
    #[must_use]
    pub fn view_named(&self, schema: SchemaId, name: &str) -> Option<&Arc<View>> {
        self.views
            .values()
            .find(|view| view.schema == schema && view.name == name)
    }

    /// The stores that are computed from a table's rows, or read them beside those of their source.
    #[must_use]
    pub fn stores_of(&self, source: TableId) -> &[TableId] {
        self.stores.get(&source).map_or(&[], Vec::as_slice)
    }

    /// A type by its schema and name.
    #[must_use]
    pub fn type_named(&self, schema: SchemaId, name: &str) -> Option<&Arc<Type>> {
        self.types
            .values()
            .find(|ty| ty.schema == schema && ty.name == name)
    }

    /// The functions and procedures of a schema and name.
    pub fn routines_named<'a>(
        &'a self,
        schema: SchemaId,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Routine>> {
        self.routines
            .values()
            .filter(move |routine| routine.schema == schema && routine.name == name)
    }

    /// A sequence by its schema and name.
    #[must_use]
    pub fn sequence_named(&self, schema: SchemaId, name: &str) -> Option<&Arc<Sequence>> {
        self.sequences
            .values()
            .find(|sequence| sequence.schema == schema && sequence.name == name)
    }

    /// Whether any relation of a schema has a name: tables, views, sequences and indexes share one
    /// space.
    #[must_use]
    pub fn relation_exists(&self, schema: SchemaId, name: &str) -> bool {
        let index = |table: &Arc<Table>| {
            table.schema == schema && table.indexes.iter().any(|index| index.name == name)
        };
        self.table_named(schema, name).is_some()
            || self.view_named(schema, name).is_some()
            || self.sequence_named(schema, name).is_some()
            || self.tables.values().any(index)
    }
}

impl Default for Catalog {
    /// A new data directory's: the databases `postgres` and `template1`, and the superuser
    /// `postgres` without a password.
    fn default() -> Self {
        let role = Role {
            id: POSTGRES_ROLE,
            name: "postgres".to_owned(),
            privileges: vec![
                Privilege::Superuser,
                Privilege::Login,
                Privilege::CreateDatabase,
                Privilege::CreateRole,
                Privilege::Replication,
                Privilege::BypassRowSecurity,
            ],
            verifier: None,
            member_of: Vec::new(),
            admin_of: Vec::new(),
            settings_in: BTreeMap::new(),
            noinherit: false,
            settings: BTreeMap::new(),
            sessions_max: None,
            valid_until_us: None,
        };
        let databases = [(TEMPLATE1, "template1"), (POSTGRES, "postgres")]
            .map(|(id, name)| (id, Arc::new(Database::new(id, name, POSTGRES_ROLE))));
        let mut catalog = Self {
            version: 1,
            databases: databases.into(),
            roles: [(POSTGRES_ROLE, Arc::new(role))].into(),
            settings: BTreeMap::new(),
            next_oid: FIRST_USER_OID,
            next_part: 1,
        };
        catalog.complete();
        catalog
    }
}

impl Catalog {
    /// Adds what every server has, and one of an older release had not.
    pub(crate) fn complete(&mut self) {
        for (id, name, groups) in PREDEFINED_ROLES {
            self.roles.entry(RoleId(id)).or_insert_with(|| {
                Arc::new(Role {
                    id: RoleId(id),
                    name: name.to_owned(),
                    privileges: Vec::new(),
                    verifier: None,
                    member_of: groups.iter().copied().map(RoleId).collect(),
                    admin_of: Vec::new(),
                    settings_in: BTreeMap::new(),
                    noinherit: false,
                    settings: BTreeMap::new(),
                    sessions_max: None,
                    valid_until_us: None,
                })
            });
        }
    }

    /// A database by its name.
    #[must_use]
    pub fn database_named(&self, name: &str) -> Option<&Arc<Database>> {
        self.databases
            .values()
            .find(|database| database.name == name)
    }

    /// A role by its name.
    #[must_use]
    pub fn role_named(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.values().find(|role| role.name == name)
    }

    /// A table of a database.
    #[must_use]
    pub fn table(&self, database: DatabaseId, table: TableId) -> Option<&Arc<Table>> {
        self.databases.get(&database)?.tables.get(&table)
    }

    /// Every part of every table.
    pub fn parts(&self) -> impl Iterator<Item = &Arc<crate::table::Part>> {
        self.databases
            .values()
            .flat_map(|database| database.tables.values())
            .flat_map(|table| table.chunks.values())
            .flat_map(|chunk| chunk.parts.iter())
    }
}
