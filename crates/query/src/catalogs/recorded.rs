//! Rows recorded from PostgreSQL 15, in COPY's text form.

use chronolith_types::SqlType;

use super::rows::Cell;

/// The fields of each line.
pub(super) fn lines(text: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    text.lines().map(|line| line.split('\t').collect())
}

/// A number among the fields, 0 when there is none.
pub(super) fn oid(fields: &[&str], place: usize) -> u32 {
    fields
        .get(place)
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}

/// Recorded fields as cells of the relation's types.
pub(super) fn cells(
    fields: &[&'static str],
    columns: impl Iterator<Item = (&'static str, SqlType)>,
) -> Vec<Cell<'static>> {
    fields
        .iter()
        .zip(columns)
        .map(|(field, (_, ty))| cell(field, &ty))
        .collect()
}

fn cell(field: &'static str, ty: &SqlType) -> Cell<'static> {
    if field == "\\N" {
        return Cell::Null;
    }
    match ty {
        SqlType::Bool => Cell::Bool(field == "t"),
        SqlType::Int2
        | SqlType::Int4
        | SqlType::Int8
        | SqlType::Oid
        | SqlType::Xid
        | SqlType::Reg(_) => field.parse().map_or(Cell::Null, Cell::Int),
        SqlType::Float4 | SqlType::Float8 => field.parse().map_or(Cell::Null, Cell::Float),
        SqlType::OidVector | SqlType::Int2Vector => Cell::List(
            field
                .split_ascii_whitespace()
                .map(|item| item.parse().map_or(Cell::Null, Cell::Int))
                .collect(),
        ),
        // Arrays are never recorded.
        SqlType::Array(_) => Cell::Null,
        _ => Cell::from(field),
    }
}
