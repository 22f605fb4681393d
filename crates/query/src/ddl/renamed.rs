//! Views, when a column that they read gets another name.

use std::sync::Arc;

use chronolith_catalog::{Change, View};
use chronolith_types::{SchemaId, TableId};

use super::view::readers;
use crate::bind::named_in;
use crate::error::Error;
use crate::session::{SessionNames, Shared};

/// A column of a relation that gets another name, and what the views that read it say then.
#[derive(Debug)]
pub(crate) struct Renamed<'a> {
    relation: (SchemaId, &'a str),
    id: TableId,
    /// The names of the columns up to that one, as they were.
    names: &'a [String],
    from: &'a str,
    to: &'a str,
    /// The texts of views, and where they name the column.
    texts: Vec<(TableId, String, Vec<usize>)>,
}

impl<'a> Renamed<'a> {
    /// To be asked before the column has its new name; None for a relation without that column.
    pub(crate) fn of(
        shared: &Arc<Shared>,
        relation: (TableId, SchemaId, &'a str),
        columns: &'a [String],
        (from, to): (&'a str, &'a str),
    ) -> Result<Option<Self>, Error> {
        let (id, schema, name) = relation;
        let Some(place) = columns.iter().position(|column| column == from) else {
            return Ok(None);
        };
        let names = SessionNames::new(shared)?;
        let home = shared.home()?;
        let mut texts = Vec::new();
        for view in readers(&home, schema, name) {
            let query = chronolith_sql::query(&view.query)?;
            // One that cannot be read as it is gets aliases, which tell what is wrong.
            let Ok(Some((places, outputs))) = named_in(&names, &query, (id.0, place, from)) else {
                continue;
            };
            let at = (places.as_slice(), outputs.as_slice());
            let renamed = chronolith_sql::rename_places(&view.query, at, (from, to))?;
            texts.extend(renamed.map(|(text, places)| (view.id, text, places)));
        }
        Ok(Some(Self {
            relation: (schema, name),
            id,
            names: columns.get(..=place).unwrap_or_default(),
            from,
            to,
            texts,
        }))
    }

    /// What a view says now: the column is named wherever it was, and nowhere else.
    fn text(&self, names: &SessionNames, view: TableId) -> Option<&str> {
        let (_, text, places) = self.texts.iter().find(|(of, ..)| *of == view)?;
        let query = chronolith_sql::query(text).ok()?;
        let place = self.names.len().checked_sub(1)?;
        let (named, _) = named_in(names, &query, (self.id.0, place, self.to)).ok()??;
        (named == *places).then_some(text.as_str())
    }

    /// Has views read the column by its new name, which it has by now; or by the names that the
    /// columns had, where that would say something else.
    pub(crate) fn keep(self, shared: &Arc<Shared>) -> Result<(), Error> {
        let home = shared.home()?;
        let names = SessionNames::new(shared)?;
        let schema = home.schemas.get(&self.relation.0);
        let schema = schema.map_or("", |schema| schema.name.as_str());
        let read = (schema, self.relation.1);
        for view in readers(&home, self.relation.0, self.relation.1) {
            let mut changed = View::clone(view);
            changed.query = match self.text(&names, view.id) {
                Some(text) => text.to_owned(),
                None => self.aliased(view, read)?,
            };
            if changed.query == view.query {
                continue;
            }
            shared.change(Change::ChangeView {
                database: shared.database,
                view: changed,
            })?;
            crate::rollups::check_kept(shared, view.id)?;
        }
        Ok(())
    }

    fn aliased(&self, view: &View, read: (&str, &str)) -> Result<String, Error> {
        let place = self.names.len().saturating_sub(1);
        // One that says the new name has it from elsewhere, and is not to find it here too.
        let says = chronolith_sql::reads_column(&view.query, read, place, self.from)?
            || chronolith_sql::names_word(&view.query, self.to)?;
        match says {
            true => Ok(chronolith_sql::alias_columns(
                &view.query,
                read,
                self.names,
            )?),
            false => Ok(view.query.clone()),
        }
    }
}
