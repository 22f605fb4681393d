//! Constraints, and what depends on what.

use chronolith_catalog::{
    Constraint, ConstraintKind, ConstraintMarks, Database, Reference, ReferenceAction, Table,
};

use super::attributes::each_default;
use super::context::Context;
use super::describe;
use super::objects::{self, Relation, chunk_check};
use super::relation::{self, Fill};
use super::rows::{NULL, Rows, row};
use super::server::TIMESCALEDB;
use super::{triggers, user_types};
use crate::error::Error;
use crate::functions;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_constraint" => constraints,
        "pg_depend" => depends,
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
            },
            Self::Range(table, _) => table
                .hypertable
                .iter()
                .map(|hypertable| hypertable.time.0)
                .collect(),
        }
    }

    /// The oid of its index; 0 for a check.
    fn index(self) -> u32 {
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
fn referred_index(home: &Database, shown: Shown<'_>) -> u32 {
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
            NULL,
            expression,
        ]);
    }
    triggers::constraints(context, rows)?;
    user_types::checks(context, rows)
}

/// The oid of a relation of `pg_catalog`.
pub(super) fn class_oid(name: &str) -> u32 {
    relation::find("pg_catalog", name).map_or(0, |relation| relation.oid())
}

fn depends<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    let class = class_oid("pg_class");
    let constraint_class = class_oid("pg_constraint");
    let mut constraint_indexes = Vec::new();
    for shown in shown(context)? {
        let relation = shown.relation().oid();
        for column in shown.columns() {
            rows.push(row![
                constraint_class,
                shown.oid(),
                0,
                class,
                relation,
                i64::from(column),
                'a'
            ]);
        }
        if shown.index() != 0 {
            constraint_indexes.push(shown.index());
            rows.push(row![
                class,
                shown.index(),
                0,
                constraint_class,
                shown.oid(),
                0,
                'i'
            ]);
        }
    }
    for relation in objects::user_relations(home) {
        let oid = relation.oid();
        let schema = relation.schema(home).0;
        match relation {
            Relation::Index(table, index) => {
                if !constraint_indexes.contains(&oid) {
                    for key in objects::index_keys(table, index) {
                        let column = i64::from(key.attribute);
                        rows.push(row![class, oid, 0, class, table.id.0, column, 'a']);
                    }
                }
                continue;
            }
            Relation::Chunk(table, ..) => {
                rows.push(row![class, oid, 0, class, table.id.0, 0, 'n']);
            }
            Relation::View(_) | Relation::Kept(..) => {
                let rule = objects::rule(oid);
                rows.push(row![class_oid("pg_rewrite"), rule, 0, class, oid, 0, 'i']);
            }
            Relation::Sequence(sequence) => {
                if let Some(by) = sequence.owned_by {
                    let column = i64::from(by.column.0);
                    let kind = if by.internal { 'i' } else { 'a' };
                    rows.push(row![class, oid, 0, class, by.table.0, column, kind]);
                }
            }
            Relation::System(_) | Relation::Table(_) | Relation::Composite(_) => {}
        }
        rows.push(row![
            class,
            oid,
            0,
            class_oid("pg_namespace"),
            schema,
            0,
            'n'
        ]);
        let (row_type, _) = relation.row_types();
        if row_type == 0 {
            continue;
        }
        rows.push(row![class_oid("pg_type"), row_type, 0, class, oid, 0, 'i']);
    }
    for default in each_default(context)? {
        let column = i64::from(default.column.id.0);
        let (oid, relation) = (default.oid, default.relation);
        let defaults = class_oid("pg_attrdef");
        rows.push(row![defaults, oid, 0, class, relation, column, 'a']);
        for sequence in home.sequences.values() {
            if super::sequences::names_sequence(default.text, sequence.id) {
                rows.push(row![defaults, oid, 0, class, sequence.id.0, 0, 'n']);
            }
        }
    }
    // What belongs to the extension is not dumped with the database.
    let extension = class_oid("pg_extension");
    for (oid, name, _) in objects::schemas(home) {
        let ours = name.contains("timescaledb");
        if ours {
            let namespaces = class_oid("pg_namespace");
            rows.push(row![namespaces, oid, 0, extension, TIMESCALEDB, 0, 'e']);
        }
    }
    for system in relation::all().filter(|system| system.schema().contains("timescaledb")) {
        rows.push(row![class, system.oid(), 0, extension, TIMESCALEDB, 0, 'e']);
    }
    for proc in functions::all_procs().filter(|proc| proc.schema == "public") {
        let procs = class_oid("pg_proc");
        rows.push(row![procs, proc.oid, 0, extension, TIMESCALEDB, 0, 'e']);
    }
    Ok(())
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
