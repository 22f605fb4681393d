//! What names mean at a place of a query.

use arrow::datatypes::DataType;
use chronolith_types::SqlType;

/// A column that an expression can name.
#[derive(Debug, Clone)]
pub(super) struct ScopeColumn {
    /// The alias of its relation; none for a merged column of USING.
    pub table: Option<String>,
    /// The schema of that relation, when it has no alias.
    pub schema: Option<String>,
    /// The user's name of it.
    pub name: String,
    /// The internal name.
    pub column: String,
    pub ty: SqlType,
    pub arrow: DataType,
    /// Table oid and attribute number.
    pub origin: Option<(u32, i16)>,
    /// Found by a bare name and part of `*`: not so the two sides of a merged column.
    pub visible: bool,
}

/// The columns in reach, in the order of `*`.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub columns: Vec<ScopeColumn>,
    /// Aliases, also of relations without columns, with the table's own name when hidden by one.
    pub relations: Vec<Alias>,
}

/// A relation by the name it goes by.
#[derive(Debug, Clone)]
pub(super) struct Alias {
    pub name: String,
    pub schema: Option<String>,
    /// The table's name when the alias is another.
    pub hides: Option<String>,
}

impl ScopeColumn {
    /// Whether it says where rows lie, under a name that no client can write: no column that tables
    /// have in common, and none of `*`.
    pub(super) fn is_place(&self) -> bool {
        self.name.starts_with('\u{1}')
    }
}

/// What a name was found to be.
pub(super) enum Found<'s> {
    None,
    One(&'s ScopeColumn),
    Many,
}

impl Scope {
    pub(super) fn by_name(&self, name: &str) -> Found<'_> {
        let mut found = Found::None;
        for column in &self.columns {
            if column.visible && column.name == name {
                if matches!(found, Found::One(_)) {
                    return Found::Many;
                }
                found = Found::One(column);
            }
        }
        found
    }

    pub(super) fn by_qualified(&self, schema: Option<&str>, table: &str, name: &str) -> Found<'_> {
        let mut found = Found::None;
        for column in &self.columns {
            let of_table = column.table.as_deref() == Some(table)
                && (schema.is_none() || column.schema.as_deref() == schema);
            if of_table && column.name == name {
                if matches!(found, Found::One(_)) {
                    return Found::Many;
                }
                found = Found::One(column);
            }
        }
        found
    }

    pub(super) fn of_table<'s>(
        &'s self,
        schema: Option<&'s str>,
        table: &'s str,
    ) -> impl Iterator<Item = &'s ScopeColumn> {
        self.columns.iter().filter(move |column| {
            column.table.as_deref() == Some(table)
                && (schema.is_none() || column.schema.as_deref() == schema)
        })
    }

    /// The oid of the table that an alias stands for.
    pub(super) fn table_oid(&self, schema: Option<&str>, table: &str) -> Option<u32> {
        let mut oids = self
            .of_table(schema, table)
            .map(|column| column.origin.map(|(oid, _)| oid));
        let first = oids.next()??;
        oids.all(|oid| oid == Some(first)).then_some(first)
    }

    pub(super) fn has_table(&self, schema: Option<&str>, table: &str) -> bool {
        self.relations.iter().any(|alias| {
            alias.name == table && (schema.is_none() || alias.schema.as_deref() == schema)
        })
    }

    /// The column of an internal name.
    pub(super) fn internal(&self, column: &str) -> Option<&ScopeColumn> {
        self.columns.iter().find(|found| found.column == column)
    }
}
