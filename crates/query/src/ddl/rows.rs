//! Rows of tables and views as types of columns elsewhere: they change with the table or the view.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, ListArray, StringViewArray};
use arrow::record_batch::RecordBatch;
use chronolith_catalog::{Change, Column, Database, Table, TypeBody};
use chronolith_sql::ast;
use chronolith_types::{ColumnId, SqlState, SqlType, TableId, TypeId, row};

use super::alter::keep_views;
use super::alter_type::rewrite;
use super::declared::row_type;
use super::hypertable::table_of;
use super::user_types::columns_of;
use crate::catalogs::row_types_of;
use crate::error::Error;
use crate::session::Shared;

/// The rows of a relation before it changes, where something is declared with them.
#[derive(Debug)]
pub(super) struct Rows {
    relation: TableId,
    /// The numbers of a table's columns; none for a view, whose columns stay in their places.
    columns: Vec<ColumnId>,
    fields: usize,
}

impl Rows {
    /// None where nothing is declared with them.
    pub(super) fn of(shared: &Arc<Shared>, relation: TableId) -> Result<Option<Self>, Error> {
        let home = shared.home()?;
        if !is_used(&home, relation) {
            return Ok(None);
        }
        let table = home.tables.get(&relation);
        let columns = table.map(|table| table.columns.iter().map(|column| column.id).collect());
        let ty = row_type(shared, &home, relation)?;
        Ok(Some(Self {
            relation,
            columns: columns.unwrap_or_default(),
            fields: ty.fields().map_or(0, <[_]>::len),
        }))
    }

    /// What is declared with them has them as the relation is now: `what` was done to it.
    pub(super) fn follow(self, shared: &Arc<Shared>, what: &str) -> Result<(), Error> {
        let home = shared.home()?;
        let now = row_type(shared, &home, self.relation)?;
        let SqlType::User(user) = &now else {
            return Err(Error::internal("the type of a relation's rows"));
        };
        let places: Vec<Option<usize>> = match home.tables.get(&self.relation) {
            Some(table) => {
                let known = |id| self.columns.iter().position(|known| *known == id);
                table
                    .columns
                    .iter()
                    .map(|column| known(column.id))
                    .collect()
            }
            None => (0..now.fields().map_or(0, <[_]>::len))
                .map(|place| (place < self.fields).then_some(place))
                .collect(),
        };
        let same = places.len() == self.fields
            && (places.iter().enumerate()).all(|(at, from)| *from == Some(at));
        let change = || {
            shared.change_unguarded(Change::ChangeRows {
                database: shared.database,
                ty: Arc::clone(user),
            })
        };
        match same {
            true => change()?,
            false => reshape(shared, &home, user.oid, &places, change)?,
        }
        let mut holders = columns_of(&home, TypeId(user.oid));
        holders.dedup_by_key(|(table, _)| table.id);
        for (holder, _) in holders {
            keep_views(shared, holder.schema, &holder.name, what)?;
        }
        Ok(())
    }
}

fn is_used(home: &Database, relation: TableId) -> bool {
    let (row, _) = row_types_of(relation.0);
    let named = |ty: &SqlType| ty.mentions(row);
    let mut tables = home.tables.values();
    let mut routines = home.routines.values();
    let mut types = home.types.values();
    tables.any(|table| table.columns.iter().any(|column| named(&column.ty)))
        || routines.any(|routine| {
            let result = routine.result.as_ref();
            routine.types().any(named) || result.is_some_and(|result| named(&result.ty))
        })
        || types.any(|ty| match &ty.body {
            TypeBody::Composite { fields, .. } => fields.iter().any(|(_, ty)| named(ty)),
            TypeBody::Domain(domain) => named(&domain.base),
            TypeBody::Enum { .. } => false,
        })
}

/// 0A000 while a column somewhere holds rows of a table: their values would have to change with it.
pub(super) fn refuse(shared: &Shared, table: &Table) -> Result<(), Error> {
    let home = shared.home()?;
    let (row, _) = row_types_of(table.id.0);
    let holders = columns_of(&home, TypeId(row));
    // Those of arrays are found first, as in PostgreSQL.
    let first = holders
        .iter()
        .find(|(_, column)| column.ty.element().is_some());
    match first.or(holders.first()) {
        None => Ok(()),
        Some((holder, column)) => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "cannot alter table \"{}\" because column \"{}.{}\" uses its row type",
                table.name, holder.name, column.name
            ),
        )),
    }
}

/// 42P16 for a column of a table that would hold the table's own rows.
pub(super) fn refuse_own(table: &Table, ty: &SqlType) -> Result<(), Error> {
    let (row, _) = row_types_of(table.id.0);
    match ty.mentions(row) {
        false => Ok(()),
        true => Err(Error::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!(
                "composite type {} cannot be made a member of itself",
                table.name
            ),
        )),
    }
}

/// The rows of a type in all columns that hold such: their fields come from other places, and are
/// NULL where they come from none. `change` makes the type what it is to be; `home` is as it was.
pub(super) fn reshape(
    shared: &Arc<Shared>,
    home: &Database,
    row: u32,
    places: &[Option<usize>],
    change: impl Fn() -> Result<(), Error>,
) -> Result<(), Error> {
    let columns = columns_of(home, TypeId(row));
    for (table, column) in &columns {
        if column.missing.is_some() {
            write_missing(shared, table.id, column.id)?;
        }
    }
    let change = || {
        change()?;
        columns
            .iter()
            .try_for_each(|(table, column)| move_default(shared, table.id, column, row, places))
    };
    let mut changed = false;
    for (table, column) in &columns {
        let place = table.columns.iter().position(|known| known.id == column.id);
        let old = &column.ty;
        let compute = move |batch: &RecordBatch| {
            let values = place.and_then(|place| batch.columns().get(place));
            let values = values.ok_or_else(|| Error::internal("a column is gone"))?;
            reshaped(values, old, row, places)
        };
        let now: Arc<Table> = table_of(shared, table.id)?;
        rewrite(shared, &now, &[column.id], &compute, || match changed {
            true => Ok(()),
            false => change(),
        })?;
        changed = true;
    }
    match changed {
        true => Ok(()),
        false => change(),
    }
}

/// What rows older than a column have in it is written with them.
fn write_missing(shared: &Arc<Shared>, table: TableId, column: ColumnId) -> Result<(), Error> {
    let table = table_of(shared, table)?;
    let first = |batch: &RecordBatch| {
        let first = batch.columns().first().cloned();
        first.ok_or_else(|| Error::internal("a table without columns"))
    };
    rewrite(shared, &table, &[], &first, || {
        let of = table.columns.iter().find(|of| of.id == column).cloned();
        let mut column = of.ok_or_else(|| Error::internal("a column is gone"))?;
        column.missing = None;
        shared.change_unguarded(Change::ChangeColumn {
            database: shared.database,
            table: table.id,
            column,
        })
    })
}

/// A default that is a literal has its fields in other places too.
fn move_default(
    shared: &Arc<Shared>,
    table: TableId,
    old: &Column,
    row: u32,
    places: &[Option<usize>],
) -> Result<(), Error> {
    let Some(default) = &old.default else {
        return Ok(());
    };
    let ast::Expr::Value(value) = chronolith_sql::expression(default)? else {
        return Ok(());
    };
    let ast::Value::SingleQuotedString(text) = value.value else {
        return Ok(());
    };
    let text = moved(text.as_bytes(), &old.ty, row, places)?;
    let text = String::from_utf8(text);
    let text = text.map_err(|_| Error::internal("a row's text is not UTF-8"))?;
    let now = table_of(shared, table)?;
    let column = now.columns.iter().find(|known| known.id == old.id).cloned();
    let mut column = column.ok_or_else(|| Error::internal("a column is gone"))?;
    column.default = Some(format!("'{}'", text.replace('\'', "''")));
    shared.change_unguarded(Change::ChangeColumn {
        database: shared.database,
        table,
        column,
    })
}

/// A column of a type that was changed, or of arrays of it: its fields in other places.
fn reshaped(
    values: &ArrayRef,
    ty: &SqlType,
    oid: u32,
    places: &[Option<usize>],
) -> Result<ArrayRef, Error> {
    if let (Some(lists), Some(element)) = (values.as_list_opt::<i32>(), ty.element()) {
        let items = reshaped(lists.values(), element, oid, places)?;
        let (field, offsets, _, nulls) = lists.clone().into_parts();
        return Ok(Arc::new(ListArray::try_new(field, offsets, items, nulls)?));
    }
    let texts = values.as_string_view_opt();
    let texts = texts.ok_or_else(|| Error::internal("rows are kept as texts"))?;
    let rows = texts.iter().map(|text| {
        let row = text.map(|text| match text {
            // Of an array's tail.
            "" => Ok(Vec::new()),
            text => moved(text.as_bytes(), ty, oid, places),
        });
        let row = row.transpose()?.map(String::from_utf8).transpose();
        row.map_err(|_| Error::internal("a row's text is not UTF-8"))
    });
    let rows = rows.collect::<Result<StringViewArray, Error>>()?;
    Ok(Arc::new(rows))
}

/// The text of a value with the fields of a type in it in other places.
fn moved(value: &[u8], ty: &SqlType, oid: u32, places: &[Option<usize>]) -> Result<Vec<u8>, Error> {
    let ty = ty.base();
    match ty {
        SqlType::Array(element) if element.mentions(oid) => {
            let mut out = Vec::new();
            let (shape, items) = chronolith_types::array::parse(value)?;
            shape.write(&mut out, |place, out| {
                let item = items.get(place).and_then(Option::as_deref);
                let item = item.map(|item| moved(item, element, oid, places));
                chronolith_types::text::write_array_item(item.transpose()?.as_deref(), out);
                Ok::<_, Error>(())
            })?;
            Ok(out)
        }
        SqlType::User(user) if ty.mentions(oid) => {
            let of = user.fields().unwrap_or_default();
            let mut fields = row::split(value, of.len())?;
            if user.oid == oid {
                let fields = places
                    .iter()
                    .map(|place| place.and_then(|place| fields.get(place).cloned().flatten()));
                return Ok(row::join(&fields.collect::<Vec<_>>()));
            }
            for (field, (_, ty)) in fields.iter_mut().zip(of) {
                if let Some(text) = field.as_deref().filter(|_| ty.mentions(oid)) {
                    *field = Some(moved(text, ty, oid, places)?);
                }
            }
            Ok(row::join(&fields))
        }
        _ => Ok(value.to_vec()),
    }
}
