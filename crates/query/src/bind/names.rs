//! What the binder asks of the session: which relations there are.

use std::sync::Arc;

use chronolith_catalog::{PolicyCommand, Routine, Type};
use chronolith_sql::plpgsql::Conflict;
use chronolith_sql::{SqlError, ast};
use chronolith_types::{ChunkId, SqlState, SqlType, TableId, TypeId};
use datafusion::logical_expr::TableSource;

use super::change::{ChangeTarget, WrittenView};
use crate::error::Error;
use crate::functions::SessionVars;
use crate::rights::RowPolicies;
use crate::session::Locking;

/// Where names are looked up.
pub trait Names {
    /// The relation of a name: without a schema, the first one on the search path.
    ///
    /// # Errors
    /// `3F000` for a schema that does not exist, `42501` …; a relation that does not exist is
    /// `None`, which the binder makes into `42P01`.
    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>, Error>;

    /// Whether relations of a schema may be named.
    ///
    /// # Errors
    /// `42501` when they may not.
    fn enter(&self, _schema: &str) -> Result<(), Error> {
        Ok(())
    }

    /// The type of a user that a name means, which the catalog alone knows.
    ///
    /// # Errors
    /// `3F000` for a schema that does not exist, `42501`.
    fn user_type(&self, _schema: Option<&str>, _name: &str) -> Result<Option<OwnType>, Error> {
        Ok(None)
    }

    /// The name of a user's type by its oid, with its schema where the search path does not find it.
    fn type_shown(&self, _oid: u32) -> Option<String> {
        None
    }

    /// The number of the parameter that a name means where no column has it: an argument of the
    /// routine whose statement this is, alone or behind the routine's name.
    fn parameter(&self, _of: Option<&str>, _name: &str) -> Option<usize> {
        None
    }

    /// What a name means that is a variable of the routine whose statement this is, alone or
    /// behind a record's or a block's name.
    ///
    /// # Errors
    /// `55000` for a record that has no columns yet, `42703` for one it has not.
    fn variable(&self, _of: Option<&str>, _name: &str) -> Result<Option<Variable>, Error> {
        Ok(None)
    }

    /// Which of a variable and a column of one name is meant.
    fn conflict(&self) -> Conflict {
        Conflict::Error
    }

    /// The table of a name, to change its rows.
    ///
    /// # Errors
    /// `42P01`, `42809` for what is no table.
    fn target(
        &self,
        _schema: Option<&str>,
        _name: &str,
        verb: &'static str,
    ) -> Result<ChangeTarget, Error> {
        Err(Error::unsupported(verb))
    }

    /// A table, or one chunk of it, with what the system has of each row behind its columns; None
    /// for what has no such rows.
    fn system_columns(
        &self,
        _table: TableId,
        _chunk: Option<ChunkId>,
    ) -> Option<Arc<dyn TableSource>> {
        None
    }

    /// What row-level security says of a table's rows to a view's owner, or to the current role;
    /// with `check` of rows that are made. None where it says nothing.
    ///
    /// # Errors
    /// `42501` where `row_security` is off.
    fn row_policies(
        &self,
        _table: TableId,
        _view: Option<u32>,
        _command: PolicyCommand,
        _check: bool,
    ) -> Result<Option<RowPolicies>, Error> {
        Ok(None)
    }

    /// A query with a locking clause within a statement; None where none may stand.
    ///
    /// # Errors
    /// What the query meets.
    fn locking(
        &self,
        _query: &ast::Query,
        _params: &[Option<SqlType>],
    ) -> Result<Option<Locking>, Error> {
        Ok(None)
    }

    /// The view of a name, to change what it shows; none for a table.
    ///
    /// # Errors
    /// `3F000` for a schema that does not exist.
    fn written_view(
        &self,
        _schema: Option<&str>,
        _name: &str,
    ) -> Result<Option<WrittenView>, Error> {
        Ok(None)
    }

    /// Whether rows may be written to a relation that a view shows: a table, or another view.
    ///
    /// # Errors
    /// `3F000` for a schema that does not exist.
    fn takes_rows(&self, _schema: Option<&str>, _name: &str) -> Result<bool, Error> {
        Ok(false)
    }

    /// The routines of a name, along the search path.
    ///
    /// # Errors
    /// `3F000` for a schema that does not exist, `42501` for a schema that may not be used.
    fn routines(&self, _schema: Option<&str>, _name: &str) -> Result<Vec<Arc<Routine>>, Error> {
        Ok(Vec::new())
    }

    /// Whether a routine may be run.
    ///
    /// # Errors
    /// `42501` when it may not.
    fn may_execute(&self, _routine: &Routine) -> Result<(), Error> {
        Ok(())
    }

    /// The name of a type's schema.
    fn schema_of_type(&self, _ty: &Type) -> Option<String> {
        None
    }

    /// The name of a routine's schema.
    fn schema_of(&self, _routine: &Routine) -> Option<String> {
        None
    }

    /// A domain with those that it was made from, the innermost first.
    fn domain_chain(&self, _domain: TypeId) -> Vec<Arc<Type>> {
        Vec::new()
    }

    /// What the rows of a table or view are made of.
    fn row_of(&self, _relation: TableId) -> Option<Vec<(String, SqlType)>> {
        None
    }

    /// The type of the rows of a table or view of a name, and the name of its schema.
    ///
    /// # Errors
    /// 3F000 for a schema that does not exist, 42501 for one that may not be entered.
    fn rows_named(
        &self,
        _schema: Option<&str>,
        _name: &str,
    ) -> Result<Option<(String, SqlType)>, Error> {
        Ok(None)
    }

    /// A column of a table that is never NULL, by its place among all.
    fn required(&self, _relation: TableId) -> Option<usize> {
        None
    }

    /// The composite type that the rows of a table or view are.
    fn row_type(&self, _relation: TableId) -> Option<SqlType> {
        None
    }

    /// The session's variables, for literals that depend on them.
    fn vars(&self) -> &SessionVars;
}

/// A variable, by the numbers of the parameters that stand for it.
#[derive(Debug, Clone)]
pub enum Variable {
    /// One value.
    Value(usize, SqlType),
    /// A row: what is NULL where there is none, and its columns in order.
    Row(usize, Vec<(String, usize, SqlType)>),
}

/// A type of a user.
#[derive(Debug, Clone)]
pub struct OwnType {
    /// The name of its schema.
    pub schema: String,
    /// It; of a domain, behind those that it was made from.
    pub chain: Vec<Arc<Type>>,
}

/// A thing with rows.
#[derive(Debug, Clone)]
pub enum Relation {
    /// A table, or a relation of the catalogs.
    Table(Table),
    /// A view: its text is bound where it stands.
    View {
        /// Its oid.
        oid: u32,
        /// Its schema.
        schema: String,
        /// Its name.
        name: String,
        /// The names of its columns.
        columns: Vec<String>,
        /// The query.
        query: ViewQuery,
    },
}

/// What a view shows.
#[derive(Debug, Clone)]
pub enum ViewQuery {
    /// As it is kept.
    Text(String),
    /// As it was read, with what was put in.
    Tree(Box<ast::Query>),
}

impl ViewQuery {
    /// Its tree.
    ///
    /// # Errors
    /// When the text cannot be read.
    pub fn tree(self) -> Result<Box<ast::Query>, SqlError> {
        match self {
            Self::Text(sql) => chronolith_sql::query(&sql),
            Self::Tree(query) => Ok(query),
        }
    }
}

impl Relation {
    /// Its oid.
    pub(super) fn oid(&self) -> u32 {
        match self {
            Self::Table(table) => table.oid,
            Self::View { oid, .. } => *oid,
        }
    }

    /// Its schema.
    pub(super) fn schema(&self) -> &str {
        match self {
            Self::Table(table) => &table.schema,
            Self::View { schema, .. } => schema,
        }
    }
}

/// A table as a scan sees it.
#[derive(Clone)]
pub struct Table {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its columns, in the order of the source's Arrow schema.
    pub columns: Vec<TableColumn>,
    /// The attributes of its primary key; none without one.
    pub primary_key: Vec<i16>,
    /// What DataFusion scans; each field has the physical form of its column.
    pub source: Arc<dyn TableSource>,
    /// The chunk of the table that it is, where one is read by its own name.
    pub chunk: Option<ChunkId>,
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table")
            .field("oid", &self.oid)
            .field("schema", &self.schema)
            .field("name", &self.name)
            .field("columns", &self.columns)
            .finish_non_exhaustive()
    }
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: SqlType,
    /// Its number in `pg_attribute`.
    pub attribute: i16,
}

/// Refuses a name of three parts that says another database than this.
pub(crate) fn of_this_database(names: &dyn Names, name: &ast::ObjectName) -> Result<(), Error> {
    let parts: Vec<&str> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(|ident| ident.value.as_str())
        .collect();
    match parts.as_slice() {
        [database, _, _] if *database != names.vars().database => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "cross-database references are not implemented: \"{}\"",
                parts.join(".")
            ),
        )),
        _ => Ok(()),
    }
}

/// What is said of a relation whose rows cannot be changed: no table of that name was found.
pub(crate) fn no_target(
    names: &dyn Names,
    schema: Option<&str>,
    table: &str,
    error: Error,
) -> Error {
    if !matches!(
        error.code,
        SqlState::UNDEFINED_TABLE | SqlState::INVALID_SCHEMA_NAME
    ) {
        return error;
    }
    match names.relation(schema, table) {
        Ok(Some(_)) => Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied: \"{table}\" is a system catalog"),
        ),
        // Where rows are to go, a schema that is not there has no table.
        _ => crate::insert::undefined_table(schema, table),
    }
}
