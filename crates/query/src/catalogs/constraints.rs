//! Constraints.

use chronolith_catalog::{
    Constraint, ConstraintKind, ConstraintMarks, Database, Reference, ReferenceAction, Table,
};

use super::context::Context;
use super::describe;
use super::objects::{self, Relation, chunk_check};
use super::operators::operator_between;
use super::relation::{self, Fill};
use super::rows::{NULL, Rows, row};
use super::{triggers, user_types};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_constraint" => constraints,
        _ => return None,
    })
}

/// A constraint that `pg_constraint` shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown<'a> {
    /// One that was declared.
    Declared(&'a Table, &'a Constraint),
    /// The range of a chunk.
    Range(&'a Table, Relation<'a>),
}

/// Whether a constraint is one in SQL: a unique index declared alone is kept as one, but is none.
fn is_declared(table: &Table, constraint: &Constraint) -> bool {
    let index = table
        .indexes
        .iter()
        .find(|index| index.name == constraint.name);
    matches!(
        constraint.kind,
        ConstraintKind::Check { .. } | ConstraintKind::ForeignKey(_)
    ) || index.is_none_or(|index| index.constraint)
}

/// All constraints of a database.
pub(super) fn shown(context: &Context) -> Result<impl Iterator<Item = Shown<'_>>, Error> {
    let home = context.home()?;
    Ok(home.tables.values().flat_map(|table| {
        let declared = table
            .constraints
            .iter()
            .filter(|constraint| is_declared(table, constraint))
            .map(|constraint| Shown::Declared(table, constraint));
        let ranges = objects::chunks(table).map(|(hypertable, chunk)| {
            Shown::Range(table, Relation::Chunk(table, hypertable, chunk))
        });
        declared.chain(ranges)
    }))
}

impl<'a> Shown<'a> {
    pub(super) fn oid(self) -> u32 {
        match self {
            Self::Declared(_, constraint) => constraint.id,
            Self::Range(_, chunk) => chunk_check(chunk.oid()),
        }
    }

    pub(super) fn name(self) -> String {
        match self {
            Self::Declared(_, constraint) => constraint.name.clone(),
            Self::Range(_, Relation::Chunk(_, _, chunk)) => format!("constraint_{}", chunk.id),
            Self::Range(..) => String::new(),
        }
    }

    /// `pg_constraint.contype`.
    pub(super) fn kind(self) -> char {
        match self {
            Self::Declared(_, constraint) => match constraint.kind {
                ConstraintKind::PrimaryKey { .. } => 'p',
                ConstraintKind::Unique { .. } => 'u',
                ConstraintKind::Check { .. } => 'c',
                ConstraintKind::ForeignKey(_) => 'f',
                ConstraintKind::Exclude { .. } => 'x',
            },
            Self::Range(..) => 'c',
        }
    }

    /// When it is held, and against which rows.
    pub(super) fn marks(self) -> ConstraintMarks {
        match self {
            Self::Declared(_, constraint) => constraint.marks,
            Self::Range(..) => ConstraintMarks::default(),
        }
    }

    /// What a foreign key refers to.
    pub(super) fn reference(self) -> Option<&'a Reference> {
        match self {
            Self::Declared(_, constraint) => constraint.kind.reference(),
            Self::Range(..) => None,
        }
    }

    /// The relation it is on.
    pub(super) fn relation(self) -> Relation<'a> {
        match self {
            Self::Declared(table, _) => Relation::Table(table),
            Self::Range(_, chunk) => chunk,
        }
    }

    /// The numbers of its columns, in the key's order.
    pub(super) fn columns(self) -> Vec<u32> {
        match self {
            Self::Declared(table, constraint) => match &constraint.kind {
                ConstraintKind::PrimaryKey { columns } | ConstraintKind::Unique { columns } => {
                    columns.iter().map(|column| column.0).collect()
                }
                ConstraintKind::Check { expression } => columns_named(table, expression),
                ConstraintKind::ForeignKey(reference) => {
                    reference.columns.iter().map(|column| column.0).collect()
                }
                ConstraintKind::Exclude { .. } => {
                    let mut indexes = table.indexes.iter();
                    let index = indexes.find(|index| index.name == constraint.name);
                    let keys = index.map(|index| objects::index_keys(table, index));
                    let keys = keys.into_iter().flatten();
                    keys.map(|key| key.attribute).collect()
                }
            },
            Self::Range(table, _) => table
                .hypertable
                .iter()
                .map(|hypertable| hypertable.time.0)
                .collect(),
        }
    }

    /// The oid of its index; 0 for a check.
    pub(super) fn index(self) -> u32 {
        match self {
            Self::Declared(_, constraint) if constraint.kind.reference().is_some() => 0,
            Self::Declared(table, constraint) if self.kind() != 'c' => table
                .indexes
                .iter()
                .find(|index| index.name == constraint.name)
                .map_or(0, |index| index.id.0),
            _ => 0,
        }
    }
}

/// The numbers of the columns that an expression names.
pub(crate) fn columns_named(table: &Table, expression: &str) -> Vec<u32> {
    let mut found = Vec::new();
    let mut take = |word: &str| {
        if let Some((_, column)) = table.column_named(word)
            && !found.contains(&column.id.0)
        {
            found.push(column.id.0);
        }
    };
    let mut rest = expression.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            '\'' => while rest.next().is_some_and(|c| c != '\'') {},
            '"' => {
                let mut word = String::new();
                while let Some(c) = rest.next() {
                    if c == '"' && rest.next_if_eq(&'"').is_none() {
                        break;
                    }
                    word.push(c);
                }
                take(&word);
            }
            c if c.is_alphabetic() || c == '_' => {
                let mut word = c.to_lowercase().to_string();
                while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '$'))
                {
                    word.extend(c.to_lowercase());
                }
                // A name that is called is a function's.
                if rest.peek() != Some(&'(') {
                    take(&word);
                }
            }
            c if c.is_ascii_digit() => while rest.next_if(char::is_ascii_alphanumeric).is_some() {},
            _ => {}
        }
    }
    found
}

/// `confdeltype` and its kin.
fn action(of: ReferenceAction) -> &'static str {
    match of {
        ReferenceAction::NoAction => "a",
        ReferenceAction::Restrict => "r",
        ReferenceAction::Cascade => "c",
        ReferenceAction::SetNull => "n",
        ReferenceAction::SetDefault => "d",
    }
}

/// The index that keeps a key, or that of the key that is referred to.
pub(super) fn referred_index(home: &Database, shown: Shown<'_>) -> u32 {
    let Some(reference) = shown.reference() else {
        return shown.index();
    };
    let Some(parent) = home.tables.get(&reference.table) else {
        return 0;
    };
    let key = parent
        .constraints
        .iter()
        .find(|key| key.id == reference.key);
    let index = key.and_then(|key| parent.indexes.iter().find(|index| index.name == key.name));
    index.map_or(0, |index| index.id.0)
}

fn constraints<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for shown in shown(context)? {
        let kind = shown.kind();
        let marks = shown.marks();
        let relation = shown.relation();
        let reference = shown.reference();
        let referred = reference.map(|of| {
            let referred = of.referred.iter().map(|column| i64::from(column.0));
            referred.collect::<Vec<i64>>()
        });
        let columns: Vec<i64> = shown.columns().into_iter().map(i64::from).collect();
        let expression = describe::check_text(context, shown, false);
        let operators = operators(context, shown);
        rows.push(row![
            shown.oid(),
            shown.name(),
            relation.schema(home).0,
            kind,
            marks.deferrable,
            marks.deferred,
            !marks.not_valid,
            relation.oid(),
            0,
            referred_index(home, shown),
            0,
            reference.map_or(0, |of| of.table.0),
            reference.map_or(" ", |of| action(of.on_update)),
            reference.map_or(" ", |of| action(of.on_delete)),
            reference.map_or(" ", |of| if of.full { "f" } else { "s" }),
            true,
            0,
            kind != 'c' || marks.no_inherit,
            columns,
            referred,
            NULL,
            NULL,
            NULL,
            NULL,
            operators,
            expression,
        ]);
    }
    triggers::constraints(context, rows)?;
    user_types::checks(context, rows)
}

/// The operators of EXCLUDE, a key's each.
fn operators(context: &Context, shown: Shown<'_>) -> Option<Vec<i64>> {
    let Shown::Declared(table, constraint) = shown else {
        return None;
    };
    let operators = constraint.kind.operators()?;
    let index = table.indexes.iter();
    let index = index.clone().find(|index| index.name == constraint.name)?;
    let keys = objects::index_keys(table, index);
    let each = keys.iter().zip(operators).map(|(key, operator)| {
        let ty = objects::key_type(context, table, key);
        let found = ty.and_then(|ty| operator_between(operator, &ty));
        found.map_or(0, |found| i64::from(found.oid))
    });
    Some(each.collect())
}

/// The oid of a relation of `pg_catalog`.
pub(super) fn class_oid(name: &str) -> u32 {
    relation::find("pg_catalog", name).map_or(0, |relation| relation.oid())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use chronolith_catalog::Column;
    use chronolith_types::{ColumnId, RoleId, SchemaId, SqlType, TableId};

    use super::*;

    #[test]
    fn an_expression_names_columns_outside_of_strings_and_calls() {
        let column = |id, name: &str| Column {
            id: ColumnId(id),
            name: name.to_owned(),
            ty: SqlType::Int4,
            domain: None,
            not_null: false,
            default: None,
            missing: None,
            identity: None,
            generated: None,
            comment: None,
        };
        let table = Table {
            id: TableId(1),
            schema: SchemaId(1),
            name: "t".to_owned(),
            owner: RoleId(10),
            columns: vec![column(1, "lower"), column(2, "Px"), column(5, "qty")],
            next_column: ColumnId(6),
            constraints: Vec::new(),
            indexes: Vec::new(),
            hypertable: None,
            chunks: std::collections::BTreeMap::new(),
            comment: None,
            acl: None,
            rollup: None,
            persistence: chronolith_catalog::Persistence::default(),
        };
        let text = "lower('qty') > 1e5 AND \"Px\" <> 'it''s \"lower\"' OR QTY < 2";
        assert_eq!(columns_named(&table, text), [2, 5]);
    }
}
