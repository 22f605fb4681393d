//! What a hypertable is told apart by: its series, their order, its dimensions.

use chronolith_types::{ColumnId, SqlType};

use crate::model::Database;
use crate::table::{Column, Hypertable, Index, OrderBy, Table};

impl Database {
    /// The number that the next dimension gets: greater than those that there are.
    #[must_use]
    pub fn next_dimension(&self) -> i32 {
        let hypertables = self.tables.values().filter_map(|t| t.hypertable.as_ref());
        let taken = hypertables.flat_map(|hypertable| {
            let others = hypertable.dimensions.iter().map(|dimension| dimension.id);
            others.chain([hypertable.time_dimension()])
        });
        taken.max().unwrap_or(0) + 1
    }
}

impl Hypertable {
    /// The number of its time dimension.
    #[must_use]
    pub fn time_dimension(&self) -> i32 {
        match self.dimension {
            0 => self.id.0,
            number => number,
        }
    }
}

impl Table {
    /// The columns that make a series: those that were named, else those that name one.
    ///
    /// Text columns of a unique key call a series by its name; whole numbers do where they stand
    /// before the time in it, and nothing counts them up. Without such a key, the first index of
    /// which the same is true tells.
    #[must_use]
    pub fn segment_by(&self) -> Vec<ColumnId> {
        let Some(hypertable) = &self.hypertable else {
            return Vec::new();
        };
        let named = hypertable.compression.as_ref();
        if let Some(named) = named.filter(|named| !named.automatic_segments) {
            return named.segment_by.clone();
        }
        let ordered = named.map_or(&[][..], |named| &named.order_by);
        if let Some(rollup) = &self.rollup {
            let groups = rollup.groups.iter().copied();
            return groups
                .filter(|column| !ordered.iter().any(|order| order.column == *column))
                .collect();
        }
        let keys = self.all_keys().into_iter().map(|(_, places)| places);
        let indexes = self.indexes.iter().filter(|index| !index.constraint);
        let indexes = indexes.map(|index| self.plain_columns(index));
        keys.chain(indexes)
            .map(|places| self.names_of_series(&places, hypertable.time))
            .find(|found| !found.is_empty())
            .unwrap_or_default()
            .into_iter()
            .filter(|column| !ordered.iter().any(|order| order.column == *column))
            .collect()
    }

    /// The order within a series: the one that was named, else by time.
    #[must_use]
    pub fn order_by(&self) -> Vec<OrderBy> {
        let Some(hypertable) = &self.hypertable else {
            return Vec::new();
        };
        let named = hypertable.compression.as_ref().map(|known| &known.order_by);
        match named.filter(|named| !named.is_empty()) {
            Some(named) => named.clone(),
            None => vec![OrderBy {
                column: hypertable.time,
                descending: false,
                nulls_first: false,
            }],
        }
    }

    /// Of some columns of a key those that name a series.
    fn names_of_series(&self, places: &[usize], time: ColumnId) -> Vec<ColumnId> {
        let columns = || places.iter().filter_map(|place| self.columns.get(*place));
        let texts: Vec<ColumnId> = columns()
            .filter(|column| is_text(&column.ty))
            .map(|column| column.id)
            .collect();
        if !texts.is_empty() {
            return texts;
        }
        let leading = columns().take_while(|column| column.id != time);
        let numbers = leading.filter(|column| is_number(column));
        let numbers: Vec<ColumnId> = numbers.map(|column| column.id).collect();
        match columns().any(|column| column.id == time) {
            true => numbers,
            false => Vec::new(),
        }
    }

    /// The places of an index's columns, up to its first expression.
    fn plain_columns(&self, index: &Index) -> Vec<usize> {
        let place = |key: &String| {
            let (name, order) = match key.strip_prefix('"') {
                Some(rest) => rest.split_once('"')?,
                None => key.split_once(' ').unwrap_or((key, "")),
            };
            let ordered = order.split_whitespace().all(|word| {
                let words = ["asc", "desc", "nulls", "first", "last"];
                words.contains(&word.to_lowercase().as_str())
            });
            let (place, _) = self.column_named(name)?;
            ordered.then_some(place)
        };
        index.keys.iter().map_while(place).collect()
    }
}

fn is_text(ty: &SqlType) -> bool {
    matches!(ty, SqlType::Text | SqlType::Varchar(_) | SqlType::Char(_))
}

/// Numbers that a default counts up are those of rows, not of series.
fn is_number(column: &Column) -> bool {
    matches!(column.ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8) && column.default.is_none()
}
