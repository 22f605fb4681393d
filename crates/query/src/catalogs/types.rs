//! Types: those that values have, their arrays, and the row type of every relation.
//!
//! `recorded/pg_type.tsv` holds PostgreSQL's own rows of the types that `chronolith-types` knows.

use std::collections::HashMap;
use std::sync::LazyLock;

use chronolith_types::SqlType;

use super::context::Context;
use super::objects;
use super::recorded;
use super::relation::{self, Fill};
use super::rows::{NULL, Rows, row};
use super::user_types;
use crate::error::Error;

static RECORDED: LazyLock<Vec<Vec<&'static str>>> =
    LazyLock::new(|| recorded::lines(include_str!("recorded/pg_type.tsv")).collect());

pub(super) fn fill(name: &str) -> Option<Fill> {
    match name {
        "pg_type" => Some(types),
        _ => None,
    }
}

/// How a type's values lie in PostgreSQL's rows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) length: i16,
    pub(super) by_value: bool,
    pub(super) align: char,
    pub(super) storage: char,
    pub(super) collation: u32,
}

static FACTS: LazyLock<HashMap<u32, Facts>> = LazyLock::new(|| {
    let of = |fields: &Vec<&'static str>| {
        let letter = |place: usize| fields.get(place)?.chars().next();
        Some((
            recorded::oid(fields, 0),
            Facts {
                length: fields.get(4)?.parse().ok()?,
                by_value: *fields.get(5)? == "t",
                align: letter(22)?,
                storage: letter(23)?,
                collation: recorded::oid(fields, 28),
            },
        ))
    };
    RECORDED.iter().filter_map(of).collect()
});

/// The facts of a type; of an unknown one, those of a text.
pub(super) fn facts(oid: u32) -> Facts {
    FACTS.get(&oid).copied().unwrap_or(Facts {
        length: -1,
        by_value: false,
        align: 'i',
        storage: 'x',
        collation: 0,
    })
}

/// The facts of a type, one of a user's too.
pub(super) fn facts_of(ty: &SqlType) -> Facts {
    match ty.labels() {
        Some(_) => Facts {
            length: 4,
            by_value: true,
            align: 'i',
            storage: 'p',
            collation: 0,
        },
        None => facts(ty.oid()),
    }
}

/// The collation that a type's values have; 0 for what has none.
pub(super) fn collation(oid: u32) -> u32 {
    FACTS.get(&oid).map_or(0, |facts| facts.collation)
}

/// PostgreSQL's numbers of the functions that read and write values of a kind of type.
pub(super) struct Ways {
    pub(super) input: u32,
    pub(super) output: u32,
    pub(super) receive: u32,
    pub(super) send: u32,
}

pub(super) const ARRAY_SUBSCRIPT: u32 = 6179;
pub(super) const ARRAY_ANALYZE: u32 = 3816;
pub(super) const ARRAY: Ways = Ways {
    input: 750,
    output: 751,
    receive: 2400,
    send: 2401,
};
pub(super) const RECORD: Ways = Ways {
    input: 2290,
    output: 2291,
    receive: 2402,
    send: 2403,
};

/// The functions that write values of a recorded type: as text and in binary.
pub(super) fn writers(oid: u32) -> (u32, u32) {
    let found = RECORDED
        .iter()
        .find(|fields| recorded::oid(fields, 0) == oid);
    found.map_or((ARRAY.output, ARRAY.send), |fields| {
        (recorded::oid(fields, 16), recorded::oid(fields, 18))
    })
}

fn types<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    if let Some(own) = relation::find("pg_catalog", "pg_type") {
        for fields in RECORDED.iter() {
            // Pseudo types are what functions behind others are told to return.
            let pseudo = fields.get(6) == Some(&"p");
            if pseudo || SqlType::from_oid(recorded::oid(fields, 0)).is_some() {
                rows.push(recorded::cells(fields, own.columns()));
            }
        }
    }
    user_types::types(context, rows)?;
    for relation in objects::relations(home) {
        let (oid, array) = relation.row_types();
        // A composite type is one of its own.
        if oid == 0 || matches!(relation, objects::Relation::Composite(_)) {
            continue;
        }
        let schema = relation.schema(home).0;
        let name = relation.name();
        let owner = relation.owner().0;
        let array_name = format!("_{name}");
        rows.push(row![
            oid,
            name,
            schema,
            owner,
            -1,
            false,
            'c',
            'C',
            false,
            true,
            ',',
            relation.oid(),
            0,
            0,
            array,
            RECORD.input,
            RECORD.output,
            RECORD.receive,
            RECORD.send,
            0,
            0,
            0,
            'd',
            'x',
            false,
            0,
            -1,
            0,
            0,
            NULL,
            NULL,
            NULL,
        ]);
        if array == 0 {
            continue;
        }
        rows.push(row![
            array,
            array_name,
            schema,
            owner,
            -1,
            false,
            'b',
            'A',
            false,
            true,
            ',',
            0,
            ARRAY_SUBSCRIPT,
            oid,
            0,
            ARRAY.input,
            ARRAY.output,
            ARRAY.receive,
            ARRAY.send,
            0,
            0,
            ARRAY_ANALYZE,
            'd',
            'x',
            false,
            0,
            -1,
            0,
            0,
            NULL,
            NULL,
            NULL,
        ]);
    }
    Ok(())
}
