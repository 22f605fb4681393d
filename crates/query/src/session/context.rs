//! What the rows of system relations are made from, as the session sees it.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use arrow::datatypes::DataType;
use chronolith_catalog::{OrderBy, Table, View};
use chronolith_chunk::{ChunkView, HotPart};
use chronolith_sql::Statement as Tree;
use chronolith_types::{ChunkId, SqlType, TableId};
use parking_lot::Mutex;

use super::names::SessionNames;
use super::shared::Shared;
use crate::bind::{Writes, bind_kept, bind_over, deparse, deparse_condition, deparse_query};
use crate::catalogs::{
    self, BucketCalls, Conditions, Context, ExpressionTypes, Expressions, LastBucketEnds, Lazy,
    Packing, Packings, SequenceValues, Size, Sizes, Sorting, ViewColumns, ViewQueries, ViewWrites,
};

impl Shared {
    /// What system relations and the functions that describe objects see. Cheap: what few of them
    /// ask for is found when they do.
    pub(crate) fn catalog_context(self: &Arc<Self>) -> Context {
        let (user, now_us) = self.with(|state| (state.user.clone(), state.statement_us));
        Context {
            catalog: catalogs::shown(self.catalog(), self.database),
            database: self.database,
            user,
            search_path: self.search_path(),
            now_us,
            started_us: self.instance.started_us,
            instance: Arc::clone(&self.instance),
            sessions: self.lazy(|shared| shared.instance.activity()),
            settings: self.lazy(|shared| shared.with(|state| state.settings.clone())),
            prepared: self.lazy(|shared| shared.with(|state| state.prepared.clone())),
            cursors: self
                .lazy(|shared| shared.with(|state| state.cursors.values().cloned().collect())),
            statistics: Arc::clone(&self.instance.statistics),
            reads: self.lazy(|shared| shared.instance.engine.reads()),
            locks: self.lazy(|shared| shared.instance.engine.locks().list()),
            size: self.chunk_sizes(),
            packing: self.packings(),
            view_columns: self.view_columns(),
            view_writes: self.view_writes(),
            buckets: self.bucket_calls(),
            last_bucket_end: self.last_bucket_ends(),
            expression: self.expressions(),
            expression_type: self.expression_types(),
            condition: self.conditions(),
            view_query: self.view_queries(),
            sequence_value: self.sequence_values(),
            inner: OnceLock::new(),
        }
    }

    fn sequence_values(self: &Arc<Self>) -> Box<SequenceValues> {
        let shared = Arc::clone(self);
        Box::new(move |id| shared.with(|state| state.transaction.as_ref()?.sequence_value(id).ok()))
    }

    fn bucket_calls(self: &Arc<Self>) -> Box<BucketCalls> {
        let shared = Arc::clone(self);
        Box::new(move |view| {
            let home = shared.home().ok()?;
            let definition = shared.instance.registry.definition(&home, view).ok()?;
            Some(definition.bucket_call.clone())
        })
    }

    fn last_bucket_ends(self: &Arc<Self>) -> Box<LastBucketEnds> {
        let shared = Arc::clone(self);
        Box::new(move |view, store| {
            let store = shared.with(|state| state.transaction.as_ref()?.table(store))?;
            let last = store.last_time()?;
            let home = shared.home().ok()?;
            let definition = shared.instance.registry.definition(&home, view).ok()?;
            definition.buckets.next(last)
        })
    }

    fn lazy<T>(self: &Arc<Self>, find: impl FnOnce(&Arc<Self>) -> T + Send + 'static) -> Lazy<T> {
        let shared = Arc::clone(self);
        LazyLock::new(Box::new(move || find(&shared)))
    }

    fn chunk_sizes(self: &Arc<Self>) -> Box<Sizes> {
        let shared = Arc::clone(self);
        // A table is looked at once, however many chunks it has.
        let known = Mutex::new(HashMap::new());
        Box::new(move |table, chunk| {
            let mut known = known.lock();
            let sizes = known.entry(table).or_insert_with(|| shared.sizes_of(table));
            sizes.get(&chunk).copied().unwrap_or_default()
        })
    }

    fn packings(self: &Arc<Self>) -> Box<Packings> {
        let shared = Arc::clone(self);
        let known = Mutex::new(HashMap::new());
        Box::new(move |table, chunk| {
            let mut known = known.lock();
            let view = known
                .entry(table)
                .or_insert_with(|| shared.with(|state| state.transaction.as_ref()?.table(table)));
            Some(packing_of(
                view.as_ref()?
                    .chunks
                    .iter()
                    .find_map(|(id, view)| (*id == chunk).then_some(view))?,
            ))
        })
    }

    fn sizes_of(&self, table: TableId) -> HashMap<ChunkId, Size> {
        let view = self.with(|state| state.transaction.as_ref()?.table(table));
        let chunks = view.iter().flat_map(|view| view.chunks.iter());
        chunks.map(|(id, chunk)| (*id, size_of(chunk))).collect()
    }

    fn view_columns(self: &Arc<Self>) -> Box<ViewColumns> {
        let shared = Arc::clone(self);
        let known = Mutex::new(HashMap::new());
        Box::new(move |view: &View| {
            let found = known.lock().get(&view.id).cloned();
            found.unwrap_or_else(|| {
                // Bound without the lock: nothing keeps a view from reading pg_class.
                let columns = shared.columns_of(view).unwrap_or_default();
                known.lock().insert(view.id, columns.clone());
                columns
            })
        })
    }

    fn view_queries(self: &Arc<Self>) -> Box<ViewQueries> {
        let shared = Arc::clone(self);
        Box::new(move |view, pretty, wrap| {
            let names = SessionNames::new(&shared).ok();
            let shown = names
                .and_then(|names| deparse_query(&names, &view.query, &view.columns, pretty, wrap));
            shown.unwrap_or_else(|| {
                // Not understood: as it was written.
                let query = view.query.trim().trim_end_matches(';').trim_end();
                format!(" {query}")
            })
        })
    }

    fn expressions(self: &Arc<Self>) -> Box<Expressions> {
        let shared = Arc::clone(self);
        let known = Mutex::new(HashMap::new());
        Box::new(move |table, sql, target, pretty| {
            let key = (table.id, sql.to_owned(), target.cloned(), pretty);
            let found = known.lock().get(&key).cloned();
            found.unwrap_or_else(|| {
                let columns = columns_of(table);
                let names = SessionNames::new(&shared).ok();
                let shown = names.and_then(|names| deparse(&names, sql, &columns, target, pretty));
                let shown = shown.unwrap_or_else(|| sql.to_owned());
                known.lock().insert(key, shown.clone());
                shown
            })
        })
    }

    fn expression_types(self: &Arc<Self>) -> Box<ExpressionTypes> {
        let shared = Arc::clone(self);
        Box::new(move |table, sql| {
            let names = SessionNames::new(&shared).ok()?;
            let tree = chronolith_sql::expression(sql).ok()?;
            let bound = bind_over(&names, &tree, &table.name, &columns_of(table));
            Some(bound.ok()?.ty)
        })
    }

    fn conditions(self: &Arc<Self>) -> Box<Conditions> {
        let shared = Arc::clone(self);
        Box::new(move |table, sql, pretty| {
            let names = SessionNames::new(&shared).ok()?;
            deparse_condition(&names, sql, &columns_of(table), pretty)
        })
    }

    fn view_writes(self: &Arc<Self>) -> Box<ViewWrites> {
        let shared = Arc::clone(self);
        Box::new(move |view| {
            let Ok((names, home)) = SessionNames::new(&shared).and_then(|names| {
                let home = shared.home()?;
                Ok((names, home))
            }) else {
                return Writes::default();
            };
            let schema = home.schemas.get(&view.schema);
            let schema = schema.map_or("", |schema| schema.name.as_str());
            Writes::of(&names, schema, &view.name)
        })
    }

    pub(crate) fn columns_of(self: &Arc<Self>, view: &View) -> Option<Vec<(String, SqlType)>> {
        let parsed = chronolith_sql::parse(&view.query).ok()?;
        let Tree::Query(query) = &parsed.first()?.statement else {
            return None;
        };
        let names = SessionNames::new(self).ok()?;
        let bound = bind_kept(&names, query).ok()?;
        let name = |place: usize, own: &String| view.columns.get(place).unwrap_or(own).clone();
        let columns = bound.columns.iter().enumerate();
        Some(
            columns
                .map(|(place, column)| (name(place, &column.name), column.ty.clone()))
                .collect(),
        )
    }
}

/// Rows and bytes of a chunk, in parts on disk and in memory.
pub(crate) fn size_of(chunk: &ChunkView) -> Size {
    let cold: u64 = chunk.cold.iter().map(|part| part.bytes()).sum();
    let hot: usize = chunk.hot.iter().map(HotPart::bytes).sum();
    Size {
        rows: chunk.rows(),
        bytes: cold + hot as u64,
    }
}

fn packing_of(chunk: &ChunkView) -> Packing {
    let sorting = chunk.cold.first().map(|part| {
        let directory = part.directory();
        let order = directory.order.iter().map(|order| OrderBy {
            column: order.column,
            descending: order.descending,
            nulls_first: order.nulls_first,
        });
        Sorting {
            segment_by: directory.columns.clone(),
            order_by: order.collect(),
        }
    });
    let series = chunk.cold.iter().flat_map(|part| &part.directory().series);
    Packing {
        sorting,
        series: series.map(|series| series.rows).collect(),
        loose: chunk.cold.len() > 1 || chunk.hot.iter().any(|part| part.rows() > 0),
    }
}

/// Names, types and forms of a table's columns.
fn columns_of(table: &Table) -> Vec<(String, SqlType, DataType)> {
    let columns = table.columns.iter();
    columns
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect()
}
