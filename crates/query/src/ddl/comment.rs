//! COMMENT ON.

use std::sync::Arc;

use chronolith_catalog::{Change, Comment, Rights};
use chronolith_sql::{Name, ObjectKind};
use chronolith_types::{ColumnId, SqlState, SqlType};

use super::materialized::table_or_rows;
use super::named::routine_there;
use super::schema::no_role;
use crate::catalogs::{Context, describe};
use crate::error::Error;
use crate::insert::undefined_column;
use crate::outcome::Severity;
use crate::session::{Shared, no_schema};

/// Something that is spoken of: the catalog that lists it, its oid and a column of it.
struct Place {
    class: &'static str,
    oid: u32,
    column: u32,
}

impl Place {
    fn of(class: &'static str, oid: u32) -> Self {
        Self {
            class,
            oid,
            column: 0,
        }
    }
}

pub(super) fn run(
    shared: &Arc<Shared>,
    kind: ObjectKind,
    name: &Name,
    types: Option<&[SqlType]>,
    text: Option<&str>,
) -> Result<(), Error> {
    let context = shared.catalog_context();
    let place = match find(shared, &context, kind, name, types) {
        // A dump is read into a database of whatever name.
        Err(error) if error.code == SqlState::INVALID_CATALOG_NAME => {
            shared.notice(Severity::Warning, error);
            return Ok(());
        }
        found => found?,
    };
    // An empty text is none.
    let text = text.filter(|text| !text.is_empty());
    if place.class == "pg_class"
        && matches!(
            kind,
            ObjectKind::Table | ObjectKind::MaterializedView | ObjectKind::Column
        )
    {
        let (schema, relation) = match kind {
            ObjectKind::Column => split(name)?,
            _ => (name.schema(), name.name()),
        };
        if let Some(table) = table_or_rows(shared, schema, relation)? {
            return shared.change(Change::Comment {
                database: shared.database,
                table: table.id,
                column: (place.column > 0).then_some(ColumnId(place.column)),
                text: text.map(str::to_owned),
            });
        }
    }
    let class = describe::relation_named(&context, Some("pg_catalog"), place.class)?.0;
    shared.change(Change::SetComment {
        database: shared.database,
        comment: Comment {
            class,
            oid: place.oid,
            column: place.column,
            text: text.unwrap_or_default().to_owned(),
        },
    })
}

/// Schema and name of what a column, constraint or trigger belongs to.
fn split(name: &Name) -> Result<(Option<&str>, &str), Error> {
    match name.parts.as_slice() {
        [table, _] => Ok((None, table)),
        [.., schema, table, _] => Ok((Some(schema), table)),
        _ => Err(Error::new(
            SqlState::SYNTAX_ERROR,
            "column name must be qualified",
        )),
    }
}

fn missing(what: String) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("{what} does not exist"))
}

fn find(
    shared: &Arc<Shared>,
    context: &Context,
    kind: ObjectKind,
    name: &Name,
    types: Option<&[SqlType]>,
) -> Result<Place, Error> {
    let home = shared.home()?;
    let own = name.name();
    let relation = |letters: &[char], words: &str| {
        let (oid, found) = describe::relation_named(context, name.schema(), own)?;
        match letters.contains(&found) {
            true => Ok(Place::of("pg_class", oid)),
            false => Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{own}\" is not {words}"),
            )),
        }
    };
    Ok(match kind {
        ObjectKind::Table => relation(&['r', 'p'], "a table")?,
        ObjectKind::View => relation(&['v'], "a view")?,
        ObjectKind::MaterializedView => relation(&['m'], "a materialized view")?,
        ObjectKind::Index => relation(&['i', 'I'], "an index")?,
        ObjectKind::Sequence => relation(&['S'], "a sequence")?,
        ObjectKind::Column => {
            let (schema, table) = split(name)?;
            // Who may not use a schema is not told which columns its relations have.
            if let Some(schema) = schema.and_then(|schema| home.schema_named(schema)) {
                shared.check_schema(schema.id, Rights::USAGE)?;
            }
            let (oid, found) = describe::relation_named(context, schema, table)?;
            if !matches!(found, 'r' | 'p' | 'v' | 'm' | 'c' | 'f') {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("cannot set comment on relation \"{table}\""),
                ));
            }
            let column = describe::column_number(context, oid, own)?;
            Place {
                class: "pg_class",
                oid,
                column: column.ok_or_else(|| undefined_column(own, table))?,
            }
        }
        ObjectKind::Constraint | ObjectKind::Trigger => {
            let (schema, table) = split(name)?;
            let (of, _) = describe::relation_named(context, schema, table)?;
            let (word, class, column, of_column) = match kind {
                ObjectKind::Trigger => ("trigger", "pg_trigger", "tgname", "tgrelid"),
                _ => ("constraint", "pg_constraint", "conname", "conrelid"),
            };
            let oid = describe::oid_named(context, class, (column, own), (of_column, of))?;
            let what = || format!("{word} \"{own}\" for table \"{table}\"");
            Place::of(class, oid.ok_or_else(|| missing(what()))?)
        }
        ObjectKind::Schema => {
            let found = home.schema_named(own).ok_or_else(|| no_schema(own))?;
            Place::of("pg_namespace", found.id.0)
        }
        ObjectKind::Database => {
            let found = shared.catalog().database_named(own).map(|found| found.id.0);
            let gone = || {
                Error::new(
                    SqlState::INVALID_CATALOG_NAME,
                    format!("database \"{own}\" does not exist"),
                )
            };
            Place::of("pg_database", found.ok_or_else(gone)?)
        }
        ObjectKind::Role => {
            let found = shared.catalog().role_named(own).map(|found| found.id.0);
            Place::of("pg_authid", found.ok_or_else(|| no_role(own))?)
        }
        ObjectKind::Extension => {
            let any = ("extowner", 10);
            let oid = describe::oid_named(context, "pg_extension", ("extname", own), any)?;
            let what = || format!("extension \"{own}\"");
            Place::of("pg_extension", oid.ok_or_else(|| missing(what()))?)
        }
        ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => {
            Place::of("pg_proc", routine_there(shared, kind, name, types)?.id.0)
        }
        ObjectKind::Type | ObjectKind::Domain => {
            let found = shared.find_type(name.schema(), own)?;
            let found = found.ok_or_else(|| missing(format!("type \"{name}\"")))?;
            Place::of("pg_type", found.id.0)
        }
        ObjectKind::Publication => {
            let home = shared.home()?;
            let known = home.publications.values().find(|known| known.name == own);
            let known = known.ok_or_else(|| missing(format!("publication \"{own}\"")))?;
            Place::of("pg_publication", known.id)
        }
        ObjectKind::Aggregate => {
            return Err(Error::unsupported("COMMENT ON AGGREGATE"));
        }
        ObjectKind::Language | ObjectKind::Other => {
            return Err(Error::unsupported("COMMENT ON this kind of object"));
        }
    })
}
