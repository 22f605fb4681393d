//! DROP SCHEMA, with all that lies in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_catalog::{Change, Database};
use chronolith_types::{SchemaId, SqlState};

use super::drop::{drop_table, drop_view, label, tell_dropped};
use super::drop_type::drop_type;
use super::view::kind_of;
use super::{routine, sequence};
use crate::catalogs::quoted;
use crate::error::Error;
use crate::session::{Shared, no_schema};

pub(super) fn drop(shared: &Arc<Shared>, name: &str, cascade: bool) -> Result<(), Error> {
    let home = shared.home()?;
    let found = home.schema_named(name).ok_or_else(|| no_schema(name))?;
    shared.check_schema_owner(found.id)?;
    if name.starts_with("_timescaledb") {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("cannot drop schema {name}: it belongs to the system"),
        ));
    }
    let shown = quoted(name);
    let lies = objects(shared, &home, found.id, name);
    if !cascade && !lies.is_empty() {
        let lines = lies
            .values()
            .map(|object| format!("{object} depends on schema {shown}"));
        return Err(Error::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop schema {shown} because other objects depend on it"),
        )
        .detail(lines.collect::<Vec<_>>().join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    let heard = shared.with(|state| std::mem::take(&mut state.notices));
    let dropped = all(shared, &home, found.id);
    shared.with(|state| state.notices = heard);
    tell(shared, &lies, &dropped?);
    let extensions = home.extensions.values();
    for extension in extensions.filter(|extension| extension.schema == found.id) {
        shared.change(Change::DropExtension {
            database: shared.database,
            id: extension.id,
        })?;
    }
    shared.change(Change::DropSchema {
        database: shared.database,
        id: found.id,
    })
}

/// What lies in a schema, by its oid, as messages name it. What goes with a column is not said.
fn objects(
    shared: &Arc<Shared>,
    home: &Database,
    schema: SchemaId,
    name: &str,
) -> BTreeMap<u32, String> {
    let on_path = shared.search_path().iter().any(|known| known == name);
    let full = |what: &str, object: &str| match on_path {
        true => format!("{what} {object}"),
        false => format!("{what} {}.{object}", quoted(name)),
    };
    let mut found = BTreeMap::new();
    for table in home.tables.values() {
        if table.schema == schema && home.view_kept_in(table.id).is_none() {
            let id = table.id.0;
            found.insert(id, label(shared, "table", &table.name, id));
        }
    }
    for view in home.views.values().filter(|of| of.schema == schema) {
        let id = view.id.0;
        found.insert(id, label(shared, kind_of(view), &view.name, id));
    }
    for sequence in home.sequences.values().filter(|of| of.schema == schema) {
        if sequence.owned_by.is_none() {
            let id = sequence.id.0;
            found.insert(id, label(shared, "sequence", &sequence.name, id));
        }
    }
    for routine in home.routines.values().filter(|of| of.schema == schema) {
        let signature = routine::signature(routine);
        // Both are called functions there.
        found.insert(routine.id.0, full("function", &signature));
    }
    for ty in home.types.values().filter(|of| of.schema == schema) {
        found.insert(ty.id.0, full("type", &quoted(&ty.name)));
    }
    found
}

/// Drops all that lies in a schema; of each object by its oid, what was said of others that went.
fn all(
    shared: &Arc<Shared>,
    home: &Database,
    schema: SchemaId,
) -> Result<Vec<(u32, Vec<String>)>, Error> {
    let mut said = Vec::new();
    let mut hear = |id: u32| {
        let notices = shared.with(|state| std::mem::take(&mut state.notices));
        let mut lines: Vec<String> = Vec::new();
        for notice in notices {
            match &notice.body.detail {
                Some(detail) => lines.extend(detail.lines().map(str::to_owned)),
                None => lines.push(notice.body.message.clone()),
            }
        }
        said.push((id, lines));
    };
    for routine in home.routines.values().filter(|of| of.schema == schema) {
        shared.change(Change::DropRoutine {
            database: shared.database,
            id: routine.id,
        })?;
    }
    for view in home.views.values().filter(|of| of.schema == schema) {
        // One that read another is gone already.
        if shared.home()?.views.contains_key(&view.id) {
            drop_view(shared, view, true)?;
            hear(view.id.0);
        }
    }
    for table in home.tables.values().filter(|of| of.schema == schema) {
        let there = shared.home()?.tables.contains_key(&table.id);
        if there && home.view_kept_in(table.id).is_none() {
            let now = shared.home()?.tables.get(&table.id).cloned();
            drop_table(shared, now.as_ref().unwrap_or(table), true)?;
            hear(table.id.0);
        }
    }
    for ty in home.types.values().filter(|of| of.schema == schema) {
        if shared.home()?.types.contains_key(&ty.id) {
            drop_type(shared, ty, true)?;
            hear(ty.id.0);
        }
    }
    let sequences = home.sequences.values().filter(|of| of.schema == schema);
    for of in sequences.filter(|of| of.owned_by.is_none()) {
        if shared.home()?.sequences.contains_key(&of.id) {
            sequence::drop_one(shared, of, true)?;
            hear(of.id.0);
        }
    }
    Ok(said)
}

/// The notice of what goes with a schema: each object, and behind it what goes with that.
fn tell(shared: &Shared, lies: &BTreeMap<u32, String>, said: &[(u32, Vec<String>)]) {
    let own: Vec<String> = lies
        .values()
        .map(|object| format!("drop cascades to {object}"))
        .collect();
    let mut lines: Vec<String> = Vec::new();
    for (id, line) in lies.keys().zip(&own) {
        lines.push(line.clone());
        let more = said.iter().filter(|(of, _)| of == id);
        for more in more.flat_map(|(_, more)| more) {
            if !own.contains(more) && !lines.contains(more) {
                lines.push(more.clone());
            }
        }
    }
    tell_dropped(shared, lines);
}
