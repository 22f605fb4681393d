//! Names to relations, along the search path.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use chronolith_catalog::{
    ConstraintKind, Database, PolicyCommand, Routine, Schema as CatalogSchema,
    Table as CatalogTable, Type, View,
};
use chronolith_sql::ast;
use chronolith_sql::plpgsql::Conflict;
use chronolith_types::{ChunkId, SqlType, TableId, TypeId};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::TableSource;

use super::for_update::Locking;
use super::shared::{Shared, no_schema};
use super::stand_in;
use crate::bind::{
    ChangeTarget, Names, OwnType, Relation, Table, TableColumn, Variable, ViewQuery, WrittenView,
};
use crate::catalogs;
use crate::ddl::row_type;
use crate::error::Error;
use crate::functions::SessionVars;
use crate::insert::{domain_chain, find_changed};
use crate::rights::RowPolicies;
use crate::rollups::{CaggTable, Registry, continuous};
use crate::routines::{Locals, Transitions};
use crate::scan::{ChunkTable, OneChunk, SystemTable, Unpopulated, Wanted};

/// The columns of a table by where their values come from.
pub(crate) struct GivenColumns {
    /// From whoever writes the row, or from a default.
    pub(crate) given: Vec<String>,
    /// From the other columns.
    pub(crate) computed: Vec<String>,
}

/// The names of one statement.
pub(crate) struct SessionNames {
    shared: Arc<Shared>,
    home: Arc<Database>,
    vars: SessionVars,
    /// Whose statement it is, and whose arguments have names.
    routine: Option<Arc<Routine>>,
    /// The variables of one in PL/pgSQL.
    locals: Option<Locals>,
    /// Tables that the trigger that runs names by itself.
    transitions: Option<Arc<Transitions>>,
}

impl SessionNames {
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Self, Error> {
        Ok(Self {
            home: shared.home()?,
            vars: shared.vars(),
            shared: Arc::clone(shared),
            routine: None,
            locals: None,
            transitions: shared.with(|state| state.transitions.clone()),
        })
    }

    /// The names of a statement of a routine.
    pub(crate) fn of_routine(shared: &Arc<Shared>, routine: &Arc<Routine>) -> Result<Self, Error> {
        let names = Self::new(shared)?;
        Ok(Self {
            routine: Some(Arc::clone(routine)),
            ..names
        })
    }

    /// The names of a statement among variables.
    pub(crate) fn among(shared: &Arc<Shared>, locals: Locals) -> Result<Self, Error> {
        let names = Self::new(shared)?;
        Ok(Self {
            locals: Some(locals),
            ..names
        })
    }

    /// The variables that were named so far, and those there are.
    pub(crate) fn into_locals(self) -> Option<Locals> {
        self.locals
    }

    fn system(&self, schema: &str, name: &str) -> Option<Relation> {
        let found = catalogs::find(schema, name)?;
        let mut fields = Vec::new();
        let mut columns = Vec::new();
        for (attribute, (name, ty)) in (1_i16..).zip(found.columns()) {
            fields.push(Field::new(name, ty.arrow(), true));
            columns.push(TableColumn {
                name: name.to_owned(),
                ty,
                attribute,
            });
        }
        let shared = Arc::clone(&self.shared);
        let rows = move |wanted: &Wanted| found.rows(&shared.catalog_context(), wanted);
        let source = SystemTable::new(found.oid(), name, Schema::new(fields), Box::new(rows));
        Some(Relation::Table(Table {
            oid: found.oid(),
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns,
            primary_key: Vec::new(),
            chunk: None,
            source: provider_as_source(Arc::new(source)),
        }))
    }

    /// A table's columns that are given values, and those that are computed.
    ///
    /// # Errors
    /// 3F000 for a schema that is not there.
    pub(crate) fn given_columns(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<GivenColumns>, Error> {
        let table = match self.shared.chunk_named(schema, name)? {
            Some((table, _)) => table,
            None => match self.shared.find_table(schema, name)? {
                Some(table) => table,
                None => return Ok(None),
            },
        };
        let columns = table.columns.iter();
        let (computed, given): (Vec<_>, Vec<_>) =
            columns.partition(|column| column.generated.is_some());
        let names = |columns: Vec<&chronolith_catalog::Column>| {
            columns.iter().map(|column| column.name.clone()).collect()
        };
        Ok(Some(GivenColumns {
            given: names(given),
            computed: names(computed),
        }))
    }

    /// A sequence as the relation of its one row.
    fn sequence(&self, schema: &CatalogSchema, name: &str) -> Option<Relation> {
        let found = self.home.sequence_named(schema.id, name)?;
        let fields = [
            ("last_value", SqlType::Int8),
            ("log_cnt", SqlType::Int8),
            ("is_called", SqlType::Bool),
        ];
        let arrow = fields
            .iter()
            .map(|(name, ty)| Field::new(*name, ty.arrow(), true));
        let arrow: Vec<Field> = arrow.collect();
        let (shared, id) = (Arc::clone(&self.shared), found.id);
        let rows = move |wanted: &Wanted| {
            let (last, called) = shared.transact(|transaction| transaction.sequence_value(id))?;
            catalogs::sequence_row(wanted, last, called)
        };
        let source = SystemTable::new(found.id.0, name, Schema::new(arrow), Box::new(rows));
        let columns = (1_i16..).zip(fields);
        Some(Relation::Table(Table {
            oid: found.id.0,
            schema: schema.name.clone(),
            name: name.to_owned(),
            columns: columns
                .map(|(attribute, (name, ty))| TableColumn {
                    name: name.to_owned(),
                    ty,
                    attribute,
                })
                .collect(),
            primary_key: Vec::new(),
            chunk: None,
            source: provider_as_source(Arc::new(source)),
        }))
    }

    fn user(&self, schema: &CatalogSchema, name: &str) -> Result<Option<Relation>, Error> {
        if let Some(sequence) = self.sequence(schema, name) {
            return Ok(Some(sequence));
        }
        self.shared.meant(self.home.table_named(schema.id, name));
        if let Some((table, _)) = self.shared.chunk_named(Some(&schema.name), name)? {
            self.shared.meant(Some(&table));
        }
        relation_in(&self.home, &self.shared.instance.registry, schema, name)
    }
}

/// A relation of a schema that users made.
///
/// # Errors
/// When the definition of a continuous aggregate cannot be read.
pub(crate) fn relation_in(
    database: &Arc<Database>,
    registry: &Registry,
    schema: &CatalogSchema,
    name: &str,
) -> Result<Option<Relation>, Error> {
    if schema.name == Database::INTERNAL_SCHEMA
        && let Some((table, chunk)) = catalogs::chunk_of(database, name)
    {
        return Ok(Some(Relation::Table(chunk_alone(table, chunk, name))));
    }
    if let Some(table) = database.table_named(schema.id, name) {
        return Ok(Some(Relation::Table(table_of(&schema.name, table))));
    }
    let Some(view) = database.view_named(schema.id, name) else {
        return Ok(None);
    };
    if let Some(materialized) = continuous(view) {
        let definition = registry.definition(database, view.id)?;
        let columns = (1_i16..).zip(&definition.outputs);
        let columns = columns.map(|(attribute, output)| TableColumn {
            name: output.name.clone(),
            ty: output.ty.clone(),
            attribute,
        });
        let source = CaggTable::new(view.id, materialized.table, name, &definition);
        return Ok(Some(Relation::Table(Table {
            oid: view.id.0,
            schema: schema.name.clone(),
            name: name.to_owned(),
            columns: columns.collect(),
            primary_key: Vec::new(),
            chunk: None,
            source: provider_as_source(Arc::new(source)),
        })));
    }
    if let Some(kept) = view.kept() {
        let table = database.tables.get(&kept.table);
        let found = table.map(|table| kept_table(&schema.name, view, table, kept.populated));
        return Ok(found.map(Relation::Table));
    }
    Ok(Some(Relation::View {
        oid: view.id.0,
        schema: schema.name.clone(),
        name: view.name.clone(),
        columns: view.columns.clone(),
        query: ViewQuery::Text(view.query.clone()),
    }))
}

/// A table as the binder sees it.
pub(crate) fn table_of(schema: &str, table: &Arc<CatalogTable>) -> Table {
    let layout = chronolith_engine::layout_for(table);
    let columns = table
        .columns
        .iter()
        .map(|column| TableColumn {
            name: column.name.clone(),
            ty: column.ty.clone(),
            attribute: attribute_of(column.id.0),
        })
        .collect();
    let source = ChunkTable::new(table.id, &table.name, layout);
    Table {
        oid: table.id.0,
        schema: schema.to_owned(),
        name: table.name.clone(),
        columns,
        primary_key: primary_key_of(table),
        chunk: None,
        source: provider_as_source(Arc::new(source)),
    }
}

/// One chunk of a table as the binder sees it: with the table's number, for who may read the one may
/// read the other, and under the chunk's name.
fn chunk_alone(table: &Arc<CatalogTable>, chunk: ChunkId, name: &str) -> Table {
    let layout = chronolith_engine::layout_for(table);
    let source = OneChunk::new(ChunkTable::new(table.id, &table.name, layout), chunk);
    let mut found = table_of(Database::INTERNAL_SCHEMA, table);
    found.name = name.to_owned();
    found.source = provider_as_source(Arc::new(source));
    found.chunk = Some(chunk);
    found
}

/// A materialized view as the binder sees it: the table of its rows under its own name and number.
fn kept_table(schema: &str, view: &View, table: &Arc<CatalogTable>, populated: bool) -> Table {
    let mut found = table_of(schema, table);
    found.oid = view.id.0;
    found.name.clone_from(&view.name);
    if !populated {
        found.source = provider_as_source(Arc::new(Unpopulated::new(
            &view.name,
            found.source.schema(),
        )));
    }
    found
}

fn primary_key_of(table: &CatalogTable) -> Vec<i16> {
    let mut keys = table.constraints.iter().map(|found| &found.kind);
    keys.find_map(|kind| match kind {
        ConstraintKind::PrimaryKey { columns } => Some(
            columns
                .iter()
                .map(|column| attribute_of(column.0))
                .collect(),
        ),
        _ => None,
    })
    .unwrap_or_default()
}

/// A column's number in `pg_attribute`.
pub(super) fn attribute_of(column: impl TryInto<i16>) -> i16 {
    column.try_into().unwrap_or(i16::MAX)
}

impl Names for SessionNames {
    fn row_policies(
        &self,
        table: TableId,
        view: Option<u32>,
        command: PolicyCommand,
        check: bool,
    ) -> Result<Option<RowPolicies>, Error> {
        self.shared.row_policies(table, view, command, check)
    }

    fn relation(&self, schema: Option<&str>, name: &str) -> Result<Option<Relation>, Error> {
        if let Some(schema) = schema {
            let system = self.system(schema, name);
            if system.is_some() || catalogs::is_system_schema(schema) {
                return Ok(system);
            }
            let schema = self.shared.schema_meant(schema);
            let found = self.home.schema_named(&schema);
            let found = found.ok_or_else(|| no_schema(&schema))?;
            return self.user(found, name);
        }
        if let Some(transitions) = self.transitions.as_ref().filter(|_| self.locals.is_some())
            && let Some(found) = transitions.relation(name)?
        {
            return Ok(Some(found));
        }
        // pg_catalog comes first unless the path says where it comes.
        let path = &self.vars.search_path;
        if !path.iter().any(|name| name == "pg_catalog")
            && let Some(found) = self.system("pg_catalog", name)
        {
            return Ok(Some(found));
        }
        for schema in path.iter() {
            if let Some(found) = self.system(schema, name) {
                return Ok(Some(found));
            }
            if let Some(schema) = self.home.schema_named(schema)
                && let Some(found) = self.user(schema, name)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn user_type(&self, schema: Option<&str>, name: &str) -> Result<Option<OwnType>, Error> {
        let Some(found) = self.shared.find_type(schema, name)? else {
            return Ok(None);
        };
        let schema = self.home.schemas.get(&found.schema);
        Ok(Some(OwnType {
            schema: schema.map_or_else(String::new, |schema| schema.name.clone()),
            chain: match found.domain() {
                Some(_) => domain_chain(&self.home, Some(found.id)),
                None => vec![found],
            },
        }))
    }

    fn type_shown(&self, oid: u32) -> Option<String> {
        crate::effects::object_name(&self.shared.catalog_context(), "regtype", oid).ok()
    }

    fn domain_chain(&self, domain: TypeId) -> Vec<Arc<Type>> {
        domain_chain(&self.home, Some(domain))
    }

    fn target(
        &self,
        schema: Option<&str>,
        name: &str,
        _verb: &'static str,
    ) -> Result<ChangeTarget, Error> {
        if self.shared.find_table(schema, name)?.is_none()
            && let Some(view) = self.shared.find_view(schema, name)?
            && view.kept().is_none()
        {
            return stand_in::target(&self.shared, &self.home, &view);
        }
        let catalog = find_changed(&self.shared, schema, name)?;
        let schema = self.home.schemas.get(&catalog.schema);
        let schema = schema.map_or("", |schema| schema.name.as_str());
        let mut table = table_of(schema, &catalog);
        let layout = chronolith_engine::layout_for(&catalog);
        let source = ChunkTable::new(catalog.id, &catalog.name, layout).with_locators();
        table.source = provider_as_source(Arc::new(source));
        Ok(ChangeTarget {
            table,
            catalog,
            instead: false,
            views: Vec::new(),
        })
    }

    fn locking(
        &self,
        query: &ast::Query,
        params: &[Option<SqlType>],
    ) -> Result<Option<Locking>, Error> {
        super::for_update::bind_part(self, query, params)
    }

    fn system_columns(
        &self,
        table: TableId,
        chunk: Option<ChunkId>,
    ) -> Option<Arc<dyn TableSource>> {
        let table = self.home.tables.get(&table)?;
        let layout = chronolith_engine::layout_for(table);
        let source = ChunkTable::new(table.id, &table.name, layout).with_system();
        Some(match chunk {
            Some(chunk) => provider_as_source(Arc::new(OneChunk::new(source, chunk))),
            None => provider_as_source(Arc::new(source)),
        })
    }

    fn written_view(&self, schema: Option<&str>, name: &str) -> Result<Option<WrittenView>, Error> {
        if self.home.views.is_empty() || self.shared.find_table(schema, name)?.is_some() {
            return Ok(None);
        }
        let view = self.shared.find_view(schema, name)?;
        let Some(view) = view.filter(|view| view.kept().is_none()) else {
            return Ok(None);
        };
        let schema = self.home.schemas.get(&view.schema);
        let defaults = view.defaults.iter();
        let defaults = defaults.map(|(at, text)| Ok((*at, chronolith_sql::expression(text)?)));
        Ok(Some(WrittenView {
            oid: view.id.0,
            schema: schema.map_or_else(String::new, |schema| schema.name.clone()),
            name: view.name.clone(),
            columns: view.columns.clone(),
            query: chronolith_sql::query(&view.query)?,
            check: view.check,
            instead: stand_in::taken(&self.home, view.id),
            defaults: defaults.collect::<Result<_, Error>>()?,
        }))
    }

    fn takes_rows(&self, schema: Option<&str>, name: &str) -> Result<bool, Error> {
        if schema.is_some_and(catalogs::is_system_schema) {
            return Ok(false);
        }
        if self.shared.find_table(schema, name)?.is_some() {
            return Ok(true);
        }
        let view = self.shared.find_view(schema, name)?;
        Ok(view.is_some_and(|view| view.kept().is_none()))
    }

    fn enter(&self, schema: &str) -> Result<(), Error> {
        self.shared.enter(schema)
    }

    fn parameter(&self, of: Option<&str>, name: &str) -> Option<usize> {
        let routine = self.routine.as_ref()?;
        if of.is_some_and(|of| of != routine.name) {
            return None;
        }
        let mut args = routine.inputs();
        let place = args.position(|arg| arg.name.as_deref() == Some(name))?;
        Some(place + 1)
    }

    fn variable(&self, of: Option<&str>, name: &str) -> Result<Option<Variable>, Error> {
        match &self.locals {
            Some(locals) => locals.variable(of, name),
            None => Ok(None),
        }
    }

    fn conflict(&self) -> Conflict {
        let locals = self.locals.as_ref();
        locals.map_or(Conflict::Error, |locals| locals.conflict())
    }

    fn routines(&self, schema: Option<&str>, name: &str) -> Result<Vec<Arc<Routine>>, Error> {
        if let Some(schema) = schema
            && self.home.schema_named(schema).is_none()
            && !crate::catalogs::is_system_schema(schema)
            && !crate::functions::procs(name)
                .iter()
                .any(|proc| proc.schema == schema)
        {
            return Err(no_schema(schema));
        }
        if self.home.routines.is_empty() {
            return Ok(Vec::new());
        }
        let mut found: Vec<Arc<Routine>> = Vec::new();
        let mut look = |schema: &str| {
            let Some(schema) = self.home.schema_named(schema) else {
                return;
            };
            for routine in self.home.routines_named(schema.id, name) {
                // One of a later schema is hidden by one that takes the same.
                if !found.iter().any(|known| known.types().eq(routine.types())) {
                    found.push(Arc::clone(routine));
                }
            }
        };
        match schema {
            Some(schema) => {
                look(schema);
                if !found.is_empty() {
                    self.shared.enter(schema)?;
                }
            }
            None => self.vars.search_path.iter().for_each(|schema| look(schema)),
        }
        Ok(found)
    }

    fn may_execute(&self, routine: &Routine) -> Result<(), Error> {
        self.shared.check_execute(routine)
    }

    fn schema_of_type(&self, ty: &Type) -> Option<String> {
        let schema = self.home.schemas.get(&ty.schema)?;
        Some(schema.name.clone())
    }

    fn schema_of(&self, routine: &Routine) -> Option<String> {
        let schema = self.home.schemas.get(&routine.schema)?;
        Some(schema.name.clone())
    }

    fn row_of(&self, relation: TableId) -> Option<Vec<(String, SqlType)>> {
        row_of(&self.shared, &self.home, relation)
    }

    fn rows_named(
        &self,
        schema: Option<&str>,
        name: &str,
    ) -> Result<Option<(String, SqlType)>, Error> {
        if schema.is_some_and(catalogs::is_system_schema) {
            return Ok(None);
        }
        let (schema, id) = match self.shared.find_table(schema, name)? {
            Some(table) => (table.schema, table.id),
            None => match self.shared.find_view(schema, name)? {
                Some(view) => (view.schema, view.id),
                None => return Ok(None),
            },
        };
        let schema = self.home.schemas.get(&schema);
        let schema = schema.map_or_else(String::new, |schema| schema.name.clone());
        Ok(self.row_type(id).map(|ty| (schema, ty)))
    }

    fn required(&self, relation: TableId) -> Option<usize> {
        let table = self.home.tables.get(&relation)?;
        let mut kinds = table.constraints.iter().map(|constraint| &constraint.kind);
        let key = kinds.find_map(|kind| match kind {
            ConstraintKind::PrimaryKey { columns } => columns.first(),
            _ => None,
        });
        let mut columns = table.columns.iter();
        columns.position(|column| column.not_null || Some(&column.id) == key)
    }

    fn row_type(&self, relation: TableId) -> Option<SqlType> {
        row_type(&self.shared, &self.home, relation).ok()
    }

    fn vars(&self) -> &SessionVars {
        &self.vars
    }
}

/// What the rows of a table or view are made of.
pub(crate) fn row_of(
    shared: &Arc<Shared>,
    home: &Database,
    relation: TableId,
) -> Option<Vec<(String, SqlType)>> {
    if let Some(table) = home.tables.get(&relation) {
        let columns = table.columns.iter();
        return Some(
            columns
                .map(|column| (column.name.clone(), column.ty.clone()))
                .collect(),
        );
    }
    if let Some(view) = home.views.get(&relation) {
        return shared.columns_of(view);
    }
    let mut types = home.types.values();
    let composite = types.find(|ty| ty.relation() == Some(relation.0))?;
    Some(composite.fields().to_vec())
}
